//! Catalogues: sheets saved as CSV whose rows name works and what is claimed of them.
//!
//! Rows come one at a time, each with the line on which it begins; what cannot be read is an error of its row. What the
//! files are, and who registers them, is not known here.

mod rows;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, Hash, RandomState};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use timemark_ingest::check_texts;

use crate::registering::Words;
use rows::{Raw, Rows};

/// A catalogue, open and below its header.
pub(crate) struct Catalogue<R = BufReader<File>> {
    rows: Rows<R>,
    columns: Vec<Option<Column>>,
    seen: Seen,
    failure: Option<io::Error>,
    bytes: u64,
}

/// A row that says something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its length in the file, with empty lines before it.
    pub bytes: u64,
    pub listed: Result<Listed, BadRow>,
}

/// A work as a catalogue lists it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Listed {
    pub path: PathBuf,
    pub words: Words,
}

/// A row that lists nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRow {
    /// `None` where the row cannot be read so far.
    pub path: Option<PathBuf>,
    pub reason: String,
}

impl Catalogue {
    /// Opens a catalogue and reads its header.
    pub fn open(path: &Path, ignore_unknown_columns: bool) -> Result<Catalogue> {
        let open = || {
            let is_file = std::fs::metadata(path)?.is_file();
            ensure!(is_file, "it is not a regular file"); // opening a pipe could wait for ever
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            Catalogue::read(BufReader::new(file), bytes, ignore_unknown_columns)
        };
        open().with_context(|| path.display().to_string())
    }
}

impl<R: BufRead + Seek> Catalogue<R> {
    fn read(mut input: R, bytes: u64, ignore_unknown_columns: bool) -> Result<Catalogue<R>> {
        let mut start = Vec::new();
        input.by_ref().take(HEADER_BYTES_MAX).read_to_end(&mut start)?;
        if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
            bail!("it is UTF-16; {SAVE_AS}");
        }
        ensure!(!start.contains(&0), "it is no text in UTF-8; {SAVE_AS}");
        let mark = if start.starts_with(UTF_8_MARK) { UTF_8_MARK.len() } else { 0 };
        let delimiter = delimiter(&start[mark..]);
        input.seek(SeekFrom::Start(mark as u64))?;

        let mut rows = Rows::new(input, mark as u64, delimiter);
        let header = match rows.next()? {
            None => bail!("it is empty; its first line must name the columns: {}", Column::names()),
            Some(Raw { line, fault: Some(fault), .. }) => bail!("line {line}: {fault}"),
            Some(header) => header,
        };
        let columns = columns(&rows.fields(&header), ignore_unknown_columns)
            .with_context(|| format!("line {}", header.line))?;
        Ok(Catalogue { rows, columns, seen: Seen::default(), failure: None, bytes })
    }

    /// The catalogue's length in bytes: the sum of its rows, and of its header.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What kept the catalogue from being read to its end.
    pub fn finish(self) -> Result<()> {
        match self.failure {
            Some(error) => Err(error).context("the catalogue cannot be read to its end"),
            None => Ok(()),
        }
    }

    fn listed(&mut self, raw: &Raw) -> Option<Result<Listed, BadRow>> {
        let bad = |path: PathBuf, reason: String| {
            let path = Some(path).filter(|path| !path.as_os_str().is_empty());
            Some(Err(BadRow { path, reason }))
        };
        if let Some(fault) = raw.fault {
            return bad(PathBuf::new(), fault.to_owned());
        }
        let fields = self.rows.fields(raw);
        if fields.iter().all(|field| field.trim_ascii().is_empty()) {
            return None; // sheets end with rows of nothing but delimiters
        }
        let Some(fields) = utf8(&fields) else {
            return bad(PathBuf::new(), format!("it is not UTF-8; {SAVE_AS}"));
        };
        let mut path = PathBuf::new();
        let mut words = Words::default();
        for (column, field) in self.columns.iter().zip(&fields) {
            let said = (!field.trim().is_empty()).then(|| (*field).to_owned());
            match column {
                Some(Column::Path) => path = PathBuf::from(said.unwrap_or_default()),
                Some(Column::Title) => words.title = said,
                Some(Column::Claimant) => words.claimant = said,
                Some(Column::Created) => words.created = said,
                Some(Column::Rights) => words.rights = said,
                Some(Column::Collection) => words.collection = said,
                None => {}
            }
        }
        if fields.len() != self.columns.len() {
            let (few, columns) = (fields.len(), self.columns.len());
            return bad(path, format!("the row has {few} fields and the header {columns}"));
        }
        if path.as_os_str().is_empty() {
            return bad(path, "the row names no path".to_owned());
        }
        // What does not get into the log must not stand in the way of a better row.
        if let Err(error) = check_texts(&words.submission()) {
            return bad(path, error.to_string());
        }
        let listed = Listed { path, words };
        match self.seen.differs(&listed, raw.line) {
            Some(line) => {
                let reason = format!("line {line} lists it already, with other values");
                bad(listed.path, reason)
            }
            None => Some(Ok(listed)),
        }
    }
}

