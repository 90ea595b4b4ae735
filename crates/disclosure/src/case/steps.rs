//! The steps, each on the state that allows it.

use concordat_ledger::{Digest, Side};
use jiff::Timestamp;

use super::*;
use crate::deadline::Clock;
use crate::decision::Decided;
use crate::event::{
    Confirmed, DecidedAs, Hit, MoreTime, NotPursued, OutcomeStated, Recall, ReleasedAs, Requested,
};
use crate::request::{EscalationKey, ProofOfHit};
use crate::text::Words;

type Next<T> = Result<Case<T>, Refused>;

pub(super) enum Compared {
    Same(Same),
    Different(Different),
    Unsure(Unsure),
}

/// A case after a person compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparing {
    /// SAME.
    Same(Case<Same>),
    /// DIFFERENT.
    Different(Case<Different>),
    /// UNSURE.
    Unsure(Case<Unsure>),
}

/// A case that is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruled {
    /// Everything is to be released.
    Approved(Case<ApprovedAll>),
    /// Some of it.
    Partial(Case<ApprovedPart>),
    /// Nothing.
    Refused(Case<RefusedAll>),
}

impl Case<HitFound> {
    /// Opens a case on a match. The requester's node does.
    ///
    /// # Errors
    /// [`WRONG_SIDE`], [`NEEDS_PERSON`].
    pub fn open(id: CaseId, world: &World<'_>, step: &Step, hit: Hit) -> Next<HitFound> {
        WRONG_SIDE.unless(world.side == Side::Requester)?;
        let state = HitFound { hit: hit.clone() };
        let file = File::new(id);
        Case { file, state: () }.record_first(world, step, What::Hit(hit), state)
    }
}

impl Case<()> {
    fn record_first<T>(mut self, world: &World<'_>, step: &Step, what: What, next: T) -> Next<T> {
        self.file.record(world, step, what)?;
        Ok(Case {
            file: self.file,
            state: next,
        })
    }
}

macro_rules! comparable {
    ($($state:ty),*) => {$(
        impl Case<$state> {
            /// A person of the requester compares.
            ///
            /// # Errors
            /// [`NEEDS_PERSON`], [`ROLE`], [`TIME_RUNS_BACK`], [`WRONG_SIDE`].
            pub fn confirm(self, world: &World<'_>, step: &Step, confirmed: Confirmed) -> Result<Comparing, Refused> {
                let person = step.by.clone().ok_or_else(|| NEEDS_PERSON.refused())?;
                let by = ConfirmedBy { person, at: step.at, method: confirmed.method.clone() };
                let next = comparison(confirmed.comparison, self.state.hit.clone(), by);
                let what = What::Confirmed(confirmed);
                Ok(match next {
                    Compared::Same(next) => Comparing::Same(self.record(world, step, what, next)?),
                    Compared::Different(next) => Comparing::Different(self.record(world, step, what, next)?),
                    Compared::Unsure(next) => Comparing::Unsure(self.record(world, step, what, next)?),
                })
            }
        }
    )*};
}

comparable!(HitFound, Unsure);

macro_rules! droppable {
    ($($state:ty),*) => {$(
        impl Case<$state> {
            /// A person of the requester states why it is not pursued.
            ///
            /// # Errors
            /// [`NEEDS_PERSON`], [`ROLE`], [`TIME_RUNS_BACK`], [`WRONG_SIDE`].
            pub fn not_pursued(self, world: &World<'_>, step: &Step, why: NotPursued) -> Next<NotPursuedFor> {
                self.record(world, step, What::NotPursued(why), NotPursuedFor {})
            }
        }
    )*};
}

droppable!(Same, Unsure, Different);

