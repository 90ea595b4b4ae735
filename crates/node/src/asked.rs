//! What the ledger is told of exchanges: opened before anything is sent, closed before the caller has an answer.
//!
//! An exchange that nobody will go on with (its node or its partner died, its caller went away, its job was cancelled)
//! is closed by [`close_left`], with what the database has of it.

use std::sync::Arc;

use concordat_identifiers::{Identifier, Kind};
use concordat_ledger::{
    AuditKey, Evaluation, Event, Hex, IdentifierCommitment, ProofFailed, Queried, Query, QueryOpened,
    QuotaRefused, Refusal, Scope, Side, VerdictCounts, Why, transcript,
};
use concordat_store::{Answered, Asked, Exchange, Incident, JobState, NewEntry, StoreError};
use concordat_wire::Fault;
use concordat_wire::v1::UnknownReason;
use uuid::Uuid;

use crate::agreement::{Offer, purpose_name};
use crate::book::{Entry, store_fault};
use crate::exchange::Failure;
use crate::ledger::{self, digest, person, stated, text};
use crate::matching::Context;
use crate::state::State;

/// A partner may go on with a request for so long before it counts as ended.
const PARTNER_IDLE_MS: i64 = 24 * 3_600_000;
/// A query of ours is never on the way for so long.
const OWN_IDLE_MS: i64 = 900_000;
/// Exchanges closed in one round.
const PAGE: u32 = 1_000;

/// One exchange of ours: what is asked of whom, and why.
pub struct Question {
    /// Who and why.
    pub context: Context,
    /// The agreement.
    pub entry: Arc<Entry>,
    /// What is asked.
    pub offer: Offer,
    /// Under which key.
    pub epoch: u32,
    /// The exchange.
    pub exchange: Uuid,
    /// How often it was closed before.
    pub step: u32,
    /// Elements that are announced, padding included.
    pub elements: u64,
}

/// How an exchange of ours came out.
#[derive(Default)]
pub struct Outcome {
    /// What the partner answered.
    pub answered: Answered,
    /// Identifiers asked about.
    pub items: u64,
    /// Which.
    pub identifiers: Option<IdentifierCommitment>,
    /// How many identifiers came out how.
    pub hit: u64,
    /// As above.
    pub no_hit: u64,
    /// What was answered is not known any more.
    pub interrupted: bool,
}

impl Outcome {
    fn verdicts(&self) -> VerdictCounts {
        VerdictCounts {
            hit: self.hit,
            no_hit: self.no_hit,
            unknown: self.items.saturating_sub(self.hit + self.no_hit),
        }
    }
}

impl Question {
    fn scope(&self) -> Scope {
        ledger::scope(&self.entry.agreement, &self.offer, self.epoch)
    }

    fn id(&self) -> Hex<16> {
        Hex(*self.exchange.as_bytes())
    }

    fn why(&self) -> Why {
        Why {
            purpose: text(purpose_name(self.context.purpose)),
            legal_basis: text(&self.context.legal_basis),
            case_reference: text(&self.context.case_reference),
        }
    }

    /// The entry to be on disk before anything is sent.
    ///
    /// # Errors
    /// The ledger was halted.
    pub fn opened(&self, state: &State, items: u64, lists: &[String]) -> Result<NewEntry, Fault> {
        let event = QueryOpened {
            exchange: self.id(),
            step: self.step,
            by: person(&self.context.officer),
            ordered_by: person(&self.context.ordered_by),
            why: self.why(),
            partner: text(&self.entry.partner.id),
            scope: self.scope(),
            elements: self.elements,
            items,
            lists: lists.iter().map(|list| text(list)).collect(),
        };
        state.entry_under(&self.entry.agreement, event)
    }

    /// The entry to be on disk before the caller is answered.
    ///
    /// # Errors
    /// The ledger was halted.
    pub fn closed(&self, state: &State, outcome: Outcome) -> Result<NewEntry, Fault> {
        let exchange = self.id();
        let event = Query {
            exchange,
            step: self.step,
            by: person(&self.context.officer),
            ordered_by: person(&self.context.ordered_by),
            why: self.why(),
            partner: text(&self.entry.partner.id),
            scope: self.scope(),
            elements: outcome.answered.elements,
            items: outcome.items,
            identifiers: outcome.identifiers,
            verdicts: outcome.verdicts(),
            interrupted: outcome.interrupted,
            transcript: transcript(&exchange, outcome.answered.chunks),
        };
        state.entry_under(&self.entry.agreement, event)
    }

