//! Is everything that was acknowledged still there? Re-hashes the log and every work.

use std::io;

use timemark_store::BlobError;
use timemark_tlog::{AuditReport, LogError};
use timemark_verify::Leaf;

use crate::Engine;

/// What an audit of an archive found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveAudit {
    /// The log.
    pub log: AuditReport,
    /// Works read and hashed; one that is registered twice is read twice.
    pub works: u64,
    /// Works registered by their digests alone, or sealed to keys that are not here.
    pub not_read: u64,
    /// Works that are missing or altered, and damage to the index, one sentence each.
    pub findings: Vec<String>,
}

/// Hashes everything on disk again and compares it with what the log signed. `progress` is told how many
/// entries are done.
pub fn audit(engine: &Engine, progress: &dyn Fn(u64)) -> Result<ArchiveAudit, LogError> {
    let (mut works, mut not_read, mut findings) = (0, 0, Vec::new());
    let log = engine.log.audit(&mut |entry| {
        progress(entry.index + 1);
        let Ok(Some(leaf)) = Leaf::parse(&entry.leaf) else { return };
        let read = || -> Result<(), BlobError> {
            let mut work = engine.works.get(&leaf.content)?;
            io::copy(&mut work, &mut io::sink()).map_err(|error| {
                error.downcast().unwrap_or_else(BlobError::Source) // the verifying reader's own finding
            })?;
            Ok(())
        };
        match read() {
            Ok(()) => works += 1,
            // Nothing was lost: `store check` looks at what is sealed.
            Err(BlobError::NotKept { .. } | BlobError::Sealed { .. }) => not_read += 1,
            Err(error) => findings.push(format!("entry {}: {error}", entry.index)),
        }
    })?;
    findings.extend(engine.index.check().err().map(|error| error.to_string()));
    Ok(ArchiveAudit { log, works, not_read, findings })
}
