//! Attachments of up to 50 MiB, sealed in parts of 256 KiB that can be sent again, in any order, until all have arrived.
//!
//! ```text
//! part i = ChaCha20-Poly1305(key, nonce = 0^7 ‖ last(1) ‖ i (4, big-endian), aad = "concordat/v1/attachment\n" ‖ id (16))
//! ```
//! The key is random, of one attachment, and travels in the sealed message; the construction is STREAM's (Hoang, Reyhanitabar, Rogaway,
//! Vizár 2015): a part that is cut off, moved or another's does not open. The manifest names each sealed part by its SHA-256, so a store
//! checks parts without the key.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use concordat_ledger::{Digest, Hex, Text};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::document::sha256;
use crate::rule::{ATTACHMENT_CHUNK, ATTACHMENT_SIZE, Refused};
use crate::text::Words;

/// The largest attachment, in bytes.
pub const MAX_ATTACHMENT_BYTES: u64 = 50 << 20;
/// What one part holds, in bytes; the last may hold less.
pub const PART_BYTES: usize = 256 << 10;
const TAG_BYTES: usize = 16;

/// An attachment's key: 32 random bytes, of this attachment alone. Not shown by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AttachmentKey([u8; 32]);

impl AttachmentKey {
    /// Takes 32 bytes from a random generator.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    fn aead(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&self.0.into())
    }
}

impl fmt::Debug for AttachmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttachmentKey(redacted)")
    }
}

/// Written only within a message that is sealed.
impl Serialize for AttachmentKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Hex(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AttachmentKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Hex::deserialize(deserializer).map(|Hex(bytes)| Self(bytes))
    }
}

/// What an attachment is, and what its parts are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 16 random bytes.
    pub id: Hex<16>,
    /// Its key.
    pub key: AttachmentKey,
    /// The file's name, as it is shown; never a path to write to.
    pub name: Words,
    /// The media type, as the sender states it.
    pub media_type: Text,
    /// Its size in bytes: 1 to [`MAX_ATTACHMENT_BYTES`].
    pub bytes: u64,
    /// SHA-256 of the whole.
    pub sha256: Digest,
    /// SHA-256 of each sealed part, in order.
    pub parts: Vec<Digest>,
}

impl Manifest {
    /// How many parts an attachment of this size has.
    ///
    /// # Errors
    /// [`ATTACHMENT_SIZE`].
    pub fn count(bytes: u64) -> Result<u32, Refused> {
        ATTACHMENT_SIZE.unless((1..=MAX_ATTACHMENT_BYTES).contains(&bytes))?;
        u32::try_from(bytes.div_ceil(PART_BYTES as u64)).map_err(|_| ATTACHMENT_SIZE.refused())
    }

    /// Checks sizes: before anything is fetched or written.
    ///
    /// # Errors
    /// [`ATTACHMENT_SIZE`]; the sender is to blame.
    pub fn check(&self) -> Result<(), Refused> {
        let count = Self::count(self.bytes)?;
        let name = self.name.as_str();
        let plain = name.len() <= 255 && !name.contains(['/', '\\']) && name != "." && name != "..";
        ATTACHMENT_SIZE.unless_at("name", plain)?;
        ATTACHMENT_SIZE.unless_at("parts", usize::try_from(count) == Ok(self.parts.len()))
    }

    fn length(&self, part: u32) -> Option<usize> {
        let start = u64::from(part) * PART_BYTES as u64;
        let left = self.bytes.checked_sub(start).filter(|left| *left > 0)?;
        Some(usize::try_from(left).map_or(PART_BYTES, |left| left.min(PART_BYTES)))
    }

    /// Checks a sealed part as it arrives, without opening it.
    ///
    /// # Errors
    /// [`ATTACHMENT_CHUNK`]: ask for it again.
    pub fn check_part(&self, part: u32, sealed: &[u8]) -> Result<(), Refused> {
        let fits = self
            .length(part)
            .is_some_and(|length| sealed.len() == length + TAG_BYTES);
        let named = usize::try_from(part).ok().and_then(|part| self.parts.get(part));
        ATTACHMENT_CHUNK.unless(fits && named == Some(&sha256(sealed)))
    }

    /// Opens a part.
    ///
    /// # Errors
    /// [`ATTACHMENT_CHUNK`], [`ATTACHMENT_SIZE`].
    pub fn open_part(&self, part: u32, sealed: &[u8]) -> Result<Vec<u8>, Refused> {
        self.check()?;
        self.check_part(part, sealed)?;
        let last = self.parts.len() as u64 == u64::from(part) + 1;
        let (nonce, aad) = place(&self.id, part, last);
        let payload = Payload {
            msg: sealed,
            aad: &aad,
        };
        let opened = self.key.aead().decrypt(&nonce.into(), payload);
        opened.map_err(|_| ATTACHMENT_CHUNK.refused())
    }
}

/// Seals part `part` of an attachment of `bytes` bytes. `text` is what it holds: [`PART_BYTES`], or what is left in the last.
///
/// # Errors
/// [`ATTACHMENT_SIZE`], [`ATTACHMENT_CHUNK`]; the caller is to blame.
pub fn seal_part(
    id: &Hex<16>,
    key: &AttachmentKey,
    bytes: u64,
    part: u32,
    text: &[u8],
) -> Result<Vec<u8>, Refused> {
    let count = Manifest::count(bytes)?;
    let start = u64::from(part) * PART_BYTES as u64;
    let left = bytes.saturating_sub(start).min(PART_BYTES as u64);
    ATTACHMENT_CHUNK.unless(part < count && text.len() as u64 == left)?;
    let (nonce, aad) = place(id, part, part + 1 == count);
    let payload = Payload { msg: text, aad: &aad };
    let sealed = key.aead().encrypt(&nonce.into(), payload);
    sealed.map_err(|_| ATTACHMENT_CHUNK.refused())
}

fn place(id: &Hex<16>, part: u32, last: bool) -> ([u8; 12], Vec<u8>) {
    let mut nonce = [0; 12];
    nonce[7] = u8::from(last);
    nonce[8..].copy_from_slice(&part.to_be_bytes());
    (nonce, [b"concordat/v1/attachment\n".as_slice(), &id.0].concat())
}
