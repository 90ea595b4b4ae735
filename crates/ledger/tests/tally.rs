//! What a report counts, and that its copies give nothing away.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod common;

use std::collections::BTreeMap;

use common::*;
use concordat_ledger::*;
use jiff::SignedDuration;

const OWNER: Side = Side::Owner;
const REQUESTER: Side = Side::Requester;

fn opened(n: u64, step: u32) -> Entry {
    let opened = QueryOpened {
        exchange: exchange(n),
        step,
        by: person("officer-4711"),
        ordered_by: person("lead-12"),
        why: why(),
        partner: text("police.example/bb"),
        scope: scope(),
        elements: 1024,
        items: 300,
        lists: Vec::new(),
    };
    Entry::new(at(n), opened)
}

fn closed(n: u64, partner: &str, step: u32) -> Entry {
    let Event::Query(mut query) = query(n).event else {
        panic!("a query")
    };
    query.partner = text(partner);
    query.step = step;
    Entry::new(at(n), *query)
}

fn at_hour(hours: i64) -> jiff::Timestamp {
    at(0) + SignedDuration::from_hours(hours)
}

fn step(case: u8, side: Side) -> CaseStep {
    CaseStep {
        exchange: exchange(1),
        case: Hex([case; 16]),
        side,
        step: 1,
        digest: Hex([case; 32]),
    }
}

fn asked(case: u8, side: Side) -> Entry {
    let request = DetailRequested {
        step: step(case, side),
        by: None,
        ordered_by: None,
        partner: text("police.example/bb"),
        stated: stated(),
        case_reference: None,
        request: Hex([1; 32]),
    };
    Entry::new(at(0), request)
}

fn decided(case: u8, side: Side, hours: i64, outcome: Outcome) -> Entry {
    let decision = Decision {
        step: step(case, side),
        by: person("chief-1"),
        partner: text("police.example/bb"),
        outcome,
        stated: stated(),
        ground: None,
        request: Hex([1; 32]),
        document: Hex([2; 32]),
        approvals: Vec::new(),
        console: Console {
            id: text("bb.example"),
            origins: Vec::new(),
        },
    };
    Entry::new(at_hour(hours), decision)
}

fn told(case: u8, hours: i64, outcome: Option<Outcome>) -> Entry {
    let told = DetailStep {
        step: step(case, REQUESTER),
        by: Actor::Node,
        what: text(if outcome.is_some() { "decided" } else { "triaged" }),
        outcome,
        request: Hex([1; 32]),
    };
    Entry::new(at_hour(hours), told)
}

fn received(case: u8, hours: i64) -> Entry {
    let receipt = Receipt {
        step: step(case, REQUESTER),
        by: None,
        partner: text("police.example/bb"),
        package: Hex([3; 32]),
    };
    Entry::new(at_hour(hours), receipt)
}

fn tally(known: &[Entry], entries: &[Entry]) -> BTreeMap<Row, u64> {
    let mut tally = Tally::new();
    known.iter().for_each(|entry| tally.know(entry));
    for entry in entries {
        tally.add(entry.kind(), entry.event.exchange().copied(), Some(entry));
    }
    tally.finish()
}

/// Types and counts of rows that repeat others, or of those that do not.
fn by_type(rows: &BTreeMap<Row, u64>, repeats: bool) -> Vec<(&'static str, u64)> {
    let mut counts = BTreeMap::new();
    for (row, count) in rows.iter().filter(|(row, _)| row.repeats == repeats) {
        *counts.entry(row.kind.name()).or_default() += count;
    }
    counts.into_iter().collect()
}

#[test]
fn an_exchange_is_counted_once() {
    let rows = tally(
        &[],
        &[
            opened(1, 0),
            closed(1, "police.example/bb", 0),
            // It goes on after it was closed.
            opened(1, 1),
            closed(1, "police.example/bb", 1),
            // This one is open, that one was opened before the period.
            opened(2, 0),
            closed(3, "police.example/bb", 0),
        ],
    );
    assert_eq!(by_type(&rows, false), [("query", 2), ("query.opened", 1)]);
    assert_eq!(by_type(&rows, true), [("query", 1), ("query.opened", 2)]);
}

