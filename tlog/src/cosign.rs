//! Asks the witnesses of a log, all at once, and waits for no more of them than it must.
//!
//! Each witness has a thread of its own, which may hang on a dead connection for as long as a request may
//! take: the rounds go on without it. A witness that failed rests before it is asked again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use timemark_verify::merkle::Hash;
use timemark_verify::{Checkpoint, FormatError, Note, NoteSignature, Policy};

use crate::LogError;
use crate::witness::{WitnessClient, WitnessError};

/// Once the quorum is there, how long the others may take to be part of the same receipt.
const GRACE: Duration = Duration::from_millis(100);
/// How long a round waits for a quorum.
const ROUND_MAX: Duration = Duration::from_secs(5);
/// How long a witness rests after its first failure, and at most.
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(60);

/// Proves that the tree of the first so many entries is the beginning of that of the second.
pub(crate) type Prover = dyn Fn(u64, u64) -> Result<Vec<Hash>, LogError> + Send + Sync;

/// The witnesses of a log.
pub(crate) struct Cosigners {
    policy: Policy,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The number of the round, and the checkpoint that is being cosigned.
    round: u64,
    asked: Option<Arc<Note>>,
    witnesses: Vec<Standing>,
    closing: bool,
}

/// How a witness stands.
struct Standing {
    /// The round that it is to take part in, and the last one that it answered in.
    asked_in: u64,
    answered_in: u64,
    busy: bool,
    /// How long it rests if it fails now.
    rest: Duration,
    rests_until: Option<Instant>,
    answer: Option<Result<Vec<NoteSignature>, WitnessError>>,
}

/// What a round brought.
pub(crate) struct Cosigned {
    /// The checkpoint with every cosignature that came in time.
    pub note: Note,
    /// Whether they are what the policy asks for.
    pub quorum: bool,
    /// Which witnesses gave no cosignature, and why, or `None` for those that have not answered yet.
    pub failures: Vec<(usize, Option<WitnessError>)>,
}

impl Cosigners {
    /// Starts a thread for each witness. `policy` says which of them suffice.
    pub fn start(
        policy: Policy,
        clients: Vec<Arc<WitnessClient>>,
        prover: Arc<Prover>,
    ) -> Cosigners {
        let witnesses = clients.iter().map(|_| Standing::new()).collect();
        let state = State { round: 0, asked: None, witnesses, closing: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        for (number, client) in clients.into_iter().enumerate() {
            let (shared, prover) = (shared.clone(), prover.clone());
            std::thread::spawn(move || shared.serve(number, &client, &*prover));
        }
        Cosigners { policy, shared }
    }

    /// Whether those who cosigned this note are a quorum.
    pub fn is_quorum(&self, note: &Note) -> bool {
        Checkpoint::of_note(note).is_ok_and(|checkpoint| self.policy.is_cosigned(note, &checkpoint))
    }

    /// One round: hands the checkpoint to every witness that is neither busy nor at rest. Returns as soon as
    /// the quorum is there and the others had their grace, or nobody is left to wait for. One round at a
    /// time: the caller sees to it.
    pub fn cosign(&self, note: &Note) -> Result<Cosigned, FormatError> {
        let checkpoint = Checkpoint::of_note(note)?;
        let started = Instant::now();
        let mut state = self.shared.lock();
        state.round += 1;
        let round = state.round;
        state.asked = Some(Arc::new(note.clone()));
        for witness in &mut state.witnesses {
            if !witness.busy && witness.rests_until.is_none_or(|until| until <= started) {
                witness.asked_in = round;
            }
        }
        self.shared.changed.notify_all();

        let mut end = started + ROUND_MAX;
        let mut quorum = false;
        loop {
            let answers = state.witnesses.iter().filter(|w| w.answered_in == round);
            let given = answers.filter_map(|w| w.answer.as_ref()?.as_ref().ok()).flatten();
            let cosigned = note.with(given.cloned())?;
            if !quorum && self.policy.is_cosigned(&cosigned, &checkpoint) {
                quorum = true;
                end = end.min(Instant::now() + GRACE);
            }
            let pending = |w: &Standing| w.asked_in == round && w.answered_in < round;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !state.witnesses.iter().any(pending) {
                // Whatever was not told yet, of this round or an earlier one; who has not answered is late.
                let failed = |(number, w): (usize, &mut Standing)| match w.answer.take() {
                    Some(Err(error)) => Some((number, Some(error))),
                    _ => (w.busy || pending(w)).then_some((number, None)),
                };
                let failures = state.witnesses.iter_mut().enumerate().filter_map(failed).collect();
                return Ok(Cosigned { note: cosigned, quorum, failures });
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Cosigners {
    fn drop(&mut self) {
        // A thread that hangs in a request ends after it; none is waited for.
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
    }
}

impl Standing {
    fn new() -> Standing {
        Standing {
            asked_in: 0,
            answered_in: 0,
            busy: false,
            rest: REST_MIN,
            rests_until: None,
            answer: None,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a witness's thread.
    fn serve(&self, number: usize, client: &WitnessClient, prover: &Prover) {
        let mut state = self.lock();
        loop {
            let witness = &mut state.witnesses[number];
            let round = witness.asked_in;
            let due = round > witness.answered_in;
            witness.busy = due;
            let note = match (&state.asked, state.closing) {
                (_, true) => return,
                (Some(note), _) if due => note.clone(),
                _ => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            drop(state);
            let answer = client.cosign(&note, &|old| {
                let size = Checkpoint::of_note(&note)?.size;
                prover(old, size)
            });
            state = self.lock();
            let witness = &mut state.witnesses[number];
            witness.busy = false;
            witness.answered_in = round;
            witness.rests_until = answer.is_err().then(|| Instant::now() + witness.rest);
            witness.rest = match answer {
                Ok(_) => REST_MIN,
                Err(_) => (2 * witness.rest).min(REST_MAX),
            };
            witness.answer = Some(answer);
            self.changed.notify_all();
        }
    }
}
