//! `timemark account …`: who may use the archive when it is served.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use timemark_accounts::{Account as Known, Accounts, Change, NewAccount, NewKey, Role, Scope};
use timemark_ingest::{Act, Engine};
use timemark_tlog::system_seconds;
use timemark_verify::Action;

use crate::open;
use crate::outcome::{Answer, legible, print_json, print_line, utc};

/// Make and change accounts for `timemark serve`; the archive must not be served meanwhile
///
/// From the first account on, the service lets nobody in without one. What is done here is entered into the log, as done by
/// the operator.
#[derive(clap::Subcommand)]
pub(crate) enum Account {
    /// Make an account, and print what opens it once within a week
    Add {
        /// What it is called
        name: String,
        /// creator, agency, reviewer, auditor or administrator
        #[arg(long)]
        role: Role,
        /// Who it works for; an agency sees what accounts of its organisation registered
        #[arg(long, value_name = "NAME")]
        organisation: Option<String>,
    },
    /// List accounts
    List {
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Make an API key for an account, and print it this once
    Key {
        /// The account's name
        name: String,
        /// What the key is called
        #[arg(long)]
        label: Option<String>,
        /// What it is for: register, read, search, verify, operate, keys, audit, accounts; all that the role may do, if none
        /// is given
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// After how many days it opens nothing
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: Option<u64>,
    },
    /// Take a key back, by its second part
    Revoke {
        /// The second part of the key
        key: String,
    },
    /// Print what opens an account once within a week, for who forgot the password
    Link {
        /// The account's name
        name: String,
    },
    /// Let nothing open an account any more
    Disable {
        /// The account's name
        name: String,
    },
    /// Let an account be opened again
    Enable {
        /// The account's name
        name: String,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    name: &'a str,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<&'a str>,
    created: String,
    disabled: bool,
}

impl Account {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let engine = open::open(archive)?;
        let accounts = open::accounts(archive)?;
        let desk = Desk { engine: &engine, accounts: &accounts, now: system_seconds() };
        self.run_at(&desk)?;
        open::settle(archive, &engine)?;
        Ok(Answer::Yes)
    }

    fn run_at(&self, desk: &Desk<'_>) -> Result<()> {
        match self {
            Account::Add { name, role, organisation } => {
                let (name, role) = (name.clone(), *role);
                let new = NewAccount { name, role, organisation: organisation.clone() };
                desk.add(new)
            }
            Account::List { json } => desk.list(*json),
            Account::Key { name, label, scopes, days } => {
                let account = desk.named(name)?;
                let expires = days.map(|days| desk.now + days * 86_400);
                let new = NewKey { label: label.clone(), scopes: scopes.clone(), expires };
                desk.act("key.create", &account.id, None)?;
                let (_, secret) = desk.accounts.create_key(&account.id, new, desk.now)?;
                print_line(&secret)
            }
            Account::Revoke { key } => {
                desk.accounts.key(key)?.context("there is no such key")?;
                desk.act("key.revoke", key, None)?;
                desk.accounts.revoke_key(key)?;
                print_line(&format!("the key {} opens nothing any more", legible(key)))
            }
            Account::Link { name } => {
                let account = desk.named(name)?;
                desk.act("account.change", &account.id, Some("login link"))?;
                desk.print_link(&account)
            }
            Account::Disable { name } => desk.disable(name, true),
            Account::Enable { name } => desk.disable(name, false),
        }
    }
}

/// What the operator works with.
struct Desk<'a> {
    engine: &'a Engine,
    accounts: &'a Accounts,
    now: u64,
}

impl Desk<'_> {
    fn add(&self, new: NewAccount) -> Result<()> {
        timemark_accounts::check(&new, None)?;
        if self.accounts.named(&new.name)?.is_some() {
            return Err(timemark_accounts::AccountsError::NameTaken.into());
        }
        self.act("account.create", &new.name, Some(&format!("as {}", new.role)))?;
        let account = self.accounts.add(new, None, self.now)?;
        print_line(&format!("made the account {} ({})", account.id, account.role))?;
        self.print_link(&account)
    }

    fn print_link(&self, account: &Known) -> Result<()> {
        let token = self.accounts.link(&account.id, self.now + LINK_SECONDS, self.now)?;
        print_line(&format!("it is opened once within a week, at /login#{token}"))
    }

    fn list(&self, json: bool) -> Result<()> {
        let mut after = String::new();
        loop {
            let page = self.accounts.list(&after, PAGE)?;
            for account in &page {
                print(account, json)?;
            }
            match page.last() {
                Some(last) => after.clone_from(&last.id),
                None => return Ok(()),
            }
        }
    }

    fn disable(&self, name: &str, disabled: bool) -> Result<()> {
        let account = self.named(name)?;
        let word = if disabled { "disabled" } else { "enabled" };
        self.act("account.change", &account.id, Some(word))?;
        let change = Change { disabled: Some(disabled), ..Change::default() };
        self.accounts.change(&account.id, &change)?;
        print_line(&format!("the account {} is {word}", account.id))
    }

    fn named(&self, name: &str) -> Result<Known> {
        self.accounts.named(name)?.context("there is no account of this name")
    }

    fn act(&self, action: &str, subject: &str, detail: Option<&str>) -> Result<()> {
        let act = Act { actor: Action::OPERATOR, action, subject: Some(subject), detail };
        self.engine.act(act)?;
        Ok(())
    }
}

fn print(account: &Known, json: bool) -> Result<()> {
    let organisation = account.organisation.as_deref();
    if json {
        return print_json(&Line {
            id: &account.id,
            name: &account.name,
            role: account.role.name(),
            organisation,
            created: utc(account.created),
            disabled: account.disabled,
        });
    }
    let of = organisation.map(|name| format!("  of {}", legible(name))).unwrap_or_default();
    let disabled = if account.disabled { "  disabled" } else { "" };
    let (id, role, name) = (&account.id, account.role, legible(&account.name));
    print_line(&format!("{id}  {role:<13}  {name}{of}{disabled}"))
}

/// How long a login link opens an account.
const LINK_SECONDS: u64 = 7 * 86_400;
/// Accounts that are read at a time.
const PAGE: usize = 100;
