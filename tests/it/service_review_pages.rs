//! The pages for scans and for who reviews: in both languages, with hostile names, and in a browser as a reviewer uses them.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service::{FORM, ask, form, get, register, sample};
use crate::service_pages::{CHINESE, has_browser, page, page_of, stamped};
use crate::service_scans::{JSON, desk, is_done, post, scan, wait_for};
use crate::support::{Desk, Server, expect, repository, run};

const HOSTILE: &str = "javascript:alert(1)//\"><img src=x onerror=alert(1)>";

/// A record of a web archive, as whoever crawled says it.
pub fn record(target: &str, picture: &[u8]) -> Vec<u8> {
    let head = format!(
        "WARC/1.1\r\nWARC-Type: resource\r\nWARC-Target-URI: {target}\r\n\
         WARC-Date: 2026-11-19T02:11:40Z\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        picture.len()
    );
    [head.as_bytes(), picture, b"\r\n\r\n"].concat()
}

/// The works registered, and a crawl scanned in which two of them were met.
fn scanned() -> (Desk, Server) {
    let (desk, server) = desk();
    let (harbour, wave) =
        (sample("suspects/mirrored-harbour.jpg"), sample("suspects/rotated-wave.jpg"));
    let crawl = [
        record("https://img.shop.example/1.jpg", &harbour),
        record(HOSTILE, &wave),
        record("http://shop.example@evil.example/", &wave),
        record("https://shop.example/broken.jpg", &wave[..4000]),
    ];
    desk.file("in/<b>crawl'\u{202E}\".warc", crawl.concat());
    let id = scan(&server.url, &json!({ "paths": [desk.path("in")] }));
    assert_eq!(id, 1);
    wait_for(&server.url, id, is_done);
    (desk, server)
}

/// The service over a desk, with the verifier's page where that was built.
fn serve(desk: &Desk) -> Server {
    let mut serve = desk.timemark(["serve", "--listen", "127.0.0.1:0", "--scan-root", "in"]);
    let verifier = repository("target/page/verify.html");
    if verifier.exists() {
        serve.arg("--page").arg(&verifier);
    }
    Server::start(&mut serve)
}

/// The matches that stand so.
fn matches(url: &str, state: &str) -> Vec<Value> {
    let list = get(url, &format!("/v1/matches?state={state}")).expect(200);
    list["matches"].as_array().unwrap().clone()
}

fn path_of(found: &Value) -> String {
    format!("/review/{}", found["id"].as_str().unwrap())
}

/// The text of a body whose length was not known at first (RFC 9112 section 7.1).
fn unchunked(body: &[u8]) -> String {
    let (mut rest, mut text) = (body, Vec::new());
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").unwrap();
        let length = usize::from_str_radix(str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return String::from_utf8(text).unwrap();
        }
        text.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}

#[test]
fn scans_and_matches_are_told_in_both_languages() {
    let (_desk, server) = scanned();
    let url = &server.url;
    let found = matches(url, "open");
    assert_eq!(found.len(), 2);
    let harbour = found.iter().find(|m| m["suspect"]["url"].as_str().unwrap().contains("img.shop"));
    let path = path_of(harbour.unwrap());
    for (path, english, chinese) in [
        ("/scans", "Start a scan", "新建扫描"),
        ("/scans/1", "What was done to each copy", "副本经过了哪些改动"),
        ("/review", "Review 2 open matches", "复核 2 项待处理匹配"),
        (&path, "infringing", "疑似侵权"),
        (&path, "95 % interval", "95% 置信区间"),
        (&path, "Earliest proof of the work", "作品最早的存证时间"),
        (&path, "Earliest proofs of both sides", "双方最早的证明"),
        (&path, "Suspect captured by a web archive", "网络存档抓取可疑图片"),
        ("/scans/1", "Matches by site", "按网站统计的匹配"),
        (
            "/review?domain=shop.example",
            "Only those met on shop.example.",
            "仅限出现在 shop.example 的匹配。",
        ),
        (&path, "Allow-list img.shop.example", "将 img.shop.example 加入白名单"),
        (&path, "captured 2026-11-19 02:11:40 UTC", "北京时间 2026-11-19 10:11:40"),
        (&path, "mirrored left to right", "左右镜像"),
    ] {
        assert!(page(url, path, &[]).contains(english), "{path}: {english}");
        let in_chinese = page(url, path, &[CHINESE]);
        assert!(in_chinese.contains(chinese) && in_chinese.contains("lang=\"zh-CN\""), "{chinese}");
    }
    let scan = page(url, "/scans/1", &[]);
    for told in ["class=\"drawing bars\"", "suspects checked", "done", "What could not be compared"]
    {
        assert!(scan.contains(told), "{told}: {scan}");
    }
    // What comes from the web archive for certain leads there, and takes nothing along.
    let link = "<a href=\"https://img.shop.example/1.jpg\" rel=\"noopener noreferrer nofollow\"";
    assert!(page(url, &path, &[]).contains(link));
}

