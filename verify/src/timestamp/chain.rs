//! From the signer's certificate to the authority's, as it was at one moment (RFC 5280 section 6.1).
//!
//! Everything is judged at the time that the token states, never at today's: a token outlives its
//! certificates. Revocation is not looked at, for no list of today speaks about that moment reliably.

use der::oid::ObjectIdentifier;

use super::certificate::Certificate;
use super::fault::TimestampFault;
use super::moment::Moment;
use super::signature::{self, SignatureFault};

/// Whether this certificate may sign time-stamps at this moment, by what it says itself.
pub(crate) fn check_signer(certificate: &Certificate, time: Moment) -> Result<(), TimestampFault> {
    check_any(certificate, time)?;
    let purpose =
        |reason| TimestampFault::SignerPurpose { certificate: certificate.name(), reason };
    // RFC 3161 section 2.3: exactly this purpose, and nobody may overlook it.
    let Some(usage) = &certificate.extensions.extended_key_usage else {
        return Err(purpose("it states no extended key usage"));
    };
    if usage.purposes[..] != [TIME_STAMPING] {
        return Err(purpose("its extended key usage is not time-stamping alone"));
    }
    if !usage.critical {
        return Err(purpose("its extended key usage is not critical"));
    }
    match certificate.extensions.key_usage {
        None => Ok(()),
        Some([first, 0]) if first != 0 && first & !(DIGITAL_SIGNATURE | NON_REPUDIATION) == 0 => {
            Ok(())
        }
        Some(_) => Err(purpose("its key is meant for more or other things than signing")),
    }
}

/// The certificates from the signer's to the anchor. Of several ways the first one found is taken; the work
/// is bounded, whatever the certificates.
pub(crate) fn find_path<'a>(
    signer: &'a Certificate,
    others: &[&'a Certificate],
    anchor: &'a Certificate,
    time: Moment,
) -> Result<Vec<&'a Certificate>, TimestampFault> {
    let mut issuers = vec![anchor];
    for other in others {
        if !issuers.contains(other) {
            issuers.push(other);
        }
    }
    let mut search =
        Search { issuers, anchor, time, signatures_left: SIGNATURES_MAX, first_fault: None };
    let mut path = vec![signer];
    if search.reaches_anchor(&mut path) {
        return Ok(path);
    }
    Err(search.first_fault.unwrap_or_else(|| TimestampFault::NoPath {
        certificate: signer.name(),
        authority: anchor.name(),
    }))
}

struct Search<'a> {
    issuers: Vec<&'a Certificate>,
    anchor: &'a Certificate,
    time: Moment,
    signatures_left: usize,
    /// Why the first certificate that could have led on did not.
    first_fault: Option<TimestampFault>,
}

impl<'a> Search<'a> {
    /// Extends the path until it ends in the anchor.
    fn reaches_anchor(&mut self, path: &mut Vec<&'a Certificate>) -> bool {
        let Some(&last) = path.last() else { return false };
        if last.der == self.anchor.der {
            return true;
        }
        for at in 0..self.issuers.len() {
            let Some(&issuer) = self.issuers.get(at) else { break };
            if issuer.subject != last.issuer || path.contains(&issuer) {
                continue;
            }
            match self.check_issued(path, last, issuer) {
                Ok(()) => {
                    path.push(issuer);
                    if self.reaches_anchor(path) {
                        return true;
                    }
                    path.pop();
                }
                Err(fault) => {
                    self.first_fault.get_or_insert(fault);
                }
            }
        }
        false
    }

    /// Whether `issuer` issued the last certificate of the path and was allowed to.
    fn check_issued(
        &mut self,
        path: &[&Certificate],
        last: &Certificate,
        issuer: &Certificate,
    ) -> Result<(), TimestampFault> {
        if path.len() >= PATH_MAX {
            return Err(TimestampFault::PathTooLong);
        }
        check_authority(issuer, path, self.time)?;
        self.signatures_left =
            self.signatures_left.checked_sub(1).ok_or(TimestampFault::TooManyPaths)?;
        signature::check(
            &issuer.key,
            &last.signature_algorithm,
            None,
            &last.signed,
            &last.signature,
        )
        .map_err(|fault| match fault {
            SignatureFault::NotGenuine => TimestampFault::CertificateSignature {
                certificate: last.name(),
                issuer: issuer.name(),
            },
            SignatureFault::Unsupported(what) => TimestampFault::Unsupported { what },
        })
    }
}

/// Whether this certificate may issue the last one of a path that begins at the signer.
fn check_authority(
    certificate: &Certificate,
    path: &[&Certificate],
    time: Moment,
) -> Result<(), TimestampFault> {
    check_any(certificate, time)?;
    let not_allowed =
        |reason| TimestampFault::IssuerPurpose { certificate: certificate.name(), reason };
    let Some(authority) = certificate.extensions.authority else {
        return Err(not_allowed("it is no certification authority's"));
    };
    if certificate.extensions.key_usage.is_some_and(|[first, _]| first & KEY_CERT_SIGN == 0) {
        return Err(not_allowed("its key is not meant for signing certificates"));
    }
    // An authority that is restricted to other purposes issues no certificate for this one.
    if let Some(usage) = &certificate.extensions.extended_key_usage
        && !usage.purposes.iter().any(|p| [TIME_STAMPING, ANY_PURPOSE].contains(p))
    {
        return Err(not_allowed("it is restricted to other purposes than time-stamping"));
    }
    let below = path.iter().skip(1).filter(|below| !below.is_self_issued()).count() as u64;
    if authority.path_length.is_some_and(|longest| below > longest) {
        return Err(not_allowed("it allows fewer authorities below it"));
    }
    Ok(())
}

fn check_any(certificate: &Certificate, time: Moment) -> Result<(), TimestampFault> {
    if !certificate.valid_at(time) {
        return Err(TimestampFault::NotValid { certificate: certificate.name() });
    }
    match certificate.extensions.unknown_critical {
        Some(extension) => Err(TimestampFault::CriticalExtension {
            certificate: certificate.name(),
            extension: extension.to_string(),
        }),
        None => Ok(()),
    }
}

/// Most certificates of a path, both ends included.
const PATH_MAX: usize = 8;
/// Most certificate signatures checked in search of a path.
const SIGNATURES_MAX: usize = 32;

const DIGITAL_SIGNATURE: u8 = 0x80;
const NON_REPUDIATION: u8 = 0x40;
const KEY_CERT_SIGN: u8 = 0x04;

const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
