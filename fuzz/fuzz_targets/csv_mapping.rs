//! Mapping files.

#![no_main]

use concordat_fuzz::read_mapped;
use concordat_lists::Mapping;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(mapping) = text.parse::<Mapping>() {
        read_mapped(
            mapping,
            b"id,name,born,passport,country\n7,ROE Jane,1980-02-03,AB 123456,France\n8,,,,\n",
        );
    }
});
