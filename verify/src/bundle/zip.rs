//! The zip file of a bundle, in its one spelling (APPNOTE.TXT of PKWARE, version 6.3).

/// An entry of the zip, for its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// CRC-32 of its bytes.
    pub crc: u32,
    /// How many there are.
    pub length: u32,
    /// Where its header stands.
    pub offset: u32,
}

/// What stands before the bytes of an entry (APPNOTE section 4.3.7).
pub fn local_header(entry: &Entry) -> Vec<u8> {
    [LOCAL_SIGNATURE, &shared_fields(entry), entry.path.as_bytes()].concat()
}

/// What stands behind the last entry: the directory and its end (APPNOTE sections 4.3.12 and 4.3.16).
pub fn end_of_archive(entries: &[Entry]) -> Vec<u8> {
    let mut end = Vec::new();
    let offset = entries.last().map_or(0, |last| {
        u64::from(last.offset)
            + (LOCAL_HEADER_BYTES + last.path.len()) as u64
            + u64::from(last.length)
    });
    for entry in entries {
        end.extend_from_slice(DIRECTORY_SIGNATURE);
        end.extend_from_slice(&[20, 3]); // made by version 2.0 on Unix, so that names are taken as they are
        end.extend_from_slice(&shared_fields(entry));
        end.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0xA4, 0x81]); // a plain file, mode 0644
        end.extend_from_slice(&entry.offset.to_le_bytes());
        end.extend_from_slice(entry.path.as_bytes());
    }
    let count = u16::try_from(entries.len()).unwrap_or(u16::MAX).to_le_bytes();
    let size = u32::try_from(end.len()).unwrap_or(u32::MAX).to_le_bytes();
    let offset = u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes();
    end.extend_from_slice(END_SIGNATURE);
    end.extend_from_slice(&[0; 4]); // one disk
    for field in [&count[..], &count, &size, &offset, &[0; 2]] {
        end.extend_from_slice(field);
    }
    end
}

/// The fields that header and directory share: version 2.0, UTF-8 names, stored, the first day of 1980.
fn shared_fields(entry: &Entry) -> Vec<u8> {
    let length = entry.length.to_le_bytes();
    let name = u16::try_from(entry.path.len()).unwrap_or(u16::MAX).to_le_bytes();
    let fixed = [20, 0, 0x00, 0x08, 0, 0, 0, 0, 0x21, 0];
    [&fixed[..], &entry.crc.to_le_bytes(), &length, &length, &name, &[0; 2]].concat()
}

/// As long as the directory of these entries can be.
pub(super) fn end_bytes_max(entries: &[Entry]) -> u64 {
    let names: usize = entries.iter().map(|entry| entry.path.len()).sum();
    (46 * entries.len() + names + 22) as u64
}

/// A zip without extensions counts bytes in 32 bits.
pub(super) const BYTES_MAX: u64 = u32::MAX as u64;
pub(super) const LOCAL_HEADER_BYTES: usize = 30;
pub(super) const LOCAL_SIGNATURE: &[u8] = b"PK\x03\x04";
pub(super) const DIRECTORY_SIGNATURE: &[u8] = b"PK\x01\x02";
const END_SIGNATURE: &[u8] = b"PK\x05\x06";
