//! Ways around the people of a case: the administrator with the database open, a hostile requester, a hostile owner. Each is
//! refused with its rule, and is in the ledger of whoever refused it.

use concordat_disclosure::{Document, Event, PART_BYTES, What, rule};
use concordat_ledger::Hex;
use concordat_node::desk::{Action, Saying, attachments};
use concordat_tests::staff::{human, text, who, words};
use concordat_tests::{Agency, wait_for};
use concordat_wire::FaultView;
use concordat_wire::v1::peer_service_client::PeerServiceClient;
use concordat_wire::v1::{CaseStep, PutAttachmentPartRequest, TakeCaseStepsRequest};
use jiff::SignedDuration;
use sqlx::Connection;
use tonic::Status;
use tonic::transport::Channel;

use crate::cases::Desks;

/// The rules of the refusals in an agency's ledger about this case.
async fn refusals(agency: &Agency, desks: &Desks) -> Vec<String> {
    let entries = agency.entries().await;
    let refused = entries.into_iter().filter_map(|(_, entry)| match entry.event {
        concordat_ledger::Event::Refusal(refusal) if refusal.case == Some(desks.case) => {
            Some(refusal.rule.expect("a rule").as_str().to_owned())
        }
        _ => None,
    });
    refused.collect()
}

/// What an administrator of the database's machine does to it, behind the node's back.
async fn edit(agency: &Agency, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(agency.folder().join("node.db"));
    let mut conn = sqlx::ConnectOptions::connect(&options).await.expect("open");
    sqlx::raw_sql(sql).execute(&mut conn).await.expect("edited");
    conn.close().await.expect("closed");
}

fn refused<T>(answer: Result<T, Status>) -> String {
    FaultView::from(&answer.err().expect("refused")).rule
}

