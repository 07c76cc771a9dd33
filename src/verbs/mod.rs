//! What the program can do: one file per verb.

pub(crate) mod account;
pub(crate) mod bundle;
pub(crate) mod certificate;
pub(crate) mod claim;
pub(crate) mod completions;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod log;
pub(crate) mod receipt;
pub(crate) mod register;
pub(crate) mod renew;
pub(crate) mod scan;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod tsa;
pub(crate) mod verify;
pub(crate) mod watch;
pub(crate) mod witness;
