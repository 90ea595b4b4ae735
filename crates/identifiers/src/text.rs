//! Names in any script, written in A–Z and 0–9.
//!
//! The *plain* spelling serves every rule but `N1`: compatibility decomposition (NFKD), marks dropped, upper case,
//! apostrophes dropped, every other run of characters that are neither letters nor digits separates two tokens;
//! then the letters that are left are written in A–Z by the tables of ICAO Doc 9303-3 §6 (Latin, Cyrillic, Arabic),
//! ELOT 743 (Greek), or `any_ascii` (every other script). Two names that are equal after the first step are equal
//! after the second, so the tables can only add hits to what plain Unicode folding finds, never lose one.
//!
//! A [`Scheme`] chooses other spellings of the same letters: the ones a passport office may have used.

mod arabic;
mod cyrillic;
mod greek;
mod latin;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use zeroize::Zeroizing;

pub(crate) use arabic::Arabic;
pub(crate) use cyrillic::Cyrillic;

/// How the letters that have several spellings are spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheme {
    pub(crate) latin: latin::Choice,
    pub(crate) cyrillic: Cyrillic,
    pub(crate) arabic: Arabic,
}

/// What parts the tokens of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separators {
    /// Everything that is neither letter, digit, mark nor apostrophe.
    Any,
    /// Spaces, hyphens, commas and MRZ fillers; other punctuation is left out without a gap (Doc 9303-3 §4.6).
    Mrz,
}

impl Scheme {
    /// Marks dropped: `Ü → U`.
    pub(crate) const PLAIN: Self = Self {
        latin: latin::Choice::PLAIN,
        cyrillic: Cyrillic::Icao,
        arabic: Arabic::Plain,
    };

    /// The first recommendation of Doc 9303-3 §6: `Ü → UE`.
    pub(crate) const ICAO: Self = Self {
        latin: latin::Choice::ICAO,
        cyrillic: Cyrillic::Icao,
        arabic: Arabic::Icao,
    };

    /// Every scheme that may spell `text` differently, [`Scheme::PLAIN`] first and [`Scheme::ICAO`] second, at most
    /// `limit` of them. The flag says that there would have been more.
    pub(crate) fn all_for(text: &str, limit: usize) -> (Vec<Self>, bool) {
        if text.is_ascii() {
            return (vec![Self::PLAIN], false);
        }
        let mut schemes = vec![Self::PLAIN, Self::ICAO];
        let upper: Vec<char> = text.nfkc().map(upper_one).collect();
        if upper.iter().any(|&c| cyrillic::is_cyrillic(c)) {
            schemes.extend(Cyrillic::NATIONAL.map(|cyrillic| Self {
                cyrillic,
                ..Self::ICAO
            }));
        }
        schemes.extend(
            latin::Choice::mixed_for(&upper)
                .into_iter()
                .map(|latin| Self { latin, ..Self::ICAO }),
        );
        let more = schemes.len() > limit;
        schemes.truncate(limit);
        (schemes, more)
    }
}

/// The tokens of `text` in the text's order: each one or more characters of A–Z and 0–9, none empty. There are none
/// when nothing in `text` can be written that way.
pub(crate) fn tokens(text: &str, scheme: Scheme, separators: Separators) -> Zeroizing<Vec<String>> {
    if text.is_ascii() {
        return ascii_tokens(text, separators);
    }
    let words = split_unspaced(words(text, separators));
    Zeroizing::new(
        words
            .iter()
            .map(|word| spell(word, scheme))
            .filter(|token| !token.is_empty())
            .collect(),
    )
}

/// What the general path below makes of ASCII text, at a tenth of the cost; most text is.
fn ascii_tokens(text: &str, separators: Separators) -> Zeroizing<Vec<String>> {
    let (mut tokens, mut token) = (Zeroizing::new(Vec::new()), String::new());
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() {
            token.push(c.to_ascii_uppercase());
        } else if !is_apostrophe(c)
            && !token.is_empty()
            && (separators == Separators::Any || is_mrz_separator(c))
        {
            tokens.push(core::mem::take(&mut token));
        }
    }
    tokens
}

