//! Travel documents: number with issuer, and number alone.
//!
//! Canonical forms: `NUMBER|ISSUER` and `NUMBER`. The class of the document is in neither: lists rarely tell it, and a
//! number does not become another one by it. On real lists two publishers name the same issuer for about half of the
//! passports they share, which is why the number alone is a key of its own (grade strong).

use crate::country::{self, UTOPIA};
use crate::derive::Collector;
use crate::identifier::Rule;
use crate::number;
use crate::rejection::{
    DOCUMENT_FOREIGN_LETTER, DOCUMENT_PLACEHOLDER, DOCUMENT_SPECIMEN, DOCUMENT_TOO_LONG, DOCUMENT_TOO_SHORT,
    DOCUMENT_UNKNOWN_ISSUER, RejectionRule,
};
use crate::subject::Document;

const MIN_CHARS: usize = 5;
const MIN_DIGITS: usize = 4;
/// The longest a TD1 can hold is 9 + 13.
const MAX_CHARS: usize = 24;
/// The number field of every machine-readable zone.
const MRZ_CHARS: usize = 9;

pub(crate) fn derive(document: &Document, field: &str, out: &mut Collector) {
    let number = match canonical_number(&document.number) {
        Ok(number) => number,
        Err(rule) => return out.reject(rule.at(format!("{field}.number"))),
    };
    let issuer_text = document
        .issuer
        .as_deref()
        .filter(|issuer| !issuer.trim().is_empty());
    let issuer = issuer_text.and_then(country::resolve);
    if issuer == Some(UTOPIA) {
        return out.reject(DOCUMENT_SPECIMEN.at(format!("{field}.issuer")));
    }
    if issuer_text.is_some() && issuer.is_none() {
        out.reject(DOCUMENT_UNKNOWN_ISSUER.at(format!("{field}.issuer")));
    }
    // A longer number may be printed complete and stand in a zone cut to nine characters.
    let cut = number
        .get(..MRZ_CHARS)
        .filter(|cut| cut.len() < number.len() && is_long_enough(cut));
    for (number, variant) in [(Some(number.as_str()), false), (cut, true)] {
        let Some(number) = number else { continue };
        out.add(Rule::DocumentNumber, number.to_owned(), variant);
        if let Some(issuer) = issuer {
            out.add(Rule::DocumentIssuer, format!("{number}|{issuer}"), variant);
        }
    }
}

fn canonical_number(text: &str) -> Result<zeroize::Zeroizing<String>, RejectionRule> {
    if text.chars().count() > 10 * MAX_CHARS {
        return Err(DOCUMENT_TOO_LONG);
    }
    let number = number::canonical(text).map_err(|_| DOCUMENT_FOREIGN_LETTER)?;
    if number.len() > MAX_CHARS {
        return Err(DOCUMENT_TOO_LONG);
    }
    if !is_long_enough(&number) {
        return Err(DOCUMENT_TOO_SHORT);
    }
    if number::is_placeholder(&number) {
        return Err(DOCUMENT_PLACEHOLDER);
    }
    Ok(number)
}

fn is_long_enough(number: &str) -> bool {
    number.len() >= MIN_CHARS && number::digit_count(number) >= MIN_DIGITS
}
