//! Two agencies, their people and one case, for all tests.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; not each test uses all"
)]

use std::collections::BTreeSet;

use concordat_disclosure::codes::*;
use concordat_disclosure::deadline::{Profile, Urgency};
use concordat_disclosure::event::*;
use concordat_disclosure::software_passkey::SoftwarePasskey;
use concordat_disclosure::*;
use concordat_ledger::{Digest, Hex, Person, Side, Text};
use concordat_note::SigningKey;
use jiff::{SignedDuration, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

pub fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub fn words(text: &str) -> Words {
    Words::new(text).unwrap()
}

pub fn person(id: &str) -> Person {
    Person {
        id: text(id),
        unit: None,
    }
}

/// Minutes after the request.
pub fn at(minutes: i64) -> Timestamp {
    let request: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
    request.checked_add(SignedDuration::from_mins(minutes)).unwrap()
}

pub fn step(side: Side, minutes: i64, by: &str) -> Step {
    let by = (!by.is_empty()).then(|| person(by));
    Step {
        side,
        at: at(minutes),
        by,
    }
}

pub fn owner(minutes: i64, by: &str) -> Step {
    step(Side::Owner, minutes, by)
}

pub fn requester(minutes: i64, by: &str) -> Step {
    step(Side::Requester, minutes, by)
}

pub fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([42; 32])
}

pub const CASE: CaseId = Hex([1; 16]);
pub const ANOTHER_CASE: CaseId = Hex([2; 16]);
pub const ESCALATION: [u8; 32] = [9; 32];

pub struct Fixture {
    pub rules: Rules,
    pub ours: Registry,
    pub theirs: Registry,
    pub documents: Documents,
    /// What the requester has of the owner's documents.
    pub no_documents: Documents,
    pub authors: Vec<Text>,
    pub anna: SoftwarePasskey,
    pub ben: SoftwarePasskey,
    /// Ben's second key.
    pub ben_too: SoftwarePasskey,
    pub cleo: SoftwarePasskey,
    pub admins: [FileKey; 2],
    pub dora: FileKey,
    pub disclosure_key: DisclosureKey,
    pub owner_key: SigningKey,
    pub requester_key: SigningKey,
}

pub fn passkey(secret: u8) -> SoftwarePasskey {
    SoftwarePasskey::new(&[secret; 32]).unwrap()
}

pub fn console(agency: &str) -> RelyingParty {
    RelyingParty {
        id: text(&format!("{agency}.example")),
        origins: BTreeSet::from([text(&format!("https://console.{agency}.example"))]),
    }
}

pub fn new_officer(id: &str, role: Role, keys: Vec<OfficerKey>) -> NewOfficer {
    NewOfficer {
        person: person(id),
        roles: BTreeSet::from([role]),
        accounts: BTreeSet::new(),
        keys,
    }
}

pub fn found(agency: &str, admins: &[FileKey; 2]) -> Registry {
    let founders = ["admin-1", "admin-2"].iter().zip(admins);
    let founders = founders.map(|(id, key)| new_officer(id, Role::Administrator, vec![key.public()]));
    let change = Change {
        agency: text(agency),
        sequence: 1,
        previous: Hex([0; 32]),
        at: at(-100_000),
        what: ChangeWhat::Found(founders.collect()),
    };
    let digest = change.digest().unwrap();
    let signed = [
        admins[0].approve(&text("admin-1"), &digest),
        admins[1].approve(&text("admin-2"), &digest),
    ];
    Registry::found(console(agency), &change, &signed).unwrap()
}

pub fn next_change(registry: &Registry, minutes: i64, what: ChangeWhat) -> Change {
    let (sequence, previous) = registry.head();
    Change {
        agency: registry.agency().clone(),
        sequence: sequence + 1,
        previous,
        at: at(minutes),
        what,
    }
}

pub fn change(registry: &mut Registry, admins: &[FileKey; 2], minutes: i64, what: ChangeWhat) {
    let change = next_change(registry, minutes, what);
    let digest = change.digest().unwrap();
    let signed = [
        admins[0].approve(&text("admin-1"), &digest),
        admins[1].approve(&text("admin-2"), &digest),
    ];
    registry.apply(&change, &signed, change.at).unwrap();
}

