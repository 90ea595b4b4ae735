//! Every text that somebody sees, in one place: words for codes here, the sentences of each page in the modules. Whoever writes the
//! console in another language edits this folder alone; the pages hold structure only, which a test watches over.

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod case;
pub(crate) mod enrol;
pub(crate) mod errors;
pub(crate) mod forms;
pub(crate) mod frame;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod reconcile;
pub(crate) mod reports;
pub(crate) mod sign_in;
pub(crate) mod steps;

use std::collections::BTreeSet;

use concordat_disclosure::Role;
use concordat_disclosure::codes::Field;
use jiff::{SignedDuration, Timestamp};

/// A role in words.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Analyst => "analyst",
        Role::Officer => "officer",
        Role::Supervisor => "supervisor",
        Role::Auditor => "auditor",
        Role::Administrator => "administrator",
    }
}

/// Roles, as they are shown.
pub(crate) fn roles(roles: &BTreeSet<Role>) -> String {
    let names: Vec<&str> = roles.iter().map(|known| role(*known)).collect();
    names.join(", ")
}

/// Where an agreement stands, by the store's name of it.
pub(crate) fn status(name: &str) -> &'static str {
    match name {
        "proposed" => "proposed",
        "active" => "active",
        "suspended" => "suspended",
        "superseded" => "superseded",
        "ended" => "ended",
        _ => "unknown",
    }
}

/// How well a match identifies.
pub(crate) fn grade(name: &str) -> &'static str {
    match name {
        "EXACT" => "exact",
        "STRONG" => "strong",
        "CANDIDATE" => "candidate",
        _ => "unknown",
    }
}

/// A state in words.
pub(crate) fn state(name: &str) -> &'static str {
    match name {
        "HIT" => "Hit: to be compared",
        "CONFIRMED_SAME" => "Same person or thing",
        "CONFIRMED_UNSURE" => "Could not be told",
        "CONFIRMED_DIFFERENT" => "Different",
        "NOT_PURSUED" => "Not pursued",
        "REQUESTED" => "Asked for",
        "TRIAGE" => "Being looked at",
        "NEEDS_INFO" => "Waits for an answer",
        "NEEDS_JUDICIAL" => "Waits for a judicial authority",
        "APPROVING" => "Waits for approvals",
        "APPROVED" => "Approved: to be released",
        "PARTIAL" => "Partly approved: to be released",
        "REFUSED" => "Refused",
        "RELEASED" => "Released: to be opened",
        "RECEIVED" => "Opened: outcome to be stated",
        "OUTCOME" => "Outcome known",
        "CLOSED" => "Closed",
        "WITHDRAWN" => "Withdrawn",
        "EXPIRED" => "Expired",
        "RECALLED" => "Taken back",
        _ => "Unknown",
    }
}

/// A step in words.
pub(crate) fn step(name: &str) -> &'static str {
    match name {
        "hit" => "The machine found a match",
        "confirmed" => "A person compared",
        "not-pursued" => "It is not pursued",
        "requested" => "Details were asked for",
        "acknowledged" => "The owner's node took the request; the clock runs",
        "triaged" => "A person took it up",
        "said" => "A message",
        "info-asked" => "A question to the requester",
        "info-given" => "The requester answered",
        "judicial-awaited" => "A judicial authority must authorise it",
        "judicial-given" => "The judicial authority answered",
        "more-time" => "More time was stated",
        "proposed" => "A decision was drawn up",
        "approved" => "An officer approved",
        "reconsidered" => "The decision was taken back",
        "decided" => "Decided",
        "released" => "Released",
        "received" => "Opened by the requester",
        "outcome" => "The outcome was stated",
        "closed" => "Closed",
        "withdrawn" => "Withdrawn",
        "expired" => "Expired",
        "recalled" => "Taken back by the owner",
        "recall-confirmed" => "Deletion or correction confirmed",
        _ => "Unknown step",
    }
}

