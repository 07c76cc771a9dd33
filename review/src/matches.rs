//! Matches as cards to be looked at: one for each content of a suspect and each work it is a copy of, however often and
//! by however many scans it was met.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use redb::{ReadTransaction, ReadableTable, Table, WriteTransaction};
use serde::{Deserialize, Serialize};
use timemark_ingest::{Scanned, Thumbnail};
use timemark_verify::{ContentId, FormatError};
use utoipa::ToSchema;

use crate::clock::utc;
use crate::domains::{above, host, reversed};
use crate::error::ReviewError;
use crate::found::MatchJson;
use crate::job::{Job, transform};
use crate::result::{GeometryJson, ResultJson};
use crate::review::Review;
use crate::seen::Brief;
use crate::store::{
    BRIEFS, BriefRow, DOMAINS, Failure, HOSTS, IN_JOB, MATCHES, NUMBERS, OF_JOB, OF_SUSPECT,
    PICTURES, REJECTED, SIGHTINGS, SITES, STANDINGS, STATE, damaged, parse, to_bytes,
};

/// The id of a match: it follows from the two contents.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MatchId(String);

impl MatchId {
    fn of(suspect: &ContentId, work: &ContentId) -> MatchId {
        let digest = ContentId::of(format!("{suspect}\0{work}").as_bytes()).sha256_hex();
        MatchId(digest.chars().take(MatchId::CHARS).collect())
    }

    /// As it is spelled.
    pub fn text(&self) -> &str {
        &self.0
    }

    const CHARS: usize = 32;
}

impl FromStr for MatchId {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<MatchId, FormatError> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == MatchId::CHARS && text.bytes().all(is_hex) {
            return Ok(MatchId(text.to_owned()));
        }
        Err(FormatError::new("the id of a match", "it is 32 digits of lower-case hex"))
    }
}

impl fmt::Display for MatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A suspect's content that is a copy of a work.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Match {
    /// Its id.
    pub id: MatchId,
    /// How many were found before it, and one.
    pub number: u64,
    /// The id of the suspect's bytes.
    pub suspect: String,
    /// How the suspect was called where it was met first.
    pub name: String,
    /// Where a web archive had it from then.
    pub url: Option<String>,
    /// The scan that found it last.
    pub scan: u64,
    /// When it was found first, in seconds since 1970.
    pub found: u64,
    /// What the last scan found.
    pub finding: MatchJson,
    /// How the work lies in the suspect.
    pub geometry: Option<GeometryJson>,
    /// Why there is no small picture of the suspect.
    pub no_picture: Option<String>,
    /// How often the suspect was met.
    pub sightings: u64,
    /// How often from which host; not more hosts than are kept.
    hosts: BTreeMap<String, u64>,
    /// How often from elsewhere.
    elsewhere: u64,
    /// Whether every place where it was met is on a domain of the list.
    pub is_allowed: bool,
    /// What was decided and not undone, the last at the end.
    pub(crate) decisions: Vec<Decision>,
}

/// What somebody decided.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Decision {
    /// What the match is.
    pub verdict: Verdict,
    /// Why, if somebody said.
    pub note: Option<String>,
    /// Who decided.
    pub actor: String,
    /// When, in seconds since 1970.
    pub time: u64,
    /// The entry of the log that tells of it.
    pub entry: Option<u64>,
}

/// What a person may say of a match.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = MatchVerdict)]
pub enum Verdict {
    /// A copy that should not be there.
    Infringing,
    /// A copy that may be there.
    Licensed,
    /// No copy.
    NoMatch,
    /// To be looked at by somebody else.
    Unsure,
}

/// How a match stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody looked at it yet.
    Open,
    /// Somebody decided.
    Decided(Verdict),
    /// Nobody has to look at it.
    AllowListed,
}

impl Verdict {
    /// As it is spelled.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Infringing => "infringing",
            Verdict::Licensed => "licensed",
            Verdict::NoMatch => "no-match",
            Verdict::Unsure => "unsure",
        }
    }
}

