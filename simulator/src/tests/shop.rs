//! Labels and their glasses.

use std::time::Duration;

use gondola_protocol::message::{Encoding, Reason, Status, Transfer};
use gondola_protocol::{Digest, Edition, Ink, LabelId, Moment, Planes};

use super::controller::{Bench, LABEL, panel, picture, shop, transfer};
use crate::faults::{Fault, FaultError};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_picture_reaches_the_glass() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    bench.run(Duration::from_secs(6));
    let boot = &bench.controller.check_ins[0];
    assert_eq!((boot.reason, boot.edition, boot.digest), (Reason::Boot, Edition(0), Planes::white(panel()).digest()));
    bench.send_batch([transfer(7, LABEL, 10, &picture(0xA5))]);
    bench.run_until(|bench| bench.controller.check_ins.last().unwrap().reason == Reason::Displayed);
    bench.check_statuses(&[(7, Status::Delivered)]);
    let told = bench.controller.check_ins.last().unwrap();
    assert_eq!((told.edition, told.digest), (Edition(10), picture(0xA5).digest()));
    assert_eq!(bench.world.screen(LABEL), Some(picture(0xA5)));
    let seen = bench.world.poll_observation().unwrap();
    assert_eq!((seen.label, seen.edition, seen.digest), (LABEL, Edition(10), picture(0xA5).digest()));
    assert_eq!(bench.label(LABEL).displayed_at, Some(seen.at));
}

#[test]
fn raw_pictures_take_several_blocks() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    let raw =
        Transfer { encoding: Encoding::Raw, data: picture(3).bytes().clone(), ..transfer(1, LABEL, 1, &picture(3)) };
    bench.send_batch([raw]);
    bench.run_until(|bench| bench.world.screen(LABEL) == Some(picture(3)));
    assert!(bench.world.counters().bytes_on_air > 9_472);
}

#[test]
fn what_has_arrived_of_a_picture_is_kept_over_sleeps() {
    // Three blocks of 4,096 bytes, each sent in 42 parts.
    let panel = "bw-256x384".parse().unwrap();
    let planes = Planes::new(panel, vec![0x5A; 3 * 4_096]).unwrap();
    let block_on_air = 36 + 4_096 + 42 * 28;
    let mut slept = 0;
    for seed in 0..20 {
        let mut options = shop(seed, 0.5, 1);
        options.labels[0].panel = panel;
        let mut bench = Bench::new(options);
        let data = planes.bytes().clone();
        bench.send_batch([Transfer { encoding: Encoding::Raw, data, ..transfer(1, LABEL, 1, &planes) }]);
        bench.run_until(|bench| bench.world.screen(LABEL).as_ref() == Some(&planes));
        let counters = bench.world.counters();
        slept += u64::from(counters.wakes > 1 && counters.blocks_lost >= 4);
        // No block crossed the air after it had arrived: what is left is polls and the outcome, three tries each.
        let other = counters.bytes_on_air - (3 + counters.blocks_lost) * block_on_air;
        assert!(other <= (counters.wakes + 2) * 3 * 120, "seed {seed}: {other} bytes in {} wakes", counters.wakes);
    }
    assert!(slept > 3, "{slept}");
}

#[test]
fn pictures_reach_every_glass_through_a_third_of_loss() {
    for seed in 0..5 {
        let mut bench = Bench::new(shop(seed, 0.3, 20));
        bench.send_batch((1..=20).map(|id| transfer(id, LabelId(id.into()), 1, &picture(id.try_into().unwrap()))));
        bench.run_until(|bench| {
            (1..=20).all(|id: u8| bench.world.screen(LabelId(id.into())) == Some(picture(id)))
                && bench.controller.statuses.len() == 20
        });
        let mut numbers: Vec<u32> = bench.controller.statuses.iter().map(|(number, _)| number.0).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=20).collect::<Vec<u32>>(), "seed {seed}");
        assert!(bench.controller.statuses.iter().all(|(_, status)| *status == Status::Delivered), "seed {seed}");
        let counters = bench.world.counters();
        assert!(counters.frames_lost_down > 0 && counters.frames_lost_up > 0 && counters.blocks_lost > 0);
    }
}

