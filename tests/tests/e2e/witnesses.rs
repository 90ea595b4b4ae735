//! Independent witnesses that a node asks by itself: their cosignatures, and what they cannot do to it.

use std::net::SocketAddr;
use std::sync::Arc;

use concordat_ledger::{Keys, SignedCheckpoint, Verdict};
use concordat_node::clock::ManualClock;
use concordat_node::http::{self, Answer};
use concordat_node::ledger::key_of;
use concordat_node::witness::{self, Witness};
use concordat_note::{CosignerKey, SigningKey};
use concordat_tests::{Agency, OWNER, Pair, START, Terms, document, free_port, item, person, wait_for};
use concordat_wire::v1::{InfoRequest, LedgerWitness, MatchItem};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::hostile_requester::listed;

/// A witness on loopback, as `concordat witness` serves it; it stops when this is dropped.
struct Server {
    key: CosignerKey,
    address: SocketAddr,
    _stop: DropGuard,
}

async fn serve(dir: &std::path::Path, port: u16, logs: Vec<concordat_note::VerifierKey>) -> Server {
    let name = format!("w.example/{}", dir.file_name().expect("a name").to_string_lossy());
    let witness = Witness::open(dir, &name, logs, &mut rand::rng()).expect("a witness");
    let key = witness.cosigner();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let clock = Arc::new(ManualClock::new(START));
    tokio::spawn(witness::serve(Arc::new(witness), clock, listener, stop.clone()));
    Server {
        key,
        address,
        _stop: stop.drop_guard(),
    }
}

/// A server that gives every request this answer.
async fn answers(answer: impl Fn() -> Answer + Clone + Send + 'static) -> (SocketAddr, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let handler = move |_| std::future::ready(answer());
    tokio::spawn(http::serve(listener, 64 << 10, handler, stop.clone()));
    (address, stop.drop_guard())
}

fn setting(witnesses: &[(SocketAddr, &CosignerKey)]) -> String {
    let one = |(address, key): &(SocketAddr, &CosignerKey)| {
        format!("[[ledger.witness]]\nurl = \"http://{address}\"\nkey = \"{key}\"\n")
    };
    witnesses.iter().map(one).collect()
}

/// The asker starts again with these witnesses.
async fn with_witnesses(pair: &mut Pair, witnesses: &[(SocketAddr, &CosignerKey)]) {
    pair.asker.stop().await;
    pair.asker.configure(&[("witness", &setting(witnesses))]);
    pair.asker.start().await;
}

async fn ask(pair: &Pair) {
    let passport =
        |number: &str| -> MatchItem { item(number, person(vec![], vec![], vec![document(number, "NLD")])) };
    pair.asker.ask(vec![passport("ZX7741209")]).await;
}

async fn standings(agency: &Agency) -> Vec<LedgerWitness> {
    let info = agency.nodes().info(InfoRequest {}).await.expect("info");
    info.into_inner().ledger_witnesses
}

async fn cosigned_all(agency: &Agency, which: usize) {
    let size = agency.published().await.size();
    wait_for("the witness has cosigned", || async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let standing = standings(agency).await.swap_remove(which);
        standing.cosigned_size >= size && standing.trouble.is_empty()
    })
    .await;
}

