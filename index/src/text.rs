//! Titles, claimants, collections and paths in tantivy, which is named in this file only.
//!
//! The commit's payload is the number of log entries taken in. Works and payload become durable in
//! one step, so a replay that skips what lies below the payload never adds a work twice.

use std::fs;
use std::ops::Bound::{Excluded, Included};
use std::path::{Path, PathBuf};
use std::vec;

use tantivy::collector::TopDocs;
use tantivy::collector::sort_key::{SortBySimilarityScore, SortByStaticFastValue};
use tantivy::directory::MmapDirectory;
use tantivy::directory::error::OpenReadError;
use tantivy::query::{BooleanQuery, InvertedIndexRangeQuery, Query, TermQuery};
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{
    AsciiFoldingFilter, TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager,
};
use tantivy::{IndexReader, IndexWriter, Order, ReloadPolicy, TantivyDocument, TantivyError, Term};
use timemark_verify::Claim;

use crate::IndexError;

/// The text index, as of the last flush.
pub(crate) struct Text {
    path: PathBuf,
    index: tantivy::Index,
    reader: IndexReader,
    work: Field,
    title: Field,
    claimant: Field,
    file: Field,
}

impl Text {
    pub(crate) fn open(path: &Path) -> Result<(Text, TextWriter), IndexError> {
        fs::create_dir_all(path).map_err(|source| IndexError::file(path, source))?;
        let failed = |error| open_error(path, error);
        let mut schema = Schema::builder();
        let work = schema.add_u64_field(WORK, FAST);
        let words = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqs);
        let words = TextOptions::default().set_indexing_options(words);
        let [title, claimant, file] =
            ["title", "claimant", "path"].map(|name| schema.add_text_field(name, words.clone()));
        let tokenizers = TokenizerManager::default();
        tokenizers.register(TOKENIZER, analyzer(Words { tails: true }));
        let folder = MmapDirectory::open(path).map_err(|error| failed(error.into()))?;
        let builder = tantivy::Index::builder().schema(schema.build()).tokenizers(tokenizers);
        let index = builder.open_or_create(folder).map_err(failed)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual);
        let reader = reader.try_into().map_err(failed)?;
        let text = Text { path: path.to_owned(), index, reader, work, title, claimant, file };
        let len = text.committed_len().map_err(failed)?;
        Ok((text, TextWriter { writer: None, committed: len, len }))
    }

    /// See [`crate::Index::search`]. Works of equal score come in the log's order.
    pub(crate) fn search(&self, query: &str, limit: usize) -> Result<Vec<u64>, IndexError> {
        let query: String = query.chars().take(QUERY_CHARS_MAX).collect();
        let mut analyzer = analyzer(Words { tails: false });
        let mut words = Vec::new();
        analyzer.token_stream(&query).process(&mut |token| words.push(token.text.clone()));
        let searcher = self.reader.searcher();
        let limit = limit.min(searcher.num_docs() as usize);
        let Some(last) = words.last().filter(|_| limit > 0) else { return Ok(Vec::new()) };
        let clauses = words.iter().map(|word| {
            // A lone 山 stands for all words with it; it is a word itself only where a run ends.
            let lone = word.chars().count() == 1 && word.chars().all(is_cjk);
            self.contains(word, lone || word == last)
        });
        let query = BooleanQuery::intersection(clauses.collect());
        let order = (
            (SortBySimilarityScore, Order::Desc),
            (SortByStaticFastValue::<u64>::for_field(WORK), Order::Asc),
        );
        let found = searcher.search(&query, &TopDocs::with_limit(limit).order_by(order));
        let found = found.map_err(|error| self.failed(error))?;
        Ok(found.into_iter().filter_map(|((_, work), _)| work).collect())
    }

    /// Some field has this word, or one that begins so.
    fn contains(&self, word: &str, or_longer: bool) -> Box<dyn Query> {
        let mut queries: Vec<Box<dyn Query>> = Vec::new();
        for field in [self.title, self.claimant, self.file] {
            let term = Term::from_field_text(field, word);
            if or_longer {
                let beyond = Term::from_field_text(field, &format!("{word}{}", char::MAX));
                let range = (Included(term.clone()), Excluded(beyond));
                queries.push(Box::new(InvertedIndexRangeQuery::new(range.0, range.1)));
            }
            queries.push(Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)));
        }
        Box::new(BooleanQuery::union(queries))
    }

    fn document(&self, work: u64, claim: &Claim) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        document.add_u64(self.work, work);
        if let Some(title) = &claim.title {
            document.add_text(self.title, title);
        }
        if let Some(claimant) = &claim.claimant {
            document.add_text(self.claimant, claimant);
        }
        if let Some(collection) = &claim.collection {
            // It weighs as much as a folder of the path. A field of its own would be another schema, for which every
            // index would be rebuilt.
            document.add_text(self.file, collection);
        }
        if let Some(path) = &claim.path {
            // The file's name stands in it twice, so that it weighs more than the folders.
            let path = String::from_utf8_lossy(path);
            document.add_text(self.file, &path);
            document.add_text(self.file, path.rsplit(['/', '\\']).next().unwrap_or_default());
        }
        document
    }

    fn committed_len(&self) -> Result<u64, TantivyError> {
        match self.index.load_metas()?.payload {
            None => Ok(0),
            Some(payload) => payload.parse().map_err(|_| {
                TantivyError::SchemaError(format!("the payload {payload:?} is not a number"))
            }),
        }
    }

    fn failed(&self, error: TantivyError) -> IndexError {
        IndexError::Text { path: self.path.clone(), source: Box::new(error) }
    }
}

