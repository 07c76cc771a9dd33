//! The courtroom command: what a receipt, a certificate or a bundle proves, from files alone.
//!
//! It opens the files that it is given and no others, and no socket. Its answer is the library's.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is where the ground floor's bytes come from"
)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use timemark_verify::{
    Answer, BundleFault, BundleOutcome, BundleReader, ExpertSubject, FormatError, Manifest,
    Outcome, Policy, Receipt, Step, StepState, Trust, TrustTold, WorkDigests, WorkHasher,
    expert_corner,
};

const HELP: &str = "\
What a receipt proves about a file, offline.

Usage: timemark-verify [OPTIONS] WORK RECEIPT [OTHER RECEIPTS]... [POLICY]
       timemark-verify [OPTIONS] BUNDLE.zip [POLICY]

WORK      the file
RECEIPT   its receipt, or the certificate (PDF) that has it attached; with others of the same work it is told
          whether they correct or withdraw it
BUNDLE    an evidence bundle
POLICY    whom to trust: a file from the log's operator, never from who hands in the receipt.
          Without one the answer is `undecided` at best

Options:
  --confirm SHA256   trust the policy inside the bundle: it has this SHA-256, as its operator says
  --json             one line of JSON
  --steps            every single check, and the command by which others repeat it
  --files DIR        put the files that those commands read into DIR, a new folder, and commands.sh, which runs them
  --version, --help

Exit codes: 0 verified, 1 refused, 2 undecided or could not tell.
";

#[derive(Default)]
struct Args {
    files: Vec<PathBuf>,
    confirm: Option<String>,
    json: bool,
    steps: bool,
    files_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let answer = match parse_args(std::env::args_os().skip(1)) {
        Ok(Some(args)) => run(&args),
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => Err(error),
    };
    match answer {
        Ok(Answer::Verified) => ExitCode::SUCCESS,
        Ok(Answer::Refused) => ExitCode::from(1),
        Ok(Answer::Undecided) => ExitCode::from(2),
        Err(error) => {
            // Nobody is left to tell where this fails.
            let _ = writeln!(io::stderr(), "timemark-verify: {error}");
            ExitCode::from(2)
        }
    }
}

fn parse_args(mut words: impl Iterator<Item = std::ffi::OsString>) -> Result<Option<Args>, String> {
    let mut args = Args::default();
    while let Some(word) = words.next() {
        let mut value = |what: &str| words.next().ok_or(format!("{what} needs a value"));
        match word.to_str() {
            Some("--help" | "-h") => return print(HELP).map(|()| None),
            Some("--version") => {
                let version = concat!("timemark-verify ", env!("CARGO_PKG_VERSION"), "\n");
                return print(version).map(|()| None);
            }
            Some("--json") => args.json = true,
            Some("--steps") => args.steps = true,
            Some("--confirm") => {
                let sha256 = value("--confirm")?.into_string().unwrap_or_default();
                args.confirm = Some(sha256.to_ascii_lowercase());
            }
            Some("--files") => args.files_dir = Some(value("--files")?.into()),
            Some(option) if option.starts_with("--") => {
                return Err(format!("there is no option {option}; --help lists them"));
            }
            _ => args.files.push(word.into()),
        }
    }
    Ok(Some(args))
}

fn run(args: &Args) -> Result<Answer, String> {
    let [first, rest @ ..] = &args.files[..] else {
        return Err("name a work and its receipt, or a bundle; --help tells more".to_owned());
    };
    // A bundle that has a receipt of its own is a work as any other.
    let has_receipt = rest.first().map(|second| is_receipt(second)).transpose()?;
    if has_receipt != Some(true) && (is_bundle(first)? || rest.is_empty() && is_zip(first)?) {
        return match rest {
            [] => bundle(first, None, args),
            [policy] => bundle(first, Some(policy), args),
            _ => Err("a bundle is checked under one policy".to_owned()),
        };
    }
    let [receipt, others @ ..] = rest else {
        return Err(format!("{} is no bundle; name its receipt as well", first.display()));
    };
    // A policy stands last, and is no receipt.
    let (others, policy) = match others {
        [others @ .., last] if !is_receipt(last)? => (others, Some(last)),
        others => (others, None),
    };
    for other in others {
        if !is_receipt(other)? {
            return Err("one work, its receipts and one policy are looked at".to_owned());
        }
    }
    work(first, receipt, others, policy, args)
}

