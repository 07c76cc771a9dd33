//! What is around every page: the language it is in, which of the pages it is, and how things from outside are written.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use timemark_accounts::Account;
use timemark_verify::{hides, seconds_of_utc, utc};

use super::SHOWN;
use super::assets;
use super::words::reviewing::{in_chinese, kind_in_chinese};
use super::words::{CHINESE, ENGLISH, Words, json};
use crate::access::Caller;

/// Which of the pages is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Register,
    Works,
    Scan,
    Review,
    Verify,
    Log,
    Admin,
    Account,
    /// Where nobody is known yet.
    Entrance,
}

/// What surrounds a page, as it was asked for.
pub(crate) struct Frame {
    language: Language,
    /// Whether the language was chosen with this request.
    is_chosen: bool,
    section: Section,
    /// The path and query of the page but for its language.
    here: String,
    /// How the client reaches this server.
    pub base: String,
    /// Who asks.
    caller: Caller,
}

/// Who is logged in, as every page tells.
pub(crate) struct Visitor {
    pub name: String,
    /// The role in words.
    pub role: &'static str,
    pub is_here: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    English,
    Chinese,
}

/// A link to one of the pages.
pub(crate) struct Tab {
    pub path: &'static str,
    pub name: &'static str,
    pub is_here: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Frame, Infallible> {
        let asked = chosen(&parts.uri);
        let language = asked.or_else(|| remembered(&parts.headers));
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        Ok(Frame {
            language: language.unwrap_or_else(|| preferred(&parts.headers)),
            is_chosen: asked.is_some(),
            section: section(parts.uri.path()),
            here: here(&parts.uri),
            base: format!("http://{}", host.unwrap_or("localhost")),
            caller: parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::Nobody),
        })
    }
}

impl Frame {
    pub fn words(&self) -> &'static Words {
        match self.language {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }

    /// The pages in the order in which they are offered, to who may open them.
    pub fn tabs(&self) -> Vec<Tab> {
        let w = self.words();
        let tabs = [
            (Section::Register, "/", w.register),
            (Section::Works, "/works", w.works),
            (Section::Scan, "/scans", w.scans),
            (Section::Review, "/review", w.review),
            (Section::Verify, "/verify", w.verify),
            (Section::Log, "/log", w.log),
            (Section::Admin, "/admin", w.access.admin),
        ];
        let open = tabs.into_iter().filter(|(_, path, _)| self.may_open(path));
        open.map(|(section, path, name)| Tab { path, name, is_here: self.section == section })
            .collect()
    }

    /// Whether a page is open to who asks.
    fn may_open(&self, path: &str) -> bool {
        let shown = SHOWN.iter().find(|(shown, _)| *shown == path);
        shown.is_some_and(|(_, operation)| self.caller.may(operation))
    }

    /// Where somebody begins: the first of the pages that is open to them.
    pub fn home(&self) -> &'static str {
        self.tabs().first().map_or("/login", |tab| tab.path)
    }

    /// Who is logged in.
    pub fn visitor(&self) -> Option<Visitor> {
        let Caller::Somebody(known) = &self.caller else { return None };
        let Account { name, role, .. } = &known.account;
        let is_here = self.section == Section::Account;
        Some(Visitor { name: outside(name), role: self.words().access.role(*role), is_here })
    }

    pub fn is_known(&self) -> bool {
        matches!(self.caller, Caller::Somebody(_))
    }

    /// The name of the account, as it is typed.
    pub fn account_name(&self) -> &str {
        match &self.caller {
            Caller::Somebody(known) => &known.account.name,
            _ => "",
        }
    }

    /// Whether there are accounts and nobody is logged in, other than where people log in.
    pub fn is_for_login(&self) -> bool {
        matches!(self.caller, Caller::Nobody) && self.section != Section::Entrance
    }

    /// Where people log in and come back to this page from.
    pub fn login(&self) -> String {
        let mut address = "/login?next=".to_owned();
        for byte in self.here.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                    address.push(char::from(byte));
                }
                _ => address += &format!("%{byte:02X}"),
            }
        }
        address
    }

    /// What the modules say of sessions.
    pub fn session_words(&self) -> String {
        json(&self.words().access.session)
    }

    /// Where this page is in the other language, and what that calls itself.
    pub fn other_language(&self) -> [&str; 3] {
        match self.language {
            Language::English => ["zh", "zh-CN", "中文"],
            Language::Chinese => ["en", "en", "English"],
        }
    }

    /// This page in another language.
    pub fn in_language(&self, code: &str) -> String {
        let sign = if self.here.contains('?') { '&' } else { '?' };
        format!("{}{sign}lang={code}", self.here)
    }

    /// Where the files that pages load are.
    pub fn assets(&self) -> String {
        assets::folder()
    }

    /// Remembers a language that was chosen.
    pub fn cookie(&self) -> Option<&'static str> {
        self.is_chosen.then_some(match self.language {
            Language::English => "lang=en; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly",
            Language::Chinese => "lang=zh; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly",
        })
    }

    /// A time of a receipt. Courts in China read it by their own clocks as well.
    pub fn moment(&self, time: &str) -> String {
        let plain = |time: &str| time.replace('T', " ").replace('Z', "");
        match (self.language, seconds_of_utc(time)) {
            (Language::Chinese, Some(seconds)) => {
                format!(
                    "{} UTC（北京时间 {}）",
                    plain(time),
                    plain(&utc(seconds + BEIJING_SECONDS))
                )
            }
            _ => format!("{} UTC", plain(time)),
        }
    }

    /// What was done to a work, as matches tell it.
    pub fn transform(&self, words: &str) -> String {
        match self.language {
            Language::English => words.to_owned(),
            Language::Chinese => in_chinese(words),
        }
    }

    /// The same as scans count it.
    pub fn kind(&self, kind: &str) -> String {
        match self.language {
            Language::English => kind.to_owned(),
            Language::Chinese => kind_in_chinese(kind),
        }
    }

    /// One of two texts that were made in both languages elsewhere.
    pub fn either<'a>(&self, english: &'a str, chinese: &'a str) -> &'a str {
        match self.language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }
}

