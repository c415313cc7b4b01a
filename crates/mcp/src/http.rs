//! Serving over HTTP, to clients on this host only: streamable HTTP, in both eras.
//!
//! ```text
//! connection ─▶ head within a time ─▶ token ─▶ path ─▶ Host, Origin ─▶ rmcp ─▶ Server
//!                                      │ 401    │ 404     │ 403
//! ```
//!
//! Nothing behind the token is reached without it. A page in a browser has no
//! token, and could not send it either: what names another host, or comes from a
//! page of another origin, is refused. Who may read the file with the token may do
//! what the operator's ceiling allows; so only its owner may read it.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::Server;
use crate::server::{Conversation, ended};

/// Where the protocol is spoken.
pub const PATH: &str = "/mcp";

/// How many connections there may be at once.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest request, in bytes: a file that is written, escaped.
const REQUEST_MAX_BYTES: usize = 16 * 1024 * 1024;

/// How long to wait before connections are accepted again, if the host has no
/// descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Pages that may ask: those of this host.
const ORIGINS: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What a client has to know: 16 to 1024 visible characters.
#[derive(Clone)]
pub struct BearerToken(Arc<str>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("{} may be read by others: it needs mode 0600", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It holds no token.
    #[error("{} does not hold 16 to 1024 visible characters", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The address is not this host's own.
    #[error("{0} can be reached from elsewhere; only addresses such as 127.0.0.1 are served")]
    NotLoopback(SocketAddr),
    /// Nothing can listen there.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl BearerToken {
    const LENGTH_MIN: usize = 16;
    const LENGTH_MAX: usize = 1024;

    /// The token in a file that nobody but its owner may read.
    ///
    /// # Errors
    ///
    /// If others may read it, or it holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::Read { path: path.to_owned(), source };
        let mut file = fs::File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            return Err(TokenError::Open { path: path.to_owned() });
        }
        let mut text = String::new();
        let most = Self::LENGTH_MAX as u64 + 2;
        file.by_ref().take(most).read_to_string(&mut text).map_err(failed)?;
        let text = text.trim_end();
        let is_token = (Self::LENGTH_MIN..=Self::LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_token {
            Ok(Self(text.into()))
        } else {
            Err(TokenError::Content { path: path.to_owned() })
        }
    }

    /// Whether a request brings it. Takes as long for a wrong one as for the right
    /// one, so that it cannot be guessed letter by letter.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else { return false };
        let given = given.to_str().unwrap_or_default();
        let Some((scheme, given)) = given.split_once(' ') else { return false };
        let differs = |(own, given): (u8, u8)| usize::from(own ^ given);
        let pairs = self.0.bytes().zip(given.trim().bytes());
        scheme.eq_ignore_ascii_case("bearer")
            && self.0.len() == given.trim().len()
            && pairs.map(differs).fold(0, |all, one| all | one) == 0
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

/// A place at which clients of this host are waited for.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    token: BearerToken,
}

impl Door {
    /// Listens at an address of this host's own.
    ///
    /// # Errors
    ///
    /// If it can be reached from elsewhere, or nothing can listen there.
    pub async fn open(address: SocketAddr, token: BearerToken) -> Result<Self, DoorError> {
        if !address.ip().is_loopback() {
            return Err(DoorError::NotLoopback(address));
        }
        let failed = |source| DoorError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, token })
    }

    /// Where a client finds it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Serves whoever comes with the token, until `until` is cancelled. Calls that
    /// are under way then are cancelled, and that is waited for, for a while.
    pub async fn serve<H: Send + Sync + 'static>(
        self,
        server: Server<H>,
        until: CancellationToken,
    ) {
        let under_way = server.under_way.clone();
        let server = Arc::new(server);
        let config = StreamableHttpServerConfig::default()
            .with_allowed_origins(ORIGINS)
            .with_max_request_body_bytes(REQUEST_MAX_BYTES)
            .with_cancellation_token(until.clone());
        let begin = move || Ok(Conversation::new(Arc::clone(&server)));
        let sessions = Arc::new(LocalSessionManager::default());
        let service = StreamableHttpService::new(begin, sessions, config);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let (place, stream) = tokio::select! {
                (place, Ok((stream, _))) = accepted => (place, stream),
                () = until.cancelled() => return ended(under_way).await,
                else => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (service, token, until) = (service.clone(), self.token.clone(), until.clone());
            tokio::spawn(async move {
                let _place = place;
                let answers = service_fn(|request: Request<Incoming>| async {
                    Ok::<_, Infallible>(match judged(&token, &request) {
                        Some(refusal) => refusal,
                        None => service.handle(request).await,
                    })
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), answers);
                tokio::select! {
                    ended = connection => if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke");
                    },
                    () = until.cancelled() => {}
                }
            });
        }
    }
}

/// Why a request gets no further, if it does not.
fn judged(token: &BearerToken, request: &Request<Incoming>) -> Option<Answer> {
    if !token.is_in(request.headers()) {
        let mut answer = refusal(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return Some(answer);
    }
    (request.uri().path() != PATH).then(|| refusal(StatusCode::NOT_FOUND, "it is at /mcp\n"))
}

fn refusal(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = BearerToken("0123456789abcdef".into());
        let opens = |given: &[&'static str]| {
            let mut headers = HeaderMap::new();
            given.iter().for_each(|given| {
                headers.append(AUTHORIZATION, HeaderValue::from_static(given));
            });
            token.is_in(&headers)
        };
        assert!(opens(&["Bearer 0123456789abcdef"]) && opens(&["bearer 0123456789abcdef"]));
        for wrong in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer 0123456789abcde"],
            &["Bearer 0123456789abcdeg"],
            &["Bearer 0123456789abcdefg"],
            &["Basic 0123456789abcdef"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert!(!opens(wrong), "{wrong:?}");
        }
        assert!(!format!("{token:?}").contains("0123"));
    }
}
