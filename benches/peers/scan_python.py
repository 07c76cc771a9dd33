"""What Python takes to hash the pictures of a list, with ImageHash and with pdqhash, for benches/collection.py.

    python scan_python.py PROCESSES < PATHS

Opens each file and computes its code, in so many processes, and prints a JSON object for each peer: "peer", "pictures"
(how many have a code), "seconds" (from the first file to the last) and "cpu_seconds" (of all processes). Their start, and
the import of the libraries, are not counted.
"""

import json
import multiprocessing
import resource
import sys
import time

import imagehash
import numpy
import pdqhash
from PIL import Image


def by_imagehash(path):
    with Image.open(path) as picture:
        return str(imagehash.phash(picture))


def by_pdqhash(path):
    with Image.open(path) as picture:
        # All eight positions, as the scan beside it compares.
        codes, _ = pdqhash.compute_dihedral(numpy.asarray(picture.convert("RGB")))
    return len(codes)


def nothing(_):
    return None


def main():
    processes = int(sys.argv[1])
    paths = sys.stdin.read().splitlines()
    for peer, code in {"imagehash_phash": by_imagehash, "pdqhash": by_pdqhash}.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Forked, so that their processor time is counted as that of children.
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            pool.map(nothing, range(processes * 8))
            started = time.perf_counter()
            codes = pool.map(code, paths, chunksize=16)
            seconds = time.perf_counter() - started
            pool.close()
            pool.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps({"peer": peer, "pictures": sum(map(bool, codes)), "seconds": seconds, "cpu_seconds": cpu}), flush=True)


if __name__ == "__main__":
    main()
