//! Running the command as a person would.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A command with a clean environment: no CONCORDAT_ variable of the tester reaches it.
pub fn concordat<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concordat"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CONCORDAT_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// Runs a command line; words are separated by blanks.
pub fn run(line: &str) -> Ran {
    Ran::from(
        concordat(line.split_whitespace())
            .output()
            .expect("the command runs"),
    )
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Ran {
    /// Holds the exit code to `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Its lines of JSON.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }
}

/// A node of our own, killed when dropped.
pub struct Node {
    pub dir: PathBuf,
    child: Child,
    /// Keeps reading its log, so that it never waits for us.
    log: std::thread::JoinHandle<String>,
}

/// Addresses on loopback that are free now.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: Vec<_> = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
        .collect();
    std::array::from_fn(|index| listeners[index].local_addr().expect("bound").port())
}

/// `concordat init` in a folder under `root`.
pub fn init(root: &Path, id: &str) -> PathBuf {
    let dir = root.join(id);
    let [peer, api] = free_ports();
    let line = format!(
        "init --agency-id {id} --agency-name Agency-{id} --dir {} --peer-listen 127.0.0.1:{peer} \
         --endpoint https://127.0.0.1:{peer} --api-listen 127.0.0.1:{api}",
        dir.display()
    );
    run(&line).exits(0);
    dir
}

impl Node {
    /// Starts the node of a folder and waits until it listens.
    pub fn start(dir: &Path) -> Self {
        let config = dir.join("concordat.toml");
        let mut child = concordat(["node", "--stop-with-stdin", "--config", &config.to_string_lossy()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the node starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut head = String::new();
        loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("the node ended:\n{head}"))
                .expect("text");
            head += &format!("{line}\n");
            if line.contains("listening") {
                break;
            }
        }
        let log = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                head += &format!("{line}\n");
            }
            head
        });
        Self {
            dir: dir.to_owned(),
            child,
            log,
        }
    }

    /// Stops it in order and returns its log.
    pub fn stop(mut self) -> String {
        drop(self.child.stdin.take());
        assert!(
            self.child.wait().expect("it ends").success(),
            "the node stops in order"
        );
        self.log.join().expect("the log is read")
    }
}
