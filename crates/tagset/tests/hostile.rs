//! A hostile owner, a bad disk, an attacker on the way: everything is refused by name, and the last good snapshot stays.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::fs;
use std::path::Path;

use common::{build, copy_dir, installed, manifest, owner, owner_key, scope, sign, small, tag};
use concordat_note::Note;
use concordat_tagset::{
    Damage, Digest, Error, Fault, Manifest, Options, Padding, SignedManifest, Snapshot, Tag, check_segment,
};
use tempfile::TempDir;

/// A segment file written by an independent hand.
fn raw_segment(role: u8, prefix_bits: u8, prefix: u32, tags: &[Tag]) -> Vec<u8> {
    let mut bytes = b"CNCDTAGS\0\x01".to_vec();
    bytes.extend([role, prefix_bits]);
    bytes.extend(prefix.to_be_bytes());
    bytes.extend((tags.len() as u64).to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(tags.concat());
    bytes
}

fn sorted(tags: impl IntoIterator<Item = Tag>) -> Vec<Tag> {
    let mut tags: Vec<_> = tags.into_iter().collect();
    tags.sort();
    tags
}

/// Writes the segments and a manifest that names them, signed by the owner: what only a hostile (or broken) owner can make.
/// Each segment comes with the count that the manifest gives.
fn forge(
    dir: &Path,
    version: u64,
    base_bits: u8,
    base: &[(Vec<u8>, usize)],
    deltas: &[(Vec<u8>, Vec<u8>, usize)],
) -> SignedManifest {
    let put = |bytes: &Vec<u8>| {
        let digest = Digest::of(bytes);
        fs::write(dir.join(format!("{digest}.seg")), bytes).unwrap();
        digest
    };
    let (_dir, template) = installed(1, small());
    let text = template.manifest().to_text().unwrap();
    let head: String = text.lines().take(8).map(|line| format!("{line}\n")).collect();
    let size: usize = base.iter().map(|(_, count)| count).sum();
    let canaries = format!("canaries 1 {}\n", "0".repeat(64));
    let mut text = format!(
        "{head}version {version}\nas-of {}\nmax-age 60\nsize-class {size}\nbase {base_bits}\n{canaries}",
        common::AS_OF
    );
    for (bytes, count) in base {
        text += &format!("segment {} {count}\n", put(bytes));
    }
    for (adds, removes, count) in deltas {
        text += &format!(
            "delta 0 {count}\n{canaries}adds {} {count}\nremoves {} {count}\n",
            put(adds),
            put(removes)
        );
    }
    let note = Note::sign(&text, &[&owner_key()]).unwrap().to_string();
    SignedManifest::verify(note.as_bytes(), &owner(), &scope()).unwrap()
}

/// Tries to install `forged` over a good version 1, which must survive. Returns the error.
fn refused(make: impl FnOnce(&Path) -> SignedManifest) -> Error {
    let (dir, good) = installed(50, small());
    let forged = make(dir.path());
    let error = Snapshot::install(dir.path(), forged, None).unwrap_err();
    let still = Snapshot::open(
        dir.path(),
        &owner(),
        &scope(),
        Some(good.signed_manifest().seen()),
    )
    .unwrap()
    .unwrap();
    assert_eq!(still.signed_manifest(), good.signed_manifest());
    assert!(still.contains(&tag(0)).unwrap());
    error
}

fn fault(error: &Error) -> Fault {
    match error {
        Error::Malformed { fault, .. } => *fault,
        other => panic!("{other}"),
    }
}

#[test]
fn what_an_honest_hand_writes_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (low, high): (Vec<Tag>, Vec<Tag>) = sorted((0..100).map(tag)).into_iter().partition(|t| t[0] < 0x80);
    let base = [
        (raw_segment(1, 1, 0, &low), low.len()),
        (raw_segment(1, 1, 1, &high), high.len()),
    ];
    let delta = (
        raw_segment(2, 0, 0, &[tag(500)]),
        raw_segment(3, 0, 0, &[tag(5)]),
        1,
    );
    let snapshot = Snapshot::install(dir.path(), forge(dir.path(), 1, 1, &base, &[delta]), None).unwrap();
    for n in 0..100 {
        assert_eq!(snapshot.contains(&tag(n)).unwrap(), n != 5);
    }
    assert!(snapshot.contains(&tag(500)).unwrap());
    assert!(!snapshot.contains(&tag(501)).unwrap());
}

