#!/usr/bin/env python3
"""The classical peer: ORB keypoints of OpenCV, looked up in one index, confirmed by RANSAC.

    python orb_ransac.py REFERENCES QUERIES TRUTH.csv [--json OUT]

500 keypoints of a picture reduced to 640 pixels; every descriptor of the query votes for the references
of its nearest descriptors; the ten references with the most votes are matched with the query, and their score
is the number of matches that one similarity (or affine map, or homography) explains.

Every query is answered twice: by one process, whose processor time is counted, and by two, whose wall time is.
OpenCV and faiss have one thread throughout. The answers of both must be the same.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter

import cv2
import faiss
import numpy

import judging

KEYPOINTS = 500
SIDE_PIXELS_MAX = 640
NEIGHBOURS = 3
CANDIDATES = 10
DESCRIPTOR_BITS = 256
LISTS, LISTS_PROBED = 1024, 8  # of the inverted file
TRAINED_PER_LIST = 40
LSH = {"algorithm": 6, "table_number": 12, "key_size": 20, "multi_probe_level": 1}
RATIO = 0.8  # of Lowe's test: the best match is to be this much nearer than the second best
ERROR_PIXELS = 5.0
INLIERS_DEFAULT = 15
POSITION_BYTES = 8
PROCESSES = 2

FIT = {
    "similarity": lambda a, b: cv2.estimateAffinePartial2D(a, b, ransacReprojThreshold=ERROR_PIXELS)[1],
    "affine": lambda a, b: cv2.estimateAffine2D(a, b, ransacReprojThreshold=ERROR_PIXELS)[1],
    "homography": lambda a, b: cv2.findHomography(a, b, cv2.RANSAC, ERROR_PIXELS)[1],
}
MATCHES_MIN = 4
STEPS = ["decode", "detect", "lookup", "verify"]


class Peer:
    def __init__(self, references, index, model):
        self.detector = cv2.ORB_create(nfeatures=KEYPOINTS)
        self.pairs = cv2.BFMatcher(cv2.NORM_HAMMING)
        self.fit = FIT[model]
        self.references = [(file.name, *self.describe(self.decode(file))) for file in references]
        kept = [descriptors for _, _, descriptors in self.references if len(descriptors)]
        self.owner = numpy.repeat(numpy.arange(len(self.references)), [len(d) for _, _, d in self.references])
        self.nearest = self.build(index, numpy.concatenate(kept))

    @staticmethod
    def build(index, descriptors):
        """A function from descriptors to the numbers of their nearest ones in the index."""
        if index == "ivf":
            quantizer = faiss.IndexBinaryFlat(DESCRIPTOR_BITS)
            lists = faiss.IndexBinaryIVF(quantizer, DESCRIPTOR_BITS, LISTS)
            lists.nprobe = LISTS_PROBED
            lists.train(descriptors[:: max(1, len(descriptors) // (LISTS * TRAINED_PER_LIST))])
            lists.add(descriptors)
            lists.quantizer_kept = quantizer  # which Python would free
            return lambda query: lists.search(query, NEIGHBOURS)[1]
        matcher = cv2.FlannBasedMatcher(LSH, {})
        matcher.add([descriptors])
        matcher.train()
        return lambda query: [[m.trainIdx for m in near] for near in matcher.knnMatch(query, NEIGHBOURS)]

    @staticmethod
    def decode(file):
        picture = cv2.imdecode(numpy.fromfile(file, numpy.uint8), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise SystemExit(f"{file}: no picture")
        return picture

    def describe(self, picture):
        """Positions and descriptors of the picture's keypoints."""
        if (longest := max(picture.shape)) > SIDE_PIXELS_MAX:
            factor = SIDE_PIXELS_MAX / longest
            picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        keypoints, descriptors = self.detector.detectAndCompute(picture, None)
        if descriptors is None:
            descriptors = numpy.empty((0, 32), numpy.uint8)
        return numpy.float32([point.pt for point in keypoints]).reshape(-1, 2), descriptors

    def candidates(self, descriptors):
        """The references with the most votes; a keypoint has one vote for each reference near it."""
        if not len(descriptors):
            return []
        votes = Counter()
        for neighbours in self.nearest(descriptors):
            votes.update({int(self.owner[number]) for number in neighbours if number >= 0})
        return [reference for reference, _ in votes.most_common(CANDIDATES)]

    def inliers(self, positions, descriptors, reference):
        _, there, kept = self.references[reference]
        if min(len(descriptors), len(kept)) < MATCHES_MIN:
            return 0
        pairs = [two for two in self.pairs.knnMatch(descriptors, kept, 2) if len(two) == 2]
        good = sorted((a for a, b in pairs if a.distance < RATIO * b.distance), key=lambda match: -match.distance)
        good = list({match.trainIdx: match for match in good}.values())  # the nearest of those that share a keypoint
        if len(good) < MATCHES_MIN:
            return 0
        cv2.setRNGSeed(1)
        mask = self.fit(positions[[m.queryIdx for m in good]], there[[m.trainIdx for m in good]])
        return 0 if mask is None else int(mask.sum())

    def answer(self, file):
        """The inliers of each candidate, and the processor seconds of each step."""
        clock = [time.process_time()]
        picture = self.decode(file)
        clock.append(time.process_time())
        positions, descriptors = self.describe(picture)
        clock.append(time.process_time())
        candidates = self.candidates(descriptors)
        clock.append(time.process_time())
        scores = {self.references[c][0]: self.inliers(positions, descriptors, c) for c in candidates}
        clock.append(time.process_time())
        return scores, numpy.diff(clock)


