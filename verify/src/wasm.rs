//! The verifier for a page: three exports over one session, with no bindings generator and no imports.
//!
//! A caller asks `input(length)` where to put the bytes of its next call, puts them there, calls `call(op, length)`, and
//! reads as many bytes of the answer as that returns at `output()`.
//!
//! | op | input | answer |
//! |---|---|---|
//! | 0 | nothing: begin anew | nothing |
//! | 1, 2 | next bytes of the work; its name when they are complete | nothing; its digests |
//! | 3 | a receipt, or a certificate | `{"ok":true}` or an outcome |
//! | 4 | a policy, or nothing | `{"ok":…}` |
//! | 5 | next bytes of a bundle | nothing |
//! | 6 | nothing | the outcome |
//! | 7 | number of a receipt of the bundle, or `manifest` | its outcome with every step |
//! | 9 | the SHA-256 of the bundle's policy that the user vouches for, or nothing | nothing |
//! | 10 | name of an expert file | its bytes |
//! | 11 | another receipt of the same work, or a certificate | as 3 |

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Session;

struct Exchange {
    session: Option<Session>,
    input: Vec<u8>,
    output: Vec<u8>,
}

static EXCHANGE: Mutex<Exchange> =
    Mutex::new(Exchange { session: None, input: Vec::new(), output: Vec::new() });

fn exchange() -> MutexGuard<'static, Exchange> {
    EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for the next input and tells where.
#[expect(unsafe_code, reason = "the name is unique: this is the whole of the module's interface")]
#[unsafe(no_mangle)]
pub extern "C" fn input(length: usize) -> *mut u8 {
    let mut exchange = exchange();
    exchange.input.resize(length, 0);
    exchange.input.as_mut_ptr()
}

/// Does one operation with the first `length` bytes of the input. Returns how long the answer is.
#[expect(unsafe_code, reason = "as above")]
#[unsafe(no_mangle)]
pub extern "C" fn call(op: u32, length: usize) -> usize {
    let mut exchange = exchange();
    let input = std::mem::take(&mut exchange.input);
    let bytes = input.get(..length).unwrap_or(&input);
    // Only where it is one: to look for text in every slice of a work costs as much as hashing it.
    let text = || String::from_utf8_lossy(bytes);
    if op == 0 {
        exchange.session = None;
    }
    let session = exchange.session.get_or_insert_default();
    let answer = match op {
        1 => {
            session.work_bytes(bytes);
            Vec::new()
        }
        2 => session.work_done(&text()).into_bytes(),
        3 => session.receipt(bytes).into_bytes(),
        4 => session.policy(bytes).into_bytes(),
        5 => {
            session.bundle_bytes(bytes);
            Vec::new()
        }
        6 => session.verdict().into_bytes(),
        7 => session.detail(&text()).into_bytes(),
        9 => {
            session.confirm(&text());
            Vec::new()
        }
        10 => session.expert_file(&text()),
        11 => session.receipt_beside(bytes).into_bytes(),
        _ => Vec::new(),
    };
    exchange.output = answer;
    exchange.input = input; // its room is used again
    exchange.output.len()
}

/// Where the last answer stands.
#[expect(unsafe_code, reason = "as above")]
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    exchange().output.as_ptr()
}