impl<R: BufRead + Seek> Iterator for Catalogue<R> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        // Many threads ask; after a failure nobody knows where the next row would begin.
        while self.failure.is_none() {
            let raw = match self.rows.next() {
                Ok(raw) => raw?,
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            };
            if let Some(listed) = self.listed(&raw) {
                return Some(Row { line: raw.line, bytes: raw.bytes, listed });
            }
        }
        None
    }
}

/// What a catalogue can say of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Path,
    Title,
    Claimant,
    Created,
    Rights,
    Collection,
}

impl Column {
    const ALL: [(&str, Column); 6] = [
        ("path", Column::Path),
        ("title", Column::Title),
        ("claimant", Column::Claimant),
        ("created", Column::Created),
        ("rights", Column::Rights),
        ("collection", Column::Collection),
    ];

    fn names() -> String {
        Column::ALL.map(|(name, _)| name).join(", ")
    }

    fn named(name: &[u8]) -> Option<Column> {
        let name = name.trim_ascii();
        Column::ALL.iter().find(|(own, _)| name.eq_ignore_ascii_case(own.as_bytes())).map(|c| c.1)
    }
}

/// What the columns of a header are; `None` for one that is ignored.
fn columns(header: &[&[u8]], ignore_unknown: bool) -> Result<Vec<Option<Column>>> {
    let names = utf8(header).with_context(|| format!("it is not UTF-8; {SAVE_AS}"))?;
    let mut unknown = Vec::new();
    let mut columns: Vec<Option<Column>> = Vec::new();
    for (number, name) in (1..).zip(names) {
        let column = Column::named(name.as_bytes());
        match column {
            Some(_) if columns.contains(&column) => {
                bail!("there are two columns {:?}", name.trim().to_ascii_lowercase());
            }
            None if name.trim().is_empty() => {
                unknown.push(format!("number {number}, without name"))
            }
            None => unknown.push(format!("{:?}", name.trim())),
            Some(_) => {}
        }
        columns.push(column);
    }
    ensure!(
        columns.contains(&Some(Column::Path)),
        "the header has no column \"path\"; the columns are {}, in any order",
        Column::names()
    );
    ensure!(
        ignore_unknown || unknown.is_empty(),
        "unknown columns: {}; known are {}; --ignore-unknown-columns passes over the others",
        unknown.join(", "),
        Column::names()
    );
    Ok(columns)
}

/// The delimiter with which the first line names most columns.
fn delimiter(start: &[u8]) -> u8 {
    let mut best = (0, DELIMITERS[0]);
    for delimiter in DELIMITERS {
        let mut rows = Rows::new(Cursor::new(start), 0, delimiter);
        let Ok(Some(header)) = rows.next() else { continue };
        let known =
            rows.fields(&header).iter().filter(|name| Column::named(name).is_some()).count();
        if known > best.0 {
            best = (known, delimiter);
        }
    }
    best.1
}

fn utf8<'a>(fields: &[&'a [u8]]) -> Option<Vec<&'a str>> {
    fields.iter().map(|field| str::from_utf8(field).ok()).collect()
}

/// What earlier rows said of a path: digests only, 40 bytes or so a row. Of the same bytes by the same claimant, the
/// log takes what is said first, and rows are registered many at a time: which is first would be chance.
#[derive(Default)]
struct Seen {
    hashers: [RandomState; 2],
    paths: HashMap<[u64; 2], (u64, u64)>,
}

impl Seen {
    /// The line that listed the same path with other values.
    fn differs(&mut self, listed: &Listed, line: u64) -> Option<u64> {
        let path: PathBuf = listed.path.components().collect(); // ./a is a
        // Two digests: one of 64 bits could fall together by chance among a million rows.
        let key = [&self.hashers[0], &self.hashers[1]].map(|hasher| hasher.hash_one(&path));
        let values = self.hashers[0].hash_one(&listed.words);
        match self.paths.get(&key) {
            Some(&(earlier, line)) => (earlier != values).then_some(line),
            None if self.paths.len() < COMPARED_ROWS_MAX => {
                self.paths.insert(key, (values, line));
                None
            }
            None => None,
        }
    }
}

