//! An owner and a lagging requester against a plain set: whatever is built, changed, merged, fetched and reopened, the answers are the
//! set's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::collections::BTreeSet;

use common::{all_tags, build, canary_tags, fetch, manifest, owner, scope, sign, small, tag};
use concordat_tagset::{DeltaBuilder, Error, Padding, SignedManifest, Snapshot, Tag, collect_garbage};
use proptest::prelude::*;
use tempfile::TempDir;

const UNIVERSE: u64 = 300;

#[derive(Debug, Clone)]
enum Step {
    Change {
        adds: BTreeSet<u64>,
        removes: BTreeSet<u64>,
    },
    Merge {
        deltas: prop::sample::Index,
    },
    Reopen,
    CollectGarbage,
    RequesterSyncs,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || prop::collection::btree_set(0..UNIVERSE, 0..20);
    let step = prop_oneof![
        5 => (some(), some()).prop_map(|(adds, removes)| Step::Change { removes: &removes - &adds, adds }),
        2 => any::<prop::sample::Index>().prop_map(|deltas| Step::Merge { deltas }),
        1 => Just(Step::Reopen),
        1 => Just(Step::CollectGarbage),
        3 => Just(Step::RequesterSyncs),
    ];
    prop::collection::vec(step, 1..12)
}

struct Owner {
    dir: TempDir,
    snapshot: Snapshot,
    padding: Padding,
    /// What is really on the lists.
    real: BTreeSet<u64>,
    seeds: u8,
}

impl Owner {
    fn new(real: BTreeSet<u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut padding = Padding::new([0; 32]);
        let tags: Vec<_> = real.iter().copied().map(tag).collect();
        let base = build(dir.path(), &tags, small(), [0; 32], &mut padding);
        let snapshot = Snapshot::install(dir.path(), sign(manifest(1, base, vec![])), None).unwrap();
        Self {
            dir,
            snapshot,
            padding,
            real,
            seeds: 1,
        }
    }

    fn change(&mut self, adds: &BTreeSet<u64>, removes: &BTreeSet<u64>) {
        let seed = self.fresh_seed();
        let mut builder = DeltaBuilder::new(&self.snapshot, small()).unwrap();
        adds.iter().for_each(|n| builder.add(&tag(*n)).unwrap());
        removes.iter().for_each(|n| builder.remove(&tag(*n)).unwrap());
        canary_tags(seed, 2)
            .iter()
            .for_each(|canary| builder.add_canary(canary));
        let finished = builder.finish(seed, &mut self.padding);

        let present_before = adds.intersection(&self.real).count() as u64;
        let absent_before = removes.difference(&self.real).count() as u64;
        self.real.extend(adds);
        self.real.retain(|n| !removes.contains(n));
        let mut next = self.snapshot.manifest().clone();
        next.version += 1;
        match finished {
            Ok((delta, report)) => {
                assert_eq!(report.already_present, present_before);
                assert_eq!(report.already_absent, absent_before);
                assert_eq!(report.added, adds.len() as u64 - present_before + 2);
                assert_eq!(report.removed, removes.len() as u64 - absent_before);
                assert!(delta.adds().count().is_power_of_two());
                assert_eq!(report.added + report.padding_added, delta.adds().count());
                assert_eq!(report.removed + report.padding_removed, delta.adds().count());
                next.deltas.push(delta);
                self.snapshot = self.snapshot.advance(sign(next)).unwrap();
            }
            Err(Error::PaddingExhausted { needed, live }) => {
                assert!(needed > live);
                self.padding = Padding::new(self.fresh_seed());
                let seed = self.fresh_seed();
                let tags: Vec<_> = self.real.iter().copied().map(tag).collect();
                next.base = build(self.dir.path(), &tags, small(), seed, &mut self.padding);
                next.deltas.clear();
                let seen = self.snapshot.signed_manifest().seen();
                self.snapshot = Snapshot::install(self.dir.path(), sign(next), Some(seen)).unwrap();
            }
            Err(e) => panic!("{e}"),
        }
    }

    fn merge(&mut self, deltas: usize) {
        let before = all_tags(&self.snapshot);
        let mut next = self.snapshot.manifest().clone();
        next.version += 1;
        next.base = self.snapshot.merge(deltas).unwrap();
        next.deltas.drain(..deltas);
        self.snapshot = self.snapshot.advance(sign(next)).unwrap();
        assert_eq!(all_tags(&self.snapshot), before);
    }

    fn check(&self) {
        check_answers(&self.snapshot, &self.real);
    }

