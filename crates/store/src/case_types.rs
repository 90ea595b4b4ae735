//! What is kept of a case, and what a step changes of it.

use std::fmt;

use zeroize::Zeroizing;

use crate::types::{Tag, words};

/// The id of a case: random, known to both agencies.
pub type CaseKey = [u8; 16];

words! {
    /// One of the two agencies of a case.
    CaseSide {
        /// Asked, and got the hit.
        Requester = "requester",
        /// Holds the record that was hit.
        Owner = "owner",
    }
}

/// What a list of cases shows: a projection. Nothing is decided by it: a case's state is rebuilt from its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRow {
    /// Its id. This and what follows up to `tag`, and `opened_ms`, never changes.
    pub id: CaseKey,
    /// Which side we are.
    pub side: CaseSide,
    /// The other agency.
    pub partner: String,
    /// The agreement.
    pub agreement: String,
    /// The offer that was asked.
    pub offer: String,
    /// Its epoch.
    pub epoch: u32,
    /// The name of the identifier's kind.
    pub kind: String,
    /// The exchange that found the hit.
    pub exchange: [u8; 16],
    /// The tag that hit. Sealed at rest: it leads to a record.
    pub tag: Tag,
    /// The state's name: `HIT`, `TRIAGE`, …
    pub state: String,
    /// Whose turn it is; `None`: nobody's, the case has ended.
    pub waits_for: Option<CaseSide>,
    /// What for; empty before the request.
    pub purpose: String,
    /// How urgent; empty before the request.
    pub urgency: String,
    /// When it was opened, Unix milliseconds.
    pub opened_ms: i64,
    /// When its last step was, Unix milliseconds.
    pub updated_ms: i64,
    /// The owner's time to answer, from the request on.
    pub clock: Option<CaseClock>,
    /// When the request is void, Unix milliseconds; `None` before it, and once it cannot be void any more.
    pub expires_ms: Option<i64>,
    /// How many shared steps there are.
    pub step: u32,
    /// SHA-256 of the last shared step.
    pub head: [u8; 32],
}

/// The owner's time to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseClock {
    /// When it started, later by as long as it has stood: reminders are due at parts of the time from here to `due_ms`.
    /// Unix milliseconds.
    pub started_ms: i64,
    /// When the answer is due, Unix milliseconds.
    pub due_ms: i64,
    /// It stands.
    pub stopped: bool,
    /// It has come to its end: there is an answer.
    pub ended: bool,
    /// How many reminders were sent: 0 to 3, of 50 %, 80 % and 100 % of the time.
    pub reminded: u8,
}

/// What is private to our side of a case. Sealed at rest.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CasePrivate {
    /// The requester's key that proves who asked, until the case no longer needs it; `None` at the owner.
    pub escalation_key: Option<Zeroizing<[u8; 32]>>,
    /// What the requester holds of the person or document that hit, in the caller's encoding; `None` at the owner.
    pub subject: Option<Zeroizing<Vec<u8>>>,
    /// At the owner: who wrote the records that hit, as they were when the case was opened. `None` at the requester, and in a case that
    /// was opened before authors were kept: then nobody knows them.
    pub authors: Option<Vec<String>>,
}

/// A step to add.
#[derive(Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// The partner does not learn it.
    pub private: bool,
    /// The step's document. Sealed at rest.
    pub document: Zeroizing<String>,
}

/// A step of a case.
#[derive(Clone, PartialEq, Eq)]
pub struct CaseEventRow {
    /// 1, 2, 3 …
    pub seq: u32,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// The partner does not learn it.
    pub private: bool,
    /// The step's document.
    pub document: Zeroizing<String>,
}

/// A document of a case: a request, a decision, an approval, a release, a message.
#[derive(Clone, PartialEq, Eq)]
pub struct CaseDocument {
    /// SHA-256 of the document.
    pub digest: [u8; 32],
    /// The kind's name.
    pub kind: String,
    /// The document. Sealed at rest.
    pub document: Zeroizing<String>,
}

/// A step of ours that the owner has not taken yet. Sealed at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingStep {
    /// Since when, Unix milliseconds.
    pub since_ms: i64,
    /// The step's document.
    pub event: Zeroizing<String>,
    /// What it refers to.
    pub documents: Vec<CaseDocument>,
}

/// All that one step changes.
#[derive(Clone, Debug)]
pub struct CaseChange {
    /// What lists show from now on. A case that is not there is opened.
    pub row: CaseRow,
    /// How many steps the case had when this change was worked out: it is refused if they are more now.
    pub events_before: u32,
    /// Steps to add.
    pub events: Vec<NewEvent>,
    /// Documents to keep. One that is there stays.
    pub documents: Vec<CaseDocument>,
    /// Documents that a partner took back, by digest: destroyed. At the requester, of kinds `decision` and `sealed-release`.
    pub forget: Vec<[u8; 32]>,
    /// What is ours alone from now on, all fields; `None`: as it was.
    pub private: Option<CasePrivate>,
    /// The step that waits to be taken: `Some(Some(_))` where none does, `Some(None)`: none any more; `None`: as it was.
    pub pending: Option<Option<PendingStep>>,
    /// How many shared steps the partner has acknowledged. Fewer than before changes nothing.
    pub delivered: Option<u32>,
    /// Signature counters of officers' keys, by key.
    pub counters: Vec<([u8; 32], u32)>,
    /// A pair that is different people, and until when a hit of theirs opens no case (Unix milliseconds).
    pub suppress: Option<([u8; 32], i64)>,
}

macro_rules! redacted {
    ($($name:ident { $($shown:ident),* })*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($shown), &self.$shown))*.finish_non_exhaustive()
            }
        }
    )*};
}

redacted! {
    CasePrivate {}
    NewEvent { at_ms, private }
    CaseEventRow { seq, at_ms, private }
    CaseDocument { kind }
    PendingStep { since_ms }
}
