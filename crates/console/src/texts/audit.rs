//! What auditors see of the ledger and of the cases.

use maud::{Markup, Render, html};

pub(crate) const TITLE: &str = "Audit";
pub(crate) const LEDGER: &str = "Ledger";

pub(crate) fn halted(why: impl Render) -> Markup {
    html! { "The ledger is halted: " (why) }
}

pub(crate) const RECORDED: &str = "Recorded";
pub(crate) const PUBLISHED: &str = "Published";
pub(crate) const NOTHING_PUBLISHED: &str = "nothing yet";
pub(crate) const ROOT: &str = "Root";
pub(crate) const KEY: &str = "Key";

pub(crate) fn entries(count: u64) -> String {
    format!("{count} entries")
}

// Witnesses.
pub(crate) const WITNESSES: &str = "Witnesses: who has cosigned what the other published";
pub(crate) const PARTNER: &str = "Partner";
pub(crate) const COSIGNED_OURS: &str = "has cosigned ours";
pub(crate) const COSIGNED_THEIRS: &str = "we have cosigned theirs";
pub(crate) const YES: &str = "yes";
pub(crate) const NOT_YET: &str = "not yet";

// Checking without us.
pub(crate) const CHECK: &str = "Check it without trusting this page";
pub(crate) const FROM_FILES: &str = "From the published files and the key above alone:";

/// The commands; the words in capitals stand for what the reader puts there.
pub(crate) fn commands(folder: &str) -> String {
    format!(
        "concordat audit verify {folder} --log-key KEY\nconcordat audit reconcile EXPORT --files {folder} --log-key KEY --other-files THEIRS --other-log-key THEIR-KEY"
    )
}

// Cases.
pub(crate) const CASES: &str = "Cases";

/// A state and how many cases are in it.
pub(crate) fn counted(state: &str, cases: impl Render) -> Markup {
    html! { (state) ": " (cases) }
}

pub(crate) const NO_CASES: &str = "There are no cases.";

pub(crate) fn latest(search: impl Render) -> Markup {
    html! { "The 200 most urgent and latest. " (search) " by state, partner or id." }
}

/// The link within [`latest`].
pub(crate) const SEARCH_ALL: &str = "Search all cases";
pub(crate) const REPLAY: &str = "Open a case to replay it step by step; each signature is verified as you look. What was released is not shown to auditors.";
