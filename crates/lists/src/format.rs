//! The formats, by name.

use std::fmt;
use std::str::FromStr;

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Format {
    /// `ofac-sdn`: the OFAC set of CSV files `sdn`, `alt`, `add` and `sdn_comments` (or `cons_…`).
    OfacSdn,
    /// `un-sc`: the UN Security Council consolidated list, XML.
    UnSc,
    /// `uk-ofsi`: the UK consolidated list, CSV, 29 or 36 columns.
    UkOfsi,
    /// `ftm`: FollowTheMoney entities, one JSON object per line, as OpenSanctions publishes them.
    Ftm,
    /// `jsonl`: our own records, one JSON object per line.
    Jsonl,
    /// `csv`: any separated file, described by a [`crate::Mapping`].
    Csv,
    /// `mrz`: machine-readable zones, a query format.
    Mrz,
    /// `paxlst`: UN/EDIFACT passenger list messages, a query format.
    Paxlst,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::OfacSdn,
        Self::UnSc,
        Self::UkOfsi,
        Self::Ftm,
        Self::Jsonl,
        Self::Csv,
        Self::Mrz,
        Self::Paxlst,
    ];

    /// The name used in configuration, on the command line and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::OfacSdn => "ofac-sdn",
            Self::UnSc => "un-sc",
            Self::UkOfsi => "uk-ofsi",
            Self::Ftm => "ftm",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Mrz => "mrz",
            Self::Paxlst => "paxlst",
        }
    }

    /// Whether entries of this format are people to ask about (documents at a border, passengers), numbered by
    /// their place in the input, rather than a list whose entries carry ids of their own.
    pub fn is_query(self) -> bool {
        matches!(self, Self::Mrz | Self::Paxlst)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The caller named a format that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown list format: use one of ofac-sdn, un-sc, uk-ofsi, ftm, jsonl, csv, mrz, paxlst")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or(UnknownFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_the_error_lists_them_all() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert!(UnknownFormat.to_string().contains(format.name()));
        }
        assert_eq!("OFAC".parse::<Format>(), Err(UnknownFormat));
    }
}
