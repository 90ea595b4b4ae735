//! Reading border messages and records on this side.

use std::path::Path;

use anyhow::{Context, Result};
use concordat_lists::{Format, Input, Options, Reader};
use jiff::civil::Date;

/// Reads a file, or stdin for `-`.
///
/// # Errors
/// It cannot be opened, or is of another format.
pub fn read(format: Format, file: &Path) -> Result<Reader> {
    let inputs = if file.as_os_str() == "-" {
        vec![Input::new("stdin", std::io::stdin())]
    } else {
        Input::at(format, file).with_context(|| file.display().to_string())?
    };
    Ok(concordat_lists::open(format, inputs, &Options::new(today()))?)
}

/// Today in UTC, as the node counts days.
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
