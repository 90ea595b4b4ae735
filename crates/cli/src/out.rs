//! What goes to stdout: text for people, or one JSON object per line.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use concordat_disclosure::text::cannot_be_seen;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::exit::Advice;

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

    /// Writes the line that ends an answer, for people: with `--json` on stderr, so that an empty answer says that it is one.
    ///
    /// # Errors
    /// As [`Out::result`].
    pub fn ending(self, text: impl Display) -> io::Result<()> {
        if self.json {
            note(text);
            Ok(())
        } else {
            self.text(text)
        }
    }
}

/// Writes a line, whatever the form.
///
/// # Errors
/// As [`Out::result`].
pub fn print(line: impl Display) -> io::Result<()> {
    Stdout.write_all(visible(format!("{line}\n")).as_bytes())?;
    Stdout.flush()
}

/// Text as people may be shown it, whoever wrote it: what steers a terminal, or cannot be seen on one, as JSON escapes it. So a line of
/// JSON stays one that says the same. Line feeds and tabs stay, for lines are made of them.
fn visible(text: String) -> String {
    let is_hidden = |c: char| cannot_be_seen(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_hidden) {
        return text;
    }
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                visible += &format!("\\u{unit:04x}");
            }
        } else {
            visible.push(c);
        }
    }
    visible
}

/// Standard output. Its errors are marked, so that whoever reports them knows them from those of files and sockets.
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes).map_err(of_stdout)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush().map_err(of_stdout)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("writing to standard output: {0}")]
struct OfStdout(io::Error);

/// Marks an error as one of standard output.
pub fn of_stdout(error: io::Error) -> io::Error {
    match error.kind() {
        // Whoever writes tries again: not an error yet.
        io::ErrorKind::Interrupted => error,
        kind => io::Error::new(kind, OfStdout(error)),
    }
}

/// Whether [`of_stdout`] marked it.
pub fn is_stdout(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<OfStdout>())
}

/// A file to write results to. It is opened before the work begins, so that a path that cannot be written is told at
/// once, and takes its place when the work is done: a failure leaves nothing behind.
pub struct OutFile {
    path: PathBuf,
    target: Target,
    /// Whether an older file of that name may go.
    replaces: bool,
}

enum Target {
    /// Takes the place of `path` at the end.
    Beside(NamedTempFile),
    /// A terminal, a pipe: there is nothing to keep.
    Direct(File),
}

impl OutFile {
    /// Opens a new file. A terminal or a pipe that is there already is written to.
    ///
    /// # Errors
    /// A file of that name is there already, or its folder is not, or cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        if path.is_file() {
            return Err(exists(path));
        }
        Self::open(path, false)
    }

    /// Opens a file that takes the place of an older one: for a command that goes on with what it has read there.
    ///
    /// # Errors
    /// Its folder does not exist, or cannot be written.
    pub fn replace(path: &Path) -> Result<Self> {
        Self::open(path, true)
    }

    fn open(path: &Path, replaces: bool) -> Result<Self> {
        let open = || -> io::Result<Target> {
            // Through a link to where the file is, so that the link stays one.
            let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            match std::fs::metadata(&place) {
                Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
                Ok(there) if !there.is_file() => {
                    Ok(Target::Direct(File::options().write(true).open(&place)?))
                }
                known => {
                    let folder = match place.parent() {
                        Some(folder) if !folder.as_os_str().is_empty() => folder,
                        _ => Path::new("."),
                    };
                    std::fs::metadata(folder)?;
                    let mut builder = tempfile::Builder::new();
                    // Its own permissions, or what the umask leaves of these, as for any new file.
                    let new = std::os::unix::fs::PermissionsExt::from_mode(0o666);
                    let file = builder
                        .permissions(known.as_ref().map_or(new, std::fs::Metadata::permissions))
                        .prefix(".concordat-")
                        .tempfile_in(folder)
                        // The name of the temporary file means nothing to anybody.
                        .map_err(|error| io::Error::from(error.kind()))?;
                    if known.is_ok() {
                        // A file that we may not write is not replaced either.
                        File::options().append(true).open(&place)?;
                    }
                    Ok(Target::Beside(file))
                }
            }
        };
        let target = open().with_context(|| path.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            target,
            replaces,
        })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// It cannot be written to its end, or not be put there.
    pub fn finish(self) -> Result<()> {
        let place = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let finished = match self.target {
            Target::Beside(file) if self.replaces => {
                file.persist(place).map(drop).map_err(|error| error.error)
            }
            Target::Beside(file) => match file.persist_noclobber(place) {
                // Somebody else was faster.
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(exists(&self.path));
                }
                ended => ended.map(drop).map_err(|error| error.error),
            },
            Target::Direct(mut file) => file.flush(),
        };
        finished.with_context(|| self.path.display().to_string())
    }
}

