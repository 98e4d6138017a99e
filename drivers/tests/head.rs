//! A head against a hand-scripted station.

#![allow(clippy::unwrap_used, reason = "a test may; clippy sees only its #[test] functions as such")]

use std::time::Duration;

use gondola_drivers::{Action, Ahead, DownReason, Dropped, Head, HeadEvent, HeadOptions, Outcome, Picture, Room};
use gondola_protocol::frame::FrameDecoder;
use gondola_protocol::message::{
    CheckIn, Clock, Credits, Downlink, Encoding, Frame, Lane, Reason, Refusal, Status, Uplink, Welcome,
};
use gondola_protocol::{
    Digest, Edition, LabelId, Millivolts, Moment, Planes, SequenceNumber, SessionId, TransferNumber,
};
use proptest::prelude::*;

use script::{frames, picture, stream, uplink, welcome};

mod script;

const SESSION: SessionId = SessionId(9);

/// A head, the moment, and the station's half of the link.
struct Stage {
    head: Head,
    now: Moment,
    decoder: FrameDecoder,
    /// The station's next sequence number.
    sequence: u32,
}

impl Stage {
    fn new() -> Self {
        let mut head = Head::new("front".parse().unwrap(), HeadOptions::default());
        let now = Moment::from_secs(1_000);
        head.connected(now, SESSION);
        Self { head, now, decoder: FrameDecoder::default(), sequence: 0 }
    }

    /// A stage on which the session is open and the first time sync acknowledged.
    fn up() -> Self {
        Self::up_with(welcome(SESSION))
    }

    fn up_with(welcome: Welcome) -> Self {
        let mut stage = Self::new();
        assert!(matches!(stage.sent()[..], [Frame::Hello(_)]));
        stage.hear(&Frame::Welcome(welcome));
        assert_eq!(stage.told(), [Downlink::TimeSync(stage.now)]);
        stage.ack(1);
        assert!(matches!(stage.events()[..], [HeadEvent::Up { .. }, HeadEvent::Room(_)]));
        stage
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.head.handle_timeout(self.now);
    }

    fn hear(&mut self, frame: &Frame) {
        self.head.handle_bytes(self.now, &stream(frame));
    }

    fn ack(&mut self, next: u32) {
        self.hear(&Frame::Ack { session: SESSION, next: SequenceNumber(next) });
    }

    fn say(&mut self, message: &Uplink) {
        self.hear(&uplink(SESSION, self.sequence, message));
        self.sequence += 1;
        let ack = Frame::Ack { session: SESSION, next: SequenceNumber(self.sequence) };
        assert_eq!(self.sent().first(), Some(&ack));
    }

    /// Every frame that the head puts on the wire now.
    fn sent(&mut self) -> Vec<Frame> {
        let mut all = Vec::new();
        while let Some(bytes) = self.head.poll_transmit() {
            all.extend(frames(&mut self.decoder, &bytes));
        }
        all
    }

    /// Every message that the head puts on the wire now.
    #[track_caller]
    fn told(&mut self) -> Vec<Downlink> {
        let bodies = self.sent().into_iter().map(|frame| match frame {
            Frame::Data { session: SESSION, body, .. } => Downlink::decode(&body).unwrap(),
            other => panic!("{other:?}"),
        });
        bodies.collect()
    }

    /// The numbers in each batch that the head puts on the wire now.
    #[track_caller]
    fn batches(&mut self) -> Vec<Vec<u32>> {
        let batches = self.told().into_iter().map(|message| match message {
            Downlink::Batch(transfers) => transfers.iter().map(|transfer| transfer.number.0).collect(),
            other => panic!("{other:?}"),
        });
        batches.collect()
    }

    /// What the head tells, beside what pictures pack to.
    fn events(&mut self) -> Vec<HeadEvent> {
        let events = std::iter::from_fn(|| self.head.poll_event());
        events.filter(|event| !matches!(event, HeadEvent::Packed { .. })).collect()
    }

