//! The real file system: a process that is killed in the middle of a write, and a disk that is full.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::path::Path;
use std::process::{Command, ExitStatus};

use common::*;
use concordat_ledger::*;

const DIR: &str = "CONCORDAT_LEDGER_DISK_TEST_DIR";

/// Not a test by itself: what the child processes run.
#[test]
#[ignore = "run by the other tests, in a child process"]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let work = || -> Result<(), LogError> {
        let folder = Folder::create(Path::new(&dir)).map_err(LogError::Io)?;
        let mut log = Log::open(folder, key().verifier())?;
        for size in [40, 256, 600] {
            let leaves = leaves(log.size()..size.max(log.size()));
            if !leaves.is_empty() {
                log.append(&leaves, &key())?;
            }
        }
        Ok(())
    };
    if let Err(error) = work() {
        assert!(matches!(error, LogError::Io(_)), "{error}");
        std::process::exit(3);
    }
}

fn run_child(dir: &Path, setup: &str) -> ExitStatus {
    Command::new("sh")
        .args(["-c", &format!("{setup}; exec \"$0\" child --exact --ignored")])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
}

fn break_at_every_size(setup: impl Fn(u32) -> String, broken: impl Fn(ExitStatus) -> bool) {
    let mut outcomes = Vec::new();
    for blocks in [0, 1, 3, 8, 15, 16, 17, 30, 60, 100, 130, 160, 200, 100_000] {
        let dir = tempfile::tempdir().unwrap();
        let status = run_child(dir.path(), &setup(blocks));
        let source = Folder::read_only(dir.path());
        let published = source.read(CHECKPOINT_PATH).unwrap();
        let size = published.map_or(0, |bytes| {
            SignedCheckpoint::open(&bytes, &key().verifier()).unwrap().size()
        });
        assert_eq!(
            status.success(),
            size == 600,
            "{blocks} blocks: {status}, {size} entries"
        );
        assert!(status.success() || broken(status), "{blocks} blocks: {status}");
        if size > 0 {
            let report = verify(&source, &keys(), &[], &now());
            assert_eq!(report.verdict(), Verdict::Holds, "{report}");
        }
        outcomes.push(size);
        // And again without limit, from whatever state that was.
        assert!(run_child(dir.path(), "true").success());
        let report = verify(&source, &keys(), &[], &now());
        assert_eq!(
            (report.verdict(), report.entries),
            (Verdict::Holds, 600),
            "{report}"
        );
    }
    outcomes.dedup();
    assert!(
        outcomes.len() >= 3 && outcomes.is_sorted(),
        "it broke at several stages: {outcomes:?}"
    );
}

#[test]
fn killed_in_the_middle_of_a_write() {
    break_at_every_size(
        |blocks| format!("ulimit -f {blocks}"),
        |status| status.code().is_none(),
    );
}

#[test]
fn the_disk_is_full() {
    break_at_every_size(
        |blocks| format!("trap '' XFSZ; ulimit -f {blocks}"),
        |status| status.code() == Some(3),
    );
}

#[test]
fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = Folder::create(dir.path()).unwrap();
    assert!(Folder::create(dir.path()).is_err());
    drop(first);
    Folder::create(dir.path()).unwrap();
}

#[test]
fn nothing_outside_of_the_folder_is_read_or_written() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("log");
    let folder = Folder::create(&inner).unwrap();
    std::fs::write(dir.path().join("secret"), "x").unwrap();
    for path in [
        "../secret",
        "tile/0/../../../secret",
        "/etc/hostname",
        ".lock",
        "checkpoint.tmp",
        "",
    ] {
        assert_eq!(folder.read(path).unwrap(), None, "{path}");
        assert!(folder.put(&[(path.to_owned(), Vec::new())]).is_err(), "{path}");
    }
}

/// A folder that somebody else packed: what never ends and what nobody writes to is not waited for.
#[test]
fn what_is_no_file_of_a_log_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::read_only(dir.path());
    let place = dir.path().join(CHECKPOINT_PATH);
    let refused = |kind: &str| {
        let error = folder.read(CHECKPOINT_PATH).unwrap_err();
        assert!(!error.to_string().is_empty(), "{kind}");
        error.to_string()
    };

    std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
    assert!(refused("a device").contains("not a file"));
    std::fs::remove_file(&place).unwrap();

    assert!(Command::new("mkfifo").arg(&place).status().unwrap().success());
    assert!(refused("a pipe").contains("not a file"));
    std::fs::remove_file(&place).unwrap();

    std::fs::create_dir(&place).unwrap();
    refused("a folder");
    std::fs::remove_dir(&place).unwrap();

    // A terabyte of holes takes no room on the disk.
    let sparse = std::fs::File::create(&place).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(refused("a sparse file").contains("no file of a log has"));
    sparse.set_len(MAX_FILE_BYTES as u64).unwrap();
    let read = folder.read(CHECKPOINT_PATH).unwrap().unwrap();
    assert_eq!(read.len(), MAX_FILE_BYTES);
    drop(sparse);
    std::fs::remove_file(&place).unwrap();
    assert_eq!(folder.read(CHECKPOINT_PATH).unwrap(), None);
}
