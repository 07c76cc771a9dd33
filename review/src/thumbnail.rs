//! A small JPEG of what may be a picture, within the limits of decoding.

use std::io::{self, Read};

use timemark_ingest::media::{self, Limits, MediaError};

/// Draws the picture in this file so that its longer side has at most so many pixels. The same file gives the same
/// bytes.
pub fn jpeg(mut file: impl Read, side_max: u32) -> Result<Vec<u8>, ThumbnailError> {
    let mut bytes = Vec::new();
    (&mut file).take(media::START_BYTES as u64).read_to_end(&mut bytes)?;
    // What is no picture need not be read to its end.
    if !media::has_picture_signature(&bytes) {
        return Err(MediaError::NotAPicture.into());
    }
    let rest = media::FILE_BYTES_MAX + 1 - bytes.len() as u64;
    file.take(rest).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > media::FILE_BYTES_MAX {
        return Err(ThumbnailError::TooLong);
    }
    let picture = media::decode(&bytes, &Limits::default())?;
    drop(bytes);
    Ok(media::thumbnail_jpeg(&picture, side_max)?)
}

/// Longer side of the thumbnails of matches: some 15 to 30 KB.
pub const SIDE_MAX: u32 = crate::drawing::SIDE_MAX as u32;

/// Why there is no small picture of a file.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    /// It is no picture, or cannot be decoded within limits.
    #[error(transparent)]
    Picture(#[from] MediaError),
    /// It is longer than any picture that is decoded.
    #[error("a picture file that is too long")]
    TooLong,
}
