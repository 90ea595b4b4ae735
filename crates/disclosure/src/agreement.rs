//! What the agreement says about disclosure. Both sides hold the same, and both check by it.

use std::collections::BTreeSet;

use concordat_ledger::{Text, canonical};
use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::codes::{Classification, Field, FieldClass, HandlingCode, Marks, Onward};
use crate::deadline::Profile;
use crate::document::Document;
use crate::passkey::RelyingParty;
use crate::request::DetailRequest;
use crate::rule::*;

/// The rules of one offer. Read through [`Document::decode`] and [`Rules::check`]ed once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The agreement's id.
    pub agreement: Text,
    /// The offer's id.
    pub offer: Text,
    /// Who asks.
    pub requester: Text,
    /// Who is asked.
    pub owner: Text,
    /// Purposes for which details may be asked.
    pub purposes: BTreeSet<Text>,
    /// Legal bases.
    pub legal_bases: BTreeSet<Text>,
    /// Kinds of identifiers whose hits may be pursued.
    pub kinds: BTreeSet<Text>,
    /// The least maximum penalty, in months. 0 for none.
    pub min_penalty_months: u32,
    /// Fields that may be asked for.
    pub fields: BTreeSet<Field>,
    /// Of these, fields that need two approvers whatever `quorums` says.
    pub second_approver: BTreeSet<Field>,
    /// How many must approve, by class and handling code. The largest that applies to a released field counts; 1 if none does.
    pub quorums: Vec<Quorum>,
    /// How many must sign a refusal. At least 1.
    pub refusal_approvers: u8,
    /// Whether an officer may approve by a key in a file or on a plain hardware token.
    pub file_keys: bool,
    /// Requests in bulk.
    pub bulk: Bulk,
    /// Deadlines.
    pub deadlines: Profile,
    /// Handling codes that may be used.
    pub handling: BTreeSet<HandlingCode>,
    /// The highest classification that may be carried.
    pub max_classification: Classification,
    /// The longest time a request may stay open, in days.
    pub max_open_days: u16,
    /// The longest time a release may be held, in days.
    pub max_retention_days: u16,
    /// To whom details may be passed on at all.
    pub onward: BTreeSet<Text>,
    /// Where the owner's officers sign.
    pub console: RelyingParty,
}

impl Document for Rules {
    const KIND: &'static str = "concordat/v1/disclosure-rules";
}

/// How many must approve fields of a class under a handling code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// The class.
    pub class: FieldClass,
    /// The handling code.
    pub handling: HandlingCode,
    /// How many. At least 1.
    pub approvers: u8,
}

/// When requests count as made in bulk, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// From the how many-th request of this requester within 24 hours. At least 2.
    pub from: u32,
    /// Minutes between the last approval and the decision.
    pub wait_minutes: u32,
}

impl Rules {
    /// Checks that the rules can be kept.
    ///
    /// # Errors
    /// [`BAD_RULES`]; the authors of the agreement are to blame.
    pub fn check(&self) -> Result<(), Refused> {
        let bad = |field, holds| BAD_RULES.unless_at(field, holds);
        bad("requester", self.requester != self.owner)?;
        bad("purposes", !self.purposes.is_empty())?;
        bad("legal_bases", !self.legal_bases.is_empty())?;
        bad("kinds", !self.kinds.is_empty())?;
        bad("fields", !self.fields.is_empty())?;
        bad("second_approver", self.second_approver.is_subset(&self.fields))?;
        bad("quorums", self.quorums.iter().all(|quorum| quorum.approvers >= 1))?;
        bad("refusal_approvers", self.refusal_approvers >= 1)?;
        bad("bulk.from", self.bulk.from >= 2)?;
        bad("deadlines", self.deadlines.holds())?;
        bad("handling", !self.handling.is_empty())?;
        bad("max_open_days", (1..=366).contains(&self.max_open_days))?;
        bad("max_retention_days", self.max_retention_days >= 1)?;
        bad("console", self.console.holds())?;
        bad("quorums", canonical::to_string(self).is_some())
    }

