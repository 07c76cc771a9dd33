//! Keypoints of a work as bytes, for works that are not there to be looked at again: registered by their digests alone,
//! or sealed to keys that are not here.
//!
//! ```text
//! "timemark-descriptors v1\n"
//! width height count                       u32 each, little-endian as all numbers
//! x y sigma angle                          f32 each, once for every keypoint
//! code (32 bytes) bits (u32) doubtful      once for every keypoint
//! SHA-256 of all before
//! ```

use sha2::{Digest, Sha256};
use timemark_verify::Fingerprint;
use timemark_vision::{Features, Key, Keypoint, Looks};

/// The keypoints of a work.
pub(crate) fn to_bytes(features: &Features) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    let [width, height] = features.size;
    for number in [width, height, features.keypoints.len() as u32] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for Keypoint { x, y, sigma, angle } in &features.keypoints {
        for number in [x, y, sigma, angle] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    for (code, key) in features.looks.codes.iter().zip(&features.looks.keys) {
        code.0.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.extend_from_slice(&key.bits.to_le_bytes());
        bytes.extend_from_slice(&key.doubtful);
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

/// Whether these bytes are what is kept of a work's looks, and undamaged.
pub fn are_descriptors(bytes: &[u8]) -> bool {
    parse(bytes).is_some()
}

/// Reads what [`to_bytes`] writes; `None` where it is anything else.
pub(crate) fn parse(bytes: &[u8]) -> Option<Features> {
    let (bytes, digest) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    (Sha256::digest(bytes)[..] == *digest).then_some(())?;
    let mut rest = bytes.strip_prefix(HEADER)?;
    let size = [number(&mut rest)?, number(&mut rest)?];
    let count = usize::try_from(number(&mut rest)?).ok()?;
    (count <= Features::WORK_MAX && rest.len() == count * KEYPOINT_BYTES).then_some(())?;
    let mut keypoints = Vec::with_capacity(count);
    for _ in 0..count {
        let mut float = || number(&mut rest).map(f32::from_bits).filter(|float| float.is_finite());
        let [x, y, sigma, angle] = [float()?, float()?, float()?, float()?];
        keypoints.push(Keypoint { x, y, sigma, angle });
    }
    let mut looks = Looks::default();
    for _ in 0..count {
        let mut word = || take(&mut rest).map(u64::from_le_bytes);
        looks.codes.push(Fingerprint([word()?, word()?, word()?, word()?]));
        let (bits, doubtful) = (number(&mut rest)?, take(&mut rest)?);
        looks.keys.push(Key { bits, doubtful });
    }
    Some(Features { size, keypoints, looks, mirrored: Looks::default() })
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

const HEADER: &[u8] = b"timemark-descriptors v1\n";
const KEYPOINT_BYTES: usize = 4 * 4 + 32 + 4 + Key::DOUBTFUL;

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/formats.md");

    /// Bytes of hex digits.
    fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    /// The file that the document gives.
    fn vector() -> Vec<u8> {
        let (_, rest) = DOCUMENT.split_once("```vector-descriptors\n").unwrap();
        hex(&rest.split_once("```").unwrap().0.replace('\n', ""))
    }

    fn sample() -> Features {
        let keypoint = |n: f32| Keypoint { x: n, y: 2.5 * n, sigma: 1.5, angle: -0.25 };
        let key = |bits| Key { bits, doubtful: [3; Key::DOUBTFUL] };
        let codes = vec![Fingerprint([1, 2, 3, 4]), Fingerprint([u64::MAX; 4])];
        let looks = Looks { codes, keys: vec![key(7), key(0)] };
        let keypoints = vec![keypoint(1.0), keypoint(400.0)];
        Features { size: [640, 480], keypoints, looks, mirrored: Looks::default() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for features in [sample(), Features::default()] {
            assert_eq!(parse(&to_bytes(&features)), Some(features));
        }
    }

    #[test]
    fn any_other_byte_is_refused() {
        let bytes = to_bytes(&sample());
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(parse(&other), None);
            assert_eq!(parse(&bytes[..at]), None);
        }
    }
    #[test]
    fn the_file_of_the_document_is_read() {
        let keypoint = |[x, y, sigma, angle]: [f32; 4]| Keypoint { x, y, sigma, angle };
        let words = std::array::from_fn(|word| {
            u64::from_le_bytes(std::array::from_fn(|byte| (8 * word + byte) as u8))
        });
        let looks = Looks {
            codes: vec![Fingerprint(words), Fingerprint([u64::MAX; 4])],
            keys: vec![
                Key { bits: 0x2a001, doubtful: [3, 0, 17, 9] },
                Key { bits: 0, doubtful: [0, 1, 2, 3] },
            ],
        };
        let keypoints =
            vec![keypoint([12.5, 20.25, 1.5, -0.25]), keypoint([400.0, 300.0, 6.0, 3.0])];
        let features = Features { size: [640, 480], keypoints, looks, mirrored: Looks::default() };
        assert_eq!(to_bytes(&features), vector());
        assert_eq!(parse(&vector()), Some(features));
    }

    #[test]
    fn what_the_document_refuses_is_refused() {
        let cell = |cell: &str| match cell.trim() {
            "nothing" => Vec::new(),
            cell => hex(cell.trim_matches('`')),
        };
        let (_, table) = DOCUMENT.split_once("| at | instead of | stands | digest |").unwrap();
        let rows: Vec<&str> = table.lines().skip(2).take_while(|row| !row.is_empty()).collect();
        assert!(rows.len() > 10);
        for row in rows {
            let ["", at, out, put, digest, _, ""] = row.split('|').collect::<Vec<_>>()[..] else {
                panic!("{row}");
            };
            let at: usize = at.trim().parse().unwrap();
            let (out, mut bytes) = (cell(out), vector());
            let removed: Vec<u8> = bytes.splice(at..at + out.len(), cell(put)).collect();
            assert_eq!(removed, out, "{row}");
            if digest.trim() == "anew" {
                bytes.truncate(bytes.len() - 32);
                let digest = Sha256::digest(&bytes);
                bytes.extend_from_slice(&digest);
            }
            assert_eq!(parse(&bytes), None, "{row}");
        }
    }

    /// The most keypoints that the document allows, and one more.
    #[test]
    fn no_more_keypoints_are_read_than_a_work_has() {
        for (count, is_read) in [(320, true), (321, false)] {
            let keypoint = Keypoint { x: 1.0, y: 1.0, sigma: 1.0, angle: 0.0 };
            let (codes, keys) = (vec![Fingerprint([0; 4]); count], vec![Key::default(); count]);
            let features = Features {
                size: [640, 480],
                keypoints: vec![keypoint; count],
                looks: Looks { codes, keys },
                mirrored: Looks::default(),
            };
            assert_eq!(parse(&to_bytes(&features)).is_some(), is_read);
        }
    }
}
