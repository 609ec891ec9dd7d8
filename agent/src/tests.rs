//! The loop with a core and a link that only write down what happens.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::rc::Rc;

use super::*;
use link::Oversize;

const SESSION: SessionId = SessionId(7);

/// What was called, in order; shared by core and link.
type Journal = Rc<RefCell<Vec<String>>>;

struct ToldCore {
    journal: Journal,
    messages: VecDeque<Vec<u8>>,
    takes_at_once: usize,
    taken: Vec<u8>,
    is_up: bool,
}

impl Core for ToldCore {
    type Error = Infallible;

    fn open(_: Start<'_>) -> Result<Self, Infallible> {
        unreachable!("the tests make their own")
    }

    fn handle_link_up(&mut self, _: Now, session: SessionId) {
        self.is_up = true;
        self.journal.borrow_mut().push(format!("up {session}"));
    }

    fn handle_link_down(&mut self) {
        self.is_up = false;
        self.journal.borrow_mut().push("down".to_owned());
    }

    fn handle_down(&mut self, _: Now, message: &[u8]) {
        self.journal.borrow_mut().push(format!("heard {}", String::from_utf8_lossy(message)));
    }

    fn handle_changed(&mut self) {}

    fn handle_watched(&mut self, _: bool) {}

    fn handle_stdin(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.takes_at_once);
        self.taken.extend_from_slice(&bytes[..count]);
        count
    }

    fn handle_stdin_closed(&mut self) {
        let taken = String::from_utf8_lossy(&self.taken).into_owned();
        self.journal.borrow_mut().push(format!("stdin closed after {taken}"));
    }

    fn handle_memory(&mut self, bytes: u64) {
        assert!(bytes > 0);
    }

    fn poll(&mut self, _: Now) {}

    fn poll_publish(&mut self, _: Now, message: &mut Vec<u8>) -> bool {
        assert!(message.is_empty());
        self.messages.pop_front().is_some_and(|next| {
            message.extend(next);
            true
        })
    }

    fn poll_deadline(&self) -> Mono {
        // With bytes refused there is more to do at once; else there is nothing.
        if self.takes_at_once < usize::MAX { Mono(0) } else { Mono::FOREVER }
    }

    fn status(&mut self, _: Now) -> CoreStatus {
        CoreStatus::default()
    }

    fn stop(&mut self, _: Now) {
        self.journal.borrow_mut().push("stop".to_owned());
    }

    fn is_drained(&self) -> bool {
        self.messages.is_empty() && self.is_up
    }
}

struct ToldLink {
    journal: Journal,
    events: VecDeque<LinkEvent>,
    is_up: bool,
    /// Messages that it takes before it says that it is blocked.
    room: usize,
}

impl Link for ToldLink {
    async fn event(&mut self, is_blocked: bool) -> LinkEvent {
        let Some(event) = self.events.pop_front() else {
            if is_blocked && self.is_up {
                self.room = 1;
                self.journal.borrow_mut().push("ready".to_owned());
                return LinkEvent::Ready;
            }
            return std::future::pending().await;
        };
        self.is_up = !matches!(event, LinkEvent::Down { .. });
        event
    }

    fn is_up(&self) -> bool {
        self.is_up
    }

    fn is_ready(&self) -> bool {
        self.is_up && self.room > 0
    }

    fn publish(&mut self, message: Vec<u8>) -> Result<(), Oversize> {
        self.journal.borrow_mut().push(format!("sent {}", String::from_utf8_lossy(&message)));
        self.room -= 1;
        if message.len() > 9 { Err(Oversize { bytes: message.len() }) } else { Ok(()) }
    }

    async fn close(&mut self) {
        self.journal.borrow_mut().push("closed".to_owned());
    }
}

