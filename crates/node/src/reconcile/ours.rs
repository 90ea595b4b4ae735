//! What our own ledger says of exchanges with a partner.

use std::collections::VecDeque;
use std::sync::Arc;

use concordat_ledger::{EntryType, ExchangeRecord};
use concordat_store::EntryFilter;
use concordat_wire::Fault;

use super::{SETTLED_MINUTES, stopping};
use crate::audit_service::{Pages, open};
use crate::state::State;

/// Entries of ours that are compared, the newest: about 2 kB each while it runs.
const MAX_RECORDS: usize = 40_000;
/// What the entries about exchanges are.
const KINDS: [EntryType; 4] = [
    EntryType::QueryOpened,
    EntryType::Query,
    EntryType::EvaluationOpened,
    EntryType::Evaluation,
];

/// The newest of them, opened.
pub(super) struct Ours {
    pub(super) records: VecDeque<ExchangeRecord>,
    pub(super) erased: u64,
    pub(super) left_out: u64,
    /// From this entry on they are too young to be missed.
    pub(super) fresh_from: u64,
}

impl Ours {
    pub(super) async fn read(state: &Arc<State>, partner: &str) -> Result<Self, Fault> {
        let young = state.now_ms() - SETTLED_MINUTES * 60_000;
        let mut ours = Self {
            records: VecDeque::new(),
            erased: 0,
            left_out: 0,
            fresh_from: u64::MAX,
        };
        let mut pages = Pages::new(Arc::clone(state), EntryFilter::default()).await?;
        while let Some(page) = pages.next().await? {
            if state.stop.is_cancelled() {
                return Err(stopping());
            }
            for kept in page {
                // One that is dated in the future was written by a clock that was wrong, and hides nothing.
                if kept.at_ms > young && kept.at_ms <= state.now_ms() {
                    ours.fresh_from = ours.fresh_from.min(kept.number);
                }
                if !KINDS.iter().any(|kind| kind.name() == kept.kind) {
                    continue;
                }
                let Some((_, entry)) = open(&kept)? else {
                    ours.erased += 1;
                    continue;
                };
                let with = entry.event.partner().is_some_and(|with| with.as_str() == partner);
                let Some(record) = ExchangeRecord::new(kept.number, &entry.event).filter(|_| with) else {
                    continue;
                };
                ours.records.push_back(record);
                if ours.records.len() > MAX_RECORDS {
                    ours.records.pop_front();
                    ours.left_out += 1;
                }
            }
        }
        Ok(ours)
    }
}
