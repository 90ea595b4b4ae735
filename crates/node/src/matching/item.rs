//! What is asked about: read, normalised, turned into identifiers.

use std::collections::HashSet;

use concordat_identifiers::{Identifier, Kind, Other, Severity, Subject};
use concordat_wire::subject_from_proto;
use concordat_wire::v1::{MatchItem, Rejection, match_item};

use super::Item;

/// What a query asks about an item; nothing if it cannot be read.
pub fn identifiers_of(item: &MatchItem, today: jiff::civil::Date) -> Vec<Identifier> {
    read_item(item.clone(), today).identifiers
}

/// What an offer of this kind is asked: each identifier once, in the order of the items.
pub fn each_once<'a>(identifiers: impl Iterator<Item = &'a Identifier>, kind: Kind) -> Vec<Identifier> {
    let mut seen = HashSet::new();
    identifiers
        .filter(|identifier| identifier.kind() == kind && seen.insert(*identifier))
        .cloned()
        .collect()
}

pub(super) fn read_item(item: MatchItem, today: jiff::civil::Date) -> Item {
    let rejection = |field: &str, rule: &str, reason: String, notice| Rejection {
        line: 0,
        field: field.to_owned(),
        rule: rule.to_owned(),
        reason,
        notice,
    };
    let subject = match &item.what {
        Some(match_item::What::Subject(subject)) => subject_from_proto(subject)
            .map_err(|error| rejection(&error.field, "QRY-010", error.reason.to_owned(), false)),
        Some(match_item::What::Mrz(lines)) => concordat_identifiers::mrz::parse(lines, today)
            .map(|mrz| mrz.subject())
            .map_err(|error| rejection("mrz", "QRY-011", error.to_string(), false)),
        None => Err(rejection(
            "what",
            "QRY-010",
            "give a subject or a machine-readable zone".into(),
            false,
        )),
    };
    match subject {
        Err(rejection) => Item {
            id: item.item_id,
            subject: None,
            identifiers: Vec::new(),
            spoilt: Vec::new(),
            rejections: vec![rejection],
            unreadable: true,
        },
        Ok(subject) => {
            let derived = concordat_identifiers::derive(&subject, today);
            let mut spoilt = Vec::new();
            for rejected in derived
                .rejections
                .iter()
                .filter(|rejected| rejected.severity == Severity::Reject)
            {
                spoilt.extend(kinds_of_field(&subject, &rejected.field));
            }
            let identifiers: Vec<Identifier> = derived
                .identifiers
                .into_iter()
                .filter(|identifier| !identifier.is_variant())
                .collect();
            Item {
                id: item.item_id,
                subject: Some(subject),
                unreadable: identifiers.is_empty() && spoilt.is_empty(),
                identifiers,
                spoilt,
                rejections: derived
                    .rejections
                    .into_iter()
                    .map(|rejected| {
                        let notice = rejected.severity == Severity::Notice;
                        rejection(&rejected.field, rejected.rule, rejected.reason, notice)
                    })
                    .collect(),
            }
        }
    }
}

/// The kinds that a rejected field would have made.
pub fn kinds_of_field(subject: &Subject, field: &str) -> Vec<Kind> {
    let stem = field.split(['[', '.']).next().unwrap_or_default();
    match stem {
        "names" | "births" => vec![Kind::Person],
        "documents" => vec![Kind::TravelDocument],
        "others" => {
            let index = field
                .split(['[', ']'])
                .nth(1)
                .and_then(|index| index.parse::<usize>().ok());
            match index.and_then(|index| subject.others.get(index)) {
                Some(other) => vec![kind_of_other(other)],
                None => subject.others.iter().map(kind_of_other).collect(),
            }
        }
        // About the subject as a whole: every kind it has.
        _ => {
            let mut kinds: Vec<Kind> = subject.others.iter().map(kind_of_other).collect();
            kinds.extend((!subject.names.is_empty()).then_some(Kind::Person));
            kinds.extend((!subject.documents.is_empty()).then_some(Kind::TravelDocument));
            kinds
        }
    }
}

fn kind_of_other(other: &Other) -> Kind {
    match other {
        Other::NationalId { .. } => Kind::NationalId,
        Other::BiometricReference { .. } => Kind::BiometricReference,
        Other::BiometricRecordDigest { .. } => Kind::BiometricRecordDigest,
        Other::Phone(_) => Kind::Phone,
        Other::Email(_) => Kind::Email,
        Other::Iban(_) => Kind::Iban,
        Other::VehiclePlate { .. } => Kind::VehiclePlate,
        Other::Vin(_) => Kind::Vin,
    }
}
