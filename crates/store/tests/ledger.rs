//! The ledger's rows: added with the change they record or not at all, numbered without a gap, changed never, erased
//! without a trace.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use concordat_store::*;
use zeroize::Zeroizing;

/// An entry whose payload and key are found again in a file if they are there.
fn entry(number: u64, erase_day: Option<i32>) -> NewEntry {
    let mut key = [0; 32];
    key[..16].copy_from_slice(format!("key-of-{number:09}").as_bytes());
    NewEntry {
        erase_day,
        leaf: format!("{{leaf {number}}}").into_bytes(),
        payload: format!("payload-of-{number:09}-{}", "x".repeat(400)).into_bytes(),
        key: Zeroizing::new(key),
        ..an_entry("import", None)
    }
}

async fn leaves(store: &Store) -> Vec<String> {
    let leaves = store.ledger_leaves(0, 100_000).await.unwrap();
    let text = |leaf| String::from_utf8(leaf).unwrap();
    leaves.into_iter().map(text).collect()
}

#[tokio::test]
async fn an_entry_is_there_with_its_change_or_not_at_all() {
    let home = Home::new();
    let store = home.open().await;
    store
        .recording(entry(0, None))
        .create_list("wanted", 1)
        .await
        .unwrap();
    assert_eq!(store.ledger_size().await.unwrap(), 1);

    // Refused: rolled back with its entry.
    let refused = store.recording(entry(1, None)).create_list("wanted", 1).await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists { .. })));
    // Nothing changes: nothing is added.
    store
        .recording(entry(1, None))
        .add_client("gate-7", &[1; 32], 1)
        .await
        .unwrap();
    store
        .recording(entry(2, None))
        .add_client("gate-7", &[1; 32], 2)
        .await
        .unwrap();
    assert_eq!(store.ledger_size().await.unwrap(), 2);

    // Recorded once, by the next transaction of that handle.
    let handle = store.recording(entry(2, None));
    handle.create_list("green", 1).await.unwrap();
    handle.create_list("yellow", 1).await.unwrap();
    assert_eq!(leaves(&store).await, ["{leaf 0}", "{leaf 1}", "{leaf 2}"]);
}

#[tokio::test]
async fn entries_of_an_import_and_of_records_say_what_changed() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let import = async |records: Vec<NewRecord>| {
        let mut import = store
            .begin_import(list, ImportMode::Replace, "jsonl", 1)
            .await
            .unwrap();
        import.stage(records).await.unwrap();
        import
    };
    let first = import(vec![passports("a", &["A"]), passports("b", &["B"])]).await;
    let refused = first.commit_with(2, |_| None).await;
    assert!(matches!(refused, Err(StoreError::NotRecorded)));
    assert_eq!(store.list_stats(list).await.unwrap().records, 0);
    assert_eq!(store.ledger_size().await.unwrap(), 0);

    let second = import(vec![passports("a", &["A"]), passports("b", &["B"])]).await;
    let made = |counts: &ImportCounts| Some(entry(counts.added, None));
    second.commit_with(3, made).await.unwrap();
    // What a replacing import removes is in the entry's counts too.
    let third = import(vec![passports("a", &["A2"])]).await;
    let made = |counts: &ImportCounts| Some(entry(counts.changed * 10 + counts.removed, None));
    third.commit_with(4, made).await.unwrap();
    assert_eq!(leaves(&store).await, ["{leaf 2}", "{leaf 11}"]);

    let told = std::sync::Mutex::new(Vec::new());
    let record = |source_id: &str, change| {
        told.lock().unwrap().push((source_id.to_owned(), change));
        Some(entry(100, None))
    };
    let batch = vec![
        passports("a", &["A3"]),
        passports("c", &["C"]),
        passports("d", &["D"]),
    ];
    store
        .upsert_records_with(list, batch.clone(), record)
        .await
        .unwrap();
    store.upsert_records_with(list, batch, record).await.unwrap();
    let gone = ["c".to_owned(), "none".to_owned()];
    assert_eq!(store.delete_records_with(list, &gone, record).await.unwrap(), 1);
    assert_eq!(store.delete_records_with(list, &gone, record).await.unwrap(), 0);
    let expected = [
        ("a", Change::Changed),
        ("c", Change::Added),
        ("d", Change::Added),
        ("c", Change::Removed),
    ];
    let expected = expected.map(|(id, change)| (id.to_owned(), change));
    assert_eq!(told.into_inner().unwrap(), expected);
    assert_eq!(store.ledger_size().await.unwrap(), 6);

    for refused in [
        store
            .upsert_records_with(list, vec![passports("e", &["E"])], |_, _| None)
            .await
            .map(drop),
        store
            .delete_records_with(list, &["d".to_owned()], |_, _| None)
            .await
            .map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::NotRecorded)));
    }
    let stats = store.list_stats(list).await.unwrap();
    assert_eq!(stats.records, 2, "what could not be recorded was not done");
}

