//! Partners witness each other's ledgers: each cosigns only what extends the checkpoint of the other that it cosigned last.
//!
//! So an agency cannot show its partner one history and an auditor another; and a node that comes back with an older
//! tree than its partner has seen learns it at the first contact, and stops.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use concordat_ledger::{
    AddCheckpoint, Extends, LogError, MisbehaviourSeen, SignedCheckpoint, TileReader, WitnessRefusal,
    attach_cosignatures, format_cosignatures,
};
use concordat_note::VerifierKey;
use concordat_store::Incident;
use concordat_wire::v1::{AddCheckpointRequest, AddCheckpointResponse};
use concordat_wire::{Fault, Reason};
use tokio::time::Instant;

use crate::book::{Entry, store_fault};
use crate::fetch::answer;
use crate::ledger::{key_of, text};
use crate::state::State;
use crate::steps::Step;
use crate::tls::SpkiPin;

/// Between two requests to a partner, at least.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it is judged anew where another request of the same partner was faster.
const TRIES: u32 = 3;
/// The kind of incident that a partner's contradiction is.
const CONTRADICTION: &str = "ledger_contradiction";
/// Until a contradiction of the same partner is recorded again.
const AGAIN_MS: i64 = 3_600_000;
/// A partner may have kept a checkpoint that we have to prove from, and another request may be on the way.
const ROUNDS: u32 = 3;

/// Judges a partner's checkpoint, keeps it, and only then cosigns it.
///
/// # Errors
/// The partner is not one, its request is malformed, or its checkpoint does not extend the one that we cosigned last:
/// that is on record then.
pub async fn add_checkpoint(
    state: &Arc<State>,
    partner: &SpkiPin,
    request: &AddCheckpointRequest,
) -> Result<AddCheckpointResponse, Fault> {
    let entries = state.book.all();
    let entry = entries.iter().find(|entry| entry.partner.pin == *partner);
    let entry =
        entry.ok_or_else(|| Fault::new(Reason::NotFound, "AGR-110", "no such agreement between us"))?;
    let id = &entry.partner.id;
    let key = ledger_key(state, entry)?;
    let malformed = |error: WitnessRefusal| Fault::invalid("LEDG-010", "add_checkpoint", error.to_string());
    let request = AddCheckpoint::parse(&request.add_checkpoint).map_err(malformed)?;
    for _ in 0..TRIES {
        let kept = state
            .store
            .witness(id)
            .await
            .map_err(|error| store_fault(&error))?
            .theirs;
        let latest = kept
            .as_deref()
            .map(|note| SignedCheckpoint::open(note.as_bytes(), &key))
            .transpose()
            .map_err(|error| {
                Fault::new(
                    Reason::DataLoss,
                    "LEDG-011",
                    format!("the partner's checkpoint kept here: {error}"),
                )
            })?;
        let judged = request.judge(&key, latest.as_ref().map(SignedCheckpoint::checkpoint));
        let mut signed = match judged {
            Ok(signed) => signed,
            Err(WitnessRefusal::OtherSize { .. }) => {
                return Ok(AddCheckpointResponse {
                    cosignatures: Vec::new(),
                    latest: kept.unwrap_or_default(),
                });
            }
            Err(WitnessRefusal::Inconsistent { same_size, .. }) => {
                misbehaviour(
                    state,
                    id,
                    same_size,
                    kept.as_deref().unwrap_or_default(),
                    &request.checkpoint,
                )
                .await?;
                return Err(Fault::new(
                    Reason::NotPermitted,
                    "LEDG-012",
                    "this checkpoint does not extend the one that was cosigned last: both are on record here",
                ));
            }
            Err(error) => return Err(malformed(error)),
        };
        let text = signed.to_string();
        let is_latest = kept.as_deref() == Some(text.as_str())
            || state
                .store
                .keep_theirs(id, kept.as_deref(), &text)
                .await
                .map_err(|error| store_fault(&error))?;
        if !is_latest {
            continue;
        }
        state.ledger.passed(Step::Judge);
        let time = u64::try_from(state.clock.now().as_second()).unwrap_or(0);
        let line = signed
            .cosign(&state.identity.signing, time)
            .map_err(|error| Fault::internal(format!("cosigning: {error}")))?;
        return Ok(AddCheckpointResponse {
            cosignatures: format_cosignatures(&[line]).into_bytes(),
            latest: text,
        });
    }
    Err(Fault::new(
        Reason::Exhausted,
        "LEDG-013",
        "other checkpoints of this ledger came at the same time",
    )
    .retry_after(PAUSE))
}

