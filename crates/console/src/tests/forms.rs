//! The two long forms, before they are filled in and when they come back with a mistake.

use concordat_node::desk::CaseView;
use concordat_wire::{Fault, Reason};
use maud::Markup;

use super::cases::{signed, taken_up};
use super::*;
use crate::fields::Fields;
use crate::form::{Form, MEND_WHY};
use crate::guard::{Signed, Works};
use crate::layout;
use crate::pages::{decide, request};

/// One form, filled in without a mistake, and what the console makes of it.
struct Sheet {
    filled: Vec<(&'static str, &'static str)>,
    show: fn(&Given, &Form) -> Markup,
    take: fn(&Given, &Fields) -> Result<(), Fault>,
}

/// What a form is shown with.
struct Given {
    signed: Signed<Works>,
    view: CaseView,
    now: jiff::Timestamp,
}

impl Given {
    async fn new(place: &Place) -> Self {
        Self {
            signed: signed(place, "officer").await,
            view: taken_up(place).await,
            now: place.clock.now(),
        }
    }
}

fn asking() -> Sheet {
    Sheet {
        filled: vec![
            ("purpose", "CRIM_INVESTIGATION"),
            ("legal_basis", "EU:2024/982:26"),
            ("intended_use", "EVIDENCE"),
            ("subject_class", "SUSPECT"),
            ("facts", "said \"<b>no</b>\" & left"),
            ("offence", "0801"),
            ("months", "60"),
            ("field", "a"),
            ("field", "i"),
            ("urgency", "URGENT_INDIRECT"),
            ("why", "the flight leaves"),
            ("ordered_by", "somebody else"),
            ("days", "3"),
        ],
        show: |given, form| request::request_form(&given.signed, &given.view, given.now, form),
        take: |given, fields| request::asking(fields, &given.signed.officer.person, given.now).map(drop),
    }
}

fn deciding() -> Sheet {
    Sheet {
        filled: vec![
            ("do-a", "release"),
            ("value-a", "Jean-Luc\n<script>"),
            ("ground-a", ""),
            ("do-d", "withhold"),
            ("value-d", "1971-02-03"),
            ("ground-d", "HARMS_INVESTIGATION"),
            ("do-i", "withhold"),
            ("value-i", ""),
            ("ground-i", "NOT_HELD"),
            ("handling", "H3"),
            ("restriction", "only at the airport"),
            ("source", "B"),
            ("information", "3"),
            ("classification", "RESTRICTED"),
            ("retain", "2026-02-03"),
            ("onward", "cc-customs"),
            ("conditions", "call first\nthen write"),
            ("refuse", "yes"),
            ("refusal", "NOT_HELD"),
            ("refusal_text", "because \"so\""),
        ],
        show: |given, form| {
            decide::proposal_form(&given.signed, &given.view, given.now, form).expect("a form")
        },
        take: |given, fields| {
            let request = given.view.case.request().expect("a request");
            let asked: Vec<_> = request.fields.iter().cloned().collect();
            decide::proposal(fields, &asked, request.purpose.clone()).map(drop)
        },
    }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    Fields::parse(text.extend_pairs(pairs).finish().as_bytes())
}

/// The same form with another value in one field; `None` leaves it out, as a browser does with a box that is not ticked.
fn but<'a>(sheet: &Sheet, name: &'a str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut pairs = sheet.filled.clone();
    match value {
        Some(value) => pairs
            .iter_mut()
            .filter(|(known, _)| *known == name)
            .for_each(|(_, given)| *given = value),
        None => pairs.retain(|(known, _)| *known != name),
    }
    pairs
}

fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}

/// The elements of a page: name, attributes, the text up to the next tag.
fn elements(page: &str) -> Vec<(&str, &str, &str)> {
    let tags = page.split('<').skip(1).filter(|tag| !tag.starts_with('/'));
    let parts = tags.map(|tag| {
        // No value of ours has a raw angle bracket: they are escaped.
        let (head, text) = tag.split_once('>').expect("a tag ends");
        let (name, attributes) = head.split_once(' ').unwrap_or((head, ""));
        (name, attributes, text)
    });
    parts.collect()
}

