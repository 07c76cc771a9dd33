#!/usr/bin/env python3
"""Draws results as SVG for docs/performance.md. Python's standard library suffices.

    benches/plot.py growth benches/results/MACHINE/codes-DATE.csv docs/codes-growth.svg
    benches/plot.py rates benches/results/MACHINE/collection-DATE.csv docs/scan-rates.svg

`growth`: what a query within 31 bits costs against the number of codes, both in logarithms. `rates`: pictures a second of
a scan, of decoding alone, and of other programs.
"""

import csv
import math
import sys
from html import escape

# Metrics of benches/codes.rs after "random_<size>_", what they are called, colour and whether the line is dashed.
LINES = [
    ("faiss_multihash_16x16_flip1_batch", "Faiss, multi-index that cannot miss", "#b45309", False),
    ("faiss_flat_batch", "Faiss, comparing all", "#78716c", False),
    ("faiss_multihash_10x22_flip1_batch", "Faiss 10 × 22, 1 flip: finds 99.7 %", "#d97706", True),
    ("single_r31", "Timemark, one at a time: finds all", "#1d4ed8", True),
    ("batch_r31", "Timemark, 10,000 at once: finds all", "#1d4ed8", False),
    ("faiss_multihash_10x22_flip0_batch", "Faiss 10 × 22, no flip: finds 86 %", "#ca8a04", True),
]
# Metrics of benches/collection.py.
BARS = [
    ("turbojpeg_grey_1/8", "libjpeg-turbo, decoding to 1/8 alone", "#a8a29e"),
    ("turbojpeg_grey_1/1", "libjpeg-turbo, decoding alone", "#78716c"),
    ("scan_fast", "timemark scan --depth fast", "#1d4ed8"),
    ("czkawka", "czkawka_cli", "#d97706"),
    ("imagehash_phash", "ImageHash, two processes", "#b45309"),
    ("pdqhash", "pdqhash, two processes", "#b45309"),
]
WIDTH, FONT = 860, 'font-family="system-ui, sans-serif" font-size="13"'


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in DRAWINGS:
        sys.exit(__doc__)
    with open(sys.argv[2]) as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))
    values = {row[1]: (float(row[2]), row[4]) for row in rows if row[0] != "bench"}
    with open(sys.argv[3], "w") as out:
        out.write(DRAWINGS[sys.argv[1]](values))


def text(x, y, words, anchor="start", colour="#1c1917"):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def svg(height, title, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT} role="img">'
    back = f'<title>{escape(title)}</title><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    return "\n".join([head, back, *parts, "</svg>"]) + "\n"


def growth(values):
    left, right, top, bottom = 70, 560, 30, 430
    sizes = sorted({int(name.split("_")[1]) for name in values if name.startswith("random_")})
    lines = [
        (label, colour, dashed, [(s, values[f"random_{s}_{name}"][0]) for s in sizes if f"random_{s}_{name}" in values])
        for name, label, colour, dashed in LINES
    ]
    drawn = [value for *_, points in lines for _, value in points]
    low, high = math.floor(math.log10(min(drawn))), math.ceil(math.log10(max(drawn)))
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size):
        return left + (math.log10(size) - first) / (last - first) * (right - left)

    def y(value):
        return bottom - (math.log10(value) - low) / (high - low) * (bottom - top)

    parts = [text(left, 18, "µs a query within 31 bits, one thread")]
    for power in range(low, high + 1):
        at = y(10**power)
        parts.append(f'<path d="M{left} {at:.0f}H{right}" stroke="#e7e5e4"/>')
        parts.append(text(left - 8, at + 4, f"{10**power:,}", "end"))
    parts += [text(x(size), bottom + 20, f"{size:,}", "middle") for size in sizes]
    parts.append(text((left + right) / 2, bottom + 42, "codes in the table", "middle"))
    labels = []
    for label, colour, dashed, points in lines:
        path = "L".join(f"{x(size):.1f} {y(value):.1f}" for size, value in points)
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts += [f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="3" fill="{colour}"/>' for s, v in points]
        labels.append([x(points[-1][0]) + 10, y(points[-1][1]) + 4, label, colour])
    # From the top, each far enough below the one before.
    before = -math.inf
    for label in sorted(labels, key=lambda label: label[1]):
        before = label[1] = max(label[1], before + 16)
        parts.append(text(label[0], label[1], label[2], colour=label[3]))
    return svg(490, "What a query costs against the number of codes", parts)


def rates(values):
    left, right, step = 270, 720, 34
    bars = [(label, colour, *values[name]) for name, label, colour in BARS if name in values]
    most = max(value for *_, value, _ in bars)
    parts = [text(left, 18, "pictures a second, the same files")]
    for number, (label, colour, value, _) in enumerate(bars):
        at = 30 + number * step
        length = value / most * (right - left)
        parts.append(f'<rect x="{left}" y="{at}" width="{length:.1f}" height="22" fill="{colour}"/>')
        parts += [text(left - 8, at + 16, label, "end"), text(left + length + 8, at + 16, f"{value:,.0f}")]
    return svg(40 + len(bars) * step, "Pictures a second", parts)


DRAWINGS = {"growth": growth, "rates": rates}

main()
