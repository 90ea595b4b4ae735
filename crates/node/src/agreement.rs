//! The document two agencies signed: what may be asked, by whom, for what, how often.
//!
//! It is a TOML text that people read and both nodes parse, carried in a C2SP signed note. Its first line is
//! [`MARKER`], so that a signature on an agreement can never pass for one on anything else. Every check names a rule
//! of `docs/rules.md` and the field that broke it; both sides run the same checks.

mod disclosure;
mod text;

use std::collections::BTreeMap;
use std::str::FromStr;

use concordat_disclosure::{RelyingParty, Rules};
use concordat_identifiers::Kind;
use concordat_ledger::Retention;
use concordat_note::{Limits, Note, Policy, VerifierKey};
use concordat_wire::v1::Purpose;
use concordat_wire::{Fault, Reason};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::tls::SpkiPin;

pub use disclosure::console;

/// First line of every agreement's text.
pub const MARKER: &str = "# concordat/v1/agreement\n";

/// Evaluations of one key, at most. Static Diffie-Hellman costs log2(Q)/2 bits: a key ends long before it (docs/protocol.md).
pub const MAX_EVALUATIONS: u64 = 1 << 30;

/// Bounds a document before it is parsed.
const LIMITS: Limits = Limits {
    max_bytes: 256 << 10,
    max_signatures: 8,
};

/// An agreement whose text has been checked. Signatures are a separate question: [`Agreement::signers`].
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// SHA-256 of the text.
    pub digest: [u8; 32],
    /// Unique between the two parties.
    pub id: String,
    /// For people.
    pub title: String,
    /// From when queries are allowed.
    pub valid_from: Timestamp,
    /// Until when.
    pub valid_until: Timestamp,
    /// Lifetime of a scope's key.
    pub epoch: SignedDuration,
    /// Legal bases a query may name.
    pub legal_bases: Vec<String>,
    /// How long both sides keep what their ledgers say of exchanges under it; each as it is configured, if `None`.
    pub log_retention: Option<Retention>,
    /// Exactly two.
    pub parties: Vec<Party>,
    /// What may be asked.
    pub offers: Vec<Offer>,
    /// What follows a hit, by offer.
    disclosure: BTreeMap<String, Rules>,
}

/// One of the two agencies.
#[derive(Clone, Debug, PartialEq)]
pub struct Party {
    /// Short id.
    pub id: String,
    /// For people.
    pub name: String,
    /// The identity that signs agreements, keys and snapshots; its name is the party's id.
    pub identity: VerifierKey,
    /// SHA-256 of the public key its node shows in TLS.
    pub tls_spki: SpkiPin,
    /// Where its node is.
    pub endpoint: Endpoint,
    /// SHA-256 of the key that releases and messages to it are sealed to.
    pub disclosure_key: Option<concordat_ledger::Digest>,
    /// Where its officers sign.
    pub console: Option<RelyingParty>,
}

/// `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// One line of an agreement.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Unique within the agreement.
    pub id: String,
    /// Whose list is asked.
    pub owner: String,
    /// Who asks.
    pub requester: String,
    /// The owner's lists, by name.
    pub lists: Vec<String>,
    /// What is matched.
    pub kind: Kind,
    /// For what.
    pub purposes: Vec<Purpose>,
    /// Padded elements per UTC day.
    pub quota_per_day: u64,
    /// Padded elements per epoch.
    pub quota_per_epoch: u64,
    /// How a query's size is hidden.
    pub padding: Padding,
    /// How long a snapshot may be used after its `as_of`.
    pub max_age_s: u64,
    /// Name of the rules for what follows a hit.
    pub disclosure_profile: String,
}

/// How a query's size is hidden: the owner sees only the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Powers of two from 16: at most twice the elements.
    Octave,
    /// Four steps between powers of two: at most a quarter more elements, two bits more about the size.
    QuarterOctave,
}

impl Padding {
    /// The smallest class that holds `elements`.
    pub fn class(self, elements: usize) -> usize {
        let octave = elements.max(16).next_power_of_two();
        match self {
            Self::Octave => octave,
            Self::QuarterOctave if octave <= 16 => octave,
            Self::QuarterOctave => {
                let step = octave / 8;
                elements.div_ceil(step) * step
            }
        }
    }
}

impl Agreement {
    /// Reads a signed note and checks its text.
    ///
    /// # Errors
    /// Not a note, or as [`Agreement::parse`].
    pub fn from_note(note: &str) -> Result<(Self, Note), Fault> {
        let note = Note::parse(note.as_bytes(), LIMITS)
            .map_err(|error| Fault::invalid("AGR-010", "note", format!("not a signed document: {error}")))?;
        // The text says who must have signed it; `signers` then holds it to that.
        let agreement = Self::parse(note.unverified_text())?;
        Ok((agreement, note))
    }

