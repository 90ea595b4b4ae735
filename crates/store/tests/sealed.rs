//! Sealing: what lies on the disk says nothing without the master key, and nothing can be moved.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use concordat_store::*;
use uuid::Uuid;
use zeroize::Zeroizing;

const CANARY: &str = "CANARY-P1234567";
const PAYLOAD: &str = "CANARY-payload-of-the-record";
const CASE: &str = "CANARY-case-K-17";
const OFFICER: &str = "CANARY-officer-4711";
const AUTHOR: &str = "CANARY-author-0815";
const SPEC: &[u8] = b"CANARY-spec-of-the-job";
const MATCHED: &str = "CANARY-source-42";
const SEED: [u8; 32] = *b"CANARY-seed-of-thirty-two-bytes!";

/// Writes each secret through each way into the database.
async fn fill(store: &Store) -> (ListId, ScopeId, JobId) {
    let list = store.create_list("wanted", 0).await.unwrap();
    let secret = |source: &str| NewRecord {
        payload: Zeroizing::new(PAYLOAD.as_bytes().to_vec()),
        authors: vec![AUTHOR.to_owned()],
        ..passports(source, &[CANARY])
    };
    store.upsert_records(list, vec![secret("r1")]).await.unwrap();
    let mut import = store.begin_import(list, ImportMode::Merge, "", 0).await.unwrap();
    import
        .stage(vec![secret("r2"), passports("r3", &["other"])])
        .await
        .unwrap();
    import.commit(0).await.unwrap();

    store.put_agreement(&agreement("a-1"), 0).await.unwrap();
    let role = NewScopeRole::Owner {
        seed: Zeroizing::new(SEED),
    };
    let scope = store.create_scope(&new_scope(1, role), 0).await.unwrap();
    let job = NewJob {
        id: Uuid::from_bytes([1; 16]),
        request_id: None,
        kind: "intersect".to_owned(),
        spec: Zeroizing::new(SPEC.to_vec()),
    };
    let job = store.create_job(&job, 0).await.unwrap();
    let item = ChunkItem {
        blind_index: store.blind_index(PASSPORT, 10, CANARY.as_bytes()),
        rule: 10,
        grade: 0,
        canonical: Zeroizing::new(CANARY.as_bytes().to_vec()),
    };
    let plan = ChunkPlan {
        job,
        scope,
        index: 0,
        seed: Zeroizing::new(SEED),
        items: vec![item],
    };
    store.plan_chunk(&plan).await.unwrap();
    let found = NewMatch {
        list,
        source_id: MATCHED.to_owned(),
        partner: "agency-b".to_owned(),
        kind: PASSPORT,
        rule: 10,
        grade: 0,
    };
    store.add_matches(job, 0, &[found]).await.unwrap();
    let exchange = Exchange {
        id: Uuid::from_bytes([2; 16]),
        at_ms: 1,
        partner: "agency-b".to_owned(),
        scope: Some(scope),
        purpose: "border control".to_owned(),
        legal_basis: "art. 1".to_owned(),
        elements: 16,
        asked: Some(Asked {
            query: Uuid::from_bytes([3; 16]),
            client: "gate-7".to_owned(),
            officer: Zeroizing::new(OFFICER.to_owned()),
            ordered_by: Zeroizing::new("commander".into()),
            case_reference: Zeroizing::new(CASE.to_owned()),
        }),
    };
    store.append_exchange(&exchange).await.unwrap();
    assert_eq!(store.exchanges(None, 10).await.unwrap(), [exchange]);
    (list, scope, job)
}

