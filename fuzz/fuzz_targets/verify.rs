//! However a receipt is mutated: what verifies is a claim that the log holds, at its index, and no
//! earlier than the witnesses said.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use timemark_fuzz::{sealed, world::World};
use timemark_verify::{Receipt, WorkDigests, verify};

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|file: &[u8]| {
    let Ok(receipt) = Receipt::parse(&sealed(file)) else { return };
    assert!(verify(&WorkDigests::of(b"another work"), &receipt, &WORLD.policy).is_err());
    let Ok(verdict) = verify(&receipt.claim.work, &receipt, &WORLD.policy) else { return };
    assert_eq!(WORLD.claims.get(verdict.index as usize), Some(&receipt.claim));
    assert_eq!(verdict.log, WORLD.policy.logs()[0].key);
    assert!(verdict.witnesses.len() >= 2);
    assert!(verdict.existed_by >= Some(World::existed_by(verdict.index)));
});
