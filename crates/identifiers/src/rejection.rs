//! What could not be used, or not fully, and why: nothing is dropped silently.

use serde::Serialize;

/// Something in a [`crate::Subject`] that made no identifier, or fewer than its kind usually makes.
///
/// It holds no part of any identifier: it may be logged, stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Rejection {
    /// Where in the subject: `documents[1].number`.
    pub field: String,
    /// The rule that was broken: the id of one of [`REJECTION_RULES`].
    pub rule: &'static str,
    /// Whether the item was lost or only made less of itself than usual.
    pub severity: Severity,
    /// A sentence for the person who has to put it right.
    pub reason: String,
}

/// What a [`Rejection`] means for the item it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The item made no identifier: it will not be matched until it is put right.
    Reject,
    /// The item is matched, but by fewer or weaker rules than usual.
    Notice,
}

/// One reason to reject. Documented for users in `docs/identifiers.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectionRule {
    /// Stable id, `DOC-001`.
    pub id: &'static str,
    /// What it means for the item.
    pub severity: Severity,
    /// The sentence shown, to which a fact that identifies nobody may be added (a length, a country code).
    pub reason: &'static str,
}

impl RejectionRule {
    pub(crate) fn at(&self, field: impl Into<String>) -> Rejection {
        Rejection {
            field: field.into(),
            rule: self.id,
            severity: self.severity,
            reason: self.reason.to_owned(),
        }
    }

    /// `detail` must not come from an identifier.
    pub(crate) fn at_with(&self, field: impl Into<String>, detail: &str) -> Rejection {
        let reason = format!("{} ({detail})", self.reason);
        Rejection {
            reason,
            ..self.at(field)
        }
    }
}

macro_rules! rejection_rules {
    ($($name:ident = $id:literal, $severity:ident, $reason:literal;)*) => {
        $(pub(crate) const $name: RejectionRule =
            RejectionRule { id: $id, severity: Severity::$severity, reason: $reason };)*

        /// Every reason there is to reject, in the order of their ids.
        pub const REJECTION_RULES: &[RejectionRule] = &[$($name),*];
    };
}

