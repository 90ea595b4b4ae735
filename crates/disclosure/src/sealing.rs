//! Sealing to an agency's disclosure key: HPKE (RFC 9180), base mode, so that TLS may end anywhere and only the other desk reads.
//!
//! KEM: X-Wing (X25519 with ML-KEM-768, code point 0x647a of draft-ietf-hpke-pq): what is recorded today does not open to a quantum
//! computer later, and is no weaker than X25519 if ML-KEM falls. KDF: HKDF-SHA256. AEAD: ChaCha20-Poly1305. HPKE's base mode does not
//! say who sealed: what is sealed is signed besides.

use std::fmt;

use concordat_ledger::Digest;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::document::{Bytes, sha256};
use crate::rule::{DISCLOSURE_KEY, Refused, UNSEALABLE};

/// An agency's private disclosure key: 32 random bytes. **Secret**: wiped when dropped, not shown by `Debug`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DisclosureKey([u8; 32]);

impl DisclosureKey {
    /// Takes 32 bytes from a random generator, or from where they were kept.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    fn private(&self) -> Result<<XWing as Kem>::PrivateKey, Refused> {
        <XWing as Kem>::PrivateKey::from_bytes(&self.0).map_err(|_| DISCLOSURE_KEY.refused())
    }

    /// The public half.
    ///
    /// # Errors
    /// [`DISCLOSURE_KEY`], in theory only: any 32 bytes are a key.
    pub fn public(&self) -> Result<DisclosurePublicKey, Refused> {
        let public = XWing::sk_to_pk(&self.private()?);
        Ok(DisclosurePublicKey(Bytes(public.to_bytes().to_vec())))
    }
}

impl fmt::Debug for DisclosureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DisclosureKey(redacted)")
    }
}

/// An agency's public disclosure key, 1,216 bytes. Requests, decisions and agreements name it by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DisclosurePublicKey(Bytes);

impl DisclosurePublicKey {
    /// Reads the bytes.
    ///
    /// # Errors
    /// [`DISCLOSURE_KEY`]; whoever gave them is to blame.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refused> {
        let key = Self(Bytes(bytes.to_vec()));
        key.public().map(|_| key)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.0
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        sha256(&self.0.0)
    }

    fn public(&self) -> Result<<XWing as Kem>::PublicKey, Refused> {
        <XWing as Kem>::PublicKey::from_bytes(&self.0.0).map_err(|_| DISCLOSURE_KEY.refused())
    }
}

/// What was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The encapsulated key, 1,120 bytes.
    pub key: Bytes,
    /// The ciphertext with its tag, 16 bytes longer than the plaintext.
    pub text: Bytes,
}

impl Sealed {
    /// SHA-256 of both parts.
    pub fn digest(&self) -> Digest {
        // The encapsulated key has one length, so the two cannot be cut elsewhere; `open` refuses others.
        sha256(&[self.key.0.as_slice(), &self.text.0].concat())
    }
}

/// Seals `text` to `to`. `info` says what it is, `about` what it belongs to: it opens with the same two only.
pub(crate) fn seal(
    to: &DisclosurePublicKey,
    info: &str,
    about: &[u8],
    text: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Sealed, Refused> {
    let (key, text) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        &to.public()?,
        info.as_bytes(),
        text,
        about,
        rng,
    )
    .map_err(|_| DISCLOSURE_KEY.refused())?;
    Ok(Sealed {
        key: Bytes(key.to_bytes().to_vec()),
        text: Bytes(text),
    })
}

/// Opens what [`seal`] made.
pub(crate) fn open(
    key: &DisclosureKey,
    info: &str,
    about: &[u8],
    sealed: &Sealed,
) -> Result<Zeroizing<String>, Refused> {
    let encapsulated =
        <XWing as Kem>::EncappedKey::from_bytes(&sealed.key.0).map_err(|_| UNSEALABLE.refused())?;
    let text = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeR::Base,
        &key.private()?,
        &encapsulated,
        info.as_bytes(),
        &sealed.text.0,
        about,
    )
    .map_err(|_| UNSEALABLE.refused())?;
    let text = String::from_utf8(text).map_err(|error| {
        let mut bytes = error.into_bytes();
        bytes.zeroize();
        UNSEALABLE.refused()
    })?;
    Ok(Zeroizing::new(text))
}
