//! What a node does by itself: agree, publish, fetch, end epochs, tidy up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use concordat_ledger::{Actor, KeyChange};
use concordat_store::{AgreementStatus, Purged, Scope, ScopeRole, ScopeStatus};
use concordat_wire::v1::ExchangeAgreementRequest;
use concordat_wire::{Fault, Reason};
use tokio::task::JoinHandle;

use crate::agreement::Agreement;
use crate::book::{Entry, is_over};
use crate::jobs::{self, Spec};
use crate::ledger::text;
use crate::peer_service::merge;
use crate::state::State;
use crate::{asked, erasure, fetch, held, keys, publish};

/// Seconds before a publication that failed is tried again, unless a person asks for it: doubled with each failure up to
/// the most, which is a quarter of the shortest life that a snapshot can have.
const RETRY_S: i64 = 60;
const MOST_RETRY_S: i64 = 900;

/// Offers of ours that could not be published when it was last tried, and why.
#[derive(Default)]
pub struct Troubles(Mutex<BTreeMap<(String, String), Trouble>>);

#[derive(Default)]
struct Trouble {
    cause: String,
    /// Publications that failed, one after the other.
    failures: u32,
    /// The node does not try again by itself before this second.
    not_before_s: i64,
}

impl Troubles {
    /// The offer can be published, as far as we know.
    pub fn none(&self, agreement: &str, offer: &str) {
        let name = (agreement.to_owned(), offer.to_owned());
        if self.lock().remove(&name).is_some() {
            tracing::info!(agreement, offer, "the offer can be published again");
        }
    }

    /// A publication was not even tried, since this stands in its way. It is looked at again in each round.
    pub fn stands(&self, agreement: &str, offer: &str, cause: String) {
        let trouble = Trouble {
            cause,
            ..Trouble::default()
        };
        self.keep(agreement, offer, trouble);
    }

    /// A publication failed at second `now_s`.
    pub fn failed(&self, agreement: &str, offer: &str, cause: String, now_s: i64) {
        let name = (agreement.to_owned(), offer.to_owned());
        let before = self.lock().get(&name).map_or(0, |trouble| trouble.failures);
        let wait_s = (RETRY_S << before.min(8)).min(MOST_RETRY_S);
        let trouble = Trouble {
            cause,
            failures: before.saturating_add(1),
            not_before_s: now_s.saturating_add(wait_s),
        };
        self.keep(agreement, offer, trouble);
    }

    /// A cause is logged when it is new.
    fn keep(&self, agreement: &str, offer: &str, trouble: Trouble) {
        let cause = trouble.cause.clone();
        let before = self
            .lock()
            .insert((agreement.to_owned(), offer.to_owned()), trouble);
        if before.is_none_or(|before| before.cause != cause) {
            tracing::warn!(
                agreement,
                offer,
                cause,
                "the offer cannot be published: partners keep what was published last until it is too old"
            );
        }
    }

