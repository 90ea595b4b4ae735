//! From a hit to a release between two nodes: the whole way, and each way that must be closed.

use concordat_disclosure::codes::{CaseOutcome, Comparison, Field, NotPursuedReason};
use concordat_disclosure::event::{Confirmed, NotPursued};
use concordat_disclosure::{CaseId, ChangeWhat, Document, What, rule};
use concordat_ledger::{Event, Hex, Side};
use concordat_node::desk::{Action, Saying, attachments};
use concordat_tests::staff::{Staff, text, who, words};
use concordat_tests::{Pair, Record, Terms, born, document, item, name, person, wait_for};
use concordat_wire::v1::MatchItem;

pub(crate) fn wanted() -> Vec<Record> {
    let subject = person(
        vec![name("MARKOV", "IVAN PETROVICH")],
        vec![born(1975, 4, 12)],
        vec![document("P1234567", "RUS")],
    );
    vec![Record {
        source_id: "W-1".into(),
        subject: Some(subject),
    }]
}

fn traveller() -> MatchItem {
    item("1A", person(vec![], vec![], vec![document("P1234567", "RUS")]))
}

/// Two agencies with their people, and a case that a hit has opened at the asking one.
pub(crate) struct Desks {
    pub(crate) pair: Pair,
    pub(crate) asking: Staff,
    pub(crate) owning: Staff,
    pub(crate) case: CaseId,
}

impl Desks {
    pub(crate) async fn new() -> Self {
        Self::under(Terms::default().disclosing()).await
    }

    pub(crate) async fn under(terms: Terms) -> Self {
        Self::of(Pair::with(terms, wanted()).await).await
    }

    /// The people of a pair whose owner has published what is [`wanted`].
    pub(crate) async fn of(pair: Pair) -> Self {
        let asking = Staff::of(&pair.asker, 1).await;
        let owning = Staff::of(&pair.owner, 2).await;
        let case = Self::hit(&pair).await.expect("the hit opens a case");
        Self {
            pair,
            asking,
            owning,
            case,
        }
    }

    pub(crate) async fn hit(pair: &Pair) -> Option<CaseId> {
        let answer = pair.asker.ask(vec![traveller()]).await;
        let verdict = &answer.results[0].partners[0];
        verdict.case_ids.first().and_then(|id| CaseId::parse(id))
    }

    /// Confirmed and asked for; the owner has it.
    pub(crate) async fn requested(&self) {
        self.asking
            .act("ivan", self.case, Staff::same())
            .await
            .expect("confirmed");
        let request = Action::Request(Box::new(self.asking.asking()));
        let view = self.asking.act("ivan", self.case, request).await.expect("asked");
        assert_eq!(view.case.name(), "REQUESTED");
        assert!(view.sending.is_none(), "the owner has taken it");
    }

    /// Taken up, and a decision on everything drawn up by anna.
    pub(crate) async fn proposed(&self) {
        self.requested().await;
        let view = self
            .owning
            .act("ivan", self.case, Action::TakeUp)
            .await
            .expect("taken up");
        assert_eq!(
            view.records.len(),
            1,
            "the record behind the tag is shown to the desk"
        );
        let proposal = self.owning.proposal(&view);
        let view = self
            .owning
            .act("anna", self.case, Action::Propose(Box::new(proposal)))
            .await;
        assert_eq!(view.expect("drawn up").case.name(), "APPROVING");
    }

    /// Approved by anna and ben, released by anna.
    pub(crate) async fn released(&mut self) {
        self.proposed().await;
        let view = self.owning.approve("anna", self.case).await.expect("approved");
        assert_eq!(view.case.name(), "APPROVING", "an offence needs two");
        let view = self.owning.approve("ben", self.case).await.expect("approved");
        assert_eq!(
            view.case.name(),
            "APPROVED",
            "the node decides as soon as enough have approved"
        );
        let view = self
            .owning
            .act("anna", self.case, Action::Release)
            .await
            .expect("released");
        assert_eq!(view.case.name(), "RELEASED");
        self.arrives("RELEASED").await;
    }

    /// The asking side has come to this state too.
    pub(crate) async fn arrives(&self, state: &str) {
        wait_for("the step arrives", || async {
            let view = self.asking.view("ivan", self.case).await.expect("a view");
            view.case.name() == state
        })
        .await;
    }