#[test]
fn unsorted_and_duplicate_tags_are_refused() {
    let tags = sorted((0..600).map(tag));
    // Within a page, at a page's border, at the end. Page 0 holds 254 tags.
    for at in [1, 100, 253, 254, 255, 510, 599] {
        let mut swapped = tags.clone();
        swapped.swap(at - 1, at);
        let offset = 32 + 16 * at as u64;
        let error = refused(|dir| forge(dir, 2, 0, &[(raw_segment(1, 0, 0, &swapped), 600)], &[]));
        assert_eq!(fault(&error), Fault::Unsorted { offset });
        let mut doubled = tags.clone();
        doubled[at] = doubled[at - 1];
        let error = refused(|dir| forge(dir, 2, 0, &[(raw_segment(1, 0, 0, &doubled), 600)], &[]));
        assert_eq!(fault(&error), Fault::Duplicate { offset });
    }
}

#[test]
fn wrong_headers_and_counts_are_refused() {
    let tags = sorted((0..10).map(tag));
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = raw_segment(1, 0, 0, &tags);
        change(&mut bytes);
        fault(&refused(|dir| forge(dir, 2, 0, &[(bytes, 10)], &[])))
    };
    assert_eq!(with(|b| b[0] = b'X'), Fault::Magic);
    assert_eq!(with(|b| b[9] = 2), Fault::Magic);
    assert_eq!(with(|b| b[10] = 0), Fault::Header);
    assert_eq!(with(|b| b[10] = 2), Fault::Header);
    assert_eq!(
        with(|b| b[11] = 1),
        Fault::OutOfRange {
            offset: 32 + 16 * tags_below_half()
        }
    );
    assert_eq!(with(|b| b[15] = 1), Fault::Header);
    assert_eq!(
        with(|b| b[23] = 11),
        Fault::Count {
            stated: 11,
            expected: 10
        }
    );
    assert_eq!(
        with(|b| b[23] = 9),
        Fault::Count {
            stated: 9,
            expected: 10
        }
    );
    assert_eq!(with(|b| b[16] = 0xff), Fault::Header);
    assert_eq!(with(|b| b[31] = 1), Fault::Header);

    // The manifest counts otherwise: the file has not the size that was announced.
    for count in [9, 11] {
        let error = refused(|dir| forge(dir, 2, 0, &[(raw_segment(1, 0, 0, &tags), count)], &[]));
        assert!(
            matches!(
                error,
                Error::Damaged {
                    damage: Damage::Length { found: 192, .. },
                    ..
                }
            ),
            "{error}"
        );
    }
}

fn tags_below_half() -> u64 {
    (0..10).map(tag).filter(|t| t[0] < 0x80).count() as u64
}

#[test]
fn segments_in_the_wrong_place_are_refused() {
    let (low, high): (Vec<Tag>, Vec<Tag>) = sorted((0..100).map(tag)).into_iter().partition(|t| t[0] < 0x80);
    let parts = || {
        (
            (raw_segment(1, 1, 0, &low), low.len()),
            (raw_segment(1, 1, 1, &high), high.len()),
        )
    };
    let swapped = refused(|dir| forge(dir, 2, 1, &[parts().1, parts().0], &[]));
    assert!(matches!(fault(&swapped), Fault::Header | Fault::Count { .. }));
    let twice = refused(|dir| forge(dir, 2, 1, &[parts().0, parts().0], &[]));
    assert_eq!(fault(&twice), Fault::Header);
    // Headers set right for the wrong tags.
    let lying = refused(|dir| {
        forge(
            dir,
            2,
            1,
            &[(raw_segment(1, 1, 0, &high), high.len()), parts().1],
            &[],
        )
    });
    assert_eq!(fault(&lying), Fault::OutOfRange { offset: 32 });
    // Removals passed off as additions.
    let removes = raw_segment(3, 0, 0, &[tag(1)]);
    let swapped = refused(|dir| {
        forge(
            dir,
            2,
            1,
            &[parts().0, parts().1],
            &[(removes.clone(), removes, 1)],
        )
    });
    assert_eq!(fault(&swapped), Fault::Header);
}

