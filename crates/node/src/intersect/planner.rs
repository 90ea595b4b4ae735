//! The chunks of a request, in their order: planned on disk before they are sent.

use std::sync::Arc;

use concordat_store::{
    ChunkItem, ChunkPlan, IdentifierRow, JobId, JobRequest, ScopeId, Selection, StoreError,
};
use concordat_wire::Fault;
use tokio::sync::mpsc;

use super::Plans;
use crate::book::store_fault;
use crate::chunk::{ChunkInput, MIN_DUMMIES};
use crate::rows::identifier_of;
use crate::state::State;

/// Makes chunks: first those planned before a crash, then new ones, as many as the request has.
pub(super) struct Planner {
    pub(super) state: Arc<State>,
    pub(super) job: JobId,
    pub(super) scope: ScopeId,
    pub(super) selection: Selection,
    pub(super) request: JobRequest,
    pub(super) again: Vec<ChunkPlan>,
    pub(super) left: usize,
    pub(super) plans: Plans,
}

impl Planner {
    /// Makes chunks until there are no more, or nobody takes them.
    pub(super) async fn run(self, first: ChunkInput, planned: mpsc::Sender<ChunkInput>) -> Result<(), Fault> {
        let (mut chunk, mut planner) = (first, self);
        while planned.send(chunk).await.is_ok() {
            match planner.next().await? {
                Some(next) => (chunk, planner) = next,
                None => break,
            }
        }
        Ok(())
    }

    /// The next chunk; `None` when there is nothing more to ask in this stream.
    pub(super) async fn next(mut self) -> Result<Option<(ChunkInput, Self)>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let plan = if self.again.is_empty() {
            match self.plan().await? {
                Some(plan) => plan,
                None => return Ok(None),
            }
        } else {
            self.again.remove(0)
        };
        let mut inputs = Vec::with_capacity(plan.items.len());
        for (number, item) in plan.items.iter().enumerate() {
            let row = IdentifierRow {
                kind: self.selection.kind,
                rule: item.rule,
                grade: item.grade,
                variant: false,
                canonical: item.canonical.clone(),
            };
            let identifier =
                identifier_of(&row).ok_or_else(|| Fault::internal("an identifier of a newer version"))?;
            inputs.push((number, identifier.oprf_input()));
        }
        let size = self.share(self.request.elements, plan.index) as usize;
        let blind_indexes = plan.items.iter().map(|item| item.blind_index).collect();
        self.plans.lock().await.insert(plan.index, blind_indexes);
        Ok(Some((
            ChunkInput {
                index: plan.index,
                inputs,
                size,
                seed: plan.seed,
            },
            self,
        )))
    }

    /// Plans the next chunk and writes the plan down. The number of chunks and their sizes are those of the request,
    /// even if what there is to ask has become less.
    async fn plan(&self) -> Result<Option<ChunkPlan>, Fault> {
        let store = &self.state.store;
        let fault = |error: StoreError| store_fault(&error);
        let cursor = store.plan_cursor(self.job, self.scope).await.map_err(fault)?;
        let index = cursor.map_or(0, |cursor| cursor.next_index);
        if index >= self.request.first_index + self.request.chunks {
            return Ok(None);
        }
        // A request begins at the beginning: its identifiers are those that had no tag then.
        let after = cursor
            .filter(|_| index > self.request.first_index)
            .map(|cursor| cursor.after);
        let room = self
            .share(self.request.elements, index)
            .saturating_sub(MIN_DUMMIES as u64);
        let limit = self.share(self.request.identifiers, index).min(room);
        let page = store
            .unasked_page(
                self.scope,
                &self.selection,
                after,
                u32::try_from(limit).unwrap_or(u32::MAX),
            )
            .await
            .map_err(fault)?;
        let plan = ChunkPlan {
            job: self.job,
            scope: self.scope,
            index,
            seed: self.state.entropy.seed(),
            items: page
                .into_iter()
                .map(|indexed| ChunkItem {
                    blind_index: indexed.blind_index,
                    rule: indexed.identifier.rule,
                    grade: indexed.identifier.grade,
                    canonical: indexed.identifier.canonical,
                })
                .collect(),
        };
        store.plan_chunk(&plan).await.map_err(fault)?;
        Ok(Some(plan))
    }

    /// A chunk's part of what is spread evenly over all of them: as in [`layout`].
    fn share(&self, of: u64, index: u32) -> u64 {
        let chunks = u64::from(self.request.chunks);
        let place = u64::from(index.saturating_sub(self.request.first_index));
        of / chunks + u64::from(place < of % chunks)
    }
}
