//! `concordat info`.

use anyhow::Result;
use concordat_wire::v1::{InfoRequest, LedgerWitness};

use crate::connect::Connection;
use crate::exit::Exit;
use crate::json;
use crate::out::{Out, bytes};

/// Show who our node is: agency, version, keys, engine and memory.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
}

impl Args {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let node = self.connection.open().await?;
        let info = node.node().info(InfoRequest {}).await?.into_inner();
        let text = || {
            let rows = [
                ("agency", format!("{} ({})", info.agency_name, info.agency_id)),
                ("version", info.version.clone()),
                ("engine", info.engine.clone()),
                ("identity", info.identity_key.clone()),
                ("ledger", ledger_key(&info.identity_key)),
                ("tls key", info.tls_spki_sha256.clone()),
                ("endpoint", info.peer_endpoint.clone()),
                ("profile", info.profile.clone()),
                (
                    "memory",
                    format!(
                        "{} now, {} at most",
                        bytes(info.rss_bytes),
                        bytes(info.peak_rss_bytes)
                    ),
                ),
            ];
            let witnesses = info
                .ledger_witnesses
                .iter()
                .map(|standing| ("witness", witness(standing)));
            rows.into_iter()
                .chain(witnesses)
                .map(|(name, value)| format!("{name:<10}{value}\n"))
                .collect()
        };
        out.result(|| json::info(&info), text)?;
        Ok(Exit::Done)
    }
}

fn witness(standing: &LedgerWitness) -> String {
    let LedgerWitness {
        key, url, trouble, ..
    } = standing;
    let cosigned = match standing.cosigned_size {
        0 => "nothing yet".to_owned(),
        size => format!("{size} entries at {}", standing.cosigned_at),
    };
    let trouble = match trouble.as_str() {
        "" => String::new(),
        trouble => format!("; {trouble}"),
    };
    format!("{key} at {url} has cosigned {cosigned}{trouble}")
}

/// The key that verifies the node's ledger, as auditors are given it.
pub fn ledger_key(identity: &str) -> String {
    let key = identity
        .parse()
        .ok()
        .and_then(|key| concordat_node::ledger::key_of(&key).ok());
    key.map_or_else(String::new, |key| key.to_string())
}
