//! Name with date of birth: rules `N1`, `N2`, `N3`, `N6`.
//!
//! Canonical forms: `N1` is `PRIMARY<NAME<<SECONDARY<NAME|YYYYMMDD`, as a machine-readable zone of unlimited width
//! would have it; `N2` is all tokens, sorted, joined by spaces, `|YYYYMMDD`; `N3` is the first and the last of the
//! sorted tokens of two or more letters that are no particles, `|YYYYMMDD`; `N6` is `N2`'s tokens `|YYYY`.
//!
//! Decisions:
//! * `N2` keeps single letters and digits as tokens: dropping them would turn `A KHAN` into a name of one word.
//! * Base forms differ on purpose: `N1` takes ICAO's first recommendation (`Ü → UE`: what the document says), `N2`,
//!   `N3` and `N6` drop marks (`Ü → U`: what people type). A query so carries both spellings without any variant.
//! * A name whose parts are not told apart makes `N1` only where the text tells them: one comma, or `<<`.
//! * A name of one word makes only `N1`, alone as primary identifier: with a date it would meet every namesake.
//! * The owner keeps as variants: other spellings (at most 32 per name), the name without titles, the name with the
//!   Arabic article joined (`AL FAWAZ → ALFAWAZ`), and `N1` cut to the 39, 31 and 30 positions of an MRZ's name field.
//! * 1 January is taken as a full date, though some states print it for "unknown": lists and documents agree on it.
//! * `N3` is a candidate. On the OFAC list of July 2021 it finds 10, 20 and 29 pairs beyond `N2` with the UN list of
//!   November 2020, the UK list of April 2018 and the EU list of September 2022. Three of the 59 are different people
//!   (brothers listed under one date of birth), and lists hold far fewer namesakes than a border sees travellers.
//! * Tables and variants are worth their space: on the same lists `N2` finds 293, 386 and 517 pairs where plain Unicode
//!   folding finds 291, 384 and 491. Every one of the 30 is the same person; 18 of them need a variant.

use core::ops::RangeInclusive;

use jiff::civil::Date;
use zeroize::Zeroizing;

use crate::derive::Collector;
use crate::identifier::Rule;
use crate::rejection::{
    BIRTH_IN_FUTURE, BIRTH_NO_SUCH_DATE, BIRTH_RANGE_REVERSED, BIRTH_RANGE_TOO_WIDE, BIRTH_TOO_EARLY,
    MONONYM, MONONYM_NEEDS_DAY, NAME_EMPTY, NAME_TOO_LONG, NO_BIRTH, NO_NAME, RejectionRule,
    TOO_MANY_SPELLINGS,
};
use crate::subject::{BirthDate, Name, NameText};
use crate::text::{Scheme, Separators, tokens};

/// Words of a name in A–Z and 0–9; wiped when dropped.
type Tokens = Zeroizing<Vec<String>>;

/// At most so many spellings of one name.
const MAX_SPELLINGS: usize = 32;
/// A longer text is not a name.
const MAX_NAME_CHARS: usize = 400;
/// A name that becomes longer than this when written in A–Z is not a name either.
const MAX_CANONICAL: usize = 1_000;
/// The widest range of years that is matched year by year.
const MAX_RANGE_YEARS: usize = 15;
const EARLIEST_YEAR: i16 = 1850;
/// Widths of the name field: TD3 and MRV-A; TD2 and MRV-B; TD1.
const MRZ_NAME_WIDTHS: [usize; 3] = [39, 31, 30];

pub(crate) fn derive(names: &[Name], births: &[BirthDate], today: Date, out: &mut Collector) {
    let dates = Dates::read(births, today, out);
    let mut spelled = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("names[{index}]");
        match Spelled::read(name, &field, out) {
            Ok(name) => spelled.push((field, name)),
            Err(rule) => out.reject(rule.at(field)),
        }
    }
    dates.reject_unused(spelled.iter().map(|(_, name)| name), births, out);
    if dates.is_empty() {
        if !spelled.is_empty() {
            out.reject(NO_BIRTH.at("names"));
        }
        return;
    }
    for (field, name) in &spelled {
        if name.is_mononym() {
            let rule = if dates.days.is_empty() {
                MONONYM_NEEDS_DAY
            } else {
                MONONYM
            };
            out.reject(rule.at(field.clone()));
        }
        name.base.add(&dates, false, out);
    }
    for (_, name) in &spelled {
        name.variants
            .iter()
            .for_each(|variant| variant.add(&dates, true, out));
    }
}

