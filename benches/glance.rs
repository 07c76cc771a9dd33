//! By how many bits do the codes of a picture's brightness, as a scan at fast depth computes them, differ from those of the
//! picture in colour, and how long does each take?

mod measure;

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use measure::{Report, median_seconds, quantile};
use timemark_ingest::media::{self, Limits};
use timemark_vision::{Luma, Pdq};

fn main() -> Result<()> {
    let dir = measure::pictures_given().unwrap_or_else(|| measure::in_workspace("samples/works"));
    let mut report = Report::open("glance")?;
    let mut files = Vec::new();
    for path in measure::files(&dir)?.into_iter().take(FILES_MAX) {
        let bytes = fs::read(path)?;
        if media::luma(&bytes, &Limits::default()).is_some() {
            files.push(bytes);
        }
    }
    ensure!(!files.is_empty(), "there are no JPEGs in {}", dir.display());
    distances(&mut report, &files)?;
    let some = &files[..files.len().min(TIMED_MAX)];
    let lumas: Vec<Luma> =
        some.iter().filter_map(|bytes| media::luma(bytes, &Limits::default())).collect();
    let each = |seconds: f64| seconds * 1e3 / some.len() as f64;
    let note = format!("{} JPEGs; one thread", some.len());
    let decode = median_seconds(DURATION, || {
        some.iter().filter(|bytes| media::decode(bytes, &Limits::default()).is_ok()).count()
    });
    report.row("decode", each(decode), "ms/picture", &note)?;
    let luma = median_seconds(DURATION, || {
        some.iter().filter_map(|bytes| media::luma(bytes, &Limits::default())).count()
    });
    report.row("luma", each(luma), "ms/picture", &note)?;
    let pdq = median_seconds(DURATION, || lumas.iter().filter_map(code).count());
    report.row("pdq_of_luma", each(pdq), "ms/picture", &note)
}

/// How far the codes of brightness and those of colours are apart.
fn distances(report: &mut Report, files: &[Vec<u8>]) -> Result<()> {
    let (mut bits, mut qualities) = (Vec::new(), Vec::new());
    for bytes in files {
        let picture = media::decode(bytes, &Limits::default())?;
        let whole = Pdq::of_rgb(&picture.rgb, picture.width, picture.height);
        let luma = media::luma(bytes, &Limits::default());
        let (Some(whole), Some(quick)) = (whole, luma.as_ref().and_then(code)) else { continue };
        if whole.quality < QUALITY_MIN {
            continue;
        }
        bits.push(f64::from(whole.codes[0].distance(&quick.codes[0])));
        qualities.push(f64::from(whole.quality.abs_diff(quick.quality)));
    }
    ensure!(!bits.is_empty(), "no picture has enough detail");
    let mean = bits.iter().sum::<f64>() / bits.len() as f64;
    let note = format!("of {}: mean {mean:.2}", bits.len());
    for (name, share) in [("median", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0)] {
        report.row(&format!("bits_{name}"), quantile(&mut bits, share), "bits", &note)?;
    }
    report.row("quality_most", quantile(&mut qualities, 1.0), "of 100", &note)
}

fn code(luma: &Luma) -> Option<Pdq> {
    Pdq::of_luma(luma, luma.frame())
}

const FILES_MAX: usize = 4000;
/// Below, a scan compares no codes.
const QUALITY_MIN: u8 = 20;
const TIMED_MAX: usize = 1000;
const DURATION: Duration = Duration::from_secs(2);
