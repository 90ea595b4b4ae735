//! What two nodes must have in common to match at all.

use std::sync::OnceLock;

use jiff::civil::{Date, date};
use sha2::{Digest, Sha256};

use crate::derive::derive;
use crate::identifier::{PROFILE, framed};
use crate::subject::Subject;
use crate::text::{Scheme, Separators, tokens};

/// Fictional subjects of every kind, script and oddity; frozen with the profile.
const CONFORMANCE: &str = include_str!("../data/conformance.jsonl");
/// The day on which the conformance subjects are derived, for ever.
const CONFORMANCE_DAY: Date = date(2026, 1, 1);

/// SHA-256 over everything that this build's normaliser makes of the built-in conformance subjects, and over every
/// spelling of each character of the Basic Multilingual Plane. Equal on two nodes if they normalise alike: the same
/// profile, tables, Unicode and transliterator versions. Computed once per process, in about 200 ms.
pub fn profile_fingerprint() -> [u8; 32] {
    static FINGERPRINT: OnceLock<[u8; 32]> = OnceLock::new();
    *FINGERPRINT.get_or_init(|| {
        let mut hash = Sha256::new();
        hash.update(framed(&[PROFILE.as_bytes()]));
        conformance_subjects().for_each(|subject| hash_derived(&subject, &mut hash));
        (0..=0xFFFF_u32)
            .step_by(64)
            .for_each(|first| hash_spellings(first, &mut hash));
        hash.finalize().into()
    })
}

#[expect(clippy::expect_used, reason = "compiled in, and every line is read by a test")]
fn conformance_subjects() -> impl Iterator<Item = Subject> {
    CONFORMANCE
        .lines()
        .map(|line| serde_json::from_str(line).expect("the conformance subjects are valid"))
}

/// Hashes the OPRF inputs of all identifiers, which are base forms and which are variants, and how many there are.
fn hash_derived(subject: &Subject, hash: &mut Sha256) {
    let derived = derive(subject, CONFORMANCE_DAY);
    hash.update((derived.identifiers.len() as u64).to_be_bytes());
    for identifier in &derived.identifiers {
        hash.update(framed(&[
            &identifier.oprf_input(),
            &[u8::from(identifier.is_variant())],
        ]));
    }
}

/// Hashes 64 consecutive characters, each in a word of its own, as every scheme spells them.
fn hash_spellings(first: u32, hash: &mut Sha256) {
    let words: Vec<String> = (first..first + 64)
        .filter_map(char::from_u32)
        .map(|c| format!("X{c}"))
        .collect();
    let text = words.join(" ");
    for scheme in Scheme::all_for(&text, usize::MAX).0 {
        let tokens = tokens(&text, scheme, Separators::Any);
        hash.update(framed(&[tokens.join(" ").as_bytes()]));
    }
}
