//! The link against a broker that the test plays itself, packet by packet, and against a real one.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod broker;
mod online;
mod real;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Connect};
use driftlog_agent::clock::Clock;
use driftlog_agent::config::{BrokerConfig, Config};
use driftlog_agent::link::mqtt::Mqtt;
use driftlog_agent::link::{Link, LinkEvent, Oversize};
use driftlog_proto::ids::{DeviceId, RunId};
use driftlog_proto::limits::MESSAGE_BYTES_MAX;

const RUN: RunId = RunId(0x0123_4567_89ab_cdef);

fn device() -> DeviceId {
    DeviceId::new("pump-7").unwrap()
}

fn topic(name: &str) -> String {
    format!("driftlog/v1/{:02x}/pump-7/{name}", device().shard())
}

/// A configuration for a broker here, as a file would give it, that tries again at once.
fn config(scheme: &str, port: u16, more: &str) -> BrokerConfig {
    let text = format!(
        "device_id = \"pump-7\"\n[broker]\nurl = \"{scheme}://localhost:{port}\"\nbackoff_ms_min = 10\nbackoff_ms_max = 20\n{more}\n[[source]]\ntype = \"stdin\"\n"
    );
    Config::parse(Path::new("agent.toml"), &text, None).unwrap_or_else(|error| panic!("{error}")).broker
}

fn start(config: BrokerConfig) -> Mqtt {
    Mqtt::start(config, &device(), RUN, Arc::new(Clock::new(None).unwrap()))
}

async fn next(link: &mut Mqtt) -> LinkEvent {
    tokio::time::timeout(Duration::from_secs(20), link.event(false)).await.expect("an event in time")
}

/// The reason why the link went down; skips nothing.
async fn down(link: &mut Mqtt) -> String {
    match next(link).await {
        LinkEvent::Down { reason } => reason,
        event => panic!("not down but {event:?}"),
    }
}

#[tokio::test]
async fn a_message_goes_up_and_an_answer_comes_down() {
    let broker = Broker::plain().await;
    let mut link = start(config("mqtt", broker.port(), "keep_alive_s = 33"));
    assert!(!link.is_ready() && !link.is_up());
    let mut peer = broker.accept().await;
    let expected = Connect {
        client_id: "pump-7-abcdef".to_owned(),
        is_clean: true,
        keep_alive_s: 33,
        ..Connect::default()
    };
    assert_eq!(peer.connect, expected);
    peer.connack(0).await;
    assert_eq!(peer.subscription(&[1, 1]).await, [topic("ack"), topic("down")]);
    assert!(matches!(next(&mut link).await, LinkEvent::Up { .. }));
    assert!(link.is_ready() && link.is_up());
    link.publish(b"hello".to_vec()).unwrap();
    let message = peer.message().await;
    assert_eq!((message.topic, message.payload.as_slice()), (topic("up"), b"hello".as_slice()));
    assert_eq!(message.flags, 2, "QoS 1, not retained");
    peer.publish(&topic("ack"), b"one").await;
    peer.publish("another/topic", b"not for us").await;
    peer.publish(&topic("down"), b"two").await;
    for payload in [b"one", b"two"] {
        assert_eq!(next(&mut link).await, LinkEvent::Message { payload: payload.to_vec() });
    }
    link.close().await;
    assert!(peer.goodbye().await, "it says DISCONNECT before it goes");
}

