//! `concordat node`.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use concordat_console::Console;
use concordat_node::identity::IdentityError;
use concordat_node::{Node, Outside, StartError};
use concordat_store::StoreError;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::connect::ConfigFile;
use crate::exit::{Advice, Exit};

/// Run an agency's node until SIGINT or SIGTERM.
///
/// Log lines go to stderr; CONCORDAT_LOG chooses how many, for example "info" or "concordat_node=debug". No line ever
/// holds an identifier.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Log lines as JSON objects
    #[arg(long)]
    log_json: bool,
    /// Stop when stdin is closed: the node then ends with the process that started it, however that one ends
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

impl Args {
    /// Runs the command.
    pub async fn run(self) -> Result<Exit> {
        self.log()?;
        let config = self.config.load()?;
        // From here on a signal ends the node in order, even while it starts.
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "concordat");
        tracing::info!(
            engine = concordat_lanes::engine(),
            profile = concordat_identifiers::PROFILE,
            "arithmetic"
        );
        let node = Node::start(config, Outside::default())
            .await
            .map_err(start_failed)?;
        tracing::info!(
            agency = node.state.config.node.agency_id,
            key = %node.state.identity.signing.verifier(),
            tls_spki_sha256 = hex::encode(node.state.peer_pin),
            "identity"
        );
        tracing::info!(peers = %node.peer_address, api = %node.api_address, "listening");
        if let Some(address) = node.ledger_address {
            tracing::info!(url = %format_args!("http://{address}"), "serving the ledger's files");
        }
        if let Some(address) = node.insecure_address {
            tracing::warn!(%address, "listening without authentication");
        }
        let console = Console::start(&node).await?;
        if let Some(console) = &console {
            tracing::info!(address = %console.address, origin = node.state.config.console.origin(), "console");
            if let Some(setup) = &console.setup {
                // Once, on the terminal of whoever starts the node: the first two administrators register here.
                tracing::warn!(
                    setup,
                    "nobody can sign in yet: two administrators open this address within an hour"
                );
            }
        }
        let why = tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "asked to stop",
            () = stdin_closed(), if self.stop_with_stdin => "the process that started this node has ended",
        };
        tracing::info!(why, "stopping");
        node.stop().await;
        if let Some(console) = console {
            console.stopped().await;
        }
        tracing::info!("stopped");
        Ok(Exit::Done)
    }

    fn log(&self) -> Result<()> {
        let filter = match std::env::var("CONCORDAT_LOG") {
            Ok(text) => EnvFilter::try_new(text).context("CONCORDAT_LOG")?,
            Err(_) => EnvFilter::new("info"),
        };
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        if self.log_json {
            lines.json().init();
        } else {
            lines.with_ansi(std::io::stderr().is_terminal()).init();
        }
        Ok(())
    }
}

fn start_failed(error: StartError) -> anyhow::Error {
    let hint = match &error {
        StartError::Listen { .. } => {
            "choose another address in the configuration, or stop what listens there"
        }
        StartError::Store(StoreError::AlreadyOpen { .. }) => "this node is running already",
        // The message says what to do.
        StartError::Identity(IdentityError::Shared { .. }) => return anyhow::Error::new(error),
        StartError::Identity(_) | StartError::Tls(_) | StartError::MasterKey(_) => {
            "restore the file from its copy; without one, make a new node with `concordat init`"
        }
        _ => return anyhow::Error::new(error),
    };
    Advice::error(error.to_string(), hint)
}

/// Reads stdin to its end on a thread of its own: one that waits there must not hold the runtime back when it stops.
async fn stdin_closed() {
    let (closed, wait) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        // Whatever ends the reading, nobody is at the other end any more.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(closed);
    });
    let _ = wait.await;
}
