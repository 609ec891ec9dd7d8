//! The link and a broker that others have written.

use std::collections::HashMap;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use rumqttd::protocol::v4::V4;
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, Server, ServerSettings};

use super::*;

fn broker() -> u16 {
    start_broker(None)
}

/// A broker that lets everybody in, or only these users with their passwords.
pub(super) fn start_broker(auth: Option<HashMap<String, String>>) -> u16 {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let router = RouterConfig {
        max_connections: 10,
        max_outgoing_packet_count: 100,
        max_segment_size: 1 << 20,
        max_segment_count: 2,
        ..RouterConfig::default()
    };
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: 1 << 20,
        max_inflight_count: 100,
        auth,
        external_auth: None,
        dynamic_filters: false,
    };
    let settings = ServerSettings {
        name: "test".to_owned(),
        listen: ([127, 0, 0, 1], port).into(),
        tls: None,
        next_connection_delay_ms: 0,
        connections,
    };
    let router = Router::new(0, router).spawn();
    tokio::spawn(async move {
        Server::new(settings, router, V4).start(LinkType::Remote).await.unwrap();
    });
    port
}

#[tokio::test]
async fn a_real_broker_carries_both_ways_and_keeps_the_last_word() {
    let port = broker();
    let mut options = MqttOptions::new("gateway", "127.0.0.1", port);
    options.set_max_packet_size(1 << 20, 1 << 20);
    let (gateway, mut events) = AsyncClient::new(options, 10);
    gateway.subscribe("driftlog/v1/+/+/up", QoS::AtLeastOnce).await.unwrap();
    gateway.publish(topic("ack"), QoS::AtLeastOnce, true, "the last word").await.unwrap();
    let mut is_retained = false;
    while !is_retained {
        // It listens a moment after it was started.
        match events.poll().await {
            Ok(event) => is_retained = matches!(event, Event::Incoming(Packet::PubAck(_))),
            Err(_) => tokio::task::yield_now().await,
        }
    }
    let mut link = start(config("mqtt", port, ""));
    let up = loop {
        match next(&mut link).await {
            LinkEvent::Up { session } => break session,
            LinkEvent::Down { .. } => {}
            event => panic!("{event:?}"),
        }
    };
    assert_ne!(up.0, 0);
    assert_eq!(next(&mut link).await, LinkEvent::Message { payload: b"the last word".to_vec() });
    let item = vec![5; MESSAGE_BYTES_MAX];
    link.publish(item.clone()).unwrap();
    let heard = loop {
        if let Event::Incoming(Packet::Publish(publish)) = events.poll().await.unwrap() {
            break publish;
        }
    };
    assert_eq!(heard.topic, topic("up"));
    assert!(heard.payload == item);
    gateway.publish(topic("down"), QoS::AtLeastOnce, false, "a word").await.unwrap();
    let driver = tokio::spawn(async move { while events.poll().await.is_ok() {} });
    assert_eq!(next(&mut link).await, LinkEvent::Message { payload: b"a word".to_vec() });
    link.close().await;
    driver.abort();
}
