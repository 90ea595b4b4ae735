//! The document two agencies signed: what may be asked, by whom, for what, how often.
//!
//! It is a TOML text that people read and both nodes parse, carried in a C2SP signed note. Its first line is
//! [`MARKER`], so that a signature on an agreement can never pass for one on anything else. Every check names a rule
//! of `docs/rules.md` and the field that broke it; both sides run the same checks.

mod disclosure;

use std::collections::BTreeMap;
use std::str::FromStr;

use concordat_disclosure::{RelyingParty, Rules};

use concordat_identifiers::Kind;
use concordat_note::{Limits, Note, Policy, VerifierKey};
use concordat_wire::v1::Purpose;
use concordat_wire::{Fault, Reason};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::config::{Keep, is_agency_id};
use crate::tls::SpkiPin;

pub use disclosure::console;

/// First line of every agreement's text.
pub const MARKER: &str = "# concordat/v1/agreement\n";

/// Bounds a document before it is parsed.
const LIMITS: Limits = Limits {
    max_bytes: 256 << 10,
    max_signatures: 8,
};
const MAX_OFFERS: usize = 256;

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
    pub log_retention: Option<Keep>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    agreement: Head,
    #[serde(default)]
    party: Vec<PartyText>,
    #[serde(default)]
    offer: Vec<OfferText>,
    #[serde(default)]
    disclosure: Vec<disclosure::DisclosureText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    id: String,
    title: String,
    profile: String,
    suite: String,
    valid_from: String,
    valid_until: String,
    epoch_days: u32,
    legal_bases: Vec<String>,
    #[serde(default)]
    log_retention: Option<Keep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartyText {
    id: String,
    name: String,
    identity_key: String,
    tls_spki_sha256: String,
    endpoint: String,
    #[serde(default)]
    disclosure_key_sha256: Option<String>,
    #[serde(default)]
    console: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferText {
    id: String,
    owner: String,
    requester: String,
    lists: Vec<String>,
    kind: String,
    purposes: Vec<String>,
    quota_per_day: u64,
    quota_per_epoch: u64,
    reveal: Reveal,
    padding: Padding,
    max_age_h: u32,
    disclosure_profile: String,
}

/// Who learns of a hit. The protocol reveals it to the requester only; the field is spelled out so that a later
/// mode can never be read into an old document.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reveal {
    RequesterOnly,
}

impl Agreement {
    /// Checks a document's text.
    ///
    /// # Errors
    /// The rule and field that are broken.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > LIMITS.max_bytes {
            return Err(Fault::invalid(
                "AGR-001",
                "",
                "the document is larger than 256 KiB",
            ));
        }
        if !text.starts_with(MARKER) {
            return Err(Fault::invalid(
                "AGR-001",
                "",
                format!("the first line must be {}", MARKER.trim_end()),
            ));
        }
        let document: Document = toml::from_str(text)
            .map_err(|error| Fault::invalid("AGR-002", "", format!("not an agreement: {error}")))?;
        let head = document.agreement;
        let id = check_id("agreement.id", &head.id)?;
        if head.profile != concordat_identifiers::PROFILE {
            return Err(Fault::invalid(
                "AGR-003",
                "agreement.profile",
                format!("this node normalises by {}", concordat_identifiers::PROFILE),
            ));
        }
        if head.suite != concordat_wire::SUITE {
            return Err(Fault::invalid(
                "AGR-004",
                "agreement.suite",
                format!("this node speaks {}", concordat_wire::SUITE),
            ));
        }
        let valid_from = timestamp("agreement.valid_from", &head.valid_from)?;
        let valid_until = timestamp("agreement.valid_until", &head.valid_until)?;
        if valid_until <= valid_from {
            return Err(Fault::invalid(
                "AGR-005",
                "agreement.valid_until",
                "must be later than valid_from",
            ));
        }
        if !(1..=366).contains(&head.epoch_days) {
            return Err(Fault::invalid("AGR-006", "agreement.epoch_days", "1 to 366 days"));
        }
        if head.legal_bases.is_empty() || head.legal_bases.iter().any(|basis| !is_label(basis)) {
            return Err(Fault::invalid(
                "AGR-007",
                "agreement.legal_bases",
                "one or more, each 1 to 128 characters",
            ));
        }
        let parties = document
            .party
            .iter()
            .map(PartyText::check)
            .collect::<Result<Vec<_>, _>>()?;
        let [first, second] = parties.as_slice() else {
            return Err(Fault::invalid(
                "AGR-008",
                "party",
                "an agreement has exactly two parties",
            ));
        };
        if first.id == second.id || first.identity == second.identity || first.tls_spki == second.tls_spki {
            return Err(Fault::invalid(
                "AGR-008",
                "party",
                "the two parties must differ in id and keys",
            ));
        }
        if document.offer.is_empty() || document.offer.len() > MAX_OFFERS {
            return Err(Fault::invalid("AGR-009", "offer", "one to 256 offers"));
        }
        let mut offers: Vec<Offer> = Vec::with_capacity(document.offer.len());
        for (index, offer) in document.offer.iter().enumerate() {
            let offer = offer.check(index, &parties)?;
            if offers.iter().any(|other| other.id == offer.id) {
                return Err(Fault::invalid(
                    "AGR-009",
                    format!("offer[{index}].id"),
                    "used twice",
                ));
            }
            offers.push(offer);
        }
        let disclosure = disclosure::rules(&id, &head.legal_bases, &parties, &offers, document.disclosure)?;
        Ok(Self {
            digest: Sha256::digest(text).into(),
            id,
            title: head.title,
            valid_from,
            valid_until,
            epoch: SignedDuration::from_hours(i64::from(head.epoch_days) * 24),
            legal_bases: head.legal_bases,
            log_retention: head.log_retention,
            parties,
            offers,
            disclosure,
        })
    }

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

