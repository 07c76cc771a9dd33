//! A policy names keys of the right kind, and more cosignatures never unmeet its quorum.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use timemark_verify::{KeyKind, Policy, Rule};

fuzz_target!(|file: &[u8]| {
    let Ok(policy) = Policy::parse(file) else { return };
    assert!(policy.logs().iter().all(|log| log.key.kind() != KeyKind::CosignatureV1));
    assert!(policy.witnesses().iter().all(|w| w.key.kind() != KeyKind::Ed25519));
    assert!(policy.witnesses().len() <= Policy::DEFINITIONS_MAX);

    let mut seen = HashSet::new();
    check_rule(policy.quorum(), policy.witnesses().len(), &mut seen);
    assert!(policy.quorum().met(&|_| true));
    assert_eq!(policy.quorum().met(&|_| false), *policy.quorum() == Rule::None);
    // Some witnesses, as the file's own bytes choose them, and one more.
    let some = |witness: usize| file[witness % file.len()] & 1 == 1;
    if policy.quorum().met(&some) {
        assert!(
            (0..policy.witnesses().len())
                .all(|more| { policy.quorum().met(&|witness| some(witness) || witness == more) })
        );
    }

    let commented = [file, b"\n# a comment \xFF"].concat();
    if commented.len() <= Policy::BYTES_MAX {
        assert_eq!(Policy::parse(&commented), Ok(policy));
    }
});

/// Every witness exists and counts once; every threshold can be met.
fn check_rule(rule: &Rule, witnesses: usize, seen: &mut HashSet<usize>) {
    match rule {
        Rule::None => {}
        Rule::Witness(witness) => assert!(*witness < witnesses && seen.insert(*witness)),
        Rule::AtLeast(k, members) => {
            assert!((1..=members.len()).contains(k));
            members.iter().for_each(|member| check_rule(member, witnesses, seen));
        }
    }
}
