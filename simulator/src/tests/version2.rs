//! What version 2 adds, seen from a controller that knows only the wire crate.

use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::auth::{Nonce, Sealer, SessionKey, StationKey};
use gondola_protocol::frame::{self, FrameDecoder};
use gondola_protocol::message::{
    Action, Command, Credits, Downlink, Frame, Hello, Knock, Lane, LightColour, Pattern, Reason, Refusal, Staged,
    Status,
};
use gondola_protocol::{Edition, LabelId, Moment, SequenceNumber, SessionId, TransferNumber};

use super::controller::{Bench, LABEL, picture, shop, transfer};

const MINUTE: Duration = Duration::from_secs(60);

fn stage(bench: &mut Bench, number: u32, edition: u64, mark: u8, activate_at: Moment) {
    let transfer = transfer(number, LABEL, edition, &picture(mark));
    bench.send(&Downlink::Stage(vec![Staged { slot: 1, activate_at, transfer }]));
}

fn command(bench: &mut Bench, number: u32, action: Action) {
    let labels = vec![(TransferNumber(number), LABEL)];
    bench.send(&Downlink::Command(Command { action, lane: Lane::Interactive, labels }));
}

fn time_sync(bench: &mut Bench) {
    bench.send(&Downlink::TimeSync(bench.now));
}

#[test]
fn the_higher_of_two_versions_is_spoken() {
    for (ours, theirs, spoken) in [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 2)] {
        let mut options = shop(1, 0.0, 1);
        options.stations[0].version_max = theirs;
        let mut bench = Bench::speaking(ours, options);
        assert_eq!(bench.controller.welcome.as_ref().unwrap().version, spoken);
        bench.send_batch([transfer(1, LABEL, 1, &picture(1))]);
        bench.run(MINUTE);
        bench.check_statuses(&[(1, Status::Delivered)]);
        assert_eq!(bench.controller.reports.is_empty(), spoken == 1);
    }
}

#[test]
fn a_staged_picture_is_shown_at_its_moment_and_not_before() {
    let mut options = shop(1, 0.0, 1);
    options.labels[0].refresh = Some(Duration::from_secs(1));
    let mut bench = Bench::speaking(2, options);
    time_sync(&mut bench);
    let at = bench.now + 20 * MINUTE;
    stage(&mut bench, 1, 5, 7, at);
    bench.run(MINUTE);
    bench.check_statuses(&[(1, Status::Staged)]);
    let kept = &bench.controller.reports.last().unwrap().slots;
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].edition, kept[0].digest, kept[0].activate_at), (Edition(5), picture(7).digest(), at));
    bench.run(18 * MINUTE);
    assert_eq!(bench.label(LABEL).displayed_at, None);
    bench.run(2 * MINUTE);
    let shown = bench.label(LABEL);
    assert_eq!(shown.planes, picture(7));
    let began = shown.displayed_at.unwrap() - Duration::from_secs(1);
    assert!(began.since(at).max(at.since(began)) < Duration::from_millis(50), "{began} for {at}");
    let told = bench.controller.reports.last().unwrap();
    assert_eq!((told.check_in.reason, told.slots.len()), (Reason::Displayed, 0));
}

#[test]
fn a_staged_picture_survives_its_station_and_is_dropped_when_told() {
    let mut bench = Bench::speaking(2, shop(1, 0.0, 1));
    time_sync(&mut bench);
    let at = bench.now + 10 * MINUTE;
    stage(&mut bench, 1, 5, 7, at);
    bench.run(MINUTE);
    bench.world.reboot(bench.now, &bench.station);
    bench.hello(2);
    assert_eq!(bench.controller.welcome.as_ref().unwrap().epoch, 2);
    bench.run(MINUTE);
    assert_eq!(bench.controller.reports.last().unwrap().slots.len(), 1);
    command(&mut bench, 2, Action::Drop { slot: 1 });
    bench.run(MINUTE);
    command(&mut bench, 3, Action::Drop { slot: 1 });
    bench.run(10 * MINUTE);
    bench.check_statuses(&[(2, Status::Delivered), (3, Status::Unsupported)]);
    assert_eq!(bench.label(LABEL).displayed_at, None);
}

#[test]
fn a_stage_that_comes_too_late_is_shown_at_once_and_an_older_one_never() {
    let mut bench = Bench::speaking(2, shop(1, 0.0, 1));
    time_sync(&mut bench);
    let (past, soon) = (bench.now - Duration::from_micros(1), bench.now + 2 * MINUTE);
    stage(&mut bench, 1, 5, 7, past);
    bench.run(MINUTE);
    bench.check_statuses(&[(1, Status::Delivered)]);
    stage(&mut bench, 2, 6, 8, soon);
    bench.run(MINUTE / 2);
    bench.send_batch([transfer(3, LABEL, 9, &picture(9))]);
    bench.run(5 * MINUTE);
    bench.check_statuses(&[(1, Status::Delivered), (2, Status::Staged), (3, Status::Delivered)]);
    assert_eq!(bench.world.screen(LABEL), Some(picture(9)));
}

