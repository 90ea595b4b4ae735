//! Jobs, chunks, matches and kept tags: what a restart finds.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::*;
use concordat_store::*;
use uuid::Uuid;
use zeroize::Zeroizing;

fn new_job(n: u8) -> NewJob {
    NewJob {
        id: Uuid::from_bytes([n; 16]),
        request_id: None,
        kind: "intersect".to_owned(),
        spec: Zeroizing::new(b"{\"case\":\"K-17/2026\"}".to_vec()),
    }
}

fn plan(job: JobId, scope: ScopeId, index: u32, page: &[IndexedIdentifier]) -> ChunkPlan {
    let item = |row: &IndexedIdentifier| ChunkItem {
        blind_index: row.blind_index,
        rule: row.identifier.rule,
        grade: row.identifier.grade,
        canonical: row.identifier.canonical.clone(),
    };
    ChunkPlan {
        job,
        scope,
        index,
        seed: Zeroizing::new([index as u8 + 1; 32]),
        items: page.iter().map(item).collect(),
    }
}

fn found(list: ListId, source_id: &str, rule: u8, grade: u8) -> NewMatch {
    NewMatch {
        list,
        source_id: source_id.to_owned(),
        partner: "agency-b".to_owned(),
        kind: PASSPORT,
        rule,
        grade,
    }
}

#[tokio::test]
async fn a_job_goes_its_way_and_no_other() {
    let home = Home::new();
    let store = home.open().await;
    let job = store.create_job(&new_job(1), 10).await.unwrap();
    let kept = store.job(job).await.unwrap();
    assert_eq!(
        (kept.state, kept.done, kept.total, kept.cancel_requested),
        (JobState::Queued, 0, None, false)
    );
    assert_eq!(kept.spec.as_slice(), new_job(1).spec.as_slice());
    assert!(matches!(
        store.create_job(&new_job(1), 11).await,
        Err(StoreError::AlreadyExists { .. })
    ));
    assert!(matches!(
        store.set_job_state(job, JobState::Succeeded, "", 12).await,
        Err(StoreError::InvalidTransition {
            what: "job",
            from: "queued",
            to: "succeeded"
        })
    ));
    store.set_job_state(job, JobState::Running, "", 13).await.unwrap();
    store.set_job_total(job, 40, 14).await.unwrap();
    store.add_job_progress(job, 15, 15).await.unwrap();
    assert!(store.request_cancel(job, 16).await.unwrap());
    store
        .set_job_state(job, JobState::Failed, "partner unreachable", 17)
        .await
        .unwrap();
    let kept = store.job(job).await.unwrap();
    assert_eq!(
        (kept.done, kept.total, kept.cancel_requested),
        (15, Some(40), true)
    );
    assert_eq!(
        (kept.detail.as_str(), kept.created_ms, kept.updated_ms),
        ("partner unreachable", 10, 17)
    );
    assert!(!store.request_cancel(job, 18).await.unwrap());
    store.set_job_state(job, JobState::Queued, "", 19).await.unwrap();
    assert!(
        !store.job(job).await.unwrap().cancel_requested,
        "a new attempt is not cancelled"
    );
    store.set_job_state(job, JobState::Running, "", 20).await.unwrap();
    store
        .set_job_state(job, JobState::Succeeded, "", 21)
        .await
        .unwrap();
    store.set_job_summary(job, "{\"offers\":[]}", 22).await.unwrap();
    for state in [
        JobState::Queued,
        JobState::Running,
        JobState::Failed,
        JobState::Cancelled,
    ] {
        assert!(
            store.set_job_state(job, state, "", 23).await.is_err(),
            "{state:?}"
        );
    }
    assert!(matches!(
        store.job(Uuid::nil()).await,
        Err(StoreError::NotFound { what: "job" })
    ));
    assert!(matches!(
        store.set_job_total(Uuid::nil(), 1, 1).await,
        Err(StoreError::NotFound { what: "job" })
    ));
}

