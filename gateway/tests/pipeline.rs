//! The loop round the core, with the real broker and page and a core that only notes what it is
//! given.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use driftlog_gateway::broker::Channel;
use driftlog_gateway::committer::Durable;
use driftlog_gateway::config::Config;
use driftlog_gateway::pipeline::{Core, Stop};
use driftlog_gateway::sink::{Batch, CommitError};
use driftlog_gateway::status::{DeviceStatus, RegionStatus};
use driftlog_gateway::{NotOpened, Opened, RunError, serve};
use driftlog_proto::ids::DeviceId;
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::time::{Mono, Now, Unix};
use rumqttc::{AsyncClient, EventLoop, Incoming, MqttOptions, QoS};
use tokio::sync::oneshot;
use tokio::time::timeout;

const FAR: Duration = Duration::from_secs(30);

/// What the cores of one gateway have noted.
#[derive(Debug, Default)]
struct Noted {
    opened: u32,
    outcomes: Vec<(u64, &'static str)>,
    /// What the next commits are to come to; `Ok` when there is none.
    planned: Vec<CommitError>,
    /// After the first, so many attempts to open fail.
    full: u32,
}

/// Makes each message a batch, and answers it when that is durable.
struct Echo {
    noted: Arc<Mutex<Noted>>,
    waiting: Vec<Vec<u8>>,
    committing: Option<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    batches: u64,
}

impl Core for Echo {
    fn handle_up(&mut self, _: Now, topic: &str, payload: &[u8]) {
        assert_eq!(topic, up_topic());
        self.waiting.push(payload.to_vec());
    }

    fn poll_batch(&mut self, _: Now) -> Option<Batch> {
        if self.committing.is_some() || self.waiting.is_empty() {
            return None;
        }
        self.committing = Some(self.waiting.remove(0));
        self.batches += 1;
        Some(Batch { number: self.batches, ..Batch::default() })
    }

    fn handle_committed(&mut self, _: Now, number: u64, outcome: Result<(), CommitError>) {
        assert_eq!(number, self.batches);
        let payload = self.committing.take().expect("a batch was on its way");
        match outcome {
            Ok(()) => {
                self.noted.lock().unwrap().outcomes.push((number, "done"));
                self.answers.push(payload);
            }
            Err(_) => {
                self.noted.lock().unwrap().outcomes.push((number, "refused"));
                self.waiting.insert(0, payload);
            }
        }
    }

    fn handle_index(&mut self, sink: usize, _: u32) {
        panic!("sink {sink} has no index");
    }

    fn poll_down(&mut self, _: Now) -> Option<(DeviceId, Channel, Vec<u8>)> {
        let payload = (!self.answers.is_empty()).then(|| self.answers.remove(0))?;
        let payload = if payload == b"huge" { vec![0; MESSAGE_BYTES_MAX + 1] } else { payload };
        Some((device(), Channel::Ack, payload))
    }

    fn poll_deadline(&self) -> Mono {
        Mono::FOREVER
    }

    fn hindrance(&self) -> Option<String> {
        let noted = self.noted.lock().unwrap();
        matches!(noted.outcomes.last(), Some((_, "refused"))).then(|| "echo: full".to_owned())
    }

    fn status(&self, _: Now) -> RegionStatus {
        RegionStatus {
            sinks: Vec::new(),
            devices: vec![DeviceStatus { device: "pump-7".to_owned(), ..DeviceStatus::default() }],
        }
    }

    fn metrics(&self, _: Now, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "echo_batches_total {}", self.batches)
    }
}

fn device() -> DeviceId {
    DeviceId::new("pump-7").unwrap()
}

fn up_topic() -> String {
    Channel::Ack.topic(&device()).replace("/ack", "/up")
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

struct Gateway {
    config: Config,
    noted: Arc<Mutex<Noted>>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), RunError>>,
    _folder: tempfile::TempDir,
}