#[tokio::test]
async fn no_secret_lies_in_the_database_nor_in_its_log() {
    let home = Home::new();
    let store = home.open().await;
    let (_, scope, job) = fill(&store).await;
    let check = |bytes: &[u8]| {
        assert!(contains(bytes, b"agency-b"), "the files are really read");
        for secret in [
            CANARY.as_bytes(),
            PAYLOAD.as_bytes(),
            CASE.as_bytes(),
            OFFICER.as_bytes(),
            AUTHOR.as_bytes(),
            SPEC,
            MATCHED.as_bytes(),
            &SEED,
        ] {
            // The middle, so that a value cut in two pages is found as well.
            assert!(
                !contains(bytes, &secret[3..15]),
                "{}",
                String::from_utf8_lossy(secret)
            );
        }
    };
    check(&home.bytes_on_disk());
    assert_eq!(store.scope_seed(scope).await.unwrap().as_slice(), SEED);
    assert_eq!(store.job(job).await.unwrap().spec.as_slice(), SPEC);
    assert_eq!(
        store.matches_page(job, None, 1).await.unwrap()[0].found.source_id,
        MATCHED
    );
    store.close().await;
    check(&home.bytes_on_disk());
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let home = Home::new();
    let store = home.open().await;
    let (list, scope, job) = fill(&store).await;
    let page = store
        .identifiers_page(&selection(&[list], PASSPORT), None, 10)
        .await
        .unwrap();
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        page,
        store.record(list, "r1").await.unwrap(),
        store.planned_chunks(job, scope).await.unwrap(),
        store.job(job).await.unwrap(),
        store.matches_page(job, None, 9).await.unwrap(),
        store.exchanges(None, 9).await.unwrap(),
        passports("CANARY-source-1", &[CANARY]),
        NewScopeRole::Owner {
            seed: Zeroizing::new(SEED)
        },
    );
    let bytes = |secret: &[u8]| format!("{:?}", &secret[..4]);
    for secret in [CANARY.as_bytes(), SPEC, &SEED] {
        assert!(!shown.contains(bytes(secret).trim_matches(['[', ']'])), "{shown}");
    }
    assert!(!shown.contains("CANARY"), "{shown}");
}

#[tokio::test]
async fn a_wrong_master_key_is_named_and_a_rotated_one_takes_over() {
    let home = Home::new();
    let store = home.open().await;
    let (list, ..) = fill(&store).await;
    assert_eq!(
        store.rotate_master_key(&MasterKey::new([8; 32])).await.unwrap(),
        Erasure::Complete
    );
    drop(store);
    assert!(matches!(
        home.try_open([7; 32]).await,
        Err(StoreError::WrongMasterKey)
    ));
    assert!(matches!(
        home.try_open([9; 32]).await,
        Err(StoreError::WrongMasterKey)
    ));
    let store = home.try_open([8; 32]).await.unwrap();
    assert_eq!(canonicals(&store, &selection(&[list], PASSPORT)).await.len(), 2);
    let found = store
        .records_with(PASSPORT, store.blind_index(PASSPORT, 10, CANARY.as_bytes()))
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn values_moved_between_rows_do_not_open() {
    let home = Home::new();
    let store = home.open().await;
    let (list, scope, job) = fill(&store).await;
    let sealed = |result: StoreError, place: (&str, &str)| match result {
        StoreError::Sealed { table, column } => assert_eq!((table, column), place),
        other => panic!("{other}"),
    };

    // The identifier of r3 gets the sealed value of r1's.
    tamper(
        &home,
        "UPDATE identifier SET sealed = (SELECT i.sealed FROM identifier i JOIN record r ON r.id = i.record_id
             WHERE r.source_id = 'r1')
         WHERE record_id = (SELECT id FROM record WHERE source_id = 'r3')",
    )
    .await;
    let page = store
        .identifiers_page(&selection(&[list], PASSPORT), None, 10)
        .await;
    sealed(page.unwrap_err(), ("identifier", "sealed"));

    // r1 and r2 have the same content; even so the payload belongs to its record.
    tamper(
        &home,
        "UPDATE record_payload SET sealed = (SELECT p.sealed FROM record_payload p JOIN record r ON r.id = p.record_id
             WHERE r.source_id = 'r1')
         WHERE record_id = (SELECT id FROM record WHERE source_id = 'r2')",
    )
    .await;
    assert!(store.record(list, "r1").await.unwrap().is_some());
    sealed(
        store.record(list, "r2").await.unwrap_err(),
        ("record_payload", "sealed"),
    );
    // Neither does a record take its payload along to another name.
    tamper(&home, "UPDATE record SET source_id = 'r9' WHERE source_id = 'r1'").await;
    sealed(
        store.record(list, "r9").await.unwrap_err(),
        ("record_payload", "sealed"),
    );

    tamper(
        &home,
        "DROP TRIGGER scope_key_is_pinned; UPDATE scope SET epoch = 2",
    )
    .await;
    sealed(
        store.scope_seed(scope).await.unwrap_err(),
        ("scope_key", "seed_sealed"),
    );
    tamper(&home, "UPDATE job_chunk SET idx = 5").await;
    sealed(
        store.planned_chunks(job, scope).await.unwrap_err(),
        ("job_chunk", "plan_sealed"),
    );
    tamper(&home, "UPDATE job_match SET match_key = zeroblob(16)").await;
    sealed(
        store.matches_page(job, None, 9).await.unwrap_err(),
        ("job_match", "source_id_sealed"),
    );
    tamper(&home, "UPDATE job SET spec_sealed = substr(spec_sealed, 1, 20)").await;
    sealed(store.job(job).await.unwrap_err(), ("job", "spec_sealed"));
    tamper(
        &home,
        "UPDATE meta SET value = zeroblob(72) WHERE key = 'data_key'",
    )
    .await;
    drop(store);
    assert!(matches!(
        home.try_open([7; 32]).await,
        Err(StoreError::WrongMasterKey)
    ));
}

