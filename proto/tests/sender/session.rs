//! One connection: greeting, answers, what is kept over the next one.

use driftlog_proto::ids::{AckNumber, SessionId};
use driftlog_proto::message::{Ack, Echo, Returned};
use driftlog_proto::sender::{HELLO_MS_MAX, HELLO_MS_MIN, Heard, Session};
use driftlog_proto::time::{Mono, Unix};

use crate::log::at;

const SESSION: SessionId = SessionId(7);

fn number(generation: u64, counter: u64) -> AckNumber {
    AckNumber { generation, counter }
}

/// An `Ack` that echoes this session, or none.
fn ack(number: AckNumber, session: Option<SessionId>) -> Ack {
    let echo = session.map(|session| Echo { session, mono: Mono(0), received: Unix(0) });
    Ack { number, sent: Unix(55), echo, lanes: heapless::Vec::new() }
}

fn connected() -> Session {
    let mut session = Session::default();
    session.handle_link_up(SESSION);
    session
}

#[test]
fn without_a_connection_no_hello_is_due() {
    let mut session = Session::default();
    assert_eq!((session.id(), session.poll_deadline()), (None, Mono::FOREVER));
    assert!(!session.poll_hello(Mono::FOREVER));
    assert!(!session.poll_hello(at(0)));
    session.handle_link_up(SESSION);
    assert!(session.poll_hello(at(0)));
    session.handle_link_down();
    assert_eq!((session.id(), session.poll_deadline()), (None, Mono::FOREVER));
    assert!(!session.poll_hello(at(1_000_000)));
}

#[test]
fn hello_is_said_at_once_and_again_until_it_is_answered() {
    let mut session = connected();
    assert_eq!((session.id(), session.poll_deadline()), (Some(SESSION), Mono(0)));
    assert_eq!(session.unanswered(), 0);
    assert!(session.poll_hello(at(5)));
    assert_eq!(session.unanswered(), 1);
    let mut said = 5;
    for wait in [HELLO_MS_MIN, 4_000, 8_000, 16_000, 32_000, HELLO_MS_MAX, HELLO_MS_MAX] {
        assert_eq!(session.poll_deadline(), at(said + wait));
        assert!(!session.poll_hello(Mono(at(said + wait).0 - 1)));
        said += wait;
        assert!(session.poll_hello(at(said)));
    }
    assert!(!session.is_answered());
    session.handle_ack(at(said), &ack(number(1, 1), Some(SESSION)));
    assert!(session.is_answered());
}

#[test]
fn the_first_answer_is_of_a_new_generation_which_is_greeted_once_more() {
    let mut session = connected();
    for ms in [0, 2_000, 6_000] {
        assert!(session.poll_hello(at(ms)));
    }
    let heard = session.handle_ack(at(6_100), &ack(number(3, 4), Some(SESSION)));
    assert_eq!(heard, Heard { is_new_generation: true, is_credit_valid: true });
    assert!(session.poll_hello(at(6_100)), "at once");
    assert_eq!(session.poll_deadline(), Mono::FOREVER, "it was answered");
    let heard = session.handle_ack(at(6_200), &ack(number(3, 5), Some(SESSION)));
    assert_eq!(heard, Heard { is_new_generation: false, is_credit_valid: true });
    assert!(!session.poll_hello(at(6_200)));
}

#[test]
fn a_new_generation_that_answers_somebody_else_is_greeted_anew_from_the_shortest_wait() {
    let mut session = connected();
    for ms in [0, 2_000, 6_000] {
        assert!(session.poll_hello(at(ms)));
    }
    let heard = session.handle_ack(at(7_000), &ack(number(3, 4), Some(SessionId(8))));
    assert_eq!(heard, Heard { is_new_generation: true, is_credit_valid: false });
    assert!(!session.is_answered());
    assert!(session.poll_hello(at(7_000)));
    assert_eq!(session.poll_deadline(), at(7_000 + HELLO_MS_MIN));
}

#[test]
fn only_the_newest_answer_to_this_session_gives_credit_and_time() {
    let mut session = connected();
    let valid = |session: &mut Session, ms, ack: Ack| session.handle_ack(at(ms), &ack).is_credit_valid;
    assert!(!valid(&mut session, 1, ack(number(1, 9), None)));
    assert!(!valid(&mut session, 2, ack(number(1, 9), Some(SessionId(8)))));
    assert_eq!((session.returned(), session.is_answered()), (None, false));
    assert!(valid(&mut session, 3, ack(number(1, 2), Some(SESSION))), "older than what was retained");
    let returned = Returned { number: number(1, 2), sent: Unix(55), heard: at(3) };
    assert_eq!(session.returned(), Some(returned));
    assert!(!valid(&mut session, 4, ack(number(1, 2), Some(SESSION))), "the same again");
    assert!(!valid(&mut session, 4, ack(number(1, 1), Some(SESSION))), "an older one");
    assert_eq!(session.returned(), Some(returned));
    assert!(valid(&mut session, 5, ack(number(1, 3), Some(SESSION))));
    assert_eq!(session.returned().map(|returned| returned.heard), Some(at(5)));
}

#[test]
fn the_newest_number_heard_outlives_the_connection_and_nothing_else_does() {
    let mut session = connected();
    assert_eq!(session.heard(), AckNumber::default());
    session.handle_ack(at(1), &ack(number(2, 5), Some(SESSION)));
    session.handle_ack(at(2), &ack(number(2, 3), Some(SESSION)));
    session.handle_ack(at(2), &ack(number(1, 9), Some(SESSION)));
    assert_eq!(session.heard(), number(2, 5));
    session.handle_link_down();
    assert_eq!((session.heard(), session.returned()), (number(2, 5), None));
    assert!(!session.is_answered());
    let heard = session.handle_ack(at(3), &ack(number(3, 1), None));
    assert_eq!(heard, Heard { is_new_generation: true, is_credit_valid: false }, "nobody answers nobody");
    assert_eq!(session.poll_deadline(), Mono::FOREVER);
    session.handle_link_up(SESSION);
    session.handle_ack(at(4), &ack(number(3, 2), Some(SESSION)));
    session.handle_link_up(SessionId(9));
    assert_eq!((session.id(), session.heard(), session.returned()), (Some(SessionId(9)), number(3, 2), None));
    assert!(!session.is_answered());
    assert!(session.poll_hello(at(4)));
}
