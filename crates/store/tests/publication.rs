//! Publications: what is served is what was visible, whatever stops half way.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use concordat_store::*;
use proptest::prelude::*;

/// A publication run to its end, with its changes.
#[derive(Debug, Default, PartialEq)]
struct Change {
    adds: BTreeSet<Tag>,
    removes: BTreeSet<Tag>,
}

/// Takes every page of at most `limit`, evaluating what has no tag.
async fn walk(publication: &mut Publication, limit: u32) -> Change {
    let mut change = Change::default();
    while let Some(page) = publication.next_page(limit).await.unwrap() {
        let tags: Vec<KeptTag> = page.untagged.iter().map(tag_of).collect();
        publication.add_tags(&tags).await.unwrap();
        for tag in page.adds.into_iter().chain(tags.iter().map(|kept| kept.tag)) {
            assert!(change.adds.insert(tag), "added twice");
        }
        for tag in page.removes {
            assert!(change.removes.insert(tag), "removed twice");
        }
    }
    change
}

async fn publish(store: &Store, scope: ScopeId, selection: &Selection) -> Change {
    let mut publication = store.begin_publication(scope, selection.clone()).await.unwrap();
    let change = walk(&mut publication, 3).await;
    publication.commit("manifest", 1).await.unwrap();
    change
}

/// The tags of the version that is served.
async fn served(store: &Store, scope: ScopeId) -> BTreeSet<Tag> {
    let (mut tags, mut cursor) = (BTreeSet::new(), None);
    let Some(snapshot) = store.latest_served(scope).await.unwrap() else {
        return tags;
    };
    loop {
        let page = store
            .published_tags_page(scope, snapshot.version, cursor, 2)
            .await
            .unwrap();
        let Some(last) = page.last() else { return tags };
        cursor = Some(last.blind_index);
        for kept in page {
            assert!(tags.insert(kept.tag));
        }
    }
}

/// The tags of everything visible now.
async fn visible(store: &Store, selection: &Selection) -> BTreeSet<Tag> {
    let page = store.identifiers_page(selection, None, 10_000).await.unwrap();
    page.iter().map(|row| tag_of(row).tag).collect()
}

#[tokio::test]
async fn what_is_visible_is_published_and_changes_are_deltas() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let offer = selection(&[list], PASSPORT);
    assert_eq!(store.latest_served(scope).await.unwrap(), None);
    assert_eq!(publish(&store, scope, &offer).await, Change::default());

    store
        .upsert_records(
            list,
            vec![passports("a", &["A1", "A2"]), passports("b", &["A2", "B"])],
        )
        .await
        .unwrap();
    store
        .upsert_records(list, vec![record("p", vec![identifier(PERSON, "another kind")])])
        .await
        .unwrap();
    let all = visible(&store, &offer).await;
    assert_eq!(all.len(), 3);
    let change = publish(&store, scope, &offer).await;
    assert_eq!((&change.adds, change.removes.len()), (&all, 0));
    assert_eq!(served(&store, scope).await, all);
    assert_eq!(publish(&store, scope, &offer).await, Change::default());

    // A2 stays with record b; A1 goes, C comes.
    store.delete_records(list, &["a".to_owned()]).await.unwrap();
    store
        .upsert_records(list, vec![passports("c", &["C"])])
        .await
        .unwrap();
    let now = visible(&store, &offer).await;
    let change = publish(&store, scope, &offer).await;
    assert_eq!(change.adds, now.difference(&all).copied().collect());
    assert_eq!(change.removes, all.difference(&now).copied().collect());
    assert_eq!((change.adds.len(), change.removes.len()), (1, 1));
    assert_eq!(served(&store, scope).await, now);

    // What was removed and purged may come back.
    purge(&store).await;
    publish(&store, scope, &offer).await;
    assert_eq!(
        rows(&home, "own_tag").await,
        3,
        "the tag of what is gone is gone too"
    );
    store
        .upsert_records(list, vec![passports("a", &["A1"])])
        .await
        .unwrap();
    assert_eq!(publish(&store, scope, &offer).await.adds.len(), 1);
    let snapshot = store.latest_served(scope).await.unwrap().unwrap();
    assert_eq!((snapshot.version, snapshot.manifest.as_str()), (6, "manifest"));
}

