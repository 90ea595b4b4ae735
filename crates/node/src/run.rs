//! Starting and stopping a node: a checklist.

use std::net::SocketAddr;
use std::sync::Arc;

use concordat_store::{Store, StoreError};
use concordat_wire::v1::agreement_service_server::AgreementServiceServer;
use concordat_wire::v1::audit_service_server::AuditServiceServer;
use concordat_wire::v1::disclosure_service_server::DisclosureServiceServer;
use concordat_wire::v1::matching_service_server::MatchingServiceServer;
use concordat_wire::v1::node_service_server::NodeServiceServer;
use concordat_wire::v1::peer_service_server::PeerServiceServer;
use concordat_wire::v1::snapshot_service_server::SnapshotServiceServer;
use concordat_wire::v1::watchlist_service_server::WatchlistServiceServer;
use concordat_wire::{API_MESSAGE_LIMIT, Fault, PEER_MESSAGE_LIMIT};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;

use crate::admin_services::{self, Agreements, Info, Snapshots, no_auditor};
use crate::audit_service::Audit;
use crate::book::Book;
use crate::charge::Charger;
use crate::clock::{Clock, SystemClock};
use crate::compute::Compute;
use crate::config::Config;
use crate::disclosure_service::Disclosures;
use crate::entropy::Entropy;
use crate::fairness::Fairness;
use crate::identity::{Identity, IdentityError};
use crate::listen::{self, Caller, Connection, Revoked};
use crate::matching_service::Matching;
use crate::peer_service::Peer;
use crate::state::State;
use crate::steps::Steps;
use crate::tls::{self, Pins, TlsError};
use crate::watchlist_service::Watchlists;
use crate::witnesses::Witnesses;
use crate::{
    access, asked, cosigning, desk, import, jobs, key_record, ledger, log_files, maintenance, master_key,
    upkeep,
};

/// What comes from outside, so that a test can hold it.
pub struct Outside {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Entropy,
    /// Randomness of the database's nonces.
    pub store_entropy: Box<dyn rand::CryptoRng + Send>,
    /// What happens after each step of an entry's way.
    pub steps: Steps,
}

impl Default for Outside {
    /// The system's clock and generator.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Entropy::system(),
            store_entropy: Box::new(rand::rand_core::UnwrapErr(rand::rngs::SysRng)),
            steps: Steps::default(),
        }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Keys or certificates.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The master key cannot be read.
    #[error("the master key: {0}")]
    MasterKey(String),
    /// The database.
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    /// The folder for sorting large lists.
    #[error("cannot make the folder for sorting lists, `sorting` in the data folder: {0}")]
    Sorting(#[source] std::io::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// Threads.
    #[error("cannot start the compute threads: {0}")]
    Compute(#[source] std::io::Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::OpenError),
    /// The ledger's log cannot be brought up to date.
    #[error(transparent)]
    Publish(#[from] crate::ledger::PublishError),
    /// What is in the database cannot be used.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The master key's file is not there, and a rotation's is.
    #[error(
        "{} is missing, but {} is there: a rotation may have stopped half way. Give it the name of the first, or restore that from its copy",
        file.display(), new.display()
    )]
    MasterKeyBeside {
        /// The configured file.
        file: std::path::PathBuf,
        /// The one beside it.
        new: std::path::PathBuf,
    },
    /// The configuration.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
}

/// A running node.
pub struct Node {
    /// Shared by its services.
    pub state: Arc<State>,
    /// Where partners connect.
    pub peer_address: SocketAddr,
    /// Where our own systems connect.
    pub api_address: SocketAddr,
    /// The listener without authentication, if there is one.
    pub insecure_address: Option<SocketAddr>,
    /// Where the ledger's public files are served, if they are.
    pub ledger_address: Option<SocketAddr>,
    tasks: JoinSet<()>,
}

/// Opens a node's database with its master key.
///
/// # Errors
/// The key cannot be read or is wrong, another process has the database open, or it is damaged.
pub async fn open_store(config: &Config, rng: Box<dyn rand::CryptoRng + Send>) -> Result<Store, StartError> {
    let (store, _) = master_key::open_database(config, rng).await?;
    Ok(store)
}

