//! The broker: name, connection, TLS, user, topics, by the code of the link.

use std::sync::Arc;

use super::{Finding, Running};
use crate::clock::Clock;
use crate::config::Config;
use crate::identity;
use crate::link::mqtt::try_once;
use crate::status::Status;

const SUBJECT: &str = "broker";

/// Under a configured client id only where no agent is connected with it; otherwise under one of its own.
pub(super) fn look(config: &Config, running: &Running, clock: &Arc<Clock>) -> Finding {
    if let Some(id) = &config.broker.client_id {
        match running {
            Running::Yes(status) => return of_agent(status, id),
            Running::Unknown(_) => {
                let what = format!("not tried: an agent may be connected as {id:?}");
                return Finding::note(SUBJECT, what, "check as the agent's user, or stop it first");
            }
            Running::No => {}
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Finding::wrong(SUBJECT, error.to_string(), "the system gives no runtime"),
    };
    let broker = &config.broker;
    let tried = try_once(broker.clone(), &config.device_id, identity::new_run(), Arc::clone(clock));
    let tried = runtime.block_on(tried);
    // A look-up of the broker's name may hang for long; nobody waits for it.
    runtime.shutdown_background();
    match tried {
        Ok(address) => {
            let (with, user) = (if broker.tls.is_some() { " with TLS" } else { "" }, &broker.username);
            let user =
                user.as_ref().map_or_else(|| "without a user".to_owned(), |user| format!("as {user:?}"));
            Finding::right(
                SUBJECT,
                format!("{} is {address}; connected{with} {user}, topics may be read", broker.host),
            )
        }
        Err(refusal) => Finding::wrong(SUBJECT, refusal.reason, refusal.hint),
    }
}

/// What the agent says that has the client id.
fn of_agent(status: &Status, id: &str) -> Finding {
    let link = &status.link;
    let who = format!(
        "not tried, for the agent that runs (process {}) has the client id {id:?}; it is",
        status.process
    );
    match &link.last_error {
        _ if link.is_up && status.core.answered => {
            Finding::right(SUBJECT, format!("{who} connected to {}, and the gateway answers", link.broker))
        }
        _ if link.is_up => {
            let what = format!("{who} connected to {}, and the gateway has not answered", link.broker);
            Finding::note(SUBJECT, what, "does the gateway run, connected to this broker?")
        }
        Some(error) => {
            Finding::wrong(SUBJECT, format!("{who} not connected: {error}"), "stop it, and check again")
        }
        None => {
            Finding::note(SUBJECT, format!("{who} connecting to {}", link.broker), "check again in a moment")
        }
    }
}