impl Standing {
    pub(crate) fn code(self) -> u8 {
        match self {
            Standing::Open => 0,
            Standing::Decided(Verdict::Infringing) => 1,
            Standing::Decided(Verdict::Licensed) => 2,
            Standing::Decided(Verdict::NoMatch) => 3,
            Standing::Decided(Verdict::Unsure) => 4,
            Standing::AllowListed => 5,
        }
    }
}

impl Match {
    /// The decision that counts.
    pub fn decision(&self) -> Option<&Decision> {
        self.decisions.last()
    }

    /// What was done to the work, as the counts of a job have it.
    pub fn transform(&self) -> &'static str {
        transform(&self.finding)
    }

    /// How it stands: what a person decided counts before the list.
    pub fn standing(&self) -> Standing {
        match self.decision() {
            Some(decision) => Standing::Decided(decision.verdict),
            None if self.is_allowed => Standing::AllowListed,
            None => Standing::Open,
        }
    }
}

/// A place where the suspect of a match was met.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Sighting {
    /// The scan that met it.
    pub scan: u64,
    /// How it was called there.
    pub name: String,
    /// Where a web archive had it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When, as the web archive spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

impl Sighting {
    /// Where the suspect of a result was met.
    pub(crate) fn of(scan: u64, result: &ResultJson) -> Sighting {
        let ResultJson { suspect, url, date, .. } = result;
        Sighting { scan, name: suspect.clone(), url: url.clone(), date: date.clone() }
    }
}

impl Review {
    /// A match, with the first places where its suspect was met.
    pub fn match_by_id(&self, id: &MatchId) -> Result<(Match, Vec<Sighting>), ReviewError> {
        self.store.read(|tx| {
            let found = read(tx, id)?;
            let sightings = tx.open_table(SIGHTINGS)?;
            let all = sightings.range((id.text(), 0)..=(id.text(), u64::MAX))?;
            let first = all.take(SIGHTINGS_TOLD_MAX).map(|sighting| parse(sighting?.1.value()));
            Ok((found, first.collect::<Result<_, _>>()?))
        })
    }

    /// The small JPEG of a suspect, if there is one.
    pub fn picture(&self, suspect: &str) -> Result<Option<Vec<u8>>, ReviewError> {
        self.store.read(|tx| {
            let pictures = tx.open_table(PICTURES)?;
            Ok(pictures.get(suspect)?.map(|jpeg| jpeg.value().to_vec()))
        })
    }
}

pub(crate) fn read(tx: &ReadTransaction, id: &MatchId) -> Result<Match, Failure> {
    let matches = tx.open_table(MATCHES)?;
    let bytes = matches.get(id.text())?.ok_or(Failure::Refused(ReviewError::NoMatch))?;
    parse(bytes.value())
}

pub(crate) fn missing(id: &str) -> Failure {
    damaged(format!("the match {id} is missing"))
}

/// A suspect that was met, and a work that was found in it.
pub(crate) struct Meeting<'a> {
    pub suspect: &'a ContentId,
    pub sighting: &'a Sighting,
    pub finding: MatchJson,
    pub geometry: Option<GeometryJson>,
    pub thumbnail: &'a Thumbnail,
}

/// What changes with matches, open for a transaction.
pub(crate) struct Tables<'t> {
    state: Table<'t, &'static str, u64>,
    matches: Table<'t, &'static str, &'static [u8]>,
    numbers: Table<'t, u64, &'static str>,
    standings: Table<'t, (u8, u64), &'static str>,
    of_job: Table<'t, (u64, u64), &'static str>,
    in_job: Table<'t, (u64, &'static str), ()>,
    sightings: Table<'t, (&'static str, u64), &'static [u8]>,
    pictures: Table<'t, &'static str, &'static [u8]>,
    hosts: Table<'t, (&'static str, &'static str), ()>,
    domains: Table<'t, &'static str, &'static [u8]>,
    of_suspect: Table<'t, (&'static str, &'static str), ()>,
    rejected: Table<'t, (u64, &'static str), ()>,
    briefs: Table<'t, &'static str, BriefRow>,
    sites: Table<'t, (u64, &'static str, &'static str), ()>,
}

