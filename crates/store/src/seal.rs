//! Sealing at rest: what is secret in a row, and how it is found again.
//!
//! ```text
//! master key ──seals──▶ data key ──HKDF-SHA256──▶ AEAD key         XChaCha20-Poly1305, per value
//!  (a file)              (in meta)             ├─▶ blind index key  HMAC-SHA256, first 16 bytes
//!                                              └─▶ digest key       HMAC-SHA256, first 16 bytes
//! ```
//! A sealed value is `nonce (24) ‖ ciphertext ‖ tag (16)`. Its associated data name its place: table, column and
//! the row's key, each with its length before it, so a value copied to another place does not open.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::types::BlindIndex;
use crate::{Result, StoreError};

/// Bytes of an XChaCha20 nonce: long enough to be drawn at random for every value.
pub(crate) type Nonce = [u8; 24];

const DATA_KEY_CELL: Cell<'static> = Cell {
    table: "meta",
    column: "value",
    key: &[b"data_key"],
};

/// The key that seals the data key. It is kept outside of the database, and wiped from memory when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// Takes the key's 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Takes the key from the content of a file or a variable.
    ///
    /// # Errors
    /// [`StoreError::MasterKeyLength`] unless there are exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let found = bytes.len();
        let key = bytes
            .try_into()
            .map_err(|_| StoreError::MasterKeyLength { found })?;
        Ok(Self(key))
    }

    pub(crate) fn seal_data_key(&self, data_key: &DataKey, nonce: &Nonce) -> Result<Vec<u8>> {
        seal(
            &XChaCha20Poly1305::new(&self.0.into()),
            &DATA_KEY_CELL,
            nonce,
            &data_key.0,
        )
    }

    pub(crate) fn open_data_key(&self, sealed: &[u8]) -> Result<DataKey> {
        let opened = open(&XChaCha20Poly1305::new(&self.0.into()), &DATA_KEY_CELL, sealed);
        let bytes = opened.map_err(|_| StoreError::WrongMasterKey)?;
        let key = bytes.as_slice().try_into();
        Ok(DataKey(
            key.map_err(|_| StoreError::Corrupt { what: "data key" })?,
        ))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

/// The key under which everything else is sealed. It lives as long as the database; the master key may change.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct DataKey(pub(crate) [u8; 32]);

/// The place of a sealed value.
pub(crate) struct Cell<'a> {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    /// What names the row, in parts.
    pub(crate) key: &'a [&'a [u8]],
}

impl Cell<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(96);
        put_part(&mut data, self.table.as_bytes());
        put_part(&mut data, self.column.as_bytes());
        for part in self.key {
            put_part(&mut data, part);
        }
        data
    }

    fn refused(&self) -> StoreError {
        StoreError::Sealed {
            table: self.table,
            column: self.column,
        }
    }
}

/// The data key at work.
pub(crate) struct Sealer {
    data_key: DataKey,
    aead: XChaCha20Poly1305,
    blind_index: Hmac<Sha256>,
    digest: Hmac<Sha256>,
}

impl Sealer {
    pub(crate) fn new(data_key: DataKey) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, &data_key.0);
        let sub_key = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            #[expect(
                clippy::expect_used,
                reason = "HKDF-SHA256 fails above 8160 bytes of output, this is 32"
            )]
            hkdf.expand(info, key.as_mut())
                .expect("32 bytes are within HKDF's limit");
            key
        };
        Self {
            aead: XChaCha20Poly1305::new(&(*sub_key(b"concordat-store/1 aead")).into()),
            blind_index: keyed_hash(&sub_key(b"concordat-store/1 blind index")),
            digest: keyed_hash(&sub_key(b"concordat-store/1 digest")),
            data_key,
        }
    }

    /// The data key under another master key.
    pub(crate) fn reseal(&self, master: &MasterKey, nonce: &Nonce) -> Result<Vec<u8>> {
        master.seal_data_key(&self.data_key, nonce)
    }

    pub(crate) fn seal(&self, cell: &Cell<'_>, nonce: &Nonce, plain: &[u8]) -> Result<Vec<u8>> {
        seal(&self.aead, cell, nonce, plain)
    }

    pub(crate) fn open(&self, cell: &Cell<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        open(&self.aead, cell, sealed)
    }

    /// The blind index of an identifier.
    pub(crate) fn blind_index(&self, kind: u8, rule: u8, canonical: &[u8]) -> BlindIndex {
        let mut mac = self.blind_index.clone();
        mac.update(&[kind, rule]);
        mac.update(canonical);
        BlindIndex(first_16(mac))
    }

    /// A digest that tells equal from different, and nothing to someone without the data key.
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut text = Vec::with_capacity(96);
        for part in parts {
            put_part(&mut text, part);
        }
        let mut mac = self.digest.clone();
        mac.update(&text);
        first_16(mac)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(redacted)")
    }
}

