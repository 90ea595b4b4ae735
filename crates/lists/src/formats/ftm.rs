//! `ftm`: FollowTheMoney entities as JSON lines, as OpenSanctions publishes them (`entities.ftm.json`, and
//! `targets.nested.json` with the entities of a person inside it).
//!
//! Persons are joined with the `Passport` and `Identification` entities that name them as holder, which may stand
//! anywhere in the file: all of them are sorted by the id of the person, on disk when they outgrow the memory.

use std::borrow::Cow;
use std::sync::Arc;

use concordat_identifiers::{Document, DocumentClass, NameRank, Other};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::Records;
use crate::dates;
use crate::draft::{Draft, Queue};
use crate::input::Source;
use crate::sorter::{Group, Groups, Sorter};
use crate::{Error, Options, Rule};

/// Reads the entities.
pub(crate) struct Ftm {
    input: Arc<str>,
    state: State,
}

enum State {
    Collecting(Box<Collecting>),
    Joining(Groups),
    Ended,
}

/// Lines are being sorted by the person they belong to.
struct Collecting {
    source: Source,
    line: Vec<u8>,
    sorter: Sorter,
    /// No entity was read yet: if the first line is none, it is the wrong file.
    first: bool,
}

/// An entity, and the line it came from.
#[derive(Serialize, Deserialize)]
struct Line {
    line: u64,
    entity: Entity,
}

#[derive(Serialize, Deserialize)]
struct Entity {
    #[serde(default)]
    id: String,
    schema: String,
    /// Values are strings, or entities where they are nested.
    #[serde(default)]
    properties: Map<String, Value>,
}

/// An entity of which nothing but the id can be read.
#[derive(Default, Deserialize)]
struct Id {
    id: String,
}

impl Entity {
    /// The values of a property, in an array or alone.
    fn values(&self, property: &str) -> &[Value] {
        self.properties.get(property).map_or(&[], as_values)
    }

    /// The texts of a property. A whole number is taken as its digits; what is neither is reported by
    /// [`Entity::unread`].
    fn texts<'a>(&'a self, property: &str) -> impl Iterator<Item = Cow<'a, str>> {
        let texts = self.values(property).iter().filter_map(|value| match value {
            Value::String(text) => Some(Cow::Borrowed(text.trim())),
            Value::Number(number) if is_whole(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        });
        texts.filter(|text| !text.is_empty())
    }

    /// The ids of the entities that a property names or holds.
    fn ids<'a>(&'a self, property: &str) -> impl Iterator<Item = &'a str> {
        let ids = self.values(property).iter().filter_map(|value| match value {
            Value::String(id) => Some(id.as_str()),
            Value::Object(entity) => entity.get("id")?.as_str(),
            _ => None,
        });
        ids.map(str::trim).filter(|id| !id.is_empty())
    }

    /// The passports and identifications inside it.
    fn nested(&self) -> impl Iterator<Item = Self> {
        let values = self.properties.values().flat_map(as_values);
        let entities = values.filter(|value| value.is_object());
        entities
            .filter_map(|value| Self::deserialize(value).ok())
            .filter(|entity| entity.kind() == Kind::Identification)
    }

    /// Reports each property with a value that is used nowhere: neither text nor whole number nor an entity where
    /// one may stand.
    fn unread(&self, draft: &mut Draft) {
        for (property, value) in &self.properties {
            let is_read = |value: &Value| match value {
                Value::Null | Value::String(_) => true,
                Value::Number(number) => is_whole(number),
                Value::Object(entity) if property == "holder" => {
                    entity.get("id").is_some_and(Value::is_string)
                }
                Value::Object(_) if property == "number" || TEXTS.contains(&property.as_str()) => false,
                Value::Object(_) => Self::deserialize(value).is_ok(),
                Value::Bool(_) | Value::Array(_) => false,
            };
            if !as_values(value).iter().all(is_read) {
                let plain =
                    |name: &str| name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
                let field = Some(property.as_str()).filter(|name| plain(name));
                draft.reject(field.unwrap_or("properties"), Rule::Value);
            }
        }
    }

    fn kind(&self) -> Kind {
        match self.schema.as_str() {
            "Person" => Kind::Person,
            "Passport" | "Identification" => Kind::Identification,
            "Company" | "Organization" | "LegalEntity" | "PublicBody" => Kind::Other("entity"),
            "Vessel" => Kind::Other("vessel"),
            "Airplane" => Kind::Other("aircraft"),
            _ => Kind::Other("other"),
        }
    }
}

