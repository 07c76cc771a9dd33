//! Whether a JPEG can be a copy at all, told from its brightness alone: most suspects are copies of nothing, and need not
//! be decoded in colour to be told so.
//!
//! Where anything is near, or nearly, the picture is decoded whole and compared as any other.

use timemark_vision::{Kind, Pdq, trim_luma};

use crate::engine::Engine;
use crate::media::{self, Limits};
use crate::newcomers::SuspectCodes;
use crate::outcome::Outcome;
use crate::scan::{QUALITY_MIN, ScanOptions};

/// What is certain without colours, and the codes that told it; `None` if the picture has to be looked at whole.
pub(crate) fn glance(
    bytes: &[u8],
    engine: &Engine,
    options: &ScanOptions,
) -> Option<(Outcome, SuspectCodes)> {
    let luma = media::luma(bytes, &Limits::default())?;
    let whole = Pdq::of_luma(&luma, luma.frame())?;
    let mut codes = SuspectCodes { codes: Vec::new(), is_rough: true };
    codes.add(&whole);
    let is_decidable = is_certain(&whole, engine, options)?;
    if let Some(inner) = trim_luma(&luma).and_then(|inner| Pdq::of_luma(&luma, inner)) {
        is_certain(&inner, engine, options)?;
        codes.add(&inner);
    }
    Some((if is_decidable { Outcome::CLEAR } else { Outcome::Undecidable }, codes))
}

/// Whether a picture of these codes, which is certainly a copy of nothing, has enough detail to be told so. `None` if
/// neither is certain.
fn is_certain(pdq: &Pdq, engine: &Engine, options: &ScanOptions) -> Option<bool> {
    if pdq.quality.abs_diff(QUALITY_MIN) <= QUALITY_SLACK {
        return None;
    }
    if pdq.quality < QUALITY_MIN {
        return Some(false);
    }
    let radius = options.radius + LUMA_BITS_MAX;
    let near = engine.index.matches(Kind::Pdq, &pdq.codes, radius);
    near.iter().all(|near| near.quality < QUALITY_MIN).then_some(true)
}

/// By how many bits the code of the brightness differs from that of the picture, in more than 99 of 100 pictures; a few,
/// of garish colours or little detail, are farther off, and are missed where they are copies at the very edge of the
/// radius. `benches/glance.rs` measures it.
pub(crate) const LUMA_BITS_MAX: u32 = 8;
/// By how much its quality differs.
const QUALITY_SLACK: u8 = 7;
