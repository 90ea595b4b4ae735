//! Dates of birth as publishers write them in English.

use concordat_identifiers::BirthDate;
use jiff::civil::Date;

use crate::Rule;

/// Reads one date of birth: `19 Jun 1951`, `June 1951`, `1951`, `1951-06-19`, `19/06/1951` (always day first),
/// `00/06/1951` (`00`: unknown), `circa 1962`, `1962 to 1964`, `between Mar 1962 and Feb 1963`, `1979-1982`.
///
/// A range counts for its years, both included. A single date that is called approximate is kept as it is written:
/// another list meets `circa 17 Jul 1964` only if it has exactly that date, so nothing is matched more easily by
/// keeping the day, while real persons on two lists are missed by dropping it.
///
/// # Errors
/// [`Rule::Calendar`] for dates that are not Gregorian, [`Rule::BirthDate`] for anything else. Nothing is guessed.
pub(crate) fn birth(text: &str) -> Result<BirthDate, Rule> {
    let text = text.trim().trim_end_matches('.').to_lowercase();
    if ["hijri", "shamsi", "solar", "ethiopian calendar", "buddhist"]
        .iter()
        .any(|calendar| text.contains(calendar))
    {
        return Err(Rule::Calendar);
    }
    let text = APPROXIMATE
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(&text)
        .trim();
    let text = text.strip_prefix("between ").unwrap_or(text);
    if let Some((from, to)) = range(text) {
        return years(Known::read(from)?.year, Known::read(to)?.year);
    }
    Ok(Known::read(text)?.into())
}

/// A range of years, both included; one year if they are the same.
pub(crate) fn years(from: i16, to: i16) -> Result<BirthDate, Rule> {
    match from.cmp(&to) {
        std::cmp::Ordering::Less => Ok(BirthDate::Years { from, to }),
        std::cmp::Ordering::Equal => Ok(BirthDate::Year { year: from }),
        std::cmp::Ordering::Greater => Err(Rule::BirthDate),
    }
}

/// A date from its numbers; 0 stands for an unknown month or day.
pub(crate) fn from_numbers(year: i16, month: u8, day: u8) -> Result<BirthDate, Rule> {
    Ok(Known::new(year, month, day)?.into())
}

/// The four-digit year that a two-digit one of a birth stands for: the latest that is not after `today`.
pub(crate) fn birth_century(two_digits: i16, month: u8, day: u8, today: Date) -> i16 {
    let year = today.year() / 100 * 100 + two_digits;
    // An unknown day or month (0) is as early as it can be.
    if (year, month, day) > (today.year(), today.month() as u8, today.day() as u8) {
        year - 100
    } else {
        year
    }
}

const APPROXIMATE: &[&str] = &[
    "circa ",
    "approximately ",
    "approx. ",
    "approx ",
    "about ",
    "around ",
    "ca. ",
    "ca ",
    "c. ",
];

