//! The codes of a picture in half the room: of the eight, four are others with rows and columns exchanged.

use timemark_verify::Fingerprint;

use super::{Dihedral, Pdq, WAVES};

/// The codes of a picture in the four positions that do not exchange rows and columns. The other four follow from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upright(pub [Fingerprint; 4]);

impl Upright {
    /// The position of each code, and the one that it has with rows and columns exchanged.
    pub const POSITIONS: [[Dihedral; 2]; 4] = [
        [Dihedral::Original, Dihedral::FlipPlus1],
        [Dihedral::Rotate180, Dihedral::FlipMinus1],
        [Dihedral::FlipX, Dihedral::Rotate270],
        [Dihedral::FlipY, Dihedral::Rotate90],
    ];

    /// The four of these eight.
    pub fn of(pdq: &Pdq) -> Upright {
        let [original, _, rotate180, _, flip_x, flip_y, _, _] = pdq.codes;
        Upright([original, rotate180, flip_x, flip_y])
    }
}

/// A code with its rows and columns exchanged. Two codes differ in as many bits as both of them exchanged do: whether a code
/// is near to an exchanged one is told by exchanging either.
pub fn transposed(code: &Fingerprint) -> Fingerprint {
    let mut exchanged = Fingerprint::default();
    for i in 0..WAVES {
        for j in 0..WAVES {
            let bit = code.0[i / 4] >> (i % 4 * WAVES + j) & 1;
            exchanged.0[j / 4] |= bit << (j % 4 * WAVES + i);
        }
    }
    exchanged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_eight_codes_follow_from_four() {
        let mut seed = 7_u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        for (width, height) in [(64, 64), (301, 90), (12, 700)] {
            let rgb: Vec<u8> = (0..width * height * 3).map(|_| random()).collect();
            let pdq = Pdq::of_rgb(&rgb, width, height).unwrap();
            let upright = Upright::of(&pdq);
            let mut seen = [false; 8];
            for (code, [plain, exchanged]) in upright.0.iter().zip(Upright::POSITIONS) {
                for (position, code) in [(plain, *code), (exchanged, transposed(code))] {
                    let place = Dihedral::ALL.iter().position(|other| *other == position).unwrap();
                    assert_eq!(pdq.codes[place], code, "{position:?}");
                    seen[place] = true;
                }
                assert_eq!(transposed(&transposed(code)), *code);
            }
            assert_eq!(seen, [true; 8]);
        }
    }
}
