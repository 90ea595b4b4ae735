//! Imports: what is visible when, whatever happens half way.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use concordat_store::*;
use proptest::prelude::*;

async fn import(store: &Store, list: ListId, mode: ImportMode, records: Vec<NewRecord>) -> ImportCounts {
    let mut import = store.begin_import(list, mode, "jsonl", 10).await.unwrap();
    assert_eq!(import.stage(records).await.unwrap(), Vec::<usize>::new());
    import.commit(20).await.unwrap()
}

#[tokio::test]
async fn nothing_is_visible_before_the_commit_and_everything_after() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let all = selection(&[list], PASSPORT);
    let mut import = store
        .begin_import(list, ImportMode::Replace, "jsonl", 10)
        .await
        .unwrap();
    import
        .stage(vec![passports("r1", &["A1", "A2"]), passports("r2", &["A2"])])
        .await
        .unwrap();
    import.stage(vec![passports("r3", &[])]).await.unwrap();
    assert!(canonicals(&store, &all).await.is_empty());
    assert_eq!(store.list_stats(list).await.unwrap(), ListStats::default());
    assert!(store.record(list, "r1").await.unwrap().is_none());

    let counts = import.commit(20).await.unwrap();
    assert_eq!(
        counts,
        ImportCounts {
            added: 3,
            ..ImportCounts::default()
        }
    );
    let visible: BTreeSet<String> = canonicals(&store, &all).await.into_iter().collect();
    assert_eq!(visible, BTreeSet::from(["A1".to_owned(), "A2".to_owned()]));
    let stats = store.list_stats(list).await.unwrap();
    assert_eq!(
        (stats.records, &stats.identifiers),
        (3, &Counts::from([(PASSPORT, 3)]))
    );
    let last = stats.last_import.unwrap();
    assert_eq!(
        (last.state, last.format.as_str()),
        (ImportState::Committed, "jsonl")
    );
    assert_eq!(
        (last.started_ms, last.finished_ms, last.counts),
        (10, Some(20), counts)
    );

    let found = store
        .records_with(PASSPORT, store.blind_index(PASSPORT, 10, b"A2"))
        .await
        .unwrap();
    let sources: Vec<&str> = found.iter().map(|record| record.source_id.as_str()).collect();
    assert_eq!(sources, ["r1", "r2"]);
    let payload = store.record(list, "r2").await.unwrap().unwrap().payload;
    assert_eq!(payload.as_slice(), b"r2|A2");
}

#[tokio::test]
async fn a_second_import_changes_what_changed_and_nothing_else() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let first = vec![
        passports("same", &["A1"]),
        passports("changes", &["A2"]),
        passports("goes", &["A3"]),
    ];
    import(&store, list, ImportMode::Replace, first.clone()).await;

    let again = import(&store, list, ImportMode::Replace, first).await;
    assert_eq!(
        again,
        ImportCounts {
            unchanged: 3,
            ..ImportCounts::default()
        }
    );
    assert_eq!(
        rows(&home, "record").await,
        3,
        "an unchanged import writes no record"
    );

    let second = vec![
        passports("same", &["A1"]),
        passports("changes", &["B2", "B3"]),
        passports("comes", &["B4"]),
    ];
    let counts = import(&store, list, ImportMode::Replace, second).await;
    let expected = ImportCounts {
        added: 1,
        changed: 1,
        removed: 1,
        unchanged: 1,
        rejected: 0,
    };
    assert_eq!(counts, expected);
    let visible: BTreeSet<String> = canonicals(&store, &selection(&[list], PASSPORT))
        .await
        .into_iter()
        .collect();
    assert_eq!(visible, ["A1", "B2", "B3", "B4"].map(str::to_owned).into());
    let stats = store.list_stats(list).await.unwrap();
    assert_eq!(
        (stats.records, stats.identifiers),
        (3, Counts::from([(PASSPORT, 4)]))
    );

    let merged = import(&store, list, ImportMode::Merge, vec![passports("more", &["C1"])]).await;
    assert_eq!((merged.added, merged.removed), (1, 0));
    assert_eq!(store.list_stats(list).await.unwrap().records, 4);

    purge(&store).await;
    assert_eq!(
        (rows(&home, "record").await, rows(&home, "record_payload").await),
        (4, 4)
    );
    assert_eq!(
        (
            rows(&home, "identifier").await,
            rows(&home, "identifier_index").await
        ),
        (5, 5)
    );
}