#[test]
fn what_was_erased_is_counted_once_too() {
    let mut tally = Tally::new();
    tally.add(EntryType::QueryOpened, Some(exchange(1)), Some(&opened(1, 0)));
    tally.add(EntryType::Query, Some(exchange(1)), None);
    tally.add(EntryType::QueryOpened, Some(exchange(2)), None);
    tally.add(EntryType::Query, Some(exchange(2)), None);
    let rows = tally.finish();
    assert_eq!(by_type(&rows, false), [("query", 2)]);
    assert!(
        rows.keys()
            .all(|row| row.erased || row.kind == EntryType::QueryOpened)
    );
}

/// A quota that is used up, and an answer that proves nothing, are of an exchange that is counted already.
#[test]
fn what_went_wrong_in_an_exchange_is_not_counted_beside_it() {
    let failed = |n: u64| {
        let (partner, scope) = (text("police.example/bb"), scope());
        let quota = QuotaRefused {
            exchange: exchange(n),
            side: REQUESTER,
            partner: partner.clone(),
            scope: scope.clone(),
            elements: 1024,
        };
        let proof = ProofFailed {
            exchange: exchange(n),
            partner,
            scope,
            transcript: Hex([7; 32]),
        };
        [Entry::new(at(n), quota), Entry::new(at(n), proof)]
    };
    let mut entries = vec![opened(1, 0), opened(2, 0)];
    entries.extend(failed(1));
    entries.extend(failed(2));
    entries.push(closed(1, "police.example/bb", 0));
    let repeats = [("proof.failed", 2), ("query.opened", 1), ("quota.refused", 2)];
    let rows = tally(&[], &entries);
    assert_eq!(by_type(&rows, false), [("query", 1), ("query.opened", 1)]);
    assert_eq!(by_type(&rows, true), repeats);
}

/// What is left of a request whose entries were erased one after the other: a requester's refusals go with the step that told
/// of them, so its releases, whose copy is another type, must not stay behind alone.
#[test]
fn an_erased_decision_counts_no_request() {
    use Outcome::{Refused, Released};
    let entries = [
        asked(1, REQUESTER),
        asked(2, REQUESTER),
        told(1, 5, Some(Refused)),
        told(2, 6, Some(Released)),
        decided(2, REQUESTER, 90, Released),
    ];
    for left in 0..=entries.len() {
        let mut tally = Tally::new();
        for (index, entry) in entries.iter().enumerate() {
            let said = (index >= entries.len() - left).then_some(entry);
            tally.add(entry.kind(), entry.event.exchange().copied(), said);
        }
        let rows = tally.finish();
        let counted = by_type(&rows, false);
        let expected: &[(&str, u64)] = match left {
            0 | 1 => &[],
            2 => &[("decision", 1)],
            _ => &[("decision", 2)],
        };
        assert_eq!(counted, expected, "{left} left");
        assert!(rows.keys().all(|row| row.repeats || !row.erased), "{rows:?}");
    }

    // An owner whose decision was erased and whose request was not.
    let mut tally = Tally::new();
    tally.add(
        EntryType::DetailRequested,
        Some(exchange(1)),
        Some(&asked(1, OWNER)),
    );
    tally.add(EntryType::Decision, Some(exchange(1)), None);
    let rows = tally.finish();
    assert_eq!(by_type(&rows, false), [("detail.requested", 1)]);
    assert_eq!(by_type(&rows, true), [("decision", 1)]);
}

/// A report of the next days knows nothing of these: what is open at the border is counted on both sides of it.
#[test]
fn what_straddles_a_border_is_counted_on_both_sides() {
    let before = [opened(1, 0), asked(1, OWNER)];
    let after = [
        closed(1, "police.example/bb", 0),
        decided(1, OWNER, 1, Outcome::Refused),
    ];
    let rows = tally(&[], &before);
    assert_eq!(
        by_type(&rows, false),
        [("detail.requested", 1), ("query.opened", 1)]
    );
    let rows = tally(&before, &after);
    assert_eq!(by_type(&rows, false), [("decision", 1), ("query", 1)]);
}

