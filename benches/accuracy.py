#!/usr/bin/env python3
"""Measures how well copies are found, and writes the figures into docs/accuracy.md.

    benches/accuracy.py DATA WORKDIR [--hard-negatives DIR] [--distractors DIR] [--model FILE.onnx]... [--peers PYTHON]

DATA has references/, queries/<transform>/ and truth.csv. Archives and scans are left in WORKDIR.
Everything is measured one after the other; run it on an idle machine. A run that was interrupted may be started again
with the archives that it left in WORKDIR. Each part needs what its option names, and keeps the figures of an earlier
run where that is missing:

    --hard-negatives   pairs.csv and img/, see hard_negatives.py
    --distractors      what distractors.py made; wants --hard-negatives as well
    --model            networks for `scan --model`, and for a peer
    --peers            a Python with peers/detection-requirements.txt

All figures go to results/<machine>/accuracy-<date>.json as well. Exit code 1 if a scan at the default operating point
asserts a wrong match or fails at a file, or if ingest/src/strength.rs holds other counts than those measured here.
"""

import argparse
import csv
import datetime
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import recall

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
LABELS = ROOT / "benches" / "hard-negatives.csv"
STRENGTH = ROOT / "ingest" / "src" / "strength.rs"
PLACES = 8  # that a match needs at the default operating point
UNRELATED_MAX = 3000  # distractors that are suspects themselves
# Copies that were found where none was expected, seen by eye: the moon of Open Clipart shines in a game's sky.
COPIED = {"heldout__openclipart__astronomy-moon-full_28ab68.jpg"}
SMALL = ("crop75", "patch15", "screenshot", "social")  # copies of which little is left


