//! Machine-readable zones: vectors, check digit laws, and what becomes of a zone in [`derive()`].
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking and say aloud what they skip"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use concordat_identifiers::mrz::{Mrz, MrzError, check_digit, parse};
use concordat_identifiers::{BirthDate, Grade, Rule, derive};
use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde::Deserialize;

const TODAY: Date = date(2026, 1, 1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    about: String,
    lines: Vec<String>,
    mrz: Option<Fields>,
    error: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    format: String,
    document_code: String,
    issuer: String,
    number: String,
    primary: String,
    secondary: String,
    nationality: String,
    birth: Option<Birth>,
    birth_century_is_ambiguous: bool,
    sex: String,
    expiry: String,
    expiry_date: Option<Date>,
    optional: Vec<String>,
}

/// [`BirthDate`], with a `Debug` that shows it.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Birth {
    Day { year: i16, month: u8, day: u8 },
    Month { year: i16, month: u8 },
    Year { year: i16 },
}

impl From<Mrz> for Fields {
    fn from(mrz: Mrz) -> Self {
        Self {
            format: format!("{:?}", mrz.format),
            document_code: mrz.document_code,
            issuer: mrz.issuer,
            number: mrz.number,
            primary: mrz.primary,
            secondary: mrz.secondary,
            nationality: mrz.nationality,
            birth: mrz.birth.map(|birth| match birth {
                BirthDate::Day { year, month, day } => Birth::Day { year, month, day },
                BirthDate::Month { year, month } => Birth::Month { year, month },
                BirthDate::Year { year } | BirthDate::Years { from: year, .. } => Birth::Year { year },
            }),
            birth_century_is_ambiguous: mrz.birth_century_is_ambiguous,
            sex: format!("{:?}", mrz.sex),
            expiry: mrz.expiry,
            expiry_date: mrz.expiry_date,
            optional: mrz.optional,
        }
    }
}

#[test]
fn vectors() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/mrz.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let vectors: Vec<Vector> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(vectors.len() >= 90);
    for vector in vectors {
        let result = parse(&vector.lines.join("\n"), TODAY)
            .map(Fields::from)
            .map_err(|error| error.to_string());
        let expected = vector.mrz.ok_or_else(|| vector.error.unwrap_or_default());
        assert_eq!(result, expected, "{}", vector.about);
    }
}

#[test]
fn figures_of_doc_9303() {
    for (field, digit) in [
        ("520727", '3'),
        ("AB2134<<<", '5'),
        ("HA672242<", '6'),
        ("L898902C3", '6'),
        ("", '0'),
        ("<<<<<<", '0'),
    ] {
        assert_eq!(check_digit(field), digit, "{field}");
    }
}

