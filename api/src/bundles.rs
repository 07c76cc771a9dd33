//! `/v1/bundles`: works, matches and papers for a court, in one file that verifies without this server.
//!
//! What lies in a bundle and how it is written is not known here: whoever serves the archive hands in a [`Bundler`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempPath};
use timemark_ingest::{Finding, Registration, Registrations, Status};
use timemark_verify::{ContentId, Profile, Receipt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use utoipa::ToSchema;

use crate::access::{Access, Caller, Told};
use crate::matches::{read_id, seen};
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::{Problem, blocking, json};

/// Makes bundles of the works and matches of an archive.
pub trait Bundler: Send + Sync {
    /// Whether these facts suffice for the profile, and everything is there that belongs into every bundle.
    fn check(&self, profile: Profile, facts: &Facts) -> Result<(), NoBundle>;

    /// Writes a bundle to an empty file. `before` is told the SHA-256 of its manifest when nothing can be refused any more,
    /// and before the manifest is registered; where it fails, nothing is.
    fn make(
        &self,
        case: Case<'_>,
        out: &mut NamedTempFile,
        before: &mut dyn FnMut(&str) -> Result<(), Failure>,
    ) -> Result<Registration, NoBundle>;
}

/// What people state, by the names that the profile has for it.
pub type Facts = BTreeMap<String, String>;
/// Whatever went wrong.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What somebody is told of a work that a suspect is a copy of; nothing, where the work is not there for them.
pub type Tell<'a> = &'a (dyn Fn(Finding) -> Result<Option<Finding>, Failure> + Sync);

/// What is to be in a bundle.
pub struct Case<'a> {
    /// Which papers are asked for.
    pub profile: Profile,
    /// They were checked.
    pub facts: Facts,
    /// The receipts of works, by entry.
    pub receipts: BTreeMap<u64, Receipt>,
    /// Suspects that are copies of works.
    pub suspects: Vec<Suspect>,
    /// Whether the works are left away.
    pub hash_only: bool,
    /// What of the works that the suspects are copies of is told; all, where it is none.
    pub tell: Option<Tell<'a>>,
}

/// A suspect as it was when it matched.
pub struct Suspect {
    /// A copy that nobody else has.
    pub file: TempPath,
    /// How it was called where it was met first.
    pub name: String,
    /// Where and when a web archive had it from.
    pub captured: Option<(String, String)>,
    /// The id of its bytes.
    pub content: ContentId,
    /// The works of its matches.
    pub works: Vec<ContentId>,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum NoBundle {
    /// What is stated is nothing that the profile knows.
    #[error("{0}")]
    Fact(String),
    /// The profile cannot do without these.
    #[error("the profile asks for facts that nobody states: {}", names(.0))]
    Missing(Vec<MissingFact>),
    /// What is named makes no evidence.
    #[error("{0}")]
    NoEvidence(String),
    /// The verifier's page, which belongs into it, was not built.
    #[error(
        "this server has no page of the verifier, which belongs into a bundle: scripts/page.sh builds it"
    )]
    NoPage,
    /// It should have been made.
    #[error("a bundle could not be made")]
    Failed(#[source] Failure),
}

/// A fact that a profile cannot do without, and that nobody states.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MissingFact {
    /// Its name among the `facts`.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The same in Chinese.
    pub what_zh: &'static str,
}

fn names(missing: &[MissingFact]) -> String {
    let named = missing.iter().map(|fact| format!("{} ({})", fact.name, fact.what));
    named.collect::<Vec<_>>().join(", ")
}

/// What to put into a bundle.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BundleOrder)]
pub(crate) struct ToBundle {
    /// Ids of matches. The suspects lie in the bundle, compared anew, with every work that they are a copy of.
    #[serde(default)]
    #[schema(max_items = 200)]
    matches: Vec<String>,
    /// Works: numbers of entries, or ids (`bafkrei…`), which stand for the first registration that was not withdrawn.
    #[serde(default)]
    #[schema(max_items = 200)]
    works: Vec<WorkName>,
    profile: ProfileName,
    /// What only people can say, by the names that the profile has for it (docs/verification.md).
    #[serde(default)]
    facts: BTreeMap<String, String>,
    /// Leave the works away; their digests and receipts are there. Not with matches.
    #[serde(default)]
    hash_only: bool,
}