def timed(command, **kwargs):
    """Runs a command: what it did, seconds that passed, and seconds of processor time."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([str(word) for word in command], check=False, **kwargs)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Timemark:
    """An archive, and the scans of it."""

    def __init__(self, binary, workdir, name):
        self.binary, self.workdir, self.name = binary, workdir, name
        self.archive = workdir / f"{name}-archive"

    def run(self, verb, arguments, out):
        """The last remark of a verb, whose JSON goes to a file, and the seconds of clock and processor."""
        command = [self.binary, verb, *arguments, "--archive", self.archive, "--json"]
        with open(out, "w", encoding="utf-8") as file, open(f"{out}.err", "w+", encoding="utf-8") as remarks:
            done, wall, cpu = timed(command, stdout=file, stderr=remarks)
            remarks.seek(0)
            said = remarks.read().splitlines()
        if done.returncode not in (0, 1):
            sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}: {said[-3:]}")
        print(f"{self.name}: {said[-1]}", file=sys.stderr, flush=True)
        return said[-1], wall, cpu

    def register(self, *folders):
        receipts = self.workdir / f"{self.name}-receipts"
        out = self.workdir / f"{self.name}-registered.jsonl"
        _, wall, cpu = self.run("register", [*folders, "--receipts", receipts], out)
        status = Counter(line["status"] for line in lines_of(out))
        if status["error"]:
            sys.exit(f"{out}: {status['error']} pictures were not registered")
        works = status["registered"] + status["duplicate"]
        return {"works": works, "new": status["registered"], "seconds": wall, "cpu_ms": 1000 * cpu / works}

    def scan(self, name, *arguments):
        """Scans; the lines are in `WORKDIR/<archive>-<name>.jsonl`."""
        out = self.workdir / f"{self.name}-{name}.jsonl"
        _, wall, cpu = self.run("scan", arguments, out)
        status = Counter(line["status"] for line in lines_of(out))
        suspects = sum(status.values())
        return {
            "out": str(out),
            "suspects": suspects,
            "errors": status["error"],
            "matches": status["match"],
            "per_second": suspects / wall,
            "cpu_ms": 1000 * cpu / suspects,
        }

    def bytes_a_work(self, works):
        """Bytes on disk of the codes and of the keypoints of a work."""
        size = {part: (self.archive / "index" / part).stat().st_size for part in ("codes", "keypoints")}
        return {part: bytes_ / works for part, bytes_ in size.items()}


def judged(truth, figures):
    """Adds recall and wrong matches to the figures of a scan of the queries."""
    copies, hits, wrong = recall.Scan(truth, figures["out"]).judge()
    n, found = sum(copies.values()), sum(hits.values())
    figures |= {"copies": n, "found": found, "recall": found / n, "wrong": len(wrong)}
    figures["lowest"] = min(hits[t] / copies[t] for t in copies)
    figures["interval"] = recall.wilson(found, n)
    figures["by_transform"] = {t: hits[t] for t in sorted(copies)}
    for query, match in wrong:
        print(f"WRONG {query} -> {match['file']} ({match['method']}, score {match['score']})", file=sys.stderr)
    return figures


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


def sources(args):
    """The source of every picture that is no copy of a distractor: pictures of one source count as one suspect."""
    pictures = {file: file.name for file in sorted((args.data / "references").iterdir())}
    digests = {hashlib.sha256(file.read_bytes()).digest(): name for file, name in pictures.items()}
    for row in recall.read_csv(args.data / "truth.csv"):
        if not row["original"]:
            pictures[args.data / row["query"]] = recall.name(row["query"])
    source = {}

    def of(name):
        while source.get(name, name) != name:
            name = source[name]
        return name

    for row in recall.read_csv(LABELS):
        if row["label"] == "copy":
            source[of(row["b"])] = of(row["a"])
    for file in sorted((args.hard_negatives / "img").iterdir()):
        if file.name in COPIED:
            continue
        pictures[file] = digests.get(hashlib.sha256(file.read_bytes()).digest(), of(file.name))
    return pictures


def highest_scores(path, source_of):
    """Of each source the highest score of its pictures with any work, be it asserted as a match or not."""
    highest = {}
    for line in lines_of(path):
        source = source_of[Path(line["suspect"]).name]
        scores = [found["score"] for found in line["matches"] + line["related"]]
        highest[source] = max([highest.get(source, -1.0), *scores])
    return list(highest.values())


def grades():
    """The table of ingest/src/strength.rs."""
    row = r'grade: "([^"]+)",\s*score_min: ([\d.]+),\s*reached: ([\d_]+),\s*suspects: ([\d_]+),\s*works: ([\d_]+)'
    found = re.findall(row, STRENGTH.read_text(encoding="utf-8"))
    number = lambda text: int(text.replace("_", ""))
    return [(grade, float(low), number(k), number(n), number(m)) for grade, low, k, n, m in found]


def markdown(columns, rows):
    """A table, of which numbers stand at the right and text at the left."""
    numbers = [all(re.match(r"[\d<]", str(row[at])) for row in rows) for at in range(len(columns))]
    lines = [columns, ["---:" if number else "---" for number in numbers], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def share(figures):
    return f"{figures['recall']:.3f} ({figures['found']} of {figures['copies']:,})"


def measure_development(args, page):
    """The works and queries of DATA: the operating point, what each stage gives, what it costs."""
    truth = recall.read_csv(args.data / "truth.csv")
    queries = args.data / "queries"
    timemark = Timemark(args.timemark, args.workdir, "development")
    figures = {"register": timemark.register(args.data / "references")}
    figures["bytes"] = timemark.bytes_a_work(figures["register"]["works"])
    scans = {
        "full": [],
        "places-4": ["--places", 4],
        "places-16": ["--places", 16],
        "radius-20": ["--radius", 20],
        "radius-80": ["--radius", 80],
        "fast": ["--depth", "fast"],
        "without-keypoints": ["--without", "keypoints"],
        "without-mirrored": ["--without", "mirrored"],
        "without-regions": ["--without", "regions"],
    }
    timemark.scan("warm", queries)  # the first reads what the others find in memory
    for name, options in scans.items():
        figures[name] = judged(truth, timemark.scan(name, queries, *options))
    for model in args.model:
        timemark.scan("taken-in", args.data / "truth.csv", "--model", model)  # so that only the scan is timed next
        figures[f"model {model.name}"] = judged(truth, timemark.scan(model.stem, queries, "--model", model))

    page["operating"] = markdown(
        ["", "recall", "lowest of an edit", "wrong matches"],
        [
            [text, share(figures[name]), f"{figures[name]['lowest']:.3f}", figures[name]["wrong"]]
            for name, text in (
                ("full", "**default: 8 places, codes within 40 bits**"),
                ("places-4", "half as many places: 4"),
                ("places-16", "twice as many places: 16"),
                ("radius-20", "half the radius of codes: 20"),
                ("radius-80", "twice the radius of codes: 80"),
            )
        ],
    )
    stages = [
        ("fast", "`--depth fast`: codes of the whole"),
        ("without-keypoints", "full without keypoints (`--without keypoints`)"),
        ("without-mirrored", "full without the mirrored look (`--without mirrored`)"),
        ("without-regions", "full without rectangles (`--without regions`)"),
        ("full", "**full**"),
        *((f"model {model.name}", f"full with `--model {model.name}`") for model in args.model),
    ]
    page["stages"] = markdown(
        ["", "recall", "wrong matches", "ms of one core a suspect", "suspects a second"],
        [
            [text, share(f), f["wrong"], f"{f['cpu_ms']:.1f}", f"{f['per_second']:.0f}"]
            for text, f in ((text, figures[name]) for name, text in stages)
        ],
    )
    definitions = {row["transform"]: row["definition"] for row in recall.read_csv(recall.DEFINITIONS)}
    copies = Counter(row["transform"] for row in truth if row["original"])
    rows = []
    for transform, found in [*figures["full"]["by_transform"].items(), ("all", figures["full"]["found"])]:
        n = copies.get(transform, sum(copies.values()))
        low, high = recall.wilson(found, n)
        rows.append([transform, definitions.get(transform, ""), n, found, f"{found / n:.3f}", f"{low:.3f} to {high:.3f}"])
    page["transforms"] = markdown(["transform", "definition", "copies", "found", "recall", "95 % interval"], rows)
    return figures


def measure_unrelated(args, development, page):
    """Suspects that are copies of nothing, against the works of DATA."""
    rows = recall.read_csv(args.distractors / "manifest.csv")
    whole = sorted((row["file"] for row in rows if row["kind"] == "whole"), key=lambda file: Path(file).name[-10:])
    folder = linked(args.workdir / "unrelated", [args.distractors / file for file in whole[:UNRELATED_MAX]])
    timemark = Timemark(args.timemark, args.workdir, "development")
    figures = timemark.scan("unrelated", folder)
    figures["related"] = sum(bool(line["related"]) for line in lines_of(figures["out"]))
    development["unrelated"] = figures
    _, most = recall.wilson(figures["matches"], figures["suspects"])
    page["unrelated"] = (
        f"Of {figures['suspects']:,} pictures from packages, scanned against the same works, {figures['matches']} match"
        f" and {figures['related']} are `related` to something: for pictures like these, wrong matches are at most"
        f" {100 * most:.2f} % of suspects (95 % confidence). {figures['per_second']:.0f} a second went through all stages,"
        f" {figures['cpu_ms']:.1f} ms of one core each."
    )
    return figures


def measure_growth(args, development, page):
    """The same queries among many more works, and how often what is unrelated shares as much as a match does."""
    truth = recall.read_csv(args.data / "truth.csv")
    timemark = Timemark(args.timemark, args.workdir, "many")
    folders = sorted(folder for folder in args.distractors.iterdir() if folder.is_dir())
    figures = {"register": timemark.register(*folders)}
    source_of = sources(args)
    folder = linked(args.workdir / "unrelated-among-many", source_of)
    # None of these is in the archive yet, nor, as far as names and eyes tell, is the source of any.
    figures["unrelated"] = timemark.scan("unrelated", folder, "--places", 4)
    asserted = [(line["suspect"], found) for line in lines_of(figures["unrelated"]["out"]) for found in line["matches"]]
    wrong = [(suspect, found["file"]) for suspect, found in asserted if (found["inliers"] or PLACES) >= PLACES]
    figures["unrelated"]["wrong"] = wrong
    source_of = {file.name: source for file, source in source_of.items()}
    scores = highest_scores(figures["unrelated"]["out"], source_of)
    works = figures["register"]["works"]
    counted = [(g, low, sum(s >= low for s in scores), len(scores), works) for g, low, *_ in grades()]
    figures["strength"] = counted
    figures["register references"] = timemark.register(args.data / "references")
    figures["full"] = judged(truth, timemark.scan("full", args.data / "queries"))
    rows = []
    for name, count, full in (
        ("references alone", development["register"]["works"], development["full"]),
        ("and distractors", works + figures["register references"]["works"], figures["full"]),
    ):
        found = [full["by_transform"][t] for t in SMALL]
        rows.append([name, f"{count:,}", share(full), full["wrong"], f"{full['cpu_ms']:.0f}", *found])
    small = [f"{t} of 24" for t in SMALL]
    columns = ["", "works", "recall", "wrong matches", "ms of one core a query", *small]
    page["growth"] = markdown(columns, rows)
    rows = []
    for grade, low, reached, suspects, _ in counted:
        least, most = recall.wilson(reached, suspects)
        interval = f"{100 * least:.2f} to {100 * most:.2f} %"
        rows.append([grade, low, reached, f"{suspects:,}", f"{100 * reached / suspects:.2f} %", interval])
    columns = ["grade", "score from", "reached by", "of", "share", "95 % interval"]
    page["strength"] = markdown(columns, rows)
    return figures


def measure_hard_negatives(args, page):
    pairs = recall.read_csv(args.hard_negatives / "pairs.csv")
    command = [sys.executable, ROOT / "benches" / "hard_negatives.py", args.hard_negatives / "pairs.csv"]
    command += [args.hard_negatives / "img", args.workdir / "pairs", "--timemark", args.timemark]
    done, _, _ = timed(command, stdout=subprocess.PIPE, text=True)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    if len(rows) != len(pairs) or not all(row["label"] for row in rows):
        sys.exit("hard_negatives.py did not judge every pair, or a pair has no label")
    counts = Counter((row["label"], row["answer"]) for row in rows)
    said = ("match", "related", "none")
    labels = [label for label in ("copy", "variant", "shared", "different") if any(counts[label, s] for s in said)]
    page["hard-negatives"] = markdown(
        ["seen by eye", *said], [[label, *(counts[label, answer] for answer in said)] for label in labels]
    )
    listed = [(n, row) for n, row in enumerate(rows, 1) if row["answer"] == "match"]
    page["hard-negatives-matches"] = markdown(
        ["pair", "seen by eye", "what is the same or differs", "method", "score"],
        [[n, r["label"], r["remark"], r["method"], f"{float(r['score']):.2f}"] for n, r in listed],
    )
    return {f"{label} {answer}": count for (label, answer), count in sorted(counts.items())}


def measure_peers(args, development, page):
    """OpenCV's ORB with RANSAC, and the neural descriptor, on the same pictures."""
    python, peers, data = args.peers, ROOT / "benches" / "peers", args.data
    figures, truth = {}, data / "truth.csv"
    commands = {"OpenCV ORB + RANSAC": ["orb_ransac.py", data / "references", data / "queries", truth]}
    for model in args.model:
        queries = ["--references", data / "references", "--truth", truth]
        commands[f"{model.name} (ONNX Runtime)"] = ["sscd_time.py", model, data / "queries", *queries]
    full, fast, kept = development["full"], development["fast"], development["bytes"]
    rows = [
        ["**Timemark, full**", share(full), full["wrong"], f"{full['cpu_ms']:.1f}", f"{sum(kept.values()):,.0f}"],
        ["**Timemark, fast**", share(fast), fast["wrong"], f"{fast['cpu_ms']:.1f}", f"{kept['codes']:,.0f}"],
    ]
    for name, (script, *arguments) in commands.items():
        out = args.workdir / f"{script}-{len(figures)}.json"
        done, _, _ = timed([python, peers / script, *arguments, "--json", out], stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"{script} ended with {done.returncode}")
        with open(out, encoding="utf-8") as file:
            figures[name] = json.load(file)
        one = figures[name]["figures"]
        for point in figures[name]["operating_points"]:
            text = f"{name}, {point['threshold']}"
            cost = [f"{one['cpu_ms_per_picture']:.1f}", f"{one['bytes_per_reference']:,.0f}"]
            rows.append([text, f"{point['recall']:.3f}", point["wrong_pairs"], *cost])
    columns = ["", "recall", "wrong pairs", "ms of one core a query", "bytes of index a work"]
    page["peers"] = markdown(columns, rows)
    return figures


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = re.search(r"^model name\s*: *(.*)$", file.read(), re.M)[1]
    cores, commit = os.cpu_count(), subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    folder = re.sub(r"[^a-z0-9.]+", "-", re.sub(r"\([^)]*\)", "", f"{cpu} {cores} cores").lower())
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    load = os.getloadavg()[0]
    return {"cpu": cpu, "cores": cores, "commit": commit, "date": today, "load": load}, folder


