//! Reports: counts, bars, the export.

use concordat_disclosure::Decided;
use maud::{Markup, Render, html};

pub(crate) const TITLE: &str = "Reports";

pub(crate) fn over(cases: usize, export: impl Render) -> Markup {
    html! { "Over the " (cases) " most urgent and latest cases. For release outside: " (export) "." }
}

/// The link within [`over`].
pub(crate) const EXPORT: &str = "CSV, small counts withheld";

/// Beside it.
pub(crate) const NO_PERIOD: &str = "Release one such file and no second one soon after: it counts these cases as of now, and the \
     difference between two files is what was asked in between, small counts too.";

pub(crate) const BY_PURPOSE: &str = "Requests by purpose";
pub(crate) const BY_PARTNER: &str = "Requests by partner";
pub(crate) const DECISIONS: &str = "Decisions";

/// What was decided, as it is counted.
pub(crate) fn decided(result: Decided) -> &'static str {
    match result {
        Decided::Approved => "all released",
        Decided::Partial => "some released",
        Decided::Refused => "refused",
    }
}

// Times.
pub(crate) const TIME_TO_DECISION: &str = "Time to decision";

pub(crate) fn median(minutes: impl Render, decisions: usize) -> Markup {
    html! { "Median " (minutes) " over " (decisions) " decisions." }
}

/// The number within [`median`].
pub(crate) fn minutes(minutes: i64) -> String {
    format!("{minutes} minutes")
}

pub(crate) const NOTHING_DECIDED: &str = "Nothing was decided yet.";

pub(crate) fn overdue(cases: impl Render) -> Markup {
    html! { (cases) " overdue now." }
}

// Officers.
pub(crate) const PER_OFFICER: &str = "Approvals per officer";
pub(crate) const NO_PROOF: &str =
    "Who approves everything, or within seconds, may not be reading. A reason to talk, no proof.";
pub(crate) const NOBODY_APPROVED: &str = "Nobody has approved anything yet.";
pub(crate) const OFFICER: &str = "Officer";
pub(crate) const APPROVALS: &str = "Approvals";
pub(crate) const MEDIAN_TIME: &str = "Median time";
pub(crate) const OF_DECISIONS_RELEASED: &str = "Of decisions that released";
/// The same where there is little room.
pub(crate) const RELEASED: &str = "Released";

pub(crate) fn short_minutes(minutes: i64) -> String {
    format!("{minutes} min")
}

pub(crate) fn percent(share: u64) -> String {
    format!("{share} %")
}

// Bars.
pub(crate) const NOTHING_TO_COUNT: &str = "Nothing to count yet.";
pub(crate) const AS_A_TABLE: &str = "As a table";

// The export: programs read it, so that a change here is one for them too.
pub(crate) const COLUMN_PURPOSE: &str = "purpose";
pub(crate) const WITHHELD: &str = "withheld";
