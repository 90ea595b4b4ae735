//! What the node does in cases by itself: decides when enough have approved, reminds, notes that a request is void, erases.

use std::sync::Arc;
use std::time::Duration;

use concordat_disclosure::{CaseId, Step, What, rule};
use concordat_ledger::{Hex, Reminded, Side};
use concordat_store::{CaseClock, CaseFilter, CaseSide, Erasure};
use concordat_wire::Fault;
use jiff::Timestamp;

use super::act::{self, commit, plain};
use super::keep::{Also, keep, reminders};
use super::load::{Loaded, load};
use super::{deliver, stored};
use crate::ledger::text;
use crate::matching::in_force;
use crate::state::State;

/// Cases looked at in one round.
const ROUND: u32 = 256;
/// How often the clocks are looked at.
const PAUSE: Duration = Duration::from_secs(10);

/// Decides a case whose approvals are complete and whose cooling-off is over; the case's turn is the caller's.
///
/// # Errors
/// The database or the ledger failed.
pub(super) async fn decide(state: &Arc<State>, id: CaseId) -> Result<(), Fault> {
    let loaded = load(state, id).await?;
    if loaded.side != Side::Owner {
        return Ok(());
    }
    let Some(taken) = act::decided(&loaded) else {
        return Ok(());
    };
    if in_force(&loaded.terms.entry).is_err() {
        return Ok(());
    }
    let step = by_node(state, &loaded);
    match commit(state, &loaded, &step, taken).await {
        Ok(()) => deliver::now(state, id).await,
        // Not yet.
        Err(fault) if [rule::QUORUM.id, rule::COOLING_OFF.id].contains(&fault.rule) => Ok(()),
        // Too late: it is noted as void.
        Err(fault) if fault.rule == rule::EXPIRY.id => Ok(()),
        Err(fault) => Err(fault),
    }
}

fn by_node(state: &State, loaded: &Loaded) -> Step {
    Step {
        side: loaded.side,
        at: act::now(state, &loaded.case),
        by: None,
    }
}

/// Looks at the clocks of all cases, until the node stops.
pub async fn run(state: Arc<State>) {
    loop {
        if let Err(fault) = round(&state).await {
            tracing::error!(%fault, "looking after cases");
        }
        tokio::select! {
            () = state.stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// One look at what is due.
///
/// # Errors
/// The database failed.
pub async fn round(state: &Arc<State>) -> Result<(), Fault> {
    let mut due = state
        .store
        .cases_due(state.now_ms(), ROUND)
        .await
        .map_err(|error| stored(&error))?;
    // Those whose cooling-off may be over.
    let approving = CaseFilter {
        side: Some(CaseSide::Owner),
        state: Some("APPROVING".to_owned()),
        ..CaseFilter::default()
    };
    due.extend(
        state
            .store
            .cases(&approving, None, ROUND)
            .await
            .map_err(|error| stored(&error))?,
    );
    for row in due {
        let id = Hex(row.id);
        let _turn = state.desk.turn(id).await;
        if let Err(fault) = look_after(state, id).await {
            tracing::warn!(case = %id, %fault, "looking after a case");
        }
    }
    state
        .store
        .expire_suppressions(state.now_ms())
        .await
        .map_err(|error| stored(&error))?;
    erase(state).await
}

/// Cases go when the ledger's entries about them do; what the ledger committed to stays.
async fn erase(state: &Arc<State>) -> Result<(), Fault> {
    let agreements = state.store.agreements_of_cases().await;
    let mut erased = 0;
    for agreement in agreements.map_err(|error| stored(&error))? {
        let entry = state.book.get(&agreement);
        let years = state
            .retention(entry.as_deref().map(|entry| &entry.agreement))
            .years();
        let before_ms = state.now_ms() - i64::from(years) * 366 * 86_400_000;
        loop {
            let gone = state.store.erase_cases(&agreement, before_ms, ROUND).await;
            match gone.map_err(|error| stored(&error))? {
                0 => break,
                gone => erased += gone,
            }
        }
    }
    if erased > 0 {
        tracing::info!(erased, "cases that nobody has moved for so long are erased");
        forgotten(state).await?;
    }
    Ok(())
}

/// Empties the database's log: what was destroyed is then gone from the disk.
///
/// # Errors
/// The database failed.
pub(super) async fn forgotten(state: &State) -> Result<(), Fault> {
    match state.store.checkpoint().await.map_err(|error| stored(&error))? {
        Erasure::Complete => {}
        Erasure::LogInUse => tracing::info!(
            "a long read keeps erased bytes in the database's log; the next checkpoint empties it"
        ),
    }
    Ok(())
}

async fn look_after(state: &Arc<State>, id: CaseId) -> Result<(), Fault> {
    decide(state, id).await?;
    let loaded = load(state, id).await?;
    if loaded.side == Side::Owner && is_void(state, &loaded) {
        let step = by_node(state, &loaded);
        commit(state, &loaded, &step, plain(What::Expired, &loaded)).await?;
        return deliver::now(state, id).await;
    }
    remind(state, &loaded).await
}

fn is_void(state: &State, loaded: &Loaded) -> bool {
    let open = loaded.row.clock.is_some_and(|clock| !clock.ended)
        || matches!(loaded.case.name(), "APPROVED" | "PARTIAL");
    let expires = loaded.case.request().map(|request| request.expires);
    open && expires.is_some_and(|expires| act::now(state, &loaded.case) >= expires)
}

/// The next reminder, on record: 50 % the desk, 80 % the second desk, 100 % overdue.
async fn remind(state: &Arc<State>, loaded: &Loaded) -> Result<(), Fault> {
    let (Some(clock), Some(reading)) = (loaded.row.clock, loaded.case.clock(state.clock.now())) else {
        return Ok(());
    };
    let due = reminders(reading.reminder);
    if clock.ended || clock.stopped || due <= clock.reminded {
        return Ok(());
    }
    let to = match due {
        1 => "desk",
        2 => "second desk",
        _ => "supervisor",
    };
    let reminded = Reminded {
        exchange: Hex(loaded.row.exchange),
        case: loaded.id(),
        side: loaded.side,
        number: u32::from(due),
        partner: text(&loaded.row.partner),
        to: text(to),
        due: Timestamp::from_millisecond(clock.due_ms).unwrap_or(Timestamp::MAX),
    };
    let mut row = loaded.row.clone();
    row.clock = Some(CaseClock {
        reminded: due,
        ..clock
    });
    let also = Also {
        events: vec![reminded.into()],
        ..Also::default()
    };
    let before = loaded.case.events().len();
    keep(
        state,
        (&loaded.terms, &loaded.documents),
        &row,
        (before, &loaded.case),
        also,
    )
    .await
}
