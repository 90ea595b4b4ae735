//! Lists of cases.

use concordat_wire::Fault;
use tokio::sync::watch;

use super::stored;
use crate::state::State;

pub use concordat_store::{CaseClock, CaseCount, CaseCursor, CaseFilter, CaseRow, CaseSide};

/// A page of cases, the most urgent first.
///
/// # Errors
/// The database failed.
pub async fn cases(
    state: &State,
    filter: &CaseFilter,
    after: Option<CaseCursor>,
    limit: u32,
) -> Result<Vec<CaseRow>, Fault> {
    let page = state.store.cases(filter, after, limit.clamp(1, 500)).await;
    page.map_err(|error| stored(&error))
}

/// How many cases there are, by side, state and whose turn it is.
///
/// # Errors
/// The database failed.
pub async fn counts(state: &State) -> Result<Vec<CaseCount>, Fault> {
    state.store.case_counts().await.map_err(|error| stored(&error))
}

/// Rises with every change of a case.
pub fn changes(state: &State) -> watch::Receiver<u64> {
    state.desk.changes()
}
