//! `DisclosureService` over gRPC, with keys in files: the whole way from a hit to a closed case, and what is refused on it.

use concordat_disclosure::{ChangeWhat, Decision, Document, FileKey, NewOfficer, Role};
use concordat_ledger::Event;
use concordat_node::identity;
use concordat_node::tls::{self, Credentials};
use concordat_tests::office::{Office, PEOPLE, ask, confirm, propose, rule, say, state};
use concordat_tests::staff::{human, text};
use concordat_tests::{LEGAL_BASIS, Pair, Terms, born, document, item, name, person, wait_for};
use concordat_wire::v1::disclosure_service_client::DisclosureServiceClient;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{
    AskStep, AttachOpen, AttachRequest, Case, CloseStep, ConfirmStep, FieldValues, GetCaseRequest,
    ListCasesRequest, OpenMatchRequest, OpenStep, OutcomeStep, Record, ReleaseStep, SayStep, TakeUpStep,
    attach_request,
};
use tonic::Status;

use crate::tls::channel;

const NUMBER: &str = "P1234567";

fn wanted() -> Vec<Record> {
    let subject = person(
        vec![name("MARKOV", "IVAN PETROVICH")],
        vec![born(1975, 4, 12)],
        vec![document(NUMBER, "RUS")],
    );
    vec![Record {
        source_id: "W-1".into(),
        subject: Some(subject),
    }]
}

/// Two agencies with their people, and a case that a hit has opened at the asking one.
struct Offices {
    pair: Pair,
    asking: Office,
    owning: Office,
    case: String,
}

impl Offices {
    async fn under(terms: Terms) -> Self {
        let pair = Pair::with(terms, wanted()).await;
        let asking = Office::of(&pair.asker, 1).await;
        let owning = Office::of(&pair.owner, 2).await;
        let traveller = item("1A", person(vec![], vec![], vec![document(NUMBER, "RUS")]));
        let answer = pair.asker.ask(vec![traveller]).await;
        let cases = &answer.results[0].partners[0].case_ids;
        let case = cases.first().expect("the hit opens a case").clone();
        Self {
            pair,
            asking,
            owning,
            case,
        }
    }

    /// A decision is drawn up at the owner.
    async fn proposed(&self) -> Case {
        let (case, asking, owning) = (&self.case, &self.asking, &self.owning);
        asking.take(case, "ivan", confirm()).await.expect("confirmed");
        let asked = asking
            .take(case, "ivan", Step::Request(ask()))
            .await
            .expect("asked");
        assert_eq!(state(&asked), "REQUESTED");
        let taken = owning.take(case, "anna", Step::TakeUp(TakeUpStep {})).await;
        let taken = taken.expect("taken up");
        let proposed = owning.take(case, "anna", Step::Propose(propose(&taken))).await;
        proposed.expect("drawn up")
    }