#[tokio::test]
async fn evaluating_ahead_leaves_nothing_to_evaluate_in_the_publication() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let offer = selection(&[list], PASSPORT);
    let records = (0..50)
        .map(|n| passports(&format!("r{n}"), &[&format!("N{n}")]))
        .collect();
    store.upsert_records(list, records).await.unwrap();
    let mut cursor = None;
    loop {
        let page = store.untagged_page(scope, &offer, cursor, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(last.blind_index);
        store
            .insert_own_tags(scope, &page.iter().map(tag_of).collect::<Vec<_>>())
            .await
            .unwrap();
    }
    assert!(
        store
            .untagged_page(scope, &offer, None, 1)
            .await
            .unwrap()
            .is_empty()
    );
    let mut publication = store.begin_publication(scope, offer.clone()).await.unwrap();
    let page = publication.next_page(1_000).await.unwrap().unwrap();
    assert_eq!(
        (page.untagged.len(), page.adds.len(), page.removes.len()),
        (0, 50, 0)
    );
    assert_eq!(publication.next_page(1_000).await.unwrap(), None);
    assert_eq!(publication.identifiers(), 50);
    publication.commit("m", 1).await.unwrap();
    assert_eq!(served(&store, scope).await, visible(&store, &offer).await);
}

#[tokio::test]
async fn an_import_during_a_publication_is_in_the_next_version_whole() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let offer = selection(&[list], PASSPORT);
    let old: Vec<NewRecord> = (0..20)
        .map(|n| passports(&format!("r{n}"), &[&format!("old{n}")]))
        .collect();
    store.upsert_records(list, old).await.unwrap();
    let before = visible(&store, &offer).await;

    let mut publication = store.begin_publication(scope, offer.clone()).await.unwrap();
    let first = publication.next_page(4).await.unwrap().unwrap();
    publication
        .add_tags(&first.untagged.iter().map(tag_of).collect::<Vec<_>>())
        .await
        .unwrap();
    let new: Vec<NewRecord> = (0..20)
        .map(|n| passports(&format!("r{n}"), &[&format!("new{n}")]))
        .collect();
    let mut import = store
        .begin_import(list, ImportMode::Replace, "", 0)
        .await
        .unwrap();
    import.stage(new).await.unwrap();
    import.commit(1).await.unwrap();
    purge(&store).await;
    walk(&mut publication, 4).await;
    publication.commit("m", 1).await.unwrap();
    assert_eq!(
        served(&store, scope).await,
        before,
        "every record in its old form"
    );

    let change = publish(&store, scope, &offer).await;
    assert_eq!((change.adds.len(), &change.removes), (20, &before));
    assert_eq!(served(&store, scope).await, visible(&store, &offer).await);
}

#[tokio::test]
async fn a_tag_leads_to_its_records_and_to_no_others() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let offer = selection(&[list], PASSPORT);
    store
        .upsert_records(list, vec![passports("a", &["A"])])
        .await
        .unwrap();
    publish(&store, scope, &offer).await;
    let real = visible(&store, &offer).await.into_iter().next().unwrap();
    let found = store.records_by_tag(scope, &offer, &real).await.unwrap();
    assert_eq!((found.len(), found[0].source_id.as_str()), (1, "a"));
    let none = |found: Vec<RecordRef>| assert!(found.is_empty());
    none(store.records_by_tag(scope, &offer, &[7; 16]).await.unwrap());
    let elsewhere = Selection {
        lists: vec![],
        ..offer.clone()
    };
    none(store.records_by_tag(scope, &elsewhere, &real).await.unwrap());
    store.delete_records(list, &["a".to_owned()]).await.unwrap();
    none(store.records_by_tag(scope, &offer, &real).await.unwrap());
}

