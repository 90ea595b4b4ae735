//! The way to our own node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use concordat_node::agreement::Endpoint;
use concordat_node::config::{self, Config, ConfigError};
use concordat_node::tls::{self, Credentials};
use concordat_note::VerifierKey;
use concordat_wire::v1::InfoRequest;
use concordat_wire::v1::agreement_service_client::AgreementServiceClient;
use concordat_wire::v1::audit_service_client::AuditServiceClient;
use concordat_wire::v1::disclosure_service_client::DisclosureServiceClient;
use concordat_wire::v1::matching_service_client::MatchingServiceClient;
use concordat_wire::v1::node_service_client::NodeServiceClient;
use concordat_wire::v1::snapshot_service_client::SnapshotServiceClient;
use concordat_wire::v1::watchlist_service_client::WatchlistServiceClient;
use concordat_wire::{API_MESSAGE_LIMIT, FaultView};
use hyper_util::rt::TokioIo;
use tonic::Code;
use tonic::transport::{Channel, Endpoint as Transport, Uri};

use crate::exit::Advice;

/// Name of the configuration in a node's folder.
pub const CONFIG: &str = "concordat.toml";
/// The client that `init` makes.
pub const ADMIN: &str = concordat_node::identity::ADMIN;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach the agency's own node. Without options: the node whose folder we are in, as its `admin`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection to our own node")]
pub struct Connection {
    /// Folder of the node, with concordat.toml and clients/
    #[arg(
        long,
        value_name = "DIR",
        env = "CONCORDAT_DIR",
        hide_env_values = true,
        default_value = "."
    )]
    dir: PathBuf,
    /// Where the node listens for its own systems [default: from concordat.toml]
    #[arg(
        long,
        value_name = "https://HOST:PORT",
        env = "CONCORDAT_CONNECT",
        hide_env_values = true
    )]
    connect: Option<Endpoint>,
    /// Certificate of the node's own authority [default: DIR/tls/ca.crt]
    #[arg(long, value_name = "FILE", env = "CONCORDAT_CA", hide_env_values = true)]
    ca: Option<PathBuf>,
    /// Our client certificate [default: DIR/clients/admin.crt]
    #[arg(long, value_name = "FILE", env = "CONCORDAT_CERT", hide_env_values = true)]
    cert: Option<PathBuf>,
    /// Its private key [default: DIR/clients/admin.key]
    #[arg(long, value_name = "FILE", env = "CONCORDAT_KEY", hide_env_values = true)]
    key: Option<PathBuf>,
    /// Use the listener without TLS that a node may have for trials, instead of all of the above
    #[arg(
        long,
        value_name = "http://HOST:PORT",
        env = "CONCORDAT_INSECURE_LOOPBACK",
        hide_env_values = true,
        value_parser = loopback_url,
    )]
    insecure_loopback: Option<SocketAddr>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// The options do not lead to a node, or it cannot be reached, or it does not let us in.
    pub async fn open(&self) -> Result<Node> {
        match self.insecure_loopback {
            Some(address) => Node::plain(address).await,
            None => {
                let endpoint = self.endpoint()?;
                let node = Node::tls(&endpoint, &self.files()).await?;
                node.admitted(&endpoint).await?;
                Ok(node)
            }
        }
    }

    /// Folder of the node.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether an address was named, instead of the node of a folder.
    pub fn names_an_address(&self) -> bool {
        self.connect.is_some() || self.insecure_loopback.is_some()
    }

    /// The files that let us in.
    pub fn files(&self) -> Files {
        let default =
            |given: &Option<PathBuf>, name: String| given.clone().unwrap_or_else(|| self.dir.join(name));
        Files {
            ca: default(&self.ca, "tls/ca.crt".into()),
            certificate: default(&self.cert, format!("clients/{ADMIN}.crt")),
            key: default(&self.key, format!("clients/{ADMIN}.key")),
        }
    }

    fn endpoint(&self) -> Result<Endpoint> {
        match &self.connect {
            Some(endpoint) => Ok(endpoint.clone()),
            None => {
                let path = self.dir.join(CONFIG);
                let config = Config::load(&path).map_err(|error| {
                    unusable(
                        error,
                        "name its folder with --dir or its address with --connect, or make one with `concordat init`",
                    )
                    .context("cannot find our node")
                })?;
                Ok(reachable(config.api.listen))
            }
        }
    }
}

