//! The public contract's enumerations as words, for JSON and for people.

use concordat_wire::v1::{Grade, Purpose, UnknownReason, Verdict, agreement, job, snapshot};

/// `travel_document`.
pub fn kind(kind: i32) -> &'static str {
    concordat_wire::kind_from_proto(kind).map_or("unknown_kind", concordat_identifiers::Kind::name)
}

/// `travel document`.
pub fn kind_spoken(kind: i32) -> String {
    self::kind(kind).replace('_', " ")
}

/// `exact`, or nothing where there is no grade.
pub fn grade(grade: i32) -> &'static str {
    match Grade::try_from(grade) {
        Ok(Grade::Exact) => "exact",
        Ok(Grade::Strong) => "strong",
        Ok(Grade::Candidate) => "candidate",
        Ok(Grade::Unspecified) | Err(_) => "",
    }
}

/// `HIT`, `NO_HIT`, `UNKNOWN`. A verdict that this version does not know is UNKNOWN, never `NO_HIT`.
pub fn verdict(verdict: i32) -> &'static str {
    match Verdict::try_from(verdict) {
        Ok(Verdict::Hit) => "HIT",
        Ok(Verdict::NoHit) => "NO_HIT",
        Ok(Verdict::Unknown | Verdict::Unspecified) | Err(_) => "UNKNOWN",
    }
}

/// `quota`: the reason's name in lower case; nothing where there is none.
pub fn reason(reason: i32) -> String {
    match UnknownReason::try_from(reason) {
        Ok(UnknownReason::Unspecified) => String::new(),
        Ok(reason) => reason
            .as_str_name()
            .trim_start_matches("UNKNOWN_REASON_")
            .to_ascii_lowercase(),
        Err(_) => "unknown_reason".into(),
    }
}

/// Why something is UNKNOWN, in a sentence for the person at the gate.
pub fn reason_spoken(reason: i32) -> &'static str {
    match UnknownReason::try_from(reason).unwrap_or(UnknownReason::Unspecified) {
        UnknownReason::Unspecified => "the node gave no reason",
        UnknownReason::Unreachable => "the partner's node could not be reached",
        UnknownReason::Deadline => "the partner did not answer in time",
        UnknownReason::SnapshotMissing => "no snapshot of the partner's list is held yet",
        UnknownReason::SnapshotStale => "the snapshot of the partner's list is too old",
        UnknownReason::Quota => "the quota of the agreement is used up",
        UnknownReason::NotPermitted => "the agreement does not permit this query",
        UnknownReason::ProofFailed => "the partner's proof did not hold: treat this as an incident",
        UnknownReason::CanaryFailed => "the self-check failed: the snapshot does not fit the partner's key",
        UnknownReason::InvalidItem => "the item could not be read",
        UnknownReason::Overloaded => "a node is overloaded, try again",
        UnknownReason::Failed => {
            "the partner broke the protocol or something failed inside, see the node's log"
        }
    }
}

/// Why something is UNKNOWN, with what the node knows beyond the sentence itself.
pub fn reason_detailed(reason: i32, detail: &str) -> String {
    let sentence = reason_spoken(reason);
    let said = match UnknownReason::try_from(reason) {
        // "The partner's node cannot be reached (why)": only the why is new.
        Ok(UnknownReason::Unreachable) => detail
            .strip_prefix("the partner's node cannot be reached (")
            .and_then(|why| why.strip_suffix(')'))
            .unwrap_or(detail),
        Ok(UnknownReason::Deadline) => "",
        _ => detail,
    };
    if said.is_empty() || said == sentence {
        sentence.to_owned()
    } else {
        format!("{sentence} ({said})")
    }
}

/// `active`.
pub fn agreement_status(status: i32) -> &'static str {
    match agreement::Status::try_from(status) {
        Ok(agreement::Status::Proposed) => "proposed",
        Ok(agreement::Status::Active) => "active",
        Ok(agreement::Status::Suspended) => "suspended",
        Ok(agreement::Status::Ended) => "ended",
        Ok(agreement::Status::Expired) => "expired",
        Ok(agreement::Status::Unspecified) | Err(_) => "unknown",
    }
}

/// `running`.
pub fn job_state(state: i32) -> &'static str {
    match job::State::try_from(state) {
        Ok(job::State::Queued) => "queued",
        Ok(job::State::Running) => "running",
        Ok(job::State::Paused) => "paused",
        Ok(job::State::Succeeded) => "succeeded",
        Ok(job::State::Failed) => "failed",
        Ok(job::State::Cancelled) => "cancelled",
        Ok(job::State::Unspecified) | Err(_) => "unknown",
    }
}

/// `served` or `held`.
pub fn snapshot_role(role: i32) -> &'static str {
    match snapshot::Role::try_from(role) {
        Ok(snapshot::Role::Served) => "served",
        Ok(snapshot::Role::Held) => "held",
        Ok(snapshot::Role::Unspecified) | Err(_) => "unknown",
    }
}

/// Every purpose as it is written on the command line: `border-check`.
pub fn purposes() -> impl Iterator<Item = String> {
    (1..)
        .map_while(|number| Purpose::try_from(number).ok())
        .map(|purpose| {
            concordat_node::agreement::purpose_name(purpose)
                .to_ascii_lowercase()
                .replace('_', "-")
        })
}

/// A purpose as written on the command line or in an agreement.
pub fn purpose_from_name(name: &str) -> Option<Purpose> {
    concordat_node::agreement::purpose_from_name(&name.to_ascii_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_is_offered_and_read_back() {
        let names: Vec<String> = purposes().collect();
        assert_eq!(names.len(), 16);
        assert!(names.iter().all(|name| purpose_from_name(name).is_some()));
        assert_eq!(purpose_from_name("BORDER_CHECK"), Some(Purpose::BorderCheck));
        assert_eq!(purpose_from_name("unspecified"), None);
    }

    #[test]
    fn what_we_do_not_know_is_never_a_no_hit() {
        assert_eq!(verdict(0), "UNKNOWN");
        assert_eq!(verdict(77), "UNKNOWN");
        assert_eq!(reason(5), "quota");
        assert_eq!(reason(0), "");
    }

    #[test]
    fn a_detail_says_something_new() {
        let spoken = |reason: UnknownReason, detail| reason_detailed(reason.into(), detail);
        assert_eq!(
            spoken(
                UnknownReason::Unreachable,
                "the partner's node cannot be reached (connection refused)"
            ),
            "the partner's node could not be reached (connection refused)"
        );
        assert_eq!(
            spoken(
                UnknownReason::Deadline,
                "the partner's node cannot be reached (Deadline expired)"
            ),
            "the partner did not answer in time"
        );
        assert_eq!(
            spoken(UnknownReason::Quota, "try tomorrow"),
            "the quota of the agreement is used up (try tomorrow)"
        );
        assert_eq!(
            spoken(UnknownReason::Quota, ""),
            "the quota of the agreement is used up"
        );
    }

    #[test]
    fn every_reason_has_a_sentence() {
        for number in 1..=11 {
            assert_ne!(reason_spoken(number), reason_spoken(0));
        }
        assert!(
            UnknownReason::try_from(12).is_err(),
            "a new reason needs a sentence"
        );
    }
}
