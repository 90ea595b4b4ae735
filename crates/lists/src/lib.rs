//! Watchlists and border messages in: bytes → [`Entry`] or [`Reject`], as a stream in bounded memory.
//!
//! [`open`] is the only door: a node's import, the command line and the fuzz targets all use it. It reads the lists
//! that OFAC, the United Nations and the United Kingdom publish, FollowTheMoney, our own JSON lines, any CSV with
//! a mapping file, and two query formats: machine-readable zones and UN/EDIFACT `PAXLST` messages. Each may be
//! compressed with gzip. What each format yields is written down in `docs/lists.md`.
//!
//! Three promises:
//!
//! - **Nothing is dropped silently.** Each record becomes an entry, a [`Reject`], or a counted skip of a thing that
//!   is no person ([`Summary::skipped`]). A field that cannot be read is a reject of that field; its entry stays.
//! - **Memory is bounded**, whatever the input: records, texts, nesting, decompression ratio and total size have
//!   [`Limits`]; formats that must bring lines of one entry together sort them, on disk when they outgrow
//!   [`Limits::sort_bytes`].
//! - **No identifier leaves by a side door.** Rejects and errors name the input, the line, the field and the rule,
//!   never the value. `Debug` of an entry shows its line and nothing else.
//!
//! Text is passed on as its publisher wrote it; normalisation belongs to `concordat_identifiers::derive`.

mod csv_rows;
mod dates;
mod documents;
mod draft;
mod entry;
mod error;
mod format;
mod formats;
mod input;
mod mapping;
mod options;
mod reader;
mod reject;
mod sealed;
mod sorter;

pub use entry::{Entry, Item, Published};
pub use error::Error;
pub use format::{Format, UnknownFormat};
pub use input::{Input, Progress};
pub use mapping::{Mapping, MappingError};
pub use options::{Limits, Options, Spill};
pub use reader::{Reader, Summary, open};
pub use reject::{Lost, Reject, Rule, SourceId};
