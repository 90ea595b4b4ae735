//! Accepting connections: the TLS handshake first, in bounded time and number, then gRPC.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::places::Places;
use crate::tls::SpkiPin;

/// A handshake that takes longer is dropped: less than a partner waits for a connection.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// Handshakes at once: the most that strangers can make us work on.
const HANDSHAKES: usize = 1_024;
/// Of which from one address, so that one stranger does not keep the partners out.
const HANDSHAKES_PER_ADDRESS: usize = 64;

/// Who is at the other end, as TLS proved it. Every handler finds it among the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A partner's node, by its key: an agreement says whose it is.
    Partner(SpkiPin),
    /// One of our own systems or people.
    Client {
        /// By its name on our list.
        name: String,
        /// By its certificate.
        cert_sha256: [u8; 32],
        /// It may audit, and do nothing else.
        auditor: bool,
    },
    /// Anyone on this machine, through the listener without authentication.
    Loopback,
}

/// Certificates that were revoked while the node runs: their connections are open, their calls are refused.
#[derive(Clone, Default)]
pub struct Revoked(Arc<RwLock<HashSet<[u8; 32]>>>);

impl Revoked {
    /// From now on.
    pub fn add(&self, cert_sha256: [u8; 32]) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(cert_sha256);
    }

    /// Whether it was revoked.
    pub fn contains(&self, cert_sha256: &[u8; 32]) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(cert_sha256)
    }
}

/// An accepted connection.
pub struct Connection {
    io: Io,
    caller: Caller,
}

enum Io {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

/// What a caller showed of itself.
pub enum Shown {
    /// A certificate whose key it has.
    Certificate(CertificateDer<'static>),
    /// None, or one that TLS refuses: why. Whoever it was is gone.
    Refused(String),
}

/// Accepts TLS connections until `stop`; `identify` turns what the caller shows into who it is, or refuses it.
pub fn accept_tls<I, F>(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    identify: I,
    stop: CancellationToken,
) -> mpsc::Receiver<std::io::Result<Connection>>
where
    I: Fn(Shown) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Caller>> + Send,
{
    let (sender, receiver) = mpsc::channel(16);
    let acceptor = TlsAcceptor::from(config);
    let handshakes = Places::new(HANDSHAKES, HANDSHAKES_PER_ADDRESS);
    tokio::spawn(async move {
        loop {
            let Some(tcp) = accept(&listener, &stop).await else {
                return;
            };
            // With no place left the connection is closed at once: a place is free again within seconds, and whoever
            // waits for one would wait behind strangers.
            let Some(permit) = handshakes.enter(tcp.peer_addr().ok()) else {
                tracing::warn!("too many TLS handshakes at once: closed a connection");
                continue;
            };
            let (acceptor, identify, sender) = (acceptor.clone(), identify.clone(), sender.clone());
            tokio::spawn(async move {
                let _permit = permit;
                let handshake = async {
                    let stream = match acceptor.accept(tcp).await {
                        Ok(stream) => stream,
                        Err(error) => {
                            if let Some(reason) = reason_of_certificate(&error) {
                                identify(Shown::Refused(reason)).await;
                            }
                            return Err(error.to_string());
                        }
                    };
                    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    let certificate = certificate.ok_or("no certificate")?.clone().into_owned();
                    let caller = identify(Shown::Certificate(certificate))
                        .await
                        .ok_or("the certificate is not on our list")?;
                    Ok::<_, String>(Connection {
                        io: Io::Tls(Box::new(stream)),
                        caller,
                    })
                };
                match tokio::time::timeout(HANDSHAKE, handshake).await {
                    // The server that reads is stopping when this fails.
                    Ok(Ok(connection)) => drop(sender.send(Ok(connection)).await),
                    Ok(Err(reason)) => tracing::warn!(reason, "refused a connection"),
                    Err(_) => tracing::warn!("a TLS handshake took too long"),
                }
            });
        }
    });
    receiver
}

/// Why a handshake failed, if it is because of who the caller is: not because it went away, or speaks something else.
fn reason_of_certificate(error: &std::io::Error) -> Option<String> {
    use rustls::{CertificateError, Error};
    match error.get_ref()?.downcast_ref::<Error>()? {
        // What our own check of pins says: TLS has no word for it.
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            Some("the key is in no agreement".to_owned())
        }
        error @ (Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => Some(error.to_string()),
        _ => None,
    }
}

/// Accepts connections without TLS until `stop`. Only for loopback addresses, which the configuration checks.
pub fn accept_plain(
    listener: TcpListener,
    stop: CancellationToken,
) -> mpsc::Receiver<std::io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(tcp) = accept(&listener, &stop).await {
            let connection = Connection {
                io: Io::Plain(tcp),
                caller: Caller::Loopback,
            };
            if sender.send(Ok(connection)).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next connection; `None` when the node stops. Trouble with one (too many open files) does not end the listener.
async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<TcpStream> {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, _)) => {
                if tcp.set_nodelay(true).is_ok() {
                    return Some(tcp);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $body:expr) => {
        match &mut $self.get_mut().io {
            Io::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $body
            }
            Io::Plain($stream) => {
                let $stream = Pin::new($stream);
                $body
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Tls(stream) => stream.is_write_vectored(),
            Io::Plain(stream) => stream.is_write_vectored(),
        }
    }
}