/// Starts a gateway on the current thread; only within a `LocalSet`.
fn start(planned: Vec<CommitError>) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::load(None).unwrap();
    config.data_dir = folder.path().join("data");
    config.broker.listen = free_port();
    config.web.listen = free_port();
    let noted = Arc::new(Mutex::new(Noted { planned, ..Noted::default() }));
    let (stop, stopped) = oneshot::channel();
    let stop_future: Stop = Box::pin(async move { drop(stopped.await) });
    let (in_task, for_open) = (config.clone(), Arc::clone(&noted));
    let task =
        tokio::task::spawn_local(async move { serve(&in_task, stop_future, |_, _| open(&for_open)).await });
    Gateway { config, noted, stop, task, _folder: folder }
}

fn open(noted: &Arc<Mutex<Noted>>) -> Result<Opened<Echo>, NotOpened> {
    let mut now = noted.lock().unwrap();
    if now.opened > 0 && now.full > 0 {
        now.full -= 1;
        return Err("no space left".to_owned().into());
    }
    now.opened += 1;
    drop(now);
    let for_commit = Arc::clone(noted);
    let core = Echo {
        noted: Arc::clone(noted),
        waiting: Vec::new(),
        committing: None,
        answers: Vec::new(),
        batches: 0,
    };
    Ok(Opened { core, durables: vec![Box::new(Planned(for_commit))] })
}

/// Commits come to what is planned.
struct Planned(Arc<Mutex<Noted>>);

impl Durable for Planned {
    fn commit(&mut self, _: &Batch) -> Result<(), CommitError> {
        let mut noted = self.0.lock().unwrap();
        if noted.planned.is_empty() { Ok(()) } else { Err(noted.planned.remove(0)) }
    }

    fn upkeep(&mut self, _: Unix) -> Result<bool, CommitError> {
        Ok(false)
    }
}

impl Gateway {
    async fn get(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut answer = String::new();
        let exchange = async {
            let mut stream = loop {
                match tokio::net::TcpStream::connect(self.config.web.listen).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
            stream.read_to_string(&mut answer).await.unwrap();
        };
        timeout(FAR, exchange).await.unwrap();
        answer
    }

    async fn ready(&self) {
        let ready = async { while !self.get("/readyz").await.starts_with("HTTP/1.0 200") {} };
        timeout(FAR, ready).await.expect("the gateway becomes ready");
    }

    async fn stop(self) -> Arc<Mutex<Noted>> {
        self.stop.send(()).unwrap();
        timeout(FAR, self.task).await.unwrap().unwrap().unwrap();
        self.noted
    }
}

struct Device {
    client: AsyncClient,
    eventloop: EventLoop,
}

impl Device {
    async fn connect(gateway: &Gateway) -> Self {
        let address = gateway.config.broker.listen;
        let options = MqttOptions::new("pump-7", address.ip().to_string(), address.port());
        let (client, eventloop) = AsyncClient::new(options, 16);
        client.try_subscribe(Channel::Ack.topic(&device()), QoS::AtLeastOnce).unwrap();
        let mut device = Self { client, eventloop };
        device.until(|event| matches!(event, Incoming::SubAck(_)).then_some(())).await;
        device
    }

