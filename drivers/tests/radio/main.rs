//! A head for a radio of OpenEPaperLink against the simulated radio and its labels, in virtual time and over a
//! pseudo-terminal.

#![allow(clippy::unwrap_used, reason = "a test may; clippy sees only its #[test] functions as such")]

mod pictures;
mod port;
mod roaming;
mod shop;
mod stock;

use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::head::Outcome;
use gondola_protocol::message::{LightColour, Pattern, Status};
use gondola_protocol::{Moment, TransferNumber};
use gondola_simulator::openepaperlink::{Model, RadioOptions, TagFault};

use shop::{Shop, label};

const MINUTE: Duration = Duration::from_mins(1);

/// The six types that a mixed shop has, in turn.
const MIXED: [u8; 6] = [0x01, 0x33, 0x00, 0x2B, 0x27, 0x36];

#[track_caller]
fn check_mixed(loss: f64, within: Duration) -> Shop {
    let mut shop = Shop::new(7, loss);
    for number in 0..50 {
        shop.add(number, MIXED[usize::try_from(number).unwrap() % MIXED.len()]);
    }
    shop.run_for(2 * MINUTE);
    shop.change_all(1);
    shop.settle(within);
    shop.change_all(2);
    shop.settle(within);
    shop
}

#[test]
fn fifty_labels_of_six_types_settle_on_clean_air() {
    let shop = check_mixed(0.0, 20 * MINUTE);
    assert_eq!(shop.site.counters().stale_blocks, 0, "every block came in time");
    assert_eq!(shop.site.counters().overrun, 0);
}

#[test]
fn fifty_labels_of_six_types_settle_when_a_twentieth_of_all_packets_is_lost() {
    check_mixed(0.05, 25 * MINUTE);
}

#[test]
fn fifty_labels_of_six_types_settle_when_a_fifth_of_all_packets_is_lost() {
    check_mixed(0.2, 40 * MINUTE);
}

#[test]
fn a_radio_that_restarts_and_one_that_is_unplugged_are_filled_again() {
    let mut shop = Shop::new(3, 0.05);
    (0..20).for_each(|number| shop.add(number, MIXED[usize::try_from(number).unwrap() % 6]));
    shop.run_for(2 * MINUTE);
    shop.change_all(1);
    shop.run_for(Duration::from_secs(30));
    assert!(shop.proven() < 20, "it restarts in the middle");
    shop.site.restart_radio();
    shop.run_for(Duration::from_secs(60));
    assert!(shop.head.radio_counters().restarts >= 1 && shop.proven() < 20);
    shop.unplug(Duration::from_secs(40));
    shop.settle(20 * MINUTE);
}

#[test]
fn a_label_that_was_away_for_three_hours_gets_its_picture() {
    let mut shop = Shop::new(5, 0.0);
    (0..3).for_each(|number| shop.add(number, 0x01));
    shop.run_for(2 * MINUTE);
    let back = shop.now + Duration::from_hours(3);
    shop.site.carry_away(label(1), back);
    shop.change_all(1);
    shop.run_for(Duration::from_hours(3));
    assert_eq!(shop.proven(), 2);
    shop.settle(30 * MINUTE);
    assert!(shop.now > back);
}

#[test]
fn more_labels_than_slots_settle() {
    let mut shop = Shop::new(11, 0.0);
    (0..260).for_each(|number| shop.add(number, 0x27));
    shop.run_for(2 * MINUTE);
    shop.change_all(1);
    shop.settle(60 * MINUTE);
    assert!(shop.slots_most > 200 && shop.slots_most <= 250, "{}", shop.slots_most);
}

#[test]
fn idle_labels_take_no_slot_and_a_settled_shop_sends_only_pings() {
    let mut shop = Shop::new(13, 0.0);
    (0..10).for_each(|number| shop.add(number, 0x01));
    shop.run_for(2 * MINUTE);
    shop.change_all(1);
    shop.settle(20 * MINUTE);
    shop.run_for(2 * MINUTE);
    assert_eq!(shop.site.slots(), 0);
    let before = shop.head.radio_counters();
    shop.run_for(10 * MINUTE);
    assert_eq!(shop.head.radio_counters(), before);
}

#[test]
fn a_label_that_confirms_unread_is_never_taken_for_proven() {
    for id in [0x01, 0x33] {
        let mut shop = Shop::new(17, 0.0);
        shop.add_with(0, id, Some(TagFault::ConfirmsUnread));
        shop.run_for(2 * MINUTE);
        shop.change_all(1);
        shop.run_for(30 * MINUTE);
        assert_eq!(shop.proven(), 0);
        assert!(shop.outcomes.contains(&Outcome::Status(Status::Undecodable)), "{:?}", shop.outcomes);
    }
}

#[test]
fn a_label_that_throws_its_picture_away_and_confirms_it_is_found_out() {
    let mut shop = Shop::new(19, 0.0);
    shop.add_with(0, 0x33, Some(TagFault::ThrowsAway(1)));
    shop.run_for(2 * MINUTE);
    shop.change_all(1);
    shop.settle(30 * MINUTE);
    assert!(matches!(shop.outcomes[0], Outcome::Taken { .. }), "it said that it had it");
}

