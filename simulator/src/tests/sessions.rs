//! The station's side of a session.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::message::{Downlink, Encoding, Frame, Hello, Reason, Status, Transfer};
use gondola_protocol::{LabelId, Moment, SequenceNumber, SessionId, TransferNumber};
use proptest::prelude::*;

use super::controller::{Bench, LABEL, picture, shop, transfer};
use crate::faults::Fault;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_welcome_says_what_the_station_can_take() {
    let mut options = shop(1, 0.0, 1);
    options.stations[0].window = 3;
    let bench = Bench::new(options);
    let welcome = bench.controller.welcome.unwrap();
    assert_eq!((welcome.window, welcome.transfers_max, welcome.bytes_max), (3, 256, 1 << 20));
    assert_eq!((welcome.encodings, welcome.station.as_str()), (0b1111, "front"));
}

#[test]
fn a_hello_in_another_version_is_not_answered_and_changes_nothing() {
    let mut options = shop(1, 0.0, 1);
    options.stations[0].version_max = 1;
    let mut bench = Bench::new(options);
    bench.send_batch([transfer(1, LABEL, 1, &picture(1))]);
    let frames = bench.trace.len();
    bench.raw(&Frame::Hello(Hello { session: SessionId(2), version_min: 2, version_max: 9, time: Moment::ZERO }));
    assert_eq!(bench.world.poll_transmit(&bench.station), None, "it says nothing, as version 1 has it");
    bench.run(MINUTE);
    assert!(bench.trace.len() > frames);
    bench.check_statuses(&[(1, Status::Delivered)]);
}

#[test]
fn a_repeated_hello_changes_nothing() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    bench.send_batch([transfer(1, LABEL, 1, &picture(1))]);
    bench.raw(&Frame::Hello(Hello { session: SessionId(1), version_min: 1, version_max: 1, time: Moment::ZERO }));
    bench.run(MINUTE);
    bench.check_statuses(&[(1, Status::Delivered)]);
    assert_eq!(bench.world.counters().sessions, 1);
}

#[test]
fn a_new_session_voids_the_old_one() {
    let mut bench = Bench::new(shop(1, 0.0, 2));
    bench.run(MINUTE);
    bench.world.set_fault(bench.now, LABEL, Some(Fault::Deaf)).unwrap();
    bench.send_batch([transfer(1, LABEL, 1, &picture(1))]);
    bench.hello(2);
    bench.world.set_fault(bench.now, LABEL, None).unwrap();
    bench.run(MINUTE);
    bench.check_statuses(&[]);
    assert_eq!(bench.label(LABEL).displayed_at, None);
    assert_eq!(bench.world.counters().voided, 1);
    // Every label's next check-in is forwarded once more, although nothing is new.
    let told: Vec<_> = bench.controller.check_ins.iter().map(|told| (told.label, told.reason)).collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&(LABEL, Reason::Regular)) && told.contains(&(LabelId(2), Reason::Regular)));
    bench.send_batch([transfer(2, LABEL, 1, &picture(1))]);
    bench.run(MINUTE);
    bench.check_statuses(&[(2, Status::Delivered)]);
}

#[test]
fn a_session_outlives_its_byte_stream() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    bench.send_batch([transfer(1, LABEL, 1, &picture(1))]);
    bench.world.disconnect(bench.now, &bench.station);
    let frames = bench.trace.len();
    bench.run(MINUTE);
    assert_eq!(bench.trace.len(), frames);
    assert_eq!(bench.world.screen(LABEL), Some(picture(1)));
    bench.world.connect(bench.now, &bench.station);
    bench.run(MINUTE);
    assert_eq!(bench.trace.len(), frames, "silent until the hello");
    bench.raw(&Frame::Hello(Hello { session: SessionId(1), version_min: 1, version_max: 1, time: Moment::ZERO }));
    bench.run(MINUTE);
    bench.check_statuses(&[(1, Status::Delivered)]);
}

