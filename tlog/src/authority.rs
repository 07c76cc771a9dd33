//! Asks a time-stamp authority for a token (RFC 3161), and takes none that would not verify.

use std::time::Duration;

use timemark_verify::{
    DigestAlgorithm, ResponseFault, Timestamp, TimestampAuthority, TimestampFault, TimestampRequest,
};

/// How long an authority may take altogether.
const TIME_MAX: Duration = Duration::from_secs(20);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// An authority somewhere else, and the certificate by which its tokens are judged.
pub struct AuthorityClient {
    authority: TimestampAuthority,
    url: String,
    agent: ureq::Agent,
}

/// Why an authority's answer is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It could not be asked, or did not answer in time.
    #[error("the time-stamp authority {name}: {reason}")]
    Unreachable {
        /// The authority's name in the policy.
        name: String,
        /// What failed.
        reason: Box<ureq::Error>,
    },
    /// It answered with a status that is no success.
    #[error("the time-stamp authority {name} answers with HTTP status {status}")]
    Status {
        /// The authority's name in the policy.
        name: String,
        /// The status.
        status: u16,
    },
    /// It refused, or answered something else than was asked.
    #[error("the time-stamp authority {name}: {fault}")]
    Response {
        /// The authority's name in the policy.
        name: String,
        /// What is wrong.
        fault: ResponseFault,
    },
    /// Its token would not verify.
    #[error("the token of the time-stamp authority {name} does not verify: {fault}")]
    Token {
        /// The authority's name in the policy.
        name: String,
        /// What is wrong.
        fault: TimestampFault,
    },
    /// The operating system gave no random bytes for a nonce.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// A token that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The authority's name in the policy.
    pub authority: String,
    /// When it was made by the authority's clock, in seconds since 1970.
    pub time: u64,
    /// The TimeStampResp (DER) that brought it.
    pub response: Vec<u8>,
    /// The digest algorithms that it rests on.
    pub digests: Vec<DigestAlgorithm>,
}

impl AuthorityClient {
    /// The authority that takes requests at this URL.
    pub fn new(authority: TimestampAuthority, url: &str) -> AuthorityClient {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(TIME_MAX))
            .user_agent("timemark")
            .build()
            .new_agent();
        AuthorityClient { authority, url: url.to_owned(), agent }
    }

    /// A token over the digest of these bytes, checked with the authority's certificate.
    pub fn stamp(
        &self,
        algorithm: DigestAlgorithm,
        message: &[u8],
    ) -> Result<Token, AuthorityError> {
        let name = || self.authority.name().to_owned();
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(|_| AuthorityError::NoRandomness)?;
        let request =
            TimestampRequest::new(algorithm, message).with_nonce(u64::from_be_bytes(nonce));
        let failed = |error| AuthorityError::Unreachable { name: name(), reason: Box::new(error) };
        let post = self.agent.post(&self.url).content_type("application/timestamp-query");
        let mut answer = post.send(request.to_der()).map_err(failed)?;
        if answer.status() != 200 {
            return Err(AuthorityError::Status { name: name(), status: answer.status().as_u16() });
        }
        let body = answer.body_mut().with_config().limit(Timestamp::BYTES_MAX as u64);
        let response = body.read_to_vec().map_err(failed)?;
        let timestamp = request
            .accepts(&response)
            .map_err(|fault| AuthorityError::Response { name: name(), fault })?;
        let checked = timestamp
            .check(&self.authority, &[])
            .map_err(|fault| AuthorityError::Token { name: name(), fault })?;
        Ok(Token { authority: name(), time: checked.time, response, digests: checked.digests })
    }
}
