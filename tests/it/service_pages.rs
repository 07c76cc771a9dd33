//! The pages of the service: in both languages, of works with hostile names, and in a browser as a creator uses them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::operations::witnessed;
use crate::service::{Answer, FORM, ask, form, get, register, sample, serving};
use crate::support::{Desk, Server, expect, repository, run, skip};
use crate::vectors::courtroom;

pub const CHINESE: (&str, &str) = ("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.5");
const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202E}";

/// The text of a page, which keeps to what every page keeps to.
pub fn page_of(answer: &Answer, status: u16) -> String {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    let policy = &answer.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
        assert_eq!(answer.headers[name], value);
    }
    // What runs is loaded from files; what stands in the page is data.
    for script in text.split("<script").skip(1) {
        let attributes = script.split('>').next().unwrap();
        let is_data = attributes.contains("type=\"application/json\"");
        assert!(is_data || attributes.contains("src=\"/assets/"), "{attributes}");
    }
    for inline in ["<style", " style=", " onclick=", " onload=", "=\"javascript:"] {
        assert!(!text.contains(inline), "{inline}");
    }
    text
}

pub fn page(url: &str, path: &str, headers: &[(&str, &str)]) -> String {
    page_of(&ask(url, "GET", path, headers, b""), 200)
}

#[test]
fn every_page_speaks_both_languages() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let work = sample("works/山水.jpg");
    let registered = register(url, "a.jpg", &work, &[("title", "山水")]).expect(201);
    let work_page = format!("/works/{}", registered["work"].as_str().unwrap());
    for (path, english, chinese) in [
        ("/", "Drop pictures, files or a folder here", "把图片、文件或文件夹拖到这里"),
        ("/works", "Works in this archive", "本档案库中的作品"),
        (&work_page, "Claims upon this work", "对这件作品的声明"),
        ("/verify", "Verify without trusting this server", "无需信任本服务器的核验"),
        ("/log", "Newest checkpoint", "最新检查点"),
    ] {
        let in_english = page(url, path, &[]);
        assert!(in_english.contains("<html lang=\"en\">") && in_english.contains(english));
        let in_chinese = page(url, path, &[CHINESE]);
        assert!(in_chinese.contains("<html lang=\"zh-CN\">") && in_chinese.contains(chinese));
        // The language that was chosen is remembered, and counts more than what the browser likes.
        let chosen = ask(url, "GET", &format!("{path}?lang=zh"), &[], b"");
        assert!(chosen.headers["set-cookie"].starts_with("lang=zh; Path=/;"));
        assert!(page_of(&chosen, 200).contains(chinese), "{path}");
        let kept = page(url, path, &[CHINESE, ("Cookie", "a=b; lang=en")]);
        assert!(kept.contains(english), "{path}");
        assert!(kept.contains(&format!("href=\"{path}?lang=zh\"")), "{path}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let work = sample("works/山水.jpg");
    let said = [("title", HOSTILE), ("claimant", HOSTILE), ("created", HOSTILE)];
    let name = "><img src=x onerror=alert(1)>.jpg";
    let registered = register(url, name, &work, &said).expect(201);
    let id = registered["work"].as_str().unwrap();
    let query = "/works?q=%3Cscript%3Ealert(1)%22";
    for path in ["/works", &format!("/works/{id}"), query, "/works?q=%22onfocus=x&before=%3Cb%3E"] {
        let text = page(url, path, &[]);
        assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{text}");
        assert!(!text.contains('\u{202E}'), "what reorders is shown by its number");
    }
    let text = page(url, &format!("/works/{id}"), &[]);
    assert!(text.contains("&#60;script&#62;alert(1)") && text.contains("⟨U+202E⟩"), "{text}");
}

#[test]
fn what_is_not_there_is_a_page_as_well_and_json_for_programs() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let unknown = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    for id in [unknown, "x", "%2e%2e", "%FF"] {
        let answer = ask(url, "GET", &format!("/works/{id}"), &[CHINESE], b"");
        assert!(page_of(&answer, 404).contains("没有这个页面"), "{id}");
    }
    get(url, &format!("/v1/works/{unknown}")).expect(404);
    get(url, "/no-page").expect(404);
    let browser = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    page_of(&ask(url, "GET", "/no-page", &[browser], b""), 404);
    let answer = ask(url, "GET", &format!("/works?q={}", "a".repeat(2000)), &[], b"");
    page_of(&answer, 400);
    let stranger = [("Origin", "http://evil.example")];
    ask(url, "GET", "/", &stranger, b"").expect(403);
    ask(url, "GET", "/", &[("Host", "evil.example")], b"").expect(421);

    // A link of another site may lead to a page, and to nothing that programs ask; a frame or script of it may not.
    let mode = ("Sec-Fetch-Mode", "navigate");
    let link = [("Sec-Fetch-Site", "cross-site"), mode, ("Sec-Fetch-Dest", "document")];
    page_of(&ask(url, "GET", "/works", &link, b""), 200);
    ask(url, "GET", "/v1/works", &link, b"").expect(403);
    ask(url, "GET", "/works", &[link[0], mode, ("Sec-Fetch-Dest", "iframe")], b"").expect(403);
    ask(url, "GET", "/works", &link[..1], b"").expect(403);
}

