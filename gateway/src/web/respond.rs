//! One request, one answer.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Question;

/// Time for the gateway's loop to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const PATHS: &str = "/metrics  what is measured, for Prometheus\n\
                     /healthz  whether the gateway lives\n\
                     /readyz   whether it can do its work\n\
                     /status   every device and lane, as JSON\n";

type Answer = Response<Full<Bytes>>;

pub(super) async fn respond(request: &Request<Incoming>, asking: &mpsc::Sender<Question>) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this page is only read\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let outcome = match request.uri().path() {
        "/" => Some(answer(StatusCode::OK, TEXT, PATHS)),
        "/healthz" => ask(asking, Question::Health).await.map(|()| answer(StatusCode::OK, TEXT, "ok\n")),
        "/readyz" => ask(asking, Question::Ready).await.map(|ready| match ready {
            Ok(()) => answer(StatusCode::OK, TEXT, "ready\n"),
            Err(why) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {why}\n")),
        }),
        "/metrics" => {
            ask(asking, Question::Metrics).await.map(|text| answer(StatusCode::OK, PROMETHEUS, text))
        }
        "/status" => ask(asking, Question::Status).await.map(|status| {
            // Numbers, texts and lists always have a form in JSON.
            let json = serde_json::to_string(&status).unwrap_or_default();
            answer(StatusCode::OK, JSON, json + "\n")
        }),
        _ => Some(answer(StatusCode::NOT_FOUND, TEXT, format!("not here; there are\n{PATHS}"))),
    };
    let stuck = "the gateway does not answer: it is starting, stopping or stuck\n";
    outcome.unwrap_or_else(|| answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, stuck))
}

/// Asks the gateway's loop; nothing when it does not answer in time.
async fn ask<T>(
    asking: &mpsc::Sender<Question>,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Option<T> {
    let (sender, answer) = oneshot::channel();
    let exchange = async {
        asking.send(question(sender)).await.ok()?;
        answer.await.ok()
    };
    timeout(ANSWER_TIME_MAX, exchange).await.ok().flatten()
}

fn answer(code: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
