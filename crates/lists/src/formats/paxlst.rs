//! `paxlst`: UN/EDIFACT passenger list messages (WCO/IATA/ICAO API guide), a query format. Each passenger and crew
//! member becomes an entry, numbered from 1 through the whole input.

use std::sync::Arc;

use concordat_identifiers::{BirthDate, Document, DocumentClass, NameRank};
use jiff::civil::Date;

use super::Records;
use super::edifact::{Segment, Segments};
use super::paxlst_counts::Counts;
use crate::dates;
use crate::draft::{Draft, Queue};
use crate::input::Source;
use crate::{Error, Published, Rule};

/// Reads the messages.
pub(crate) struct Paxlst {
    input: Arc<str>,
    segments: Segments,
    today: Date,
    /// Passengers so far.
    count: u64,
    /// Bytes of the passenger, or of the message before the first one.
    bytes: usize,
    /// An interchange is open: only `UNZ` may end the input.
    interchange: bool,
    message: Message,
    counts: Counts,
}

enum Message {
    /// Between messages.
    None,
    /// Inside one of another type.
    Other,
    /// Inside a passenger list.
    Paxlst {
        flight: Published,
        passenger: Option<Box<Passenger>>,
    },
}

/// One `NAD` group.
struct Passenger {
    draft: Draft,
    /// The document whose issuer and expiry may follow.
    document: Option<Document>,
}

impl Paxlst {
    pub(crate) fn new(source: Source, today: Date) -> Result<Self, Error> {
        let input = Arc::clone(source.name());
        let segments = Segments::new(source)?;
        Ok(Self {
            input,
            segments,
            today,
            count: 0,
            bytes: 0,
            interchange: false,
            message: Message::None,
            counts: Counts::default(),
        })
    }

    /// Hands the passenger over that is being read.
    fn finish_passenger(&mut self, queue: &mut Queue) {
        let Message::Paxlst { flight, passenger } = &mut self.message else {
            return;
        };
        let Some(mut passenger) = passenger.take() else {
            return;
        };
        if let Some(document) = passenger.document.take() {
            passenger.draft.document(document);
        }
        for (name, texts) in flight.iter() {
            for text in texts {
                passenger.draft.published.add(name.to_owned(), text);
            }
        }
        self.count += 1;
        passenger.draft.finish(&self.count.to_string(), queue);
    }

    fn message_segment(&mut self, segment: &Segment, queue: &mut Queue) {
        let tag = (segment.tag(), segment.get(1, 0));
        if matches!(tag, ("NAD", "FL" | "FM" | "DDT" | "DDU")) {
            self.finish_passenger(queue);
            self.bytes = 0;
            self.counts.person(tag.1);
        }
        let Message::Paxlst { flight, passenger } = &mut self.message else {
            return;
        };
        match (tag, passenger) {
            (("NAD", kind @ ("FL" | "FM" | "DDT" | "DDU")), passenger) => {
                let draft = Draft::new(Arc::clone(&self.input), segment.line);
                *passenger = Some(Box::new(new_passenger(draft, segment, kind)));
            }
            ((tag, _), Some(passenger)) => passenger_segment(tag, segment, passenger, self.today),
            ((tag, qualifier), None) => flight_segment(tag, qualifier, segment, flight),
        }
    }
}

impl Records for Paxlst {
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        let Some(segment) = self.segments.next()? else {
            return self.end();
        };
        let source = self.segments.source();
        self.bytes += source.record_bytes();
        let limit = source.limits().entry_bytes;
        if self.bytes > limit {
            return Err(source.too_large(limit));
        }
        self.counts.segments += 1;
        match segment.tag() {
            "UNB" => {
                self.interchange = true;
                self.counts.start_interchange();
            }
            "UNZ" => {
                if !matches!(self.message, Message::None) {
                    return Err(self.segments.source().truncated());
                }
                self.counts.interchange(&segment, self.segments.source())?;
                self.interchange = false;
                // What stands behind an interchange is a mail's signature or another interchange.
                return self.segments.restart();
            }
            "UNG" => self.counts.start_group(),
            "UNE" => self.counts.group(&segment, self.segments.source())?,
            "UNH" => {
                if !matches!(self.message, Message::None) {
                    return Err(self
                        .segments
                        .source()
                        .syntax("a message starts before the last one has ended"));
                }
                self.counts.start_message(&segment);
                if segment.get(2, 0) == "PAXLST" {
                    self.message = Message::Paxlst {
                        flight: Published::default(),
                        passenger: None,
                    };
                } else {
                    queue.reject_record(&self.input, segment.line, Rule::NotPaxlst);
                    self.message = Message::Other;
                }
            }
            "UNT" => {
                self.finish_passenger(queue);
                self.counts.message(&segment, self.segments.source())?;
                self.bytes = 0;
                self.message = Message::None;
            }
            _ if matches!(self.message, Message::None) => {
                return Err(self
                    .segments
                    .source()
                    .syntax("a segment stands outside any message"));
            }
            "CNT" => self.counts.declare(&segment, self.segments.source())?,
            _ => self.message_segment(&segment, queue),
        }
        Ok(true)
    }
}