    /// Submits a picture, and answers what it packs to.
    fn submit(&mut self, number: u32) -> usize {
        self.head.submit(self.now, picture(number)).unwrap();
        let Some(HeadEvent::Packed { number: of, bytes }) = self.head.poll_event() else { panic!("it was not packed") };
        assert_eq!(of, TransferNumber(number));
        bytes
    }
}

fn outcome(number: u32, outcome: Outcome) -> HeadEvent {
    HeadEvent::Outcome { number: TransferNumber(number), outcome }
}

fn status(number: u32, status: Status) -> Uplink {
    Uplink::Statuses(vec![(TransferNumber(number), status)])
}

const LINGER: Duration = Duration::from_millis(20);

#[test]
fn a_welcome_opens_the_session_and_tells_the_room() {
    let mut stage = Stage::new();
    assert_eq!(stage.head.room(), Room::default());
    assert_eq!(stage.head.submit(stage.now, picture(1)), Err(picture(1)));
    stage.hear(&Frame::Welcome(welcome(SESSION)));
    let room = Room { transfers: 3, bytes: 10_000 };
    assert_eq!(
        stage.events(),
        [
            HeadEvent::Up { capacity: (&welcome(SESSION)).into(), epoch: Some(welcome(SESSION).epoch) },
            HeadEvent::Room(room)
        ]
    );
    assert_eq!(stage.head.room(), room);
    stage.hear(&Frame::Welcome(welcome(SESSION)));
    assert_eq!(stage.events(), [], "a repeated welcome changes nothing");
}

#[test]
fn pictures_go_out_together_and_come_to_one_outcome_each() {
    let mut stage = Stage::up();
    let packed = [stage.submit(1), stage.submit(2)];
    assert!(packed.iter().all(|bytes| *bytes < 3_904), "{packed:?}");
    assert_eq!(stage.head.room(), Room { transfers: 1, bytes: 10_000 - packed[0] - packed[1] });
    assert_eq!(stage.sent(), [], "they linger");
    stage.wait(LINGER);
    assert_eq!(stage.batches(), [[1, 2]]);
    stage.ack(2);
    stage.say(&status(2, Status::Delivered));
    let room = HeadEvent::Room(Room { transfers: 2, bytes: 10_000 - packed[0] });
    assert_eq!(stage.events(), [outcome(2, Outcome::Status(Status::Delivered)), room]);
    stage.say(&status(2, Status::Delivered));
    let twice = Dropped::Unawaited(TransferNumber(2));
    assert_eq!(twice.to_string(), "status dropped: transfer 2 is not in flight; did the station report it twice?");
    assert_eq!(stage.events(), [HeadEvent::Dropped(twice)]);
    assert_eq!(stage.head.counters().pictures_by_encoding[Encoding::Deflate as usize], 2);
}

#[test]
fn the_transfer_carries_the_pictures_own_digest() {
    let mut stage = Stage::up();
    stage.submit(1);
    stage.wait(LINGER);
    let [Downlink::Batch(transfers)] = &stage.told()[..] else { panic!("no batch") };
    let expected = picture(1);
    let transfer = &transfers[0];
    assert_eq!(transfer.digest, expected.planes.digest());
    assert_eq!((transfer.label, transfer.edition, transfer.lane), (expected.label, Edition(7), Lane::Price));
    assert_eq!((transfer.panel, transfer.encoding), (expected.planes.panel(), Encoding::Deflate));
}

#[test]
fn a_lingering_picture_is_cancelled_at_once() {
    let mut stage = Stage::up();
    stage.submit(1);
    stage.head.cancel(stage.now, TransferNumber(1));
    let cancelled = outcome(1, Outcome::Status(Status::Cancelled));
    let room = HeadEvent::Room(Room { transfers: 3, bytes: 10_000 });
    assert_eq!(stage.events(), [cancelled, room]);
    stage.wait(LINGER);
    assert_eq!(stage.sent(), []);
}

