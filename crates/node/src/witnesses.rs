//! Independent witnesses ([C2SP tlog-witness](https://c2sp.org/tlog-witness)): servers of nobody's partner that cosign our checkpoints,
//! so that an auditor need not believe two agencies that may have agreed with each other.
//!
//! A witness sees names, sizes and hashes. What it answers is believed as far as it is signed: its cosignature is published beside the
//! partners', and whatever else it says can neither stop nor slow down the node.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use concordat_ledger::{SignedCheckpoint, attach_cosignatures, parse_size};
use concordat_note::{CosignerKey, VerifierKey};
use concordat_wire::v1::LedgerWitness as Standing;
use concordat_wire::{Fault, Reason};
use hyper::StatusCode;
use tokio::time::Instant;

use crate::book::store_fault;
use crate::config::{ConfigError, LedgerWitness};
use crate::cosigning::{held_to, open_own, publish, request};
use crate::http::Client;
use crate::state::State;

/// A witness that takes longer is asked again later: the partners' cosignatures wait for the same round.
const ANSWER: Duration = Duration::from_secs(10);
/// A signed checkpoint's cosignatures are far smaller.
const MAX_ANSWER: usize = 16 << 10;
/// After a first failure; doubled with each that follows, up to the most.
const RETRY: Duration = Duration::from_secs(2);
const MOST_RETRY: Duration = Duration::from_secs(900);
/// It may have cosigned something else than we know of, and say so.
const ROUNDS: u32 = 3;

/// The witnesses of the configuration.
#[derive(Default)]
pub struct Witnesses(Vec<Witness>);

/// One witness.
pub struct Witness {
    url: String,
    key: CosignerKey,
    client: Client,
    trouble: Mutex<Option<Trouble>>,
}

struct Trouble {
    cause: String,
    failures: u32,
    not_before: Instant,
}

impl Witnesses {
    /// The witnesses of a configuration.
    ///
    /// # Errors
    /// [`ConfigError::Value`]: an address or a key cannot be used, or a key is given twice. One key is one witness.
    pub fn of(config: &[LedgerWitness]) -> Result<Self, ConfigError> {
        let value = |field, reason| ConfigError::Value { field, reason };
        let mut keys = BTreeSet::new();
        let mut witnesses = Vec::with_capacity(config.len());
        for LedgerWitness { url, key } in config {
            let key = cosigner(key).ok_or_else(|| {
                let reason = "a key is one line, name+id+base64, as `concordat witness` shows it";
                value("ledger.witness.key", reason.to_owned())
            })?;
            if !keys.insert(key.public_key()) {
                let reason = format!("the key of {} is given twice", key.name());
                return Err(value("ledger.witness.key", reason));
            }
            let client = Client::new(url).map_err(|error| value("ledger.witness.url", error.to_string()))?;
            witnesses.push(Witness {
                url: url.clone(),
                key,
                client,
                trouble: Mutex::default(),
            });
        }
        Ok(Self(witnesses))
    }

    /// Their keys.
    pub fn keys(&self) -> impl Iterator<Item = CosignerKey> {
        self.0.iter().map(|witness| witness.key.clone())
    }

    /// When the first of those that failed is asked again.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        let tries = self.0.iter().filter_map(|witness| {
            let trouble = witness.lock();
            trouble.as_ref().map(|trouble| trouble.not_before)
        });
        tries.min()
    }

    /// Asks all that are not to be left alone for now to cosign `latest`. Never fails: what is wrong is kept for
    /// [`standings`](Self::standings), and said once in the node's log.
    pub(crate) async fn ask(&self, state: &Arc<State>, latest: &SignedCheckpoint) {
        let now = Instant::now();
        let ready = self.0.iter().filter(|witness| {
            let trouble = witness.lock();
            trouble.as_ref().is_none_or(|trouble| trouble.not_before <= now)
        });
        let asked = ready.map(|witness| async move {
            let answer = tokio::time::timeout(ANSWER, witness.ask(state, latest)).await;
            let answer = answer.unwrap_or_else(|_| {
                let message = format!("it did not answer within {} seconds", ANSWER.as_secs());
                Err(Fault::new(Reason::Unavailable, "LEDG-017", message))
            });
            witness.said(answer);
        });
        futures_util::future::join_all(asked).await;
    }

    /// How far each has cosigned our ledger, and what is wrong.
    ///
    /// # Errors
    /// The database failed.
    pub async fn standings(&self, state: &State) -> Result<Vec<Standing>, Fault> {
        let mut standings = Vec::with_capacity(self.0.len());
        for witness in &self.0 {
            let cosigned = witness.kept(state).await?;
            let time = cosigned.as_ref().and_then(|kept| kept.cosigned_by(&witness.key));
            let time = time.and_then(|time| jiff::Timestamp::from_second(i64::try_from(time).ok()?).ok());
            standings.push(Standing {
                key: witness.key.to_string(),
                url: witness.url.clone(),
                cosigned_size: cosigned.map_or(0, |kept| kept.size()),
                cosigned_at: time.map(|time| time.to_string()).unwrap_or_default(),
                trouble: witness
                    .lock()
                    .as_ref()
                    .map(|trouble| trouble.cause.clone())
                    .unwrap_or_default(),
            });
        }
        Ok(standings)
    }
}

