//! The console as the rest of the node sees it: the address that keys and agreements belong to, and the registration of passkeys.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use concordat_disclosure::{Change, NewOfficer, RelyingParty, Role, Rules, rule};
use concordat_ledger::{Actor, OfficerLinked, Person, Text};
use concordat_wire::{Fault, Reason};
use jiff::Timestamp;

use super::{officers, refused_as};
use crate::agreement::Agreement;
use crate::state::State;

/// What the console does for the node beside it: it alone registers passkeys.
pub trait Registrations: Send + Sync {
    /// A link on which somebody registers a passkey, and until when it holds.
    ///
    /// # Errors
    /// Too many links wait.
    fn link(&self, whom: Invited) -> Result<(String, Timestamp), Fault>;

    /// Changes that wait for signatures, each as it follows the register now.
    fn waiting(&self) -> Pin<Box<dyn Future<Output = Result<Vec<Change>, Fault>> + Send + '_>>;
}

/// Whom a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invited {
    /// Somebody new, without a key yet.
    New(NewOfficer),
    /// An officer who is to have a further key.
    Known(Text),
}

/// The address of a page, as people write it.
pub(crate) fn address(console: &RelyingParty) -> &str {
    console.origins.first().map_or("", Text::as_str)
}

/// Whether officers can sign in: there is a console, and it is the one that their keys belong to.
fn usable(state: &State, console: &RelyingParty) -> bool {
    state.config.console.listen.is_some() && state.config.console.origin() == address(console)
}

/// Whether the console is configured under another address than the one that the keys belong to: nobody can sign in then.
///
/// # Errors
/// The database failed.
pub async fn misplaced(state: &State) -> Result<Option<String>, Fault> {
    let Some(founded) = officers::founded_console(state).await? else {
        return Ok(None);
    };
    if state.config.console.listen.is_none() || usable(state, &founded) {
        return Ok(None);
    }
    let (configured, founded) = (state.config.console.origin(), address(&founded).to_owned());
    Ok(Some(format!(
        "`[console]` says {configured}, but the register of officers was founded at {founded}, to which all keys and agreements belong \
         for good: nobody can sign in. Set host and port so that it is {founded} again, and start the node again"
    )))
}

/// The console's address: that of the founding, before it as it is configured.
///
/// # Errors
/// The database failed.
pub async fn origin(state: &State) -> Result<String, Fault> {
    let founded = officers::founded_console(state).await?;
    Ok(founded.map_or_else(
        || state.config.console.origin(),
        |founded| address(&founded).to_owned(),
    ))
}

/// What is amiss with the console: a sentence each, for people.
pub async fn warnings(state: &State) -> Vec<String> {
    let told = async {
        if state.config.console.listen.is_some() {
            return misplaced(state).await;
        }
        let founded = officers::founded_console(state).await?.is_some();
        let console = origin(state).await?;
        let without = "without a console only an agreement with `file_keys = true` lets officers approve";
        Ok(Some(match founded {
            false => format!(
                "no console is configured, so an agreement names {console}: set `[console]` listen and host first and start the node \
                 again, because passkeys and agreements belong to that address for good; {without}"
            ),
            true => format!("no console is configured, and officers' keys belong to {console}; {without}"),
        }))
    };
    // Whoever asks what is amiss is told this too: nothing else of the answer hangs on it.
    let told = told.await.unwrap_or_else(|fault: Fault| Some(fault.to_string()));
    told.into_iter().collect()
}

/// What keeps our officers from approving a release under an agreement: a sentence each, for people.
///
/// # Errors
/// The database failed; `[console]` gives it no address.
pub async fn obstacles(state: &State, agreement: &Agreement) -> Result<Vec<String>, Fault> {
    let ours = agreement.offers.iter().filter(|offer| offer.owner == state.us());
    let rules: Vec<&Rules> = ours
        .filter_map(|offer| agreement.disclosure_rules(offer))
        .collect();
    let Some(first) = rules.first() else {
        return Ok(Vec::new());
    };
    let console = officers::relying_party(state).await?;
    let mut told = Vec::new();
    if first.console != console {
        told.push(format!(
            "{}: it names {} as our console, but our officers' keys belong to {}: no passkey's signature counts under it. Agree anew, \
             with the block of `concordat agreement party`",
            agreement.id,
            address(&first.console),
            address(&console)
        ));
    }
    if rules.iter().any(|rules| !rules.file_keys) && !usable(state, &console) {
        told.push(format!(
            "{}: nobody here can approve a release under it, because it takes passkeys alone (`file_keys = false`) and no console runs \
             at {}. Set `[console]` so and start the node again, or agree on `file_keys = true`",
            agreement.id,
            address(&console)
        ));
    }
    Ok(told)
}

