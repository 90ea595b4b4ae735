//! Signing in.

use maud::{Markup, Render, html};

pub(crate) const TITLE: &str = "Sign in";
pub(crate) const YOUR_ACCOUNT: &str = "Your account";
pub(crate) const CONTINUE: &str = "Continue";
pub(crate) const PASSKEYS: &str = "You sign in with your passkey: a security key, or the one of your device. There are no passwords. A key in a file signs on the command line only: whoever has one asks for a link on which to register a passkey.";
pub(crate) const NOBODY_YET: &str = "Nobody is registered here yet. Two administrators register first, on the page whose address the node prints at its start; it holds for an hour, and a node that is started again prints a new one.";
pub(crate) const USE_PASSKEY: &str = "Use my passkey";
pub(crate) const ANOTHER_ACCOUNT: &str = "Another account";

pub(crate) fn account(name: impl Render) -> Markup {
    html! { "Account " (name) }
}