#[tokio::test]
async fn the_same_request_is_the_same_job_and_lists_are_newest_first() {
    let home = Home::new();
    let store = home.open().await;
    let with_request = |n| NewJob {
        request_id: Some("r-1".to_owned()),
        ..new_job(n)
    };
    let first = store.create_job(&with_request(1), 1).await.unwrap();
    assert_eq!(store.create_job(&with_request(2), 2).await.unwrap(), first);
    store.create_job(&new_job(3), 3).await.unwrap();
    store.create_job(&new_job(4), 4).await.unwrap();
    store
        .set_job_state(Uuid::from_bytes([3; 16]), JobState::Cancelled, "", 5)
        .await
        .unwrap();
    let ids = |jobs: Vec<Job>| jobs.iter().map(|job| job.id.as_bytes()[0]).collect::<Vec<_>>();
    assert_eq!(ids(store.jobs(None, 10).await.unwrap()), [4, 3, 1]);
    assert_eq!(
        ids(store.jobs(Some(Uuid::from_bytes([4; 16])), 1).await.unwrap()),
        [3]
    );
    assert_eq!(ids(store.unfinished_jobs().await.unwrap()), [1, 4]);
}

#[tokio::test]
async fn a_chunk_can_be_sent_again_byte_for_byte_even_when_its_records_are_gone() {
    let home = Home::new();
    let store = home.open().await;
    let scope = requester_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let records = (0..10)
        .map(|n| passports(&format!("r{n}"), &[&format!("NUMBER-{n}")]))
        .collect();
    store.upsert_records(list, records).await.unwrap();
    let asks = selection(&[list], PASSPORT);
    let job = store.create_job(&new_job(1), 0).await.unwrap();
    assert_eq!(store.plan_cursor(job, scope).await.unwrap(), None);
    assert_eq!(store.count_unasked(scope, &asks).await.unwrap(), 10);

    let mut plans = Vec::new();
    let mut cursor: Option<PlanCursor> = None;
    for _ in 0..3 {
        let page = store
            .unasked_page(scope, &asks, cursor.map(|cursor| cursor.after), 4)
            .await
            .unwrap();
        let plan = plan(job, scope, cursor.map_or(0, |cursor| cursor.next_index), &page);
        store.plan_chunk(&plan).await.unwrap();
        assert!(matches!(
            store.plan_chunk(&plan).await,
            Err(StoreError::AlreadyExists { what: "chunk" })
        ));
        plans.push(plan);
        cursor = store.plan_cursor(job, scope).await.unwrap();
    }
    assert_eq!(
        plans.iter().map(|plan| plan.items.len()).collect::<Vec<_>>(),
        [4, 4, 2]
    );
    store.delete_list(list, 1).await.unwrap();
    purge(&store).await;
    drop(store);

    let store = home.open().await;
    assert_eq!(store.planned_chunks(job, scope).await.unwrap(), plans);
    let done = CompletedChunk {
        job,
        scope,
        index: 1,
        tags: plans[1]
            .items
            .iter()
            .map(|item| KeptTag {
                blind_index: item.blind_index,
                tag: [4; 16],
            })
            .collect(),
        matches: vec![found(list, "r1", 10, 1)],
        unknown: vec![("canary failed".to_owned(), 2)],
        done: 4,
        found: 0,
        digest: [9; 32],
        elements: 16,
    };
    assert!(store.complete_chunk(&done, 5).await.unwrap());
    assert!(!store.complete_chunk(&done, 6).await.unwrap(), "twice is once");
    assert!(matches!(
        store
            .complete_chunk(
                &CompletedChunk {
                    index: 9,
                    ..done.clone()
                },
                7
            )
            .await,
        Err(StoreError::NotFound { what: "chunk" })
    ));
    drop(store);

    let store = home.open().await;
    assert_eq!(
        store.planned_chunks(job, scope).await.unwrap(),
        [plans[0].clone(), plans[2].clone()]
    );
    assert_eq!(store.plan_cursor(job, scope).await.unwrap(), cursor);
    assert_eq!(
        (
            store.job(job).await.unwrap().done,
            store.count_matches(job).await.unwrap()
        ),
        (4, 1)
    );
    let unknown = store.unknown_counts(job).await.unwrap();
    assert_eq!(
        (unknown.len(), unknown[0].reason.as_str(), unknown[0].elements),
        (1, "canary failed", 2)
    );
    assert_eq!(store.kept_tags_page(scope, None, 100).await.unwrap().len(), 4);
    // A chunk of padding only: there is nothing behind it.
    let nothing = ChunkPlan {
        items: vec![],
        index: 7,
        ..plans[0].clone()
    };
    store.plan_chunk(&nothing).await.unwrap();
    let end = PlanCursor {
        next_index: 8,
        after: BlindIndex([0xff; 16]),
    };
    assert_eq!(store.plan_cursor(job, scope).await.unwrap(), Some(end));
    assert_eq!(store.planned_chunks(job, scope).await.unwrap()[2], nothing);

    // What is dropped is not sent again; what is complete stays.
    store.drop_planned_chunks(job, scope).await.unwrap();
    assert_eq!(store.planned_chunks(job, scope).await.unwrap(), []);
    let left = store.plan_cursor(job, scope).await.unwrap().unwrap();
    assert_eq!(left.next_index, 2, "chunk 1 is complete");
}

