//! What a node does by itself: agree, publish, fetch, end epochs, tidy up.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use concordat_store::{AgreementStatus, Purged, ScopeRole, ScopeStatus};
use concordat_wire::v1::ExchangeAgreementRequest;
use concordat_wire::{Fault, Reason};

use crate::agreement::{Agreement, Offer};
use crate::book::{Entry, store_fault};
use crate::jobs::{self, Spec};
use crate::peer_service::merge;
use crate::state::State;
use crate::{fetch, held, publish};

/// Names of lists that changed since their offers were last published.
#[derive(Default)]
pub struct Changed(Mutex<BTreeSet<String>>);

impl Changed {
    /// A list changed.
    pub fn mark(&self, list: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(list.to_owned());
    }

    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs until the node stops: a round at once, then one every `snapshot.poll_interval_s`.
pub async fn run(state: Arc<State>) {
    let pause = Duration::from_secs(u64::from(state.config.snapshot.poll_interval_s));
    loop {
        round(&state).await;
        tokio::select! {
            () = state.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn round(state: &Arc<State>) {
    if let Err(fault) = state.book.reload(&state.store).await {
        tracing::error!(%fault, "reading the agreements");
    }
    for entry in state.book.all() {
        if entry.status == AgreementStatus::Proposed
            && let Err(fault) = countersign(state, &entry).await
        {
            tracing::debug!(agreement = entry.agreement.id, %fault, "the partner has not signed yet");
        }
    }
    if let Err(fault) = end_epochs(state).await {
        tracing::error!(%fault, "ending epochs");
    }
    if state.config.snapshot.auto_publish
        && let Err(fault) = publish_what_is_due(state).await
    {
        tracing::error!(%fault, "publishing");
    }
    for result in fetch_all(state, None).await {
        if let Err(fault) = result {
            tracing::warn!(%fault, "fetching a snapshot");
        }
    }
    if let Err(fault) = jobs::forget_old(state).await {
        tracing::error!(%fault, "deleting old jobs");
    }
    loop {
        match state.store.purge_step().await {
            Ok(Purged::Nothing) => break,
            Ok(_) if state.stop.is_cancelled() => break,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => {
                tracing::error!(%error, "purging");
                break;
            }
        }
    }
}

/// Asks the partner for its signature of an agreement that has only ours.
///
/// # Errors
/// The partner cannot be reached, or has not signed.
pub async fn countersign(state: &State, entry: &Entry) -> Result<(), Fault> {
    let request = ExchangeAgreementRequest {
        note: entry.note.clone(),
    };
    let answer = entry.partner.client().exchange_agreement(request).await;
    let answer = answer
        .map_err(|status| fetch::from_partner(&status))?
        .into_inner();
    let (theirs, note) = Agreement::from_note(&answer.note)?;
    let merged = merge(&entry.agreement, &entry.note, &theirs, &note)?;
    state
        .book
        .keep(&state.store, &entry.agreement, &merged, state.now_ms())
        .await
}

/// Fetches the current epoch of every offer in which we ask, of one partner or of all.
pub async fn fetch_all(state: &State, partner: Option<&str>) -> Vec<Result<u64, Fault>> {
    let now = state.clock.now();
    let mut results = Vec::new();
    for entry in state.book.all() {
        let wanted = partner.is_none_or(|partner| partner == entry.partner.id);
        let Some(epoch) = entry.agreement.epoch_at(now) else {
            continue;
        };
        if !wanted || entry.status != AgreementStatus::Active {
            continue;
        }
        for offer in entry
            .agreement
            .offers
            .iter()
            .filter(|offer| offer.requester == state.us())
        {
            let fetched = fetch::fetch(state, &entry, offer, epoch).await;
            results.push(fetched.map_err(|fault| Fault {
                message: format!("offer {} of {}: {}", offer.id, entry.partner.id, fault.message),
                ..fault
            }));
        }
    }
    results
}

/// Publishes offers whose lists changed, whose epoch is new, or whose snapshot has lived half of its `max_age`.
async fn publish_what_is_due(state: &Arc<State>) -> Result<(), Fault> {
    let running = state
        .store
        .unfinished_jobs()
        .await
        .map_err(|error| store_fault(&error))?;
    if running.iter().any(|job| job.kind == "publish") {
        return Ok(());
    }
    let now = state.clock.now();
    let changed = state.changed.take();
    let mut due = BTreeSet::new();
    for entry in state
        .book
        .all()
        .iter()
        .filter(|entry| entry.status == AgreementStatus::Active)
    {
        let Some(epoch) = entry.agreement.epoch_at(now) else {
            continue;
        };
        for offer in entry
            .agreement
            .offers
            .iter()
            .filter(|offer| offer.owner == state.us())
        {
            let served = publish::served(state, (&entry.agreement, offer, epoch)).await?;
            let half_of_life = i64::try_from(offer.max_age_s / 2).unwrap_or(i64::MAX);
            if !lists_exist(state, offer).await? {
                continue;
            }
            let aged = served.as_ref().is_none_or(|snapshot| {
                now.as_second() - snapshot.manifest().as_of.as_second() >= half_of_life
            });
            if aged || offer.lists.iter().any(|list| changed.contains(list)) {
                due.insert(entry.agreement.id.clone());
            }
        }
    }
    for agreement in due {
        jobs::create(state, &Spec::Publish { agreement }, None).await?;
    }
    Ok(())
}

/// A list that an offer names may not have been loaded yet.
async fn lists_exist(state: &State, offer: &Offer) -> Result<bool, Fault> {
    for name in &offer.lists {
        if state
            .store
            .list(name)
            .await
            .map_err(|error| store_fault(&error))?
            .is_none()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Destroys the keys of epochs that are over, with everything computed under them.
async fn end_epochs(state: &State) -> Result<(), Fault> {
    let now = state.clock.now();
    for entry in state.book.all() {
        let agreement = &entry.agreement;
        for scope in state
            .store
            .scopes(&agreement.id)
            .await
            .map_err(|error| store_fault(&error))?
        {
            let (_, end) = agreement.epoch_bounds(scope.epoch);
            let over = now.as_second() >= end.saturating_add(agreement.grace_s());
            if !over || scope.status == ScopeStatus::Destroyed {
                continue;
            }
            let (offer, epoch) = (&scope.offer_id, scope.epoch);
            state.own_keys.forget(&agreement.id, offer, epoch);
            state.served.forget(&agreement.id, offer, epoch);
            state.held.forget(&agreement.id, offer, epoch);
            // Whether the log was emptied at once does not matter: the next checkpoint does it.
            let _ = state
                .store
                .destroy_key(scope.id, state.now_ms())
                .await
                .map_err(|error| store_fault(&error))?;
            if let Some(offer) = agreement.offer(offer) {
                let role = if scope.role == ScopeRole::Owner {
                    "served"
                } else {
                    "held"
                };
                let folder = held::folder(state, role, agreement, offer, epoch);
                if let Err(error) = tokio::fs::remove_dir_all(&folder).await
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    tracing::error!(%error, "removing the segments of an ended epoch");
                }
            }
            tracing::info!(
                agreement = agreement.id,
                offer = scope.offer_id,
                epoch,
                "ended an epoch, destroyed its key"
            );
        }
    }
    Ok(())
}

/// No agreement with this partner.
pub fn no_such_agreement() -> Fault {
    Fault::new(Reason::NotFound, "AGR-110", "no such agreement").field("agreement_id")
}