#[tokio::test]
async fn the_same_source_id_twice_is_told_and_the_first_one_counts() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    import(
        &store,
        list,
        ImportMode::Replace,
        vec![passports("known", &["K"]), passports("old", &["O"])],
    )
    .await;
    let mut import = store
        .begin_import(list, ImportMode::Replace, "", 0)
        .await
        .unwrap();
    // New, unchanged and changed records, each met again: in the batch, across the pieces of a batch, in a later one.
    let mut batch = vec![
        passports("new", &["N"]),
        passports("known", &["K"]),
        passports("old", &["P"]),
    ];
    batch.extend((0..600).map(|n| passports(&format!("bulk-{n}"), &[])));
    batch.extend([passports("new", &["X"]), passports("bulk-599", &[])]);
    assert_eq!(import.stage(batch).await.unwrap(), [603, 604]);
    let late = vec![
        passports("new", &["N"]),
        passports("known", &["K"]),
        passports("old", &["Q"]),
    ];
    assert_eq!(import.stage(late).await.unwrap(), [0, 1, 2]);
    let counts = import.commit(1).await.unwrap();
    assert_eq!(
        (counts.added, counts.changed, counts.unchanged, counts.removed),
        (601, 1, 1, 0)
    );
    let visible: BTreeSet<String> = canonicals(&store, &selection(&[list], PASSPORT))
        .await
        .into_iter()
        .collect();
    assert_eq!(visible, ["K", "N", "P"].map(str::to_owned).into());
}

#[tokio::test]
async fn an_import_that_is_dropped_or_aborted_leaves_no_trace_and_blocks_nobody() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    import(
        &store,
        list,
        ImportMode::Replace,
        vec![passports("a", &["A"]), passports("b", &["B"])],
    )
    .await;
    let stats = store.list_stats(list).await.unwrap();
    for end in ["drop", "abort", "drop while staging"] {
        let mut import = store
            .begin_import(list, ImportMode::Replace, "", 5)
            .await
            .unwrap();
        import
            .stage(vec![passports("a", &["changed"]), passports("c", &["C"])])
            .await
            .unwrap();
        match end {
            "drop" => drop(import),
            "abort" => import.abort(6).await.unwrap(),
            _ => {
                let many = (0..2_000).map(|n| passports(&format!("m{n}"), &["M"])).collect();
                let staged = tokio::time::timeout(std::time::Duration::ZERO, import.stage(many)).await;
                assert!(staged.is_err());
                assert!(matches!(
                    import.commit(7).await,
                    Err(StoreError::ImportIncomplete { .. })
                ));
            }
        }
        assert_eq!(store.list_stats(list).await.unwrap(), stats, "{end}");
        purge(&store).await;
        assert_eq!(
            (rows(&home, "record").await, rows(&home, "identifier_index").await),
            (2, 2),
            "{end}"
        );
        assert_eq!(
            rows(&home, "record WHERE removed_by IS NOT NULL").await,
            0,
            "{end}"
        );
    }
}

