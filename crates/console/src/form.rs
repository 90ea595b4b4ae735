//! A form as it is shown: what stands in its fields, and which of them is to be mended.

use concordat_ledger::Text;
use concordat_wire::Fault;
use maud::{Markup, html};

use crate::fields::Fields;
use crate::texts::{self, forms as says};

/// The id of the sentence that says what is to be mended: the field at fault points at it.
pub(crate) const MEND_WHY: &str = "mend-why";

/// Groups of boxes: a browser sends nothing of one in which no box is ticked.
const BOXES: [&str; 3] = ["field", "onward", "refuse"];

/// Fields that a document calls otherwise than the form.
const ASKED_AS: [(&str, &str); 5] = [
    ("max_penalty_months", "months"),
    ("fields", "field"),
    ("expires", "days"),
    ("retain_until", "retain"),
    ("verdict", "refuse"),
];

fn asked_as(field: &str) -> &str {
    let other = ASKED_AS.iter().find(|(document, _)| *document == field);
    other.map_or(field, |(_, form)| form)
}

/// Empty at first; else as it was filled in, with the field that is at fault.
#[derive(Debug, Default)]
pub(crate) struct Form {
    filled: Fields,
    wrong: Option<String>,
}

impl Form {
    /// The form once more, as it was filled in.
    pub(crate) fn again(filled: &Fields, fault: &Fault) -> Self {
        let wrong = fault.field.as_deref().map(asked_as);
        let wrong = wrong.filter(|name| filled.has(name) || BOXES.contains(name));
        Self {
            filled: filled.clone(),
            wrong: wrong.map(str::to_owned),
        }
    }

    /// The field that is to be mended, by its id.
    pub(crate) fn wrong(&self) -> Option<&str> {
        self.wrong.as_deref()
    }

    fn if_wrong(&self, name: &str, value: &'static str) -> Option<&'static str> {
        (self.wrong() == Some(name)).then_some(value)
    }

    /// `aria-invalid` of a field: only where it is.
    pub(crate) fn invalid(&self, name: &str) -> Option<&'static str> {
        self.if_wrong(name, "true")
    }

    /// `aria-describedby` of a field: the sentence that says why it is invalid.
    pub(crate) fn why(&self, name: &str) -> Option<&'static str> {
        self.if_wrong(name, MEND_WHY)
    }

    /// What stands in a field.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.filled.get(name)
    }

    /// The same, where a field begins with something.
    pub(crate) fn or<'a>(&'a self, name: &str, at_first: &'a str) -> &'a str {
        if self.filled.is_empty() {
            at_first
        } else {
            self.get(name)
        }
    }

    /// Whether a choice is made.
    pub(crate) fn chosen(&self, name: &str, value: &str, at_first: bool) -> bool {
        if self.filled.is_empty() {
            at_first
        } else {
            self.filled.holds(name, value)
        }
    }

    /// A required text of one line.
    pub(crate) fn line(&self, name: &str, label: &str, hint: &str) -> Markup {
        html! {
            div.field {
                label for=(name) { (label) }
                input id=(name) name=(name) value=(self.get(name)) required maxlength="1000" placeholder=(hint) autocomplete="off"
                    aria-invalid=[self.invalid(name)] aria-describedby=[self.why(name)];
            }
        }
    }

    /// A required choice of a code list, with nothing chosen at first: whoever decides has looked at it. `word` is what a code is
    /// shown as.
    pub(crate) fn choice<T: serde::Serialize>(
        &self,
        (name, label): (&str, &str),
        all: &[T],
        word: fn(&str) -> String,
    ) -> Markup {
        html! {
            div.field {
                label for=(name) { (label) }
                select id=(name) name=(name) required aria-invalid=[self.invalid(name)] aria-describedby=[self.why(name)] {
                    option value="" { (says::CHOOSE) }
                    @for code in all {
                        @let code = texts::name_of(code);
                        option value=(code) selected[code == self.get(name)] { (word(&code)) }
                    }
                }
            }
        }
    }

    /// A choice that begins with one of the list.
    pub(crate) fn preset<T: serde::Serialize>(
        &self,
        (name, label): (&str, &str),
        all: &[T],
        at_first: &T,
    ) -> Markup {
        let at_first = texts::name_of(at_first);
        html! {
            div.field {
                label for=(name) { (label) }
                select id=(name) name=(name) aria-invalid=[self.invalid(name)] aria-describedby=[self.why(name)] {
                    @for code in all {
                        @let code = texts::name_of(code);
                        option value=(code) selected[code == self.or(name, &at_first)] { (texts::mark(&code)) }
                    }
                }
            }
        }
    }

    /// A choice of what an agreement names.
    pub(crate) fn agreed<'a>(
        &self,
        (name, label): (&str, &str),
        all: impl IntoIterator<Item = &'a Text>,
    ) -> Markup {
        html! {
            div.field {
                label for=(name) { (label) }
                select id=(name) name=(name) required aria-invalid=[self.invalid(name)] aria-describedby=[self.why(name)] {
                    @for value in all { option value=(value.as_str()) selected[self.chosen(name, value.as_str(), false)] { (texts::code(value.as_str())) } }
                }
            }
        }
    }
}