#[test]
fn only_the_expected_data_frame_is_accepted_and_each_is_answered() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    let deaf = Some(Fault::Deaf);
    bench.world.set_fault(bench.now, LABEL, deaf).unwrap();
    let mut answer = |session, sequence| {
        let body = Downlink::TimeSync(Moment::ZERO).encode();
        bench.raw(&Frame::Data { session: SessionId(session), sequence: SequenceNumber(sequence), body });
        let mut next = Vec::new();
        while let Some(bytes) = bench.world.poll_transmit(&bench.station) {
            let mut frames = Vec::new();
            gondola_protocol::frame::FrameDecoder::default().read(&bytes, |frame| frames.push(frame.unwrap()));
            for frame in frames {
                match Frame::decode(&frame).unwrap() {
                    Frame::Ack { next: expected, .. } => next.push(expected.0),
                    other => panic!("{other:?}"),
                }
            }
        }
        next
    };
    assert_eq!(answer(1, 1), [0], "ahead");
    assert_eq!(answer(1, 0), [1], "accepted");
    assert_eq!(answer(1, 0), [1], "repeated");
    assert_eq!(answer(1, 1), [2], "accepted");
    assert_eq!(answer(9, 2), Vec::<u32>::new(), "another session");
}

#[test]
fn the_newest_edition_of_a_label_wins_while_it_waits() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    bench.send_batch([transfer(1, LABEL, 5, &picture(1)), transfer(2, LABEL, 6, &picture(2))]);
    bench.send_batch([transfer(3, LABEL, 4, &picture(3))]);
    bench.check_statuses(&[(1, Status::Cancelled), (3, Status::Cancelled)]);
    bench.run(MINUTE);
    bench.check_statuses(&[(1, Status::Cancelled), (3, Status::Cancelled), (2, Status::Delivered)]);
    assert_eq!(bench.world.screen(LABEL), Some(picture(2)));
}

#[test]
fn a_newer_edition_that_comes_during_a_download_is_taken_instead() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    bench.run(MINUTE);
    let raw =
        Transfer { encoding: Encoding::Raw, data: picture(1).bytes().clone(), ..transfer(1, LABEL, 5, &picture(1)) };
    bench.send_batch([raw]);
    let quiet = bench.world.counters().bytes_on_air;
    while bench.world.counters().bytes_on_air < quiet + 6_000 {
        bench.run(Duration::from_millis(10));
    }
    bench.send_batch([transfer(2, LABEL, 6, &picture(2))]);
    bench.run(Duration::from_secs(4));
    bench.check_statuses(&[(1, Status::Cancelled), (2, Status::Delivered)]);
    assert_eq!(bench.world.screen(LABEL), Some(picture(2)));
}

#[test]
fn cancelled_transfers_are_not_taken() {
    let mut bench = Bench::new(shop(1, 0.0, 2));
    bench.send_batch([transfer(1, LABEL, 5, &picture(1)), transfer(2, LabelId(2), 5, &picture(2))]);
    bench.send(&Downlink::Cancel(vec![TransferNumber(1), TransferNumber(77)]));
    bench.run(MINUTE);
    bench.check_statuses(&[(1, Status::Cancelled), (2, Status::Delivered)]);
    bench.send(&Downlink::Cancel(vec![TransferNumber(1), TransferNumber(2)]));
    bench.run(MINUTE);
    bench.check_statuses(&[(1, Status::Cancelled), (2, Status::Delivered)]);
}

#[test]
fn a_full_station_says_so() {
    let mut options = shop(1, 0.0, 4);
    options.stations[0].transfers_max = 2;
    options.stations[0].bytes_max = 1_000;
    let mut bench = Bench::new(options);
    let small = |number: u32, label, bytes: usize| Transfer {
        data: Bytes::from(vec![0; bytes]),
        ..transfer(number, LabelId(label), 1, &picture(1))
    };
    bench.send_batch([small(1, 1, 600), small(2, 2, 600), small(3, 2, 100), small(4, 3, 1), small(5, 2, 400)]);
    bench.check_statuses(&[(2, Status::NoRoom), (4, Status::NoRoom), (3, Status::Cancelled)]);
    assert_eq!(bench.world.counters().no_room, 2);
}

#[test]
fn an_idle_fleet_sends_only_presence() {
    let mut bench = Bench::new(shop(1, 0.0, 30));
    bench.run(MINUTE);
    let told = bench.controller.check_ins.len();
    let (before, start) = (bench.controller.presences.len(), bench.now);
    bench.run(10 * MINUTE);
    assert_eq!(bench.controller.check_ins.len(), told);
    let presences = &bench.controller.presences[before..];
    let mut last = start;
    let mut heard = BTreeMap::new();
    for (at, labels) in presences {
        assert!(at.since(last) <= Duration::from_secs(15));
        for label in labels {
            let before = heard.insert(*label, *at).unwrap_or(start);
            assert!((before == start || at.since(before) >= 5 * MINUTE) && at.since(before) < 6 * MINUTE);
        }
        last = *at;
    }
    assert_eq!(heard.len(), 30);
    assert!(start + 10 * MINUTE - Duration::from_secs(15) <= last);
    // Each label woke 132 times, and said what it shows at the first.
    let counters = bench.world.counters();
    assert!(counters.wakes - counters.idle_wakes < 2 * 30, "{counters:?}");
    assert!((30 * 131..30 * 133).contains(&counters.wakes), "{counters:?}");
    assert!(bench.world.events() < 400, "{} events for nothing", bench.world.events());
}