    /// Checks a request: whether what it asks may be asked. Both sides do it, at the time that is recorded with the request.
    ///
    /// # Errors
    /// The rule that fails; the requester is to blame.
    pub fn permits(&self, request: &DetailRequest, at: Timestamp) -> Result<(), Refused> {
        OTHER_AGREEMENT.unless_at("agreement", request.agreement == self.agreement)?;
        OTHER_AGREEMENT.unless_at("offer", request.offer == self.offer)?;
        OTHER_AGREEMENT.unless_at("requester", request.requester == self.requester)?;
        OTHER_AGREEMENT.unless_at("owner", request.owner == self.owner)?;
        PURPOSE.unless_at("purpose", self.purposes.contains(&request.purpose))?;
        LEGAL_BASIS.unless_at("legal_basis", self.legal_bases.contains(&request.legal_basis))?;
        KIND.unless_at("kind", self.kinds.contains(&request.kind))?;
        let serious = request.max_penalty_months >= self.min_penalty_months;
        OFFENCE_THRESHOLD.unless_at("max_penalty_months", serious)?;
        let offered = !request.fields.is_empty() && request.fields.is_subset(&self.fields);
        FIELD_NOT_OFFERED.unless_at("fields", offered)?;
        ONWARD.unless_at("onward", request.onward.is_subset(&self.onward))?;
        REQUEST_TIME.unless_at("made", request.made <= ahead(at, SignedDuration::from_mins(5)))?;
        REQUEST_TIME.unless_at("confirmed", request.confirmed.at <= request.made)?;
        let longest = ahead(request.made, days(self.max_open_days));
        EXPIRY.unless_at(
            "expires",
            request.expires > request.made && request.expires <= longest,
        )?;
        EXPIRY.unless_at("expires", at < request.expires)
    }

    /// Checks how a release is to be handled, at the time of the decision.
    ///
    /// # Errors
    /// [`HANDLING`], [`RETENTION`], [`ONWARD`], [`PURPOSE`]; the officer who wrote it is to blame.
    pub fn permits_marks(
        &self,
        marks: &Marks,
        request: &DetailRequest,
        at: Timestamp,
    ) -> Result<(), Refused> {
        HANDLING.unless_at("handling", self.handling.contains(&marks.handling))?;
        let words = marks.restriction.is_some() == (marks.handling == HandlingCode::H3);
        HANDLING.unless_at("restriction", words)?;
        HANDLING.unless_at("classification", marks.classification <= self.max_classification)?;
        let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let held = today
            .until((Unit::Day, marks.retain_until))
            .map(|span| span.get_days());
        let allowed = |days: i32| (0..=i32::from(self.max_retention_days)).contains(&days);
        RETENTION.unless_at("retain_until", held.is_ok_and(allowed))?;
        let onward = match &marks.onward {
            Onward::Nobody => true,
            Onward::To(agencies) => agencies.is_subset(&self.onward) && !agencies.is_empty(),
        };
        ONWARD.unless_at("onward", onward)?;
        PURPOSE.unless_at("purpose", marks.purpose == request.purpose)
    }

    /// How many distinct officers must approve the release of `fields` under a handling code.
    pub fn approvers<'a>(&self, fields: impl IntoIterator<Item = &'a Field>, handling: HandlingCode) -> u8 {
        let by_field = |field: &Field| {
            let agreed = self.quorums.iter();
            let agreed = agreed.filter(|q| q.class == field.class() && q.handling == handling);
            let agreed = agreed.map(|q| q.approvers).max().unwrap_or(1);
            agreed.max(1 + u8::from(self.second_approver.contains(field)))
        };
        fields.into_iter().map(by_field).max().unwrap_or(1).max(1)
    }

    /// Whether the `recent`-th request within 24 hours is one in bulk, and the time to wait if so.
    pub(crate) fn cooling_off(&self, recent: u32) -> SignedDuration {
        let minutes = if recent >= self.bulk.from {
            self.bulk.wait_minutes
        } else {
            0
        };
        SignedDuration::from_mins(i64::from(minutes))
    }
}

fn days(days: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

pub(crate) fn ahead(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
