//! Accounts, and what opens them: keys, login links, passwords, sessions.
//!
//! Times are given by the caller, in seconds since 1970.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::file::{ACCOUNTS, Failure, KEYS, LINKS, NAMES, SESSIONS, damaged, refused};
use crate::secret::{KEY, LINK, SESSION, check_password, fast_digest, id_in, new_id, new_secret};
use crate::{Accounts, AccountsError, Role, Scope};

/// Somebody who may use the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `acc-…`; it stands in the log for who did something.
    pub id: String,
    /// What it is called; each name once.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who it works for. An agency sees what accounts of its organisation registered.
    pub organisation: Option<String>,
    /// When it was made.
    pub created: u64,
    /// Whether nothing opens it at present.
    pub disabled: bool,
    /// How often its sessions were ended: a login that was checked before opens none afterwards.
    #[serde(default)]
    generation: u64,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Who it works for.
    pub organisation: Option<String>,
}

/// What is to be different about an account.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What it may do.
    pub role: Option<Role>,
    /// Who it works for, or that it works for nobody.
    pub organisation: Option<Option<String>>,
    /// Whether nothing is to open it.
    pub disabled: Option<bool>,
}

/// A key of an account, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The second part of the key.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// What its owner calls it.
    pub label: Option<String>,
    /// What it is for; empty is all that the role may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: u64,
    /// From when on it opens nothing.
    pub expires: Option<u64>,
}

/// A key to be made.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// What its owner calls it.
    pub label: Option<String>,
    /// What it is for; empty is all that the role may do.
    pub scopes: Vec<Scope>,
    /// From when on it opens nothing.
    pub expires: Option<u64>,
}

/// An account as it is kept.
#[derive(Serialize, Deserialize)]
struct KeptAccount {
    #[serde(flatten)]
    account: Account,
    /// The argon2id digest.
    password: Option<String>,
}

/// A key as it is kept.
#[derive(Serialize, Deserialize)]
struct KeptKey {
    #[serde(flatten)]
    key: Key,
    /// The argon2id digest of the whole key.
    digest: String,
}

/// A login link.
#[derive(Serialize, Deserialize)]
struct KeptLink {
    account: String,
    digest: String,
    expires: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptSession {
    account: String,
    expires: u64,
}

impl Accounts {
    /// Makes an account. Without a password nothing opens it yet.
    pub fn add(
        &self,
        new: NewAccount,
        password: Option<&str>,
        now: u64,
    ) -> Result<Account, AccountsError> {
        check(&new, password)?;
        let password = password.map(|password| self.slow.digest(password)).transpose()?;
        let NewAccount { name, role, organisation } = new;
        let id = format!("acc-{}", new_id()?);
        let (created, disabled, generation) = (now, false, 0);
        let account = Account { id, name, role, organisation, created, disabled, generation };
        self.write(|tables| {
            let mut names = tables.open_table(NAMES)?;
            if names.get(&*account.name)?.is_some() {
                return Err(refused(AccountsError::NameTaken));
            }
            names.insert(&*account.name, &*account.id)?;
            put_account(tables, &KeptAccount { account: account.clone(), password })
        })?;
        self.note_any();
        Ok(account)
    }

    /// The account of this id.
    pub fn account(&self, id: &str) -> Result<Option<Account>, AccountsError> {
        self.read(|tables| Ok(account_in(tables, id)?.map(|kept| kept.account)))
    }

    /// The account of this name.
    pub fn named(&self, name: &str) -> Result<Option<Account>, AccountsError> {
        self.read(|tables| Ok(named_in(tables, name)?.map(|kept| kept.account)))
    }

    /// Accounts in the order of their ids, from the one after `after` on.
    pub fn list(&self, after: &str, most: usize) -> Result<Vec<Account>, AccountsError> {
        self.read(|tables| {
            let table = tables.open_table(ACCOUNTS)?;
            let rows = table
                .range(after..)?
                .filter(|row| row.as_ref().map_or(true, |(id, _)| id.value() != after));
            rows.take(most).map(|row| Ok(parse::<KeptAccount>(row?.1.value())?.account)).collect()
        })
    }

