//! An agreement's TOML, and the checks that make an [`Agreement`] of it.

use std::str::FromStr;

use concordat_identifiers::Kind;
use concordat_ledger::Retention;
use concordat_note::VerifierKey;
use concordat_wire::Fault;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    Agreement, LIMITS, MARKER, MAX_EVALUATIONS, Offer, Padding, Party, console, disclosure, is_label,
    purpose_from_name,
};
use crate::config::is_agency_id;

const MAX_OFFERS: usize = 256;

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
    log_retention: Option<Retention>,
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
                    "AGR-037",
                    field("disclosure_key_sha256"),
                    "64 lower-case hexadecimal digits",
                )
            })
        });
        let console = self.console.as_deref().map(|origin| {
            console(origin).map_err(|reason| Fault::invalid("AGR-038", field("console"), reason))
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
        if self.quota_per_epoch > MAX_EVALUATIONS {
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
