//! Cases: all of a step or nothing of it, steps that never change, nothing to read without the key, nothing left when
//! erased.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use common::cases::*;
use common::*;
use concordat_store::*;

#[tokio::test]
async fn what_is_written_comes_back_after_a_restart_too() {
    let home = Home::new();
    let written = full(1);
    let store = home.open().await;
    store.change_case(written.clone()).await.unwrap();
    let later = CaseChange {
        row: CaseRow {
            state: "REQUESTED".to_owned(),
            waits_for: Some(CaseSide::Owner),
            purpose: "prosecution".to_owned(),
            urgency: "urgent".to_owned(),
            updated_ms: 2_000,
            clock: Some(CaseClock {
                stopped: true,
                reminded: 2,
                ..clock(5_000)
            }),
            expires_ms: Some(8_000),
            step: 2,
            head: [8; 32],
            ..row(1)
        },
        events: vec![event("two", false), event("three", false)],
        documents: vec![
            document(9, "decision", "another text"),
            document(2, "approval", "b"),
        ],
        pending: Some(None),
        delivered: Some(2),
        ..change(row(1), 1)
    };
    store.change_case(later.clone()).await.unwrap();
    store.close().await;

    let store = home.open().await;
    assert_eq!(store.case_row(&id(1)).await.unwrap(), Some(later.row));
    let steps = store.case_events(&id(1)).await.unwrap();
    let steps: Vec<_> = steps
        .iter()
        .map(|step| (step.seq, step.private, step.document.as_str()))
        .collect();
    let expected = [
        (1, true, "CANARY-event-one"),
        (2, false, "two"),
        (3, false, "three"),
    ];
    assert_eq!(steps, expected);
    // In the order they came, and the first text of a digest stays.
    let mut documents = written.documents;
    documents.push(document(2, "approval", "b"));
    assert_eq!(store.case_documents(&id(1)).await.unwrap(), documents);
    let approvals = store.case_documents_of_kind(&id(1), "approval").await.unwrap();
    assert_eq!(approvals, documents[1..]);
    assert_eq!(store.case_private(&id(1)).await.unwrap(), written.private);
    assert_eq!(store.case_pending(&id(1)).await.unwrap(), None);
    assert_eq!(store.case_delivered(&id(1)).await.unwrap(), 2);
    assert_eq!(store.key_counter(&[4; 32]).await.unwrap(), 5);
    assert!(store.suppressed(&[5; 32], 8_999).await.unwrap());
    assert!(!store.suppressed(&[5; 32], 9_000).await.unwrap());

    assert_eq!(store.case_row(&id(2)).await.unwrap(), None);
    assert_eq!(store.case_private(&id(2)).await.unwrap(), None);
    assert_eq!(store.case_events(&id(2)).await.unwrap(), []);
    let unknown = store.case_delivered(&id(2)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn private_values_are_replaced_together_and_a_waiting_step_is_kept_until_taken() {
    let home = Home::new();
    let store = home.open().await;
    let first = full(1);
    store.change_case(first.clone()).await.unwrap();
    let pending = first.pending.clone().flatten();
    assert_eq!(store.case_pending(&id(1)).await.unwrap(), pending);

    // A second step while one waits: whoever is later looks again.
    let mut second = change(row(1), 1);
    second.pending = Some(Some(PendingStep {
        since_ms: 8,
        event: "later".to_owned().into(),
        documents: Vec::new(),
    }));
    let refused = store.change_case(second.clone()).await;
    assert!(matches!(refused, Err(StoreError::Stale { what: "case" })));
    assert_eq!(store.case_pending(&id(1)).await.unwrap(), pending);

    store
        .change_case(CaseChange {
            private: Some(CasePrivate {
                escalation_key: None,
                ..first.private.clone().unwrap()
            }),
            pending: Some(None),
            ..change(row(1), 1)
        })
        .await
        .unwrap();
    let private = store.case_private(&id(1)).await.unwrap().unwrap();
    assert_eq!(private.escalation_key, None);
    assert_eq!(private.subject, first.private.unwrap().subject);
    store.change_case(second.clone()).await.unwrap();
    assert_eq!(
        store.case_pending(&id(1)).await.unwrap(),
        second.pending.flatten()
    );
}

/// Everything that `full` can change, to be compared.
async fn all_of(store: &Store, n: u32) -> impl PartialEq + std::fmt::Debug {
    (
        store.case_row(&id(n)).await.unwrap(),
        store.case_events(&id(n)).await.unwrap(),
        store.case_documents(&id(n)).await.unwrap(),
        store.case_private(&id(n)).await.unwrap(),
        store.case_pending(&id(n)).await.unwrap(),
        store.key_counter(&[4; 32]).await.unwrap(),
        store.key_counter(&[6; 32]).await.unwrap(),
        store.suppressed(&[7; 32], 0).await.unwrap(),
        store.ledger_size().await.unwrap(),
    )
}

#[tokio::test]
async fn a_change_that_is_refused_changes_nothing_and_records_nothing() {
    let home = Home::new();
    let store = home.open().await;
    let entry = || an_entry("detail.step", None);
    store.recording(entry()).change_case(full(1)).await.unwrap();
    let before = all_of(&store, 1).await;
    let next = CaseChange {
        row: CaseRow {
            state: "OTHER".to_owned(),
            ..row(1)
        },
        events: vec![event("next", false)],
        documents: vec![document(8, "decision", "next")],
        private: Some(CasePrivate::default()),
        pending: Some(None),
        counters: vec![([6; 32], 1)],
        suppress: Some(([7; 32], 9_000)),
        ..change(row(1), 1)
    };
    let stale = |before| CaseChange {
        events_before: before,
        ..next.clone()
    };
    // The first counter fits, the second is that of a copy: neither is kept.
    let copied = |counter| CaseChange {
        counters: vec![([6; 32], 1), ([4; 32], counter)],
        ..next.clone()
    };
    let with_row = |row: CaseRow| CaseChange { row, ..next.clone() };
    for (refused, why) in [
        (stale(0), "Stale"),
        (stale(2), "Stale"),
        (copied(5), "CounterWentBack"),
        (copied(4), "CounterWentBack"),
        (copied(0), "CounterWentBack"),
        (
            with_row(CaseRow {
                tag: [0; 16],
                ..row(1)
            }),
            "AlreadyExists",
        ),
        (
            with_row(CaseRow {
                partner: "agency-c".to_owned(),
                ..row(1)
            }),
            "AlreadyExists",
        ),
        (
            with_row(CaseRow {
                side: CaseSide::Owner,
                ..row(1)
            }),
            "AlreadyExists",
        ),
        (
            with_row(CaseRow {
                state: String::new(),
                ..row(1)
            }),
            "Invalid",
        ),
        (
            CaseChange {
                delivered: Some(1),
                ..next.clone()
            },
            "Invalid",
        ),
    ] {
        let error = store.recording(entry()).change_case(refused).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(why), "{why}: {error:?}");
        assert_eq!(all_of(&store, 1).await, before, "{why}");
    }
    // A case that is not there has no steps.
    let refused = store.change_case(change(row(2), 1)).await;
    assert!(matches!(refused, Err(StoreError::Stale { .. })));
    assert_eq!(store.case_row(&id(2)).await.unwrap(), None);

    store.recording(entry()).change_case(next).await.unwrap();
    assert_ne!(all_of(&store, 1).await, before);
    assert_eq!(store.ledger_size().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_act_at_once_one_does() {
    let home = Home::new();
    let store = home.open().await;
    store.change_case(full(1)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut change = change(row(1), 1);
            change.events = vec![event(&format!("by {n}"), false)];
            let entry = an_entry("detail.step", None);
            store.recording(entry).change_case(change).await.is_ok()
        });
    }
    let done = tasks.join_all().await;
    assert_eq!(done.iter().filter(|done| **done).count(), 1);
    assert_eq!(store.case_events(&id(1)).await.unwrap().len(), 2);
    assert_eq!(store.ledger_size().await.unwrap(), 1);
}

#[tokio::test]
async fn a_counter_only_rises_and_a_key_without_one_is_let_in() {
    let home = Home::new();
    let store = home.open().await;
    let key = [1; 32];
    store.raise_key_counter(&key, 0).await.unwrap();
    store.raise_key_counter(&key, 0).await.unwrap();
    store.raise_key_counter(&key, 3).await.unwrap();
    for back in [0, 2, 3] {
        let refused = store
            .recording(an_entry("sign-in", None))
            .raise_key_counter(&key, back)
            .await;
        assert!(matches!(refused, Err(StoreError::CounterWentBack)), "{back}");
    }
    store.raise_key_counter(&key, u32::MAX).await.unwrap();
    assert_eq!(store.key_counter(&key).await.unwrap(), u32::MAX);
    assert_eq!(store.ledger_size().await.unwrap(), 0);
}

#[tokio::test]
async fn nothing_that_a_person_wrote_lies_in_the_files_or_is_shown() {
    let home = Home::new();
    let store = home.open().await;
    store.change_case(full(1)).await.unwrap();
    store.add_registry_change(&an_officer(1)).await.unwrap();
    let check = |bytes: &[u8]| {
        assert!(contains(bytes, b"agency-b"), "the files are really read");
        assert!(!contains(bytes, b"CANARY"));
        assert!(!contains(bytes, &row(1).tag), "a tag leads to a record");
    };
    check(&home.bytes_on_disk());
    store.close().await;
    check(&home.bytes_on_disk());

    let shown = format!("{:?} {:?} {:?}", full(1), an_officer(1), full(1).pending);
    assert!(shown.contains("agency-b"));
    assert!(!shown.contains("CANARY"), "{shown}");
    let key = format!("{:?}", b"CANARY-key");
    assert!(!shown.contains(key.trim_matches(['[', ']'])));
}

#[tokio::test]
async fn what_was_written_by_hand_opens_nowhere_and_steps_cannot_be() {
    let home = Home::new();
    let store = home.open().await;
    let mut two = full(1);
    two.events.push(event("two", false));
    store.change_case(two).await.unwrap();
    store
        .change_case(CaseChange {
            pending: None,
            counters: Vec::new(),
            ..full(2)
        })
        .await
        .unwrap();
    store.add_registry_change(&an_officer(1)).await.unwrap();
    let events = store.case_events(&id(1)).await.unwrap();

    // The list can be made to lie; the case does not follow.
    tamper(
        &home,
        "UPDATE disclosure_case SET state = 'RELEASED', waits_for = NULL, step = 9",
    )
    .await;
    let shown = store.case_row(&id(1)).await.unwrap().unwrap();
    assert_eq!((shown.state.as_str(), shown.waits_for), ("RELEASED", None));
    assert_eq!(store.case_events(&id(1)).await.unwrap(), events);

    for sql in [
        "UPDATE case_event SET private = 0",
        "UPDATE case_event SET document_sealed = x'00'",
        "DELETE FROM case_event",
        "DELETE FROM case_event WHERE seq = 2",
        "INSERT INTO case_event SELECT case_id, seq + 5, at_ms, private, document_sealed FROM case_event",
        "UPDATE case_document SET kind = 'other'",
        "DELETE FROM case_document",
        "UPDATE disclosure_case SET side = 'owner'",
        "UPDATE disclosure_case SET opened_ms = 0",
        "UPDATE disclosure_case SET delivered = 2; UPDATE disclosure_case SET delivered = 1",
        "UPDATE registry_change SET sequence = 2",
        "DELETE FROM registry_change",
        "INSERT INTO registry_change VALUES (3, x'00', x'00')",
        "UPDATE key_counter SET counter = 1",
        "DELETE FROM key_counter",
    ] {
        assert!(try_tamper(&home, sql).await.is_err(), "{sql}");
    }
    assert_eq!(store.case_events(&id(1)).await.unwrap(), events);

    // Without the triggers: a step that is made public, or moved, does not open.
    tamper(
        &home,
        "DROP TRIGGER case_event_never_changes; DROP TRIGGER case_document_never_changes;
         DROP TRIGGER registry_change_never_changes; DROP TRIGGER disclosure_case_stays_the_same;
         UPDATE case_event SET private = 0 WHERE seq = 1;
         UPDATE case_document SET kind = 'message';
         UPDATE case_private SET subject_sealed = escalation_key_sealed;
         UPDATE registry_change SET document_sealed = approvals_sealed;",
    )
    .await;
    let sealed = |result: Result<()>| matches!(result, Err(StoreError::Sealed { .. }));
    assert!(sealed(store.case_events(&id(1)).await.map(drop)));
    assert!(sealed(store.case_documents(&id(1)).await.map(drop)));
    assert!(sealed(store.case_private(&id(1)).await.map(drop)));
    assert!(sealed(store.registry_changes().await.map(drop)));
    tamper(
        &home,
        "UPDATE disclosure_case SET tag_sealed = (SELECT tag_sealed FROM disclosure_case o WHERE o.id <> disclosure_case.id)",
    )
    .await;
    assert!(sealed(store.case_row(&id(1)).await.map(drop)));
}

/// Runs statements behind the store's back, in one transaction, as a tool with foreign keys would.
async fn try_tamper(home: &Home, sql: &'static str) -> sqlx::Result<()> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path());
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let mut tx = sqlx::Connection::begin(&mut conn).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut *tx).await?;
    tx.commit().await
}

