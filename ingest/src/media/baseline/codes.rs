//! The coefficients of a scan: its segments, bit by bit, and the prefix codes in them.

use memchr::memchr;

/// The scan, without the bytes that keep markers apart from coefficients, and cut at its restarts.
pub(super) struct Segments {
    bytes: Vec<u8>,
    /// Where each begins, and where its coefficients end; zeros follow.
    pub ranges: Vec<(usize, usize)>,
}

impl Segments {
    /// Cuts what comes after the header of the scan; `None` unless there are as many as expected, and the end of the picture
    /// is the next marker.
    pub fn of(mut rest: &[u8], expected: usize) -> Option<Segments> {
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
                    if ranges.len() == expected {
                        return None;
                    }
                    ranges.push((start, bytes.len()));
                    bytes.extend_from_slice(&[0; PADDING]);
                    start = bytes.len();
                    if marker == 0xD9 {
                        return (ranges.len() == expected).then_some(Segments { bytes, ranges });
                    }
                    rest = &rest[1..];
                }
                _ => return None,
            }
        }
    }
}

/// Prefix codes of one kind (T.81, annex C), with what follows them.
pub(super) struct Codes {
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
    pub fn new(counts: &[u8; 16], symbols: &[u8], is_ac: bool) -> Option<Box<Codes>> {
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
pub(super) struct Bits<'a> {
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
    pub fn new(segments: &'a Segments, &(start, end): &(usize, usize)) -> Bits<'a> {
        Bits { bytes: &segments.bytes, at: start, end, next: 0, have: 0, is_damaged: false }
    }

    /// Whether everything so far was there, and meant something.
    pub fn are_sound(&self) -> bool {
        !self.is_damaged && self.taken() <= 8 * self.end
    }

    /// Whether that was all, but for what fills the last byte.
    pub fn have_ended(&self) -> bool {
        self.are_sound() && 8 * self.end - self.taken() < 8
    }

    fn taken(&self) -> usize {
        8 * self.at - self.have as usize
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
    pub fn next_constant(&mut self, codes: &Codes) -> i32 {
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
    pub fn each_wave(&mut self, codes: &Codes, mut take: impl FnMut(usize, i32)) {
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
