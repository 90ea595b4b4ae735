//! Many cases at once: pages, what is due, what is to be delivered, what opens no second case.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use common::cases::*;
use common::*;
use concordat_store::*;

#[tokio::test]
async fn pages_are_in_order_and_lose_and_repeat_nothing() {
    let home = Home::new();
    let store = home.open().await;
    let mut rows = Vec::new();
    for n in 0..60_u32 {
        let base = if n % 2 == 0 { row(n) } else { owned(n) };
        let running = clock([100, 200, 300][n as usize % 3]);
        rows.push(CaseRow {
            // Many of the same deadline, many opened at the same moment.
            clock: match n % 5 {
                0 => None,
                1 => Some(CaseClock {
                    stopped: true,
                    ..running
                }),
                2 => Some(CaseClock {
                    ended: true,
                    ..running
                }),
                _ => Some(running),
            },
            opened_ms: [1_000, 2_000][n as usize / 7 % 2],
            waits_for: [None, Some(CaseSide::Owner), Some(CaseSide::Requester)][n as usize / 2 % 3],
            partner: ["agency-b", "agency-c"][n as usize / 4 % 2].to_owned(),
            ..base
        });
    }
    open_all(&store, rows.clone()).await;
    rows.sort_by_key(|row| {
        let place = CaseCursor::after(row);
        (place.due_ms, -place.opened_ms, place.id)
    });
    assert_eq!(CaseCursor::after(&rows[0]).due_ms, 100);
    assert_eq!(CaseCursor::after(&rows[59]).due_ms, i64::MAX);

    let turn = |row: &CaseRow| match row.waits_for {
        None => CaseTurn::Nobody,
        Some(side) if side == row.side => CaseTurn::Ours,
        Some(_) => CaseTurn::Theirs,
    };
    let mut filters = vec![CaseFilter::default()];
    for side in [None, Some(CaseSide::Requester), Some(CaseSide::Owner)] {
        for turn in [
            None,
            Some(CaseTurn::Ours),
            Some(CaseTurn::Theirs),
            Some(CaseTurn::Nobody),
        ] {
            for state in [None, Some("HIT".to_owned())] {
                for partner in [None, Some("agency-c".to_owned())] {
                    let state = state.clone();
                    filters.push(CaseFilter {
                        side,
                        turn,
                        state,
                        partner,
                    });
                }
            }
        }
    }
    for filter in filters {
        let fits = |row: &&CaseRow| {
            filter.side.is_none_or(|side| side == row.side)
                && filter.turn.is_none_or(|wanted| wanted == turn(row))
                && filter.state.as_ref().is_none_or(|state| *state == row.state)
                && filter
                    .partner
                    .as_ref()
                    .is_none_or(|partner| *partner == row.partner)
        };
        let expected: Vec<CaseKey> = rows.iter().filter(fits).map(|row| row.id).collect();
        for limit in [1, 7, 60] {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let page = store.cases(&filter, after, limit).await.unwrap();
                assert!(page.len() <= limit as usize);
                let Some(last) = page.last() else { break };
                after = Some(CaseCursor::after(last));
                all.extend(page.iter().map(|row| row.id));
            }
            assert_eq!(all, expected, "{filter:?} {limit}");
        }
    }

    let counts = store.case_counts().await.unwrap();
    assert_eq!(counts.iter().map(|count| count.cases).sum::<u64>(), 60);
    for count in counts {
        let alike = rows.iter().filter(|row| {
            (row.side, &row.state, row.waits_for) == (count.side, &count.state, count.waits_for)
        });
        assert_eq!(alike.count() as u64, count.cases);
    }
}

