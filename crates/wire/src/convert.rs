//! Generated messages ↔ the types of `identifiers`.

use concordat_identifiers as ids;

use crate::v1;

/// A subject that does not say what it is; `field` is relative to the subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct BadSubject {
    /// For example `names[0]`.
    pub field: String,
    /// What is wrong, without the value.
    pub reason: &'static str,
}

fn bad(field: String, reason: &'static str) -> BadSubject {
    BadSubject { field, reason }
}

/// Reads a subject as a caller sent it. Only the message's shape is checked here; the values are judged by
/// [`concordat_identifiers::derive`].
///
/// # Errors
/// Names the first field whose shape is wrong.
pub fn subject_from_proto(subject: &v1::Subject) -> Result<ids::Subject, BadSubject> {
    let names = subject
        .names
        .iter()
        .enumerate()
        .map(|(i, name)| name_from_proto(i, name));
    let births = subject
        .births
        .iter()
        .enumerate()
        .map(|(i, birth)| birth_from_proto(i, birth));
    let others = subject
        .others
        .iter()
        .enumerate()
        .map(|(i, other)| other_from_proto(i, other));
    Ok(ids::Subject {
        names: names.collect::<Result<_, _>>()?,
        births: births.collect::<Result<_, _>>()?,
        documents: subject.documents.iter().map(document_from_proto).collect(),
        others: others.collect::<Result<_, _>>()?,
    })
}

fn name_from_proto(index: usize, name: &v1::Name) -> Result<ids::Name, BadSubject> {
    use v1::name::Rank;
    let rank = match name.rank() {
        Rank::Primary => ids::NameRank::Primary,
        Rank::Alias => ids::NameRank::Alias,
        Rank::WeakAlias => ids::NameRank::WeakAlias,
        Rank::Unspecified if index == 0 => ids::NameRank::Primary,
        Rank::Unspecified => ids::NameRank::Alias,
    };
    let parts = !name.primary.is_empty() || !name.secondary.is_empty();
    let text = match (name.whole.is_empty(), parts) {
        (false, false) => ids::NameText::Whole(name.whole.clone()),
        (true, true) if !name.primary.is_empty() => ids::NameText::Parts {
            primary: name.primary.clone(),
            secondary: name.secondary.clone(),
        },
        (true, true) => {
            return Err(bad(
                format!("names[{index}].primary"),
                "a name in parts needs its primary part",
            ));
        }
        (true, false) => return Err(bad(format!("names[{index}]"), "the name is empty")),
        (false, true) => {
            return Err(bad(
                format!("names[{index}]"),
                "give the name whole or in parts, not both",
            ));
        }
    };
    Ok(ids::Name { rank, text })
}

fn birth_from_proto(index: usize, birth: &v1::BirthDate) -> Result<ids::BirthDate, BadSubject> {
    let field = |name: &str| format!("births[{index}].{name}");
    let year = i16::try_from(birth.year).map_err(|_| bad(field("year"), "not a year"))?;
    let month = u8::try_from(birth.month).map_err(|_| bad(field("month"), "not a month"))?;
    let day = u8::try_from(birth.day).map_err(|_| bad(field("day"), "not a day"))?;
    if birth.year_to != 0 {
        let to = i16::try_from(birth.year_to).map_err(|_| bad(field("year_to"), "not a year"))?;
        return match (month, day) {
            (0, 0) => Ok(ids::BirthDate::Years { from: year, to }),
            _ => Err(bad(
                field("year_to"),
                "a range of years has neither month nor day",
            )),
        };
    }
    match (month, day) {
        (0, 0) => Ok(ids::BirthDate::Year { year }),
        (month, 0) => Ok(ids::BirthDate::Month { year, month }),
        (0, _) => Err(bad(field("day"), "a day without a month")),
        (month, day) => Ok(ids::BirthDate::Day { year, month, day }),
    }
}

