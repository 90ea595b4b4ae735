//! `concordat witness` as a process: killed again and again at a random moment, it never takes a cosignature back.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::concordat;
use concordat_ledger::{
    AddCheckpoint, Folder, Log, SignedCheckpoint, TileReader, attach_cosignatures, parse_size,
};
use concordat_note::{CosignerKey, SigningKey};
use serde_json::Value;

const ROUNDS: u64 = 12;

struct Witness {
    child: Child,
    key: CosignerKey,
    address: String,
}

fn start(dir: &Path, log: &SigningKey) -> Witness {
    let (dir, log) = (dir.to_string_lossy(), log.verifier().to_string());
    let args = [
        "--json",
        "witness",
        "--dir",
        &dir,
        "--name",
        "w.example/1",
        "--listen",
        "127.0.0.1:0",
        "--log",
        &log,
    ];
    let mut child = concordat(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("its output"));
    lines.read_line(&mut line).expect("a line");
    let said: Value = serde_json::from_str(&line).expect("JSON");
    Witness {
        key: said["key"].as_str().expect("a key").parse().expect("a key"),
        address: said["listen"].as_str().expect("an address").to_owned(),
        child,
    }
}

impl Witness {
    /// Status and body; `None` if it died before it had answered.
    fn ask(&self, request: &AddCheckpoint) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let body = request.to_string();
        let head = format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
        Some((status, answer.split_off(end + 4)))
    }

    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

fn request(log: &Log, old_size: u64, checkpoint: &SignedCheckpoint) -> AddCheckpoint {
    let mut reader = TileReader::new(log.source(), checkpoint.size());
    AddCheckpoint {
        old_size,
        proof: reader.consistency_proof(old_size).expect("a proof"),
        checkpoint: checkpoint.to_string(),
    }
}

#[test]
fn a_witness_that_is_killed_remembers_what_it_cosigned() {
    let root = tempfile::tempdir().expect("a folder");
    let key = SigningKey::from_seed("police.example/aa/ledger", &[7; 32]).expect("a key");
    let files = Folder::create(&root.path().join("log")).expect("a folder");
    let mut log = Log::open(files, key.verifier()).expect("a log");
    let dir = root.path().join("witness");
    let (mut cosigned, mut answered, mut first) = (0, 0, None);
    for round in 1..=ROUNDS {
        let batch = log
            .prepare_raw([format!("entry {round}").into_bytes()])
            .expect("a batch");
        log.write(&batch).expect("written");
        let checkpoint = batch.sign(&key).expect("signed");
        log.publish(batch, checkpoint.clone()).expect("published");

        let witness = start(&dir, &key);
        assert_eq!(
            first.get_or_insert_with(|| witness.key.clone()),
            &witness.key,
            "one key for ever"
        );
        // Whatever it says now, it has not forgotten what it gave away.
        let (status, body) = witness
            .ask(&request(&log, 0, &checkpoint))
            .unwrap_or_else(|| panic!("no answer"));
        let latest = match status {
            200 => 0,
            409 => parse_size(&body).expect("a size"),
            other => panic!("{other}"),
        };
        assert!(latest >= cosigned, "round {round}: {latest} after {cosigned}");
        if status == 200 {
            assert_eq!(cosigned, 0, "it began anew");
            (cosigned, answered) = (checkpoint.size(), answered + 1);
            witness.kill();
            continue;
        }
        let asked = request(&log, latest, &checkpoint);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| witness.ask(&asked));
            std::thread::sleep(Duration::from_micros(round * 400));
            // By its id: the other thread still talks to it.
            let id = witness.child.id().to_string();
            let killed = std::process::Command::new("kill").args(["-9", &id]).status();
            assert!(killed.expect("kill").success());
            if let Some((200, body)) = asking.join().expect("ended") {
                let mut checkpoint = checkpoint.clone();
                if attach_cosignatures(&mut checkpoint, std::slice::from_ref(&witness.key), &body) == Some(1)
                {
                    (cosigned, answered) = (checkpoint.size(), answered + 1);
                }
            }
        });
        witness.kill();
    }
    assert!(answered > 0, "it was never fast enough to answer");

    // Another history of the same size is refused, and proven.
    let witness = start(&dir, &key);
    let size = witness
        .ask(&request(&log, 0, log.latest().expect("a checkpoint")))
        .expect("an answer");
    let size = parse_size(&size.1).expect("a size");
    let other = SignedCheckpoint::sign(size, concordat_ledger::Hash([9; 32]), &key).expect("signed");
    let forged = AddCheckpoint {
        old_size: size,
        proof: vec![],
        checkpoint: other.to_string(),
    };
    assert_eq!(witness.ask(&forged).expect("an answer").0, 409);
    witness.kill();
    let found = std::fs::read_dir(&dir).expect("a folder").filter_map(Result::ok);
    let proofs = found.filter(|entry| entry.path().join("misbehaviour").exists());
    assert_eq!(proofs.count(), 1);
}
