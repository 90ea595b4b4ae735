//! The UK's CSV, both layouts.

#![no_main]

use concordat_fuzz::read_list;
use concordat_lists::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| read_list(Format::UkOfsi, [("list", bytes)]));
