//! One case: who asks, why, what is released, the clock, what was said, what comes next.

use std::sync::Arc;

use axum::extract::{Multipart, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use concordat_disclosure::codes::Field;
use concordat_disclosure::{AnyCase, CaseId, Decision, DetailRequest, Document, Message, Words};
use concordat_ledger::{Digest, Hex, Side};
use concordat_node::desk::{self, CaseView, Saying, attachments};
use concordat_wire::{Fault, Reason};
use maud::{Markup, html};

use super::clock::clock;
use super::{decide, history, inbox};
use crate::fields::Fields;
use crate::guard::{Posted, Reads, Shown, Signed, Works, holds, stale_form};
use crate::layout::mend;
use crate::{Desk, sign, texts};

const ASK: &str = "Ask for details";
const DRAW_UP: &str = "Draw up the decision";

fn id_of(text: &str) -> Result<CaseId, Fault> {
    CaseId::parse(text).ok_or_else(|| Fault::new(Reason::NotFound, "DESK-002", "there is no such case here"))
}

fn back(id: CaseId) -> Redirect {
    Redirect::to(&format!("/cases/{id}"))
}

/// The case.
pub(crate) async fn show(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Reads>,
    Path(id): Path<String>,
) -> Result<Html<String>, Shown> {
    let view = desk::view(&desk.state, Some(&signed.who()), id_of(&id)?).await?;
    let now = desk.state.clock.now();
    let title = format!("Case {}", &id[24..]);
    let mut page = signed.page(&title);
    page.live = true;
    let request = view.case.request();
    let signs = view.may.contains(&"approve");
    Ok(page.show(&html! {
        section.summary aria-label="Summary" {
            p.state { strong { (texts::state(view.case.name())) } " " (inbox::side(view.row.side)) ", with " strong { (view.row.partner) } }
            p { (clock(&view.row, now)) }
            @if let Some(sending) = &view.sending {
                p.warn role="status" { "On its way to the partner since " (texts::time(sending.since)) ": " (texts::step(sending.what)) ". It is sent again until the partner's node has taken it." }
            }
            @if let AnyCase::Recalled(case) = &view.case {
                p.warn role="status" { strong { "The owner took this release back. " } "Delete or correct what was released by " (texts::time(case.due())) "." }
            }
        }
        // What is signed is read first: it stands above the button that signs it.
        @if signs { @if let Some(decision) = &view.decision { (decision_of(&view, decision)) } }
        (next_step(&desk, &signed, &view)?)
        @if let Some(request) = request { (asked(request)) }
        @if let Some(subject) = &view.subject { (held(subject)) }
        @if !view.records.is_empty() { (decide::records(&view)) }
        @if !signs { @if let Some(decision) = &view.decision { (decision_of(&view, decision)) } }
        @if request.is_some() { (messages(&signed, &view)) }
        section aria-labelledby="history" {
            h2 #history { "History" }
            p.note { "The state is not stored: it was rebuilt from these steps just now, each verified." }
            (history::history(&view, &view.rules.console))
        }
    }))
}

/// Forms for what this person may do next; the first is the likely one.
fn next_step(desk: &Desk, signed: &Signed<Reads>, view: &CaseView) -> Result<Markup, Shown> {
    let mut forms = Vec::new();
    for may in &view.may {
        if *may != "say" {
            forms.push(form_for(desk, signed, view, may)?);
        }
    }
    Ok(html! {
        @if let Some((first, rest)) = forms.split_first() {
            section.next aria-labelledby="next" {
                h2 #next { "Next step" }
                (first)
                @if !rest.is_empty() {
                    details.other {
                        summary { "Other steps" }
                        @for form in rest { (form) }
                    }
                }
            }
        }
    })
}

fn form_for(desk: &Desk, signed: &Signed<Reads>, view: &CaseView, may: &str) -> Result<Markup, Shown> {
    let id = view.case.id();
    let at = |page: &str| format!("/cases/{id}/{page}");
    Ok(match may {
        "request" => html! { p { a.button.primary href=(at("request")) { "Ask for details" } } },
        "propose" => html! { p { a.button.primary href=(at("propose")) { "Draw up the decision" } } },
        "approve" => {
            let digest = view
                .decision
                .as_ref()
                .map(Document::digest)
                .transpose()
                .map_err(desk::refused)?;
            let digest = digest.ok_or_else(|| Fault::internal("the decision is not at hand"))?;
            let hidden = [("csrf", signed.csrf()), ("seen", view.case.head().to_string())];
            let hidden = hidden.each_ref().map(|(name, value)| (*name, value.as_str()));
            html! {
                p { "You approve exactly what is shown above under " a href="#decision" { "Decision" } ", and nothing else." }
                (sign::form(desk, &at("approve"), (&digest, &signed.officer.keys), &hidden, "Approve with my passkey"))
            }
        }
        "question" | "answer" => {
            html! { p { a href="#say" { (if may == "question" { "Ask the requester something" } else { "Answer the owner" }) } } }
        }
        _ => simple(signed, view, may),
    })
}

/// A step that needs a few words or none.
fn simple(signed: &Signed<Reads>, view: &CaseView, may: &str) -> Markup {
    let id = view.case.id();
    let (button, body) = match may {
        "confirm" => (
            "Record my comparison",
            html! {
                fieldset {
                    legend { "Is it the same person or thing?" }
                    @for (code, words) in [("SAME", "The same"), ("DIFFERENT", "Another"), ("UNSURE", "I cannot tell")] {
                        label.choice { input type="radio" name="comparison" value=(code) required; " " (words) }
                    }
                }
                (words_field("method", "How did you compare?", "for example: document in hand, photograph compared"))
            },
        ),
        "not-pursue" => (
            "Do not pursue",
            html! {
                (select("reason", "Why not?", concordat_disclosure::codes::NotPursuedReason::ALL))
                (text_field(may, "In your words"))
            },
        ),
        "take-up" => (
            "Take it up",
            html! { p { "You will see the record behind the hit." } },
        ),
        "await-judicial" => (
            "Wait for a judicial authority",
            text_field(may, "Which authority must authorise it?"),
        ),
        "judicial" => ("Record the answer", text_field(may, "The authority's reference")),
        "reconsider" => ("Take the decision back", text_field(may, "Why?")),
        "release" => (
            "Release now",
            html! { p { "It is sealed to the requester's key and sent. There is no way back, but a recall." } },
        ),
        "open" => (
            "Open the release",
            html! { p { "It is verified first. The owner gets your signed receipt." } },
        ),
        "outcome" => (
            "State the outcome",
            html! {
                (select("outcome", "What came of it?", concordat_disclosure::codes::CaseOutcome::ALL))
                (words_field("action", "What was done", ""))
            },
        ),
        "withdraw" => ("Withdraw the request", text_field(may, "Why?")),
        "recall" => (
            "Take the release back",
            text_field(may, "Why? The requester has 48 hours."),
        ),
        "confirm-recall" => (
            "Confirm: deleted or corrected",
            html! { p { "What was released is destroyed here." } },
        ),
        "more-time" => (
            "State more time",
            html! {
                div.field { label for="until" { "Until (UTC)" } input #until type="datetime-local" name="until" required; }
                (text_field(may, "Why?"))
            },
        ),
        _ => ("Close the case", html! {}),
    };
    html! {
        form method="post" action=(format!("/cases/{id}/step")) {
            input type="hidden" name="csrf" value=(signed.csrf());
            input type="hidden" name="seen" value=(view.case.head().to_string());
            input type="hidden" name="step" value=(may);
            (body)
            button.primary type="submit" { (button) }
        }
    }
}

/// The words of a step, under an id of their own: several steps stand on one page.
fn text_field(may: &str, label: &str) -> Markup {
    words_filled((&format!("{may}-text"), "text"), label, "", "")
}

/// A required text of one line.
pub(crate) fn words_field(name: &str, label: &str, hint: &str) -> Markup {
    words_filled((name, name), label, hint, "")
}

/// The same under an id of its own, with what was written before.
pub(crate) fn words_filled((id, name): (&str, &str), label: &str, hint: &str, value: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name=(name) value=(value) required maxlength="1000" placeholder=(hint) autocomplete="off";
        }
    }
}

