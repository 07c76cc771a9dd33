//! Which buckets to look into, so that no code within a radius is missed.
//!
//! A code is cut into 16 chunks of 16 bits. If two codes differ in at most `r` bits, and `r` + 1 is shared out among
//! the chunks as `m(0) + … + m(15)`, then walking around the ring of chunks from a suitable one, the differences seen so
//! far are always fewer than the shares: less than `m(i)` in chunk `i`, less than `m(i) + m(i + 1)` in it and the next.
//! So it is enough to look, for each chunk, at the codes that agree with it up to `m(i) - 1` bits, and of those only at
//! the ones whose next chunk keeps to the bound as well. The first half is multi-index hashing (Norouzi, Punjani, Fleet,
//! CVPR 2012), the second the pigeonring principle (Qin, Xiao, PVLDB 12, 2018).

use std::sync::LazyLock;

use timemark_verify::Fingerprint;

/// The bits of a code in another order: word `i / 4` holds chunk `i` at bit `i % 4 * 16`. Little-endian on disk and in
/// memory alike; distances are the same as between the codes.
pub(super) type Spread = [u64; 4];

/// Chunks in a code, and tables in a part.
pub(super) const CHUNKS: usize = 16;
/// Values of a chunk.
pub(super) const BUCKETS: usize = 1 << 16;

/// Takes chunk `i` of a code from a diagonal of its 16 rows of 16 bits. The bits of a row or of a column of PDQ codes
/// depend on each other, which makes some buckets several times fuller; along this diagonal, of 105,600 pictures, they
/// hold 1.02 times as many as if the bits were thrown.
pub(super) fn spread(code: &Fingerprint) -> Spread {
    let mut rows: [u16; CHUNKS] = std::array::from_fn(|row| {
        let word = code.0[row / 4];
        ((word >> (row % 4 * 16)) as u16).rotate_right(DIAGONAL * row as u32)
    });
    // Rows become columns: bits change places across ever smaller diagonals.
    for (side, mask) in [(8, 0x00FF), (4, 0x0F0F), (2, 0x3333), (1, 0x5555)] {
        for row in (0..CHUNKS).filter(|row| row & side == 0) {
            let exchanged = ((rows[row] >> side) ^ rows[row + side]) & mask;
            rows[row + side] ^= exchanged;
            rows[row] ^= exchanged << side;
        }
    }
    let mut words = [0; 4];
    for (chunk, row) in rows.into_iter().enumerate() {
        words[chunk / 4] |= u64::from(row) << (chunk % 4 * 16);
    }
    words.map(u64::to_le)
}

/// Chunk `i` of a code, as a number.
#[inline(always)]
pub(super) fn chunk(code: &Spread, i: usize) -> u16 {
    let i = i % CHUNKS;
    (u64::from_le(code[i / 4]) >> (i % 4 * 16)) as u16
}

/// The number of bits in which two codes differ.
#[inline(always)]
pub(super) fn distance(a: &Spread, b: &Spread) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// How far each chunk of a code is looked around.
pub(super) struct Reach {
    /// The share of each chunk: what it differs by is less. 0 where it is not looked at.
    shares: [u32; CHUNKS],
}

impl Reach {
    /// Everything within `radius` bits.
    pub fn new(radius: u32) -> Reach {
        let radius = radius.min(Fingerprint::BITS);
        let (each, rest) = ((radius + 1) / CHUNKS as u32, (radius + 1) % CHUNKS as u32);
        let shares =
            std::array::from_fn(|i| each + u32::from(i as u32 * rest % (CHUNKS as u32) < rest));
        Reach { shares }
    }

    /// The differences by which a chunk may be off, fewest bits first, each time with by how many bits the next chunk
    /// may then be off.
    pub fn masks(&self, chunk: usize) -> impl Iterator<Item = (&'static [u16], u8)> + use<> {
        let share = self.shares[chunk];
        let both = share + self.shares[(chunk + 1) % CHUNKS];
        let masks = &*MASKS;
        (0..share.min(17)).map(move |bits| {
            let before = bits.checked_sub(1).map_or(0, |fewer| masks.up_to[fewer as usize]);
            let sorted = &masks.sorted[before..masks.up_to[bits as usize]];
            (sorted, (both - 1 - bits).min(16) as u8)
        })
    }

    /// How many buckets are looked into for one code, in all tables together.
    pub fn probes(&self) -> usize {
        (0..CHUNKS).flat_map(|chunk| self.masks(chunk)).map(|(masks, _)| masks.len()).sum()
    }
}

/// Every difference of a chunk, fewest bits first.
struct Masks {
    sorted: Vec<u16>,
    /// How many have at most so many bits.
    up_to: [usize; 17],
}

static MASKS: LazyLock<Masks> = LazyLock::new(|| {
    let mut sorted: Vec<u16> = (0..=u16::MAX).collect();
    sorted.sort_by_key(|mask| mask.count_ones());
    let up_to =
        std::array::from_fn(|bits| sorted.partition_point(|m| m.count_ones() as usize <= bits));
    Masks { sorted, up_to }
});

const DIAGONAL: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_bit_has_a_place_of_its_own() {
        let mut seen = [0; 4];
        for bit in 0..256 {
            let mut code = Fingerprint::default();
            code.0[bit / 64] = 1 << (bit % 64);
            let spread = spread(&code);
            assert_eq!(distance(&spread, &[0; 4]), 1);
            assert!(spread.iter().zip(seen).all(|(new, seen)| new & seen == 0));
            seen = std::array::from_fn(|word| seen[word] | spread[word]);
            // Of a row, and of a column, each chunk has one bit.
            let chunk = (0..CHUNKS).find(|&i| chunk(&spread, i) != 0).unwrap();
            assert_eq!(chunk, (bit % 16 + 256 - 3 * (bit / 16)) % 16);
        }
    }

    #[test]
    fn the_shares_are_one_more_than_the_radius() {
        for radius in 0..=256 {
            let shares = Reach::new(radius).shares;
            assert_eq!(shares.iter().sum::<u32>(), radius + 1);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
        assert_eq!(Reach::new(31).probes(), 16 * 17);
        assert_eq!(Reach::new(256).probes(), 16 * (BUCKETS - 1) + 1);
    }

    proptest! {
        #[test]
        fn a_code_within_the_radius_is_met_in_a_chunk(
            code in any::<[u64; 4]>(),
            flips in proptest::collection::btree_set(0usize..256, 0..130),
            slack in 0u32..9,
        ) {
            let mut other = code;
            flips.iter().for_each(|bit| other[bit / 64] ^= 1 << (bit % 64));
            let [a, b] = [code, other].map(|words| spread(&Fingerprint(words)));
            prop_assert_eq!(distance(&a, &b) as usize, flips.len());
            let reach = Reach::new(flips.len() as u32 + slack);
            let met = (0..CHUNKS).any(|i| {
                let (here, next) = (chunk(&a, i) ^ chunk(&b, i), chunk(&a, i + 1) ^ chunk(&b, i + 1));
                reach.masks(i).any(|(masks, limit)| {
                    masks.contains(&here) && next.count_ones() <= u32::from(limit)
                })
            });
            prop_assert!(met);
        }
    }
}
