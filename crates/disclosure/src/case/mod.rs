//! A case, from the hit to the end, typed: a step that its state does not allow does not compile.
//!
//! ```text
//! Hit ─► Same | Unsure | Different ─► Requested | NotPursued                                   (requester; a person each)
//! Requested ─► Triage ─► { NeedsInfo, NeedsJudicial } ─► Triage ─► Approving ─► Approved | Partial | Refused  (owner; people)
//! Approved | Partial ─► Released ─► Received ─► OutcomeKnown ─► Closed
//! before Released: Withdrawn, Expired;   after: Recalled
//! ```
//!
//! [`Case`] is what code holds that takes a step; [`AnyCase`](crate::AnyCase) is what a store rebuilds from a history. Both use the same
//! steps below: there is no other way to a state than its steps, and so no state that a database could be edited into.

mod any;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use concordat_ledger::{Digest, Hex, Person, Side, Text};
use jiff::Timestamp;

use crate::agreement::Rules;
use crate::approval::Approval;
use crate::codes::{CaseOutcome, Comparison};
use crate::deadline::{Clock, Reading};
use crate::decision::Decision;
use crate::document::Document;
use crate::event::{By, Event, What};
use crate::registry::{Registry, Role};
use crate::request::{CaseId, ConfirmedBy, DetailRequest};
use crate::rule::*;

pub use any::AnyCase;
pub use steps::{Cleared, Comparing, Ruled};

/// What a step is checked against. All of it is public to the side that holds it.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// Which side we are.
    pub side: Side,
    /// The agreement's rules.
    pub rules: &'a Rules,
    /// Our own officers.
    pub registry: &'a Registry,
    /// Decisions and approvals by their digests. The owner has all of its own; the requester has none before the release.
    pub documents: &'a Documents,
    /// On the owner's side: the officers who wrote the records that hit, by their ids or accounts at our own agency. As they were when
    /// the case was opened, at every step and every replay: another set is another judgement of the same history. Empty where no officer
    /// was named, and at the requester, which is not told.
    pub authors: &'a [Text],
}

/// Documents that a history names by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    decisions: BTreeMap<Digest, Decision>,
    approvals: BTreeMap<Digest, Approval>,
}

impl Documents {
    /// Adds a decision; gives its digest.
    ///
    /// # Errors
    /// As [`Document::encode`].
    pub fn add_decision(&mut self, decision: Decision) -> Result<Digest, Refused> {
        let digest = decision.digest()?;
        self.decisions.insert(digest, decision);
        Ok(digest)
    }

    /// Adds an approval; gives its digest.
    ///
    /// # Errors
    /// As [`Document::encode`].
    pub fn add_approval(&mut self, approval: Approval) -> Result<Digest, Refused> {
        let digest = approval.digest()?;
        self.approvals.insert(digest, approval);
        Ok(digest)
    }

    /// The decision with this digest.
    pub fn decision(&self, digest: &Digest) -> Option<&Decision> {
        self.decisions.get(digest)
    }

    /// The approval with this digest.
    pub fn approval(&self, digest: &Digest) -> Option<&Approval> {
        self.approvals.get(digest)
    }
}

/// When a step is taken, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whose.
    pub side: Side,
    /// When; not before the step that it follows. With two clocks, take the later of the two times.
    pub at: Timestamp,
    /// Who; `None` for the node by itself.
    pub by: Option<Person>,
}

/// A case in state `S`.
///
/// A decision that is still being approved cannot be released:
/// ```compile_fail,E0599
/// # use concordat_disclosure::{Approving, Case, Step, World, event::ReleasedAs};
/// fn jump(case: Case<Approving>, world: &World<'_>, step: &Step, released: ReleasedAs) {
///     let _ = case.release(world, step, released);
/// }
/// ```
/// one that is approved can be:
/// ```
/// # use concordat_disclosure::{ApprovedAll, Case, Step, World, event::ReleasedAs};
/// fn release(case: Case<ApprovedAll>, world: &World<'_>, step: &Step, released: ReleasedAs) {
///     let _ = case.release(world, step, released);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case<S> {
    file: File,
    state: S,
}

