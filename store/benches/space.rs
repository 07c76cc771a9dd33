//! How much room does packing save on pictures, and what does it cost in time and memory? Beside it `zstd -19` of the
//! same bytes and plain files.
//!
//! `TIMEMARK_BENCH_PICTURES` is a folder with JPEGs, of which the first thousand by name are taken. Every work must
//! come back bit by bit before a number is printed.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use image::codecs::jpeg::JpegEncoder;
use timemark_store::encoding::{Packing, pack, pack_stream, unpack};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let given = std::env::var_os("TIMEMARK_BENCH_PICTURES").map(PathBuf::from);
    let dir = given.unwrap_or_else(|| samples.join("suspects"));
    let mut report = Report::open()?;
    // First, while the process has not been large.
    memory(&mut report)?;
    let jpegs = jpegs(&dir)?;
    space(&mut report, &jpegs)?;
    other_kinds(&mut report, &samples.join("works"))
}

/// The same works packed by us, by zstd alone, and copied.
fn space(report: &mut Report, jpegs: &[PathBuf]) -> Result<()> {
    let works = jpegs.iter().map(fs::read).collect::<std::io::Result<Vec<_>>>()?;
    let work_bytes: usize = works.iter().map(Vec::len).sum();
    report.row("works", works.len() as f64, "JPEGs", "the first by name")?;
    report.row("plain_bytes", work_bytes as f64, "bytes", "")?;
    let note = format!("{} JPEGs; {THREADS} threads", works.len());

    let (packed, packing) = on_threads(works.len(), |at| Ok(pack(&works[at])))?;
    let by_lepton =
        packed.iter().flatten().filter(|packed| packed.packing == Packing::Lepton).count();
    let by_zstd = packed.iter().flatten().count() - by_lepton;
    let (restored, restoring) = on_threads(works.len(), |at| {
        let Some(packed) = &packed[at] else { return Ok(works[at].clone()) };
        let stored = Box::new(Cursor::new(packed.bytes.clone()));
        read_all(unpack(packed.packing, stored, works[at].len() as u64)?)
    })?;
    check(restored == works, "a packed work came back altered")?;
    let stored: usize = packed
        .iter()
        .zip(&works)
        .map(|(packed, work)| packed.as_ref().map_or(work.len(), |p| p.bytes.len()))
        .sum();
    let kinds = format!(
        "{by_lepton} by lepton; {by_zstd} by zstd; {} plain",
        works.len() - by_lepton - by_zstd
    );
    report.contender(
        "packed",
        [stored, work_bytes],
        [packing, restoring],
        &format!("{note}; {kinds}; checked while packing"),
    )?;
    drop((packed, restored));

    let (packed, packing) =
        on_threads(works.len(), |at| Ok(zstd::bulk::compress(&works[at], 19)?))?;
    let (restored, restoring) =
        on_threads(works.len(), |at| Ok(zstd::bulk::decompress(&packed[at], works[at].len())?))?;
    check(restored == works, "zstd altered a work")?;
    let stored = packed.iter().map(Vec::len).sum();
    report.contender(
        "zstd_19",
        [stored, work_bytes],
        [packing, restoring],
        &format!("{note}; unchecked"),
    )?;
    drop((packed, restored));

    let dir = tempfile::tempdir()?;
    let path = |at: usize| dir.path().join(at.to_string());
    let (_, copying) = on_threads(works.len(), |at| Ok(fs::write(path(at), &works[at])?))?;
    let (restored, reading) = on_threads(works.len(), |at| Ok(fs::read(path(at))?))?;
    check(restored == works, "a file was altered")?;
    report.contender(
        "plain",
        [work_bytes, work_bytes],
        [copying, reading],
        &format!("{note}; files written and read without flush"),
    )
}

/// Kinds that are no JPEGs, one work of each at a time.
fn other_kinds(report: &mut Report, dir: &Path) -> Result<()> {
    let mut paths = files(dir)?;
    paths.retain(|path| !is_jpeg(path) && path.extension().is_some());
    for path in paths {
        let work = fs::read(&path)?;
        let started = Instant::now();
        let packed = pack(&work);
        let seconds = started.elapsed().as_secs_f64();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        let stored = packed.as_ref().map_or(work.len(), |packed| packed.bytes.len());
        let how = packed.map_or(Packing::Plain, |packed| packed.packing);
        let note = format!("{how:?}; {} bytes in {:.2} ms", work.len(), seconds * 1e3);
        report.row(
            &format!("{kind}_share"),
            100.0 * stored as f64 / work.len() as f64,
            "%",
            &note,
        )?;
        if how == Packing::Plain {
            let started = Instant::now();
            let whole = zstd::bulk::compress(&work, 19)?;
            let note = format!(
                "what the sample saved: zstd -19 takes {:.2} ms",
                started.elapsed().as_secs_f64() * 1e3
            );
            report.row(
                &format!("{kind}_share_zstd_19"),
                100.0 * whole.len() as f64 / work.len() as f64,
                "%",
                &note,
            )?;
        }
    }
    Ok(())
}

