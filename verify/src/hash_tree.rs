//! One time-stamp for many data: a tree of digests, and the part of it that each of them needs
//! (RFC 4998 section 4).

use der::Tag;

use crate::evidence_record::EvidenceFault;
use crate::timestamp::element::{Element, OCTET_STRING, SEQUENCE, encode};
use crate::{DigestAlgorithm, FormatError};

/// A hash tree over groups of messages, so that one token serves many records (RFC 4998 section 4.2).
///
/// A message is a data object, a token to be renewed or a [`rehash_message`](EvidenceRecord::rehash_message);
/// those of a group belong to one record.
pub struct HashTree {
    algorithm: DigestAlgorithm,
    /// The digests of each group's messages, sorted.
    groups: Vec<Vec<Vec<u8>>>,
    /// The digests of the groups, sorted, then of pairs of them, up to one. An odd last one moves up alone.
    levels: Vec<Vec<Vec<u8>>>,
}

impl HashTree {
    /// The tree over these groups; none may be empty.
    pub fn new(algorithm: DigestAlgorithm, groups: &[&[&[u8]]]) -> Result<HashTree, EvidenceFault> {
        if groups.is_empty() || groups.iter().any(|group| group.is_empty()) {
            return Err(EvidenceFault::NoData);
        }
        let hash_group = |group: &&[&[u8]]| {
            let mut hashes: Vec<Vec<u8>> = group.iter().map(|m| algorithm.digest(m)).collect();
            hashes.sort_unstable();
            hashes
        };
        let groups: Vec<Vec<Vec<u8>>> = groups.iter().map(hash_group).collect();
        let mut level: Vec<Vec<u8>> = groups.iter().map(|group| node(algorithm, group)).collect();
        level.sort_unstable();
        let mut levels = vec![level];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(level.chunks(2).map(|pair| node(algorithm, pair)).collect());
        }
        Ok(HashTree { algorithm, groups, levels })
    }

    /// The imprint that a token over the tree must have.
    pub fn root(&self) -> &[u8] {
        self.levels.last().and_then(|level| level.first()).map_or(&[], Vec::as_slice)
    }

    /// What must be time-stamped: the message whose digest is the root. A tree of one message is about
    /// the message itself, which the caller knows: then there is none.
    pub fn root_message(&self) -> Option<Vec<u8>> {
        match (self.levels.len().checked_sub(2), &self.groups[..]) {
            (Some(below), _) => self.levels.get(below).map(|children| sorted_concat(children)),
            (None, [group]) if group.len() > 1 => Some(sorted_concat(group)),
            (None, _) => None,
        }
    }

    /// What the record of this group (counted from 0) needs of the tree.
    pub fn reduced(&self, group: usize) -> Option<ReducedHashTree> {
        let hashes = self.groups.get(group)?;
        let own = node(self.algorithm, hashes);
        let mut at = self.levels.first()?.binary_search(&own).ok()?;
        let mut lists = vec![hashes.clone()];
        for level in &self.levels {
            if let Some(sibling) = level.get(at ^ 1) {
                match &mut lists[..] {
                    // A single digest stands in one list with its sibling.
                    [first] if first.len() == 1 => first.push(sibling.clone()),
                    _ => lists.push(vec![sibling.clone()]),
                }
            }
            at /= 2;
        }
        lists.iter_mut().for_each(|list| list.sort_unstable());
        let alone = lists.len() == 1 && hashes.len() == 1 && self.groups.len() == 1;
        Some(ReducedHashTree(if alone { Vec::new() } else { lists }))
    }
}

/// What of a hash tree one of its groups needs: lists of digests from the group's up to the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReducedHashTree(Vec<Vec<Vec<u8>>>);

impl ReducedHashTree {
    /// Most digests of a list, and most lists.
    pub const WIDTH_MAX: usize = 4096;

    /// The root over these digests, if the first list holds all of them (RFC 4998 section 4.3).
    pub(crate) fn root(&self, algorithm: DigestAlgorithm, hashes: &[Vec<u8>]) -> Option<Vec<u8>> {
        let Some((first, rest)) = self.0.split_first() else {
            return match hashes {
                [hash] => Some(hash.clone()),
                _ => None,
            };
        };
        // Digests of another length could be cut at another place and mean something else.
        let right_length = |hash: &Vec<u8>| hash.len() == algorithm.digest_bytes();
        if hashes.is_empty()
            || !hashes.iter().all(|hash| first.contains(hash))
            || !self.0.iter().flatten().all(right_length)
        {
            return None;
        }
        Some(rest.iter().fold(node(algorithm, first), |below, list| {
            node(algorithm, &[&list[..], &[below]].concat())
        }))
    }

