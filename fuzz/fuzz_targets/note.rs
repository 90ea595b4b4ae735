//! Signed notes and the keys that verify them.

#![no_main]

use concordat_note::{Limits, Note, Policy, SigningKey, VerifierKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(
        bytes,
        Limits {
            max_bytes: 4096,
            max_signatures: 8,
        },
    ) {
        let again = Note::parse(note.to_string().as_bytes(), Limits::default())
            .expect("what was read can be written");
        assert!(again.unverified_text() == note.unverified_text());
        // Nobody but the fuzzer signed it.
        let key = SigningKey::from_seed("owner", &[7; 32])
            .expect("a good name")
            .verifier();
        assert!(note.open(&[key], Policy::All).is_err());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = text.parse::<VerifierKey>() {
            assert_eq!(key.to_string().parse::<VerifierKey>().ok(), Some(key));
        }
        let _ = SigningKey::decode(text);
    }
});
