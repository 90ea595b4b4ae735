//! Building bases and deltas, merging them, and what a partner can see of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::collections::BTreeSet;
use std::ops::Range;

use common::{
    all_tags, build, canary_tags, copy_dir, installed, manifest, names, owner, scope, sign, small, tag,
};
use concordat_tagset::{
    DeltaBuilder, Error, Manifest, Options, Padding, Predecessor, Role, Snapshot, SnapshotBuilder, Tag,
};

/// Adds and removals may be given in any number; what a partner sees is a class.
#[test]
fn changes_are_hidden_in_the_churn_class() {
    let (_dir, snapshot) = installed(
        100,
        Options {
            padding_reserve: 300,
            ..small()
        },
    );
    let mut sizes = Vec::new();
    for changes in [0, 1, 5, 6, 7, 50] {
        let mut builder = DeltaBuilder::new(&snapshot, small()).unwrap();
        (0..changes).for_each(|n| builder.add(&tag(1000 + n)).unwrap());
        (0..changes / 2).for_each(|n| builder.remove(&tag(n)).unwrap());
        canary_tags([8; 32], 2)
            .iter()
            .for_each(|canary| builder.add_canary(canary));
        let mut padding = Padding::resume([9; 32], 412);
        let (delta, report) = builder.finish([8; 32], &mut padding).unwrap();
        assert_eq!((report.added, report.removed), (changes + 2, changes / 2));
        assert_eq!(padding.drawn(), 412 + report.padding_added);
        sizes.push((delta.adds().count(), delta.removes().count()));
        assert_eq!(delta.adds().role(), Role::Adds);
    }
    assert_eq!(sizes, [(8, 8), (8, 8), (8, 8), (8, 8), (16, 16), (64, 64)]);
}

/// A base of `real` after another one, in a directory of its own.
fn rebase(
    real: Range<u64>,
    before: Predecessor<'_>,
    padding: &mut Padding,
) -> (tempfile::TempDir, Snapshot, u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = SnapshotBuilder::new(dir.path(), small()).unwrap();
    real.for_each(|n| builder.push(&tag(n)).unwrap());
    canary_tags([8; 32], 2)
        .iter()
        .for_each(|canary| builder.push_canary(canary).unwrap());
    let (base, report) = builder.finish_after(before, [8; 32], padding).unwrap();
    let snapshot = Snapshot::install(dir.path(), sign(manifest(2, base, vec![])), None).unwrap();
    (dir, snapshot, report.carried)
}

fn without_canaries(snapshot: &Snapshot) -> BTreeSet<Tag> {
    let mut tags = all_tags(snapshot);
    for canaries in snapshot.manifest().canaries() {
        for canary in canary_tags(canaries.seed, canaries.count) {
            assert!(tags.remove(&canary));
        }
    }
    tags
}

/// A holder of both bases sees a churn class go, and the padding stay beside the real tags.
#[test]
fn a_new_base_does_not_tell_which_tags_are_real() {
    let (_dir, before) = installed(100, small());
    let (old, real) = (without_canaries(&before), |n: Range<u64>| -> BTreeSet<Tag> {
        n.map(tag).collect()
    });
    for (kept, removed, gone) in [
        (0..100, 0, 8),
        (10..100, 10, 16),
        (60..100, 60, 64),
        (1..100, 1, 8),
    ] {
        let mut padding = Padding::resume([9; 32], 154);
        let published = Predecessor::Published {
            snapshot: &before,
            removed,
        };
        let (_dir, after, carried) = rebase(kept.start..600, published, &mut padding);
        let new = without_canaries(&after);
        assert!(new.is_superset(&real(kept.start..600)));
        assert!(new.is_disjoint(&real(0..kept.start)));
        assert_eq!(old.difference(&new).count(), gone, "a churn class goes");
        assert_eq!(carried, 154 - (gone as u64 - removed), "the other padding stays");
        assert_eq!(
            old.intersection(&new).count() as u64,
            carried + (kept.end - kept.start)
        );
        assert_eq!(all_tags(&after).len(), 1024);
        assert_eq!(
            padding.drawn(),
            1024 - 602 + kept.start + gone as u64 - removed,
            "goes on"
        );
    }
}

/// Where the padding left is less than a churn class needs, half of it goes, and half of it stays.
#[test]
fn a_new_base_with_little_padding_left() {
    let (_dir, before) = installed(100, small());
    let mut padding = Padding::resume([9; 32], 20);
    let published = Predecessor::Published {
        snapshot: &before,
        removed: 33,
    };
    let (_dir, after, carried) = rebase(33..200, published, &mut padding);
    assert_eq!(carried, 10);
    let (old, new) = (all_tags(&before), all_tags(&after));
    assert_eq!(old.intersection(&new).count(), 67 + 10);
}

