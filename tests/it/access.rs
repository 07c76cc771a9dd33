//! Who may do what with an archive that is served: each role at each operation, and nothing of others to be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use timemark_accounts::{Access, PERMISSIONS, Role, permission};

use crate::service::{Answer, FORM, ask, digests_of, form, get, sample, serve};
use crate::service_claims::upon_a_new_claim;
use crate::support::{Desk, Server, expect, expect_json, run, skip};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Somebody with an account.
pub struct Person {
    pub id: String,
    /// What their requests bear.
    pub bearer: String,
    /// The id of a key of theirs that can be revoked.
    spare: String,
}

/// A service with accounts of every role, and a work that a stranger registered.
struct World {
    desk: Desk,
    server: Server,
    people: BTreeMap<&'static str, Person>,
    stranger: Person,
    /// The stranger's work: its id and its entry.
    cid: String,
    index: u64,
    /// A scan of the administrator's, and what it found: a copy of the stranger's work.
    scan: u64,
    found: String,
}

impl World {
    fn url(&self) -> &str {
        &self.server.url
    }

    fn as_role(&self, role: &str) -> &Person {
        &self.people[role]
    }
}

pub fn send(url: &str, bearer: &str, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let headers = [("Authorization", bearer), JSON];
    let headers = if bearer.is_empty() { &headers[1..] } else { &headers[..] };
    ask(url, method, path, headers, &body)
}

pub fn register_as(url: &str, bearer: &str, bytes: &[u8], texts: &[(&str, &str)]) -> Answer {
    let body = form(&[("file", "a.jpg", bytes)], texts);
    ask(url, "POST", "/v1/works", &[FORM, ("Authorization", bearer)], &body)
}

/// Makes an account and two keys for it.
pub fn person(url: &str, boss: &str, name: &str, role: &str, organisation: Option<&str>) -> Person {
    let mut new = json!({"name": name, "role": role});
    if let Some(organisation) = organisation {
        new["organisation"] = organisation.into();
    }
    let made = send(url, boss, "POST", "/v1/accounts", &new).expect(201);
    let id = made["account"]["id"].as_str().unwrap().to_owned();
    let key = || send(url, boss, "POST", "/v1/keys", &json!({"account": id})).expect(201);
    let bearer = format!("Bearer {}", key()["secret"].as_str().unwrap());
    let spare = key()["key"]["id"].as_str().unwrap().to_owned();
    Person { id, bearer, spare }
}

/// A desk whose archive has an administrator, and what opens their account.
pub fn ruled() -> (Desk, String) {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "service.example"]));
    expect(0, &mut desk.timemark(["account", "add", "boss", "--role", "administrator"]));
    let key = expect(0, &mut desk.timemark(["account", "key", "boss", "--label", "tests"]));
    (desk, format!("Bearer {}", key.trim()))
}

fn world() -> World {
    let (desk, boss) = ruled();
    expect(0, &mut desk.timemark(["tsa", "cert"]));
    desk.file("verify.html", "<!doctype html>\n");
    let server = serve(&desk, &["--page", "verify.html"]);
    let url = &server.url;
    let mut people = BTreeMap::new();
    for role in Role::ALL.map(Role::name) {
        people.insert(role, person(url, &boss, &format!("the {role}"), role, Some("North")));
    }
    let stranger = person(url, &boss, "stranger", "creator", Some("South"));
    let work = sample("works/harbour-at-dusk.jpg");
    let texts = [("title", "Harbour of the stranger"), ("claimant", "Stranger")];
    let registered = register_as(url, &stranger.bearer, &work, &texts).expect(201);
    let cid = registered["cid"].as_str().unwrap().to_owned();
    let index = registered["index"].as_u64().unwrap();
    let suspect = sample("suspects/mirrored-harbour.jpg");
    let scan = scan_as(url, &boss, &suspect);
    let matches = send(url, &boss, "GET", "/v1/matches", &Value::Null).expect(200);
    let found = matches["matches"][0]["id"].as_str().unwrap().to_owned();
    World { desk, server, people, stranger, cid, index, scan, found }
}

/// Sends a file to be scanned, and waits for what comes of it.
pub fn scan_as(url: &str, bearer: &str, suspect: &[u8]) -> u64 {
    scan_called(url, bearer, "suspect.jpg", suspect)
}

