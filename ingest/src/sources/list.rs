//! Goes through the paths of a list, as they come.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;

use super::content::read_start;
use super::stream::{Begun, Budget, Counted, Plain, damaged};
use super::{Met, Progress, SuspectName, visit_path};

/// Hands out what is at or below each path of a list. Paths stand one a line, or are each ended by a NUL if
/// there is one in what the list begins with.
pub(super) fn visit(
    list: &Path,
    from: impl Read,
    progress: &Progress,
    take: &mut dyn FnMut(Met) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut from = BufReader::new(Counted { from, budget: Budget::default() });
    let mut start = Vec::new();
    if let Err(error) = read_start(&mut from, &mut start) {
        return take(failed(list, error.to_string()));
    }
    let separator = if start.contains(&0) { 0 } else { b'\n' };
    if start.starts_with(BYTE_ORDER_MARK) {
        start.drain(..BYTE_ORDER_MARK.len());
    }
    let mut from = Begun::new(start, Box::new(Plain(from)));
    let mut line = Vec::new();
    for number in 1u64.. {
        match next_line(&mut from, separator, &mut line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                take(failed(list, format!("line {number}: {error}")))?;
                continue;
            }
            Err(error) => return take(failed(list, format!("line {number}: {error}"))),
        }
        match str::from_utf8(&line) {
            Ok("") => {}
            Ok(path) => visit_path(Path::new(path), progress, take)?,
            Err(_) => take(failed(list, format!("line {number} is not UTF-8")))?,
        }
    }
    ControlFlow::Continue(())
}

/// Reads a line without its end; `false` where there is none. One that is too long is passed over.
fn next_line(from: &mut dyn BufRead, separator: u8, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let (mut begun, mut too_long) = (false, false);
    loop {
        let bytes = from.fill_buf()?;
        let end = bytes.iter().position(|byte| *byte == separator);
        let length = end.unwrap_or(bytes.len());
        too_long |= line.len() + length > LINE_BYTES_MAX;
        if !too_long {
            line.extend_from_slice(&bytes[..length]);
        }
        begun |= !bytes.is_empty();
        let ended = end.is_some() || bytes.is_empty();
        from.consume(length + usize::from(end.is_some()));
        if ended {
            break;
        }
    }
    if too_long {
        return Err(damaged(format!("it is longer than {LINE_BYTES_MAX} bytes")));
    }
    if separator == b'\n' && line.ends_with(b"\r") {
        line.pop();
    }
    Ok(begun)
}

fn failed(list: &Path, reason: String) -> Met {
    Met::Failed { name: SuspectName::of_file(list), reason }
}

/// The longest path that a list may have, which is the longest that Linux takes.
const LINE_BYTES_MAX: usize = 4096;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(list: &[u8], expected: &[&str]) {
        let mut met = Vec::new();
        let _ = visit(Path::new("list"), list, &Progress::default(), &mut |found| {
            met.push(match found {
                Met::File(file) => file.path.file_name().unwrap().to_str().unwrap().to_owned(),
                Met::Failed { name, reason } => format!("{name}: {reason}"),
                other => format!("{other:?}"),
            });
            ControlFlow::Continue(())
        });
        assert_eq!(met, expected);
    }

    #[test]
    fn a_list_is_lines_or_ended_by_nul_and_a_bad_line_costs_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("{}/{name}", dir.path().display());
        fs::write(path("a b.txt"), "a").unwrap();
        fs::create_dir(path("folder")).unwrap();
        fs::write(path("folder/c.txt"), "c").unwrap();
        fs::write(path("two\nlines"), "d").unwrap();
        let (a, folder, two) = (path("a b.txt"), path("folder"), path("two\nlines"));
        check(b"", &[]);
        check(format!("{a}\n\n{folder}").as_bytes(), &["a b.txt", "c.txt"]);
        check(format!("\u{FEFF}{a}\r\n{folder}\r\n").as_bytes(), &["a b.txt", "c.txt"]);
        check(format!("{two}\0{a}\0\0").as_bytes(), &["two\nlines", "a b.txt"]);
        let long = "x".repeat(100_000);
        let odd = [long.as_bytes(), b"\n\xFF\n/none/such\n", a.as_bytes()].concat();
        check(
            &odd,
            &[
                "list: line 1: it is longer than 4096 bytes",
                "list: line 2 is not UTF-8",
                "/none/such: there is no such file",
                "a b.txt",
            ],
        );
    }
}
