//! mosquitto and RabbitMQ between real agents and a real gateway, configured as docs/brokers.md says: TLS, users,
//! passwords and rules; a broker that loses everything; a client id that two use; messages over a limit.

use std::fs;
use std::process::Command;
use std::time::Duration;

use driftlog_tests::access::Access;
use driftlog_tests::clock::wait_until;
use driftlog_tests::compare::compare;
use driftlog_tests::device::{AgentSettings, Device};
use driftlog_tests::process::{last_lines, run};
use driftlog_tests::servers::{Broker, Kind, Setup, install};
use driftlog_tests::shore::{GatewaySettings, Shore};
use driftlog_tests::writer::{Journal, Writer};

use crate::world::{drain, programs, writer};

/// Time for whatever must happen sooner or later.
const LONG: Duration = Duration::from_secs(60);
const DEVICES: [&str; 2] = ["pump-1", "pump-2"];

/// A broker, a gateway with its archive, and two devices of which the first runs.
struct Region {
    folder: tempfile::TempDir,
    broker: Broker,
    shore: Shore,
    devices: [Device; 2],
    is_secure: bool,
}

impl Region {
    /// `more`: of the broker's configuration.
    fn start(kind: Kind, is_secure: bool, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup { is_secure, more, ..Setup::default() };
        let broker = Broker::start(kind, &folder.path().join("broker"), &setup).unwrap().unwrap();
        let access = access(&broker, is_secure, "gateway", "gateway-secret");
        let settings =
            GatewaySettings { broker: Some(broker.address()), access, ..GatewaySettings::default() };
        let mut shore = Shore::new(&programs(), &folder.path().join("gateway"), &settings).unwrap();
        shore.start().unwrap();
        shore.wait_ready().unwrap();
        let mut devices = DEVICES.map(|name| {
            let settings = settings_of(access_of(&broker, is_secure, name));
            Device::new(&programs(), name, &folder.path().join(name), broker.address(), &settings).unwrap()
        });
        devices[0].start().unwrap();
        let region = Self { folder, broker, shore, devices, is_secure };
        region.wait_answered(0);
        region
    }

    /// What `check --online` says on a device.
    fn check(&self, device: usize) -> String {
        let mut command = programs().agent();
        command.args(["check", "--online", "--config"]).arg(self.devices[device].config());
        String::from_utf8(run(command).unwrap().stdout).unwrap()
    }

    fn wait_answered(&self, device: usize) {
        let answered = || self.devices[device].status().is_some_and(|status| status.core.answered);
        let has = wait_until(LONG, answered);
        assert!(has, "no gateway:\n{}", last_lines(&self.devices[device].log(), 20).join("\n"));
    }

    fn writer(&self, device: usize, lines_per_second: u64) -> Writer {
        let device = &self.devices[device];
        let folder = self.folder.path().join(format!("writer-of-{}", device.name()));
        fs::create_dir(&folder).unwrap();
        writer(device, &folder, lines_per_second)
    }

    /// The device's agent with other settings, started anew.
    fn change(&mut self, device: usize, access: Access) {
        let device = &mut self.devices[device];
        device.stop().unwrap();
        device.configure(&settings_of(access)).unwrap();
        device.start().unwrap();
    }

    fn restart_broker(&mut self, is_wiped: bool) {
        self.broker.server().kill();
        if is_wiped {
            self.broker.wipe().unwrap();
        }
        self.broker.start_again().unwrap();
        self.broker.wait_listening().unwrap();
    }

    /// Waits until the device's agent has said this.
    fn wait_said(&self, device: usize, what: &str) {
        let log = self.devices[device].log();
        let says = || fs::read_to_string(&log).is_ok_and(|text| text.contains(what));
        let has = wait_until(LONG, says);
        assert!(has, "it never said {what:?}:\n{}", last_lines(&log, 20).join("\n"));
    }

    /// Waits until all is acknowledged, and checks that the archive has it once and in order, by comparison and
    /// by the gateway's own audit.
    fn finish(&mut self, journals: &[&Journal]) {
        for (device, journal) in self.devices.iter().zip(journals) {
            drain(device, &self.shore, journal);
        }
        // While it runs its files are compressed under other names.
        self.shore.stop().unwrap();
        let written: Vec<_> = DEVICES.into_iter().zip(journals.iter().copied()).collect();
        let found = compare(&self.shore.archive(), &written).unwrap();
        assert!(found.is_exact(), "{found:#?}");
        let audit = self.shore.audit(&[]).unwrap();
        assert!(audit.is_kept, "{}", audit.report);
    }