/// Of a snapshot that is lost nobody knows which padding was left: some of it comes back and some does not.
#[test]
fn a_new_base_after_a_lost_one() {
    let (_dir, before) = installed(100, small());
    let mut padding = Padding::resume([9; 32], 154);
    let (_dir, after, carried) = rebase(0..100, Predecessor::Lost, &mut padding);
    assert!((40..115).contains(&carried), "about half of 154: {carried}");
    let (old, new) = (without_canaries(&before), without_canaries(&after));
    assert_eq!(old.intersection(&new).count() as u64, 100 + carried);
    // The same state of the padding makes the same choice: a second try tells nothing new.
    let (_dir, again, _) = rebase(0..100, Predecessor::Lost, &mut Padding::resume([9; 32], 154));
    assert_eq!(without_canaries(&again), new);
}

#[test]
fn a_delta_refuses_what_makes_no_sense() {
    let (_dir, snapshot) = installed(100, small());
    let start = || {
        let mut builder = DeltaBuilder::new(&snapshot, small()).unwrap();
        builder.add_canary(&canary_tags([8; 32], 1)[0]);
        builder
    };
    let padding = || Padding::resume([9; 32], 154);

    let mut both = start();
    both.add(&tag(500)).unwrap();
    both.remove(&tag(500)).unwrap();
    assert!(matches!(
        both.finish([8; 32], &mut padding()),
        Err(Error::AddedAndRemoved)
    ));

    let without = DeltaBuilder::new(&snapshot, small()).unwrap();
    assert!(matches!(
        without.finish([8; 32], &mut padding()),
        Err(Error::CanaryCount(0))
    ));

    let mut stale = start();
    stale.add_canary(&canary_tags([7; 32], 1)[0]);
    assert!(matches!(
        stale.finish([8; 32], &mut padding()),
        Err(Error::StaleCanary)
    ));

    // 154 padding tags, 200 wanted.
    let mut greedy = start();
    (0..255).for_each(|n| greedy.add(&tag(1000 + n)).unwrap());
    match greedy.finish([8; 32], &mut padding()) {
        Err(Error::PaddingExhausted {
            needed: 256,
            live: 154,
        }) => {}
        other => panic!("{other:?}"),
    }
    // Exactly as many as there are.
    let mut exact = start();
    (0..255).for_each(|n| exact.add(&tag(1000 + n)).unwrap());
    (0..100).for_each(|n| exact.remove(&tag(n)).unwrap());
    exact.remove(&canary_tags([7; 32], 1)[0]).unwrap();
    exact.remove(&canary_tags([7; 32], 2)[1]).unwrap();
    let (_, report) = exact.finish([8; 32], &mut padding()).unwrap();
    assert_eq!((report.removed, report.padding_removed), (102, 154));
}

/// Padding drawn, published, and then forgotten because the node crashed before it stored how much was drawn.
#[test]
fn padding_that_was_forgotten_is_passed_over() {
    let (_dir, snapshot) = installed(100, small());
    let mut forgetful = Padding::new([9; 32]);
    let mut builder = DeltaBuilder::new(&snapshot, small()).unwrap();
    builder.remove(&tag(0)).unwrap();
    (1..8).for_each(|n| builder.remove(&tag(n)).unwrap());
    builder.add_canary(&canary_tags([8; 32], 1)[0]);
    let (delta, _) = builder.finish([8; 32], &mut forgetful).unwrap();
    assert_eq!(forgetful.drawn(), 154 + 7);
    let next = Manifest {
        version: 2,
        deltas: vec![delta],
        ..snapshot.manifest().clone()
    };
    let next = snapshot.advance(sign(next)).unwrap();
    assert_eq!(next.tags().count() as u64, next.manifest().size_class());
}

#[test]
fn a_base_refuses_what_makes_no_sense() {
    let dir = tempfile::tempdir().unwrap();
    let new = || SnapshotBuilder::new(dir.path(), small()).unwrap();
    assert!(matches!(
        new().finish([7; 32], &mut Padding::new([9; 32])),
        Err(Error::CanaryCount(0))
    ));

    // The padding seed of the last base, whose padding is among the tags.
    let first = build(
        dir.path(),
        &[tag(0)],
        small(),
        [7; 32],
        &mut Padding::new([9; 32]),
    );
    let snapshot = Snapshot::install(dir.path(), sign(manifest(1, first, vec![])), None).unwrap();
    let mut builder = new();
    for tag in snapshot.tags() {
        builder.push(&tag.unwrap()).unwrap();
    }
    builder.push_canary(&canary_tags([8; 32], 1)[0]).unwrap();
    assert!(matches!(
        builder.finish([8; 32], &mut Padding::new([9; 32])),
        Err(Error::PaddingCollision)
    ));
}

