//! An owner and a requester in temporary directories.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test stops at the first surprise"
)]
#![allow(dead_code, reason = "not every test file needs every helper")]

use std::collections::BTreeSet;
use std::path::Path;

use concordat_note::{SigningKey, VerifierKey};
use concordat_tagset::{
    Base, Delta, Error, Manifest, Options, Padding, Scope, SegmentWriter, SignedManifest, Snapshot,
    SnapshotBuilder, Tag, missing_segments,
};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) const AS_OF: &str = "2026-11-21T20:00:00Z";

/// The tag of identifier number `n`: looks random, as a PRF output does.
pub(crate) fn tag(n: u64) -> Tag {
    named_tag("identifier", n)
}

pub(crate) fn named_tag(name: &str, n: u64) -> Tag {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update(n.to_be_bytes())
        .finalize();
    *hash.first_chunk().unwrap()
}

/// The tags of the canaries of a seed. (In earnest: PRF outputs.)
pub(crate) fn canary_tags(seed: [u8; 32], count: u16) -> Vec<Tag> {
    (0..u64::from(count))
        .map(|n| named_tag(&format!("canary {seed:?}"), n))
        .collect()
}

pub(crate) fn owner_key() -> SigningKey {
    SigningKey::from_seed("police.example/aa", &[1; 32]).unwrap()
}

pub(crate) fn owner() -> VerifierKey {
    owner_key().verifier()
}

pub(crate) fn scope() -> Scope {
    Scope {
        agreement: "2026/014".to_owned(),
        offer: "passports".to_owned(),
        epoch: 3,
        owner: "police.example/aa".to_owned(),
        requester: "police.example/bb".to_owned(),
        profile: "concordat-1".to_owned(),
        profile_fingerprint: [0xf1; 32],
        public_key: [0x2b; 32],
    }
}

/// Small enough for many runs: spills after 1,024 tags, cuts above 64.
pub(crate) fn small() -> Options {
    Options {
        memory_bytes: 0,
        segment_tags: 64,
        minimum_size_class: 64,
        padding_reserve: 64,
        minimum_churn_class: 8,
    }
}

pub(crate) fn manifest(version: u64, base: Base, deltas: Vec<Delta>) -> Manifest {
    Manifest {
        scope: scope(),
        version,
        as_of: AS_OF.parse().unwrap(),
        max_age_seconds: 86_400,
        base,
        deltas,
    }
}

pub(crate) fn sign(manifest: Manifest) -> SignedManifest {
    SignedManifest::sign(manifest, &owner_key()).unwrap()
}

/// A base of the given tags with two canaries.
pub(crate) fn build(
    dir: &Path,
    tags: &[Tag],
    options: Options,
    seed: [u8; 32],
    padding: &mut Padding,
) -> Base {
    let mut builder = SnapshotBuilder::new(dir, options).unwrap();
    for tag in tags {
        builder.push(tag).unwrap();
    }
    for canary in canary_tags(seed, 2) {
        builder.push_canary(&canary).unwrap();
    }
    builder.finish(seed, padding).unwrap().0
}

/// A directory with version 1 of `count` tags installed.
pub(crate) fn installed(count: u64, options: Options) -> (TempDir, Snapshot) {
    let dir = tempfile::tempdir().unwrap();
    let tags: Vec<_> = (0..count).map(tag).collect();
    let base = build(dir.path(), &tags, options, [7; 32], &mut Padding::new([9; 32]));
    let snapshot = Snapshot::install(dir.path(), sign(manifest(1, base, vec![])), None).unwrap();
    (dir, snapshot)
}

/// Fetches what `dir` lacks of `served` in pieces of an odd size; tells how many bytes that were.
pub(crate) fn fetch(dir: &Path, next: &SignedManifest, served: &Snapshot) -> Result<u64, Error> {
    let mut bytes = 0;
    for segment in missing_segments(dir, next.manifest())? {
        let mut writer = SegmentWriter::open(dir, &segment)?;
        while writer.remaining() > 0 {
            let piece = served.read_segment(&segment.digest, writer.offset(), 777)?;
            bytes += piece.len() as u64;
            writer.append(writer.offset(), &piece)?;
        }
        writer.finish()?;
    }
    Ok(bytes)
}

pub(crate) fn all_tags(snapshot: &Snapshot) -> BTreeSet<Tag> {
    snapshot.tags().collect::<Result<_, _>>().unwrap()
}

/// Copies every file of a directory.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The same cases on each run; others with `PROPTEST_RNG_SEED` set.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0);
    }
    config
}
