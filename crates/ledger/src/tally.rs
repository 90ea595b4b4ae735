//! What a report counts: entries by what they say, told apart by whether they are a further step of what another row counts.
//!
//! An exchange is recorded when it is opened and when it is closed, a request for details at each of its steps. A table in which both are
//! rows has each count twice, and what is withheld in one row is read off the other. So every exchange and every request has one entry
//! that counts it; the others are [`Row::repeats`] and stay out of a table for release.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::cases::{CaseId, Decision, DetailRequested, DetailStep, Outcome};
use crate::entry::{Entry, EntryType, Event};
use crate::events::ExchangeId;
use crate::leaf::Side;

/// How long it took from a request for details to the decision on it, as the ledger of the agency that counts has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Took {
    /// At most an hour.
    Hour,
    /// At most eight hours.
    EightHours,
    /// At most a day.
    Day,
    /// At most seven days.
    Week,
    /// More.
    Longer,
}

impl Took {
    fn new(time: SignedDuration) -> Self {
        match time {
            time if time <= SignedDuration::from_hours(1) => Self::Hour,
            time if time <= SignedDuration::from_hours(8) => Self::EightHours,
            time if time <= SignedDuration::from_hours(24) => Self::Day,
            time if time <= SignedDuration::from_hours(7 * 24) => Self::Week,
            _ => Self::Longer,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "within 1 h",
            Self::EightHours => "within 8 h",
            Self::Day => "within 24 h",
            Self::Week => "within 7 d",
            Self::Longer => "longer",
        }
    }
}

/// What a count is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The type of entry.
    pub kind: EntryType,
    /// The purpose; empty where the type has none, or the payload is gone.
    pub purpose: String,
    /// The partner, in the same way.
    pub partner: String,
    /// How it was decided, of decisions.
    pub outcome: Option<Outcome>,
    /// How long that took; `None` if the request is not in the ledger any more.
    pub took: Option<Took>,
    /// The payload is gone.
    pub erased: bool,
    /// A further step of what another row counts.
    pub repeats: bool,
}

/// Counts the entries of a period, in the order of their numbers.
///
/// * An exchange is counted where it was first closed (`query`, `evaluation`), or else where it was opened, if it is still open.
/// * A request for details is counted where it was decided (`decision`), or else where it was asked, if that is not decided. The owner has
///   the decision itself. The requester is told of it in a step, which is counted as the decision, so refusals are too; its copy of the
///   decision, written with the receipt when it opens the release, is not counted again.
/// * Every other entry about a hit repeats: `hit.step`, `detail.step`, `release`, `receipt`, `reminder`. So does what else became of an
///   exchange, which is counted as that: `quota.refused`, `proof.failed`. A request of which the quota left the owner nothing to answer is
///   no exchange of the owner's, and not counted.
/// * What was erased about a hit repeats too, a `decision` as well: it tells neither of which request it was, nor whose copy.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<Row, u64>,
    /// Exchanges that are not closed, by how they were opened.
    open: HashMap<(EntryType, ExchangeId), Row>,
    /// Requests that are not decided.
    asked: HashMap<CaseId, Asked>,
}

#[derive(Debug)]
struct Asked {
    at: Timestamp,
    row: Row,
    /// It was asked in the period.
    counts: bool,
}

impl Tally {
    /// Nothing counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many rows there are so far.
    pub fn rows(&self) -> usize {
        self.counts.len()
    }

    /// A request from before the period: it is not counted, but a decision on it is to be understood.
    pub fn know(&mut self, entry: &Entry) {
        if let Event::DetailRequested(request) = &entry.event {
            self.ask(entry, request, false);
        }
    }

