//! New officers and keys: links on which somebody registers a passkey, and changes of the registry that administrators sign.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use concordat_disclosure::{
    Approval, Change, ChangeWhat, Document, NewOfficer, OfficerKey, Passkey, Registering, Registry, Role,
};
use concordat_ledger::{Digest, Person, Text};
use concordat_node::desk::console::{Invited, Registrations};
use concordat_node::desk::{officers, refused};
use concordat_wire::{Fault, Reason};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::Desk;
use crate::texts::errors;

/// How long a link holds, in seconds.
const LINK_S: i64 = 3_600;
/// Links and changes that wait at once.
const WAITING: usize = 64;

/// Whom a link is for.
#[derive(Clone)]
pub(crate) enum For {
    /// The first two administrators.
    Founders(Vec<NewOfficer>),
    /// Somebody new.
    Officer(NewOfficer),
    /// A further key of somebody.
    Key(Text),
}

struct Link {
    what: For,
    until: i64,
    /// Who is registering now.
    registering: Option<(Person, Registering)>,
}

/// A change that waits for signatures.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub(crate) change: Change,
    pub(crate) approvals: Vec<Approval>,
}

/// Links and changes. In memory: after a restart of the node they are made anew.
#[derive(Default)]
pub(crate) struct Setups {
    links: Mutex<HashMap<[u8; 32], Link>>,
    changes: Mutex<Vec<Waiting>>,
}

fn name_of(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A link that is used up, over, or never was.
pub(crate) fn no_link() -> Fault {
    Fault::new(Reason::NotFound, "CONS-005", errors::NO_LINK)
}

/// The same while nobody is registered: there is no administrator to ask.
///
/// # Errors
/// The database failed.
pub(crate) async fn no_link_here(desk: &Desk) -> Result<Fault, Fault> {
    let fault = no_link();
    Ok(match founded(desk).await? {
        true => fault,
        false => Fault {
            message: errors::NO_FIRST_LINK.to_owned(),
            ..fault
        },
    })
}

/// Whether the register of officers has begun.
///
/// # Errors
/// The database failed.
pub(crate) async fn founded(desk: &Desk) -> Result<bool, Fault> {
    match officers::registry(&desk.state).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.rule == "DESK-001" => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// A link whose hour is not over.
fn live<'a>(links: &'a mut HashMap<[u8; 32], Link>, desk: &Desk, token: &str) -> Result<&'a mut Link, Fault> {
    let link = links.get_mut(&name_of(token));
    link.filter(|link| desk.state.clock.seconds() < link.until)
        .ok_or_else(no_link)
}

/// The beginning of a key's id: enough to compare what was registered with what is to be signed.
pub(crate) fn short(key: &OfficerKey) -> String {
    key.id().to_string().chars().take(12).collect()
}

/// How many administrators must sign a change.
pub(crate) fn needed(what: &ChangeWhat) -> usize {
    match what {
        ChangeWhat::Found(_) | ChangeWhat::Enrol(_) | ChangeWhat::AddKey { .. } => 2,
        ChangeWhat::RevokeKey { .. } | ChangeWhat::Retire { .. } => 1,
    }
}

impl Registrations for Desk {
    fn link(&self, whom: Invited) -> Result<(String, Timestamp), Fault> {
        let what = match whom {
            Invited::New(new) => For::Officer(new),
            Invited::Known(officer) => For::Key(officer),
        };
        let until = self.state.clock.now() + SignedDuration::from_secs(LINK_S);
        let token = self.setups.link(self, what)?;
        Ok((format!("{}/enrol/{token}", self.origin()), until))
    }

    fn waiting(&self) -> Pin<Box<dyn Future<Output = Result<Vec<Change>, Fault>> + Send + '_>> {
        Box::pin(async move {
            let waiting = self.setups.waiting(self).await?;
            Ok(waiting.into_iter().map(|waiting| waiting.change).collect())
        })
    }
}

/// Whether a change that waits was made on another way meanwhile: the register has begun, or its new key is registered.
fn made(registry: &Registry, what: &ChangeWhat) -> bool {
    let keys = match what {
        ChangeWhat::Found(_) => return registry.head().0 > 0,
        ChangeWhat::Enrol(new) => new.keys.as_slice(),
        ChangeWhat::AddKey { key, .. } => std::slice::from_ref(key),
        _ => return false,
    };
    let known: BTreeSet<_> = registry
        .officers()
        .flat_map(|listed| listed.officer.keys.iter().map(OfficerKey::id))
        .collect();
    keys.iter().any(|key| known.contains(&key.id()))
}

impl Setups {
    /// A link for the first two administrators.
    ///
    /// # Errors
    /// Too many links wait.
    pub(crate) fn open(&self, desk: &Desk) -> Result<String, Fault> {
        self.link(desk, For::Founders(Vec::new()))
    }

