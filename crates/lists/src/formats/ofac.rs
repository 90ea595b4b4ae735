//! `ofac-sdn`: the CSV files that the US Treasury publishes: `sdn` (or `cons_prim`), `alt`, `add` and `sdn_comments`,
//! joined by `ent_num`. No headers, `-0-` for nothing, everything that identifies a person in one remarks column.

use std::sync::Arc;

use concordat_identifiers::NameRank;
use serde::{Deserialize, Serialize};

use super::{Records, ofac_remarks};
use crate::csv_rows::{Charset, Rows};
use crate::draft::{Draft, Queue};
use crate::input::{Inputs, Source};
use crate::sorter::{Group, Groups, Sorter};
use crate::{Error, Format, Options, Rule};

/// Which file of the set an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Part {
    /// One row per entry.
    Main,
    /// Aliases.
    Alt,
    /// Addresses.
    Add,
    /// Remarks that did not fit.
    Comments,
}

impl Part {
    /// The part that a file name names, whatever stands after the first words (dates, `.csv`, `.gz`).
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.rsplit(['/', '\\']).next()?.to_ascii_lowercase();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if starts(&["sdn_comments", "cons_comments"]) {
            Some(Self::Comments)
        } else if starts(&["alt", "cons_alt"]) {
            Some(Self::Alt)
        } else if starts(&["add", "cons_add"]) {
            Some(Self::Add)
        } else if starts(&["sdn", "cons_prim"]) {
            Some(Self::Main)
        } else {
            None
        }
    }

    fn columns(self) -> usize {
        match self {
            Self::Main => 12,
            Self::Alt => 5,
            Self::Add => 6,
            Self::Comments => 2,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Main => "sdn.csv",
            Self::Alt => "alt.csv",
            Self::Add => "add.csv",
            Self::Comments => "sdn_comments.csv",
        }
    }
}

/// A row of any part, as it waits to be joined.
#[derive(Serialize, Deserialize)]
struct Line {
    part: Part,
    /// Index of the input's name.
    input: usize,
    line: u64,
    cells: Vec<String>,
}

/// Reads the set.
pub(crate) struct OfacSdn {
    inputs: Inputs,
    names: Vec<Arc<str>>,
    state: State,
}

enum State {
    /// Rows are being collected, from the file that is open.
    Collecting(Sorter, Option<Box<File>>),
    /// All files were read; entries are put together.
    Joining(Groups),
    Ended,
}

struct File {
    part: Part,
    rows: Rows<Source>,
    /// No row was read yet: if the first does not fit, it is the wrong file.
    first: bool,
}

impl OfacSdn {
    pub(crate) fn new(inputs: Inputs, options: &Options) -> Self {
        Self {
            inputs,
            names: Vec::new(),
            state: State::Collecting(Sorter::new(options), None),
        }
    }
}

impl Records for OfacSdn {
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Collecting(mut sorter, Some(mut file)) => {
                let more = self.collect(&mut file, &mut sorter, queue)?;
                self.state = State::Collecting(sorter, more.then_some(file));
                Ok(true)
            }
            State::Collecting(sorter, None) => {
                self.state = match self.open_next()? {
                    Some(file) => State::Collecting(sorter, Some(Box::new(file))),
                    None => State::Joining(sorter.finish()?),
                };
                Ok(true)
            }
            State::Joining(mut groups) => {
                let Some(group) = groups.next::<Line>()? else {
                    return Ok(false);
                };
                self.join(group, queue);
                self.state = State::Joining(groups);
                Ok(true)
            }
            State::Ended => Ok(false),
        }
    }
}

impl OfacSdn {
    /// Opens the next file; none after the last one.
    fn open_next(&mut self) -> Result<Option<File>, Error> {
        let Some(source) = self.inputs.next()? else {
            return match self.names.iter().any(|name| Part::of(name) == Some(Part::Main)) {
                true => Ok(None),
                false if self.names.is_empty() => Err(Error::NoInput),
                false => Err(Error::MissingPart {
                    format: Format::OfacSdn,
                    missing: "the file sdn.csv",
                }),
            };
        };
        let name = Arc::clone(source.name());
        let part = Part::of(&name).ok_or_else(|| Error::UnknownPart {
            format: Format::OfacSdn,
            name: name.to_string(),
            expected: "sdn, alt, add, sdn_comments",
        })?;
        self.names.push(name);
        let rows = Rows::new(source, b',', b'"', Charset::Utf8OrWindows1252);
        Ok(Some(File {
            part,
            rows,
            first: true,
        }))
    }

