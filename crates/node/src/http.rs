//! HTTP/1.1 for what is public anyway: a ledger's files and a witness. Small, and bounded in connections, time and
//! sizes. What is read here is signed, and proven against keys that come another way: we serve without TLS, for a proxy to add it, and read
//! with TLS 1.3 where the address says so.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::places::Places;
use crate::tls;

/// Connections at once; with no place left, one is closed at once.
const CONNECTIONS: usize = 256;
/// Of which from one address. From this machine come all that a proxy brings.
const CONNECTIONS_PER_ADDRESS: usize = 16;
/// For a request's head, and for its body.
const REQUEST: Duration = Duration::from_secs(10);
/// A connection's whole life: a reader that takes a byte a minute does not keep its place.
const LIFETIME: Duration = Duration::from_secs(300);
/// For an answer to us, whole.
const ANSWER: Duration = Duration::from_secs(60);

/// What is asked.
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path as it came: nothing is decoded.
    pub path: String,
    /// The body.
    pub body: Bytes,
}

/// What is answered.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The type of the body.
    pub content_type: &'static str,
    /// How long others may keep it, in the words of `Cache-Control`.
    pub cache: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Text that nobody keeps.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            cache: "no-store",
            body: body.into().into_bytes(),
        }
    }

    /// There is no such thing here.
    pub fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "not found\n")
    }
}

/// Answers requests with bodies of at most `max_body` bytes until the token is cancelled.
pub async fn serve<F, A>(listener: TcpListener, max_body: usize, handler: F, stop: CancellationToken)
where
    F: Fn(Asked) -> A + Clone + Send + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let places = Places::new(CONNECTIONS, CONNECTIONS_PER_ADDRESS);
    let proxied = Places::new(CONNECTIONS, CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, from)) = accepted else {
            // Out of file handles, say: not a reason to spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let room = match from.ip().to_canonical().is_loopback() {
            true => &proxied,
            false => &places,
        };
        let Some(place) = room.enter(Some(from)) else {
            continue;
        };
        let (handler, stop) = (handler.clone(), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let handler = handler.clone();
                async move { Ok::<_, Infallible>(respond(request, max_body, handler).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST)
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // Whoever breaks off, or talks something else, is to blame himself.
                _ = tokio::time::timeout(LIFETIME, connection) => {}
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
}

async fn respond<F, A>(request: Request<Incoming>, max_body: usize, handler: F) -> Response<Full<Bytes>>
where
    F: Fn(Asked) -> A,
    A: Future<Output = Answer>,
{
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(REQUEST, Limited::new(body, max_body).collect()).await;
    let answer = match body {
        Ok(Ok(body)) => {
            let asked = Asked {
                method: head.method,
                path: head.uri.path().to_owned(),
                body: body.to_bytes(),
            };
            handler(asked).await
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n")
        }
        Ok(Err(_)) => Answer::text(StatusCode::BAD_REQUEST, "the request's body cannot be read\n"),
        Err(_) => Answer::text(StatusCode::REQUEST_TIMEOUT, "the request took too long\n"),
    };
    let mut response = Response::new(Full::new(answer.body.into()));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(answer.content_type),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(answer.cache));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Names a file of root certificates (PEM), as other programs know it.
const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";
/// Where systems keep theirs.
const ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// One server, by its `http://` or `https://` address. Requests go over one connection, one after another.
pub struct Client {
    authority: String,
    prefix: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// An address that [`Client`] cannot use. The message says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUrl {
    /// There are no authorities to hold a server to.
    #[error(
        "no root certificates for https:// can be read: install the system's (ca-certificates), or name a file of them (PEM) in SSL_CERT_FILE"
    )]
    NoRoots,
    /// No host, or a query.
    #[error("not an address such as http://HOST:PORT/PATH")]
    Malformed,
}

