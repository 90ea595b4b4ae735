//! The ledger's state, and cases to replay.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use concordat_node::desk::inbox::{self, CaseFilter};
use maud::html;

use super::inbox::table;
use super::reconcile;
use crate::Desk;
use crate::guard::{Audits, Shown, Signed};
use crate::texts;

/// How the ledger stands, how to check it without us, and every case.
pub(crate) async fn ledger(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Audits>,
) -> Result<Html<String>, Shown> {
    let state = &desk.state;
    let stored = |error| concordat_wire::Fault::internal(format!("reading the ledger: {error}"));
    let recorded = state.store.ledger_size().await.map_err(stored)?;
    let latest = state.ledger.checkpoints().borrow().clone();
    let mut witnesses = Vec::new();
    for entry in state.book.even_ended() {
        let kept = state.store.witness(&entry.partner.id).await.map_err(stored)?;
        witnesses.push((
            entry.partner.id.clone(),
            kept.ours.is_some(),
            kept.theirs.is_some(),
        ));
    }
    witnesses.sort();
    witnesses.dedup();
    let rows = inbox::cases(state, &CaseFilter::default(), None, 200).await?;
    let counts = inbox::counts(state).await?;
    let body = html! {
        section aria-labelledby="state" {
            h2 #state { "Ledger" }
            @if let Some(why) = state.ledger.halted() {
                p.bad role="alert" { "The ledger is halted: " (why) }
            }
            dl {
                div { dt { "Recorded" } dd { (recorded) " entries" } }
                @match &latest {
                    Some(checkpoint) => {
                        div { dt { "Published" } dd { (checkpoint.size()) " entries" } }
                        div { dt { "Root" } dd { code.digest { (checkpoint.root().to_string()) } } }
                    }
                    None => { div { dt { "Published" } dd { "nothing yet" } } }
                }
                div { dt { "Key" } dd { code.digest { (state.ledger.verifier().to_string()) } } }
            }
            table {
                caption { "Witnesses: who has cosigned what the other published" }
                thead { tr { th scope="col" { "Partner" } th scope="col" { "has cosigned ours" } th scope="col" { "we have cosigned theirs" } } }
                tbody { @for (partner, ours, theirs) in &witnesses {
                    tr { th scope="row" data-label="Partner" { (partner) } td data-label="has cosigned ours" { (yes(*ours)) } td data-label="we have cosigned theirs" { (yes(*theirs)) } }
                } }
            }
            details {
                summary { "Check it without trusting this page" }
                p { "From the published files and the key above alone:" }
                pre tabindex="0" { "concordat audit verify " (desk.state.ledger.folder().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()) " --key KEY\nconcordat audit reconcile EXPORT --files OURS --key KEY --other-files THEIRS --other-key THEIR-KEY" }
            }
        }
        (reconcile::section(&desk, &signed))
        section aria-labelledby="cases" {
            h2 #cases { "Cases" }
            p { @for count in &counts { span.count { (texts::state(&count.state)) ": " strong { (count.cases) } } " " } }
            @if rows.is_empty() { p.empty { "There are no cases." } } @else { (table(&rows, state.clock.now())) }
            p { "The 200 most urgent and latest. " a href="/?show=all" { "Search all cases" } " by state, partner or id." }
            p.note { "Open a case to replay it step by step; each signature is verified as you look. What was released is not shown to auditors." }
        }
    };
    Ok(signed.page("Audit").show(&body))
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "not yet" }
}
