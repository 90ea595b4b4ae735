//! `kill -9` after each step of an entry's way: the node's own process ends itself there, on a real disk. No entry is lost or twice, and
//! every checkpoint that anybody can have seen is a beginning of the log, on both sides.

use std::path::PathBuf;

use concordat_ledger::{
    AuditOptions, CHECKPOINT_PATH, COSIGNED_PATH, Event, Folder, Keys, SignIn, SignedCheckpoint, Text,
    TileReader, Verdict, verify,
};
use concordat_node::clock::Clock;
use concordat_node::config::Config;
use concordat_node::entropy::Entropy;
use concordat_node::ledger::{self, key_of, person};
use concordat_node::steps::Step;
use concordat_node::{Outside, open_store};
use concordat_store::Store;
use concordat_tests::{Agency, KILLED, OWNER, Pair, Run, Terms};

use crate::ledger::entries_on_disk;
use crate::recorded::all_on_disk;

const ASKER: &str = "aa-border";

fn child() -> Run {
    Run::Child(PathBuf::from(env!("CARGO_BIN_EXE_concordat-test-node")))
}

fn config(agency: &Agency) -> Config {
    Config::load(&agency.folder().join("concordat.toml")).expect("a configuration")
}

async fn store_of(agency: &Agency) -> Store {
    let store = open_store(&config(agency), Outside::default().store_entropy).await;
    store.expect("a store")
}

/// Records something on the data of a node that does not run. Its next start publishes it.
async fn record(agency: &Agency, number: usize) {
    let event = SignIn {
        by: person(&format!("entry {number}")),
        method: Text::new("a test").expect("a text"),
        role: Text::new("client").expect("a text"),
    };
    // By the clock of the node, which may record something after it.
    let (at, entropy) = (Clock::now(&*agency.clock), Entropy::system());
    let retention = config(agency).ledger.retention;
    let entry = ledger::seal(at, &entropy, retention, event).expect("an entry");
    let store = store_of(agency).await;
    store.append_entries(vec![entry]).await.expect("recorded");
    store.close().await;
}

/// A checkpoint in the published files.
fn checkpoint(agency: &Agency, file: &str) -> Option<SignedCheckpoint> {
    let note = std::fs::read(agency.folder().join("ledger").join(file)).ok()?;
    Some(open(agency, &note))
}

fn open(agency: &Agency, note: &[u8]) -> SignedCheckpoint {
    let log = key_of(&agency.identity().signing.verifier()).expect("a key");
    SignedCheckpoint::open(note, &log).expect("signed")
}

/// What readers of the files see now.
fn shown(agency: &Agency) -> impl Iterator<Item = SignedCheckpoint> {
    [CHECKPOINT_PATH, COSIGNED_PATH]
        .into_iter()
        .filter_map(|file| checkpoint(agency, file))
}

/// The sizes of the published checkpoint and of the last one that was cosigned.
fn sizes(agency: &Agency) -> [u64; 2] {
    [CHECKPOINT_PATH, COSIGNED_PATH]
        .map(|file| checkpoint(agency, file).map_or(0, |checkpoint| checkpoint.size()))
}

/// The node starts, and is killed after `step`: mostly before it serves.
async fn killed_after(agency: &mut Agency, step: Step) {
    agency.dies_after(Some(step));
    match agency.try_start().await {
        Err(error) => assert_eq!(error, KILLED, "after {}", step.name()),
        Ok(()) => agency.died().await,
    }
    agency.dies_after(None);
}

/// The log of a node that was stopped in order is its database, extends all that was `seen` of it, and has each of `recorded` once.
async fn assert_whole(agency: &Agency, seen: &[SignedCheckpoint], recorded: usize) {
    let entries = entries_on_disk(agency).await;
    let mut ours: Vec<String> = entries
        .iter()
        .filter_map(|(_, entry)| match &entry.event {
            Event::SignIn(sign_in) => sign_in.by.id.as_str().strip_prefix("entry ").map(str::to_owned),
            _ => None,
        })
        .collect();
    ours.sort_by_key(|number| number.parse::<usize>().expect("a number"));
    let expected: Vec<String> = (0..recorded).map(|number| number.to_string()).collect();
    assert_eq!(ours, expected, "each once");
    let latest = checkpoint(agency, CHECKPOINT_PATH).expect("a checkpoint");
    let folder = Folder::read_only(&agency.folder().join("ledger"));
    let options = AuditOptions {
        now: Clock::now(&*agency.clock),
        leaves: true,
    };
    let log = key_of(&agency.identity().signing.verifier()).expect("a key");
    let report = verify(&folder, &Keys::of(log), seen, &options);
    assert_eq!(report.verdict(), Verdict::Holds, "{report}");
    // What is published is what is in the database, entry by entry.
    let kept = all_on_disk(agency).await;
    assert_eq!(latest.size(), kept.len() as u64);
    let reader = TileReader::new(folder, latest.size());
    let mut leaves = reader.leaves(0);
    for entry in kept {
        let (number, leaf) = leaves.next().expect("a leaf").expect("readable");
        assert_eq!((number, leaf.draft().into_bytes()), (entry.number, entry.leaf));
    }
}

