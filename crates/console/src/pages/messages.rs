//! What the two desks of a case say to each other, and the files that go with it.

use std::sync::Arc;

use axum::extract::{Multipart, Path, State};
use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use concordat_disclosure::{CaseId, Message, Words};
use concordat_ledger::Hex;
use concordat_node::desk::{self, CaseView, Saying, attachments};
use concordat_wire::Fault;
use maud::{Markup, html};

use super::case::{back, id_of};
use crate::Desk;
use crate::guard::{Reads, Shown, Signed, Works, holds, stale_form};
use crate::texts::{self, case as says, errors};

/// What was said, and the form for more.
pub(crate) fn messages(signed: &Signed<Reads>, view: &CaseView) -> Markup {
    let id = view.case.id();
    let kinds: Vec<(&str, &str)> = [
        ("question", says::QUESTION),
        ("answer", says::ANSWER),
        ("say", says::MESSAGE),
    ]
    .into_iter()
    .filter(|(kind, _)| view.may.contains(kind))
    .collect();
    html! {
        section aria-labelledby="messages" {
            h2 #messages { (says::MESSAGES) }
            @if view.messages.is_empty() { p.empty { (says::NOTHING_SAID) } }
            @for message in &view.messages { (message_of(id, message)) }
            @if !kinds.is_empty() {
                form #say method="post" action=(format!("/cases/{id}/message")) enctype="multipart/form-data" {
                    input type="hidden" name="csrf" value=(signed.csrf());
                    input type="hidden" name="seen" value=(view.case.head().to_string());
                    div.field {
                        label for="kind" { (says::KIND) }
                        select #kind name="kind" { @for (kind, words) in &kinds { option value=(kind) { (words) } } }
                    }
                    div.field { label for="text" { (says::TO_OTHER_DESK) } textarea #text name="text" rows="4" required maxlength="4000" {} }
                    div.field { label for="file" { (says::ATTACHMENT) } input #file type="file" name="file"; }
                    button type="submit" { (says::SEND_SEALED) }
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
                p { a href=(format!("/cases/{id}/attachments/{}", attachment.id)) download=(attachment.name.as_str()) { (attachment.name.as_str()) } (says::bytes(attachment.bytes)) }
            }
        }
    }
}

/// A message, with a file or without.
pub(crate) async fn message(
    State(desk): State<Arc<Desk>>,
    signed: Signed<Works>,
    Path(id): Path<String>,
    mut form: Multipart,
) -> Result<Redirect, Shown> {
    let id = id_of(&id)?;
    let unreadable = |_| Shown::from(Fault::invalid("CONS-013", "form", errors::MESSAGE_UNREADABLE));
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
