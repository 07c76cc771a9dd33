//! The rooms of an archive, open and connected.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use timemark_index::Index;
use timemark_store::{Registry, Works};
use timemark_tlog::Log;
use timemark_verify::{Claim, ContentId};

use crate::derive::ReadyFeatures;
use crate::exclusive::{OneAtATime, Permits};
use crate::neural::Neural;

/// An open archive. The log and the works are the truth; registry and index follow from them.
pub struct Engine {
    /// The works.
    pub works: Arc<Works>,
    /// The log of claims upon them.
    pub log: Log,
    /// Who registered what, by number and by content. Derived.
    pub registry: Box<dyn Registry>,
    /// What looks like what, and titles. Derived.
    pub index: Index,
    /// What an operator's model saw in the works, where scans are to ask one. Derived.
    pub neural: Option<Neural>,
    pub(crate) salter: Salter,
    /// How many entries of the log registry and index have taken in.
    pub(crate) derived: AtomicU64,
    pub(crate) deriving: Mutex<()>,
    /// Works being registered now, so that the same bytes arriving twice at once get one number.
    pub(crate) in_hand: OneAtATime<(ContentId, Option<String>)>,
    /// Claims are amended and erased one at a time: what becomes of one depends on what becomes of those around it.
    pub(crate) amending: Mutex<()>,
    /// Whether a claim was erased since registry and index were opened, of which the index holds something yet.
    pub(crate) erased: AtomicBool,
    /// Keypoints of works being registered now, for the index.
    pub(crate) features: ReadyFeatures,
    /// Threads that may read and decode at a time; many more may wait for the log.
    pub(crate) decoders: Permits,
}

impl Engine {
    /// Connects the rooms. The caller decides when to [`Engine::catch_up`].
    pub fn new(
        works: Arc<Works>,
        log: Log,
        registry: Box<dyn Registry>,
        index: Index,
        salter: Salter,
    ) -> Engine {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Engine {
            works,
            log,
            registry,
            index,
            neural: None,
            salter,
            derived: AtomicU64::new(0),
            deriving: Mutex::default(),
            in_hand: OneAtATime::default(),
            amending: Mutex::default(),
            erased: AtomicBool::new(false),
            features: ReadyFeatures::default(),
            decoders: Permits::new(cores),
        }
    }

    /// Whether something was erased that registry and index are rid of only once they are made anew.
    pub fn has_erased(&self) -> bool {
        self.erased.load(Ordering::Acquire)
    }
}

/// Salts claims with a secret of the archive: nobody else can test guesses of a claim against the log, and
/// the same claim always gets the same salt.
pub struct Salter {
    secret: [u8; 32],
}

impl Salter {
    /// A salter with this secret.
    pub const fn new(secret: [u8; 32]) -> Salter {
        Salter { secret }
    }

    /// The salt of a claim; of one that is made again `after` it was withdrawn, with the number of that entry, or it would
    /// be the same claim and have the receipt of the withdrawn one.
    pub(crate) fn salt(&self, claim: &Claim, after: Option<u64>) -> [u8; 32] {
        let after = after.map(|index| format!("after {index}\n")).unwrap_or_default();
        self.digest(&(claim.unsalted_text() + &after))
    }

    /// HMAC-SHA-256 (RFC 2104) of a text without its salt.
    pub(crate) fn digest(&self, text: &str) -> [u8; 32] {
        // A key shorter than a block is padded with zeros (RFC 2104).
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}
