//! How a station comes to a session: hellos, and for a station with a key knock, challenge and answer.

use std::ops::RangeInclusive;

use bytes::Bytes;
use gondola_protocol::auth::{Nonce, SEAL_BYTES, Sealer, SessionKey};
use gondola_protocol::frame::PAYLOAD_MAX;
use gondola_protocol::message::{Frame, Hello, Knock, Refusal, VERSION_MIN, Welcome, is_unsealed};
use gondola_protocol::{Moment, SessionId};

use super::{Link, Session, Station};

/// A knock that was answered with a challenge.
#[derive(Debug)]
pub(super) struct Knocked {
    session: SessionId,
    version: u8,
    /// The controller's, to tell a repeated knock from a new one.
    controller: Nonce,
    station: Nonce,
    seal: SessionKey,
}

impl Station {
    pub(super) fn handle_hello(&mut self, now: Moment, hello: &Hello) {
        let offered = hello.version_min..=hello.version_max;
        if self.options.key.is_some() {
            return self.refuse(hello.session, Refusal::KeyRequired);
        }
        let Some(version) = self.choose(offered, VERSION_MIN) else {
            return self.refuse(hello.session, Refusal::Version);
        };
        self.open(now, hello.session, version, None);
    }

    pub(super) fn handle_knock(&mut self, knock: &Knock) {
        let Some(key) = self.options.key else {
            return self.refuse(knock.session, Refusal::WrongKey);
        };
        let Some(version) = self.choose(knock.version_min..=knock.version_max, 2) else {
            return self.refuse(knock.session, Refusal::Version);
        };
        let again = |knocked: &&Knocked| (knocked.session, knocked.controller) == (knock.session, knock.nonce);
        let nonce = match self.knocked.as_ref().filter(again) {
            Some(knocked) => knocked.station,
            None => self.nonces.nonce(),
        };
        let seal = SessionKey::new(&key, knock.session, knock.nonce, nonce);
        let (session, controller) = (knock.session, knock.nonce);
        self.knocked = Some(Knocked { session, version, controller, station: nonce, seal });
        self.greet();
        self.transmit(Frame::Challenge { session, nonce }.encode());
    }

    /// The seal was good, so whoever answers has our key.
    pub(super) fn handle_answer(&mut self, now: Moment, id: SessionId) {
        if let Some(knocked) = self.knocked.take_if(|knocked| knocked.session == id) {
            self.open(now, id, knocked.version, Some(knocked.seal));
        } else if let Some(session) = self.session.as_ref().filter(|session| session.id == id) {
            let version = session.version;
            self.open(now, id, version, None);
        }
    }

    /// Opens a session, or says welcome once more to the one that is open.
    fn open(&mut self, now: Moment, id: SessionId, version: u8, seal: Option<SessionKey>) {
        if self.session.as_ref().is_none_or(|session| session.id != id) {
            self.counters.voided += self.session.as_ref().map_or(0, |session| session.waiting.len() as u64);
            self.counters.sessions += 1;
            self.session = Some(Session::new(now, id, version, seal, &self.options));
            self.turned_over = true;
            self.out.clear();
        } else if self.link == Link::Silent
            && let Some(session) = &mut self.session
        {
            session.uplink.restart_timers(now);
        }
        self.greet();
        let welcome = Frame::Welcome(self.welcome(id, version)).encode();
        self.transmit_sealed(welcome);
    }

    fn welcome(&self, session: SessionId, version: u8) -> Welcome {
        Welcome {
            session,
            version,
            station: self.options.id.clone(),
            epoch: self.epoch,
            encodings: self.options.encodings,
            window: self.options.window,
            payload_max: u32::try_from(PAYLOAD_MAX).expect("96 KiB fit"),
            transfers_max: self.options.transfers_max,
            bytes_max: self.options.bytes_max,
        }
    }

    /// The highest version that both speak, from `min` on.
    fn choose(&self, offered: RangeInclusive<u8>, min: u8) -> Option<u8> {
        (min..=self.options.version_max).rev().find(|version| offered.contains(version))
    }

    /// Turns a controller away. Stations of version 1 say nothing.
    pub(super) fn refuse(&mut self, session: SessionId, refusal: Refusal) {
        self.counters.refusals += 1;
        if self.options.version_max >= 2 && self.link != Link::Down {
            self.send(Frame::Refused { session, refusal }.encode());
        }
    }

    /// Takes the seal off a payload, and answers one that is not the controller's with a refusal.
    pub(super) fn unseal(&mut self, payload: Bytes) -> Option<Bytes> {
        let opens = matches!(Frame::decode(&payload), Ok(Frame::Hello(_)));
        if self.options.key.is_none() || opens || is_unsealed(&payload) {
            return Some(payload);
        }
        let session = self.session.as_ref().and_then(|session| session.seal.as_ref());
        let knocked = self.knocked.as_ref().map(|knocked| &knocked.seal);
        let opened = [knocked, session].into_iter().flatten().find_map(|seal| seal.open(Sealer::Controller, &payload));
        if opened.is_none() {
            self.counters.frames_forged += 1;
            let claimed = payload.slice(..payload.len().saturating_sub(SEAL_BYTES));
            match Frame::decode(&claimed) {
                Ok(Frame::Answer { session }) if self.knocked.is_some() => self.refuse(session, Refusal::WrongKey),
                Ok(Frame::Answer { session } | Frame::Data { session, .. }) if self.session.is_none() => {
                    self.refuse(session, Refusal::UnknownSession);
                }
                _ => {}
            }
        }
        opened
    }
}
