//! HTTP/1.1 for what is public anyway: a ledger's files and a witness. Small, and bounded in connections, time and
//! sizes. No TLS: what is read here is signed, and proven against keys that come another way.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

/// Connections at once; others wait.
const CONNECTIONS: usize = 64;
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
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => next,
        };
        let (Ok(place), Ok((stream, _))) = (place, accepted) else {
            // Out of file handles, say: not a reason to spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
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

/// One server, by its `http://` address. Requests go over one connection, one after another.
pub struct Client {
    authority: String,
    prefix: String,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// An address that [`Client`] cannot use. The message says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUrl {
    /// TLS.
    #[error(
        "only http:// is read here: fetch the files of an https:// server first, or go through a proxy of your own"
    )]
    NotHttp,
    /// No host, or a query.
    #[error("not an address such as http://HOST:PORT/PATH")]
    Malformed,
}

impl Client {
    /// A client of `http://HOST[:PORT][/PATH]`. Connects when it is first asked.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(url: &str) -> Result<Self, BadUrl> {
        if url.starts_with("https://") {
            return Err(BadUrl::NotHttp);
        }
        let uri: hyper::Uri = url.parse().map_err(|_| BadUrl::Malformed)?;
        let (Some("http"), Some(authority), None) = (uri.scheme_str(), uri.authority(), uri.query()) else {
            return Err(BadUrl::Malformed);
        };
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(BadUrl::Malformed);
        }
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
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
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            // How it ended, its sender hears.
            let _ = connection.await;
        });
        Ok(sender)
    }
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
        ] {
            assert_eq!(Client::new(bad).err(), Some(BadUrl::Malformed), "{bad}");
        }
        assert_eq!(Client::new("https://a").err(), Some(BadUrl::NotHttp));
    }
}
