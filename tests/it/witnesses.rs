//! Witnesses as processes of their own: receipts gain their quorum, and no dead witness holds anything up.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Desk, Server, expect, expect_json, timemark};

/// An archive with three witnesses, two of which must cosign.
struct Witnessed {
    desk: Desk,
    witnesses: Vec<Option<Server>>,
    ports: Vec<String>,
    policy: PathBuf,
}

impl Witnessed {
    fn new() -> Witnessed {
        let desk = Desk::new();
        expect(0, &mut desk.timemark(["init", "--origin", "witnessed.example"]));
        let vkeys = expect(0, &mut desk.timemark(["log", "vkey"]));
        assert_eq!(vkeys.lines().count(), 3, "Ed25519, ML-DSA-44 and SM2");
        let mut all =
            Witnessed { desk, witnesses: Vec::new(), ports: Vec::new(), policy: "".into() };
        let mut lines = String::new();
        for n in 1..=3 {
            let mut serve = timemark();
            serve.args([
                "witness",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--name",
                &format!("w{n}.example"),
            ]);
            serve.arg("--dir").arg(all.desk.path(&format!("w{n}")));
            serve.args(vkeys.lines().flat_map(|vkey| ["--log", vkey]));
            let server = Server::start(&mut serve);
            let [ed25519, ml_dsa] = &server.keys[..] else { panic!("{:?}", server.keys) };
            // Both keys of a witness must have cosigned, for it to count.
            lines +=
                &format!("witness W{n} {ed25519} {0}\nwitness W{n}-pq {ml_dsa} {0}\n", server.url);
            lines += &format!("group both-of-W{n} all W{n} W{n}-pq\n");
            all.ports.push(server.url.strip_prefix("http://").unwrap().to_owned());
            all.witnesses.push(Some(server));
        }
        lines += "group two-of-three 2 both-of-W1 both-of-W2 both-of-W3\nquorum two-of-three\n";
        let file = all.desk.file("witnesses", lines);
        expect(0, all.desk.timemark(["log", "policy", "--set"]).arg(file));
        all.policy = all.desk.file("trust", expect(0, &mut all.desk.timemark(["log", "policy"])));
        all
    }

    fn kill(&mut self, n: usize) {
        self.witnesses[n - 1] = None;
    }

    fn start(&mut self, n: usize) {
        let mut serve = timemark();
        serve.args(["witness", "serve", "--listen", &self.ports[n - 1], "--dir"]);
        self.witnesses[n - 1] = Some(Server::start(serve.arg(self.desk.path(&format!("w{n}")))));
    }

    fn refresh(&self, line: &Value) -> Value {
        let receipt = line["receipt"].as_str().unwrap();
        expect_json(0, &mut self.desk.timemark(["receipt", "refresh", receipt])).remove(0)
    }

    /// Registers so many works and returns what was said of each.
    fn register(&self, name: &str, count: usize) -> Vec<Value> {
        for i in 0..count {
            self.desk.file(&format!("{name}/{i:03}"), format!("{name}, work {i}"));
        }
        let lines = expect_json(0, &mut self.desk.timemark(["register", name, "--receipts", "r"]));
        assert_eq!(lines.len(), count);
        lines
    }

    fn verify(&self, code: i32, line: &Value) -> Value {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let mut verify =
            self.desk.timemark(["verify", &text("file"), "--receipt", &text("receipt")]);
        expect_json(code, verify.arg("--policy").arg(&self.policy)).remove(0)
    }
}