/// The usable dates of birth.
struct Dates {
    /// `YYYYMMDD`.
    days: Zeroizing<Vec<String>>,
    years: Zeroizing<Vec<i16>>,
    /// Where they were in the subject.
    used: Vec<usize>,
}

impl Dates {
    fn read(births: &[BirthDate], today: Date, out: &mut Collector) -> Self {
        let (mut days, mut years) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
        let mut used = Vec::new();
        for (index, birth) in births.iter().enumerate() {
            match years_of(birth, today) {
                Ok(range) => years.extend(range),
                Err(rule) => {
                    out.reject(rule.at(format!("births[{index}]")));
                    continue;
                }
            }
            if let BirthDate::Day { year, month, day } = birth {
                days.push(format!("{year:04}{month:02}{day:02}"));
            }
            used.push(index);
        }
        days.sort();
        days.dedup();
        years.sort_unstable();
        years.dedup();
        Self { days, years, used }
    }

    fn is_empty(&self) -> bool {
        self.years.is_empty()
    }

    /// A date that no name makes use of is not dropped silently. A name of one word uses full dates only.
    fn reject_unused<'a>(
        &self,
        names: impl Iterator<Item = &'a Spelled> + Clone,
        births: &[BirthDate],
        out: &mut Collector,
    ) {
        let no_name = names.clone().next().is_none();
        let only_mononyms = names.clone().all(Spelled::is_mononym);
        for &index in &self.used {
            let is_day = matches!(births[index], BirthDate::Day { .. });
            if no_name || (only_mononyms && !is_day) {
                out.reject(NO_NAME.at(format!("births[{index}]")));
            }
        }
    }
}

/// The years that `birth` may mean, if it means anything.
fn years_of(birth: &BirthDate, today: Date) -> Result<RangeInclusive<i16>, RejectionRule> {
    let (first, last) = match *birth {
        BirthDate::Day { year, month, day } => (civil(year, month, day)?, civil(year, month, day)?),
        BirthDate::Month { year, month } => (civil(year, month, 1)?, civil(year, month, 1)?),
        BirthDate::Year { year } => (civil(year, 1, 1)?, civil(year, 1, 1)?),
        BirthDate::Years { from, to } => (civil(from, 1, 1)?, civil(to, 1, 1)?),
    };
    if first > last {
        return Err(BIRTH_RANGE_REVERSED);
    }
    if first.year() < EARLIEST_YEAR {
        return Err(BIRTH_TOO_EARLY);
    }
    if last > today {
        return Err(BIRTH_IN_FUTURE);
    }
    let years = first.year()..=last.year();
    if years.clone().count() > MAX_RANGE_YEARS {
        return Err(BIRTH_RANGE_TOO_WIDE);
    }
    Ok(years)
}

fn civil(year: i16, month: u8, day: u8) -> Result<Date, RejectionRule> {
    let part = |value: u8| i8::try_from(value).map_err(|_| BIRTH_NO_SUCH_DATE);
    Date::new(year, part(month)?, part(day)?).map_err(|_| BIRTH_NO_SUCH_DATE)
}

/// One name with all its spellings.
struct Spelled {
    base: Keys,
    variants: Vec<Keys>,
}

