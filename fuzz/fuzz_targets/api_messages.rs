//! What the agency's own systems send.

#![no_main]

use concordat_fuzz::{check_subject, decoded};
use concordat_wire::{subject_from_proto, subject_to_proto, v1};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    decoded::<v1::MatchRequest>(bytes);
    decoded::<v1::ProposeRequest>(bytes);
    decoded::<v1::SignRequest>(bytes);
    if let Some(message) = decoded::<v1::Subject>(bytes) {
        if let Ok(subject) = subject_from_proto(&message) {
            check_subject(&subject);
            let again = subject_from_proto(&subject_to_proto(&subject));
            assert!(
                again.is_ok_and(|again| again == subject),
                "what was read can be written"
            );
        }
    }
});