    /// The next entry of the period: type and exchange, and what it says unless that was erased.
    pub fn add(&mut self, kind: EntryType, exchange: Option<ExchangeId>, entry: Option<&Entry>) {
        if let Some((opening, exchange)) = opening_of(kind).zip(exchange)
            && let Some(opened) = self.open.remove(&(opening, exchange))
        {
            self.count(repeated(opened));
        }
        let row = row(kind, entry.map(|entry| &entry.event));
        let Some(entry) = entry else {
            return self.count(Row {
                erased: true,
                repeats: row.repeats || kind == EntryType::Decision,
                ..row
            });
        };
        match &entry.event {
            Event::QueryOpened(e) if e.step == 0 => self.opened(e.exchange, row),
            Event::EvaluationOpened(e) if e.step == 0 => self.opened(e.exchange, row),
            Event::Query(e) if e.step > 0 => self.count(repeated(row)),
            Event::Evaluation(e) if e.step > 0 => self.count(repeated(row)),
            Event::DetailRequested(request) => self.ask(entry, request, true),
            Event::Decision(decision) => self.decided(entry, decision, row),
            Event::DetailStep(step) => match step.outcome {
                Some(outcome) => self.told(entry, step, outcome),
                None => self.count(row),
            },
            _ => self.count(row),
        }
    }

    /// The rows and their counts.
    pub fn finish(mut self) -> BTreeMap<Row, u64> {
        let open = std::mem::take(&mut self.open).into_values();
        let asked = std::mem::take(&mut self.asked).into_values();
        let asked = asked.filter(|asked| asked.counts).map(|asked| asked.row);
        for row in open.chain(asked) {
            self.count(Row {
                repeats: false,
                ..row
            });
        }
        self.counts
    }

    fn count(&mut self, row: Row) {
        *self.counts.entry(row).or_default() += 1;
    }

    fn opened(&mut self, exchange: ExchangeId, row: Row) {
        if let Some(before) = self.open.insert((row.kind, exchange), row) {
            self.count(repeated(before));
        }
    }

    fn ask(&mut self, entry: &Entry, request: &DetailRequested, counts: bool) {
        let asked = Asked {
            at: entry.at,
            row: row(EntryType::DetailRequested, Some(&entry.event)),
            counts,
        };
        self.asked.insert(request.step.case, asked);
    }

    /// The request that was decided at this time, which is counted as that from now on, and how long it took.
    fn answer(&mut self, case: &CaseId, at: Timestamp) -> Option<(Row, Took)> {
        let asked = self.asked.remove(case)?;
        if asked.counts {
            self.count(repeated(asked.row.clone()));
        }
        Some((asked.row, Took::new(at.duration_since(asked.at))))
    }

    fn decided(&mut self, entry: &Entry, decision: &Decision, row: Row) {
        if decision.step.side == Side::Owner {
            let took = self.answer(&decision.step.case, entry.at).map(|(_, took)| took);
            let outcome = Some(decision.outcome);
            self.count(Row { outcome, took, ..row });
        }
    }

    fn told(&mut self, entry: &Entry, step: &DetailStep, outcome: Outcome) {
        let asked = self.answer(&step.step.case, entry.at);
        let (purpose, partner, took) = match asked {
            Some((asked, took)) => (asked.purpose, asked.partner, Some(took)),
            None => (String::new(), String::new(), None),
        };
        self.count(Row {
            purpose,
            partner,
            outcome: Some(outcome),
            took,
            ..row(EntryType::Decision, None)
        });
    }
}

fn row(kind: EntryType, event: Option<&Event>) -> Row {
    let name = |text: Option<&crate::Text>| text.map(|text| text.as_str().to_owned()).unwrap_or_default();
    Row {
        kind,
        purpose: name(event.and_then(Event::purpose)),
        partner: name(event.and_then(Event::partner)),
        outcome: None,
        took: None,
        erased: false,
        repeats: !counts_first(kind),
    }
}

fn repeated(row: Row) -> Row {
    Row { repeats: true, ..row }
}

/// How an exchange was opened that an entry of this type closes.
fn opening_of(kind: EntryType) -> Option<EntryType> {
    match kind {
        EntryType::Query => Some(EntryType::QueryOpened),
        EntryType::Evaluation => Some(EntryType::EvaluationOpened),
        _ => None,
    }
}

/// Entries of this type stand for what they are about; those of others follow one, or are followed by one.
fn counts_first(kind: EntryType) -> bool {
    use EntryType as E;
    !matches!(
        kind,
        E::QueryOpened
            | E::EvaluationOpened
            | E::QuotaRefused
            | E::ProofFailed
            | E::HitStep
            | E::DetailRequested
            | E::DetailStep
            | E::Release
            | E::Receipt
            | E::Reminded
    )
}