impl Spelled {
    fn read(name: &Name, field: &str, out: &mut Collector) -> Result<Self, RejectionRule> {
        let parts = Parts::of(&name.text);
        let chars = parts.primary.chars().count() + parts.secondary.chars().count();
        if chars > MAX_NAME_CHARS {
            return Err(NAME_TOO_LONG);
        }
        let whole = Zeroizing::new(format!("{} {}", parts.primary, parts.secondary));
        let (schemes, more) = Scheme::all_for(&whole, MAX_SPELLINGS);
        let plain = tokens(&whole, Scheme::PLAIN, Separators::Any);
        let sorted = Keys::sorted(plain.clone());
        if !sorted
            .iter()
            .any(|token| token.bytes().any(|b| b.is_ascii_uppercase()))
        {
            return Err(NAME_EMPTY);
        }
        if joined_length(&sorted) > MAX_CANONICAL {
            return Err(NAME_TOO_LONG);
        }
        if more {
            out.reject(TOO_MANY_SPELLINGS.at_with(field, &format!("{MAX_SPELLINGS} are kept")));
        }
        let has_mrz = parts.told_apart || sorted.len() == 1;
        let mrz = |scheme| has_mrz.then(|| parts.mrz(scheme));
        let mut spelled = Self {
            base: Keys {
                sorted,
                mrz: mrz(Scheme::ICAO),
            },
            variants: Vec::new(),
        };
        for &scheme in &schemes {
            let in_order = match scheme {
                Scheme::PLAIN => plain.clone(),
                _ => tokens(&whole, scheme, Separators::Any),
            };
            let mrz = mrz(scheme);
            for respell in [without_titles, with_article_joined] {
                if let Some(respelled) = respell(&in_order) {
                    let mrz = mrz.as_ref().and_then(|mrz| mrz.respelled(respell));
                    spelled.push(Keys {
                        sorted: Keys::sorted(respelled),
                        mrz,
                    });
                }
            }
            spelled.push(Keys {
                sorted: Keys::sorted(in_order),
                mrz,
            });
        }
        Ok(spelled)
    }

    fn is_mononym(&self) -> bool {
        self.base.sorted.len() == 1
    }

    /// Adds a variant unless it says nothing new or has become too little or too much to identify anybody.
    fn push(&mut self, keys: Keys) {
        let as_rich = keys.sorted.len() >= self.base.sorted.len().min(2);
        let fits = joined_length(&keys.sorted) <= MAX_CANONICAL;
        if as_rich && fits && keys != self.base && !self.variants.contains(&keys) {
            self.variants.push(keys);
        }
    }
}

fn joined_length(tokens: &[String]) -> usize {
    tokens.iter().map(|token| token.len() + 1).sum()
}

/// What one spelling of one name is matched by.
#[derive(PartialEq, Eq)]
struct Keys {
    sorted: Tokens,
    mrz: Option<MrzName>,
}

impl Keys {
    fn sorted(mut tokens: Tokens) -> Tokens {
        tokens.sort();
        tokens
    }

    fn add(&self, dates: &Dates, variant: bool, out: &mut Collector) {
        let several = self.sorted.len() > 1;
        let all = Zeroizing::new(self.sorted.join(" "));
        let mrz = self.mrz.as_ref().map(MrzName::joined);
        for day in dates.days.iter() {
            if let Some(mrz) = &mrz {
                out.add(Rule::N1, format!("{}|{day}", **mrz), variant);
                for width in MRZ_NAME_WIDTHS.into_iter().filter(|&width| width < mrz.len()) {
                    out.add(
                        Rule::N1,
                        format!("{}|{day}", mrz[..width].trim_end_matches('<')),
                        true,
                    );
                }
            }
            if several {
                out.add(Rule::N2, format!("{}|{day}", *all), variant);
            }
            if let Some((first, last)) = self.ends() {
                out.add(Rule::N3, format!("{first} {last}|{day}"), variant);
            }
        }
        if several {
            for year in dates.years.iter() {
                out.add(Rule::N6, format!("{}|{year:04}", *all), variant);
            }
        }
    }

    /// First and last of the sorted tokens that carry a name.
    fn ends(&self) -> Option<(&str, &str)> {
        let mut carrying = self
            .sorted
            .iter()
            .filter(|token| token.len() > 1 && !PARTICLES.contains(&token.as_str()));
        let (first, last) = (carrying.next()?, carrying.next_back()?);
        Some((first, last))
    }
}

/// The two parts of a name as the source wrote them; `secondary` is empty where there is none.
struct Parts<'a> {
    primary: &'a str,
    secondary: &'a str,
    /// Whether the source tells the parts apart; if not, everything is in `primary`.
    told_apart: bool,
}

impl<'a> Parts<'a> {
    fn of(text: &'a NameText) -> Self {
        let told_apart = |(primary, secondary)| Self {
            primary,
            secondary,
            told_apart: true,
        };
        match text {
            NameText::Parts { primary, secondary } => told_apart((primary, secondary)),
            NameText::Whole(whole) => {
                let by_comma = || whole.split_once(',').filter(|(_, after)| !after.contains(','));
                let parts = whole.split_once("<<").or_else(by_comma);
                let is_name = |text: &str| text.chars().any(char::is_alphanumeric);
                parts
                    .filter(|(primary, secondary)| is_name(primary) && is_name(secondary))
                    .map_or(
                        Self {
                            primary: whole,
                            secondary: "",
                            told_apart: false,
                        },
                        told_apart,
                    )
            }
        }
    }

