//! The node's configuration: one TOML file, unknown fields refused, units in the names, secrets never in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use concordat_disclosure::RelyingParty;
use concordat_ledger::Retention;
use serde::{Deserialize, Serialize};

use crate::agreement::console;

/// Everything a node is told at start. `concordat init` writes a commented file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who we are and where our data is.
    pub node: Node,
    /// The listener for other agencies' nodes.
    pub peer: Peer,
    /// The listener for our own systems.
    pub api: Api,
    /// Where secrets are read from.
    #[serde(default)]
    pub secrets: Secrets,
    /// How queries are made.
    #[serde(default)]
    pub matching: Matching,
    /// How snapshots are published and fetched.
    #[serde(default)]
    pub snapshot: Snapshot,
    /// What becomes of long work that is over.
    #[serde(default)]
    pub jobs: Jobs,
    /// The record of everything.
    #[serde(default)]
    pub ledger: Ledger,
    /// Where our officers and auditors work.
    #[serde(default)]
    pub console: Console,
    /// Processor time.
    #[serde(default)]
    pub compute: Compute,
}

/// Where our officers and auditors work: pages in a browser, TLS, sign-in with a passkey.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Address to listen on; no console without.
    pub listen: Option<SocketAddr>,
    /// The name under which browsers reach it. Passkeys belong to this name: it cannot be changed later.
    pub host: String,
    /// The port in its address, where it is not the listener's: of a proxy that hands connections on.
    pub port: Option<u16>,
    /// After how many minutes without a click somebody has to sign in again.
    pub session_minutes: u16,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            listen: None,
            host: "localhost".into(),
            port: None,
            session_minutes: 15,
        }
    }
}

impl Console {
    /// Its address, as browsers and agreements write it.
    pub fn origin(&self) -> String {
        let port = self
            .port
            .or_else(|| self.listen.map(|listen| listen.port()))
            .unwrap_or(443);
        match port {
            443 => format!("https://{}", self.host),
            port => format!("https://{}:{port}", self.host),
        }
    }
}

impl Config {
    /// The page that our officers sign on.
    ///
    /// # Errors
    /// `console.host` is no name.
    pub fn relying_party(&self) -> Result<RelyingParty, String> {
        let origin = self.console.origin();
        console(&origin).map_err(|reason| format!("console: {origin} is {reason}"))
    }
}

/// Who we are and where our data is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Short id used in agreements: lower-case letters, digits, `-` and `.`, 1 to 64 characters.
    pub agency_id: String,
    /// Full name, for people.
    pub agency_name: String,
    /// Folder of the database, segments and keys. A relative path starts at the configuration file's folder.
    pub data_dir: PathBuf,
}

/// The listener for other agencies' nodes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// `https://host:port` under which partners reach us; it goes into agreements.
    pub endpoint: String,
}

/// The listener for our own systems.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Address to listen on, mTLS with certificates from `concordat client add`.
    pub listen: SocketAddr,
    /// Host names and addresses under which our own systems reach the listener, beside its own address. At start the
    /// node makes its certificate anew if it does not stand for all of them.
    #[serde(default = "default_names")]
    pub names: Vec<String>,
    /// A second listener without TLS or authentication, for trials on one machine. Loopback addresses only.
    #[serde(default)]
    pub insecure_loopback_listen: Option<SocketAddr>,
}

impl Api {
    /// What the listener's certificate stands for: the names, and the address it is reached at.
    pub fn certificate_names(&self) -> Vec<String> {
        let mut names = self.names.clone();
        let address = reachable(self.listen.ip()).to_string();
        if !names.contains(&address) {
            names.push(address);
        }
        names
    }
}

/// Where a listener can be reached from its own machine: an unspecified address means all, so loopback too.
pub fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

fn default_names() -> Vec<String> {
    vec!["localhost".into(), "127.0.0.1".into()]
}

/// Where secrets are read from: a file (mode 0600) or an environment variable, never the configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// File with the 32-byte master key in hexadecimal; relative to `data_dir`.
    pub master_key_file: PathBuf,
    /// Environment variable with the same, used instead of the file when set here.
    pub master_key_env: Option<String>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            master_key_file: "master.key".into(),
            master_key_env: None,
        }
    }
}

/// How queries are made.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matching {
    /// How long a partner may take before its verdicts are UNKNOWN, in milliseconds.
    pub partner_deadline_ms: u32,
    /// Elements per proof in a query. Small chunks use all cores of both nodes on one flight.
    pub query_chunk_elements: u32,
    /// Elements per proof in an intersect job.
    pub job_chunk_elements: u32,
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            partner_deadline_ms: 2_000,
            query_chunk_elements: 256,
            job_chunk_elements: 1_024,
        }
    }
}

