//! Chance that falls the same way every time, and the few curves drawn from it.

/// A stream of numbers told by its seed (SplitMix64).
pub struct Chance(u64);

impl Chance {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// A number from 0 up to 1.
    pub fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        unit(scramble(self.0))
    }

    /// A number between two others.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True this often.
    pub fn odds(&mut self, odds: f32) -> bool {
        self.unit() < odds
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.unit() * from.len() as f32) as usize]
    }
}

/// A fixed number from 0 up to 1 for every whole place.
pub fn scatter(seed: u64, x: i64, y: i64) -> f32 {
    let place = (x as u64).wrapping_mul(0x8da6_b343) ^ (y as u64).wrapping_mul(0xd816_3841 << 20);
    unit(scramble(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place))
}

/// Soft hills and hollows between 0 and 1, one unit wide.
pub fn noise(seed: u64, x: f32, y: f32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (u, v) = (ease(x - left), ease(y - top));
    let corner = |dx, dy| scatter(seed, left as i64 + dx, top as i64 + dy);
    let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * u;
    let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * u;
    upper + (lower - upper) * v
}

/// Noise upon finer noise: clouds, stone, bark.
pub fn clouds(seed: u64, x: f32, y: f32) -> f32 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
    for octave in 0..4 {
        sum += weight * noise(seed + octave, x * scale, y * scale);
        weight /= 2.0;
        scale *= 2.0;
    }
    sum / 0.9375
}

/// From 0 to 1 without a kink at either end.
pub fn ease(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Sine of an angle in whole turns, by Bhaskara's seventh-century rule: within 0.002, and the same
/// on every machine, which `f32::sin` does not promise.
pub fn sine(turns: f32) -> f32 {
    let half = (turns - turns.floor()) * 2.0;
    let arch = |x: f32| 16.0 * x * (1.0 - x) / (5.0 - 4.0 * x * (1.0 - x));
    if half < 1.0 { arch(half) } else { -arch(half - 1.0) }
}

/// Cosine of an angle in whole turns.
pub fn cosine(turns: f32) -> f32 {
    sine(turns + 0.25)
}

fn scramble(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1u64 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bhaskara_is_close() {
        for turns in (-100..100).map(|step| step as f32 / 40.0) {
            let exact = (turns * std::f32::consts::TAU).sin();
            assert!((sine(turns) - exact).abs() < 0.002, "sine of {turns} turns");
        }
    }
}
