//! Files and one script for experts, who repeat the checks of several receipts with `sha256sum` and `openssl`.
//!
//! The script is plain POSIX shell over the commands of the [`steps`](crate::steps); it prints a line a check and fails
//! where one fails. It shows that digests, proofs, signatures and tokens hold; whose keys count is the policy's to say.

use crate::steps::quoted;
use crate::{ExpertFile, Policy, Receipt, Step, StepState, expert_files, steps};

/// A receipt whose checks are to be repeated.
pub struct ExpertSubject<'a> {
    /// The work's path as the script finds it from a receipt's folder, if the work is there; of one that is not, nothing is
    /// checked.
    pub work: Option<&'a str>,
    /// The receipt.
    pub receipt: &'a Receipt,
}

/// The script and the files that it reads for these receipts: each receipt's in a folder of its own, `0001` and so on.
pub fn expert_corner(subjects: &[ExpertSubject], policy: Option<&Policy>) -> Vec<ExpertFile> {
    let mut script = SCRIPT_START.to_owned();
    let mut files = Vec::new();
    for (number, subject) in (1..).zip(subjects) {
        let dir = format!("{number:04}");
        // What the script is for is whether these are the digests of the file.
        let digests = subject.work.map(|_| &subject.receipt.claim.work);
        let name = subject.work.unwrap_or_default();
        let checks = steps(digests, name, subject.receipt, policy, None);
        let title = if name.is_empty() { "a work that is not here" } else { name };
        script += &format!("\nsubject {dir} {}\n", quoted(title));
        script.extend(checks.iter().filter_map(check_line));
        let named = expert_files(subject.receipt, policy).into_iter();
        files.extend(named.map(|file| ExpertFile { name: format!("{dir}/{}", file.name), ..file }));
    }
    script += SCRIPT_END;
    files.insert(0, ExpertFile { name: "commands.sh".to_owned(), bytes: script.into_bytes() });
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

const SCRIPT_START: &str = r#"#!/bin/sh
# Repeats checks with sha256sum, sha512sum, xxd and openssl: digests, proofs, signatures, time-stamps. Whose keys count is
# not theirs to say: compare the keys (*.pem) with the operator's policy. Like everything in a bundle this script comes from
# whoever made it; read it before you run it, or have `timemark-verify --files DIR` write it anew.
# Each line below is a check: what it shows, what must come out, and the command.
cd "$(dirname "$0")" || exit 2
top=$PWD failed=0 skipped=0

subject() { cd "$top/$1" || exit 2; printf '\n%s\n' "$2"; }

# check TITLE EXPECTED COMMAND: the command succeeds, and prints what is expected.
check() {
    if said=$(sh -c "$3" 2>&1) && { test -z "$2" || printf '%s\n' "$said" | grep -qw -e "$2"; }; then
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
