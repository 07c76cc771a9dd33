"""Makes a web archive from a folder of pictures, as large as asked for, to measure scans with.

    python3 benches/warc.py PICTURES OUT.warc[.gz] --mib 1024 [--pages 3] [--chunked]

Begins with a warcinfo record; then, over and over until the size is reached, each picture as an HTTP response
of its own URL and date, and after each `--pages` pages of HTML, which are no pictures, as most of the web is
none. Named `.gz`, each record is a gzip member of its own, as in Common Crawl; the size is then that of the
compressed file. With `--chunked`, every other body is kept as it came through the network: in chunks, and the
pages gzipped as well. The same pictures, in the order of their names, and the same arguments give the same
bytes with the same version of zlib. Python's standard library suffices.

    python3 benches/warc.py samples/works small.warc.gz --mib 16
"""

import argparse
import gzip
import mimetypes
import pathlib
import random
import uuid

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
SECONDS_FROM = 1_700_000_000 % 86_400
WORDS = "light river stone quiet window paper garden winter under harbour copper slow bright field".split()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("pictures", type=pathlib.Path)
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--mib", type=float, default=64)
    arguments.add_argument("--pages", type=int, default=3)
    arguments.add_argument("--chunked", action="store_true")
    arguments = arguments.parse_args()
    pictures = sorted(p for p in arguments.pictures.rglob("*") if p.suffix.lower() in PICTURES)
    if not pictures:
        arguments.error(f"no pictures below {arguments.pictures}")
    bytes_wanted = int(arguments.mib * (1 << 20))
    chance = random.Random(2026)
    number = 0
    with open(arguments.out, "wb") as file:

        def write(*parts):
            nonlocal number
            record = as_record(number, chance, *parts)
            if arguments.out.suffix == ".gz":
                record = gzip.compress(record, 6, mtime=0)
            file.write(record)
            number += 1

        write("warcinfo", None, "application/warc-fields", b"software: benches/warc.py\r\nformat: WARC/1.0\r\n")
        while file.tell() < bytes_wanted:
            for picture in pictures:
                site = f"https://site-{number % 997}.example"
                raw = arguments.chunked and number % 2 == 1
                kind = mimetypes.guess_type(picture.name)[0] or "application/octet-stream"
                body = response(kind, picture.read_bytes(), raw, False)
                write("response", f"{site}/{number}/{picture.name}", HTTP, body)
                for page in range(arguments.pages):
                    raw = arguments.chunked and number % 2 == 1
                    body = response("text/html; charset=utf-8", html(chance, site), raw, raw)
                    write("response", f"{site}/{number}/page-{page}.html", HTTP, body)
                if file.tell() >= bytes_wanted:
                    break
    print(f"{arguments.out}: {number} records, {arguments.out.stat().st_size} bytes")


def as_record(number, chance, kind, url, content_type, block):
    minutes, seconds = divmod(SECONDS_FROM + number, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    months, day = divmod(days, 28)
    years, month = divmod(months, 12)
    fields = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Date: {2024 + years}-{month + 1:02}-{day + 1:02}T{hours:02}:{minutes:02}:{seconds:02}Z",
        f"WARC-Record-ID: <urn:uuid:{uuid.UUID(int=chance.getrandbits(128), version=4)}>",
        *([f"WARC-Target-URI: {url}"] if url else []),
        f"Content-Type: {content_type}",
        f"Content-Length: {len(block)}",
    ]
    return "\r\n".join(fields).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def response(content_type, body, chunked, gzipped):
    fields = ["HTTP/1.1 200 OK", "Server: example", f"Content-Type: {content_type}"]
    if gzipped:
        fields.append("Content-Encoding: gzip")
        body = gzip.compress(body, 6, mtime=0)
    if chunked:
        fields.append("Transfer-Encoding: chunked")
        body = b"".join(
            b"%x\r\n%b\r\n" % (len(chunk), chunk)
            for chunk in (body[at : at + 16_384] for at in range(0, len(body), 16_384))
        )
        body += b"0\r\n\r\n"
    else:
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join(fields).encode() + b"\r\n\r\n" + body


def html(chance, site):
    paragraphs = (
        f'<p><a href="{site}/{chance.getrandbits(32)}">{" ".join(chance.choices(WORDS, k=40))}</a></p>'
        for _ in range(chance.randrange(20, 120))
    )
    return ("<!DOCTYPE html><html><body>\n" + "\n".join(paragraphs) + "\n</body></html>\n").encode()


HTTP = "application/http; msgtype=response"

if __name__ == "__main__":
    main()
