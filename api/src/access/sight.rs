//! What of the works somebody sees: all of them, or those they registered; and what staff sees of others is entered into
//! the log.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use timemark_accounts::{Access as Level, AccountsError, Entered, Intention, Owned, Role};
use timemark_ingest::{Engine, Method, Registrations};
use timemark_review::{Match, MatchJson};
use timemark_verify::{Claim, ContentId};

use super::{Access, Caller, Known};
use crate::Problem;
use crate::problem::Kind;
use crate::told::{Entry, tell_of};

/// How an entry of the log looks to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Theirs, or nobody asks whose.
    Own,
    /// Of somebody else, and they may see it.
    Others,
    /// There is no such thing, as far as they are concerned.
    Hidden,
}

impl Access {
    /// How an entry looks to a caller.
    pub fn sight(&self, caller: &Caller, index: u64) -> Result<Sight, AccountsError> {
        let known = match caller {
            Caller::Anybody => return Ok(Sight::Own),
            Caller::Nobody => return Ok(Sight::Hidden),
            Caller::Somebody(known) => known,
        };
        let owner = self.accounts.owner(index)?;
        if owner.as_deref() == Some(&*known.account.id) {
            return Ok(Sight::Own);
        }
        let of_organisation = match (&owner, known.sees()) {
            (_, Level::Allow) => true,
            (Some(owner), Level::Own) => self.is_of_organisation(known, owner)?,
            _ => false,
        };
        Ok(if of_organisation { Sight::Others } else { Sight::Hidden })
    }

    /// Whether an account is one that an agency acts for.
    fn is_of_organisation(&self, known: &Known, owner: &str) -> Result<bool, AccountsError> {
        let (Role::Agency, Some(organisation)) = (known.account.role, &known.account.organisation)
        else {
            return Ok(false);
        };
        let owner = self.accounts.account(owner)?;
        Ok(owner.is_some_and(|owner| owner.organisation.as_ref() == Some(organisation)))
    }

    /// Whether a caller sees only some of the works.
    pub fn is_narrow(caller: &Caller) -> bool {
        match caller {
            Caller::Anybody => false,
            Caller::Nobody => true,
            Caller::Somebody(known) => known.sees() != Level::Allow,
        }
    }

    /// The newest entries below `before` that a caller with a narrow sight sees, newest first.
    pub fn seen(&self, caller: &Caller, before: u64, most: usize) -> Result<Vec<u64>, Problem> {
        let Caller::Somebody(known) = caller else { return Ok(Vec::new()) };
        let mut indices = Vec::new();
        for owner in &self.acts_for(known)? {
            indices.extend(self.accounts.owned(owner, before, most)?);
        }
        indices.sort_unstable_by_key(|index| std::cmp::Reverse(*index));
        indices.truncate(most);
        Ok(indices)
    }

    /// Whether there is an entry of this number, as far as a caller is concerned.
    pub fn may_see(&self, caller: &Caller, index: u64) -> Result<(), Problem> {
        match self.sight(caller, index)? {
            Sight::Hidden => Err(hidden()),
            Sight::Own | Sight::Others => Ok(()),
        }
    }

    /// Records that a caller takes out what is about an entry, where it is somebody else's.
    pub fn may_export(
        &self,
        caller: &Caller,
        index: u64,
        what: &str,
        engine: &Engine,
    ) -> Result<(), Problem> {
        match self.sight(caller, index)? {
            Sight::Own => Ok(()),
            Sight::Others => {
                caller.act(engine, "receipt.export", &format!("entry {index}"), Some(what))
            }
            Sight::Hidden => Err(hidden()),
        }
    }

    /// Enters into the log that a caller looks at a match of a work that is somebody else's: once within an hour, as a
    /// page asks for a match several times.
    pub fn looks(&self, caller: &Caller, found: &Match, engine: &Engine) -> Result<(), Problem> {
        let Some(account) = caller.account_id() else { return Ok(()) };
        if self.sight(caller, found.finding.index)? == Sight::Own {
            return Ok(());
        }
        let look = (account.to_owned(), found.id.text().to_owned());
        let looks = || self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks().get(&look).is_some_and(|since| since.elapsed() < LOOK_TIME) {
            return Ok(());
        }
        caller.act(engine, "match.view", found.id.text(), Some(&found.finding.work))?;
        let mut looks = looks();
        if looks.len() >= LOOKS_MAX {
            looks.retain(|_, since| since.elapsed() < LOOK_TIME);
            if looks.len() >= LOOKS_MAX {
                looks.clear(); // some are entered twice then
            }
        }
        looks.insert(look, Instant::now());
        Ok(())
    }

