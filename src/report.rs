use std::path::{Path, PathBuf};
use timemark_ingest::{Engine, Outcome, Summary};
pub(crate) struct Report;
impl Report {
    pub(crate) fn new() -> Report {
        Report
    }
    pub(crate) fn add(&self, _: &Path, _: &Outcome) {}
    pub(crate) fn write(
        self,
        d: &Path,
        _: &Engine,
        _: &Summary,
        _: f64,
    ) -> anyhow::Result<PathBuf> {
        Ok(d.into())
    }
}
