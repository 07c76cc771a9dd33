//! What the rest of the world makes of our tokens: `openssl` asks, we answer, `openssl` judges.
#![cfg(test)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use timemark_tsa::{Authority, Clock, Reading};

mod strict;

/// When the tests happen: 2026-10-05 12:00:00 UTC.
const NOW: u64 = 1_791_201_600;
const DATA: &[u8] = b"a work\n";
const OWN_ARC: &str = "1.2.840.113556.1.8000.2554.33727.16536.32105.16709.48283.13214212.16349654";

#[test]
fn openssl_verifies_what_it_asked_for() {
    let Some(desk) = Desk::new() else { return };
    for digest in ["-sha256", "-sha384", "-sha512", "-sha3-256", "-sha3-384", "-sha3-512", "-sm3"] {
        for certificate in [&["-cert"][..], &[]] {
            for nonce in [&[][..], &["-no_nonce"]] {
                let case = format!("{digest} {certificate:?} {nonce:?}");
                desk.query(&[&[digest], certificate, nonce].concat());
                desk.respond();
                desk.verify(&["-queryfile", "q.tsq"], certificate.is_empty()).expect_ok(&case);
                desk.verify(&["-data", "data"], certificate.is_empty()).expect_ok(&case);
                let text = desk.openssl(&["ts", "-reply", "-in", "r.tsr", "-text"]).ok();
                assert!(text.contains("Status: Granted."), "{text}");
                assert!(text.contains(&format!("Policy OID: {OWN_ARC}.1\n")), "{text}");
                assert!(text.contains("Time stamp: Oct  5 12:00:00 2026 GMT"), "{text}");
                assert!(text.contains("Accuracy: 0x02 seconds, 0x64 millis"), "{text}");
                assert!(text.contains("Ordering: no"), "{text}");
                assert!(text.contains("TSA: DirName:/CN=tsa.example"), "{text}");
                assert_eq!(text.contains("Nonce: unspecified"), !nonce.is_empty(), "{text}");
            }
        }
    }
}