/// Splits into words of composed characters (NFKC), upper-cased where that is one character. Of the marks that do not
/// compose with their letter only the shadda stays, because a scheme spells it.
fn words(text: &str, separators: Separators) -> Vec<Vec<char>> {
    let (mut words, mut word) = (Vec::new(), Vec::new());
    for c in text.nfkc() {
        if is_ignorable(c) || is_apostrophe(c) {
            continue;
        }
        if canonical_combining_class(c) != 0 {
            if c == arabic::SHADDA && word.last().is_some_and(|&before| arabic::is_arabic(before)) {
                word.push(c);
            }
        } else if c.is_alphanumeric() {
            word.push(upper_one(c));
        } else if separators == Separators::Any || is_mrz_separator(c) {
            words.push(core::mem::take(&mut word));
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Chinese and Korean names are written without a space: a single word of two to four Han characters or Hangul
/// syllables is split after the surname, which has two characters only if it is one of the known compound ones.
fn split_unspaced(mut words: Vec<Vec<char>>) -> Vec<Vec<char>> {
    const COMPOUND: [&str; 20] = [
        "欧阳", "歐陽", "司马", "司馬", "上官", "诸葛", "諸葛", "皇甫", "尉迟", "尉遲", "公孙", "公孫",
        "慕容", "令狐", "司徒", "남궁", "황보", "제갈", "선우", "독고",
    ];
    let [word] = words.as_mut_slice() else {
        return words;
    };
    let unspaced = word.iter().all(|&c| is_han(c)) || word.iter().all(|&c| is_hangul(c));
    if !unspaced || !(2..=4).contains(&word.len()) {
        return words;
    }
    let is_compound = word.len() > 2
        && COMPOUND
            .iter()
            .any(|known| known.chars().eq(word[..2].iter().copied()));
    let given = word.split_off(if is_compound { 2 } else { 1 });
    words.push(given);
    words
}

/// One word in A–Z and 0–9; empty if nothing of it can be written so.
fn spell(word: &[char], scheme: Scheme) -> String {
    let mut out = String::with_capacity(word.len() + 4);
    for (index, &c) in word.iter().enumerate() {
        if c.is_ascii() {
            out.push(c);
        } else if let Some(piece) = latin::several(c) {
            out.push_str(scheme.latin.spelling(piece));
        } else if cyrillic::is_cyrillic(c) {
            cyrillic::spell(word, index, scheme.cyrillic, &mut out);
        } else if arabic::is_arabic(c) {
            arabic::spell(word, index, scheme.arabic, &mut out);
        } else if greek::is_greek(c) {
            greek::spell(word, index, &mut out);
        } else if is_hangul(c) {
            transliterate(c, &mut out);
        } else {
            decomposed(c).for_each(|base| spell_base(base, &mut out));
        }
    }
    out
}

/// A character that no scheme spells in its own way, after decomposition and upper-casing.
fn spell_base(base: char, out: &mut String) {
    match latin::one(base) {
        Some(piece) => out.push_str(piece),
        None => transliterate(base, out),
    }
}

/// What the general transliterator makes of `c`, less whatever is not a letter or digit.
fn transliterate(c: char, out: &mut String) {
    out.extend(
        any_ascii::any_ascii_char(c)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase()),
    );
}

/// The upper-cased letters and digits under a composed character, its marks and apostrophes dropped.
fn decomposed(c: char) -> impl Iterator<Item = char> {
    core::iter::once(c)
        .nfkd()
        .filter(|&d| canonical_combining_class(d) == 0 && !is_ignorable(d) && !is_apostrophe(d))
        .flat_map(char::to_uppercase)
        .filter(|d| d.is_alphanumeric())
}

/// Upper case where that is a single character; `ß` and its like are left to [`decomposed`].
fn upper_one(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

/// Characters that carry no text: joiners, soft hyphen, direction marks, variation selectors, byte order mark.
/// The zero-width non-joiner is not among them: Persian writes it where others write a space.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}' | '\u{200D}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{20DD}'..='\u{20E4}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Marks of elision and glottal stop, in names written with or without them: `D'ARTAGNAN`, `Ma'ruf`, `ʿAbd`.
fn is_apostrophe(c: char) -> bool {
    matches!(
        c,
        '\'' | '`' | '\u{2018}' | '\u{2019}' | '\u{02B9}'
            ..='\u{02C1}' | '\u{02C8}' | '\u{02EE}' | '\u{A78B}' | '\u{A78C}'
    )
}

fn is_mrz_separator(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '<' | ',' | '-' | '\u{060C}' | '\u{058A}' | '\u{05BE}' | '\u{200C}' | '\u{2010}'
                ..='\u{2015}' | '\u{2212}' | '\u{3001}' | '\u{30FB}'
        )
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{AC00}'..='\u{D7A3}')
}
