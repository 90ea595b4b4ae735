//! Free text of people: bounded, in one Unicode form, with nothing in it that cannot be seen; and how it is put into other formats.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::rule::{BAD_TEXT, Refused};

/// What a person wrote, or a value that is released: 1 to 4,096 bytes, NFC, on one line.
///
/// Refused are control characters, line separators and what reorders or hides text (bidirectional controls, tags, other invisible
/// format characters): what an officer reads before signing must be what is signed. The two joiners U+200C and U+200D stay, because
/// names in Persian and Indic scripts need them. HTML and formulas are harmless in the value itself and are escaped where it is shown.
///
/// `Debug` gives the length only. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Words(String);

impl Words {
    /// The longest text, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 4096;

    /// Takes a text and brings it into NFC. Line breaks are the caller's to replace.
    ///
    /// # Errors
    /// [`BAD_TEXT`]; whoever wrote it is to blame.
    pub fn new(text: &str) -> Result<Self, Refused> {
        // Decomposed text is at most a few times longer than its NFC; more is refused before it is worked on.
        if text.len() > 4 * Self::MAX_BYTES {
            return Err(BAD_TEXT.refused());
        }
        Self::exactly(text.nfc().collect())
    }

    fn exactly(text: String) -> Result<Self, Refused> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        let says_something = text.chars().any(|c| !c.is_whitespace() && !is_joiner(c));
        let holds = fits && says_something && is_nfc(&text) && !text.chars().any(cannot_be_seen);
        holds.then_some(Self(text)).ok_or_else(|| BAD_TEXT.refused())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

/// Whether a character hides, reorders or steers text where it is shown: controls, separators of lines, and format characters (Unicode
/// general category Cf) but the joiners.
pub fn cannot_be_seen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00AD}'
                | '\u{0600}'..='\u{0605}'
                | '\u{061C}'
                | '\u{06DD}'
                | '\u{070F}'
                | '\u{0890}'..='\u{0891}'
                | '\u{08E2}'
                | '\u{115F}'..='\u{1160}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'
                | '\u{200E}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{FFFE}'..='\u{FFFF}'
                | '\u{110BD}'
                | '\u{110CD}'
                | '\u{13430}'..='\u{1343F}'
                | '\u{1BCA0}'..='\u{1BCA3}'
                | '\u{1D173}'..='\u{1D17A}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({} bytes)", self.0.len())
    }
}

impl std::str::FromStr for Words {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        Self::new(text)
    }
}

/// Text that is not in NFC already is refused, not mended: a document is written in one way.
impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::exactly(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// One cell of a CSV file (RFC 4180), always quoted. A cell that a spreadsheet would run as a formula gets an apostrophe before it.
///
/// Formulas begin with `=`, `+`, `-` or `@`, also in their full-width forms and after blanks; a tab or carriage return can start one in
/// a neighbouring cell.
pub fn csv_cell(text: &str) -> String {
    let first = text.trim_start().chars().next();
    let formula = matches!(
        first,
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '|' | '%')
    );
    let breaks_out = text.starts_with(['\t', '\r', '\n']);
    let guard = if formula || breaks_out { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// Text for an XML or HTML element or a quoted attribute: `&`, `<`, `>`, `"` and `'` escaped.
pub fn markup(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