#[tokio::test]
async fn one_change_of_a_list_at_a_time() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let other = store.create_list("other", 1).await.unwrap();
    let mut running = store.begin_import(list, ImportMode::Merge, "", 0).await.unwrap();
    running.stage(vec![passports("a", &["A"])]).await.unwrap();
    let busy = |error| matches!(error, StoreError::ImportRunning { list: busy } if busy == list);
    assert!(busy(
        store
            .begin_import(list, ImportMode::Merge, "", 0)
            .await
            .unwrap_err()
    ));
    assert!(busy(
        store
            .upsert_records(list, vec![passports("b", &[])])
            .await
            .unwrap_err()
    ));
    assert!(busy(
        store.delete_records(list, &["a".to_owned()]).await.unwrap_err()
    ));
    assert!(busy(store.delete_list(list, 9).await.unwrap_err()));
    store
        .upsert_records(other, vec![passports("b", &["B"])])
        .await
        .unwrap();
    running.commit(1).await.unwrap();
    store
        .upsert_records(list, vec![passports("b", &["B"])])
        .await
        .unwrap();
    assert_eq!(store.list_stats(list).await.unwrap().records, 2);
}

#[tokio::test]
async fn upsert_and_delete_are_seen_at_once() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let all = selection(&[list], PASSPORT);
    let batch = vec![
        passports("a", &["A"]),
        passports("b", &["B"]),
        passports("b", &["B2"]),
    ];
    let counts = store.upsert_records(list, batch).await.unwrap();
    assert_eq!((counts.added, counts.changed), (2, 0));
    assert!(
        store
            .records_with(PASSPORT, store.blind_index(PASSPORT, 10, b"B"))
            .await
            .unwrap()
            .is_empty()
    );
    let counts = store
        .upsert_records(list, vec![passports("a", &["A"]), passports("b", &["B3"])])
        .await
        .unwrap();
    assert_eq!((counts.unchanged, counts.changed), (1, 1));
    let sources = ["a", "a", "never"].map(str::to_owned);
    assert_eq!(store.delete_records(list, &sources).await.unwrap(), 1);
    assert_eq!(canonicals(&store, &all).await, ["B3"]);
    // What was deleted may come back.
    assert_eq!(
        store
            .upsert_records(list, vec![passports("a", &["A"])])
            .await
            .unwrap()
            .added,
        1
    );
    let stats = store.list_stats(list).await.unwrap();
    assert_eq!(
        (stats.records, stats.identifiers, stats.last_import),
        (2, Counts::from([(PASSPORT, 2)]), None)
    );
    purge(&store).await;
    assert_eq!(
        (rows(&home, "record").await, rows(&home, "identifier_index").await),
        (2, 2)
    );

    let too_many = vec![passports("x", &[]); MAX_UPSERT + 1];
    assert!(matches!(
        store.upsert_records(list, too_many).await,
        Err(StoreError::TooMany { .. })
    ));
    let nameless = store.upsert_records(list, vec![passports("", &[])]).await;
    assert!(
        matches!(nameless, Err(StoreError::Invalid { .. })),
        "{nameless:?}"
    );
    let nowhere = store.upsert_records(ListId(99), vec![passports("x", &[])]).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound { what: "list" })));
}