impl Case<Same> {
    /// The requester asks. The step is taken by the requesting officer, at the time that the request is dated.
    ///
    /// # Errors
    /// The rule of the agreement that fails ([`Rules::permits`]); [`OTHER_CASE`], [`NOT_SAME`] if the request states another hit or
    /// another confirmation than this case has; those of a step.
    pub fn ask_for_details(
        self,
        world: &World<'_>,
        step: &Step,
        request: DetailRequest,
        proof: ProofOfHit,
    ) -> Next<AskedFor> {
        let same = request.confirmed == self.state.confirmed
            && request.tag == self.state.hit.tag
            && request.exchange == self.state.hit.exchange
            && request.kind == self.state.hit.kind;
        NOT_SAME.unless_at("confirmed", same)?;
        let mut file = self.file;
        file.begin_shared();
        requested(file, world, step, Requested { request, proof })
    }
}

impl Case<AskedFor> {
    /// The owner's node receives a request at `now`, verifies its proof and the agreement, and opens its side of the case: the steps
    /// [`What::Requested`] and [`What::Acknowledged`], with which the clock starts. `key` is the escalation key of the record with the
    /// request's tag, see [`ProofOfHit::verify`]; `recent` how many requests this requester made within 24 hours, this one included.
    ///
    /// # Errors
    /// [`PROOF_OF_HIT`]: alarm; the rule of the agreement that fails; [`STALE`] if the step is not a first one. Nobody is to see it.
    pub fn receive(
        world: &World<'_>,
        event: &Event,
        key: &EscalationKey,
        now: Timestamp,
        recent: u32,
    ) -> Next<AskedFor> {
        let What::Requested(requested) = &event.what else {
            return Err(WRONG_STATE.refused());
        };
        requested.proof.verify(key, &requested.request)?;
        let case = Self::received_before(world, event)?;
        let node = Step {
            side: Side::Owner,
            // The other clock may be a little ahead.
            at: now.max(event.at),
            by: None,
        };
        world.rules.permits(&requested.request, now)?;
        case.acknowledge(world, &node, recent)
    }

    /// The request alone, as it is kept: the key that its proof was verified with may be gone.
    pub(super) fn received_before(world: &World<'_>, event: &Event) -> Next<AskedFor> {
        let What::Requested(asked) = &event.what else {
            return Err(WRONG_STATE.refused());
        };
        WRONG_SIDE.unless(world.side == Side::Owner)?;
        let step = Step::of(event);
        let case = requested(File::new(event.case), world, &step, asked.as_ref().clone())?;
        STALE.unless(case.file.events.last() == Some(event))?;
        Ok(case)
    }

    pub(super) fn acknowledge(mut self, world: &World<'_>, step: &Step, recent: u32) -> Next<AskedFor> {
        WRONG_STATE.unless(self.file.clock.is_none())?;
        let request = self.asked()?;
        world.rules.permits(request, step.at)?;
        let limit = world.rules.deadlines.limit(&request.urgency);
        self.file.clock = Some(Clock::start(step.at, limit));
        self.file.recent = recent;
        self.record(world, step, What::Acknowledged(recent), AskedFor {})
    }

    /// A person of the owner takes it up.
    ///
    /// # Errors
    /// [`EXPIRY`], [`WRONG_STATE`] if it was not acknowledged, and those of a step.
    pub fn triage(self, world: &World<'_>, step: &Step) -> Next<Triage> {
        open_at(&self, step)?;
        WRONG_STATE.unless(self.file.clock.is_some())?;
        self.record(world, step, What::Triaged, Triage {})
    }
}

fn requested(mut file: File, world: &World<'_>, step: &Step, asked: Requested) -> Next<AskedFor> {
    let request = &asked.request;
    OTHER_CASE.unless(request.case == file.id)?;
    world.rules.permits(request, step.at)?;
    WRONG_SIDE.unless(step.side == Side::Requester)?;
    NEEDS_PERSON.unless_at("by", step.by.as_ref() == Some(&request.by))?;
    REQUEST_TIME.unless_at("made", step.at == request.made)?;
    file.request = Some(Box::new(request.clone()));
    Case { file, state: () }.record_first(world, step, What::Requested(Box::new(asked)), AskedFor {})
}

