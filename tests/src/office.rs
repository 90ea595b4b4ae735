//! The people of an agency as its own systems speak for them: over gRPC, each officer with a key in a file.

use concordat_disclosure::{Approval, Change, ChangeWhat, Decision, Document, FileKey, NewOfficer, Role};
use concordat_ledger::{Digest, Text};
use concordat_wire::FaultView;
use concordat_wire::v1::disclosure_service_client::DisclosureServiceClient;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{
    AskStep, AttachOpen, AttachRequest, Case, ChangeOfficersRequest, ConfirmStep, FetchAttachmentRequest,
    GetCaseRequest, ListCasesRequest, ListCasesResponse, ListOfficersRequest, ListOfficersResponse,
    ProposeStep, SayStep, TakeStepRequest, attach_request,
};
use jiff::Timestamp;
use tonic::Status;
use tonic::transport::Channel;

use crate::staff::{human, text};
use crate::{Agency, LEGAL_BASIS, START};

/// Officers and their roles: `ada` and `bob` administer, `anna` and `ben` decide, `ivan` compares and asks.
pub const PEOPLE: [(&str, Role); 5] = [
    ("ada", Role::Administrator),
    ("bob", Role::Administrator),
    ("anna", Role::Officer),
    ("ben", Role::Officer),
    ("ivan", Role::Analyst),
];

/// The rule that a call was refused with; `taken` if it was not.
pub fn rule<T>(answer: Result<T, Status>) -> String {
    match answer {
        Ok(_) => "taken".to_owned(),
        Err(status) => FaultView::from(&status).rule,
    }
}

/// The name of a case's state.
pub fn state(case: &Case) -> &str {
    case.summary.as_ref().map_or("", |summary| &summary.state)
}

/// The people of one agency.
#[derive(Clone)]
pub struct Office {
    /// Of which agency.
    pub agency_id: String,
    /// To its node.
    pub client: DisclosureServiceClient<Channel>,
    /// Makes the keys of two agencies different.
    pub salt: u8,
}

impl Office {
    /// Founds an agency's registry of officers and enrols everybody.
    pub async fn of(agency: &Agency, salt: u8) -> Self {
        let office = Self {
            agency_id: agency.id.clone(),
            client: agency.disclosures(),
            salt,
        };
        let founders = ["ada", "bob"].map(|name| office.new_officer(name, Role::Administrator));
        let found = office.change(ChangeWhat::Found(founders.into())).await;
        office.apply(&found, &["ada", "bob"]).await.expect("founded");
        for (name, role) in &PEOPLE[2..] {
            let enrol = ChangeWhat::Enrol(office.new_officer(name, *role));
            let enrol = office.change(enrol).await;
            office.apply(&enrol, &["ada", "bob"]).await.expect("enrolled");
        }
        office
    }

    /// Goes on with the node of the same agency after it was started again.
    pub fn follow(&mut self, agency: &Agency) {
        self.client = agency.disclosures();
    }

    /// Somebody's key.
    pub fn key(&self, name: &str) -> FileKey {
        let number = PEOPLE.iter().position(|(known, _)| *known == name);
        let mut seed = [u8::try_from(number.expect("one of them")).expect("few") + 1; 32];
        seed[0] = self.salt;
        FileKey::from_seed(&seed)
    }

    /// Somebody as the registry enrols her.
    pub fn new_officer(&self, name: &str, role: Role) -> NewOfficer {
        NewOfficer {
            person: human(name),
            roles: [role].into(),
            accounts: [].into(),
            keys: vec![self.key(name).public()],
        }
    }

    /// The registry.
    pub async fn officers(&self) -> ListOfficersResponse {
        let known = self.client.clone().list_officers(ListOfficersRequest {}).await;
        known.expect("listed").into_inner()
    }

    /// The next change of the registry.
    pub async fn change(&self, what: ChangeWhat) -> Change {
        let known = self.officers().await;
        Change {
            agency: text(&self.agency_id),
            sequence: known.sequence + 1,
            previous: Digest::parse(&known.head).expect("a digest"),
            at: Timestamp::from_second(START).expect("a time"),
            what,
        }
    }

    /// Somebody's signature on a document.
    pub fn sign(&self, name: &str, document: &Digest) -> Approval {
        self.key(name)
            .approve(&Text::new(name).expect("a name"), document)
    }

