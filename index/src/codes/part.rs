//! Codes of one kind side by side, and the two ways to find those near a code: one after the other, or by 16 tables.
//!
//! A table has the codes in the order of one of their chunks, as buckets: for each the place of the code and, beside it,
//! the next chunk, which tells in a few instructions for 32 codes that nearly all of them are too far away; see
//! [`spread`](super::spread). What remains is compared in full, so that nothing is reported that is not near, and nothing
//! near is missed.
//!
//! Whether the numbers lie in memory or in a mapped file is not known here. They are little-endian in both.

use std::array;
use std::hint::black_box;
use std::ops::Range;

use multiversion::multiversion;
use timemark_verify::Fingerprint;

use super::spread::{BUCKETS, CHUNKS, Reach, Spread, chunk, distance, spread};

/// Codes of one kind.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub codes: &'a [Spread],
    /// The log index of the work of each.
    pub works: &'a [u64],
    pub qualities: &'a [u8],
    /// For parts that are long enough to need them.
    pub tables: Option<Tables<'a>>,
}

/// 16 tables over the same codes.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    /// For each table where its buckets begin, and where the last ends: 16 × 65,537.
    pub starts: &'a [u32],
    /// For each table the next chunk of each of its codes, bucket by bucket, and at the end [`PADDING`] more.
    pub signatures: &'a [u16],
    /// For each table the places of its codes, bucket by bucket.
    pub places: &'a [u32],
}

/// Tables in memory.
pub(super) struct OwnedTables {
    starts: Vec<u32>,
    signatures: Vec<u16>,
    places: Vec<u32>,
}

/// A code that is asked about.
pub(super) struct Query {
    code: Spread,
}

impl Query {
    pub fn new(code: &Fingerprint) -> Query {
        Query { code: spread(code) }
    }
}

/// What a part is asked to report: number of the query, place of the code, distance.
pub(super) trait Report: FnMut(usize, usize, u32) {}
impl<F: FnMut(usize, usize, u32)> Report for F {}

impl<'a> Part<'a> {
    /// Reports every code within the reach of a query: at least once, and in any order.
    pub fn search(&self, queries: &[Query], radius: u32, report: &mut impl Report) {
        let reach = Reach::new(radius);
        match &self.tables {
            Some(tables) if reach.is_worth_it(self.codes.len()) => {
                // What is looked for at a time keeps to the cache.
                let at_once = (PROBES_MAX / reach.probes().div_ceil(CHUNKS)).clamp(1, QUERIES_MAX);
                for (group, queries) in queries.chunks(at_once).enumerate() {
                    let mut report = |query, place, distance| {
                        report(group * at_once + query, place, distance);
                    };
                    self.search_tables(tables, queries, radius, &reach, &mut report);
                }
            }
            _ => self.search_all(queries, radius, report),
        }
    }

    /// Compares every code with every query.
    fn search_all(&self, queries: &[Query], radius: u32, report: &mut impl Report) {
        for (group, queries) in queries.chunks(LANES).enumerate() {
            let mut report = |place, distance, lane: usize| {
                report(group * LANES + lane, place, distance);
            };
            if let [query] = queries {
                near_one(self.codes, &query.code, radius, &mut report);
            } else {
                // Repeating a code finds nothing new.
                let lanes = array::from_fn(|lane| queries[lane.min(queries.len() - 1)].code);
                let mut report = |place, distance, lane| {
                    if lane < queries.len() {
                        report(place, distance, lane);
                    }
                };
                near_many(self.codes, &lanes, radius, &mut report);
            }
        }
    }

    /// Looks into the buckets that a code within the radius must be in.
    fn search_tables(
        &self,
        tables: &Tables<'a>,
        queries: &[Query],
        radius: u32,
        reach: &Reach,
        report: &mut impl Report,
    ) {
        let (mut probes, mut hits) = (Vec::new(), Vec::new());
        if queries.len() * reach.probes() < SORTED_MIN {
            (0..CHUNKS).for_each(|table| push_probes(table, queries, reach, &mut probes));
            sweep(tables, &probes, &mut hits);
            self.compare(tables, &hits, queries, radius, report);
            return;
        }
        for table in 0..CHUNKS {
            sorted_probes(table, queries, reach, &mut probes);
            hits.clear();
            sweep(tables, &probes, &mut hits);
            self.compare(tables, &hits, queries, radius, report);
        }
    }

