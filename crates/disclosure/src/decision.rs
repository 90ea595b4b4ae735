//! The decision: what an officer reads, and what her key signs.

use std::collections::BTreeSet;

use concordat_ledger::{Digest, Hex, Person, Text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agreement::Rules;
use crate::codes::{Field, Ground, Marks};
use crate::document::Document;
use crate::request::{CaseId, DetailRequest};
use crate::rule::*;
use crate::text::Words;

/// Exactly what may be released, to whom, and how it must be handled.
///
/// The SHA-256 of its bytes is the challenge of each approval: what was signed is what is shown is what is released. **Holds personal
/// data**; `Debug` shows lengths only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The case.
    pub case: CaseId,
    /// SHA-256 of the request that it answers.
    pub request: Digest,
    /// The recipient.
    pub recipient: Text,
    /// SHA-256 of the disclosure key that the release is sealed to.
    pub recipient_key: Digest,
    /// What is decided.
    pub verdict: Verdict,
    /// What is released, in the order of the fields.
    pub released: Vec<Released>,
    /// What is withheld, in the order of the fields.
    pub withheld: Vec<Withheld>,
    /// How it must be handled.
    pub marks: Marks,
    /// Under which conditions.
    pub conditions: Vec<Words>,
    /// Who drew it up.
    pub by: Person,
    /// When.
    pub at: Timestamp,
    /// 32 random bytes: without them a digest that both sides log could be searched for values that were never released.
    pub salt: Hex<32>,
}

impl Document for Decision {
    const KIND: &'static str = "concordat/v1/decision";
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Everything that was asked for is released.
    Approved,
    /// Some of it.
    Partial,
    /// Nothing, and why.
    Refused(Refusal),
}

impl Verdict {
    /// As the step of the decision states it.
    pub fn result(&self) -> Decided {
        match self {
            Self::Approved => Decided::Approved,
            Self::Partial => Decided::Partial,
            Self::Refused(_) => Decided::Refused,
        }
    }
}

/// A verdict without its reasons: what both sides' history says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Decided {
    /// Everything.
    Approved,
    /// Some of it.
    Partial,
    /// Nothing.
    Refused,
}

/// Why nothing is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The ground.
    pub ground: Ground,
    /// In words that the requester may read.
    pub text: Words,
}

/// A field with the values that are released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The field.
    pub field: Field,
    /// Its values: 1 to 64.
    pub values: Vec<Words>,
}

/// A field that is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// The field.
    pub field: Field,
    /// Why.
    pub ground: Ground,
}

impl Decision {
    /// Most values of one field.
    pub const MAX_VALUES: usize = 64;
    /// Most conditions.
    pub const MAX_CONDITIONS: usize = 16;

    /// Checks that this decides on `request`, whole, within the agreement.
    ///
    /// # Errors
    /// [`OTHER_CASE`], [`DECISION_MISMATCH`], [`DECISION_FIELDS`], [`DECISION_RESULT`], [`TIME_RUNS_BACK`], and those of
    /// [`Rules::permits_marks`]; whoever drew it up is to blame.
    pub fn check(&self, request: &DetailRequest, rules: &Rules) -> Result<(), Refused> {
        OTHER_CASE.unless_at("case", self.case == request.case)?;
        DECISION_MISMATCH.unless_at("request", self.request == request.digest()?)?;
        DECISION_MISMATCH.unless_at("recipient", self.recipient == request.requester)?;
        DECISION_MISMATCH.unless_at("recipient_key", self.recipient_key == request.recipient_key)?;
        TIME_RUNS_BACK.unless_at("at", self.at >= request.made)?;
        EXPIRY.unless_at("at", self.at < request.expires)?;
        self.check_fields(request)?;
        MALFORMED.unless_at("conditions", self.conditions.len() <= Self::MAX_CONDITIONS)?;
        rules.permits_marks(&self.marks, request, self.at)
    }

    fn check_fields(&self, request: &DetailRequest) -> Result<(), Refused> {
        let released: BTreeSet<_> = self.released.iter().map(|released| &released.field).collect();
        let withheld: BTreeSet<_> = self.withheld.iter().map(|withheld| &withheld.field).collect();
        // In order and without doubles: the same decision has the same bytes.
        let ordered = self
            .released
            .iter()
            .map(|r| &r.field)
            .eq(released.iter().copied())
            && self
                .withheld
                .iter()
                .map(|w| &w.field)
                .eq(withheld.iter().copied());
        let all: BTreeSet<_> = released.union(&withheld).copied().collect();
        let whole = ordered && released.is_disjoint(&withheld) && all == request.fields.iter().collect();
        DECISION_FIELDS.unless(whole)?;
        let counted = |r: &Released| (1..=Self::MAX_VALUES).contains(&r.values.len());
        DECISION_FIELDS.unless_at("values", self.released.iter().all(counted))?;
        let result = match self.verdict {
            Verdict::Approved => withheld.is_empty(),
            Verdict::Partial => !withheld.is_empty() && !released.is_empty(),
            Verdict::Refused(_) => released.is_empty(),
        };
        DECISION_RESULT.unless_at("verdict", result)
    }

    /// How many distinct officers must approve it.
    pub fn approvers(&self, rules: &Rules) -> u8 {
        match self.verdict {
            Verdict::Refused(_) => rules.refusal_approvers.max(1),
            _ => rules.approvers(self.released.iter().map(|r| &r.field), self.marks.handling),
        }
    }
}
