//! The pages Scan and Review for agencies: their own scans and matches with everything on them, and nothing of others'.

use std::process::Command;

use serde_json::{Value, json};

use crate::access::{person, register_as, scan_as, scan_called, send};
use crate::access_agencies::{Side, Town, town};
use crate::service::{Answer, ask, sample};
use crate::service_pages::{has_browser, page_of};
use crate::service_review_pages::record;
use crate::support::{repository, run};

impl Side {
    fn page(&self, url: &str, path: &str) -> String {
        page_of(&self.get(url, path), 200)
    }

    /// The ids of its matches, in the order in which they were found.
    fn ids(&self, url: &str) -> Vec<String> {
        let matches = self.list(url, "/v1/matches", "matches");
        matches.iter().map(|found| found["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Two agencies, and matches of both: South's scan met two copies of North's work between two of its own.
struct Scanned {
    town: Town,
    /// South's scan, and one of the operator's.
    scan: u64,
    of_boss: u64,
}

fn scanned() -> Scanned {
    let town = town();
    let url = &town.server.url;
    let fruit = sample("suspects/brightened-fruit.jpg");
    let harbour = sample("suspects/mirrored-harbour.jpg");
    let again = |bytes: &[u8]| [bytes, b"again"].concat();
    let crawl = [
        record("https://fruit.example/1", &fruit),
        record("https://secret.example/kundenordner/2", &harbour),
        record("https://secret.example/kundenordner/3", &again(&harbour)),
        record("https://fruit.example/4", &again(&fruit)),
    ];
    let south = &town.south.agency.bearer;
    let scan = scan_called(url, south, "crawl-of-south.warc", &crawl.concat());
    let of_boss = scan_as(url, &town.boss, b"no picture");
    Scanned { town, scan, of_boss }
}

fn numbers(text: &str, key: &str) -> String {
    let after = text.split(&format!("data-number=\"{key}\">")).nth(1).unwrap();
    after.split('<').next().unwrap().to_owned()
}

fn verdict(url: &str, bearer: &str, id: &str) -> Answer {
    let path = format!("/v1/matches/{id}");
    let tag = send(url, bearer, "GET", &path, &Value::Null).headers["etag"].clone();
    let headers =
        [("Authorization", bearer), ("Content-Type", "application/json"), ("If-Match", &tag)];
    ask(url, "POST", &format!("{path}/verdict"), &headers, br#"{"verdict":"infringing"}"#)
}

#[test]
fn the_dashboard_of_an_agency_counts_what_it_sees() {
    let Scanned { town, scan, of_boss } = scanned();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    let path = format!("/scans/{scan}");
    let text = south.page(url, &path);
    assert_eq!((&*numbers(&text, "suspects"), &*numbers(&text, "matches")), ("5", "2"), "{text}");
    assert!(text.contains("data-matches=\"2\"") && text.contains("fruit.example"), "{text}");
    assert!(!text.contains("data-act="), "it ended");
    assert!(!text.contains("secret.example") && !text.contains("kundenordner"), "{text}");
    for id in north.ids(url) {
        assert!(!text.contains(&id), "{text}");
    }
    let all = page_of(&send(url, &town.boss, "GET", &path, &Value::Null), 200);
    assert_eq!(numbers(&all, "matches"), "4");
    assert!(all.contains("secret.example"));

    // The list of scans has its own, with what they found of its own.
    let list = south.page(url, "/scans");
    assert!(list.contains("5 checked, 2 matches, 0 errors"), "{list}");
    assert!(list.contains("id=\"files\"") && !list.contains("id=\"paths\""), "{list}");
    assert!(!list.contains(&format!("/scans/{of_boss}\"")));
    let list = north.page(url, "/scans");
    assert!(!list.contains("class=\"scans\">\n  <li") && list.contains("Nothing was scanned yet."));
    for (path, nowhere) in [
        (path, "/scans/99"),
        (format!("/scans/{of_boss}"), "/scans/99"),
        (format!("/review?scan={scan}"), "/review?scan=99"),
    ] {
        let page = |path: &str| page_of(&north.get(url, path), 404).replace(path, "");
        assert_eq!(page(&path), page(nowhere));
    }
    // Older ones are offered only where there are some of its own.
    for _ in 0..31 {
        scan_as(url, &town.boss, b"no picture");
    }
    assert!(!south.page(url, "/scans").contains("?before="));
    let all = page_of(&send(url, &town.boss, "GET", "/scans", &Value::Null), 200);
    assert!(all.contains("?before="));
}

#[test]
fn the_queue_of_an_agency_leads_from_its_own_to_its_own() {
    let Scanned { town, scan, .. } = scanned();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    let (of_north, of_south) = (north.ids(url), south.ids(url));
    assert_eq!((of_north.len(), of_south.len()), (2, 2));
    for (side, own, foreign) in [(north, &of_north, &of_south), (south, &of_south, &of_north)] {
        let text = side.page(url, "/review");
        assert!(text.contains("Review 2 open matches") && text.contains("open <span>2</span>"));
        assert!(text.contains(&format!("id=\"start\" href=\"/review/{}\"", own[0])), "{text}");
        let card = |id: &String| text.contains(&format!("data-match=\"{id}\""));
        assert!(own.iter().all(card) && !foreign.iter().any(card), "{text}");
        assert!(!text.contains("after="), "nothing more comes");
        for (at, id) in own.iter().enumerate() {
            let text = side.page(url, &format!("/review/{id}"));
            assert!(text.contains(&format!("{} of 2", at + 1)), "{text}");
            let other = &own[1 - at];
            let way = ["next", "previous"][at];
            assert!(text.contains(&format!("data-{way}=\"/review/{other}\"")), "{text}");
            let back = ["previous", "next"][at];
            assert!(!text.contains(&format!("data-{back}=")), "{text}");
            assert!(
                text.contains("data-act=\"infringing\"") && !text.contains("data-act=\"allow\"")
            );
            assert!(foreign.iter().all(|id| !text.contains(id)), "{text}");
        }
        let [theirs, nowhere] = [&foreign[0], &"0".repeat(32)]
            .map(|id| page_of(&side.get(url, &format!("/review/{id}")), 404).replace(id, ""));
        assert_eq!(theirs, nowhere);
        let after = side.get(url, &format!("/review?after={}", foreign[0]));
        assert_eq!(after.status, 404);
    }
    // What South's scan called it is not North's to know, and neither is the original.
    let secrets = ["secret.example", "kundenordner", "crawl-of-south", &format!("/scans/{scan}")];
    let found = format!("/review/{}", of_north[0]);
    for path in ["/review", &found] {
        let text = north.page(url, path);
        assert!(text.contains("a picture in a scan of somebody else"), "{text}");
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
    assert!(north.page(url, &found).contains("belongs to whoever scanned"));
    let own = south.page(url, &format!("/review/{}", of_south[0]));
    assert!(own.contains("fruit.example") && own.contains(&format!("by scan {scan}")), "{own}");
    assert!(south.page(url, "/review?domain=fruit.example").contains(&of_south[1]));
    for (side, site) in [(south, "secret.example"), (north, "secret.example")] {
        let text = side.page(url, &format!("/review?domain={site}"));
        assert!(!text.contains("data-match="), "{text}");
    }

    // A verdict takes one from the queue of who sees it alone.
    for (side, ids) in [(north, &of_north), (south, &of_south)] {
        verdict(url, &side.agency.bearer, &ids[0]).expect(200);
    }
    for (side, may_bundle) in [(north, false), (south, true)] {
        let text = side.page(url, "/review?state=infringing");
        assert!(
            text.contains("Review 1 open matches") && text.contains("infringing <span>1</span>")
        );
        assert!(text.contains("<form id=\"bundle\""), "{text}");
        assert_eq!(text.contains("name=\"bundle\""), may_bundle, "{text}");
        assert_eq!(text.contains("no original for a bundle"), !may_bundle, "{text}");
    }
}

#[test]
fn earliest_proofs_of_both_sides_tell_of_registrations_that_are_seen() {
    let Scanned { town, .. } = scanned();
    let (url, north) = (&town.server.url, &town.north);
    let mirrored = sample("suspects/mirrored-harbour.jpg");
    let content = json!(timemark_verify::ContentId::of(&mirrored).to_string());
    let matches = north.list(url, "/v1/matches", "matches");
    let found = matches.iter().find(|found| found["suspect"]["content"] == content).unwrap();
    let path = format!("/review/{}", found["id"].as_str().unwrap());
    let registered = "The suspect&#39;s own registration";
    assert!(!north.page(url, &path).contains(registered));
    // Its bytes become a work of the other side: North is not told, and the staff is.
    let creator = person(url, &town.boss, "of the South", "creator", Some("South"));
    let said = [("title", "Mirror"), ("claimant", "South")];
    let made = register_as(url, &creator.bearer, &mirrored, &said).expect(201);
    assert!(!north.page(url, &path).contains(registered));
    let all = page_of(&send(url, &town.boss, "GET", &path, &Value::Null), 200);
    assert!(all.contains(registered), "{all}");
    assert!(
        all.contains(&format!("The suspect&#39;s own registration, No. {}", made["index"])),
        "{all}"
    );
    assert!(all.contains(&format!("href=\"/works/{}\"", made["work"].as_str().unwrap())));
    // A claim of the same work that others made does not count as a proof of one's own.
    let work = sample("works/harbour-at-dusk.jpg");
    let also = register_as(url, &creator.bearer, &work, &said).expect(201);
    let text = town.south.page(url, &path);
    assert!(text.contains(&format!("The work, No. {}", also["index"])), "{text}");
    assert!(!text.contains("Picture of North"), "{text}");
}

#[test]
fn an_agencys_day_in_a_browser() {
    if !has_browser() {
        return;
    }
    let Scanned { town, .. } = scanned();
    let url = &town.server.url;
    let link = |side: &Side| {
        let path = format!("/v1/accounts/{}", side.agency.id);
        let link = send(url, &town.boss, "PATCH", &path, &json!({ "link": true })).expect(200);
        format!("{url}/login#{}", link["token"].as_str().unwrap())
    };
    let mut browser = Command::new("node");
    browser.arg(repository("tests/peers/page/agencies.mjs")).arg(repository(""));
    browser.arg(url).args([link(&town.north), link(&town.south)]);
    let output = run(&mut browser);
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let exports = "/v1/actions?action=bundle.export";
    let exports = send(url, &town.boss, "GET", exports, &Value::Null).expect(200);
    assert_eq!(exports["actions"][0]["actor"], json!(town.north.agency.id), "{exports}");
}
