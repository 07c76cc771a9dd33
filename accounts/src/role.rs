//! The table of what each role may do, and the parts of it that a key may be for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::AccountsError;

/// What somebody is to an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Registers works, and sees those.
    Creator,
    /// Registers for others, and sees what its organisation registered.
    Agency,
    /// Looks at works and matches of everybody.
    Reviewer,
    /// Reads everything, and what the staff did; changes nothing.
    Auditor,
    /// May do everything.
    Administrator,
}

/// Whether an operation is open to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No.
    Deny,
    /// With what is their own; what is not does not exist for them.
    Own,
    /// Yes.
    Allow,
}

/// What a key may be for: a part of what the role of its account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Registering works.
    Register,
    /// Works and receipts.
    Read,
    /// Finding works.
    Search,
    /// Scanning, and deciding about what was found.
    Review,
    /// Verifying receipts.
    Verify,
    /// Who else is told of what happened.
    Webhooks,
    /// Watching the service.
    Operate,
    /// One's own keys and sessions.
    Keys,
    /// What the staff did.
    Audit,
    /// Accounts.
    Accounts,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// The `operationId` in the description of the service.
    pub operation: &'static str,
    /// Which keys it belongs to.
    pub scope: Scope,
    access: [Access; 6],
}

impl Permission {
    /// What the table says for a role, or for who has none.
    pub fn access(&self, role: Option<Role>) -> Access {
        self.access[role.map_or(0, |role| role as usize + 1)]
    }
}

/// The row of an operation.
pub fn permission(operation: &str) -> Option<&'static Permission> {
    PERMISSIONS.iter().find(|row| row.operation == operation)
}

impl Role {
    /// All of them, in the order of the table.
    pub const ALL: [Role; 5] =
        [Role::Creator, Role::Agency, Role::Reviewer, Role::Auditor, Role::Administrator];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Creator => "creator",
            Role::Agency => "agency",
            Role::Reviewer => "reviewer",
            Role::Auditor => "auditor",
            Role::Administrator => "administrator",
        }
    }

    /// Whether what this role does with works of others is entered into the log.
    pub const fn is_staff(self) -> bool {
        !matches!(self, Role::Creator)
    }

    /// Whether any operation of this scope is open to the role.
    pub fn may_have(self, scope: Scope) -> bool {
        let rows = PERMISSIONS.iter().filter(|row| row.scope == scope);
        rows.map(|row| row.access(Some(self))).any(|access| access != Access::Deny)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = AccountsError;

    fn from_str(text: &str) -> Result<Role, AccountsError> {
        let names = Role::ALL.map(Role::name).join(", ");
        let role = Role::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| AccountsError::Bad(format!("a role is one of {names}")))
    }
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 10] = [
        Scope::Register,
        Scope::Read,
        Scope::Search,
        Scope::Review,
        Scope::Verify,
        Scope::Webhooks,
        Scope::Operate,
        Scope::Keys,
        Scope::Audit,
        Scope::Accounts,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Register => "register",
            Scope::Read => "read",
            Scope::Search => "search",
            Scope::Review => "review",
            Scope::Verify => "verify",
            Scope::Webhooks => "webhooks",
            Scope::Operate => "operate",
            Scope::Keys => "keys",
            Scope::Audit => "audit",
            Scope::Accounts => "accounts",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = AccountsError;

    fn from_str(text: &str) -> Result<Scope, AccountsError> {
        let names = Scope::ALL.map(Scope::name).join(", ");
        let scope = Scope::ALL.into_iter().find(|scope| scope.name() == text);
        scope.ok_or_else(|| AccountsError::Bad(format!("a scope is one of {names}")))
    }
}

const fn row(operation: &'static str, scope: Scope, access: [Access; 6]) -> Permission {
    Permission { operation, scope, access }
}

/// Spelled as short as a table wants it.
const A: Access = Access::Allow;
const O: Access = Access::Own;
const D: Access = Access::Deny;

