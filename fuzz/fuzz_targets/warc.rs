//! Whatever is put into a web archive, plain or compressed by record, the visit ends, and the
//! records beside what was put in are read.
#![no_main]

use std::ops::ControlFlow;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use timemark_fuzz::sources::{Content, Met, visit_stream};

fuzz_target!(|bytes: &[u8]| {
    let intact: &[u8] = b"WARC/1.0\r\nWARC-Type: resource\r\nWARC-Target-URI: http://a/first\r\n\
        Content-Length: 8\r\n\r\nGIF89a!!\r\n\r\n";
    let archive = [intact, bytes].concat();
    let mut first = None;
    let flow = visit_stream(Path::new("in"), &archive[..], &mut |met| {
        if let (None, Met::Member { name, content: Content::Picture(picture) }) = (&first, met) {
            first = Some((name, picture));
        }
        ControlFlow::Continue(())
    });
    assert_eq!(flow, ControlFlow::Continue(()));
    let (name, picture) = first.expect("nothing before the damage is lost");
    assert_eq!(name.text(), "in!http://a/first");
    assert_eq!(name.captured.expect("a web archive says where").url, "http://a/first");
    assert_eq!(picture, b"GIF89a!!");

    // The same bytes as the body of a response, whose header says that they are packed every way there is.
    let header =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate, gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = [&header[..], bytes].concat();
    let record = format!(
        "WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: b\r\nContent-Type: application/http\r\n\
        Content-Length: {}\r\n\r\n",
        body.len()
    );
    let archive = [record.as_bytes(), &body, b"\r\n\r\n", intact].concat();
    let mut last = None;
    let _ = visit_stream(Path::new("in"), &archive[..], &mut |met| {
        if let Met::Member { content: Content::Picture(picture), .. } = met {
            last = Some(picture);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(last.expect("a body costs no other record"), b"GIF89a!!");
});
