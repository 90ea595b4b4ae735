//! `concordat client`: which of our own systems may call our node. Works on the node's folder, not over the network:
//! whoever may make keys has access to that folder anyway.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;
use concordat_node::config::Config;
use concordat_node::identity::{self, ClientFiles};
use concordat_node::{StartError, open_store};
use concordat_store::{Store, StoreError};
use jiff::Timestamp;
use serde_json::json;

use crate::connect::CONFIG;
use crate::exit::{Advice, Exit};
use crate::out::{Out, Table};

/// Say which of our own systems may call our node.
///
/// Works in the node's folder while the node is stopped.
#[derive(Subcommand)]
pub enum Command {
    /// Make a certificate for a system or person and let it call
    Add {
        /// Lower-case letters, digits, '-' and '.'
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Stop a system or person from calling, for good
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Show who may call, and who may no longer
    List {
        #[command(flatten)]
        folder: Folder,
    },
}

/// Where the node is.
#[derive(clap::Args)]
pub struct Folder {
    /// Folder of the node, with concordat.toml
    #[arg(
        long,
        value_name = "DIR",
        env = "CONCORDAT_DIR",
        hide_env_values = true,
        default_value = "."
    )]
    dir: PathBuf,
}

impl Folder {
    fn config(&self) -> Result<Config> {
        Config::load(&self.dir.join(CONFIG)).map_err(|error| {
            Advice::error(
                error.to_string(),
                "name the node's folder with --dir, or make one with `concordat init`",
            )
        })
    }
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        match self {
            Self::Add { name, folder } => {
                let files = add(&folder.config()?, &name).await?;
                let [certificate, key, ca] =
                    [&files.certificate, &files.key, &files.ca].map(|path| plain(path));
                let values = || {
                    json!({
                        "name": name,
                        "certificate": certificate,
                        "key": key,
                        "ca": ca,
                        "sha256": hex::encode(files.fingerprint),
                    })
                };
                let text = || {
                    format!(
                        "{name} may call the node. Give it these files, by a way only it can read:\n  {}\n  {}\n  {}",
                        certificate.display(),
                        key.display(),
                        ca.display()
                    )
                };
                out.result(values, text)?;
            }
            Self::Revoke { name, folder } => {
                let store = open(&folder.config()?).await?;
                let revoked = store.revoke_client(&name, now_ms()).await;
                store.close().await;
                revoked.with_context(|| format!("revoking {name}"))?;
                out.result(
                    || json!({ "revoked": name }),
                    || format!("{name} may no longer call the node"),
                )?;
            }
            Self::List { folder } => {
                let store = open(&folder.config()?).await?;
                let clients = store.clients().await;
                store.close().await;
                let mut table = Table::new(["CLIENT", "ADDED", "REVOKED", "CERTIFICATE SHA-256"]);
                for client in clients? {
                    let (added, revoked) = (time(client.created_ms), client.revoked_ms.map(time));
                    let sha256 = hex::encode(client.cert_sha256);
                    if out.json {
                        let value = || json!({ "name": client.name, "added": added, "revoked": revoked, "sha256": sha256 });
                        out.result(value, String::new)?;
                    } else {
                        table.row([client.name, added, revoked.unwrap_or_default(), sha256]);
                    }
                }
                out.text(table)?;
            }
        }
        Ok(Exit::Done)
    }
}

/// Makes the certificate of a client and lets it call.
///
/// # Errors
/// The node runs, the name is taken, or a file cannot be written.
pub async fn add(config: &Config, name: &str) -> Result<ClientFiles> {
    // First, so that nothing is written while the node runs.
    let store = open(config).await?;
    let added = async {
        let files = identity::create_client(&config.node.data_dir, name)?;
        store.add_client(name, &files.fingerprint, now_ms()).await?;
        anyhow::Ok(files)
    };
    let added = added.await;
    store.close().await;
    added
}

async fn open(config: &Config) -> Result<Store> {
    // The system's generator, as for everything that is kept.
    let rng = Box::new(rand::rand_core::UnwrapErr(rand::rngs::SysRng));
    open_store(config, rng).await.map_err(|error| match error {
        StartError::Store(StoreError::AlreadyOpen { .. }) => Advice::error(
            "the node is running and holds its database",
            "stop the node, run this command again, then start the node",
        ),
        error => anyhow::Error::new(error),
    })
}

/// Without the `.` that a relative data folder leaves in the middle.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}