impl<'t> Tables<'t> {
    pub fn open(tx: &'t WriteTransaction) -> Result<Tables<'t>, Failure> {
        Ok(Tables {
            state: tx.open_table(STATE)?,
            matches: tx.open_table(MATCHES)?,
            numbers: tx.open_table(NUMBERS)?,
            standings: tx.open_table(STANDINGS)?,
            of_job: tx.open_table(OF_JOB)?,
            in_job: tx.open_table(IN_JOB)?,
            sightings: tx.open_table(SIGHTINGS)?,
            pictures: tx.open_table(PICTURES)?,
            hosts: tx.open_table(HOSTS)?,
            domains: tx.open_table(DOMAINS)?,
            of_suspect: tx.open_table(OF_SUSPECT)?,
            rejected: tx.open_table(REJECTED)?,
            briefs: tx.open_table(BRIEFS)?,
            sites: tx.open_table(SITES)?,
        })
    }

    pub fn get(&self, id: &str) -> Result<Option<Match>, Failure> {
        let bytes = self.matches.get(id)?;
        bytes.map(|bytes| parse(bytes.value())).transpose()
    }

    /// Puts a match back that stood so before; `None` for a new one.
    pub fn put(&mut self, found: &Match, before: Option<Standing>) -> Result<(), Failure> {
        let (id, number, standing) = (found.id.text(), found.number, found.standing());
        self.matches.insert(id, &to_bytes(found)?[..])?;
        if before != Some(standing) {
            if let Some(before) = before {
                self.standings.remove((before.code(), number))?;
            }
            self.standings.insert((standing.code(), number), id)?;
        }
        // Whenever it is met again, its suspect may have been kept anew.
        if let (Standing::Decided(Verdict::NoMatch), Some(decision)) = (standing, found.decision())
        {
            self.rejected.insert((decision.time, id), ())?;
        }
        Ok(())
    }

    /// Whether every place where the suspect was met is on a domain of the list. One that is not is one too many.
    pub fn are_all_allowed(&self, found: &Match) -> Result<bool, Failure> {
        if found.elsewhere > 0 {
            return Ok(false);
        }
        for host in found.hosts.keys() {
            let mut is_allowed = false;
            for domain in above(host) {
                is_allowed |= self.domains.get(domain)?.is_some();
            }
            if !is_allowed {
                return Ok(false);
            }
        }
        Ok(!found.hosts.is_empty())
    }

    /// Takes in what a job found in a suspect, as its result tells.
    pub fn take_in(
        &mut self,
        job: &mut Job,
        scanned: &Scanned,
        result: &ResultJson,
        now: u64,
    ) -> Result<(), Failure> {
        let Some(suspect) = &scanned.content else { return Ok(()) };
        let sighting = Sighting::of(job.id, result);
        for (finding, found) in result.matches.iter().zip(scanned.outcome.matches()) {
            let geometry = found.geometry.as_ref().map(GeometryJson::of);
            let (finding, thumbnail) = (finding.clone(), &scanned.thumbnail);
            let meeting = Meeting { suspect, sighting: &sighting, finding, geometry, thumbnail };
            self.meet(job, meeting, now)?;
        }
        Ok(())
    }

    /// Takes in a work that was found in a suspect of a job.
    pub fn meet(&mut self, job: &mut Job, meeting: Meeting<'_>, now: u64) -> Result<(), Failure> {
        let Meeting { suspect, sighting, mut finding, geometry, thumbnail } = meeting;
        let work: ContentId = finding.work.parse().map_err(damaged)?;
        let (id, text) = (MatchId::of(suspect, &work), suspect.to_string());
        if let Some(Ok(jpeg)) = thumbnail {
            self.pictures.insert(&*text, &jpeg[..])?;
        }
        let known = self.get(id.text())?;
        let is_new = known.is_none();
        let before = known.as_ref().map(Match::standing);
        let mut found = match known {
            Some(mut known) => {
                let is_seen = known.finding.by_codes_alone.is_none();
                // What was seen is told rather than what codes say, and how it came to be known stays.
                if finding.by_codes_alone.is_none() || !is_seen {
                    finding.rematched_at = known.finding.rematched_at.take();
                    (known.finding, known.geometry) = (finding.clone(), geometry);
                }
                known
            }
            None => Match {
                number: self.number(&id)?,
                id,
                suspect: text,
                name: sighting.name.clone(),
                url: sighting.url.clone(),
                scan: job.id,
                found: now,
                finding: finding.clone(),
                geometry,
                no_picture: None,
                sightings: 0,
                hosts: BTreeMap::new(),
                elsewhere: 0,
                is_allowed: false,
                decisions: Vec::new(),
            },
        };
        found.scan = job.id;
        match thumbnail {
            Some(Ok(_)) => found.no_picture = None,
            // One of before is good for the same bytes.
            Some(Err(_)) if self.pictures.get(&*found.suspect)?.is_some() => {
                found.no_picture = None
            }
            Some(Err(reason)) => found.no_picture = Some(reason.clone()),
            None => {} // these bytes came before
        }
        let id = found.id.text();
        if found.sightings < SIGHTINGS_MAX {
            self.sightings.insert((id, found.sightings), &to_bytes(sighting)?[..])?;
        }
        found.sightings += 1;
        match sighting.url.as_deref().and_then(host) {
            Some(host) if found.hosts.contains_key(&host) || found.hosts.len() < HOSTS_MAX => {
                let reversed = reversed(&host);
                self.hosts.insert((&*reversed, id), ())?;
                self.sites.insert((job.id, &*reversed, id), ())?;
                *found.hosts.entry(host).or_default() += 1;
            }
            _ => found.elsewhere += 1,
        }
        if is_new {
            let brief = Brief { number: found.number, work, is_exact: *suspect == work };
            self.briefs.insert(id, brief.row())?;
        }
        self.of_suspect.insert((&*found.suspect, id), ())?;
        found.is_allowed = self.are_all_allowed(&found)?;
        if self.in_job.insert((job.id, found.id.text()), ())?.is_none() {
            job.count_match(&finding);
            self.of_job.insert((job.id, job.matches), found.id.text())?;
        }
        self.put(&found, before)
    }

    /// Has a suspect that is told of be a copy of what the job found in the same bytes since they were compared.
    pub fn join(
        &mut self,
        job: &mut Job,
        suspect: &ContentId,
        result: &mut ResultJson,
        now: u64,
    ) -> Result<(), Failure> {
        let text = suspect.to_string();
        let mut ids = Vec::new();
        for pair in self.of_suspect.range((&*text, "")..)? {
            let (key, _) = pair?;
            let (content, id) = key.value();
            if content != text {
                break;
            }
            if self.in_job.get((job.id, id))?.is_some() {
                ids.push(id.to_owned());
            }
        }
        let sighting = Sighting::of(job.id, result);
        for id in ids {
            let found = self.get(&id)?.ok_or_else(|| missing(&id))?;
            let (mut finding, geometry, thumbnail) = (found.finding, found.geometry, &None);
            if result.tells_of(&finding.work) {
                continue;
            }
            finding.rematched_at.get_or_insert_with(|| utc(now));
            result.matches.push(finding.clone());
            let meeting = Meeting { suspect, sighting: &sighting, finding, geometry, thumbnail };
            self.meet(job, meeting, now)?;
        }
        Ok(())
    }

    fn number(&mut self, id: &MatchId) -> Result<u64, Failure> {
        let number = self.state.get("matches")?.map_or(0, |number| number.value()) + 1;
        self.state.insert("matches", number)?;
        self.numbers.insert(number, id.text())?;
        Ok(number)
    }
}

/// Places that are kept of a match, and told.
const SIGHTINGS_MAX: u64 = 10_000;
pub(crate) const SIGHTINGS_TOLD_MAX: usize = 100;
/// Hosts that are kept of a match; what comes from more is looked at by a person.
const HOSTS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling_and_follows_from_both_contents() {
        let (a, b) = (ContentId::of(b"a"), ContentId::of(b"b"));
        let id = MatchId::of(&a, &b);
        assert_eq!(id.to_string().parse::<MatchId>().unwrap(), id);
        assert_ne!(MatchId::of(&b, &a), id);
        for bad in ["", "x", &id.text().to_uppercase(), &id.text()[1..], &format!("{id}0"), "../a"]
        {
            assert!(bad.parse::<MatchId>().is_err(), "{bad}");
        }
    }
}
