//! Room kept back, so that on a full disk what is durable can still be published.
//!
//! The log appends only while it holds the reserve, and spends it only to finish what the journal has
//! made durable, to open, and to erase. So a full disk refuses entries and never strands one.

use std::path::PathBuf;

use crate::LogError;
use crate::disk::{Disk, io_at};
use crate::files::{How, is_full};

pub(crate) struct Reserve {
    disk: Disk,
    path: PathBuf,
    bytes: u64,
    is_held: bool,
}

impl Reserve {
    pub fn at(disk: Disk, path: PathBuf, bytes: u64) -> Reserve {
        Reserve { disk, path, bytes, is_held: false }
    }

    /// Takes the room, unless it is held already.
    pub fn hold(&mut self) -> Result<(), LogError> {
        if self.is_held {
            return Ok(());
        }
        let file = self.disk.open(&self.path, How::Write);
        let taken = file.and_then(|file| file.allocate(self.bytes).map_err(io_at(&self.path)));
        if let Err(error) = taken {
            // What was had of it is room for what is going on elsewhere.
            self.spend();
            return Err(if error.is_full() { self.disk_full() } else { error });
        }
        self.is_held = true;
        Ok(())
    }

    /// Does what needs room; if there is none, once more with that of the reserve.
    pub fn or_spend<T, E>(
        &mut self,
        is_full: impl Fn(&E) -> bool,
        mut work: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        match work() {
            Err(error) if is_full(&error) && self.spend() => work(),
            other => other,
        }
    }

    /// Why nothing can be appended.
    pub fn disk_full(&self) -> LogError {
        LogError::DiskFull { path: self.path.clone(), reserve: self.bytes }
    }

    /// Gives the room back; whether there was any. An earlier process may have taken it.
    fn spend(&mut self) -> bool {
        self.is_held = false;
        self.disk.files().remove_file(&self.path).is_ok()
    }
}

impl LogError {
    /// Whether there was no room.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, LogError::Io { reason, .. } if is_full(reason))
    }
}