#[test]
fn what_pages_load_is_kept_until_it_changes() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let mut loaded = 0;
    for path in ["/", "/works"] {
        let text = page(url, path, &[]);
        for address in text.split('"').filter(|part| part.starts_with("/assets/")) {
            let asset = get(url, address);
            assert_eq!(asset.status, 200, "{address}");
            assert_eq!(asset.headers["cache-control"], "public, max-age=31536000, immutable");
            let known = [("If-None-Match", &*asset.headers["etag"])];
            assert_eq!(ask(url, "GET", address, &known, b"").status, 304);
            loaded += 1;
        }
    }
    assert!(loaded >= 8);
    for path in ["/assets/0/style.css", "/assets/0/..%2f..%2fCargo.toml"] {
        get(url, path).expect(404);
    }
}

#[test]
fn a_preview_is_small_and_of_what_is_kept() {
    let (_desk, server) = serving(&[]);
    let url = &server.url;
    let id = |answer: Answer| answer.expect(201)["work"].as_str().unwrap().to_owned();
    let work = id(register(url, "a.jpg", &sample("works/harbour-at-dusk.jpg"), &[]));
    let path = format!("/v1/works/{work}/preview.jpg");
    let preview = get(url, &path);
    assert_eq!((preview.status, &*preview.headers["content-type"]), (200, "image/jpeg"));
    assert_eq!(preview.body[..3], [0xFF, 0xD8, 0xFF]);
    let known = [("If-None-Match", &*preview.headers["etag"])];
    assert_eq!(ask(url, "GET", &path, &known, b"").status, 304);
    let smaller = get(url, &format!("{path}?side=64"));
    assert!(smaller.body.len() < preview.body.len());
    assert_ne!(smaller.headers["etag"], preview.headers["etag"]);
    for side in ["0", "15", "1025", "-1", "x"] {
        get(url, &format!("{path}?side={side}")).expect(400);
    }

    let text = id(register(url, "a.txt", b"no picture", &[]));
    let digests = sample("works/city-at-night.png");
    let digests = id(register(url, "b.png", &digests, &[("hash_only", "true")]));
    for work in [text, digests] {
        get(url, &format!("/v1/works/{work}/preview.jpg")).expect(404);
        // Who asks whether it changed is told the same.
        let any = [("If-None-Match", "*")];
        let path = format!("/v1/works/{work}/preview.jpg");
        assert_ne!(ask(url, "GET", &path, &any, b"").status, 200);
        page(url, &format!("/works/{work}"), &[]);
    }
}

