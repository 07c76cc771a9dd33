//! One attempt: a signed request, and what was answered.

use std::time::{Duration, Instant};

use ureq::unversioned::transport::DefaultConnector;

use crate::clock::now;
use crate::delivery::Attempt;
use crate::reach::{Checked, Reach, Refused};
use crate::secret::Secret;

/// What is to be sent where.
#[derive(Debug)]
pub(crate) struct Order {
    pub endpoint: String,
    pub delivery: u64,
    pub url: String,
    pub event_id: String,
    pub payload: String,
    /// The endpoint's, newest first.
    pub secrets: Vec<Secret>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub attempt: Attempt,
    /// Seconds after which the receiver wants to be asked again.
    pub retry_after: Option<u64>,
}

impl Answered {
    pub fn is_success(&self) -> bool {
        self.attempt.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the receiver wants no more of it, ever.
    pub fn is_gone(&self) -> bool {
        self.attempt.status == Some(410)
    }

    /// Whether the receiver has too much to do for other deliveries as well.
    pub fn is_busy(&self) -> bool {
        matches!(self.attempt.status, Some(429 | 502..=504))
    }
}

/// Who sends.
#[derive(Clone)]
pub(crate) struct Postman {
    agent: ureq::Agent,
}

impl Postman {
    pub fn new(reach: Reach) -> Postman {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Where they lead nobody has looked.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .https_only(reach == Reach::Public)
            // A proxy would look the name up itself, after it was checked here.
            .proxy(None)
            // Each connection is to an address that was checked for it.
            .max_idle_connections(0)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(TIME_MAX))
            .user_agent("timemark")
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), Checked(reach));
        Postman { agent }
    }

    /// Sends, and waits for the answer. What it says beside its status is read so that the other side can end it in
    /// peace, up to a limit, and kept nowhere.
    pub fn send(&self, order: &Order) -> Answered {
        let (at, begun) = (now(), Instant::now());
        let signatures = order.secrets.iter();
        let signatures: Vec<String> = signatures
            .filter_map(|secret| secret.sign(&order.event_id, at, &order.payload))
            .collect();
        let post = self
            .agent
            .post(&order.url)
            .content_type("application/json")
            .header("webhook-id", &order.event_id)
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", signatures.join(" "));
        let (status, error, retry_after) = match post.send(&order.payload) {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let retry_after = answer.headers().get("retry-after");
                let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
                let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
                let _ = body.read_to_vec();
                (Some(status), None, retry_after)
            }
            Err(error) => (None, Some(told(&error)), None),
        };
        let milliseconds = begun.elapsed().as_millis() as u64;
        Answered { attempt: Attempt { at, milliseconds, status, error }, retry_after }
    }
}

/// Why there is no answer, in short.
fn told(error: &ureq::Error) -> String {
    let mut words = match error {
        ureq::Error::Other(other) if other.is::<Refused>() => other.to_string(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the name is not known".to_owned(),
        error => error.to_string(),
    };
    words.truncate(words.floor_char_boundary(ERROR_BYTES_MAX));
    words
}

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// In all; the specification advises 15 to 30 seconds.
const TIME_MAX: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: u64 = 16 << 10;
const ERROR_BYTES_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn order(url: String) -> Order {
        Order {
            endpoint: "wh_1".to_owned(),
            delivery: 1,
            url,
            event_id: "evt_1".to_owned(),
            payload: "{}".to_owned(),
            secrets: vec![Secret::random().unwrap(), Secret::random().unwrap()],
        }
    }

    /// A server that says this once; the request that it got.
    fn answering(answer: &'static [u8]) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://localhost:{}/x", listener.local_addr().unwrap().port());
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"{}") {
                let mut bytes = [0; 1000];
                let read = stream.read(&mut bytes).unwrap();
                request.extend_from_slice(&bytes[..read]);
            }
            let _ = stream.write_all(answer);
            String::from_utf8(request).unwrap()
        });
        (url, serving)
    }

    #[test]
    fn a_request_bears_a_signature_of_each_secret() {
        let (url, serving) = answering(b"HTTP/1.1 204 No Content\r\n\r\n");
        let order = order(url);
        let answered = Postman::new(Reach::Private).send(&order);
        assert!(answered.is_success() && answered.attempt.error.is_none(), "{answered:?}");
        let request = serving.join().unwrap();
        let signed = |secret: &Secret| secret.sign("evt_1", answered.attempt.at, "{}").unwrap();
        let both = format!("{} {}", signed(&order.secrets[0]), signed(&order.secrets[1]));
        for line in [
            "POST /x HTTP/1.1".to_owned(),
            "webhook-id: evt_1".to_owned(),
            format!("webhook-timestamp: {}", answered.attempt.at),
            format!("webhook-signature: {both}"),
            "content-type: application/json".to_owned(),
        ] {
            assert!(request.lines().any(|l| l == line), "{line}\n{request}");
        }
    }

    #[test]
    fn redirects_are_not_followed_and_long_answers_not_kept() {
        let redirect =
            b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let busy = b"HTTP/1.1 429 x\r\nRetry-After: 120\r\nContent-Length: 1000000000\r\n\r\nabc";
        for (answer, status, retry_after) in [(&redirect[..], 307, None), (busy, 429, Some(120))] {
            let (url, serving) = answering(answer);
            let answered = Postman::new(Reach::Private).send(&order(url));
            serving.join().unwrap();
            assert_eq!(answered.attempt.status, Some(status));
            assert_eq!((answered.retry_after, answered.is_success()), (retry_after, false));
        }
    }

    #[test]
    fn a_name_that_stands_for_this_machine_is_not_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        // Spellings of 127.0.0.1 that only the resolver understands.
        for host in ["localhost", "127.1", "2130706433", "0x7f.1"] {
            let answered =
                Postman::new(Reach::Public).send(&order(format!("https://{host}:{port}/")));
            let error = answered.attempt.error.unwrap();
            let refused = error.contains("private network") || error.contains("not known");
            assert!(refused || error.contains("lookup"), "{host}: {error}");
        }
        assert!(listener.accept().is_err(), "nobody connected");
        let plain = Postman::new(Reach::Public).send(&order("http://localhost/".to_owned()));
        assert!(plain.attempt.status.is_none());
    }
}