/// The values of a property: an array, or one alone.
fn as_values(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        value => std::slice::from_ref(value),
    }
}

/// Whether a number is written as it was published: one with a fraction or of more than 64 bits is not.
fn is_whole(number: &Number) -> bool {
    number.is_u64() || number.is_i64()
}

/// Properties of which each value is a text to be matched.
const TEXTS: &[&str] = &[
    "name",
    "alias",
    "previousName",
    "weakAlias",
    "firstName",
    "secondName",
    "middleName",
    "lastName",
    "birthDate",
    "passportNumber",
    "idNumber",
    "socialSecurityNumber",
    "phone",
    "email",
];

#[derive(PartialEq, Eq)]
enum Kind {
    Person,
    Identification,
    Other(&'static str),
}

impl Ftm {
    pub(crate) fn new(source: Source, options: &Options) -> Self {
        let input = Arc::clone(source.name());
        let collecting = Collecting {
            source,
            line: Vec::new(),
            sorter: Sorter::new(options),
            first: true,
        };
        Self {
            input,
            state: State::Collecting(Box::new(collecting)),
        }
    }
}

impl Records for Ftm {
    fn advance(&mut self, queue: &mut Queue) -> Result<bool, Error> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Collecting(mut collecting) => {
                self.state = match collecting.advance(&self.input, queue)? {
                    true => State::Collecting(collecting),
                    false => State::Joining(collecting.sorter.finish()?),
                };
                Ok(true)
            }
            State::Joining(mut groups) => {
                let Some(group) = groups.next()? else {
                    return Ok(false);
                };
                self.join(group, queue);
                self.state = State::Joining(groups);
                Ok(true)
            }
            State::Ended => Ok(false),
        }
    }
}

impl Collecting {
    /// Takes one line; false after the last one.
    fn advance(&mut self, input: &str, queue: &mut Queue) -> Result<bool, Error> {
        let Some(line) = self.source.read_line(&mut self.line)? else {
            return Ok(false);
        };
        if self.line.trim_ascii().is_empty() {
            return Ok(true);
        }
        match serde_json::from_slice(&self.line) {
            Ok(entity) => self.entity(Line { line, entity }, queue)?,
            Err(_) if self.first => {
                let why = "the first line is not a JSON object with a schema and properties";
                return Err(self.source.wrong_format(why));
            }
            Err(_) => {
                let id = serde_json::from_slice::<Id>(&self.line).unwrap_or_default();
                queue.reject_named(input, line, Rule::Shape, &id.id);
            }
        }
        self.first = false;
        Ok(true)
    }

    fn entity(&mut self, line: Line, queue: &mut Queue) -> Result<(), Error> {
        match line.entity.kind() {
            Kind::Person => self.sorter.push(line.entity.id.as_bytes(), &line)?,
            Kind::Identification => {
                let mut holders: Vec<&str> = line.entity.ids("holder").collect();
                if holders.is_empty() {
                    // Reported when no person is found for it.
                    holders.push("");
                }
                for holder in holders {
                    self.sorter.push(holder.as_bytes(), &line)?;
                }
            }
            Kind::Other(what) => queue.skipped.push(what),
        }
        Ok(())
    }
}

