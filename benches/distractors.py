#!/usr/bin/env python3
"""Pictures that no work of an evaluation set is the source of, to measure false matches among many.

    benches/distractors.py OUT_DIR [--count 105000] [--packages-dir DIR] [--jobs 2]

Downloads the Debian packages named below (apt-get download, unpacked with dpkg-deb -x, nothing is installed),
takes the pictures in them, also those inside zip files (.pk3, .wz, .jar), and writes JPEGs of quality 85 whose
longest side is 320 to 560 pixels. OUT_DIR/manifest.csv has for each the columns file, package, kind, source.

The kinds, taken in this order until there are COUNT pictures:

    whole       a real picture, scaled
    crop        15 % to 60 % of the area of a real picture; the first of every picture, then the second, ...
    rendering   a page of text, a plot or a fractal, drawn here; only if the two above are not enough

What holds for every run:

- The same versions of the packages (and of Pillow) give the same files: every choice is seeded by package and
  path, and the packages are gone through in the order below, whatever the number of jobs.
- No source is taken twice, and no two files have difference hashes within 4 of 64 bits of each other. A crop
  can still overlap another crop of its picture, or be found in the whole, so pairs among the distractors say
  nothing about false matches; pairs with a foreign picture do.
- The short side is at least 96 pixels, the source at least 160 pixels long. Icons, sprites that are mostly
  transparent and plain areas are left out; normal maps and generated class diagrams as far as names tell.
- Nothing from the sources of the evaluation sets is taken (see FORBIDDEN): by package or by name of the file.
  As names do not tell all, look at the best matches before they are counted as false ones.

A run that was interrupted goes on after the last package that it finished. Packages are deleted after use
unless --packages-dir keeps them. Needs Pillow and numpy (and apt-get, dpkg-deb), and 10 GB of disk.
"""

