#!/usr/bin/env python3
"""A second verifier of Timemark receipts, certificates and bundles, written from docs/formats.md alone.

It shares no code with the first one: where the two disagree, one of them or the document is wrong.

    verify.py WORK RECEIPT [POLICY]                 RECEIPT may be a PDF certificate
    verify.py BUNDLE [POLICY] [--confirm SHA256]    SHA256 vouches for the policy.txt in the bundle
    verify.py --vectors DIR                         every line of DIR/vectors.jsonl
    verify.py --sweep DIR [--every N]               every Nth bit of the files of DIR/sweep.jsonl, flipped

The answer is one line of JSON; the exit code 0 verified, 1 refused, 2 undecided. With `--remarks`, what counts
for nothing is told on the standard error stream.

How to read it: the sections follow the document. A function either returns what it read or raises; `Stop` is a
verdict with the name of its check, `Nothing` is said of a token or record that proves nothing. Where the document
leaves a choice, the comment says "silent:".
"""
import argparse, base64, binascii, contextlib, functools, hashlib, json, re, struct, sys, traceback, warnings, zlib
from datetime import datetime, timezone
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

warnings.simplefilter("ignore")  # certificates that the library would rather not read; what counts is said by the document
KIB, MIB = 1 << 10, 1 << 20
REMARKS = False


class Stop(Exception):
    """The verdict is not `verified`: which, and the name of the check."""

    def __init__(self, check, verdict="refused"):
        super().__init__(check)
        self.check, self.verdict = check, verdict


class Spelling(Exception):
    """Something is not spelled as the document says; the caller knows which check that is."""


class Nothing(Exception):
    """A token or a record that counts for nothing, and refuses nothing."""


@contextlib.contextmanager
def spelled_for(check, verdict="refused"):
    """Where something is misspelled, that check fails."""
    try:
        yield
    except Spelling as e:
        remark(e)
        raise Stop(check, verdict)


def need(condition, what="", error=Spelling):
    if not condition:
        raise error(what)


def remark(text):
    if REMARKS:
        print("remark:", text, file=sys.stderr)


# ---------------------------------------------------------------- spelling

WHITE = set(map(chr, [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]))
HIDDEN = re.compile(
    "[\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u2028-\u202E\u2060-\u206F\u2800\u3164"
    "\uFE00-\uFE0D\uFEFF\uFFA0\uFFF0-\uFFFB\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF]")
CONTROL = re.compile("[\x00-\x1F\x7F-\x9F]")  # Unicode category Cc


def utf8(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Spelling("not UTF-8")


def clean(text):
    """No control and no hidden characters."""
    need(not CONTROL.search(text) and not HIDDEN.search(text), "control or hidden character")


def distinct(things, highest):
    need(len(things) <= highest and len(set(things)) == len(things), "too many, or twice the same")


def spell(raw):
    """The one spelling of bytes as text on one line."""
    chars = raw.decode("utf-8", "surrogateescape")  # a byte that is not UTF-8 becomes U+DC80..U+DCFF
    out = []
    for i, c in enumerate(chars):
        outermost = i in (0, len(chars) - 1)
        escape = c == "%" or outermost and c in WHITE or "\uDC80" <= c <= "\uDCFF" or CONTROL.match(c) or HIDDEN.match(c)
        data = c.encode("utf-8", "surrogateescape")
        out.append("".join("%%%02X" % b for b in data).encode() if escape else data)
    return b"".join(out)


def text(value, any_bytes=False):
    need(0 < len(value) <= 16 * KIB, "length of a text")
    raw = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), value)
    need(spell(raw) == value, "spelling of a text")
    if not any_bytes:
        utf8(raw)


def number(value):
    need(re.fullmatch(rb"0|[1-9][0-9]{0,19}", value) and int(value) < 2**64, "number")
    return int(value)


def hexa(value, length):
    need(re.fullmatch(rb"[0-9a-f]{%d}" % (2 * length), value), "hex")
    return bytes.fromhex(value.decode())


def b64(value):
    try:
        data = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise Spelling("base64")
    need(value and base64.b64encode(data) == value, "base64")
    return data


def wrapped(lines):
    """Base64 broken into lines of 64 characters."""
    need(all(len(line) == 64 for line in lines[:-1]) and 0 < len(lines[-1]) <= 64, "base64 lines")
    return b64(b"".join(lines))


def joined(lines):
    return b"".join(line + b"\n" for line in lines)


def sha256(data):
    return hashlib.sha256(data).digest()


def sm3(data):
    h = hashes.Hash(hashes.SM3())
    h.update(data)
    return h.finalize()


@functools.lru_cache(64)
def digests(work):
    return len(work), sha256(work), hashlib.sha512(work).digest(), sm3(work)


# ---------------------------------------------------------------- claim

class Claim:
    def __init__(self, lines):
        self.text = joined(lines)
        need(len(self.text) <= MIB, "claim too long")
        rest = list(lines)

        def take(name, optional=False):
            if rest and rest[0].startswith(name + b" "):
                return rest.pop(0)[len(name) + 1:]
            need(optional, "claim: no " + name.decode())

        need(rest and rest.pop(0) == b"timemark-claim v1", "claim: first line")
        self.sha256, self.sha512, self.sm3 = (hexa(take(n), k) for n, k in ((b"sha256", 32), (b"sha512", 64), (b"sm3", 32)))
        self.length = number(take(b"length"))
        name = rb"[a-z0-9!#$&\-^_.+]{1,127}"
        need(re.fullmatch(name + b"/" + name, take(b"media-type")), "media type")
        last = None
        while (value := take(b"fingerprint", True)) is not None:
            kind, _, code = value.partition(b" ")
            need(re.fullmatch(rb"[a-z0-9-]+", kind), "kind")
            need(re.fullmatch(rb"[!-~]+( [!-~]+)*", code) and len(code) <= 16 * KIB, "fingerprint")
            if kind == b"pdq":
                need(re.fullmatch(rb"[0-9a-f]{64} (0|[1-9][0-9]?|100)", code), "pdq")
            elif kind in (b"gradient", b"dct"):
                hexa(code, 32)
            need(last is None or last < (kind, code), "order of fingerprints")
            last = kind, code
        for key in b"title", b"claimant", b"created", b"rights", b"collection", b"path":
            if (value := take(key, True)) is not None:
                text(value, any_bytes=key == b"path")
        # At most one of the two.
        for key in b"corrects", b"withdraws":
            if (value := take(key, True)) is not None:
                index, _, digest = value.partition(b" ")
                number(index)
                hexa(digest, 32)
                break
        self.creator, signed = None, lines[1:len(lines) - len(rest)]
        if (value := take(b"creator", True)) is not None:
            m = re.fullmatch(rb"ed25519 ([0-9a-f]{64}) ([0-9a-f]{128})", value)
            need(m, "creator")
            message = b"timemark-creator v1\n" + joined(signed)
            self.creator = bytes.fromhex(m[1].decode()), bytes.fromhex(m[2].decode()), message
        hexa(take(b"salt"), 32)
        need(not rest, "claim: lines too many")