#[test]
fn a_picture_at_the_station_is_cancelled_by_its_status() {
    let mut stage = Stage::up();
    stage.submit(1);
    stage.wait(LINGER);
    assert_eq!(stage.batches(), [[1]]);
    stage.head.cancel(stage.now, TransferNumber(1));
    stage.head.cancel(stage.now, TransferNumber(77));
    assert_eq!(stage.told(), [Downlink::Cancel(vec![TransferNumber(1)])]);
    assert_eq!(stage.events(), []);
    stage.say(&status(1, Status::Delivered));
    assert_eq!(stage.events()[0], outcome(1, Outcome::Status(Status::Delivered)), "the label was faster");
}

#[test]
fn a_full_window_holds_messages_back() {
    let mut stage = Stage::up();
    for number in [1, 2] {
        stage.submit(number);
        stage.wait(LINGER);
    }
    assert_eq!(stage.batches(), [[1], [2]]);
    stage.head.cancel(stage.now, TransferNumber(1));
    stage.head.cancel(stage.now, TransferNumber(2));
    assert_eq!(stage.sent(), []);
    stage.ack(2);
    assert_eq!(stage.told(), [Downlink::Cancel(vec![TransferNumber(1), TransferNumber(2)])]);
}

#[test]
fn lost_frames_are_sent_again() {
    let mut stage = Stage::up();
    stage.submit(1);
    stage.wait(LINGER);
    assert_eq!(stage.batches(), [[1]]);
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.batches(), [[1]]);
    assert_eq!(stage.head.counters().retransmissions, 1);
}

