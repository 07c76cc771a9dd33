//! Writes the seeds that need witnesses, from the same world that the target `verify` knows, and
//! one tiny picture and one small archive per format.

use std::io::{Cursor, Write};
use std::path::Path;
use std::{fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use timemark_fuzz::car::{CarError, CarWriter};
use timemark_fuzz::dag::{Codec, DagCid};
use timemark_fuzz::witness_request::AddCheckpoint;
use timemark_fuzz::world::{World, key};
use timemark_verify::merkle::empty_root;
use timemark_verify::{
    Action, Checkpoint, EvidenceRecord, Fingerprint, KeyKind, Leaf, ReducedHashTree, Timestamp,
};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn main() -> io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: String, seed: &[u8]| -> io::Result<()> {
        fs::create_dir_all(seeds.join(target))?;
        fs::write(seeds.join(target).join(name), seed)
    };
    let world = World::new();
    for (number, receipt) in world.receipts.iter().enumerate() {
        write("verify", format!("{number}.timemark"), receipt.to_string().as_bytes())?;
    }
    let cosigned = &world.receipts[6]; // two anchors, the first with a time-stamp
    write("receipt", "cosigned.timemark".to_owned(), cosigned.to_string().as_bytes())?;
    write("tlog_proof", "cosigned".to_owned(), cosigned.anchors[0].to_tlog_proof().as_bytes())?;
    write("claim", "signed".to_owned(), cosigned.claim.to_text().as_bytes())?;
    let action = Action {
        actor: "acc-reviewer".to_owned(),
        action: "match.verdict".to_owned(),
        subject: Some("match 12".to_owned()),
        detail: Some("infringing\n100 %".to_owned()),
        stated_at: 2_000_000_000,
        salt: [9; 32],
    };
    write("action", "verdict".to_owned(), action.to_text().as_bytes())?;
    write("leaf", "work".to_owned(), &Leaf::of(&cosigned.claim).to_bytes())?;
    write("leaf", "other-kind".to_owned(), b"\x02later")?;
    let id = cosigned.claim.work.content();
    write("content_id", "cid".to_owned(), id.to_string().as_bytes())?;
    let code = Fingerprint([1, 2, 3, u64::MAX]);
    write("fingerprint", "code".to_owned(), code.to_string().as_bytes())?;
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors");
    for name in ["bundle.zip", "certificate.pdf"] {
        // The target takes the first byte for the length of its pieces.
        let seed = [&[u8::MAX][..], &fs::read(vectors.join(name))?].concat();
        write("bundle", name.to_owned(), &seed)?;
    }
    for (number, note) in world.notes.iter().enumerate() {
        write("note", format!("cosigned-{number}"), note.to_string().as_bytes())?;
        write("checkpoint", format!("cosigned-{number}"), note.text().as_bytes())?;
    }
    let extended = format!("{}an extension line\n", world.notes[0].text());
    write("checkpoint", "extended".to_owned(), extended.as_bytes())?;
    let size = |number: usize| Checkpoint::of_note(&world.notes[number]).map(|c| c.size);
    for (name, old, note) in [("first", Ok(0), 0), ("grown", size(0), 1), ("again", size(1), 1)] {
        let old = old.expect("a checkpoint");
        let proof = if name == "grown" { vec![empty_root(); 3] } else { Vec::new() };
        let request = AddCheckpoint { old, proof, note: world.notes[note].clone() };
        write("witness_request", name.to_owned(), request.to_string().as_bytes())?;
    }
    for (name, kind) in [("log", KeyKind::Ed25519), ("witness", KeyKind::CosignatureV1)] {
        write("vkey", name.to_owned(), key(1, kind).to_string().as_bytes())?;
    }
    write("policy", "two-of-three".to_owned(), world.policy_file.as_bytes())?;
    let nested = world.policy_file.replace(
        "group two-of-three 2 W11 W12 W13\nquorum two-of-three",
        "group a any W11 W12\ngroup b\tall a W13\nquorum b",
    );
    write("policy", "nested".to_owned(), nested.as_bytes())?;
    let log_alone = format!("log {}\nquorum none\n", key(1, KeyKind::Ed25519));
    write("policy", "log-alone".to_owned(), log_alone.as_bytes())?;
    write("text_escape", "spelled".to_owned(), "山水 100%25 a%0Ab %FF%20".as_bytes())?;
    write("text_escape", "plain".to_owned(), b" a\nb \xFF\xE2\x80\x8B ")?;
    for (name, token) in TIMESTAMPS {
        write("timestamp", name.to_owned(), token)?;
    }
    for (name, token) in TIMESTAMPS {
        let Ok(timestamp) = Timestamp::of_response(token).or_else(|_| Timestamp::of_token(token))
        else {
            continue;
        };
        let record = EvidenceRecord::new(timestamp, ReducedHashTree::default());
        write(
            "evidence_record",
            name.split('.').next().unwrap_or(name).to_owned(),
            &record.to_der(),
        )?;
    }
    for (name, behind) in REQUESTS {
        let fields = [&REQUEST[2..], behind].concat();
        let request = [&[0x30, fields.len() as u8], &fields[..]].concat();
        write("tsa_request", name.to_owned(), &request)?;
    }
    for format in FORMATS {
        let extension = format.extensions_str()[0];
        write("picture", format!("rgb.{extension}"), &picture(format))?;
    }
    for (name, archive) in archives() {
        write("archive", name.to_owned(), &archive)?;
    }
    for (name, records) in web_archives() {
        write("warc", name.to_owned(), &records)?;
    }
    for (name, archive) in block_archives()? {
        write("car", name.to_owned(), &archive)?;
    }
    let mut turned = picture(ImageFormat::Jpeg);
    turned.splice(2..2, EXIF_TURNED.iter().copied());
    write("picture", "turned.jpg".to_owned(), &turned)
}

