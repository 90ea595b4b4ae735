//! What is recorded: one entry per thing that happened, in the words of the law.
//!
//! Article 25 of Directive (EU) 2016/680 (LED) asks, for consultation and disclosure, for the justification, the date and time, the
//! identity of who did it as far as possible, and the recipients. Those are fields that cannot be left out: [`Entry::at`], [`Why`],
//! [`Person`], [`Text`]s of partners. An entry is sealed; identifiers are in it only as keyed commitments.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bytes::{Digest, Hex, Text};
use crate::canonical;
use crate::cases::*;
use crate::events::*;
use crate::leaf::{Class, Hour, Join, Leaf, Side};
use crate::retention::Retention;
use crate::seal::MAX_PAYLOAD_BYTES;

const VERSION: u8 = 1;

/// One thing that happened. Its encoding is a line of canonical JSON (RFC 8785), `{"at":…,"event":{…,"type":…},"v":1}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, exactly.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    v: u8,
}

impl Entry {
    /// An entry.
    pub fn new(at: Timestamp, event: impl Into<Event>) -> Self {
        Self {
            at,
            event: event.into(),
            v: VERSION,
        }
    }

    /// Its type.
    pub fn kind(&self) -> EntryType {
        self.event.kind()
    }

    /// The bytes that are committed to and sealed.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn encode(&self) -> Result<String, EntryError> {
        let text = canonical::to_string(self).ok_or(EntryError::NumberTooLarge)?;
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(EntryError::TooLarge);
        }
        Ok(text)
    }

    /// Reads an entry. `None` unless it is written in the one way, in a version that is known.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= MAX_PAYLOAD_BYTES;
        let entry: Self = fits.then(|| canonical::parse(text)).flatten()?;
        (entry.v == VERSION).then_some(entry)
    }

    pub(crate) fn class(&self) -> Class {
        if let Event::Erasure(erasure) = &self.event {
            return Class::Erasure {
                erased: erasure.erased.clone(),
                cause: erasure.cause(),
            };
        }
        match self.event.joined() {
            Some((exchange, side, step, transcript, elements)) => Class::Exchange(Join::new(
                exchange,
                side,
                self.kind().name(),
                step,
                transcript,
                elements,
            )),
            None if self.kind().is_access() => Class::Access,
            None => Class::Upkeep,
        }
    }

    pub(crate) fn leaf(&self, commitment: Digest, retention: Retention) -> Leaf {
        Leaf {
            class: self.class(),
            time: Hour::of(self.at),
            erase_after: retention.erase_after(self.kind(), self.at),
            commitment,
        }
    }
}

/// Why an entry cannot be written. The caller is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// It holds a number above 2^53 - 1.
    #[error("a number in the entry is above 2^53 - 1")]
    NumberTooLarge,
    /// It is a description, not an archive.
    #[error("the entry has more than {MAX_PAYLOAD_BYTES} bytes")]
    TooLarge,
}

