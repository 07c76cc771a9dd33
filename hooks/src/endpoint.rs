//! An endpoint: where deliveries go, what it wants to hear of, and how it fares.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::event::EventKind;
use crate::secret::Secret;

/// Somebody's server that is told of events.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Endpoint {
    /// Its id.
    pub id: String,
    /// Where deliveries are sent.
    pub url: String,
    /// What its owner calls it.
    pub description: Option<String>,
    /// What it wants to hear of.
    pub events: BTreeSet<EventKind>,
    /// When it was made.
    pub created: u64,
    /// Set while nothing is sent to it.
    pub disabled: Option<Disabled>,
    /// Since when no delivery has succeeded, where one has failed since.
    pub failing_since: Option<u64>,
    /// The newest first.
    pub(crate) secrets: Vec<Signing>,
    /// The id of its next delivery.
    pub(crate) next_delivery: u64,
}

/// A secret, and until when it signs where a newer one has taken its place.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Signing {
    pub secret: Secret,
    pub until: Option<u64>,
}

/// That nothing is sent to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Disabled {
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub at: u64,
}

/// Why nothing is sent to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Its owner wants nothing for now.
    Owner,
    /// It answered that it is gone (410).
    Gone,
    /// It has failed for days.
    Failing,
}

/// What a new endpoint is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where deliveries are sent.
    pub url: String,
    /// What its owner calls it.
    pub description: Option<String>,
    /// What it wants to hear of.
    pub events: BTreeSet<EventKind>,
}

/// What is to become of an endpoint; `None` is left as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Where deliveries are sent.
    pub url: Option<String>,
    /// What its owner calls it; an empty text is none.
    pub description: Option<String>,
    /// What it wants to hear of.
    pub events: Option<BTreeSet<EventKind>>,
    /// Whether anything is sent to it.
    pub enabled: Option<bool>,
}

impl Endpoint {
    /// Puts another secret in the place of the present one, which signs as well until then.
    pub(crate) fn rotate(&mut self, secret: Secret, now: u64, until: u64) {
        self.forget_expired(now);
        for signing in &mut self.secrets {
            signing.until.get_or_insert(until);
        }
        self.secrets.insert(0, Signing { secret, until: None });
        self.secrets.truncate(SECRETS_MAX);
    }

    /// The secrets that sign now, the newest first.
    pub(crate) fn signing(&self, now: u64) -> Vec<Secret> {
        let good = self.secrets.iter().filter(|s| s.until.is_none_or(|until| now < until));
        good.map(|signing| signing.secret.clone()).collect()
    }

    fn forget_expired(&mut self, now: u64) {
        self.secrets.retain(|signing| signing.until.is_none_or(|until| now < until));
    }
}

/// Secrets that sign at a time, where one is changed again and again.
const SECRETS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_replaced_signs_for_a_while_and_no_longer() {
        let mut endpoint = Endpoint {
            id: "wh_1".to_owned(),
            url: "https://a.example/".to_owned(),
            description: None,
            events: BTreeSet::new(),
            created: 0,
            disabled: None,
            failing_since: None,
            secrets: Vec::new(),
            next_delivery: 1,
        };
        let secrets: Vec<Secret> = (0..6).map(|_| Secret::random().unwrap()).collect();
        endpoint.rotate(secrets[0].clone(), 100, 200);
        assert_eq!(endpoint.signing(1000), secrets[..1], "the only one never runs out");
        endpoint.rotate(secrets[1].clone(), 1000, 1100);
        assert_eq!(endpoint.signing(1099), [secrets[1].clone(), secrets[0].clone()]);
        assert_eq!(endpoint.signing(1100), secrets[1..2]);
        endpoint.rotate(secrets[2].clone(), 1050, 1150);
        assert_eq!(endpoint.signing(1100), [secrets[2].clone(), secrets[1].clone()]);
        for secret in &secrets[3..] {
            endpoint.rotate(secret.clone(), 1060, 1160);
        }
        let newest: Vec<Secret> = secrets[2..].iter().rev().cloned().collect();
        assert_eq!(endpoint.signing(1070), newest, "and never without end");
    }
}
