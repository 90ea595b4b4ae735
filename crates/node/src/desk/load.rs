//! A case as the database has it, rebuilt from its steps and verified.

use std::sync::Arc;

use concordat_disclosure::release::SealedRelease;
use concordat_disclosure::{
    AnyCase, Approval, CaseId, Decision, Document, Documents, Event, Message, Refused, Registry, Rules,
    World, rule,
};
use concordat_ledger::{Person, Side, Text};
use concordat_store::{CaseDocument, CaseRow, StoreError};
use concordat_wire::{Fault, Reason};

use super::{officers, side_of, stored};
use crate::agreement::Offer;
use crate::book::Entry;
use crate::ledger::text;
use crate::state::State;

/// Kinds of documents that a case keeps.
pub(super) mod kind {
    /// A decision: exact fields and values.
    pub(in super::super) const DECISION: &str = "decision";
    /// An officer's signature on it.
    pub(in super::super) const APPROVAL: &str = "approval";
    /// What was released, sealed to the requester.
    pub(in super::super) const RELEASE: &str = "sealed-release";
    /// A message between the desks, opened.
    pub(in super::super) const MESSAGE: &str = "message";
    /// A message of ours, sealed for the partner.
    pub(in super::super) const SEALED_MESSAGE: &str = "sealed-message";
    /// A statement of a node that names a package: receipt, recall, recall done.
    pub(in super::super) const STATEMENT: &str = "statement";
}

/// The terms that a case is under.
pub(super) struct Terms {
    pub(super) entry: Arc<Entry>,
    pub(super) offer: Offer,
    pub(super) rules: Rules,
    pub(super) registry: Arc<Registry>,
}

impl Terms {
    /// # Errors
    /// The agreement is not here any more, or says nothing of disclosure.
    pub(super) async fn of(state: &State, agreement: &str, offer: &str) -> Result<Self, Fault> {
        let entry = state.book.get(agreement).ok_or_else(no_terms)?;
        let offer = entry.agreement.offer(offer).cloned().ok_or_else(no_terms)?;
        let rules = entry
            .agreement
            .disclosure_rules(&offer)
            .cloned()
            .ok_or_else(no_terms)?;
        let registry = officers::registry_or_nobody(state).await?;
        Ok(Self {
            entry,
            offer,
            rules,
            registry,
        })
    }

    /// `authors` are those of the records that hit, at the owner.
    pub(super) fn world<'a>(
        &'a self,
        side: Side,
        documents: &'a Documents,
        authors: &'a [Text],
    ) -> World<'a> {
        World {
            side,
            rules: &self.rules,
            registry: &self.registry,
            documents,
            authors,
        }
    }
}

fn no_terms() -> Fault {
    Fault::new(
        Reason::Precondition,
        "DESK-010",
        "the agreement has no block `[[disclosure]]` for this offer: details are not asked for through this node",
    )
}

/// A case, rebuilt.
pub(super) struct Loaded {
    pub(super) row: CaseRow,
    pub(super) side: Side,
    pub(super) terms: Terms,
    pub(super) documents: Documents,
    /// Everything that it keeps, decisions and approvals included.
    pub(super) kept: Vec<CaseDocument>,
    pub(super) case: AnyCase,
    /// At the owner: who wrote the records that hit, as they were when the case was opened; `None` if that was not kept.
    pub(super) authors: Option<Vec<Text>>,
}

impl Loaded {
    pub(super) fn world(&self) -> World<'_> {
        self.world_with(&self.documents)
    }

    /// The same with documents that the case does not have yet.
    pub(super) fn world_with<'a>(&'a self, documents: &'a Documents) -> World<'a> {
        let authors = self.authors.as_deref().unwrap_or_default();
        self.terms.world(self.side, documents, authors)
    }

    pub(super) fn id(&self) -> CaseId {
        self.case.id()
    }

    /// The release, if the case has one.
    pub(super) fn release(&self) -> Result<Option<SealedRelease>, Fault> {
        let release = self.kept.iter().rfind(|kept| kept.kind == kind::RELEASE);
        let release = release.map(|kept| SealedRelease::decode(&kept.document));
        release.transpose().map_err(|_| damaged("the release"))
    }

    /// The messages, oldest first.
    pub(super) fn messages(&self) -> Result<Vec<Message>, Fault> {
        let messages = self.kept.iter().filter(|kept| kept.kind == kind::MESSAGE);
        let messages = messages.map(|kept| Message::decode(&kept.document));
        let mut messages: Vec<Message> = messages
            .collect::<Result<_, _>>()
            .map_err(|_| damaged("a message"))?;
        // They come in the order of the steps; what is of one millisecond stays so.
        messages.sort_by_key(|message| message.at);
        Ok(messages)
    }
}