/// What begins a file of UTF-8 as some programs save it.
const UTF_8_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Spreadsheets write what is usual where their user lives.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
const SAVE_AS: &str = "save the sheet as CSV UTF-8";
/// How much of the beginning shows encoding and delimiter.
const HEADER_BYTES_MAX: u64 = 64 << 10;
/// Rows whose paths are compared with each other; what is beyond is registered as it comes. 80 MB at most.
const COMPARED_ROWS_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::rows::{FIELDS_MAX, ROW_BYTES_MAX};
    use super::*;

    fn open(text: impl AsRef<[u8]>) -> Result<Catalogue<Cursor<Vec<u8>>>> {
        let text = text.as_ref().to_vec();
        let bytes = text.len() as u64;
        Catalogue::read(Cursor::new(text), bytes, false)
    }

    fn open_error(text: impl AsRef<[u8]>) -> String {
        format!("{:#}", open(text).err().unwrap())
    }

    /// `line path|title|claimant|created|rights|collection` or `line path: error`.
    fn rows(text: impl AsRef<[u8]>) -> Vec<String> {
        open(text).unwrap().map(|row| words(&row)).collect()
    }

    fn words(row: &Row) -> String {
        let line = row.line;
        match &row.listed {
            Ok(Listed { path, words }) => {
                let Words { title, claimant, created, rights, collection } = words;
                let said = [title, claimant, created, rights, collection]
                    .map(|said| said.as_deref().unwrap_or("-"));
                format!("{line} {}|{}", path.display(), said.join("|"))
            }
            Err(BadRow { path, reason }) => {
                let path = path.clone().unwrap_or_default();
                format!("{line} {}: {reason}", path.display())
            }
        }
    }

    #[test]
    fn columns_come_in_any_order_and_an_empty_cell_says_nothing() {
        let text = " Rights ,PATH,title,collection,created,claimant\nAll,a.jpg,山水,Spring,2026,Zhang Wei\n,b.jpg,,, ,\n";
        assert_eq!(rows(text), ["2 a.jpg|山水|Zhang Wei|2026|All|Spring", "3 b.jpg|-|-|-|-|-"]);
        assert_eq!(rows("path\na, b.jpg\n").len(), 1);
    }

    #[test]
    fn sheets_of_every_country_are_read() {
        for text in [
            "path,title\na.jpg,T; U\n",
            "\u{FEFF}path,title\r\na.jpg,T; U\r\n",
            "path;title\na.jpg;\"T; U\"",
            "\"path\"\t\"title\"\r\r\na.jpg\tT; U\r\n\n\n",
            "path,title\ra.jpg,T; U\r",
            "title;path\n\"T; U\";a.jpg\n;\n",
        ] {
            let rows = rows(text);
            let [row] = &rows[..] else { panic!("{text:?}: {rows:?}") };
            assert!(row.ends_with(" a.jpg|T; U|-|-|-|-"), "{text:?}: {row}");
        }
    }

    #[test]
    fn a_row_has_the_line_on_which_it_begins_however_lines_end() {
        for end in ["\n", "\r\n", "\r"] {
            let text =
                "path,title\n\na,\"one\ntwo\n\"\"three\"\"\"\n\n\nb,x\nc,\"\"\n".replace('\n', end);
            let quoted = format!("3 a|one{end}two{end}\"three\"|-|-|-|-");
            assert_eq!(rows(&text), [&quoted, "8 b|x|-|-|-|-", "9 c|-|-|-|-|-"], "{end:?}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_is_told() {
        let utf16: Vec<u8> =
            "\u{FEFF}path,title\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (text, error) in [
            (&b""[..], "it is empty; its first line must name the columns: path, title, "),
            (b"\n\n", "it is empty"),
            (b"a.jpg,Title\n", "line 1: the header has no column \"path\""),
            (
                b"path,mood,,Size \n",
                "line 1: unknown columns: \"mood\", number 3, without name, \"Size\"; known are path, ",
            ),
            (b"path,title,Title\n", "line 1: there are two columns \"title\""),
            (b"path,\xE9t\xE9\n", "line 1: it is not UTF-8; save the sheet as CSV UTF-8"),
            (b"path,\"title\na.jpg,x\n", "line 1: a quote is never closed"),
            (&utf16, "it is UTF-16; save the sheet as CSV UTF-8"),
            (&utf16[2..], "it is no text in UTF-8; save the sheet"),
            (b"PK\x03\x04\0\0", "it is no text in UTF-8; save the sheet"),
        ] {
            let said = open_error(text);
            assert!(said.starts_with(error), "{said}");
        }
        assert!(Catalogue::open(Path::new("/nowhere.csv"), false).is_err());
        let folder = Catalogue::open(Path::new("/"), false).err().unwrap();
        assert_eq!(format!("{folder:#}"), "/: it is not a regular file");
    }

    #[test]
    fn unknown_columns_are_passed_over_where_that_is_wanted() {
        let text = "mood,path\nblue,a.jpg\n";
        let catalogue = Catalogue::read(Cursor::new(text), 0, true).unwrap();
        assert_eq!(catalogue.map(|row| words(&row)).collect::<Vec<_>>(), ["2 a.jpg|-|-|-|-|-"]);
    }

    #[test]
    fn a_bad_row_costs_itself() {
        let long = "x".repeat(ROW_BYTES_MAX);
        let many = ",".repeat(FIELDS_MAX);
        for (bad, error) in [
            ("b.jpg".as_bytes(), "2 b.jpg: the row has 1 fields and the header 2"),
            (b"b.jpg,T,", "2 b.jpg: the row has 3 fields and the header 2"),
            (b",T", "2 : the row names no path"),
            (b"b.jpg,caf\xE9", "2 : it is not UTF-8; save the sheet as CSV UTF-8"),
            (b"b.jpg,\"T", "2 : a quote is never closed"),
            (b"\"b.jpg,T", "2 : a quote is never closed"),
            (b"b.jpg,\"T\" or \"U\"", "2 : a quote is closed in the middle of a field"),
            (long.as_bytes(), "2 : the row is longer than 256 KiB"),
            (many.as_bytes(), "2 : the row has more than 256 fields"),
        ] {
            let text = [b"path,title\n", bad, b"\nc.jpg,U\n"].concat();
            let rows = rows(&text);
            assert!(rows[0].starts_with(error), "{rows:.99?}");
            assert_eq!(rows[1..], ["3 c.jpg|U|-|-|-|-"], "{error}");
        }
    }

    #[test]
    fn a_quote_that_the_next_row_seems_to_close_swallows_nothing() {
        let rows = rows("path,title\na,\"T\nb,\"U\"\nc,\"V\nd,W\n");
        assert!(rows[0].starts_with("2 : a quote is closed in the middle"), "{rows:?}");
        assert_eq!(rows[1], "3 b|U|-|-|-|-");
        assert!(rows[2].starts_with("4 : a quote is never closed"), "{rows:?}");
        assert_eq!(rows[3..], ["5 d|W|-|-|-|-"]);
    }

    #[test]
    fn a_text_is_no_longer_than_a_claim_takes_it() {
        let (long, longer) = ("%".repeat((16 << 10) / 3), "%".repeat((16 << 10) / 3 + 1));
        let rows = rows(format!("path,rights\na,{longer}\na,{long}\n"));
        assert_eq!(rows[0], "2 a: its rights takes more than 16384 bytes");
        assert!(rows[1].starts_with("3 a|-|-|-|%%%"), "spelled, a per cent sign takes three bytes");
    }

    #[test]
    fn one_path_with_two_stories_is_an_error() {
        let rows = rows("path,title\na,T\nb,T\n./a,T\na,U\n");
        assert_eq!(rows[2], "4 ./a|T|-|-|-|-", "the same again is a duplicate");
        assert_eq!(rows[3], "5 a: line 2 lists it already, with other values");
    }

    #[test]
    fn the_bytes_of_the_rows_are_those_of_the_file() {
        let text = "path,title\n\na,T\r\nb\n\"c,d\n\"e\",\"f\ng\"\n";
        let catalogue = open(text).unwrap();
        let rows: u64 = catalogue.map(|row| row.bytes).sum();
        assert!(
            text.len() as u64 - 11 - rows <= 2,
            "all but the header and what ends the last row"
        );
    }

    proptest! {
        #[test]
        fn what_a_sheet_holds_is_read_as_it_is(
            cells in proptest::collection::vec(("[a-z\"]{1,9}", "[a-z,;\t\r\n\"山 ]{0,20}"), 1..20),
            delimiter in 0..3usize,
            end in 0..2usize,
        ) {
            let (delimiter, end) = (char::from(DELIMITERS[delimiter]), ["\n", "\r\n"][end]);
            let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
            let mut text = format!("path{delimiter}title{end}");
            for (number, (path, title)) in cells.iter().enumerate() {
                let path = format!("{number}{path}");
                text += &format!("{}{delimiter}{}{end}", quoted(&path), quoted(title));
            }
            let read: Vec<Row> = open(&text).unwrap().collect();
            prop_assert_eq!(read.len(), cells.len());
            for (number, (row, (path, title))) in read.iter().zip(&cells).enumerate() {
                let listed = row.listed.as_ref().unwrap();
                let title = Some(title.clone()).filter(|title| !title.trim().is_empty());
                prop_assert_eq!(&listed.path, &PathBuf::from(format!("{number}{path}")));
                prop_assert_eq!(&listed.words.title, &title);
            }
        }

        #[test]
        fn no_bytes_panic_and_each_row_begins_below_the_one_before(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), Just(b'a'), any::<u8>(),
            ], 0..200),
        ) {
            let text = [b"path,title\n", &bytes[..]].concat();
            let Ok(catalogue) = open(&text) else { return Ok(()) };
            let mut line = 1;
            for row in catalogue {
                prop_assert!(row.line > line, "{} after {line}", row.line);
                line = row.line;
            }
        }
    }
}