/// What every state has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    id: CaseId,
    /// All steps of one's own side: at the requester the private ones first.
    events: Vec<Event>,
    step: u32,
    head: Digest,
    last: Option<Timestamp>,
    request: Option<Box<DetailRequest>>,
    clock: Option<Clock>,
    recent: u32,
}

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $text:literal $({ $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* })?;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $name { $($($(#[$fdoc])* pub(crate) $field: $ty,)*)? }

            impl State for $name {
                const NAME: &'static str = $text;
            }
        )*
    };
}

/// A state.
pub trait State {
    /// Its name, as it is shown and written.
    const NAME: &'static str;
}

states! {
    /// The machine found a match; a person must compare.
    HitFound = "HIT" {
        hit: crate::event::Hit,
    };
    /// A person answered SAME: this is a hit, and it must be pursued or the reason stated.
    Same = "CONFIRMED_SAME" {
        hit: crate::event::Hit,
        confirmed: ConfirmedBy,
    };
    /// A person could not say.
    Unsure = "CONFIRMED_UNSURE" {
        hit: crate::event::Hit,
    };
    /// A person answered DIFFERENT.
    Different = "CONFIRMED_DIFFERENT" {
        hit: crate::event::Hit,
    };
    /// It is not pursued, and it is recorded why.
    NotPursuedFor = "NOT_PURSUED";
    /// Details are asked for; nobody at the owner has taken it up.
    AskedFor = "REQUESTED";
    /// A person at the owner looks at it.
    Triage = "TRIAGE";
    /// The owner waits for an answer.
    NeedsInfo = "NEEDS_INFO";
    /// The owner waits for a judicial authority.
    NeedsJudicial = "NEEDS_JUDICIAL";
    /// A decision is drawn up and collects approvals.
    Approving = "APPROVING" {
        signed: Signed,
    };
    /// All is to be released.
    ApprovedAll = "APPROVED" {
        signed: Signed,
    };
    /// Some is to be released.
    ApprovedPart = "PARTIAL" {
        signed: Signed,
    };
    /// Nothing is.
    RefusedAll = "REFUSED";
    /// It is sealed and sent.
    ReleasedTo = "RELEASED" {
        decision: Digest,
        approvals: Vec<Digest>,
        package: Digest,
    };
    /// The requester has it.
    ReceivedBy = "RECEIVED" {
        package: Digest,
    };
    /// What came of it is known.
    OutcomeKnown = "OUTCOME" {
        package: Digest,
        outcome: CaseOutcome,
    };
    /// Nothing is left to do.
    ClosedCase = "CLOSED" {
        package: Option<Digest>,
    };
    /// The requester withdrew.
    WithdrawnCase = "WITHDRAWN";
    /// Nobody decided in time.
    ExpiredCase = "EXPIRED";
    /// What was released was taken back.
    RecalledCase = "RECALLED" {
        since: Timestamp,
        confirmed: bool,
    };
}

/// A decision with the approvals that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub(crate) decision: Digest,
    pub(crate) approvals: Vec<Digest>,
    pub(crate) last: Option<Timestamp>,
}

impl Case<Same> {
    /// Who confirmed the hit, when and how.
    pub fn confirmed(&self) -> &ConfirmedBy {
        &self.state.confirmed
    }
}

impl Case<Approving> {
    /// The decision that collects approvals.
    pub fn decision(&self) -> Digest {
        self.state.signed.decision
    }
}

impl Case<ClosedCase> {
    /// What was released, if anything was.
    pub fn package(&self) -> Option<Digest> {
        self.state.package
    }
}

impl Case<RecalledCase> {
    /// Whether the requester has confirmed it.
    pub fn confirmed(&self) -> bool {
        self.state.confirmed
    }
}

impl<S: State> Case<S> {
    /// Its id.
    pub fn id(&self) -> CaseId {
        self.file.id
    }

    /// All steps that this side knows, oldest first.
    pub fn events(&self) -> &[Event] {
        &self.file.events
    }

    /// SHA-256 of the last step: two sides with the same have the same shared history.
    pub fn head(&self) -> Digest {
        self.file.head
    }

    /// The request, from REQUESTED on.
    pub fn request(&self) -> Option<&DetailRequest> {
        self.file.request.as_deref()
    }

    /// What the clock shows, from REQUESTED on.
    pub fn clock(&self, now: Timestamp) -> Option<Reading> {
        self.file.clock.as_ref().map(|clock| clock.read(now))
    }

    /// The state.
    pub fn state(&self) -> &S {
        &self.state
    }

    fn asked(&self) -> Result<&DetailRequest, Refused> {
        self.file.request.as_deref().ok_or_else(|| WRONG_STATE.refused())
    }

    /// Records a step that its state allows, and goes on to the next state.
    fn record<T>(mut self, world: &World<'_>, step: &Step, what: What, next: T) -> Result<Case<T>, Refused> {
        self.file.record(world, step, what)?;
        Ok(Case {
            file: self.file,
            state: next,
        })
    }
}

impl File {
    fn new(id: CaseId) -> Self {
        Self {
            id,
            events: Vec::new(),
            step: 0,
            head: Hex([0; 32]),
            last: None,
            request: None,
            clock: None,
            recent: 0,
        }
    }