    pub(crate) async fn same_history(&self) {
        wait_for("both have one history", || async {
            let ours = self.asking.view("ivan", self.case).await.expect("a view");
            let theirs = self.owning.view("anna", self.case).await.expect("a view");
            ours.case.head() == theirs.case.head() && ours.case.name() == theirs.case.name()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_becomes_a_release_and_both_sides_have_one_history() {
    let mut desks = Desks::new().await;
    desks.released().await;
    let view = desks.asking.view("ivan", desks.case).await.expect("a view");
    assert!(
        view.decision.is_none() && view.umf.is_none(),
        "sealed until somebody opens it"
    );

    let view = desks
        .asking
        .act("ivan", desks.case, Action::Open)
        .await
        .expect("opened");
    let decision = view.decision.expect("what was released");
    let family = decision
        .released
        .iter()
        .find(|released| released.field == Field::FamilyNames);
    assert_eq!(family.expect("family names").values, [words("MARKOV")]);
    assert!(view.umf.expect("as XML").contains("MARKOV"));
    assert_eq!(view.approvals.len(), 2);
    let unnamed = desks.asking.view("anna", desks.case).await.expect("a view");
    assert!(unnamed.decision.is_none(), "anna is not named in the request");

    let outcome = Staff::outcome(CaseOutcome::True);
    desks
        .asking
        .act("ivan", desks.case, outcome)
        .await
        .expect("stated");
    let view = desks
        .owning
        .act("anna", desks.case, Action::Close)
        .await
        .expect("closed");
    assert_eq!(view.case.name(), "CLOSED");
    desks.same_history().await;

    // Every step is in both ledgers, and each decision with its signatures.
    for agency in [&desks.pair.asker, &desks.pair.owner] {
        for kind in ["detail.requested", "decision", "receipt"] {
            assert_eq!(agency.entries_of(kind).await.len(), 1, "{kind}");
        }
    }
    assert_eq!(desks.pair.owner.entries_of("release").await.len(), 1);
    assert_eq!(desks.pair.asker.entries_of("hit.step").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_that_proves_a_hit_goes_when_it_has_asked() {
    let desks = Desks::new().await;
    let store = &desks.pair.asker.node().state.store;
    let kept = store
        .case_private(&desks.case.0)
        .await
        .expect("read")
        .expect("private");
    assert!(kept.escalation_key.is_some());
    desks.requested().await;
    let kept = store
        .case_private(&desks.case.0)
        .await
        .expect("read")
        .expect("private");
    assert!(kept.escalation_key.is_none() && kept.subject.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_agreement_releases_nothing() {
    let mut desks = Desks::new().await;
    desks.proposed().await;
    desks.owning.approve("anna", desks.case).await.expect("approved");
    desks.owning.approve("ben", desks.case).await.expect("approved");
    desks.pair.owner.suspend("aa-bb-2026").await;
    let release = desks.owning.act("anna", desks.case, Action::Release).await;
    assert_eq!(release.expect_err("refused").rule, "AGR-112");
    desks.pair.owner.resume("aa-bb-2026").await;
    desks
        .owning
        .act("anna", desks.case, Action::Release)
        .await
        .expect("released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_comes_too_late_ends_as_expired() {
    let desks = Desks::new().await;
    desks.proposed().await;
    for agency in [&desks.pair.asker, &desks.pair.owner] {
        agency.clock.advance(8 * 86_400);
    }
    let state = &desks.pair.owner.node().state;
    concordat_node::desk::upkeep::round(state).await.expect("a round");
    let view = desks.owning.view("anna", desks.case).await.expect("a view");
    assert_eq!(view.case.name(), "EXPIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_reminded_is_on_record() {
    let desks = Desks::new().await;
    desks.requested().await;
    let owner = &desks.pair.owner;
    let state = &owner.node().state;
    let row = state.store.case_row(&desks.case.0).await.expect("read");
    let due_ms = row.expect("a case").clock.expect("a clock").due_ms;
    owner.clock.advance((due_ms - state.now_ms()) / 1_000 + 1);
    for _ in 0..2 {
        concordat_node::desk::upkeep::round(state).await.expect("a round");
    }
    let reminders = owner.entries_of("reminder").await;
    let [Event::Reminded(reminded)] = reminders.iter().map(|entry| &entry.event).collect::<Vec<_>>()[..]
    else {
        panic!("one reminder: {reminders:?}")
    };
    assert_eq!((reminded.case, reminded.side), (desks.case, Side::Owner));
    assert_eq!((reminded.number, reminded.to.as_str()), (3, "supervisor"));
    assert_eq!(reminded.partner.as_str(), "aa-border");
    assert_eq!(reminded.due.as_millisecond(), due_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_hit_opens_one_case_and_a_false_one_none_again() {
    let desks = Desks::new().await;
    assert_eq!(Desks::hit(&desks.pair).await, Some(desks.case));
    let different = Action::Confirm(Confirmed {
        comparison: Comparison::Different,
        method: words("another face"),
    });
    desks
        .asking
        .act("ivan", desks.case, different)
        .await
        .expect("confirmed");
    let dropped = Action::NotPursue(NotPursued {
        reason: NotPursuedReason::Different,
        text: words("another person with this number"),
    });
    let view = desks
        .asking
        .act("ivan", desks.case, dropped)
        .await
        .expect("dropped");
    assert_eq!(view.case.name(), "NOT_PURSUED");
    let answer = desks.pair.asker.ask(vec![traveller()]).await;
    let verdict = &answer.results[0].partners[0];
    assert!(verdict.known_false && verdict.case_ids.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_needs_a_person_who_confirmed_the_same() {
    let desks = Desks::new().await;
    let request = || Action::Request(Box::new(desks.asking.asking()));
    let early = desks
        .asking
        .act("ivan", desks.case, request())
        .await
        .expect_err("refused");
    assert_eq!(early.rule, rule::WRONG_STATE.id);
    let nobody = desks
        .asking
        .act("nobody", desks.case, Staff::same())
        .await
        .expect_err("refused");
    assert_eq!(nobody.rule, rule::ROLE.id);
    let auditor = desks
        .asking
        .act("otto", desks.case, Staff::same())
        .await
        .expect_err("refused");
    assert_eq!(auditor.rule, rule::ROLE.id);
    assert_eq!(desks.pair.asker.entries_of("refusal").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_without_the_block_opens_no_case() {
    let pair = Pair::with(Terms::default(), wanted()).await;
    assert_eq!(Desks::hit(&pair).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_are_of_distinct_people_with_their_own_registered_keys() {
    let mut desks = Desks::new().await;
    desks.proposed().await;
    let case = desks.case;
    let view = desks.owning.view("anna", case).await.expect("a view");
    let digest = view.decision.expect("drawn up").digest().expect("a digest");

    // A stolen session without the key: ben's key in anna's name, and a key that nobody registered.
    let mut forged = desks.owning.sign("ben", &digest).await;
    forged.officer = text("anna");
    let stolen = desks
        .owning
        .act("anna", case, Action::Approve(Box::new(forged)))
        .await;
    assert_eq!(stolen.expect_err("refused").rule, rule::UNKNOWN_KEY.id);
    let foreign = desks.asking.sign("anna", &digest).await;
    let foreign = desks
        .owning
        .act("anna", case, Action::Approve(Box::new(foreign)))
        .await;
    assert_eq!(foreign.expect_err("refused").rule, rule::UNKNOWN_KEY.id);
    // An approval of something else.
    let other = desks.owning.sign("anna", &Hex([7; 32])).await;
    let other = desks
        .owning
        .act("anna", case, Action::Approve(Box::new(other)))
        .await;
    assert_eq!(other.expect_err("refused").rule, rule::SIGNATURE.id);

    desks.owning.approve("anna", case).await.expect("approved");
    let twice = desks.owning.approve("anna", case).await;
    assert_eq!(twice.expect_err("refused").rule, rule::SAME_OFFICER.id);
    let early = desks.owning.act("anna", case, Action::Release).await;
    assert_eq!(early.expect_err("refused").rule, rule::WRONG_STATE.id);
    let analyst = desks.owning.approve("ivan", case).await;
    assert_eq!(analyst.expect_err("refused").rule, rule::ROLE.id);

    // Ben's key is revoked before he approves; then cleo approves, and anna's is revoked before the release.
    let key = concordat_disclosure::OfficerKey::Passkey(desks.owning.key("ben").public()).id();
    let revoke = |officer: &str, key| ChangeWhat::RevokeKey {
        officer: text(officer),
        key,
        reason: words("lost"),
    };
    desks.owning.change(revoke("ben", key)).await.expect("revoked");
    desks.pair.owner.clock.advance(1);
    let revoked = desks.owning.approve("ben", case).await;
    assert_eq!(revoked.expect_err("refused").rule, rule::REVOKED_KEY.id);
    let view = desks.owning.approve("cleo", case).await.expect("approved");
    assert_eq!(view.case.name(), "APPROVED");
    let key = concordat_disclosure::OfficerKey::Passkey(desks.owning.key("anna").public()).id();
    desks.owning.change(revoke("anna", key)).await.expect("revoked");
    desks.pair.owner.clock.advance(1);
    let release = desks.owning.act("cleo", case, Action::Release).await;
    assert_eq!(release.expect_err("refused").rule, rule::QUORUM.id);
    // Each is on record, by its rule.
    let refusals = desks.pair.owner.entries_of("refusal").await;
    assert!(refusals.len() >= 8, "{}", refusals.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_of_one_case_only() {
    let mut desks = Desks::new().await;
    desks.proposed().await;
    let view = desks.owning.view("anna", desks.case).await.expect("a view");
    let digest = view.decision.expect("drawn up").digest().expect("a digest");
    let approval = desks.owning.sign("anna", &digest).await;
    // Taken back, and drawn up again with the same values.
    let back = Action::Reconsider(words("a second look"));
    let view = desks
        .owning
        .act("anna", desks.case, back)
        .await
        .expect("taken back");
    let again = Action::Propose(Box::new(desks.owning.proposal(&view)));
    desks
        .owning
        .act("anna", desks.case, again)
        .await
        .expect("drawn up again");
    let replayed = desks
        .owning
        .act("anna", desks.case, Action::Approve(Box::new(approval)))
        .await;
    assert_eq!(replayed.expect_err("refused").rule, rule::SIGNATURE.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_moved_on_is_told_to_look_again() {
    let desks = Desks::new().await;
    let seen = desks
        .asking
        .view("ivan", desks.case)
        .await
        .expect("a view")
        .case
        .head();
    desks
        .asking
        .act("ivan", desks.case, Staff::same())
        .await
        .expect("confirmed");
    let state = &desks.pair.asker.node().state;
    let late = Action::NotPursue(NotPursued {
        reason: NotPursuedReason::NoLongerNeeded,
        text: words("done"),
    });
    let late = concordat_node::desk::act(state, &who("ivan"), desks.case, Some(seen), late).await;
    assert_eq!(late.expect_err("refused").rule, rule::STALE.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_answers_and_attachments_reach_the_other_desk_sealed() {
    let desks = Desks::new().await;
    desks.requested().await;
    desks
        .owning
        .act("ivan", desks.case, Action::TakeUp)
        .await
        .expect("taken up");
    let question = Action::Question(Saying {
        text: vec![words("which passport did he show?")],
        answers: None,
        attachments: Vec::new(),
    });
    desks
        .owning
        .act("ivan", desks.case, question)
        .await
        .expect("asked");
    desks.arrives("NEEDS_INFO").await;
    let view = desks.asking.view("ivan", desks.case).await.expect("a view");
    assert_eq!(view.messages[0].text, [words("which passport did he show?")]);

    let state = &desks.pair.asker.node().state;
    let photo: Vec<u8> = (0..600_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let named = (words("passport.jpg"), text("image/jpeg"));
    let manifest = attachments::attach(state, &who("ivan"), desks.case, named, &photo)
        .await
        .expect("attached");
    assert_eq!(manifest.parts.len(), 3);
    let attachment = manifest.id;
    let answer = Action::Answer(Saying {
        text: vec![words("this one")],
        answers: Some(view.messages[0].id),
        attachments: vec![manifest],
    });
    desks
        .asking
        .act("ivan", desks.case, answer)
        .await
        .expect("answered");
    let theirs = &desks.pair.owner.node().state;
    let (_, bytes) = attachments::fetch(theirs, &who("anna"), desks.case, attachment)
        .await
        .expect("fetched");
    assert_eq!(bytes, photo);
    let auditor = attachments::fetch(theirs, &who("otto"), desks.case, attachment).await;
    assert_eq!(auditor.expect_err("refused").rule, rule::ROLE.id);
    let view = desks.owning.view("otto", desks.case).await.expect("a view");
    assert!(
        view.messages.is_empty() && view.records.is_empty(),
        "an auditor sees steps, no contents"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_waits_for_an_owner_that_is_away() {
    let mut desks = Desks::new().await;
    desks
        .asking
        .act("ivan", desks.case, Staff::same())
        .await
        .expect("confirmed");
    desks.owning.leave();
    desks.pair.owner.stop().await;
    let request = Action::Request(Box::new(desks.asking.asking()));
    let view = desks.asking.act("ivan", desks.case, request).await.expect("kept");
    assert_eq!(view.case.name(), "CONFIRMED_SAME");
    assert_eq!(view.sending.expect("on its way").what, "requested");
    let meanwhile = Action::NotPursue(NotPursued {
        reason: NotPursuedReason::NoLongerNeeded,
        text: words("no"),
    });
    let meanwhile = desks.asking.act("ivan", desks.case, meanwhile).await;
    assert_eq!(meanwhile.expect_err("refused").rule, "DESK-003");
    desks.pair.owner.start().await;
    desks.owning.follow(&desks.pair.owner);
    desks.arrives("REQUESTED").await;
    desks.same_history().await;
    // The clock has begun on both sides, and a step of the owner arrives again.
    desks
        .owning
        .act("ivan", desks.case, Action::TakeUp)
        .await
        .expect("taken up");
    desks.arrives("TRIAGE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_destroys_what_was_released_on_the_other_side() {
    let mut desks = Desks::new().await;
    desks.released().await;
    desks
        .asking
        .act("ivan", desks.case, Action::Open)
        .await
        .expect("opened");
    let recall = Action::Recall {
        reason: words("the wrong man"),
        corrected_in: None,
    };
    desks
        .owning
        .act("anna", desks.case, recall)
        .await
        .expect("recalled");
    desks.arrives("RECALLED").await;
    let view = desks
        .asking
        .act("ivan", desks.case, Action::ConfirmRecall)
        .await
        .expect("confirmed");
    assert!(view.decision.is_none() && view.umf.is_none());
    desks.same_history().await;
    let kept = desks
        .pair
        .asker
        .node()
        .state
        .store
        .case_documents(&desks.case.0)
        .await
        .expect("documents");
    assert!(
        kept.iter()
            .all(|kept| kept.kind != "decision" && kept.kind != "sealed-release")
    );
    let view = desks.owning.view("anna", desks.case).await.expect("a view");
    assert!(
        view.case
            .events()
            .iter()
            .any(|event| event.what == What::RecallConfirmed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_edited_to_approved_releases_nothing() {
    let desks = Desks::new().await;
    desks.proposed().await;
    // What an administrator of the database can reach: the column that lists show.
    let state = &desks.pair.owner.node().state;
    let mut row = state
        .store
        .case_row(&desks.case.0)
        .await
        .expect("read")
        .expect("a case");
    row.state = "APPROVED".into();
    let view = desks.owning.view("anna", desks.case).await.expect("a view");
    let edited = concordat_store::CaseChange {
        events_before: u32::try_from(view.case.events().len()).expect("few"),
        events: Vec::new(),
        documents: Vec::new(),
        forget: Vec::new(),
        private: None,
        pending: None,
        delivered: None,
        counters: Vec::new(),
        suppress: None,
        row,
    };
    state.store.change_case(edited).await.expect("edited");
    let view = desks.owning.view("anna", desks.case).await.expect("a view");
    assert_eq!(
        view.case.name(),
        "APPROVING",
        "the state is rebuilt from the steps"
    );
    let release = desks.owning.act("anna", desks.case, Action::Release).await;
    assert_eq!(release.expect_err("refused").rule, rule::WRONG_STATE.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agencys_case_is_nobodys() {
    let desks = Desks::new().await;
    let missing = desks.owning.view("anna", desks.case).await;
    assert_eq!(missing.expect_err("none").rule, "DESK-002");
    desks.requested().await;
    let unknown = desks.owning.view("anna", Hex([3; 16])).await;
    assert_eq!(unknown.expect_err("none").rule, "DESK-002");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_ended_long_ago_is_erased() {
    // As the node is configured: for three years.
    erased_after(None, 3 * 366).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_erased_when_its_agreement_says() {
    erased_after(Some("one_year"), 366).await;
}

async fn erased_after(log_retention: Option<&'static str>, days: i64) {
    let terms = Terms {
        log_retention,
        ..Terms::default()
    };
    let desks = Desks::under(terms.disclosing()).await;
    let different = Action::Confirm(Confirmed {
        comparison: Comparison::Different,
        method: words("another face"),
    });
    desks
        .asking
        .act("ivan", desks.case, different)
        .await
        .expect("confirmed");
    let dropped = Action::NotPursue(NotPursued {
        reason: NotPursuedReason::Different,
        text: words("another person"),
    });
    desks
        .asking
        .act("ivan", desks.case, dropped)
        .await
        .expect("dropped");
    let state = &desks.pair.asker.node().state;
    desks.pair.asker.clock.advance((days - 1) * 86_400);
    concordat_node::desk::upkeep::round(state).await.expect("a round");
    assert!(state.store.case_row(&desks.case.0).await.expect("read").is_some());
    desks.pair.asker.clock.advance(2 * 86_400);
    concordat_node::desk::upkeep::round(state).await.expect("a round");
    assert!(state.store.case_row(&desks.case.0).await.expect("read").is_none());
    assert!(
        state
            .store
            .case_events(&desks.case.0)
            .await
            .expect("read")
            .is_empty()
    );
}