    /// Compares in full what has a signature near enough.
    fn compare(
        &self,
        tables: &Tables<'a>,
        hits: &[Hit],
        queries: &[Query],
        radius: u32,
        report: &mut impl Report,
    ) {
        // No step waits for another of its kind, so that the memory answers many at a time.
        for hits in hits.chunks(AHEAD) {
            let mut rows = [0; AHEAD];
            for (row, hit) in rows.iter_mut().zip(hits) {
                *row = tables.places.get(hit.at).map_or(u32::MAX, |row| u32::from_le(*row));
            }
            for (row, hit) in rows.into_iter().zip(hits) {
                let (row, query) = (row as usize, usize::from(hit.query));
                // A damaged file gives wrong places, and must not stop the others.
                let Some(code) = self.codes.get(row) else { continue };
                let distance = distance(code, &queries[query].code);
                if distance <= radius {
                    report(query, row, distance);
                }
            }
        }
    }

    /// A part of the same codes, of those from one place to another.
    pub fn slice(&self, range: Range<usize>) -> Part<'a> {
        Part {
            codes: &self.codes[range.clone()],
            works: &self.works[range.clone()],
            qualities: &self.qualities[range],
            tables: None,
        }
    }
}

impl Reach {
    /// Whether tables are faster than comparing all of so many codes; measured by benches/codes.rs.
    fn is_worth_it(&self, codes: usize) -> bool {
        let probes = self.probes();
        let compared = probes as f64 * codes as f64 / BUCKETS as f64;
        PROBE_COST * probes as f64 + SIGNATURE_COST * compared < codes as f64
    }
}

impl<'a> Tables<'a> {
    /// Codes in each table.
    fn rows(&self) -> usize {
        self.places.len() / CHUNKS
    }

    /// Where a bucket of a table lies in `signatures` and `places`; an empty range if the tables are damaged.
    fn span(&self, table: usize, bucket: usize) -> Range<usize> {
        let first = table * (BUCKETS + 1) + bucket;
        let Some(&[start, end]) = self.starts.get(first..).and_then(<[u32]>::first_chunk) else {
            return 0..0;
        };
        let before = table * self.rows();
        before + u32::from_le(start) as usize..before + u32::from_le(end) as usize
    }

    /// The signatures and places in a bucket of a table.
    pub fn bucket(&self, table: usize, bucket: usize) -> Option<(&'a [u16], &'a [u32])> {
        let span = self.span(table, bucket);
        Some((self.signatures.get(span.clone())?, self.places.get(span)?))
    }
}

impl OwnedTables {
    /// The tables of these codes, of which there are fewer than 2^32.
    pub fn new(codes: &[Spread]) -> OwnedTables {
        let mut starts = Vec::with_capacity(CHUNKS * (BUCKETS + 1));
        let mut signatures = vec![0; CHUNKS * codes.len() + PADDING];
        let mut places = vec![0; CHUNKS * codes.len()];
        let mut next = vec![0u32; BUCKETS + 1];
        for table in 0..CHUNKS {
            next.fill(0);
            for code in codes {
                next[usize::from(chunk(code, table)) + 1] += 1;
            }
            for bucket in 0..BUCKETS {
                next[bucket + 1] += next[bucket];
            }
            starts.extend(next.iter().map(|start| start.to_le()));
            let signatures = &mut signatures[table * codes.len()..];
            let places = &mut places[table * codes.len()..];
            for (place, code) in (0u32..).zip(codes) {
                let slot = &mut next[usize::from(chunk(code, table))];
                signatures[*slot as usize] = chunk(code, table + 1).to_le();
                places[*slot as usize] = place.to_le();
                *slot += 1;
            }
        }
        OwnedTables { starts, signatures, places }
    }

