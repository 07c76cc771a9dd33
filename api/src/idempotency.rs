//! Which request an `Idempotency-Key` stands for.
//!
//! That a request may be sent again needs no key: the same bytes by the same claimant are one registration, whenever they
//! come. The key guards against another mistake: sending something else in the belief that it is the same.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;

use crate::problem::{Kind, Problem};

/// The keys seen last, in memory: a restart forgets them, and nothing but this check depends on them.
#[derive(Default)]
pub(crate) struct Keys {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: HashMap<String, [u8; 32]>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl Keys {
    /// Takes note that a key stands for the request of this digest; an error if it stands for another.
    pub fn bind(&self, key: &str, request: [u8; 32]) -> Result<(), Problem> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.requests.get(key) {
            Some(known) if *known == request => return Ok(()),
            Some(_) => {
                let detail = "this Idempotency-Key came with another file or other words before";
                return Err(Problem::new(Kind::KeyReused, detail));
            }
            None => {}
        }
        if seen.order.len() == KEYS_MAX
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.requests.remove(&oldest);
        }
        seen.order.push_back(key.to_owned());
        seen.requests.insert(key.to_owned(), request);
        Ok(())
    }
}

/// The key of a request, if it bears one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let text = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    match text {
        Some(key) if keys.next().is_none() => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!(
            "an Idempotency-Key has 1 to {KEY_BYTES_MAX} characters of ASCII, and there is one"
        ))),
    }
}

/// Keys that are remembered.
pub(crate) const KEYS_MAX: usize = 10_000;
const KEY_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_one_request_until_so_many_others_came() {
        let keys = Keys::default();
        keys.bind("a", [1; 32]).unwrap();
        keys.bind("a", [1; 32]).unwrap();
        assert!(keys.bind("a", [2; 32]).is_err());
        for number in 0..KEYS_MAX {
            keys.bind(&number.to_string(), [0; 32]).unwrap();
        }
        keys.bind("a", [2; 32]).unwrap();
        let seen = keys.seen.lock().unwrap();
        assert_eq!((seen.order.len(), seen.requests.len()), (KEYS_MAX, KEYS_MAX));
    }

    #[test]
    fn a_key_is_short_and_comes_once() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", value.parse().unwrap());
            }
            key(&headers)
        };
        assert!(read(&[]).unwrap().is_none());
        assert_eq!(read(&["a-1"]).unwrap().unwrap(), "a-1");
        assert!(read(&[""]).is_err());
        assert!(read(&["a", "a"]).is_err());
        assert!(read(&[&"a".repeat(256)]).is_err());
        assert!(read(&["é"]).is_err());
    }
}
