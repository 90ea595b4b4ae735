//! The truth is what the normalisation profile finds, and nothing else: derived from both lists, every pair of
//! records that shares an identifier is a pair of the truth, with the same best grade of each kind.

use std::collections::{BTreeMap, HashMap, HashSet};

use concordat_identifiers::{Identifier, Kind, Rule, Severity, Subject, derive, mrz};
use concordat_synthetic::{Expected, Record, Spec, World, write_mrz};
use jiff::civil::{Date, date};

const TODAY: Date = date(2026, 11, 1);

type Found = BTreeMap<(String, String), BTreeMap<Kind, Expected>>;

/// An identifier without the mark of a variant: what is blinded.
fn key(identifier: &Identifier) -> (Rule, Vec<u8>) {
    (identifier.rule(), identifier.canonical().to_vec())
}

fn identifiers(subject: &Subject) -> Vec<Identifier> {
    let derived = derive(subject, TODAY);
    for rejection in &derived.rejections {
        let meant = rejection.rule == "PER-001"; // No date of birth: some records have none on purpose.
        assert!(meant || rejection.severity == Severity::Notice, "{rejection:?}");
    }
    derived.identifiers
}

/// Asks `owner` for every identifier of `requester`, as the protocol does: variants stay at home.
fn matches(requester: &[Record], owner: &[Record]) -> Found {
    let mut held: HashMap<(Rule, Vec<u8>), Vec<&str>> = HashMap::new();
    for record in owner {
        for identifier in identifiers(&record.subject) {
            held.entry(key(&identifier)).or_default().push(&record.source_id);
        }
    }
    let mut found = Found::new();
    for record in requester {
        for identifier in identifiers(&record.subject)
            .iter()
            .filter(|identifier| !identifier.is_variant())
        {
            for owner_id in held.get(&key(identifier)).into_iter().flatten() {
                let (kind, rule, grade) = (identifier.kind(), identifier.rule(), identifier.grade());
                let new = Expected { kind, rule, grade };
                let pair = found
                    .entry((record.source_id.clone(), (*owner_id).to_owned()))
                    .or_default();
                let best = pair.entry(kind).or_insert(new);
                *best = (*best).min(new);
            }
        }
    }
    found
}

fn assert_same(found: &Found, truth: &Found) {
    for (pair, kinds) in found {
        assert_eq!(
            truth.get(pair),
            Some(kinds),
            "found {pair:?}; the truth on the left"
        );
    }
    for pair in truth.keys() {
        assert!(found.contains_key(pair), "{pair:?} is in the truth and not found");
    }
}

