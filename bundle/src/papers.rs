//! The papers of a bundle: what a profile asks for, who supplied it, and how to check everything without us.
//!
//! They are for reading. What they say of proofs comes from the verdicts; what people say comes from [`Facts`]; where
//! neither says anything, the paper says that.

use askama::Template;
use timemark_verify::{Answer, Outcome, Profile};

use crate::Facts;

/// A work of the bundle and what its receipt proves.
pub struct Item<'a> {
    /// Where the work lies in the bundle, or would lie.
    pub path: &'a str,
    /// Whether the work itself is left away.
    pub is_hash_only: bool,
    /// What the receipt proves under the operator's policy.
    pub outcome: &'a Outcome,
}

/// A paper, by its path in the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paper {
    /// Where it lies.
    pub path: &'static str,
    /// HTML or plain text.
    pub text: String,
}

/// Who made the bundle with what.
pub struct Maker<'a> {
    /// The log's name.
    pub log: &'a str,
    /// Name and version of the program.
    pub program: &'a str,
    /// SHA-256 of the program's file in hex.
    pub program_sha256: &'a str,
    /// The operating system.
    pub system: &'a str,
    /// SHA-256 of the operator's policy in hex.
    pub policy_sha256: &'a str,
}

/// Why a profile cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// The profile rests on a qualified time-stamp, and this work has none.
    #[error(
        "eu-eidas needs a time-stamp of {authority}, the authority stated as qualified, over each work; {path} has none \
         that counts under the policy"
    )]
    NotQualified {
        /// The work.
        path: String,
        /// The authority.
        authority: String,
    },
    /// A page could not be written.
    #[error("a paper cannot be written")]
    Page(#[from] askama::Error),
}

/// The papers of this profile.
pub fn papers(
    profile: Profile,
    facts: &Facts,
    maker: &Maker,
    items: &[Item],
    match_pages: &[String],
) -> Result<Vec<Paper>, PaperError> {
    if profile == Profile::EuEidas {
        check_qualified(facts, items)?;
    }
    let rows = match profile {
        Profile::CnCourt => cn_rows(facts, maker, items),
        Profile::UsFre902 => us_rows(facts, maker),
        Profile::EuEidas => eu_rows(facts, items),
    };
    let (title, title_zh, note) = match profile {
        Profile::CnCourt => (
            "Checklist: Online Litigation Rules of the People's Courts, articles 16 to 18",
            "《人民法院在线诉讼规则》第十六条至第十八条核对表",
            "The articles are told in short. Timemark's log is a Merkle transparency log with outside witnesses; whether \
             it is what article 16 calls a blockchain is for the court to say. \
             条文为摘要。本系统采用带外部见证人的默克尔透明日志；其是否属于第十六条所称区块链，由法院认定。",
        ),
        Profile::UsFre902 => (
            "Federal Rules of Evidence 902(13) and 902(14): what the certification rests on",
            "美国《联邦证据规则》第 902(13)、902(14) 条：证明所依据的内容",
            "The certification itself is certification.html. It is to be read, dated and signed by the person it names; \
             nothing in this bundle signs it.",
        ),
        Profile::EuEidas => (
            "Regulation (EU) No 910/2014, articles 41 and 42: qualified time-stamps",
            "欧盟第 910/2014 号条例第 41、42 条：合格时间戳",
            "That the authority is qualified was stated by whoever made this bundle; look it up in the trusted list named \
             below, as of the time of the time-stamp.",
        ),
    };
    let checklist = Checklist { title, title_zh, note, rows: &rows, items, maker, match_pages };
    let mut papers = vec![
        Paper { path: "checklist.html", text: checklist.render()? },
        Paper {
            path: "README.txt",
            text: Guide { profile: profile.name(), maker, items }.render()?,
        },
    ];
    if profile == Profile::UsFre902 {
        let text = Certification { facts, maker, items }.render()?;
        papers.push(Paper { path: "certification.html", text });
    }
    Ok(papers)
}

fn check_qualified(facts: &Facts, items: &[Item]) -> Result<(), PaperError> {
    let authority = facts.value("authority.qualified").unwrap_or_default();
    let is_by = |outcome: &Outcome| {
        outcome.verdict == Answer::Verified
            && outcome.timestamps.iter().any(|stamp| stamp.authority == authority)
    };
    match items.iter().find(|item| !is_by(item.outcome)) {
        Some(item) => Err(PaperError::NotQualified {
            path: item.path.to_owned(),
            authority: authority.to_owned(),
        }),
        None => Ok(()),
    }
}

/// A row of a checklist.
struct Row {
    article: &'static str,
    what: String,
    what_zh: String,
    by: By,
    said: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Platform,
    Party,
    Nobody,
}

impl By {
    const fn words(self) -> &'static str {
        match self {
            By::Platform => "supplied by the platform · 平台提供",
            By::Party => "supplied by the party · 当事人提供",
            By::Nobody => "not supplied · 未提供",
        }
    }
}

impl Row {
    fn stated(article: &'static str, name: &str, facts: &Facts, profile: Profile) -> Option<Row> {
        let fact = Facts::of(profile).find(|fact| fact.name == name)?;
        let said = facts.value(name);
        let by = match (said, fact.by) {
            (None, _) => By::Nobody,
            (Some(_), "platform") => By::Platform,
            (Some(_), _) => By::Party,
        };
        Some(Row {
            article,
            what: fact.what.to_owned(),
            what_zh: fact.what_zh.to_owned(),
            by,
            said: said.unwrap_or_default().to_owned(),
        })
    }

    fn shown(article: &'static str, what: [&str; 2], by: By, said: String) -> Row {
        let [what, what_zh] = what.map(str::to_owned);
        Row { article, what, what_zh, by, said }
    }
}

