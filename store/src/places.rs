//! Where the bytes of a work lie, and in which form: one small record for each work, beside the blobs.
//!
//! ```text
//! timemark-place v1
//! work <CID>                    SHA-256 of the work
//! dag <CID>                     UnixFS DAG root of the work, as an IPFS node gives it
//! length <decimal>              bytes of the work
//! stored <CID> <CID>            the blob that is kept, by content and by DAG; or `stored nothing`
//! encoding lepton age           how the work becomes that blob; absent where nothing is kept
//! sealed-to age1… age1…         optional: to whom it is sealed
//! backend ipfs:http://…         where the blob is kept for good
//! packing tried                 optional: a shorter form was looked for; if the blob is not packed, there is none
//! end <64 hex>                  SHA-256 of all lines before
//! ```
//!
//! Records are ground state, as the blobs are: a packed or sealed blob has other bytes than its work, and nothing else
//! says whose it is. A work without a record lies in the folder of files, as it is, under its own name.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timemark_verify::ContentId;

use crate::blobs::{Address, BlobError};
use crate::dag::CHUNK_BYTES;
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
    /// To whom it is sealed: their public keys, with a space between them. `None` where it is not, and where it was before
    /// this was recorded.
    pub sealed_to: Option<String>,
    /// Whether a shorter form was looked for.
    pub tried: bool,
}

impl Kept {
    /// A work that is kept as it is.
    pub(crate) fn as_it_is(work: Address, backend: &str) -> Kept {
        let (encoding, backend) = (Encoding::default(), backend.to_owned());
        Kept { blob: work, encoding, backend, sealed_to: None, tried: false }
    }
}

impl Place {
    fn to_text(&self) -> String {
        let Address { content, dag } = self.work;
        let mut text = format!("{HEADER}\nwork {content}\ndag {dag}\nlength {}\n", self.length);
        match &self.kept {
            None => text.push_str("stored nothing\n"),
            Some(Kept { blob, encoding, backend, sealed_to, tried }) => {
                text.push_str(&format!("stored {} {}\n", blob.content, blob.dag));
                text.push_str(&format!("encoding {encoding}\n"));
                if let Some(keys) = sealed_to {
                    text.push_str(&format!("sealed-to {keys}\n"));
                }
                text.push_str(&format!("backend {backend}\n"));
                text.push_str(if *tried { "packing tried\n" } else { "" });
            }
        }
        let end = HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        text + "end " + &end + "\n"
    }

    /// Whether its parts fit together.
    fn is_possible(&self) -> bool {
        let of_one_chunk = Address::of_one_chunk(self.work.content);
        let work_fits = self.length > CHUNK_BYTES as u64 || self.work == of_one_chunk;
        let blob_fits = self.kept.as_ref().is_none_or(|kept| {
            let as_it_is = kept.encoding == Encoding::default();
            let keys_fit = kept.sealed_to.is_none() || kept.encoding.sealed;
            let is_line = !kept.backend.is_empty() && !kept.backend.contains(char::is_control);
            keys_fit && is_line && (!as_it_is || kept.blob == self.work)
        });
        work_fits && blob_fits
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
                let encoding: Encoding = value("encoding")?.parse().ok()?;
                let is_told = text.contains("\nsealed-to ");
                let sealed_to = if is_told { Some(value("sealed-to")?.to_owned()) } else { None };
                let backend = value("backend")?.to_owned();
                let tried = text.contains("\npacking tried\n");
                Some(Kept { blob, encoding, backend, sealed_to, tried })
            }
        };
        let place = Place { work, length, kept };
        (place.to_text() == text && place.is_possible()).then_some(place)
    }
}

/// The records of a store.
pub(crate) struct Places {
    records: Records,
    lock: PathBuf,
}

impl Places {
    pub fn open(dir: &Path) -> Result<Places, BlobError> {
        Ok(Places { records: Records::open(dir)?, lock: dir.join(LOCK) })
    }

    /// Whoever holds this alone looks at records and then changes them, in this process and in others.
    pub fn lock(&self) -> Result<Locked, BlobError> {
        let lock = || {
            let file =
                OpenOptions::new().write(true).create(true).truncate(false).open(&self.lock)?;
            file.lock().map(|()| Locked(file))
        };
        lock().map_err(|source| BlobError::Io { path: self.lock.clone(), source })
    }

    /// Where a work lies; `None` where there is no record.
    pub fn get(&self, work: &ContentId) -> Result<Option<Place>, BlobError> {
        let Some(bytes) = self.records.get(work)? else { return Ok(None) };
        let place = std::str::from_utf8(&bytes).ok().and_then(Place::parse);
        match place.filter(|place| place.work.content == *work) {
            Some(place) => Ok(Some(place)),
            None => Err(BlobError::Record { path: self.records.path(work) }),
        }
    }

    /// Writes where a work lies, in one step; durable at the next flush of the file system.
    pub fn put(&self, place: &Place) -> Result<(), BlobError> {
        self.records.put(&place.work.content, place.to_text().as_bytes())
    }

