//! Opening a session and noticing its end: hello, welcome, silence.
//!
//! It never numbers a message and never closes a connection: it says why the session is over.

use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::message::{Frame, Hello, VERSION, Welcome};
use gondola_protocol::{Moment, SessionId, StationId};

use crate::link::on_stream;

/// Why a session is over, or did not begin. The text is the cause; see also [`hint`](Self::hint).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// No connection came about.
    #[error("{0}")]
    NoConnection(String),
    /// The connection ended while the session was open or opening.
    #[error("the connection was closed at the other end")]
    Disconnected,
    /// No hello was answered.
    #[error("{hellos} hellos sent, each waited {} ms", waited.as_millis())]
    NoWelcome {
        /// Hellos that were sent.
        hellos: u32,
        /// How long each waited.
        waited: Duration,
    },
    /// Nothing valid was heard for too long.
    #[error("nothing heard for {} s; a station says something every 15 s", .0.as_secs())]
    Silent(Duration),
    /// Frames were sent again and again, and none was acknowledged.
    #[error("no ack within {timeouts} ack timeouts in a row")]
    GaveUp {
        /// Time-outs without progress.
        timeouts: u32,
    },
    /// Another station answers here.
    #[error("the station that answers calls itself `{found}`, not `{expected}`")]
    WrongStation {
        /// Whom we are configured to drive.
        expected: StationId,
        /// Who answered.
        found: StationId,
    },
    /// The station chose a version that was not offered.
    #[error("the station chose version {found} of shelflink, but only version {VERSION} was offered")]
    Version {
        /// What it chose.
        found: u8,
    },
}

impl DownReason {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoConnection(_) => "is the station switched on, and are address and port right?",
            Self::Disconnected => "was the station restarted, or does another controller drive it?",
            Self::NoWelcome { .. } => "is it a shelflink station of version 1, and does another program use the port?",
            Self::Silent(_) | Self::GaveUp { .. } => "has the station power, and is the network in between up?",
            Self::WrongStation { .. } => "are the addresses of two stations exchanged in the configuration?",
            Self::Version { .. } => "update the station's firmware",
        }
    }
}

/// What a session waits for, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionOptions {
    pub(crate) hello_timeout: Duration,
    pub(crate) hellos_max: u32,
    pub(crate) silence_max: Duration,
}

#[derive(Debug)]
enum State {
    /// No connection.
    Idle,
    /// Hellos go out; a welcome is due.
    Greeting { id: SessionId, hello: Bytes, sent: u32, due: bool, sent_at: Moment },
    /// The session is open.
    Open { id: SessionId, heard_at: Moment },
    /// The session is over and the connection is to be closed.
    Over,
}

/// The session with one station.
#[derive(Debug)]
pub(crate) struct Session {
    station: StationId,
    options: SessionOptions,
    state: State,
}

impl Session {
    pub(crate) const fn new(station: StationId, options: SessionOptions) -> Self {
        Self { station, options, state: State::Idle }
    }

    /// Begins to greet the station on a new connection.
    pub(crate) fn greet(&mut self, now: Moment, id: SessionId) {
        let hello = Hello { session: id, version_min: VERSION, version_max: VERSION, time: now };
        let hello = on_stream(&Frame::Hello(hello));
        self.state = State::Greeting { id, hello, sent: 1, due: true, sent_at: now };
    }

    /// Whether the session was opened, or is being opened, with this id.
    pub(crate) fn is(&self, session: SessionId) -> bool {
        matches!(self.state, State::Greeting { id, .. } | State::Open { id, .. } if id == session)
    }

