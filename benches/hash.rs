//! How long does the PDQ code of a picture take, with its eight positions, beside `pdqhash`?
//!
//! One thread, real pictures, the same pixels for both.

mod measure;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use measure::{Report, median_seconds};
use serde::Deserialize;
use timemark_ingest::media::{self, Limits};
use timemark_vision::{Pdq, Picture};

fn main() -> Result<()> {
    check_known_code()?;
    let dir = measure::pictures_given().unwrap_or_else(|| measure::in_workspace("samples/works"));
    let (files, pictures) = read(&dir)?;
    let pixels: usize = pictures.iter().map(|picture| picture.rgb.len() / 3).sum();
    let megapixels = pixels as f64 / pictures.len() as f64 / 1e6;
    let note = format!("{} pictures of {megapixels:.2} megapixels; one thread", pictures.len());
    let mut report = Report::open("hash")?;

    let ms_each = |seconds: f64| seconds * 1e3 / pictures.len() as f64;
    let ours = ms_each(median_seconds(DURATION, || {
        pictures.iter().filter(|picture| pdq(picture).is_some()).count()
    }));
    report.row("pdq", ours, "ms/picture", &note)?;
    let decode = ms_each(median_seconds(DURATION, || {
        files.iter().filter(|file| media::decode(file, &Limits::default()).is_ok()).count()
    }));
    report.row("decode", decode, "ms/picture", &note)?;
    let both = ms_each(median_seconds(DURATION, || {
        files.iter().filter_map(|f| pdq(&media::decode(f, &Limits::default()).ok()?)).count()
    }));
    report.row("decode_and_pdq", both, "ms/picture", &note)?;

    let Some(peer) = ask_pdqhash(&pictures)? else { return Ok(()) };
    let (all, first) = (ms_each(peer.dihedral_seconds), ms_each(peer.compute_seconds));
    report.row("pdqhash_compute_dihedral", all, "ms/picture", "Python; the same eight codes")?;
    report.row("pdqhash_compute", first, "ms/picture", "Python; the first code only")?;
    report.row("pdqhash_compute_dihedral/pdq", all / ours, "times", "")?;
    report.row("pdqhash_compute/pdq", first / ours, "times", "")
}

/// Computed with pdqhash 0.2.8 from the pixels of this PNG.
fn check_known_code() -> Result<()> {
    let path = measure::in_workspace("samples/works/city-at-night.png");
    let picture = media::decode(&fs::read(path)?, &Limits::default())?;
    let pdq = pdq(&picture).context("it has a code")?;
    ensure!(pdq.codes[0].to_string() == KNOWN_CODE, "not the known code: {}", pdq.codes[0]);
    Ok(())
}

/// The pictures of a folder, as files and as pixels. Which of them are pictures, the decoder tells.
fn read(dir: &Path) -> Result<(Vec<Vec<u8>>, Vec<Picture>)> {
    let (mut files, mut pictures, mut bytes) = (Vec::new(), Vec::new(), 0);
    for path in measure::files(dir)? {
        let file = fs::read(path)?;
        let Ok(picture) = media::decode(&file, &Limits::default()) else { continue };
        if pdq(&picture).is_none() {
            continue; // too small for a code
        }
        bytes += picture.rgb.len();
        if bytes > RGB_BYTES_MAX {
            eprintln!("only the first {} pictures fit in {RGB_BYTES_MAX} bytes", files.len());
            break;
        }
        files.push(file);
        pictures.push(picture);
    }
    ensure!(!files.is_empty(), "there are no pictures in {}", dir.display());
    Ok((files, pictures))
}

fn pdq(picture: &Picture) -> Option<Pdq> {
    Pdq::of_rgb(&picture.rgb, picture.width, picture.height)
}

/// What `peers/pdqhash_time.py` answers.
#[derive(Deserialize)]
struct Peer {
    pictures: Vec<PeerCodes>,
    dihedral_seconds: f64,
    compute_seconds: f64,
}

#[derive(Deserialize)]
struct PeerCodes {
    codes: Vec<String>,
    quality: u8,
}

/// Lets `pdqhash` do the same and compares every bit. `None` where it is not installed.
fn ask_pdqhash(pictures: &[Picture]) -> Result<Option<Peer>> {
    let python = std::env::var_os("TIMEMARK_PDQHASH_PYTHON")
        .map_or_else(|| measure::in_workspace("target/peers/venv/bin/python"), PathBuf::from);
    if !python.exists() {
        eprintln!("SKIPPED: pdqhash, as there is no {} (see benches/README.md)", python.display());
        return Ok(None);
    }
    let script = measure::in_workspace("benches/peers/pdqhash_time.py");
    let mut child = Command::new(&python)
        .arg(script)
        .arg(DURATION.as_secs().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| python.display().to_string())?;
    // It reads everything before it answers anything, so neither waits for the other.
    let mut stdin = child.stdin.take().context("its input is a pipe")?;
    for picture in pictures {
        stdin.write_all(&picture.width.to_le_bytes())?;
        stdin.write_all(&picture.height.to_le_bytes())?;
        stdin.write_all(&picture.rgb)?;
    }
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "pdqhash failed");

    let peer: Peer = serde_json::from_slice(&output.stdout)?;
    ensure!(peer.pictures.len() == pictures.len(), "pdqhash saw other pictures");
    for (picture, theirs) in pictures.iter().zip(&peer.pictures) {
        let ours = pdq(picture).context("it has a code")?;
        let codes = ours.codes.map(|code| code.to_string());
        // `compute_dihedral` lacks the reference's shortcut for 64 x 64.
        let compared = if (picture.width, picture.height) == (64, 64) { 1 } else { codes.len() };
        let same = codes[..compared] == theirs.codes[..compared] && ours.quality == theirs.quality;
        ensure!(same, "pdqhash differs for a picture of {} x {}", picture.width, picture.height);
    }
    Ok(Some(peer))
}

const DURATION: Duration = Duration::from_secs(3);
const RGB_BYTES_MAX: usize = 1 << 30;
const KNOWN_CODE: &str = "e3e59f19739a31196398b33957b9a44418e6cce60cc69e67dce661d026997319";
