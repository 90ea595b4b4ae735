//! Exchanges begun and closed, each with its entry of 10 KB in the ledger: one after the other, and so many at once.
//!
//! `cargo run --release -p concordat-store --example exchanges [AT_ONCE] [FOLDER]`
//!
//! Both in turns, on the same store. FOLDER is on the disk to be measured: one in memory has nothing to wait for.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example, run by hand")]

use std::time::{Duration, Instant};

use concordat_store::{Exchange, MasterKey, NewEntry, Store, StoreOptions};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zeroize::Zeroizing;

const EXCHANGES: u128 = 2_048;
const ROUNDS: u128 = 5;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let at_once: usize = arguments.next().map_or(32, |text| text.parse().unwrap());
    let folder = match arguments.next() {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.unwrap();
    let store = Store::open(StoreOptions {
        path: folder.path().join("node.db"),
        master_key: MasterKey::new([1; 32]),
        rng: Box::new(ChaCha20Rng::seed_from_u64(1)),
        readers: 1,
    })
    .await
    .unwrap();
    let (mut ratios, mut ids) = (Vec::new(), 0..);
    for _ in 0..ROUNDS {
        let mut round = |at_once| {
            let ids: Vec<u128> = ids.by_ref().take(EXCHANGES as usize).collect();
            exchange(&store, ids, at_once)
        };
        let (alone, together) = (round(1).await, round(at_once).await);
        ratios.push(alone.as_secs_f64() / together.as_secs_f64());
        println!(
            "one after the other {:6.0} us each, {at_once} at once {:6.0} us each",
            each(alone),
            each(together)
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!("{at_once} at once: {:.1} times as many", ratios[ratios.len() / 2]);
}

fn each(all: Duration) -> f64 {
    all.as_secs_f64() * 1e6 / EXCHANGES as f64
}

async fn exchange(store: &Store, ids: Vec<u128>, at_once: usize) -> Duration {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for some in ids.chunks(ids.len().div_ceil(at_once)) {
        let (store, some) = (store.clone(), some.to_vec());
        tasks.spawn(async move {
            for id in some {
                let (exchange, opened) = (an_exchange(id), an_entry("evaluation.opened", id));
                store.begin_exchanges(vec![(exchange, opened)]).await.unwrap();
                assert!(store.close_exchange(an_entry("evaluation", id)).await.unwrap());
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    start.elapsed()
}

fn an_exchange(id: u128) -> Exchange {
    Exchange {
        id: uuid::Uuid::from_u128(id),
        at_ms: 0,
        partner: "agency-b".to_owned(),
        scope: None,
        purpose: "p".to_owned(),
        legal_basis: "l".to_owned(),
        elements: 1_024,
        asked: None,
    }
}

fn an_entry(kind: &'static str, id: u128) -> NewEntry {
    NewEntry {
        at_ms: 0,
        kind,
        exchange: Some(id.to_be_bytes()),
        erase_day: None,
        leaf: vec![1; 256],
        payload: vec![2; 10_240],
        key: Zeroizing::new([3; 32]),
    }
}
