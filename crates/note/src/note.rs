//! The note itself: text, a blank line, signature lines.

use std::fmt;

use base64ct::{Base64, Encoding};

use crate::cosignature::COSIGNATURE_HEADER;
use crate::key::{SigningKey, VerifierKey, check_name};

/// A signature line starts with an em dash (U+2014) and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A note whose format is valid. Its text is not to be trusted before [`open`](Self::open).
///
/// `Display` gives the bytes that travel; parsing them gives an equal note.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    pub(crate) text: String,
    pub(crate) signatures: Vec<Signature>,
}

/// One signature line, verified or not.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key that is said to have signed.
    pub name: String,
    /// The id of that key.
    pub id: u32,
    pub(crate) bytes: Vec<u8>,
}

/// What [`Note::parse`] accepts, checked before anything is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole note, in bytes.
    pub max_bytes: usize,
    /// Signature lines. The specification asks for at least 16.
    pub max_signatures: usize,
}

impl Default for Limits {
    /// 1 MiB and 64 signatures.
    fn default() -> Self {
        Self {
            max_bytes: 1 << 20,
            max_signatures: 64,
        }
    }
}

/// Whose signatures [`Note::open`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// At least one of the given keys.
    Any,
    /// Every one of the given keys (an agreement: both agencies).
    All,
}

/// A note's text with the keys that signed it, after verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The text, its last newline included.
    pub text: &'a str,
    /// The names of the keys whose signatures were verified, in the order of the verifiers given. Never empty.
    pub verified: Vec<&'a str>,
}

impl Note {
    /// Signs `text` with every key, in that order.
    ///
    /// # Errors
    /// [`NoteError::InvalidText`], [`NoteError::NoSignature`] when `keys` is empty.
    pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<Self, NoteError> {
        check_characters(text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::InvalidText {
                offset: text.len(),
                found: "no newline at the end",
            });
        }
        if keys.is_empty() {
            return Err(NoteError::NoSignature);
        }
        let mut note = Self {
            text: text.to_owned(),
            signatures: Vec::with_capacity(keys.len()),
        };
        for key in keys {
            note.add_signature(key);
        }
        Ok(note)
    }

    /// Adds a signature to the note, in place of an earlier one by the same key. Open the note first: one signs what one has read,
    /// and this does not look at the other signatures.
    pub fn add_signature(&mut self, key: &SigningKey) {
        self.signatures
            .retain(|s| (s.name.as_str(), s.id) != (key.name(), key.id()));
        self.signatures.push(Signature {
            name: key.name().to_owned(),
            id: key.id(),
            bytes: key.sign(&self.text).to_vec(),
        });
    }

    /// Copies the signatures of `signers` from another note about the same text, each after verifying it; others are left behind. So
    /// two parties that signed apart come to one note.
    ///
    /// # Errors
    /// [`NoteError::OtherText`]; [`NoteError::BadSignature`] for a line in the name of a signer that does not verify.
    pub fn merge(&mut self, other: &Self, signers: &[VerifierKey]) -> Result<(), NoteError> {
        if self.text != other.text {
            return Err(NoteError::OtherText);
        }
        for signer in signers {
            if self.verified_name(signer)?.is_none() && other.verified_name(signer)?.is_some() {
                let named = |s: &&Signature| (s.name.as_str(), s.id) == (signer.name(), signer.id());
                self.signatures
                    .extend(other.signatures.iter().find(named).cloned());
            }
        }
        Ok(())
    }

    /// Reads a note. Checks the form only, no signature.
    ///
    /// # Errors
    /// The note is too large, is not UTF-8, holds a control character, or a signature line is malformed.
    pub fn parse(bytes: &[u8], limits: Limits) -> Result<Self, NoteError> {
        if bytes.len() > limits.max_bytes {
            return Err(NoteError::TooLarge {
                bytes: bytes.len(),
                limit: limits.max_bytes,
            });
        }
        let note = std::str::from_utf8(bytes).map_err(|e| NoteError::InvalidText {
            offset: e.valid_up_to(),
            found: "invalid UTF-8",
        })?;
        check_characters(note)?;
        // The text may hold empty lines: the last one in the note ends it.
        let blank = note.rfind("\n\n").ok_or(NoteError::NoSignature)?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignature)?;

        let count = lines.split('\n').count();
        if count > limits.max_signatures {
            return Err(NoteError::TooManySignatures {
                count,
                limit: limits.max_signatures,
            });
        }
        let signatures = lines
            .split('\n')
            .enumerate()
            .map(|(index, line)| {
                Signature::parse(line).ok_or(NoteError::MalformedSignature { number: index + 1 })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// Verifies the signatures of the given keys and gives out the text.
    ///
    /// Signatures by other keys are ignored, even when they share a name or an id with a given key. A signature that names a given
    /// key and does not verify refuses the whole note, whatever else is on it.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`], [`NoteError::NotSignedBy`] ([`Policy::All`]), [`NoteError::NotSigned`] (no given key signed),
    /// [`NoteError::AmbiguousVerifiers`].
    pub fn open(&self, verifiers: &[VerifierKey], policy: Policy) -> Result<Opened<'_>, NoteError> {
        let mut verified = Vec::with_capacity(verifiers.len());
        for (index, verifier) in verifiers.iter().enumerate() {
            let same = |other: &&VerifierKey| (other.name(), other.id()) == (verifier.name(), verifier.id());
            if let Some(earlier) = verifiers[..index].iter().find(same) {
                if earlier != verifier {
                    return Err(NoteError::AmbiguousVerifiers {
                        name: verifier.name().to_owned(),
                    });
                }
                continue;
            }
            if let Some(name) = self.verified_name(verifier)? {
                verified.push(name);
            } else if policy == Policy::All {
                return Err(NoteError::NotSignedBy {
                    name: verifier.name().to_owned(),
                    id: verifier.id(),
                });
            }
        }
        if verified.is_empty() {
            return Err(NoteError::NotSigned);
        }
        Ok(Opened {
            text: &self.text,
            verified,
        })
    }

    /// The text, **not verified**: anyone may have written it. To find out whose keys to verify it with, and for nothing else.
    pub fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The signature lines, not verified.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The name of `verifier` as the note has it, if it signed; a line in its name that does not verify is an error.
    fn verified_name(&self, verifier: &VerifierKey) -> Result<Option<&str>, NoteError> {
        let mut name = None;
        for signature in &self.signatures {
            if (signature.name.as_str(), signature.id) == (verifier.name(), verifier.id()) {
                if !verifier.verifies(&self.text, &signature.bytes) {
                    return Err(NoteError::BadSignature {
                        name: signature.name.clone(),
                        id: signature.id,
                    });
                }
                name = Some(signature.name.as_str());
            }
        }
        Ok(name)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Note")
            .field("text_bytes", &self.text.len())
            .field("signatures", &self.signatures)
            .finish()
    }
}

