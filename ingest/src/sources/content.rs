//! What is to be compared: a picture as a whole, of everything else the digest.

use std::io::{self, BufRead};

use sha2::{Digest, Sha256};
use timemark_verify::ContentId;

use crate::media::{FILE_BYTES_MAX, START_BYTES, has_picture_signature};

/// What a suspect holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It begins as a picture. The digest is left to [`Content::id`], which need not be asked on the thread
    /// that reads.
    Picture(Vec<u8>),
    /// It begins as a picture and is too long to be looked at.
    LongPicture(ContentId),
    /// It is compared by its digest alone.
    NoPicture(ContentId),
}

impl Content {
    /// The SHA-256 of all its bytes. Of a picture it is computed anew with each call.
    pub fn id(&self) -> ContentId {
        match self {
            Content::Picture(bytes) => ContentId::of(bytes),
            Content::LongPicture(id) | Content::NoPicture(id) => *id,
        }
    }

    /// The bytes of memory that it takes, as far as that matters.
    pub fn bytes_held(&self) -> usize {
        if let Content::Picture(bytes) = self { bytes.len() } else { 0 }
    }

    /// Reads what begins with `start` and goes on with `rest`, which is no longer than `expected` as far as
    /// anybody knows. `start` holds [`START_BYTES`] unless there are fewer.
    pub(super) fn read(
        start: Vec<u8>,
        rest: &mut dyn BufRead,
        expected: Option<u64>,
    ) -> io::Result<Content> {
        if has_picture_signature(&start) {
            return Content::read_picture(start, rest, expected);
        }
        Ok(Content::NoPicture(digest(&start, rest)?))
    }

    fn read_picture(
        mut bytes: Vec<u8>,
        rest: &mut dyn BufRead,
        expected: Option<u64>,
    ) -> io::Result<Content> {
        // As long as it is said to be; but words are cheap.
        let expected = usize::try_from(expected.unwrap_or(0)).unwrap_or(usize::MAX);
        bytes.reserve_exact(expected.min(RESERVED_BYTES_MAX).saturating_sub(bytes.len()));
        while bytes.len() as u64 <= FILE_BYTES_MAX {
            let more = rest.fill_buf()?;
            if more.is_empty() {
                return Ok(Content::Picture(bytes));
            }
            let length = more.len();
            bytes.extend_from_slice(more);
            rest.consume(length);
        }
        Ok(Content::LongPicture(digest(&bytes, rest)?))
    }
}

/// The digest of what begins with `start` and goes on with `rest`.
pub(super) fn digest(start: &[u8], rest: &mut dyn BufRead) -> io::Result<ContentId> {
    let mut sha256 = Sha256::new_with_prefix(start);
    loop {
        let more = rest.fill_buf()?;
        if more.is_empty() {
            return Ok(ContentId::from_sha256(sha256.finalize().into()));
        }
        let length = more.len();
        sha256.update(more);
        rest.consume(length);
    }
}

/// Reads what content is told by.
pub(super) fn read_start(from: &mut dyn BufRead, start: &mut Vec<u8>) -> io::Result<()> {
    while start.len() < START_BYTES {
        let more = from.fill_buf()?;
        if more.is_empty() {
            break;
        }
        let length = more.len().min(START_BYTES - start.len());
        start.extend_from_slice(&more[..length]);
        from.consume(length);
    }
    Ok(())
}

/// Memory that is asked for on the mere word of a header.
const RESERVED_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_kept_and_the_rest_is_hashed() {
        let picture = [b"\x89PNG\r\n\x1A\n".as_slice(), &[7; 10_000]].concat();
        let text = vec![b'a'; 10_000];
        for (bytes, is_picture) in [(&picture, true), (&text, false), (&Vec::new(), false)] {
            let (mut start, mut from) = (Vec::new(), &bytes[..]);
            read_start(&mut from, &mut start).unwrap();
            assert_eq!(start.len(), bytes.len().min(START_BYTES));
            for expected in [None, Some(0), Some(u64::MAX)] {
                let content = Content::read(start.clone(), &mut { from }, expected).unwrap();
                assert_eq!(content.id(), ContentId::of(bytes));
                assert_eq!(matches!(&content, Content::Picture(kept) if kept == bytes), is_picture);
            }
        }
    }
}