fn document_from_proto(document: &v1::Document) -> ids::Document {
    use v1::document::Class;
    ids::Document {
        class: match document.class() {
            Class::Unspecified | Class::Passport => ids::DocumentClass::Passport,
            Class::IdentityCard => ids::DocumentClass::IdentityCard,
            Class::Visa => ids::DocumentClass::Visa,
            Class::Other => ids::DocumentClass::Other,
        },
        number: document.number.clone(),
        issuer: filled(&document.issuer),
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn other_from_proto(index: usize, other: &v1::OtherIdentifier) -> Result<ids::Other, BadSubject> {
    use v1::other_identifier::Value;
    let value = other
        .value
        .as_ref()
        .ok_or_else(|| bad(format!("others[{index}]"), "no value is set"))?;
    Ok(match value {
        Value::NationalId(id) => ids::Other::NationalId {
            number: id.number.clone(),
            country: filled(&id.country),
        },
        Value::BiometricReference(reference) => ids::Other::BiometricReference {
            system: reference.system.clone(),
            number: reference.number.clone(),
        },
        Value::BiometricRecordDigest(digest) => ids::Other::BiometricRecordDigest {
            algorithm: digest.algorithm.clone(),
            hex: digest.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        },
        Value::Phone(phone) => ids::Other::Phone(phone.clone()),
        Value::Email(email) => ids::Other::Email(email.clone()),
        Value::Iban(iban) => ids::Other::Iban(iban.clone()),
        Value::VehiclePlate(plate) => ids::Other::VehiclePlate {
            country: plate.country.clone(),
            plate: plate.plate.clone(),
        },
        Value::Vin(vin) => ids::Other::Vin(vin.clone()),
    })
}

/// A subject as a caller would send it.
pub fn subject_to_proto(subject: &ids::Subject) -> v1::Subject {
    v1::Subject {
        names: subject.names.iter().map(name_to_proto).collect(),
        births: subject.births.iter().map(birth_to_proto).collect(),
        documents: subject.documents.iter().map(document_to_proto).collect(),
        others: subject.others.iter().map(other_to_proto).collect(),
    }
}

fn name_to_proto(name: &ids::Name) -> v1::Name {
    use v1::name::Rank;
    let rank = match name.rank {
        ids::NameRank::Primary => Rank::Primary,
        ids::NameRank::Alias => Rank::Alias,
        ids::NameRank::WeakAlias => Rank::WeakAlias,
    };
    let mut proto = v1::Name {
        rank: rank.into(),
        ..Default::default()
    };
    match &name.text {
        ids::NameText::Whole(whole) => proto.whole.clone_from(whole),
        ids::NameText::Parts { primary, secondary } => {
            proto.primary.clone_from(primary);
            proto.secondary.clone_from(secondary);
        }
    }
    proto
}

/// A date of birth as a caller would send it.
pub fn birth_to_proto(birth: &ids::BirthDate) -> v1::BirthDate {
    let (year, month, day, year_to) = match *birth {
        ids::BirthDate::Day { year, month, day } => (year, month, day, 0),
        ids::BirthDate::Month { year, month } => (year, month, 0, 0),
        ids::BirthDate::Year { year } => (year, 0, 0, 0),
        ids::BirthDate::Years { from, to } => (from, 0, 0, to),
    };
    v1::BirthDate {
        year: year.into(),
        month: month.into(),
        day: day.into(),
        year_to: year_to.into(),
    }
}

fn document_to_proto(document: &ids::Document) -> v1::Document {
    use v1::document::Class;
    let class = match document.class {
        ids::DocumentClass::Passport => Class::Passport,
        ids::DocumentClass::IdentityCard => Class::IdentityCard,
        ids::DocumentClass::Visa => Class::Visa,
        ids::DocumentClass::Other => Class::Other,
    };
    v1::Document {
        class: class.into(),
        number: document.number.clone(),
        issuer: document.issuer.clone().unwrap_or_default(),
    }
}

fn other_to_proto(other: &ids::Other) -> v1::OtherIdentifier {
    use v1::other_identifier::Value;
    let value = match other {
        ids::Other::NationalId { number, country } => Value::NationalId(v1::NationalId {
            number: number.clone(),
            country: country.clone().unwrap_or_default(),
        }),
        ids::Other::BiometricReference { system, number } => {
            Value::BiometricReference(v1::BiometricReference {
                system: system.clone(),
                number: number.clone(),
            })
        }
        ids::Other::BiometricRecordDigest { algorithm, hex } => {
            Value::BiometricRecordDigest(v1::BiometricRecordDigest {
                algorithm: algorithm.clone(),
                digest: unhex(hex),
            })
        }
        ids::Other::Phone(phone) => Value::Phone(phone.clone()),
        ids::Other::Email(email) => Value::Email(email.clone()),
        ids::Other::Iban(iban) => Value::Iban(iban.clone()),
        ids::Other::VehiclePlate { country, plate } => Value::VehiclePlate(v1::VehiclePlate {
            country: country.clone(),
            plate: plate.clone(),
        }),
        ids::Other::Vin(vin) => Value::Vin(vin.clone()),
    };
    v1::OtherIdentifier { value: Some(value) }
}

/// Bytes of a hexadecimal text; empty where it is none, which the receiver then rejects by its length.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
        }
        _ => Vec::new(),
    }
}