fn picture(format: ImageFormat) -> Vec<u8> {
    let pixels = RgbImage::from_fn(16, 12, |x, y| Rgb([16 * x as u8, 20 * y as u8, 128]));
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut file, format).expect("memory takes every write");
    file.into_inner()
}

/// A picture and a text in every kind of archive, and archives in each other.
fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let gif = picture(ImageFormat::Gif);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [("a/rgb.gif", &gif[..]), ("words.txt", b"words words words words")] {
        zip.start_file(name, SimpleFileOptions::default()).expect("a new name");
        zip.write_all(bytes).expect("memory takes every write");
    }
    let zip = zip.finish().expect("memory takes every write").into_inner();
    let tar = [
        tar_entry(b'x', "pax", b"20 path=long/rgb.gif\n"),
        tar_entry(b'0', "rgb.gif", &gif),
        tar_entry(b'L', "", b"a/long/name.zip\0"),
        tar_entry(b'0', "name.zip", &zip),
        vec![0; 1024],
    ]
    .concat();
    let zstd = compress_to_vec(&tar[..], CompressionLevel::Fastest);
    vec![
        ("nested.tar.gz", gzip(&tar)),
        ("nested.tar.zst", zstd),
        ("twice.gz", gzip(&gzip(b"words words words words"))),
        ("plain.tar", tar),
        ("plain.zip", zip),
    ]
}

/// Archives of blocks: of two files, of none, of version 2; and nodes of a file, a folder and a part of a large one.
fn block_archives() -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let raw = DagCid::of_block(Codec::Raw, b"words");
    let roots = [raw, DagCid::of_block(Codec::Raw, b"")];
    let write = |roots: &[DagCid], files: &[&[u8]]| -> Result<Vec<u8>, CarError> {
        let mut writer = CarWriter::new(Vec::new(), roots)?;
        files.iter().try_for_each(|file| writer.add(&mut &**file).map(drop))?;
        writer.finish()
    };
    let files = write(&roots, &[b"words", b""]).map_err(io::Error::other)?;
    let none = write(&[], &[]).map_err(io::Error::other)?;
    let bounds = [51u64, files.len() as u64, 0].map(u64::to_le_bytes).concat();
    let second = [b"\x0A\xA1\x67version\x02", &[0; 16][..], &bounds, &files].concat();
    let link = |name: &str| {
        let name = [&[0x12, name.len() as u8], name.as_bytes()].concat();
        let link = [&[0x0A, 36], &raw.to_bytes()[..], &name, &[0x18, 5]].concat();
        [&[0x12, link.len() as u8], &link[..]].concat()
    };
    let node = |links: &[Vec<u8>], unixfs: &[u8]| {
        [&links.concat()[..], &[0x0A, unixfs.len() as u8], unixfs].concat()
    };
    Ok(vec![
        ("files", files),
        ("none", none),
        ("version-2", second),
        ("inline", node(&[], b"\x08\x02\x12\x03abc\x18\x03")),
        ("node", node(&[link(""), link("")], b"\x08\x02\x18\x0A\x20\x05\x20\x05")),
        ("folder", node(&[link("a"), link("b")], b"\x08\x01")),
        ("shard", node(&[link("00a"), link("07")], b"\x08\x05\x28\x22\x30\x80\x02")),
    ])
}

