//! `/v1/receipts/{index}/claim`: what an entry claims, as it stands now. It is corrected and withdrawn by an entry of its own,
//! and what it says is erased.

use std::error::Error;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use timemark_ingest::{AmendError, AmendedClaim, Correction, Engine, EraseError, erase_whole};
use timemark_review::Review;
use timemark_tlog::LogError;
use timemark_verify::{Act, ContentId};
use utoipa::ToSchema;

use crate::accept::{expect_unchanged, tagged};
use crate::access::{Caller, Sight};
use crate::problem::{Kind, ProblemJson};
use crate::receipts::read_index;
use crate::service::{Service, Shared};
use crate::told::{Entry, receipt_path};
use crate::{Problem, blocking, idempotency, json};

/// What an entry claims
///
/// As it is known now: with what became of the claim. Its entity tag is what the other operations ask for.
#[utoipa::path(
    get, path = "/v1/receipts/{index}/claim", tag = "receipts", operation_id = "claim",
    params(
        ("index" = u64, Path, description = "the number of the entry"),
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
    ),
    responses(
        (status = 200, body = Entry, headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is no such entry", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "the claim was erased", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    index: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let index = read_index(index)?;
    blocking(move || {
        let seen = Seen::of(index, &caller, &service)?;
        if seen.sight == Sight::Others {
            caller.act(&service.engine, "work.view", &seen.entry.work, Some("claim"))?;
        }
        Ok(tagged(&headers, "application/json", seen.body()?))
    })
    .await?
}

/// What a claim is to say instead. What is left away stays as it was; an empty text takes away what was said.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimCorrection {
    /// The work's title.
    #[schema(max_length = 16384, nullable = false)]
    title: Option<String>,
    /// Who claims.
    #[schema(max_length = 16384, nullable = false)]
    claimant: Option<String>,
    /// When it was made, as claimed.
    #[schema(max_length = 16384, nullable = false)]
    created: Option<String>,
    /// Under which terms it may be used.
    #[schema(max_length = 16384, nullable = false)]
    rights: Option<String>,
    /// The collection it belongs to.
    #[schema(max_length = 16384, nullable = false)]
    collection: Option<String>,
}

/// What came of a correction or a withdrawal: an entry of its own.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClaimAmended {
    /// `corrected` or `withdrawn`.
    status: &'static str,
    /// The work's id.
    work: String,
    /// The entry of the claim that was amended.
    amended: u64,
    /// The entry that amends it.
    index: u64,
    /// Where the receipt of that one is.
    receipt: String,
    /// Whether the policy's quorum of witnesses vouches for it already; absent where none is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    quorum: Option<bool>,
}

