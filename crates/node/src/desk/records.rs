//! The owner's own records behind a tag, and what they say for the fields that are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use concordat_disclosure::codes::Field;
use concordat_disclosure::{DetailRequest, EscalationKey, Words};
use concordat_identifiers::{BirthDate, Name, NameText, Subject};
use concordat_store::{Record, Selection};
use concordat_wire::{Fault, Reason};

use super::load::Terms;
use super::stored;
use crate::import::OpenedPayload;
use crate::keys::KEY_DESTROYED;
use crate::publish::selection;
use crate::rows::identifier_of;
use crate::state::State;

/// A record of ours, as a person sees it who decides.
#[derive(Clone)]
pub struct OwnRecord {
    /// On which list.
    pub list: String,
    /// The list's own id of it.
    pub source_id: String,
    /// Names, births, documents, other identifiers.
    pub subject: Subject,
    /// What the source says besides, by the source's own names.
    pub published: BTreeMap<String, Vec<String>>,
}

impl std::fmt::Debug for OwnRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnRecord")
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

/// What is behind the tag of a request.
pub(super) struct Behind {
    /// Proves a hit on it.
    pub(super) key: EscalationKey,
    /// The visible records.
    pub(super) records: Vec<OwnRecord>,
    /// Who wrote them.
    pub(super) authors: BTreeSet<String>,
}

/// What is behind the tag of a request; nothing for a tag that is no record's, or of an epoch that is over.
pub(super) async fn behind(
    state: &Arc<State>,
    terms: &Terms,
    request: &DetailRequest,
) -> Result<Option<Behind>, Fault> {
    let Ok(epoch) = u32::try_from(request.epoch) else {
        return Ok(None);
    };
    let (agreement, offer) = (&terms.entry.agreement, &terms.offer);
    let selection = selection(state, offer).await?;
    let key = match state.own_keys.get(state, (agreement, offer, epoch)).await {
        // Once the epoch's key is destroyed nobody finds a record by its tags, and a case goes on without it.
        Err(fault) if fault.rule == KEY_DESTROYED => return Ok(None),
        key => key?,
    };
    let refs = state
        .store
        .records_by_tag(key.scope, &selection, &request.tag.0)
        .await
        .map_err(|error| stored(&error))?;
    let Some(first) = refs.first() else {
        return Ok(None);
    };
    let identifiers = state
        .store
        .record_identifiers(first.record)
        .await
        .map_err(|error| stored(&error))?;
    let inputs = identifiers
        .iter()
        .filter(|indexed| indexed.identifier.kind == selection.kind);
    let inputs: Vec<_> = inputs
        .filter_map(|indexed| identifier_of(&indexed.identifier))
        .map(|identifier| identifier.oprf_input())
        .collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(|input| input.as_slice()).collect();
    let outputs = key
        .pair
        .evaluate_own(&inputs)
        .map_err(|_| Fault::internal("evaluating an identifier of ours"))?;
    let output = outputs.iter().find(|output| output.tag() == request.tag.0);
    let Some(output) = output else {
        return Ok(None);
    };
    let mut behind = Behind {
        key: EscalationKey::new(&output.escalation_key()),
        records: Vec::with_capacity(refs.len()),
        authors: BTreeSet::new(),
    };
    for found in &refs {
        let record = state
            .store
            .record(found.list, &found.source_id)
            .await
            .map_err(|error| stored(&error))?;
        if let Some(record) = record {
            let mut own = read(&record)?;
            own.list = list_name(&selection, offer, &record);
            behind.records.push(own);
            behind.authors.extend(record.authors);
        }
    }
    Ok(Some(behind))
}

fn list_name(selection: &Selection, offer: &crate::agreement::Offer, record: &Record) -> String {
    let place = selection.lists.iter().position(|list| *list == record.list);
    let name = place.and_then(|place| offer.lists.get(place));
    name.cloned().unwrap_or_default()
}

/// What a record says.
pub(super) fn read(record: &Record) -> Result<OwnRecord, Fault> {
    let payload: OpenedPayload = serde_json::from_slice(&record.payload)
        .map_err(|_| Fault::new(Reason::DataLoss, "DESK-009", "a record of ours cannot be read"))?;
    Ok(OwnRecord {
        list: String::new(),
        source_id: record.source_id.clone(),
        subject: payload.subject,
        published: payload.published,
    })
}

/// What our records say for each field; a person looks at it before anything is decided.
pub(super) fn suggest<'a>(
    fields: impl IntoIterator<Item = &'a Field>,
    records: &[OwnRecord],
    us: &str,
) -> BTreeMap<Field, Vec<Words>> {
    let mut suggested = BTreeMap::new();
    for field in fields {
        let mut values: Vec<Words> = Vec::new();
        for record in records {
            for value in values_of(field, record, us) {
                let Ok(value) = Words::new(&value) else { continue };
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        suggested.insert(field.clone(), values);
    }
    suggested
}

fn values_of(field: &Field, record: &OwnRecord, us: &str) -> Vec<String> {
    let subject = &record.subject;
    let published = |names: &[&str]| -> Vec<String> {
        let named = names.iter().filter_map(|name| record.published.get(*name));
        named.flatten().cloned().collect()
    };
    match field {
        Field::FirstNames => subject.names.iter().take(1).filter_map(first_names).collect(),
        Field::FamilyNames => subject.names.iter().take(1).map(family_names).collect(),
        Field::OtherNames => subject.names.iter().skip(1).map(whole).collect(),
        Field::DateOfBirth => subject.births.iter().map(date).collect(),
        Field::Nationalities => published(&["nationality"]),
        Field::PlaceOfBirth => published(&["place_of_birth"]),
        Field::Gender => published(&["gender"]),
        Field::BiometricsTaken => Vec::new(),
        Field::Offence => published(&["offence", "programme"]),
        Field::CaseNumber => vec![record.source_id.clone()],
        Field::Authority => vec![us.to_owned()],
        Field::Listed(_) => published(&[field.name()]),
    }
}

fn first_names(name: &Name) -> Option<String> {
    match &name.text {
        NameText::Parts { secondary, .. } if !secondary.is_empty() => Some(secondary.clone()),
        _ => None,
    }
}

/// The family name; the whole name where the source does not tell them apart.
fn family_names(name: &Name) -> String {
    match &name.text {
        NameText::Parts { primary, .. } => primary.clone(),
        NameText::Whole(whole) => whole.clone(),
    }
}

fn whole(name: &Name) -> String {
    match &name.text {
        NameText::Parts { primary, secondary } => format!("{primary}, {secondary}"),
        NameText::Whole(whole) => whole.clone(),
    }
}

/// As far as it is known: `1970-05-17`, `1970-05`, `1970`, `1968/1970`.
pub fn date(birth: &BirthDate) -> String {
    match birth {
        BirthDate::Day { year, month, day } => format!("{year:04}-{month:02}-{day:02}"),
        BirthDate::Month { year, month } => format!("{year:04}-{month:02}"),
        BirthDate::Year { year } => format!("{year:04}"),
        BirthDate::Years { from, to } => format!("{from:04}/{to:04}"),
    }
}
