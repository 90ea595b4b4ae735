//! The canonical identifier: what is blinded, and how well a hit on it identifies.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Name and version of the normalisation profile. Both agencies must use the same one: it is part of every
/// OPRF input, of the agreement and of the canaries.
pub const PROFILE: &str = "concordat-norm-1";

/// What is matched. Each kind of an agreement has its own offer and so its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Passport, identity card, visa: number with and without issuer.
    TravelDocument,
    /// Name with date of birth.
    Person,
    /// Number in a named fingerprint system.
    BiometricReference,
    /// Digest of a biometric record's bytes.
    BiometricRecordDigest,
    /// National identification number.
    NationalId,
    /// Telephone number.
    Phone,
    /// E-mail address.
    Email,
    /// Bank account.
    Iban,
    /// Registration plate.
    VehiclePlate,
    /// Vehicle identification number.
    Vin,
}

impl Kind {
    /// Every kind, in the order of [`Kind::id`].
    pub const ALL: [Self; 10] = [
        Self::TravelDocument,
        Self::Person,
        Self::BiometricReference,
        Self::BiometricRecordDigest,
        Self::NationalId,
        Self::Phone,
        Self::Email,
        Self::Iban,
        Self::VehiclePlate,
        Self::Vin,
    ];

    /// A number for columns and wire formats: never 0, never changed, never used again for another kind.
    pub const fn id(self) -> u8 {
        match self {
            Self::TravelDocument => 1,
            Self::Person => 2,
            Self::BiometricReference => 3,
            Self::BiometricRecordDigest => 4,
            Self::NationalId => 5,
            Self::Phone => 6,
            Self::Email => 7,
            Self::Iban => 8,
            Self::VehiclePlate => 9,
            Self::Vin => 10,
        }
    }

    /// The kind with this [`Kind::id`].
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// The name in configuration, agreements and JSON, the same as serde's: `travel_document`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TravelDocument => "travel_document",
            Self::Person => "person",
            Self::BiometricReference => "biometric_reference",
            Self::BiometricRecordDigest => "biometric_record_digest",
            Self::NationalId => "national_id",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Iban => "iban",
            Self::VehiclePlate => "vehicle_plate",
            Self::Vin => "vin",
        }
    }

    /// The kind with this [`Kind::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How well a hit identifies. Ordered: `Exact` is the best and the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The identifier as machine-read, nothing left out.
    Exact,
    /// Enough to act on after a person has looked.
    Strong,
    /// A lead: never a hit alone.
    Candidate,
}

impl Grade {
    /// Every grade, the best first.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Strong, Self::Candidate];

    /// The name in configuration and JSON, the same as serde's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Strong => "strong",
            Self::Candidate => "candidate",
        }
    }

    /// The grade with this [`Grade::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grade| grade.name() == name)
    }
}

/// The rule that made an identifier. Its [`Rule::id`] is protocol data: it is part of every OPRF input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// Document number with its issuer.
    DocumentIssuer,
    /// Document number alone.
    DocumentNumber,
    /// `N1`: primary and secondary identifier in order, with the full date of birth.
    N1,
    /// `N2`: sorted list of all name tokens, with the full date of birth.
    N2,
    /// `N3`: first and last token of the sorted list, with the full date of birth.
    N3,
    /// `N6`: sorted list of all name tokens, with the year of birth only.
    N6,
    /// Number in a named fingerprint system.
    BiometricReference,
    /// Digest of a biometric record.
    BiometricRecordDigest,
    /// National identification number with its country.
    NationalId,
    /// Telephone number, E.164.
    Phone,
    /// E-mail address.
    Email,
    /// IBAN.
    Iban,
    /// Plate with its country.
    VehiclePlate,
    /// VIN.
    Vin,
}

impl Rule {
    /// Every rule, in declaration order.
    pub const ALL: [Self; 14] = [
        Self::DocumentIssuer,
        Self::DocumentNumber,
        Self::N1,
        Self::N2,
        Self::N3,
        Self::N6,
        Self::BiometricReference,
        Self::BiometricRecordDigest,
        Self::NationalId,
        Self::Phone,
        Self::Email,
        Self::Iban,
        Self::VehiclePlate,
        Self::Vin,
    ];