/// Before its expiry a request can be worked on, and not after.
fn open_at<S: State>(case: &Case<S>, step: &Step) -> Result<(), Refused> {
    EXPIRY.unless(step.at < case.asked()?.expires)
}

impl Case<Triage> {
    /// The owner asks the requester something.
    ///
    /// # Errors
    /// Those of a step.
    pub fn ask(mut self, world: &World<'_>, step: &Step, message: Digest) -> Next<NeedsInfo> {
        open_at(&self, step)?;
        self.file
            .stop_clock(step.at, world.rules.deadlines.terms().stops_for_information);
        self.record(world, step, What::InfoAsked(message), NeedsInfo {})
    }

    /// A judicial authority must authorise it.
    ///
    /// # Errors
    /// Those of a step.
    pub fn await_judicial(mut self, world: &World<'_>, step: &Step, authority: Words) -> Next<NeedsJudicial> {
        open_at(&self, step)?;
        self.file
            .stop_clock(step.at, world.rules.deadlines.terms().stops_for_judicial);
        self.record(world, step, What::JudicialAwaited(authority), NeedsJudicial {})
    }

    /// An officer of the owner draws up a decision.
    ///
    /// # Errors
    /// Those of [`Decision::check`]; [`SUPERSEDED`] if the same was drawn up before: a new one has a new salt; [`TOO_FEW_OFFICERS`]; [`DECISION_MISMATCH`] if somebody else drew it up, or at another time; those
    /// of a step.
    pub fn propose(self, world: &World<'_>, step: &Step, decision: Digest) -> Next<Approving> {
        open_at(&self, step)?;
        // The approvals of a decision that was taken back would fit it again.
        let again = |event: &Event| event.what == What::Proposed(decision);
        SUPERSEDED.unless_at("decision", !self.events().iter().any(again))?;
        if world.side == Side::Owner {
            let drawn = world
                .documents
                .decision(&decision)
                .ok_or_else(|| DOCUMENT_MISSING.at("decision"))?;
            drawn.check(self.asked()?, world.rules)?;
            DECISION_MISMATCH.unless_at("by", step.by.as_ref() == Some(&drawn.by) && step.at >= drawn.at)?;
            let enough = world.registry.deciders(step.at) >= usize::from(drawn.approvers(world.rules));
            TOO_FEW_OFFICERS.unless(enough)?;
        }
        let signed = Signed {
            decision,
            approvals: Vec::new(),
            last: None,
        };
        self.record(world, step, What::Proposed(decision), Approving { signed })
    }
}

impl Case<NeedsInfo> {
    /// The requester answers.
    ///
    /// # Errors
    /// Those of a step.
    pub fn answer(mut self, world: &World<'_>, step: &Step, message: Digest) -> Next<Triage> {
        open_at(&self, step)?;
        self.file.go_on(step.at);
        self.record(world, step, What::InfoGiven(message), Triage {})
    }
}

impl Case<NeedsJudicial> {
    /// The authority has answered. If it refused, a refusal is drawn up next.
    ///
    /// # Errors
    /// Those of a step.
    pub fn judicial(mut self, world: &World<'_>, step: &Step, reference: Words) -> Next<Triage> {
        open_at(&self, step)?;
        self.file.go_on(step.at);
        self.record(world, step, What::JudicialGiven(reference), Triage {})
    }
}

impl Case<Approving> {
    /// An officer of the owner approves exactly the decision that was drawn up. `approval` is the digest of hers, in the documents.
    ///
    /// # Errors
    /// [`SAME_OFFICER`], [`CONFLICT`], [`UNKNOWN_KEY`], [`REVOKED_KEY`], [`FILE_KEY`], [`ROLE`], those of [`Approval::verify`], those of
    /// a step.
    pub fn approve(mut self, world: &World<'_>, step: &Step, approval: Digest) -> Next<Approving> {
        open_at(&self, step)?;
        if world.side == Side::Owner {
            self.check_new(world, step, &approval)?;
        }
        self.state.signed.approvals.push(approval);
        self.state.signed.last = Some(step.at);
        let next = self.state.clone();
        self.record(world, step, What::Approved(approval), next)
    }

