//! The time that is left, as a bar and in words.

use concordat_store::CaseRow;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::texts;

/// A case's clock. Colour is never alone: the words say the same.
pub(crate) fn clock(row: &CaseRow, now: Timestamp) -> Markup {
    let Some(clock) = row.clock.filter(|clock| !clock.ended) else {
        return html! { span.clock { "—" } };
    };
    let now_ms = now.as_millisecond();
    let whole = (clock.due_ms - clock.started_ms).max(1);
    let used = ((now_ms - clock.started_ms).clamp(0, whole) * 100 / whole).clamp(0, 100);
    let left = SignedDuration::from_millis(clock.due_ms - now_ms);
    let (class, words) = match () {
        () if clock.stopped => ("clock stopped", "the clock stands".to_owned()),
        () if left.is_negative() => ("clock overdue", format!("overdue by {}", texts::span(left))),
        () if used >= 80 => ("clock late", format!("{} left", texts::span(left))),
        () => ("clock", format!("{} left", texts::span(left))),
    };
    let due = Timestamp::from_millisecond(clock.due_ms).unwrap_or(Timestamp::MAX);
    html! {
        span class=(class) {
            meter min="0" max="100" low="50" high="80" optimum="0" value=(used) aria-hidden="true" {}
            span { (words) }
            small { " due " time datetime=(due.to_string()) { (texts::time(due)) } }
        }
    }
}