impl Ftm {
    fn join(&self, group: Group<Line>, queue: &mut Queue) {
        let (persons, others): (Vec<_>, Vec<_>) = group
            .lines
            .into_iter()
            .partition(|line| line.entity.kind() == Kind::Person);
        let Some((person, repeated)) = persons.split_first() else {
            for line in others {
                // The holder may be a company: no person was lost, but a number was.
                queue.reject_record(&self.input, line.line, Rule::Orphan);
            }
            return;
        };
        for line in repeated {
            queue.reject_record(&self.input, line.line, Rule::RepeatedId);
        }
        if group.too_large {
            queue.reject_named(&self.input, person.line, Rule::EntryTooLarge, &person.entity.id);
            return;
        }
        let mut draft = Draft::new(Arc::clone(&self.input), person.line);
        entity(&person.entity, &mut draft);
        for line in &others {
            identification(&line.entity, &mut draft);
        }
        draft.finish(&person.entity.id, queue);
    }
}

fn entity(person: &Entity, draft: &mut Draft) {
    let mut names = person.texts("name");
    if let Some(first) = names.next() {
        draft.name(NameRank::Primary, &first);
    }
    for name in names
        .chain(person.texts("alias"))
        .chain(person.texts("previousName"))
    {
        draft.name(NameRank::Alias, &name);
    }
    for name in person.texts("weakAlias") {
        draft.name(NameRank::WeakAlias, &name);
    }
    name_parts(person, draft);
    for birth in person.texts("birthDate") {
        draft.published.add("date_of_birth", &birth);
        draft.birth("birthDate", dates::birth(&birth));
    }
    for number in person.texts("passportNumber") {
        draft.document(Document {
            class: DocumentClass::Passport,
            number: number.into_owned(),
            issuer: None,
        });
    }
    for number in person
        .texts("idNumber")
        .chain(person.texts("socialSecurityNumber"))
    {
        draft.other(Other::NationalId {
            number: number.into_owned(),
            country: None,
        });
    }
    for phone in person.texts("phone") {
        draft.other(Other::Phone(phone.into_owned()));
    }
    for address in person.texts("email") {
        draft.other(Other::Email(address.into_owned()));
    }
    for nested in person.nested() {
        identification(&nested, draft);
    }
    person.unread(draft);
    draft.published.add("type", "individual");
    for property in person.properties.keys() {
        if TEXTS.contains(&property.as_str()) {
            continue;
        }
        let name = match property.as_str() {
            "birthPlace" | "birthCountry" => Cow::Borrowed("place_of_birth"),
            "program" | "programId" => Cow::Borrowed("programme"),
            "notes" | "summary" | "description" => Cow::Borrowed("remarks"),
            "taxNumber" | "innCode" => Cow::Borrowed("other_number"),
            other => Cow::Owned(other.to_owned()),
        };
        for text in person.texts(property) {
            draft.published.add(name.clone(), text);
        }
    }
}

/// A family name and given names, if there is exactly one of each: several cannot be paired.
fn name_parts(person: &Entity, draft: &mut Draft) {
    let sole = |property| {
        let mut texts = person.texts(property);
        texts.next().filter(|_| texts.next().is_none())
    };
    if let (Some(first), Some(last)) = (sole("firstName"), sole("lastName")) {
        let given = [Some(first), sole("secondName"), sole("middleName")];
        let given = given.into_iter().flatten().collect::<Vec<_>>().join(" ");
        draft.name_parts(NameRank::Alias, &last, &given);
    }
}

fn identification(entity: &Entity, draft: &mut Draft) {
    entity.unread(draft);
    let country = entity.texts("country").next().map(Cow::into_owned);
    let kind = entity.texts("type").next().unwrap_or_default().to_lowercase();
    let passport = entity.schema == "Passport" || kind.contains("passport");
    let mut numbers: Vec<Cow<'_, str>> = entity
        .texts("number")
        .chain(entity.texts("passportNumber"))
        .collect();
    numbers.dedup();
    if numbers.is_empty() {
        draft.reject(
            if passport { "Passport" } else { "Identification" },
            Rule::DocumentNumber,
        );
    }
    for number in numbers {
        let number = number.into_owned();
        if passport {
            draft.document(Document {
                class: DocumentClass::Passport,
                number,
                issuer: country.clone(),
            });
        } else {
            draft.other(Other::NationalId {
                number,
                country: country.clone(),
            });
        }
    }
    for birth in entity.texts("birthDate") {
        draft.birth("birthDate", dates::birth(&birth));
    }
}
