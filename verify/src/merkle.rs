//! Merkle trees of RFC 6962 section 2.1: hashes, inclusion proofs, consistency proofs.
//!
//! This module checks proofs; a log's `tree` produces them.

use std::fmt;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use crate::{FormatError, text};

/// Most hashes a proof of either kind can hold: two for each of the 64 levels of the largest tree.
pub const PROOF_HASHES_MAX: usize = 128;

/// A node of the tree: SHA-256. `Display` gives standard base64, as tlog formats write it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Reads the base64 that `Display` writes.
    pub fn parse(base64: &str) -> Result<Hash, FormatError> {
        let bytes = text::base64(base64).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Hash).ok_or_else(|| {
            FormatError::new("hash", format!("{base64:?} is not 32 bytes of base64"))
        })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A proof that does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not below the size, or the old size is above the new one.
    #[error("there is no such position in a tree of that size")]
    OutOfRange,
    /// A proof for these sizes has another number of hashes.
    #[error("the proof has a wrong number of hashes")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the hashes do not lead to the root")]
    WrongRoot,
}

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// The hash of an entry: `H(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of an inner node: `H(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([1])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

/// The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2).
///
/// `proof` runs from the leaf's sibling to the root's child. The caller compares the result with a
/// root it trusts.
pub fn root_from_inclusion(
    index: u64,
    size: u64,
    leaf: Hash,
    proof: &[Hash],
) -> Result<Hash, ProofError> {
    let path = inclusion_path(index, size, leaf, proof)?;
    Ok(path.last().map_or(leaf, |step| step.parent))
}

/// One level of the way from a leaf to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The hash of the proof at this level.
    pub sibling: Hash,
    /// Whether the sibling stands to the left of what is proven.
    pub is_left: bool,
    /// The hash of both.
    pub parent: Hash,
}

/// The way from a leaf to the root that an inclusion proof leads to, level by level. In a tree of one leaf it is
/// empty, and the leaf is the root.
pub fn inclusion_path(
    index: u64,
    size: u64,
    leaf: Hash,
    proof: &[Hash],
) -> Result<Vec<PathStep>, ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    let mut path = Vec::with_capacity(proof.len());
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        let is_left = node & 1 == 1 || node == last;
        if is_left {
            hash = node_hash(sibling, &hash);
            // Levels at which the right edge has no sibling add no hash to the proof.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        path.push(PathStep { sibling: *sibling, is_left, parent: hash });
        node >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(path) } else { Err(ProofError::WrongLength) }
}

