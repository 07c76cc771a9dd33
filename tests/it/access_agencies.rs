//! Agencies scan and decide with what is their organisation's, and learn nothing of what is not.

use serde_json::{Value, json};

use crate::access::{Person, person, register_as, ruled, scan_as, scan_called, send};
use crate::service::{Answer, ask, digests_of, sample, serve};
use crate::service_review_pages::record;
use crate::support::{Desk, Server};

/// Two agencies of different organisations, each with a creator who registered a picture, and a service over it all.
pub struct Town {
    _desk: Desk,
    pub server: Server,
    pub boss: String,
    pub north: Side,
    pub south: Side,
}

pub struct Side {
    pub agency: Person,
    creator: Person,
    /// The id of the creator's work, and its entry.
    pub work: String,
    index: u64,
}

impl Side {
    pub fn get(&self, url: &str, path: &str) -> Answer {
        send(url, &self.agency.bearer, "GET", path, &Value::Null)
    }

    fn bundle(&self, url: &str, order: &Value) -> Answer {
        send(url, &self.agency.bearer, "POST", "/v1/bundles", order)
    }

    pub fn list(&self, url: &str, path: &str, name: &str) -> Vec<Value> {
        self.get(url, path).expect(200)[name].as_array().unwrap().clone()
    }
}

pub fn town() -> Town {
    let (desk, boss) = ruled();
    desk.file("verify.html", "<!doctype html>\n");
    let server = serve(&desk, &["--scan-root", ".", "--page", "verify.html"]);
    let side = |organisation: &str, work: &str| {
        let make = |role: &str| {
            person(
                &server.url,
                &boss,
                &format!("{role} of {organisation}"),
                role,
                Some(organisation),
            )
        };
        let (agency, creator) = (make("agency"), make("creator"));
        let title = format!("Picture of {organisation}");
        let said = [("title", &*title), ("claimant", organisation), ("collection", organisation)];
        let made = register_as(&server.url, &creator.bearer, &sample(work), &said).expect(201);
        let (work, index) = (made["work"].as_str().unwrap(), made["index"].as_u64().unwrap());
        Side { agency, creator, work: work.to_owned(), index }
    };
    let north = side("North", "works/harbour-at-dusk.jpg");
    let south = side("South", "works/still-life-with-fruit.jpg");
    Town { _desk: desk, server, boss, north, south }
}

#[test]
fn an_agency_sees_and_steers_the_scans_of_its_organisation_alone() {
    let town = town();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    let harbour = sample("suspects/mirrored-harbour.jpg");
    let scan = scan_as(url, &north.agency.bearer, &harbour);
    let of_boss = scan_as(url, &town.boss, b"of the administrator");
    let colleague = person(url, &town.boss, "another", "agency", Some("North"));
    let ids = |bearer: &str| {
        let page = send(url, bearer, "GET", "/v1/scans", &Value::Null).expect(200);
        let scans = page["scans"].as_array().unwrap().clone();
        (scans.iter().map(|scan| scan["id"].as_u64().unwrap()).collect::<Vec<_>>(), page)
    };
    let (own, page) = ids(&north.agency.bearer);
    assert_eq!((own, &page["roots"]), (vec![scan], &json!([])));
    assert_eq!(page["scans"][0]["owner"], json!(north.agency.id));
    assert_eq!(ids(&colleague.bearer).0, [scan]);
    assert!(ids(&south.agency.bearer).0.is_empty());
    assert_eq!(ids(&town.boss).0, [of_boss, scan]);

    // Nothing tells a scan of others from one that is not there.
    for part in ["", "/results", "/events"] {
        assert_eq!(north.get(url, &format!("/v1/scans/{scan}{part}")).status, 200);
        let (foreign, nowhere) = (
            south.get(url, &format!("/v1/scans/{scan}{part}")),
            south.get(url, &format!("/v1/scans/99{part}")),
        );
        assert_eq!((foreign.status, nowhere.status), (404, 404));
        let told =
            |answer: Answer, id: &str| String::from_utf8(answer.body).unwrap().replace(id, "");
        assert_eq!(told(foreign, &scan.to_string()), told(nowhere, "99"));
    }
    let steer = |bearer: &str, act: &str| {
        send(url, bearer, "POST", &format!("/v1/scans/{scan}/{act}"), &Value::Null).status
    };
    for act in ["pause", "resume", "cancel"] {
        assert_eq!(steer(&south.agency.bearer, act), 404);
        assert_eq!(steer(&north.agency.bearer, act), 409, "it ended");
    }
    assert_eq!(south.get(url, &format!("/v1/matches?scan={scan}")).status, 404);

    // The folders of the server are its operator's.
    let body = json!({ "paths": ["/"] });
    let refused = send(url, &north.agency.bearer, "POST", "/v1/scans", &body);
    assert!(refused.expect(403)["type"].as_str().unwrap().ends_with(":forbidden"));
}

