//! Statements of one node to the other: signed notes (C2SP) that name a package, so that neither can deny it later.

use concordat_ledger::{Digest, Text};
use concordat_note::{Limits, Note, Policy, SigningKey, VerifierKey};
use jiff::Timestamp;

use crate::request::CaseId;
use crate::rule::{MALFORMED, NOT_SIGNED, Refused};

/// What is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stating {
    /// The owner released this.
    Release,
    /// The requester received and opened it, and everything in it was verified.
    Receipt,
    /// The owner takes it back: it must be deleted or corrected within 48 hours.
    Recall,
    /// The requester has deleted or corrected it.
    RecallDone,
}

impl Stating {
    const ALL: [Self; 4] = [Self::Release, Self::Receipt, Self::Recall, Self::RecallDone];

    fn line(self) -> &'static str {
        match self {
            Self::Release => "concordat/v1/release",
            Self::Receipt => "concordat/v1/release-receipt",
            Self::Recall => "concordat/v1/recall",
            Self::RecallDone => "concordat/v1/recall-done",
        }
    }
}

/// A statement. Its text has one line for each field, in this order; no line holds personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What is stated.
    pub stating: Stating,
    /// The case.
    pub case: CaseId,
    /// SHA-256 of the request.
    pub request: Digest,
    /// SHA-256 of the decision.
    pub decision: Digest,
    /// In a release: SHA-256 of what is sealed. Else: the digest of the package, statement included.
    pub package: Digest,
    /// Who states it.
    pub from: Text,
    /// To whom.
    pub to: Text,
    /// When.
    pub at: Timestamp,
}

impl Statement {
    fn text(&self) -> String {
        format!(
            "{}\ncase {}\nrequest {}\ndecision {}\npackage {}\nfrom {}\nto {}\nat {}\n",
            self.stating.line(),
            self.case,
            self.request,
            self.decision,
            self.package,
            self.from.as_str(),
            self.to.as_str(),
            self.at,
        )
    }

    /// Signs it by the node's identity key; gives the note.
    ///
    /// # Errors
    /// [`MALFORMED`] if an agency's name cannot be in a note.
    pub fn sign(&self, key: &SigningKey) -> Result<String, Refused> {
        let note = Note::sign(&self.text(), &[key]).map_err(|_| MALFORMED.refused())?;
        Ok(note.to_string())
    }

    /// Verifies a note and reads the statement in it.
    ///
    /// # Errors
    /// [`NOT_SIGNED`] by `key`; [`MALFORMED`].
    pub fn verify(note: &str, key: &VerifierKey) -> Result<Self, Refused> {
        let limits = Limits {
            max_bytes: 8 << 10,
            max_signatures: 16,
        };
        let note = Note::parse(note.as_bytes(), limits).map_err(|_| MALFORMED.refused())?;
        let opened = note
            .open(std::slice::from_ref(key), Policy::All)
            .map_err(|_| NOT_SIGNED.refused())?;
        Self::parse(opened.text).ok_or_else(|| MALFORMED.refused())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let first = lines.next()?;
        let stating = Stating::ALL.into_iter().find(|stating| stating.line() == first)?;
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let statement = Self {
            stating,
            case: CaseId::parse(value("case")?)?,
            request: Digest::parse(value("request")?)?,
            decision: Digest::parse(value("decision")?)?,
            package: Digest::parse(value("package")?)?,
            from: Text::new(value("from")?).ok()?,
            to: Text::new(value("to")?).ok()?,
            at: value("at")?.parse().ok()?,
        };
        // Written in the one way, with nothing after it.
        (statement.text() == text).then_some(statement)
    }
}
