//! `concordat-test-steps CONFIG STEP`: what a node's sequencer does with one entry, on the data of a node that does not run, with the
//! same calls; and `kill -9` of itself after the named step.

#![allow(clippy::print_stderr, reason = "its parent reads it")]

use std::path::Path;
use std::process::ExitCode;

use concordat_ledger::{Folder, Leaf, Log, Person, SignIn, Text};
use concordat_node::clock::{Clock, SystemClock};
use concordat_node::config::Config;
use concordat_node::entropy::Entropy;
use concordat_node::identity::Identity;
use concordat_node::{Outside, ledger, open_store};
use concordat_note::SigningKey;

/// The partner of these tests, who cosigns.
const PARTNER: (&str, [u8; 32]) = ("w.example/steps", [77; 32]);

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Whoever comes to the end was not killed, and has failed.
    if let Err(error) = run().await {
        eprintln!("{error}");
    }
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(config), Some(last)) = (arguments.next(), arguments.next()) else {
        return Err("usage: concordat-test-steps CONFIG STEP".into());
    };
    let die_after = |step: &str| {
        if step == last {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    };
    let config = Config::load(Path::new(&config))?;
    let store = open_store(&config, Outside::default().store_entropy).await?;
    let identity = Identity::load(&config.node.data_dir)?.signing;
    let key = identity.renamed(&ledger::origin(identity.name()))?;

    let retention = ledger::retention(config.ledger.retention);
    let event = SignIn {
        by: Person {
            id: Text::new(format!("killed after {last}"))?,
            unit: None,
        },
        method: Text::new("a test")?,
        role: Text::new("client")?,
    };
    let entry = ledger::seal(SystemClock.now(), &Entropy::system(), &retention, event)?;
    store.append_entries(vec![entry]).await?;
    die_after("append");

    let mut log = Log::open(
        Folder::create(&config.node.data_dir.join("ledger"))?,
        key.verifier(),
    )?;
    log.tidy()?;
    let drafts = store.ledger_leaves(log.size(), 4_096).await?;
    let leaf = |draft: &Vec<u8>| Leaf::parse_draft(std::str::from_utf8(draft).ok()?);
    let leaves: Option<Vec<Leaf>> = drafts.iter().map(leaf).collect();
    let batch = log.prepare(&leaves.ok_or("a leaf that cannot be read")?)?;
    die_after("sequence");
    log.write(&batch)?;
    die_after("tile");
    let checkpoint = batch.sign(&key)?;
    die_after("sign");
    log.publish(batch, checkpoint.clone())?;
    die_after("checkpoint");

    let partner = SigningKey::from_seed(PARTNER.0, &PARTNER.1)?;
    let mut cosigned = checkpoint;
    cosigned.cosign(&partner, 1_795_000_000)?;
    log.cosigned(&cosigned, &[partner.verifier().cosigner()])?;
    die_after("cosign");
    store.keep_ours(PARTNER.0, &cosigned.to_string()).await?;
    die_after("keep");
    Ok(())
}
