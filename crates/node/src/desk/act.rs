//! Steps of ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use concordat_disclosure::codes::{Field, IntendedUse, Marks, SubjectClass};
use concordat_disclosure::deadline::Urgency;
use concordat_disclosure::event::{
    Confirmed, DecidedAs, MoreTime, NotPursued, OutcomeStated, Recall, Requested,
};
use concordat_disclosure::{
    AnyCase, Approval, CaseId, Decision, DetailRequest, Document, Documents, EscalationKey, Manifest,
    ProofOfHit, Refusal, Released, Step, Verdict, What, Withheld, Words, rule,
};
use concordat_ledger::{Digest, Hex, Person, Text};
use concordat_store::{CaseDocument, PendingStep};
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::keep::{Also, keep, waits_for_owner};
use super::load::{Loaded, kind, load, note};
use super::view::{CaseView, view};
use super::{
    Who, deliver, explain, hits, messages, officers, records, refused, refused_as, releases, stored,
};
use crate::ledger::text;
use crate::matching::in_force;
use crate::state::State;

/// A step that a person takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A person compared: the same, another, unsure.
    Confirm(Confirmed),
    /// Nothing is asked for, and why.
    NotPursue(NotPursued),
    /// Details are asked for.
    Request(Box<Asking>),
    /// The owner takes the request up.
    TakeUp,
    /// A message that changes no state.
    Say(Saying),
    /// The owner asks the requester something.
    Question(Saying),
    /// The requester answers.
    Answer(Saying),
    /// A judicial authority must authorise it: which.
    AwaitJudicial(Words),
    /// The authority has answered: its reference.
    Judicial(Words),
    /// The owner states more time (NCIC).
    MoreTime(MoreTime),
    /// A decision is drawn up.
    Propose(Box<Proposal>),
    /// An officer's signature on the decision that was drawn up.
    Approve(Box<Approval>),
    /// The decision is taken back before it is complete, and why.
    Reconsider(Words),
    /// What was decided is sealed and sent.
    Release,
    /// The release is opened.
    Open,
    /// What came of it.
    Outcome(OutcomeStated),
    /// The requester no longer asks, and why.
    Withdraw(Words),
    /// The owner takes the release back.
    Recall {
        /// Why.
        reason: Words,
        /// The case in which the corrected data are.
        corrected_in: Option<CaseId>,
    },
    /// What was released is deleted or corrected.
    ConfirmRecall,
    /// Nothing is left to do.
    Close,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// A purpose of the agreement.
    pub purpose: Text,
    /// A legal basis of the agreement.
    pub legal_basis: Text,
    /// What the data are for.
    pub intended_use: IntendedUse,
    /// Who the person is in the case.
    pub subject: SubjectClass,
    /// What happened.
    pub facts: Words,
    /// The offence, as a code.
    pub offence: Text,
    /// The longest sentence for it, in months.
    pub max_penalty_months: u32,
    /// Which fields.
    pub fields: BTreeSet<Field>,
    /// How urgent, and why.
    pub urgency: Urgency,
    /// To whom the data may go on.
    pub onward: BTreeSet<Text>,
    /// Who ordered it.
    pub ordered_by: Person,
    /// When the request is void.
    pub expires: Timestamp,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// Paragraphs, 1 to 32.
    pub text: Vec<Words>,
    /// The message that it answers.
    pub answers: Option<Hex<16>>,
    /// What was attached before ([`attachments::attach`](super::attachments::attach)).
    pub attachments: Vec<Manifest>,
}

/// A decision as it is drawn up. What is neither released nor withheld is refused with the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Nothing is released, and why.
    pub refusal: Option<Refusal>,
    /// Fields with their values.
    pub released: Vec<Released>,
    /// Fields that are not released, and why.
    pub withheld: Vec<Withheld>,
    /// How what is released must be handled.
    pub marks: Marks,
    /// Conditions in words.
    pub conditions: Vec<Words>,
}

/// A step that is about to be taken.
pub(super) struct Taken {
    pub(super) what: What,
    pub(super) also: Also,
    /// With the documents that the step brings.
    pub(super) documents: Documents,
}

impl Taken {
    fn plain(what: What, documents: &Documents) -> Self {
        Self {
            what,
            also: Also::default(),
            documents: documents.clone(),
        }
    }
}

