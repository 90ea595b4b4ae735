//! What an agency knows of one person or document, as published, before normalisation.
//!
//! List readers, query parsers and the gRPC conversion all produce a [`Subject`]; only [`crate::derive()`] turns
//! it into [`crate::Identifier`]s. Text is kept exactly as the source wrote it: nothing here is normalised.

use serde::{Deserialize, Serialize};

/// Everything about one person or document that can become identifiers.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subject {
    /// Names and aliases; the primary name first where the source says which it is.
    pub names: Vec<Name>,
    /// Dates of birth: sources often give several.
    pub births: Vec<BirthDate>,
    /// Travel documents.
    pub documents: Vec<Document>,
    /// Identifiers of every other kind.
    pub others: Vec<Other>,
}

/// One name or alias.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// How the source ranks it.
    pub rank: NameRank,
    /// The text, whole or in ICAO 9303's two parts.
    pub text: NameText,
}

/// How a source ranks a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameRank {
    /// The name the entry is filed under.
    Primary,
    /// A good alias (`a.k.a.`, former name, spelling variant, original script).
    Alias,
    /// An alias the publisher itself calls weak or low quality.
    WeakAlias,
}

/// The text of a name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameText {
    /// Parts not told apart, in the source's order.
    Whole(String),
    /// Primary identifier (family name) and secondary identifier (given names), ICAO 9303-3 §4.6.
    Parts {
        /// Family name; never empty.
        primary: String,
        /// Given names; empty for a mononym.
        secondary: String,
    },
}

/// A date of birth as far as it is known. Proleptic Gregorian; ranges are checked in [`crate::derive()`].
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BirthDate {
    /// Year, month and day.
    Day {
        /// Four-digit year.
        year: i16,
        /// 1–12.
        month: u8,
        /// 1–31.
        day: u8,
    },
    /// Year and month, day unknown.
    Month {
        /// Four-digit year.
        year: i16,
        /// 1–12.
        month: u8,
    },
    /// Year only: day and month are unknown.
    Year {
        /// Four-digit year.
        year: i16,
    },
    /// Between two years, both included.
    Years {
        /// First year.
        from: i16,
        /// Last year.
        to: i16,
    },
}

/// A travel document as published.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What kind of document.
    pub class: DocumentClass,
    /// The number as printed, separators included.
    pub number: String,
    /// Issuing state or organisation in the source's own words: ICAO, ISO 3166 alpha-2 or alpha-3 code, or a name.
    pub issuer: Option<String>,
}

/// The class of a travel document (first letter of an MRZ's document code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentClass {
    /// Passport (`P`).
    Passport,
    /// Identity card used to travel (`I`, `A`, `C`).
    IdentityCard,
    /// Visa (`V`).
    Visa,
    /// Any other travel document: refugee, seafarer, laissez-passer, residence permit.
    Other,
}

/// An identifier that is neither a name with a birth date nor a travel document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Other {
    /// National identification number.
    NationalId {
        /// The number as printed.
        number: String,
        /// Issuing country in the source's own words.
        country: Option<String>,
    },
    /// Reference number in a fingerprint system: the same finger has another number elsewhere.
    BiometricReference {
        /// The issuing system (`EURODAC`, `SIS`, `INTERPOL`, `FBI-UCN`, or a national system `DE:BKA-AFIS`).
        system: String,
        /// The number.
        number: String,
    },
    /// Digest of one biometric record's bytes. It finds the same *record* again, never the same *finger*.
    BiometricRecordDigest {
        /// `SHA-256`, `SHA-384` or `SHA-512`.
        algorithm: String,
        /// The digest in hexadecimal.
        hex: String,
    },
    /// Telephone number, international form.
    Phone(String),
    /// E-mail address.
    Email(String),
    /// International bank account number.
    Iban(String),
    /// Vehicle registration plate.
    VehiclePlate {
        /// Country of registration in the source's own words.
        country: String,
        /// The complete plate.
        plate: String,
    },
    /// Vehicle identification number (ISO 3779).
    Vin(String),
}

/// Debug output never holds an identifier in clear.
macro_rules! redacted_debug {
    ($($type:ty => $name:literal),*) => {$(
        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!($name, "(redacted)"))
            }
        }
    )*};
}
redacted_debug!(Subject => "Subject", Name => "Name", NameText => "NameText", BirthDate => "BirthDate",
    Document => "Document", Other => "Other");