    /// The ids of the accounts of an organisation.
    pub fn of_organisation(&self, organisation: &str) -> Result<Vec<String>, AccountsError> {
        self.read(|tables| {
            let mut ids = Vec::new();
            for row in tables.open_table(ACCOUNTS)?.iter()? {
                let account = parse::<KeptAccount>(row?.1.value())?.account;
                if account.organisation.as_deref() == Some(organisation) {
                    ids.push(account.id);
                }
            }
            Ok(ids)
        })
    }

    /// Whether this is the password of an account, or it has none.
    pub fn password_is(&self, id: &str, password: Option<&str>) -> Result<bool, AccountsError> {
        let kept = self.read(|tables| account_in(tables, id))?;
        let kept = kept.ok_or(AccountsError::Unknown("account"))?;
        Ok(kept.password.is_none_or(|digest| {
            password.is_some_and(|password| self.slow.is(password, Some(&digest)))
        }))
    }

    /// Changes an account. One that is disabled loses its sessions and login links; its keys open nothing until it is
    /// enabled again.
    pub fn change(&self, id: &str, change: &Change) -> Result<Account, AccountsError> {
        change.check()?;
        self.write(|tables| {
            let mut kept = account_for(tables, id)?;
            let was = is_ruling(&kept.account);
            if let Some(organisation) = &change.organisation {
                kept.account.organisation.clone_from(organisation);
            }
            kept.account.role = change.role.unwrap_or(kept.account.role);
            kept.account.disabled = change.disabled.unwrap_or(kept.account.disabled);
            if kept.account.disabled {
                close_all(tables, &mut kept.account)?;
            }
            put_account(tables, &kept)?;
            if was && !is_ruling(&kept.account) && !any_ruling(tables)? {
                return Err(refused(AccountsError::LastAdministrator));
            }
            Ok(kept.account)
        })
    }

    /// Sets the password of an account, and ends its sessions and links.
    pub fn set_password(&self, id: &str, password: &str) -> Result<Account, AccountsError> {
        check_password(password)?;
        let digest = self.slow.digest(password)?;
        self.write(|tables| {
            let mut kept = account_for(tables, id)?;
            kept.password = Some(digest);
            close_all(tables, &mut kept.account)?;
            put_account(tables, &kept)?;
            Ok(kept.account)
        })
    }

    /// The account that a name and its password open.
    pub fn by_password(&self, name: &str, word: &str) -> Result<Option<Account>, AccountsError> {
        let kept = self.read(|tables| named_in(tables, name))?;
        let digest = kept.as_ref().and_then(|kept| kept.password.as_deref());
        let is_right = self.slow.is(word, digest);
        Ok(kept.map(|kept| kept.account).filter(|account| is_right && !account.disabled))
    }

    /// A secret that opens the account once, until then. Links that ran out are cleared away.
    pub fn link(&self, account: &str, expires: u64, now: u64) -> Result<String, AccountsError> {
        let (id, secret) = new_secret(LINK)?;
        let digest = self.slow.digest(&secret)?;
        let link = KeptLink { account: account.to_owned(), digest, expires };
        self.write(|tables| {
            account_for(tables, account)?;
            let mut links = tables.open_table(LINKS)?;
            links.retain(|_, kept| parse::<KeptLink>(kept).is_ok_and(|kept| kept.expires > now))?;
            links.insert(&*id, &*json(&link)?)?;
            Ok(())
        })?;
        Ok(secret)
    }

    /// Whether there is a link of the id in this, whatever the rest of it.
    pub fn has_link(&self, secret: &str) -> Result<bool, AccountsError> {
        let id = id_in(secret, LINK).unwrap_or_default();
        self.read(|tables| Ok(tables.open_table(LINKS)?.get(id)?.is_some()))
    }