/// The value of an attribute; `name` is not `data-name`.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let begins = format!("{name}=\"");
    let mut parts = attributes.match_indices(&begins);
    let (place, _) = parts.find(|(place, _)| *place == 0 || attributes[..*place].ends_with(' '))?;
    let (value, _) = attributes[place + begins.len()..].split_once('"')?;
    Some(value)
}

fn has(attributes: &str, name: &str) -> bool {
    attributes.split(' ').any(|one| one == name)
}

/// What a browser would send of a form, but the hidden fields.
fn sent(page: &str) -> Vec<(String, String)> {
    let (mut pairs, mut list) = (Vec::new(), None);
    for (element, attributes, text) in elements(page) {
        let name = attribute(attributes, "name").map(str::to_owned);
        let value = || plain(attribute(attributes, "value").unwrap_or_default());
        match (element, attribute(attributes, "type")) {
            ("input", Some("hidden")) => {}
            ("input", Some("radio" | "checkbox")) if !has(attributes, "checked") => {}
            ("input", _) => pairs.push((name.expect("a name"), value())),
            ("textarea", _) => pairs.push((name.expect("a name"), plain(text))),
            ("select", _) => list = name.map(|name| (name, false)),
            ("option", _) => {
                let (name, begun) = list.as_mut().expect("a list");
                if !*begun {
                    // Until another one is marked, the first counts.
                    pairs.push((name.clone(), value()));
                    *begun = true;
                } else if has(attributes, "selected") {
                    pairs.last_mut().expect("the first").1 = value();
                }
            }
            _ => {}
        }
    }
    pairs
}

/// The ids, or names, of what is marked as invalid; each points at the sentence.
fn marked(page: &str) -> BTreeSet<String> {
    let all = elements(page).into_iter();
    let invalid = all.filter(|(_, attributes, _)| attribute(attributes, "aria-invalid") == Some("true"));
    let named = invalid.map(|(_, attributes, _)| {
        assert_eq!(attribute(attributes, "aria-describedby"), Some(MEND_WHY));
        attribute(attributes, "name").expect("a name").to_owned()
    });
    named.collect()
}

/// The page as it comes back with `fault`.
fn again(given: &Given, sheet: &Sheet, pairs: &[(&str, &str)], fault: &Fault) -> String {
    let form = Form::again(&fields(pairs), fault);
    layout::mend(&form, fault).0 + &(sheet.show)(given, &form).0
}

#[tokio::test]
async fn nobody_clicks_through_a_decision() {
    let place = Place::new().await;
    let given = Given::new(&place).await;
    let page = (deciding().show)(&given, &Form::default()).0;
    let sent = sent(&page);
    for name in ["handling", "source", "information"] {
        let chosen = sent.iter().find(|(known, _)| known == name).expect(name);
        assert_eq!(chosen.1, "", "{name} begins with nothing");
        let mut lists = elements(&page).into_iter();
        let list = lists.find(|(_, attributes, _)| attribute(attributes, "id") == Some(name));
        assert!(
            list.is_some_and(|(_, attributes, _)| has(attributes, "required")),
            "{name}"
        );
    }
    // Where a browser does not hold to that, the console does, and says where.
    let fault = (deciding().take)(&given, &fields(&but(&deciding(), "source", Some("")))).err();
    assert_eq!(fault.and_then(|fault| fault.field).as_deref(), Some("source"));
    assert!(marked(&page).is_empty(), "nothing is wrong yet");
    place.stop().await;
}

