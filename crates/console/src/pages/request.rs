//! The page on which details are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use concordat_disclosure::codes::{Field, IntendedUse, SubjectClass};
use concordat_disclosure::deadline::Urgency;
use concordat_ledger::{Hex, Person, Text};
use concordat_node::desk::{self, Asking, CaseView, refused};
use concordat_wire::Fault;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::case::{again, back, hidden, id_of, mendable};
use crate::Desk;
use crate::fields::Fields;
use crate::form::Form;
use crate::guard::{Posted, Shown, Signed, Works};
use crate::texts::{self, errors, forms as says, steps};

/// How urgent, by the form's code.
const URGENCIES: [(&str, &str); 3] = [
    ("NORMAL", says::NORMAL),
    ("URGENT", says::URGENT),
    ("URGENT_INDIRECT", says::URGENT_INDIRECT),
];

/// The page on which details are asked for.
pub(crate) async fn request(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Works>,
    Path(id): Path<String>,
) -> Result<Html<String>, Shown> {
    let view = desk::view(&desk.state, Some(&signed.who()), id_of(&id)?).await?;
    let body = request_form(&signed, &view, desk.state.clock.now(), &Form::default());
    Ok(signed.page(steps::ASK).show(&body))
}

/// Details are asked for.
pub(crate) async fn requested(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    posted: Posted<Works>,
) -> Result<Response, Shown> {
    let id = id_of(&id)?;
    let Posted { signed, fields } = &posted;
    let now = desk.state.clock.now();
    let asked = async {
        let asking = asking(fields, &signed.officer.person, now)?;
        let action = desk::Action::Request(Box::new(asking));
        desk::act(
            &desk.state,
            &signed.who(),
            id,
            Hex::parse(fields.get("seen")),
            action,
        )
        .await
    };
    let fault = match asked.await {
        Ok(_) => return Ok(back(id).into_response()),
        Err(fault) => mendable(fault)?,
    };
    let view = desk::view(&desk.state, Some(&signed.who()), id).await?;
    let form = Form::again(fields, &fault);
    let body = request_form(signed, &view, now, &form);
    Ok(again(signed, steps::ASK, &form, &fault, &body))
}

/// The form in which details are asked for: only what the agreement permits can be chosen.
pub(crate) fn request_form(signed: &Signed<Works>, view: &CaseView, now: Timestamp, form: &Form) -> Markup {
    let rules = &view.rules;
    let days = rules.max_open_days;
    html! {
        p { (says::to_under(html! { strong { (rules.owner.as_str()) } }, html! { code { (rules.agreement.as_str()) } })) }
        form method="post" action=(format!("/cases/{}/request", view.case.id())) {
            (hidden(signed, view, form))
            (form.agreed(("purpose", says::PURPOSE), &rules.purposes))
            (form.agreed(("legal_basis", says::LEGAL_BASIS), &rules.legal_bases))
            (form.choice(("intended_use", says::INTENDED_USE), IntendedUse::ALL, texts::code))
            (form.choice(("subject_class", says::SUBJECT_CLASS), SubjectClass::ALL, texts::code))
            (form.line("facts", says::FACTS, says::FACTS_HINT))
            (form.line("offence", says::OFFENCE, says::OFFENCE_HINT))
            div.field {
                label for="months" { (says::MONTHS) }
                input #months type="number" name="months" value=(form.get("months")) min=(rules.min_penalty_months) max="1200" required
                    aria-invalid=[form.invalid("months")] aria-describedby=[form.why("months")];
                @if rules.min_penalty_months > 0 { small { (says::at_least(rules.min_penalty_months)) } }
            }
            fieldset #field {
                legend { (says::FIELDS) }
                @for field in &rules.fields {
                    label.choice {
                        input type="checkbox" name="field" value=(field.to_string()) checked[form.chosen("field", &field.to_string(), false)]
                            aria-invalid=[form.invalid("field")] aria-describedby=[form.why("field")];
                        " " (texts::field(field))
                        @if rules.second_approver.contains(field) { small { (says::TWO_OFFICERS_THERE) } }
                    }
                }
            }
            div.field {
                label for="urgency" { (says::URGENCY) }
                select #urgency name="urgency" {
                    @for (code, words) in URGENCIES {
                        option value=(code) selected[form.chosen("urgency", code, code == "NORMAL")] { (words) }
                    }
                }
            }
            div.field {
                label for="why" { (says::WHY_URGENT) }
                input #why name="why" value=(form.get("why")) maxlength="1000" autocomplete="off"
                    aria-invalid=[form.invalid("why")] aria-describedby=[form.why("why")];
                small { (says::WHY_URGENT_HINT) }
            }
            div.field {
                label for="ordered_by" { (says::ORDERED_BY) }
                input #ordered_by name="ordered_by" value=(form.or("ordered_by", signed.officer.person.id.as_str())) required maxlength="128"
                    aria-invalid=[form.invalid("ordered_by")] aria-describedby=[form.why("ordered_by")];
            }
            div.field {
                label for="days" { (says::DAYS) }
                input #days type="number" name="days" min="1" max=(days) value=(form.or("days", &days.min(7).to_string())) required
                    aria-invalid=[form.invalid("days")] aria-describedby=[form.why("days")];
                small { (says::days_from(&texts::time(now), days)) }
            }
            button.primary type="submit" { (says::SEND) }
        }
    }
}

/// What was asked for.
pub(crate) fn asking(fields: &Fields, by: &Person, now: Timestamp) -> Result<Asking, Fault> {
    let text = |name: &str| {
        Text::new(fields.get(name)).map_err(|_| Fault::invalid("DESK-021", name, errors::REQUIRED_LINE))
    };
    let number = |name: &str| -> Result<u32, Fault> {
        fields
            .get(name)
            .parse()
            .map_err(|_| Fault::invalid("DESK-021", name, errors::A_NUMBER))
    };
    let wanted = fields
        .all("field")
        .map(|name| name.parse::<Field>().map_err(refused));
    let ordered_by = match fields.get("ordered_by") {
        "" => by.clone(),
        id => Person {
            id: Text::new(id).map_err(|_| Fault::invalid("DESK-021", "ordered_by", errors::ONE_LINE))?,
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
