//! What needs me, by deadline; hits; all cases.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use concordat_disclosure::{CaseId, Role};
use concordat_node::desk::inbox::{self, CaseCursor, CaseFilter, CaseRow, CaseSide};
use concordat_store::CaseTurn;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use tokio_stream::wrappers::WatchStream;

use super::clock::clock;
use crate::Desk;
use crate::guard::{Anybody, Reads, Shown, Signed};
use crate::texts::{self, inbox as says};

/// Cases on a page.
const PAGE: u32 = 50;

/// How long a page is told of changes without asking again.
const LISTENING: Duration = Duration::from_secs(300);

/// What is to be listed.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    /// `hits`, `all`, else what needs us.
    #[serde(default)]
    show: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    partner: String,
    /// One case by its id, as the ledger and the other systems write it.
    #[serde(default)]
    case: String,
    /// Where the page before ended.
    #[serde(default)]
    after: String,
}

/// The list that somebody's role begins with.
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Anybody>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Shown> {
    if !signed.is(Role::ANY_DESK) && !signed.is(&[Role::Auditor]) {
        return Ok(Redirect::to("/admin").into_response());
    }
    if !signed.is(Role::ANY_DESK) && wanted.show.is_empty() {
        return Ok(Redirect::to("/audit").into_response());
    }
    if let Some(id) = CaseId::parse(wanted.case.trim()) {
        return Ok(Redirect::to(&format!("/cases/{id}")).into_response());
    }
    let (title, filter) = filter(&wanted);
    let after = cursor(&wanted.after);
    let rows = inbox::cases(&desk.state, &filter, after, PAGE).await?;
    let now = desk.state.clock.now();
    let next = (rows.len() as u64 == u64::from(PAGE))
        .then(|| rows.last().map(mark))
        .flatten();
    let mut page = signed.page(title);
    page.live = true;
    let body = html! {
        (filters(&desk, &wanted))
        @if rows.is_empty() {
            p.empty { (empty(&wanted.show)) }
        } @else {
            (table(&rows, now))
        }
        @if let Some(next) = next {
            p { a.next href=(format!("/?show={}&state={}&partner={}&after={next}", wanted.show, encoded(&wanted.state), encoded(&wanted.partner))) { (says::NEXT_PAGE) } }
        }
    };
    Ok(page.show(&body).into_response())
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn filter(wanted: &Wanted) -> (&'static str, CaseFilter) {
    let mut filter = CaseFilter {
        state: (!wanted.state.is_empty()).then(|| wanted.state.clone()),
        partner: (!wanted.partner.is_empty()).then(|| wanted.partner.clone()),
        ..CaseFilter::default()
    };
    let title = match wanted.show.as_str() {
        "hits" => {
            filter.side = Some(CaseSide::Requester);
            filter.turn = Some(CaseTurn::Ours);
            says::HITS
        }
        "all" => says::ALL,
        _ => {
            filter.turn = Some(CaseTurn::Ours);
            says::INBOX
        }
    };
    (title, filter)
}

fn empty(show: &str) -> &'static str {
    match show {
        "hits" => says::NO_HITS,
        "all" => says::NO_CASES,
        _ => says::NOTHING_WAITS,
    }
}

