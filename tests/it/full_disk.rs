//! A service whose disk fills up and is freed goes on without being started again, and has lost nothing of what it said.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::access::{person, register_as, send};
use crate::safekeeping::Disk;
use crate::service::{Answer, digests_of};
use crate::service_scans::many;
use crate::support::{Desk, Server, expect};

/// Fills a disk to its last page.
fn fill(desk: &Desk) {
    fs::write(desk.path("disk/filler"), "").unwrap();
    fill_up(desk);
}

/// Fills it again, where something gave room back.
fn fill_up(desk: &Desk) {
    let mut file = File::options().append(true).open(desk.path("disk/filler")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}

fn free(desk: &Desk) {
    fs::remove_file(desk.path("disk/filler")).unwrap();
}

fn read(url: &str, who: &str, path: &str) -> Answer {
    send(url, who, "GET", path, &Value::Null)
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(40), "{what}: it does not go on");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_service_goes_on_when_its_disk_has_room_again() {
    let desk = Desk::new();
    let Some(_disk) = Disk::of(desk.path("disk"), "64m") else { return };
    let timemark = |arguments: &[&str]| desk.timemark_on("disk/archive", arguments);
    expect(0, &mut timemark(&["init"]));
    expect(0, &mut timemark(&["account", "add", "boss", "--role", "administrator"]));
    let key = expect(0, &mut timemark(&["account", "key", "boss", "--label", "tests"]));
    let boss = format!("Bearer {}", key.trim());
    many(&desk, 60);
    let root = desk.path("in").canonicalize().unwrap();
    let root = root.to_str().unwrap();
    let options =
        ["serve", "--listen", "127.0.0.1:0", "--webhooks-to-private", "--scan-root", root];
    let mut serve = timemark(&options);
    let mut server = Server::start(&mut serve);
    let url = server.url.clone();
    let url = &url;
    let maker = person(url, &boss, "maker", "creator", None);
    // Nobody listens there: each attempt is noted, on a full disk as well.
    let wanted = json!({"url": "http://127.0.0.1:1/", "events": ["work.registered"]});
    let hook = send(url, &boss, "POST", "/v1/webhooks", &wanted).expect(201)["id"].clone();
    let deliveries = format!("/v1/webhooks/{}/deliveries", hook.as_str().unwrap());
    let delivered =
        || read(url, &boss, &deliveries).expect(200)["deliveries"].as_array().unwrap().len();
    assert_eq!(read(url, &boss, "/readyz").status, 200);

    let new_key = || send(url, &maker.bearer, "POST", "/v1/keys", &json!({}));
    let new_scan = || send(url, &boss, "POST", "/v1/scans", &json!({ "paths": [root] }));
    let new_work = |text: &str| register_as(url, &maker.bearer, text.as_bytes(), &[]);
    let (mut keys, mut works, mut scans) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..2 {
        // Whose it is was noted, and is flushed with the next change of accounts: which fails.
        keys.push(new_key().expect(201));
        works.push(new_work(&format!("work {round}")).expect(201)["cid"].clone());
        scans.push(new_scan().expect(202)["id"].clone());
        fill(&desk);
        // What somebody is about to register is noted among the accounts, before the log is asked.
        let refused = (0..500).find_map(|number| {
            let digests = digests_of(format!("{round} {number}").as_bytes(), "a.txt");
            let works = json!({ "works": [digests] });
            send(url, &maker.bearer, "POST", "/v1/works/digests", &works);
            let ready = read(url, &boss, "/readyz");
            let why = String::from_utf8(ready.body).unwrap();
            (ready.status == 503 && why.contains("accounts.redb")).then_some(why)
        });
        let why = refused.expect("a full disk took everything");
        assert!(why.contains("No space left"), "{why}");
        for _ in 0..5 {
            let scan = new_scan();
            match scan.status {
                202 => scans.push(scan.json()["id"].clone()),
                status => assert!(status >= 500, "{}", String::from_utf8_lossy(&scan.body)),
            }
        }
        fill_up(&desk);
        assert_eq!(new_work("no room").status / 100, 5);
        // What was said is told, with the disk as full as it is.
        for cid in &works {
            read(url, &maker.bearer, &format!("/v1/works/{}", cid.as_str().unwrap())).expect(200);
        }
        read(url, &boss, "/v1/scans").expect(200);
        read(url, &boss, "/v1/webhooks").expect(200);

        free(&desk);
        keys.push(new_key().expect(201));
        works.push(new_work(&format!("room {round}")).expect(201)["cid"].clone());
        scans.push(new_scan().expect(202)["id"].clone());
        wait_until("/readyz", || read(url, &boss, "/readyz").status == 200);
        wait_until("webhooks", || delivered() == works.len());
        for scan in &scans {
            let job = || read(url, &boss, &format!("/v1/scans/{scan}")).expect(200);
            wait_until("scans", || job()["state"] == "done");
            assert_eq!(job()["suspects"], 60, "{}", job());
        }
    }
    // As it is, and as the next start finds it.
    for start in 0..2 {
        let url = &server.url;
        for key in &keys {
            let bearer = format!("Bearer {}", key["secret"].as_str().unwrap());
            let own = read(url, &bearer, "/v1/works").expect(200);
            assert_eq!(own["works"].as_array().unwrap().len(), works.len(), "start {start}");
        }
        if start == 0 {
            assert!(server.stop().success());
            server = Server::start(&mut serve);
        }
    }
}
