//! From a match to a case: the requester's node opens one, for a person to compare.

use std::sync::Arc;
use std::time::Instant;

use concordat_disclosure::event::Hit;
use concordat_disclosure::{
    AnyCase, Case, CaseId, Documents, Step, Suppression, SuppressionKey, SuppressionTag, What,
};
use concordat_identifiers::{Identifier, Subject};
use concordat_ledger::{Hex, Side};
use concordat_store::{CasePrivate, CaseRow, CaseSide};
use concordat_wire::v1::{MatchItem, match_item};
use concordat_wire::{Fault, Reason, subject_to_proto};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keep::{Also, keep, project};
use super::load::{Loaded, Terms};
use super::stored;
use crate::agreement::Offer;
use crate::book::Entry;
use crate::ledger::text;
use crate::matching::{self, Context, Query};
use crate::rows::rule_number;
use crate::state::State;

/// How long the same false hit opens no case again, in days.
const SUPPRESSED_DAYS: u16 = 90;

/// An identifier of ours that a partner's list has.
pub struct Found {
    /// Which.
    pub identifier: Identifier,
    /// Its tag.
    pub tag: [u8; 16],
    /// Proves the hit to the partner. Secret.
    pub key: Zeroizing<[u8; 32]>,
}

/// What we hold about whom or what hit: for the person who compares. Sealed at rest, never sent.
#[derive(Clone, Serialize, Deserialize)]
pub struct HeldSubject {
    /// The caller's own reference of the item.
    pub item: String,
    /// As it was read.
    pub subject: Subject,
    /// The rule of the identifier that hit, `N1`.
    pub rule: String,
    /// `EXACT`, `STRONG`, `CANDIDATE`.
    pub grade: String,
    /// The case or flight of the query.
    pub case_reference: String,
    /// Who carried the query out.
    pub officer: String,
    /// Who ordered it.
    pub ordered_by: String,
    /// For the suppression: the identifier's number of rule and its canonical bytes.
    identifier: (u8, Vec<u8>),
}

impl std::fmt::Debug for HeldSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeldSubject(redacted)")
    }
}

/// Where a hit comes from.
pub struct Origin<'a> {
    /// Who asked and why.
    pub context: &'a Context,
    /// Under which agreement.
    pub entry: &'a Arc<Entry>,
    /// In which offer.
    pub offer: &'a Offer,
    /// In which epoch.
    pub epoch: u32,
    /// In which exchange.
    pub exchange: Uuid,
    /// The caller's own reference of the item.
    pub item: &'a str,
    /// What was asked about.
    pub subject: &'a Subject,
}

/// What became of a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A case is open; this hit, or the same one before, opened it.
    Case {
        /// Its id.
        id: CaseId,
        /// Its state, for people: of a case that was open before, as lists show it.
        state: String,
    },
    /// A person compared them lately, and they are two.
    KnownFalse,
    /// The agreement says nothing of disclosure.
    NoTerms,
}

/// Opens a case on a hit, unless the same is open or known to be false.
///
/// # Errors
/// The database or the ledger failed.
pub async fn open(state: &Arc<State>, origin: &Origin<'_>, found: &Found) -> Result<Opened, Fault> {
    let (agreement, offer) = (&origin.entry.agreement, origin.offer);
    if agreement.disclosure_rules(offer).is_none() {
        return Ok(Opened::NoTerms);
    }
    let store = &state.store;
    let open = store.open_case_of_tag(&agreement.id, &offer.id, origin.epoch, &found.tag);
    if let Some(open) = open.await.map_err(|error| stored(&error))? {
        let row = store.case_row(&open).await.map_err(|error| stored(&error))?;
        return Ok(Opened::Case {
            id: Hex(open),
            state: row.map(|row| row.state).unwrap_or_default(),
        });
    }
    let rule = found.identifier.rule();
    let held = HeldSubject {
        item: origin.item.to_owned(),
        subject: origin.subject.clone(),
        rule: rule.id().to_owned(),
        grade: found.identifier.grade().name().to_owned(),
        case_reference: origin.context.case_reference.clone(),
        officer: origin.context.officer.clone(),
        ordered_by: origin.context.ordered_by.clone(),
        identifier: (rule_number(rule), found.identifier.canonical().to_vec()),
    };
    let suppressed = tag(state, &agreement.id, &offer.id, &held).await?;
    if store
        .suppressed(&suppressed.0.0, state.now_ms())
        .await
        .map_err(|error| stored(&error))?
    {
        return Ok(Opened::KnownFalse);
    }
    let terms = Terms::of(state, &agreement.id, &offer.id).await?;
    let id = Hex(state.new_uuid().into_bytes());
    let now = Timestamp::from_millisecond(state.now_ms()).unwrap_or_else(|_| state.clock.now());
    let hit = Hit {
        exchange: Hex(origin.exchange.into_bytes()),
        tag: Hex(found.tag),
        kind: text(offer.kind.name()),
    };
    let step = Step {
        side: Side::Requester,
        at: now,
        by: None,
    };
    let documents = Documents::default();
    let case =
        Case::open(id, &terms.world(Side::Requester, &documents, &[]), &step, hit).map_err(super::refused)?;
    let case = AnyCase::from(case);
    let row = CaseRow {
        id: id.0,
        side: CaseSide::Requester,
        partner: origin.entry.partner.id.clone(),
        agreement: agreement.id.clone(),
        offer: offer.id.clone(),
        epoch: origin.epoch,
        kind: offer.kind.name().to_owned(),
        exchange: origin.exchange.into_bytes(),
        tag: found.tag,
        state: String::new(),
        waits_for: None,
        purpose: String::new(),
        urgency: String::new(),
        opened_ms: now.as_millisecond(),
        updated_ms: now.as_millisecond(),
        clock: None,
        expires_ms: None,
        step: 0,
        head: [0; 32],
    };
    let subject = serde_json::to_vec(&held).map_err(|_| Fault::internal("keeping what hit"))?;
    let also = Also {
        private: Some(CasePrivate {
            escalation_key: Some(found.key.clone()),
            subject: Some(Zeroizing::new(subject)),
            authors: None,
        }),
        ..Also::default()
    };
    keep(
        state,
        (&terms, &documents),
        &project(row, &case, &terms.rules, now),
        (0, &case),
        also,
    )
    .await?;
    Ok(Opened::Case {
        id,
        state: case.name().to_owned(),
    })
}

