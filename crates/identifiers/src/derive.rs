//! From what an agency knows to what is matched.

use jiff::civil::Date;

use crate::identifier::{Identifier, Rule};
use crate::rejection::{NOTHING_GIVEN, Rejection, TOO_MANY_IDENTIFIERS, TOO_MANY_ITEMS};
use crate::subject::{Other, Subject};
use crate::{biometric, contact, document, iban, national_id, person, vehicle};

/// At most so many identifiers of one subject, variants included.
pub const MAX_IDENTIFIERS: usize = 2_000;

/// At most so many names, births, documents and others of one subject are read, of each.
pub const MAX_ITEMS: usize = 500;

/// The outcome of [`derive()`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// In the order of [`Identifier`], without duplicates: a variant spelling that is also a base form is the base
    /// form.
    pub identifiers: Vec<Identifier>,
    /// In a fixed order: dates of birth and names, documents, others.
    pub rejections: Vec<Rejection>,
}

/// Normalises everything in `subject`. The result depends on nothing but the arguments and the profile.
///
/// Every name, birth, document and other item is either used in at least one identifier or named in a rejection.
/// A query sends the identifiers that are not [variants](Identifier::is_variant); the owner of a list keeps all.
///
/// `today` only serves to refuse dates of birth in the future. A subject of any size is safe: text, items and
/// identifiers are bounded ([`MAX_ITEMS`], [`MAX_IDENTIFIERS`]). The time taken depends on the text: do not let a
/// peer measure it.
pub fn derive(subject: &Subject, today: Date) -> Derived {
    let mut out = Collector::default();
    let names = out.within_limit("names", &subject.names);
    let births = out.within_limit("births", &subject.births);
    let documents = out.within_limit("documents", &subject.documents);
    let others = out.within_limit("others", &subject.others);
    if names.is_empty() && births.is_empty() && documents.is_empty() && others.is_empty() {
        out.reject(NOTHING_GIVEN.at(""));
    }
    person::derive(names, births, today, &mut out);
    for (index, document) in documents.iter().enumerate() {
        document::derive(document, &format!("documents[{index}]"), &mut out);
    }
    for (index, other) in others.iter().enumerate() {
        derive_other(other, &format!("others[{index}]"), &mut out);
    }
    out.finish()
}

fn derive_other(other: &Other, field: &str, out: &mut Collector) {
    match other {
        Other::NationalId { number, country } => national_id::derive(number, country.as_deref(), field, out),
        Other::BiometricReference { system, number } => {
            biometric::derive_reference(system, number, field, out);
        }
        Other::BiometricRecordDigest { algorithm, hex } => {
            biometric::derive_digest(algorithm, hex, field, out);
        }
        Other::Phone(number) => contact::derive_phone(number, field, out),
        Other::Email(address) => contact::derive_email(address, field, out),
        Other::Iban(number) => iban::derive(number, field, out),
        Other::VehiclePlate { country, plate } => vehicle::derive_plate(country, plate, field, out),
        Other::Vin(number) => vehicle::derive_vin(number, field, out),
    }
}

/// Gathers the outcome while the rules run.
#[derive(Default)]
pub(crate) struct Collector {
    identifiers: Vec<Identifier>,
    rejections: Vec<Rejection>,
    overflow: bool,
}

impl Collector {
    /// Adds a base form, or a spelling variant. Far beyond what can be kept, variants are no longer gathered.
    pub(crate) fn add(&mut self, rule: Rule, canonical: String, variant: bool) {
        if variant && self.identifiers.len() >= 16 * MAX_IDENTIFIERS {
            self.overflow = true;
            return;
        }
        self.identifiers
            .push(Identifier::from_parts(rule, variant, canonical.into_bytes()));
    }

    pub(crate) fn reject(&mut self, rejection: Rejection) {
        self.rejections.push(rejection);
    }

    fn within_limit<'a, T>(&mut self, field: &str, items: &'a [T]) -> &'a [T] {
        if items.len() > MAX_ITEMS {
            let detail = format!("{MAX_ITEMS} are read");
            self.reject(TOO_MANY_ITEMS.at_with(format!("{field}[{MAX_ITEMS}..{}]", items.len()), &detail));
        }
        &items[..items.len().min(MAX_ITEMS)]
    }

    fn finish(mut self) -> Derived {
        self.identifiers.sort_unstable_by(|a, b| {
            (a.rule(), a.canonical(), a.is_variant()).cmp(&(b.rule(), b.canonical(), b.is_variant()))
        });
        // Of a base form and an equal variant the first, the base form, stays.
        self.identifiers
            .dedup_by(|b, a| a.rule() == b.rule() && a.canonical() == b.canonical());
        if self.overflow || self.identifiers.len() > MAX_IDENTIFIERS {
            self.identifiers
                .sort_by_key(|identifier| (identifier.is_variant(), identifier.grade()));
            self.identifiers.truncate(MAX_IDENTIFIERS);
            self.rejections
                .push(TOO_MANY_IDENTIFIERS.at_with("", &format!("{MAX_IDENTIFIERS} are kept")));
        }
        self.identifiers.sort_unstable();
        Derived {
            identifiers: self.identifiers,
            rejections: self.rejections,
        }
    }
}
