//! What a person may do next with a case.

use maud::{Markup, Render, html};

pub(crate) const NEXT_STEP: &str = "Next step";
pub(crate) const OTHER_STEPS: &str = "Other steps";

// Steps that have a page of their own, or another place on the page.
pub(crate) const ASK: &str = "Ask for details";
pub(crate) const DRAW_UP: &str = "Draw up the decision";
pub(crate) const APPROVE: &str = "Approve with my passkey";

pub(crate) fn you_approve(decision: impl Render) -> Markup {
    html! { "You approve exactly what is shown above under " (decision) ", and nothing else." }
}

pub(crate) const ASK_REQUESTER: &str = "Ask the requester something";
pub(crate) const ANSWER_OWNER: &str = "Answer the owner";

// Comparing.
pub(crate) const RECORD_COMPARISON: &str = "Record my comparison";
pub(crate) const IS_IT_THE_SAME: &str = "Is it the same person or thing?";
pub(crate) const SAME: &str = "The same";
pub(crate) const DIFFERENT: &str = "Another";
pub(crate) const UNSURE: &str = "I cannot tell";
pub(crate) const HOW_COMPARED: &str = "How did you compare?";
pub(crate) const HOW_COMPARED_HINT: &str = "for example: document in hand, photograph compared";
pub(crate) const DO_NOT_PURSUE: &str = "Do not pursue";
pub(crate) const WHY_NOT: &str = "Why not?";

// At the owner.
pub(crate) const TAKE_UP: &str = "Take it up";
pub(crate) const TAKE_UP_NOTE: &str = "You will see the record behind the hit.";
pub(crate) const AWAIT_JUDICIAL: &str = "Wait for a judicial authority";
pub(crate) const WHICH_AUTHORITY: &str = "Which authority must authorise it?";
pub(crate) const RECORD_ANSWER: &str = "Record the answer";
pub(crate) const REFERENCE: &str = "The authority's reference";
pub(crate) const RECONSIDER: &str = "Take the decision back";
pub(crate) const RELEASE: &str = "Release now";
pub(crate) const RELEASE_NOTE: &str =
    "It is sealed to the requester's key and sent. There is no way back, but a recall.";
pub(crate) const RECALL: &str = "Take the release back";
pub(crate) const RECALL_WHY: &str = "Why? The requester has 48 hours.";
pub(crate) const MORE_TIME: &str = "State more time";
pub(crate) const UNTIL: &str = "Until (UTC)";

// At the requester.
pub(crate) const OPEN: &str = "Open the release";
pub(crate) const OPEN_NOTE: &str = "It is verified first. The owner gets your signed receipt.";
pub(crate) const STATE_OUTCOME: &str = "State the outcome";
pub(crate) const WHAT_CAME_OF_IT: &str = "What came of it?";
pub(crate) const WHAT_WAS_DONE: &str = "What was done";
pub(crate) const WITHDRAW: &str = "Withdraw the request";
pub(crate) const CONFIRM_RECALL: &str = "Confirm: deleted or corrected";
pub(crate) const CONFIRM_RECALL_NOTE: &str = "What was released is destroyed here.";

// Several of them.
pub(crate) const CLOSE: &str = "Close the case";
pub(crate) const WHY: &str = "Why?";
pub(crate) const IN_YOUR_WORDS: &str = "In your words";
