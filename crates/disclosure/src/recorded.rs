//! Approvals as the ledger holds them, verified again by an auditor who has nothing but the opened entry.

use concordat_ledger::{Approved, Console, Digest, Event, Person};

use crate::approval::{Approval, OfficerKey};
use crate::document::Document;
use crate::passkey::RelyingParty;
use crate::rule::{BAD_RULES, Refused, SAME_OFFICER, SIGNATURE};

/// One approval in an entry of the ledger, looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedApproval {
    /// Who is said to have approved.
    pub by: Person,
    /// The key; `None` if the approval cannot be read. Whose it is, the registry's entries say.
    pub key: Option<OfficerKey>,
    /// Whether it holds on exactly the document that the entry names, is that officer's, and is the first of its officer and its key.
    pub holds: Result<(), Refused>,
}

/// Verifies every approval of a decision, or of a change of the registry, from what the entry holds. `None` for entries of other types.
///
/// An empty list means that nobody approved: such an entry proves nothing.
pub fn check_approvals(event: &Event) -> Option<Vec<CheckedApproval>> {
    let (document, approvals, console) = match event {
        Event::Decision(e) => (&e.document, &e.approvals, &e.console),
        Event::RegistryChanged(e) => (&e.document, &e.approvals, &e.console),
        _ => return None,
    };
    let console = relying_party(console);
    let mut checked: Vec<CheckedApproval> = Vec::with_capacity(approvals.len());
    for approved in approvals {
        let mut one = check(approved, document, &console);
        let key = one.key.as_ref().map(OfficerKey::id);
        let again = checked.iter().any(|before| {
            let same_key = key.is_some() && before.key.as_ref().map(OfficerKey::id) == key;
            before.by.id == one.by.id || same_key
        });
        if again && one.holds.is_ok() {
            one.holds = Err(SAME_OFFICER.refused());
        }
        checked.push(one);
    }
    Some(checked)
}

fn check(approved: &Approved, document: &Digest, console: &RelyingParty) -> CheckedApproval {
    let (key, holds) = match Approval::decode(&approved.approval) {
        Ok(approval) => {
            let holds = BAD_RULES
                .unless_at("console", console.holds())
                .and_then(|()| SIGNATURE.unless_at("officer", approval.officer == approved.by.id))
                .and_then(|()| approval.verify(document, console, 0))
                .map(|_| ());
            (Some(approval.key), holds)
        }
        Err(refused) => (None, Err(refused)),
    };
    CheckedApproval {
        by: approved.by.clone(),
        key,
        holds,
    }
}

fn relying_party(console: &Console) -> RelyingParty {
    RelyingParty {
        id: console.id.clone(),
        origins: console.origins.iter().cloned().collect(),
    }
}