/// Tells the operator at the start what keeps officers from their work. The node starts all the same: it does more than that.
pub async fn check_at_start(state: &State) {
    match misplaced(state).await {
        Ok(Some(misplaced)) => tracing::error!("{misplaced}"),
        Ok(None) => {}
        Err(fault) => tracing::error!(%fault, "the console's address"),
    }
    for entry in state.book.all() {
        match obstacles(state, &entry.agreement).await {
            Ok(obstacles) => obstacles.iter().for_each(|obstacle| tracing::warn!("{obstacle}")),
            Err(fault) => tracing::error!(%fault, agreement = entry.agreement.id, "the console's address"),
        }
    }
}

/// Refuses to found a register whose keys would belong to a console that nobody has set up, unless that is wanted.
///
/// # Errors
/// `DESK-027`.
pub fn check_founding(state: &State, no_console: bool) -> Result<(), Fault> {
    if no_console || state.config.console.listen.is_some() {
        return Ok(());
    }
    Err(Fault::new(
        Reason::Precondition,
        "DESK-027",
        "no console is configured, and keys belong to its address for good: set `[console]` listen and host, start the node again, and \
         found then; or say that there will never be one (`concordat officer found --no-console`)",
    ))
}

fn registrations(state: &State) -> Result<Arc<dyn Registrations>, Fault> {
    let console = state.desk.console.get().and_then(Weak::upgrade);
    console.ok_or_else(|| {
        Fault::new(
            Reason::Precondition,
            "DESK-028",
            "no console runs here, and passkeys are registered at one: set `[console]` and start the node again",
        )
    })
}

/// A link on which somebody registers a passkey: with `roles` somebody new, without an officer for a further key. What is registered
/// counts when two administrators have signed it.
///
/// # Errors
/// `DESK-028` without a console, `DESK-001`; `DISC-051`, `DISC-052`; `DISC-050` if too few others could sign.
pub async fn link(
    state: &State,
    by: Person,
    person: Person,
    roles: BTreeSet<Role>,
) -> Result<(String, Timestamp), Fault> {
    let console = registrations(state)?;
    let registry = officers::registry(state).await?;
    let known = registry
        .officers()
        .any(|listed| listed.officer.person.id == person.id);
    if roles.is_empty() {
        registry
            .officer(&person.id, state.clock.now())
            .ok_or_else(|| refused_as(rule::NO_SUCH_OFFICER))?;
        officers::check_others(&registry, &person.id, state.clock.now())?;
        let made = console.link(Invited::Known(person.id.clone()))?;
        record_link(state, by, person, false).await?;
        return Ok(made);
    }
    if known {
        return Err(refused_as(rule::OFFICER_EXISTS));
    }
    let new = NewOfficer {
        person: person.clone(),
        roles,
        accounts: BTreeSet::new(),
        keys: Vec::new(),
    };
    let made = console.link(Invited::New(new))?;
    record_link(state, by, person, true).await?;
    Ok(made)
}

/// Puts on record who had a link made for whom, before anybody has it: those who are to sign the key can look there.
///
/// # Errors
/// It cannot be recorded.
pub async fn record_link(state: &State, by: Person, officer: Person, new: bool) -> Result<(), Fault> {
    let by = Actor::Person(by);
    state.record(OfficerLinked { by, officer, new }).await
}

/// Changes that wait at the console for signatures.
///
/// # Errors
/// `DESK-028` without a console; the database failed.
pub async fn waiting(state: &State) -> Result<Vec<Change>, Fault> {
    registrations(state)?.waiting().await
}
