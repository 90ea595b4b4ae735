//! `docs/rules.md` names every rule, purpose and reason, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use concordat_wire::v1::{Purpose, UnknownReason};

const FAMILIES: [&str; 11] = [
    "AGR-", "QRY-", "PEER-", "SNAP-", "LIST-", "IMP-", "JOB-", "NODE-", "LEDG-", "AUD-", "DESK-",
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Whether a text is a rule id of a node: a family and three digits.
fn is_rule(text: &str) -> bool {
    FAMILIES.iter().any(|family| {
        let digits = text.strip_prefix(family);
        digits.is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit()))
    })
}

fn rules_of_source(folder: &Path, rules: &mut BTreeSet<String>) {
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.is_dir() {
            rules_of_source(&path, rules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            rules.extend(text.split('"').filter(|part| is_rule(part)).map(str::to_owned));
        }
    }
}

/// First cells of every table row.
fn first_cells() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs/rules.md")).expect("docs/rules.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split(" | ").next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_rule_of_the_source_is_explained_once_and_no_other() {
    let mut source = BTreeSet::new();
    for folder in ["crates/node/src", "crates/wire/src"] {
        rules_of_source(&root().join(folder), &mut source);
    }
    assert!(source.len() > 70, "the source was read");
    let rows: Vec<String> = first_cells().into_iter().filter(|cell| is_rule(cell)).collect();
    let explained: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), explained.len(), "a rule is explained twice");
    let missing: Vec<_> = source.difference(&explained).collect();
    let gone: Vec<_> = explained.difference(&source).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not explained: {missing:?}; not used: {gone:?}"
    );
}

#[test]
fn every_purpose_and_reason_is_explained() {
    let cells = first_cells();
    let purposes = (1..).map_while(|number| Purpose::try_from(number).ok());
    let purposes = purposes.map(|purpose| purpose.as_str_name().trim_start_matches("PURPOSE_"));
    let reasons = (1..).map_while(|number| UnknownReason::try_from(number).ok());
    let reasons = reasons.map(|reason| reason.as_str_name().trim_start_matches("UNKNOWN_REASON_"));
    let names: Vec<&str> = purposes.chain(reasons).collect();
    assert_eq!(names.len(), 16 + 11);
    for name in names {
        assert_eq!(cells.iter().filter(|cell| *cell == name).count(), 1, "{name}");
    }
}
