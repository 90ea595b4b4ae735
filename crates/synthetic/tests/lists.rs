//! The lists by themselves: sizes, ids, repeatability, refusals.

use std::collections::{BTreeMap, HashSet};

use concordat_identifiers::Rule;
use concordat_synthetic::{Spec, SpecError, World, write_jsonl, write_mrz, write_paxlst, write_truth};
use jiff::civil::date;

fn spec(left: u64, right: u64, overlap: u64) -> Spec {
    Spec {
        seed: 2026,
        left,
        right,
        overlap,
        reference_date: date(2026, 11, 1),
    }
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn world(left: u64, right: u64, overlap: u64) -> World {
    World::new(spec(left, right, overlap)).unwrap()
}

#[test]
fn lists_have_the_sizes_asked_for_and_ids_that_increase() {
    for (left, right, overlap) in [
        (0, 0, 0),
        (1, 1, 1),
        (1, 0, 0),
        (5, 900, 5),
        (900, 5, 0),
        (400, 300, 200),
    ] {
        let world = world(left, right, overlap);
        let ids = |list: Vec<concordat_synthetic::Record>| {
            list.into_iter().map(|r| r.source_id).collect::<Vec<_>>()
        };
        let (lefts, rights) = (ids(world.left().collect()), ids(world.right().collect()));
        assert_eq!((lefts.len() as u64, rights.len() as u64), (left, right));
        assert!(
            lefts.is_sorted_by(|a, b| (a.len(), a) < (b.len(), b)),
            "left ids increase"
        );
        assert!(rights.is_sorted_by(|a, b| a < b), "right ids increase");
        let (lefts, rights): (HashSet<_>, HashSet<_>) =
            (lefts.into_iter().collect(), rights.into_iter().collect());
        let truth: Vec<_> = world.truth().collect();
        assert_eq!(truth.len() as u64, overlap);
        for pair in &truth {
            assert!(lefts.contains(&pair.left_id) && rights.contains(&pair.right_id));
            assert!(
                !pair.expected.is_empty(),
                "{} and {} share nothing",
                pair.left_id,
                pair.right_id
            );
        }
    }
}

#[test]
fn every_rule_but_none_alone_connects_people() {
    let mut rules: BTreeMap<Rule, u64> = BTreeMap::new();
    let mut alone = 0;
    for pair in world(1000, 1000, 580).truth() {
        alone += u64::from(pair.expected.len() == 1);
        pair.expected
            .iter()
            .for_each(|found| *rules.entry(found.rule).or_default() += 1);
    }
    for rule in Rule::ALL {
        assert!(
            rules.get(&rule).is_some_and(|count| *count >= 3),
            "{} finds nobody first",
            rule.id()
        );
    }
    assert!(alone > 400, "most people are found through one kind only");
}

#[test]
fn equal_specifications_make_equal_bytes_and_seeds_matter() {
    let bytes = |spec: Spec| {
        let world = World::new(spec).unwrap();
        let flight = world.flight(50, 5).unwrap();
        let mut out = Vec::new();
        write_jsonl(&mut out, world.left()).unwrap();
        write_jsonl(&mut out, world.right()).unwrap();
        write_truth(&mut out, world.truth()).unwrap();
        write_mrz(&mut out, &flight).unwrap();
        write_paxlst(&mut out, &flight).unwrap();
        out
    };
    assert!(bytes(spec(200, 150, 60)) == bytes(spec(200, 150, 60)));
    assert!(
        bytes(spec(200, 150, 60))
            != bytes(Spec {
                seed: 1,
                ..spec(200, 150, 60)
            })
    );
}

/// Two machines must make the same lists: a change here breaks whoever kept a seed instead of a list.
#[test]
fn the_first_lines_never_change() {
    let mut out = Vec::new();
    let world = world(12, 12, 8);
    write_jsonl(&mut out, world.left().take(2)).unwrap();
    write_jsonl(&mut out, world.right().take(2)).unwrap();
    write_truth(&mut out, world.truth().take(2)).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), include_str!("first_lines.txt"));
}

#[test]
fn a_line_of_the_list_is_a_record() {
    let mut out = Vec::new();
    write_jsonl(&mut out, world(30, 30, 10).right()).unwrap();
    let records: Vec<concordat_synthetic::Record> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(records == world(30, 30, 10).right().collect::<Vec<_>>());
}

#[test]
fn impossible_specifications_are_refused() {
    let refusal = |spec| World::new(spec).unwrap_err();
    assert_eq!(
        refusal(spec(10, 5, 6)),
        SpecError::Overlap {
            overlap: 6,
            shorter: 5
        }
    );
    assert!(matches!(
        refusal(spec(1 << 26, 1, 0)),
        SpecError::TooManyPeople { .. }
    ));
    assert!(matches!(
        refusal(spec(u64::MAX, u64::MAX, 0)),
        SpecError::TooManyPeople { .. }
    ));
    let early = Spec {
        reference_date: date(1949, 12, 31),
        ..spec(1, 1, 0)
    };
    assert_eq!(refusal(early), SpecError::ReferenceDate { year: 1949 });
    let world = world(20, 20, 5);
    assert_eq!(
        world.flight(3, 4).unwrap_err(),
        SpecError::Hits {
            hits: 4,
            passengers: 3
        }
    );
    assert!(matches!(
        world.flight(65_537, 0).unwrap_err(),
        SpecError::Hits { .. }
    ));
    assert!(matches!(
        world.flight(100, 100).unwrap_err(),
        SpecError::TooFewListed { wanted: 100, .. }
    ));
}

#[test]
fn millions_of_records_can_be_asked_for_without_making_them() {
    let world = world(30_000_000, 30_000_000, 10_000_000);
    assert_eq!(world.left().take(3).count(), 3);
    assert_eq!(world.truth().nth(5).unwrap().expected.len(), 1);
}