impl Node {
    /// Starts everything; it runs until [`Node::stop`].
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(config: Config, outside: Outside) -> Result<Self, StartError> {
        let mut identity = Identity::load(&config.node.data_dir)?;
        let mut names = config.api.certificate_names();
        if config.console.listen.is_some() && !names.contains(&config.console.host) {
            names.push(config.console.host.clone());
        }
        if identity.cover(&config.node.data_dir, &names)? {
            tracing::info!(?names, "made the listener's certificate for its new names");
        }
        let peer_pin = identity.peer.pin()?;
        let (store, master) = master_key::open_database(&config, outside.store_entropy).await?;
        // Only now: whoever has the database open has the folder to himself.
        import::prepare_sorting(&config).map_err(StartError::Sorting)?;
        let folder = config.node.data_dir.join("ledger");
        let ledger = ledger::open(&folder, &identity.signing, &store, outside.steps).await?;
        let compute =
            Compute::new(config.compute.threads, config.compute.queue_chunks).map_err(StartError::Compute)?;
        let pins = Pins::default();
        let book = Book::new(config.node.agency_id.clone(), identity.peer.clone(), pins.clone());
        book.reload(&store).await?;

        let peer_tls = tls::peer_server(&identity.peer, pins.clone())?;
        let api_tls = tls::api_server(&identity.api, &identity.client_ca)?;
        let peer_listener = bind(config.peer.listen).await?;
        let api_listener = bind(config.api.listen).await?;
        let insecure = match config.api.insecure_loopback_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let files = match config.ledger.listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let address = |listener: &TcpListener, wanted: SocketAddr| listener.local_addr().unwrap_or(wanted);
        let peer_address = address(&peer_listener, config.peer.listen);
        let api_address = address(&api_listener, config.api.listen);
        let insecure_address = insecure.as_ref().map(|listener| address(listener, api_address));

        let ledger_address = files.as_ref().map(|listener| address(listener, api_address));

        let stop = CancellationToken::new();
        let state = Arc::new(State {
            charger: Charger::new(&store, &outside.clock),
            peer_pin,
            identity,
            store,
            ledger: Arc::new(ledger),
            witnesses: Witnesses::of(&config.ledger.witness)?,
            clock: outside.clock,
            entropy: outside.entropy,
            fairness: Fairness::new(compute.threads() + config.compute.queue_chunks),
            compute,
            book,
            own_keys: Default::default(),
            served: Default::default(),
            held: Default::default(),
            jobs: Default::default(),
            revoked: Revoked::default(),
            reconciling: Default::default(),
            access: Default::default(),
            erasing: Default::default(),
            desk: Default::default(),
            troubles: Default::default(),
            recording: TaskTracker::new(),
            stop: stop.clone(),
            config,
        });

        // What the process before this one asked and did not live to record.
        asked::close_left(&state, true).await?;
        state.ledger.publish(&state.store).await?;
        cosigning::check_at_start(&state).await?;
        upkeep::record_configuration(&state).await?;
        key_record::record(&state, master).await?;
        desk::console::check_at_start(&state).await;

        let mut tasks = JoinSet::new();
        let identify_peer = {
            let state = Arc::clone(&state);
            move |shown| {
                let (state, pins) = (Arc::clone(&state), pins.clone());
                async move { access::identify_partner(&state, &pins, shown).await }
            }
        };
        let peers = listen::accept_tls(peer_listener, peer_tls, identify_peer, stop.clone());
        tasks.spawn(serve_peers(Arc::clone(&state), peers));
        let clients = {
            let state = Arc::clone(&state);
            let identify = move |shown| {
                let state = Arc::clone(&state);
                async move { access::identify_client(&state, shown).await }
            };
            listen::accept_tls(api_listener, api_tls, identify, stop.clone())
        };
        tasks.spawn(serve_api(Arc::clone(&state), clients));
        if let Some(listener) = insecure {
            tracing::warn!(
                "the listener without authentication is open: whoever can run a program here can ask"
            );
            tasks.spawn(serve_api(
                Arc::clone(&state),
                listen::accept_plain(listener, stop.clone()),
            ));
        }
        if let Some(listener) = files {
            tasks.spawn(log_files::serve(
                listener,
                state.ledger.folder().to_owned(),
                stop.clone(),
            ));
        }
        jobs::resume_all(&state).await?;
        tasks.spawn(ledger::run(Arc::clone(&state)));
        tasks.spawn(cosigning::run(Arc::clone(&state)));
        tasks.spawn(desk::deliver::run(Arc::clone(&state)));
        tasks.spawn(desk::upkeep::run(Arc::clone(&state)));
        tasks.spawn(maintenance::end_keys(Arc::clone(&state)));
        tasks.spawn(maintenance::run(Arc::clone(&state)));
        Ok(Self {
            state,
            peer_address,
            api_address,
            insecure_address,
            ledger_address,
            tasks,
        })
    }