fn truth(world: &World) -> Found {
    world
        .truth()
        .map(|pair| {
            (
                (pair.left_id, pair.right_id),
                pair.expected
                    .into_iter()
                    .map(|found| (found.kind, found))
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn the_lists_match_exactly_where_the_truth_says() {
    for (seed, left, right, overlap) in [
        (1, 2500, 4000, 1200),
        (2, 900, 300, 300),
        (3, 300, 2500, 0),
        (4, 700, 700, 700),
    ] {
        let world = World::new(Spec {
            seed,
            left,
            right,
            overlap,
            reference_date: TODAY,
        })
        .unwrap();
        let (lefts, rights): (Vec<_>, Vec<_>) = (world.left().collect(), world.right().collect());
        assert_same(&matches(&lefts, &rights), &truth(&world));
    }
}

#[test]
fn no_seed_makes_the_truth_wrong() {
    for seed in 100..140 {
        let (left, right) = (20 + seed % 37, 20 + seed % 53);
        let overlap = left.min(right) * (seed % 5) / 4;
        let world = World::new(Spec {
            seed,
            left,
            right,
            overlap,
            reference_date: TODAY,
        })
        .unwrap();
        let (lefts, rights): (Vec<_>, Vec<_>) = (world.left().collect(), world.right().collect());
        assert_same(&matches(&lefts, &rights), &truth(&world));
    }
}

#[test]
fn the_earliest_reference_date_gives_births_that_are_accepted() {
    let reference_date = date(1950, 1, 1);
    let world = World::new(Spec {
        seed: 9,
        left: 300,
        right: 300,
        overlap: 150,
        reference_date,
    })
    .unwrap();
    let (lefts, rights): (Vec<_>, Vec<_>) = (world.left().collect(), world.right().collect());
    assert_same(&matches(&lefts, &rights), &truth(&world));
}

#[test]
fn it_does_not_matter_which_agency_asks() {
    let world = World::new(Spec {
        seed: 8,
        left: 1500,
        right: 1200,
        overlap: 900,
        reference_date: TODAY,
    })
    .unwrap();
    let (lefts, rights): (Vec<_>, Vec<_>) = (world.left().collect(), world.right().collect());
    let turned: Found = matches(&rights, &lefts)
        .into_iter()
        .map(|((right, left), kinds)| ((left, right), kinds))
        .collect();
    assert_same(&turned, &truth(&world));
}

#[test]
fn no_two_records_of_one_list_share_an_identifier() {
    let world = World::new(Spec {
        seed: 5,
        left: 2500,
        right: 3000,
        overlap: 500,
        reference_date: TODAY,
    })
    .unwrap();
    for list in [world.left().collect::<Vec<_>>(), world.right().collect()] {
        let mut seen = HashSet::new();
        for record in &list {
            let keys: HashSet<_> = identifiers(&record.subject).iter().map(key).collect();
            for key in keys {
                let rule = key.0;
                assert!(
                    seen.insert(key),
                    "{} shares its {} with somebody",
                    record.source_id,
                    rule.id()
                );
            }
        }
    }
}

#[test]
fn twins_are_near_misses() {
    let world = World::new(Spec {
        seed: 6,
        left: 400,
        right: 400,
        overlap: 0,
        reference_date: TODAY,
    })
    .unwrap();
    let numbers = |records: Vec<Record>| -> Vec<String> {
        let plain = |number: &str| {
            number
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
                .to_uppercase()
        };
        records
            .iter()
            .flat_map(|record| &record.subject.documents)
            .map(|document| plain(&document.number))
            .collect()
    };
    let heads: HashSet<String> = numbers(world.left().collect())
        .iter()
        .map(|number| number[..8].to_owned())
        .collect();
    let near = numbers(world.right().collect())
        .iter()
        .filter(|number| heads.contains(&number[..8]))
        .count();
    assert!(
        near >= 10,
        "only {near} documents of the right list are one digit away from one of the left list"
    );
}

#[test]
fn a_flight_finds_whom_it_says() {
    let world = World::new(Spec {
        seed: 7,
        left: 300,
        right: 2000,
        overlap: 150,
        reference_date: TODAY,
    })
    .unwrap();
    let flight = world.flight(300, 12).unwrap();
    assert_eq!(flight.passengers.len(), 300);
    let records: Vec<Record> = flight
        .passengers
        .iter()
        .map(|passenger| passenger.record.clone())
        .collect();
    let found = matches(&records, &world.right().collect::<Vec<_>>());
    let expected: Found = flight
        .passengers
        .iter()
        .filter_map(|passenger| {
            let pair = (passenger.record.source_id.clone(), passenger.right_id.clone()?);
            Some((
                pair,
                passenger
                    .expected
                    .iter()
                    .map(|found| (found.kind, *found))
                    .collect(),
            ))
        })
        .collect();
    assert_eq!(expected.len(), 12);
    assert_same(&found, &expected);
}

#[test]
fn machine_readable_zones_read_back_as_the_same_people() {
    let world = World::new(Spec {
        seed: 9,
        left: 100,
        right: 600,
        overlap: 80,
        reference_date: TODAY,
    })
    .unwrap();
    let flight = world.flight(400, 40).unwrap();
    let mut out = Vec::new();
    write_mrz(&mut out, &flight).unwrap();
    let text = String::from_utf8(out).unwrap();
    let zones: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(zones.len(), 400);
    for (zone, passenger) in zones.iter().zip(&flight.passengers) {
        let mrz = mrz::parse(zone, TODAY).unwrap();
        assert_eq!(
            identifiers(&mrz.subject()).iter().map(key).collect::<Vec<_>>(),
            identifiers(&passenger.record.subject)
                .iter()
                .map(key)
                .collect::<Vec<_>>(),
            "{}",
            passenger.record.source_id
        );
        assert!(mrz.expiry_date.is_some_and(|expiry| expiry > TODAY));
    }
}
