//! A case whose state is known only at run time: what a store rebuilds and an API steps.

use super::*;
use crate::rule::WRONG_STATE;

macro_rules! any_case {
    ($($(#[$doc:meta])* $variant:ident($state:ty),)*) => {
        /// A case in one of its states.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum AnyCase {
            $($(#[$doc])* $variant(Case<$state>),)*
        }

        $(impl From<Case<$state>> for AnyCase {
            fn from(case: Case<$state>) -> Self {
                Self::$variant(case)
            }
        })*

        impl AnyCase {
            /// The names of all states.
            pub const STATES: &[&str] = &[$(<$state as State>::NAME),*];

            /// The state's name: `HIT`, `TRIAGE`, …
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$state as State>::NAME,)* }
            }

            /// Its id.
            pub fn id(&self) -> CaseId {
                match self { $(Self::$variant(case) => case.id(),)* }
            }

            /// All steps that this side knows, oldest first.
            pub fn events(&self) -> &[Event] {
                match self { $(Self::$variant(case) => case.events(),)* }
            }

            /// SHA-256 of the last step: two sides with the same have the same shared history.
            pub fn head(&self) -> Digest {
                match self { $(Self::$variant(case) => case.head(),)* }
            }

            /// The request, from REQUESTED on.
            pub fn request(&self) -> Option<&DetailRequest> {
                match self { $(Self::$variant(case) => case.request(),)* }
            }

            /// What the clock shows, from REQUESTED on.
            pub fn clock(&self, now: Timestamp) -> Option<Reading> {
                match self { $(Self::$variant(case) => case.clock(now),)* }
            }

            fn say(self, world: &World<'_>, step: &Step, message: Digest) -> Result<Self, Refused> {
                Ok(match self { $(Self::$variant(case) => case.say(world, step, message)?.into(),)* })
            }

            fn next(&self) -> (u32, Digest) {
                match self { $(Self::$variant(case) => (case.file.step + 1, case.file.head),)* }
            }
        }
    };
}

any_case! {
    /// HIT.
    Hit(HitFound),
    /// CONFIRMED_SAME.
    Same(Same),
    /// CONFIRMED_UNSURE.
    Unsure(Unsure),
    /// CONFIRMED_DIFFERENT.
    Different(Different),
    /// NOT_PURSUED.
    NotPursued(NotPursuedFor),
    /// REQUESTED.
    Requested(AskedFor),
    /// TRIAGE.
    Triage(Triage),
    /// NEEDS_INFO.
    NeedsInfo(NeedsInfo),
    /// NEEDS_JUDICIAL.
    NeedsJudicial(NeedsJudicial),
    /// APPROVING.
    Approving(Approving),
    /// APPROVED.
    Approved(ApprovedAll),
    /// PARTIAL.
    Partial(ApprovedPart),
    /// REFUSED.
    Refused(RefusedAll),
    /// RELEASED.
    Released(ReleasedTo),
    /// RECEIVED.
    Received(ReceivedBy),
    /// OUTCOME.
    Outcome(OutcomeKnown),
    /// CLOSED.
    Closed(ClosedCase),
    /// WITHDRAWN.
    Withdrawn(WithdrawnCase),
    /// EXPIRED.
    Expired(ExpiredCase),
    /// RECALLED.
    Recalled(RecalledCase),
}