/// How snapshots are published and fetched.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshot {
    /// Seconds between looks for new agreements, epochs, snapshots and list changes.
    pub poll_interval_s: u32,
    /// Publish by ourselves when a list has changed, an epoch has begun or a snapshot ages. `false`: only on command.
    pub auto_publish: bool,
    /// Memory for sorting tags while publishing, in MiB.
    pub sort_memory_mib: u32,
    /// The largest snapshot that is fetched, in MiB. Twice as much is on disk while the next one comes.
    pub max_snapshot_mib: u32,
    /// How long a partner may take over a call that is no query, or over the next piece of a segment, in milliseconds.
    pub call_deadline_ms: u32,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            poll_interval_s: 60,
            auto_publish: true,
            sort_memory_mib: 64,
            max_snapshot_mib: 4_096,
            call_deadline_ms: 10_000,
        }
    }
}

/// What becomes of long work that is over.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// Days after which a job that has ended is deleted, with what it found.
    pub keep_days: u32,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { keep_days: 90 }
    }
}

/// The record of everything.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// How long entries are kept that no agreement says it of.
    pub retention: Retention,
    /// How often a new checkpoint is signed at most, in milliseconds.
    pub publish_interval_ms: u32,
    /// Serve the log's files read-only over HTTP (C2SP tlog-tiles) at this address. None: auditors get the folder.
    pub listen: Option<SocketAddr>,
    /// Independent witnesses that are asked to cosign our checkpoints, beside the partners.
    pub witness: Vec<LedgerWitness>,
}

/// An independent witness: a server that speaks C2SP tlog-witness, for example `concordat witness`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerWitness {
    /// `http[s]://HOST[:PORT][/PATH]` below which `add-checkpoint` is served.
    pub url: String,
    /// The key that verifies its cosignatures, `name+id+base64`.
    pub key: String,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            retention: Retention::ThreeYears,
            publish_interval_ms: 1_000,
            listen: None,
            witness: Vec::new(),
        }
    }
}

/// Processor time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// Threads for group arithmetic. 0 means one per core.
    pub threads: usize,
    /// Chunks that may wait for a thread; beyond it callers are told to come back.
    pub queue_chunks: usize,
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            threads: 0,
            queue_chunks: 256,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file is not what we expect; the message names line and field.
    #[error("{path}: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// TOML's word.
        message: String,
    },
    /// A value is out of range.
    #[error("{field}: {reason}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
}

impl Config {
    /// Reads and checks a configuration file; relative paths are taken from its folder.
    ///
    /// # Errors
    /// Unreadable, malformed, or a value out of range.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut config = Self::parse(&text).map_err(|error| match error {
            ConfigError::Parse { message, .. } => ConfigError::Parse {
                path: path.to_owned(),
                message,
            },
            other => other,
        })?;
        if let Some(folder) = path.parent() {
            // Without the `.` in the middle that the sample has.
            config.node.data_dir = folder.join(&config.node.data_dir).components().collect();
        }
        Ok(config)
    }

    /// Reads and checks a configuration's text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: PathBuf::new(),
            message: error.to_string(),
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let value = |field, reason: &str| {
            Err(ConfigError::Value {
                field,
                reason: reason.into(),
            })
        };
        if !is_agency_id(&self.node.agency_id) {
            return value(
                "node.agency_id",
                "1 to 64 lower-case letters, digits, '-' or '.', starting with a letter or digit",
            );
        }
        if self.node.agency_name.trim().is_empty() || self.node.agency_name.len() > 200 {
            return value("node.agency_name", "1 to 200 characters");
        }
        if !self.peer.endpoint.starts_with("https://") {
            return value("peer.endpoint", "must start with https://");
        }
        if self
            .api
            .insecure_loopback_listen
            .is_some_and(|address| !address.ip().is_loopback())
        {
            return value(
                "api.insecure_loopback_listen",
                "an unauthenticated listener is only allowed on a loopback address",
            );
        }
        let chunk = 16..=concordat_wire::MAX_CHUNK_ELEMENTS;
        if !chunk.contains(&self.matching.query_chunk_elements) {
            return value("matching.query_chunk_elements", "16 to 16384");
        }
        if !chunk.contains(&self.matching.job_chunk_elements) {
            return value("matching.job_chunk_elements", "16 to 16384");
        }
        if !(1..=600_000).contains(&self.matching.partner_deadline_ms) {
            return value("matching.partner_deadline_ms", "1 to 600000");
        }
        if !(1..=86_400).contains(&self.snapshot.poll_interval_s) {
            return value("snapshot.poll_interval_s", "1 to 86400");
        }
        if !(8..=65_536).contains(&self.snapshot.sort_memory_mib) {
            return value("snapshot.sort_memory_mib", "8 to 65536");
        }
        if !(1..=1_048_576).contains(&self.snapshot.max_snapshot_mib) {
            return value("snapshot.max_snapshot_mib", "1 to 1048576");
        }
        if !(1..=600_000).contains(&self.snapshot.call_deadline_ms) {
            return value("snapshot.call_deadline_ms", "1 to 600000");
        }
        if !(1..=36_500).contains(&self.jobs.keep_days) {
            return value("jobs.keep_days", "1 to 36500");
        }
        if !(10..=600_000).contains(&self.ledger.publish_interval_ms) {
            return value("ledger.publish_interval_ms", "10 to 600000");
        }
        crate::witnesses::Witnesses::of(&self.ledger.witness)?;
        self.relying_party().map_err(|reason| ConfigError::Value {
            field: "console.host",
            reason,
        })?;
        if !(1..=1_440).contains(&self.console.session_minutes) {
            return value("console.session_minutes", "1 to 1440");
        }
        if !(1..=65_536).contains(&self.compute.queue_chunks) {
            return value("compute.queue_chunks", "1 to 65536");
        }
        Ok(())
    }
}

