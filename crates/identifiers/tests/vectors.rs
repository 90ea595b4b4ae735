//! The test vectors in `vectors/`: one JSON object per line, the expected result in the data. The people are invented.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking and say aloud what they skip"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use concordat_identifiers::{Derived, Name, NameRank, NameText, Rule, Subject, derive};
use jiff::civil::{Date, date};
use serde::Deserialize;

const TODAY: Date = date(2026, 1, 1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    about: String,
    subject: Subject,
    /// Every base form: rule id, a space, canonical form.
    base: Vec<String>,
    /// Every variant; none if it is left out and `variants_include` is too.
    #[serde(default)]
    variants: Vec<String>,
    /// Some of the variants, where there are many.
    variants_include: Option<Vec<String>>,
    /// Field, a space, rule id.
    #[serde(default)]
    rejections: Vec<String>,
}

#[test]
fn document() {
    check("document.jsonl", 130);
}

#[test]
fn person() {
    check("person.jsonl", 250);
}

#[test]
fn national_id() {
    check("national_id.jsonl", 250);
}

#[test]
fn iban() {
    check("iban.jsonl", 140);
}

#[test]
fn vehicle() {
    check("vehicle.jsonl", 70);
}

#[test]
fn contact() {
    check("contact.jsonl", 55);
}

#[test]
fn biometric() {
    check("biometric.jsonl", 50);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    section: String,
    letter: String,
    mrz: String,
}

/// Each letter of ICAO Doc 9303-3 §6 in the middle of a family name, as `N1` writes it.
#[test]
fn icao_letters() {
    let rows: Vec<Letter> = read("icao_letters.jsonl");
    assert!(rows.len() >= 219);
    for Letter { section, letter, mrz } in rows {
        let text = NameText::Parts {
            primary: format!("B{letter}B"),
            secondary: "Q".to_owned(),
        };
        let subject = Subject {
            names: vec![Name {
                rank: NameRank::Primary,
                text,
            }],
            births: vec![concordat_identifiers::BirthDate::Day {
                year: 1974,
                month: 8,
                day: 12,
            }],
            ..Subject::default()
        };
        let derived = derive(&subject, TODAY);
        let n1 = derived
            .identifiers
            .iter()
            .find(|i| i.rule() == Rule::N1 && !i.is_variant())
            .map(|i| i.canonical());
        assert_eq!(
            n1,
            Some(format!("B{mrz}B<<Q|19740812").as_bytes()),
            "{section} {letter}"
        );
    }
}

/// Teh marbuta depends on its place (§6.C note 2), shadda doubles (note 3).
#[test]
fn icao_letters_that_depend_on_their_place() {
    for (text, expected) in [
        ("عبّاس", "EBBAS"),
        ("نعيمة", "NEYMXAH"),
        ("نعيمةب", "NEYMXTAB"),
        ("إسماعيل", "ISMAEYL"),
        ("فضّة", "FXDZXDZXAH"),
    ] {
        let subject: Subject = serde_json::from_value(serde_json::json!({
            "names": [{"rank": "primary", "text": {"parts": {"primary": text, "secondary": "Q"}}}],
            "births": [{"day": {"year": 1974, "month": 8, "day": 12}}],
        }))
        .unwrap();
        let expected = format!("person.n1/1 {expected}<<Q|19740812");
        assert!(lists(&derive(&subject, TODAY)).0.contains(&expected), "{text}");
    }
}

fn check(file: &str, at_least: usize) {
    let vectors: Vec<Vector> = read(file);
    assert!(vectors.len() >= at_least, "{file}: only {}", vectors.len());
    let mut failures = String::new();
    for (line, vector) in vectors.into_iter().enumerate() {
        let derived = derive(&vector.subject, TODAY);
        let (base, variants) = lists(&derived);
        let rejections = derived
            .rejections
            .iter()
            .map(|r| format!("{} {}", r.field, r.rule));
        let mut mismatch = |what: &str, missing: Vec<String>, surplus: Vec<String>| {
            if !(missing.is_empty() && surplus.is_empty()) {
                let at = format!("{file}:{} {}", line + 1, vector.about);
                failures += &format!("{at}: {what}: missing {missing:?}, surplus {surplus:?}\n");
            }
        };
        let (missing, surplus) = difference(vector.base.iter().cloned(), base);
        mismatch("base", missing, surplus);
        let (missing, surplus) = difference(vector.rejections.iter().cloned(), rejections);
        mismatch("rejections", missing, surplus);
        let include = vector.variants_include.as_ref().unwrap_or(&vector.variants);
        let (missing, surplus) = difference(include.iter().cloned(), variants);
        mismatch(
            "variants",
            missing,
            if vector.variants_include.is_some() {
                Vec::new()
            } else {
                surplus
            },
        );
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// Base forms and variants, as the vectors write them.
fn lists(derived: &Derived) -> (Vec<String>, Vec<String>) {
    let text = |variant: bool| {
        let some = derived
            .identifiers
            .iter()
            .filter(move |i| i.is_variant() == variant);
        some.map(|i| format!("{} {}", i.rule().id(), String::from_utf8_lossy(i.canonical())))
            .collect()
    };
    (text(false), text(true))
}

fn difference(
    expected: impl IntoIterator<Item = String>,
    found: impl IntoIterator<Item = String>,
) -> (Vec<String>, Vec<String>) {
    let (expected, found): (BTreeSet<_>, BTreeSet<_>) =
        (expected.into_iter().collect(), found.into_iter().collect());
    (
        expected.difference(&found).cloned().collect(),
        found.difference(&expected).cloned().collect(),
    )
}

fn read<T: for<'a> Deserialize<'a>>(file: &str) -> Vec<T> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let parse =
        |(line, text)| serde_json::from_str(text).unwrap_or_else(|e| panic!("{file}:{}: {e}", line + 1));
    text.lines().enumerate().map(parse).collect()
}
