"""What Faiss and usearch take to search 256-bit codes, for benches/codes.rs.

Reads from standard input a JSON object: "codes" and "queries" (files of 32 bytes each code), "radius", "single" (how many
of the queries to ask one at a time), "neighbours" (how many codes are within the radius of each query). Prints a JSON
object for each setting: "peer", "recall" (share of the pairs that it finds), "batch_us" and "single_us" (microseconds a query, one
thread, all queries at once and one at a time), "build_s". Every pair that a peer reports must be within the radius, and the
comparison with all codes must find as many neighbours as were told.
"""

import json
import sys
import time

import faiss
import numpy as np

BITS = 256
# Hashes × bits of each, and how many bits of a hash may be flipped. The first is the one that cannot miss anything
# within 31 bits; the others trade that for speed.
MULTI_HASHES = [(16, 16, 1), (16, 16, 0), (10, 22, 0), (10, 22, 1), (10, 25, 1), (12, 21, 1), (8, 24, 1)]
USEARCH_CODES_MAX = 100_000
USEARCH_NEAREST = 10


def timed(call):
    started = time.perf_counter()
    answer = call()
    return answer, time.perf_counter() - started


def say(peer, build_s, search, queries, single, exact, radius):
    search(queries[:16])
    (limits, distances), batch = timed(lambda: search(queries))
    assert len(distances) == 0 or distances.max() <= radius
    _, one_by_one = timed(lambda: [search(queries[i : i + 1]) for i in range(single)])
    print(
        json.dumps(
            {
                "peer": peer,
                "recall": int(limits[-1]) / max(exact, 1),
                "batch_us": batch / len(queries) * 1e6,
                "single_us": one_by_one / single * 1e6,
                "build_s": build_s,
            }
        ),
        flush=True,
    )


def main():
    asked = json.load(sys.stdin)
    faiss.omp_set_num_threads(1)
    codes, queries = (
        np.fromfile(asked[name], dtype=np.uint8).reshape(-1, BITS // 8) for name in ("codes", "queries")
    )
    radius, single, exact = asked["radius"], asked["single"], sum(asked["neighbours"])

    def faiss_search(index):
        # Faiss reports what is nearer than the radius, and we what is at most so far.
        def search(some):
            limits, distances, _ = index.range_search(some, radius + 1)
            return limits, distances

        return search

    flat = faiss.IndexBinaryFlat(BITS)
    _, build_s = timed(lambda: flat.add(codes))
    few = max(50, min(single, len(queries), 20_000_000 // len(codes)))
    # From all of the queries, so that those with neighbours and those without are among them.
    some = np.ascontiguousarray(queries[:: len(queries) // few][:few])
    (limits, _), seconds = timed(lambda: faiss_search(flat)(some))
    assert np.array_equal(np.diff(limits), asked["neighbours"][:: len(queries) // few][:few])
    _, one_by_one = timed(lambda: [faiss_search(flat)(some[i : i + 1]) for i in range(few)])
    batch_us, single_us = seconds / few * 1e6, one_by_one / few * 1e6
    print(
        json.dumps({"peer": "faiss_flat", "recall": 1.0, "batch_us": batch_us, "single_us": single_us, "build_s": build_s}),
        flush=True,
    )
    del flat
    for hashes, bits, flips in MULTI_HASHES:
        index = faiss.IndexBinaryMultiHash(BITS, hashes, bits)
        _, build_s = timed(lambda: index.add(codes))
        index.nflip = flips
        say(f"faiss_multihash_{hashes}x{bits}_flip{flips}", build_s, faiss_search(index), queries, single, exact, radius)
        del index
    if len(codes) <= USEARCH_CODES_MAX:
        usearch(codes, queries, radius, single, exact)


def usearch(codes, queries, radius, single, exact):
    """A graph of neighbours: it gives the nearest ten, of which those within the radius count."""
    try:
        from usearch.index import Index, MetricKind, ScalarKind
    except ImportError:
        print("usearch is not installed", file=sys.stderr)
        return
    index = Index(ndim=BITS, metric=MetricKind.Hamming, dtype=ScalarKind.B1)
    _, build_s = timed(lambda: index.add(np.arange(len(codes)), codes, threads=0))

    def search(some):
        found = index.search(some, USEARCH_NEAREST, threads=1)
        distances = np.asarray(found.distances).reshape(len(some), -1)
        within = distances <= radius
        return np.concatenate([[0], within.sum(axis=1).cumsum()]), distances[within]

    say("usearch", build_s, search, queries, single, exact, radius)


main()