    /// Of works that look alike, those of which a caller sees a registration below `below`, and how many others there are.
    pub fn visible(
        &self,
        caller: &Caller,
        matches: Vec<MatchJson>,
        below: u64,
        engine: &Engine,
    ) -> Result<(Vec<MatchJson>, usize), Problem> {
        if !Access::is_narrow(caller) {
            return Ok((matches, 0));
        }
        let all = matches.len();
        let mut seen = Vec::new();
        for mut one in matches {
            let content = one.work.parse().map_err(|_| Problem::internal("a work without id"))?;
            let is_exact = one.method == Method::Exact.to_string();
            if let Some(entry) = self.seen_entry(caller, &content, is_exact, below, engine)? {
                tell_of(&mut one, entry);
                seen.push(one);
            }
        }
        let hidden = all - seen.len();
        Ok((seen, hidden))
    }

    /// The first registration of a work below `below` that a caller sees and that stands, in the words that stand. What is
    /// told of a work is its first registration; theirs may be a later one.
    pub(super) fn seen_entry(
        &self,
        caller: &Caller,
        work: &ContentId,
        is_exact: bool,
        below: u64,
        engine: &Engine,
    ) -> Result<Option<Entry>, Problem> {
        let read = |from, most| self.registrations_seen(caller, work, from, most, engine);
        for record in Registrations::from(0, read).take(OWN_LOOKS_MAX) {
            let record = record?;
            if record.index >= below {
                break;
            }
            // What was withdrawn accuses nobody.
            let now = engine.registry.standing(record.index).map_err(Problem::internal)?;
            let Some(now) = now else { continue };
            if is_exact || was_seen(now.claim.as_ref()) {
                let mut entry = Entry::of(record.index, work.to_string(), now.claim.as_ref());
                entry.corrected_by = Some(now.index).filter(|by| *by != record.index);
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Whether a caller is known to have had a work: they see every one, or a registration of theirs shows what it looks like.
    pub fn had(&self, caller: &Caller, work: &ContentId, engine: &Engine) -> Result<bool, Problem> {
        Ok(!Access::is_narrow(caller)
            || self.seen_entry(caller, work, false, u64::MAX, engine)?.is_some())
    }

    /// Notes durably that a caller is about to register a work.
    pub fn intend(
        &self,
        caller: &Caller,
        content: [u8; 32],
        claimant: &str,
        engine: &Engine,
    ) -> Result<Option<Intention>, Problem> {
        let Some(account) = caller.account_id() else { return Ok(None) };
        let (claimant, account) = (claimant.to_owned(), account.to_owned());
        let intention = Intention { content, claimant, account, size: engine.log.size() };
        self.accounts.intend(&intention)?;
        Ok(Some(intention))
    }

    /// Takes note of whose an entry is. One that another account registered is not told of.
    pub fn registered(
        &self,
        caller: &Caller,
        intention: &Intention,
        index: u64,
        entered: Entered,
    ) -> Result<(), Problem> {
        let owned = self.accounts.registered(intention, Some(entered))?;
        if owned == Owned::Foreign && self.sight(caller, index)? == Sight::Hidden {
            return Err(Problem::new(
                Kind::RegisteredElsewhere,
                "somebody else registered these bytes here for the same claimant",
            ));
        }
        Ok(())
    }

    /// Finds in the log what was being registered when the service ended without warning.
    pub fn settle_intentions(
        &self,
        engine: &Engine,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let all = self.accounts.intentions()?;
        for intention in &all {
            let content = ContentId::from_sha256(intention.content);
            let claimant = Some(&*intention.claimant).filter(|claimant| !claimant.is_empty());
            let read = |from, most| engine.registry.by_claimant(&content, claimant, from, most);
            let mut found = None;
            for record in Registrations::from(intention.size, read) {
                let record = record?;
                if record.claim.as_ref().is_some_and(|claim| claim.amends.is_none()) {
                    found = Some(record);
                    break;
                }
            }
            // Where two accounts were about to register the same, nobody knows whose the entry is.
            let same = |other: &&Intention| {
                (other.content, &other.claimant) == (intention.content, &intention.claimant)
            };
            let found = found.filter(|_| all.iter().filter(same).count() == 1);
            let entered = found.map(|record| Entered::New(record.index));
            self.accounts.registered(intention, entered)?;
        }
        Ok(())
    }
}

/// Within which time a look at the same match is not entered again, and how many looks are remembered.
const LOOK_TIME: Duration = Duration::from_secs(3600);
const LOOKS_MAX: usize = 10_000;

/// Registrations of one work by somebody who sees their own alone that are looked at for one with its looks.
const OWN_LOOKS_MAX: usize = 1000;

/// Whether whoever made a claim showed what the work looks like. Who registered it by its digests alone need not have it,
/// and learns no more of it from its looks.
pub(super) fn was_seen(claim: Option<&Claim>) -> bool {
    claim.is_some_and(|claim| !claim.fingerprints.is_empty())
}

/// The same answer, whether it is somebody else's or nobody's.
fn hidden() -> Problem {
    Problem::new(Kind::NotFound, "there is no such entry of yours")
}