/// The kind of a message; `None` for `UNSPECIFIED` and for numbers this version does not know.
pub fn kind_from_proto(kind: i32) -> Option<ids::Kind> {
    Some(match v1::Kind::try_from(kind).ok()? {
        v1::Kind::Unspecified => return None,
        v1::Kind::TravelDocument => ids::Kind::TravelDocument,
        v1::Kind::Person => ids::Kind::Person,
        v1::Kind::BiometricReference => ids::Kind::BiometricReference,
        v1::Kind::BiometricRecordDigest => ids::Kind::BiometricRecordDigest,
        v1::Kind::NationalId => ids::Kind::NationalId,
        v1::Kind::Phone => ids::Kind::Phone,
        v1::Kind::Email => ids::Kind::Email,
        v1::Kind::Iban => ids::Kind::Iban,
        v1::Kind::VehiclePlate => ids::Kind::VehiclePlate,
        v1::Kind::Vin => ids::Kind::Vin,
    })
}

/// The message's number for a kind.
pub fn kind_to_proto(kind: ids::Kind) -> v1::Kind {
    match kind {
        ids::Kind::TravelDocument => v1::Kind::TravelDocument,
        ids::Kind::Person => v1::Kind::Person,
        ids::Kind::BiometricReference => v1::Kind::BiometricReference,
        ids::Kind::BiometricRecordDigest => v1::Kind::BiometricRecordDigest,
        ids::Kind::NationalId => v1::Kind::NationalId,
        ids::Kind::Phone => v1::Kind::Phone,
        ids::Kind::Email => v1::Kind::Email,
        ids::Kind::Iban => v1::Kind::Iban,
        ids::Kind::VehiclePlate => v1::Kind::VehiclePlate,
        ids::Kind::Vin => v1::Kind::Vin,
        _ => v1::Kind::Unspecified,
    }
}

impl From<ids::Grade> for v1::Grade {
    fn from(grade: ids::Grade) -> Self {
        match grade {
            ids::Grade::Exact => Self::Exact,
            ids::Grade::Strong => Self::Strong,
            ids::Grade::Candidate => Self::Candidate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_survives_the_wire() {
        let subject = ids::Subject {
            names: vec![
                ids::Name {
                    rank: ids::NameRank::Primary,
                    text: ids::NameText::Whole("Ann Example".into()),
                },
                ids::Name {
                    rank: ids::NameRank::WeakAlias,
                    text: ids::NameText::Parts {
                        primary: "Example".into(),
                        secondary: String::new(),
                    },
                },
            ],
            births: vec![
                ids::BirthDate::Day {
                    year: 1980,
                    month: 2,
                    day: 29,
                },
                ids::BirthDate::Month { year: 1980, month: 2 },
                ids::BirthDate::Year { year: 1980 },
                ids::BirthDate::Years { from: 1979, to: 1981 },
            ],
            documents: vec![ids::Document {
                class: ids::DocumentClass::Visa,
                number: "V 12-3456".into(),
                issuer: None,
            }],
            others: vec![
                ids::Other::BiometricRecordDigest {
                    algorithm: "SHA-256".into(),
                    hex: "00ff".repeat(16),
                },
                ids::Other::NationalId {
                    number: "12345".into(),
                    country: Some("NL".into()),
                },
                ids::Other::Vin("1M8GDM9AXKP042788".into()),
            ],
        };
        assert!(subject_from_proto(&subject_to_proto(&subject)).as_ref() == Ok(&subject));
    }

    #[test]
    fn misshapen_subjects_are_refused_with_their_field() {
        let name = |name: v1::Name| v1::Subject {
            names: vec![name],
            ..Default::default()
        };
        let field = |subject: &v1::Subject| match subject_from_proto(subject) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.field,
        };
        assert_eq!(field(&name(v1::Name::default())), "names[0]");
        let both = v1::Name {
            whole: "A B".into(),
            primary: "B".into(),
            ..Default::default()
        };
        assert_eq!(field(&name(both)), "names[0]");
        let secondary = v1::Name {
            secondary: "A".into(),
            ..Default::default()
        };
        assert_eq!(field(&name(secondary)), "names[0].primary");
        let birth = |year, month, day, year_to| v1::Subject {
            births: vec![v1::BirthDate {
                year,
                month,
                day,
                year_to,
            }],
            ..Default::default()
        };
        assert_eq!(field(&birth(1980, 0, 3, 0)), "births[0].day");
        assert_eq!(field(&birth(70_000, 0, 0, 0)), "births[0].year");
        assert_eq!(field(&birth(1980, 300, 0, 0)), "births[0].month");
        assert_eq!(field(&birth(1980, 1, 0, 1981)), "births[0].year_to");
        let other = v1::Subject {
            others: vec![v1::OtherIdentifier { value: None }],
            ..Default::default()
        };
        assert_eq!(field(&other), "others[0]");
    }

    #[test]
    fn every_kind_has_its_number() {
        for number in 1..=10 {
            let kind = kind_from_proto(number).expect("known");
            assert_eq!(i32::from(kind_to_proto(kind)), number);
        }
        assert!(kind_from_proto(0).is_none() && kind_from_proto(99).is_none());
    }
}