macro_rules! events {
    ($( $(#[$doc:meta])* $variant:ident($body:ty) = $name:literal; )*) => {
        /// What happened.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type")]
        pub enum Event {
            $( $(#[$doc])* #[serde(rename = $name)] $variant(Box<$body>), )*
        }

        /// The type of an entry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntryType {
            $( $(#[$doc])* $variant, )*
        }

        impl EntryType {
            /// All types.
            pub const ALL: &[Self] = &[$( Self::$variant ),*];

            /// Its name, as it is written.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $name, )*
                }
            }
        }

        impl Event {
            /// Its type.
            pub fn kind(&self) -> EntryType {
                match self {
                    $( Self::$variant(_) => EntryType::$variant, )*
                }
            }
        }

        $( impl From<$body> for Event {
            fn from(body: $body) -> Self {
                Self::$variant(Box::new(body))
            }
        } )*
    };
}

events! {
    /// We are about to ask a partner.
    QueryOpened(QueryOpened) = "query.opened";
    /// We asked a partner.
    Query(Query) = "query";
    /// A partner asks.
    EvaluationOpened(EvaluationOpened) = "evaluation.opened";
    /// We answered a partner.
    Evaluation(Evaluation) = "evaluation";
    /// We published a snapshot.
    SnapshotPublished(SnapshotPublished) = "snapshot.published";
    /// We fetched a partner's snapshot.
    SnapshotFetched(SnapshotFetched) = "snapshot.fetched";
    /// A list was imported.
    Import(Import) = "import";
    /// A record was added, changed or removed.
    RecordChanged(RecordChanged) = "record.changed";
    /// A list was created or deleted.
    ListChanged(ListChanged) = "list.changed";
    /// An agreement was signed, suspended or resumed.
    AgreementChanged(AgreementChanged) = "agreement.changed";
    /// A key was created, rotated or destroyed.
    KeyChanged(KeyChanged) = "key.changed";
    /// A query was refused because a quota is used up.
    QuotaRefused(QuotaRefused) = "quota.refused";
    /// A partner's answer did not prove what it must.
    ProofFailed(ProofFailed) = "proof.failed";
    /// A step before the request for details.
    HitStep(HitStep) = "hit.step";
    /// Details were asked for.
    DetailRequested(DetailRequested) = "detail.requested";
    /// A step of a request for details.
    DetailStep(DetailStep) = "detail.step";
    /// Somebody was reminded that a case waits.
    Reminded(Reminded) = "reminder";
    /// People decided on a request for details.
    Decision(Decision) = "decision";
    /// Details were released.
    Release(Release) = "release";
    /// What was released has arrived.
    Receipt(Receipt) = "receipt";
    /// Payloads were destroyed.
    Erasure(Erasure) = "erasure";
    /// The configuration was changed.
    ConfigurationChanged(ConfigurationChanged) = "configuration.changed";
    /// Who may call the node was changed.
    ClientChanged(ClientChanged) = "client.changed";
    /// The registry of officers and their keys was changed.
    RegistryChanged(RegistryChanged) = "registry.changed";
    /// A link was made on which somebody registers a passkey.
    OfficerLinked(OfficerLinked) = "officer.linked";
    /// Somebody signed in.
    SignIn(SignIn) = "sign-in";
    /// Somebody was refused.
    Refusal(Refusal) = "refusal";
    /// Entries were opened to somebody: that too is a consultation of personal data.
    Opened(Opened) = "opened";
    /// A partner's log contradicts itself.
    Misbehaviour(MisbehaviourSeen) = "misbehaviour";
}

impl EntryType {
    /// The type of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    fn is_access(self) -> bool {
        matches!(self, Self::SignIn | Self::Refusal | Self::Opened)
    }
}

impl Event {
    /// The exchange that it belongs to.
    pub fn exchange(&self) -> Option<&ExchangeId> {
        match self {
            Self::Reminded(e) => Some(&e.exchange),
            _ => match self.case_step() {
                Some(step) => Some(&step.exchange),
                None => self.joined().map(|(exchange, ..)| exchange),
            },
        }
    }

    /// The case that it belongs to.
    pub fn case(&self) -> Option<&CaseId> {
        match self {
            Self::Reminded(e) => Some(&e.case),
            Self::Refusal(e) => e.case.as_ref(),
            _ => self.case_step().map(|step| &step.case),
        }
    }

    /// The step of a case that it records.
    pub fn case_step(&self) -> Option<&CaseStep> {
        Some(match self {
            Self::HitStep(e) => &e.step,
            Self::DetailRequested(e) => &e.step,
            Self::DetailStep(e) => &e.step,
            Self::Decision(e) => &e.step,
            Self::Release(e) => &e.step,
            Self::Receipt(e) => &e.step,
            _ => return None,
        })
    }

    /// What joins the entry to its counterpart: exchange or case, side, step, and what both must have alike.
    fn joined(&self) -> Option<(&Hex<16>, Side, u32, &Digest, u64)> {
        use Side::{Owner, Requester};
        const NONE: &Digest = &Hex([0; 32]);
        if let Some(step) = self.case_step() {
            return Some((&step.case, step.side, step.step, &step.digest, 0));
        }
        Some(match self {
            Self::QueryOpened(e) => (&e.exchange, Requester, e.step, NONE, e.elements),
            Self::Query(e) => (&e.exchange, Requester, e.step, &e.transcript, e.elements),
            Self::EvaluationOpened(e) => (&e.exchange, Owner, e.step, NONE, e.elements),
            Self::Evaluation(e) => (&e.exchange, Owner, e.step, &e.transcript, e.elements),
            Self::QuotaRefused(e) => (&e.exchange, e.side, 0, NONE, e.elements),
            Self::ProofFailed(e) => (&e.exchange, Requester, 0, &e.transcript, 0),
            Self::Reminded(e) => (&e.case, e.side, e.number, NONE, 0),
            _ => return None,
        })
    }

    /// The people it names: who asked, who ordered, who decided. For a search by person.
    pub fn people(&self) -> Vec<&Person> {
        fn person(actor: &Actor) -> Vec<&Person> {
            match actor {
                Actor::Person(person) => vec![person],
                Actor::Node => Vec::new(),
            }
        }
        match self {
            Self::QueryOpened(e) => vec![&e.by, &e.ordered_by],
            Self::Query(e) => vec![&e.by, &e.ordered_by],
            Self::Import(e) => person(&e.by),
            Self::RecordChanged(e) => person(&e.by),
            Self::ListChanged(e) => person(&e.by),
            Self::AgreementChanged(e) => person(&e.by),
            Self::KeyChanged(e) => person(&e.by),
            Self::DetailRequested(e) => e.by.iter().chain(&e.ordered_by).collect(),
            Self::DetailStep(e) => person(&e.by),
            Self::HitStep(e) => person(&e.by),
            Self::Decision(e) => {
                let approvers = e.approvals.iter().map(|approved| &approved.by);
                std::iter::once(&e.by).chain(approvers).collect()
            }
            Self::RegistryChanged(e) => {
                let signers = e.approvals.iter().map(|approved| &approved.by);
                e.officer.iter().chain(signers).collect()
            }
            Self::Release(e) => vec![&e.by],
            Self::Receipt(e) => e.by.iter().collect(),
            Self::Erasure(e) => person(&e.by),
            Self::ConfigurationChanged(e) => person(&e.by),
            Self::ClientChanged(e) => person(&e.by),
            Self::OfficerLinked(e) => std::iter::once(&e.officer).chain(person(&e.by)).collect(),
            Self::SignIn(e) => vec![&e.by],
            Self::Refusal(e) => e.claimed.iter().collect(),
            Self::Opened(e) => vec![&e.by],
            _ => Vec::new(),
        }
    }

    /// The partner agency it concerns.
    pub fn partner(&self) -> Option<&Text> {
        match self {
            Self::QueryOpened(e) => Some(&e.partner),
            Self::Query(e) => Some(&e.partner),
            Self::EvaluationOpened(e) => Some(&e.partner),
            Self::Evaluation(e) => Some(&e.partner),
            Self::SnapshotPublished(e) => Some(&e.partner),
            Self::SnapshotFetched(e) => Some(&e.partner),
            Self::AgreementChanged(e) => Some(&e.partner),
            Self::QuotaRefused(e) => Some(&e.partner),
            Self::ProofFailed(e) => Some(&e.partner),
            Self::DetailRequested(e) => Some(&e.partner),
            Self::Decision(e) => Some(&e.partner),
            Self::Release(e) => Some(&e.partner),
            Self::Receipt(e) => Some(&e.partner),
            Self::Reminded(e) => Some(&e.partner),
            Self::Refusal(e) => e.partner.as_ref(),
            Self::Misbehaviour(e) => Some(&e.partner),
            _ => None,
        }
    }

    /// The purpose that was stated.
    pub fn purpose(&self) -> Option<&Text> {
        match self {
            Self::QueryOpened(e) => Some(&e.why.purpose),
            Self::Query(e) => Some(&e.why.purpose),
            Self::EvaluationOpened(e) => Some(&e.stated.purpose),
            Self::Evaluation(e) => Some(&e.stated.purpose),
            Self::RecordChanged(e) => Some(&e.why.purpose),
            Self::DetailRequested(e) => Some(&e.stated.purpose),
            Self::Decision(e) => Some(&e.stated.purpose),
            Self::Release(e) => Some(&e.stated.purpose),
            Self::Opened(e) => Some(&e.why.purpose),
            _ => None,
        }
    }

    /// The case it belongs to.
    pub fn case_reference(&self) -> Option<&Text> {
        match self {
            Self::QueryOpened(e) => Some(&e.why.case_reference),
            Self::Query(e) => Some(&e.why.case_reference),
            Self::RecordChanged(e) => Some(&e.why.case_reference),
            Self::DetailRequested(e) => e.case_reference.as_ref(),
            Self::Opened(e) => Some(&e.why.case_reference),
            _ => None,
        }
    }
}
