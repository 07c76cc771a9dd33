//! Who may do what with an archive that is served. This room does not know works, the log, HTTP, or what time it is.
//!
//! [`Accounts`] is one file, `accounts.redb`: accounts, their API keys, login links and sessions, and who registered which
//! entry of the log. Of secrets it holds only digests. [`PERMISSIONS`] is the table of what each role may do.

mod accounts;
mod file;
mod ownership;
mod role;
mod secret;

use std::io;
use std::path::PathBuf;

pub use accounts::{Account, Change, Key, NewAccount, NewKey, check};
pub use file::Accounts;
pub use ownership::{Entered, Intention, Owned, Possession};
pub use role::{Access, PERMISSIONS, Permission, Role, Scope, permission};
pub use secret::{PASSWORD_CHARS_MIN, SECRET_BYTES_MAX, check_password, is_key, setup_token};

/// Why something could not be done with the accounts.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Another process has the file open.
    #[error("the accounts {} are in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("the accounts {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk failed, or is full.
    #[error("the accounts {} failed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is an account of this name.
    #[error("there is an account of this name already")]
    NameTaken,
    /// There is no such account or key.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// What was given cannot stand.
    #[error("{0}")]
    Bad(String),
    /// Nobody would be left who could change accounts.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}
