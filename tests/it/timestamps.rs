//! Trusted time both ways: our authority in the eyes of openssl, and receipts stamped by two authorities, one
//! of which is openssl behind HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use data_encoding::BASE64;

use crate::support::{Desk, Server, expect, expect_json, http, run, skip};

const QUERY: &str = "application/timestamp-query";

pub fn has_openssl() -> bool {
    !run(Command::new("sh").args(["-c", "command -v openssl"])).stdout.is_empty()
}

#[test]
fn openssl_asks_our_authority_and_believes_it() {
    if !has_openssl() {
        return skip("openssl is not installed");
    }
    let desk = Desk::new();
    let server = Server::start(&mut desk.timemark(["tsa", "serve", "--listen", "127.0.0.1:0"]));
    let chain = desk.file("chain.pem", expect(0, &mut desk.timemark(["tsa", "cert"])));
    let file = desk.file("work", "what is stamped");
    let openssl = |arguments: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments.split(' ')).current_dir(desk.path(""));
        openssl
    };
    for digest in ["sha256", "sha384", "sha512"] {
        for cert in ["-cert", ""] {
            for nonce in ["", "-no_nonce"] {
                let query = format!("ts -query -data work -{digest} {cert} {nonce} -out q.tsq");
                expect(0, &mut openssl(&query.split_whitespace().collect::<Vec<_>>().join(" ")));
                let query = std::fs::read(desk.path("q.tsq")).unwrap();
                let (status, reply) = http(&format!("{}/tsa", server.url), "POST", QUERY, &query);
                assert_eq!(status, 200);
                desk.file("r.tsr", reply);
                let trust = "-CAfile chain.pem -untrusted chain.pem";
                expect(0, &mut openssl(&format!("ts -verify -queryfile q.tsq -in r.tsr {trust}")));
                expect(0, &mut openssl(&format!("ts -verify -data work -in r.tsr {trust}")));
                let other = format!("ts -verify -data chain.pem -in r.tsr {trust}");
                assert!(!run(&mut openssl(&other)).status.success());
            }
        }
    }
    let said = |query: &[u8]| {
        let (_, reply) = http(&format!("{}/tsa", server.url), "POST", QUERY, query);
        desk.file("r.tsr", reply);
        expect(0, &mut openssl("ts -reply -in r.tsr -text"))
    };
    expect(0, &mut openssl("ts -query -data work -sha1 -out q.tsq"));
    let refused = said(&std::fs::read(desk.path("q.tsq")).unwrap());
    assert!(refused.contains("unrecognized or unsupported algorithm"), "{refused}");
    expect(0, &mut openssl("ts -query -data work -sha256 -tspolicy 1.2.3.4 -out q.tsq"));
    let refused = said(&std::fs::read(desk.path("q.tsq")).unwrap());
    assert!(refused.contains("requested TSA policy is not supported"), "{refused}");
    let refused = said(b"no request");
    assert!(refused.contains("data submitted has the wrong format"), "{refused}");
    let (status, _) = http(&format!("{}/tsa", server.url), "POST", "text/plain", b"");
    assert_eq!(status, 415);
    drop((file, chain));
}

/// An authority that is openssl: a root, an intermediate and a signer below it, and `openssl ts -reply`.
pub struct OpensslAuthority {
    name: &'static str,
    url: String,
    root_der: Vec<u8>,
    pub root_pem: PathBuf,
}

impl OpensslAuthority {
    /// `delay` is how long it takes to answer, and so how much later its times are.
    fn start(desk: &Desk, key: &str, delay: Duration) -> OpensslAuthority {
        OpensslAuthority::named("openssl", desk, key, "sha256", delay)
    }

    /// One that goes by this name, and rests on this digest and no other.
    pub fn named(
        name: &'static str,
        desk: &Desk,
        key: &str,
        digest: &str,
        delay: Duration,
    ) -> OpensslAuthority {
        let dir = desk.path(&format!("{name}-authority"));
        std::fs::create_dir_all(&dir).unwrap();
        let sh = |script: &str| {
            expect(0, Command::new("sh").arg("-euc").arg(script).current_dir(&dir));
        };
        let config = format!(
            "[a]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n\
            [t]\nextendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n\
            [tsa]\ndefault_tsa=one\n[one]\nserial=serial\ndefault_policy=1.2.3.4.1\ndigests=sha256,sha384,sha512\n\
            accuracy=secs:1\ness_cert_id_alg={digest}\nsigner_digest={digest}\n"
        );
        std::fs::write(dir.join("conf"), config).unwrap();
        std::fs::write(dir.join("serial"), "01\n").unwrap();
        for (level, issuer, section) in
            [("root", "root", "a"), ("middle", "root", "a"), ("tsa", "middle", "t")]
        {
            let sign = if level == issuer {
                format!("-signkey {level}.key")
            } else {
                format!("-CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial")
            };
            sh(&format!(
                "openssl genpkey {key} -out {level}.key 2>&1
                 openssl req -new -key {level}.key -subj '/CN={name} {level}' -out {level}.csr 2>&1
                 openssl x509 -req -{digest} -in {level}.csr {sign} -days 3650 -extfile conf \
                 -extensions {section} -out {level}.pem 2>&1"
            ));
        }
        sh("openssl x509 -in root.pem -outform DER -out root.der");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/stamp", listener.local_addr().unwrap());
        let (root_der, root_pem) =
            (std::fs::read(dir.join("root.der")).unwrap(), dir.join("root.pem"));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::sleep(delay);
                answer(stream.unwrap(), &dir);
            }
        });
        OpensslAuthority { name, url, root_der, root_pem }
    }

    pub fn policy_line(&self) -> String {
        format!("tsa {} {} {}\n", self.name, BASE64.encode(&self.root_der), self.url)
    }
}

