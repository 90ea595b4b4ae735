//! The demo goes on from a hit: people of both sides take it to a release. Their passkeys are made of software here, which
//! no agency would accept: everything else is as it is in earnest.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use concordat_disclosure::software_passkey::SoftwarePasskey;
use concordat_disclosure::{
    Change, ChangeWhat, Decision, Document, Event, NewOfficer, OfficerKey, RelyingParty, Role,
};
use concordat_ledger::{Digest, Hex, Person, Text};
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{
    AskStep, Case, ChangeOfficersRequest, CloseStep, ConfirmStep, FieldValues, GetCaseRequest,
    ListOfficersRequest, ListOfficersResponse, MatchResponse, OpenMatchRequest, OpenStep, OutcomeStep,
    ProposeStep, ReleaseStep, TakeStepRequest, TakeUpStep,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::agency::Agency;
use super::agreement::{LEGAL_BASIS, LIST};
use super::pairs::Pair;

/// What is asked for: names, birth, offence, case number, authority. The offence needs two officers.
const FIELDS: [&str; 6] = ["a", "b", "d", "i", "j", "k"];
/// How long a step may take to the other side.
const ARRIVES: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// What became of the case.
pub struct Disclosure {
    state: String,
    approvals: usize,
    released: Vec<String>,
    history: Vec<String>,
}

/// The people of one side.
struct Staff<'a> {
    agency: &'a Agency,
    console: RelyingParty,
    people: Vec<(&'static str, Role, SoftwarePasskey)>,
}

fn text(text: &str) -> Result<Text> {
    Text::new(text).map_err(|_| anyhow::anyhow!("{text:?} is not a text"))
}

impl<'a> Staff<'a> {
    /// Founds the registry of officers and enrols everybody.
    async fn enrol(agency: &'a Agency, people: &[(&'static str, Role)]) -> Result<Self> {
        let officers = agency
            .node
            .disclosures()
            .list_officers(ListOfficersRequest {})
            .await?
            .into_inner();
        let origins = officers.console_origins.iter().map(|origin| text(origin));
        let mut staff = Self {
            agency,
            console: RelyingParty {
                id: text(&officers.console_id)?,
                origins: origins.collect::<Result<_>>()?,
            },
            people: Vec::new(),
        };
        for (name, role) in people {
            let key = SoftwarePasskey::new(&rand::random()).context("a software passkey")?;
            staff.people.push((name, *role, key));
        }
        let is_admin = |role: Role| role == Role::Administrator;
        let founders = staff.people.iter().filter(|(_, role, _)| is_admin(*role));
        let founders = founders.map(new_officer).collect::<Result<Vec<_>>>()?;
        let mut head = staff.change(&officers, ChangeWhat::Found(founders)).await?;
        for place in 0..staff.people.len() {
            let person = &staff.people[place];
            if !is_admin(person.1) {
                head = staff
                    .change(&head, ChangeWhat::Enrol(new_officer(person)?))
                    .await?;
            }
        }
        Ok(staff)
    }

    async fn change(
        &mut self,
        after: &ListOfficersResponse,
        what: ChangeWhat,
    ) -> Result<ListOfficersResponse> {
        let change = Change {
            agency: text(self.agency.id)?,
            sequence: after.sequence + 1,
            previous: Hex::parse(&after.head).context("the registry's head")?,
            at: Timestamp::now(),
            what,
        };
        let digest = change.digest()?;
        let mut approvals = Vec::new();
        for (name, role, key) in &mut self.people {
            if *role == Role::Administrator {
                approvals.push(key.approve(&text(name)?, &digest, &self.console)?.encode()?);
            }
        }
        let request = ChangeOfficersRequest {
            change: change.encode()?,
            approvals,
            no_console: false,
        };
        Ok(self
            .agency
            .node
            .disclosures()
            .change_officers(request)
            .await?
            .into_inner())
    }

    async fn step(&self, officer: &str, case: &str, step: Step) -> Result<Case> {
        let request = TakeStepRequest {
            case_id: case.into(),
            officer: officer.into(),
            seen: String::new(),
            step: Some(step),
        };
        Ok(self
            .agency
            .node
            .disclosures()
            .take_step(request)
            .await?
            .into_inner())
    }

    async fn view(&self, officer: &str, case: &str) -> Result<Case> {
        let request = GetCaseRequest {
            case_id: case.into(),
            officer: officer.into(),
        };
        Ok(self
            .agency
            .node
            .disclosures()
            .get_case(request)
            .await?
            .into_inner())
    }

    async fn approve(&mut self, officer: &'static str, case: &str) -> Result<Case> {
        let decision = Decision::decode(&self.view(officer, case).await?.decision)?;
        let digest: Digest = decision.digest()?;
        let console = self.console.clone();
        let person = self.people.iter_mut().find(|(name, ..)| *name == officer);
        let (name, _, key) = person.context("an officer of the demo")?;
        let approval = key.approve(&text(name)?, &digest, &console)?.encode()?;
        self.step(officer, case, Step::Approve(approval)).await
    }

    /// Waits until this side has come to a state.
    async fn reaches(&self, officer: &str, case: &str, state: &str) -> Result<Case> {
        let begin = Instant::now();
        loop {
            if let Ok(view) = self.view(officer, case).await
                && view
                    .summary
                    .as_ref()
                    .is_some_and(|summary| summary.state == state)
            {
                return Ok(view);
            }
            ensure!(
                begin.elapsed() < ARRIVES,
                "the case did not come to {state} at {}",
                self.agency.name
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn new_officer((name, role, key): &(&'static str, Role, SoftwarePasskey)) -> Result<NewOfficer> {
    Ok(NewOfficer {
        person: Person {
            id: text(name)?,
            unit: None,
        },
        roles: [*role].into(),
        accounts: Default::default(),
        keys: vec![OfficerKey::Passkey(key.public())],
    })
}

/// Takes one hit to a release and to its end; `None` if there is no hit.
///
/// # Errors
/// A node refuses, or a step does not arrive.
pub async fn disclose(
    left: &Agency,
    right: &Agency,
    flight: &MatchResponse,
    found: &BTreeSet<Pair>,
) -> Result<Option<Disclosure>> {
    let Some(case) = case_of(left, right.id, flight, found).await? else {
        return Ok(None);
    };
    let administrators = [("admin-1", Role::Administrator), ("admin-2", Role::Administrator)];
    let [first, second] = administrators;
    let asking = Staff::enrol(left, &[first, second, ("nora", Role::Officer)]).await?;
    let owners = [
        first,
        second,
        ("olga", Role::Officer),
        ("ole", Role::Officer),
        ("tilda", Role::Analyst),
    ];
    let mut owning = Staff::enrol(right, &owners).await?;
    let case = case.as_str();

    let confirm = ConfirmStep {
        comparison: "SAME".into(),
        method: "document in hand, photograph compared".into(),
    };
    asking
        .step("nora", case, Step::Confirm(confirm))
        .await
        .context("confirming")?;
    let expires = Timestamp::now() + SignedDuration::from_hours(7 * 24);
    let ask = AskStep {
        purpose: "CRIM_INVESTIGATION".into(),
        legal_basis: LEGAL_BASIS.into(),
        intended_use: "INTELLIGENCE".into(),
        subject_class: "SUSPECT".into(),
        facts: "arrived on flight XX100 with the passport that hit".into(),
        offence: "0801".into(),
        max_penalty_months: 60,
        fields: FIELDS.map(String::from).into(),
        urgency: "NORMAL".into(),
        ordered_by: "nora".into(),
        expires_at: expires.to_string(),
        ..AskStep::default()
    };
    asking
        .step("nora", case, Step::Request(ask))
        .await
        .context("asking for details")?;
    owning.reaches("tilda", case, "REQUESTED").await?;
    let view = owning
        .step("tilda", case, Step::TakeUp(TakeUpStep {}))
        .await
        .context("taking it up")?;
    let propose = proposal(view.suggested);
    owning
        .step("olga", case, Step::Propose(propose))
        .await
        .context("drawing up a decision")?;
    owning.approve("olga", case).await.context("approving")?;
    owning.approve("ole", case).await.context("approving")?;
    owning
        .step("olga", case, Step::Release(ReleaseStep {}))
        .await
        .context("releasing")?;
    asking.reaches("nora", case, "RELEASED").await?;
    let opened = asking
        .step("nora", case, Step::Open(OpenStep {}))
        .await
        .context("opening")?;
    let decision = Decision::decode(&opened.decision)?;
    let outcome = OutcomeStep {
        outcome: "TRUE".into(),
        action: "arrested".into(),
    };
    asking
        .step("nora", case, Step::Outcome(outcome))
        .await
        .context("stating the outcome")?;
    owning.reaches("olga", case, "OUTCOME").await?;
    owning
        .step("olga", case, Step::Close(CloseStep {}))
        .await
        .context("closing")?;
    let closed = asking.reaches("nora", case, "CLOSED").await?;
    let theirs = owning.view("olga", case).await?;
    ensure!(
        closed.head == theirs.head,
        "the two sides have two histories of the case"
    );
    let history = closed.steps.iter().map(|step| Ok(line(&Event::decode(step)?)));
    Ok(Some(Disclosure {
        state: "CLOSED".into(),
        approvals: opened.approvals.len(),
        released: decision
            .released
            .iter()
            .map(|released| released.field.name().to_owned())
            .collect(),
        history: history.collect::<Result<_>>()?,
    }))
}

/// A case that a hit of the flight opened, or one opened on a match of the lists.
async fn case_of(
    left: &Agency,
    partner: &str,
    flight: &MatchResponse,
    found: &BTreeSet<Pair>,
) -> Result<Option<String>> {
    let verdicts = flight.results.iter().flat_map(|result| &result.partners);
    if let Some(case) = verdicts.flat_map(|verdict| &verdict.case_ids).next() {
        return Ok(Some(case.clone()));
    }
    let Some(pair) = found.first() else {
        return Ok(None);
    };
    let request = OpenMatchRequest {
        list: LIST.into(),
        source_id: pair.left.clone(),
        partner_id: partner.into(),
        purpose: "CRIM_INVESTIGATION".into(),
        legal_basis: LEGAL_BASIS.into(),
        case_reference: "demo".into(),
        ..OpenMatchRequest::default()
    };
    let opened = left
        .node
        .disclosures()
        .open_match(request)
        .await
        .context("opening a match")?;
    Ok(opened.into_inner().case_ids.into_iter().next())
}

/// Everything, with the values of the owner's record; what the record does not say is said so.
fn proposal(suggested: Vec<FieldValues>) -> ProposeStep {
    let released = suggested.into_iter().map(|mut field| {
        if field.values.is_empty() {
            field.values.push("not recorded".into());
        }
        field
    });
    let retain = (Timestamp::now() + SignedDuration::from_hours(365 * 24)).to_zoned(jiff::tz::TimeZone::UTC);
    ProposeStep {
        released: released.collect(),
        marks: json!({
            "handling": "H1",
            "source": "A",
            "information": "2",
            "classification": "RESTRICTED",
            "retain_until": retain.date().to_string(),
            "onward": "NOBODY",
            "purpose": "CRIM_INVESTIGATION",
        })
        .to_string(),
        conditions: vec!["not as evidence in court without asking first".into()],
        ..ProposeStep::default()
    }
}

fn line(event: &Event) -> String {
    let by = event.by.as_ref().map_or("the node", |person| person.id.as_str());
    let side = match event.side {
        concordat_ledger::Side::Requester => "asking",
        concordat_ledger::Side::Owner => "owning",
    };
    format!("{:<17} {side} side, {by}", event.what.name())
}

impl Disclosure {
    /// Part of the object of `--json`.
    pub fn json(&self, ledger_verified: Option<bool>) -> Value {
        json!({
            "state": self.state,
            "approvals": self.approvals,
            "released_fields": self.released,
            "ledger_verified": ledger_verified,
        })
    }

    /// The case's history for people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "one hit taken to its end with software passkeys: {} approvals, {} released",
            self.approvals,
            self.released.join(", ")
        );
        for line in &self.history {
            text += &format!("\n              {line}");
        }
        text
    }
}
