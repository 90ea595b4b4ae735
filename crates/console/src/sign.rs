//! Asking for a passkey: sign-in challenges, the forms that ask, what a browser answers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64ct::{Base64UrlUnpadded, Encoding};
use concordat_disclosure::{Approval, Assertion, NewOfficer, OfficerKey, Passkey, Signature};
use concordat_ledger::{Digest, Hex, Text};
use concordat_node::desk::refused;
use concordat_wire::{Fault, Reason};
use maud::{Markup, html};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::Desk;
use crate::texts::{errors, frame};

/// How long somebody may take to touch a key, in seconds.
const CHALLENGE_S: i64 = 180;
/// Challenges that wait at once.
const CHALLENGES: usize = 4_096;
/// Sign-ins a minute of one officer.
pub(crate) const OFFICER_TRIES: u32 = 10;
/// And from one address, behind which there may be a whole office.
pub(crate) const ADDRESS_TRIES: u32 = 60;

/// Sign-ins that wait for a passkey, and how often was tried.
#[derive(Default)]
pub(crate) struct Challenges {
    waiting: Mutex<HashMap<[u8; 32], (String, i64)>>,
    tries: Mutex<HashMap<String, (i64, u32)>>,
}

impl Challenges {
    /// A challenge for an officer: SHA-256 of a document that names her, this console and a random number.
    pub(crate) fn draw(&self, desk: &Desk, officer: &str) -> Digest {
        let now = desk.state.clock.seconds();
        let nonce: [u8; 32] = desk.state.entropy.bytes();
        let mut hash = Sha256::new();
        hash.update(b"concordat/v1/sign-in\n");
        hash.update(nonce);
        for part in [officer, desk.origin()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let challenge: [u8; 32] = hash.finalize().into();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (_, until)| now < *until);
        if waiting.len() >= CHALLENGES {
            // The oldest makes room: whoever floods the door must not shut it.
            let oldest = waiting.iter().min_by_key(|(_, (_, until))| *until);
            if let Some(oldest) = oldest.map(|(challenge, _)| *challenge) {
                waiting.remove(&oldest);
            }
        }
        waiting.insert(challenge, (officer.to_owned(), now + CHALLENGE_S));
        Hex(challenge)
    }

    /// Whether a challenge was drawn for this officer; it is used up.
    pub(crate) fn take(&self, challenge: &Digest, officer: &str, now: i64) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = waiting.remove(&challenge.0);
        drawn.is_some_and(|(drawn_for, until)| drawn_for == officer && now < until)
    }

    /// Counts a try of `whose`, an officer or an address, of which `most` a minute are let in.
    ///
    /// # Errors
    /// There were too many within this minute.
    pub(crate) fn count(&self, whose: String, most: u32, now: i64) -> Result<(), Fault> {
        let minute = now.div_euclid(60);
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.retain(|_, (since, _)| *since == minute);
        let (_, count) = tries.entry(whose).or_insert((minute, 0));
        *count += 1;
        if *count <= most {
            return Ok(());
        }
        Err(Fault::new(
            Reason::Exhausted,
            "CONS-004",
            errors::TOO_MANY_SIGN_INS,
        ))
    }
}

/// A form that asks for a passkey of `keys` on `challenge`. Without a script it cannot be sent, and says so.
pub(crate) fn form(
    desk: &Desk,
    action: &str,
    (challenge, keys): (&Digest, &[OfficerKey]),
    hidden: &[(&str, &str)],
    button: &str,
) -> Markup {
    let options = json!({
        "challenge": Base64UrlUnpadded::encode_string(&challenge.0),
        "rpId": desk.console.id.as_str(),
        "allowCredentials": keys.iter().filter_map(passkey).map(|passkey| json!({
            "type": "public-key",
            "id": Base64UrlUnpadded::encode_string(&passkey.credential.0),
        })).collect::<Vec<_>>(),
        "userVerification": "required",
        "timeout": CHALLENGE_S * 1_000,
    });
    asking("get", action, &options.to_string(), hidden, button)
}

