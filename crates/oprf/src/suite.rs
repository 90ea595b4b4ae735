//! The suite's hash functions (RFC 9497 §4.1) with everything constant computed once.

use std::sync::LazyLock;

use concordat_lanes::{ELEMENT_BYTES, Points, Scalar};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::batch::Inputs;
use crate::{InputError, Output};

/// The identifier of RFC 9497 §4.1.
const IDENTIFIER: &str = "ristretto255-SHA512";

/// Mode 0x01, VOPRF: the mode of this service.
pub(crate) static VOPRF: LazyLock<Suite> = LazyLock::new(|| Suite::new(0x01));

/// Mode 0x00, OPRF: no proofs. For the vectors of the RFC.
#[cfg(feature = "danger")]
pub(crate) static OPRF: LazyLock<Suite> = LazyLock::new(|| Suite::new(0x00));

/// ristretto255-SHA512 in one mode.
pub(crate) struct Suite {
    /// Message to 64 uniform bytes, for HashToGroup.
    to_group: Expander,
    /// Message to 64 uniform bytes, for HashToScalar.
    to_scalar: Expander,
    /// HashToScalar under the tag of DeriveKeyPair.
    derive_key_pair: Expander,
    /// "Seed-" || contextString, for the composites of a proof.
    pub(crate) seed_dst: Vec<u8>,
}

impl Suite {
    fn new(mode: u8) -> Self {
        // contextString of RFC 9497 §3.1.
        let context = [b"OPRFV1-", [mode].as_slice(), b"-", IDENTIFIER.as_bytes()].concat();
        let tag = |name: &[u8]| [name, &context].concat();
        Self {
            to_group: Expander::new(&tag(b"HashToGroup-")),
            to_scalar: Expander::new(&tag(b"HashToScalar-")),
            derive_key_pair: Expander::new(&tag(b"DeriveKeyPair")),
            seed_dst: tag(b"Seed-"),
        }
    }

    /// HashToGroup of each input. Constant time for given lengths.
    pub(crate) fn hash_to_group(&self, inputs: &Inputs) -> Result<Points, InputError> {
        let mut uniform = Zeroizing::new(Vec::with_capacity(inputs.len()));
        uniform.extend(inputs.iter().map(|input| self.to_group.expand(&[input])));
        let points = Points::from_uniform_bytes(&uniform);
        match points.position_of_identity() {
            None => Ok(points),
            Some(index) => Err(InputError::Identity { index }),
        }
    }

    /// HashToScalar of the concatenated `parts`.
    pub(crate) fn hash_to_scalar(&self, parts: &[&[u8]]) -> Scalar {
        Scalar::from_wide_bytes(&self.to_scalar.expand(parts))
    }

    /// HashToScalar of the concatenated `parts`, under the tag of DeriveKeyPair (RFC 9497 §3.2.1). Secret.
    pub(crate) fn hash_to_key(&self, parts: &[&[u8]]) -> Scalar {
        Scalar::from_wide_bytes(&Zeroizing::new(self.derive_key_pair.expand(parts)))
    }

    /// The last step of Finalize (RFC 9497 §3.3.1), for each input and the element it gave under the key.
    pub(crate) fn finalize(inputs: &Inputs, packed: &[u8]) -> Vec<Output> {
        let (elements, _) = packed.as_chunks::<ELEMENT_BYTES>();
        let output = |(input, element): (&[u8], &[u8; ELEMENT_BYTES])| {
            let mut hash = Sha512::new_with_prefix(two_bytes(input.len()));
            hash.update(input);
            hash.update(two_bytes(ELEMENT_BYTES));
            hash.update(element);
            hash.update(b"Finalize");
            Output::new(hash.finalize().into())
        };
        inputs.iter().zip(elements).map(output).collect()
    }
}

/// I2OSP(length, 2). Lengths are checked where they come in; a longer one would be cut here.
pub(crate) const fn two_bytes(length: usize) -> [u8; 2] {
    (length as u16).to_be_bytes()
}

/// expand_message_xmd of RFC 9380 §5.3.1 with SHA-512, to 64 bytes, under one domain separation tag.
struct Expander {
    /// SHA-512 after Z_pad, a block of zeros.
    padded: Sha512,
    /// l_i_b_str || I2OSP(0, 1) || DST_prime: what follows the message.
    after_message: Vec<u8>,
}

impl Expander {
    fn new(dst: &[u8]) -> Self {
        debug_assert!(dst.len() < 256, "the tag's length is one byte");
        let after_message = [[0, 64, 0].as_slice(), dst, &[dst.len() as u8]].concat();
        Self {
            padded: Sha512::new_with_prefix([0; 128]),
            after_message,
        }
    }

    /// Constant time for a given length.
    fn expand(&self, message: &[&[u8]]) -> [u8; 64] {
        let mut hash = self.padded.clone();
        for part in message {
            hash.update(part);
        }
        hash.update(&self.after_message);
        let b0 = hash.finalize();
        // 64 bytes are one block of SHA-512's output: b_1 is the whole of it.
        let mut hash = Sha512::new_with_prefix(b0);
        hash.update([1]);
        hash.update(&self.after_message[3..]);
        hash.finalize().into()
    }
}