#[test]
fn a_picture_too_large_for_the_station_fails_alone() {
    #[track_caller]
    fn check(small: Welcome, expected: &str) {
        let mut stage = Stage::up_with(small);
        let noise: Vec<u8> = (0..3_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let planes = Planes::new("bw-2000x12".parse().unwrap(), noise).unwrap();
        stage.head.submit(stage.now, Picture { planes, ..picture(1) }).unwrap();
        let events = stage.events();
        let HeadEvent::Dropped(dropped) = &events[0] else { panic!("{events:?}") };
        assert_eq!(dropped.to_string(), expected);
        assert_eq!(events[1], outcome(1, Outcome::Status(Status::NoRoom)));
        stage.wait(LINGER);
        assert_eq!(stage.sent(), []);
    }
    let frame = Welcome { payload_max: 1_024, encodings: 1, ..welcome(SESSION) };
    check(frame, "picture for label 0000000000000001 dropped: it has 3000 bytes, the station takes 965 at once");
    let store = Welcome { bytes_max: 2_000, ..welcome(SESSION) };
    check(store, "picture for label 0000000000000001 dropped: it has 3000 bytes, the station takes 2000 at once");
}

#[test]
fn a_station_without_a_known_encoding_gets_nothing() {
    let mut stage = Stage::up_with(Welcome { encodings: 0x80, ..welcome(SESSION) });
    stage.head.submit(stage.now, picture(1)).unwrap();
    assert_eq!(stage.events()[0], outcome(1, Outcome::Status(Status::UnknownEncoding)));
}

#[test]
fn check_ins_and_presences_are_passed_on_once() {
    let check_in = CheckIn {
        label: LabelId(1),
        panel: "bw-250x122".parse().unwrap(),
        reason: Reason::Displayed,
        edition: Edition(7),
        digest: Digest([1; 16]),
        battery_mv: Millivolts(2_950),
        rssi_dbm: -61,
        temperature_c: 21,
        firmware: 1,
    };
    let mut stage = Stage::up();
    stage.say(&Uplink::CheckIns(vec![check_in.clone()]));
    stage.say(&Uplink::Presence(vec![LabelId(2), LabelId(3)]));
    stage.hear(&uplink(SESSION, 0, &Uplink::CheckIns(vec![check_in.clone()])));
    let present = |label| HeadEvent::Present(LabelId(label));
    assert_eq!(stage.events(), [HeadEvent::CheckIn(check_in), present(2), present(3)]);
}

#[test]
fn the_time_is_told_every_ten_minutes() {
    let mut stage = Stage::up();
    for minute in 1..=10 {
        for _ in 0..4 {
            stage.say(&Uplink::Presence(vec![]));
            stage.wait(Duration::from_secs(15));
        }
        let expected = if minute == 10 { vec![Downlink::TimeSync(stage.now)] } else { vec![] };
        assert_eq!(stage.told(), expected, "minute {minute}");
    }
}

/// Ends a session with one picture at the station and one that lingers.
#[track_caller]
fn check_down(end: impl FnOnce(&mut Stage), expected: &DownReason) {
    let mut stage = Stage::up();
    stage.submit(1);
    stage.wait(LINGER);
    stage.submit(2);
    stage.events();
    end(&mut stage);
    let lost = [outcome(1, Outcome::Lost), outcome(2, Outcome::Lost)];
    assert_eq!(stage.events()[..], [&lost[..], &[HeadEvent::Down(expected.clone())]].concat());
    assert_eq!(stage.head.room(), Room::default());
    stage.head.disconnected(stage.now);
    assert_eq!((stage.events(), stage.head.wants_disconnect()), (vec![], false));
    assert_eq!(stage.head.poll_timeout(), None);
    assert_eq!(stage.sent(), []);
}

#[test]
fn whatever_is_in_flight_is_lost_when_the_session_ends() {
    check_down(|stage| stage.head.disconnected(stage.now), &DownReason::Disconnected);
    let silence = |stage: &mut Stage| {
        stage.wait(Duration::from_secs(45));
        assert!(stage.head.wants_disconnect());
    };
    check_down(silence, &DownReason::Silent(Duration::from_secs(45)));
    let deaf = |stage: &mut Stage| {
        while !stage.head.wants_disconnect() {
            stage.hear(&Frame::Welcome(welcome(SESSION)));
            stage.now = stage.head.poll_timeout().unwrap();
            stage.head.handle_timeout(stage.now);
            stage.sent();
        }
    };
    check_down(deaf, &DownReason::GaveUp { timeouts: 12 });
}

#[test]
fn a_session_that_is_not_answered_is_over_after_five_hellos() {
    let mut stage = Stage::new();
    let mut hellos = 0;
    while !stage.head.wants_disconnect() {
        hellos += stage.sent().len();
        stage.now = stage.head.poll_timeout().unwrap();
        stage.head.handle_timeout(stage.now);
    }
    assert_eq!(hellos, 5);
    let reason = DownReason::NoWelcome { hellos: 5, waited: Duration::from_millis(800) };
    assert_eq!(stage.events(), [HeadEvent::Down(reason)]);
}

#[test]
fn another_station_is_turned_away() {
    let mut stage = Stage::new();
    stage.hear(&Frame::Welcome(Welcome { station: "back".parse().unwrap(), ..welcome(SESSION) }));
    assert!(stage.head.wants_disconnect());
    let reason = DownReason::WrongStation { expected: "front".parse().unwrap(), found: "back".parse().unwrap() };
    assert_eq!(stage.events(), [HeadEvent::Down(reason)]);
}

#[test]
fn frames_of_another_session_are_counted_and_ignored() {
    let mut stage = Stage::up();
    let other = SessionId(8);
    stage.hear(&uplink(other, 0, &Uplink::Presence(vec![LabelId(1)])));
    stage.hear(&Frame::Ack { session: other, next: SequenceNumber(1) });
    stage.hear(&Frame::Welcome(welcome(other)));
    assert_eq!((stage.events(), stage.sent()), (vec![], vec![]));
    assert_eq!(stage.head.counters().stale_frames, 3);
    stage.wait(Duration::from_secs(45));
    assert!(stage.head.wants_disconnect(), "they do not break the silence");
}

#[test]
fn what_is_no_good_is_told_in_a_sentence() {
    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let mut stage = Stage::up();
        stage.head.handle_bytes(stage.now, bytes);
        let events = stage.events();
        let HeadEvent::Dropped(dropped) = &events[0] else { panic!("{events:?}") };
        assert_eq!(dropped.to_string(), expected);
        assert_eq!(stage.head.counters().frames_dropped, 1);
    }
    check(&[2, 7, 0], "frame of 1 bytes dropped: it is too short to hold a checksum");
    let body = bytes::Bytes::from_static(&[0x77]);
    let unknown = Frame::Data { session: SESSION, sequence: SequenceNumber(0), body };
    check(&stream(&unknown), "message dropped: kind 0x77 is not one of version 2");
    let mut echo = Stage::new();
    let hello = echo.head.poll_transmit().unwrap();
    check(&hello, "hello dropped: it came from the station's end; is this a loop, or another controller?");
}

