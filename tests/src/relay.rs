//! A hostile owner: an honest node behind a door that holds the node's own TLS key.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use concordat_node::listen::{self, Caller};
use concordat_node::partner::Partner;
use concordat_node::tls::{self, Pins};
use concordat_wire::v1::peer_service_client::PeerServiceClient;
use concordat_wire::v1::peer_service_server::{PeerService, PeerServiceServer};
use concordat_wire::v1::{
    AddCheckpointRequest, AddCheckpointResponse, CapabilitiesRequest, CapabilitiesResponse, EvaluateRequest,
    EvaluateResponse, ExchangeAgreementRequest, ExchangeAgreementResponse, FetchSegmentRequest,
    FetchSegmentResponse, GetDisclosureKeyRequest, GetDisclosureKeyResponse, GetManifestRequest,
    GetManifestResponse, GetScopeKeyRequest, GetScopeKeyResponse, PutAttachmentPartRequest,
    PutAttachmentPartResponse, ReadLedgerRequest, ReadLedgerResponse, TakeCaseStepsRequest,
    TakeCaseStepsResponse, evaluate_response,
};
use futures_util::{Stream, StreamExt};
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::agency::Agency;

type Change<T> = Option<Arc<dyn Fn(T) -> T + Send + Sync>>;

/// Pieces of a segment by its name; `None` for the honest ones.
type Pieces = Arc<dyn Fn(&[u8]) -> Option<Vec<Bytes>> + Send + Sync>;

/// A file of the ledger by its path; `None` for the honest one.
type LedgerFile = Arc<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// What a relay changes on the way out. `None`: the honest node's own answer.
#[derive(Clone, Default)]
pub struct Lies {
    /// Key statements.
    pub key: Change<String>,
    /// Manifests.
    pub manifest: Change<String>,
    /// A segment's pieces, given its name. The stream may be endless.
    pub segment: Option<Pieces>,
    /// A segment that never ends.
    pub endless_segment: bool,
    /// A segment of which nothing comes.
    pub stalled_segment: bool,
    /// Files of the ledger.
    pub ledger: Option<LedgerFile>,
    /// A file of the ledger of which nothing comes.
    pub stalled_ledger: bool,
    /// Takes questions for agreements and manifests and never answers.
    pub deaf: bool,
    /// Answers to chunks.
    pub chunk: Change<evaluate_response::Message>,
    /// Takes chunks and never answers.
    pub silent: bool,
    /// Each answer to a chunk waits for a permit: as many come through as the test gives.
    pub gate: Option<Arc<tokio::sync::Semaphore>>,
    /// Refuses every stream of chunks: something failed inside.
    pub broken: bool,
}

/// A door before an owner's node. Closed when dropped.
pub struct Relay {
    lies: Arc<Mutex<Lies>>,
    heard: Arc<Mutex<Vec<u8>>>,
    _stop: DropGuard,
}

#[derive(Clone)]
struct Door {
    lies: Arc<Mutex<Lies>>,
    heard: Arc<Mutex<Vec<u8>>>,
    node: PeerServiceClient<Channel>,
}