impl Fixture {
    pub fn new() -> Self {
        let admins = [FileKey::from_seed(&[31; 32]), FileKey::from_seed(&[32; 32])];
        let (anna, ben, cleo) = (passkey(11), passkey(12), passkey(13));
        let ben_too = passkey(14);
        let dora = FileKey::from_seed(&[33; 32]);
        let mut ours = found("owner", &admins);
        let keys = |key: &SoftwarePasskey| vec![OfficerKey::Passkey(key.public())];
        let ben_keys = [keys(&ben), keys(&ben_too)].concat();
        for officer in [
            new_officer("anna", Role::Officer, keys(&anna)),
            new_officer("ben", Role::Supervisor, ben_keys),
            new_officer("cleo", Role::Officer, keys(&cleo)),
            new_officer("dora", Role::Officer, vec![dora.public()]),
            new_officer("finn", Role::Analyst, vec![]),
            new_officer("gil", Role::Auditor, vec![]),
        ] {
            change(&mut ours, &admins, -90_000, ChangeWhat::Enrol(officer));
        }
        let mut theirs = found("requester", &admins);
        for id in ["rita", "sven", "tom"] {
            let officer = new_officer(id, Role::Officer, vec![]);
            change(&mut theirs, &admins, -90_000, ChangeWhat::Enrol(officer));
        }
        Self {
            rules: rules(),
            ours,
            theirs,
            documents: Documents::default(),
            no_documents: Documents::default(),
            authors: vec![text("harry")],
            anna,
            ben,
            ben_too,
            cleo,
            admins,
            dora,
            disclosure_key: DisclosureKey::new(&[21; 32]),
            owner_key: SigningKey::from_seed("owner", &[22; 32]).unwrap(),
            requester_key: SigningKey::from_seed("requester", &[23; 32]).unwrap(),
        }
    }

    pub fn owner(&self) -> World<'_> {
        World {
            side: Side::Owner,
            rules: &self.rules,
            registry: &self.ours,
            documents: &self.documents,
            authors: &self.authors,
        }
    }

    pub fn requester(&self) -> World<'_> {
        World {
            side: Side::Requester,
            registry: &self.theirs,
            documents: &self.no_documents,
            authors: &[],
            ..self.owner()
        }
    }

    pub fn request(&self) -> DetailRequest {
        DetailRequest {
            case: CASE,
            exchange: Hex([3; 16]),
            agreement: text("aa-bb"),
            offer: text("wanted"),
            epoch: 7,
            kind: text("person"),
            tag: Hex([4; 16]),
            requester: text("requester"),
            owner: text("owner"),
            recipient_key: self.disclosure_key.public().unwrap().digest(),
            made: at(0),
            expires: at(60 * 24 * 14),
            purpose: text("CRIM_INVESTIGATION"),
            legal_basis: text("EU:2024/982:26"),
            intended_use: IntendedUse::Intelligence,
            subject: SubjectClass::Suspect,
            facts: words("Stopped with forged papers in a stolen car."),
            offence: text("0401"),
            max_penalty_months: 36,
            fields: [
                Field::FirstNames,
                Field::FamilyNames,
                Field::DateOfBirth,
                Field::Offence,
            ]
            .into(),
            urgency: Urgency::Normal,
            onward: BTreeSet::new(),
            confirmed: ConfirmedBy {
                person: person("sven"),
                at: at(-10),
                method: words("photograph and date of birth"),
            },
            by: person("rita"),
            ordered_by: person("tom"),
        }
    }

    pub fn decision(&self, request: &DetailRequest) -> Decision {
        let released = |field: Field, value: &str| Released {
            field,
            values: vec![words(value)],
        };
        Decision {
            case: request.case,
            request: request.digest().unwrap(),
            recipient: request.requester.clone(),
            recipient_key: request.recipient_key,
            verdict: Verdict::Partial,
            released: vec![
                released(Field::FirstNames, "Jean-Luc"),
                released(Field::FamilyNames, "Müller <b>"),
                released(Field::DateOfBirth, "1971-02-03"),
            ],
            withheld: vec![Withheld {
                field: Field::Offence,
                ground: Ground::HarmsInvestigation,
            }],
            marks: Marks {
                handling: HandlingCode::H2,
                restriction: None,
                source: SourceEvaluation::A,
                information: InformationEvaluation::Certain,
                classification: Classification::Unclassified,
                retain_until: "2027-11-21".parse().unwrap(),
                onward: Onward::Nobody,
                purpose: request.purpose.clone(),
            },
            conditions: vec![words("Call the desk before any arrest.")],
            by: person("anna"),
            at: at(20),
            salt: Hex([5; 32]),
        }
    }

    /// The owner's case, taken up.
    pub fn triage(&self) -> AnyCase {
        self.triage_of(self.request(), 1)
    }

    pub fn triage_of(&self, request: DetailRequest, recent: u32) -> AnyCase {
        let event = requested(request, &ESCALATION);
        let case = Case::<AskedFor>::receive(
            &self.owner(),
            &event,
            &EscalationKey::new(&ESCALATION),
            at(0),
            recent,
        )
        .unwrap();
        AnyCase::from(case.triage(&self.owner(), &owner(10, "finn")).unwrap())
    }

    /// The owner's case with the decision drawn up; gives its digest.
    pub fn approving(&mut self) -> (AnyCase, Digest) {
        let decision = self.decision(&self.request());
        self.approving_of(decision)
    }

    pub fn approving_of(&mut self, decision: Decision) -> (AnyCase, Digest) {
        let digest = self.documents.add_decision(decision).unwrap();
        let case = self.triage();
        let case = case
            .step(&self.owner(), &owner(20, "anna"), What::Proposed(digest))
            .unwrap();
        (case, digest)
    }

    pub fn sign(&mut self, who: &str, digest: &Digest) -> Digest {
        let console = &self.rules.console;
        let key = match who {
            "anna" => &mut self.anna,
            "ben" => &mut self.ben,
            _ => &mut self.cleo,
        };
        let approval = key.approve(&text(who), digest, console).unwrap();
        self.documents.add_approval(approval).unwrap()
    }

    pub fn approve(
        &mut self,
        case: AnyCase,
        minutes: i64,
        who: &str,
        digest: &Digest,
    ) -> Result<AnyCase, Refused> {
        let approval = self.sign(who, digest);
        case.step(&self.owner(), &owner(minutes, who), What::Approved(approval))
    }

    pub fn decide(&self, case: AnyCase, minutes: i64, decision: Digest) -> Result<AnyCase, Refused> {
        let stated = DecidedAs {
            decision,
            result: Decided::Partial,
        };
        case.step(&self.owner(), &owner(minutes, ""), What::Decided(stated))
    }

    /// The owner's case with the decision made by Anna and Ben.
    pub fn decided(&mut self) -> (Case<ApprovedPart>, Digest) {
        let (case, digest) = self.approving();
        let case = self.approve(case, 30, "anna", &digest).unwrap();
        let case = self.approve(case, 31, "ben", &digest).unwrap();
        match self.decide(case, 32, digest).unwrap() {
            AnyCase::Partial(case) => (case, digest),
            other => panic!("{}", other.name()),
        }
    }
}