#[test]
fn a_match_is_seen_by_whoever_sees_the_work_and_by_nobody_else() {
    let town = town();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    // One scan of South's finds a copy of North's work, and one of its own.
    let foreign = scan_as(url, &south.agency.bearer, &sample("suspects/mirrored-harbour.jpg"));
    let own = scan_as(url, &south.agency.bearer, &sample("suspects/brightened-fruit.jpg"));
    for (side, other) in [(north, south), (south, north)] {
        let matches = side.list(url, "/v1/matches", "matches");
        assert_eq!(matches.len(), 1);
        assert_eq!(matches[0]["finding"]["work"], json!(side.work));
        let path = format!("/v1/matches/{}", matches[0]["id"].as_str().unwrap());
        for part in ["", "/history", "/suspect.jpg", "/work.jpg", "/overlay.svg"] {
            let (mine, theirs) =
                (side.get(url, &format!("{path}{part}")), other.get(url, &format!("{path}{part}")));
            assert_eq!((mine.status, theirs.status), (200, 404), "{part}");
        }
        let verdict = |bearer: &str| {
            let tag = side.get(url, &path).headers["etag"].clone();
            let headers = [
                ("Authorization", bearer),
                ("Content-Type", "application/json"),
                ("If-Match", &tag),
            ];
            let body = br#"{"verdict":"infringing"}"#;
            ask(url, "POST", &format!("{path}/verdict"), &headers, body)
        };
        assert_eq!(verdict(&other.agency.bearer).status, 404);
        let given = verdict(&side.agency.bearer).expect(200);
        assert_eq!(given["verdict"]["actor"], json!(side.agency.id));
        assert_eq!(side.list(url, "/v1/matches?state=decided", "matches").len(), 1);
        let decided = other.list(url, "/v1/matches?state=decided", "matches");
        assert!(decided.iter().all(|one| one["finding"]["work"] == json!(other.work)));
    }
    // What a scan tells of works that South does not see is neither told nor counted.
    let told = south.get(url, &format!("/v1/scans/{foreign}")).expect(200);
    assert_eq!((&told["matches"], &told["transforms"]), (&json!(0), &json!({})));
    assert!(told["copies"].is_null());
    let results = south.list(url, &format!("/v1/scans/{foreign}/results"), "results");
    assert_eq!((&results[0]["status"], &results[0]["matches"]), (&json!("clear"), &json!([])));
    let events = south.get(url, &format!("/v1/scans/{foreign}/events"));
    let events = String::from_utf8(events.body).unwrap();
    assert!(events.contains("event: state") && !events.contains("event: match"), "{events}");
    assert!(!events.contains(&north.work), "{events}");
    let told = south.get(url, &format!("/v1/scans/{own}")).expect(200);
    assert_eq!(told["matches"], 1);
    let events = south.get(url, &format!("/v1/scans/{own}/events"));
    assert!(String::from_utf8(events.body).unwrap().contains("event: match"));
    let all = send(url, &town.boss, "GET", &format!("/v1/scans/{foreign}"), &Value::Null);
    assert_eq!((&all.expect(200)["matches"], &all.json()["copies"]), (&json!(1), &json!(1)));

    // A work that both claim is told to each by the claim that they see.
    let again = [("title", "Also of South"), ("claimant", "South")];
    let creator = person(url, &town.boss, "late", "creator", Some("South"));
    let work = sample("works/harbour-at-dusk.jpg");
    register_as(url, &creator.bearer, &work, &again).expect(201);
    let matches = south.list(url, &format!("/v1/matches?scan={foreign}"), "matches");
    assert_eq!(matches[0]["finding"]["title"], "Also of South");
    let path = format!("/v1/matches/{}", matches[0]["id"].as_str().unwrap());
    let whole = south.get(url, &path).expect(200);
    assert!(!whole.to_string().contains("Picture of North"), "{whole}");
}