/// Checks that the tree of `old` size and root is a prefix of the one of `new` size and root
/// (RFC 9162 section 2.1.4.2). Every tree extends the empty one; equal sizes need equal roots.
pub fn check_consistency(
    (old_size, old_root): (u64, Hash),
    (new_size, new_root): (u64, Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::OutOfRange);
    }
    if old_size == new_size || old_size == 0 {
        let same = if old_size == 0 { old_root == empty_root() } else { old_root == new_root };
        return match (proof.is_empty(), same && (new_size != 0 || new_root == old_root)) {
            (false, _) => Err(ProofError::WrongLength),
            (_, false) => Err(ProofError::WrongRoot),
            _ => Ok(()),
        };
    }
    // The old root itself is left out of the proof where it is a complete subtree.
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::WrongLength)?;
        (*first, rest)
    };
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (first, first);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(hash, &old_hash);
            new_hash = node_hash(hash, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    if old_hash == old_root && new_hash == new_root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definitions of RFC 6962 section 2.1, word for word: slow and plainly right.
    pub(crate) mod oracle {
        use super::*;

        fn split(n: usize) -> usize {
            n.next_power_of_two() / 2
        }

        pub(crate) fn root(leaves: &[Hash]) -> Hash {
            match leaves {
                [] => empty_root(),
                [leaf] => *leaf,
                _ => {
                    let (left, right) = leaves.split_at(split(leaves.len()));
                    node_hash(&root(left), &root(right))
                }
            }
        }

        pub(crate) fn inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
            if leaves.len() < 2 {
                return Vec::new();
            }
            let k = split(leaves.len());
            let (left, right) = leaves.split_at(k);
            let (mut path, sibling) = if index < k {
                (inclusion(index, left), root(right))
            } else {
                (inclusion(index - k, right), root(left))
            };
            path.push(sibling);
            path
        }

        pub(crate) fn consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
            fn subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
                if old == leaves.len() {
                    return if whole { Vec::new() } else { vec![root(leaves)] };
                }
                let k = split(leaves.len());
                let (left, right) = leaves.split_at(k);
                let (mut path, sibling) = if old <= k {
                    (subproof(old, left, whole), root(right))
                } else {
                    (subproof(old - k, right, false), root(left))
                };
                path.push(sibling);
                path
            }
            if old == 0 || old == leaves.len() { Vec::new() } else { subproof(old, leaves, true) }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    #[test]
    fn every_position_of_small_trees() {
        let all = leaves(70);
        for size in 1..=all.len() {
            let tree = &all[..size];
            let root = oracle::root(tree);
            for index in 0..size {
                let proof = oracle::inclusion(index, tree);
                let check = |proof: &[Hash]| {
                    root_from_inclusion(index as u64, size as u64, tree[index], proof)
                };
                assert_eq!(check(&proof), Ok(root), "{index} of {size}");
                assert_ne!(check(&[&proof[..], &[root]].concat()), Ok(root));
                if !proof.is_empty() {
                    assert_eq!(check(&proof[1..]).ok().filter(|&got| got == root), None);
                }
            }
            for old in 0..=size {
                let proof = oracle::consistency(old, tree);
                let old_tree = (old as u64, oracle::root(&all[..old]));
                let check =
                    |proof: &[Hash]| check_consistency(old_tree, (size as u64, root), proof);
                assert_eq!(check(&proof), Ok(()), "{old} to {size}");
                assert!(check(&[&proof[..], &[root]].concat()).is_err());
                for i in 0..proof.len() {
                    let mut wrong = proof.clone();
                    wrong[i].0[5] ^= 4;
                    assert!(check(&wrong).is_err());
                }
            }
        }
    }

    #[test]
    fn positions_outside_the_tree_are_refused() {
        let leaf = leaf_hash(b"");
        assert_eq!(root_from_inclusion(1, 1, leaf, &[]), Err(ProofError::OutOfRange));
        assert_eq!(root_from_inclusion(0, 0, leaf, &[]), Err(ProofError::OutOfRange));
        let long = vec![leaf; PROOF_HASHES_MAX];
        assert!(root_from_inclusion(u64::MAX - 1, u64::MAX, leaf, &long).is_err());
        assert!(check_consistency((2, leaf), (1, leaf), &[]).is_err());
        assert!(check_consistency((0, leaf), (3, leaf), &[]).is_err(), "not the empty root");
        assert!(check_consistency((0, empty_root()), (0, leaf), &[]).is_err());
        assert!(check_consistency((3, leaf), (u64::MAX, leaf), &long).is_err());
    }

    #[test]
    fn the_empty_tree_is_the_standard_one() {
        assert_eq!(empty_root().to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    proptest! {
        #[test]
        fn a_flipped_bit_leads_elsewhere(size in 2usize..300, at in any::<(usize, usize, u8)>()) {
            let tree = leaves(size);
            let index = at.0 % size;
            let mut proof = oracle::inclusion(index, &tree);
            let i = at.1 % proof.len();
            proof[i].0[usize::from(at.2 / 8)] ^= 1 << (at.2 % 8);
            let got = root_from_inclusion(index as u64, size as u64, tree[index], &proof);
            prop_assert_ne!(got, Ok(oracle::root(&tree)));
        }
    }
}
