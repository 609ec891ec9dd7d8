//! `check --online`: clock, sources, spool and broker are tried as `run` would use them. Nothing is written or
//! published, and an agent that runs meanwhile goes on: its spool is not opened, its client id not taken.

mod broker;
mod clock;
mod sources;
mod spool;

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{DONE, FAILED, fail, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::status::{Status, ask};

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// As it should.
    Right,
    /// An agent works with it; somebody should know.
    Note,
    /// It has to be mended.
    Wrong,
}

/// What was found out about one thing.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    subject: &'static str,
    standing: Standing,
    what: String,
    hint: Option<String>,
}

impl Finding {
    fn right(subject: &'static str, what: String) -> Self {
        Self { subject, standing: Standing::Right, what, hint: None }
    }

    fn note(subject: &'static str, what: String, hint: impl Into<String>) -> Self {
        Self { subject, standing: Standing::Note, what, hint: Some(hint.into()) }
    }

    fn wrong(subject: &'static str, what: String, hint: impl Into<String>) -> Self {
        Self { subject, standing: Standing::Wrong, what, hint: Some(hint.into()) }
    }

    fn text(&self) -> String {
        let standing = match self.standing {
            Standing::Right => "ok",
            Standing::Note => "note",
            Standing::Wrong => "wrong",
        };
        let mut text = format!("{:<8} {standing:<6} {}\n", self.subject, self.what);
        if let Some(hint) = &self.hint {
            text.extend(["hint: ", hint, "\n"]);
        }
        text
    }
}

/// Whether an agent runs in the state directory.
enum Running {
    Yes(Box<Status>),
    No,
    /// It could not be asked: perhaps.
    Unknown(io::Error),
}

impl Running {
    fn of(state_dir: &Path) -> Self {
        match ask(state_dir) {
            Ok(status) => Self::Yes(Box::new(status)),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                Self::No
            }
            Err(error) => Self::Unknown(error),
        }
    }
}

/// Says how each thing stands as soon as it is known: the broker may take its time.
pub(super) fn check(config: &Config) -> u8 {
    let clock = match Clock::new(config.trial_clock.as_deref()) {
        Ok(clock) => Arc::new(clock),
        Err(error) => return fail(FAILED, format_args!("error: {error}")),
    };
    let running = Running::of(&config.state_dir);
    let looks: [&dyn Fn() -> Vec<Finding>; 4] = [
        &|| vec![clock::look(&clock)],
        &|| sources::look(config),
        &|| spool::look(config, &running),
        &|| vec![broker::look(config, &running, &clock)],
    ];
    let mut code = DONE;
    for look in looks {
        for finding in look() {
            if finding.standing == Standing::Wrong {
                code = FAILED;
            }
            code = code.max(say(&finding.text()));
        }
    }
    code
}
