//! The process dies, or the disk is full, at any point of building and installing: no half-written segment is ever visible, the last
//! good snapshot opens, and the work can be done again.
//!
//! The kernel does the breaking: a child process runs under `ulimit -f`. A write beyond that many blocks kills it (`SIGXFSZ`, as abrupt
//! as `kill -9`), or, with that signal ignored, fails like a full disk.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use common::{build, canary_tags, manifest, names, owner, scope, sign, tag};
use concordat_tagset::{
    DeltaBuilder, Digest, Error, Options, Padding, Snapshot, SnapshotBuilder, check_segment, collect_garbage,
};

const DIR: &str = "CONCORDAT_TAGSET_CRASH_TEST_DIR";

/// Segments of about 64 KiB, runs of 16 KiB.
fn options() -> Options {
    Options {
        memory_bytes: 0,
        segment_tags: 4096,
        minimum_size_class: 1024,
        padding_reserve: 64,
        minimum_churn_class: 512,
    }
}

/// Opens what is in the directory, adds a delta, then replaces the base by a larger one. A base's padding and canaries have one seed here.
fn work(dir: &Path) -> Result<(), Error> {
    let first = Snapshot::open(dir, &owner(), &scope(), None)?.unwrap();
    let version = first.manifest().version;
    let seed = first.manifest().base.canaries()[0].seed;
    // More than was ever drawn.
    let mut padding = Padding::resume(seed, 20_000 * version);
    let mut builder = DeltaBuilder::new(&first, options())?;
    builder.add(&tag(1_000_000 + version))?;
    let seed = [version as u8; 32];
    builder.add_canary(&canary_tags(seed, 1)[0]);
    let (delta, _) = builder.finish(seed, &mut padding)?;
    let mut next = first.manifest().clone();
    next.version += 1;
    next.deltas.push(delta);
    let second = first.advance(sign(next))?;

    let seed = [version as u8 + 1; 32];
    let mut builder = SnapshotBuilder::new(dir, options())?;
    (0..9000).try_for_each(|n| builder.push(&tag(n)))?;
    canary_tags(seed, 2)
        .iter()
        .try_for_each(|canary| builder.push_canary(canary))?;
    let (base, _) = builder.finish(seed, &mut Padding::new(seed))?;
    second.advance(sign(manifest(version + 2, base, vec![])))?;
    Ok(())
}

/// Not a test by itself: what the child processes run.
#[test]
#[ignore = "run by the other tests, in a child process"]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    if let Err(error) = work(Path::new(&dir)) {
        assert!(matches!(error, Error::Io { .. }), "{error}");
        std::process::exit(3);
    }
}

fn run_child(dir: &Path, shell_setup: &str) -> ExitStatus {
    Command::new("sh")
        .args([
            "-c",
            &format!("{shell_setup}; exec \"$0\" child --exact --ignored"),
        ])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
}

/// Everything that can be seen under a segment's name is a whole segment of that name; the snapshot opens and answers.
fn check_dir(dir: &Path) -> u64 {
    for name in names(dir).iter().filter(|name| name.ends_with(".seg")) {
        let bytes = fs::read(dir.join(name)).unwrap();
        let check = check_segment(&bytes[..], bytes.len() as u64).unwrap();
        assert_eq!(check.fault, None, "{name}");
        assert_eq!(format!("{}.seg", Digest::of(&bytes)), *name);
    }
    let snapshot = Snapshot::open(dir, &owner(), &scope(), None).unwrap().unwrap();
    assert!(snapshot.contains(&tag(0)).unwrap() && snapshot.contains(&tag(99)).unwrap());
    assert!(!snapshot.contains(&tag(2_000_000)).unwrap());
    collect_garbage(dir, [snapshot.manifest()]).unwrap();
    let expected = snapshot.manifest().segments().count() + 1;
    assert_eq!(
        names(dir).len(),
        expected,
        "only the snapshot is left after collecting garbage"
    );
    snapshot.manifest().version
}

/// Limits in blocks of 512 bytes, or of 1 KiB in some shells: from nothing at all to beyond the largest file.
fn break_at_every_size(setup: impl Fn(u32) -> String, broken: impl Fn(ExitStatus) -> bool) {
    let mut outcomes = Vec::new();
    for blocks in [0, 1, 2, 4, 9, 17, 31, 32, 33, 48, 64, 90, 120, 128, 140, 100_000] {
        let dir = tempfile::tempdir().unwrap();
        let tags: Vec<_> = (0..100).map(tag).collect();
        let base = build(dir.path(), &tags, options(), [0; 32], &mut Padding::new([0; 32]));
        Snapshot::install(dir.path(), sign(manifest(1, base, vec![])), None).unwrap();

        let status = run_child(dir.path(), &setup(blocks));
        let version = check_dir(dir.path());
        assert_eq!(
            status.success(),
            version == 3,
            "{blocks} blocks: {status}, version {version}"
        );
        assert!(status.success() || broken(status), "{blocks} blocks: {status}");
        outcomes.push(version);
        // And again without limit, from whatever state that was.
        assert!(run_child(dir.path(), "true").success());
        assert_eq!(check_dir(dir.path()), version + 2);
    }
    outcomes.dedup();
    assert_eq!(
        outcomes,
        [1, 2, 3],
        "it broke before, between and after the two installations"
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

/// The steps between which a process can die without any write being cut: each leaves garbage at most.
#[test]
fn abandoned_between_two_steps() {
    let dir = tempfile::tempdir().unwrap();
    let tags: Vec<_> = (0..100).map(tag).collect();
    let base = build(dir.path(), &tags, options(), [0; 32], &mut Padding::new([9; 32]));
    let first = Snapshot::install(dir.path(), sign(manifest(1, base, vec![])), None).unwrap();

    // Pushed and not finished.
    let mut builder = SnapshotBuilder::new(dir.path(), options()).unwrap();
    (0..5000).for_each(|n| builder.push(&tag(n)).unwrap());
    drop(builder);
    assert_eq!(check_dir(dir.path()), 1);

    // Written and not signed.
    build(
        dir.path(),
        &tags[..50],
        options(),
        [2; 32],
        &mut Padding::new([2; 32]),
    );
    assert_eq!(check_dir(dir.path()), 1);

    // Signed and not installed.
    let base = build(
        dir.path(),
        &tags[..60],
        options(),
        [3; 32],
        &mut Padding::new([3; 32]),
    );
    let signed = sign(manifest(2, base, vec![]));
    assert_eq!(check_dir(dir.path()), 1);
    let error = first.advance(signed).unwrap_err();
    assert!(
        matches!(error, Error::Missing { .. }),
        "the garbage collector took them: {error}"
    );

    // Merged and not signed.
    first.merge(0).unwrap();
    assert_eq!(check_dir(dir.path()), 1);
}
