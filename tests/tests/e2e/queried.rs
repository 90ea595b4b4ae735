//! An auditor is shown whom a query was about: one item of several, from what the agency gives again.

use concordat_ledger::{Actor, Bundle, BundleError, Event, Keys, Proven};
use concordat_node::erasure;
use concordat_tests::{Agency, Pair, Terms, born, document, item, name, person};
use concordat_wire::v1::{AuditContext, MatchItem, ProveEntryRequest, QueriedItems};
use tonic::Status;

use crate::audit::{passport, reason, rule};
use crate::hostile_requester::listed;

/// Two travellers with passports, the second by another document too, and somebody of whom a name is known.
fn travellers() -> Vec<MatchItem> {
    let named = (vec![name("DEROZA", "ELENA")], vec![born(1974, 8, 12)]);
    vec![
        passport("ZX7741209"),
        item(
            "second",
            person(
                vec![],
                vec![],
                vec![document("NP5500123", "NLD"), document("ZX7741209", "NLD")],
            ),
        ),
        item("third", person(named.0, named.1, vec![])),
    ]
}

async fn prove(
    agency: &Agency,
    number: u64,
    context: Option<AuditContext>,
    items: Vec<MatchItem>,
    open: &[&str],
) -> Result<Bundle, Status> {
    let open = open.iter().map(|id| (*id).to_owned()).collect();
    let request = ProveEntryRequest {
        number,
        context,
        queried: Some(QueriedItems { items, open }),
    };
    let bundle = agency.auditing().prove_entry(request).await?.into_inner().bundle;
    Ok(Bundle::parse(bundle.as_bytes()).expect("a bundle"))
}

/// The number of the newest query of this offer.
async fn query_of(agency: &Agency, offer: &str) -> u64 {
    let entries = agency.entries().await;
    let newest = entries.iter().rev().find(|(_, entry)| match &entry.event {
        Event::Query(query) => query.scope.offer.as_str() == offer,
        _ => false,
    });
    newest.expect("a query").0
}

fn shown(proven: &Proven) -> Vec<(u64, &str, String)> {
    let canonical =
        |hex: &Option<String>| hex::decode(hex.as_deref().expect("no biometric one")).expect("hex");
    let of = proven.identifiers.iter();
    of.map(|one| {
        let text = String::from_utf8(canonical(&one.canonical)).expect("text");
        (one.position, one.kind.as_str(), text)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_query_was_about_is_opened_one_by_one() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let agency = &pair.asker;
    agency.ask(travellers()).await;
    let (docs, people) = (query_of(agency, "docs").await, query_of(agency, "people").await);
    agency.ask(vec![passport("NP5500123")]).await;
    let other = query_of(agency, "docs").await;
    agency.published().await;
    let keys = Keys::of(agency.node().state.ledger.verifier());
    let check = |bundle: &Bundle| bundle.check(&keys).expect("it holds");

    // Of each offer its kind; what two items have in common was asked once, and is both's.
    let first = prove(agency, docs, Some(reason()), travellers(), &["ZX7741209"])
        .await
        .expect("a bundle");
    let text = |text: &str| text.to_owned();
    let of_first = [
        (0, "travel_document", text("ZX7741209|NLD")),
        (1, "travel_document", text("ZX7741209")),
    ];
    assert_eq!(shown(&check(&first)), of_first);
    let second = prove(agency, docs, Some(reason()), travellers(), &["second"])
        .await
        .expect("a bundle");
    let proven = check(&second);
    assert_eq!(shown(&proven).len(), 4, "{:?}", shown(&proven));
    let third = prove(agency, people, Some(reason()), travellers(), &["third"])
        .await
        .expect("a bundle");
    let proven = check(&third);
    let proven = shown(&proven);
    assert!(proven.iter().all(|(_, kind, _)| *kind == "person"));
    assert!(
        proven.iter().any(|(.., text)| text == "DEROZA<<ELENA|19740812"),
        "{proven:?}"
    );

    // What is not the query's, wholly and in its order, is refused; that it was tried is on record.
    let before = agency.entries_of("opened").await.len();
    let [a, b, c] = travellers().try_into().expect("three");
    let wrong = [
        vec![passport("ZX7741208"), b.clone(), c.clone()],
        vec![b.clone(), a.clone(), c.clone()],
        vec![a.clone(), c.clone()],
        vec![a.clone(), b.clone(), c.clone(), passport("AB1234567")],
    ];
    let tried = wrong.len();
    for items in wrong {
        let open = items[0].item_id.clone();
        let refused = prove(agency, docs, Some(reason()), items, &[&open]).await;
        let status = refused.as_ref().expect_err("refused").message().to_owned();
        assert!(!status.contains("ZX77"), "{status}");
        assert_eq!(rule(refused), "AUD-016");
    }
    assert_eq!(agency.entries_of("opened").await.len(), before + tried);

    // Of this kind it has nothing; no query; a question that cannot be read; no reason.
    let nothing = prove(agency, docs, Some(reason()), travellers(), &["third"]).await;
    assert_eq!(rule(nothing), "AUD-017");
    let no_query = prove(agency, 0, Some(reason()), travellers(), &["third"]).await;
    assert_eq!(rule(no_query), "AUD-015");
    for (items, open) in [
        (travellers(), vec![]),
        (travellers(), vec!["fourth"]),
        (vec![], vec!["third"]),
        (vec![a.clone(), a], vec!["ZX7741209"]),
    ] {
        let refused = prove(agency, docs, Some(reason()), items, &open).await;
        assert_eq!(rule(refused), "AUD-014");
    }
    let no_reason = prove(agency, docs, None, travellers(), &["second"]).await;
    assert_eq!(rule(no_reason), "AUD-009");

    // The same document in another query is not this query's: its opening is of no use there.
    let elsewhere = prove(
        agency,
        other,
        Some(reason()),
        vec![passport("NP5500123")],
        &["NP5500123"],
    )
    .await
    .expect("a bundle");
    assert_eq!(shown(&check(&elsewhere))[0].2, "NP5500123|NLD");
    let moved = first.with_identifiers(elsewhere.identifiers().to_vec());
    assert!(matches!(moved, Err(BundleError::Identifier { .. })));

    // Once the entry is erased there is nothing to open; what was opened before still holds.
    let by = Actor::Person(concordat_node::ledger::person("chief-1"));
    let order = concordat_node::ledger::text("court order 7 of 2026");
    let state = &agency.node().state;
    let ordered = erasure::erase_ordered(state, std::slice::from_ref(&(docs..=docs)), &by, &order).await;
    assert_eq!(ordered.expect("erased"), 1);
    let erased = prove(agency, docs, Some(reason()), travellers(), &["second"]).await;
    assert_eq!(rule(erased), "AUD-006");
    check(&second);
}
