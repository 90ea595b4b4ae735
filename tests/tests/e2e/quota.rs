//! The quota: charged in padded elements, on disk, never exceeded.

use concordat_ledger::{Event, Hex, QuotaRefused, Side};
use concordat_tests::{Agency, Terms};
use concordat_wire::v1::{ChunkRefused, chunk_refused::Cause, evaluate_response};

use crate::hostile_requester::{Hostile, chunk, refusals, rule_of};

fn refusal(answer: &evaluate_response::Message) -> Option<&ChunkRefused> {
    match answer {
        evaluate_response::Message::Refused(refused) => Some(refused),
        evaluate_response::Message::Chunk(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_used_up_and_the_next_one_is_not_but_the_epoch_ends_it() {
    let mut hostile = Hostile::with(Terms::default().quota(48, 80)).await;
    let blinded = hostile.blind(32).await;
    let half = &blinded.elements()[..16 * 32];
    assert!(
        refusal(&hostile.one(1, chunk(0, blinded.elements())).await).is_none(),
        "32 of 48"
    );
    let answer = hostile.one(2, chunk(0, blinded.elements())).await;
    let refused = refusal(&answer).expect("64 of 48");
    assert_eq!(
        (refused.cause(), refused.rule.as_str()),
        (Cause::Quota, "AGR-120")
    );
    assert_eq!(refused.retry_after_ms, 14 * 3_600_000, "until midnight UTC");
    assert!(
        refusal(&hostile.one(3, chunk(0, half)).await).is_none(),
        "48 of 48: a smaller one fits"
    );
    assert!(refusal(&hostile.one(4, chunk(0, half)).await).is_some());

    // Still used up after a restart.
    hostile.pair.owner.stop().await;
    hostile.pair.owner.start().await;
    hostile.peer = hostile.pair.asker.impersonate(&hostile.pair.owner);
    assert!(refusal(&hostile.one(5, chunk(0, half)).await).is_some());
    let usage = hostile.pair.owner.usage("aa-bb-2026", "docs").await;
    assert_eq!((usage.used_today, usage.quota_per_day), (48, 48));
    // Sent again, what was charged is answered even now.
    assert!(refusal(&hostile.one(1, chunk(0, blinded.elements())).await).is_none());

    hostile.pair.advance(86_400);
    assert!(
        refusal(&hostile.one(6, chunk(0, blinded.elements())).await).is_none(),
        "80 of 80"
    );
    let answer = hostile.one(7, chunk(0, half)).await;
    let refused = refusal(&answer).expect("the epoch's is used up");
    assert!(refused.detail.contains("epoch"), "{}", refused.detail);
    assert_eq!(refused.retry_after_ms, 0, "waiting for tomorrow does not help");
    // On the owner's record is the first one of each minute, and the others as refusals.
    let recorded = quota_refusals(&hostile.pair.owner).await;
    let exchanges: Vec<_> = recorded.iter().map(|refused| refused.exchange).collect();
    assert_eq!(exchanges, [2, 5, 7].map(|id| Hex([id; 16])));
    let others = refusals(&hostile.pair.owner).await;
    assert_eq!(others.iter().map(rule_of).collect::<Vec<_>>(), ["AGR-120"]);
    for refused in recorded {
        assert_eq!(
            (refused.side, refused.partner.as_str(), refused.elements),
            (Side::Owner, "aa-border", 64)
        );
        let scope = (refused.scope.agreement.as_str(), refused.scope.offer.as_str());
        assert_eq!((scope, refused.scope.epoch), (("aa-bb-2026", "docs"), 0));
    }
}

/// What an agency has on record of quotas that were used up, in order.
pub(crate) async fn quota_refusals(agency: &Agency) -> Vec<QuotaRefused> {
    let entries = agency.entries_of("quota.refused").await.into_iter();
    entries
        .map(|entry| match entry.event {
            Event::QuotaRefused(refused) => *refused,
            _ => panic!("a quota"),
        })
        .collect()
}

/// Every day holds the end of one epoch and the beginning of another: the quota of the day is one all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_key_at_noon_is_no_second_quota_of_the_day() {
    let terms = Terms {
        epoch_days: 1,
        ..Terms::default().quota(48, 96)
    };
    // The second epoch has just begun, the first one's key still answers.
    let mut hostile = Hostile::with(terms).await;
    let blinded = hostile.blind(32).await;
    assert!(refusal(&hostile.one(1, chunk(0, blinded.elements())).await).is_none());
    hostile.scope.epoch = 1;
    let answer = hostile.one(2, chunk(0, blinded.elements())).await;
    let refused = refusal(&answer).expect("64 of 48");
    assert_eq!(
        (refused.cause(), refused.rule.as_str()),
        (Cause::Quota, "AGR-120")
    );
    assert!(refused.detail.contains("daily"), "{}", refused.detail);
    let half = &blinded.elements()[..16 * 32];
    assert!(
        refusal(&hostile.one(3, chunk(0, half)).await).is_none(),
        "48 of 48"
    );
    let usage = hostile.pair.owner.usage("aa-bb-2026", "docs").await;
    assert_eq!((usage.used_today, usage.used_epoch), (48, 16));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_never_exceed_it() {
    let hostile = Hostile::with(Terms::default().quota(20 * 16, 20 * 16)).await;
    let elements = hostile.blind(16).await.elements().to_vec();
    let streams = (0..8).map(|request| {
        let chunks = (0..5).map(|index| chunk(index, &elements)).collect();
        let open = concordat_wire::v1::EvaluateOpen {
            padded_elements: 80,
            ..hostile.open(request)
        };
        hostile.send(open, chunks)
    });
    let answers = futures_util::future::join_all(streams).await;
    let answers: Vec<_> = answers
        .into_iter()
        .flat_map(|stream| stream.expect("answered"))
        .collect();
    let evaluated = answers.iter().filter(|answer| refusal(answer).is_none()).count();
    assert_eq!(
        (answers.len(), evaluated),
        (40, 20),
        "forty were asked, twenty are paid for"
    );
    assert_eq!(hostile.pair.charged("docs").await, 20 * 16);
}
