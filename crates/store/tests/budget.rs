//! Budgets: nothing is charged twice, nothing beyond the quota, nothing is forgotten.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use concordat_store::*;
use proptest::prelude::*;
use uuid::Uuid;

const QUOTA: Quota = Quota {
    per_day: 100,
    per_epoch: 150,
};

fn charge(scope: ScopeId, request: u8, chunk_index: u32, elements: u32) -> Charge {
    Charge {
        scope,
        quota: QUOTA,
        day: 20_000,
        request_id: [request; 16],
        announced: u64::MAX,
        chunk_index,
        digest: [request ^ chunk_index as u8; 32],
        elements,
    }
}

#[tokio::test]
async fn a_chunk_is_charged_once_whatever_happens() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let first = charge(scope, 1, 0, 60);
    let outcome = store.charge(&[], &[first], 1, unrecorded).await.unwrap();
    assert_eq!(
        outcome,
        [ChargeOutcome::Charged {
            left_day: 40,
            left_epoch: 90
        }]
    );
    assert_eq!(
        store.charge(&[], &[first, first], 2, unrecorded).await.unwrap(),
        [ChargeOutcome::AlreadyCharged; 2]
    );
    let swapped = Charge {
        digest: [9; 32],
        ..first
    };
    assert_eq!(
        store.charge(&[], &[swapped], 3, unrecorded).await.unwrap(),
        [ChargeOutcome::DigestMismatch]
    );
    assert_eq!(
        store.usage(scope, 20_000).await.unwrap(),
        Usage { day: 60, epoch: 60 }
    );
    drop(store);

    let store = home.open().await;
    assert_eq!(
        store.charge(&[], &[first], 4, unrecorded).await.unwrap(),
        [ChargeOutcome::AlreadyCharged]
    );
    // On another day the same chunk is still the same chunk.
    let later = Charge { day: 20_001, ..first };
    assert_eq!(
        store.charge(&[], &[later], 5, unrecorded).await.unwrap(),
        [ChargeOutcome::AlreadyCharged]
    );
    assert_eq!(
        store.usage(scope, 20_001).await.unwrap(),
        Usage { day: 0, epoch: 60 }
    );
}

/// The counters of a call are kept in memory until its end: what is in it twice, or on two days, must not be lost there.
#[tokio::test]
async fn one_call_counts_each_chunk_once_and_each_day_for_itself() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let charged = |left_day, left_epoch| ChargeOutcome::Charged { left_day, left_epoch };
    let first = charge(scope, 1, 0, 60);
    let after_midnight = Charge {
        day: 20_001,
        ..charge(scope, 1, 1, 30)
    };
    let other = Charge {
        digest: [9; 32],
        ..first
    };
    let outcomes = store
        .charge(
            &[],
            &[first, first, after_midnight, other, charge(scope, 2, 0, 40)],
            1,
            unrecorded,
        )
        .await
        .unwrap();
    assert_eq!(
        outcomes,
        [
            charged(40, 90),
            ChargeOutcome::AlreadyCharged,
            charged(70, 60),
            ChargeOutcome::DigestMismatch,
            charged(0, 20),
        ]
    );
    for (day, used) in [(20_000, 100), (20_001, 30)] {
        assert_eq!(
            store.usage(scope, day).await.unwrap(),
            Usage {
                day: used,
                epoch: 130
            }
        );
    }
    assert_eq!(store.answered(scope, &[1; 16]).await.unwrap().elements, 90);
}

