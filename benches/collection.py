#!/usr/bin/env python3
"""How many pictures a second does a scan compare, beside what decoding them takes and beside other programs?

    python benches/collection.py make OUT --works WORKS --from DIR [DIR ...] [--count 10500]     (needs Pillow)
    python3 benches/collection.py measure OUT [--rounds 3] [--peer-files 2000]                   (needs nothing)

`make` writes OUT/works, copies of up to 600 pictures of WORKS, and OUT/suspects: the JPEGs of the folders DIR at several
sizes and qualities until there are COUNT, and among them 50 copies of the works, recompressed, whose names
begin with "copy-of-". The same pictures give the same files.

`measure` registers the works with `timemark` of target/release and scans the suspects at fast depth. Before anything is
timed each copy must be found as a copy of its work, and every file must have an answer. Then rounds of

- libjpeg-turbo, decoding the same files to grey from memory in two threads, at full size and at 1/2, 1/4 and 1/8
  (peers/turbojpeg_grey.c; needs cc and turbojpeg.h),
- the scan, from the start of the process to its end,

one after the other; of each the fastest round counts. Then czkawka_cli, if it is installed, on the same folder, and
ImageHash and pdqhash in Python on some of the files (peers/requirements.txt), each of them once. Where something is missing it is
skipped, and that is said. Rows are printed, and appended to the file that TIMEMARK_BENCH_CSV names. Peak memory is of the
whole process.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "benches" / "peers"
COPIES = 50
WORKS_MAX = 600
# Share of each side, and JPEG quality.
SIZES = [(1.0, 85), (0.5, 75), (1.5, 90), (0.75, 95), (2.0, 80), (1.25, 70)]
LONGEST_SIDE_MIN = 128
COPY_QUALITY = 50
THREADS = 2
# What IPTM says of itself: ten thousand pictures in two hours.
IPTM_PICTURES, IPTM_SECONDS = 10_000, 7_200


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = arguments.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("out", type=pathlib.Path)
    making.add_argument("--works", type=pathlib.Path, required=True)
    making.add_argument("--from", type=pathlib.Path, nargs="+", required=True, dest="sources")
    making.add_argument("--count", type=int, default=10_500)
    measuring = commands.add_parser("measure")
    measuring.add_argument("out", type=pathlib.Path)
    measuring.add_argument("--rounds", type=int, default=3)
    measuring.add_argument("--peer-files", type=int, default=2000)
    arguments = arguments.parse_args()
    if arguments.command == "make":
        make(arguments)
    else:
        measure(arguments)


def jpegs(*folders):
    names = (p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    return sorted(names)


def make(arguments):
    from PIL import Image

    works_dir, suspects_dir = arguments.out / "works", arguments.out / "suspects"
    for folder in (works_dir, suspects_dir):
        folder.mkdir(parents=True, exist_ok=False)

    def write(source, scale, quality, target):
        with Image.open(source) as picture:
            picture = picture.convert("RGB")
            side = [max(1, round(length * scale)) for length in picture.size]
            if max(side) < LONGEST_SIDE_MIN:
                return False
            picture.resize(side, Image.Resampling.LANCZOS).save(target, quality=quality)
            return True

    works = jpegs(arguments.works)
    works = works[:: max(1, len(works) // WORKS_MAX)][:WORKS_MAX]
    for number, work in enumerate(works):
        copied = works_dir / f"{number:04}.jpg"
        shutil.copyfile(work, copied)
        if number % max(1, len(works) // COPIES) == 0 and number // max(1, len(works) // COPIES) < COPIES:
            write(work, 1.0, COPY_QUALITY, suspects_dir / f"copy-of-{copied.name}")
    sources = jpegs(*arguments.sources)
    wanted = arguments.count - len(jpegs(suspects_dir))
    taken = sources[:: max(1, len(sources) * len(SIZES) // wanted)]
    written = 0
    for scale, quality in SIZES:
        for number, source in enumerate(taken):
            if written == wanted:
                return
            name = f"{number:05}-{round(100 * scale):03}.jpg"
            written += write(source, scale, quality, suspects_dir / name)


def row(metric, value, unit, note):
    print(f"{'collection':<10} {metric:<32} {value:>12.3f} {unit:<12} {note}", flush=True)
    if csv := os.environ.get("TIMEMARK_BENCH_CSV"):
        with open(csv, "a") as out:
            out.write(f"collection,{metric},{value:.4f},{unit},{note}\n")


def run(command, stdout):
    """Runs it; returns its exit code, seconds, processor seconds and peak memory in MiB."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(arguments):
    timemark = ROOT / "target" / "release" / "timemark"
    if not timemark.exists():
        sys.exit(f"{timemark} is not there: cargo build --release")
    suspects = jpegs(arguments.out / "suspects")
    with tempfile.TemporaryDirectory(dir=ROOT / "target", prefix="collection-") as scratch:
        scratch = pathlib.Path(scratch)
        works = [arguments.out / "works", "--receipts", scratch / "receipts"]
        subprocess.run(
            [timemark, "register", *works, "--archive", scratch / "archive"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        scan = [timemark, "scan", arguments.out / "suspects", "--depth", "fast"]
        scan += ["--archive", scratch / "archive", "--json"]
        check(scan, scratch / "scan.jsonl", suspects)
        turbojpeg = compiled_turbojpeg(scratch)
        rates = measure_scan(scan, turbojpeg, suspects, arguments.rounds)
    czkawka(arguments.out / "suspects", suspects, rates)
    some = random.Random(2026).sample(suspects, min(len(suspects), arguments.peer_files))
    python(some, rates)


def check(scan, answers, suspects):
    with open(answers, "w") as out:
        code, *_ = run(scan, out)
    assert code in (0, 1), f"the scan ended with {code}"
    found = {}
    for line in answers.read_text().splitlines():
        line = json.loads(line)
        found[pathlib.Path(line["suspect"]).name] = line
    missing = {path.name for path in suspects} - found.keys()
    assert not missing, f"no answer for {sorted(missing)[:3]}"
    copies = [path.name for path in suspects if path.name.startswith("copy-of-")]
    assert copies, "there are no copies among the suspects"
    for name in copies:
        works = [pathlib.Path(match["file"]).name for match in found[name]["matches"]]
        assert name.removeprefix("copy-of-") in works, f"{name} is found as {works}"
    errors = sum(line["status"] == "error" for line in found.values())
    assert errors == 0, f"{errors} files are answered with an error"
    others = sum(line["status"] == "match" for line in found.values()) - len(copies)
    row("files", len(suspects), "JPEGs", f"{len(copies)} copies of works all found; {others} other matches")


def compiled_turbojpeg(scratch):
    out = scratch / "turbojpeg_grey"
    compiled = shutil.which("cc") and subprocess.run(
        ["cc", "-O2", "-o", out, PEERS / "turbojpeg_grey.c", "-lturbojpeg", "-lpthread"], capture_output=True
    )
    if not compiled or compiled.returncode != 0:
        print("skipping libjpeg-turbo: cc or turbojpeg.h is missing", file=sys.stderr)
        return None
    return out


def measure_scan(scan, turbojpeg, suspects, rounds):
    names = "\n".join(map(str, suspects))
    limits, best, pixels = {}, None, None
    for _ in range(rounds):
        for scale in (1, 2, 4, 8) if turbojpeg else ():
            command = [turbojpeg, str(THREADS), str(scale), "1"]
            told = subprocess.run(command, input=names, capture_output=True, text=True, check=True).stdout
            decoded, failed, pixels, rate = told.split()
            assert (int(decoded), int(failed)) == (len(suspects), 0), told
            limits[scale] = max(limits.get(scale, 0), float(rate))
        code, *taken = run(scan, subprocess.DEVNULL)
        assert code in (0, 1), f"the scan ended with {code}"
        best = min(best or taken, taken)
    seconds, cpu, peak = best
    if pixels:
        row("megapixels", int(pixels) / len(suspects) / 1e6, "a picture", "mean")
    row("kilobytes", sum(path.stat().st_size for path in suspects) / len(suspects) / 1e3, "a picture", "mean")
    rate = len(suspects) / seconds
    row("scan_fast", rate, "pictures/s", f"{os.cpu_count()} cores; from start to end of the process")
    row("scan_fast_cpu", cpu / len(suspects) * 1e3, "ms/picture", "of one core")
    row("scan_fast_peak_memory", peak, "MiB", "the whole process")
    for scale, limit in limits.items():
        row(f"turbojpeg_grey_1/{scale}", limit, "pictures/s", f"{THREADS} threads; files in memory; decoded only")
        row(f"scan_fast/turbojpeg_1/{scale}", rate / limit, "times", "")
    ours = IPTM_PICTURES / rate
    row("ten_thousand_pictures", ours, "s", f"IPTM says {IPTM_SECONDS} s: {IPTM_SECONDS / ours:.0f} times as long")
    return rate, cpu / len(suspects)


def compare(peer, pictures, seconds, cpu, rates, note):
    row(peer, pictures / seconds, "pictures/s", note)
    row(f"{peer}_cpu", cpu / pictures * 1e3, "ms/picture", "of one core")
    row(f"scan_fast/{peer}", rates[0] * seconds / pictures, "times", "in pictures a second")
    row(f"scan_fast/{peer}_cpu", cpu / pictures / rates[1], "times", "in processor time")


def czkawka(folder, suspects, rates):
    program = shutil.which("czkawka_cli")
    if program is None:
        print("skipping czkawka: czkawka_cli is not installed", file=sys.stderr)
        return
    # Without its cache, or it would remember the files of the last run; and small files too.
    command = [program, "image", "-d", folder, "-H", "-m", "1", "-T", str(THREADS)]
    code, seconds, cpu, peak = run(command, subprocess.DEVNULL)
    # 11 says that something was found.
    assert code in (0, 11), f"czkawka ended with {code}"
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
    compare("czkawka", len(suspects), seconds, cpu, rates, f"{version}; {peak:.0f} MiB")


def python(suspects, rates):
    interpreter = os.environ.get("TIMEMARK_PDQHASH_PYTHON", ROOT / "target/peers/venv/bin/python")
    if not pathlib.Path(interpreter).exists():
        print(f"skipping ImageHash and pdqhash: {interpreter} is not there", file=sys.stderr)
        return
    told = subprocess.run(
        [interpreter, PEERS / "scan_python.py", str(THREADS)],
        input="\n".join(map(str, suspects)), capture_output=True, text=True,
    )
    if told.returncode != 0:
        # The tests install pdqhash alone.
        print(f"skipping ImageHash and pdqhash: {told.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return
    for line in map(json.loads, told.stdout.splitlines()):
        assert line["pictures"] == len(suspects)
        note = f"{len(suspects)} of the files; {THREADS} processes"
        compare(line["peer"], len(suspects), line["seconds"], line["cpu_seconds"], rates, note)


if __name__ == "__main__":
    main()
