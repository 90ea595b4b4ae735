//! What a caller may set.

use std::fmt;
use std::path::PathBuf;

use jiff::civil::Date;
use zeroize::Zeroizing;

use crate::Mapping;

/// Settings of one reading.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Today's date, for dates written with a two-digit year: nobody is born after it.
    pub today: Date,
    /// The columns of a `csv` list. Required by that format, unused by the others.
    pub mapping: Option<Mapping>,
    /// Bounds on memory and size.
    pub limits: Limits,
    /// Where lines are sorted when they outgrow [`Limits::sort_bytes`]. Unset, such a list ends with an error.
    pub spill: Option<Spill>,
}

/// A place on disk for lines that are being sorted, and the key they are sealed under there.
#[derive(Clone)]
pub struct Spill {
    /// The folder. The files have no name and vanish when closed.
    pub folder: PathBuf,
    /// A fresh random key for each reading: nonces are counted from zero. It is wiped when dropped and lies nowhere
    /// else, so that nobody can read what a file system may have kept of the files.
    pub key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Spill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spill")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Default settings.
    pub fn new(today: Date) -> Self {
        Self {
            today,
            mapping: None,
            limits: Limits::default(),
            spill: None,
        }
    }

    /// The same settings with a place on disk for large lists.
    #[must_use]
    pub fn with_spill(self, spill: Spill) -> Self {
        Self {
            spill: Some(spill),
            ..self
        }
    }

    /// The same settings with a mapping for `csv`.
    #[must_use]
    pub fn with_mapping(self, mapping: Mapping) -> Self {
        Self {
            mapping: Some(mapping),
            ..self
        }
    }

    /// The same settings with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// Bounds, each checked before memory is taken. Sizes are in bytes, after decompression unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of one input, decompressed. Larger ones end with an error. Default 64 GiB.
    pub input_bytes: u64,
    /// How many times larger than its compressed form an input may get, once it has given 16 MiB. Default 200;
    /// real lists stay under 40.
    pub inflate_ratio: u32,
    /// Size of one record: a line, a CSV row with all its cells, an XML element, an EDIFACT segment. Larger ones
    /// end with an error, because the start of the next record cannot be trusted. Default 1 MiB.
    pub record_bytes: usize,
    /// Size of one text: a CSV cell, the text of an XML element. A record with a longer one is rejected.
    /// Default 64 KiB.
    pub text_bytes: usize,
    /// Nesting of XML elements. Deeper input ends with an error. Default 32.
    pub depth: usize,
    /// Size of all lines of one entry, where a format spreads it over many (`ofac-sdn`, `uk-ofsi`, `ftm`).
    /// Larger entries are rejected. Default 8 MiB.
    pub entry_bytes: usize,
    /// Memory for sorting such lines before they are sorted on disk ([`Options::spill`]). Default 64 MiB.
    pub sort_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 64 << 30,
            inflate_ratio: 200,
            record_bytes: 1 << 20,
            text_bytes: 64 << 10,
            depth: 32,
            entry_bytes: 8 << 20,
            sort_bytes: 64 << 20,
        }
    }
}