/// A text from outside, in which nothing hides and nothing reorders what stands around it.
pub(super) fn outside(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match hides(c) {
            true => shown += &format!("⟨U+{:04X}⟩", u32::from(c)),
            false => shown.push(c),
        }
    }
    shown
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Bytes as people say them.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if value < 1000.0 {
            let places = usize::from(unit != "B" && value < 100.0);
            return format!("{value:.places$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

fn section(path: &str) -> Section {
    match path.split('/').nth(1) {
        Some("works") => Section::Works,
        Some("scans") => Section::Scan,
        Some("review") => Section::Review,
        Some("verify") => Section::Verify,
        Some("log") => Section::Log,
        Some("admin") => Section::Admin,
        Some("account") => Section::Account,
        Some("login" | "setup") => Section::Entrance,
        _ => Section::Register,
    }
}

fn pairs(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty())
}

fn chosen(uri: &Uri) -> Option<Language> {
    pairs(uri).filter_map(|pair| pair.strip_prefix("lang=")).find_map(language)
}

fn remembered(headers: &HeaderMap) -> Option<Language> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|value| value.split(';')).map(str::trim);
    cookies.find_map(|cookie| cookie.strip_prefix("lang=").and_then(language))
}

fn language(code: &str) -> Option<Language> {
    match code {
        "en" => Some(Language::English),
        "zh" => Some(Language::Chinese),
        _ => None,
    }
}

/// The language of the two that a browser would rather have (RFC 9110 section 12.5.4).
fn preferred(headers: &HeaderMap) -> Language {
    let values = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = values.flat_map(|value| value.split(',')).collect();
    let quality = |wanted: &str| {
        let fitting = ranges.iter().filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?.split('-').next()?;
            let given = parts.find_map(|part| part.strip_prefix("q="));
            let quality: f32 = given.map_or(Ok(1.0), str::parse).ok()?;
            name.eq_ignore_ascii_case(wanted).then_some(quality)
        });
        fitting.fold(0.0, f32::max)
    };
    if quality("zh") > quality("en") { Language::Chinese } else { Language::English }
}

/// The path and query of a page but for its language.
fn here(uri: &Uri) -> String {
    let kept: Vec<_> = pairs(uri).filter(|pair| !pair.starts_with("lang=")).collect();
    let sign = if kept.is_empty() { "" } else { "?" };
    format!("{}{sign}{}", uri.path(), kept.join("&"))
}

const BEIJING_SECONDS: u64 = 8 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_language_is_what_was_chosen_or_remembered_or_liked_best() {
        use Language::{Chinese, English};
        assert_eq!(chosen(&Uri::from_static("/works?q=a&lang=zh")), Some(Chinese));
        assert_eq!(chosen(&Uri::from_static("/?lang=fr")), None);
        assert_eq!(remembered(&headers(&[("cookie", "a=b; lang=en")])), Some(English));
        assert_eq!(remembered(&headers(&[("cookie", "slang=en")])), None);
        for (liked, expected) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", English),
            ("fr, zh;q=0.1", Chinese),
            ("fr", English),
            (";;=,zh;q=x", English),
        ] {
            assert_eq!(preferred(&headers(&[("accept-language", liked)])), expected, "{liked}");
        }
    }

    #[test]
    fn a_page_is_found_again_in_another_language() {
        assert_eq!(here(&Uri::from_static("/works?lang=zh&q=%E5%B1%B1")), "/works?q=%E5%B1%B1");
        assert_eq!(here(&Uri::from_static("/log?lang=zh")), "/log");
    }

    #[test]
    fn numbers_and_texts_as_people_read_them() {
        for (number, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")] {
            assert_eq!(grouped(number), shown);
        }
        for (count, shown) in [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (234_567, "235 KB")] {
            assert_eq!(bytes(count), shown);
        }
        assert_eq!(outside("a\u{202E}gpj.exe"), "a⟨U+202E⟩gpj.exe");
    }
}
