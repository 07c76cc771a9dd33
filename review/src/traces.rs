//! What is kept of every suspect that a job told of, so that works which are registered later can be compared with it: in
//! pieces of some hundred suspects, as they follow each other in the job's results.
//!
//! ```text
//! codes (low 4 bits), rough (0x40), has content (0x80)       1
//! how the content begins                                     8, where it is known
//! entries of the log that it was compared with               8, where its content is known
//! codes in four positions                                    128 each
//! ```
//!
//! That is 17 bytes for what is compared by its bytes alone or came before in the same job, and 145 for a picture that was
//! looked up as a whole. Numbers are little-endian.

use redb::{ReadableTable, WriteTransaction};
use timemark_ingest::{Scanned, SuspectCodes, beginning};
use timemark_verify::Fingerprint;
use timemark_vision::Upright;

use crate::store::{Failure, TRACES};

/// What is kept of a suspect.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Kept {
    /// Its place among the results of its job.
    pub place: u64,
    /// How its content begins, if its bytes could be read.
    pub start: Option<u64>,
    /// The entries of the log below this number are those that it was compared with at least.
    pub entries: u64,
    /// The codes by which it was looked up.
    pub codes: SuspectCodes,
}

/// Keeps what a job tells of, from this place on.
pub(crate) fn append(
    tx: &WriteTransaction,
    job: u64,
    first: u64,
    batch: &[Scanned],
) -> Result<(), Failure> {
    let mut traces = tx.open_table(TRACES)?;
    let last = traces.range((job, 0)..=(job, u64::MAX))?.next_back().transpose()?;
    let last = last.map(|(key, piece)| (key.value().1, piece.value().to_vec()));
    let (mut begins, mut piece) = last.unwrap_or_else(|| (first, Vec::new()));
    for (place, scanned) in (first..).zip(batch) {
        let before = piece.len();
        write(scanned, &mut piece);
        if piece.len() > PIECE_BYTES_MAX && before > 0 {
            let next = piece.split_off(before);
            traces.insert((job, begins), &piece[..])?;
            (begins, piece) = (place, next);
        }
    }
    if !piece.is_empty() {
        traces.insert((job, begins), &piece[..])?;
    }
    Ok(())
}

fn write(scanned: &Scanned, piece: &mut Vec<u8>) {
    let Some(content) = &scanned.content else { return piece.push(0) };
    let SuspectCodes { codes, is_rough } = &scanned.trace.codes;
    let codes = &codes[..codes.len().min(usize::from(CODES))];
    piece.push(codes.len() as u8 | if *is_rough { ROUGH } else { 0 } | HAS_CONTENT);
    piece.extend(beginning(content).to_le_bytes());
    piece.extend(scanned.trace.entries.to_le_bytes());
    let words = codes.iter().flat_map(|Upright(codes)| codes).flat_map(|code| code.0);
    piece.extend(words.flat_map(u64::to_le_bytes));
}

/// Hands out what a piece holds, whose first suspect has this place.
pub(crate) fn each<E: From<Damaged>>(
    first: u64,
    mut piece: &[u8],
    kept: &mut Kept,
    take: &mut dyn FnMut(&Kept) -> Result<(), E>,
) -> Result<(), E> {
    kept.place = first;
    while let Some((tag, rest)) = piece.split_first() {
        piece = rest;
        (kept.start, kept.entries) = (None, 0);
        kept.codes.codes.clear();
        if tag & HAS_CONTENT != 0 {
            kept.start = Some(number(&mut piece)?);
            kept.entries = number(&mut piece)?;
            kept.codes.is_rough = tag & ROUGH != 0;
            for _ in 0..tag & CODES {
                let mut code = || {
                    let mut word = || number(&mut piece);
                    Ok::<_, Damaged>(Fingerprint([word()?, word()?, word()?, word()?]))
                };
                kept.codes.codes.push(Upright([code()?, code()?, code()?, code()?]));
            }
        } else if *tag != 0 {
            return Err(Damaged.into());
        }
        take(kept)?;
        kept.place += 1;
    }
    Ok(())
}

fn number(piece: &mut &[u8]) -> Result<u64, Damaged> {
    let (number, rest) = piece.split_first_chunk().ok_or(Damaged)?;
    *piece = rest;
    Ok(u64::from_le_bytes(*number))
}

/// A piece ends in the middle of a suspect.
#[derive(Debug, thiserror::Error)]
#[error("what is kept of the suspects of a scan is damaged")]
pub(crate) struct Damaged;

