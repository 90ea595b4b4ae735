//! A partner with real credentials and bad intentions, against an honest owner's node.

use concordat_ledger::{Event, Refusal};
use concordat_oprf::{Blinded, Client, PublicKey};
use concordat_tests::{Agency, LEGAL_BASIS, Offer, PURPOSE, Pair, Record, Terms, document, person};
use concordat_wire::FaultView;
use concordat_wire::v1::peer_service_client::PeerServiceClient;
use concordat_wire::v1::{
    EndRequest, EvaluateChunk, EvaluateOpen, EvaluateRequest, EvaluateResponse, ExchangeAgreementRequest,
    FetchSegmentRequest, GetManifestRequest, GetScopeKeyRequest, Scope, chunk_refused::Cause,
    evaluate_request, evaluate_response,
};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// The asker, speaking for itself.
pub(crate) struct Hostile {
    pub(crate) pair: Pair,
    pub(crate) peer: PeerServiceClient<Channel>,
    pub(crate) scope: Scope,
}

pub(crate) fn listed() -> Vec<Record> {
    vec![Record {
        source_id: "w1".into(),
        subject: Some(person(vec![], vec![], vec![document("ZX7741209", "NLD")])),
    }]
}

impl Hostile {
    pub(crate) async fn with(terms: Terms) -> Self {
        Self::of(Pair::with(terms, listed()).await).await
    }

    pub(crate) async fn of(pair: Pair) -> Self {
        let agreement = pair.asker.agreement(&pair.agreement).await.expect("known");
        Self {
            peer: pair.asker.impersonate(&pair.owner),
            scope: Scope {
                agreement_id: agreement.agreement_id,
                agreement_digest: agreement.digest,
                offer_id: "docs".into(),
                epoch: 0,
            },
            pair,
        }
    }

    pub(crate) async fn new() -> Self {
        Self::with(Terms::default()).await
    }

    pub(crate) fn open(&self, request_id: u8) -> EvaluateOpen {
        EvaluateOpen {
            scope: Some(self.scope.clone()),
            request_id: vec![request_id; 16],
            purpose: PURPOSE.into(),
            legal_basis: LEGAL_BASIS.into(),
            padded_elements: 64,
        }
    }

    /// One stream: everything at once, then the answers or the status it ended with.
    pub(crate) async fn send(
        &self,
        open: EvaluateOpen,
        chunks: Vec<EvaluateChunk>,
    ) -> Result<Vec<evaluate_response::Message>, Status> {
        let chunks = chunks.into_iter().map(evaluate_request::Message::Chunk);
        let messages = std::iter::once(evaluate_request::Message::Open(open)).chain(chunks);
        self.send_raw(messages.collect()).await
    }

    pub(crate) async fn send_raw(
        &self,
        messages: Vec<evaluate_request::Message>,
    ) -> Result<Vec<evaluate_response::Message>, Status> {
        let messages = messages.into_iter().map(|message| EvaluateRequest {
            message: Some(message),
        });
        let answers = self.peer.clone().evaluate(tokio_stream::iter(messages)).await?;
        let mut answers = answers.into_inner();
        let mut all = Vec::new();
        while let Some(EvaluateResponse { message }) = answers.message().await? {
            all.push(message.expect("a message"));
        }
        Ok(all)
    }