#[tokio::test]
async fn a_deleted_list_is_gone_at_once_and_its_name_is_free() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    assert!(matches!(
        store.create_list("wanted", 2).await,
        Err(StoreError::AlreadyExists { what: "list" })
    ));
    import(&store, list, ImportMode::Replace, vec![passports("a", &["A"])]).await;
    store
        .upsert_records(list, vec![passports("b", &["B"])])
        .await
        .unwrap();
    store.delete_list(list, 3).await.unwrap();
    assert!(canonicals(&store, &selection(&[list], PASSPORT)).await.is_empty());
    assert!(store.record(list, "a").await.unwrap().is_none());
    assert!(store.list("wanted").await.unwrap().is_none() && store.lists().await.unwrap().is_empty());
    assert!(matches!(
        store.delete_list(list, 4).await,
        Err(StoreError::NotFound { .. })
    ));
    assert!(matches!(
        store.begin_import(list, ImportMode::Merge, "", 4).await,
        Err(StoreError::NotFound { .. })
    ));
    let again = store.create_list("wanted", 5).await.unwrap();
    assert_ne!(again, list);
    store
        .upsert_records(again, vec![passports("a", &["A"])])
        .await
        .unwrap();
    purge(&store).await;
    assert_eq!(
        (
            rows(&home, "list").await,
            rows(&home, "import").await,
            rows(&home, "record").await
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn an_identifier_twice_in_a_record_is_kept_once_at_its_best() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let twice = record(
        "a",
        vec![
            variant(PERSON, "X"),
            identifier(PERSON, "X"),
            variant(PERSON, "Y"),
        ],
    );
    store.upsert_records(list, vec![twice]).await.unwrap();
    let found = store
        .records_with(PERSON, store.blind_index(PERSON, 20, b"X"))
        .await
        .unwrap();
    assert_eq!((found.len(), found[0].grade, found[0].variant), (1, 0, false));
    let asks = Selection {
        variants: false,
        ..selection(&[list], PERSON)
    };
    assert_eq!(canonicals(&store, &asks).await, ["X"]);
    let rows = store.record_identifiers(found[0].record).await.unwrap();
    assert_eq!(rows.len(), 2);
    // In another record the variant is no variant: the page says so.
    store
        .upsert_records(list, vec![record("b", vec![identifier(PERSON, "Y")])])
        .await
        .unwrap();
    let page = store
        .identifiers_page(&selection(&[list], PERSON), None, 10)
        .await
        .unwrap();
    assert!(page.iter().all(|row| !row.identifier.variant), "{page:?}");
}

#[tokio::test]
async fn rejects_are_kept_up_to_a_limit_and_all_counted() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let mut import = store.begin_import(list, ImportMode::Merge, "", 0).await.unwrap();
    let reject = |line| Reject {
        line,
        field: "document.number".to_owned(),
        rule: "ID-001".to_owned(),
        reason: "the check digit does not fit".to_owned(),
    };
    for start in 0..4 {
        let batch: Vec<Reject> = (0..2_999).map(|n| reject(start * 2_999 + n)).collect();
        import.reject(&batch).await.unwrap();
    }
    let id = import.id();
    assert_eq!(import.commit(1).await.unwrap().rejected, 11_996);
    let kept = store.rejects(id).await.unwrap();
    assert_eq!(kept.len() as u64, MAX_REJECTS_KEPT);
    assert!(kept.iter().map(|reject| reject.line).eq(0..MAX_REJECTS_KEPT));
    assert_eq!(kept[7], reject(7));
}

#[tokio::test]
async fn a_record_named_in_an_unusable_form_stays_as_it_was() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 1).await.unwrap();
    let first = ["a", "b", "c", "d"].map(|id| passports(id, &[&id.to_uppercase()]));
    import(&store, list, ImportMode::Replace, first.to_vec()).await;

    let mut running = store
        .begin_import(list, ImportMode::Replace, "", 10)
        .await
        .unwrap();
    assert_eq!((running.before(), running.missing()), (4, 4));
    running.stage(vec![passports("a", &["A"])]).await.unwrap();
    // Known; known twice; named in a usable form before; unknown.
    let ids = ["b", "b", "a", "z"].map(str::to_owned);
    running.keep(&ids).await.unwrap();
    running.keep(&["b".to_owned(), "c".to_owned()]).await.unwrap();
    assert_eq!((running.kept(), running.missing()), (2, 1));
    // Named in a usable form after all.
    running.stage(vec![passports("c", &["C2"])]).await.unwrap();
    assert_eq!((running.kept(), running.missing()), (1, 1));
    let counts = running.commit(20).await.unwrap();
    let expected = ImportCounts {
        changed: 1,
        removed: 1,
        unchanged: 1,
        ..ImportCounts::default()
    };
    assert_eq!(counts, expected);
    let visible: BTreeSet<String> = canonicals(&store, &selection(&[list], PASSPORT))
        .await
        .into_iter()
        .collect();
    assert_eq!(visible, ["A", "B", "C2"].map(str::to_owned).into());
    let stats = store.list_stats(list).await.unwrap();
    assert_eq!(
        (stats.records, stats.identifiers),
        (3, Counts::from([(PASSPORT, 3)]))
    );
    // The next whole import judges it anew.
    let counts = import(&store, list, ImportMode::Replace, vec![passports("a", &["A"])]).await;
    assert_eq!((counts.removed, counts.unchanged), (2, 1));
}

