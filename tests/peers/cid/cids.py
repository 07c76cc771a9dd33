"""The address of each file by PyPI's aleph-cid, a line each: cids.py FILE..."""
import sys

from aleph_cid import CidHasher

for path in sys.argv[1:]:
    hasher = CidHasher.for_ipfs_v1_raw_leaves()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            hasher.update(piece)
    print(hasher.finalize())