/// A node is killed after one step, and killed again in its recovery after another one, for each pair of steps; then it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_every_step_of_an_entry_and_again_after_every_other() {
    let steps = Step::ALL.into_iter().filter(|step| *step != Step::Judge);
    let asker = Agency::configured(ASKER, child(), &[]).await;
    let owner = Agency::new(OWNER).await;
    let mut pair = Pair::between(asker, owner, &Terms::default()).await;
    pair.asker.stop().await;
    let (mut seen, mut recorded) = (Vec::new(), 0);
    for (first, second) in steps
        .clone()
        .flat_map(|first| steps.clone().map(move |second| (first, second)))
    {
        for step in [first, second] {
            record(&pair.asker, recorded).await;
            recorded += 1;
            let [published, cosigned] = sizes(&pair.asker);
            killed_after(&mut pair.asker, step).await;
            let [published_now, cosigned_now] = sizes(&pair.asker);
            // A reader sees what was committed, and nothing before.
            let place = format!("{}, then {}: after {}", first.name(), second.name(), step.name());
            let committed = matches!(step, Step::Checkpoint | Step::Cosign | Step::Keep);
            assert_eq!(published_now > published, committed, "{place}");
            let has_cosigned = matches!(step, Step::Cosign | Step::Keep);
            assert_eq!(cosigned_now > cosigned, has_cosigned, "{place}");
            assert!(!has_cosigned || cosigned_now == published_now, "{place}");
            let witness = pair.owner.node().state.store.witness(ASKER).await.expect("kept");
            let witnessed = witness.theirs.map(|note| open(&pair.asker, note.as_bytes()));
            let witnessed_now = witnessed.as_ref().map_or(0, SignedCheckpoint::size);
            assert!(
                witnessed_now >= cosigned_now,
                "{place}: kept before it is cosigned"
            );
            seen.extend(shown(&pair.asker).chain(witnessed));
        }
        pair.asker.start().await;
        pair.asker.stop().await;
    }
    pair.owner.stop().await;
    assert_whole(&pair.asker, &seen, recorded).await;
    assert_whole(&pair.owner, &[], 0).await;
}

/// The partner is killed when it has kept our checkpoint and has not answered; we, after whatever step. Then both go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partner_is_killed_before_it_answers_with_its_cosignature() {
    let asker = Agency::configured(ASKER, child(), &[]).await;
    let owner = Agency::configured(OWNER, child(), &[]).await;
    let mut pair = Pair::between(asker, owner, &Terms::default()).await;
    pair.asker.stop().await;
    pair.owner.stop().await;
    let (mut ours, mut theirs, mut recorded) = (Vec::new(), Vec::new(), 0);
    for step in Step::ALL.into_iter().filter(|step| *step != Step::Judge) {
        let place = step.name();
        record(&pair.owner, recorded).await;
        pair.owner.dies_after(Some(Step::Judge));
        pair.owner.start().await;
        record(&pair.asker, recorded).await;
        recorded += 1;
        let [_, cosigned] = sizes(&pair.asker);
        if matches!(step, Step::Cosign | Step::Keep) {
            // It is not killed: the partner dies first.
            pair.asker.start().await;
            pair.owner.died().await;
            pair.asker.kill().await;
        } else {
            killed_after(&mut pair.asker, step).await;
            pair.asker.start().await;
            pair.owner.died().await;
            pair.asker.kill().await;
        }
        assert_eq!(sizes(&pair.asker)[1], cosigned, "{place}: no cosignature came");
        pair.owner.dies_after(None);
        ours.extend(shown(&pair.asker));
        theirs.extend(shown(&pair.owner));
        let store = store_of(&pair.owner).await;
        let kept = store.witness(ASKER).await.expect("kept").theirs;
        let kept = open(&pair.asker, kept.expect("judged").as_bytes());
        assert!(
            kept.size() > cosigned,
            "{place}: what it is going to cosign is kept first"
        );
        ours.push(kept);
        store.close().await;
        // Both go on, and the cosignature comes.
        pair.owner.start().await;
        pair.asker.start().await;
        concordat_tests::wait_for("the partner has cosigned", || async {
            let [published, cosigned_now] = sizes(&pair.asker);
            cosigned_now > cosigned && cosigned_now == published
        })
        .await;
        ours.extend(shown(&pair.asker));
        pair.asker.stop().await;
        pair.owner.stop().await;
    }
    assert_whole(&pair.asker, &ours, recorded).await;
    assert_whole(&pair.owner, &theirs, recorded).await;
}
