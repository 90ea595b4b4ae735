//! Each format on fictional lists that have the quirks of the real ones. What a list must yield stands beside it in
//! `testdata/*.expected.jsonl`: one line per item, then the summary or the error.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails fails the test"
)]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use concordat_lists::{Error, Format, Input, Item, Limits, Mapping, Options, Reader, Spill, open};
use jiff::civil::date;
use serde_json::json;

const DOC: &str = include_str!("../../../docs/lists.md");

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn options() -> Options {
    Options::new(date(2026, 11, 20))
}

/// The block of the documentation that follows a heading.
fn documented(language: &str) -> &'static str {
    let block = DOC.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap()
}

fn lines(reader: Result<Reader, Error>) -> String {
    let mut lines = String::new();
    let mut line = |value: serde_json::Value| lines.push_str(&format!("{value}\n"));
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(error) => return format!("{}\n", json!({"error": error.to_string()})),
    };
    for item in reader.by_ref() {
        line(match item {
            Ok(Item::Entry(entry)) => json!({
                "source_id": entry.source_id,
                "line": entry.line,
                "subject": entry.subject,
                "published": entry.published,
            }),
            Ok(Item::Reject(reject)) => json!({"reject": reject}),
            Err(error) => json!({"error": error.to_string()}),
        });
    }
    line(json!({"summary": reader.summary()}));
    lines
}

/// Reads a list and compares with what is expected. When they differ, what was read is left in the temporary folder
/// of the test for a person to look at.
fn check(format: Format, name: &str, options: &Options) {
    let inputs = Input::at(format, &testdata(name)).unwrap();
    let read = lines(open(format, inputs, options));
    let stem = name.split('.').next().unwrap();
    let expected = fs::read_to_string(testdata(&format!("{stem}.expected.jsonl"))).unwrap_or_default();
    if read != expected {
        let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}.expected.jsonl"));
        fs::write(&actual, &read).unwrap();
        for (number, (read, expected)) in read.lines().zip(expected.lines()).enumerate() {
            assert_eq!(
                read,
                expected,
                "line {} of {stem}; see {}",
                number + 1,
                actual.display()
            );
        }
        panic!("{stem} yields another number of items; see {}", actual.display());
    }
}

#[test]
fn ofac_sdn() {
    check(Format::OfacSdn, "ofac-sdn", &options());
}

#[test]
fn un_sc() {
    check(Format::UnSc, "un-sc.xml", &options());
}

#[test]
fn uk_ofsi_29_columns() {
    check(Format::UkOfsi, "uk-ofsi-29.csv", &options());
}

#[test]
fn uk_ofsi_36_columns() {
    check(Format::UkOfsi, "uk-ofsi-36.csv", &options());
}

#[test]
fn ftm() {
    check(Format::Ftm, "ftm.jsonl", &options());
}

#[test]
fn jsonl() {
    check(Format::Jsonl, "records.jsonl", &options());
}

#[test]
fn csv_with_the_mapping_of_the_documentation() {
    let mapping: Mapping = documented("toml").parse().unwrap();
    check(Format::Csv, "mapped.csv", &options().with_mapping(mapping));
}

#[test]
fn a_two_digit_year_is_read_by_its_own_pattern_and_named_under_another() {
    let rules = |dates: &str, born: &str| -> Vec<String> {
        let mapping = format!(
            "id = \"Id\"\ndates = {dates}\n[[name]]\nwhole = \"Name\"\n[[birth]]\ncolumn = \"Born\"\n"
        );
        let mapping: Mapping = mapping.parse().unwrap();
        let csv = format!("Id,Name,Born\n1,Pat Testa,{born}\n");
        let inputs = [Input::new("test", Cursor::new(csv.into_bytes()))];
        let items = open(Format::Csv, inputs, &options().with_mapping(mapping)).unwrap();
        let rule = |item: Result<Item, Error>| match item.unwrap() {
            Item::Reject(reject) => Some(reject.rule.id().to_owned()),
            Item::Entry(_) => None,
        };
        items.filter_map(rule).collect()
    };
    assert_eq!(rules("[\"%d.%m.%Y\"]", "1.1.80"), ["LST-026"]);
    assert!(rules("[\"%d.%m.%y\"]", "1.1.80").is_empty());
    assert!(
        rules("[\"%d.%m.%Y\", \"%d.%m.%y\"]", "1.1.80").is_empty(),
        "another pattern may take it"
    );
    assert_eq!(
        rules("[\"%d.%m.%Y\"]", "1.1.1359"),
        ["LST-022"],
        "another calendar"
    );
    assert_eq!(rules("[\"%d.%m.%Y\"]", "soon"), ["LST-021"]);
}

#[test]
fn mrz() {
    check(Format::Mrz, "mrz.txt", &options());
}

#[test]
fn paxlst() {
    check(Format::Paxlst, "paxlst.edi", &options());
}

#[test]
fn paxlst_by_telex_reads_like_the_original() {
    let subjects = |name: &str| {
        let inputs = Input::at(Format::Paxlst, &testdata(name)).unwrap();
        let reader = open(Format::Paxlst, inputs, &options()).unwrap();
        let subject = |item| match item {
            Ok(Item::Entry(entry)) => Some((entry.source_id, entry.subject, entry.published)),
            _ => None,
        };
        reader.filter_map(subject).collect::<Vec<_>>()
    };
    assert_eq!(subjects("paxlst.edi").len(), 3);
    assert!(subjects("paxlst.edi") == subjects("paxlst-telex.txt"));
}

#[test]
fn the_documented_record_is_read() {
    let inputs = [Input::new("doc", Cursor::new(documented("json").as_bytes()))];
    let items: Vec<_> = open(Format::Jsonl, inputs, &options())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let [Item::Entry(entry)] = items.as_slice() else {
        panic!("{items:?}")
    };
    let subject = &entry.subject;
    let counts = (
        subject.names.len(),
        subject.births.len(),
        subject.documents.len(),
        subject.others.len(),
    );
    assert_eq!(counts, (3, 4, 4, 8));
    assert_eq!(entry.published.get("programme"), ["TEST"]);
}

/// Sorting on disk changes nothing.
#[test]
fn little_memory_gives_the_same_entries() {
    let spill = Spill {
        folder: std::env::temp_dir(),
        key: [7; 32].into(),
    };
    let little = options().with_spill(spill).with_limits(Limits {
        sort_bytes: 100,
        ..Limits::default()
    });
    for (format, name) in [
        (Format::OfacSdn, "ofac-sdn"),
        (Format::UkOfsi, "uk-ofsi-29.csv"),
        (Format::Ftm, "ftm.jsonl"),
    ] {
        let read = |options| lines(open(format, Input::at(format, &testdata(name)).unwrap(), options));
        assert_eq!(read(&little), read(&options()), "{format}");
    }
}