#[test]
fn what_the_label_cannot_use_is_refused() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Transfer), expected: Status) {
        let mut bench = Bench::new(shop(2, 0.0, 1));
        bench.send_batch([transfer(1, LABEL, 10, &picture(1))]);
        bench.run(MINUTE / 2);
        let mut wrong = transfer(2, LABEL, 11, &picture(2));
        change(&mut wrong);
        bench.send_batch([wrong]);
        bench.run(MINUTE / 2);
        bench.check_statuses(&[(1, Status::Delivered), (2, expected)]);
        assert_eq!(bench.world.screen(LABEL), Some(picture(1)));
        assert_eq!(bench.label(LABEL).edition, Edition(10));
    }
    check(|transfer| transfer.edition = Edition(9), Status::OlderEdition);
    check(|transfer| transfer.digest = Digest([7; 16]), Status::Undecodable);
    check(|transfer| transfer.data = transfer.data.slice(1..), Status::Undecodable);
    check(|transfer| transfer.data.clear(), Status::Undecodable);
    check(|transfer| transfer.encoding = Encoding::Raw, Status::Undecodable);
    check(|transfer| transfer.panel = "bw-296x128".parse().unwrap(), Status::WrongPanel);
}

#[test]
fn a_station_refuses_an_encoding_that_it_does_not_pass_on() {
    let mut options = shop(2, 0.0, 1);
    options.stations[0].encodings = Encoding::Raw.bit();
    let mut bench = Bench::new(options);
    bench.send_batch([transfer(1, LABEL, 1, &picture(1))]);
    bench.check_statuses(&[(1, Status::UnknownEncoding)]);
}

#[test]
fn a_stuck_label_takes_pictures_and_keeps_its_digest() {
    let mut bench = Bench::new(shop(3, 0.0, 1));
    bench.world.set_fault(bench.now, LABEL, Some(Fault::Stuck)).unwrap();
    bench.send_batch([transfer(1, LABEL, 5, &picture(1))]);
    bench.run(MINUTE);
    bench.check_statuses(&[(1, Status::Delivered)]);
    assert_eq!(bench.world.screen(LABEL), Some(Planes::white(panel())));
    assert!(
        bench.controller.check_ins.iter().all(|told| told.edition == Edition(0) && told.reason != Reason::Displayed)
    );
    bench.world.set_fault(bench.now, LABEL, None).unwrap();
    bench.send_batch([transfer(2, LABEL, 5, &picture(1))]);
    bench.run(MINUTE);
    assert_eq!(bench.world.screen(LABEL), Some(picture(1)));
}

#[test]
fn a_dead_pixel_is_on_the_glass_and_not_in_the_digest() {
    let mut bench = Bench::new(shop(3, 0.0, 1));
    let pixel = Fault::DeadPixel { x: 295, y: 127 };
    bench.world.set_fault(bench.now, LABEL, Some(pixel)).unwrap();
    bench.send_batch([transfer(1, LABEL, 5, &picture(1))]);
    bench.run(MINUTE);
    let (glass, told) = (bench.world.screen(LABEL).unwrap(), bench.controller.check_ins.last().unwrap());
    assert_eq!(told.digest, picture(1).digest());
    assert_ne!(glass.digest(), told.digest);
    assert_ne!(glass.ink(295, 127) == Ink::White, picture(1).ink(295, 127) == Ink::White);
    assert_eq!(bench.label(LABEL).planes, glass);
    let outside = Some(Fault::DeadPixel { x: 296, y: 0 });
    let error = bench.world.set_fault(bench.now, LABEL, outside).unwrap_err();
    assert_eq!(error.to_string(), "pixel (296, 0) is outside bwr-296x128");
    assert_eq!(bench.label(LABEL).fault, Some(pixel));
    let unknown = bench.world.set_fault(bench.now, LabelId(9), None);
    assert_eq!(unknown, Err(FaultError::UnknownLabel(LabelId(9))));
}