/// Takes a step in the name of `who`, on the case as she saw it (`seen`, its head).
///
/// A requester's step is sent to the owner first: if the owner cannot be reached, the view says that it is being sent, and it is sent
/// again until the owner has taken or refused it.
///
/// # Errors
/// The rule that refuses it, `DISC-024` if the case has moved on: look again. Refusals are on record.
pub async fn act(
    state: &Arc<State>,
    who: &Who,
    id: CaseId,
    seen: Option<Digest>,
    action: Action,
) -> Result<CaseView, Fault> {
    {
        let _turn = state.desk.turn(id).await;
        let loaded = load(state, id).await?;
        let (name, roles) = (action_name(&action), explain::roles(&action));
        if let Err(fault) = take(state, who, &loaded, seen, action).await {
            let a_rule = fault.rule.starts_with("DISC-");
            let fault = explain::explained(state, &loaded, who, roles, fault);
            if a_rule {
                note_refusal(state, &loaded, Some(who.person.clone()), name, &fault).await;
            }
            return Err(fault);
        }
        deliver::now(state, id).await?;
        super::upkeep::decide(state, id).await?;
    }
    view(state, Some(who), id).await
}

async fn take(
    state: &Arc<State>,
    who: &Who,
    loaded: &Loaded,
    seen: Option<Digest>,
    action: Action,
) -> Result<(), Fault> {
    if seen.is_some_and(|seen| seen != loaded.case.head()) {
        return Err(refused_as(rule::STALE));
    }
    let pending = state
        .store
        .case_pending(&loaded.id().0)
        .await
        .map_err(|error| stored(&error))?;
    if pending.is_some() {
        return Err(Fault::new(
            Reason::Precondition,
            "DESK-003",
            "the step before this one is still on its way to the partner: wait until it has arrived",
        ));
    }
    let step = Step {
        side: loaded.side,
        at: now(state, &loaded.case),
        by: Some(who.person.clone()),
    };
    let taken = prepare(state, loaded, &step, action).await?;
    commit(state, loaded, &step, taken).await
}

/// Now, and not before the last step: two nodes' clocks may differ a little.
pub(super) fn now(state: &State, case: &AnyCase) -> Timestamp {
    let last = case.events().last().map(|event| event.at);
    let now = Timestamp::from_millisecond(state.now_ms()).unwrap_or_else(|_| state.clock.now());
    last.map_or(now, |last| last.max(now))
}

/// Takes a step of ours: keeps it, or, where the owner has to take it first, keeps it as pending.
pub(super) async fn commit(
    state: &Arc<State>,
    loaded: &Loaded,
    step: &Step,
    taken: Taken,
) -> Result<(), Fault> {
    let Taken {
        what,
        mut also,
        documents,
    } = taken;
    let waits = waits_for_owner(loaded.side, &what);
    let world = loaded.world_with(&documents);
    let next = loaded.case.clone().step(&world, step, what).map_err(refused)?;
    if !waits {
        let before = loaded.case.events().len();
        return keep(
            state,
            (&loaded.terms, &documents),
            &loaded.row,
            (before, &next),
            also,
        )
        .await;
    }
    let event = next
        .events()
        .last()
        .ok_or_else(|| refused_as(rule::WRONG_STATE))?;
    also.pending = Some(Some(PendingStep {
        event: Zeroizing::new(event.encode().map_err(refused)?),
        documents: std::mem::take(&mut also.documents),
        since_ms: state.now_ms(),
    }));
    // The history stays as it is until the owner has taken the step.
    let before = loaded.case.events().len();
    let private = also.private.take();
    let also = Also {
        pending: also.pending,
        private,
        // What was taken back is destroyed now, whether or not the owner can be told.
        forget: also.forget,
        ..Also::default()
    };
    keep(
        state,
        (&loaded.terms, &loaded.documents),
        &loaded.row,
        (before, &loaded.case),
        also,
    )
    .await
}