#[test]
fn a_page_is_shown_until_told_otherwise() {
    let mut bench = Bench::speaking(2, shop(1, 0.0, 1));
    time_sync(&mut bench);
    bench.send_batch([transfer(1, LABEL, 5, &picture(1))]);
    bench.run(MINUTE);
    stage(&mut bench, 2, 6, 7, Moment::ZERO);
    bench.run(MINUTE);
    assert_eq!(bench.world.screen(LABEL), Some(picture(1)), "a page waits for its command");
    for (number, slot, mark, edition) in [(3, 1, 7, 6), (4, 1, 7, 6), (5, 0, 1, 5), (6, 0, 1, 5), (7, 1, 7, 6)] {
        command(&mut bench, number, Action::Page { slot });
        bench.run(MINUTE);
        assert_eq!(bench.world.screen(LABEL), Some(picture(mark)), "slot {slot}");
        let told = bench.controller.reports.last().unwrap();
        assert_eq!((told.check_in.edition, told.slots.len()), (Edition(edition), 1));
    }
    // Another transfer is what slot 0 means from then on.
    bench.send_batch([transfer(8, LABEL, 9, &picture(9))]);
    bench.run(MINUTE);
    command(&mut bench, 9, Action::Page { slot: 0 });
    bench.run(MINUTE);
    assert_eq!(bench.world.screen(LABEL), Some(picture(9)));
    assert!(bench.controller.statuses.iter().all(|(number, status)| (*status == Status::Staged) == (number.0 == 2)));
}

#[test]
fn labels_do_what_they_are_told() {
    let mut bench = Bench::speaking(2, shop(1, 0.0, 1));
    bench.send_batch([transfer(1, LABEL, 5, &picture(1))]);
    bench.run(MINUTE);
    let shown = bench.label(LABEL).displayed_at;
    let colour = LightColour::new(2).unwrap();
    let flash = Action::Flash { colour, pattern: Pattern::Fast, seconds: 10 };
    let actions = [Action::Ping, Action::Identify, flash, Action::Refresh, Action::Firmware, Action::Page { slot: 1 }];
    for (number, action) in (2..).zip(actions) {
        command(&mut bench, number, action);
        bench.run(MINUTE / 2);
    }
    let statuses: Vec<Status> = bench.controller.statuses.iter().map(|(_, status)| *status).collect();
    let done = Status::Delivered;
    assert_eq!(statuses, [done, done, done, done, done, done, Status::Unsupported]);
    let label = bench.label(LABEL);
    assert_eq!((label.light.unwrap().colour, label.identified), (colour, 1));
    assert!(label.displayed_at > shown, "the refresh drove the glass again");
    assert_eq!(label.planes, picture(1));
    assert!(bench.controller.check_ins.iter().any(|told| told.reason == Reason::Answered));
    assert_eq!(bench.controller.firmware[0].1.as_str(), "gondola-simulator 1.0");
}

#[test]
fn the_station_tells_its_clock_and_its_credits() {
    let mut bench = Bench::speaking(2, shop(1, 0.0, 1));
    time_sync(&mut bench);
    bench.run(10 * MINUTE);
    time_sync(&mut bench);
    bench.run(MINUTE);
    let clocks: Vec<u64> = bench.controller.clocks.iter().map(|(_, clock)| clock.station.as_micros()).collect();
    let gained = i64::try_from(clocks[1] - clocks[0]).unwrap() - 600_000_000;
    assert!(gained.abs() <= 12_000, "20 ppm of ten minutes: {gained} µs");
    let credits = Credits { transfers_max: 1, bytes_max: 50_000 };
    bench.world.set_credits(bench.now, &bench.station.clone(), credits);
    bench.run(MINUTE);
    assert_eq!(bench.controller.credits, [credits]);
    bench.send_batch([transfer(1, LABEL, 1, &picture(1)), transfer(2, LabelId(2), 1, &picture(2))]);
    bench.check_statuses(&[(2, Status::NoRoom)]);
}

#[test]
fn a_station_that_was_restarted_says_that_it_knows_no_session() {
    let mut bench = Bench::speaking(2, shop(1, 0.0, 1));
    bench.world.reboot(bench.now, &bench.station);
    assert_eq!(answer(&mut bench), Frame::Announce(bench.station.clone()));
    let body = Downlink::TimeSync(Moment::ZERO).encode();
    bench.raw(&Frame::Data { session: SessionId(1), sequence: SequenceNumber(0), body });
    assert_eq!(answer(&mut bench), Frame::Refused { session: SessionId(1), refusal: Refusal::UnknownSession });
    bench.raw(&Frame::Hello(Hello { session: SessionId(2), version_min: 3, version_max: 9, time: Moment::ZERO }));
    assert_eq!(answer(&mut bench), Frame::Refused { session: SessionId(2), refusal: Refusal::Version });
}