fn work(
    file: &Path,
    receipt_file: &Path,
    other_files: &[PathBuf],
    policy: Option<&PathBuf>,
    args: &Args,
) -> Result<Answer, String> {
    let trust = match policy.map(|path| read_policy(path)).transpose()? {
        Some(Err(error)) => return tell_of_bad_policy(args, &error),
        Some(Ok(trust)) => Some(trust),
        None => None,
    };
    let trust = trust.as_ref().map(|(policy, told)| Trust { policy, told });
    let bytes = read(receipt_file, Receipt::FILE_BYTES_MAX)?;
    let name = file.to_string_lossy();
    let receipt = match Receipt::parse_file(&bytes) {
        Ok(receipt) => receipt,
        Err(error) => {
            let outcome = Outcome::of_unreadable(&error);
            return tell(args, &outcome, outcome.verdict, receipt_words(&outcome));
        }
    };
    let mut others = Vec::new();
    for other in other_files {
        let parsed = Receipt::parse_file(&read(other, Receipt::FILE_BYTES_MAX)?);
        others.push(parsed.map_err(|error| format!("{}: {error}", other.display()))?);
    }
    let digests = digest(file)?;
    let policy = trust.map(|trust| trust.policy);
    let mut outcome =
        Outcome::of_receipt(&digests, &name, &receipt, trust).beside(&receipt, &others, trust);
    if args.steps {
        outcome = outcome.explained(Some(&digests), &name, &receipt, policy);
    }
    let answer = tell(args, &outcome, outcome.verdict, receipt_words(&outcome))?;
    if let Some(dir) = &args.files_dir {
        let path = std::path::absolute(file).map_err(|error| format!("{name}: {error}"))?;
        let path = path.to_string_lossy();
        write_files(dir, &[ExpertSubject { work: Some(&path), receipt: &receipt }], policy)?;
    }
    Ok(answer)
}

fn bundle(file: &Path, policy: Option<&PathBuf>, args: &Args) -> Result<Answer, String> {
    let trust = match policy.map(|path| read_policy(path)).transpose()? {
        Some(Err(error)) => return tell_of_bad_policy(args, &error),
        Some(Ok(trust)) => Some(trust),
        None => None,
    };
    let trust = trust.as_ref().map(|(policy, told)| Trust { policy, told });
    let mut reader = BundleReader::default();
    let mut broken: Option<BundleFault> = None;
    stream(file, |bytes| {
        broken = broken.take().or_else(|| reader.update(bytes).err());
        broken.is_none()
    })?;
    let read = broken.map_or_else(|| reader.finish(), Err);
    let outcome = match &read {
        Ok(bundle) => bundle.outcome(trust, args.confirm.as_deref()),
        Err(fault) => BundleOutcome::of_fault(fault),
    };
    let mut words = bundle_words(&outcome);
    let Ok(bundle) = &read else { return tell(args, &outcome, outcome.verdict, words) };
    let inside = args.confirm.as_deref().and_then(|sha256| bundle.confirmed(sha256)?.ok());
    let inside = inside.as_ref().map(|(policy, told)| Trust { policy, told });
    let trust = trust.or(inside);
    if args.steps {
        words += &format!("\n{}\n", Manifest::NAME);
        words.extend(bundle.manifest_outcome(trust, true).steps.iter().map(step_words));
        for item in &bundle.items {
            words += &format!("\n{}\n", item.path);
            words.extend(item.outcome(trust, true).steps.iter().map(step_words));
        }
    }
    let answer = tell(args, &outcome, outcome.verdict, words)?;
    if let Some(dir) = &args.files_dir {
        let receipts = bundle.items.iter().filter_map(|item| Receipt::parse(&item.receipt).ok());
        let manifest = Receipt::parse(bundle.manifest_receipt()).ok();
        let receipts: Vec<Receipt> = manifest.into_iter().chain(receipts).collect();
        // Where the works lie is not known here; their digests are in the manifest.
        let subjects: Vec<_> =
            receipts.iter().map(|receipt| ExpertSubject { work: None, receipt }).collect();
        write_files(dir, &subjects, trust.map(|trust| trust.policy))?;
    }
    Ok(answer)
}

