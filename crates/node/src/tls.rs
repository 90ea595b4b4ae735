//! All of TLS: version 1.3 only, hybrid post-quantum key exchange preferred, no resumption.
//!
//! Between nodes both sides are *pinned*: a certificate is only the wrapping of a public key whose SHA-256 stands in
//! an agreement both agencies signed. No authority can vouch for another key, and dates in the certificate mean
//! nothing: a key is valid as long as the agreement is. Our own systems use certificates of the node's own authority,
//! each of which must also be on the node's list of clients.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
pub type SpkiPin = [u8; 32];

/// A certificate chain and its private key.
pub struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Reads both from PEM.
    ///
    /// # Errors
    /// Malformed PEM, or no certificate or key in it.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::Pem)?;
        if chain.is_empty() {
            return Err(TlsError::Pem);
        }
        Ok(Self {
            chain,
            key: PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Pem)?,
        })
    }

    /// Whether the first certificate stands for each of these host names and addresses.
    pub fn stands_for(&self, names: &[String]) -> bool {
        use x509_parser::extensions::GeneralName;
        let Some((_, parsed)) = self
            .chain
            .first()
            .and_then(|certificate| x509_parser::parse_x509_certificate(certificate.as_ref()).ok())
        else {
            return false;
        };
        let Ok(Some(known)) = parsed.subject_alternative_name() else {
            return names.is_empty();
        };
        let known = &known.value.general_names;
        names.iter().all(|name| match name.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(ip)) => known.contains(&GeneralName::IPAddress(&ip.octets())),
            Ok(std::net::IpAddr::V6(ip)) => known.contains(&GeneralName::IPAddress(&ip.octets())),
            Err(_) => known.iter().any(
                |known| matches!(known, GeneralName::DNSName(known) if known.eq_ignore_ascii_case(name)),
            ),
        })
    }

    /// Pin of the first certificate's key.
    ///
    /// # Errors
    /// The certificate cannot be parsed.
    pub fn pin(&self) -> Result<SpkiPin, TlsError> {
        self.chain.first().and_then(spki_pin).ok_or(TlsError::Pem)
    }
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate or key file is damaged.
    #[error("a certificate or key is not valid PEM; restore it or run `concordat init` in a new folder")]
    Pem,
    /// rustls refuses.
    #[error(transparent)]
    Rustls(#[from] Error),
    /// The client authority cannot be used.
    #[error("the client authority's certificate cannot be used: {0}")]
    Verifier(String),
}

/// The first certificate of a PEM text.
///
/// # Errors
/// There is none.
pub fn first_certificate(pem: &[u8]) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(pem).map_err(|_| TlsError::Pem)
}

/// Pin of a certificate; `None` where it cannot be parsed.
pub fn spki_pin(certificate: &CertificateDer<'_>) -> Option<SpkiPin> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.as_ref()).ok()?;
    Some(Sha256::digest(parsed.public_key().raw).into())
}

/// SHA-256 of a whole certificate: how the node's list of clients names one.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate.as_ref()).into()
}

/// The pins of all partners whose agreements we signed, kept up to date while the node runs.
#[derive(Clone, Default)]
pub struct Pins(Arc<RwLock<HashSet<SpkiPin>>>);

impl Pins {
    /// Replaces all pins.
    pub fn replace(&self, pins: HashSet<SpkiPin>) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = pins;
    }

    /// Whether some agreement pins this key. Which one, and what it permits, is looked up for each call.
    pub fn contains(&self, pin: &SpkiPin) -> bool {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .contains(pin)
    }
}

/// The listener for partners' nodes: any pinned key, and only those.
///
/// # Errors
/// The credentials do not fit together.
pub fn peer_server(credentials: &Credentials, pins: Pins) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = Arc::new(PinnedClient {
        pins,
        algorithms: provider().signature_verification_algorithms,
    });
    server(credentials, verifier)
}

/// The listener for our own systems: certificates of the node's client authority.
///
/// # Errors
/// The credentials or the authority cannot be used.
pub fn api_server(credentials: &Credentials, client_ca: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(client_ca)?), provider())
        .build()
        .map_err(|error| TlsError::Verifier(error.to_string()))?;
    server(credentials, verifier)
}

/// The listener of the console: browsers show no certificate, their people sign in.
///
/// # Errors
/// The credentials do not fit together.
pub fn console_server(credentials: &Credentials) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(credentials.chain.clone(), credentials.key.clone_key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn server(
    credentials: &Credentials,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(credentials.chain.clone(), credentials.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would skip the check of the client's key.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// A connection to the one partner that holds the pinned key.
///
/// # Errors
/// The credentials do not fit together.
pub fn peer_client(credentials: &Credentials, partner: SpkiPin) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = Arc::new(PinnedServer {
        pin: partner,
        algorithms: provider().signature_verification_algorithms,
    });
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(credentials.chain.clone(), credentials.key.clone_key())?;
    Ok(finish_client(config))
}

/// A connection of one of our own systems to its node.
///
/// # Errors
/// The credentials or the authority cannot be used.
pub fn api_client(credentials: &Credentials, ca: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(ca)?)
        .with_client_auth_cert(credentials.chain.clone(), credentials.key.clone_key())?;
    Ok(finish_client(config))
}

/// A connection to a server of the open web, under a certificate that one of the authorities in `roots` (PEM) vouches for. Of many
/// authorities those that cannot be read are left out; `None` if none can be read.
pub(crate) fn web_client(roots: &[u8]) -> Option<Arc<ClientConfig>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(CertificateDer::pem_slice_iter(roots).filter_map(Result::ok));
    if store.is_empty() {
        return None;
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .ok()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Some(Arc::new(config))
}

fn finish_client(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

fn roots(ca: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate.map_err(|_| TlsError::Pem)?)?;
    }
    Ok(roots)
}

/// aws-lc-rs with its `prefer-post-quantum` order: X25519MLKEM768 first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// What both verifiers answer to a signature: TLS 1.3 only, by the provider's algorithms.
macro_rules! tls13_only {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is not spoken here".into()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

#[derive(Debug)]
struct PinnedServer {
    pin: SpkiPin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match spki_pin(end_entity) {
            Some(pin) if pin == self.pin => Ok(ServerCertVerified::assertion()),
            Some(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    tls13_only!();
}

struct PinnedClient {
    pins: Pins,
    algorithms: WebPkiSupportedAlgorithms,
}

impl std::fmt::Debug for PinnedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PinnedClient")
    }
}

impl ClientCertVerifier for PinnedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let pin = spki_pin(end_entity).ok_or(CertificateError::BadEncoding)?;
        if self.pins.contains(&pin) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    tls13_only!();
}

/// Whether a connection failed because the server's certificate is not signed by the authority that we trust.
pub fn is_of_another_authority(error: &(dyn std::error::Error + 'static)) -> bool {
    let unknown = |error: &Error| {
        let bad_signature = matches!(error, Error::InvalidCertificate(CertificateError::BadSignature));
        bad_signature || matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer))
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An I/O error is silent about the one in it: its source is that one's source.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(|error| error.get_ref())
            .and_then(|inner| inner.downcast_ref::<Error>());
        if inner
            .or_else(|| error.downcast_ref::<Error>())
            .is_some_and(unknown)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Opens a TCP connection and its TLS session; what a tonic `Endpoint` connects with.
///
/// # Errors
/// Name resolution, connection or handshake failed.
pub async fn connect(
    config: Arc<ClientConfig>,
    host: &str,
    port: u16,
) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let tcp = tokio::net::TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    tokio_rustls::TlsConnector::from(config).connect(name, tcp).await
}
