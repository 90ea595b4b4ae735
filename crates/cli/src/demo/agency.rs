//! One agency of the demo: a folder, a process, and an open connection to it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use concordat_wire::v1::{InfoRequest, InfoResponse};
use tokio::process::{Child, Command};

use crate::commands::init::{self, Setup};
use crate::connect::{ADMIN, CONFIG, Files, Node, reachable};

/// One of the two sides.
pub struct Agency {
    /// Short id, and name of its folder.
    pub id: &'static str,
    /// Full name.
    pub name: &'static str,
    /// Its folder.
    pub dir: PathBuf,
    /// What it says about itself.
    pub info: InfoResponse,
    /// The connection of its own systems.
    pub node: Node,
    process: Child,
}

/// Starts of a node before we give up; another program may take a port between our look and the node's.
const STARTS: usize = 4;
/// How long a node may take to answer, in steps of [`PAUSE`].
const WAITS: usize = 600;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a node may take to stop in order.
const STOP: Duration = Duration::from_secs(15);
/// Lines of a node's log that explain why it did not start.
const LOG_LINES: usize = 5;

/// Makes keys, certificates, configuration and database of an agency.
///
/// # Errors
/// The folder cannot be written.
pub async fn init(root: &Path, id: &'static str, name: &'static str) -> Result<PathBuf> {
    let dir = root.join(id);
    init::create(&dir, &setup(id, name)?)
        .await
        .with_context(|| format!("making the node of {name}"))?;
    Ok(dir)
}

fn setup(id: &str, name: &str) -> Result<Setup> {
    let [peer, api, console] = free_addresses().context("looking for free ports")?;
    Ok(Setup {
        agency_id: id.into(),
        agency_name: name.into(),
        peer_listen: peer,
        endpoint: format!("https://{peer}"),
        api_listen: api,
        console_listen: Some(console),
    })
}

/// Addresses on loopback that nobody listens on now.
fn free_addresses<const N: usize>() -> std::io::Result<[SocketAddr; N]> {
    // Held together, so that they differ.
    let listeners: Vec<TcpListener> = (0..N)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<_>>()?;
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

impl Agency {
    /// Starts the node of a folder that [`init()`] made, and waits until it answers. Dropping the agency kills its node;
    /// with `outlive` it can be [released](Agency::release).
    ///
    /// # Errors
    /// It does not start; the end of its log is in the message.
    pub async fn start(id: &'static str, name: &'static str, dir: PathBuf, outlive: bool) -> Result<Self> {
        let mut last = None;
        for _ in 0..STARTS {
            match Self::try_start(id, name, &dir, outlive).await {
                Ok(agency) => return Ok(agency),
                Err(error) => last = Some(error),
            }
            // The keys stay, the ports change.
            let text = init::config_text(&setup(id, name)?);
            std::fs::write(dir.join(CONFIG), text).context("writing the configuration again")?;
        }
        last.map_or_else(|| bail!("the node of {name} was never started"), Err)
    }

    async fn try_start(id: &'static str, name: &'static str, dir: &Path, outlive: bool) -> Result<Self> {
        let config = concordat_node::config::Config::load(&dir.join(CONFIG))?;
        let mut process = spawn(dir, outlive).with_context(|| format!("starting the node of {name}"))?;
        let files = Files::of(dir, ADMIN);
        for _ in 0..WAITS {
            if let Some(status) = process.try_wait()? {
                bail!("the node of {name} ended with {status}:\n{}", log_end(dir));
            }
            if let Ok(node) = Node::tls(&reachable(config.api.listen), &files).await
                && let Ok(info) = node.node().info(InfoRequest {}).await
            {
                return Ok(Self {
                    id,
                    name,
                    dir: dir.to_owned(),
                    info: info.into_inner(),
                    node,
                    process,
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the node of {name} did not answer:\n{}", log_end(dir))
    }

    /// Leaves the node running after us; its process id.
    pub fn release(self) -> Option<u32> {
        let pid = self.process.id();
        // Dropping it would kill the node.
        std::mem::forget(self.process);
        pid
    }

    /// Stops the node in order; a node that does not stop is killed.
    pub async fn stop(mut self) {
        drop(self.process.stdin.take());
        if tokio::time::timeout(STOP, self.process.wait()).await.is_err() {
            // It is killed when `process` is dropped; here we only see it gone.
            let _ = self.process.kill().await;
        }
    }
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("node.log")
}

fn spawn(dir: &Path, outlive: bool) -> std::io::Result<Child> {
    let log = std::fs::File::create(log_file(dir))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("node")
        .arg("--config")
        .arg(dir.join(CONFIG))
        .stdout(Stdio::null())
        .stderr(log);
    // The terminal's Ctrl-C is for us; we decide what becomes of the nodes.
    command.process_group(0).kill_on_drop(true);
    if outlive {
        command.stdin(Stdio::null());
    } else {
        // Should we be killed without a chance to act, our end of the pipe closes all the same.
        command.arg("--stop-with-stdin").stdin(Stdio::piped());
    }
    command.spawn()
}

fn log_end(dir: &Path) -> String {
    let text = std::fs::read_to_string(log_file(dir)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_addresses_differ_and_are_on_loopback() {
        let addresses: [SocketAddr; 8] = free_addresses().expect("ports");
        assert!(
            addresses
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() > 0)
        );
        let distinct: std::collections::BTreeSet<_> = addresses.iter().collect();
        assert_eq!(distinct.len(), 8);
    }
}
