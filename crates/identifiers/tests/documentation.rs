//! `docs/identifiers.md` says everything that the code does, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking and say aloud what they skip"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use concordat_identifiers::{Grade, Kind, REJECTION_RULES, Rule, Severity};

fn read(path: &str) -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Words like `DOC-001`.
fn rejection_ids(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let is_id = |word: &&str| {
        let Some((head, tail)) = word.split_once('-') else {
            return false;
        };
        head.len() == 3
            && head.bytes().all(|b| b.is_ascii_uppercase())
            && tail.len() == 3
            && tail.bytes().all(|b| b.is_ascii_digit())
            && head != "SHA"
    };
    words.filter(is_id).map(str::to_owned).collect()
}

#[test]
fn every_rejection_is_documented_with_its_sentence() {
    let doc = read("../../docs/identifiers.md");
    let ids: BTreeSet<String> = REJECTION_RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(ids.len(), REJECTION_RULES.len());
    assert_eq!(rejection_ids(&doc), ids);
    for rule in REJECTION_RULES {
        let severity = match rule.severity {
            Severity::Reject => "reject",
            Severity::Notice => "notice",
        };
        let row = format!("| `{}` | {severity} | {} |", rule.id, rule.reason);
        assert!(doc.contains(&row), "docs/identifiers.md lacks this row:\n{row}");
    }
}

#[test]
fn every_rule_is_documented_with_kind_and_grade() {
    let doc = read("../../docs/identifiers.md");
    for rule in Rule::ALL {
        let row = format!("| `{}` | `{}` | {} |", rule.id(), rule.kind(), rule.grade());
        assert!(doc.contains(&row), "docs/identifiers.md lacks this row:\n{row} …");
    }
    assert!(Kind::ALL.iter().all(|kind| {
        Rule::ALL
            .iter()
            .any(|rule| rule.kind() == *kind && rule.grade() <= Grade::Strong)
    }));
}

/// Each reason to reject is made by some vector; the two that need an oversized subject are made in `properties.rs`.
#[test]
fn every_rejection_has_a_vector() {
    let files = [
        "biometric",
        "contact",
        "document",
        "iban",
        "national_id",
        "person",
        "vehicle",
    ];
    let vectors: String = files
        .iter()
        .map(|file| read(&format!("vectors/{file}.jsonl")))
        .collect();
    let lines = vectors
        .lines()
        .filter_map(|line| line.split_once("\"rejections\""))
        .map(|(_, rejections)| rejections);
    let seen: BTreeSet<String> = lines.flat_map(rejection_ids).collect();
    let unseen: Vec<_> = REJECTION_RULES
        .iter()
        .map(|rule| rule.id)
        .filter(|id| !seen.contains(*id))
        .collect();
    assert_eq!(unseen, ["SUB-001", "SUB-002"]);
}