import argparse
import csv
import hashlib
import io
import math
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# All in main of Debian 12. The varied ones first, so that the first thousands already are a fair sample.
PACKAGES = """
plasma-workspace-wallpapers ukui-wallpapers sway-backgrounds desktop-base breeze games-thumbnails stellarium-data
endless-sky-high-dpi flare-game freedroidrpg-data nexuiz-textures kphotoalbum opencv-doc supertuxkart-data
fillets-ng-data widelands-data wesnoth-1.16-data gimp-help-en visp-images-data hugin-data libjxl-testdata
gcompris-qt-data freecol marble-data kgeography-data ufoai-textures lincity-ng-data krita-data kalzium-data
python-sklearn-doc debian-handbook gnucash-docs renpy-demo pokerth-data

0ad-data flightgear-data-models flightgear-data-ai redeclipse-data openarena-data openarena-081-textures
openarena-085-data openarena-088-data openarena-081-maps openarena-081-players openarena-081-players-mature
openarena-081-misc openarena-oacmp1 nexuiz-data cube2-data trigger-rally-data torcs-data megaglest-data naev-data
unknown-horizons supertux-data hedgewars-data warzone2100-data freeorion-data endless-sky-data boswars-data
marsshooter-data blobwars-data starfighter-data searchandrescue-data ktuberling-data extremetuxracer-data
lugaru-data plee-the-bear-data trackballs-data scorched3d-data enigma-data doomsday-data cataclysm-dda-data
freedink-data colobot-common-textures btanks-data ardentryst planetblupi-common gigalomania-data lordsawar-data
frozen-bubble-data freeciv-data foobillardplus-data zaz-data wesnoth-1.16-trow neverball-data neverball-common
wizznic-data pysiogame tuxfootball ddnet-data caveexpress-data wesnoth-1.16-utbs brainparty-data wesnoth-1.16-httt
pingus-data blobandconquer-data trophy-data pychess pink-pony-data wesnoth-1.16-low tuxtype-data raincat-data
powermanga-data hex-a-hop-data glob2-data wesnoth-1.16-tsg wesnoth-1.16-nr tuxmath-data triplea
pinball-table-gnu-data pax-britannica-data pathological netpanzer-data kdegames-card-data-kf5 bzflag-data
amoebax-data wesnoth-1.16-sof teeworlds-data renpy-thequestion opencity-data dreamchess-data bomberclone-data
wesnoth-1.16-thot wesnoth-1.16-sotbe wesnoth-1.16-sota neverputt-data khangman kanagram gnubg-data
freetennis-common xbubble-data wesnoth-1.16-ttb wesnoth-1.16-l wesnoth-1.16-ei wesnoth-1.16-dw wesnoth-1.16-dm
wesnoth-1.16-did rafkill-data pekka-kana-2-data openssn-data ksirk kigo kgoldrunner gearhead2-data freedroid-data
crrcsim-data alienblaster-data pinball-data kmahjongg kdiamond kajongg dustracing2d-data berusky-data berusky2-data
bumprace-data blockout2 atanks-data angrydd spacezero sdl-ball-data lbreakouthd-data kpat knights kbreakout kbounce
hannah-data warmux-data monsterz-data vodovod biniax2-data briquolo-data chromium-bsu-data tecnoballz-data
billard-gl-data black-box ceferino-data circuslinux-data heroes-data jumpnbump kobodeluxe-data liquidwar-data
holotz-castle-data maelstrom mirrormagic-data pioneers-data scummvm-data solarwolf supertransball2-data ufoai-data
whichwayisup gltron crack-attack gnome-mahjongg kshisen ksudoku kblocks granatier bovo katomic kollision kreversi

openshot-qt lebiniou-data qt3d5-examples sweethome3d-furniture blender-data gimp-data digikam-data kdenlive-data
kstars-data previsat gpredict lxqt-themes gfxboot-themes debian-edu-artwork-buster debian-edu-artwork-softwaves
debian-edu-artwork-spacefun afterstep-data lxde-common deepin-image-viewer calligrastage-data scribus-data
ukui-control-center cloudcompare scratch assimp-testmodels minuet-data klettres-data kodi-data
plasma-workspace-data plasma-desktop-data openboard-common skrooge-common kmymoney-common rawtherapee-data
darktable hydrogen-data mixxx-data guitarix-common povray-examples povray-doc mandelbulber2-data labelme-examples
libcegui-mk2-data tuxpaint-data tupi-data openscad-testing-data kate5-data gwenview fotoxx-common displaycal
darkradiant qlcplus-data xiphos-data gramps dia-common kolourpaint lmms-common flowblade psychtoolbox-3-common
faust-common compiz-plugins-experimental request-tracker5 josm freeplane zoph mrpt-common python-kivy-examples
metview-data python-cartopy-data emacspeak wims-help mediawiki cacti

gimp-help-de gimp-help-fr gimp-help-es gimp-help-it gimp-help-ja gimp-help-ru gimp-help-ko gimp-help-nl
gimp-help-sv gimp-help-pt-br gimp-help-nn gimp-help-el gimp-help-lt gnome-user-docs kicad-doc-en kicad-doc-ja
kicad-doc-de kicad-doc-fr kicad-doc-it kicad-doc-pl kicad-doc-ru kicad-doc-zh debian-edu-doc-en debian-edu-doc-de
debian-edu-doc-fr debian-edu-doc-nb-no debian-edu-doc-legacy-en freedombox-doc-en libdeal.ii-doc
castle-game-engine-doc vtk9-doc python-bioxtasraw-doc regina-normal-doc python-pyfai-doc minexpert2-doc
massxpert-doc lilypond-doc lilypond-doc-html sasview-doc python3-sasview simbody-doc python-xraylarch-doc
python-imexam-doc python-statsmodels-doc open3d-doc grass-doc racket-doc python-scipy-doc
""".split()

# Packages and names of files of which an evaluation set is made.
FORBIDDEN = re.compile(
    r"lomiri|ubuntu.?touch|tuxpaint-stamps|gnome-backgrounds|mate-backgrounds|skimage|scikit-image|imageio"
    r"|u-?2-?net|bsds|imagenet|gb82|imagededup|caltech|cid22|deepphoto|elementary|exif|imagen\b|neural.?style"
    r"|openclipart|painterly|starry.?night|pop-?os|/mate/",
    re.I,
)
# No pictures of anything: maps of normals, gloss and the like, generated diagrams, icons, typeset formulae.
UNFIT = re.compile(
    r"_(n|nm|nrm|norm|normal|normals|normalmap|local|bump|spec|specular|gloss|height|luma|mask|ao|ddn)(\.\w+)+$"
    r"|[-_]?normal(_?map)?\.\w+$"
    r"|(inherit|coll|dep|call|incl|caller)?_*(c|ic|inherit_|coll_|dep_|incl_)?graph(_org)?\.\w+$"
    r"|(class|struct|namespace|union)[\w.]*_*\.(png|gif)$|/(inherit_graph|form)_\d+|/math/|/formulas?/"
    r"|/icons?/|/fonts?/|/flags?/|/heightmaps?/|lightmaps?/|lm_\d+",
    re.I,
)
PICTURES = re.compile(r"\.(jpe?g|png|webp|avif|tga|dds|bmp|gif|tiff?|rgb|pcx|jp2)$", re.I)
CONTAINERS = re.compile(r"\.(pk3|pk4|zip|wz|jar|oxt|sh3f|bundle|kra|ora)$", re.I)

