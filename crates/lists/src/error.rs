//! Why a whole input cannot be read.

use std::io;

use crate::Format;

/// The end of a reading: nothing more comes after it. Records before it were good; a transaction around the import
/// decides what becomes of them. Never holds a value of the list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller gave no input.
    #[error("no input was given")]
    NoInput,
    /// The caller gave a second input to a format that takes one.
    #[error("{format} takes one input; remove {name:?} or import it separately")]
    ExtraInput {
        /// The format.
        format: Format,
        /// Name of the second input.
        name: String,
    },
    /// The caller gave an input whose name is not one of the set's.
    #[error("{name:?} is none of the files of {format}: {expected}")]
    UnknownPart {
        /// The format.
        format: Format,
        /// Name of the input.
        name: String,
        /// The names that exist.
        expected: &'static str,
    },
    /// The caller left out an input without which the set cannot be read.
    #[error("{format} needs {missing}")]
    MissingPart {
        /// The format.
        format: Format,
        /// What is missing.
        missing: &'static str,
    },
    /// The caller gave no mapping for `csv`.
    #[error("the csv format needs a mapping file that names its columns")]
    NoMapping,
    /// The caller's mapping names a column that the file does not have.
    #[error("{input}: the mapping names the column {column:?}, which the header does not have")]
    MissingColumn {
        /// Name of the input.
        input: String,
        /// The column as the mapping names it.
        column: String,
    },
    /// The input is something else than the format says.
    #[error("{input}: this is not {format}: {why}")]
    WrongFormat {
        /// Name of the input.
        input: String,
        /// The format it was said to be.
        format: Format,
        /// What was expected and what was found instead.
        why: String,
    },
    /// The input stops in the middle: fetch or copy it again.
    #[error("{input}: the input ends in the middle (line {line}); it was cut off, fetch it again")]
    Truncated {
        /// Name of the input.
        input: String,
        /// The last line that was read.
        line: u64,
    },
    /// The compressed bytes are damaged: fetch or copy it again.
    #[error("{input}: the gzip data is damaged after line {line}; fetch it again")]
    CorruptGzip {
        /// Name of the input.
        input: String,
        /// The last line that was read.
        line: u64,
    },
    /// The markup or syntax is broken in a way that hides where the next record starts.
    #[error("{input}, line {line}: {what}")]
    Syntax {
        /// Name of the input.
        input: String,
        /// Line of it.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A control count of a message differs from what was received: something was lost or added on the way.
    #[error(
        "{input}, line {line}: {segment} declares {expected} {what}, {found} were received; have the message sent again"
    )]
    Count {
        /// Name of the input.
        input: String,
        /// Line of the segment.
        line: u64,
        /// The segment with the count: `UNT`, `UNE`, `UNZ`, `CNT+41` or `CNT+42`.
        segment: &'static str,
        /// What it counts.
        what: &'static str,
        /// As the segment says.
        expected: u64,
        /// As received.
        found: u64,
    },
    /// Something that a list never needs and an attacker does: refused before it can cost anything.
    #[error("{input}, line {line}: refused, {what}")]
    Refused {
        /// Name of the input.
        input: String,
        /// Line of it.
        line: u64,
        /// What was found.
        what: &'static str,
    },
    /// A record is larger than [`crate::Limits::record_bytes`].
    #[error(
        "{input}: the record at line {line} is larger than {limit} bytes; a quote or a closing tag may be missing"
    )]
    RecordTooLarge {
        /// Name of the input.
        input: String,
        /// Line where the record starts.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// The input is larger than [`crate::Limits::input_bytes`].
    #[error("{input}: the input is larger than {limit} bytes; raise the limit if that is right")]
    InputTooLarge {
        /// Name of the input.
        input: String,
        /// The limit.
        limit: u64,
    },
    /// The input grows more than [`crate::Limits::inflate_ratio`] when decompressed.
    #[error("{input}: refused, it grows more than {ratio} times when decompressed")]
    Bomb {
        /// Name of the input.
        input: String,
        /// The limit.
        ratio: u32,
    },
    /// The input could not be read from its disk or network.
    #[error("{input}: cannot be read")]
    Io {
        /// Name of the input.
        input: String,
        /// Why.
        source: io::Error,
    },
    /// The temporary file for sorting could not be used.
    #[error("the temporary file for sorting cannot be used: {}", .0.kind())]
    Sort(#[source] io::Error),
}
