//! Agreements, scopes, snapshots, callers and the record of what happened.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use concordat_store::*;
use uuid::Uuid;
use zeroize::Zeroizing;

#[tokio::test]
async fn an_agreement_keeps_its_text_and_moves_only_forward() {
    let home = Home::new();
    let store = home.open().await;
    let proposed = NewAgreement {
        status: AgreementStatus::Proposed,
        ..agreement("a-1")
    };
    store.put_agreement(&proposed, 1).await.unwrap();
    let signed = NewAgreement {
        note: format!("{}- second signature\n", proposed.note),
        status: AgreementStatus::Active,
        ..proposed.clone()
    };
    store.put_agreement(&signed, 2).await.unwrap();
    let kept = store.agreement("a-1").await.unwrap().unwrap();
    assert_eq!(
        (&kept.agreement, kept.created_ms, kept.updated_ms),
        (&signed, 1, 2),
        "with both signatures it is in force"
    );
    for other in [
        NewAgreement {
            digest: [4; 32],
            ..signed.clone()
        },
        NewAgreement {
            partner: "agency-c".to_owned(),
            ..signed.clone()
        },
    ] {
        let refused = store.put_agreement(&other, 3).await;
        assert!(matches!(
            refused,
            Err(StoreError::AlreadyExists { what: "agreement" })
        ));
    }

    use AgreementStatus::{Active, Ended, Proposed, Superseded, Suspended};
    let all = [Proposed, Active, Suspended, Superseded, Ended];
    let allowed = [
        (Proposed, Active),
        (Proposed, Superseded),
        (Proposed, Ended),
        (Active, Suspended),
        (Active, Superseded),
        (Active, Ended),
        (Suspended, Active),
        (Suspended, Superseded),
        (Suspended, Ended),
    ];
    for from in all {
        for to in all {
            let id = format!("{from:?}-{to:?}");
            store
                .put_agreement(
                    &NewAgreement {
                        status: from,
                        ..agreement(&id)
                    },
                    1,
                )
                .await
                .unwrap();
            let moved = store.set_agreement_status(&id, to, 2).await;
            assert_eq!(moved.is_ok(), from == to || allowed.contains(&(from, to)), "{id}");
            let now = store.agreement(&id).await.unwrap().unwrap().agreement.status;
            assert_eq!(now, if moved.is_ok() { to } else { from });
        }
    }
    assert_eq!(store.agreements().await.unwrap().len(), 26);
    assert!(matches!(
        store.set_agreement_status("none", Active, 1).await,
        Err(StoreError::NotFound { .. })
    ));
}

