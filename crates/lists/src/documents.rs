//! Numbers of documents inside free text, as lists publish them:
//! `Passport No: 123999 (Testlandian passport issued on 1 May 2001)`, `(1) X 000999 (Utopian) (2) 12 34 567999`,
//! `Utopian Passport No. 12/345999`, `a) Testlandian passport number 1234999 b) …`.
//!
//! A number is looked for at the start of the text, of an enumerated item, and after words like *passport*, *number*
//! or *no.*; words like *issued* or *expires* end the search until the next such word, so that dates are not taken
//! for numbers. Where a text names no number, none is invented.

mod number;
#[cfg(test)]
mod tests;

use concordat_identifiers::DocumentClass;

use number::number_at;

/// What a number is, from the words around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Travel(DocumentClass),
    NationalId,
}

/// A number found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) sort: Sort,
    /// As printed, parts joined by one space.
    pub(crate) number: String,
    /// Words around it that may name the issuer: a country or a demonym, with words of document kinds left out.
    pub(crate) issuer: Option<String>,
}

/// The longest text that is searched: no publisher comes near it, and the time taken grows with its square.
const LONGEST: usize = 4096;

/// All numbers of a text; none of a text over 4 KiB. `default` is what a number is unless the words around it say
/// otherwise.
pub(crate) fn scan(text: &str, default: Sort) -> Vec<Found> {
    let mut found = Vec::new();
    if text.len() > LONGEST {
        return found;
    }
    let mut lead = None;
    for item in items(text) {
        let before = found.len();
        let mut scanner = Scanner::new(default, lead.clone());
        scanner.run(&tokens(item), &mut found);
        // `Utopian passport numbers (1) K012999 (2) 345999`: words before the first item count for all of them.
        if found.len() == before && lead.is_none() {
            lead = issuer(&scanner.words);
        }
    }
    found
}

/// The numbers of a cell that holds nothing else, `(1) D014999 (2) 5/TESTA (N) 127999`, with what another cell says
/// of them: `(1) South Sudan (2) Sudan`, one for each or one for all.
pub(crate) fn scan_with_details(numbers: &str, details: &str, default: Sort) -> Vec<Found> {
    let mut found = Vec::new();
    if numbers.len() > LONGEST || details.len() > LONGEST {
        return found;
    }
    let (numbers, details) = (items(numbers), items(details));
    for (index, item) in numbers.iter().enumerate() {
        let first = found.len();
        let item = item.trim().trim_end_matches(['.', ',', ';']);
        let sentence = item
            .split(' ')
            .any(|word| word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_lowercase()));
        if sentence {
            found.extend(scan(item, default));
        } else if item.bytes().any(|byte| byte.is_ascii_digit()) {
            found.push(Found {
                sort: default,
                number: item.to_owned(),
                issuer: None,
            });
        }
        let detail = if details.len() == numbers.len() {
            details.get(index)
        } else {
            details.first()
        };
        if let Some(detail) = detail.filter(|_| details.len() == numbers.len() || details.len() == 1) {
            found[first..]
                .iter_mut()
                .for_each(|found| qualify(found, detail, default));
        }
    }
    found
}

/// Splits at enumerators: `(1)`, `(a)`, `a)`, `2)`, `a. `.
pub(crate) fn items(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut items = Vec::new();
    let (mut start, mut at, mut depth) = (0, 0, 0_i32);
    while at < bytes.len() {
        let previous = at.checked_sub(1).map(|before| bytes[before]);
        if let Some(end) = enumerator(&bytes[at..], previous, depth) {
            items.push(&text[start..at]);
            (start, at) = (at + end, at + end);
            continue;
        }
        depth += i32::from(bytes[at] == b'(') - i32::from(bytes[at] == b')' && depth > 0);
        at += 1;
    }
    items.push(&text[start..]);
    items.retain(|item| !item.trim().is_empty());
    items
}

