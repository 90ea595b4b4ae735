//! Where officers, auditors and administrators work: pages that the node writes and a browser shows.
//!
//! ```text
//! browser ──TLS──► listen ─► guard (headers, origin) ─► Signed<role> (session, registry) ─► pages ─► node::desk
//! ```
//! Nothing is shown or done without a [`guard::Signed`]: it holds the officer, whose role was checked for this very request. Every
//! page works without a script, but for signing: a passkey can only be asked by one.

mod fields;
mod form;
mod guard;
mod layout;
mod listen;
mod pages;
mod routes;
mod session;
mod setup;
mod sign;
#[cfg(test)]
mod tests;
mod texts;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use concordat_disclosure::RelyingParty;
use concordat_node::Node;
use concordat_node::desk::officers;
use concordat_node::state::State;
use concordat_wire::Fault;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use routes::router;
use session::Sessions;
use setup::Setups;
use sign::Challenges;

/// What all pages share.
pub struct Desk {
    pub(crate) state: Arc<State>,
    pub(crate) console: RelyingParty,
    pub(crate) sessions: Sessions,
    pub(crate) challenges: Challenges,
    pub(crate) setups: Setups,
}

/// A running console.
pub struct Console {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the first two administrators register, while there are no officers: valid once, for an hour.
    pub setup: Option<String>,
    task: JoinHandle<()>,
}

/// Why the console does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("the console cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("the console's TLS: {0}")]
    Tls(#[from] concordat_node::tls::TlsError),
    /// The node cannot say who its officers are.
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl Desk {
    /// A console of this node, without a listener.
    ///
    /// # Errors
    /// The database failed.
    pub async fn new(state: Arc<State>) -> Result<Arc<Self>, Fault> {
        let console = officers::relying_party(&state).await?;
        let minutes = i64::from(state.config.console.session_minutes);
        let desk = Arc::new(Self {
            sessions: Sessions::new(minutes * 60),
            challenges: Challenges::default(),
            setups: Setups::default(),
            console,
            state,
        });
        let ours: Weak<Self> = Arc::downgrade(&desk);
        // Where there are two of one node, as in tests, the first has the word.
        let _ = desk.state.desk.console.set(ours);
        Ok(desk)
    }

    /// The console's address in a browser.
    pub(crate) fn origin(&self) -> &str {
        self.console.origins.first().map_or("", |origin| origin.as_str())
    }
}

impl Console {
    /// Starts the console beside a node, if the configuration has one; it runs until the node stops.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(node: &Node) -> Result<Option<Self>, StartError> {
        let state = &node.state;
        let Some(address) = state.config.console.listen else {
            return Ok(None);
        };
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| StartError::Listen { address, source })?;
        let address = listener.local_addr().unwrap_or(address);
        let tls = concordat_node::tls::console_server(&state.identity.api)?;
        let desk = Desk::new(Arc::clone(state)).await?;
        let setup = match officers::registry(state).await {
            Ok(_) => None,
            Err(fault) if fault.rule == "DESK-001" => {
                Some(format!("{}/setup/{}", desk.origin(), desk.setups.open(&desk)?))
            }
            // A database that does not answer is no agency without officers.
            Err(fault) => return Err(fault.into()),
        };
        let task = tokio::spawn(listen::serve(listener, tls, router(desk), state.stop.clone()));
        Ok(Some(Self { address, setup, task }))
    }

    /// Waits until it has stopped; it stops with the node.
    pub async fn stopped(self) {
        let _ = self.task.await;
    }
}
