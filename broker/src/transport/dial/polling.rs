//! Long-polling from the client's side: two lanes of HTTP requests to one endpoint.
//!
//! One lane carries the connect that the server holds, the other everything else, so that a publish never waits for
//! an event. Each lane keeps its connection from one request to the next and opens another when the server has
//! closed it meanwhile. Whatever fails ends the whole line: the core gives up what was under way, and resumes its
//! session over a new one. How long a response may take is the core's business.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use cloud_channel_protocol::Endpoint;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming as ResponseBody};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderValue, SET_COOKIE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::{DialError, Dialler, Gone, Incoming, is_refusal, within_deadline};

/// What a connection keeps for reading; responses that are larger come in parts.
const READ_BUFFER: usize = 16 * 1024;
/// As CometD's clients say it; others look at the first part only.
const JSON: &str = "application/json;charset=UTF-8";

/// Two lanes to an endpoint.
#[derive(Debug)]
pub struct LongPolling {
    target: Arc<Target>,
    requests: Lane,
    held: Lane,
}

/// Whom the requests go to.
#[derive(Debug)]
struct Target {
    dialler: Arc<Dialler>,
    endpoint: Endpoint,
    /// What each request shows: the token of when the line was opened.
    token: Option<HeaderValue>,
}

/// One request at a time.
#[derive(Default)]
struct Lane {
    /// The connection of the last request.
    spare: Option<Connection>,
    /// The request that is under way.
    exchange: Option<Exchange>,
}

type Exchange = Pin<Box<dyn Future<Output = Result<(Connection, Bytes), Gone>> + Send>>;

impl LongPolling {
    /// Opens the first connection, so that an endpoint that is not there is known as such.
    pub(super) async fn open(dialler: Arc<Dialler>, endpoint: &Endpoint) -> Result<Self, DialError> {
        let token = dialler.token(endpoint)?;
        let target = Arc::new(Target { dialler, endpoint: endpoint.clone(), token });
        let requests = Lane { spare: Some(target.connect().await?), exchange: None };
        Ok(Self { target, requests, held: Lane::default() })
    }

    /// Begins a request.
    pub(super) fn send(&mut self, batch: String) {
        self.requests.begin(&self.target, batch);
    }

    /// Begins a request that the server may hold. One that is still held is given up.
    pub(super) fn hold(&mut self, batch: String) {
        self.held.begin(&self.target, batch);
    }

    /// Carries both requests on until one is answered. May be abandoned: their state is in the lanes.
    pub(super) async fn next(&mut self) -> Result<Incoming, Gone> {
        tokio::select! {
            answer = self.requests.answer() => answer.map(Incoming::Answer),
            answer = self.held.answer() => answer.map(Incoming::Batch),
        }
    }
}

impl Lane {
    fn begin(&mut self, target: &Arc<Target>, batch: String) {
        self.exchange = Some(Box::pin(exchange(target.clone(), self.spare.take(), batch)));
    }

    /// The response, or a wait without end if nothing was asked.
    async fn answer(&mut self) -> Result<Bytes, Gone> {
        let Some(exchange) = &mut self.exchange else { return std::future::pending().await };
        let outcome = exchange.await;
        self.exchange = None;
        let (connection, body) = outcome?;
        self.spare = Some(connection);
        Ok(body)
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("is_busy", &self.exchange.is_some()).finish_non_exhaustive()
    }
}

/// An open HTTP connection. Its task ends by itself when it is dropped between requests; in the middle of one it is
/// ended, since the other side may never say anything again.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
    is_idle: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.is_idle {
            self.task.abort();
        }
    }
}

async fn exchange(
    target: Arc<Target>,
    spare: Option<Connection>,
    batch: String,
) -> Result<(Connection, Bytes), Gone> {
    let mut request = target.request(batch);
    let mut spare = spare;
    loop {
        let is_fresh = spare.is_none();
        let mut connection = match spare.take() {
            Some(connection) => connection,
            None => target.connect().await?,
        };
        connection.is_idle = false;
        if let Err(error) = connection.sender.ready().await {
            if is_fresh {
                return Err(Gone::Unanswered(error));
            }
            continue;
        }
        match connection.sender.try_send_request(request).await {
            Ok(response) => {
                let body = target.read(response).await?;
                connection.is_idle = true;
                return Ok((connection, body));
            }
            // The server had closed a kept connection: nothing of this request was written, so it may go out again.
            Err(mut error) => match error.take_message() {
                Some(unsent) if !is_fresh => request = unsent,
                _ => return Err(Gone::Unanswered(error.into_error())),
            },
        }
    }
}

impl Target {
    async fn connect(&self) -> Result<Connection, DialError> {
        within_deadline(&self.endpoint, async {
            let stream = self.dialler.stream(&self.endpoint).await?;
            let (sender, connection) = http1::Builder::new()
                .max_buf_size(READ_BUFFER)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|source| DialError::Http { endpoint: self.endpoint.clone(), source })?;
            // Its errors are those of the request that is under way, or concern nobody.
            let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
            Ok(Connection { sender, task, is_idle: true })
        })
        .await
    }

    fn request(&self, batch: String) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.endpoint.request_path())
            .header(HOST, self.endpoint.authority())
            .header(CONTENT_TYPE, JSON);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(cookies) = self.dialler.with_cookies(&self.endpoint, |jar| jar.header()) {
            request = request.header(COOKIE, cookies);
        }
        request.body(Full::from(batch)).expect("the endpoint and the cookies are visible ASCII")
    }

    /// The response's messages.
    async fn read(&self, response: Response<ResponseBody>) -> Result<Bytes, Gone> {
        self.dialler.with_cookies(&self.endpoint, |jar| {
            let set = response.headers().get_all(SET_COOKIE).iter();
            set.filter_map(|value| value.to_str().ok()).for_each(|value| jar.set(value));
        });
        if is_refusal(response.status()) {
            let endpoint = self.endpoint.clone();
            return Err(DialError::Refused { endpoint, status: response.status() }.into());
        }
        if response.status() != StatusCode::OK {
            return Err(Gone::Status(response.status()));
        }
        let limit = self.dialler.limits().batch_bytes;
        let mut body = response.into_body();
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(Gone::TooLarge(limit));
        }
        let mut messages = Vec::with_capacity(announced);
        while let Some(frame) = body.frame().await {
            let Ok(part) = frame.map_err(Gone::Unanswered)?.into_data() else { continue };
            if messages.len() + part.len() > limit {
                return Err(Gone::TooLarge(limit));
            }
            messages.extend_from_slice(&part);
        }
        Ok(messages.into())
    }
}
