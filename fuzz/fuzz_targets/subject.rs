//! Records as published, through normalisation.

#![no_main]

use concordat_fuzz::check_subject;
use concordat_identifiers::Subject;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(subject) = serde_json::from_slice::<Subject>(bytes) {
        check_subject(&subject);
        // What is written is read back.
        let json = serde_json::to_vec(&subject).expect("a subject is JSON");
        assert!(serde_json::from_slice::<Subject>(&json).is_ok_and(|again| again == subject));
    }
});
