//! The page on which a decision is drawn up: each field is released with a value or withheld on a ground.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use concordat_disclosure::codes::{
    Classification, Field, Ground, HandlingCode, InformationEvaluation, Marks, Onward, SourceEvaluation,
};
use concordat_disclosure::{Refusal, Released, Withheld, Words};
use concordat_ledger::{Hex, Text};
use concordat_node::desk::{self, CaseView, Proposal};
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;
use maud::{Markup, html};

use super::case::{again, back, hidden, id_of, mendable, our_records};
use crate::Desk;
use crate::fields::Fields;
use crate::form::Form;
use crate::guard::{Posted, Shown, Signed, Works};
use crate::texts::{self, errors, forms as says, steps};

/// How the reliability of the information can be marked, in the order of the 4x4 system.
const INFORMATION: [InformationEvaluation; 4] = [
    InformationEvaluation::Certain,
    InformationEvaluation::KnownToSource,
    InformationEvaluation::Corroborated,
    InformationEvaluation::Uncorroborated,
];

/// The page on which a decision is drawn up.
pub(crate) async fn propose(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Works>,
    Path(id): Path<String>,
) -> Result<Html<String>, Shown> {
    let view = desk::view(&desk.state, Some(&signed.who()), id_of(&id)?).await?;
    let body = proposal_form(&signed, &view, desk.state.clock.now(), &Form::default())?;
    Ok(signed.page(steps::DRAW_UP).show(&body))
}

/// A decision is drawn up.
pub(crate) async fn proposed(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    posted: Posted<Works>,
) -> Result<Response, Shown> {
    let id = id_of(&id)?;
    let Posted { signed, fields } = &posted;
    let view = desk::view(&desk.state, Some(&signed.who()), id).await?;
    let request = view
        .case
        .request()
        .ok_or_else(|| Fault::new(Reason::Precondition, "DISC-020", errors::NOTHING_ASKED))?;
    let proposed = async {
        let asked: Vec<Field> = request.fields.iter().cloned().collect();
        let proposal = proposal(fields, &asked, request.purpose.clone())?;
        let action = desk::Action::Propose(Box::new(proposal));
        desk::act(
            &desk.state,
            &signed.who(),
            id,
            Hex::parse(fields.get("seen")),
            action,
        )
        .await
    };
    match proposed.await {
        Ok(_) => Ok(back(id).into_response()),
        Err(fault) => {
            let fault = mendable(fault)?;
            let form = Form::again(fields, &fault);
            let body = proposal_form(signed, &view, desk.state.clock.now(), &form)?;
            Ok(again(signed, steps::DRAW_UP, &form, &fault, &body))
        }
    }
}

/// The form in which a decision is drawn up: field by field, with what our record says.
pub(crate) fn proposal_form(
    signed: &Signed<Works>,
    view: &CaseView,
    now: Timestamp,
    form: &Form,
) -> Result<Markup, Shown> {
    let request = view
        .case
        .request()
        .ok_or_else(|| Fault::internal(errors::NO_REQUEST))?;
    let partner = html! { strong { (request.requester.as_str()) } };
    Ok(html! {
        p { (says::asks_for(partner, request.fields.len(), request.facts.as_str())) }
        (our_records(view))
        form method="post" action=(format!("/cases/{}/propose", view.case.id())) {
            (hidden(signed, view, form))
            h2 { (says::FIELD_BY_FIELD) }
            div.toggles {
                @for field in &request.fields { (toggle(view, field, form)) }
            }
            h2 { (says::HOW_HANDLED) }
            (marks(view, now, form))
            div.field {
                label for="conditions" { (says::CONDITIONS) }
                textarea #conditions name="conditions" rows="2" maxlength="8000"
                    aria-invalid=[form.invalid("conditions")] aria-describedby=[form.why("conditions")] { (form.get("conditions")) }
            }
            // Open where something in it is chosen or is to be mended.
            details open[form.chosen("refuse", "yes", false) || form.wrong() == Some("refuse")] {
                summary { (says::REFUSE_ALL) }
                label.choice {
                    input #refuse type="checkbox" name="refuse" value="yes" checked[form.chosen("refuse", "yes", false)]
                        aria-invalid=[form.invalid("refuse")] aria-describedby=[form.why("refuse")];
                    " " (says::RELEASE_NOTHING)
                }
                (form.preset(("refusal", says::GROUND), Ground::ALL, &Ground::NoLegalBasis))
                div.field {
                    label for="refusal_text" { (says::IN_YOUR_WORDS) }
                    input #refusal_text name="refusal_text" value=(form.get("refusal_text")) maxlength="1000"
                        aria-invalid=[form.invalid("refusal_text")] aria-describedby=[form.why("refusal_text")];
                }
            }
            p { (says::OFFICERS_READ) }
            button.primary type="submit" { (says::SUBMIT) }
        }
    })
}

