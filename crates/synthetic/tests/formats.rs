//! What is written here is read by the readers of `concordat-lists` as the same people.

use std::io::Cursor;

use concordat_identifiers::{Identifier, Subject, derive};
use concordat_lists::{Entry, Format, Input, Item, Options, open};
use concordat_synthetic::{Flight, Record, Spec, World, write_jsonl, write_mrz, write_paxlst};
use jiff::civil::{Date, date};

const TODAY: Date = date(2026, 11, 1);

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn world() -> World {
    World::new(Spec {
        seed: 11,
        left: 400,
        right: 700,
        overlap: 200,
        reference_date: TODAY,
    })
    .unwrap()
}

/// All entries; whatever is rejected fails the test.
#[expect(clippy::unwrap_used, clippy::panic, reason = "a helper of tests")]
fn read(format: Format, bytes: Vec<u8>) -> Vec<Entry> {
    let reader = open(
        format,
        [Input::new("written", Cursor::new(bytes))],
        &Options::new(TODAY),
    )
    .unwrap();
    reader
        .map(|item| match item.unwrap() {
            Item::Entry(entry) => *entry,
            Item::Reject(reject) => panic!("{reject:?}"),
        })
        .collect()
}

fn identifiers(subject: &Subject) -> Vec<Identifier> {
    derive(subject, TODAY).identifiers
}

#[test]
fn lists_are_read_back() {
    let mut bytes = Vec::new();
    write_jsonl(&mut bytes, world().right()).unwrap();
    let entries = read(Format::Jsonl, bytes);
    let records: Vec<Record> = world().right().collect();
    assert_eq!(entries.len(), records.len());
    for (entry, record) in entries.iter().zip(&records) {
        assert_eq!(entry.source_id, record.source_id);
        assert!(entry.subject == record.subject, "{}", record.source_id);
    }
}

fn assert_same_people(entries: &[Entry], flight: &Flight) {
    assert_eq!(entries.len(), flight.passengers.len());
    for (entry, passenger) in entries.iter().zip(&flight.passengers) {
        assert!(
            identifiers(&entry.subject) == identifiers(&passenger.record.subject),
            "{} is not entry {}",
            passenger.record.source_id,
            entry.source_id
        );
    }
}

#[test]
fn flights_are_read_back() {
    let flight = world().flight(300, 20).unwrap();
    let (mut zones, mut message) = (Vec::new(), Vec::new());
    write_mrz(&mut zones, &flight).unwrap();
    write_paxlst(&mut message, &flight).unwrap();
    assert_same_people(&read(Format::Mrz, zones), &flight);
    assert_same_people(&read(Format::Paxlst, message), &flight);
}