    /// The one answer to one chunk.
    pub(crate) async fn one(&self, request_id: u8, chunk: EvaluateChunk) -> evaluate_response::Message {
        let mut answers = self
            .send(self.open(request_id), vec![chunk])
            .await
            .expect("answered");
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    pub(crate) async fn pinned(&self) -> PublicKey {
        let request = GetScopeKeyRequest {
            scope: Some(self.scope.clone()),
        };
        let note = self
            .peer
            .clone()
            .get_scope_key(request)
            .await
            .expect("a key")
            .into_inner()
            .note;
        let key = note
            .lines()
            .find_map(|line| line.strip_prefix("public-key "))
            .expect("a key line");
        let bytes = hex::decode(key).expect("hex");
        PublicKey::from_bytes(&bytes.try_into().expect("32 bytes")).expect("a key")
    }

    pub(crate) async fn blind(&self, count: usize) -> Blinded {
        let inputs: Vec<Vec<u8>> = (0..count)
            .map(|number| format!("input {number}").into_bytes())
            .collect();
        let client = Client::new(self.pinned().await);
        client.blind(&inputs, &mut rand::rng()).expect("blinded")
    }

    pub(crate) async fn charged(&self) -> u64 {
        self.pair.charged("docs").await
    }
}

pub(crate) fn chunk(index: u32, elements: &[u8]) -> EvaluateChunk {
    EvaluateChunk {
        index,
        elements: elements.to_vec().into(),
    }
}

pub(crate) fn view(status: Status) -> FaultView {
    FaultView::from(&status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conforming_client_is_served() {
    let hostile = Hostile::new().await;
    let blinded = hostile.blind(16).await;
    let evaluate_response::Message::Chunk(answer) = hostile.one(1, chunk(0, blinded.elements())).await else {
        panic!("refused");
    };
    let proof = answer.proof.as_slice().try_into().expect("64 bytes");
    assert!(blinded.verify(&answer.elements, proof).is_ok());
    assert_eq!(hostile.charged().await, 16);
}

/// Non-canonical, identity and short elements are refused, per element, with the index named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_elements_are_refused_with_their_index() {
    let hostile = Hostile::new().await;
    let good = hostile.blind(16).await.elements().to_vec();
    // RFC 9496 appendix A.3: a field element that is not reduced, a negative one, one not on the curve; and the identity.
    let mut unreduced = [0xff; 32];
    unreduced[0] = 0xed;
    unreduced[31] = 0x7f;
    let mut negative = [0; 32];
    negative[0] = 1;
    let bad: [[u8; 32]; 4] = [unreduced, negative, [0xff; 32], [0; 32]];
    for (number, element) in bad.iter().enumerate() {
        for at in [0, 7, 15] {
            let mut elements = good.clone();
            elements[at * 32..at * 32 + 32].copy_from_slice(element);
            let id = u8::try_from(number * 16 + at).expect("small");
            let answer = hostile.one(id, chunk(0, &elements)).await;
            let evaluate_response::Message::Refused(refused) = answer else {
                panic!("bad element {number} at {at} was evaluated");
            };
            assert_eq!(
                (refused.cause(), refused.rule.as_str()),
                (Cause::InvalidElement, "PEER-007")
            );
            assert_eq!(refused.element as usize, at, "{}", refused.detail);
        }
    }
    for short in [0, 1, 31, 33, 16 * 32 - 1] {
        let elements: Vec<u8> = good.iter().copied().cycle().take(short).collect();
        let refused = hostile
            .send(hostile.open(99), vec![chunk(3, &elements)])
            .await
            .expect_err("short");
        let refused = view(refused);
        assert_eq!(
            (refused.code, refused.rule.as_str()),
            (Code::InvalidArgument, "PEER-004")
        );
        assert!(refused.message.contains("chunk 3"), "{}", refused.message);
    }
}

/// Replays of a chunk do not charge the quota twice nor give a second answer under another key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_sent_again_is_charged_once_and_answered_under_the_same_key() {
    let mut hostile = Hostile::new().await;
    let blinded = hostile.blind(16).await;
    let elements = |answer: evaluate_response::Message| match answer {
        evaluate_response::Message::Chunk(chunk) => chunk.elements,
        evaluate_response::Message::Refused(refused) => panic!("{refused:?}"),
    };
    let first = elements(hostile.one(1, chunk(0, blinded.elements())).await);
    let again = elements(hostile.one(1, chunk(0, blinded.elements())).await);
    assert_eq!(first, again, "the same key gives the same answer");
    assert_eq!(hostile.charged().await, 16, "charged once");

    // The same place with other elements is neither charged nor answered.
    let other = hostile.blind(16).await;
    let evaluate_response::Message::Refused(refused) = hostile.one(1, chunk(0, other.elements())).await
    else {
        panic!("answered");
    };
    assert_eq!(
        (refused.cause(), refused.rule.as_str()),
        (Cause::ReplayMismatch, "PEER-006")
    );
    assert_eq!(hostile.charged().await, 16);

    // A restart forgets nothing.
    hostile.pair.owner.stop().await;
    hostile.pair.owner.start().await;
    hostile.peer = hostile.pair.asker.impersonate(&hostile.pair.owner);
    assert_eq!(
        elements(hostile.one(1, chunk(0, blinded.elements())).await),
        first
    );
    assert_eq!(hostile.charged().await, 16);

    // When the epoch and its grace are over, the replay is refused: no answer under the new key, nor the old one.
    hostile.pair.advance(8 * 86_400);
    let refused = hostile
        .send(hostile.open(1), vec![chunk(0, blinded.elements())])
        .await
        .expect_err("over");
    let refused = view(refused);
    assert_eq!(
        (refused.rule.as_str(), refused.field.as_deref()),
        ("AGR-114", Some("scope.epoch"))
    );
    // In the new epoch it would be another request, and the record has no place for two under one id.
    hostile.scope.epoch = 1;
    let refused = hostile
        .send(hostile.open(1), vec![chunk(0, blinded.elements())])
        .await
        .expect_err("another request");
    assert_eq!(view(refused).rule, "PEER-011");
    // Under an id of its own it is answered under another key, and charged there.
    let answer = elements(hostile.one(2, chunk(0, blinded.elements())).await);
    assert_ne!(answer, first);
    assert_eq!(hostile.charged().await, 16, "of the new epoch");
}

/// A peer can neither choose the key, the suite nor the normalisation profile outside the agreement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_cannot_choose_another_scope() {
    let mut terms = Terms::default();
    terms.offers.push(Offer {
        owner: "aa-border".into(),
        requester: "bb-register".into(),
        ..Offer::new("back", "travel_document")
    });
    let hostile = Hostile::with(terms).await;
    let change = |change: &dyn Fn(&mut Scope)| {
        let mut scope = hostile.scope.clone();
        change(&mut scope);
        scope
    };
    let cases: [(Scope, &str, &str); 7] = [
        (
            change(&|scope| scope.agreement_id = "other".into()),
            "AGR-110",
            "scope.agreement_id",
        ),
        (
            change(&|scope| scope.agreement_digest = vec![0; 32]),
            "AGR-111",
            "scope.agreement_digest",
        ),
        (
            change(&|scope| scope.agreement_digest = vec![]),
            "AGR-111",
            "scope.agreement_digest",
        ),
        (
            change(&|scope| scope.offer_id = "none".into()),
            "AGR-113",
            "scope.offer_id",
        ),
        (
            change(&|scope| scope.offer_id = "back".into()),
            "AGR-113",
            "scope.offer_id",
        ),
        (change(&|scope| scope.epoch = 1), "AGR-114", "scope.epoch"),
        (change(&|scope| scope.epoch = u32::MAX), "AGR-114", "scope.epoch"),
    ];
    let blinded = hostile.blind(16).await;
    for (scope, rule, field) in cases {
        let mut peer = hostile.peer.clone();
        let scope = Some(scope);
        let open = EvaluateOpen {
            scope: scope.clone(),
            ..hostile.open(1)
        };
        let refused = [
            peer.get_scope_key(GetScopeKeyRequest { scope: scope.clone() })
                .await
                .expect_err(rule),
            peer.get_manifest(GetManifestRequest { scope: scope.clone() })
                .await
                .expect_err(rule),
            peer.fetch_segment(FetchSegmentRequest {
                scope,
                sha256: vec![0; 32],
                offset: 0,
            })
            .await
            .expect_err(rule),
            hostile
                .send(open, vec![chunk(0, blinded.elements())])
                .await
                .expect_err(rule),
        ];
        for status in refused {
            let refused = view(status);
            assert_eq!(
                (refused.rule.as_str(), refused.field.as_deref()),
                (rule, Some(field))
            );
        }
    }
    let mut peer = hostile.peer.clone();
    let missing = peer
        .get_scope_key(GetScopeKeyRequest { scope: None })
        .await
        .expect_err("no scope");
    assert_eq!(view(missing).rule, "PEER-001");

