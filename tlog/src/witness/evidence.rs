//! Keeps what a log signed and should not have: two whole signed checkpoints in a file, for everybody to see.
//!
//! | file | what it shows |
//! |---|---|
//! | `split-view-<16 hex>` | **proof**: the log signed two roots for one size |
//! | `unproven-<16 hex>` | a larger checkpoint came without a valid consistency proof; anybody can send that |

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timemark_verify::{Checkpoint, Note};

use super::AddCheckpoint;
use crate::LogError;
use crate::disk::{Disk, io_at};

/// Most pairs of each kind kept of one log, the first ones. One split view is proof enough, and the other
/// kind can be sent by anybody who has two checkpoints.
pub(super) const PAIRS_OF_A_KIND_MAX: usize = 16;

/// What a pair of checkpoints shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two roots for one size.
    SplitView,
    /// Two sizes, and no proof between them.
    Unproven,
}

/// Keeps a pair durably in this folder, unless it or too many are there already.
pub(super) fn keep(
    dir: &Path,
    kind: Kind,
    cosigned: &Note,
    refused: &AddCheckpoint,
) -> Result<(), LogError> {
    let (prefix, header) = match kind {
        Kind::SplitView => (
            "split-view-",
            "proof of a split view: the log signed both checkpoints below, of one size and two roots",
        ),
        Kind::Unproven => (
            "unproven-",
            "no proof of anything yet: the log signed both checkpoints below, and the request that brought \
             the second one did not prove that it extends the first; a monitor of the log can tell",
        ),
    };
    let texts = format!("{}\n{}", cosigned.text(), refused.note.text());
    let name = format!("{prefix}{}", HEXLOWER.encode(&Sha256::digest(texts)[..8]));
    let kept = names(dir).map_err(io_at(dir))?;
    let many = kept.iter().filter(|kept| kept.starts_with(prefix)).count() >= PAIRS_OF_A_KIND_MAX;
    if many || kept.contains(&name) {
        return Ok(());
    }
    let origin = Checkpoint::of_note(cosigned)?.origin;
    let file = format!(
        "timemark witness evidence v1\n{header}\nlog {origin}\n\n\
         == the checkpoint that this witness had cosigned\n{cosigned}\n\
         == the request that it refused\n{refused}",
    );
    create_dir_durably(dir).map_err(io_at(dir))?;
    Disk::real().replace_durably(&dir.join(name), file.as_bytes())
}

/// The whole files of a folder that may not be there.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| !name.as_ref().is_ok_and(|name| name.ends_with(".new"))).collect()
}

fn create_dir_durably(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    File::open(dir.parent().unwrap_or(Path::new(".")))?.sync_all()
}