impl Paxlst {
    /// The input has ended: properly only between messages and interchanges.
    fn end(&mut self) -> Result<bool, Error> {
        match (&self.message, self.interchange) {
            (Message::None, false) => Ok(false),
            _ => Err(self.segments.source().truncated()),
        }
    }
}

/// `NAD+FL+++FAMILY:GIVEN:SECOND`
fn new_passenger(mut draft: Draft, segment: &Segment, kind: &str) -> Passenger {
    let family = segment.get(4, 0);
    let given = segment
        .elements
        .get(4)
        .map(|names| names.get(1..).unwrap_or_default())
        .unwrap_or_default();
    let given: Vec<&str> = given
        .iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
        .collect();
    if family.is_empty() {
        draft.reject("NAD", Rule::Passenger);
    }
    draft.name_parts(NameRank::Primary, family, &given.join(" "));
    draft.published.add(
        "type",
        match kind {
            "FM" | "DDU" => "crew",
            _ => "passenger",
        },
    );
    Passenger {
        draft,
        document: None,
    }
}

fn passenger_segment(tag: &str, segment: &Segment, passenger: &mut Passenger, today: Date) {
    let Passenger { draft, document } = passenger;
    match (tag, segment.get(1, 0)) {
        ("DTM", "329") => draft.birth("DTM+329", date_of_birth(segment, today)),
        ("DTM", "36") => draft.published.add("expiry", segment.get(1, 1)),
        ("ATT", "2") => draft.published.add("gender", segment.get(3, 0)),
        ("NAT", _) => draft.published.add("nationality", segment.get(2, 0)),
        ("LOC", "91") => match document {
            // The issuer of the document that stands before it.
            Some(document) if document.issuer.is_none() => {
                document.issuer = Some(segment.get(2, 0))
                    .filter(|code| !code.is_empty())
                    .map(str::to_owned);
            }
            _ => draft.reject("LOC+91", Rule::Segment),
        },
        ("LOC", "178") => draft.published.add("departure", segment.get(2, 0)),
        ("LOC", "179") => draft.published.add("arrival", segment.get(2, 0)),
        ("LOC", "180") => {
            let place = segment
                .elements
                .get(2)
                .map(|parts| parts.join(" "))
                .unwrap_or_default();
            draft.published.add("place_of_birth", place);
        }
        ("RFF", "AVF") => draft.published.add("booking", segment.get(1, 1)),
        ("RFF", "SEA") => draft.published.add("seat", segment.get(1, 1)),
        ("RFF", _) => draft.published.add("reference", segment.get(1, 1)),
        ("DOC", code) => {
            if let Some(done) = document.take() {
                draft.document(done);
            }
            let number = segment.get(2, 0);
            if number.is_empty() {
                draft.reject("DOC", Rule::DocumentNumber);
            } else {
                *document = Some(Document {
                    class: class(code),
                    number: number.to_owned(),
                    issuer: None,
                });
            }
        }
        _ => {}
    }
}

/// The class of a document from its code, whose first letter is ICAO 9303's.
fn class(code: &str) -> DocumentClass {
    match code.as_bytes().first() {
        Some(b'P') => DocumentClass::Passport,
        Some(b'V') => DocumentClass::Visa,
        Some(b'A' | b'C' | b'I') => DocumentClass::IdentityCard,
        _ => DocumentClass::Other,
    }
}

/// `DTM+329:yymmdd` or `DTM+329:ccyymmdd:102`; `00` for an unknown month or day.
fn date_of_birth(segment: &Segment, today: Date) -> Result<BirthDate, Rule> {
    let text = segment.get(1, 1);
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rule::BirthDate);
    }
    let (year, rest) = match text.len() {
        6 => text.split_at(2),
        8 => text.split_at(4),
        _ => return Err(Rule::BirthDate),
    };
    let (Ok(number), Ok(month), Ok(day)) = (year.parse(), rest[..2].parse(), rest[2..].parse()) else {
        return Err(Rule::BirthDate);
    };
    let year = if year.len() == 2 {
        dates::birth_century(number, month, day, today)
    } else {
        number
    };
    dates::from_numbers(year, month, day)
}

/// What is said once for all passengers; of the first legs, because each passenger gets a copy of it.
fn flight_segment(tag: &str, qualifier: &str, segment: &Segment, flight: &mut Published) {
    const LEGS: usize = 20;
    if flight.iter().any(|(_, texts)| texts.len() >= 2 * LEGS) {
        return;
    }
    match (tag, qualifier) {
        ("TDT", _) => flight.add("flight", segment.get(2, 0)),
        // A departure or arrival of the whole flight; a passenger's own stands in its group.
        ("LOC", "125") => flight.add("flight_departure", segment.get(2, 0)),
        ("LOC", "87") => flight.add("flight_arrival", segment.get(2, 0)),
        ("DTM", "189") => flight.add("flight_departure", segment.get(1, 1)),
        ("DTM", "232") => flight.add("flight_arrival", segment.get(1, 1)),
        _ => {}
    }
}