/// One field: released with what our record says of it, or withheld on a ground.
fn toggle(view: &CaseView, field: &Field, form: &Form) -> Markup {
    let name = field.to_string();
    let (choice, value, ground) = (
        format!("do-{name}"),
        format!("value-{name}"),
        format!("ground-{name}"),
    );
    let held = view.suggested.get(field).map(|values| {
        let values: Vec<&str> = values.iter().map(Words::as_str).collect();
        values.join("\n")
    });
    let held = held.unwrap_or_default();
    html! {
        fieldset.toggle {
            legend { (texts::field(field)) @if view.rules.second_approver.contains(field) { small { (says::TWO_OFFICERS) } } }
            label.choice { input type="radio" name=(choice) value="release" checked[form.chosen(&choice, "release", !held.is_empty())] required; " " (says::RELEASE) }
            label.choice { input type="radio" name=(choice) value="withhold" checked[form.chosen(&choice, "withhold", held.is_empty())] required; " " (says::WITHHOLD) }
            label for=(value) { (says::VALUES) }
            textarea id=(value) name=(value) rows="2" maxlength="8000"
                aria-invalid=[form.invalid(&value)] aria-describedby=[form.why(&value)] { (form.or(&value, &held)) }
            label for=(ground) { (says::GROUND_IF_WITHHELD) }
            select id=(ground) name=(ground) aria-invalid=[form.invalid(&ground)] aria-describedby=[form.why(&ground)] {
                // No ground is withheld on by an oversight.
                option value="" { (says::CHOOSE) }
                @for known in Ground::ALL {
                    @let code = texts::name_of(known);
                    option value=(code) selected[form.chosen(&ground, &code, held.is_empty() && code == "NOT_HELD")] { (texts::code(&code)) }
                }
            }
        }
    }
}

/// How the release is to be handled: only what the agreement permits can be chosen. Handling code and evaluation begin with nothing,
/// so that whoever decides has chosen them.
fn marks(view: &CaseView, now: Timestamp, form: &Form) -> Markup {
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
    html! {
        div.grid {
            (form.choice(("handling", says::HANDLING), &handling, texts::mark))
            div.field {
                label for="restriction" { (says::RESTRICTION) }
                input #restriction name="restriction" value=(form.get("restriction")) maxlength="1000"
                    aria-invalid=[form.invalid("restriction")] aria-describedby=[form.why("restriction")];
            }
            (form.choice(("source", says::SOURCE), SourceEvaluation::ALL, texts::mark))
            (form.choice(("information", says::INFORMATION), &INFORMATION, texts::mark))
            (form.preset(("classification", says::CLASSIFICATION), &classes, &Classification::Unclassified))
            div.field {
                label for="retain" { (says::KEEP_UNTIL) }
                input #retain type="date" name="retain" min=(today.to_string()) max=(until(rules.max_retention_days)) value=(form.or("retain", &until(rules.max_retention_days.min(365)))) required
                    aria-invalid=[form.invalid("retain")] aria-describedby=[form.why("retain")];
            }
            fieldset #onward {
                legend { (says::MAY_GO_ON_TO) }
                @if rules.onward.is_empty() { p { (says::NO_AGENCY) } }
                @for agency in &rules.onward {
                    label.choice {
                        input type="checkbox" name="onward" value=(agency.as_str()) checked[form.chosen("onward", agency.as_str(), false)]
                            aria-invalid=[form.invalid("onward")] aria-describedby=[form.why("onward")];
                        " " (agency.as_str())
                    }
                }
            }
        }
    }
}

/// A decision as it was filled in.
pub(crate) fn proposal(fields: &Fields, asked: &[Field], purpose: Text) -> Result<Proposal, Fault> {
    let refuses = fields.get("refuse") == "yes";
    let (mut released, mut withheld) = (Vec::new(), Vec::new());
    for field in asked {
        let name = field.to_string();
        if !refuses && fields.get(&format!("do-{name}")) == "release" {
            let place = format!("value-{name}");
            let values = fields.paragraphs(&place)?;
            if values.is_empty() {
                // The rule would say so too, but not of which field.
                return Err(Fault::invalid("DESK-021", place, errors::VALUE_OR_WITHHOLD));
            }
            released.push(Released {
                field: field.clone(),
                values,
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
            retain_until: retain.map_err(|_| Fault::invalid("DESK-021", "retain", errors::A_DATE))?,
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