#[test]
fn unknown_kinds_are_skipped_and_the_session_goes_on() {
    let mut stage = Stage::up();
    let mut future = Vec::new();
    gondola_protocol::frame::encode(&[0x7F, 1, 2, 3], &mut future);
    stage.head.handle_bytes(stage.now, &future);
    let body = bytes::Bytes::from_static(&[0x7F, 1, 2, 3]);
    stage.hear(&Frame::Data { session: SESSION, sequence: SequenceNumber(0), body });
    assert_eq!(stage.sent(), [Frame::Ack { session: SESSION, next: SequenceNumber(1) }]);
    assert_eq!((stage.events().len(), stage.head.counters().frames_dropped), (2, 2));
    stage.sequence = 1;
    stage.say(&Uplink::Presence(vec![LabelId(2)]));
    assert_eq!(stage.events(), [HeadEvent::Present(LabelId(2))]);
}

#[test]
fn both_versions_are_offered_and_the_stations_choice_is_spoken() {
    let mut stage = Stage::new();
    let Frame::Hello(hello) = &stage.sent()[0] else { panic!("no hello") };
    assert_eq!((hello.version_min, hello.version_max), (1, 2));
    for version in [1, 2] {
        let mut stage = Stage::up_with(Welcome { version, ..welcome(SESSION) });
        let ahead = Ahead { slot: 1, activate_at: stage.now + Duration::from_secs(600) };
        stage.head.stage(stage.now, picture(1), ahead).unwrap();
        let labels = vec![(TransferNumber(2), LabelId(2))];
        stage.head.command(stage.now, Action::Ping, Lane::Interactive, labels.clone()).unwrap();
        stage.wait(LINGER);
        let told = stage.told();
        if version == 1 {
            let unsupported = Outcome::Status(Status::Unsupported);
            assert_eq!(told, []);
            assert_eq!(stage.events()[0], outcome(1, unsupported));
            continue;
        }
        let [Downlink::Command(command), Downlink::Stage(staged)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&command.labels, staged[0].activate_at, staged[0].slot), (&labels, ahead.activate_at, 1));
    }
}

#[test]
fn credits_change_what_a_station_takes() {
    let mut stage = Stage::up_with(Welcome { version: 2, ..welcome(SESSION) });
    let packed = stage.submit(1);
    stage.say(&Uplink::Credits(Credits { transfers_max: 1, bytes_max: 4_000 }));
    assert_eq!(stage.head.room(), Room { transfers: 0, bytes: 4_000 - packed });
    assert_eq!(stage.head.submit(stage.now, picture(2)), Err(picture(2)));
    stage.say(&Uplink::Credits(Credits { transfers_max: 9, bytes_max: 3_904 }));
    assert_eq!(stage.head.submit(stage.now, picture(2)), Err(picture(2)), "it may pack to no less than it has");
    stage.say(&Uplink::Credits(Credits { transfers_max: 9, bytes_max: 90_000 }));
    let room = Room { transfers: 8, bytes: 90_000 - packed };
    assert_eq!(stage.events().last(), Some(&HeadEvent::Room(room)));
}