#[tokio::test]
async fn both_limits_hold_to_the_element() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let outcomes = store
        .charge(
            &[],
            &[
                charge(scope, 1, 0, 99),
                charge(scope, 1, 1, 2),
                charge(scope, 1, 2, 1),
                charge(scope, 1, 3, 1),
            ],
            1,
            unrecorded,
        )
        .await
        .unwrap();
    let day_full = |left| ChargeOutcome::QuotaExceeded {
        which: Budget::Day,
        left,
        resets_at_ms: Some(20_001 * 86_400_000),
    };
    assert_eq!(
        outcomes,
        [
            ChargeOutcome::Charged {
                left_day: 1,
                left_epoch: 51
            },
            day_full(1),
            ChargeOutcome::Charged {
                left_day: 0,
                left_epoch: 50
            },
            day_full(0),
        ]
    );
    // What was charged may still be sent again when nothing is left.
    assert_eq!(
        store
            .charge(&[], &[charge(scope, 1, 0, 99)], 2, unrecorded)
            .await
            .unwrap(),
        [ChargeOutcome::AlreadyCharged]
    );
    // A new day brings a new day's quota, and no new epoch.
    let tomorrow = |chunk, elements| Charge {
        day: 20_001,
        ..charge(scope, 2, chunk, elements)
    };
    let outcomes = store
        .charge(&[], &[tomorrow(0, 51), tomorrow(1, 50)], 3, unrecorded)
        .await
        .unwrap();
    let epoch_full = ChargeOutcome::QuotaExceeded {
        which: Budget::Epoch,
        left: 50,
        resets_at_ms: None,
    };
    assert_eq!(
        outcomes,
        [
            epoch_full,
            ChargeOutcome::Charged {
                left_day: 50,
                left_epoch: 0
            }
        ]
    );
    // A quota that was lowered refuses, and does not count below zero.
    let lowered = Charge {
        quota: Quota {
            per_day: 10,
            per_epoch: 10,
        },
        ..tomorrow(3, 1)
    };
    let outcomes = store.charge(&[], &[lowered], 4, unrecorded).await.unwrap();
    assert_eq!(
        outcomes,
        [ChargeOutcome::QuotaExceeded {
            which: Budget::Epoch,
            left: 0,
            resets_at_ms: None
        }]
    );
    let huge = Charge {
        quota: Quota {
            per_day: u64::MAX,
            per_epoch: u64::MAX,
        },
        elements: u32::MAX,
        ..tomorrow(4, 1)
    };
    assert!(matches!(
        store.charge(&[], &[huge], 5, unrecorded).await.unwrap()[0],
        ChargeOutcome::Charged { .. }
    ));

    let many = vec![charge(scope, 1, 0, 1); MAX_CHARGES + 1];
    assert!(matches!(
        store.charge(&[], &many, 7, unrecorded).await,
        Err(StoreError::TooMany { .. })
    ));
}

/// Charges of all partners come in one call: what is wrong with one must not touch the others.
#[tokio::test]
async fn a_dead_scope_is_refused_alone() {
    let home = Home::new();
    let store = home.open().await;
    let dead = owner_scope(&store).await;
    let role = NewScopeRole::Owner {
        seed: zeroize::Zeroizing::new([0x5F; 32]),
    };
    let alive = store.create_scope(&new_scope(2, role), 0).await.unwrap();
    let replay = charge(dead, 1, 0, 7);
    store.charge(&[], &[replay], 1, unrecorded).await.unwrap();
    let _ = store.destroy_key(dead, 2).await.unwrap();
    let outcomes = store
        .charge(
            &[],
            &[
                charge(alive, 2, 0, 5),
                replay,
                charge(dead, 3, 0, 5),
                charge(ScopeId(77), 4, 0, 5),
                charge(alive, 2, 1, 5),
            ],
            3,
            unrecorded,
        )
        .await
        .unwrap();
    let charged = |outcome: &ChargeOutcome| matches!(outcome, ChargeOutcome::Charged { .. });
    assert!(charged(&outcomes[0]) && charged(&outcomes[4]), "{outcomes:?}");
    assert_eq!(outcomes[1..4], [ChargeOutcome::ScopeEnded; 3]);
    assert_eq!(store.usage(alive, 20_000).await.unwrap().epoch, 10);
    assert_eq!(store.usage(dead, 20_000).await.unwrap().epoch, 7);
}

/// Two epochs that meet in one day have one daily quota between them, and each its own of the epoch.
#[tokio::test]
async fn a_change_of_key_is_no_second_quota_of_the_day() {
    let home = Home::new();
    let store = home.open().await;
    let morning = owner_scope(&store).await;
    let seed = || zeroize::Zeroizing::new([0x5F; 32]);
    let scope = |change: &dyn Fn(&mut NewScope)| {
        let mut scope = new_scope(2, NewScopeRole::Owner { seed: seed() });
        change(&mut scope);
        scope
    };
    let evening = store.create_scope(&scope(&|_| {}), 0).await.unwrap();
    let other = scope(&|scope| scope.offer_id = "people".to_owned());
    let other = store.create_scope(&other, 0).await.unwrap();
    let outcomes = store
        .charge(
            &[],
            &[
                charge(morning, 1, 0, 60),
                charge(evening, 2, 0, 41),
                charge(evening, 2, 1, 40),
                charge(other, 3, 0, 100),
            ],
            1,
            unrecorded,
        )
        .await
        .unwrap();
    assert_eq!(
        outcomes,
        [
            ChargeOutcome::Charged {
                left_day: 40,
                left_epoch: 90
            },
            ChargeOutcome::QuotaExceeded {
                which: Budget::Day,
                left: 40,
                resets_at_ms: Some(20_001 * 86_400_000)
            },
            ChargeOutcome::Charged {
                left_day: 0,
                left_epoch: 110
            },
            ChargeOutcome::Charged {
                left_day: 0,
                left_epoch: 50
            },
        ]
    );
    for (scope, epoch) in [(morning, 60), (evening, 40)] {
        assert_eq!(
            store.usage(scope, 20_000).await.unwrap(),
            Usage { day: 100, epoch }
        );
    }
}

