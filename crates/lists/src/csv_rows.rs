//! Rows of separated files: bounded, numbered by line, with the flaws that make a row unusable named.

use std::io::BufRead;
use std::sync::Arc;

use csv_core::{ReadRecordResult, ReaderBuilder};

use crate::input::Source;
use crate::{Error, Rule};

/// How cells become text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Charset {
    /// A row of valid UTF-8 as such, any other as Windows-1252: what governments' exports mix. A Windows-1252 text
    /// with letters outside ASCII is practically never valid UTF-8.
    Utf8OrWindows1252,
    /// UTF-8; a replacement character means that an earlier conversion failed, and is no text.
    Utf8,
}

/// A row: its first line, and its cells or why they cannot be used.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) cells: Result<Vec<String>, Rule>,
}

/// Reads RFC 4180 rows. Blank lines are passed over.
pub(crate) struct Rows<R> {
    bytes: R,
    parser: csv_core::Reader,
    charset: Charset,
    quote: u8,
    cells: Vec<u8>,
    ends: Vec<usize>,
    /// Cells of the row that was read last.
    count: usize,
}

/// Where rows come from: a [`Source`], or a converter before it.
pub(crate) trait RowBytes: BufRead {
    fn source(&mut self) -> &mut Source;

    /// Line of the next byte of the text, from 1.
    fn text_line(&mut self) -> u64 {
        self.source().line()
    }
}

impl RowBytes for Source {
    fn source(&mut self) -> &mut Source {
        self
    }
}

impl<R: RowBytes> Rows<R> {
    pub(crate) fn new(bytes: R, delimiter: u8, quote: u8, charset: Charset) -> Self {
        let parser = ReaderBuilder::new().delimiter(delimiter).quote(quote).build();
        Self {
            bytes,
            parser,
            charset,
            quote,
            cells: vec![0; 4096],
            ends: vec![0; 64],
            count: 0,
        }
    }

    pub(crate) fn source(&mut self) -> &mut Source {
        self.bytes.source()
    }

    pub(crate) fn input(&mut self) -> Arc<str> {
        Arc::clone(self.source().name())
    }