async fn prepare(state: &Arc<State>, loaded: &Loaded, step: &Step, action: Action) -> Result<Taken, Fault> {
    let plain = |what| Ok(Taken::plain(what, &loaded.documents));
    // Under an agreement that is suspended nothing new is asked for, decided or released; what is there can be ended and taken back.
    if matches!(
        action,
        Action::Request(_) | Action::Propose(_) | Action::Approve(_) | Action::Release
    ) {
        in_force(&loaded.terms.entry)?;
    }
    match action {
        Action::Confirm(confirmed) => {
            let mut taken = Taken::plain(What::Confirmed(confirmed), &loaded.documents);
            taken.also.suppress = hits::suppression(state, loaded, &taken.what, step.at).await?;
            Ok(taken)
        }
        Action::NotPursue(why) => {
            let mut taken = Taken::plain(What::NotPursued(why), &loaded.documents);
            taken.also.private = hits::without_key(state, loaded.id()).await?;
            Ok(taken)
        }
        Action::Request(asking) => request(state, loaded, step, *asking).await,
        Action::TakeUp => plain(What::Triaged),
        Action::Say(saying) => messages::say(state, loaded, step, saying, What::Said).await,
        Action::Question(saying) => messages::say(state, loaded, step, saying, What::InfoAsked).await,
        Action::Answer(saying) => messages::say(state, loaded, step, saying, What::InfoGiven).await,
        Action::AwaitJudicial(authority) => plain(What::JudicialAwaited(authority)),
        Action::Judicial(reference) => plain(What::JudicialGiven(reference)),
        Action::MoreTime(more) => plain(What::MoreTime(more)),
        Action::Propose(proposal) => propose(state, loaded, step, *proposal),
        Action::Approve(approval) => approve(state, loaded, *approval).await,
        Action::Reconsider(why) => plain(What::Reconsidered(why)),
        Action::Release => releases::release(state, loaded, step).await,
        Action::Open => releases::open(state, loaded, step).await,
        Action::Outcome(stated) => {
            let mut taken = Taken::plain(What::Outcome(stated), &loaded.documents);
            taken.also.suppress = hits::suppression(state, loaded, &taken.what, step.at).await?;
            Ok(taken)
        }
        Action::Withdraw(why) => plain(What::Withdrawn(why)),
        Action::Recall { reason, corrected_in } => {
            releases::recall(state, loaded, step, reason, corrected_in)
        }
        Action::ConfirmRecall => releases::confirm_recall(state, loaded, step).await,
        Action::Close => plain(What::Closed),
    }
}

async fn request(state: &Arc<State>, loaded: &Loaded, step: &Step, asking: Asking) -> Result<Taken, Fault> {
    let AnyCase::Same(case) = &loaded.case else {
        return Err(refused_as(rule::WRONG_STATE));
    };
    let person = step.by.clone().ok_or_else(|| refused_as(rule::NEEDS_PERSON))?;
    let confirmed = case.confirmed().clone();
    let private = state
        .store
        .case_private(&loaded.id().0)
        .await
        .map_err(|error| stored(&error))?;
    let key = private.and_then(|private| private.escalation_key);
    let key = key.ok_or_else(|| refused_as(rule::PROOF_OF_HIT))?;
    let (terms, row) = (&loaded.terms, &loaded.row);
    let recipient_key = state.identity.disclosure.public().map_err(refused)?.digest();
    let request = DetailRequest {
        case: loaded.id(),
        exchange: Hex(row.exchange),
        agreement: text(&row.agreement),
        offer: text(&row.offer),
        epoch: u64::from(row.epoch),
        kind: text(&row.kind),
        tag: Hex(row.tag),
        requester: terms.rules.requester.clone(),
        owner: terms.rules.owner.clone(),
        recipient_key,
        made: step.at,
        expires: asking.expires,
        purpose: asking.purpose,
        legal_basis: asking.legal_basis,
        intended_use: asking.intended_use,
        subject: asking.subject,
        facts: asking.facts,
        offence: asking.offence,
        max_penalty_months: asking.max_penalty_months,
        fields: asking.fields,
        urgency: asking.urgency,
        onward: asking.onward,
        confirmed,
        by: person,
        ordered_by: asking.ordered_by,
    };
    let proof = ProofOfHit::new(&EscalationKey::new(&key), &request).map_err(refused)?;
    let what = What::Requested(Box::new(Requested { request, proof }));
    Ok(Taken::plain(what, &loaded.documents))
}

fn propose(state: &State, loaded: &Loaded, step: &Step, proposal: Proposal) -> Result<Taken, Fault> {
    let request = loaded
        .case
        .request()
        .ok_or_else(|| refused_as(rule::WRONG_STATE))?;
    let verdict = match proposal.refusal {
        Some(refusal) => Verdict::Refused(refusal),
        None if proposal.withheld.is_empty() => Verdict::Approved,
        None => Verdict::Partial,
    };
    let decision = Decision {
        case: loaded.id(),
        request: request.digest().map_err(refused)?,
        recipient: request.requester.clone(),
        recipient_key: request.recipient_key,
        verdict,
        released: proposal.released,
        withheld: proposal.withheld,
        marks: proposal.marks,
        conditions: proposal.conditions,
        by: step.by.clone().ok_or_else(|| refused_as(rule::NEEDS_PERSON))?,
        at: step.at,
        salt: Hex(state.entropy.bytes()),
    };
    let mut documents = loaded.documents.clone();
    let document = new_document(kind::DECISION, &decision)?;
    let digest = documents.add_decision(decision).map_err(refused)?;
    Ok(Taken {
        what: What::Proposed(digest),
        also: Also {
            documents: vec![document],
            ..Also::default()
        },
        documents,
    })
}

