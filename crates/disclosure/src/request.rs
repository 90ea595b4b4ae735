//! The request for details, and the proof that it follows from a hit.

use std::collections::BTreeSet;
use std::fmt;

use concordat_ledger::{Digest, Hex, Person, Text};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::codes::{Field, IntendedUse, SubjectClass};
use crate::deadline::Urgency;
use crate::document::Document;
use crate::rule::{PROOF_OF_HIT, Refused};
use crate::text::Words;

/// The random id of a case, the same on both sides.
pub type CaseId = Hex<16>;

/// A hit: a match that a person of the requester has confirmed as SAME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmedBy {
    /// Who compared.
    pub person: Person,
    /// When.
    pub at: Timestamp,
    /// How: what was compared, in words that name nobody.
    pub method: Words,
}

/// What is sent to the owner. **Learned by the owner:** which record, who asks, why.
///
/// Its digest is what the proof of hit, the decision and the release are bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailRequest {
    /// The case.
    pub case: CaseId,
    /// The exchange that the hit came from.
    pub exchange: Hex<16>,
    /// The agreement.
    pub agreement: Text,
    /// The offer.
    pub offer: Text,
    /// The epoch of the tag.
    pub epoch: u64,
    /// The kind of identifier that hit, in the words of the agreement.
    pub kind: Text,
    /// The tag that hit.
    pub tag: Hex<16>,
    /// Who asks.
    pub requester: Text,
    /// Who is asked.
    pub owner: Text,
    /// SHA-256 of the disclosure key that a release is to be sealed to.
    pub recipient_key: Digest,
    /// When it was made.
    pub made: Timestamp,
    /// After this it is void.
    pub expires: Timestamp,
    /// The purpose, in the words of the agreement.
    pub purpose: Text,
    /// The legal basis.
    pub legal_basis: Text,
    /// What the details will be used for.
    pub intended_use: IntendedUse,
    /// Whom the query was about.
    pub subject: SubjectClass,
    /// The facts (Regulation (EU) 2024/982 Art. 47(1)(c)).
    pub facts: Words,
    /// The offence's code.
    pub offence: Text,
    /// Seriousness: the maximum penalty, in months of deprivation of liberty.
    pub max_penalty_months: u32,
    /// What is asked for. At least one field.
    pub fields: BTreeSet<Field>,
    /// How urgent.
    pub urgency: Urgency,
    /// To whom the requester wants to pass it on.
    pub onward: BTreeSet<Text>,
    /// Who confirmed the hit.
    pub confirmed: ConfirmedBy,
    /// The requesting officer.
    pub by: Person,
    /// The officer who ordered it; the same person if nobody else did.
    pub ordered_by: Person,
}

impl Document for DetailRequest {
    const KIND: &'static str = "concordat/v1/detail-request";
}

/// Bytes 32 to 63 of the PRF output of an identifier: only who holds the identifier and had it evaluated has it.
///
/// **Secret.** Wiped when dropped, not shown by `Debug`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EscalationKey([u8; 32]);

impl EscalationKey {
    /// Takes the key; see `Output::escalation_key` of `concordat-oprf`.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    fn mac(&self, request: &Digest) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.chain_update(request.0)
    }
}

impl fmt::Debug for EscalationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EscalationKey(redacted)")
    }
}

/// `HMAC-SHA-256(escalation key, request digest)`. The tag is in the request, and so in the digest.
///
/// A snapshot's tags do not give the escalation key: a tag picked out of a snapshot cannot ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProofOfHit(pub Hex<32>);

impl ProofOfHit {
    /// Proves the hit of `request`.
    ///
    /// # Errors
    /// As [`Document::encode`].
    pub fn new(key: &EscalationKey, request: &DetailRequest) -> Result<Self, Refused> {
        let mac = key.mac(&request.digest()?).finalize();
        Ok(Self(Hex(mac.into_bytes().into())))
    }

    /// Verifies in constant time. `key` is the one that the owner computed for the record with the request's tag; if it has no such
    /// record, it gives a random key here, so that the answer and its time are those of a wrong proof.
    ///
    /// # Errors
    /// [`PROOF_OF_HIT`]: count it, and raise an alarm. Nobody is to see the request.
    pub fn verify(&self, key: &EscalationKey, request: &DetailRequest) -> Result<(), Refused> {
        key.mac(&request.digest()?)
            .verify_slice(&self.0.0)
            .map_err(|_| PROOF_OF_HIT.refused())
    }
}
