//! What does the service bear? 64 clients on the loopback interface ask a `timemark serve` of its own process.

mod measure;

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::HEXLOWER;
use image::codecs::jpeg::JpegEncoder;
use measure::profile::{Profile, Shares};
use measure::{Report, quantile, splitmix};
use serde_json::{Value, json};
use timemark_tlog::{Log, LogKey};
use timemark_verify::WorkDigests;

fn main() -> Result<()> {
    let mut report = Report::open("serve")?;
    registrations(&mut report)?;
    searches(&mut report)
}

/// Registrations a second, each with its flush.
fn registrations(report: &mut Report) -> Result<()> {
    let dir = measure::scratch()?;
    let archive = dir.path().join("archive");
    init(&archive)?;
    let server = Server::start(&archive)?;

    let pictures: Vec<Vec<u8>> = (0..PICTURES).map(picture).collect::<Result<_>>()?;
    let bytes: usize = pictures.iter().map(Vec::len).sum();
    let forms: Vec<Vec<u8>> = pictures.iter().map(|bytes| form("file", bytes)).collect();
    let note = format!("{CLIENTS} clients; JPEGs of {} KB in the mean", bytes / PICTURES / 1000);
    let run = ask_all(&server, "POST", "/v1/works", FORM, &forms, &|answer| {
        ensure!(answer["status"] == "registered", "{answer}");
        Ok(())
    })?;
    run.rows("pictures", "registrations/s", &note, report)?;

    let works: Vec<Value> = (0..DIGESTS).map(digests).collect();
    let list = |works: &[Value]| json!({ "works": works }).to_string().into_bytes();
    let bodies: Vec<Vec<u8>> = works.iter().map(|work| list(std::slice::from_ref(work))).collect();
    let all_new = |answer: Value| {
        let results = answer["results"].as_array().context("no results")?;
        let is_new = |result: &Value| result["registered"]["status"] == "registered";
        ensure!(results.iter().all(is_new), "{answer}");
        Ok(())
    };
    let run = ask_all(&server, "POST", "/v1/works/digests", JSON, &bodies, &all_new)?;
    let note = format!("{CLIENTS} clients; one work a request by its digests alone");
    run.rows("digests", "registrations/s", &note, report)?;

    let more: Vec<Value> = (DIGESTS..DIGESTS + 16 * LIST).map(digests).collect();
    let lists: Vec<Vec<u8>> = more.chunks(LIST).map(list).collect();
    let run = ask_all(&server, "POST", "/v1/works/digests", JSON, &lists, &all_new)?;
    let note = format!("16 requests of {LIST} works each by their digests alone");
    let per_second = run.per_second * LIST as f64;
    report.row("digests_in_lists", per_second, "registrations/s", &note)
}

/// Searches a second in a table of a million codes.
fn searches(report: &mut Report) -> Result<()> {
    let dir = measure::scratch()?;
    let archive = dir.path().join("archive");
    init(&archive)?;
    let codes = fill(&archive)?;
    let started = Instant::now();
    let server = Server::start(&archive)?;
    let seconds = started.elapsed().as_secs_f64();
    let note = format!("registry and index of {codes} works are made anew");
    report.row("first_start", seconds, "s", &note)?;

    let mut state = 1;
    let mut queries = Vec::new();
    while queries.len() < LOOKUPS {
        let number = splitmix(&mut state) % codes;
        let claim = measure::claim(number, WorkDigests::of(&number.to_be_bytes()));
        let (code, _) = claim.fingerprints[0].as_pdq().context("no code")?;
        queries.push(format!("/v1/search/code?pdq={code}"));
    }
    let run = on_clients(queries.len(), &server, &|client, at| {
        let answer = client.ask("GET", &queries[at], "", b"")?;
        ensure!(answer["matches"][0]["distance"] == 0, "{answer}");
        Ok(())
    })?;
    let note =
        format!("{CLIENTS} clients; {codes} codes; HMA's users report 450 to 500 on ten machines");
    run.rows("lookups", "lookups/s", &note, report)?;

    let pictures = measure::pictures_given().unwrap_or(measure::in_workspace("samples/suspects"));
    let forms: Vec<Vec<u8>> = measure::files(&pictures)?
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
        .map(|path| Ok(form("picture", &fs::read(path)?)))
        .collect::<Result<_>>()?;
    ensure!(!forms.is_empty(), "there are no JPEGs in {}", pictures.display());
    let bytes: usize = forms.iter().map(Vec::len).sum();
    let all: Vec<Vec<u8>> = forms.iter().cycle().take(SEARCHES).cloned().collect();
    let run = ask_all(&server, "POST", "/v1/search", FORM, &all, &|answer| {
        ensure!(answer["matches"].is_array(), "{answer}");
        Ok(())
    })?;
    let kilobytes = bytes / forms.len() / 1000;
    let note =
        format!("{CLIENTS} clients; {codes} codes; pictures of {kilobytes} KB at full depth");
    run.rows("searches", "searches/s", &note, report)
}