    async fn arrives(&self, office: &Office, wanted: &str) {
        wait_for("the step arrives", || async {
            state(&office.see(&self.case, "ivan").await) == wanted
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_grpc_a_hit_becomes_a_closed_case() {
    let offices = Offices::under(Terms::default().disclosing()).await;
    let (case, asking, owning) = (&offices.case, &offices.asking, &offices.owning);

    // The list is watched from before the first step: each change tells the whole of it.
    let mut watched = asking
        .client
        .clone()
        .watch_cases(ListCasesRequest::default())
        .await
        .expect("watched")
        .into_inner();
    let first = watched.message().await.expect("a page").expect("a page");
    assert_eq!(first.cases[0].state, "HIT");

    let proposed = offices.proposed().await;
    assert_eq!(state(&proposed), "APPROVING");
    assert!(proposed.may.contains(&"approve".to_owned()));
    let approved = owning.approve(case, "ben").await.expect("approved");
    assert_eq!(
        state(&approved),
        "PARTIAL",
        "what needs two is not released: one suffices"
    );
    let released = owning.take(case, "ben", Step::Release(ReleaseStep {})).await;
    assert_eq!(state(&released.expect("released")), "RELEASED");
    offices.arrives(asking, "RELEASED").await;

    let sealed = asking.see(case, "ivan").await;
    assert!(
        sealed.decision.is_empty() && sealed.umf.is_empty(),
        "sealed until somebody opens it"
    );
    let opened = asking
        .take(case, "ivan", Step::Open(OpenStep {}))
        .await
        .expect("opened");
    let decision = Decision::decode(&opened.decision).expect("the decision that was signed");
    let values: Vec<_> = decision
        .released
        .iter()
        .flat_map(|released| &released.values)
        .collect();
    assert!(values.iter().any(|value| value.as_str().contains("MARKOV")));
    assert!(opened.umf.contains("MARKOV") && !opened.umf.contains(&ask().facts));
    let unnamed = asking.see(case, "anna").await;
    assert!(unnamed.decision.is_empty(), "for those whom the request names");
    assert!(
        asking.see(case, "").await.subject.is_empty(),
        "without an officer the history alone"
    );

    let outcome = Step::Outcome(OutcomeStep {
        outcome: "TRUE".into(),
        action: "arrested".into(),
    });
    asking.take(case, "ivan", outcome).await.expect("stated");
    offices.arrives(owning, "OUTCOME").await;
    let closed = owning
        .take(case, "ben", Step::Close(CloseStep {}))
        .await
        .expect("closed");
    assert_eq!(state(&closed), "CLOSED");
    offices.arrives(asking, "CLOSED").await;
    let ours = asking.see(case, "ivan").await;
    assert_eq!(ours.head, closed.head, "both have one history");

    let mut last = first;
    while last.cases.first().is_none_or(|case| case.state != "CLOSED") {
        last = watched.message().await.expect("a page").expect("a page");
    }
    let ended = ListCasesRequest {
        ours: true,
        ..ListCasesRequest::default()
    };
    assert!(asking.list(ended).await.cases.is_empty(), "nobody's turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desks_talk_and_send_files() {
    let offices = Offices::under(Terms::default().disclosing()).await;
    let (case, asking, owning) = (&offices.case, &offices.asking, &offices.owning);
    asking.take(case, "ivan", confirm()).await.expect("confirmed");
    asking
        .take(case, "ivan", Step::Request(ask()))
        .await
        .expect("asked");
    owning
        .take(case, "ivan", Step::TakeUp(TakeUpStep {}))
        .await
        .expect("taken up");
    let question = Step::Question(say("which flight?"));
    owning.take(case, "ivan", question).await.expect("asked back");
    offices.arrives(asking, "NEEDS_INFO").await;
    offices.pair.advance(1);

    let file: Vec<u8> = (0..700_000_u32).map(|byte| (byte % 251) as u8).collect();
    let manifest = asking.attach(case, "ivan", &file).await.expect("sealed");
    let answer = SayStep {
        attachments: vec![manifest],
        ..say("the passenger list is attached")
    };
    asking
        .take(case, "ivan", Step::Answer(answer))
        .await
        .expect("answered");
    offices.arrives(owning, "TRIAGE").await;
    let seen = owning.see(case, "anna").await;
    assert_eq!(seen.messages.len(), 2);
    let message = concordat_disclosure::Message::decode(&seen.messages[1]).expect("a message");
    let attached = message.attachments[0].id.to_string();
    wait_for("all parts arrive", || async {
        owning.fetch(case, "anna", &attached).await.is_ok()
    })
    .await;
    let fetched = owning.fetch(case, "anna", &attached).await.expect("here");
    assert_eq!(fetched, file);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_refused_with_its_rule() {
    let offices = Offices::under(Terms::default().disclosing()).await;
    let (case, asking, owning) = (&offices.case, &offices.asking, &offices.owning);
    let seen = asking.see(case, "ivan").await;

    assert_eq!(
        rule(asking.take(case, "", confirm()).await),
        "DESK-021",
        "somebody acts"
    );
    assert_eq!(
        rule(asking.take(&"0".repeat(32), "ivan", confirm()).await),
        "DESK-002"
    );
    assert_eq!(rule(asking.take("no id", "ivan", confirm()).await), "DESK-021");
    let stranger = asking.take(case, "mallory", confirm()).await;
    assert_eq!(rule(stranger), "DISC-023", "only officers of the registry");
    let other = Step::Confirm(ConfirmStep {
        comparison: "PERHAPS".into(),
        method: "a look".into(),
    });
    assert_eq!(
        rule(asking.take(case, "ivan", other).await),
        "DESK-021",
        "not a code"
    );

    let taken = asking.take_as_seen(case, "ivan", &seen.head, confirm()).await;
    assert_eq!(rule(taken), "taken");
    let again = asking.take_as_seen(case, "ivan", &seen.head, confirm()).await;
    assert_eq!(rule(again), "DISC-024", "the case has moved on");
    let minor = AskStep {
        max_penalty_months: 1,
        ..ask()
    };
    assert_eq!(
        rule(asking.take(case, "ivan", Step::Request(minor)).await),
        "DISC-015"
    );
    asking
        .take(case, "ivan", Step::Request(ask()))
        .await
        .expect("asked");
    let taken = owning
        .take(case, "anna", Step::TakeUp(TakeUpStep {}))
        .await
        .expect("taken up");

    let mut incomplete = propose(&taken);
    incomplete.withheld.clear();
    assert_eq!(
        rule(owning.take(case, "anna", Step::Propose(incomplete)).await),
        "DISC-031"
    );
    let mut invented = propose(&taken);
    invented.released.push(FieldValues {
        field: "k".into(),
        values: vec!["never asked for".into()],
    });
    assert_eq!(
        rule(owning.take(case, "anna", Step::Propose(invented)).await),
        "DISC-031"
    );
    let by_analyst = owning.take(case, "ivan", Step::Propose(propose(&taken))).await;
    assert_eq!(rule(by_analyst), "DISC-023", "an analyst decides nothing");
    let early = owning.take(case, "anna", Step::Release(ReleaseStep {})).await;
    assert_eq!(rule(early), "DISC-020", "nothing leaves without a decision");
    let proposed = owning
        .take(case, "anna", Step::Propose(propose(&taken)))
        .await
        .expect("drawn up");

    // The signature of one is not that of another, and one on another text is none.
    let decision = Decision::decode(&proposed.decision).expect("a decision");
    let digest = decision.digest().expect("a digest");
    let mut stolen = owning.sign("ben", &digest);
    stolen.officer = text("anna");
    let stolen = Step::Approve(stolen.encode().expect("a document"));
    assert_eq!(rule(owning.take(case, "anna", stolen).await), "DISC-044");
    let other = owning.sign("ben", &concordat_ledger::Hex([7; 32]));
    let other = Step::Approve(other.encode().expect("a document"));
    assert_eq!(rule(owning.take(case, "ben", other).await), "DISC-040");
    assert_eq!(state(&owning.see(case, "anna").await), "APPROVING");
    owning.approve(case, "ben").await.expect("approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_a_file_signs_nothing_where_the_agreement_wants_passkeys() {
    let mut terms = Terms::default().disclosing();
    terms.disclosure = terms.disclosure.replace("file_keys = true", "file_keys = false");
    let offices = Offices::under(terms).await;
    offices.proposed().await;
    let refused = offices.owning.approve(&offices.case, "ben").await;
    assert_eq!(rule(refused), "DISC-046");
    let case = offices.owning.see(&offices.case, "ben").await;
    assert_eq!((state(&case), case.approvals.len()), ("APPROVING", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_reads_the_history_and_does_nothing() {
    let offices = Offices::under(Terms::default().disclosing()).await;
    offices.proposed().await;
    let owner = &offices.pair.owner;
    let files = identity::create_client(owner.folder(), "court").expect("made");
    let store = &owner.node().state.store;
    store
        .add_auditor("court", &files.fingerprint, 0)
        .await
        .expect("kept");
    let read = |path: &std::path::Path| std::fs::read(path).expect("read");
    let credentials = Credentials::from_pem(&read(&files.certificate), &read(&files.key)).expect("PEM");
    let config = tls::api_client(&credentials, &read(&files.ca)).expect("TLS");
    let auditor = Office {
        agency_id: owner.id.clone(),
        client: DisclosureServiceClient::new(channel(config, owner.node().api_address.port())),
        salt: 2,
    };
    let case = &offices.case;
    assert_eq!(auditor.list(ListCasesRequest::default()).await.cases.len(), 1);
    let seen = auditor.see(case, "").await;
    assert!(seen.steps.len() > 3, "the history");
    assert!(seen.decision.is_empty() && seen.records.is_empty() && seen.messages.is_empty());

    let mut client = auditor.client.clone();
    let as_anna = GetCaseRequest {
        case_id: case.clone(),
        officer: "anna".into(),
    };
    assert_eq!(
        rule(client.get_case(as_anna).await),
        "NODE-016",
        "no officer's eyes"
    );
    assert_eq!(
        rule(approve_as(&auditor, "anna", case, &offices.owning).await),
        "NODE-016"
    );
    let retire = ChangeWhat::Retire {
        officer: text("ben"),
        reason: "an auditor's wish".parse().expect("words"),
    };
    let retire = offices.owning.change(retire).await;
    assert_eq!(rule(auditor.apply(&retire, &["ada", "bob"]).await), "NODE-016");
    let hit = OpenMatchRequest {
        list: "wanted".into(),
        source_id: "W-1".into(),
        partner_id: offices.pair.asker.id.clone(),
        purpose: "BORDER_CHECK".into(),
        legal_basis: LEGAL_BASIS.into(),
        case_reference: "A-1".into(),
        ..OpenMatchRequest::default()
    };
    assert_eq!(rule(client.open_match(hit).await), "NODE-016");
    let attach = AttachRequest {
        message: Some(attach_request::Message::Open(AttachOpen::default())),
    };
    assert_eq!(
        rule(client.attach(tokio_stream::iter([attach])).await),
        "NODE-016"
    );
}

/// Whoever calls has got hold of a decision and of an officer's key.
async fn approve_as(caller: &Office, officer: &str, case: &str, at: &Office) -> Result<Case, Status> {
    let seen = at.see(case, officer).await;
    let decision = Decision::decode(&seen.decision).expect("a decision");
    let approval = at.sign(officer, &decision.digest().expect("a digest"));
    let approval = Step::Approve(approval.encode().expect("a document"));
    caller.take(case, officer, approval).await
}

#[tokio::test(flavor = "multi_thread")]
async fn officers_change_by_two_signatures_and_a_lost_key_by_one() {
    let offices = Offices::under(Terms::default().disclosing()).await;
    let office = &offices.owning;
    let nobody_new = NewOfficer {
        person: human("dora"),
        keys: vec![FileKey::from_seed(&[78; 32]).public()],
        ..office.new_officer("anna", Role::Administrator)
    };
    let found = office.change(ChangeWhat::Found(vec![nobody_new])).await;
    assert_ne!(
        rule(office.apply(&found, &["ada", "bob"]).await),
        "taken",
        "founded once"
    );
    let new = NewOfficer {
        keys: vec![FileKey::from_seed(&[77; 32]).public()],
        ..office.new_officer("anna", Role::Officer)
    };
    let cleo = NewOfficer {
        person: human("cleo"),
        ..new
    };
    let enrol = office.change(ChangeWhat::Enrol(cleo)).await;
    assert_eq!(rule(office.apply(&enrol, &["ada"]).await), "DISC-050");
    assert_eq!(
        rule(office.apply(&enrol, &["ada", "anna"]).await),
        "DISC-050",
        "an officer is no administrator"
    );
    let known = office.apply(&enrol, &["ada", "bob"]).await.expect("enrolled");
    assert_eq!(known.officers.len(), PEOPLE.len() + 1);
    // In the ledger with both signatures; what was refused is not.
    let recorded = offices.pair.owner.entries_of("registry.changed").await;
    assert_eq!(recorded.len() as u64, known.sequence);
    let Some(Event::RegistryChanged(changed)) = recorded.last().map(|entry| &entry.event) else {
        panic!("a change")
    };
    assert_eq!((changed.number, changed.what.as_str()), (known.sequence, "enrol"));
    assert_eq!(changed.officer, Some(human("cleo")));
    assert_eq!(changed.document, enrol.digest().expect("a digest"));
    assert_eq!(changed.approvals.len(), 2);
    assert_eq!(
        rule(office.apply(&enrol, &["ada", "bob"]).await),
        "DISC-053",
        "once"
    );

    let revoke = ChangeWhat::RevokeKey {
        officer: text("ben"),
        key: office.key("ben").public().id(),
        reason: "lost".parse().expect("words"),
    };
    let revoke = office.change(revoke).await;
    let known = office.apply(&revoke, &["ada"]).await.expect("revoked at once");
    let ben = known
        .officers
        .iter()
        .find(|officer| officer.id == "ben")
        .expect("known");
    assert!(!ben.keys[0].revoked_at.is_empty());
    assert_eq!(ben.keys[0].r#type, "file-key");
    // It holds from the next millisecond on.
    offices.pair.advance(1);
    offices.proposed().await;
    assert_eq!(
        rule(office.approve(&offices.case, "ben").await),
        "DISC-045",
        "a revoked key signs nothing"
    );
}
