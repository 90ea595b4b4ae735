//! A partner's node, as we call it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use concordat_disclosure::DisclosurePublicKey;
use concordat_wire::v1::GetDisclosureKeyRequest;
use concordat_wire::v1::peer_service_client::PeerServiceClient;
use concordat_wire::{Fault, PEER_MESSAGE_LIMIT, Reason};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::agreement::Party;
use crate::book::Entry;
use crate::desk::refused;
use crate::state::State;
use crate::tls::{self, Credentials, SpkiPin, TlsError};

/// How long a partner may take to give its key.
const KEY_DEADLINE: Duration = Duration::from_secs(5);

/// The key that releases and messages to a partner are sealed to: asked for once, held to the agreement's SHA-256.
///
/// # Errors
/// The partner cannot be reached, the agreement pins no key, or the partner gives another.
pub async fn disclosure_key(state: &State, entry: &Entry) -> Result<DisclosurePublicKey, Fault> {
    let party = entry.agreement.partner_of(state.us());
    let pinned = party.and_then(|party| party.disclosure_key);
    let pinned = pinned.ok_or_else(|| {
        Fault::new(
            Reason::Precondition,
            "AGR-037",
            "the agreement pins no disclosure key of the partner",
        )
    })?;
    if let Some(key) = entry.partner.disclosure_key.get() {
        return Ok(key.clone());
    }
    let mut client = entry.partner.client();
    let asked = tokio::time::timeout(
        KEY_DEADLINE,
        client.get_disclosure_key(GetDisclosureKeyRequest {}),
    )
    .await;
    let unreachable = || {
        Fault::new(
            Reason::Unavailable,
            "DESK-017",
            "the partner's node cannot be reached: try again when it is back",
        )
    };
    let answer = asked
        .ok()
        .and_then(Result::ok)
        .ok_or_else(unreachable)?
        .into_inner();
    let key = DisclosurePublicKey::from_bytes(&answer.key).map_err(refused)?;
    if key.digest() != pinned {
        return Err(Fault::new(
            Reason::NotPermitted,
            "DESK-018",
            "the partner's node gives another disclosure key than the agreement pins: ask the partner which is right",
        ));
    }
    Ok(entry.partner.disclosure_key.get_or_init(|| key).clone())
}

/// A lazily connected channel to one partner; it reconnects by itself.
#[derive(Clone)]
pub struct Partner {
    /// The partner's agency id.
    pub id: String,
    /// The key its node shows, as the agreement pins it.
    pub pin: SpkiPin,
    /// Once asked for.
    disclosure_key: Arc<OnceLock<DisclosurePublicKey>>,
    client: PeerServiceClient<Channel>,
}

impl Partner {
    /// A channel that accepts only the key the agreement pins. Nothing is sent yet.
    ///
    /// # Errors
    /// Our own credentials cannot be used.
    pub fn new(party: &Party, credentials: &Credentials) -> Result<Self, TlsError> {
        let config = tls::peer_client(credentials, party.tls_spki)?;
        let (host, port) = (
            Arc::<str>::from(party.endpoint.host.as_str()),
            party.endpoint.port,
        );
        // The connector below does TLS itself and takes host and port from the agreement; tonic only sees a name.
        let endpoint = Endpoint::from_static("http://partner.invalid")
            .connect_timeout(Duration::from_secs(3))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20);
        let connector = tower::service_fn(move |_: Uri| {
            let (config, host) = (Arc::clone(&config), Arc::clone(&host));
            async move { tls::connect(config, &host, port).await.map(TokioIo::new) }
        });
        let channel = endpoint.connect_with_connector_lazy(connector);
        let client = PeerServiceClient::new(channel)
            .max_decoding_message_size(PEER_MESSAGE_LIMIT)
            .max_encoding_message_size(PEER_MESSAGE_LIMIT);
        Ok(Self {
            id: party.id.clone(),
            pin: party.tls_spki,
            disclosure_key: Arc::default(),
            client,
        })
    }

    /// A client to call the partner with.
    pub fn client(&self) -> PeerServiceClient<Channel> {
        self.client.clone()
    }
}
