//! Who registered which entry of the log.
//!
//! An entry gets its number in the log, and only then can be noted here: a crash in between would leave a creator without
//! the work. So what is about to be registered is noted first, durably ([`Accounts::intend`]); whatever is still noted at
//! the next start is looked for in the log. The note of the owner itself need not be durable then. Where the file has to be
//! opened again because its disk failed, what was noted since the last flush is noted anew ([`Said`]).

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Database, Durability, ReadableTable, ReadableTableMetadata, WriteTransaction};

use crate::file::{Failure, INTENDED, OWNED, OWNED_OF, OWNERS};
use crate::{Accounts, AccountsError};

/// What somebody was about to register when the service ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intention {
    /// SHA-256 of the work.
    pub content: [u8; 32],
    /// Who claims it; empty where nobody is named.
    pub claimant: String,
    /// Who was about to.
    pub account: String,
    /// How many entries the log had: earlier ones are not of this intention.
    pub size: u64,
}

/// An entry of the log, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Possession {
    /// The number of the entry.
    pub index: u64,
    /// Whose it is.
    pub account: String,
    /// SHA-256 of the work.
    pub content: [u8; 32],
}

/// Whose an entry turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Of the account that registered it, now or before.
    Own,
    /// Of another one, or of nobody.
    Foreign,
}

/// What a registration came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// An entry of its own.
    New(u64),
    /// An entry that was there.
    Known(u64),
    /// An entry that was there and amends a claim: it is of whoever has that claim, and of nobody where that is nobody's.
    Amendment(u64),
}

impl Accounts {
    /// Notes that an account is about to register a work. Durable when it returns.
    pub fn intend(&self, intention: &Intention) -> Result<(), AccountsError> {
        let Intention { content, claimant, account, size } = intention;
        self.write(|tables| {
            let mut intended = tables.open_table(INTENDED)?;
            let key = (content, &**claimant, &**account);
            // The earliest says since when.
            if intended.get(key)?.is_none() {
                intended.insert(key, size)?;
            }
            Ok(())
        })
    }

    /// Says what came of an intention: an entry, or nothing.
    pub fn registered(
        &self,
        intention: &Intention,
        entry: Option<Entered>,
    ) -> Result<Owned, AccountsError> {
        let Intention { content, claimant, account, size } = intention;
        self.commit(|tables| {
            tables.set_durability(Durability::None)?;
            let mut intended = tables.open_table(INTENDED)?;
            let noted = intended.remove((content, &**claimant, &**account))?;
            let since = noted.map_or(*size, |size| size.value());
            let mut becomes = None;
            let owned = match entry {
                None => Owned::Foreign,
                Some(entered) => {
                    let (Entered::New(index) | Entered::Known(index) | Entered::Amendment(index)) =
                        entered;
                    let is_new = matches!(entered, Entered::New(_));
                    let amends = matches!(entered, Entered::Amendment(_));
                    // An entry that was there may be that of another account which has not said so yet.
                    let mut others = intended.range((content, &**claimant, "")..)?;
                    let other = others
                        .next()
                        .transpose()?
                        .map(|(key, _)| key.value().0 == content && key.value().1 == claimant);
                    let may_be_theirs = !is_new && other == Some(true);
                    let owners = tables.open_table(OWNERS)?;
                    let owner = owners.get(index)?.map(|owner| owner.value().to_owned());
                    drop(owners);
                    match owner {
                        Some(owner) if owner == *account => Owned::Own,
                        None if index >= since && !may_be_theirs && !amends => {
                            own(tables, index, account, content)?;
                            becomes = Some(index);
                            Owned::Own
                        }
                        _ => Owned::Foreign,
                    }
                }
            };
            self.said.add(Note { intention: intention.clone(), becomes });
            Ok(owned)
        })
    }

    /// Of claims and the entries by which they were amended, in ascending order: which of these nobody has although the
    /// claim is somebody's, and whose they are then. Whoever has the claim has what became of it, whoever made it so.
    pub fn heirs(&self, amendments: &[(u64, u64)]) -> Result<Vec<(u64, String)>, AccountsError> {
        self.read(|tables| {
            let owners = tables.open_table(OWNERS)?;
            let mut found = BTreeMap::<u64, String>::new();
            for (claim, by) in amendments {
                if owners.get(by)?.is_some() {
                    continue;
                }
                let owner = match found.get(claim) {
                    Some(owner) => Some(owner.clone()),
                    None => owners.get(claim)?.map(|owner| owner.value().to_owned()),
                };
                found.extend(owner.map(|owner| (*by, owner)));
            }
            Ok(found.into_iter().collect())
        })
    }

