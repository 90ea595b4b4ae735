//! The form in which details are asked for, and the one in which a decision is drawn up.

use maud::{Markup, Render, html};

/// The empty choice of a list.
pub(crate) const CHOOSE: &str = "choose";

// The request.
pub(crate) fn to_under(partner: impl Render, agreement: impl Render) -> Markup {
    html! { "To " (partner) " under agreement " (agreement) "." }
}

pub(crate) const PURPOSE: &str = "Purpose";
pub(crate) const LEGAL_BASIS: &str = "Legal basis";
pub(crate) const INTENDED_USE: &str = "What the data are for";
pub(crate) const SUBJECT_CLASS: &str = "Who the person is in the case";
pub(crate) const FACTS: &str = "What happened";
pub(crate) const FACTS_HINT: &str = "in one or two sentences";
pub(crate) const OFFENCE: &str = "Offence (code)";
pub(crate) const OFFENCE_HINT: &str = "for example 0801";
pub(crate) const MONTHS: &str = "Longest sentence for it, in months";

pub(crate) fn at_least(months: u32) -> String {
    format!("The agreement asks for at least {months}.")
}

pub(crate) const FIELDS: &str = "What you need";
pub(crate) const TWO_OFFICERS_THERE: &str = " needs two officers there";
pub(crate) const URGENCY: &str = "Urgency";
pub(crate) const NORMAL: &str = "normal";
pub(crate) const URGENT: &str = "urgent";
pub(crate) const URGENT_INDIRECT: &str = "urgent, data not directly at hand";
pub(crate) const WHY_URGENT: &str = "Why it is urgent";
pub(crate) const WHY_URGENT_HINT: &str = "Required for every urgent request.";
pub(crate) const ORDERED_BY: &str = "Ordered by";
pub(crate) const DAYS: &str = "Void after, in days";

pub(crate) fn days_from(now: &str, most: u16) -> String {
    format!("From {now}, at most {most}.")
}

pub(crate) const SEND: &str = "Send the request";

// The decision.
pub(crate) fn asks_for(partner: impl Render, fields: usize, facts: &str) -> Markup {
    html! { (partner) " asks for " (fields) " fields: " (facts) }
}

pub(crate) const FIELD_BY_FIELD: &str = "Field by field";
pub(crate) const TWO_OFFICERS: &str = " · two officers";
pub(crate) const RELEASE: &str = "release";
pub(crate) const WITHHOLD: &str = "withhold";
pub(crate) const VALUES: &str = "Values, one a line";
pub(crate) const GROUND_IF_WITHHELD: &str = "Ground, if withheld";
pub(crate) const HOW_HANDLED: &str = "How it must be handled";
pub(crate) const HANDLING: &str = "Handling code";
pub(crate) const RESTRICTION: &str = "Restriction (with H3)";
pub(crate) const SOURCE: &str = "Source";
pub(crate) const INFORMATION: &str = "Information";
pub(crate) const CLASSIFICATION: &str = "Classification";
pub(crate) const KEEP_UNTIL: &str = "Keep until";
pub(crate) const MAY_GO_ON_TO: &str = "May go on to";
pub(crate) const NO_AGENCY: &str = "nobody: the agreement names no agency";
pub(crate) const CONDITIONS: &str = "Conditions, one a line";
pub(crate) const REFUSE_ALL: &str = "Refuse the whole request";
pub(crate) const RELEASE_NOTHING: &str = "release nothing";
pub(crate) const GROUND: &str = "Ground";
pub(crate) const IN_YOUR_WORDS: &str = "In your words";
pub(crate) const OFFICERS_READ: &str = "Officers then read exactly this and sign it with their passkeys.";
pub(crate) const SUBMIT: &str = "Submit for approval";