fn cn_rows(facts: &Facts, maker: &Maker, items: &[Item]) -> Vec<Row> {
    let cn = |article, name| Row::stated(article, name, facts, Profile::CnCourt);
    let verified = items.iter().filter(|item| item.outcome.verdict == Answer::Verified).count();
    let held = format!("{verified} / {}: verify.html", items.len());
    let mut witnesses: Vec<&str> = items
        .iter()
        .flat_map(|item| item.outcome.witnesses.iter().map(|w| w.name.as_str()))
        .chain(items.iter().flat_map(|i| i.outcome.timestamps.iter().map(|t| t.authority.as_str())))
        .collect();
    witnesses.sort_unstable();
    witnesses.dedup();
    let neutral = if witnesses.is_empty() { By::Nobody } else { By::Platform };
    let rows = [
        Some(Row::shown(
            "16",
            [
                "receipts that hold: the registered data is unchanged since",
                "经技术核验一致：登记后数据未经篡改的收据",
            ],
            if verified == 0 { By::Nobody } else { By::Platform },
            held,
        )),
        cn("17(1)", "platform.registration"),
        cn("17(2)", "platform.interest"),
        Some(Row::shown(
            "17(2)",
            [
                "witnesses and time-stamp authorities whose signatures count; that they are independent is not shown here",
                "签名有效的见证人与时间戳机构；其独立性未在此证明",
            ],
            neutral,
            witnesses.join(", "),
        )),
        cn("17(3)", "platform.systems"),
        Some(Row::shown(
            "17(3)",
            ["the program that made this bundle, and the system it ran on", "制作本证据包的程序与运行环境"],
            By::Platform,
            format!("{}, SHA-256 {}; {}", maker.program, maker.program_sha256, maker.system),
        )),
        cn("17(4)", "platform.process"),
        Some(Row::shown(
            "17(4)",
            ["algorithms and formats", "算法与格式"],
            By::Platform,
            "SHA-256, SHA-512, SM3 (GB/T 32905); Ed25519, ML-DSA-44 (FIPS 204), SM2 (GB/T 32918); RFC 6962, \
             RFC 3161"
                .to_owned(),
        )),
        cn("18", "party.source"),
        cn("18", "party.generation"),
        cn("18", "party.storage"),
        cn("18", "party.notary"),
        cn("18", "party.witness"),
        cn("18", "party.corroboration"),
    ];
    rows.into_iter().flatten().collect()
}

fn us_rows(facts: &Facts, maker: &Maker) -> Vec<Row> {
    let us = |article, name| Row::stated(article, name, facts, Profile::UsFre902);
    let rows = [
        us("902(13)", "process.system"),
        us("902(13)", "process.accuracy"),
        Some(Row::shown(
            "902(13)",
            ["the program that made this bundle", "制作本证据包的程序"],
            By::Platform,
            format!("{}, SHA-256 {}; {}", maker.program, maker.program_sha256, maker.system),
        )),
        Some(Row::shown(
            "902(14)",
            ["digests that identify each copy", "识别各副本的摘要"],
            By::Platform,
            "manifest.txt: SHA-256 of every file; each receipt: SHA-256, SHA-512 and SM3 of its work".to_owned(),
        )),
        us("902(11)", "certifier.name"),
        us("902(11)", "certifier.position"),
        us("902(11)", "certifier.qualification"),
    ];
    rows.into_iter().flatten().collect()
}

fn eu_rows(facts: &Facts, items: &[Item]) -> Vec<Row> {
    let eu = |article, name| Row::stated(article, name, facts, Profile::EuEidas);
    let authority = facts.value("authority.qualified").unwrap_or_default();
    let times = items.iter().flat_map(|item| &item.outcome.timestamps);
    let times = times.filter(|stamp| stamp.authority == authority).map(|stamp| stamp.time.as_str());
    let rows = [
        eu("42(1)", "authority.qualified"),
        eu("22", "authority.trusted-list"),
        Some(Row::shown(
            "42(1)(a)",
            ["date and time bound to the data", "与数据绑定的日期和时间"],
            By::Platform,
            times.collect::<Vec<_>>().join(", "),
        )),
        Some(Row::shown(
            "42(1)(c)",
            ["signed by the authority: the token in each receipt", "由该机构签名：各收据内的令牌"],
            By::Platform,
            "RFC 3161; README.txt tells how openssl checks it".to_owned(),
        )),
    ];
    rows.into_iter().flatten().collect()
}

#[derive(Template)]
#[template(path = "checklist.html")]
struct Checklist<'a> {
    title: &'a str,
    title_zh: &'a str,
    note: &'a str,
    rows: &'a [Row],
    items: &'a [Item<'a>],
    maker: &'a Maker<'a>,
    match_pages: &'a [String],
}

#[derive(Template)]
#[template(path = "guide.txt")]
struct Guide<'a> {
    profile: &'a str,
    maker: &'a Maker<'a>,
    items: &'a [Item<'a>],
}

#[derive(Template)]
#[template(path = "certification.html")]
struct Certification<'a> {
    facts: &'a Facts,
    maker: &'a Maker<'a>,
    items: &'a [Item<'a>],
}

pub(crate) fn verdict_words(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Answer::Verified => "verified · 已核验",
        Answer::Undecided => "undecided · 无法判定",
        Answer::Refused => "refused · 未通过",
    }
}

/// A text from a claim, so that it shows all of itself and moves nothing around it.
pub(crate) fn or_nothing(text: &Option<String>) -> String {
    text.as_deref().map_or_else(|| "—".to_owned(), legible)
}

pub(crate) fn legible(text: &str) -> String {
    timemark_verify::escape(text.as_bytes()).replace("%25", "%")
}
