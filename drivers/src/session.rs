//! Opening a session and noticing its end: hello, welcome, silence.
//!
//! It never numbers a message and never closes a connection: it says why the session is over.

use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::auth::{Nonce, Sealer, SessionKey, StationKey};
use gondola_protocol::message::{Frame, Hello, Knock, Refusal, VERSION_MIN, Welcome, is_unsealed};
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
    #[error("the station chose version {found} of shelflink; versions {min} to {max} were offered")]
    Version {
        /// What it chose.
        found: u8,
        /// The lowest that was offered.
        min: u8,
        /// The highest.
        max: u8,
    },
    /// The station turned us away.
    #[error("the station refuses the session: {}", refusal_text(*.0))]
    Refused(Refusal),
    /// A radio of OpenEPaperLink answered at no speed.
    #[error("{questions} questions sent at two speeds, and none was answered")]
    NoAnswer {
        /// Questions that were sent.
        questions: u32,
    },
    /// A radio of OpenEPaperLink cannot use the channel.
    #[error("the radio refuses channel {0}")]
    Channel(u8),
    /// What answers is not the station whose key we hold.
    #[error("what answers cannot prove that it has the station's key")]
    Forged,
}

const fn refusal_text(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Version => "it speaks another version of shelflink",
        Refusal::KeyRequired => "it has a key, and none is configured here",
        Refusal::WrongKey => "its key is another one, or it has none",
        Refusal::UnknownSession => "it knows no such session any more",
    }
}

impl DownReason {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoConnection(_) => "is the station switched on, and are address and port right?",
            Self::Disconnected => "was the station restarted, or does another controller drive it?",
            Self::NoWelcome { .. } => "is it a shelflink station, and does another program use the port?",
            Self::NoAnswer { .. } => {
                "is it the radio's serial port, are RX and TX crossed, and does another program use the port?"
            }
            Self::Channel(_) => "choose 11, 15, 20 or 25",
            Self::Silent(_) | Self::GaveUp { .. } => "has the station power, and is the network in between up?",
            Self::WrongStation { .. } => "are the addresses of two stations exchanged in the configuration?",
            Self::Version { .. } | Self::Refused(Refusal::Version) => "update the station's firmware",
            Self::Refused(Refusal::KeyRequired) => "name the file with the station's key as `key_file`",
            Self::Refused(Refusal::WrongKey) | Self::Forged => {
                "is the key in `key_file` the station's, and does nobody else answer at its address?"
            }
            Self::Refused(Refusal::UnknownSession) => "was the station restarted, or does another controller drive it?",
        }
    }

    /// Whether somebody is there, but not the station that we are to drive.
    #[must_use]
    pub const fn is_impostor(&self) -> bool {
        matches!(
            self,
            Self::WrongStation { .. } | Self::Forged | Self::Refused(Refusal::WrongKey | Refusal::KeyRequired)
        )
    }
}

/// What a session waits for, how long, and with what it opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionOptions {
    pub(crate) hello_timeout: Duration,
    pub(crate) hellos_max: u32,
    pub(crate) silence_max: Duration,
    pub(crate) version_max: u8,
    pub(crate) key: Option<StationKey>,
}

impl SessionOptions {
    /// A key needs version 2: a session that could fall back to version 1 would be no keyed one.
    const fn version_min(&self) -> u8 {
        if self.key.is_some() { 2 } else { VERSION_MIN }
    }
}

#[derive(Debug)]
enum State {
    /// No connection.
    Idle,
    /// Hellos go out; a welcome is due.
    Greeting(Greeting),
    /// The session is open.
    Open { id: SessionId, epoch: u32, heard_at: Moment },
    /// The session is over and the connection is to be closed.
    Over,
}

/// A session that is being opened.
#[derive(Debug)]
struct Greeting {
    id: SessionId,
    /// The hello, the knock, or the answer to the challenge: the same bytes until something comes back.
    hello: Bytes,
    sent: u32,
    due: bool,
    sent_at: Moment,
}

impl Greeting {
    fn new(now: Moment, id: SessionId, hello: Bytes) -> Self {
        Self { id, hello, sent: 1, due: true, sent_at: now }
    }
}

/// The session with one station.
#[derive(Debug)]
pub(crate) struct Session {
    station: StationId,
    options: SessionOptions,
    state: State,
    /// Our half of the session's key.
    nonce: Nonce,
    /// The session's key, from the challenge to the end.
    seal: Option<SessionKey>,
}

impl Session {
    pub(crate) fn new(station: StationId, options: SessionOptions) -> Self {
        Self { station, options, state: State::Idle, nonce: Nonce::default(), seal: None }
    }

    /// Begins to greet the station on a new connection.
    pub(crate) fn greet(&mut self, now: Moment, id: SessionId) {
        let (version_min, version_max) = (self.options.version_min(), self.options.version_max);
        self.seal = None;
        let hello = match &self.options.key {
            None => Frame::Hello(Hello { session: id, version_min, version_max, time: now }),
            Some(key) => {
                self.nonce = Nonce::of_session(key, id, now);
                Frame::Knock(Knock { session: id, version_min, version_max, time: now, nonce: self.nonce })
            }
        };
        self.state = State::Greeting(Greeting::new(now, id, on_stream(&hello, None)));
    }

