//! Code lists: what may be asked for and how what is released must be handled.

use std::fmt;
use std::str::FromStr;

use concordat_ledger::Text;
use serde::{Deserialize, Serialize};

use crate::rule::{MALFORMED, Refused};
use crate::text::Words;

/// A field of core data: Regulation (EU) 2024/982 Art. 47(4) (a) to (k), or one that a list has besides. Written `a` to `k`, `x:name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Field {
    /// (a) First names.
    FirstNames,
    /// (b) Family names.
    FamilyNames,
    /// (c) Aliases and previous names.
    OtherNames,
    /// (d) Date of birth.
    DateOfBirth,
    /// (e) Nationalities.
    Nationalities,
    /// (f) Place and country of birth.
    PlaceOfBirth,
    /// (g) Gender.
    Gender,
    /// (h) When and where biometrics were taken.
    BiometricsTaken,
    /// (i) The offence.
    Offence,
    /// (j) The criminal case number.
    CaseNumber,
    /// (k) The competent authority.
    Authority,
    /// A field of the owner's list that the agreement names.
    Listed(Listed),
}

/// The name of a list's own field: 1 to 32 lower-case letters, digits, `-`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listed(String);

impl Listed {
    /// Takes a name.
    ///
    /// # Errors
    /// [`MALFORMED`].
    pub fn new(name: &str) -> Result<Self, Refused> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let holds = (1..=32).contains(&name.len())
            && name.bytes().all(allowed)
            && name.starts_with(|c: char| c.is_ascii_lowercase());
        holds
            .then(|| Self(name.to_owned()))
            .ok_or_else(|| MALFORMED.at("field"))
    }
}

/// What kind of data a field is: quorums are agreed by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FieldClass {
    /// Who the person is: (a) to (g).
    Identity,
    /// (h), about biometrics.
    Biometric,
    /// The investigation: (i) to (k).
    Case,
    /// A list's own field.
    Listed,
}

impl Field {
    /// (a) to (k), in order.
    pub const CORE: [Self; 11] = [
        Self::FirstNames,
        Self::FamilyNames,
        Self::OtherNames,
        Self::DateOfBirth,
        Self::Nationalities,
        Self::PlaceOfBirth,
        Self::Gender,
        Self::BiometricsTaken,
        Self::Offence,
        Self::CaseNumber,
        Self::Authority,
    ];

    /// Its class.
    pub fn class(&self) -> FieldClass {
        match self {
            Self::FirstNames
            | Self::FamilyNames
            | Self::OtherNames
            | Self::DateOfBirth
            | Self::Nationalities
            | Self::PlaceOfBirth
            | Self::Gender => FieldClass::Identity,
            Self::BiometricsTaken => FieldClass::Biometric,
            Self::Offence | Self::CaseNumber | Self::Authority => FieldClass::Case,
            Self::Listed(_) => FieldClass::Listed,
        }
    }

    /// The name shown to people and used for the element of the XML form.
    pub fn name(&self) -> &str {
        match self {
            Self::FirstNames => "FirstNames",
            Self::FamilyNames => "FamilyNames",
            Self::OtherNames => "OtherNames",
            Self::DateOfBirth => "DateOfBirth",
            Self::Nationalities => "Nationalities",
            Self::PlaceOfBirth => "PlaceOfBirth",
            Self::Gender => "Gender",
            Self::BiometricsTaken => "BiometricsTaken",
            Self::Offence => "Offence",
            Self::CaseNumber => "CaseNumber",
            Self::Authority => "Authority",
            Self::Listed(listed) => &listed.0,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(listed) => write!(f, "x:{}", listed.0),
            core => {
                let place = Self::CORE.iter().position(|field| field == core);
                let letter = place.and_then(|place| b"abcdefghijk".get(place));
                write!(f, "{}", letter.map_or('?', |letter| char::from(*letter)))
            }
        }
    }
}

impl FromStr for Field {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        if let Some(name) = text.strip_prefix("x:") {
            return Listed::new(name).map(Self::Listed);
        }
        let found = Self::CORE.iter().find(|field| field.to_string() == text);
        found.cloned().ok_or_else(|| MALFORMED.at("field"))
    }
}

impl From<Field> for String {
    fn from(field: Field) -> Self {
        field.to_string()
    }
}