/// Adds works. The writer behind it, with its threads and its lock, comes with the first addition:
/// who only reads needs none, and a second writer is refused.
pub(crate) struct TextWriter {
    writer: Option<IndexWriter>,
    committed: u64,
    len: u64,
}

impl TextWriter {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn advance(
        &mut self,
        text: &Text,
        works: &[(u64, &Claim)],
        len: u64,
    ) -> Result<(), IndexError> {
        if len <= self.len {
            return Ok(());
        }
        self.add(text, works, len).map_err(|error| text.failed(error))
    }

    fn add(&mut self, text: &Text, works: &[(u64, &Claim)], len: u64) -> Result<(), TantivyError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let writer = text.index.writer_with_num_threads(1, WRITER_BYTES)?;
                // Another process may have written since this one opened the index.
                self.committed = text.committed_len()?;
                self.len = self.committed;
                self.writer.insert(writer)
            }
        };
        for (work, claim) in works.iter().filter(|(work, _)| (self.len..len).contains(work)) {
            writer.add_document(text.document(*work, claim))?;
        }
        self.len = self.len.max(len);
        Ok(())
    }

    /// Durable and searchable once this returns.
    pub(crate) fn flush(&mut self, text: &Text) -> Result<(), IndexError> {
        self.commit(text).map_err(|error| text.failed(error))
    }

    fn commit(&mut self, text: &Text) -> Result<(), TantivyError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if self.committed < self.len {
            let mut commit = writer.prepare_commit()?;
            commit.set_payload(&self.len.to_string());
            commit.commit()?;
            self.committed = self.len;
        }
        text.reader.reload()
    }
}

impl Drop for TextWriter {
    /// Lets begun merges finish, or many short runs would leave as many segments behind.
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // What fails here is seen, and healed, by the next to open the index.
            let _ = writer.wait_merging_threads();
        }
    }
}

/// The system's refusals are no reason to delete anything; whatever else keeps an index from being
/// opened is in its files.
fn open_error(path: &Path, error: TantivyError) -> IndexError {
    let refused = match &error {
        TantivyError::IoError(error) => error.raw_os_error().is_some(),
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => {
            io_error.raw_os_error().is_some()
        }
        TantivyError::OpenDirectoryError(_)
        | TantivyError::OpenWriteError(_)
        | TantivyError::LockFailure(..)
        | TantivyError::SystemError(_) => true,
        _ => false,
    };
    let (path, source) = (path.to_owned(), Box::new(error));
    if refused {
        IndexError::Text { path, source }
    } else {
        IndexError::Unreadable { path, source }
    }
}

fn analyzer(words: Words) -> TextAnalyzer {
    TextAnalyzer::builder(words).filter(AsciiFoldingFilter).build()
}

/// Splits text into lower-case words, and runs of Chinese, Japanese and Korean, which have no
/// spaces, into overlapping pairs of characters.
#[derive(Clone)]
struct Words {
    /// Whether a run's last character is a word as well, so that a search for one character finds
    /// it in every place. For what is indexed, not for queries.
    tails: bool,
}

fn words(text: &str, tails: bool) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let chars: Vec<char> = text.chars().filter(|&c| !is_accent(c)).collect();
    for run in chars.chunk_by(|&a, &b| Class::of(a) == Class::of(b)) {
        match Class::of(run[0]) {
            Class::Between => {}
            Class::Word => words.push(
                run.iter().flat_map(|c| c.to_lowercase()).filter(|&c| !is_accent(c)).collect(),
            ),
            Class::Cjk => {
                words.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
                if tails || run.len() == 1 {
                    words.extend(run.last().map(char::to_string));
                }
            }
        }
    }
    words
}

