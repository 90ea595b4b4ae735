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
use crate::texts::{self, audit as says, errors};

/// How the ledger stands, how to check it without us, and every case.
pub(crate) async fn ledger(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Audits>,
) -> Result<Html<String>, Shown> {
    let state = &desk.state;
    let stored = |error| concordat_wire::Fault::internal(errors::reading_the_ledger(error));
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
    let folder = state.ledger.folder().file_name();
    let folder = folder.map(|name| name.to_string_lossy()).unwrap_or_default();
    let body = html! {
        section aria-labelledby="state" {
            h2 #state { (says::LEDGER) }
            @if let Some(why) = state.ledger.halted() {
                p.bad role="alert" { (says::halted(why)) }
            }
            dl {
                div { dt { (says::RECORDED) } dd { (says::entries(recorded)) } }
                @match &latest {
                    Some(checkpoint) => {
                        div { dt { (says::PUBLISHED) } dd { (says::entries(checkpoint.size())) } }
                        div { dt { (says::ROOT) } dd { code.digest { (checkpoint.root().to_string()) } } }
                    }
                    None => { div { dt { (says::PUBLISHED) } dd { (says::NOTHING_PUBLISHED) } } }
                }
                div { dt { (says::KEY) } dd { code.digest { (state.ledger.verifier().to_string()) } } }
            }
            table {
                caption { (says::WITNESSES) }
                thead { tr { th scope="col" { (says::PARTNER) } th scope="col" { (says::COSIGNED_OURS) } th scope="col" { (says::COSIGNED_THEIRS) } } }
                tbody { @for (partner, ours, theirs) in &witnesses {
                    tr { th scope="row" data-label=(says::PARTNER) { (partner) } td data-label=(says::COSIGNED_OURS) { (yes(*ours)) } td data-label=(says::COSIGNED_THEIRS) { (yes(*theirs)) } }
                } }
            }
            details {
                summary { (says::CHECK) }
                p { (says::FROM_FILES) }
                pre tabindex="0" { (says::commands(&folder)) }
            }
        }
        (reconcile::section(&desk, &signed))
        section aria-labelledby="cases" {
            h2 #cases { (says::CASES) }
            p { @for count in &counts { span.count { (says::counted(texts::state(&count.state), html! { strong { (count.cases) } })) } " " } }
            @if rows.is_empty() { p.empty { (says::NO_CASES) } } @else { (table(&rows, state.clock.now())) }
            p { (says::latest(html! { a href="/?show=all" { (says::SEARCH_ALL) } })) }
            p.note { (says::REPLAY) }
        }
    };
    Ok(signed.page(says::TITLE).show(&body))
}

fn yes(yes: bool) -> &'static str {
    if yes { says::YES } else { says::NOT_YET }
}
