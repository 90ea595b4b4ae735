//! `kill -9` of both nodes in the course of a case: no step that was acknowledged is lost, none is taken twice, nothing is released
//! twice, and both sides end with one history, which is what both ledgers say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use concordat_disclosure::{CaseId, Document, Event, Message, What};
use concordat_ledger::Event::Refusal as Refused;
use concordat_ledger::{Entry, Side};
use concordat_tests::office::{self, Office, ask, confirm, propose, say};
use concordat_tests::{Agency, OWNER, Pair, Record, Run, Terms, born, document, item, name, person};
use concordat_wire::FaultView;
use concordat_wire::v1::take_step_request::Step;
use concordat_wire::v1::{
    Case, CloseStep, FieldValues, OpenStep, OutcomeStep, ReleaseStep, SayStep, TakeUpStep,
};
use rand::{RngExt, SeedableRng};
use tonic::Status;

use crate::ledger::entries_on_disk;

/// A step is taken again when the case has moved on, another step is on its way or the partner is away; no other rule may refuse any.
const AGAIN: [&str; 5] = ["DISC-024", "DISC-020", "DESK-003", "DESK-014", "DESK-017"];
/// Two and a half parts.
static FILE: [u8; 650_000] = [0x5a; 650_000];
const PAUSE: Duration = Duration::from_millis(20);
/// A step that was refused once on its way is sent again after five seconds.
const LONGEST: Duration = Duration::from_secs(120);

fn number(round: u64) -> String {
    format!("P{:07}", 1_000_000 + round)
}

fn records(rounds: u64) -> Vec<Record> {
    let record = |round| Record {
        source_id: format!("W-{round}"),
        subject: Some(person(
            vec![name("MARKOV", "IVAN PETROVICH")],
            vec![born(1975, 4, 12)],
            vec![document(&number(round), "RUS")],
        )),
    };
    (0..rounds).map(record).collect()
}

/// Both agencies' people at work on one case.
#[derive(Clone)]
struct Work {
    asking: Office,
    owning: Office,
    case: String,
    /// The owner asks something, and a file goes each way.
    talks: bool,
    /// Nobody calls a node that is about to be killed on purpose.
    stop: Arc<AtomicBool>,
}