/// A publication marks what it removes; if it never ends and the record comes back, the mark must go.
#[tokio::test]
async fn marks_of_a_publication_that_never_ended_are_put_right() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let offer = selection(&[list], PASSPORT);
    let both = vec![passports("stays", &["S"]), passports("comes back", &["B"])];
    store.upsert_records(list, both.clone()).await.unwrap();
    publish(&store, scope, &offer).await;
    let before = served(&store, scope).await;

    store
        .delete_records(list, &["comes back".to_owned()])
        .await
        .unwrap();
    store
        .upsert_records(list, vec![passports("goes again", &["G"])])
        .await
        .unwrap();
    let mut publication = store.begin_publication(scope, offer.clone()).await.unwrap();
    let change = walk(&mut publication, 10).await;
    assert_eq!((change.adds.len(), change.removes.len()), (1, 1));
    drop(publication);
    assert_eq!(served(&store, scope).await, before);

    store
        .delete_records(list, &["goes again".to_owned()])
        .await
        .unwrap();
    store.upsert_records(list, both).await.unwrap();
    assert_eq!(publish(&store, scope, &offer).await, Change::default());
    assert_eq!(served(&store, scope).await, before);
    assert_eq!(
        rows(&home, "own_tag").await,
        2,
        "the tag that was never published is gone"
    );
}

#[tokio::test]
async fn an_incomplete_publication_is_refused() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let offer = selection(&[list], PASSPORT);
    store
        .upsert_records(list, vec![passports("a", &["A", "B", "C"])])
        .await
        .unwrap();
    let incomplete = |result: Result<()>| matches!(result, Err(StoreError::PublicationIncomplete { .. }));

    let publication = store.begin_publication(scope, offer.clone()).await.unwrap();
    let second = store.begin_publication(scope, offer.clone()).await;
    assert!(matches!(second, Err(StoreError::PublicationRunning { .. })));
    assert!(
        incomplete(publication.commit("m", 1).await),
        "not every page was taken"
    );

    let mut publication = store.begin_publication(scope, offer.clone()).await.unwrap();
    let page = publication.next_page(10).await.unwrap().unwrap();
    assert_eq!(page.untagged.len(), 3);
    publication.add_tags(&[tag_of(&page.untagged[0])]).await.unwrap();
    assert!(matches!(
        publication.next_page(10).await,
        Err(StoreError::PublicationIncomplete { .. })
    ));
    let foreign = KeptTag {
        blind_index: BlindIndex([9; 16]),
        tag: [9; 16],
    };
    assert!(matches!(
        publication.add_tags(&[foreign]).await,
        Err(StoreError::NotFound { .. })
    ));
    assert!(
        incomplete(publication.commit("m", 1).await),
        "two tags are missing"
    );
    assert_eq!(store.latest_served(scope).await.unwrap(), None);
    assert_eq!(publish(&store, scope, &offer).await.adds.len(), 3);
    let page = store.published_tags_page(scope, 2, None, 1).await;
    assert!(matches!(page, Err(StoreError::NotFound { .. })));
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(u8, BTreeSet<u8>),
    Delete(u8),
    /// Evaluate up to so many ahead.
    Ahead(u32),
    /// Take so many pages of so many, then stop.
    Abandon(u32, u32),
    Publish(u32),
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..6, prop::collection::btree_set(0_u8..15, 0..5)).prop_map(|(s, i)| Step::Upsert(s, i)),
        2 => (0_u8..6).prop_map(Step::Delete),
        1 => (1_u32..6).prop_map(Step::Ahead),
        2 => (0_u32..5, 1_u32..5).prop_map(|(pages, limit)| Step::Abandon(pages, limit)),
        3 => (1_u32..6).prop_map(Step::Publish),
        1 => Just(Step::Purge),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn each_version_is_what_was_visible_and_each_delta_leads_to_it(steps in prop::collection::vec(step(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let store = home.open().await;
            let scope = owner_scope(&store).await;
            let list = store.create_list("wanted", 0).await.unwrap();
            let offer = selection(&[list], PASSPORT);
            let mut model: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
            let mut held: BTreeSet<Tag> = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Upsert(source, identifiers) => {
                        let texts: Vec<String> = identifiers.iter().map(|n| format!("ID{n}")).collect();
                        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                        store.upsert_records(list, vec![passports(&format!("s{source}"), &texts)]).await.unwrap();
                        model.insert(source, identifiers);
                    }
                    Step::Delete(source) => {
                        store.delete_records(list, &[format!("s{source}")]).await.unwrap();
                        model.remove(&source);
                    }
                    Step::Ahead(limit) => {
                        let page = store.untagged_page(scope, &offer, None, limit).await.unwrap();
                        store.insert_own_tags(scope, &page.iter().map(tag_of).collect::<Vec<_>>()).await.unwrap();
                    }
                    Step::Abandon(pages, limit) => {
                        let mut publication = store.begin_publication(scope, offer.clone()).await.unwrap();
                        for _ in 0..pages {
                            let Some(page) = publication.next_page(limit).await.unwrap() else { break };
                            let tags: Vec<KeptTag> = page.untagged.iter().map(tag_of).collect();
                            publication.add_tags(&tags).await.unwrap();
                        }
                    }
                    Step::Publish(limit) => {
                        let mut publication = store.begin_publication(scope, offer.clone()).await.unwrap();
                        let change = walk(&mut publication, limit).await;
                        let identifiers = publication.identifiers();
                        publication.commit("m", 1).await.unwrap();
                        assert!(change.adds.is_disjoint(&held), "added what was there");
                        assert!(change.removes.is_subset(&held), "removed what was not there");
                        held.retain(|tag| !change.removes.contains(tag));
                        held.extend(&change.adds);
                        let distinct: BTreeSet<u8> = model.values().flatten().copied().collect();
                        assert_eq!(held.len(), distinct.len());
                        assert_eq!(identifiers, distinct.len() as u64);
                        assert_eq!(&held, &visible(&store, &offer).await);
                    }
                    Step::Purge => {
                        purge(&store).await;
                    }
                }
                assert_eq!(&served(&store, scope).await, &held);
            }
        });
    }
}

