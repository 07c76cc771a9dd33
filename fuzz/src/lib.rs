//! What the targets share: a small world whose every genuine statement is known, and the seal of a
//! receipt.

#[path = "../../ingest/src/beneath.rs"]
pub mod beneath; // with `walk` and `sources`
#[path = "../../store/src/car/mod.rs"]
pub mod car; // with `dag`, because the rest of `store` brings clients of other stores along
#[path = "../../store/src/dag.rs"]
pub mod dag;
#[path = "../../ingest/src/media/mod.rs"]
pub mod media; // alone, because the rest of `ingest` brings stores and indexes along
#[path = "../../ingest/src/sources/mod.rs"]
pub mod sources; // with what it needs of `ingest`, for the same reason
#[path = "../../tsa/tests/strict/mod.rs"]
pub mod strict;
#[path = "../../ingest/src/walk.rs"]
pub mod walk;
#[path = "../../tlog/src/witness/request.rs"]
pub mod witness_request; // alone, because the rest of `tlog` brings TLS along
pub mod world;

use sha2::{Digest, Sha256};

/// The receipt with the last line that its other lines need, as anybody can write it. Without this
/// no mutation would ever get past the check for damage.
pub fn sealed(receipt: &[u8]) -> Vec<u8> {
    let seal = receipt.windows(SEAL.len()).rposition(|window| window == SEAL);
    let mut sealed = seal.map_or(receipt, |at| &receipt[..=at]).to_vec();
    let digest = Sha256::digest(&sealed);
    sealed.extend(&SEAL[1..]);
    sealed.extend(digest.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
    sealed.push(b'\n');
    sealed
}

const SEAL: &[u8] = b"\n== sha256 ";