    /// Lets what is running end, then closes the database.
    pub async fn stop(mut self) {
        self.state.stop.cancel();
        let drain = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(std::time::Duration::from_secs(10), drain)
            .await
            .is_err()
        {
            tracing::warn!("some calls did not end in time");
            self.tasks.abort_all();
        }
        self.state.recording.close();
        let recorded = self.state.recording.wait();
        if tokio::time::timeout(std::time::Duration::from_secs(10), recorded)
            .await
            .is_err()
        {
            tracing::error!("what was refused could not be recorded in time");
        }
        self.state.record_left_out(true).await;
        self.state.store.close().await;
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

/// Streams one connection may have open, and how much of each is buffered.
fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(256)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(std::time::Duration::from_secs(10)))
        .tcp_nodelay(true)
}

async fn serve_peers(state: Arc<State>, connections: mpsc::Receiver<std::io::Result<Connection>>) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<PeerServiceServer<Peer>>().await;
    let peer = PeerServiceServer::new(Peer(Arc::clone(&state)))
        .max_decoding_message_size(PEER_MESSAGE_LIMIT)
        .max_encoding_message_size(PEER_MESSAGE_LIMIT);
    let router = server().add_service(health_service).add_service(peer);
    let served = router
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), state.stop.cancelled())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the listener for partners failed");
    }
}

async fn serve_api(state: Arc<State>, connections: mpsc::Receiver<std::io::Result<Connection>>) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<MatchingServiceServer<Matching>>().await;
    let matching = MatchingServiceServer::new(Matching(Arc::clone(&state)))
        .max_decoding_message_size(API_MESSAGE_LIMIT)
        .max_encoding_message_size(API_MESSAGE_LIMIT);
    let watchlists = WatchlistServiceServer::new(Watchlists(Arc::clone(&state)))
        .max_decoding_message_size(API_MESSAGE_LIMIT);
    // Who may call is decided when a connection is made; who was revoked since then, at each call.
    let asked = Arc::clone(&state);
    let still_allowed = move |request: tonic::Request<()>| match request.extensions().get::<Caller>() {
        Some(Caller::Client {
            cert_sha256, name, ..
        }) if asked.revoked.contains(cert_sha256) => {
            access::refuse_call(&asked, name);
            Err(admin_services::revoked().into())
        }
        _ => Ok(request),
    };
    let router = server()
        .layer(tonic::service::InterceptorLayer::new(still_allowed))
        .add_service(health_service)
        .add_service(InterceptedService::new(matching, no_auditor(&state)))
        .add_service(InterceptedService::new(watchlists, no_auditor(&state)))
        .add_service(AgreementServiceServer::with_interceptor(
            Agreements(Arc::clone(&state)),
            no_auditor(&state),
        ))
        .add_service(SnapshotServiceServer::with_interceptor(
            Snapshots(Arc::clone(&state)),
            no_auditor(&state),
        ))
        .add_service(
            DisclosureServiceServer::new(Disclosures(Arc::clone(&state)))
                .max_decoding_message_size(API_MESSAGE_LIMIT),
        )
        .add_service(
            AuditServiceServer::new(Audit(Arc::clone(&state))).max_decoding_message_size(API_MESSAGE_LIMIT),
        )
        .add_service(NodeServiceServer::new(Info(Arc::clone(&state))));
    let served = router
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), state.stop.cancelled())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the listener for our own systems failed");
    }
}