/// The next frame from the station.
#[track_caller]
fn answer(bench: &mut Bench) -> Frame {
    Frame::decode(&payload(bench)).unwrap()
}

#[track_caller]
fn payload(bench: &mut Bench) -> Bytes {
    let bytes = bench.world.poll_transmit(&bench.station).expect("an answer");
    let mut payloads = Vec::new();
    FrameDecoder::default().read(&bytes, |payload| payloads.push(payload.unwrap()));
    payloads.remove(0)
}

const KEY: StationKey = StationKey([7; 32]);

/// A bench whose station has a key, without a session.
fn keyed() -> Bench {
    let mut bench = Bench::speaking(2, shop(1, 0.0, 1));
    let mut options = shop(1, 0.0, 1);
    options.stations[0].key = Some(KEY);
    bench.world = crate::world::World::new(options, bench.now);
    bench.world.connect(bench.now, &bench.station);
    bench
}

fn knock(bench: &mut Bench, session: u32, key: &StationKey) -> SessionKey {
    let (session, nonce) = (SessionId(session), Nonce([9; 16]));
    bench.raw(&Frame::Knock(Knock { session, version_min: 2, version_max: 2, time: Moment::ZERO, nonce }));
    let Frame::Challenge { session: echoed, nonce: station } = answer(bench) else { panic!("no challenge") };
    assert_eq!(echoed, session);
    SessionKey::new(key, session, nonce, station)
}

fn sealed(bench: &mut Bench, frame: &Frame, seal: &SessionKey) {
    let mut payload = frame.encode();
    seal.seal(Sealer::Controller, &mut payload);
    let mut bytes = Vec::new();
    frame::encode(&payload, &mut bytes);
    bench.world.handle_bytes(bench.now, &bench.station, &bytes);
}

#[test]
fn a_station_with_a_key_serves_who_has_it_too() {
    let mut bench = keyed();
    let session = SessionId(5);
    let seal = knock(&mut bench, 5, &KEY);
    sealed(&mut bench, &Frame::Answer { session }, &seal);
    let opened = seal.open(Sealer::Station, &payload(&mut bench)).expect("a seal");
    assert!(matches!(Frame::decode(&opened), Ok(Frame::Welcome(welcome)) if welcome.version == 2));
    // A frame without a seal, and one with another session's, are nothing.
    let body = Downlink::TimeSync(Moment::ZERO).encode();
    let data = Frame::Data { session, sequence: SequenceNumber(0), body };
    bench.raw(&data);
    sealed(&mut bench, &data, &SessionKey::new(&KEY, session, Nonce([9; 16]), Nonce([0; 16])));
    assert_eq!(bench.world.poll_transmit(&bench.station), None);
    assert_eq!(bench.world.counters().frames_forged, 2);
    sealed(&mut bench, &data, &seal);
    let ack = seal.open(Sealer::Station, &payload(&mut bench)).expect("a seal");
    assert_eq!(Frame::decode(&ack), Ok(Frame::Ack { session, next: SequenceNumber(1) }));
}

#[test]
fn a_station_with_a_key_turns_everybody_else_away_and_keeps_its_session() {
    let mut bench = keyed();
    let session = SessionId(6);
    bench.raw(&Frame::Hello(Hello { session, version_min: 1, version_max: 2, time: Moment::ZERO }));
    assert_eq!(answer(&mut bench), Frame::Refused { session, refusal: Refusal::KeyRequired });
    let wrong = knock(&mut bench, 6, &StationKey([8; 32]));
    sealed(&mut bench, &Frame::Answer { session }, &wrong);
    assert_eq!(answer(&mut bench), Frame::Refused { session, refusal: Refusal::WrongKey });
    let right = knock(&mut bench, 7, &KEY);
    sealed(&mut bench, &Frame::Answer { session: SessionId(7) }, &right);
    payload(&mut bench);
    // What was recorded opens nothing: the station's half of the key is another one.
    knock(&mut bench, 8, &KEY);
    sealed(&mut bench, &Frame::Answer { session: SessionId(7) }, &right);
    payload(&mut bench);
    let counters = bench.world.counters();
    assert_eq!((counters.sessions, counters.refusals), (1, 2));
}

#[test]
fn a_station_without_a_key_says_so_to_who_knocks() {
    let mut bench = Bench::speaking(2, shop(1, 0.0, 1));
    let (session, nonce) = (SessionId(5), Nonce([9; 16]));
    bench.raw(&Frame::Knock(Knock { session, version_min: 2, version_max: 2, time: Moment::ZERO, nonce }));
    assert_eq!(answer(&mut bench), Frame::Refused { session, refusal: Refusal::WrongKey });
}
