//! Machine-readable zones of travel documents: ICAO Doc 9303 parts 3 to 7.
//!
//! [`parse`] reads TD1, TD2, TD3, MRV-A and MRV-B, verifies every check digit, and says which character of which field
//! is wrong. What it accepts beyond the letter of Doc 9303, because documents in use have it: `0` or `<` as the check
//! digit of an empty field, `00` as an unknown month or day, a name without a primary identifier, and the check digit of
//! a long document number computed with or without the filler that announces it.

mod date;
mod layout;

use core::fmt;

use jiff::civil::Date;

use crate::subject::{BirthDate, Document, DocumentClass, Name, NameRank, NameText, Subject};
pub use layout::Format;
use layout::{Layout, Span};

/// What a machine-readable zone says. `Debug` shows the format only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mrz {
    /// Size and kind of the document.
    pub format: Format,
    /// Document code, one or two letters: `P`, `ID`, `V`.
    pub document_code: String,
    /// Issuing state or organisation as printed, without fillers (`D` for Germany); empty if none is.
    pub issuer: String,
    /// Document number, complete: a long number with its continuation. Never empty.
    pub number: String,
    /// Primary identifier, components separated by a space. Never empty.
    pub primary: String,
    /// Secondary identifier, components separated by a space; empty if there is none. Long names are cut by the issuer.
    pub secondary: String,
    /// Nationality as printed, without fillers.
    pub nationality: String,
    /// Date of birth as far as it is known. The century is the latest in which nobody is born after `today`.
    pub birth: Option<BirthDate>,
    /// Whether the holder might have been born a hundred years before `birth` (and be at most 115 years old).
    pub birth_century_is_ambiguous: bool,
    /// Sex as printed.
    pub sex: Sex,
    /// Date of expiry as printed: six digits or fillers.
    pub expiry: String,
    /// Date of expiry if it is complete, between 69 years before and 30 years after `today`.
    pub expiry_date: Option<Date>,
    /// Optional data, without trailing fillers, at the issuer's discretion (TD3: personal number). Two fields on TD1.
    pub optional: Vec<String>,
}

/// Sex as a machine-readable zone has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sex {
    /// `F`
    Female,
    /// `M`
    Male,
    /// `<`, or `X` on documents that print it.
    Unspecified,
}

/// A field of a machine-readable zone, in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// Document code.
    DocumentCode,
    /// Document number.
    DocumentNumber,
    /// Names of the holder.
    Names,
    /// Date of birth.
    BirthDate,
    /// Sex.
    Sex,
    /// Date of expiry.
    ExpiryDate,
    /// Personal number or other optional data.
    Optional,
    /// The check digit over the other fields.
    Composite,
}

/// One check digit that does not fit its field. Lines and positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongDigit {
    /// The field it checks.
    pub field: Field,
    /// Line of the check digit.
    pub line: usize,
    /// Position of the check digit in its line.
    pub position: usize,
    /// The digit that the field's characters make.
    pub expected: char,
    /// The character that was read.
    pub found: char,
}

/// Why a text is no machine-readable zone. Lines and positions count from 1. Nothing of the text is repeated but check
/// digits, which show ten possibilities for a field at most.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MrzError {
    /// The caller: not the shape of any format.
    #[error(
        "not a machine-readable zone: it has 2 lines of 44 or 36 characters or 3 lines of 30, this has lines of {widths:?}"
    )]
    Shape {
        /// Length of each line that is not empty, at most the first ten.
        widths: Vec<usize>,
    },
    /// The reader: a character outside A–Z, 0–9 and `<`, or one its field cannot have.
    #[error("{} line of the zone, position {position}: the {field} cannot hold this character, read it again", nth(*.line))]
    Character {
        /// The field.
        field: Field,
        /// Line.
        line: usize,
        /// Position.
        position: usize,
    },
    /// The reader: a character outside A–Z, 0–9 and `<`.
    #[error("{} line of the zone, position {position}: only A-Z, 0-9 and < can stand here, read it again", nth(*.line))]
    Alphabet {
        /// Line.
        line: usize,
        /// Position.
        position: usize,
    },
    /// The reader: check digits that do not fit. Never empty.
    #[error("{}; read the field again", list(.0))]
    CheckDigits(Vec<WrongDigit>),
    /// The document or its reader: the check digit fits, and yet there is no such date.
    #[error("{} line of the zone: the {field} is no date, or one that cannot be", nth(*.line))]
    Date {
        /// Which date.
        field: Field,
        /// Line.
        line: usize,
    },
    /// The document or its reader: a field that may not be empty is.
    #[error("{} line of the zone: the {field} is missing", nth(*.line))]
    Missing {
        /// Which field.
        field: Field,
        /// Line.
        line: usize,
    },
}

