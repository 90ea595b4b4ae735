//! What the tests share: stores in temporary folders with a fixed generator, fictional records.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests"
)]

pub mod cases;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use concordat_store::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tempfile::TempDir;
use zeroize::Zeroizing;

pub const PASSPORT: u8 = 1;
pub const PERSON: u8 = 2;

/// A folder with a database, opened again as often as a test likes.
pub struct Home {
    pub folder: TempDir,
    opened: std::cell::Cell<u64>,
}

impl Home {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            opened: std::cell::Cell::new(0),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("node.db")
    }

    pub async fn open(&self) -> Store {
        self.try_open([7; 32]).await.unwrap()
    }

    pub async fn try_open(&self, master_key: [u8; 32]) -> Result<Store> {
        self.opened.set(self.opened.get() + 1);
        Store::open(options(&self.path(), master_key, self.opened.get())).await
    }

    /// Every byte of the database, its log and whatever else lies beside it.
    pub fn bytes_on_disk(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        bytes
    }
}

pub fn options(path: &Path, master_key: [u8; 32], seed: u64) -> StoreOptions {
    StoreOptions {
        path: path.to_owned(),
        master_key: MasterKey::new(master_key),
        // A generator must never repeat itself between two openings: nonces come from it.
        rng: Box::new(ChaCha20Rng::seed_from_u64(seed)),
        readers: 1,
    }
}

pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

pub fn identifier(kind: u8, canonical: &str) -> IdentifierRow {
    IdentifierRow {
        kind,
        rule: kind * 10,
        grade: 0,
        variant: false,
        canonical: Zeroizing::new(canonical.as_bytes().to_vec()),
    }
}

pub fn variant(kind: u8, canonical: &str) -> IdentifierRow {
    IdentifierRow {
        variant: true,
        grade: 1,
        ..identifier(kind, canonical)
    }
}

/// A record whose content is its identifiers.
pub fn record(source_id: &str, identifiers: Vec<IdentifierRow>) -> NewRecord {
    let mut payload = source_id.as_bytes().to_vec();
    let mut digest = [0_u8; 32];
    for row in &identifiers {
        payload.extend_from_slice(b"|");
        payload.extend_from_slice(&row.canonical);
    }
    for (index, byte) in payload.iter().enumerate() {
        let place = index % 32;
        digest[place] = digest[place].wrapping_mul(31).wrapping_add(*byte).rotate_left(3);
    }
    NewRecord {
        source_id: source_id.to_owned(),
        digest,
        payload: Zeroizing::new(payload),
        identifiers,
        authors: Vec::new(),
    }
}

pub fn passports(source_id: &str, numbers: &[&str]) -> NewRecord {
    record(
        source_id,
        numbers
            .iter()
            .map(|number| identifier(PASSPORT, number))
            .collect(),
    )
}

pub fn selection(lists: &[ListId], kind: u8) -> Selection {
    Selection {
        lists: lists.to_vec(),
        kind,
        variants: true,
    }
}

/// Every visible identifier of a selection as text, in the order of the pages.
pub async fn canonicals(store: &Store, selection: &Selection) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.identifiers_page(selection, cursor, 3).await.unwrap();
        let Some(last) = page.last() else { return all };
        cursor = Some(last.blind_index);
        all.extend(page.iter().map(|row| text(&row.identifier)));
    }
}

pub fn text(row: &IdentifierRow) -> String {
    String::from_utf8(row.canonical.to_vec()).unwrap()
}

/// All dead rows gone; returns how many steps it took.
pub async fn purge(store: &Store) -> u64 {
    let mut steps = 0;
    while store.purge_step().await.unwrap() == Purged::Step {
        steps += 1;
        assert!(steps < 100_000, "purging does not end");
    }
    steps
}

/// A connection behind the store's back.
pub async fn raw(home: &Home) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path());
    sqlx::ConnectOptions::connect(&options).await.unwrap()
}

/// Counts rows through a connection of our own.
pub async fn rows(home: &Home, table: &'static str) -> i64 {
    let mut conn = raw(home).await;
    let text = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(text))
        .fetch_one(&mut conn)
        .await
        .unwrap()
}

/// Runs statements behind the store's back.
pub async fn tamper(home: &Home, sql: &'static str) {
    let mut conn = raw(home).await;
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    sqlx::Connection::close(conn).await.unwrap();
}

pub fn agreement(id: &str) -> NewAgreement {
    NewAgreement {
        id: id.to_owned(),
        digest: [3; 32],
        note: "text\n\n- signature\n".to_owned(),
        status: AgreementStatus::Active,
        partner: "agency-b".to_owned(),
        owns: true,
        asks: true,
    }
}

pub fn new_scope(epoch: u32, role: NewScopeRole) -> NewScope {
    NewScope {
        agreement_id: "a-1".to_owned(),
        offer_id: "passports".to_owned(),
        epoch,
        role,
        public_key: [epoch as u8; 32],
        key_note: "key statement".to_owned(),
        not_before_ms: 1_000,
        not_after_ms: 2_000,
    }
}

/// An owner scope of an agreement, ready for use.
pub async fn owner_scope(store: &Store) -> ScopeId {
    store.put_agreement(&agreement("a-1"), 0).await.unwrap();
    let role = NewScopeRole::Owner {
        seed: Zeroizing::new([0x5E; 32]),
    };
    store.create_scope(&new_scope(1, role), 0).await.unwrap()
}

pub async fn requester_scope(store: &Store) -> ScopeId {
    store.put_agreement(&agreement("a-1"), 0).await.unwrap();
    store
        .create_scope(&new_scope(1, NewScopeRole::Requester), 0)
        .await
        .unwrap()
}

/// A stand-in for the PRF: a tag that follows from scope and blind index.
pub fn tag_of(row: &IndexedIdentifier) -> KeptTag {
    let mut tag = row.blind_index.0;
    tag.reverse();
    KeptTag {
        blind_index: row.blind_index,
        tag,
    }
}

pub type Counts = BTreeMap<u8, u64>;

/// An entry of the ledger, of no particular meaning.
pub fn an_entry(kind: &'static str, exchange: Option<[u8; 16]>) -> NewEntry {
    NewEntry {
        at_ms: 1_000,
        kind,
        exchange,
        erase_day: Some(21_000),
        leaf: b"{leaf}".to_vec(),
        payload: b"sealed by the caller".to_vec(),
        key: Zeroizing::new([0x5A; 32]),
    }
}

/// For charges in tests that are not about the ledger.
pub fn unrecorded(_: usize, _: Progress) -> Option<NewEntry> {
    Some(an_entry("evaluation", None))
}

/// An exchange of agency-b; `id`, then when.
pub fn an_exchange(id: [u8; 16], at_ms: i64) -> Exchange {
    Exchange {
        id: uuid::Uuid::from_bytes(id),
        at_ms,
        partner: "agency-b".to_owned(),
        scope: None,
        purpose: "p".to_owned(),
        legal_basis: "l".to_owned(),
        elements: 1_024,
        asked: None,
    }
}