#[tokio::test]
async fn the_active_scope_is_the_newest_epoch_of_its_time() {
    let home = Home::new();
    let store = home.open().await;
    let orphan = store
        .create_scope(&new_scope(1, NewScopeRole::Requester), 0)
        .await;
    assert!(matches!(orphan, Err(StoreError::NotFound { what: "agreement" })));
    let first = owner_scope(&store).await;
    let owner = |epoch: u32| NewScope {
        not_before_ms: i64::from(epoch) * 1_000 - 200,
        ..new_scope(
            epoch,
            NewScopeRole::Owner {
                seed: Zeroizing::new([epoch as u8; 32]),
            },
        )
    };
    assert!(matches!(
        store.create_scope(&owner(1), 0).await,
        Err(StoreError::AlreadyExists { what: "scope" })
    ));
    let second = store
        .create_scope(
            &NewScope {
                not_after_ms: 3_000,
                ..owner(2)
            },
            0,
        )
        .await
        .unwrap();
    let requester = store
        .create_scope(&new_scope(1, NewScopeRole::Requester), 0)
        .await
        .unwrap();
    let at = async |at_ms| {
        let scope = store
            .active_scope("a-1", "passports", ScopeRole::Owner, at_ms)
            .await
            .unwrap();
        scope.map(|scope| scope.id)
    };
    assert_eq!(
        (at(999).await, at(1_000).await, at(1_799).await),
        (None, Some(first), Some(first))
    );
    assert_eq!(
        (at(1_800).await, at(2_999).await, at(3_000).await),
        (Some(second), Some(second), None)
    );
    let theirs = store
        .active_scope("a-1", "passports", ScopeRole::Requester, 1_500)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((theirs.id, theirs.role), (requester, ScopeRole::Requester));
    let by_epoch = store
        .scope_of_epoch("a-1", "passports", 2, ScopeRole::Owner)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((by_epoch.id, by_epoch.public_key), (second, [2; 32]));

    store.retire_scope(second, 5).await.unwrap();
    assert_eq!(at(2_500).await, None);
    assert_eq!(
        store.scope_seed(second).await.unwrap().as_slice(),
        [2; 32],
        "a retired key is still there"
    );
    assert_eq!(store.destroy_key(second, 6).await.unwrap(), Erasure::Complete);
    assert_eq!(store.destroy_key(second, 7).await.unwrap(), Erasure::Complete);
    let back = store.retire_scope(second, 8).await;
    assert!(matches!(
        back,
        Err(StoreError::InvalidTransition { what: "scope", .. })
    ));
    assert_eq!(store.scope(second).await.unwrap().status, ScopeStatus::Destroyed);
    assert!(matches!(
        store.scope_seed(requester).await,
        Err(StoreError::NoKey { destroyed: false, .. })
    ));
    assert_eq!(store.scopes("a-1").await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_was_computed_under_a_destroyed_key_goes_with_it() {
    let home = Home::new();
    let store = home.open().await;
    let owner = owner_scope(&store).await;
    let requester = store
        .create_scope(&new_scope(1, NewScopeRole::Requester), 0)
        .await
        .unwrap();
    let kept: Vec<KeptTag> = (0..10_000_u32)
        .map(|n| {
            let mut index = [0; 16];
            index[12..].copy_from_slice(&n.to_be_bytes());
            KeptTag {
                blind_index: BlindIndex(index),
                tag: [1; 16],
            }
        })
        .collect();
    store.insert_own_tags(owner, &kept).await.unwrap();
    store.insert_kept_tags(requester, &kept[..5_000]).await.unwrap();
    let charge = Charge {
        scope: owner,
        quota: Quota {
            per_day: 10,
            per_epoch: 10,
        },
        day: 1,
        request_id: [1; 16],
        announced: 1,
        chunk_index: 0,
        digest: [1; 32],
        elements: 1,
    };
    store.charge(&[], &[charge], 1, unrecorded).await.unwrap();
    assert_eq!(purge(&store).await, 0);
    let _ = store.destroy_key(owner, 2).await.unwrap();
    assert_eq!(
        store.charge(&[], &[charge], 3, unrecorded).await.unwrap(),
        [ChargeOutcome::ScopeEnded]
    );
    assert_eq!(purge(&store).await, 3, "ten thousand rows in three small steps");
    assert_eq!(
        (
            rows(&home, "own_tag").await,
            rows(&home, "charge").await,
            rows(&home, "usage_request").await
        ),
        (0, 0, 0)
    );
    assert_eq!(rows(&home, "kept_tag").await, 5_000);
    let _ = store.destroy_key(requester, 4).await.unwrap();
    purge(&store).await;
    assert_eq!(rows(&home, "kept_tag").await, 0);
    assert_eq!(
        store.usage(owner, 1).await.unwrap(),
        Usage { day: 1, epoch: 1 },
        "what was used stays on record"
    );
}

#[tokio::test]
async fn a_held_snapshot_never_goes_back() {
    let home = Home::new();
    let store = home.open().await;
    let scope = requester_scope(&store).await;
    assert_eq!(store.latest_held(scope).await.unwrap(), None);
    store.install_snapshot(scope, 4, "four", 1).await.unwrap();
    store.install_snapshot(scope, 4, "four", 2).await.unwrap();
    assert!(matches!(
        store.install_snapshot(scope, 3, "three", 3).await,
        Err(StoreError::OlderSnapshot { held: 4, offered: 3 })
    ));
    assert!(matches!(
        store.install_snapshot(scope, 4, "other", 3).await,
        Err(StoreError::SnapshotEquivocation { version: 4 })
    ));
    for version in [5, 9, 40] {
        store
            .install_snapshot(scope, version, "later", i64::try_from(version).unwrap())
            .await
            .unwrap();
    }
    let held = store.latest_held(scope).await.unwrap().unwrap();
    assert_eq!(
        (held.version, held.manifest.as_str(), held.at_ms),
        (40, "later", 40)
    );
    assert_eq!(
        rows(&home, "snapshot_held").await,
        1,
        "old manifests are not kept for ever"
    );
    assert!(store.install_snapshot(ScopeId(99), 1, "m", 1).await.is_err());
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate_until_it_is_revoked() {
    let home = Home::new();
    let store = home.open().await;
    store.add_client("border-1", &[1; 32], 1).await.unwrap();
    store.add_client("border-1", &[1; 32], 2).await.unwrap();
    for (name, certificate) in [("border-1", [2; 32]), ("border-2", [1; 32])] {
        let refused = store.add_client(name, &certificate, 3).await;
        assert!(matches!(
            refused,
            Err(StoreError::AlreadyExists { what: "client" })
        ));
    }
    let client = store.client_of_certificate(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((client.name.as_str(), client.revoked_ms), ("border-1", None));
    assert_eq!(store.client_of_certificate(&[2; 32]).await.unwrap(), None);
    store.revoke_client("border-1", 4).await.unwrap();
    let client = store.client_of_certificate(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((client.name.as_str(), client.revoked_ms), ("border-1", Some(4)));
    assert!(matches!(
        store.revoke_client("border-1", 5).await,
        Err(StoreError::NotFound { what: "client" })
    ));
    assert!(
        store.add_client("border-1", &[1; 32], 6).await.is_err(),
        "a revocation is final"
    );
    store.add_client("border-1", &[2; 32], 7).await.unwrap();
    let all = store.clients().await.unwrap();
    assert_eq!(
        all.iter().map(|client| client.revoked_ms).collect::<Vec<_>>(),
        [Some(4), None]
    );
}

/// One in which a partner asked us.
fn exchange(n: u8) -> Exchange {
    an_exchange([n; 16], i64::from(n))
}

#[tokio::test]
async fn new_exchanges_begin_together_with_their_entries_or_not_at_all() {
    let home = Home::new();
    let store = home.open().await;
    let with_entry = |exchange: Exchange| {
        let id = *exchange.id.as_bytes();
        (exchange, an_entry("evaluation.opened", Some(id)))
    };
    let begin = |ids: &[u8]| store.begin_exchanges(ids.iter().map(|id| with_entry(exchange(*id))).collect());
    begin(&[1, 2]).await.unwrap();
    for twice in [[3, 1], [4, 4]] {
        assert!(matches!(
            begin(&twice).await,
            Err(StoreError::AlreadyExists { what: "exchange" })
        ));
    }
    begin(&[5]).await.unwrap();
    begin(&[]).await.unwrap();
    let entries = store.ledger_entries(&EntryFilter::default(), 9).await.unwrap();
    let recorded: Vec<_> = entries
        .iter()
        .map(|entry| (entry.number, entry.exchange))
        .collect();
    assert_eq!(
        recorded,
        [(0, Some([1; 16])), (1, Some([2; 16])), (2, Some([5; 16]))],
        "numbered without a gap"
    );
    let key = entries[2].sealed.as_ref().map(|(_, key)| key.as_slice());
    assert_eq!(key, Some(&[0x5A; 32][..]));
    let open = store.idle_exchanges(false, i64::MAX, 9).await.unwrap();
    let open: Vec<_> = open.iter().map(|exchange| exchange.at_ms).collect();
    assert_eq!(open, [1, 2, 5]);

    let closed = |id| store.close_exchange(an_entry("evaluation", Some([id; 16])));
    assert!(closed(2).await.unwrap());
    assert!(!closed(2).await.unwrap(), "it was closed");
    assert!(!closed(3).await.unwrap(), "it is not known");
    let unnamed = store.close_exchange(an_entry("evaluation", None)).await;
    assert!(!unnamed.unwrap());
    assert_eq!(store.ledger_size().await.unwrap(), 4);
    let open = store.idle_exchanges(false, i64::MAX, 9).await.unwrap();
    assert_eq!(open.len(), 2);

    let many = vec![9; MAX_EXCHANGES + 1];
    assert!(matches!(begin(&many).await, Err(StoreError::TooMany { .. })));
}

/// Many partners and many offers wait for the disk together, and what is wrong with one is its own.
#[tokio::test]
async fn exchanges_that_begin_and_end_together_are_numbered_without_a_gap_and_fail_alone() {
    let home = Home::new();
    let store = home.open().await;
    let begin = |ids: Vec<u8>| {
        let exchanges = ids.into_iter().map(|id| {
            let entry = an_entry("evaluation.opened", Some([id; 16]));
            (exchange(id), entry)
        });
        store.begin_exchanges(exchanges.collect())
    };
    let close = |id| store.close_exchange(an_entry("evaluation", Some([id; 16])));
    // All of these are given before the first is on disk.
    let (first, second) = (begin(vec![1, 2]), begin(vec![3]));
    let (taken, closed) = (begin(vec![4, 1]), [close(1), close(9), close(1), close(3)]);
    let last = begin(vec![4]);
    first.await.unwrap();
    second.await.unwrap();
    assert!(matches!(
        taken.await,
        Err(StoreError::AlreadyExists { what: "exchange" })
    ));
    let mut was_open = Vec::new();
    for closed in closed {
        was_open.push(closed.await.unwrap());
    }
    assert_eq!(was_open, [true, false, false, true]);
    last.await.unwrap();
    // And these without trouble: one transaction.
    let together = [close(2), close(2), close(4)];
    let mut was_open = Vec::new();
    for closed in together {
        was_open.push(closed.await.unwrap());
    }
    assert_eq!(was_open, [true, false, true]);
    let entries = store.ledger_entries(&EntryFilter::default(), 20).await.unwrap();
    let recorded: Vec<_> = entries
        .iter()
        .map(|entry| (entry.number, entry.exchange.map(|id| id[0]), entry.kind.as_str()))
        .collect();
    let (opened, closed) = ("evaluation.opened", "evaluation");
    assert_eq!(
        recorded,
        [
            (0, Some(1), opened),
            (1, Some(2), opened),
            (2, Some(3), opened),
            (3, Some(1), closed),
            (4, Some(3), closed),
            (5, Some(4), opened),
            (6, Some(2), closed),
            (7, Some(4), closed),
        ]
    );
    // Sealed under the number that each has.
    assert!(entries.iter().all(|entry| entry.sealed.is_some()));
    assert_eq!(store.idle_exchanges(false, i64::MAX, 9).await.unwrap(), []);
}

#[tokio::test]
async fn the_record_of_what_happened_is_only_added_to() {
    let home = Home::new();
    let store = home.open().await;
    for n in 1..=3 {
        store.append_exchange(&exchange(n)).await.unwrap();
    }
    let later = Exchange {
        at_ms: 99,
        ..exchange(1)
    };
    store.append_exchange(&later).await.expect("it goes on");
    for foreign in [
        Exchange {
            partner: "agency-c".to_owned(),
            ..exchange(1)
        },
        Exchange {
            purpose: "other".to_owned(),
            ..exchange(1)
        },
        // Its size was stated once, and the record says that size.
        Exchange {
            elements: 2_048,
            ..exchange(1)
        },
        Exchange {
            asked: Some(Asked {
                query: Uuid::from_bytes([9; 16]),
                client: "gate-7".to_owned(),
                officer: Zeroizing::new("o".to_owned()),
                ordered_by: Zeroizing::new("commander".into()),
                case_reference: Zeroizing::new("c".to_owned()),
            }),
            ..exchange(1)
        },
    ] {
        let taken = store.append_exchange(&foreign).await;
        assert!(matches!(taken, Err(StoreError::AlreadyExists { .. })));
    }
    assert_eq!(
        store.exchanges(None, 2).await.unwrap(),
        [exchange(3), exchange(2)]
    );
    assert_eq!(
        store.exchanges(Some(Uuid::from_bytes([2; 16])), 9).await.unwrap(),
        [exchange(1)]
    );
    let incident = Incident {
        at_ms: 5,
        partner: "agency-b".to_owned(),
        kind: "proof_failed".to_owned(),
        exchange: Some(Uuid::from_bytes([3; 16])),
        transcript_digest: Some([9; 32]),
        detail: "chunk 4".to_owned(),
    };
    store.append_incident(&incident).await.unwrap();
    assert_eq!(store.incidents(10).await.unwrap(), [incident]);

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path());
    let mut conn = sqlx::ConnectOptions::connect(&options).await.unwrap();
    for statement in [
        "UPDATE exchange SET elements = 0",
        "DELETE FROM exchange",
        "UPDATE incident SET detail = ''",
        "DELETE FROM incident",
    ] {
        assert!(
            sqlx::query(statement).execute(&mut conn).await.is_err(),
            "{statement}"
        );
    }
}

#[tokio::test]
async fn facts_are_kept() {
    let home = Home::new();
    let store = home.open().await;
    assert_eq!(store.fact("agency_id").await.unwrap(), None);
    store.set_fact("agency_id", "agency-a", 1).await.unwrap();
    store.set_fact("agency_id", "agency-z", 2).await.unwrap();
    drop(store);
    assert_eq!(
        home.open().await.fact("agency_id").await.unwrap().as_deref(),
        Some("agency-z")
    );
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_says_why() {
    let home = Home::new();
    let store = home.open().await;
    let second = home.try_open([7; 32]).await;
    assert!(
        matches!(second, Err(StoreError::AlreadyOpen { .. })),
        "{second:?}"
    );
    store.close().await;
    drop(store);
    tamper(&home, "PRAGMA user_version = 99").await;
    let newer = home.try_open([7; 32]).await;
    assert!(
        matches!(
            newer,
            Err(StoreError::SchemaTooNew {
                found: 99,
                known: SCHEMA_VERSION
            })
        ),
        "{newer:?}"
    );
    tamper(
        &home,
        "PRAGMA user_version = 1; UPDATE schema_step SET sha256 = zeroblob(32)",
    )
    .await;
    assert!(matches!(
        home.try_open([7; 32]).await,
        Err(StoreError::SchemaDiffers { version: 1 })
    ));

    let other = Home::new();
    std::fs::write(
        other.path(),
        "not a database, but long enough to be looked at as one",
    )
    .unwrap();
    let refused = other.try_open([7; 32]).await;
    assert!(
        matches!(refused, Err(StoreError::NotAStore { .. })),
        "{refused:?}"
    );
    let nowhere = options(&other.folder.path().join("no/such/folder/node.db"), [7; 32], 1);
    assert!(matches!(Store::open(nowhere).await, Err(StoreError::Io { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_of_the_files_may_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let store = home.open().await;
    store.create_list("wanted", 1).await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(home.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            entry.file_name()
        );
        seen += 1;
    }
    assert!(seen >= 3, "database, log and lock");
}

/// Futures must be `Send`, or a node cannot run them on its threads.
#[tokio::test]
async fn everything_can_run_on_any_thread() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = send(store.create_list("wanted", 1)).await.unwrap();
    let offer = selection(&[list], PASSPORT);
    let mut import = send(store.begin_import(list, ImportMode::Merge, "", 1))
        .await
        .unwrap();
    send(import.stage(vec![passports("a", &["A"])])).await.unwrap();
    send(import.commit(1)).await.unwrap();
    send(store.upsert_records(list, vec![])).await.unwrap();
    let mut publication = send(store.begin_publication(scope, offer.clone())).await.unwrap();
    let page = send(publication.next_page(1)).await.unwrap().unwrap();
    send(publication.add_tags(&[tag_of(&page.untagged[0])]))
        .await
        .unwrap();
    while send(publication.next_page(1)).await.unwrap().is_some() {}
    send(publication.commit("m", 1)).await.unwrap();
    let _ = send(store.purge_step()).await.unwrap();
    send(store.charge(&[], &[], 1, unrecorded)).await.unwrap();
}
