//! What is matched: kinds of identifiers, parsing, normalisation, check digits.
//!
//! An agency's record or query becomes a [`Subject`], as published; [`derive()`] turns it into [`Identifier`]s, canonical
//! bytes under one [`Rule`] each, and says of everything it could not use why ([`Rejection`]). [`mrz`] reads the
//! machine-readable zones of travel documents into subjects. [`canary`] makes the inputs that detect two nodes with
//! different normalisers. The rules are documented for users in `docs/identifiers.md`.
//!
//! In scope: text in, bytes out. Out of scope: files, lists, time (today is an argument), networks, keys. Nothing here
//! is constant time, because nothing here compares a secret of one agency with a guess of another; what must not leak is
//! kept out of `Debug`, errors and rejections instead, and canonical bytes are wiped when dropped.

mod biometric;
pub mod canary;
mod contact;
mod country;
mod derive;
mod document;
mod iban;
pub mod identifier;
pub mod mrz;
mod national_id;
mod number;
mod person;
mod profile;
mod rejection;
pub mod subject;
mod text;
mod vehicle;

pub use derive::{Derived, MAX_IDENTIFIERS, MAX_ITEMS, derive};
pub use identifier::{Grade, Identifier, Kind, PROFILE, Rule, UnknownName};
pub use profile::profile_fingerprint;
pub use rejection::{REJECTION_RULES, Rejection, RejectionRule, Severity};
pub use subject::{BirthDate, Document, DocumentClass, Name, NameRank, NameText, Other, Subject};