    /// The field reducedHashtree, or nothing without a tree.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let list = |hashes: &Vec<Vec<u8>>| {
            let octets: Vec<Vec<u8>> = hashes.iter().map(|h| encode(OCTET_STRING, &[h])).collect();
            encode(SEQUENCE, &[&octets.concat()])
        };
        let lists: Vec<Vec<u8>> = self.0.iter().map(list).collect();
        encode(REDUCED_HASH_TREE, &[&lists.concat()])
    }

    pub(crate) fn parse(lists: &Element<'_>) -> Result<ReducedHashTree, FormatError> {
        let mut elements = lists.elements()?;
        let mut found = Vec::new();
        let mut left = ReducedHashTree::WIDTH_MAX;
        while !elements.is_finished() {
            let mut list = elements.inside(Tag::Sequence)?;
            let mut hashes = Vec::new();
            while !list.is_finished() {
                left = left.checked_sub(1).ok_or_else(|| bad("it is too large"))?;
                hashes.push(list.next(Tag::OctetString)?.value.to_vec());
            }
            if hashes.is_empty() {
                return Err(bad("one of its lists is empty"));
            }
            found.push(hashes);
        }
        if found.is_empty() {
            return Err(bad("it is empty"));
        }
        Ok(ReducedHashTree(found))
    }
}

/// The digest over children: over their concatenation in binary ascending order, or the only one itself.
fn node(algorithm: DigestAlgorithm, children: &[Vec<u8>]) -> Vec<u8> {
    match children {
        [only] => only.clone(),
        _ => algorithm.digest(&sorted_concat(children)),
    }
}

fn sorted_concat(hashes: &[Vec<u8>]) -> Vec<u8> {
    let mut sorted: Vec<&[u8]> = hashes.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable();
    sorted.concat()
}

/// The identifier byte of the field reducedHashtree, `[2] IMPLICIT`.
const REDUCED_HASH_TREE: u8 = 0xA2;

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new("hash tree", reason)
}

#[cfg(test)]
mod tests {
    use DigestAlgorithm::Sha256;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hash_tree_holds_digests_only() {
        let hashes = [Sha256.digest(b"a"), Sha256.digest(b"b")];
        let whole = sorted_concat(&hashes);
        // The same concatenation, cut elsewhere.
        let cut = ReducedHashTree(vec![vec![whole[..20].to_vec(), whole[20..].to_vec()]]);
        assert_eq!(cut.root(Sha256, &[whole[..20].to_vec()]), None);
        let tree = ReducedHashTree(vec![hashes.to_vec()]);
        assert_eq!(tree.root(Sha256, &hashes[..1]), Some(Sha256.digest(&whole)));
        assert_eq!(tree.root(Sha256, &[]), None);
        assert_eq!(ReducedHashTree::default().root(Sha256, &hashes), None);
    }

    proptest! {
        #[test]
        fn any_tree_leads_every_group_to_the_root(
            groups in prop::collection::vec(prop::collection::vec(any::<u16>(), 1..4), 1..20),
        ) {
            let bytes: Vec<Vec<[u8; 2]>> =
                groups.iter().map(|g| g.iter().map(|m| m.to_be_bytes()).collect()).collect();
            let slices: Vec<Vec<&[u8]>> =
                bytes.iter().map(|g| g.iter().map(|m| &m[..]).collect()).collect();
            let slices: Vec<&[&[u8]]> = slices.iter().map(Vec::as_slice).collect();
            let tree = HashTree::new(Sha256, &slices).unwrap();
            for (n, group) in slices.iter().enumerate() {
                let hashes: Vec<Vec<u8>> = group.iter().map(|m| Sha256.digest(m)).collect();
                let root = tree.reduced(n).unwrap().root(Sha256, &hashes);
                prop_assert_eq!(root.as_deref(), Some(tree.root()));
            }
        }
    }
}
