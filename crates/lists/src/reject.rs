//! What could not be used, and why.

use std::fmt;

use serde::{Serialize, Serializer};

/// Something of a list that cannot be matched. As JSON: `{"input","line","field","rule","reason","lost"}`; what the
/// command line writes of it is in `docs/lists.md`. Never holds the value itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// Name of the input (file) it was found in.
    pub input: String,
    /// Line of that input, from 1.
    pub line: u64,
    /// Column, element or property; empty when the whole record is meant.
    pub field: String,
    /// The rule that was broken; serialised as its id.
    pub rule: Rule,
    /// One sentence for the person who has to repair the list.
    pub reason: String,
    /// What was lost by it.
    pub lost: Lost,
    /// Of a lost record: its id, where that could be read. An import keeps what it has of that record instead of
    /// taking it for removed. Not part of the report.
    #[serde(skip)]
    pub source_id: Option<SourceId>,
}

/// The id of a rejected record. `Debug` does not show it: some agencies use a document's number as its id.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceId(String);

impl SourceId {
    /// An id as [`crate::Entry::source_id`] would hold it; none if it is empty.
    pub(crate) fn new(id: &str) -> Option<Self> {
        let id = id.trim();
        (!id.is_empty()).then(|| Self(id.to_owned()))
    }

    /// The id.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceId(redacted)")
    }
}

/// How much of a list a [`Reject`] costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// The whole record: there is no entry for it.
    Record,
    /// One value: the entry, unless it was rejected too, goes without it.
    Field,
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $sentence:literal;)+) => {
        /// The checks of this crate. Ids are stable and listed in `docs/lists.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable id, `LST-` and three digits.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// What the rule says to the person who has to repair the list.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)+
                }
            }
        }
    };
}

rules! {
    /// A row has another number of columns than its file.
    Columns = "LST-001", "the row does not have the number of columns of this file; a separator or a quote may be missing";
    /// Bytes that are no text.
    NotText = "LST-002", "the bytes are not text in the encoding of this list";
    /// A quoted cell that never ends.
    QuoteNotClosed = "LST-003", "a quote is opened and not closed before the end of the file";
    /// A text longer than [`crate::Limits::text_bytes`].
    TextTooLong = "LST-004", "a text is longer than the limit for one text";
    /// A line that is no JSON object of the documented shape.
    Shape = "LST-005", "the line is not a JSON object of this format; see the description of the format";
    /// A record without an id.
    NoId = "LST-006", "the record has no id of its own, so a later update could not find it again";
    /// Two records with one id.
    RepeatedId = "LST-007", "the id was already used by an earlier record, which was kept";
    /// A line of an entry that does not exist.
    Orphan = "LST-008", "the line belongs to an entry that is not in the list";
    /// More lines for one entry than [`crate::Limits::entry_bytes`].
    EntryTooLarge = "LST-009", "the lines of this entry together are larger than the limit for one entry";
    /// A record with neither names nor numbers.
    NothingToMatch = "LST-010", "the record has no name, document or other number that could be matched";
    /// Values that contradict the type of their field.
    Value = "LST-020", "the value does not fit this field";
    /// A date of birth in no known form.
    BirthDate = "LST-021", "the date of birth cannot be read as a date, a month, a year or a range of years";
    /// A date of birth of another calendar.
    Calendar = "LST-022", "the date of birth is not of the Gregorian calendar; convert it before import";
    /// A two-digit year under a pattern for four digits.
    TwoDigitYear = "LST-026", "the year of birth has two digits; write %y instead of %Y in the mapping's dates";
    /// A document without a number.
    DocumentNumber = "LST-023", "a document is mentioned but no number of it can be found";
    /// A remark that speaks of a birth date or document in an unknown form.
    Unread = "LST-024", "the text speaks of a date of birth or a document in a form that cannot be read";
    /// A name with digits, or words that are no name.
    Name = "LST-025", "the name holds more than a name; what follows the name was left out";
    /// Lines that are no machine-readable zone.
    MrzShape = "LST-030", "a machine-readable zone has 3 lines of 30, 2 lines of 36 or 2 lines of 44 characters";
    /// A machine-readable zone that contradicts itself.
    Mrz = "LST-031", "the machine-readable zone cannot be read";
    /// A message of another type inside the interchange.
    NotPaxlst = "LST-040", "the message is not a PAXLST passenger list";
    /// A segment out of place or without its required elements.
    Segment = "LST-041", "the segment lacks an element that the passenger list message requires";
    /// A passenger whose group cannot be read.
    Passenger = "LST-042", "the passenger has no family name";
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_documented() {
        let ids: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
        let doc = include_str!("../../../docs/lists.md");
        for rule in Rule::ALL {
            assert!(
                doc.contains(&format!("`{}`", rule.id())),
                "{} is not in docs/lists.md",
                rule.id()
            );
        }
    }

    #[test]
    fn one_report_line() {
        let reject = Reject {
            input: "sdn.csv".into(),
            line: 7,
            field: "remarks".into(),
            rule: Rule::BirthDate,
            reason: Rule::BirthDate.sentence().into(),
            lost: Lost::Field,
            source_id: SourceId::new(" 7 "),
        };
        assert!(!format!("{reject:?}").contains("\"7\""), "{reject:?}");
        let line = serde_json::to_string(&reject).unwrap();
        assert!(
            line.starts_with(r#"{"input":"sdn.csv","line":7,"field":"remarks","rule":"LST-021","reason":"#),
            "{line}"
        );
        assert!(line.ends_with(r#""lost":"field"}"#), "{line}");
    }
}
