//! Administration: officers and keys, changes of the register, agreements, quotas, snapshots.

use maud::{Markup, Render, html};

pub(crate) const TITLE: &str = "Administration";

// Changes that wait for signatures.
pub(crate) const WAITING: &str = "Changes that wait for signatures";
pub(crate) const FOUNDING: &str = "the beginning of the register";

pub(crate) fn enrol(officer: &str, roles: &str, keys: &str) -> String {
    format!("enrol {officer} as {roles}, key {keys}")
}

pub(crate) fn further_key(officer: &str, key: &str) -> String {
    format!("a further key of {officer}: {key}")
}

pub(crate) fn revoke(officer: &str, reason: &str) -> String {
    format!("revoke a key of {officer}: {reason}")
}

pub(crate) fn retire(officer: &str, reason: &str) -> String {
    format!("retire {officer}: {reason}")
}

pub(crate) fn signed(have: usize, needed: usize) -> String {
    format!("{have} of {needed} administrators have signed.")
}

pub(crate) const EXACT_TEXT: &str = "The exact text that is signed";
pub(crate) const YOU_HAVE_SIGNED: &str = "You have signed. Another administrator has to.";
pub(crate) const SIGN: &str = "Sign with my passkey";
pub(crate) const DISCARD: &str = "Discard";

// Officers and keys.
pub(crate) const OFFICERS_AND_KEYS: &str = "Officers and keys";

/// The register's last change, by its number and digest.
pub(crate) fn last_change(number: u64, digest: impl Render) -> Markup {
    html! { "Change " (number) ", " (digest) }
}

pub(crate) const OFFICERS: &str = "Officers";
pub(crate) const ACCOUNT: &str = "Account";
pub(crate) const ROLES: &str = "Roles";
pub(crate) const SINCE: &str = "Since";
pub(crate) const KEYS: &str = "Keys";
pub(crate) const RETIRED: &str = " (retired)";
pub(crate) const VALID: &str = " valid";

pub(crate) fn revoked(at: &str) -> String {
    format!(" revoked {at}")
}

pub(crate) fn change(officer: &str) -> String {
    format!("Change {officer}")
}

pub(crate) fn revoke_key(key: impl Render) -> Markup {
    html! { "revoke key " (key) }
}

pub(crate) const RETIRE_ACCOUNT: &str = "retire the account";
pub(crate) const LINK_FOR_KEY: &str = "a link for a further key";
pub(crate) const WHY: &str = "Why";
pub(crate) const CONTINUE: &str = "Continue";

// Enrolling.
pub(crate) const ENROL_SOMEBODY: &str = "Enrol somebody";
pub(crate) const UNIT: &str = "Unit";
pub(crate) const ROLE: &str = "Role";
pub(crate) const MAKE_A_LINK: &str = "Make a link";
pub(crate) const LINK: &str = "Link";

pub(crate) fn give_link(person: impl Render) -> Markup {
    html! { "Give this link to " (person) ", on a way that nobody else sees. It holds once, for an hour." }
}

pub(crate) const BACK: &str = "Back";

// Agreements.
pub(crate) const AGREEMENTS_AND_MORE: &str = "Agreements, quotas, snapshots";
pub(crate) const NO_AGREEMENTS: &str = "There are no agreements.";
pub(crate) const AGREEMENTS: &str = "Agreements";
pub(crate) const AGREEMENT: &str = "Agreement";
pub(crate) const PARTNER: &str = "Partner";
pub(crate) const OFFER: &str = "Offer";
pub(crate) const STATUS: &str = "Status";
pub(crate) const USED_TODAY: &str = "Used today";
pub(crate) const SNAPSHOT: &str = "Snapshot";

/// An offer by its name, and what kind of identifiers it is about.
pub(crate) fn offer(name: &str, kind: &str) -> String {
    format!("{name}, {kind}")
}

pub(crate) fn status_until(status: &str, until: &str) -> String {
    format!("{status}, until {until}")
}

pub(crate) fn used_of(used: u64, quota: u64) -> String {
    format!("{used} of {quota}")
}

pub(crate) const NO_SNAPSHOT: &str = "none";

pub(crate) fn old(age: &str) -> String {
    format!("{age} old")
}

pub(crate) fn too_old(age: &str) -> String {
    format!("{age} old, TOO OLD")
}
