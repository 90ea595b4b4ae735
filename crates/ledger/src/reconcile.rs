//! Two half-logs that join: every query of a requester has its evaluation at the owner, and the other way round.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::bytes::{Digest, Hex};
use crate::entry::{EntryType, Event};
use crate::events::{ExchangeId, Scope, Stated};
use crate::leaf::{Class, Join, Leaf, Side};

/// An exchange that goes on after it was recorded is recorded again; so often at most that the other's public leaves are searched for it.
pub const MAX_STEPS: u32 = 16;

/// What both sides of an exchange can compute alike: over the chunks that were answered, in the order of their numbers, each with the
/// SHA-256 of its blinded elements. The evaluated elements follow from them and the pinned key.
///
/// ```text
/// SHA-256("concordat/v1/ledger-transcript\n" ‖ exchange id, 16 ‖ (number, 4, big-endian ‖ SHA-256 of the chunk, 32)…)
/// ```
pub fn transcript(exchange: &ExchangeId, chunks: impl IntoIterator<Item = (u32, [u8; 32])>) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"concordat/v1/ledger-transcript\n");
    hash.update(exchange.0);
    for (number, digest) in chunks {
        hash.update(number.to_be_bytes());
        hash.update(digest);
    }
    Hex(hash.finalize().into())
}

/// How far an exchange had come when it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing had been sent, or answered.
    Opened,
    /// It had ended, as far as that side knew.
    Closed {
        /// Counts the records of that side; the last one holds.
        step: u32,
        /// The requester's node had stopped before it could write down what was answered.
        interrupted: bool,
    },
}

/// What one side recorded of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeRecord {
    /// The number of the entry in its log.
    pub index: u64,
    /// The exchange.
    pub exchange: ExchangeId,
    /// Which side recorded it.
    pub side: Side,
    /// When in its course.
    pub stage: Stage,
    /// [`transcript`] of what was answered; zeros when it was opened.
    pub transcript: Digest,
    /// Elements, padding included: announced when it was opened, answered when it was closed.
    pub elements: u64,
    /// Under which key.
    pub scope: Scope,
    /// Why, as far as both sides know it.
    pub stated: Stated,
}

impl ExchangeRecord {
    /// The record in entry `index`; `None` unless it is about a query or an evaluation.
    ///
    /// A query in this form names a person, a purpose and a case: the entry could not be written without.
    pub fn new(index: u64, event: &Event) -> Option<Self> {
        let stated = |why: &crate::events::Why| Stated {
            purpose: why.purpose.clone(),
            legal_basis: why.legal_basis.clone(),
        };
        let (exchange, side, stage, transcript, elements, scope, stated) = match event {
            // That it goes on is said again; that it was opened is known.
            Event::QueryOpened(e) if e.step > 0 => return None,
            Event::EvaluationOpened(e) if e.step > 0 => return None,
            Event::QueryOpened(e) => {
                let side = Side::Requester;
                (
                    e.exchange,
                    side,
                    Stage::Opened,
                    Hex([0; 32]),
                    e.elements,
                    &e.scope,
                    stated(&e.why),
                )
            }
            Event::EvaluationOpened(e) => {
                let side = Side::Owner;
                (
                    e.exchange,
                    side,
                    Stage::Opened,
                    Hex([0; 32]),
                    e.elements,
                    &e.scope,
                    e.stated.clone(),
                )
            }
            Event::Query(e) => {
                let stage = Stage::Closed {
                    step: e.step,
                    interrupted: e.interrupted,
                };
                let side = Side::Requester;
                (
                    e.exchange,
                    side,
                    stage,
                    e.transcript,
                    e.elements,
                    &e.scope,
                    stated(&e.why),
                )
            }
            Event::Evaluation(e) => {
                let stage = Stage::Closed {
                    step: e.step,
                    interrupted: false,
                };
                let side = Side::Owner;
                (
                    e.exchange,
                    side,
                    stage,
                    e.transcript,
                    e.elements,
                    &e.scope,
                    e.stated.clone(),
                )
            }
            _ => return None,
        };
        Some(Self {
            index,
            exchange,
            side,
            stage,
            transcript,
            elements,
            scope: scope.clone(),
            stated,
        })
    }
}