/// Correct a claim
///
/// A claim upon the same work is entered that names the earlier one, and has a receipt of its own; when this is answered, it is
/// durable. The earlier receipt goes on to prove that this was said, and when. What was asked for before under the same
/// `Idempotency-Key` is answered with 200 and the entry that it made.
#[utoipa::path(
    post, path = "/v1/receipts/{index}/claim/correction", tag = "receipts", operation_id = "correct_claim",
    params(
        ("index" = u64, Path, description = "the number of the entry"),
        ("If-Match" = String, Header, description = "the entity tag of the claim as it was seen"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[ -~]+$", description = "makes it safe to send the same again"),
    ),
    request_body = ClaimCorrection,
    responses(
        (status = 201, description = "corrected", body = ClaimAmended, headers(("Location" = String))),
        (status = 200, description = "corrected before, in these words", body = ClaimAmended, headers(("Location" = String))),
        (status = 404, description = "there is no such entry", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "it does not stand any more, or its creator signed it", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "the claim was erased", body = ProblemJson, content_type = "application/problem+json"),
        (status = 412, description = "it is not as the entity tag says", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "no JSON", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "it says that already, or a text is too long", body = ProblemJson, content_type = "application/problem+json"),
        (status = 428, description = "without If-Match", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn correct(
    State(service): State<Shared>,
    caller: Caller,
    index: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let index = read_index(index)?;
    let instead: ClaimCorrection = json::read(request).await?;
    let said = serde_json::to_vec(&instead).map_err(Problem::internal)?;
    let asked = Asked { index, act: Act::Corrects, headers, said };
    asked
        .amend(caller, service, move |engine| {
            let correction = Correction {
                title: instead.title.as_deref(),
                claimant: instead.claimant.as_deref(),
                created: instead.created.as_deref(),
                rights: instead.rights.as_deref(),
                collection: instead.collection.as_deref(),
            };
            timemark_ingest::correct(index, &correction, None, engine)
        })
        .await
}

/// Withdraw a claim
///
/// A withdrawal is entered, with a receipt of its own; when this is answered, it is durable. Nothing is claimed any more, and no
/// scan names the claim. It says who withdraws which work. What was asked for before under the same `Idempotency-Key` is
/// answered with 200 and the entry that it made.
#[utoipa::path(
    post, path = "/v1/receipts/{index}/claim/withdrawal", tag = "receipts", operation_id = "withdraw_claim",
    params(
        ("index" = u64, Path, description = "the number of the entry"),
        ("If-Match" = String, Header, description = "the entity tag of the claim as it was seen"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[ -~]+$", description = "makes it safe to send the same again"),
    ),
    responses(
        (status = 201, description = "withdrawn", body = ClaimAmended, headers(("Location" = String))),
        (status = 200, description = "withdrawn before", body = ClaimAmended, headers(("Location" = String))),
        (status = 404, description = "there is no such entry", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "it does not stand any more, or its creator signed it", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "the claim was erased", body = ProblemJson, content_type = "application/problem+json"),
        (status = 412, description = "it is not as the entity tag says", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "the key stands for another request", body = ProblemJson, content_type = "application/problem+json"),
        (status = 428, description = "without If-Match", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn withdraw(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    index: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let index = read_index(index)?;
    let asked = Asked { index, act: Act::Withdraws, headers, said: Vec::new() };
    asked.amend(caller, service, move |engine| timemark_ingest::withdraw(index, None, engine)).await
}

/// What was erased.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClaimErased {
    /// The entries whose claims say nothing any more: this one, and the earlier ones that it amended.
    erased: Vec<u64>,
    /// The entries that withdraw in the place of a withdrawal that was erased, and name nobody.
    withdrawn_by: Vec<u64>,
}

/// Erase what a claim says
///
/// Title, claimant, fingerprints and path go from the archive, and those of every earlier claim that this one amends, which
/// would stand again without it, and from what scans told of them. The entries stay, and receipts that were handed out go on to verify and to say all of it. What
/// was withdrawn stays withdrawn. Exact copies of the work are still found, unless it was withdrawn; edited ones no longer are.
#[utoipa::path(
    delete, path = "/v1/receipts/{index}/claim", tag = "receipts", operation_id = "erase_claim",
    params(
        ("index" = u64, Path, description = "the number of the entry"),
        ("If-Match" = String, Header, description = "the entity tag of the claim as it was seen"),
    ),
    responses(
        (status = 200, body = ClaimErased),
        (status = 404, description = "there is no such entry", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "it stands in for what was erased, and names nobody", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "the claim was erased", body = ProblemJson, content_type = "application/problem+json"),
        (status = 412, description = "it is not as the entity tag says", body = ProblemJson, content_type = "application/problem+json"),
        (status = 428, description = "without If-Match", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn erase(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    index: Result<Path<String>, PathRejection>,
) -> Result<Json<ClaimErased>, Problem> {
    let index = read_index(index)?;
    blocking(move || {
        service.access.may_see(&caller, index)?;
        // What was erased before this and is still told by scans: whoever asks again is not told that all is done.
        settle_erased(&service.review, &service.engine).map_err(Problem::internal)?;
        let seen = Seen::of(index, &caller, &service)?;
        expect_unchanged(&headers, &seen.body()?)?;
        seen.record(&caller, "claim.erase", &service)?;
        let erasure = erase_whole(index, &service.engine, &|entries| {
            service.review.note_erasing(entries)?;
            (service.disown)()
        })?;
        seen.inherit(&erasure.withdrawals, &service);
        service.access.forget_claims(&erasure.erased);
        service.review.forget_words(&erasure.erased)?;
        if let Some(failed) = erasure.failed {
            return Err(failed.into());
        }
        Ok(Json(ClaimErased { erased: erasure.erased, withdrawn_by: erasure.withdrawals }))
    })
    .await?
}

/// Has scans forget the words of what was erased when the service had no time to see to that.
pub(crate) fn settle_erased(
    review: &Review,
    engine: &Engine,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    review.settle_erased(|index| {
        let record = engine.registry.by_index(index)?;
        Ok(record.is_some_and(|record| record.claim.is_none()))
    })
}

/// An entry as somebody sees it who asks about its claim.
struct Seen {
    entry: Entry,
    sight: Sight,
}

impl Seen {
    fn of(index: u64, caller: &Caller, service: &Service) -> Result<Seen, Problem> {
        service.access.may_see(caller, index)?;
        let sight = service.access.sight(caller, index)?;
        let entry = Entry::at(index, &service.engine)?;
        let entry = entry
            .ok_or_else(|| Problem::new(Kind::NotFound, "there is no such entry of a work"))?;
        if entry.erased {
            return Err(LogError::Erased { index }.into());
        }
        Ok(Seen { entry, sight })
    }

    fn body(&self) -> Result<Vec<u8>, Problem> {
        serde_json::to_vec(&self.entry).map_err(Problem::internal)
    }

    /// Whether there is something to be amended.
    fn stands(&self) -> bool {
        let Entry { corrected_by, withdrawn_by, withdraws, .. } = &self.entry;
        corrected_by.is_none() && withdrawn_by.is_none() && withdraws.is_none()
    }

    /// Enters into the log what is about to be done, where the claim is somebody else's.
    fn record(&self, caller: &Caller, action: &str, service: &Service) -> Result<(), Problem> {
        match self.sight {
            Sight::Own => Ok(()),
            _ => caller.act(&service.engine, action, &format!("entry {}", self.entry.index), None),
        }
    }

    /// Gives the entries by which it was amended to whose the claim is. It is amended whatever becomes of that, which the next
    /// start sees to at the latest.
    fn inherit(&self, entries: &[u64], service: &Service) {
        let content: Result<ContentId, _> = self.entry.work.parse();
        let given = content
            .map_err(Problem::internal)
            .and_then(|content| Ok(service.access.inherit(self.entry.index, entries, &content)?));
        if given.is_err() {
            tracing::error!("whose an amendment is will be noted at the next start");
        }
    }
}

/// A claim is to be amended.
struct Asked {
    index: u64,
    act: Act,
    headers: HeaderMap,
    /// What it is to say, for whoever sends the same twice.
    said: Vec<u8>,
}

impl Asked {
    /// Does it. From here on it goes to its end, whether or not the client waits for it.
    async fn amend(
        self,
        caller: Caller,
        service: Shared,
        amend: impl FnOnce(&Engine) -> Result<AmendedClaim, AmendError> + Send + 'static,
    ) -> Result<Response, Problem> {
        let key = idempotency::key(&self.headers)?;
        if let Some(key) = &key {
            // Each account has keys of its own.
            let key = caller.account_id().map_or_else(|| key.clone(), |id| format!("{id} {key}"));
            service.keys.bind(&key, self.digest())?;
        }
        let (status, amended) =
            blocking(move || self.amend_now(key.is_some(), &caller, &service, amend)).await??;
        let location = [(LOCATION, amended.receipt.clone())];
        Ok((status, location, Json(amended)).into_response())
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(format!("{} {}\n", self.act.name(), self.index));
        digest.update(&self.said);
        digest.finalize().into()
    }

    fn amend_now(
        &self,
        has_key: bool,
        caller: &Caller,
        service: &Service,
        amend: impl FnOnce(&Engine) -> Result<AmendedClaim, AmendError>,
    ) -> Result<(StatusCode, ClaimAmended), Problem> {
        let (index, engine) = (self.index, &*service.engine);
        let seen = Seen::of(index, caller, service)?;
        // Of what stands no more it is said what does, whatever somebody saw (RFC 9110 section 13.2.1).
        if seen.stands() {
            expect_unchanged(&self.headers, &seen.body()?)?;
            let action = match self.act {
                Act::Corrects => "claim.correct",
                Act::Withdraws => "claim.withdraw",
            };
            seen.record(caller, action, service)?;
        }
        let (status, by) = match amend(engine) {
            Ok(AmendedClaim { receipt, behind }) => {
                service.note_behind_if(&behind, true);
                let by = receipt.anchors[0].index;
                seen.inherit(&[by], service);
                (StatusCode::CREATED, by)
            }
            // Sent twice: it is in the log in these very words.
            Err(
                AmendError::Corrected { by, is_same: true, .. }
                | AmendError::Withdrawn { by, is_same: true, .. },
            ) if has_key => (StatusCode::OK, by),
            Err(error) => return Err(refusal(error, index, engine)),
        };
        let amended = ClaimAmended {
            status: match self.act {
                Act::Corrects => "corrected",
                Act::Withdraws => "withdrawn",
            },
            work: seen.entry.work,
            amended: index,
            index: by,
            receipt: receipt_path(by),
            quorum: engine.log.has_quorum(by),
        };
        Ok((status, amended))
    }
}

/// Why a claim was not amended, and what stands in its place.
fn refusal(error: AmendError, index: u64, engine: &Engine) -> Problem {
    let words = error.to_string();
    match error {
        AmendError::NoWork { .. } => Problem::new(Kind::NotFound, words),
        AmendError::Erased { .. } => Problem::new(Kind::ClaimErased, words),
        AmendError::Corrected { .. } | AmendError::Withdrawn { .. } => {
            let fate = engine.amended(index).unwrap_or_default();
            Problem::new(Kind::ClaimAmended, words).with_fate(fate)
        }
        AmendError::Withdrawal { .. } => Problem::new(Kind::ClaimAmended, words),
        AmendError::Signed { .. } => Problem::new(
            Kind::ClaimSigned,
            format!(
                "the claim of entry {index} is signed by its creator, whose key is not here: it is amended on the command \
                 line under the same key, by timemark claim with --creator-key"
            ),
        ),
        AmendError::Same { .. } => Problem::new(Kind::NothingCorrected, words),
        AmendError::Texts(error) => error.into(),
        AmendError::Registry(error) => Problem::internal(error),
        // What was said cannot stand in a claim.
        AmendError::Log(LogError::Format(error)) => Problem::bad_request(error.to_string()),
        AmendError::Log(error) => error.into(),
    }
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Problem {
        match error {
            EraseError::NoEntry { .. } => Problem::new(Kind::NotFound, error.to_string()),
            EraseError::Gone { .. } => Problem::new(Kind::ClaimErased, error.to_string()),
            EraseError::Nameless { .. } => Problem::new(Kind::WrongState, error.to_string()),
            EraseError::WouldStandAgain { .. } => Problem::new(Kind::Conflict, error.to_string()),
            EraseError::Log(error) => error.into(),
            error @ (EraseError::Disown(_) | EraseError::Registry(_) | EraseError::Derive(_)) => {
                Problem::internal(error)
            }
        }
    }
}
