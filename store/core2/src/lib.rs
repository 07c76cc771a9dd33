//! What `ipfs-api-backend-hyper` needs of the crate `core2`, all versions of which were withdrawn from the registry: the
//! same names for `std::io` and `std::error`.

pub use std::{error, io};
