//! Officers and their keys: the registry, its changes, sign-ins.
//!
//! The registry is rebuilt from its signed changes whenever the node starts; a row that two administrators have not signed makes the
//! node refuse to go on with cases, and no officer of it.

use std::sync::{Arc, PoisonError};

use concordat_disclosure::{
    Approval, Change, ChangeWhat, Document, NewOfficer, OfficerKey, Refused, Registry, RelyingParty, Role,
    rule,
};
use concordat_ledger::{Digest, Person, Refusal, SignIn, Text};
use concordat_store::RegistryChange;
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{refused, refused_as};
use crate::book::store_fault;
use crate::ledger::text;
use crate::state::State;

/// Under which name the page is kept that the registry's keys belong to.
const CONSOLE: &str = "desk.console";

/// The page that our officers sign on: as it was when the registry was founded, else as configured.
///
/// # Errors
/// The database failed, or what it holds is damaged.
pub async fn relying_party(state: &State) -> Result<RelyingParty, Fault> {
    if let Some(founded) = founded_console(state).await? {
        return Ok(founded);
    }
    state
        .config
        .relying_party()
        .map_err(|reason| Fault::new(Reason::Precondition, "DESK-019", reason))
}

/// The page that the registry was founded at, to which its keys belong for good.
///
/// # Errors
/// The database failed, or what it holds is damaged.
pub async fn founded_console(state: &State) -> Result<Option<RelyingParty>, Fault> {
    let kept = state
        .store
        .fact(CONSOLE)
        .await
        .map_err(|error| store_fault(&error))?;
    let read = kept.map(|kept| {
        serde_json::from_str(&kept).map_err(|_| {
            Fault::new(
                Reason::DataLoss,
                "DESK-006",
                "the console's address kept here is damaged",
            )
        })
    });
    read.transpose()
}

/// The officers of our agency.
///
/// # Errors
/// `DESK-001` while there are none; a change kept in the database that does not hold.
pub async fn registry(state: &State) -> Result<Arc<Registry>, Fault> {
    let known = state
        .desk
        .registry
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some(registry) = known {
        return Ok(registry);
    }
    let registry = rebuild(state).await?.ok_or_else(nobody)?;
    Ok(keep(state, registry))
}

/// The officers of our agency, or a registry without any.
///
/// # Errors
/// A change kept in the database that does not hold.
pub async fn registry_or_nobody(state: &State) -> Result<Arc<Registry>, Fault> {
    match registry(state).await {
        Err(fault) if fault.rule == "DESK-001" => {
            let console = relying_party(state).await?;
            Ok(Arc::new(Registry::nobody(text(state.us()), console)))
        }
        other => other,
    }
}

/// That nobody is registered yet, and what to do about it.
pub(super) fn nobody() -> Fault {
    Fault::new(
        Reason::Precondition,
        "DESK-001",
        "no officers are registered here: two administrators found the registry first (`concordat officer found`, or the console)",
    )
}

fn keep(state: &State, registry: Registry) -> Arc<Registry> {
    let registry = Arc::new(registry);
    let mut known = state
        .desk
        .registry
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    *known = Some(Arc::clone(&registry));
    registry
}

async fn rebuild(state: &State) -> Result<Option<Registry>, Fault> {
    let console = relying_party(state).await?;
    let mut registry: Option<Registry> = None;
    for Applied {
        change,
        approvals,
        at,
    } in registry_changes(state).await?
    {
        let applied = match registry.as_mut() {
            None => Registry::found(console.clone(), &change, &approvals).map(|founded| {
                registry = Some(founded);
            }),
            Some(registry) => registry.apply(&change, &approvals, at),
        };
        applied.map_err(|refused| {
            Fault::new(
                Reason::DataLoss,
                "DESK-006",
                format!(
                    "change {} of the officers kept here does not hold: {refused}",
                    change.sequence
                ),
            )
        })?;
    }
    Ok(registry)
}

/// A change of the registry, as it was applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What was changed.
    pub change: Change,
    /// Who signed it.
    pub approvals: Vec<Approval>,
    /// From when on it holds.
    pub at: Timestamp,
}

/// Every change of the registry, oldest first.
///
/// # Errors
/// The database failed, or holds something else.
pub async fn registry_changes(state: &State) -> Result<Vec<Applied>, Fault> {
    let kept = state
        .store
        .registry_changes()
        .await
        .map_err(|error| store_fault(&error))?;
    let decoded = kept.iter().map(|kept| {
        let approvals = kept.approvals.iter().map(|approval| Approval::decode(approval));
        Ok(Applied {
            change: Change::decode(&kept.document)?,
            approvals: approvals.collect::<Result<_, _>>()?,
            at: Timestamp::from_millisecond(kept.applied_ms).unwrap_or(Timestamp::MAX),
        })
    });
    decoded.collect::<Result<_, _>>().map_err(refused)
}

