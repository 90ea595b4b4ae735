//! The people of an agency: administrators, officers and an analyst, each with a software passkey, registered at its node.

use std::collections::BTreeSet;
use std::sync::Arc;

use concordat_disclosure::codes::{
    CaseOutcome, Classification, Comparison, Field, HandlingCode, InformationEvaluation, IntendedUse, Marks,
    Onward, SourceEvaluation, SubjectClass,
};
use concordat_disclosure::deadline::Urgency;
use concordat_disclosure::event::{Confirmed, OutcomeStated};
use concordat_disclosure::software_passkey::SoftwarePasskey;
use concordat_disclosure::{
    Approval, CaseId, Change, ChangeWhat, Document, NewOfficer, OfficerKey, Released, Role, Words,
};
use concordat_ledger::{Digest, Hex, Person, Text};
use concordat_node::desk::{self, Action, Asking, CaseView, Proposal, Via, Who, officers};
use concordat_node::state::State;
use concordat_wire::Fault;
use jiff::SignedDuration;

use crate::{Agency, LEGAL_BASIS};

/// A text of the ledger.
pub fn text(text: &str) -> Text {
    Text::new(text).expect("a text")
}

/// Words of a person.
pub fn words(text: &str) -> Words {
    Words::new(text).expect("words")
}

/// A person by id.
pub fn human(id: &str) -> Person {
    Person {
        id: text(id),
        unit: None,
    }
}

/// Somebody at the console.
pub fn who(id: &str) -> Who {
    Who {
        person: human(id),
        via: Via::Console,
    }
}

/// The keys of an agency's people: `admin-1`, `admin-2`, `anna` and `ben` and `cleo` (officers), `ivan` (an analyst), `sue` (a
/// supervisor), `otto` (an auditor).
pub struct Staff {
    /// None while its node is stopped.
    state: Option<Arc<State>>,
    people: Vec<(&'static str, SoftwarePasskey)>,
}

const PEOPLE: [(&str, Role); 6] = [
    ("anna", Role::Officer),
    ("ben", Role::Officer),
    ("cleo", Role::Officer),
    ("ivan", Role::Analyst),
    ("sue", Role::Supervisor),
    ("otto", Role::Auditor),
];

impl Staff {
    /// Founds an agency's registry and enrols everybody. `salt` makes the keys of two agencies different.
    pub async fn of(agency: &Agency, salt: u8) -> Self {
        let names = ["admin-1", "admin-2"]
            .into_iter()
            .chain(PEOPLE.map(|(name, _)| name));
        let people = names.zip(1..).map(|(name, number): (_, u8)| {
            let mut secret = [number; 32];
            secret[0] = salt;
            (name, SoftwarePasskey::new(&secret).expect("a key"))
        });
        let mut staff = Self {
            state: Some(Arc::clone(&agency.node().state)),
            people: people.collect(),
        };
        let founders = ["admin-1", "admin-2"].map(|name| staff.officer(name, Role::Administrator));
        staff
            .change(ChangeWhat::Found(founders.into()))
            .await
            .expect("founded");
        for (name, role) in PEOPLE {
            let new = staff.officer(name, role);
            staff.change(ChangeWhat::Enrol(new)).await.expect("enrolled");
        }
        staff
    }

    /// Goes on with the node of the same agency after it was started again.
    pub fn follow(&mut self, agency: &Agency) {
        self.state = Some(Arc::clone(&agency.node().state));
    }

    /// Lets go of the node, that it can be stopped.
    pub fn leave(&mut self) {
        self.state = None;
    }

    fn state(&self) -> &Arc<State> {
        self.state.as_ref().expect("the node runs")
    }

    /// Somebody's key.
    pub fn key(&mut self, name: &str) -> &mut SoftwarePasskey {
        let found = self.people.iter_mut().find(|(known, _)| *known == name);
        &mut found.expect("a person of the agency").1
    }

    fn officer(&mut self, name: &str, role: Role) -> NewOfficer {
        NewOfficer {
            person: human(name),
            roles: BTreeSet::from([role]),
            accounts: BTreeSet::new(),
            keys: vec![OfficerKey::Passkey(self.key(name).public())],
        }
    }