    /// The rule's protocol name and version: part of every OPRF input, so a changed canonical form needs a new id.
    pub const fn id(self) -> &'static str {
        match self {
            Self::DocumentIssuer => "document+issuer/1",
            Self::DocumentNumber => "document/1",
            Self::N1 => "person.n1/1",
            Self::N2 => "person.n2/1",
            Self::N3 => "person.n3/1",
            Self::N6 => "person.n6/1",
            Self::BiometricReference => "biometric-reference/1",
            Self::BiometricRecordDigest => "biometric-record-digest/1",
            Self::NationalId => "national-id/1",
            Self::Phone => "phone/1",
            Self::Email => "email/1",
            Self::Iban => "iban/1",
            Self::VehiclePlate => "vehicle-plate/1",
            Self::Vin => "vin/1",
        }
    }

    /// The rule with this [`Rule::id`].
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.id() == id)
    }

    /// The kind whose offer and key this rule's identifiers belong to.
    pub const fn kind(self) -> Kind {
        match self {
            Self::DocumentIssuer | Self::DocumentNumber => Kind::TravelDocument,
            Self::N1 | Self::N2 | Self::N3 | Self::N6 => Kind::Person,
            Self::BiometricReference => Kind::BiometricReference,
            Self::BiometricRecordDigest => Kind::BiometricRecordDigest,
            Self::NationalId => Kind::NationalId,
            Self::Phone => Kind::Phone,
            Self::Email => Kind::Email,
            Self::Iban => Kind::Iban,
            Self::VehiclePlate => Kind::VehiclePlate,
            Self::Vin => Kind::Vin,
        }
    }

    /// How well a hit under this rule identifies.
    pub const fn grade(self) -> Grade {
        match self {
            Self::DocumentIssuer
            | Self::N1
            | Self::BiometricReference
            | Self::BiometricRecordDigest
            | Self::NationalId
            | Self::Phone
            | Self::Email
            | Self::Iban
            | Self::VehiclePlate
            | Self::Vin => Grade::Exact,
            Self::DocumentNumber | Self::N2 => Grade::Strong,
            Self::N3 | Self::N6 => Grade::Candidate,
        }
    }
}

/// A normalised value: canonical bytes under one rule. `Debug` shows the rule, never the value; the bytes are
/// wiped when it is dropped.
///
/// Ordered by rule, then base forms before variants, then canonical bytes. Comparison is not constant time: it
/// serves to sort and de-duplicate what its own holder knows, never to test a guess of somebody else's.
#[derive(Clone, PartialEq, Eq)]
pub struct Identifier {
    rule: Rule,
    /// A spelling variant made by the profile: the list's owner keeps it, a query does not send it
    /// (variants on one side only, or cost and false hits multiply).
    variant: bool,
    canonical: Zeroizing<Vec<u8>>,
}

impl Identifier {
    /// Rebuilds an identifier from what a store kept of it. `canonical` must be what [`Identifier::canonical`]
    /// returned: nothing is checked again, and bytes that no rule makes only yield a tag that nothing meets.
    pub fn from_parts(rule: Rule, variant: bool, canonical: Vec<u8>) -> Self {
        Self {
            rule,
            variant,
            canonical: Zeroizing::new(canonical),
        }
    }

    /// The rule that made it.
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// What is matched: decides the offer and so the key.
    pub const fn kind(&self) -> Kind {
        self.rule.kind()
    }

    /// How well a hit on it identifies.
    pub const fn grade(&self) -> Grade {
        self.rule.grade()
    }

    /// Whether it is a spelling variant, which a list's owner keeps and a query does not send.
    pub const fn is_variant(&self) -> bool {
        self.variant
    }

    /// The canonical bytes, in clear. Secret: never log, never put into an error or a file name.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The private input of the OPRF: [`PROFILE`], [`Rule::id`] and the canonical bytes, each after its length as
    /// a two-byte big-endian number. The kind needs no field of its own: the rule implies it. Secret.
    pub fn oprf_input(&self) -> Zeroizing<Vec<u8>> {
        framed(&[PROFILE.as_bytes(), self.rule.id().as_bytes(), &self.canonical])
    }
}

/// Concatenates `parts`, each after its length as a two-byte big-endian number. Injective as long as every part
/// fits in 65,535 bytes; the profile's limits keep every canonical form below 2,048.
pub(crate) fn framed(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| 2 + part.len()).sum()));
    for part in parts {
        // Longer parts cannot be made by any rule. Were one rebuilt from foreign bytes, the saturated prefix still
        // differs from every real one's, because no real part is 65,535 bytes long.
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

impl Hash for Identifier {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.rule, self.variant, self.canonical()).hash(state);
    }
}

impl PartialOrd for Identifier {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Identifier {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.rule, self.variant, self.canonical()).cmp(&(other.rule, other.variant, other.canonical()))
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = if self.variant { ", variant" } else { "" };
        write!(f, "Identifier({}{variant}, redacted)", self.rule.id())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no kind or no grade. It holds none of the caller's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownName {
    /// Not the name of a kind.
    #[error(
        "not a kind; use one of travel_document, person, biometric_reference, biometric_record_digest, \
         national_id, phone, email, iban, vehicle_plate, vin"
    )]
    Kind,
    /// Not the name of a grade.
    #[error("not a grade; use one of exact, strong, candidate")]
    Grade,
}

impl FromStr for Kind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::from_name(name).ok_or(UnknownName::Kind)
    }
}

impl FromStr for Grade {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::from_name(name).ok_or(UnknownName::Grade)
    }
}
