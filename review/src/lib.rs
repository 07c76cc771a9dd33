//! Scans as jobs, the matches they found, and what people decided about them: durable, beside an archive.
//!
//! A scan may take days; a process does not last as long. So everything that a job told lies in one file before anybody
//! hears of it, a job goes on from there after a crash, and what a person decides about a match is not asked again when
//! the same bytes are met by another scan. What is compared with what, and how, is known by `ingest`; who may decide, and
//! that decisions are entered in the log, is the service's matter.

mod clock;
mod cursor;
mod cut_off;
mod domains;
pub mod drawing;
mod earlier;
mod error;
mod feed;
mod forget;
mod found;
mod job;
mod listing;
mod matches;
mod one_by_one;
mod priority;
mod queue;
mod rematch;
mod result;
mod review;
mod roots;
mod seen;
mod sites;
mod store;
mod suspects;
pub mod table;
mod traces;
mod verdicts;
mod warnings;
mod working;

pub use clock::utc;
pub use cursor::Rematching;
pub use domains::{AllowedDomain, host};
pub use earlier::Earlier;
pub use error::ReviewError;
pub use found::{MatchJson, four_places};
pub use job::{DepthName, Job, JobOptions, JobSource, JobState, Wanted, Waypoint};
pub use listing::{Filter, Page, Wish};
pub use matches::{Decision, Match, MatchId, Sighting, Standing, Verdict};
pub use priority::give_way;
pub use queue::{COUNTED_MAX, Place};
pub use result::{Before, GeometryJson, Kept, ResultJson};
pub use review::{Live, News, Review};
pub use roots::Roots;
pub use seen::{Brief, Lens, Met};
pub use sites::{OnSite, Sites, site};
pub use verdicts::{Act, Happened};

/// Longer side of the thumbnails of matches in pixels: some 15 to 30 KB.
pub const THUMBNAIL_SIDE_MAX: u32 = drawing::SIDE_MAX as u32;