#[test]
fn openssl_trusts_the_chain() {
    let Some(desk) = Desk::new() else { return };
    let now = NOW.to_string();
    let verify = ["verify", "-x509_strict", "-purpose", "timestampsign", "-attime", &now];
    let chain = ["-CAfile", "tsa/root.crt", "tsa/tsa.crt"];
    desk.openssl(&[&verify[..], &chain].concat()).ok();
    let purpose = ["verify", "-purpose", "sslserver", "-attime", &now];
    assert!(!desk.openssl(&[&purpose[..], &chain].concat()).output.status.success());

    let text = desk.openssl(&["x509", "-in", "tsa/tsa.crt", "-noout", "-text"]).ok();
    for line in [
        "Issuer: CN = tsa.example root",
        "Not Before: Oct  5 11:43:20 2026 GMT",
        "Not After : Oct  5 ",
        "Subject: CN = tsa.example\n",
        "ASN1 OID: prime256v1",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Extended Key Usage: critical\n                Time Stamping\n",
        "X509v3 Subject Key Identifier:",
        "X509v3 Authority Key Identifier:",
        "Signature Algorithm: ecdsa-with-SHA256",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let text = desk.openssl(&["x509", "-in", "tsa/root.crt", "-noout", "-text"]).ok();
    for line in [
        "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
        "X509v3 Subject Key Identifier:",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    for key in ["tsa/tsa.key", "tsa/root.key"] {
        desk.openssl(&["pkey", "-in", key, "-check", "-noout"]).ok();
    }

    // The chain as it is handed out serves where the file does.
    fs::write(desk.path("chain.pem"), desk.authority.chain_pem()).unwrap();
    desk.query(&["-sha256"]);
    desk.respond();
    let chain = ["-CAfile", "tsa/root.crt", "-untrusted", "chain.pem", "-attime", &now];
    desk.openssl(&[&["ts", "-verify", "-in", "r.tsr", "-data", "data"], &chain[..]].concat())
        .expect_ok("chain");
}

#[test]
fn openssl_verifies_forty_years_later_for_the_time_of_the_token() {
    let Some(desk) = Desk::new() else { return };
    desk.query(&["-sha512", "-cert"]);
    desk.respond();
    let later = (NOW + 40 * 31_556_952).to_string();
    let verify = ["ts", "-verify", "-in", "r.tsr", "-data", "data", "-CAfile", "tsa/root.crt"];
    let text = desk.openssl(&[&verify[..], &["-attime", &later]].concat()).refused();
    assert!(text.contains("certificate has expired"), "{text}");
    desk.verify(&["-data", "data"], false).expect_ok("at the time of the token");
}

#[test]
fn openssl_refuses_what_was_tampered_with() {
    let Some(desk) = Desk::new() else { return };
    desk.query(&["-sha256", "-cert"]);
    let good = desk.respond();
    fs::write(desk.path("data"), b"another work\n").unwrap();
    let text = desk.verify(&["-data", "data"], false).refused();
    assert!(text.contains("message imprint mismatch"), "{text}");
    fs::write(desk.path("data"), DATA).unwrap();

    // Every byte of what is signed and of the signature, a bit each; not the one that says
    // `constructed`, which OpenSSL reads over in a SET, and hence means the same.
    let token = strict::answer(&good).token.unwrap();
    for part in [token.info, token.attributes, token.signature] {
        let start = part.as_ptr() as usize - good.as_ptr() as usize;
        for place in start..start + part.len() {
            let mut bad = good.clone();
            bad[place] ^= 1 << (place % 5);
            fs::write(desk.path("r.tsr"), bad).unwrap();
            desk.verify(&["-data", "data"], false).refused();
        }
    }

    // The token of one authority, the root of another.
    fs::write(desk.path("r.tsr"), good).unwrap();
    Authority::create(&desk.path("other"), "tsa.example", NOW - 1_000).unwrap();
    fs::copy(desk.path("other/root.crt"), desk.path("tsa/root.crt")).unwrap();
    desk.verify(&["-data", "data"], false).refused();
}

#[test]
fn openssl_reads_why_there_is_no_token() {
    let Some(desk) = Desk::new() else { return };
    let algorithm = "unrecognized or unsupported algorithm identifier";
    let format = "the data submitted has the wrong format";
    let policy = "the requested TSA policy is not supported by the TSA";
    let extension = "the requested extension is not supported by the TSA";
    let own = format!("{}.1", OWN_ARC);

    for (options, expected) in [
        (&["-sha1"][..], algorithm),
        (&["-md5"], algorithm),
        (&["-sha224"], algorithm),
        (&["-sha256", "-tspolicy", "1.2.3.4.1"], policy),
        (&["-sha256", "-tspolicy", "2.25.329800735698586629295641978511506172918"], policy),
        (&["-sha256", "-tspolicy", OWN_ARC], policy),
    ] {
        desk.query(options);
        desk.rejected(&desk.read_query(), expected);
    }
    desk.query(&["-sha256", "-cert", "-tspolicy", &own]);
    desk.respond();
    desk.verify(&["-queryfile", "q.tsq"], false).expect_ok("our own policy");

    desk.query(&["-sha256", "-no_nonce"]);
    let good = desk.read_query();
    let version = 4;
    assert_eq!(good[version - 2..=version], [2, 1, 1]);
    let mut other = good.clone();
    other[version] = 2;
    desk.rejected(&other, "transaction not permitted or supported");

    desk.rejected(b"", format);
    desk.rejected(b"What time is it?", format);
    desk.rejected(&good[..good.len() - 1], format);
    desk.rejected(&[&good[..], b"\n"].concat(), format);

    // SHA-384 as the algorithm of 32 bytes.
    let sha_256 = [0x60, 0x86, 0x48, 1, 101, 3, 4, 2, 1];
    let place = good.windows(9).position(|window| window == sha_256).unwrap();
    let mut other = good.clone();
    other[place + 8] = 2;
    desk.rejected(&other, format);

    let field = [0xa0, 8, 0x30, 6, 6, 2, 0x2a, 3, 4, 0];
    let mut other = [&good[..], &field].concat();
    other[1] += field.len() as u8;
    desk.rejected(&other, extension);

    // A clock of before the last token.
    drop(desk.authority);
    let before = || Reading { utc: Duration::from_secs(NOW - 2_000), monotonic: Duration::ZERO };
    let authority = Authority::open(&desk.dir.path().join("tsa"), Clock::from_readings(before));
    let desk = Desk { dir: desk.dir, authority: authority.unwrap() };
    desk.rejected(&good, "the TSA's time source is not available");
}

/// A folder with an authority in it; nothing where there is no openssl.
struct Desk {
    dir: TempDir,
    authority: Authority,
}

impl Desk {
    fn new() -> Option<Desk> {
        if Command::new("openssl").arg("version").output().is_err() {
            eprintln!("SKIPPED: there is no openssl");
            let required = std::env::var_os("TIMEMARK_REQUIRE_PEERS").is_some();
            assert!(!required, "must not be skipped here: there is no openssl");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        Authority::create(&dir.path().join("tsa"), "tsa.example", NOW - 1_000).unwrap();
        let stopped = || Reading { utc: Duration::from_secs(NOW), monotonic: Duration::ZERO };
        let clock = Clock::from_readings(stopped);
        let authority = Authority::open(&dir.path().join("tsa"), clock).unwrap();
        fs::write(dir.path().join("data"), DATA).unwrap();
        Some(Desk { dir, authority })
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn query(&self, options: &[&str]) {
        let query = ["ts", "-query", "-data", "data", "-out", "q.tsq"];
        self.openssl(&[&query, options].concat()).ok();
    }

    fn respond(&self) -> Vec<u8> {
        let response = self.authority.respond(&self.read_query());
        fs::write(self.path("r.tsr"), &response).unwrap();
        response
    }

    fn read_query(&self) -> Vec<u8> {
        fs::read(self.path("q.tsq")).unwrap()
    }

    /// Sends these bytes and has openssl read the answer.
    fn rejected(&self, request: &[u8], expected: &str) {
        let response = self.authority.respond(request);
        assert!(strict::answer(&response).token.is_none());
        fs::write(self.path("r.tsr"), response).unwrap();
        let text = self.openssl(&["ts", "-reply", "-in", "r.tsr", "-text"]).ok();
        let failure = format!("Failure info: {expected}\n");
        let whole = text.contains("Status: Rejected.") && text.contains(&failure);
        assert!(whole && text.contains("TST info:\nNot included."), "{request:02x?}\n{text}");
    }

    fn verify(&self, what: &[&str], needs_certificate: bool) -> Outcome {
        let now = NOW.to_string();
        let verify = ["ts", "-verify", "-in", "r.tsr", "-CAfile", "tsa/root.crt", "-attime", &now];
        let certificate: &[&str] =
            if needs_certificate { &["-untrusted", "tsa/tsa.crt"] } else { &[] };
        self.openssl(&[&verify, what, certificate].concat())
    }

    fn openssl(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("openssl");
        let output = command.args(arguments).current_dir(self.dir.path()).output().unwrap();
        Outcome { what: format!("openssl {}", arguments.join(" ")), output }
    }
}

/// What openssl said.
struct Outcome {
    what: String,
    output: Output,
}

impl Outcome {
    fn text(&self) -> String {
        let (out, err) = (&self.output.stdout, &self.output.stderr);
        format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
    }

    fn ok(&self) -> String {
        assert!(self.output.status.success(), "{}\n{}", self.what, self.text());
        self.text()
    }

    fn refused(&self) -> String {
        let refused = !self.output.status.success() && self.text().contains("Verification: FAILED");
        assert!(refused, "{}\n{}", self.what, self.text());
        self.text()
    }

    fn expect_ok(&self, case: &str) {
        assert!(self.ok().contains("Verification: OK"), "{case}: {}\n{}", self.what, self.text());
    }
}
