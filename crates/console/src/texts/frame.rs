//! What stands around every page, what a page says when something was not done, and what the script says.

use maud::{Markup, Render, html};

/// The language of these texts, as HTML names it.
pub(crate) const LANGUAGE: &str = "en";

pub(crate) const PRODUCT: &str = "Concordat";

pub(crate) fn title(page: &str) -> String {
    format!("{page} · {PRODUCT}")
}

pub(crate) const SKIP: &str = "Skip to the content";
pub(crate) const FOOTER: &str =
    "All times are UTC. What you do here is recorded in the ledger under your name.";

// The menu.
pub(crate) const MENU: &str = "Main";
pub(crate) const INBOX: &str = "Inbox";
pub(crate) const HITS: &str = "Hits";
pub(crate) const ALL_CASES: &str = "All cases";
pub(crate) const AUDIT: &str = "Audit";
pub(crate) const REPORTS: &str = "Reports";
pub(crate) const ADMINISTRATION: &str = "Administration";
pub(crate) const SIGN_OUT: &str = "Sign out";

pub(crate) fn signed_in(account: &str, roles: &str) -> String {
    format!("{account} · {roles}")
}

// What went wrong.
pub(crate) const NOT_DONE_TITLE: &str = "Not done";
pub(crate) const NOT_DONE: &str = "This was not done";
pub(crate) const BACK_TO_INBOX: &str = "Back to the inbox";
pub(crate) const MEND: &str = "Not sent yet: something has to be mended";

pub(crate) fn rule(id: impl Render) -> Markup {
    html! { "Rule " (id) }
}

/// A sentence about a field that no form of the page shows.
pub(crate) fn of_field(sentence: &str, field: &str) -> String {
    format!("{sentence} ({field})")
}

/// A sentence, then a link to the field that it is about.
pub(crate) fn with_link(sentence: &str, link: impl Render) -> Markup {
    html! { (sentence) ". " (link) }
}

pub(crate) const GO_TO_FIELD: &str = "Go to the field";

// Signing.
pub(crate) const NO_SCRIPT: &str =
    "Signing needs JavaScript: a passkey can only be asked by a script. Everything else here works without.";

// What the script says: handed over with the page.
pub(crate) const CHANGED: &str = "Something has changed. Show it.";
pub(crate) const PASSKEY_NOT_USED: &str =
    "The passkey was not used. Try again, and touch the key or confirm with your device.";
/// The script puts the browser's name of the error where `{error}` stands.
pub(crate) const PASSKEY_UNUSABLE: &str = "The passkey cannot be used: {error}.";