fn exists(path: &Path) -> anyhow::Error {
    Advice::error(
        format!("{} exists already", path.display()),
        "choose another name, or remove it first: no result is written over another",
    )
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Beside(file) => file.write(bytes),
            Target::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Beside(file) => file.flush(),
            Target::Direct(file) => file.flush(),
        }
    }
}

/// Why CSV could not be written, with the cause where others find it.
pub fn csv_error(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => anyhow::anyhow!("writing CSV: {other:?}"),
    }
}

/// Tells a person how far we are, or why we stop. On stderr, whatever the form.
pub fn note(line: impl Display) {
    // That nobody can read it is no reason to stop: without stderr there is nobody left to tell.
    let _ = io::stderr().write_all(visible(format!("{line}\n")).as_bytes());
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

/// A count with its noun: `1 record`, `1,200 records`, `2 entries`. Nouns here take an s, and their y is that of `entry`.
pub fn counted(number: u64, noun: &str) -> String {
    let number_of = count(number);
    match noun.strip_suffix('y') {
        _ if number == 1 => format!("{number_of} {noun}"),
        Some(stem) => format!("{number_of} {stem}ies"),
        None => format!("{number_of} {noun}s"),
    }
}

/// How far something is: `5 of 29 identifiers`, and `29 identifiers` at its end.
pub fn counted_of(done: u64, total: u64, noun: &str) -> String {
    if done == total {
        counted(total, noun)
    } else {
        format!("{} of {}", count(done), counted(total, noun))
    }
}

/// A time of the node for people: UTC, whole seconds. What is no time stays as it is.
pub fn time(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| text.to_owned(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
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
    fn one_of_a_thing_is_no_plural() {
        assert_eq!(
            [0, 1, 1_200].map(|number| counted(number, "record")),
            ["0 records", "1 record", "1,200 records"]
        );
        assert_eq!(
            [0, 1, 2].map(|number| counted(number, "entry")),
            ["0 entries", "1 entry", "2 entries"]
        );
        assert_eq!(counted_of(5, 29, "identifier"), "5 of 29 identifiers");
        assert_eq!(counted_of(29, 29, "identifier"), "29 identifiers");
        assert_eq!(counted_of(0, 1, "identifier"), "0 of 1 identifier");
    }

    #[test]
    fn nothing_steers_a_terminal_or_hides() {
        let hostile = "BROKEN\u{1b}[2K\u{9b}2J\r\u{7f}\u{202e}\u{200b}\u{e0041}\0";
        let shown = visible(hostile.to_owned());
        assert_eq!(
            shown,
            r"BROKEN\u001b[2K\u009b2J\u000d\u007f\u202e\u200b\udb40\udc41\u0000"
        );
        for plain in ["", "two\n\tlines — é", "نامه\u{200c}ای", r"\u009b"] {
            assert_eq!(visible(plain.to_owned()), plain);
        }
        let value = serde_json::json!({ hostile: [hostile, "\\\u{9b}"] });
        let line = visible(value.to_string());
        assert!(!line.contains(cannot_be_seen), "{line}");
        let read: Value = serde_json::from_str(&line).expect("JSON still");
        assert_eq!(read, value);
    }

    #[test]
    fn times_are_whole_seconds_in_utc() {
        assert_eq!(time("2026-11-22T01:02:03.456789Z"), "2026-11-22T01:02:03Z");
        assert_eq!(time("2026-11-22T01:02:03+01:00"), "2026-11-22T00:02:03Z");
        assert_eq!(time(""), "");
    }

    #[test]
    fn a_file_takes_its_place_at_the_end_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("matches.csv");
        std::fs::write(&path, "old").expect("written");
        assert!(OutFile::create(&path).is_err(), "there is one already");
        let mut file = OutFile::replace(&path).expect("opened");
        file.write_all(b"new").expect("written");
        drop(file);
        assert_eq!(
            std::fs::read_to_string(&path).expect("there"),
            "old",
            "a failure costs nothing"
        );
        let mut file = OutFile::replace(&path).expect("opened");
        file.write_all(b"new").expect("written");
        file.finish().expect("in its place");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "new");
        let other = folder.path().join("other.csv");
        let late = OutFile::create(&other).expect("opened");
        std::fs::write(&other, "faster").expect("written");
        assert!(late.finish().is_err(), "somebody else was faster");
        assert_eq!(std::fs::read_to_string(&other).expect("there"), "faster");
        std::fs::remove_file(&other).expect("removed");
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("readable").count(),
            1,
            "nothing is left behind"
        );
        assert!(OutFile::create(&folder.path().join("nope/x.csv")).is_err());
        assert!(OutFile::create(folder.path()).is_err(), "a folder is no file");
        let mut null = OutFile::create(Path::new("/dev/null")).expect("a device");
        null.write_all(b"x").expect("written");
        null.finish().expect("done");
        assert!(
            !std::fs::metadata("/dev/null").expect("there").is_file(),
            "it is still a device"
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