#[test]
fn an_agency_sees_collections_and_their_counts_as_far_as_they_are_its_own() {
    let town = town();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    let creator = person(url, &town.boss, "of both", "creator", Some("South"));
    let into = [("collection", "North"), ("claimant", "South")];
    register_as(url, &creator.bearer, b"into the other's collection", &into).expect(201);
    let named = |side: &Side, path: &str| {
        let listed = side.list(url, path, "collections");
        let told = listed.iter().map(|one| (one["name"].clone(), one["works"].clone()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(named(north, "/v1/collections"), [(json!("North"), json!(1))]);
    let both = [(json!("North"), json!(1)), (json!("South"), json!(1))];
    assert_eq!(named(south, "/v1/collections"), both);
    let first = south.get(url, "/v1/collections?limit=1").expect(200);
    let next = format!("/v1/collections?cursor={}", first["next"].as_str().unwrap());
    assert_eq!(named(south, &next), both[1..]);
    let all = send(url, &town.boss, "GET", "/v1/collections", &Value::Null).expect(200);
    assert_eq!(all["collections"][0]["works"], 2);
    // What both are asked for stays closed: domains, accounts, actions.
    for path in ["/v1/allowed-domains", "/v1/accounts", "/v1/actions"] {
        assert_eq!(north.get(url, path).status, 403, "{path}");
    }
}

#[test]
fn what_others_call_a_suspect_is_theirs_until_ones_own_scan_meets_it() {
    let town = town();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    let suspect = sample("suspects/mirrored-harbour.jpg");
    let crawl = record("https://img.shop.example/kundenordner/1.jpg", &suspect);
    let foreign = scan_called(url, &south.agency.bearer, "secret-collection.warc", &crawl);
    let secrets = ["secret-collection", "shop.example", "kundenordner", "2026-11-19"];
    let hides = |answer: Answer| {
        assert_eq!(answer.status, 200);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    };
    let listed = north.list(url, "/v1/matches", "matches");
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/matches/{id}");
    for part in ["", "/history", "/overlay.svg", "/suspect.jpg", "/work.jpg"] {
        hides(north.get(url, &format!("{path}{part}")));
    }
    hides(north.get(url, "/v1/matches?state=open"));
    for found in [&listed[0], &north.get(url, &path).expect(200)] {
        let suspect = &found["suspect"];
        assert_eq!(suspect["withheld"], true);
        assert!(suspect["name"].is_null() && suspect["url"].is_null(), "{found}");
        assert!(found.get("scan").is_none() && suspect["sightings"] == 0, "{found}");
    }
    assert_eq!(north.get(url, &path).expect(200)["places"], json!([]));
    // Nor is it told to who asks by guesses.
    for (query, count) in [("domain=shop.example", 0), ("domain=example", 0), ("", 1)] {
        let matches = north.list(url, &format!("/v1/matches?{query}"), "matches");
        assert_eq!(matches.len(), count, "{query}");
    }
    let order = json!({ "matches": [id], "profile": "cn-court" });
    let refused = north.bundle(url, &order);
    assert!(refused.expect(422)["type"].as_str().unwrap().ends_with(":no-evidence"));
    // The staff sees everything, as before.
    let all = "/v1/matches?domain=shop.example";
    let told = send(url, &town.boss, "GET", all, &Value::Null).expect(200)["matches"][0].clone();
    assert!(told["suspect"]["name"].as_str().unwrap().starts_with("secret-collection.warc"));
    assert_eq!((&told["scan"], told["suspect"].get("withheld")), (&json!(foreign), None));

    // What is met by one's own scan is told as that calls it.
    let own = scan_called(url, &north.agency.bearer, "from-our-lawyer.jpg", &suspect);
    let whole = north.get(url, &path).expect(200);
    assert_eq!(
        (&whole["scan"], &whole["suspect"]["name"]),
        (&json!(own), &json!("from-our-lawyer.jpg"))
    );
    assert_eq!(whole["places"], json!([{ "scan": own, "name": "from-our-lawyer.jpg" }]));
    assert!(whole["suspect"]["sightings"] == 1 && whole["suspect"].get("withheld").is_none());
    hides(north.get(url, &path));
    hides(north.get(url, &format!("/v1/scans/{own}/results")));
    let made = north.bundle(url, &order);
    assert!(String::from_utf8_lossy(&made.body).contains("from-our-lawyer.jpg"));
    hides(made);
    let exports = "/v1/actions?action=bundle.export";
    let exports =
        send(url, &town.boss, "GET", exports, &Value::Null).expect(200)["actions"].clone();
    assert_eq!(exports.as_array().unwrap().len(), 1, "what was refused is none");
    assert_eq!(exports[0]["actor"], json!(north.agency.id));
    assert_eq!(exports[0]["subject"], format!("match {id}"));
}

#[test]
fn a_bundle_of_an_agency_has_nothing_of_others() {
    let town = town();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    // A picture that is a copy of a work of each.
    let mirrored = sample("suspects/mirrored-harbour.jpg");
    let said = [("title", "Mirror of South"), ("claimant", "South")];
    let other = register_as(url, &south.creator.bearer, &mirrored, &said).expect(201);
    let suspect = [&mirrored[..], b"copied"].concat();
    scan_as(url, &north.agency.bearer, &suspect);
    let all = send(url, &town.boss, "GET", "/v1/matches", &Value::Null).expect(200);
    let of = |work: &Value| {
        let all = all["matches"].as_array().unwrap();
        let found = all.iter().find(|found| found["finding"]["work"] == *work).unwrap();
        found["id"].clone()
    };
    let (own, foreign) = (of(&json!(north.work)), of(&other["work"]));
    let made = north.bundle(url, &json!({ "matches": [own], "profile": "cn-court" }));
    assert_eq!(made.status, 200, "{}", String::from_utf8_lossy(&made.body));
    let text = String::from_utf8_lossy(&made.body);
    assert!(text.contains("Picture of North") && text.contains(&north.work));
    for hidden in ["Mirror of South", other["work"].as_str().unwrap()] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    // As elsewhere, nothing tells what is others' from what is not there.
    for (foreign, nowhere) in [
        (json!({ "matches": [foreign] }), json!({ "matches": ["0".repeat(32)] })),
        (json!({ "matches": [own, foreign] }), json!({ "matches": [own, "0".repeat(32)] })),
        (json!({ "works": [south.index] }), json!({ "works": [999] })),
    ] {
        let ask = |mut order: Value| {
            order["profile"] = "cn-court".into();
            let refused = north.bundle(url, &order);
            (refused.status, refused.json()["detail"].clone())
        };
        let (foreign, nowhere) = (ask(foreign), ask(nowhere));
        assert_eq!((foreign.0, &foreign), (404, &nowhere));
    }
    let order = json!({ "works": [south.work], "profile": "cn-court" });
    assert_eq!(north.bundle(url, &order).status, 404);
    let order = json!({ "works": [north.work], "profile": "cn-court" });
    assert_eq!(north.bundle(url, &order).status, 200);
}

#[test]
fn who_registers_by_digests_alone_gets_neither_the_work_nor_its_picture() {
    let town = town();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    let work = sample("works/harbour-at-dusk.jpg");
    // The digests stand in every receipt of the work.
    let mut digests = digests_of(&work, "harbour.jpg");
    (digests["claimant"], digests["media_type"]) = ("South".into(), "image/jpeg".into());
    let body = json!({ "works": [digests] });
    let told = send(url, &south.agency.bearer, "POST", "/v1/works/digests", &body).expect(200);
    let entry = told["results"][0]["registered"]["index"].clone();
    let holds =
        |answer: &Answer, bytes: &[u8]| answer.body.windows(bytes.len()).any(|w| w == bytes);
    let part = &work[work.len() / 2..][..256];
    for named in [entry, json!(north.work)] {
        let mut order = json!({ "works": [named], "profile": "cn-court" });
        let refused = south.bundle(url, &order).expect(422);
        assert!(refused["type"].as_str().unwrap().ends_with(":no-evidence"), "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains("hash_only"), "{refused}");
        order["hash_only"] = true.into();
        let made = south.bundle(url, &order);
        assert_eq!((made.status, holds(&made, part)), (200, false));
    }
    let made = north.bundle(url, &json!({ "works": [north.work], "profile": "cn-court" }));
    assert_eq!((made.status, holds(&made, part)), (200, true), "who had it has it in a bundle");
    // Of what is no picture nothing shows who had it.
    let text = register_as(url, &north.creator.bearer, b"no picture", &[]).expect(201);
    let mut order = json!({ "works": [text["work"]], "profile": "cn-court" });
    assert_eq!(north.bundle(url, &order).status, 422);
    order["hash_only"] = true.into();
    assert_eq!(north.bundle(url, &order).status, 200);

    // That somebody's scan met the very bytes is told, and shows no picture either.
    scan_as(url, &north.agency.bearer, &work);
    let found = south.list(url, "/v1/matches", "matches");
    assert_eq!((found.len(), &found[0]["finding"]["method"]), (1, &json!("exact")));
    assert_eq!(
        (&found[0]["suspect"]["withheld"], &found[0]["suspect"]["picture"]),
        (&json!(true), &Value::Null)
    );
    let id = found[0]["id"].as_str().unwrap();
    let pictures = |side: &Side| {
        let status = |part| side.get(url, &format!("/v1/matches/{id}/{part}")).status;
        ["suspect.jpg", "work.jpg"].map(status)
    };
    assert_eq!(south.get(url, &format!("/v1/matches/{id}")).status, 200);
    assert_eq!(south.get(url, &format!("/v1/matches/{id}/overlay.svg")).status, 404);
    assert_eq!((pictures(north), pictures(south)), ([200, 200], [404, 404]));
    // Whose own scan meets them had them.
    scan_as(url, &south.agency.bearer, &work);
    assert_eq!(pictures(south), [200, 200]);
    assert_eq!(south.bundle(url, &json!({ "matches": [id], "profile": "cn-court" })).status, 200);
}

#[test]
fn what_a_claim_showed_is_forgotten_with_it() {
    let town = town();
    let (url, north) = (&town.server.url, &town.north);
    let crawl = record("https://a.example/1", &sample("suspects/mirrored-harbour.jpg"));
    let scan = scan_called(url, &north.agency.bearer, "crawl.warc", &crawl);
    let counted = || {
        let told = north.get(url, &format!("/v1/scans/{scan}/domains")).expect(200);
        let listed = north.list(url, "/v1/matches", "matches");
        (told["all"].as_u64().unwrap(), listed.len())
    };
    assert_eq!(counted(), (1, 1));
    let path = format!("/v1/receipts/{}/claim", north.index);
    let tag = send(url, &town.boss, "GET", &path, &Value::Null).headers["etag"].clone();
    let headers = [("Authorization", &*town.boss), ("If-Match", &tag)];
    ask(url, "DELETE", &path, &headers, b"").expect(200);
    assert_eq!(counted(), (0, 0), "what is counted is listed");
}

#[test]
fn a_site_is_found_however_often_a_suspect_was_met_before() {
    let town = town();
    let (url, south) = (&town.server.url, &town.south);
    let fruit = sample("suspects/brightened-fruit.jpg");
    let mut crawl = Vec::new();
    for n in 0..100 {
        crawl.extend(record(&format!("https://a.example/{n}"), &fruit));
    }
    crawl.extend(record("https://late.example/", &fruit));
    scan_called(url, &south.agency.bearer, "crawl.warc", &crawl);
    scan_called(url, &town.boss, "other.warc", &record("https://others.example/", &fruit));
    for (site, count) in [("late.example", 1), ("a.example", 1), ("others.example", 0)] {
        let path = format!("/v1/matches?domain={site}");
        assert_eq!(south.list(url, &path, "matches").len(), count, "{site}");
    }
}

#[test]
fn what_a_scan_counts_for_an_agency_is_its_own() {
    let town = town();
    let (url, north, south) = (&town.server.url, &town.north, &town.south);
    let (harbour, fruit) =
        (sample("suspects/mirrored-harbour.jpg"), sample("suspects/brightened-fruit.jpg"));
    let crawl = [
        record("https://a.example/1", &harbour),
        record("https://b.example/2", &fruit),
        record("https://a.example/3", &[&harbour[..], b"again"].concat()),
    ];
    let scan = scan_called(url, &south.agency.bearer, "crawl.warc", &crawl.concat());
    let path = format!("/v1/scans/{scan}");
    let all = send(url, &town.boss, "GET", &path, &Value::Null).expect(200);
    assert_eq!(all["matches"], 3);
    let told = south.get(url, &path).expect(200);
    let kinds: u64 =
        told["transforms"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!((&told["matches"], kinds), (&json!(1), 1));
    let domains = south.get(url, &format!("{path}/domains")).expect(200);
    let own = json!([{ "domain": "b.example", "matches": 1 }]);
    assert_eq!(
        (&domains["domains"], &domains["all"], &domains["elsewhere"]),
        (&own, &json!(1), &json!(0))
    );
    let all = send(url, &town.boss, "GET", &format!("{path}/domains"), &Value::Null).expect(200);
    assert_eq!(all["domains"][0], json!({ "domain": "a.example", "matches": 2 }));
    let on =
        |side: &Side, query: &str| side.list(url, &format!("/v1/matches?{query}"), "matches").len();
    assert_eq!((on(south, "domain=b.example"), on(south, "domain=a.example")), (1, 0));
    assert_eq!((on(south, &format!("scan={scan}&domain=example")), on(north, "")), (1, 2));

    // The ids of events count what was told.
    let events = |more: &[(&str, &str)]| {
        let headers = [&[("Authorization", &*south.agency.bearer)], more].concat();
        ask(url, "GET", &format!("{path}/events"), &headers, b"")
    };
    let text = String::from_utf8(events(&[]).body).unwrap();
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids.last(), Some(&"1"), "{text}");
    assert!(ids.iter().all(|id| ["0", "1"].contains(id)) && !text.contains(&north.work), "{text}");
    assert_eq!(text.matches("event: match").count(), 1, "{text}");
    assert_eq!(events(&[("Last-Event-ID", "1")]).status, 204, "all was told");
}
