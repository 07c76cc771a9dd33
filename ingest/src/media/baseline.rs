//! The brightness of a baseline JPEG (ITU-T T.81, 8 bits, one interleaved scan), at full size or reduced, straight from its
//! coefficients: what a scan asks of nearly all pictures, and the only thing that it asks of most.
//!
//! A picture is reduced by the mean of whole squares of its pixels, 2, 4 or 8 a side. The cosines of a block are then added
//! up to a smaller one: the mean of two neighbouring pixels of a wave is the wave in half the size, weaker. Colours are
//! only stepped over. Whatever is out of the ordinary, or damaged, gives no brightness here: a decoder for everything says
//! what is the matter.

use std::cmp::Ordering;
use std::f32::consts::PI;

use memchr::memchr;
use multiversion::multiversion;

/// What precedes the coefficients of a JPEG that is decoded here.
pub(super) struct Baseline<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// What EXIF says, if anything.
    pub exif: Option<&'a [u8]>,
    /// Brightness first.
    components: Vec<Component>,
    quantisation: [Option<[u16; 64]>; 4],
    dc: [Option<Box<Codes>>; 4],
    ac: [Option<Box<Codes>>; 4],
    /// So many units lie between two restarts; 0 if there are none.
    restart_interval: usize,
    /// What comes after the header of the scan.
    coefficients: &'a [u8],
}

struct Component {
    id: u8,
    /// Blocks of it in a unit, across and down.
    across: usize,
    down: usize,
    quantisation: usize,
    dc: usize,
    ac: usize,
}

impl<'a> Baseline<'a> {
    /// Reads up to the coefficients. `None` for everything that is not decoded here.
    pub fn read(bytes: &'a [u8]) -> Option<Baseline<'a>> {
        let mut jpeg = Baseline {
            width: 0,
            height: 0,
            exif: None,
            components: Vec::new(),
            quantisation: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            restart_interval: 0,
            coefficients: &[],
        };
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let marker = match rest {
                [0xFF, 0xFF, ..] => {
                    rest = &rest[1..];
                    continue;
                }
                [0xFF, marker, ..] => *marker,
                _ => return None,
            };
            let length = usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?));
            let segment = rest.get(4..2 + length)?;
            rest = &rest[2 + length..];
            match marker {
                0xC0 | 0xC1 => jpeg.read_frame(segment)?,
                0xC4 => jpeg.read_codes(segment)?,
                0xDA => {
                    jpeg.read_scan(segment)?;
                    jpeg.coefficients = rest;
                    return Some(jpeg);
                }
                0xDB => jpeg.read_quantisation(segment)?,
                0xDD => {
                    jpeg.restart_interval = u16::from_be_bytes(*segment.first_chunk()?).into();
                }
                0xE1 => jpeg.exif = jpeg.exif.or(segment.strip_prefix(b"Exif\0\0")),
                // Adobe's marker says which colours are meant: 1 is brightness and two differences.
                0xEE if segment.starts_with(b"Adobe") && segment.get(11) != Some(&1) => {
                    return None;
                }
                0xE0..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
    }

    fn read_frame(&mut self, segment: &[u8]) -> Option<()> {
        let [8, h1, h0, w1, w0, count, components @ ..] = segment else { return None };
        self.height = u16::from_be_bytes([*h1, *h0]).into();
        self.width = u16::from_be_bytes([*w1, *w0]).into();
        let components = components.as_chunks::<3>().0;
        let is_known = matches!((*count, components.len()), (1, 1) | (3, 3));
        if self.width == 0 || self.height == 0 || !is_known || !self.components.is_empty() {
            return None;
        }
        for [id, sampling, quantisation] in components {
            let (across, down) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if ![1, 2, 4].contains(&across) || !(1..=4).contains(&down) {
                return None;
            }
            let quantisation = usize::from(*quantisation);
            self.components.push(Component { id: *id, across, down, quantisation, dc: 0, ac: 0 });
        }
        match &mut self.components[..] {
            // Alone in a scan, it has one block a unit, whatever it says.
            [luma] => (luma.across, luma.down) = (1, 1),
            [luma, others @ ..] => {
                // Those whose names are red, green and blue may be.
                let is_rgb = [luma.id, others[0].id, others[1].id] == *b"RGB";
                let (across, down) = (luma.across, luma.down);
                if is_rgb || others.iter().any(|c| c.across > across || c.down > down) {
                    return None;
                }
            }
            [] => return None,
        }
        Some(())
    }