fn tell(
    args: &Args,
    outcome: &impl serde::Serialize,
    answer: Answer,
    words: String,
) -> Result<Answer, String> {
    if args.json {
        let json = serde_json::to_string(outcome).map_err(|error| error.to_string())?;
        print(&format!("{json}\n"))?;
    } else {
        print(&words)?;
    }
    Ok(answer)
}

fn receipt_words(outcome: &Outcome) -> String {
    let mut words = headline(outcome.verdict, &outcome.reason, &outcome.reason_zh, outcome.check);
    words += &facts(outcome);
    for step in &outcome.steps {
        words += &step_words(step);
    }
    words
}

fn bundle_words(outcome: &BundleOutcome) -> String {
    let mut words = headline(outcome.verdict, &outcome.reason, &outcome.reason_zh, outcome.check);
    if let Some(profile) = outcome.profile {
        words +=
            &line("profile", &format!("{profile}, as stated by who made the bundle; not checked"));
    }
    if let Some(sha256) = &outcome.policy_sha256 {
        words += &line("policy", &format!("{sha256} (SHA-256 of policy.txt in the bundle)"));
    }
    if let Some(manifest) = &outcome.manifest {
        words += &format!("\nmanifest.txt: {}\n{}", manifest.verdict.name(), facts(manifest));
    }
    for item in &outcome.items {
        let work =
            if item.work == "absent" { ", the work itself is not in the bundle" } else { "" };
        words += &format!("\n{}: {}{work}\n", item.path, item.outcome.verdict.name());
        if item.outcome.verdict != Answer::Verified {
            words += &line("reason", &item.outcome.reason);
        }
        words += &facts(&item.outcome);
    }
    words
}

fn headline(answer: Answer, reason: &str, reason_zh: &str, check: Option<&str>) -> String {
    let (english, chinese) = match answer {
        Answer::Verified => ("VERIFIED", "已核验"),
        Answer::Undecided => ("UNDECIDED", "无法判定"),
        Answer::Refused => ("REFUSED", "未通过"),
    };
    let check = check.map(|check| line("check", check)).unwrap_or_default();
    format!("{english}  {}\n{chinese}  {}\n{check}", legible(reason), legible(reason_zh))
}

fn facts(outcome: &Outcome) -> String {
    let mut words = amendments(outcome);
    if let (Some(claim), Answer::Verified) = (&outcome.claim, outcome.verdict) {
        for (what, value) in [
            ("title", claim.title.clone()),
            ("claimant", claim.claimant.clone()),
            ("created", claim.created.as_ref().map(|created| format!("{created} (as claimed)"))),
            ("rights", claim.rights.clone()),
            ("collection", claim.collection.clone()),
            ("sha256", Some(claim.sha256.clone())),
            ("sm3", Some(claim.sm3.clone())),
            ("creator key", claim.creator_key.clone()),
        ] {
            words += &value.map(|value| line(what, &value)).unwrap_or_default();
        }
    }
    if let (Some(log), Some(index)) = (&outcome.log, outcome.index) {
        let name = log.split('+').take(2).collect::<Vec<_>>().join("+");
        words += &line("log", &format!("{name}, entry {index}"));
    }
    for witness in &outcome.witnesses {
        let time = witness.time.as_deref().unwrap_or("(no time)");
        words += &line("witness", &format!("{} {time}", witness.name));
    }
    for stamp in &outcome.timestamps {
        words += &line("time-stamp", &format!("{} {}", stamp.authority, stamp.time));
    }
    for fault in &outcome.bad_timestamps {
        words += &line("not counted", fault);
    }
    if let Some(seconds) = outcome.disagreement_seconds {
        words += &line("WARNING", &format!("the authorities disagree by {seconds} s"));
    }
    if let Some(trust) = &outcome.trust {
        words += &line("policy", &format!("{} (SHA-256)", trust.sha256));
    }
    words
}