async fn approve(state: &Arc<State>, loaded: &Loaded, approval: Approval) -> Result<Taken, Fault> {
    let AnyCase::Approving(case) = &loaded.case else {
        return Err(refused_as(rule::WRONG_STATE));
    };
    if loaded.authors.is_none() {
        let message = "nobody knows who wrote the record, so nobody can be kept from approving it: the case was opened by a version \
                       that did not keep it, or what it kept was removed. The partner withdraws and asks anew";
        return Err(Fault::new(Reason::Precondition, "DESK-025", message));
    }
    if let Some(request) = loaded.case.request() {
        // Also who has changed the record since the case was opened: it is as it is now that it was drawn up from.
        let behind = records::behind(state, &loaded.terms, request).await?;
        let wrote = |author: &String| {
            let registry = &loaded.terms.registry;
            registry.is_same_human(&approval.officer, registry.agency(), &text(author))
        };
        if behind.is_some_and(|behind| behind.authors.iter().any(wrote)) {
            return Err(refused_as(rule::CONFLICT));
        }
    }
    let (registry, now) = (&loaded.terms.registry, state.clock.now());
    if let Err(why) = registry.check(&approval.officer, &approval.key, now)
        && why.rule == rule::UNKNOWN_KEY
        && registry.officer(&approval.officer, now).is_some()
    {
        return Err(officers::not_hers(&approval.officer));
    }
    // A fresh assertion: its counter must have gone on. Verified later, it will not be asked again.
    let key = approval.key.id();
    let last = state
        .store
        .key_counter(&key.0)
        .await
        .map_err(|error| stored(&error))?;
    let counter = approval
        .verify(&case.decision(), &loaded.terms.rules.console, last)
        .map_err(refused)?;
    let mut documents = loaded.documents.clone();
    let document = new_document(kind::APPROVAL, &approval)?;
    let digest = documents.add_approval(approval).map_err(refused)?;
    Ok(Taken {
        what: What::Approved(digest),
        also: Also {
            documents: vec![document],
            counters: vec![(key.0, counter)],
            ..Also::default()
        },
        documents,
    })
}

/// The step with which enough approvals become a decision.
pub(super) fn decided(loaded: &Loaded) -> Option<Taken> {
    let AnyCase::Approving(case) = &loaded.case else {
        return None;
    };
    let decision = loaded.documents.decision(&case.decision())?;
    let what = What::Decided(DecidedAs {
        decision: case.decision(),
        result: decision.verdict.result(),
    });
    Some(Taken::plain(what, &loaded.documents))
}

/// A step of ours without anything more.
pub(super) fn plain(what: What, loaded: &Loaded) -> Taken {
    Taken::plain(what, &loaded.documents)
}

pub(super) fn recalled(package: Digest, reason: Words, corrected_in: Option<CaseId>) -> What {
    What::Recalled(Recall {
        package,
        reason,
        corrected_in,
    })
}

/// A document as the store keeps it.
pub(super) fn new_document(kind: &'static str, document: &impl Document) -> Result<CaseDocument, Fault> {
    let text = Zeroizing::new(document.encode().map_err(refused)?);
    Ok(CaseDocument {
        digest: document.digest().map_err(refused)?.0,
        kind: kind.to_owned(),
        document: text,
    })
}

fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Confirm(_) => "confirmed",
        Action::NotPursue(_) => "not-pursued",
        Action::Request(_) => "requested",
        Action::TakeUp => "triaged",
        Action::Say(_) => "said",
        Action::Question(_) => "info-asked",
        Action::Answer(_) => "info-given",
        Action::AwaitJudicial(_) => "judicial-awaited",
        Action::Judicial(_) => "judicial-given",
        Action::MoreTime(_) => "more-time",
        Action::Propose(_) => "proposed",
        Action::Approve(_) => "approved",
        Action::Reconsider(_) => "reconsidered",
        Action::Release => "released",
        Action::Open => "received",
        Action::Outcome(_) => "outcome",
        Action::Withdraw(_) => "withdrawn",
        Action::Recall { .. } => "recalled",
        Action::ConfirmRecall => "recall-confirmed",
        Action::Close => "closed",
    }
}

/// Puts on record that a step was refused.
pub(super) async fn note_refusal(
    state: &State,
    loaded: &Loaded,
    claimed: Option<Person>,
    action: &str,
    why: &Fault,
) {
    let case = (loaded.row.partner.as_str(), loaded.id());
    note(state, &loaded.terms.entry, case, claimed, action, why).await;
}
