//! The kinds of codes of whole pictures.

use std::fmt;
use std::str::FromStr;

use timemark_verify::FormatError;

/// Which perceptual code; `Display` and `FromStr` are the kind in a claim's fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `pdq`: the code of choice, see [`Pdq`].
    Pdq,
    /// `gradient`: see [`of_rgb`].
    Gradient,
    /// `dct`: see [`of_rgb`].
    Dct,
}

impl Kind {
    /// All kinds; a kind's place here is its number in files of codes.
    pub const ALL: [Kind; 3] = [Kind::Pdq, Kind::Gradient, Kind::Dct];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Pdq => "pdq",
            Kind::Gradient => "gradient",
            Kind::Dct => "dct",
        })
    }
}

impl FromStr for Kind {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Kind, FormatError> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.to_string() == text);
        kind.ok_or_else(|| {
            FormatError::new("kind of code", format!("{text:?} is not pdq, gradient or dct"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_spelled_as_in_claims() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        assert!("PDQ".parse::<Kind>().is_err());
    }
}