    fn record(&mut self, world: &World<'_>, step: &Step, what: What) -> Result<(), Refused> {
        WRONG_SIDE.unless(what.side().is_none_or(|side| side == step.side))?;
        TIME_RUNS_BACK.unless(self.last.is_none_or(|last| last <= step.at))?;
        match (what.by(), &step.by) {
            (By::Person, None) => return Err(NEEDS_PERSON.refused()),
            (By::Node, Some(_)) => return Err(NEEDS_PERSON.at("by")),
            _ => {}
        }
        // Each side answers for its own people: it knows them, the other does not.
        if let (Some(person), true) = (&step.by, step.side == world.side) {
            let roles = if what.decides() {
                Role::DECIDES
            } else {
                Role::ANY_DESK
            };
            ROLE.unless(world.registry.may(&person.id, roles, step.at))?;
        }
        let event = Event {
            case: self.id,
            step: self.step + 1,
            previous: self.head,
            side: step.side,
            at: step.at,
            by: step.by.clone(),
            what,
        };
        self.head = event.digest()?;
        self.step = event.step;
        self.last = Some(event.at);
        self.events.push(event);
        Ok(())
    }

    /// The shared chain begins: what came before is the requester's alone.
    fn begin_shared(&mut self) {
        self.step = 0;
        self.head = Hex([0; 32]);
    }

    fn stop_clock(&mut self, at: Timestamp, stops: bool) {
        if let (Some(clock), true) = (&mut self.clock, stops) {
            clock.stop(at);
        }
    }

    fn go_on(&mut self, at: Timestamp) {
        if let Some(clock) = &mut self.clock {
            clock.go_on(at);
        }
    }

    fn end_clock(&mut self, at: Timestamp) {
        if let Some(clock) = &mut self.clock {
            clock.end(at);
        }
    }
}

impl Signed {
    /// The owner's check, made when an approval is added, when the decision is complete, and when it is released: enough distinct
    /// officers with distinct keys, none of them revoked by then, none with a part in the matter.
    fn check_quorum(&self, world: &World<'_>, request: &DetailRequest, at: Timestamp) -> Result<(), Refused> {
        let decision = world.documents.decision(&self.decision);
        let decision = decision.ok_or_else(|| DOCUMENT_MISSING.at("decision"))?;
        DOCUMENT_MISSING.unless_at("decision", decision.digest()? == self.decision)?;
        decision.check(request, world.rules)?;
        let mut officers = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for digest in &self.approvals {
            let approval = world
                .documents
                .approval(digest)
                .ok_or_else(|| DOCUMENT_MISSING.at("approval"))?;
            DOCUMENT_MISSING.unless_at("approval", approval.digest()? == *digest)?;
            if check_approval(approval, &self.decision, world, request, at).is_ok() {
                officers.insert(&approval.officer);
                keys.insert(approval.key.id());
            }
        }
        let needed = usize::from(decision.approvers(world.rules));
        QUORUM.unless(officers.len() >= needed && keys.len() >= needed)
    }
}

/// Whether one approval of a decision counts at a time.
fn check_approval(
    approval: &Approval,
    decision: &Digest,
    world: &World<'_>,
    request: &DetailRequest,
    at: Timestamp,
) -> Result<(), Refused> {
    let officer = &approval.officer;
    ROLE.unless(world.registry.may(officer, Role::DECIDES, at))?;
    world.registry.check(officer, &approval.key, at)?;
    let file_key = matches!(approval.key, crate::approval::OfficerKey::FileKey(_));
    FILE_KEY.unless(!file_key || world.rules.file_keys)?;
    let theirs = [
        &request.by.id,
        &request.ordered_by.id,
        &request.confirmed.person.id,
    ];
    let part = theirs
        .iter()
        .any(|id| world.registry.is_same_human(officer, &request.requester, id));
    let us = world.registry.agency();
    let wrote = world
        .authors
        .iter()
        .any(|author| world.registry.is_same_human(officer, us, author));
    CONFLICT.unless(!part && !wrote)?;
    approval.verify(decision, &world.rules.console, 0).map(|_| ())
}

/// What a person answered, as the next state.
fn comparison(comparison: Comparison, hit: crate::event::Hit, confirmed: ConfirmedBy) -> steps::Compared {
    match comparison {
        Comparison::Same => steps::Compared::Same(Same { hit, confirmed }),
        Comparison::Different => steps::Compared::Different(Different { hit }),
        Comparison::Unsure => steps::Compared::Unsure(Unsure { hit }),
    }
}