#[test]
fn a_delta_that_contradicts_itself_is_refused() {
    let base = sorted((0..10).map(tag));
    let (adds, removes) = (sorted([tag(20), tag(21)]), sorted([tag(21), tag(22)]));
    let error = refused(|dir| {
        let delta = (raw_segment(2, 0, 0, &adds), raw_segment(3, 0, 0, &removes), 2);
        forge(dir, 2, 0, &[(raw_segment(1, 0, 0, &base), 10)], &[delta])
    });
    assert!(matches!(error, Error::Contradiction { delta: 1 }));
}

#[test]
fn deltas_that_do_not_balance_cannot_be_merged_but_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let base = sorted((0..10).map(tag));
    // Adds what is there, removes what is not.
    let delta = (
        raw_segment(2, 0, 0, &[tag(3)]),
        raw_segment(3, 0, 0, &[tag(4)]),
        1,
    );
    let forged = forge(dir.path(), 1, 0, &[(raw_segment(1, 0, 0, &base), 10)], &[delta]);
    let snapshot = Snapshot::install(dir.path(), forged, None).unwrap();
    assert!(snapshot.contains(&tag(3)).unwrap() && !snapshot.contains(&tag(4)).unwrap());
    assert!(matches!(
        snapshot.merge(1),
        Err(Error::Unbalanced {
            expected: 10,
            found: 9
        })
    ));
    assert!(matches!(
        snapshot.merge(2),
        Err(Error::NotEnoughDeltas { wanted: 2, deltas: 1 })
    ));
    let other = Manifest {
        base: snapshot.merge(0).unwrap(),
        ..snapshot.manifest().clone()
    };
    assert!(snapshot.merge_towards(&other).unwrap());
}

/// Tags that a PRF never gives, but an owner can choose to spoil interpolation.
#[test]
fn clustered_tags_are_found() {
    let at = |n: u128| n.to_be_bytes();
    let shapes: [Vec<Tag>; 5] = [
        (0..5000).map(at).collect(),
        (0..5000).map(|n| at(u128::MAX - n)).collect(),
        (0..2500)
            .map(at)
            .chain((0..2500).map(|n| at(u128::MAX - n)))
            .collect(),
        (0..128)
            .flat_map(|b| (0..40).map(move |n| at((1u128 << b) ^ n)))
            .collect(),
        (0..5000).map(|n| at(u128::MAX / 2 + n * n * n)).collect(),
    ];
    for shape in shapes {
        let dir = tempfile::tempdir().unwrap();
        let mut tags = sorted(shape);
        tags.dedup();
        let count = tags.len();
        let forged = forge(dir.path(), 1, 0, &[(raw_segment(1, 0, 0, &tags), count)], &[]);
        let snapshot = Snapshot::install(dir.path(), forged, None).unwrap();
        let near: Vec<Tag> = tags
            .iter()
            .map(|t| u128::from_be_bytes(*t))
            .flat_map(|t| [t.saturating_sub(1), t, t.saturating_add(1)].map(u128::to_be_bytes))
            .collect();
        let expected: Vec<bool> = near.iter().map(|t| tags.binary_search(t).is_ok()).collect();
        assert_eq!(snapshot.contains_many(&near).unwrap(), expected);
        for (tag, expected) in near.iter().zip(expected).step_by(97) {
            assert_eq!(snapshot.contains(tag).unwrap(), expected);
        }
    }
}

/// Built by our own builder, clustered tags give empty and overfull segments, and still the right answers.
#[test]
fn clustered_tags_can_be_built_and_merged() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        padding_reserve: 0,
        minimum_size_class: 1024,
        ..small()
    };
    let tags: Vec<Tag> = (0..1022u128).map(|n| (n + 7).to_be_bytes()).collect();
    let base = build(dir.path(), &tags, options, [7; 32], &mut Padding::new([9; 32]));
    assert_eq!(base.segments().iter().filter(|s| s.header.count == 0).count(), 13);
    let snapshot = Snapshot::install(dir.path(), sign(manifest(1, base.clone(), vec![])), None).unwrap();
    assert!(snapshot.contains_many(&tags).unwrap().iter().all(|found| *found));
    assert!(!snapshot.contains(&6u128.to_be_bytes()).unwrap());
    assert!(!snapshot.contains(&[0xff; 16]).unwrap());
    assert_eq!(snapshot.merge(0).unwrap(), base);
}

