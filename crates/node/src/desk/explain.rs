//! Why a step is refused, with what the person at the desk needs to go on.

use concordat_disclosure::{Registry, Role, rule};
use concordat_ledger::Person;
use concordat_store::CaseSide;
use concordat_wire::Fault;
use jiff::Timestamp;

use super::act::Action;
use super::load::Loaded;
use super::view::may;
use super::{Who, case_side, officers, refused_as};
use crate::state::State;

/// Refuses whoever is no officer of ours now.
///
/// # Errors
/// `DESK-001` while there are none; `DISC-023`.
pub(super) fn check_known(registry: &Registry, person: &Person, now: Timestamp) -> Result<(), Fault> {
    if registry.officers().next().is_none() {
        return Err(officers::nobody());
    }
    let listed = registry
        .officers()
        .find(|listed| listed.officer.person.id == person.id);
    match listed {
        None => Err(role(
            "nobody of this name is registered here: `concordat officer list` shows who is",
        )),
        Some(listed) if listed.retired.is_some_and(|retired| retired <= now) => Err(role(format!(
            "{} is retired: another officer works on this",
            person.id.as_str()
        ))),
        Some(_) => Ok(()),
    }
}

fn role(message: impl Into<String>) -> Fault {
    Fault {
        message: message.into(),
        ..refused_as(rule::ROLE)
    }
}

/// The roles that may take a step.
pub(super) fn roles(action: &Action) -> &'static [Role] {
    match action {
        Action::Propose(_) | Action::Approve(_) | Action::Reconsider(_) => Role::DECIDES,
        Action::Release | Action::Recall { .. } => Role::DECIDES,
        _ => Role::ANY_DESK,
    }
}

/// The same refusal, where it says too little by itself: who may take the step instead, or what the case's state allows.
pub(super) fn explained(state: &State, loaded: &Loaded, who: &Who, takes: &[Role], fault: Fault) -> Fault {
    let (registry, now) = (&loaded.terms.registry, state.clock.now());
    if fault.rule == rule::ROLE.id {
        if let Err(unknown) = check_known(registry, &who.person, now) {
            return unknown;
        }
        let Some(officer) = registry
            .officer(&who.person.id, now)
            .filter(|_| !registry.may(&who.person.id, takes, now))
        else {
            return fault;
        };
        return role(format!(
            "{} is registered as {}, and this step is for another role: {}",
            who.person.id.as_str(),
            names(officer.roles.iter().copied()),
            names(takes.iter().copied())
        ));
    }
    if fault.rule != rule::WRONG_STATE.id {
        return fault;
    }
    let next = match may(state, loaded, who).as_slice() {
        [] if loaded.row.waits_for == Some(case_side(loaded.side)) => {
            "it waits for another of our officers".to_owned()
        }
        [] => match loaded.row.waits_for {
            Some(CaseSide::Requester) => "it waits for the requester".to_owned(),
            Some(CaseSide::Owner) => "it waits for the owner".to_owned(),
            None => "nothing is left to do".to_owned(),
        },
        open => format!("what can be done now: {}", open.join(", ")),
    };
    let message = format!("{}: it is {}; {next}", rule::WRONG_STATE.says, loaded.case.name());
    Fault { message, ..fault }
}

fn names(roles: impl Iterator<Item = Role>) -> String {
    roles.map(Role::name).collect::<Vec<_>>().join(", ")
}
