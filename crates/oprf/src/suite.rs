//! The suite's hash functions (RFC 9497 §4.1) with everything constant computed once.

use std::sync::LazyLock;

use concordat_lanes::sha512::{BLOCK_BYTES, HASH_BYTES, Message, Prefix};
use concordat_lanes::{ELEMENT_BYTES, Points, Scalar};
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
        let mut input = inputs.iter();
        let uniform = self.to_group.expand_each(inputs.len(), |_, message| {
            message.push(input.next().unwrap_or_default());
        });
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

    /// HashToScalar of each of `count` messages; `write` is called once for each index, in order.
    pub(crate) fn hash_each_to_scalar(
        &self,
        count: usize,
        write: impl FnMut(usize, &mut Message),
    ) -> Vec<Scalar> {
        let wide = self.to_scalar.expand_each(count, write);
        wide.iter().map(Scalar::from_wide_bytes).collect()
    }

    /// HashToScalar of the concatenated `parts`, under the tag of DeriveKeyPair (RFC 9497 §3.2.1). Secret.
    pub(crate) fn hash_to_key(&self, parts: &[&[u8]]) -> Scalar {
        Scalar::from_wide_bytes(&self.derive_key_pair.expand(parts))
    }

    /// The last step of Finalize (RFC 9497 §3.3.1), for each input and the element it gave under the key.
    pub(crate) fn finalize(inputs: &Inputs, packed: &[u8]) -> Vec<Output> {
        let (elements, _) = packed.as_chunks::<ELEMENT_BYTES>();
        let mut pairs = inputs.iter().zip(elements);
        let mut hashes = Zeroizing::new(vec![[0; HASH_BYTES]; elements.len()]);
        Prefix::EMPTY.hash_each(&mut hashes, |_, message| {
            let Some((input, element)) = pairs.next() else {
                return;
            };
            message.push(&two_bytes(input.len()));
            message.push(input);
            message.push(&two_bytes(ELEMENT_BYTES));
            message.push(element);
            message.push(b"Finalize");
        });
        hashes.iter().map(|hash| Output::new(*hash)).collect()
    }
}

/// I2OSP(length, 2). Lengths are checked where they come in; a longer one would be cut here.
pub(crate) const fn two_bytes(length: usize) -> [u8; 2] {
    (length as u16).to_be_bytes()
}

/// expand_message_xmd of RFC 9380 §5.3.1 with SHA-512, to 64 bytes, under one domain separation tag.
struct Expander {
    /// SHA-512 after Z_pad, a block of zeros.
    padded: Prefix,
    /// l_i_b_str || I2OSP(0, 1) || DST_prime: what follows the message.
    after_message: Vec<u8>,
}

impl Expander {
    fn new(dst: &[u8]) -> Self {
        debug_assert!(dst.len() < 256, "the tag's length is one byte");
        let after_message = [[0, 64, 0].as_slice(), dst, &[dst.len() as u8]].concat();
        Self {
            padded: Prefix::new(&[[0; BLOCK_BYTES]]),
            after_message,
        }
    }

    /// Of the concatenated parts of one message.
    fn expand(&self, parts: &[&[u8]]) -> Zeroizing<[u8; HASH_BYTES]> {
        let uniform = self.expand_each(1, |_, message| parts.iter().for_each(|part| message.push(part)));
        Zeroizing::new(uniform[0])
    }

    /// Of each of `count` messages; `write` is called once for each index, in order. Constant time for given lengths.
    fn expand_each(
        &self,
        count: usize,
        mut write: impl FnMut(usize, &mut Message),
    ) -> Zeroizing<Vec<[u8; HASH_BYTES]>> {
        let mut b0 = Zeroizing::new(vec![[0; HASH_BYTES]; count]);
        self.padded.hash_each(&mut b0, |index, message| {
            write(index, message);
            message.push(&self.after_message);
        });
        // 64 bytes are one block of SHA-512's output: b_1 is the whole of it.
        let mut b1 = Zeroizing::new(vec![[0; HASH_BYTES]; count]);
        Prefix::EMPTY.hash_each(&mut b1, |index, message| {
            message.push(&b0[index]);
            message.push(&[1]);
            message.push(&self.after_message[3..]);
        });
        b1
    }
}
