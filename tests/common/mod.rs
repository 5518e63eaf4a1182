//! What the test programs share: folders, the two programs, an edge that ends with the test, and raw HTTP.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The folder of the test data.
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The names of all files below a folder, relative to it.
pub fn files_below(folder: &Path) -> Vec<String> {
    let (mut names, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                names.push(path.strip_prefix(folder).expect("below").display().to_string());
            }
        }
    }
    names
}

/// Copies the files of a folder, not its subfolders.
pub fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("a readable entry");
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("the file can be copied");
        }
    }
}

/// The folders of a folder, sorted by name.
pub fn folders(of: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(of)
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// Runs the compiler in a folder.
pub fn compiler(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_agent-releases"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the compiler runs")
}

/// Runs the compiler in a folder, and expects it to succeed.
pub fn compiler_ok(folder: &Path, arguments: &[&str]) -> String {
    let output = compiler(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", both(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Exit code, stdout and stderr as one text.
pub fn both(output: &Output) -> String {
    let code = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
    format!("exit {code}\n{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Compares a text with a file of the test data; with BLESS=1 in the environment, writes the file instead. Returns the
/// difference, if there is one.
pub fn compare(path: &Path, actual: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, actual).expect("the expectation can be written");
        return None;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    (expected != actual).then(|| format!("{}:\n--- expected\n{expected}--- actual\n{actual}", path.display()))
}

/// Fails with all differences at once, and says how to bless them.
pub fn all_equal(differences: Vec<String>) {
    assert!(
        differences.is_empty(),
        "{}\n{} differences; `scripts/bless` accepts them",
        differences.join("\n"),
        differences.len()
    );
}

/// A running edge; killed when dropped.
pub struct Edge {
    pub child: Child,
    pub address: String,
    /// Where it answers operators, if it was asked to.
    pub admin: Option<String>,
}

impl Edge {
    /// Starts an edge for a site on a free port, and waits until it answers.
    pub fn start(site: &Path, arguments: &[&str]) -> Self {
        Self::start_on(site, arguments, false)
    }

    /// The same, with an admin listener.
    pub fn start_with_admin(site: &Path, arguments: &[&str]) -> Self {
        Self::start_on(site, &[arguments, &["--admin-listen", "127.0.0.1:0"]].concat(), true)
    }

    fn start_on(site: &Path, arguments: &[&str], has_admin: bool) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent-releases-edge"));
        command.arg("--site").arg(site).args(["--listen", "127.0.0.1:0"]).args(arguments);
        Self::start_by(&mut command, has_admin)
    }

    /// Starts an edge by a command that ends up as one, and waits until it answers.
    pub fn start_by(command: &mut Command, has_admin: bool) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the edge runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut address = |prefix: &str| {
            let line = lines.next().expect("a line").expect("text");
            line.strip_prefix(prefix).unwrap_or_else(|| panic!("expected `{prefix}…`, found `{line}`")).to_owned()
        };
        let listening = address("listening on http://");
        let admin = has_admin.then(|| address("admin listening on http://"));
        Self { child, address: listening, admin }
    }

    /// A connection to it that never waits for ever.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the edge accepts");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    /// Sends raw bytes and reads until the edge closes.
    pub fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("the edge reads");
        let mut answer = Vec::new();
        // A reset after the answer is fine: the edge does not read bodies.
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// Asks one question on a connection of its own.
    pub fn ask(&self, method: &str, target: &str, headers: &[(String, String)]) -> Reply {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: test.example\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            head.push_str("Connection: close\r\n");
        }
        let mut stream = self.connect();
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("the edge reads");
        Reply::read(&mut BufReader::new(stream), method == "HEAD").expect("an answer")
    }

    /// A GET without headers.
    pub fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[])
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// Reads one answer, its body by its Content-Length.
    pub fn read(stream: &mut impl BufRead, is_head: bool) -> std::io::Result<Self> {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| std::io::Error::other(format!("status line `{line}`")))?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut reply = Self { status, headers, body: Vec::new() };
        let length: u64 = reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if !is_head && status != 304 && status != 204 {
            stream.take(length).read_to_end(&mut reply.body)?;
        }
        Ok(reply)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
