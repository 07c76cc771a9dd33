//! Who asks, and what of it becomes an entry of the log.

use axum::http::HeaderMap;
use timemark_ingest::{Act, Engine};
use timemark_verify::Action;

use crate::Problem;

/// Who asks. As long as there are no accounts, everybody who reaches the service is its operator.
pub(crate) fn actor(_headers: &HeaderMap) -> String {
    Action::OPERATOR.to_owned()
}

/// Enters into the log who did what, to what, and how. Once this returns, it is durable there.
pub(crate) fn enter(
    [actor, action, subject, detail]: [&str; 4],
    engine: &Engine,
) -> Result<u64, Problem> {
    let (subject, detail) = (Some(subject), Some(detail));
    Ok(engine.act(Act { actor, action, subject, detail })?)
}
