//! Identifiers as the store keeps them: numbers and bytes.

use concordat_identifiers::{Grade, Identifier, Kind, Rule};
use concordat_store::IdentifierRow;

/// The rule's number in the database: its place in [`Rule::ALL`], which only ever grows at its end.
pub fn rule_number(rule: Rule) -> u8 {
    let place = Rule::ALL.iter().position(|known| *known == rule);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX)
}

/// The rule of a number.
pub fn rule_of(number: u8) -> Option<Rule> {
    Rule::ALL.get(usize::from(number)).copied()
}

/// The grade's number in the database: the smaller, the better.
pub fn grade_number(grade: Grade) -> u8 {
    match grade {
        Grade::Exact => 1,
        Grade::Strong => 2,
        Grade::Candidate => 3,
    }
}

/// The grade of a number.
pub fn grade_of(number: u8) -> Option<Grade> {
    match number {
        1 => Some(Grade::Exact),
        2 => Some(Grade::Strong),
        3 => Some(Grade::Candidate),
        _ => None,
    }
}

/// An identifier as a row.
pub fn row_of(identifier: &Identifier) -> IdentifierRow {
    IdentifierRow {
        kind: identifier.kind().id(),
        rule: rule_number(identifier.rule()),
        grade: grade_number(identifier.grade()),
        variant: identifier.is_variant(),
        canonical: identifier.canonical().to_vec().into(),
    }
}

/// A row as an identifier; `None` for a rule this version does not know.
pub fn identifier_of(row: &IdentifierRow) -> Option<Identifier> {
    Some(Identifier::from_parts(
        rule_of(row.rule)?,
        row.variant,
        row.canonical.to_vec(),
    ))
}

/// The kind of a number.
pub fn kind_of(number: u8) -> Option<Kind> {
    Kind::from_id(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are in every node's database: they may be added to, never changed.
    #[test]
    fn the_numbers_are_frozen() {
        let numbers: Vec<(u8, &str)> = Rule::ALL
            .iter()
            .map(|rule| (rule_number(*rule), rule.id()))
            .collect();
        assert_eq!(numbers.len(), 14);
        for (place, (number, _)) in numbers.iter().enumerate() {
            assert_eq!(usize::from(*number), place);
            assert_eq!(rule_of(*number).map(rule_number), Some(*number));
        }
        let first: Vec<Rule> = Rule::ALL.iter().copied().take(6).collect();
        assert_eq!(
            first,
            [
                Rule::DocumentIssuer,
                Rule::DocumentNumber,
                Rule::N1,
                Rule::N2,
                Rule::N3,
                Rule::N6
            ]
        );
        for grade in Grade::ALL {
            assert_eq!(grade_of(grade_number(grade)), Some(grade));
        }
        assert!(rule_of(14).is_none() && grade_of(0).is_none());
    }
}
