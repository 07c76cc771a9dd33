//! The corner of a bundle for experts: files and one script that repeats every check with `sha256sum` and `openssl`.
//!
//! The script is plain POSIX shell over commands that `timemark_verify::steps` gives; it prints a line a check and fails
//! where one fails. It uses nothing of ours.

use timemark_verify::{ExpertFile, Policy, Receipt, Step, StepState, expert_files, steps};

/// A receipt whose checks are to be repeated.
pub struct Subject<'a> {
    /// The work's path in the bundle, if it is there.
    pub work: Option<&'a str>,
    /// The work's digests are those that its receipt claims: of a work that is not here nothing is checked.
    pub receipt: &'a Receipt,
}

/// Files and script for these receipts: paths in the bundle and bytes.
pub fn expert_corner(subjects: &[Subject], policy: &Policy) -> Vec<(String, Vec<u8>)> {
    let mut script = SCRIPT_START.to_owned();
    let mut files = Vec::new();
    for (number, subject) in (1..).zip(subjects) {
        let dir = format!("{number:04}");
        let work = subject.work.map(|path| format!("../../{path}"));
        let digests = work.as_ref().map(|_| &subject.receipt.claim.work);
        let name = work.as_deref().unwrap_or_default();
        let checks = steps(digests, name, subject.receipt, Some(policy), None);
        let title = subject.work.unwrap_or("a work that is not in the bundle");
        script += &format!("\nsubject {dir} {}\n", quoted(title));
        script.extend(checks.iter().filter_map(check_line));
        let named = expert_files(subject.receipt, Some(policy)).into_iter();
        files.extend(
            named.map(|ExpertFile { name, bytes }| (format!("expert/{dir}/{name}"), bytes)),
        );
    }
    script += SCRIPT_END;
    files.insert(0, ("expert/commands.sh".to_owned(), script.into_bytes()));
    files
}

/// The line of the script for one check; `None` for what no command shows.
fn check_line(step: &Step) -> Option<String> {
    if step.command.is_empty() || (step.state == StepState::Unchecked) {
        return None;
    }
    // Go is another way to the same end.
    let command = step.command.split("\n# or").next().unwrap_or_default();
    let is_digest = step.expected.bytes().all(|b| b.is_ascii_hexdigit());
    let expected = if is_digest { step.expected.as_str() } else { "" };
    let call = if command.contains("OpenSSL 3.5") { "check_ml_dsa" } else { "check" };
    Some(format!("{call} {} {} {}\n", quoted(&step.title), quoted(expected), quoted(command)))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

const SCRIPT_START: &str = r#"#!/bin/sh
# Repeats every check of this bundle with sha256sum, sha512sum, xxd and openssl. Run it in the unpacked bundle:
#     sh expert/commands.sh
# Each line shows a check; the commands themselves are the last words of the lines below.
cd "$(dirname "$0")" || exit 2
top=$PWD failed=0 skipped=0

subject() { cd "$top/$1" || exit 2; printf '\n%s\n' "$2"; }

# check TITLE EXPECTED COMMAND: the command succeeds, and prints what is expected.
check() {
    if said=$(sh -c "$3" 2>&1) && case $said in *"$2"*) true ;; *) false ;; esac; then
        printf '  ok      %s\n' "$1"
    else
        printf '  NOT OK  %s\n%s\n' "$1" "$said"
        failed=$((failed + 1))
    fi
}

check_ml_dsa() {
    if openssl list -signature-algorithms 2>/dev/null | grep -qi 'ml-dsa-44'; then
        check "$@"
    else
        printf '  skipped %s: this openssl is older than 3.5\n' "$1"
        skipped=$((skipped + 1))
    fi
}
"#;

const SCRIPT_END: &str = r#"
printf '\n%s checks failed, %s were skipped\n' "$failed" "$skipped"
test "$failed" = 0
"#;
