//! Where works are kept, and what is registered of them is looked up.
//!
//! | what | trait | default |
//! |---|---|---|
//! | the bytes of works, by their digest | [`BlobStore`] | [`FileStore`]: a folder of files |
//! | what the log says of works, by index and by work | [`Registry`] | [`EmbeddedRegistry`]: one redb file |
//!
//! Blobs are ground state: what is lost here is lost. A registry is derived from the log: it may
//! lag behind or be deleted, and is filled again from where its `len` ends.
//!
//! This room does not know the log, what a picture is, or whether anything is proved; it is handed
//! bytes and records, and gives back the same.

mod blobs;
pub mod car;
mod check;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod dag;
mod elsewhere;
mod embedded;
pub mod encoding;
mod files;
mod ipfs;
mod packing;
mod places;
mod records;
mod registry;
mod s3;
mod tiered;
mod waiting;
mod works;

pub use blobs::{Address, BlobError, BlobStore, RemoteProblem, Stored, Verified};
pub use check::Checked;
pub use embedded::EmbeddedRegistry;
pub use files::FileStore;
pub use ipfs::{IpfsPatience, IpfsStore};
pub use packing::{Packed, Replacement};
pub use places::{Kept, Place};
pub use registry::{Amended, Record, Registrations, Registry, RegistryError, registrations};
pub use s3::{S3Options, S3Patience, S3Store};
pub use tiered::{Progress, TieredStore, Tiering};
pub use works::{Keeping, Remote, Works};
