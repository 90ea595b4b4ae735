//! Segments of a snapshot.

#![no_main]

use concordat_tagset::check_segment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let check = check_segment(bytes, bytes.len() as u64).expect("a slice can be read");
    if check.fault.is_none() {
        let header = check.header.expect("a segment without fault has a header");
        assert_eq!(header.file_bytes(), bytes.len() as u64);
        assert!(
            bytes[32..].chunks(16).is_sorted_by(|a, b| a < b),
            "tags strictly increase"
        );
    }
    // Cut short, it is an error of the reader and never a good segment.
    assert!(check_segment(bytes, bytes.len() as u64 + 1).is_err());
});