#[tokio::test]
async fn a_publication_and_an_agreement_are_recorded_with_their_change() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let mut publication = store
        .begin_publication(scope, selection(&[list], PASSPORT))
        .await
        .unwrap();
    while publication.next_page(10).await.unwrap().is_some() {}
    publication
        .commit_with("manifest", 2, entry(0, None))
        .await
        .unwrap();
    store
        .recording(entry(1, None))
        .suspend_agreement("a-1", "a test", 3)
        .await
        .unwrap();
    store
        .recording(entry(2, None))
        .suspend_agreement("a-1", "again", 4)
        .await
        .unwrap();
    store
        .recording(entry(2, None))
        .destroy_key(scope, 5)
        .await
        .map(drop)
        .unwrap();
    store
        .recording(entry(3, None))
        .destroy_key(scope, 6)
        .await
        .map(drop)
        .unwrap();
    assert_eq!(leaves(&store).await, ["{leaf 0}", "{leaf 1}", "{leaf 2}"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_many_at_once_are_numbered_without_a_gap() {
    let home = Home::new();
    let store = home.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..10_u64 {
                let entries = (0..3).map(|n| entry(task * 100 + round * 3 + n, None)).collect();
                store.append_entries(entries).await.unwrap();
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let all = store
        .ledger_entries(&EntryFilter::default(), 1_000)
        .await
        .unwrap();
    let numbers: Vec<u64> = all.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (0..240).collect::<Vec<u64>>());
    let leaves: std::collections::BTreeSet<Vec<u8>> = all.into_iter().map(|entry| entry.leaf).collect();
    assert_eq!(leaves.len(), 240, "each once");
}

/// Whoever goes away in the middle, seen to the end or not, leaves no gap and stands in nobody's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_those_who_go_away_are_numbered_without_a_gap() {
    let home = Home::new();
    let store = home.open().await;
    let begin = |id: u8| {
        store.begin_exchanges(vec![(
            an_exchange([id; 16], 1),
            an_entry("evaluation.opened", Some([id; 16])),
        )])
    };
    for polls in 0..40_u8 {
        let mut transaction = Box::pin(store.append_entries(vec![entry(1, None), entry(2, None)]));
        let mut statement = Box::pin(begin(polls + 100));
        for _ in 0..polls / 2 {
            let ended = std::future::poll_fn(|task| {
                let ended =
                    transaction.as_mut().poll(task).is_ready() || statement.as_mut().poll(task).is_ready();
                std::task::Poll::Ready(ended)
            });
            if ended.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop((transaction, statement));
        begin(polls).await.unwrap();
        let closed = store.close_exchange(an_entry("evaluation", Some([polls; 16])));
        assert!(closed.await.unwrap());
    }
    let all = store
        .ledger_entries(&EntryFilter::default(), 1_000)
        .await
        .unwrap();
    assert!(all.len() >= 80);
    let numbers: Vec<u64> = all.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (0..all.len() as u64).collect::<Vec<u64>>());
}

#[tokio::test]
async fn nobody_changes_or_deletes_an_entry() {
    let home = Home::new();
    let store = home.open().await;
    store
        .append_entries((0..3).map(|n| entry(n, Some(9))).collect())
        .await
        .unwrap();
    store.erase_entries(&[1]).await.unwrap();
    store.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path());
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    for sql in [
        "DELETE FROM ledger_entry WHERE number = 2",
        "UPDATE ledger_entry SET leaf = x'00' WHERE number = 0",
        "UPDATE ledger_entry SET number = 9 WHERE number = 2",
        "UPDATE ledger_entry SET at_ms = 0 WHERE number = 0",
        "UPDATE ledger_entry SET kind = 'query' WHERE number = 0",
        "UPDATE ledger_entry SET erase_day = NULL WHERE number = 0",
        "UPDATE ledger_entry SET payload = x'00' WHERE number = 0",
        "UPDATE ledger_entry SET payload = x'00', key_sealed = x'00' WHERE number = 1",
        "UPDATE ledger_entry SET payload = NULL WHERE number = 0",
        "INSERT INTO ledger_entry (number, at_ms, kind, leaf) VALUES (9, 0, 'query', x'00')",
        "INSERT OR REPLACE INTO ledger_entry (number, at_ms, kind, leaf) VALUES (1, 0, 'query', x'00')",
    ] {
        let refused = sqlx::raw_sql(sql).execute(&mut conn).await;
        assert!(refused.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_stolen_database_shows_no_key() {
    let home = Home::new();
    let store = home.open().await;
    store
        .append_entries((0..50).map(|n| entry(n, None)).collect())
        .await
        .unwrap();
    let kept = store.ledger_entries(&EntryFilter::default(), 1).await.unwrap();
    let (payload, key) = kept[0].sealed.clone().unwrap();
    assert_eq!((payload, key), (entry(0, None).payload, entry(0, None).key));
    // What the caller sealed is there; the keys it was sealed under are not, without the master key.
    assert!(contains(&home.bytes_on_disk(), b"payload-of-000000007"));
    assert!(!contains(&home.bytes_on_disk(), b"key-of-0"));
    store.close().await;
    assert!(!contains(&home.bytes_on_disk(), b"key-of-0"));
    assert!(matches!(
        home.try_open([8; 32]).await,
        Err(StoreError::WrongMasterKey)
    ));
}

/// A key as it lies sealed in the database.
async fn sealed_keys(home: &Home) -> Vec<Vec<u8>> {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(home.path())
        .read_only(true);
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query_scalar(
        "SELECT key_sealed FROM ledger_entry WHERE key_sealed IS NOT NULL ORDER BY number LIMIT 10000",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap()
}

#[tokio::test]
async fn what_was_erased_is_nowhere() {
    const ERASED: u64 = 10_000;
    let home = Home::new();
    let store = home.open().await;
    for batch in 0..20 {
        let entries =
            (batch * 512..(batch + 1) * 512).map(|n| entry(n, Some(if n < ERASED { 100 } else { 101 })));
        store.append_entries(entries.collect()).await.unwrap();
    }
    let keys = sealed_keys(&home).await;
    let before = home.bytes_on_disk();
    assert!(contains(&before, b"payload-of-000000000") && contains(&before, &keys[0]));

    assert_eq!(store.entries_due(99, 100).await.unwrap(), [0_u64; 0]);
    while let due = store.entries_due(100, 1_000).await.unwrap()
        && !due.is_empty()
    {
        let erasure = NewEntry {
            kind: "erasure",
            ..entry(due[0] + 1_000_000, None)
        };
        store.recording(erasure).erase_entries(&due).await.unwrap();
    }
    assert_eq!(store.checkpoint().await.unwrap(), Erasure::Complete);
    assert_eq!(store.ledger_size().await.unwrap(), 10_240 + 10);

    // A search of every file for every payload and every sealed key, by their first sixteen bytes.
    let bytes = home.bytes_on_disk();
    let mut needles = std::collections::HashSet::new();
    for (number, key) in (0..ERASED).zip(&keys) {
        needles.insert(entry(number, None).payload[..20].to_vec());
        needles.insert(key[..20].to_vec());
    }
    let found = bytes
        .windows(20)
        .filter(|window| needles.contains(*window))
        .count();
    assert_eq!(found, 0, "erased bytes are still there");
    assert!(contains(&bytes, b"payload-of-000010000"), "not due yet");

    // Erased once only, and all or nothing.
    for numbers in [&[5_u64][..], &[10_000, 5], &[99_999]] {
        let again = store.recording(entry(7, None)).erase_entries(numbers).await;
        assert!(matches!(again, Err(StoreError::NotFound { .. })));
    }
    assert_eq!(store.ledger_size().await.unwrap(), 10_250);
    assert_eq!(
        store
            .entries_with_payload(9_990, 10_001, "erasure", 9)
            .await
            .unwrap(),
        [10_000, 10_001]
    );
}

/// The exchange that an erased entry was about says no more than the ledger does.
#[tokio::test]
async fn what_is_erased_of_an_exchange_is_nowhere_else() {
    const OPENED: &str = "query.opened";
    let home = Home::new();
    let store = home.open().await;
    let exchange = |id: u8| Exchange {
        id: uuid::Uuid::from_bytes([id; 16]),
        at_ms: 7,
        partner: "agency-b".to_owned(),
        scope: None,
        purpose: format!("purpose-of-{id}"),
        legal_basis: format!("basis-of-{id}"),
        elements: 1_024,
        asked: Some(Asked {
            query: uuid::Uuid::from_bytes([id + 100; 16]),
            client: format!("client-of-{id}"),
            officer: format!("officer-of-{id}").into(),
            ordered_by: format!("commander-of-{id}").into(),
            case_reference: format!("case-of-{id}").into(),
        }),
    };
    let begun = |id| (exchange(id), an_entry(OPENED, Some([id; 16])));
    // Entries 0 to 2, then 3 and 4: the third stays open.
    store
        .begin_exchanges(vec![begun(10), begun(11), begun(12)])
        .await
        .unwrap();
    for id in [10, 11] {
        assert!(
            store
                .close_exchange(an_entry("query", Some([id; 16])))
                .await
                .unwrap()
        );
    }
    let sealed = sealed_cells(&home).await;
    assert_eq!(sealed.len(), 9);
    let erase = async |numbers: &[u64]| {
        let erasure = store.recording(an_entry("erasure", None));
        erasure.erase_entries(numbers).await.unwrap();
        assert_eq!(store.checkpoint().await.unwrap(), Erasure::Complete);
    };
    let known = async |id| {
        let known = store.exchange(uuid::Uuid::from_bytes([id; 16])).await.unwrap();
        known == Some(exchange(id))
    };

    erase(&[0, 2]).await;
    assert!(known(10).await, "how it ended is not erased, and says the same");
    assert!(known(12).await, "it has not ended");
    erase(&[3]).await;
    assert!(!known(10).await && known(11).await && known(12).await);

    let left = store
        .exchange(uuid::Uuid::from_bytes([10; 16]))
        .await
        .unwrap()
        .unwrap();
    let asked = left.asked.unwrap();
    assert_eq!((left.at_ms, left.elements), (7, 1_024), "what was used stays");
    let forgotten = [
        &*asked.officer,
        &*asked.ordered_by,
        &*asked.case_reference,
        &asked.client,
    ];
    assert!(forgotten.iter().all(|text| text.is_empty()));
    let bytes = home.bytes_on_disk();
    for text in ["purpose-of-10", "basis-of-10", "client-of-10"] {
        assert!(!contains(&bytes, text.as_bytes()), "{text}");
    }
    for (position, cell) in sealed.iter().enumerate() {
        assert_eq!(contains(&bytes, cell), position >= 3, "cell {position}");
    }
    // Nobody else changes or forgets one.
    store.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path());
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    for sql in [
        "UPDATE exchange SET elements = 1",
        "UPDATE exchange SET purpose = 'other' WHERE purpose = ''",
        "UPDATE exchange SET purpose = '' WHERE purpose <> ''",
        "DELETE FROM exchange WHERE purpose = ''",
    ] {
        let refused = sqlx::raw_sql(sql).execute(&mut conn).await;
        assert!(refused.is_err(), "{sql}");
    }
}

/// What of exchanges lies sealed in the database.
async fn sealed_cells(home: &Home) -> Vec<Vec<u8>> {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(home.path())
        .read_only(true);
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT officer_sealed, case_reference_sealed, ordered_by_sealed FROM exchange ORDER BY seq",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let cells = rows.into_iter();
    cells.flat_map(|(a, b, c)| [a, b, c]).collect()
}
