//! Rules of the house that the compiler does not know. Each has its reason beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{expect, repository};

/// Who may use whom; design.md section 1. An arrow that is not here is refused.
const EDGES: [(&str, &[&str]); 17] = [
    ("timemark-accounts", &["timemark-tables"]),
    ("timemark-tables", &[]),
    ("timemark-verify", &[]),
    ("timemark-tlog", &["timemark-verify"]),
    ("timemark-certificate", &["timemark-verify"]),
    ("timemark-store", &["timemark-tables", "timemark-verify"]),
    ("timemark-vision", &["timemark-verify"]),
    ("timemark-index", &["timemark-verify", "timemark-vision"]),
    (
        "timemark-ingest",
        &[
            "timemark-index",
            "timemark-neural",
            "timemark-store",
            "timemark-tlog",
            "timemark-verify",
            "timemark-vision",
        ],
    ),
    (
        "timemark-review",
        &["timemark-ingest", "timemark-tables", "timemark-verify", "timemark-vision"],
    ),
    // Works, registry and index it reaches through ingest::Engine alone.
    (
        "timemark-api",
        &[
            "timemark-accounts",
            "timemark-hooks",
            "timemark-ingest",
            "timemark-review",
            "timemark-tlog",
            "timemark-verify",
        ],
    ),
    ("timemark-bundle", &["timemark-verify"]),
    ("timemark-hooks", &["timemark-tables"]),
    ("timemark-neural", &[]),
    ("timemark-samples", &[]),
    ("timemark-tsa", &["timemark-verify"]),
    (
        "timemark",
        &[
            "timemark-accounts",
            "timemark-api",
            "timemark-bundle",
            "timemark-certificate",
            "timemark-hooks",
            "timemark-index",
            "timemark-ingest",
            "timemark-neural",
            "timemark-review",
            "timemark-store",
            "timemark-tlog",
            "timemark-tsa",
            "timemark-verify",
            "timemark-vision",
        ],
    ),
];

#[test]
fn rooms_use_only_the_floor_below() {
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let metadata: Value =
        serde_json::from_str(&expect(0, metadata.current_dir(repository("")))).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(
        packages.len(),
        EDGES.len(),
        "a new room needs a line in EDGES and in ARCHITECTURE.md"
    );
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let (_, allowed) = EDGES.iter().find(|(room, _)| *room == name).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            // A room's tests use the room itself, with a feature for them.
            let allowed = !used.starts_with("timemark") || used == name || allowed.contains(&used);
            assert!(allowed, "{name} may not use {used}");
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with a sentence", path.display());
    }
}

/// Of two types with one name only one is in the OpenAPI document, and stands for the other.
#[test]
fn every_schema_of_the_service_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        for after in text.split("#[derive(").skip(1) {
            let Some((derived, rest)) = after.split_once(")]") else { continue };
            if !derived.contains("ToSchema") {
                continue;
            }
            let (attributes, item) = ["struct ", "enum "]
                .iter()
                .filter_map(|kind| rest.split_once(kind))
                .min_by_key(|(before, _)| before.len())
                .unwrap();
            let given = attributes.split_once("schema(as = ").map(|(_, name)| name);
            let end = |c: char| !c.is_alphanumeric();
            let name = given.unwrap_or(item).split(end).next().unwrap().to_owned();
            assert!(names.insert(name.clone()), "{}: {name} is taken", path.display());
        }
    }
    assert!(names.contains("Verdict") && names.contains("MatchVerdict"), "{names:?}");
}

#[test]
fn no_file_is_named_after_nothing() {
    // A homeless helper usually belongs to the type it takes.
    for path in sources() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let empty = ["util", "utils", "helper", "helpers", "common", "misc"];
        assert!(!empty.contains(&stem), "{}", path.display());
        let parent = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert!(!empty.contains(&parent), "{}", path.display());
    }
}

#[test]
fn words_stand_only_where_they_belong() {
    for (word, places, reason) in [
        ("async fn", &["api/"][..], "the core is synchronous; only api/ is asynchronous"),
        ("FileStore::open", &["src/storage.rs"], "only src/storage.rs chooses stores of blobs"),
        ("EmbeddedRegistry::open", &["src/open.rs"], "only src/open.rs chooses backends"),
        (
            "SigningKey",
            &["tlog/", "tsa/", "src/open.rs", "ingest/src/creator.rs"],
            "only the log and the time-stamp authority keep a private key",
        ),
        (
            "SystemTime",
            &[
                "hooks/src/clock.rs",
                "review/src/clock.rs",
                "src/report/page.rs",
                "tlog/src/clock.rs",
                "tsa/src/clock.rs",
            ],
            "no receipt depends on this machine's clock; who states a time does it by a Clock",
        ),
        (
            "std::fs",
            &[
                "accounts/",
                "api/src/tiles.rs",
                "src/",
                "tlog/src/files.rs",
                "tlog/src/key.rs",
                "tlog/src/sequencer/tests.rs",
                "tlog/src/witness/",
                "tsa/",
                "store/",
                "hooks/src/store.rs",
                "index/",
                "ingest/",
                "neural/",
                "review/",
                "samples/",
                "tables/",
                "verify/src/main.rs",
            ],
            "the verifying library does no I/O, and the log does it through one door",
        ),
    ] {
        for path in sources() {
            let below = path.strip_prefix(repository("")).unwrap().to_str().unwrap().to_owned();
            if below.contains("tests/") || below.starts_with("benches/") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let inside =
                code.lines().any(|l| l.contains(word) && !l.trim_start().starts_with("//"));
            let own_room = below.starts_with("store/") && word.ends_with("::open");
            let allowed = own_room || places.iter().any(|place| below.starts_with(place));
            assert!(!inside || allowed, "{below} says {word:?}, but {reason}");
        }
    }
}

#[test]
fn documents_name_only_files_that_exist() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "samples/README.md",
        "docs/formats.md",
        "docs/accuracy.md",
        "docs/api.md",
        "docs/operations.md",
        "docs/pages.md",
        "docs/performance.md",
        "docs/webhooks.md",
    ] {
        let text = fs::read_to_string(repository(document)).unwrap();
        let mut named = BTreeSet::new();
        for word in text.split(['`', '(', ')', ' ', '\n']) {
            let file = word.trim_end_matches(['.', ',', ':', ';']);
            let source = file.contains('/')
                && (file.ends_with(".rs") || file.ends_with(".md") || file.ends_with(".sh"));
            if source && !file.contains(['*', '<', '…']) {
                named.insert(file.trim_start_matches("./").to_owned());
            }
        }
        let base = repository(document);
        for file in named {
            let exists = repository(&file).exists() || base.parent().unwrap().join(&file).exists();
            assert!(exists, "{document} names {file}, which does not exist");
        }
    }
}

/// The Rust files of the project, without what Cargo built.
fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') && name != "fuzz" {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for room in [
        "src",
        "accounts",
        "api",
        "certificate",
        "hooks",
        "index",
        "ingest",
        "neural",
        "review",
        "samples",
        "store",
        "tables",
        "tlog",
        "tsa",
        "verify",
        "benches",
        "tests",
    ] {
        walk(&repository(room), &mut found);
    }
    found
}