rejection_rules! {
    TOO_MANY_IDENTIFIERS = "SUB-001", Reject,
        "this entry makes more identifiers than one entry may have; the spelling variants and the weakest were left out: split the entry";
    TOO_MANY_ITEMS = "SUB-002", Reject,
        "this entry lists more items than are read; the rest were left out: split the entry";
    NOTHING_GIVEN = "SUB-003", Reject,
        "this entry holds nothing that can be matched: no name, no document, no other identifier";

    NAME_EMPTY = "NAM-001", Reject, "this name has no letter that can be written in A-Z";
    NAME_TOO_LONG = "NAM-002", Reject, "this name is too long to be a name; put each name into its own field";

    NO_BIRTH = "PER-001", Reject, "no usable date of birth: a name alone is not matched";
    NO_NAME = "PER-002", Reject, "no usable name: a date of birth alone is not matched";
    MONONYM_NEEDS_DAY = "PER-003", Reject,
        "a name of one word is matched only with a full date of birth, and none is known";
    MONONYM = "PER-004", Notice,
        "a name of one word is matched only as it stands in a machine-readable zone, with the full date of birth";
    TOO_MANY_SPELLINGS = "PER-005", Notice,
        "this name has more possible spellings than are kept; the most usual are kept";

    BIRTH_NO_SUCH_DATE = "BIR-001", Reject, "there is no such date of birth: check year, month and day";
    BIRTH_IN_FUTURE = "BIR-002", Reject, "this date of birth is in the future";
    BIRTH_TOO_EARLY = "BIR-003", Reject, "this date of birth is before 1850: check the century and the calendar";
    BIRTH_RANGE_REVERSED = "BIR-004", Reject, "this range of birth years ends before it begins";
    BIRTH_RANGE_TOO_WIDE = "BIR-005", Reject, "this range spans more than 15 birth years: too wide to be matched";

    DOCUMENT_TOO_SHORT = "DOC-001", Reject,
        "a document number needs at least 5 letters or digits, 4 of them digits: give the complete number";
    DOCUMENT_TOO_LONG = "DOC-002", Reject,
        "this is longer than any document number: give the number alone, without words or dates";
    DOCUMENT_FOREIGN_LETTER = "DOC-003", Reject,
        "this document number holds letters outside A-Z that look like none of A-Z: give it as the machine-readable zone has it";
    DOCUMENT_SPECIMEN = "DOC-004", Reject, "this is a specimen document, issued by Utopia (UTO)";
    DOCUMENT_UNKNOWN_ISSUER = "DOC-005", Notice,
        "the issuing country is not known by this name; the document is matched by its number alone: give a country code";
    DOCUMENT_PLACEHOLDER = "DOC-006", Reject, "this number repeats one character: a placeholder, not a number";

    NATIONAL_NO_COUNTRY = "NID-001", Reject,
        "a national identification number is only unique in its country, and none known by this name is given";
    NATIONAL_CHECK = "NID-002", Reject, "the check digit of this national identification number is wrong: read it again";
    NATIONAL_SHAPE = "NID-003", Notice,
        "this does not look like the national identification number of its country; it is matched as it is, unchecked";
    NATIONAL_TOO_SHORT = "NID-004", Reject,
        "a national identification number needs at least 5 letters or digits, 4 of them digits: give the complete number";
    NATIONAL_TOO_LONG = "NID-005", Reject,
        "this is longer than any national identification number: give the number alone, without words or dates";
    NATIONAL_FOREIGN_LETTER = "NID-006", Reject,
        "this number holds letters outside A-Z that look like none of A-Z: give it as its Latin form has it";
    NATIONAL_PLACEHOLDER = "NID-007", Reject, "this number repeats one character: a placeholder, not a number";

    BIOMETRIC_SYSTEM = "BIO-001", Reject,
        "this fingerprint system is not known: use EURODAC, SIS, INTERPOL, FBI-UCN, or COUNTRY:SYSTEM such as DEU:BKA-AFIS";
    BIOMETRIC_NUMBER = "BIO-002", Reject,
        "a fingerprint reference number has 5 to 40 letters and digits, at least one of them a digit";

    DIGEST_ALGORITHM = "DIG-001", Reject, "this digest algorithm is not used: use SHA-256, SHA-384 or SHA-512";
    DIGEST_HEX = "DIG-002", Reject, "this is not a digest in hexadecimal of the length that its algorithm makes";
    DIGEST_EMPTY = "DIG-003", Reject, "this is the digest of an empty record, or no digest at all";

    PHONE_PREFIX = "PHO-001", Reject,
        "a telephone number needs its country: begin with + or 00 and the country calling code";
    PHONE_CHARACTER = "PHO-002", Reject,
        "this telephone number holds something else than digits and separators: leave out extensions and words";
    PHONE_COUNTRY = "PHO-003", Reject, "no country has this calling code";
    PHONE_LENGTH = "PHO-004", Reject, "a telephone number of this country has another number of digits";

    EMAIL_SYNTAX = "EML-001", Reject, "this is not one e-mail address: give one address, without a display name";
    EMAIL_DOMAIN = "EML-002", Reject, "the part after @ is not a domain name";

    IBAN_CHARACTER = "IBA-001", Reject, "an IBAN begins with a country code and two digits and holds only A-Z and 0-9";
    IBAN_COUNTRY = "IBA-002", Reject, "this country is not in the IBAN registry";
    IBAN_LENGTH = "IBA-003", Reject, "an IBAN of this country has another length";
    IBAN_CHECK = "IBA-004", Reject, "the check digits of this IBAN are wrong: read it again";

    PLATE_COUNTRY = "PLA-001", Reject,
        "a registration plate is only unique in its country, and none known by this name is given";
    PLATE_PARTIAL = "PLA-002", Reject, "only complete plates are matched: a plate with * or ? is a search pattern";
    PLATE_CHARACTER = "PLA-003", Reject, "this plate holds letters outside A-Z that look like none of A-Z";
    PLATE_LENGTH = "PLA-004", Reject, "a registration plate has 2 to 12 letters and digits";

    VIN_LENGTH = "VIN-001", Reject, "a vehicle identification number has 17 letters and digits: give it complete";
    VIN_LETTER = "VIN-002", Reject, "a vehicle identification number never holds I, O or Q: read it again (1, 0, 0?)";
    VIN_CHECK = "VIN-003", Reject, "the check digit (9th character) of this North American vehicle is wrong: read it again";
}
