//! Fetching segments in pieces, interrupted at any point, from an honest or a hostile peer.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::fs;

use common::{installed, names, sign, small};
use concordat_tagset::{
    Damage, Error, SegmentRef, SegmentWriter, Snapshot, collect_garbage, discard_segment, missing_segments,
};

/// A snapshot, its first segment and that segment's bytes.
fn served() -> (tempfile::TempDir, Snapshot, SegmentRef, Vec<u8>) {
    let (dir, snapshot) = installed(200, small());
    let segment = *snapshot.manifest().segments().next().unwrap();
    let bytes = fs::read(dir.path().join(segment.file_name())).unwrap();
    (dir, snapshot, segment, bytes)
}

#[test]
fn a_download_resumes_wherever_it_was_interrupted() {
    let (_served, snapshot, segment, bytes) = served();
    let dir = tempfile::tempdir().unwrap();
    let stops = [
        0,
        1,
        8,
        31,
        32,
        33,
        47,
        48,
        49,
        512,
        bytes.len() - 16,
        bytes.len() - 1,
        bytes.len(),
    ];
    for stop in stops {
        let mut writer = SegmentWriter::open(dir.path(), &segment).unwrap();
        writer.append(0, &bytes[..stop]).unwrap();
        drop(writer);
        assert!(
            missing_segments(dir.path(), snapshot.manifest())
                .unwrap()
                .contains(&segment),
            "not visible yet"
        );

        let mut writer = SegmentWriter::open(dir.path(), &segment).unwrap();
        assert_eq!(writer.offset(), stop as u64);
        assert_eq!(writer.remaining(), (bytes.len() - stop) as u64);
        writer.append(stop as u64, &bytes[stop..]).unwrap();
        writer.finish().unwrap();
        assert_eq!(names(dir.path()), [segment.file_name()]);
        assert_eq!(fs::read(dir.path().join(segment.file_name())).unwrap(), bytes);
        discard_segment(dir.path(), &segment.digest).unwrap();
        discard_segment(dir.path(), &segment.digest).unwrap();
    }
}

#[test]
fn an_incomplete_download_is_kept_for_later() {
    let (_served, _, segment, bytes) = served();
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SegmentWriter::open(dir.path(), &segment).unwrap();
    writer.append(0, &bytes[..100]).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(
        matches!(error, Error::Incomplete { expected, found: 100, .. } if expected == bytes.len() as u64)
    );
    assert_eq!(SegmentWriter::open(dir.path(), &segment).unwrap().offset(), 100);
}

#[test]
fn only_the_next_bytes_and_no_more_than_announced_are_taken() {
    let (_served, _, segment, bytes) = served();
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SegmentWriter::open(dir.path(), &segment).unwrap();
    writer.append(0, &bytes[..64]).unwrap();
    for offset in [0, 63, 65, u64::MAX] {
        let error = writer.append(offset, b"x").unwrap_err();
        assert!(matches!(error, Error::WrongOffset { expected: 64, found, .. } if found == offset));
    }
    let too_much = vec![0; bytes.len() - 63];
    assert!(
        matches!(writer.append(64, &too_much), Err(Error::TooLong { limit, .. }) if limit == bytes.len() as u64)
    );
    assert_eq!(writer.offset(), 64, "nothing of it was written");
    writer.append(64, &bytes[64..]).unwrap();
    writer.finish().unwrap();
}

#[test]
fn wrong_bytes_are_refused_and_do_not_block_the_next_try() {
    let (_served, _, segment, bytes) = served();
    let dir = tempfile::tempdir().unwrap();
    for position in [0, 9, 10, 16, 24, 32, 700, bytes.len() - 1] {
        let mut wrong = bytes.clone();
        wrong[position] ^= 1;
        let mut writer = SegmentWriter::open(dir.path(), &segment).unwrap();
        assert_eq!(writer.offset(), 0);
        writer.append(0, &wrong).unwrap();
        let error = writer.finish().unwrap_err();
        assert!(
            matches!(
                &error,
                Error::Damaged {
                    damage: Damage::Digest(_),
                    ..
                }
            ),
            "byte {position}: {error}"
        );
        assert!(names(dir.path()).is_empty());
    }
    // Another segment of the same snapshot is no better.
    let (_other, other_snapshot, ..) = served();
    let second = *other_snapshot.manifest().segments().nth(1).unwrap();
    let second_bytes = other_snapshot
        .read_segment(&second.digest, 0, bytes.len())
        .unwrap();
    let mut writer = SegmentWriter::open(dir.path(), &segment).unwrap();
    writer.append(0, &second_bytes).unwrap();
    assert!(writer.finish().is_err());
}