    /// Notes whose entries are that are nobody's yet. Durable when it returns.
    pub fn own(&self, entries: &[Possession]) -> Result<(), AccountsError> {
        self.write(|tables| {
            for Possession { index, account, content } in entries {
                if tables.open_table(OWNERS)?.get(index)?.is_none() {
                    own(tables, *index, account, content)?;
                }
            }
            Ok(())
        })
    }

    /// Every entry and whose it is, where they cannot be found by their works yet: those of a file from before that.
    pub fn not_found_by_works(&self) -> Result<Vec<(u64, String)>, AccountsError> {
        self.read(|tables| {
            let owned = tables.open_table(OWNED)?;
            if owned.len()? == tables.open_table(OWNED_OF)?.len()? {
                return Ok(Vec::new());
            }
            let rows = owned.iter()?.map(|row| {
                let (key, _) = row?;
                let (account, index) = key.value();
                Ok((index, account.to_owned()))
            });
            rows.collect()
        })
    }

    /// Has entries be found by their works from now on.
    pub fn find_by_works(&self, entries: &[Possession]) -> Result<(), AccountsError> {
        self.write(|tables| {
            let mut owned_of = tables.open_table(OWNED_OF)?;
            for Possession { index, account, content } in entries {
                owned_of.insert((&**account, content, *index), ())?;
            }
            Ok(())
        })
    }

    /// What was about to be registered and of which nothing was said since.
    pub fn intentions(&self) -> Result<Vec<Intention>, AccountsError> {
        self.read(|tables| {
            let mut found = Vec::new();
            for row in tables.open_table(INTENDED)?.iter()? {
                let (key, size) = row?;
                let (content, claimant, account) = key.value();
                found.push(Intention {
                    content: *content,
                    claimant: claimant.to_owned(),
                    account: account.to_owned(),
                    size: size.value(),
                });
            }
            Ok(found)
        })
    }

    /// The account that registered an entry.
    pub fn owner(&self, index: u64) -> Result<Option<String>, AccountsError> {
        self.read(|tables| {
            let owners = tables.open_table(OWNERS)?;
            Ok(owners.get(index)?.map(|owner| owner.value().to_owned()))
        })
    }

    /// Which of these entries are of one of these accounts.
    pub fn owned_among(
        &self,
        accounts: &BTreeSet<String>,
        entries: &[u64],
    ) -> Result<HashSet<u64>, AccountsError> {
        self.read(|tables| {
            let owners = tables.open_table(OWNERS)?;
            let mut found = HashSet::new();
            for index in entries {
                let owner = owners.get(index)?;
                if owner.is_some_and(|owner| accounts.contains(owner.value())) {
                    found.insert(*index);
                }
            }
            Ok(found)
        })
    }

    /// The entries of an account that are about one work, from an index on, oldest first.
    pub fn owned_of(
        &self,
        account: &str,
        content: &[u8; 32],
        from: u64,
        most: usize,
    ) -> Result<Vec<u64>, AccountsError> {
        self.read(|tables| {
            let owned_of = tables.open_table(OWNED_OF)?;
            let rows = owned_of.range((account, content, from)..=(account, content, u64::MAX))?;
            rows.take(most).map(|row| Ok(row?.0.value().2)).collect()
        })
    }

    /// The newest entries that an account registered, below `before`, newest first.
    pub fn owned(
        &self,
        account: &str,
        before: u64,
        most: usize,
    ) -> Result<Vec<u64>, AccountsError> {
        self.read(|tables| {
            let owned = tables.open_table(OWNED)?;
            let rows = owned.range((account, 0)..(account, before))?.rev().take(most);
            rows.map(|row| Ok(row?.0.value().1)).collect()
        })
    }
}

/// Notes whose an entry is, in every table.
fn own(
    tables: &WriteTransaction,
    index: u64,
    account: &str,
    content: &[u8; 32],
) -> Result<(), Failure> {
    tables.open_table(OWNERS)?.insert(index, account)?;
    tables.open_table(OWNED)?.insert((account, index), ())?;
    tables.open_table(OWNED_OF)?.insert((account, content, index), ())?;
    Ok(())
}

