"""What the peers' scores are worth: recall per transform at a threshold, and the wrong pairs above it.

A peer hands in, for each query, the score of every reference it considered; higher is more alike.
"""

import csv
import json
from collections import defaultdict
from pathlib import Path

WORST_SHOWN = 10
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def pictures_in(paths):
    """Every picture below the folders, and the files named themselves, in one order everywhere."""
    found = []
    for path in map(Path, paths):
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in files if file.suffix.lower() in PICTURES]
    return found


def tail(path):
    """The last two elements of a path, which name a query: transform and file."""
    return "/".join(Path(path).parts[-2:])


class Judge:
    def __init__(self, truth_csv, scores):
        """`scores`: {tail of the query: {file name of the reference: score}}."""
        with open(truth_csv, newline="", encoding="utf-8") as file:
            truth = list(csv.DictReader(file))
        if missing := [row["query"] for row in truth if tail(row["query"]) not in scores]:
            raise SystemExit(f"{len(missing)} queries of the truth were not compared, such as {missing[0]}")
        self.right = defaultdict(list)  # transform: the score of each copy's original, None if not considered
        self.wrong = []  # (score, query, reference), highest first
        self.distractors = 0
        for row in truth:
            query, original = tail(row["query"]), Path(row["original"]).name
            considered = scores[query]
            if original:
                self.right[row["transform"]].append(considered.get(original))
            else:
                self.distractors += 1
            self.wrong += [(score, query, file) for file, score in considered.items() if file != original]
        self.wrong.sort(reverse=True)

    def at(self, name, holds):
        """Recall per transform where `holds(score)` decides, with the wrong pairs that it lets through."""
        hits = {t: sum(s is not None and holds(s) for s in scores) for t, scores in sorted(self.right.items())}
        copies = sum(map(len, self.right.values()))
        wrong = [pair for pair in self.wrong if holds(pair[0])]
        return {
            "threshold": name,
            "recall": sum(hits.values()) / copies,
            "wrong_pairs": len(wrong),
            "queries_with_wrong_pair": len({query for _, query, _ in wrong}),
            "recall_per_transform": {t: hits[t] / len(self.right[t]) for t in hits},
        }

    def loosest_without_wrong_pair(self):
        """The operating point just above the highest wrong pair, which is the most that this data allows."""
        highest = self.wrong[0][0] if self.wrong else 0
        return self.at(f"> {highest:.4g}", lambda score: score > highest)

    def worst(self):
        """The wrong pairs with the highest scores, for a look at whether they are wrong at all."""
        return [{"score": s, "query": q, "reference": r} for s, q, r in self.wrong[:WORST_SHOWN]]


def show(report):
    """The report of a peer for people: figures, then a table with a column for each operating point."""
    for key, value in report["figures"].items():
        print(f"{key:<40} {value:.5g}" if isinstance(value, float) else f"{key:<40} {value}")
    points = report.get("operating_points")
    if not points:
        return
    print(f"\n{'transform':<16}" + "".join(f"{point['threshold']:>12}" for point in points))
    for transform in points[0]["recall_per_transform"]:
        print(f"{transform:<16}" + "".join(f"{point['recall_per_transform'][transform]:12.3f}" for point in points))
    print(f"{'all':<16}" + "".join(f"{point['recall']:12.4f}" for point in points))
    print(f"{'wrong pairs':<16}" + "".join(f"{point['wrong_pairs']:12}" for point in points))
    print("\nhighest wrong pairs")
    for pair in report["worst"]:
        print(f"  {pair['score']:<8.4g} {pair['query']} -> {pair['reference']}")


def write(report, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
