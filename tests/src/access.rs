//! What a broker wants of those who connect.

use std::fs;
use std::io;
use std::path::Path;

/// What a broker wants of those who connect.
#[derive(Clone, Debug)]
pub struct Access {
    /// `mqtt` or `mqtts`.
    pub scheme: &'static str,
    /// More keys of the section `broker`, a line each.
    pub keys: String,
}

impl Default for Access {
    fn default() -> Self {
        Self { scheme: "mqtt", keys: String::new() }
    }
}

impl Access {
    /// TLS, a user and a password, at a broker whose folder holds `ca.pem`. The password's file is put there too.
    ///
    /// # Errors
    /// When the password's file cannot be written.
    pub fn user(folder: &Path, user: &str, password: &str) -> io::Result<Self> {
        let file = folder.join(format!("password-of-{user}"));
        fs::write(&file, password)?;
        let keys = format!(
            "ca_file = \"{}\"\nusername = \"{user}\"\npassword_file = \"{}\"\n",
            folder.join("ca.pem").display(),
            file.display()
        );
        Ok(Self { scheme: "mqtts", keys })
    }
}