#[test]
fn a_partial_file_longer_than_announced_is_started_again() {
    let (_served, _, segment, bytes) = served();
    let dir = tempfile::tempdir().unwrap();
    let part = dir.path().join(segment.file_name().replace(".seg", ".part"));
    fs::write(&part, vec![0; bytes.len() + 1]).unwrap();
    let writer = SegmentWriter::open(dir.path(), &segment).unwrap();
    assert_eq!(writer.offset(), 0);
    assert_eq!(fs::metadata(part).unwrap().len(), 0);
}

#[test]
fn one_segment_is_not_downloaded_twice_at_a_time() {
    let (_served, _, segment, bytes) = served();
    let dir = tempfile::tempdir().unwrap();
    let mut first = SegmentWriter::open(dir.path(), &segment).unwrap();
    first.append(0, &bytes[..50]).unwrap();
    assert!(matches!(
        SegmentWriter::open(dir.path(), &segment),
        Err(Error::Busy { .. })
    ));
    drop(first);
    assert_eq!(SegmentWriter::open(dir.path(), &segment).unwrap().offset(), 50);
}

#[test]
fn a_file_of_the_wrong_size_counts_as_missing_and_is_replaced() {
    let (_served, snapshot, segment, bytes) = served();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(segment.file_name()), &bytes[..bytes.len() - 1]).unwrap();
    assert!(
        missing_segments(dir.path(), snapshot.manifest())
            .unwrap()
            .contains(&segment)
    );
    let mut writer = SegmentWriter::open(dir.path(), &segment).unwrap();
    writer.append(0, &bytes).unwrap();
    writer.finish().unwrap();
    assert!(
        !missing_segments(dir.path(), snapshot.manifest())
            .unwrap()
            .contains(&segment)
    );
}

#[test]
fn only_segments_of_the_snapshot_are_served_and_only_within_bounds() {
    let (served_dir, snapshot, segment, bytes) = served();
    let length = bytes.len() as u64;
    assert_eq!(
        snapshot.read_segment(&segment.digest, 0, usize::MAX).unwrap(),
        bytes
    );
    assert_eq!(
        snapshot.read_segment(&segment.digest, 40, 8).unwrap(),
        bytes[40..48]
    );
    assert_eq!(
        snapshot.read_segment(&segment.digest, length - 1, 8).unwrap(),
        bytes[bytes.len() - 1..]
    );
    assert!(
        snapshot
            .read_segment(&segment.digest, length, 8)
            .unwrap()
            .is_empty()
    );
    for offset in [length + 1, u64::MAX] {
        assert!(matches!(
            snapshot.read_segment(&segment.digest, offset, 8),
            Err(Error::NoSuchRange)
        ));
    }
    // A file that lies in the directory without being part of the snapshot is not given out.
    let stray = b"stray";
    let digest = concordat_tagset::Digest::of(stray);
    fs::write(served_dir.path().join(format!("{digest}.seg")), stray).unwrap();
    assert!(matches!(
        snapshot.read_segment(&digest, 0, 8),
        Err(Error::NoSuchRange)
    ));
}

#[test]
fn garbage_is_what_no_manifest_names() {
    let (dir, snapshot) = installed(200, small());
    let path = dir.path();
    let before = names(path);
    let stray = format!("{}.seg", "0".repeat(64));
    let unrelated_part = format!("{}.part", "0".repeat(64));
    for name in [&stray, &unrelated_part, &".tmpabc.tmp".to_owned()] {
        fs::write(path.join(name), b"12345").unwrap();
    }
    fs::write(path.join("notes.txt"), b"not ours").unwrap();
    let garbage = collect_garbage(path, [snapshot.manifest()]).unwrap();
    assert_eq!((garbage.files, garbage.bytes), (3, 15));
    let mut expected = before.clone();
    expected.push("notes.txt".to_owned());
    expected.sort();
    assert_eq!(names(path), expected);

    // A download under way for a manifest that is kept stays.
    let requester = tempfile::tempdir().unwrap();
    let segment = *snapshot.manifest().segments().next().unwrap();
    SegmentWriter::open(requester.path(), &segment)
        .unwrap()
        .append(0, &[1, 2, 3])
        .unwrap();
    assert_eq!(
        collect_garbage(requester.path(), [snapshot.manifest()])
            .unwrap()
            .files,
        0
    );
    assert_eq!(collect_garbage(requester.path(), []).unwrap().files, 1);

    // An open snapshot outlives its files.
    collect_garbage(path, []).unwrap();
    assert_eq!(names(path), ["manifest.note", "notes.txt"]);
    assert!(snapshot.contains(&common::tag(0)).unwrap());
    assert!(matches!(
        Snapshot::install(path, sign(snapshot.manifest().clone()), None),
        Err(Error::Missing { .. })
    ));
}