# ---------------------------------------------------------------- keys and signatures

SM2_TYPE = b"\xFFtimemark/sm2-with-sm3"
ED25519, COSIGNATURE, MLDSA, SM2 = 0x01, 0x04, 0x06, 0xFF


def key_name(data):
    name = utf8(data)
    clean(name)
    need(name and "+" not in name and not WHITE & set(name), "key name")
    return data


class Key:
    """A verifier key, `<name>+<id>+base64(type ‖ public key)`."""

    def __init__(self, spelled):
        parts = spelled.split(b"+", 2)
        need(len(parts) == 3, "verifier key")
        self.name, self.id, data = key_name(parts[0]), hexa(parts[1], 4), b64(parts[2])
        need(self.id == sha256(self.name + b"\n" + data)[:4], "key id")
        if data.startswith(SM2_TYPE):
            self.type, self.public = SM2, data[len(SM2_TYPE):]
            need(sm2_point(self.public), "SM2 key")
        else:
            self.type, self.public = data[0], data[1:]
            need({ED25519: 32, COSIGNATURE: 32, MLDSA: 1312}.get(self.type) == len(self.public), "key type")
            need(self.type == MLDSA or ed25519_sound(self.public), "Ed25519 key")


@functools.lru_cache(4096)
def holds(kind, public, signature, message):
    try:
        if kind == SM2:
            return sm2_holds(public, signature, message)
        (MLDSA44PublicKey if kind == MLDSA else Ed25519PublicKey).from_public_bytes(public).verify(signature, message)
        return kind == MLDSA or ed25519_sound(public) and ed25519_sound(signature[:32])
    except (InvalidSignature, ValueError):
        return False


def cosigned_at(key, body, note):
    """Whether the signature holds, and the time that it states (0: none)."""
    stated = key.type in (COSIGNATURE, MLDSA)
    time, signature, message = int.from_bytes(body[:8], "big") if stated else 0, body[8 if stated else 0:], note.text
    if len(signature) != (2420 if key.type == MLDSA else 64) or time >= 2**63:
        return False, 0
    if key.type == COSIGNATURE:
        message = b"cosignature/v1\ntime %d\n" % time + message
    if key.type == MLDSA:
        if max(len(key.name), len(note.origin)) > 255:
            return False, 0
        message = (b"subtree/v1\n\0" + bytes([len(key.name)]) + key.name + struct.pack(">Q", time)
                   + bytes([len(note.origin)]) + note.origin + struct.pack(">QQ", 0, note.size) + note.root)
    return holds(key.type, key.public, signature, message), time


def ed25519_sound(spelled):
    """Whether it is a point, spelled as RFC 8032 has it, and not of small order."""
    q = 2**255 - 19
    y = int.from_bytes(spelled, "little") % 2**255
    xx = (y * y - 1) * pow(1 - 121665 * pow(121666, -1, q) * y * y, -1, q) % q
    # of order 1 and 2: x = 0; of 4: y = 0; of 8: twice the point has y = 0, that is x² + y² = 0
    return y < q and pow(xx, (q - 1) // 2, q) == 1 and y * (xx + y * y) % q != 0


# SM2 (GB/T 32918.2) on the curve of GB/T 32918.5. Affine points, None is the neutral one.

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
     0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)


def sm2_point(public):
    """The point of a public key, or None if it is none of the curve."""
    x, y = int.from_bytes(public[1:33], "big"), int.from_bytes(public[33:], "big")
    good = len(public) == 65 and public[0] == 4 and x < P and y < P and (y * y - x * x * x - A * x - B) % P == 0
    return (x, y) if good else None


def sm2_add(p, q):
    if p is None or q is None:
        return p or q
    if p[0] == q[0]:
        if (p[1] + q[1]) % P == 0:
            return None
        slope = (3 * p[0] * p[0] + A) * pow(2 * p[1], -1, P) % P
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P) % P
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def sm2_mul(k, point):
    out = None
    for bit in bin(k)[2:]:
        out = sm2_add(out, out)
        if bit == "1":
            out = sm2_add(out, point)
    return out


def sm2_holds(public, signature, message):
    identity = b"1234567812345678"
    z = sm3(struct.pack(">H", 8 * len(identity)) + identity + b"".join(v.to_bytes(32, "big") for v in (A, B, *G)) + public[1:])
    e = int.from_bytes(sm3(z + message), "big")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % N
    if not (0 < r < N and 0 < s < N and t):
        return False
    point = sm2_add(sm2_mul(s, G), sm2_mul(t, sm2_point(public)))
    return point is not None and (e + point[0]) % N == r


# ---------------------------------------------------------------- receipt

class Note:
    """A checkpoint with its signatures: c2sp.org/signed-note, c2sp.org/tlog-checkpoint without extension lines."""

    def __init__(self, lines):
        self.bytes = joined(lines)
        need(len(self.bytes) <= 256 * KIB and len(lines) >= 5 and lines[3] == b"", "note")
        self.origin, self.size, self.root = lines[0], number(lines[1]), b64(lines[2])
        need(self.origin and len(self.root) == 32, "checkpoint")
        clean(utf8(self.origin))  # silent: whether an origin may hold white space or `+`, which no key's name can
        self.text = joined(lines[:3])
        distinct(lines[4:], 64)
        self.signatures = []  # (name, id, body)
        for line in lines[4:]:
            m = re.fullmatch("— ([^ ]+) ([^ ]+)".encode(), line)
            need(m, "signature line")
            data = b64(m[2])
            need(len(data) > 4, "signature")
            self.signatures.append((key_name(m[1]), data[:4], data[4:]))