/// Dropping a store without closing it, at every step of an import, is a power cut as far as the tables go.
#[tokio::test]
async fn a_restart_at_any_step_keeps_what_was_committed_and_only_that() {
    let home = Home::new();
    let list = home.open().await.create_list("wanted", 1).await.unwrap();
    let mut expected: Vec<String> = Vec::new();
    for step in 0..4 {
        let store = home.open().await;
        let name = format!("N{step}");
        let mut import = store
            .begin_import(list, ImportMode::Replace, "", 0)
            .await
            .unwrap();
        if step > 0 {
            import.stage(vec![passports("r", &[&name])]).await.unwrap();
        }
        if step == 2 {
            import.commit(1).await.unwrap();
            expected = vec![name];
        } else if step == 3 {
            import.abort(1).await.unwrap();
        } else {
            // To the tables this is what a crash is: nobody says that the import is over.
            drop(import);
        }
        drop(store);
        let store = home.open().await;
        assert_eq!(
            canonicals(&store, &selection(&[list], PASSPORT)).await,
            expected,
            "step {step}"
        );
        let running = store.imports(list, 10).await.unwrap();
        assert!(running.iter().all(|import| import.state != ImportState::Staging));
    }
}

type Model = BTreeMap<u8, BTreeSet<u8>>;

/// One step of the property test. Source ids and identifiers are small numbers, so that they meet often.
#[derive(Clone, Debug)]
enum Step {
    Import(ImportMode, Vec<Vec<(u8, BTreeSet<u8>)>>, End),
    Upsert(Vec<(u8, BTreeSet<u8>)>),
    Delete(Vec<u8>),
    Purge(usize),
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Commit,
    Abort,
    Drop,
}

fn content() -> impl Strategy<Value = (u8, BTreeSet<u8>)> {
    (0_u8..8, prop::collection::btree_set(0_u8..12, 0..4))
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop_oneof![Just(ImportMode::Replace), Just(ImportMode::Merge)];
    let end = prop_oneof![3 => Just(End::Commit), 1 => Just(End::Abort), 1 => Just(End::Drop)];
    let batches = prop::collection::vec(prop::collection::vec(content(), 0..5), 0..3);
    prop_oneof![
        4 => (mode, batches, end).prop_map(|(mode, batches, end)| Step::Import(mode, batches, end)),
        2 => prop::collection::vec(content(), 0..4).prop_map(Step::Upsert),
        2 => prop::collection::vec(0_u8..8, 0..3).prop_map(Step::Delete),
        2 => (0_usize..6).prop_map(Step::Purge),
        1 => Just(Step::Reopen),
    ]
}

