//! Why the console refuses something: the sentence beside the rule's id. Sentences of other rules come from where the rule is kept.

// Where a form comes from (CONS-001), who may see a page (CONS-002).
pub(crate) const OTHER_PAGE: &str = "this form was not sent from a page of this console";
pub(crate) const EARLIER_SESSION: &str = "this form is of an earlier session: open the page again";
pub(crate) const OTHER_ROLE: &str = "this page is for another role than yours";

// Limits.
pub(crate) const FORM_TOO_LARGE: &str = "the form is larger than 64 KiB";
pub(crate) const MESSAGE_UNREADABLE: &str = "the form cannot be read, or the file is too large";
pub(crate) const TOO_MANY_SIGN_INS: &str = "too many sign-ins: wait a minute and try again";
pub(crate) const TOO_MANY_LINKS: &str = "too many links wait to be used: each ends an hour after it was made";
pub(crate) const TOO_MANY_CHANGES: &str = "too many changes wait for signatures: sign or discard some first";
pub(crate) const TOO_SLOW: &str = "this took too long: try again";

// Signing in, links, changes of the register.
pub(crate) const WRITE_YOUR_ACCOUNT: &str = "write the name of your account";
pub(crate) const SIGN_IN_TOO_LATE: &str = "this took too long: sign in again";
pub(crate) const ACCOUNT_AND_PASSKEY: &str = "this account and this passkey do not belong together, or the passkey has not asked who you are (PIN, finger, face)";
pub(crate) const NO_LINK: &str =
    "this link is used up or was never given: ask an administrator for a new one";
pub(crate) const NO_FIRST_LINK: &str = "this link is used up or was never given, and nobody is registered yet: start the node again, which prints a new link";
pub(crate) const WRITE_THE_ACCOUNT: &str = "write the name of the account";
pub(crate) const REGISTERED_ALREADY: &str = "an administrator of this name has registered already";
pub(crate) const CHANGE_GONE: &str = "this change does not wait any more: open the page again";

// What is not there.
pub(crate) const NO_PAGE: &str = "there is no such page";
pub(crate) const NO_CASE: &str = "there is no such case here";
pub(crate) const NO_STEP: &str = "there is no such step";
pub(crate) const NOTHING_ASKED: &str = "nothing was asked for";
pub(crate) const NO_DECISION: &str = "there is no decision to approve";

// What a field must hold.
pub(crate) const CHOOSE_OF_LIST: &str = "choose one of the list";
pub(crate) const CHOOSE_ONE: &str = "choose one";
pub(crate) const CHOOSE_CHANGE: &str = "choose what is to be done";
pub(crate) const OPEN_AGAIN: &str = "open the page again";
pub(crate) const REQUIRED_LINE: &str = "required, one line";
pub(crate) const ONE_LINE: &str = "one line";
pub(crate) const VALUE_OR_WITHHOLD: &str = "write at least one value, or withhold the field";
pub(crate) const A_NUMBER: &str = "a number";
pub(crate) const A_DATE: &str = "a date";
pub(crate) const A_DATE_AND_TIME: &str = "a date and a time";

// What failed inside.
pub(crate) const DECISION_NOT_AT_HAND: &str = "the decision is not at hand";
pub(crate) const NO_REQUEST: &str = "the case has no request";

pub(crate) fn reading_a_case(error: impl std::fmt::Display) -> String {
    format!("reading a case: {error}")
}

pub(crate) fn reading_the_ledger(error: impl std::fmt::Display) -> String {
    format!("reading the ledger: {error}")
}

pub(crate) fn reading_quotas(error: impl std::fmt::Display) -> String {
    format!("reading quotas: {error}")
}