#[tokio::test]
async fn a_change_of_the_registry_has_the_next_number() {
    let home = Home::new();
    let store = home.open().await;
    for wrong in [0, 2] {
        let entry = an_entry("configuration.changed", None);
        assert!(
            store
                .recording(entry)
                .add_registry_change(&an_officer(wrong))
                .await
                .is_err()
        );
    }
    store.add_registry_change(&an_officer(1)).await.unwrap();
    store.add_registry_change(&an_officer(2)).await.unwrap();
    let again = store.add_registry_change(&an_officer(2)).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })));
    let later = store.add_registry_change(&an_officer(4)).await;
    assert!(matches!(later, Err(StoreError::NotFound { .. })));
    assert_eq!(
        store.registry_changes().await.unwrap(),
        [an_officer(1), an_officer(2)]
    );
    assert_eq!(store.ledger_size().await.unwrap(), 0);
}

fn name(attachment: u8, part: u32) -> PartName {
    PartName {
        attachment: [attachment; 16],
        part,
    }
}

#[tokio::test]
async fn parts_of_attachments_are_kept_once_and_within_bounds() {
    let home = Home::new();
    let store = home.open().await;
    open_all(&store, [row(1), row(2)]).await;
    let put = async |at: PartName, text: &'static str, ours| {
        let mut sha256 = [0; 32];
        sha256[..text.len()].copy_from_slice(text.as_bytes());
        store.put_part(&id(1), at, &sha256, text.as_bytes(), ours).await
    };
    for part in [1, 0, 199] {
        put(name(1, part), "ours", true).await.unwrap();
        put(name(2, part), "theirs", false).await.unwrap();
    }
    put(name(1, 0), "ours", true).await.unwrap();
    for (at, text, ours) in [
        (name(1, 0), "other", true),
        // The other side's attachment: neither a part of it nor another one.
        (name(1, 0), "ours", false),
        (name(1, 5), "theirs", false),
        (name(2, 5), "ours", true),
    ] {
        let refused = put(at, text, ours).await;
        assert!(
            matches!(refused, Err(StoreError::AlreadyExists { .. })),
            "{at:?} {ours}"
        );
    }
    assert!(matches!(
        put(name(1, 200), "x", true).await,
        Err(StoreError::Invalid { .. })
    ));
    assert!(matches!(
        put(name(1, 2), "", true).await,
        Err(StoreError::Invalid { .. })
    ));
    let large = vec![7; (256 << 10) + 17];
    let refused = store.put_part(&id(1), name(1, 2), &[0; 32], &large, true).await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })));
    store
        .put_part(&id(1), name(1, 2), &[0; 32], &large[1..], true)
        .await
        .unwrap();
    let unknown = store.put_part(&id(9), name(1, 0), &[0; 32], b"x", true).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));

    assert_eq!(store.parts(&id(1), &[1; 16]).await.unwrap(), [0, 1, 2, 199]);
    assert_eq!(store.parts(&id(2), &[1; 16]).await.unwrap(), [0_u32; 0]);
    assert_eq!(
        store.part(&id(1), name(2, 199)).await.unwrap().unwrap(),
        b"theirs"
    );
    assert_eq!(store.part(&id(1), name(2, 2)).await.unwrap(), None);

    let waiting = async |limit| store.parts_to_deliver(&id(1), limit).await.unwrap();
    assert_eq!(waiting(99).await, [0, 1, 2, 199].map(|part| name(1, part)));
    store.part_delivered(&id(1), name(1, 0)).await.unwrap();
    store.part_delivered(&id(1), name(1, 0)).await.unwrap();
    assert_eq!(waiting(2).await, [name(1, 1), name(1, 2)]);
    let theirs = store.part_delivered(&id(1), name(2, 0)).await;
    assert!(matches!(theirs, Err(StoreError::NotFound { .. })));

    // A partner who fills its share leaves us ours.
    for attachment in 3..18 {
        put(name(attachment, 0), "theirs", false).await.unwrap();
    }
    let refused = put(name(18, 0), "theirs", false).await;
    assert!(matches!(
        refused,
        Err(StoreError::TooMany {
            max: MAX_ATTACHMENTS,
            ..
        })
    ));
    put(name(17, 1), "theirs", false).await.unwrap();
    put(name(18, 0), "ours", true).await.unwrap();

    // All that a partner sends counts together, and what is erased counts no more.
    let kept = async || {
        let mut conn = raw(&home).await;
        let bytes = sqlx::query_scalar("SELECT coalesce(sum(bytes), 0) FROM partner_attachments");
        let bytes: i64 = bytes.fetch_one(&mut conn).await.unwrap();
        u64::try_from(bytes).unwrap()
    };
    let theirs = "theirs".len() as u64;
    assert_eq!(kept().await, 19 * theirs);
    let mut conn = raw(&home).await;
    sqlx::query("UPDATE partner_attachments SET bytes = ?")
        .bind(i64::try_from(MAX_PARTNER_BYTES - theirs).unwrap())
        .execute(&mut conn)
        .await
        .unwrap();
    put(name(17, 2), "theirs", false).await.unwrap();
    let refused = put(name(17, 3), "theirs", false).await;
    assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
    put(name(18, 1), "ours", true).await.unwrap();
    store.erase_cases("a-1", i64::MAX, 10).await.unwrap();
    assert_eq!(kept().await, MAX_PARTNER_BYTES - 20 * theirs);
}

