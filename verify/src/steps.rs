//! A verification taken apart: every single check, what it computed, and how an expert repeats it without us.
//!
//! [`verify`](crate::verify) decides; this tells how. The first step that failed is the check that the refusal names.

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::expert::{
    self, CLAIM, CREATOR, GO_PROGRAM, LEAF, checkpoint_name, proof_name, token_name,
};
use crate::merkle::{self, PathStep};
use crate::text::{hides, utc};
use crate::{
    Anchor, KeyKind, Leaf, Policy, Receipt, Refusal, SM2_IDENTITY, Timestamp, Verdict, WorkDigests,
};

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name, as [`Refusal::check`] gives it.
    pub check: &'static str,
    /// Which anchor it is about, counted from 1.
    pub anchor: Option<usize>,
    /// How it came out.
    pub state: StepState,
    /// What is checked, in English.
    pub title: String,
    /// What is checked, in Chinese.
    pub title_zh: String,
    /// What came out here.
    pub computed: String,
    /// What should have come out.
    pub expected: String,
    /// A command by which an expert computes the same from the work, the receipt's parts and the files below.
    pub command: String,
    /// The names of the [`expert_files`](crate::expert_files) that the command reads.
    pub files: Vec<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It holds.
    Passed,
    /// It does not hold: the receipt is refused.
    Failed,
    /// Nothing speaks against it, and what would show it is not here.
    Missing,
    /// It was not, or could not be, looked at.
    Unchecked,
}

/// Everything that is checked of a receipt, in the order in which it is checked. `work` is `None` where the file itself
/// is not here; `work_name` is how the commands call it. `decided` is what [`verify`](crate::verify) said under the
/// policy, if there was one.
pub fn steps(
    work: Option<&WorkDigests>,
    work_name: &str,
    receipt: &Receipt,
    policy: Option<&Policy>,
    decided: Option<&Result<Verdict, Refusal>>,
) -> Vec<Step> {
    let mut steps = work_steps(work, &shell_word(work_name), &receipt.claim.work);
    steps.extend(claim_steps(receipt));
    for (number, anchor) in (1..).zip(&receipt.anchors) {
        steps.push(inclusion_step(number, anchor, receipt, policy));
    }
    for (number, anchor) in (1..).zip(&receipt.anchors) {
        for signature in expert::signatures(number, anchor, policy) {
            steps.push(signature_step(number, &signature));
        }
        if let Some(Err(Refusal::SplitView { size, .. })) = decided
            && *size == anchor.checkpoint().size
            && !steps.iter().any(|step| step.check == "log.split-view")
        {
            steps.push(plain("log.split-view", None, StepState::Failed, SPLIT_VIEW));
        }
    }
    for (number, anchor) in (1..).zip(&receipt.anchors) {
        for (token, response) in (1..).zip(&anchor.timestamps) {
            steps.push(token_step(number, token, response, anchor, policy));
        }
    }
    steps.extend(policy_steps(decided));
    steps
}

fn work_steps(work: Option<&WorkDigests>, file: &str, claimed: &WorkDigests) -> Vec<Step> {
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    let number = |length: u64| length.to_string();
    let facts = [
        (
            "work.length",
            ["The file has the claimed length", "文件长度与声明一致"],
            work.map(|w| number(w.length)),
            number(claimed.length),
            format!("wc -c < {file}"),
        ),
        (
            "work.sha256",
            ["The file has the claimed SHA-256", "文件的 SHA-256 与声明一致"],
            work.map(|w| hex(&w.sha256)),
            hex(&claimed.sha256),
            format!("sha256sum {file}"),
        ),
        (
            "work.sha512",
            ["The file has the claimed SHA-512", "文件的 SHA-512 与声明一致"],
            work.map(|w| hex(&w.sha512)),
            hex(&claimed.sha512),
            format!("sha512sum {file}"),
        ),
        (
            "work.sm3",
            ["The file has the claimed SM3 digest", "文件的 SM3 摘要与声明一致"],
            work.map(|w| hex(&w.sm3)),
            hex(&claimed.sm3),
            format!("openssl dgst -sm3 {file}"),
        ),
    ];
    let step = |(check, title, computed, expected, command): (_, _, Option<String>, _, _)| {
        let state = StepState::of(computed.as_ref().map(|computed| *computed == expected));
        let computed = computed.unwrap_or_default();
        Step { computed, expected, command, ..plain(check, None, state, title) }
    };
    facts.into_iter().map(step).collect()
}