class Anchor:
    def __init__(self, lines):
        need(lines[0] == b"c2sp.org/tlog-proof@v1" and len(lines) > 1 and lines[1].startswith(b"index "), "proof")
        self.index = number(lines[1][6:])
        need(b"" in lines, "proof without a checkpoint")
        end = lines.index(b"")
        self.path = [b64(line) for line in lines[2:end]]
        need(len(self.path) <= 128 and all(len(h) == 32 for h in self.path), "proof")
        self.note = Note(lines[end + 1:])
        self.timestamps, self.records = [], []

    def includes(self, leaf):
        """RFC 9162, section 2.1.3.2."""
        fn, sn, r = self.index, self.note.size - 1, sha256(b"\0" + leaf)
        if fn > sn:
            return False
        for p in self.path:
            if sn == 0:
                return False
            if fn & 1 or fn == sn:
                r = sha256(b"\1" + p + r)
                while not fn & 1 and fn:
                    fn, sn = fn >> 1, sn >> 1
            else:
                r = sha256(b"\1" + r + p)
            fn, sn = fn >> 1, sn >> 1
        return sn == 0 and r == self.note.root


FIRST = b"""timemark-receipt v1
# The claim upon a work, the log entry that commits to it, and the proof that the log holds it.
# To check it: timemark verify WORK --receipt THIS_FILE --policy TRUST
"""
# Each section by a letter, and by those of the sections that may stand before it; `o` is any other, "" the beginning.
SECTIONS = {b"claim": "c", b"leaf": "l", b"anchor": "a", b"timestamp": "t", b"evidence-record": "e", b"receipt-record": "r"}
BEFORE = {"c": [""], "l": ["c"], "a": [*"late"], "t": [*"at"], "e": [*"ate"], "r": [*"ater"], "o": [*"atero"]}


class Receipt:
    def __init__(self, data):
        need(len(data) <= 8 * MIB and data.endswith(b"\n") and data.startswith(FIRST), "first lines")
        utf8(data)
        lines = data[:-1].split(b"\n")
        above = len(data) - len(lines[-1]) - 1
        need(lines[-1] == b"== sha256 " + hashlib.sha256(data[:above]).hexdigest().encode(), "last line")
        self.anchors, self.records, self.covered = [], [], None
        at, offset, before = 3, len(FIRST), ""
        while at < len(lines) - 1:
            m = re.fullmatch(rb"== ([a-z0-9-]+) ([1-9][0-9]{0,7})", lines[at])
            need(m and at + int(m[2]) < len(lines) - 1, "heading")
            name, body = m[1], lines[at + 1:at + 1 + int(m[2])]
            last, before = before, SECTIONS.get(name, "o")
            need(last in BEFORE[before], "order of sections")
            if name == b"claim":
                self.claim = Claim(body)
            elif name == b"leaf":
                need(len(body) == 1, "leaf")
                self.leaf = hexa(body[0], 65)
                need(self.leaf[0] == 1, "kind of the leaf")
            elif name == b"anchor":
                self.anchors.append(Anchor(body))
            elif name == b"timestamp":
                self.anchors[-1].timestamps.append(wrapped(body))
            elif name == b"evidence-record":
                self.anchors[-1].records.append(wrapped(body))
            elif name == b"receipt-record":
                self.covered = self.covered or data[:offset]
                self.records.append(wrapped(body))
            else:
                need(name != b"sha256" and not any(line.startswith(b"== ") for line in body), "other section")
                for line in body:
                    clean(utf8(line))
            offset += len(lines[at]) + 1 + len(joined(body))
            at += 1 + len(body)
        need(self.anchors, "no anchor")
        distinct([(a.index, a.note.bytes) for a in self.anchors], 64)
        distinct(self.records, 16)
        for a in self.anchors:
            distinct(a.timestamps, 64)
            distinct(a.records, 16)


# ---------------------------------------------------------------- policy

WORDS = {b"log": (1, 2), b"witness": (2, 3), b"group": (3, 9999), b"quorum": (1, 1), b"log-sizes": (3, 3), b"tsa": (2, 3),
         b"tsa-tolerance": (1, 1), b"tsa-until": (2, 2), b"hash-until": (2, 2)}  # how many may follow
END = 2**64 - 1
ANYTIME, UNKNOWN = -1, float("inf")  # when a witness had cosigned that states no time: a log's key, another


