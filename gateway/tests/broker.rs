//! The gateway's client against its embedded broker, and what the embedded broker does and does
//! not do: what the rest of the gateway relies on is stated here.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::time::Duration;

use driftlog_gateway::broker::config::ClientConfig;
use driftlog_gateway::broker::{Client, Embedded, Event, Keeper, Publish, UP_FILTER};
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use rumqttc::{AsyncClient, EventLoop, Incoming, MqttOptions, QoS};
use tokio::time::timeout;

/// Far longer than anything here takes: only a failure waits for it.
const FAR: Duration = Duration::from_secs(30);

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

struct Device {
    client: AsyncClient,
    eventloop: EventLoop,
}

impl Device {
    async fn connect(address: SocketAddr, id: &str) -> Self {
        let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, eventloop) = AsyncClient::new(options, 16);
        let mut device = Self { client, eventloop };
        device.until(|event| matches!(event, Incoming::ConnAck(_))).await;
        device
    }

    async fn until(&mut self, wanted: impl Fn(&Incoming) -> bool) -> Incoming {
        let waiting = async {
            loop {
                if let rumqttc::Event::Incoming(event) = self.eventloop.poll().await.unwrap()
                    && wanted(&event)
                {
                    return event;
                }
            }
        };
        timeout(FAR, waiting).await.expect("the broker says it")
    }

    async fn publish(&mut self, topic: &str, payload: Vec<u8>) {
        self.client.try_publish(topic, QoS::AtLeastOnce, false, payload).unwrap();
        self.until(|event| matches!(event, Incoming::PubAck(_))).await;
    }

    async fn subscribe(&mut self, topic: &str) {
        self.client.try_subscribe(topic, QoS::AtLeastOnce).unwrap();
        self.until(|event| matches!(event, Incoming::SubAck(_))).await;
    }

    async fn message(&mut self) -> rumqttc::Publish {
        match self.until(|event| matches!(event, Incoming::Publish(_))).await {
            Incoming::Publish(message) => message,
            _ => unreachable!("it was looked for"),
        }
    }
}

async fn next(client: &mut Client) -> Event {
    timeout(FAR, client.events.next()).await.expect("an event")
}

