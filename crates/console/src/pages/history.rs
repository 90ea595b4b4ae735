//! A case step by step, and whether each signature holds.

use concordat_disclosure::{Approval, Document, Event, OfficerKey, RelyingParty, What};
use concordat_ledger::Side;
use concordat_node::desk::CaseView;
use maud::{Markup, html};

use crate::texts::{self, history as says};

/// Every step, oldest first. The case was rebuilt from them: each was verified before this page was written.
pub(crate) fn history(view: &CaseView, console: &RelyingParty) -> Markup {
    html! {
        ol.history {
            @for event in view.case.events() {
                li {
                    time datetime=(event.at.to_string()) { (texts::time(event.at)) }
                    " " strong { (texts::step(event.what.name())) }
                    " " span.by { (says::side_and_person(side(event.side), &by(event))) }
                    (said(event))
                    @if let What::Approved(digest) = &event.what {
                        (signature(view, digest, console))
                    }
                    details {
                        summary { (says::DIGEST) }
                        code.digest { (event.digest().map(|digest| digest.to_string()).unwrap_or_default()) }
                    }
                }
            }
        }
    }
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Requester => says::REQUESTER,
        Side::Owner => says::OWNER,
    }
}

fn by(event: &Event) -> String {
    event.by.as_ref().map_or_else(
        || says::THE_NODE.to_owned(),
        |person| person.id.as_str().to_owned(),
    )
}

fn said(event: &Event) -> Markup {
    let line = |text: String| html! { p { (text) } };
    match &event.what {
        What::Confirmed(said) => line(says::said(
            &texts::code(&texts::name_of(&said.comparison)),
            said.method.as_str(),
        )),
        What::NotPursued(why) => line(says::said(
            &texts::code(&texts::name_of(&why.reason)),
            why.text.as_str(),
        )),
        What::JudicialAwaited(text)
        | What::JudicialGiven(text)
        | What::Reconsidered(text)
        | What::Withdrawn(text) => line(text.as_str().to_owned()),
        What::MoreTime(more) => line(says::until(&texts::time(more.until), more.reason.as_str())),
        What::Decided(stated) => line(texts::code(&texts::name_of(&stated.result))),
        What::Outcome(stated) => line(says::said(
            &texts::code(&texts::name_of(&stated.outcome)),
            stated.action.as_str(),
        )),
        What::Recalled(recall) => line(recall.reason.as_str().to_owned()),
        _ => html! {},
    }
}

/// One approval, verified once more for whoever looks.
fn signature(view: &CaseView, digest: &concordat_ledger::Digest, console: &RelyingParty) -> Markup {
    let found = view
        .approvals
        .iter()
        .find(|approval| approval.digest().as_ref() == Ok(digest));
    let Some(approval) = found else {
        return html! { p.note { (says::SIGNATURE_ELSEWHERE) } };
    };
    let holds = approval.verify(&approval.document, console, 0).is_ok();
    html! {
        p.signature {
            @if holds { span.good { (says::HOLDS) } } @else { span.bad { (says::DOES_NOT_HOLD) } }
            (says::BY) (key(approval))
        }
    }
}

fn key(approval: &Approval) -> &'static str {
    match approval.key {
        OfficerKey::Passkey(_) => says::PASSKEY,
        OfficerKey::FileKey(_) => says::FILE_KEY,
    }
}