/// What was published is compared with the lists themselves: a change is seen whatever was forgotten meanwhile.
#[tokio::test]
async fn a_changed_list_is_told_from_the_published_one() {
    let home = Home::new();
    let store = home.open().await;
    let scope = owner_scope(&store).await;
    let list = store.create_list("wanted", 0).await.unwrap();
    let other = store.create_list("stolen", 0).await.unwrap();
    let offer = selection(&[list, other], PASSPORT);
    let shown = async || store.shows_lists_as_they_are(scope, &offer).await.unwrap();
    let put = async |list, source: &str, number: &str| {
        let records = vec![passports(source, &[number])];
        store.upsert_records(list, records).await.unwrap();
    };
    assert!(!shown().await, "nothing is published");
    publish(&store, scope, &offer).await;
    assert!(shown().await);

    put(list, "a", "A1").await;
    assert!(!shown().await, "added");
    publish(&store, scope, &offer).await;
    put(list, "a", "A1").await;
    store.delete_records(list, &["none".to_owned()]).await.unwrap();
    assert!(shown().await, "nothing changed");
    put(other, "a", "A2").await;
    assert!(!shown().await, "another list");
    publish(&store, scope, &offer).await;
    put(list, "a", "A3").await;
    assert!(!shown().await, "changed, as many as before");
    publish(&store, scope, &offer).await;
    store.delete_records(list, &["a".to_owned()]).await.unwrap();
    assert!(!shown().await, "removed");

    // A change that comes while a version is made is not in it.
    let mut publication = store.begin_publication(scope, offer.clone()).await.unwrap();
    put(other, "b", "B").await;
    walk(&mut publication, 3).await;
    publication.commit("manifest", 1).await.unwrap();
    assert!(!shown().await, "changed meanwhile");
    publish(&store, scope, &offer).await;
    assert!(shown().await);

    store.delete_list(other, 1).await.unwrap();
    assert!(!shown().await, "deleted");
    drop(store);
    assert!(
        !home
            .open()
            .await
            .shows_lists_as_they_are(scope, &offer)
            .await
            .unwrap(),
        "and after a restart"
    );
}
