//! The frame of every page.

use axum::response::Html;
use concordat_disclosure::{NewOfficer, Role};
use concordat_wire::Fault;
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};

use crate::form::{Form, MEND_WHY};
use crate::texts::{self, frame as says};

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
            html lang=(says::LANGUAGE) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (says::title(self.title)) }
                    link rel="stylesheet" href=(asset("console.css", CSS));
                    script src=(asset("console.js", JS)) defer {}
                }
                body data-live[self.live] {
                    a.skip href="#main" { (says::SKIP) }
                    header {
                        p.brand { a href="/" { (says::PRODUCT) } }
                        @if let Some(officer) = self.officer {
                            (self.menu(officer))
                        }
                    }
                    main #main tabindex="-1" {
                        h1 { (self.title) }
                        p #live .live role="status" aria-live="polite" data-changed=[self.live.then_some(says::CHANGED)] {}
                        (body)
                    }
                    footer { p { (says::FOOTER) } }
                }
            }
        };
        Html(page.into_string())
    }

    fn menu(&self, officer: &NewOfficer) -> Markup {
        let is = |roles: &[Role]| roles.iter().any(|role| officer.roles.contains(role));
        let csrf = self.csrf.clone().unwrap_or_default();
        html! {
            nav aria-label=(says::MENU) {
                ul {
                    @if is(Role::ANY_DESK) {
                        li { a href="/" { (says::INBOX) } }
                        li { a href="/?show=hits" { (says::HITS) } }
                    }
                    @if is(Role::ANY_DESK) || is(&[Role::Auditor]) {
                        li { a href="/?show=all" { (says::ALL_CASES) } }
                    }
                    @if is(&[Role::Auditor, Role::Supervisor]) {
                        li { a href="/audit" { (says::AUDIT) } }
                        li { a href="/audit/reports" { (says::REPORTS) } }
                    }
                    @if is(&[Role::Administrator]) {
                        li { a href="/admin" { (says::ADMINISTRATION) } }
                    }
                }
            }
            form.who method="post" action="/sign-out" {
                input type="hidden" name="csrf" value=(csrf);
                span { (says::signed_in(officer.person.id.as_str(), &texts::roles(&officer.roles))) }
                button type="submit" { (says::SIGN_OUT) }
            }
        }
    }
}

/// What went wrong, by which rule, and what to do.
pub(crate) fn trouble(rule: &str, message: &str) -> Markup {
    html! {
        section.trouble aria-labelledby="trouble" {
            h2 #trouble { (says::NOT_DONE) }
            p { (message) }
            @if let Some(next) = texts::next(rule) {
                p { (next) }
            }
            p.rule { (says::rule(html! { code { (rule) } })) }
            p { a href="/" { (says::BACK_TO_INBOX) } }
        }
    }
}

/// What is to be mended in a form that comes back as it was filled in.
pub(crate) fn mend(form: &Form, fault: &Fault) -> Markup {
    html! {
        section.trouble role="alert" aria-labelledby="mend" {
            h2 #mend { (says::MEND) }
            p id=(MEND_WHY) {
                @match form.wrong() {
                    Some(field) => { (says::with_link(&fault.message, html! { a href=(format!("#{field}")) { (says::GO_TO_FIELD) } })) }
                    None => { (fault.message) }
                }
            }
            @if let Some(next) = texts::next(fault.rule) {
                p { (next) }
            }
            p.rule { (says::rule(html! { code { (fault.rule) } })) }
        }
    }
}