pub fn scan_called(url: &str, bearer: &str, name: &str, suspect: &[u8]) -> u64 {
    let body = form(&[("file", name, suspect)], &[]);
    let asked = ask(url, "POST", "/v1/scans", &[FORM, ("Authorization", bearer)], &body);
    let id = asked.expect(202)["id"].as_u64().unwrap();
    loop {
        let job = send(url, bearer, "GET", &format!("/v1/scans/{id}"), &Value::Null).expect(200);
        match job["state"].as_str().unwrap() {
            "done" => return id,
            "failed" | "cancelled" => panic!("{job}"),
            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    }
}

/// Gives or takes back a verdict on a match as it is now, as somebody who need not see it.
fn decide(world: &World, bearer: &str, method: &str) -> Answer {
    let (url, path) = (world.url(), format!("/v1/matches/{}", world.found));
    let boss = [("Authorization", &*world.as_role("administrator").bearer)];
    let tag = ask(url, "GET", &path, &boss, b"").headers["etag"].clone();
    let headers = [JSON, ("If-Match", &tag), ("Authorization", bearer)];
    let headers = if bearer.is_empty() { &headers[..2] } else { &headers[..] };
    let body = if method == "POST" { r#"{"verdict":"unsure"}"# } else { "" };
    ask(url, method, &format!("{path}/verdict"), headers, body.as_bytes())
}

/// A request for an operation that is as it should be, about what is the stranger's wherever it is about something.
fn request(world: &World, operation: &str, role: &str, bearer: &str) -> Answer {
    let url = world.url();
    let send = |method: &str, path: &str, body: Value| send(url, bearer, method, path, &body);
    let get = |path: &str| send("GET", path, Value::Null);
    let upload = |path: &str, parts: &[(&str, &str, &[u8])]| {
        let headers = [FORM, ("Authorization", bearer)];
        let headers = if bearer.is_empty() { &headers[..1] } else { &headers[..] };
        ask(url, "POST", path, headers, &form(parts, &[]))
    };
    let picture = || sample("works/harbour-at-dusk.jpg");
    let receipt = || {
        let path = format!("/v1/receipts/{}", world.index);
        ask(url, "GET", &path, &[("Authorization", &world.stranger.bearer)], b"").body
    };
    let as_boss = |method: &str, path: &str, body: Value| {
        self::send(url, &world.as_role("administrator").bearer, method, path, &body)
    };
    let new_webhook = || json!({"url": "https://hooks.example/", "events": ["work.registered"]});
    let webhook = || {
        let made = as_boss("POST", "/v1/webhooks", new_webhook()).expect(201);
        format!("/v1/webhooks/{}", made["id"].as_str().unwrap())
    };
    match operation {
        "register" => upload("/v1/works", &[("file", "a", format!("by {role}").as_bytes())]),
        "list_works" => get("/v1/works"),
        "work" => get(&format!("/v1/works/{}", world.cid)),
        "receipt" => get(&format!("/v1/receipts/{}", world.index)),
        "claim" => get(&format!("/v1/receipts/{}/claim", world.index)),
        "correct_claim" | "withdraw_claim" | "erase_claim" => {
            upon_a_new_claim(url, &world.stranger.bearer, operation, role, bearer)
        }
        "tlog_proof" => get(&format!("/v1/receipts/{}/tlog-proof", world.index)),
        "receipt_checkpoint" => get(&format!("/v1/receipts/{}/checkpoint", world.index)),
        "search_words" => get("/v1/search?q=harbour"),
        "search_picture" => upload("/v1/search", &[("picture", "a.jpg", &picture())]),
        "bundle" => {
            send("POST", "/v1/bundles", json!({"works": [world.index], "profile": "cn-court"}))
        }
        "register_digests" => {
            let digests = digests_of(format!("digests by {role}").as_bytes(), "d.txt");
            send("POST", "/v1/works/digests", json!({ "works": [digests] }))
        }
        "preview" => get(&format!("/v1/works/{}/preview.jpg", world.cid)),
        "certificate" => get(&format!("/v1/receipts/{}/certificate", world.index)),
        "list_collections" => get("/v1/collections"),
        "search_code" => get(&format!("/v1/search/code?pdq={}", "0".repeat(64))),
        "scan" => upload("/v1/scans", &[("file", "a.txt", b"a suspect")]),
        "list_scans" => get("/v1/scans"),
        "scan_by_id" => get(&format!("/v1/scans/{}", world.scan)),
        "pause_scan" => send("POST", &format!("/v1/scans/{}/pause", world.scan), Value::Null),
        "resume_scan" => send("POST", &format!("/v1/scans/{}/resume", world.scan), Value::Null),
        "cancel_scan" => send("POST", &format!("/v1/scans/{}/cancel", world.scan), Value::Null),
        "scan_results" => get(&format!("/v1/scans/{}/results", world.scan)),
        "scan_events" => get(&format!("/v1/scans/{}/events", world.scan)),
        "scan_domains" => get(&format!("/v1/scans/{}/domains", world.scan)),
        "list_matches" => get("/v1/matches"),
        "match_by_id" => get(&format!("/v1/matches/{}", world.found)),
        "give_verdict" => decide(world, bearer, "POST"),
        "undo_verdict" => {
            decide(world, &world.as_role("administrator").bearer, "POST").expect(200);
            decide(world, bearer, "DELETE")
        }
        "match_history" => get(&format!("/v1/matches/{}/history", world.found)),
        "suspect_picture" => get(&format!("/v1/matches/{}/suspect.jpg", world.found)),
        "work_picture" => get(&format!("/v1/matches/{}/work.jpg", world.found)),
        "match_overlay" => get(&format!("/v1/matches/{}/overlay.svg", world.found)),
        "list_allowed_domains" => get("/v1/allowed-domains"),
        "allow_domain" => {
            let domain = format!("{role}.shop.example");
            send("POST", "/v1/allowed-domains", json!({ "domain": domain }))
        }
        "disallow_domain" => {
            let boss = &world.as_role("administrator").bearer;
            let domain = json!({ "domain": "gone.example" });
            self::send(url, boss, "POST", "/v1/allowed-domains", &domain);
            send("DELETE", "/v1/allowed-domains/gone.example", Value::Null)
        }
        "policy" => get("/v1/policy"),
        "verify" => {
            upload("/v1/verify", &[("work", "a", &picture()), ("receipt", "r", &receipt())])
        }
        "checkpoint" => get("/checkpoint"),
        "v1_checkpoint" => get("/v1/log/checkpoint"),
        "tile" => get("/tile/0/000.p/1"),
        "v1_tile" => get("/v1/log/tile/0/000.p/1"),
        "stamp" => send("POST", "/tsa", json!({})),
        "healthz" => get("/healthz"),
        "readyz" => get("/readyz"),
        "openapi" => get("/v1/openapi.json"),
        "metrics" => get("/metrics"),
        "setup" => {
            let body = json!({"token": "x", "name": "x", "password": "a long password"});
            send("POST", "/v1/setup", body)
        }
        "login" => {
            let body = json!({"name": "with password", "password": "a long password"});
            send("POST", "/v1/session", body)
        }
        "logout" => send("DELETE", "/v1/session", Value::Null),
        "me" => get("/v1/me"),
        "change_password" => send("PUT", "/v1/me/password", json!({"new": "another password"})),
        "create_key" => send("POST", "/v1/keys", json!({"account": world.stranger.id})),
        "list_keys" => get(&format!("/v1/keys?account={}", world.stranger.id)),
        "revoke_key" => send("DELETE", &format!("/v1/keys/{}", world.stranger.spare), Value::Null),
        "list_actions" => get("/v1/actions"),
        "create_account" => {
            send("POST", "/v1/accounts", json!({"name": format!("by {role}"), "role": "creator"}))
        }
        "list_accounts" => get("/v1/accounts"),
        "change_account" => {
            let path = format!("/v1/accounts/{}", world.stranger.id);
            send("PATCH", &path, json!({"disabled": false}))
        }
        "list_webhooks" => get("/v1/webhooks"),
        "create_webhook" => send("POST", "/v1/webhooks", new_webhook()),
        "webhook" => get(&webhook()),
        "change_webhook" => send("PATCH", &webhook(), json!({"enabled": false})),
        "delete_webhook" => send("DELETE", &webhook(), Value::Null),
        "rotate_webhook_secret" => send("POST", &(webhook() + "/rotate-secret"), Value::Null),
        "test_webhook" => send("POST", &(webhook() + "/test"), Value::Null),
        "webhook_deliveries" => get(&(webhook() + "/deliveries")),
        "replay_delivery" => {
            let webhook = webhook();
            let tested = as_boss("POST", &format!("{webhook}/test"), Value::Null).expect(202);
            send("POST", &format!("{webhook}/deliveries/{}/replay", tested["id"]), Value::Null)
        }
        "replay_since" => {
            let since = json!({"since": "2026-01-01T00:00:00Z"});
            send("POST", &(webhook() + "/replay"), since)
        }
        other => panic!("a new operation: tell how {other} is asked, and what becomes of it"),
    }
}

#[test]
fn each_role_may_do_what_the_table_says_and_nothing_else() {
    let world = world();
    let url = world.url();
    let boss = &world.as_role("administrator").bearer;
    let new = json!({"name": "with password", "role": "creator", "password": "a long password"});
    send(url, boss, "POST", "/v1/accounts", &new).expect(201);
    let document = get(url, "/v1/openapi.json").expect(200);
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let row = permission(id);
            let row =
                row.unwrap_or_else(|| panic!("{method} {path}: {id} has no row in the table"));
            operations.insert(id.to_owned());
            let is_open = row.access(None) == Access::Allow;
            assert_eq!(operation["security"].is_null(), is_open, "{id}");
            let roles = Role::ALL.into_iter().map(Some);
            for role in std::iter::once(None).chain(roles) {
                let name = role.map_or("nobody", Role::name);
                let bearer = role.map_or("", |role| &world.as_role(role.name()).bearer);
                let answer = request(&world, id, name, bearer);
                let status = answer.status;
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                let what = format!("{id} as {name}: {status} {body}");
                match (row.access(role), role) {
                    (Access::Deny, None) => {
                        assert_eq!(status, 401, "{what}");
                        assert!(answer.headers["www-authenticate"].starts_with("Bearer"), "{what}");
                    }
                    (Access::Deny, Some(_)) => assert_eq!(status, 403, "{what}"),
                    (Access::Own, _) => {
                        let expected = match id {
                            "scan" => 202,
                            "search_words" | "search_picture" | "search_code" => 200,
                            "list_keys" => 404,
                            _ if id.starts_with("list_") => 200,
                            _ => 404,
                        };
                        assert_eq!(status, expected, "{what}");
                        let hidden = ["stranger", &*world.cid, &*world.found, "suspect.jpg"];
                        assert!(hidden.iter().all(|words| !body.contains(words)), "{what}");
                    }
                    (Access::Allow, _) => {
                        assert!(status != 401 && status != 403 && status < 500, "{what}");
                        let is_refused = matches!(id, "setup" | "stamp" | "certificate")
                            || matches!(id, "pause_scan" | "resume_scan" | "cancel_scan");
                        assert!(status < 400 || is_refused, "{what}");
                    }
                }
            }
        }
    }
    for row in PERMISSIONS {
        assert!(operations.contains(row.operation), "{} is in the table alone", row.operation);
    }
}