/// The next step of a case, in the name of the side that sends it.
async fn sends(
    peer: &mut PeerServiceClient<Channel>,
    history: &[Event],
    (by, what): (Option<&str>, What),
    documents: CaseStep,
) -> Result<(), Status> {
    let last = history.last().expect("a history");
    let event = Event {
        step: last.step + 1,
        previous: last.digest().expect("a digest"),
        side: concordat_ledger::Side::Owner,
        by: by.map(human),
        what,
        ..last.clone()
    };
    let request = TakeCaseStepsRequest {
        case_id: last.case.0.to_vec(),
        steps: vec![CaseStep {
            event: event.encode().expect("a document"),
            ..documents
        }],
    };
    peer.take_case_steps(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_without_the_key_that_proves_its_hit_asks_for_nothing() {
    let desks = Desks::new().await;
    desks
        .asking
        .act("ivan", desks.case, concordat_tests::staff::Staff::same())
        .await
        .expect("confirmed");
    // The tag stands in the snapshot for everybody who has it; the key follows from the identifier alone.
    let store = &desks.pair.asker.node().state.store;
    let row = store
        .case_row(&desks.case.0)
        .await
        .expect("read")
        .expect("a case");
    let private = store.case_private(&desks.case.0).await.expect("read");
    let mut private = private.expect("kept");
    private.escalation_key = Some([7; 32].into());
    let view = desks.asking.view("ivan", desks.case).await.expect("a view");
    let edited = concordat_store::CaseChange {
        row,
        events_before: u32::try_from(view.case.events().len()).expect("few"),
        private: Some(private),
        events: Vec::new(),
        documents: Vec::new(),
        forget: Vec::new(),
        pending: None,
        delivered: None,
        counters: Vec::new(),
        suppress: None,
    };
    store.change_case(edited).await.expect("edited");

    let request = Action::Request(Box::new(desks.asking.asking()));
    let asked = desks.asking.act("ivan", desks.case, request).await;
    assert_eq!(asked.expect_err("refused").rule, rule::PROOF_OF_HIT.id);
    let seen = desks.owning.view("anna", desks.case).await;
    assert_eq!(seen.expect_err("nobody was shown it").rule, "DESK-002");
    for agency in [&desks.pair.owner, &desks.pair.asker] {
        assert_eq!(
            refusals(agency, &desks).await,
            [rule::PROOF_OF_HIT.id],
            "{}",
            agency.id
        );
    }
    let incidents = desks.pair.owner.node().state.store.incidents(10).await;
    let alarm = incidents.expect("read").pop().expect("an alarm");
    assert_eq!(
        (alarm.kind.as_str(), alarm.partner.as_str()),
        ("proof_of_hit_failed", "aa-border")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_or_a_handling_code_changed_after_signing_is_noticed_and_nothing_leaves() {
    let mut desks = Desks::new().await;
    desks.proposed().await;
    desks.owning.approve("anna", desks.case).await.expect("approved");
    desks.owning.approve("ben", desks.case).await.expect("approved");
    // Values, marks and recipient are one sealed document; its bytes are not what was sealed any more.
    edit(
        &desks.pair.owner,
        "DROP TRIGGER case_document_never_changes;
         UPDATE case_document SET document_sealed = zeroblob(length(document_sealed)) WHERE kind = 'decision';",
    )
    .await;
    let release = desks.owning.act("anna", desks.case, Action::Release).await;
    assert_eq!(release.expect_err("refused").rule, "DESK-009");
    let again = desks.owning.view("anna", desks.case).await;
    assert_eq!(again.expect_err("refused").rule, "DESK-009");
    assert_eq!(refusals(&desks.pair.owner, &desks).await, ["DESK-009"], "once");
    assert_eq!(desks.pair.owner.entries_of("release").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_taken_out_of_the_database_is_missed() {
    let desks = Desks::new().await;
    desks.proposed().await;
    edit(
        &desks.pair.owner,
        "DROP TRIGGER case_event_goes_with_its_case; DELETE FROM case_event WHERE seq = 2;",
    )
    .await;
    let view = desks.owning.view("anna", desks.case).await;
    assert_eq!(view.expect_err("refused").rule, "DESK-009");
    assert_eq!(refusals(&desks.pair.owner, &desks).await, ["DESK-009"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_moved_by_nobody() {
    let desks = Desks::new().await;
    desks.requested().await;
    let due = |view: &concordat_node::desk::CaseView| {
        let reading = view.case.clock(desks.pair.owner.node().state.clock.now());
        reading.expect("a clock").due
    };
    let before = due(&desks.owning.view("anna", desks.case).await.expect("a view"));
    edit(
        &desks.pair.owner,
        "UPDATE disclosure_case SET clock_due_ms = clock_due_ms + 31536000000, clock_reminded = 3;",
    )
    .await;
    let view = desks.owning.view("anna", desks.case).await.expect("a view");
    assert_eq!(
        due(&view),
        before,
        "it follows from the signed agreement and the steps"
    );

    // The owner's node says that it may have another year; the agreement's profile knows no such step.
    desks.same_history().await;
    let asked = desks.asking.view("ivan", desks.case).await.expect("a view");
    let more = What::MoreTime(concordat_disclosure::event::MoreTime {
        until: before + SignedDuration::from_hours(24 * 365),
        reason: words("no hurry"),
    });
    let mut peer = desks.pair.owner.impersonate(&desks.pair.asker);
    let moved = sends(
        &mut peer,
        asked.case.events(),
        (Some("anna"), more),
        CaseStep::default(),
    )
    .await;
    assert_eq!(refused(moved), rule::NO_MORE_TIME.id);
    let view = desks.asking.view("ivan", desks.case).await.expect("a view");
    assert_eq!(due(&view), before);
    assert_eq!(refusals(&desks.pair.asker, &desks).await, [rule::NO_MORE_TIME.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_to_somebody_else_is_opened_by_nobody() {
    let mut desks = Desks::new().await;
    desks.proposed().await;
    desks.owning.approve("anna", desks.case).await.expect("approved");
    desks.owning.approve("ben", desks.case).await.expect("approved");
    desks.arrives("APPROVED").await;
    let history = desks.asking.view("ivan", desks.case).await.expect("a view");
    let history = history.case.events().to_vec();
    let decided = history.iter().find_map(|event| match &event.what {
        What::Decided(decided) => Some(decided.decision),
        _ => None,
    });

    // Another pair's release, honest there: sealed to another key, about another case.
    let mut others = Desks::new().await;
    others.released().await;
    let theirs = &others.pair.asker.node().state.store;
    let kept = theirs.case_documents(&others.case.0).await.expect("read");
    let sealed = kept.iter().find(|kept| kept.kind == "sealed-release");
    let sealed = sealed.expect("a release").document.to_string();
    let package = concordat_disclosure::release::SealedRelease::decode(&sealed).expect("a package");
    let released = concordat_disclosure::event::ReleasedAs {
        decision: decided.expect("decided"),
        package: package.digest().expect("a digest"),
    };
    let mut peer = desks.pair.owner.impersonate(&desks.pair.asker);
    let documents = CaseStep {
        sealed_release: sealed,
        ..CaseStep::default()
    };
    let sent = sends(
        &mut peer,
        &history,
        (Some("anna"), What::Released(released)),
        documents,
    )
    .await;
    assert_eq!(refused(sent), rule::NOT_SIGNED.id, "not signed by this owner");
    let view = desks.asking.view("ivan", desks.case).await.expect("a view");
    assert_eq!((view.case.name(), view.decision), ("APPROVED", None));
    assert_eq!(refusals(&desks.pair.asker, &desks).await, [rule::NOT_SIGNED.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_that_are_too_large_changed_or_cut_short_reach_nobody() {
    let desks = Desks::new().await;
    desks.requested().await;
    let mut peer = desks.pair.asker.impersonate(&desks.pair.owner);
    let mut put = async |part, bytes: usize| {
        let request = PutAttachmentPartRequest {
            case_id: desks.case.0.to_vec(),
            attachment_id: vec![9; 16],
            part,
            sealed: vec![u8::try_from(part % 251).expect("small"); bytes],
        };
        peer.put_attachment_part(request).await
    };
    assert_eq!(refused(put(0, PART_BYTES + 17).await), rule::ATTACHMENT_SIZE.id);
    assert_eq!(
        refused(put(0, 16).await),
        rule::ATTACHMENT_SIZE.id,
        "nothing but a seal"
    );
    assert_eq!(refused(put(200, 100).await), rule::ATTACHMENT_SIZE.id, "50 MiB");
    put(0, 100).await.expect("taken");
    put(0, 100).await.expect("the same again");
    assert_eq!(refused(put(0, 101).await), rule::ATTACHMENT_CHUNK.id);
    assert_eq!(
        refusals(&desks.pair.owner, &desks).await,
        [rule::ATTACHMENT_SIZE.id, rule::ATTACHMENT_CHUNK.id],
        "each rule once"
    );

    // A file whose end never comes.
    desks
        .owning
        .act("ivan", desks.case, Action::TakeUp)
        .await
        .expect("taken up");
    desks.arrives("TRIAGE").await;
    let state = &desks.pair.asker.node().state;
    let named = (words("passport.jpg"), text("image/jpeg"));
    let manifest = attachments::attach(state, &who("ivan"), desks.case, named, &vec![1; PART_BYTES + 1])
        .await
        .expect("attached");
    edit(
        &desks.pair.asker,
        "DROP TRIGGER IF EXISTS case_part_goes_when_ended; DELETE FROM case_part WHERE part = 1;",
    )
    .await;
    let attachment = manifest.id;
    let saying = Action::Say(Saying {
        text: vec![words("attached")],
        answers: None,
        attachments: vec![manifest],
    });
    desks.asking.act("ivan", desks.case, saying).await.expect("said");
    wait_for("the message arrives", || async {
        let view = desks.owning.view("anna", desks.case).await.expect("a view");
        view.messages.len() == 1
    })
    .await;
    let theirs = &desks.pair.owner.node().state;
    let fetched = attachments::fetch(theirs, &who("anna"), desks.case, attachment).await;
    assert_eq!(fetched.expect_err("not whole").rule, "DESK-016");

    // The missing end is replaced by something else.
    let request = PutAttachmentPartRequest {
        case_id: desks.case.0.to_vec(),
        attachment_id: attachment.0.to_vec(),
        part: 1,
        sealed: vec![0; 17],
    };
    peer.put_attachment_part(request).await.expect("taken");
    let fetched = attachments::fetch(theirs, &who("anna"), desks.case, attachment).await;
    assert_eq!(fetched.expect_err("changed").rule, rule::ATTACHMENT_CHUNK.id);
    let nobody = attachments::fetch(theirs, &who("anna"), desks.case, Hex([9; 16])).await;
    assert_eq!(nobody.expect_err("no message names it").rule, "DESK-002");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_finds_no_room_holds_back_no_step() {
    let desks = Desks::new().await;
    desks.requested().await;
    desks
        .owning
        .act("ivan", desks.case, Action::TakeUp)
        .await
        .expect("taken up");
    desks.arrives("TRIAGE").await;
    edit(
        &desks.pair.owner,
        "INSERT INTO partner_attachments (partner, bytes) VALUES ('aa-border', 8589934592);",
    )
    .await;
    let state = &desks.pair.asker.node().state;
    let named = (words("passport.jpg"), text("image/jpeg"));
    let manifest = attachments::attach(state, &who("ivan"), desks.case, named, &[1; 100])
        .await
        .expect("attached");
    let saying = Action::Say(Saying {
        text: vec![words("attached")],
        answers: None,
        attachments: vec![manifest],
    });
    desks.asking.act("ivan", desks.case, saying).await.expect("said");
    let withdrawn = Action::Withdraw(words("no longer needed"));
    let view = desks.asking.act("ivan", desks.case, withdrawn).await;
    let view = view.expect("withdrawn");
    assert!(view.sending.is_none(), "the owner has taken it");
    let view = desks.owning.view("anna", desks.case).await.expect("a view");
    assert_eq!((view.case.name(), view.messages.len()), ("WITHDRAWN", 1));
    let refused = refusals(&desks.pair.owner, &desks).await;
    let full = refused.iter().filter(|rule| *rule == "DESK-026");
    assert_eq!(full.count(), 1, "however often it is sent again: {refused:?}");
}
