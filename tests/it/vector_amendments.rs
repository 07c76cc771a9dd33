//! The test vectors of claims that correct or withdraw others: what `TIMEMARK_BLESS=amended` writes anew.

use std::fs;
use std::path::Path;

use crate::support::{Desk, expect};
use crate::vector_worlds::{Out, other_digit};
use crate::vectors::Vector;

/// Writes the vectors of amended claims anew and leaves all others as they are.
pub fn write_amended(dir: &Path) {
    let of_others = |name: &str| -> Vec<Vector> {
        let text = fs::read_to_string(dir.join(name)).unwrap();
        let all = text.lines().map(|line| serde_json::from_str::<Vector>(line).unwrap());
        all.filter(|vector| !vector.name.starts_with(AMENDED)).collect()
    };
    let (vectors, sweeps) = (of_others("vectors.jsonl"), of_others("sweep.jsonl"));
    let mut out = Out { dir, vectors, sweeps };
    amended(&mut out);
    out.write_lists();
}

/// Claims that correct and withdraw others: receipts as any other, if spelled as they must be.
pub fn amended(out: &mut Out) {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "amended.example"]));
    let bytes = "a work whose claim is corrected\n";
    desk.file("work.txt", bytes);
    expect(0, &mut desk.timemark(["register", "work.txt", "--claimant", "Zang Wei"]));
    expect(0, &mut desk.timemark(["claim", "correct", "0", "--claimant", "Zhang Wei"]));
    expect(0, &mut desk.timemark(["claim", "withdraw", "1"]));
    let policy =
        Some(out.file("amended-policy.txt", expect(0, &mut desk.timemark(["log", "policy"]))));
    let work = Some(out.file("amended.work", bytes));
    let mut vector = |name: &str, file: &str| {
        let receipt =
            Some(out.file(&format!("{name}.timemark"), fs::read(desk.path(file)).unwrap()));
        let vector =
            Vector { receipt, work: work.clone(), policy: policy.clone(), ..Vector::default() };
        out.add(name, vector.clone(), "verified", "");
        vector
    };
    vector("amended-first", "work.txt.timemark");
    let corrected = vector("amended-corrected", "work.txt.corrected-1.timemark");
    let withdrawn = vector("amended-withdrawn", "work.txt.withdrawn-2.timemark");
    let zeros = "0".repeat(64);
    let another = |line: &str| format!("{line} 0 {zeros}\n");
    // The heading tells how many lines the claim has.
    let longer = |r: &str, from: &str, to: &str| -> String {
        let at = r.find("== claim ").unwrap() + 9;
        let end = at + r[at..].find('\n').unwrap();
        let lines: usize = r[at..end].parse().unwrap();
        format!("{}{}{}", &r[..at], lines + 1, r[end..].replacen(from, to, 1))
    };
    type Edit<'a> = Box<dyn FnOnce(&str) -> String + 'a>;
    let cases: [(&str, &Vector, Edit); 9] = [
        (
            "both",
            &corrected,
            Box::new(|r| longer(r, "\nsalt ", &format!("\n{}salt ", another("withdraws")))),
        ),
        (
            "twice",
            &corrected,
            Box::new(|r| longer(r, "\nsalt ", &format!("\n{}salt ", another("corrects")))),
        ),
        (
            "other-order",
            &withdrawn,
            Box::new(|r| longer(r, "\nsalt ", &format!("\n{}salt ", another("corrects")))),
        ),
        (
            "before-path",
            &corrected,
            Box::new(|r| {
                let start = r.find("\npath ").unwrap() + 1;
                let between = start + r[start..].find("\ncorrects ").unwrap() + 1;
                let end = between + r[between..].find('\n').unwrap() + 1;
                format!("{}{}{}{}", &r[..start], &r[between..end], &r[start..between], &r[end..])
            }),
        ),
        (
            "leading-zero",
            &corrected,
            Box::new(|r| r.replacen("\ncorrects 0 ", "\ncorrects 00 ", 1)),
        ),
        ("two-spaces", &corrected, Box::new(|r| r.replacen("\ncorrects 0 ", "\ncorrects 0  ", 1))),
        (
            "no-digest",
            &withdrawn,
            Box::new(|r| {
                let start = r.find("\nwithdraws 1").unwrap() + 12;
                format!("{}{}", &r[..start], &r[start + 65..])
            }),
        ),
        (
            "too-large",
            &corrected,
            Box::new(|r| r.replacen("\ncorrects 0 ", "\ncorrects 18446744073709551616 ", 1)),
        ),
        ("unknown", &corrected, Box::new(|r| r.replacen("\ncorrects 0 ", "\nretracts 0 ", 1))),
    ];
    for (name, base, edit) in cases {
        let name = format!("{AMENDED}{name}");
        out.changed(base, &name, edit, false, "refused", "receipt.format");
    }
    // Spelled well, but not what the log holds.
    for (name, from, to) in [
        ("other-act", "\ncorrects 0 ", "\nwithdraws 0 "),
        ("other-entry", "\ncorrects 0 ", "\ncorrects 7 "),
        ("largest", "\ncorrects 0 ", "\ncorrects 18446744073709551615 "),
    ] {
        let name = format!("{AMENDED}{name}");
        out.changed(&corrected, &name, |r| r.replacen(from, to, 1), false, "refused", "leaf.claim");
    }
    let digest = |r: &str| other_digit(r, "\nwithdraws 1 ");
    out.changed(&withdrawn, "amended-other-claim", digest, false, "refused", "leaf.claim");
}

/// How their names begin.
const AMENDED: &str = "amended-";
