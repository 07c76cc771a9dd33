//! What a picture looks like: codes of the whole ([`Pdq`], [`second`]), keypoints ([`Features`]), how a work
//! lies on a suspect ([`align`]) and whether they look alike there ([`agreement()`]).
//!
//! Pixels come in, numbers go out. This room does not know files, picture formats, works or the log.

mod agreement;
mod alignment;
mod features;
mod geometry;
mod keypoints;
mod kind;
mod pdq;
mod picture;
mod plane;
pub mod polygon;
mod reduced;
mod regions;
pub mod second;

pub use agreement::{Agreement, agreement};
pub use alignment::{Alignment, align, support};
pub use features::{Features, Key, Keypoint, Looks};
pub use geometry::{Geometry, Overlap};
pub use kind::Kind;
pub use pdq::{Dihedral, Pdq, Upright, transposed};
pub use picture::{Luma, Picture, Rectangle};
pub use reduced::{trim, trim_luma};
pub use regions::regions;