impl Signature {
    /// Reads `— <name> <base64(id ‖ signature)>`, without the newline. `None` if the line has another form.
    pub fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        check_name(name).ok()?;
        let bytes = Base64::decode_vec(encoded).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        if signature.is_empty() {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            id: u32::from_be_bytes(*id),
            bytes: signature.to_vec(),
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.to_be_bytes().as_slice(), &self.bytes].concat();
        write!(
            f,
            "{SIGNATURE_PREFIX}{} {}",
            self.name,
            Base64::encode_string(&bytes)
        )
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}", self.name, self.id)
    }
}

/// Why a note was refused. The note's writer or the way it travelled is to blame, except where said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Refused before reading.
    #[error("the note has {bytes} bytes, at most {limit} are accepted")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit given.
        limit: usize,
    },
    /// Refused before verifying any.
    #[error("the note has {count} signatures, at most {limit} are accepted")]
    TooManySignatures {
        /// How many there are.
        count: usize,
        /// The limit given.
        limit: usize,
    },
    /// A note is UTF-8, has no control character but newline, and its text ends in a newline.
    #[error("not the text of a note: {found} at byte {offset}")]
    InvalidText {
        /// Where.
        offset: usize,
        /// What.
        found: &'static str,
    },
    /// There is no blank line followed by whole signature lines; or, when signing, no key was given.
    #[error("the note has no signature")]
    NoSignature,
    /// A line after the last blank line is not `— name base64`.
    #[error("signature line {number} is malformed")]
    MalformedSignature {
        /// Counted from 1.
        number: usize,
    },
    /// A signature in the name of a known key does not verify: the text was changed, or the signature is forged.
    #[error("the signature of {name} ({id:08x}) does not verify")]
    BadSignature {
        /// The key's name.
        name: String,
        /// The key's id.
        id: u32,
    },
    /// [`Policy::All`]: a required signature is not there.
    #[error("the note is not signed by {name} ({id:08x})")]
    NotSignedBy {
        /// The key's name.
        name: String,
        /// The key's id.
        id: u32,
    },
    /// None of the given keys signed the note.
    #[error("the note is not signed by any known key")]
    NotSigned,
    /// A time of more than 63 bits (tlog-cosignature, "Format").
    #[error("the time of a cosignature is out of range")]
    InvalidTime,
    /// A line that was said to be a cosignature by the given key names another key.
    #[error("the signature line is not by {name} ({id:08x})")]
    OtherSigner {
        /// The name of the key expected.
        name: String,
        /// Its id.
        id: u32,
    },
    /// [`Note::merge`]: the two notes say different things.
    #[error("the two notes have different texts")]
    OtherText,
    /// The caller gave two keys with one name and one id: signatures could not be told apart. Give them different names.
    #[error("two known keys share the name {name} and the key id")]
    AmbiguousVerifiers {
        /// The name they share.
        name: String,
    },
}

/// A text that starts as a cosigned message does is nobody's note: so a signature on a note (`0x01`) and a cosignature (`0x04`) by one
/// Ed25519 key can never pass for each other.
fn check_characters(text: &str) -> Result<(), NoteError> {
    if text.starts_with(COSIGNATURE_HEADER) {
        return Err(NoteError::InvalidText {
            offset: 0,
            found: "the first line of a cosigned message",
        });
    }
    match text.bytes().position(|b| b < 0x20 && b != b'\n') {
        Some(offset) => Err(NoteError::InvalidText {
            offset,
            found: "a control character",
        }),
        None => Ok(()),
    }
}