#[test]
fn a_picture_that_is_shown_already_can_be_forced_onto_the_glass() {
    for (id, refreshes) in [(0x01, 1), (0x33, 2)] {
        let mut shop = Shop::new(23, 0.0);
        shop.add(0, id);
        shop.run_for(2 * MINUTE);
        shop.change_all(1);
        shop.settle(20 * MINUTE);
        let before = shop.site.label(label(0)).unwrap().refreshes;
        shop.send_again(label(0));
        shop.settle(20 * MINUTE);
        // Once for the picture; a label that draws what it is asked for again did so for the proof, too.
        assert_eq!(shop.site.label(label(0)).unwrap().refreshes, before + refreshes);
    }
}

#[test]
fn a_label_whose_battery_was_changed_is_served_anew() {
    let mut shop = Shop::new(29, 0.0);
    shop.add(0, 0x01);
    shop.run_for(2 * MINUTE);
    shop.change_all(1);
    shop.settle(20 * MINUTE);
    shop.site.change_battery(shop.now, label(0));
    shop.run_for(Duration::from_secs(1));
    assert_eq!(shop.proven(), 0, "it may show anything");
    shop.settle(20 * MINUTE);
}

#[test]
fn the_newest_picture_wins_and_an_overtaken_one_has_its_outcome() {
    let mut shop = Shop::new(31, 0.0);
    (0..10).for_each(|number| shop.add(number, 0x33));
    shop.run_for(2 * MINUTE);
    for content in 1..=8 {
        shop.change_all(content);
        shop.run_for(Duration::from_secs(7));
    }
    shop.settle(20 * MINUTE);
    assert_eq!(shop.in_flight(), 0, "each picture has exactly one outcome");
}

#[test]
fn labels_do_what_they_are_told() {
    let mut shop = Shop::new(37, 0.0);
    shop.add(0, 0x33);
    shop.add(1, 0x33);
    shop.run_for(2 * MINUTE);
    let blue = LightColour::new(4).unwrap();
    let flash = Action::Flash { colour: blue, pattern: Pattern::Fast, seconds: 30 };
    shop.head.command(shop.now, flash, vec![(TransferNumber(900), label(0))]).unwrap();
    shop.head.command(shop.now, Action::Refresh, vec![(TransferNumber(901), label(0))]).unwrap();
    shop.head.command(shop.now, Action::Reboot, vec![(TransferNumber(903), label(1))]).unwrap();
    shop.run_for(2 * MINUTE);
    shop.head.command(shop.now, Action::Sleep, vec![(TransferNumber(902), label(1))]).unwrap();
    shop.run_for(3 * MINUTE);
    let [first, second] = [0, 1].map(|number| shop.site.label(label(number)).unwrap());
    assert_eq!((first.flashes, first.sleeps_deep, second.sleeps_deep), (1, false, true));
    let done = |number| shop.orders.get(&TransferNumber(number)).copied();
    assert_eq!(done(900), Some(Outcome::Status(Status::Delivered)));
    assert_eq!(done(901), Some(Outcome::Status(Status::Unsupported)));
    assert_eq!(done(902), Some(Outcome::Status(Status::Delivered)));
    assert_eq!(done(903), Some(Outcome::Status(Status::Delivered)));
    let presses = shop.presses;
    shop.site.press(shop.now, label(1));
    shop.run_for(Duration::from_secs(1));
    assert_eq!(shop.presses, presses + 1);
}

#[test]
fn every_kind_of_radio_is_driven() {
    for (is_sub_ghz, has_high_speed) in [(false, false), (false, true), (true, false), (true, true)] {
        let radio = RadioOptions { is_sub_ghz, has_high_speed, mutters: true };
        let mut shop = Shop::with(41, 0.0, radio);
        shop.add(0, 0x01);
        shop.run_for(2 * MINUTE);
        assert_eq!(shop.site.baud(), if has_high_speed { 2_000_000 } else { 115_200 });
        assert_eq!((shop.head.description().radio, shop.head.description().firmware), (Some(0xC6), Some(0x1F)));
        shop.change_all(1);
        shop.settle(10 * MINUTE);
    }
}

#[test]
fn a_radio_that_is_still_at_high_speed_is_found() {
    let mut shop = Shop::new(43, 0.0);
    shop.add(0, 0x01);
    shop.run_for(MINUTE);
    assert_eq!(shop.site.baud(), 2_000_000);
    shop.unplug(Duration::from_secs(1));
    shop.run_for(Duration::from_secs(20));
    shop.change_all(1);
    shop.settle(10 * MINUTE);
}

#[test]
fn every_model_shows_what_was_drawn() {
    let mut shop = Shop::new(47, 0.0);
    for (number, model) in (0..).zip(Model::ALL) {
        shop.add(number, model.id);
    }
    shop.run_for(2 * MINUTE);
    shop.change_all(1);
    shop.settle(20 * MINUTE);
}

#[test]
fn a_seed_decides_everything() {
    let run = || {
        let mut shop = Shop::new(53, 0.1);
        (0..5).for_each(|number| shop.add(number, 0x01));
        shop.run_for(2 * MINUTE);
        shop.change_all(1);
        shop.settle(20 * MINUTE);
        (shop.now, shop.site.counters(), shop.head.counters())
    };
    assert_eq!(run(), run());
    assert!(run().0 > Moment::ZERO);
}
