"""The codes of pictures by the Python package `pdqhash`, and the time they take.

    python pdqhash_time.py SECONDS < PICTURES

PICTURES is, for each picture, width and height (u32, little endian) and the raw RGB. Rounds over all
pictures go on for SECONDS, three at least, and the median round counts, as in benches/measure/mod.rs.
"""

import json
import statistics
import struct
import sys
import time

import numpy
import pdqhash


def read_pictures(stream):
    while header := stream.read(8):
        width, height = struct.unpack("<II", header)
        pixels = numpy.frombuffer(stream.read(width * height * 3), numpy.uint8)
        yield pixels.reshape(height, width, 3)


def hex_of(bits):
    """The 64 digits of 256 bits, highest first."""
    return numpy.packbits(bits.astype(numpy.uint8)).tobytes().hex()


def codes_of(picture):
    first, quality = pdqhash.compute(picture)
    all_eight, _ = pdqhash.compute_dihedral(picture)
    return {"codes": [hex_of(first)] + [hex_of(bits) for bits in all_eight[1:]], "quality": int(quality)}


def median_seconds(seconds, compute, pictures):
    end = time.perf_counter() + seconds
    times = []
    while len(times) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        for picture in pictures:
            compute(picture)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main():
    seconds = float(sys.argv[1])
    pictures = list(read_pictures(sys.stdin.buffer))
    answer = {
        "pictures": [codes_of(picture) for picture in pictures],
        "dihedral_seconds": median_seconds(seconds, pdqhash.compute_dihedral, pictures),
        "compute_seconds": median_seconds(seconds, pdqhash.compute, pictures),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
