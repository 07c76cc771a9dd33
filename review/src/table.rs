//! The results of a scan for spreadsheets: a row for each suspect and work, and one for each suspect with none.

use crate::found::MatchJson;
use crate::result::ResultJson;

/// The headings as a line (RFC 4180).
pub fn headings() -> String {
    row(&HEADINGS.map(str::to_owned))
}

/// The lines of a suspect.
pub fn rows(result: &ResultJson) -> String {
    let copies = result.matches.iter().map(|work| ("copy", work));
    let related = result.related.iter().map(|work| ("shares elements", work));
    let works: Vec<_> = copies.chain(related).collect();
    if works.is_empty() {
        return row(&cells(result, None));
    }
    works.into_iter().map(|work| row(&cells(result, Some(work)))).collect()
}

fn cells(result: &ResultJson, work: Option<(&str, &MatchJson)>) -> [String; HEADINGS.len()] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let of_work = |cell: &dyn Fn(&MatchJson) -> String| work.map_or(String::new(), |w| cell(w.1));
    let number = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
    let count = |count: Option<u32>| count.map_or(String::new(), |count| count.to_string());
    [
        result.suspect.clone(),
        text(&result.url),
        text(&result.date),
        result.status.clone(),
        work.map_or(String::new(), |(relation, _)| relation.to_owned()),
        of_work(&|work| text(&work.file)),
        of_work(&|work| text(&work.title)),
        of_work(&|work| text(&work.claimant)),
        of_work(&|work| work.index.to_string()),
        of_work(&|work| work.work.clone()),
        of_work(&|work| work.score.to_string()),
        of_work(&|work| text(&work.strength)),
        of_work(&|work| work.method.clone()),
        of_work(&|work| count(work.distance)),
        of_work(&|work| count(work.inliers)),
        of_work(&|work| text(&work.transform)),
        of_work(&|work| number(work.overlap)),
        of_work(&|work| number(work.overlap_suspect)),
        text(&result.error),
    ]
}

fn row(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| spelled(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell in quotes where it needs them. Names are hostile: what a spreadsheet would compute gets an apostrophe before it
/// (OWASP, CSV injection).
fn spelled(cell: &str) -> String {
    let computed = cell.starts_with(COMPUTED) && cell.parse::<f64>().is_err();
    let cell = if computed { format!("'{cell}") } else { cell.to_owned() };
    // Some split at semicolons and tabs as well.
    if cell.contains(['"', ',', ';', '\t', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

/// What makes a spreadsheet compute a cell that begins with it.
const COMPUTED: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
const HEADINGS: [&str; 19] = [
    "suspect",
    "url",
    "date",
    "status",
    "relation",
    "work_file",
    "title",
    "claimant",
    "entry",
    "work",
    "score",
    "strength",
    "method",
    "distance",
    "inliers",
    "transform",
    "overlap_work",
    "overlap_suspect",
    "error",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_computed() {
        for (cell, expected) in [
            ("plain name.jpg", "plain name.jpg"),
            ("a,b", "\"a,b\""),
            ("say \"so\"", "\"say \"\"so\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("a;=1+1", "\"a;=1+1\""),
            ("＝1+1", "'＝1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-", "'-"),
            ("-0.5", "-0.5"),
            ("", ""),
        ] {
            assert_eq!(spelled(cell), expected);
        }
    }
}