/// Which papers are asked for.
#[derive(Clone, Copy, Deserialize, ToSchema)]
pub(crate) enum ProfileName {
    /// 《人民法院在线诉讼规则》 articles 16 to 18.
    #[serde(rename = "cn-court")]
    CnCourt,
    /// Federal Rules of Evidence 902(13), 902(14).
    #[serde(rename = "us-fre902")]
    UsFre902,
    /// Regulation (EU) 910/2014, a qualified time-stamp.
    #[serde(rename = "eu-eidas")]
    EuEidas,
}

/// A work by its entry or by its id.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum WorkName {
    /// The number of an entry.
    Entry(u64),
    /// The id of a work.
    Id(String),
}

impl ProfileName {
    fn profile(self) -> Profile {
        match self {
            ProfileName::CnCourt => Profile::CnCourt,
            ProfileName::UsFre902 => Profile::UsFre902,
            ProfileName::EuEidas => Profile::EuEidas,
        }
    }
}

/// Put works, receipts, matches and papers into one file for a court
///
/// The file verifies without this server. Its manifest is registered. A profile's facts that are needed and missing are
/// named; nothing is invented. An agency has bundles of what it sees: the suspects of its own scans, and no works of others.
/// Of a work that it registered by its digests alone, and of one that is no picture, it has them with `hash_only`.
#[utoipa::path(
    post, path = "/v1/bundles", tag = "bundles", operation_id = "bundle",
    request_body = ToBundle,
    responses(
        (status = 200, description = "the bundle (docs/formats.md)", body = Vec<u8>, content_type = "application/zip", headers(("Content-Disposition" = String))),
        (status = 404, description = "there is no such work or match", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "a claim was erased", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "facts are missing, or it makes no evidence", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many bundles are being made", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let asked: ToBundle = json::read(request).await?;
    let order = Order::of(asked)?;
    let place = service.place_to_bundle().await?;
    let made = blocking(move || Ok::<_, Problem>((order.make(&service, &caller)?, place)));
    let (Made { name, file, length }, place) = made.await??;
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers =
        [(CONTENT_TYPE, "application/zip".to_owned()), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::new(Download::of(file, length, place))).into_response())
}

/// What was asked for, in order and each thing once.
struct Order {
    profile: Profile,
    facts: Facts,
    hash_only: bool,
    matches: BTreeSet<String>,
    entries: BTreeSet<u64>,
    works: BTreeSet<ContentId>,
}

/// A bundle on its way to a client. Its file has no name any more.
struct Made<R> {
    name: String,
    file: R,
    length: u64,
}

