//! nginx, which gives a server TLS and users.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::Server;

/// The password of the one user.
const PASSWORD: &str = "driftlog-secret";

/// TLS and a password in front of a server that has neither.
#[derive(Debug)]
pub struct Nginx(Server);

impl Nginx {
    /// One that listens, before the server that listens at `behind`.
    ///
    /// # Errors
    /// When it cannot be had, or does not listen.
    pub fn start(folder: &Path, behind: SocketAddr) -> io::Result<Self> {
        let rest = vec![behind.port().to_string().into()];
        let mut server = Server::new("nginx", folder, rest, Vec::new())?;
        server.begin()?;
        server.wait(Server::listens)?;
        Ok(Self(server))
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.0.address())
    }

    /// The key by which the gateway trusts it.
    #[must_use]
    pub fn trust(&self) -> String {
        format!("ca_file = \"{}\"\n", self.0.folder().join("ca.pem").display())
    }

    /// The keys by which the gateway says who it is, with this password.
    ///
    /// # Errors
    /// When the password's file cannot be written.
    pub fn user(&self, password: &str) -> io::Result<String> {
        let file = self.0.folder().join(format!("password-{password}"));
        std::fs::write(&file, password)?;
        Ok(format!("username = \"driftlog\"\npassword_file = \"{}\"\n", file.display()))
    }

    /// The same with the right one.
    ///
    /// # Errors
    /// When the password's file cannot be written.
    pub fn right_user(&self) -> io::Result<String> {
        self.user(PASSWORD)
    }
}
