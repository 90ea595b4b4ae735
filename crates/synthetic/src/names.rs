//! Names of seven cultures, and why no two people share one.
//!
//! A name is a pair: one of 32 *common* names and a *stem* put together from syllables. Stems are uniquely
//! readable, common names belong to one culture each, and of two cultures at most one has stems that are common
//! names of the other; so the pair can be read back from the set of the two tokens, whatever their order. Anything
//! else a name shows (a middle name, a particle) sorts strictly between the two, so the first and the last token of
//! the sorted name stay the same pair. The tests below check this on the tables, `tests/truth.rs` on what the
//! normalisation profile makes of them.

#[rustfmt::skip] // Tables read better several to a line.
mod tables;

pub(crate) use tables::CULTURES;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Script {
    /// Latin letters with their marks.
    Marked,
    /// Latin letters without marks, as a ticket or an MRZ has them.
    Plain,
    /// The culture's own script, where it has one.
    Native,
}

/// One text in the three scripts. `native` is empty where the culture writes Latin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    pub(crate) plain: &'static str,
    pub(crate) marked: &'static str,
    pub(crate) native: &'static str,
}

impl Text {
    fn in_script(&self, script: Script) -> &'static str {
        match script {
            Script::Plain => self.plain,
            Script::Marked => self.marked,
            Script::Native => self.native,
        }
    }
}

/// A stem is syllables, then a suffix.
#[derive(Debug)]
pub(crate) struct StemTable {
    pub(crate) syllables: usize,
    pub(crate) onsets: &'static [Text],
    pub(crate) rimes: &'static [Text],
    /// Empty, or one is chosen by the stem's number.
    pub(crate) suffixes: &'static [Text],
}

/// A country that issues documents, in the ways lists write it.
#[derive(Debug)]
pub(crate) struct Country {
    pub(crate) alpha2: &'static str,
    pub(crate) alpha3: &'static str,
    pub(crate) name: &'static str,
}

/// Female or male, as in an MRZ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sex {
    Female,
    Male,
}

/// Where names, countries and scripts go together.
#[derive(Debug)]
pub(crate) struct Culture {
    /// How many of 16 people it has.
    pub(crate) share: u64,
    pub(crate) common: &'static [Text],
    pub(crate) stems: StemTable,
    /// Chinese: the common name is the family name and the stem the given name.
    pub(crate) common_is_family: bool,
    /// A word that may stand before the family name, with what joins the two.
    pub(crate) particle: Option<(&'static str, &'static str)>,
    /// The native script normalises to the same tokens as the Latin form.
    pub(crate) native_is_latin: bool,
    pub(crate) countries: &'static [Country],
}

impl Culture {
    pub(crate) fn has_native(&self) -> bool {
        !self.common[0].native.is_empty()
    }
}

/// What may stand between the two tokens of a name, when the record shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    Particle,
    Middle(usize),
}

/// One name of a person.
#[derive(Clone, Debug)]
pub(crate) struct FullName {
    pub(crate) culture: &'static Culture,
    common: usize,
    stem: u64,
    /// Picks the extra; kept, because most names are never asked for theirs.
    choice: u32,
}

impl FullName {
    /// Name number `pair` of a culture. `choice` picks among the middle names that fit, if any does.
    pub(crate) fn new(culture: &'static Culture, pair: u64, choice: u32) -> Self {
        let common = (pair % culture.common.len() as u64) as usize;
        let stem = pair / culture.common.len() as u64;
        Self {
            culture,
            common,
            stem,
            choice,
        }
    }

    /// Whose given name it is; unknown where the common name is the family's.
    pub(crate) fn sex(&self) -> Option<Sex> {
        let women = self.culture.common.len() / 2;
        (!self.culture.common_is_family).then_some(if self.common < women {
            Sex::Female
        } else {
            Sex::Male
        })
    }

    pub(crate) fn has_extra(&self) -> bool {
        self.extra().is_some()
    }

    /// Family name and given names.
    pub(crate) fn parts(&self, script: Script, show_extra: bool) -> (String, String) {
        let common = self.culture.common[self.common].in_script(script).to_owned();
        let stem = self.culture.stems.text(self.stem, script);
        let (mut family, mut given) = if self.culture.common_is_family {
            (common, stem)
        } else {
            (stem, common)
        };
        match show_extra.then(|| self.extra()).flatten() {
            Some(Extra::Particle) => {
                if let Some((word, joint)) = self.culture.particle {
                    family = format!("{word}{joint}{family}");
                }
            }
            Some(Extra::Middle(index)) => {
                given = format!("{given} {}", self.culture.common[index].in_script(script));
            }
            None => {}
        }
        (family, given)
    }

    /// Whether states spell one of its letters in several ways (`Ü` as `U`, `UE` or `UXX`).
    pub(crate) fn has_several_spellings(&self) -> bool {
        let (family, given) = self.parts(Script::Marked, false);
        (family + &given)
            .to_uppercase()
            .contains(['Ä', 'Å', 'Ö', 'Ü', 'Ñ'])
    }

    /// Something that sorts strictly between the two tokens, so that it changes neither the first nor the last.
    fn extra(&self) -> Option<Extra> {
        if self.culture.common_is_family {
            return None;
        }
        let common = self.culture.common[self.common].plain.to_uppercase();
        let stem = self.culture.stems.text(self.stem, Script::Plain).to_uppercase();
        // A machine-readable zone would cut a longer name.
        let room = 26_usize.saturating_sub(common.len() + stem.len());
        let (first, last) = if common < stem {
            (common, stem)
        } else {
            (stem, common)
        };
        let between = |token: &str| {
            let token = token.to_uppercase();
            token.len() <= room && token > first && token < last
        };
        let particle = self
            .culture
            .particle
            .filter(|(word, _)| between(word))
            .map(|_| Extra::Particle);
        let women = self.culture.common.len() / 2;
        let middles = (0..self.culture.common.len())
            .filter(|index| (*index < women) == (self.common < women))
            .filter(|index| between(self.culture.common[*index].plain))
            .map(Extra::Middle);
        let fitting: Vec<Extra> = particle.into_iter().chain(middles).collect();
        (!fitting.is_empty()).then(|| fitting[self.choice as usize % fitting.len()])
    }
}