    fn check_new(&self, world: &World<'_>, step: &Step, digest: &Digest) -> Result<(), Refused> {
        let signed = &self.state.signed;
        let approval = world
            .documents
            .approval(digest)
            .ok_or_else(|| DOCUMENT_MISSING.at("approval"))?;
        DOCUMENT_MISSING.unless_at("approval", approval.digest()? == *digest)?;
        let own = step
            .by
            .as_ref()
            .is_some_and(|person| person.id == approval.officer);
        NEEDS_PERSON.unless_at("by", own)?;
        let before = signed
            .approvals
            .iter()
            .filter_map(|before| world.documents.approval(before));
        let again =
            |before: &Approval| before.officer == approval.officer || before.key.id() == approval.key.id();
        SAME_OFFICER.unless(!before.into_iter().any(again))?;
        check_approval(approval, &signed.decision, world, self.asked()?, step.at)
    }

    /// The decision is taken back before it is complete.
    ///
    /// # Errors
    /// Those of a step.
    pub fn reconsider(self, world: &World<'_>, step: &Step, reason: Words) -> Next<Triage> {
        open_at(&self, step)?;
        self.record(world, step, What::Reconsidered(reason), Triage {})
    }

    /// Enough have approved: the decision stands. At the owner every signature is verified again; the requester, who does not have
    /// the decision yet, takes `stated` and verifies everything when it opens the release.
    ///
    /// # Errors
    /// [`QUORUM`], [`COOLING_OFF`], [`SUPERSEDED`], [`DECISION_RESULT`], [`DOCUMENT_MISSING`], those of a step.
    pub fn decide(mut self, world: &World<'_>, step: &Step, stated: DecidedAs) -> Result<Ruled, Refused> {
        open_at(&self, step)?;
        let signed = self.state.signed.clone();
        SUPERSEDED.unless_at("decision", stated.decision == signed.decision)?;
        // One officer at the least, whoever's side looks.
        let last = signed.last.ok_or_else(|| QUORUM.refused())?;
        let wait = world.rules.cooling_off(self.file.recent);
        COOLING_OFF.unless(step.at >= crate::agreement::ahead(last, wait))?;
        if world.side == Side::Owner {
            signed.check_quorum(world, self.asked()?, step.at)?;
            let decision = world.documents.decision(&signed.decision);
            let result = decision.map(|decision| decision.verdict.result());
            DECISION_RESULT.unless_at("result", result == Some(stated.result))?;
        }
        self.file.end_clock(step.at);
        let what = What::Decided(stated.clone());
        Ok(match stated.result {
            Decided::Approved => Ruled::Approved(self.record(world, step, what, ApprovedAll { signed })?),
            Decided::Partial => Ruled::Partial(self.record(world, step, what, ApprovedPart { signed })?),
            Decided::Refused => Ruled::Refused(self.record(world, step, what, RefusedAll {})?),
        })
    }
}