/// What nodes have said that they have taken.
#[derive(Debug, Default)]
struct Acknowledged {
    /// After how many steps of the case, and who took it.
    steps: BTreeSet<(usize, &'static str)>,
    /// The case's head then.
    heads: BTreeSet<String>,
}

/// What a side does next.
enum Next {
    Take(&'static str, Box<Step>),
    Approve(&'static str),
    /// Says it with a file attached.
    Talk(&'static str, fn(SayStep) -> Step),
    /// The other side is to move.
    Wait,
}

fn history(case: &Case) -> Vec<Event> {
    case.steps
        .iter()
        .map(|step| Event::decode(step).expect("a step"))
        .collect()
}

impl Work {
    fn asker_next(case: &Case) -> Next {
        match office::state(case) {
            "HIT" => Next::Take("ivan", Box::new(confirm())),
            "CONFIRMED_SAME" => Next::Take("ivan", Box::new(Step::Request(ask()))),
            "NEEDS_INFO" => Next::Talk("ivan", Step::Answer),
            "RELEASED" => Next::Take("ivan", Box::new(Step::Open(OpenStep {}))),
            "RECEIVED" => {
                let outcome = OutcomeStep {
                    outcome: "TRUE".into(),
                    action: "arrested".into(),
                };
                Next::Take("ivan", Box::new(Step::Outcome(outcome)))
            }
            _ => Next::Wait,
        }
    }

    fn owner_next(&self, case: &Case) -> Next {
        let asked = || {
            history(case)
                .iter()
                .any(|event| matches!(event.what, What::InfoAsked(_)))
        };
        match office::state(case) {
            "REQUESTED" => Next::Take("anna", Box::new(Step::TakeUp(TakeUpStep {}))),
            "TRIAGE" if self.talks && !asked() => Next::Talk("anna", Step::Question),
            "TRIAGE" => {
                let mut proposal = propose(case);
                proposal.withheld.clear();
                proposal.released.push(FieldValues {
                    field: "i".into(),
                    values: vec!["forged documents".into()],
                });
                Next::Take("anna", Box::new(Step::Propose(proposal)))
            }
            // An offence needs two.
            "APPROVING" if case.approvals.is_empty() => Next::Approve("anna"),
            "APPROVING" => Next::Approve("ben"),
            "APPROVED" => Next::Take("ben", Box::new(Step::Release(ReleaseStep {}))),
            "OUTCOME" => Next::Take("anna", Box::new(Step::Close(CloseStep {}))),
            _ => Next::Wait,
        }
    }

    /// Takes what is next at one office; whether there was something to take, and the node says that it has it.
    async fn go(
        &self,
        office: &Office,
        seen: &Case,
        next: Next,
        said: &mut Acknowledged,
    ) -> Result<bool, Status> {
        let case = &self.case;
        let (officer, taken) = match next {
            Next::Wait => return Ok(false),
            Next::Take(officer, step) => (officer, office.take(case, officer, *step).await),
            Next::Approve(officer) => (officer, office.approve(case, officer).await),
            Next::Talk(officer, step) => {
                let said = SayStep {
                    attachments: vec![office.attach(case, officer, &FILE).await?],
                    ..say("see what is attached")
                };
                (officer, office.take(case, officer, step(said)).await)
            }
        };
        match taken {
            Ok(case) => {
                let first = said.steps.insert((seen.steps.len(), officer));
                assert!(first, "{officer} has taken a step twice: {said:?}");
                said.heads.insert(case.head);
                Ok(true)
            }
            Err(status) if AGAIN.contains(&FaultView::from(&status).rule.as_str()) => Ok(false),
            Err(status) => Err(status),
        }
    }

    /// Works until the case is closed on both sides, a node is gone, or somebody says stop.
    async fn run(&self, said: &mut Acknowledged) -> Result<bool, Status> {
        while !self.stop.load(Ordering::Relaxed) {
            let ours = self.asking.try_see(&self.case, "ivan").await?;
            let mut moved = false;
            if ours.sending.is_empty() {
                moved |= self
                    .go(&self.asking, &ours, Self::asker_next(&ours), said)
                    .await?;
            }
            let theirs = match self.owning.try_see(&self.case, "anna").await {
                Ok(theirs) => theirs,
                // It has not heard of the case yet.
                Err(status) if FaultView::from(&status).rule == "DESK-002" => Case::default(),
                Err(status) => return Err(status),
            };
            let next = self.owner_next(&theirs);
            moved |= self.go(&self.owning, &theirs, next, said).await?;
            let closed = |case: &Case| office::state(case) == "CLOSED";
            if closed(&ours) && closed(&theirs) && ours.head == theirs.head {
                return Ok(true);
            }
            if !moved {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(false)
    }
}

/// A node that is gone answers nothing; any refusal with a rule is a defect.
fn is_gone(status: &Status) -> bool {
    FaultView::from(status).rule.is_empty()
}

struct World {
    pair: Pair,
    asking: Office,
    owning: Office,
}

impl World {
    async fn of(rounds: u64) -> Self {
        let child = || Run::Child(env!("CARGO_BIN_EXE_concordat-test-node").into());
        let asker = Agency::configured("aa-border", child(), &[]).await;
        let owner = Agency::configured(OWNER, child(), &[]).await;
        let mut terms = Terms::default().disclosing();
        // The clocks stand still: all requests are of one day.
        terms.disclosure += "bulk = { from = 100000, wait_minutes = 60 }\n";
        let pair = Pair::between(asker, owner, &terms).await;
        pair.owner.replace_list("wanted", &records(rounds)).await;
        pair.refresh().await;
        let (asking, owning) = (Office::of(&pair.asker, 1).await, Office::of(&pair.owner, 2).await);
        Self { pair, asking, owning }
    }

    async fn hit(&self, round: u64) -> String {
        let traveller = item(
            "1A",
            person(vec![], vec![], vec![document(&number(round), "RUS")]),
        );
        let answer = self.pair.asker.ask(vec![traveller]).await;
        let cases = &answer.results[0].partners[0].case_ids;
        cases.first().expect("the hit opens a case").clone()
    }

    /// Kills in this order and starts in the other.
    async fn kill(&mut self, asker: bool, owner: bool) {
        if asker {
            self.pair.asker.kill().await;
        }
        if owner {
            self.pair.owner.kill().await;
            self.pair.owner.start().await;
            self.owning.follow(&self.pair.owner);
        }
        if asker {
            self.pair.asker.start().await;
            self.asking.follow(&self.pair.asker);
        }
    }

    /// One case, with both nodes killed in its course.
    async fn round(&mut self, round: u64, random: &mut rand::rngs::StdRng) -> Finished {
        let case = self.hit(round).await;
        let mut said = Acknowledged::default();
        let mut kills = vec![(true, false), (false, true)];
        if random.random() {
            kills = vec![(true, true)];
        }
        if random.random() {
            kills.reverse();
        }
        for (asker, owner) in kills {
            let work = self.work(&case, round);
            let going = {
                let work = work.clone();
                let mut said = said;
                tokio::spawn(async move {
                    let end = work.run(&mut said).await;
                    (said, end)
                })
            };
            // A case without kills takes about half a second.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
            self.kill(asker, owner).await;
            work.stop.store(true, Ordering::Relaxed);
            let end;
            (said, end) = going.await.expect("ended");
            if let Err(status) = end {
                assert!(is_gone(&status), "round {round}: {status:?}");
            }
        }
        let work = self.work(&case, round);
        let end = tokio::time::timeout(LONGEST, work.run(&mut said)).await;
        let end = end.unwrap_or_else(|_| panic!("round {round}: the case comes to no end"));
        assert!(end.expect("nobody is killed now"), "round {round}");
        self.check(&work, &said, round).await
    }

    fn work(&self, case: &str, round: u64) -> Work {
        Work {
            asking: self.asking.clone(),
            owning: self.owning.clone(),
            case: case.to_owned(),
            talks: round % 2 == 1,
            stop: Arc::default(),
        }
    }

    async fn check(&self, work: &Work, said: &Acknowledged, round: u64) -> Finished {
        let ours = self.asking.see(&work.case, "ivan").await;
        let theirs = self.owning.see(&work.case, "anna").await;
        let (asker, owner) = (history(&ours), history(&theirs));
        let shared: Vec<&Event> = asker.iter().filter(|event| !event.what.is_private()).collect();
        assert_eq!(
            shared,
            owner.iter().collect::<Vec<_>>(),
            "round {round}: one history"
        );
        let names: Vec<&str> = asker.iter().map(|event| event.what.name()).collect();
        let talk = if work.talks {
            &["info-asked", "info-given"][..]
        } else {
            &[]
        };
        let wanted = ["hit", "confirmed", "requested", "acknowledged", "triaged"]
            .iter()
            .chain(talk)
            .chain(&[
                "proposed", "approved", "approved", "decided", "released", "received",
            ])
            .chain(&["outcome", "closed"]);
        assert_eq!(
            names,
            wanted.copied().collect::<Vec<_>>(),
            "round {round}: each step once"
        );
        let digests: BTreeSet<String> = asker
            .iter()
            .map(|event| event.digest().expect("a digest").to_string())
            .collect();
        assert!(
            said.heads.is_subset(&digests),
            "round {round}: what was acknowledged is in the history"
        );
        assert_eq!(
            (ours.decision, ours.umf.is_empty()),
            (theirs.decision, false),
            "opened"
        );
        for (office, case, officer) in [
            (&self.asking, &ours.messages, "ivan"),
            (&self.owning, &theirs.messages, "anna"),
        ] {
            assert_eq!(case.len(), talk.len(), "round {round}: each message once");
            for message in case {
                let message = Message::decode(message).expect("a message");
                let file = office
                    .fetch(&work.case, officer, &message.attachments[0].id.to_string())
                    .await;
                assert!(
                    file.expect("all parts are here") == FILE,
                    "round {round}: the file"
                );
            }
        }
        Finished {
            case: CaseId::parse(&work.case).expect("an id"),
            asker,
            owner,
        }
    }
}

/// A case that is closed, as each side has it.
struct Finished {
    case: CaseId,
    asker: Vec<Event>,
    owner: Vec<Event>,
}

/// Each step of a case is in a side's ledger once.
fn recorded(entries: &[(u64, Entry)], case: &CaseId, side: Side, history: &[Event]) {
    let of_case = entries
        .iter()
        .filter(|(_, entry)| entry.event.case() == Some(case));
    let mut steps = Vec::new();
    for (_, entry) in of_case {
        match &entry.event {
            // Somebody who looked before the other side's step arrived, and was told to look again.
            Refused(refusal) => {
                let rule = refusal.rule.as_ref().expect("a rule").as_str();
                assert!(AGAIN.contains(&rule), "{rule}");
            }
            event => steps.push(event.case_step().expect("a step")),
        }
    }
    assert!(steps.iter().all(|step| step.side == side));
    let digests: BTreeSet<_> = steps.iter().map(|step| step.digest.0).collect();
    let taken: BTreeSet<_> = history
        .iter()
        .map(|event| event.digest().expect("a digest").0)
        .collect();
    assert_eq!(digests, taken, "every step is in the ledger");
    // At the requester what was decided is known twice: that it was, and, with the receipt, what.
    let again = usize::from(side == Side::Requester);
    assert_eq!(steps.len(), history.len() + again, "once");
    let count = |kind: &str| {
        let of_case = entries
            .iter()
            .filter(|(_, entry)| entry.event.case() == Some(case));
        of_case.filter(|(_, entry)| entry.kind().name() == kind).count()
    };
    let releases = match side {
        Side::Owner => 1,
        Side::Requester => 0,
    };
    assert_eq!(
        (
            count("detail.requested"),
            count("decision"),
            count("receipt"),
            count("release")
        ),
        (1, 1, 1, releases)
    );
}

/// `CONCORDAT_CRASH_ROUNDS` makes it longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_nodes_are_killed_in_the_course_of_a_case() {
    let rounds = std::env::var("CONCORDAT_CRASH_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let rounds: u64 = rounds.unwrap_or(2);
    let mut world = World::of(rounds).await;
    let mut random = rand::rngs::StdRng::seed_from_u64(20_260_302);
    let mut finished = Vec::new();
    for round in 0..rounds {
        finished.push(world.round(round, &mut random).await);
    }
    world.pair.asker.stop().await;
    world.pair.owner.stop().await;
    for (agency, side) in [
        (&world.pair.asker, Side::Requester),
        (&world.pair.owner, Side::Owner),
    ] {
        let entries = entries_on_disk(agency).await;
        for one in &finished {
            let history = match side {
                Side::Requester => &one.asker,
                Side::Owner => &one.owner,
            };
            recorded(&entries, &one.case, side, history);
        }
    }
}
