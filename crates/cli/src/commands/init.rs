//! `concordat init`.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use concordat_node::agreement::Endpoint;
use concordat_node::config::{self, Config};
use concordat_node::identity;
use serde_json::json;

use super::client;
use crate::connect::{ADMIN, CONFIG, url};
use crate::exit::{Advice, Exit};
use crate::out::Out;

/// Make keys, certificates and a configuration for a new node.
///
/// Nothing is ever overwritten. Keep the folder: without master.key the database cannot be read, without identity.key
/// every agreement has to be signed again.
#[derive(clap::Args)]
pub struct Args {
    /// Short id used in agreements: lower-case letters, digits, '-' and '.'
    #[arg(long, value_name = "ID")]
    agency_id: String,
    /// Full name, for people
    #[arg(long, value_name = "TEXT")]
    agency_name: String,
    /// Folder to make
    #[arg(
        long,
        value_name = "DIR",
        env = "CONCORDAT_DIR",
        hide_env_values = true,
        default_value = "."
    )]
    dir: PathBuf,
    /// Where the node listens for other agencies' nodes
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:7443")]
    peer_listen: SocketAddr,
    /// How other agencies reach it; goes into agreements [default: this machine only]
    #[arg(long, value_name = "https://HOST:PORT")]
    endpoint: Option<Endpoint>,
    /// Where the node listens for our own systems
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7444")]
    api_listen: SocketAddr,
    /// Where the console for officers and auditors listens [default: no console]
    #[arg(long, value_name = "ADDRESS:PORT")]
    console_listen: Option<SocketAddr>,
}

/// A node to be.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Short id.
    pub agency_id: String,
    /// Full name.
    pub agency_name: String,
    /// Listener for partners.
    pub peer_listen: SocketAddr,
    /// How partners reach it.
    pub endpoint: String,
    /// Listener for our own systems.
    pub api_listen: SocketAddr,
    /// Listener for our officers' browsers.
    pub console_listen: Option<SocketAddr>,
}

impl Args {
    /// Runs the command.
    pub async fn run(self, out: Out) -> Result<Exit> {
        let local = self.endpoint.is_none();
        let endpoint = match &self.endpoint {
            Some(endpoint) => url(endpoint),
            None => url(&crate::connect::reachable(self.peer_listen)),
        };
        let setup = Setup {
            agency_id: self.agency_id,
            agency_name: self.agency_name,
            peer_listen: self.peer_listen,
            endpoint,
            api_listen: self.api_listen,
            console_listen: self.console_listen,
        };
        create(&self.dir, &setup).await?;
        let dir = std::path::absolute(&self.dir)?;
        let values = || {
            json!({
                "agency_id": setup.agency_id,
                "dir": dir,
                "config": dir.join(CONFIG),
                "client": ADMIN,
                "peer_listen": setup.peer_listen,
                "api_listen": setup.api_listen,
                "console_listen": setup.console_listen,
                "endpoint": setup.endpoint,
            })
        };
        out.result(values, || next_steps(&dir, &setup, local))?;
        Ok(Exit::Done)
    }
}

/// Makes the folder of a node: keys, certificates, configuration, database, and the client `admin`.
///
/// # Errors
/// A value is out of range, or something is there already, or a file cannot be written.
pub async fn create(dir: &Path, setup: &Setup) -> Result<()> {
    let text = config_text(setup);
    let mut config = Config::parse(&text).context("this configuration cannot be used")?;
    let path = dir.join(CONFIG);
    if path.exists() {
        return Err(Advice::error(
            format!("{} exists already", path.display()),
            "choose another folder with --dir; a node's keys are never overwritten",
        ));
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| dir.display().to_string())?;
    // The system's generator, as for everything that is kept.
    let mut rng = rand::rand_core::UnwrapErr(rand::rngs::SysRng);
    identity::create(dir, &setup.agency_id, &config.api.certificate_names(), &mut rng)?;
    config.node.data_dir = dir.to_owned();
    client::add_in_folder(&config, ADMIN, false).await?;
    // Last: a folder with a configuration is complete.
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| path.display().to_string())
}

/// The commented configuration.
pub fn config_text(setup: &Setup) -> String {
    config::sample(
        &setup.agency_id,
        &setup.agency_name,
        &setup.peer_listen.to_string(),
        &setup.endpoint,
        &setup.api_listen.to_string(),
        setup.console_listen.map(|address| address.to_string()).as_deref(),
    )
}

fn next_steps(dir: &Path, setup: &Setup, local: bool) -> String {
    let dir = dir.display();
    let mut text = format!(
        "A node for {} is ready in {dir}\n\
         \n\
         \x20 {CONFIG:<18} its configuration: read it once\n\
         \x20 identity.key       signs agreements; keep a copy in a safe\n\
         \x20 master.key         opens the database; keep a copy in a safe\n\
         \x20 disclosure.key     opens what partners release to us; keep a copy in a safe\n\
         \x20 tls/, clients/     certificates; clients/{ADMIN}.* may call the node\n\
         \n\
         Next:\n\
         \x20 concordat node --config {dir}/{CONFIG}\n\
         \x20 concordat info --dir {dir}\n\
         \x20 concordat list import FILE --list NAME --format FORMAT --dir {dir}\n\
         \x20 concordat agreement party --dir {dir}    # give this block to your partner\n",
        setup.agency_name
    );
    if local {
        text += &format!(
            "\nPartners on other machines cannot reach {}: set peer.endpoint in {CONFIG} before you sign an agreement.\n",
            setup.endpoint
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_endpoints_that_read_back() {
        for (host, text) in [
            ("127.0.0.1", "https://127.0.0.1:1"),
            ("::1", "https://[::1]:1"),
            ("a.b", "https://a.b:1"),
        ] {
            let endpoint = Endpoint {
                host: host.into(),
                port: 1,
            };
            assert_eq!(url(&endpoint), text);
            assert_eq!(text.parse(), Ok(endpoint));
        }
    }
}
