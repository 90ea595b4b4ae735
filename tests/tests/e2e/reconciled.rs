//! A node compares its ledger with a partner's: what goes together, what is missing, and what a hostile partner shows instead.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use concordat_ledger::{
    CHECKPOINT_PATH, Folder, Leaf, Log, SignedCheckpoint, Source, TILE_WIDTH, TilePath, TileReader,
    decode_bundle, encode_bundle,
};
use concordat_note::SigningKey;
use concordat_tests::{Agency, Lies, OWNER, Pair, Relay, Terms, document, item, person, wait_for};
use concordat_wire::FaultView;
use concordat_wire::v1::{ReadLedgerRequest, ReconcileRequest, ReconcileResponse};
use tonic::Status;

use crate::hostile_owner::behind_a_door;
use crate::hostile_requester::listed;

const NUMBER: &str = "ZX7741209";
const ASKER: &str = "aa-border";
/// What is younger than 15 minutes is not missed.
const SETTLED: i64 = 16 * 60;

type Files = BTreeMap<String, Vec<u8>>;

async fn ask(pair: &Pair) {
    let subject = person(vec![], vec![], vec![document(NUMBER, "NLD")]);
    pair.asker.ask(vec![item(NUMBER, subject)]).await;
}

async fn reconcile(agency: &Agency, partner: &str) -> Result<ReconcileResponse, Status> {
    let request = ReconcileRequest {
        partner_id: partner.to_owned(),
    };
    Ok(agency.auditing().reconcile(request).await?.into_inner())
}

async fn rule(agency: &Agency, partner: &str) -> String {
    FaultView::from(&reconcile(agency, partner).await.expect_err("refused")).rule
}

fn leaves_of(folder: &Path, size: u64) -> Vec<Leaf> {
    let reader = TileReader::new(Folder::read_only(folder), size);
    let leaves: Result<Vec<_>, _> = reader.leaves(0).collect();
    leaves
        .expect("published leaves")
        .into_iter()
        .map(|(_, leaf)| leaf)
        .collect()
}

/// What a comparison reads of a published log.
fn files_of(source: &impl Source, size: u64) -> Files {
    let bundles = (0..size).step_by(usize::try_from(TILE_WIDTH).expect("small"));
    let mut paths: Vec<String> = bundles
        .filter_map(|start| TilePath::bundle(start, size))
        .map(|path| path.to_string())
        .collect();
    paths.push(CHECKPOINT_PATH.to_owned());
    let read = |path: String| {
        let file = source.read(&path).expect("read").expect("there");
        (path, file)
    };
    paths.into_iter().map(read).collect()
}

/// Another log of these leaves, signed with the key of the real one.
fn forged(leaves: &[Leaf], key: &SigningKey) -> Files {
    let dir = tempfile::tempdir().expect("a folder");
    let mut log = Log::open(Folder::create(dir.path()).expect("made"), key.verifier()).expect("opened");
    let size = log.append(leaves, key).expect("appended").size();
    files_of(&log.source(), size)
}

fn show(relay: &Relay, files: Files) {
    relay.lie(Lies {
        ledger: Some(Arc::new(move |path| files.get(path).cloned())),
        ..Lies::default()
    });
}