/// What we hold of whom or what hit.
pub(super) async fn held(state: &State, id: CaseId) -> Result<Option<HeldSubject>, Fault> {
    let private = state
        .store
        .case_private(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    let subject = private.and_then(|private| private.subject);
    let subject = subject.map(|subject| serde_json::from_slice(&subject));
    subject
        .transpose()
        .map_err(|_| Fault::new(Reason::DataLoss, "DESK-009", "what is kept of the hit is damaged"))
}

/// What is private to a case, without the key that proves the hit: it has asked, or nobody will.
pub(super) async fn without_key(state: &State, id: CaseId) -> Result<Option<CasePrivate>, Fault> {
    let private = state
        .store
        .case_private(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    Ok(private.map(|private| CasePrivate {
        escalation_key: None,
        ..private
    }))
}

/// Our own reference of a case.
pub(super) async fn case_reference(state: &State, loaded: &Loaded) -> Result<Option<String>, Fault> {
    Ok(held(state, loaded.id()).await?.map(|held| held.case_reference))
}

/// What keeps a false hit from coming again, if `what` says that it is one.
pub(super) async fn suppression(
    state: &State,
    loaded: &Loaded,
    what: &What,
    at: Timestamp,
) -> Result<Option<([u8; 32], i64)>, Fault> {
    let Some(held) = held(state, loaded.id()).await? else {
        return Ok(None);
    };
    let tag = tag(state, &loaded.row.agreement, &loaded.row.offer, &held).await?;
    // Only a person's "different", or a false hit as the outcome, is a reason.
    let suppression = Suppression::after(what, at, tag, SUPPRESSED_DAYS).ok();
    Ok(suppression.map(|suppression| (suppression.tag.0.0, suppression.until.as_millisecond())))
}

async fn tag(
    state: &State,
    agreement: &str,
    offer: &str,
    held: &HeldSubject,
) -> Result<SuppressionTag, Fault> {
    let key = state
        .store
        .secret("suppression_key")
        .await
        .map_err(|error| stored(&error))?;
    let (rule, canonical) = &held.identifier;
    let ours = Zeroizing::new([&[*rule], canonical.as_slice()].concat());
    Ok(SuppressionKey::new(&key).tag(&text(agreement), &ours, offer.as_bytes()))
}

/// Opens cases on a match that an intersection found: the record is asked about once more, which proves the hit anew.
///
/// # Errors
/// No such match; those of a query.
pub async fn open_match(
    state: &Arc<State>,
    context: Context,
    partner: &str,
    (list, source_id): (&str, &str),
) -> Result<Vec<CaseId>, Fault> {
    let no_record = || {
        Fault::new(
            Reason::NotFound,
            "DESK-011",
            "there is no such record on this list of ours",
        )
    };
    let list = state.store.list(list).await.map_err(|error| stored(&error))?;
    let list = list.ok_or_else(no_record)?;
    let record = state
        .store
        .record(list.id, source_id)
        .await
        .map_err(|error| stored(&error))?;
    let record = super::records::read(&record.ok_or_else(no_record)?)?;
    let item = MatchItem {
        item_id: source_id.to_owned(),
        what: Some(match_item::What::Subject(subject_to_proto(&record.subject))),
    };
    let answer = matching::run(
        state,
        Query {
            context,
            items: vec![item],
            partners: vec![partner.to_owned()],
            deadline: Instant::now()
                + std::time::Duration::from_millis(state.config.matching.partner_deadline_ms.into()),
        },
    )
    .await?;
    let verdicts = answer.results.into_iter().flat_map(|result| result.partners);
    let cases = verdicts.flat_map(|verdict| verdict.case_ids);
    Ok(cases.filter_map(|id| CaseId::parse(&id)).collect())
}
