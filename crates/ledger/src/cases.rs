//! The bodies of entries about what follows a hit: who compared, asked, decided, approved, released and received.
//!
//! Documents and approvals are held as the canonical JSON that they are exchanged as; this crate reads none of it. Whoever reads an
//! opened entry verifies each signature with the public key in it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bytes::{Digest, Hex, Text};
use crate::events::{Actor, ExchangeId, Person, Stated};
use crate::leaf::Side;

/// The random id of a case, the same in both logs. Known to the two parties only: it is the key of what joins their entries, for one
/// exchange may lead to several cases.
pub type CaseId = Hex<16>;

/// A step of a case: which one, on which side it is recorded, and what both sides hold alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseStep {
    /// The exchange that the hit came from.
    pub exchange: ExchangeId,
    /// The case.
    pub case: CaseId,
    /// Our side of it.
    pub side: Side,
    /// Which step, counted from 1 within the case's history.
    pub step: u32,
    /// SHA-256 of the step, the same on both sides.
    pub digest: Digest,
}

/// A step before the request: the requester's alone. A match, what a person answered who compared, why it is not pursued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitStep {
    /// Which step.
    pub step: CaseStep,
    /// Who did it.
    pub by: Actor,
    /// What was done: `hit`, `confirmed`, `not-pursued`.
    pub what: Text,
}

/// Details were asked for: by us or of us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailRequested {
    /// Which step.
    pub step: CaseStep,
    /// Who asked; on the owner's side as far as it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
    /// Who ordered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<Person>,
    /// The other agency.
    pub partner: Text,
    /// Why, as stated to the owner.
    pub stated: Stated,
    /// The case file; on the requester's side only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_reference: Option<Text>,
    /// SHA-256 of the request, the same on both sides.
    pub request: Digest,
}

/// A step of a request for details that no other type records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailStep {
    /// Which step.
    pub step: CaseStep,
    /// Who did it, on either side.
    pub by: Actor,
    /// What was done, for example `triaged`, `more-time`, `withdrawn`.
    pub what: Text,
    /// How it was decided, as the requester is told: it has the decision itself only once it opens a release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// SHA-256 of the request.
    pub request: Digest,
}

/// How people decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything that was asked for.
    Released,
    /// Some of it.
    Partly,
    /// Nothing.
    Refused,
}

impl Outcome {
    /// Its name, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Partly => "partly",
            Self::Refused => "refused",
        }
    }
}

/// Where officers sign, in the words of WebAuthn: a passkey's assertion holds for these pages only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// The RP id.
    pub id: Text,
    /// The origins.
    pub origins: Vec<Text>,
}

/// Somebody's signature on a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Who signed.
    pub by: Person,
    /// The approval, canonical JSON: officer, public key, digest of the document, assertion or signature by a file key.
    pub approval: String,
}

/// People decided on a request for details. The owner records it when it is decided, the requester when it has opened the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Which step.
    pub step: CaseStep,
    /// Who drew it up.
    pub by: Person,
    /// The other agency.
    pub partner: Text,
    /// How.
    pub outcome: Outcome,
    /// Why it was asked, as stated: what a release is justified with.
    pub stated: Stated,
    /// On which ground all was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ground: Option<Text>,
    /// SHA-256 of the request.
    pub request: Digest,
    /// SHA-256 of the decision: exact fields and values, recipient, handling. Salted, so that nobody can search for the values.
    pub document: Digest,
    /// Who approved it, each with a signature on `document`.
    pub approvals: Vec<Approved>,
    /// Where they signed.
    pub console: Console,
}

/// Details were released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which step.
    pub step: CaseStep,
    /// Who released them.
    pub by: Person,
    /// The recipient.
    pub partner: Text,
    /// Why it was asked, as stated.
    pub stated: Stated,
    /// SHA-256 of the decision that allows it.
    pub document: Digest,
    /// SHA-256 of exactly what was sent.
    pub package: Digest,
    /// The names of the fields in it, never their values.
    pub fields: Vec<Text>,
}

/// What was released has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which step.
    pub step: CaseStep,
    /// Who received it; at the owner as far as it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
    /// The other agency.
    pub partner: Text,
    /// SHA-256 of exactly what was sent.
    pub package: Digest,
}

/// Somebody was reminded that a case waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminded {
    /// The exchange that the hit came from.
    pub exchange: ExchangeId,
    /// The case.
    pub case: CaseId,
    /// Our side of it.
    pub side: Side,
    /// Which reminder of this case, counted from 1.
    pub number: u32,
    /// The other agency.
    pub partner: Text,
    /// Who was reminded, for example `desk`, `second desk`, `supervisor`.
    pub to: Text,
    /// When it has to be done.
    pub due: Timestamp,
}

/// The registry of officers and their keys was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryChanged {
    /// Which change, counted from 1.
    pub number: u64,
    /// What was changed, for example `enrol`, `revoke-key`.
    pub what: Text,
    /// Whose keys or account; none for the first administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub officer: Option<Person>,
    /// SHA-256 of the change.
    pub document: Digest,
    /// Who signed it, each with a signature on `document`.
    pub approvals: Vec<Approved>,
    /// Where they signed.
    pub console: Console,
}
