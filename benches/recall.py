#!/usr/bin/env python3
"""Recall per transform of a scan, from the truth about its suspects.

    timemark scan DATA/queries --json > scan.jsonl
    benches/recall.py DATA/truth.csv scan.jsonl [--sweep]

truth.csv has the columns query, transform, original (empty where no work is the source). A match with
any other work than the original is a wrong match. With --sweep, the same is shown for every radius up to
the one that the scan used, which is how the default radius was chosen (docs/accuracy.md).

Exit code 1 if there is a wrong match or the recall is below --recall-min.
"""

import argparse
import csv
import json
import math
import os
import sys
from collections import defaultdict


def wilson(hits, n, z=1.96):
    """The 95 % confidence interval of a share (Wilson score)."""
    if n == 0:
        return 0.0, 1.0
    p, d = hits / n, 1 + z * z / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / d), min(1.0, (middle + half) / d)


def name(path):
    return os.path.basename(path or "")


def tail(path):
    """The last two elements of a path, which name a query: transform and file."""
    return "/".join(path.split("/")[-2:])


def judge(truth, answers, radius):
    """Per transform: copies and hits; and every wrong pair within the radius."""
    copies, hits, wrong = defaultdict(int), defaultdict(int), []
    for row in truth:
        matches = [m for m in answers[tail(row["query"])] if (m["distance"] or 0) <= radius]
        found = [name(m["file"]) for m in matches]
        if row["original"]:
            copies[row["transform"]] += 1
            hits[row["transform"]] += name(row["original"]) in found
        wrong += [(row["query"], m) for m in matches if name(m["file"]) != name(row["original"])]
    return copies, hits, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth")
    parser.add_argument("scan", help="the scan's --json output")
    parser.add_argument("--sweep", action="store_true", help="show every radius")
    parser.add_argument("--recall-min", type=float, default=0.0)
    args = parser.parse_args()

    with open(args.truth, newline="", encoding="utf-8") as file:
        truth = list(csv.DictReader(file))
    with open(args.scan, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    answers = {tail(line["suspect"]): line["matches"] for line in lines}
    missing = [row["query"] for row in truth if tail(row["query"]) not in answers]
    errors = [line["suspect"] for line in lines if line["status"] == "error"]
    if missing or errors:
        sys.exit(f"{len(missing)} queries were not scanned, {len(errors)} ended in an error")

    if args.sweep:
        print("radius  recall  wrong pairs")
        for radius in range(0, 129, 2):
            copies, hits, wrong = judge(truth, answers, radius)
            print(f"{radius:6}  {sum(hits.values()) / sum(copies.values()):.4f}  {len(wrong):11}")
        return

    copies, hits, wrong = judge(truth, answers, 256)
    print(f"{'transform':<16} copies  found  recall  95 % interval")
    for transform in sorted(copies):
        n, k = copies[transform], hits[transform]
        low, high = wilson(k, n)
        print(f"{transform:<16} {n:6} {k:6}  {k / n:6.3f}  {low:.3f} to {high:.3f}")
    n, k = sum(copies.values()), sum(hits.values())
    low, high = wilson(k, n)
    print(f"{'all':<16} {n:6} {k:6}  {k / n:6.3f}  {low:.3f} to {high:.3f}")
    distractors = sum(not row["original"] for row in truth)
    print(f"{len(wrong)} wrong matches among {n} copies and {distractors} distractors")
    for query, match in wrong:
        print(f"  WRONG {query} -> {match['file']} ({match['method']}, {match['distance']})")
    sys.exit(1 if wrong or k / n < args.recall_min else 0)


if __name__ == "__main__":
    main()
