//! Who came in and who was refused: recorded, but not more often than once a minute each, so that nobody fills the disk
//! by knocking.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use concordat_ledger::{Refusal, SignIn, Stated};
use concordat_wire::{Fault, Reason, v1};
use tonic::Request;

use crate::agreement::Agreement;
use crate::identity::ADMIN;
use crate::ledger::{person, text};
use crate::listen::{Caller, Shown};
use crate::state::State;
use crate::tls::{self, Pins, SpkiPin};

const CONNECTING: &str = "connecting to the listener for our own systems";
const CONNECTING_AS_PARTNER: &str = "connecting to the listener for partners";
const CALLING: &str = "calling over an open connection";
const CALLING_OTHERS: &str = "calling what is not for this client";

/// What was recorded last. In memory: a start forgets it, and records the next one.
#[derive(Default)]
pub struct Access {
    /// The minute of each client's last sign-in.
    sign_ins: Mutex<HashMap<String, i64>>,
    /// By action and, where the certificate was once ours, whose it was; by rule and client; by rule and partner; by rule and case or
    /// job: as many as there are clients, partners, cases and jobs in trouble at most.
    refusals: Mutex<HashMap<(&'static str, Option<String>), Refused>>,
}

/// Refusals of one kind.
struct Refused {
    /// When one was recorded last.
    minute: i64,
    /// How many were not, since then.
    left_out: u64,
}

impl Access {
    /// Whether this is the client's first sign-in of the minute.
    fn signs_in(&self, name: &str, minute: i64) -> bool {
        let mut last = self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(name.to_owned(), minute) != Some(minute)
    }

    fn forget_sign_in(&self, name: &str) {
        let mut last = self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        last.remove(name);
    }

    /// If this refusal is to be recorded: how many before it were not.
    pub(crate) fn refuses(&self, action: &'static str, claimed: Option<&str>, minute: i64) -> Option<u64> {
        let mut kinds = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (action, claimed.map(str::to_owned));
        let Some(last) = kinds.get_mut(&kind) else {
            kinds.insert(kind, Refused { minute, left_out: 0 });
            return Some(0);
        };
        if last.minute == minute {
            last.left_out += 1;
            return None;
        }
        last.minute = minute;
        Some(std::mem::take(&mut last.left_out))
    }
}

impl Access {
    /// Whether this rule is to be recorded of this case: the first time, as what is tried again and again is one thing.
    pub(crate) fn first(&self, rule: &'static str, case: &str) -> bool {
        const ALWAYS: i64 = 0;
        self.refuses(rule, Some(case), ALWAYS).is_some()
    }
}

impl State {
    pub(crate) fn minute(&self) -> i64 {
        self.clock.seconds().div_euclid(60)
    }

    /// Records that a client came in; returns when that is on disk.
    ///
    /// # Errors
    /// It cannot be recorded: nobody comes in unseen. A ledger that was halted lets in, as each call says so itself.
    async fn signed_in(&self, name: &str, auditor: bool) -> Result<(), Fault> {
        if self.ledger.halted().is_some() || !self.access.signs_in(name, self.minute()) {
            return Ok(());
        }
        let role = match name {
            _ if auditor => "auditor",
            ADMIN => "admin",
            _ => "client",
        };
        let recorded = self
            .record(SignIn {
                by: person(name),
                method: text("client certificate"),
                role: text(role),
            })
            .await;
        if recorded.is_err() {
            self.access.forget_sign_in(name);
        }
        recorded
    }

    async fn refused(&self, action: &'static str, claimed: Option<&str>, reason: &str) {
        let refusal = Refusal {
            claimed: claimed.map(person),
            partner: None,
            case: None,
            action: text(action),
            rule: None,
            reason: text(reason),
        };
        self.refused_once((action, claimed), None, refusal).await;
    }