/// Reads a machine-readable zone: its lines, or all lines in one. Blank lines and space around a line are skipped,
/// lower case is read as upper case. `today` decides the century of two-digit years.
///
/// # Errors
/// [`MrzError`], naming the field and the position to read again.
pub fn parse(text: &str, today: Date) -> Result<Mrz, MrzError> {
    let lines = lines(text)?;
    let layout = layout::of(&lines);
    let zone = Zone {
        lines: &lines,
        layout,
    };
    zone.check_alphabet()?;
    let number = zone.check_digits()?;
    zone.read(number, today)
}

/// The check digit of Doc 9303-3 §4.9: weights 7, 3, 1; digits count as themselves, A–Z as 10 to 35, anything else as 0.
pub fn check_digit(field: &str) -> char {
    let sum: u32 = field
        .chars()
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(c, w)| c.to_digit(36).unwrap_or(0) * w)
        .sum();
    char::from_digit(sum % 10, 10).unwrap_or('0')
}

impl Mrz {
    /// The holder and the document, ready for [`crate::derive()`]. Sex, nationality, expiry and optional data are no
    /// identifiers and stay out.
    pub fn subject(&self) -> Subject {
        let class = match self.document_code.as_bytes().first() {
            Some(b'P') => DocumentClass::Passport,
            Some(b'V') => DocumentClass::Visa,
            Some(b'A' | b'C' | b'I') => DocumentClass::IdentityCard,
            _ => DocumentClass::Other,
        };
        let text = NameText::Parts {
            primary: self.primary.clone(),
            secondary: self.secondary.clone(),
        };
        let issuer = Some(self.issuer.clone()).filter(|issuer| !issuer.is_empty());
        Subject {
            names: vec![Name {
                rank: NameRank::Primary,
                text,
            }],
            births: self.birth.into_iter().collect(),
            documents: vec![Document {
                class,
                number: self.number.clone(),
                issuer,
            }],
            others: Vec::new(),
        }
    }
}

/// The lines of a zone in upper case, all of one width that some format has.
fn lines(text: &str) -> Result<Vec<String>, MrzError> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.trim().to_ascii_uppercase())
        .filter(|line| !line.is_empty())
        .take(10)
        .collect();
    let width = |line: &String| line.chars().count();
    if let [only] = lines.as_slice() {
        let parts = match width(only) {
            90 => 30,
            88 => 44,
            72 => 36,
            other => return Err(MrzError::Shape { widths: vec![other] }),
        };
        let all: Vec<char> = only.chars().collect();
        lines = all.chunks(parts).map(|line| line.iter().collect()).collect();
    }
    let widths: Vec<usize> = lines.iter().map(width).collect();
    match widths.as_slice() {
        [44, 44] | [36, 36] | [30, 30, 30] => Ok(lines),
        _ => Err(MrzError::Shape { widths }),
    }
}

struct Zone<'a> {
    lines: &'a [String],
    layout: &'static Layout,
}

