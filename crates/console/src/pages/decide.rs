//! What people fill in: the request, the decision, the small steps.

use std::collections::BTreeSet;

use concordat_disclosure::codes::{
    Classification, Field, Ground, HandlingCode, InformationEvaluation, IntendedUse, Marks, Onward,
    SourceEvaluation, SubjectClass,
};
use concordat_disclosure::deadline::Urgency;
use concordat_disclosure::event::{Confirmed, MoreTime, NotPursued, OutcomeStated};
use concordat_disclosure::{Refusal, Released, Withheld, Words};
use concordat_identifiers::{NameText, Subject};
use concordat_ledger::{Person, Text};
use concordat_node::desk::{Action, Asking, CaseView, Proposal, refused};
use concordat_wire::Fault;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::case::{selected, words_filled};
use crate::fields::Fields;
use crate::guard::{Shown, Signed, Works};
use crate::texts;

/// A person or document as it was read.
pub(crate) fn subject(subject: &Subject) -> Markup {
    html! {
        ul.subject {
            @for name in &subject.names {
                li { @match &name.text {
                    NameText::Whole(whole) => { (whole) }
                    NameText::Parts { primary, secondary } => { strong { (primary) } ", " (secondary) }
                } }
            }
            @for birth in &subject.births { li { "born " (concordat_node::desk::records::date(birth)) } }
            @for document in &subject.documents {
                li { "document " (document.number) @if let Some(issuer) = &document.issuer { ", " (issuer) } }
            }
            @if !subject.others.is_empty() { li { (subject.others.len()) " further identifiers" } }
        }
    }
}

/// Our records behind the hit.
pub(crate) fn records(view: &CaseView) -> Markup {
    html! {
        section aria-labelledby="records" {
            h2 #records { "Our record" }
            @for record in &view.records {
                h3 { (record.list) " " code { (record.source_id) } }
                (subject(&record.subject))
                @if !record.published.is_empty() {
                    dl {
                        @for (name, values) in &record.published {
                            div { dt { (texts::code(name)) } dd { (values.join("; ")) } }
                        }
                    }
                }
            }
        }
    }
}

/// A step of a few words, as its form says.
pub(crate) fn action(fields: &Fields) -> Result<Action, Fault> {
    Ok(match fields.get("step") {
        "confirm" => Action::Confirm(Confirmed {
            comparison: fields.code("comparison")?,
            method: fields.words("method")?,
        }),
        "not-pursue" => Action::NotPursue(NotPursued {
            reason: fields.code("reason")?,
            text: fields.words("text")?,
        }),
        "take-up" => Action::TakeUp,
        "await-judicial" => Action::AwaitJudicial(fields.words("text")?),
        "judicial" => Action::Judicial(fields.words("text")?),
        "reconsider" => Action::Reconsider(fields.words("text")?),
        "release" => Action::Release,
        "open" => Action::Open,
        "outcome" => Action::Outcome(OutcomeStated {
            outcome: fields.code("outcome")?,
            action: fields.words("action")?,
        }),
        "withdraw" => Action::Withdraw(fields.words("text")?),
        "recall" => Action::Recall {
            reason: fields.words("text")?,
            corrected_in: None,
        },
        "confirm-recall" => Action::ConfirmRecall,
        "more-time" => Action::MoreTime(MoreTime {
            until: local(fields.get("until"))?,
            reason: fields.words("text")?,
        }),
        "close" => Action::Close,
        _ => return Err(Fault::invalid("DESK-021", "step", "there is no such step")),
    })
}

/// A time as browsers write it, in UTC.
fn local(text: &str) -> Result<Timestamp, Fault> {
    let at: Result<jiff::civil::DateTime, _> = text.parse();
    let at = at.ok().and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC).ok());
    at.map(|at| at.timestamp())
        .ok_or_else(|| Fault::invalid("DESK-021", "until", "a date and a time"))
}

