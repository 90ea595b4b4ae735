//! Bank accounts: IBAN (ISO 13616).

use crate::derive::Collector;
use crate::identifier::Rule;
use crate::number;
use crate::rejection::{IBAN_CHARACTER, IBAN_CHECK, IBAN_COUNTRY, IBAN_LENGTH, RejectionRule};

/// Upper case, without separators.
pub(crate) fn derive(text: &str, field: &str, out: &mut Collector) {
    match canonical(text) {
        Ok(iban) => out.add(Rule::Iban, iban, false),
        Err(rule) => out.reject(rule.at(format!("{field}.iban"))),
    }
}

fn canonical(text: &str) -> Result<String, RejectionRule> {
    if text.len() > 200 {
        return Err(IBAN_LENGTH);
    }
    let iban = number::canonical(text).map_err(|_| IBAN_CHARACTER)?;
    let iban = iban.strip_prefix("IBAN").unwrap_or(&iban);
    let is_headed = iban.len() > 4
        && iban.bytes().take(2).all(|b| b.is_ascii_uppercase())
        && iban.bytes().skip(2).take(2).all(|b| b.is_ascii_digit());
    if !is_headed {
        return Err(IBAN_CHARACTER);
    }
    let &(_, length) = LENGTHS
        .iter()
        .find(|(country, _)| iban.starts_with(country))
        .ok_or(IBAN_COUNTRY)?;
    if iban.len() != length {
        return Err(IBAN_LENGTH);
    }
    if remainder_97(&iban[4..], &iban[..4]) != 1 {
        return Err(IBAN_CHECK);
    }
    Ok(iban.to_owned())
}

/// ISO 7064 MOD 97-10 over two runs of A–Z and 0–9, a letter counting as two digits.
fn remainder_97(first: &str, second: &str) -> u32 {
    first.chars().chain(second.chars()).fold(0, |remainder, c| {
        let value = c.to_digit(36).unwrap_or(0);
        (remainder * if value < 10 { 10 } else { 100 } + value) % 97
    })
}

/// Lengths of the IBAN registry.
#[rustfmt::skip]
const LENGTHS: [(&str, usize); 89] = [
    ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16), ("BG", 22), ("BH", 22),
    ("BI", 27), ("BR", 29), ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28), ("CZ", 24), ("DE", 22), ("DJ", 27),
    ("DK", 18), ("DO", 28), ("EE", 20), ("EG", 29), ("ES", 24), ("FI", 18), ("FK", 18), ("FO", 18), ("FR", 27),
    ("GB", 22), ("GE", 22), ("GI", 23), ("GL", 18), ("GR", 27), ("GT", 28), ("HN", 28), ("HR", 21), ("HU", 28),
    ("IE", 22), ("IL", 23), ("IQ", 23), ("IS", 26), ("IT", 27), ("JO", 30), ("KW", 30), ("KZ", 20), ("LB", 28),
    ("LC", 32), ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21), ("LY", 25), ("MC", 27), ("MD", 24), ("ME", 22),
    ("MK", 19), ("MN", 20), ("MR", 27), ("MT", 31), ("MU", 30), ("NI", 28), ("NL", 18), ("NO", 15), ("OM", 23),
    ("PK", 24), ("PL", 28), ("PS", 29), ("PT", 25), ("QA", 29), ("RO", 24), ("RS", 22), ("RU", 33), ("SA", 24),
    ("SC", 31), ("SD", 18), ("SE", 24), ("SI", 19), ("SK", 24), ("SM", 27), ("SO", 23), ("ST", 25), ("SV", 28),
    ("TL", 23), ("TN", 24), ("TR", 26), ("UA", 29), ("VA", 22), ("VG", 24), ("XK", 20), ("YE", 30),
];