async fn in_trouble(agency: &Agency, which: usize, word: &str) {
    wait_for("it is said what is wrong with the witness", || async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        standings(agency).await.swap_remove(which).trouble.contains(word)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn independent_witnesses_cosign_beside_the_partner() {
    let mut pair = Pair::with(Terms::default(), listed()).await;
    let log = key_of(&pair.asker.identity().signing.verifier()).expect("a key");
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let one = serve(dirs[0].path(), 0, vec![log.clone()]).await;
    let two = serve(dirs[1].path(), 0, vec![log.clone()]).await;
    with_witnesses(&mut pair, &[(one.address, &one.key), (two.address, &two.key)]).await;
    ask(&pair).await;
    pair.asker.cosigned_by(OWNER).await;
    cosigned_all(&pair.asker, 0).await;
    cosigned_all(&pair.asker, 1).await;
    let standing = standings(&pair.asker).await.swap_remove(0);
    assert_eq!(standing.key, one.key.to_string());
    assert!(standing.cosigned_at.starts_with("20"), "{standing:?}");

    // All three on one checkpoint: neither takes the other's place.
    let partner = pair.owner.identity().signing.verifier().cosigner();
    let mut keys = Keys::of(log.clone());
    keys.witnesses = vec![partner, one.key.clone(), two.key.clone()];
    keys.quorum = 3;
    let report = pair.asker.audit(&keys, &[]);
    assert_eq!(report.verdict(), Verdict::Holds, "{report:?}");

    // The log grows, the node starts anew, and they go on from what they cosigned.
    with_witnesses(&mut pair, &[(one.address, &one.key), (two.address, &two.key)]).await;
    ask(&pair).await;
    cosigned_all(&pair.asker, 1).await;
    // What two witnesses saw is the log as it is.
    let note = std::fs::read(pair.asker.folder().join("ledger/checkpoint.cosigned")).expect("cosigned");
    let cosigned = SignedCheckpoint::open(&note, &log).expect("signed");
    assert!(cosigned.cosigned_by(&two.key).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_refuses_is_down_or_silent_stops_nothing() {
    let mut pair = Pair::with(Terms::default(), listed()).await;
    let log = key_of(&pair.asker.identity().signing.verifier()).expect("a key");
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let refusing = serve(dirs[0].path(), 0, vec![]).await;
    let down_port = free_port().await;
    // It had been there before, so that its key is known.
    let down_key = serve(dirs[1].path(), 0, vec![log.clone()]).await.key;
    // One that takes the connection and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_address = silent.local_addr().expect("an address");
    let silent_key = SigningKey::from_seed("w.example/silent", &[4; 32]).expect("a key");
    let silent_key = silent_key.verifier().cosigner();
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let down_address = SocketAddr::from(([127, 0, 0, 1], down_port));
    with_witnesses(
        &mut pair,
        &[(refusing.address, &refusing.key), (down_address, &down_key)],
    )
    .await;
    in_trouble(&pair.asker, 0, "does not know this ledger").await;
    in_trouble(&pair.asker, 1, "not reached").await;
    ask(&pair).await;
    pair.asker.cosigned_by(OWNER).await;

    // It comes up again, and is found.
    let up = serve(dirs[1].path(), down_port, vec![log]).await;
    assert_eq!(up.key, down_key);
    cosigned_all(&pair.asker, 1).await;

    // While one is waited for, everything is recorded and published.
    with_witnesses(&mut pair, &[(silent_address, &silent_key)]).await;
    let before = pair.asker.published().await.size();
    ask(&pair).await;
    assert!(pair.asker.published().await.size() > before);
    pair.asker.stop().await;
    holding.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_lies_is_not_believed() {
    let mut pair = Pair::with(Terms::default(), listed()).await;
    let text = |status: u16, body: String| Answer::text(status.try_into().expect("a status"), body);
    let key = |seed| SigningKey::from_seed("w.example/liar", &[seed; 32]).expect("a key");
    let keys = [5, 6, 7].map(|seed| key(seed).verifier().cosigner());
    // More entries than there are; a cosignature of another tree; nonsense.
    let (larger, _a) = answers(move || text(409, "1000000\n".into())).await;
    let (other, _b) = answers(move || {
        let own = SigningKey::from_seed("aa-border/ledger", &[8; 32]).expect("a key");
        let mut signed = SignedCheckpoint::sign(1, concordat_ledger::Hash([1; 32]), &own).expect("signed");
        let line = signed.cosign(&key(6), 1_795_000_000).expect("cosigned");
        text(200, format!("{line}\n"))
    })
    .await;
    let (nonsense, _c) = answers(move || text(200, "yes".into())).await;
    with_witnesses(
        &mut pair,
        &[(larger, &keys[0]), (other, &keys[1]), (nonsense, &keys[2])],
    )
    .await;
    in_trouble(&pair.asker, 0, "1000000 entries").await;
    in_trouble(&pair.asker, 1, "no cosignature").await;
    in_trouble(&pair.asker, 2, "no cosignature").await;
    assert!(
        pair.asker.node().state.ledger.halted().is_none(),
        "nobody signed that"
    );
    ask(&pair).await;
    pair.asker.cosigned_by(OWNER).await;
    assert!(
        standings(&pair.asker)
            .await
            .iter()
            .all(|standing| standing.cosigned_size == 0)
    );
    let report = pair
        .asker
        .audit(&Keys::of(pair.asker.node().state.ledger.verifier()), &[]);
    assert_eq!(report.verdict(), Verdict::Holds, "{report:?}");
}
