//! TLS: version 1.3 with hybrid key exchange, both sides pinned, each listener serves its own callers only.

use std::sync::Arc;

use concordat_node::config::Config;
use concordat_node::identity;
use concordat_node::partner::Partner;
use concordat_node::tls::{self, Credentials};
use concordat_tests::{Agency, OWNER, Pair, Terms};
use concordat_wire::FaultView;
use concordat_wire::v1::matching_service_client::MatchingServiceClient;
use concordat_wire::v1::node_service_client::NodeServiceClient;
use concordat_wire::v1::peer_service_client::PeerServiceClient;
use concordat_wire::v1::watchlist_service_client::WatchlistServiceClient;
use concordat_wire::v1::{
    AddClientRequest, CapabilitiesRequest, InfoRequest, ListClientsRequest, ListJobsRequest,
    ListListsRequest, RevokeClientRequest,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, NamedGroup, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::hostile_requester::listed;

/// A client that accepts any server, for looking at what the server does.
#[derive(Debug)]
struct Anything;

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn any_server() -> ClientConfig {
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything))
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Connects, and reads until the server has had its say about our certificate.
async fn handshake(config: ClientConfig, port: u16) -> Result<(), std::io::Error> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    // In TLS 1.3 the client is done before the server has looked at its certificate: the verdict is the next record.
    let mut first = [0; 1];
    match stream.read(&mut first).await? {
        0 => Err(std::io::Error::other("closed")),
        _ => Ok(()),
    }
}