impl PartyText {
    fn check(&self) -> Result<Party, Fault> {
        let id = check_id("party.id", &self.id)?;
        let field = |name: &str| format!("party[{id}].{name}");
        let identity = VerifierKey::from_str(&self.identity_key).map_err(|error| {
            Fault::invalid("AGR-012", field("identity_key"), format!("not a key: {error}"))
        })?;
        if identity.name() != id {
            return Err(Fault::invalid(
                "AGR-012",
                field("identity_key"),
                "the key's name must be the party's id",
            ));
        }
        let mut tls_spki = [0; 32];
        hex::decode_to_slice(&self.tls_spki_sha256, &mut tls_spki)
            .map_err(|_| Fault::invalid("AGR-013", field("tls_spki_sha256"), "64 hexadecimal digits"))?;
        let endpoint = self.endpoint.parse().map_err(|reason| {
            Fault::invalid(
                "AGR-014",
                field("endpoint"),
                format!("{reason}: https://host:port"),
            )
        })?;
        let disclosure_key = self.disclosure_key_sha256.as_deref().map(|text| {
            disclosure::digest(text).ok_or_else(|| {
                Fault::invalid(
                    "AGR-032",
                    field("disclosure_key_sha256"),
                    "64 lower-case hexadecimal digits",
                )
            })
        });
        let console = self.console.as_deref().map(|origin| {
            console(origin).map_err(|reason| Fault::invalid("AGR-033", field("console"), reason))
        });
        Ok(Party {
            disclosure_key: disclosure_key.transpose()?,
            console: console.transpose()?,
            id,
            name: self.name.clone(),
            identity,
            tls_spki,
            endpoint,
        })
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

impl OfferText {
    fn check(&self, index: usize, parties: &[Party]) -> Result<Offer, Fault> {
        let field = |name: &str| format!("offer[{index}].{name}");
        let id = check_id(&field("id"), &self.id)?;
        let is_party = |id: &str| parties.iter().any(|party| party.id == id);
        if !is_party(&self.owner) || !is_party(&self.requester) || self.owner == self.requester {
            return Err(Fault::invalid(
                "AGR-015",
                field("owner"),
                "owner and requester must be the two parties of the agreement",
            ));
        }
        if self.lists.is_empty() || self.lists.iter().any(|list| !is_agency_id(list)) {
            return Err(Fault::invalid(
                "AGR-016",
                field("lists"),
                "one or more names of the owner's lists",
            ));
        }
        let kind = Kind::from_str(&self.kind).map_err(|_| {
            let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            Fault::invalid("AGR-017", field("kind"), format!("one of {}", known.join(", ")))
        })?;
        let purposes = self
            .purposes
            .iter()
            .map(|name| {
                purpose_from_name(name).ok_or_else(|| {
                    Fault::invalid(
                        "AGR-018",
                        field("purposes"),
                        "not a purpose of the code list (docs/rules.md)",
                    )
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if purposes.is_empty() {
            return Err(Fault::invalid("AGR-018", field("purposes"), "at least one"));
        }
        if self.quota_per_day == 0 || self.quota_per_epoch < self.quota_per_day {
            return Err(Fault::invalid(
                "AGR-019",
                field("quota_per_epoch"),
                "quota_per_day must be at least 1 and quota_per_epoch no less than it",
            ));
        }
        // Static Diffie-Hellman costs log2(Q)/2 bits: a key ends long before 2^30 evaluations (docs/protocol.md).
        if self.quota_per_epoch > 1 << 30 {
            return Err(Fault::invalid(
                "AGR-020",
                field("quota_per_epoch"),
                "at most 2^30 evaluations per key",
            ));
        }
        if !(1..=24 * 366).contains(&self.max_age_h) {
            return Err(Fault::invalid(
                "AGR-021",
                field("max_age_h"),
                "1 hour to 366 days",
            ));
        }
        if !is_label(&self.disclosure_profile) {
            return Err(Fault::invalid(
                "AGR-022",
                field("disclosure_profile"),
                "1 to 128 characters",
            ));
        }
        let Reveal::RequesterOnly = self.reveal;
        Ok(Offer {
            id,
            owner: self.owner.clone(),
            requester: self.requester.clone(),
            lists: self.lists.clone(),
            kind,
            purposes,
            quota_per_day: self.quota_per_day,
            quota_per_epoch: self.quota_per_epoch,
            padding: self.padding,
            max_age_s: u64::from(self.max_age_h) * 3_600,
            disclosure_profile: self.disclosure_profile.clone(),
        })
    }
}

fn check_id(field: &str, id: &str) -> Result<String, Fault> {
    if is_agency_id(id) {
        Ok(id.to_owned())
    } else {
        Err(Fault::invalid(
            "AGR-023",
            field,
            "1 to 64 lower-case letters, digits, '-' or '.', starting with a letter or digit",
        ))
    }
}

fn timestamp(field: &str, text: &str) -> Result<Timestamp, Fault> {
    text.parse()
        .map_err(|_| Fault::invalid("AGR-005", field, "an RFC 3339 time such as 2026-11-01T00:00:00Z"))
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
#[path = "agreement_tests.rs"]
mod tests;