/// Decisions: outcome, time taken, how many.
fn decisions(rows: &BTreeMap<Row, u64>) -> Vec<(Outcome, Option<Took>, u64)> {
    let decisions = rows.iter().filter(|(row, _)| row.kind == EntryType::Decision);
    decisions
        .map(|(row, count)| {
            assert_eq!(
                (row.purpose.as_str(), row.partner.as_str()),
                ("terrorism", "police.example/bb")
            );
            (row.outcome.unwrap(), row.took, *count)
        })
        .collect()
}

#[test]
fn decisions_are_counted_by_outcome_and_time_taken() {
    use Outcome::{Partly, Refused, Released};
    let entries = [
        asked(1, OWNER),
        asked(2, OWNER),
        asked(3, OWNER),
        asked(4, OWNER),
        asked(5, OWNER),
        decided(1, OWNER, 1, Released),
        decided(2, OWNER, 2, Released),
        decided(3, OWNER, 24, Partly),
        decided(4, OWNER, 200, Refused),
        // Asked before the period, and asked so long ago that it was erased.
        decided(6, OWNER, 100, Released),
        decided(7, OWNER, 100, Released),
    ];
    let rows = tally(&[asked(6, OWNER)], &entries);
    assert_eq!(
        decisions(&rows),
        [
            (Released, None, 1),
            (Released, Some(Took::Hour), 1),
            (Released, Some(Took::EightHours), 1),
            (Released, Some(Took::Week), 1),
            (Partly, Some(Took::Day), 1),
            (Refused, Some(Took::Longer), 1),
        ]
    );
    // One is not decided yet.
    assert_eq!(by_type(&rows, false), [("decision", 6), ("detail.requested", 1)]);
}

#[test]
fn a_requester_counts_refusals_and_no_release_twice() {
    use Outcome::{Refused, Released};
    let entries = [
        asked(1, REQUESTER),
        asked(2, REQUESTER),
        told(1, 1, None),
        told(1, 5, Some(Refused)),
        told(2, 6, Some(Released)),
        // It opens the release days later.
        decided(2, REQUESTER, 90, Released),
        received(2, 90),
    ];
    let rows = tally(&[], &entries);
    let took = Some(Took::EightHours);
    assert_eq!(decisions(&rows), [(Released, took, 1), (Refused, took, 1)]);
    assert_eq!(by_type(&rows, false), [("decision", 2)]);
    assert_eq!(
        by_type(&rows, true),
        [("detail.requested", 2), ("detail.step", 1), ("receipt", 1)]
    );
}

#[test]
fn a_small_count_is_not_the_difference_of_two_rows() {
    let refusal = |partner: &str| {
        let refusal = Refusal {
            claimed: None,
            partner: Some(text(partner)),
            case: None,
            action: text("ask"),
            rule: None,
            reason: text("no agreement"),
        };
        Entry::new(at(0), refusal)
    };
    let mut entries = Vec::new();
    for (partner, queries, refusals) in [("aa", 10, 2), ("bb", 50, 50)] {
        for _ in 0..queries {
            let n = entries.len() as u64;
            entries.extend([opened(n, 0), closed(n, partner, 0)]);
        }
        entries.extend((0..refusals).map(|_| refusal(partner)));
    }
    let rows = tally(&[], &entries);
    let released = rows.iter().filter(|(row, _)| !row.repeats);
    let mut table = BTreeMap::from([("query", vec![0, 0]), ("refusal", vec![0, 0])]);
    for (row, count) in released {
        let column = usize::from(row.partner == "bb");
        table.get_mut(row.kind.name()).unwrap()[column] += count;
    }
    let counts: Vec<Vec<u64>> = table.into_values().collect();
    assert_eq!(counts, [[10, 50], [2, 50]]);
    // With nothing else in the table, nobody tells this from another that adds up to the same.
    let released = suppress(&counts, 5);
    let inner = released[..2].iter().flat_map(|row| &row[..2]);
    assert!(inner.copied().all(|cell| cell == Cell::Withheld));
    assert_eq!(released[2][0], Cell::Exact(12));
}
