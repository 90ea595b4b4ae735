//! Who came in and who was refused: recorded, but not more often than once a minute each, so that nobody fills the disk
//! by knocking.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use concordat_ledger::{Refusal, Retention, SignIn, Stated};
use concordat_store::Incident;
use concordat_wire::{Fault, Reason, v1};
use tonic::Request;

use crate::agreement::{Agreement, is_label};
use crate::book::store_fault;
use crate::identity::ADMIN;
use crate::ledger::{person, text};
use crate::listen::{Caller, Shown};
use crate::state::State;
use crate::tls::{self, Pins, SpkiPin};

const CONNECTING: &str = "connecting to the listener for our own systems";
const CONNECTING_AS_PARTNER: &str = "connecting to the listener for partners";
const CALLING: &str = "calling over an open connection";
const CALLING_OTHERS: &str = "calling what is not for this client";
const SIGN_IN: &str = "sign-in";

/// A kind of refusals: what was tried or the rule, and who tried it, if that is known.
pub(crate) type Kind = (&'static str, Option<String>);

/// A refusal, how long what is said of it is kept, and the incident that it is, if it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    refusal: Refusal,
    retention: Retention,
    incident: Option<Incident>,
}

/// What was recorded last. In memory: a start forgets it, and records the next one.
#[derive(Default)]
pub struct Access {
    /// The minute of each client's last sign-in and of each partner's last used up quota, the hour of its last contradiction.
    last: Mutex<HashMap<(&'static str, String), i64>>,
    /// By action and, where the certificate was once ours, whose it was; by rule and client; by rule and partner.
    refusals: Mutex<HashMap<Kind, Refused>>,
    /// What is recorded once, by rule and case or job: as many as there are in trouble.
    once: Mutex<HashSet<(&'static str, String)>>,
}

/// Refusals of one kind.
#[derive(Default)]
struct Refused {
    /// When one was recorded last; `None` if it could not be.
    minute: Option<i64>,
    /// How many were not, since then.
    left_out: u64,
    /// The newest of them.
    newest: Option<Kept>,
}

impl Access {
    /// Whether this is the first time in this minute, or hour. It is remembered: what cannot be recorded then is to be
    /// [forgotten](Self::forget).
    pub(crate) fn first_in(&self, what: &'static str, who: &str, period: i64) -> bool {
        lock(&self.last).insert((what, who.to_owned()), period) != Some(period)
    }

    pub(crate) fn forget(&self, what: &'static str, who: &str) {
        lock(&self.last).remove(&(what, who.to_owned()));
    }

    /// Whether this rule is to be recorded of this case or job: the first time, as what is tried again and again is one thing.
    pub(crate) fn first(&self, rule: &'static str, what: &str) -> bool {
        lock(&self.once).insert((rule, what.to_owned()))
    }

    /// If this refusal is to be recorded now: how many before it were not. Else it waits for the next one, or the end of the minute.
    fn refuses(&self, kind: &Kind, minute: i64, refusal: &Kept) -> Option<u64> {
        let mut kinds = lock(&self.refusals);
        let last = kinds.entry(kind.clone()).or_default();
        if last.minute == Some(minute) {
            last.left_out += 1;
            last.newest = Some(refusal.clone());
            return None;
        }
        last.minute = Some(minute);
        last.newest = None;
        Some(std::mem::take(&mut last.left_out))
    }

    /// It could not be recorded, nor could those before it.
    fn not_recorded(&self, kind: Kind, left_out: u64, refusal: Kept) {
        let mut kinds = lock(&self.refusals);
        let last = kinds.entry(kind).or_default();
        last.minute = None;
        last.left_out = last.left_out.saturating_add(left_out).saturating_add(1);
        last.newest.get_or_insert(refusal);
    }

    /// Of each kind of which something was left out before this minute: the newest, and how many there were before that.
    fn take_left_out(&self, minute: i64) -> Vec<(Kind, u64, Kept)> {
        let mut kinds = lock(&self.refusals);
        let left = kinds.iter_mut().filter_map(|(kind, last)| {
            let over = last.minute.is_none_or(|recorded| recorded < minute);
            let newest = last.newest.take_if(|_| over)?;
            last.minute = Some(minute);
            let before = std::mem::take(&mut last.left_out).saturating_sub(1);
            Some((kind.clone(), before, newest))
        });
        left.collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    pub(crate) fn minute(&self) -> i64 {
        self.clock.seconds().div_euclid(60)
    }

    /// Goes on though whoever waits for it goes away, and before the node stops: a partner that hangs up is on record all the same.
    ///
    /// # Errors
    /// It panicked.
    pub(crate) async fn in_any_case<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Fault> {
        let done = self.recording.spawn(work).await;
        done.map_err(|_| Fault::internal("putting something on record"))
    }

    /// Records that a client came in; returns when that is on disk.
    ///
    /// # Errors
    /// It cannot be recorded: nobody comes in unseen. A ledger that was halted lets in, as each call says so itself.
    async fn signed_in(self: &Arc<Self>, name: &str, auditor: bool) -> Result<(), Fault> {
        if self.ledger.halted().is_some() || !self.access.first_in(SIGN_IN, name, self.minute()) {
            return Ok(());
        }
        let role = match name {
            _ if auditor => "auditor",
            ADMIN => "admin",
            _ => "client",
        };
        let sign_in = SignIn {
            by: person(name),
            method: text("client certificate"),
            role: text(role),
        };
        let (state, name) = (Arc::clone(self), name.to_owned());
        let recorded = async move {
            let recorded = state.record(sign_in).await;
            if recorded.is_err() {
                state.access.forget(SIGN_IN, &name);
            }
            recorded
        };
        self.in_any_case(recorded).await?
    }

    async fn refused(self: &Arc<Self>, action: &'static str, claimed: Option<&str>, reason: &str) {
        let refusal = Refusal {
            claimed: claimed.map(person),
            partner: None,
            case: None,
            action: text(action),
            rule: None,
            reason: text(reason),
        };
        let kind = (action, claimed.map(str::to_owned));
        self.refused_once(kind, None, refusal, None).await;
    }

    /// Records a refusal, with the incident that it is if it is one, unless one of its kind was recorded this minute. Under `agreement`
    /// it is kept as long as that says. Done when this returns, and in any case.
    pub(crate) async fn refused_once(
        self: &Arc<Self>,
        kind: Kind,
        agreement: Option<&Agreement>,
        refusal: Refusal,
        incident: Option<Incident>,
    ) {
        let refused = Kept {
            refusal,
            retention: self.retention(agreement),
            incident,
        };
        if let Some(left_out) = self.access.refuses(&kind, self.minute(), &refused) {
            let state = Arc::clone(self);
            let recorded =
                self.in_any_case(async move { state.record_refusal(kind, left_out, refused).await });
            if let Err(fault) = recorded.await {
                tracing::error!(%fault, "a refusal could not be recorded");
            }
        }
    }

    async fn record_refusal(&self, kind: Kind, left_out: u64, refused: Kept) {
        let mut said = refused.refusal.clone();
        if left_out > 0 {
            let reason = said.reason.as_str();
            said.reason = text(&format!("{left_out} more of this kind before it; {reason}"));
        }
        let recorded = match (self.entry_kept(refused.retention, said), &refused.incident) {
            (Ok(entry), None) => {
                let recorded = self.store.append_entries(vec![entry]).await;
                recorded.map_err(|error| store_fault(&error))
            }
            (Ok(entry), Some(incident)) => {
                tracing::error!(partner = incident.partner, "incident: {}", incident.detail);
                self.recorded_incident(Ok(entry), incident).await
            }
            (Err(fault), _) => Err(fault),
        };
        if let Err(fault) = recorded {
            tracing::error!(%fault, kind = kind.0, "a refusal could not be recorded");
            self.access.not_recorded(kind, left_out, refused);
        }
    }

    /// Records the refusals of past minutes that were left out and that none has followed; at the end of the node, of this minute too.
    pub(crate) async fn record_left_out(self: &Arc<Self>, at_the_end: bool) {
        let minute = if at_the_end { i64::MAX } else { self.minute() };
        for (kind, before, refused) in self.access.take_left_out(minute) {
            let state = Arc::clone(self);
            let recorded = async move { state.record_refusal(kind, before, refused).await };
            match at_the_end {
                true => recorded.await,
                // Taken, so to be written, though the node stops now.
                false => drop(self.in_any_case(recorded).await),
            }
        }
    }

    /// Puts a partner's call on record if it was refused: once a minute for each partner and rule, and before the partner hears of it.
    /// Our own trouble is no refusal.
    ///
    /// # Errors
    /// As `result`.
    pub async fn noting<T>(
        self: &Arc<Self>,
        call: &PartnerCall<'_>,
        result: Result<T, Fault>,
    ) -> Result<T, Fault> {
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

    pub(crate) async fn refused_partner(self: &Arc<Self>, call: &PartnerCall<'_>, fault: &Fault) {
        // Over a connection from before, a partner may call under an agreement that has ended.
        let entries = self.book.even_ended();
        let theirs = || entries.iter().filter(|entry| entry.partner.pin == *call.partner);
        let named = call
            .scope
            .and_then(|scope| theirs().find(|entry| entry.agreement.id == scope.agreement_id));
        // The listener lets in nobody whose key is in no agreement.
        let Some(partner) = named.or_else(|| theirs().next()).map(|entry| &entry.partner.id) else {
            return;
        };
        let mut action = call.name.to_owned();
        if let Some(scope) = call.scope {
            let (offer, agreement) = (as_named(&scope.offer_id), as_named(&scope.agreement_id));
            let epoch = scope.epoch;
            action.push_str(&format!(" under {offer} of {agreement}, epoch {epoch}"));
        }
        if let Some(Stated { purpose, legal_basis }) = call.stated {
            let (purpose, legal_basis) = (purpose.as_str(), as_named(legal_basis.as_str()));
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
        self.refused_once((fault.rule, Some(partner.clone())), agreement, refusal, None)
            .await;
    }
}

/// What a partner says goes into our ledger only where it can be a name.
fn as_named(text: &str) -> &str {
    if is_label(text) { text } else { "(malformed)" }
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
pub async fn identify_partner(state: &Arc<State>, pins: &Pins, shown: Shown) -> Option<Caller> {
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
pub async fn identify_client(state: &Arc<State>, shown: Shown) -> Option<Caller> {
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
    let (recording, state, name) = (&state.recording, Arc::clone(state), name.to_owned());
    recording.spawn(async move {
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
    let (recording, state, rule) = (&state.recording, Arc::clone(state), fault.rule);
    recording.spawn(async move {
        state.refused_once((rule, name), None, refusal, None).await;
    });
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: &str) -> Kept {
        Kept {
            refusal: Refusal {
                claimed: None,
                partner: None,
                case: None,
                action: text(CONNECTING),
                rule: None,
                reason: text(reason),
            },
            retention: Retention::OneYear,
            incident: None,
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let access = Access::default();
        let strangers = (CONNECTING, None);
        let refuses = |kind: &Kind, minute| access.refuses(kind, minute, &refusal("x"));
        assert_eq!(refuses(&strangers, 7), Some(0));
        assert_eq!(refuses(&strangers, 7), None);
        assert_eq!(refuses(&strangers, 7), None);
        // A stranger's noise does not hide somebody known.
        assert_eq!(refuses(&(CONNECTING, Some("gate-7".into())), 7), Some(0));
        assert_eq!(refuses(&(CONNECTING_AS_PARTNER, None), 7), Some(0));
        assert_eq!(refuses(&strangers, 8), Some(2));
        assert_eq!(refuses(&strangers, 9), Some(0));
    }

    #[test]
    fn what_nothing_follows_is_recorded_when_its_minute_is_over() {
        let access = Access::default();
        let kind = (CONNECTING, None);
        for reason in ["one", "two", "three"] {
            access.refuses(&kind, 7, &refusal(reason));
        }
        assert_eq!(access.take_left_out(7), [], "its minute is not over");
        let three = (kind.clone(), 1, refusal("three"));
        assert_eq!(access.take_left_out(8), [three]);
        assert_eq!(access.take_left_out(9), []);
        // That was the one of minute 8.
        assert_eq!(access.refuses(&kind, 8, &refusal("four")), None);
        assert_eq!(access.take_left_out(i64::MAX), [(kind, 0, refusal("four"))]);
    }

    #[test]
    fn what_could_not_be_recorded_is_counted_with_the_next() {
        let access = Access::default();
        let kind = (CONNECTING, None);
        assert_eq!(access.refuses(&kind, 7, &refusal("one")), Some(0));
        assert_eq!(access.refuses(&kind, 7, &refusal("two")), None);
        access.not_recorded(kind.clone(), 0, refusal("one"));
        assert_eq!(access.refuses(&kind, 7, &refusal("three")), Some(2), "at once");
        access.not_recorded(kind.clone(), 2, refusal("three"));
        assert_eq!(access.take_left_out(7), [(kind, 2, refusal("three"))]);
    }

    #[test]
    fn the_first_in_a_minute_is_told_from_the_others() {
        let access = Access::default();
        let signs_in = |who, minute| access.first_in(SIGN_IN, who, minute);
        assert!(signs_in("gate-7", 1) && signs_in("gate-8", 1));
        assert!(!signs_in("gate-7", 1));
        assert!(access.first_in("quota", "gate-7", 1), "another thing");
        assert!(signs_in("gate-7", 2));
        access.forget(SIGN_IN, "gate-7");
        assert!(signs_in("gate-7", 2));
    }
}
