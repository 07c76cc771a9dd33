//! `/v1/receipts`: the receipt of an entry, in the form that is asked for, on paper, and its parts for other tools.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::Response;
use timemark_ingest::Engine;
use timemark_verify::{Anchor, Outcome, Receipt};

use crate::service::NoCertificate;

use crate::accept::{best, tagged};
use crate::access::Caller;
use crate::problem::{Kind, ProblemJson};
use crate::service::Shared;
use crate::told::{Since, Verdict};
use crate::{Problem, blocking};

/// The receipt of an entry
///
/// As it is kept and verified, what it proves under this archive's policy, its first time-stamp alone (RFC 3161), made
/// over the checkpoint that `…/checkpoint` gives, or on paper, as `…/certificate` has it.
#[utoipa::path(
    get, path = "/v1/receipts/{index}", tag = "receipts", operation_id = "receipt",
    params(
        ("index" = u64, Path, description = "the number of the entry"),
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
    ),
    responses(
        (status = 200, description = "in the form that Accept likes best", headers(("ETag" = String)), content(
            (String = "text/plain"), (Verdict = "application/json"), (String = "application/timestamp-reply"),
            (String = "application/pdf"),
        )),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is no such entry", body = ProblemJson, content_type = "application/problem+json"),
        (status = 406, description = "it has no form that Accept takes", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "the claim was erased", body = ProblemJson, content_type = "application/problem+json"),
        (status = 425, description = "no authority has stamped it yet, or the policy asks for more than has been said of it", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    index: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let index = read_index(index)?;
    let shared = service.clone();
    let (seen_by, asked) = (caller.clone(), headers.clone());
    let told = blocking(move || {
        service.access.may_see(&caller, index)?;
        let receipt = newest(index, &service.engine)?;
        let token = receipt.anchors.iter().flat_map(|anchor| &anchor.timestamps).next();
        let (media_type, body) = match offer(&headers, token.is_some(), &service.engine)? {
            JSON => {
                let outcome = Outcome::of_receipt_alone(&receipt, Some(service.trust()));
                let since = Since::of(&receipt, &service.engine)?;
                let verdict = Verdict::of(outcome, crate::verify::OWN_TRUST).beside(since);
                (JSON, serde_json::to_vec(&verdict).map_err(Problem::internal)?)
            }
            TOKEN => (TOKEN, token.cloned().unwrap_or_default()),
            PDF => return Ok(None),
            _ => (TEXT, receipt.to_string().into_bytes()),
        };
        service.access.may_export(&caller, index, media_type, &service.engine)?;
        Ok::<_, Problem>(Some(tagged(&headers, media_type, body)))
    });
    match told.await?? {
        Some(response) => Ok(response),
        None => on_paper(shared, seen_by, asked, index).await,
    }
}

/// An inclusion proof alone
///
/// As c2sp.org/tlog-proof@v1 has it, for other tools.
#[utoipa::path(
    get, path = "/v1/receipts/{index}/tlog-proof", tag = "receipts", operation_id = "tlog_proof",
    params(
        ("index" = u64, Path, description = "the number of the entry"),
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/plain", headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is no such entry", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "the claim was erased", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn tlog_proof(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    index: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    part(service, caller, headers, index, "tlog-proof", |anchor| anchor.to_tlog_proof()).await
}

/// The checkpoint that a receipt rests on
///
/// Its text, over which the imprint of its time-stamps is taken.
#[utoipa::path(
    get, path = "/v1/receipts/{index}/checkpoint", tag = "receipts", operation_id = "receipt_checkpoint",
    params(
        ("index" = u64, Path, description = "the number of the entry"),
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/plain", headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is no such entry", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "the claim was erased", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn checkpoint(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    index: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let text = |anchor: &Anchor| anchor.note().text().to_owned();
    part(service, caller, headers, index, "checkpoint", text).await
}

/// A certificate
///
/// The receipt on a page in Chinese and English (PDF/A-3), with the receipt inside, under this archive's policy. The same
/// receipt gives the same bytes.
#[utoipa::path(
    get, path = "/v1/receipts/{index}/certificate", tag = "receipts", operation_id = "certificate",
    params(
        ("index" = u64, Path, description = "the number of the entry"),
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
    ),
    responses(
        (status = 200, body = String, content_type = "application/pdf", headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "there is no such entry", body = ProblemJson, content_type = "application/problem+json"),
        (status = 410, description = "the claim was erased", body = ProblemJson, content_type = "application/problem+json"),
        (status = 425, description = "the policy asks for more than has been said of it yet", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn certificate(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    index: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let index = read_index(index)?;
    on_paper(service, caller, headers, index).await
}

async fn on_paper(
    service: Shared,
    caller: Caller,
    headers: HeaderMap,
    index: u64,
) -> Result<Response, Problem> {
    let turn = service.turn_to_compare().await?;
    blocking(move || {
        let _turn = turn;
        service.access.may_see(&caller, index)?;
        let receipt = newest(index, &service.engine)?;
        service.access.may_export(&caller, index, "certificate", &service.engine)?;
        match (service.certify)(&receipt) {
            Ok(pdf) => Ok(tagged(&headers, PDF, pdf)),
            Err(NoCertificate::Undecided(reason)) => Err(Problem::new(Kind::ProofNotReady, reason)),
            Err(NoCertificate::Failed(error)) => Err(Problem::internal(error)),
        }
    })
    .await?
}

/// A text out of the anchor that has a time-stamp, or out of the first.
async fn part(
    service: Shared,
    caller: Caller,
    headers: HeaderMap,
    index: Result<Path<String>, PathRejection>,
    what: &'static str,
    text: impl FnOnce(&Anchor) -> String + Send + 'static,
) -> Result<Response, Problem> {
    let index = read_index(index)?;
    blocking(move || {
        service.access.may_see(&caller, index)?;
        let receipt = newest(index, &service.engine)?;
        service.access.may_export(&caller, index, what, &service.engine)?;
        let stamped = receipt.anchors.iter().find(|anchor| !anchor.timestamps.is_empty());
        Ok(tagged(&headers, TEXT, text(stamped.unwrap_or(&receipt.anchors[0])).into_bytes()))
    })
    .await?
}

/// A receipt with what has been said of its log since. Nobody is asked for it: who reads receipts must not be able to have
/// witnesses asked, which the service does by itself where they are missing.
pub(crate) fn newest(index: u64, engine: &Engine) -> Result<Receipt, Problem> {
    let mut receipt = engine.log.receipt(index)?;
    engine.log.add_endorsements(&mut receipt)?;
    Ok(receipt)
}

/// The number of an entry, in one spelling.
pub(crate) fn read_index(index: Result<Path<String>, PathRejection>) -> Result<u64, Problem> {
    let Path(text) = index?;
    let index = text.parse::<u64>().ok().filter(|index| index.to_string() == text);
    index.ok_or_else(|| Problem::new(Kind::BadId, "an entry's number is a decimal number"))
}

/// The form to give.
fn offer(headers: &HeaderMap, has_token: bool, engine: &Engine) -> Result<&'static str, Problem> {
    let there = if has_token { &[TEXT, JSON, PDF, TOKEN][..] } else { &[TEXT, JSON, PDF] };
    if let Some(form) = best(headers, there) {
        return Ok(form);
    }
    if best(headers, &[TOKEN]).is_some() && engine.log.has_authorities() {
        let detail = "no authority has stamped a checkpoint that holds this entry yet";
        return Err(Problem::new(Kind::ProofNotReady, detail));
    }
    let names = there.join(", ");
    Err(Problem::new(Kind::NotAcceptable, format!("{ACCEPT} takes none of {names}")))
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PDF: &str = "application/pdf";
const TOKEN: &str = "application/timestamp-reply";