/// One column of one row, as it lies in the database.
async fn column(home: &Home, query: &'static str) -> Vec<u8> {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(home.path())
        .read_only(true);
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query_scalar(query).fetch_one(&mut conn).await.unwrap()
}

fn no_part_is_left(home: &Home, sealed: &[u8]) {
    let bytes = home.bytes_on_disk();
    for part in sealed.chunks_exact(8) {
        assert!(!contains(&bytes, part));
    }
}

#[tokio::test]
async fn a_destroyed_key_is_gone_from_the_files() {
    let home = Home::new();
    let store = home.open().await;
    let (_, scope, _) = fill(&store).await;
    // Neighbours on the same page, so that what is freed is not overwritten by chance.
    for epoch in 2..12 {
        let role = NewScopeRole::Owner {
            seed: Zeroizing::new([epoch as u8; 32]),
        };
        store.create_scope(&new_scope(epoch, role), 0).await.unwrap();
    }
    let query = "SELECT seed_sealed FROM scope_key JOIN scope ON id = scope_id WHERE epoch = 1";
    let sealed = column(&home, query).await;
    // The seed itself and its tag come last.
    let sealed = &sealed[sealed.len() - 48..];
    let _ = store.checkpoint().await.unwrap();
    assert!(
        contains(&home.bytes_on_disk(), sealed),
        "the sealed seed is in the file while the key lives"
    );
    let count = "SELECT count(*) FROM dbstat WHERE name = 'scope_key' AND pagetype = 'overflow'";
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(home.path())
        .read_only(true);
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let pages: i64 = sqlx::query_scalar(count).fetch_one(&mut conn).await.unwrap();
    assert_eq!(pages, 11, "each seed on a page of its own");
    drop(conn);
    assert_eq!(store.destroy_key(scope, 9).await.unwrap(), Erasure::Complete);
    no_part_is_left(&home, sealed);
    let destroyed = store.scope_seed(scope).await;
    assert!(
        matches!(destroyed, Err(StoreError::NoKey { destroyed: true, .. })),
        "{destroyed:?}"
    );
}

#[tokio::test]
async fn a_deleted_record_is_gone_from_the_files_once_purged() {
    let home = Home::new();
    let store = home.open().await;
    let (list, ..) = fill(&store).await;
    let payload = column(&home, "SELECT sealed FROM record_payload ORDER BY record_id").await;
    let identifier = column(&home, "SELECT sealed FROM identifier ORDER BY record_id").await;
    store.delete_records(list, &["r1".to_owned()]).await.unwrap();
    purge(&store).await;
    assert_eq!(store.checkpoint().await.unwrap(), Erasure::Complete);
    no_part_is_left(&home, &payload);
    no_part_is_left(&home, &identifier);
}

/// Erasing is not done while somebody reads an old state; trying again does not hold up writers.
#[tokio::test]
async fn erasing_is_tried_again_without_waiting() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let mut publication = store
        .begin_publication(scope, selection(&[list], PASSPORT))
        .await
        .unwrap();
    publication.next_page(1).await.unwrap();
    store.set_fact("later", "than the view", 0).await.unwrap();
    assert_eq!(store.checkpoint_unless_read().await.unwrap(), Erasure::LogInUse);
    store.set_fact("later", "still", 0).await.unwrap();
    drop(publication);
    // The view's connection ends on a thread of its own.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while store.checkpoint_unless_read().await.unwrap() == Erasure::LogInUse {
        assert!(std::time::Instant::now() < deadline, "the log stays in use");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut log = home.path().into_os_string();
    log.push("-wal");
    assert_eq!(std::fs::metadata(log).unwrap().len(), 0);
}