/// The most memory that one large picture takes, and a long text.
fn memory(report: &mut Report) -> Result<()> {
    let (width, height) = (6708, 4472);
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503))
            .wrapping_mul(2_246_822_519)
            >> 28;
        let wave = (x as f32 / 97.0).sin() * 60.0 + (y as f32 / 61.0).cos() * 60.0 + 120.0;
        let level = (wave + grain as f32) as u8;
        image::Rgb([level, level / 2, 255 - level])
    });
    let mut work = Vec::new();
    JpegEncoder::new_with_quality(&mut work, 85).encode_image(&picture)?;
    drop(picture);
    let (packed, above, seconds) = peak(|| pack(&work))?;
    let packed = packed.ok_or("the large picture was not packed")?;
    let note = format!(
        "JPEG of 30 megapixels 4:4:4; {} to {} bytes; {seconds:.2} s",
        work.len(),
        packed.bytes.len()
    );
    report.row("pack_memory", above, "MiB", &note)?;
    let stored = Box::new(Cursor::new(packed.bytes));
    let (restored, above, seconds) =
        peak(|| read_all(unpack(packed.packing, stored, work.len() as u64)?))?;
    check(restored? == work, "the large picture came back altered")?;
    report.row(
        "unpack_memory",
        above,
        "MiB",
        &format!("the same with the stored bytes; {seconds:.2} s"),
    )?;
    let lines = |bytes: u64| {
        (0_u64..)
            .map(|line| format!("{line}: {}\n", line.wrapping_mul(line)))
            .take((bytes / 16) as usize)
    };
    let mut text = Lines { lines: lines(16 << 20), line: Cursor::new(Vec::new()) };
    let (streamed, above, seconds) = peak(|| pack_stream(&mut text, &mut std::io::sink()))?;
    let streamed = streamed?.ok_or("text was not packed")?;
    let note = format!(
        "text of {} bytes to {}; {seconds:.1} s",
        streamed.work_bytes, streamed.stored_bytes
    );
    report.row("pack_stream_memory", above, "MiB", &note)
}

struct Lines<I> {
    lines: I,
    line: Cursor<Vec<u8>>,
}

impl<I: Iterator<Item = String>> Read for Lines<I> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.line.read(buffer)? {
            0 => match self.lines.next() {
                Some(line) => {
                    self.line = Cursor::new(line.into_bytes());
                    self.line.read(buffer)
                }
                None => Ok(0),
            },
            read => Ok(read),
        }
    }
}

/// The most memory that a call takes above what was held before, in MiB, and its seconds.
fn peak<T>(call: impl FnOnce() -> T) -> Result<(T, f64, f64)> {
    // From here on, the peak counts anew (proc(5)).
    fs::write("/proc/self/clear_refs", "5")?;
    let before = status("VmRSS:")?;
    let started = Instant::now();
    let answer = call();
    let seconds = started.elapsed().as_secs_f64();
    Ok((answer, (status("VmHWM:")? - before) / 1024.0, seconds))
}

fn status(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Answers in order, and the seconds that all took.
fn on_threads<T: Send>(
    count: usize,
    call: impl Fn(usize) -> Result<T> + Sync,
) -> Result<(Vec<T>, f64)> {
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    let answer = call(at);
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push((at, answer));
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(at, _)| *at);
    let answers = answers.into_iter().map(|(_, answer)| answer).collect::<Result<Vec<T>>>()?;
    check(answers.len() == count, "an answer is missing")?;
    Ok((answers, seconds))
}

fn read_all(mut reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check(is_right: bool, problem: &'static str) -> Result<()> {
    if is_right { Ok(()) } else { Err(problem.into()) }
}

fn jpegs(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = files(dir)?;
    paths.retain(|path| is_jpeg(path));
    paths.truncate(JPEGS_MAX);
    check(!paths.is_empty(), "there are no JPEGs")?;
    Ok(paths)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn is_jpeg(path: &Path) -> bool {
    path.extension()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("jpg") || kind.eq_ignore_ascii_case("jpeg"))
}

/// Prints each number for people and, where `TIMEMARK_BENCH_CSV` names a file, appends it there.
struct Report {
    csv: Option<File>,
}

impl Report {
    fn open() -> Result<Report> {
        let csv = std::env::var_os("TIMEMARK_BENCH_CSV");
        let csv = csv.map(|path| OpenOptions::new().append(true).create(true).open(path));
        Ok(Report { csv: csv.transpose()? })
    }

    fn contender(
        &mut self,
        name: &str,
        [stored, work]: [usize; 2],
        seconds: [f64; 2],
        note: &str,
    ) -> Result<()> {
        self.row(
            &format!("{name}_share"),
            100.0 * stored as f64 / work as f64,
            "%",
            &format!("{stored} bytes"),
        )?;
        self.row(&format!("{name}_pack"), work as f64 / 1e6 / seconds[0], "MB/s", note)?;
        self.row(&format!("{name}_restore"), work as f64 / 1e6 / seconds[1], "MB/s", note)
    }

    fn row(&mut self, metric: &str, value: f64, unit: &str, note: &str) -> Result<()> {
        check(
            ![metric, unit, note].iter().any(|text| text.contains([',', '"', '\n'])),
            "text that CSV would break",
        )?;
        println!("space   {metric:<26} {value:>14.3} {unit:<6} {note}");
        if let Some(csv) = &mut self.csv {
            writeln!(csv, "space,{metric},{value:.4},{unit},{note}")?;
        }
        Ok(())
    }
}

const JPEGS_MAX: usize = 1000;
const THREADS: usize = 2;
