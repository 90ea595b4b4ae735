//! What the other side sends: its steps, and parts of attachments.

use std::sync::Arc;

use concordat_disclosure::release::SealedRelease;
use concordat_disclosure::{
    AnyCase, Case, CaseId, Document, EscalationKey, Event, MAX_ATTACHMENT_BYTES, PART_BYTES, SealedMessage,
    Stating, What, rule,
};
use concordat_ledger::{Hex, Person, Side, Text};
use concordat_store::{CasePrivate, CaseRow, CaseSide, Incident, PartName};
use concordat_wire::v1::{CaseStep, PutAttachmentPartRequest, TakeCaseStepsRequest, TakeCaseStepsResponse};
use concordat_wire::{Fault, Reason};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::act::new_document;
use super::keep::{Also, keep, project, shared};
use super::load::{Loaded, Terms, kind, load, refusal};
use super::releases::statement;
use super::{no_such_case, records, refused, refused_as, stored};
use crate::access::PartnerCall;
use crate::book::Entry;
use crate::ledger::text;
use crate::matching::in_force;
use crate::state::State;
use crate::tls::SpkiPin;

/// Steps in one message.
const STEPS: usize = 64;
/// How far ahead of ours the other clock may be.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// Bytes of all messages of a case, without what is attached.
const MOST_SAID: usize = 4 << 20;
/// Steps of one case. Two desks that talk more should meet.
const MOST_STEPS: u32 = 1_000;
/// Requests of one partner within [`BULK_HOURS`].
const MOST_REQUESTS: u32 = 10_000;
/// Requests of this many hours count together for the cooling-off.
const BULK_HOURS: i64 = 24;
/// The kind of incident that a request without a proof is.
const NO_PROOF: &str = "proof_of_hit_failed";