impl Order {
    fn of(asked: ToBundle) -> Result<Order, Problem> {
        let ToBundle { matches, works, profile, facts, hash_only } = asked;
        let too_many = matches.len() > THINGS_MAX || works.len() > THINGS_MAX;
        if too_many || (matches.is_empty() && works.is_empty()) {
            let detail = format!("a bundle is of 1 to {THINGS_MAX} matches, or works, or both");
            return Err(Problem::bad_request(detail));
        }
        if hash_only && !matches.is_empty() {
            let detail = "a match is shown by its pictures: it does not go with hash_only";
            return Err(Problem::bad_request(detail));
        }
        let (mut entries, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for work in works {
            match work {
                WorkName::Entry(index) => drop(entries.insert(index)),
                WorkName::Id(text) => {
                    let id = text.parse::<ContentId>();
                    let bad = |_| Problem::new(Kind::BadId, "a work's id is a CIDv1: bafkrei…");
                    ids.insert(id.map_err(bad)?);
                }
            }
        }
        let matches = matches.into_iter().collect();
        let profile = profile.profile();
        Ok(Order { profile, facts, hash_only, matches, entries, works: ids })
    }

    fn make(self, service: &Service, caller: &Caller) -> Result<Made<impl Read + use<>>, Problem> {
        let found = self.matches.iter().map(|id| seen(&read_id(id)?, caller, service));
        let found = found.collect::<Result<Vec<_>, Problem>>()?;
        let receipts = self.receipts(service, caller)?;
        if !self.hash_only {
            refuse_unseen(receipts.values(), service, caller)?;
        }
        service.bundler.check(self.profile, &self.facts)?;
        theirs_alone(&found)?;
        let suspects = suspects(service, &found)?;
        let acts = self.acts();
        let tell = |finding| {
            let told = service.access.told_finding(caller, finding, &service.engine);
            told.map_err(|problem| Failure::from(format!("{problem:?}")))
        };
        let case = Case {
            profile: self.profile,
            facts: self.facts,
            receipts,
            suspects,
            hash_only: self.hash_only,
            tell: Access::is_narrow(caller).then_some(&tell as Tell<'_>),
        };
        let mut out = NamedTempFile::new_in(service.uploads_dir()).map_err(Problem::of_disk)?;
        let (mut refused, mut manifest) = (None, String::new());
        let mut before = |sha256: &str| -> Result<(), Failure> {
            sha256.clone_into(&mut manifest);
            let detail = format!("{}, manifest {sha256}", self.profile.name());
            for subject in &acts {
                let acted = caller.act(&service.engine, "bundle.export", subject, Some(&detail));
                if let Err(problem) = acted {
                    refused = Some(problem);
                    return Err("the export was not entered into the log".into());
                }
            }
            Ok(())
        };
        let made = service.bundler.make(case, &mut out, &mut before);
        if let Some(problem) = refused {
            return Err(problem);
        }
        let made = made?;
        service.note_behind_if(&made.behind, made.status == Status::Registered);
        // From here on nothing is left behind, whatever happens.
        let mut file = out.into_file();
        let length = file.seek(io::SeekFrom::End(0)).map_err(Problem::of_disk)?;
        file.rewind().map_err(Problem::of_disk)?;
        let short = manifest.get(..8).unwrap_or_default();
        let name = format!("timemark-{}-{short}.zip", self.profile.name());
        Ok(Made { name, file, length })
    }

    /// The receipts of the works that were named, as far as they are there for the caller.
    fn receipts(
        &self,
        service: &Service,
        caller: &Caller,
    ) -> Result<BTreeMap<u64, Receipt>, Problem> {
        let mut receipts = BTreeMap::new();
        for index in &self.entries {
            service.access.may_see(caller, *index)?;
            receipts.insert(*index, service.engine.log.receipt(*index)?);
        }
        for id in &self.works {
            let index = first_seen(service, caller, id)?;
            let index = index
                .ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no work {id}")))?;
            receipts.insert(index, service.engine.log.receipt(index)?);
        }
        Ok(receipts)
    }

    /// What is taken out, in as many lines as it takes.
    fn acts(&self) -> Vec<String> {
        let matches = self.matches.iter().map(|id| format!("match {id}"));
        let entries = self.entries.iter().map(|index| format!("entry {index}"));
        let works = self.works.iter().map(|id| format!("work {id}"));
        let things: Vec<String> = matches.chain(entries).chain(works).collect();
        things.chunks(THINGS_ON_A_LINE).map(|some| some.join(", ")).collect()
    }
}

/// Refuses what only scans of others met: the original is theirs.
fn theirs_alone(found: &[Told]) -> Result<(), Problem> {
    let withheld = found.iter().filter(|told| told.is_withheld);
    let ids: Vec<&str> = withheld.map(|told| told.found.id.text()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "only scans of others met the suspect, whose original is theirs; scan it, or ask who runs this archive; matches {}",
        ids.join(", ")
    );
    Err(Problem::new(Kind::NoEvidence, detail))
}

/// Refuses the bytes of works that a caller may have registered by their digests alone. Whoever has a receipt of a work has
/// its digests.
fn refuse_unseen<'a>(
    receipts: impl Iterator<Item = &'a Receipt>,
    service: &Service,
    caller: &Caller,
) -> Result<(), Problem> {
    let mut unseen = Vec::new();
    for receipt in receipts {
        let work = receipt.claim.work.content();
        if !service.access.had(caller, &work, &service.engine)? {
            unseen.push(work.to_string());
        }
    }
    if unseen.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "no registration that you see shows that whoever made it had the work, which a bundle holds; hash_only bundles its \
         digests; works {}",
        unseen.join(", ")
    );
    Err(Problem::new(Kind::NoEvidence, detail))
}

