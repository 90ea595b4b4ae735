//! One case, as a person of ours may see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use concordat_disclosure::codes::Field;
use concordat_disclosure::{
    AnyCase, Approval, CaseId, Decision, Document, Event, Message, Role, Rules, What, Words, umf,
};
use concordat_ledger::Side;
use concordat_store::CaseRow;
use concordat_wire::Fault;
use jiff::Timestamp;

use super::explain::check_known;
use super::hits::{self, HeldSubject};
use super::load::{Loaded, load};
use super::records::{self, OwnRecord};
use super::{Who, refused, stored};
use crate::state::State;

/// A case with all that belongs to it.
#[derive(Clone)]
pub struct CaseView {
    /// As lists show it.
    pub row: CaseRow,
    /// Our side of it.
    pub side: Side,
    /// Rebuilt from its steps, every signature verified.
    pub case: AnyCase,
    /// What the agreement says.
    pub rules: Rules,
    /// At the requester: what we hold about whom or what hit.
    pub subject: Option<HeldSubject>,
    /// At the owner, once somebody has taken the case up: our records behind the tag.
    pub records: Vec<OwnRecord>,
    /// At the owner: what our records say for the fields that are asked for.
    pub suggested: BTreeMap<Field, Vec<Words>>,
    /// At the owner as it is drawn up; at the requester as it was released, for the people whom the request names.
    pub decision: Option<Decision>,
    /// The signatures on it.
    pub approvals: Vec<Approval>,
    /// The exact text whose SHA-256 is signed.
    pub decision_text: Option<String>,
    /// The released fields as UMF-shaped XML.
    pub umf: Option<String>,
    /// Questions, answers and all else that was said, oldest first.
    pub messages: Vec<Message>,
    /// A step of ours that the owner has not taken yet.
    pub sending: Option<Sending>,
    /// What `who` may do next.
    pub may: Vec<&'static str>,
    /// At the owner: steps of ours that count, and that the partner does not have yet.
    pub undelivered: Vec<&'static str>,
}

impl std::fmt::Debug for CaseView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaseView")
            .field("case", &self.case.id())
            .field("state", &self.case.name())
            .finish_non_exhaustive()
    }
}

/// A step on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Which: `requested`, `info-given`, …
    pub what: &'static str,
    /// Since when.
    pub since: Timestamp,
}

/// A case as `who` may see it; without a name, as our own systems may.
///
/// # Errors
/// `DESK-002` if it is not ours; `DESK-009` if what is kept does not hold; `DISC-023` if `who` is no officer of ours.
pub async fn view(state: &Arc<State>, who: Option<&Who>, id: CaseId) -> Result<CaseView, Fault> {
    let loaded = load(state, id).await?;
    if let Some(who) = who {
        check_known(&loaded.terms.registry, &who.person, state.clock.now())?;
    }
    let pending = state
        .store
        .case_pending(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    let delivered = state
        .store
        .case_delivered(&id.0)
        .await
        .map_err(|error| stored(&error))?;
    let sending = match &pending {
        Some(pending) => {
            let event = Event::decode(&pending.event).map_err(refused)?;
            Some(Sending {
                what: event.what.name(),
                since: Timestamp::from_millisecond(pending.since_ms).unwrap_or(Timestamp::MIN),
            })
        }
        None => None,
    };
    let desk = who.is_some_and(|who| works(state, &loaded, who));
    let (mut records, mut suggested) = (Vec::new(), BTreeMap::new());
    if desk
        && loaded.side == Side::Owner
        && loaded.case.name() != "REQUESTED"
        && let Some(request) = loaded.case.request()
    {
        // The key may be destroyed and the record gone: the case stays readable.
        let behind = records::behind(state, &loaded.terms, request).await;
        records = behind
            .ok()
            .flatten()
            .map(|behind| behind.records)
            .unwrap_or_default();
        suggested = records::suggest(&request.fields, &records, state.us());
    }
    let decision = decision(&loaded, who).cloned();
    let approvals = approvals(&loaded);
    let decision_text = decision
        .as_ref()
        .map(Document::encode)
        .transpose()
        .map_err(refused)?;
    let released = loaded.side == Side::Requester;
    let subject = match loaded.side {
        Side::Requester if desk => hits::held(state, id).await?,
        _ => None,
    };
    Ok(CaseView {
        subject,
        records,
        suggested,
        umf: decision.as_ref().filter(|_| released).map(umf::write),
        decision,
        approvals,
        decision_text,
        messages: if desk { loaded.messages()? } else { Vec::new() },
        may: match who {
            Some(who) if sending.is_none() => may(state, &loaded, who),
            _ => Vec::new(),
        },
        sending,
        undelivered: undelivered(&loaded, delivered),
        row: loaded.row,
        side: loaded.side,
        rules: loaded.terms.rules,
        case: loaded.case,
    })
}

/// Steps of the owner after the last one that the partner has.
fn undelivered(loaded: &Loaded, delivered: u32) -> Vec<&'static str> {
    let events = loaded.case.events().iter();
    let ours = events.filter(|event| loaded.side == Side::Owner && event.side == Side::Owner);
    ours.filter(|event| event.step > delivered)
        .map(|event| event.what.name())
        .collect()
}

