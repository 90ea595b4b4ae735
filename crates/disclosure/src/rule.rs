//! Why something is refused: a stable id, a sentence, and the field at fault.

use std::fmt;

/// A rule that refuses. Documented for users in `docs/rules.md`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Stable id, `DISC-001`.
    pub id: &'static str,
    /// What it says, in a sentence that names nobody.
    pub says: &'static str,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// Refused, and by which rule. Holds no part of a person's data: it may be logged, counted and shown to either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// The rule.
    pub rule: Rule,
    /// The field of the document or the step that is at fault, if it is one.
    pub field: Option<&'static str>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule.says)?;
        if let Some(field) = self.field {
            write!(f, " ({field})")?;
        }
        write!(f, " [{}]", self.rule.id)
    }
}

impl Rule {
    /// Refuses the whole.
    pub(crate) fn refused(self) -> Refused {
        Refused {
            rule: self,
            field: None,
        }
    }

    /// Refuses because of one field.
    pub(crate) fn at(self, field: &'static str) -> Refused {
        Refused {
            rule: self,
            field: Some(field),
        }
    }

    /// Refuses unless `holds`.
    pub(crate) fn unless(self, holds: bool) -> Result<(), Refused> {
        if holds { Ok(()) } else { Err(self.refused()) }
    }

    /// Refuses because of `field` unless `holds`.
    pub(crate) fn unless_at(self, field: &'static str, holds: bool) -> Result<(), Refused> {
        if holds { Ok(()) } else { Err(self.at(field)) }
    }
}

macro_rules! rules {
    ($($name:ident = $id:literal, $says:literal;)*) => {
        $(#[doc = $says] pub const $name: Rule = Rule { id: $id, says: $says };)*

        /// Every rule of this crate, in the order of their ids.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    MALFORMED = "DISC-001", "the document is not written in the one way that its kind is written in";
    TOO_LARGE = "DISC-002", "the document is larger than its kind may be";
    BAD_TEXT = "DISC-003", "a text is empty, too long, not in Unicode form NFC, or holds characters that cannot be seen";
    BAD_RULES = "DISC-004", "the agreement's rules of disclosure contradict themselves";

    PROOF_OF_HIT = "DISC-010", "the request does not prove a hit: its MAC was not made with the escalation key of this tag";
    OTHER_AGREEMENT = "DISC-011", "the request names another agreement, or other parties than the agreement has";
    PURPOSE = "DISC-012", "the agreement does not permit details for this purpose";
    LEGAL_BASIS = "DISC-013", "the agreement does not name this legal basis";
    KIND = "DISC-014", "the agreement does not permit details for this kind of identifier";
    OFFENCE_THRESHOLD = "DISC-015", "the offence is below the threshold of the agreement";
    FIELD_NOT_OFFERED = "DISC-016", "a field that was asked for, or is to be released, is not one that the agreement offers";
    EXPIRY = "DISC-017", "the request has expired, or asks for more time than the agreement allows";
    REQUEST_TIME = "DISC-018", "the request is dated in the future, or its hit was confirmed after it was made";
    ONWARD = "DISC-019", "the agreement does not permit onward recipients";

    WRONG_STATE = "DISC-020", "the case's state does not allow this step";
    WRONG_SIDE = "DISC-021", "this step belongs to the other side";
    NEEDS_PERSON = "DISC-022", "this step is a person's, not the node's";
    ROLE = "DISC-023", "nobody in the officer registry of this name may take this step now";
    STALE = "DISC-024", "the case has moved on: the step does not follow the last one that is known here";
    TIME_RUNS_BACK = "DISC-025", "the step is dated before the one that it follows";
    OTHER_CASE = "DISC-026", "the document belongs to another case";
    NOT_SAME = "DISC-027", "only a hit that a person confirmed as SAME can be pursued";
    NOT_EXPIRED = "DISC-028", "the request has not expired yet";
    NO_MORE_TIME = "DISC-029", "the agreement's deadlines do not allow more time, or not at this point";

    DECISION_MISMATCH = "DISC-030", "the decision is not about this request: another digest, recipient or recipient's key";
    DECISION_FIELDS = "DISC-031", "released and withheld fields are not together exactly those that were asked for";
    DECISION_RESULT = "DISC-032", "the decision's result does not follow from its fields";
    HANDLING = "DISC-033", "the agreement does not permit this handling code or classification";
    RETENTION = "DISC-034", "the retention date is past, or further away than the agreement allows";
    DOCUMENT_MISSING = "DISC-035", "a document that a step of the case names is not at hand";
    QUORUM = "DISC-036", "not enough people have approved exactly this decision";
    COOLING_OFF = "DISC-037", "the cooling-off time of requests in bulk is not over";
    TOO_FEW_OFFICERS = "DISC-038", "fewer officers than the agreement asks for could approve this decision";
    SUPERSEDED = "DISC-039", "the approval, decision or package is not the one that the case now holds";

    SIGNATURE = "DISC-040", "the signature does not hold on exactly this document";
    USER_VERIFICATION = "DISC-041", "the authenticator did not verify its user";
    ORIGIN = "DISC-042", "the assertion was made on another page than this agency's console";
    COUNTER = "DISC-043", "the authenticator's signature counter went backwards: the key may have been copied";
    UNKNOWN_KEY = "DISC-044", "the key is not registered for this officer";
    REVOKED_KEY = "DISC-045", "the key or its officer was revoked";
    FILE_KEY = "DISC-046", "the agreement does not permit approval by a file key";
    SAME_OFFICER = "DISC-047", "the officer, or this key, has approved already: others must";
    CONFLICT = "DISC-048", "the approver asked, ordered, confirmed the hit, or wrote the record: another must decide";
    KEY_SHAPE = "DISC-049", "the public key is not one that is accepted here: ES256 or Ed25519";

    SECOND_ADMINISTRATOR = "DISC-050", "the change needs two administrators who are not its subject";
    OFFICER_EXISTS = "DISC-051", "an officer of this id, or this key, is registered already";
    NO_SUCH_OFFICER = "DISC-052", "no officer of this id, or no such key of the officer, is registered";
    REGISTRY_ORDER = "DISC-053", "the change does not follow the last one of the registry";
    LAST_ADMINISTRATORS = "DISC-054", "two administrators must remain";

    UNSEALABLE = "DISC-060", "the package does not open: another recipient, another case, or damaged";
    NOT_SIGNED = "DISC-061", "the statement is not signed by the key of the agency that it comes from";
    PACKAGE_CONTENT = "DISC-062", "the package holds something else than what was decided";
    ATTACHMENT_SIZE = "DISC-063", "the attachment is empty, larger than 50 MiB, or its parts do not add up";
    ATTACHMENT_CHUNK = "DISC-064", "a part of the attachment is missing, damaged, out of place, or another's";
    DISCLOSURE_KEY = "DISC-065", "not a disclosure key";
    RECEIPT = "DISC-066", "this is about another package than the one that was released";
    READER = "DISC-067", "the package is for the people whom the request names, and for nobody else";

    SUPPRESSION = "DISC-070", "a suppression needs an outcome that a person stated, and ends within a year";
}
