//! What a reader yields.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use concordat_identifiers::Subject;
use serde::{Deserialize, Serialize};

use crate::Reject;
use crate::draft::COMPARED;

/// One item of a list: a usable entry, or the report of something unusable.
#[derive(Debug)]
pub enum Item {
    /// An entry. Rejects of single fields of it follow it.
    Entry(Box<Entry>),
    /// Something that could not be used: a whole record or one field, see [`crate::Lost`].
    Reject(Reject),
}

/// One person or document of a list. `Debug` shows the line only: some agencies use a document's number as its id.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The publisher's own id: OFAC `ent_num`, UN reference number, UK group id, FollowTheMoney id, the mapped
    /// column; in query formats the number of the document or passenger in the input, from 1.
    pub source_id: String,
    /// Names, dates of birth, documents and other identifiers, as published.
    pub subject: Subject,
    /// What else was published: the material of a later disclosure. Never matched.
    pub published: Published,
    /// Line of the input where the entry starts, from 1 (for entries spread over several lines, the first).
    pub line: u64,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// Published fields that are not matched: texts under field names, in the publisher's words.
///
/// Names shared by the formats: `type`, `programme`, `title`, `position`, `nationality`, `citizenship`, `gender`,
/// `place_of_birth`, `date_of_birth` (as written), `address`, `reference`, `linked_to`, `listed_on`, `updated_on`,
/// `other_number`, `remarks`, `flight`, `departure`, `arrival`, `booking`, `seat`, `expiry`. As JSON: an object of
/// arrays of strings.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Published(BTreeMap<Cow<'static, str>, Vec<String>>);

impl Published {
    /// Adds a text under a name. Blank texts and repetitions are left out.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, text: impl AsRef<str>) {
        let text = text.as_ref().trim();
        if text.is_empty() {
            return;
        }
        let texts = self.0.entry(name.into()).or_default();
        if !texts.iter().take(COMPARED).any(|known| known == text) {
            texts.push(text.to_owned());
        }
    }

    /// The texts under a name; none if there are none.
    pub fn get(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// All names with their texts, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
            .iter()
            .map(|(name, texts)| (name.as_ref(), texts.as_slice()))
    }

    /// Whether nothing was published.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Published(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_content() {
        let mut published = Published::default();
        published.add("remarks", "son of Testa");
        published.add("remarks", " son of Testa ");
        published.add("remarks", "  ");
        assert_eq!(published.get("remarks"), ["son of Testa"]);
        let entry = Entry {
            source_id: "7".into(),
            subject: Subject::default(),
            published,
            line: 3,
        };
        assert_eq!(format!("{entry:?}"), "Entry { line: 3, .. }");
        assert_eq!(format!("{:?}", entry.published), "Published(redacted)");
    }
}
