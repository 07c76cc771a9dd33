//! A small JPEG of what may be a picture, within the limits of decoding.

use std::io::{self, Read};

use timemark_store::BlobError;
use timemark_verify::ContentId;

use crate::Engine;
use crate::media::{self, Limits, MediaError};

/// Why there is no small picture.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// It is no picture, or none that may be decoded.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Its bytes could not be read.
    #[error("the picture cannot be read")]
    Unreadable(#[from] io::Error),
    /// The work is not in the archive, or its store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Draws the picture in this file so that its longer side has at most so many pixels. The same file gives the same
/// bytes.
pub fn preview(mut file: impl Read, side_max: u32) -> Result<Vec<u8>, PreviewError> {
    let mut bytes = Vec::new();
    (&mut file).take(media::START_BYTES as u64).read_to_end(&mut bytes)?;
    // What is no picture need not be read to its end.
    if !media::has_picture_signature(&bytes) {
        return Err(MediaError::NotAPicture.into());
    }
    let rest = media::FILE_BYTES_MAX + 1 - bytes.len() as u64;
    file.take(rest).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > media::FILE_BYTES_MAX {
        let reason = format!("more than {} bytes", media::FILE_BYTES_MAX);
        return Err(MediaError::TooLarge { reason }.into());
    }
    let picture = media::decode(&bytes, &Limits::default())?;
    drop(bytes);
    Ok(media::thumbnail_jpeg(&picture, side_max)?)
}

impl Engine {
    /// Draws a work that the archive keeps, as [`preview`] does, while one of the few threads that may decode.
    pub fn preview(&self, work: &ContentId, side_max: u32) -> Result<Vec<u8>, PreviewError> {
        let _decoder = self.decoders.take();
        preview(self.works.get(work)?, side_max)
    }
}