    /// The first challenge to our knock: it is answered, and from now on everything is sealed.
    pub(crate) fn handle_challenge(&mut self, now: Moment, id: SessionId, station: Nonce) {
        if let (State::Greeting(greeting), Some(key), None) = (&mut self.state, &self.options.key, &self.seal)
            && greeting.id == id
        {
            let seal = SessionKey::new(key, id, self.nonce, station);
            *greeting = Greeting::new(now, id, on_stream(&Frame::Answer { session: id }, Some(&seal)));
            self.seal = Some(seal);
        }
    }

    /// The station turned us away: why the session is over, unless anybody could have said that.
    pub(crate) fn handle_refusal(&self, id: SessionId, refusal: Refusal) -> Result<(), DownReason> {
        let is_credible = match &self.state {
            State::Greeting(_) => true,
            State::Open { .. } => self.seal.is_none() && refusal == Refusal::UnknownSession,
            State::Idle | State::Over => false,
        };
        if is_credible && self.is(id) { Err(DownReason::Refused(refusal)) } else { Ok(()) }
    }

    /// Our station says that it has just started: so the session is over, unless anybody could have said that.
    pub(crate) fn handle_announce(&self, station: &StationId) -> Result<(), DownReason> {
        let is_credible = matches!(self.state, State::Open { .. }) && self.seal.is_none() && *station == self.station;
        if is_credible { Err(DownReason::Refused(Refusal::UnknownSession)) } else { Ok(()) }
    }

    /// Takes the seal off a payload, where there must be one.
    pub(crate) fn unseal(&self, payload: Bytes) -> Result<Bytes, Unsealed> {
        if is_unsealed(&payload) {
            return Ok(payload);
        }
        match &self.seal {
            Some(seal) => seal.open(Sealer::Station, &payload).ok_or(Unsealed::Forged),
            None if self.options.key.is_some() => Err(Unsealed::Early),
            None => Ok(payload),
        }
    }

    /// The key that seals what goes out.
    pub(crate) const fn seal(&self) -> Option<&SessionKey> {
        self.seal.as_ref()
    }

    /// Whether a station could still prove that it has the key.
    pub(crate) const fn is_greeting(&self) -> bool {
        matches!(self.state, State::Greeting(_))
    }

    /// Whether the session was opened, or is being opened, with this id.
    pub(crate) fn is(&self, session: SessionId) -> bool {
        matches!(self.state, State::Greeting(Greeting { id, .. }) | State::Open { id, .. } if id == session)
    }

    /// Whether there is a session, open or opening.
    pub(crate) const fn is_active(&self) -> bool {
        matches!(self.state, State::Greeting(_) | State::Open { .. })
    }

    /// Whether the session is over and the connection is to be closed.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes a welcome with this session's id.
    pub(crate) fn handle_welcome(&mut self, now: Moment, welcome: &Welcome) -> Result<Opened, DownReason> {
        if let State::Open { epoch, .. } = self.state {
            if welcome.epoch != epoch {
                // It has restarted, and a hello that came again has opened the session anew there, but not here.
                return Err(DownReason::Refused(Refusal::UnknownSession));
            }
            self.heard(now);
            return Ok(Opened::Before);
        }
        let State::Greeting(Greeting { id, .. }) = self.state else { return Ok(Opened::Before) };
        let (min, max) = (self.options.version_min(), self.options.version_max);
        if !(min..=max).contains(&welcome.version) {
            return Err(DownReason::Version { found: welcome.version, min, max });
        }
        if welcome.station != self.station {
            let (expected, found) = (self.station.clone(), welcome.station.clone());
            return Err(DownReason::WrongStation { expected, found });
        }
        self.state = State::Open { id, epoch: welcome.epoch, heard_at: now };
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
            State::Greeting(greeting) if greeting.sent < self.options.hellos_max => {
                greeting.sent += 1;
                greeting.due = true;
                greeting.sent_at = now;
                Ok(())
            }
            State::Greeting(Greeting { sent, .. }) => {
                Err(DownReason::NoWelcome { hellos: *sent, waited: self.options.hello_timeout })
            }
            State::Open { .. } => Err(DownReason::Silent(self.options.silence_max)),
            State::Idle | State::Over => Ok(()),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        match &self.state {
            State::Greeting(Greeting { sent_at, .. }) => Some(*sent_at + self.options.hello_timeout),
            State::Open { heard_at, .. } => Some(*heard_at + self.options.silence_max),
            State::Idle | State::Over => None,
        }
    }

    /// The hello, when one is due.
    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        match &mut self.state {
            State::Greeting(Greeting { hello, due, .. }) => std::mem::take(due).then(|| hello.clone()),
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

/// Why a payload cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// Its seal is not the station's.
    Forged,
    /// It came before the challenge.
    Early,
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
            version_max: 2,
            key: None,
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
        let again = Welcome { epoch: 2, ..welcome("front", 1) };
        let restarted = session.handle_welcome(Moment::from_secs(59), &again);
        assert_eq!(restarted, Err(DownReason::Refused(Refusal::UnknownSession)));
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
        check(&welcome("front", 3), "the station chose version 3 of shelflink; versions 1 to 2 were offered");
    }
}