/// What follows a first record in a web archive.
fn web_archives() -> Vec<(&'static str, Vec<u8>)> {
    let gif = picture(ImageFormat::Gif);
    let chunked = |body: &[u8]| {
        let length = format!("{:x}\r\n", body.len());
        [length.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
    };
    let coded = |fields: &str, body: &[u8]| {
        let header = format!("HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n{fields}\r\n");
        let block = [header.as_bytes(), body].concat();
        let header = format!(
            "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: <http://a/b>\r\n\
            WARC-Date: 2026-11-28T12:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n\
            Content-Length: {}\r\n\r\n",
            block.len()
        );
        [header.as_bytes(), &block, b"\r\n\r\n"].concat()
    };
    let plain = coded("", &gif);
    let both =
        coded("Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", &chunked(&gzip(&gif)));
    vec![
        ("packed-by-record", [gzip(&plain), gzip(&both)].concat()),
        ("damaged-between", [&plain[..], b"no record\r\n\r\n", &both].concat()),
        ("body", chunked(&gzip(&gif))),
        ("plain", plain),
        ("chunked-gzip", both),
    ]
}

fn tar_entry(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let padding = vec![0; content.len().next_multiple_of(512) - content.len()];
    [&header[..], content, &padding].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).expect("memory takes every write");
    gzip.finish().expect("memory takes every write")
}

/// One response or token of each kind; `make.sh` beside them says what each is.
const TIMESTAMPS: [(&str, &[u8]); 7] = [
    ("rsa.tsr", include_bytes!("../../../verify/testdata/timestamp/rsa2048-sha256.tsr")),
    ("p256.tsr", include_bytes!("../../../verify/testdata/timestamp/p256-sha256.tsr")),
    ("no-cert.tsr", include_bytes!("../../../verify/testdata/timestamp/no-cert.tsr")),
    ("fraction.tsr", include_bytes!("../../../verify/testdata/timestamp/fraction.tsr")),
    ("refused.tsr", include_bytes!("../../../verify/testdata/timestamp/other-policy.tsr")),
    ("pss.tst", include_bytes!("../../../verify/testdata/timestamp/rsa4096-pss.tst")),
    ("certificate.der", include_bytes!("../../../verify/testdata/timestamp/root.der")),
];

const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Gif,
    ImageFormat::Bmp,
    ImageFormat::Tiff,
];

/// An APP1 segment whose EXIF holds an orientation (6, a quarter turn) and nothing else.
const EXIF_TURNED: &[u8] = b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\
    \x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

/// A TimeStampReq for the SHA-256 of nothing, and what may stand behind its imprint.
const REQUEST: &[u8] =
    b"\x30\x36\x02\x01\x01\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\0\
    \x04\x20\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\
    \x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55";
const REQUESTS: [(&str, &[u8]); 5] = [
    ("plain", b""),
    ("nonce", b"\x02\x08\x6b\x65\x65\x70\x20\x69\x74\x21"),
    ("nonce-certificates", b"\x02\x04\xff\x00\x00\x01\x01\x01\xff"),
    ("policy-certificates", b"\x06\x04\x2a\x03\x04\x01\x01\x01\xff"),
    ("extension", b"\xa0\x0d\x30\x0b\x06\x03\x2a\x03\x04\x01\x01\xff\x04\x01\x05"),
];