pub fn requested(request: DetailRequest, escalation: &[u8; 32]) -> Event {
    let proof = ProofOfHit::new(&EscalationKey::new(escalation), &request).unwrap();
    Event {
        case: request.case,
        step: 1,
        previous: Hex([0; 32]),
        side: Side::Requester,
        at: request.made,
        by: Some(request.by.clone()),
        what: What::Requested(Box::new(Requested { request, proof })),
    }
}

pub fn rules() -> Rules {
    Rules {
        agreement: text("aa-bb"),
        offer: text("wanted"),
        requester: text("requester"),
        owner: text("owner"),
        purposes: [text("CRIM_INVESTIGATION")].into(),
        legal_bases: [text("EU:2024/982:26")].into(),
        kinds: [text("person")].into(),
        min_penalty_months: 12,
        fields: Field::CORE
            .into_iter()
            .chain(["x:gang".parse().unwrap()])
            .collect(),
        second_approver: [Field::DateOfBirth].into(),
        quorums: vec![Quorum {
            class: FieldClass::Listed,
            handling: HandlingCode::H3,
            approvers: 3,
        }],
        refusal_approvers: 1,
        file_keys: false,
        bulk: Bulk {
            from: 20,
            wait_minutes: 30,
        },
        deadlines: Profile::Prum,
        handling: [HandlingCode::H1, HandlingCode::H2, HandlingCode::H3].into(),
        max_classification: Classification::Restricted,
        max_open_days: 30,
        max_retention_days: 1100,
        onward: BTreeSet::new(),
        console: console("owner"),
    }
}

/// A step of either side, as `world`'s side takes it: its own, or the other's as it arrives.
pub fn take(case: AnyCase, world: &World<'_>, step: &Step, what: What) -> Result<AnyCase, Refused> {
    if step.side == world.side {
        return case.step(world, step, what);
    }
    let last = case.events().last().unwrap();
    let event = Event {
        case: case.id(),
        step: last.step + 1,
        previous: case.head(),
        side: step.side,
        at: step.at,
        by: step.by.clone(),
        what,
    };
    case.accept(world, &event)
}

/// The rule that refuses it.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Refused>) -> Rule {
    result.unwrap_err().rule
}
