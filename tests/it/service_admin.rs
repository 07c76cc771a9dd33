//! The pages under accounts: who may open which, and in a browser from a fresh server to a creator's own works.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::access::{person, ruled, send};
use crate::service::{Answer, ask, get, request, serve};
use crate::service_scans::many;
use crate::support::{Desk, Server, expect, expect_json, repository, run, skip};

const CHINESE: (&str, &str) = ("Accept-Language", "zh-CN,zh;q=0.9");

/// The cookie of a session of somebody, by a login link.
fn session(url: &str, boss: &str, account: &str) -> String {
    let path = format!("/v1/accounts/{account}");
    let link = send(url, boss, "PATCH", &path, &json!({ "link": true })).expect(200);
    let opened = send(url, "", "POST", "/v1/session", &json!({ "token": link["token"] }));
    assert_eq!(opened.status, 200);
    opened.headers["set-cookie"].split(';').next().unwrap().to_owned()
}

fn open(url: &str, path: &str, cookie: &str) -> Answer {
    ask(url, "GET", path, &[("Cookie", cookie)], b"")
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

#[test]
fn who_is_not_known_is_led_to_the_login_and_back() {
    let (desk, _) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    for (path, login) in [
        ("/", "/login?next=/"),
        ("/works?q=%E5%B1%B1&lang=zh", "/login?next=/works%3Fq%3D%25E5%25B1%25B1"),
        ("/account", "/login?next=/account"),
        ("/admin", "/login?next=/admin"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(url, method, path, &[("Cookie", "timemark=tms_x; lang=en")], b"");
            assert_eq!((answer.status, &*answer.headers["location"]), (303, login), "{path}");
        }
    }
    assert_eq!(ask(url, "POST", "/works", &[], b"").status, 401);
    // What is open to everybody stays so, and offers to log in.
    for path in ["/log", "/verify", "/login", "/setup"] {
        let page = get(url, path);
        assert_eq!(page.status, 200, "{path}");
        let page = text(&page);
        assert!(!page.contains("href=\"/works\"") && !page.contains("id=\"sign-out\""), "{path}");
    }
    assert!(text(&get(url, "/log")).contains("href=\"/login?next=/log\""));
    // After logging in nobody is led to another server.
    for (next, kept) in [("/works%3Fq%3Da", "/works?q=a"), ("//evil.example", ""), ("/%5Cevil", "")]
    {
        let page = text(&get(url, &format!("/login?next={next}")));
        assert!(page.contains(&format!("data-next=\"{kept}\"")), "{next}: {page}");
    }
    // Programs are told as before.
    assert_eq!(get(url, "/v1/works").status, 401);
    assert_eq!(get(url, "/no-page").status, 404);
}

#[test]
fn each_role_has_its_pages_and_is_told_where_it_has_none() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    for (role, pages, home) in [
        ("creator", &["/", "/works"][..], "/"),
        ("agency", &["/", "/works", "/scans", "/review"], "/"),
        ("reviewer", &["/works", "/scans", "/review"], "/works"),
        ("auditor", &["/works", "/scans", "/review", "/admin"], "/works"),
        ("administrator", &["/", "/works", "/scans", "/review", "/admin"], "/"),
    ] {
        let name = format!("<b>the {role}");
        let somebody = person(url, &boss, &name, role, None);
        let cookie = session(url, &boss, &somebody.id);
        let account = text(&open(url, "/account", &cookie));
        assert!(account.contains(&format!("<bdi>&#60;b&#62;the {role}</bdi>")), "{account}");
        for path in ["/", "/works", "/scans", "/review", "/admin"] {
            let (answer, is_open) = (open(url, path, &cookie), pages.contains(&path));
            let is_tab = account.contains(&format!("<li><a href=\"{path}\""));
            assert_eq!(is_tab, is_open, "{role}: {path}");
            match (is_open, path) {
                (true, _) => assert_eq!(answer.status, 200, "{role}: {path}"),
                (false, "/") => {
                    assert_eq!((answer.status, &*answer.headers["location"]), (303, home));
                }
                (false, _) => {
                    assert_eq!(answer.status, 403, "{role}: {path}");
                    assert!(text(&answer).contains("This page is not open to you"));
                    let headers = [("Cookie", &*cookie), CHINESE];
                    let chinese = ask(url, "GET", path, &headers, b"");
                    assert!(text(&chinese).contains("您无权打开此页面"), "{}", text(&chinese));
                }
            }
        }
        // Accounts are an administrator's alone.
        if pages.contains(&"/admin") {
            let admin = text(&open(url, "/admin", &cookie));
            assert_eq!(admin.contains("id=\"accounts\""), role == "administrator");
            assert!(admin.contains("id=\"actions\""), "{admin}");
        }
        let page =
            ask(url, "GET", "/no-page", &[("Cookie", &cookie), ("Accept", "text/html")], b"");
        assert!(page.status == 404 && text(&page).contains("id=\"sign-out\""));
        // Whoever is disabled is nobody any more.
        let path = format!("/v1/accounts/{}", somebody.id);
        let body = json!({ "disabled": true, "organisation": "East" });
        let changed = send(url, &boss, "PATCH", &path, &body).expect(200);
        assert_eq!(changed["account"]["organisation"], "East");
        assert_eq!(open(url, "/works", &cookie).status, 303);
        let bad = json!({ "organisation": " East" });
        send(url, &boss, "PATCH", &path, &bad).expect(400);
        let none = send(url, &boss, "PATCH", &path, &json!({ "organisation": "" })).expect(200);
        assert!(none["account"]["organisation"].is_null());
    }
}

