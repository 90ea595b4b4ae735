//! The steps of a case, as both sides write, exchange, keep and log them.

use concordat_ledger::{Digest, Person, Side, Text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::codes::{CaseOutcome, Comparison, NotPursuedReason};
use crate::decision::Decided;
use crate::document::Document;
use crate::request::{CaseId, DetailRequest, ProofOfHit};
use crate::text::Words;

/// One step of a case. Steps form a chain: each names the digest of the one before, so two sides with one head have one history.
///
/// The owner's node decides on the order: a step of the requester counts once the owner has accepted it on top of the last one, and is
/// refused with [`STALE`](crate::rule::STALE) otherwise. Steps before the request ([`What::Hit`], [`What::Confirmed`],
/// [`What::NotPursued`]) are the requester's alone and have a chain of their own; [`What::Requested`] is step 1 of the shared one.
///
/// Steps name digests of decisions and approvals, never released values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The case.
    pub case: CaseId,
    /// Which step of its chain, counted from 1.
    pub step: u32,
    /// SHA-256 of the step before; zero for the first.
    pub previous: Digest,
    /// Whose step.
    pub side: Side,
    /// When.
    pub at: Timestamp,
    /// Who; `None` for the node by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
    /// What.
    pub what: What,
}

impl Document for Event {
    const KIND: &'static str = "concordat/v1/case-step";
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The machine found a match. The requester's alone.
    Hit(Hit),
    /// A person compared. The requester's alone.
    Confirmed(Confirmed),
    /// A person decided not to ask. The requester's alone.
    NotPursued(NotPursued),
    /// Details are asked for.
    Requested(Box<Requested>),
    /// The owner's node received it, verified the proof of hit and the agreement; the clock starts. The number is how many requests this
    /// requester made within 24 hours, this one included.
    Acknowledged(u32),
    /// A person at the owner took it up.
    Triaged,
    /// The owner asks something; the digest is that of the sealed message.
    InfoAsked(Digest),
    /// The requester answers; the digest is that of the sealed message.
    InfoGiven(Digest),
    /// Either side says something else; the digest is that of the sealed message. The state stays as it is.
    Said(Digest),
    /// A judicial authority must authorise it; which.
    JudicialAwaited(Words),
    /// It did; its reference.
    JudicialGiven(Words),
    /// The owner states more time.
    MoreTime(MoreTime),
    /// A decision was drawn up; its digest.
    Proposed(Digest),
    /// An officer approved it; the digest of the [`Approval`](crate::Approval).
    Approved(Digest),
    /// The decision was withdrawn before it was complete, and why. Its approvals count no more.
    Reconsidered(Words),
    /// Enough have approved.
    Decided(DecidedAs),
    /// The details were sealed and sent.
    Released(ReleasedAs),
    /// The requester opened them, and everything in them was verified; the digest of the package.
    Received(Digest),
    /// What came of it.
    Outcome(OutcomeStated),
    /// Nothing is left to do.
    Closed,
    /// The requester no longer asks, and why.
    Withdrawn(Words),
    /// Nobody decided in time.
    Expired,
    /// The owner takes back what it released: the requester must delete or correct it within 48 hours.
    Recalled(Recall),
    /// The requester has done so.
    RecallConfirmed,
}

/// A match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The exchange.
    pub exchange: concordat_ledger::Hex<16>,
    /// The tag.
    pub tag: concordat_ledger::Hex<16>,
    /// The kind.
    pub kind: Text,
}

/// What a person answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The answer.
    pub comparison: Comparison,
    /// How it was compared.
    pub method: Words,
}

/// Why a hit is not pursued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPursued {
    /// The reason.
    pub reason: NotPursuedReason,
    /// In words.
    pub text: Words,
}

/// The request with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The request.
    pub request: DetailRequest,
    /// The proof of hit.
    pub proof: ProofOfHit,
}

/// More time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoreTime {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: Words,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedAs {
    /// The decision's digest.
    pub decision: Digest,
    /// Its result.
    pub result: Decided,
}

/// What was released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedAs {
    /// The decision's digest.
    pub decision: Digest,
    /// The digest of the sealed package.
    pub package: Digest,
}

/// What came of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeStated {
    /// The outcome.
    pub outcome: CaseOutcome,
    /// What was done.
    pub action: Words,
}

/// A release that is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// The package.
    pub package: Digest,
    /// Why.
    pub reason: Words,
    /// The case in which the corrected details are released, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_in: Option<CaseId>,
}

/// Who takes a kind of step.
pub(crate) enum By {
    Person,
    Node,
    Either,
}

impl What {
    /// Its name, as it is logged.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Confirmed(_) => "confirmed",
            Self::NotPursued(_) => "not-pursued",
            Self::Requested(_) => "requested",
            Self::Acknowledged(_) => "acknowledged",
            Self::Triaged => "triaged",
            Self::Said(_) => "said",
            Self::InfoAsked(_) => "info-asked",
            Self::InfoGiven(_) => "info-given",
            Self::JudicialAwaited(_) => "judicial-awaited",
            Self::JudicialGiven(_) => "judicial-given",
            Self::MoreTime(_) => "more-time",
            Self::Proposed(_) => "proposed",
            Self::Approved(_) => "approved",
            Self::Reconsidered(_) => "reconsidered",
            Self::Decided(_) => "decided",
            Self::Released(_) => "released",
            Self::Received(_) => "received",
            Self::Outcome(_) => "outcome",
            Self::Closed => "closed",
            Self::Withdrawn(_) => "withdrawn",
            Self::Expired => "expired",
            Self::Recalled(_) => "recalled",
            Self::RecallConfirmed => "recall-confirmed",
        }
    }

    /// Whether it stays with the requester and is never sent.
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Hit(_) | Self::Confirmed(_) | Self::NotPursued(_))
    }

    /// Whose it is; `None` for either side's.
    pub(crate) fn side(&self) -> Option<Side> {
        Some(match self {
            Self::Hit(_)
            | Self::Confirmed(_)
            | Self::NotPursued(_)
            | Self::Requested(_)
            | Self::InfoGiven(_)
            | Self::Received(_)
            | Self::Outcome(_)
            | Self::Withdrawn(_)
            | Self::RecallConfirmed => Side::Requester,
            Self::Closed | Self::Said(_) => return None,
            _ => Side::Owner,
        })
    }

    pub(crate) fn by(&self) -> By {
        match self {
            Self::Hit(_) | Self::Acknowledged(_) | Self::Expired => By::Node,
            Self::Decided(_) | Self::Closed => By::Either,
            _ => By::Person,
        }
    }

    /// Whether it takes an officer who may decide.
    pub(crate) fn decides(&self) -> bool {
        matches!(
            self,
            Self::Proposed(_)
                | Self::Approved(_)
                | Self::Reconsidered(_)
                | Self::Released(_)
                | Self::Recalled(_)
        )
    }
}
