"""Holds our PDQ codes against those of the Python package `pdqhash`, pixel for pixel the same input.

    python check.py [FILE]        (standard input without FILE)

One JSON object a line: {"path": raw RGB file, "width": w, "height": h, "codes": [8 hex], "quality": q},
the codes in the order original, rotated by 90, 180 and 270, flips X, Y, plus 1 and minus 1. Every bit
must agree. `pdqhash.compute_dihedral` lacks the reference's shortcut for pictures of 64 x 64, so only the
first code of such a picture is compared. Needs numpy and pdqhash 0.2.8.
"""

import json
import sys

import numpy
import pdqhash


def hex_of(bits):
    """The 64 digits of 256 bits, highest first."""
    return numpy.packbits(bits.astype(numpy.uint8)).tobytes().hex()


def differences(line):
    """What of this line pdqhash sees otherwise, one sentence each."""
    width, height = line["width"], line["height"]
    with open(line["path"], "rb") as file:
        pixels = numpy.frombuffer(file.read(), numpy.uint8).reshape(height, width, 3)

    bits, quality = pdqhash.compute(pixels)
    expected = [hex_of(bits)]
    if (width, height) != (64, 64):
        bits_of_all, _ = pdqhash.compute_dihedral(pixels)
        expected = [hex_of(bits) for bits in bits_of_all]

    if line["quality"] != quality:
        yield f"quality {line['quality']}, pdqhash {quality}"
    if len(line["codes"]) != 8:
        yield f"{len(line['codes'])} codes instead of 8"
    for index, (ours, theirs) in enumerate(zip(line["codes"], expected)):
        if ours != theirs:
            distance = (int(ours, 16) ^ int(theirs, 16)).bit_count()
            yield f"code {index} differs in {distance} bits: {ours}, pdqhash {theirs}"


def main():
    passed = failed = 0
    with open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin as lines:
        for line in map(json.loads, filter(str.strip, lines)):
            found = list(differences(line))
            for difference in found:
                print(f"{line['path']} ({line['width']} x {line['height']}): {difference}")
            passed, failed = passed + (not found), failed + bool(found)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
