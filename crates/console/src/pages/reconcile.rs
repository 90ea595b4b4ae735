//! Our ledger against each partner's: the last result, and the button for the next.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Redirect;
use concordat_node::reconcile::{self, Compared, Outcome, Standing};
use maud::{Markup, html};

use crate::Desk;
use crate::guard::{Audits, Posted, Shown, Signed};
use crate::texts;
use crate::texts::reconcile as words;

/// How long a page waits for a result; a longer comparison goes on by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// A partner for each row.
pub(crate) fn section(desk: &Desk, signed: &Signed<Audits>) -> Markup {
    let partners = reconcile::partners(&desk.state).into_iter();
    let partners: Vec<(String, Standing)> = partners
        .map(|partner| {
            let standing = desk.state.reconciling.standing(&partner);
            (partner, standing)
        })
        .collect();
    let csrf = signed.csrf();
    html! {
        section aria-labelledby="reconcile" {
            h2 #reconcile { (words::HEADING) }
            p { (words::WHAT) }
            p.note { (words::LIMIT) }
            @if partners.is_empty() { p.empty { (words::NO_PARTNERS) } } @else {
                table {
                    caption { (words::CAPTION) }
                    thead { tr {
                        @for head in [words::PARTNER, words::WHEN, words::SIZE, words::MATCHED, words::UNMATCHED, words::AGAIN] { th scope="col" { (head) } }
                    } }
                    tbody { @for (partner, standing) in &partners { (row(partner, standing, &csrf)) } }
                }
                @for (partner, standing) in &partners {
                    @if let Some(outcome) = &standing.last { (result(partner, outcome)) }
                }
            }
        }
    }
}

fn row(partner: &str, standing: &Standing, csrf: &str) -> Markup {
    let compared = standing
        .last
        .as_ref()
        .and_then(|outcome| outcome.result.as_ref().ok());
    html! {
        tr {
            th scope="row" data-label=(words::PARTNER) { (partner) }
            td data-label=(words::WHEN) {
                @match &standing.last {
                    None => (words::NEVER),
                    Some(outcome) => {
                        (texts::time(outcome.at))
                        @if outcome.result.is_err() { ", " strong.bad { (words::FAILED) } }
                    }
                }
            }
            @match compared {
                Some(compared) => {
                    td data-label=(words::SIZE) { (words::size(compared.checkpoint_size, compared.cosigned_size)) }
                    td data-label=(words::MATCHED) { (words::matched(compared.matched, compared.unanswered)) }
                    td data-label=(words::UNMATCHED) { @if compared.unmatched > 0 { strong.bad { (compared.unmatched) } } @else { "0" } }
                }
                None => {
                    @for head in [words::SIZE, words::MATCHED, words::UNMATCHED] { td data-label=(head) { (words::NOTHING) } }
                }
            }
            td data-label=(words::AGAIN) {
                @if let Some(since) = standing.running { (words::running(&texts::time(since))) } @else {
                    form method="post" action="/audit/reconcile" {
                        input type="hidden" name="csrf" value=(csrf);
                        input type="hidden" name="partner" value=(partner);
                        button type="submit" { (words::NOW) span.visually-hidden { (words::with(partner)) } }
                    }
                }
            }
        }
    }
}

/// What came of it: also what is not said.
pub(crate) fn result(partner: &str, outcome: &Outcome) -> Markup {
    html! {
        h3 { (words::result_of(partner)) }
        @match &outcome.result {
            Err(fault) => {
                p.bad { (fault.message) "." }
                @if let Some(next) = texts::next(fault.rule) { p { (next) } }
                p.rule { (texts::frame::rule(html! { code { (fault.rule) } })) }
            }
            Ok(compared) => {
                @if compared.unmatched == 0 { p { (words::all_match(compared.matched + compared.unanswered)) } } @else { (unmatched(compared)) }
                @for sentence in words::silent_about(compared.too_young, compared.erased, compared.left_out) { p.note { (sentence) } }
            }
        }
    }
}

fn unmatched(compared: &Compared) -> Markup {
    let number = |number: Option<u64>| number.map_or_else(|| words::NO_ENTRY.to_owned(), |n| n.to_string());
    html! {
        table {
            caption { (words::listed(compared.listed.len(), compared.unmatched)) }
            thead { tr { @for head in [words::EXCHANGE, words::OUR_ENTRY, words::THEIR_ENTRY, words::WHY] { th scope="col" { (head) } } } }
            tbody { @for exchange in &compared.listed {
                tr {
                    th scope="row" data-label=(words::EXCHANGE) { code.digest { (exchange.exchange.to_string()) } }
                    td data-label=(words::OUR_ENTRY) { (number(exchange.first)) }
                    td data-label=(words::THEIR_ENTRY) { (number(exchange.second)) }
                    td data-label=(words::WHY) { (words::reason(exchange.reason)) }
                }
            } }
        }
    }
}

/// Compares, and shows the page again: with the result, or that it still runs.
pub(crate) async fn now(State(desk): State<Arc<Desk>>, posted: Posted<Audits>) -> Result<Redirect, Shown> {
    let running = reconcile::start(&desk.state, posted.fields.get("partner"))?;
    // However it ends, the page says it: there is nothing to do with the answer here.
    let _ = tokio::time::timeout(PATIENCE, running).await;
    Ok(Redirect::to("/audit#reconcile"))
}
