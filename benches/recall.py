#!/usr/bin/env python3
"""Recall per transform of a scan, from the truth about its suspects.

    timemark scan DATA/queries --json > scan.jsonl
    benches/recall.py DATA/truth.csv scan.jsonl [--markdown | --sweep]
    benches/recall.py DATA/truth.csv --compare one.jsonl other.jsonl [--markdown]

truth.csv has the columns query, transform, original (empty where no work is the source). A copy is found
when its original is among the matches, at any place. A match with any other work is a wrong match. Works that
are only `related` count neither way.

--markdown prints the table as Markdown, with what each transform does from transforms.csv. --compare shows several
scans side by side, headed by the names of their files. With --sweep, the same is shown for every radius up to the one
that the scan used, which is how the default radius was chosen (docs/accuracy.md).

Exit code 1 if there is a wrong match, a suspect that ended in an error, or a recall below --recall-min (all copies) or
--transform-recall-min (each transform). --compare and --sweep only show.
"""

import argparse
import csv
import json
import math
import os
import sys
from collections import defaultdict

DEFINITIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transforms.csv")
RADIUS_MAX = 256


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


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Scan:
    """What a scan answered to the queries of the truth; other suspects of the scan are left out."""

    def __init__(self, truth, path):
        with open(path, encoding="utf-8") as file:
            lines = {tail(line["suspect"]): line for line in map(json.loads, file)}
        missing = [row["query"] for row in truth if tail(row["query"]) not in lines]
        if missing:
            sys.exit(f"{path}: {len(missing)} queries were not scanned, such as {missing[0]}")
        asked = [lines[tail(row["query"])] for row in truth]
        self.truth = truth
        self.answers = {tail(line["suspect"]): line["matches"] for line in asked}
        self.errors = [line["suspect"] for line in asked if line["status"] == "error"]

    def judge(self, radius=RADIUS_MAX):
        """Per transform: copies and hits; and every wrong pair within the radius."""
        copies, hits, wrong = defaultdict(int), defaultdict(int), []
        for row in self.truth:
            matches = [m for m in self.answers[tail(row["query"])] if (m.get("distance") or 0) <= radius]
            if row["original"]:
                copies[row["transform"]] += 1
                hits[row["transform"]] += name(row["original"]) in [name(m["file"]) for m in matches]
            wrong += [(row["query"], m) for m in matches if name(m["file"]) != name(row["original"])]
        return copies, hits, wrong


def show(columns, rows, markdown):
    """A table, of which numbers stand at the right and text at the left."""
    numbers = [all(row[i][:1].isdigit() and " " not in row[i] for row in rows) for i in range(len(columns))]
    if markdown:
        print("| " + " | ".join(columns) + " |")
        print("|" + "|".join("---:" if number else "---" for number in numbers) + "|")
        for row in rows:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, *rows]:
        cells = zip(row, widths, numbers)
        print("  ".join(cell.rjust(w) if number else cell.ljust(w) for cell, w, number in cells).rstrip())


def show_sweep(scan):
    print("radius  recall  wrong pairs")
    for radius in range(0, 129, 2):
        copies, hits, wrong = scan.judge(radius)
        print(f"{radius:6}  {sum(hits.values()) / sum(copies.values()):.4f}  {len(wrong):11}")


def show_comparison(truth, paths, markdown):
    scans = [Scan(truth, path) for path in paths]
    judged = [scan.judge() for scan in scans]
    copies = judged[0][0]
    rows = [[t, *(f"{hits[t] / copies[t]:.3f}" for _, hits, _ in judged)] for t in sorted(copies)]
    rows.append(["all", *(f"{sum(hits.values()) / sum(copies.values()):.4f}" for _, hits, _ in judged)])
    rows.append(["wrong matches", *(str(len(wrong)) for _, _, wrong in judged)])
    rows.append(["errors", *(str(len(scan.errors)) for scan in scans)])
    show(["transform", *(os.path.splitext(name(path))[0] for path in paths)], rows, markdown)


def show_recall(scan, markdown):
    """The table and what is wrong with the scan. Answers the lowest recall of a transform, the recall and the wrong."""
    copies, hits, wrong = scan.judge()
    definitions = {row["transform"]: row["definition"] for row in read_csv(DEFINITIONS)} if markdown else {}
    n, k = sum(copies.values()), sum(hits.values())
    rows = []
    for transform, count, found in [*((t, copies[t], hits[t]) for t in sorted(copies)), ("all", n, k)]:
        low, high = wilson(found, count)
        what = [definitions.get(transform, "")] if markdown else []
        rows.append([transform, *what, str(count), str(found), f"{found / count:.3f}", f"{low:.3f} to {high:.3f}"])
    what = ["definition"] if markdown else []
    show(["transform", *what, "copies", "found", "recall", "95 % interval"], rows, markdown)
    distractors = sum(not row["original"] for row in scan.truth)
    print(f"\n{len(wrong)} wrong matches among {n} copies and {distractors} distractors, {len(scan.errors)} errors")
    for query, match in wrong:
        print(f"  WRONG {query} -> {match['file']} ({match['method']}, {match.get('distance')})")
    for suspect in scan.errors:
        print(f"  ERROR {suspect}")
    return min(hits[t] / copies[t] for t in copies), k / n, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth")
    parser.add_argument("scan", nargs="?", help="the scan's --json output")
    parser.add_argument("--compare", nargs="+", metavar="SCAN", help="show several scans side by side")
    parser.add_argument("--sweep", action="store_true", help="show every radius")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--recall-min", type=float, default=0.0, help="fail when fewer of all copies are found")
    parser.add_argument("--transform-recall-min", type=float, default=0.0, help="fail when a transform is below")
    args = parser.parse_args()
    if bool(args.scan) == bool(args.compare):
        parser.error("one SCAN, or --compare with several")

    truth = read_csv(args.truth)
    if args.compare:
        return show_comparison(truth, args.compare, args.markdown)
    scan = Scan(truth, args.scan)
    if args.sweep:
        return show_sweep(scan)
    lowest, recall, wrong = show_recall(scan, args.markdown)
    return bool(wrong or scan.errors or recall < args.recall_min or lowest < args.transform_recall_min)


if __name__ == "__main__":
    sys.exit(main())