/// Puts a partner's contradiction on record: once an hour, for one is proof enough, and nobody fills our disk with more. On record also if
/// the partner hangs up.
pub(crate) async fn misbehaviour(
    state: &Arc<State>,
    partner: &str,
    same_size: bool,
    kept: &str,
    shown: &str,
) -> Result<(), Fault> {
    let hour = state.now_ms().div_euclid(AGAIN_MS);
    if !state.access.first_in(CONTRADICTION, partner, hour) {
        return Ok(());
    }
    let (here, partner) = (Arc::clone(state), partner.to_owned());
    let (kept, shown) = (kept.to_owned(), shown.to_owned());
    let recorded = async move {
        let recorded = record_misbehaviour(&here, &partner, same_size, &kept, &shown).await;
        if recorded.is_err() {
            here.access.forget(CONTRADICTION, &partner);
        }
        recorded
    };
    state.in_any_case(recorded).await?
}

async fn record_misbehaviour(
    state: &State,
    partner: &str,
    same_size: bool,
    kept: &str,
    shown: &str,
) -> Result<(), Fault> {
    let what = if same_size {
        "the partner signed two different ledgers of one size: the two checkpoints prove it"
    } else {
        "the partner did not show that its ledger extends the one that was cosigned last"
    };
    let seen = state
        .store
        .incidents(100)
        .await
        .map_err(|error| store_fault(&error))?;
    let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(shown).into();
    let recent = state.now_ms() - AGAIN_MS;
    let known = |incident: &Incident| {
        incident.partner == partner && incident.kind == CONTRADICTION && incident.at_ms > recent
    };
    if seen.iter().any(known) {
        return Ok(());
    }
    tracing::error!(partner, what, "incident: a partner's ledger contradicts itself");
    let entry = state.entry(MisbehaviourSeen {
        partner: text(partner),
        what: text(what),
        kept: kept.to_owned(),
        shown: shown.to_owned(),
    });
    let incident = Incident {
        at_ms: state.now_ms(),
        partner: partner.to_owned(),
        kind: CONTRADICTION.to_owned(),
        exchange: None,
        transcript_digest: Some(digest),
        detail: what.to_owned(),
    };
    state.recorded_incident(entry, &incident).await
}

pub(crate) fn ledger_key(state: &State, entry: &Entry) -> Result<VerifierKey, Fault> {
    let party = entry.agreement.partner_of(state.us());
    let party = party.ok_or_else(|| Fault::internal("an agreement without a partner"))?;
    key_of(&party.identity).map_err(|error| Fault::internal(format!("the partner's ledger key: {error}")))
}