    /// The account that a link opens, which it does not do again. What is no link takes as long.
    pub fn by_link(&self, secret: &str, now: u64) -> Result<Option<Account>, AccountsError> {
        let id = id_in(secret, LINK).unwrap_or_default();
        let digest = self.read(|tables| {
            let links = tables.open_table(LINKS)?;
            links.get(id)?.map(|link| Ok(parse::<KeptLink>(link.value())?.digest)).transpose()
        })?;
        if !self.slow.is(secret, digest.as_deref()) {
            return Ok(None);
        }
        self.write(|tables| {
            // Of two who come with it at once, one finds it here.
            let Some(link) = tables.open_table(LINKS)?.remove(id)?.map(|l| parse(l.value())) else {
                return Ok(None);
            };
            let KeptLink { account, expires, .. } = link?;
            let account = account_for(tables, &account)?.account;
            Ok(Some(account).filter(|account| now < expires && !account.disabled))
        })
    }

    /// Makes a key, and the secret that is shown this once.
    pub fn create_key(
        &self,
        account: &str,
        new: NewKey,
        now: u64,
    ) -> Result<(Key, String), AccountsError> {
        let NewKey { label, mut scopes, expires } = new;
        label.iter().try_for_each(|label| check_name("label", label))?;
        scopes.sort_unstable();
        scopes.dedup();
        if expires.is_some_and(|expires| expires <= now) {
            return Err(AccountsError::Bad("a key expires later than now".to_owned()));
        }
        let (id, secret) = new_secret(KEY)?;
        let digest = self.slow.digest(&secret)?;
        let account = account.to_owned();
        let key = Key { id, account, label, scopes, created: now, expires };
        self.write(|tables| {
            let role = account_for(tables, &key.account)?.account.role;
            if let Some(scope) = key.scopes.iter().find(|scope| !role.may_have(**scope)) {
                let words = format!("a key of an account of the role {role} is not for {scope}");
                return Err(refused(AccountsError::Bad(words)));
            }
            let mut keys = tables.open_table(KEYS)?;
            let mut of_account = 0;
            for row in keys.iter()? {
                of_account +=
                    usize::from(parse::<KeptKey>(row?.1.value())?.key.account == key.account);
            }
            if of_account >= KEYS_MAX {
                let words = format!("an account has at most {KEYS_MAX} keys");
                return Err(refused(AccountsError::Bad(words)));
            }
            keys.insert(&*key.id, &*json(&KeptKey { key: key.clone(), digest })?)?;
            Ok(())
        })?;
        Ok((key, secret))
    }

    /// The keys of an account.
    pub fn keys(&self, account: &str) -> Result<Vec<Key>, AccountsError> {
        self.read(|tables| {
            let mut keys = Vec::new();
            for row in tables.open_table(KEYS)?.iter()? {
                keys.push(parse::<KeptKey>(row?.1.value())?.key);
            }
            keys.retain(|key| key.account == account);
            keys.sort_by_key(|key| key.created);
            Ok(keys)
        })
    }

    /// The key of this id.
    pub fn key(&self, id: &str) -> Result<Option<Key>, AccountsError> {
        self.read(|tables| Ok(key_in(tables, id)?.map(|kept| kept.key)))
    }

    /// Takes a key back, for good. Returns whether it was there.
    pub fn revoke_key(&self, id: &str) -> Result<bool, AccountsError> {
        let was = self.write(|tables| Ok(tables.open_table(KEYS)?.remove(id)?.is_some()))?;
        self.remembered.forget(id);
        Ok(was)
    }

    /// Whether there is a key of the id in this, whatever the rest of it.
    pub fn has_key(&self, secret: &str) -> Result<bool, AccountsError> {
        Ok(self.key(id_in(secret, KEY).unwrap_or_default())?.is_some())
    }

    /// Whether this was found right lately, so that [`Accounts::by_key`] needs no slow digest for it. It never blocks long.
    pub fn remembers(&self, secret: &str) -> bool {
        id_in(secret, KEY).is_some_and(|id| self.remembered.is(secret, id))
    }