    /// Whether a publication failed too short a time ago for the node to try again by itself.
    fn waits(&self, agreement: &str, offer: &str, now_s: i64) -> bool {
        let name = (agreement.to_owned(), offer.to_owned());
        self.lock()
            .get(&name)
            .is_some_and(|trouble| now_s < trouble.not_before_s)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an offer could not be published.
    pub fn of(&self, agreement: &str, offer: &str) -> Option<String> {
        let name = (agreement.to_owned(), offer.to_owned());
        self.lock().get(&name).map(|trouble| trouble.cause.clone())
    }
}

/// Destroys the keys of epochs that are over and what the ledger need not keep any longer, and writes down what was left out of
/// refusals, until the node stops. Apart
/// from everything else, so that nothing a partner does or a publication takes can keep it alive.
pub async fn end_keys(state: Arc<State>) {
    let pause = Duration::from_secs(u64::from(state.config.snapshot.poll_interval_s.min(60)));
    loop {
        end_epochs(&state).await;
        if let Err(fault) = erasure::erase_due(&state).await {
            tracing::error!(%fault, "erasing entries of the ledger");
        }
        erasure::empty_log(&state).await;
        state.record_left_out(false).await;
        tokio::select! {
            () = state.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs until the node stops: a round at once, then one every `snapshot.poll_interval_s`.
pub async fn run(state: Arc<State>) {
    let pause = Duration::from_secs(u64::from(state.config.snapshot.poll_interval_s));
    let mut visits = HashMap::new();
    while !state.stop.is_cancelled() {
        round(&state, &mut visits).await;
        tokio::select! {
            () = state.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    futures_util::future::join_all(visits.into_values()).await;
}

async fn round(state: &Arc<State>, visits: &mut HashMap<String, JoinHandle<()>>) {
    if let Err(fault) = state.book.reload(&state.store).await {
        tracing::error!(%fault, "reading the agreements");
    }
    match jobs::resume_dropped(state, "publish").await {
        Ok(false) if state.config.snapshot.auto_publish => publish_what_is_due(state).await,
        Ok(_) => {}
        Err(fault) => tracing::error!(%fault, "reading the jobs"),
    }
    // Each partner in a task of its own: one that never answers delays itself only.
    visits.retain(|_, visit| !visit.is_finished());
    for partner in partners(state) {
        visits.entry(partner).or_insert_with_key(|partner| {
            let (state, partner) = (Arc::clone(state), partner.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = state.stop.cancelled() => {}
                    () = visit(&state, &partner) => {}
                }
            })
        });
    }
    if let Err(fault) = asked::close_left(state, false).await {
        tracing::error!(%fault, "recording how exchanges ended");
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

fn partners(state: &State) -> BTreeSet<String> {
    let entries = state.book.all();
    entries.iter().map(|entry| entry.partner.id.clone()).collect()
}

/// Asks one partner for what it has for us: signatures, then snapshots.
async fn visit(state: &State, partner: &str) {
    for entry in state.book.all() {
        if entry.partner.id == partner
            && entry.status == AgreementStatus::Proposed
            && let Err(fault) = countersign(state, &entry).await
        {
            tracing::debug!(agreement = entry.agreement.id, %fault, "the partner has not signed yet");
        }
    }
    for result in fetch_from(state, partner).await {
        if let Err(fault) = result {
            tracing::warn!(%fault, "fetching a snapshot");
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
    let answer = fetch::answer(state, entry.partner.client().exchange_agreement(request)).await?;
    let (theirs, note) = Agreement::from_note(&answer.note)?;
    let merged = merge(&entry.agreement, &entry.note, &theirs, &note)?;
    state
        .book
        .keep(state, &entry.agreement, &merged, Actor::Node)
        .await
}

/// Fetches the current epoch of every offer in which we ask, of one partner or of all at once.
pub async fn fetch_all(state: &State, partner: Option<&str>) -> Vec<Result<u64, Fault>> {
    let wanted = partners(state).into_iter();
    let wanted = wanted.filter(|id| partner.is_none_or(|partner| partner == id));
    let fetched = wanted.map(|id| async move { fetch_from(state, &id).await });
    futures_util::future::join_all(fetched).await.concat()
}

async fn fetch_from(state: &State, partner: &str) -> Vec<Result<u64, Fault>> {
    let now = state.clock.now();
    let mut results = Vec::new();
    for entry in state.book.all() {
        let Some(epoch) = entry.agreement.epoch_at(now) else {
            continue;
        };
        if entry.partner.id != partner || entry.status != AgreementStatus::Active {
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

/// Publishes offers whose lists changed, whose epoch is new, or whose snapshot has lived half of its `max_age`; each
/// agreement's in a job of its own. Where it failed a short time ago it waits.
async fn publish_what_is_due(state: &Arc<State>) {
    let now = state.clock.now();
    for entry in state.book.all() {
        let Some(epoch) = entry.agreement.epoch_at(now) else {
            continue;
        };
        if entry.status != AgreementStatus::Active {
            continue;
        }
        let agreement = &entry.agreement;
        let mut offers = Vec::new();
        for offer in agreement.offers.iter().filter(|offer| offer.owner == state.us()) {
            match publish::is_due(state, (agreement, offer, epoch)).await {
                Ok(true) if state.troubles.waits(&agreement.id, &offer.id, now.as_second()) => {}
                Ok(true) => offers.push(offer.id.clone()),
                Ok(false) => state.troubles.none(&agreement.id, &offer.id),
                Err(fault) => state.troubles.stands(&agreement.id, &offer.id, fault.to_string()),
            }
        }
        if offers.is_empty() {
            continue;
        }
        let spec = Spec::Publish {
            agreement: agreement.id.clone(),
            offers,
        };
        if let Err(fault) = jobs::create(state, &spec, None).await {
            tracing::error!(agreement = agreement.id, %fault, "starting a publication");
        }
    }
}

/// Destroys the keys of epochs and agreements that are over, with everything computed under them.
pub async fn end_epochs(state: &State) {
    let now = state.clock.now();
    for entry in state.book.even_ended() {
        let agreement = &entry.agreement;
        let scopes = match state.store.scopes(&agreement.id).await {
            Ok(scopes) => scopes,
            Err(error) => {
                tracing::error!(agreement = agreement.id, %error, "reading the scopes");
                continue;
            }
        };
        for scope in scopes {
            let (_, end) = agreement.epoch_bounds(scope.epoch);
            let over = is_over(entry.status) || now.as_second() >= end.saturating_add(agreement.grace_s());
            if over && scope.status != ScopeStatus::Destroyed {
                end_epoch(state, agreement, &scope).await;
            }
        }
    }
}

/// Destroys one key. What fails is tried again in the next round.
async fn end_epoch(state: &State, agreement: &Agreement, scope: &Scope) {
    let (offer, epoch) = (&scope.offer_id, scope.epoch);
    state.own_keys.forget(&agreement.id, offer, epoch);
    state.served.forget(&agreement.id, offer, epoch);
    state.held.forget(&agreement.id, offer, epoch);
    let what = if scope.role == ScopeRole::Owner {
        keys::OURS
    } else {
        keys::THEIRS
    };
    let name = concordat_ledger::Scope {
        agreement: text(&agreement.id),
        offer: text(offer),
        epoch: u64::from(epoch),
    };
    let destroyed = keys::changed(what, name, &scope.public_key, KeyChange::Destroyed);
    let destroyed = match state.entry(destroyed) {
        Ok(destroyed) => destroyed,
        Err(fault) => {
            tracing::error!(agreement = agreement.id, offer, epoch, %fault, "destroying a key");
            return;
        }
    };
    // Whether the log was emptied at once does not matter: it is looked at again.
    let _destroying = state.erasing.destroying();
    let store = state.store.recording(destroyed);
    if let Err(error) = store.destroy_key(scope.id, state.now_ms()).await {
        tracing::error!(agreement = agreement.id, offer, epoch, %error, "destroying a key");
        return;
    }
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
        offer,
        epoch,
        "ended an epoch, destroyed its key"
    );
}

/// No agreement with this partner.
pub fn no_such_agreement() -> Fault {
    Fault::new(Reason::NotFound, "AGR-110", "no such agreement").field("agreement_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_waits_longer_each_time_up_to_a_bound() {
        let troubles = Troubles::default();
        let wait = |now_s| {
            troubles.failed("a", "o", "full disk".into(), now_s);
            let wait = (0..).find(|wait| !troubles.waits("a", "o", now_s + wait));
            wait.unwrap_or_default()
        };
        let waits: Vec<i64> = (0..12).map(|n| wait(n * 10_000)).collect();
        assert_eq!(waits[..6], [60, 120, 240, 480, 900, 900]);
        assert_eq!(waits[11], 900);
        assert_eq!(troubles.of("a", "o").as_deref(), Some("full disk"));
        assert!(!troubles.waits("a", "another", 0));

        troubles.none("a", "o");
        assert_eq!(troubles.of("a", "o"), None);
        assert_eq!(wait(0), 60, "begins anew");
        troubles.stands("a", "o", "no list".into());
        assert!(!troubles.waits("a", "o", 0), "it is looked at in each round");
    }
}
