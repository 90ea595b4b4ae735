//! The agreements this node has signed, and the partners they pin, in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use concordat_ledger::{Actor, AgreementChange, AgreementChanged};
use concordat_note::Note;
use concordat_store::{AgreementStatus, NewAgreement, Store, StoreError};
use concordat_wire::{Fault, Reason, v1};

use crate::agreement::{Agreement, Offer, Party};
use crate::ledger::{digest, text};
use crate::partner::Partner;
use crate::state::State;
use crate::tls::{Credentials, Pins, SpkiPin};

/// One agreement with its state.
pub struct Entry {
    /// The checked document.
    pub agreement: Agreement,
    /// The signed note.
    pub note: String,
    /// Whether it is in force.
    pub status: AgreementStatus,
    /// Where we suspended it, why; else empty.
    pub stopped_because: String,
    /// The other agency's node.
    pub partner: Partner,
}

/// All agreements. The database has the truth; [`Book::reload`] follows it.
pub struct Book {
    us: String,
    credentials: Credentials,
    pins: Pins,
    entries: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// Notes are kept one after the other, so that what the ledger says of each is what it changed.
    keeping: tokio::sync::Mutex<()>,
}

impl Book {
    /// An empty book of agency `us`; `pins` is kept up to date for the listener.
    pub fn new(us: String, credentials: Credentials, pins: Pins) -> Self {
        Self {
            us,
            credentials,
            pins,
            entries: RwLock::default(),
            keeping: tokio::sync::Mutex::default(),
        }
    }

    /// Reads all agreements again.
    ///
    /// # Errors
    /// The database, or a stored document that this version cannot read.
    pub async fn reload(&self, store: &Store) -> Result<(), Fault> {
        let mut entries = BTreeMap::new();
        let mut pins = HashSet::new();
        for kept in store.agreements().await.map_err(|error| store_fault(&error))? {
            let row = kept.agreement;
            let (agreement, _) = Agreement::from_note(&row.note)?;
            let Some(party) = agreement.partner_of(&self.us) else {
                return Err(Fault::new(
                    Reason::DataLoss,
                    "AGR-024",
                    format!("stored agreement {} is not ours", agreement.id),
                ));
            };
            if !is_over(row.status) {
                pins.insert(party.tls_spki);
            }
            // A channel is kept as long as the partner's key and address stay the same.
            let partner = match self.get(&agreement.id) {
                Some(old) if old.agreement.partner_of(&self.us) == Some(party) => old.partner.clone(),
                _ => Partner::new(party, &self.credentials)
                    .map_err(|error| Fault::internal(format!("TLS for partner {}: {error}", party.id)))?,
            };
            let entry = Entry {
                partner,
                note: row.note,
                status: row.status,
                stopped_because: kept.stopped_because.unwrap_or_default(),
                agreement,
            };
            entries.insert(entry.agreement.id.clone(), Arc::new(entry));
        }
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
        self.pins.replace(pins);
        Ok(())
    }

