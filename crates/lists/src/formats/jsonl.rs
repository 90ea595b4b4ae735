//! `jsonl`: our own records, `{"source_id": "…", "subject": {…}, "published": {…}}`, one per line. The subject is
//! the serde form of `concordat_identifiers::Subject`; unknown fields are refused.

use concordat_identifiers::Subject;
use serde::Deserialize;

use super::Records;
use crate::draft::{Draft, Queue};
use crate::input::Source;
use crate::{Error, Published, Rule};

/// Reads the records.
pub(crate) struct Jsonl {
    source: Source,
    line: Vec<u8>,
    /// No record was read yet: if the first line is no JSON object, it is the wrong file.
    first: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    source_id: String,
    subject: Subject,
    #[serde(default)]
    published: Published,
}

/// A record of which nothing but the id can be read.
#[derive(Default, Deserialize)]
struct Id {
    source_id: String,
}

impl Jsonl {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            line: Vec::new(),
            first: true,
        }
    }
}

impl Records for Jsonl {
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        let Some(number) = self.source.read_line(&mut self.line)? else {
            return Ok(false);
        };
        let Some(first_byte) = self.line.trim_ascii().first() else {
            return Ok(true);
        };
        if self.first && *first_byte != b'{' {
            return Err(self.source.wrong_format("the first line is not a JSON object"));
        }
        self.first = false;
        let name = self.source.name();
        match serde_json::from_slice::<Record>(&self.line) {
            Ok(record) => {
                let mut draft = Draft::new(name.clone(), number);
                draft.subject = record.subject;
                draft.published = record.published;
                draft.finish(&record.source_id, queue);
            }
            Err(_) if std::str::from_utf8(&self.line).is_err() => {
                queue.reject_record(name, number, Rule::NotText);
            }
            Err(_) => {
                let id = serde_json::from_slice::<Id>(&self.line).unwrap_or_default();
                queue.reject_named(name, number, Rule::Shape, &id.source_id);
            }
        }
        Ok(true)
    }
}