#[tokio::test]
async fn a_request_keeps_its_size_and_gives_way_to_the_next() {
    let home = Home::new();
    let store = home.open().await;
    let scope = requester_scope(&store).await;
    let job = store.create_job(&new_job(1), 0).await.unwrap();
    assert_eq!(store.job_request(job, scope).await.unwrap(), None);
    let first = JobRequest {
        job,
        scope,
        request_id: [1; 16],
        first_index: 0,
        chunks: 3,
        identifiers: 100,
        elements: 128,
    };
    store.put_job_request(&first).await.unwrap();
    drop(store);
    let store = home.open().await;
    assert_eq!(store.job_request(job, scope).await.unwrap(), Some(first));
    let second = JobRequest {
        request_id: [2; 16],
        first_index: 3,
        ..first
    };
    store.put_job_request(&second).await.unwrap();
    assert_eq!(store.job_request(job, scope).await.unwrap(), Some(second));
    let nowhere = JobRequest {
        job: Uuid::nil(),
        ..first
    };
    assert!(matches!(
        store.put_job_request(&nowhere).await,
        Err(StoreError::NotFound { .. })
    ));
}

#[tokio::test]
async fn old_jobs_go_with_all_they_found_and_no_other() {
    let home = Home::new();
    let store = home.open().await;
    let scope = requester_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let states = [
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Paused,
        JobState::Succeeded,
    ];
    for (n, state) in (1..).zip(states) {
        let new = NewJob {
            request_id: Some(format!("r-{n}")),
            ..new_job(n)
        };
        let job = store.create_job(&new, 1).await.unwrap();
        let ended_ms = if n == 5 { 100 } else { 99 };
        store.set_job_state(job, JobState::Running, "", 2).await.unwrap();
        let request = JobRequest {
            job,
            scope,
            request_id: [n; 16],
            first_index: 0,
            chunks: 1,
            identifiers: 0,
            elements: 16,
        };
        store.put_job_request(&request).await.unwrap();
        store.plan_chunk(&plan(job, scope, 0, &[])).await.unwrap();
        let chunk = CompletedChunk {
            job,
            scope,
            index: 0,
            tags: vec![],
            matches: vec![found(list, "a", 10, 1), found(list, "b", 10, 1)],
            unknown: vec![("quota".to_owned(), 2)],
            done: 1,
            found: 0,
            digest: [9; 32],
            elements: 16,
        };
        store.complete_chunk(&chunk, 3).await.unwrap();
        store.set_job_state(job, state, "", ended_ms).await.unwrap();
    }
    let mut steps = 0;
    while store.purge_jobs_step(100).await.unwrap() == Purged::Step {
        steps += 1;
        assert!(steps < 100, "purging does not end");
    }
    let left = store.jobs(None, 10).await.unwrap();
    let left: Vec<u8> = left.iter().map(|job| job.id.as_bytes()[0]).collect();
    assert_eq!(
        left,
        [5, 4],
        "the one that is not over, and the one that ended later"
    );
    for (table, count) in [
        ("job", 2),
        ("job_request", 2),
        ("job_chunk", 2),
        ("job_match", 4),
        ("job_unknown", 2),
    ] {
        assert_eq!(rows(&home, table).await, count, "{table}");
    }
    let again = NewJob {
        request_id: Some("r-1".to_owned()),
        ..new_job(9)
    };
    let again = store.create_job(&again, 101).await.unwrap();
    assert_eq!(again.as_bytes()[0], 9, "its request id is free");
}