    fn read_quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [head, values @ ..] = segment {
            let table = self.quantisation.get_mut(usize::from(head & 15))?.insert([0; 64]);
            if head >> 4 == 0 {
                table.iter_mut().zip(values.get(..64)?).for_each(|(to, from)| *to = (*from).into());
                segment = &values[64..];
            } else {
                let pairs = values.get(..128)?.as_chunks::<2>().0;
                table.iter_mut().zip(pairs).for_each(|(to, from)| *to = u16::from_be_bytes(*from));
                segment = &values[128..];
            }
        }
        Some(())
    }

    fn read_codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let [head, rest @ ..] = segment {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let symbols = rest.get(..counts.iter().map(|count| usize::from(*count)).sum())?;
            let is_ac = head >> 4 == 1;
            let tables = if is_ac { &mut self.ac } else { &mut self.dc };
            *tables.get_mut(usize::from(head & 15))? = Some(Codes::new(counts, symbols, is_ac)?);
            segment = &rest[symbols.len()..];
        }
        Some(())
    }

    /// All components at once, in their order, or it is not decoded here.
    fn read_scan(&mut self, segment: &[u8]) -> Option<()> {
        let [count, rest @ ..] = segment else { return None };
        if self.components.is_empty() || usize::from(*count) != self.components.len() {
            return None;
        }
        let (selectors, _) = rest.as_chunks::<2>();
        for (component, [id, tables]) in self.components.iter_mut().zip(selectors) {
            if component.id != *id {
                return None;
            }
            (component.dc, component.ac) = (usize::from(tables >> 4), usize::from(tables & 15));
        }
        (rest.len() == 2 * self.components.len() + 3).then_some(())
    }

    /// The brightness, `scale` × `scale` pixels (1, 2, 4 or 8 each way) as one; what lies beyond the last pixel as the file
    /// has it. `None` if the coefficients are damaged, or anything but the end of the picture follows.
    pub fn luma(&self, scale: usize) -> Option<Vec<u8>> {
        decode(self, &Segments::of(self)?, scale)
    }
}

/// The scan, without the bytes that keep markers apart from coefficients, and cut at its restarts.
struct Segments {
    bytes: Vec<u8>,
    /// Where each begins, and where its coefficients end; zeros follow.
    ranges: Vec<(usize, usize)>,
}

