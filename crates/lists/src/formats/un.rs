//! `un-sc`: the UN Security Council consolidated list in XML.

use std::sync::Arc;

use concordat_identifiers::{BirthDate, Document, DocumentClass, NameRank, Other};

use super::xml::{self, Element};
use crate::dates;
use crate::documents::{Found, Sort, scan};
use crate::draft::{Draft, Queue};
use crate::input::Source;
use crate::{Error, Rule};

const ROOT: &str = "CONSOLIDATED_LIST";
const PERSON: &str = "INDIVIDUAL";

/// Reads the list.
pub(crate) struct UnSc {
    records: xml::Records,
}

impl UnSc {
    pub(crate) fn new(source: Source) -> Result<Self, Error> {
        let mut records = xml::Records::new(source);
        let why = match records.root() {
            Ok(Some(root)) if root == ROOT => return Ok(Self { records }),
            Ok(Some(_)) => format!("its root element is not {ROOT}"),
            Ok(None) | Err(Error::Syntax { .. }) => "it does not start with an XML element".to_owned(),
            Err(error) => return Err(error),
        };
        Err(records.source().wrong_format(why))
    }
}

impl super::Records for UnSc {
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        let Some((line, element)) = self.records.next(|name| matches!(name, PERSON | "ENTITY"))? else {
            return Ok(false);
        };
        let source = self.records.source();
        if element.longest_text() > source.limits().text_bytes {
            let id = element.text_of("REFERENCE_NUMBER");
            queue.reject_named(source.name(), line, Rule::TextTooLong, id);
        } else if element.name == PERSON {
            person(&element, Draft::new(Arc::clone(source.name()), line), queue);
        } else {
            queue.skipped.push("entity");
        }
        Ok(true)
    }
}

fn person(element: &Element, mut draft: Draft, queue: &mut Queue) {
    draft.published.add("type", "individual");
    let parts = ["FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME"].map(|part| element.text_of(part));
    let parts: Vec<&str> = parts.iter().flat_map(|part| part.split_whitespace()).collect();
    draft.name_whole(NameRank::Primary, &parts.join(" "));
    for original in element.all("NAME_ORIGINAL_SCRIPT") {
        // A note in Latin letters behind it names the script.
        let (name, _) = without_note(&original.text);
        draft.name_whole(NameRank::Alias, &name);
    }
    for alias in element.all("INDIVIDUAL_ALIAS") {
        let rank = match alias.text_of("QUALITY") {
            "Low" => NameRank::WeakAlias,
            _ => NameRank::Alias,
        };
        aliases(alias.text_of("ALIAS_NAME"), rank, &mut draft);
        // The date that the person gave under that name.
        let date = alias.text_of("DATE_OF_BIRTH");
        if !date.is_empty() {
            draft.published.add("date_of_birth", date);
            draft.birth("INDIVIDUAL_ALIAS/DATE_OF_BIRTH", dates::birth(iso_day(date)));
        }
    }
    for birth in element.all("INDIVIDUAL_DATE_OF_BIRTH") {
        date_of_birth(birth, &mut draft);
    }
    for element in element.all("INDIVIDUAL_DOCUMENT") {
        document(element, &mut draft);
    }
    publish(element, &mut draft);
    draft.finish(element.text_of("REFERENCE_NUMBER"), queue);
}

/// One element may hold several aliases, and the same alias in two scripts.
fn aliases(text: &str, rank: NameRank, draft: &mut Draft) {
    for alias in split_outside_parentheses(text) {
        let (alias, story) = alias
            .split_once(", born ")
            .map_or((alias, false), |(alias, _)| (alias, true));
        let (name, note) = without_note(alias);
        let name = name.trim_matches(['"', '“', '”', '\'']);
        if story || name.bytes().any(|byte| byte.is_ascii_digit()) {
            draft.reject("INDIVIDUAL_ALIAS/ALIAS_NAME", Rule::Name);
        }
        draft.name(rank, name);
        let note = note.strip_prefix("original script:").unwrap_or(&note);
        if is_latin(note) != is_latin(name) {
            for other in note.split(';') {
                draft.name(rank, other);
            }
        } else if !note.is_empty() {
            draft.published.add("remarks", alias);
        }
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// A name and the note in parentheses behind it: `Testa (Теста)`. Parentheses elsewhere are taken off and their
/// words kept: `(Sheikh) Testa`.
fn without_note(text: &str) -> (String, String) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((name, note)) = text.strip_suffix(')').and_then(|text| text.split_once('('))
        && !name.trim().is_empty()
    {
        return (name.trim().to_owned(), note.trim().to_owned());
    }
    (text.replace(['(', ')'], " ").trim().to_owned(), String::new())
}

fn is_latin(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).all(|c| c < '\u{250}')
}

