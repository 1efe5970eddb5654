//! A small HTTP server for a page and its data: limits, headers, and the names that it answers to.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, Result, counted, fail};

pub(super) type Response = hyper::Response<Full<Bytes>>;

/// How long a running request may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);
/// The most bytes of the headers of a request.
const MAX_HEADER: usize = 32 << 10;

/// More headers than an answer has.
const HEADERS: usize = 12;

/// What a server accepts.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Names of this machine beside those of loopback.
    pub(super) hosts: Vec<String>,
    /// Bytes of a body.
    pub(super) max_bytes: usize,
    /// For the headers, for the body, and for the answer.
    pub(super) timeout: Duration,
    pub(super) max_connections: usize,
}

impl Limits {
    /// The timeout for people.
    pub(super) fn seconds(&self) -> String {
        counted(self.timeout.as_secs() as usize, "seconds")
    }
}

/// What is served.
pub(super) trait Site: Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>, limits: &Limits) -> impl Future<Output = Response> + Send;
}

/// Listens on an address, with an error that names it.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.or_else(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => fail(format!(
            "{address}: expected a free port, got one in use by another program; --port chooses another, --port 0 any free one"
        )),
        _ => fail(format!("{address}: expected an address of this machine to listen on, got: {error}")),
    })
}

pub(super) fn runtime(threads: usize) -> Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    built.map_err(|error| Failure::Message(format!("expected threads for the server, got: {error}")))
}

/// Serves until `stop` is done; then lets running requests finish.
pub(super) async fn serve<S: Site>(
    listener: TcpListener,
    site: Arc<S>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let failed = |error| Failure::Message(format!("expected a socket to listen on, got: {error}"));
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?.ip();
    let limits = Arc::new(limits);
    let connections = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    let start = Instant::now();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.as_mut() => break,
        };
        let Ok((mut stream, _)) = accepted else {
            // No file descriptor is left, or the client has gone.
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tokio::spawn(async move {
                let text =
                    "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = timeout(Duration::from_secs(1), stream.write_all(text.as_bytes())).await;
            });
            continue;
        };
        let _ = stream.set_nodelay(true);
        // When the last request began: a client that does not read its answer has no other limit.
        let last = Arc::new(AtomicU64::new(start.elapsed().as_secs()));
        let (site, limits, watched) = (site.clone(), limits.clone(), last.clone());
        let time = limits.timeout;
        let service = service_fn(move |request: Request<Incoming>| {
            let (site, limits) = (site.clone(), limits.clone());
            last.store(start.elapsed().as_secs(), Ordering::Relaxed);
            async move {
                let answer = match refused(&request, &limits.hosts, bound) {
                    Some(text) => failure(StatusCode::FORBIDDEN, text),
                    None => site.answer(request, &limits).await,
                };
                Ok::<_, Infallible>(secured(answer))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(time)
            .max_buf_size(MAX_HEADER)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let idle = || start.elapsed().as_secs().saturating_sub(watched.load(Ordering::Relaxed));
            while timeout(time, connection.as_mut()).await.is_err() {
                // The headers, the body, and the computation have their own limits.
                if idle() > 4 * time.as_secs() {
                    break;
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

/// Done at Ctrl-C, or when the system asks the program to end.
pub(super) async fn interrupted() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = interrupt.await;
}

/// Why a request is not for this server. A web page elsewhere may have its own name point here ("DNS rebinding"), or send requests
/// from a browser on this machine.
fn refused(request: &Request<Incoming>, hosts: &[String], bound: IpAddr) -> Option<String> {
    let text =
        |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let host = text(header::HOST).and_then(|host| host.parse::<Authority>().ok());
    let hint = "`--host NAME` of `tealight serve` allows a name";
    for authority in [host.as_ref(), request.uri().authority()] {
        match authority {
            Some(authority) if !is_ours(authority.host(), hosts, bound) => {
                return Some(format!("expected a Host of this server, got {:?} ({hint})", authority.host()));
            }
            None if authority == host.as_ref() && request.uri().authority().is_none() => {
                return Some("expected a Host header".into());
            }
            _ => {}
        }
    }
    let origin = text(header::ORIGIN)?;
    let from = origin.parse::<Uri>().ok();
    let known = from.as_ref().and_then(Uri::host).is_some_and(|host| is_ours(host, hosts, bound));
    (!known)
        .then(|| format!("expected a request from a page of this server, got one from {origin:?} ({hint})"))
}

/// Whether `host` is a name of this server: one that was told, the address that it listens on, or a name of loopback. Where it
/// listens on all addresses, each address is: no name can stand behind it.
fn is_ours(host: &str, hosts: &[String], bound: IpAddr) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
        || address.is_some_and(|ip| ip.is_loopback() || ip == bound || bound.is_unspecified())
}

/// The body of a request, within the limits.
pub(super) async fn body(request: Request<Incoming>, limits: &Limits) -> Result<Vec<u8>, Response> {
    let max = limits.max_bytes;
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let mut body = request.into_body();
    let read = async {
        let mut all = Vec::with_capacity(declared.unwrap_or(0).min(max));
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                failure(StatusCode::BAD_REQUEST, format!("expected a whole body, got: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            length += data.len();
            if length <= max {
                all.extend_from_slice(&data);
            } else if length > 8 * max || declared.is_some_and(|declared: usize| declared > 8 * max) {
                break; // A client that is not read to its end may not see the answer.
            }
        }
        if length <= max { Ok(all) } else { Err(length.max(declared.unwrap_or(0))) }.map_err(|length| {
            let expected = format!("expected at most {max} bytes (--max-bytes), got {length} or more");
            failure(StatusCode::PAYLOAD_TOO_LARGE, expected)
        })
    };
    timeout(limits.timeout, read).await.unwrap_or_else(|_| {
        let expected = format!("expected a whole body within {} (--timeout)", limits.seconds());
        Err(failure(StatusCode::REQUEST_TIMEOUT, expected))
    })
}

/// A response with this body.
pub(super) fn response(kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = hyper::Response::new(Full::new(body.into()));
    response.headers_mut().reserve(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(super) fn json_response(status: StatusCode, value: &Value) -> Response {
    let mut response = response("application/json", value.to_string());
    *response.status_mut() = status;
    response
}

/// A JSON error.
pub(super) fn failure(status: StatusCode, text: impl Into<String>) -> Response {
    json_response(status, &json!({"error": text.into()}))
}

/// The answer to a request for what is not there, or that is not done so.
pub(super) fn unknown(request: &Request<Incoming>, allowed: Option<&'static str>) -> Response {
    let path = request.uri().path();
    let Some(allowed) = allowed else {
        return failure(StatusCode::NOT_FOUND, format!("expected a page of this server, got {path:?}"));
    };
    let text = format!("{path}: expected {allowed}, got {}", request.method());
    let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(super) fn is_get(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn secured(mut response: Response) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