/// A case whose release enough people have approved: the only one that a package is sealed for.
pub trait Cleared: sealed::Sealed {
    /// Its id.
    fn case_id(&self) -> CaseId;
    /// What is asked for.
    fn asked_for(&self) -> Option<&DetailRequest>;
    /// The decision and its approvals.
    fn signed(&self) -> &Signed;
    /// Verifies at `at` once more that enough unrevoked people have signed.
    ///
    /// # Errors
    /// [`QUORUM`], [`EXPIRY`], [`WRONG_SIDE`] at the requester.
    fn check(&self, world: &World<'_>, at: Timestamp) -> Result<(), Refused>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! cleared {
    ($($state:ty),*) => {$(
        impl sealed::Sealed for Case<$state> {}

        impl Cleared for Case<$state> {
            fn case_id(&self) -> CaseId {
                self.file.id
            }

            fn asked_for(&self) -> Option<&DetailRequest> {
                self.request()
            }

            fn signed(&self) -> &Signed {
                &self.state.signed
            }

            fn check(&self, world: &World<'_>, at: Timestamp) -> Result<(), Refused> {
                WRONG_SIDE.unless(world.side == Side::Owner)?;
                let request = self.asked()?;
                EXPIRY.unless(at < request.expires)?;
                self.state.signed.check_quorum(world, request, at)
            }
        }

        impl Case<$state> {
            /// The owner releases: an officer sends the sealed package with this digest. Once; there is no way back.
            ///
            /// # Errors
            /// [`QUORUM`] if a key was revoked since; [`SUPERSEDED`]; [`EXPIRY`]; those of a step.
            pub fn release(self, world: &World<'_>, step: &Step, released: ReleasedAs) -> Next<ReleasedTo> {
                open_at(&self, step)?;
                let signed = &self.state.signed;
                SUPERSEDED.unless_at("decision", released.decision == signed.decision)?;
                if world.side == Side::Owner {
                    signed.check_quorum(world, self.asked()?, step.at)?;
                }
                let next = ReleasedTo {
                    decision: signed.decision,
                    approvals: signed.approvals.clone(),
                    package: released.package,
                };
                self.record(world, step, What::Released(released), next)
            }
        }
    )*};
}

cleared!(ApprovedAll, ApprovedPart);

impl Case<ReleasedTo> {
    /// A person of the requester has opened the package; see [`release::open`](crate::release::open).
    ///
    /// # Errors
    /// [`RECEIPT`] if it is another package; those of a step.
    pub fn receive_package(self, world: &World<'_>, step: &Step, package: Digest) -> Next<ReceivedBy> {
        RECEIPT.unless(package == self.state.package)?;
        self.record(world, step, What::Received(package), ReceivedBy { package })
    }
}

impl Case<ReceivedBy> {
    /// A person of the requester states what came of it.
    ///
    /// # Errors
    /// Those of a step.
    pub fn outcome(self, world: &World<'_>, step: &Step, stated: OutcomeStated) -> Next<OutcomeKnown> {
        let next = OutcomeKnown {
            package: self.state.package,
            outcome: stated.outcome,
        };
        self.record(world, step, What::Outcome(stated), next)
    }
}

macro_rules! closable {
    ($($state:ty => $package:expr;)*) => {$(
        impl Case<$state> {
            /// Nothing is left to do.
            ///
            /// # Errors
            /// Those of a step; [`WRONG_STATE`] for a recall that is not confirmed.
            pub fn close(self, world: &World<'_>, step: &Step) -> Next<ClosedCase> {
                let package: fn(&$state) -> Result<Option<Digest>, Refused> = $package;
                let package = package(&self.state)?;
                self.record(world, step, What::Closed, ClosedCase { package })
            }
        }
    )*};
}

closable! {
    NotPursuedFor => |_| Ok(None);
    RefusedAll => |_| Ok(None);
    WithdrawnCase => |_| Ok(None);
    ExpiredCase => |_| Ok(None);
    OutcomeKnown => |state| Ok(Some(state.package));
    RecalledCase => |state| WRONG_STATE.unless(state.confirmed).map(|()| None);
}

macro_rules! undecided {
    ($($state:ty),*) => {$(
        impl Case<$state> {
            /// A person of the requester no longer asks.
            ///
            /// # Errors
            /// Those of a step.
            pub fn withdraw(mut self, world: &World<'_>, step: &Step, reason: Words) -> Next<WithdrawnCase> {
                self.file.end_clock(step.at);
                self.record(world, step, What::Withdrawn(reason), WithdrawnCase {})
            }

            /// The owner's node notes that the request is void.
            ///
            /// # Errors
            /// [`NOT_EXPIRED`]; those of a step.
            pub fn expire(mut self, world: &World<'_>, step: &Step) -> Next<ExpiredCase> {
                NOT_EXPIRED.unless(step.at >= self.asked()?.expires)?;
                self.file.end_clock(step.at);
                self.record(world, step, What::Expired, ExpiredCase {})
            }
        }
    )*};
}

undecided!(
    AskedFor,
    Triage,
    NeedsInfo,
    NeedsJudicial,
    Approving,
    ApprovedAll,
    ApprovedPart
);

macro_rules! delayable {
    ($($state:ty),*) => {$(
        impl Case<$state> {
            /// A person of the owner states more time, where the agreement's deadlines allow it (NCIC), before the time is up.
            ///
            /// # Errors
            /// [`NO_MORE_TIME`]; those of a step.
            pub fn more_time(mut self, world: &World<'_>, step: &Step, more: MoreTime) -> Next<$state> {
                open_at(&self, step)?;
                let expires = self.asked()?.expires;
                let clock = self.file.clock.as_mut().ok_or_else(|| WRONG_STATE.refused())?;
                let reading = clock.read(step.at);
                let allowed = world.rules.deadlines.terms().more_time && !reading.overdue;
                NO_MORE_TIME.unless(allowed)?;
                NO_MORE_TIME.unless_at("until", more.until > reading.due && more.until <= expires)?;
                clock.more(more.until);
                let next = self.state.clone();
                self.record(world, step, What::MoreTime(more), next)
            }
        }
    )*};
}

delayable!(AskedFor, Triage, Approving);

macro_rules! recallable {
    ($($state:ty => $package:expr;)*) => {$(
        impl Case<$state> {
            /// An officer of the owner takes the release back. The requester has 48 hours; see
            /// [`correction_due`](crate::deadline::correction_due).
            ///
            /// # Errors
            /// [`SUPERSEDED`] if it is another package, or nothing was released; those of a step.
            pub fn recall(self, world: &World<'_>, step: &Step, recall: Recall) -> Next<RecalledCase> {
                let package: fn(&$state) -> Option<Digest> = $package;
                SUPERSEDED.unless_at("package", package(&self.state) == Some(recall.package))?;
                let next = RecalledCase { since: step.at, confirmed: false };
                self.record(world, step, What::Recalled(recall), next)
            }
        }
    )*};
}

recallable! {
    ReleasedTo => |state| Some(state.package);
    ReceivedBy => |state| Some(state.package);
    OutcomeKnown => |state| Some(state.package);
    ClosedCase => |state| state.package;
}

impl Case<RecalledCase> {
    /// A person of the requester confirms that what was released is deleted or corrected.
    ///
    /// # Errors
    /// [`WRONG_STATE`] if that was confirmed before; those of a step.
    pub fn confirm_recall(self, world: &World<'_>, step: &Step) -> Next<RecalledCase> {
        WRONG_STATE.unless(!self.state.confirmed)?;
        let next = RecalledCase {
            confirmed: true,
            ..self.state.clone()
        };
        self.record(world, step, What::RecallConfirmed, next)
    }

    /// When it had to be confirmed, at the latest.
    pub fn due(&self) -> Timestamp {
        crate::deadline::correction_due(self.state.since)
    }
}

impl<S: State + Clone> Case<S> {
    /// A person of either side says something that changes no state; `message` is the digest of the
    /// [`SealedMessage`](crate::SealedMessage).
    ///
    /// # Errors
    /// [`WRONG_STATE`] before the request; those of a step.
    pub fn say(self, world: &World<'_>, step: &Step, message: Digest) -> Next<S> {
        self.asked()?;
        let next = self.state.clone();
        self.record(world, step, What::Said(message), next)
    }
}

impl Step {
    /// When and by whom a step was taken.
    pub fn of(event: &Event) -> Self {
        Self {
            side: event.side,
            at: event.at,
            by: event.by.clone(),
        }
    }
}
