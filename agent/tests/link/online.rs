//! `check --online`: the agent as a process, against brokers that take it and brokers that do not.

use std::fs;
use std::process::Command;

use super::tls::{Files, authority, server, signed};
use super::*;

/// What an agent with these lines in `[broker]` says of its broker, and whether it is content.
async fn check(files: &Files, url: &str, more: &str) -> (bool, String) {
    let state = files.write("a.log", "one\n").with_file_name("state");
    let folder = state.parent().unwrap().display().to_string();
    let text = format!(
        "device_id = \"pump-7\"\nstate_dir = \"{}\"\n[broker]\nurl = \"{url}\"\nconnect_timeout_s = 5\n{more}\n[spool]\n\
         bulk.bytes_max = 1048576\nurgent.bytes_max = 1048576\ndurability = \"none\"\n[[source]]\ntype = \"file\"\npaths = [\"{folder}/*.log\"]\n",
        state.display()
    );
    let config = files.write("agent.toml", &text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftlog-agent"));
    command.args(["check", "--online", "--config"]).arg(config);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(!state.exists(), "nothing is made");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("the configuration is valid\n"), "{said}");
    let broker = said.find("\nbroker   ok").or(said.find("\nbroker   wrong")).expect(&said);
    (output.status.code() == Some(0), said[broker + 1..].to_owned())
}

#[track_caller]
fn is_wrong((is_content, said): (bool, String), what: &str, hint: &str) {
    assert!(!is_content, "{said}");
    let (reason, todo) = said.split_once("\nhint: ").expect(&said);
    assert!(reason.starts_with("broker   wrong  localhost:") && reason.contains(what), "{said}");
    assert!(todo.contains(hint), "{said}");
}

#[tokio::test]
async fn a_broker_that_takes_the_device_is_left_as_it_was_found() {
    let broker = Broker::plain().await;
    let files = Files::new();
    let url = format!("mqtt://localhost:{}", broker.port());
    let visit = async {
        let mut peer = broker.accept().await;
        assert!(peer.connect.client_id.starts_with("pump-7-"), "{:?}", peer.connect);
        peer.connack(0).await;
        assert_eq!(peer.subscription(&[1, 1]).await, [topic("ack"), topic("down")]);
        assert!(peer.goodbye().await, "it says DISCONNECT and has published nothing before");
    };
    let ((is_content, said), ()) = tokio::join!(check(&files, &url, ""), visit);
    assert!(is_content, "{said}");
    let address =
        ["127.0.0.1", "[::1]"].map(|host| format!("broker   ok     localhost is {host}:{}", broker.port()));
    assert!(address.iter().any(|address| said.starts_with(address)), "{said}");
    assert!(said.ends_with("; connected without a user, topics may be read\n"), "{said}");
}

#[tokio::test]
async fn a_user_is_let_in_with_the_right_password_and_told_apart_with_a_wrong_one() {
    let users = [("pump".to_owned(), "right".to_owned())].into();
    let port = real::start_broker(Some(users));
    let files = Files::new();
    let url = format!("mqtt://localhost:{port}");
    let user = |password: &str| {
        let file = files.write("password", password);
        format!("username = \"pump\"\npassword_file = \"{}\"", file.display())
    };
    // It listens a moment after it was started.
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
    let (is_content, said) = check(&files, &url, &user("right\n")).await;
    assert!(is_content && said.contains("connected as \"pump\""), "{said}");
    // This broker hangs up without a word.
    let hung_up = check(&files, &url, &user("guessed\n")).await;
    is_wrong(hung_up, "the broker closed the connection", "A broker may also hang up on a user");
    let broker = Broker::plain().await;
    let url = format!("mqtt://localhost:{}", broker.port());
    let refuse = async {
        for code in [4, 5] {
            let mut peer = broker.accept().await;
            assert_eq!(peer.connect.password.as_deref(), Some("guessed"));
            peer.connack(code).await;
        }
    };
    let tried = async {
        for _ in 0..2 {
            let refused = check(&files, &url, &user("guessed\n")).await;
            is_wrong(refused, "the broker refused the user or the password", "broker.password_file");
        }
    };
    tokio::join!(refuse, tried);
}

#[tokio::test]
async fn a_name_that_nobody_knows_a_closed_port_and_a_silent_one_are_told_apart() {
    let files = Files::new();
    let (is_content, said) = check(&files, "mqtt://broker.invalid:1883", "").await;
    assert!(!is_content && said.contains("broker.invalid:1883: the name cannot be resolved: "), "{said}");
    assert!(said.ends_with("\nhint: set broker.url to where your broker is\n"), "{said}");
    let broker = Broker::plain().await;
    let url = format!("mqtt://localhost:{}", broker.port());
    is_wrong(check(&files, &url, "").await, "no answer within 5 s", "is the network up");
    drop(broker);
    is_wrong(check(&files, &url, "").await, "refused", "is the broker running");
}

