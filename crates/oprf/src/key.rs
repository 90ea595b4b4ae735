//! The keys of a scope.

use std::fmt;
use std::hash::{Hash, Hasher};

use concordat_lanes::{ELEMENT_BYTES, FixedBase, Point, Scalar};

use crate::suite::{Suite, VOPRF, two_bytes};
use crate::{DeriveError, MAX_INPUT_BYTES, PublicKeyError};

/// The public half of a [`KeyPair`]: a valid element, not the identity. Public, printed in hexadecimal.
#[derive(Clone, Copy)]
pub struct PublicKey {
    point: Point,
    bytes: [u8; ELEMENT_BYTES],
}

impl PublicKey {
    /// Reads a key that somebody published (DeserializeElement, RFC 9497 §4.1).
    ///
    /// That it is an element does not make it anybody's key: where it comes from must be checked before it is pinned.
    ///
    /// # Errors
    /// When the bytes are no canonical encoding, or the identity.
    pub fn from_bytes(bytes: &[u8; ELEMENT_BYTES]) -> Result<Self, PublicKeyError> {
        let point = Point::decode(bytes).map_err(PublicKeyError)?;
        Ok(Self { point, bytes: *bytes })
    }

    /// The canonical encoding, 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; ELEMENT_BYTES] {
        &self.bytes
    }

    pub(crate) const fn point(&self) -> &Point {
        &self.point
    }

    fn of(secret: &Scalar) -> Self {
        let point = FixedBase::GENERATOR.mul(secret);
        Self {
            point,
            bytes: point.encode(),
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.point)
    }
}

/// The secret key of a scope with its public half. The secret is wiped when dropped, and never printed or exported.
///
/// **Whoever holds it and a set of tags can test every passport number of a country in hours.**
pub struct KeyPair {
    secret: Scalar,
    /// secret / 2: what is multiplied by it comes out doubled, and encoding doubles is cheaper in a batch.
    half: Scalar,
    public: PublicKey,
}

impl KeyPair {
    /// DeriveKeyPair of RFC 9497 §3.2.1, mode 0x01. The same values give the same key, always.
    ///
    /// `seed` must be uniform and secret. `info` is public and tells keys of one seed apart.
    ///
    /// # Errors
    /// When `info` has more than 65,535 bytes.
    pub fn derive(seed: &[u8; 32], info: &[u8]) -> Result<Self, DeriveError> {
        let secret = derive_secret(&VOPRF, seed, info)?;
        Ok(Self {
            half: secret.halve(),
            public: PublicKey::of(&secret),
            secret,
        })
    }

    /// The public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) const fn secret(&self) -> &Scalar {
        &self.secret
    }

    pub(crate) const fn half(&self) -> &Scalar {
        &self.half
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// The secret half of DeriveKeyPair (RFC 9497 §3.2.1).
pub(crate) fn derive_secret(suite: &Suite, seed: &[u8; 32], info: &[u8]) -> Result<Scalar, DeriveError> {
    if info.len() > MAX_INPUT_BYTES {
        return Err(DeriveError::InfoTooLong { bytes: info.len() });
    }
    (0..=u8::MAX)
        .map(|counter| suite.hash_to_key(&[seed, &two_bytes(info.len()), info, &[counter]]))
        .find(|secret| !secret.is_zero())
        .ok_or(DeriveError::NoKey)
}