/// Rebuilds a case of ours.
///
/// # Errors
/// `DESK-002`; `DESK-009` if what is kept does not hold: it was changed from outside.
pub(super) async fn load(state: &State, id: CaseId) -> Result<Loaded, Fault> {
    let row = state
        .store
        .case_row(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    let row = row.ok_or_else(super::no_such_case)?;
    let terms = Terms::of(state, &row.agreement, &row.offer).await?;
    let kept = state.store.case_documents(&id.0).await;
    let events = state.store.case_events(&id.0).await;
    let private = state.store.case_private(&id.0).await;
    let (kept, events, private) = match kept.and_then(|kept| Ok((kept, events?, private?))) {
        Ok(read) => read,
        Err(error @ (StoreError::Sealed { .. } | StoreError::Corrupt { .. })) => {
            let fault = damaged(&format!("what it keeps ({error})"));
            note_damage(state, &terms, &row, id, &fault).await;
            return Err(fault);
        }
        Err(error) => return Err(stored(&error)),
    };
    let side = side_of(row.side);
    let authors: Option<Vec<String>> = match side {
        Side::Owner => private.and_then(|private| private.authors),
        Side::Requester => None,
    };
    let authors: Option<Vec<Text>> =
        authors.map(|authors| authors.iter().map(|author| text(author)).collect());
    let rebuilt = (|| {
        let mut documents = Documents::default();
        for kept in &kept {
            match kept.kind.as_str() {
                kind::DECISION => drop(documents.add_decision(Decision::decode(&kept.document)?)?),
                kind::APPROVAL => drop(documents.add_approval(Approval::decode(&kept.document)?)?),
                _ => {}
            }
        }
        let events = events.iter().map(|event| Event::decode(&event.document));
        let events: Vec<Event> = events.collect::<Result<_, _>>()?;
        let world = terms.world(side, &documents, authors.as_deref().unwrap_or_default());
        let case = AnyCase::replay(&world, &events)?;
        if case.id() != id {
            let refused = rule::OTHER_CASE;
            return Err(Refused {
                rule: refused,
                field: None,
            });
        }
        Ok((documents, case))
    })();
    match rebuilt {
        Ok((documents, case)) => Ok(Loaded {
            row,
            side,
            terms,
            documents,
            kept,
            case,
            authors,
        }),
        Err(refused) => {
            let fault = damaged(&format!("its steps ({refused})"));
            note_damage(state, &terms, &row, id, &fault).await;
            Err(fault)
        }
    }
}

/// Puts on record that a case was changed from outside; once while the node runs, for it is looked at again and again.
async fn note_damage(state: &State, terms: &Terms, row: &CaseRow, id: CaseId, fault: &Fault) {
    tracing::error!(case = %id, %fault, "a case does not hold");
    if !state.access.first(fault.rule, &id.to_string()) {
        return;
    }
    note(
        state,
        &terms.entry,
        (row.partner.as_str(), id),
        None,
        "replayed",
        fault,
    )
    .await;
}

/// A step of a case that was refused.
pub(super) fn refusal(
    (partner, case): (&str, CaseId),
    claimed: Option<Person>,
    action: &str,
    why: &Fault,
) -> concordat_ledger::Refusal {
    concordat_ledger::Refusal {
        claimed,
        partner: Some(text(partner)),
        case: Some(case),
        action: text(action),
        rule: Some(text(why.rule)),
        reason: text(&why.message),
    }
}

/// Puts on record what was refused in a case; what cannot be recorded is logged.
pub(super) async fn note(
    state: &State,
    entry: &Entry,
    (partner, case): (&str, CaseId),
    claimed: Option<Person>,
    action: &str,
    why: &Fault,
) {
    let refusal = refusal((partner, case), claimed, action, why);
    if let Err(fault) = state.record_under(&entry.agreement, refusal).await {
        tracing::error!(%fault, action, "a refusal could not be recorded");
    }
}

fn damaged(what: &str) -> Fault {
    Fault::new(
        Reason::DataLoss,
        "DESK-009",
        format!("the case kept here does not hold: {what} was changed from outside, or by another version"),
    )
}
