//! Whom an archive trusts: its own log, with all the keys it ever had, and what its operator chose beside it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use timemark_tlog::{AuthorityClient, Endorsers, LogKey, WitnessClient};
use timemark_verify::{Policy, VerifierKey};

use crate::backup;
use crate::open::{check_marker, key_path, put_file};

/// Whom this archive trusts, as the text of a policy: its log with all the keys it ever had, and what its
/// operator chose. Needs no lock and no private key.
pub(crate) fn policy_text(archive: &Path) -> Result<String> {
    check_marker(archive)?;
    let logs = log_lines(archive)?;
    let path = archive.join(POLICY);
    let rest = match fs::read_to_string(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => POLICY_DEFAULT.to_owned(),
        other => other.with_context(|| path.display().to_string())?,
    };
    Ok(logs + &rest)
}

/// Whom this archive trusts.
pub(crate) fn policy(archive: &Path) -> Result<Policy> {
    let text = policy_text(archive)?;
    Policy::parse(text.as_bytes()).with_context(|| archive.join(POLICY).display().to_string())
}

/// The log's public keys as lines of a policy.
pub(crate) fn log_lines(archive: &Path) -> Result<String> {
    let path = archive.join(LOG_POLICY);
    match fs::read_to_string(&path) {
        // Archives of version 0.1.0 have only the private file, until they are opened.
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Ok(LogKey::read(&key_path(archive))?.policy_lines())
        }
        other => other.with_context(|| path.display().to_string()),
    }
}

/// Writes the public keys anew where they are not those of the private file, from which they follow: it is
/// replaced in one step, and a crash may come before the next.
pub(crate) fn keep_log_policy(archive: &Path, lines: &str) -> Result<()> {
    match fs::read(archive.join(LOG_POLICY)) {
        Ok(there) if there == lines.as_bytes() => Ok(()),
        _ => put_file(archive, LOG_POLICY, lines),
    }
}

/// Refuses private keys that are older than the public ones: others replaced them since.
pub(crate) fn check_log_policy(archive: &Path, key: &LogKey) -> Result<()> {
    let lines = fs::read_to_string(archive.join(LOG_POLICY)).unwrap_or_default();
    match LogKey::of_policy_lines(&lines) {
        Ok(known) if !key.continues(&known) => bail!(
            "{} does not hold the log's newest keys, which {LOG_POLICY} names: it is an old copy, or another log's",
            key_path(archive).display()
        ),
        _ => Ok(()), // what cannot be read is written anew
    }
}

/// The witnesses and authorities of a policy that can be asked: those with a URL. Keys at one URL are one
/// witness's.
pub(crate) fn endorsers(policy: Policy) -> Result<Endorsers> {
    let mut by_url: Vec<(&str, &str, Vec<VerifierKey>)> = Vec::new();
    for witness in policy.witnesses() {
        let Some(url) = &witness.url else { continue };
        match by_url.iter_mut().find(|(_, known, _)| known == url) {
            Some((_, _, keys)) => keys.push(witness.key.clone()),
            None => by_url.push((&witness.name, url, vec![witness.key.clone()])),
        }
    }
    let client = |(name, url, keys)| WitnessClient::new(name, keys, url);
    let witnesses = by_url.into_iter().map(client).collect::<Result<_, _>>()?;
    let authorities = policy.authorities().iter().filter_map(|known| {
        let url = known.url.as_ref()?;
        Some(AuthorityClient::new(known.authority.clone(), url))
    });
    Ok(Endorsers { authorities: authorities.collect(), witnesses, policy })
}

/// Takes a policy file for that of an existing archive.
///
/// A backup asks the witnesses of its own policy whether anything newer was signed: a policy whose quorum needs
/// none of the former witnesses would let an old backup go on unnoticed, unless `replace` says that all is known.
pub(crate) fn set_policy(archive: &Path, file: &Path, replace: bool) -> Result<()> {
    check_marker(archive)?;
    ensure!(
        backup::mark(archive)?.is_none(),
        "{} is a backup: its policy says who must be asked before it signs again",
        archive.display()
    );
    let before = policy(archive)?;
    let logs = log_lines(archive)?;
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let after = Policy::parse((logs + &text).as_bytes());
    let after = after.with_context(|| file.display().to_string())?;
    let known = |at: usize| {
        let key = &after.witnesses()[at].key;
        before.witnesses().iter().any(|witness| witness.key == *key)
    };
    let was_asked = before.quorum().needs_one_of(&|_| true);
    ensure!(
        replace || !was_asked || after.quorum().needs_one_of(&known),
        "the new quorum could do without every former witness: a backup made before would not learn from those \
         it knows that the log went on, and could fork it. Keep some of them, or delete such backups, say \
         --replace-witnesses and make a new backup at once"
    );
    put_policy(archive, file)
}

/// Takes a policy file for the archive's, once it is seen to make sense together with the archive's log.
pub(crate) fn put_policy(archive: &Path, file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let logs = fs::read_to_string(archive.join(LOG_POLICY)).unwrap_or_default();
    let policy = Policy::parse((logs.clone() + &text).as_bytes());
    policy.with_context(|| file.display().to_string())?;
    let own = text.lines().any(|line| line.split_whitespace().next() == Some("log"));
    ensure!(!own, "{}: an archive's policy has no log lines; its own log is known", file.display());
    put_file(archive, POLICY, &text)
}

/// The log's public keys with the tree sizes that each speaks for.
pub(crate) const LOG_POLICY: &str = "log.policy";
/// Whom else the operator trusts: everything of a policy but its log lines.
const POLICY: &str = "policy";
const POLICY_DEFAULT: &str = "quorum none\n";