impl TryFrom<String> for Field {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

codes! {
    /// Handling codes of SIENA, from the least to the most restricting.
    HandlingCode {
        /// For the prevention and combating of crime only.
        H0,
        /// Not in judicial proceedings without the provider's permission.
        H1,
        /// Not disseminated without the provider's permission.
        H2,
        /// Other restrictions, in words.
        H3,
    }
}

codes! {
    /// The reliability of the source (the 4×4 system).
    SourceEvaluation {
        /// No doubt.
        A,
        /// Mostly reliable.
        B,
        /// Mostly unreliable.
        C,
        /// Cannot be assessed.
        X,
    }
}

/// The reliability of the information (the 4×4 system). Written `1` to `4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InformationEvaluation {
    /// Accuracy not in doubt.
    #[serde(rename = "1")]
    Certain,
    /// Known personally to the source, not to the official who reports it.
    #[serde(rename = "2")]
    KnownToSource,
    /// Not known to the source, but corroborated.
    #[serde(rename = "3")]
    Corroborated,
    /// Not known to the source, and cannot be corroborated.
    #[serde(rename = "4")]
    Uncorroborated,
}

codes! {
    /// The classification. A higher one is never carried.
    Classification {
        /// None.
        Unclassified,
        /// RESTREINT UE / EU RESTRICTED or its national like.
        Restricted,
        /// CONFIDENTIEL UE / EU CONFIDENTIAL or its national like.
        Confidential,
    }
}

codes! {
    /// What the requester will do with the details.
    IntendedUse {
        /// Intelligence only.
        Intelligence,
        /// Evidence in judicial proceedings.
        Evidence,
        /// A decision at a border or on a visa.
        AdministrativeDecision,
    }
}

codes! {
    /// Whom the query was about (Regulation (EU) 2024/982 Art. 33).
    SubjectClass {
        /// A suspect.
        Suspect,
        /// A convicted person.
        Convicted,
        /// A victim.
        Victim,
        /// A missing person.
        Missing,
        /// Human remains.
        Remains,
        /// A traveller.
        Traveller,
        /// A document alone.
        DocumentOnly,
    }
}

codes! {
    /// What a person answered who compared the hit with the record at hand.
    Comparison {
        /// The same person or object.
        Same,
        /// Another.
        Different,
        /// It cannot be said.
        Unsure,
    }
}

codes! {
    /// Why a hit is not pursued (Regulation (EU) 2019/817 Art. 22: follow up, or state why not).
    NotPursuedReason {
        /// It is another person or object.
        Different,
        /// It could not be decided.
        Undecided,
        /// It is no longer needed.
        NoLongerNeeded,
        /// What is known already suffices.
        AlreadyKnown,
        /// Pursuing it would be disproportionate.
        Disproportionate,
        /// Another service pursues it.
        OtherService,
    }
}

codes! {
    /// Why details, or one field, are not given.
    Ground {
        /// No legal basis.
        NoLegalBasis,
        /// The offence is below the threshold.
        BelowThreshold,
        /// It would harm an investigation.
        HarmsInvestigation,
        /// It would harm a person.
        HarmsPerson,
        /// National security.
        NationalSecurity,
        /// Disproportionate.
        Disproportionate,
        /// Not held, or stale.
        NotHeld,
        /// It is a third party's, who has not consented.
        ThirdParty,
        /// A judicial authority refused.
        JudicialRefusal,
        /// The data are contested.
        Contested,
        /// Another authority is competent.
        WrongAddressee,
    }
}

codes! {
    /// What came of the release.
    CaseOutcome {
        /// A true hit.
        True,
        /// A false one.
        False,
        /// It could not be decided.
        Inconclusive,
    }
}

/// How what is released must be handled: travels with it, is signed with it, and is shown wherever it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The handling code.
    pub handling: HandlingCode,
    /// The words of H3; of H3 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Words>,
    /// The source.
    pub source: SourceEvaluation,
    /// The information.
    pub information: InformationEvaluation,
    /// The classification.
    pub classification: Classification,
    /// The last day on which the requester may hold it.
    pub retain_until: jiff::civil::Date,
    /// To whom it may go on.
    pub onward: Onward,
    /// For what it may be used: the purpose of the request.
    pub purpose: Text,
}

/// To whom a release may be passed on (Regulation (EU) 2024/982 Art. 60: with the owner's prior authorisation).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Onward {
    /// To nobody.
    Nobody,
    /// To those named.
    To(std::collections::BTreeSet<Text>),
}
