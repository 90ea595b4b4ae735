//! Stages records by the million and tells what it cost.
//!
//! `cargo run --release -p concordat-store --example import_1m [RECORDS] [FOLDER]`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example, run by hand")]

use std::path::PathBuf;
use std::time::Instant;

use concordat_store::{
    IdentifierRow, ImportMode, MasterKey, NewRecord, Purged, Selection, Store, StoreOptions,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zeroize::Zeroizing;

const IDENTIFIERS: u8 = 6;
const BATCH: u64 = 5_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let records: u64 = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let folder = arguments
        .next()
        .map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let store = Store::open(StoreOptions {
        path: folder.join("node.db"),
        master_key: MasterKey::new([1; 32]),
        rng: Box::new(ChaCha20Rng::seed_from_u64(1)),
        readers: 4,
    })
    .await
    .unwrap();
    let list = store.create_list("million", 0).await.unwrap();

    import(&store, list, records, 0, "first import").await;
    import(&store, list, records, 0, "same again").await;
    import(&store, list, records, records / 10, "one in ten changed").await;

    let start = Clock::start();
    while store.purge_step().await.unwrap() == Purged::Step {}
    start.report("purge of the changed");

    let start = Instant::now();
    let lookups = 2_000;
    for n in 0..lookups {
        let index = store.blind_index(2, 2, format!("{}/2/0", n * (records / lookups)).as_bytes());
        std::hint::black_box(store.records_with(2, index).await.unwrap());
    }
    println!(
        "lookup                  {:8.1} us each",
        start.elapsed().as_secs_f64() * 1e6 / lookups as f64
    );

    let selection = Selection {
        lists: vec![list],
        kind: 1,
        variants: true,
    };
    let (start, mut count, mut cursor) = (Clock::start(), 0, None);
    loop {
        let page = store.identifiers_page(&selection, cursor, 4_096).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(last.blind_index);
        count += page.len();
    }
    start.report(&format!("walk of {count} identifiers"));
    store.close().await;
    let size = std::fs::metadata(folder.join("node.db")).unwrap().len();
    println!(
        "database                {:8.1} MiB",
        size as f64 / f64::from(1 << 20)
    );
}

async fn import(store: &Store, list: concordat_store::ListId, records: u64, changed: u64, name: &str) {
    let start = Clock::start();
    let mut import = store
        .begin_import(list, ImportMode::Replace, "example", 0)
        .await
        .unwrap();
    for first in (0..records).step_by(BATCH as usize) {
        let batch = (first..records.min(first + BATCH))
            .map(|n| record(n, n % 10 == 0 && changed > 0))
            .collect();
        import.stage(batch).await.unwrap();
    }
    let staged = Instant::now();
    let counts = import.commit(0).await.unwrap();
    start.report(name);
    println!(
        "    of which commit {:.1} s; {counts:?}",
        staged.elapsed().as_secs_f64()
    );
}

fn record(n: u64, changed: bool) -> NewRecord {
    let mut digest = [u8::from(changed); 32];
    digest[..8].copy_from_slice(&n.to_be_bytes());
    let identifiers = (0..IDENTIFIERS).map(|kind| IdentifierRow {
        kind,
        rule: kind,
        grade: 0,
        variant: false,
        canonical: Zeroizing::new(format!("{n}/{kind}/{}", u8::from(changed)).into_bytes()),
    });
    NewRecord {
        source_id: format!("case-{n:09}"),
        digest,
        payload: Zeroizing::new(
            format!("{{\"name\":\"person number {n}\",\"born\":\"1970-01-01\"}}").into_bytes(),
        ),
        identifiers: identifiers.collect(),
        authors: Vec::new(),
    }
}

/// Wall and CPU time: on a busy machine they differ.
struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: cpu_seconds(),
        }
    }

    fn report(&self, name: &str) {
        let (wall, cpu) = (self.wall.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        println!(
            "{name:<28}{wall:8.1} s, CPU {cpu:8.1} s, peak resident set {} MiB",
            peak_rss_mib()
        );
    }
}

/// User and system time of this process, from the kernel's account in ticks of 10 ms; 0 where there is none.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// From the kernel's account of this process; 0 where there is none.
fn peak_rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