#[test]
fn rollback_and_forks_are_refused_and_the_last_good_one_stays() {
    let (dir, first) = installed(50, small());
    let text = |version, max_age| {
        sign(Manifest {
            version,
            max_age_seconds: max_age,
            ..first.manifest().clone()
        })
    };
    let fifth = Snapshot::install(dir.path(), text(5, 60), None).unwrap();
    let seen = fifth.signed_manifest().seen();
    for seen in [None, Some(seen)] {
        assert!(matches!(
            Snapshot::install(dir.path(), text(4, 60), seen),
            Err(Error::Rollback { seen: 5, offered: 4 })
        ));
        assert!(matches!(
            Snapshot::install(dir.path(), text(5, 61), seen),
            Err(Error::Fork { version: 5 })
        ));
        assert!(matches!(fifth.advance(text(1, 60)), Err(Error::Rollback { .. })));
        let still = Snapshot::open(dir.path(), &owner(), &scope(), seen)
            .unwrap()
            .unwrap();
        assert_eq!(still.manifest(), fifth.manifest());
        assert_eq!(
            Snapshot::install(dir.path(), text(5, 60), seen)
                .unwrap()
                .manifest(),
            fifth.manifest()
        );
    }

    // What the node remembers counts even if the directory is gone or was restored from an older copy.
    let old = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), old.path());
    let sixth = Snapshot::install(dir.path(), text(6, 60), Some(seen))
        .unwrap()
        .signed_manifest()
        .seen();
    assert!(matches!(
        Snapshot::open(old.path(), &owner(), &scope(), Some(sixth)),
        Err(Error::Rollback { seen: 6, offered: 5 })
    ));
    fs::remove_file(old.path().join("manifest.note")).unwrap();
    assert!(
        Snapshot::open(old.path(), &owner(), &scope(), Some(sixth))
            .unwrap()
            .is_none()
    );
    assert!(matches!(
        Snapshot::install(old.path(), text(5, 60), Some(sixth)),
        Err(Error::Rollback { .. })
    ));
}

#[test]
fn a_damaged_manifest_on_disk_is_named() {
    let (dir, good) = installed(50, small());
    let path = dir.path().join("manifest.note");
    let next = || {
        sign(Manifest {
            version: 2,
            ..good.manifest().clone()
        })
    };
    for bytes in [&b""[..], b"concordat/v1/snapshot\n", &[0xff; 600 << 10]] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(
            Snapshot::open(dir.path(), &owner(), &scope(), None),
            Err(Error::Note(_))
        ));
        let error = Snapshot::install(dir.path(), next(), None).unwrap_err();
        assert!(
            matches!(&error, Error::Damaged { file, damage: Damage::Unreadable } if file == "manifest.note")
        );
    }
    fs::remove_file(path).unwrap();
    Snapshot::install(dir.path(), next(), Some(good.signed_manifest().seen())).unwrap();
}

