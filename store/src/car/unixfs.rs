//! A node of links: DAG-PB around UnixFS, both in protobuf, of which each field may stand there once unless it is a list.

use super::section::{take_cid, take_varint};
use super::{CarError, CidProblem};
use crate::dag::DagCid;

/// What a block of the codec DAG-PB says.
pub(super) struct Node<'a> {
    pub(super) kind: Kind,
    /// Of a file: bytes that stand here, before those of the links.
    pub(super) data: &'a [u8],
    pub(super) links: Vec<Link<'a>>,
    /// Of a file: the bytes below each link.
    sizes: Vec<u64>,
    file_bytes: Option<u64>,
}

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A part of a large folder, whose names begin with so many digits of their hash.
    Shard(usize),
    Link,
    Metadata,
}

/// A link to another block.
pub(super) struct Link<'a> {
    pub(super) cid: DagCid,
    pub(super) name: &'a [u8],
}

impl Kind {
    /// With its article.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::File => "a file",
            Kind::Folder | Kind::Shard(_) => "a folder",
            Kind::Link => "a symbolic link",
            Kind::Metadata => "metadata",
        }
    }
}

impl<'a> Node<'a> {
    /// Reads the block of this name whose section begins at `offset`.
    pub(super) fn parse(block: &'a [u8], cid: DagCid, offset: u64) -> Result<Node<'a>, CarError> {
        Node::read(block).map_err(|problem| match problem {
            Problem::Reason(reason) => CarError::BadNode { cid, reason },
            Problem::Cid(problem) => CarError::BadCid { offset, problem },
        })
    }

    fn read(block: &'a [u8]) -> Result<Node<'a>, Problem> {
        let (mut links, mut unixfs) = (Vec::new(), None);
        let mut fields = Fields(block);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(bytes)) => once(&mut unixfs, bytes)?,
                (2, Value::Bytes(link)) => links.push(Link::read(link)?),
                _ => return Err(UNKNOWN_FIELD),
            }
        }
        let unixfs = unixfs.ok_or(Problem::Reason("it is no UnixFS"))?;
        Node::read_unixfs(unixfs, links)
    }

    fn read_unixfs(unixfs: &'a [u8], links: Vec<Link<'a>>) -> Result<Node<'a>, Problem> {
        let (mut kind, mut data, mut file_bytes, mut fanout) = (None, None, None, None);
        let (mut hash, mut mode, mut time) = (None, None, None);
        let mut sizes = Vec::new();
        let mut fields = Fields(unixfs);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Number(number)) => once(&mut kind, number)?,
                (2, Value::Bytes(bytes)) => once(&mut data, bytes)?,
                (3, Value::Number(number)) => once(&mut file_bytes, number)?,
                (4, Value::Number(number)) => sizes.push(number),
                (4, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        sizes.push(take_varint(&mut packed).ok_or(NO_PROTOBUF)?);
                    }
                }
                (5, Value::Number(number)) => once(&mut hash, number)?,
                (6, Value::Number(number)) => once(&mut fanout, number)?,
                (7, Value::Number(number)) => once(&mut mode, number)?,
                (8, Value::Bytes(bytes)) => once(&mut time, bytes)?,
                _ => return Err(UNKNOWN_FIELD),
            }
        }
        let kind = match (kind, fanout) {
            (Some(0 | 2), _) => Kind::File, // 0: a leaf, as they were before raw blocks
            (Some(1), _) => Kind::Folder,
            (Some(3), _) => Kind::Metadata,
            (Some(4), _) => Kind::Link,
            (Some(5), Some(fanout @ 2..=FANOUT_MAX)) if fanout.is_power_of_two() => {
                Kind::Shard((fanout.ilog2() as usize).div_ceil(4))
            }
            _ => return Err(Problem::Reason("its kind is none of UnixFS")),
        };
        Ok(Node { kind, data: data.unwrap_or_default(), links, sizes, file_bytes })
    }

    /// The bytes of the file: those that stand here, and those that are below the links.
    pub(super) fn file_bytes(&self) -> Result<u64, &'static str> {
        let sum =
            self.sizes.iter().try_fold(self.data.len() as u64, |sum, &size| sum.checked_add(size));
        let sum = sum.ok_or("its sizes have a sum of more than 64 bits")?;
        if self.file_bytes.is_some_and(|stated| stated != sum) {
            return Err("it states another length than its parts have");
        }
        Ok(sum)
    }

    /// The links of a file, each with the bytes below it, of which there are some, unless the file is empty.
    /// Otherwise nodes without bytes could keep a reader busy for ever.
    pub(super) fn parts(
        &self,
    ) -> Result<impl DoubleEndedIterator<Item = (DagCid, u64)>, &'static str> {
        if self.sizes.len() != self.links.len() {
            return Err("it has not one size for each of its links");
        }
        if self.links.len() > 1 && self.sizes.contains(&0) {
            return Err("it has several links, and no bytes below one of them");
        }
        Ok(self.links.iter().map(|link| link.cid).zip(self.sizes.iter().copied()))
    }
}

