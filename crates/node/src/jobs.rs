//! Work in the background that survives restarts: what runs, how to start, watch and stop it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use concordat_store::{Job as JobRow, JobId, JobState, NewJob, Purged, StoreError};
use concordat_wire::v1::{self, OfferSummary};
use concordat_wire::{Fault, Reason};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::book::store_fault;
use crate::state::State;
use crate::{intersect, publish};

/// What a job is to do; kept sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Spec {
    /// Own lists against a partner's.
    Intersect(intersect::Spec),
    /// Publish the snapshots of our offers.
    Publish {
        /// Of this agreement only; empty means all.
        agreement: String,
        /// These only; none means all.
        #[serde(default)]
        offers: Vec<String>,
    },
}

impl Spec {
    fn name(&self) -> &'static str {
        match self {
            Self::Intersect(_) => "intersect",
            Self::Publish { .. } => "publish",
        }
    }
}

/// How a run of a job ended.
pub enum End {
    /// All done.
    Succeeded,
    /// Something is missing that will come by itself: tried again after a while.
    Paused(String),
    /// The partner failed inside: tried again after a while, but not for ever.
    Stumbled(String),
    /// It cannot go on without a person.
    Failed(String),
    /// A person stopped it.
    Cancelled,
    /// The node stops; the job goes on at its next start.
    Stopping,
}

struct Running {
    cancel: CancellationToken,
    /// Changes whenever there is something new to say about the job.
    changed: watch::Sender<u64>,
    offers: Arc<Mutex<Vec<OfferSummary>>>,
}

/// The jobs that run in this process.
#[derive(Default)]
pub struct Jobs(Mutex<HashMap<JobId, Running>>);

/// A running job, as its own work sees it.
#[derive(Clone)]
pub struct Handle {
    /// Its id.
    pub id: JobId,
    /// Set when a person, or the node's end, stops it.
    pub cancel: CancellationToken,
    changed: watch::Sender<u64>,
    offers: Arc<Mutex<Vec<OfferSummary>>>,
}

