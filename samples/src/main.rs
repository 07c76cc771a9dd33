//! Draws the sample works, edits copies of them, and writes down which copy came from which work; writes a model.
//!
//! Every picture is drawn here, so every pixel is ours to give away.

mod canvas;
mod chance;
mod edits;
mod figures;
mod network;
mod patterns;
mod scenery;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageFormat, RgbImage};

use edits::{EDITS, Edit};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: timemark-samples DIR")?;
    let folder = PathBuf::from(folder);
    let (works, suspects) = (folder.join("works"), folder.join("suspects"));
    fs::create_dir_all(&works)?;
    fs::create_dir_all(&suspects)?;

    fs::write(works.join("manifesto.txt"), MANIFESTO)?;
    for (name, draw) in WORKS {
        let picture = draw();
        save(&picture, &works.join(name), QUALITY)?;
        for (suspect, _, _, edit) in EDITS.iter().filter(|row| row.2 == name) {
            pass_on(&picture, &works.join(name), edit, &suspects.join(suspect))?;
        }
    }
    fs::write(suspects.join("notes.txt"), MANIFESTO)?;
    for (name, draw) in UNRELATED {
        save(&draw(), &suspects.join(name), PASSED_ON)?;
    }
    fs::write(suspects.join("truth.csv"), truth())?;
    fs::write(folder.join("thumbnail.onnx"), network::thumbnail())?;
    Ok(())
}

/// Makes one edited copy of a picture, or of its file.
fn pass_on(picture: &RgbImage, file: &Path, edit: &Edit, suspect: &Path) -> Result<()> {
    match edit {
        Edit::Copied => Ok(fs::copy(file, suspect).map(drop)?),
        Edit::Recompressed(quality) => save(picture, suspect, *quality),
        Edit::Changed(change) => save(&change(picture), suspect, PASSED_ON),
    }
}

/// Writes a picture in the format its name asks for, in one channel when it has no colour.
fn save(picture: &RgbImage, path: &Path, quality: u8) -> Result<()> {
    let grey = picture.pixels().all(|pixel| pixel.0 == [pixel.0[0]; 3]);
    let picture = DynamicImage::from(picture.clone());
    let picture = if grey { DynamicImage::from(picture.to_luma8()) } else { picture };

    let mut file = Cursor::new(Vec::new());
    match ImageFormat::from_path(path)? {
        ImageFormat::Jpeg => {
            picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, quality))?;
        }
        ImageFormat::Png => {
            let (effort, filter) = (CompressionType::Best, FilterType::Adaptive);
            picture.write_with_encoder(PngEncoder::new_with_quality(&mut file, effort, filter))?;
        }
        format => picture.write_to(&mut file, format)?,
    }
    fs::write(path, file.into_inner())
        .with_context(|| format!("could not write {}", path.display()))
}

/// The answer sheet: which work each suspect was made from, and how.
fn truth() -> String {
    let mut sheet = String::from("suspect,edit,work\nnotes.txt,exact copy,manifesto.txt\n");
    for (suspect, words, work, _) in EDITS {
        sheet += &format!("{suspect},{words},{work}\n");
    }
    for (suspect, _) in UNRELATED {
        sheet += &format!("{suspect},unrelated,\n");
    }
    sheet
}

type Drawing = (&'static str, fn() -> RgbImage);

const WORKS: [Drawing; 12] = [
    ("山水.jpg", scenery::mountains),
    ("the-wave.jpg", scenery::wave),
    ("harbour-at-dusk.jpg", scenery::harbour),
    ("city-at-night.png", scenery::city),
    ("ringed-planet.jpg", scenery::planet),
    ("still-life-with-fruit.jpg", figures::fruit),
    ("two-sided-face.png", figures::face),
    ("autumn-tree.jpg", figures::tree),
    ("paper-koi.webp", figures::koi),
    ("leaded-window.jpg", patterns::glass),
    ("woven-cloth.gif", patterns::cloth),
    ("raked-garden.bmp", patterns::garden),
];

const UNRELATED: [Drawing; 5] = [
    ("unrelated-hills.jpg", scenery::hills),
    ("unrelated-skyline.jpg", scenery::skyline),
    ("unrelated-composition.png", patterns::composition),
    ("unrelated-fractal.jpg", patterns::fractal),
    ("unrelated-pebbles.jpg", patterns::pebbles),
];

/// JPEG quality of what is passed on.
const PASSED_ON: u8 = 70;

/// JPEG quality of the works themselves.
const QUALITY: u8 = 88;

const MANIFESTO: &str = "\
A work is finished twice: once when the hand lets go of it,
and once when the world can say since when it has been there.
We write down the second moment, so that nobody has to be believed.

作品有两次完成：一次是放下笔的时候，
一次是世人能够说出它从何时起就在那里的时候。
我们记下后一刻，从此无须谁来担保。
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_sheet_is_the_committed_one() {
        assert_eq!(truth(), include_str!("../suspects/truth.csv"));
    }

    #[test]
    fn the_model_is_the_committed_one() {
        assert_eq!(network::thumbnail(), include_bytes!("../thumbnail.onnx"));
    }

    #[test]
    fn every_edit_names_a_work() {
        for (suspect, _, work, _) in EDITS {
            assert!(WORKS.iter().any(|(name, _)| *name == work), "{suspect} was made from {work}");
        }
    }

    /// The two lossless pictures that are quick to draw stand for all.
    #[test]
    fn the_committed_pictures_are_drawn_again() {
        for (name, draw) in
            WORKS.iter().filter(|(name, _)| ["woven-cloth.gif", "paper-koi.webp"].contains(name))
        {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("works").join(name);
            assert!(image::open(&path).unwrap().to_rgb8() == draw(), "{name} differs");
        }
    }
}
