//! What a form says.

use concordat_disclosure::Words;
use concordat_node::desk::refused;
use concordat_wire::Fault;
use serde::de::DeserializeOwned;

use crate::texts::errors;

/// Fields in the order they came; a name may come more than once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first value; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// Whether nothing was filled in yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this value is among those of a field.
    pub(crate) fn holds(&self, name: &str, value: &str) -> bool {
        let mut all = self.0.iter();
        all.any(|(known, given)| known == name && given == value)
    }

    /// Whether the form has such a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Every value.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.trim())
    }

    /// A text that a person must write.
    pub(crate) fn words(&self, name: &str) -> Result<Words, Fault> {
        words(name, self.get(name))
    }

    /// Paragraphs, one a line.
    pub(crate) fn paragraphs(&self, name: &str) -> Result<Vec<Words>, Fault> {
        let lines = self
            .get(name)
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        lines.map(|line| words(name, line)).collect()
    }

    /// A code by its name, as documents write it.
    pub(crate) fn code<T: DeserializeOwned>(&self, name: &str) -> Result<T, Fault> {
        serde_json::from_value(serde_json::Value::from(self.get(name)))
            .map_err(|_| Fault::invalid("DESK-021", name, errors::CHOOSE_OF_LIST))
    }
}

fn words(name: &str, value: &str) -> Result<Words, Fault> {
    Words::new(value).map_err(|error| refused(error).field(name))
}
