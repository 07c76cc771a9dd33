#!/usr/bin/env python3
"""What a scan says of pairs of pictures that are easily confused.

    benches/hard_negatives.py PAIRS.csv IMG_DIR WORKDIR --timemark BIN > pairs-judged.csv

PAIRS.csv has the columns a and b, names of pictures in IMG_DIR. Each pair is tried alone, so that no third picture
answers for it: a is registered in a new archive in WORKDIR, b is scanned against it, and the archive is deleted.
`answer` is `match`, `related` or `none`.

hard-negatives.csv beside this script has what a person saw in each pair, without knowing what a scan says of it:

    copy        one picture, of which one file was made by editing the other as a whole
    variant     one artwork, a part of which was changed, recoloured or drawn anew
    shared      different pictures with an element in common: a frame, a logo, the same object seen again
    different   a subject or a style in common, or nothing

Exit code 1 if a match is none: a pair that is `shared` or `different`.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LABELS = Path(__file__).resolve().parent / "hard-negatives.csv"
FIELDS = ["score", "method", "inliers", "distance", "alike", "alike_between", "transform"]


def run(*command):
    """The objects that the command prints, which may say no (1) but not fail (2)."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{command[0]} {command[1]} ended with {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def judged(timemark, work, suspect, folder):
    """What a scan of one picture says, with another as the only work."""
    shutil.rmtree(folder, ignore_errors=True)
    archive = ["--archive", folder / "archive"]
    (registered,) = run(timemark, "register", work, *archive, "--receipts", folder / "receipts", "--json")
    (scanned,) = run(timemark, "scan", suspect, *archive, "--json")
    shutil.rmtree(folder)
    for line in registered, scanned:
        if line["status"] == "error":
            sys.exit(f"{work} {suspect}: {line['error']}")
    for answer, kind in ("match", "matches"), ("related", "related"):
        if scanned[kind]:
            return answer, scanned[kind][0]
    return "none", {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", metavar="PAIRS.csv")
    parser.add_argument("pictures", metavar="IMG_DIR", type=Path)
    parser.add_argument("workdir", metavar="WORKDIR", type=Path)
    parser.add_argument("--timemark", metavar="BIN", default="timemark")
    args = parser.parse_args()

    with open(args.pairs, newline="", encoding="utf-8") as file:
        pairs = [(row["a"], row["b"]) for row in csv.DictReader(file)]
    with open(LABELS, newline="", encoding="utf-8") as file:
        labels = {(row["a"], row["b"]): (row["label"], row["remark"]) for row in csv.DictReader(file)}
    args.workdir.mkdir(parents=True, exist_ok=True)

    def answer(numbered):
        number, (a, b) = numbered
        return judged(args.timemark, args.pictures / a, args.pictures / b, args.workdir / f"pair-{number}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = list(pool.map(answer, enumerate(pairs)))

    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["a", "b", "label", "remark", "answer", *FIELDS])
    counts, false = Counter(), 0
    for pair, (said, one) in zip(pairs, answers):
        label, remark = labels.get(pair, ("", ""))
        table.writerow([*pair, label, remark, said, *(one.get(field) for field in FIELDS)])
        counts[label, said] += 1
        false += said == "match" and label in ("shared", "different")
    for label in sorted({label for label, _ in counts}):
        said = [f"{counts[label, answer]:4} {answer}" for answer in ("match", "related", "none")]
        print(f"{label or 'not seen':<10}", *said, file=sys.stderr)
    print(f"{false} matches are of pairs that are no copies", file=sys.stderr)
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