impl Client {
    /// A client of `http[s]://HOST[:PORT][/PATH]`. Connects when it is first asked. With TLS, the server's certificate must be one of the
    /// authorities that the system trusts, or of those in the file that `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(url: &str) -> Result<Self, BadUrl> {
        Self::trusting(url, system_roots)
    }

    fn trusting(url: &str, roots: impl FnOnce() -> Option<Vec<u8>>) -> Result<Self, BadUrl> {
        let uri: hyper::Uri = url.parse().map_err(|_| BadUrl::Malformed)?;
        let (Some(scheme), Some(authority), None) = (uri.scheme_str(), uri.authority(), uri.query()) else {
            return Err(BadUrl::Malformed);
        };
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(BadUrl::Malformed);
        }
        let (port, tls) = match scheme {
            "http" => (80, None),
            "https" => {
                let host = authority.host().trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(host).map_err(|_| BadUrl::Malformed)?;
                let config = roots().and_then(|roots| tls::web_client(&roots));
                let connector = TlsConnector::from(config.ok_or(BadUrl::NoRoots)?);
                (443, Some((connector, name)))
            }
            _ => return Err(BadUrl::Malformed),
        };
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == authority.host() => port,
            // No port's number: another server would be asked.
            None => return Err(BadUrl::Malformed),
        };
        Ok(Self {
            tls,
            authority: format!("{}:{port}", authority.host()),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            connection: Mutex::new(None),
        })
    }

    /// The file at `path` below the client's own; `None` if there is none. Reads `max` bytes at most; follows nothing.
    ///
    /// # Errors
    /// The server cannot be reached, answers something else, or too much.
    pub async fn get(&self, path: &str, max: usize) -> io::Result<Option<Bytes>> {
        let (status, body) = self.ask(Method::GET, path, Bytes::new(), max).await?;
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status => Err(io::Error::other(format!("the server answered {status}"))),
        }
    }

    /// Sends `body` to `path` and gives status and body of the answer, `max` bytes at most.
    ///
    /// # Errors
    /// The server cannot be reached, or answers too much.
    pub async fn post(&self, path: &str, body: Vec<u8>, max: usize) -> io::Result<(StatusCode, Bytes)> {
        self.ask(Method::POST, path, body.into(), max).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        max: usize,
    ) -> io::Result<(StatusCode, Bytes)> {
        let mut connection = self.connection.lock().await;
        let asking = async {
            // A server may have closed the connection in the meantime: once more with a new one.
            let kept = connection.take();
            if let Some(kept) = kept
                && let Ok(answer) = self.over(kept, &mut connection, &method, path, &body, max).await
            {
                return Ok(answer);
            }
            let fresh = self.connect().await?;
            self.over(fresh, &mut connection, &method, path, &body, max).await
        };
        let answer = tokio::time::timeout(ANSWER, asking).await;
        answer.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time"))?
    }

    async fn over(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        kept: &mut Option<SendRequest<Full<Bytes>>>,
        method: &Method,
        path: &str,
        body: &Bytes,
        max: usize,
    ) -> io::Result<(StatusCode, Bytes)> {
        sender.ready().await.map_err(io::Error::other)?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.prefix))
            .header(header::HOST, &self.authority)
            .body(Full::new(body.clone()))
            .map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), max).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => io::Error::other(format!("the server sent more than {max} bytes")),
            false => io::Error::other(error.to_string()),
        })?;
        *kept = Some(sender);
        Ok((status, body.to_bytes()))
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.authority).await?;
        match &self.tls {
            None => speak(stream).await,
            Some((connector, name)) => speak(connector.connect(name.clone(), stream).await?).await,
        }
    }
}

fn system_roots() -> Option<Vec<u8>> {
    match std::env::var_os(ROOTS_VARIABLE) {
        Some(file) => std::fs::read(file).ok(),
        None => ROOTS.iter().find_map(|file| std::fs::read(file).ok()),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> io::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        // How it ended, its sender hears.
        let _ = connection.await;
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_asked() {
        for good in [
            "http://127.0.0.1:8080",
            "http://[::1]:80/log/",
            "http://log.example",
        ] {
            assert!(Client::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "log.example",
            "ftp://a",
            "http://",
            "http://a/?b",
            "http://u:p@a/",
            "http://a:65536/",
            "http://a:x/",
            "http://[::1]:99999/",
        ] {
            assert_eq!(Client::new(bad).err(), Some(BadUrl::Malformed), "{bad}");
        }
        let none = Client::trusting("https://a", || None).err();
        assert_eq!(none, Some(BadUrl::NoRoots));
        let none = Client::trusting("https://a", || Some(b"no certificate".to_vec())).err();
        assert_eq!(none, Some(BadUrl::NoRoots));
    }

    /// Answers each connection once.
    async fn tls_server(identity: &crate::identity::Identity) -> u16 {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let config = tls::console_server(&identity.api).expect("TLS");
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut head = [0; 1_024];
                    let _ = stream.read(&mut head).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
                        .await;
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn over_tls_the_servers_certificate_must_be_vouched_for() {
        let (folder, other) = (
            tempfile::tempdir().expect("one"),
            tempfile::tempdir().expect("two"),
        );
        for folder in [&folder, &other] {
            crate::identity::create(folder.path(), "aa", &["localhost".into()], &mut rand::rng())
                .expect("keys");
        }
        let identity = crate::identity::Identity::load(folder.path()).expect("keys");
        let port = tls_server(&identity).await;
        let ask = async |host: &str, roots: &std::path::Path| {
            let roots = std::fs::read(roots.join("tls/ca.crt")).ok();
            let client = Client::trusting(&format!("https://{host}:{port}/log"), || roots).expect("usable");
            client.get("checkpoint", 100).await
        };
        let answer = ask("localhost", folder.path()).await.expect("answered");
        assert_eq!(answer.as_deref(), Some(b"hi".as_slice()));
        let stranger = ask("localhost", other.path())
            .await
            .expect_err("another authority");
        assert!(stranger.to_string().contains("certificate"), "{stranger}");
        let misnamed = ask("127.0.0.1", folder.path()).await.expect_err("another name");
        assert!(misnamed.to_string().contains("certificate"), "{misnamed}");
    }
}