/// Appends claims with codes to the log of an archive that nothing has open, and returns how many.
fn fill(archive: &Path) -> Result<u64> {
    let codes = std::env::var("TIMEMARK_BENCH_SERVE_CODES");
    let codes: u64 = codes.map_or(Ok(CODES_DEFAULT), |codes| codes.parse())?;
    let key = LogKey::read(&archive.join("keys/log.key"))?;
    let log = Log::open(&archive.join("log"), key, Box::new(|| Ok(())))?;
    measure::on_threads(APPENDERS, |number| {
        if number < codes {
            let work = WorkDigests::of(&number.to_be_bytes());
            log.append(&measure::claim(number, work))?;
        }
        Ok(number < codes)
    })?;
    log.settle()?;
    Ok(codes)
}

fn init(archive: &Path) -> Result<()> {
    let mut init = timemark(archive);
    let status = init.args(["init", "--origin", "timemark.invalid/bench"]).stdout(Stdio::null());
    ensure!(status.status()?.success(), "{init:?} failed");
    Ok(())
}

fn timemark(archive: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timemark"));
    command.arg("--archive").arg(archive);
    command
}

struct Server {
    child: Child,
    host: String,
}

impl Server {
    fn start(archive: &Path) -> Result<Server> {
        let mut serve = timemark(archive);
        serve.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child = serve.spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        for line in BufReader::new(stdout).lines() {
            if let Some(host) = line?.strip_prefix("listening on http://") {
                return Ok(Server { child, host: host.to_owned() });
            }
        }
        bail!("{serve:?} did not come up");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that goes on from request to request.
struct Client<'a> {
    host: &'a str,
    stream: BufReader<TcpStream>,
}

impl Client<'_> {
    fn connect(host: &str) -> Result<Client<'_>> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Client { host, stream: BufReader::new(stream) })
    }

    /// The JSON of an answer that is a success.
    fn ask(&mut self, method: &str, path: &str, media_type: &str, body: &[u8]) -> Result<Value> {
        let host = self.host;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        if !media_type.is_empty() {
            request += &format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len());
        }
        let request = [request.as_bytes(), b"\r\n", body].concat();
        self.stream.get_mut().write_all(&request)?;
        let (mut line, mut length) = (String::new(), None);
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while line != "\r\n" {
            line.clear();
            ensure!(self.stream.read_line(&mut line)? > 0, "the answer ends in its head");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        let mut body = vec![0; length.context("an answer without a length")?];
        self.stream.read_exact(&mut body)?;
        ensure!(status.starts_with('2'), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }
}

struct Run {
    per_second: f64,
    latencies_ms: Vec<f64>,
    /// Whose code the server ran, where there is a `perf`.
    shares: Option<Shares>,
}

impl Run {
    fn rows(mut self, name: &str, unit: &str, note: &str, report: &mut Report) -> Result<()> {
        report.row(name, self.per_second, unit, note)?;
        for (quantile_name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let latency = quantile(&mut self.latencies_ms, share);
            report.row(&format!("{name}_{quantile_name}"), latency, "ms", "")?;
        }
        self.shares.map_or(Ok(()), |shares| {
            let most = shares.others.iter().take(4);
            let most = most.map(|(name, share)| format!("{name} {:.0} %", share * 100.0));
            let most = most.collect::<Vec<_>>().join("; ");
            report.row(&format!("{name}_own"), shares.own * 100.0, "% of samples", &most)?;
            report.row(&format!("{name}_kernel"), shares.kernel * 100.0, "% of samples", "")
        })
    }
}

