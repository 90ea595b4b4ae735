//! Machine-readable zones.

#![no_main]

use concordat_fuzz::{TODAY, check_subject};
use concordat_identifiers::mrz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(mrz) = mrz::parse(text, TODAY) {
        assert!(!mrz.number.is_empty() && !mrz.primary.is_empty());
        // Blank lines, spaces and lower case say nothing: the same zone, tidied up, reads the same.
        let tidy: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let again = mrz::parse(&tidy.join("\n").to_ascii_uppercase(), TODAY);
        assert!(again.is_ok_and(|again| again == mrz));
        check_subject(&mrz.subject());
    }
});
