//! `timemark search`: works by their words or by a picture.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Serialize;
use timemark_ingest::{Outcome, ScanOptions, compare};

use crate::open;
use crate::outcome::{
    Answer, MatchJson, copy_words, json_text, legible, print_json, print_line, remark,
};
use crate::verbs::verify::fate_words;

/// Look up works by title, claimant, collection and file name, or by a picture
#[derive(clap::Args)]
pub(crate) struct Search {
    /// Words that must all be there
    #[arg(required_unless_present = "image")]
    text: Vec<String>,
    /// A picture to compare with every work
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    image: Option<PathBuf>,
    /// Most works to list
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct WorkJson {
    work: String,
    index: u64,
    file: Option<String>,
    title: Option<String>,
    claimant: Option<String>,
    /// What became of the claim since.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected_by: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_by: Option<u64>,
}

impl Search {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let engine = open::open_without_signing(archive)?;
        let found = match &self.image {
            Some(image) => self.by_image(image, &engine)?,
            None => self.by_text(&engine)?,
        };
        if found == 0 {
            remark("no work found");
            return Ok(Answer::No);
        }
        Ok(Answer::Yes)
    }

    fn by_text(&self, engine: &timemark_ingest::Engine) -> Result<usize> {
        let found = engine.index.search(&self.text.join(" "), self.limit)?;
        for index in &found {
            let Some(record) = engine.registry.by_index(*index)? else { continue };
            let claim = record.claim.as_ref();
            let fate = engine.amended(*index)?;
            let work = WorkJson {
                work: record.leaf.content.to_string(),
                index: *index,
                file: claim.and_then(|claim| claim.path.as_deref()).map(json_text),
                title: claim.and_then(|claim| claim.title.clone()),
                claimant: claim.and_then(|claim| claim.claimant.clone()),
                corrected_by: fate.corrected_by,
                withdrawn_by: fate.withdrawn_by,
            };
            if self.json {
                print_json(&work)?;
            } else {
                let words = [&work.title, &work.claimant, &work.file];
                let words: Vec<_> = words.into_iter().flatten().map(legible).collect();
                let fate = fate_words(fate).map(|words| format!("  {words}")).unwrap_or_default();
                print_line(&format!("entry {index}  {}{fate}", words.join("  ·  ")))?;
            }
        }
        Ok(found.len())
    }

    fn by_image(&self, image: &Path, engine: &timemark_ingest::Engine) -> Result<usize> {
        let mut findings = match compare(image, engine, ScanOptions::default())? {
            Outcome::Compared { matches, .. } => matches,
            Outcome::Undecidable => bail!("{} has too little detail to tell", image.display()),
            Outcome::Error(reason) => bail!("{}: {reason}", image.display()),
        };
        findings.truncate(self.limit);
        for finding in &findings {
            if self.json {
                print_json(&MatchJson::copy(finding))?;
            } else {
                print_line(&copy_words(finding))?;
            }
        }
        Ok(findings.len())
    }
}