#[tokio::test]
async fn reminders_and_ends_come_when_they_are_due() {
    let home = Home::new();
    let store = home.open().await;
    let timed = |base: CaseRow, clock: Option<CaseClock>, expires_ms| CaseRow {
        clock,
        expires_ms,
        ..base
    };
    let reminded = |reminded| {
        Some(CaseClock {
            started_ms: 1_000,
            reminded,
            ..clock(2_000)
        })
    };
    open_all(
        &store,
        [
            timed(owned(0), reminded(0), None),
            timed(row(1), reminded(1), None),
            timed(owned(2), reminded(2), None),
            // Nothing more to say.
            timed(owned(3), reminded(3), None),
            timed(owned(4), reminded(3), Some(1_700)),
            timed(
                owned(5),
                reminded(0).map(|c| CaseClock { stopped: true, ..c }),
                Some(1_900),
            ),
            timed(
                owned(6),
                reminded(0).map(|c| CaseClock { ended: true, ..c }),
                None,
            ),
            // The owner says when a request of ours is void.
            timed(row(7), reminded(3), Some(1_000)),
            CaseRow {
                waits_for: None,
                ..timed(owned(8), reminded(0), Some(1_000))
            },
            row(9),
        ],
    )
    .await;
    let due = async |now_ms, limit| {
        let rows = store.cases_due(now_ms, limit).await.unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(due(1_499, 99).await, [[0; 16]; 0]);
    assert_eq!(due(1_500, 99).await, [id(0)]);
    assert_eq!(due(1_799, 99).await, [id(0), id(4)]);
    assert_eq!(due(1_800, 99).await, [id(0), id(4), id(1)]);
    assert_eq!(due(1_999, 99).await, [id(0), id(4), id(1), id(5)]);
    assert_eq!(due(i64::MAX, 99).await, [id(0), id(4), id(1), id(5), id(2)]);
    assert_eq!(due(i64::MAX, 2).await, [id(0), id(4)]);
    // A reminder that was sent is not due again.
    let sent = timed(owned(0), reminded(1), None);
    store.change_case(change(sent, 0)).await.unwrap();
    assert_eq!(due(1_799, 99).await, [id(4)]);
}

#[tokio::test]
async fn what_is_to_be_delivered_is_found_until_it_is() {
    let home = Home::new();
    let store = home.open().await;
    open_all(
        &store,
        [owned(1), row(2), CaseRow { step: 1, ..row(3) }, owned(5)],
    )
    .await;
    store.change_case(full(4)).await.unwrap();
    let waiting = async |after: Option<u32>, limit| {
        let after = after.map(id);
        store.cases_to_deliver(after.as_ref(), limit).await.unwrap()
    };
    assert_eq!(waiting(None, 99).await, [id(1), id(4), id(5)]);
    assert_eq!(waiting(None, 1).await, [id(1)]);
    assert_eq!(waiting(Some(1), 1).await, [id(4)]);
    assert_eq!(waiting(Some(5), 99).await, [[0; 16]; 0]);

    let told = |delivered| CaseChange {
        delivered: Some(delivered),
        ..change(CaseRow { step: 2, ..owned(1) }, 0)
    };
    store.change_case(told(1)).await.unwrap();
    assert_eq!(
        waiting(None, 1).await,
        [id(1)],
        "the second step is not delivered"
    );
    store.change_case(told(2)).await.unwrap();
    // An acknowledgement that comes late takes nothing back.
    store.change_case(told(1)).await.unwrap();
    assert_eq!(store.case_delivered(&id(1)).await.unwrap(), 2);
    let mut taken = change(row(4), 1);
    taken.pending = Some(None);
    store.change_case(taken).await.unwrap();
    assert_eq!(waiting(None, 99).await, [id(5)]);
}

#[tokio::test]
async fn requests_are_counted_by_partner_and_time() {
    let home = Home::new();
    let store = home.open().await;
    let at = |n, opened_ms| CaseRow {
        opened_ms,
        ..owned(n)
    };
    let other = CaseRow {
        partner: "agency-c".to_owned(),
        ..owned(4)
    };
    open_all(&store, [at(1, 10), at(2, 20), at(3, 20), other, row(5)]).await;
    let since = async |since_ms| store.requests_since("agency-b", since_ms).await.unwrap();
    assert_eq!(
        (since(0).await, since(11).await, since(20).await, since(21).await),
        (3, 2, 2, 0)
    );
}

#[tokio::test]
async fn a_suppression_ends_at_the_later_of_two_times() {
    let home = Home::new();
    let store = home.open().await;
    for (n, until_ms) in [(1, 5_000), (2, 3_000), (3, 4_000)] {
        let mut change = change(row(n), 0);
        change.suppress = Some(([n.min(2) as u8; 32], until_ms));
        store.change_case(change).await.unwrap();
    }
    assert_eq!(store.expire_suppressions(3_999).await.unwrap(), 0);
    assert!(store.suppressed(&[2; 32], 3_999).await.unwrap());
    let recorded = store.recording(an_entry("erasure", None));
    assert_eq!(recorded.expire_suppressions(4_000).await.unwrap(), 1);
    assert!(!store.suppressed(&[2; 32], 0).await.unwrap());
    assert!(store.suppressed(&[1; 32], 4_000).await.unwrap());
    assert_eq!(store.ledger_size().await.unwrap(), 1);
}

#[tokio::test]
async fn one_hit_opens_one_case_until_it_has_ended() {
    let home = Home::new();
    let store = home.open().await;
    open_all(&store, [row(1)]).await;
    let of = async |epoch, tag: Tag| {
        store
            .open_case_of_tag("a-1", "passports", epoch, &tag)
            .await
            .unwrap()
    };
    let tag = row(1).tag;
    assert_eq!(of(1, tag).await, Some(id(1)));
    assert_eq!(of(2, tag).await, None);
    assert_eq!(of(1, row(2).tag).await, None);

    let again = |n| CaseRow { tag, ..row(n) };
    let refused = store.change_case(change(again(2), 0)).await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists { .. })));
    // Another key's tag is another hit, and what we are asked for is none of ours.
    open_all(
        &store,
        [CaseRow { epoch: 2, ..again(3) }, CaseRow { tag, ..owned(4) }],
    )
    .await;
    assert_eq!(of(2, tag).await, Some(id(3)));

    let ended = CaseRow {
        waits_for: None,
        ..again(1)
    };
    store.change_case(change(ended, 0)).await.unwrap();
    assert_eq!(of(1, tag).await, None);
    open_all(&store, [again(2)]).await;
    assert_eq!(of(1, tag).await, Some(id(2)));
    // A case that has ended may go on all the same, as by a recall.
    store.change_case(change(row(1), 0)).await.unwrap();
}