/// Asks a partner to cosign `latest`, our newest checkpoint. Finds out, too, whether the partner has seen more of our ledger than we
/// have: then the ledger is halted.
///
/// # Errors
/// The partner cannot be reached or refuses, or our log cannot be read.
pub async fn ask(state: &Arc<State>, entry: &Entry, latest: &SignedCheckpoint) -> Result<(), Fault> {
    let partner = &entry.partner.id;
    let party = entry.agreement.partner_of(state.us());
    let party = party.ok_or_else(|| Fault::internal("an agreement without a partner"))?;
    let witness = party.identity.cosigner();
    let ours = state
        .store
        .witness(partner)
        .await
        .map_err(|error| store_fault(&error))?
        .ours;
    let mut from = 0;
    if let Some(note) = ours {
        let kept = open_own(state, &note)?;
        from = kept.size();
        if from > latest.size() {
            held_to(state, partner, kept).await?;
        }
    }
    for _ in 0..ROUNDS {
        let body = request(state, from, latest.clone()).await?;
        let request = AddCheckpointRequest { add_checkpoint: body };
        let answer = answer(state, entry.partner.client().add_checkpoint(request)).await?;
        if answer.cosignatures.is_empty() {
            let kept = match answer.latest.as_str() {
                "" => None,
                // Nobody but us can have signed it.
                note => Some(open_own(state, note)?),
            };
            if let Some(kept) = &kept {
                held_to(state, partner, kept.clone()).await?;
            }
            from = kept.map_or(0, |kept| kept.size());
            continue;
        }
        let mut cosigned = latest.clone();
        let witnesses = [witness.clone()];
        if attach_cosignatures(&mut cosigned, &witnesses, &answer.cosignatures) != Some(1) {
            return Err(Fault::new(
                Reason::Precondition,
                "LEDG-014",
                "the partner's cosignature does not hold",
            ));
        }
        let note = cosigned.to_string();
        publish(state, cosigned).await?;
        state.ledger.passed(Step::Cosign);
        let kept = state.store.keep_ours(partner, &note).await;
        kept.map_err(|error| store_fault(&error))?;
        state.ledger.passed(Step::Keep);
        return Ok(());
    }
    // It answered with other sizes again and again: its checkpoints of us change faster than we ask, or it does not want.
    Err(Fault::new(
        Reason::Precondition,
        "LEDG-015",
        "the partner did not cosign",
    ))
}

/// Publishes a checkpoint with the cosignature that it brings, beside those of all others that are known.
pub(crate) async fn publish(state: &Arc<State>, cosigned: SignedCheckpoint) -> Result<(), Fault> {
    let us = state.us();
    let partners = partners(state).into_values().filter_map(|entry| {
        let party = entry.agreement.partner_of(us)?;
        Some(party.identity.cosigner())
    });
    let witnesses: Vec<_> = partners.chain(state.witnesses.keys()).collect();
    with_log(state, move |log| log.cosigned(&cosigned, &witnesses)).await
}

/// The body of a request: how `latest` follows from what the other cosigned last.
pub(crate) async fn request(
    state: &Arc<State>,
    old_size: u64,
    latest: SignedCheckpoint,
) -> Result<Vec<u8>, Fault> {
    let checkpoint = latest.to_string();
    let proof = with_log(state, move |log| {
        // What the partner has seen beyond this is looked at when it has answered.
        if old_size == 0 || old_size >= latest.size() {
            return Ok(Vec::new());
        }
        let mut reader = TileReader::new(log.source(), latest.size());
        Ok(reader.consistency_proof(old_size)?)
    })
    .await?;
    let request = AddCheckpoint {
        old_size,
        proof,
        checkpoint,
    };
    Ok(request.to_string().into_bytes())
}

/// Halts the ledger unless it extends a checkpoint of its own that a partner or a witness has cosigned.
pub(crate) async fn held_to(state: &Arc<State>, partner: &str, kept: SignedCheckpoint) -> Result<(), Fault> {
    let why = match with_log(state, move |log| log.extends(&kept)).await? {
        Extends::Yes => return Ok(()),
        Extends::RolledBack { kept, have } => format!(
            "this node's ledger has {have} entries, and {partner} has cosigned {kept}: an older copy of the node's data was restored. Stop it, and restore the newest copy; nothing is recorded, so nothing is done, until then"
        ),
        Extends::Forked { size } => format!(
            "this node's ledger is not the one of which {partner} has cosigned {size} entries: its history was changed. Stop it, and restore the data that was there; nothing is recorded, so nothing is done, until then"
        ),
    };
    state.ledger.halt(why.clone());
    Err(Fault::new(Reason::DataLoss, "LEDG-001", why))
}