fn answer(stream: TcpStream, dir: &Path) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut query = vec![0; length];
    reader.read_exact(&mut query).unwrap();
    std::fs::write(dir.join("query"), query).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["ts", "-reply", "-config", "conf", "-queryfile", "query", "-inkey", "tsa.key"]);
    openssl.args(["-signer", "tsa.pem", "-chain", "middle.pem", "-out", "reply"]);
    expect(0, openssl.current_dir(dir));
    let reply = std::fs::read(dir.join("reply")).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        reply.len()
    );
    let mut stream = reader.into_inner();
    stream.write_all(&[head.as_bytes(), &reply].concat()).unwrap();
}

/// An archive with two authorities; returns its desk, the own one's server and the openssl one.
fn stamped(key: &str, delay: Duration, more: &str) -> (Desk, Server, OpensslAuthority) {
    let desk = Desk::new();
    let mut serve = desk.timemark_on("authority", ["tsa", "serve", "--listen", "127.0.0.1:0"]);
    let own = Server::start(&mut serve);
    let pair = format!("own={}/tsa", own.url);
    let line =
        expect(0, &mut desk.timemark_on("authority", ["tsa", "cert", "--policy-line", &pair]));
    let openssl = OpensslAuthority::start(&desk, key, delay);
    let policy = format!("quorum none\n{line}{}{more}", openssl.policy_line());
    let policy = desk.file("authorities", policy);
    expect(0, desk.timemark(["init", "--origin", "stamped.example", "--policy"]).arg(policy));
    (desk, own, openssl)
}

#[test]
fn receipts_carry_tokens_of_two_authorities_that_openssl_checks_as_shown() {
    if !has_openssl() {
        return skip("openssl is not installed");
    }
    for key in [
        "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
    ] {
        let (desk, _own, openssl) = stamped(key, Duration::ZERO, "");
        for i in 0..5 {
            desk.file(&format!("works/{i}"), format!("work {i}"));
        }
        for line in expect_json(0, &mut desk.timemark(["register", "works", "--receipts", "r"])) {
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            let mut verify =
                desk.timemark(["verify", &text("file"), "--receipt", &text("receipt")]);
            let verdict = expect_json(0, &mut verify).remove(0);
            let names: Vec<&str> = verdict["timestamps"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["authority"].as_str().unwrap())
                .collect();
            assert_eq!(names, ["own", "openssl"], "{verdict}");
            let first =
                verdict["timestamps"].as_array().unwrap().iter().map(|t| t["time"].as_str()).min();
            assert_eq!(verdict["existed_by"].as_str(), first.unwrap());
            assert_eq!(verdict["disagreement_seconds"], serde_json::Value::Null);

            // The commands that the receipt shows, with the certificates of both authorities.
            let chain = expect(0, &mut desk.timemark_on("authority", ["tsa", "cert"]));
            desk.file("CA.pem", chain + &std::fs::read_to_string(&openssl.root_pem).unwrap());
            let shown = expect(0, &mut desk.timemark(["receipt", "show", &text("receipt")]));
            let commands: Vec<&str> = shown
                .lines()
                .filter(|line| {
                    line.starts_with("timemark receipt") || line.starts_with("openssl ts")
                })
                .collect();
            assert_eq!(commands.len(), 6, "{shown}");
            let program = Path::new(env!("CARGO_BIN_EXE_timemark")).parent().unwrap().display();
            let script = format!("PATH={program}:$PATH\n{}", commands.join("\n"));
            expect(0, Command::new("sh").arg("-euc").arg(script).current_dir(desk.path("")));
        }
    }
}

#[test]
fn authorities_that_disagree_are_shown_and_one_that_is_down_costs_its_token_only() {
    if !has_openssl() {
        return skip("openssl is not installed");
    }
    let key = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    let (desk, own, _openssl) = stamped(key, Duration::from_millis(2100), "tsa-tolerance 1\n");
    let work = desk.file("work", "a work");
    expect(0, desk.timemark(["register", "--receipts", "r"]).arg(&work));
    let mut verify = desk.timemark(["verify", "work", "--receipt", "r/work.timemark"]);
    let verdict = expect_json(0, &mut verify).remove(0);
    assert!(verdict["disagreement_seconds"].as_u64() >= Some(2), "{verdict}");
    let words = expect(0, &mut desk.timemark(["verify", "work", "--receipt", "r/work.timemark"]));
    assert!(words.contains("WARNING") && words.contains("disagree"), "{words}");

    drop(own);
    let other = desk.file("other", "another work");
    let output = run(desk.timemark(["register", "--receipts", "r"]).arg(&other));
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the time-stamp authority own"));
    let mut verify = desk.timemark(["verify", "other", "--receipt", "r/other.timemark"]);
    assert_eq!(expect_json(0, &mut verify)[0]["timestamps"].as_array().unwrap().len(), 1);
}