/// How two logs go together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Exchanges that both sides recorded alike.
    pub matched: u64,
    /// Queries that ended without any answer, and that the owner answered nothing of either.
    pub unanswered: u64,
    /// The others, in the order of the first log, then of the second.
    pub unmatched: Vec<Unmatched>,
}

/// An exchange that does not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// The exchange.
    pub exchange: ExchangeId,
    /// The entry in the first log.
    pub first: Option<u64>,
    /// The entry in the second log.
    pub second: Option<u64>,
    /// Why.
    pub reason: Reason,
}

/// Why an exchange does not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Only the requester recorded it: a query whose answer the owner did not log.
    MissingAtOwner,
    /// Only the owner recorded it: somebody asked and did not log it, so no purpose and no person is known.
    MissingAtRequester,
    /// That side opened it and has not said yet how it ended.
    Open(Side),
    /// The requester's node stopped before it could write down which answers came.
    Interrupted,
    /// The sides saw different bytes.
    OtherTranscript,
    /// The sides counted differently.
    OtherCount {
        /// The first log's.
        first: u64,
        /// The second log's.
        second: u64,
    },
    /// The sides name different keys.
    OtherScope,
    /// The purpose or legal basis recorded is not the one that was stated.
    OtherPurpose,
    /// One side recorded it more than once.
    Twice(Side),
    /// The other side's public entry commits to another transcript or count. Its payload is needed to say which.
    OtherFacts,
    /// That side logged it, and its entry was erased since: with another retention, or at another moment, than the other's.
    Erased(Side),
    /// That side logged it, and did not give the entry opened.
    NotOpened(Side),
}

impl Reason {
    /// Whether the two logs contradict each other. The others may still be put right by waiting or opening, or can no longer be told.
    pub fn contradicts(self) -> bool {
        !matches!(
            self,
            Self::Open(_) | Self::Interrupted | Self::Erased(_) | Self::NotOpened(_)
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingAtOwner => f.write_str("the requester logged an answer, the owner did not log it"),
            Self::MissingAtRequester => {
                f.write_str("the owner answered it, and the requester logged no purpose and no person for it")
            }
            Self::Open(Side::Requester) => f.write_str("the requester has not logged yet how it ended"),
            Self::Open(Side::Owner) => f.write_str("the owner has not logged yet how it ended"),
            Self::Interrupted => {
                f.write_str("the requester's node stopped before it could log which answers came")
            }
            Self::OtherTranscript => f.write_str("the two sides logged different messages"),
            Self::OtherCount { first, second } => {
                write!(f, "one side logged {first} elements, the other {second}")
            }
            Self::OtherScope => f.write_str("the two sides logged different keys"),
            Self::OtherPurpose => f.write_str("the purpose logged is not the one that was stated"),
            Self::Twice(Side::Requester) => f.write_str("the requester logged it more than once"),
            Self::Twice(Side::Owner) => f.write_str("the owner logged it more than once"),
            Self::OtherFacts => {
                f.write_str("the other side's entry commits to other messages or another count")
            }
            Self::Erased(side) => write!(f, "the {} logged it, and its entry was erased", side.name()),
            Self::NotOpened(side) => {
                write!(
                    f,
                    "the {} logged it, and its entry is not in the export",
                    side.name()
                )
            }
        }
    }
}

impl Side {
    /// What it writes before anything is sent, or answered.
    fn opened(self) -> EntryType {
        match self {
            Self::Requester => EntryType::QueryOpened,
            Self::Owner => EntryType::EvaluationOpened,
        }
    }

    /// What it writes when it has ended.
    fn closed(self) -> EntryType {
        match self {
            Self::Requester => EntryType::Query,
            Self::Owner => EntryType::Evaluation,
        }
    }
}

/// What one side has of one exchange.
#[derive(Debug, Default)]
struct Half {
    opened: Option<ExchangeRecord>,
    closed: Option<ExchangeRecord>,
    /// Entries that say again what another one says.
    twice: Vec<u64>,
}

impl Half {
    fn add(&mut self, record: ExchangeRecord) {
        let step = |record: &ExchangeRecord| match record.stage {
            Stage::Opened => None,
            Stage::Closed { step, .. } => Some(step),
        };
        let slot = match record.stage {
            Stage::Opened => &mut self.opened,
            Stage::Closed { .. } => &mut self.closed,
        };
        match slot {
            Some(kept) if step(kept) == step(&record) => self.twice.push(record.index),
            Some(kept) if step(kept) > step(&record) => {}
            _ => *slot = Some(record),
        }
    }

