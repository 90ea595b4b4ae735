//! `concordat client`: which of our own systems may call our node. Asks the node, if it runs; else works in its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use concordat_ledger::{ClientChange, ClientChanged};
use concordat_node::config::{self, Config};
use concordat_node::identity::{self, ClientFiles};
use concordat_node::{StartError, ledger, open_store, upkeep};
use concordat_store::{Store, StoreError};
use concordat_wire::v1::{AddClientRequest, Client, ListClientsRequest, RevokeClientRequest};
use jiff::Timestamp;
use serde_json::json;

use crate::connect::{CONFIG, Connection, Node, unusable};
use crate::exit::{Advice, Exit};
use crate::out::{Out, Table, time};

/// Say which of our own systems may call our node.
///
/// Asks the node, as its client `admin`. Where the node does not run, works in its folder; that needs the master key.
#[derive(Subcommand)]
pub enum Command {
    /// Make a certificate for a system or person and let it call
    ///
    /// Whoever has the certificate and its key may do everything that this program does except manage clients: import
    /// and delete lists, sign agreements, ask about anybody. The key is made on this machine and never leaves it.
    Add {
        /// Lower-case letters, digits, '-' and '.'
        name: String,
        /// It may audit (`audit list`, `open`, `prove`, `report`) and read the history of cases, and do nothing else
        #[arg(long)]
        auditor: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Stop a system or person from calling, for good
    ///
    /// Holds from its next call on. A call under way is not broken off.
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show who may call, and who may no longer
    List {
        #[command(flatten)]
        connection: Connection,
    },
}

impl Command {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        match self {
            Self::Add {
                name,
                auditor,
                connection,
            } => {
                let files = match way(&connection).await? {
                    Way::Node(node) => add_through(&node, &connection, &name, auditor).await?,
                    Way::Folder(config) => add_in_folder(&config, &name, auditor).await?,
                };
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
                let may = if auditor {
                    "audit, and read the history of cases"
                } else {
                    "call the node"
                };
                let text = || {
                    format!(
                        "{name} may {may}. Give it these files, by a way only it can read:\n  {}\n  {}\n  {}",
                        certificate.display(),
                        key.display(),
                        ca.display()
                    )
                };
                out.result(values, text)?;
            }
            Self::Revoke { name, connection } => {
                match way(&connection).await? {
                    Way::Node(node) => {
                        let request = RevokeClientRequest { name: name.clone() };
                        node.node().revoke_client(request).await?;
                    }
                    Way::Folder(config) => {
                        revoke_in_folder(&config, &name).await?;
                    }
                }
                out.result(
                    || json!({ "revoked": name }),
                    || format!("{name} may no longer call the node"),
                )?;
            }
            Self::List { connection } => {
                let clients = match way(&connection).await? {
                    Way::Node(node) => {
                        let request = ListClientsRequest {};
                        node.node().list_clients(request).await?.into_inner().clients
                    }
                    Way::Folder(config) => {
                        let store = open(&config).await?;
                        let clients = store.clients().await;
                        store.close().await;
                        clients?.iter().map(concordat_node::client_to_proto).collect()
                    }
                };
                list(&clients, out)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn list(clients: &[Client], out: Out) -> Result<()> {
    let mut table = Table::new(["CLIENT", "MAY", "ADDED", "REVOKED", "CERTIFICATE SHA-256"]);
    for client in clients {
        let (added, revoked) = (time(&client.added_at), time(&client.revoked_at));
        let sha256 = hex::encode(&client.cert_sha256);
        if out.json {
            let revoked = (!revoked.is_empty()).then_some(revoked);
            let value = || json!({ "name": client.name, "auditor": client.auditor, "added": added, "revoked": revoked, "sha256": sha256 });
            out.result(value, String::new)?;
        } else {
            let may = if client.auditor { "audit" } else { "ask" };
            table.row([client.name.clone(), may.into(), added, revoked, sha256]);
        }
    }
    Ok(out.text(table)?)
}

/// Who does the work.
enum Way {
    /// The running node.
    Node(Node),
    /// We, in the folder of a node that does not run.
    Folder(Box<Config>),
}

async fn way(connection: &Connection) -> Result<Way> {
    let refused = match connection.open().await {
        Ok(node) => return Ok(Way::Node(node)),
        Err(error) if connection.names_an_address() => return Err(error),
        Err(error) => error,
    };
    let config = Config::load(&connection.dir().join(CONFIG)).map_err(|error| {
        unusable(
            error,
            "name the node's folder with --dir, or make one with `concordat init`",
        )
    })?;
    // A node that runs and does not let us in: its folder is no way around it.
    let listener = (
        config::reachable(config.api.listen.ip()),
        config.api.listen.port(),
    );
    let running = std::net::TcpStream::connect(listener).is_ok();
    if running {
        Err(refused)
    } else {
        Ok(Way::Folder(Box::new(config)))
    }
}

/// Makes the key of a client here, has the running node sign its certificate, and puts both into `DIR/clients`.
async fn add_through(node: &Node, connection: &Connection, name: &str, auditor: bool) -> Result<ClientFiles> {
    let folder = connection.dir().join("clients");
    let request = identity::client_request(&folder, name).map_err(|error| taken(error, name))?;
    let asked = AddClientRequest {
        name: name.to_owned(),
        request_pem: request.pem().to_owned(),
        auditor,
    };
    let answer = node.node().add_client(asked).await?.into_inner();
    let ca = connection.files().ca;
    Ok(request.granted(&answer.certificate_pem, ca)?)
}

/// Makes the certificate of a client in the folder of a node that does not run, and lets it call.
///
/// # Errors
/// The node runs, the name is taken, or a file cannot be written.
pub async fn add_in_folder(config: &Config, name: &str, auditor: bool) -> Result<ClientFiles> {
    // First, so that nothing is written while the node runs.
    let store = open(config).await?;
    let added = async {
        let clients = store.clients().await?;
        if clients
            .iter()
            .any(|client| client.name == name && client.revoked_ms.is_none())
        {
            bail!("{name} has a certificate already; choose another name");
        }
        let files =
            identity::create_client(&config.node.data_dir, name).map_err(|error| taken(error, name))?;
        let entry = upkeep::entry_of_stopped_node(
            config,
            ClientChanged {
                by: upkeep::local_operator(),
                client: ledger::text(name),
                certificate: ledger::digest(files.fingerprint),
                auditor,
                change: ClientChange::Added,
            },
        )?;
        let store = store.recording(entry);
        match auditor {
            true => store.add_auditor(name, &files.fingerprint, now_ms()).await?,
            false => store.add_client(name, &files.fingerprint, now_ms()).await?,
        }
        Ok(files)
    };
    let added = added.await;
    store.close().await;
    added
}

/// Stops a client of a node that does not run, with the entry that says so.
async fn revoke_in_folder(config: &Config, name: &str) -> Result<()> {
    let store = open(config).await?;
    let revoked = async {
        let clients = store.clients().await?;
        let mut may_call = clients.iter().filter(|client| client.revoked_ms.is_none());
        let client = may_call.find(|client| client.name == name);
        let client = client.ok_or(StoreError::NotFound { what: "client" })?;
        let entry = upkeep::entry_of_stopped_node(
            config,
            ClientChanged {
                by: upkeep::local_operator(),
                client: ledger::text(name),
                certificate: ledger::digest(client.cert_sha256),
                auditor: client.auditor,
                change: ClientChange::Revoked,
            },
        )?;
        store.recording(entry).revoke_client(name, now_ms()).await?;
        anyhow::Ok(())
    };
    let revoked = revoked.await;
    store.close().await;
    revoked.with_context(|| format!("revoking {name}"))
}

fn taken(error: identity::IdentityError, name: &str) -> anyhow::Error {
    match error {
        identity::IdentityError::File { path, source }
            if source.kind() == std::io::ErrorKind::AlreadyExists =>
        {
            Advice::error(
                format!(
                    "{name} has a certificate already ({}); choose another name",
                    path.display()
                ),
                "if the old one was revoked, its name is free once its files are moved away",
            )
        }
        error => anyhow::Error::new(error),
    }
}

async fn open(config: &Config) -> Result<Store> {
    // The system's generator, as for everything that is kept.
    let rng = Box::new(rand::rand_core::UnwrapErr(rand::rngs::SysRng));
    open_store(config, rng).await.map_err(|error| match error {
        StartError::Store(StoreError::AlreadyOpen { .. }) => Advice::error(
            "the node is starting or stopping: it holds its database",
            "run this command again in a moment",
        ),
        StartError::MasterKey(_) => Advice::error(
            error.to_string(),
            "start the node, then run this command again: the running node does the work. Without it the master key \
             is needed here, as secrets.master_key_file or master_key_env of the configuration say",
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