#[test]
fn the_table_of_the_documentation_is_that_of_the_code() {
    let words = std::fs::read_to_string(crate::support::repository("docs/api.md")).unwrap();
    for row in PERMISSIONS {
        let word = |role| match row.access(role) {
            Access::Allow => "yes",
            Access::Own => "own",
            Access::Deny => "–",
        };
        let words_of_roles: Vec<_> =
            std::iter::once(None).chain(Role::ALL.map(Some)).map(word).collect();
        let line =
            format!("| `{}` | {} | {} |", row.operation, row.scope, words_of_roles.join(" | "));
        assert!(words.lines().any(|l| l == line), "docs/api.md lacks {line}");
    }
    let rows = words.lines().filter(|line| line.ends_with("| yes |") && line.starts_with("| `"));
    assert_eq!(rows.count(), PERMISSIONS.len());
}

#[test]
fn a_fresh_server_prints_a_link_that_makes_the_first_administrator_once() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let server = serve(&desk, &[]);
    let url = &server.url;
    let token =
        server.keys.iter().find_map(|line| line.split_once("/setup#")).unwrap().1.to_owned();
    // As before there were accounts.
    get(url, "/v1/works").expect(200);
    assert_eq!(get(url, "/v1/me").expect(200), json!({"accounts": false}));
    let post = |path: &str, body: Value| send(url, "", "POST", path, &body);
    assert_eq!(post("/v1/keys", json!({})).status, 409);
    assert_eq!(post("/v1/accounts", json!({"name": "x", "role": "creator"})).status, 409);

    let first = |token: &str| json!({"token": token, "name": "Ada", "password": "a long password"});
    assert_eq!(post("/v1/setup", first("wrong")).status, 403);
    let mut short = first(&token);
    short["password"] = "short".into();
    assert_eq!(post("/v1/setup", short).status, 400);
    let answer = post("/v1/setup", first(&token));
    assert_eq!(answer.expect(201)["account"]["role"], "administrator");
    let cookie = answer.headers["set-cookie"].clone();
    for part in ["timemark=tms_", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let session = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(post("/v1/setup", first(&token)).status, 409, "it is good for one account");

    // From now on accounts are required.
    assert_eq!(get(url, "/v1/works").status, 401);
    let with = |method: &str, path: &str, more: &[(&str, &str)], body: &[u8]| {
        let headers = [&[("Cookie", &*session), JSON][..], more].concat();
        ask(url, method, path, &headers, body)
    };
    assert_eq!(with("GET", "/v1/me", &[], b"").expect(200)["account"]["name"], "Ada");
    // What a page of a stranger could send with the cookie changes nothing.
    let own = ("x-timemark", "1");
    let forged = with("POST", "/v1/keys", &[], b"{}");
    assert!(forged.expect(403)["type"].as_str().unwrap().ends_with(":cross-site"));
    let foreign = with("POST", "/v1/keys", &[own, ("Origin", "https://other.example")], b"{}");
    assert_eq!(foreign.status, 403);
    with("POST", "/v1/keys", &[own], b"{}").expect(201);
    assert_eq!(with("DELETE", "/v1/session", &[], b"").status, 403);
    assert_eq!(with("DELETE", "/v1/session", &[own], b"").status, 204);
    assert_eq!(with("GET", "/v1/me", &[], b"").status, 401, "the session is over");

    let login = json!({"name": "Ada", "password": "a long password"});
    assert_eq!(post("/v1/session", login.clone()).status, 200);
    let wrong = json!({"name": "Ada", "password": "another password"});
    let statuses: Vec<_> = (0..6).map(|_| post("/v1/session", wrong.clone()).status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    let refused = post("/v1/session", login);
    assert_eq!((refused.status, &*refused.headers["retry-after"]), (429, "60"));
    assert_eq!(post("/v1/session", json!({"name": "nobody", "password": "x"})).status, 401);
    assert_eq!(post("/v1/session", json!({})).status, 400);
    // A restart prints no link any more.
    assert!(server.stop().success());
    assert_eq!(serve(&desk, &[]).keys, [""; 0]);
}

#[test]
fn a_key_opens_what_it_is_for_until_it_is_taken_back() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let mei = person(url, &boss, "mei", "creator", None);
    let works = |bearer: &str| send(url, bearer, "GET", "/v1/works", &Value::Null).status;
    let make = |body: Value| send(url, &mei.bearer, "POST", "/v1/keys", &body);

    let narrow = make(json!({"scopes": ["read"], "label": "reader", "days": 3})).expect(201);
    let reader = format!("Bearer {}", narrow["secret"].as_str().unwrap());
    assert_eq!(works(&reader), 200);
    assert_eq!(register_as(url, &reader, b"x", &[]).status, 403, "it is for reading");
    let wider = send(url, &reader, "POST", "/v1/keys", &json!({}));
    assert_eq!(wider.status, 403);
    for bad in [json!({"scopes": ["accounts"]}), json!({"scopes": ["all"]}), json!({"days": 0})] {
        assert_eq!(make(bad.clone()).status, 400, "{bad}");
    }
    let listed = send(url, &mei.bearer, "GET", "/v1/keys", &Value::Null).expect(200);
    assert!(listed.to_string().contains("\"reader\"") && !listed.to_string().contains("tmk_"));
    // What a key makes ends with it at the latest.
    let parent = make(json!({"scopes": ["keys"], "days": 3})).expect(201);
    let (until, parent) = (&parent["key"]["expires"], parent["secret"].as_str().unwrap());
    let parent = format!("Bearer {parent}");
    for (days, ends_with_it) in [(json!(null), true), (json!(3650), true), (json!(1), false)] {
        let mut body = json!({"scopes": ["keys"], "days": days});
        body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let child = send(url, &parent, "POST", "/v1/keys", &body).expect(201);
        assert_eq!(&child["key"]["expires"] == until, ends_with_it, "{child} {until}");
    }
    let password = json!({"new": "a long password"});
    let set = |bearer: &str| send(url, bearer, "PUT", "/v1/me/password", &password).status;
    assert_eq!(set(&parent), 403, "a password opens more than the key does");
    let id = narrow["key"]["id"].as_str().unwrap();
    let revoke =
        |id: &str| send(url, &mei.bearer, "DELETE", &format!("/v1/keys/{id}"), &Value::Null);
    assert_eq!((revoke(id).status, revoke(id).status), (204, 404));
    assert_eq!(works(&reader), 401, "it was remembered, and is not any more");

    let mut wrong = mei.bearer.clone();
    wrong.replace_range(wrong.len() - 2.., if wrong.ends_with("AA") { "BB" } else { "AA" });
    assert_eq!((works(&wrong), works("Bearer x"), works("Basic eDp5")), (401, 401, 401));
    let change = |body: Value| {
        send(url, &boss, "PATCH", &format!("/v1/accounts/{}", mei.id), &body).expect(200)
    };
    change(json!({"disabled": true}));
    assert_eq!(works(&mei.bearer), 401);
    change(json!({"disabled": false}));
    assert_eq!(works(&mei.bearer), 200);
    // A link opens an account once.
    let token = change(json!({"link": true}))["token"].clone();
    let open = || send(url, "", "POST", "/v1/session", &json!({"token": token})).status;
    assert_eq!((open(), open()), (200, 401));
    // Who guesses waits, and keeps nobody out who was in.
    let guesses: Vec<_> = (0..5).map(|_| works(&wrong)).collect();
    assert_eq!((guesses[0], guesses[4]), (401, 429));
    assert_eq!(works(&mei.bearer), 200);
    // A key that there is not is answered alike.
    let invented = format!("Bearer tmk_{}_{}", "a".repeat(16), "b".repeat(43));
    let guesses: Vec<_> = (0..6).map(|_| works(&invented)).collect();
    assert_eq!(guesses, [401, 401, 401, 401, 401, 429]);
    assert_eq!(set(&mei.bearer), 204, "a key without scopes may");
    let last = send(url, &boss, "GET", "/v1/me", &Value::Null).expect(200);
    let rule = format!("/v1/accounts/{}", last["account"]["id"].as_str().unwrap());
    let demoted = send(url, &boss, "PATCH", &rule, &json!({"role": "auditor"}));
    assert_eq!(demoted.status, 409, "somebody is left who may change accounts");
}