/// A request is put on record with its first chunks, in the order in which they came; one whose id belongs to another is refused alone,
/// and costs nothing.
#[tokio::test]
async fn a_request_is_recorded_with_its_first_chunks() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let request = |id: u8, purpose: &str| Exchange {
        id: Uuid::from_bytes([id; 16]),
        at_ms: 1,
        partner: "agency-b".to_owned(),
        scope: Some(scope),
        purpose: purpose.to_owned(),
        legal_basis: "l".to_owned(),
        elements: 20,
        asked: None,
    };
    let announced = |id, chunk_index, elements| Charge {
        announced: 20,
        ..charge(scope, id, chunk_index, elements)
    };
    let charges = [
        announced(1, 0, 10),
        announced(1, 1, 10),
        announced(2, 0, 20),
        announced(3, 0, 1),
        // Refused by the quota: of that nothing is kept, whoever sends it without end.
        Charge {
            quota: Quota { per_day: 0, ..QUOTA },
            ..announced(4, 0, 1)
        },
        // Of nobody whose request is given: one that is on record.
        announced(3, 1, 2),
    ];
    let (first, second, third, fourth) = (request(1, "p"), request(2, "p"), request(3, "p"), request(4, "p"));
    let foreign = request(3, "another purpose");
    store.append_exchange(&third).await.unwrap();
    let requests = [
        (0, &first),
        (1, &first),
        (2, &second),
        (3, &foreign),
        (4, &fourth),
    ];
    let record = |position: usize, progress: Progress| {
        let kind = match progress.ended {
            None => "evaluation.opened",
            Some(_) => "evaluation",
        };
        Some(an_entry(kind, Some(charges[position].request_id)))
    };
    let outcomes = store.charge(&requests, &charges, 5, record).await.unwrap();
    let charged = |outcome: &ChargeOutcome| matches!(outcome, ChargeOutcome::Charged { .. });
    assert!(outcomes[..3].iter().all(charged), "{outcomes:?}");
    assert_eq!(outcomes[3], ChargeOutcome::ForeignRequest);
    assert!(matches!(outcomes[4], ChargeOutcome::QuotaExceeded { .. }));
    assert!(charged(&outcomes[5]));
    let used = store.usage(scope, 20_000).await.unwrap();
    assert_eq!(used, Usage { day: 42, epoch: 42 });

    let entries = store.ledger_entries(&EntryFilter::default(), 9).await.unwrap();
    let recorded: Vec<_> = entries
        .iter()
        .map(|entry| (entry.exchange.map_or(0, |id| id[0]), entry.kind.as_str()))
        .collect();
    assert_eq!(
        recorded,
        [
            (1, "evaluation.opened"),
            (2, "evaluation.opened"),
            (1, "evaluation"),
            (2, "evaluation"),
        ]
    );
    let open = store.idle_exchanges(false, i64::MAX, 9).await.unwrap();
    let open: Vec<_> = open.iter().map(|exchange| exchange.id.as_bytes()[0]).collect();
    assert_eq!(open, [3], "what has ended is closed");
    assert!(store.exchange(fourth.id).await.unwrap().is_none());
    // Nor what is larger than announced. What belongs to another takes no room from others.
    let [sixth, seventh] = [request(6, "p"), request(7, "p")];
    let others = Exchange {
        partner: "agency-c".to_owned(),
        ..sixth.clone()
    };
    store.append_exchange(&others).await.unwrap();
    let narrow = |charge| Charge {
        quota: Quota {
            per_day: 42 + 20,
            per_epoch: 42 + 20,
        },
        ..charge
    };
    let charges = [
        narrow(announced(6, 0, 15)),
        narrow(announced(7, 0, 21)),
        narrow(announced(7, 1, 15)),
    ];
    let requests = [(0, &sixth), (1, &seventh), (2, &seventh)];
    let record = |position: usize, _| Some(an_entry("evaluation.opened", Some(charges[position].request_id)));
    let outcomes = store.charge(&requests, &charges, 6, record).await.unwrap();
    assert_eq!(outcomes[0], ChargeOutcome::ForeignRequest);
    assert_eq!(outcomes[1], ChargeOutcome::MoreThanAnnounced { left: 20 });
    assert!(charged(&outcomes[2]), "{outcomes:?}");
    let used = store.usage(scope, 20_000).await.unwrap();
    assert_eq!(used, Usage { day: 57, epoch: 57 });
    let entries = store.ledger_entries(&EntryFilter::default(), 9).await.unwrap();
    assert_eq!(entries.len(), 5, "one for the seventh");
    // It takes none away either: where 5 are left, what does not fit leaves nothing, though it comes after what belongs to another.
    let [eighth, ninth] = [request(8, "p"), request(9, "p")];
    let again = request(8, "another purpose");
    let charges = [
        narrow(announced(6, 1, 5)),
        narrow(announced(8, 0, 4)),
        narrow(announced(8, 1, 1)),
        narrow(announced(9, 0, 2)),
    ];
    let requests = [(0, &sixth), (1, &eighth), (2, &again), (3, &ninth)];
    let record = |position: usize, _| Some(an_entry("evaluation.opened", Some(charges[position].request_id)));
    let outcomes = store.charge(&requests, &charges, 7, record).await.unwrap();
    assert_eq!(outcomes[0], ChargeOutcome::ForeignRequest);
    assert!(charged(&outcomes[1]), "{outcomes:?}");
    assert_eq!(
        outcomes[2],
        ChargeOutcome::ForeignRequest,
        "one that begins in the same call is another, too"
    );
    assert!(matches!(
        outcomes[3],
        ChargeOutcome::QuotaExceeded { left: 1, .. }
    ));
    assert!(store.exchange(ninth.id).await.unwrap().is_none());
    let entries = store.ledger_entries(&EntryFilter::default(), 9).await.unwrap();
    assert_eq!(entries.len(), 6);
    let used = store.usage(scope, 20_000).await.unwrap();
    assert_eq!(used, Usage { day: 61, epoch: 61 });

    // Nothing is charged, and nothing on record, that the ledger does not get.
    let fifth = request(5, "p");
    let refused = store
        .charge(&[(0, &fifth)], &[announced(5, 0, 1)], 6, |_, _| None)
        .await;
    assert!(matches!(refused, Err(StoreError::NotRecorded)));
    assert!(store.exchange(fifth.id).await.unwrap().is_none());
    assert_eq!(store.usage(scope, 20_000).await.unwrap(), used);
}

