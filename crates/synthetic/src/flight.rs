//! People who travel: some of them on the right list, the others not, some of these almost.

use concordat_identifiers::{Grade, NameRank, Subject};
use jiff::ToSpan;
use jiff::civil::Date;

use crate::dossier::{BirthUse, DocumentUse, Dossier, Layout, NameUse, Side};
use crate::names::{Country, Script, Sex};
use crate::permutation::{Dice, Permutation, Stream};
use crate::person::{Facts, NAME_SLOTS, Person};
use crate::{Expected, Record, SpecError, World, best_of_each_kind, publish};

/// Seats on the largest flight; kept free among the people of a world.
pub(crate) const MAX_PASSENGERS: u64 = 1 << 16;

/// One departure.
#[derive(Clone, Debug)]
pub struct Flight {
    /// In the order of boarding.
    pub passengers: Vec<Passenger>,
    /// The day of departure, the world's reference date.
    pub departure: Date,
}

/// One traveller with a passport.
#[derive(Clone, Debug)]
pub struct Passenger {
    /// What the border sees: one name in two parts, a full date of birth, a passport with its issuer's code.
    pub record: Record,
    /// The right list's record of this person, if it has one.
    pub right_id: Option<String>,
    /// How that record is found, at grade exact or strong in at least one way; empty for everybody else.
    pub expected: Vec<Expected>,
    pub(crate) passport: Passport,
}

/// The fields of a passport's data page.
#[derive(Clone, Debug)]
pub(crate) struct Passport {
    pub(crate) family: String,
    pub(crate) given: String,
    pub(crate) sex: Sex,
    pub(crate) country: &'static Country,
    pub(crate) number: String,
    pub(crate) birth: Date,
    pub(crate) expiry: Date,
}

impl World {
    /// A flight of `passengers`, of whom `hits` are on the right list.
    ///
    /// The listed ones travel under the listed name with the listed passport, or with only one of the two. One in
    /// ten of the others is a twin: the name of somebody on both lists, born two years later.
    ///
    /// # Errors
    /// If there are more hits than passengers, more than 65,536 passengers, or fewer people on the right list
    /// who have what a border sees.
    pub fn flight(&self, passengers: u32, hits: u32) -> Result<Flight, SpecError> {
        if hits > passengers || u64::from(passengers) > MAX_PASSENGERS {
            return Err(SpecError::Hits { hits, passengers });
        }
        let boarding = Permutation::new(self.spec.seed, 6, self.spec.right);
        let listed: Vec<_> = (0..self.spec.right)
            .map(|rank| self.right_person(boarding.forward(rank)))
            .filter_map(|person| self.listed_traveller(person))
            .take(hits as usize)
            .collect();
        if listed.len() < hits as usize {
            return Err(SpecError::TooFewListed {
                found: listed.len() as u32,
                wanted: hits,
            });
        }
        let innocent = (0..u64::from(passengers - hits)).map(|rank| self.innocent_traveller(rank));
        let queue: Vec<Traveller> = listed.into_iter().chain(innocent).collect();
        let seats = Permutation::new(self.spec.seed, 7, u64::from(passengers));
        let passengers = (0..u64::from(passengers))
            .map(|seat| self.board(seat, &queue[seats.forward(seat) as usize]))
            .collect();
        Ok(Flight {
            passengers,
            departure: self.spec.reference_date,
        })
    }

    /// `person` of the right list with what finds the record, unless nothing better than a candidate would.
    fn listed_traveller(&self, person: Person) -> Option<Traveller> {
        let facts = self.registry.facts(person);
        let known = self.dossier(Side::Right, person, &facts);
        let listed_name = known.names.iter().find(|name| name.script != Script::Native);
        let listed_document = known.documents.first().map(|document| document.which);
        let unlisted_slot =
            (0..NAME_SLOTS as usize).find(|slot| known.names.iter().all(|name| name.slot != *slot))?;
        let (name, which) = match self.dice(person).below(3) {
            0 => (listed_name?, listed_document.unwrap_or(NEW_DOCUMENT)),
            1 => (listed_name?, NEW_DOCUMENT),
            _ => (
                &NameUse {
                    slot: unlisted_slot,
                    ..*listed_name?
                },
                listed_document?,
            ),
        };
        let dossier = travel_dossier(name.slot, name.extra, which, &facts);
        let expected = best_of_each_kind(dossier.keys(&facts).intersection(&known.keys(&facts)));
        let recognised = expected.iter().any(|match_| match_.grade != Grade::Candidate);
        recognised.then_some(Traveller {
            person,
            facts,
            dossier,
            expected,
            listed: true,
        })
    }

    /// Somebody on neither list.
    fn innocent_traveller(&self, rank: u64) -> Traveller {
        let index = self.people() + rank;
        let is_twin = rank.is_multiple_of(10) && rank / 10 < self.spec.overlap;
        let person = Person {
            index,
            model: if is_twin { rank / 10 } else { index },
        };
        let facts = self.registry.facts(person);
        let dossier = travel_dossier(0, false, 0, &facts);
        Traveller {
            person,
            facts,
            dossier,
            expected: vec![],
            listed: false,
        }
    }

    fn board(&self, seat: u64, traveller: &Traveller) -> Passenger {
        let Traveller {
            person,
            facts,
            dossier,
            ..
        } = traveller;
        let name = &dossier.names[0];
        let (family, given) = facts.names[name.slot].parts(Script::Plain, name.extra);
        let passport = Passport {
            family: family.to_uppercase(),
            given: given.to_uppercase(),
            sex: facts.sex,
            country: facts.country,
            number: self.registry.document_number(*person, dossier.documents[0].which),
            birth: Date::constant(facts.birth.0, facts.birth.1 as i8, facts.birth.2 as i8),
            expiry: self
                .spec
                .reference_date
                .saturating_add((30 + i64::from(self.dice(*person).below(3000))).days()),
        };
        let subject: Subject = publish::subject(
            &self.registry,
            self.spec.seed,
            *person,
            facts,
            dossier,
            Side::Left,
        );
        Passenger {
            record: Record {
                source_id: format!("P{:05}", seat + 1),
                subject,
            },
            right_id: traveller.listed.then(|| self.source_id(Side::Right, *person)),
            expected: traveller.expected.clone(),
            passport,
        }
    }

    fn dice(&self, person: Person) -> Dice {
        Dice::new(self.spec.seed, Stream::Travel(person.index))
    }
}

/// A document that no list knows.
const NEW_DOCUMENT: u64 = 3;

struct Traveller {
    person: Person,
    facts: Facts,
    dossier: Dossier,
    expected: Vec<Expected>,
    listed: bool,
}

fn travel_dossier(slot: usize, extra: bool, which: u64, facts: &Facts) -> Dossier {
    let layout = Layout::Parts;
    Dossier {
        names: vec![NameUse {
            slot,
            rank: NameRank::Primary,
            script: Script::Plain,
            layout,
            extra,
        }],
        births: vec![BirthUse::Day],
        documents: vec![DocumentUse {
            which,
            issuer: Some(facts.country),
        }],
        others: vec![],
    }
}
