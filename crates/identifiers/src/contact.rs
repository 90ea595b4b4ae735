//! Telephone numbers (ITU-T E.164) and e-mail addresses.

use unicode_normalization::UnicodeNormalization;

use crate::derive::Collector;
use crate::identifier::Rule;
use crate::rejection::{
    EMAIL_DOMAIN, EMAIL_SYNTAX, PHONE_CHARACTER, PHONE_COUNTRY, PHONE_LENGTH, PHONE_PREFIX, RejectionRule,
};

/// `+` and 7 to 15 digits.
pub(crate) fn derive_phone(text: &str, field: &str, out: &mut Collector) {
    match canonical_phone(text) {
        Ok(number) => out.add(Rule::Phone, number, false),
        Err(rule) => out.reject(rule.at(format!("{field}.phone"))),
    }
}

/// The local part in lower case, `@`, the domain as lower-case A-labels (IDNA). Dots and `+tags` in the local part are
/// kept: what they mean is each provider's own rule.
pub(crate) fn derive_email(text: &str, field: &str, out: &mut Collector) {
    match canonical_email(text) {
        Ok(address) => out.add(Rule::Email, address, false),
        Err(rule) => out.reject(rule.at(format!("{field}.email"))),
    }
}

fn canonical_phone(text: &str) -> Result<String, RejectionRule> {
    if text.len() > 200 {
        return Err(PHONE_CHARACTER);
    }
    let text: String = text.nfkc().collect();
    let text = text.trim();
    let text = text.strip_prefix("tel:").unwrap_or(text).trim_start();
    let text = text.strip_prefix("(+").map_or_else(
        || text.to_owned(),
        |rest| format!("+{}", rest.replacen(')', "", 1)),
    );
    let national = text
        .strip_prefix('+')
        .or_else(|| text.strip_prefix("00"))
        .ok_or(PHONE_PREFIX)?;
    // The trunk zero that is only dialled inside the country.
    let national = national.replacen("(0)", "", 1);
    let mut digits = String::with_capacity(national.len());
    for c in national.chars() {
        match any_ascii::any_ascii_char(c).chars().next() {
            Some(digit) if c.is_numeric() && digit.is_ascii_digit() => digits.push(digit),
            _ if c.is_whitespace() || "-./()\u{2010}\u{2011}\u{2013}".contains(c) => {}
            _ => return Err(PHONE_CHARACTER),
        }
    }
    let country = CALLING_CODES
        .iter()
        .find(|code| digits.starts_with(**code))
        .ok_or(PHONE_COUNTRY)?;
    let (shortest, longest) = national_length(country);
    if !(shortest..=longest).contains(&(digits.len() - country.len())) {
        return Err(PHONE_LENGTH);
    }
    Ok(format!("+{digits}"))
}

/// How many digits follow the calling code: E.164's own bounds but for countries with one fixed length.
fn national_length(country: &str) -> (usize, usize) {
    match country {
        "1" | "7" => (10, 10),
        "33" | "34" | "48" | "351" | "420" => (9, 9),
        "45" => (8, 8),
        _ => (7 - country.len(), 15 - country.len()),
    }
}

/// The calling codes that ITU-T E.164 assigns to countries, areas and global services.
#[rustfmt::skip]
const CALLING_CODES: [&str; 216] = [
    "1", "20", "211", "212", "213", "216", "218", "220", "221", "222", "223", "224", "225", "226", "227", "228", "229",
    "230", "231", "232", "233", "234", "235", "236", "237", "238", "239", "240", "241", "242", "243", "244", "245",
    "246", "247", "248", "249", "250", "251", "252", "253", "254", "255", "256", "257", "258", "260", "261", "262",
    "263", "264", "265", "266", "267", "268", "269", "27", "290", "291", "297", "298", "299", "30", "31", "32", "33",
    "34", "350", "351", "352", "353", "354", "355", "356", "357", "358", "359", "36", "370", "371", "372", "373", "374",
    "375", "376", "377", "378", "379", "380", "381", "382", "383", "385", "386", "387", "389", "39", "40", "41", "420",
    "421", "423", "43", "44", "45", "46", "47", "48", "49", "500", "501", "502", "503", "504", "505", "506", "507",
    "508", "509", "51", "52", "53", "54", "55", "56", "57", "58", "590", "591", "592", "593", "594", "595", "596", "597",
    "598", "599", "60", "61", "62", "63", "64", "65", "66", "670", "672", "673", "674", "675", "676", "677", "678",
    "679", "680", "681", "682", "683", "685", "686", "687", "688", "689", "690", "691", "692", "7", "800", "808", "81",
    "82", "84", "850", "852", "853", "855", "856", "86", "870", "878", "880", "881", "882", "883", "886", "888", "90",
    "91", "92", "93", "94", "95", "960", "961", "962", "963", "964", "965", "966", "967", "968", "970", "971", "972",
    "973", "974", "975", "976", "977", "979", "98", "992", "993", "994", "995", "996", "998",
];

fn canonical_email(text: &str) -> Result<String, RejectionRule> {
    if text.len() > 1_000 {
        return Err(EMAIL_SYNTAX);
    }
    let text: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let text = text.trim();
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let (local, domain) = text.split_once('@').ok_or(EMAIL_SYNTAX)?;
    // Dot-atom of RFC 5322 §3.2.3, with the letters of other scripts (RFC 6532). Quoted local parts are refused:
    // nobody uses them, and two spellings of one would not meet.
    let is_atext = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let is_local = !local.is_empty()
        && local.len() <= 64
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
    if !is_local {
        return Err(EMAIL_SYNTAX);
    }
    if !domain.contains('.') {
        return Err(EMAIL_DOMAIN);
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let domain = idna::domain_to_ascii_strict(domain).map_err(|_| EMAIL_DOMAIN)?;
    if domain
        .split('.')
        .next_back()
        .is_none_or(|last| last.bytes().all(|b| b.is_ascii_digit()))
        || !domain.contains('.')
    {
        return Err(EMAIL_DOMAIN);
    }
    Ok(format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_calling_code_begins_another() {
        for a in CALLING_CODES {
            for b in CALLING_CODES {
                assert!(a == b || !b.starts_with(a), "{a} begins {b}");
            }
        }
    }
}