def moment(value, spelling=rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", error=Spelling):
    m = re.fullmatch(spelling, value)
    need(m, "time", error)
    try:
        return int(datetime(*map(int, m.groups()), tzinfo=timezone.utc).timestamp())
    except ValueError:
        raise error("time")


class Policy:
    def __init__(self, data):
        need(len(data) <= MIB and data.endswith(b"\n"), "policy: length or last line")
        need(not re.search(rb"[^\t\n\x20-\x7E\x80-\xFF]", data), "policy: control character")
        self.logs, self.witnesses, self.members = [], {}, {}  # members: group -> (k, names)
        self.sizes, self.authorities, self.tsa_until, self.hash_until = {}, {}, {}, {}
        self.quorum, tolerance, grouped = None, None, set()
        for line in data[:-1].split(b"\n"):
            word, *rest = [w for w in re.split(rb"[ \t]+", line) if w] or [b"#"]
            if word.startswith(b"#"):
                continue
            least, most = WORDS.get(word, (1, 0))
            need(least <= len(rest) <= most, "policy line")
            name = rest[0]
            if word in (b"witness", b"group"):
                need(name != b"none" and name not in self.witnesses and name not in self.members, "name in use")
            if word == b"log":
                key = Key(name)
                need(key.type in (ED25519, MLDSA, SM2), "log key")
                need(all(key.public != k.public for k in self.logs), "same log twice")
                self.logs.append(key)
            elif word == b"witness":
                key = Key(rest[1])
                need(key.type in (COSIGNATURE, MLDSA, SM2), "witness key")
                need(all(key.public != k.public for k in self.witnesses.values()), "same witness twice")
                self.witnesses[name] = key
            elif word == b"group":
                members = rest[2:]
                k = {b"all": len(members), b"any": 1}.get(rest[1]) or number(rest[1])
                need(1 <= k <= len(members) and len(set(members)) == len(members), "group")
                need(all((m in self.witnesses or m in self.members) and m not in grouped for m in members), "members")
                grouped.update(members)
                self.members[name] = k, members
            elif word == b"quorum":
                need(self.quorum is None and (name == b"none" or name in self.witnesses or name in self.members), "quorum")
                self.quorum = name
            elif word == b"log-sizes":
                named, _, key_id = name.rpartition(b"+")
                key = named, hexa(key_id, 4)
                need(any((k.name, k.id) == key for k in [*self.logs, *self.witnesses.values()]), "log-sizes: unknown key")
                first, last = number(rest[1]), END if rest[2] == b"*" else number(rest[2])
                need(key not in self.sizes and first <= last and (first, last) != (0, END), "log-sizes")
                self.sizes[key] = first, last
            elif word == b"tsa":
                certificate = readable(b64(rest[1]))
                need(certificate and name not in self.authorities and len(self.authorities) < 64, "authority")
                self.authorities[name] = certificate[0]
            elif word == b"tsa-tolerance":
                need(tolerance is None, "tsa-tolerance twice")
                tolerance = number(name)
            elif word == b"tsa-until":
                need(name in self.authorities and name not in self.tsa_until, "tsa-until")
                self.tsa_until[name] = moment(rest[1])
            else:
                need(name in (b"sha256", b"sha384", b"sha512") and name not in self.hash_until, "hash-until")
                self.hash_until[name] = moment(rest[1])
        need(self.quorum is not None, "no quorum")
        need(len(self.logs) <= 1024 and len(self.witnesses) + len(self.members) <= 1024, "policy too large")

    def speaks(self, key, size):
        """Whether the key counts at that size: by its own line, and as a witness's by that of the log with these bytes."""
        lines = [self.sizes.get((k.name, k.id)) for k in (key, *self.logs) if k.public == key.public]
        return all(line is None or line[0] <= size <= line[1] for line in lines)

    def met(self, name, present):
        """Whether the quorum, a group or a witness cosigned, if those present did."""
        if name == b"none" or name in self.witnesses:
            return name == b"none" or name in present
        k, members = self.members[name]
        return sum(self.met(m, present) for m in members) >= k

    def earliest(self, times):
        """The earliest time that a witness states and by which the quorum was met, by the times of all that cosigned."""
        stated = sorted(t for t in times.values() if 0 < t < UNKNOWN) if self.quorum != b"none" else []
        return next((t for t in stated if self.met(self.quorum, {n for n in times if times[n] <= t})), None)

    def timeless(self, key):
        """A witness whose key is also a log's, or bears a log's name, counts at any time and states none."""
        return any(key.public == k.public or key.name == k.name for k in self.logs)

    def until(self, authority, digest_names):
        """The earliest time before which what rests on these must be renewed; None if there is none."""
        times = [self.hash_until[d] for d in map(str.encode, digest_names) if d in self.hash_until]
        times += [self.tsa_until[authority]] if authority in self.tsa_until else []
        return min(times, default=None)


# ---------------------------------------------------------------- DER

class Der:
    """One value in DER. The order within SET OF is not looked at: authorities at work do not keep it."""

    def __init__(self, data, at=0, depth=0):
        need(at + 2 <= len(data) and depth < 32, "DER", Nothing)
        self.tag, length, body = data[at], data[at + 1], at + 2
        need(self.tag & 0x1F != 0x1F, "DER: long tag", Nothing)
        if length >= 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[body:body + size], "big")
            body += size
            need(1 <= size <= 4 and length >= max(0x80, 1 << 8 * (size - 1)), "DER: length", Nothing)
        self.end = body + length
        need(self.end <= len(data), "DER: too short", Nothing)
        self.raw, self.content, self.kids = data[at:self.end], data[body:self.end], None
        if self.tag & 0x20:
            self.kids, at = [], body
            while at < self.end:
                self.kids.append(Der(data, at, depth + 1))
                at = self.kids[-1].end
            need(at == self.end, "DER: value beyond its parent", Nothing)
        if self.tag < 0x40:
            kind, c = self.tag & 0x1F, self.content
            need(bool(self.tag & 0x20) == (kind in (8, 11, 16, 17)), "DER: form", Nothing)
            need(kind != 1 or c in (b"\0", b"\xFF"), "DER: BOOLEAN", Nothing)
            need(kind not in (2, 10) or c and not (len(c) > 1 and (c[0], c[1] >> 7) in ((0, 0), (255, 1))), "DER: INTEGER", Nothing)
            need(kind != 5 or not c, "DER: NULL", Nothing)
            need(kind != 6 or c and c[-1] < 128 and not re.search(rb"(?:\A|[\x00-\x7F])\x80", c, re.S), "DER: OID", Nothing)

    @classmethod
    def whole(cls, data, tag=0x30):
        out = cls(data)
        need(out.end == len(data) and out.tag == tag, "DER: not one value of that kind", Nothing)
        return out

    def fields(self, *tags):
        """All members of a SEQUENCE by their tags; a negative one is optional, and None stands for what is absent."""
        need(self.kids is not None, "DER: primitive", Nothing)
        rest, out = list(self.kids), []
        for tag in tags:
            there = rest and rest[0].tag == abs(tag)
            need(there or tag < 0, "DER: another field expected", Nothing)
            out.append(rest.pop(0) if there else None)
        need(not rest, "DER: a field too many", Nothing)
        return out

    def inner(self, *tags):
        """The one field of a value, of each value within the other."""
        return self.fields(tags[0])[0].inner(*tags[1:]) if tags else self

    def int(self):
        return int.from_bytes(self.content, "big", signed=True)


BOOLEAN, INTEGER, BITS, OCTETS, NULL, OID, TIME, SEQUENCE, SET = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x18, 0x30, 0x31


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    out = bytes([40 * first + second])
    for arc in rest:
        chunk = [arc & 0x7F]
        while arc := arc >> 7:
            chunk.insert(0, arc & 0x7F | 0x80)
        out += bytes(chunk)
    return out


SIGNED_DATA, TST_INFO = oid("1.2.840.113549.1.7.2"), oid("1.2.840.113549.1.9.16.1.4")
CONTENT_TYPE, MESSAGE_DIGEST = oid("1.2.840.113549.1.9.3"), oid("1.2.840.113549.1.9.4")
ESS_V1, ESS_V2 = oid("1.2.840.113549.1.9.16.2.12"), oid("1.2.840.113549.1.9.16.2.47")
RSA, PSS, MGF1 = (oid("1.2.840.113549.1.1.%d" % n) for n in (1, 10, 8))
HASH = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
DIGESTS, RSA_WITH, ECDSA_WITH = ({oid("%s.%d" % (arc, first + i)): name for i, name in enumerate(HASH)}
                                 for arc, first in (("2.16.840.1.101.3.4.2", 1), ("1.2.840.113549.1.1", 11), ("1.2.840.10045.4.3", 2)))


def digest_name(der):
    """An AlgorithmIdentifier of a digest, with parameters absent or NULL."""
    name = DIGESTS.get(der.fields(OID, -NULL)[0].content)
    need(name, "digest that is none of the three", Nothing)
    return name


def hashed(name, data):
    return hashlib.new(name, data).digest()