/// The token, and the case as it was when the form was first shown: a later look must not hide that it has moved on.
fn hidden(signed: &Signed<Works>, view: &CaseView, filled: &Fields) -> Markup {
    html! {
        input type="hidden" name="csrf" value=(signed.csrf());
        input type="hidden" name="seen" value=(filled.or("seen", &view.case.head().to_string()));
    }
}

fn text_select<'a>(
    name: &str,
    label: &str,
    all: impl IntoIterator<Item = &'a Text>,
    filled: &Fields,
) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) required {
                @for value in all { option value=(value.as_str()) selected[filled.chosen(name, value.as_str(), false)] { (texts::code(value.as_str())) } }
            }
        }
    }
}

/// The form in which details are asked for: only what the agreement permits can be chosen.
pub(crate) fn request_form(
    signed: &Signed<Works>,
    view: &CaseView,
    now: Timestamp,
    filled: &Fields,
) -> Markup {
    let rules = &view.rules;
    let days = rules.max_open_days;
    html! {
        p { "To " strong { (rules.owner.as_str()) } " under agreement " code { (rules.agreement.as_str()) } "." }
        form method="post" action=(format!("/cases/{}/request", view.case.id())) {
            (hidden(signed, view, filled))
            (text_select("purpose", "Purpose", &rules.purposes, filled))
            (text_select("legal_basis", "Legal basis", &rules.legal_bases, filled))
            (selected("intended_use", "What the data are for", IntendedUse::ALL, filled.get("intended_use")))
            (selected("subject_class", "Who the person is in the case", SubjectClass::ALL, filled.get("subject_class")))
            (words_filled(("facts", "facts"), "What happened", "in one or two sentences", filled.get("facts")))
            (words_filled(("offence", "offence"), "Offence (code)", "for example 0801", filled.get("offence")))
            div.field {
                label for="months" { "Longest sentence for it, in months" }
                input #months type="number" name="months" value=(filled.get("months")) min=(rules.min_penalty_months) max="1200" required;
                @if rules.min_penalty_months > 0 { small { "The agreement asks for at least " (rules.min_penalty_months) "." } }
            }
            fieldset {
                legend { "What you need" }
                @for field in &rules.fields {
                    label.choice { input type="checkbox" name="field" value=(field.to_string()) checked[filled.chosen("field", &field.to_string(), false)]; " " (texts::field(field))
                        @if rules.second_approver.contains(field) { small { " needs two officers there" } } }
                }
            }
            div.field {
                label for="urgency" { "Urgency" }
                select #urgency name="urgency" {
                    @for (code, words) in [("NORMAL", "normal"), ("URGENT", "urgent"), ("URGENT_INDIRECT", "urgent, data not directly at hand")] {
                        option value=(code) selected[filled.chosen("urgency", code, code == "NORMAL")] { (words) }
                    }
                }
            }
            div.field { label for="why" { "Why it is urgent" } input #why name="why" value=(filled.get("why")) maxlength="1000" autocomplete="off"; small { "Required for every urgent request." } }
            div.field { label for="ordered_by" { "Ordered by" } input #ordered_by name="ordered_by" value=(filled.or("ordered_by", signed.officer.person.id.as_str())) required maxlength="128"; }
            div.field {
                label for="days" { "Void after, in days" }
                input #days type="number" name="days" min="1" max=(days) value=(filled.or("days", &days.min(7).to_string())) required;
                small { "From " (texts::time(now)) ", at most " (days) "." }
            }
            button.primary type="submit" { "Send the request" }
        }
    }
}

/// What was asked for.
pub(crate) fn asking(fields: &Fields, by: &Person, now: Timestamp) -> Result<Asking, Fault> {
    let text = |name: &str| {
        Text::new(fields.get(name)).map_err(|_| Fault::invalid("DESK-021", name, "required, one line"))
    };
    let number = |name: &str| -> Result<u32, Fault> {
        fields
            .get(name)
            .parse()
            .map_err(|_| Fault::invalid("DESK-021", name, "a number"))
    };
    let wanted = fields
        .all("field")
        .map(|name| name.parse::<Field>().map_err(refused));
    let ordered_by = match fields.get("ordered_by") {
        "" => by.clone(),
        id => Person {
            id: Text::new(id).map_err(|_| Fault::invalid("DESK-021", "ordered_by", "one line"))?,
            unit: None,
        },
    };
    Ok(Asking {
        purpose: text("purpose")?,
        legal_basis: text("legal_basis")?,
        intended_use: fields.code("intended_use")?,
        subject: fields.code("subject_class")?,
        facts: fields.words("facts")?,
        offence: text("offence")?,
        max_penalty_months: number("months")?,
        fields: wanted.collect::<Result<BTreeSet<_>, _>>()?,
        urgency: match fields.get("urgency") {
            "URGENT" => Urgency::Urgent(fields.words("why")?),
            "URGENT_INDIRECT" => Urgency::UrgentIndirect(fields.words("why")?),
            _ => Urgency::Normal,
        },
        onward: BTreeSet::new(),
        ordered_by,
        expires: now + SignedDuration::from_hours(24 * i64::from(number("days")?.clamp(1, 366))),
    })
}

fn options<T: serde::Serialize>(
    (name, label): (&str, &str),
    all: &[T],
    at_first: &T,
    filled: &Fields,
) -> Markup {
    let at_first = texts::name_of(at_first);
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for code in all {
                    @let code = texts::name_of(code);
                    option value=(code) selected[code == filled.or(name, &at_first)] { (texts::mark(&code)) }
                }
            }
        }
    }
}