#[test]
fn receipts_have_their_quorum_while_one_witness_dies_and_gain_it_after_two_were_dead() {
    let mut all = Witnessed::new();
    let mut before = all.register("before", 50);
    all.kill(2);
    before.extend(all.register("after", 50));
    for line in &before {
        assert_eq!(line["quorum"], true);
        let verdict = all.verify(0, line);
        assert!(verdict["existed_by"].is_string(), "{verdict}");
        assert!(verdict["witnesses"].as_array().unwrap().len() >= 4, "two keys each: {verdict}");
    }

    all.kill(3);
    let alone = all.register("alone", 10);
    for line in &alone {
        assert_eq!(line["quorum"], false);
        let verdict = all.verify(2, line);
        assert_eq!(verdict["verdict"], "undecided");
        assert!(verdict["reason"].as_str().unwrap().contains("quorum"), "{verdict}");
        assert!(verdict["existed_by"].is_null());
    }
    // Still so for whoever asks while they are away.
    let receipts: Vec<&str> = alone.iter().map(|line| line["receipt"].as_str().unwrap()).collect();
    let refresh = |all: &Witnessed| {
        let arguments = ["receipt", "refresh"].into_iter().chain(receipts.clone());
        expect_json(0, &mut all.desk.timemark(arguments))
    };
    assert!(refresh(&all).iter().all(|line| line["quorum"] == false));

    all.start(2);
    for line in refresh(&all) {
        assert_eq!((&line["status"], &line["quorum"]), (&"refreshed".into(), &true.into()));
    }
    for line in &alone {
        assert!(all.verify(0, line)["existed_by"].is_string());
    }
    // What a receipt proved it goes on to prove; asked again, there is nothing new.
    assert!(refresh(&all).iter().all(|line| line["status"] == "unchanged"));
    let again =
        expect_json(0, &mut all.desk.timemark(["register", "before", "--receipts", "again"]));
    for (line, first) in again.iter().map(|line| (line, line["file"].as_str().unwrap())) {
        assert_eq!(line["status"], "duplicate");
        let name = first.rsplit('/').next().unwrap();
        let file =
            |dir: &str| std::fs::read(all.desk.path(&format!("{dir}/{name}.timemark"))).unwrap();
        assert!(file("r").starts_with(&file("again")[..200]), "the same claim and leaf");
    }
    assert!(expect(0, &mut all.desk.timemark(["log", "audit"])).contains("0 findings"));
}

#[test]
fn an_old_copy_of_a_log_is_told_by_its_witnesses_and_signs_nothing() {
    let mut all = Witnessed::new();
    all.register("first", 5);
    let copy = all.desk.path("copy");
    expect(0, std::process::Command::new("cp").arg("-r").arg(all.desk.path("archive")).arg(&copy));
    all.register("second", 7);

    let work = all.desk.file("third/work", "a third work");
    let mut register = timemark();
    register.arg("--archive").arg(&copy).arg("register").arg(&work).args(["--receipts", "never"]);
    let lines = expect_json(2, register.current_dir(all.desk.path("")));
    let error = lines[0]["error"].as_str().unwrap();
    assert!(error.contains("old copy") && error.contains("12 entries"), "{error}");
    let mut checkpoint = timemark();
    let checkpoint = expect(0, checkpoint.arg("--archive").arg(&copy).args(["log", "checkpoint"]));
    assert_eq!(checkpoint.lines().nth(1), Some("5"), "nothing was signed");
    all.kill(1);
    all.register("fourth", 3);
}

/// A checkpoint that was cosigned already went to the witnesses once more when its endorsement was lost; the
/// second answers stood beside the first in the published note, which nobody could read any more.
#[test]
fn a_checkpoint_that_is_cosigned_again_stays_readable() {
    let all = Witnessed::new();
    let line = all.register("works", 1).remove(0);
    for _ in 0..3 {
        std::fs::write(all.desk.path("archive/log/endorsements"), "").unwrap();
        assert_eq!(all.refresh(&line)["quorum"], true);
        all.verify(0, &line);
    }
    assert!(expect(0, &mut all.desk.timemark(["log", "audit"])).contains("0 findings"));
    let checkpoint = expect(0, &mut all.desk.timemark(["log", "checkpoint"]));
    assert!(checkpoint.lines().filter(|line| line.starts_with('—')).count() <= 9, "{checkpoint}");
}

/// What was a quorum by the policy of yesterday is asked for again by that of today.
#[test]
fn receipts_gain_the_quorum_of_a_new_policy() {
    let mut all = Witnessed::new();
    all.kill(3);
    let line = all.register("works", 1).remove(0);
    all.verify(0, &line);
    all.start(3);
    let lines = std::fs::read_to_string(all.desk.path("witnesses")).unwrap();
    let lines = lines.replace("group two-of-three 2", "group two-of-three all");
    let file = all.desk.file("all-of-them", lines);
    expect(0, all.desk.timemark(["log", "policy", "--set"]).arg(file));
    all.policy = all.desk.file("trust", expect(0, &mut all.desk.timemark(["log", "policy"])));
    assert_eq!(all.verify(2, &line)["verdict"], "undecided");
    let refreshed = all.refresh(&line);
    assert_eq!((&refreshed["status"], &refreshed["quorum"]), (&"refreshed".into(), &true.into()));
    all.verify(0, &line);
}
