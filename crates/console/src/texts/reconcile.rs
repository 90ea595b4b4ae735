//! What is said about our ledger and a partner's.

use concordat_ledger::{Reason, Side};
use concordat_node::reconcile::SETTLED_MINUTES;

pub(crate) const HEADING: &str = "Our ledger and the partners'";
pub(crate) const WHAT: &str = "Each exchange with a partner is recorded on both sides. This node reads the ledger that the partner \
    publishes, holds every entry to the partner's signed checkpoint and to the one cosigned here last, and looks there for each \
    exchange of ours.";
pub(crate) const LIMIT: &str = "What a partner recorded and we did not, only the partner's own comparison can tell: ask for its result too.";
pub(crate) const CAPTION: &str = "Last comparison with each partner, since this node was started";
pub(crate) const PARTNER: &str = "Partner";
pub(crate) const WHEN: &str = "Compared";
pub(crate) const SIZE: &str = "Entries of the partner's read";
pub(crate) const MATCHED: &str = "Exchanges alike";
pub(crate) const UNMATCHED: &str = "Do not match";
pub(crate) const AGAIN: &str = "Compare";
pub(crate) const NOW: &str = "Reconcile now";
pub(crate) const NEVER: &str = "not yet";
pub(crate) const NOTHING: &str = "-";
pub(crate) const NO_PARTNERS: &str = "There are no partners.";
pub(crate) const EXCHANGE: &str = "Exchange";
pub(crate) const OUR_ENTRY: &str = "Our entry";
pub(crate) const THEIR_ENTRY: &str = "The partner's entry";
pub(crate) const WHY: &str = "What does not match";
pub(crate) const NO_ENTRY: &str = "none";
pub(crate) const FAILED: &str = "could not be compared";

pub(crate) fn with(partner: &str) -> String {
    format!(" with {partner}")
}

pub(crate) fn running(since: &str) -> String {
    format!("runs since {since}: open this page again in a moment")
}

pub(crate) fn size(read: u64, cosigned: u64) -> String {
    match cosigned {
        0 => format!("{read}; none of its checkpoints were cosigned here before"),
        cosigned => format!("{read}; they extend the {cosigned} cosigned here"),
    }
}

pub(crate) fn matched(matched: u64, unanswered: u64) -> String {
    match unanswered {
        0 => matched.to_string(),
        unanswered => format!("{matched}, and {unanswered} without an answer at both"),
    }
}

pub(crate) fn result_of(partner: &str) -> String {
    format!("Result with {partner}")
}

/// Where nothing contradicts, of so many exchanges.
pub(crate) fn all_match(compared: u64) -> &'static str {
    match compared {
        0 => "There was no exchange to compare.",
        _ => "Every exchange that was compared is recorded alike on both sides.",
    }
}

pub(crate) fn listed(listed: usize, all: u64) -> String {
    format!("{listed} of {all} exchanges that do not match")
}

/// What a result does not speak of, a sentence each.
pub(crate) fn silent_about(too_young: u64, erased: u64, left_out: u64) -> Vec<String> {
    let mut said = Vec::new();
    if too_young > 0 {
        said.push(format!(
            "{too_young} exchanges of the last {SETTLED_MINUTES} minutes do not match yet: the partner may not have published them. \
             Compare again later."
        ));
    }
    if erased > 0 {
        said.push(format!(
            "{erased} entries about exchanges were erased here when their time was over: nothing can be said about them."
        ));
    }
    if left_out > 0 {
        said.push(format!(
            "{left_out} older entries were not compared: `concordat audit reconcile` compares all of them."
        ));
    }
    said
}

/// Why an exchange does not match, as we see it.
pub(crate) fn reason(reason: Reason) -> String {
    let sentence = match reason {
        Reason::MissingAtOwner => {
            "We asked and recorded an answer. The partner's ledger does not say that it was given: ask the partner why."
        }
        Reason::MissingAtRequester => {
            "We answered. The partner's ledger does not say that it asked, so it has no purpose and no person for it: ask the partner why."
        }
        Reason::Open(Side::Requester) => "The agency that asked has not recorded yet how it ended.",
        Reason::Open(Side::Owner) => "The agency that answered has not recorded yet how it ended.",
        Reason::Interrupted => {
            "The node that asked stopped before it could record which answers came: the partner's entry says more."
        }
        Reason::Twice(Side::Requester) => "The agency that asked recorded it more than once.",
        Reason::Twice(Side::Owner) => "The agency that answered recorded it more than once.",
        Reason::OtherFacts => {
            "The partner recorded other messages or another count than we did. Both entries have to be opened to say which."
        }
        other => return format!("{other}."),
    };
    sentence.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_a_sentence() {
        for why in [
            Reason::MissingAtOwner,
            Reason::MissingAtRequester,
            Reason::Open(Side::Owner),
            Reason::Interrupted,
            Reason::Twice(Side::Requester),
            Reason::OtherFacts,
            Reason::OtherScope,
        ] {
            assert!(reason(why).ends_with('.'), "{why:?}");
        }
    }

    #[test]
    fn what_a_result_leaves_out_is_said() {
        assert!(silent_about(0, 0, 0).is_empty());
        assert_eq!(silent_about(1, 2, 3).len(), 3);
    }
}