/// What stands first of a claim: that it was amended, or amends another.
fn amendments(outcome: &Outcome) -> String {
    if outcome.verdict != Answer::Verified {
        return String::new();
    }
    let mut words = String::new();
    let mut tell = |what, english: String, chinese: String| {
        words += &line(what, &english);
        words += &line("", &chinese);
    };
    if let Some(by) = outcome.withdrawn_by {
        let said = format!("this claim was withdrawn by entry {by}: nothing is claimed any more");
        tell("WITHDRAWN", said, format!("本声明已由条目 {by} 撤回：不再主张任何事项"));
    } else if let Some(by) = outcome.corrected_by {
        let said = format!("this claim was corrected by entry {by}, which stands in its place");
        tell("CORRECTED", said, format!("本声明已由条目 {by} 更正，以更正为准"));
    }
    let now = outcome.corrected_claim.as_ref().filter(|_| outcome.withdrawn_by.is_none());
    let now = now.map(|claim| [("now title", &claim.title), ("now by", &claim.claimant)]);
    let claim = outcome.claim.as_ref();
    if let Some(earlier) = claim.and_then(|claim| claim.corrects.as_ref()) {
        let (index, digest) = (earlier.index, &earlier.claim);
        let said = format!("this claim corrects that of entry {index} (SHA-256 {digest})");
        tell("CORRECTS", said, format!("本声明更正条目 {index} 的声明"));
    }
    if let Some(earlier) = claim.and_then(|claim| claim.withdraws.as_ref()) {
        let (index, digest) = (earlier.index, &earlier.claim);
        let said = format!("this claim withdraws that of entry {index} (SHA-256 {digest})");
        tell("WITHDRAWS", said, format!("本声明撤回条目 {index} 的声明"));
    }
    for (what, value) in now.into_iter().flatten() {
        words += &value.as_ref().map(|value| line(what, value)).unwrap_or_default();
    }
    words
}

fn step_words(step: &Step) -> String {
    let mark = match step.state {
        StepState::Passed => "[ok]",
        StepState::Failed => "[NO]",
        StepState::Missing => "[missing]",
        StepState::Unchecked => "[not checked]",
    };
    let mut words = format!("\n{mark} {} ({})\n", legible(&step.title), step.check);
    for (what, value) in [("computed", &step.computed), ("expected", &step.expected)] {
        if !value.is_empty() {
            words += &line(what, value);
        }
    }
    for command in step.command.lines() {
        words += &format!("  $ {}\n", legible(command));
    }
    words
}

fn line(what: &str, value: &str) -> String {
    format!("  {what:<11} {}\n", legible(value))
}

/// Text from outside, without what could move a terminal's cursor or hide.
fn legible(text: &str) -> String {
    timemark_verify::escape(text.as_bytes()).replace("%25", "%")
}

fn is_bundle(path: &Path) -> Result<bool, String> {
    Ok(BundleReader::is_bundle(&read(path, 63)?))
}

/// Of a zip alone, what is wrong with it as a bundle is the answer.
fn is_zip(path: &Path) -> Result<bool, String> {
    Ok(read(path, 63)?.starts_with(b"PK"))
}

fn is_receipt(path: &Path) -> Result<bool, String> {
    let start = read(path, 63)?;
    Ok(Receipt::is_receipt(&start) || start.starts_with(b"%PDF-"))
}

fn read_policy(path: &Path) -> Result<Result<(Policy, TrustTold), FormatError>, String> {
    let bytes = read(path, Policy::BYTES_MAX)?;
    let told = TrustTold::given(&bytes);
    Ok(Policy::parse(&bytes).map(|policy| (policy, told)))
}

fn tell_of_bad_policy(args: &Args, error: &FormatError) -> Result<Answer, String> {
    let outcome = Outcome::of_bad_policy(error);
    tell(args, &outcome, outcome.verdict, receipt_words(&outcome))
}

/// A whole file, or the beginning of one that is too long to be what it should.
fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes)
}

fn digest(path: &Path) -> Result<WorkDigests, String> {
    let mut hasher = WorkHasher::new();
    stream(path, |bytes| {
        hasher.update(bytes);
        true
    })?;
    Ok(hasher.finish())
}

/// Hands a file over piece by piece, for as long as the taker wants more.
fn stream(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) if take(&buffer[..length]) => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// A new folder, so that nothing of the user's is written over.
fn write_files(
    dir: &Path,
    subjects: &[ExpertSubject],
    policy: Option<&Policy>,
) -> Result<(), String> {
    let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir(dir).map_err(|error| failed(dir, error))?;
    for file in expert_corner(subjects, policy) {
        let path = dir.join(&file.name);
        let folder = path.parent().unwrap_or(dir);
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        fs::write(&path, &file.bytes).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
}