    /// Records a refusal, unless one of its kind was recorded this minute. Under `agreement` it is kept as long as that says.
    async fn refused_once(
        &self,
        (kind, who): (&'static str, Option<&str>),
        agreement: Option<&Agreement>,
        mut refusal: Refusal,
    ) {
        let Some(left_out) = self.access.refuses(kind, who, self.minute()) else {
            return;
        };
        if left_out > 0 {
            let reason = refusal.reason.as_str();
            let reason = format!("{reason}; {left_out} more since the last one that was recorded");
            refusal.reason = text(&reason);
        }
        let recorded = match agreement {
            Some(agreement) => self.record_under(agreement, refusal).await,
            None => self.record(refusal).await,
        };
        if let Err(fault) = recorded {
            tracing::error!(%fault, kind, "a refusal could not be recorded");
        }
    }

    /// Puts a partner's call on record if it was refused: once a minute for each partner and rule, and before the partner hears of it.
    /// Our own trouble is no refusal.
    ///
    /// # Errors
    /// As `result`.
    pub async fn noting<T>(&self, call: &PartnerCall<'_>, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &result
            && !matches!(
                fault.reason,
                Reason::Unavailable | Reason::Internal | Reason::DataLoss
            )
        {
            self.refused_partner(call, fault).await;
        }
        result
    }

    async fn refused_partner(&self, call: &PartnerCall<'_>, fault: &Fault) {
        let entries = self.book.all();
        let theirs = || entries.iter().filter(|entry| entry.partner.pin == *call.partner);
        let named = call
            .scope
            .and_then(|scope| theirs().find(|entry| entry.agreement.id == scope.agreement_id));
        // The listener lets in nobody whose key is in no agreement; one that ended a moment ago is still in the book.
        let Some(partner) = named.or_else(|| theirs().next()).map(|entry| &entry.partner.id) else {
            return;
        };
        let mut action = call.name.to_owned();
        if let Some(scope) = call.scope {
            let (offer, agreement, epoch) = (&scope.offer_id, &scope.agreement_id, scope.epoch);
            action.push_str(&format!(" under {offer} of {agreement}, epoch {epoch}"));
        }
        if let Some(Stated { purpose, legal_basis }) = call.stated {
            let (purpose, legal_basis) = (purpose.as_str(), legal_basis.as_str());
            action.push_str(&format!(", for {purpose} by {legal_basis}"));
        }
        let refusal = Refusal {
            claimed: None,
            partner: Some(text(partner)),
            case: None,
            action: text(&action),
            rule: Some(text(fault.rule)),
            reason: text(&fault.message),
        };
        let agreement = named.map(|entry| &entry.agreement);
        self.refused_once((fault.rule, Some(partner)), agreement, refusal)
            .await;
    }
}

/// A partner's call, as it is put on record where it is refused.
pub struct PartnerCall<'a> {
    /// The key it showed.
    pub partner: &'a SpkiPin,
    /// What it would have.
    pub name: &'static str,
    /// Under which key, as it says.
    pub scope: Option<&'a v1::Scope>,
    /// Why, as it says.
    pub stated: Option<&'a Stated>,
}

/// Who a partner's node is, by its key.
pub async fn identify_partner(state: &State, pins: &Pins, shown: Shown) -> Option<Caller> {
    let reason = match shown {
        Shown::Certificate(certificate) => {
            if let Some(pin) = tls::spki_pin(&certificate).filter(|pin| pins.contains(pin)) {
                return Some(Caller::Partner(pin));
            }
            "the key is in no agreement".to_owned()
        }
        Shown::Refused(reason) => reason,
    };
    state.refused(CONNECTING_AS_PARTNER, None, &reason).await;
    None
}

/// Which of our own systems it is, by its certificate.
pub async fn identify_client(state: &State, shown: Shown) -> Option<Caller> {
    let certificate = match shown {
        Shown::Certificate(certificate) => certificate,
        Shown::Refused(reason) => {
            state.refused(CONNECTING, None, &reason).await;
            return None;
        }
    };
    let cert_sha256 = tls::fingerprint(&certificate);
    let client = match state.store.client_of_certificate(&cert_sha256).await {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "reading the list of clients");
            return None;
        }
    };
    match client {
        Some(client) if client.revoked_ms.is_none() => {
            match state.signed_in(&client.name, client.auditor).await {
                Ok(()) => Some(Caller::Client {
                    name: client.name,
                    cert_sha256,
                    auditor: client.auditor,
                }),
                Err(fault) => {
                    tracing::error!(%fault, client = client.name, "a sign-in could not be recorded");
                    None
                }
            }
        }
        Some(client) => {
            let reason = "the certificate was revoked";
            state.refused(CONNECTING, Some(&client.name), reason).await;
            None
        }
        None => {
            let reason = "the certificate is not on the list of clients";
            state.refused(CONNECTING, None, reason).await;
            None
        }
    }
}

/// Records, in the background, that a client was revoked and calls all the same.
pub fn refuse_call(state: &Arc<State>, name: &str) {
    let (state, name) = (Arc::clone(state), name.to_owned());
    tokio::spawn(async move {
        let reason = "the certificate was revoked";
        state.refused(CALLING, Some(&name), reason).await;
    });
}

/// Records, in the background, that one of our own systems called what is not for it. Returns the fault, to be answered.
pub fn refuse_client<T>(state: &Arc<State>, request: &Request<T>, fault: Fault) -> Fault {
    let name = match request.extensions().get::<Caller>() {
        Some(Caller::Client { name, .. }) => Some(name.clone()),
        _ => None,
    };
    let refusal = Refusal {
        claimed: name.as_deref().map(person),
        partner: None,
        case: None,
        action: text(CALLING_OTHERS),
        rule: Some(text(fault.rule)),
        reason: text(&fault.message),
    };
    let (state, rule) = (Arc::clone(state), fault.rule);
    tokio::spawn(async move {
        state.refused_once((rule, name.as_deref()), None, refusal).await;
    });
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let access = Access::default();
        assert_eq!(access.refuses(CONNECTING, None, 7), Some(0));
        assert_eq!(access.refuses(CONNECTING, None, 7), None);
        assert_eq!(access.refuses(CONNECTING, None, 7), None);
        // A stranger's noise does not hide somebody known.
        assert_eq!(access.refuses(CONNECTING, Some("gate-7"), 7), Some(0));
        assert_eq!(access.refuses(CONNECTING_AS_PARTNER, None, 7), Some(0));
        assert_eq!(access.refuses(CONNECTING, None, 8), Some(2));
        assert_eq!(access.refuses(CONNECTING, None, 9), Some(0));
    }

    #[test]
    fn a_client_signs_in_once_a_minute() {
        let access = Access::default();
        assert!(access.signs_in("gate-7", 1) && access.signs_in("gate-8", 1));
        assert!(!access.signs_in("gate-7", 1));
        assert!(access.signs_in("gate-7", 2));
        access.forget_sign_in("gate-7");
        assert!(access.signs_in("gate-7", 2));
    }
}