/// What is recorded of a request is what it announced: no more is charged under its id, on whatever day, and what
/// was charged may be sent again.
#[tokio::test]
async fn a_request_is_never_larger_than_it_announced() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let announced = |chunk_index, elements, day| Charge {
        announced: 16,
        day,
        ..charge(scope, 1, chunk_index, elements)
    };
    let outcomes = store
        .charge(
            &[],
            &[announced(0, 10, 20_000), announced(1, 7, 20_000)],
            1,
            unrecorded,
        )
        .await
        .unwrap();
    assert!(matches!(outcomes[0], ChargeOutcome::Charged { .. }));
    assert_eq!(outcomes[1], ChargeOutcome::MoreThanAnnounced { left: 6 });
    drop(store);

    let store = home.open().await;
    let outcomes = store
        .charge(
            &[],
            &[
                announced(1, 7, 20_001),
                announced(2, 6, 20_001),
                announced(3, 1, 20_001),
                announced(0, 10, 20_001),
            ],
            2,
            unrecorded,
        )
        .await
        .unwrap();
    assert_eq!(outcomes[0], ChargeOutcome::MoreThanAnnounced { left: 6 });
    assert!(matches!(outcomes[1], ChargeOutcome::Charged { .. }));
    assert_eq!(outcomes[2], ChargeOutcome::MoreThanAnnounced { left: 0 });
    assert_eq!(outcomes[3], ChargeOutcome::AlreadyCharged);
    let other = Charge {
        announced: 16,
        ..charge(scope, 2, 0, 16)
    };
    let outcomes = store.charge(&[], &[other], 3, unrecorded).await.unwrap();
    assert!(
        matches!(outcomes[0], ChargeOutcome::Charged { .. }),
        "another request has its own"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_never_exceed_the_quota() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let mut tasks = tokio::task::JoinSet::new();
    for request in 0..40 {
        let store = store.clone();
        // 40 × 7 elements for a quota of 100: 14 fit.
        tasks.spawn(async move {
            store
                .charge(&[], &[charge(scope, request, 0, 7)], 1, unrecorded)
                .await
                .unwrap()[0]
        });
    }
    let outcomes = tasks.join_all().await;
    let charged = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, ChargeOutcome::Charged { .. }))
        .count();
    assert_eq!(charged, 14);
    assert_eq!(
        store.usage(scope, 20_000).await.unwrap(),
        Usage { day: 98, epoch: 98 }
    );
}

