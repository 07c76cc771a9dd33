//! The receipt that is attached to a certificate.
//!
//! A certificate is a PDF whose attachments are stored as they are, so that the receipt stands in its bytes in one
//! piece. What else the PDF says is not looked at, nor what its own list of attachments names: the receipt is the proof, and
//! whoever verifies shows the receipt's words.

use crate::{FormatError, Receipt};

/// The bytes of the one receipt in a file: the file itself, or the receipt attached to a certificate. A PDF in which two
/// different receipts stand in the clear is refused.
pub fn attached_receipt(file: &[u8]) -> Result<&[u8], FormatError> {
    if !file.starts_with(b"%PDF-") {
        return Ok(file);
    }
    if file.len() > Receipt::FILE_BYTES_MAX {
        return Err(bad(format!("longer than {} bytes", Receipt::FILE_BYTES_MAX)));
    }
    let mut found: Option<&[u8]> = None;
    let mut rest = file;
    while let Some(start) = position(rest, FIRST_LINE) {
        let from = &rest[start..];
        let end = position(from, LAST_LINE).map(|at| at + LAST_LINE.len() + 64 + 1);
        let Some(receipt) = end.and_then(|end| from.get(..end)) else {
            return Err(bad("its receipt is cut short".to_owned()));
        };
        if found.is_some_and(|other| other != receipt) {
            return Err(bad("it holds two different receipts".to_owned()));
        }
        found = Some(receipt);
        rest = &from[receipt.len()..];
    }
    found.ok_or_else(|| bad("this PDF has no receipt attached in the clear".to_owned()))
}

impl Receipt {
    /// As much of a file as has to be read to find a receipt in it; one byte more tells that it is too long.
    pub const FILE_BYTES_MAX: usize = 64 << 20;

    /// Reads the receipt in a file: a receipt, or a certificate with one attached.
    pub fn parse_file(file: &[u8]) -> Result<Receipt, FormatError> {
        Receipt::parse(attached_receipt(file)?)
    }
}

fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    // The first byte is looked for first: a thumbnail of a megabyte is passed over quickly.
    let (&first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == first) {
        let at = from + at;
        if bytes[at + 1..].starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn bad(reason: String) -> FormatError {
    FormatError::new("certificate", reason)
}

const FIRST_LINE: &[u8] = b"timemark-receipt v1\n";
const LAST_LINE: &[u8] = b"\n== sha256 ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_receipt_is_found_and_two_are_refused() {
        let receipt = format!("timemark-receipt v1\nx\n== sha256 {}\n", "0".repeat(64));
        let other = receipt.replace('x', "y");
        let pdf = |parts: &[&str]| format!("%PDF-1.7\n{}\n%%EOF", parts.join("\nendstream\n"));
        let once = pdf(&["a", &receipt, "b"]);
        assert_eq!(attached_receipt(once.as_bytes()).unwrap(), receipt.as_bytes());
        assert!(attached_receipt(pdf(&[&receipt, &receipt]).as_bytes()).is_ok());
        for bad in [pdf(&[&receipt, &other]), pdf(&[]), pdf(&[&receipt[..90]])] {
            assert!(attached_receipt(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(attached_receipt(receipt.as_bytes()).unwrap(), receipt.as_bytes());
    }
}