fn ledger_key(agency: &Agency) -> SigningKey {
    let key = agency.identity().signing;
    key.renamed(&concordat_node::ledger::origin(key.name()))
        .expect("a key")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_find_every_exchange_in_the_others_ledger() {
    let pair = Pair::with(Terms::default(), listed()).await;
    for _ in 0..3 {
        ask(&pair).await;
    }
    pair.asker.cosigned_by(OWNER).await;
    pair.owner.cosigned_by(ASKER).await;
    pair.advance(SETTLED);
    for (agency, partner) in [(&pair.asker, OWNER), (&pair.owner, ASKER)] {
        let entries = agency.entries().await.len();
        let compared = reconcile(agency, partner).await.expect("compared");
        let counts = (
            compared.matched,
            compared.unmatched,
            compared.too_young,
            compared.unanswered,
        );
        assert_eq!(counts, (3, 0, 0, 0), "{partner}: {compared:?}");
        assert!(compared.unmatched_exchanges.is_empty());
        assert!(
            compared.checkpoint_size >= compared.cosigned_size && compared.cosigned_size > 0,
            "{compared:?}"
        );
        assert_eq!((compared.erased, compared.left_out), (0, 0));
        let standing = agency.node().state.reconciling.standing(partner);
        let last = standing.last.expect("kept");
        assert!(standing.running.is_none());
        assert_eq!(last.result.as_ref().expect("compared").matched, 3);
        assert_eq!(last.at.to_string(), compared.at);
        assert_eq!(agency.entries().await.len(), entries, "nothing is recorded");
    }
    assert_eq!(rule(&pair.asker, "nobody").await, "AUD-011");
    assert_eq!(rule(&pair.asker, ASKER).await, "AUD-011");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_reads_published_files_one_at_a_time_and_nothing_else() {
    let pair = Pair::with(Terms::default(), listed()).await;
    pair.owner.published().await;
    let peer = pair.asker.impersonate(&pair.owner);
    let read = |path: &'static str| {
        let mut peer = peer.clone();
        async move {
            let request = ReadLedgerRequest { path: path.into() };
            let mut pieces = peer.read_ledger(request).await?.into_inner();
            let mut file = Vec::new();
            while let Some(piece) = pieces.message().await? {
                file.extend_from_slice(&piece.data);
            }
            Ok::<_, Status>(file)
        }
    };
    let checkpoint = read(CHECKPOINT_PATH).await.expect("read");
    let key = ledger_key(&pair.owner).verifier();
    SignedCheckpoint::open(&checkpoint, &key).expect("the owner's");
    for path in [
        "",
        "/checkpoint",
        ".lock",
        "../node.db",
        "tile/../../node.db",
        "checkpoint.tmp",
        "tile/entries/999",
        "tile/entries/000.p/256",
    ] {
        let refused = read(path).await.expect_err("refused");
        assert_eq!(FaultView::from(&refused).rule, "PEER-015", "{path}");
    }
    // Whoever reads one file already waits; each file after another is read at once.
    let share = pair
        .owner
        .node()
        .state
        .fairness
        .of(&pair.asker.identity().peer.pin().expect("a pin"));
    let reading = share.ledger.clone().try_acquire_owned().expect("free");
    let refused = read(CHECKPOINT_PATH).await.expect_err("refused");
    assert_eq!(FaultView::from(&refused).rule, "PEER-016");
    drop(reading);
    for _ in 0..20 {
        read(CHECKPOINT_PATH).await.expect("read");
    }
    // Whoever is in no agreement does not even get in.
    let stranger = Agency::new("cc-other").await;
    let mut peer = stranger.impersonate(&pair.owner);
    let request = ReadLedgerRequest {
        path: CHECKPOINT_PATH.into(),
    };
    peer.read_ledger(request).await.expect_err("not a partner");
}

/// What the owner's node published, and then what it shows through a door instead. The node itself is away, so nothing is cosigned
/// meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_partner_hides_or_forges_is_named() {
    let (mut pair, relay) = behind_a_door(&[("call_deadline_ms", "3000")]).await;
    pair.refresh().await;
    let early = pair.owner.published().await;
    ask(&pair).await;
    pair.owner.cosigned_by(ASKER).await;
    let exchanges = pair.owner.exchanges().await;
    let key = ledger_key(&pair.owner);
    pair.owner.stop().await;
    let folder = pair.owner.folder().join("ledger");
    let read = Folder::read_only(&folder);
    let note = read.read(CHECKPOINT_PATH).expect("read").expect("published");
    let newest = SignedCheckpoint::open(&note, &key.verifier()).expect("signed");
    let honest = files_of(&read, newest.size());
    let leaves = leaves_of(&folder, newest.size());

    // Young exchanges are not missed; then they are found.
    let without: Vec<Leaf> = (0u64..)
        .zip(&leaves)
        .filter(|(number, _)| !exchanges.iter().any(|record| record.index == *number))
        .map(|(_, leaf)| leaf.clone())
        .collect();
    assert_eq!(without.len() + 2, leaves.len(), "one exchange, opened and closed");
    let store = pair.asker.node().state.store.clone();
    let kept = store.witness(OWNER).await.expect("kept").theirs;
    let remember = async |note: String| {
        let before = store.witness(OWNER).await.expect("kept").theirs;
        assert!(
            store
                .keep_theirs(OWNER, before.as_deref(), &note)
                .await
                .expect("kept")
        );
    };
    show(&relay, honest.clone());
    let compared = reconcile(&pair.asker, OWNER).await.expect("compared");
    assert_eq!((compared.matched, compared.unmatched), (1, 0), "{compared:?}");

    // A log that never had the evaluation, all signed.
    remember(early.to_string()).await;
    show(&relay, forged(&without, &key));
    let young = reconcile(&pair.asker, OWNER).await.expect("compared");
    assert_eq!(
        (young.matched, young.unmatched, young.too_young),
        (0, 0, 1),
        "{young:?}"
    );
    pair.asker.clock.advance(SETTLED);
    let lacking = reconcile(&pair.asker, OWNER).await.expect("compared");
    assert_eq!(
        (lacking.matched, lacking.unmatched, lacking.too_young),
        (0, 1, 0),
        "{lacking:?}"
    );
    let missing = &lacking.unmatched_exchanges[0];
    assert_eq!(missing.exchange, exchanges[0].exchange.0);
    assert!(missing.ours.is_some() && missing.theirs.is_none());
    assert!(missing.reason.contains("the owner did not log it"), "{missing:?}");
    remember(kept.expect("cosigned")).await;

    // The same log once more was cosigned.
    let incidents = || async { store.incidents(100).await.expect("read").len() };
    let before = incidents().await;
    assert_eq!(
        rule(&pair.asker, OWNER).await,
        "LEDG-021",
        "shorter than what was cosigned"
    );
    let mut longer = without.clone();
    longer.extend(leaves.iter().rev().take(2).cloned());
    show(&relay, forged(&longer, &key));
    assert_eq!(incidents().await, before, "an older checkpoint proves nothing");
    assert_eq!(
        rule(&pair.asker, OWNER).await,
        "LEDG-023",
        "two histories of one size"
    );
    longer.push(leaves[0].clone());
    show(&relay, forged(&longer, &key));
    assert_eq!(rule(&pair.asker, OWNER).await, "LEDG-023", "a longer one");
    assert_eq!(incidents().await, before + 1, "on record, once an hour");
    assert_eq!(pair.asker.entries_of("misbehaviour").await.len(), 1);

    // An older checkpoint of the honest log.
    let mut older = honest.clone();
    older.insert(CHECKPOINT_PATH.into(), early.to_string().into_bytes());
    show(&relay, older);
    assert_eq!(rule(&pair.asker, OWNER).await, "LEDG-021");

    // A checkpoint under another key; under another name; none.
    let other = SigningKey::from_seed(key.name(), &[9; 32]).expect("a key");
    let renamed = SigningKey::from_seed("zz.example/ledger", &[9; 32]).expect("a key");
    for stranger in [other, renamed] {
        show(&relay, forged(&leaves, &stranger));
        assert_eq!(rule(&pair.asker, OWNER).await, "LEDG-020");
    }

    // A leaf in the place of another; a file cut off; one that is not a checkpoint.
    let bundle = TilePath::bundle(0, newest.size()).expect("a bundle").to_string();
    let mut entries: Vec<Vec<u8>> = decode_bundle(&honest[&bundle])
        .expect("a bundle")
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    entries[1] = leaves[0].encode(1);
    let mut tampered = honest.clone();
    tampered.insert(bundle.clone(), encode_bundle(&entries).expect("short"));
    show(&relay, tampered);
    assert_eq!(rule(&pair.asker, OWNER).await, "LEDG-022");
    let mut cut = honest.clone();
    cut.get_mut(&bundle).expect("there").truncate(10);
    show(&relay, cut);
    assert_eq!(rule(&pair.asker, OWNER).await, "LEDG-019");
    let standing = pair.asker.node().state.reconciling.standing(OWNER);
    let last = standing.last.expect("kept");
    assert_eq!(last.result.as_ref().expect_err("failed").rule, "LEDG-019");

    // Nothing comes: a second call says that one runs, and the first ends in time.
    relay.lie(Lies {
        stalled_ledger: true,
        ..Lies::default()
    });
    let first = async { rule(&pair.asker, OWNER).await };
    let second = async {
        let running = || async {
            let standing = pair.asker.node().state.reconciling.standing(OWNER);
            standing.running.is_some()
        };
        wait_for("it runs", running).await;
        rule(&pair.asker, OWNER).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.as_str(), second.as_str()), ("PEER-021", "AUD-012"));

    // The partner is away.
    relay.lie(Lies::default());
    assert_eq!(rule(&pair.asker, OWNER).await, "PEER-020");
    show(&relay, honest);
    let compared = reconcile(&pair.asker, OWNER).await.expect("compared");
    assert_eq!((compared.matched, compared.unmatched), (1, 0), "{compared:?}");
}
