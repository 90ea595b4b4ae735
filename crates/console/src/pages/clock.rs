//! The time that is left, as a bar and in words.

use concordat_store::CaseRow;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::texts::{self, inbox as says};

/// A case's clock. Colour is never alone: the words say the same.
pub(crate) fn clock(row: &CaseRow, now: Timestamp) -> Markup {
    let Some(clock) = row.clock.filter(|clock| !clock.ended) else {
        return html! { span.clock { (says::NO_CLOCK) } };
    };
    let now_ms = now.as_millisecond();
    let whole = (clock.due_ms - clock.started_ms).max(1);
    let used = ((now_ms - clock.started_ms).clamp(0, whole) * 100 / whole).clamp(0, 100);
    let left = SignedDuration::from_millis(clock.due_ms - now_ms);
    let (class, words) = match () {
        () if clock.stopped => ("clock stopped", says::CLOCK_STANDS.to_owned()),
        () if left.is_negative() => ("clock overdue", says::overdue(&texts::span(left))),
        () if used >= 80 => ("clock late", says::left(&texts::span(left))),
        () => ("clock", says::left(&texts::span(left))),
    };
    let due = Timestamp::from_millisecond(clock.due_ms).unwrap_or(Timestamp::MAX);
    html! {
        span class=(class) {
            meter min="0" max="100" low="50" high="80" optimum="0" value=(used) aria-hidden="true" {}
            span { (words) }
            small { (says::DUE) time datetime=(due.to_string()) { (texts::time(due)) } }
        }
    }
}