fn filters(desk: &Desk, wanted: &Wanted) -> Markup {
    let partners: std::collections::BTreeSet<String> = desk
        .state
        .book
        .all()
        .iter()
        .map(|entry| entry.partner.id.clone())
        .collect();
    let filtered = [&wanted.state, &wanted.partner, &wanted.case]
        .iter()
        .any(|given| !given.is_empty());
    html! {
        // Shut, so that on a small screen the cases come first; open while it hides some.
        details open[filtered] {
            summary { (says::FILTER_AND_SEARCH) }
            form.filters method="get" action="/" role="search" aria-label=(says::FILTER_CASES) {
                input type="hidden" name="show" value=(wanted.show);
                div {
                    label for="state" { (says::STATE) }
                    select #state name="state" {
                        option value="" { (says::ANY) }
                        @for state in concordat_disclosure::AnyCase::STATES {
                            option value=(state) selected[*state == wanted.state] { (texts::state(state)) }
                        }
                    }
                }
                div {
                    label for="partner" { (says::PARTNER) }
                    select #partner name="partner" {
                        option value="" { (says::ANY) }
                        @for partner in &partners {
                            option value=(partner) selected[*partner == wanted.partner] { (partner) }
                        }
                    }
                }
                div {
                    label for="case" { (says::CASE_ID) }
                    input #case name="case" value=(wanted.case) maxlength="64" autocomplete="off" spellcheck="false";
                    @if !wanted.case.is_empty() { small { (says::NOT_AN_ID) } }
                }
                button type="submit" { (says::FILTER) }
            }
        }
    }
}

/// Cases as a table; on a narrow screen each row is a card.
pub(crate) fn table(rows: &[CaseRow], now: Timestamp) -> Markup {
    html! {
        table.cases {
            caption.visually-hidden { (says::TABLE) }
            thead { tr {
                th scope="col" { (says::CASE) }
                th scope="col" { (says::STATE) }
                th scope="col" { (says::PARTNER) }
                th scope="col" { (says::PURPOSE) }
                th scope="col" { (says::TIME_LEFT) }
                th scope="col" { (says::LAST_CHANGE) }
            } }
            tbody {
                @for row in rows {
                    @let id = hex::encode(row.id);
                    @let updated = Timestamp::from_millisecond(row.updated_ms).unwrap_or(now);
                    tr {
                        th scope="row" data-label=(says::CASE) { a href=(format!("/cases/{id}")) { code { (&id[24..]) } } " " (side(row.side)) }
                        td data-label=(says::STATE) {
                            (texts::state(&row.state))
                            @if row.urgency == "URGENT" { " " strong.urgent { (says::URGENT) } }
                        }
                        td data-label=(says::PARTNER) { (row.partner) }
                        td data-label=(says::PURPOSE) { (texts::code(if row.purpose.is_empty() { &row.kind } else { &row.purpose })) }
                        td data-label=(says::TIME_LEFT) { (clock(row, now)) }
                        td data-label=(says::LAST_CHANGE) { time datetime=(updated.to_string()) { (texts::time(updated)) } }
                    }
                }
            }
        }
    }
}

/// Which side we are, in a word.
pub(crate) fn side(side: CaseSide) -> Markup {
    match side {
        CaseSide::Requester => html! { span.side { (says::WE_ASK) } },
        CaseSide::Owner => html! { span.side { (says::WE_ARE_ASKED) } },
    }
}

fn mark(row: &CaseRow) -> String {
    let cursor = CaseCursor::after(row);
    format!(
        "{:x}-{:x}-{}",
        cursor.due_ms,
        cursor.opened_ms,
        hex::encode(cursor.id)
    )
}

fn cursor(text: &str) -> Option<CaseCursor> {
    let mut parts = text.split('-');
    let mut number = || i64::from_str_radix(parts.next()?, 16).ok();
    let (due_ms, opened_ms) = (number()?, number()?);
    let mut id = [0; 16];
    hex::decode_to_slice(parts.next()?, &mut id).ok()?;
    Some(CaseCursor {
        due_ms,
        opened_ms,
        id,
    })
}

/// Tells an open page that something has changed; what, it asks for itself.
pub(crate) async fn events(
    State(desk): State<Arc<Desk>>,
    _signed: Signed<Reads>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stop = desk.state.stop.clone();
    let changes = WatchStream::from_changes(inbox::changes(&desk.state));
    let events = changes.map(|_| Ok(Event::default().event("changed").data("")));
    // Then the browser asks again, and whether the session still holds is looked at anew.
    let events = events.take_until(async move {
        let _ = tokio::time::timeout(LISTENING, stop.cancelled()).await;
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(20)))
}