    /// Publishes on a topic as a user, by another program than ours.
    fn publish(&self, user: &str, topic: &str, message: &str) {
        install("mosquitto-clients", "mosquitto_pub").unwrap();
        let address = self.broker.address();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-V", "mqttv311", "-q", "1", "-h", &address.ip().to_string()]);
        command.args(["-p", &address.port().to_string(), "-t", topic, "-m", message]);
        command.args(["-i", &format!("{user}-abcdef"), "-u", user, "-P", &format!("{user}-secret")]);
        command.arg("--cafile").arg(self.broker.folder().join("ca.pem"));
        // Whether a broker says that it refused differs; what arrived is asked of the gateway.
        run(command).unwrap();
    }
}

fn access(broker: &Broker, is_secure: bool, user: &str, password: &str) -> Access {
    match is_secure {
        true => Access::user(broker.folder(), user, password).unwrap(),
        false => Access::default(),
    }
}

fn access_of(broker: &Broker, is_secure: bool, user: &str) -> Access {
    access(broker, is_secure, user, &format!("{user}-secret"))
}

fn settings_of(access: Access) -> AgentSettings {
    AgentSettings { delay_ms_max: 50, backoff_ms_max: 500, access, ..AgentSettings::default() }
}

fn a_wiped_broker_costs_nothing(kind: Kind) {
    let mut region = Region::start(kind, true, "");
    let writer = region.writer(0, 2_000);
    std::thread::sleep(Duration::from_secs(2));
    region.restart_broker(true);
    region.wait_answered(0);
    region.finish(&[&writer.stop().unwrap()]);
}

#[test]
#[ignore = "needs mosquitto"]
fn over_tls_and_with_the_documented_rules_alone_a_wiped_mosquitto_costs_nothing() {
    a_wiped_broker_costs_nothing(Kind::Mosquitto);
}

#[test]
#[ignore = "needs rabbitmq"]
fn over_tls_and_with_the_documented_rules_alone_a_wiped_rabbitmq_costs_nothing() {
    a_wiped_broker_costs_nothing(Kind::RabbitMq);
}

/// A message that is none, under pump-1's topic, arrives and is refused; under pump-2's it does not arrive. An
/// agent with another device's user says `forbidden`, and a wrong password is called that; both cost nothing once they
/// are right.
fn the_rules_keep_devices_apart(kind: Kind, forbidden: &str) {
    let mut region = Region::start(kind, true, "");
    let refused = || {
        let text = fs::read_to_string(region.shore.log()).unwrap();
        DEVICES.map(|name| text.lines().filter(|line| line.contains(name) && is_refusal(line)).count())
    };
    let topic = |name: &str| {
        let device = driftlog_proto::ids::DeviceId::new(name).unwrap();
        format!("driftlog/v1/{:02x}/{name}/up", device.shard())
    };
    assert_eq!(refused(), [0, 0]);
    region.publish("pump-1", &topic("pump-2"), "not a message");
    region.publish("pump-1", &topic("pump-1"), "not a message");
    assert!(wait_until(LONG, || refused()[0] > 0), "one's own topic is open");
    assert_eq!(refused(), [1, 0], "the other's is not");

    let writers = [region.writer(0, 500), region.writer(1, 500)];
    let settings = settings_of(access_of(&region.broker, true, "pump-1"));
    region.devices[1].configure(&settings).unwrap();
    region.devices[1].start().unwrap();
    region.wait_said(1, forbidden);
    assert!(!region.devices[1].status().unwrap().core.answered);
    let own = access_of(&region.broker, true, "pump-2");
    region.change(1, own);

    let (right, wrong) = (region.check(0), access(&region.broker, true, "pump-1", "wrong"));
    assert!(
        right.contains("\nbroker   ok ") && right.contains("connected with TLS as \"pump-1\""),
        "{right}"
    );
    region.change(0, wrong);
    let guessed = region.check(0);
    assert!(guessed.contains("the broker refused the user or the password"), "{guessed}");
    assert!(
        guessed.contains("\nhint: broker.username, and the first line of broker.password_file"),
        "{guessed}"
    );
    region.wait_said(0, "the broker refused the user or the password");
    let said = region.devices[0].status().unwrap().link;
    let error = said.last_error.unwrap();
    assert!(!said.is_up && error.contains("the broker refused the user or the password"), "{error}");
    // The file is read at each connection: no restart.
    access_of(&region.broker, true, "pump-1");
    let journals = writers.map(|writer| writer.stop().unwrap());
    region.finish(&[&journals[0], &journals[1]]);
}