fn claim_steps(receipt: &Receipt) -> Vec<Step> {
    let leaf = Leaf::of(&receipt.claim);
    let mut steps = vec![
        Step {
            computed: leaf.content.sha256_hex(),
            expected: receipt.leaf.content.sha256_hex(),
            command: format!("grep \"^sha256 $(xxd -p -s 1 -l 32 -c 32 {LEAF})\" {CLAIM}"),
            files: vec![LEAF.to_owned(), CLAIM.to_owned()],
            ..plain(
                "leaf.content",
                None,
                StepState::of(Some(leaf.content == receipt.leaf.content)),
                ["The log entry names the work's SHA-256", "日志条目所载即作品的 SHA-256"],
            )
        },
        Step {
            computed: HEXLOWER.encode(&leaf.claim),
            expected: HEXLOWER.encode(&receipt.leaf.claim),
            command: format!("sha256sum {CLAIM}"),
            files: vec![CLAIM.to_owned()],
            ..plain(
                "leaf.claim",
                None,
                StepState::of(Some(leaf.claim == receipt.leaf.claim)),
                ["The log entry commits to this claim", "日志条目所载即本声明的摘要"],
            )
        },
    ];
    if let Some(creator) = &receipt.claim.creator {
        let [key, message, signature] = CREATOR;
        let holds = receipt.claim.creator_signature_holds();
        steps.push(Step {
            computed: genuine(holds),
            expected: format!("a signature by the key {}", HEXLOWER.encode(&creator.key)),
            command: openssl_verify(key, message, signature),
            files: CREATOR.map(str::to_owned).to_vec(),
            ..plain(
                "claim.creator",
                None,
                StepState::of(Some(holds)),
                ["The creator's key signed the claim", "作者密钥对声明的签名有效"],
            )
        });
    }
    steps
}

fn inclusion_step(
    number: usize,
    anchor: &Anchor,
    receipt: &Receipt,
    policy: Option<&Policy>,
) -> Step {
    let root = anchor.checkpoint().root;
    let leaf = merkle::leaf_hash(&Leaf::of(&receipt.claim).to_bytes());
    let path = merkle::inclusion_path(anchor.index, anchor.checkpoint().size, leaf, &anchor.proof);
    let (computed, holds) = match &path {
        Ok(path) => {
            let end = path.last().map_or(leaf, |step| step.parent);
            (HEXLOWER.encode(&end.0), end == root)
        }
        Err(error) => (error.to_string(), false),
    };
    let go_key = policy.and_then(|policy| {
        let logs = policy.logs().iter().map(|log| &log.key);
        let of_log = |key: &&crate::VerifierKey| {
            key.kind() == KeyKind::Ed25519 && anchor.note().signatures_by(key).next().is_some()
        };
        logs.into_iter().find(of_log)
    });
    let go = go_key.map(|key| {
        format!(
            "\n# or with Go's own transparency-log code:\n\
             go mod init check && go get golang.org/x/mod && go run {GO_PROGRAM} {} {LEAF} {}",
            proof_name(number),
            quoted(&key.to_string())
        )
    });
    let title = [
        format!("Entry {} is in the tree of {} entries", anchor.index, anchor.checkpoint().size),
        format!("第 {} 号条目在共 {} 条的日志树中", anchor.index, anchor.checkpoint().size),
    ];
    Step {
        computed,
        expected: HEXLOWER.encode(&root.0),
        command: path_commands(number, path.as_deref().unwrap_or_default())
            + &go.unwrap_or_default(),
        files: vec![
            LEAF.to_owned(),
            checkpoint_name(number),
            proof_name(number),
            GO_PROGRAM.to_owned(),
        ],
        ..plain(
            "anchor.inclusion",
            Some(number),
            StepState::of(Some(holds)),
            title.each_ref().map(String::as_str),
        )
    }
}

/// RFC 6962 section 2.1 with nothing but sha256sum: each line hashes two nodes into the one above.
fn path_commands(number: usize, path: &[PathStep]) -> String {
    let mut commands = format!("h=$( (printf '\\000'; cat {LEAF}) | sha256sum | cut -c 1-64)\n");
    for step in path {
        let sibling = HEXLOWER.encode(&step.sibling.0);
        let both = if step.is_left { format!("{sibling}$h") } else { format!("${{h}}{sibling}") };
        commands += &format!("h=$(printf %s \"01{both}\" | xxd -r -p | sha256sum | cut -c 1-64)\n");
    }
    // The third line of a checkpoint is its root.
    let root = format!("sed -n 3p {} | base64 -d | xxd -p -c 32", checkpoint_name(number));
    commands + &format!("test $h = \"$({root})\" && echo $h")
}

fn signature_step(number: usize, signature: &expert::KnownSignature) -> Step {
    let files = signature.names(number);
    let [key, message, bytes] = &files;
    let kind = signature.key.kind();
    let who = [("The witness", "见证人"), ("The log", "日志")][usize::from(signature.is_log)];
    let how = match kind {
        KeyKind::Ed25519 | KeyKind::CosignatureV1 => "Ed25519",
        KeyKind::MlDsa44 => "ML-DSA-44",
        KeyKind::Sm2 => "SM2-SM3",
    };
    let at = signature.time.map(|time| format!(" at {}", utc(time))).unwrap_or_default();
    let title = [
        format!("{} {} signed the checkpoint ({how}){at}", who.0, signature.name),
        format!(
            "{} {} 对检查点的签名有效（{how}）{}",
            who.1,
            signature.name,
            at.replace(" at ", " ")
        ),
    ];
    let command = match kind {
        KeyKind::Sm2 => format!(
            "openssl dgst -sm3 -verify {key} -sigopt distid:{SM2_IDENTITY} -signature {bytes} {message}"
        ),
        KeyKind::MlDsa44 => {
            format!("{} # OpenSSL 3.5 or newer", openssl_verify(key, message, bytes))
        }
        _ => openssl_verify(key, message, bytes),
    };
    Step {
        computed: genuine(signature.holds),
        expected: format!("a signature by {}", signature.key.short()),
        command,
        files: files.to_vec(),
        ..plain(
            "anchor.signature",
            Some(number),
            StepState::of(Some(signature.holds)),
            title.each_ref().map(String::as_str),
        )
    }
}