SHORT_MIN, LONG_MIN, LONG_MAX = 96, 320, 560
SOURCE_LONG_MIN, SOURCE_SHORT_MIN = 160, 80
SOURCE_PIXELS_MAX = 60_000_000
WORKING_LONG = 1000  # a source is decoded to about this, enough for its smallest crop
CROPS_MAX, PIXELS_A_CROP = 8, 40_000
NEAR = 4  # bits of 64


def seeded(*parts):
    """A generator of random numbers that depends on the names alone."""
    return random.Random("\0".join(map(str, parts)))


def has_detail(image):
    """False for plain areas and for a few lines on a plain page."""
    grey = np.asarray(image.convert("L").resize((96, 96), Image.BOX), dtype=np.float32)
    if grey.std() < 10:
        return False
    if np.bincount((grey.ravel() / 8).astype(int), minlength=32).max() > 0.80 * grey.size:
        return False
    return np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean() > 3


def difference_hash(image):
    grey = np.asarray(image.convert("L").resize((9, 8), Image.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")


class Near:
    """Finds a hash within NEAR bits: one of NEAR + 1 pieces of it is then equal."""

    WIDTH = -(-64 // (NEAR + 1))

    def __init__(self):
        self.pieces = [{} for _ in range(NEAR + 1)]

    def keys(self, value):
        return [value >> i * self.WIDTH & (1 << self.WIDTH) - 1 for i in range(NEAR + 1)]

    def add(self, value):
        for piece, key in zip(self.pieces, self.keys(value)):
            piece.setdefault(key, []).append(value)

    def __contains__(self, value):
        return any(
            (value ^ other).bit_count() <= NEAR
            for piece, key in zip(self.pieces, self.keys(value))
            for other in piece.get(key, ())
        )


@lru_cache(maxsize=4)
def archive(path):
    return zipfile.ZipFile(path)


def content(root, source):
    """The bytes of a source: a path below root, or container!member."""
    path, _, member = source.partition("!")
    if member:
        return archive(os.path.join(root, path)).read(member)
    with open(os.path.join(root, path), "rb") as file:
        return file.read()


def sources(root):
    """All pictures below root, sorted."""
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            full = os.path.join(folder, name)
            if os.path.islink(full):
                continue
            path = os.path.relpath(full, root)
            if PICTURES.search(name):
                found.append(path)
            elif CONTAINERS.search(name):
                try:
                    with zipfile.ZipFile(full) as file:
                        found += [f"{path}!{m}" for m in file.namelist() if PICTURES.search(m)]
                except (zipfile.BadZipFile, OSError):
                    pass
    return sorted(s for s in found if not FORBIDDEN.search(s) and not UNFIT.search(s))


def digest(job):
    try:
        return hashlib.sha256(content(*job)).hexdigest()
    except Exception:
        return None


def decode(data):
    """The picture as RGB, at most about twice WORKING_LONG, and its size in the file; None if it is unfit."""
    image = Image.open(io.BytesIO(data))
    width, height = image.size
    if max(width, height) < SOURCE_LONG_MIN or min(width, height) < SOURCE_SHORT_MIN:
        return None
    if width * height > SOURCE_PIXELS_MAX or max(width, height) * SHORT_MIN > min(width, height) * LONG_MAX:
        return None
    if image.mode.startswith(("I", "F")):
        return None
    if image.format == "JPEG":
        image.draft("RGB", (WORKING_LONG, WORKING_LONG))
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        factor = max(image.size) // WORKING_LONG
        if factor > 1:
            image = image.reduce(factor)
        alpha = image.getchannel("A")
        if (np.asarray(alpha) > 127).mean() < 0.6:
            return None
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=alpha)
        image = page
    else:
        image = image.convert("RGB")
        factor = max(image.size) // WORKING_LONG
        if factor > 1:
            image = image.reduce(factor)
    return image, (width, height)


def scaled(image, rng):
    """The longest side between LONG_MIN and LONG_MAX, not enlarged beyond LONG_MIN without need."""
    long, short = max(image.size), min(image.size)
    side = min(rng.randint(380, LONG_MAX), max(long, LONG_MIN))
    side = max(side, math.ceil(SHORT_MIN * long / short))
    if side > LONG_MAX:
        return None
    size = [max(SHORT_MIN, round(s * side / long)) if s == short else side for s in image.size]
    return image.resize(size, Image.HAMMING if side < long else Image.BICUBIC)


def crop_boxes(size, native, rng):
    """Up to CROPS_MAX boxes of 15 % to 60 % of the area, no two of them mostly the same."""
    width, height = size
    shrink = native[0] / width
    boxes = []
    wanted = min(CROPS_MAX, native[0] * native[1] // PIXELS_A_CROP)
    for _ in range(wanted * 6):
        if len(boxes) == wanted:
            break
        share = rng.uniform(0.16, 0.58)
        stretch = math.exp(rng.uniform(-0.35, 0.35))
        w, h = round(width * math.sqrt(share) * stretch), round(height * math.sqrt(share) / stretch)
        if w > width or h > height or max(w, h) * SHORT_MIN > min(w, h) * LONG_MAX:
            continue
        if not 0.15 <= w * h / (width * height) <= 0.60:
            continue
        if max(w, h) * shrink < 240 or min(w, h) * shrink < SHORT_MIN:
            continue
        x, y = rng.randint(0, width - w), rng.randint(0, height - h)
        for a, b, c, d in boxes:
            shared = max(0, min(x + w, c) - max(x, a)) * max(0, min(y + h, d) - max(y, b))
            if shared > 0.6 * min(w * h, (c - a) * (d - b)):
                break
        else:
            boxes.append((x, y, x + w, y + h))
    return boxes


def file_name(package, source, suffix=""):
    """<package>__<stem>_<n>.jpg, in one of 256 folders."""
    stem = re.sub(r"[^A-Za-z0-9.+-]+", "-", Path(source.rpartition("!")[2]).stem).strip("-.")[:48]
    number = hashlib.sha256(f"{package}\0{source}".encode("utf-8", "surrogateescape")).hexdigest()
    return f"{number[6:8]}/{package}__{stem or 'picture'}_{number[:6]}{suffix}.jpg"


def save(image, out, name):
    path = os.path.join(out, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image.save(path, quality=85)


def make(job):
    """Writes the whole of a source and its crops; returns (file, kind, rank, hash) for each."""
    out, root, package, source = job
    made = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = decode(content(root, source))
        if decoded is None:
            return made
        image, native = decoded
        whole = scaled(image, seeded(package, source, 0))
        if whole is None or not has_detail(whole):
            return made
        name = file_name(package, source)
        save(whole, out, name)
        made.append((name, "whole", 0, difference_hash(whole)))
        for rank, box in enumerate(crop_boxes(image.size, native, seeded(package, source)), 1):
            part = scaled(image.crop(box), seeded(package, source, rank))
            if part is not None and has_detail(part):
                name = file_name(package, source, f"-c{rank}")
                save(part, out, name)
                made.append((name, "crop", rank, difference_hash(part)))
    except Exception:  # a broken or unusual file; what is written of it so far is fine
        pass
    return made


def fetch(package, packages_dir):
    """Downloads and unpacks a package. Returns the temporary folder with its files, or None."""
    folder = Path(packages_dir or tempfile.mkdtemp(prefix="package-"))
    root = Path(tempfile.mkdtemp(prefix="unpacked-"))
    try:
        debs = sorted(folder.glob(f"{package}_*.deb"))
        if not debs:
            subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
            debs = sorted(folder.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", debs[-1], root], check=True, capture_output=True)
        return root
    except (subprocess.CalledProcessError, IndexError):
        shutil.rmtree(root, ignore_errors=True)
        return None
    finally:
        if not packages_dir:
            shutil.rmtree(folder, ignore_errors=True)


def collect(package, root, out, pool, seen, near):
    """All new pictures of an unpacked package: rows of (file, package, kind, source, rank, digest, hash)."""
    jobs = []
    found = sources(root)
    for source, value in zip(found, pool.imap(digest, [(root, s) for s in found], chunksize=16)):
        if value and value not in seen:
            seen.add(value)
            jobs.append((source, value))
    rows = []
    work = [(out, root, package, source) for source, _ in jobs]
    for (source, value), made in zip(jobs, pool.imap(make, work, chunksize=4)):
        known = bool(made) and made[0][3] in near  # then its crops are known as well
        for name, kind, rank, hashed in made:
            if known or hashed in near:
                os.unlink(os.path.join(out, name))
                continue
            near.add(hashed)
            rows.append((name, package, kind, source, rank, value, hashed))
    return rows


def rendering(number):
    """A page of text, a plot or a fractal."""
    rng = seeded("rendering", number)
    size = rng.randint(320, LONG_MAX), rng.randint(240, 420)
    paper = tuple(rng.randint(200, 255) for _ in range(3))

    def ink():
        return tuple(rng.randint(0, 150) for _ in range(3))

    kind = number % 3
    if kind == 2:
        x, y = np.meshgrid(np.linspace(-1.6, 1.6, size[0]), np.linspace(-1.2, 1.2, size[1]))
        turn, zoom = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 1)
        z = (x + 1j * y) * zoom + complex(rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5))
        c = 0.7885 * complex(math.cos(turn), math.sin(turn))
        steps = np.zeros(z.shape)
        for _ in range(48):
            inside = np.abs(z) < 4
            steps[inside] += 1
            z[inside] = z[inside] ** 2 + c
        waves = [127 + 127 * np.sin(steps * rng.uniform(0.1, 0.5) + rng.uniform(0, 6)) for _ in range(3)]
        return Image.fromarray(np.stack(waves, axis=2).astype(np.uint8))
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    if kind == 0:
        y, colour = rng.randint(5, 40), ink()
        while y < size[1] - 10:
            height = rng.choice((11, 13, 13, 13, 17, 28))
            words = ("".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(2, 10))) for _ in range(12))
            draw.text((rng.randint(8, 40), y), " ".join(words), colour, font=ImageFont.load_default(height))
            y += height + rng.randint(3, 14)
    else:
        draw.rectangle((30, 10, size[0] - 10, size[1] - 25), outline="black")
        for _ in range(rng.randint(2, 5)):
            level, points = rng.uniform(40, size[1] - 60), []
            for x in range(30, size[0] - 10, rng.randint(3, 40)):
                level = min(max(level + rng.gauss(0, 15), 12), size[1] - 27)
                points.append((x, level))
            colour = ink()
            if rng.random() < 0.5:
                draw.line(points, colour, width=rng.randint(1, 5))
            else:
                for x, y in points:
                    draw.rectangle((x - 4, y, x + 4, size[1] - 25), colour)
    return image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--count", type=int, default=105_000)
    parser.add_argument("--packages-dir", type=Path, help="keep the packages there, and use those that are there")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    stage = args.out / ".stage"
    stage.mkdir(parents=True, exist_ok=True)
    if args.packages_dir:
        args.packages_dir = args.packages_dir.resolve()
        args.packages_dir.mkdir(parents=True, exist_ok=True)
    out = str(args.out.resolve())

    packages = [p for p in dict.fromkeys(PACKAGES) if not FORBIDDEN.search(p)]
    missing = [p for p in packages if not (stage / f"{p}.csv").exists()]
    rows, seen, near = [], set(), Near()
    wholes = 0
    with multiprocessing.Pool(args.jobs) as pool, ThreadPoolExecutor(2) as fetcher:
        ahead = {}
        for package in packages:
            listing = stage / f"{package}.csv"
            if listing.exists():
                with open(listing, newline="") as file:
                    fresh = [(*r[:4], int(r[4]), r[5], int(r[6])) for r in csv.reader(file)]
                for row in fresh:
                    seen.add(row[5])
                    near.add(row[6])
            else:
                at = missing.index(package)
                for later in missing[at : at + 3]:
                    if later not in ahead:
                        ahead[later] = fetcher.submit(fetch, later, args.packages_dir)
                root = ahead.pop(package).result()
                fresh = []
                if root is None:
                    print(f"{package}: not to be had", file=sys.stderr, flush=True)
                else:
                    fresh = collect(package, str(root), out, pool, seen, near)
                    shutil.rmtree(root, ignore_errors=True)
                with open(f"{listing}.part", "w", newline="", errors="surrogateescape") as file:
                    csv.writer(file).writerows(fresh)
                os.replace(f"{listing}.part", listing)
            rows += fresh
            wholes += sum(r[2] == "whole" for r in fresh)
            print(f"{package}: {len(fresh)}, in total {wholes} whole of {len(rows)}", file=sys.stderr, flush=True)

    # Whole pictures first, then the first crop of each, ...; within a rank in an order that no package leads.
    rows.sort(key=lambda r: (r[4], hashlib.sha256(r[0].encode()).digest()))
    for row in rows[args.count :]:
        os.unlink(os.path.join(out, row[0]))
    rows = rows[: args.count]
    for number in range(args.count - len(rows)):
        source = f"rendering {number}"
        name = file_name("rendering", source)
        save(rendering(number), out, name)
        rows.append((name, "", "rendering", source))
    with open(args.out / "manifest.csv", "w", newline="", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(("file", "package", "kind", "source"))
        table.writerows(sorted(row[:4] for row in rows))
    shutil.rmtree(stage)
    for kind in ("whole", "crop", "rendering"):
        print(kind, sum(row[2] == kind for row in rows))


if __name__ == "__main__":
    main()