    async fn until<T>(&mut self, wanted: impl Fn(Incoming) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let rumqttc::Event::Incoming(event) = self.eventloop.poll().await.unwrap()
                    && let Some(found) = wanted(event)
                {
                    return found;
                }
            }
        };
        timeout(FAR, waiting).await.expect("the broker says it")
    }

    fn say(&self, payload: &[u8]) {
        self.client.try_publish(up_topic(), QoS::AtLeastOnce, false, payload).unwrap();
    }

    async fn answer(&mut self) -> Vec<u8> {
        self.until(|event| match event {
            Incoming::Publish(message) => Some(message.payload.to_vec()),
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn what_a_device_says_is_answered_once_it_is_durable_even_after_a_refusal() {
    let work = async {
        let gateway = start(vec![CommitError::Refused("no space".to_owned())]);
        gateway.ready().await;
        let mut device = Device::connect(&gateway).await;
        for payload in [&b"first"[..], b"second", b"third"] {
            device.say(payload);
            assert_eq!(device.answer().await, payload);
        }
        let metrics = gateway.get("/metrics").await;
        for line in [
            "echo_batches_total 4",
            "driftlog_gateway_broker_connected 1",
            "driftlog_gateway_broker_messages_total{direction=\"up\"} 3",
            "driftlog_gateway_broker_message_bytes_total{direction=\"up\"} 16",
            "driftlog_gateway_broker_messages_total{direction=\"down\"} 3",
            "driftlog_gateway_commits_total{outcome=\"done\"} 3",
            "driftlog_gateway_commits_total{outcome=\"refused\"} 1",
        ] {
            assert!(metrics.contains(&format!("\n{line}\n")), "{line}\n{metrics}");
        }
        assert!(gateway.get("/status").await.contains("\"device\":\"pump-7\""));
        let noted = gateway.stop().await;
        let outcomes = noted.lock().unwrap().outcomes.clone();
        assert_eq!(outcomes, [(1, "refused"), (2, "done"), (3, "done"), (4, "done")]);
    };
    tokio::task::LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn a_ledger_in_doubt_is_loaded_afresh_and_everything_else_goes_on() {
    let work = async {
        let gateway = start(vec![CommitError::InDoubt("power".to_owned())]);
        gateway.ready().await;
        let mut device = Device::connect(&gateway).await;
        // Its answer is gone with the first core; the device of the design sends it again.
        device.say(b"lost");
        device.until(|event| matches!(event, Incoming::PubAck(_)).then_some(())).await;
        let reopened = async {
            while gateway.noted.lock().unwrap().opened < 2 {
                gateway.get("/").await;
            }
        };
        timeout(FAR, reopened).await.unwrap();
        device.say(b"again");
        assert_eq!(device.answer().await, b"again");
        assert!(gateway.get("/metrics").await.contains("commits_total{outcome=\"in_doubt\"} 1"));
        gateway.stop().await;
    };
    tokio::task::LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn a_gateway_whose_disk_is_full_when_its_ledger_is_loaded_afresh_does_not_end() {
    let work = async {
        let gateway = start(vec![CommitError::InDoubt("full".to_owned())]);
        gateway.noted.lock().unwrap().full = 2;
        gateway.ready().await;
        let mut device = Device::connect(&gateway).await;
        device.say(b"lost");
        device.until(|event| matches!(event, Incoming::PubAck(_)).then_some(())).await;
        let reopened = async {
            while gateway.noted.lock().unwrap().opened < 2 {
                tokio::task::yield_now().await;
            }
        };
        timeout(FAR, reopened).await.unwrap();
        device.say(b"again");
        assert_eq!(device.answer().await, b"again");
        assert_eq!(gateway.stop().await.lock().unwrap().full, 0);
    };
    tokio::task::LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn an_answer_over_the_limit_is_dropped_and_costs_nothing_else() {
    let work = async {
        let gateway = start(Vec::new());
        gateway.ready().await;
        let mut device = Device::connect(&gateway).await;
        device.say(b"huge");
        device.say(b"small");
        assert_eq!(device.answer().await, b"small");
        gateway.stop().await;
    };
    tokio::task::LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn the_last_answer_stays_with_the_broker_for_a_device_that_returns() {
    let work = async {
        let gateway = start(Vec::new());
        gateway.ready().await;
        let mut device = Device::connect(&gateway).await;
        device.say(b"before the reboot");
        assert_eq!(device.answer().await, b"before the reboot");
        drop(device);
        let mut device = Device::connect(&gateway).await;
        assert_eq!(device.answer().await, b"before the reboot");
        gateway.stop().await;
    };
    tokio::task::LocalSet::new().run_until(work).await;
}
