//! A reader of responses that shares nothing with the code that writes them and takes nothing but DER.
//!
//! The fuzz target `tsa_request` includes it as well.

#![allow(dead_code, missing_docs)] // Not every test uses all of it.

/// One element: tag, what is in it, all of it.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    pub tag: u8,
    pub value: &'a [u8],
    pub whole: &'a [u8],
}

/// What a TimeStampResp says.
#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u8,
    pub reason: Option<String>,
    /// The number of the bit of PKIFailureInfo.
    pub failure: Option<usize>,
    pub token: Option<Token<'a>>,
}

/// What a token says.
#[derive(Debug)]
pub struct Token<'a> {
    pub policy: &'a [u8],
    pub imprint: &'a [u8],
    pub serial: &'a [u8],
    pub time: &'a str,
    pub accuracy: &'a [u8],
    pub nonce: Option<&'a [u8]>,
    pub name: &'a [u8],
    pub certificates: Vec<&'a [u8]>,
    pub attributes: &'a [u8],
    pub signature: &'a [u8],
    pub info: &'a [u8],
}

/// Reads a response; panics where it is not what RFC 3161, RFC 5652 and X.690 want.
pub fn answer(response: &[u8]) -> Answer<'_> {
    check(response);
    let [response] = siblings(response)[..] else { panic!("more than one element") };
    let fields = children(response, 0x30);
    let mut status = children(fields[0], 0x30).into_iter().peekable();
    let number = status.next().unwrap();
    assert!(number.tag == 2 && number.value.len() == 1);
    let reason = status.next_if(|e| e.tag == 0x30).map(|texts| {
        let [text] = siblings(texts.value)[..] else { panic!("not one text") };
        assert_eq!(text.tag, 0x0c);
        String::from_utf8(text.value.to_vec()).unwrap()
    });
    let failure = status.next_if(|e| e.tag == 3).map(|bits| {
        let set: Vec<usize> = (0..(bits.value.len() - 1) * 8)
            .filter(|bit| bits.value[1 + bit / 8] & (0x80 >> (bit % 8)) != 0)
            .collect();
        let [bit] = set[..] else { panic!("not one failure: {set:?}") };
        assert_eq!(bits.value.len(), 2 + bit / 8, "zeros at the end");
        assert_eq!(usize::from(bits.value[0]), 7 - bit % 8, "zeros at the end");
        bit
    });
    assert!(status.next().is_none());
    let token = match fields[1..] {
        [] => None,
        [token] => Some(self::token(token)),
        _ => panic!("more than a token"),
    };
    let status = number.value[0];
    assert_eq!((status == 0, status == 2), (token.is_some(), failure.is_some()));
    Answer { status, reason, failure, token }
}

