//! Ledgers as agencies leave them to an auditor.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::path::Path;

use concordat_ledger::{
    Bundle, Entry, EntryKey, Folder, Log, Opening, Person, Retention, SealedEntry, SignIn, SignedCheckpoint,
    Text,
};
use concordat_note::SigningKey;

use crate::common::{Ran, concordat};

pub fn key(seed: u8, name: &str) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).expect("a key")
}

pub fn entry(number: u8) -> (SealedEntry, EntryKey) {
    let entry = Entry::new(
        jiff::Timestamp::from_second(1_795_000_000).expect("a time"),
        SignIn {
            by: Person {
                id: Text::new(format!("officer-{number}")).expect("a text"),
                unit: None,
            },
            method: Text::new("client certificate").expect("a text"),
            role: Text::new("officer").expect("a text"),
        },
    );
    let key = EntryKey::new([number; 32]);
    (
        SealedEntry::seal(&entry, Retention::ThreeYears, &key).expect("sealed"),
        key,
    )
}

/// A log of `size` entries in `folder`, cosigned by a partner; gives its newest checkpoint.
pub fn write(folder: &Path, size: u8) -> SignedCheckpoint {
    let (own, partner) = (key(7, "aa/ledger"), key(8, "bb"));
    let mut log = Log::open(Folder::create(folder).expect("a folder"), own.verifier()).expect("a log");
    let leaves: Vec<_> = (log.size() as u8..size)
        .map(|number| entry(number).0.leaf)
        .collect();
    let mut checkpoint = log.append(&leaves, &own).expect("appended").clone();
    checkpoint.cosign(&partner, 1_795_000_100).expect("cosigned");
    log.cosigned(&checkpoint, &[partner.verifier().cosigner()])
        .expect("kept");
    checkpoint
}

pub fn audit<'a>(args: impl IntoIterator<Item = &'a str>) -> Ran {
    let words = ["audit"].into_iter().chain(args);
    Ran::from(concordat(words).output().expect("it runs"))
}

/// A decision document, approved by two people with passkeys and one with a file key; as the ledger holds it.
pub fn decision() -> (&'static str, concordat_ledger::Decision) {
    use concordat_disclosure::software_passkey::SoftwarePasskey;
    use concordat_disclosure::{Document, FileKey, RelyingParty};
    use concordat_ledger::{Approved, CaseStep, Console, Hex, Outcome, Side, Stated};
    // What matters here is that these bytes, and no others, were signed.
    let document =
        r#"{"body":{"released":[{"field":"b","values":["Example"]}]},"kind":"concordat/v1/decision"}"#;
    let digest = Hex(<sha2::Sha256 as sha2::Digest>::digest(document).into());
    let text = |text: &str| Text::new(text).expect("a text");
    let person = |id: &str| Person {
        id: text(id),
        unit: None,
    };
    let origin = text("https://console.bb.example");
    let console = RelyingParty {
        id: text("bb.example"),
        origins: [origin.clone()].into(),
    };
    let mut keys = [[1; 32], [2; 32]].map(|secret| SoftwarePasskey::new(&secret).expect("a key"));
    let mut sign = |key: usize, id: &str| keys[key].approve(&text(id), &digest, &console).expect("signed");
    let approvals = [
        sign(0, "anna"),
        sign(1, "ben"),
        FileKey::from_seed(&[3; 32]).approve(&text("cleo"), &digest),
    ];
    let approvals = approvals.map(|approval| Approved {
        by: person(approval.officer.as_str()),
        approval: approval.encode().expect("canonical"),
    });
    let decision = concordat_ledger::Decision {
        step: CaseStep {
            exchange: Hex([1; 16]),
            case: Hex([2; 16]),
            side: Side::Owner,
            step: 7,
            digest: Hex([3; 32]),
        },
        by: person("anna"),
        partner: text("aa"),
        outcome: Outcome::Released,
        stated: Stated {
            purpose: text("FUGITIVE"),
            legal_basis: text("Art. 26"),
        },
        ground: None,
        request: Hex([4; 32]),
        document: digest,
        approvals: approvals.into(),
        console: Console {
            id: text("bb.example"),
            origins: vec![origin],
        },
    };
    (document, decision)
}