    pub fn view(&self) -> Tables<'_> {
        Tables { starts: &self.starts, signatures: &self.signatures, places: &self.places }
    }
}

/// A bucket to be looked into.
#[derive(Clone, Copy, Default)]
struct Probe {
    bucket: u16,
    table: u8,
    /// By how many bits the next chunk may be off.
    limit: u8,
    /// The next chunk of the query.
    signature: u16,
    /// For which query.
    query: u16,
}

/// A code that may be near.
struct Hit {
    /// Where its place is.
    at: usize,
    query: u16,
}

/// Adds the buckets of a table that these queries need.
fn push_probes(table: usize, queries: &[Query], reach: &Reach, probes: &mut Vec<Probe>) {
    for (number, query) in queries.iter().enumerate() {
        let (here, signature) = (chunk(&query.code, table), chunk(&query.code, table + 1).to_le());
        for (masks, limit) in reach.masks(table) {
            probes.extend(masks.iter().map(|mask| Probe {
                bucket: here ^ mask,
                table: table as u8,
                limit,
                signature,
                query: number as u16,
            }));
        }
    }
}

/// The buckets of a table that many queries need, in their order, so that the sweep goes through the memory once.
fn sorted_probes(table: usize, queries: &[Query], reach: &Reach, probes: &mut Vec<Probe>) {
    let mut unsorted = Vec::with_capacity(queries.len() * reach.probes() / CHUNKS);
    push_probes(table, queries, reach, &mut unsorted);
    let mut next = vec![0u32; BUCKETS + 1];
    unsorted.iter().for_each(|probe| next[usize::from(probe.bucket) + 1] += 1);
    for bucket in 0..BUCKETS {
        next[bucket + 1] += next[bucket];
    }
    probes.resize(unsorted.len(), Probe::default());
    for probe in &unsorted {
        let slot = &mut next[usize::from(probe.bucket)];
        probes[*slot as usize] = *probe;
        *slot += 1;
    }
}

/// Collects what in these buckets has a signature near enough.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512bitalg+avx512vpopcntdq+popcnt",
    "x86_64+avx2+popcnt",
    "x86_64+popcnt"
))]
fn sweep(tables: &Tables<'_>, probes: &[Probe], hits: &mut Vec<Hit>) {
    sweep_portably(tables, probes, hits);
}

#[inline(always)]
fn sweep_portably(tables: &Tables<'_>, probes: &[Probe], hits: &mut Vec<Hit>) {
    let signatures = tables.signatures;
    for probes in probes.chunks(AHEAD) {
        // Everything is asked for before anything is waited for.
        let mut spans = [(0, 0); AHEAD];
        for (span, probe) in spans.iter_mut().zip(probes) {
            let range = tables.span(usize::from(probe.table), usize::from(probe.bucket));
            *span = (range.start, range.end);
        }
        let first = |at: usize| signatures.get(at).copied().unwrap_or_default();
        black_box(spans.iter().fold(0, |all, span| all ^ first(span.0)));
        for ((mut at, end), probe) in spans.into_iter().zip(probes) {
            let limit = u16::from(probe.limit);
            while at < end {
                // There is always so much, as tables end with a padding.
                let block = signatures.get(at..).and_then(<[u16]>::first_chunk::<PADDING>);
                let Some(block) = block else { break };
                let off = |signature: &u16| (signature ^ probe.signature).count_ones() as u16;
                // Beyond the end of the bucket lies the next, which costs a second look at worst.
                if block.iter().map(off).min() <= Some(limit) {
                    for (at, signature) in (at..end).zip(block) {
                        if off(signature) <= limit {
                            hits.push(Hit { at, query: probe.query });
                        }
                    }
                }
                at += PADDING;
            }
        }
    }
}

/// Reports each code within `radius` of a code.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512vpopcntdq+popcnt",
    "x86_64+avx2+popcnt",
    "x86_64+popcnt"
))]
fn near_one(
    codes: &[Spread],
    code: &Spread,
    radius: u32,
    report: &mut dyn FnMut(usize, u32, usize),
) {
    near_portably(codes, array::from_ref(code), radius, report);
}