fn token(token: Element<'_>) -> Token<'_> {
    let [kind, content] = children(token, 0x30)[..] else { panic!() };
    assert_eq!(kind.value, SIGNED_DATA);
    let mut signed = children(one(content, 0xa0), 0x30).into_iter().peekable();
    assert_eq!(signed.next().unwrap().whole, [2, 1, 3], "version 3");
    assert_eq!(one(signed.next().unwrap(), 0x31).whole, SHA_256);
    let [kind, content] = children(signed.next().unwrap(), 0x30)[..] else { panic!() };
    assert_eq!(kind.value, TST_INFO);
    let info = one(content, 0xa0);
    assert_eq!(info.tag, 4);
    let certificates = signed.next_if(|e| e.tag == 0xa0).map(|e| siblings(e.value));
    let certificates = certificates.unwrap_or_default().iter().map(|e| e.whole).collect();
    let signer = children(one(signed.next().unwrap(), 0x31), 0x30);
    assert!(signed.next().is_none());
    let [version, _, digest, attributes, algorithm, signature] = signer[..] else { panic!() };
    assert_eq!(version.whole, [2, 1, 1]);
    assert_eq!((digest.whole, algorithm.whole), (&SHA_256[..], &ECDSA_WITH_SHA_256[..]));
    assert_eq!((attributes.tag, signature.tag), (0xa0, 4));

    check(info.value);
    let [list] = siblings(info.value)[..] else { panic!() };
    let mut fields = children(list, 0x30).into_iter().peekable();
    assert_eq!(fields.next().unwrap().whole, [2, 1, 1], "version 1");
    Token {
        policy: fields.next().unwrap().value,
        imprint: fields.next().unwrap().whole,
        serial: fields.next().unwrap().value,
        time: std::str::from_utf8(fields.next().unwrap().value).unwrap(),
        accuracy: fields.next().unwrap().whole,
        nonce: fields.next_if(|e| e.tag == 2).map(|e| e.whole),
        name: one(one(fields.next().unwrap(), 0xa0), 0xa4).whole,
        certificates,
        attributes: attributes.value,
        signature: signature.value,
        info: {
            assert!(fields.next().is_none());
            info.value
        },
    }
}

/// Panics unless this is one element of DER, down to the last.
pub fn check(bytes: &[u8]) {
    assert_eq!(siblings(bytes).len(), 1, "more than one element");
    check_all(bytes);
}

fn check_all(bytes: &[u8]) {
    for element in siblings(bytes) {
        let value = element.value;
        match element.tag {
            0x01 => assert_eq!(value, [0xff], "FALSE is a default everywhere here"),
            0x02 => {
                let padded = value.len() > 1
                    && (value[0] == 0 && value[1] < 0x80 || value[0] == 0xff && value[1] >= 0x80);
                assert!(!value.is_empty() && !padded, "integer {value:02x?}");
            }
            0x03 => assert!(value.len() > 1 && value[0] < 8, "bit string {value:02x?}"),
            0x05 => assert!(value.is_empty()),
            0x06 => assert!(value.last().is_some_and(|last| *last < 0x80), "{value:02x?}"),
            0x0c => assert!(std::str::from_utf8(value).is_ok()),
            0x17 => assert!(value.len() == 13 && value.ends_with(b"Z")),
            0x18 => assert!(value.len() == 15 && value.ends_with(b"Z"), "whole seconds"),
            0x04 | 0x80..0xa0 => {}
            0x30 => check_all(value),
            // Here each [0] of more than one element is an IMPLICIT SET OF.
            0x31 | 0xa0 => {
                let order: Vec<_> = siblings(value).iter().map(|e| e.whole).collect();
                assert!(order.is_sorted(), "a SET OF out of order");
                check_all(value);
            }
            0xa3 | 0xa4 => check_all(value),
            tag => panic!("a tag that has no place here: {tag:02x}"),
        }
    }
}

fn one(element: Element<'_>, tag: u8) -> Element<'_> {
    let [only] = children(element, tag)[..] else { panic!("not one element") };
    only
}

pub fn children(element: Element<'_>, tag: u8) -> Vec<Element<'_>> {
    assert_eq!(element.tag, tag);
    siblings(element.value)
}

pub fn siblings(mut bytes: &[u8]) -> Vec<Element<'_>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        assert!(bytes[0] & 0x1f != 0x1f, "a high tag");
        let (head, length) = match bytes[1] {
            short @ 0..=0x7f => (2, usize::from(short)),
            0x81 => (3, usize::from(bytes[2])),
            0x82 => (4, usize::from(bytes[2]) << 8 | usize::from(bytes[3])),
            _ => panic!("a length of no response"),
        };
        let shortest = [(2, 0), (3, 0x80), (4, 0x100)];
        assert!(shortest.iter().any(|(h, least)| *h == head && length >= *least));
        let (whole, rest) = bytes.split_at(head + length);
        found.push(Element { tag: bytes[0], value: &whole[head..], whole });
        bytes = rest;
    }
    found
}

const SIGNED_DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const TST_INFO: [u8; 11] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const SHA_256: [u8; 13] = [0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 1];
const ECDSA_WITH_SHA_256: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