#[tokio::test]
async fn every_connection_is_a_new_session_that_subscribes_again_and_sends_nothing_of_the_last() {
    let broker = Broker::plain().await;
    let mut link = start(config("mqtt", broker.port(), ""));
    let mut sessions = Vec::new();
    for round in 0..3u8 {
        let mut peer = broker.accept().await;
        peer.connack(0).await;
        peer.subscription(&[1, 1]).await;
        let LinkEvent::Up { session } = next(&mut link).await else { panic!("not up") };
        assert!(!sessions.contains(&session));
        sessions.push(session);
        link.publish(vec![round, 1]).unwrap();
        assert_eq!(peer.message().await.payload, [round, 1], "nothing of the round before");
        // Never acknowledged, and one more that is only queued.
        assert_eq!(link.event(true).await, LinkEvent::Ready);
        link.publish(vec![round, 2]).unwrap();
        drop(peer);
        down(&mut link).await;
        assert!(!link.is_ready() && !link.is_up());
        link.publish(vec![round, 3]).unwrap();
    }
}

#[tokio::test]
async fn a_retained_message_that_comes_before_the_subscription_is_confirmed_is_heard_after_up() {
    let broker = Broker::plain().await;
    let mut link = start(config("mqtt", broker.port(), ""));
    let mut peer = broker.accept().await;
    peer.connack(0).await;
    peer.publish(&topic("ack"), b"early").await;
    peer.subscription(&[1, 1]).await;
    assert!(matches!(next(&mut link).await, LinkEvent::Up { .. }));
    assert_eq!(next(&mut link).await, LinkEvent::Message { payload: b"early".to_vec() });
}

#[tokio::test]
async fn a_message_over_the_limit_is_given_back_and_one_at_the_limit_goes_through() {
    let broker = Broker::plain().await;
    let mut link = start(config("mqtt", broker.port(), ""));
    let mut peer = broker.accept_up().await;
    next(&mut link).await;
    let bytes = MESSAGE_BYTES_MAX + 1;
    assert_eq!(link.publish(vec![0; bytes]), Err(Oversize { bytes }));
    assert_eq!(
        Oversize { bytes }.to_string(),
        "a message of 131073 bytes is over the limit of 131072 and was not sent"
    );
    let message = vec![7; MESSAGE_BYTES_MAX];
    link.publish(message.clone()).unwrap();
    assert!(peer.message().await.payload == message);
    peer.publish(&topic("ack"), &message).await;
    assert!(next(&mut link).await == LinkEvent::Message { payload: message });
}

#[tokio::test]
async fn a_message_over_the_limit_from_the_broker_ends_the_connection_and_the_link_comes_back() {
    let broker = Broker::plain().await;
    let mut link = start(config("mqtt", broker.port(), ""));
    let mut peer = broker.accept_up().await;
    next(&mut link).await;
    peer.publish(&topic("ack"), &vec![7; MESSAGE_BYTES_MAX + 2048]).await;
    let reason = down(&mut link).await;
    assert!(reason.contains("over the limit of 131072"), "{reason}");
    drop(peer);
    let _peer = broker.accept_up().await;
    assert!(matches!(next(&mut link).await, LinkEvent::Up { .. }));
}

#[tokio::test]
async fn what_the_broker_has_not_taken_is_bounded_and_an_acknowledgement_makes_room() {
    let broker = Broker::plain().await;
    let mut link = start(config("mqtt", broker.port(), "in_flight_bytes_max = 131072"));
    let mut peer = broker.accept_up().await;
    next(&mut link).await;
    let message = |number: u8| vec![number; 64 * 1024];
    // Two on the air, one before the budget, one in the queue.
    for number in 0..4 {
        assert_eq!(link.event(true).await, LinkEvent::Ready);
        link.publish(message(number)).unwrap();
    }
    let mut ids = Vec::new();
    for number in 0..2 {
        let heard = peer.message().await;
        assert!(heard.payload == message(number));
        ids.push(heard.id);
    }
    let blocked = tokio::time::timeout(Duration::from_millis(100), link.event(true)).await;
    assert!(blocked.is_err(), "{blocked:?}");
    assert!(!link.is_ready());
    for number in 2..4 {
        peer.puback(ids.remove(0)).await;
        let heard = peer.message().await;
        assert!(heard.payload == message(number));
        ids.push(heard.id);
        assert_eq!(link.event(true).await, LinkEvent::Ready);
    }
}

