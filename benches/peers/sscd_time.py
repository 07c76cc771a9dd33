#!/usr/bin/env python3
"""The neural peer: SSCD descriptors by ONNX Runtime on one thread, compared by cosine.

    python sscd_time.py MODEL.onnx QUERIES... [--references DIR --truth TRUTH.csv] [--json OUT]

The model takes pictures of 288x288 pixels as RGB bytes and gives 512 numbers. It is not part of this
repository, as its licence forbids passing it on; benches/README.md says where it comes from.
Without references and truth only the time is measured.
"""

import argparse
import statistics
import time

import cv2
import numpy
import onnxruntime

import judging

SIDE_PIXELS = 288
COSINE_DEFAULT = 0.75  # 90 % precision on DISC21, by the authors of SSCD
STEPS = ["decode", "resize", "model"]


class Model:
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.run(numpy.zeros((SIDE_PIXELS, SIDE_PIXELS, 3), numpy.uint8))  # the first run is slower

    def run(self, picture):
        return self.session.run(None, {self.input: picture[None]})[0][0]

    def describe(self, file):
        """The unit vector of a picture, and the processor milliseconds of each step."""
        clock = [time.process_time()]
        picture = cv2.imdecode(numpy.fromfile(file, numpy.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise SystemExit(f"{file}: no picture")
        clock.append(time.process_time())
        picture = cv2.resize(picture, (SIDE_PIXELS, SIDE_PIXELS), interpolation=cv2.INTER_AREA)
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        clock.append(time.process_time())
        vector = self.run(picture)
        clock.append(time.process_time())
        return vector / numpy.linalg.norm(vector), numpy.diff(clock) * 1000

    def describe_all(self, files):
        vectors, steps = zip(*map(self.describe, files))
        return numpy.array(vectors, numpy.float32), numpy.array(steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="the ONNX file")
    parser.add_argument("queries", nargs="+", help="pictures or folders of pictures")
    parser.add_argument("--references", help="folder of the pictures to find")
    parser.add_argument("--truth", help="CSV with the columns query, transform, original")
    parser.add_argument("--json", metavar="OUT", help="write the figures to this file as well")
    args = parser.parse_args()
    if bool(args.references) != bool(args.truth):
        parser.error("--references and --truth go together")
    cv2.setNumThreads(1)

    model = Model(args.model)
    queries = judging.pictures_in(args.queries)
    started = time.perf_counter()
    vectors, steps = model.describe_all(queries)
    wall = (time.perf_counter() - started) * 1000 / len(queries)
    report = {
        "figures": {
            "onnxruntime": onnxruntime.__version__,
            "queries": len(queries),
            **{f"{step}_cpu_ms": float(mean) for step, mean in zip(STEPS, steps.mean(axis=0))},
            "cpu_ms_per_picture": float(steps.sum(axis=1).mean()),
            "cpu_ms_per_picture_median": statistics.median(steps.sum(axis=1).tolist()),
            "wall_ms_per_picture": wall,
            "bytes_per_reference": vectors[0].nbytes,
        }
    }
    if args.truth:
        references = judging.pictures_in([args.references])
        cosines = vectors @ model.describe_all(references)[0].T
        names = [file.name for file in references]
        scores = {judging.tail(file): dict(zip(names, row.tolist())) for file, row in zip(queries, cosines)}
        judge = judging.Judge(args.truth, scores)
        report["figures"]["references"] = len(references)
        report["operating_points"] = [
            judge.loosest_without_wrong_pair(),
            judge.at(f">= {COSINE_DEFAULT}", lambda cosine: cosine >= COSINE_DEFAULT),
        ]
        report["worst"] = judge.worst()
    judging.show(report)
    if args.json:
        judging.write(report, args.json)


if __name__ == "__main__":
    main()