#[tokio::test]
async fn an_ended_case_is_erased_with_everything_and_no_other() {
    let home = Home::new();
    let store = home.open().await;
    let ended = |n, updated_ms| CaseRow {
        waits_for: None,
        updated_ms,
        ..row(n)
    };
    for (row, waits) in [(ended(1, 99), true), (ended(2, 100), true), (row(3), true)] {
        let pending = if waits { full(1).pending } else { None };
        let change = CaseChange {
            row,
            pending,
            counters: Vec::new(),
            ..full(1)
        };
        store.change_case(change).await.unwrap();
    }
    let marker = b"PART-of-an-attachment".repeat(200);
    for part in 0..130 {
        let name = name(1, part);
        store
            .put_part(&id(1), name, &[1; 32], &marker, true)
            .await
            .unwrap();
    }
    store
        .put_part(&id(2), name(1, 0), &[1; 32], b"PART-of-two", true)
        .await
        .unwrap();

    // What lies in the files of the first case: its sealed values and its parts.
    let sealed = sealed_of(&home, &id(1)).await;
    assert_eq!(sealed.len(), 7);
    let others = sealed_of(&home, &id(2)).await;
    assert!(store.checkpoint().await.unwrap() == Erasure::Complete);
    for value in &sealed {
        assert!(contains(&home.bytes_on_disk(), &value[..24]));
    }

    let entry = || an_entry("erasure", None);
    assert_eq!(
        store.recording(entry()).erase_cases("a-1", 99, 10).await.unwrap(),
        0
    );
    assert_eq!(store.ledger_size().await.unwrap(), 0);
    assert_eq!(
        store
            .recording(entry())
            .erase_cases("a-1", 100, 10)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        store
            .recording(entry())
            .erase_cases("a-1", 100, 10)
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.ledger_size().await.unwrap(), 1);
    assert!(store.checkpoint().await.unwrap() == Erasure::Complete);

    let bytes = home.bytes_on_disk();
    for value in &sealed {
        assert!(!contains(&bytes, &value[..24]), "a sealed value is left");
        assert!(
            !contains(&bytes, &value[value.len() - 16..]),
            "the end of a sealed value is left"
        );
    }
    assert!(!contains(&bytes, b"PART-of-an"));
    assert!(!contains(&bytes, &id(1)), "nothing names the case any more");
    assert!(contains(&bytes, b"PART-of-two"));
    for value in &others {
        assert!(contains(&bytes, &value[..24]));
    }
    assert_eq!(store.case_row(&id(1)).await.unwrap(), None);
    assert_eq!(store.case_events(&id(1)).await.unwrap(), []);
    for n in [2, 3] {
        assert_eq!(store.case_events(&id(n)).await.unwrap().len(), 1);
        assert_eq!(store.case_documents(&id(n)).await.unwrap().len(), 2);
        assert!(store.case_private(&id(n)).await.unwrap().is_some());
        assert!(store.case_pending(&id(n)).await.unwrap().is_some());
    }
    // Each agreement has its own time.
    assert_eq!(store.agreements_of_cases().await.unwrap(), ["a-1"]);
    let other = CaseRow {
        agreement: "a-2".to_owned(),
        ..row(4)
    };
    let change = CaseChange {
        row: other,
        counters: Vec::new(),
        ..full(1)
    };
    store.change_case(change).await.unwrap();
    assert_eq!(store.agreements_of_cases().await.unwrap(), ["a-1", "a-2"]);
    assert_eq!(store.erase_cases("a-2", i64::MAX, 10).await.unwrap(), 1);
    assert_eq!(store.agreements_of_cases().await.unwrap(), ["a-1"]);
    // What has not ended, and what has: when nobody has moved it for so long.
    assert_eq!(store.erase_cases("a-1", i64::MAX, 1).await.unwrap(), 1);
    assert_eq!(store.erase_cases("a-1", i64::MAX, 10).await.unwrap(), 1);
    assert!(store.case_row(&id(3)).await.unwrap().is_none());
    assert_eq!(
        (rows(&home, "case_event").await, rows(&home, "case_part").await),
        (0, 0)
    );
}

/// Every sealed value of a case.
async fn sealed_of(home: &Home, id: &CaseKey) -> Vec<Vec<u8>> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path());
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query_scalar(
        "SELECT tag_sealed FROM disclosure_case WHERE id = ?1
         UNION SELECT document_sealed FROM case_event WHERE case_id = ?1
         UNION SELECT document_sealed FROM case_document WHERE case_id = ?1
         UNION SELECT escalation_key_sealed FROM case_private WHERE case_id = ?1
         UNION SELECT subject_sealed FROM case_private WHERE case_id = ?1
         UNION SELECT step_sealed FROM case_pending WHERE case_id = ?1",
    )
    .bind(id.as_slice())
    .fetch_all(&mut conn)
    .await
    .unwrap()
}