/// A border check must never wait behind an import. Both are polled by one thread, so the order of events is fixed:
/// transactions take turns, so each charge gets its turn between two of the import's forty.
#[tokio::test]
async fn charges_take_turns_with_an_import() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let mut import = store
        .begin_import(list, ImportMode::Replace, "", 0)
        .await
        .unwrap();
    let records = (0..20_000)
        .map(|n| passports(&format!("r{n}"), &[&format!("N{n}")]))
        .collect();
    let charged = AtomicUsize::new(0);
    let staging = async {
        import.stage(records).await.unwrap();
        charged.load(Ordering::SeqCst)
    };
    let charging = async {
        for chunk in 0..20 {
            let outcome = store
                .charge(&[], &[charge(scope, 1, chunk, 1)], 1, unrecorded)
                .await
                .unwrap();
            assert!(matches!(outcome[0], ChargeOutcome::Charged { .. }));
            charged.fetch_add(1, Ordering::SeqCst);
        }
    };
    let (charged_before_the_end, ()) = tokio::join!(staging, charging);
    assert_eq!(
        charged_before_the_end, 20,
        "every charge was done before the import was"
    );
    assert_eq!(import.commit(1).await.unwrap().added, 20_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn budgets_behave_like_sums(
        calls in prop::collection::vec(prop::collection::vec((0_u8..3, 0_u32..4, 0_u8..2, 0_u32..40, 0_i32..2), 1..6), 1..6)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let store = home.open().await;
            let scope = owner_scope(&store).await;
            let (mut charged, mut days, mut epoch) = (HashMap::new(), HashMap::new(), 0_u64);
            for call in calls {
                let charges: Vec<Charge> = call
                    .iter()
                    .map(|&(request, chunk, digest, elements, day)| Charge {
                        digest: [digest; 32],
                        day,
                        ..charge(scope, request, chunk, elements)
                    })
                    .collect();
                let outcomes = store.charge(&[], &charges, 1, unrecorded).await.unwrap();
                for (charge, outcome) in charges.iter().zip(outcomes) {
                    let elements = u64::from(charge.elements);
                    let day: &mut u64 = days.entry(charge.day).or_default();
                    let expected = match charged.get(&(charge.request_id, charge.chunk_index)) {
                        Some(digest) if *digest == charge.digest => ChargeOutcome::AlreadyCharged,
                        Some(_) => ChargeOutcome::DigestMismatch,
                        None if epoch + elements > QUOTA.per_epoch => ChargeOutcome::QuotaExceeded {
                            which: Budget::Epoch,
                            left: QUOTA.per_epoch - epoch,
                            resets_at_ms: None,
                        },
                        None if *day + elements > QUOTA.per_day => ChargeOutcome::QuotaExceeded {
                            which: Budget::Day,
                            left: QUOTA.per_day - *day,
                            resets_at_ms: Some((i64::from(charge.day) + 1) * 86_400_000),
                        },
                        None => {
                            *day += elements;
                            epoch += elements;
                            charged.insert((charge.request_id, charge.chunk_index), charge.digest);
                            ChargeOutcome::Charged {
                                left_day: QUOTA.per_day - *day,
                                left_epoch: QUOTA.per_epoch - epoch,
                            }
                        }
                    };
                    assert_eq!(outcome, expected);
                }
            }
            for (day, used) in days {
                assert_eq!(store.usage(scope, day).await.unwrap(), Usage { day: used, epoch });
            }
        });
    }
}
