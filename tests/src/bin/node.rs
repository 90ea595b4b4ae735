//! `concordat-test-node CONFIG CLOCK [STEP]`: a node in a process of its own, to be killed by a test. Prints its addresses
//! once it serves; ends when its input does. With a step it kills itself, `kill -9`, as soon as its ledger has done that step.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its parent reads both")]

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use concordat_node::clock::ManualClock;
use concordat_node::config::Config;
use concordat_node::steps::{Step, Steps};
use concordat_node::{Node, Outside};

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(config), Some(seconds)) = (arguments.next(), arguments.next()) else {
        return Err("usage: concordat-test-node CONFIG SECONDS [STEP]".into());
    };
    let last: Option<Step> = arguments.next().map(|step| step.parse()).transpose()?;
    let outside = Outside {
        clock: Arc::new(ManualClock::new(seconds.parse()?)),
        steps: Steps::new(move |step| {
            if Some(step) == last {
                let _ =
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            }
        }),
        ..Outside::default()
    };
    let node = Node::start(Config::load(Path::new(&config))?, outside).await?;
    let insecure = node.insecure_address.ok_or("the configuration opens no API")?;
    println!("{insecure}");
    std::io::stdout().flush()?;
    // The parent keeps our input open for as long as it lives.
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    node.stop().await;
    Ok(())
}