    /// The next row; none at the end of the input.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, Error> {
        self.skip_line_ends()?;
        self.source().start_record();
        let line = self.bytes.text_line();
        let (mut used, mut count, mut quotes) = (0, 0, 0_usize);
        let at_end = loop {
            let bytes = match self.bytes.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.bytes.source().blame(error)),
            };
            let at_end = bytes.is_empty();
            let (result, read, written, ended) =
                self.parser
                    .read_record(bytes, &mut self.cells[used..], &mut self.ends[count..]);
            quotes += bytes[..read].iter().filter(|byte| **byte == self.quote).count();
            self.bytes.consume(read);
            (used, count) = (used + written, count + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => break at_end,
                ReadRecordResult::End => return Ok(None),
            }
        };
        self.count = count;
        let limit = self.source().limits().text_bytes;
        // A quote that is never closed swallows the rest of the file: it shows as an odd number of quotes in a
        // row that only the end of the input ended.
        let cells = if at_end && quotes % 2 == 1 {
            Err(Rule::QuoteNotClosed)
        } else {
            self.texts(count, limit)
        };
        Ok(Some(Row { line, cells }))
    }

    /// A cell of the row that was read last, even if the row cannot be used for another cell's sake; empty if it is
    /// not there or is no text itself.
    pub(crate) fn cell(&self, index: usize) -> &str {
        let end = |index: usize| self.ends[..self.count].get(index).copied();
        let start = index.checked_sub(1).map_or(Some(0), end);
        let bytes = match (start, end(index)) {
            (Some(start), Some(end)) => &self.cells[start..end],
            _ => &[],
        };
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        if text.contains(char::REPLACEMENT_CHARACTER) {
            ""
        } else {
            text.trim()
        }
    }

    fn skip_line_ends(&mut self) -> Result<(), Error> {
        loop {
            let bytes = match self.bytes.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) => return Err(self.bytes.source().blame(error)),
            };
            let ends = bytes
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            if ends == 0 {
                return Ok(());
            }
            self.bytes.consume(ends);
            self.bytes.source().start_record();
        }
    }

    fn texts(&self, count: usize, limit: usize) -> Result<Vec<String>, Rule> {
        let all = &self.cells[..count.checked_sub(1).map_or(0, |last| self.ends[last])];
        let utf8 = std::str::from_utf8(all).is_ok_and(|text| !text.contains(char::REPLACEMENT_CHARACTER));
        if !utf8 && matches!(self.charset, Charset::Utf8) {
            return Err(Rule::NotText);
        }
        let mut start = 0;
        let mut texts = Vec::with_capacity(count);
        for end in &self.ends[..count] {
            let cell = &all[start..*end];
            start = *end;
            if cell.len() > limit {
                return Err(Rule::TextTooLong);
            }
            let text = match std::str::from_utf8(cell) {
                Ok(text) if utf8 => text.to_owned(),
                _ => encoding_rs::WINDOWS_1252
                    .decode_without_bom_handling(cell)
                    .0
                    .into_owned(),
            };
            texts.push(text);
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Input, Inputs};
    use crate::{Format, Limits};
    use std::io::Cursor;

    fn rows(bytes: &[u8], charset: Charset) -> Vec<(u64, Result<Vec<String>, Rule>)> {
        let limits = Limits {
            text_bytes: 20,
            ..Limits::default()
        };
        let inputs = std::iter::once(Input::new("test", Cursor::new(bytes.to_vec())));
        let source = Inputs::new(Format::Csv, inputs, limits).next().unwrap().unwrap();
        let mut rows = Rows::new(source, b',', b'"', charset);
        std::iter::from_fn(|| rows.next().unwrap())
            .map(|row| (row.line, row.cells))
            .collect()
    }

    fn cells(texts: &[&str]) -> Result<Vec<String>, Rule> {
        Ok(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn lines_are_counted_through_crlf_blank_lines_and_quotes() {
        let bytes = b"a,b\r\n\r\n\"c\r\nd\",\"e \"\"f\"\"\"\r\ng,\r\n";
        let expected = vec![
            (1, cells(&["a", "b"])),
            (3, cells(&["c\r\nd", "e \"f\""])),
            (5, cells(&["g", ""])),
        ];
        assert_eq!(rows(bytes, Charset::Utf8), expected);
    }

    #[test]
    fn each_flaw_is_named() {
        assert_eq!(
            rows(b"a\n\"b,c\nd\n", Charset::Utf8),
            [(1, cells(&["a"])), (2, Err(Rule::QuoteNotClosed))]
        );
        assert_eq!(
            rows(b"a,\xe9\nb\n", Charset::Utf8),
            [(1, Err(Rule::NotText)), (2, cells(&["b"]))]
        );
        assert_eq!(
            rows(b"123456789012345678901,\n", Charset::Utf8),
            [(1, Err(Rule::TextTooLong))]
        );
    }

    #[test]
    fn a_cell_of_an_unusable_row_can_be_read() {
        let bytes = b"r1,123456789012345678901\nr2,\xe9\n\xe9,r3\nr4\n".to_vec();
        let inputs = std::iter::once(Input::new("test", Cursor::new(bytes)));
        let limits = Limits {
            text_bytes: 20,
            ..Limits::default()
        };
        let source = Inputs::new(Format::Csv, inputs, limits).next().unwrap().unwrap();
        let mut rows = Rows::new(source, b',', b'"', Charset::Utf8);
        let mut first = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            first.push((
                row.cells.is_ok(),
                rows.cell(0).to_owned(),
                rows.cell(2).to_owned(),
            ));
        }
        let expected = [(false, "r1"), (false, "r2"), (false, ""), (true, "r4")];
        assert_eq!(
            first,
            expected.map(|(good, id)| (good, id.to_owned(), String::new()))
        );
    }

    #[test]
    fn bytes_are_utf8_or_windows_1252() {
        assert_eq!(
            rows(b"Jos\xe9\n", Charset::Utf8OrWindows1252),
            [(1, cells(&["José"]))]
        );
        assert_eq!(
            rows("José\n".as_bytes(), Charset::Utf8OrWindows1252),
            [(1, cells(&["José"]))]
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        assert_eq!(
            rows(b"\xef\xbb\xbf\"id\",b\n", Charset::Utf8),
            [(1, cells(&["id", "b"]))]
        );
    }
}
