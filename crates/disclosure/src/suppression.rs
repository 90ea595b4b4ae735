//! Suppression: the same false hit is not worked twice.

use std::fmt;

use concordat_ledger::{Digest, Hex, Text};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::agreement::ahead;
use crate::codes::{CaseOutcome, Comparison};
use crate::event::What;
use crate::rule::{Refused, SUPPRESSION};

const DAYS_AT_MOST: u16 = 366;

/// The key of one agreement's suppressions at one agency: 32 random bytes. **Secret**: without it a suppression tag links to nothing, and
/// tags of two agreements are not comparable. Wiped when dropped, not shown by `Debug`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SuppressionKey([u8; 32]);

impl SuppressionKey {
    /// Takes 32 bytes from a random generator, or from where they were kept.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The tag of a pair: our own record and what it hit at the partner.
    ///
    /// `ours` names our own record or subject by its id in its list, `theirs` the partner's side of the hit by what stays the same over
    /// epochs: at the owner its record's id; at the requester, who has only tags, a digest of its own identifier that hit.
    pub fn tag(&self, agreement: &Text, ours: &[u8], theirs: &[u8]) -> SuppressionTag {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in [
            b"concordat/v1/suppression".as_slice(),
            agreement.as_str().as_bytes(),
            ours,
            theirs,
        ] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        SuppressionTag(Hex(mac.finalize().into_bytes().into()))
    }
}

impl fmt::Debug for SuppressionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SuppressionKey(redacted)")
    }
}

/// A pair of records, known to whoever has the key. Stays with the agency that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SuppressionTag(pub Digest);

/// A pair that is known to be two different people, until a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// The pair.
    pub tag: SuppressionTag,
    /// From when on it is worked again: records change, and people err.
    pub until: Timestamp,
}

impl Suppression {
    /// Suppresses a pair for `days` after the step in which a person answered DIFFERENT or stated that the hit was false.
    ///
    /// # Errors
    /// [`SUPPRESSION`] for any other step, for 0 days and for more than 366.
    pub fn after(what: &What, at: Timestamp, tag: SuppressionTag, days: u16) -> Result<Self, Refused> {
        let false_hit = match what {
            What::Confirmed(said) => said.comparison == Comparison::Different,
            What::Outcome(stated) => stated.outcome == CaseOutcome::False,
            _ => false,
        };
        SUPPRESSION.unless(false_hit && (1..=DAYS_AT_MOST).contains(&days))?;
        let until = ahead(at, SignedDuration::from_hours(24 * i64::from(days)));
        Ok(Self { tag, until })
    }

    /// Whether it still holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}
