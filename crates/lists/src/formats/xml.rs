//! XML, one record element at a time, without anything that XML can do beyond elements and text.
//!
//! Document type declarations and entities of their own are refused outright: no list needs them, and every XML
//! attack does. Depth, size and text are bounded.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use crate::Error;
use crate::input::Source;

/// An element: its name without prefix, its own text, its children in order. Attributes are not kept.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Self>,
}

impl Element {
    /// The trimmed text of the first child of this name; empty if there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        self.all(name).next().map_or("", |child| child.text.trim())
    }

    /// All children of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The length of the longest text in it.
    pub(crate) fn longest_text(&self) -> usize {
        let children = self.children.iter().map(Self::longest_text).max();
        self.text.len().max(children.unwrap_or(0))
    }
}

/// Reads the records of a document: the elements of given names, wherever they are.
pub(crate) struct Records {
    reader: Reader<Source>,
    buffer: Vec<u8>,
    /// Elements that are open around the next record.
    depth: usize,
    started: bool,
}

impl Records {
    pub(crate) fn new(source: Source) -> Self {
        let mut reader = Reader::from_reader(source);
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            depth: 0,
            started: false,
        }
    }

    pub(crate) fn source(&mut self) -> &mut Source {
        self.reader.get_mut()
    }

    /// The name of the root element.
    pub(crate) fn root(&mut self) -> Result<Option<String>, Error> {
        loop {
            match self.event()? {
                Some(Piece::Start(name)) => return Ok(Some(name)),
                Some(Piece::Text(text)) if text.trim().is_empty() => {}
                _ => return Ok(None),
            }
        }
    }

    /// The next record and the line of its start; none after the end of the root.
    pub(crate) fn next(&mut self, is_record: fn(&str) -> bool) -> Result<Option<(u64, Element)>, Error> {
        loop {
            self.source().start_record();
            match self.event()? {
                None => return Ok(None),
                Some(Piece::Start(name)) if is_record(&name) => {
                    let line = self.source().line();
                    return Ok(Some((line, self.element(name)?)));
                }
                Some(_) => {}
            }
        }
    }

    /// The rest of an element whose start was read.
    fn element(&mut self, name: String) -> Result<Element, Error> {
        let mut open = vec![Element {
            name,
            ..Element::default()
        }];
        loop {
            match self.event()? {
                Some(Piece::Start(name)) => open.push(Element {
                    name,
                    ..Element::default()
                }),
                Some(Piece::Text(text)) => {
                    if let Some(last) = open.last_mut() {
                        last.text.push_str(&text);
                    }
                }
                Some(Piece::End) => {
                    let Some(done) = open.pop() else {
                        return Err(self.source().truncated());
                    };
                    match open.last_mut() {
                        Some(parent) => parent.children.push(done),
                        None => return Ok(done),
                    }
                }
                None => return Err(self.source().truncated()),
            }
        }
    }

    /// The next piece; none at the proper end of the document.
    fn event(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            self.buffer.clear();
            let max_depth = self.reader.get_mut().limits().depth;
            let event = self.reader.read_event_into(&mut self.buffer);
            // An I/O error inside markup comes back as broken markup, or as the end.
            if let Some(fault) = self.reader.get_mut().take_fault() {
                return Err(fault);
            }
            let piece = match event {
                Ok(Event::Start(start)) => {
                    let name = start.local_name().as_ref().to_owned();
                    if self.started && self.depth == 0 {
                        return Err(self.source().syntax("the XML goes on after its root element"));
                    }
                    (self.started, self.depth) = (true, self.depth + 1);
                    if self.depth > max_depth {
                        return Err(self.source().refused("elements are nested too deep"));
                    }
                    Piece::Start(name)
                }
                Ok(Event::End(_)) => {
                    self.depth = self.depth.saturating_sub(1);
                    Piece::End
                }
                Ok(Event::Text(text)) => Piece::Text(text.xml10_content().into_owned()),
                Ok(Event::CData(text)) => Piece::Text(text.xml10_content().into_owned()),
                Ok(Event::GeneralRef(reference)) => {
                    let character = match reference.resolve_char_ref() {
                        Ok(Some(character)) => Some(character.to_string()),
                        Ok(None) => resolve_predefined_entity(&reference.xml10_content()).map(str::to_owned),
                        Err(_) => return Err(self.source().syntax("a character reference is not valid")),
                    };
                    match character {
                        Some(text) => Piece::Text(text),
                        None => {
                            return Err(self
                                .source()
                                .refused("an XML entity that is not one of the five of XML"));
                        }
                    }
                }
                Ok(Event::Decl(declaration)) => {
                    let utf8 = match declaration.encoding() {
                        None => true,
                        Some(Ok(encoding)) => {
                            ["utf-8", "utf8", "us-ascii"].contains(&&*encoding.to_ascii_lowercase())
                        }
                        Some(Err(_)) => false,
                    };
                    if !utf8 {
                        return Err(self
                            .source()
                            .syntax("the encoding of the XML is not UTF-8; convert it"));
                    }
                    continue;
                }
                Ok(Event::DocType(_)) => {
                    return Err(self.source().refused("an XML document type declaration"));
                }
                Ok(Event::Comment(_) | Event::PI(_) | Event::Empty(_)) => continue,
                Ok(Event::Eof) if self.started && self.depth == 0 => return Ok(None),
                Ok(Event::Eof) if self.started => return Err(self.source().truncated()),
                Ok(Event::Eof) => return Ok(None),
                Err(error) => return Err(self.blame(error)),
            };
            return Ok(Some(piece));
        }
    }

    fn blame(&mut self, error: quick_xml::Error) -> Error {
        use quick_xml::errors::{IllFormedError, SyntaxError};
        match error {
            quick_xml::Error::Io(error) => {
                let kind = error.kind();
                self.source().blame(kind.into())
            }
            quick_xml::Error::Syntax(
                SyntaxError::UnclosedTag
                | SyntaxError::UnclosedComment
                | SyntaxError::UnclosedCData
                | SyntaxError::UnclosedPI
                | SyntaxError::UnclosedXmlDecl,
            )
            | quick_xml::Error::IllFormed(IllFormedError::MissingEndTag(_)) => self.source().truncated(),
            quick_xml::Error::Syntax(SyntaxError::UnclosedDoctype) => {
                self.source().refused("an XML document type declaration")
            }
            quick_xml::Error::Encoding(_) => self.source().syntax("the XML is not valid UTF-8"),
            _ => self.source().syntax("the XML is not well-formed"),
        }
    }
}

/// A piece of a document.
enum Piece {
    Start(String),
    Text(String),
    End,
}