def signature_holds(certificate, algorithm, content_digest, signature, message):
    """Verifies a signature of a SignerInfo; the digest that it rests on."""
    need(algorithm.kids and algorithm.kids[0].tag == OID and known_key(certificate), "signature algorithm", Nothing)
    key, kind = certificate.public_key(), algorithm.kids[0].content
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            algorithm.fields(OID)
            need(kind in ECDSA_WITH, "ECDSA", Nothing)
            digest = ECDSA_WITH[kind]
            key.verify(signature, message, ec.ECDSA(HASH[digest]))
            return digest
        if kind == PSS:
            _, parameters = algorithm.fields(OID, SEQUENCE)
            name, mask, salt = parameters.fields(0xA0, 0xA1, -0xA2)  # the defaults are SHA-1's
            digest = digest_name(name.inner(SEQUENCE))
            function, mask_name = mask.inner(SEQUENCE).fields(OID, SEQUENCE)
            need(function.content == MGF1 and digest_name(mask_name) == digest, "PSS: MGF1", Nothing)
            pad = padding.PSS(padding.MGF1(HASH[digest]), salt.inner(INTEGER).int() if salt else 20)
        else:
            algorithm.fields(OID, -NULL)
            need(kind == RSA or kind in RSA_WITH, "RSA", Nothing)
            digest, pad = RSA_WITH.get(kind, content_digest), padding.PKCS1v15()
        key.verify(signature, message, pad, HASH[digest])
        return digest
    except (InvalidSignature, ValueError, TypeError, OverflowError):
        raise Nothing("signature does not hold")


# ---------------------------------------------------------------- certificates of authorities

def readable(der):
    """The certificate in a list, or an empty one if it, its key or its extensions cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.extensions, certificate.public_key(), certificate.subject, certificate.issuer
        Der.whole(certificate.tbs_certificate_bytes)
        return [certificate]
    except Exception as e:  # the library has many of its own for what it cannot read
        remark("certificate: %s" % e)
        return []


def known_key(certificate):
    key = certificate.public_key()
    return isinstance(key, rsa.RSAPublicKey) or isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in ("secp256r1", "secp384r1")


def issuer_name(certificate):
    """The issuer's Name as it is spelled."""
    version, *rest = Der(certificate.tbs_certificate_bytes).kids
    return rest[2 if version.tag == 0xA0 else 1].raw


def extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def valid_at(certificate, time):
    return certificate.not_valid_before_utc.timestamp() <= time <= certificate.not_valid_after_utc.timestamp()


PROCESSED = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName, x509.CertificatePolicies)


def usable(certificate, time):
    return valid_at(certificate, time) and all(not e.critical or isinstance(e.value, PROCESSED) for e in certificate.extensions)


def may_stamp(certificate):
    """RFC 3161, section 2.3: one extended key usage, timeStamping, critical."""
    usage, extended = extension(certificate, x509.KeyUsage), extension(certificate, x509.ExtendedKeyUsage)
    return (extended is not None and extended.critical and list(extended.value) == [x509.oid.ExtendedKeyUsageOID.TIME_STAMPING]
            and (usage is None or usage.value.digital_signature or usage.value.content_commitment))


def may_issue(certificate, below):
    """RFC 5280, section 6.1.4, with the number of certificates below it that are not self-issued and not the last."""
    usage, basic = extension(certificate, x509.KeyUsage), extension(certificate, x509.BasicConstraints)
    return (basic is not None and basic.value.ca and (basic.value.path_length is None or basic.value.path_length >= below)
            and (usage is None or usage.value.key_cert_sign))