fn token_step(
    number: usize,
    token: usize,
    response: &[u8],
    anchor: &Anchor,
    policy: Option<&Policy>,
) -> Step {
    let said = Timestamp::of_response(response);
    let time = said.as_ref().map_or(String::new(), |timestamp| utc(timestamp.time()));
    let checked = match (&said, policy) {
        (Err(error), _) => Err(error.to_string()),
        (Ok(timestamp), Some(policy)) => policy.token_maker(timestamp, anchor),
        (Ok(_), None) => Err("no policy names an authority".to_owned()),
    };
    let file = token_name(number, token);
    let (authority, state, computed) = match checked {
        // A token that does not count takes nothing away from the rest.
        Err(reason) => (None, StepState::Unchecked, reason),
        Ok(authority) => (Some(authority), StepState::Passed, time.clone()),
    };
    let named = authority.map_or(1, |at| at + 1);
    let certificate = expert::authority_name(named);
    let who = authority.and_then(|at| Some(policy?.authorities().get(at)?.authority.name()));
    let attime = said.map_or(0, |timestamp| timestamp.time());
    let checkpoint = checkpoint_name(number);
    Step {
        computed,
        expected: time,
        command: format!(
            "openssl ts -verify -data {checkpoint} -in {file} -CAfile {certificate} -partial_chain \
             -attime {attime}"
        ),
        files: vec![checkpoint, file, certificate],
        ..plain(
            "anchor.timestamp",
            Some(number),
            state,
            [
                &format!("The authority {} stamped the checkpoint", who.unwrap_or("(unknown)")),
                &format!("时间戳机构 {} 为检查点加盖了时间戳", who.unwrap_or("（未知）")),
            ],
        )
    }
}

fn policy_steps(decided: Option<&Result<Verdict, Refusal>>) -> Vec<Step> {
    use StepState::{Failed, Missing, Passed, Unchecked};
    let (log, quorum, renewal) = match decided {
        Some(Ok(_)) => (Passed, Passed, Passed),
        Some(Err(Refusal::UntrustedLog { .. })) => (Failed, Unchecked, Unchecked),
        Some(Err(Refusal::QuorumMissing)) => (Passed, Missing, Unchecked),
        Some(Err(Refusal::NotRenewed { .. })) => (Passed, Passed, Missing),
        Some(Err(_)) | None => (Unchecked, Unchecked, Unchecked),
    };
    vec![
        plain(
            "policy.log",
            None,
            log,
            ["A log that the policy trusts signed", "由受信任的日志签署"],
        ),
        plain(
            "policy.quorum",
            None,
            quorum,
            ["Enough witnesses of the policy cosigned", "已有足够的见证人联署"],
        ),
        plain(
            "policy.renewal",
            None,
            renewal,
            ["What it rests on was renewed in time", "所依赖的算法与机构均在有效期内续期"],
        ),
    ]
}

impl StepState {
    const fn of(holds: Option<bool>) -> StepState {
        match holds {
            Some(true) => StepState::Passed,
            Some(false) => StepState::Failed,
            None => StepState::Unchecked,
        }
    }
}

fn plain(
    check: &'static str,
    anchor: Option<usize>,
    state: StepState,
    [title, title_zh]: [&str; 2],
) -> Step {
    Step {
        check,
        anchor,
        state,
        title: title.to_owned(),
        title_zh: title_zh.to_owned(),
        computed: String::new(),
        expected: String::new(),
        command: String::new(),
        files: Vec::new(),
    }
}

fn genuine(holds: bool) -> String {
    if holds { "genuine".to_owned() } else { "not genuine".to_owned() }
}

fn openssl_verify(key: &str, message: &str, signature: &str) -> String {
    format!("openssl pkeyutl -verify -pubin -inkey {key} -rawin -in {message} -sigfile {signature}")
}

/// A file name as a shell takes it for one word and not for an option. A name that does not show all of itself, or breaks
/// lines, is not spelled at all: a command that is copied must not hold another.
fn shell_word(name: &str) -> String {
    if name.is_empty() || name.contains(hides) || name.contains(char::REPLACEMENT_CHARACTER) {
        return "\"$WORK\"".to_owned();
    }
    let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    let name = if name.starts_with('-') { format!("./{name}") } else { name.to_owned() };
    if name.chars().all(plain) { name } else { quoted(&name) }
}

/// A text as one word of a shell.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

const SPLIT_VIEW: [&str; 2] =
    ["The log showed everybody the same tree", "日志对所有人展示同一棵树"];
