//! Registering a passkey by a link: the first two administrators, a new officer, a further key.

use maud::{Markup, Render, html};

pub(crate) const SET_UP: &str = "Set up this console";
pub(crate) const REGISTER_A_PASSKEY: &str = "Register a passkey";
pub(crate) const REGISTER_MINE: &str = "Register my passkey";
pub(crate) const CONTINUE: &str = "Continue";

// The founding.
pub(crate) const INTRODUCTION: &str = "Nobody can work here yet. Two administrators register their passkeys and sign the beginning of the register of officers; afterwards every change of it needs two of them.";
pub(crate) const FIRST: &str = "First administrator: account";
pub(crate) const SECOND: &str = "Second administrator: account";

pub(crate) fn has_registered(name: &str) -> String {
    format!("{name} has registered")
}

/// To whom the passkeys belong.
pub(crate) fn belongs_to(address: &str) -> String {
    format!(
        "Passkeys and agreements will belong to {address} for good. If officers are to reach this console under another name, set it in the node's configuration first and start the node again."
    )
}

pub(crate) fn founded(sign_in: impl Render) -> Markup {
    html! { "The register has been founded. " (sign_in) "." }
}

pub(crate) const SIGN_IN: &str = "Sign in";

pub(crate) fn write_down(number: impl Render) -> Markup {
    html! { "Write down this number and keep it outside: it is what everything later rests on. " (number) }
}

pub(crate) fn has_signed(name: &str) -> String {
    format!("✓ {name} has signed.")
}

pub(crate) fn sign_as(name: &str) -> String {
    format!("Sign as {name}")
}

// A new officer, or a further key.
pub(crate) fn new_account(roles: &str) -> String {
    format!("a new account: {roles}")
}

pub(crate) const FURTHER_KEY: &str = "a further key";

pub(crate) fn account_and_what(name: impl Render, what: &str) -> Markup {
    html! { "Account " (name) ", " (what) ". Afterwards two administrators sign it; then you can sign in." }
}

pub(crate) fn registered(sign_in: impl Render) -> Markup {
    html! { "Your passkey is registered. Two administrators have to sign now, here or with `concordat officer waiting`; then you can " (sign_in) "." }
}

pub(crate) fn key_to_compare(key: impl Render) -> Markup {
    html! { "Tell them how your key's number begins, so that they sign this one and no other: " (key) "." }
}

/// The link within [`registered`].
pub(crate) const THEN_SIGN_IN: &str = "sign in";