fn works(state: &State, loaded: &Loaded, who: &Who) -> bool {
    loaded
        .terms
        .registry
        .may(&who.person.id, Role::ANY_DESK, state.clock.now())
}

/// The decision that the case has now, if `who` may read its values: at the owner the desk, at the requester those whom the request
/// names.
fn decision<'a>(loaded: &'a Loaded, who: Option<&Who>) -> Option<&'a Decision> {
    let who = who?;
    let named = loaded.case.request().is_some_and(|request| {
        let people = [&request.by, &request.ordered_by, &request.confirmed.person];
        people.iter().any(|person| person.id == who.person.id)
    });
    let registry = &loaded.terms.registry;
    let works = registry.may(&who.person.id, Role::ANY_DESK, Timestamp::MAX);
    let may = match loaded.side {
        Side::Owner => works,
        Side::Requester => named && works,
    };
    if !may {
        return None;
    }
    let proposed = loaded
        .case
        .events()
        .iter()
        .rev()
        .find_map(|event| match &event.what {
            What::Proposed(decision) => Some(decision),
            _ => None,
        });
    loaded.documents.decision(proposed?)
}

fn approvals(loaded: &Loaded) -> Vec<Approval> {
    let events = loaded.case.events();
    let since = events
        .iter()
        .rposition(|event| matches!(event.what, What::Proposed(_)));
    let events = &events[since.unwrap_or(events.len())..];
    let approved = events.iter().filter_map(|event| match &event.what {
        What::Approved(digest) => loaded.documents.approval(digest).cloned(),
        _ => None,
    });
    approved.collect()
}

/// What `who` may do next, by state, side and role. The library decides when it is done.
pub(super) fn may(state: &State, loaded: &Loaded, who: &Who) -> Vec<&'static str> {
    let (registry, now) = (&loaded.terms.registry, state.clock.now());
    if !registry.may(&who.person.id, Role::ANY_DESK, now) {
        return Vec::new();
    }
    let decides = registry.may(&who.person.id, Role::DECIDES, now);
    let more_time = loaded.terms.rules.deadlines.terms().more_time;
    let mut may: Vec<&'static str> = match (loaded.side, &loaded.case) {
        (Side::Requester, AnyCase::Hit(_)) => vec!["confirm"],
        (Side::Requester, AnyCase::Unsure(_)) => vec!["confirm", "not-pursue"],
        (Side::Requester, AnyCase::Same(_)) => vec!["request", "not-pursue"],
        (Side::Requester, AnyCase::Different(_)) => vec!["not-pursue"],
        (Side::Requester, AnyCase::NeedsInfo(_)) => vec!["answer", "withdraw"],
        (Side::Requester, AnyCase::Released(_)) => vec!["open"],
        (Side::Requester, AnyCase::Received(_)) => vec!["outcome"],
        (Side::Requester, AnyCase::Recalled(case)) if !case.confirmed() => vec!["confirm-recall"],
        (Side::Requester, case) if is_undecided(case) => vec!["withdraw"],
        (Side::Owner, AnyCase::Requested(_)) => vec!["take-up"],
        (Side::Owner, AnyCase::Triage(_)) if decides => vec!["propose", "question", "await-judicial"],
        (Side::Owner, AnyCase::Triage(_)) => vec!["question", "await-judicial"],
        (Side::Owner, AnyCase::NeedsJudicial(_)) => vec!["judicial"],
        (Side::Owner, AnyCase::Approving(_)) if decides => vec!["approve", "reconsider"],
        (Side::Owner, AnyCase::Approved(_) | AnyCase::Partial(_)) if decides => vec!["release"],
        (Side::Owner, AnyCase::Released(_) | AnyCase::Received(_)) if decides => vec!["recall"],
        (Side::Owner, AnyCase::Outcome(_)) if decides => vec!["close", "recall"],
        (Side::Owner, AnyCase::Closed(case)) if decides && case.package().is_some() => vec!["recall"],
        _ => Vec::new(),
    };
    let closable = matches!(
        loaded.case,
        AnyCase::NotPursued(_)
            | AnyCase::Refused(_)
            | AnyCase::Withdrawn(_)
            | AnyCase::Expired(_)
            | AnyCase::Outcome(_)
    ) || matches!(&loaded.case, AnyCase::Recalled(case) if case.confirmed());
    if closable && !may.contains(&"close") {
        may.push("close");
    }
    let timed = matches!(
        loaded.case,
        AnyCase::Requested(_) | AnyCase::Triage(_) | AnyCase::Approving(_)
    );
    if loaded.side == Side::Owner && more_time && timed {
        may.push("more-time");
    }
    if loaded.case.request().is_some() && !matches!(loaded.case, AnyCase::Closed(_)) {
        may.push("say");
    }
    may
}

fn is_undecided(case: &AnyCase) -> bool {
    matches!(
        case,
        AnyCase::Requested(_)
            | AnyCase::Triage(_)
            | AnyCase::NeedsJudicial(_)
            | AnyCase::Approving(_)
            | AnyCase::Approved(_)
            | AnyCase::Partial(_)
    )
}
