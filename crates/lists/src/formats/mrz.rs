//! `mrz`: machine-readable zones, one document per two or three lines, blank lines between them allowed. A query
//! format: documents are numbered from 1.

use std::collections::VecDeque;
use std::sync::Arc;

use concordat_identifiers::mrz::{self, Sex};
use jiff::civil::Date;

use super::Records;
use crate::draft::{Draft, Queue};
use crate::input::Source;
use crate::{Error, Rule};

/// Reads the zones.
pub(crate) struct MrzLines {
    input: Arc<str>,
    source: Source,
    today: Date,
    buffer: Vec<u8>,
    /// Lines of the zone that is being read; a blank line or the end of the input completes it.
    zone: VecDeque<(u64, String)>,
    count: u64,
}

impl MrzLines {
    pub(crate) fn new(source: Source, today: Date) -> Self {
        let input = Arc::clone(source.name());
        Self {
            input,
            source,
            today,
            buffer: Vec::new(),
            zone: VecDeque::new(),
            count: 0,
        }
    }

    /// The lines of the first document that wait, once it is complete.
    fn take_zone(&mut self, complete: bool) -> Option<Result<Vec<(u64, String)>, u64>> {
        let (line, first) = self.zone.front()?;
        let lines = match first.len() {
            30 => 3,
            36 | 44 => 2,
            _ => return Some(Err(*line)),
        };
        let same = self
            .zone
            .iter()
            .take(lines)
            .all(|(_, line)| line.len() == first.len());
        match self.zone.len() >= lines {
            true if same => Some(Ok(self.zone.drain(..lines).collect())),
            false if same && !complete => None,
            _ => Some(Err(*line)),
        }
    }
}

impl Records for MrzLines {
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        let number = self.source.read_line(&mut self.buffer)?;
        let text = self.buffer.trim_ascii_end();
        let complete = text.is_empty();
        if let (Some(number), false) = (number, complete) {
            let known = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'<';
            match std::str::from_utf8(text) {
                Ok(text) if text.bytes().all(|byte| known(&byte)) => {
                    self.zone.push_back((number, text.to_owned()));
                }
                // Rejected by its length; what came before it is complete.
                _ => self.zone.push_back((number, String::new())),
            }
        }
        while let Some(zone) = self.take_zone(complete) {
            self.count += 1;
            match zone {
                Ok(lines) => self.document(&lines, queue),
                Err(line) => {
                    self.zone.pop_front();
                    queue.reject_record(&self.input, line, Rule::MrzShape);
                }
            }
        }
        Ok(number.is_some())
    }
}

impl MrzLines {
    fn document(&self, lines: &[(u64, String)], queue: &mut Queue) {
        let line = lines.first().map_or(0, |(line, _)| *line);
        let text = lines
            .iter()
            .map(|(_, text)| text.as_str())
            .collect::<Vec<_>>()
            .join("\n");
        match mrz::parse(&text, self.today) {
            Ok(zone) => {
                let mut draft = Draft::new(Arc::clone(&self.input), line);
                draft.subject = zone.subject();
                draft.published.add("type", &zone.document_code);
                draft.published.add("nationality", &zone.nationality);
                draft.published.add("expiry", &zone.expiry);
                match zone.sex {
                    Sex::Female => draft.published.add("gender", "F"),
                    Sex::Male => draft.published.add("gender", "M"),
                    Sex::Unspecified => {}
                }
                draft.finish(&self.count.to_string(), queue);
            }
            // The error names the field, the position and the digits, nothing else of the zone.
            Err(error) => queue.reject_record_because(&self.input, line, Rule::Mrz, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Input, Inputs};
    use crate::{Format, Item, Limits};

    /// Lines that the specimen of ICAO Doc 9303-4 prints.
    const TD3: &str =
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10\n";
    /// And that of part 5.
    const TD1: &str =
        "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<\n";

    fn read(text: &str) -> Vec<(String, u64)> {
        let inputs = std::iter::once(Input::new("test", std::io::Cursor::new(text.as_bytes().to_vec())));
        let source = Inputs::new(Format::Mrz, inputs, Limits::default())
            .next()
            .unwrap()
            .unwrap();
        let mut reader = MrzLines::new(source, jiff::civil::date(2026, 11, 20));
        let mut queue = Queue::default();
        while reader.advance(&mut queue).unwrap() {}
        let items = queue.items.into_iter().map(|item| match item {
            Item::Entry(entry) => (entry.source_id, entry.line),
            Item::Reject(reject) => (format!("{:?} {}", reject.rule, reject.reason), reject.line),
        });
        items.collect()
    }

    #[test]
    fn zones_with_and_without_blank_lines() {
        let expected = vec![("1".to_owned(), 1), ("2".to_owned(), 3), ("3".to_owned(), 6)];
        assert_eq!(read(&[TD3, TD1, TD3].concat()), expected);
        let expected = vec![("1".to_owned(), 1), ("2".to_owned(), 4), ("3".to_owned(), 9)];
        assert_eq!(
            read(&[TD3, "\r\n", TD1, " \n\n", TD3.trim_end()].concat()),
            expected
        );
    }

    #[test]
    fn a_bad_zone_costs_itself_only() {
        let wrong = TD3.replace("L898902C36", "L898902C37");
        let items = read(&[&wrong, TD3].concat());
        assert_eq!(items.len(), 2);
        assert!(
            items[0].0.starts_with("Mrz ") && items[0].0.contains('7') && !items[0].0.contains("L898902C"),
            "{items:?}"
        );
        assert_eq!(items[1], ("2".to_owned(), 3));
        // A line too short, a line of other letters, a line alone at the end.
        for (text, lines) in [
            (format!("{}\n{TD3}", &TD3[..43]), vec![1, 2]),
            (format!("pas de zone\n{TD3}"), vec![1, 2]),
            (format!("{TD3}{}", &TD3[..44]), vec![1, 3]),
        ] {
            let items = read(&text);
            assert_eq!(
                items.iter().map(|item| item.1).collect::<Vec<_>>(),
                lines,
                "{items:?}"
            );
            assert_eq!(
                items.iter().filter(|item| item.0.starts_with("MrzShape")).count(),
                1,
                "{items:?}"
            );
        }
    }
}