/// The same set, however it came about, is the same files.
#[test]
fn merging_building_and_merging_elsewhere_give_the_same_files() {
    let (dir, first) = installed(150, small());
    let mut padding = Padding::resume([9; 32], 256 - 152);
    let mut builder = DeltaBuilder::new(&first, small()).unwrap();
    (0..20).for_each(|n| builder.remove(&tag(n)).unwrap());
    (200..210).for_each(|n| builder.add(&tag(n)).unwrap());
    builder.add_canary(&canary_tags([8; 32], 1)[0]);
    let (delta, _) = builder.finish([8; 32], &mut padding).unwrap();
    let second = first
        .advance(sign(Manifest {
            version: 2,
            deltas: vec![delta],
            ..first.manifest().clone()
        }))
        .unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), elsewhere.path());
    let partner = Snapshot::open(elsewhere.path(), &owner(), &scope(), None)
        .unwrap()
        .unwrap();
    let merged = second.merge(1).unwrap();
    assert_eq!(partner.merge(1).unwrap(), merged);
    assert_eq!(merged.canaries().len(), 2);
    assert_eq!(names(dir.path()), names(elsewhere.path()));

    let anew = tempfile::tempdir().unwrap();
    let exact = Options {
        padding_reserve: 0,
        ..small()
    };
    let mut builder = SnapshotBuilder::new(anew.path(), exact).unwrap();
    let mut tags: Vec<Tag> = second.tags().map(Result::unwrap).collect();
    tags.reverse();
    builder.push_canary(&tags.pop().unwrap()).unwrap();
    tags.iter().for_each(|tag| builder.push(tag).unwrap());
    let (base, report) = builder.finish([7; 32], &mut Padding::new([1; 32])).unwrap();
    assert_eq!(report.padding, 0);
    assert_eq!(base.segments(), merged.segments());
}

/// Months of daily changes, each merged at once: the manifest stays small, a partner never fetches a base again, and one that comes
/// with a base of its own is not mistaken for a merge.
#[test]
fn merges_go_on_for_ever_and_partners_follow() {
    let options = || Options {
        padding_reserve: 400,
        ..small()
    };
    let (dir, mut served) = installed(100, options());
    let partner = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), partner.path());
    let mut held = Snapshot::open(partner.path(), &owner(), &scope(), None)
        .unwrap()
        .unwrap();
    let mut padding = Padding::resume([9; 32], served.manifest().size_class() - 102);
    for day in 0..40 {
        let seed = [100 + day; 32];
        let mut builder = DeltaBuilder::new(&served, options()).unwrap();
        builder.add(&tag(1000 + u64::from(day))).unwrap();
        builder.remove(&tag(u64::from(day))).unwrap();
        builder.add_canary(&canary_tags(seed, 1)[0]);
        let (delta, _) = builder.finish(seed, &mut padding).unwrap();
        let mut next = served.manifest().clone();
        next.version += 1;
        next.deltas.push(delta);
        served = served.advance(sign(next.clone())).unwrap();
        let delta_bytes = common::fetch(partner.path(), &sign(next.clone()), &served).unwrap();
        assert_eq!(delta_bytes, 2 * (32 + 8 * 16));
        held = held.advance(sign(next.clone())).unwrap();

        next.version += 1;
        next.base = served.merge(1).unwrap();
        next.deltas.clear();
        assert!(held.merge_towards(&next).unwrap());
        served = served.advance(sign(next.clone())).unwrap();
        held = held.advance(sign(next)).unwrap();
    }
    let listed = held.manifest().base.canaries();
    assert_eq!(
        (listed.len(), listed[0].seed, listed[31].seed),
        (32, [108; 32], [139; 32])
    );
    assert!(
        held.merge_towards(held.manifest()).unwrap(),
        "it is there already"
    );

    let anew = build(
        dir.path(),
        &[tag(0)],
        Options {
            minimum_size_class: 512,
            ..small()
        },
        [7; 32],
        &mut Padding::new([3; 32]),
    );
    let before = names(partner.path());
    let next = Manifest {
        base: anew,
        ..held.manifest().clone()
    };
    assert!(!held.merge_towards(&next).unwrap());
    assert_eq!(names(partner.path()), before);
}