fn is_refusal(line: &str) -> bool {
    line.contains("refused")
}

#[test]
#[ignore = "needs mosquitto and mosquitto-clients"]
fn mosquittos_rules_keep_devices_apart_and_a_wrong_password_is_called_that() {
    the_rules_keep_devices_apart(
        Kind::Mosquitto,
        "the gateway has not answered, though the broker takes what is sent",
    );
}

#[test]
#[ignore = "needs rabbitmq and mosquitto-clients"]
fn rabbitmqs_rules_keep_devices_apart_and_a_wrong_password_is_called_that() {
    the_rules_keep_devices_apart(Kind::RabbitMq, "the broker does not allow to subscribe to");
}

/// Two devices under one client id take the connection from each other, and say what may be behind it. Nothing is
/// lost meanwhile, and when one has an id of its own, all arrives.
fn a_client_id_that_two_use_costs_nothing(kind: Kind) {
    let mut region = Region::start(kind, false, "");
    let shared = || Access { keys: "client_id = \"pump\"\n".to_owned(), ..Access::default() };
    let writers = [region.writer(0, 500), region.writer(1, 500)];
    region.change(0, shared());
    region.devices[1].configure(&settings_of(shared())).unwrap();
    region.devices[1].start().unwrap();
    let hint = "Is another client using the client id \"pump\"?";
    region.wait_said(0, hint);
    region.wait_said(1, hint);
    let access = access_of(&region.broker, region.is_secure, "pump-2");
    region.change(1, access);
    let journals = writers.map(|writer| writer.stop().unwrap());
    region.finish(&[&journals[0], &journals[1]]);
}

#[test]
#[ignore = "needs mosquitto"]
fn a_client_id_that_two_use_at_mosquitto_is_told_and_costs_nothing() {
    a_client_id_that_two_use_costs_nothing(Kind::Mosquitto);
}

#[test]
#[ignore = "needs rabbitmq"]
fn a_client_id_that_two_use_at_rabbitmq_is_told_and_costs_nothing() {
    a_client_id_that_two_use_costs_nothing(Kind::RabbitMq);
}

/// Messages over the broker's limit do not pass, whatever the broker does with them; the agent says so, keeps them,
/// and sends them when the limit has been raised.
fn a_limit_is_told_and_costs_nothing(kind: Kind, limit: &str, said: &str) {
    let mut region = Region::start(kind, false, limit);
    let writer = region.writer(0, 20_000);
    std::thread::sleep(Duration::from_secs(3));
    let journal = writer.stop().unwrap();
    region.wait_said(0, said);
    let status = region.devices[0].status().unwrap();
    assert!(status.core.lanes.iter().any(|lane| lane.waiting > 0), "the limit was not met: {status:?}");
    region.broker.configure("");
    region.restart_broker(true);
    region.finish(&[&journal]);
}

#[test]
#[ignore = "needs mosquitto"]
fn a_message_that_mosquitto_drops_unsaid_for_its_size_is_told_and_kept_until_it_passes() {
    let said = "the gateway hears what is sent after it and not this";
    a_limit_is_told_and_costs_nothing(Kind::Mosquitto, "message_size_limit 8000", said);
}

#[test]
#[ignore = "needs mosquitto"]
fn a_packet_for_whose_size_mosquitto_hangs_up_is_told_and_kept_until_it_passes() {
    let said = "bytes was on its way, and it has taken none over";
    a_limit_is_told_and_costs_nothing(Kind::Mosquitto, "max_packet_size 8000", said);
}

#[test]
#[ignore = "needs rabbitmq"]
fn a_message_that_rabbitmq_never_confirms_for_its_size_is_told_and_kept_until_it_passes() {
    let said = "the broker has acknowledged nothing for";
    a_limit_is_told_and_costs_nothing(Kind::RabbitMq, "max_message_size = 8000", said);
}
