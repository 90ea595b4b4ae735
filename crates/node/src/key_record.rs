//! Which keys the node works with, by their fingerprints: recorded when it first starts, and whenever one is another than was recorded
//! last. Scope keys are recorded where they are made, pinned and destroyed ([`keys`](crate::keys)).

use std::collections::BTreeMap;

use concordat_ledger::{Actor, Digest, KeyChange, KeyChanged};
use concordat_store::Store;
use concordat_wire::Fault;
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};

use crate::book::store_fault;
use crate::identity::Identity;
use crate::ledger::{digest, text};
use crate::state::State;
use crate::tls::{first_certificate, spki_pin};

/// Under which name the fingerprints recorded last are kept.
const FACT: &str = "keys";
/// The master key's name in the ledger.
pub(crate) const MASTER: &str = "master";
/// The audit key's.
const AUDIT: &str = "audit";

/// Keys by what they are for.
type Fingerprints = BTreeMap<String, Digest>;

/// Tells a secret of 32 random bytes from others; nobody can compute anything else from it.
pub(crate) fn fingerprint(what: &str, secret: &[u8; 32]) -> Digest {
    let mut fingerprint = [0; 32];
    let info = format!("concordat/v1/key-fingerprint\n{what}");
    #[expect(clippy::expect_used, reason = "32 bytes are less than HKDF can give")]
    Hkdf::<Sha256>::new(None, secret)
        .expand(info.as_bytes(), &mut fingerprint)
        .expect("32 bytes are less than HKDF can give");
    digest(fingerprint)
}

/// Those of a node's keys. Of key pairs the SHA-256 of the public half.
fn fingerprints(identity: &Identity, master: Digest, audit: Digest) -> Result<Fingerprints, Fault> {
    let unreadable = |what: &str| Fault::internal(format!("reading the {what} key to record it"));
    let pin = |what: &str, credentials: &crate::tls::Credentials| {
        credentials.pin().map(digest).map_err(|_| unreadable(what))
    };
    let authority = first_certificate(&identity.client_ca)
        .ok()
        .and_then(|certificate| spki_pin(&certificate))
        .ok_or_else(|| unreadable("authority's"))?;
    let disclosure = identity
        .disclosure
        .public()
        .map_err(|_| unreadable("disclosure"))?;
    let signing = Sha256::digest(identity.signing.verifier().public_key());
    let keys = [
        // The ledger's key is the same under another name.
        ("identity and ledger", digest(signing.into())),
        ("disclosure", digest(Sha256::digest(disclosure.as_bytes()).into())),
        ("tls peer", pin("TLS", &identity.peer)?),
        ("tls api", pin("API's TLS", &identity.api)?),
        ("tls authority", digest(authority)),
        (AUDIT, audit),
        (MASTER, master),
    ];
    Ok(keys
        .into_iter()
        .map(|(what, key)| (what.to_owned(), key))
        .collect())
}

fn changed(by: Actor, what: &str, key: Digest, change: KeyChange) -> KeyChanged {
    let secret = matches!(what, AUDIT | MASTER);
    KeyChanged {
        by,
        what: text(what),
        scope: None,
        public_key: (!secret).then_some(key),
        fingerprint: secret.then_some(key),
        change,
    }
}

async fn recorded(store: &Store) -> Result<Fingerprints, Fault> {
    let kept = store.fact(FACT).await.map_err(|error| store_fault(&error))?;
    Ok(kept
        .as_deref()
        .and_then(|kept| serde_json::from_str(kept).ok())
        .unwrap_or_default())
}

fn encode(keys: &Fingerprints) -> Result<String, Fault> {
    serde_json::to_string(keys)
        .map_err(|error| Fault::internal(format!("writing the fingerprints down: {error}")))
}

/// Records which keys are others than at the last start. `master` is the [`fingerprint`] of the one that opened the database.
///
/// # Errors
/// A key cannot be read, or the database failed.
pub(crate) async fn record(state: &State, master: Digest) -> Result<(), Fault> {
    let audit = state
        .store
        .secret("audit_key")
        .await
        .map_err(|error| store_fault(&error))?;
    let now = fingerprints(&state.identity, master, fingerprint(AUDIT, &audit))?;
    let before = recorded(&state.store).await?;
    if before == now {
        return Ok(());
    }
    if state.ledger.halted().is_some() {
        tracing::error!("a key was changed; it is recorded when the ledger goes on");
        return Ok(());
    }
    let mut entries = Vec::new();
    for (what, key) in &now {
        let change = match before.get(what) {
            Some(kept) if kept == key => continue,
            Some(_) => KeyChange::Rotated,
            None => KeyChange::Created,
        };
        entries.push(state.entry(changed(Actor::Node, what, *key, change))?);
    }
    let recorded = state.store.recording_all(entries);
    let kept = recorded.set_fact(FACT, &encode(&now)?, state.now_ms()).await;
    kept.map_err(|error| store_fault(&error))
}

/// Records that whoever works on the data of a stopped node has changed the master key. Were it not, the next start would.
///
/// # Errors
/// The database failed.
pub(crate) async fn record_master(
    config: &crate::config::Config,
    store: &Store,
    master: Digest,
) -> Result<(), Fault> {
    let mut keys = recorded(store).await?;
    keys.insert(MASTER.to_owned(), master);
    let event = changed(
        crate::upkeep::local_operator(),
        MASTER,
        master,
        KeyChange::Rotated,
    );
    let entry = crate::upkeep::entry_of_stopped_node(config, event)?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let kept = store
        .recording(entry)
        .set_fact(FACT, &encode(&keys)?, now_ms)
        .await;
    kept.map_err(|error| store_fault(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_keys_and_uses_apart() {
        let one = fingerprint(MASTER, &[1; 32]);
        assert_eq!(one, fingerprint(MASTER, &[1; 32]));
        assert_ne!(one, fingerprint(MASTER, &[2; 32]));
        assert_ne!(one, fingerprint(AUDIT, &[1; 32]));
        assert_ne!(one.0, [1; 32]);
    }

    #[test]
    fn of_secrets_there_is_a_fingerprint_and_of_pairs_the_public_half() {
        let folder = tempfile::tempdir().expect("a folder");
        crate::identity::create(folder.path(), "aa", &[], &mut rand::rng()).expect("made");
        let identity = Identity::load(folder.path()).expect("read");
        let keys = fingerprints(&identity, digest([1; 32]), digest([2; 32])).expect("readable");
        assert_eq!(keys.len(), 7);
        for (what, key) in &keys {
            let entry = changed(Actor::Node, what, *key, KeyChange::Created);
            let secret = what == AUDIT || what == MASTER;
            assert_eq!(
                (entry.fingerprint.is_some(), entry.public_key.is_some()),
                (secret, !secret)
            );
        }
    }
}
