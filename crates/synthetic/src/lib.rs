//! Realistic lists of any size whose overlap is known exactly.
//!
//! A [`World`] is two lists, the people on both, and what connects their two records: a document, a name with a
//! date of birth, a phone number… Everything follows from a [`Spec`]: the same specification gives the same bytes
//! on every machine. Nothing is kept in memory but the specification; any record can be made alone, so lists of
//! millions stream.
//!
//! The truth is exact by construction, not by comparing the lists. Each person gets names, numbers and years of
//! birth through bijections of the person's index, so two people can share no identifier; and for a person on both
//! lists the shared identifiers follow from what each list was told to publish. Some people on one list only are
//! *twins* of others: the same name with a birth two years later, and document numbers one digit away.
//!
//! All people are fictional. Names are put together from syllables and common given names.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod clerk;
mod dossier;
mod flight;
mod names;
mod permutation;
mod person;
mod publish;
mod write;

use concordat_identifiers::{Grade, Kind, Rule, Subject};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use flight::{Flight, Passenger};
pub use write::{write_jsonl, write_mrz, write_paxlst, write_truth};

use dossier::{Dossier, Key, Side};
use permutation::Permutation;
use person::{Facts, MAX_PEOPLE, Person, Registry};

/// What to make. Lists made from equal specifications are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Chooses the people; not a secret.
    pub seed: u64,
    /// Records on the left list.
    pub left: u64,
    /// Records on the right list.
    pub right: u64,
    /// People on both lists: at most the shorter one's length.
    pub overlap: u64,
    /// The day the lists are made: everybody is then between 18 and 82. Passports of a flight are valid on it.
    pub reference_date: Date,
}

/// A specification, or a flight, that cannot be made. The caller's to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// More people on both lists than on one of them.
    #[error("{overlap} people cannot be on both lists: the shorter one has {shorter}")]
    Overlap {
        /// What was asked for.
        overlap: u64,
        /// The most there can be.
        shorter: u64,
    },
    /// More people than names and numbers can tell apart.
    #[error("{people} people are too many: names and numbers are unique for up to {most}")]
    TooManyPeople {
        /// What was asked for.
        people: u64,
        /// The most there can be.
        most: u64,
    },
    /// A day so early that people would have been born before any date of birth is accepted, or at the calendar's end.
    #[error("the reference date must lie between the years 1950 and 9900, not in {year}")]
    ReferenceDate {
        /// What was asked for.
        year: i16,
    },
    /// The flight needs more listed travellers than the right list has people who can be recognised.
    #[error("only {found} people of the right list can be recognised at a border, {wanted} were asked for")]
    TooFewListed {
        /// Recognisable people.
        found: u32,
        /// What was asked for.
        wanted: u32,
    },
    /// More hits than passengers.
    #[error("{hits} of {passengers} passengers cannot be listed")]
    Hits {
        /// Hits asked for.
        hits: u32,
        /// Seats.
        passengers: u32,
    },
}

/// One record of a list: in JSON exactly a line of the list format `jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The list's own id, unique in it and increasing.
    pub source_id: String,
    /// What the list publishes.
    pub subject: Subject,
}

/// One person on both lists. It does not matter which agency asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthPair {
    /// The left record's [`Record::source_id`].
    pub left_id: String,
    /// The right record's.
    pub right_id: String,
    /// The best match of each kind that finds this person, at least one, ordered by kind. Kinds that are not here
    /// must not find it.
    pub expected: Vec<Expected>,
}

/// One way in which two records match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expected {
    /// What matches.
    pub kind: Kind,
    /// The best rule of that kind.
    pub rule: Rule,
    /// Its grade.
    pub grade: Grade,
}

/// Two lists, who is on both, and people who travel.
#[derive(Debug)]
pub struct World {
    spec: Spec,
    registry: Registry,
    /// Position on the left list to person: below `overlap`, somebody on both lists.
    left_order: Permutation,
    right_order: Permutation,
}

/// One left-only person has a twin on the right for each so many right-only people.
const TWIN_EVERY: u64 = 8;
const FIRST_LEFT_ID: u64 = 10_000;