/// The form in which a decision is drawn up: field by field, with what our record says.
pub(crate) fn proposal_form(
    signed: &Signed<Works>,
    view: &CaseView,
    now: Timestamp,
    filled: &Fields,
) -> Result<Markup, Shown> {
    let request = view
        .case
        .request()
        .ok_or_else(|| Fault::internal("the case has no request"))?;
    let rules = &view.rules;
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let until = |days: u16| {
        today
            .saturating_add(jiff::Span::new().days(i64::from(days)))
            .to_string()
    };
    let handling: Vec<HandlingCode> = rules.handling.iter().copied().collect();
    let classes: Vec<Classification> = Classification::ALL
        .iter()
        .copied()
        .filter(|class| *class <= rules.max_classification)
        .collect();
    let information = [
        InformationEvaluation::Certain,
        InformationEvaluation::KnownToSource,
        InformationEvaluation::Corroborated,
        InformationEvaluation::Uncorroborated,
    ];
    Ok(html! {
        p { strong { (request.requester.as_str()) } " asks for " (request.fields.len()) " fields: " (request.facts.as_str()) }
        (records(view))
        form method="post" action=(format!("/cases/{}/propose", view.case.id())) {
            (hidden(signed, view, filled))
            h2 { "Field by field" }
            div.toggles {
                @for field in &request.fields {
                    @let name = field.to_string();
                    @let values = view.suggested.get(field).map(|values| values.iter().map(Words::as_str).collect::<Vec<_>>().join("\n")).unwrap_or_default();
                    fieldset.toggle {
                        legend { (texts::field(field)) @if rules.second_approver.contains(field) { small { " · two officers" } } }
                        label.choice { input type="radio" name=(format!("do-{name}")) value="release" checked[filled.chosen(&format!("do-{name}"), "release", !values.is_empty())] required; " release" }
                        label.choice { input type="radio" name=(format!("do-{name}")) value="withhold" checked[filled.chosen(&format!("do-{name}"), "withhold", values.is_empty())] required; " withhold" }
                        label for=(format!("value-{name}")) { "Values, one a line" }
                        textarea id=(format!("value-{name}")) name=(format!("value-{name}")) rows="2" maxlength="8000" { (filled.or(&format!("value-{name}"), &values)) }
                        label for=(format!("ground-{name}")) { "Ground, if withheld" }
                        select id=(format!("ground-{name}")) name=(format!("ground-{name}")) {
                            // No ground is withheld on by an oversight.
                            option value="" { "choose" }
                            @for ground in Ground::ALL {
                                @let code = texts::name_of(ground);
                                option value=(code) selected[filled.chosen(&format!("ground-{name}"), &code, values.is_empty() && code == "NOT_HELD")] { (texts::code(&code)) }
                            }
                        }
                    }
                }
            }
            h2 { "How it must be handled" }
            div.grid {
                (options(("handling", "Handling code"), &handling, &HandlingCode::H1, filled))
                div.field { label for="restriction" { "Restriction (with H3)" } input #restriction name="restriction" value=(filled.get("restriction")) maxlength="1000"; }
                (options(("source", "Source"), SourceEvaluation::ALL, &SourceEvaluation::A, filled))
                (options(("information", "Information"), &information, &InformationEvaluation::KnownToSource, filled))
                (options(("classification", "Classification"), &classes, &Classification::Unclassified, filled))
                div.field {
                    label for="retain" { "Keep until" }
                    input #retain type="date" name="retain" min=(today.to_string()) max=(until(rules.max_retention_days)) value=(filled.or("retain", &until(rules.max_retention_days.min(365)))) required;
                }
                fieldset {
                    legend { "May go on to" }
                    @if rules.onward.is_empty() { p { "nobody: the agreement names no agency" } }
                    @for agency in &rules.onward { label.choice { input type="checkbox" name="onward" value=(agency.as_str()) checked[filled.chosen("onward", agency.as_str(), false)]; " " (agency.as_str()) } }
                }
            }
            div.field { label for="conditions" { "Conditions, one a line" } textarea #conditions name="conditions" rows="2" maxlength="8000" { (filled.get("conditions")) } }
            details open[filled.chosen("refuse", "yes", false)] {
                summary { "Refuse the whole request" }
                label.choice { input type="checkbox" name="refuse" value="yes" checked[filled.chosen("refuse", "yes", false)]; " release nothing" }
                (options(("refusal", "Ground"), Ground::ALL, &Ground::NoLegalBasis, filled))
                div.field { label for="refusal_text" { "In your words" } input #refusal_text name="refusal_text" value=(filled.get("refusal_text")) maxlength="1000"; }
            }
            p { "Officers then read exactly this and sign it with their passkeys." }
            button.primary type="submit" { "Submit for approval" }
        }
    })
}

/// A decision as it was filled in.
pub(crate) fn proposal(fields: &Fields, asked: &[Field], purpose: Text) -> Result<Proposal, Fault> {
    let refuses = fields.get("refuse") == "yes";
    let (mut released, mut withheld) = (Vec::new(), Vec::new());
    for field in asked {
        let name = field.to_string();
        if !refuses && fields.get(&format!("do-{name}")) == "release" {
            released.push(Released {
                field: field.clone(),
                values: fields.paragraphs(&format!("value-{name}"))?,
            });
        } else {
            withheld.push(Withheld {
                field: field.clone(),
                ground: match refuses {
                    true => fields.code("refusal")?,
                    false => fields.code(&format!("ground-{name}"))?,
                },
            });
        }
    }
    let onward = fields.all("onward").filter_map(|agency| Text::new(agency).ok());
    let onward: BTreeSet<Text> = onward.collect();
    let restriction = match fields.get("restriction") {
        "" => None,
        _ => Some(fields.words("restriction")?),
    };
    let retain = fields.get("retain").parse();
    Ok(Proposal {
        refusal: match refuses {
            false => None,
            true => Some(Refusal {
                ground: fields.code("refusal")?,
                text: fields.words("refusal_text")?,
            }),
        },
        released,
        withheld,
        marks: Marks {
            handling: fields.code("handling")?,
            restriction,
            source: fields.code("source")?,
            information: fields.code("information")?,
            classification: fields.code("classification")?,
            retain_until: retain.map_err(|_| Fault::invalid("DESK-021", "retain", "a date"))?,
            onward: if onward.is_empty() {
                Onward::Nobody
            } else {
                Onward::To(onward)
            },
            purpose,
        },
        conditions: fields.paragraphs("conditions")?,
    })
}