/// The two ends of a range.
fn range(text: &str) -> Option<(&str, &str)> {
    let dash = |dash| {
        text.split_once(dash)
            .filter(|(from, to)| is_year(from.trim()) && is_year(to.trim()))
    };
    [" to ", " and ", " - ", " – "]
        .iter()
        .find_map(|word| text.split_once(word))
        .or_else(|| dash('-'))
        .or_else(|| dash('–'))
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is known of a date; the day only with the month.
struct Known {
    year: i16,
    month: Option<u8>,
    day: Option<u8>,
}

impl From<Known> for BirthDate {
    fn from(known: Known) -> Self {
        let Known { year, month, day } = known;
        match (month, day) {
            (Some(month), Some(day)) => Self::Day { year, month, day },
            (Some(month), None) => Self::Month { year, month },
            (None, _) => Self::Year { year },
        }
    }
}

impl Known {
    fn new(year: i16, month: u8, day: u8) -> Result<Self, Rule> {
        if !(1800..=2999).contains(&year) {
            return Err(Rule::Calendar);
        }
        let (month, day) = match (month, day) {
            (0, _) => (None, None),
            (month @ 1..=12, 0) => (Some(month), None),
            (month, day) => {
                Date::new(year, month as i8, day as i8).map_err(|_| Rule::BirthDate)?;
                (Some(month), Some(day))
            }
        };
        Ok(Self { year, month, day })
    }

    fn read(text: &str) -> Result<Self, Rule> {
        let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let (year, month, day) = match *words.as_slice() {
            [date] => return Self::from_one_word(date),
            [month, year] => (year, month_named(month), Some(0)),
            [day, month, year] if month_named(month).is_some() => (year, month_named(month), number(day)),
            [month, day, year] => (year, month_named(month), number(day)),
            _ => return Err(Rule::BirthDate),
        };
        if !is_year(year) {
            return Err(Rule::BirthDate);
        }
        let (Some(month), Some(day), Ok(year)) = (month, day, year.parse()) else {
            return Err(Rule::BirthDate);
        };
        Self::new(year, month, day)
    }

    fn from_one_word(text: &str) -> Result<Self, Rule> {
        let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
        let (year, month, day) = match *parts.as_slice() {
            [year] if is_year(year) => (year, "0", "0"),
            [year, month] if is_year(year) => (year, month, "0"),
            [month, year] if is_year(year) => (year, month, "0"),
            [year, month, day] if is_year(year) => (year, month, day),
            [day, month, year] if is_year(year) => (year, month, day),
            _ => return Err(Rule::BirthDate),
        };
        match (year.parse(), number(month), number(day)) {
            (Ok(year), Some(month), Some(day)) => Self::new(year, month, day),
            _ => Err(Rule::BirthDate),
        }
    }
}

fn number(text: &str) -> Option<u8> {
    let digits = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn month_named(text: &str) -> Option<u8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let text = text.trim_end_matches('.');
    let index = MONTHS
        .iter()
        .position(|month| text.len() >= 3 && month.starts_with(text))?;
    Some(index as u8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use BirthDate::{Day, Month, Year, Years};
    use jiff::civil::date;

    #[test]
    fn forms_that_are_published() {
        let day = Day {
            year: 1951,
            month: 6,
            day: 19,
        };
        for text in [
            "19 Jun 1951",
            "19 June 1951.",
            "June 19, 1951",
            "1951-06-19",
            "19/06/1951",
            "19.6.1951",
            " 19 jun. 1951 ",
            "circa 19 Jun 1951",
        ] {
            assert_eq!(birth(text), Ok(day), "{text}");
        }
        for text in ["Jun 1951", "1951-06", "06/1951", "00/06/1951", "1951-06-00"] {
            assert_eq!(birth(text), Ok(Month { year: 1951, month: 6 }), "{text}");
        }
        for text in [
            "1951",
            "00/00/1951",
            "circa 1951",
            "Approximately 1951",
            "01 Jan 1951 to 31 Dec 1951",
        ] {
            assert_eq!(birth(text), Ok(Year { year: 1951 }), "{text}");
        }
        for text in [
            "1962 to 1964",
            "circa 1962-1964",
            "1962–1964",
            "Mar 1962 to Feb 1964",
            "between 1962 and 1964",
            "01 Jan 1962 to 01 Jan 1964",
        ] {
            assert_eq!(birth(text), Ok(Years { from: 1962, to: 1964 }), "{text}");
        }
    }

    #[test]
    fn what_is_not_guessed() {
        for text in [
            "",
            "unknown",
            "51",
            "19 Jun 51",
            "1951-13-01",
            "31/02/1951",
            "1964 to 1962",
            "30-35 years old",
            "1 2 3 4",
            "Ju 1951",
            "19 1951",
            "Jun Jun 1951",
            "1951-06-19-05:00",
            "+1951",
        ] {
            assert_eq!(birth(text), Err(Rule::BirthDate), "{text}");
        }
        for text in ["24/06/1402 (Hijri Calendar)", "24/06/1402", "1360"] {
            assert_eq!(birth(text), Err(Rule::Calendar), "{text}");
        }
    }

    #[test]
    fn nobody_is_born_tomorrow() {
        let today = date(2026, 11, 20);
        assert_eq!(birth_century(26, 11, 20, today), 2026);
        assert_eq!(birth_century(26, 11, 21, today), 1926);
        assert_eq!(birth_century(26, 12, 0, today), 1926);
        assert_eq!(birth_century(26, 0, 0, today), 2026);
        assert_eq!(birth_century(0, 5, 20, today), 2000);
        assert_eq!(birth_century(27, 1, 1, today), 1927);
    }
}
