//! The inbox, the hits, all cases; the time that is left.

pub(crate) const HITS: &str = "Hits of ours";
pub(crate) const ALL: &str = "All cases";
pub(crate) const INBOX: &str = "Inbox";
pub(crate) const NEXT_PAGE: &str = "Next page";

pub(crate) const NO_HITS: &str = "No hit waits for anybody here.";
pub(crate) const NO_CASES: &str = "There are no cases.";
pub(crate) const NOTHING_WAITS: &str = "Nothing waits for this agency. New cases appear here by themselves.";

// Filters.
pub(crate) const FILTER_AND_SEARCH: &str = "Filter and search";
pub(crate) const FILTER_CASES: &str = "Filter cases";
pub(crate) const ANY: &str = "any";
pub(crate) const CASE_ID: &str = "Case id";
pub(crate) const NOT_AN_ID: &str = "not an id: 32 digits and letters a to f";
pub(crate) const FILTER: &str = "Filter";

// The table of cases.
pub(crate) const TABLE: &str = "Cases, the most urgent first";
pub(crate) const CASE: &str = "Case";
pub(crate) const STATE: &str = "State";
pub(crate) const PARTNER: &str = "Partner";
pub(crate) const PURPOSE: &str = "Purpose";
pub(crate) const TIME_LEFT: &str = "Time left";
pub(crate) const LAST_CHANGE: &str = "Last change";
pub(crate) const URGENT: &str = "urgent";
pub(crate) const WE_ASK: &str = "we ask";
pub(crate) const WE_ARE_ASKED: &str = "we are asked";

// The clock.
pub(crate) const NO_CLOCK: &str = "—";
pub(crate) const CLOCK_STANDS: &str = "the clock stands";

pub(crate) fn overdue(by: &str) -> String {
    format!("overdue by {by}")
}

pub(crate) fn left(span: &str) -> String {
    format!("{span} left")
}

/// Before the time at which it is due.
pub(crate) const DUE: &str = " due ";