/// Takes steps of the partner's side, in order; those that are known already change nothing.
///
/// # Errors
/// The rule that refuses the first that cannot be taken; those before it are taken. It is on record then.
pub async fn take_steps(
    state: &Arc<State>,
    pin: &SpkiPin,
    request: TakeCaseStepsRequest,
) -> Result<TakeCaseStepsResponse, Fault> {
    let id = case_id(&request.case_id)?;
    if request.steps.is_empty() || request.steps.len() > STEPS {
        return Err(Fault::invalid("DESK-013", "steps", "1 to 64 steps"));
    }
    let _turn = state.desk.turn(id).await;
    for step in &request.steps {
        take_step(state, pin, id, step).await?;
    }
    let row = state
        .store
        .case_row(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    let row = row.ok_or_else(no_such_case)?;
    Ok(TakeCaseStepsResponse {
        step: row.step,
        head: row.head.to_vec(),
    })
}

fn case_id(bytes: &[u8]) -> Result<CaseId, Fault> {
    let id = bytes.try_into().map(Hex);
    id.map_err(|_| Fault::invalid("DESK-013", "case_id", "16 bytes"))
}

async fn take_step(state: &Arc<State>, pin: &SpkiPin, id: CaseId, step: &CaseStep) -> Result<(), Fault> {
    let event = Event::decode(&step.event).map_err(refused)?;
    if event.case != id {
        return Err(refused_as(rule::OTHER_CASE));
    }
    if event.at > state.clock.now() + AHEAD {
        return Err(Fault::invalid(
            "DESK-015",
            "at",
            "the step is dated in the future: set the clocks of both nodes",
        ));
    }
    let row = state
        .store
        .case_row(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    if row.is_none() {
        return open(state, pin, &event).await;
    }
    let loaded = load(state, id).await?;
    if loaded.terms.entry.partner.pin != *pin {
        return not_theirs(state, pin, no_such_case()).await;
    }
    if loaded.case.events().contains(&event) {
        return Ok(());
    }
    let over = loaded.row.waits_for.is_none();
    if over && matches!(event.what, What::Said(_)) {
        return Err(refused_as(rule::WRONG_STATE));
    }
    if event.step > MOST_STEPS {
        let message = "the case has 1,000 steps: no more are taken, ask anew";
        return Err(Fault::new(Reason::Precondition, "DESK-022", message));
    }
    let pending = state
        .store
        .case_pending(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    if pending.is_some() {
        // Which of the two comes first, the owner has decided: ours may be the one before.
        return Err(Fault::new(
            Reason::Unavailable,
            "DESK-014",
            "a step of this side is on its way: send it again in a moment",
        ));
    }
    let taken = take(state, &loaded, &event, step).await;
    if taken.is_ok() {
        // Whoever brings something new is back; what is said again shows nothing.
        state.desk.reached(&loaded.row.partner, true);
    }
    if let Err(fault) = &taken {
        let tried = (event.by.clone(), event.what.name());
        note_refusal(state, &loaded.terms.entry, id, tried, fault).await;
    }
    taken
}

async fn take(state: &Arc<State>, loaded: &Loaded, event: &Event, step: &CaseStep) -> Result<(), Fault> {
    let next = loaded
        .case
        .clone()
        .accept(&loaded.world(), event)
        .map_err(refused)?;
    let mut also = bring(state, loaded, event, step)?;
    if loaded.side == Side::Owner {
        // Whoever sends this one has all before it.
        also.delivered = Some(event.step);
    }
    let before = loaded.case.events().len();
    keep(
        state,
        (&loaded.terms, &loaded.documents),
        &loaded.row,
        (before, &next),
        also,
    )
    .await
}

/// The documents that a step brings, verified.
fn bring(state: &State, loaded: &Loaded, event: &Event, step: &CaseStep) -> Result<Also, Fault> {
    let missing = || refused_as(rule::DOCUMENT_MISSING);
    let mut also = Also::default();
    match &event.what {
        What::Said(name) | What::InfoAsked(name) | What::InfoGiven(name) => {
            let sealed = SealedMessage::decode(&step.sealed_message).map_err(|_| missing())?;
            if sealed.name().map_err(refused)? != *name {
                return Err(missing());
            }
            let message = sealed
                .open(&loaded.id(), event.side, &state.identity.disclosure)
                .map_err(refused)?;
            if Some(&message.by) != event.by.as_ref() || message.at != event.at {
                return Err(refused_as(rule::NEEDS_PERSON));
            }
            let said = loaded.kept.iter().filter(|kept| kept.kind == kind::MESSAGE);
            let said: usize = said.map(|kept| kept.document.len()).sum();
            let document = new_document(kind::MESSAGE, &message)?;
            if said + document.document.len() > MOST_SAID {
                let message =
                    "the case's messages are 4 MiB long: no more are taken, send a file or ask anew";
                return Err(Fault::new(Reason::Precondition, "DESK-022", message));
            }
            also.documents.push(document);
        }
        What::Released(released) => {
            let release = SealedRelease::decode(&step.sealed_release).map_err(|_| missing())?;
            if release.digest().map_err(refused)? != released.package {
                return Err(refused_as(rule::RECEIPT));
            }
            let request = loaded.case.request().ok_or_else(missing)?;
            release
                .check(request, &released.decision, theirs(state, loaded)?)
                .map_err(refused)?;
            also.documents.push(new_document(kind::RELEASE, &release)?);
        }
        What::Recalled(_) => {
            let release = loaded.release()?.ok_or_else(missing)?;
            release
                .check_recall(&step.statement, theirs(state, loaded)?)
                .map_err(refused)?;
            also.documents.push(statement(step.statement.clone()));
        }
        What::Received(_) => also
            .documents
            .push(answer(state, loaded, step, Stating::Receipt)?),
        What::RecallConfirmed => also
            .documents
            .push(answer(state, loaded, step, Stating::RecallDone)?),
        _ => {}
    }
    Ok(also)
}

fn answer(
    state: &State,
    loaded: &Loaded,
    step: &CaseStep,
    stating: Stating,
) -> Result<concordat_store::CaseDocument, Fault> {
    let release = loaded
        .release()?
        .ok_or_else(|| refused_as(rule::DOCUMENT_MISSING))?;
    let ours = state.identity.signing.verifier();
    release
        .check_answer(&step.statement, stating, &ours, theirs(state, loaded)?)
        .map_err(refused)?;
    Ok(statement(step.statement.clone()))
}

fn theirs<'a>(state: &State, loaded: &'a Loaded) -> Result<&'a concordat_note::VerifierKey, Fault> {
    let party = loaded.terms.entry.agreement.partner_of(state.us());
    Ok(&party.ok_or_else(|| refused_as(rule::OTHER_AGREEMENT))?.identity)
}

/// A request: its proof and the agreement first, and only then does anybody see it.
async fn open(state: &Arc<State>, pin: &SpkiPin, event: &Event) -> Result<(), Fault> {
    let What::Requested(requested) = &event.what else {
        return Err(no_such_case());
    };
    let request = &requested.request;
    let entry = state.book.get(request.agreement.as_str());
    let entry = entry.filter(|entry| entry.partner.pin == *pin);
    let Some(entry) = entry else {
        return not_theirs(state, pin, refused_as(rule::OTHER_AGREEMENT)).await;
    };
    let opened = open_under(state, &entry, event).await;
    if let Err(fault) = &opened {
        let tried = (event.by.clone(), event.what.name());
        if fault.rule == rule::PROOF_OF_HIT.id {
            alarm(state, &entry, (event.case, request.exchange), tried, fault).await;
        } else {
            note_refusal(state, &entry, event.case, tried, fault).await;
        }
    }
    opened
}

async fn open_under(state: &Arc<State>, entry: &Arc<Entry>, event: &Event) -> Result<(), Fault> {
    let What::Requested(requested) = &event.what else {
        return Err(refused_as(rule::WRONG_STATE));
    };
    let request = &requested.request;
    in_force(entry)?;
    let terms = Terms::of(state, request.agreement.as_str(), request.offer.as_str()).await?;
    if terms.offer.owner != state.us() {
        return Err(refused_as(rule::WRONG_SIDE));
    }
    let epoch = u32::try_from(request.epoch).ok();
    let epoch = epoch.filter(|epoch| entry.agreement.epoch_usable(*epoch, state.clock.now()));
    let epoch = epoch.ok_or_else(|| refused_as(rule::PROOF_OF_HIT))?;
    // Looking for a tag reads them all, and how many requests there were must not change meanwhile.
    let _one = state.desk.partner_turn(&entry.partner.id).await;
    let behind = records::behind(state, &terms, request).await?;
    // No record and a wrong proof are one answer: nobody learns which tags are records.
    let (key, authors) = match behind {
        Some(behind) => (behind.key, behind.authors),
        None => (EscalationKey::new(&state.entropy.bytes()), Default::default()),
    };
    let day = SignedDuration::from_hours(BULK_HOURS);
    let since_ms = state.now_ms() - i64::try_from(day.as_millis()).unwrap_or(0);
    let recent = state
        .store
        .requests_since(&entry.partner.id, since_ms)
        .await
        .map_err(|error| stored(&error))?;
    let tag = &request.tag.0;
    let open = state
        .store
        .open_request_of_tag(&entry.agreement.id, &terms.offer.id, epoch, tag);
    if behind_open(open.await.map_err(|error| stored(&error))?, event.case) {
        let message = "there is an open request about the same record: go on in that case";
        return Err(Fault::new(Reason::Precondition, "DESK-024", message));
    }
    if recent >= MOST_REQUESTS {
        let message = "this agency has asked 10,000 times within a day: ask again tomorrow";
        return Err(Fault::new(Reason::Precondition, "DESK-023", message));
    }
    let documents = concordat_disclosure::Documents::default();
    // As they are now, for good: what is written later changes no history.
    let authors: Vec<String> = authors.into_iter().collect();
    let texts: Vec<Text> = authors.iter().map(|author| text(author)).collect();
    let world = terms.world(Side::Owner, &documents, &texts);
    let now = Timestamp::from_millisecond(state.now_ms()).unwrap_or_else(|_| state.clock.now());
    let case = Case::receive(&world, event, &key, now, recent.saturating_add(1)).map_err(refused)?;
    let case = AnyCase::from(case);
    let row = CaseRow {
        id: event.case.0,
        side: CaseSide::Owner,
        partner: entry.partner.id.clone(),
        agreement: entry.agreement.id.clone(),
        offer: terms.offer.id.clone(),
        epoch,
        kind: terms.offer.kind.name().to_owned(),
        exchange: request.exchange.0,
        tag: request.tag.0,
        state: String::new(),
        waits_for: None,
        purpose: String::new(),
        urgency: String::new(),
        opened_ms: state.now_ms(),
        updated_ms: state.now_ms(),
        clock: None,
        expires_ms: None,
        step: 0,
        head: [0; 32],
    };
    let also = Also {
        delivered: Some(1),
        private: Some(CasePrivate {
            authors: Some(authors),
            ..CasePrivate::default()
        }),
        ..Also::default()
    };
    debug_assert!(shared(&case) == 2);
    keep(
        state,
        (&terms, &documents),
        &project(row, &case, &terms.rules, now),
        (0, &case),
        also,
    )
    .await
}

fn behind_open(open: Option<concordat_store::CaseKey>, case: CaseId) -> bool {
    open.is_some_and(|open| open != case.0)
}

/// Somebody asks who cannot have had the identifier: a tag picked out of a snapshot, or a broken node. The refused step is on record with
/// the incident.
async fn alarm(
    state: &Arc<State>,
    entry: &Entry,
    (case, exchange): (CaseId, Hex<16>),
    (by, action): (Option<Person>, &str),
    fault: &Fault,
) {
    let partner = entry.partner.id.as_str();
    let incident = Incident {
        at_ms: state.now_ms(),
        partner: partner.to_owned(),
        kind: NO_PROOF.to_owned(),
        exchange: Some(uuid::Uuid::from_bytes(exchange.0)),
        transcript_digest: None,
        detail: "a request for details came without a proof of its hit: nobody was shown it".to_owned(),
    };
    refuse(state, entry, (case, by, action), fault, Some(incident)).await;
}

/// Records what a partner tried in a case and was refused, once a minute for each rule: nobody fills the disk by knocking.
async fn refuse(
    state: &Arc<State>,
    entry: &Entry,
    (case, by, action): (CaseId, Option<Person>, &str),
    fault: &Fault,
    incident: Option<Incident>,
) {
    let partner = entry.partner.id.as_str();
    let refused = refusal((partner, case), by, action, fault);
    let kind = (fault.rule, Some(partner.to_owned()));
    state
        .refused_once(kind, Some(&entry.agreement), refused, incident)
        .await;
}

/// A partner that names a case or an agreement of somebody else: on record, and answered as if there were none.
async fn not_theirs<T>(state: &Arc<State>, pin: &SpkiPin, fault: Fault) -> Result<T, Fault> {
    let call = PartnerCall {
        partner: pin,
        name: "go on in a case, or under an agreement, of others",
        scope: None,
        stated: None,
    };
    state.noting(&call, Err(fault)).await
}

/// Puts on record what step a partner tried and was refused.
async fn note_refusal(
    state: &Arc<State>,
    entry: &Entry,
    case: CaseId,
    (by, action): (Option<Person>, &str),
    fault: &Fault,
) {
    // That a step is late happens every day.
    let usual =
        fault.rule == rule::STALE.id || matches!(fault.reason, Reason::Unavailable | Reason::Internal);
    if !usual {
        refuse(state, entry, (case, by, action), fault, None).await;
    }
}

/// Keeps a part of an attachment of the other side.
///
/// # Errors
/// `DESK-002`; too large; another part is there; there is no room for more.
pub async fn put_part(
    state: &Arc<State>,
    pin: &SpkiPin,
    request: PutAttachmentPartRequest,
) -> Result<(), Fault> {
    let id = case_id(&request.case_id)?;
    let attachment: [u8; 16] = request
        .attachment_id
        .as_slice()
        .try_into()
        .map_err(|_| Fault::invalid("DESK-013", "attachment_id", "16 bytes"))?;
    let row = state
        .store
        .case_row(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    let row = row.ok_or_else(no_such_case)?;
    let entry = state
        .book
        .get(&row.agreement)
        .filter(|entry| entry.partner.pin == *pin);
    let Some(entry) = entry else {
        return not_theirs(state, pin, no_such_case()).await;
    };
    let kept = keep_part(state, &row, attachment, request).await;
    if let Err(fault) = &kept {
        note_refusal(state, &entry, id, (None, "attached"), fault).await;
    }
    kept
}

async fn keep_part(
    state: &State,
    row: &CaseRow,
    attachment: [u8; 16],
    request: PutAttachmentPartRequest,
) -> Result<(), Fault> {
    if row.waits_for.is_none() {
        return Err(refused_as(rule::WRONG_STATE));
    }
    let parts = MAX_ATTACHMENT_BYTES.div_ceil(PART_BYTES as u64);
    if !(17..=PART_BYTES + 16).contains(&request.sealed.len()) || u64::from(request.part) >= parts {
        return Err(refused_as(rule::ATTACHMENT_SIZE));
    }
    let part = PartName {
        attachment,
        part: request.part,
    };
    let sha256 = Sha256::digest(&request.sealed).into();
    let put = state
        .store
        .put_part(&row.id, part, &sha256, &request.sealed, false);
    put.await.map_err(|error| match error {
        concordat_store::StoreError::AlreadyExists { .. } => refused_as(rule::ATTACHMENT_CHUNK),
        error => stored(&error),
    })
}