impl Relay {
    /// Opens a door at `port` before `owner`'s node, for `asker`.
    pub async fn open(asker: &Agency, owner: &Agency, port: u16) -> Self {
        let (lies, heard) = (Arc::<Mutex<Lies>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let pins = Pins::default();
        let pin = asker.identity().peer.pin().expect("a pin");
        pins.replace([pin].into());
        let config = tls::peer_server(&owner.identity().peer, pins).expect("TLS");
        // The port was free; a connection of another test may have it for a moment.
        let mut tries = 0..100;
        let listener = loop {
            match tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => break listener,
                Err(error) => assert!(tries.next().is_some(), "{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        let stop = CancellationToken::new();
        let identify = move |_| async move { Some(Caller::Partner(pin)) };
        let connections = listen::accept_tls(listener, config, identify, stop.clone());
        let partner =
            Partner::new(&owner.party_at(owner.peer_port), &asker.identity().peer).expect("credentials");
        let door = Door {
            lies: Arc::clone(&lies),
            heard: Arc::clone(&heard),
            node: partner.client(),
        };
        let end = stop.clone();
        tokio::spawn(async move {
            let router = Server::builder().add_service(PeerServiceServer::new(door));
            let served =
                router.serve_with_incoming_shutdown(ReceiverStream::new(connections), end.cancelled());
            let _ = served.await;
        });
        Self {
            lies,
            heard,
            _stop: stop.drop_guard(),
        }
    }

    /// Begins to lie, or stops.
    pub fn lie(&self, lies: Lies) {
        *self.lies.lock().unwrap_or_else(PoisonError::into_inner) = lies;
    }

    /// Every byte of every message that came in so far.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Door {
    fn lies(&self) -> Lies {
        self.lies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer_at_all(&self) {
        if self.lies().deaf {
            std::future::pending::<()>().await;
        }
    }

    fn hear(&self, message: &impl Message) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend(message.encode_to_vec());
    }
}

type Results<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl PeerService for Door {
    async fn capabilities(
        &self,
        request: Request<CapabilitiesRequest>,
    ) -> Result<Response<CapabilitiesResponse>, Status> {
        self.node.clone().capabilities(request.into_inner()).await
    }

    async fn exchange_agreement(
        &self,
        request: Request<ExchangeAgreementRequest>,
    ) -> Result<Response<ExchangeAgreementResponse>, Status> {
        self.hear(request.get_ref());
        self.answer_at_all().await;
        self.node.clone().exchange_agreement(request.into_inner()).await
    }

    async fn get_scope_key(
        &self,
        request: Request<GetScopeKeyRequest>,
    ) -> Result<Response<GetScopeKeyResponse>, Status> {
        self.hear(request.get_ref());
        let note = self
            .node
            .clone()
            .get_scope_key(request.into_inner())
            .await?
            .into_inner()
            .note;
        let note = match self.lies().key {
            Some(lie) => lie(note),
            None => note,
        };
        Ok(Response::new(GetScopeKeyResponse { note }))
    }

    async fn get_disclosure_key(
        &self,
        request: Request<GetDisclosureKeyRequest>,
    ) -> Result<Response<GetDisclosureKeyResponse>, Status> {
        self.node.clone().get_disclosure_key(request.into_inner()).await
    }

    type ReadLedgerStream = Results<ReadLedgerResponse>;

    async fn read_ledger(
        &self,
        request: Request<ReadLedgerRequest>,
    ) -> Result<Response<Self::ReadLedgerStream>, Status> {
        self.hear(request.get_ref());
        let lies = self.lies();
        if lies.stalled_ledger {
            return Ok(Response::new(Box::pin(futures_util::stream::pending())));
        }
        if let Some(file) = lies.ledger.and_then(|lie| lie(&request.get_ref().path)) {
            let piece = Ok(ReadLedgerResponse { data: file.into() });
            return Ok(Response::new(Box::pin(futures_util::stream::iter([piece]))));
        }
        let pieces = self.node.clone().read_ledger(request.into_inner()).await?;
        Ok(Response::new(Box::pin(pieces.into_inner())))
    }

    async fn take_case_steps(
        &self,
        request: Request<TakeCaseStepsRequest>,
    ) -> Result<Response<TakeCaseStepsResponse>, Status> {
        self.hear(request.get_ref());
        self.node.clone().take_case_steps(request.into_inner()).await
    }

    async fn put_attachment_part(
        &self,
        request: Request<PutAttachmentPartRequest>,
    ) -> Result<Response<PutAttachmentPartResponse>, Status> {
        self.hear(request.get_ref());
        self.node.clone().put_attachment_part(request.into_inner()).await
    }

    type EvaluateStream = Results<EvaluateResponse>;

    async fn evaluate(
        &self,
        request: Request<Streaming<EvaluateRequest>>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        if self.lies().broken {
            return Err(Status::internal("a test"));
        }
        let mut requests = request.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let (door, silent) = (self.clone(), self.lies().silent);
        tokio::spawn(async move {
            while let Ok(Some(message)) = requests.message().await {
                door.hear(&message);
                if !silent && sender.send(message).await.is_err() {
                    return;
                }
            }
        });
        if silent {
            return Ok(Response::new(Box::pin(futures_util::stream::pending())));
        }
        let answers = self
            .node
            .clone()
            .evaluate(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        let door = self.clone();
        let answers = answers.then(move |answer| {
            let lies = door.lies();
            async move {
                let mut answer = answer?;
                if let Some(gate) = lies.gate {
                    gate.acquire().await.expect("never closed").forget();
                }
                if let Some(lie) = lies.chunk {
                    answer.message = answer.message.map(|message| lie(message));
                }
                Ok(answer)
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn add_checkpoint(
        &self,
        request: Request<AddCheckpointRequest>,
    ) -> Result<Response<AddCheckpointResponse>, Status> {
        self.hear(request.get_ref());
        self.answer_at_all().await;
        self.node.clone().add_checkpoint(request.into_inner()).await
    }

    async fn get_manifest(
        &self,
        request: Request<GetManifestRequest>,
    ) -> Result<Response<GetManifestResponse>, Status> {
        self.hear(request.get_ref());
        self.answer_at_all().await;
        let note = self
            .node
            .clone()
            .get_manifest(request.into_inner())
            .await?
            .into_inner()
            .note;
        let note = match self.lies().manifest {
            Some(lie) => lie(note),
            None => note,
        };
        Ok(Response::new(GetManifestResponse { note }))
    }

    type FetchSegmentStream = Results<FetchSegmentResponse>;

    async fn fetch_segment(
        &self,
        request: Request<FetchSegmentRequest>,
    ) -> Result<Response<Self::FetchSegmentStream>, Status> {
        self.hear(request.get_ref());
        let lies = self.lies();
        if lies.stalled_segment {
            return Ok(Response::new(Box::pin(futures_util::stream::pending())));
        }
        if lies.endless_segment {
            let piece = Bytes::from(vec![0; 64 << 10]);
            let pieces =
                futures_util::stream::repeat_with(move || Ok(FetchSegmentResponse { data: piece.clone() }));
            return Ok(Response::new(Box::pin(pieces)));
        }
        if let Some(pieces) = lies.segment.and_then(|lie| lie(&request.get_ref().sha256)) {
            let pieces = pieces.into_iter().map(|data| Ok(FetchSegmentResponse { data }));
            return Ok(Response::new(Box::pin(futures_util::stream::iter(pieces))));
        }
        let pieces = self.node.clone().fetch_segment(request.into_inner()).await?;
        Ok(Response::new(Box::pin(pieces.into_inner())))
    }
}
