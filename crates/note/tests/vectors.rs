//! Every vector of `vectors/signed_note.json`: keys and notes of other programs, and named bad inputs with the error they deserve.

#![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

use concordat_note::{Limits, Note, Policy, SigningKey, VerifierKey};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    keys: Vec<KeyVector>,
    bad_verifier_keys: Vec<BadVerifierKey>,
    bad_signing_keys: Vec<BadSigningKey>,
    notes: Vec<NoteVector>,
}

#[derive(Deserialize)]
struct KeyVector {
    vkey: String,
    skey: String,
    seed: Option<String>,
}

#[derive(Deserialize)]
struct BadVerifierKey {
    name: String,
    vkey: String,
    error: String,
}

#[derive(Deserialize)]
struct BadSigningKey {
    name: String,
    skey: String,
    error: String,
}

#[derive(Deserialize)]
struct NoteVector {
    name: String,
    note: String,
    vkeys: Vec<String>,
    policy: String,
    verified: Option<Vec<String>>,
    error: Option<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/signed_note.json")).expect("the vector file is valid")
}

/// The variant's name: `BadSignature { name: … }` is `BadSignature`.
fn variant(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}")
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn keys_of_other_programs_are_read_and_written_alike() {
    for vector in vectors().keys {
        let signing = SigningKey::decode(&vector.skey).unwrap();
        assert_eq!(*signing.encode(), vector.skey);
        assert_eq!(signing.verifier().to_string(), vector.vkey);
        let verifier: VerifierKey = vector.vkey.parse().unwrap();
        assert_eq!(verifier, signing.verifier());
        assert_eq!(
            VerifierKey::from_public_key(verifier.name(), &verifier.public_key()),
            Ok(verifier.clone())
        );
        if let Some(seed) = vector.seed {
            let seed: [u8; 32] = hex::decode(seed).unwrap().try_into().unwrap();
            let from_seed = SigningKey::from_seed(verifier.name(), &seed).unwrap();
            assert_eq!(from_seed.verifier(), verifier);
        }
    }
}

#[test]
fn bad_keys_are_refused_with_their_reason() {
    for vector in vectors().bad_verifier_keys {
        let error = vector.vkey.parse::<VerifierKey>().expect_err(&vector.name);
        assert_eq!(variant(&error), vector.error, "{}", vector.name);
    }
    for vector in vectors().bad_signing_keys {
        let error = SigningKey::decode(&vector.skey).expect_err(&vector.name);
        assert_eq!(variant(&error), vector.error, "{}", vector.name);
    }
}

#[test]
fn notes_open_or_fail_as_the_vectors_say() {
    let mut opened_and_refused = (0, 0);
    for vector in vectors().notes {
        let verifiers: Vec<VerifierKey> = vector.vkeys.iter().map(|k| k.parse().unwrap()).collect();
        let policy = match vector.policy.as_str() {
            "any" => Policy::Any,
            "all" => Policy::All,
            other => panic!("unknown policy {other}"),
        };
        let note = Note::parse(vector.note.as_bytes(), Limits::default());
        if let Ok(note) = &note {
            assert_eq!(
                note.to_string(),
                vector.note,
                "{}: what was parsed is written alike",
                vector.name
            );
        }
        let opened = note
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|n| n.open(&verifiers, policy));
        match (opened, vector.verified, vector.error) {
            (Ok(opened), Some(verified), None) => {
                assert_eq!(opened.verified, verified, "{}", vector.name);
                assert!(
                    vector.note.starts_with(opened.text) && opened.text.ends_with('\n'),
                    "{}",
                    vector.name
                );
                opened_and_refused.0 += 1;
            }
            (Err(error), None, Some(expected)) => {
                assert_eq!(variant(&error), expected, "{}", vector.name);
                opened_and_refused.1 += 1;
            }
            (result, ..) => panic!("{}: {result:?}", vector.name),
        }
    }
    assert!(
        opened_and_refused >= (14, 40),
        "the vector file has lost cases: {opened_and_refused:?}"
    );
}