#[test]
fn a_deaf_label_is_not_heard_and_its_picture_expires() {
    let mut bench = Bench::new(shop(4, 0.0, 1));
    bench.world.set_fault(bench.now, LABEL, Some(Fault::Deaf)).unwrap();
    bench.send_batch([transfer(1, LABEL, 5, &picture(1))]);
    bench.run(19 * MINUTE);
    bench.check_statuses(&[]);
    bench.run(2 * MINUTE);
    bench.check_statuses(&[(1, Status::Expired)]);
    assert!(bench.controller.check_ins.is_empty());
    assert_eq!(bench.label(LABEL).wakes, 0);
    bench.world.set_fault(bench.now, LABEL, None).unwrap();
    bench.run(Duration::from_secs(6));
    assert_eq!(bench.controller.check_ins[0].reason, Reason::Boot);
}

#[test]
fn a_reset_label_forgets_everything_and_reports_it() {
    let mut bench = Bench::new(shop(5, 0.0, 1));
    bench.send_batch([transfer(1, LABEL, 5, &picture(1))]);
    bench.run(MINUTE);
    bench.world.set_fault(bench.now, LABEL, Some(Fault::Reset)).unwrap();
    assert_eq!(bench.world.screen(LABEL), Some(Planes::white(panel())));
    bench.run(Duration::from_secs(6));
    let told = bench.controller.check_ins.last().unwrap();
    assert_eq!((told.reason, told.edition), (Reason::Boot, Edition(0)));
    assert_eq!(bench.label(LABEL).fault, None);
    bench.send_batch([transfer(2, LABEL, 1, &picture(2))]);
    bench.run(MINUTE);
    assert_eq!(bench.world.screen(LABEL), Some(picture(2)));
}

#[test]
fn a_reset_in_the_middle_of_a_refresh_leaves_the_glass_white() {
    let mut bench = Bench::new(shop(5, 0.0, 1));
    bench.send_batch([transfer(1, LABEL, 5, &picture(1))]);
    bench.run_until(|bench| !bench.controller.statuses.is_empty());
    bench.world.set_fault(bench.now, LABEL, Some(Fault::Reset)).unwrap();
    bench.run(MINUTE);
    assert_eq!(bench.world.screen(LABEL), Some(Planes::white(panel())));
    assert_eq!(bench.world.counters().displayed, 0);
}

/// Everything that leaves a shop and happens in it.
fn trace(seed: u64, step: Duration) -> (Vec<(Moment, bytes::Bytes)>, Vec<crate::label::LabelState>) {
    let mut bench = Bench::new(shop(seed, 0.2, 10));
    bench.send_batch((1..=10).map(|id| transfer(id, LabelId(id.into()), 1, &picture(id.try_into().unwrap()))));
    let until = bench.now + MINUTE;
    while bench.now < until {
        bench.run(step);
    }
    (bench.trace.clone(), bench.world.labels().collect())
}

#[test]
fn the_seed_decides_the_trace() {
    assert_eq!(trace(1, MINUTE), trace(1, MINUTE));
    assert_ne!(trace(1, MINUTE).0, trace(2, MINUTE).0);
    // However often the world is called.
    assert_eq!(trace(1, MINUTE), trace(1, Duration::from_millis(250)));
}

#[test]
fn a_mute_label_hears_and_is_not_heard() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    bench.run(MINUTE);
    bench.world.set_fault(bench.now, LABEL, Some(Fault::Mute)).unwrap();
    let (before, presences) = (bench.label(LABEL), bench.controller.presences.len());
    bench.send_batch([transfer(7, LABEL, 10, &picture(0xA5))]);
    bench.run(10 * MINUTE);
    let after = bench.label(LABEL);
    assert!(after.wakes >= before.wakes + 119 && after.spent_nc > before.spent_nc, "{after:?}");
    assert_eq!((after.displayed_at, bench.controller.statuses.len()), (None, 0));
    assert!(bench.controller.presences[presences..].iter().all(|(_, labels)| labels.is_empty()));
    bench.world.set_fault(bench.now, LABEL, None).unwrap();
    bench.run(MINUTE);
    assert_eq!(bench.world.screen(LABEL), Some(picture(0xA5)));
}

