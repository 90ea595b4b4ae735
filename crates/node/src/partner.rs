//! A partner's node, as we call it.

use std::sync::Arc;
use std::time::Duration;

use concordat_wire::PEER_MESSAGE_LIMIT;
use concordat_wire::v1::peer_service_client::PeerServiceClient;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::agreement::Party;
use crate::tls::{self, Credentials, SpkiPin, TlsError};

/// A lazily connected channel to one partner; it reconnects by itself.
#[derive(Clone)]
pub struct Partner {
    /// The partner's agency id.
    pub id: String,
    /// The key its node shows, as the agreement pins it.
    pub pin: SpkiPin,
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
            client,
        })
    }

    /// A client to call the partner with.
    pub fn client(&self) -> PeerServiceClient<Channel> {
        self.client.clone()
    }
}
