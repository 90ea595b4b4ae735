//! Officers and their keys: who may take which step, and since when.
//!
//! The registry is the sum of its changes, each signed by two administrators with their own keys. A row that somebody wrote into the
//! database without those signatures is not a change.

use std::collections::{BTreeMap, BTreeSet};

use concordat_ledger::{Digest, Hex, Person, Text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::approval::{Approval, KeyId, OfficerKey};
use crate::document::Document;
use crate::passkey::RelyingParty;
use crate::rule::*;
use crate::text::Words;

/// What an officer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Confirms hits, asks, answers, triages.
    Analyst,
    /// As an analyst, and decides.
    Officer,
    /// As an officer, and is called when something is late.
    Supervisor,
    /// Reads everything, changes nothing.
    Auditor,
    /// Registers officers and keys, and decides nothing.
    Administrator,
}

impl Role {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Analyst,
        Self::Officer,
        Self::Supervisor,
        Self::Auditor,
        Self::Administrator,
    ];
    /// Roles that may take a step of a case.
    pub const ANY_DESK: &[Self] = &[Self::Analyst, Self::Officer, Self::Supervisor];
    /// Roles that may decide.
    pub const DECIDES: &[Self] = &[Self::Officer, Self::Supervisor];

    /// Its name, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Analyst => "analyst",
            Self::Officer => "officer",
            Self::Supervisor => "supervisor",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
        }
    }
}

/// An account of the same human being: at another agency, as liaison officers and the seconded have, or at our own under another name
/// than her id, as the systems have in which she writes records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The agency.
    pub agency: Text,
    /// The officer's id there.
    pub id: Text,
}

/// An officer to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOfficer {
    /// Id and unit.
    pub person: Person,
    /// Roles. Administrators and auditors have no other.
    pub roles: BTreeSet<Role>,
    /// Her other accounts. They are those of the enrolment for good: whether an approval counts is judged by them at every replay.
    pub accounts: BTreeSet<Account>,
    /// Keys.
    pub keys: Vec<OfficerKey>,
}

/// One change of the registry. A document: two administrators sign its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The agency whose registry it is.
    pub agency: Text,
    /// Which change, counted from 1.
    pub sequence: u64,
    /// SHA-256 of the change before; zero for the first.
    pub previous: Digest,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: ChangeWhat,
}