fn make(content: &(u8, BTreeSet<u8>)) -> NewRecord {
    let texts: Vec<String> = content.1.iter().map(|n| format!("ID{n}")).collect();
    passports(
        &format!("s{}", content.0),
        &texts.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

async fn apply(home: &Home, store: &mut Store, list: ListId, model: &mut Model, step: Step) {
    match step {
        Step::Import(mode, batches, end) => {
            let mut import = store.begin_import(list, mode, "", 0).await.unwrap();
            let (mut next, mut named) = (model.clone(), BTreeMap::new());
            for batch in batches {
                let mut repeated = Vec::new();
                for (position, (source, identifiers)) in batch.iter().enumerate() {
                    if named.insert(*source, ()).is_some() {
                        repeated.push(position);
                    } else {
                        next.insert(*source, identifiers.clone());
                    }
                }
                assert_eq!(
                    import.stage(batch.iter().map(make).collect()).await.unwrap(),
                    repeated
                );
            }
            if mode == ImportMode::Replace {
                next.retain(|source, _| named.contains_key(source));
            }
            match end {
                End::Drop => drop(import),
                End::Abort => import.abort(1).await.unwrap(),
                End::Commit => {
                    let counts = import.commit(1).await.unwrap();
                    let added = next.keys().filter(|source| !model.contains_key(source)).count();
                    let removed = model.keys().filter(|source| !next.contains_key(source)).count();
                    let changed = next
                        .iter()
                        .filter(|(key, new)| model.get(key).is_some_and(|old| old != *new))
                        .count();
                    assert_eq!(
                        (counts.added, counts.removed, counts.changed, counts.unchanged),
                        (
                            added as u64,
                            removed as u64,
                            changed as u64,
                            (named.len() - added - changed) as u64
                        )
                    );
                    *model = next;
                }
            }
        }
        Step::Upsert(batch) => {
            store
                .upsert_records(list, batch.iter().map(make).collect())
                .await
                .unwrap();
            model.extend(batch);
        }
        Step::Delete(sources) => {
            let names: Vec<String> = sources.iter().map(|source| format!("s{source}")).collect();
            let gone = sources
                .iter()
                .filter(|source| model.remove(source).is_some())
                .count();
            assert_eq!(store.delete_records(list, &names).await.unwrap(), gone as u64);
        }
        Step::Purge(steps) => {
            for _ in 0..steps {
                let _ = store.purge_step().await.unwrap();
            }
        }
        Step::Reopen => {
            store.close().await;
            // The lock of the old one goes with its last clone.
            *store = {
                let placeholder = Home::new();
                let parked = placeholder.open().await;
                drop(std::mem::replace(store, parked));
                home.open().await
            };
        }
    }
}

async fn check(store: &Store, list: ListId, model: &Model) {
    let mut visible: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for n in 0..12 {
        let canonical = format!("ID{n}");
        let index = store.blind_index(PASSPORT, 10, canonical.as_bytes());
        for found in store.records_with(PASSPORT, index).await.unwrap() {
            let payload = store.record(list, &found.source_id).await.unwrap().unwrap();
            assert_eq!(payload.id, found.record);
            visible
                .entry(found.source_id)
                .or_default()
                .insert(canonical.clone());
        }
    }
    let expected: BTreeMap<String, BTreeSet<String>> = model
        .iter()
        .filter(|(_, identifiers)| !identifiers.is_empty())
        .map(|(source, identifiers)| {
            (
                format!("s{source}"),
                identifiers.iter().map(|n| format!("ID{n}")).collect(),
            )
        })
        .collect();
    assert_eq!(visible, expected);
    let stats = store.list_stats(list).await.unwrap();
    assert_eq!(stats.records, model.len() as u64);
    let identifiers: usize = model.values().map(BTreeSet::len).sum();
    assert_eq!(
        stats.identifiers.get(&PASSPORT).copied().unwrap_or(0),
        identifiers as u64
    );
    let page: BTreeSet<String> = canonicals(store, &selection(&[list], PASSPORT))
        .await
        .into_iter()
        .collect();
    let distinct: BTreeSet<String> = expected.into_values().flatten().collect();
    assert_eq!(page, distinct);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn lists_behave_like_a_map(steps in prop::collection::vec(step(), 1..10)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let mut store = home.open().await;
            let list = store.create_list("wanted", 0).await.unwrap();
            let mut model = Model::new();
            for step in steps {
                apply(&home, &mut store, list, &mut model, step).await;
                check(&store, list, &model).await;
            }
            purge(&store).await;
            check(&store, list, &model).await;
            assert_eq!(rows(&home, "record").await, model.len() as i64);
            let identifiers: usize = model.values().map(BTreeSet::len).sum();
            assert_eq!(rows(&home, "identifier").await, identifiers as i64);
            assert_eq!(rows(&home, "identifier_index").await, identifiers as i64);
        });
    }
}