impl AnyCase {
    /// Rebuilds a case from the steps that were kept, verifying each as when it was taken: chain, sides, people, times, rules and, at
    /// the owner, every approval's signature. The proof of hit is not verified again: its key is destroyed with the epoch.
    ///
    /// # Errors
    /// The rule that the first bad step breaks: the store was changed from outside.
    pub fn replay<'e>(
        world: &World<'_>,
        events: impl IntoIterator<Item = &'e Event>,
    ) -> Result<Self, Refused> {
        let mut events = events.into_iter();
        let first = events.next().ok_or_else(|| WRONG_STATE.refused())?;
        let mut case = match (&first.what, world.side) {
            (What::Hit(hit), Side::Requester) => {
                let case = Case::open(first.case, world, &Step::of(first), hit.clone())?;
                STALE.unless(case.events().last() == Some(first))?;
                Self::from(case)
            }
            (What::Requested(_), Side::Owner) => Self::from(Case::received_before(world, first)?),
            _ => return Err(WRONG_STATE.refused()),
        };
        for event in events {
            case = case.apply(world, event)?;
        }
        Ok(case)
    }

    /// Takes a step of the other side. That it came from there, the connection must have shown.
    ///
    /// # Errors
    /// [`WRONG_SIDE`] if it is a step of our side: nobody else takes those; [`OTHER_CASE`]; [`STALE`] if it does not follow the last
    /// one: the sender looks again; else those of the step.
    pub fn accept(self, world: &World<'_>, event: &Event) -> Result<Self, Refused> {
        WRONG_SIDE.unless(event.side != world.side)?;
        self.apply(world, event)
    }

    /// Takes a step of our side; its event is then the last of [`events`](Self::events), to be kept, logged, and sent unless it
    /// [is private](What::is_private).
    ///
    /// # Errors
    /// [`WRONG_STATE`] if the state does not allow it; [`WRONG_SIDE`]; else those of the step. The case is used up: clone it to go on
    /// from before.
    pub fn step(self, world: &World<'_>, step: &Step, what: What) -> Result<Self, Refused> {
        WRONG_SIDE.unless(step.side == world.side)?;
        self.take(world, step, what)
    }

    fn apply(self, world: &World<'_>, event: &Event) -> Result<Self, Refused> {
        OTHER_CASE.unless(event.case == self.id())?;
        // The request begins the shared chain.
        if !matches!(event.what, What::Requested(_)) {
            STALE.unless(self.next() == (event.step, event.previous))?;
        }
        let next = self.take(world, &Step::of(event), event.what.clone())?;
        STALE.unless(next.events().last() == Some(event))?;
        Ok(next)
    }

    fn take(self, world: &World<'_>, step: &Step, what: What) -> Result<Self, Refused> {
        Ok(match (self, what) {
            (Self::Hit(case), What::Confirmed(said)) => case.confirm(world, step, said)?.into(),
            (Self::Unsure(case), What::Confirmed(said)) => case.confirm(world, step, said)?.into(),
            (Self::Same(case), What::NotPursued(why)) => case.not_pursued(world, step, why)?.into(),
            (Self::Unsure(case), What::NotPursued(why)) => case.not_pursued(world, step, why)?.into(),
            (Self::Different(case), What::NotPursued(why)) => case.not_pursued(world, step, why)?.into(),
            (Self::Same(case), What::Requested(asked)) => case
                .ask_for_details(world, step, asked.request, asked.proof)?
                .into(),
            (Self::Requested(case), What::Acknowledged(recent)) => {
                case.acknowledge(world, step, recent)?.into()
            }
            (Self::Requested(case), What::Triaged) => case.triage(world, step)?.into(),
            (case, What::Said(message)) => case.say(world, step, message)?,
            (Self::Triage(case), What::InfoAsked(message)) => case.ask(world, step, message)?.into(),
            (Self::NeedsInfo(case), What::InfoGiven(message)) => case.answer(world, step, message)?.into(),
            (Self::Triage(case), What::JudicialAwaited(who)) => case.await_judicial(world, step, who)?.into(),
            (Self::NeedsJudicial(case), What::JudicialGiven(text)) => {
                case.judicial(world, step, text)?.into()
            }
            (Self::Triage(case), What::Proposed(decision)) => case.propose(world, step, decision)?.into(),
            (Self::Approving(case), What::Approved(approval)) => case.approve(world, step, approval)?.into(),
            (Self::Approving(case), What::Reconsidered(why)) => case.reconsider(world, step, why)?.into(),
            (Self::Approving(case), What::Decided(stated)) => case.decide(world, step, stated)?.into(),
            (Self::Approved(case), What::Released(released)) => case.release(world, step, released)?.into(),
            (Self::Partial(case), What::Released(released)) => case.release(world, step, released)?.into(),
            (Self::Released(case), What::Received(package)) => {
                case.receive_package(world, step, package)?.into()
            }
            (Self::Received(case), What::Outcome(stated)) => case.outcome(world, step, stated)?.into(),
            (Self::Recalled(case), What::RecallConfirmed) => case.confirm_recall(world, step)?.into(),
            (case, What::MoreTime(more)) => case.more_time(world, step, more)?,
            (case, What::Withdrawn(why)) => case.withdraw(world, step, why)?,
            (case, What::Expired) => case.expire(world, step)?,
            (case, What::Recalled(recall)) => case.recall(world, step, recall)?,
            (case, What::Closed) => case.close(world, step)?,
            _ => return Err(WRONG_STATE.refused()),
        })
    }

    fn more_time(
        self,
        world: &World<'_>,
        step: &Step,
        more: crate::event::MoreTime,
    ) -> Result<Self, Refused> {
        Ok(match self {
            Self::Requested(case) => case.more_time(world, step, more)?.into(),
            Self::Triage(case) => case.more_time(world, step, more)?.into(),
            Self::Approving(case) => case.more_time(world, step, more)?.into(),
            _ => return Err(WRONG_STATE.refused()),
        })
    }

    fn withdraw(self, world: &World<'_>, step: &Step, why: crate::text::Words) -> Result<Self, Refused> {
        Ok(match self {
            Self::Requested(case) => case.withdraw(world, step, why)?.into(),
            Self::Triage(case) => case.withdraw(world, step, why)?.into(),
            Self::NeedsInfo(case) => case.withdraw(world, step, why)?.into(),
            Self::NeedsJudicial(case) => case.withdraw(world, step, why)?.into(),
            Self::Approving(case) => case.withdraw(world, step, why)?.into(),
            Self::Approved(case) => case.withdraw(world, step, why)?.into(),
            Self::Partial(case) => case.withdraw(world, step, why)?.into(),
            _ => return Err(WRONG_STATE.refused()),
        })
    }

    fn expire(self, world: &World<'_>, step: &Step) -> Result<Self, Refused> {
        Ok(match self {
            Self::Requested(case) => case.expire(world, step)?.into(),
            Self::Triage(case) => case.expire(world, step)?.into(),
            Self::NeedsInfo(case) => case.expire(world, step)?.into(),
            Self::NeedsJudicial(case) => case.expire(world, step)?.into(),
            Self::Approving(case) => case.expire(world, step)?.into(),
            Self::Approved(case) => case.expire(world, step)?.into(),
            Self::Partial(case) => case.expire(world, step)?.into(),
            _ => return Err(WRONG_STATE.refused()),
        })
    }

    fn recall(self, world: &World<'_>, step: &Step, recall: crate::event::Recall) -> Result<Self, Refused> {
        Ok(match self {
            Self::Released(case) => case.recall(world, step, recall)?.into(),
            Self::Received(case) => case.recall(world, step, recall)?.into(),
            Self::Outcome(case) => case.recall(world, step, recall)?.into(),
            Self::Closed(case) => case.recall(world, step, recall)?.into(),
            _ => return Err(WRONG_STATE.refused()),
        })
    }

    fn close(self, world: &World<'_>, step: &Step) -> Result<Self, Refused> {
        Ok(match self {
            Self::NotPursued(case) => case.close(world, step)?.into(),
            Self::Refused(case) => case.close(world, step)?.into(),
            Self::Withdrawn(case) => case.close(world, step)?.into(),
            Self::Expired(case) => case.close(world, step)?.into(),
            Self::Outcome(case) => case.close(world, step)?.into(),
            Self::Recalled(case) => case.close(world, step)?.into(),
            _ => return Err(WRONG_STATE.refused()),
        })
    }

    /// Which side must act next; `None` if nobody must. For an inbox, and for the list of hits that nobody has pursued yet.
    pub fn waits_for(&self) -> Option<Side> {
        Some(match self {
            Self::Hit(_) | Self::Same(_) | Self::Unsure(_) | Self::Different(_) => Side::Requester,
            Self::NeedsInfo(_) | Self::Released(_) | Self::Received(_) => Side::Requester,
            Self::Recalled(case) if !case.state().confirmed => Side::Requester,
            Self::Requested(_) | Self::Triage(_) | Self::NeedsJudicial(_) => Side::Owner,
            Self::Approving(_) | Self::Approved(_) | Self::Partial(_) => Side::Owner,
            _ => return None,
        })
    }
}

impl From<steps::Comparing> for AnyCase {
    fn from(compared: steps::Comparing) -> Self {
        match compared {
            steps::Comparing::Same(case) => case.into(),
            steps::Comparing::Different(case) => case.into(),
            steps::Comparing::Unsure(case) => case.into(),
        }
    }
}

impl From<steps::Ruled> for AnyCase {
    fn from(ruled: steps::Ruled) -> Self {
        match ruled {
            steps::Ruled::Approved(case) => case.into(),
            steps::Ruled::Partial(case) => case.into(),
            steps::Ruled::Refused(case) => case.into(),
        }
    }
}
