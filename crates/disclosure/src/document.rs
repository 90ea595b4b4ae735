//! Documents: canonical JSON under a name that says what they are, so that the bytes of one kind are never those of another.

use concordat_ledger::{Digest, Hex, canonical};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::rule::{MALFORMED, Refused, TOO_LARGE};

/// A kind of document. Its bytes are `{"body":{…},"kind":"concordat/v1/…"}`, RFC 8785.
pub trait Document: Serialize + DeserializeOwned {
    /// Its name.
    const KIND: &'static str;
    /// The most bytes it may have.
    const MAX_BYTES: usize = 256 << 10;

    /// The bytes that are kept, sent, shown and signed.
    ///
    /// # Errors
    /// [`TOO_LARGE`] if it has more than [`MAX_BYTES`](Self::MAX_BYTES); [`MALFORMED`] if a number in it is above 2^53 - 1.
    fn encode(&self) -> Result<String, Refused> {
        let envelope = Envelope {
            kind: Self::KIND.into(),
            body: self,
        };
        let text = canonical::to_string(&envelope).ok_or_else(|| MALFORMED.refused())?;
        TOO_LARGE.unless(text.len() <= Self::MAX_BYTES)?;
        Ok(text)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`MALFORMED`] unless it is this kind and written in the one way; [`TOO_LARGE`].
    fn decode(text: &str) -> Result<Self, Refused> {
        TOO_LARGE.unless(text.len() <= Self::MAX_BYTES)?;
        let envelope: Envelope<Self> = canonical::parse(text).ok_or_else(|| MALFORMED.refused())?;
        MALFORMED.unless_at("kind", envelope.kind == Self::KIND)?;
        Ok(envelope.body)
    }

    /// SHA-256 of [`encode`](Self::encode).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn digest(&self) -> Result<Digest, Refused> {
        Ok(sha256(self.encode()?.as_bytes()))
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    body: T,
    kind: std::borrow::Cow<'static, str>,
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Hex(Sha256::digest(bytes).into())
}

/// Bytes of any length that are written in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

/// Upper case is read and then refused by [`Document::decode`], which writes it again.
impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::decode(String::deserialize(deserializer)?)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("expected hexadecimal"))
    }
}