    fn index(&self) -> Option<u64> {
        self.closed
            .as_ref()
            .or(self.opened.as_ref())
            .map(|record| record.index)
    }

    fn interrupted(&self) -> bool {
        let closed = self.closed.as_ref().map(|record| record.stage);
        matches!(
            closed,
            Some(Stage::Closed {
                interrupted: true,
                ..
            })
        )
    }

    fn answered(&self) -> u64 {
        self.facts().1
    }

    /// Transcript and elements, as the newest closing has them.
    fn facts(&self) -> (Digest, u64) {
        match &self.closed {
            Some(record) => (record.transcript, record.elements),
            None => (Hex([0; 32]), 0),
        }
    }

    /// The step of the closing that would follow the newest.
    fn next_step(&self) -> u32 {
        match self.closed.as_ref().map(|record| record.stage) {
            Some(Stage::Closed { step, .. }) => step.saturating_add(1),
            _ => 0,
        }
    }
}

/// How an exchange goes together.
enum Fit {
    Matched,
    Unanswered,
    Not(Reason),
}

/// What is public of an entry that is in a log, and was not given opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unopened {
    /// What its leaf commits to.
    pub facts: Digest,
    /// Whether the log says that it was erased.
    pub erased: bool,
}

impl Unopened {
    fn reason(self, side: Side) -> Reason {
        match self.erased {
            true => Reason::Erased(side),
            false => Reason::NotOpened(side),
        }
    }
}

/// Joins the opened records of a requester with those of an owner: of one pair of agencies, one direction. Records of the other side in
/// either list are ignored. Order does not matter; memory is that of the records.
///
/// Both lists are whole: what is not in them was not logged. Of lists that are not, [`reconcile_exports`] is fair.
pub fn reconcile(
    requester: impl IntoIterator<Item = ExchangeRecord>,
    owner: impl IntoIterator<Item = ExchangeRecord>,
) -> Reconciliation {
    reconcile_exports(requester, owner, |_, _| None)
}

/// As [`reconcile`], of logs of which not all was opened, or is left. `unopened` looks in that side's log for an entry with this tag that
/// is not among its records: whoever logged an exchange is not said to have kept quiet about it.
pub fn reconcile_exports(
    requester: impl IntoIterator<Item = ExchangeRecord>,
    owner: impl IntoIterator<Item = ExchangeRecord>,
    unopened: impl Fn(Side, &Hex<16>) -> Option<Unopened>,
) -> Reconciliation {
    let mut halves: HashMap<ExchangeId, (Half, Half)> = HashMap::new();
    for record in requester.into_iter().filter(|r| r.side == Side::Requester) {
        halves.entry(record.exchange).or_default().0.add(record);
    }
    for record in owner.into_iter().filter(|r| r.side == Side::Owner) {
        halves.entry(record.exchange).or_default().1.add(record);
    }
    let mut result = Reconciliation::default();
    for (exchange, (asked, answered)) in halves {
        let (first, second) = (asked.index(), answered.index());
        for index in &asked.twice {
            result.put(
                exchange,
                Some(*index),
                second,
                Fit::Not(Reason::Twice(Side::Requester)),
            );
        }
        for index in &answered.twice {
            result.put(
                exchange,
                first,
                Some(*index),
                Fit::Not(Reason::Twice(Side::Owner)),
            );
        }
        let fit = match fit(&asked, &answered) {
            // These do not change with what else is logged of it.
            fit @ (Fit::Matched | Fit::Not(Reason::OtherScope | Reason::OtherPurpose)) => fit,
            fit => fair(fit, &exchange, &asked, &answered, &unopened),
        };
        result.put(exchange, first, second, fit);
    }
    result.sorted()
}

fn fit(asked: &Half, answered: &Half) -> Fit {
    let missing = asked.index().is_none();
    match (&asked.closed, &answered.closed) {
        _ if missing => Fit::Not(Reason::MissingAtRequester),
        (Some(first), Some(second)) => match difference(first, second) {
            None => Fit::Matched,
            Some(_) if asked.interrupted() => Fit::Not(Reason::Interrupted),
            Some(reason) => Fit::Not(reason),
        },
        (None, _) => Fit::Not(Reason::Open(Side::Requester)),
        (Some(first), None) if first.elements == 0 => Fit::Unanswered,
        (Some(_), None) if answered.opened.is_some() => Fit::Not(Reason::Open(Side::Owner)),
        (Some(_), None) => Fit::Not(Reason::MissingAtOwner),
    }
}

