//! How far a long task is: a bar with the time left on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use crate::out::{bytes, count, note};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of files.
    Bytes,
    /// Identifiers of a job.
    Identifiers,
}

/// Progress of one task on stderr.
pub struct Progress {
    what: String,
    unit: Unit,
    shape: Shape,
}

enum Shape {
    Bar(ProgressBar),
    /// Tenths already told.
    Lines(u64),
}

impl Progress {
    /// A bar if stderr is a terminal, else a line at each tenth.
    pub fn new(what: impl Into<String>, unit: Unit, total: u64) -> Self {
        let what = what.into();
        let shape = if stderr().is_terminal() {
            Shape::Bar(bar(&what, unit, total))
        } else {
            Shape::Lines(0)
        };
        Self { what, unit, shape }
    }

    /// `done` of `total`; 0 stands for a total that nobody knows.
    pub fn at(&mut self, done: u64, total: u64) {
        match &mut self.shape {
            Shape::Bar(bar) => {
                let total = if total == 0 { done } else { total };
                bar.set_length(total);
                bar.set_position(done.min(total));
            }
            Shape::Lines(told) => {
                let tenth = tenths(done, total);
                if tenth > *told {
                    *told = tenth;
                    let unit = self.unit;
                    note(format_args!(
                        "{}: {} of {}",
                        self.what,
                        amount(unit, done.min(total)),
                        amount(unit, total)
                    ));
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Shape::Bar(bar) = self.shape {
            bar.finish_and_clear();
        }
    }
}

fn tenths(done: u64, total: u64) -> u64 {
    (done.min(total).saturating_mul(10))
        .checked_div(total)
        .unwrap_or(0)
}

fn amount(unit: Unit, number: u64) -> String {
    match unit {
        Unit::Bytes => bytes(number),
        Unit::Identifiers => format!("{} identifiers", count(number)),
    }
}

fn template(unit: Unit) -> &'static str {
    match unit {
        Unit::Bytes => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        Unit::Identifiers => "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec}, {eta} left",
    }
}

fn bar(what: &str, unit: Unit, total: u64) -> ProgressBar {
    // A test holds every template to be valid.
    let style = ProgressStyle::with_template(template(unit)).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total)
        .with_style(style.progress_chars("=> "))
        .with_message(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_by_tenths_and_survive_odd_totals() {
        assert_eq!(tenths(0, 0), 0);
        assert_eq!(tenths(99, 1_000), 0);
        assert_eq!(tenths(100, 1_000), 1);
        assert_eq!(tenths(2_000, 1_000), 10);
    }

    #[test]
    fn templates_are_valid() {
        for unit in [Unit::Bytes, Unit::Identifiers] {
            assert!(ProgressStyle::with_template(template(unit)).is_ok(), "{unit:?}");
        }
        assert_eq!(amount(Unit::Identifiers, 1_200), "1,200 identifiers");
    }
}
