//! A small JPEG of what may be a picture, within the limits of decoding.

use std::io::Read;

use anyhow::{Result, ensure};
use timemark_ingest::media::{self, Limits, MediaError};

/// Draws the picture in this file so that its longer side has at most so many pixels. The same file gives the same
/// bytes.
pub(crate) fn jpeg(mut file: impl Read, side_max: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut file).take(media::START_BYTES as u64).read_to_end(&mut bytes)?;
    // What is no picture need not be read to its end.
    ensure!(media::has_picture_signature(&bytes), MediaError::NotAPicture);
    let rest = media::FILE_BYTES_MAX + 1 - bytes.len() as u64;
    file.take(rest).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= media::FILE_BYTES_MAX, "a picture file that is too long");
    let picture = media::decode(&bytes, &Limits::default())?;
    drop(bytes);
    Ok(media::thumbnail_jpeg(&picture, side_max)?)
}
