//! Reading border messages and records on this side.

use std::path::Path;

use anyhow::{Context, Result};
use concordat_lists::{Format, Input, Options, Reader, Spill};
use jiff::civil::Date;

/// Reads a file, or stdin for `-`.
///
/// # Errors
/// It cannot be opened, or is of another format.
pub fn read(format: Format, file: &Path) -> Result<Reader> {
    read_on(today(), format, file)
}

/// Reads it as it is read on this day: years of two digits depend on it.
///
/// # Errors
/// It cannot be opened, or is of another format.
pub fn read_on(today: Date, format: Format, file: &Path) -> Result<Reader> {
    let inputs = if file.as_os_str() == "-" {
        vec![Input::new("stdin", std::io::stdin())]
    } else {
        Input::at(format, file).with_context(|| file.display().to_string())?
    };
    let spill = Spill {
        folder: std::env::temp_dir(),
        key: rand::random::<[u8; 32]>().into(),
    };
    let options = Options::new(today).with_spill(spill);
    Ok(concordat_lists::open(format, inputs, &options)?)
}

/// Today in UTC, as the node counts days.
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
