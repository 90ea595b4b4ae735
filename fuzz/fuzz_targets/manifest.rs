//! Manifests of a snapshot.

#![no_main]

use concordat_tagset::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse(text) {
        assert_eq!(manifest.to_text().expect("what was read can be written"), text);
        assert!(manifest.total_bytes() >= 32);
        assert!(manifest.expires_at() > manifest.as_of);
    }
});