/// Runs a shell over this input until everything is drained, and returns what happened.
fn drive(
    input: &'static str,
    takes_at_once: usize,
    messages: &[&str],
    events: impl IntoIterator<Item = LinkEvent>,
    room: usize,
) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let text = "device_id = \"a\"\n[broker]\nurl = \"mqtt://b\"\n[[source]]\ntype = \"stdin\"\n";
    let config = Config::parse(Path::new("agent.toml"), text, None).unwrap();
    let state_dir = StateDir::take(dir.path()).unwrap();
    let journal = Journal::default();
    let core = ToldCore {
        journal: Rc::clone(&journal),
        messages: messages.iter().map(|message| message.as_bytes().to_vec()).collect(),
        takes_at_once,
        taken: Vec::new(),
        is_up: false,
    };
    let events = events.into_iter().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(Clock::new(None).unwrap());
        let shell = Shell {
            link: ToldLink { journal: Rc::clone(&journal), events, is_up: false, room },
            watch: Watch::new([]),
            stdin: Stdin::start(std::io::Cursor::new(input)).unwrap(),
            stdin_is_all: true,
            socket: StatusSocket::listen(&state_dir),
            shown: Shown::new(&config, clock.boot(), clock.now().mono),
            signals: Signals::new().unwrap(),
            measure_at: clock.now().mono,
            clock,
        };
        shell.drive(core).await;
    });
    journal.take()
}

fn only(journal: &[String], what: &str) -> Vec<String> {
    journal.iter().filter(|entry| entry.starts_with(what)).cloned().collect()
}

#[test]
fn what_the_core_gives_is_sent_as_the_link_has_room_and_the_end_comes_when_all_is_drained() {
    let up = LinkEvent::Up { session: SESSION };
    let journal = drive("", usize::MAX, &["one", "two", "three"], [up], 1);
    assert_eq!(only(&journal, "up"), [format!("up {SESSION}")]);
    assert_eq!(only(&journal, "sent"), ["sent one", "sent two", "sent three"]);
    // Between any two of them the link had room again, whatever else happened meanwhile.
    let at = |text: &str| journal.iter().position(|entry| entry == text).unwrap();
    for (one, next) in [("sent one", "sent two"), ("sent two", "sent three")] {
        assert!(journal[at(one)..at(next)].contains(&"ready".to_owned()), "{journal:?}");
    }
    assert_eq!(journal[journal.len() - 2..], ["stop", "closed"], "sealed before the end");
}

#[test]
fn what_the_link_hears_reaches_the_core_in_order() {
    let heard = |text: &str| LinkEvent::Message { payload: text.as_bytes().to_vec() };
    let lost = LinkEvent::Down { reason: "a test".to_owned() };
    let up = LinkEvent::Up { session: SESSION };
    // The core is drained only once it is up again.
    let journal = drive("", usize::MAX, &["one"], [lost, up, heard("a"), heard("b")], 9);
    let down_up = [only(&journal, "down"), only(&journal, "up")].concat();
    assert_eq!(down_up, ["down".to_owned(), format!("up {SESSION}")]);
    let before_the_end: Vec<_> = journal.iter().take_while(|entry| *entry != "stop").collect();
    assert!(before_the_end.iter().any(|entry| *entry == "sent one"));
}

#[test]
fn a_message_that_the_link_refuses_is_passed_over() {
    let up = LinkEvent::Up { session: SESSION };
    let journal = drive("", usize::MAX, &["a message that is too long", "short"], [up], 2);
    assert_eq!(only(&journal, "sent"), ["sent a message that is too long", "sent short"]);
}

#[test]
fn bytes_of_stdin_that_the_core_does_not_take_come_again_and_its_end_after_them() {
    let up = LinkEvent::Up { session: SESSION };
    let journal = drive("line one\nline two\n", 3, &[], [up], 1);
    assert_eq!(only(&journal, "stdin"), ["stdin closed after line one\nline two\n"]);
}

#[test]
fn asked_once_it_waits_for_acknowledgements_and_asked_twice_it_does_not() {
    let now = Mono(1_000_000_000);
    let once = Stop::No.asked(now);
    assert!(!once.is_reached(now, false, true));
    assert!(once.is_reached(now, true, true), "everything is acknowledged");
    assert!(once.is_reached(now, false, false), "nothing more can be");
    assert!(once.is_reached(now.plus_ms(STOP_WAIT_MS), false, true), "long enough");
    assert_eq!(once.deadline(), now.plus_ms(STOP_WAIT_MS));
    let later = now.plus_ms(10);
    assert!(once.asked(later).is_reached(later, false, true));
    assert!(!Stop::WhenDrained.is_reached(Mono::FOREVER, false, false), "what stdin gave is delivered");
    assert!(!Stop::No.is_reached(Mono::FOREVER, true, true));
}
