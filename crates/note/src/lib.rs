//! [C2SP signed-note](https://c2sp.org/signed-note) with Ed25519: text that a person can read, signed by one or more named keys.
//!
//! ```text
//! concordat/v1/example
//! what both sides agreed on
//!
//! — police.example/aa x08go/ZJkuBS9UG/SffcvIAQxVBt…
//! — police.example/bb rwz+eBzmZa0SO3NbfRGzPCpDckyk…
//! ```
//!
//! Agreements, key statements and snapshot manifests are signed notes. The format is specified, readable in a mail or on paper, and
//! several parties can sign the same bytes.
//!
//! The text of a note means nothing until a signature has been verified, so [`Note`] gives it out only through
//! [`Note::open`] (or, by a name that is easy to find, [`Note::unverified_text`]).
//!
//! In scope: the format, key texts as in Go's `sumdb/note`, Ed25519 (signature type `0x01`), and timestamped Ed25519
//! [cosignatures](https://c2sp.org/tlog-cosignature) (`0x04`).
//! Out of scope: every other signature type; their lines are kept and ignored, as the specification demands.
//!
//! ```
//! use concordat_note::{Limits, Note, Policy, SigningKey};
//!
//! let key = SigningKey::from_seed("police.example/aa", &[7; 32])?;
//! let bytes = Note::sign("hello\n", &[&key])?.to_string();
//!
//! let note = Note::parse(bytes.as_bytes(), Limits::default())?;
//! let opened = note.open(&[key.verifier()], Policy::Any)?;
//! assert_eq!(opened.text, "hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cosignature;
mod key;
mod note;

pub use cosignature::CosignerKey;
pub use key::{KeyError, SigningKey, VerifierKey};
pub use note::{Limits, Note, NoteError, Opened, Policy, Signature};
