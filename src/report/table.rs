//! The results of a scan for spreadsheets, as a file of its report.

use std::io::{BufWriter, Write};

use anyhow::Result;
use timemark_review::table;

use super::Report;

/// Writes `results.csv` (RFC 4180, UTF-8) into the folder of a report.
pub(super) fn write(report: &Report) -> Result<()> {
    report.save(NAME, |file| {
        let mut out = BufWriter::new(file);
        out.write_all(table::headings().as_bytes())?;
        report.each(|result, _| Ok(out.write_all(table::rows(&result).as_bytes())?))?;
        Ok(out.flush()?)
    })?;
    Ok(())
}

/// What the table is called.
pub(super) const NAME: &str = "results.csv";
