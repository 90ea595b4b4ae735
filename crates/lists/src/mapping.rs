//! The mapping file of the `csv` format: which column holds what. TOML, described with an example in
//! `docs/lists.md`; unknown fields are refused.

use std::str::FromStr;

use concordat_identifiers::{DocumentClass, NameRank};
use serde::Deserialize;

/// Which columns of a separated file hold what. Read it from TOML with [`str::parse`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Between two cells. One ASCII character.
    #[serde(default = "comma")]
    pub(crate) delimiter: char,
    /// Around cells that hold the delimiter. One ASCII character.
    #[serde(default = "quote")]
    pub(crate) quote: char,
    /// A label of the WHATWG Encoding Standard: `utf-8`, `windows-1252`, `utf-16le`, `gb18030`, …
    #[serde(default = "utf_8")]
    pub(crate) encoding: String,
    /// Lines before the header.
    #[serde(default)]
    pub(crate) skip_lines: u64,
    /// Whether a row with names of columns comes first. Without one, columns are numbered from 1.
    #[serde(default = "yes")]
    pub(crate) header: bool,
    /// Between several values in one cell. None: a cell is one value.
    pub(crate) separator: Option<String>,
    /// Texts that stand for nothing.
    #[serde(default)]
    pub(crate) nulls: Vec<String>,
    /// How dates are written, tried in order: `%d.%m.%Y`, `00.%m.%Y`, `%Y`.
    #[serde(default = "iso_dates")]
    pub(crate) dates: Vec<String>,
    /// The id of a record.
    pub(crate) id: Column,
    #[serde(default)]
    pub(crate) name: Vec<NameColumns>,
    #[serde(default)]
    pub(crate) birth: Vec<OneColumn>,
    #[serde(default)]
    pub(crate) document: Vec<DocumentColumns>,
    #[serde(default)]
    pub(crate) national_id: Vec<NumberColumns>,
    #[serde(default)]
    pub(crate) biometric_reference: Vec<ReferenceColumns>,
    #[serde(default)]
    pub(crate) biometric_record_digest: Vec<DigestColumns>,
    #[serde(default)]
    pub(crate) phone: Vec<OneColumn>,
    #[serde(default)]
    pub(crate) email: Vec<OneColumn>,
    #[serde(default)]
    pub(crate) iban: Vec<OneColumn>,
    #[serde(default)]
    pub(crate) vehicle_plate: Vec<PlateColumns>,
    #[serde(default)]
    pub(crate) vin: Vec<OneColumn>,
    #[serde(default)]
    pub(crate) published: Vec<PublishedColumn>,
}

/// A mapping that cannot be used: whoever wrote the mapping file has to change it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// Not TOML, an unknown field, or a missing one.
    #[error("the mapping is not valid: {0}")]
    Toml(#[from] toml::de::Error),
    /// The delimiter or quote is no single ASCII character, or both are the same.
    #[error("the mapping's delimiter and quote must be two different ASCII characters")]
    Delimiter,
    /// The encoding has no such name.
    #[error("the mapping's encoding {0:?} is unknown; use a label of the WHATWG Encoding Standard")]
    Encoding(String),
    /// A date pattern cannot be used.
    #[error(
        "the mapping's date pattern {0:?} is not valid; use %d, %m, %Y, %y, %b or %B and plain characters"
    )]
    Date(String),
    /// The separator is empty.
    #[error("the mapping's separator is empty; leave it out if a cell holds one value")]
    Separator,
    /// A column is given by number 0.
    #[error("the mapping's columns are numbered from 1")]
    Number,
    /// A column is given by name although there is no header.
    #[error("the mapping names the column {0:?}, but has no header: give its number")]
    NoHeader(String),
    /// Nothing that can be matched is mapped.
    #[error("the mapping maps neither names nor numbers")]
    Nothing,
}

impl FromStr for Mapping {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let mapping: Self = toml::from_str(text)?;
        mapping.check()?;
        Ok(mapping)
    }
}

impl Mapping {
    fn check(&self) -> Result<(), MappingError> {
        let plain = |c: char| c.is_ascii() && !matches!(c, '\r' | '\n');
        if !plain(self.delimiter) || !plain(self.quote) || self.delimiter == self.quote {
            return Err(MappingError::Delimiter);
        }
        if encoding_rs::Encoding::for_label(self.encoding.as_bytes()).is_none() {
            return Err(MappingError::Encoding(self.encoding.clone()));
        }
        let day = jiff::civil::date(2001, 2, 3);
        if let Some(bad) = self
            .dates
            .iter()
            .find(|date| jiff::fmt::strtime::format(date, day).is_err())
        {
            return Err(MappingError::Date(bad.clone()));
        }
        if self.separator.as_ref().is_some_and(String::is_empty) {
            return Err(MappingError::Separator);
        }
        for column in self.columns() {
            match column {
                Column::Number(0) => return Err(MappingError::Number),
                Column::Name(name) if !self.header => return Err(MappingError::NoHeader(name.clone())),
                _ => {}
            }
        }
        let ones = [&self.phone, &self.email, &self.iban, &self.vin];
        let numbers = self.document.len()
            + self.national_id.len()
            + self.biometric_reference.len()
            + self.biometric_record_digest.len()
            + self.vehicle_plate.len();
        if self.name.is_empty() && numbers == 0 && ones.iter().all(|columns| columns.is_empty()) {
            return Err(MappingError::Nothing);
        }
        Ok(())
    }

