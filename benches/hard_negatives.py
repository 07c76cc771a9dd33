#!/usr/bin/env python3
"""What a scan says of pairs of pictures that are easily confused.

    benches/hard_negatives.py PAIRS.csv IMG_DIR WORKDIR --timemark BIN > pairs-judged.csv

PAIRS.csv has the columns a and b, names of pictures in IMG_DIR. Every a is registered in a new archive in WORKDIR,
which must not have one yet, then every b is scanned. One row for each pair, and one for each other registered picture
that b brought up. `answer` is `match`, `related` or `none`, for a pair of one picture with itself `same`. No verdict:
some pairs are true duplicates.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

FIELDS = ["score", "method", "inliers", "distance", "transform"]


def collect(pictures, names, folder):
    """Links to the named pictures, alone in a folder, each once."""
    folder.mkdir()
    for file in sorted(names):
        (folder / file).symlink_to(pictures / file)
    return folder


def run(*command):
    """Standard output of the command, which may say no (1) but not fail (2)."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{command[0]} {command[1]} ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def answers_to(line):
    """What the scan says of each registered picture; a match weighs more than a relation."""
    found = {}
    for kind in ("related", "matches"):
        for one in line.get(kind) or []:
            found[Path(one["file"]).name] = ("match" if kind == "matches" else "related", one)
    return found


def row_of(kind, a, b, found):
    answer, one = found.get(a, ("none", {}))
    values = [one.get(field) for field in FIELDS]
    return [kind, a, b, answer, *(json.dumps(v) if isinstance(v, (dict, list)) else v for v in values)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", metavar="PAIRS.csv")
    parser.add_argument("pictures", metavar="IMG_DIR", type=Path)
    parser.add_argument("workdir", metavar="WORKDIR", type=Path)
    parser.add_argument("--timemark", metavar="BIN", default="timemark")
    args = parser.parse_args()

    with open(args.pairs, newline="", encoding="utf-8") as file:
        pairs = [(row["a"], row["b"]) for row in csv.DictReader(file)]
    pictures, workdir = args.pictures.resolve(), args.workdir.resolve()
    workdir.mkdir(parents=True, exist_ok=True)
    works = collect(pictures, {a for a, _ in pairs}, workdir / "works")
    suspects = collect(pictures, {b for _, b in pairs}, workdir / "suspects")
    archive = ["--archive", workdir / "archive"]
    registered = run(args.timemark, "register", works, *archive, "--receipts", workdir / "receipts", "--json")
    scanned = run(args.timemark, "scan", suspects, *archive, "--json")
    errors = [line for line in registered + scanned if line["status"] == "error"]
    answers = {Path(line["suspect"]).name: answers_to(line) for line in scanned}

    rows = [row_of("pair", a, b, answers.get(b, {})) for a, b in pairs]
    listed = set(pairs)
    for b, found in sorted(answers.items()):
        rows += [row_of("same" if a == b else "other", a, b, found) for a in sorted(found) if (a, b) not in listed]
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["kind", "a", "b", "answer", *FIELDS])
    table.writerows(rows)

    print(f"{len(registered)} registered, {len(scanned)} scanned, {len(errors)} errors", file=sys.stderr)
    for (kind, answer), count in sorted(Counter((row[0], row[3]) for row in rows).items()):
        print(f"{kind:<6} {answer:<8} {count:5}", file=sys.stderr)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
