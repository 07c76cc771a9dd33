//! What an earlier run of a scan told, so that one that goes on passes over it.

use std::collections::HashMap;

use timemark_ingest::Asked;
use timemark_ingest::sources::SuspectName;
use timemark_verify::ContentId;

use crate::ResultJson;

/// The suspects of earlier runs that this one has yet to meet. A digest is kept of each: it takes less memory than a name.
#[derive(Default)]
pub struct Earlier {
    known: HashMap<ContentId, Vec<Subject>>,
}

/// What a result is about; several may be called the same.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Subject {
    /// A place that could not be read.
    Failed,
    File,
    Member(ContentId),
}

impl Earlier {
    /// Takes note of what an earlier run told.
    pub fn add(&mut self, result: &ResultJson) {
        let name = digest(&result.suspect, result.date.as_deref());
        self.known.entry(name).or_default().push(Subject::of(result));
    }

    /// What a scan asks for each suspect it meets: whether it was compared before. Each result answers once.
    pub fn is_done(mut self) -> impl FnMut(&SuspectName, Asked<'_>) -> bool + Send + use<> {
        move |name, asked| {
            let (suspect, date) = ResultJson::key(name);
            let Some(known) = self.known.get_mut(&digest(&suspect, date.as_deref())) else {
                return false;
            };
            let wanted = match asked {
                Asked::Failed => Subject::Failed,
                Asked::File => Subject::File,
                Asked::Member(_) if name.within.is_none() => Subject::File,
                Asked::Member(content) => Subject::Member(content.id()),
            };
            let place = known.iter().position(|known| *known == wanted);
            place.map(|place| known.swap_remove(place)).is_some()
        }
    }
}

impl Subject {
    fn of(result: &ResultJson) -> Subject {
        let kept = result.kept.as_ref();
        match kept.and_then(|kept| kept.content.as_deref()?.parse().ok()) {
            None => Subject::Failed,
            Some(_) if kept.is_some_and(|kept| !kept.member) => Subject::File,
            Some(content) => Subject::Member(content),
        }
    }
}

fn digest(suspect: &str, date: Option<&str>) -> ContentId {
    ContentId::of(format!("{suspect}\0{}", date.unwrap_or_default()).as_bytes())
}
