//! Six-character dates with two-digit years: Doc 9303-3 §4.8.

use jiff::civil::Date;

use crate::subject::BirthDate;

pub(super) struct NoSuchDate;

/// The date of birth, in the latest century in which it is not after `today`. `None` if the year is unknown.
pub(super) fn birth(text: &str, today: Date) -> Result<Option<BirthDate>, NoSuchDate> {
    let Some(printed) = Printed::read(text)? else {
        return Ok(None);
    };
    let this_century = today.year() - today.year().rem_euclid(100) + printed.year_of_century;
    let not_in_future = |year: i16| printed.first_day(year).is_ok_and(|date| date <= today);
    let year = if not_in_future(this_century) {
        this_century
    } else {
        this_century - 100
    };
    printed.first_day(year)?;
    Ok(Some(match (printed.month, printed.day) {
        (Some(month), Some(day)) => BirthDate::Day { year, month, day },
        (Some(month), None) => BirthDate::Month { year, month },
        (None, _) => BirthDate::Year { year },
    }))
}

/// The date of expiry, from 69 years before to 30 years after `today`. `None` if any part is unknown.
pub(super) fn expiry(text: &str, today: Date) -> Result<Option<Date>, NoSuchDate> {
    let Some(printed) = Printed::read(text)? else {
        return Ok(None);
    };
    let latest = today.year() + 30;
    let year = latest - (latest - printed.year_of_century).rem_euclid(100);
    let first_day = printed.first_day(year)?;
    Ok(printed.day.map(|_| first_day))
}

/// The first day that `birth` may mean.
pub(super) fn earliest(birth: Option<BirthDate>) -> Option<Date> {
    let (year, month, day) = match birth? {
        BirthDate::Day { year, month, day } => (year, month, day),
        BirthDate::Month { year, month } => (year, month, 1),
        BirthDate::Year { year } | BirthDate::Years { from: year, .. } => (year, 1, 1),
    };
    civil(year, month, day).ok()
}

/// Whether the same two digits also fit a person of at most 115 years.
pub(super) fn century_is_ambiguous(birth: Option<BirthDate>, today: Date) -> bool {
    earliest(birth).is_some_and(|date| today.year() - (date.year() - 100) <= 115)
}

struct Printed {
    year_of_century: i16,
    month: Option<u8>,
    /// Known only if the month is.
    day: Option<u8>,
}

impl Printed {
    /// `None` if the year is filled in as unknown.
    fn read(text: &str) -> Result<Option<Self>, NoSuchDate> {
        let part = |range: core::ops::Range<usize>| match text.get(range) {
            Some("<<") => Ok(None),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map(Some).map_err(|_| NoSuchDate)
            }
            _ => Err(NoSuchDate),
        };
        let (year, month, day): (Option<u8>, Option<u8>, Option<u8>) =
            (part(0..2)?, part(2..4)?, part(4..6)?);
        let month = month.filter(|&month| month != 0);
        let day = day.filter(|&day| day != 0);
        if month.is_none() && day.is_some() {
            return Err(NoSuchDate);
        }
        Ok(year.map(|year| Self {
            year_of_century: i16::from(year),
            month,
            day,
        }))
    }

    fn first_day(&self, year: i16) -> Result<Date, NoSuchDate> {
        civil(year, self.month.unwrap_or(1), self.day.unwrap_or(1))
    }
}

fn civil(year: i16, month: u8, day: u8) -> Result<Date, NoSuchDate> {
    let part = |value: u8| i8::try_from(value).map_err(|_| NoSuchDate);
    Date::new(year, part(month)?, part(day)?).map_err(|_| NoSuchDate)
}
