//! Steps into the database: with their documents and their entries of the ledger, in one transaction.

use std::sync::Arc;

use concordat_disclosure::deadline::Reminder;
use concordat_disclosure::{AnyCase, Decided, Documents, Rules, What, ledger_events};
use concordat_ledger::{Event as LedgerEvent, Side};
use concordat_store::{
    CaseChange, CaseClock, CaseDocument, CasePrivate, CaseRow, NewEntry, NewEvent, PendingStep,
};
use concordat_wire::Fault;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::load::Terms;
use super::{case_side, refused, stored};
use crate::state::State;

/// What a step changes besides the history.
#[derive(Default)]
pub(super) struct Also {
    pub(super) documents: Vec<CaseDocument>,
    pub(super) private: Option<CasePrivate>,
    pub(super) pending: Option<Option<PendingStep>>,
    pub(super) delivered: Option<u32>,
    pub(super) counters: Vec<([u8; 32], u32)>,
    pub(super) suppress: Option<([u8; 32], i64)>,
    /// Documents that are destroyed.
    pub(super) forget: Vec<[u8; 32]>,
    /// Entries of the ledger besides those of the steps.
    pub(super) events: Vec<LedgerEvent>,
    /// The requester's own reference of the case, for the ledger.
    pub(super) case_reference: Option<String>,
}

/// Keeps the steps of `next` after the first `before`, and all that comes with them.
///
/// # Errors
/// `DISC-024` if the case has moved on meanwhile; the ledger was halted; the database failed. Nothing is kept then.
pub(super) async fn keep(
    state: &Arc<State>,
    (terms, documents): (&Terms, &Documents),
    row: &CaseRow,
    (before, next): (usize, &AnyCase),
    also: Also,
) -> Result<(), Fault> {
    let history = next.events();
    let side = super::side_of(row.side);
    let mut entries: Vec<NewEntry> = Vec::new();
    let mut events = Vec::new();
    for place in before..history.len() {
        let event = &history[place];
        let recorded =
            ledger_events(&history[..=place], side, documents, &terms.rules.console).map_err(refused)?;
        for mut event in recorded {
            if let (LedgerEvent::DetailRequested(asked), Some(reference)) = (&mut event, &also.case_reference)
            {
                asked.case_reference = Some(crate::ledger::text(reference));
            }
            entries.push(state.entry_under(&terms.entry.agreement, event)?);
        }
        events.push(NewEvent {
            at_ms: event.at.as_millisecond(),
            private: event.what.is_private(),
            document: Zeroizing::new(concordat_disclosure::Document::encode(event).map_err(refused)?),
        });
    }
    for event in also.events {
        entries.push(state.entry_under(&terms.entry.agreement, event)?);
    }
    let forgets = !also.forget.is_empty();
    let change = CaseChange {
        row: project(row.clone(), next, &terms.rules, state.clock.now()),
        private: also.private,
        events_before: u32::try_from(before).unwrap_or(u32::MAX),
        events,
        documents: also.documents,
        forget: also.forget,
        pending: also.pending,
        delivered: also.delivered,
        counters: also.counters,
        suppress: also.suppress,
    };
    state
        .store
        .recording_all(entries)
        .change_case(change)
        .await
        .map_err(|error| stored(&error))?;
    if forgets {
        super::upkeep::forgotten(state).await?;
    }
    state.desk.tell();
    state.desk.waiting.notify_one();
    Ok(())
}

/// What lists show of a case.
pub(super) fn project(mut row: CaseRow, case: &AnyCase, rules: &Rules, now: Timestamp) -> CaseRow {
    let events = case.events();
    row.state = case.name().to_owned();
    row.waits_for = case.waits_for().map(case_side);
    row.updated_ms = now.as_millisecond().max(row.updated_ms);
    row.head = case.head().0;
    row.step = events
        .last()
        .map_or(0, |event| if event.what.is_private() { 0 } else { event.step });
    let Some(request) = case.request() else {
        return row;
    };
    request.purpose.as_str().clone_into(&mut row.purpose);
    urgency(&request.urgency).clone_into(&mut row.urgency);
    let over = |what: &What| matches!(what, What::Released(_) | What::Withdrawn(_) | What::Expired);
    let refused = case.name() == "REFUSED" || case.events().iter().any(|event| is_refusal(&event.what));
    let ended = refused || case.events().iter().any(|event| over(&event.what));
    row.expires_ms = (!ended).then_some(request.expires.as_millisecond());
    let started = events
        .iter()
        .find(|event| matches!(event.what, What::Acknowledged(_)));
    if let (Some(reading), Some(started)) = (case.clock(now), started) {
        let decided = events.iter().any(|event| matches!(event.what, What::Decided(_)));
        // With the time that the clock stood, unless the owner stated another end.
        let limit = rules.deadlines.limit(&request.urgency);
        let from = reading.due.checked_sub(limit).unwrap_or(started.at);
        let more = events.iter().any(|event| matches!(event.what, What::MoreTime(_)));
        row.clock = Some(CaseClock {
            started_ms: if more { started.at } else { from }.as_millisecond(),
            due_ms: reading.due.as_millisecond(),
            stopped: reading.stopped,
            ended: ended || decided,
            reminded: row.clock.map_or(0, |clock| clock.reminded),
        });
    }
    row
}

fn is_refusal(what: &What) -> bool {
    matches!(what, What::Decided(stated) if stated.result == Decided::Refused)
}

/// How many reminders are due: 1 the desk, 2 the second desk, 3 overdue.
pub(super) fn reminders(reminder: Option<Reminder>) -> u8 {
    match reminder {
        None => 0,
        Some(Reminder::Half) => 1,
        Some(Reminder::SecondDesk) => 2,
        Some(Reminder::Overdue) => 3,
    }
}

fn urgency(urgency: &concordat_disclosure::deadline::Urgency) -> &'static str {
    use concordat_disclosure::deadline::Urgency;
    match urgency {
        Urgency::Normal => "NORMAL",
        _ => "URGENT",
    }
}

/// Steps that both sides have, counted by the requester's chain.
pub(super) fn shared(case: &AnyCase) -> u32 {
    let last = case.events().last();
    last.filter(|event| !event.what.is_private())
        .map_or(0, |event| event.step)
}

/// Whose steps travel: a requester's are pending until the owner has them, an owner's are delivered afterwards.
pub(super) fn waits_for_owner(side: Side, what: &What) -> bool {
    side == Side::Requester && !what.is_private()
}