    // Another suite or profile is another text, which no exchange of signatures can slip in.
    let note = hostile
        .pair
        .asker
        .agreement("aa-bb-2026")
        .await
        .expect("known")
        .note;
    for (from, to, rule) in [
        ("ristretto255-SHA512", "P256-SHA256", "AGR-004"),
        (concordat_identifiers::PROFILE, "own-norm-9", "AGR-003"),
        ("quota_per_day = 1000000", "quota_per_day = 2000000", "AGR-026"),
    ] {
        assert!(note.contains(from));
        let request = ExchangeAgreementRequest {
            note: note.replacen(from, to, 1),
        };
        let refused = view(peer.exchange_agreement(request).await.expect_err(to));
        assert_eq!(refused.rule, rule, "{}", refused.message);
    }
    assert_eq!(hostile.charged().await, 0, "nothing of this was charged");
}

/// Purpose and legal basis are checked by the owner too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_outside_the_agreement_is_refused_by_the_owner() {
    let hostile = Hostile::new().await;
    let blinded = hostile.blind(16).await;
    let mut purpose = hostile.open(1);
    purpose.purpose = concordat_wire::v1::Purpose::FinancialIntel.into();
    let mut unknown = hostile.open(1);
    unknown.purpose = 9_999;
    let mut basis = hostile.open(1);
    basis.legal_basis = "because".into();
    let mut id = hostile.open(1);
    id.request_id = vec![1; 15];
    for (open, rule) in [
        (purpose, "AGR-102"),
        (unknown, "AGR-102"),
        (basis, "AGR-103"),
        (id, "PEER-003"),
    ] {
        let refused = hostile
            .send(open, vec![chunk(0, blinded.elements())])
            .await
            .expect_err(rule);
        assert_eq!(view(refused).rule, rule);
    }
    let first_a_chunk = vec![evaluate_request::Message::Chunk(chunk(0, blinded.elements()))];
    assert_eq!(
        view(hostile.send_raw(first_a_chunk).await.expect_err("no opening")).rule,
        "PEER-002"
    );
    let twice = vec![evaluate_request::Message::Open(hostile.open(1)); 2];
    assert_eq!(
        view(hostile.send_raw(twice).await.expect_err("opened twice")).rule,
        "PEER-002"
    );
    assert_eq!(hostile.charged().await, 0);

    // On record with what was stated, once a minute for each rule; of the second purpose the next one tells.
    let owner = &hostile.pair.owner;
    let refused = refusals(owner).await;
    let rules: Vec<&str> = refused.iter().map(rule_of).collect();
    assert_eq!(rules, ["AGR-102", "AGR-103", "PEER-003"]);
    let actions: Vec<&str> = refused.iter().map(|refusal| refusal.action.as_str()).collect();
    let under = "evaluate under docs of aa-bb-2026, epoch 0, for";
    assert_eq!(actions[0], format!("{under} FINANCIAL_INTEL by {LEGAL_BASIS}"));
    assert_eq!(actions[1], format!("{under} BORDER_CHECK by because"));
    let whose = |refusal: &Refusal| refusal.partner.as_ref().map(|id| id.as_str().to_owned());
    assert!(
        refused
            .iter()
            .all(|refusal| whose(refusal).as_deref() == Some("aa-border"))
    );
    hostile.pair.advance(60);
    let mut purpose = hostile.open(1);
    purpose.purpose = concordat_wire::v1::Purpose::FinancialIntel.into();
    hostile.send(purpose, Vec::new()).await.expect_err("again");
    let refused = refusals(owner).await;
    assert_eq!((refused.len(), rule_of(&refused[3])), (4, "AGR-102"));
    let reason = refused[3].reason.as_str();
    assert!(reason.starts_with("1 more of this kind before it; "), "{reason}");
}