    /// Every column that is mapped.
    pub(crate) fn columns(&self) -> Vec<&Column> {
        let mut columns = vec![&self.id];
        for name in &self.name {
            match name {
                NameColumns::Parts { family, given, .. } => {
                    columns.push(family);
                    columns.extend(given);
                }
                NameColumns::Whole { whole, .. } => columns.push(whole),
            }
        }
        for ones in [&self.birth, &self.phone, &self.email, &self.iban, &self.vin] {
            columns.extend(ones.iter().map(|one| &one.column));
        }
        columns.extend(
            self.document
                .iter()
                .flat_map(|document| [Some(&document.number), document.issuer.as_ref()])
                .flatten(),
        );
        columns.extend(
            self.national_id
                .iter()
                .flat_map(|id| [Some(&id.number), id.country.as_ref()])
                .flatten(),
        );
        columns.extend(
            self.biometric_reference
                .iter()
                .flat_map(|reference| [&reference.system, &reference.number]),
        );
        columns.extend(
            self.biometric_record_digest
                .iter()
                .flat_map(|digest| [&digest.algorithm, &digest.hex]),
        );
        columns.extend(
            self.vehicle_plate
                .iter()
                .flat_map(|plate| [&plate.country, &plate.plate]),
        );
        columns.extend(self.published.iter().map(|published| &published.column));
        columns
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Column {
    /// A column by the name in the header.
    Name(String),
    /// A column by number, from 1.
    Number(usize),
    /// The same value in each record: `{ constant = "DEU" }`.
    Constant(Constant),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Constant {
    pub(crate) constant: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneColumn {
    pub(crate) column: Column,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum NameColumns {
    /// Family name and given names in columns of their own.
    Parts {
        family: Column,
        #[serde(default)]
        given: Vec<Column>,
        #[serde(default = "primary")]
        rank: NameRank,
    },
    /// A whole name, `FAMILY, Given` or not taken apart.
    Whole {
        whole: Column,
        #[serde(default = "primary")]
        rank: NameRank,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentColumns {
    pub(crate) class: DocumentClass,
    pub(crate) number: Column,
    pub(crate) issuer: Option<Column>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NumberColumns {
    pub(crate) number: Column,
    pub(crate) country: Option<Column>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReferenceColumns {
    pub(crate) system: Column,
    pub(crate) number: Column,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestColumns {
    pub(crate) algorithm: Column,
    pub(crate) hex: Column,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlateColumns {
    pub(crate) country: Column,
    pub(crate) plate: Column,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedColumn {
    pub(crate) name: String,
    pub(crate) column: Column,
}

fn comma() -> char {
    ','
}

fn quote() -> char {
    '"'
}

fn utf_8() -> String {
    "utf-8".to_owned()
}

fn yes() -> bool {
    true
}

fn primary() -> NameRank {
    NameRank::Primary
}

fn iso_dates() -> Vec<String> {
    ["%Y-%m-%d", "%Y-%m", "%Y"].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| text.parse::<Mapping>().unwrap_err().to_string();
        assert!(error("id = 'a'").contains("neither names nor numbers"));
        assert!(error("id = 'a'\nname = [{ whole = 'b' }]\ntypo = 1").contains("typo"));
        assert!(error("id = 'a'\ndelimiter = '\"'\nname = [{ whole = 'b' }]").contains("delimiter"));
        assert!(error("id = 'a'\nencoding = 'ebcdic'\nname = [{ whole = 'b' }]").contains("ebcdic"));
        assert!(error("id = 'a'\ndates = ['%Q!']\nname = [{ whole = 'b' }]").contains("%Q!"));
        assert!(error("id = 'a'\nseparator = ''\nname = [{ whole = 'b' }]").contains("separator"));
        assert!(error("id = 0\nname = [{ whole = 'b' }]").contains("from 1"));
        assert!(error("id = 1\nheader = false\nname = [{ whole = 'b' }]").contains("give its number"));
        assert!(error("name = [{ whole = 'b' }]").contains("id"));
    }
}