/// The configuration of a node on this machine.
#[derive(Args)]
pub struct ConfigFile {
    /// The node's configuration
    #[arg(
        long,
        value_name = "FILE",
        env = "CONCORDAT_CONFIG",
        hide_env_values = true,
        default_value = "concordat.toml"
    )]
    config: PathBuf,
}

impl ConfigFile {
    /// Reads it.
    ///
    /// # Errors
    /// It is not there, or is not a configuration.
    pub fn load(&self) -> Result<Config> {
        let advice = "say with --config where it is, or make one with `concordat init`";
        Config::load(&self.config).map_err(|error| unusable(error, advice))
    }
}

/// A configuration that cannot be used; `where_to_look` helps only where there is none.
pub fn unusable(error: ConfigError, where_to_look: &str) -> anyhow::Error {
    match &error {
        ConfigError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Advice::error(error.to_string(), where_to_look)
        }
        _ => anyhow::Error::new(error),
    }
}

/// The files that open the node's listener.
#[derive(Clone, Debug)]
pub struct Files {
    /// The node's own authority.
    pub ca: PathBuf,
    /// Our certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Files {
    /// The files of the client `name` in a node's folder.
    pub fn of(dir: &Path, name: &str) -> Self {
        Self {
            ca: dir.join("tls/ca.crt"),
            certificate: dir.join(format!("clients/{name}.crt")),
            key: dir.join(format!("clients/{name}.key")),
        }
    }
}

/// A connection to a node. Cheap to clone; calls share it.
#[derive(Clone, Debug)]
pub struct Node {
    channel: Channel,
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $client:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> $client<Channel> {
            $client::new(self.channel.clone())
                .max_decoding_message_size(API_MESSAGE_LIMIT)
                .max_encoding_message_size(API_MESSAGE_LIMIT)
        }
    )*};
}

impl Node {
    services! {
        /// `MatchingService`.
        matching: MatchingServiceClient;
        /// `WatchlistService`.
        watchlists: WatchlistServiceClient;
        /// `AgreementService`.
        agreements: AgreementServiceClient;
        /// `SnapshotService`.
        snapshots: SnapshotServiceClient;
        /// `DisclosureService`.
        disclosures: DisclosureServiceClient;
        /// `AuditService`.
        audit: AuditServiceClient;
        /// `DisclosureService`.
        disclosure: DisclosureServiceClient;
        /// `NodeService`.
        node: NodeServiceClient;
    }

    /// Connects with TLS 1.3 and a client certificate.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn tls(endpoint: &Endpoint, files: &Files) -> Result<Self> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| {
                Advice::error(
                    format!("cannot read {}: {error}", path.display()),
                    "name the folder of our node with --dir, or the files with --ca, --cert and --key",
                )
            })
        };
        // The audit commands take keys of two sorts.
        if is_note_key(&files.key.to_string_lossy()) {
            return Err(not_a_client_key("what was given"));
        }
        let (ca, certificate, key) = (read(&files.ca)?, read(&files.certificate)?, read(&files.key)?);
        if std::str::from_utf8(&key).is_ok_and(is_note_key) {
            return Err(not_a_client_key(&files.key.display().to_string()));
        }
        let credentials = Credentials::from_pem(&certificate, &key)
            .with_context(|| format!("{} and {}", files.certificate.display(), files.key.display()))?;
        let config = tls::api_client(&credentials, &ca).context("setting up TLS")?;
        let (host, port) = (Arc::<str>::from(endpoint.host.as_str()), endpoint.port);
        let connector = tower::service_fn({
            let host = Arc::clone(&host);
            move |_: Uri| {
                let (config, host) = (Arc::clone(&config), Arc::clone(&host));
                async move { tls::connect(config, &host, port).await.map(TokioIo::new) }
            }
        });
        // The connector does TLS and knows the address; tonic only sees a name.
        let transport = tuned(Transport::from_static("http://node.invalid"));
        let channel = transport
            .connect_with_connector(connector)
            .await
            .map_err(|error| match tls::is_of_another_authority(&error) {
                true => of_another_authority(&url(endpoint), &files.ca),
                false => unreachable(&url(endpoint), &error),
            })?;
        Ok(Self { channel })
    }

    /// Asks for the first answer. In TLS 1.3 a client believes itself connected before the server has judged its
    /// certificate: one that is refused shows as a connection that closes before it answers anything.
    async fn admitted(&self, endpoint: &Endpoint) -> Result<()> {
        let Err(status) = self.node().info(InfoRequest {}).await else {
            return Ok(());
        };
        let closed = matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown);
        if closed && FaultView::from(&status).rule.is_empty() {
            return Err(Advice::error(
                format!("our node at {} refused our certificate", url(endpoint)),
                "is it on the node's list (`concordat client list`), and of this node? --dir or --cert and --key name another",
            ));
        }
        Err(status.into())
    }

    /// Connects without TLS, on this machine only.
    async fn plain(address: SocketAddr) -> Result<Self> {
        let url = format!("http://{address}");
        let transport = tuned(Transport::from_shared(url.clone()).context("the node's address")?);
        let channel = transport
            .connect()
            .await
            .map_err(|error| unreachable(&url, &error))?;
        Ok(Self { channel })
    }
}

