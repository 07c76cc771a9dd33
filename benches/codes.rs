//! How long does it take to find every code within a radius, among 100,000 codes and more, beside Faiss and usearch?
//!
//! One thread. Half of the queries are codes of the table with up to 31 bits flipped, half are near nothing. Before anything
//! is timed, all planted neighbours must be found, and for some queries and every radius what a naive loop finds, and no more.
//! Faiss, which compares all codes, is held to the same numbers of neighbours.

mod measure;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use measure::Report;
use serde::{Deserialize, Serialize};
use timemark_index::{Codes, Near, Row};
use timemark_ingest::media::{self, Limits};
use timemark_verify::Fingerprint;
use timemark_vision::{Kind, Pdq, Picture, Rectangle};

fn main() -> Result<()> {
    let mut report = Report::open("codes")?;
    let most = std::env::var("TIMEMARK_BENCH_CODES_MAX").map_or(Ok(CODES_MAX), |n| n.parse())?;
    for size in SIZES.into_iter().filter(|&size| size <= most) {
        let thrown = (0..size).map(|number| thrown(SEED + number));
        measure_one(&mut report, &format!("random_{size}"), size, thrown)?;
    }
    if let Some(dir) = measure::pictures_given() {
        let real = real_codes(&dir)?;
        let name = format!("pdq_{}", real.len());
        measure_one(&mut report, &name, real.len() as u64, real.into_iter())?;
    }
    Ok(())
}

/// Builds a table of these codes, checks it, and measures it.
fn measure_one(
    report: &mut Report,
    name: &str,
    size: u64,
    codes: impl Iterator<Item = Fingerprint>,
) -> Result<()> {
    let dir = measure::scratch()?;
    let asked_path = dir.path().join("codes.bin");
    let mut peers_copy = BufWriter::new(File::create(&asked_path)?);
    let mut queries = Vec::new();
    let mut sample = Vec::new();
    let started = Instant::now();
    let mut anonymous = 0.0_f64;
    {
        let table = Codes::open(dir.path())?;
        let step = (size / PLANTED).max(1);
        let mut rows = Vec::with_capacity(ROWS_AT_ONCE);
        for (work, code) in (0..).zip(codes) {
            if work % step == 0 && (queries.len() as u64) < PLANTED {
                let flips = queries.len() as u64 % u64::from(RADIUS + 1);
                queries.push((flipped(code, flips, work), Some((work, flips as u32))));
            }
            if size <= PEER_CODES_MAX {
                // The order of bits does not matter to a distance.
                peers_copy.write_all(&code.to_bytes())?;
            }
            sample.push(code);
            rows.push(Row { kind: Kind::Pdq, quality: 100, work, code });
            if rows.len() == ROWS_AT_ONCE {
                table.advance(&rows, work + 1)?;
                rows.clear();
                anonymous = anonymous.max(memory("RssAnon")?);
            }
            if size > NAIVE_CODES_MAX {
                sample.clear();
            }
        }
        table.advance(&rows, size)?;
        table.flush()?;
        anonymous = anonymous.max(memory("RssAnon")?);
        table.finish_merging()?;
        anonymous = anonymous.max(memory("RssAnon")?);
    }
    let build = started.elapsed().as_secs_f64();
    peers_copy.flush()?;
    let note = format!("{size} codes");
    report.row(&format!("{name}_build"), build, "s", "one after the other; durable")?;
    report.row(
        &format!("{name}_build_memory"),
        anonymous,
        "MiB",
        "sampled; without mapped pages",
    )?;

    let started = Instant::now();
    let table = Codes::open(dir.path())?;
    let open = started.elapsed().as_secs_f64() * 1e3;
    report.row(&format!("{name}_open"), open, "ms", &note)?;
    let (segments, bytes) = table.segments();
    let note = format!("{segments} segments");
    report.row(&format!("{name}_disk"), bytes as f64 / size as f64, "bytes/code", &note)?;

    // Codes of nothing: thrown, whatever the table holds.
    let far = (0..PLANTED).map(|number| (thrown(!number), None));
    queries.extend(far.collect::<Vec<_>>());
    let asked: Vec<Fingerprint> = queries.iter().map(|(code, _)| *code).collect();
    let neighbours = check(&table, &queries, &sample)?;

    for (radius, queries) in RADII {
        let asked: Vec<_> = asked.iter().step_by(PLANTED_AND_FAR / queries).copied().collect();
        let single_queries = SINGLE.min(queries);
        let batch = micros_each(asked.len(), || table.near(Kind::Pdq, &asked, radius).len());
        let note = format!("{} queries at once; one thread", asked.len());
        report.row(&format!("{name}_batch_r{radius}"), batch, "µs/query", &note)?;
        let single = micros_each(single_queries, || {
            let each = asked.iter().step_by(asked.len() / single_queries).take(single_queries);
            each.map(|code| table.near(Kind::Pdq, &[*code], radius).len()).sum::<usize>()
        });
        report.row(&format!("{name}_single_r{radius}"), single, "µs/query", "one at a time")?;
        if radius == RADIUS && size <= PEER_CODES_MAX {
            ask_peers(report, name, &asked_path, &asked, &neighbours, batch, single)?;
        }
    }
    report.row(&format!("{name}_resident"), memory("VmRSS")?, "MiB", "mapped pages included")
}