    /// A link; its token is not kept, only a hash of it.
    ///
    /// # Errors
    /// Too many links wait.
    pub(crate) fn link(&self, desk: &Desk, what: For) -> Result<String, Fault> {
        let token = hex::encode(desk.state.entropy.bytes::<32>());
        let now = desk.state.clock.seconds();
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, link| now < link.until);
        if links.len() >= WAITING {
            return Err(Fault::new(Reason::Exhausted, "CONS-006", errors::TOO_MANY_LINKS));
        }
        let link = Link {
            what,
            until: now + LINK_S,
            registering: None,
        };
        links.insert(name_of(&token), link);
        Ok(token)
    }

    /// Whom a link is for.
    ///
    /// # Errors
    /// There is no such link any more.
    pub(crate) fn look(&self, desk: &Desk, token: &str) -> Result<For, Fault> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        live(&mut links, desk, token).map(|link| link.what.clone())
    }

    /// Begins the registration of a passkey; what the browser is to be asked for.
    ///
    /// # Errors
    /// There is no such link any more, or `person` is no name.
    pub(crate) fn begin(&self, desk: &Desk, token: &str, person: Person) -> Result<String, Fault> {
        let (options, state) = desk.console.begin_registration(&person.id).map_err(refused)?;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = live(&mut links, desk, token)?;
        link.registering = Some((person, state));
        Ok(options)
    }

    /// Ends it: a founder is added to the link; anybody else's change waits for the administrators, and the link is used up.
    ///
    /// # Errors
    /// The browser's answer does not hold; there is no such link any more.
    pub(crate) async fn register(&self, desk: &Desk, token: &str, answer: &str) -> Result<String, Fault> {
        let registering = {
            let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            let link = live(&mut links, desk, token)?;
            link.registering
                .take()
                .map(|registering| (registering, link.what.clone()))
        };
        let ((person, state), what) = registering.ok_or_else(no_link)?;
        let passkey: Passkey = desk.console.register(answer, &state).map_err(refused)?;
        let key = OfficerKey::Passkey(passkey);
        let registered = short(&key);
        match what {
            For::Founders(mut founders) => {
                founders.push(NewOfficer {
                    person,
                    roles: BTreeSet::from([Role::Administrator]),
                    accounts: BTreeSet::new(),
                    keys: vec![key],
                });
                let complete = founders.len() == 2;
                {
                    let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
                    let link = live(&mut links, desk, token)?;
                    link.what = For::Founders(founders.clone());
                }
                if complete {
                    self.propose(desk, ChangeWhat::Found(founders)).await?;
                }
            }
            For::Officer(new) => {
                let new = NewOfficer {
                    keys: vec![key],
                    ..new
                };
                self.used_up(token);
                self.propose(desk, ChangeWhat::Enrol(new)).await?;
            }
            For::Key(officer) => {
                self.used_up(token);
                self.propose(desk, ChangeWhat::AddKey { officer, key }).await?;
            }
        }
        Ok(registered)
    }

    fn used_up(&self, token: &str) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.remove(&name_of(token));
    }

    /// A change that the administrators are to sign.
    ///
    /// # Errors
    /// The database failed; too many wait.
    pub(crate) async fn propose(&self, desk: &Desk, what: ChangeWhat) -> Result<(), Fault> {
        let change = next(desk, what).await?;
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.len() >= WAITING {
            return Err(Fault::new(
                Reason::Exhausted,
                "CONS-006",
                errors::TOO_MANY_CHANGES,
            ));
        }
        changes.push(Waiting {
            change,
            approvals: Vec::new(),
        });
        Ok(())
    }

    /// Changes that wait for signatures, each brought to where the registry is now.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn waiting(&self, desk: &Desk) -> Result<Vec<Waiting>, Fault> {
        let registry = officers::registry_or_nobody(&desk.state).await?;
        let head = registry.head();
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.retain(|waiting| !made(&registry, &waiting.change.what));
        for waiting in changes.iter_mut() {
            if (waiting.change.sequence, waiting.change.previous) != (head.0 + 1, head.1) {
                // Another change came between: what was signed is about another place in the chain.
                waiting.change = following(desk, head, waiting.change.what.clone());
                waiting.approvals.clear();
            }
        }
        Ok(changes.clone())
    }

    /// Adds a signature; with the last one the change is made. Whether it was.
    ///
    /// # Errors
    /// The signature does not hold; no such change waits; the registry refuses it.
    pub(crate) async fn sign(&self, desk: &Desk, digest: &Digest, approval: Approval) -> Result<bool, Fault> {
        // At once: a signature that does not hold must not cost the others theirs.
        approval.verify(digest, &desk.console, 0).map_err(refused)?;
        let (change, approvals) = {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let found = changes
                .iter_mut()
                .find(|waiting| waiting.change.digest().as_ref() == Ok(digest));
            let gone = || Fault::new(Reason::NotFound, "CONS-007", errors::CHANGE_GONE);
            let found = found.ok_or_else(gone)?;
            found.approvals.retain(|other| other.officer != approval.officer);
            found.approvals.push(approval);
            if found.approvals.len() < needed(&found.change.what) {
                return Ok(false);
            }
            (found.change.clone(), found.approvals.clone())
        };
        let made = officers::change_registry(&desk.state, change, approvals).await;
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        match made {
            Ok(_) => {
                changes.retain(|waiting| waiting.change.digest().as_ref() != Ok(digest));
                Ok(true)
            }
            Err(fault) => {
                // What the registry refused is signed anew.
                let waiting = changes
                    .iter_mut()
                    .find(|waiting| waiting.change.digest().as_ref() == Ok(digest));
                if let Some(waiting) = waiting {
                    waiting.approvals.clear();
                }
                Err(fault)
            }
        }
    }

    /// Takes a change back that nobody needs any more.
    pub(crate) fn discard(&self, digest: &Digest) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.retain(|waiting| waiting.change.digest().as_ref() != Ok(digest));
    }
}

async fn next(desk: &Desk, what: ChangeWhat) -> Result<Change, Fault> {
    let registry = officers::registry_or_nobody(&desk.state).await?;
    Ok(following(desk, registry.head(), what))
}

/// The change that follows the last one, which has this number and digest.
fn following(desk: &Desk, (sequence, previous): (u64, Digest), what: ChangeWhat) -> Change {
    Change {
        agency: concordat_node::ledger::text(desk.state.us()),
        sequence: sequence + 1,
        previous,
        at: desk.state.clock.now(),
        what,
    }
}