    fn mrz(&self, scheme: Scheme) -> MrzName {
        let part = |text| tokens(text, scheme, Separators::Mrz);
        MrzName::new(part(self.primary), part(self.secondary))
    }
}

/// A name as a machine-readable zone has it.
#[derive(PartialEq, Eq)]
struct MrzName {
    primary: Tokens,
    secondary: Tokens,
}

impl MrzName {
    /// A name without a primary identifier has its secondary in that place, as in documents of people without a
    /// family name.
    fn new(primary: Tokens, secondary: Tokens) -> Self {
        if primary.is_empty() {
            return Self {
                primary: secondary,
                secondary: primary,
            };
        }
        Self { primary, secondary }
    }

    fn joined(&self) -> Zeroizing<String> {
        let mut joined = Zeroizing::new(self.primary.join("<"));
        if !self.secondary.is_empty() {
            joined.push_str("<<");
            joined.push_str(&Zeroizing::new(self.secondary.join("<")));
        }
        joined
    }

    /// `None` if a part would have nothing left.
    fn respelled(&self, respell: Respell) -> Option<Self> {
        let part = |part: &Tokens| respell(part).unwrap_or_else(|| part.clone());
        let (primary, secondary) = (part(&self.primary), part(&self.secondary));
        let emptied = primary.is_empty() || (secondary.is_empty() && !self.secondary.is_empty());
        (!emptied).then(|| Self::new(primary, secondary))
    }
}

/// Another way to write some tokens; `None` if they stay as they are.
type Respell = fn(&Tokens) -> Option<Tokens>;

/// Titles, ranks and suffixes that a machine-readable zone leaves out (Doc 9303-3 §4.6) and lists often keep.
const TITLES: [&str; 46] = [
    "ALHAJ",
    "BRIGADIER",
    "CAPTAIN",
    "COL",
    "COLONEL",
    "DOCTOR",
    "DR",
    "ENG",
    "ENGINEER",
    "GEN",
    "GENERAL",
    "HADJI",
    "HAJ",
    "HAJI",
    "HAJJ",
    "HAJJI",
    "II",
    "III",
    "IV",
    "JR",
    "LIEUTENANT",
    "LT",
    "MAJOR",
    "MAULANA",
    "MAULAVI",
    "MAULAWI",
    "MAWLAWI",
    "MISS",
    "MR",
    "MRS",
    "MS",
    "MULLA",
    "MULLAH",
    "PROF",
    "PROFESSOR",
    "QARI",
    "SAYED",
    "SAYYID",
    "SHAIKH",
    "SHAYKH",
    "SHEIK",
    "SHEIKH",
    "SHEKH",
    "SIR",
    "SR",
    "USTAD",
];

/// Words that carry no name: `N3` leaves them out.
const PARTICLES: [&str; 30] = [
    "AL", "AN", "AR", "AS", "BEN", "BIN", "BINT", "DA", "DAS", "DE", "DEL", "DEN", "DER", "DI", "DO", "DOS",
    "EL", "IBN", "LA", "LAS", "LE", "LOS", "OGLU", "TEN", "TER", "UL", "VAN", "VON", "WA", "ZU",
];

fn without_titles(tokens: &Tokens) -> Option<Tokens> {
    let is_title = |token: &String| TITLES.contains(&token.as_str());
    let kept = || tokens.iter().filter(|token| !is_title(token)).cloned().collect();
    tokens.iter().any(is_title).then(|| Zeroizing::new(kept()))
}

fn with_article_joined(tokens: &Tokens) -> Option<Tokens> {
    let mut joined: Tokens = Zeroizing::new(Vec::with_capacity(tokens.len()));
    let mut article = None;
    for token in tokens.iter() {
        match article.take() {
            Some(article) => joined.push(format!("{article}{token}")),
            None if token == "AL" || token == "EL" => article = Some(token),
            None => joined.push(token.clone()),
        }
    }
    joined.extend(article.cloned());
    (joined.len() < tokens.len()).then_some(joined)
}