    /// Takes one row of a file; false after the last one.
    fn collect(&self, file: &mut File, sorter: &mut Sorter, queue: &mut Queue) -> Result<bool, Error> {
        let File { part, rows, first } = file;
        let Some(row) = rows.next()? else { return Ok(false) };
        let input = self.names.len() - 1;
        let cells = match row.cells {
            Ok(cells) => cells,
            Err(rule) => {
                // The id of an entry is a number in every file of the set.
                let id = rows.cell(0).parse::<u64>().map(|number| number.to_string());
                queue.reject_named(&self.names[input], row.line, rule, &id.unwrap_or_default());
                return Ok(true);
            }
        };
        if cells == ["\u{1a}"] {
            // The end-of-file character with which these files end since the days of DOS.
            return Ok(true);
        }
        let number = cells[0].trim().parse::<u64>().ok();
        let columns = part.columns();
        if *first && (cells.len() != columns || number.is_none()) {
            let why = format!(
                "the rows of {} have {columns} columns, the first a number and none of them a header; its first row has {}",
                part.file(),
                cells.len()
            );
            return Err(rows.source().wrong_format(why));
        }
        *first = false;
        match number {
            Some(number) if cells.len() != columns => {
                queue.reject_named(&self.names[input], row.line, Rule::Columns, &number.to_string());
            }
            None if cells.len() != columns => {
                queue.reject_record(&self.names[input], row.line, Rule::Columns);
            }
            None => queue.reject_record(&self.names[input], row.line, Rule::NoId),
            Some(number) => {
                let line = Line {
                    part: *part,
                    input,
                    line: row.line,
                    cells,
                };
                sorter.push(&number.to_be_bytes(), &line)?;
            }
        }
        Ok(true)
    }

    /// Puts the rows of one `ent_num` together.
    fn join(&self, group: Group<Line>, queue: &mut Queue) {
        let (mains, others): (Vec<_>, Vec<_>) =
            group.lines.into_iter().partition(|line| line.part == Part::Main);
        let Some((main, repeated)) = mains.split_first() else {
            for line in others {
                queue.reject_record(&self.names[line.input], line.line, Rule::Orphan);
            }
            return;
        };
        for line in repeated {
            queue.reject_record(&self.names[line.input], line.line, Rule::RepeatedId);
        }
        if group.too_large {
            let id = cell(&main.cells[0]);
            queue.reject_named(&self.names[main.input], main.line, Rule::EntryTooLarge, id);
            return;
        }
        match cell(&main.cells[2]) {
            "individual" => self.person(main, &others, queue),
            "" => queue.skipped.push("entity"),
            "vessel" => queue.skipped.push("vessel"),
            "aircraft" => queue.skipped.push("aircraft"),
            _ => queue.skipped.push("other"),
        }
    }

    fn person(&self, main: &Line, others: &[Line], queue: &mut Queue) {
        let mut draft = Draft::new(Arc::clone(&self.names[main.input]), main.line);
        draft.published.add("type", "individual");
        draft.name(NameRank::Primary, cell(&main.cells[1]));
        draft.published.add("programme", cell(&main.cells[3]));
        draft.published.add("title", cell(&main.cells[4]));
        let mut remarks = cell(&main.cells[11]).to_owned();
        for line in others {
            match line.part {
                Part::Alt => draft.name(NameRank::Alias, cell(&line.cells[3])),
                Part::Add => {
                    let address = line.cells[2..5]
                        .iter()
                        .map(|text| cell(text))
                        .filter(|text| !text.is_empty());
                    draft
                        .published
                        .add("address", address.collect::<Vec<_>>().join(", "));
                }
                // A remark is cut in the middle of a word, so nothing stands between the two pieces.
                Part::Comments => remarks.push_str(cell(&line.cells[1])),
                Part::Main => {}
            }
        }
        ofac_remarks::read(&remarks, &mut draft);
        draft.finish(cell(&main.cells[0]).trim(), queue);
    }
}

/// A cell, empty where the list writes its null.
fn cell(text: &str) -> &str {
    if text.trim() == "-0-" { "" } else { text }
}