/// A passport read at a counter asks with six identifiers and meets a list that was typed from another source.
#[test]
fn a_zone_meets_a_list_entry() {
    let zone = "P<D<<MUELLER<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<<\nC01X0006H1D<<7408122F2710318<<<<<<<<<<<<<<<8";
    let zone = parse(&fixed(zone), TODAY).unwrap();
    let query = derive(&zone.subject(), TODAY);
    assert!(query.rejections.is_empty());
    let rules: Vec<Rule> = query.identifiers.iter().map(|i| i.rule()).collect();
    assert_eq!(
        rules,
        [
            Rule::DocumentIssuer,
            Rule::DocumentNumber,
            Rule::N1,
            Rule::N2,
            Rule::N3,
            Rule::N6
        ]
    );
    assert!(query.identifiers.iter().all(|i| !i.is_variant()));
    for (entry, best) in [
        (
            r#"{"parts":{"primary":"Müller","secondary":"Anna Maria"}}"#,
            Some(Grade::Exact),
        ),
        (r#"{"whole":"Anna Maria Müller"}"#, Some(Grade::Strong)),
        (r#"{"whole":"MUELLER, Dr. Anna Maria"}"#, Some(Grade::Exact)),
        (r#"{"whole":"Muller, Anna Maria"}"#, None),
    ] {
        let json = format!(
            r#"{{"names":[{{"rank":"primary","text":{entry}}}],"births":[{{"day":{{"year":1974,"month":8,"day":12}}}}]}}"#
        );
        let listed = derive(&serde_json::from_str(&json).unwrap(), TODAY).identifiers;
        let same =
            |q: &&concordat_identifiers::Identifier| listed.iter().any(|l| l.oprf_input() == q.oprf_input());
        assert_eq!(
            query.identifiers.iter().filter(same).map(|i| i.grade()).min(),
            best,
            "{entry}"
        );
    }
}

/// A query that was typed with the umlaut meets both spellings without sending any variant.
#[test]
fn a_typed_umlaut_carries_both_spellings() {
    let subject = |text: &str| {
        let json = format!(
            r#"{{"names":[{{"rank":"primary","text":{{"whole":"{text}"}}}}],"births":[{{"day":{{"year":1974,"month":8,"day":12}}}}]}}"#
        );
        derive(&serde_json::from_str(&json).unwrap(), TODAY).identifiers
    };
    let query = subject("Müller, Anna");
    for listed in ["Mueller, Anna", "Muller, Anna", "Müller, Anna"] {
        let listed = subject(listed);
        assert!(query.iter().any(|q| !q.is_variant()
            && q.grade() <= Grade::Strong
            && listed.iter().any(|l| l.oprf_input() == q.oprf_input())));
    }
}

#[test]
fn an_error_repeats_nothing_but_check_digits() {
    let zone =
        fixed("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C3<UTO740812<F120415<ZE184226B<<<<<<<");
    for (line, position) in [(0, 10), (1, 0), (1, 5), (1, 15), (1, 22), (1, 30)] {
        for found in ['É', '9', 'A', '<', ' '] {
            let mut lines: Vec<Vec<char>> = zone.lines().map(|line| line.chars().collect()).collect();
            lines[line][position] = found;
            let text: Vec<String> = lines.iter().map(|line| line.iter().collect()).collect();
            if let Err(error) = parse(&text.join("\n"), TODAY) {
                let shown = format!("{error} {error:?}");
                for secret in ["ERIKSSON", "ANNA", "898902", "740812", "184226"] {
                    assert!(!shown.contains(secret), "{shown}");
                }
            }
        }
    }
}

#[test]
fn specimens_collected_elsewhere() {
    let Some(folder) = std::env::var_os("CONCORDAT_REAL_DATA").map(PathBuf::from) else {
        eprintln!("SKIPPED: set CONCORDAT_REAL_DATA to the folder with vectors/mrz to run this test");
        return;
    };
    let text = std::fs::read_to_string(folder.join("vectors/mrz/mrz_specimens.json")).unwrap();
    let specimens: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(specimens.len(), 46);
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for specimen in &specimens {
        let lines: Vec<&str> = specimen["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect();
        let wrong = specimen["wrong"].as_array().unwrap().len();
        let outcome = match parse(&lines.join("\n"), TODAY) {
            Ok(mrz) => {
                assert_eq!(wrong, 0, "{lines:?}");
                let expected = |field: &str| specimen[field].as_str().unwrap_or_default().to_owned();
                let names = match expected("surname") {
                    surname if surname.is_empty() => (expected("given_names"), String::new()),
                    surname => (surname, expected("given_names")),
                };
                assert_eq!((mrz.primary, mrz.secondary), names, "{lines:?}");
                "read"
            }
            Err(MrzError::CheckDigits(digits)) => {
                assert_eq!(digits.len(), wrong, "{lines:?}: {digits:?}");
                "wrong check digits"
            }
            Err(error) => panic!("{lines:?}: {error}"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    assert_eq!(
        outcomes,
        BTreeMap::from([("read", 37), ("wrong check digits", 9)])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Characters whose values agree modulo 10 are the only ones the check digit takes for each other.
    #[test]
    fn one_wrong_character_is_seen_unless_it_is_worth_the_same(field in "[A-Z0-9<]{9}", at in 0..9usize, other in "[A-Z0-9<]") {
        let value = |c: char| c.to_digit(36).unwrap_or(0) % 10;
        let mut changed: Vec<char> = field.chars().collect();
        let other = other.chars().next().unwrap();
        let same = value(changed[at]) == value(other);
        changed[at] = other;
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(check_digit(&field) == check_digit(&changed), same);
    }

    #[test]
    fn any_text_is_refused_or_read(text in any::<String>()) {
        let _ = parse(&text, TODAY);
    }

    #[test]
    fn any_characters_in_the_shape_of_a_zone_are_refused_or_read(text in "([A-Z0-9<\u{e9}]{44}\n){2}|([A-Z0-9<]{36}\n){2}|([A-Z0-9<]{30}\n){3}|[A-Z<]{90}") {
        let _ = parse(&text, TODAY);
    }

    /// Whatever the fields hold, a zone with the right digits says what was put in.
    #[test]
    fn a_written_passport_reads_back(
        issuer in "[A-Z]{3}", primary in "[A-Z]{1,12}(<[A-Z]{1,8})?", secondary in "[A-Z]{1,12}",
        number in "[A-Z0-9]{5,9}", year in 0..100u8, month in 1..13u8, day in 1..29u8, optional in "[A-Z0-9]{0,14}",
    ) {
        let zone = format!("{:<<44}\n{:<<9}<{issuer}{year:02}{month:02}{day:02}<F300101<{optional:<<14}<<", format!("P<{issuer}{primary}<<{secondary}"), number);
        let mrz = parse(&fixed(&zone), TODAY).unwrap();
        prop_assert_eq!(&mrz.number, &number);
        prop_assert_eq!(mrz.primary.replace(' ', "<"), primary);
        prop_assert_eq!(&mrz.secondary, &secondary);
        let Some(BirthDate::Day { year: born, month: m, day: d }) = mrz.birth else { panic!() };
        prop_assert_eq!((born.rem_euclid(100), m, d), (i16::from(year), month, day));
        prop_assert!(Date::new(born, i8::try_from(m).unwrap(), i8::try_from(d).unwrap()).unwrap() <= TODAY);
        prop_assert!(born > 1925);
        prop_assert_eq!(&mrz.optional[0], &optional);
    }
}

/// A TD3 zone with its five check digits put right.
fn fixed(zone: &str) -> String {
    let (first, second) = zone.split_once('\n').unwrap();
    let mut second: Vec<char> = second.chars().collect();
    let text = |second: &[char]| second.iter().collect::<String>();
    for (field, check) in [(0..9, 9), (13..19, 19), (21..27, 27), (28..42, 42)] {
        second[check] = check_digit(&text(&second[field]));
    }
    let all = text(&[&second[0..10], &second[13..20], &second[21..43]].concat());
    second[43] = check_digit(&all);
    format!("{first}\n{}", text(&second))
}
