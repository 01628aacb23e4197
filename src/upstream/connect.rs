//! From a URL to a connection: the name is resolved once, its addresses are judged, and one of those judged is connected to;
//! then TLS, where the URL says so, for the name that stands there.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use super::judge::Judge;
use super::names::Names;
use super::{Settings, tls};
use crate::app::fetch::{FetchError, FetchFailure};
use crate::base::limit::FETCH_CONNECT_TIMEOUT_MS;

/// A connection, with TLS or without.
pub(super) type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, FetchError>> + Send>>;

/// Makes connections, each within its time.
#[derive(Clone)]
pub(super) struct Connector(HttpsConnector<Tcp>);

impl Connector {
    /// # Errors
    /// A sentence about what of the settings cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Connector, String> {
        let judge = Arc::new(Judge::new(settings.allow.clone(), &settings.named));
        let (names, tls) = (Arc::new(Names::new(settings)?), tls::config(settings.ca_file.as_deref())?);
        Ok(Connector(HttpsConnector::from((Tcp { names, judge }, tls))))
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = FetchError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri.host().unwrap_or_default().to_owned();
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => Ok(stream),
                // What is not ours is of the handshake.
                Ok(Err(error)) => Err(match error.downcast::<FetchError>() {
                    Ok(own) => *own,
                    Err(error) => FetchError::new(FetchFailure::Tls, format!("{host}: {error}")),
                }),
                Err(_) => Err(FetchError::new(FetchFailure::TimedOut, format!("{host} is not connected in time"))),
            }
        })
    }
}

/// The connection below TLS.
#[derive(Clone)]
struct Tcp {
    names: Arc<Names>,
    judge: Arc<Judge>,
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = FetchError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Tcp { names, judge } = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let implied = if uri.scheme_str() == Some("https") { 443 } else { 80 };
            let port = uri.port_u16().unwrap_or(implied);
            let addresses = judge.permitted(host, port, names.addresses(host).await?)?;
            connect(host, port, &addresses).await
        })
    }
}

/// One address after the other, each for its share of the time.
async fn connect(host: &str, port: u16, addresses: &[IpAddr]) -> Result<TokioIo<TcpStream>, FetchError> {
    let share = CONNECT_TIMEOUT / addresses.len() as u32;
    let mut last = FetchError::new(FetchFailure::Dns, format!("{host} has no address"));
    for address in addresses {
        last = match timeout(share, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => {
                // Without it a request would only be slower.
                let _ = stream.set_nodelay(true);
                return Ok(TokioIo::new(stream));
            }
            Ok(Err(error)) => FetchError::new(FetchFailure::Refused, format!("{host}:{port}: {error}")),
            Err(_) => FetchError::new(FetchFailure::TimedOut, format!("{host}:{port} does not answer")),
        };
    }
    Err(last)
}

const CONNECT_TIMEOUT: Duration = Duration::from_millis(FETCH_CONNECT_TIMEOUT_MS);
