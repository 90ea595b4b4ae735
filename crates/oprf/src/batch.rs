//! What every stage of a batch shares.

use concordat_lanes::Scalar;
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::{InputError, MAX_BATCH, MAX_INPUT_BYTES};

/// Copies of the inputs, one after the other, because Finalize hashes them again. Wiped when dropped.
pub(crate) struct Inputs {
    packed: Zeroizing<Vec<u8>>,
    /// Where each input ends.
    ends: Vec<usize>,
}

impl Inputs {
    /// Checks the lengths of `inputs`, then copies them.
    pub(crate) fn new<I: AsRef<[u8]>>(inputs: &[I]) -> Result<Self, InputError> {
        let mut ends = Vec::with_capacity(inputs.len());
        let mut end = 0;
        for (index, input) in inputs.iter().enumerate() {
            let length = input.as_ref().len();
            if length > MAX_INPUT_BYTES {
                return Err(InputError::TooLong { index });
            }
            end += length;
            ends.push(end);
        }
        // Reserved at once: a vector that grows leaves copies behind.
        let mut packed = Zeroizing::new(Vec::with_capacity(end));
        for input in inputs {
            packed.extend_from_slice(input.as_ref());
        }
        Ok(Self { packed, ends })
    }

    /// The same, for a batch that goes on the wire: 1 to [`MAX_BATCH`] inputs.
    pub(crate) fn new_batch<I: AsRef<[u8]>>(inputs: &[I]) -> Result<Self, InputError> {
        match inputs.len() {
            0 => Err(InputError::EmptyBatch),
            1..=MAX_BATCH => Self::new(inputs),
            inputs => Err(InputError::BatchTooLarge { inputs }),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let input = &self.packed[start..end];
            start = end;
            input
        })
    }
}

/// RandomScalar of RFC 9497 §4.7.2: 64 bytes of `rng`, reduced.
///
/// Zero, which the RFC excludes and which comes with probability 2^-252, becomes one: so a broken generator cannot
/// hang us.
pub(crate) fn random_scalar(rng: &mut (impl CryptoRng + ?Sized)) -> Scalar {
    let mut bytes = Zeroizing::new([0; 64]);
    rng.fill_bytes(bytes.as_mut_slice());
    let scalar = Scalar::from_wide_bytes(&bytes);
    if scalar.is_zero() { Scalar::ONE } else { scalar }
}
