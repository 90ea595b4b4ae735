//! Who wrote a record, through every way in which records change.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use concordat_store::{
    CaseChange, CasePrivate, ImportCounts, ImportMode, ListId, NewRecord, Store, StoreError,
};

fn by(author: &str, numbers: &[&str]) -> NewRecord {
    NewRecord {
        authors: vec![author.to_owned()],
        ..passports("W-1", numbers)
    }
}

async fn upsert(store: &Store, list: ListId, record: NewRecord) -> ImportCounts {
    store.upsert_records(list, vec![record]).await.unwrap()
}

async fn import(store: &Store, list: ListId, records: Vec<NewRecord>) -> ImportCounts {
    let mut import = store
        .begin_import(list, ImportMode::Replace, "", 0)
        .await
        .unwrap();
    import.stage(records).await.unwrap();
    import.commit(0).await.unwrap()
}

async fn authors(store: &Store, list: ListId) -> Vec<String> {
    store.record(list, "W-1").await.unwrap().unwrap().authors
}

#[tokio::test]
async fn whoever_changes_a_record_is_added_to_its_authors() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 0).await.unwrap();
    upsert(&store, list, by("anna", &["P1"])).await;
    let record = store.record(list, "W-1").await.unwrap().unwrap();
    assert_eq!(record.authors, ["anna"]);
    assert_eq!(record.payload, passports("W-1", &["P1"]).payload);

    // The same content is no change, whoever sends it.
    assert_eq!(upsert(&store, list, by("cleo", &["P1"])).await.unchanged, 1);
    assert_eq!(import(&store, list, vec![by("cleo", &["P1"])]).await.unchanged, 1);
    assert_eq!(authors(&store, list).await, ["anna"]);

    assert_eq!(upsert(&store, list, by("ben", &["P2"])).await.changed, 1);
    assert_eq!(authors(&store, list).await, ["anna", "ben"]);
    // A system changes it and names nobody: those who wrote it stay.
    assert_eq!(
        import(&store, list, vec![passports("W-1", &["P3"])])
            .await
            .changed,
        1
    );
    assert_eq!(authors(&store, list).await, ["anna", "ben"]);
    assert_eq!(import(&store, list, vec![by("anna", &["P4"])]).await.changed, 1);
    assert_eq!(authors(&store, list).await, ["ben", "anna"]);

    // Removed and entered anew, it is another's work.
    store.delete_records(list, &["W-1".to_owned()]).await.unwrap();
    upsert(&store, list, passports("W-1", &["P4"])).await;
    assert_eq!(authors(&store, list).await, [""; 0]);
}

#[tokio::test]
async fn a_record_does_not_lose_its_authors_by_the_number_beside_it() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 0).await.unwrap();
    upsert(&store, list, by("anna", &["P1"])).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path());
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE record_payload SET form = 1")
        .execute(&mut conn)
        .await
        .unwrap();
    let opened = store.record(list, "W-1").await;
    assert!(matches!(opened, Err(StoreError::Sealed { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_case_keeps_its_authors_and_tells_nobody_from_nothing_known() {
    let home = Home::new();
    let store = home.open().await;
    for (n, authors) in [
        (1, None),
        (2, Some(vec![])),
        (3, Some(vec!["anna".to_owned(), "ben".to_owned()])),
    ] {
        let private = CasePrivate {
            authors,
            ..CasePrivate::default()
        };
        let opened = CaseChange {
            private: Some(private.clone()),
            ..cases::full(n)
        };
        let opened = CaseChange {
            counters: Vec::new(),
            ..opened
        };
        store.change_case(opened).await.unwrap();
        assert_eq!(store.case_private(&cases::id(n)).await.unwrap(), Some(private));
    }
}
