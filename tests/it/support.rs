//! What the tests of the whole share: the program, a folder to work in, peers that may be missing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test, without the settings of whoever runs the tests.
pub fn timemark() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timemark"));
    command.env_remove("TIMEMARK_ARCHIVE");
    command
}

/// A path in this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder of development data beside the repository, where there is one.
pub fn shared() -> Option<PathBuf> {
    let shared = repository("../shared");
    shared.join("data/copy-detection/truth.csv").is_file().then_some(shared)
}

/// Says loudly that a test cannot run here. In CI, where nothing may be missing, that is a failure.
pub fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    assert!(
        std::env::var_os("TIMEMARK_REQUIRE_PEERS").is_none(),
        "must not be skipped here: {reason}"
    );
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// Standard output of a command that must answer with this exit code.
pub fn expect(code: i32, command: &mut Command) -> String {
    let output = run(command);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The objects of a command that prints JSON Lines and nothing else.
pub fn expect_json(code: i32, command: &mut Command) -> Vec<Value> {
    let lines = expect(code, command.arg("--json"));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder with an archive and works, gone at the end of the test.
pub struct Desk {
    dir: TempDir,
}

impl Desk {
    pub fn new() -> Desk {
        Desk { dir: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Writes a file and returns its path.
    pub fn file(&self, below: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The program on this desk's archive.
    pub fn timemark<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        self.timemark_on("archive", arguments)
    }

    /// The program on another archive of this desk.
    pub fn timemark_on<S: AsRef<std::ffi::OsStr>>(
        &self,
        archive: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = timemark();
        command.arg("--archive").arg(self.path(archive)).args(arguments);
        command.current_dir(self.dir.path());
        command
    }
}

/// A server of ours, killed at the end of the test.
pub struct Server {
    child: Child,
    /// What it printed before it was ready: keys, a line each.
    pub keys: Vec<String>,
    pub url: String,
}

impl Server {
    /// Starts `timemark … serve` and waits until it listens.
    pub fn start(command: &mut Command) -> Server {
        Server::start_telling(command, Stdio::null())
    }

    /// The same, with its standard error kept.
    pub fn start_telling(command: &mut Command, stderr: impl Into<Stdio>) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut keys = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.strip_prefix("listening on ") {
                Some(url) => return Server { child, keys, url: url.to_owned() },
                None => keys.push(line),
            }
        }
        let _ = child.wait();
        panic!("{command:?} did not come up");
    }

    /// Whether it ends by itself in that time.
    pub fn ends_within(&self, time: Duration) -> bool {
        let begun = Instant::now();
        // An answer by anybody is one: what is traced ends a moment before what traces it.
        while begun.elapsed() < time {
            if TcpStream::connect(self.url.strip_prefix("http://").unwrap()).is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// Asks it to stop as systemd does, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        expect(0, Command::new("kill").args(["-TERM", &self.child.id().to_string()]));
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP request on a connection of its own: the status and the body of the answer.
pub fn http(url: &str, method: &str, content_type: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}