const HAS_CONTENT: u8 = 0x80;
const ROUGH: u8 = 0x40;
const CODES: u8 = 0x0F;
/// The engine gives a value of this length and its key 64 KiB.
const PIECE_BYTES_MAX: usize = 65_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::ReadableTableMetadata;
    use timemark_ingest::sources::SuspectName;
    use timemark_ingest::{Outcome, Trace};
    use timemark_verify::ContentId;

    use super::*;
    use crate::store::Store;

    fn scanned(number: u64, codes: usize) -> Scanned {
        let code = |at: u64| Fingerprint([number, at, u64::MAX, 7]);
        let codes = (0..codes as u64).map(|at| Upright([code(at), code(9), code(8), code(7)]));
        Scanned {
            name: SuspectName::of_file("a"),
            content: (!number.is_multiple_of(5)).then(|| ContentId::of(&number.to_le_bytes())),
            outcome: Arc::new(Outcome::CLEAR),
            thumbnail: None,
            trace: Trace {
                entries: number * 3,
                is_repeat: false,
                codes: SuspectCodes { codes: codes.collect(), is_rough: number.is_multiple_of(2) },
            },
        }
    }

    /// Everything that is kept of a job, and the lengths of the pieces.
    fn all(store: &Store, job: u64) -> (Vec<Kept>, Vec<usize>) {
        let read = store.read(|tx| {
            let (mut all, mut lengths) = (Vec::new(), Vec::new());
            for pair in tx.open_table(TRACES)?.range((job, 0)..=(job, u64::MAX))? {
                let (key, piece) = pair?;
                lengths.push(piece.value().len());
                let mut take = |kept: &Kept| {
                    let Kept { place, start, entries, ref codes } = *kept;
                    all.push(Kept { place, start, entries, codes: codes.clone() });
                    Ok::<_, Damaged>(())
                };
                each(key.value().1, piece.value(), &mut Kept::default(), &mut take).unwrap();
            }
            Ok((all, lengths))
        });
        read.unwrap()
    }

    #[test]
    fn what_is_kept_is_read_again_in_whatever_portions_it_came() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let told: Vec<Scanned> = (1..=3000).map(|n| scanned(n, (n % 4) as usize)).collect();
        let mut first = 1;
        for portion in told.chunks(37) {
            store.write(|tx| append(tx, 5, first as u64, portion)).unwrap();
            store.write(|tx| append(tx, 6, first as u64, &portion[..1])).unwrap();
            first += portion.len();
        }
        let (all, lengths) = all(&store, 5);
        assert_eq!(all.len(), told.len());
        for ((place, kept), scanned) in (1..).zip(&all).zip(&told) {
            let content = scanned.content.as_ref();
            assert_eq!((kept.place, kept.start), (place, content.map(beginning)));
            if content.is_some() {
                assert_eq!(kept.entries, scanned.trace.entries);
                assert_eq!(kept.codes, scanned.trace.codes);
            }
        }
        // Few bytes of a page are left over.
        let (last, full) = lengths.split_last().unwrap();
        assert!(full.len() > 5 && *last > 0, "{lengths:?}");
        assert!(full.iter().all(|l| (63_000..=PIECE_BYTES_MAX).contains(l)), "{lengths:?}");
    }

    #[test]
    fn a_picture_takes_145_bytes_and_what_is_torn_is_damage() {
        let mut piece = Vec::new();
        write(&scanned(1, 1), &mut piece);
        assert_eq!(piece.len(), 145);
        for length in 1..piece.len() {
            let mut none = |_: &Kept| Ok::<_, Damaged>(());
            assert!(each(1, &piece[..length], &mut Kept::default(), &mut none).is_err());
        }
        let mut many = Vec::new();
        write(&scanned(1, 40), &mut many);
        assert_eq!(many.len(), 17 + 15 * 128);
    }

    #[test]
    fn a_file_of_before_anything_was_kept_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.write(|tx| Ok(tx.delete_table(TRACES)?)).unwrap();
        assert!(store.read(|tx| Ok(tx.open_table(TRACES)?.len()?)).is_err());
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert!(all(&store, 1).0.is_empty());
    }

    #[test]
    fn little_more_room_is_taken_than_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let told: Vec<Scanned> =
            (1..=500).filter(|n| *n % 5 != 0).map(|number| scanned(number, 1)).collect();
        for number in 0..50 {
            store.write(|tx| append(tx, 1, 1 + 400 * number, &told)).unwrap();
        }
        let stats = store.read(|tx| Ok(tx.open_table(TRACES)?.stats()?)).unwrap();
        let bytes = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        assert!((145 * 20_000..155 * 20_000).contains(&bytes), "{stats:?}");
    }
}