    /// Changes the registry, signed by these.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn apply(&self, change: &Change, by: &[&str]) -> Result<ListOfficersResponse, Status> {
        let digest = change.digest().expect("a digest");
        let signed = by
            .iter()
            .map(|name| self.sign(name, &digest).encode().expect("a document"));
        let request = ChangeOfficersRequest {
            change: change.encode().expect("a document"),
            approvals: signed.collect(),
            // Its officers have keys in files.
            no_console: true,
        };
        Ok(self.client.clone().change_officers(request).await?.into_inner())
    }

    /// A case as an officer sees it.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn try_see(&self, case: &str, officer: &str) -> Result<Case, Status> {
        let request = GetCaseRequest {
            case_id: case.into(),
            officer: officer.into(),
        };
        Ok(self.client.clone().get_case(request).await?.into_inner())
    }

    /// A case as an officer sees it.
    pub async fn see(&self, case: &str, officer: &str) -> Case {
        self.try_see(case, officer).await.expect("a case")
    }

    /// An officer takes a step, whatever the case is by now.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn take(&self, case: &str, officer: &str, step: Step) -> Result<Case, Status> {
        self.take_as_seen(case, officer, "", step).await
    }

    /// An officer takes a step on the case as she saw it.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn take_as_seen(
        &self,
        case: &str,
        officer: &str,
        seen: &str,
        step: Step,
    ) -> Result<Case, Status> {
        let request = TakeStepRequest {
            case_id: case.into(),
            officer: officer.into(),
            seen: seen.into(),
            step: Some(step),
        };
        Ok(self.client.clone().take_step(request).await?.into_inner())
    }

    /// An officer signs the decision that is drawn up.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn approve(&self, case: &str, officer: &str) -> Result<Case, Status> {
        let seen = self.try_see(case, officer).await?;
        let decision = Decision::decode(&seen.decision).expect("a decision");
        let approval = self.sign(officer, &decision.digest().expect("a digest"));
        let approval = Step::Approve(approval.encode().expect("a document"));
        self.take_as_seen(case, officer, &seen.head, approval).await
    }

    /// A page of the cases.
    pub async fn list(&self, request: ListCasesRequest) -> ListCasesResponse {
        let page = self.client.clone().list_cases(request).await;
        page.expect("a page").into_inner()
    }

    /// Seals a file for the other desk; what a message names it by.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn attach(&self, case: &str, officer: &str, file: &[u8]) -> Result<String, Status> {
        let open = AttachOpen {
            case_id: case.into(),
            officer: officer.into(),
            name: "list.pdf".into(),
            media_type: "application/pdf".into(),
        };
        let pieces = file
            .chunks(300_000)
            .map(|piece| attach_request::Message::Data(piece.to_vec()));
        let messages = std::iter::once(attach_request::Message::Open(open)).chain(pieces);
        let requests: Vec<_> = messages
            .map(|message| AttachRequest {
                message: Some(message),
            })
            .collect();
        let attached = self.client.clone().attach(tokio_stream::iter(requests)).await?;
        Ok(attached.into_inner().manifest)
    }

    /// A file that a message names.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn fetch(&self, case: &str, officer: &str, attachment: &str) -> Result<Vec<u8>, Status> {
        let request = FetchAttachmentRequest {
            case_id: case.into(),
            officer: officer.into(),
            attachment_id: attachment.into(),
        };
        let mut pieces = self.client.clone().fetch_attachment(request).await?.into_inner();
        let mut file = Vec::new();
        while let Some(piece) = pieces.message().await? {
            file.extend(piece.data);
        }
        Ok(file)
    }
}

/// The same person, by the photograph.
pub fn confirm() -> Step {
    Step::Confirm(ConfirmStep {
        comparison: "SAME".into(),
        method: "photograph in the passport".into(),
    })
}

/// Names, birth and offence are asked for, urgently.
pub fn ask() -> AskStep {
    AskStep {
        purpose: "BORDER_CHECK".into(),
        legal_basis: LEGAL_BASIS.into(),
        intended_use: "INTELLIGENCE".into(),
        subject_class: "SUSPECT".into(),
        facts: "stopped at the border with a passport that hit".into(),
        offence: "0801".into(),
        max_penalty_months: 60,
        fields: ["a", "b", "d", "i"].map(String::from).into(),
        urgency: "URGENT".into(),
        urgency_reason: "he is at the gate".into(),
        expires_at: "2026-03-08T10:00:00Z".into(),
        ..AskStep::default()
    }
}

/// Names and birth as our record has them, the offence withheld.
pub fn propose(case: &Case) -> ProposeStep {
    let released = ["a", "b", "d"].map(|field| {
        let known = case.suggested.iter().find(|known| known.field == field);
        known.cloned().expect("our record knows it")
    });
    ProposeStep {
        released: released.into(),
        withheld: vec![concordat_wire::v1::WithheldField {
            field: "i".into(),
            ground: "HARMS_INVESTIGATION".into(),
        }],
        marks: r#"{"handling":"H1","source":"A","information":"1","classification":"UNCLASSIFIED",
            "retain_until":"2026-12-31","onward":"NOBODY","purpose":"BORDER_CHECK"}"#
            .into(),
        ..ProposeStep::default()
    }
}

/// A message of one paragraph.
pub fn say(text: &str) -> SayStep {
    SayStep {
        text: vec![text.into()],
        ..SayStep::default()
    }
}
