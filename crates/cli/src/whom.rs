//! Whom a query is, or was, about: one subject from the command line, or the items of a file.

use std::path::PathBuf;

use anyhow::{Context, Result};
use concordat_lists::{Format, Item, Lost, Reject, Rule};
use concordat_wire::subject_to_proto;
use jiff::civil::Date;

use crate::exit::Usage;
use crate::read::read_on;
use crate::subject::SubjectArgs;

/// Items in one call. A call's items are padded together, and a person waits for the whole call.
pub const CALL_ITEMS: usize = 2_000;

/// A subject by options, or a file.
#[derive(clap::Args)]
#[command(next_help_heading = "About whom")]
pub struct WhomArgs {
    /// Machine-readable zones of documents, from a file or - for stdin
    #[arg(long, value_name = "FILE", group = "source")]
    mrz: Option<PathBuf>,
    /// A UN/EDIFACT passenger list message
    #[arg(long, value_name = "FILE", group = "source")]
    paxlst: Option<PathBuf>,
    /// Subjects as JSON lines (docs/lists.md)
    #[arg(long, value_name = "FILE", group = "source")]
    jsonl: Option<PathBuf>,
    #[command(flatten)]
    subject: SubjectArgs,
}

/// The items of a query.
pub struct Whom {
    /// In order.
    pub items: Asked,
    /// It is one subject from the command line.
    pub single: bool,
}

impl WhomArgs {
    /// The items, as they are read on this day; `None` if none was given.
    ///
    /// # Errors
    /// The command line, or the file, cannot be understood.
    pub fn questions(&self, today: Date) -> Result<Option<Whom>> {
        let sources = [
            (Format::Mrz, &self.mrz),
            (Format::Paxlst, &self.paxlst),
            (Format::Jsonl, &self.jsonl),
        ];
        let source = sources
            .into_iter()
            .find_map(|(format, path)| path.as_ref().map(|path| (format, path)));
        let (items, single): (Asked, bool) = match (self.subject.subject()?, source) {
            (Some(_), Some(_)) => {
                return Err(Usage::error("give a subject by options or a file, not both"));
            }
            (None, None) => return Ok(None),
            (Some(subject), None) => {
                let question = Question {
                    label: "1".into(),
                    line: None,
                    what: What::Ask(subject_to_proto(&subject)),
                    doubts: Vec::new(),
                };
                (Box::new(std::iter::once(Ok(question))), true)
            }
            (None, Some((format, path))) => {
                let name = path.display().to_string();
                let items = read_on(today, format, path)?.map(move |item| item.with_context(|| name.clone()));
                let questions = Questions {
                    items: items.peekable(),
                    numbered: (format != Format::Jsonl).then_some(0),
                };
                (Box::new(questions), false)
            }
        };
        Ok(Some(Whom { items, single }))
    }
}

/// What is asked, in order.
pub type Asked = Box<dyn Iterator<Item = Result<Question>>>;

/// One item of the input.
pub struct Question {
    /// The item's own id, or its number in the input; where neither is known, the line where it should be.
    pub label: String,
    /// Line of the input, if there is one.
    pub line: Option<u64>,
    /// What is asked about it.
    pub what: What,
    /// Values of the item that this side could not read.
    pub doubts: Vec<Reject>,
}

/// What is asked about an item.
pub enum What {
    /// This.
    Ask(concordat_wire::v1::Subject),
    /// Not readable at all: UNKNOWN without asking.
    Unreadable,
}

/// Joins the items of an input with the rejects that belong to them. Nothing is left out: an item that cannot be
/// read is a question whose answer is UNKNOWN.
pub struct Questions<I: Iterator> {
    /// What was read.
    pub items: std::iter::Peekable<I>,
    /// Items so far, in a format whose items have no id but their number.
    pub numbered: Option<u64>,
}

impl<I: Iterator<Item = Result<Item>>> Iterator for Questions<I> {
    type Item = Result<Question>;

    fn next(&mut self) -> Option<Result<Question>> {
        let item = match self.items.next()? {
            Ok(item) => item,
            Err(error) => return Some(Err(error)),
        };
        let (label, line, what, mut doubts) = match item {
            Item::Entry(entry) => {
                let what = What::Ask(subject_to_proto(&entry.subject));
                self.numbered = self.numbered.map(|number| number + 1);
                (entry.source_id, entry.line, what, Vec::new())
            }
            Item::Reject(reject) => {
                // A message of another type is no passenger: it has no number.
                let number = self.numbered.as_mut().filter(|_| reject.rule != Rule::NotPaxlst);
                let label = match number {
                    Some(number) => {
                        *number += 1;
                        number.to_string()
                    }
                    None => format!("line {}", reject.line),
                };
                (label, reject.line, What::Unreadable, vec![reject])
            }
        };
        let of_field =
            |item: &Result<Item>| matches!(item, Ok(Item::Reject(reject)) if reject.lost == Lost::Field);
        while let Some(Ok(Item::Reject(reject))) = self.items.next_if(of_field) {
            doubts.push(reject);
        }
        Some(Ok(Question {
            label,
            line: Some(line),
            what,
            doubts,
        }))
    }
}