/// A form that asks for a new passkey.
pub(crate) fn register_form(action: &str, options: &str, hidden: &[(&str, &str)], button: &str) -> Markup {
    asking("create", action, options, hidden, button)
}

fn asking(kind: &str, action: &str, options: &str, hidden: &[(&str, &str)], button: &str) -> Markup {
    html! {
        form.passkey method="post" action=(action) data-kind=(kind) data-options=(options)
            data-not-used=(frame::PASSKEY_NOT_USED) data-unusable=(frame::PASSKEY_UNUSABLE) {
            @for (name, value) in hidden {
                input type="hidden" name=(name) value=(value);
            }
            input type="hidden" name="answer";
            button.primary type="submit" { (button) }
            p.passkey-trouble role="alert" hidden {}
            noscript {
                p.note { (frame::NO_SCRIPT) }
            }
        }
    }
}

fn passkey(key: &OfficerKey) -> Option<&Passkey> {
    match key {
        OfficerKey::Passkey(passkey) => Some(passkey),
        OfficerKey::FileKey(_) => None,
    }
}

/// What a browser answered, as the officer's signature on `document`.
///
/// # Errors
/// It is no assertion, or of a key that the officer does not have.
pub(crate) fn approval(officer: &NewOfficer, document: &Digest, answer: &str) -> Result<Approval, Fault> {
    let assertion = Assertion::from_browser(answer).map_err(refused)?;
    let keys = officer.keys.iter();
    let mut keys =
        keys.filter(|key| passkey(key).is_some_and(|passkey| passkey.credential == assertion.credential));
    let key = keys.next().cloned();
    let key = key.ok_or_else(|| {
        let unknown = concordat_disclosure::rule::UNKNOWN_KEY;
        Fault::new(Reason::NotPermitted, unknown.id, unknown.says)
    })?;
    Ok(Approval {
        officer: officer.person.id.clone(),
        key,
        document: *document,
        signature: Signature::Passkey(assertion),
    })
}

/// The id of a key for somebody who is not here: the page tells nobody which names are registered. It is the same at every try, and only
/// this node can tell it from a real one.
pub(crate) fn decoy(desk: &Desk, officer: &Text) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(b"concordat/v1/nobody\n");
    hash.update(Sha256::digest(desk.state.identity.signing.encode().as_bytes()));
    hash.update(officer.as_str());
    hash.finalize()[..16].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_for_one_officer_once_and_soon() {
        let challenges = Challenges::default();
        let drawn = |challenge: u8| {
            let mut waiting = challenges.waiting.lock().expect("not poisoned");
            waiting.insert([challenge; 32], ("anna".to_owned(), 1_000));
            Hex([challenge; 32])
        };
        let challenge = drawn(1);
        assert!(challenges.take(&challenge, "anna", 999));
        assert!(!challenges.take(&challenge, "anna", 999), "used up");
        let challenge = drawn(2);
        assert!(!challenges.take(&challenge, "berta", 999), "of another officer");
        assert!(
            !challenges.take(&challenge, "anna", 999),
            "and used up by her try"
        );
        assert!(!challenges.take(&drawn(3), "anna", 1_000), "too late");
        assert!(!challenges.take(&Hex([4; 32]), "anna", 0), "never drawn");
    }

    #[test]
    fn tries_are_counted_by_the_minute_and_apart() {
        let challenges = Challenges::default();
        let last = || challenges.count("officer anna".to_owned(), 2, 119);
        assert!(last().is_ok());
        assert!(last().is_ok());
        assert_eq!(last().map_err(|fault| fault.rule).err(), Some("CONS-004"));
        assert!(challenges.count("officer berta".to_owned(), 2, 119).is_ok());
        assert!(
            challenges.count("officer anna".to_owned(), 2, 120).is_ok(),
            "the next minute"
        );
    }
}