/// Founds the registry, or changes it, with the signatures of two administrators.
///
/// # Errors
/// The rule that refuses it: [`rule::SECOND_ADMINISTRATOR`] and its neighbours. It is on record then.
pub async fn change_registry(
    state: &State,
    change: Change,
    approvals: Vec<Approval>,
) -> Result<Arc<Registry>, Fault> {
    let _turn = state.desk.changing.lock().await;
    let _alone = state.desk.gate.write().await;
    let founding = matches!(change.what, ChangeWhat::Found(_));
    let console = relying_party(state).await?;
    // From the next millisecond on: what was approved in this one was approved before.
    // No step that is kept already is of a later time, whatever the partners' clocks say.
    let latest = state
        .store
        .latest_step_ms()
        .await
        .map_err(|error| store_fault(&error))?;
    let applied_ms = state.now_ms().max(latest) + 1;
    let at = Timestamp::from_millisecond(applied_ms).unwrap_or(Timestamp::MAX);
    let next = apply(state, founding, &console, (&change, &approvals), at).await;
    let next = match next {
        Ok(next) => next,
        Err(fault) => {
            let first = approvals.first().map(|approval| Person {
                id: approval.officer.clone(),
                unit: None,
            });
            note_refusal(state, first, "a change of the officers", &fault).await;
            return Err(fault);
        }
    };
    let event = concordat_disclosure::registry_changed(&change, &approvals, &console).map_err(refused)?;
    let entry = state.entry(event)?;
    let signed = approvals
        .iter()
        .map(|approval| approval.encode().map(Zeroizing::new));
    let kept = RegistryChange {
        sequence: change.sequence,
        applied_ms,
        document: Zeroizing::new(change.encode().map_err(refused)?),
        approvals: signed.collect::<Result<_, _>>().map_err(refused)?,
    };
    if founding {
        let console =
            serde_json::to_string(&console).map_err(|_| Fault::internal("the console's address"))?;
        state
            .store
            .set_fact(CONSOLE, &console, state.now_ms())
            .await
            .map_err(|error| store_fault(&error))?;
    }
    // Should nobody wait for the answer any more, it is read from the database again.
    *state
        .desk
        .registry
        .write()
        .unwrap_or_else(PoisonError::into_inner) = None;
    state
        .store
        .recording(entry)
        .add_registry_change(&kept)
        .await
        .map_err(|error| store_fault(&error))?;
    let registry = keep(state, next);
    state.desk.tell();
    Ok(registry)
}

async fn apply(
    state: &State,
    founding: bool,
    console: &RelyingParty,
    (change, approvals): (&Change, &[Approval]),
    at: Timestamp,
) -> Result<Registry, Fault> {
    if change.at > state.clock.now() + jiff::SignedDuration::from_mins(5) {
        return Err(Fault::invalid(
            "DESK-007",
            "at",
            "the change is dated in the future",
        ));
    }
    if change.agency.as_str() != state.us() {
        return Err(Fault::invalid(
            "DESK-008",
            "agency",
            "the change is of another agency's officers",
        ));
    }
    match (founding, registry(state).await) {
        (true, Ok(_)) => Err(refused_as(rule::REGISTRY_ORDER)),
        (true, Err(fault)) if fault.rule == "DESK-001" => Registry::found(console.clone(), change, approvals)
            .map_err(|why| named(why, None, change, approvals, at)),
        (true, Err(fault)) => Err(fault),
        (false, current) => {
            let current = current?;
            let mut next = current.as_ref().clone();
            next.apply(change, approvals, at)
                .map_err(|why| named(why, Some(&current), change, approvals, at))?;
            Ok(next)
        }
    }
}

/// The same refusal with the officers whom it is about: who must still sign, or whose key is not hers.
fn named(
    why: Refused,
    registry: Option<&Registry>,
    change: &Change,
    approvals: &[Approval],
    at: Timestamp,
) -> Fault {
    let founders: &[NewOfficer] = match &change.what {
        ChangeWhat::Found(founders) => founders,
        _ => &[],
    };
    let fault = refused(why);
    match (why.rule, registry) {
        (rule::SECOND_ADMINISTRATOR, None) => {
            let signed = |id: &Text| approvals.iter().any(|approval| approval.officer == *id);
            let ids = founders.iter().map(|founder| &founder.person.id);
            let missing: Vec<&Text> = ids.filter(|id| !signed(id)).collect();
            let message = if missing.is_empty() {
                "two administrators or more found the registry, and each of them signs".to_owned()
            } else {
                format!("each founder signs: {} must still sign", names(&missing))
            };
            Fault { message, ..fault }
        }
        (rule::SECOND_ADMINISTRATOR, Some(registry)) => {
            let able = others(registry, subject(&change.what), at);
            let (signed, missing): (Vec<&Text>, Vec<&Text>) = able
                .into_iter()
                .partition(|id| approvals.iter().any(|approval| approval.officer == **id));
            let left = 2_usize.saturating_sub(signed.len());
            let says = why.rule.says;
            let message = match &change.what {
                ChangeWhat::RevokeKey { officer, .. } => format!(
                    "an administrator must sign, or {} herself: one of {}",
                    officer.as_str(),
                    names(&missing)
                ),
                ChangeWhat::Retire { .. } => {
                    format!("an administrator must sign: one of {}", names(&missing))
                }
                _ if missing.len() < left => format!("{says}; there are not as many: {ENROL_ANOTHER}"),
                _ => format!("{says}: {left} more of {} must sign", names(&missing)),
            };
            Fault { message, ..fault }
        }
        (rule::UNKNOWN_KEY, registry) => {
            let hers = |approval: &&Approval| match registry {
                Some(registry) => registry.check(&approval.officer, &approval.key, at).is_ok(),
                None => founders.iter().any(|founder| {
                    founder.person.id == approval.officer && founder.keys.contains(&approval.key)
                }),
            };
            match approvals.iter().find(|approval| !hers(approval)) {
                Some(approval) => not_hers(&approval.officer),
                None => fault,
            }
        }
        _ => fault,
    }
}

