//! A log with three witnesses, made of fixed keys, that signed two checkpoints and nothing else.

use ed25519_dalek::{Signer, SigningKey};
use timemark_verify::merkle::{self, Hash};
use timemark_verify::{
    Anchor, Checkpoint, Claim, ClaimFingerprint, CreatorSignature, Fingerprint, KeyKind, Leaf,
    Note, NoteSignature, Policy, Receipt, VerifierKey, WorkDigests, cosigned_message,
};

/// All that is genuine: whatever verifies must be here.
pub struct World {
    /// The claims that the log holds, by index.
    pub claims: Vec<Claim>,
    /// The log's checkpoints with their cosignatures.
    pub notes: Vec<Note>,
    /// One receipt per claim and checkpoint that covers it, and one with both anchors.
    pub receipts: Vec<Receipt>,
    /// The policy file: this log, two of three witnesses.
    pub policy_file: String,
    /// The policy itself.
    pub policy: Policy,
}

impl World {
    /// The world; the same on every run.
    pub fn new() -> World {
        let claims: Vec<Claim> = (0..7).map(claim).collect();
        let leaves: Vec<Hash> =
            claims.iter().map(|claim| merkle::leaf_hash(&Leaf::of(claim).to_bytes())).collect();
        let notes: Vec<Note> =
            CHECKPOINTS.iter().map(|(size, times)| note(&leaves[..*size], times)).collect();
        let anchor = |index: usize, number: usize| {
            let proof = inclusion(index, &leaves[..CHECKPOINTS[number].0]);
            Anchor::new(index as u64, proof, notes[number].clone()).expect("a genuine checkpoint")
        };
        let receipt = |index: usize, numbers: &[usize]| Receipt {
            claim: claims[index].clone(),
            leaf: Leaf::of(&claims[index]),
            anchors: numbers.iter().map(|&number| anchor(index, number)).collect(),
            records: Vec::new(),
            others: Vec::new(),
        };
        let mut receipts = vec![receipt(0, &[0]), receipt(2, &[0]), receipt(4, &[0])];
        receipts.extend([receipt(1, &[1]), receipt(5, &[1]), receipt(6, &[1])]);
        receipts.push(receipt(3, &[1, 0]));
        receipts[6].anchors[0].timestamps.push(vec![0x30; 60]);
        let policy_file = policy_file();
        let policy = Policy::parse(policy_file.as_bytes()).expect("a policy");
        World { claims, notes, receipts, policy_file, policy }
    }

    /// The earliest time that the witnesses' statements prove for this entry.
    pub fn existed_by(index: u64) -> u64 {
        if index < CHECKPOINTS[0].0 as u64 { 200 } else { 2000 }
    }
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

/// The log's key, or with [`KeyKind::CosignatureV1`] a witness's.
pub fn key(seed: u8, kind: KeyKind) -> VerifierKey {
    let public = secret(seed).verifying_key();
    VerifierKey::new(&format!("k{seed}.example"), kind, public.as_bytes()).expect("a strong key")
}

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn claim(number: u8) -> Claim {
    let mut claim = Claim {
        work: WorkDigests::of(&[number]),
        media_type: "image/png".to_owned(),
        fingerprints: vec![ClaimFingerprint::pdq(Fingerprint([u64::from(number); 4]), 100)],
        title: (number & 1 == 0).then(|| format!("山水 {number}")),
        claimant: (number & 2 == 0).then(|| "Zhang Wei".to_owned()),
        created: (number & 4 == 0).then(|| "2026-11-22".to_owned()),
        rights: (number & 3 == 1).then(|| "All rights reserved\nNo AI training".to_owned()),
        collection: (number & 3 == 3).then(|| "春 2026".to_owned()),
        path: (number & 3 == 2).then(|| b"works/\xFF.png".to_vec()),
        amends: None,
        creator: None,
        salt: [number; 32],
    };
    if number & 1 == 1 {
        let creator = secret(77);
        let signature = creator.sign(claim.creator_message().as_bytes()).to_bytes();
        claim.creator =
            Some(CreatorSignature { key: creator.verifying_key().to_bytes(), signature });
    }
    claim
}

fn note(leaves: &[Hash], times: &[u64; 3]) -> Note {
    let log = key(LOG, KeyKind::Ed25519);
    let size = leaves.len() as u64;
    let checkpoint = Checkpoint { origin: log.name().to_owned(), size, root: root(leaves) };
    let text = checkpoint.to_string();
    let mut signatures = vec![signature(&log, secret(LOG).sign(text.as_bytes()).to_bytes().into())];
    for (&seed, &time) in WITNESSES.iter().zip(times) {
        let key = key(seed, KeyKind::CosignatureV1);
        let message = cosigned_message(key.kind(), key.name(), time, &text, &checkpoint);
        let bytes = secret(seed).sign(&message.expect("names are short")).to_bytes();
        signatures.push(signature(&key, [&time.to_be_bytes()[..], &bytes].concat()));
    }
    Note::new(text, signatures).expect("a checkpoint is a note's text")
}

fn signature(key: &VerifierKey, bytes: Vec<u8>) -> NoteSignature {
    NoteSignature { name: key.name().to_owned(), key_id: key.key_id(), bytes }
}

fn policy_file() -> String {
    let mut file = format!("# Two of three\nlog {}\n", key(LOG, KeyKind::Ed25519));
    for seed in WITNESSES {
        file += &format!("witness W{seed} {}\n", key(seed, KeyKind::CosignatureV1));
    }
    file + "group two-of-three 2 W11 W12 W13\nquorum two-of-three\n"
}

/// The root as RFC 6962 section 2.1 defines it.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => merkle::empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            merkle::node_hash(&root(left), &root(right))
        }
    }
}

/// The inclusion proof as RFC 6962 section 2.1.1 defines it.
fn inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut proof, sibling) = if index < middle {
        (inclusion(index, left), root(right))
    } else {
        (inclusion(index - middle, right), root(left))
    };
    proof.push(sibling);
    proof
}

const LOG: u8 = 1;
const WITNESSES: [u8; 3] = [11, 12, 13];
/// Sizes, and when each witness cosigned: the second time is that of the quorum.
const CHECKPOINTS: [(usize, [u64; 3]); 2] = [(5, [300, 100, 200]), (7, [3000, 1000, 2000])];
