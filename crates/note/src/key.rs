//! Named Ed25519 keys and their one-line texts.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use ed25519_dalek::Signer;
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// The signature type of Ed25519 over the note's text (signed-note, "Signature types").
pub(crate) const ED25519: u8 = 0x01;
const PRIVATE_KEY_PREFIX: &str = "PRIVATE+KEY+";
/// Longer names are refused: a name is shown to people and stored in an index.
const MAX_NAME_BYTES: usize = 255;

/// A named Ed25519 private key. Wiped from memory when dropped; never shown by `Debug`.
pub struct SigningKey {
    verifier: VerifierKey,
    secret: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Draws a new key for `name` from `rng`.
    ///
    /// # Errors
    /// [`KeyError::InvalidName`].
    pub fn generate(name: &str, rng: &mut impl CryptoRng) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(name, &seed)
    }

    /// The key whose RFC 8032 private key (the 32-byte seed) is `seed`.
    ///
    /// # Errors
    /// [`KeyError::InvalidName`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new_unchecked(name, secret.verifying_key());
        Ok(Self { verifier, secret })
    }

    /// Reads the text made by [`encode`](Self::encode): one line, no newline.
    ///
    /// # Errors
    /// Every [`KeyError`] except [`KeyError::WeakKey`]. No error shows any part of the secret.
    pub fn decode(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(PRIVATE_KEY_PREFIX).ok_or(KeyError::Malformed {
            expected: "PRIVATE+KEY+name+id+base64",
        })?;
        let (name, stated, seed) = split_key(rest, ED25519, "PRIVATE+KEY+name+id+base64")?;
        let key = Self::from_seed(name, &seed)?;
        key.verifier.check_id(stated)?;
        Ok(key)
    }

    /// `PRIVATE+KEY+<name>+<id>+<base64(0x01 ‖ seed)>`, as Go's `sumdb/note` writes it. **Secret.** Encoded in constant time,
    /// wiped when dropped.
    pub fn encode(&self) -> Zeroizing<String> {
        let mut typed = Zeroizing::new([ED25519; 33]);
        typed[1..].copy_from_slice(self.secret.as_bytes());
        let mut secret = Base64::encode_string(&*typed);
        let public = format!("{PRIVATE_KEY_PREFIX}{}+{:08x}+", self.name(), self.id());
        // Reserved in full: a growing string would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(public.len() + secret.len()));
        text.push_str(&public);
        text.push_str(&secret);
        secret.zeroize();
        text
    }

    /// The public half.
    pub fn verifier(&self) -> VerifierKey {
        self.verifier.clone()
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// The key's id; see [`VerifierKey::id`].
    pub fn id(&self) -> u32 {
        self.verifier.id()
    }

    /// The same secret under another name, with another id: an agency signs its ledger's checkpoints as `<agency>/ledger`, because a
    /// checkpoint's signer is named as its origin is (tlog-checkpoint, "Signatures").
    ///
    /// # Errors
    /// [`KeyError::InvalidName`].
    pub fn renamed(&self, name: &str) -> Result<Self, KeyError> {
        Self::from_seed(name, self.secret.as_bytes())
    }

    pub(crate) fn sign(&self, text: &str) -> [u8; 64] {
        self.secret.sign(text.as_bytes()).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}+{:08x}, redacted)", self.name(), self.id())
    }
}