/// Who may do what. An operation that is not here is open to nobody. The columns are nobody, creator, agency, reviewer,
/// auditor, administrator.
#[rustfmt::skip]
pub const PERMISSIONS: &[Permission] = &[
    row("register",           Scope::Register, [D, A, A, D, D, A]),
    row("register_digests",   Scope::Register, [D, A, A, D, D, A]),
    row("list_works",         Scope::Read,     [D, O, O, A, A, A]),
    row("work",               Scope::Read,     [D, O, O, A, A, A]),
    row("preview",            Scope::Read,     [D, O, O, A, A, A]),
    row("receipt",            Scope::Read,     [D, O, O, A, A, A]),
    row("tlog_proof",         Scope::Read,     [D, O, O, A, A, A]),
    row("receipt_checkpoint", Scope::Read,     [D, O, O, A, A, A]),
    row("certificate",        Scope::Read,     [D, O, O, A, A, A]),
    row("claim",              Scope::Read,     [D, O, O, A, A, A]),
    row("correct_claim",      Scope::Register, [D, O, O, D, D, A]),
    row("withdraw_claim",     Scope::Register, [D, O, O, D, D, A]),
    row("erase_claim",        Scope::Register, [D, O, O, D, D, A]),
    row("list_collections",   Scope::Read,     [D, D, O, A, A, A]),
    row("search_words",       Scope::Search,   [D, O, O, A, A, A]),
    row("search_code",        Scope::Search,   [D, O, O, A, A, A]),
    row("search_picture",     Scope::Search,   [D, O, O, A, A, A]),
    row("scan",               Scope::Review,   [D, D, O, A, D, A]),
    row("list_scans",         Scope::Review,   [D, D, O, A, A, A]),
    row("scan_by_id",         Scope::Review,   [D, D, O, A, A, A]),
    row("pause_scan",         Scope::Review,   [D, D, O, A, D, A]),
    row("resume_scan",        Scope::Review,   [D, D, O, A, D, A]),
    row("cancel_scan",        Scope::Review,   [D, D, O, A, D, A]),
    row("scan_results",       Scope::Review,   [D, D, O, A, A, A]),
    row("scan_events",        Scope::Review,   [D, D, O, A, A, A]),
    row("scan_domains",       Scope::Review,   [D, D, O, A, A, A]),
    row("list_matches",       Scope::Review,   [D, D, O, A, A, A]),
    row("match_by_id",        Scope::Review,   [D, D, O, A, A, A]),
    row("give_verdict",       Scope::Review,   [D, D, O, A, D, A]),
    row("undo_verdict",       Scope::Review,   [D, D, O, A, D, A]),
    row("match_history",      Scope::Review,   [D, D, O, A, A, A]),
    row("suspect_picture",    Scope::Review,   [D, D, O, A, A, A]),
    row("work_picture",       Scope::Review,   [D, D, O, A, A, A]),
    row("match_overlay",      Scope::Review,   [D, D, O, A, A, A]),
    row("bundle",             Scope::Review,   [D, D, O, A, D, A]),
    row("list_allowed_domains", Scope::Review, [D, D, D, A, A, A]),
    row("allow_domain",       Scope::Review,   [D, D, D, A, D, A]),
    row("disallow_domain",    Scope::Review,   [D, D, D, A, D, A]),
    row("verify",             Scope::Verify,   [D, A, A, A, A, A]),
    row("policy",             Scope::Verify,   [A, A, A, A, A, A]),
    row("checkpoint",         Scope::Verify,   [A, A, A, A, A, A]),
    row("tile",               Scope::Verify,   [A, A, A, A, A, A]),
    row("v1_checkpoint",      Scope::Verify,   [A, A, A, A, A, A]),
    row("v1_tile",            Scope::Verify,   [A, A, A, A, A, A]),
    row("stamp",              Scope::Verify,   [A, A, A, A, A, A]),
    row("list_webhooks",     Scope::Webhooks, [D, D, D, D, A, A]),
    row("create_webhook",    Scope::Webhooks, [D, D, D, D, D, A]),
    row("webhook",           Scope::Webhooks, [D, D, D, D, A, A]),
    row("change_webhook",    Scope::Webhooks, [D, D, D, D, D, A]),
    row("delete_webhook",    Scope::Webhooks, [D, D, D, D, D, A]),
    row("rotate_webhook_secret", Scope::Webhooks, [D, D, D, D, D, A]),
    row("test_webhook",      Scope::Webhooks, [D, D, D, D, D, A]),
    row("webhook_deliveries", Scope::Webhooks, [D, D, D, D, A, A]),
    row("replay_delivery",   Scope::Webhooks, [D, D, D, D, D, A]),
    row("replay_since",      Scope::Webhooks, [D, D, D, D, D, A]),
    row("healthz",            Scope::Operate,  [A, A, A, A, A, A]),
    row("readyz",             Scope::Operate,  [A, A, A, A, A, A]),
    row("openapi",            Scope::Operate,  [A, A, A, A, A, A]),
    row("metrics",            Scope::Operate,  [D, D, D, D, A, A]),
    row("setup",              Scope::Keys,     [A, A, A, A, A, A]),
    row("login",              Scope::Keys,     [A, A, A, A, A, A]),
    row("logout",             Scope::Keys,     [D, A, A, A, A, A]),
    row("me",                 Scope::Keys,     [D, A, A, A, A, A]),
    row("change_password",    Scope::Keys,     [D, A, A, A, A, A]),
    row("create_key",         Scope::Keys,     [D, O, O, O, O, A]),
    row("list_keys",          Scope::Keys,     [D, O, O, O, O, A]),
    row("revoke_key",         Scope::Keys,     [D, O, O, O, O, A]),
    row("list_actions",       Scope::Audit,    [D, D, D, D, A, A]),
    row("create_account",     Scope::Accounts, [D, D, D, D, D, A]),
    row("list_accounts",      Scope::Accounts, [D, D, D, D, D, A]),
    row("change_account",     Scope::Accounts, [D, D, D, D, D, A]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_operation_has_one_row_and_nobody_more_than_an_administrator() {
        let operations: BTreeSet<_> = PERMISSIONS.iter().map(|row| row.operation).collect();
        assert_eq!(operations.len(), PERMISSIONS.len());
        for row in PERMISSIONS {
            assert_eq!(row.access(Some(Role::Administrator)), Access::Allow, "{}", row.operation);
            assert_ne!(row.access(None), Access::Own, "{}: nobody owns anything", row.operation);
        }
    }

    #[test]
    fn an_auditor_changes_nothing_of_others() {
        let closed = ["register", "register_digests", "create_account", "change_account"];
        for operation in
            closed.into_iter().chain(["correct_claim", "withdraw_claim", "erase_claim"])
        {
            let row = permission(operation).unwrap();
            assert_eq!(row.access(Some(Role::Auditor)), Access::Deny, "{operation}");
        }
        assert!(permission("no_such").is_none());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.name().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse::<Scope>().unwrap(), scope);
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("\"{scope}\""));
            assert!(Role::Administrator.may_have(scope));
        }
        assert!("root".parse::<Role>().is_err() && "all".parse::<Scope>().is_err());
        assert!(!Role::Creator.may_have(Scope::Accounts) && Role::Creator.may_have(Scope::Read));
    }
}
