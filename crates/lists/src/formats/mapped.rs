//! `csv`: any separated file, read by a [`Mapping`].

use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use concordat_identifiers::{BirthDate, Document, Other};
use encoding_rs::{CoderResult, Decoder, Encoding};
use jiff::civil::Date;
use jiff::fmt::strtime::BrokenDownTime;

use super::Records;
use crate::csv_rows::{Charset, RowBytes, Rows};
use crate::dates;
use crate::draft::{Draft, Queue};
use crate::input::Source;
use crate::mapping::{Column, Mapping, NameColumns, OneColumn};
use crate::{Error, Options, Rule};

/// Reads the file.
pub(crate) struct MappedCsv {
    input: Arc<str>,
    rows: Rows<Decoded>,
    mapping: Mapping,
    /// Index of each column that is mapped by name.
    indexes: HashMap<String, usize>,
    /// Cells of the header, or of the first row.
    count: Option<usize>,
    today: Date,
}

impl MappedCsv {
    pub(crate) fn new(source: Source, options: &Options) -> Result<Self, Error> {
        let mapping = options.mapping.clone().ok_or(Error::NoMapping)?;
        let input = Arc::clone(source.name());
        let encoding = Encoding::for_label(mapping.encoding.as_bytes()).unwrap_or(encoding_rs::UTF_8);
        let mut bytes = Decoded::new(source, encoding);
        for _ in 0..mapping.skip_lines {
            if let Err(error) = bytes.skip_until(b'\n') {
                return Err(bytes.source.blame(error));
            }
        }
        // Both characters were checked to be ASCII when the mapping was read.
        let rows = Rows::new(bytes, mapping.delimiter as u8, mapping.quote as u8, Charset::Utf8);
        let mut reader = Self {
            input,
            rows,
            mapping,
            indexes: HashMap::new(),
            count: None,
            today: options.today,
        };
        if reader.mapping.header {
            reader.read_header()?;
        }
        Ok(reader)
    }

    fn read_header(&mut self) -> Result<(), Error> {
        let header = self.rows.next()?.map(|row| row.cells);
        let Some(Ok(header)) = header else {
            return Err(self.rows.source().wrong_format("it has no header row"));
        };
        self.count = Some(header.len());
        for (index, name) in header.iter().enumerate() {
            self.indexes.entry(name.trim().to_owned()).or_insert(index);
        }
        for column in self.mapping.columns() {
            let missing = match column {
                Column::Name(name) => (!self.indexes.contains_key(name)).then(|| name.clone()),
                Column::Number(number) => (*number > header.len()).then(|| number.to_string()),
                Column::Constant(_) => None,
            };
            if let Some(column) = missing {
                return Err(Error::MissingColumn {
                    input: self.input.to_string(),
                    column,
                });
            }
            let twice = |name: &String| header.iter().filter(|column| column.trim() == name).count() > 1;
            if let Column::Name(name) = column
                && twice(name)
            {
                let why = format!("its header has the mapped column {name:?} twice; give its number");
                return Err(self.rows.source().wrong_format(why));
            }
        }
        Ok(())
    }
}

impl Records for MappedCsv {
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        let Some(row) = self.rows.next()? else {
            return Ok(false);
        };
        match row.cells {
            Err(rule) => queue.reject_named(&self.input, row.line, rule, self.id()),
            Ok(cells) if cells.len() != *self.count.get_or_insert(cells.len()) => {
                queue.reject_named(&self.input, row.line, Rule::Columns, self.id());
            }
            Ok(cells) => {
                let draft = Draft::new(Arc::clone(&self.input), row.line);
                Cells {
                    reader: self,
                    cells: &cells,
                }
                .entry(draft, queue);
            }
        }
        Ok(true)
    }
}

impl MappedCsv {
    /// The id of the last row, as far as it stands where it should.
    fn id(&self) -> &str {
        match &self.mapping.id {
            Column::Constant(_) => "",
            Column::Name(name) => self.indexes.get(name).map_or("", |index| self.rows.cell(*index)),
            Column::Number(number) => self.rows.cell(number - 1),
        }
    }
}