fn ask_all(
    server: &Server,
    method: &str,
    path: &str,
    media_type: &str,
    bodies: &[Vec<u8>],
    check: &(dyn Fn(Value) -> Result<()> + Sync),
) -> Result<Run> {
    on_clients(bodies.len(), server, &|client, at| {
        check(client.ask(method, path, media_type, &bodies[at])?)
    })
}

/// Has 64 clients do so many things, each the next that nobody has taken.
fn on_clients(
    count: usize,
    server: &Server,
    one: &(dyn Fn(&mut Client<'_>, usize) -> Result<()> + Sync),
) -> Result<Run> {
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| Client::connect(&server.host)).collect::<Result<_>>()?;
    let clients = Mutex::new(clients);
    let latencies = Mutex::new(Vec::with_capacity(count));
    let profile = Profile::start(server.child.id())?;
    let started = Instant::now();
    measure::on_threads(CLIENTS, |number| {
        let at = number as usize;
        if at >= count {
            return Ok(false);
        }
        let taken = clients.lock().ok().and_then(|mut clients| clients.pop());
        let mut client = taken.context("more threads than clients")?;
        let begun = Instant::now();
        one(&mut client, at)?;
        let latency = begun.elapsed().as_secs_f64() * 1e3;
        if let (Ok(mut latencies), Ok(mut clients)) = (latencies.lock(), clients.lock()) {
            latencies.push(latency);
            clients.push(client);
        }
        Ok(true)
    })?;
    let per_second = count as f64 / started.elapsed().as_secs_f64();
    let shares = profile.map(Profile::shares).transpose()?;
    Ok(Run { per_second, latencies_ms: latencies.into_inner().unwrap_or_default(), shares })
}

/// A picture that looks like none of the others: clouds of its own, with grain.
fn picture(number: usize) -> Result<Vec<u8>> {
    let mut state = number as u64;
    let clouds: Vec<f32> = (0..17 * 17 * 3).map(|_| (splitmix(&mut state) % 200) as f32).collect();
    let mut pixels = Vec::with_capacity(3 * SIDE * SIDE);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let grain = (splitmix(&mut state) % GRAIN) as f32;
            let (fx, fy) = (x as f32 * 16.0 / SIDE as f32, y as f32 * 16.0 / SIDE as f32);
            let (left, top) = (fx as usize, fy as usize);
            let (right, down) = (fx.fract(), fy.fract());
            for channel in 0..3 {
                let cloud = |dx, dy| clouds[((top + dy) * 17 + left + dx) * 3 + channel];
                let upper = cloud(0, 0) * (1.0 - right) + cloud(1, 0) * right;
                let lower = cloud(0, 1) * (1.0 - right) + cloud(1, 1) * right;
                pixels.push((upper * (1.0 - down) + lower * down + grain) as u8);
            }
        }
    }
    let mut jpeg = Cursor::new(Vec::new());
    let side = SIDE as u32;
    JpegEncoder::new_with_quality(&mut jpeg, 85).encode(
        &pixels,
        side,
        side,
        image::ExtendedColorType::Rgb8,
    )?;
    Ok(jpeg.into_inner())
}

fn digests(number: usize) -> Value {
    let digests = WorkDigests::of(&number.to_be_bytes());
    json!({
        "sha256": HEXLOWER.encode(&digests.sha256),
        "sha512": HEXLOWER.encode(&digests.sha512),
        "sm3": HEXLOWER.encode(&digests.sm3),
        "length": digests.length,
        "media_type": "image/jpeg",
        "file": format!("{number}.jpg"),
        "claimant": "Ada Example",
    })
}

fn form(part: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"a.jpg\"\r\n\r\n"
    );
    [head.as_bytes(), bytes, b"\r\n--xyz--\r\n"].concat()
}

const CLIENTS: usize = 64;
const PICTURES: usize = 1000;
const DIGESTS: usize = 10_000;
/// Works in a list of digests.
const LIST: usize = 1000;
const CODES_DEFAULT: u64 = 1_000_000;
const LOOKUPS: usize = 20_000;
const SEARCHES: usize = 500;
/// Threads that append a million claims.
const APPENDERS: usize = 1024;
/// Pixels of a picture on each side, and its grain, so that it takes about 100 KB.
const SIDE: usize = 512;
const GRAIN: u64 = 40;
const FORM: &str = "multipart/form-data; boundary=xyz";
const JSON: &str = "application/json";
