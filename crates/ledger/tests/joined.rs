//! Two half-logs that join, and samples.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::collections::HashMap;

use common::*;
use concordat_ledger::*;

fn records(entries: impl Iterator<Item = Entry>) -> Vec<ExchangeRecord> {
    (0..)
        .zip(entries)
        .filter_map(|(index, entry)| ExchangeRecord::new(index, &entry.event))
        .collect()
}

#[test]
fn two_half_logs_join() {
    let asked = records((0..50).map(query));
    let mut answered = records((0..50).map(evaluation));
    answered.reverse();
    let result = reconcile(asked.clone(), answered);
    assert_eq!((result.matched, result.unmatched), (50, Vec::new()));
    // Records of the wrong side, and entries of other types, are no exchanges.
    assert_eq!(reconcile(records((0..5).map(evaluation)), asked).unmatched, []);
}

#[test]
fn what_does_not_match_is_listed_with_its_reason() {
    let asked = records((0..8).map(query));
    let mut answered = records((1..9).map(evaluation));
    let of = |n: u64| n as usize - 1;
    answered[of(2)].elements = 2048;
    answered[of(3)].transcript = Hex([0xFF; 32]);
    answered[of(4)].scope.epoch = 9;
    answered[of(5)].stated.purpose = text("immigration");
    answered.push(ExchangeRecord {
        index: 99,
        ..answered[of(6)].clone()
    });
    let mut asked = asked;
    asked.push(ExchangeRecord {
        index: 77,
        ..asked[7].clone()
    });
    let result = reconcile(asked, answered);
    assert_eq!(result.matched, 3, "exchanges 1, 6 and 7");
    let found: HashMap<_, _> = result
        .unmatched
        .iter()
        .map(|u| ((u.exchange, u.reason), (u.first, u.second)))
        .collect();
    assert_eq!(found.len(), 8);
    for (n, reason, first, second) in [
        (0, Reason::MissingAtOwner, Some(0), None),
        (8, Reason::MissingAtRequester, None, Some(7)),
        (
            2,
            Reason::OtherCount {
                first: 1024,
                second: 2048,
            },
            Some(2),
            Some(1),
        ),
        (3, Reason::OtherTranscript, Some(3), Some(2)),
        (4, Reason::OtherScope, Some(4), Some(3)),
        (5, Reason::OtherPurpose, Some(5), Some(4)),
        (6, Reason::Twice(Side::Owner), Some(6), Some(99)),
        (7, Reason::Twice(Side::Requester), Some(77), Some(6)),
    ] {
        assert_eq!(found.get(&(exchange(n), reason)), Some(&(first, second)), "{n}");
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn one_log_and_the_others_public_leaves() {
    let leaf = |n: u64| (n, seal(n, &evaluation(n)).leaf);
    let ours = || records((0..20).map(query));
    // The other log also holds exchanges with third parties, of which nothing can be said.
    let all = reconcile_with_leaves(ours(), (0..40).map(leaf));
    assert_eq!((all.matched, all.unmatched), (20, Vec::new()));

    let mut changed: Vec<_> = (0..40).map(leaf).collect();
    let mut other = evaluation(4);
    if let Event::Evaluation(evaluation) = &mut other.event {
        evaluation.elements = 1;
    }
    changed[4].1 = seal(4, &other).leaf;
    changed.remove(7);
    changed.push((40, leaf(9).1));
    let result = reconcile_with_leaves(ours(), changed);
    let reasons: Vec<_> = result
        .unmatched
        .iter()
        .map(|u| (u.first, u.second, u.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            (Some(4), Some(4), Reason::OtherFacts),
            (Some(7), None, Reason::MissingAtOwner),
            (Some(9), Some(40), Reason::Twice(Side::Owner)),
        ]
    );
    assert_eq!(result.matched, 18);
    // The other way round: the owner's records and the requester's leaves.
    let theirs = (0..19).map(|n| (n, seal(n, &query(n)).leaf));
    let result = reconcile_with_leaves(records((0..20).map(evaluation)), theirs);
    assert_eq!(
        (result.matched, result.unmatched[0].reason),
        (19, Reason::MissingAtRequester)
    );
}

fn opened(n: u64) -> Entry {
    let query = QueryOpened {
        exchange: exchange(n),
        step: 0,
        by: person("officer-4711"),
        ordered_by: person("lead-12"),
        why: why(),
        partner: text("police.example/bb"),
        scope: scope(),
        elements: 2048,
        items: 300,
        lists: Vec::new(),
    };
    Entry::new(at(n), query)
}

fn evaluation_opened(n: u64) -> Entry {
    let evaluation = EvaluationOpened {
        exchange: exchange(n),
        step: 0,
        partner: text("police.example/aa"),
        stated: stated(),
        scope: scope(),
        elements: 2048,
    };
    Entry::new(at(n), evaluation)
}

fn changed_query(n: u64, change: impl FnOnce(&mut Query)) -> Entry {
    let mut entry = query(n);
    if let Event::Query(query) = &mut entry.event {
        change(query);
    }
    entry
}

/// Exchange by exchange: what the requester wrote, what the owner wrote, and what that comes to; with the owner's log opened, and with its
/// public leaves alone.
#[test]
fn an_exchange_is_opened_and_closed() {
    let resumed = |n, step| {
        let mut entry = evaluation(n);
        if let Event::Evaluation(evaluation) = &mut entry.event {
            (evaluation.step, evaluation.elements) = (step, 512 * (u64::from(step) + 1));
        }
        entry
    };
    let nothing = |n| changed_query(n, |query| query.elements = 0);
    let stopped = |n| {
        changed_query(n, |query| {
            (query.elements, query.interrupted) = (0, true);
        })
    };
    type Case = (Vec<Entry>, Vec<Entry>, Result<&'static str, Reason>);
    let cases: Vec<Case> = vec![
        (
            vec![opened(0), query(0)],
            vec![evaluation_opened(0), evaluation(0)],
            Ok("matched"),
        ),
        // The owner closed it half way, and again when it had gone on.
        (
            vec![opened(1), query(1)],
            vec![evaluation_opened(1), resumed(1, 0), resumed(1, 1)],
            Ok("matched"),
        ),
        (vec![opened(2), nothing(2)], vec![], Ok("unanswered")),
        (
            vec![opened(3), nothing(3)],
            vec![evaluation_opened(3)],
            Ok("unanswered"),
        ),
        (
            vec![opened(4)],
            vec![evaluation_opened(4), evaluation(4)],
            Err(Reason::Open(Side::Requester)),
        ),
        (
            vec![opened(5), query(5)],
            vec![evaluation_opened(5)],
            Err(Reason::Open(Side::Owner)),
        ),
        (vec![opened(6), query(6)], vec![], Err(Reason::MissingAtOwner)),
        (
            vec![opened(7), stopped(7)],
            vec![evaluation_opened(7), evaluation(7)],
            Err(Reason::Interrupted),
        ),
    ];
    let (mut asked, mut answered, mut expected) = (Vec::new(), Vec::new(), HashMap::new());
    for (n, (ours, theirs, result)) in (0..).zip(cases) {
        asked.extend(ours);
        answered.extend(theirs);
        if let Err(reason) = result {
            expected.insert(exchange(n), reason);
        }
    }
    let of = |result: Reconciliation| {
        let reasons: HashMap<_, _> = result.unmatched.iter().map(|u| (u.exchange, u.reason)).collect();
        (result.matched, result.unanswered, reasons)
    };
    let with_leaves = reconcile_with_leaves(
        records(asked.iter().cloned()),
        (0..)
            .zip(&answered)
            .map(|(n, entry)| (n, seal(n, entry).leaf))
            .collect::<Vec<_>>(),
    );
    let both = reconcile(records(asked.into_iter()), records(answered.clone().into_iter()));
    assert_eq!(of(both), (2, 2, expected.clone()));
    assert_eq!(of(with_leaves), (2, 2, expected));
    // The owner alone, and a requester that logged nothing: every exchange it answered is missing there.
    let alone = reconcile(Vec::new(), records(answered.clone().into_iter()));
    assert!(
        alone
            .unmatched
            .iter()
            .all(|u| u.reason == Reason::MissingAtRequester)
    );
    assert_eq!(alone.unmatched.len(), 6);
    assert_eq!(
        reconcile_with_leaves(records(answered.into_iter()), Vec::new())
            .unmatched
            .len(),
        6
    );
}

/// What the log of `side` holds besides its opened records.
fn shut(side: Side, entries: &[(Entry, bool)]) -> impl Fn(Side, &Hex<16>) -> Option<Unopened> {
    let leaves = entries
        .iter()
        .filter_map(|(entry, erased)| match seal(1, entry).leaf.class {
            Class::Exchange(Join { tag, facts }) => {
                let erased = *erased;
                Some((tag, Unopened { facts, erased }))
            }
            _ => None,
        });
    let leaves: HashMap<_, _> = leaves.collect();
    move |of, tag| leaves.get(tag).copied().filter(|_| of == side)
}

/// An end that our own log holds, and that was not given opened, is not one that we have not logged; it clears nobody either.
#[test]
fn what_we_erased_or_left_out_is_not_open_beside_their_leaves() {
    use Side::{Owner, Requester};
    let reason = |ours: Vec<Entry>, side, unopened: &[(Entry, bool)], theirs: Vec<Entry>| {
        let unopened = shut(side, unopened);
        let theirs = (0..).zip(&theirs).map(|(n, entry)| (n, seal(n, entry).leaf));
        let theirs: Vec<_> = theirs.collect();
        let result =
            reconcile_export_with_leaves(records(ours.into_iter()), |tag| unopened(side, tag), theirs);
        let reasons: Vec<_> = result.unmatched.iter().map(|u| u.reason).collect();
        assert_eq!(
            result.matched + result.unanswered + reasons.len() as u64,
            1,
            "{reasons:?}"
        );
        reasons.first().copied()
    };
    let nothing = |n| changed_query(n, |query| query.elements = 0);
    let again = |n| changed_query(n, |query| query.step = 1);
    let both = vec![evaluation_opened(1), evaluation(1)];
    for (ours, side, unopened, theirs, expected) in [
        (
            vec![opened(1)],
            Requester,
            (query(1), true),
            both.clone(),
            Some(Reason::Erased(Requester)),
        ),
        (
            vec![opened(1)],
            Requester,
            (query(1), false),
            both.clone(),
            Some(Reason::NotOpened(Requester)),
        ),
        (
            vec![opened(1)],
            Requester,
            (query(1), true),
            vec![],
            Some(Reason::Erased(Requester)),
        ),
        (
            vec![evaluation_opened(1)],
            Owner,
            (evaluation(1), true),
            vec![query(1)],
            Some(Reason::Erased(Owner)),
        ),
        // Another exchange's end is none of this one's.
        (
            vec![opened(1)],
            Requester,
            (query(2), true),
            both.clone(),
            Some(Reason::Open(Requester)),
        ),
        // A newer end holds, whatever the one before says, unless that goes together already.
        (
            vec![opened(1), nothing(1)],
            Requester,
            (again(1), false),
            vec![],
            Some(Reason::NotOpened(Requester)),
        ),
        (
            vec![opened(1), query(1)],
            Requester,
            (again(1), false),
            both.clone(),
            None,
        ),
        // What the other side never logged is missing there.
        (
            vec![opened(1), query(1)],
            Requester,
            (again(1), true),
            vec![],
            Some(Reason::MissingAtOwner),
        ),
        (
            vec![evaluation_opened(1)],
            Owner,
            (evaluation(1), true),
            vec![],
            Some(Reason::MissingAtRequester),
        ),
    ] {
        let found = reason(ours, side, &[unopened], theirs);
        assert_eq!(found, expected);
        assert_eq!(
            found.is_some_and(Reason::contradicts),
            matches!(found, Some(Reason::MissingAtOwner | Reason::MissingAtRequester))
        );
    }
}

/// Retentions differ, erasures come at different moments, exports stop at a number: who logged it is not accused.
#[test]
fn what_was_logged_and_is_not_opened_is_not_missing() {
    use Side::{Owner, Requester};
    let one = |entries: Vec<Entry>| records(entries.into_iter());
    let reason = |asked: Vec<Entry>, answered: Vec<Entry>, side, unopened: &[(Entry, bool)]| {
        let result = reconcile_exports(one(asked), one(answered), shut(side, unopened));
        let reasons: Vec<_> = result.unmatched.iter().map(|u| u.reason).collect();
        assert_eq!(
            result.matched + result.unanswered + reasons.len() as u64,
            1,
            "{reasons:?}"
        );
        reasons.first().copied()
    };
    let erased = |entry| [(entry, true)];
    let kept = |entry| [(entry, false)];
    for (asked, answered, side, unopened, expected) in [
        (
            vec![],
            vec![evaluation(1)],
            Requester,
            erased(query(1)),
            Some(Reason::Erased(Requester)),
        ),
        (
            vec![],
            vec![evaluation(1)],
            Requester,
            kept(query(1)),
            Some(Reason::NotOpened(Requester)),
        ),
        (
            vec![],
            vec![evaluation(1)],
            Requester,
            kept(opened(1)),
            Some(Reason::NotOpened(Requester)),
        ),
        (
            vec![query(1)],
            vec![],
            Owner,
            erased(evaluation(1)),
            Some(Reason::Erased(Owner)),
        ),
        (
            vec![query(1)],
            vec![],
            Owner,
            kept(evaluation_opened(1)),
            Some(Reason::NotOpened(Owner)),
        ),
        (
            vec![query(1)],
            vec![evaluation_opened(1)],
            Owner,
            kept(evaluation(1)),
            Some(Reason::NotOpened(Owner)),
        ),
        // Another exchange's, and one in the wrong log, excuse nothing.
        (
            vec![],
            vec![evaluation(1)],
            Requester,
            erased(query(2)),
            Some(Reason::MissingAtRequester),
        ),
        (
            vec![query(1)],
            vec![],
            Requester,
            erased(evaluation(1)),
            Some(Reason::MissingAtOwner),
        ),
        // Nor does what says something else: its facts are public, erased or not.
        (
            vec![changed_query(1, |query| query.elements = 7)],
            vec![],
            Owner,
            erased(evaluation(1)),
            Some(Reason::OtherFacts),
        ),
        (
            vec![changed_query(1, |query| query.elements = 0)],
            vec![],
            Owner,
            kept(evaluation(1)),
            Some(Reason::OtherFacts),
        ),
        // Unless the requester's node stopped, and does not know.
        (
            vec![changed_query(1, |query| {
                (query.elements, query.interrupted) = (0, true);
            })],
            vec![],
            Owner,
            kept(evaluation(1)),
            Some(Reason::NotOpened(Owner)),
        ),
        // What goes together does so whatever else there is; what nobody answered stays that.
        (
            vec![query(1)],
            vec![evaluation(1)],
            Owner,
            kept(evaluation_opened(1)),
            None,
        ),
        (
            vec![changed_query(1, |query| query.elements = 0)],
            vec![],
            Owner,
            kept(evaluation_opened(1)),
            None,
        ),
    ] {
        assert_eq!(reason(asked, answered, side, &unopened), expected);
    }
    // The last closing was left out: the one before says another count.
    let closing = |step, elements| {
        let mut entry = evaluation(1);
        if let Event::Evaluation(evaluation) = &mut entry.event {
            (evaluation.step, evaluation.elements) = (step, elements);
        }
        entry
    };
    let (first, last) = (closing(0, 512), closing(1, 1024));
    assert_eq!(
        reason(vec![query(1)], vec![first.clone()], Owner, &kept(last)),
        Some(Reason::NotOpened(Owner))
    );
    assert_eq!(
        reason(vec![query(1)], vec![first], Owner, &kept(closing(1, 768))),
        Some(Reason::OtherFacts)
    );
}

/// Frozen: another reader must compute the same. From a few lines of Python.
#[test]
fn the_transcript_is_frozen() {
    let digest = transcript(&exchange(1), [(0, [1; 32]), (7, [2; 32])]);
    assert_eq!(digest.to_string(), FROZEN_TRANSCRIPT);
    assert_ne!(digest, transcript(&exchange(2), [(0, [1; 32]), (7, [2; 32])]));
    assert_ne!(digest, transcript(&exchange(1), [(0, [1; 32]), (6, [2; 32])]));
}

const FROZEN_TRANSCRIPT: &str = "7595da2efc4e7ee3137e83ba393db8f325bdab7fc59524af3fe129eee0f7c095";

/// The other side's leaves come from its published files.
#[test]
fn leaves_are_read_from_the_files() {
    let written = write(&[700]);
    let source = Folder::read_only(written.dir.path());
    let reader = TileReader::new(source, 700);
    for start in [0, 1, 255, 256, 699, 700, 900] {
        let leaves: Vec<_> = reader.leaves(start).collect::<Result<_, _>>().unwrap();
        assert_eq!(leaves.len() as u64, 700u64.saturating_sub(start));
        assert_eq!(
            leaves.first().map(|(index, _)| *index),
            (start < 700).then_some(start)
        );
    }
    let theirs = reader.leaves(0).map(Result::unwrap);
    let result = reconcile_with_leaves(records((0..700).map(evaluation)), theirs);
    assert_eq!((result.matched, result.unmatched), (700, Vec::new()));

    let mut files = written.files();
    files.get_mut("tile/entries/001").unwrap()[5] ^= 1;
    let reader = TileReader::new(&files, 700);
    let (good, bad): (Vec<_>, Vec<_>) = reader.leaves(0).partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (444, 1));
}

/// A third party that reads both logs cannot tell which entries belong together.
#[test]
fn tags_join_nothing_for_those_who_do_not_know_the_exchange() {
    let join = |side, kind, step| Join::new(&exchange(1), side, kind, step, &Hex([1; 32]), 5);
    let joins = [
        join(Side::Requester, "query", 0),
        join(Side::Owner, "evaluation", 0),
        join(Side::Requester, "evaluation", 0),
        join(Side::Requester, "query", 1),
        Join::new(&exchange(2), Side::Requester, "query", 0, &Hex([1; 32]), 5),
    ];
    for (i, one) in joins.iter().enumerate() {
        for other in &joins[..i] {
            assert_ne!(one.tag, other.tag);
            assert_ne!(one.facts, other.facts);
        }
    }
    let other_facts = Join::new(&exchange(1), Side::Requester, "query", 0, &Hex([1; 32]), 6);
    assert_eq!(other_facts.tag, joins[0].tag);
    assert_ne!(other_facts.facts, joins[0].facts);
}

#[test]
fn a_sample_can_be_drawn_again() {
    let checkpoint = Checkpoint {
        origin: "log.example".to_owned(),
        size: 1000,
        root: Hash([5; 32]),
        extensions: Vec::new(),
    };
    let draw = |seed: &str, checkpoint: &Checkpoint, mut order: Vec<u64>, count| {
        let mut sampler = Sampler::new(seed.as_bytes(), checkpoint, count);
        order.drain(..).for_each(|index| sampler.offer(index));
        sampler.finish()
    };
    let sample = draw("seed", &checkpoint, (0..1000).collect(), 10);
    assert_eq!(sample, draw("seed", &checkpoint, (0..1000).rev().collect(), 10));
    assert_eq!(sample.len(), 10);
    assert!(sample.is_sorted());
    assert_ne!(sample, draw("other", &checkpoint, (0..1000).collect(), 10));
    let other = Checkpoint {
        root: Hash([6; 32]),
        ..checkpoint.clone()
    };
    assert_ne!(sample, draw("seed", &other, (0..1000).collect(), 10));
    assert_eq!(draw("seed", &checkpoint, vec![1, 2], 10), [1, 2]);
    assert_eq!(draw("seed", &checkpoint, vec![1, 2], 0), Vec::<u64>::new());
    // A smaller sample is part of a larger one: an auditor can go on.
    let more = draw("seed", &checkpoint, (0..1000).collect(), 20);
    assert!(sample.iter().all(|index| more.contains(index)));
    // Frozen: another auditor's program must draw these.
    assert_eq!(sample, FROZEN_SAMPLE);
    // Every entry is about as likely.
    let mut counts = [0u32; 20];
    for seed in 0..2000 {
        for index in draw(&seed.to_string(), &checkpoint, (0..20).collect(), 5) {
            counts[index as usize] += 1;
        }
    }
    assert!(
        counts.iter().all(|count| (400..600).contains(count)),
        "{counts:?}"
    );
}

/// Computed by a few lines of Python, from the formula in the documentation.
const FROZEN_SAMPLE: &[u64] = &[25, 53, 241, 359, 522, 680, 739, 781, 835, 859];