pub(crate) fn stranger() -> (tempfile::TempDir, Credentials) {
    let folder = tempfile::tempdir().expect("a folder");
    identity::create(
        folder.path(),
        "aa-border",
        &["localhost".into()],
        &mut rand::rng(),
    )
    .expect("keys");
    let peer = identity::Identity::load(folder.path()).expect("keys").peer;
    (folder, peer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_key_is_not_pinned_is_refused() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let mut honest = pair.asker.impersonate(&pair.owner);
    honest
        .capabilities(CapabilitiesRequest {})
        .await
        .expect("the pinned key is let in");

    // The same agency id, another key.
    let (_folder, credentials) = stranger();
    let party = concordat_node::agreement::Party {
        id: OWNER.into(),
        name: OWNER.into(),
        identity: pair.owner.identity().signing.verifier(),
        tls_spki: pair.owner.identity().peer.pin().expect("a pin"),
        endpoint: format!("https://127.0.0.1:{}", pair.owner.peer_port)
            .parse()
            .expect("an endpoint"),
        disclosure_key: None,
        console: None,
    };
    let partner = Partner::new(&party, &credentials).expect("credentials");
    partner
        .client()
        .capabilities(CapabilitiesRequest {})
        .await
        .expect_err("a stranger's key");

    // And a node never speaks to a server that holds another key than the agreement pins.
    let wrong = concordat_node::agreement::Party {
        tls_spki: credentials.pin().expect("a pin"),
        ..party
    };
    let partner = Partner::new(&wrong, &pair.asker.identity().peer).expect("credentials");
    partner
        .client()
        .capabilities(CapabilitiesRequest {})
        .await
        .expect_err("another server's key");

    // No certificate at all.
    handshake(any_server(), pair.owner.peer_port)
        .await
        .expect_err("no certificate");
}

/// A ClientHello of TLS 1.2 (RFC 5246): two ECDHE suites, two groups, two signature schemes, no `supported_versions`.
fn client_hello_1_2() -> Vec<u8> {
    let extensions = [
        &[0x00, 0x0a, 0, 6, 0, 4, 0x00, 0x1d, 0x00, 0x17][..],
        &[0x00, 0x0b, 0, 2, 1, 0],
        &[0x00, 0x0d, 0, 6, 0, 4, 0x04, 0x03, 0x08, 0x04],
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    body.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
    body.extend(extensions);
    let length = u16::try_from(body.len()).expect("short");
    let mut record = vec![0x16, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(length.to_be_bytes());
    record.extend(body);
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_is_not_spoken() {
    let agency = Agency::new(OWNER).await;
    for port in [agency.peer_port, agency.node().api_address.port()] {
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        tcp.write_all(&client_hello_1_2()).await.expect("sent");
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).await.expect("read");
        // One fatal alert, protocol_version (70), and the connection is closed.
        assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 70]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_exchange_is_hybrid_post_quantum() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let pin = pair.owner.identity().peer.pin().expect("a pin");
    let peer = tls::peer_client(&pair.asker.identity().peer, pin).expect("TLS");
    let api = client_config(&pair.owner, "gate-7").await;
    for (config, port) in [
        (peer, pair.owner.peer_port),
        (api, pair.owner.node().api_address.port()),
    ] {
        let stream = tls::connect(config, "127.0.0.1", port).await.expect("connected");
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        let group = session
            .negotiated_key_exchange_group()
            .expect("negotiated")
            .name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
    }
}

/// A certificate of the agency's own authority, on the node's list of clients.
pub(crate) async fn client_config(agency: &Agency, name: &str) -> Arc<ClientConfig> {
    let files = identity::create_client(agency.folder(), name).expect("made");
    let store = &agency.node().state.store;
    store.add_client(name, &files.fingerprint, 0).await.expect("kept");
    let read = |path: &std::path::Path| std::fs::read(path).expect("read");
    let credentials = Credentials::from_pem(&read(&files.certificate), &read(&files.key)).expect("PEM");
    tls::api_client(&credentials, &read(&files.ca)).expect("TLS")
}

pub(crate) fn channel(config: Arc<ClientConfig>, port: u16) -> Channel {
    let connector = tower::service_fn(move |_: Uri| {
        let config = Arc::clone(&config);
        async move {
            tls::connect(config, "127.0.0.1", port)
                .await
                .map(hyper_util::rt::TokioIo::new)
        }
    });
    Endpoint::from_static("http://node.invalid").connect_with_connector_lazy(connector)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_let_in_by_the_list_and_a_revoked_one_no_more() {
    let agency = Agency::new(OWNER).await;
    let port = agency.node().api_address.port();
    let config = client_config(&agency, "gate-7").await;
    let info = |channel| async { NodeServiceClient::new(channel).info(InfoRequest {}).await };
    info(channel(Arc::clone(&config), port))
        .await
        .expect("on the list");

    // A certificate of the authority that is not on the list is not enough.
    let files = identity::create_client(agency.folder(), "gate-8").expect("made");
    let read = |path: &std::path::Path| std::fs::read(path).expect("read");
    let unlisted = Credentials::from_pem(&read(&files.certificate), &read(&files.key)).expect("PEM");
    let unlisted = tls::api_client(&unlisted, &read(&files.ca)).expect("TLS");
    info(channel(unlisted, port)).await.expect_err("not on the list");

    agency
        .node()
        .state
        .store
        .revoke_client("gate-7", 1)
        .await
        .expect("revoked");
    info(channel(config, port)).await.expect_err("revoked");
    handshake(any_server(), port).await.expect_err("no certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_alone_manages_clients_and_a_revocation_reaches_open_connections() {
    let agency = Agency::new(OWNER).await;
    let port = agency.node().api_address.port();
    let rule = |status: tonic::Status| FaultView::from(&status).rule;
    let mut admin = NodeServiceClient::new(channel(client_config(&agency, identity::ADMIN).await, port));
    let elsewhere = tempfile::tempdir().expect("a folder");
    let request = identity::client_request(elsewhere.path(), "gate-7").expect("a key");
    let add = |name: &str, pem: &str| AddClientRequest {
        name: name.to_owned(),
        request_pem: pem.to_owned(),
        auditor: false,
    };
    for (name, pem, wanted) in [
        ("Gate 7", request.pem(), "NODE-011"),
        ("gate-7", "no request", "NODE-014"),
        (identity::ADMIN, request.pem(), "NODE-012"),
    ] {
        assert_eq!(
            rule(admin.add_client(add(name, pem)).await.expect_err(wanted)),
            wanted
        );
    }
    let granted = admin
        .add_client(add("gate-7", request.pem()))
        .await
        .expect("signed");
    let ca = agency.folder().join("tls/ca.crt");
    let files = request
        .granted(&granted.into_inner().certificate_pem, ca)
        .expect("a certificate");
    let read = |path: &std::path::Path| std::fs::read(path).expect("read");
    let gate = Credentials::from_pem(&read(&files.certificate), &read(&files.key)).expect("PEM");
    let gate = tls::api_client(&gate, &read(&files.ca)).expect("TLS");
    let mut gate = NodeServiceClient::new(channel(gate, port));
    gate.info(InfoRequest {}).await.expect("let in");
    assert_eq!(
        rule(
            gate.list_clients(ListClientsRequest {})
                .await
                .expect_err("not admin")
        ),
        "NODE-010"
    );
    let revoke = || RevokeClientRequest {
        name: "gate-7".into(),
    };
    assert_eq!(
        rule(gate.revoke_client(revoke()).await.expect_err("not admin")),
        "NODE-010"
    );
    let loopback = agency.node().insecure_address.expect("open").to_string();
    let loopback = Endpoint::from_shared(format!("http://{loopback}")).expect("an address");
    let mut loopback = NodeServiceClient::new(loopback.connect_lazy());
    assert_eq!(
        rule(loopback.add_client(add("gate-8", "")).await.expect_err("nobody")),
        "NODE-010"
    );

    admin.revoke_client(revoke()).await.expect("revoked");
    assert_eq!(
        rule(gate.info(InfoRequest {}).await.expect_err("revoked")),
        "NODE-015",
        "over the connection it already had"
    );
    assert_eq!(
        rule(admin.revoke_client(revoke()).await.expect_err("gone")),
        "NODE-013"
    );
    let clients = admin
        .list_clients(ListClientsRequest {})
        .await
        .expect("listed")
        .into_inner()
        .clients;
    let revoked: Vec<_> = clients
        .iter()
        .map(|client| (client.name.as_str(), !client.revoked_at.is_empty()))
        .collect();
    assert_eq!(revoked, [("admin", false), ("gate-7", true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_listener_serves_its_own_callers_only() {
    let pair = Pair::with(Terms::default(), listed()).await;
    let pin = pair.owner.identity().peer.pin().expect("a pin");
    let peer = tls::peer_client(&pair.asker.identity().peer, pin).expect("TLS");
    let peer = channel(peer, pair.owner.peer_port);
    let refused = [
        MatchingServiceClient::new(peer.clone())
            .list_jobs(ListJobsRequest {})
            .await
            .expect_err("jobs")
            .code(),
        WatchlistServiceClient::new(peer.clone())
            .list_lists(ListListsRequest {})
            .await
            .expect_err("lists")
            .code(),
        NodeServiceClient::new(peer.clone())
            .info(InfoRequest {})
            .await
            .expect_err("info")
            .code(),
    ];
    assert_eq!(
        refused,
        [Code::Unimplemented; 3],
        "a partner reaches nothing of the agency's own"
    );
    PeerServiceClient::new(peer)
        .capabilities(CapabilitiesRequest {})
        .await
        .expect("its own service");

    let api = channel(
        client_config(&pair.owner, "gate-7").await,
        pair.owner.node().api_address.port(),
    );
    let refused = PeerServiceClient::new(api)
        .capabilities(CapabilitiesRequest {})
        .await
        .expect_err("peer");
    assert_eq!(refused.code(), Code::Unimplemented);
    // A partner's certificate does not open the agency's own listener.
    let theirs = tls::peer_client(
        &pair.asker.identity().peer,
        pair.owner.identity().api.pin().expect("a pin"),
    );
    let theirs = channel(theirs.expect("TLS"), pair.owner.node().api_address.port());
    NodeServiceClient::new(theirs)
        .info(InfoRequest {})
        .await
        .expect_err("a partner's certificate");
}

#[test]
fn a_listener_without_authentication_is_for_loopback_only() {
    let sample = concordat_node::config::sample(
        "aa",
        "Agency",
        "127.0.0.1:1",
        "https://aa.example:1",
        "127.0.0.1:2",
        None,
    );
    let with = |address: &str| {
        let text = sample.replace(
            "[secrets]",
            &format!("insecure_loopback_listen = \"{address}\"\n[secrets]"),
        );
        Config::parse(&text)
    };
    assert!(with("127.0.0.1:3").is_ok() && with("[::1]:3").is_ok());
    for address in ["0.0.0.0:3", "[::]:3", "192.0.2.1:3"] {
        let refused = with(address).expect_err(address).to_string();
        assert!(refused.starts_with("api.insecure_loopback_listen"), "{refused}");
    }
    assert!(
        Config::parse(&sample)
            .expect("the sample")
            .api
            .insecure_loopback_listen
            .is_none(),
        "not by default"
    );
}