/// Every byte counts: one flipped bit in each region, every length that is shorter, on disk before opening.
#[test]
fn damage_on_disk_is_found_when_opening_and_the_file_is_named() {
    let (dir, snapshot) = installed(
        300,
        Options {
            segment_tags: 1 << 20,
            ..small()
        },
    );
    let segment = *snapshot.manifest().segments().next().unwrap();
    let path = dir.path().join(segment.file_name());
    let good = fs::read(&path).unwrap();
    assert!(good.len() > 4096 + 2048);
    let open = || Snapshot::open(dir.path(), &owner(), &scope(), None);
    let named = |error: &Error| error.to_string().contains(&segment.file_name());

    for position in [
        0,
        8,
        10,
        11,
        12,
        16,
        23,
        24,
        31,
        32,
        47,
        48,
        4095,
        4096,
        4111,
        good.len() - 16,
        good.len() - 1,
    ] {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        let error = open().unwrap_err();
        assert!(
            matches!(
                error,
                Error::Damaged {
                    damage: Damage::Digest(_),
                    ..
                }
            ) && named(&error),
            "byte {position}: {error}"
        );
        let check = check_segment(&bad[..], bad.len() as u64).unwrap();
        assert_ne!(check.digest, segment.digest);
    }
    for length in [
        0,
        1,
        31,
        32,
        33,
        48,
        4095,
        4096,
        4097,
        good.len() - 16,
        good.len() - 1,
    ] {
        fs::write(&path, &good[..length]).unwrap();
        let error = open().unwrap_err();
        let expected = Damage::Length {
            expected: good.len() as u64,
            found: length as u64,
        };
        assert!(
            matches!(error, Error::Damaged { damage, .. } if damage == expected) && named(&error),
            "{error}"
        );
        // As a stream, for tools: never a panic, always a fault, for whole tags the count.
        let check = check_segment(&good[..length], length as u64).unwrap();
        assert!(check.fault.is_some(), "{length} bytes");
        assert!(
            check_segment(&good[..length], good.len() as u64).is_err(),
            "the reader ends early"
        );
    }
    fs::write(&path, [&good[..], &[0; 16]].concat()).unwrap();
    assert!(matches!(
        open(),
        Err(Error::Damaged {
            damage: Damage::Length { .. },
            ..
        })
    ));
    fs::remove_file(&path).unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, Error::Missing { .. }) && named(&error));
    fs::write(&path, &good).unwrap();
    open().unwrap().unwrap();
}

/// What goes wrong after opening is an error in the lookup, never "no".
#[test]
fn damage_while_open_is_found_when_looking_up() {
    let (dir, snapshot) = installed(
        300,
        Options {
            segment_tags: 1 << 20,
            ..small()
        },
    );
    let segment = *snapshot.manifest().segments().next().unwrap();
    let path = dir.path().join(segment.file_name());
    let good = fs::read(&path).unwrap();
    let tags: Vec<Tag> = (0..300).map(tag).collect();

    // The lowest bit of the last byte of a tag: the order of tags is not disturbed by it.
    let victim = tags.iter().max().unwrap();
    let position = good.chunks(16).position(|c| c == victim).unwrap() * 16 + 15;
    let mut bad = good.clone();
    bad[position] ^= 1;
    // In place: the open file is the same one.
    fs::write(&path, &bad).unwrap();
    let error = snapshot.contains(victim).unwrap_err();
    let page = (position / 4096 * 4096) as u64;
    assert!(
        matches!(error, Error::Damaged { damage: Damage::Page { offset }, .. } if offset == page),
        "{error}"
    );
    assert!(snapshot.contains_many(&tags).is_err());
    assert!(snapshot.tags().any(|tag| tag.is_err()));
    assert!(snapshot.merge(0).is_err());

    fs::write(&path, &good[..100]).unwrap();
    let error = snapshot.contains(victim).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Damaged {
                damage: Damage::Length { found: 100, .. },
                ..
            }
        ),
        "{error}"
    );
    assert!(matches!(
        snapshot.read_segment(&segment.digest, 64, 100),
        Err(Error::Damaged { .. })
    ));
    fs::write(&path, &good).unwrap();
    assert!(snapshot.contains_many(&tags).unwrap().iter().all(|found| *found));
}

#[test]
fn errors_do_not_show_tags() {
    let (dir, snapshot) = installed(300, small());
    let segment = *snapshot.manifest().segments().next().unwrap();
    let path = dir.path().join(segment.file_name());
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[32..64].rotate_left(16);
    fs::write(&path, bad).unwrap();
    let error = Snapshot::open(dir.path(), &owner(), &scope(), None).unwrap_err();
    for tag in good[32..].chunks(16) {
        let shown = [hex(tag), format!("{tag:?}")];
        assert!(shown.iter().all(|s| !format!("{error} {error:?}").contains(s)));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn lookups_run_from_many_threads() {
    let (dir, snapshot) = installed(2000, small());
    let _keep: &TempDir = &dir;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let snapshot = &snapshot;
            scope.spawn(move || {
                for n in (thread * 500)..(thread * 500 + 500) {
                    assert!(snapshot.contains(&tag(n)).unwrap());
                    assert!(!snapshot.contains(&tag(n + 10_000)).unwrap());
                }
            });
        }
    });
}