/// Length of the enumerator at the start of `bytes`, if there is one.
fn enumerator(bytes: &[u8], previous: Option<u8>, depth: i32) -> Option<usize> {
    let open = usize::from(bytes.first() == Some(&b'('));
    let mark = bytes[open..]
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    let label = &bytes[open..open + mark];
    let lettered = open == 0 && label.len() == 1 && label[0].is_ascii_lowercase();
    if lettered && bytes[1..].starts_with(b". ") && previous.is_none_or(|byte| byte.is_ascii_whitespace()) {
        return Some(2);
    }
    if bytes.get(open + mark) != Some(&b')') {
        return None;
    }
    let short = match label {
        [byte] => byte.is_ascii_alphanumeric(),
        [b'1' | b'2', byte] => byte.is_ascii_digit(),
        _ => false,
    };
    // Not the `(0)` of a Hong Kong card nor the `(N)` of a Burmese one: they follow the number directly.
    let apart = match previous {
        None => true,
        Some(byte) if open == 1 => !byte.is_ascii_uppercase() && !byte.is_ascii_digit(),
        Some(byte) => byte.is_ascii_whitespace() && depth == 0,
    };
    (short && apart).then_some(open + mark + 1)
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// The inside of parentheses.
    Group(&'a str),
    Comma,
}

fn tokens(item: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = item;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() || matches!(first, ':' | ')') {
            rest = &rest[first.len_utf8()..];
        } else if matches!(first, ',' | ';') {
            tokens.push(Token::Comma);
            rest = &rest[1..];
        } else if first == '(' {
            let end = closing(rest).unwrap_or(rest.len());
            tokens.push(Token::Group(rest[1..end].trim()));
            rest = rest.get(end + 1..).unwrap_or_default();
        } else {
            let end = word_end(rest);
            word(&rest[..end], &mut tokens);
            rest = &rest[end..];
        }
    }
    tokens
}

/// Where the parenthesis that opens `text` closes, if it does.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.bytes().position(|byte| {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        depth == 0
    })
}

/// Where the word that starts `text` ends. A parenthesis inside a number belongs to it: `12/OUKAMA(N)004242`,
/// `C234567(0)`.
fn word_end(text: &str) -> usize {
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if next == '(' {
            let Some(inside) = closing(&text[at..]).map(|closing| at + closing) else {
                return at;
            };
            let label = &text.as_bytes()[at + 1..inside];
            let after = text.as_bytes().get(inside + 1);
            let upper = |bytes: &[u8]| {
                bytes
                    .iter()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            };
            let check_digit = label.len() == 1 && label[0].is_ascii_digit();
            if !label.is_empty() && upper(label) && (check_digit || after.is_some_and(u8::is_ascii_digit)) {
                at = inside + 1;
                continue;
            }
            return at;
        }
        if next.is_whitespace() || matches!(next, ',' | ';' | ':' | ')') {
            return at;
        }
        at += next.len_utf8();
    }
    at
}

/// Pushes a word, parted from a *no.* or `#` that is glued to its front.
fn word<'a>(text: &'a str, tokens: &mut Vec<Token<'a>>) {
    let lower = text.to_ascii_lowercase();
    let glued = ["nos.", "no.", "n°", "nº", "№", "#"]
        .iter()
        .find(|prefix| lower.starts_with(**prefix));
    let (cue, rest) = text.split_at(glued.map_or(0, |prefix| prefix.len()));
    for part in [cue, rest] {
        let part = part.trim_matches(['.', '"', '\'', '‘', '’', '“', '”']);
        if !part.is_empty() {
            tokens.push(Token::Word(part));
        }
    }
}

/// Walks over the tokens of one item.
struct Scanner<'a> {
    default: Sort,
    sort: Sort,
    lead: Option<String>,
    /// A number may come next.
    armed: bool,
    /// Inside words about issue, expiry or other persons.
    aside: bool,
    /// Words since the last number that may name an issuer.
    words: Vec<&'a str>,
}

impl<'a> Scanner<'a> {
    fn new(default: Sort, lead: Option<String>) -> Self {
        Self {
            default,
            sort: default,
            lead,
            armed: true,
            aside: false,
            words: Vec::new(),
        }
    }