/// What was said of intentions since the last flush, in memory: the file has it, but its disk may not.
#[derive(Default)]
pub(crate) struct Said(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    /// The number of the newest.
    newest: u64,
    notes: VecDeque<(u64, Note)>,
}

struct Note {
    intention: Intention,
    /// The entry that is the account's from now on.
    becomes: Option<u64>,
}

impl Note {
    fn put(&self, tables: &WriteTransaction) -> Result<(), Failure> {
        let Intention { content, claimant, account, .. } = &self.intention;
        tables.open_table(INTENDED)?.remove((content, &**claimant, &**account))?;
        if let Some(index) = self.becomes {
            own(tables, index, account, content)?;
        }
        Ok(())
    }
}

impl Said {
    /// For whoever changes the file: one at a time.
    fn add(&self, note: Note) {
        let mut notes = self.lock();
        notes.newest += 1;
        let number = notes.newest;
        notes.notes.push_back((number, note));
    }

    /// The number of the newest, which whoever is about to flush knows to be in the file.
    pub fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// Forgets those up to this number: they are flushed.
    pub fn forget(&self, flushed: u64) {
        self.lock().notes.retain(|(number, _)| *number > flushed);
    }

    /// Says it all again, in a file that was opened again.
    pub fn say_again(&self, database: &Database) -> Result<(), Failure> {
        let notes = self.lock();
        if notes.notes.is_empty() {
            return Ok(());
        }
        let mut tables = database.begin_write()?;
        // A disk that is still full takes this as well.
        tables.set_durability(Durability::None)?;
        for (_, note) in &notes.notes {
            note.put(&tables)?;
        }
        Ok(tables.commit()?)
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intention(account: &str, size: u64) -> Intention {
        let (claimant, account) = ("Mei".to_owned(), account.to_owned());
        Intention { content: [7; 32], claimant, account, size }
    }

    #[test]
    fn an_entry_is_of_who_registered_it_first() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        let (mine, other) = (intention("a", 10), intention("b", 10));
        accounts.intend(&mine).unwrap();
        accounts.intend(&other).unwrap();
        let not_yet = accounts.registered(&other, Some(Entered::Known(10))).unwrap();
        assert_eq!(not_yet, Owned::Foreign, "who comes second is not told to be first");
        accounts.intend(&other).unwrap();
        assert_eq!(accounts.registered(&mine, Some(Entered::New(10))).unwrap(), Owned::Own);
        assert_eq!(accounts.registered(&other, Some(Entered::Known(10))).unwrap(), Owned::Foreign);
        assert_eq!(accounts.owner(10).unwrap(), Some("a".to_owned()));
        accounts.intend(&intention("a", 11)).unwrap();
        assert_eq!(
            accounts.registered(&intention("a", 11), Some(Entered::Known(10))).unwrap(),
            Owned::Own
        );
        // What was in the log before there were accounts is nobody's.
        accounts.intend(&intention("b", 11)).unwrap();
        assert_eq!(
            accounts.registered(&intention("b", 11), Some(Entered::Known(3))).unwrap(),
            Owned::Foreign
        );
        assert_eq!(accounts.owner(3).unwrap(), None);
        assert_eq!(accounts.intentions().unwrap(), []);
    }