/// The first registration of a work that was not withdrawn and is there for the caller.
fn first_seen(
    service: &Service,
    caller: &Caller,
    work: &ContentId,
) -> Result<Option<u64>, Problem> {
    let (engine, access) = (&service.engine, &service.access);
    let read = |from, most| access.registrations_seen(caller, work, from, most, engine);
    for record in Registrations::from(0, read) {
        let record = record?;
        let stands = engine.registry.standing(record.index).map_err(Problem::internal)?.is_some();
        if stands && record.claim.is_some() {
            return Ok(Some(record.index));
        }
    }
    Ok(None)
}

/// The suspects of matches, each once, as they were when they matched.
fn suspects(service: &Service, found: &[Told]) -> Result<Vec<Suspect>, Problem> {
    let mut suspects: Vec<Suspect> = Vec::new();
    let mut gone = Vec::new();
    for Told { found, places, .. } in found {
        let content: ContentId = found.suspect.parse().map_err(Problem::internal)?;
        let work: ContentId = found.finding.work.parse().map_err(Problem::internal)?;
        if let Some(known) = suspects.iter_mut().find(|known| known.content == content) {
            known.works.push(work);
            continue;
        }
        let file = NamedTempFile::new_in(service.uploads_dir()).map_err(Problem::of_disk)?;
        let file = file.into_temp_path();
        if !service.review.copy_suspect(found, places, &service.engine, &file)? {
            gone.push(found.id.text());
            continue;
        }
        let captured = places.iter().find_map(|place| {
            let date = place.date.clone().unwrap_or_default();
            place.url.clone().map(|url| (url, date))
        });
        let (name, works) = (found.name.clone(), vec![work]);
        suspects.push(Suspect { file, name, captured, content, works });
    }
    if gone.is_empty() {
        return Ok(suspects);
    }
    Err(Problem::new(
        Kind::NoEvidence,
        format!(
            "the suspect is not to be had any more as it was when it matched: it was not kept, or let go of after a \
             verdict of no-match, and what lies where it was met is something else; matches {}",
            gone.join(", ")
        ),
    ))
}

/// A file on its way to a client, read as fast as that takes it.
struct Download {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Download {
    fn of(
        mut file: impl Read + Send + 'static,
        length: u64,
        place: OwnedSemaphorePermit,
    ) -> Download {
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD_MAX);
        tokio::task::spawn_blocking(move || {
            let _place = place; // until all is taken, or nobody takes it any more
            loop {
                let mut piece = Vec::with_capacity(PIECE_BYTES as usize);
                let read = file.by_ref().take(PIECE_BYTES).read_to_end(&mut piece);
                let piece = match read {
                    Ok(0) => return,
                    Ok(_) => Ok(Bytes::from(piece)),
                    Err(error) => Err(error),
                };
                if sender.blocking_send(piece).is_err() {
                    return;
                }
            }
        });
        Download { pieces, left: length }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = std::task::ready!(self.pieces.poll_recv(context));
        let frame = piece.map(|piece| {
            let piece = piece?;
            self.left = self.left.saturating_sub(piece.len() as u64);
            Ok(Frame::data(piece))
        });
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Matches in one bundle, and works beside them.
const THINGS_MAX: usize = 200;
/// Things that one action tells of: its text is cut after some 1300 bytes.
const THINGS_ON_A_LINE: usize = 16;
/// Bytes of a bundle that are read at a time, and how many such pieces wait for the client.
const PIECE_BYTES: u64 = 256 << 10;
const PIECES_AHEAD_MAX: usize = 4;
