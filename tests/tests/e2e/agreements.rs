//! Agreements: what is refused, by which rule, about which field.

use concordat_note::{Note, SigningKey};
use concordat_tests::{Agency, OWNER, Pair, Terms};
use concordat_wire::FaultView;
use concordat_wire::v1::{
    CapabilitiesRequest, EndRequest, GetScopeKeyRequest, ResumeRequest, Scope, SuspendRequest,
    agreement::Status,
};
use tonic::Code;

async fn two() -> (Agency, Agency, String) {
    let (asker, owner) = (Agency::new("aa-border").await, Agency::new(OWNER).await);
    let draft = Terms::default().draft([&asker.party().await, &owner.party().await]);
    (asker, owner, draft)
}

fn refused<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> (String, String) {
    let view = FaultView::from(&answer.expect_err("refused"));
    (view.rule, view.field.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broken_draft_is_refused_with_rule_and_field() {
    let (asker, _owner, draft) = two().await;
    let pin = hex::encode(asker.identity().peer.pin().expect("a pin"));
    let cases: [(&str, &str, &str, &str); 22] = [
        ("[agreement]", "[agreement]\nsurprise = 1", "AGR-002", ""),
        ("epoch_days = 7", "epoch_days = \"seven\"", "AGR-002", ""),
        ("reveal = \"requester_only\"", "reveal = \"both\"", "AGR-002", ""),
        (
            concordat_identifiers::PROFILE,
            "own-norm-9",
            "AGR-003",
            "agreement.profile",
        ),
        ("ristretto255-SHA512", "P256-SHA256", "AGR-004", "agreement.suite"),
        (
            "valid_from = \"2026-03-01T10:00:00Z\"",
            "valid_from = \"yesterday\"",
            "AGR-005",
            "agreement.valid_from",
        ),
        (
            "valid_until = \"2027",
            "valid_until = \"2025",
            "AGR-005",
            "agreement.valid_until",
        ),
        (
            "epoch_days = 7",
            "epoch_days = 0",
            "AGR-006",
            "agreement.epoch_days",
        ),
        (
            "legal_bases = [",
            "legal_bases = [] # [",
            "AGR-007",
            "agreement.legal_bases",
        ),
        ("id = \"people\"", "id = \"docs\"", "AGR-009", "offer[1].id"),
        (
            "identity_key = \"aa-border+",
            "identity_key = \"aa-border-",
            "AGR-012",
            "party[aa-border].identity_key",
        ),
        (&pin, "00ff", "AGR-013", "party[aa-border].tls_spki_sha256"),
        ("https://", "http://", "AGR-014", "party[aa-border].endpoint"),
        (
            "owner = \"bb-register\"",
            "owner = \"cc-customs\"",
            "AGR-015",
            "offer[0].owner",
        ),
        ("lists = [\"wanted\"]", "lists = []", "AGR-016", "offer[0].lists"),
        ("kind = \"person\"", "kind = \"face\"", "AGR-017", "offer[1].kind"),
        (
            "\"BORDER_CHECK\"",
            "\"CURIOSITY\"",
            "AGR-018",
            "offer[0].purposes",
        ),
        (
            "quota_per_day = 1000000",
            "quota_per_day = 0",
            "AGR-019",
            "offer[0].quota_per_epoch",
        ),
        (
            "quota_per_epoch = 10000000",
            "quota_per_epoch = 1073741825",
            "AGR-020",
            "offer[0].quota_per_epoch",
        ),
        ("max_age_h = 24", "max_age_h = 0", "AGR-021", "offer[0].max_age_h"),
        (
            "disclosure_profile = \"PRUM\"",
            "disclosure_profile = \"\"",
            "AGR-022",
            "offer[0].disclosure_profile",
        ),
        (
            "id = \"aa-bb-2026\"",
            "id = \"../etc\"",
            "AGR-023",
            "agreement.id",
        ),
    ];
    for (from, to, rule, field) in cases {
        assert!(draft.contains(from), "the draft holds {from}");
        let broken = draft.replacen(from, to, 1);
        assert_eq!(
            refused(asker.propose(&broken).await),
            (rule.to_owned(), field.to_owned()),
            "{to}"
        );
    }
    let huge = format!("{draft}\n# {}", "x".repeat(300 << 10));
    assert_eq!(refused(asker.propose(&huge).await).0, "AGR-001");
    let strangers = Terms::default().draft([
        &Agency::new("cc-customs").await.party().await,
        &Agency::new("dd-coast").await.party().await,
    ]);
    assert_eq!(
        refused(asker.propose(&strangers).await),
        ("AGR-008".into(), "party".into()),
        "three parties with us"
    );
    assert!(
        asker
            .agreements()
            .list(concordat_wire::v1::ListAgreementsRequest {})
            .await
            .expect("a list")
            .into_inner()
            .agreements
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_partner_signed_is_signed() {
    let (asker, owner, draft) = two().await;
    let proposed = asker.propose(&draft).await.expect("proposed");
    assert_eq!(
        (proposed.status(), proposed.signed_by.as_slice()),
        (Status::Proposed, &["aa-border".to_owned()][..])
    );
    let text = format!(
        "{}\n",
        proposed.note.split("\n\n\u{2014}").next().expect("a text")
    );
    assert!(
        proposed.note.starts_with(&text),
        "the text is what comes before the signatures"
    );

    assert_eq!(
        refused(owner.sign("no note").await),
        ("AGR-010".into(), "note".into())
    );
    // Signed by someone else under the partner's name: the text names the true key.
    let stranger = SigningKey::from_seed("aa-border", &[5; 32]).expect("a key");
    let forged = Note::sign(&text, &[&stranger]).expect("signed").to_string();
    assert_eq!(
        refused(owner.sign(&forged).await),
        ("AGR-030".into(), "note".into())
    );
    // A true signature under another text.
    let changed = proposed
        .note
        .replacen("quota_per_day = 1000000", "quota_per_day = 9000000", 1);
    assert_eq!(
        refused(owner.sign(&changed).await),
        ("AGR-011".into(), "note".into())
    );
    // A third agency is no party; another node of the same name has other keys.
    let third = Agency::new("cc-customs").await;
    assert_eq!(refused(third.sign(&proposed.note).await).0, "AGR-027");
    let twin = Agency::new(OWNER).await;
    assert_eq!(
        refused(twin.sign(&proposed.note).await),
        ("AGR-028".into(), "party".into())
    );
    // Nobody signs that what is released to it is sealed to another's key, or that its officers sign on another page.
    let asker_block = asker.party().await;
    let ours = owner.party().await;
    for (field, rule, at) in [
        ("disclosure_key_sha256", "AGR-028", "party"),
        ("console", "AGR-039", "party.console"),
    ] {
        let line = |block: &str| {
            let line = block.lines().find(|line| line.starts_with(field));
            line.expect("a line").to_owned()
        };
        let other = match field {
            "console" => "console = \"https://desk.example\"".to_owned(),
            _ => line(&asker_block),
        };
        let terms = Terms {
            id: format!("other-{}", &field[..3]),
            ..Terms::default()
        };
        let draft = terms.draft([&asker_block, &ours.replace(&line(&ours), &other)]);
        let proposed = asker.propose(&draft).await.expect("the partner cannot know");
        assert_eq!(
            refused(owner.sign(&proposed.note).await),
            (rule.into(), at.into()),
            "{field}"
        );
    }

    let signed = owner.sign(&proposed.note).await.expect("signed");
    assert_eq!((signed.status(), signed.signed_by.len()), (Status::Active, 2));
    assert_eq!(
        owner.sign(&proposed.note).await.expect("again").digest,
        signed.digest,
        "twice is once"
    );
    let other = draft.replacen("title = \"Trial\"", "title = \"Another\"", 1);
    assert_eq!(
        refused(asker.propose(&other).await),
        ("AGR-026".into(), "agreement.id".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_changed_only_from_the_right_one() {
    let pair = Pair::with(Terms::default(), crate::hostile_requester::listed()).await;
    let id = "aa-bb-2026".to_owned();
    let suspend = |reason: &str| SuspendRequest {
        agreement_id: id.clone(),
        reason: reason.into(),
    };
    let resume = || ResumeRequest {
        agreement_id: id.clone(),
    };
    let mut admin = pair.owner.agreements();
    assert_eq!(
        refused(admin.suspend(suspend("")).await),
        ("AGR-031".into(), "reason".into())
    );
    assert_eq!(refused(admin.resume(resume()).await).0, "AGR-029");
    let suspended = admin
        .suspend(suspend("an incident"))
        .await
        .expect("suspended")
        .into_inner();
    assert_eq!(suspended.status(), Status::Suspended);
    assert_eq!(suspended.status_reason, "an incident");
    assert_eq!(
        pair.asker.agreement(&id).await.expect("known").status(),
        Status::Active,
        "each side for itself"
    );
    let resumed = admin.resume(resume()).await.expect("resumed").into_inner();
    assert_eq!(resumed.status(), Status::Active);
    assert_eq!(resumed.status_reason, "", "a reason is one of a suspension");
    let unknown = pair.owner.agreement("never-was").await.expect_err("unknown");
    assert_eq!(
        (unknown.code(), FaultView::from(&unknown).rule.as_str()),
        (Code::NotFound, "AGR-110")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_survives_a_restart_and_a_partner_that_was_away() {
    let (asker, mut owner, draft) = two().await;
    let proposed = asker.propose(&draft).await.expect("proposed");
    let mut asker = asker;
    asker.stop().await;
    let signed = owner
        .sign(&proposed.note)
        .await
        .expect("signed while the partner is away");
    assert_eq!(signed.status(), Status::Active);
    owner.stop().await;
    owner.start().await;
    asker.start().await;
    // Looking at it asks the partner for its signature.
    assert_eq!(
        asker.agreement("aa-bb-2026").await.expect("known").status(),
        Status::Active
    );
    assert_eq!(
        owner.agreement("aa-bb-2026").await.expect("known").digest,
        proposed.digest
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_opens_only_the_agreements_that_pin_it() {
    let old = Pair::with(Terms::default(), crate::hostile_requester::listed()).await;
    let owner = &old.owner;
    // The same agency with new keys, the old ones being lost to a thief.
    let renewed = Agency::new("aa-border").await;
    let terms = Terms {
        id: "aa-bb-2027".into(),
        ..Terms::default()
    };
    let draft = terms.draft([&renewed.party().await, &owner.party().await]);
    let proposed = renewed.propose(&draft).await.expect("proposed");
    assert_eq!(
        refused(owner.sign(&proposed.note).await),
        ("AGR-032".into(), "party".into()),
        "not while the old keys are good"
    );
    owner.suspend(&old.agreement).await;
    let signed = owner.sign(&proposed.note).await.expect("signed");
    assert_eq!(signed.status(), Status::Active);

    let request = GetScopeKeyRequest {
        scope: Some(Scope {
            agreement_id: terms.id.clone(),
            agreement_digest: signed.digest.clone(),
            offer_id: "docs".into(),
            epoch: 0,
        }),
    };
    let mut thief = old.asker.impersonate(owner);
    assert_eq!(refused(thief.get_scope_key(request.clone()).await).0, "AGR-110");
    let mut honest = renewed.impersonate(owner);
    honest
        .get_scope_key(request)
        .await
        .expect("the key that is pinned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_stands_for_one_agency() {
    let pair = Pair::with(Terms::default(), crate::hostile_requester::listed()).await;
    let other = Agency::new("cc-customs").await;
    let pin = |agency: &Agency| hex::encode(agency.identity().peer.pin().expect("a pin"));
    let party = other.party().await.replace(&pin(&other), &pin(&pair.asker));
    let terms = Terms {
        id: "bb-cc".into(),
        ..Terms::default()
    };
    let draft = terms
        .draft([&party, &pair.owner.party().await])
        .replace("requester = \"aa-border\"", "requester = \"cc-customs\"");
    assert_eq!(
        refused(pair.owner.propose(&draft).await),
        ("AGR-033".into(), "party".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_that_is_over_is_shown_as_expired_and_not_signed_again() {
    let (asker, owner, draft) = two().await;
    let proposed = asker.propose(&draft).await.expect("proposed");
    assert!(
        proposed.valid_until.starts_with("2027-"),
        "{}",
        proposed.valid_until
    );
    let offers = proposed.usage.len();
    assert!(offers > 0);
    for agency in [&asker, &owner] {
        agency.clock.advance(2 * 366 * 86_400);
    }
    let over = asker
        .agreement(&proposed.agreement_id)
        .await
        .expect("still known");
    assert_eq!(over.status(), Status::Expired);
    assert_eq!(over.usage.len(), offers, "its offers stay listed");
    let signed = refused(owner.sign(&proposed.note).await);
    assert_eq!(signed, ("AGR-101".into(), "agreement.valid_until".into()));
    let again = refused(asker.propose(&draft.replace("aa-bb-2026", "aa-bb-again")).await);
    assert_eq!(again, ("AGR-101".into(), "agreement.valid_until".into()));
    let unsigned = refused(owner.sign(&draft).await);
    assert_eq!(unsigned, ("AGR-010".into(), "note".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_agreement_is_over_for_good_and_so_are_its_keys() {
    let mut pair = Pair::with(Terms::default(), crate::hostile_requester::listed()).await;
    let (id, note) = {
        let known = pair.owner.agreement(&pair.agreement).await.expect("known");
        (known.agreement_id, known.note)
    };
    let request = |reason: &str| EndRequest {
        agreement_id: id.clone(),
        reason: reason.into(),
    };
    assert_eq!(
        refused(pair.owner.agreements().end(request("")).await),
        ("AGR-031".into(), "reason".into())
    );
    let mut peer = pair.asker.impersonate(&pair.owner);
    peer.capabilities(CapabilitiesRequest {}).await.expect("let in");
    let ended = pair
        .owner
        .agreements()
        .end(request("over"))
        .await
        .expect("ended")
        .into_inner();
    assert_eq!(
        (ended.status(), ended.status_reason.as_str()),
        (Status::Ended, "over")
    );
    let store = &pair.owner.node().state.store;
    let scopes = store.scopes(&id).await.expect("read");
    assert!(!scopes.is_empty());
    for scope in scopes {
        assert_eq!(scope.status, concordat_store::ScopeStatus::Destroyed);
    }
    // The key opens no new connection, and no way leads back, not after a restart either.
    pair.asker
        .impersonate(&pair.owner)
        .capabilities(CapabilitiesRequest {})
        .await
        .expect_err("nothing pins the key");
    pair.owner.stop().await;
    pair.owner.start().await;
    assert_eq!(
        refused(pair.owner.sign(&note).await),
        ("AGR-034".into(), "agreement.id".into())
    );
    let resume = ResumeRequest {
        agreement_id: id.clone(),
    };
    assert_eq!(refused(pair.owner.agreements().resume(resume).await).0, "AGR-029");
    assert_eq!(
        pair.owner.agreement(&id).await.expect("still known").status(),
        Status::Ended
    );

    // A proposal that nobody signed is withdrawn.
    let draft = Terms {
        id: "withdrawn".into(),
        ..Terms::default()
    }
    .draft([&pair.asker.party().await, &pair.owner.party().await]);
    pair.asker.propose(&draft).await.expect("proposed");
    let end = EndRequest {
        agreement_id: "withdrawn".into(),
        reason: "a mistake".into(),
    };
    let ended = pair
        .asker
        .agreements()
        .end(end)
        .await
        .expect("withdrawn")
        .into_inner();
    assert_eq!(ended.status(), Status::Ended);
}
