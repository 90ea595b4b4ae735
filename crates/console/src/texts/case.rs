//! One case: who asks, why, what is released, what was said.

use maud::{Markup, Render, html};

/// The title, with the end of the case's id.
pub(crate) fn title(id: &str) -> String {
    format!("Case {id}")
}

pub(crate) const SUMMARY: &str = "Summary";

/// Which side we are, and with whom.
pub(crate) fn with(side: impl Render, partner: impl Render) -> Markup {
    html! { (side) ", with " (partner) }
}

pub(crate) fn on_its_way(since: &str, step: &str) -> String {
    format!(
        "On its way to the partner since {since}: {step}. It is sent again until the partner's node has taken it."
    )
}

pub(crate) fn not_there_yet(steps: &str) -> String {
    format!(
        "The partner does not have these steps yet: {steps}. They are sent again until its node has taken them."
    )
}

pub(crate) const TAKEN_BACK: &str = "The owner took this release back. ";

pub(crate) fn delete_by(time: &str) -> String {
    format!("Delete or correct what was released by {time}.")
}

// The request.
pub(crate) const REQUEST: &str = "Request";
pub(crate) const ASKED_BY: &str = "Asked by";
pub(crate) const ORDERED_BY: &str = "Ordered by";
pub(crate) const CONFIRMED_BY: &str = "Hit confirmed by";
pub(crate) const FACTS: &str = "Facts";
pub(crate) const OFFENCE: &str = "Offence";
pub(crate) const PURPOSE: &str = "Purpose";
pub(crate) const LEGAL_BASIS: &str = "Legal basis";
pub(crate) const USE: &str = "Use";
pub(crate) const SUBJECT: &str = "The person is";
pub(crate) const URGENCY: &str = "Urgency";
pub(crate) const ASKED_FOR: &str = "Asked for";
pub(crate) const MAY_GO_ON_TO: &str = "May go on to";
pub(crate) const NOBODY: &str = "nobody";
pub(crate) const VOID_AFTER: &str = "Void after";

pub(crate) fn person_of(person: &str, agency: &str) -> String {
    format!("{person} of {agency}")
}

pub(crate) fn confirmed(person: &str, method: &str) -> String {
    format!("{person}, {method}")
}

pub(crate) fn penalty(offence: &str, months: u32) -> String {
    format!("{offence}, up to {months} months")
}

pub(crate) const NORMAL: &str = "normal";

pub(crate) fn urgent(why: &str) -> String {
    format!("urgent: {why}")
}

pub(crate) fn urgent_indirect(why: &str) -> String {
    format!("urgent, data not at hand: {why}")
}

// What hit, at the requester.
pub(crate) const WHAT_HIT: &str = "What hit";
pub(crate) const WE_ASKED_ABOUT: &str =
    "This is what we asked about. What the partner holds is not known here.";
pub(crate) const ITEM: &str = "Item";
pub(crate) const MATCHED_BY: &str = "Matched by";
pub(crate) const CASE_OR_FLIGHT: &str = "Case or flight";
pub(crate) const QUERY_BY: &str = "Query by";

pub(crate) fn matched(rule: &str, grade: &str) -> String {
    format!("rule {rule}, {grade}")
}

pub(crate) fn query(officer: &str, ordered_by: &str) -> String {
    format!("{officer}, ordered by {ordered_by}")
}

// A person or document as it was read; our record of it.
pub(crate) const OUR_RECORD: &str = "Our record";

pub(crate) fn born(date: &str) -> String {
    format!("born {date}")
}

pub(crate) fn document(number: &str) -> String {
    format!("document {number}")
}

pub(crate) fn document_of(number: &str, issuer: &str) -> String {
    format!("document {number}, {issuer}")
}

pub(crate) fn further(identifiers: usize) -> String {
    format!("{identifiers} further identifiers")
}

// The decision.
pub(crate) const DECISION: &str = "Decision";
pub(crate) const WHAT_WAS_RELEASED: &str = "What was released";
pub(crate) const ONWARD_TO_NOBODY: &str = "to nobody";

pub(crate) fn handling(code: &str) -> String {
    format!("Handling {code}")
}

pub(crate) fn restriction(words: &str) -> String {
    format!(" ({words})")
}

/// What follows the handling code: classification, evaluation, how long it may be kept, to whom it may go on.
pub(crate) fn marks(
    class: &str,
    [source, information]: [&str; 2],
    until: impl Render,
    onward: &str,
) -> Markup {
    html! {
        " · " (class) " · evaluation " (source) ", " (information) " · keep until " (until) " · onward " (onward)
    }
}

pub(crate) const CONDITIONS: &str = "Conditions: ";
pub(crate) const ALL_REFUSED: &str = "All is refused: ";

pub(crate) fn refusal(ground: &str, words: &str) -> String {
    format!("{ground}, {words}")
}

pub(crate) const RELEASED: &str = "Released";
pub(crate) const WITHHELD: &str = "Withheld";
pub(crate) const NOTHING: &str = "nothing";

pub(crate) fn approvals(have: usize, needed: u8, who: &str) -> String {
    format!("{have} of {needed} approvals: {who}")
}

pub(crate) const EXACT_TEXT: &str = "The exact text that is signed";
pub(crate) const DIGEST: &str = "SHA-256: ";
pub(crate) const AS_XML: &str = "As XML (UMF)";

// Messages.
pub(crate) const MESSAGES: &str = "Messages";
pub(crate) const NOTHING_SAID: &str = "Nothing was said yet.";
pub(crate) const QUESTION: &str = "Question: the requester is to answer";
pub(crate) const ANSWER: &str = "Answer to the owner's question";
pub(crate) const MESSAGE: &str = "Message";
pub(crate) const KIND: &str = "Kind";
pub(crate) const TO_OTHER_DESK: &str = "To the other desk";
pub(crate) const ATTACHMENT: &str = "Attachment (at most 50 MiB)";
pub(crate) const SEND_SEALED: &str = "Send sealed";

pub(crate) fn bytes(bytes: u64) -> String {
    format!(" ({bytes} bytes)")
}
