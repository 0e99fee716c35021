//! What hyper costs alone, for `benches/compare/run`: a server that gives one answer to whatever is
//! asked (`bare FILE`), or drops what is uploaded (`bare --sink`). It sends the `HEAD` requests of
//! the comparison too (`bare --heads ADDRESS PATH SECONDS`).

#![allow(clippy::print_stdout)] // the address and the counts are for the script

mod heads;

use std::{convert::Infallible, env, fs, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{DATE, LOCATION},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    server::conn::http1::Builder,
    service::{HttpService, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tower_oci::BoxError;

/// As in `examples/serve`, and like its timer there: what a server that is reachable has to have.
const HEAD: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--sink"] => serve(|| service_fn(sink)).await,
        ["--heads", address, path, seconds] => {
            let seconds = Duration::from_secs_f64(seconds.parse()?);
            heads::send(address.parse()?, path, seconds).await
        }
        [file] => {
            let answer = Answer::parse(&fs::read(file)?.into())?;
            let answers = move || {
                let answer = answer.clone();
                service_fn(move |_: Request<Incoming>| {
                    let response = answer.response();
                    async { Ok::<_, Infallible>(response) }
                })
            };
            serve(answers).await
        }
        _ => Err("usage: bare FILE | --sink | --heads ADDRESS PATH SECONDS".into()),
    }
}

/// Serves on a free port of loopback, with a new service for each connection.
async fn serve<S>(service: impl Fn() -> S) -> Result<(), BoxError>
where
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error: Into<BoxError>> + Send + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    let mut http = Builder::new();
    http.header_read_timeout(HEAD).timer(TokioTimer::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that breaks concerns its client, which reports it.
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service()));
    }
}

/// One answer, as it was recorded.
#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn parse(recorded: &Bytes) -> Result<Self, BoxError> {
        let end = recorded.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or("the answer has no head")?;
        let head = std::str::from_utf8(&recorded[..end])?;
        let (first, lines) = head.split_once("\r\n").ok_or("the answer has no headers")?;
        let status = first.split(' ').nth(1).ok_or("the answer has no status")?;
        let mut headers = HeaderMap::new();
        for line in lines.split("\r\n") {
            let (name, value) = line.split_once(": ").ok_or("a header has no value")?;
            headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        // hyper writes the time of the answer, and not that of the recording.
        headers.remove(DATE);
        Ok(Self {
            status: status.parse()?,
            headers,
            body: recorded.slice(end + 4..),
        })
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// Takes an upload piece by piece, keeps nothing of it, and answers as a registry does.
async fn sink(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    while let Some(frame) = request.body_mut().frame().await {
        frame?;
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::CREATED;
    let location = HeaderValue::from_static("/v2/sink/blobs/dropped");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
