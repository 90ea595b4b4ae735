//! What the targets share: today, and what must hold of whatever was read.

use std::io::Cursor;

use concordat_identifiers::{MAX_IDENTIFIERS, Subject, derive};
use concordat_lists::{Format, Input, Item, Limits, Mapping, Options, Spill, open};
use jiff::civil::{Date, date};
use prost::Message;

/// The day all targets believe it is.
pub const TODAY: Date = date(2026, 11, 1);

/// Small, so that reaching a limit is as likely as staying below it.
const LIMITS: Limits = Limits {
    input_bytes: 1 << 20,
    inflate_ratio: 50,
    record_bytes: 4096,
    text_bytes: 512,
    depth: 12,
    entry_bytes: 8192,
    sort_bytes: 2048,
};

const MAPPING: &str = r#"
separator = ";"
dates = ["%Y-%m-%d", "%d/%m/%Y", "%Y"]
id = "id"
[[name]]
whole = "name"
[[birth]]
column = "born"
[[document]]
class = "passport"
number = "passport"
issuer = "country"
"#;

/// Normalises a subject. Bounded, without duplicates, nothing empty, and in the same way each time.
pub fn check_subject(subject: &Subject) {
    let derived = derive(subject, TODAY);
    assert!(derived.identifiers.len() <= MAX_IDENTIFIERS);
    assert!(
        derived.identifiers.is_sorted_by(|a, b| a < b),
        "sorted and different"
    );
    for identifier in &derived.identifiers {
        assert!((1..65_536).contains(&identifier.canonical().len()));
        assert!(identifier.oprf_input().len() < 65_536);
    }
    assert!(derived == derive(subject, TODAY));
}

/// Reads a list to its end: every record is accounted for, every entry can be normalised.
pub fn read_list<'a>(format: Format, inputs: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
    let spill = Spill {
        folder: std::env::temp_dir(),
        key: [7; 32].into(),
    };
    let options = Options::new(TODAY).with_limits(LIMITS).with_spill(spill);
    let mapping = (format == Format::Csv).then(|| MAPPING.parse().expect("the mapping is valid"));
    let options = match mapping {
        Some(mapping) => options.with_mapping(mapping),
        None => options,
    };
    read(format, inputs, &options);
}

/// Reads a CSV list under a mapping.
pub fn read_mapped(mapping: Mapping, bytes: &[u8]) {
    let options = Options::new(TODAY).with_limits(LIMITS).with_mapping(mapping);
    read(Format::Csv, [("list", bytes)], &options);
}

fn read<'a>(format: Format, inputs: impl IntoIterator<Item = (&'a str, &'a [u8])>, options: &Options) {
    let inputs: Vec<Input> = inputs
        .into_iter()
        .map(|(name, bytes)| Input::new(name, Cursor::new(bytes.to_vec())))
        .collect();
    let Ok(mut reader) = open(format, inputs, options) else {
        return;
    };
    for item in reader.by_ref() {
        match item {
            Ok(Item::Entry(entry)) => check_subject(&entry.subject),
            Ok(Item::Reject(reject)) => assert!(!reject.reason.is_empty()),
            Err(_) => break,
        }
    }
    let summary = reader.summary();
    let skipped: u64 = summary.skipped.values().sum();
    assert_eq!(
        summary.records,
        summary.entries + summary.rejected_records + skipped,
        "nothing is dropped silently"
    );
    assert!(reader.next().is_none(), "after the end there is nothing");
}

/// Decodes a message; what is decoded is encoded and decoded to the same.
pub fn decoded<M: Message + Default + PartialEq>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    let again = M::decode(message.encode_to_vec().as_slice()).ok();
    assert!(again.as_ref() == Some(&message));
    Some(message)
}
