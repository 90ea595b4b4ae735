//! The proof that two discrete logarithms are equal, for a batch at once (RFC 9497 §2.2).
//!
//! With C the blinded and D the evaluated elements, it shows that log_G(pk) = log_C[i](D[i]) for every i. All of the
//! data but the key and the nonce was or will be on the wire: composites and verification take variable time.

use concordat_lanes::{ELEMENT_BYTES, FixedBase, Point, Points, SCALAR_BYTES, Scalar};
use rand::CryptoRng;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::suite::{VOPRF, two_bytes};
use crate::{KeyPair, PROOF_BYTES, PublicKey, VerifyError};

/// GenerateProof (RFC 9497 §2.2.1) with ComputeCompositesFast: the owner multiplies M by its key to get Z.
///
/// `blinded` are the points of `blinded_bytes`; `evaluated_bytes` are their products with the key. `nonce` gets M.
pub(crate) fn prove(
    key: &KeyPair,
    blinded: &Points,
    blinded_bytes: &[u8],
    evaluated_bytes: &[u8],
    nonce: impl FnOnce(&Point) -> Scalar,
) -> [u8; PROOF_BYTES] {
    let weights = weights(key.public_key(), blinded_bytes, evaluated_bytes);
    let m = blinded.vartime_sum_of_products(&weights);
    let z = &m * key.secret();

    let nonce = nonce(&m);
    let t2 = FixedBase::GENERATOR.mul(&nonce);
    let t3 = &m * &nonce;

    let c = challenge(key.public_key(), [m, z, t2, t3]);
    let s = &nonce - &(&c * key.secret());

    let mut proof = [0; PROOF_BYTES];
    proof[..SCALAR_BYTES].copy_from_slice(&c.to_bytes());
    proof[SCALAR_BYTES..].copy_from_slice(&s.to_bytes());
    proof
}

/// A nonce of 64 bytes of `rng`, the key and the batch (through its composite M), hashed together.
///
/// RFC 9497 draws it from the generator alone; a verifier sees no difference. But one nonce in the proofs of two
/// batches reveals the key, and a generator does repeat itself, as after a virtual machine is set back to a
/// snapshot. Hashed like this, two batches have two nonces even then.
pub(crate) fn hedged_nonce(key: &KeyPair, m: &Point, rng: &mut (impl CryptoRng + ?Sized)) -> Scalar {
    let mut random = Zeroizing::new([0; 64]);
    rng.fill_bytes(random.as_mut_slice());
    let mut hash = Sha512::new_with_prefix(b"concordat: nonce of a DLEQ proof");
    hash.update(random.as_slice());
    hash.update(Zeroizing::new(key.secret().to_bytes()).as_slice());
    hash.update(m.encode());
    Scalar::from_wide_bytes(&Zeroizing::new(hash.finalize().into()))
}

/// VerifyProof (RFC 9497 §2.2.2). The points are those of the bytes beside them, in equal number.
pub(crate) fn verify(
    key: &PublicKey,
    blinded: &Points,
    blinded_bytes: &[u8],
    evaluated: &Points,
    evaluated_bytes: &[u8],
    proof: &[u8; PROOF_BYTES],
) -> Result<(), VerifyError> {
    let ([c, s], []) = proof.as_chunks::<SCALAR_BYTES>() else {
        return Err(VerifyError::MalformedProof);
    };
    let c = Scalar::from_canonical_bytes(c).ok_or(VerifyError::MalformedProof)?;
    let s = Scalar::from_canonical_bytes(s).ok_or(VerifyError::MalformedProof)?;

    let weights = weights(key, blinded_bytes, evaluated_bytes);
    let m = blinded.vartime_sum_of_products(&weights);
    let z = evaluated.vartime_sum_of_products(&weights);

    let s_and_c = [s, c];
    let vartime_sum = |p, q| Points::from_iter([p, q]).vartime_sum_of_products(&s_and_c);
    let t2 = vartime_sum(Point::GENERATOR, *key.point());
    let t3 = vartime_sum(m, z);

    let [_, c] = s_and_c;
    if challenge(key, [m, z, t2, t3]) == c {
        Ok(())
    } else {
        Err(VerifyError::ProofRefused)
    }
}

/// The weight of each pair of elements in the composites (ComputeComposites, RFC 9497 §2.2.1).
fn weights(key: &PublicKey, blinded: &[u8], evaluated: &[u8]) -> Vec<Scalar> {
    let mut hash = Sha512::new_with_prefix(two_bytes(ELEMENT_BYTES));
    hash.update(key.as_bytes());
    hash.update(two_bytes(VOPRF.seed_dst.len()));
    hash.update(&VOPRF.seed_dst);
    let seed: [u8; 64] = hash.finalize().into();

    let (blinded, _) = blinded.as_chunks::<ELEMENT_BYTES>();
    let (evaluated, _) = evaluated.as_chunks::<ELEMENT_BYTES>();
    let mut transcript = CompositeTranscript::new(&seed);
    VOPRF.hash_each_to_scalar(blinded.len().min(evaluated.len()), |index, message| {
        let (blinded, evaluated) = (&blinded[index], &evaluated[index]);
        message.push(transcript.of(two_bytes(index), blinded, evaluated));
    })
}

/// compositeTranscript of RFC 9497 §2.2.1 in one buffer, in which only the index and the elements change.
struct CompositeTranscript([u8; Self::BYTES]);

impl CompositeTranscript {
    const INDEX: usize = 2 + 64;
    const BLINDED: usize = Self::INDEX + 2 + 2;
    const EVALUATED: usize = Self::BLINDED + ELEMENT_BYTES + 2;
    const LABEL: usize = Self::EVALUATED + ELEMENT_BYTES;
    const BYTES: usize = Self::LABEL + b"Composite".len();

    fn new(seed: &[u8; 64]) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes[..2].copy_from_slice(&two_bytes(seed.len()));
        bytes[2..Self::INDEX].copy_from_slice(seed);
        bytes[Self::BLINDED - 2..Self::BLINDED].copy_from_slice(&two_bytes(ELEMENT_BYTES));
        bytes[Self::EVALUATED - 2..Self::EVALUATED].copy_from_slice(&two_bytes(ELEMENT_BYTES));
        bytes[Self::LABEL..].copy_from_slice(b"Composite");
        Self(bytes)
    }

    fn of(
        &mut self,
        index: [u8; 2],
        blinded: &[u8; ELEMENT_BYTES],
        evaluated: &[u8; ELEMENT_BYTES],
    ) -> &[u8] {
        self.0[Self::INDEX..Self::INDEX + 2].copy_from_slice(&index);
        self.0[Self::BLINDED..][..ELEMENT_BYTES].copy_from_slice(blinded);
        self.0[Self::EVALUATED..][..ELEMENT_BYTES].copy_from_slice(evaluated);
        &self.0
    }
}

/// The challenge c over pk, M, Z, t2 and t3 (RFC 9497 §2.2.1).
fn challenge(key: &PublicKey, points: [Point; 4]) -> Scalar {
    let length = two_bytes(ELEMENT_BYTES);
    let [m, z, t2, t3] = points.map(|point| point.encode());
    VOPRF.hash_to_scalar(&[
        &length,
        key.as_bytes(),
        &length,
        &m,
        &length,
        &z,
        &length,
        &t2,
        &length,
        &t3,
        b"Challenge",
    ])
}
