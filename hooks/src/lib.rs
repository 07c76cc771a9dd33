//! Who is told of what happened in an archive: webhooks as standardwebhooks.com has them.
//!
//! An endpoint is a URL of somebody else's server and the events that it wants. What happened is read from durable
//! [`Source`]s, each endpoint at its own place in them, so that a crash loses nothing, an endpoint that is away costs no
//! room without end, and whoever makes events waits for nobody. A delivery is a row of a table before it is sent, and is
//! sent until it is answered: at least once, in no promised order, under the same id each time.
//!
//! What an event is about, and where it is read from, is not known here.

mod clock;
mod delivery;
mod endpoint;
mod error;
mod event;
mod hooks;
mod reach;
mod replay;
mod run;
mod schedule;
mod secret;
mod send;
mod store;

pub use clock::{seconds, utc};
pub use delivery::{Attempt, Delivery, Page, State};
pub use endpoint::{Change, Disabled, Endpoint, Reason, Wanted};
pub use error::HookError;
pub use event::{Event, EventKind, Happened, Source, event_id};
pub use hooks::Hooks;
pub use reach::Reach;
pub use secret::Secret;