    /// The account that a key opens now, and the key. What is no key takes as long.
    pub fn by_key(&self, secret: &str, now: u64) -> Result<Option<(Account, Key)>, AccountsError> {
        let Some(id) = id_in(secret, KEY) else { return Ok(None) };
        let found = self.read(|tables| {
            let Some(KeptKey { key, digest }) = key_in(tables, id)? else { return Ok(None) };
            Ok(account_in(tables, &key.account)?.map(|kept| (kept.account, key, digest)))
        })?;
        let digest = found.as_ref().map(|(.., digest)| &**digest);
        if !self.remembered.is(secret, id) {
            if !self.slow.is(secret, digest) {
                return Ok(None);
            }
            self.remembered.remember(secret, id);
        }
        Ok(found.map(|(account, key, _)| (account, key)).filter(|(account, key)| {
            !account.disabled && key.expires.is_none_or(|expires| now < expires)
        }))
    }

    /// Begins a session, and gives its secret; none where the account was disabled, or its sessions were ended, since it was
    /// read. Sessions that ran out are cleared away.
    pub fn open_session(
        &self,
        account: &Account,
        expires: u64,
        now: u64,
    ) -> Result<Option<String>, AccountsError> {
        let (_, secret) = new_secret(SESSION)?;
        let session = KeptSession { account: account.id.clone(), expires };
        self.write(|tables| {
            let present = account_for(tables, &account.id)?.account;
            if present.disabled || present.generation != account.generation {
                return Ok(None);
            }
            let mut sessions = tables.open_table(SESSIONS)?;
            sessions.retain(|_, kept| {
                parse::<KeptSession>(kept).is_ok_and(|kept| kept.expires > now)
            })?;
            sessions.insert(&fast_digest(&secret), &*json(&session)?)?;
            Ok(Some(secret))
        })
    }

    /// The account that a session opens now.
    pub fn by_session(&self, secret: &str, now: u64) -> Result<Option<Account>, AccountsError> {
        self.read(|tables| {
            let sessions = tables.open_table(SESSIONS)?;
            let Some(kept) = sessions.get(&fast_digest(secret))? else { return Ok(None) };
            let KeptSession { account, expires } = parse(kept.value())?;
            let account = account_in(tables, &account)?.map(|kept| kept.account);
            Ok(account.filter(|account| now < expires && !account.disabled))
        })
    }

