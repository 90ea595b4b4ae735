//! Who the people are: what is true of each, before any list publishes it.

use crate::Spec;
use crate::names::{CULTURES, Country, Culture, FullName, Sex};
use crate::permutation::{Dice, Permutation, Stream};

/// People a world can hold. The tables of names and numbers are just large enough for it.
pub(crate) const MAX_PEOPLE: u64 = 1 << 26;

/// Names a person goes by. Slot 0 is the one the lists may share; 1 and 2 are known to one list only; 3 is an alias.
pub(crate) const NAME_SLOTS: u64 = 4;

/// Years of birth of one *cell*: everything a list says of a birth stays within it, so two people may share a name
/// if their cells differ and never otherwise.
const CELL_YEARS: i16 = 2;
const CELLS: u64 = 16;
const YOUNGEST: i16 = 18;

/// Larger than four numbers for each of [`MAX_PEOPLE`], and the number of plates like `AA-123-AA` without `I O U`.
pub(crate) const SERIALS: u64 = 23 * 23 * 23 * 23 * 1000;
/// Document serials; each has two numbers, which differ in the last digit.
const DOCUMENT_SERIALS: u64 = 500_000_000;

/// One person. A *twin* has the names and, but for the last digit, the document numbers of somebody else, and a
/// birth two years later: a near miss, not the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// Unique in the world.
    pub(crate) index: u64,
    /// Whose names and documents these resemble: the same index unless this is a twin.
    pub(crate) model: u64,
}

impl Person {
    pub(crate) const fn new(index: u64) -> Self {
        Self { index, model: index }
    }

    pub(crate) const fn is_twin(self) -> bool {
        self.index != self.model
    }
}

/// A full date of birth: year, month, day.
pub(crate) type Day = (i16, u8, u8);

/// What is true of a person, or wrongly believed everywhere.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) names: [FullName; NAME_SLOTS as usize],
    /// Whether lists that share the name show its middle name or particle.
    pub(crate) show_extra: bool,
    pub(crate) sex: Sex,
    pub(crate) country: &'static Country,
    pub(crate) birth: Day,
    /// A second date in circulation, in the same year.
    pub(crate) misprint: Day,
    /// The first year of the cell.
    pub(crate) cell_year: i16,
}

/// The bijections that keep people apart.
#[derive(Debug)]
pub(crate) struct Registry {
    seed: u64,
    first_year: i16,
    identities: Permutation,
    pairs: [Permutation; CULTURES.len()],
    documents: Permutation,
    serials: Permutation,
}