/// A field in words.
pub(crate) fn field(field: &Field) -> String {
    let name = match field {
        Field::FirstNames => "First names",
        Field::FamilyNames => "Family names",
        Field::OtherNames => "Other names and aliases",
        Field::DateOfBirth => "Date of birth",
        Field::Nationalities => "Nationalities",
        Field::PlaceOfBirth => "Place of birth",
        Field::Gender => "Gender",
        Field::BiometricsTaken => "Biometrics taken",
        Field::Offence => "Offence",
        Field::CaseNumber => "Case number",
        Field::Authority => "Authority",
        Field::Listed(_) => return field.name().replace('-', " "),
    };
    name.to_owned()
}

/// A code as words: `NO_LEGAL_BASIS` is `No legal basis`.
pub(crate) fn code(code: &str) -> String {
    let lower = code.to_lowercase().replace(['_', '-'], " ");
    let mut letters = lower.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A one-letter code of a decision's marks with its meaning: `B: source mostly reliable`.
pub(crate) fn mark(name: &str) -> String {
    let meaning = match name {
        "H0" => "to prevent and combat crime only",
        "H1" => "not in judicial proceedings without the provider's permission",
        "H2" => "not passed on without the provider's permission",
        "H3" => "other restrictions, in words",
        "A" => "no doubt about the source",
        "B" => "source mostly reliable",
        "C" => "source mostly unreliable",
        "X" => "source cannot be assessed",
        "1" => "accuracy not in doubt",
        "2" => "known to the source, not to the reporting official",
        "3" => "not known to the source, but corroborated",
        "4" => "not known to the source, cannot be corroborated",
        _ => return code(name),
    };
    format!("{name}: {meaning}")
}

/// A code of a list, by its name in documents.
pub(crate) fn name_of(code: &impl serde::Serialize) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// What to do after a refusal.
pub(crate) fn next(rule: &str) -> Option<&'static str> {
    Some(match rule {
        "DISC-024" => "Somebody was faster. Open the case again and look at what has changed.",
        "DISC-023" => "An administrator can give the role to your account; two of them must sign it.",
        "DISC-047" => "Another officer has to approve.",
        "DISC-048" => "You took part in this hit or wrote the record: another officer has to approve.",
        "DESK-025" => "Ask the partner, in a message, to withdraw and to ask anew.",
        "DISC-045" => "Sign in with another key, or have a new one registered.",
        "DISC-037" => "Many requests came within a day. The case is decided by itself when the time is over.",
        "DESK-003" => "Wait a moment and open the case again.",
        "DESK-001" => {
            "Two administrators register first, on the page whose address the node printed at its start."
        }
        "LEDG-020" => "Compare the identity key in the agreement with the partner by another channel.",
        "LEDG-021" | "LEDG-022" | "LEDG-023" => {
            "Treat it as an incident, and ask the partner by another channel. Nothing is said about its exchanges until its ledger holds."
        }
        "CONS-002" => "Sign in with an account that has the role.",
        _ => return None,
    })
}

/// A time as it is shown: `2026-11-26 14:05`.
pub(crate) fn time(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

/// A length of time in words: `3 h 20 min`.
pub(crate) fn span(span: SignedDuration) -> String {
    let minutes = span.abs().as_mins();
    let (days, hours, minutes) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_words() {
        for name in concordat_disclosure::AnyCase::STATES {
            assert_ne!(state(name), "Unknown", "{name}");
        }
    }

    #[test]
    fn every_mark_has_its_meaning() {
        use concordat_disclosure::codes::{HandlingCode, SourceEvaluation};
        for name in HandlingCode::ALL
            .iter()
            .map(name_of)
            .chain(SourceEvaluation::ALL.iter().map(name_of))
        {
            assert!(mark(&name).starts_with(&format!("{name}: ")), "{name}");
        }
    }

    #[test]
    fn spans_and_codes_read_well() {
        assert_eq!(span(SignedDuration::from_mins(5)), "5 min");
        assert_eq!(span(SignedDuration::from_mins(200)), "3 h 20 min");
        assert_eq!(span(SignedDuration::from_hours(50)), "2 d 2 h");
        assert_eq!(code("NO_LEGAL_BASIS"), "No legal basis");
    }
}