/// How an exchange goes together that does not by the opened records alone, if one side logged more of it than it gave opened.
fn fair(
    fit: Fit,
    exchange: &ExchangeId,
    asked: &Half,
    answered: &Half,
    unopened: &impl Fn(Side, &Hex<16>) -> Option<Unopened>,
) -> Fit {
    // The newest closing that was not given opened, and whether one of them says what the other side's newest record says.
    let closing = |side: Side, own: &Half, other: &Half| {
        let (transcript, elements) = other.facts();
        let mut newest: Option<(Unopened, bool)> = None;
        for step in own.next_step()..MAX_STEPS {
            let join = Join::new(exchange, side, side.closed().name(), step, &transcript, elements);
            if let Some(found) = unopened(side, &join.tag) {
                let same = newest.is_some_and(|(_, same)| same) || found.facts == join.facts;
                newest = Some((found, same));
            }
        }
        newest
    };
    let opening = |side: Side| {
        let join = Join::new(exchange, side, side.opened().name(), 0, &Hex([0; 32]), 0);
        unopened(side, &join.tag).map(|found| found.reason(side))
    };
    let reason = match (
        closing(Side::Requester, asked, answered),
        closing(Side::Owner, answered, asked),
    ) {
        // It may have been interrupted, which the payload alone says.
        (Some((found, _)), _) => Some(found.reason(Side::Requester)),
        (None, Some((_, false))) if asked.closed.is_some() && !asked.interrupted() => {
            Some(Reason::OtherFacts)
        }
        (None, Some((_, true))) if matches!(fit, Fit::Unanswered) => None,
        (None, Some((found, _))) => Some(found.reason(Side::Owner)),
        (None, None) => match fit {
            Fit::Not(Reason::MissingAtRequester) => opening(Side::Requester),
            Fit::Not(Reason::MissingAtOwner) => opening(Side::Owner),
            _ => None,
        },
    };
    reason.map_or(fit, Fit::Not)
}

/// What the other side's public leaves say of one exchange of ours.
#[derive(Debug, Default)]
struct Seen {
    opened: Option<u64>,
    /// The newest, and whether one of them says what ours says.
    closed: Option<(u64, bool)>,
}

/// Joins one's own opened records with the other side's *public* leaves, which need not be opened: tag and facts are computed from the
/// exchange's id. Finds every exchange of ours that they did not log, or logged otherwise; what they logged and we did not, public leaves
/// cannot tell from their exchanges with others.
pub fn reconcile_with_leaves(
    ours: impl IntoIterator<Item = ExchangeRecord>,
    theirs: impl IntoIterator<Item = (u64, Leaf)>,
) -> Reconciliation {
    reconcile_export_with_leaves(ours, |_| None, theirs)
}