impl Registry {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            seed: spec.seed,
            first_year: spec.reference_date.year() - YOUNGEST - 2 * CELL_YEARS * CELLS as i16,
            identities: Permutation::new(spec.seed, 1, MAX_PEOPLE),
            pairs: core::array::from_fn(|culture| {
                Permutation::new(spec.seed, 16 + culture as u64, pair_count(&CULTURES[culture]))
            }),
            documents: Permutation::new(spec.seed, 2, DOCUMENT_SERIALS),
            serials: Permutation::new(spec.seed, 3, SERIALS),
        }
    }

    /// What is true of `person`.
    pub(crate) fn facts(&self, person: Person) -> Facts {
        let mut dice = Dice::new(self.seed, Stream::Facts(person.model));
        let (culture_index, block, cell) = self.identity(person.model);
        let culture = &CULTURES[culture_index];
        let names = core::array::from_fn(|slot| {
            let pair = self.pairs[culture_index].forward(block * NAME_SLOTS + slot as u64);
            FullName::new(culture, pair, dice.below(u32::MAX))
        });
        let show_extra = dice.one_in(2);
        let country = dice.pick(culture.countries);
        let random_sex = if dice.one_in(2) { Sex::Female } else { Sex::Male };
        let sex = names[0].sex().unwrap_or(random_sex);
        let own_half = if person.is_twin() { CELL_YEARS } else { 0 };
        let cell_year = self.first_year + 2 * CELL_YEARS * cell as i16 + own_half;
        let year = cell_year + dice.below(CELL_YEARS as u32) as i16;
        // Never the first of a month: many registers write 1 January for "day unknown".
        let (month, day) = (1 + dice.below(12) as u8, 2 + dice.below(27) as u8);
        let misprint = (year, 1 + (month + dice.below(11) as u8) % 12, day);
        Facts {
            names,
            show_extra,
            sex,
            country,
            birth: (year, month, day),
            misprint,
            cell_year,
        }
    }

    /// Document number `which` (0–3) of `person`: nine characters, letters then digits, unlike any other's. The
    /// digits alone are unlike any other's too; the letters only say some of them in another way.
    pub(crate) fn document_number(&self, person: Person, which: u64) -> String {
        let serial = self.documents.forward(4 * person.model + which);
        let value = 2 * serial + u64::from(person.is_twin());
        let letter = |digit: u64| char::from(b"ACEFGHKLNP"[digit as usize % 10]);
        // Nine times the same digit is a placeholder to the profile: such a value is written with a letter.
        let style = if value.is_multiple_of(111_111_111) {
            1
        } else {
            serial % 3
        };
        match style {
            0 => format!("{value:09}"),
            1 => format!("{}{:08}", letter(value / 100_000_000), value % 100_000_000),
            _ => format!(
                "{}{}{:07}",
                letter(value / 100_000_000),
                letter(value / 10_000_000),
                value % 10_000_000
            ),
        }
    }

    /// Serial number `which` (0–3) of `person` for identifiers of the other kinds, below [`SERIALS`].
    pub(crate) fn serial(&self, person: Person, which: u64) -> u64 {
        self.serials.forward(4 * person.index + which)
    }

    /// Culture, block of names and cell of birth years: a bijection of the indices of people, so no two share all.
    fn identity(&self, model: u64) -> (usize, u64, u64) {
        let shuffled = self.identities.forward(model);
        let (ticket, rest) = (shuffled % SHARES, shuffled / SHARES);
        let mut rank = ticket;
        let mut index = 0;
        while rank >= CULTURES[index].share {
            rank -= CULTURES[index].share;
            index += 1;
        }
        let within = rest * CULTURES[index].share + rank;
        (index, within / CELLS, within % CELLS)
    }
}

const SHARES: u64 = 16;

/// Names a culture needs so that all its people can have [`NAME_SLOTS`] each.
pub(crate) fn pair_count(culture: &Culture) -> u64 {
    MAX_PEOPLE / SHARES * culture.share / CELLS * NAME_SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn registry() -> Registry {
        Registry::new(&Spec {
            seed: 5,
            left: 1,
            right: 1,
            overlap: 0,
            reference_date: jiff::civil::date(2026, 1, 1),
        })
    }

    #[test]
    fn cultures_share_all_people_and_have_names_enough() {
        assert_eq!(CULTURES.iter().map(|culture| culture.share).sum::<u64>(), SHARES);
        for culture in &CULTURES {
            assert!(culture.stems.len() * culture.common.len() as u64 >= pair_count(culture));
            assert_eq!(culture.common.len(), 32);
        }
    }

    #[test]
    fn no_two_people_have_one_identity_or_one_number() {
        let registry = registry();
        let (mut identities, mut numbers, mut digits) = (HashSet::new(), HashSet::new(), HashSet::new());
        for model in 0..20_000 {
            assert!(identities.insert(registry.identity(model)));
            for index in [model, model + 20_000] {
                let number = registry.document_number(Person { index, model }, 0);
                assert_eq!(number.len(), 9);
                assert!(numbers.insert(number));
                assert!(digits.insert(registry.serial(Person::new(index), 1)));
            }
        }
    }

    #[test]
    fn a_twin_has_the_name_and_another_birth() {
        let registry = registry();
        for model in 0..200 {
            let (one, other) = (
                Person::new(model),
                Person {
                    index: model + 1000,
                    model,
                },
            );
            let (facts, twin) = (registry.facts(one), registry.facts(other));
            assert_eq!(
                facts.names[0].parts(crate::names::Script::Plain, true),
                twin.names[0].parts(crate::names::Script::Plain, true)
            );
            assert_eq!(twin.cell_year - facts.cell_year, CELL_YEARS);
            assert!((facts.cell_year..facts.cell_year + CELL_YEARS).contains(&facts.misprint.0));
            assert_ne!(facts.birth, facts.misprint);
            assert_ne!(
                registry.document_number(one, 0),
                registry.document_number(other, 0)
            );
        }
    }
}