#[test]
fn names_and_addresses_of_suspects_stay_text() {
    let (_desk, server) = scanned();
    let url = &server.url;
    let mut pages = vec!["/scans".to_owned(), "/scans/1".to_owned(), "/review".to_owned()];
    pages.extend(matches(url, "open").iter().map(path_of));
    let mut told = 0;
    for path in pages {
        let text = page(url, &path, &[]);
        for markup in ["<b>crawl", "<img src=x", "href=\"javascript", "href=\"http://shop.example@"]
        {
            assert!(!text.contains(markup), "{path}: {markup}");
        }
        assert!(!text.contains('\u{202E}'), "what reorders is shown by its number");
        told += usize::from(text.contains("javascript:alert(1)//&#34;&#62;&#60;img"));
    }
    assert!(told > 0, "an address that leads nowhere is told as text");
}

#[test]
fn a_match_shows_what_was_decided_and_where_the_next_one_is() {
    let (_desk, server) = scanned();
    let url = &server.url;
    let [first, second] = &matches(url, "open")[..] else { panic!() };
    let (here, next) = (path_of(first), path_of(second));
    let text = page(url, &here, &[]);
    assert!(text.contains("1 of 2") && text.contains(&format!("data-next=\"{next}\"")), "{text}");
    let tag = text.split("data-tag=\"").nth(1).unwrap().split('"').next().unwrap();
    let tag = tag.replace("&#34;", "\"");
    let api = format!("/v1/matches/{}", first["id"].as_str().unwrap());
    assert_eq!(get(url, &api).headers["etag"], tag, "what is shown can be decided about");
    let body = json!({ "verdict": "infringing", "note": HOSTILE }).to_string();
    let verdict = format!("{api}/verdict");
    ask(url, "POST", &verdict, &[JSON, ("If-Match", &tag)], body.as_bytes()).expect(200);

    let text = page(url, &here, &[]);
    assert!(text.contains("infringing, by ") && text.contains("&#60;img src=x"), "{text}");
    assert!(text.contains("data-standing=\"infringing\"") && !text.contains("1 of 2"));
    assert!(page(url, &next, &[]).contains("1 of 1"));
    let listed = page(url, "/review?state=infringing", &[]);
    let card = |of: &Value| format!("data-match=\"{}\"", of["id"].as_str().unwrap());
    assert!(listed.contains(&card(first)) && !listed.contains(&card(second)));
    assert!(page(url, "/review?scan=1", &[]).contains(&next));
    // Those of a site, of a scan or of all; and on from one of them.
    let listed = |path: &str| {
        let text = page(url, path, &[]);
        [first, second].map(|of| text.contains(&card(of)))
    };
    let on_site =
        [first, second].map(|of| of["suspect"]["url"] == "https://img.shop.example/1.jpg");
    assert_ne!(on_site[0], on_site[1]);
    assert_eq!(listed("/review?domain=img.shop.example"), on_site);
    assert_eq!(listed("/review?domain=shop.example&scan=1"), on_site);
    assert_eq!(listed("/review?domain=shop.example&scan=9"), [false, false]);
    assert_eq!(listed("/review?domain=other.example"), [false, false]);
    let after = format!("/review?scan=1&after={}", first["id"].as_str().unwrap());
    assert_eq!(listed(&after), [false, true]);
    let domains = get(url, "/v1/scans/1/domains").expect(200);
    let one = json!([{ "domain": "img.shop.example", "matches": 1 }]);
    assert_eq!((&domains["domains"], &domains["all"]), (&one, &json!(1)));
    assert_eq!((&domains["elsewhere"], &domains["complete"]), (&json!(1), &json!(true)));
    let of_site = |query: &str| {
        let list = get(url, &format!("/v1/matches?{query}")).expect(200);
        list["matches"].as_array().unwrap().len()
    };
    assert_eq!((of_site("domain=SHOP.example"), of_site("domain=example&scan=1")), (1, 1));
    let open = of_site("domain=shop.example&state=open");
    assert_eq!((of_site("domain=op.example"), open), (0, usize::from(on_site[1])));
    get(url, "/v1/matches?domain=a%20b").expect(400);

    let domain = json!({ "domain": "shop.example" });
    post(url, "/v1/allowed-domains", &domain).expect(201);
    assert!(page(url, "/review?state=allow-listed", &[]).contains("allow-listed domain"));
    for (path, status) in [
        ("/review?state=none", 400),
        ("/review?domain=a%20b", 400),
        ("/review?after=00000000000000000000000000000000", 404),
        ("/review/x", 404),
        ("/review/00000000000000000000000000000000", 404),
        ("/scans/2", 404),
        ("/scans/01", 404),
    ] {
        page_of(&get(url, path), status);
    }
    for path in ["/scans?before=x", "/review?after=-1", "/review?scan=9"] {
        page(url, path, &[]);
    }
}

