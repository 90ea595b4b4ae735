//! Timestamped Ed25519 cosignatures, [C2SP tlog-cosignature](https://c2sp.org/tlog-cosignature) v1.
//!
//! A cosigner says: "at this time, this checkpoint was the largest consistent one I had seen of this log". What is signed is
//!
//! ```text
//! cosignature/v1
//! time 1679315147
//! <the whole text of the note>
//! ```

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};

use crate::key::{KeyError, SigningKey, VerifierKey, check_id, key_id, split_key};
use crate::note::{Note, NoteError, Signature};

/// The signature type of a timestamped Ed25519 signature (signed-note, "Signature types").
const COSIGNATURE: u8 = 0x04;
pub(crate) const COSIGNATURE_HEADER: &str = "cosignature/v1\n";

/// The public key of a cosigner. Its text (`Display`, `FromStr`) is the *vkey* `<name>+<id>+<base64(0x04 ‖ key)>`.
///
/// The id is another than that of the same key as a [`VerifierKey`]: lines of the two types are told apart by it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CosignerKey {
    id: u32,
    key: VerifierKey,
}

impl CosignerKey {
    /// The key's name.
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x04 ‖ key), big-endian.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The raw public key (RFC 8032).
    pub fn public_key(&self) -> [u8; 32] {
        self.key.public_key()
    }

    fn made(&self, signature: &Signature) -> bool {
        (signature.name.as_str(), signature.id) == (self.name(), self.id)
    }

    /// The time of a cosignature of `text`, Unix seconds; `None` if it does not verify.
    fn verify(&self, text: &str, signature: &Signature) -> Option<u64> {
        let (time, signature) = signature.bytes.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let known = i64::try_from(time).is_ok() && self.key.verifies(&message(time, text), signature);
        known.then_some(time)
    }
}

impl VerifierKey {
    /// The same name and key as a cosigner.
    ///
    /// One Ed25519 key may do both: what a cosigner signs starts with a line that no note of this crate may start with.
    pub fn cosigner(&self) -> CosignerKey {
        CosignerKey {
            id: key_id(self.name(), COSIGNATURE, &self.public_key()),
            key: self.clone(),
        }
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = [COSIGNATURE; 33];
        typed[1..].copy_from_slice(&self.public_key());
        let key = Base64::encode_string(&typed);
        write!(f, "{}+{:08x}+{key}", self.name(), self.id)
    }
}

impl fmt::Debug for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignerKey({self})")
    }
}

impl FromStr for CosignerKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, stated, key) = split_key(text, COSIGNATURE, "name+id+base64")?;
        let cosigner = VerifierKey::from_public_key(name, &key)?.cosigner();
        check_id(stated, cosigner.id)?;
        Ok(cosigner)
    }
}

impl Note {
    /// Cosigns the note at `time` (Unix seconds), in place of an earlier cosignature by the same key. Verify first that the note is a
    /// checkpoint consistent with the last one: this looks at nothing.
    ///
    /// # Errors
    /// [`NoteError::InvalidTime`] above 2^63 - 1.
    pub fn add_cosignature(&mut self, key: &SigningKey, time: u64) -> Result<Signature, NoteError> {
        if i64::try_from(time).is_err() {
            return Err(NoteError::InvalidTime);
        }
        let cosigner = key.verifier().cosigner();
        let signature = key.sign(&message(time, &self.text));
        let signature = Signature {
            name: cosigner.name().to_owned(),
            id: cosigner.id,
            bytes: [time.to_be_bytes().as_slice(), &signature].concat(),
        };
        self.signatures.retain(|s| !cosigner.made(s));
        self.signatures.push(signature.clone());
        Ok(signature)
    }

    /// When `cosigner` cosigned the note, Unix seconds; `None` if it did not.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] for a line in its name that does not verify.
    pub fn cosigned_by(&self, cosigner: &CosignerKey) -> Result<Option<u64>, NoteError> {
        let mut latest = None;
        for signature in self.signatures.iter().filter(|s| cosigner.made(s)) {
            latest = latest.max(Some(self.cosignature_time(cosigner, signature)?));
        }
        Ok(latest)
    }

    /// Adds a cosignature that came from elsewhere, after verifying it, in place of an earlier one by the same key. Gives its time.
    ///
    /// # Errors
    /// [`NoteError::OtherSigner`], [`NoteError::BadSignature`]; the note is then as it was.
    pub fn attach_cosignature(&mut self, cosigner: &CosignerKey, line: Signature) -> Result<u64, NoteError> {
        if !cosigner.made(&line) {
            return Err(NoteError::OtherSigner {
                name: cosigner.name().to_owned(),
                id: cosigner.id,
            });
        }
        let time = self.cosignature_time(cosigner, &line)?;
        self.signatures.retain(|s| !cosigner.made(s));
        self.signatures.push(line);
        Ok(time)
    }

    fn cosignature_time(&self, cosigner: &CosignerKey, signature: &Signature) -> Result<u64, NoteError> {
        let bad = || NoteError::BadSignature {
            name: cosigner.name().to_owned(),
            id: cosigner.id,
        };
        cosigner.verify(&self.text, signature).ok_or_else(bad)
    }
}

fn message(time: u64, text: &str) -> String {
    format!("{COSIGNATURE_HEADER}time {time}\n{text}")
}