impl World {
    /// The world of `spec`. Costs nothing yet.
    ///
    /// # Errors
    /// If the specification contradicts itself or asks for more than 2^26 people.
    pub fn new(spec: Spec) -> Result<Self, SpecError> {
        let shorter = spec.left.min(spec.right);
        if spec.overlap > shorter {
            return Err(SpecError::Overlap {
                overlap: spec.overlap,
                shorter,
            });
        }
        let people = spec.left.saturating_add(spec.right) - spec.overlap;
        let most = MAX_PEOPLE - flight::MAX_PASSENGERS;
        if people > most {
            return Err(SpecError::TooManyPeople { people, most });
        }
        let year = spec.reference_date.year();
        if !(1950..=9900).contains(&year) {
            return Err(SpecError::ReferenceDate { year });
        }
        Ok(Self {
            spec,
            registry: Registry::new(&spec),
            left_order: Permutation::new(spec.seed, 4, spec.left),
            right_order: Permutation::new(spec.seed, 5, spec.right),
        })
    }

    /// What this world was made from.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The left list, in the order of its ids.
    pub fn left(&self) -> impl Iterator<Item = Record> + '_ {
        (0..self.spec.left)
            .map(|position| self.record(Side::Left, Person::new(self.left_order.forward(position))))
    }

    /// The right list, in the order of its ids.
    pub fn right(&self) -> impl Iterator<Item = Record> + '_ {
        (0..self.spec.right)
            .map(|position| self.record(Side::Right, self.right_person(self.right_order.forward(position))))
    }

    /// Everybody on both lists, in no particular order.
    pub fn truth(&self) -> impl Iterator<Item = TruthPair> + '_ {
        (0..self.spec.overlap).map(|index| {
            let person = Person::new(index);
            let facts = self.registry.facts(person);
            let left = self.dossier(Side::Left, person, &facts).keys(&facts);
            let right = self.dossier(Side::Right, person, &facts).keys(&facts);
            TruthPair {
                left_id: self.source_id(Side::Left, person),
                right_id: self.source_id(Side::Right, person),
                expected: best_of_each_kind(left.intersection(&right)),
            }
        })
    }

    /// People on either list.
    fn people(&self) -> u64 {
        self.spec.left + self.spec.right - self.spec.overlap
    }

    /// Person number `rank` of the right list: first those on both, then the others, every eighth the twin of
    /// somebody who is on the left list only.
    fn right_person(&self, rank: u64) -> Person {
        let Some(alone) = rank.checked_sub(self.spec.overlap) else {
            return Person::new(rank);
        };
        let index = self.spec.left + alone;
        let left_only = self.spec.left - self.spec.overlap;
        if alone.is_multiple_of(TWIN_EVERY) && alone / TWIN_EVERY < left_only {
            Person {
                index,
                model: self.spec.overlap + alone / TWIN_EVERY,
            }
        } else {
            Person::new(index)
        }
    }

    fn record(&self, side: Side, person: Person) -> Record {
        let facts = self.registry.facts(person);
        let dossier = self.dossier(side, person, &facts);
        Record {
            source_id: self.source_id(side, person),
            subject: publish::subject(&self.registry, self.spec.seed, person, &facts, &dossier, side),
        }
    }

    fn dossier(&self, side: Side, person: Person, facts: &Facts) -> Dossier {
        clerk::fill_in(
            self.spec.seed,
            person,
            facts,
            side,
            person.index < self.spec.overlap,
        )
    }

    fn source_id(&self, side: Side, person: Person) -> String {
        match side {
            Side::Left => format!("{}", FIRST_LEFT_ID + self.left_order.inverse(person.index)),
            Side::Right => {
                let rank = if person.index < self.spec.overlap {
                    person.index
                } else {
                    self.spec.overlap + (person.index - self.spec.left)
                };
                format!("GRP-{:08}", 1 + self.right_order.inverse(rank))
            }
        }
    }
}

fn best_of_each_kind<'a>(keys: impl Iterator<Item = &'a Key>) -> Vec<Expected> {
    let mut found: Vec<Expected> = keys
        .map(|(rule, ..)| Expected {
            kind: rule.kind(),
            rule: *rule,
            grade: rule.grade(),
        })
        .collect();
    found.sort_by_key(|match_| (match_.kind, match_.grade, match_.rule));
    found.dedup_by_key(|match_| match_.kind);
    found
}