    fn run(&mut self, tokens: &[Token<'a>], found: &mut Vec<Found>) {
        let first = found.len();
        let mut at = 0;
        // The token after a number: another number may follow directly.
        let mut adjacent = false;
        while let Some(token) = tokens.get(at) {
            let number = number_at(&tokens[at..]).filter(|(_, number)| {
                !self.aside
                    && (self.armed || adjacent && number.bytes().filter(u8::is_ascii_digit).count() >= 6)
            });
            if let Some((length, number)) = number {
                let issuer = issuer(&self.words).or_else(|| self.lead.clone());
                found.push(Found {
                    sort: self.sort,
                    number,
                    issuer,
                });
                (self.armed, self.sort, adjacent) = (false, self.default, true);
                self.words.clear();
                at += length;
                continue;
            }
            match token {
                Token::Comma => {}
                Token::Group(text) => {
                    if let Some(last) = found[first..].last_mut() {
                        qualify(last, text, self.default);
                    }
                }
                Token::Word(word) => {
                    adjacent = matches!(*word, "and" | "&") && !self.aside;
                    self.word(word);
                }
            }
            at += 1;
        }
        // `00012999, Utopia`, `123456999, Embassy of Testland`: words after the only number.
        if let [only] = &mut found[first..]
            && only.issuer.is_none()
        {
            only.issuer = issuer(&self.words);
        }
    }

    fn word(&mut self, word: &'a str) {
        let lower = word.to_lowercase();
        if let Some(sort) = kind_of(&lower, self.default) {
            if let Some(sort) = sort {
                self.sort = sort;
            }
            (self.armed, self.aside) = (true, false);
        } else if ASIDE.contains(&lower.as_str()) {
            self.aside = true;
        } else if NUMBER.contains(&lower.as_str()) {
            self.armed |= !self.aside;
        } else if !self.aside {
            self.words.push(word);
        }
    }
}

/// What the words in parentheses after a number say of it.
fn qualify(found: &mut Found, text: &str, default: Sort) {
    let mut words = Vec::new();
    for word in text
        .split([' ', ',', ';', ':', '(', ')'])
        .map(|word| word.trim_matches('.'))
        .filter(|word| !word.is_empty())
    {
        let lower = word.to_lowercase();
        match kind_of(&lower, default) {
            Some(Some(sort)) => found.sort = sort,
            Some(None) => {}
            // `Personal number on passport` is no passport number.
            None if ASIDE.contains(&lower.as_str()) || matches!(lower.as_str(), "on" | "as") => break,
            None if NUMBER.contains(&lower.as_str()) => {}
            None => words.push(word),
        }
    }
    if found.issuer.is_none() {
        found.issuer = issuer(&words);
    }
}

/// Whether a word names a kind of document, and which kind if it is a particular one.
fn kind_of(word: &str, default: Sort) -> Option<Option<Sort>> {
    let identity = match default {
        Sort::NationalId => Sort::NationalId,
        Sort::Travel(_) => Sort::Travel(DocumentClass::IdentityCard),
    };
    let sort = match word {
        "passport" | "passports" | "passeport" | "pasaporte" | "booklet" => {
            Sort::Travel(DocumentClass::Passport)
        }
        "visa" | "visas" | "visanumberid" => Sort::Travel(DocumentClass::Visa),
        "identity" | "identification" | "nic" | "id" | "ids" => identity,
        "laissez-passer" | "reiseausweis" | "travel" => Sort::Travel(DocumentClass::Other),
        "document" | "card" | "ssn" | "nrc" | "nric" | "bpa" | "tazkira" => return Some(None),
        _ => return None,
    };
    Some(Some(sort))
}

/// Words after which a number comes, unless they stand in an aside.
const NUMBER: &[&str] = &[
    "no", "nos", "number", "numbers", "num", "nr", "n°", "nº", "№", "#",
];

/// Words that start an aside: dates, places and other persons, until the next document.
const ASIDE: &[&str] = &[
    "issued",
    "issue",
    "issuing",
    "expires",
    "expired",
    "expiring",
    "expiry",
    "expiration",
    "valid",
    "validity",
    "date",
    "dated",
    "dob",
    "born",
    "under",
    "place",
    "since",
    "until",
    "reference",
    "revoked",
    "cancelled",
    "approximately",
];

/// Words that say nothing of the issuer.
const PLAIN: &[&str] = &[
    "the",
    "of",
    "a",
    "an",
    "and",
    "holder",
    "diplomatic",
    "service",
    "official",
    "ordinary",
    "foreign",
    "national",
    "provisional",
    "temporary",
    "false",
    "forged",
    "fake",
    "stolen",
    "lost",
    "previous",
    "current",
    "old",
    "new",
    "civil",
    "social",
    "security",
    "fiscal",
    "code",
    "tax",
    "in",
    "details",
    "copy",
    "his",
    "her",
    "name",
    "ni",
    "registration",
    "alien",
    "residence",
    "resident",
    "permit",
    "ration",
    "military",
    "federal",
    "personal",
    "certificate",
    "nationality",
    "birth",
    "driving",
    "driver's",
    "licence",
    "license",
];

/// The issuer that words name: all of them but those that never do, if what is left starts with a capital.
fn issuer(words: &[&str]) -> Option<String> {
    let plain = |word: &&str| PLAIN.contains(&word.to_lowercase().as_str());
    let start = words.iter().position(|word| !plain(word))?;
    let end = words.iter().rposition(|word| !plain(word))? + 1;
    let words = &words[start..end];
    let named = words[0].chars().next().is_some_and(char::is_uppercase);
    let plausible = words.len() <= 8 && words.iter().all(|word| !word.chars().any(|c| c.is_ascii_digit()));
    (named && plausible).then(|| words.join(" "))
}
