//! A Kafka, read by kcat.

use std::io;
use std::path::Path;
use std::process::{Command, Output};

use super::{Server, Sink, install, script};
use crate::process::run;

/// The topic of the records.
const TOPIC: &str = "driftlog.records";
/// The user's password, where there are users.
const PASSWORD: &str = "driftlog-secret";

/// How a Kafka is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants {
    /// TLS, and of each user a password and permissions.
    pub is_secure: bool,
    /// A topic that somebody writes to and that is not there is made.
    pub makes_topics: bool,
}

/// One broker of Kafka.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    is_secure: bool,
}

impl Kafka {
    /// A broker that answers.
    ///
    /// # Errors
    /// When it cannot be had, or does not answer.
    pub fn start(folder: &Path, wants: Wants) -> io::Result<Self> {
        install("kcat", "kcat")?;
        let Wants { is_secure, makes_topics } = wants;
        let rest = is_secure.then(|| "secure".into()).into_iter().collect();
        let server = Server::new("kafka", folder, rest, vec![("AUTO_CREATE", makes_topics.to_string())])?;
        let mut kafka = Self { server, is_secure };
        kafka.start_again()?;
        Ok(kafka)
    }

    /// Starts it with what it has, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.server.begin()?;
        let administration = self.administration();
        self.server.wait(|_| kcat(&administration, &["-L", "-m", "2"]).is_ok_and(|out| out.status.success()))
    }

    /// The server that it is.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Where clients find it.
    #[must_use]
    pub fn brokers(&self) -> String {
        self.server.address().to_string()
    }

    /// The keys by which the gateway says who it is, with this password.
    ///
    /// # Errors
    /// When the password's file cannot be written.
    pub fn user(&self, password: &str) -> io::Result<String> {
        let folder = self.server.folder();
        let file = folder.join(format!("password-{password}"));
        std::fs::write(&file, password)?;
        Ok(format!(
            "tls = true\nca_file = \"{}\"\nsasl = \"scram-sha-512\"\nusername = \"driftlog\"\npassword_file = \"{}\"\n",
            folder.join("ca.pem").display(),
            file.display()
        ))
    }

    /// The keys of the user who may come in, if there are users.
    ///
    /// # Errors
    /// When the password's file cannot be written.
    pub fn right_user(&self) -> io::Result<String> {
        if self.is_secure { self.user(PASSWORD) } else { Ok(String::new()) }
    }

    /// For its administrator, without users and TLS.
    fn administration(&self) -> String {
        format!("127.0.0.1:{}", self.server.port + 2)
    }

    /// What kcat says.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn kcat(&self, arguments: &[&str]) -> io::Result<Output> {
        kcat(&self.administration(), arguments)
    }

    /// What is committed in a topic, each partition in order; `form` is kcat's.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn committed(&self, topic: &str, form: &str) -> io::Result<Vec<String>> {
        let read = ["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed"];
        let output = self.kcat(&[&read[..], &["-f", form]].concat())?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let text = String::from_utf8(output.stdout).map_err(io::Error::other)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Runs one of Kafka's own tools.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> io::Result<()> {
        let mut command = Command::new("java");
        command.arg("-cp").arg(script("cache/kafka/*")).arg(class);
        command.args(["--bootstrap-server", &self.administration()]).args(arguments);
        let output = run(command)?;
        match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("{class}: {}", String::from_utf8_lossy(&output.stderr)))),
        }
    }
}

impl Sink for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn section(&self, more: &str) -> io::Result<String> {
        let (brokers, user) = (self.brokers(), self.right_user()?);
        Ok(format!("[kafka]\nbrokers = [\"{brokers}\"]\n{user}{more}\n"))
    }

    fn documents(&self) -> io::Result<Vec<String>> {
        self.committed(TOPIC, "%s\n")
    }
}

fn kcat(broker: &str, arguments: &[&str]) -> io::Result<Output> {
    let mut command = Command::new("kcat");
    command.arg("-b").arg(broker).args(arguments);
    run(command)
}