#[test]
fn a_key_with_scopes_leads_nobody_around_them() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let url = &server.url;
    let made = send(url, &boss, "POST", "/v1/keys", &json!({"scopes": ["accounts"]})).expect(201);
    let key = format!("Bearer {}", made["secret"].as_str().unwrap());
    let new = json!({"name": "Ada", "role": "administrator"});
    let made = send(url, &key, "POST", "/v1/accounts", &new).expect(201);
    assert!(made["token"].is_null(), "{made}");
    let with = json!({"name": "Bo", "role": "administrator", "password": "a long password"});
    assert_eq!(send(url, &key, "POST", "/v1/accounts", &with).status, 403);
    let path = format!("/v1/accounts/{}", made["account"]["id"].as_str().unwrap());
    let change = |bearer: &str, body: Value| send(url, bearer, "PATCH", &path, &body);
    assert_eq!(change(&key, json!({"link": true})).status, 403);
    assert_eq!(change(&key, json!({"role": "auditor"})).status, 403);
    assert_eq!(change(&key, json!({"disabled": false})).status, 200);
    // A link that was given before the account was disabled opens nothing when it is enabled again.
    let token = change(&boss, json!({"link": true})).expect(200)["token"].clone();
    change(&boss, json!({"disabled": true})).expect(200);
    change(&boss, json!({"disabled": false})).expect(200);
    assert_eq!(send(url, "", "POST", "/v1/session", &json!({"token": token})).status, 401);
}