fn date_of_birth(element: &Element, draft: &mut Draft) {
    const FIELD: &str = "INDIVIDUAL_DATE_OF_BIRTH";
    let [date, year, from, to, note] =
        ["DATE", "YEAR", "FROM_YEAR", "TO_YEAR", "NOTE"].map(|part| element.text_of(part));
    draft.published.add(
        "date_of_birth",
        element
            .children
            .iter()
            .map(|part| part.text.trim())
            .collect::<Vec<_>>()
            .join(" "),
    );
    if [date, year, from, to, note].iter().all(|text| text.is_empty()) {
        return;
    }
    let birth = if !from.is_empty() || !to.is_empty() {
        match (dates::birth(from), dates::birth(to)) {
            (Ok(BirthDate::Year { year: from }), Ok(BirthDate::Year { year: to })) => dates::years(from, to),
            _ => Err(Rule::BirthDate),
        }
    } else if !date.is_empty() {
        dates::birth(iso_day(date))
    } else if !year.is_empty() {
        // `YEAR 1958, NOTE Sep.`
        dates::birth(&format!("{note} {year}")).or_else(|_| dates::birth(year))
    } else {
        dates::birth(note)
    };
    draft.birth(FIELD, birth);
}

/// The day of an XML Schema date, which may carry a time zone: `1970-01-01-05:00`.
fn iso_day(text: &str) -> &str {
    match text.as_bytes().get(10) {
        Some(b'-' | b'+' | b'Z' | b'T') => text.get(..10).unwrap_or(text),
        _ => text,
    }
}

fn document(element: &Element, draft: &mut Draft) {
    const FIELD: &str = "INDIVIDUAL_DOCUMENT";
    let [kind, kind2, number, note] =
        ["TYPE_OF_DOCUMENT", "TYPE_OF_DOCUMENT2", "NUMBER", "NOTE"].map(|part| element.text_of(part));
    if [kind, kind2, number, note].iter().all(|text| text.is_empty()) {
        return;
    }
    let default = match kind.to_lowercase() {
        kind if kind.contains("passport") || kind.contains("passeport") || kind.contains("pasaporte") => {
            Sort::Travel(DocumentClass::Passport)
        }
        _ => Sort::NationalId,
    };
    let default = match kind2.to_lowercase() {
        kind2 if kind2.contains("passport") => Sort::Travel(DocumentClass::Passport),
        _ => default,
    };
    // The number may stand in its own element, bare or in a sentence, or in the second kind, or in the note.
    let found = [number, kind2, note].into_iter().find_map(|text| {
        let found = scan(text, default);
        (!found.is_empty()).then_some(found)
    });
    let Some(found) = found else {
        draft.reject(FIELD, Rule::DocumentNumber);
        return;
    };
    let printed = ["COUNTRY_OF_ISSUE", "ISSUING_COUNTRY"]
        .into_iter()
        .map(|part| element.text_of(part));
    let printed = printed
        .into_iter()
        .find(|country| !country.is_empty())
        .map(str::to_owned);
    for Found { sort, number, issuer } in found {
        let issuer = printed.clone().or(issuer);
        match sort {
            Sort::Travel(class) => draft.document(Document {
                class,
                number,
                issuer,
            }),
            Sort::NationalId => draft.other(Other::NationalId {
                number,
                country: issuer,
            }),
        }
    }
}

fn publish(element: &Element, draft: &mut Draft) {
    let published = &mut draft.published;
    for (name, part) in [
        ("programme", "UN_LIST_TYPE"),
        ("listed_on", "LISTED_ON"),
        ("gender", "GENDER"),
        ("remarks", "COMMENTS1"),
        ("reference", "REFERENCE_NUMBER"),
    ] {
        published.add(name, element.text_of(part));
    }
    for (name, part) in [
        ("nationality", "NATIONALITY"),
        ("position", "DESIGNATION"),
        ("title", "TITLE"),
        ("updated_on", "LAST_DAY_UPDATED"),
    ] {
        for value in element.all(part).flat_map(|part| part.all("VALUE")) {
            published.add(name, &value.text);
        }
    }
    for (name, part) in [
        ("address", "INDIVIDUAL_ADDRESS"),
        ("place_of_birth", "INDIVIDUAL_PLACE_OF_BIRTH"),
    ] {
        for place in element.all(part) {
            let parts = place
                .children
                .iter()
                .map(|part| part.text.trim())
                .filter(|text| !text.is_empty());
            published.add(name, parts.collect::<Vec<_>>().join(", "));
        }
    }
    for note in element
        .all("INDIVIDUAL_DOCUMENT")
        .flat_map(|document| document.all("NOTE"))
    {
        published.add("remarks", &note.text);
    }
}