impl Handle {
    /// Tells watchers that there is something new.
    pub fn touch(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    /// Replaces what is known of one offer.
    pub fn describe(&self, summary: OfferSummary) {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |offer: &&mut OfferSummary| {
            (&offer.agreement_id, &offer.offer_id, offer.kind)
                == (&summary.agreement_id, &summary.offer_id, summary.kind)
        };
        match offers.iter_mut().find(same) {
            Some(offer) => *offer = summary,
            None => offers.push(summary),
        }
    }

    /// Forgets what an earlier try told of offers: this one begins.
    pub fn forget_offers(&self) {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn offers(&self) -> Vec<OfferSummary> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Creates a job and sets it going. The same `request_id` again gives the same job.
///
/// # Errors
/// The `request_id` stands for a job that does something else, or the database.
pub async fn create(state: &Arc<State>, spec: &Spec, request_id: Option<String>) -> Result<v1::Job, Fault> {
    let encoded =
        serde_json::to_vec(spec).map_err(|error| Fault::internal(format!("writing a job: {error}")))?;
    let new = NewJob {
        id: state.new_uuid(),
        request_id,
        kind: spec.name().to_owned(),
        spec: Zeroizing::new(encoded),
    };
    let id = state
        .store
        .create_job(&new, state.now_ms())
        .await
        .map_err(|error| store_fault(&error))?;
    if id == new.id {
        start(state, id);
        return get(state, id).await;
    }
    let earlier = state.store.job(id).await.map_err(not_found)?;
    if serde_json::from_slice::<Spec>(&earlier.spec).ok().as_ref() != Some(spec) {
        return Err(Fault::new(
            Reason::Conflict,
            "JOB-003",
            "this request id stands for another request",
        )
        .field("request_id"));
    }
    describe(state, earlier).await
}

/// Deletes the jobs that ended `jobs.keep_days` ago, with what they found, in small steps.
///
/// # Errors
/// The database.
pub async fn forget_old(state: &State) -> Result<(), Fault> {
    let kept_ms = i64::from(state.config.jobs.keep_days) * 86_400_000;
    let before_ms = state.now_ms().saturating_sub(kept_ms);
    loop {
        match state.store.purge_jobs_step(before_ms).await {
            Ok(Purged::Nothing) => return Ok(()),
            Ok(Purged::Step) if state.stop.is_cancelled() => return Ok(()),
            Ok(Purged::Step) => tokio::task::yield_now().await,
            Err(error) => return Err(store_fault(&error)),
        }
    }
}

/// Takes up every job that an earlier process left.
///
/// # Errors
/// The database.
pub async fn resume_all(state: &Arc<State>) -> Result<(), Fault> {
    for job in state
        .store
        .unfinished_jobs()
        .await
        .map_err(|error| store_fault(&error))?
    {
        if job.state == JobState::Running {
            set(state, job.id, JobState::Queued, "").await?;
        }
        start(state, job.id);
    }
    Ok(())
}

/// Takes up every job that should run and does not, because writing its state failed. Returns whether a job of this
/// `kind` is to be waited for.
///
/// # Errors
/// The database.
pub async fn resume_dropped(state: &Arc<State>, kind: &str) -> Result<bool, Fault> {
    let unfinished = state.store.unfinished_jobs().await;
    let unfinished = unfinished.map_err(|error| store_fault(&error))?;
    for job in &unfinished {
        // It reads its own state: one that ended meanwhile ends at once.
        start(state, job.id);
    }
    Ok(unfinished.iter().any(|job| job.kind == kind))
}

/// A job as it is now.
///
/// # Errors
/// There is none of this id.
pub async fn get(state: &State, id: JobId) -> Result<v1::Job, Fault> {
    let row = state.store.job(id).await.map_err(not_found)?;
    describe(state, row).await
}

/// The newest jobs.
///
/// # Errors
/// The database.
pub async fn list(state: &State) -> Result<Vec<v1::Job>, Fault> {
    let rows = state
        .store
        .jobs(None, 200)
        .await
        .map_err(|error| store_fault(&error))?;
    let mut jobs = Vec::with_capacity(rows.len());
    for row in rows {
        jobs.push(describe(state, row).await?);
    }
    Ok(jobs)
}

/// Asks a job to stop.
///
/// # Errors
/// There is none of this id, or it is over.
pub async fn cancel(state: &State, id: JobId) -> Result<v1::Job, Fault> {
    let asked = state
        .store
        .request_cancel(id, state.now_ms())
        .await
        .map_err(not_found)?;
    if !asked {
        return Err(Fault::new(Reason::Precondition, "JOB-002", "the job is over"));
    }
    let running = {
        let running = state.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&id).map(|running| running.cancel.clone())
    };
    match running {
        Some(cancel) => cancel.cancel(),
        None => set(state, id, JobState::Cancelled, "").await?,
    }
    get(state, id).await
}

/// Sets a failed or paused job going again.
///
/// # Errors
/// There is none of this id, or it cannot go on.
pub async fn resume(state: &Arc<State>, id: JobId) -> Result<v1::Job, Fault> {
    let row = state.store.job(id).await.map_err(not_found)?;
    match row.state {
        JobState::Failed => set(state, id, JobState::Queued, "").await?,
        JobState::Paused | JobState::Queued | JobState::Running => {}
        JobState::Succeeded | JobState::Cancelled => {
            return Err(Fault::new(
                Reason::Precondition,
                "JOB-002",
                "the job is over: start a new one",
            ));
        }
    }
    start(state, id);
    get(state, id).await
}

/// A receiver that changes whenever the job does; `None` if it does not run in this process.
pub fn watch(state: &State, id: JobId) -> Option<watch::Receiver<u64>> {
    let running = state.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
    running.get(&id).map(|running| running.changed.subscribe())
}

/// A job id as callers write it.
///
/// # Errors
/// Not a UUID.
pub fn parse_id(text: &str) -> Result<JobId, Fault> {
    text.parse()
        .map_err(|_| Fault::invalid("JOB-001", "job_id", "not the id of a job"))
}

fn not_found(error: StoreError) -> Fault {
    match error {
        StoreError::NotFound { .. } => {
            Fault::new(Reason::NotFound, "JOB-001", "no job of this id").field("job_id")
        }
        error => store_fault(&error),
    }
}

async fn set(state: &State, id: JobId, job: JobState, detail: &str) -> Result<(), Fault> {
    state
        .store
        .set_job_state(id, job, detail, state.now_ms())
        .await
        .map_err(|error| store_fault(&error))
}

/// Runs a job in a task of its own, unless it runs already. A paused job is tried again until it ends otherwise.
fn start(state: &Arc<State>, id: JobId) {
    let handle = {
        let mut running = state.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(&id) {
            return;
        }
        let (cancel, changed, offers) = (state.stop.child_token(), watch::channel(0).0, Arc::default());
        let handle = Handle {
            id,
            cancel: cancel.clone(),
            changed: changed.clone(),
            offers: Arc::clone(&offers),
        };
        running.insert(
            id,
            Running {
                cancel,
                changed,
                offers,
            },
        );
        handle
    };
    let state = Arc::clone(state);
    tokio::spawn(async move {
        if let Err(fault) = drive(&state, &handle).await {
            tracing::error!(job = %id, %fault, "a job could not be run");
        }
        state
            .jobs
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        handle.touch();
    });
}

/// Seconds before a paused job is tried again: doubled each time up to the last.
const BACKOFF_S: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];
/// A partner that fails inside is tried so often without any progress between: for about five minutes.
const MOST_STUMBLES: usize = 10;

async fn drive(state: &Arc<State>, handle: &Handle) -> Result<(), Fault> {
    let (mut tries, mut stumbles) = (0, 0);
    loop {
        let row = state.store.job(handle.id).await.map_err(not_found)?;
        if row.state.is_over() {
            return Ok(());
        }
        if row.cancel_requested {
            return set(state, handle.id, JobState::Cancelled, "").await;
        }
        set(state, handle.id, JobState::Running, "").await?;
        handle.touch();
        let before = row.done;
        let end = match serde_json::from_slice::<Spec>(&row.spec) {
            Ok(Spec::Intersect(spec)) => intersect::run(state, handle, &spec).await,
            Ok(Spec::Publish { agreement, offers }) => run_publish(state, handle, &agreement, &offers).await,
            Err(_) => Ok(End::Failed(
                "this job was written by another version of the node".into(),
            )),
        };
        let offers = handle.offers();
        if !offers.is_empty() {
            let summary = encode_offers(&offers);
            let kept = state
                .store
                .set_job_summary(handle.id, &summary, state.now_ms())
                .await;
            kept.map_err(|error| store_fault(&error))?;
        }
        let mut end = end.unwrap_or_else(|fault| End::Failed(fault.to_string()));
        let progress = state.store.job(handle.id).await.map_err(not_found)?.done > before;
        if progress {
            (tries, stumbles) = (0, 0);
        }
        if let End::Stumbled(why) = end {
            stumbles += 1;
            end = after_stumble(why, stumbles);
        }
        match end {
            End::Succeeded => return set(state, handle.id, JobState::Succeeded, "").await,
            End::Failed(why) | End::Stumbled(why) => {
                tracing::error!(job = %handle.id, why, "a job failed");
                return set(state, handle.id, JobState::Failed, &why).await;
            }
            End::Cancelled => return set(state, handle.id, JobState::Cancelled, "").await,
            // It stays "running" in the database, which the next start takes up.
            End::Stopping => return Ok(()),
            End::Paused(why) => {
                set(state, handle.id, JobState::Paused, &why).await?;
                handle.touch();
                if !progress {
                    tries += 1;
                }
                let wait = BACKOFF_S[tries.min(BACKOFF_S.len() - 1)];
                tokio::select! {
                    () = handle.cancel.cancelled() => {}
                    () = tokio::time::sleep(std::time::Duration::from_secs(wait)) => {}
                }
                if state.stop.is_cancelled() {
                    return Ok(());
                }
            }
        }
    }
}

/// The `stumbles`th time in a row that the partner failed inside.
fn after_stumble(why: String, stumbles: usize) -> End {
    if stumbles < MOST_STUMBLES {
        End::Paused(why)
    } else {
        End::Failed(why)
    }
}

/// Each offer by itself: one that cannot be published holds up no other.
async fn run_publish(
    state: &Arc<State>,
    handle: &Handle,
    agreement: &str,
    offers: &[String],
) -> Result<End, Fault> {
    let now = state.clock.now();
    let (mut total, mut failed) = (0, Vec::new());
    for entry in state.book.all() {
        if !agreement.is_empty() && entry.agreement.id != agreement {
            continue;
        }
        let Some(epoch) = entry.agreement.epoch_at(now) else {
            continue;
        };
        for offer in entry
            .agreement
            .offers
            .iter()
            .filter(|offer| offer.owner == state.us())
            .filter(|offer| offers.is_empty() || offers.contains(&offer.id))
        {
            if handle.cancel.is_cancelled() {
                return Ok(if state.stop.is_cancelled() {
                    End::Stopping
                } else {
                    End::Cancelled
                });
            }
            let progress = |_done: u64| handle.touch();
            let published = publish::publish(state, &entry, offer, epoch, &progress).await;
            let (troubles, agreement) = (&state.troubles, &entry.agreement.id);
            let published = match published {
                Ok(published) => {
                    troubles.none(agreement, &offer.id);
                    published
                }
                Err(fault) => {
                    match fault.reason {
                        Reason::Precondition => troubles.stands(agreement, &offer.id, fault.to_string()),
                        _ => {
                            let now_s = state.clock.seconds();
                            troubles.failed(agreement, &offer.id, fault.to_string(), now_s);
                        }
                    }
                    failed.push(format!(
                        "offer {} of agreement {}: {fault}",
                        offer.id, entry.agreement.id
                    ));
                    continue;
                }
            };
            total += published.identifiers;
            let now_ms = state.now_ms();
            let counted = async {
                state.store.set_job_total(handle.id, total, now_ms).await?;
                state
                    .store
                    .add_job_progress(handle.id, published.identifiers, now_ms)
                    .await
            };
            counted.await.map_err(|error| store_fault(&error))?;
            handle.describe(OfferSummary {
                agreement_id: entry.agreement.id.clone(),
                offer_id: offer.id.clone(),
                kind: concordat_wire::kind_to_proto(offer.kind).into(),
                epoch,
                as_of: now.to_string(),
                max_age_s: offer.max_age_s,
                snapshot_version: published.version,
                identifiers: published.identifiers,
                ..OfferSummary::default()
            });
            handle.touch();
        }
    }
    Ok(if failed.is_empty() {
        End::Succeeded
    } else {
        End::Failed(failed.join("; "))
    })
}

async fn describe(state: &State, row: JobRow) -> Result<v1::Job, Fault> {
    use v1::job::State as S;
    let matches = state
        .store
        .count_matches(row.id)
        .await
        .map_err(|error| store_fault(&error))?;
    let offers = {
        let running = state.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&row.id).map(|running| {
            running
                .offers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        })
    };
    let time = |ms| {
        jiff::Timestamp::from_millisecond(ms)
            .map(|time| time.to_string())
            .unwrap_or_default()
    };
    Ok(v1::Job {
        job_id: row.id.to_string(),
        state: match row.state {
            JobState::Queued => S::Queued,
            JobState::Running => S::Running,
            JobState::Paused => S::Paused,
            JobState::Succeeded => S::Succeeded,
            JobState::Failed => S::Failed,
            JobState::Cancelled => S::Cancelled,
        }
        .into(),
        r#type: row.kind,
        done: row.done,
        total: row.total.unwrap_or(0),
        detail: row.detail,
        created_at: time(row.created_ms),
        updated_at: time(row.updated_ms),
        matches,
        offers: offers
            .filter(|offers| !offers.is_empty())
            .unwrap_or_else(|| decode_offers(&row.summary)),
    })
}

fn encode_offers(offers: &[OfferSummary]) -> String {
    use prost::Message;
    let job = v1::Job {
        offers: offers.to_vec(),
        ..v1::Job::default()
    };
    hex::encode(job.encode_to_vec())
}

fn decode_offers(summary: &str) -> Vec<OfferSummary> {
    use prost::Message;
    let bytes = hex::decode(summary).unwrap_or_default();
    v1::Job::decode(bytes.as_slice())
        .map(|job| job.offers)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_that_keeps_failing_is_given_up() {
        let ends = (1..=MOST_STUMBLES + 1).map(|stumbles| after_stumble("inside".into(), stumbles));
        let paused = ends.take_while(|end| matches!(end, End::Paused(_))).count();
        assert_eq!(paused, MOST_STUMBLES - 1);
        assert!(matches!(
            after_stumble("inside".into(), MOST_STUMBLES),
            End::Failed(_)
        ));
    }
}
