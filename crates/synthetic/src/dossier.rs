//! What a list knows of a person, and which identifiers follow from it.
//!
//! A [`Dossier`] says which facts are published and how; [`Dossier::keys`] says, from that alone, which rules of
//! the normalisation profile yield which identifiers. Two dossiers of one person share an identifier exactly when
//! they share a key: that is where the truth comes from, and the tests hold it against the profile itself.

use std::collections::BTreeSet;

use concordat_identifiers::{NameRank, Rule};

use crate::names::{Country, Script};
use crate::person::Facts;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Files people in parts, capitals, with country codes: `BASHURI`, `Omar`, `JOR`.
    Left,
    /// Writes names out, with noise in document numbers and countries in words: `Omar Bashuri`, `Jordan`.
    Right,
}

/// An identifier that is neither a name nor a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherKind {
    NationalId,
    BiometricReference,
    BiometricRecordDigest,
    Phone,
    Email,
    Iban,
    VehiclePlate,
    Vin,
}

impl OtherKind {
    pub(crate) const ALL: [Self; 8] = [
        Self::NationalId,
        Self::BiometricReference,
        Self::BiometricRecordDigest,
        Self::Phone,
        Self::Email,
        Self::Iban,
        Self::VehiclePlate,
        Self::Vin,
    ];

    const fn rule(self) -> Rule {
        match self {
            Self::NationalId => Rule::NationalId,
            Self::BiometricReference => Rule::BiometricReference,
            Self::BiometricRecordDigest => Rule::BiometricRecordDigest,
            Self::Phone => Rule::Phone,
            Self::Email => Rule::Email,
            Self::Iban => Rule::Iban,
            Self::VehiclePlate => Rule::VehiclePlate,
            Self::Vin => Rule::Vin,
        }
    }
}

/// What a list knows of a person.
#[derive(Debug)]
pub(crate) struct Dossier {
    pub(crate) names: Vec<NameUse>,
    pub(crate) births: Vec<BirthUse>,
    pub(crate) documents: Vec<DocumentUse>,
    pub(crate) others: Vec<OtherUse>,
}

/// One name as published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameUse {
    /// Which of the person's names.
    pub(crate) slot: usize,
    pub(crate) rank: NameRank,
    pub(crate) script: Script,
    pub(crate) layout: Layout,
    /// Whether the middle name or particle is shown.
    pub(crate) extra: bool,
}

/// How the parts of a name are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Parts,
    FamilyFirst,
    GivenFirst,
}

/// One date of birth as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BirthUse {
    Day,
    Misprint,
    Month,
    Year,
    /// Both years of the cell.
    Years,
}

/// One document as published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentUse {
    /// Which of the person's documents: 0 is known to both lists, 1 and 2 to one, 3 is for travelling.
    pub(crate) which: u64,
    pub(crate) issuer: Option<&'static Country>,
}

/// One other identifier as published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherUse {
    pub(crate) kind: OtherKind,
    pub(crate) which: u64,
}

/// Stands for one identifier of one person: equal keys of one person are equal identifiers.
pub(crate) type Key = (Rule, u64, u64);

impl Dossier {
    /// The identifiers that the profile makes of this dossier.
    pub(crate) fn keys(&self, facts: &Facts) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        for name in &self.names {
            let own_script = name.script == Script::Native && !facts.names[name.slot].culture.native_is_latin;
            let pair = 2 * name.slot as u64 + u64::from(own_script);
            let tokens = 2 * pair + u64::from(name.extra && facts.names[name.slot].has_extra());
            for birth in &self.births {
                if let Some(day) = birth.full_date() {
                    if name.layout == Layout::Parts {
                        keys.insert((Rule::N1, tokens, day));
                    }
                    keys.insert((Rule::N2, tokens, day));
                    keys.insert((Rule::N3, pair, day));
                }
                keys.extend(birth.years(facts).map(|year| (Rule::N6, tokens, year)));
            }
        }
        for document in &self.documents {
            keys.insert((Rule::DocumentNumber, document.which, 0));
            if let Some(country) = document.issuer {
                let code = country
                    .alpha3
                    .bytes()
                    .fold(0, |code, byte| code << 8 | u64::from(byte));
                keys.insert((Rule::DocumentIssuer, document.which, code));
            }
        }
        keys.extend(
            self.others
                .iter()
                .map(|other| (other.kind.rule(), other.which, 0)),
        );
        keys
    }
}

impl BirthUse {
    /// Which full date it is, if it is one.
    const fn full_date(self) -> Option<u64> {
        match self {
            Self::Day => Some(0),
            Self::Misprint => Some(1),
            Self::Month | Self::Year | Self::Years => None,
        }
    }

    fn years(self, facts: &Facts) -> impl Iterator<Item = u64> {
        let known = (facts.birth.0 - facts.cell_year) as u64;
        (0..2).filter(move |year| *year == known || self == Self::Years)
    }
}