/// A named Ed25519 public key. Its text (`Display`, `FromStr`) is the *vkey* `<name>+<id>+<base64(0x01 ‖ key)>`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    id: u32,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    /// The verifier for a raw public key (RFC 8032, 32 bytes).
    ///
    /// # Errors
    /// [`KeyError::InvalidName`], [`KeyError::NotAKey`], [`KeyError::WeakKey`].
    pub fn from_public_key(name: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(public_key).map_err(|_| KeyError::NotAKey)?;
        if key.is_weak() {
            return Err(KeyError::WeakKey);
        }
        Ok(Self::new_unchecked(name, key))
    }

    /// The key's name, unique among those one trusts; by custom a URL without scheme.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key), big-endian. An identifier, not a fingerprint: 32 bits can be
    /// collided at will, so pin the whole key.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The raw public key (RFC 8032).
    pub fn public_key(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// The same key under another name; see [`SigningKey::renamed`].
    ///
    /// # Errors
    /// [`KeyError::InvalidName`].
    pub fn renamed(&self, name: &str) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self::new_unchecked(name, self.key))
    }

    /// Strict verification: canonical `S` and no small-order `A` or `R`, so that no second signature can be made from a first.
    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .and_then(|signature| self.key.verify_strict(text.as_bytes(), &signature))
            .is_ok()
    }

    fn new_unchecked(name: &str, key: ed25519_dalek::VerifyingKey) -> Self {
        Self {
            name: name.to_owned(),
            id: key_id(name, ED25519, key.as_bytes()),
            key,
        }
    }

    fn check_id(&self, stated: u32) -> Result<(), KeyError> {
        check_id(stated, self.id)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = [ED25519; 33];
        typed[1..].copy_from_slice(self.key.as_bytes());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            self.id,
            Base64::encode_string(&typed)
        )
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, stated, key) = split_key(text, ED25519, "name+id+base64")?;
        let verifier = Self::from_public_key(name, &key)?;
        verifier.check_id(stated)?;
        Ok(verifier)
    }
}

/// Why a key or a key's text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is empty, too long, or holds a space, a control character or `+`.
    #[error("a key name is 1 to {MAX_NAME_BYTES} bytes without spaces, control characters or '+'")]
    InvalidName,
    /// The text has another shape.
    #[error("not a key: expected {expected}")]
    Malformed {
        /// The shape that was expected.
        expected: &'static str,
    },
    /// The text names another signature type than Ed25519 (`0x01`), or for a cosigner than timestamped Ed25519 (`0x04`).
    #[error(
        "signature type {0:#04x} does not belong here: 0x01 is that of a signer (Ed25519), 0x04 that of a cosigner"
    )]
    UnsupportedType(u8),
    /// The id in the text is not the one of this name and key: the text was damaged or put together by hand.
    #[error("the key id {stated:08x} does not belong to this name and key ({computed:08x})")]
    IdMismatch {
        /// The id in the text.
        stated: u32,
        /// The id of the name and key.
        computed: u32,
    },
    /// The 32 bytes are no point of the curve.
    #[error("not an Ed25519 public key")]
    NotAKey,
    /// The public key has small order: signatures under it prove nothing.
    #[error("a weak Ed25519 public key (small order) is refused")]
    WeakKey,
}

/// Key names are non-empty, without Unicode spaces and `+` (signed-note, "Format"); no control characters either, as the whole note
/// must not hold any.
pub(crate) fn check_name(name: &str) -> Result<(), KeyError> {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(allowed) {
        return Err(KeyError::InvalidName);
    }
    Ok(())
}

/// The first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ key), big-endian (signed-note, "Signatures").
pub(crate) fn key_id(name: &str, signature_type: u8, key: &[u8; 32]) -> u32 {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', signature_type])
        .chain_update(key)
        .finalize()
        .into();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

pub(crate) fn check_id(stated: u32, computed: u32) -> Result<(), KeyError> {
    if stated == computed {
        Ok(())
    } else {
        Err(KeyError::IdMismatch { stated, computed })
    }
}

/// Splits `name+id+base64(type ‖ 32 bytes)`; base64 itself may hold a `+`.
pub(crate) fn split_key<'a>(
    text: &'a str,
    signature_type: u8,
    expected: &'static str,
) -> Result<(&'a str, u32, Zeroizing<[u8; 32]>), KeyError> {
    let malformed = KeyError::Malformed { expected };
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed);
    };
    let is_lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if id.len() != 8 || !id.bytes().all(is_lower_hex) {
        return Err(malformed);
    }
    let Ok(id) = u32::from_str_radix(id, 16) else {
        return Err(malformed);
    };
    let Ok(bytes) = Base64::decode_vec(encoded).map(Zeroizing::new) else {
        return Err(malformed);
    };
    match bytes.split_first() {
        Some((&found, key)) if found == signature_type => {
            let key: &[u8; 32] = key.try_into().map_err(|_| malformed)?;
            Ok((name, id, Zeroizing::new(*key)))
        }
        Some((&other, _)) => Err(KeyError::UnsupportedType(other)),
        None => Err(malformed),
    }
}
