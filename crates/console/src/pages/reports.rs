//! Counts over the latest cases: by purpose and partner, time to decision, approvals per officer, what is overdue.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{AppendHeaders, Html, IntoResponse};
use concordat_disclosure::text::csv_cell;
use concordat_disclosure::{Decided, Document, Event, What};
use concordat_ledger::{Cell, Hex, suppress};
use concordat_node::desk::inbox::{self, CaseCursor, CaseFilter};
use concordat_wire::Fault;
use maud::html;

use super::chart::bars;
use crate::Desk;
use crate::guard::{Audits, Shown, Signed};
use crate::texts::{self, errors, reports as says};

/// Cases that are counted: the most urgent and the latest.
const CASES: usize = 2_000;
const PAGE: u32 = 500;
/// Smaller counts do not leave the agency.
const THRESHOLD: u64 = 5;

#[derive(Default)]
struct Officer {
    approvals: u64,
    minutes: Vec<i64>,
    granted: u64,
    decided: u64,
}

#[derive(Default)]
struct Counts {
    cases: usize,
    requests: BTreeMap<(String, String), u64>,
    outcomes: BTreeMap<&'static str, u64>,
    minutes: Vec<i64>,
    officers: BTreeMap<String, Officer>,
    overdue: u64,
}

async fn count(desk: &Desk) -> Result<Counts, Shown> {
    let state = &desk.state;
    let mut counts = Counts::default();
    let mut after: Option<CaseCursor> = None;
    let now = state.clock.now().as_millisecond();
    while counts.cases < CASES {
        let page = inbox::cases(state, &CaseFilter::default(), after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(CaseCursor::after(last));
        for row in &page {
            counts.cases += 1;
            if row.purpose.is_empty() {
                continue;
            }
            let key = (row.purpose.clone(), row.partner.clone());
            *counts.requests.entry(key).or_default() += 1;
            let running = row.clock.filter(|clock| !clock.ended && !clock.stopped);
            counts.overdue += u64::from(running.is_some_and(|clock| clock.due_ms < now));
            let kept = state.store.case_events(&Hex(row.id).0).await;
            let kept = kept.map_err(|error| Fault::internal(errors::reading_a_case(error)))?;
            let events = kept
                .iter()
                .filter_map(|event| Event::decode(&event.document).ok());
            counts.add(&events.collect::<Vec<_>>());
        }
    }
    Ok(counts)
}

impl Counts {
    fn add(&mut self, events: &[Event]) {
        let at = |wanted: fn(&What) -> bool| {
            events
                .iter()
                .find(|event| wanted(&event.what))
                .map(|event| event.at)
        };
        let begun = at(|what| matches!(what, What::Acknowledged(_)));
        let decided = events.iter().find_map(|event| match &event.what {
            What::Decided(stated) => Some((event.at, stated.result)),
            _ => None,
        });
        let Some((decided_at, result)) = decided else {
            return;
        };
        *self.outcomes.entry(says::decided(result)).or_default() += 1;
        if let Some(begun) = begun {
            self.minutes.push(decided_at.duration_since(begun).as_mins());
        }
        let proposed = at(|what| matches!(what, What::Proposed(_)));
        for event in events {
            if let (What::Approved(_), Some(person)) = (&event.what, &event.by) {
                let officer = self.officers.entry(person.id.as_str().to_owned()).or_default();
                officer.approvals += 1;
                officer.decided += 1;
                officer.granted += u64::from(result != Decided::Refused);
                if let Some(proposed) = proposed {
                    officer.minutes.push(event.at.duration_since(proposed).as_mins());
                }
            }
        }
    }
}

fn median(minutes: &[i64]) -> Option<i64> {
    let mut sorted = minutes.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[expect(clippy::cast_precision_loss, reason = "counts of cases are far below 2^52")]
fn bar(count: u64) -> f64 {
    count as f64
}

/// The reports.
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Audits>,
) -> Result<Html<String>, Shown> {
    let counts = count(&desk).await?;
    let (mut by_purpose, mut by_partner) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    for ((purpose, partner), count) in &counts.requests {
        *by_purpose.entry(texts::code(purpose)).or_default() += count;
        *by_partner.entry(partner.clone()).or_default() += count;
    }
    let rows = |map: &BTreeMap<String, u64>| {
        map.iter()
            .map(|(name, count)| (name.clone(), bar(*count)))
            .collect::<Vec<_>>()
    };
    let outcomes: Vec<_> = counts
        .outcomes
        .iter()
        .map(|(name, count)| ((*name).to_owned(), bar(*count)))
        .collect();
    let body = html! {
        p { (says::over(counts.cases, html! { a href="/audit/reports.csv" { (says::EXPORT) } })) }
        p.note { (says::NO_PERIOD) }
        (bars(says::BY_PURPOSE, &rows(&by_purpose), ""))
        (bars(says::BY_PARTNER, &rows(&by_partner), ""))
        (bars(says::DECISIONS, &outcomes, ""))
        section aria-labelledby="times" {
            h2 #times { (says::TIME_TO_DECISION) }
            p { @match median(&counts.minutes) { Some(minutes) => { (says::median(html! { strong { (says::minutes(minutes)) } }, counts.minutes.len())) } None => { (says::NOTHING_DECIDED) } } }
            p { (says::overdue(html! { strong { (counts.overdue) } })) }
        }
        section aria-labelledby="per-officer" {
            h2 #per-officer { (says::PER_OFFICER) }
            p.note { (says::NO_PROOF) }
            @if counts.officers.is_empty() { p.empty { (says::NOBODY_APPROVED) } } @else {
                table {
                    caption.visually-hidden { (says::PER_OFFICER) }
                    thead { tr { th scope="col" { (says::OFFICER) } th scope="col" { (says::APPROVALS) } th scope="col" { (says::MEDIAN_TIME) } th scope="col" { (says::OF_DECISIONS_RELEASED) } } }
                    tbody { @for (name, officer) in &counts.officers {
                        tr {
                            th scope="row" data-label=(says::OFFICER) { (name) }
                            td data-label=(says::APPROVALS) { (officer.approvals) }
                            td data-label=(says::MEDIAN_TIME) { (median(&officer.minutes).map(says::short_minutes).unwrap_or_default()) }
                            td data-label=(says::RELEASED) { (says::percent(officer.granted * 100 / officer.decided.max(1))) }
                        }
                    } }
                }
            }
        }
    };
    Ok(signed.page(says::TITLE).show(&body))
}

/// Requests by purpose and partner, small counts withheld so that none can be worked out.
pub(crate) async fn export(
    State(desk): State<Arc<Desk>>,
    _signed: Signed<Audits>,
) -> Result<impl IntoResponse, Shown> {
    let counts = count(&desk).await?;
    let purposes: std::collections::BTreeSet<&String> =
        counts.requests.keys().map(|(purpose, _)| purpose).collect();
    let partners: std::collections::BTreeSet<&String> =
        counts.requests.keys().map(|(_, partner)| partner).collect();
    let of = |purpose: &str, partner: &str| {
        counts
            .requests
            .get(&(purpose.to_owned(), partner.to_owned()))
            .copied()
            .unwrap_or(0)
    };
    let table: Vec<Vec<u64>> = purposes
        .iter()
        .map(|purpose| partners.iter().map(|partner| of(purpose, partner)).collect())
        .collect();
    let withheld = suppress(&table, THRESHOLD);
    let mut text = csv_cell(says::COLUMN_PURPOSE);
    for partner in &partners {
        text += &format!(",{}", csv_cell(partner));
    }
    text += "\r\n";
    for (purpose, row) in purposes.iter().zip(&withheld) {
        text += &csv_cell(purpose);
        for cell in row.iter().take(partners.len()) {
            text += &match cell {
                Cell::Exact(count) => format!(",{count}"),
                Cell::Withheld => format!(",{}", says::WITHHELD),
            };
        }
        text += "\r\n";
    }
    let headers = AppendHeaders([
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"requests.csv\"",
        ),
    ]);
    Ok((headers, text))
}
