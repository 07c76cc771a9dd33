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
}
