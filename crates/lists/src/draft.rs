//! An entry while it is put together, with the rejects of its fields.

use std::collections::VecDeque;
use std::sync::Arc;

use concordat_identifiers::{BirthDate, Document, Name, NameRank, NameText, Other, Subject};

use crate::{Entry, Item, Lost, Published, Reject, Rule, SourceId};

/// What a reader has produced and the caller has not taken yet.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) items: VecDeque<Item>,
    /// Kinds of things passed over because they are no persons.
    pub(crate) skipped: Vec<&'static str>,
}

impl Queue {
    pub(crate) fn reject_record(&mut self, input: &str, line: u64, rule: Rule) {
        self.reject_record_because(input, line, rule, rule.sentence().to_owned());
    }

    /// Rejects a record whose id could be read.
    pub(crate) fn reject_named(&mut self, input: &str, line: u64, rule: Rule, source_id: &str) {
        self.reject_record(input, line, rule);
        self.name_last(source_id);
    }

    /// Says of which record the reject that was just added is.
    pub(crate) fn name_last(&mut self, source_id: &str) {
        if let Some(Item::Reject(reject)) = self.items.back_mut() {
            reject.source_id = SourceId::new(source_id);
        }
    }

    /// Rejects a record with a sentence of its own, which must not hold a value of it.
    pub(crate) fn reject_record_because(&mut self, input: &str, line: u64, rule: Rule, reason: String) {
        self.items.push_back(Item::Reject(Reject {
            input: input.to_owned(),
            line,
            field: String::new(),
            rule,
            reason,
            lost: Lost::Record,
            source_id: None,
        }));
    }
}

/// A new value is compared with so many earlier ones: enough for any honest entry, and no work for a hostile one.
pub(crate) const COMPARED: usize = 1000;

/// The entry so far. Repeated names, dates and numbers are kept once.
pub(crate) struct Draft {
    input: Arc<str>,
    line: u64,
    pub(crate) subject: Subject,
    pub(crate) published: Published,
    rejects: Vec<Reject>,
}

impl Draft {
    pub(crate) fn new(input: Arc<str>, line: u64) -> Self {
        let (subject, published) = (Subject::default(), Published::default());
        Self {
            input,
            line,
            subject,
            published,
            rejects: Vec::new(),
        }
    }

    /// Adds a name. `FAMILY, Given` is taken apart at its first comma; anything else stays whole.
    pub(crate) fn name(&mut self, rank: NameRank, text: &str) {
        let text = text.trim();
        match text
            .split_once(',')
            .map(|(primary, secondary)| (primary.trim(), secondary.trim()))
        {
            Some((primary, secondary)) if !primary.is_empty() && !secondary.is_empty() => {
                self.name_parts(rank, primary, secondary);
            }
            _ => self.name_whole(rank, text),
        }
    }

    /// Adds a name whose parts are not told apart.
    pub(crate) fn name_whole(&mut self, rank: NameRank, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.push_name(rank, NameText::Whole(text.to_owned()));
        }
    }

    /// Adds a name with a family name and given names.
    pub(crate) fn name_parts(&mut self, rank: NameRank, primary: &str, secondary: &str) {
        let (primary, secondary) = (primary.trim(), secondary.trim());
        if !primary.is_empty() {
            self.push_name(
                rank,
                NameText::Parts {
                    primary: primary.to_owned(),
                    secondary: secondary.to_owned(),
                },
            );
        }
    }

    fn push_name(&mut self, rank: NameRank, text: NameText) {
        if !self
            .subject
            .names
            .iter()
            .take(COMPARED)
            .any(|name| name.text == text)
        {
            self.subject.names.push(Name { rank, text });
        }
    }

    /// Adds a date of birth, or the reject of the field it stood in.
    pub(crate) fn birth(&mut self, field: &str, birth: Result<BirthDate, Rule>) {
        match birth {
            Ok(birth)
                if self
                    .subject
                    .births
                    .iter()
                    .take(COMPARED)
                    .any(|known| *known == birth) => {}
            Ok(birth) => self.subject.births.push(birth),
            Err(rule) => self.reject(field, rule),
        }
    }

    pub(crate) fn document(&mut self, document: Document) {
        if !self
            .subject
            .documents
            .iter()
            .take(COMPARED)
            .any(|known| *known == document)
        {
            self.subject.documents.push(document);
        }
    }

    pub(crate) fn other(&mut self, other: Other) {
        if !self
            .subject
            .others
            .iter()
            .take(COMPARED)
            .any(|known| *known == other)
        {
            self.subject.others.push(other);
        }
    }

    /// Reports one field as unusable.
    pub(crate) fn reject(&mut self, field: &str, rule: Rule) {
        let reject = Reject {
            input: self.input.to_string(),
            line: self.line,
            field: field.to_owned(),
            rule,
            reason: rule.sentence().to_owned(),
            lost: Lost::Field,
            source_id: None,
        };
        if !self.rejects.iter().take(COMPARED).any(|known| *known == reject) {
            self.rejects.push(reject);
        }
    }

    /// Hands the entry over, or rejects it when it has no id or nothing that can be matched.
    pub(crate) fn finish(self, source_id: &str, queue: &mut Queue) {
        let Subject {
            names,
            documents,
            others,
            ..
        } = &self.subject;
        if source_id.is_empty() {
            queue.reject_record(&self.input, self.line, Rule::NoId);
        } else if names.is_empty() && documents.is_empty() && others.is_empty() {
            queue.reject_named(&self.input, self.line, Rule::NothingToMatch, source_id);
        } else {
            let (subject, published, line) = (self.subject, self.published, self.line);
            let entry = Entry {
                source_id: source_id.to_owned(),
                subject,
                published,
                line,
            };
            queue.items.push_back(Item::Entry(Box::new(entry)));
        }
        queue.items.extend(self.rejects.into_iter().map(Item::Reject));
    }
}