fn tuned(transport: Transport) -> Transport {
    transport
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
}

fn unreachable(url: &str, error: &tonic::transport::Error) -> anyhow::Error {
    // The cause is what a person can act on; tonic's own words around it say nothing more.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Advice::error(
        format!("cannot reach our node at {url}: {cause}"),
        "is `concordat node` running?",
    )
}

fn of_another_authority(url: &str, ca: &Path) -> anyhow::Error {
    Advice::error(
        format!(
            "the certificate of the node at {url} is not signed by the authority in {}",
            ca.display()
        ),
        "the authority of a node is tls/ca.crt in its own folder: name that file with --ca, or the folder with --dir",
    )
}

/// Whether this is a key that verifies ledgers and agreements: name+id+base64.
fn is_note_key(text: &str) -> bool {
    text.trim().parse::<VerifierKey>().is_ok()
}

fn not_a_client_key(what: &str) -> anyhow::Error {
    Advice::error(
        format!(
            "--key names the private key of our client certificate, and {what} is a key that verifies a ledger or an agreement"
        ),
        "leave --key out, or name a file such as clients/admin.key; the commands that verify files take a ledger's key as --log-key",
    )
}

/// As a person writes it: an IPv6 address stands in brackets.
pub fn url(endpoint: &Endpoint) -> String {
    let host = if endpoint.host.contains(':') {
        format!("[{}]", endpoint.host)
    } else {
        endpoint.host.clone()
    };
    format!("https://{host}:{}", endpoint.port)
}

/// Where a listener can be reached from this machine.
pub fn reachable(listen: SocketAddr) -> Endpoint {
    Endpoint {
        host: config::reachable(listen.ip()).to_string(),
        port: listen.port(),
    }
}

/// `http://ADDRESS:PORT` of this machine and of no other.
fn loopback_url(text: &str) -> Result<SocketAddr, String> {
    let rest = text
        .strip_prefix("http://")
        .ok_or("must start with http://")?
        .trim_end_matches('/');
    let rest = rest.replacen("localhost", "127.0.0.1", 1);
    let address: SocketAddr = rest
        .parse()
        .map_err(|_| "not an address and a port, such as http://127.0.0.1:7445")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("a connection without TLS is only allowed on this machine".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_connections_stay_on_this_machine() {
        assert!(loopback_url("http://127.0.0.1:7445").is_ok());
        assert!(loopback_url("http://localhost:7445/").is_ok());
        assert!(loopback_url("http://[::1]:7445").is_ok());
        for bad in [
            "http://10.0.0.1:7445",
            "https://127.0.0.1:7445",
            "http://example.org:80",
            "http://0.0.0.0:1",
        ] {
            assert!(loopback_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_new_configuration_is_advice_only_where_there_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(CONFIG);
        let advice = || {
            let error = Config::load(&path).expect_err("unusable");
            unusable(error, "make one").is::<Advice>()
        };
        assert!(advice(), "there is none");
        std::fs::write(&path, "[node]\nthreds = 1\n").expect("written");
        assert!(!advice(), "there is one, with a mistake in it");
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_loopback() {
        let host = |listen: &str| reachable(listen.parse().expect("an address")).host;
        assert_eq!(host("0.0.0.0:1"), "127.0.0.1");
        assert_eq!(host("[::]:1"), "::1");
        assert_eq!(host("192.0.2.7:1"), "192.0.2.7");
    }
}
