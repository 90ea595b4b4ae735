//! What users read names every rule, and names it with the id that they are given.

#![allow(clippy::unwrap_used, reason = "tests")]

use concordat_disclosure::AnyCase;
use concordat_disclosure::rule::RULES;

const RULES_PAGE: &str = include_str!("../../../docs/rules.md");
const PAGE: &str = include_str!("../../../docs/disclosure.md");

#[test]
fn every_rule_is_explained_and_no_other() {
    for rule in RULES {
        let rows = RULES_PAGE
            .lines()
            .filter(|line| line.starts_with(&format!("| {} |", rule.id)));
        assert_eq!(rows.count(), 1, "{}", rule.id);
    }
    let explained = RULES_PAGE
        .lines()
        .filter(|line| line.starts_with("| DISC-"))
        .count();
    assert_eq!(explained, RULES.len());
    assert!(RULES.is_sorted_by(|one, next| one.id < next.id));
}

#[test]
fn every_state_is_explained() {
    for state in AnyCase::STATES {
        assert!(PAGE.contains(&format!("| {state} |")), "{state}");
    }
}
