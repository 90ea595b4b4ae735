//! Two half-logs that join: every query of a requester has its evaluation at the owner, and the other way round.

use std::collections::HashMap;
use std::fmt;

use crate::bytes::Digest;
use crate::entry::{EntryType, Event};
use crate::events::{ExchangeId, Scope, Stated};
use crate::leaf::{Class, Join, Leaf, Side};

/// What one side recorded of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeRecord {
    /// The number of the entry in its log.
    pub index: u64,
    /// The exchange.
    pub exchange: ExchangeId,
    /// Which side recorded it.
    pub side: Side,
    /// SHA-256 over what was exchanged.
    pub transcript: Digest,
    /// Elements, padding included.
    pub elements: u64,
    /// Under which key.
    pub scope: Scope,
    /// Why, as far as both sides know it.
    pub stated: Stated,
}

impl ExchangeRecord {
    /// The record in entry `index`; `None` unless it is a query or an evaluation.
    ///
    /// A query in this form names a person, a purpose and a case: the entry could not be written without.
    pub fn new(index: u64, event: &Event) -> Option<Self> {
        match event {
            Event::Query(query) => Some(Self {
                index,
                exchange: query.exchange,
                side: Side::Requester,
                transcript: query.transcript,
                elements: query.elements,
                scope: query.scope.clone(),
                stated: Stated {
                    purpose: query.why.purpose.clone(),
                    legal_basis: query.why.legal_basis.clone(),
                },
            }),
            Event::Evaluation(evaluation) => Some(Self {
                index,
                exchange: evaluation.exchange,
                side: Side::Owner,
                transcript: evaluation.transcript,
                elements: evaluation.elements,
                scope: evaluation.scope.clone(),
                stated: evaluation.stated.clone(),
            }),
            _ => None,
        }
    }

    /// What the other side's leaf must hold.
    fn counterpart(&self) -> Join {
        let (side, kind) = match self.side {
            Side::Requester => (Side::Owner, EntryType::Evaluation),
            Side::Owner => (Side::Requester, EntryType::Query),
        };
        Join::new(
            &self.exchange,
            side,
            kind.name(),
            0,
            &self.transcript,
            self.elements,
        )
    }
}

/// How two logs go together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Exchanges that both sides recorded alike.
    pub matched: u64,
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
    /// Only the requester recorded it: a query that the owner did not log, or that never arrived.
    MissingAtOwner,
    /// Only the owner recorded it: somebody asked and did not log it, so no purpose and no person is known.
    MissingAtRequester,
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
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingAtOwner => f.write_str("the requester logged it, the owner did not"),
            Self::MissingAtRequester => {
                f.write_str("the owner answered it, and the requester logged no purpose and no person for it")
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
        }
    }
}

/// Joins the opened records of a requester with those of an owner: of one pair of agencies, one direction. Records of the other side in
/// either list are ignored. Order does not matter; memory is that of the requester's records.
pub fn reconcile(
    requester: impl IntoIterator<Item = ExchangeRecord>,
    owner: impl IntoIterator<Item = ExchangeRecord>,
) -> Reconciliation {
    let mut result = Reconciliation::default();
    let mut asked: HashMap<ExchangeId, (ExchangeRecord, bool)> = HashMap::new();
    let mut late = Vec::new();
    for record in requester.into_iter().filter(|r| r.side == Side::Requester) {
        let (exchange, index) = (record.exchange, record.index);
        if asked.contains_key(&exchange) {
            result.unmatched.push(unmatched(
                exchange,
                Some(index),
                None,
                Reason::Twice(Side::Requester),
            ));
        } else {
            asked.insert(exchange, (record, false));
        }
    }
    for record in owner.into_iter().filter(|r| r.side == Side::Owner) {
        let (exchange, second) = (record.exchange, Some(record.index));
        match asked.get_mut(&exchange) {
            None => late.push(unmatched(exchange, None, second, Reason::MissingAtRequester)),
            Some((ours, seen)) => {
                let first = Some(ours.index);
                match std::mem::replace(seen, true) {
                    true => late.push(unmatched(exchange, first, second, Reason::Twice(Side::Owner))),
                    false => match difference(ours, &record) {
                        None => result.matched += 1,
                        Some(reason) => result.unmatched.push(unmatched(exchange, first, second, reason)),
                    },
                }
            }
        }
    }
    let unanswered = asked.into_values().filter(|(_, seen)| !seen);
    let unanswered = unanswered
        .map(|(record, _)| unmatched(record.exchange, Some(record.index), None, Reason::MissingAtOwner));
    result.unmatched.extend(unanswered);
    result.unmatched.sort_by_key(|u| u.first);
    late.sort_by_key(|u: &Unmatched| u.second);
    result.unmatched.extend(late);
    result
}

/// Joins one's own opened records with the other side's *public* leaves, which need not be opened: tag and facts are computed from the
/// exchange's id. Finds every exchange of ours that they did not log, or logged otherwise; what they logged and we did not, public leaves
/// cannot tell from their exchanges with others.
pub fn reconcile_with_leaves(
    ours: impl IntoIterator<Item = ExchangeRecord>,
    theirs: impl IntoIterator<Item = (u64, Leaf)>,
) -> Reconciliation {
    let mut expected: HashMap<_, (ExchangeRecord, Digest, bool)> = HashMap::new();
    let mut result = Reconciliation::default();
    for record in ours {
        let (join, exchange, index, side) =
            (record.counterpart(), record.exchange, record.index, record.side);
        if expected.contains_key(&join.tag) {
            result
                .unmatched
                .push(unmatched(exchange, Some(index), None, Reason::Twice(side)));
        } else {
            expected.insert(join.tag, (record, join.facts, false));
        }
    }
    for (index, leaf) in theirs {
        let Class::Exchange(join) = leaf.class else {
            continue;
        };
        let Some((record, facts, seen)) = expected.get_mut(&join.tag) else {
            continue;
        };
        let reason = match (std::mem::replace(seen, true), *facts == join.facts) {
            (true, _) => Some(Reason::Twice(other(record.side))),
            (false, false) => Some(Reason::OtherFacts),
            (false, true) => None,
        };
        match reason {
            None => result.matched += 1,
            Some(reason) => {
                let entry = unmatched(record.exchange, Some(record.index), Some(index), reason);
                result.unmatched.push(entry);
            }
        }
    }
    let missing = expected.into_values().filter(|(_, _, seen)| !seen);
    result.unmatched.extend(missing.map(|(record, _, _)| {
        let reason = match record.side {
            Side::Requester => Reason::MissingAtOwner,
            Side::Owner => Reason::MissingAtRequester,
        };
        unmatched(record.exchange, Some(record.index), None, reason)
    }));
    result.unmatched.sort_by_key(|u| (u.first, u.second));
    result
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

fn unmatched(exchange: ExchangeId, first: Option<u64>, second: Option<u64>, reason: Reason) -> Unmatched {
    Unmatched {
        exchange,
        first,
        second,
        reason,
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Requester => Side::Owner,
        Side::Owner => Side::Requester,
    }
}
