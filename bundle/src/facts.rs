//! What only people can say: facts that a profile asks for and that follow from no signature.
//!
//! They come as lines `name value` of a text file, `#` begins a remark. Nothing is invented: a fact that a profile
//! cannot do without and that nobody states makes no bundle, and its name is told.

use timemark_verify::Profile;

/// The facts of one bundle, each stated once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    stated: Vec<(&'static Fact, String)>,
}

/// A fact that a profile knows.
#[derive(Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its name in the file.
    pub name: &'static str,
    /// Who can know it: `platform` or `party`.
    pub by: &'static str,
    /// What it is, in English.
    pub what: &'static str,
    /// What it is, in Chinese.
    pub what_zh: &'static str,
    is_required: bool,
    profile: Profile,
}

/// Why facts cannot be taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// A line that is no fact of the profile.
    #[error("line {line}: {profile} knows no fact {name:?}; it knows {known}")]
    Unknown {
        /// Which line, counted from 1.
        line: usize,
        /// The profile's name.
        profile: &'static str,
        /// The name that stands there.
        name: String,
        /// Those that it knows.
        known: String,
    },
    /// A fact without a value, or stated again.
    #[error("line {line}: {name} has no value, or stands twice")]
    Value {
        /// Which line, counted from 1.
        line: usize,
        /// The fact's name.
        name: &'static str,
    },
    /// The profile cannot do without these.
    #[error(
        "{profile} asks for facts that nobody states: {}; state them with --facts FILE, a line `NAME VALUE` each",
        named(missing)
    )]
    Missing {
        /// The profile's name.
        profile: &'static str,
        /// The facts.
        missing: Vec<&'static Fact>,
    },
    /// A name that is no fact of the profile.
    #[error("{profile} knows no fact {name:?}; it knows {known}")]
    UnknownName {
        /// The profile's name.
        profile: &'static str,
        /// The name.
        name: String,
        /// Those that it knows.
        known: String,
    },
    /// A fact without a value.
    #[error("{name} has no value, or one of several lines")]
    NoValue {
        /// The fact's name.
        name: &'static str,
    },
}

impl Facts {
    /// Reads a file of facts for a profile.
    pub fn parse(text: &str, profile: Profile) -> Result<Facts, FactError> {
        let mut facts = Facts::default();
        for (line, words) in (1..).zip(text.lines()) {
            let words = words.trim();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            let (name, value) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
            let fact = Facts::of(profile).find(|fact| fact.name == name);
            let fact = fact.ok_or_else(|| FactError::Unknown {
                line,
                profile: profile.name(),
                name: name.to_owned(),
                known: names(profile),
            })?;
            let value = value.trim();
            if value.is_empty() || facts.value(fact.name).is_some() {
                return Err(FactError::Value { line, name: fact.name });
            }
            facts.stated.push((fact, value.to_owned()));
        }
        Ok(facts)
    }

    /// Takes facts by their names.
    pub fn named<'a>(
        stated: impl IntoIterator<Item = (&'a str, &'a str)>,
        profile: Profile,
    ) -> Result<Facts, FactError> {
        let mut facts = Facts::default();
        for (name, value) in stated {
            let fact = Facts::of(profile).find(|fact| fact.name == name);
            let fact = fact.ok_or_else(|| FactError::UnknownName {
                profile: profile.name(),
                name: name.to_owned(),
                known: names(profile),
            })?;
            let value = value.trim();
            if value.is_empty() || value.lines().count() > 1 || facts.value(fact.name).is_some() {
                return Err(FactError::NoValue { name: fact.name });
            }
            facts.stated.push((fact, value.to_owned()));
        }
        Ok(facts)
    }

    /// Checks that nothing is missing that the profile cannot do without.
    pub fn suffice(&self, profile: Profile) -> Result<(), FactError> {
        let missing: Vec<&Fact> = Facts::of(profile)
            .filter(|fact| fact.is_required && self.value(fact.name).is_none())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(FactError::Missing { profile: profile.name(), missing })
    }

    /// What is stated under this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.stated.iter().find(|(fact, _)| fact.name == name).map(|(_, value)| value.as_str())
    }

    /// The facts that a profile knows.
    pub fn of(profile: Profile) -> impl Iterator<Item = &'static Fact> {
        FACTS.iter().filter(move |fact| fact.profile == profile)
    }
}