    /// Records that an answer could not be used because the partner, or something between us, broke the protocol, or
    /// that the quota was used up.
    pub async fn failed(&self, state: &State, failure: &Failure) {
        let partner = &self.entry.partner.id;
        let quota = QuotaRefused {
            exchange: self.id(),
            side: Side::Requester,
            partner: text(partner),
            scope: self.scope(),
            elements: self.elements,
        };
        let (kind, event): (&str, Event) = match failure.reason {
            UnknownReason::ProofFailed => ("proof_failed", self.proof_failed(failure)),
            UnknownReason::CanaryFailed => ("canary_failed", self.proof_failed(failure)),
            UnknownReason::Quota => ("quota", quota.into()),
            _ => return,
        };
        if failure.reason == UnknownReason::Quota {
            if let Err(fault) = state.record_under(&self.entry.agreement, event).await {
                tracing::error!(%fault, "recording a failure");
            }
            return;
        }
        tracing::error!(partner, exchange = %self.exchange, kind, detail = failure.detail, "incident");
        let incident = Incident {
            at_ms: state.now_ms(),
            partner: partner.clone(),
            kind: kind.to_owned(),
            exchange: Some(self.exchange),
            transcript_digest: failure.transcript,
            detail: failure.detail.clone(),
        };
        let entry = state.entry_under(&self.entry.agreement, event);
        if let Err(fault) = state.recorded_incident(entry, &incident).await {
            tracing::error!(%fault, "recording an incident");
        }
    }

    fn proof_failed(&self, failure: &Failure) -> Event {
        ProofFailed {
            exchange: self.id(),
            partner: text(&self.entry.partner.id),
            scope: self.scope(),
            transcript: digest(failure.transcript.unwrap_or_default()),
        }
        .into()
    }
}

/// Records that an offer was not asked because its agreement does not permit it.
pub async fn not_permitted(state: &State, context: &Context, entry: &Entry, offer: &Offer, why: &Fault) {
    let refusal = Refusal {
        claimed: Some(person(&context.officer)),
        partner: Some(text(&entry.partner.id)),
        case: None,
        rule: Some(text(why.rule)),
        action: text(&format!(
            "query under {} of {} for {} by {}",
            offer.id,
            entry.agreement.id,
            purpose_name(context.purpose),
            context.legal_basis
        )),
        reason: text(&why.to_string()),
    };
    if let Err(fault) = state.record_under(&entry.agreement, refusal).await {
        tracing::error!(%fault, "recording a refusal");
    }
}

/// Commits to the identifiers of a query. Of a biometric one only that it was used.
pub fn commit(key: &AuditKey, exchange: Uuid, identifiers: &[Identifier]) -> Option<IdentifierCommitment> {
    IdentifierCommitment::new(key, &Hex(*exchange.as_bytes()), &queried(identifiers))
}

/// As the ledger commits to them.
pub fn queried(identifiers: &[Identifier]) -> Vec<Queried<'_>> {
    let queried = identifiers.iter().map(|identifier| Queried {
        kind: identifier.kind().name(),
        canonical: match identifier.kind() {
            Kind::BiometricReference | Kind::BiometricRecordDigest => None,
            _ => Some(identifier.canonical()),
        },
    });
    queried.collect()
}

/// Closes what is open and will not go on. `all`: no query of ours is on the way, as when a node has just started.
///
/// # Errors
/// The database failed, or the ledger was halted.
pub async fn close_left(state: &State, all: bool) -> Result<(), Fault> {
    let now_ms = state.now_ms();
    let own_before = if all { i64::MAX } else { now_ms - OWN_IDLE_MS };
    let idle = state.store.idle_exchanges(true, own_before, PAGE).await;
    for exchange in idle.map_err(|error| store_fault(&error))? {
        if let Some(asked) = &exchange.asked {
            close_query(state, &exchange, asked).await?;
        }
    }
    let idle = state
        .store
        .idle_exchanges(false, now_ms - PARTNER_IDLE_MS, PAGE)
        .await;
    for exchange in idle.map_err(|error| store_fault(&error))? {
        close_evaluation(state, &exchange).await?;
    }
    Ok(())
}

