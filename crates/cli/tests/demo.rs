//! The demo for real: two processes, mTLS, everything.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use common::{Ran, concordat};

#[test]
fn the_demo_finds_exactly_what_is_on_both_lists() {
    let folder = tempfile::tempdir().expect("a folder");
    let pairs = folder.path().join("pairs.csv");
    let output = concordat([
        "demo",
        "--records",
        "200",
        "--overlap",
        "60",
        "--seed",
        "7",
        "--json",
        "--tamper",
        "--pairs",
    ])
    .arg(&pairs)
    .env("TMPDIR", folder.path())
    .output();
    let ran = Ran::from(output.expect("the demo runs")).exits(0);
    let objects = ran.json();
    let [object] = objects.as_slice() else {
        panic!("one object on stdout, not {}", ran.stdout)
    };
    assert_eq!(
        object["records"],
        serde_json::json!({ "left": 200, "right": 200 })
    );
    assert!(object["identifiers"]["left"].as_u64() > Some(200));
    assert_eq!(
        (object["missed"].as_u64(), object["false_hits"].as_u64()),
        (Some(0), Some(0))
    );
    assert_eq!(object["flight"]["passengers"], 300);
    assert!(
        object["flight"]["hits"].as_u64() > Some(0),
        "somebody on the flight is listed"
    );
    assert_eq!(
        (
            object["flight"]["missed"].as_u64(),
            object["flight"]["false_hits"].as_u64()
        ),
        (Some(0), Some(0))
    );
    for field in ["elements", "bytes_up", "bytes_down"] {
        assert!(object[field].as_u64() > Some(1_000), "{field}: {}", object[field]);
    }
    for phase in [
        "lists",
        "start",
        "import",
        "agree",
        "publish",
        "fetch",
        "flight",
        "intersect",
        "resolve",
        "audit",
        "total",
    ] {
        assert!(object["seconds"][phase].is_f64(), "{phase}");
    }
    assert!(object["flight_ms"].is_f64());

    let ledger = &object["ledger"];
    assert_eq!(
        (&ledger["verified"], &ledger["unmatched"]),
        (&true.into(), &0.into()),
        "{ledger}"
    );
    assert!(ledger["entries"].as_u64() > Some(40), "{ledger}");
    assert!(
        ledger["reconciled"].as_u64() >= Some(3),
        "a flight and two kinds: {ledger}"
    );
    let found: Vec<&str> = ledger["tampered"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tampered| tampered["found"].as_str().expect("noticed"))
        .collect();
    assert_eq!(found.len(), 5);
    for (sentence, word) in found
        .iter()
        .zip(["altered", "dropped", "reordered", "truncated", "swapped"])
    {
        assert!(sentence.contains(word), "{sentence}");
    }

    let csv = std::fs::read_to_string(&pairs).expect("the pairs");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("left_id,right_id,kind,grade"));
    let rows: Vec<&str> = lines.collect();
    assert_eq!(Some(rows.len() as u64), object["hits"].as_u64());
    let people: std::collections::BTreeSet<_> = rows.iter().filter_map(|row| row.split(',').next()).collect();
    assert_eq!(
        people.len(),
        60,
        "each of the people on both lists, in at least one way"
    );
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("readable")
        .flatten()
        .map(|file| file.file_name())
        .collect();
    assert_eq!(left, ["pairs.csv"], "the demo leaves nothing behind");
}

#[test]
fn a_stopped_demo_leaves_no_process_and_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = concordat(["demo", "--records", "20000"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    let children = || -> Vec<u32> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", demo.id()))
            .into_iter()
            .flatten()
            .flatten();
        threads
            .map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default())
            .flat_map(|pids| pids.split_whitespace().flat_map(str::parse).collect::<Vec<u32>>())
            .collect()
    };
    let mut nodes = children();
    for _ in 0..1_200 {
        if nodes.len() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        nodes = children();
    }
    assert_eq!(nodes.len(), 2, "two nodes run");
    for made in std::fs::read_dir(folder.path()).expect("readable").flatten() {
        let mode = made.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "lists lie in it");
    }
    let killed = std::process::Command::new("kill")
        .arg("-TERM")
        .arg(demo.id().to_string())
        .status();
    assert!(killed.expect("kill runs").success());
    assert_eq!(
        demo.wait().expect("it ends").code(),
        Some(1),
        "an interrupted demo is no success"
    );
    let alive = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A process that has ended but was not yet buried by init runs no more.
        !stat.is_empty() && !stat.contains(") Z ")
    };
    for _ in 0..200 {
        if !nodes.iter().any(alive) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!nodes.iter().any(alive), "both nodes are gone");
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("readable").count(),
        0,
        "the folder is gone"
    );
}

/// Stops the kept nodes, however the test ends.
struct Stop(String);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = std::process::Command::new("sh").arg("-c").arg(&self.0).status();
    }
}

#[test]
fn what_a_kept_demo_prints_can_be_pasted() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = concordat(["demo", "--records", "100", "--overlap", "60", "--keep"])
        .env("TMPDIR", folder.path())
        .output();
    let ran = Ran::from(output.expect("the demo runs")).exits(0);
    let text = ran.stdout.replace("\\\n", "");
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    let commands: Vec<&str> = lines
        .filter(|line| line.starts_with("kill ") || line.starts_with(env!("CARGO_BIN_EXE_concordat")))
        .collect();
    let (stop, commands) = commands.split_last().expect("how to stop it");
    let _stop = Stop((*stop).to_owned());
    for name in ["Northland Police", "Southland Border Guard"] {
        let (_, side) = ran
            .stdout
            .rsplit_once(&format!("  {name}\n"))
            .expect("whose it is");
        let links: Vec<&str> = side.lines().take(3).map(str::trim).collect();
        assert!(
            links[0].starts_with("set-up ") && links[0].contains("/setup/"),
            "{links:?}"
        );
        assert!(
            links[1].starts_with("sign-in ") && links[1].ends_with("/sign-in"),
            "{links:?}"
        );
        assert!(links[2].ends_with("/tls/ca.crt"), "{links:?}");
    }
    assert!(
        ran.stdout.contains("holds for an hour, until 20"),
        "{}",
        ran.stdout
    );
    let told = commands.join("\n");
    for what in [
        "match",
        "case list",
        "audit list",
        "audit report",
        "audit verify",
        "node",
    ] {
        assert!(told.contains(&format!("concordat {what} ")), "{what}: {told}");
    }
    for command in commands.iter().filter(|command| !command.contains(" node ")) {
        let output = std::process::Command::new("sh").arg("-c").arg(command).output();
        let ran = Ran::from(output.expect("sh runs"));
        // HIT; a verified ledger that too few witnesses have cosigned.
        assert!(matches!(ran.code, Some(0 | 3 | 4)), "{command}\n{ran:?}");
    }
}