    /// Ends a session.
    pub fn close_session(&self, secret: &str) -> Result<(), AccountsError> {
        self.write(|tables| {
            tables.open_table(SESSIONS)?.remove(&fast_digest(secret))?;
            Ok(())
        })
    }
}

impl Change {
    /// Whether an account could be changed so.
    pub fn check(&self) -> Result<(), AccountsError> {
        self.organisation.iter().flatten().try_for_each(|name| check_name("organisation", name))
    }
}

/// Whether an account could be made: its names and its password are such.
pub fn check(new: &NewAccount, password: Option<&str>) -> Result<(), AccountsError> {
    check_name("name", &new.name)?;
    new.organisation.iter().try_for_each(|name| check_name("organisation", name))?;
    password.map_or(Ok(()), check_password)
}

/// Whether an account may change accounts.
fn is_ruling(account: &Account) -> bool {
    account.role == Role::Administrator && !account.disabled
}

fn any_ruling(tables: &WriteTransaction) -> Result<bool, Failure> {
    for row in tables.open_table(ACCOUNTS)?.iter()? {
        if is_ruling(&parse::<KeptAccount>(row?.1.value())?.account) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ends the sessions and login links of an account, and the logins that are under way.
fn close_all(tables: &WriteTransaction, account: &mut Account) -> Result<(), Failure> {
    account.generation += 1;
    let mut sessions = tables.open_table(SESSIONS)?;
    sessions.retain(|_, kept| {
        parse::<KeptSession>(kept).is_ok_and(|kept| kept.account != account.id)
    })?;
    let mut links = tables.open_table(LINKS)?;
    links.retain(|_, kept| parse::<KeptLink>(kept).is_ok_and(|kept| kept.account != account.id))?;
    Ok(())
}

fn account_in(tables: &ReadTransaction, id: &str) -> Result<Option<KeptAccount>, Failure> {
    tables.open_table(ACCOUNTS)?.get(id)?.map(|kept| parse(kept.value())).transpose()
}

fn named_in(tables: &ReadTransaction, name: &str) -> Result<Option<KeptAccount>, Failure> {
    let names = tables.open_table(NAMES)?;
    names.get(name)?.map_or(Ok(None), |id| account_in(tables, id.value()))
}

fn key_in(tables: &ReadTransaction, id: &str) -> Result<Option<KeptKey>, Failure> {
    tables.open_table(KEYS)?.get(id)?.map(|kept| parse(kept.value())).transpose()
}

/// The account that is about to be changed.
fn account_for(tables: &WriteTransaction, id: &str) -> Result<KeptAccount, Failure> {
    let kept = tables.open_table(ACCOUNTS)?.get(id)?.map(|kept| parse(kept.value())).transpose()?;
    kept.ok_or_else(|| refused(AccountsError::Unknown("account")))
}

fn put_account(tables: &WriteTransaction, kept: &KeptAccount) -> Result<(), Failure> {
    tables.open_table(ACCOUNTS)?.insert(&*kept.account.id, &*json(kept)?)?;
    Ok(())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(damaged)
}

fn parse<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(damaged)
}

/// A name is one line that a person can read: it is shown to others, and two of them must not look the same.
fn check_name(what: &str, name: &str) -> Result<(), AccountsError> {
    let plain = name.trim() == name && !name.chars().any(is_hidden);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !plain {
        let words = format!("a {what} has 1 to {NAME_BYTES_MAX} bytes, no spaces at its ends");
        return Err(AccountsError::Bad(format!("{words}, and nothing that cannot be seen")));
    }
    Ok(())
}

/// Control characters, and those that are not seen or reorder others.
fn is_hidden(c: char) -> bool {
    let ranges = ['\u{200B}'..='\u{200F}', '\u{2028}'..='\u{202E}', '\u{2060}'..='\u{206F}'];
    c.is_control() || c == '\u{AD}' || c == '\u{FEFF}' || ranges.iter().any(|r| r.contains(&c))
}

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 200;
/// Keys that an account may have at a time.
const KEYS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 2_000_000_000;

    fn accounts() -> (tempfile::TempDir, Accounts) {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        (dir, accounts)
    }

    fn add(accounts: &Accounts, name: &str, role: Role) -> Account {
        let new = NewAccount { name: name.to_owned(), role, organisation: None };
        accounts.add(new, None, NOW).unwrap()
    }

    #[test]
    fn what_was_made_is_there_after_a_restart_and_holds_no_secret() {
        let (dir, accounts) = accounts();
        assert!(!accounts.any());
        let mei = add(&accounts, "Mei 梅", Role::Creator);
        let (key, secret) = accounts.create_key(&mei.id, NewKey::default(), NOW).unwrap();
        let session = accounts.open_session(&mei, NOW + 10, NOW).unwrap().unwrap();
        let link = accounts.link(&mei.id, NOW + 10, NOW).unwrap();
        let mei = accounts.set_password(&mei.id, "a long password").unwrap();
        assert!(matches!(Accounts::open(dir.path()), Err(AccountsError::InUse { .. })));
        drop(accounts);
        let file = dir.path().join(Accounts::FILE);
        let bytes = std::fs::read(&file).unwrap();
        for secret in [&secret[4..], &session[4..], &link[4..], "a long password"] {
            let tail = &secret.as_bytes()[secret.len() - 15..];
            assert!(!bytes.windows(15).any(|window| window == tail), "{secret}");
        }
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let accounts = Accounts::open(dir.path()).unwrap();
        assert!(accounts.any());
        assert_eq!(accounts.named("Mei 梅").unwrap(), Some(mei.clone()));
        assert_eq!(accounts.by_key(&secret, NOW).unwrap(), Some((mei.clone(), key)));
        assert_eq!(accounts.by_password("Mei 梅", "a long password").unwrap(), Some(mei));
        assert_eq!(accounts.by_session(&session, NOW).unwrap(), None, "a new password ends them");
        assert_eq!(accounts.by_link(&link, NOW).unwrap(), None);
    }

    #[test]
    fn a_key_opens_until_it_expires_or_is_revoked_or_its_account_is_disabled() {
        let (_dir, accounts) = accounts();
        add(&accounts, "root", Role::Administrator);
        let mei = add(&accounts, "mei", Role::Creator);
        let new = NewKey { expires: Some(NOW + 10), ..NewKey::default() };
        let (key, secret) = accounts.create_key(&mei.id, new, NOW).unwrap();
        let opens = |secret: &str, now| accounts.by_key(secret, now).unwrap().is_some();
        for _ in 0..2 {
            assert!(opens(&secret, NOW) && opens(&secret, NOW + 9), "remembered as well");
            assert!(!opens(&secret, NOW + 10));
        }
        let mut wrong = secret.clone();
        wrong.replace_range(secret.len() - 2.., if secret.ends_with("AA") { "BB" } else { "AA" });
        assert!(!opens(&wrong, NOW) && !opens("", NOW) && !opens(&secret[..40], NOW));
        let change = |disabled| Change { disabled: Some(disabled), ..Change::default() };
        accounts.change(&mei.id, &change(true)).unwrap();
        assert!(!opens(&secret, NOW));
        accounts.change(&mei.id, &change(false)).unwrap();
        assert!(opens(&secret, NOW));
        assert!(accounts.revoke_key(&key.id).unwrap() && !accounts.revoke_key(&key.id).unwrap());
        assert!(!opens(&secret, NOW));
        assert_eq!(accounts.keys(&mei.id).unwrap(), []);
    }

    #[test]
    fn a_key_is_for_no_more_than_its_account_may_do() {
        let (_dir, accounts) = accounts();
        let mei = add(&accounts, "mei", Role::Creator);
        let of = |scopes: &[Scope]| NewKey { scopes: scopes.to_vec(), ..NewKey::default() };
        let (key, _) = accounts
            .create_key(&mei.id, of(&[Scope::Read, Scope::Register, Scope::Read]), NOW)
            .unwrap();
        assert_eq!(key.scopes, [Scope::Register, Scope::Read]);
        for bad in [of(&[Scope::Accounts]), NewKey { expires: Some(NOW), ..NewKey::default() }] {
            let made = accounts.create_key(&mei.id, bad, NOW);
            assert!(matches!(made, Err(AccountsError::Bad(_))));
        }
        let nobody = accounts.create_key("acc-x", NewKey::default(), NOW);
        assert!(matches!(nobody, Err(AccountsError::Unknown("account"))));
    }

    #[test]
    fn a_link_opens_once_and_a_session_until_it_ends() {
        let (_dir, accounts) = accounts();
        let mei = add(&accounts, "mei", Role::Creator);
        let link = accounts.link(&mei.id, NOW + 10, NOW).unwrap();
        assert_eq!(accounts.by_link(&link, NOW + 9).unwrap(), Some(mei.clone()));
        assert_eq!(accounts.by_link(&link, NOW).unwrap(), None);
        let late = accounts.link(&mei.id, NOW + 10, NOW).unwrap();
        assert_eq!(accounts.by_link(&late, NOW + 10).unwrap(), None);
        assert_eq!(accounts.by_link("tml_x", NOW).unwrap(), None);
        let both = accounts.link(&mei.id, NOW + 10, NOW).unwrap();
        let opened = std::thread::scope(|scope| {
            let open = || scope.spawn(|| accounts.by_link(&both, NOW).unwrap().is_some());
            [open(), open(), open()].map(|opening| opening.join().unwrap())
        });
        assert_eq!(opened.iter().filter(|opened| **opened).count(), 1);

        let session = accounts.open_session(&mei, NOW + 10, NOW).unwrap().unwrap();
        let is_open = |now| accounts.by_session(&session, now).unwrap().is_some();
        assert!(is_open(NOW + 9) && !is_open(NOW + 10));
        accounts.close_session(&session).unwrap();
        assert!(!is_open(NOW));
    }

    #[test]
    fn a_login_that_was_checked_before_the_account_was_closed_opens_no_session() {
        let (_dir, accounts) = accounts();
        add(&accounts, "root", Role::Administrator);
        let mei = add(&accounts, "mei", Role::Creator);
        let word = "a long password";
        accounts.set_password(&mei.id, word).unwrap();
        let checked = || accounts.by_password("mei", word).unwrap().unwrap();
        let opens =
            |account: &Account| accounts.open_session(account, NOW + 10, NOW).unwrap().is_some();
        let before = checked();
        assert!(opens(&before));
        let link = accounts.link(&mei.id, NOW + 10, NOW).unwrap();
        let is_disabled = |is| Change { disabled: Some(is), ..Change::default() };
        accounts.change(&mei.id, &is_disabled(true)).unwrap();
        assert!(!opens(&before));
        accounts.change(&mei.id, &is_disabled(false)).unwrap();
        assert!(!opens(&before), "it is another login that is open again");
        assert!(!accounts.has_link(&link).unwrap(), "links end with it");
        let before = checked();
        let after = accounts.set_password(&mei.id, "another password").unwrap();
        assert!(!opens(&before) && opens(&after));
    }

    #[test]
    fn what_is_remembered_of_a_key_is_not_lost_to_the_revocation_of_another() {
        let (_dir, accounts) = accounts();
        let mei = add(&accounts, "mei", Role::Creator);
        let make = || accounts.create_key(&mei.id, NewKey::default(), NOW).unwrap();
        let ((one, first), (_, second)) = (make(), make());
        for secret in [&first, &second] {
            assert!(!accounts.remembers(secret));
            accounts.by_key(secret, NOW).unwrap().unwrap();
            assert!(accounts.remembers(secret) && accounts.has_key(secret).unwrap());
        }
        accounts.revoke_key(&one.id).unwrap();
        assert!(!accounts.remembers(&first) && accounts.remembers(&second));
        assert!(!accounts.has_key(&first).unwrap());
        assert!(!accounts.remembers("") && !accounts.has_key("").unwrap());
    }

    #[test]
    fn somebody_is_left_who_may_change_accounts() {
        let (_dir, accounts) = accounts();
        let first = add(&accounts, "first", Role::Administrator);
        let demoted = Change { role: Some(Role::Auditor), ..Change::default() };
        let disabled = Change { disabled: Some(true), ..Change::default() };
        for change in [&demoted, &disabled] {
            let refused = accounts.change(&first.id, change);
            assert!(matches!(refused, Err(AccountsError::LastAdministrator)));
            assert_eq!(accounts.account(&first.id).unwrap().unwrap(), first);
        }
        let second = add(&accounts, "second", Role::Administrator);
        accounts.change(&first.id, &disabled).unwrap();
        assert!(accounts.change(&second.id, &demoted).is_err(), "the other one is disabled");
    }

    #[test]
    fn names_are_taken_once_and_can_be_read() {
        let (_dir, accounts) = accounts();
        add(&accounts, "mei", Role::Creator);
        let new = |name: &str| NewAccount {
            name: name.to_owned(),
            role: Role::Creator,
            organisation: None,
        };
        assert!(matches!(accounts.add(new("mei"), None, NOW), Err(AccountsError::NameTaken)));
        for bad in ["", " mei", "mei\n", "m\u{202E}ei", "me\u{200B}i", &"x".repeat(201)] {
            assert!(
                matches!(accounts.add(new(bad), None, NOW), Err(AccountsError::Bad(_))),
                "{bad:?}"
            );
        }
        assert_eq!(accounts.by_password("nobody", "a long password").unwrap(), None);
        (0..5).for_each(|i| drop(add(&accounts, &format!("n{i}"), Role::Reviewer)));
        let first = accounts.list("", 4).unwrap();
        let rest = accounts.list(&first[3].id, 10).unwrap();
        assert_eq!((first.len(), rest.len()), (4, 2));
    }
}