    #[test]
    fn an_amendment_is_never_given_to_who_registers_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        accounts.registered(&intention("a", 0), Some(Entered::New(9))).unwrap();
        // Somebody else was about to register the same before 9 was corrected by 10, which nobody has inherited yet.
        for amended_by in [10, 11] {
            accounts.intend(&intention("b", 10)).unwrap();
            let entered = Some(Entered::Amendment(amended_by));
            let owned = accounts.registered(&intention("b", 10), entered).unwrap();
            assert_eq!(owned, Owned::Foreign);
            assert_eq!(accounts.owner(amended_by).unwrap(), None);
        }
        let [(index, account)] = &accounts.heirs(&[(9, 10), (8, 11)]).unwrap()[..] else {
            panic!()
        };
        assert_eq!((*index, &**account), (10, "a"), "what amends nobody's claim stays nobody's");
        accounts
            .own(&[Possession { index: 10, account: "a".to_owned(), content: [7; 32] }])
            .unwrap();
        let own = accounts.registered(&intention("a", 10), Some(Entered::Amendment(10))).unwrap();
        assert_eq!(own, Owned::Own);
    }

    #[test]
    fn what_a_crash_left_open_is_remembered_as_it_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        accounts.intend(&intention("a", 10)).unwrap();
        accounts.intend(&intention("a", 12)).unwrap();
        let crashed = tempfile::tempdir().unwrap();
        let name = Accounts::FILE;
        std::fs::copy(dir.path().join(name), crashed.path().join(name)).unwrap();
        let accounts = Accounts::open(crashed.path()).unwrap();
        assert_eq!(accounts.intentions().unwrap(), [intention("a", 10)]);
        assert_eq!(
            accounts.registered(&intention("a", 12), Some(Entered::Known(11))).unwrap(),
            Owned::Own
        );
        assert_eq!(accounts.registered(&intention("a", 12), None).unwrap(), Owned::Foreign);
    }

    #[test]
    fn what_became_of_a_claim_is_of_who_has_the_claim() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        accounts.registered(&intention("a", 0), Some(Entered::New(1))).unwrap();
        accounts.registered(&intention("b", 0), Some(Entered::New(6))).unwrap();
        // 1 was corrected by 4 and that by 9; 2 is nobody's; 6 is somebody else's whatever it amends.
        let heirs = accounts.heirs(&[(1, 4), (2, 5), (4, 9), (5, 6)]).unwrap();
        assert_eq!(heirs, [(4, "a".to_owned()), (9, "a".to_owned())]);
        let of = |(index, account)| Possession { index, account, content: [7; 32] };
        let mut entries: Vec<_> = heirs.into_iter().map(of).collect();
        entries.push(of((6, "a".to_owned())));
        accounts.own(&entries).unwrap();
        assert_eq!(accounts.owner(9).unwrap(), Some("a".to_owned()));
        assert_eq!(accounts.owner(6).unwrap(), Some("b".to_owned()));
        assert_eq!(accounts.heirs(&[(1, 4), (4, 9)]).unwrap(), []);
    }

    #[test]
    fn somebodys_own_are_found_by_the_work() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        for (account, index) in [("a", 1), ("b", 2), ("a", 5), ("aa", 10)] {
            accounts.registered(&intention(account, 0), Some(Entered::New(index))).unwrap();
        }
        assert_eq!(accounts.owned_of("a", &[7; 32], 0, 9).unwrap(), [1, 5]);
        assert_eq!(accounts.owned_of("a", &[7; 32], 2, 9).unwrap(), [5]);
        assert_eq!(accounts.owned_of("a", &[8; 32], 0, 9).unwrap(), [0; 0]);
        let two = ["a", "b"].map(str::to_owned).into();
        assert_eq!(accounts.owned_among(&two, &[1, 2, 3, 10]).unwrap(), [1, 2].into());
        assert_eq!(accounts.not_found_by_works().unwrap(), []);

        // A file from before they could be.
        accounts.write(|tables| Ok(tables.delete_table(OWNED_OF)?)).unwrap();
        drop(accounts);
        let accounts = Accounts::open(dir.path()).unwrap();
        let lost = accounts.not_found_by_works().unwrap();
        assert_eq!(lost.len(), 4);
        let of = |(index, account)| Possession { index, account, content: [7; 32] };
        accounts.find_by_works(&lost.into_iter().map(of).collect::<Vec<_>>()).unwrap();
        assert_eq!(accounts.owned_of("a", &[7; 32], 0, 9).unwrap(), [1, 5]);
        assert_eq!(accounts.not_found_by_works().unwrap(), []);
    }

    #[test]
    fn an_account_finds_its_entries_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        for (account, index) in [("a", 1), ("b", 2), ("a", 5), ("a", 9), ("aa", 10)] {
            accounts.registered(&intention(account, 0), Some(Entered::New(index))).unwrap();
        }
        assert_eq!(accounts.owned("a", u64::MAX, 2).unwrap(), [9, 5]);
        assert_eq!(accounts.owned("a", 5, 9).unwrap(), [1]);
        assert_eq!(accounts.owned("c", u64::MAX, 9).unwrap(), [0; 0]);
    }
}
