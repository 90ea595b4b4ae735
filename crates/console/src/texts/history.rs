//! A case step by step.

pub(crate) const HISTORY: &str = "History";
pub(crate) const REBUILT: &str =
    "The state is not stored: it was rebuilt from these steps just now, each verified.";
pub(crate) const DIGEST: &str = "Digest";
pub(crate) const REQUESTER: &str = "requester";
pub(crate) const OWNER: &str = "owner";
pub(crate) const THE_NODE: &str = "the node";

/// Which side took a step, and who there.
pub(crate) fn side_and_person(side: &str, person: &str) -> String {
    format!("{side}, {person}")
}

/// A code in words, and what the person wrote.
pub(crate) fn said(code: &str, words: &str) -> String {
    format!("{code}: {words}")
}

pub(crate) fn until(time: &str, words: &str) -> String {
    format!("until {time}: {words}")
}

// Signatures.
pub(crate) const SIGNATURE_ELSEWHERE: &str = "The signature is with the owner until the release is opened.";
pub(crate) const HOLDS: &str = "✓ signature holds";
pub(crate) const DOES_NOT_HOLD: &str = "✗ SIGNATURE DOES NOT HOLD";
/// Between the verdict on a signature and the kind of its key.
pub(crate) const BY: &str = ", ";
pub(crate) const PASSKEY: &str = "a passkey, its user verified";
pub(crate) const FILE_KEY: &str = "a key in a file";
