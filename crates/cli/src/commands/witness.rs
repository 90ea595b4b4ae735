//! `concordat witness`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use concordat_node::clock::SystemClock;
use concordat_node::witness::{self, Witness};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{Advice, Exit};
use crate::out::{Out, note};

/// Cosign the checkpoints of ledgers, as an independent witness.
///
/// Speaks C2SP tlog-witness: POST /add-checkpoint, over HTTP without TLS. Cosigns what extends the checkpoint that it
/// cosigned last, and nothing else. Prints its own key, which auditors give to `audit verify --witness`, when it is ready,
/// and runs until SIGINT or SIGTERM.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of its key and of what it cosigned last; made at the first start. Losing it is losing the memory that makes
    /// it a witness
    #[arg(long)]
    dir: PathBuf,
    /// Its name, by custom a host's with a path; it is fixed at the first start
    #[arg(long)]
    name: String,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Key of a ledger to witness, or a file that holds it; may be given again
    #[arg(long = "log", value_name = "VKEY|FILE", required = true)]
    logs: Vec<String>,
}

impl Args {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let logs = self.logs.iter().map(|log| super::audit::verifier_of(log));
        let logs = logs.collect::<Result<Vec<_>>>()?;
        for log in logs.iter().filter(|log| !log.name().contains('/')) {
            note(format!(
                "{0} is the name of a node, as its identity key has it; the ledger of a node signs as {0}/ledger",
                log.name()
            ));
        }
        let mut rng = rand::rand_core::UnwrapErr(rand::rngs::SysRng);
        let witness = Witness::open(&self.dir, &self.name, logs, &mut rng)?;
        let listener = TcpListener::bind(self.listen).await.map_err(|error| {
            Advice::error(
                format!("cannot listen on {}: {error}", self.listen),
                "choose another address, or stop what listens there",
            )
        })?;
        let (address, key) = (
            listener.local_addr().context("the listener")?,
            witness.cosigner().to_string(),
        );
        out.result(
            || json!({ "key": key, "listen": address.to_string() }),
            || format!("witnessing on http://{address} with the key\n{key}"),
        )?;
        let stop = CancellationToken::new();
        let serving = witness::serve(Arc::new(witness), Arc::new(SystemClock), listener, stop.clone());
        tokio::select! {
            () = serving => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
        Ok(Exit::Done)
    }
}