/// Whatever a partner calls under an agreement that is suspended, or in an epoch that is over, the owner has it on record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_partner_is_refused_is_on_the_owners_record() {
    let hostile = Hostile::new().await;
    let owner = &hostile.pair.owner;
    let elements = hostile.blind(16).await.elements().to_vec();
    // Open while the agreement is suspended.
    let message = evaluate_request::Message::Open(hostile.open(1));
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let request = |message| EvaluateRequest {
        message: Some(message),
    };
    sender.send(request(message)).await.expect("room");
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut open = hostile
        .peer
        .clone()
        .evaluate(requests)
        .await
        .expect("opened")
        .into_inner();
    owner.suspend("aa-bb-2026").await;
    let one = evaluate_request::Message::Chunk(chunk(0, &elements));
    sender.send(request(one)).await.expect("room");
    assert_eq!(view(open.message().await.expect_err("suspended")).rule, "AGR-112");

    let over = Scope {
        epoch: 9,
        ..hostile.scope.clone()
    };
    let mut expected = vec![("evaluate".to_owned(), "AGR-112")];
    for (scope, rule) in [(hostile.scope.clone(), "AGR-112"), (over, "AGR-114")] {
        if rule == "AGR-114" {
            owner.resume("aa-bb-2026").await;
        }
        let mut peer = hostile.peer.clone();
        for name in ["get the key", "get the manifest", "fetch a segment", "evaluate"] {
            hostile.pair.advance(60);
            let scope = Some(scope.clone());
            let refused = match name {
                "get the key" => peer.get_scope_key(GetScopeKeyRequest { scope }).await.map(drop),
                "get the manifest" => peer.get_manifest(GetManifestRequest { scope }).await.map(drop),
                "fetch a segment" => {
                    let request = FetchSegmentRequest {
                        scope,
                        sha256: vec![0; 32],
                        offset: 0,
                    };
                    peer.fetch_segment(request).await.map(drop)
                }
                _ => {
                    let open = EvaluateOpen {
                        scope,
                        ..hostile.open(2)
                    };
                    hostile.send(open, Vec::new()).await.map(drop)
                }
            };
            assert_eq!(view(refused.expect_err(name)).rule, rule, "{name}");
            expected.push((name.to_owned(), rule));
        }
    }
    let recorded: Vec<_> = refusals(owner)
        .await
        .iter()
        .map(|refusal| {
            let name = refusal.action.as_str().split(" under ").next().expect("a name");
            (name.to_owned(), rule_of(refusal).to_owned())
        })
        .collect();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, rule)| (name, rule.to_owned()))
        .collect();
    assert_eq!(recorded, expected);
    assert_eq!(hostile.charged().await, 0);
}