#[test]
fn a_slow_time_sync_is_made_again_and_a_station_that_restarted_is_left() {
    let mut stage = Stage::up_with(Welcome { version: 2, ..welcome(SESSION) });
    let told = stage.now;
    stage.now += Duration::from_millis(101);
    stage.hear(&uplink(SESSION, 0, &Uplink::Clock(Clock { told, station: Moment::from_secs(5) })));
    let again = stage.sent();
    let Frame::Data { body, .. } = &again[1] else { panic!("{again:?}") };
    assert_eq!(Downlink::decode(body), Ok(Downlink::TimeSync(stage.now)));
    stage.hear(&Frame::Announce("back".parse().unwrap()));
    assert!(!stage.head.wants_disconnect());
    stage.hear(&Frame::Announce("front".parse().unwrap()));
    assert!(stage.head.wants_disconnect());
    assert_eq!(stage.events().last(), Some(&HeadEvent::Down(DownReason::Refused(Refusal::UnknownSession))));
}

#[test]
fn a_new_connection_starts_anew() {
    let mut stage = Stage::up();
    stage.submit(1);
    stage.head.connected(stage.now, SessionId(10));
    let down = HeadEvent::Down(DownReason::Disconnected);
    assert_eq!(stage.events(), [outcome(1, Outcome::Lost), down]);
    assert!(matches!(stage.sent()[..], [Frame::Hello(ref hello)] if hello.session == SessionId(10)));
    stage.hear(&Frame::Welcome(welcome(SessionId(10))));
    assert!(matches!(stage.sent()[..], [Frame::Data { session: SessionId(10), sequence: SequenceNumber(0), .. }]));
    assert_eq!(stage.head.counters().sessions, 2);
}

/// A frame that a confused or hostile station might send.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let session = prop_oneof![Just(SESSION), Just(SessionId(8))];
    let message = prop_oneof![
        prop::collection::vec((0_u32..5, prop::sample::select(&Status::ALL[..])), 0..5).prop_map(|statuses| {
            Uplink::Statuses(statuses.into_iter().map(|(number, status)| (TransferNumber(number), status)).collect())
        }),
        prop::collection::vec(prop::num::u64::ANY.prop_map(LabelId), 0..5).prop_map(Uplink::Presence),
    ];
    prop_oneof![
        prop::collection::vec(prop::num::u8::ANY, 0..50),
        session.clone().prop_map(|session| stream(&Frame::Welcome(welcome(session)))),
        (session.clone(), 0_u32..8)
            .prop_map(|(session, next)| stream(&Frame::Ack { session, next: SequenceNumber(next) })),
        (session, 0_u32..8, message).prop_map(|(session, at, message)| stream(&uplink(session, at, &message))),
    ]
}

proptest! {
    /// Whatever a station says, each accepted picture has exactly one outcome once the session is over.
    #[test]
    fn every_accepted_picture_has_one_outcome(
        steps in prop::collection::vec((any_frame(), 0_u32..5, 0_u64..500), 0..60),
    ) {
        let mut stage = Stage::new();
        let mut accepted = Vec::new();
        let mut settled = Vec::new();
        for (bytes, cancelled, millis) in steps {
            stage.head.handle_bytes(stage.now, &bytes);
            // Each number once, counting from 0, so that the statuses above find the first few.
            let number = u32::try_from(accepted.len()).unwrap();
            if stage.head.submit(stage.now, picture(number)).is_ok() {
                accepted.push(TransferNumber(number));
            }
            stage.head.cancel(stage.now, TransferNumber(cancelled));
            stage.wait(Duration::from_millis(millis));
            while stage.head.poll_transmit().is_some() {}
            prop_assert!(stage.head.poll_timeout().is_none_or(|at| at > stage.now), "a busy loop");
            settled.extend(stage.events());
        }
        stage.head.disconnected(stage.now);
        settled.extend(stage.events());
        let mut settled: Vec<TransferNumber> = settled.into_iter().filter_map(|event| match event {
            HeadEvent::Outcome { number, .. } => Some(number),
            _ => None,
        }).collect();
        settled.sort();
        prop_assert_eq!(settled, accepted);
    }
}