impl<'a> Link<'a> {
    fn read(bytes: &'a [u8]) -> Result<Link<'a>, Problem> {
        let (mut cid, mut name, mut dag_bytes) = (None, None, None);
        let mut fields = Fields(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(bytes)) => once(&mut cid, bytes)?,
                (2, Value::Bytes(bytes)) => once(&mut name, bytes)?,
                (3, Value::Number(number)) => once(&mut dag_bytes, number)?,
                _ => return Err(UNKNOWN_FIELD),
            }
        }
        let mut rest = cid.ok_or(Problem::Cid(CidProblem::Malformed))?;
        let cid = take_cid(&mut rest).map_err(Problem::Cid)?;
        if !rest.is_empty() {
            return Err(Problem::Cid(CidProblem::Malformed));
        }
        Ok(Link { cid, name: name.unwrap_or_default() })
    }
}

/// The fields of a message, with their numbers.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Problem> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| NO_PROTOBUF)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(NO_PROTOBUF)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return Err(UNKNOWN_FIELD),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn number(&mut self) -> Result<u64, Problem> {
        take_varint(&mut self.0).ok_or(NO_PROTOBUF)
    }
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Problem> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Problem::Reason("a field stands in it twice")),
    }
}

/// Why a block is no node.
#[derive(Debug)]
enum Problem {
    Reason(&'static str),
    Cid(CidProblem),
}

const NO_PROTOBUF: Problem = Problem::Reason("it is no protobuf");
const UNKNOWN_FIELD: Problem = Problem::Reason("it has a field that is not known");
/// Children of a part of a large folder; 256 is usual.
const FANOUT_MAX: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::Codec;

    fn told(block: &[u8]) -> String {
        let node = Node::parse(block, DagCid::of_block(Codec::DagPb, block), 0);
        let told = node.map_err(|e| e.to_string()).and_then(|node| {
            let _ = node.parts().map_err(str::to_owned)?;
            Ok(format!("{} of {}", node.kind.name(), node.file_bytes().map_err(str::to_owned)?))
        });
        told.unwrap_or_else(|problem| problem)
    }

    #[test]
    fn kinds_and_lengths_are_read_and_nothing_else() {
        let check = |unixfs: &[u8], said: &str| {
            let block = [&[0x0A, unixfs.len() as u8], unixfs].concat();
            let told = told(&block);
            assert!(told.contains(said), "{unixfs:02x?}: {told}");
        };
        check(b"\x08\x02\x12\x03abc\x18\x03", "a file of 3");
        check(b"\x08\x00\x12\x03abc\x18\x03", "a file of 3");
        check(b"\x08\x02", "a file of 0");
        check(b"\x08\x02\x38\xA4\x03\x42\x02\x08\x05", "a file of 0"); // mode and time
        check(b"\x08\x02\x12\x03abc\x18\x04", "another length");
        check(b"\x08\x02\x20\x03", "one size for each");
        check(b"\x08\x02\x22\x02\x03\x04", "one size for each"); // packed
        check(b"\x08\x01", "a folder");
        check(b"\x08\x05\x28\x22\x30\x80\x02", "a folder");
        check(b"\x08\x05\x28\x22\x30\x81\x02", "none of UnixFS");
        check(b"\x08\x05", "none of UnixFS");
        check(b"\x08\x04", "a symbolic link");
        check(b"\x08\x03", "metadata");
        check(b"\x08\x06", "none of UnixFS");
        check(b"", "none of UnixFS");
        check(b"\x08\x02\x08\x02", "twice");
        check(b"\x08\x02\x48\x01", "not known");
        check(b"\x08\x02\x0D\x01\x01\x01\x01", "not known");
        check(b"\x08\x82\x00", "no protobuf");
        check(b"\x08\x02\x12\x04abc", "no protobuf");
        assert!(told(b"").contains("no UnixFS"));
    }
}
