//! Invented people, as an agency's system would send them.

use concordat_wire::v1::{BirthDate, Document, MatchItem, Name, Subject, document::Class, match_item};

/// A record of a list.
pub type Record = concordat_wire::v1::Record;

/// A name with its family name first; the first is the primary one, the others are aliases.
pub fn name(primary: &str, secondary: &str) -> Name {
    Name {
        primary: primary.into(),
        secondary: secondary.into(),
        ..Name::default()
    }
}

/// A full date of birth.
pub fn born(year: i32, month: u32, day: u32) -> BirthDate {
    BirthDate {
        year,
        month,
        day,
        year_to: 0,
    }
}

/// A passport.
pub fn document(number: &str, issuer: &str) -> Document {
    Document {
        class: Class::Passport.into(),
        number: number.into(),
        issuer: issuer.into(),
    }
}

/// A subject.
pub fn person(names: Vec<Name>, births: Vec<BirthDate>, documents: Vec<Document>) -> Subject {
    Subject {
        names,
        births,
        documents,
        others: Vec::new(),
    }
}

/// A question about a subject.
pub fn item(id: &str, subject: Subject) -> MatchItem {
    MatchItem {
        item_id: id.into(),
        what: Some(match_item::What::Subject(subject)),
    }
}
