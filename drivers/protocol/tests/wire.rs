//! Bytes that nobody sends on purpose, from the stream to the message: none panics, none takes more memory than is
//! stated, and what is read is written back as the same bytes. Every case follows from its seed.
//!
//! Some thousand cases; with `GONDOLA_FUZZ_SECONDS` as many as that time allows.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::alloc::System;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cap::Cap;
use gondola_protocol::auth::Nonce;
use gondola_protocol::frame::{self, FrameDecoder, PAYLOAD_MAX};
use gondola_protocol::message::{
    Action, CheckIn, Clock, Command, Credits, Downlink, Encoding, Firmware, Frame, Hello, Knock, Lane, Reason, Refusal,
    Report, Slot, Staged, Status, Transfer, Uplink, Welcome,
};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Moment, SequenceNumber, SessionId, TransferNumber};

/// Ends the test when more is allocated than the limit allows.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What a message may take for each byte of its frame, and beside that. The hungriest is a list of firmware texts,
/// ten bytes each on the wire and some forty in memory, in a list that doubles as it grows.
const MEMORY_PER_BYTE: usize = 12;
const MEMORY_BESIDE: usize = 1_024;

/// What finding a frame in a stream may take: the frame as it came and its payload, each in a list that doubles.
const STREAM_MEMORY: usize = 4 * (PAYLOAD_MAX + 1_024);

/// Cases without `GONDOLA_FUZZ_SECONDS`.
const CASES: u64 = 20_000;

/// Splitmix64, by S. Vigna.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// A number that is often at the edge of what its field holds.
    fn edge(&mut self) -> u64 {
        [0, 1, self.next() % 300, u64::MAX, self.next()][self.below(5)]
    }

    fn u32(&mut self) -> u32 {
        u32::try_from(self.edge() & u64::from(u32::MAX)).unwrap()
    }

    fn u16(&mut self) -> u16 {
        u16::try_from(self.edge() & u64::from(u16::MAX)).unwrap()
    }

    fn u8(&mut self) -> u8 {
        u8::try_from(self.edge() & u64::from(u8::MAX)).unwrap()
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn many<T>(&mut self, bytes: usize, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        // Now and then as many as a frame holds.
        let most = if self.below(400) == 0 { (PAYLOAD_MAX - 32) / bytes } else { 20 };
        let count = self.below(most + 1);
        (0..count).map(|_| item(self)).collect()
    }

    fn transfer(&mut self) -> Transfer {
        let length = self.below(100);
        Transfer {
            number: TransferNumber(self.u32()),
            label: LabelId(self.edge()),
            panel: "bwr-296x128".parse().unwrap(),
            edition: Edition(self.edge()),
            digest: Digest([self.u8(); 16]),
            lane: self.one(&Lane::ALL),
            encoding: self.one(&Encoding::ALL),
            data: vec![self.u8(); length].into(),
        }
    }

    fn check_in(&mut self) -> CheckIn {
        CheckIn {
            label: LabelId(self.edge()),
            panel: "bw-8x1".parse().unwrap(),
            reason: self.one(&Reason::ALL),
            edition: Edition(self.edge()),
            digest: Digest([self.u8(); 16]),
            battery_mv: Millivolts(self.u16()),
            rssi_dbm: -61,
            temperature_c: 21,
            firmware: self.u16(),
        }
    }

    fn report(&mut self) -> Report {
        let slots = self.below(8);
        let slot = |dice: &mut Self| Slot {
            slot: 1 + u8::try_from(dice.below(7)).unwrap(),
            edition: Edition(dice.edge()),
            digest: Digest([dice.u8(); 16]),
            activate_at: Moment::from_micros(dice.edge()),
        };
        Report { check_in: self.check_in(), encodings: self.u8(), slots: (0..slots).map(|_| slot(self)).collect() }
    }

    /// A message of every kind.
    fn body(&mut self) -> Bytes {
        match self.below(10) {
            0 => Downlink::Batch(self.many(147, Self::transfer)).encode(),
            1 => Downlink::Cancel(self.many(4, |dice| TransferNumber(dice.u32()))).encode(),
            2 => {
                let staged = |dice: &mut Self| Staged {
                    slot: 1 + u8::try_from(dice.below(7)).unwrap(),
                    activate_at: Moment::from_micros(dice.edge()),
                    transfer: dice.transfer(),
                };
                Downlink::Stage(self.many(156, staged)).encode()
            }
            3 => {
                let action = self.one(&[Action::Ping, Action::Page { slot: 7 }, Action::Drop { slot: 1 }]);
                let labels = self.many(12, |dice| (TransferNumber(dice.u32()), LabelId(dice.edge())));
                Downlink::Command(Command { action, lane: self.one(&Lane::ALL), labels }).encode()
            }
            4 => Uplink::Statuses(self.many(5, |dice| (TransferNumber(dice.u32()), dice.one(&Status::ALL)))).encode(),
            5 => Uplink::CheckIns(self.many(CheckIn::LENGTH, Self::check_in)).encode(),
            6 => Uplink::Presence(self.many(8, |dice| LabelId(dice.edge()))).encode(),
            7 => Uplink::Reports(self.many(Report::LENGTH_MAX, Self::report)).encode(),
            8 => {
                let text = |dice: &mut Self| (LabelId(dice.edge()), Firmware::new("x").unwrap());
                Uplink::Firmware(self.many(10, text)).encode()
            }
            _ => {
                let (told, station) = (Moment::from_micros(self.edge()), Moment::from_micros(self.edge()));
                let credits = Credits { transfers_max: self.u16(), bytes_max: self.u32() };
                let all = [Uplink::Clock(Clock { told, station }), Uplink::Credits(credits)];
                all[self.below(2)].encode()
            }
        }
    }

    fn frame(&mut self) -> Frame {
        let (session, nonce) = (SessionId(self.u32()), Nonce([self.u8(); 16]));
        let (version_min, version_max, time) = (self.u8(), self.u8(), Moment::from_micros(self.edge()));
        match self.below(12) {
            0 => Frame::Hello(Hello { session, version_min, version_max, time }),
            1 => Frame::Welcome(Welcome {
                session,
                version: version_max,
                station: "front".parse().unwrap(),
                epoch: self.u32(),
                encodings: self.u8(),
                window: self.u8(),
                payload_max: self.u32(),
                transfers_max: self.u16(),
                bytes_max: self.u32(),
            }),
            2 => Frame::Ack { session, next: SequenceNumber(self.u32()) },
            3 => Frame::Knock(Knock { session, version_min, version_max, time, nonce }),
            4 => Frame::Challenge { session, nonce },
            5 => Frame::Refused { session, refusal: self.one(&Refusal::ALL) },
            _ => Frame::Data { session, sequence: SequenceNumber(self.u32()), body: self.body() },
        }
    }

    /// A few bits flipped, bytes cut, repeated or put in.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len().max(1));
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] = self.u8(),
                1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                3 if bytes.len() < PAYLOAD_MAX / 2 => bytes.extend_from_within(at.min(bytes.len())..),
                _ => bytes.insert(at.min(bytes.len()), self.u8()),
            }
        }
        bytes.truncate(PAYLOAD_MAX);
    }
}

