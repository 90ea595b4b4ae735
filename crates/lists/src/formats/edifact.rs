//! UN/EDIFACT syntax (ISO 9735): segments out of an interchange, as it was sent or as it came by telex.

use std::io::BufRead;

use crate::Error;
use crate::input::Source;

/// The service characters: those that `UNA` declares, or the default ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Service {
    component: u8,
    element: u8,
    release: u8,
    terminator: u8,
}

const DEFAULT: Service = Service {
    component: b':',
    element: b'+',
    release: b'?',
    terminator: b'\'',
};

impl Service {
    /// From the six characters after `UNA`.
    fn declared(una: [u8; 6]) -> Option<Self> {
        let [component, element, _decimal, release, _reserved, terminator] = una;
        let used = [component, element, terminator];
        let plain = used.iter().all(u8::is_ascii_punctuation) && !release.is_ascii_alphanumeric();
        let distinct = component != element && element != terminator && component != terminator;
        (plain && distinct && !used.contains(&release)).then_some(Self {
            component,
            element,
            release,
            terminator,
        })
    }
}

/// A segment: its tag and its elements, each a list of components, released and decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) line: u64,
    pub(super) elements: Vec<Vec<String>>,
}

impl Segment {
    pub(super) fn tag(&self) -> &str {
        self.get(0, 0)
    }

    /// A component, trimmed; empty if the segment ends before it. Element 0 is the tag.
    pub(super) fn get(&self, element: usize, component: usize) -> &str {
        self.elements
            .get(element)
            .and_then(|components| components.get(component))
            .map_or("", |text| text.trim())
    }
}

/// The components of an element, as bytes.
type Element = Vec<Vec<u8>>;

/// Reads segments. Carriage returns and line feeds are no part of the syntax: a copy that was wrapped at a fixed
/// width reads like the original.
pub(super) struct Segments {
    source: Source,
    service: Service,
    /// What was read ahead to find the start.
    ahead: Option<Vec<u8>>,
    encoding: Option<&'static encoding_rs::Encoding>,
}

impl Segments {
    /// Looks for the start of an interchange (`UNA`, `UNB` or `UNH`) behind any telex or mail header.
    pub(super) fn new(source: Source) -> Result<Self, Error> {
        let mut segments = Self {
            source,
            service: DEFAULT,
            ahead: None,
            encoding: None,
        };
        match segments.restart()? {
            true => Ok(segments),
            false => Err(segments
                .source
                .wrong_format("no UNA, UNB or UNH segment starts in its first 64 KiB")),
        }
    }

    /// Looks for the start of the next interchange; false if none comes.
    ///
    /// # Errors
    /// One starts behind more than 64 KiB of other bytes: it would be no header any more, and passing it over would
    /// lose its passengers.
    pub(super) fn restart(&mut self) -> Result<bool, Error> {
        const HEADER: usize = 64 << 10;
        /// Enough of the last bytes for a start to be seen when the rest of them is dropped.
        const TAIL: usize = 32;
        (self.service, self.encoding, self.ahead) = (DEFAULT, None, None);
        let mut seen = Vec::new();
        // Where the last `UNA` ended.
        let mut una: Option<usize> = None;
        let mut late = false;
        self.source.start_record();
        while let Some(byte) = next_byte(&mut self.source)? {
            if seen.len() > HEADER {
                // Not a header any more, but the input is read to its end: it may be cut off.
                late = true;
                let dropped = seen.len() - TAIL;
                seen.drain(..dropped);
                una = una.and_then(|at| at.checked_sub(dropped));
                self.source.start_record();
            }
            seen.push(byte);
            if seen.ends_with(b"UNA") {
                una = Some(seen.len());
            }
            let start = if seen.ends_with(b"UNB") || seen.ends_with(b"UNH") {
                // Six characters and optional blanks stand between `UNA` and the segment it announces.
                let announced = una.and_then(|at| seen[at..].split_first_chunk::<6>());
                let declared = announced.filter(|(_, rest)| rest.trim_ascii_start().len() == 3);
                declared
                    .and_then(|(una, _)| Service::declared(*una))
                    .map(|service| (service, 3))
            } else if seen.ends_with(b"UNB+") || seen.ends_with(b"UNH+") {
                Some((DEFAULT, 4))
            } else {
                None
            };
            match start {
                Some(_) if late => {
                    return Err(self.source.syntax(
                        "an interchange starts behind more than 64 KiB of other bytes; take them away",
                    ));
                }
                Some((service, length)) => {
                    self.service = service;
                    self.ahead = Some(seen.split_off(seen.len() - length));
                    return Ok(true);
                }
                None => {}
            }
        }
        Ok(false)
    }

