//! What goes back to the client: a token, or the reason why there is none (RFC 3161 section 2.4.2).

use std::borrow::Cow;

use der::asn1::{AnyRef, BitString};
use der::{Decode, Encode, Sequence};

/// Why a request gets no token. It is the client's to read.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub failure: FailureInfo,
    pub reason: Cow<'static, str>,
}

/// `PKIFailureInfo ::= BIT STRING`: the number of the bit that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureInfo {
    /// The digest algorithm is not accepted.
    BadAlg = 0,
    /// A transaction that is not known: another version.
    BadRequest = 2,
    /// The bytes are no request.
    BadDataFormat = 5,
    /// The clock cannot be answered for.
    TimeNotAvailable = 14,
    /// Another policy was asked for.
    UnacceptedPolicy = 15,
    /// An extension was asked for.
    UnacceptedExtension = 16,
    /// Something here is broken.
    SystemFailure = 25,
}

impl Rejection {
    pub fn new(failure: FailureInfo, reason: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection { failure, reason: reason.into() }
    }
}

impl From<der::Error> for Rejection {
    fn from(error: der::Error) -> Rejection {
        Rejection::new(
            FailureInfo::BadDataFormat,
            format!("not a DER-encoded TimeStampReq: {error}"),
        )
    }
}

#[derive(Sequence)]
struct TimeStampResp<'a> {
    status: PkiStatusInfo,
    token: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct PkiStatusInfo {
    status: u8,
    status_string: Option<Vec<String>>,
    fail_info: Option<BitString>,
}

/// The response that brings a token.
pub(crate) fn granted(token: &[u8]) -> der::Result<Vec<u8>> {
    let status = PkiStatusInfo { status: GRANTED, status_string: None, fail_info: None };
    TimeStampResp { status, token: Some(AnyRef::from_der(token)?) }.to_der()
}

/// The response that says why there is no token.
pub(crate) fn rejected(rejection: &Rejection) -> Vec<u8> {
    let encode = || -> der::Result<Vec<u8>> {
        let status = PkiStatusInfo {
            status: REJECTED,
            status_string: Some(vec![rejection.reason.clone().into_owned()]),
            fail_info: Some(rejection.failure.bits()?),
        };
        TimeStampResp { status, token: None }.to_der()
    };
    encode().unwrap_or_else(|_| SYSTEM_FAILURE.to_vec())
}

impl FailureInfo {
    /// A list of named bits has no trailing zero bits in DER (X.690 section 11.2.2).
    fn bits(self) -> der::Result<BitString> {
        let bit = self as u8;
        let mut bytes = vec![0; usize::from(bit / 8) + 1];
        if let Some(last) = bytes.last_mut() {
            *last = 0x80 >> (bit % 8);
        }
        BitString::new(7 - bit % 8, bytes)
    }
}

const GRANTED: u8 = 0;
const REJECTED: u8 = 2;

/// `rejection` and `systemFailure`, for the case that nothing can be encoded any more.
const SYSTEM_FAILURE: [u8; 14] = [0x30, 12, 0x30, 10, 0x02, 1, REJECTED, 0x03, 5, 6, 0, 0, 0, 0x40];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_bit_without_zeros_behind_it() {
        for (failure, unused, bytes) in [
            (FailureInfo::BadAlg, 7, &[0x80][..]),
            (FailureInfo::BadRequest, 5, &[0x20]),
            (FailureInfo::BadDataFormat, 2, &[0x04]),
            (FailureInfo::TimeNotAvailable, 1, &[0, 0x02]),
            (FailureInfo::UnacceptedPolicy, 0, &[0, 0x01]),
            (FailureInfo::UnacceptedExtension, 7, &[0, 0, 0x80]),
            (FailureInfo::SystemFailure, 6, &[0, 0, 0, 0x40]),
        ] {
            let bits = failure.bits().unwrap();
            assert_eq!((bits.unused_bits(), bits.raw_bytes()), (unused, bytes), "{failure:?}");
        }
    }

    #[test]
    fn the_last_resort_is_a_response() {
        let response = TimeStampResp::from_der(&SYSTEM_FAILURE).unwrap();
        assert_eq!(response.status.status, REJECTED);
        assert_eq!(response.status.fail_info, Some(FailureInfo::SystemFailure.bits().unwrap()));
        assert!(response.token.is_none());
    }
}