/// A row under its mapping.
struct Cells<'a> {
    reader: &'a MappedCsv,
    cells: &'a [String],
}

impl<'a> Cells<'a> {
    /// The whole value of a column; empty for a null.
    fn value(&self, column: &'a Column) -> &'a str {
        let MappedCsv { mapping, indexes, .. } = self.reader;
        let text = match column {
            Column::Constant(constant) => return &constant.constant,
            Column::Name(name) => indexes.get(name).and_then(|index| self.cells.get(*index)),
            Column::Number(number) => self.cells.get(number - 1),
        };
        let text = text.map_or("", |text| text.trim());
        if mapping.nulls.iter().any(|null| null == text) {
            ""
        } else {
            text
        }
    }

    /// The values of a column that may hold several.
    fn values(&self, column: &'a Column) -> Vec<&'a str> {
        let text = self.value(column);
        let values: Vec<&str> = match (&self.reader.mapping.separator, column) {
            (Some(separator), Column::Name(_) | Column::Number(_)) => {
                text.split(separator.as_str()).map(str::trim).collect()
            }
            _ => vec![text],
        };
        let nulls = &self.reader.mapping.nulls;
        let given = |value: &&str| !value.is_empty() && !nulls.iter().any(|null| null == value);
        values.into_iter().filter(given).collect()
    }

    /// The values of a column, each with its value of another: as many of both, or one for all.
    fn pairs(&self, column: &'a Column, other: Option<&'a Column>) -> Vec<(&'a str, Option<&'a str>)> {
        let values = self.values(column);
        let others = other.map(|other| self.values(other)).unwrap_or_default();
        let other_of = |index: usize| match others.as_slice() {
            [one] => Some(*one),
            many if many.len() == values.len() => Some(many[index]),
            _ => None,
        };
        values
            .iter()
            .enumerate()
            .map(|(index, value)| (*value, other_of(index)))
            .collect()
    }

    fn entry(&self, mut draft: Draft, queue: &mut Queue) {
        let mapping = &self.reader.mapping;
        for name in &mapping.name {
            match name {
                NameColumns::Parts { family, given, rank } => {
                    let given: Vec<&str> = given.iter().map(|column| self.value(column)).collect();
                    let given = given
                        .into_iter()
                        .filter(|name| !name.is_empty())
                        .collect::<Vec<_>>()
                        .join(" ");
                    match self.value(family) {
                        "" => draft.name_whole(*rank, &given),
                        family => draft.name_parts(*rank, family, &given),
                    }
                }
                NameColumns::Whole { whole, rank } => {
                    self.values(whole)
                        .into_iter()
                        .for_each(|name| draft.name(*rank, name));
                }
            }
        }
        for birth in &mapping.birth {
            for text in self.values(&birth.column) {
                draft.published.add("date_of_birth", text);
                draft.birth(field(&birth.column), self.date(text));
            }
        }
        for document in &mapping.document {
            for (number, issuer) in self.pairs(&document.number, document.issuer.as_ref()) {
                let (number, issuer) = (number.to_owned(), issuer.map(str::to_owned));
                draft.document(Document {
                    class: document.class,
                    number,
                    issuer,
                });
            }
        }
        self.others(&mut draft);
        for published in &mapping.published {
            for text in self.values(&published.column) {
                draft.published.add(published.name.clone(), text);
            }
        }
        draft.finish(self.value(&mapping.id), queue);
    }

    fn others(&self, draft: &mut Draft) {
        let mapping = &self.reader.mapping;
        for id in &mapping.national_id {
            for (number, country) in self.pairs(&id.number, id.country.as_ref()) {
                let (number, country) = (number.to_owned(), country.map(str::to_owned));
                draft.other(Other::NationalId { number, country });
            }
        }
        for reference in &mapping.biometric_reference {
            for (number, system) in self.pairs(&reference.number, Some(&reference.system)) {
                match system.map(str::to_owned) {
                    Some(system) => draft.other(Other::BiometricReference {
                        system,
                        number: number.to_owned(),
                    }),
                    None => draft.reject(field(&reference.system), Rule::Value),
                }
            }
        }
        for digest in &mapping.biometric_record_digest {
            for (hex, algorithm) in self.pairs(&digest.hex, Some(&digest.algorithm)) {
                match algorithm.map(str::to_owned) {
                    Some(algorithm) => draft.other(Other::BiometricRecordDigest {
                        algorithm,
                        hex: hex.to_owned(),
                    }),
                    None => draft.reject(field(&digest.algorithm), Rule::Value),
                }
            }
        }
        for plate in &mapping.vehicle_plate {
            for (number, country) in self.pairs(&plate.plate, Some(&plate.country)) {
                match country.map(str::to_owned) {
                    Some(country) => draft.other(Other::VehiclePlate {
                        country,
                        plate: number.to_owned(),
                    }),
                    None => draft.reject(field(&plate.country), Rule::Value),
                }
            }
        }
        self.ones(&mapping.phone, Other::Phone, draft);
        self.ones(&mapping.email, Other::Email, draft);
        self.ones(&mapping.iban, Other::Iban, draft);
        self.ones(&mapping.vin, Other::Vin, draft);
    }

    fn ones(&self, columns: &'a [OneColumn], other: fn(String) -> Other, draft: &mut Draft) {
        for text in columns.iter().flat_map(|one| self.values(&one.column)) {
            draft.other(other(text.to_owned()));
        }
    }

    /// A date in the first pattern that fits.
    fn date(&self, text: &str) -> Result<BirthDate, Rule> {
        let mut reason = Rule::BirthDate;
        for pattern in &self.reader.mapping.dates {
            let Ok(parsed) = BrokenDownTime::parse(pattern, text) else {
                continue;
            };
            let Some(year) = parsed.year() else { continue };
            let [month, day] =
                [parsed.month(), parsed.day()].map(|number| number.map_or(0, i8::unsigned_abs));
            let year = match pattern.contains("%y") {
                true => dates::birth_century(year.rem_euclid(100), month, day, self.reader.today),
                false if (0..100).contains(&year) => {
                    // Another pattern may take it.
                    reason = Rule::TwoDigitYear;
                    continue;
                }
                false => year,
            };
            return dates::from_numbers(year, month, day);
        }
        Err(reason)
    }
}

/// How a reject names a column.
fn field(column: &Column) -> &str {
    match column {
        Column::Name(name) => name,
        Column::Number(_) => "numbered column",
        Column::Constant(_) => "constant",
    }
}

/// A source in any encoding, as UTF-8. What is no text becomes the replacement character, which rows reject.
struct Decoded {
    source: Source,
    decoder: Decoder,
    text: Vec<u8>,
    at: usize,
    ended: bool,
    line: u64,
}

impl Decoded {
    fn new(source: Source, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder_with_bom_removal();
        Self {
            source,
            decoder,
            text: Vec::new(),
            at: 0,
            ended: false,
            line: 1,
        }
    }
}

impl RowBytes for Decoded {
    fn source(&mut self) -> &mut Source {
        &mut self.source
    }

    fn text_line(&mut self) -> u64 {
        self.line
    }
}

impl Read for Decoded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Decoded {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.text.len() && !self.ended {
            let bytes = self.source.fill_buf()?;
            self.ended = bytes.is_empty();
            let length = self
                .decoder
                .max_utf8_buffer_length(bytes.len())
                .unwrap_or(bytes.len() * 3 + 3);
            self.text.resize(length, 0);
            let (result, read, written, _) = self.decoder.decode_to_utf8(bytes, &mut self.text, self.ended);
            debug_assert_eq!(result, CoderResult::InputEmpty);
            self.source.consume(read);
            self.text.truncate(written);
            self.at = 0;
        }
        Ok(&self.text[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.line += self.text[self.at..self.at + length]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        self.at += length;
    }
}