#[test]
fn a_certificate_is_the_same_each_time_and_verifies() {
    let (desk, server) = serving(&[]);
    let url = &server.url;
    let work = sample("works/harbour-at-dusk.jpg");
    let registered = register(url, "a.jpg", &work, &[("claimant", "张伟")]).expect(201);
    let path = format!("{}/certificate", registered["receipt"].as_str().unwrap());
    let pdf = get(url, &path);
    assert_eq!((pdf.status, &*pdf.headers["content-type"]), (200, "application/pdf"));
    assert!(pdf.body.starts_with(b"%PDF-"));
    assert_eq!(get(url, &path).body, pdf.body);
    let receipt = path.trim_end_matches("/certificate");
    let by_accept = ask(url, "GET", receipt, &[("Accept", "application/pdf")], b"");
    assert_eq!((by_accept.status, by_accept.body), (200, pdf.body.clone()));
    let known = [("If-None-Match", &*pdf.headers["etag"])];
    assert_eq!(ask(url, "GET", &path, &known, b"").status, 304);
    let parts = [("receipt", "c.pdf", &pdf.body[..]), ("work", "w", &work)];
    let told = ask(url, "POST", "/v1/verify", &[FORM], &form(&parts, &[])).expect(200);
    assert_eq!(told["verdict"], "verified");
    for (index, status) in [("7", 404), ("x", 400)] {
        get(url, &format!("/v1/receipts/{index}/certificate")).expect(status);
    }

    let policy = expect(0, &mut desk.timemark(["log", "policy"]));
    assert_eq!(get(url, "/v1/policy").body, policy.as_bytes());
}

#[test]
fn the_verifier_is_handed_out_with_the_policy_that_it_states() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let policy = "default-src 'none'; script-src 'sha256-x' 'wasm-unsafe-eval'";
    let meta = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">");
    desk.file("verify.html", format!("<head>{meta}</head>"));
    let serve = |page: &str| {
        let mut serve = desk.timemark(["serve", "--listen", "127.0.0.1:0", "--page", page]);
        Server::start(&mut serve)
    };
    let server = serve("verify.html");
    let verifier = get(&server.url, "/verify/verify.html");
    assert_eq!(verifier.body, fs::read(desk.path("verify.html")).unwrap());
    let said = &verifier.headers["content-security-policy"];
    assert_eq!(*said, format!("{policy}; frame-ancestors 'none'"));
    assert!(page(&server.url, "/verify", &[]).contains("href=\"/verify/verify.html\""));
    drop(server);

    // A page that may do what it likes is not the verifier; then it is said how to get that, and no file is asked for.
    desk.file("other.html", "<head></head>");
    let server = serve("other.html");
    get(&server.url, "/verify/verify.html").expect(404);
    let text = page(&server.url, "/verify", &[]);
    assert!(text.contains("scripts/page.sh") && !text.contains("type=\"file\""), "{text}");
    drop(server);
    let missing = run(&mut desk.timemark(["serve", "--listen", "127.0.0.1:0", "--page", "none"]));
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn a_contested_work_shows_every_claim_and_when() {
    let (desk, authority) = stamped();
    let work = fs::read(desk.path("fruit.jpg")).unwrap();
    let server = Server::start(&mut desk.timemark(["serve", "--listen", "127.0.0.1:0"]));
    let other = register(&server.url, "mine.jpg", &work, &[("claimant", "Li Na")]).expect(201);
    let path = format!("/works/{}", other["work"].as_str().unwrap());
    let text = page(&server.url, &path, &[]);
    for words in ["Contested: 2 parties", "Zhang Wei", "Li Na", "class=\"drawing timeline wide\""] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains("Existed by ") && text.contains("time-stamp to follow"), "{text}");
    assert_eq!(text.matches("<article").count(), 2);
    let log = page(&server.url, "/log", &[]);
    assert!(log.contains("1 behind") && log.contains("<time datetime=\"20"), "{log}");
    drop(authority);
}

