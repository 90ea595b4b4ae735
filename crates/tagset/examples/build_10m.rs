//! Builds, installs and looks up a snapshot of many tags, and prints what it took.
//!
//! `cargo run --release -p concordat-tagset --example build_10m -- [tags] [directory]`

#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use concordat_note::SigningKey;
use concordat_tagset::{
    DeltaBuilder, Manifest, Options, Padding, Scope, SignedManifest, Snapshot, SnapshotBuilder, Tag,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(10_000_000), |n| n.parse())?;
    let temporary = tempfile::tempdir()?;
    let dir = arguments
        .next()
        .map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    println!("{count} tags, {} CPUs", std::thread::available_parallelism()?);
    report("at the start");

    let start = Instant::now();
    let mut builder = SnapshotBuilder::new(&dir, Options::default())?;
    for n in 0..count {
        builder.push(&tag(n))?;
    }
    for n in 0..16 {
        builder.push_canary(&tag(u64::MAX - n))?;
    }
    let mut padding = Padding::new([9; 32]);
    let (base, built) = builder.finish([7; 32], &mut padding)?;
    println!(
        "{:8.3} s  build: {} segments, {} padding tags",
        seconds(start),
        base.segments().iter().count(),
        built.padding
    );
    report("after building");

    let key = SigningKey::from_seed("owner.example", &[1; 32])?;
    let scope = Scope {
        agreement: "bench".into(),
        offer: "bench".into(),
        epoch: 1,
        owner: "owner.example".into(),
        requester: "requester.example".into(),
        profile: "bench".into(),
        profile_fingerprint: [0; 32],
        public_key: [0; 32],
    };
    let as_of = "2026-11-21T20:00:00Z".parse()?;
    let manifest = Manifest {
        scope,
        version: 1,
        as_of,
        max_age_seconds: 86_400,
        base,
        deltas: vec![],
    };
    let start = Instant::now();
    let first = Snapshot::install(&dir, SignedManifest::sign(manifest, &key)?, None)?;
    println!(
        "{:8.3} s  install: verify {} bytes",
        seconds(start),
        first.manifest().total_bytes()
    );
    report("after installing");

    look_up(&first, count)?;

    let start = Instant::now();
    let mut builder = DeltaBuilder::new(&first, Options::default())?;
    for n in 0..1000 {
        builder.add(&tag(count + n))?;
        builder.remove(&tag(n * 7))?;
    }
    builder.add_canary(&tag(u64::MAX - 100));
    let (delta, _) = builder.finish([8; 32], &mut padding)?;
    let next = Manifest {
        version: 2,
        deltas: vec![delta],
        ..first.manifest().clone()
    };
    let second = first.advance(SignedManifest::sign(next, &key)?)?;
    println!(
        "{:8.3} s  delta: 1000 additions and removals, built and installed",
        seconds(start)
    );

    look_up(&second, count)?;

    let start = Instant::now();
    let merged = second.merge(1)?;
    println!(
        "{:8.3} s  merge: {} tags",
        seconds(start),
        merged.segments().count()
    );
    report("at the end");
    Ok(())
}

fn look_up(snapshot: &Snapshot, count: u64) -> Result<(), Box<dyn Error>> {
    const SINGLE: u64 = 100_000;
    const BATCH: u64 = 1_000_000;
    let stride = (count / SINGLE).max(1);
    let start = Instant::now();
    let mut found = 0;
    for n in 0..SINGLE {
        // Every other one absent.
        let tag = if n % 2 == 0 {
            tag((n * stride) % count)
        } else {
            tag(u64::MAX / 2 + n)
        };
        found += u64::from(snapshot.contains(&tag)?);
    }
    let each = start.elapsed() / SINGLE as u32;
    println!(
        "{:8.3} s  {SINGLE} single lookups: {each:?} each, {found} found",
        seconds(start)
    );

    let tags: Vec<Tag> = (0..BATCH)
        .map(|n| tag(if n % 2 == 0 { n % count } else { u64::MAX / 2 + n }))
        .collect();
    let start = Instant::now();
    let found = snapshot
        .contains_many(&tags)?
        .into_iter()
        .filter(|found| *found)
        .count();
    println!(
        "{:8.3} s  one batch of {BATCH} lookups, {found} found",
        seconds(start)
    );
    Ok(())
}

/// A tag that looks random: two rounds of splitmix64.
fn tag(n: u64) -> Tag {
    let half = |salt: u64| {
        let mut z = n.wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    (u128::from(half(1)) << 64 | u128::from(half(0x5851_f42d_4c95_7f2d))).to_be_bytes()
}

fn seconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}

/// Memory as Linux counts it: now (`VmRSS`) and at most so far (`VmHWM`).
fn report(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
    let lines: Vec<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    println!("            {when}: {}", lines.join(", "));
}