fn names(profile: Profile) -> String {
    Facts::of(profile).map(|fact| fact.name).collect::<Vec<_>>().join(", ")
}

/// Facts by their names, and what they are.
fn named(facts: &[&Fact]) -> String {
    let named = facts.iter().map(|fact| format!("{} ({})", fact.name, fact.what));
    named.collect::<Vec<_>>().join(", ")
}

const fn cn(
    name: &'static str,
    by: &'static str,
    what: &'static str,
    what_zh: &'static str,
) -> Fact {
    Fact { name, by, what, what_zh, is_required: false, profile: Profile::CnCourt }
}

const fn us(name: &'static str, what: &'static str, what_zh: &'static str) -> Fact {
    Fact { name, by: "party", what, what_zh, is_required: true, profile: Profile::UsFre902 }
}

const fn eu(name: &'static str, what: &'static str, what_zh: &'static str) -> Fact {
    Fact { name, by: "platform", what, what_zh, is_required: true, profile: Profile::EuEidas }
}

const FACTS: [Fact; 17] = [
    cn(
        "platform.registration",
        "platform",
        "how the platform meets what state authorities prescribe for it",
        "存证平台符合国家有关部门规定的依据",
    ),
    cn(
        "platform.interest",
        "platform",
        "whether the party has an interest in the platform, and what keeps it from interfering",
        "当事人与存证平台是否存在利害关系，及防止不当干预的措施",
    ),
    cn(
        "platform.systems",
        "platform",
        "by which standards the information system is clean, safe, reliable and available",
        "信息系统清洁性、安全性、可靠性、可用性所依据的标准",
    ),
    cn(
        "platform.process",
        "platform",
        "by which standards technology and process of preservation are",
        "存证技术和过程所依据的标准",
    ),
    cn(
        "party.source",
        "party",
        "where the data came from before it was registered",
        "上链前数据的具体来源",
    ),
    cn("party.generation", "party", "how the data was made", "数据的生成机制"),
    cn(
        "party.storage",
        "party",
        "how the data was kept until it was registered",
        "上链前数据的存储过程",
    ),
    cn("party.notary", "party", "whether a notary took part", "是否经过公证"),
    cn("party.witness", "party", "whether a third party was present", "是否有第三方见证"),
    cn("party.corroboration", "party", "data that bears it out", "关联印证数据"),
    us("certifier.name", "the name of who certifies", "证明人姓名"),
    us("certifier.position", "position and employer of who certifies", "证明人职务及所属机构"),
    us("certifier.qualification", "why this person is qualified to certify", "证明人的资格"),
    us("process.system", "which process or system made the record", "生成记录的程序或系统"),
    us(
        "process.accuracy",
        "how it is known that this process gives an accurate result",
        "该程序结果准确的依据",
    ),
    eu(
        "authority.qualified",
        "the name in the policy of a qualified time-stamp authority",
        "策略中合格时间戳机构的名称",
    ),
    eu("authority.trusted-list", "where the trusted list names it", "可信列表中的条目"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_and_what_is_missing_is_named() {
        let text = "# a remark\n\nparty.source  downloaded from the author's camera\n";
        let facts = Facts::parse(text, Profile::CnCourt).unwrap();
        assert_eq!(facts.value("party.source"), Some("downloaded from the author's camera"));
        assert_eq!(facts.value("party.notary"), None);
        facts.suffice(Profile::CnCourt).unwrap();
        let missing = Facts::default().suffice(Profile::UsFre902).unwrap_err().to_string();
        assert!(missing.contains("certifier.name (the name of who certifies)"), "{missing}");
        assert!(Facts::default().suffice(Profile::EuEidas).is_err());
    }

    #[test]
    fn facts_that_make_no_sense_are_refused() {
        for (bad, line) in
            [("x y", 1), ("\nparty.source", 2), ("party.notary a\nparty.notary b", 2)]
        {
            let error = Facts::parse(bad, Profile::CnCourt).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line}: ")), "{error}");
        }
        assert!(Facts::parse("party.source x", Profile::UsFre902).is_err());
        for bad in [("party.sauce", "x"), ("party.source", " "), ("party.source", "a\nb")] {
            Facts::named([bad], Profile::CnCourt).unwrap_err();
        }
        let facts = Facts::named([("party.source", "a camera")], Profile::CnCourt).unwrap();
        assert_eq!(facts, Facts::parse("party.source a camera", Profile::CnCourt).unwrap());
    }
}