#[tokio::test]
async fn topics_that_may_not_be_read_are_named_with_the_rule_that_is_missing() {
    let broker = Broker::plain().await;
    let files = Files::new();
    let url = format!("mqtt://localhost:{}", broker.port());
    let visit = async {
        let mut peer = broker.accept().await;
        peer.connack(0).await;
        peer.subscription(&[0x80, 0x80]).await;
    };
    let (said, ()) = tokio::join!(check(&files, &url, ""), visit);
    is_wrong(
        said,
        &format!("does not allow to subscribe to {}", topic("ack")),
        &format!("publish to {}", topic("up")),
    );
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_and_a_port_with_or_without_tls_are_told_apart() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let files = Files::new();
    let trust = |authority| {
        let ca = files.write("ca.pem", &tls::Authority::pem(authority));
        format!("ca_file = \"{}\"", ca.display())
    };
    let broker = Broker::tls(server(&signed(&ours, "localhost", |_| {}), None)).await;
    let url = format!("mqtts://localhost:{}", broker.port());
    let serve = async {
        loop {
            let mut peer = broker.accept_up().await;
            peer.goodbye().await;
        }
    };
    let tried = async {
        let (is_content, said) = check(&files, &url, &trust(&ours)).await;
        assert!(is_content && said.contains("connected with TLS"), "{said}");
        is_wrong(check(&files, &url, &trust(&theirs)).await, "UnknownIssuer", "broker.ca_file must hold");
        let plain = url.replace("mqtts://", "mqtt://");
        is_wrong(check(&files, &plain, "").await, "", "want mqtts:// with TLS?");
    };
    tokio::select! {
        () = serve => unreachable!(),
        () = tried => {}
    }
    let other = Broker::tls(server(&signed(&ours, "broker.example.com", |_| {}), None)).await;
    let url = format!("mqtts://localhost:{}", other.port());
    let ours = trust(&ours);
    let (said, ()) = tokio::join!(check(&files, &url, &ours), other.accept_none());
    is_wrong(said, "not valid for name", "name the broker in broker.url as its certificate does");
    let plain = Broker::plain().await;
    let url = format!("mqtts://localhost:{}", plain.port());
    let garbage = async {
        let mut tcp = plain.tcp().await;
        tokio::io::AsyncWriteExt::write_all(&mut tcp, &[0x20, 2, 0, 0, 0, 0, 0, 0]).await.unwrap();
        tcp
    };
    let (said, _tcp) = tokio::join!(check(&files, &url, &ours), garbage);
    is_wrong(said, "TLS: ", "does that port speak TLS?");
}

#[tokio::test]
async fn a_client_id_that_a_running_agent_has_is_not_taken_from_it() {
    let broker = Broker::plain().await;
    let files = Files::new();
    let url = format!("mqtt://localhost:{}", broker.port());
    let (state, config) = (files.write("state", ""), files.write("running.toml", ""));
    fs::remove_file(&state).unwrap();
    let text = format!(
        "device_id = \"pump-7\"\nstate_dir = \"{}\"\n[broker]\nurl = \"{url}\"\nclient_id = \"pump\"\n[spool]\nbulk.bytes_max = 1048576\n\
         urgent.bytes_max = 1048576\ndurability = \"none\"\n[[source]]\ntype = \"stdin\"\n",
        state.display()
    );
    fs::write(&config, text).unwrap();
    let program = env!("CARGO_BIN_EXE_driftlog-agent");
    let mut running = Command::new(program)
        .args(["run", "--config"])
        .arg(&config)
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut peer = broker.accept_up().await;
    assert_eq!(peer.connect.client_id, "pump");
    peer.message().await;
    let checked =
        Command::new(program).args(["check", "--online", "--config"]).arg(&config).output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    let process = running.id();
    for line in [
        format!("\nspool    ok     in use by the agent that runs, process {process}\n"),
        format!(
            "\nbroker   note   not tried, for the agent that runs (process {process}) has the client id \"pump\"; it is connected to localhost:{}, and the gateway has not answered\n\
             hint: does the gateway run, connected to this broker?\n",
            broker.port()
        ),
    ] {
        assert!(said.contains(&line), "{said}\nhas not:{line}");
    }
    assert_eq!(checked.status.code(), Some(0), "{said}");
    let another = tokio::time::timeout(Duration::from_millis(100), broker.tcp()).await;
    assert!(another.is_err(), "nobody else connects");
    let status = Command::new(program).args(["status", "--json", "--config"]).arg(&config).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let link = &status["link"];
    assert_eq!((&link["is_up"], &link["connections"]), (&true.into(), &1.into()), "{status}");
    running.kill().unwrap();
    running.wait().unwrap();
}