    pub(super) fn source(&mut self) -> &mut Source {
        &mut self.source
    }

    /// The next segment; nothing at the end of the input.
    pub(super) fn next(&mut self) -> Result<Option<Segment>, Error> {
        let Some((line, elements)) = self.next_bytes()? else {
            return Ok(None);
        };
        let decode = |element: &Element| element.iter().map(|bytes| self.decode(bytes)).collect();
        let elements = elements.iter().map(decode).collect::<Option<_>>();
        // A segment that cannot be read may start another passenger: what follows it belongs to nobody.
        let Some(elements) = elements else {
            return Err(self
                .source
                .syntax("the segment is not text in the encoding that UNB declares"));
        };
        let segment = Segment { line, elements };
        if segment.tag() == "UNB" {
            self.encoding = encoding(segment.get(1, 0));
        }
        Ok(Some(segment))
    }

    /// The line of the next segment, and its elements in components.
    fn next_bytes(&mut self) -> Result<Option<(u64, Vec<Element>)>, Error> {
        self.source.start_record();
        let mut ahead = self.ahead.take().unwrap_or_default().into_iter();
        let mut next = |source: &mut Source| match ahead.next() {
            Some(byte) => Ok(Some(byte)),
            None => next_byte(source),
        };
        let Some(mut byte) = first_visible(&mut next, &mut self.source)? else {
            return Ok(None);
        };
        let line = self.source.line();
        let Service {
            component,
            element,
            release,
            terminator,
        } = self.service;
        let mut elements: Vec<Element> = vec![vec![Vec::new()]];
        loop {
            // A space as release character means that there is none.
            let released = byte == release && release != b' ';
            if released {
                byte = next(&mut self.source)?.ok_or_else(|| self.source.truncated())?;
            }
            match elements.last_mut() {
                _ if !released && byte == terminator => return Ok(Some((line, elements))),
                _ if !released && byte == element => elements.push(vec![Vec::new()]),
                Some(components) if !released && byte == component => components.push(Vec::new()),
                components => {
                    if let Some(text) = components.and_then(|components| components.last_mut()) {
                        text.push(byte);
                    }
                }
            }
            byte = next(&mut self.source)?.ok_or_else(|| self.source.truncated())?;
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => Some(self.encoding?.decode_without_bom_handling(bytes).0.into_owned()),
        }
    }
}

/// The encoding of a syntax identifier (ISO 9735-1, annex A). Bytes that are valid UTF-8 are taken as such before.
fn encoding(syntax: &str) -> Option<&'static encoding_rs::Encoding> {
    Some(match syntax {
        // Level A and B are ASCII; carriers send Latin letters in them all the same.
        "UNOA" | "UNOB" | "UNOC" => encoding_rs::WINDOWS_1252,
        "UNOD" => encoding_rs::ISO_8859_2,
        "UNOE" => encoding_rs::ISO_8859_5,
        "UNOF" => encoding_rs::ISO_8859_7,
        "UNOG" => encoding_rs::ISO_8859_3,
        "UNOH" => encoding_rs::ISO_8859_4,
        "UNOI" => encoding_rs::ISO_8859_6,
        "UNOJ" => encoding_rs::ISO_8859_8,
        "UNOK" => encoding_rs::WINDOWS_1254,
        _ => return None,
    })
}

/// The next byte that is no blank.
fn first_visible(
    next: &mut impl FnMut(&mut Source) -> Result<Option<u8>, Error>,
    source: &mut Source,
) -> Result<Option<u8>, Error> {
    loop {
        match next(source)? {
            Some(byte) if byte.is_ascii_whitespace() => {}
            other => return Ok(other),
        }
    }
}

/// The next byte that is no line end.
fn next_byte(source: &mut Source) -> Result<Option<u8>, Error> {
    loop {
        let Some(byte) = source.buffer()?.first().copied() else {
            return Ok(None);
        };
        source.consume(1);
        if !matches!(byte, b'\r' | b'\n') {
            return Ok(Some(byte));
        }
    }
}