    /// Every work that has a record, in no order.
    pub fn works(&self) -> Result<Vec<ContentId>, BlobError> {
        self.records.works()
    }
}

/// The right to change records, which ends with this.
pub(crate) struct Locked(#[expect(dead_code, reason = "it is open, and so locked")] File);

const HEADER: &str = "timemark-place v1";
const LOCK: &str = "changing";

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use data_encoding::BASE64;

    use super::*;
    use crate::contract::address_of;
    use crate::dag::{Codec, DagCid};
    use crate::encoding::{Identities, Packing, unpack};

    const DOCUMENT: &str = include_str!("../../docs/formats.md");

    /// The blocks of the document that are marked so.
    fn vectors(kind: &str) -> Vec<&'static str> {
        let begin = format!("```vector-{kind}\n");
        DOCUMENT.split(&begin).skip(1).map(|rest| &rest[..=rest.find("\n```").unwrap()]).collect()
    }

    /// Rows of the document's table of records that are refused: what goes, what comes, whether `end` is made to fit.
    fn refused() -> Vec<(String, String, bool)> {
        let cell = |cell: &str| match cell.trim() {
            "nothing" => String::new(),
            cell => cell.trim_matches('`').replace('⏎', "\n").replace('␍', "\r"),
        };
        let (_, table) = DOCUMENT.split_once("| instead of | stands | `end` |").unwrap();
        let rows = table.lines().skip(2).take_while(|row| !row.is_empty());
        rows.map(|row| match row.split('|').collect::<Vec<_>>()[..] {
            ["", out, put, end, _, ""] => (cell(out), cell(put), cell(end) == "anew"),
            _ => panic!("{row}"),
        })
        .collect()
    }

    fn samples() -> Vec<Place> {
        let work = address_of(&vec![7; 300_000]);
        let kept = |encoding: &str, blob, sealed_to: Option<&str>, tried| Kept {
            blob,
            encoding: encoding.parse().unwrap(),
            backend: "ipfs:http://127.0.0.1:5001".to_owned(),
            sealed_to: sealed_to.map(str::to_owned),
            tried,
        };
        let place = |kept| Place { work, length: 300_000, kept };
        let blob = address_of(b"a blob");
        vec![
            place(None),
            place(Some(kept("lepton age", blob, Some("age1x age1y"), false))),
            place(Some(kept("zstd age", blob, None, true))),
            place(Some(kept("plain", work, None, true))),
        ]
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

    #[test]
    fn the_records_of_the_document_are_read() {
        let work = vec![7; 300_000];
        let bytes = |kind, encoding: &data_encoding::Encoding| {
            encoding.decode(vectors(kind)[0].replace('\n', "").as_bytes()).unwrap()
        };
        let address = address_of(&work);
        let blob = bytes("blob", &BASE64);
        let kept = |blob, encoding: &str, backend: &str, sealed_to: Option<&str>, tried| {
            let (encoding, backend) = (encoding.parse().unwrap(), backend.to_owned());
            let sealed_to = sealed_to.map(str::to_owned);
            Some(Kept { blob, encoding, backend, sealed_to, tried })
        };
        let key = "age182jn0ch5gymx75n76krr3sjk3ud4g70veqrvy0lg5ltyxad4mqtq07ldrn";
        let ipfs = "ipfs:http://127.0.0.1:5001";
        let expected = [
            kept(address_of(&blob), "zstd age", ipfs, Some(key), true),
            kept(address, "plain", "files", None, false),
            None,
        ];
        let records = vectors("place");
        assert_eq!(records.len(), expected.len());
        for (text, kept) in records.into_iter().zip(expected) {
            let place = Place { work: address, length: 300_000, kept };
            assert_eq!(Place::parse(text).as_ref(), Some(&place));
            assert_eq!(place.to_text(), text);
        }

        let node = bytes("node", &HEXLOWER);
        assert_eq!(DagCid::of_block(Codec::DagPb, &node), address.dag);

        let identities = Identities::parse(vectors("key")[0]).unwrap();
        let opened = identities.open_sealed(Box::new(Cursor::new(blob))).unwrap();
        let mut unpacked = Vec::new();
        unpack(Packing::Zstd, opened, 300_000).unwrap().read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == work);
    }

    #[test]
    fn what_the_document_refuses_is_refused() {
        let record = vectors("place")[0];
        let refused = refused();
        assert!(refused.len() > 20);
        for (out, put, anew) in refused {
            assert_eq!(record.matches(&out).count(), 1, "{out:?}");
            let mut text = record.replace(&out, &put);
            if anew {
                text.truncate(text.rfind("\nend ").unwrap() + 1);
                let end = HEXLOWER.encode(&Sha256::digest(&text));
                text += &format!("end {end}\n");
            }
            assert_eq!(Place::parse(&text), None, "{text}");
        }
    }
}