/// A choice of a code list.
pub(crate) fn select<T: serde::Serialize>(name: &str, label: &str, all: &[T]) -> Markup {
    selected(name, label, all, "")
}

/// The same with what was chosen before.
pub(crate) fn selected<T: serde::Serialize>(name: &str, label: &str, all: &[T], chosen: &str) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) required {
                option value="" { "choose" }
                @for code in all {
                    @let code = texts::name_of(code);
                    option value=(code) selected[code == chosen] { (texts::code(&code)) }
                }
            }
        }
    }
}

fn row(name: &str, value: impl maud::Render) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// Who asks, why, under what law.
fn asked(request: &DetailRequest) -> Markup {
    let fields: Vec<String> = request.fields.iter().map(texts::field).collect();
    html! {
        section aria-labelledby="request" {
            h2 #request { "Request" }
            dl {
                (row("Asked by", format!("{} of {}", request.by.id.as_str(), request.requester.as_str())))
                (row("Ordered by", request.ordered_by.id.as_str()))
                (row("Hit confirmed by", format!("{}, {}", request.confirmed.person.id.as_str(), request.confirmed.method.as_str())))
                (row("Facts", request.facts.as_str()))
                (row("Offence", format!("{}, up to {} months", request.offence.as_str(), request.max_penalty_months)))
                (row("Purpose", texts::code(request.purpose.as_str())))
                (row("Legal basis", request.legal_basis.as_str()))
                (row("Use", texts::code(&texts::name_of(&request.intended_use))))
                (row("The person is", texts::code(&texts::name_of(&request.subject))))
                (row("Urgency", urgency(&request.urgency)))
                (row("Asked for", fields.join(", ")))
                (row("May go on to", if request.onward.is_empty() { "nobody".to_owned() } else { request.onward.iter().map(|to| to.as_str()).collect::<Vec<_>>().join(", ") }))
                (row("Void after", texts::time(request.expires)))
            }
        }
    }
}

