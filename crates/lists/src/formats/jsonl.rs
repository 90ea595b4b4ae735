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
    /// None is a record without an id, which has a rule of its own.
    #[serde(default)]
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
            Err(error) => {
                let id = serde_json::from_slice::<Id>(&self.line).unwrap_or_default();
                queue.reject_record_because(name, number, Rule::Shape, shape(&error));
                queue.name_last(&id.source_id);
            }
        }
        Ok(true)
    }
}

/// Says where the line is no record of this format, and which field is unknown: a key of the line, never a value. The
/// parser's own words may hold values, so nothing else of them is used.
fn shape(error: &serde_json::Error) -> String {
    let (sentence, column) = (Rule::Shape.sentence(), error.column());
    let words = error.to_string();
    let key = words
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once('`'))
        .map(|(key, _)| key)
        // As names of fields look; anything else may be a value in the wrong place.
        .filter(|key| (1..=40).contains(&key.len()))
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    match key {
        Some(key) => {
            format!("unknown field {key:?} (column {column}); see the description of the format")
        }
        None => format!("{sentence} (column {column})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> String {
        let error = serde_json::from_str::<Record>(line).err().expect("no record");
        shape(&error)
    }

    #[test]
    fn an_unknown_field_is_named_and_no_value_is() {
        let subject = r#""subject":{"names":[]}"#;
        let said = reason(&format!(r#"{{"source_id":"1",{subject},"surname":"Testa"}}"#));
        assert!(
            said.contains("unknown field \"surname\"") && !said.contains("Testa"),
            "{said}"
        );
        for line in [
            format!(r#"{{"source_id":"1",{subject},"X1234567":1}}"#),
            r#"{"source_id":"1","subject":"X1234567"}"#.to_owned(),
            r#"{"source_id":"1","subject":{"documents":[{"class":"X1234567","number":"X1234567"}]}}"#
                .to_owned(),
            r#"{"source_id":"1","subject":{"others":[{"phone":{"X1234567":"X1234567"}}]}}"#.to_owned(),
        ] {
            let said = reason(&line);
            assert!(said.contains("(column ") && !said.contains("X1234567"), "{said}");
        }
    }

    #[test]
    fn a_record_without_an_id_breaks_the_rule_of_ids() {
        let record: Record = serde_json::from_str(r#"{"subject":{}}"#).expect("read");
        assert!(record.source_id.is_empty());
    }
}