impl Segments {
    fn of(jpeg: &Baseline<'_>) -> Option<Segments> {
        let mut rest = jpeg.coefficients;
        let mut bytes = Vec::with_capacity(rest.len() + PADDING);
        let mut ranges = Vec::new();
        let mut start = 0;
        loop {
            let at = memchr(0xFF, rest)?;
            bytes.extend_from_slice(&rest[..at]);
            let marker = *rest.get(at + 1)?;
            rest = &rest[at + 1..];
            match marker {
                0x00 => {
                    bytes.push(0xFF);
                    rest = &rest[1..];
                }
                0xFF => {}
                0xD0..=0xD7 | 0xD9 => {
                    ranges.push((start, bytes.len()));
                    bytes.extend_from_slice(&[0; PADDING]);
                    start = bytes.len();
                    if marker == 0xD9 {
                        return Some(Segments { bytes, ranges });
                    }
                    rest = &rest[1..];
                }
                _ => return None,
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+bmi2", "x86_64+avx2+bmi2"))]
fn decode(jpeg: &Baseline<'_>, segments: &Segments, scale: usize) -> Option<Vec<u8>> {
    match scale {
        1 => decode_blocks::<8>(jpeg, segments),
        2 => decode_blocks::<4>(jpeg, segments),
        4 => decode_blocks::<2>(jpeg, segments),
        8 => decode_blocks::<1>(jpeg, segments),
        _ => None,
    }
}

/// Each block becomes `N` × `N` values.
#[inline(always)]
fn decode_blocks<const N: usize>(jpeg: &Baseline<'_>, segments: &Segments) -> Option<Vec<u8>> {
    let [luma, colours @ ..] = &jpeg.components[..] else { return None };
    let tables = |component: &Component| {
        let (dc, ac) = (jpeg.dc.get(component.dc)?, jpeg.ac.get(component.ac)?);
        Some((dc.as_deref()?, ac.as_deref()?, component.across * component.down))
    };
    let (dc, ac, _) = tables(luma)?;
    let colours: Vec<_> = colours.iter().map(tables).collect::<Option<_>>()?;
    let places = places::<N>(jpeg.quantisation.get(luma.quantisation)?.as_ref()?);

    let (units_across, units_down) =
        (jpeg.width.div_ceil(8 * luma.across), jpeg.height.div_ceil(8 * luma.down));
    let (width, height) = (jpeg.width.div_ceil(8 / N), jpeg.height.div_ceil(8 / N));
    let mut values = Vec::with_capacity(width * height);
    // A batch for each row of blocks in a unit; the strip of pixels has room for whole batches.
    let mut batches = vec![Batch::<N>::new(); luma.down];
    let blocks_across = units_across * luma.across;
    let stride = blocks_across.next_multiple_of(LANES) * N;
    let mut strip = vec![0; stride * luma.down * N];
    let mut ranges = segments.ranges.iter();
    let mut bits = Bits::new(segments, ranges.next()?);
    let (mut before, mut until_restart) = (0, jpeg.restart_interval);
    for _ in 0..units_down {
        for unit in 0..units_across {
            if jpeg.restart_interval > 0 {
                if until_restart == 0 {
                    if !bits.are_sound() {
                        return None;
                    }
                    bits = Bits::new(segments, ranges.next()?);
                    (before, until_restart) = (0, jpeg.restart_interval);
                }
                until_restart -= 1;
            }
            for (batch, rows) in batches.iter_mut().zip(strip.chunks_exact_mut(stride * N)) {
                for block in unit * luma.across..(unit + 1) * luma.across {
                    let lane = block % LANES;
                    batch.read_block(lane, &mut bits, dc, ac, &places, &mut before);
                    if lane == LANES - 1 || block == blocks_across - 1 {
                        batch.draw(&mut rows[(block - lane) * N..], stride);
                    }
                }
            }
            for (dc, ac, blocks) in &colours {
                for _ in 0..*blocks {
                    bits.next_constant(dc);
                    bits.each_wave(ac, |_, _| ());
                }
            }
        }
        if !bits.are_sound() {
            return None;
        }
        let rows = strip.chunks_exact(stride).take(height - values.len() / width);
        rows.for_each(|row| values.extend_from_slice(&row[..width]));
    }
    // More, or less, than the frame has room for is no picture as it should be.
    ranges.next().is_none().then_some(values)
}

/// For each coefficient in its order in the file: to which wave of the smaller block it adds, by waves down and then across,
/// and how much. What lies beyond the last adds nothing.
fn places<const N: usize>(quantisation: &[u16; 64]) -> [(u32, f32); 128] {
    // Of each wave along a line: which of the smaller block's it looks like, and how strong it is.
    let line: [(usize, f32); 8] = std::array::from_fn(|wave| {
        let mut strength = if wave == 0 { 8_f32.sqrt().recip() } else { 0.5 };
        let mut apart = 8;
        while apart > N {
            // The mean of two values that far apart.
            strength *= (wave as f32 * PI / (2 * apart) as f32).cos();
            apart /= 2;
        }
        let folded = wave % (4 * N);
        let folded = if folded > 2 * N { 4 * N - folded } else { folded };
        match folded.cmp(&N) {
            Ordering::Less => (folded, strength),
            Ordering::Equal => (0, 0.0),
            Ordering::Greater => (2 * N - folded, -strength),
        }
    });
    let mut places = [(0, 0.0); 128];
    for ((place, at), step) in places.iter_mut().zip(ZIGZAG).zip(quantisation) {
        let ((u, across), (v, down)) = (line[at % 8], line[at / 8]);
        *place = ((v * N + u) as u32, across * down * f32::from(*step));
    }
    places
}

/// The waves of blocks side by side, each in its lane, so that one instruction works on all of them.
#[derive(Clone)]
struct Batch<const N: usize> {
    /// By waves down, then across.
    waves: [[Lanes; N]; N],
}

impl<const N: usize> Batch<N> {
    fn new() -> Batch<N> {
        Batch { waves: [[[0.0; LANES]; N]; N] }
    }

    /// Reads the next block of brightness; `before` is the constant of the block before, and then of this one.
    #[inline(always)]
    fn read_block(
        &mut self,
        lane: usize,
        bits: &mut Bits<'_>,
        dc: &Codes,
        ac: &Codes,
        places: &[(u32, f32); 128],
        before: &mut i32,
    ) {
        let waves = self.waves.as_flattened_mut();
        // Sums that a damaged file lets grow without end mean nothing anyway.
        *before = before.wrapping_add(bits.next_constant(dc));
        waves[0][lane] = *before as f32 * places[0].1;
        bits.each_wave(ac, |at, value| {
            let (place, factor) = places[at % 128];
            waves[place as usize % (N * N)][lane] += value as f32 * factor;
        });
    }

    /// Adds up the waves to pixels, in rows of `stride`, and leaves none behind.
    #[inline(always)]
    fn draw(&mut self, pixels: &mut [u8], stride: usize) {
        for across in 0..N {
            let mut line = [[0.0; LANES]; N];
            for (of_line, waves) in line.iter_mut().zip(&self.waves) {
                *of_line = waves[across];
            }
            add_up(&mut line);
            for (waves, of_line) in self.waves.iter_mut().zip(&line) {
                waves[across] = *of_line;
            }
        }
        for (line, pixels) in self.waves.iter_mut().zip(pixels.chunks_mut(stride)) {
            add_up(line);
            // Up to four pixels of a block are a number, in the order in which they lie in the row.
            for (part, values) in line.chunks(4).enumerate() {
                let mut numbers = [0_u32; LANES];
                for (at, values) in values.iter().enumerate() {
                    for (number, value) in numbers.iter_mut().zip(values) {
                        *number |= level(*value) << (8 * at);
                    }
                }
                for (block, number) in pixels.chunks_exact_mut(N).zip(numbers) {
                    let length = N.min(4);
                    block[4 * part..][..length].copy_from_slice(&number.to_le_bytes()[..length]);
                }
            }
        }
        self.waves = [[[0.0; LANES]; N]; N];
    }
}

/// Waves become the sums of their cosines at `N` places, by halves: the waves of even number are those of a line of half as
/// many places, and those of odd number change their sign in the other half.
#[inline(always)]
fn add_up<const N: usize>(line: &mut [Lanes; N]) {
    match line.as_mut_slice() {
        [a, b] => [*a, *b] = two([*a, *b]),
        [a, b, c, d] => [*a, *b, *c, *d] = four([*a, *b, *c, *d]),
        [a, b, c, d, e, f, g, h] => {
            let [_, c1, _, c3, _, c5, _, c7] = COSINES;
            let [p, q, r, s] = four([*a, *c, *e, *g]);
            let waves = [*b, *d, *f, *h];
            let (p, z) = sum_and_difference(p, weighted(&waves, [c1, c3, c5, c7]));
            let (q, y) = sum_and_difference(q, weighted(&waves, [c3, -c7, -c1, -c5]));
            let (r, x) = sum_and_difference(r, weighted(&waves, [c5, -c1, c7, c3]));
            let (s, w) = sum_and_difference(s, weighted(&waves, [c7, -c5, c3, -c1]));
            [*a, *b, *c, *d, *e, *f, *g, *h] = [p, q, r, s, w, x, y, z];
        }
        _ => {}
    }
}

#[inline(always)]
fn four([a, b, c, d]: [Lanes; 4]) -> [Lanes; 4] {
    let [p, q] = two([a, c]);
    let (p, z) = sum_and_difference(p, weighted(&[b, d], [COSINES[2], COSINES[6]]));
    let (q, y) = sum_and_difference(q, weighted(&[b, d], [COSINES[6], -COSINES[2]]));
    [p, q, y, z]
}

#[inline(always)]
fn two([a, b]: [Lanes; 2]) -> [Lanes; 2] {
    let (p, z) = sum_and_difference(a, weighted(&[b], [COSINES[4]]));
    [p, z]
}

#[inline(always)]
fn weighted<const M: usize>(waves: &[Lanes; M], weights: [f32; M]) -> Lanes {
    let mut sum = [0.0; LANES];
    for (wave, weight) in waves.iter().zip(weights) {
        for (sum, value) in sum.iter_mut().zip(wave) {
            *sum += value * weight;
        }
    }
    sum
}

#[inline(always)]
fn sum_and_difference(mut a: Lanes, b: Lanes) -> (Lanes, Lanes) {
    let mut difference = a;
    for lane in 0..LANES {
        a[lane] += b[lane];
        difference[lane] -= b[lane];
    }
    (a, difference)
}

/// Blocks are stored around the middle of what a byte holds. Out of range is cut off.
#[inline(always)]
fn level(value: f32) -> u32 {
    // Beyond 2^23 a float has no room for a fraction, and its lowest bits are the number: a cast would be slower.
    ((value + 128.0).clamp(0.0, 255.0) + 8_388_608.0).to_bits() & 0xFF
}

/// Prefix codes of one kind (T.81, annex C), with what follows them.
struct Codes {
    /// By the next bits: a step, if code and value fit in; and where there is still room the one after it, or none.
    steps: [[Step; 2]; 1 << FAST_BITS],
    /// For each length, 1 to 16: codes aligned to 16 bits below this are no longer, and where their symbols are, less the
    /// code itself.
    longer: [(u32, i32); 17],
    symbols: [u8; 256],
    is_ac: bool,
}

/// What is next in a block.
#[derive(Clone, Copy, Default)]
struct Step {
    /// The coefficient, 0 where none comes.
    value: i16,
    /// How many coefficients on it is; 64 after the last. 0 where there is more to read than the table shows: `value` is
    /// then the symbol, and `length` that of its code, or 0 if that is longer still.
    advance: u8,
    /// Bits.
    length: u8,
}

impl Codes {
    fn new(counts: &[u8; 16], symbols: &[u8], is_ac: bool) -> Option<Box<Codes>> {
        let mut codes = Box::new(Codes {
            steps: [[Step::default(); 2]; 1 << FAST_BITS],
            longer: [(0, 0); 17],
            symbols: [0; 256],
            is_ac,
        });
        codes.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        let (mut code, mut index) = (0_u32, 0);
        for (length, count) in (1..).zip(counts) {
            let count = u32::from(*count);
            if code + count > 1 << length {
                return None;
            }
            codes.longer[length as usize] =
                ((code + count) << (16 - length), index as i32 - code as i32);
            for _ in 0..count {
                if length <= FAST_BITS {
                    codes.fill(code, length, symbols[index]);
                }
                code += 1;
                index += 1;
            }
            code <<= 1;
        }
        if is_ac {
            codes.pair();
        }
        Some(codes)
    }

    /// Finds what comes after each step, as far as the table shows it.
    fn pair(&mut self) {
        for bits in 0..self.steps.len() {
            let [first, _] = self.steps[bits];
            // After the last of a block comes a constant, which has codes of its own.
            if first.advance == 0 || first.advance >= 64 {
                continue;
            }
            let [second, _] = self.steps[(bits << first.length) % self.steps.len()];
            if second.advance > 0 && u32::from(first.length + second.length) <= FAST_BITS {
                self.steps[bits][1] = second;
            }
        }
    }

    /// All steps that begin with this code.
    fn fill(&mut self, code: u32, length: u32, symbol: u8) {
        let (size, advance) = self.meaning(symbol);
        let spare = FAST_BITS - length;
        let steps = &mut self.steps[(code << spare) as usize..][..1 << spare];
        if size > spare {
            let slow = Step { value: symbol.into(), advance: 0, length: length as u8 };
            steps.fill([slow, Step::default()]);
            return;
        }
        for (bits, steps) in (0..).zip(steps.chunks_exact_mut(1 << (spare - size))) {
            let length = (length + size) as u8;
            let value = extended(bits, size) as i16;
            steps.fill([Step { value, advance: advance as u8, length }, Step::default()]);
        }
    }

    /// The bits of the value that follows, and how many coefficients on that is.
    #[inline(always)]
    fn meaning(&self, symbol: u8) -> (u32, usize) {
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (self.is_ac, run, size) {
            // More than a coefficient of 8 bits can have is refused by its size.
            (false, ..) => (u32::from(symbol).min(16), 1),
            (true, 15, 0) => (0, 16),
            (true, _, 0) => (0, 64),
            (true, run, size) => (size, run + 1),
        }
    }
}

/// The value that so many bits stand for (T.81, F.2.2.1): those that begin with 0 are negative.
#[inline(always)]
fn extended(bits: u32, size: u32) -> i32 {
    let (bits, half) = (bits as i32, 1_i32 << size >> 1);
    if bits < half { bits - 2 * half + 1 } else { bits }
}

/// A value, and how many coefficients on it is.
struct Coefficient {
    value: i32,
    advance: usize,
}

/// The bits of a segment, from the first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the coefficients end.
    end: usize,
    /// The next ones, from the highest; below them nothing that counts.
    next: u64,
    /// How many of them there are.
    have: u32,
    is_damaged: bool,
}

impl<'a> Bits<'a> {
    fn new(segments: &'a Segments, &(start, end): &(usize, usize)) -> Bits<'a> {
        Bits { bytes: &segments.bytes, at: start, end, next: 0, have: 0, is_damaged: false }
    }

    /// Whether everything so far was there, and meant something.
    fn are_sound(&self) -> bool {
        let taken = 8 * self.at - self.have as usize;
        !self.is_damaged && taken <= 8 * self.end
    }

    /// At least 56 bits are there afterwards. Past the end zeros are.
    #[inline(always)]
    fn refill(&mut self) {
        let at = self.at.min(self.end);
        if let Some(bytes) = self.bytes[at..].first_chunk::<8>() {
            self.next |= u64::from_be_bytes(*bytes) >> self.have;
        }
        self.at += ((63 - self.have) / 8) as usize;
        self.have |= 56;
    }

    #[inline(always)]
    fn take(&mut self, bits: u32) {
        self.next <<= bits;
        // 56 at least are there at first, and no more than 32 are taken before the next refill.
        self.have = self.have.wrapping_sub(bits);
    }

    #[inline(always)]
    fn next_constant(&mut self, codes: &Codes) -> i32 {
        self.refill();
        let [step, _] = codes.steps[(self.next >> (64 - FAST_BITS)) as usize];
        if step.advance == 0 {
            return self.next_slowly(codes, step).value;
        }
        self.take(step.length.into());
        step.value.into()
    }

    /// Hands out what follows the constant of a block: how many coefficients after it, and the value. Some are 0, or beyond
    /// the block.
    #[inline(always)]
    fn each_wave(&mut self, codes: &Codes, mut take: impl FnMut(usize, i32)) {
        let mut at = 0;
        while at < 63 {
            self.refill();
            let [first, second] = codes.steps[(self.next >> (64 - FAST_BITS)) as usize];
            if first.advance == 0 {
                let slow = self.next_slowly(codes, first);
                at += slow.advance;
                take(at, slow.value);
                continue;
            }
            at += usize::from(first.advance);
            self.take(first.length.into());
            take(at, first.value.into());
            if at < 63 {
                at += usize::from(second.advance);
                self.take(second.length.into());
                take(at, second.value.into());
            }
        }
    }

    #[inline(always)]
    fn next_slowly(&mut self, codes: &Codes, step: Step) -> Coefficient {
        let (symbol, length) = if step.length > 0 {
            (step.value as u8, step.length.into())
        } else {
            let code = (self.next >> 48) as u32;
            let is_it = |length: &usize| code < codes.longer[*length].0;
            let Some(length) = (FAST_BITS as usize + 1..=16).find(is_it) else {
                self.is_damaged = true;
                return Coefficient { value: 0, advance: 64 };
            };
            let at = (code >> (16 - length)) as i32 + codes.longer[length].1;
            (codes.symbols[at as usize % 256], length as u32)
        };
        let (size, advance) = codes.meaning(symbol);
        self.take(length);
        // Two shifts, as there may be nothing to take.
        let value = extended((self.next >> 32 >> (32 - size)) as u32, size);
        self.take(size);
        self.is_damaged |= size > SIZE_MAX;
        Coefficient { value, advance }
    }
}

/// Bits that a table of steps shows: most codes, and the values of small coefficients with them.
const FAST_BITS: u32 = 10;
/// The most bits of a value in a picture of 8 bits.
const SIZE_MAX: u32 = 11;
/// Zeros after a segment, so that there is always a word to read.
const PADDING: usize = 8;
/// Blocks whose waves are added up at a time.
const LANES: usize = 8;
type Lanes = [f32; LANES];
/// The cosines of sixteenths of half a turn.
const COSINES: [f32; 8] = [
    1.0,
    0.980_785_3,
    0.923_879_5,
    0.831_469_6,
    0.707_106_77,
    0.555_570_24,
    0.382_683_43,
    0.195_090_32,
];

/// Where in a block, row by row, the coefficients of a file are (T.81, figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    use proptest::prelude::*;
    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::bytestream::ZCursor;
    use zune_jpeg::zune_core::colorspace::ColorSpace;
    use zune_jpeg::zune_core::options::DecoderOptions;

    use super::*;

    /// Slopes, edges and noise, in colours.
    fn rgb(width: u16, height: u16) -> Vec<u8> {
        let pixel = |x: u32, y: u32| {
            let noise = (x * 31 + y * 17).wrapping_mul(2_654_435_761) >> 27;
            let edge = if (x / 20 + y / 30).is_multiple_of(2) { 120 } else { 0 };
            [(x * 2 + noise) as u8, (y / 2 + edge + noise) as u8, (x ^ y) as u8]
        };
        let (width, height) = (u32::from(width), u32::from(height));
        (0..width * height).flat_map(|at| pixel(at % width, at / width)).collect()
    }

    fn jpeg(
        width: u16,
        height: u16,
        quality: u8,
        set: impl Fn(&mut Encoder<&mut Vec<u8>>),
    ) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, quality);
        set(&mut encoder);
        encoder.encode(&rgb(width, height), width, height, ColorType::Rgb).unwrap();
        file
    }

    fn luma(file: &[u8], scale: usize) -> Option<Vec<u8>> {
        Baseline::read(file)?.luma(scale)
    }

    fn by_zune(file: &[u8]) -> Vec<u8> {
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
        JpegDecoder::new_with_options(ZCursor::new(file), options).decode().unwrap()
    }

    /// The mean of the squares that lie within the picture all over, each beside where it is.
    fn means(values: &[u8], width: usize, height: usize, scale: usize) -> Vec<(usize, f32)> {
        let mut means = Vec::new();
        for (y, x) in (0..height / scale).flat_map(|y| (0..width / scale).map(move |x| (y, x))) {
            let rows = values.chunks_exact(width).skip(y * scale).take(scale);
            let pixels = rows.flat_map(|row| &row[x * scale..][..scale]);
            let sum: f32 = pixels.map(|&value| f32::from(value)).sum();
            means.push((y * width.div_ceil(scale) + x, sum / (scale * scale) as f32));
        }
        means
    }

    fn check_beside_zune(file: &[u8], width: u16, height: u16) {
        let expected = by_zune(file);
        let (width, height) = (usize::from(width), usize::from(height));
        for scale in [1, 2, 4, 8] {
            let values = luma(file, scale).unwrap();
            assert_eq!(values.len(), width.div_ceil(scale) * height.div_ceil(scale));
            // What is cut off at black and white is cut off before the mean is taken there, and after it here.
            let mut apart = 0.0;
            for (at, mean) in means(&expected, width, height, scale) {
                let difference = (f32::from(values[at]) - mean).abs();
                assert!(difference < 40.0, "{width} x {height}, 1/{scale}, value {at}");
                apart += difference;
            }
            let count = (width / scale * (height / scale)).max(1);
            assert!(apart / (count as f32) < 1.0, "{width} x {height}, 1/{scale}: {apart}");
        }
    }

    #[test]
    fn brightness_is_that_of_another_decoder_and_reduced_the_mean_of_it() {
        use SamplingFactor::{F_1_1, F_1_2, F_2_1, F_2_2};
        for (width, height) in [(64, 64), (1, 1), (7, 200), (129, 65), (300, 17), (333, 222)] {
            for quality in [20, 75, 95] {
                for sampling in [F_1_1, F_2_1, F_1_2, F_2_2] {
                    for restart in [None, Some(1), Some(7)] {
                        let file = jpeg(width, height, quality, |encoder| {
                            encoder.set_sampling_factor(sampling);
                            if let Some(interval) = restart {
                                encoder.set_restart_interval(interval);
                            }
                        });
                        check_beside_zune(&file, width, height);
                    }
                }
            }
        }
    }

    #[test]
    fn the_samples_are_decoded_too() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/works");
        let mut checked = 0;
        for entry in fs::read_dir(samples).unwrap() {
            let file = fs::read(entry.unwrap().path()).unwrap();
            if let Some(jpeg) = Baseline::read(&file) {
                check_beside_zune(&file, jpeg.width as u16, jpeg.height as u16);
                checked += 1;
            }
        }
        assert!(checked > 3);
    }