#[test]
fn a_station_without_labels_in_reach_still_sends_presence() {
    let mut bench = Bench::new(shop(1, 0.0, 0));
    bench.run(MINUTE);
    assert!(bench.controller.presences.len() >= 4);
}

#[test]
fn the_uplink_keeps_to_its_window_and_repeats_until_it_is_heard() {
    let mut bench = Bench::new(shop(1, 0.0, 40));
    // A controller that reads and never acknowledges any more.
    let (mut frames, before) = (0, bench.world.counters());
    for second in 1..=60 {
        bench.world.handle_timeout(Moment::from_secs(second));
        while bench.world.poll_transmit(&bench.station).is_some() {
            frames += 1;
        }
    }
    let counters = bench.world.counters();
    assert_eq!(frames, counters.frames_up - before.frames_up);
    // 300 ms, 600 ms, 1.2 s, then every 2.4 s: about 26 times in a minute, 8 frames each.
    assert!((20 * 8..=28 * 8).contains(&counters.retransmissions), "{}", counters.retransmissions);
    assert!(counters.check_ins - before.check_ins <= 8 * 64, "{}", counters.check_ins);
}

#[test]
fn a_controller_that_takes_nothing_costs_bounded_memory() {
    let mut bench = Bench::new(shop(1, 0.0, 40));
    bench.now = Moment::from_secs(3_600);
    bench.world.handle_timeout(bench.now);
    let mut waiting = 0;
    while bench.world.poll_transmit(&bench.station).is_some() {
        waiting += 1;
    }
    assert_eq!(waiting, 256);
    assert!(bench.world.counters().frames_dropped > 0);
}

#[test]
fn a_flood_of_transfers_is_held_up_by_its_statuses() {
    let mut options = shop(1, 0.0, 0);
    options.stations[0].transfers_max = 1;
    let mut bench = Bench::new(options);
    let empty =
        |number: u32| Transfer { data: Bytes::new(), ..transfer(number, LabelId(number.into()), 1, &picture(1)) };
    let batch = Downlink::Batch((0..1_500).map(empty).collect()).encode();
    // Never acknowledges a status.
    for sequence in 0..20 {
        let body = batch.clone();
        bench.raw(&Frame::Data { session: SessionId(1), sequence: SequenceNumber(sequence), body });
    }
    // What is in flight (8 frames of 512), then at least 4,096 more, one batch above at most.
    let received = bench.world.counters().transfers;
    assert!((8_192..=10_500).contains(&received), "{received}");
}

proptest! {
    #[test]
    fn whatever_a_controller_sends_nothing_panics(
        frames in prop::collection::vec(
            (prop::sample::select(vec![1_u8, 3, 3, 3, 4]), prop::collection::vec(prop::num::u8::ANY, 0..80), 0_u32..4), 0..20,
        ),
        noise in prop::collection::vec(prop::num::u8::ANY, 0..200),
    ) {
        let mut bench = Bench::new(shop(1, 0.0, 2));
        for (kind, body, sequence) in frames {
            let payload = match kind {
                3 => {
                    let kinds = [0x10, 0x11, 0x12, 0x20];
                    let body = [&[kinds[sequence as usize]], body.as_slice()].concat().into();
                    Frame::Data { session: SessionId(1), sequence: SequenceNumber(sequence), body }.encode()
                }
                4 => Frame::Ack { session: SessionId(1), next: SequenceNumber(sequence) }.encode(),
                kind => [&[kind], body.as_slice()].concat(),
            };
            let mut bytes = Vec::new();
            gondola_protocol::frame::encode(&payload, &mut bytes);
            bench.world.handle_bytes(bench.now, &bench.station, &bytes);
            bench.world.handle_bytes(bench.now, &bench.station, &noise);
            bench.now += Duration::from_secs(1);
        }
        bench.world.handle_timeout(bench.now + 30 * MINUTE);
    }
}