#[tokio::test]
async fn a_form_comes_back_as_it_was_filled_in() {
    let place = Place::new().await;
    let given = Given::new(&place).await;
    let fault = Fault::new(Reason::NotPermitted, "DISC-001", "no");
    for sheet in [asking(), deciding()] {
        assert_eq!(
            (sheet.take)(&given, &fields(&sheet.filled)),
            Ok(()),
            "it holds as it is"
        );
        let page = again(&given, &sheet, &sheet.filled, &fault);
        let mut sent: Vec<_> = sent(&page);
        let mut filled: Vec<_> = sheet
            .filled
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        sent.sort();
        filled.sort();
        assert_eq!(sent, filled);
        assert!(marked(&page).is_empty(), "the fault names no field");
    }
    place.stop().await;
}

#[tokio::test]
async fn the_field_at_fault_is_marked_and_points_at_the_sentence() {
    let place = Place::new().await;
    let given = Given::new(&place).await;
    let (asking, deciding) = (asking(), deciding());
    let mut released = deciding.filled.clone();
    released.retain(|(name, _)| *name != "refuse");
    let deciding_each = Sheet {
        filled: released,
        ..self::deciding()
    };
    for (sheet, name, value) in [
        (&asking, "purpose", Some("")),
        (&asking, "intended_use", Some("")),
        (&asking, "subject_class", Some("NOBODY")),
        (&asking, "facts", Some("")),
        (&asking, "offence", Some("")),
        (&asking, "months", Some("many")),
        (&asking, "why", Some("")),
        (&asking, "days", Some("soon")),
        (&asking, "field", Some("zz")),
        (&deciding_each, "value-a", Some(" \n ")),
        (&deciding_each, "value-a", Some("\u{202e}")),
        (&deciding_each, "ground-d", Some("")),
        (&deciding, "restriction", Some("\u{202e}")),
        (&deciding, "handling", Some("")),
        (&deciding, "information", Some("9")),
        (&deciding, "classification", Some("")),
        (&deciding, "retain", Some("for ever")),
        (&deciding, "conditions", Some("\u{202e}")),
        (&deciding, "refusal", Some("")),
        (&deciding, "refusal_text", Some("")),
    ] {
        let pairs = but(sheet, name, value);
        let fault = (sheet.take)(&given, &fields(&pairs)).expect_err(name);
        let page = again(&given, sheet, &pairs, &fault);
        assert_eq!(marked(&page), BTreeSet::from([name.to_owned()]), "{fault:?}");
        assert_points(&page, name);
    }
    // What a rule of the agreement finds, by the document's own names; boxes of which none is ticked are not sent.
    for (sheet, document, name, value) in [
        (&asking, "max_penalty_months", "months", Some("3")),
        (&asking, "expires", "days", Some("90")),
        (&asking, "fields", "field", None),
        (&deciding, "retain_until", "retain", Some("2066-01-01")),
        (&deciding, "onward", "onward", None),
        (&deciding_each, "verdict", "refuse", None),
    ] {
        let fault = Fault::new(Reason::NotPermitted, "DISC-001", "no").field(document);
        let page = again(&given, sheet, &but(sheet, name, value), &fault);
        assert_eq!(marked(&page), BTreeSet::from([name.to_owned()]));
        assert_points(&page, name);
    }
    // A field that no form shows is not linked to.
    let fault = Fault::new(Reason::NotPermitted, "DISC-001", "no").field("recipient_key");
    let page = again(&given, &deciding, &deciding.filled, &fault);
    assert!(marked(&page).is_empty() && !page.contains("href=\"#"));
    place.stop().await;
}

/// The sentence has its id, and its link goes to where the field is.
fn assert_points(page: &str, name: &str) {
    let ids = |id: &str| page.matches(&format!(" id=\"{id}\"")).count();
    assert_eq!(ids(MEND_WHY), 1);
    assert!(page.contains(&format!("href=\"#{name}\"")), "{name}: a link");
    assert_eq!(ids(name), 1, "{name}: one place to go to");
}