/// Whether a text can name an agency, an agreement, an offer or a list.
pub fn is_agency_id(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=64).contains(&text.len())
        && text.as_bytes().first().is_some_and(alphanumeric)
        && text.bytes().all(|b| alphanumeric(&b) || b == b'-' || b == b'.')
}

/// The commented configuration that `concordat init` writes; it parses to the defaults, but for the console's address.
pub fn sample(
    agency_id: &str,
    agency_name: &str,
    peer_listen: &str,
    endpoint: &str,
    api_listen: &str,
    console_listen: Option<&str>,
) -> String {
    let text = |value: &str| toml::Value::String(value.to_owned()).to_string();
    format!(
        r#"# Configuration of a Concordat node. Unknown fields are refused. Secrets are never written here.

[node]
agency_id = {agency_id}
agency_name = {agency_name}
# Database, segments and keys; relative to this file.
data_dir = "."

# Other agencies' nodes connect here: TLS 1.3, both sides pinned by the agreement they signed.
[peer]
listen = {peer_listen}
# How partners reach this node; it goes into agreements.
endpoint = {endpoint}

# Our own systems connect here, with certificates from `concordat client add`.
[api]
listen = {api_listen}
# Other names and addresses under which they reach it; its certificate is made anew at start when these change.
names = ["localhost", "127.0.0.1"]
# A listener without any authentication, for trials on one machine. Loopback only.
# insecure_loopback_listen = "127.0.0.1:7445"

[secrets]
# 32 bytes in hexadecimal, mode 0600, relative to data_dir ...
master_key_file = "master.key"
# ... or the name of an environment variable that holds them.
# master_key_env = "CONCORDAT_MASTER_KEY"

[matching]
# A partner that takes longer is answered for with UNKNOWN.
partner_deadline_ms = 2000
# Elements per proof: small for queries (all cores work on one flight), larger for list against list.
query_chunk_elements = 256
job_chunk_elements = 1024

[snapshot]
poll_interval_s = 60
auto_publish = true
sort_memory_mib = 64
# The largest snapshot that is fetched from a partner: 16 bytes for each tag, padding included.
max_snapshot_mib = 4096
# A partner that takes longer over a manifest, or over the next piece of a segment, is tried again at the next poll.
call_deadline_ms = 10000

[jobs]
# Days after which a job that has ended is deleted, with the matches it found.
keep_days = 90

# Every query and every change is recorded, in the folder `ledger` beside the database.
[ledger]
# How long what an entry says is kept, unless an agreement says otherwise (log_retention): one_year or three_years.
retention = "three_years"
# A new checkpoint is signed at most so often.
publish_interval_ms = 1000
# Serve the log's files read-only over HTTP, for partners' and auditors' own tools.
# listen = "127.0.0.1:7446"
# An independent witness that is asked to cosign our checkpoints, as `concordat witness` is; may be given again.
# [[ledger.witness]]
# url = "http://witness.example:7447"
# key = "witness.example/1+1a2b3c4d+BA…"

# Pages in a browser, where our officers and auditors work. Without an address there is no console.
[console]
{console_listen}
# The name under which browsers reach it. It goes into agreements and passkeys belong to it: choose it once.
host = "localhost"
# The port browsers see, where a proxy hands their connections on.
# port = 443
# Who has not done anything for so long signs in again.
session_minutes = 15

[compute]
# 0: one thread per core.
threads = 0
# Chunks that may wait; beyond it callers get RESOURCE_EXHAUSTED and a delay.
queue_chunks = 256
"#,
        agency_id = text(agency_id),
        agency_name = text(agency_name),
        peer_listen = text(peer_listen),
        endpoint = text(endpoint),
        api_listen = text(api_listen),
        console_listen = match console_listen {
            Some(address) => format!("listen = {}", text(address)),
            None => "# listen = \"127.0.0.1:7448\"".to_owned(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_text() -> String {
        sample(
            "nl-police",
            "Politie \"Oost\"",
            "0.0.0.0:7443",
            "https://match.example:7443",
            "127.0.0.1:7444",
            None,
        )
    }

    #[test]
    fn the_sample_parses_to_the_defaults() {
        let config = Config::parse(&sample_text()).expect("sample");
        assert_eq!(config.node.agency_name, "Politie \"Oost\"");
        assert_eq!(
            format!("{:?}", config.matching),
            format!("{:?}", Matching::default())
        );
        assert_eq!(
            format!("{:?}", config.snapshot),
            format!("{:?}", Snapshot::default())
        );
        assert_eq!(format!("{:?}", config.jobs), format!("{:?}", Jobs::default()));
        assert_eq!(format!("{:?}", config.ledger), format!("{:?}", Ledger::default()));
        assert_eq!(
            format!("{:?}", config.console),
            format!("{:?}", Console::default())
        );
        assert_eq!(
            format!("{:?}", config.compute),
            format!("{:?}", Compute::default())
        );
        assert_eq!(
            format!("{:?}", config.secrets),
            format!("{:?}", Secrets::default())
        );
    }

    #[test]
    fn the_listeners_own_address_is_among_its_names() {
        let names = |listen: &str| {
            let text = sample_text().replace("127.0.0.1:7444", listen);
            Config::parse(&text).expect("sample").api.certificate_names()
        };
        assert_eq!(names("127.0.0.1:7444"), ["localhost", "127.0.0.1"]);
        assert_eq!(names("0.0.0.0:7444"), ["localhost", "127.0.0.1"]);
        assert_eq!(names("[::]:7444"), ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(names("192.0.2.10:7444"), ["localhost", "127.0.0.1", "192.0.2.10"]);
    }

    #[test]
    fn the_consoles_address_is_what_browsers_see() {
        let origin = |from: &str, to: &str| {
            let text = sample_text();
            assert!(text.contains(from), "the sample holds {from}");
            Config::parse(&text.replace(from, to)).expect(to).console.origin()
        };
        let line = "# listen = \"127.0.0.1:7448\"";
        let listening = "listen = \"0.0.0.0:7448\"";
        assert_eq!(origin(line, line), "https://localhost");
        assert_eq!(origin(line, listening), "https://localhost:7448");
        assert_eq!(
            origin(line, &format!("{listening}\nport = 443")),
            "https://localhost"
        );
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        let change = |from: &str, to: &str| {
            let text = sample_text();
            assert!(text.contains(from), "the sample holds {from}");
            Config::parse(&text.replace(from, to)).expect_err(to).to_string()
        };
        assert!(change("\"nl-police\"", "\"NL Police\"").starts_with("node.agency_id"));
        assert!(change("https://match", "http://match").starts_with("peer.endpoint"));
        assert!(change("query_chunk_elements = 256", "query_chunk_elements = 8").contains("query_chunk"));
        assert!(change("threads = 0", "threads = 0\nthreds = 1").contains("threds"));
        assert!(
            change(
                "# insecure_loopback_listen = \"127.0.0.1:7445\"",
                "insecure_loopback_listen = \"0.0.0.0:7445\""
            )
            .starts_with("api.insecure_loopback_listen")
        );
        assert!(change("poll_interval_s = 60", "poll_interval_s = 0").contains("poll_interval_s"));
        assert!(change("max_snapshot_mib = 4096", "max_snapshot_mib = 0").contains("max_snapshot_mib"));
        assert!(change("call_deadline_ms = 10000", "call_deadline_ms = 0").contains("call_deadline_ms"));
        assert!(change("keep_days = 90", "keep_days = 0").starts_with("jobs.keep_days"));
        assert!(change("\"three_years\"", "\"ten_years\"").contains("retention"));
        assert!(
            change("publish_interval_ms = 1000", "publish_interval_ms = 0")
                .starts_with("ledger.publish_interval_ms")
        );
        assert!(change("host = \"localhost\"", "host = \"192.0.2.1\"").starts_with("console.host"));
        assert!(change("session_minutes = 15", "session_minutes = 0").starts_with("console.session_minutes"));
    }
}