#[tokio::test]
async fn a_second_run_asks_only_for_what_is_new() {
    let home = Home::new();
    let store = home.open().await;
    let scope = requester_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let spelled = record("v", vec![variant(PASSPORT, "VARIANT"), identifier(PASSPORT, "V")]);
    store
        .upsert_records(list, vec![passports("a", &["A", "B"]), spelled])
        .await
        .unwrap();
    let asks = Selection {
        variants: false,
        ..selection(&[list], PASSPORT)
    };
    let page = store.unasked_page(scope, &asks, None, 100).await.unwrap();
    assert_eq!(
        page.iter()
            .map(|row| text(&row.identifier))
            .collect::<BTreeSet<_>>(),
        ["A", "B", "V"].map(str::to_owned).into()
    );
    let tags: Vec<KeptTag> = page.iter().map(tag_of).collect();
    store.insert_kept_tags(scope, &tags).await.unwrap();
    store.insert_kept_tags(scope, &tags).await.unwrap();
    assert_eq!(store.kept_tags_page(scope, None, 2).await.unwrap(), tags[..2]);
    assert_eq!(
        store
            .kept_tags_page(scope, Some(tags[1].blind_index), 2)
            .await
            .unwrap(),
        tags[2..]
    );
    assert!(
        store
            .unasked_page(scope, &asks, None, 100)
            .await
            .unwrap()
            .is_empty()
    );

    store
        .upsert_records(list, vec![passports("c", &["A", "C"])])
        .await
        .unwrap();
    let page = store.unasked_page(scope, &asks, None, 100).await.unwrap();
    assert_eq!(
        page.iter().map(|row| text(&row.identifier)).collect::<Vec<_>>(),
        ["C"]
    );
    assert_eq!(store.count_unasked(scope, &asks).await.unwrap(), 1);

    // A identifier that leaves our lists takes its kept tag along; one that another record has stays.
    store.delete_records(list, &["a".to_owned()]).await.unwrap();
    purge(&store).await;
    let left: BTreeSet<BlindIndex> = store
        .kept_tags_page(scope, None, 100)
        .await
        .unwrap()
        .iter()
        .map(|kept| kept.blind_index)
        .collect();
    assert_eq!(
        left,
        ["A", "V"]
            .map(|text| store.blind_index(PASSPORT, 10, text.as_bytes()))
            .into()
    );
}

#[tokio::test]
async fn one_match_for_each_record_partner_and_kind_the_best() {
    let home = Home::new();
    let store = home.open().await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let job = store.create_job(&new_job(1), 0).await.unwrap();
    let other = store.create_job(&new_job(2), 0).await.unwrap();
    store
        .add_matches(job, 0, &[found(list, "a", 12, 2), found(list, "b", 12, 1)])
        .await
        .unwrap();
    store
        .add_matches(job, 0, &[found(list, "a", 11, 1), found(list, "b", 13, 2)])
        .await
        .unwrap();
    let elsewhere = NewMatch {
        partner: "agency-c".to_owned(),
        ..found(list, "a", 12, 2)
    };
    store
        .add_matches(job, 0, std::slice::from_ref(&elsewhere))
        .await
        .unwrap();
    store
        .add_matches(other, 0, &[found(list, "a", 12, 2)])
        .await
        .unwrap();
    let page = store.matches_page(job, None, 10).await.unwrap();
    let matches: Vec<NewMatch> = page.iter().map(|row| row.found.clone()).collect();
    assert_eq!(
        matches,
        [found(list, "a", 11, 1), found(list, "b", 12, 1), elsewhere]
    );
    let rest = store.matches_page(job, Some(page[0].seq), 1).await.unwrap();
    assert_eq!(rest, page[1..2]);
    assert_eq!(
        (
            store.count_matches(job).await.unwrap(),
            store.count_matches(other).await.unwrap()
        ),
        (3, 1)
    );
    // A later pass says what is true now: also that a grade is worse, and that a record is not listed any more.
    assert_eq!(store.next_match_pass(job).await.unwrap(), 1);
    store
        .add_matches(job, 1, &[found(list, "a", 12, 2), found(list, "c", 11, 1)])
        .await
        .unwrap();
    store
        .add_matches(job, 0, &[found(list, "a", 11, 1)])
        .await
        .unwrap();
    assert_eq!(store.next_match_pass(job).await.unwrap(), 2);
    assert_eq!(store.sweep_matches(job, 1).await.unwrap(), 2);
    assert_eq!(store.sweep_matches(job, 1).await.unwrap(), 0);
    let page = store.matches_page(job, None, 10).await.unwrap();
    let matches: Vec<NewMatch> = page.into_iter().map(|row| row.found).collect();
    assert_eq!(matches, [found(list, "a", 12, 2), found(list, "c", 11, 1)]);
    assert_eq!(store.count_matches(other).await.unwrap(), 1, "another job's stay");
    let nowhere = store.add_matches(Uuid::nil(), 0, &[found(list, "a", 1, 1)]).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound { .. })));
}