/// The place of an identifier's canonical bytes. Its blind index names it: it is a keyed digest of kind, rule and
/// canonical bytes, so the only other place where the value opens is a row that holds the same identifier.
pub(crate) fn identifier_cell<'a>(key: &'a [&'a [u8]; 1]) -> Cell<'a> {
    Cell {
        table: "identifier",
        column: "sealed",
        key,
    }
}

fn seal(aead: &XChaCha20Poly1305, cell: &Cell<'_>, nonce: &Nonce, plain: &[u8]) -> Result<Vec<u8>> {
    let aad = cell.associated_data();
    let payload = Payload {
        msg: plain,
        aad: &aad,
    };
    let sealed = aead.encrypt(&XNonce::from(*nonce), payload);
    let sealed = sealed.map_err(|_| cell.refused())?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(aead: &XChaCha20Poly1305, cell: &Cell<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let (nonce, msg) = sealed.split_first_chunk::<24>().ok_or_else(|| cell.refused())?;
    let aad = cell.associated_data();
    let plain = aead.decrypt(&XNonce::from(*nonce), Payload { msg, aad: &aad });
    plain.map(Zeroizing::new).map_err(|_| cell.refused())
}

fn put_part(text: &mut Vec<u8>, part: &[u8]) {
    text.extend_from_slice(&(part.len() as u64).to_be_bytes());
    text.extend_from_slice(part);
}

fn keyed_hash(key: &[u8; 32]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn first_16(mac: Hmac<Sha256>) -> [u8; 16] {
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let mut first = [0; 16];
    first.copy_from_slice(&full[..16]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(DataKey([7; 32]))
    }

    const HERE: Cell<'static> = Cell {
        table: "t",
        column: "c",
        key: &[b"ab", b"c"],
    };

    #[test]
    fn opens_only_in_its_place() {
        let sealer = sealer();
        let sealed = sealer.seal(&HERE, &[1; 24], b"canonical").unwrap();
        assert_eq!(sealer.open(&HERE, &sealed).unwrap().as_slice(), b"canonical");
        let elsewhere: [Cell<'_>; 4] = [
            Cell { table: "u", ..HERE },
            Cell { column: "d", ..HERE },
            Cell {
                key: &[b"a", b"bc"],
                ..HERE
            },
            Cell {
                key: &[b"ab"],
                ..HERE
            },
        ];
        for cell in elsewhere {
            assert!(matches!(
                sealer.open(&cell, &sealed),
                Err(StoreError::Sealed { .. })
            ));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let sealer = sealer();
        let sealed = sealer.seal(&HERE, &[1; 24], b"x").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(&HERE, &bad).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(sealer.open(&HERE, &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn another_data_key_opens_nothing_and_indexes_otherwise() {
        let (ours, other) = (sealer(), Sealer::new(DataKey([8; 32])));
        let sealed = ours.seal(&HERE, &[1; 24], b"x").unwrap();
        assert!(other.open(&HERE, &sealed).is_err());
        assert_ne!(ours.blind_index(1, 1, b"x"), other.blind_index(1, 1, b"x"));
        assert_ne!(ours.digest(&[b"x"]), other.digest(&[b"x"]));
    }

    #[test]
    fn blind_indexes_tell_kind_rule_and_content_apart() {
        let sealer = sealer();
        let index = sealer.blind_index(1, 2, b"abc");
        assert_eq!(index, sealer.blind_index(1, 2, b"abc"));
        for other in [(2, 2, &b"abc"[..]), (1, 3, b"abc"), (1, 2, b"abd"), (1, 2, b"")] {
            assert_ne!(index, sealer.blind_index(other.0, other.1, other.2));
        }
        assert_ne!(sealer.digest(&[b"ab", b"c"]), sealer.digest(&[b"a", b"bc"]));
    }

    #[test]
    fn a_master_key_opens_what_it_sealed_and_nothing_else() {
        let sealed = MasterKey::new([1; 32])
            .seal_data_key(&DataKey([9; 32]), &[0; 24])
            .unwrap();
        assert_eq!(MasterKey::new([1; 32]).open_data_key(&sealed).unwrap().0, [9; 32]);
        let wrong = MasterKey::new([2; 32]).open_data_key(&sealed);
        assert!(matches!(wrong, Err(StoreError::WrongMasterKey)));
        assert!(matches!(
            MasterKey::from_slice(&[0; 31]),
            Err(StoreError::MasterKeyLength { found: 31 })
        ));
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?} {:?}", MasterKey::new([0xAB; 32]), sealer());
        assert!(
            !shown.contains("171") && !shown.to_lowercase().contains("ab, "),
            "{shown}"
        );
        assert_eq!(shown, "MasterKey(redacted) Sealer(redacted)");
    }
}