impl Zone<'_> {
    fn text(&self, span: Span) -> &str {
        self.lines[span.line]
            .get(span.start..span.start + span.length)
            .unwrap_or_default()
    }

    fn check_alphabet(&self) -> Result<(), MrzError> {
        for (line, text) in self.lines.iter().enumerate() {
            let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '<';
            if let Some(position) = text.chars().position(|c| !allowed(c)) {
                return Err(MrzError::Alphabet {
                    line: line + 1,
                    position: position + 1,
                });
            }
        }
        Ok(())
    }

    /// Verifies every check digit, and returns the complete document number.
    fn check_digits(&self) -> Result<String, MrzError> {
        let mut wrong = Vec::new();
        let number = self.check_number(&mut wrong);
        let layout = self.layout;
        self.check(Field::BirthDate, &[layout.birth], layout.birth.next(), &mut wrong);
        self.check(
            Field::ExpiryDate,
            &[layout.expiry],
            layout.expiry.next(),
            &mut wrong,
        );
        if layout.format == Format::Td3 {
            self.check(
                Field::Optional,
                layout.optional,
                layout.optional[0].next(),
                &mut wrong,
            );
        }
        if let Some(check) = layout.composite_check {
            self.check(Field::Composite, layout.composite, check, &mut wrong);
        }
        if wrong.is_empty() {
            Ok(number)
        } else {
            Err(MrzError::CheckDigits(wrong))
        }
    }

    fn check_number(&self, wrong: &mut Vec<WrongDigit>) -> String {
        let number = self.layout.number;
        let continuation = self
            .layout
            .long_number
            .map(|span| self.text(span))
            .unwrap_or_default();
        let continuation = continuation.split('<').next().unwrap_or_default();
        // A filler in the place of the check digit says that the number goes on in the optional data, to the first
        // filler, its last character being the check digit (Doc 9303-5 §4.2.2.1 note j, 9303-6 likewise).
        if self.text(number.next()) == "<" && continuation.len() > 1 {
            let (rest, found) = continuation.split_at(continuation.len() - 1);
            let complete = format!("{}{rest}", self.text(number));
            let expected = check_digit(&complete);
            let with_filler = check_digit(&format!("{}<{rest}", self.text(number)));
            if !found.starts_with([expected, with_filler])
                && let Some(span) = self.layout.long_number
            {
                wrong.push(WrongDigit {
                    field: Field::DocumentNumber,
                    line: span.line + 1,
                    position: span.start + continuation.len(),
                    expected,
                    found: found.chars().next().unwrap_or('<'),
                });
            }
            return complete;
        }
        self.check(Field::DocumentNumber, &[number], number.next(), wrong);
        self.text(number).replace('<', "")
    }

    fn check(&self, field: Field, spans: &[Span], check: Span, wrong: &mut Vec<WrongDigit>) {
        let checked: String = spans.iter().map(|&span| self.text(span)).collect();
        let expected = check_digit(&checked);
        let found = self.text(check).chars().next().unwrap_or('<');
        let is_empty = checked.bytes().all(|b| b == b'<');
        if found != expected && !(is_empty && found == '<') {
            wrong.push(WrongDigit {
                field,
                line: check.line + 1,
                position: check.start + 1,
                expected,
                found,
            });
        }
    }

    fn read(&self, number: String, today: Date) -> Result<Mrz, MrzError> {
        let layout = self.layout;
        let trimmed = |span| self.text(span).trim_end_matches('<').to_owned();
        let document_code = trimmed(layout::DOCUMENT_CODE);
        if !document_code.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Err(MrzError::Missing {
                field: Field::DocumentCode,
                line: 1,
            });
        }
        if number.is_empty() {
            return Err(MrzError::Missing {
                field: Field::DocumentNumber,
                line: layout.number.line + 1,
            });
        }
        let (primary, secondary) = self.names()?;
        let birth_error = MrzError::Date {
            field: Field::BirthDate,
            line: layout.birth.line + 1,
        };
        let birth = date::birth(self.text(layout.birth), today).map_err(|_| birth_error)?;
        let expiry_error = MrzError::Date {
            field: Field::ExpiryDate,
            line: layout.expiry.line + 1,
        };
        let expiry_date = date::expiry(self.text(layout.expiry), today).map_err(|_| expiry_error.clone())?;
        if let (Some(born), Some(expiry)) = (date::earliest(birth), expiry_date)
            && expiry < born
        {
            return Err(expiry_error);
        }
        Ok(Mrz {
            format: layout.format,
            document_code,
            issuer: trimmed(layout::ISSUER),
            number,
            primary,
            secondary,
            nationality: trimmed(layout.nationality),
            birth_century_is_ambiguous: date::century_is_ambiguous(birth, today),
            birth,
            sex: self.sex()?,
            expiry: self.text(layout.expiry).to_owned(),
            expiry_date,
            optional: layout.optional.iter().map(|&span| trimmed(span)).collect(),
        })
    }

    /// Primary and secondary identifier, fillers as spaces.
    fn names(&self) -> Result<(String, String), MrzError> {
        let span = self.layout.names;
        let names = self.text(span);
        if let Some(digit) = names.find(|c: char| c.is_ascii_digit()) {
            let position = span.start + digit + 1;
            return Err(MrzError::Character {
                field: Field::Names,
                line: span.line + 1,
                position,
            });
        }
        let (primary, secondary) = names.split_once("<<").unwrap_or((names, ""));
        let spaced = |part: &str| {
            part.split('<')
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        };
        match (spaced(primary), spaced(secondary)) {
            (primary, secondary) if primary.is_empty() && secondary.is_empty() => Err(MrzError::Missing {
                field: Field::Names,
                line: span.line + 1,
            }),
            (primary, secondary) if primary.is_empty() => Ok((secondary, primary)),
            parts => Ok(parts),
        }
    }

    fn sex(&self) -> Result<Sex, MrzError> {
        let span = self.layout.sex;
        match self.text(span) {
            "F" => Ok(Sex::Female),
            "M" => Ok(Sex::Male),
            "<" | "X" => Ok(Sex::Unspecified),
            _ => Err(MrzError::Character {
                field: Field::Sex,
                line: span.line + 1,
                position: span.start + 1,
            }),
        }
    }
}

fn list(wrong: &[WrongDigit]) -> String {
    wrong
        .iter()
        .map(WrongDigit::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Of a zone, which may stand anywhere in a file whose lines are counted too.
fn nth(line: usize) -> &'static str {
    match line {
        1 => "first",
        2 => "second",
        _ => "third",
    }
}

impl fmt::Display for WrongDigit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            line,
            position,
            expected,
            found,
        } = self;
        write!(
            f,
            "{} line of the zone, position {position}: the check digit of the {field} is {found}, it should be {expected}",
            nth(*line)
        )
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DocumentCode => "document code",
            Self::DocumentNumber => "document number",
            Self::Names => "name",
            Self::BirthDate => "date of birth",
            Self::Sex => "sex",
            Self::ExpiryDate => "date of expiry",
            Self::Optional => "personal number",
            Self::Composite => "whole zone",
        })
    }
}

impl fmt::Debug for Mrz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mrz({:?}, redacted)", self.format)
    }
}