    fn fresh_seed(&mut self) -> [u8; 32] {
        self.seeds += 1;
        [self.seeds; 32]
    }
}

fn check_answers(snapshot: &Snapshot, real: &BTreeSet<u64>) {
    let tags: Vec<Tag> = (0..UNIVERSE).map(tag).collect();
    let expected: Vec<bool> = (0..UNIVERSE).map(|n| real.contains(&n)).collect();
    assert_eq!(snapshot.contains_many(&tags).unwrap(), expected);
    for (tag, expected) in tags.iter().zip(expected) {
        assert_eq!(snapshot.contains(tag).unwrap(), expected);
    }
    for canaries in snapshot.manifest().canaries() {
        for canary in canary_tags(canaries.seed, canaries.count) {
            assert!(snapshot.contains(&canary).unwrap(), "a canary is missing");
        }
    }
    let all = all_tags(snapshot);
    assert_eq!(
        all.len() as u64,
        snapshot.manifest().size_class(),
        "deltas keep the size"
    );
    assert!(
        snapshot
            .contains_many(&all.into_iter().collect::<Vec<_>>())
            .unwrap()
            .iter()
            .all(|found| *found)
    );
}

/// What the requester does on each visit. Returns the bytes fetched.
fn sync(dir: &TempDir, held: &mut Option<Snapshot>, served: &Snapshot) -> u64 {
    let next =
        SignedManifest::verify(served.signed_manifest().note().as_bytes(), &owner(), &scope()).unwrap();
    if let Some(held) = held {
        held.merge_towards(next.manifest()).unwrap();
    }
    let fetched = fetch(dir.path(), &next, served).unwrap();
    *held = Some(match held {
        Some(held) => held.advance(next).unwrap(),
        None => Snapshot::install(dir.path(), next, None).unwrap(),
    });
    fetched
}

proptest! {
    #![proptest_config(common::cases(16))]

    #[test]
    fn snapshots_answer_as_a_set_does(real in prop::collection::btree_set(0..UNIVERSE, 0..200), steps in steps()) {
        let mut owner_side = Owner::new(real);
        let requester_dir = tempfile::tempdir().unwrap();
        let mut held = None;
        let mut synced_at = None;
        owner_side.check();
        for step in steps {
            match step {
                Step::Change { adds, removes } => owner_side.change(&adds, &removes),
                Step::Merge { deltas } => {
                    let deltas = deltas.index(owner_side.snapshot.manifest().deltas.len() + 1);
                    let was_in_step = synced_at == Some(owner_side.snapshot.manifest().version);
                    owner_side.merge(deltas);
                    if was_in_step {
                        prop_assert_eq!(sync(&requester_dir, &mut held, &owner_side.snapshot), 0, "merged locally");
                        synced_at = Some(owner_side.snapshot.manifest().version);
                    }
                }
                Step::Reopen => {
                    let seen = owner_side.snapshot.signed_manifest().seen();
                    let reopened = Snapshot::open(owner_side.dir.path(), &owner(), &scope(), Some(seen)).unwrap().unwrap();
                    prop_assert_eq!(reopened.signed_manifest(), owner_side.snapshot.signed_manifest());
                    owner_side.snapshot = reopened;
                    owner_side.padding = Padding::resume(seed_of(&owner_side), owner_side.padding.drawn());
                }
                Step::CollectGarbage => {
                    collect_garbage(owner_side.dir.path(), [owner_side.snapshot.manifest()]).unwrap();
                    if let Some(held) = &held {
                        collect_garbage(requester_dir.path(), [held.manifest()]).unwrap();
                        Snapshot::open(requester_dir.path(), &owner(), &scope(), None).unwrap().unwrap();
                    }
                }
                Step::RequesterSyncs => {
                    sync(&requester_dir, &mut held, &owner_side.snapshot);
                    synced_at = Some(owner_side.snapshot.manifest().version);
                }
            }
            owner_side.check();
        }
        sync(&requester_dir, &mut held, &owner_side.snapshot);
        let held = held.unwrap();
        check_answers(&held, &owner_side.real);
        prop_assert_eq!(all_tags(&held), all_tags(&owner_side.snapshot));
    }
}

/// The padding seed in use: that of the last new base.
fn seed_of(owner: &Owner) -> [u8; 32] {
    // A new base draws the padding seed just before its canary seed.
    let base = owner.snapshot.manifest().base.canaries()[0].seed;
    if base == [0; 32] { base } else { [base[0] - 1; 32] }
}