/// Runs `work` with no more memory than `limit` beside what is in use.
fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + limit).unwrap();
    let made = work();
    ALLOCATOR.set_limit(usize::MAX).unwrap();
    made
}

/// Reads a payload as far as it goes, and answers whether it was a message.
fn read(payload: &Bytes) -> bool {
    let limit = payload.len() * MEMORY_PER_BYTE + MEMORY_BESIDE;
    let Ok(frame) = within(limit, || Frame::decode(payload)) else { return false };
    assert_eq!(frame.encode(), payload[..]);
    let Frame::Data { body, .. } = frame else { return true };
    let down = within(limit, || Downlink::decode(&body));
    let up = within(limit, || Uplink::decode(&body));
    let again = down.map(|message| message.encode()).or_else(|_| up.map(|message| message.encode()));
    again.is_ok_and(|again| {
        assert_eq!(again, body);
        true
    })
}

#[test]
fn the_wire_takes_any_bytes() {
    let seconds = std::env::var("GONDOLA_FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    #[expect(clippy::disallowed_methods, reason = "only how many cases there are depends on it")]
    let began = Instant::now();
    let (mut cases, mut messages) = (0, 0_u64);
    while seconds.map_or(cases < CASES, |seconds| began.elapsed() < Duration::from_secs(seconds)) {
        let mut dice = Dice(cases);
        let mut payload = dice.frame().encode();
        dice.damage(&mut payload);
        messages += u64::from(read(&payload.clone().into()));
        // The same on a stream, between noise.
        let mut stream: Vec<u8> = (0..dice.below(40)).map(|_| dice.u8()).chain([0]).collect();
        frame::encode(&payload, &mut stream);
        if dice.below(2) == 0 {
            dice.damage(&mut stream);
        }
        let mut decoder = FrameDecoder::default();
        for piece in stream.chunks(1 + dice.below(5_000)) {
            let mut found = Vec::with_capacity(piece.len());
            within(STREAM_MEMORY, || decoder.read(piece, |payload| found.extend(payload.ok())));
            found.iter().for_each(|payload| {
                read(payload);
            });
        }
        cases += 1;
    }
    println!("{cases} cases, {messages} of them messages");
    assert!(messages > cases / 10, "too few cases are messages: they test little");
}
