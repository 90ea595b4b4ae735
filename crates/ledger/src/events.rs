//! The bodies of entries. Every field without `Option` must be given.

use serde::{Deserialize, Serialize};

use crate::bytes::{Digest, Hex, Text};
use crate::cases::CaseId;
use crate::identifiers::IdentifierCommitment;
use crate::leaf::{Cause, Ranges, Side};

fn is_first(step: &u32) -> bool {
    *step == 0
}

/// The random id of an exchange, the same in both logs. Known to the two parties only: it is the key of what joins them.
pub type ExchangeId = Hex<16>;

/// A person of the agency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The unique user id, not a shared account.
    pub id: Text,
    /// The unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Text>,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "lowercase")]
pub enum Actor {
    /// A person.
    Person(Person),
    /// The node by itself, as its configuration says: whoever changed that is in the log.
    Node,
}

/// The justification, complete: what our own people must state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The purpose, in the words of the agreement.
    pub purpose: Text,
    /// The legal basis.
    pub legal_basis: Text,
    /// The case.
    pub case_reference: Text,
}

/// The justification as it is stated to a partner, who is not told the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// The purpose, in the words of the agreement.
    pub purpose: Text,
    /// The legal basis.
    pub legal_basis: Text,
}

/// Under which key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The agreement's id.
    pub agreement: Text,
    /// The offer's id.
    pub offer: Text,
    /// The epoch.
    pub epoch: u64,
}

/// How many items came out how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictCounts {
    /// `HIT`.
    pub hit: u64,
    /// `NO_HIT`.
    pub no_hit: u64,
    /// `UNKNOWN`.
    pub unknown: u64,
}

/// We are about to ask a partner: written before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryOpened {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Counts the times it was opened, from 0: it may go on after it was closed.
    #[serde(default, skip_serializing_if = "is_first")]
    pub step: u32,
    /// Who asks.
    pub by: Person,
    /// Who ordered it; the same person if nobody else did.
    pub ordered_by: Person,
    /// Why.
    pub why: Why,
    /// The recipient of the question.
    pub partner: Text,
    /// Under which key.
    pub scope: Scope,
    /// Elements that are announced, padding included.
    pub elements: u64,
    /// Of these, identifiers asked about.
    pub items: u64,
    /// The lists of our own that are compared; none for a query about single items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<Text>,
}

/// We asked a partner, and this is how it came out. One that goes on after it was interrupted is recorded again, with the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Counts the records of this exchange, from 0; the last one holds.
    #[serde(default, skip_serializing_if = "is_first")]
    pub step: u32,
    /// Who asked.
    pub by: Person,
    /// Who ordered it; the same person if nobody else did.
    pub ordered_by: Person,
    /// Why.
    pub why: Why,
    /// The recipient of the question.
    pub partner: Text,
    /// Under which key.
    pub scope: Scope,
    /// Elements that the partner answered, padding included.
    pub elements: u64,
    /// Identifiers asked about.
    pub items: u64,
    /// [`transcript`](crate::transcript) of the chunks that were answered, the same on both sides.
    pub transcript: Digest,
    /// The node stopped before it could write down which chunks were answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Which identifiers, openable to an auditor one by one. `None` for none, for whole lists, and where it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<IdentifierCommitment>,
    /// How it came out.
    pub verdicts: VerdictCounts,
}

/// A partner asks: written before anything is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationOpened {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Counts the times it was opened, from 0: it may go on after it was closed.
    #[serde(default, skip_serializing_if = "is_first")]
    pub step: u32,
    /// Who asks, as far as we can know: the agency.
    pub partner: Text,
    /// Why, as stated.
    pub stated: Stated,
    /// Under which key.
    pub scope: Scope,
    /// Elements that were announced, padding included.
    pub elements: u64,
}

/// We answered a partner: written before the last answer leaves, or when no more is asked for a day. One that goes on after that is
/// recorded again, with the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Counts the records of this exchange, from 0; the last one holds.
    #[serde(default, skip_serializing_if = "is_first")]
    pub step: u32,
    /// Who asked, as far as we can know: the agency.
    pub partner: Text,
    /// Why, as stated.
    pub stated: Stated,
    /// Under which key.
    pub scope: Scope,
    /// Elements evaluated, padding included.
    pub elements: u64,
    /// [`transcript`](crate::transcript) of the chunks that were evaluated, the same on both sides.
    pub transcript: Digest,
}

/// We published a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPublished {
    /// For whom.
    pub partner: Text,
    /// Under which key.
    pub scope: Scope,
    /// Its version.
    pub version: u64,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
}

/// We fetched a partner's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFetched {
    /// Whose.
    pub partner: Text,
    /// Under which key.
    pub scope: Scope,
    /// Its version.
    pub version: u64,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
}

/// A list was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Who did it.
    pub by: Actor,
    /// Which list.
    pub list: Text,
    /// SHA-256 of the file.
    pub source: Digest,
    /// Records added.
    pub added: u64,
    /// Records changed.
    pub changed: u64,
    /// Records removed.
    pub removed: u64,
    /// Lines that could not be read.
    pub rejected: u64,
}

