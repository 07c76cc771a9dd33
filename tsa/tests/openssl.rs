//! What the rest of the world makes of our tokens: `openssl` asks, we answer, `openssl` judges.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use timemark_tsa::{Authority, Clock, Reading};

/// When the tests happen: 2026-10-05 12:00:00 UTC.
const NOW: u64 = 1_791_201_600;
const DATA: &[u8] = b"a work\n";

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
                assert!(text.contains("Policy OID: 1.2.840.113556.1.8000.2554.33727."), "{text}");
                assert!(text.contains("Time stamp: Oct  5 12:00:00 2026 GMT"), "{text}");
                assert!(text.contains("Accuracy: 0x02 seconds, 0x64 millis"), "{text}");
                assert!(text.contains("Ordering: no"), "{text}");
                assert!(text.contains("TSA: DirName:/CN=tsa.example"), "{text}");
                assert_eq!(text.contains("Nonce: unspecified"), !nonce.is_empty(), "{text}");
            }
        }
    }
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
        let response = self.authority.respond(&fs::read(self.path("q.tsq")).unwrap());
        fs::write(self.path("r.tsr"), &response).unwrap();
        response
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

    fn expect_ok(&self, case: &str) {
        assert!(self.ok().contains("Verification: OK"), "{case}: {}\n{}", self.what, self.text());
    }
}
