//! The OFAC set of CSV files.

#![no_main]

use concordat_fuzz::read_list;
use concordat_lists::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Files of the set, one after the other, each ended by a byte that no text holds.
    let names = ["sdn.csv", "alt.csv", "add.csv", "sdn_comments.csv"];
    read_list(
        Format::OfacSdn,
        names.into_iter().zip(bytes.split(|byte| *byte == 0xFF)),
    );
});