    /// An agreement by id.
    pub fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    /// All agreements that have not ended, by id.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        let mut all = self.even_ended();
        all.retain(|entry| !is_over(entry.status));
        all
    }

    /// All agreements, by id.
    pub fn even_ended(&self) -> Vec<Arc<Entry>> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Agreement and offer of ours, not ended, that name this list of ours.
    pub fn offer_of_list(&self, list: &str) -> Option<(String, String)> {
        self.all().iter().find_map(|entry| {
            let ours = entry
                .agreement
                .offers
                .iter()
                .filter(|offer| offer.owner == self.us);
            let mut naming = ours.filter(|offer| offer.lists.iter().any(|name| name == list));
            let offer = naming.next()?;
            Some((entry.agreement.id.clone(), offer.id.clone()))
        })
    }

    /// Keeps a note with the signatures it has, and takes it into force once both parties have signed. `by` signed it
    /// for us, if it is new here.
    ///
    /// # Errors
    /// A signature does not hold, we have not signed, or the id stands for another document.
    pub async fn keep(
        &self,
        state: &State,
        agreement: &Agreement,
        note: &Note,
        by: Actor,
    ) -> Result<(), Fault> {
        let _turn = self.keeping.lock().await;
        let store = &state.store;
        let signers = agreement.signers(note)?;
        let partner = agreement
            .partner_of(&self.us)
            .ok_or_else(|| not_a_party(&agreement.id, &self.us))?;
        if !signers.contains(&self.us) {
            return Err(Fault::new(
                Reason::Precondition,
                "AGR-025",
                "we have not signed this agreement",
            ));
        }
        if self.get(&agreement.id).is_some_and(|known| is_over(known.status)) {
            let message = format!(
                "agreement {} has ended: give the new one another id",
                agreement.id
            );
            return Err(Fault::new(Reason::Precondition, "AGR-034", message).field("agreement.id"));
        }
        self.known_keys(&agreement.id, partner)?;
        let complete = signers.contains(&partner.id);
        let row = NewAgreement {
            id: agreement.id.clone(),
            digest: agreement.digest,
            note: note.to_string(),
            status: if complete {
                AgreementStatus::Active
            } else {
                AgreementStatus::Proposed
            },
            partner: partner.id.clone(),
            owns: agreement.offers.iter().any(|offer| offer.owner == self.us),
            asks: agreement.offers.iter().any(|offer| offer.requester == self.us),
        };
        let fault = |error: StoreError| match error {
            StoreError::AlreadyExists { .. } => Fault::new(
                Reason::Conflict,
                "AGR-026",
                format!(
                    "agreement {} exists with another text: give the new one another id",
                    agreement.id
                ),
            ),
            error => store_fault(&error),
        };
        let kept = store
            .agreement(&agreement.id)
            .await
            .map_err(|error| store_fault(&error))?;
        let before = kept.as_ref().map(|kept| kept.agreement.status);
        let mut entries = Vec::new();
        if before.is_none() {
            entries.push(state.entry(changed(agreement, &partner.id, by, AgreementChange::Signed))?);
        }
        if complete && before.is_none_or(|before| before == AgreementStatus::Proposed) {
            let in_force = changed(agreement, &partner.id, Actor::Node, AgreementChange::InForce);
            entries.push(state.entry(in_force)?);
        }
        // A partner sends its signature again with every visit.
        if !entries.is_empty() || kept.is_some_and(|kept| kept.agreement.digest != row.digest) {
            let recording = store.recording_all(entries);
            recording
                .put_agreement(&row, state.now_ms())
                .await
                .map_err(fault)?;
        }
        self.reload(store).await
    }

    /// One agency, one set of keys: two agreements in force at once name the same keys for a party, and no key stands
    /// for two parties.
    fn known_keys(&self, id: &str, party: &Party) -> Result<(), Fault> {
        for entry in self.all() {
            let Some(known) = entry.agreement.partner_of(&self.us) else {
                continue;
            };
            if entry.agreement.id == id || entry.status == AgreementStatus::Suspended {
                continue;
            }
            let same_keys = [known.identity == party.identity, known.tls_spki == party.tls_spki];
            let other = &entry.agreement.id;
            if known.id == party.id && same_keys.contains(&false) {
                let message = format!(
                    "agreement {other} names other keys for {}: make sure by another channel that the keys are \
                     theirs, then suspend or end {other} first",
                    party.id
                );
                return Err(Fault::new(Reason::Conflict, "AGR-032", message).field("party"));
            }
            if known.id != party.id && same_keys.contains(&true) {
                let message = format!("agreement {other} names this key as that of {}", known.id);
                return Err(Fault::new(Reason::Conflict, "AGR-033", message).field("party"));
            }
        }
        Ok(())
    }

    /// The agreement and offer of a scope that a partner names, checked from the owner's side: an agreement that pins
    /// the key the partner showed, the same document, in force, an offer we own for this partner, an epoch that may
    /// be used. The same words answer for an agreement that does not exist and one that is not the partner's.
    ///
    /// # Errors
    /// `NotPermitted` or `NotFound` with field and rule.
    pub fn admit(
        &self,
        partner: &SpkiPin,
        scope: Option<&v1::Scope>,
        now: jiff::Timestamp,
    ) -> Result<(Arc<Entry>, Offer, u32), Fault> {
        let scope = scope.ok_or_else(|| Fault::invalid("PEER-001", "scope", "the scope is missing"))?;
        let unknown = || {
            Fault::new(Reason::NotFound, "AGR-110", "no such agreement between us")
                .field("scope.agreement_id")
        };
        let entry = self.get(&scope.agreement_id).ok_or_else(unknown)?;
        if entry.partner.pin != *partner {
            return Err(unknown());
        }
        let refuse = |rule, field: &str, message: &str| {
            Err(Fault::new(Reason::NotPermitted, rule, message).field(format!("scope.{field}")))
        };
        if scope.agreement_digest != entry.agreement.digest {
            return refuse(
                "AGR-111",
                "agreement_digest",
                "we signed another text of this agreement",
            );
        }
        if entry.status != AgreementStatus::Active {
            return refuse("AGR-112", "agreement_id", "the agreement is not in force");
        }
        let Some(offer) = entry.agreement.offer(&scope.offer_id) else {
            return refuse("AGR-113", "offer_id", "no such offer");
        };
        if offer.owner != self.us || offer.requester != entry.partner.id {
            return refuse("AGR-113", "offer_id", "the offer is not yours to ask");
        }
        if !entry.agreement.epoch_usable(scope.epoch, now) {
            return refuse("AGR-114", "epoch", "this epoch has not begun or is over");
        }
        let offer = offer.clone();
        Ok((entry, offer, scope.epoch))
    }
}

/// What became of an agreement, for the ledger.
pub fn changed(agreement: &Agreement, partner: &str, by: Actor, change: AgreementChange) -> AgreementChanged {
    AgreementChanged {
        by,
        partner: text(partner),
        agreement: text(&agreement.id),
        digest: digest(agreement.digest),
        change,
    }
}

/// Nothing more will happen under it.
pub const fn is_over(status: AgreementStatus) -> bool {
    matches!(status, AgreementStatus::Ended | AgreementStatus::Superseded)
}

/// The scope of an offer and epoch as it goes over the wire.
pub fn scope_to_proto(agreement: &Agreement, offer: &Offer, epoch: u32) -> v1::Scope {
    v1::Scope {
        agreement_id: agreement.id.clone(),
        agreement_digest: agreement.digest.to_vec(),
        offer_id: offer.id.clone(),
        epoch,
    }
}

/// The document does not name us.
pub fn not_a_party(id: &str, us: &str) -> Fault {
    Fault::invalid(
        "AGR-027",
        "party",
        format!("{us} is not a party of agreement {id}"),
    )
}

/// What a failure of the database means for a caller.
pub fn store_fault(error: &StoreError) -> Fault {
    tracing::error!(%error, "the store failed");
    Fault::internal("the node's store failed; its log has the details")
}
