//! The frame of every page.

use axum::response::Html;
use concordat_disclosure::{NewOfficer, Role};
use concordat_wire::Fault;
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};

use crate::fields::Fields;
use crate::texts;

/// The one style sheet.
pub(crate) const CSS: &str = include_str!("assets/console.css");
/// The one script.
pub(crate) const JS: &str = include_str!("assets/console.js");

/// A page: for whom, under which title.
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    pub(crate) officer: Option<&'a NewOfficer>,
    /// For the form that signs out.
    pub(crate) csrf: Option<String>,
    /// It is told of changes while it is open.
    pub(crate) live: bool,
}

/// A file's name with a hash of what is in it: it can be kept for ever.
pub(crate) fn asset(name: &str, text: &str) -> String {
    format!("/assets/{}-{name}", &hex::encode(Sha256::digest(text))[..12])
}

impl Page<'_> {
    pub(crate) fn show(&self, body: &Markup) -> Html<String> {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Concordat" }
                    link rel="stylesheet" href=(asset("console.css", CSS));
                    script src=(asset("console.js", JS)) defer {}
                }
                body data-live[self.live] {
                    a.skip href="#main" { "Skip to the content" }
                    header {
                        p.brand { a href="/" { "Concordat" } }
                        @if let Some(officer) = self.officer {
                            (self.menu(officer))
                        }
                    }
                    main #main tabindex="-1" {
                        h1 { (self.title) }
                        p #live .live role="status" aria-live="polite" {}
                        (body)
                    }
                    footer { p { "All times are UTC. What you do here is recorded in the ledger under your name." } }
                }
            }
        };
        Html(page.into_string())
    }

    fn menu(&self, officer: &NewOfficer) -> Markup {
        let is = |roles: &[Role]| roles.iter().any(|role| officer.roles.contains(role));
        let csrf = self.csrf.clone().unwrap_or_default();
        html! {
            nav aria-label="Main" {
                ul {
                    @if is(Role::ANY_DESK) {
                        li { a href="/" { "Inbox" } }
                        li { a href="/?show=hits" { "Hits" } }
                    }
                    @if is(Role::ANY_DESK) || is(&[Role::Auditor]) {
                        li { a href="/?show=all" { "All cases" } }
                    }
                    @if is(&[Role::Auditor, Role::Supervisor]) {
                        li { a href="/audit" { "Audit" } }
                        li { a href="/audit/reports" { "Reports" } }
                    }
                    @if is(&[Role::Administrator]) {
                        li { a href="/admin" { "Administration" } }
                    }
                }
            }
            form.who method="post" action="/sign-out" {
                input type="hidden" name="csrf" value=(csrf);
                span { (officer.person.id.as_str()) " · " (texts::roles(&officer.roles)) }
                button type="submit" { "Sign out" }
            }
        }
    }
}

/// What went wrong, by which rule, and what to do.
pub(crate) fn trouble(rule: &str, message: &str) -> Markup {
    html! {
        section.trouble aria-labelledby="trouble" {
            h2 #trouble { "This was not done" }
            p { (message) }
            @if let Some(next) = texts::next(rule) {
                p { (next) }
            }
            p.rule { "Rule " code { (rule) } }
            p { a href="/" { "Back to the inbox" } }
        }
    }
}

/// What is to be mended in a form that comes back as it was filled in.
pub(crate) fn mend(fields: &Fields, fault: &Fault) -> Markup {
    let field = fault.field.as_deref().filter(|name| fields.has(name));
    html! {
        section.trouble role="alert" aria-labelledby="mend" {
            h2 #mend { "Not sent yet: something has to be mended" }
            p { (fault.message)
                @if let Some(field) = field { ". " a href=(format!("#{field}")) { "Go to the field" } } }
            @if let Some(next) = texts::next(fault.rule) {
                p { (next) }
            }
            p.rule { "Rule " code { (fault.rule) } }
        }
    }
}