fn urgency(urgency: &concordat_disclosure::deadline::Urgency) -> String {
    use concordat_disclosure::deadline::Urgency;
    match urgency {
        Urgency::Normal => "normal".to_owned(),
        Urgency::Urgent(why) => format!("urgent: {}", why.as_str()),
        Urgency::UrgentIndirect(why) => format!("urgent, data not at hand: {}", why.as_str()),
    }
}

fn held(held: &concordat_node::desk::hits::HeldSubject) -> Markup {
    html! {
        section aria-labelledby="held" {
            h2 #held { "What hit" }
            p.note { "This is what we asked about. What the partner holds is not known here." }
            dl {
                (row("Item", held.item.as_str()))
                (row("Matched by", format!("rule {}, {}", held.rule, held.grade.to_lowercase())))
                (row("Case or flight", held.case_reference.as_str()))
                (row("Query by", format!("{}, ordered by {}", held.officer, held.ordered_by)))
            }
            (decide::subject(&held.subject))
        }
    }
}

/// What is, or was, released, with how it must be handled; and the text that is signed.
fn decision_of(view: &CaseView, decision: &Decision) -> Markup {
    let marks = &decision.marks;
    let conditions: Vec<&str> = decision.conditions.iter().map(Words::as_str).collect();
    let onward = match &marks.onward {
        concordat_disclosure::codes::Onward::Nobody => "to nobody".to_owned(),
        concordat_disclosure::codes::Onward::To(agencies) => agencies
            .iter()
            .map(|agency| agency.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    };
    html! {
        section.decision aria-labelledby="decision" {
            h2 #decision { (if view.side == Side::Requester { "What was released" } else { "Decision" }) }
            p.marks {
                strong { "Handling " (texts::mark(&texts::name_of(&marks.handling))) }
                @if let Some(restriction) = &marks.restriction { " (" (restriction.as_str()) ")" }
                " · " (texts::code(&texts::name_of(&marks.classification)))
                " · evaluation " (texts::mark(&texts::name_of(&marks.source))) ", " (texts::mark(&texts::name_of(&marks.information)))
                " · keep until " time { (marks.retain_until.to_string()) }
                " · onward " (onward)
            }
            @if !conditions.is_empty() { p { strong { "Conditions: " } (conditions.join("; ")) } }
            @if let concordat_disclosure::Verdict::Refused(refusal) = &decision.verdict {
                p { strong { "All is refused: " } (texts::code(&texts::name_of(&refusal.ground))) ", " (refusal.text.as_str()) }
            }
            div.sides {
                div {
                    h3 { "Released" }
                    @if decision.released.is_empty() { p { "nothing" } }
                    dl {
                        @for released in &decision.released {
                            (row(&texts::field(&released.field), released.values.iter().map(Words::as_str).collect::<Vec<_>>().join("; ")))
                        }
                    }
                }
                div {
                    h3 { "Withheld" }
                    @if decision.withheld.is_empty() { p { "nothing" } }
                    dl {
                        @for withheld in &decision.withheld {
                            (row(&texts::field(&withheld.field), texts::code(&texts::name_of(&withheld.ground))))
                        }
                    }
                }
            }
            p { (view.approvals.len()) " of " (decision.approvers(&view.rules)) " approvals: "
                (view.approvals.iter().map(|approval| approval.officer.as_str().to_owned()).collect::<Vec<_>>().join(", ")) }
            details {
                summary { "The exact text that is signed" }
                pre tabindex="0" { (view.decision_text.as_deref().unwrap_or_default()) }
                p { "SHA-256: " code.digest { (decision.digest().map(|digest| digest.to_string()).unwrap_or_default()) } }
            }
            @if let Some(umf) = &view.umf {
                details { summary { "As XML (UMF)" } pre tabindex="0" { (umf) } }
            }
        }
    }
}

fn messages(signed: &Signed<Reads>, view: &CaseView) -> Markup {
    let id = view.case.id();
    let kinds: Vec<(&str, &str)> = [
        ("question", "Question: the requester is to answer"),
        ("answer", "Answer to the owner's question"),
        ("say", "Message"),
    ]
    .into_iter()
    .filter(|(kind, _)| view.may.contains(kind))
    .collect();
    html! {
        section aria-labelledby="messages" {
            h2 #messages { "Messages" }
            @if view.messages.is_empty() { p.empty { "Nothing was said yet." } }
            @for message in &view.messages { (message_of(id, message)) }
            @if !kinds.is_empty() {
                form #say method="post" action=(format!("/cases/{id}/message")) enctype="multipart/form-data" {
                    input type="hidden" name="csrf" value=(signed.csrf());
                    input type="hidden" name="seen" value=(view.case.head().to_string());
                    div.field {
                        label for="kind" { "Kind" }
                        select #kind name="kind" { @for (kind, words) in &kinds { option value=(kind) { (words) } } }
                    }
                    div.field { label for="text" { "To the other desk" } textarea #text name="text" rows="4" required maxlength="4000" {} }
                    div.field { label for="file" { "Attachment (at most 50 MiB)" } input #file type="file" name="file"; }
                    button type="submit" { "Send sealed" }
                }
            }
        }
    }
}

fn message_of(id: CaseId, message: &Message) -> Markup {
    html! {
        article.message {
            p.by { time { (texts::time(message.at)) } " " strong { (message.by.id.as_str()) } }
            @for paragraph in &message.text { p { (paragraph.as_str()) } }
            @for attachment in &message.attachments {
                p { a href=(format!("/cases/{id}/attachments/{}", attachment.id)) download=(attachment.name.as_str()) { (attachment.name.as_str()) } " (" (attachment.bytes) " bytes)" }
            }
        }
    }
}

/// A step of a few words.
pub(crate) async fn step(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    posted: Posted<Works>,
) -> Result<Redirect, Shown> {
    let id = id_of(&id)?;
    let action = decide::action(&posted.fields)?;
    let seen: Option<Digest> = Hex::parse(posted.fields.get("seen"));
    desk::act(&desk.state, &posted.signed.who(), id, seen, action).await?;
    Ok(back(id))
}

/// The page on which details are asked for.
pub(crate) async fn request(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Works>,
    Path(id): Path<String>,
) -> Result<Html<String>, Shown> {
    let view = desk::view(&desk.state, Some(&signed.who()), id_of(&id)?).await?;
    let body = decide::request_form(&signed, &view, desk.state.clock.now(), &Fields::default());
    Ok(signed.page(ASK).show(&body))
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
        let asking = decide::asking(fields, &signed.officer.person, now)?;
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
    let form = decide::request_form(signed, &view, now, fields);
    Ok(again(signed, ASK, fields, &fault, &form))
}

/// What the person can mend in the form. Anything else needs a fresh look at the case.
fn mendable(fault: Fault) -> Result<Fault, Shown> {
    match fault.reason {
        Reason::Invalid | Reason::NotPermitted => Ok(fault),
        _ => Err(fault.into()),
    }
}

/// A form as it was filled in, with what is to be mended.
fn again(signed: &Signed<Works>, title: &str, fields: &Fields, fault: &Fault, form: &Markup) -> Response {
    let body = html! { (mend(fields, fault)) (form) };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    (status, signed.page(title).show(&body)).into_response()
}

/// The page on which a decision is drawn up.
pub(crate) async fn propose(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Works>,
    Path(id): Path<String>,
) -> Result<Html<String>, Shown> {
    let view = desk::view(&desk.state, Some(&signed.who()), id_of(&id)?).await?;
    let body = decide::proposal_form(&signed, &view, desk.state.clock.now(), &Fields::default())?;
    Ok(signed.page(DRAW_UP).show(&body))
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
        .ok_or_else(|| Fault::new(Reason::Precondition, "DISC-020", "nothing was asked for"))?;
    let proposed = async {
        let asked: Vec<Field> = request.fields.iter().cloned().collect();
        let proposal = decide::proposal(fields, &asked, request.purpose.clone())?;
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
            let form = decide::proposal_form(signed, &view, desk.state.clock.now(), fields)?;
            Ok(again(signed, DRAW_UP, fields, &fault, &form))
        }
    }
}

/// An officer's passkey has signed.
pub(crate) async fn approve(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    posted: Posted<Works>,
) -> Result<Redirect, Shown> {
    let id = id_of(&id)?;
    let view = desk::view(&desk.state, Some(&posted.signed.who()), id).await?;
    let digest = view
        .decision
        .as_ref()
        .map(Document::digest)
        .transpose()
        .map_err(desk::refused)?;
    let digest = digest.ok_or_else(|| {
        Fault::new(
            Reason::Precondition,
            "DISC-020",
            "there is no decision to approve",
        )
    })?;
    let approval = sign::approval(&posted.signed.officer, &digest, posted.fields.get("answer"))?;
    let seen: Option<Digest> = Hex::parse(posted.fields.get("seen"));
    let action = desk::Action::Approve(Box::new(approval));
    desk::act(&desk.state, &posted.signed.who(), id, seen, action).await?;
    Ok(back(id))
}

/// A message, with a file or without.
pub(crate) async fn message(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Works>,
    Path(id): Path<String>,
    mut form: Multipart,
) -> Result<Redirect, Shown> {
    let id = id_of(&id)?;
    let unreadable = |_| {
        Shown::from(Fault::invalid(
            "CONS-013",
            "form",
            "the form cannot be read, or the file is too large",
        ))
    };
    let (mut checked, mut seen, mut kind, mut text, mut file) =
        (false, None, String::new(), String::new(), None);
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "csrf" => checked = holds(&signed, &field.text().await.map_err(unreadable)?),
            // Whatever comes before the token is not read.
            _ if !checked => return Err(stale_form()),
            "seen" => seen = Hex::parse(&field.text().await.map_err(unreadable)?),
            "kind" => kind = field.text().await.map_err(unreadable)?,
            "text" => text = field.text().await.map_err(unreadable)?,
            "file" => {
                let name = field.file_name().unwrap_or_default().to_owned();
                let media_type = field
                    .content_type()
                    .unwrap_or("application/octet-stream")
                    .to_owned();
                let bytes = field.bytes().await.map_err(unreadable)?;
                if !bytes.is_empty() {
                    file = Some((name, media_type, bytes));
                }
            }
            _ => {}
        }
    }
    if !checked {
        return Err(stale_form());
    }
    let who = signed.who();
    let mut manifests = Vec::new();
    if let Some((name, media_type, bytes)) = file {
        let named = (
            Words::new(&name).map_err(desk::refused)?,
            concordat_node::ledger::text(&media_type),
        );
        manifests.push(attachments::attach(&desk.state, &who, id, named, &bytes).await?);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let saying = Saying {
        text: lines
            .map(Words::new)
            .collect::<Result<_, _>>()
            .map_err(desk::refused)?,
        answers: None,
        attachments: manifests,
    };
    let action = match kind.as_str() {
        "question" => desk::Action::Question(saying),
        "answer" => desk::Action::Answer(saying),
        _ => desk::Action::Say(saying),
    };
    desk::act(&desk.state, &who, id, seen, action).await?;
    Ok(back(id))
}

/// A file that a message names. Browsers save it, and never show it as a page of ours.
pub(crate) async fn attachment(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Works>,
    Path((id, attachment)): Path<(String, String)>,
) -> Result<Response, Shown> {
    let attachment = id_of(&attachment)?;
    let (manifest, bytes) = attachments::fetch(&desk.state, &signed.who(), id_of(&id)?, attachment).await?;
    let name: String = url::form_urlencoded::byte_serialize(manifest.name.as_str().as_bytes()).collect();
    let name = name.replace('+', "%20");
    let headers = AppendHeaders([
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename*=UTF-8''{name}"),
        ),
    ]);
    Ok((headers, bytes).into_response())
}