#[test]
fn the_log_tells_who_watches_it_and_how_fresh_that_is() {
    let (desk, witnesses) = witnessed();
    let server = Server::start(&mut desk.timemark(["serve", "--listen", "127.0.0.1:0"]));
    let log = page(&server.url, "/log", &[]);
    for name in ["w1.example", "w2.example", "w3.example"] {
        assert!(log.contains(name), "{name}");
    }
    // Two of the three are a quorum, after which the third is not waited for.
    let fresh = log.matches("3 · up to date").count();
    assert!(fresh >= 2 && log.matches("<time datetime=\"20").count() >= 2, "{log}");

    // Without them the log goes on, and the page tells how far they are behind.
    drop(witnesses);
    register(&server.url, "a.txt", b"one more", &[]).expect(201);
    let log = page(&server.url, "/log", &[]);
    assert!(log.contains("3 · 1 behind") || log.contains("4 · up to date"), "{log}");
}

/// A desk with an archive that asks an authority, where somebody registered a picture and had it stamped.
pub fn stamped() -> (Desk, Server) {
    let desk = Desk::new();
    let authority =
        Server::start(&mut desk.timemark_on("tsa", ["tsa", "serve", "--listen", "127.0.0.1:0"]));
    let pair = format!("own={}/tsa", authority.url);
    let line = expect(0, &mut desk.timemark_on("tsa", ["tsa", "cert", "--policy-line", &pair]));
    let policy = desk.file("authorities", format!("quorum none\n{line}"));
    expect(0, desk.timemark(["init", "--origin", "pages.example", "--policy"]).arg(policy));
    desk.file("fruit.jpg", sample("works/still-life-with-fruit.jpg"));
    let mut register = desk.timemark(["register", "fruit.jpg", "--title", "Still life with fruit"]);
    expect(0, register.args(["--claimant", "Zhang Wei", "--created", "2025-03"]));
    (desk, authority)
}

/// Whether there is a browser to try the pages in; says so where there is none.
pub fn has_browser() -> bool {
    if !Path::new("/usr/bin/chromium").exists() || Command::new("node").arg("-v").output().is_err()
    {
        skip("no chromium or node for the pages");
        return false;
    }
    let peers = repository("target/peers/page/node_modules");
    if ["playwright-core", "axe-core"].iter().any(|peer| !peers.join(peer).exists()) {
        skip("no playwright-core or axe-core for the pages; scripts/test.sh installs them");
        return false;
    }
    true
}

#[test]
fn a_creators_day_in_a_browser() {
    if !has_browser() {
        return;
    }
    let (desk, _authority) = stamped();
    let mut serve = desk.timemark(["serve", "--listen", "127.0.0.1:0"]);
    let verifier = repository("target/page/verify.html");
    if verifier.exists() {
        serve.arg("--page").arg(&verifier);
    }
    let server = Server::start(&mut serve);
    let mut browser = Command::new("node");
    browser.arg(repository("tests/peers/page/creator.mjs")).arg(repository(""));
    let output = run(browser.arg(desk.path("downloads")).arg(&server.url));
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));

    // What was downloaded is believed by the courtroom's program, under the policy of the archive.
    let policy = desk.file("policy.txt", expect(0, &mut desk.timemark(["log", "policy"])));
    let work = repository("samples/works/harbour-at-dusk.jpg");
    for receipt in ["harbour-at-dusk.jpg.timemark", "harbour-at-dusk.jpg.certificate.pdf"] {
        let mut verify = Command::new(courtroom());
        verify.arg("--json").arg(&work).arg(desk.path("downloads").join(receipt)).arg(&policy);
        let told: Value = serde_json::from_str(&expect(0, &mut verify)).unwrap();
        assert_eq!(told["verdict"], "verified", "{receipt}: {told}");
        assert!(told["existed_by"].is_string() || receipt.ends_with("pdf"), "{told}");
    }
}