/// What a partner tried again and again is on record at the end of the node, if nothing has followed it; also where it hung up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_refused_is_forgotten() {
    use concordat_node::access::PartnerCall;
    let mut hostile = Hostile::new().await;
    let over = Scope {
        epoch: 9,
        ..hostile.scope.clone()
    };
    for _ in 0..3 {
        let request = GetScopeKeyRequest {
            scope: Some(over.clone()),
        };
        hostile
            .peer
            .clone()
            .get_scope_key(request)
            .await
            .expect_err("over");
    }
    assert_eq!(refusals(&hostile.pair.owner).await.len(), 1);
    hostile.pair.owner.stop().await;
    hostile.pair.owner.start().await;
    let owner = &hostile.pair.owner;
    let recorded = refusals(owner).await;
    assert_eq!(recorded.len(), 2);
    let reason = recorded[1].reason.as_str();
    assert!(reason.starts_with("1 more of this kind before it; "), "{reason}");

    // Whoever hangs up at once: what serves it is dropped when it waits for the first time.
    let state = &owner.node().state;
    let pin = hostile.pair.asker.identity().peer.pin().expect("a pin");
    let call = PartnerCall {
        partner: &pin,
        name: "hang up",
        scope: None,
        stated: None,
    };
    let fault = concordat_wire::Fault::invalid("PEER-003", "request_id", "a request id has 16 bytes");
    let mut serving = Box::pin(state.noting(&call, Err::<(), _>(fault)));
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(serving.as_mut().poll(cx).is_ready())).await;
    assert!(!first, "it waits for the disk");
    drop(serving);
    for _ in 0..500 {
        if refusals(owner).await.len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(refusals(owner).await[2].action.as_str(), "hang up");
}

/// Over a connection from before its agreement ended, a partner is refused, and that is on record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_whose_agreement_has_ended_is_refused_on_record() {
    let hostile = Hostile::new().await;
    hostile.pinned().await;
    let end = EndRequest {
        agreement_id: hostile.pair.agreement.clone(),
        reason: "a test".into(),
    };
    hostile.pair.owner.agreements().end(end).await.expect("ended");
    let request = GetScopeKeyRequest {
        scope: Some(hostile.scope.clone()),
    };
    let refused = hostile.peer.clone().get_scope_key(request).await;
    assert_eq!(view(refused.expect_err("ended")).rule, "AGR-112");
    let recorded = refusals(&hostile.pair.owner).await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(rule_of(&recorded[0]), "AGR-112");
    assert_eq!(
        recorded[0]
            .partner
            .as_ref()
            .map(|id| id.as_str().to_owned())
            .as_deref(),
        Some("aa-border")
    );
}

/// What an agency has on record of those it refused, in order.
pub(crate) async fn refusals(agency: &Agency) -> Vec<Refusal> {
    let entries = agency.entries_of("refusal").await.into_iter();
    entries
        .map(|entry| match entry.event {
            Event::Refusal(refusal) => *refusal,
            _ => panic!("a refusal"),
        })
        .collect()
}

