//! The requester's side: one type for each stage, so that nothing is unblinded before its proof is verified.

use std::fmt;
use std::sync::Arc;

use concordat_lanes::{ELEMENT_BYTES, FixedBase, Points, Scalar};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::batch::{Inputs, random_scalar};
use crate::suite::{Suite, VOPRF};
use crate::{InputError, Output, PROOF_BYTES, PublicKey, VerifyError, dleq};

/// A requester that trusts one public key. Cheap to clone.
///
/// # Blinding
/// [`Client::new`] blinds additively, B = H(x) + r·G, and unblinds with N = E − r·pk: two multiplications of a fixed
/// base where RFC 9497 §3.3.1 multiplies H(x) and E, which costs more than twice as much. On the wire both are
/// uniform elements, and both give the same outputs. The additive form is safe only when pk is the authenticated key
/// of the owner **and** the proof is checked before anything is unblinded: an owner that could choose another key for
/// E would choose what is subtracted ([Jarecki, Krawczyk, Xu 2021]). Here neither can be forgotten: the key is pinned
/// when the client is made, and only [`Blinded::verify`] leads to outputs.
///
/// [Jarecki, Krawczyk, Xu 2021]: https://eprint.iacr.org/2021/273
#[derive(Clone)]
pub struct Client(Arc<Pinned>);

struct Pinned {
    key: PublicKey,
    blinding: Blinding,
}

enum Blinding {
    /// B = H(x) + r·G, N = E − r·pk. Holds the multiples of pk.
    Additive(FixedBase),
    /// B = r·H(x), N = r⁻¹·E.
    Multiplicative,
}

impl Client {
    /// A client of the owner of `pinned`, whose authenticity the caller has checked. Blinds additively.
    ///
    /// Computes a table of 30 KiB: make one client for each key, not one for each query.
    pub fn new(pinned: PublicKey) -> Self {
        Self(Arc::new(Pinned {
            key: pinned,
            blinding: Blinding::Additive(FixedBase::new(pinned.point())),
        }))
    }

    /// The same with the blinding that RFC 9497 §3.3.1 writes down, which the RFC's vectors need. Slower.
    pub fn with_multiplicative_blinding(pinned: PublicKey) -> Self {
        Self(Arc::new(Pinned {
            key: pinned,
            blinding: Blinding::Multiplicative,
        }))
    }

    /// The key this client trusts.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.key
    }

    /// Blind of RFC 9497 §3.3.2 for a batch of 1 to 65,535 inputs, each of at most 65,535 bytes.
    ///
    /// Takes 64 bytes of `rng` for each input, in their order, and nothing else: a generator seeded with the same seed
    /// gives the same elements for the same inputs, in this version and in later ones. So a requester that keeps a
    /// seed can send the same bytes again after a crash. Never use a seed for other inputs: two elements with one
    /// blind reveal how their inputs are related.
    ///
    /// # Errors
    /// An empty or too large batch, an input that is too long.
    pub fn blind<I: AsRef<[u8]>>(
        &self,
        inputs: &[I],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Blinded, InputError> {
        let inputs = Inputs::new_batch(inputs)?;
        let mut points = VOPRF.hash_to_group(&inputs)?;
        let blinds: Vec<Scalar> = (0..inputs.len()).map(|_| random_scalar(rng)).collect();
        match self.0.blinding {
            Blinding::Additive(_) => points += &FixedBase::GENERATOR.mul_each(&blinds),
            Blinding::Multiplicative => points = points.mul_each(&blinds),
        }
        let elements = points.encode();
        Ok(Blinded {
            pinned: Arc::clone(&self.0),
            inputs,
            blinds,
            points,
            elements,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.key).finish()
    }
}

/// A batch that waits for its evaluation: the elements to send, and the secrets to unblind the answer.
///
/// It holds copies of the inputs. They and the blinds are wiped when it is dropped.
///
/// There is no way around the proof:
/// ```compile_fail,E0599
/// # fn unproven(blinded: concordat_oprf::Blinded) {
/// blinded.finalize();
/// # }
/// ```
pub struct Blinded {
    pinned: Arc<Pinned>,
    inputs: Inputs,
    blinds: Vec<Scalar>,
    points: Points,
    elements: Vec<u8>,
}

impl Blinded {
    /// The blinded elements, 32 bytes each, packed, in the order of the inputs. Not secret: send them.
    pub fn elements(&self) -> &[u8] {
        &self.elements
    }

    /// How many elements the batch holds.
    pub const fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether it holds none: never.
    pub const fn is_empty(&self) -> bool {
        self.inputs.len() == 0
    }

    /// Checks that `evaluated`, packed and in order, was computed from this batch with the pinned key.
    ///
    /// On failure the batch is as before: it may be sent again, its elements may be recorded.
    ///
    /// # Errors
    /// A wrong number of elements, the first element at fault, a malformed or wrong proof. Whichever it is, no
    /// output exists, and the owner must be taken to have answered nothing.
    pub fn verify(&self, evaluated: &[u8], proof: &[u8; PROOF_BYTES]) -> Result<Verified<'_>, VerifyError> {
        if evaluated.len() != self.elements.len() {
            return Err(VerifyError::Length {
                expected: self.elements.len(),
                received: evaluated.len(),
            });
        }
        let points = Points::decode(evaluated)?;
        dleq::verify(
            &self.pinned.key,
            &self.points,
            &self.elements,
            &points,
            evaluated,
            proof,
        )?;
        Ok(Verified {
            blinded: self,
            evaluated: points,
        })
    }
}

impl fmt::Debug for Blinded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blinded({} elements)", self.elements.len() / ELEMENT_BYTES)
    }
}

/// A batch whose proof holds. The only way to get one is [`Blinded::verify`].
pub struct Verified<'a> {
    blinded: &'a Blinded,
    evaluated: Points,
}

impl Verified<'_> {
    /// Finalize of RFC 9497 §3.3.2: unblinds, and hashes to the output of each input, in their order.
    pub fn finalize(self) -> Vec<Output> {
        let Blinded {
            pinned,
            inputs,
            blinds,
            ..
        } = self.blinded;
        let mut points = self.evaluated;
        match &pinned.blinding {
            Blinding::Additive(multiples_of_key) => points -= &multiples_of_key.mul_each(blinds),
            Blinding::Multiplicative => {
                let inverses: Vec<Scalar> = blinds.iter().map(Scalar::invert).collect();
                points = points.mul_each(&inverses);
            }
        }
        let elements = Zeroizing::new(points.encode());
        Suite::finalize(inputs, &elements)
    }
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({} elements)", self.evaluated.len())
    }
}
