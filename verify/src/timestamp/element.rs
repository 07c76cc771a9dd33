//! One DER element after another, with the bytes it was read from (X.690).
//!
//! Signatures are over bytes as received, so nothing here is ever encoded again to be checked. Only the
//! distinguished rules are read: definite lengths in their shortest form.

use der::oid::ObjectIdentifier;
use der::{Header, Reader, SliceReader, Tag, TagNumber};

use crate::FormatError;

/// The elements of a constructed value, or of a file.
#[derive(Clone)]
pub(crate) struct Elements<'a> {
    what: &'static str,
    reader: SliceReader<'a>,
}

/// One element: its tag, its value and all of its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    what: &'static str,
    pub tag: Tag,
    pub whole: &'a [u8],
    pub value: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The elements of these bytes, which are of a `what`.
    pub fn of(what: &'static str, bytes: &'a [u8]) -> Result<Elements<'a>, FormatError> {
        let reader = SliceReader::new(bytes).map_err(|error| not_der(what, &error))?;
        Ok(Elements { what, reader })
    }

    /// The next element, whatever its tag.
    pub fn any(&mut self) -> Result<Element<'a>, FormatError> {
        let what = self.what;
        let fail = |error: der::Error| not_der(what, &error);
        let tag = Header::peek(&self.reader).map_err(fail)?.tag();
        let whole = self.reader.tlv_bytes().map_err(fail)?;
        let mut inner = SliceReader::new(whole).map_err(fail)?;
        let value = <Header as der::Decode>::decode(&mut inner)
            .and_then(|header| inner.read_slice(header.length()))
            .map_err(fail)?;
        Ok(Element { what, tag, whole, value })
    }

    /// The next element, which must have this tag.
    pub fn next(&mut self, tag: Tag) -> Result<Element<'a>, FormatError> {
        let element = self.any()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(element.bad(format!("{} where {tag} is needed", element.tag)))
        }
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, tag: Tag) -> Result<Option<Element<'a>>, FormatError> {
        if self.reader.is_finished() || self.clone().any()?.tag != tag {
            return Ok(None);
        }
        self.any().map(Some)
    }

    /// The elements inside the next one, which must have this tag.
    pub fn inside(&mut self, tag: Tag) -> Result<Elements<'a>, FormatError> {
        self.next(tag)?.elements()
    }

    pub fn is_finished(&self) -> bool {
        self.reader.is_finished()
    }

    /// Nothing may follow.
    pub fn finish(self) -> Result<(), FormatError> {
        if self.is_finished() {
            Ok(())
        } else {
            Err(FormatError::new(self.what, "bytes follow where it should end"))
        }
    }

    pub fn bad(&self, reason: impl Into<String>) -> FormatError {
        FormatError::new(self.what, reason)
    }
}

impl<'a> Element<'a> {
    /// The one element that these bytes of a `what` are.
    pub fn only(what: &'static str, bytes: &'a [u8], tag: Tag) -> Result<Element<'a>, FormatError> {
        let mut elements = Elements::of(what, bytes)?;
        let element = elements.next(tag)?;
        elements.finish()?;
        Ok(element)
    }

    /// The elements of this one's value.
    pub fn elements(&self) -> Result<Elements<'a>, FormatError> {
        Elements::of(self.what, self.value)
    }

    /// The one element of this one's value: what an explicit tag wraps.
    pub fn unwrapped(&self, tag: Tag) -> Result<Element<'a>, FormatError> {
        Element::only(self.what, self.value, tag)
    }

    /// The value as an object identifier.
    pub fn oid(&self) -> Result<ObjectIdentifier, FormatError> {
        ObjectIdentifier::from_bytes(self.value)
            .map_err(|_| self.bad("an object identifier is malformed or too long"))
    }

    /// The value as a whole number in its shortest form.
    pub fn integer(&self) -> Result<&'a [u8], FormatError> {
        match *self.value {
            [] | [0, 0..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..] => {
                Err(self.bad("a number is oddly spelt"))
            }
            _ => Ok(self.value),
        }
    }

    /// The value as a whole number that is not negative and fits.
    pub fn small(&self) -> Result<u64, FormatError> {
        let digits = match *self.integer()? {
            [0x80..=0xFF, ..] => return Err(self.bad("a number is negative")),
            [0, ref rest @ ..] => rest,
            ref digits => digits,
        };
        if digits.len() > 8 {
            return Err(self.bad("a number is too large"));
        }
        Ok(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    }

    /// The value as true or false.
    pub fn boolean(&self) -> Result<bool, FormatError> {
        match *self.value {
            [0] => Ok(false),
            [0xFF] => Ok(true),
            _ => Err(self.bad("neither true nor false")),
        }
    }

    /// The value as bits, without the padding, which must be zero.
    pub fn bits(&self) -> Result<&'a [u8], FormatError> {
        match self.value {
            [0] => Ok(&[]),
            [unused @ 0..=7, bits @ ..]
                if bits.last().is_some_and(|last| last & ((1 << unused) - 1) == 0) =>
            {
                Ok(bits)
            }
            _ => Err(self.bad("a bit string is malformed")),
        }
    }

    pub fn bad(&self, reason: impl Into<String>) -> FormatError {
        FormatError::new(self.what, reason)
    }
}

/// The tag `[number]` of a constructed element.
pub(crate) const fn context(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

/// The tag `[number]` of a primitive element.
pub(crate) const fn primitive(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(number) }
}

/// Writes an element: identifier byte, shortest length, the parts of its value.
pub(crate) fn encode(identifier: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut element = vec![identifier];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7F) => element.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            element.push(0x80 | digits.len() as u8);
            element.extend(digits);
        }
    }
    parts.iter().for_each(|part| element.extend_from_slice(part));
    element
}

/// Writes a whole number from its big-endian digits.
pub(crate) fn encode_unsigned(digits: &[u8]) -> Vec<u8> {
    let digits = &digits[digits.iter().take_while(|digit| **digit == 0).count()..];
    match digits.first() {
        Some(0..=0x7F) => encode(INTEGER, &[digits]),
        _ => encode(INTEGER, &[&[0], digits]),
    }
}

/// Writes an object identifier.
pub(crate) fn encode_oid(oid: &ObjectIdentifier) -> Vec<u8> {
    encode(OID, &[oid.as_bytes()])
}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

fn not_der(what: &'static str, error: &der::Error) -> FormatError {
    FormatError::new(what, error.to_string())
}
