//! Who wrote a record does not approve its disclosure.

use concordat_disclosure::rule;
use concordat_ledger::Event;
use concordat_node::desk::Action;
use concordat_store::{CaseChange, CasePrivate};
use concordat_tests::staff::Staff;
use concordat_tests::{Pair, Record, Terms, name};
use concordat_wire::v1::ImportOpen;

use super::cases::{Desks, wanted};

/// The record that the traveller hits, with one more name.
fn with_alias(alias: &str) -> Record {
    let mut record = wanted().remove(0);
    let subject = record.subject.as_mut().expect("a subject");
    subject.names.push(name("MARKOV", alias));
    record
}

/// Two agencies with their people, and a case about a record that anna wrote.
async fn written_by_anna() -> Desks {
    let pair = Pair::with(Terms::default().disclosing(), wanted()).await;
    let written = pair.owner.upsert_by("anna", "wanted", vec![with_alias("IVAN")]);
    assert_eq!(written.await.changed, 1);
    pair.refresh().await;
    Desks::of(pair).await
}

impl Desks {
    /// This officer may not approve, and that she tried is in the owner's ledger.
    async fn refuses(&mut self, officer: &str) {
        let before = self.pair.owner.entries_of("refusal").await.len();
        let approved = self.owning.approve(officer, self.case).await;
        assert_eq!(approved.expect_err("refused").rule, rule::CONFLICT.id);
        let refusals = self.pair.owner.entries_of("refusal").await;
        assert_eq!(refusals.len(), before + 1);
        let Some(Event::Refusal(refusal)) = refusals.last().map(|entry| &entry.event) else {
            panic!("a refusal")
        };
        let claimed = refusal.claimed.as_ref().map(|person| person.id.as_str());
        let broken = refusal.rule.as_ref().map(|rule| rule.as_str());
        assert_eq!((claimed, broken), (Some(officer), Some(rule::CONFLICT.id)));
    }

    /// Both approve, and that is enough.
    async fn approved_by(&mut self, officers: [&str; 2]) {
        for (officer, state) in officers.into_iter().zip(["APPROVING", "APPROVED"]) {
            let view = self.owning.approve(officer, self.case).await.expect("approved");
            assert_eq!(view.case.name(), state);
        }
    }

    async fn authors_in_the_case(&self) -> Option<Vec<String>> {
        let store = &self.pair.owner.node().state.store;
        let private = store.case_private(&self.case.0).await.expect("read");
        private.expect("private").authors
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wrote_the_record_does_not_approve_and_no_more_does_who_changes_it_later() {
    let mut desks = written_by_anna().await;
    desks.proposed().await;
    desks.refuses("anna").await;

    // Ben writes on the record while the case is open: the case's history stays, and he approves no more.
    let changed = desks
        .pair
        .owner
        .upsert_by("ben", "wanted", vec![with_alias("IWAN")])
        .await;
    assert_eq!(changed.changed, 1);
    assert_eq!(desks.authors_in_the_case().await, Some(vec!["anna".to_owned()]));
    desks.refuses("anna").await;
    desks.refuses("ben").await;
    desks.approved_by(["cleo", "sue"]).await;

    // Rebuilt from its steps each time it is opened, and once more after a restart.
    desks.owning.leave();
    desks.pair.owner.stop().await;
    desks.pair.owner.start().await;
    desks.owning.follow(&desks.pair.owner);
    let released = desks.owning.act("anna", desks.case, Action::Release).await;
    assert_eq!(released.expect("released").case.name(), "RELEASED");
    desks.arrives("RELEASED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_had_a_hand_in_the_record_is_its_author() {
    let pair = Pair::with(Terms::default().disclosing(), wanted()).await;
    pair.owner
        .upsert_by("anna", "wanted", vec![with_alias("IVAN")])
        .await;
    // The same again says nothing new: cleo wrote nothing.
    let same = pair
        .owner
        .upsert_by("cleo", "wanted", vec![with_alias("IVAN")])
        .await;
    assert_eq!(same.unchanged, 1);
    let subject = with_alias("IWAN").subject.expect("a subject");
    let subject = concordat_wire::subject_from_proto(&subject).expect("a subject");
    let line = serde_json::json!({ "source_id": "W-1", "subject": subject }).to_string();
    let open = ImportOpen {
        list: "wanted".into(),
        format: "jsonl".into(),
        officer: "ben".into(),
        ..ImportOpen::default()
    };
    let files = [("list.jsonl", line.as_bytes())];
    let imported = pair.owner.import(open, &files).await;
    assert_eq!(imported.expect("imported").changed, 1);
    pair.refresh().await;

    let mut desks = Desks::of(pair).await;
    desks.proposed().await;
    desks.refuses("anna").await;
    desks.refuses("ben").await;
    desks.approved_by(["cleo", "sue"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_system_has_no_author() {
    let mut desks = Desks::of(Pair::with(Terms::default().disclosing(), wanted()).await).await;
    desks.proposed().await;
    assert_eq!(desks.authors_in_the_case().await, Some(Vec::new()));
    desks.approved_by(["anna", "ben"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_approved_where_the_authors_are_not_known() {
    let mut desks = written_by_anna().await;
    desks.proposed().await;
    // As a case is that an older version opened, or one that somebody with the database has edited.
    let store = &desks.pair.owner.node().state.store;
    let row = store
        .case_row(&desks.case.0)
        .await
        .expect("read")
        .expect("a case");
    let steps = store.case_events(&desks.case.0).await.expect("read").len();
    let edited = CaseChange {
        row,
        events_before: u32::try_from(steps).expect("few"),
        events: Vec::new(),
        documents: Vec::new(),
        forget: Vec::new(),
        private: Some(CasePrivate::default()),
        pending: None,
        delivered: None,
        counters: Vec::new(),
        suppress: None,
    };
    store.change_case(edited).await.expect("edited");
    for officer in ["anna", "ben"] {
        let approved = desks.owning.approve(officer, desks.case).await;
        assert_eq!(approved.expect_err("refused").rule, "DESK-025");
    }
}

/// A request may wait longer than its epoch lasts: then nobody finds the record by its tag any more, and officers decide all the same.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_of_the_epoch_a_case_is_decided_and_the_author_still_not_by() {
    let mut desks = written_by_anna().await;
    desks
        .asking
        .act("ivan", desks.case, Staff::same())
        .await
        .expect("confirmed");
    let mut asking = desks.asking.asking();
    asking.expires = desks.pair.owner.node().state.clock.now() + jiff::SignedDuration::from_hours(24 * 30);
    let request = Action::Request(Box::new(asking));
    desks
        .asking
        .act("ivan", desks.case, request)
        .await
        .expect("asked");
    let view = desks.owning.act("ivan", desks.case, Action::TakeUp).await;
    let proposal = desks.owning.proposal(&view.expect("taken up"));
    let proposed = Action::Propose(Box::new(proposal));
    desks
        .owning
        .act("cleo", desks.case, proposed)
        .await
        .expect("drawn up");

    desks.pair.advance(20 * 86_400);
    let state = std::sync::Arc::clone(&desks.pair.owner.node().state);
    concordat_node::maintenance::end_epochs(&state).await;
    let view = desks.owning.view("ben", desks.case).await.expect("readable");
    assert!(view.records.is_empty(), "the key is gone");
    desks.refuses("anna").await;
    desks.approved_by(["ben", "cleo"]).await;
}
