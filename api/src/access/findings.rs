//! What of scans and of what they found somebody sees. Who does not see every work sees the scans of their organisation, and
//! of anybody's matches those with a work of theirs; what they are told names no other work, nor counts any.

use std::collections::BTreeSet;

use timemark_accounts::{Access as Level, AccountsError, Role, permission};
use timemark_ingest::{Engine, Finding, Method};
use timemark_review::ResultJson;

use super::{Access, Caller, Known};
use crate::Problem;

impl Access {
    /// Whose scans a caller sees; `None` where that is everybody's.
    pub fn scan_owners(&self, caller: &Caller) -> Result<Option<BTreeSet<String>>, AccountsError> {
        let known = match caller {
            Caller::Anybody => return Ok(None),
            Caller::Nobody => return Ok(Some(BTreeSet::new())),
            Caller::Somebody(known) => known,
        };
        let role = Some(known.account.role);
        match permission("scan_by_id").map_or(Level::Deny, |row| row.access(role)) {
            Level::Allow => Ok(None),
            Level::Own => Ok(Some(self.acts_for(known)?.into_iter().collect())),
            Level::Deny => Ok(Some(BTreeSet::new())),
        }
    }

    /// Something that was found, as a caller is told of it: by a registration of the work that they see.
    pub fn told_finding(
        &self,
        caller: &Caller,
        mut finding: Finding,
        engine: &Engine,
    ) -> Result<Option<Finding>, Problem> {
        if Access::is_narrow(caller) {
            let is_exact = finding.method == Method::Exact;
            let entry = self.seen_entry(caller, &finding.work, is_exact, u64::MAX, engine)?;
            let Some(entry) = entry else { return Ok(None) };
            finding.index = entry.index;
            finding.corrected_by = entry.corrected_by;
            (finding.file, finding.title, finding.claimant) =
                (entry.file, entry.title, entry.claimant);
        }
        Ok(Some(finding))
    }

    /// What a scan told of a suspect, as a caller is told of it. What is a copy of nothing of theirs is `clear`, or what it was
    /// when it was compared.
    pub fn told_result(
        &self,
        caller: &Caller,
        mut result: ResultJson,
        engine: &Engine,
    ) -> Result<ResultJson, Problem> {
        // What is kept for going on is nobody's business.
        let kept = result.kept.take();
        if Access::is_narrow(caller) {
            let (matches, hidden) = self.visible(caller, result.matches, u64::MAX, engine)?;
            let (related, _) = self.visible(caller, result.related, u64::MAX, engine)?;
            if matches.is_empty() && hidden > 0 {
                match kept.and_then(|kept| kept.before) {
                    Some(before) => (result.status, result.error) = (before.status, before.error),
                    None => "clear".clone_into(&mut result.status),
                }
            }
            (result.matches, result.related) = (matches, related);
        }
        Ok(result)
    }

    /// The accounts that somebody acts for: themselves, and for an agency those of its organisation.
    pub(super) fn acts_for(&self, known: &Known) -> Result<Vec<String>, AccountsError> {
        let mut accounts = vec![known.account.id.clone()];
        if let (Role::Agency, Some(organisation)) =
            (known.account.role, &known.account.organisation)
        {
            accounts.extend(self.accounts.of_organisation(organisation)?);
        }
        accounts.sort_unstable();
        accounts.dedup();
        Ok(accounts)
    }
}

impl Caller {
    /// Whether what they ask is open to them with what is their own alone.
    pub fn is_for_own(&self) -> bool {
        matches!(self, Caller::Somebody(known) if known.level == Level::Own)
    }
}