    /// The parties whose signature on `note` holds.
    ///
    /// # Errors
    /// A signature of a party that does not verify.
    pub fn signers(&self, note: &Note) -> Result<Vec<String>, Fault> {
        let keys: Vec<VerifierKey> = self.parties.iter().map(|party| party.identity.clone()).collect();
        match note.open(&keys, Policy::Any) {
            Ok(opened) => Ok(opened.verified.iter().map(|name| (*name).to_owned()).collect()),
            Err(concordat_note::NoteError::NotSigned) => Ok(Vec::new()),
            Err(error) => Err(Fault::invalid(
                "AGR-011",
                "note",
                format!("a signature does not hold: {error}"),
            )),
        }
    }

    /// The other party, if we are one.
    pub fn partner_of(&self, us: &str) -> Option<&Party> {
        match self.parties.as_slice() {
            [first, second] if first.id == us => Some(second),
            [first, second] if second.id == us => Some(first),
            _ => None,
        }
    }

    /// An offer by id.
    pub fn offer(&self, id: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.id == id)
    }

    /// What follows a hit in an offer; `None` where its `disclosure_profile` has no block: details are asked for by other
    /// means.
    pub fn disclosure_rules(&self, offer: &Offer) -> Option<&Rules> {
        self.disclosure.get(&offer.id)
    }

    /// The number of the epoch at a time, counted from `valid_from`; `None` outside the agreement's validity.
    pub fn epoch_at(&self, now: Timestamp) -> Option<u32> {
        if now < self.valid_from || now >= self.valid_until {
            return None;
        }
        let elapsed = now.as_second() - self.valid_from.as_second();
        u32::try_from(elapsed / self.epoch.as_secs()).ok()
    }

    /// First second of an epoch, and first second after it.
    pub fn epoch_bounds(&self, epoch: u32) -> (i64, i64) {
        let start = self
            .valid_from
            .as_second()
            .saturating_add(i64::from(epoch) * self.epoch.as_secs());
        (
            start,
            start
                .saturating_add(self.epoch.as_secs())
                .min(self.valid_until.as_second()),
        )
    }

    /// How long the key of an ended epoch still answers, so that nobody goes blind while the next snapshot is
    /// fetched: a twelfth of the epoch, at most a day.
    pub fn grace_s(&self) -> i64 {
        (self.epoch.as_secs() / 12).min(86_400)
    }

    /// Whether the scope of `epoch` may still be used.
    pub fn epoch_usable(&self, epoch: u32, now: Timestamp) -> bool {
        let (start, end) = self.epoch_bounds(epoch);
        let second = now.as_second();
        self.epoch_at(now).is_some() && second >= start && second < end.saturating_add(self.grace_s())
    }

    /// Checks one query against the document; both sides call it.
    ///
    /// # Errors
    /// `NotPermitted` with the field and rule that failed.
    pub fn permits(
        &self,
        offer: &Offer,
        purpose: Purpose,
        legal_basis: &str,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let refuse = |rule, field: &str, message: String| {
            Err(Fault::new(Reason::NotPermitted, rule, message).field(field))
        };
        if self.epoch_at(now).is_none() {
            return refuse(
                "AGR-101",
                "agreement",
                format!(
                    "agreement {} is valid from {} until {}",
                    self.id, self.valid_from, self.valid_until
                ),
            );
        }
        if !offer.purposes.contains(&purpose) {
            return refuse(
                "AGR-102",
                "purpose",
                format!(
                    "offer {} does not permit purpose {}",
                    offer.id,
                    purpose_name(purpose)
                ),
            );
        }
        if !self.legal_bases.iter().any(|basis| basis == legal_basis) {
            return refuse(
                "AGR-103",
                "legal_basis",
                format!("agreement {} names {}", self.id, self.legal_bases.join(", ")),
            );
        }
        Ok(())
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("https://").ok_or("must start with https://")?;
        let (host, port) = rest
            .trim_end_matches('/')
            .rsplit_once(':')
            .ok_or("a port is missing")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(allowed) {
            return Err("not a host name or address");
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.parse().map_err(|_| "not a port")?,
        })
    }
}

/// Whether a text may stand in a log line or a header: printable, 1 to 128 characters.
pub fn is_label(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A purpose's name in the code list, for example `BORDER_CHECK`.
pub fn purpose_name(purpose: Purpose) -> &'static str {
    purpose.as_str_name().trim_start_matches("PURPOSE_")
}

/// A purpose of the code list by its name.
pub fn purpose_from_name(name: &str) -> Option<Purpose> {
    Purpose::from_str_name(&format!("PURPOSE_{name}")).filter(|purpose| *purpose != Purpose::Unspecified)
}

#[cfg(test)]
mod tests;