    /// A change of the registry, signed by both administrators.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn change(&mut self, what: ChangeWhat) -> Result<(), Fault> {
        let (sequence, previous) = match officers::registry(self.state()).await {
            Ok(registry) => registry.head(),
            Err(_) => (0, Hex([0; 32])),
        };
        let change = Change {
            agency: text(&self.state().config.node.agency_id),
            sequence: sequence + 1,
            previous,
            at: self.state().clock.now(),
            what,
        };
        let digest = change.digest().expect("a digest");
        let mut signed = Vec::new();
        for name in ["admin-1", "admin-2"] {
            signed.push(self.sign(name, &digest).await);
        }
        officers::change_registry(self.state(), change, signed).await?;
        Ok(())
    }

    /// Somebody's signature on a document.
    pub async fn sign(&mut self, name: &str, document: &Digest) -> Approval {
        let console = officers::relying_party(self.state()).await.expect("a console");
        let officer = text(name);
        self.key(name)
            .approve(&officer, document, &console)
            .expect("signed")
    }

    /// Somebody takes a step.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn act(&self, name: &str, case: CaseId, action: Action) -> Result<CaseView, Fault> {
        desk::act(self.state(), &who(name), case, None, action).await
    }

    /// A case as somebody sees it.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn view(&self, name: &str, case: CaseId) -> Result<CaseView, Fault> {
        desk::view(self.state(), Some(&who(name)), case).await
    }

    /// An officer approves the decision that is drawn up.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn approve(&mut self, name: &str, case: CaseId) -> Result<CaseView, Fault> {
        let view = self.view(name, case).await?;
        let decision = view.decision.expect("a decision is drawn up");
        let approval = self.sign(name, &decision.digest().expect("a digest")).await;
        self.act(name, case, Action::Approve(Box::new(approval))).await
    }

    /// What is asked for in tests: names, birth, offence.
    pub fn asking(&self) -> Asking {
        Asking {
            purpose: text("BORDER_CHECK"),
            legal_basis: text(LEGAL_BASIS),
            intended_use: IntendedUse::Intelligence,
            subject: SubjectClass::Suspect,
            facts: words("stopped at the border with a passport that hit"),
            offence: text("0801"),
            max_penalty_months: 60,
            fields: "abdi"
                .chars()
                .filter_map(|letter| letter.to_string().parse().ok())
                .collect(),
            urgency: Urgency::Normal,
            onward: BTreeSet::new(),
            ordered_by: human("commander-1"),
            expires: self.state().clock.now() + SignedDuration::from_hours(24 * 7),
        }
    }

    /// Everything that was asked for, with the values of our record.
    pub fn proposal(&self, view: &CaseView) -> Proposal {
        let request = view.case.request().expect("a request");
        let released = request.fields.iter().map(|field| Released {
            field: field.clone(),
            values: match view.suggested.get(field).filter(|values| !values.is_empty()) {
                Some(values) => values.clone(),
                None => vec![words(if *field == Field::Offence {
                    "forged documents"
                } else {
                    "unknown"
                })],
            },
        });
        Proposal {
            refusal: None,
            released: released.collect(),
            withheld: Vec::new(),
            marks: self.marks(),
            conditions: vec![words("not to be used in court without asking")],
        }
    }

    /// How what is released must be handled.
    pub fn marks(&self) -> Marks {
        let today = self.state().clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        Marks {
            handling: HandlingCode::H1,
            restriction: None,
            source: SourceEvaluation::A,
            information: InformationEvaluation::KnownToSource,
            classification: Classification::Restricted,
            retain_until: today.saturating_add(jiff::Span::new().days(365)),
            onward: Onward::Nobody,
            purpose: text("BORDER_CHECK"),
        }
    }

    /// SAME, by two people's eyes.
    pub fn same() -> Action {
        Action::Confirm(Confirmed {
            comparison: Comparison::Same,
            method: words("document in hand, photo compared"),
        })
    }

    /// What came of it.
    pub fn outcome(outcome: CaseOutcome) -> Action {
        Action::Outcome(OutcomeStated {
            outcome,
            action: words("arrested"),
        })
    }
}