impl Witness {
    /// What names it among those who have cosigned; no partner's id has a blank.
    fn id(&self) -> String {
        format!("witness {}", self.key)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest checkpoint of ours that it cosigned.
    async fn kept(&self, state: &State) -> Result<Option<SignedCheckpoint>, Fault> {
        let kept = state.store.witness(&self.id()).await;
        let kept = kept.map_err(|error| store_fault(&error))?.ours;
        kept.map(|note| open_own(state, &note)).transpose()
    }

    async fn ask(&self, state: &Arc<State>, latest: &SignedCheckpoint) -> Result<(), Fault> {
        let mut from = 0;
        if let Some(kept) = self.kept(state).await? {
            from = kept.size();
            if from > latest.size() {
                held_to(state, self.key.name(), kept).await?;
            }
        }
        for _ in 0..ROUNDS {
            let body = request(state, from, latest.clone()).await?;
            let answer = self.client.post("add-checkpoint", body, MAX_ANSWER).await;
            let (status, body) = answer.map_err(|error| {
                Fault::new(Reason::Unavailable, "LEDG-017", format!("not reached: {error}"))
            })?;
            match (status, parse_size(&body)) {
                (StatusCode::OK, _) => return self.cosigned(state, latest, &body).await,
                (StatusCode::CONFLICT, Some(size)) if size > latest.size() => {
                    // Not signed, so not believed; but if it is true, somebody put an older copy of our data back.
                    let message = format!(
                        "it says that it has cosigned {size} entries of this ledger, which has {}: if an older copy of the node's data was restored, stop the node and restore the newest",
                        latest.size()
                    );
                    return Err(Fault::new(Reason::DataLoss, "LEDG-018", message));
                }
                (StatusCode::CONFLICT, Some(size)) if size != from => from = size,
                (status, _) => return Err(refused(status)),
            }
        }
        Err(refused(StatusCode::CONFLICT))
    }

    async fn cosigned(
        &self,
        state: &Arc<State>,
        latest: &SignedCheckpoint,
        body: &[u8],
    ) -> Result<(), Fault> {
        let mut cosigned = latest.clone();
        let own = std::slice::from_ref(&self.key);
        if attach_cosignatures(&mut cosigned, own, body) != Some(1) {
            let message = "its answer holds no cosignature by the key that is configured for it";
            return Err(Fault::new(Reason::Precondition, "LEDG-017", message));
        }
        let note = cosigned.to_string();
        publish(state, cosigned).await?;
        let kept = state.store.keep_ours(&self.id(), &note).await;
        kept.map_err(|error| store_fault(&error))
    }

    fn said(&self, answer: Result<(), Fault>) {
        let mut slot = self.lock();
        let Err(fault) = answer else {
            if slot.take().is_some() {
                tracing::info!(witness = self.key.name(), "the witness cosigns our ledger again");
            }
            return;
        };
        let (cause, failures) = (
            fault.to_string(),
            slot.as_ref().map_or(0, |before| before.failures),
        );
        if slot.as_ref().is_none_or(|before| before.cause != cause) {
            tracing::warn!(
                witness = self.key.name(),
                cause,
                "the witness has not cosigned our ledger"
            );
        }
        let wait = RETRY.saturating_mul(1 << failures.min(16)).min(MOST_RETRY);
        *slot = Some(Trouble {
            cause,
            failures: failures.saturating_add(1),
            not_before: Instant::now() + wait,
        });
    }
}

/// A witness may show the key that cosigns, or the identity key that it comes from.
fn cosigner(text: &str) -> Option<CosignerKey> {
    let verifier = || text.parse::<VerifierKey>().map(|key| key.cosigner());
    text.parse().or_else(|_| verifier()).ok()
}

/// What a status means; the body is a stranger's, and is not repeated.
fn refused(status: StatusCode) -> Fault {
    let meaning = match status {
        StatusCode::NOT_FOUND => {
            "it does not know this ledger: give it the ledger's key, as `concordat info` shows it"
        }
        StatusCode::FORBIDDEN => "it knows another key for this ledger",
        StatusCode::CONFLICT => {
            "it has cosigned another checkpoint of this size, or other sizes again and again"
        }
        StatusCode::UNPROCESSABLE_ENTITY => "our checkpoint does not extend the one that it cosigned last",
        _ => "it refused",
    };
    let message = format!("{meaning} (status {})", status.as_u16());
    Fault::new(Reason::Precondition, "LEDG-017", message)
}

#[cfg(test)]
mod tests {
    use concordat_note::SigningKey;

    use super::*;

    #[test]
    fn witnesses_are_configured_by_address_and_key() {
        let key = |seed| {
            let key = SigningKey::from_seed("w.example/1", &[seed; 32]).expect("a key");
            key.verifier()
        };
        let one = |url: &str, key: String| LedgerWitness {
            url: url.to_owned(),
            key,
        };
        let cosigner = key(1).cosigner().to_string();
        let good = [
            one("http://127.0.0.1:1", cosigner.clone()),
            one("https://w.example/log", key(2).to_string()),
        ];
        assert_eq!(Witnesses::of(&good).expect("good").keys().count(), 2);
        for (field, bad) in [
            ("ledger.witness.url", one("ftp://w.example", key(3).to_string())),
            ("ledger.witness.url", one("w.example", key(3).to_string())),
            ("ledger.witness.key", one("http://w.example", "w.example".into())),
            // The same key in its other form.
            ("ledger.witness.key", one("http://w.example", key(1).to_string())),
        ] {
            let all = [good[0].clone(), bad];
            let error = Witnesses::of(&all).err().expect("refused").to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
