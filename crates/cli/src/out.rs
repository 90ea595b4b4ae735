//! What goes to stdout: text for people, or one JSON object per line.

use std::fmt::Display;
use std::io::{self, Write};

use serde_json::Value;

/// Standard output in the form the caller asked for. Progress and errors never come here.
#[derive(Clone, Copy)]
pub struct Out {
    /// `--json` was given.
    pub json: bool,
}

impl Out {
    /// Writes one result: `value` as a line of JSON, or `text` for people.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn result(self, value: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.json {
            print(value())
        } else {
            print(text().trim_end_matches('\n'))
        }
    }

    /// Writes one line for people; nothing with `--json`.
    ///
    /// # Errors
    /// As [`Out::result`].
    pub fn text(self, text: impl Display) -> io::Result<()> {
        if self.json {
            Ok(())
        } else {
            print(text.to_string().trim_end())
        }
    }
}

/// Writes a line, whatever the form.
///
/// # Errors
/// As [`Out::result`].
pub fn print(line: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Tells a person how far we are. On stderr, whatever the form.
pub fn note(line: impl Display) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Rows of text in aligned columns.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(String::from).to_vec()],
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line += &format!("{cell:<width$}  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A count with thousands separated: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size for people: `3.4 MB`.
pub fn bytes(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let size = number as f64;
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", size / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size / 1e6),
        _ => format!("{:.2} GB", size / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1_500, 2_500_000, 3_000_000_000].map(bytes),
            ["0 B", "1.5 kB", "2.5 MB", "3.00 GB"]
        );
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["A", "LONG"]);
        table.row(["eè".into(), "x".into()]);
        table.row(["1".into(), String::new()]);
        assert_eq!(table.to_string(), "A   LONG\neè  x\n1\n");
    }
}