#[test]
fn without_accounts_the_pages_say_that_everything_is_open() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let server = serve(&desk, &[]);
    for path in ["/login", "/account", "/admin"] {
        let page = text(&get(&server.url, path));
        assert!(page.contains("This archive has no accounts yet"), "{path}: {page}");
    }
    let page = text(&get(&server.url, "/setup"));
    assert!(page.contains("id=\"setup\"") && page.contains("/setup#"), "{page}");
    assert_eq!(get(&server.url, "/works").status, 200);
}

#[test]
fn a_first_day_with_accounts_in_a_browser() {
    if !Path::new("/usr/bin/chromium").exists() || Command::new("node").arg("-v").output().is_err()
    {
        return skip("no chromium or node for the pages");
    }
    for peer in ["playwright-core", "axe-core"] {
        if !repository("target/peers/page/node_modules").join(peer).exists() {
            return skip(
                "no playwright-core or axe-core for the pages; scripts/test.sh installs them",
            );
        }
    }
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "accounts.example"]));
    let mut serve = desk.timemark(["serve", "--listen", "127.0.0.1:0", "--log"]);
    let log = std::fs::File::create(desk.path("log.txt")).unwrap();
    let server = Server::start_telling(&mut serve, log);
    let link = server.keys.iter().find_map(|line| line.split_once("within an hour: "));
    let link = link.unwrap().1.to_owned();
    let mut browser = Command::new("node");
    browser.arg(repository("tests/peers/page/accounts.mjs")).arg(repository(""));
    let output = run(browser.arg(&server.url).arg(&link));
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(server.stop().success());

    // No secret went into an address, where the log of requests or a proxy would have it.
    let told = std::fs::read_to_string(desk.path("log.txt")).unwrap();
    assert!(told.contains("/v1/session"), "{told}");
    for prefix in ["tms_", "tml_", "tmk_", link.split_once('#').unwrap().1] {
        assert!(!told.contains(prefix), "{prefix}");
    }
    let actions = expect_json(0, &mut desk.timemark(["log", "actions"]));
    for action in ["account.create", "account.change", "account.password", "key.create"] {
        assert!(actions.iter().any(|acted| acted["action"] == action), "{action}");
    }
}

/// A stream of events once outlived the key that opened it by minutes.
#[test]
fn who_listens_is_left_soon_after_the_key_is_revoked() {
    let (desk, boss) = ruled();
    many(&desk, 600);
    let server = serve(&desk, &["--scan-root", "in"]);
    let url = &server.url;
    let folder = desk.path("in").canonicalize().unwrap();
    let paths = json!({ "paths": [folder.to_str().unwrap()] });
    let scan = send(url, &boss, "POST", "/v1/scans", &paths).expect(202)["id"].clone();
    // While it stands still there is nothing to tell.
    let paused = send(url, &boss, "POST", &format!("/v1/scans/{scan}/pause"), &json!(null));
    assert!(paused.status < 300, "{}", text(&paused));
    let listener = person(url, &boss, "listener", "administrator", None);
    let listening = |bearer: &str| {
        let host = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let path = format!("/v1/scans/{scan}/events");
        stream.write_all(&request(host, "GET", &path, &[("Authorization", bearer)], b"")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stream
    };
    let ends = |mut stream: TcpStream| stream.read_to_end(&mut Vec::new()).is_ok();
    let (left, stays) = (listening(&listener.bearer), listening(&boss));
    let id = listener.bearer.split('_').nth(1).unwrap();
    let revoked = send(url, &boss, "DELETE", &format!("/v1/keys/{id}"), &json!(null));
    assert_eq!(revoked.status, 204);
    assert!(ends(left), "it goes on");
    assert!(!ends(stays), "nothing was taken from this one");
}
