//! What a camera reads off the page: the QR code, and the number that people read out.

use std::fmt::Write as _;

use data_encoding::{BASE32, HEXLOWER};
use qrcodegen::{QrCode, QrCodeEcc};
use sha2::{Digest, Sha256};
use timemark_verify::Receipt;

use crate::{CertificateError, times};

/// The certificate's number: the same for every certificate of this entry of this log.
pub(crate) fn number(receipt: &Receipt, origin: &str, index: u64) -> String {
    let claim = HEXLOWER.encode(&receipt.claim.digest());
    let digest =
        Sha256::digest(format!("timemark-certificate-number v1\n{origin}\n{index}\n{claim}\n"));
    let letters = BASE32.encode(&digest[..NUMBER_BYTES]);
    let mut number = "TM".to_owned();
    for (at, letter) in letters.chars().enumerate() {
        if at % 4 == 0 {
            number.push('-');
        }
        number.push(letter);
    }
    number
}

/// The essentials in a text of lines.
pub(crate) fn text(receipt: &Receipt, origin: &str, index: u64, existed_by: Option<u64>) -> String {
    let mut text = "timemark-certificate v1\n".to_owned();
    let claim = HEXLOWER.encode(&receipt.claim.digest());
    // The id is the SHA-256 of the work.
    let _ = writeln!(text, "work {}", receipt.claim.work.content());
    let _ = writeln!(text, "claim {claim}");
    if origin.len() <= ORIGIN_BYTES_MAX {
        let _ = writeln!(text, "log {origin}");
    } else {
        let _ = writeln!(text, "log-sha256 {}", HEXLOWER.encode(&Sha256::digest(origin)));
    }
    let _ = writeln!(text, "entry {index}");
    match existed_by {
        Some(time) => {
            let _ = writeln!(text, "existed-by {}Z", times::utc(time).replace(' ', "T"));
        }
        None => text.push_str("existed-by unproven\n"),
    }
    text
}

/// The code of a text.
pub(crate) fn qr(text: &str) -> Result<QrCode, CertificateError> {
    QrCode::encode_binary(text.as_bytes(), QrCodeEcc::Medium)
        .map_err(|error| CertificateError::Writer(error.to_string()))
}

/// 80 bits: few enough letters to be read out, too many for two entries to share them by accident.
const NUMBER_BYTES: usize = 10;
/// A longer name of a log would make the modules of the code too small.
const ORIGIN_BYTES_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::receipt;

    #[test]
    fn the_number_follows_from_log_entry_and_claim() {
        let (first, other) = (receipt("a"), receipt("b"));
        let number_of = |receipt| number(receipt, "example.com/log", 7);
        assert_eq!(number_of(&first), number_of(&first));
        assert_ne!(number_of(&first), number_of(&other));
        assert_ne!(number_of(&first), number(&first, "example.com/log", 8));
        assert_ne!(number_of(&first), number(&first, "example.com/other", 7));
        assert_eq!(number_of(&first).len(), "TM-ABCD-EFGH-IJKL-MNOP".len());
    }

    #[test]
    fn the_code_stays_legible_whatever_the_log_is_called() {
        for origin in ["example.com/log".to_owned(), "日志".repeat(60_000)] {
            let text = text(&receipt("a"), &origin, u64::MAX, Some(1_795_000_000));
            assert!(
                text.contains("\nentry 18446744073709551615\nexisted-by 2026-11-18T11:06:40Z\n")
            );
            assert!(qr(&text).unwrap().size() <= 77, "{}", text.len());
        }
    }
}