async fn close_evaluation(state: &State, exchange: &Exchange) -> Result<(), Fault> {
    let fault = |error: StoreError| store_fault(&error);
    let Some(scope_id) = exchange.scope else {
        return Ok(());
    };
    let id = Hex(*exchange.id.as_bytes());
    let answered = state.store.answered(scope_id, &id.0).await.map_err(fault)?;
    let evaluation = Evaluation {
        exchange: id,
        step: state.store.entries_of(&id.0, "evaluation").await.map_err(fault)?,
        partner: text(&exchange.partner),
        stated: stated(&exchange.purpose, &exchange.legal_basis),
        scope: scope_of(state, exchange).await?,
        elements: answered.elements,
        transcript: transcript(&id, answered.chunks),
    };
    close(state, exchange, evaluation).await
}

/// Closes a query of ours, unless it belongs to a job that goes on.
async fn close_query(state: &State, exchange: &Exchange, asked: &Asked) -> Result<(), Fault> {
    let fault = |error: StoreError| store_fault(&error);
    let job = match state.store.job(asked.query).await {
        Ok(job) => Some(job),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(store_fault(&error)),
    };
    let mut outcome = Outcome::default();
    match (job, exchange.scope) {
        (Some(job), _)
            if !matches!(
                job.state,
                JobState::Succeeded | JobState::Failed | JobState::Cancelled
            ) =>
        {
            return Ok(());
        }
        (Some(job), Some(scope)) => {
            let request = state.store.job_request(job.id, scope).await.map_err(fault)?;
            match request.filter(|request| request.request_id == *exchange.id.as_bytes()) {
                Some(request) => outcome = compared(state, &request).await?,
                None => outcome.interrupted = true,
            }
        }
        _ => outcome.interrupted = true,
    }
    let id = Hex(*exchange.id.as_bytes());
    let verdicts = outcome.verdicts();
    let query = Query {
        exchange: id,
        step: state.store.entries_of(&id.0, "query").await.map_err(fault)?,
        by: person(&asked.officer),
        ordered_by: person(&asked.ordered_by),
        why: Why {
            purpose: text(&exchange.purpose),
            legal_basis: text(&exchange.legal_basis),
            case_reference: text(&asked.case_reference),
        },
        partner: text(&exchange.partner),
        scope: scope_of(state, exchange).await?,
        elements: outcome.answered.elements,
        items: outcome.items,
        identifiers: None,
        verdicts,
        interrupted: outcome.interrupted,
        transcript: transcript(&id, outcome.answered.chunks),
    };
    close(state, exchange, query).await
}

/// How a request of a job has come out so far.
///
/// # Errors
/// The database.
pub async fn compared(state: &State, request: &concordat_store::JobRequest) -> Result<Outcome, Fault> {
    let compared = state.store.compared(request).await;
    let compared = compared.map_err(|error| store_fault(&error))?;
    Ok(Outcome {
        answered: compared.answered,
        items: request.identifiers.max(compared.items),
        identifiers: None,
        hit: compared.found,
        no_hit: compared.items.saturating_sub(compared.found),
        interrupted: false,
    })
}

async fn close(state: &State, exchange: &Exchange, event: impl Into<Event>) -> Result<(), Fault> {
    let agreement = match exchange.scope {
        Some(scope) => state.store.scope(scope).await.map(|scope| scope.agreement_id),
        None => Ok(String::new()),
    };
    let agreement = agreement.map_err(|error| store_fault(&error))?;
    let entry = match state.book.get(&agreement) {
        Some(entry) => state.entry_under(&entry.agreement, event)?,
        None => state.entry(event)?,
    };
    let closed = state.store.close_exchange(entry).await;
    closed.map(drop).map_err(|error| store_fault(&error))
}

async fn scope_of(state: &State, exchange: &Exchange) -> Result<Scope, Fault> {
    let (mut agreement, mut offer, mut epoch) = (String::new(), String::new(), 0);
    if let Some(scope) = exchange.scope {
        let scope = state
            .store
            .scope(scope)
            .await
            .map_err(|error| store_fault(&error))?;
        (agreement, offer, epoch) = (scope.agreement_id, scope.offer_id, scope.epoch);
    }
    Ok(Scope {
        agreement: text(&agreement),
        offer: text(&offer),
        epoch: u64::from(epoch),
    })
}