    /// Whether there is a session, open or opening.
    pub(crate) const fn is_active(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Open { .. })
    }

    /// Whether the session is over and the connection is to be closed.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes a welcome with this session's id.
    pub(crate) fn handle_welcome(&mut self, now: Moment, welcome: &Welcome) -> Result<Opened, DownReason> {
        let State::Greeting { id, .. } = self.state else {
            self.heard(now);
            return Ok(Opened::Before);
        };
        if welcome.version != VERSION {
            return Err(DownReason::Version { found: welcome.version });
        }
        if welcome.station != self.station {
            let (expected, found) = (self.station.clone(), welcome.station.clone());
            return Err(DownReason::WrongStation { expected, found });
        }
        self.state = State::Open { id, heard_at: now };
        Ok(Opened::Now)
    }

    /// A frame of the session came.
    pub(crate) fn heard(&mut self, now: Moment) {
        if let State::Open { heard_at, .. } = &mut self.state {
            *heard_at = now;
        }
    }

    /// Repeats the hello, or says why the session is over.
    pub(crate) fn handle_timeout(&mut self, now: Moment) -> Result<(), DownReason> {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return Ok(());
        }
        match &mut self.state {
            State::Greeting { sent, due, sent_at, .. } if *sent < self.options.hellos_max => {
                *sent += 1;
                *due = true;
                *sent_at = now;
                Ok(())
            }
            State::Greeting { sent, .. } => {
                Err(DownReason::NoWelcome { hellos: *sent, waited: self.options.hello_timeout })
            }
            State::Open { .. } => Err(DownReason::Silent(self.options.silence_max)),
            State::Idle | State::Over => Ok(()),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        match &self.state {
            State::Greeting { sent_at, .. } => Some(*sent_at + self.options.hello_timeout),
            State::Open { heard_at, .. } => Some(*heard_at + self.options.silence_max),
            State::Idle | State::Over => None,
        }
    }

    /// The hello, when one is due.
    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        match &mut self.state {
            State::Greeting { hello, due, .. } => std::mem::take(due).then(|| hello.clone()),
            _ => None,
        }
    }

    /// Ends the session; the connection is still to be closed.
    pub(crate) fn end(&mut self) {
        self.state = State::Over;
    }

    /// The connection is closed.
    pub(crate) fn reset(&mut self) {
        self.state = State::Idle;
    }
}

/// Whether a welcome opened the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It did.
    Now,
    /// It is a repeated one.
    Before,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let options = SessionOptions {
            hello_timeout: Duration::from_millis(800),
            hellos_max: 5,
            silence_max: Duration::from_secs(45),
        };
        let mut session = Session::new("front".parse().unwrap(), options);
        session.greet(Moment::ZERO, SessionId(9));
        session
    }

    fn welcome(station: &str, version: u8) -> Welcome {
        Welcome {
            session: SessionId(9),
            version,
            station: station.parse().unwrap(),
            epoch: 1,
            encodings: 0b11,
            window: 8,
            payload_max: 4_096,
            transfers_max: 64,
            bytes_max: 262_144,
        }
    }

    #[test]
    fn five_equal_hellos_go_out_and_then_the_session_is_over() {
        let mut session = session();
        let mut hellos = Vec::new();
        let reason = loop {
            hellos.extend(session.poll_transmit());
            assert_eq!(session.poll_transmit(), None);
            let at = session.poll_timeout().unwrap();
            if let Err(reason) = session.handle_timeout(at) {
                assert_eq!(at, Moment::from_millis(5 * 800));
                break reason;
            }
        };
        assert_eq!(hellos.len(), 5);
        assert!(hellos.iter().all(|hello| *hello == hellos[0]));
        assert_eq!(reason.to_string(), "5 hellos sent, each waited 800 ms");
    }

    #[test]
    fn silence_is_counted_from_what_was_heard_last() {
        let mut session = session();
        assert_eq!(session.handle_welcome(Moment::ZERO, &welcome("front", 1)), Ok(Opened::Now));
        session.heard(Moment::from_secs(15));
        assert_eq!(session.handle_timeout(Moment::from_secs(59)), Ok(()));
        assert_eq!(session.handle_welcome(Moment::from_secs(59), &welcome("front", 1)), Ok(Opened::Before));
        let silent = session.handle_timeout(Moment::from_secs(59 + 45)).unwrap_err();
        assert_eq!(silent.to_string(), "nothing heard for 45 s; a station says something every 15 s");
    }

    #[test]
    fn another_station_and_another_version_are_named() {
        #[track_caller]
        fn check(welcome: &Welcome, expected: &str) {
            let reason = session().handle_welcome(Moment::ZERO, welcome).unwrap_err();
            assert_eq!(reason.to_string(), expected);
        }
        check(&welcome("back", 1), "the station that answers calls itself `back`, not `front`");
        check(&welcome("front", 2), "the station chose version 2 of shelflink, but only version 1 was offered");
    }
}