impl StemTable {
    /// How many stems there are.
    pub(crate) fn len(&self) -> u64 {
        ((self.onsets.len() * self.rimes.len()) as u64).pow(self.syllables as u32)
    }

    fn text(&self, number: u64, script: Script) -> String {
        // A multiplication by a prime spreads neighbouring numbers over all syllables; it is a bijection because the
        // prime does not divide the modulus.
        let scattered = number * SCATTER % self.len();
        let radix = (self.onsets.len() * self.rimes.len()) as u64;
        let mut text = String::new();
        let mut rest = scattered;
        for _ in 0..self.syllables {
            let syllable = (rest % radix) as usize;
            text.push_str(self.onsets[syllable / self.rimes.len()].in_script(script));
            text.push_str(self.rimes[syllable % self.rimes.len()].in_script(script));
            rest /= radix;
        }
        if !self.suffixes.is_empty() {
            text.push_str(self.suffixes[(scattered % self.suffixes.len() as u64) as usize].in_script(script));
        }
        let mut letters = text.chars();
        letters
            .next()
            .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}

const SCATTER: u64 = 1_000_003;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_pair_can_be_read_back_whatever_the_order() {
        let upper = |text: &str| text.to_uppercase();
        let commons: Vec<HashSet<String>> = CULTURES
            .iter()
            .map(|culture| culture.common.iter().map(|text| upper(text.plain)).collect())
            .collect();
        let stems: Vec<HashSet<String>> = CULTURES
            .iter()
            .map(|culture| {
                let numbers = 0..crate::person::pair_count(culture) / culture.common.len() as u64;
                numbers
                    .map(|number| upper(&culture.stems.text(number, Script::Plain)))
                    .collect()
            })
            .collect();
        for (index, culture) in CULTURES.iter().enumerate() {
            assert_eq!(
                commons[index].len(),
                culture.common.len(),
                "a common name is there twice"
            );
            let stem_count = crate::person::pair_count(culture) / culture.common.len() as u64;
            assert_eq!(
                stems[index].len() as u64,
                stem_count,
                "a stem can be put together in two ways"
            );
            assert!(
                culture
                    .common
                    .iter()
                    .all(|text| text.native.is_empty() != culture.has_native())
            );
            for other in 0..CULTURES.len() {
                assert!(index == other || commons[index].is_disjoint(&commons[other]));
                assert!(
                    stems[index].is_disjoint(&commons[other]) || stems[other].is_disjoint(&commons[index]),
                    "cultures {index} and {other}: {{common, stem}} may be {{stem, common}}"
                );
            }
        }
    }

    #[test]
    fn what_a_name_shows_besides_sorts_between_its_two_tokens() {
        for culture in &CULTURES {
            for pair in (0..crate::person::pair_count(culture)).step_by(7919) {
                let name = FullName::new(culture, pair, pair as u32);
                let tokens = |extra| {
                    let (family, given) = name.parts(Script::Plain, extra);
                    let mut tokens: Vec<String> = format!("{family} {given}")
                        .to_uppercase()
                        .split([' ', '-'])
                        .map(str::to_owned)
                        .collect();
                    tokens.sort();
                    tokens
                };
                let (short, long) = (tokens(false), tokens(true));
                assert_eq!(short.len(), 2);
                assert_eq!(long.len(), if name.has_extra() { 3 } else { 2 });
                assert_eq!((short.first(), short.last()), (long.first(), long.last()));
                assert!(long.windows(2).all(|two| two[0] < two[1]));
            }
        }
    }

    /// What the profile matches a name by, with a fixed date of birth.
    fn sorted_tokens((primary, secondary): (String, String)) -> Vec<u8> {
        use concordat_identifiers::{BirthDate, Name, NameRank, NameText, Rule, Subject, derive};
        let name = Name {
            rank: NameRank::Primary,
            text: NameText::Parts { primary, secondary },
        };
        let births = vec![BirthDate::Day {
            year: 1980,
            month: 5,
            day: 5,
        }];
        let subject = Subject {
            names: vec![name],
            births,
            ..Subject::default()
        };
        let derived = derive(&subject, jiff::civil::date(2026, 1, 1));
        let found = derived
            .identifiers
            .iter()
            .find(|one| one.rule() == Rule::N2 && !one.is_variant());
        found.unwrap().canonical().to_vec()
    }

    #[test]
    fn own_scripts_normalise_as_the_tables_say() {
        for culture in CULTURES.iter().filter(|culture| culture.has_native()) {
            let mut seen = HashSet::new();
            for pair in (0..crate::person::pair_count(culture)).step_by(4001) {
                let name = FullName::new(culture, pair, 0);
                let native = sorted_tokens(name.parts(Script::Native, false));
                let plain = sorted_tokens(name.parts(Script::Plain, false));
                assert_eq!(
                    native == plain,
                    culture.native_is_latin,
                    "{:?}",
                    name.parts(Script::Plain, false)
                );
                assert_eq!(plain, sorted_tokens(name.parts(Script::Marked, false)));
                assert!(
                    seen.insert(native),
                    "{:?} is not the only one",
                    name.parts(Script::Native, false)
                );
            }
        }
    }
}