/// Every planted neighbour is found, and where all codes are at hand, for some of the queries and every radius, everything
/// that a naive loop finds and no more. Returns how many neighbours each query has.
fn check(
    table: &Codes,
    queries: &[(Fingerprint, Option<(u64, u32)>)],
    all: &[Fingerprint],
) -> Result<Vec<usize>> {
    let asked: Vec<Fingerprint> = queries.iter().map(|(code, _)| *code).collect();
    let near = table.near(Kind::Pdq, &asked, RADIUS);
    for (code, planted) in queries.iter().enumerate() {
        if let Some((work, distance)) = planted.1 {
            let wanted = Near { code, work, distance, quality: 100 };
            ensure!(near.binary_search(&wanted).is_ok(), "{wanted:?} is not found");
        }
    }
    if !all.is_empty() {
        let some: Vec<_> = asked.iter().step_by(asked.len() / NAIVE_QUERIES).copied().collect();
        for (radius, _) in RADII {
            let mut near = table.near(Kind::Pdq, &some, radius).into_iter();
            for (number, code) in some.iter().enumerate() {
                for (work, other) in (0..).zip(all) {
                    let distance = code.distance(other);
                    if distance <= radius {
                        let wanted = Near { code: number, work, distance, quality: 100 };
                        ensure!(near.next() == Some(wanted), "{wanted:?} is not found");
                    }
                }
            }
            ensure!(near.next().is_none(), "something is found within {radius} bits that is not");
        }
    }
    let mut neighbours = vec![0; asked.len()];
    near.iter().for_each(|found| neighbours[found.code] += 1);
    Ok(neighbours)
}

#[derive(Serialize)]
struct PeerQuestion<'a> {
    codes: &'a Path,
    queries: &'a Path,
    radius: u32,
    single: usize,
    neighbours: &'a [usize],
}

#[derive(Deserialize)]
struct PeerAnswer {
    peer: String,
    recall: f64,
    batch_us: f64,
    single_us: f64,
    build_s: f64,
}