#[test]
fn a_station_without_power_hears_nobody_and_forgets_everything() {
    let mut bench = Bench::new(shop(1, 0.0, 1));
    bench.run(MINUTE);
    bench.send_batch([transfer(7, LABEL, 10, &picture(0xA5))]);
    bench.world.set_power(bench.now, &bench.station, false);
    let frames = bench.world.counters().frames_up;
    bench.run(5 * MINUTE);
    assert_eq!((bench.label(LABEL).displayed_at, bench.world.counters().frames_up), (None, frames));
    bench.world.set_power(bench.now, &bench.station, true);
    bench.hello(2);
    assert_eq!(bench.controller.welcome.as_ref().unwrap().epoch, 2);
    bench.run(MINUTE);
    assert_eq!(bench.label(LABEL).displayed_at, None, "what it held is gone");
    bench.send_batch([transfer(8, LABEL, 10, &picture(0xA5))]);
    bench.run(MINUTE);
    assert_eq!(bench.world.screen(LABEL), Some(picture(0xA5)));
}

#[test]
fn a_station_that_has_power_again_is_found_by_the_next_wake() {
    // So many that their calls in vain would fill the air of one that heard them.
    let mut bench = Bench::new(shop(1, 0.0, 400));
    bench.run(MINUTE);
    let station = bench.station.clone();
    bench.world.set_power(bench.now, &station, false);
    bench.run(30 * MINUTE);
    bench.world.set_power(bench.now, &station, true);
    bench.hello(2);
    bench.send_batch((1..=16).map(|number| transfer(number, LabelId(number.into()), 1, &picture(1))));
    bench.run(Duration::from_secs(20));
    assert_eq!(bench.world.counters().displayed, 16);
}

#[test]
fn a_cold_glass_changes_slowly() {
    let shown_at = |temperature_c| {
        let mut bench = Bench::new(shop(1, 0.0, 1));
        bench.world.set_temperature(bench.now, LABEL, temperature_c).unwrap();
        bench.send_batch([transfer(7, LABEL, 10, &picture(0xA5))]);
        bench.run(MINUTE);
        assert_eq!(bench.controller.check_ins.last().unwrap().temperature_c, temperature_c);
        bench.label(LABEL).displayed_at.unwrap()
    };
    assert_eq!(shown_at(-5).since(shown_at(15)), Duration::from_secs(6), "three times three seconds");
    assert_eq!(shown_at(30), shown_at(15));
}

#[test]
fn labels_at_one_station_take_turns_on_the_air() {
    let raw = |number: u32| {
        let planes = picture(3);
        let data = planes.bytes().clone();
        Transfer { encoding: Encoding::Raw, data, ..transfer(number, LabelId(number.into()), 1, &planes) }
    };
    let mut bench = Bench::new(shop(1, 0.0, 100));
    bench.run(MINUTE);
    let start = bench.now;
    for number in (1..=100).step_by(8) {
        bench.send_batch((number..(number + 8).min(101)).map(raw));
    }
    bench.run(5 * MINUTE);
    let last = bench.world.labels().filter_map(|label| label.displayed_at).max().unwrap();
    assert_eq!(bench.world.counters().displayed, 100);
    // 9,472 raw bytes and their parts are 395 ms on the air. One after the other they take longer than a wake of 5 s.
    let took = last.since(start);
    assert!(took > Duration::from_millis(100 * 395), "{took:?}");
    let bound = bench.world.wave_bound(&bench.station, bench.world.counters(), Duration::from_secs(5));
    assert!(took < bound + Duration::from_secs(3), "{took:?} for {bound:?}");
}

#[test]
fn a_label_lives_the_same_life_whoever_hangs_beside_it() {
    let wakes = |count| {
        let mut bench = Bench::new(shop(6, 0.2, count));
        bench.run(10 * MINUTE);
        let label = bench.label(LABEL);
        (label.wakes, label.battery_mv, bench.controller.check_ins.iter().find(|told| told.label == LABEL).cloned())
    };
    assert_eq!(wakes(1), wakes(8));
}

#[test]
fn an_idle_hour_of_fifty_labels_is_36_000_wakes() {
    let mut bench = Bench::new(shop(1, 0.0, 50));
    bench.run(60 * MINUTE);
    let counters = bench.world.counters();
    assert!((35_900..=36_100).contains(&counters.wakes), "{}", counters.wakes);
    // Each label's boot, and every 15 minutes.
    assert!((200..=250).contains(&counters.check_ins), "{}", counters.check_ins);
    assert_eq!(counters.retransmissions, 0);
}