#[test]
fn what_is_of_others_is_not_there() {
    let world = world();
    let url = world.url();
    let (mei, stranger) = (&world.as_role("creator").bearer, &world.stranger.bearer);
    let get = |bearer: &str, path: &str| send(url, bearer, "GET", path, &Value::Null);
    // Nothing tells an entry of somebody else from one that is not there.
    let foreign = get(mei, &format!("/v1/receipts/{}", world.index));
    let nowhere = get(mei, "/v1/receipts/99999");
    assert_eq!((foreign.status, &foreign.body), (nowhere.status, &nowhere.body));
    let unknown = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let foreign = get(mei, &format!("/v1/works/{}", world.cid));
    let nowhere = get(mei, &format!("/v1/works/{unknown}"));
    assert_eq!((foreign.status, &foreign.body), (404, &nowhere.body));
    get(stranger, &format!("/v1/works/{}", world.cid)).expect(200);

    // The same work by the same claimant is somebody else's; by another it is a registration of its own.
    let work = sample("works/harbour-at-dusk.jpg");
    let again = register_as(url, mei, &work, &[("claimant", "Stranger")]);
    assert!(again.expect(409)["type"].as_str().unwrap().ends_with(":registered-elsewhere"));
    let other = register_as(url, mei, &work, &[("claimant", "Mei"), ("title", "Mine")]).expect(201);
    assert_eq!((&other["similar"], &other["similar_of_others"]), (&json!([]), &json!(1)));
    let own = get(mei, &format!("/v1/works/{}", world.cid)).expect(200);
    assert_eq!(own["registrations"].as_array().unwrap().len(), 1);
    assert_eq!(own["registrations"][0]["title"], "Mine");
    let theirs = get(stranger, "/v1/works").expect(200);
    assert_eq!(theirs["works"].as_array().unwrap().len(), 1);
    let found = ask(
        url,
        "POST",
        "/v1/search",
        &[FORM, ("Authorization", mei)],
        &form(&[("picture", "p.jpg", &work)], &[]),
    );
    let found = found.expect(200);
    assert_eq!(
        (&found["status"], &found["matches"][0]["title"]),
        (&json!("match"), &json!("Mine"))
    );
    assert_eq!(found["matches"].as_array().unwrap().len(), 1);

    // An agency sees what its organisation registered, page by page.
    let agency = &world.as_role("agency").bearer;
    for i in 0..3 {
        register_as(url, mei, format!("work {i}").as_bytes(), &[]).expect(201);
    }
    let page = get(agency, "/v1/works?limit=3").expect(200);
    assert_eq!(page["works"].as_array().unwrap().len(), 3);
    let next = format!("/v1/works?limit=3&cursor={}", page["next"].as_str().unwrap());
    let rest = get(agency, &next).expect(200);
    assert_eq!(rest["works"].as_array().unwrap().len(), 1);
    assert!(rest["next"].is_null() && rest["works"][0]["title"] == "Mine");
    assert_eq!(get(agency, &format!("/v1/receipts/{}", world.index)).status, 404);
    // What is registered by its digests is as much the caller's, and nobody else's.
    let digests = |bearer: &str, title: &str| {
        let mut work = digests_of(b"never sent", "secret.txt");
        work["title"] = title.into();
        send(url, bearer, "POST", "/v1/works/digests", &json!({ "works": [work] })).expect(200)
    };
    let told = digests(mei, "Of Mei")["results"][0]["registered"].clone();
    let path = format!("/v1/works/{}", told["work"].as_str().unwrap());
    assert_eq!(get(mei, &path).expect(200)["registrations"][0]["title"], "Of Mei");
    assert_eq!((get(stranger, &path).status, get(agency, &path).status), (404, 200));
    let problem = digests(stranger, "Of another")["results"][0]["problem"]["type"].clone();
    assert!(problem.as_str().unwrap().ends_with(":registered-elsewhere"), "{problem}");
    assert_eq!(get(stranger, &path).status, 404);

    // Each account has idempotency keys of its own.
    let keyed = |bearer: &str, bytes: &[u8]| {
        let headers = [FORM, ("Authorization", bearer), ("Idempotency-Key", "one")];
        ask(url, "POST", "/v1/works", &headers, &form(&[("file", "a", bytes)], &[])).status
    };
    assert_eq!((keyed(mei, b"k1"), keyed(stranger, b"k2"), keyed(mei, b"k3")), (201, 201, 422));
}