/// As [`reconcile_with_leaves`], of a log of ours of which not all was opened, or is left. `unopened` looks there for an entry with this
/// tag that is not among our records: an exchange whose end was logged is not said to be open.
pub fn reconcile_export_with_leaves(
    ours: impl IntoIterator<Item = ExchangeRecord>,
    unopened: impl Fn(&Hex<16>) -> Option<Unopened>,
    theirs: impl IntoIterator<Item = (u64, Leaf)>,
) -> Reconciliation {
    let mut halves: HashMap<(ExchangeId, bool), (Half, Seen)> = HashMap::new();
    for record in ours {
        let requester = record.side == Side::Requester;
        halves
            .entry((record.exchange, requester))
            .or_default()
            .0
            .add(record);
    }
    let mut result = Reconciliation::default();
    // What the other side's leaf would be: of which exchange of ours, at which stage, with which facts.
    let mut expected: HashMap<Hex<16>, ((ExchangeId, bool), Option<Digest>)> = HashMap::new();
    for (place, (half, _)) in &halves {
        let (exchange, requester) = place;
        let side = if *requester { Side::Owner } else { Side::Requester };
        let (transcript, elements) = half.facts();
        let join = Join::new(exchange, side, side.opened().name(), 0, &Hex([0; 32]), 0);
        expected.insert(join.tag, (*place, None));
        for step in 0..MAX_STEPS {
            let join = Join::new(exchange, side, side.closed().name(), step, &transcript, elements);
            expected.insert(join.tag, (*place, Some(join.facts)));
        }
    }
    // Whether one was there more than once is said once: the other side does not fill our memory by saying it again.
    let mut tags: HashMap<Hex<16>, bool> = HashMap::new();
    for (index, leaf) in theirs {
        let Class::Exchange(join) = leaf.class else {
            continue;
        };
        let Some((place, facts)) = expected.get(&join.tag) else {
            continue;
        };
        let Some((half, seen)) = halves.get_mut(place) else {
            continue;
        };
        if let Some(said) = tags.get_mut(&join.tag) {
            let side = if place.1 { Side::Owner } else { Side::Requester };
            if !std::mem::replace(said, true) {
                result.put(place.0, half.index(), Some(index), Fit::Not(Reason::Twice(side)));
            }
            continue;
        }
        tags.insert(join.tag, false);
        match facts {
            None => seen.opened = Some(index),
            Some(facts) => {
                let same = seen.closed.is_some_and(|(_, same)| same) || *facts == join.facts;
                seen.closed = Some((index, same));
            }
        }
    }
    for ((exchange, requester), (half, seen)) in &halves {
        let (us, them, missing) = match requester {
            true => (Side::Requester, Side::Owner, Reason::MissingAtOwner),
            false => (Side::Owner, Side::Requester, Reason::MissingAtRequester),
        };
        let ours = half.index();
        let fit = match (half.closed.is_some(), seen.closed, seen.opened) {
            (_, None, None) if !requester => Fit::Not(missing),
            (false, ..) => Fit::Not(Reason::Open(us)),
            (true, Some((_, true)), _) => Fit::Matched,
            (true, Some(_), _) if half.interrupted() => Fit::Not(Reason::Interrupted),
            (true, Some(_), _) => Fit::Not(Reason::OtherFacts),
            (true, None, _) if *requester && half.answered() == 0 => Fit::Unanswered,
            (true, None, Some(_)) => Fit::Not(Reason::Open(them)),
            (true, None, None) => Fit::Not(missing),
        };
        // The newest closing that was not given opened: that one holds.
        let closing = (half.next_step()..MAX_STEPS).rev().find_map(|step| {
            let join = Join::new(exchange, us, us.closed().name(), step, &Hex([0; 32]), 0);
            unopened(&join.tag)
        });
        let fit = match (fit, closing) {
            (Fit::Not(reason), Some(closing)) if reason != missing => Fit::Not(closing.reason(us)),
            (Fit::Unanswered, Some(closing)) => Fit::Not(closing.reason(us)),
            (fit, _) => fit,
        };
        let theirs = seen.closed.map(|(index, _)| index).or(seen.opened);
        result.put(*exchange, ours, theirs, fit);
        for index in &half.twice {
            result.put(*exchange, Some(*index), theirs, Fit::Not(Reason::Twice(us)));
        }
    }
    result.sorted()
}

impl Reconciliation {
    fn put(&mut self, exchange: ExchangeId, first: Option<u64>, second: Option<u64>, fit: Fit) {
        match fit {
            Fit::Matched => self.matched += 1,
            Fit::Unanswered => self.unanswered += 1,
            Fit::Not(reason) => self.unmatched.push(Unmatched {
                exchange,
                first,
                second,
                reason,
            }),
        }
    }

    /// What the first log has, in its order; then the rest in the order of the second.
    fn sorted(mut self) -> Self {
        self.unmatched
            .sort_by_key(|u| (u.first.is_none(), u.first, u.second));
        self
    }
}

fn difference(first: &ExchangeRecord, second: &ExchangeRecord) -> Option<Reason> {
    if first.scope != second.scope {
        Some(Reason::OtherScope)
    } else if first.elements != second.elements {
        Some(Reason::OtherCount {
            first: first.elements,
            second: second.elements,
        })
    } else if first.transcript != second.transcript {
        Some(Reason::OtherTranscript)
    } else if first.stated != second.stated {
        Some(Reason::OtherPurpose)
    } else {
        None
    }
}