async fn up(client: &mut Client) {
    loop {
        match next(client).await {
            Event::Up => return,
            Event::Down { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn down(client: &mut Client) -> String {
    match next(client).await {
        Event::Down { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn message(topic: &str, payload: &[u8]) -> Event {
    Event::Message { topic: topic.to_owned(), payload: payload.to_vec().into() }
}

async fn send(client: &Client, topic: &str, payload: &[u8], is_retained: bool) {
    client.publisher.room().await;
    let publish = Publish::new(topic.to_owned(), payload.to_vec(), is_retained).unwrap();
    client.publisher.try_room().expect("there is room").send(publish);
}

#[tokio::test]
async fn what_devices_say_on_their_up_topics_reaches_the_gateway_and_nothing_else_does() {
    let broker = Embedded::start(any_port()).unwrap();
    let mut gateway = Client::start(ClientConfig::local(broker.local_address()));
    up(&mut gateway).await;
    let mut device = Device::connect(broker.address(), "pump-7").await;
    device.publish("driftlog/v1/0a/pump-7/other", b"not for it".to_vec()).await;
    device.publish("driftlog/v1/0a/pump-7/deeper/up", b"not for it".to_vec()).await;
    device.publish("driftlog/v1/0a/pump-7/up", b"hello".to_vec()).await;
    assert_eq!(next(&mut gateway).await, message("driftlog/v1/0a/pump-7/up", b"hello"));
}

#[tokio::test]
async fn the_last_acknowledgement_is_kept_for_a_device_that_comes_later() {
    let broker = Embedded::start(any_port()).unwrap();
    let mut gateway = Client::start(ClientConfig::local(broker.local_address()));
    up(&mut gateway).await;
    let topic = "driftlog/v1/0a/pump-7/ack";
    send(&gateway, topic, b"first", true).await;
    send(&gateway, topic, b"second", true).await;
    send(&gateway, "driftlog/v1/0a/pump-7/down", b"passing", false).await;
    // The gateway's own messages are in order: when this one is through, the others are.
    send(&gateway, "driftlog/v1/0a/marker/up", b"", false).await;
    assert_eq!(next(&mut gateway).await, message("driftlog/v1/0a/marker/up", b""));

    let mut device = Device::connect(broker.address(), "pump-7").await;
    device.client.try_subscribe("driftlog/v1/0a/pump-7/down", QoS::AtLeastOnce).unwrap();
    device.client.try_subscribe(topic, QoS::AtLeastOnce).unwrap();
    let kept = device.message().await;
    assert_eq!((kept.topic.as_str(), &kept.payload[..]), (topic, &b"second"[..]));
    send(&gateway, topic, b"third", true).await;
    assert_eq!(&device.message().await.payload[..], b"third");
}

#[tokio::test]
async fn a_message_of_the_greatest_size_passes_both_ways() {
    let broker = Embedded::start(any_port()).unwrap();
    let mut gateway = Client::start(ClientConfig::local(broker.local_address()));
    up(&mut gateway).await;
    let mut device = Device::connect(broker.address(), "pump-7").await;
    let payload: Vec<u8> = (0..MESSAGE_BYTES_MAX).map(|at| at as u8).collect();
    let long = "d".repeat(64);
    let topic = format!("driftlog/v1/0a/{long}/up");
    device.publish(&topic, payload.clone()).await;
    assert_eq!(next(&mut gateway).await, message(&topic, &payload));
    device.subscribe("driftlog/v1/0a/pump-7/down").await;
    send(&gateway, "driftlog/v1/0a/pump-7/down", &payload, false).await;
    assert_eq!(device.message().await.payload, payload);
}

#[tokio::test]
async fn a_device_over_the_limit_loses_its_own_connection_and_nobody_else_s() {
    let broker = Embedded::start(any_port()).unwrap();
    let mut gateway = Client::start(ClientConfig::local(broker.local_address()));
    up(&mut gateway).await;
    let mut loud = Device::connect(broker.address(), "loud").await;
    let mut quiet = Device::connect(broker.address(), "quiet").await;
    let topic = "driftlog/v1/0a/loud/up";
    loud.client.try_publish(topic, QoS::AtLeastOnce, false, vec![0; 2 * MESSAGE_BYTES_MAX]).unwrap();
    let broken = async { while loud.eventloop.poll().await.is_ok() {} };
    timeout(FAR, broken).await.expect("the broker ends that connection");
    quiet.publish("driftlog/v1/0a/quiet/up", b"still here".to_vec()).await;
    assert_eq!(next(&mut gateway).await, message("driftlog/v1/0a/quiet/up", b"still here"));
}

#[test]
fn the_gateway_never_gives_the_broker_a_message_over_the_limit() {
    let error = Publish::new("t".to_owned(), vec![0; MESSAGE_BYTES_MAX + 1], false).unwrap_err();
    assert_eq!(error.to_string(), "a message of 131073 bytes is over the limit of 131072");
}

#[tokio::test]
async fn when_the_broker_returns_with_nothing_the_gateway_subscribes_again() {
    let broker = Embedded::start(any_port()).unwrap();
    let address = broker.address();
    let mut gateway = Client::start(ClientConfig::local(address));
    up(&mut gateway).await;
    drop(broker);
    assert!(!down(&mut gateway).await.is_empty());
    let _broker = Embedded::start(address).unwrap();
    up(&mut gateway).await;
    let mut device = Device::connect(address, "pump-7").await;
    device.publish("driftlog/v1/0a/pump-7/up", b"again".to_vec()).await;
    assert_eq!(next(&mut gateway).await, message("driftlog/v1/0a/pump-7/up", b"again"));
}

#[tokio::test]
async fn what_was_queued_for_a_broken_connection_does_not_come_out_of_the_next_one() {
    let broker = Embedded::start(any_port()).unwrap();
    let address = broker.address();
    let mut gateway = Client::start(ClientConfig::local(address));
    up(&mut gateway).await;
    drop(broker);
    down(&mut gateway).await;
    send(&gateway, "driftlog/v1/0a/pump-7/up", b"out of date", false).await;
    let _broker = Embedded::start(address).unwrap();
    up(&mut gateway).await;
    send(&gateway, "driftlog/v1/0a/pump-7/up", b"fresh", false).await;
    assert_eq!(next(&mut gateway).await, message("driftlog/v1/0a/pump-7/up", b"fresh"));
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_so() {
    let taken = std::net::TcpListener::bind(any_port()).unwrap();
    let address = taken.local_addr().unwrap();
    let error = Embedded::start(address).unwrap_err();
    assert!(error.is_taken);
    let expected = format!(
        "the embedded broker cannot listen on {address}: Address already in use (os error 98)\nhint: another \
         broker or gateway uses port {}; give another `broker.listen`, or use that broker with `broker.url`",
        address.port()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn the_port_is_free_again_when_the_broker_is_gone() {
    let broker = Embedded::start(any_port()).unwrap();
    let address = broker.address();
    let _device = Device::connect(address, "pump-7").await;
    drop(broker);
    Embedded::start(address).unwrap();
}

#[tokio::test]
async fn a_gateway_that_reads_slowly_makes_the_broker_wait_and_then_forget_the_oldest() {
    let broker = Embedded::start(any_port()).unwrap();
    let mut gateway = Client::start(ClientConfig::local(broker.local_address()));
    up(&mut gateway).await;
    let mut device = Device::connect(broker.address(), "pump-7").await;
    let topic = "driftlog/v1/0a/pump-7/up";
    // More than the broker, the sockets and the client keep together.
    const MESSAGES: u32 = 800;
    for number in 0..MESSAGES {
        let mut payload = vec![0; 100 * 1024];
        payload[..4].copy_from_slice(&number.to_le_bytes());
        device.publish(topic, payload).await;
    }
    let mut last = None;
    let mut seen = 0;
    while last != Some(MESSAGES - 1) {
        let Event::Message { payload, .. } = next(&mut gateway).await else { panic!("only messages") };
        let number = u32::from_le_bytes(payload[..4].try_into().unwrap());
        assert!(last.is_none_or(|last| number > last), "in order: {number} after {last:?}");
        last = Some(number);
        seen += 1;
    }
    assert!(seen < MESSAGES, "nothing was forgotten: the broker keeps more than it should");
}

#[tokio::test]
async fn three_hundred_devices_are_served_at_once() {
    let broker = Embedded::start(any_port()).unwrap();
    let mut gateway = Client::start(ClientConfig::local(broker.local_address()));
    up(&mut gateway).await;
    let mut devices = Vec::new();
    for number in 0..300 {
        devices.push(Device::connect(broker.address(), &format!("device-{number}")).await);
    }
    for (number, device) in devices.iter_mut().enumerate() {
        let topic = format!("driftlog/v1/0a/device-{number}/up");
        device.publish(&topic, b"hello".to_vec()).await;
        assert_eq!(next(&mut gateway).await, message(&topic, b"hello"));
    }
}

/// rumqttd's router slices the topic after its first byte and panics there.
#[tokio::test]
async fn a_topic_that_ends_the_broker_costs_a_fresh_broker_and_nothing_else() {
    let keeper = Keeper::start(any_port()).unwrap();
    let mut gateway = Client::start(ClientConfig::local(keeper.local_address()));
    up(&mut gateway).await;
    let hostile = Device::connect(keeper.address(), "hostile").await;
    hostile.client.try_publish("é", QoS::AtMostOnce, false, b"x".to_vec()).unwrap();
    let mut hostile = hostile;
    let broken = async { while hostile.eventloop.poll().await.is_ok() {} };
    timeout(FAR, broken).await.expect("the router is gone");
    down(&mut gateway).await;
    up(&mut gateway).await;
    let mut device = Device::connect(keeper.address(), "pump-7").await;
    device.publish("driftlog/v1/0a/pump-7/up", b"after".to_vec()).await;
    assert_eq!(next(&mut gateway).await, message("driftlog/v1/0a/pump-7/up", b"after"));
    assert_eq!(keeper.restarts().load(std::sync::atomic::Ordering::Relaxed), 1);
    keeper.close().await;
}

#[tokio::test]
async fn the_farewell_waits_for_what_is_queued() {
    let broker = Embedded::start(any_port()).unwrap();
    let mut watching = Device::connect(broker.address(), "watching").await;
    watching.subscribe(UP_FILTER).await;
    let mut gateway = Client::start(ClientConfig::local(broker.local_address()));
    up(&mut gateway).await;
    for number in 0..50u8 {
        send(&gateway, "driftlog/v1/0a/pump-7/up", &[number], false).await;
    }
    gateway.close().await;
    for number in 0..50u8 {
        assert_eq!(&watching.message().await.payload[..], &[number]);
    }
}

/// rumqttd refuses the name without an answer, keeps the name, and panics with a lock in its hand
/// when it comes again; from then on it panics for everybody who connects.
#[tokio::test]
async fn a_name_that_makes_the_broker_refuse_everybody_costs_a_fresh_broker() {
    let keeper = Keeper::start(any_port()).unwrap();
    for _ in 0..2 {
        let options = MqttOptions::new("a/b", keeper.address().ip().to_string(), keeper.address().port());
        let (_client, mut eventloop) = AsyncClient::new(options, 1);
        timeout(FAR, eventloop.poll()).await.unwrap().expect_err("a name with a slash is refused");
    }
    let mut gateway = Client::start(ClientConfig::local(keeper.local_address()));
    up(&mut gateway).await;
    assert_eq!(keeper.restarts().load(std::sync::atomic::Ordering::Relaxed), 1);
    keeper.close().await;
}
