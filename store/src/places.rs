//! Where the bytes of a work lie, and in which form: one small record for each work, beside the blobs.
//!
//! ```text
//! timemark-place v1
//! work <CID>                    SHA-256 of the work
//! dag <CID>                     UnixFS DAG root of the work, as an IPFS node gives it
//! length <decimal>              bytes of the work
//! stored <CID> <CID>            the blob that is kept, by content and by DAG; or `stored nothing`
//! encoding lepton age           how the work becomes that blob; absent where nothing is kept
//! backend ipfs:http://…         where the blob is kept for good
//! packing tried                 optional: a shorter form was looked for and there is none
//! end <64 hex>                  SHA-256 of all lines before
//! ```
//!
//! Records are ground state, as the blobs are: a packed or sealed blob has other bytes than its work, and nothing else
//! says whose it is. A work without a record lies in the folder of files, as it is, under its own name.

use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timemark_verify::ContentId;

use crate::blobs::{Address, BlobError};
use crate::encoding::Encoding;
use crate::records::Records;

/// Where a work lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The work, by content and by DAG.
    pub work: Address,
    /// Bytes of the work.
    pub length: u64,
    /// What is kept of it; `None` where only its digests are.
    pub kept: Option<Kept>,
}

/// The blob that stands for a work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The blob's own address.
    pub blob: Address,
    /// How the work becomes the blob.
    pub encoding: Encoding,
    /// Where it is kept for good, as an operator names it. One line.
    pub backend: String,
    /// Whether a shorter form was looked for in vain.
    pub tried: bool,
}

impl Place {
    fn to_text(&self) -> String {
        let Address { content, dag } = self.work;
        let mut text = format!("{HEADER}\nwork {content}\ndag {dag}\nlength {}\n", self.length);
        match &self.kept {
            None => text.push_str("stored nothing\n"),
            Some(Kept { blob, encoding, backend, tried }) => {
                text.push_str(&format!("stored {} {}\n", blob.content, blob.dag));
                text.push_str(&format!("encoding {encoding}\nbackend {backend}\n"));
                text.push_str(if *tried { "packing tried\n" } else { "" });
            }
        }
        let end = HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        text + "end " + &end + "\n"
    }

    /// Reads exactly what `to_text` writes.
    fn parse(text: &str) -> Option<Place> {
        let mut lines = text.lines();
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        (value("timemark-place")? == "v1").then_some(())?;
        let content = value("work")?.parse().ok()?;
        let work = Address { content, dag: value("dag")?.parse().ok()? };
        let length = value("length")?.parse().ok()?;
        let stored = value("stored")?;
        let kept = match stored.split_once(' ') {
            None if stored == "nothing" => None,
            None => return None,
            Some((content, dag)) => {
                let blob = Address { content: content.parse().ok()?, dag: dag.parse().ok()? };
                let encoding = value("encoding")?.parse().ok()?;
                let backend = value("backend")?.to_owned();
                Some(Kept { blob, encoding, backend, tried: text.contains("\npacking tried\n") })
            }
        };
        let place = Place { work, length, kept };
        (place.to_text() == text).then_some(place)
    }
}

/// The records of a store.
pub(crate) struct Places(Records);

impl Places {
    pub fn open(dir: &Path) -> Result<Places, BlobError> {
        Ok(Places(Records::open(dir)?))
    }

    /// Where a work lies; `None` where there is no record.
    pub fn get(&self, work: &ContentId) -> Result<Option<Place>, BlobError> {
        let Some(bytes) = self.0.get(work)? else { return Ok(None) };
        let place = std::str::from_utf8(&bytes).ok().and_then(Place::parse);
        match place.filter(|place| place.work.content == *work) {
            Some(place) => Ok(Some(place)),
            None => Err(BlobError::Record { path: self.0.path(work) }),
        }
    }

    /// Writes where a work lies, in one step; durable at the next flush of the file system.
    pub fn put(&self, place: &Place) -> Result<(), BlobError> {
        self.0.put(&place.work.content, place.to_text().as_bytes())
    }

    /// Every work that has a record, in no order.
    pub fn works(&self) -> Result<Vec<ContentId>, BlobError> {
        self.0.works()
    }
}

const HEADER: &str = "timemark-place v1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::address_of;

    fn samples() -> Vec<Place> {
        let work = address_of(&vec![7; 300_000]);
        let kept = |encoding: &str, tried| Kept {
            blob: address_of(b"a blob"),
            encoding: encoding.parse().unwrap(),
            backend: "ipfs:http://127.0.0.1:5001".to_owned(),
            tried,
        };
        let place = |kept| Place { work, length: 300_000, kept };
        vec![place(None), place(Some(kept("lepton age", false))), place(Some(kept("plain", true)))]
    }

    #[test]
    fn what_is_put_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        for place in samples() {
            let places = Places::open(dir.path()).unwrap();
            places.put(&place).unwrap();
            let places = Places::open(dir.path()).unwrap();
            assert_eq!(places.get(&place.work.content).unwrap(), Some(place.clone()));
            assert_eq!(places.works().unwrap(), [place.work.content]);
        }
    }

    #[test]
    fn a_record_with_any_other_byte_is_refused() {
        for place in samples() {
            let text = place.to_text();
            for at in 0..text.len() {
                for bit in 0..8 {
                    let mut bytes = text.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    let parsed = std::str::from_utf8(&bytes).ok().and_then(Place::parse);
                    assert_eq!(parsed, None, "bit {bit} of byte {at}");
                }
            }
            assert_eq!(Place::parse(&text[..text.len() - 1]), None);
            assert_eq!(Place::parse(&(text + "\n")), None);
        }
    }
}