PEER = None  # where the forked processes find it


def answer(file):
    return PEER.answer(file)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("references", help="folder of the pictures to find")
    parser.add_argument("queries", help="folder of the pictures to look up")
    parser.add_argument("truth", help="CSV with the columns query, transform, original")
    parser.add_argument("--index", choices=["ivf", "lsh"], default="ivf", help="faiss or FLANN, default: %(default)s")
    parser.add_argument("--model", choices=FIT, default="similarity", help="default: %(default)s")
    parser.add_argument("--json", metavar="OUT", help="write the figures to this file as well")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)

    global PEER
    references, queries = judging.pictures_in([args.references]), judging.pictures_in([args.queries])
    started = time.process_time()
    PEER = Peer(references, args.index, args.model)
    build_seconds = time.process_time() - started

    answers = [PEER.answer(file) for file in queries]
    steps = numpy.array([seconds for _, seconds in answers]).mean(axis=0)
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        pool.map(answer, queries[:PROCESSES])  # both are awake before the clock starts
        started = time.perf_counter()
        again = pool.map(answer, queries, chunksize=8)
        wall = (time.perf_counter() - started) / len(queries)
    scores = {judging.tail(file): found for file, (found, _) in zip(queries, answers)}
    if again != [found for found, _ in answers]:
        sys.exit("two processes answered otherwise than one")

    judge = judging.Judge(args.truth, scores)
    keypoints = len(PEER.owner) / len(references)
    report = {
        "figures": {
            "opencv": cv2.__version__,
            "index": args.index,
            "model": args.model,
            "references": len(references),
            "queries": len(queries),
            **{f"{step}_cpu_seconds": float(mean) for step, mean in zip(STEPS, steps)},
            "cpu_ms_per_picture": 1000 * float(steps.sum()),
            f"wall_seconds_per_picture_{PROCESSES}_processes": wall,
            "register_cpu_seconds_per_reference": build_seconds / len(references),
            "keypoints_per_reference": keypoints,
            "descriptor_bytes_per_reference": keypoints * DESCRIPTOR_BITS / 8,
            "bytes_per_reference": keypoints * (DESCRIPTOR_BITS / 8 + POSITION_BYTES),
        },
        "operating_points": [
            judge.loosest_without_wrong_pair(),
            judge.at(f">= {INLIERS_DEFAULT}", lambda inliers: inliers >= INLIERS_DEFAULT),
        ],
        "worst": judge.worst(),
    }
    judging.show(report)
    if args.json:
        judging.write(report, args.json)


if __name__ == "__main__":
    main()
