//! The disk is full, and then has room again: nothing is acknowledged that is not kept, and the store goes on.
//!
//! The kernel refuses: a child process, with `SIGXFSZ` ignored, lowers the largest size that its files may have.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::process::Command;

use common::{Home, an_entry, an_exchange};
use concordat_store::{EntryFilter, Store, StoreError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CHILD: &str = "CONCORDAT_FULL_DISK_TEST_CHILD";

#[test]
fn a_full_disk_loses_nothing_and_stops_nothing_for_good() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(work());
    }
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; exec \"$0\" --exact a_full_disk_loses_nothing_and_stops_nothing_for_good",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn work() {
    let home = Home::new();
    let store = home.open().await;
    let (mut kept, mut refused) = (0, 0);
    for round in 0..3_u8 {
        let ids = || (0..5_u8).map(|id| [round * 80 + id; 16]);
        for id in ids() {
            begin(&store, id).await.unwrap();
        }
        kept += 5;
        let unlimited = limit_files(Some(largest_file(&home) + 20_000));
        // Whatever fits in, until nothing does: transactions, then statements by themselves.
        while kept_or_full(store.append_entries(vec![an_entry("import", None)]).await) {
            kept += 1;
        }
        let mut more = (5..80).map(|id| [round * 80 + id; 16]);
        while kept_or_full(begin(&store, more.next().unwrap()).await) {
            kept += 1;
        }
        // Those that come together: the first alone, then four.
        let mut was_open = Vec::new();
        for closed in close(&store, ids().collect()) {
            let closed = closed.await;
            refused += u32::from(closed.is_err());
            was_open.push(closed.is_err());
        }
        limit_files(unlimited);
        // There is room again.
        store
            .append_entries(vec![an_entry("import", None)])
            .await
            .unwrap();
        for (closed, was_open) in close(&store, ids().collect()).into_iter().zip(was_open) {
            assert_eq!(closed.await.unwrap(), was_open);
        }
        kept += 6;
    }
    assert!(refused >= 5, "{refused} closings met the full disk");
    store.close().await;
    let store = home.open().await;
    let entries = store
        .ledger_entries(&EntryFilter::default(), 10_000)
        .await
        .unwrap();
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (0..kept).collect::<Vec<u64>>());
}

fn kept_or_full(result: Result<(), StoreError>) -> bool {
    match result {
        Ok(()) => true,
        Err(StoreError::Database(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

fn close(store: &Store, ids: Vec<[u8; 16]>) -> Vec<impl Future<Output = Result<bool, StoreError>> + use<>> {
    ids.into_iter()
        .map(|id| store.close_exchange(an_entry("evaluation", Some(id))))
        .collect()
}

fn begin(store: &Store, id: [u8; 16]) -> impl Future<Output = Result<(), StoreError>> + use<> {
    store.begin_exchanges(vec![(
        an_exchange(id, 1),
        an_entry("evaluation.opened", Some(id)),
    )])
}

fn largest_file(home: &Home) -> u64 {
    let files = std::fs::read_dir(home.folder.path()).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .max()
        .unwrap()
}

/// Returns the limit before.
fn limit_files(bytes: Option<u64>) -> Option<u64> {
    let before = getrlimit(Resource::Fsize);
    let limit = Rlimit {
        current: bytes,
        maximum: before.maximum,
    };
    setrlimit(Resource::Fsize, limit).unwrap();
    before.current
}
