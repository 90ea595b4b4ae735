//! Bars drawn by the server: no script, and the numbers stand beside them in a table.

use maud::{Markup, html};

use crate::texts::reports as says;

/// Horizontal bars; each with its label and its value.
pub(crate) fn bars(title: &str, rows: &[(String, f64)], unit: &str) -> Markup {
    let most = rows
        .iter()
        .map(|(_, value)| *value)
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE);
    let height = rows.len() * 28 + 4;
    html! {
        figure {
            figcaption { (title) }
            @if rows.is_empty() { p.empty { (says::NOTHING_TO_COUNT) } } @else {
                svg role="img" aria-label=(title) viewBox=(format!("0 0 640 {height}")) {
                    @for (place, (_, value)) in rows.iter().enumerate() {
                        rect.bar x="220" y=(place * 28 + 6) width=(format!("{:.1}", (value / most * 340.0).max(1.0))) height="16" rx="3" {}
                    }
                    @for (place, (label, value)) in rows.iter().enumerate() {
                        text.label x="212" y=(place * 28 + 19) text-anchor="end" { (short(label)) }
                        text.value x=(format!("{:.1}", 226.0 + (value / most * 340.0).max(1.0))) y=(place * 28 + 19) { (number(*value)) " " (unit) }
                    }
                }
                details {
                    summary { (says::AS_A_TABLE) }
                    table { tbody { @for (label, value) in rows { tr { th scope="row" { (label) } td { (number(*value)) " " (unit) } } } } }
                }
            }
        }
    }
}

fn short(label: &str) -> String {
    let mut letters = label.chars();
    let head: String = letters.by_ref().take(30).collect();
    if letters.next().is_some() {
        format!("{head}…")
    } else {
        head
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}