def linked(folder, files):
    """A folder of links to these files."""
    folder.mkdir(exist_ok=True)
    for file in files:
        link = folder / Path(file).name
        link.unlink(missing_ok=True)
        link.symlink_to(Path(file).resolve())
    return folder


def write_page(page, where):
    """Puts each part between its marks, and says when and where it was measured."""
    text = PAGE.read_text(encoding="utf-8")
    made = f"\n\n*{where['date']}, commit {where['commit']}, {where['cores']} cores of {where['cpu']}*"
    for name, content in page.items():
        content += made
        mark = re.compile(rf"(<!-- measured: {name} -->\n).*?(\n<!-- measured -->)", re.S)
        text, found = mark.subn(lambda parts, new=content: parts[1] + new + parts[2], text)
        if found != 1:
            sys.exit(f"{PAGE} has {found} places for {name}")
    PAGE.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("workdir", metavar="WORKDIR", type=Path)
    parser.add_argument("--hard-negatives", type=Path)
    parser.add_argument("--distractors", type=Path)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--timemark", metavar="BIN", type=Path, default=ROOT / "target" / "release" / "timemark")
    args = parser.parse_args()
    if args.distractors and not args.hard_negatives:
        parser.error("--distractors wants --hard-negatives as well")
    args.workdir.mkdir(parents=True, exist_ok=True)

    where, folder = machine()
    page, figures = {}, {"machine": where}
    development = figures["development"] = measure_development(args, page)
    if args.peers:
        figures["peers"] = measure_peers(args, development, page)
    if args.hard_negatives:
        figures["hard negatives"] = measure_hard_negatives(args, page)
    if args.distractors:
        figures["unrelated"] = measure_unrelated(args, development, page)
        figures["many"] = measure_growth(args, development, page)
    write_page(page, where)
    results = ROOT / "benches" / "results" / folder / f"accuracy-{where['date']}.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    if results.exists():
        figures = json.loads(results.read_text(encoding="utf-8")) | figures
    text = json.dumps(figures, indent=1, default=str)
    # What is published names no folder of the machine.
    text = text.replace(f"{args.workdir}/", "").replace(f"{args.data}/", "")
    results.write_text(text + "\n", encoding="utf-8")

    scans = [development[name] for name in development if name == "full" or name.startswith("model")]
    wrong = sum(scan["wrong"] + scan["errors"] for scan in scans)
    if args.distractors:
        many, unrelated = figures["many"], figures["unrelated"]
        wrong += unrelated["matches"] + many["full"]["wrong"] + len(many["unrelated"]["wrong"])
        wrong += sum(scan["errors"] for scan in (unrelated, many["full"], many["unrelated"]))
        if many["strength"] != grades():
            print(f"{STRENGTH} holds {grades()}, measured is {many['strength']}", file=sys.stderr)
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