#[tokio::test]
async fn a_connection_that_fails_is_tried_again_and_again_with_its_reason() {
    let broker = Broker::plain().await;
    let port = broker.port();
    let mut link = start(config("mqtt", port, ""));
    for _ in 0..3 {
        drop(broker.tcp().await);
        down(&mut link).await;
    }
    broker.accept().await.connack(3).await;
    let reason = down(&mut link).await;
    assert_eq!(reason, format!("localhost:{port}: the broker says that it is unavailable"));
    drop(broker);
    // What was waiting in the listener's queue is reset first.
    let refused = |reason: &str| reason.contains("refused");
    let mut reasons = Vec::new();
    while !reasons.iter().any(|reason: &String| refused(reason)) {
        assert!(reasons.len() < 10, "{reasons:?}");
        reasons.push(down(&mut link).await);
    }
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_given_up_after_the_named_time() {
    let broker = Broker::plain().await;
    let port = broker.port();
    let mut link = start(config("mqtt", port, "connect_timeout_s = 1"));
    let silent = broker.tcp().await;
    assert_eq!(down(&mut link).await, format!("localhost:{port}: no answer within 1 s"));
    drop(silent);
    let mut peer = broker.accept().await;
    peer.connack(0).await;
    let reason = format!("localhost:{port}: no answer within 1 s");
    assert_eq!(down(&mut link).await, reason, "nor does it wait for ever for the subscription");
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_no_link() {
    let broker = Broker::plain().await;
    let port = broker.port();
    let mut link = start(config("mqtt", port, ""));
    let mut peer = broker.accept().await;
    peer.connack(0).await;
    peer.subscription(&[1, 0x80]).await;
    let expected =
        format!("localhost:{port}: the broker does not allow to subscribe to {} and …/down", topic("ack"));
    assert_eq!(down(&mut link).await, expected);
}

#[tokio::test]
async fn user_and_password_are_sent_and_the_password_is_read_again_at_each_connection() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "first\n").unwrap();
    let broker = Broker::plain().await;
    let more = format!("username = \"pump\"\npassword_file = \"{}\"\nclient_id = \"fixed\"", file.display());
    let mut link = start(config("mqtt", broker.port(), &more));
    let mut peer = broker.accept().await;
    let said = |peer: &broker::Peer| (peer.connect.username.clone(), peer.connect.password.clone());
    assert_eq!(said(&peer), (Some("pump".to_owned()), Some("first".to_owned())));
    assert_eq!(peer.connect.client_id, "fixed");
    std::fs::write(&file, "second\n").unwrap();
    peer.connack(4).await;
    let reason = down(&mut link).await;
    assert!(reason.ends_with(": the broker refused the user or the password"), "{reason}");
    let mut peer = broker.accept().await;
    assert_eq!(said(&peer), (Some("pump".to_owned()), Some("second".to_owned())));
    std::fs::remove_file(&file).unwrap();
    peer.connack(5).await;
    let reason = down(&mut link).await;
    assert!(
        reason.ends_with(": the broker refused the user or the password, or does not allow this client"),
        "{reason}"
    );
    let reason = down(&mut link).await;
    assert!(reason.contains("password_file"), "{reason}");
}

#[tokio::test]
async fn bytes_that_are_not_mqtt_end_the_connection_and_nothing_else() {
    let broker = Broker::plain().await;
    let mut link = start(config("mqtt", broker.port(), ""));
    for garbage in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), &[0xff; 64], &[0x20, 0x02, 0, 99]] {
        let mut tcp = broker.tcp().await;
        tokio::io::AsyncWriteExt::write_all(&mut tcp, garbage).await.unwrap();
        drop(tcp);
        down(&mut link).await;
    }
    let _peer = broker.accept_up().await;
    assert!(matches!(next(&mut link).await, LinkEvent::Up { .. }));
}