/// That a key is not one of the officer's.
pub(super) fn not_hers(officer: &Text) -> Fault {
    let says = format!(
        "the key is not registered for {}: sign with one of her own",
        officer.as_str()
    );
    Fault {
        message: says,
        ..refused_as(rule::UNKNOWN_KEY)
    }
}

const ENROL_ANOTHER: &str = "enrol another administrator first";

fn names(ids: &[&Text]) -> String {
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    ids.join(", ")
}

/// Whom a change is about, if her own signature does not count on it.
fn subject(what: &ChangeWhat) -> Option<&Text> {
    match what {
        ChangeWhat::Enrol(new) => Some(&new.person.id),
        ChangeWhat::AddKey { officer, .. } => Some(officer),
        _ => None,
    }
}

/// The administrators who may sign a change that is about `subject`.
fn others<'a>(registry: &'a Registry, subject: Option<&Text>, at: Timestamp) -> Vec<&'a Text> {
    let ids = registry.officers().map(|listed| &listed.officer.person.id);
    ids.filter(|id| Some(*id) != subject && registry.may(id, &[Role::Administrator], at))
        .collect()
}

/// Refuses a further key of `officer` that nobody could sign.
///
/// # Errors
/// `DISC-050`.
pub(super) fn check_others(registry: &Registry, officer: &Text, at: Timestamp) -> Result<(), Fault> {
    if others(registry, Some(officer), at).len() >= 2 {
        return Ok(());
    }
    let rule = rule::SECOND_ADMINISTRATOR;
    Err(Fault {
        message: format!(
            "{}; there are not as many beside {}: {ENROL_ANOTHER}",
            rule.says,
            officer.as_str()
        ),
        ..refused_as(rule)
    })
}

/// An officer signs in: `approval` is her key on `challenge`, a digest that was drawn for this once.
///
/// # Errors
/// The rule that refuses it; it is on record then.
pub async fn signed_in(state: &State, approval: &Approval, challenge: &Digest) -> Result<(), Fault> {
    let person = Person {
        id: approval.officer.clone(),
        unit: None,
    };
    match check_sign_in(state, approval, challenge).await {
        Ok(role) => {
            let method = match approval.key {
                OfficerKey::Passkey(_) => "passkey",
                OfficerKey::FileKey(_) => "file key",
            };
            let by = person;
            state
                .record(SignIn {
                    by,
                    method: text(method),
                    role,
                })
                .await
        }
        Err(fault) => {
            note_refusal(state, Some(person), "signing in", &fault).await;
            Err(fault)
        }
    }
}

async fn check_sign_in(state: &State, approval: &Approval, challenge: &Digest) -> Result<Text, Fault> {
    let (registry, console) = (registry(state).await?, relying_party(state).await?);
    registry
        .check(&approval.officer, &approval.key, state.clock.now())
        .map_err(refused)?;
    let key = approval.key.id();
    let last = state
        .store
        .key_counter(&key.0)
        .await
        .map_err(|error| store_fault(&error))?;
    let counter = approval.verify(challenge, &console, last).map_err(refused)?;
    state
        .store
        .raise_key_counter(&key.0, counter)
        .await
        .map_err(|error| store_fault(&error))?;
    let officer = registry.officer(&approval.officer, state.clock.now());
    let roles = officer.into_iter().flat_map(|officer| &officer.roles);
    let roles: Vec<&str> = roles.map(|role| role.name()).collect();
    Ok(text(&roles.join(" ")))
}

/// Puts on record that somebody was refused; what cannot be recorded is logged.
pub(super) async fn note_refusal(state: &State, claimed: Option<Person>, action: &str, why: &Fault) {
    let recorded = state
        .record(Refusal {
            claimed,
            partner: None,
            case: None,
            action: text(action),
            rule: Some(text(why.rule)),
            reason: text(&why.message),
        })
        .await;
    if let Err(fault) = recorded {
        tracing::error!(%fault, action, "a refusal could not be recorded");
    }
}