impl Document for Change {
    const KIND: &'static str = "concordat/v1/registry-change";
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeWhat {
    /// The first administrators, two or more; each signs. What is trusted from then on: pin its digest outside.
    Found(Vec<NewOfficer>),
    /// Registers an officer.
    Enrol(NewOfficer),
    /// Registers one more key of an officer.
    AddKey {
        /// Whose.
        officer: Text,
        /// The key.
        key: OfficerKey,
    },
    /// Revokes a key, from now on, for open approvals as well. One administrator or the officer suffices: it must be quick.
    RevokeKey {
        /// Whose.
        officer: Text,
        /// Which.
        key: KeyId,
        /// Why.
        reason: Words,
    },
    /// Revokes an officer with all keys. One administrator suffices.
    Retire {
        /// Who.
        officer: Text,
        /// Why.
        reason: Words,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Officer {
    new: NewOfficer,
    since: Timestamp,
    retired: Option<Timestamp>,
    keys: BTreeMap<KeyId, Registered>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Registered {
    since: Timestamp,
    revoked: Option<Timestamp>,
}

impl Officer {
    fn new(new: NewOfficer, since: Timestamp) -> Self {
        let registered = |key: &OfficerKey| {
            let registered = Registered { since, revoked: None };
            (key.id(), registered)
        };
        Self {
            keys: new.keys.iter().map(registered).collect(),
            new,
            since,
            retired: None,
        }
    }

    fn active(&self, at: Timestamp) -> bool {
        self.since <= at && self.retired.is_none_or(|retired| at < retired)
    }

    fn is(&self, role: Role) -> bool {
        self.new.roles.contains(&role)
    }
}

/// The officers of one agency. Rebuilt from its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    agency: Text,
    console: RelyingParty,
    officers: BTreeMap<Text, Officer>,
    sequence: u64,
    head: Digest,
    at: Timestamp,
}

/// An officer, as a list shows her.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Who, with roles, accounts and keys, those revoked included.
    pub officer: &'a NewOfficer,
    /// Since when.
    pub since: Timestamp,
    /// Until when, if retired.
    pub retired: Option<Timestamp>,
    /// The keys that were revoked, and when.
    pub revoked: BTreeMap<KeyId, Timestamp>,
}

impl Registry {
    /// A registry in which nobody may do anything: that of an agency that has not founded one.
    pub fn nobody(agency: Text, console: RelyingParty) -> Self {
        Self {
            agency,
            console,
            officers: BTreeMap::new(),
            sequence: 0,
            head: Hex([0; 32]),
            at: Timestamp::MIN,
        }
    }

    /// Begins a registry: each of the first administrators signs the first change.
    ///
    /// # Errors
    /// [`SECOND_ADMINISTRATOR`], [`REGISTRY_ORDER`], [`ROLE`], and those of an approval.
    pub fn found(console: RelyingParty, change: &Change, approvals: &[Approval]) -> Result<Self, Refused> {
        let ChangeWhat::Found(founders) = &change.what else {
            return Err(REGISTRY_ORDER.refused());
        };
        BAD_RULES.unless_at("console", console.holds())?;
        let mut registry = Self {
            at: change.at,
            ..Self::nobody(change.agency.clone(), console)
        };
        registry.follows(change)?;
        for founder in founders {
            let only = BTreeSet::from([Role::Administrator]);
            ROLE.unless_at("roles", founder.roles == only)?;
            registry.enrol(founder, change.at)?;
        }
        let signed = registry.signers(change, approvals)?;
        let all = signed.len() == founders.len() && signed.len() >= 2;
        SECOND_ADMINISTRATOR.unless(all)?;
        registry.advance(change)?;
        Ok(registry)
    }

    /// Applies a change at `applied`, if those who must have signed it did. Nothing is changed on an error.
    ///
    /// A revocation holds from `applied` on, however long its signatures took: what was approved before it was known stays approved as
    /// it was, and the case's next step is refused.
    ///
    /// # Errors
    /// [`REGISTRY_ORDER`], [`SECOND_ADMINISTRATOR`], [`OFFICER_EXISTS`], [`NO_SUCH_OFFICER`], [`LAST_ADMINISTRATORS`], [`ROLE`], and those
    /// of an approval.
    pub fn apply(
        &mut self,
        change: &Change,
        approvals: &[Approval],
        applied: Timestamp,
    ) -> Result<(), Refused> {
        let from = applied.max(change.at);
        self.follows(change)?;
        let signed = self.signers(change, approvals)?;
        // Not only when it was drawn up: who was retired since signs nothing, whatever the date on it.
        for approval in approvals {
            self.check(&approval.officer, &approval.key, from)?;
        }
        let administrators = |subject: Option<&Text>| {
            let counted = signed.iter().filter(|id| {
                Some(*id) != subject && self.officers.get(*id).is_some_and(|o| o.is(Role::Administrator))
            });
            counted.count()
        };
        let mut next = self.clone();
        match &change.what {
            ChangeWhat::Found(_) => return Err(REGISTRY_ORDER.refused()),
            ChangeWhat::Enrol(new) => {
                SECOND_ADMINISTRATOR.unless(administrators(Some(&new.person.id)) >= 2)?;
                next.enrol(new, change.at)?;
            }
            ChangeWhat::AddKey { officer, key } => {
                SECOND_ADMINISTRATOR.unless(administrators(Some(officer)) >= 2)?;
                next.add_key(officer, key, change.at)?;
            }
            ChangeWhat::RevokeKey { officer, key, .. } => {
                let own = signed.contains(officer);
                SECOND_ADMINISTRATOR.unless(own || administrators(None) >= 1)?;
                let registered = next
                    .officers
                    .get_mut(officer)
                    .and_then(|officer| officer.keys.get_mut(key));
                let registered = registered.ok_or_else(|| NO_SUCH_OFFICER.refused())?;
                registered.revoked = registered.revoked.or(Some(from));
            }
            ChangeWhat::Retire { officer, .. } => {
                SECOND_ADMINISTRATOR.unless(administrators(None) >= 1)?;
                let officer = next
                    .officers
                    .get_mut(officer)
                    .ok_or_else(|| NO_SUCH_OFFICER.refused())?;
                officer.retired = officer.retired.or(Some(from));
            }
        }
        next.advance(change)?;
        *self = next;
        Ok(())
    }

    /// The agency.
    pub fn agency(&self) -> &Text {
        &self.agency
    }

    /// SHA-256 of the last change, which the next one names, and how many there were.
    pub fn head(&self) -> (u64, Digest) {
        (self.sequence, self.head)
    }

    /// Whether an officer may act in one of these roles at this time.
    pub fn may(&self, officer: &Text, roles: &[Role], at: Timestamp) -> bool {
        let officer = self.officers.get(officer);
        officer.is_some_and(|officer| officer.active(at) && roles.iter().any(|role| officer.is(*role)))
    }

    /// The officers, by id, retired ones included.
    pub fn officers(&self) -> impl Iterator<Item = Listed<'_>> {
        self.officers.values().map(|officer| Listed {
            officer: &officer.new,
            since: officer.since,
            retired: officer.retired,
            revoked: officer
                .keys
                .iter()
                .filter_map(|(id, key)| Some((*id, key.revoked?)))
                .collect(),
        })
    }

    /// An officer who is not retired at this time.
    pub fn officer(&self, id: &Text, at: Timestamp) -> Option<&NewOfficer> {
        let officer = self.officers.get(id)?;
        officer.active(at).then_some(&officer.new)
    }

    /// How many officers could approve at this time: the n of "k of n".
    pub fn deciders(&self, at: Timestamp) -> usize {
        let able = |(id, officer): &(&Text, &Officer)| {
            let key = officer
                .keys
                .values()
                .any(|key| key.revoked.is_none_or(|revoked| at < revoked));
            key && self.may(id, Role::DECIDES, at)
        };
        self.officers.iter().filter(able).count()
    }

    /// Whether the officer's key was registered and not revoked at this time.
    ///
    /// # Errors
    /// [`UNKNOWN_KEY`], [`REVOKED_KEY`].
    pub fn check(&self, officer: &Text, key: &OfficerKey, at: Timestamp) -> Result<(), Refused> {
        let officer = self.officers.get(officer).ok_or_else(|| UNKNOWN_KEY.refused())?;
        // The whole stored key, not its id alone: credential id and backup flag are part of what was registered.
        UNKNOWN_KEY.unless(officer.new.keys.contains(key))?;
        let registered = officer.keys.get(&key.id()).ok_or_else(|| UNKNOWN_KEY.refused())?;
        UNKNOWN_KEY.unless(registered.since <= at)?;
        let good = officer.active(at) && registered.revoked.is_none_or(|revoked| at < revoked);
        REVOKED_KEY.unless(good)
    }

    /// Whether `other` at `agency` is the officer, under whatever account.
    pub fn is_same_human(&self, officer: &Text, agency: &Text, other: &Text) -> bool {
        if *agency == self.agency && officer == other {
            return true;
        }
        let account = Account {
            agency: agency.clone(),
            id: other.clone(),
        };
        self.officers
            .get(officer)
            .is_some_and(|officer| officer.new.accounts.contains(&account))
    }

    fn follows(&self, change: &Change) -> Result<(), Refused> {
        let next = change.agency == self.agency
            && Some(change.sequence) == self.sequence.checked_add(1)
            && change.previous == self.head
            && change.at >= self.at;
        REGISTRY_ORDER.unless(next)
    }

    fn signers(&self, change: &Change, approvals: &[Approval]) -> Result<BTreeSet<Text>, Refused> {
        let digest = change.digest()?;
        let mut signers = BTreeSet::new();
        for approval in approvals {
            self.check(&approval.officer, &approval.key, change.at)?;
            approval.verify(&digest, &self.console, 0)?;
            signers.insert(approval.officer.clone());
        }
        Ok(signers)
    }

    fn enrol(&mut self, new: &NewOfficer, at: Timestamp) -> Result<(), Refused> {
        OFFICER_EXISTS.unless(!self.officers.contains_key(&new.person.id))?;
        let alone = [Role::Administrator, Role::Auditor];
        let apart = new.roles.len() <= 1 || !alone.iter().any(|role| new.roles.contains(role));
        ROLE.unless_at("roles", !new.roles.is_empty() && apart)?;
        let ids: BTreeSet<_> = new.keys.iter().map(OfficerKey::id).collect();
        OFFICER_EXISTS.unless_at("keys", ids.len() == new.keys.len())?;
        for key in &new.keys {
            self.check_new_key(key)?;
        }
        self.officers
            .insert(new.person.id.clone(), Officer::new(new.clone(), at));
        Ok(())
    }

    fn add_key(&mut self, officer: &Text, key: &OfficerKey, at: Timestamp) -> Result<(), Refused> {
        self.check_new_key(key)?;
        let officer = self
            .officers
            .get_mut(officer)
            .ok_or_else(|| NO_SUCH_OFFICER.refused())?;
        let registered = Registered {
            since: at,
            revoked: None,
        };
        officer.keys.insert(key.id(), registered);
        officer.new.keys.push(key.clone());
        Ok(())
    }

    /// A key belongs to one officer for ever: two people with one key would count as two.
    fn check_new_key(&self, key: &OfficerKey) -> Result<(), Refused> {
        key.check()?;
        let known = self
            .officers
            .values()
            .any(|officer| officer.keys.contains_key(&key.id()));
        OFFICER_EXISTS.unless_at("key", !known)
    }

    fn advance(&mut self, change: &Change) -> Result<(), Refused> {
        let able = self.officers.values().filter(|officer| {
            let key = officer.keys.values().any(|key| key.revoked.is_none());
            officer.is(Role::Administrator) && officer.retired.is_none() && key
        });
        LAST_ADMINISTRATORS.unless(able.count() >= 2)?;
        self.sequence = change.sequence;
        self.head = change.digest()?;
        self.at = change.at;
        Ok(())
    }
}
