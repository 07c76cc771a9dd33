//! Asks the witnesses of a policy whether a log's newest checkpoint is the newest that it ever signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Result, bail};
use timemark_tlog::{Clock, History, Newest, Standing, WitnessClient};
use timemark_verify::{Checkpoint, Policy};

use crate::evidence;

/// What came of asking them all.
pub(crate) struct Answers {
    /// Positions in the policy of the witnesses that have cosigned the newest checkpoint now.
    pub confirmed: Vec<usize>,
    /// Why others do not count, one sentence each.
    pub silent: Vec<String>,
}

/// Asks every witness that the policy gives a URL for. What shows that the log has signed anything else is
/// kept as evidence, and is an error.
pub(crate) fn ask(archive: &Path, history: &History, policy: &Policy) -> Result<Answers> {
    let mut by_url: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut answers = Answers { confirmed: Vec::new(), silent: Vec::new() };
    for (position, witness) in policy.witnesses().iter().enumerate() {
        match &witness.url {
            Some(url) => by_url.entry(url).or_default().push(position),
            None => {
                answers.silent.push(format!("witness {} has no URL in the policy", witness.name))
            }
        }
    }
    let clock = Clock::system();
    let asked: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = by_url
            .into_iter()
            .map(|(url, positions)| {
                let clock = &clock;
                scope.spawn(move || ask_one(url, &positions, history, policy, clock))
            })
            .collect();
        asking.into_iter().filter_map(|asked| asked.join().ok()).collect()
    });
    let mut missing = None;
    for answer in asked {
        match answer? {
            Heard::Confirmed(positions) => answers.confirmed.extend(positions),
            Heard::Silent(reason) => answers.silent.push(reason),
            Heard::More(reason) => missing = missing.or(Some(reason)),
            Heard::Other { name, note, standing } => {
                let kept = evidence::keep_other(archive, history, &note, &standing)?;
                // The first one is said; all of them are kept.
                missing =
                    Some(words(&name, history, &Checkpoint::of_note(&note)?, &standing, &kept));
            }
        }
    }
    match missing {
        Some(reason) => bail!(reason),
        None => Ok(answers),
    }
}

enum Heard {
    Confirmed(Vec<usize>),
    Silent(String),
    More(String),
    Other { name: String, note: timemark_verify::Note, standing: Standing },
}

fn ask_one(
    url: &str,
    positions: &[usize],
    history: &History,
    policy: &Policy,
    clock: &Clock,
) -> Result<Heard> {
    let witnesses: Vec<_> = positions.iter().map(|&at| (at, &policy.witnesses()[at])).collect();
    let names: Vec<_> = witnesses.iter().map(|(_, witness)| witness.name.as_str()).collect();
    let name = names.join(", ");
    let keys = witnesses.iter().map(|(_, witness)| witness.key.clone()).collect();
    let client = match WitnessClient::new(&name, keys, url) {
        Ok(client) => client,
        Err(error) => return Ok(Heard::Silent(error.to_string())),
    };
    Ok(match history.ask(&client, clock)? {
        Newest::Confirmed(signatures) => {
            let signed = |at: &usize| {
                let key = &policy.witnesses()[*at].key;
                signatures.iter().any(|s| s.name == key.name() && s.key_id == key.key_id())
            };
            Heard::Confirmed(positions.iter().copied().filter(signed).collect())
        }
        Newest::Other { note, standing } => Heard::Other { name, note, standing },
        Newest::NeverSeen => Heard::Silent(format!(
            "witness {name} shows no checkpoint of this log; a witness that forgot says the same"
        )),
        Newest::ClaimsMore(error) => {
            Heard::More(format!("{error}; what it cosigned it does not show"))
        }
        Newest::Silent(reason) => Heard::Silent(reason),
    })
}

fn words(
    name: &str,
    history: &History,
    seen: &Checkpoint,
    standing: &Standing,
    kept: &Path,
) -> String {
    let (here, kept): (u64, PathBuf) = (history.head().size, kept.to_owned());
    let what = match standing {
        Standing::Forked { .. } => format!("another tree than the {here} entries here begin with"),
        _ => format!("{here} entries are here: {} entries are missing", seen.size - here),
    };
    format!(
        "witness {name} holds a checkpoint of {} entries that this log signed, and {what}; it is kept in {}",
        seen.size,
        kept.display()
    )
}