#[test]
fn the_earliest_proofs_of_both_sides_tell_who_vouches_for_them() {
    let (desk, _authority) = stamped();
    std::fs::create_dir(desk.path("in")).unwrap();
    let server = serve(&desk);
    let url = &server.url;
    let suspect = sample("suspects/brightened-fruit.jpg");
    let body = form(&[("file", "shop.jpg", &suspect)], &[]);
    let id = ask(url, "POST", "/v1/scans", &[FORM], &body).expect(202)["id"].as_u64().unwrap();
    wait_for(url, id, is_done);
    let path = path_of(&matches(url, "open")[0]);
    let text = page(url, &path, &[]);
    let both = text.split("id=\"both-sides\"").nth(1).unwrap();
    let both = both.split("</section>").next().unwrap();
    for told in [
        "Existed by 20",
        "<bdi>time-stamp by own</bdi> · No. 0",
        "by scan 1</a>",
        "0 days after the proof",
        "The work, No. 0: Existed by 20",
        "class=\"node green\"",
    ] {
        assert!(both.contains(told), "{told}: {both}");
    }
    let own = "The suspect&#39;s own registration";
    assert!(!both.contains(own), "{both}");
    // Whoever copied it has registered the copy: that is told beside, and is later.
    let copied = register(url, "taken.jpg", &suspect, &[("claimant", "Li Na")]).expect(201);
    let text = page(url, &path, &[]);
    assert!(text.contains(own) && text.contains("No time is proven yet"), "{text}");
    assert!(text.contains(&format!("/works/{}", copied["work"].as_str().unwrap())), "{text}");
}

#[test]
fn all_results_come_as_one_file() {
    let (_desk, server) = scanned();
    let url = &server.url;
    let path = "/v1/scans/1/results";
    let results = get(url, path).expect(200)["results"].as_array().unwrap().clone();
    let whole = |accept: &str| {
        let answer = ask(url, "GET", &format!("{path}?limit=1"), &[("Accept", accept)], b"");
        assert_eq!(answer.status, 200);
        assert!(answer.headers["content-type"].starts_with(accept));
        unchunked(&answer.body)
    };
    let lines = whole("application/jsonl");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, results);
    let table = whole("text/csv");
    assert!(table.starts_with("suspect,url,date,status,"), "{table}");
    assert!(table.lines().count() > results.len(), "{table}");
    ask(url, "GET", path, &[("Accept", "image/png")], b"").expect(406);
    ask(url, "GET", "/v1/scans/7/results", &[("Accept", "text/csv")], b"").expect(404);
}

#[test]
fn who_may_look_and_not_decide_finds_no_buttons() {
    let (desk, server) = desk();
    drop(server);
    let key = |role: &str| {
        expect(0, &mut desk.timemark(["account", "add", role, "--role", role]));
        let key = expect(0, &mut desk.timemark(["account", "key", role]));
        format!("Bearer {}", key.trim())
    };
    let [boss, reviewer, auditor, creator] =
        ["administrator", "reviewer", "auditor", "creator"].map(key);
    let server = serve(&desk);
    let url = &server.url;
    let asked = |method: &str, path: &str, bearer: &str, body: &[u8]| {
        ask(url, method, path, &[("Authorization", bearer), JSON], body)
    };
    desk.file("in/a.jpg", sample("suspects/mirrored-harbour.jpg"));
    let body = json!({ "paths": [desk.path("in")] }).to_string();
    asked("POST", "/v1/scans", &boss, body.as_bytes()).expect(202);
    let begun = Instant::now();
    while !is_done(&asked("GET", "/v1/scans/1", &boss, b"").expect(200)) {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    let listed = asked("GET", "/v1/matches", &boss, b"").expect(200);
    let found = path_of(&listed["matches"][0]);
    for path in ["/scans", "/scans/1", "/review", &found] {
        assert_ne!(ask(url, "GET", path, &[], b"").status, 200, "{path}");
        assert_eq!(asked("GET", path, &creator, b"").status, 403, "{path}");
        let [full, narrow] = [&reviewer, &auditor].map(|bearer| {
            let text = page_of(&asked("GET", path, bearer, b""), 200);
            ["data-act=\"infringing\"", "id=\"files\""].map(|button| text.contains(button))
        });
        assert_eq!(narrow, [false, false], "{path}");
        assert_eq!(full, [path == found, path == "/scans"], "{path}");
    }
}

#[test]
fn a_reviewers_day_in_a_browser() {
    if !has_browser() {
        return;
    }
    let (desk, server) = desk();
    drop(server);
    let server = serve(&desk);
    let mut browser = Command::new("node");
    browser.arg(repository("tests/peers/page/reviewer.mjs")).arg(repository(""));
    let output = run(browser.arg(&server.url));
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