/// What was done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordChange {
    /// It was added.
    Added,
    /// It was changed.
    Changed,
    /// It was removed.
    Removed,
}

/// A record was added, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordChanged {
    /// Who did it.
    pub by: Actor,
    /// Why.
    pub why: Why,
    /// In which list.
    pub list: Text,
    /// The record's own id in the list, which is no identifier of a person.
    pub record: Text,
    /// What was done.
    pub change: RecordChange,
}

/// What was done to a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListChange {
    /// It was created.
    Created,
    /// It was deleted, with all its records.
    Deleted,
}

/// A list was created or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListChanged {
    /// Who did it.
    pub by: Actor,
    /// Which list.
    pub list: Text,
    /// What was done.
    pub change: ListChange,
}

/// What became of an agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgreementChange {
    /// We signed it.
    Signed,
    /// It was suspended.
    Suspended,
    /// It is in force again.
    Resumed,
    /// It has ended.
    Ended,
    /// Both have signed.
    #[serde(rename = "in force")]
    InForce,
}

/// An agreement was signed, suspended, resumed or has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementChanged {
    /// Who did it.
    pub by: Actor,
    /// With whom.
    pub partner: Text,
    /// Its id.
    pub agreement: Text,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// What became of it.
    pub change: AgreementChange,
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyChange {
    /// It was drawn.
    Created,
    /// It took the place of another.
    Rotated,
    /// It was destroyed.
    Destroyed,
    /// It is a partner's, and no other is accepted in its place.
    Pinned,
}

/// A key was created, rotated or destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChanged {
    /// Who did it.
    pub by: Actor,
    /// What the key is for, for example `scope` or `master`.
    pub what: Text,
    /// Of which scope, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// SHA-256 of its public half, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<Digest>,
    /// A digest of a key without public half, which tells it from others and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Digest>,
    /// What became of it.
    pub change: KeyChange,
}

/// A query was refused because a quota is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRefused {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Our side of it.
    pub side: Side,
    /// The other agency.
    pub partner: Text,
    /// Under which key.
    pub scope: Scope,
    /// Elements that were announced.
    pub elements: u64,
}

/// A partner's answer did not prove what it must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofFailed {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Whose answer.
    pub partner: Text,
    /// Under which key.
    pub scope: Scope,
    /// SHA-256 of the messages that show it.
    pub transcript: Digest,
}

/// Payloads were destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Who did it.
    pub by: Actor,
    /// Of which entries; also in the public part.
    pub erased: Ranges,
    /// The order, if it was done before the day: who entitled ordered it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Text>,
}

impl Erasure {
    pub(crate) fn cause(&self) -> Cause {
        match self.order {
            Some(_) => Cause::Ordered,
            None => Cause::Due,
        }
    }
}

/// The configuration was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationChanged {
    /// Who did it.
    pub by: Actor,
    /// The names of the settings that changed, never secret values.
    pub settings: Vec<Text>,
    /// SHA-256 of the configuration before.
    pub before: Digest,
    /// SHA-256 of the configuration after.
    pub after: Digest,
}

/// What was done to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientChange {
    /// It may call.
    Added,
    /// It may call no more.
    Revoked,
}

/// Who may call the node was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientChanged {
    /// Who did it.
    pub by: Actor,
    /// The client's name.
    pub client: Text,
    /// SHA-256 of its certificate.
    pub certificate: Digest,
    /// It may audit, and nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auditor: bool,
    /// What was done.
    pub change: ClientChange,
}

/// A link was made on which somebody registers a passkey. The key counts when two administrators have signed it: they look here who had the
/// link made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficerLinked {
    /// Who made it.
    pub by: Actor,
    /// For whom.
    pub officer: Person,
    /// She is not registered yet.
    pub new: bool,
}

/// Somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// Who.
    pub by: Person,
    /// How, for example `client certificate`.
    pub method: Text,
    /// As what.
    pub role: Text,
}

/// Somebody was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Who it is said to have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Person>,
    /// The partner agency that tried, or with which the case is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<Text>,
    /// The case of which a step was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
    /// What was tried.
    pub action: Text,
    /// The rule that refused it, for example `DISC-024`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Text>,
    /// Why it was refused.
    pub reason: Text,
}

/// Entries were opened to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Who opened them.
    pub by: Person,
    /// Why.
    pub why: Why,
    /// The recipient, for example the supervisory authority.
    pub recipient: Text,
    /// Which entries.
    pub entries: Ranges,
}

/// A partner's log contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MisbehaviourSeen {
    /// Whose.
    pub partner: Text,
    /// What was seen, in a sentence.
    pub what: Text,
    /// The signed checkpoint that was kept, whole.
    pub kept: String,
    /// The signed checkpoint that contradicts it, whole.
    pub shown: String,
}