/// Reports each code within `radius` of one of these.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512vpopcntdq+popcnt",
    "x86_64+avx2+popcnt",
    "x86_64+popcnt"
))]
fn near_many(
    codes: &[Spread],
    lanes: &[Spread; LANES],
    radius: u32,
    report: &mut dyn FnMut(usize, u32, usize),
) {
    near_portably(codes, lanes, radius, report);
}

#[inline(always)]
fn near_portably<const N: usize>(
    codes: &[Spread],
    lanes: &[Spread; N],
    radius: u32,
    report: &mut dyn FnMut(usize, u32, usize),
) {
    let words: [[u64; N]; 4] = array::from_fn(|word| lanes.map(|code| code[word]));
    for (place, code) in codes.iter().enumerate() {
        // Word by word for all lanes, which is how the compiler does several lanes at a time.
        let mut distances = [0u64; N];
        for (word, lanes) in code.iter().zip(&words) {
            for (distance, lane) in distances.iter_mut().zip(lanes) {
                *distance += u64::from((word ^ lane).count_ones());
            }
        }
        if distances.iter().min() <= Some(&u64::from(radius)) {
            for (lane, &distance) in distances.iter().enumerate() {
                if distance <= u64::from(radius) {
                    report(place, distance as u32, lane);
                }
            }
        }
    }
}

/// Signatures that are compared at a time, and readable ones beyond the last bucket.
pub(super) const PADDING: usize = 32;
/// Codes compared with a code at once; as many as a picture has ways to be turned and mirrored.
const LANES: usize = 8;
/// Buckets, and then codes, that are asked for at a time.
const AHEAD: usize = 64;
/// From so many probes in all tables on it pays to order them by bucket.
const SORTED_MIN: usize = 2 * BUCKETS;
/// Probes of a table at a time, 8 bytes each.
const PROBES_MAX: usize = 1 << 18;
/// Queries at a time; a probe has 16 bits for their number.
const QUERIES_MAX: usize = 1 << 16;
/// What a probe costs beside comparing a code with another in full.
const PROBE_COST: f64 = 4.0;
/// What comparing a signature costs beside it.
const SIGNATURE_COST: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What the machine's widest registers find is what the plain loop finds, which other machines take.
        #[test]
        fn every_way_to_compare_finds_the_same(
            codes in proptest::collection::vec(any::<[u64; 4]>(), 1..200),
            flips in proptest::collection::vec((0usize..200, 0usize..256), 0..400),
            radius in 0u32..110,
        ) {
            let mut near = codes.clone();
            for (code, bit) in flips {
                near[code % codes.len()][bit / 64] ^= 1 << (bit % 64);
            }
            let owned = OwnedTables::new(&codes);
            let (reach, mut probes) = (Reach::new(radius.min(48)), Vec::new());
            let queries: Vec<Query> = near.iter().take(9).map(|&code| Query { code }).collect();
            (0..CHUNKS).for_each(|table| push_probes(table, &queries, &reach, &mut probes));
            let (mut wide, mut plain) = (Vec::new(), Vec::new());
            sweep(&owned.view(), &probes, &mut wide);
            sweep_portably(&owned.view(), &probes, &mut plain);
            let places = |hits: &[Hit]| hits.iter().map(|h| (h.at, h.query)).collect::<Vec<_>>();
            prop_assert_eq!(places(&wide), places(&plain));

            let lanes: [Spread; LANES] = array::from_fn(|lane| near[lane % near.len()]);
            let (mut wide, mut plain) = (Vec::new(), Vec::new());
            near_many(&codes, &lanes, radius, &mut |place, bits, lane| wide.push((place, bits, lane)));
            near_portably(&codes, &lanes, radius, &mut |place, bits, lane| {
                plain.push((place, bits, lane));
            });
            prop_assert_eq!(&wide, &plain);
            for (place, code) in codes.iter().enumerate() {
                for (lane, other) in lanes.iter().enumerate() {
                    let bits = distance(code, other);
                    prop_assert_eq!(wide.contains(&(place, bits, lane)), bits <= radius);
                }
            }
        }
    }
}
