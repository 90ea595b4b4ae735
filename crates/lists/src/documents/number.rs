//! What is a number, and where it ends.

use super::{NUMBER, Token};

/// The number at the start of the tokens and how many of them it takes: `X 000999`, `12 34 567999`, `TR-P 123 999`,
/// `1234 No. 567999`.
pub(super) fn number_at(tokens: &[Token<'_>]) -> Option<(usize, String)> {
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => Some(*word),
        _ => None,
    };
    let mut parts = Vec::new();
    while parts.len() < 3 && word(parts.len()).is_some_and(is_series) {
        parts.push(word(parts.len())?);
    }
    let first = word(parts.len()).filter(|word| is_number(word))?;
    parts.push(first);
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    if let (Some(no), Some(number)) = (word(parts.len()), word(parts.len() + 1))
        && parts.len() == 1
        && NUMBER.contains(&no.to_lowercase().as_str())
        && (first.len(), digits(first), number.len(), digits(number)) == (4, 4, 6, 6)
    {
        // The series and the number of a Russian internal passport.
        return Some((3, format!("{first} {number}")));
    }
    let mut total = digits(first);
    while let Some(next) = word(parts.len()) {
        let count = digits(next);
        let year = next.len() == 4 && (next.starts_with("19") || next.starts_with("20")) && total >= 5;
        let group =
            count > 0 && next.len() <= count + 1 && (count <= 4 || total < 7) && is_part(next) && !year;
        if !group {
            break;
        }
        total += count;
        parts.push(next);
    }
    let alphanumeric: usize = parts
        .iter()
        .map(|part| part.bytes().filter(u8::is_ascii_alphanumeric).count())
        .sum();
    (alphanumeric >= 3).then(|| (parts.len(), parts.join(" ")))
}

/// A series in letters before a number: up to three capitals, `TR-P`.
fn is_series(word: &str) -> bool {
    const NOT: &[&str] = &[
        "NO", "ID", "UK", "US", "USA", "UAE", "CAR", "DRC", "DOB", "NIC", "BPA", "SSN", "NRC", "AND",
    ];
    let letters = word.bytes().filter(u8::is_ascii_uppercase).count();
    let dashes = word.bytes().filter(|byte| *byte == b'-').count();
    (1..=3).contains(&letters) && letters + dashes == word.len() && dashes <= 1 && !NOT.contains(&word)
}

fn is_part(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'.' | b'(' | b')'))
}

fn is_number(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let lower = word.bytes().filter(u8::is_ascii_lowercase).count();
    is_part(word) && digits > 0 && (lower == 0 || lower <= 2 && digits >= 4) && !is_date(word)
}

/// `30.5.2017`, `04/11/2020`: in free text a date, never a number.
fn is_date(word: &str) -> bool {
    let parts: Vec<&str> = word.split(['.', '/', '-']).collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let digits = parts
        .iter()
        .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    digits && matches!(*lengths, [1 | 2, 1 | 2, 2 | 4] | [4, 2, 2])
}