/// Asks the same of the peers, in this run.
fn ask_peers(
    report: &mut Report,
    name: &str,
    codes: &Path,
    asked: &[Fingerprint],
    neighbours: &[usize],
    batch: f64,
    single: f64,
) -> Result<()> {
    let python = std::env::var_os("TIMEMARK_HAMMING_PYTHON")
        .map_or_else(|| measure::in_workspace("target/peers/hamming/bin/python"), PathBuf::from);
    if !python.exists() {
        eprintln!("skipping Faiss and usearch: {} is not there", python.display());
        return Ok(());
    }
    let queries = codes.with_file_name("queries.bin");
    fs::write(&queries, asked.iter().flat_map(|code| code.to_bytes()).collect::<Vec<_>>())?;
    let mut peer = Command::new(python)
        .arg(measure::in_workspace("benches/peers/hamming.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let question =
        PeerQuestion { codes, queries: &queries, radius: RADIUS, single: 200, neighbours };
    let stdin = peer.stdin.take().context("it has a standard input")?;
    serde_json::to_writer(stdin, &question)?;
    let answers = peer.wait_with_output()?;
    ensure!(answers.status.success(), "the peers failed");
    for line in String::from_utf8(answers.stdout)?.lines() {
        let answer: PeerAnswer = serde_json::from_str(line)?;
        let note = format!("recall {:.3}; built in {:.1} s", answer.recall, answer.build_s);
        let peer = format!("{name}_{}", answer.peer);
        report.row(&format!("{peer}_batch"), answer.batch_us, "µs/query", &note)?;
        report.row(&format!("{peer}_batch/ours"), answer.batch_us / batch, "times", &note)?;
        report.row(&format!("{peer}_single"), answer.single_us, "µs/query", &note)?;
        report.row(&format!("{peer}_single/ours"), answer.single_us / single, "times", &note)?;
    }
    Ok(())
}

/// PDQ codes of real pictures: of the whole and of rectangles in it, until there are enough. Their bits depend on each
/// other, as those of thrown codes do not.
fn real_codes(dir: &Path) -> Result<Vec<Fingerprint>> {
    let files = measure::files(dir)?;
    let each = (REAL_CODES / files.len()).clamp(1, RECTANGLES_MAX);
    let found = std::sync::Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism()?.get();
    measure::on_threads(threads, |number| {
        let Some(path) = files.get(number as usize) else { return Ok(false) };
        let Ok(picture) = media::decode(&fs::read(path)?, &Limits::default()) else {
            return Ok(true);
        };
        let codes: Vec<_> =
            (0..each as u64).filter_map(|part| part_code(&picture, part, number)).collect();
        found.lock().map_err(|_| anyhow!("a thread panicked"))?.push((number, codes));
        Ok(true)
    })?;
    let mut found = found.into_inner()?;
    found.sort();
    Ok(found.into_iter().flat_map(|(_, codes)| codes).take(REAL_CODES).collect())
}

fn part_code(picture: &Picture, part: u64, seed: u64) -> Option<Fingerprint> {
    let mut rectangle = picture.frame();
    if part > 0 {
        let at = thrown(seed << 8 | part).0;
        let side = |whole: u32, size: u64, place: u64| {
            let length = (u64::from(whole) * (50 + size % 40) / 100).max(1) as u32;
            ((place % u64::from(whole - length + 1)) as u32, length)
        };
        let (x, width) = side(picture.width, at[0], at[1]);
        let (y, height) = side(picture.height, at[0], at[2]);
        rectangle = Rectangle { x, y, width, height };
    }
    let part = picture.part(rectangle);
    let pdq = Pdq::of_rgb(&part.rgb, part.width, part.height)?;
    (pdq.quality >= QUALITY_MIN).then_some(pdq.codes[0])
}

/// The median time of a call, three at least, shared among so many queries.
fn micros_each<T>(queries: usize, call: impl FnMut() -> T) -> f64 {
    measure::median_seconds(DURATION, black_box(call)) / queries as f64 * 1e6
}

fn thrown(number: u64) -> Fingerprint {
    let mut state = number.wrapping_mul(0xD134_2543_DE82_EF95);
    Fingerprint([(); 4].map(|()| measure::splitmix(&mut state)))
}

fn flipped(mut code: Fingerprint, flips: u64, seed: u64) -> Fingerprint {
    let mut state = !seed;
    let original = code;
    while u64::from(code.distance(&original)) < flips {
        let bit = measure::splitmix(&mut state) as usize % 256;
        if (code.0[bit / 64] ^ original.0[bit / 64]) >> (bit % 64) & 1 == 0 {
            code.0[bit / 64] ^= 1 << (bit % 64);
        }
    }
    code
}

/// A line of /proc/self/status, in MiB.
fn memory(line: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|l| l.strip_prefix(line)?.split_whitespace().nth(1));
    Ok(kib.context("the system does not tell")?.parse::<f64>()? / 1024.0)
}

const SIZES: [u64; 4] = [100_000, 1_000_000, 10_000_000, 100_000_000];
/// Larger ones take long to build, and are measured where TIMEMARK_BENCH_CODES_MAX asks for them.
const CODES_MAX: u64 = 1_000_000;
const PEER_CODES_MAX: u64 = 10_000_000;
const NAIVE_CODES_MAX: u64 = 10_000_000;
const NAIVE_QUERIES: usize = 100;
const REAL_CODES: usize = 1_000_000;
const RECTANGLES_MAX: usize = 100;
const QUALITY_MIN: u8 = 20;
const PLANTED: u64 = 5000;
const PLANTED_AND_FAR: usize = 2 * PLANTED as usize;
const SINGLE: usize = 500;
const ROWS_AT_ONCE: usize = 10_000;
const RADIUS: u32 = 31;
/// As a scan asks by default.
const DEFAULT_RADIUS: u32 = 40;
/// The farthest that is to be fast enough.
const FAR_RADIUS: u32 = 64;
/// And how many queries are asked.
const RADII: [(u32, usize); 3] =
    [(RADIUS, PLANTED_AND_FAR), (DEFAULT_RADIUS, 2000), (FAR_RADIUS, 200)];
const SEED: u64 = 1 << 40;
const DURATION: std::time::Duration = std::time::Duration::from_secs(2);