#[derive(PartialEq)]
enum Class {
    Between,
    Word,
    Cjk,
}

impl Class {
    fn of(c: char) -> Class {
        match c.is_alphanumeric() {
            false => Class::Between,
            true if is_cjk(c) => Class::Cjk,
            true => Class::Word,
        }
    }
}

/// Han, kana and Hangul.
fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}')
}

/// A mark on the letter before it: file names from some systems spell é as two characters.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}')
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream {
        WordStream { words: words(text, self.tails).into_iter(), token: Token::default() }
    }
}

struct WordStream {
    words: vec::IntoIter<String>,
    token: Token,
}

impl TokenStream for WordStream {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.next() else { return false };
        self.token.text = word;
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

const WORK: &str = "index";
/// The number is of the way text is split: with another, an index is unreadable and is rebuilt.
const TOKENIZER: &str = "timemark-words-1";
/// Memory for additions before they are written out, 15 MB being the least tantivy takes.
const WRITER_BYTES: usize = 30_000_000;
/// What follows in a longer query is ignored.
const QUERY_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::claim;
    use tempfile::TempDir;

    #[test]
    fn text_is_split_into_words_and_pairs() {
        for (text, indexed, asked) in [
            ("富春山水图", "富春 春山 山水 水图 图", "富春 春山 山水 水图"),
            ("IMG_0001.JPG", "img 0001 jpg", "img 0001 jpg"),
            ("山", "山", "山"),
            ("Été cafe\u{301} İ", "été cafe i", "été cafe i"),
            ("iPhone手机", "iphone 手机 机", "iphone 手机"),
            ("ひらがな・カ", "ひら らが がな な カ", "ひら らが がな カ"),
            (" \"[(*?:", "", ""),
        ] {
            assert_eq!(words(text, true).join(" "), indexed);
            assert_eq!(words(text, false).join(" "), asked);
        }
    }

    #[test]
    fn searches() {
        let dir = TempDir::new().unwrap();
        let (text, mut writer) = Text::open(dir.path()).unwrap();
        let claims = [
            claim("富春山水图", "黄公望", "卷轴/IMG_0001.JPG", 0),
            claim("Mountains and Water", "Ann Lee", "trips/norway/view.png", 0),
            claim("Café at Night", "Ann", "norway.png", 0),
            claim("水", "", "", 0),
            claim("Same", "", "", 0),
            claim("Same", "", "", 0),
            Claim { collection: Some("Spring 春展 2026".to_owned()), ..claim("", "", "", 0) },
        ];
        let works: Vec<(u64, &Claim)> = (10..).zip(&claims).collect();
        for len in 11..=17 {
            writer.advance(&text, &works, len).unwrap();
            writer.flush(&text).unwrap();
        }
        let check = |query: &str, found: &[u64]| {
            assert_eq!(text.search(query, 10).unwrap(), found, "{query:?}");
        };
        check("山水", &[10]);
        check("《富春山水图》", &[10]);
        check("山 水", &[10]);
        check("公望", &[10]);
        check("图", &[10]);
        check("富水", &[]);
        check("MOUNTAINS water", &[11]);
        check("ann mountains", &[11]);
        check("ann night lee", &[]);
        check("mount", &[11]);
        check("mount water", &[]);
        check("CAFÉ", &[12]);
        check("cafe\u{301}", &[12]);
        check("img_0001.jpg", &[10]);
        check("卷轴/IMG_0001.JPG", &[10]);
        check("norway", &[12, 11]); // a file's name weighs more than its folder's
        check("same", &[14, 15]);
        check("spring 2026", &[16]);
        check("春展", &[16]);
        assert_eq!(text.search("same", 1).unwrap(), [14]);
        assert_eq!(text.search("same", usize::MAX).unwrap(), [14, 15]);
        assert!(text.search("same", 0).unwrap().is_empty());
    }

    #[test]
    fn no_query_is_an_error() {
        let dir = TempDir::new().unwrap();
        let (text, mut writer) = Text::open(dir.path()).unwrap();
        assert!(text.search("water", 10).unwrap().is_empty());
        writer.advance(&text, &[(0, &claim("Water", "", "", 0))], 1).unwrap();
        writer.flush(&text).unwrap();
        let long = "x".repeat(1 << 20);
        for query in
            ["", " ", "\"", "title:", "[a TO b]", "a AND", "(", "*", "\\", "\0", "-", &long]
        {
            assert!(text.search(query, 10).unwrap().is_empty(), "{query:.9}");
        }
        assert_eq!(text.search("\"water", 10).unwrap(), [0]);
        assert_eq!(text.search(&"water ".repeat(99), 10).unwrap(), [0]);
    }
}
