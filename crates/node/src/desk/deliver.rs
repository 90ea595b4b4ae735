//! To the other side: a requester's pending step, an owner's steps that the requester does not have yet, parts of attachments.

use std::sync::Arc;
use std::time::Duration;

use concordat_disclosure::{CaseId, Document, Documents, Event, Step, What, rule};
use concordat_ledger::{Hex, Side};
use concordat_store::PendingStep;
use concordat_wire::v1::{CaseStep, PutAttachmentPartRequest, TakeCaseStepsRequest};
use concordat_wire::{Fault, FaultView, PEER_MESSAGE_LIMIT, Reason};
use prost::Message;
use tonic::{Code, Status};

use super::act::note_refusal;
use super::keep::{Also, keep, shared};
use super::load::{Loaded, kind, load};
use super::{refused, refused_as, stored};
use crate::state::State;

/// How long a partner may take to answer; a person waits for it.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often what could not be delivered is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Cases looked at in one round.
const ROUND: u32 = 64;
/// Parts of attachments looked at together.
const PARTS: u32 = 16;
/// Bytes of steps sent at once; one alone may be larger.
const BYTES: usize = PEER_MESSAGE_LIMIT - (64 << 10);
/// Steps sent at once.
const STEPS: usize = 64;

/// Sends what waits in a case, once. That the partner cannot be reached is no error: it is tried again.
///
/// # Errors
/// The partner refuses our pending step: it is dropped, and its rule given. The database failed.
pub(super) async fn now(state: &Arc<State>, id: CaseId) -> Result<(), Fault> {
    // What is attached goes before the message that names it.
    if !send_parts(state, id).await? {
        return Ok(());
    }
    let pending = state
        .store
        .case_pending(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    match pending {
        Some(pending) => send_pending(state, id, pending).await,
        None => send_steps(state, id).await,
    }
}

async fn send_pending(state: &Arc<State>, id: CaseId, pending: PendingStep) -> Result<(), Fault> {
    let loaded = load(state, id).await?;
    let event = Event::decode(&pending.event).map_err(refused)?;
    let document = |wanted: &str| {
        let found = pending.documents.iter().find(|document| document.kind == wanted);
        found
            .map(|document| document.document.to_string())
            .unwrap_or_default()
    };
    let step = CaseStep {
        event: pending.event.to_string(),
        sealed_release: String::new(),
        sealed_message: document(kind::SEALED_MESSAGE),
        statement: document(kind::STATEMENT),
    };
    let drop_it = Also {
        pending: Some(None),
        ..Also::default()
    };
    let row = &loaded.row;
    let before = loaded.case.events().len();
    let parts = (&loaded.terms, &loaded.documents);
    match send(state, &loaded, vec![step]).await {
        Ok(()) => {
            let mut documents = loaded.documents.clone();
            for kept in &pending.documents {
                add(&mut documents, &kept.kind, &kept.document)?;
            }
            let world = loaded.world_with(&documents);
            let next = loaded
                .case
                .clone()
                .step(&world, &Step::of(&event), event.what.clone());
            let next = match next {
                Ok(next) if next.events().last() == Some(&event) => next,
                // It was valid when it was sent: the registry or the clock changed since. The owner has it, so it stands.
                _ => {
                    let fault = refused_as(rule::STALE);
                    note_refusal(state, &loaded, event.by.clone(), event.what.name(), &fault).await;
                    return Err(fault);
                }
            };
            let forget = match event.what {
                What::RecallConfirmed => super::releases::released_documents(&loaded),
                _ => Vec::new(),
            };
            let private = match event.what {
                What::Requested(_) => super::hits::without_key(state, id).await?,
                _ => None,
            };
            let also = Also {
                private,
                documents: pending.documents,
                case_reference: super::hits::case_reference(state, &loaded).await?,
                suppress: super::hits::suppression(state, &loaded, &event.what, event.at).await?,
                forget,
                ..drop_it
            };
            keep(state, (&loaded.terms, &documents), row, (before, &next), also).await
        }
        Err(Undelivered::Later) => Ok(()),
        Err(Undelivered::Refused(fault)) => {
            note_refusal(state, &loaded, event.by.clone(), event.what.name(), &fault).await;
            keep(state, parts, row, (before, &loaded.case), drop_it).await?;
            Err(fault)
        }
    }
}

fn add(documents: &mut Documents, name: &str, text: &str) -> Result<(), Fault> {
    match name {
        kind::DECISION => {
            let decision = concordat_disclosure::Decision::decode(text).map_err(refused)?;
            documents.add_decision(decision).map_err(refused)?;
        }
        kind::APPROVAL => {
            let approval = concordat_disclosure::Approval::decode(text).map_err(refused)?;
            documents.add_approval(approval).map_err(refused)?;
        }
        _ => {}
    }
    Ok(())
}

async fn send_steps(state: &Arc<State>, id: CaseId) -> Result<(), Fault> {
    let loaded = load(state, id).await?;
    if loaded.side != Side::Owner {
        return Ok(());
    }
    let delivered = state
        .store
        .case_delivered(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    let mut shared = shared(&loaded.case);
    let waiting = loaded.case.events().iter();
    let waiting = waiting.filter(|event| event.step > delivered && event.side == Side::Owner);
    let (mut steps, mut bytes) = (Vec::new(), 0);
    for event in waiting {
        let step = with_documents(&loaded, event)?;
        bytes += step.encoded_len();
        if !steps.is_empty() && (bytes > BYTES || steps.len() == STEPS) {
            // The rest follows.
            shared = event.step - 1;
            break;
        }
        steps.push(step);
    }
    if !steps.is_empty() {
        match send(state, &loaded, steps).await {
            Ok(()) => {}
            Err(Undelivered::Later) => return Ok(()),
            Err(Undelivered::Refused(fault)) => {
                // Ours to mend, not the person's: she has taken her step.
                tracing::error!(case = %id, %fault, "the partner refuses steps of ours");
                return Ok(());
            }
        }
    } else if shared <= delivered {
        return Ok(());
    }
    let also = Also {
        delivered: Some(shared),
        ..Also::default()
    };
    let before = loaded.case.events().len();
    keep(
        state,
        (&loaded.terms, &loaded.documents),
        &loaded.row,
        (before, &loaded.case),
        also,
    )
    .await
}

fn with_documents(loaded: &Loaded, event: &Event) -> Result<CaseStep, Fault> {
    let by_digest = |digest: [u8; 32], wanted: &str| {
        let kept = loaded.kept.iter();
        let mut kept = kept.filter(|kept| kept.kind == wanted && kept.digest == digest);
        kept.next()
            .map(|kept| kept.document.to_string())
            .unwrap_or_default()
    };
    let mut step = CaseStep {
        event: event.encode().map_err(refused)?,
        ..CaseStep::default()
    };
    match &event.what {
        What::Said(message) | What::InfoAsked(message) | What::InfoGiven(message) => {
            step.sealed_message = by_digest(message.0, kind::SEALED_MESSAGE);
        }
        What::Released(released) => step.sealed_release = by_digest(released.package.0, kind::RELEASE),
        What::Recalled(_) => {
            let statements = loaded.kept.iter().filter(|kept| kept.kind == kind::STATEMENT);
            let mut recalls = statements.filter(|kept| kept.document.contains("concordat/v1/recall\n"));
            step.statement = recalls
                .next_back()
                .map(|kept| kept.document.to_string())
                .unwrap_or_default();
        }
        _ => {}
    }
    Ok(step)
}

enum Undelivered {
    /// The partner cannot be reached, or has something of its own to finish first.
    Later,
    /// The partner refuses it for good.
    Refused(Fault),
}

async fn send(state: &State, loaded: &Loaded, steps: Vec<CaseStep>) -> Result<(), Undelivered> {
    let request = TakeCaseStepsRequest {
        case_id: loaded.id().0.to_vec(),
        steps,
    };
    let mut client = loaded.terms.entry.partner.client();
    let partner = loaded.row.partner.as_str();
    let call = tokio::time::timeout(DEADLINE, client.take_case_steps(request));
    let status = match call.await {
        Ok(Ok(_)) => {
            state.desk.reached(partner, true);
            return Ok(());
        }
        Ok(Err(status)) => status,
        Err(_) => {
            state.desk.reached(partner, false);
            return Err(Undelivered::Later);
        }
    };
    match refusal(&status) {
        Some(code) if code != Code::ResourceExhausted => {
            let view = FaultView::from(&status);
            let known = concordat_disclosure::rule::RULES
                .iter()
                .find(|rule| rule.id == view.rule);
            let fault = match known {
                Some(rule) => refused_as(*rule),
                None => Fault::new(
                    Reason::NotPermitted,
                    "DESK-012",
                    format!("the partner refuses: {} [{}]", view.message, view.rule),
                ),
            };
            Err(Undelivered::Refused(fault))
        }
        _ => {
            state.desk.reached(partner, false);
            Err(Undelivered::Later)
        }
    }
}

/// How the partner's node refuses, if it is a refusal: a rule of its own, and no failure inside or on the way.
fn refusal(status: &Status) -> Option<Code> {
    let view = FaultView::from(status);
    let refuses = matches!(
        view.code,
        Code::InvalidArgument
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::ResourceExhausted
    );
    (refuses && !view.rule.is_empty()).then_some(view.code)
}

/// Sends the parts of a case's attachments that the partner does not have yet; whether it could be reached.
async fn send_parts(state: &Arc<State>, id: CaseId) -> Result<bool, Fault> {
    let row = state
        .store
        .case_row(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    let entry = row.and_then(|row| state.book.get(&row.agreement));
    let entry = entry.ok_or_else(super::no_such_case)?;
    loop {
        let parts = state
            .store
            .parts_to_deliver(&id.0, PARTS)
            .await
            .map_err(|error| stored(&error))?;
        if parts.is_empty() {
            return Ok(true);
        }
        for name in parts {
            let part = state
                .store
                .part(&id.0, name)
                .await
                .map_err(|error| stored(&error))?;
            let request = PutAttachmentPartRequest {
                case_id: id.0.to_vec(),
                attachment_id: name.attachment.to_vec(),
                part: name.part,
                sealed: part.unwrap_or_default(),
            };
            let mut client = entry.partner.client();
            let sent = tokio::time::timeout(DEADLINE, client.put_attachment_part(request)).await;
            match sent.map(|answer| answer.map_err(|status| refusal(&status))) {
                Ok(Ok(_)) => {}
                // A file that the partner does not take keeps back no decision, no withdrawal and no recall.
                Ok(Err(Some(Code::ResourceExhausted))) => return Ok(true),
                // For good: it is not sent again.
                Ok(Err(Some(code))) => {
                    tracing::warn!(case = %id, %code, "the partner refuses a part of an attachment");
                }
                Ok(Err(None)) | Err(_) => {
                    state.desk.reached(&entry.partner.id, false);
                    return Ok(false);
                }
            }
            state
                .store
                .part_delivered(&id.0, name)
                .await
                .map_err(|error| stored(&error))?;
        }
    }
}

/// Delivers what waits, until the node stops.
pub async fn run(state: Arc<State>) {
    loop {
        if let Err(fault) = round(&state).await {
            tracing::error!(%fault, "delivering steps of cases");
        }
        let again = tokio::time::sleep(AGAIN);
        tokio::select! {
            () = state.stop.cancelled() => return,
            () = state.desk.waiting.notified() => {}
            () = again => {}
        }
    }
}

async fn round(state: &Arc<State>) -> Result<(), Fault> {
    let mut after = None;
    loop {
        let page = state
            .store
            .cases_to_deliver(after.as_ref(), ROUND)
            .await
            .map_err(|error| stored(&error))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(*last);
        for id in page {
            let id = Hex(id);
            if state.stop.is_cancelled() {
                return Ok(());
            }
            // One that is away keeps its own cases waiting, not everybody's.
            let row = state
                .store
                .case_row(&id.0)
                .await
                .map_err(|error| stored(&error))?;
            if row.is_some_and(|row| state.desk.is_away(&row.partner)) {
                continue;
            }
            {
                let _turn = state.desk.turn(id).await;
                if let Err(fault) = now(state, id).await {
                    tracing::warn!(case = %id, %fault, "a step of a case was not delivered");
                }
            }
        }
    }
}
