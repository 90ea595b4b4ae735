//! What several tests need.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and says so when it skips"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use concordat_ledger::*;
use concordat_note::SigningKey;
use jiff::{Timestamp, ToSpan};

pub const NOW: &str = "2026-11-22T08:00:00Z";

pub fn key() -> SigningKey {
    SigningKey::from_seed("police.example/aa/ledger", &[7; 32]).unwrap()
}

pub fn witness() -> SigningKey {
    SigningKey::from_seed("police.example/bb", &[8; 32]).unwrap()
}

pub fn keys() -> Keys {
    Keys::of(key().verifier())
}

pub fn now() -> AuditOptions {
    AuditOptions {
        now: NOW.parse().unwrap(),
        leaves: true,
    }
}

pub fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub fn person(id: &str) -> Person {
    Person {
        id: text(id),
        unit: None,
    }
}

pub fn scope() -> Scope {
    Scope {
        agreement: text("2026/014"),
        offer: text("passports"),
        epoch: 3,
    }
}

pub fn why() -> Why {
    Why {
        purpose: text("terrorism"),
        legal_basis: text("Art. 5"),
        case_reference: text("C-2026-0815"),
    }
}

pub fn stated() -> Stated {
    Stated {
        purpose: text("terrorism"),
        legal_basis: text("Art. 5"),
    }
}

pub fn exchange(n: u64) -> ExchangeId {
    let mut id = [0xE0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    Hex(id)
}

pub fn at(n: u64) -> Timestamp {
    let start: Timestamp = "2026-11-21T20:15:00.250Z".parse().unwrap();
    start + (n as i64).seconds()
}

pub fn query(n: u64) -> Entry {
    let query = Query {
        exchange: exchange(n),
        step: 0,
        by: person("officer-4711"),
        ordered_by: person("lead-12"),
        why: why(),
        partner: text("police.example/bb"),
        scope: scope(),
        elements: 1024,
        items: 300,
        transcript: Hex([n as u8; 32]),
        interrupted: false,
        identifiers: None,
        verdicts: VerdictCounts {
            hit: 1,
            no_hit: 299,
            unknown: 0,
        },
    };
    Entry::new(at(n), query)
}

pub fn evaluation(n: u64) -> Entry {
    let evaluation = Evaluation {
        exchange: exchange(n),
        step: 0,
        partner: text("police.example/aa"),
        stated: stated(),
        scope: scope(),
        elements: 1024,
        transcript: Hex([n as u8; 32]),
    };
    Entry::new(at(n), evaluation)
}

pub fn entry_key(n: u64) -> EntryKey {
    let mut key = [0x5A; 32];
    key[..8].copy_from_slice(&n.to_be_bytes());
    EntryKey::new(key)
}

pub fn seal(n: u64, entry: &Entry) -> SealedEntry {
    SealedEntry::seal(entry, Retention::ThreeYears, &entry_key(n)).unwrap()
}

pub fn leaves(range: std::ops::Range<u64>) -> Vec<Leaf> {
    range.map(|n| seal(n, &query(n)).leaf).collect()
}

/// A log of `size` queries, published in batches that end at the sizes given; its folder and every checkpoint it ever signed.
pub struct Written {
    pub dir: tempfile::TempDir,
    pub checkpoints: Vec<SignedCheckpoint>,
}

pub fn write(sizes: &[u64]) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(Folder::create(dir.path()).unwrap(), key().verifier()).unwrap();
    let mut checkpoints = Vec::new();
    for &size in sizes {
        let leaves = leaves(log.size()..size);
        checkpoints.push(log.append(&leaves, &key()).unwrap().clone());
    }
    Written { dir, checkpoints }
}

impl Written {
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(self.dir.path())
    }
}

/// All files of a log, in memory.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(relative) = dirs.pop() {
        for entry in fs::read_dir(dir.join(&relative)).unwrap() {
            let path = relative.join(entry.unwrap().file_name());
            if dir.join(&path).is_dir() {
                dirs.push(path);
            } else if path != Path::new(".lock") {
                let name = path.to_str().unwrap().to_owned();
                files.insert(name, fs::read(dir.join(&path)).unwrap());
            }
        }
    }
    files
}

/// The folder with public test data, if there is one.
pub fn real_data() -> Option<PathBuf> {
    let found = std::env::var_os("CONCORDAT_REAL_DATA").map(PathBuf::from);
    if found.is_none() {
        eprintln!("SKIPPED: CONCORDAT_REAL_DATA is not set, so the published vectors are not read");
    }
    found
}

/// The whole log as bytes of leaves, in memory, for rebuilding it otherwise.
pub fn entries(files: &BTreeMap<String, Vec<u8>>, size: u64) -> Vec<Vec<u8>> {
    let mut reader = TileReader::new(files, size);
    (0..size).map(|index| reader.entry(index).unwrap()).collect()
}

/// The files of a log of these entries, without checkpoint.
pub fn rebuild(entries: &[Vec<u8>]) -> (BTreeMap<String, Vec<u8>>, RightEdge) {
    let mut files = BTreeMap::new();
    let mut edge = RightEdge::new();
    for entry in entries {
        edge.push(Hash::leaf(entry), |path, hashes| {
            files.insert(path.to_string(), encode_hashes(hashes));
        });
    }
    for (path, hashes) in edge.partial_tiles() {
        files.insert(path.to_string(), encode_hashes(hashes));
    }
    for (number, bundle) in entries.chunks(256).enumerate() {
        let first = number as u64 * 256;
        let path = TilePath::bundle(first, entries.len() as u64).unwrap();
        files.insert(path.to_string(), encode_bundle(bundle).unwrap());
    }
    (files, edge)
}