def issued(certificate, issuer):
    try:
        certificate.verify_directly_issued_by(issuer)
        return known_key(issuer) and certificate.signature_hash_algorithm.name in HASH
    except (InvalidSignature, ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        return False


def paths(certificate, pool, top, time, below=0, used=()):
    """For each path from the certificate to `top`: the digests of the signatures of all but `top`."""
    if certificate == top:
        yield frozenset()
    elif len(used) < 8:
        used = *used, certificate
        for issuer in {c.fingerprint(hashes.SHA256()): c for c in [top, *pool] if c not in used}.values():
            if usable(issuer, time) and may_issue(issuer, below) and issued(certificate, issuer):
                more = 0 if issuer.subject == issuer.issuer else 1
                for rest in paths(issuer, pool, top, time, below + more, used):
                    yield rest | {certificate.signature_hash_algorithm.name}


# ---------------------------------------------------------------- time-stamp tokens (RFC 3161, RFC 5816, RFC 5652)

class Token:
    """A token (ContentInfo in DER) that an authority of the policy made, judged at its own time."""

    def __init__(self, raw, policy):
        kind, outer = Der.whole(raw).fields(OID, 0xA0)
        version, _, content, bag, _, signers = outer.inner(SEQUENCE).fields(INTEGER, SET, SEQUENCE, -0xA0, -0xA1, SET)
        inner_kind, info = content.fields(OID, 0xA0)
        need(kind.content == SIGNED_DATA and version.int() == 3 and inner_kind.content == TST_INFO, "not a token", Nothing)
        info = info.inner(OCTETS).content
        pool = [c for der in (bag.kids if bag else ()) if der.tag == SEQUENCE for c in readable(der.raw)]
        self.read(info)
        self.signed_by(signers.inner(SEQUENCE), info, [*pool, *policy.authorities.values()])
        need(usable(self.signer, self.time) and may_stamp(self.signer), "certificate of the signer", Nothing)
        ways = [(policy.until(name, digests | {self.imprint_digest, self.content_digest, self.signature_digest}))
                for name, top in policy.authorities.items() if usable(top, self.time)
                for digests in paths(self.signer, pool, top, self.time)]
        need(ways, "no path to an authority of the policy", Nothing)
        self.until = None if None in ways else max(ways)  # by the path that holds longest

    def read(self, info):
        version, _, imprint, _, time, _, _, _, _, extensions = Der.whole(info).fields(
            INTEGER, OID, SEQUENCE, INTEGER, TIME, -SEQUENCE, -BOOLEAN, -INTEGER, -0xA0, -0xA1)
        need(version.int() == 1, "version of TSTInfo", Nothing)
        name, self.imprint = imprint.fields(SEQUENCE, OCTETS)
        self.imprint_digest, self.imprint = digest_name(name), self.imprint.content
        self.time = moment(time.content, rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.\d*[1-9])?Z", Nothing)  # without fractions
        for e in extensions.kids if extensions else ():
            need(not e.fields(OID, -BOOLEAN, OCTETS)[1], "critical extension of TSTInfo", Nothing)

    def signed_by(self, signer, info, candidates):
        version, by_name, by_key, name, signed_attributes, algorithm, signature, _ = signer.fields(
            INTEGER, -SEQUENCE, -0x80, SEQUENCE, 0xA0, SEQUENCE, OCTETS, -0xA1)
        need(not by_name or not by_key, "two names of a signer", Nothing)
        need(version.int() == (1 if by_name else 3), "version of SignerInfo", Nothing)
        self.content_digest = digest_name(name)
        one = {}
        for der in signed_attributes.kids:
            kind, values = der.fields(OID, SET)
            need(kind.content not in one and len(values.kids) == 1, "an attribute or its value twice", Nothing)
            one[kind.content] = values.kids[0]
        digest, ess = hashed(self.content_digest, info), [k for k in (ESS_V1, ESS_V2) if k in one]
        need(CONTENT_TYPE in one and one[CONTENT_TYPE].raw == bytes([OID, len(TST_INFO)]) + TST_INFO, "contentType", Nothing)
        need(MESSAGE_DIGEST in one and one[MESSAGE_DIGEST].raw == bytes([OCTETS, len(digest)]) + digest, "messageDigest", Nothing)
        need(ess, "no ESSCertID", Nothing)
        message = bytes([SET]) + signed_attributes.raw[1:]
        for certificate in candidates:
            if identified(certificate, by_name or by_key) and all(ess_names(certificate, one[k], k == ESS_V1) for k in ess):
                self.signer = certificate
                self.signature_digest = signature_holds(certificate, algorithm, self.content_digest, signature.content, message)
                return
        raise Nothing("no certificate of the signer")


def identified(certificate, sid):
    if sid.tag == SEQUENCE:
        issuer, serial = sid.fields(SEQUENCE, INTEGER)
        return issuer_name(certificate) == issuer.raw and certificate.serial_number == serial.int()
    ski = extension(certificate, x509.SubjectKeyIdentifier)
    return ski is not None and ski.value.digest == sid.content


def ess_names(certificate, attribute, v1):
    """Whether the first ESSCertID (RFC 2634) or ESSCertIDv2 (RFC 5816) names the certificate."""
    certs, _ = attribute.fields(SEQUENCE, -SEQUENCE)
    need(certs.kids, "no ESSCertID", Nothing)
    *algorithm, digest, serial = certs.kids[0].fields(*(() if v1 else (-SEQUENCE,)), OCTETS, -SEQUENCE)
    if serial:
        names, n = serial.fields(SEQUENCE, INTEGER)
        if names.inner(0xA4).content != issuer_name(certificate) or n.int() != certificate.serial_number:
            return False
    name = "sha1" if v1 else digest_name(algorithm[0]) if algorithm[0] else "sha256"
    return digest.content == hashed(name, certificate.public_bytes(Encoding.DER))


def token_of(response):
    """The token in a TimeStampResp that was granted."""
    status, token = Der.whole(response).fields(SEQUENCE, SEQUENCE)
    need(status.fields(INTEGER, -SEQUENCE, -BITS)[0].int() in (0, 1), "not granted", Nothing)
    return token.raw


def counts(token, renewals):
    return token.until is None or any(r < token.until for r in renewals)


# ---------------------------------------------------------------- evidence records (RFC 4998)

def read_record(raw):
    """The chains of an EvidenceRecord; each a list of (digest or None, hash tree or None, token in DER), and its DER."""
    need(len(raw) <= 4 * MIB, "record too long", Nothing)
    # digestAlgorithms, cryptoInfos; encryptionInfo [1] is not known here
    version, _, _, sequence = Der.whole(raw).fields(INTEGER, SEQUENCE, -0xA0, SEQUENCE)
    need(version.int() == 1, "version of the record", Nothing)
    chains = []
    for chain in sequence.kids:
        need(chain.tag == SEQUENCE and chain.kids and all(der.tag == SEQUENCE for der in chain.kids), "chain", Nothing)
        stamps = [der.fields(-0xA0, -0xA1, -0xA2, SEQUENCE) for der in chain.kids]
        chains.append(([(digest and digest_name(digest), tree, token.raw) for digest, _, tree, token in stamps], chain.raw))
    need(0 < sum(len(stamps) for stamps, _ in chains) <= 64, "number of tokens", Nothing)
    return chains


def wrap(content):
    """A SEQUENCE in DER around the content."""
    size = len(content)
    if size < 0x80:
        return bytes([SEQUENCE, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([SEQUENCE, 0x80 | len(length)]) + length + content


def root(tree, value, digest):
    """RFC 4998, section 4.3: from the hash value to what the token is about."""
    if tree is None:
        return value
    need(tree.kids, "empty hash tree", Nothing)
    for i, group in enumerate(tree.kids):
        need(group.tag == SEQUENCE and all(k.tag == OCTETS for k in group.kids), "hash tree", Nothing)
        values = [k.content for k in group.kids] + [value] * (i > 0)
        need(value in values, "hash value not in the tree", Nothing)
        value = values[0] if len(values) == 1 else hashed(digest, b"".join(sorted(values)))
    return value


def first_of(raw, data, policy, renewals, receipt_record=False):
    """The time of the first token of a record about `data`, if the record holds."""
    chains, tokens, older = read_record(raw), [], b""
    for stamps, der in chains:
        before, used = None, set()
        for digest, tree, token_raw in stamps:
            token = Token(token_raw, policy)
            digest = digest or token.imprint_digest
            need(digest == token.imprint_digest, "digest of the tree", Nothing)
            need(not receipt_record or digest != "sha256", "imprint of SHA-256", Nothing)
            used.add(digest)
            if before is not None:
                value = hashed(digest, before)
            elif older:  # RFC 4998 says "sorted" in a figure of section 5.2, and "h(i) + ha(i)" in its text
                value = hashed(digest, hashed(digest, data) + hashed(digest, wrap(older)))
            else:
                value = hashed(digest, data)
            need(root(tree, value, digest) == token.imprint, "token about something else", Nothing)
            before = token_raw
            tokens.append(token)
        need(len(used) == 1, "two digests in one chain", Nothing)
        older += der
    for i, token in enumerate(tokens):
        after = [t.time for t in tokens[i + 1:i + 2]]
        need(all(t > token.time and valid_at(token.signer, t) for t in after), "renewed too late", Nothing)
        need(counts(token, after + renewals), "a token that does not count", Nothing)
    return tokens[0].time


def attempt(what, function, *arguments):
    """The result, or None of what proves nothing."""
    try:
        return function(*arguments)
    except (Nothing, ValueError, UnsupportedAlgorithm) as e:
        remark("%s: %s" % (what, e))
        return None


# ---------------------------------------------------------------- verification of a receipt

def verify(work, data, policy, in_bundle=False):
    """`existed_by` of a work, or of its claim alone if `work` is None."""
    with spelled_for("receipt.format"):
        receipt = Receipt(from_certificate(data) if data.startswith(b"%PDF-") and not in_bundle else data)
    claim, leaf = receipt.claim, receipt.leaf
    stated = claim.length, claim.sha256, claim.sha512, claim.sm3
    for name, a, b in zip(("length", "sha256", "sha512", "sm3"), digests(work) if work is not None else stated, stated):
        need(a == b, "work." + name, Stop)
    need(leaf[1:33] == claim.sha256, "leaf.content", Stop)  # step 2
    need(leaf[33:] == sha256(claim.text), "leaf.claim", Stop)
    need(claim.creator is None or holds(ED25519, *claim.creator), "claim.creator", Stop)
    need(all(a.includes(leaf) for a in receipt.anchors), "anchor.inclusion", Stop)
    if policy is None:
        raise Stop("policy.missing", "undecided")

    # Step 4
    by_log, trusted, existed = [], [], []
    for anchor in receipt.anchors:
        note, times = anchor.note, {}

        def signed(key):
            """The times of all signatures under that key, which must hold."""
            found = [cosigned_at(key, body, note) for name, key_id, body in note.signatures if (name, key_id) == (key.name, key.id)]
            need(all(held for held, _ in found), "anchor.signature", Stop)
            return [time for _, time in found]

        for name, key in policy.witnesses.items():
            found = signed(key)
            if found and policy.speaks(key, note.size):
                times[name] = ANYTIME if policy.timeless(key) else min((t for t in found if t), default=UNKNOWN)
        logs = [key for key in policy.logs if signed(key) and key.name == note.origin and policy.speaks(key, note.size)]
        if logs:
            need(not any((n.origin, n.size) == (note.origin, note.size) and n.root != note.root for n in by_log), "log.split-view", Stop)
            by_log.append(note)
            if policy.met(policy.quorum, times):
                trusted.append(anchor)
                existed += filter(None, [policy.earliest(times)])
    need(by_log, "policy.log", Stop)
    if not trusted:
        raise Stop("policy.quorum", "undecided")

    # What renews, and step 5
    renewals = []  # first tokens of receipt-records that hold; these renew one another only within a record
    for raw in receipt.records:
        time = attempt("receipt-record", first_of, raw, receipt.covered, policy, [], True)
        renewals += [] if time is None else [time]
    limits = [policy.hash_until[d] for d in (b"sha256", b"sha512") if d in policy.hash_until]
    if limits and not any(time < min(limits) for time in renewals):
        raise Stop("policy.renewal", "undecided")

    # When
    existed += renewals
    for anchor in trusted:
        for response in anchor.timestamps:
            token = attempt("timestamp", lambda: Token(token_of(response), policy))
            if token and token.imprint == hashed(token.imprint_digest, anchor.note.text) and counts(token, renewals):
                existed.append(token.time)
        for raw in anchor.records:
            time = attempt("evidence-record", first_of, raw, anchor.note.text, policy, renewals)
            existed += [] if time is None else [time]
    return min(existed, default=None)


def from_certificate(data):
    """The receipt in a PDF, which stands there in the clear."""
    need(len(data) <= 64 * MIB, "certificate.format", Stop)
    found, end, mark = set(), 0, b"\n== sha256 "
    while (start := data.find(b"timemark-receipt v1\n", end)) >= 0:
        last = data.find(mark, start)
        end = last + len(mark) + 64 + 1
        need(last >= 0 and end <= len(data), "certificate.format", Stop)
        found.add(data[start:end])
    need(len(found) == 1, "certificate.format", Stop)
    return found.pop()


def outcome(function, *arguments):
    """(verdict, check, existed_by)"""
    try:
        return "verified", None, function(*arguments)
    except Stop as stop:
        return stop.verdict, stop.check, None


# ---------------------------------------------------------------- bundle

DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\..*)?", re.IGNORECASE | re.ASCII | re.DOTALL)


def read_manifest(data):
    """[(path, SHA-256, length)]"""
    utf8(data)
    lines = data.split(b"\n")
    need(len(data) <= 16 * MIB and len(lines) >= 3 and lines.pop() == b"" and lines[0] == b"timemark-bundle v1", "manifest")
    need(lines[1] in (b"profile cn-court", b"profile us-fre902", b"profile eu-eidas"), "profile")
    out, seen, folders = [], {"manifest.txt", "manifest.txt.timemark"}, set()
    for line in lines[2:]:
        m = re.fullmatch(rb"file ([0-9a-f]{64}) ([0-9]+) (.+)", line)
        need(m and len(m[3]) <= 512, "file line")
        path = utf8(m[3])
        clean(path)
        for part in path.split("/"):
            need(part and part[0] not in ".-" and part[-1] != "." and not {part[0], part[-1]} & WHITE, "part of a path")
            need(not set(part) & set('\\:*?"<>|') and not DEVICE.fullmatch(part), "part of a path")
        lower = path.lower()  # silent: whether a folder is compared in lower case, too
        need(lower not in seen, "path twice")
        seen.add(lower)
        folders.update(lower[:i] for i, c in enumerate(lower) if c == "/")
        out.append((m[3], bytes.fromhex(m[1].decode()), number(m[2])))
    need(len(out) + 2 <= 65002 and not seen & folders, "too many files, or one the folder of another")
    return out


def lacks_receipts(files):
    """Whether there is none but that of the manifest, or a work has none."""
    works = [p for p in files if p.startswith(b"works/") and not p.endswith((b".timemark", b".certificate.pdf"))]
    return sum(p.endswith(b".timemark") for p in files) == 1 or any(p + b".timemark" not in files for p in works)


def read_bundle(data):
    """{path: bytes}, in the order of the manifest, read as a stream."""
    need(len(data) < 2**32, "bundle.zip", Stop)
    at = 0

    def take(size):
        nonlocal at
        need(at + size <= len(data), "bundle.missing" if not directory else "bundle.zip", Stop)
        at += size
        return data[at - size:at]

    directory = False
    files, offsets = {}, []  # offsets: (shared fields, offset, name)
    expected = [(b"manifest.txt", None, None), (b"manifest.txt.timemark", None, None)]
    while len(files) < len(expected):
        name, digest, length = expected[len(files)]
        offset, signature = at, take(4)
        need(signature not in (b"PK\1\2", b"PK\5\6"), "bundle.missing", Stop)
        need(signature == b"PK\3\4", "bundle.zip", Stop)
        shared = take(26)
        crc, size, again, name_length, extra = struct.unpack("<IIIHH", shared[10:])
        need(shared[:10] == bytes.fromhex("14000008000000002100") and size == again and extra == 0, "bundle.zip", Stop)
        need(take(name_length) == name and length in (None, size), "bundle.file", Stop)
        need(files or size <= 16 * MIB, "bundle.manifest", Stop)
        longest = 8 * MIB if name.endswith(b".timemark") else MIB if name == b"policy.txt" else size
        need(size <= longest, "bundle.file", Stop)
        body = take(size)
        need(zlib.crc32(body) == crc and digest in (None, sha256(body)), "bundle.file", Stop)
        files[name] = body
        offsets.append((shared, offset, name))
        if len(files) == 1:
            with spelled_for("bundle.manifest"):
                expected += read_manifest(body)
    start = at
    directory = data[at:at + 4] != b""
    need(data[at:at + 4] != b"PK\3\4", "bundle.file", Stop)
    for shared, offset, name in offsets:
        entry = b"PK\1\2\x14\3" + shared + bytes(8) + b"\xA4\x81" + struct.pack("<I", offset) + name
        need(take(len(entry)) == entry, "bundle.zip", Stop)
    end = b"PK\5\6" + bytes(4) + struct.pack("<HHII", len(files), len(files), at - start, start) + bytes(2)
    need(take(len(end)) == end and at == len(data), "bundle.zip", Stop)
    need(not lacks_receipts(files), "bundle.missing", Stop)  # silent: whether anything of step 1 comes before this
    return files


def verify_bundle(data, policy, confirm, told):
    files = read_bundle(data)
    told["absent"] = sum(p.endswith(b".timemark") and p[:-9] not in files for p in files)  # works of which only the claim is there
    inside = files.get(b"policy.txt")
    if policy is None and inside is not None and sha256(inside).hex() == confirm:
        with spelled_for("policy.format"):
            policy = Policy(inside)
    # in the order of the files, so the manifest first; of equally bad ones `max` takes the first
    answers = [outcome(verify, files.get(p[:-9]), body, policy, True) for p, body in files.items() if p.endswith(b".timemark")]
    verdict, check, time = max(answers, key=lambda answer: ("verified", "undecided", "refused").index(answer[0]))
    if check:
        raise Stop(check, verdict)
    return time


# ---------------------------------------------------------------- command line

def judge(bundle=None, work=None, receipt=None, policy=None, confirm=None):
    """All arguments are bytes but `confirm`. Of a bundle that could be read, it is told how many works are absent."""
    told = {}

    def checked():
        with spelled_for("policy.format", "undecided"):
            trusted = None if policy is None else Policy(policy)
        return verify(work, receipt, trusted) if bundle is None else verify_bundle(bundle, trusted, confirm, told)

    verdict, check, time = outcome(checked)
    if time is not None:  # silent: what becomes of a time behind the year 9999, which cannot be spelled
        time = datetime.fromtimestamp(time, timezone.utc).isoformat()[:19] + "Z" if time < 253402300800 else None
    return {"verdict": verdict, "check": check, "existed_by": time, **told}


def cases(folder, name):
    for line in (folder / name).read_text("utf-8").splitlines():
        case = json.loads(line)
        files = {k: (folder / case[k]).read_bytes() for k in ("work", "receipt", "policy", "bundle") if case.get(k)}
        yield case, {**files, "confirm": case.get("confirm")}


def vectors(folder):
    bad = 0
    for case, files in cases(folder, "vectors.jsonl"):
        answer = judge(**files)
        got = {k: answer[k] for k in ("verdict", "check", "existed_by")}
        ok = all(got[k] == case.get(k) for k in got)
        bad += not ok
        print(json.dumps({"name": case["name"], **got, "ok": ok}), flush=True)
    return 1 if bad else 0


def sweep(folder, every):
    for case, files in cases(folder, "sweep.jsonl"):
        part = "bundle" if "bundle" in files else "receipt"
        whole = files[part]
        start, size = 0, len(whole)
        if part == "bundle":  # the manifest is the first file
            start, size = 30 + struct.unpack("<H", whole[26:28])[0], struct.unpack("<I", whole[22:26])[0]
        raw, resealed = {}, []
        for bit in range(0, 8 * size, every):
            data = bytearray(whole)
            data[start + bit // 8] ^= 1 << bit % 8
            got = judge(**{**files, part: bytes(data)})
            name = got["check"] or got["verdict"]
            raw[name] = raw.get(name, 0) + 1
            if part == "receipt":
                data[-65:-1] = hashlib.sha256(data[:-75]).hexdigest().encode()
                data[-75:-65], data[-1:] = b"== sha256 ", b"\n"
            else:
                crc = struct.pack("<I", zlib.crc32(data[start:start + size]))
                entry = struct.unpack("<I", whole[-6:-2])[0]  # the manifest's is the first of the directory
                data[14:18] = data[entry + 16:entry + 20] = crc
            got = judge(**{**files, part: bytes(data)})
            resealed.append([bit, got["verdict"], got["check"], got["existed_by"]])
        print(json.dumps({"name": case["name"], "raw": raw, "resealed": resealed}), flush=True)
    return 0


def main():
    global REMARKS
    parser = argparse.ArgumentParser(add_help=False)
    parser.error = lambda message: parser.exit(64, __doc__)  # 2 would say "undecided"
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--confirm")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--sweep", type=Path)
    parser.add_argument("--every", type=int, default=97)
    parser.add_argument("--remarks", action="store_true")
    given = parser.parse_args()
    REMARKS = given.remarks
    if given.vectors or given.sweep:
        return vectors(given.vectors) if given.vectors else sweep(given.sweep, given.every)
    files = [f.read_bytes() for f in given.files]
    receipt = len(files) == 2 and files[1].startswith((b"timemark-receipt", b"%PDF-"))
    bundle = len(files) == 1 or len(files) == 2 and files[0].startswith(b"PK\3\4") and not receipt
    if not 1 <= len(files) <= (2 if bundle else 3):
        parser.error("number of files")
    answer = judge(**dict(zip(("bundle", "policy") if bundle else ("work", "receipt", "policy"), files)), confirm=given.confirm)
    print(json.dumps(answer))
    return ["verified", "refused", "undecided"].index(answer["verdict"])


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)  # a policy may nest 1,024 groups
    try:
        sys.exit(main())
    except Exception:  # an error is no verdict: 1 would say "refused"
        traceback.print_exc()
        sys.exit(70)