#[test]
fn what_the_staff_does_is_in_the_log_before_it_is_answered() {
    let world = world();
    let url = world.url();
    let get =
        |role: &str, path: &str| send(url, &world.as_role(role).bearer, "GET", path, &Value::Null);
    let actions = || get("auditor", "/v1/actions?limit=200").expect(200)["actions"].clone();
    let newest = || {
        let newest = actions()[0].clone();
        (newest["actor"].clone(), newest["action"].clone(), newest["subject"].clone())
    };
    let id = |role: &str| json!(world.as_role(role).id);
    get("reviewer", &format!("/v1/works/{}", world.cid)).expect(200);
    assert_eq!(newest(), (id("reviewer"), json!("work.view"), json!(world.cid)));
    let entry = json!(format!("entry {}", world.index));
    for (role, part) in
        [("administrator", ""), ("auditor", "/tlog-proof"), ("reviewer", "/checkpoint")]
    {
        assert_eq!(get(role, &format!("/v1/receipts/{}{part}", world.index)).status, 200);
        assert_eq!(newest(), (id(role), json!("receipt.export"), entry.clone()));
    }
    let before = actions().as_array().unwrap().len();
    // Page by page they are found again by who and by what.
    let by = format!("/v1/actions?action=work.view&actor={}", world.as_role("reviewer").id);
    let found = get("auditor", &by).expect(200)["actions"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(
        (&found[0]["action"], &found[0]["subject"]),
        (&json!("work.view"), &json!(world.cid))
    );
    let none = get("auditor", "/v1/actions?action=work.vie").expect(200);
    assert_eq!(none["actions"], json!([]));
    let own = format!("/v1/works/{}", world.cid);
    send(url, &world.stranger.bearer, "GET", &own, &Value::Null).expect(200);
    get("creator", &own).expect(404);
    get("reviewer", "/v1/receipts/99999").expect(404);
    assert_eq!(actions().as_array().unwrap().len(), before, "nothing was shown of others");
    let boss = &world.as_role("administrator").bearer;
    let path = format!("/v1/accounts/{}", world.stranger.id);
    send(url, boss, "PATCH", &path, &json!({"role": "reviewer"})).expect(200);
    assert_eq!(newest().1, "account.change");
    assert_eq!(actions()[0]["detail"], "role reviewer");
    send(url, boss, "DELETE", &format!("/v1/keys/{}", world.stranger.spare), &Value::Null);
    assert_eq!((newest().1, newest().2), (json!("key.revoke"), json!(world.stranger.spare)));

    // Webhooks: what is new is told, but for what only the receiver is to know.
    let new = |url: &str| json!({"url": url, "events": ["work.registered"]});
    let made = send(url, boss, "POST", "/v1/webhooks", &new("https://hooks.example/a?token=1"));
    assert_eq!(
        (newest().1, newest().2),
        ("webhook.create".into(), "https://hooks.example/a".into())
    );
    assert_eq!(actions()[0]["detail"], "events work.registered");
    let path = format!("/v1/webhooks/{}", made.expect(201)["id"].as_str().unwrap());
    let id = json!(path.rsplit('/').next().unwrap());
    let changed = json!({"url": "https://hooks.example/b?token=2", "enabled": false});
    send(url, boss, "PATCH", &path, &changed).expect(200);
    assert_eq!((newest().1, newest().2), ("webhook.change".into(), id.clone()));
    assert_eq!(actions()[0]["detail"], "url https://hooks.example/b; disabled");
    let before = actions().as_array().unwrap().len();
    for refused in ["http://hooks.example/", "https://127.0.0.1/"] {
        assert_eq!(send(url, boss, "POST", "/v1/webhooks", &new(refused)).status, 422);
        assert_eq!(send(url, boss, "PATCH", &path, &json!({"url": refused})).status, 422);
    }
    assert_eq!(actions().as_array().unwrap().len(), before, "nothing of it was to be");
    let tested = send(url, boss, "POST", &format!("{path}/test"), &Value::Null).expect(202);
    assert_eq!((newest().1, newest().2), ("webhook.test".into(), id.clone()));
    let again = format!("{path}/deliveries/{}/replay", tested["id"]);
    assert_eq!(send(url, boss, "POST", &again, &Value::Null).status, 202);
    assert_eq!((newest().1, newest().2), ("webhook.replay".into(), id.clone()));
    let since = json!({"since": "2026-01-01T00:00:00Z"});
    assert_eq!(send(url, boss, "POST", &format!("{path}/replay"), &since).status, 202);
    assert_eq!((newest().1, newest().2), ("webhook.replay".into(), id));
    assert_eq!(actions()[0]["detail"], "everything since 2026-01-01T00:00:00Z");

    // Page by page it is the same.
    let (all, mut paged, mut cursor) = (actions(), Vec::new(), String::new());
    loop {
        let page = get("auditor", &format!("/v1/actions?limit=3{cursor}")).expect(200);
        paged.extend(page["actions"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&json!(paged), &all);
    let World { server, desk, .. } = world;
    assert!(server.stop().success());
    let told = expect_json(0, &mut desk.timemark(["log", "actions"]));
    assert_eq!(told.len(), paged.len());
    assert_eq!(
        (&told[0]["actor"], &told[0]["action"]),
        (&json!("operator"), &json!("account.create"))
    );
    let audit = expect(0, &mut desk.timemark(["log", "audit"]));
    assert!(audit.contains(" 0 findings"), "{audit}");
}

#[test]
fn a_creator_finds_what_was_registered_just_before_a_crash() {
    let (desk, boss) = ruled();
    let server = serve(&desk, &[]);
    let mei = person(&server.url, &boss, "mei", "creator", None);
    for i in 0..5 {
        let bytes = format!("work {i}");
        register_as(&server.url, &mei.bearer, bytes.as_bytes(), &[("claimant", "Mei")]).expect(201);
    }
    drop(server); // killed
    let server = serve(&desk, &[]);
    let works = send(&server.url, &mei.bearer, "GET", "/v1/works", &Value::Null).expect(200);
    assert_eq!(works["works"].as_array().unwrap().len(), 5);
}

#[test]
fn the_operator_makes_and_changes_accounts_on_the_command_line() {
    let (desk, boss) = ruled();
    let add = ["account", "add", "Mei 梅", "--role", "agency", "--organisation", "North"];
    let said = expect(0, &mut desk.timemark(add));
    let token_in =
        |said: &str| said.lines().last().unwrap().split_once("/login#").unwrap().1.to_owned();
    let token = token_in(&said);
    expect(2, &mut desk.timemark(["account", "add", "Mei 梅", "--role", "creator"]));
    expect(2, &mut desk.timemark(["account", "add", "x", "--role", "king"]));
    expect(2, &mut desk.timemark(["account", "key", "nobody"]));
    let listed = expect_json(0, &mut desk.timemark(["account", "list"]));
    assert_eq!(listed.len(), 2);
    let mei = listed.iter().find(|account| account["name"] == "Mei 梅").unwrap();
    assert_eq!((&mei["role"], &mei["organisation"]), (&json!("agency"), &json!("North")));
    let key = expect(0, &mut desk.timemark(["account", "key", "Mei 梅", "--scope", "read"]));
    let id = key.split('_').nth(1).unwrap();
    expect(0, &mut desk.timemark(["account", "disable", "Mei 梅"]));
    expect(0, &mut desk.timemark(["account", "enable", "Mei 梅"]));
    let later = token_in(&expect(0, &mut desk.timemark(["account", "link", "Mei 梅"])));
    expect(2, &mut desk.timemark(["account", "disable", "boss"]));
    expect(0, &mut desk.timemark(["account", "revoke", id]));
    let actions = expect_json(0, &mut desk.timemark(["log", "actions"]));
    assert!(actions.iter().all(|action| action["actor"] == "operator"));
    assert!(actions.iter().any(|action| action["action"] == "key.revoke"));
    // A backup has the accounts as well: what is restored from it is not open to everybody.
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    assert!(desk.path("copy/accounts.redb").is_file());

    let server = serve(&desk, &[]);
    assert_eq!(send(&server.url, &boss, "GET", "/v1/accounts", &Value::Null).status, 200);
    let open =
        |token: &str| send(&server.url, "", "POST", "/v1/session", &json!({ "token": token }));
    assert_eq!(open(&token).status, 401, "a link from before an account was disabled is gone");
    assert_eq!(open(&later).expect(200)["account"]["name"], "Mei 梅");
    let busy = run(&mut desk.timemark(["account", "list"]));
    assert_eq!(busy.status.code(), Some(2), "it is served meanwhile");
}

#[test]
fn it_is_reached_from_elsewhere_by_tls_and_its_name_alone() {
    let (desk, _) = ruled();
    let refused = |arguments: &[&str], word: &str| {
        let mut command = desk.timemark(["serve", "--listen", "0.0.0.0:0"]);
        let output = run(command.args(arguments));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && words.contains(word), "{arguments:?}: {words}");
    };
    refused(&[], "--tls-cert");
    refused(&["--public-host", "archive.example"], "--tls-cert");
    refused(&["--behind-proxy"], "--public-host");
    refused(&["--behind-proxy", "--public-host", "https://archive.example"], "without scheme");
    let proxied = serve(&desk, &["--behind-proxy", "--public-host", "archive.example"]);
    let host = [("Host", "archive.example")];
    let answer = ask(&proxied.url, "GET", "/v1/openapi.json", &host, b"");
    assert_eq!(answer.status, 200);
    assert!(answer.headers["strict-transport-security"].starts_with("max-age="));
    let other = [("Host", "other.example")];
    assert_eq!(ask(&proxied.url, "GET", "/v1/openapi.json", &other, b"").status, 421);
    assert!(proxied.stop().success());

    if Command::new("openssl").arg("version").output().is_err() {
        return skip("openssl is not here");
    }
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    make.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]);
    make.args(["-keyout", "tls.key", "-out", "tls.crt"]).current_dir(desk.path(""));
    expect(0, make.stderr(Stdio::null()));
    refused(&["--tls-cert", "tls.crt", "--tls-key", "tls.key"], "--public-host");
    refused(&["--tls-cert", "tls.key", "--tls-key", "tls.key"], "no certificate");
    let server = serve(&desk, &["--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
    let address = server.url.strip_prefix("https://").unwrap();
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", address, "-servername", "localhost", "-quiet"]);
    client.args(["-CAfile", "tls.crt", "-verify_return_error", "-verify_hostname", "localhost"]);
    client.current_dir(desk.path("")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.stderr(Stdio::null()).spawn().unwrap();
    let request = b"GET /v1/works HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    client.stdin.as_mut().unwrap().write_all(request).unwrap();
    let answer = Answer::read(&mut client.stdout.take().unwrap());
    let _ = client.wait();
    assert_eq!(answer.status, 401);
    assert!(answer.headers["strict-transport-security"].starts_with("max-age="));
    assert!(server.stop().success());
}
