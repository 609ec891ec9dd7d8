use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as StdStream};

use super::*;
use crate::status::BrokerStatus;

async fn page() -> (Web, mpsc::Receiver<Question>) {
    let config = WebConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)) };
    Web::start(&config).await.unwrap()
}

/// Answers every question as a gateway does that is well but not connected.
async fn answer_all(mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        match question {
            Question::Health(to) => drop(to.send(())),
            Question::Ready(to) => drop(to.send(Err("no connection to the broker".to_owned()))),
            Question::Metrics(to) => drop(to.send("driftlog_gateway_up 1\n".to_owned())),
            Question::Status(to) => {
                let broker = BrokerStatus { address: "there:1883".to_owned(), ..BrokerStatus::default() };
                drop(to.send(Status { broker, ..Status::default() }));
            }
        }
    }
}

/// Sends these bytes and reads what comes until the page closes the connection.
async fn exchange(address: SocketAddr, request: Vec<u8>) -> String {
    let task = tokio::task::spawn_blocking(move || {
        let mut stream = StdStream::connect(address).unwrap();
        // The page may close in the middle of what it does not want to read.
        let _ = stream.write_all(&request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    timeout(Duration::from_secs(30), task).await.unwrap().unwrap()
}

fn request(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
}

fn code(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn each_path_answers_in_its_own_form() {
    let (web, questions) = page().await;
    tokio::spawn(answer_all(questions));
    let get = |path| exchange(web.address(), request("GET", path));

    let health = get("/healthz").await;
    assert_eq!((code(&health), body(&health)), ("200", "ok\n"));
    let ready = get("/readyz").await;
    assert_eq!((code(&ready), body(&ready)), ("503", "not ready: no connection to the broker\n"));
    let metrics = get("/metrics").await;
    assert_eq!((code(&metrics), body(&metrics)), ("200", "driftlog_gateway_up 1\n"));
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    let status = get("/status?pretty").await;
    assert_eq!(code(&status), "200");
    assert!(status.contains("content-type: application/json\r\n"), "{status}");
    let status: Status = serde_json::from_str(body(&status)).unwrap();
    assert_eq!(status.broker.address, "there:1883");
    let front = get("/").await;
    assert!(body(&front).contains("/metrics"), "{front}");
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_refused_with_its_code() {
    let (web, questions) = page().await;
    tokio::spawn(answer_all(questions));
    let missing = exchange(web.address(), request("GET", "/etc/passwd")).await;
    assert_eq!(code(&missing), "404");
    assert!(body(&missing).contains("/healthz"), "{missing}");
    for method in ["POST", "PUT", "DELETE"] {
        let refused = exchange(web.address(), request(method, "/status")).await;
        assert_eq!(code(&refused), "405", "{method}");
        assert!(refused.contains("allow: GET, HEAD\r\n"), "{refused}");
    }
    let head = exchange(web.address(), request("HEAD", "/healthz")).await;
    assert_eq!((code(&head), body(&head)), ("200", ""));
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_and_costs_only_its_own_connection() {
    let (web, questions) = page().await;
    tokio::spawn(answer_all(questions));
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ] {
        let answer = exchange(web.address(), garbage.to_vec()).await;
        assert_eq!(code(&answer), "400", "{answer}");
    }
    let health = exchange(web.address(), request("GET", "/healthz")).await;
    assert_eq!(code(&health), "200");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let (web, questions) = page().await;
    tokio::spawn(answer_all(questions));
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(REQUEST_BYTES_MAX));
    assert_eq!(code(&exchange(web.address(), head.into_bytes()).await), "431");
    let path = format!("/{}", "y".repeat(2 * REQUEST_BYTES_MAX));
    let answer = exchange(web.address(), request("GET", &path)).await;
    assert!(["414", "431"].contains(&code(&answer)), "{answer}");
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_and_served_again_when_others_close() {
    let (web, questions) = page().await;
    tokio::spawn(answer_all(questions));
    let address = web.address();
    // Each is known to be served because it has been answered and kept open.
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let stream = tokio::task::spawn_blocking(move || {
            let mut stream = StdStream::connect(address).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            let mut first = [0; 15];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200 OK");
            stream
        });
        open.push(stream.await.unwrap());
    }
    let refused = exchange(address, Vec::new()).await;
    assert_eq!((code(&refused), body(&refused)), ("503", "too many connections\n"));
    assert_eq!(web.refused().load(Ordering::Relaxed), 1);
    for stream in open {
        stream.shutdown(Shutdown::Both).unwrap();
    }
    // The page notices in its own time that they are gone.
    let served = async { while code(&exchange(address, request("GET", "/healthz")).await) != "200" {} };
    timeout(Duration::from_secs(30), served).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_said_to_be_stuck() {
    let (web, questions) = page().await;
    let answer = exchange(web.address(), request("GET", "/healthz")).await;
    assert_eq!(code(&answer), "503");
    assert!(body(&answer).contains("stuck"), "{answer}");
    drop(questions);
    let answer = exchange(web.address(), request("GET", "/metrics")).await;
    assert_eq!(code(&answer), "503");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_so() {
    let (web, _questions) = page().await;
    let listen = web.address();
    let error = Web::start(&WebConfig { listen }).await.unwrap_err();
    let expected = format!(
        "cannot serve the status page on {listen}: Address already in use (os error 98)\nhint: another program \
         uses port {}; give another `web.listen`",
        listen.port()
    );
    assert_eq!(error.to_string(), expected);
}