    #[test]
    fn grey_is_decoded_too() {
        let mut file = Vec::new();
        let grey: Vec<u8> = rgb(150, 90).into_iter().step_by(3).collect();
        Encoder::new(&mut file, 85).encode(&grey, 150, 90, ColorType::Luma).unwrap();
        check_beside_zune(&file, 150, 90);
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_left_to_others() {
        let plain = jpeg(90, 70, 80, |_| ());
        assert!(luma(&plain, 1).is_some());
        let progressive = jpeg(90, 70, 80, |encoder| encoder.set_progressive(true));
        assert!(luma(&progressive, 1).is_none());
        let scans = jpeg(90, 70, 80, |encoder| encoder.set_optimized_huffman_tables(true));
        assert!(luma(&scans, 1).is_none());
        let mut colours = Vec::new();
        let cmyk = [rgb(40, 40), rgb(40, 40)[..1600].to_vec()].concat();
        Encoder::new(&mut colours, 80).encode(&cmyk, 40, 40, ColorType::Cmyk).unwrap();
        assert!(luma(&colours, 1).is_none());
        assert!(luma(&plain, 3).is_none());
        assert!(luma(b"", 1).is_none() && luma(b"\xFF\xD8\xFF", 1).is_none());
        // A picture may be followed by anything, but not by half of itself.
        let followed = [&plain[..], b"a film"].concat();
        assert_eq!(luma(&followed, 1), luma(&plain, 1));
    }

    #[test]
    fn a_picture_cut_short_is_none() {
        for interval in [None, Some(2)] {
            let file = jpeg(120, 90, 70, |encoder| {
                if let Some(interval) = interval {
                    encoder.set_restart_interval(interval);
                }
            });
            for length in 0..file.len() {
                assert!(luma(&file[..length], 2).is_none(), "{length}");
                // Nor with an end where there is none.
                let ended = [&file[..length.saturating_sub(20)], &[0xFF, 0xD9]].concat();
                assert!(luma(&ended, 2).is_none(), "{length}, ended");
            }
        }
    }

    proptest! {
        #[test]
        fn damaged_files_are_borne(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            interval in prop::option::of(1_u16..9),
            scale in prop::sample::select(vec![1_usize, 2, 4, 8]),
        ) {
            let mut file = jpeg(75, 53, 60, |encoder| {
                if let Some(interval) = interval {
                    encoder.set_restart_interval(interval);
                }
            });
            for (at, byte) in damage {
                let at = at.index(file.len());
                file[at] = byte;
            }
            if let Some(jpeg) = Baseline::read(&file)
                && jpeg.width * jpeg.height < 1 << 22
                && let Some(values) = jpeg.luma(scale)
            {
                let length = jpeg.width.div_ceil(scale) * jpeg.height.div_ceil(scale);
                prop_assert_eq!(values.len(), length);
            }
        }
    }
}
