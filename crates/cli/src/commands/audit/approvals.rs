//! The people who signed what an opened entry is about: each signature verified from the entry alone.

use concordat_disclosure::{CheckedApproval, OfficerKey, check_approvals};
use concordat_ledger::{Digest, Entry, Event, Hex};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The approvals of an opened entry, verified.
pub struct Approvals {
    /// `None` if nobody has to approve what such an entry says.
    checked: Option<Vec<CheckedApproval>>,
}

impl Approvals {
    /// Verifies them.
    pub fn of(entry: &Entry) -> Self {
        Self {
            checked: check_approvals(&entry.event),
        }
    }

    /// Whether every one holds, and there is one where there must be.
    pub fn hold(&self) -> bool {
        let good = |all: &Vec<CheckedApproval>| !all.is_empty() && all.iter().all(|one| one.holds.is_ok());
        self.checked.as_ref().is_none_or(good)
    }

    /// For scripts: `null` where nobody has to approve.
    pub fn json(&self) -> Value {
        let one = |one: &CheckedApproval| {
            json!({
                "officer": one.by.id.as_str(),
                "key": one.key.as_ref().map(kind),
                "key_id": one.key.as_ref().map(|key| key.id().to_string()),
                "holds": one.holds.is_ok(),
                "why": one.holds.as_ref().err().map(ToString::to_string),
            })
        };
        match &self.checked {
            Some(checked) => checked.iter().map(one).collect(),
            None => Value::Null,
        }
    }

    /// For people: a line each.
    pub fn text(&self) -> String {
        let line = |one: &CheckedApproval| {
            let with = match &one.key {
                Some(key) => format!("with the {} {}", kind(key), key.id()),
                None => "with something that is no approval".to_owned(),
            };
            let how = match &one.holds {
                Ok(()) => "holds".to_owned(),
                Err(why) => format!("BROKEN: {why}"),
            };
            format!("Approved by {} {with}: {how}\n", one.by.id.as_str())
        };
        match &self.checked {
            Some(checked) if checked.is_empty() => "BROKEN: nobody has approved it\n".to_owned(),
            Some(checked) => checked.iter().map(line).collect(),
            None => String::new(),
        }
    }
}

/// Whether `document` is what the people of the entry have signed; `None` if nothing was signed.
pub fn is_signed(entry: &Entry, document: &[u8]) -> Option<bool> {
    let digest: Digest = Hex(Sha256::digest(document).into());
    match &entry.event {
        Event::Decision(decision) => Some(decision.document == digest),
        Event::RegistryChanged(change) => Some(change.document == digest),
        _ => None,
    }
}

fn kind(key: &OfficerKey) -> &'static str {
    match key {
        OfficerKey::Passkey(_) => "passkey",
        OfficerKey::FileKey(_) => "file key",
    }
}