pub(crate) fn rule_of(refusal: &Refusal) -> &str {
    refusal.rule.as_ref().map_or("", |rule| rule.as_str())
}

/// Errors tell the peer nothing about the list: elements of listed and unlisted identifiers get answers of one shape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_look_the_same_for_listed_and_unlisted() {
    let terms = Terms::default().quota(64, 64);
    let hostile = Hostile::with(terms).await;
    let today = jiff::civil::date(2026, 3, 2);
    let blinded = async |passport: &str| {
        let subject = person(vec![], vec![], vec![document(passport, "NLD")]);
        let subject = concordat_wire::subject_from_proto(&subject).expect("a subject");
        let input = concordat_identifiers::derive(&subject, today).identifiers[0].oprf_input();
        let client = Client::new(hostile.pinned().await);
        client
            .blind(&vec![input.as_slice(); 16], &mut rand::rng())
            .expect("blinded")
    };
    let (listed, unlisted) = (blinded("ZX7741209").await, blinded("QQ0000017").await);
    let shape = |message: evaluate_response::Message| match message {
        evaluate_response::Message::Chunk(chunk) => (
            chunk.index,
            chunk.elements.len(),
            chunk.proof.len(),
            String::new(),
        ),
        evaluate_response::Message::Refused(refused) => (
            refused.index,
            0,
            0,
            format!("{:?} {} {}", refused.cause(), refused.rule, refused.detail),
        ),
    };
    // Evaluated; replayed with other elements; broken in one place; beyond the quota.
    let mut shapes = [Vec::new(), Vec::new()];
    for (which, id, blinded) in [(0, 1, &listed), (1, 2, &unlisted)] {
        let mut broken = blinded.elements().to_vec();
        broken[32..64].fill(0);
        shapes[which].push(shape(hostile.one(id, chunk(0, blinded.elements())).await));
        shapes[which].push(shape(hostile.one(id, chunk(0, &broken)).await));
        shapes[which].push(shape(hostile.one(id, chunk(1, &broken)).await));
    }
    for (which, id, blinded) in [(0, 3, &listed), (1, 4, &unlisted)] {
        shapes[which].push(shape(hostile.one(id, chunk(0, blinded.elements())).await));
    }
    assert_eq!(shapes[0], shapes[1]);
    assert!(shapes[0][3].3.contains("AGR-120"), "{:?}", shapes[0]);
}

/// A partner learns nothing of agreements that are not its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_agreement_looks_like_none_at_all() {
    let hostile = Hostile::new().await;
    let third = Agency::new("cc-customs").await;
    let terms = Terms {
        id: "bb-cc-2026".into(),
        offers: vec![Offer {
            requester: "cc-customs".into(),
            ..Offer::new("docs", "travel_document")
        }],
        ..Terms::default()
    };
    let foreign = terms.draft([&third.party().await, &hostile.pair.owner.party().await]);
    let foreign = third.propose(&foreign).await.expect("proposed");
    hostile.pair.owner.sign(&foreign.note).await.expect("signed");

    let mut peer = hostile.peer.clone();
    let mut answers = Vec::new();
    for (id, digest) in [("bb-cc-2026", foreign.digest.clone()), ("never-was", vec![1; 32])] {
        let scope = Scope {
            agreement_id: id.into(),
            agreement_digest: digest,
            ..hostile.scope.clone()
        };
        let status = peer
            .get_scope_key(GetScopeKeyRequest { scope: Some(scope) })
            .await
            .expect_err(id);
        answers.push((
            status.code(),
            status.message().to_owned(),
            status.details().to_vec(),
        ));
    }
    assert_eq!(answers[0], answers[1], "the same words for foreign and for none");
    // Nor by sending the document itself, which a partner may have found somewhere.
    let known = peer
        .exchange_agreement(ExchangeAgreementRequest {
            note: foreign.note.clone(),
        })
        .await;
    let unknown = ExchangeAgreementRequest {
        note: hostile
            .pair
            .asker
            .agreement("aa-bb-2026")
            .await
            .expect("known")
            .note
            .replacen("aa-bb-2026", "never-was", 1),
    };
    let unknown = peer.exchange_agreement(unknown).await;
    let (known, unknown) = (known.expect_err("foreign"), unknown.expect_err("none"));
    assert_eq!(
        (known.code(), known.message()),
        (unknown.code(), unknown.message())
    );
    assert_eq!(known.details(), unknown.details());
}