pub(crate) fn open_own(state: &State, note: &str) -> Result<SignedCheckpoint, Fault> {
    SignedCheckpoint::open(note.as_bytes(), &state.ledger.verifier()).map_err(|error| {
        Fault::new(
            Reason::Precondition,
            "LEDG-016",
            format!("a checkpoint that is said to be ours is not: {error}"),
        )
    })
}

async fn with_log<T: Send + 'static>(
    state: &Arc<State>,
    work: impl FnOnce(&mut concordat_ledger::Log) -> Result<T, LogError> + Send + 'static,
) -> Result<T, Fault> {
    let ledger = Arc::clone(&state.ledger);
    let done = tokio::task::spawn_blocking(move || ledger.with_log(work)).await;
    done.map_err(|_| Fault::internal("reading the ledger's log"))?
        .map_err(|error| {
            tracing::error!(%error, "reading the ledger's log");
            Fault::new(Reason::DataLoss, "LEDG-002", error.to_string())
        })
}

/// One agreement with each partner.
fn partners(state: &State) -> BTreeMap<String, Arc<Entry>> {
    let entries = state.book.all().into_iter();
    entries.map(|entry| (entry.partner.id.clone(), entry)).collect()
}

/// Before anything is done: whether a partner that can be reached now has seen more of our ledger than we have.
///
/// # Errors
/// One has: the node must not start.
pub async fn check_at_start(state: &Arc<State>) -> Result<(), Fault> {
    let latest = state.ledger.checkpoints().borrow().clone();
    if let Some(latest) = &latest {
        let asked = partners(state).into_values().map(|entry| async move {
            // A partner that does not answer is asked again when the node runs.
            let _ = tokio::time::timeout(Duration::from_secs(1), ask(state, &entry, latest)).await;
        });
        futures_util::future::join_all(asked).await;
    }
    state.ledger.records()
}

/// Asks every partner and every witness to cosign whatever is published, until the node stops. In one round all are asked about one
/// checkpoint, so that their cosignatures stand together.
pub async fn run(state: Arc<State>) {
    let mut checkpoints = state.ledger.checkpoints();
    let mut troubles: HashMap<String, String> = HashMap::new();
    let poll = Duration::from_secs(u64::from(state.config.snapshot.poll_interval_s)).max(PAUSE);
    loop {
        let latest = checkpoints.borrow_and_update().clone();
        if let Some(latest) = &latest {
            tokio::select! {
                () = state.stop.cancelled() => return,
                () = round(&state, latest, &mut troubles) => {}
            }
        }
        let poll = match state.witnesses.next_try() {
            Some(retry) => poll.min(retry.saturating_duration_since(Instant::now())),
            None => poll,
        };
        let next = async {
            tokio::time::sleep(PAUSE).await;
            // Those that could not be reached are asked again even if there is nothing new.
            let _ = tokio::time::timeout(poll, checkpoints.changed()).await;
        };
        tokio::select! {
            () = state.stop.cancelled() => return,
            () = next => {}
        }
    }
}

async fn round(state: &Arc<State>, latest: &SignedCheckpoint, troubles: &mut HashMap<String, String>) {
    let asked = partners(state).into_iter().map(|(partner, entry)| async move {
        let answer = ask(state, &entry, latest).await;
        (partner, answer)
    });
    let witnesses = state.witnesses.ask(state, latest);
    let (answers, ()) = tokio::join!(futures_util::future::join_all(asked), witnesses);
    for (partner, answer) in answers {
        let trouble = answer.err().map(|fault| fault.to_string());
        if let Some(trouble) = &trouble
            && troubles.get(&partner) != Some(trouble)
        {
            tracing::info!(partner, trouble, "the partner has not cosigned our ledger");
        }
        match trouble {
            Some(trouble) => troubles.insert(partner, trouble),
            None => troubles.remove(&partner),
        };
    }
}
