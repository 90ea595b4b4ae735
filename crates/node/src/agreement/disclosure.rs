//! What an agreement says about what follows a hit: its blocks `[[disclosure]]`.

use std::collections::{BTreeMap, BTreeSet};

use concordat_disclosure::codes::{Classification, Field, HandlingCode};
use concordat_disclosure::deadline::Profile;
use concordat_disclosure::{Bulk, Quorum, RelyingParty, Rules};
use concordat_ledger::{Digest, Text};
use concordat_wire::Fault;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{Offer, Party, purpose_name};

/// A block `[[disclosure]]`: the rules for the offers whose `disclosure_profile` names it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisclosureText {
    profile: String,
    #[serde(default = "prum", deserialize_with = "deadlines")]
    deadlines: Profile,
    #[serde(default = "all_fields")]
    fields: BTreeSet<Field>,
    #[serde(default)]
    second_approver: BTreeSet<Field>,
    #[serde(default)]
    quorum: Vec<Quorum>,
    #[serde(default = "one")]
    refusal_approvers: u8,
    #[serde(default)]
    file_keys: bool,
    #[serde(default = "bulk")]
    bulk: Bulk,
    #[serde(default)]
    min_penalty_months: u32,
    #[serde(default = "all_handling")]
    handling: BTreeSet<HandlingCode>,
    #[serde(default = "restricted")]
    max_classification: Classification,
    #[serde(default = "a_month")]
    max_open_days: u16,
    #[serde(default = "three_years")]
    max_retention_days: u16,
    #[serde(default)]
    onward: BTreeSet<Text>,
    /// Those of the offer, if left out.
    #[serde(default)]
    purposes: Option<BTreeSet<Text>>,
    /// Those of the agreement, if left out.
    #[serde(default)]
    legal_bases: Option<BTreeSet<Text>>,
}

/// A regime by its name, or a table of what the two agencies agreed on.
fn deadlines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Profile, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    let read = match &value {
        toml::Value::Table(_) => value.try_into().map(Profile::Custom),
        _ => value.try_into(),
    };
    read.map_err(|error| D::Error::custom(error.message()))
}

fn prum() -> Profile {
    Profile::Prum
}

fn all_fields() -> BTreeSet<Field> {
    Field::CORE.into()
}

fn one() -> u8 {
    1
}

fn bulk() -> Bulk {
    Bulk {
        from: 50,
        wait_minutes: 10,
    }
}

fn all_handling() -> BTreeSet<HandlingCode> {
    HandlingCode::ALL.iter().copied().collect()
}

fn restricted() -> Classification {
    Classification::Restricted
}

fn a_month() -> u16 {
    30
}

fn three_years() -> u16 {
    1_096
}

/// The rules of each offer that has some, by its id.
///
/// # Errors
/// Two blocks of one name, a block that no offer names, rules that contradict themselves, a party without what they need.
pub(super) fn rules(
    id: &str,
    legal_bases: &[String],
    parties: &[Party],
    offers: &[Offer],
    blocks: Vec<DisclosureText>,
) -> Result<BTreeMap<String, Rules>, Fault> {
    let mut rules = BTreeMap::new();
    for (index, block) in blocks.iter().enumerate() {
        let field = |name: &str| format!("disclosure[{index}].{name}");
        if blocks[..index]
            .iter()
            .any(|before| before.profile == block.profile)
        {
            return Err(Fault::invalid("AGR-035", field("profile"), "used twice"));
        }
        let named = offers
            .iter()
            .filter(|offer| offer.disclosure_profile == block.profile);
        let mut used = false;
        for offer in named {
            let of_offer = rules_of(id, legal_bases, parties, offer, block)?;
            of_offer.check().map_err(|refused| {
                Fault::invalid(
                    "AGR-036",
                    field(refused.field.unwrap_or("profile")),
                    refused.to_string(),
                )
            })?;
            rules.insert(offer.id.clone(), of_offer);
            used = true;
        }
        if !used {
            return Err(Fault::invalid(
                "AGR-035",
                field("profile"),
                "no offer has this as its disclosure_profile",
            ));
        }
    }
    Ok(rules)
}

fn rules_of(
    id: &str,
    legal_bases: &[String],
    parties: &[Party],
    offer: &Offer,
    block: &DisclosureText,
) -> Result<Rules, Fault> {
    let party = |id: &str| parties.iter().find(|party| party.id == id);
    for party in parties {
        if party.disclosure_key.is_none() {
            return Err(Fault::invalid(
                "AGR-037",
                format!("party[{}].disclosure_key_sha256", party.id),
                "required where the agreement has rules of disclosure: paste the block of `concordat agreement party`",
            ));
        }
    }
    let console = party(&offer.owner).and_then(|owner| owner.console.clone());
    let console = console.ok_or_else(|| {
        Fault::invalid(
            "AGR-038",
            format!("party[{}].console", offer.owner),
            "required of an owner where the agreement has rules of disclosure: paste the block of `concordat agreement party`",
        )
    })?;
    let texts = |texts: &mut dyn Iterator<Item = &str>| -> Result<BTreeSet<Text>, Fault> {
        let texts = texts
            .map(|text| Text::new(text).map_err(|_| Fault::invalid("AGR-036", "disclosure", "not a text")));
        texts.collect()
    };
    let purposes = texts(&mut offer.purposes.iter().map(|purpose| purpose_name(*purpose)));
    let text =
        |text: &str| Text::new(text).map_err(|_| Fault::invalid("AGR-036", "disclosure", "not a text"));
    Ok(Rules {
        agreement: text(id)?,
        offer: text(&offer.id)?,
        requester: text(&offer.requester)?,
        owner: text(&offer.owner)?,
        purposes: block.purposes.clone().map_or(purposes, Ok)?,
        legal_bases: match &block.legal_bases {
            Some(bases) => bases.clone(),
            None => texts(&mut legal_bases.iter().map(String::as_str))?,
        },
        kinds: [text(offer.kind.name())?].into(),
        min_penalty_months: block.min_penalty_months,
        fields: block.fields.clone(),
        second_approver: block.second_approver.clone(),
        quorums: block.quorum.clone(),
        refusal_approvers: block.refusal_approvers,
        file_keys: block.file_keys,
        bulk: block.bulk.clone(),
        deadlines: block.deadlines.clone(),
        handling: block.handling.clone(),
        max_classification: block.max_classification,
        max_open_days: block.max_open_days,
        max_retention_days: block.max_retention_days,
        onward: block.onward.clone(),
        console,
    })
}

/// A console by its origin, `https://host:port`; the RP id is the host.
///
/// # Errors
/// Not such an origin.
pub fn console(origin: &str) -> Result<RelyingParty, &'static str> {
    let url = Url::parse(origin).map_err(|_| "not an address: https://host:port")?;
    let host = url
        .domain()
        .ok_or("a name is needed, no bare address: https://host:port")?;
    let plain = url.scheme() == "https" && url.origin().ascii_serialization() == origin;
    if !plain {
        return Err("exactly https://host:port, without a path, and without the port 443");
    }
    let text = |text: &str| Text::new(text).map_err(|_| "not an address: https://host:port");
    Ok(RelyingParty {
        id: text(host)?,
        origins: [text(origin)?].into(),
    })
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(text: &str) -> Option<Digest> {
    Digest::parse(text)
}