/// A bundle in `folder` that opens an entry with this decision; gives its path and the key of its log.
pub fn bundle_of(folder: &Path, decision: concordat_ledger::Decision) -> (String, String) {
    let own = key(7, "bb/ledger");
    let at = jiff::Timestamp::from_second(1_795_000_000).expect("a time");
    let (entry, entry_key) = (Entry::new(at, decision), EntryKey::new([9; 32]));
    let sealed = SealedEntry::seal(&entry, Retention::ThreeYears, &entry_key).expect("sealed");
    let log_folder = tempfile::tempdir_in(folder).expect("a folder");
    let mut log = Log::open(
        Folder::create(log_folder.path()).expect("a folder"),
        own.verifier(),
    )
    .expect("a log");
    let checkpoint = log.append([&sealed.leaf], &own).expect("appended").clone();
    let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, &entry_key).expect("it opens");
    let bundle = Bundle::new(log.source(), 0, &checkpoint, Some(opening)).expect("a bundle");
    let path = folder.join("decision.bundle");
    std::fs::write(&path, bundle.to_string()).expect("written");
    (
        path.to_str().expect("text").to_owned(),
        own.verifier().to_string(),
    )
}

/// Writes entries as `audit open --export` does.
pub fn export(path: &str, entries: &[(u64, u8)]) {
    let entries: Vec<_> = entries
        .iter()
        .map(|(number, who)| (*number, entry(*who)))
        .collect();
    export_sealed(path, entries.iter().map(|(number, sealed)| (*number, sealed)));
}

pub fn export_sealed<'a>(path: &str, entries: impl Iterator<Item = (u64, &'a (SealedEntry, EntryKey))>) {
    let lines = entries.map(|(number, (sealed, key))| {
        let leaf = String::from_utf8(sealed.leaf.encode(number)).expect("text");
        let opening = Opening::unseal(&sealed.leaf, &sealed.sealed, key).expect("it opens");
        format!(
            "{}\n",
            serde_json::json!({ "number": number, "leaf": leaf, "opening": opening.encode().expect("text") })
        )
    });
    std::fs::write(path, lines.collect::<String>()).expect("written");
}

/// Seals what happened at that time.
pub fn sealed(at: &str, event: impl Into<concordat_ledger::Event>) -> (SealedEntry, EntryKey) {
    let entry = Entry::new(at.parse().expect("a time"), event);
    let key = EntryKey::new([9; 32]);
    (
        SealedEntry::seal(&entry, Retention::ThreeYears, &key).expect("sealed"),
        key,
    )
}

/// Appends to the log in `folder` what is not in it yet.
pub fn write_sealed(
    folder: &Path,
    own: &SigningKey,
    entries: &[(SealedEntry, EntryKey)],
) -> SignedCheckpoint {
    let mut log = Log::open(Folder::create(folder).expect("a folder"), own.verifier()).expect("a log");
    let new = &entries[log.size() as usize..];
    let leaves: Vec<_> = new.iter().map(|(sealed, _)| sealed.leaf.clone()).collect();
    log.append(&leaves, own).expect("appended").clone()
}

pub fn erasure(at: &str, erased: std::ops::Range<u64>, order: Option<&str>) -> (SealedEntry, EntryKey) {
    let erasure = concordat_ledger::Erasure {
        by: concordat_ledger::Actor::Node,
        erased: concordat_ledger::Ranges::take(&mut erased.peekable()).expect("entries"),
        order: order.map(|order| Text::new(order).expect("a text")),
    };
    sealed(at, erasure)
}
