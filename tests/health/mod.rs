//! What a label's health says: each state reached and left, in virtual time; and what was away for long comes back with
//! one refresh.

use std::time::Duration;

use gondola::controller::message::LabelRequest;
use gondola::fleet::health::{Health, Problem};
use gondola::journal::entry::Position;
use gondola_drivers::HeadEvent;
use gondola_protocol::message::CheckIn;
use gondola_protocol::{Edition, Millivolts, Planes};
use gondola_simulator::Fault;

use crate::shop::{START, Shop, ShopOptions, label, panel, station};
use crate::staging::shop_with_promotion;
use crate::{Core, HOUR, MINUTE, check_in};

const DAY: Duration = Duration::from_hours(24);

fn small(labels: u64) -> ShopOptions {
    ShopOptions { labels, ..ShopOptions::default() }
}

/// What a label's health was in so many seconds, from now on: each state once in a row.
fn healths(shop: &mut Shop, number: u64, seconds: u64) -> Vec<Health> {
    let mut seen = vec![shop.health(number)];
    for _ in 0..seconds {
        shop.run(1);
        let health = shop.health(number);
        if seen.last() != Some(&health) {
            seen.push(health);
        }
    }
    seen
}

fn problems(core: &Core) -> Vec<Problem> {
    Problem::of(core.label()).collect()
}

#[test]
fn a_label_without_a_product_is_unbound_and_says_so_again_when_it_is_taken_off() {
    let mut shop = Shop::open(small(1));
    shop.price(0, "10.00");
    shop.register(0);
    assert_eq!(healths(&mut shop, 0, 60), [Health::Unbound]);
    shop.bind(0, 0);
    assert_eq!(healths(&mut shop, 0, 60).last(), Some(&Health::InSync));
    shop.unbind(0);
    assert_eq!(healths(&mut shop, 0, 60), [Health::Unbound]);
}

#[test]
fn a_price_is_in_flight_then_delivered_then_in_sync() {
    let mut shop = Shop::settled(small(2));
    shop.price(1, "11.00");
    assert_eq!(healths(&mut shop, 1, 60), [Health::InFlight, Health::Delivered, Health::InSync]);
}

#[test]
fn a_label_waits_while_its_base_station_is_away() {
    let mut shop = Shop::settled(small(1));
    shop.harness.disconnect(&station(0));
    shop.price(0, "11.00");
    assert_eq!(healths(&mut shop, 0, 60), [Health::Pending]);
    shop.harness.connect(&station(0));
    assert_eq!(healths(&mut shop, 0, 60).last(), Some(&Health::InSync));
}

#[test]
fn a_picture_that_was_lost_with_its_base_station_waits_for_another_turn() {
    let mut shop = Shop::settled(ShopOptions { wake: Duration::from_secs(120), ..small(1) });
    shop.price(0, "11.00");
    shop.run(1);
    assert_eq!(shop.health(0), Health::InFlight);
    shop.harness.disconnect(&station(0));
    assert_eq!(shop.health(0), Health::Pending);
    shop.harness.connect(&station(0));
    assert_eq!(healths(&mut shop, 0, 300).last(), Some(&Health::InSync));
}

#[test]
fn a_label_that_takes_its_picture_and_never_shows_it_is_stale_until_it_does() {
    let mut shop = Shop::settled(small(1));
    shop.fault(0, Some(Fault::Stuck));
    shop.price(0, "11.00");
    let seen = healths(&mut shop, 0, 1_200);
    assert!(seen.contains(&Health::Delivered), "{seen:?}");
    assert_eq!(seen.last(), Some(&Health::Stale));
    shop.fault(0, None);
    shop.settle(HOUR);
    assert_eq!(shop.health(0), Health::InSync);
}

#[test]
fn a_label_that_nobody_can_hear_is_offline_and_not_merely_stale() {
    let mut shop = Shop::settled(small(1));
    shop.fault(0, Some(Fault::Mute));
    shop.price(0, "11.00");
    let seen = healths(&mut shop, 0, 2_400);
    assert_eq!(seen.last(), Some(&Health::Offline), "{seen:?}");
    assert!(!seen.contains(&Health::InSync), "{seen:?}");
    shop.fault(0, None);
    shop.settle(HOUR);
    assert_eq!(shop.health(0), Health::InSync);
}

#[test]
fn a_label_that_is_silent_is_offline_although_its_picture_is_right() {
    let mut shop = Shop::settled(small(1));
    shop.fault(0, Some(Fault::Deaf));
    assert_eq!(healths(&mut shop, 0, 2_400), [Health::InSync, Health::Offline]);
    shop.fault(0, None);
    assert_eq!(healths(&mut shop, 0, 60), [Health::Offline, Health::InSync]);
}

#[test]
fn a_label_that_was_never_heard_is_offline_and_says_that_it_never_was() {
    let mut shop = Shop::open(small(1));
    shop.fault(0, Some(Fault::Deaf));
    shop.hang_all();
    shop.run(60);
    assert_eq!(shop.health(0), Health::Offline);
    assert_eq!(Problem::of(shop.label(0)).collect::<Vec<_>>(), [Problem::NeverHeard]);
    shop.fault(0, None);
    shop.settle(2 * MINUTE);
    assert_eq!(Problem::of(shop.label(0)).count(), 0);
}

#[test]
fn another_panel_than_registered_is_faulty_until_it_is_registered_as_it_is() {
    let mut shop = Shop::open(small(2));
    shop.price(0, "10.00");
    let register = |panel| LabelRequest::Register { label: label(0), panel, position: Position::default() };
    shop.harness.request(register(panel(1)));
    shop.bind(0, 0);
    shop.run(60);
    assert_eq!(shop.health(0), Health::Faulty);
    shop.remove(0);
    shop.register(0);
    shop.bind(0, 0);
    shop.settle(2 * MINUTE);
    assert_eq!(shop.health(0), Health::InSync);
}

#[test]
fn a_battery_that_is_changed_is_low_no_more() {
    let mut core = Core::new();
    let say = |millivolts| {
        let white = Planes::white(panel(0)).digest();
        HeadEvent::CheckIn(CheckIn { battery_mv: Millivolts(millivolts), ..check_in(Edition(0), white) })
    };
    core.hear(START, say(2_399));
    assert_eq!(problems(&core), [Problem::LowBattery]);
    core.hear(START, say(2_400));
    assert_eq!(problems(&core), []);
}

#[test]
fn a_label_that_forgot_its_picture_is_wrong_until_it_has_it_again() {
    let mut shop = Shop::settled(small(1));
    shop.fault(0, Some(Fault::Reset));
    let seen = healths(&mut shop, 0, 60);
    assert!(seen.contains(&Health::InFlight), "{seen:?}");
    assert_eq!(seen.last(), Some(&Health::InSync));
}

#[test]
fn a_switch_that_nobody_has_seen_yet_is_delivered_and_not_in_sync() {
    let (mut shop, at) = shop_with_promotion(small(1), 600);
    shop.harness.run(at.since(shop.harness.now()));
    assert_eq!(healths(&mut shop, 0, 60), [Health::Delivered, Health::InSync]);
}

/// A shop whose labels wake each minute.
#[track_caller]
fn shop_of_six() -> Shop {
    Shop::settled(ShopOptions { labels: 6, wake: MINUTE, ..ShopOptions::default() })
}

/// Three waves in a day, each a new price for every product, and nobody gets any of it.
fn three_waves(shop: &mut Shop) {
    for wave in ["11.00", "12.00", "13.00"] {
        for number in 0..6 {
            shop.price(number, wave);
        }
        shop.harness.run(DAY / 3);
    }
}

#[track_caller]
fn check_refreshed_once(shop: &Shop, before: usize) {
    for number in 0..6 {
        let refreshes = shop.harness.events()[before..].iter().filter(
            |event| matches!(event, gondola::simulate::harness::Event::Glass(glass) if glass.label == label(number)),
        );
        assert_eq!(refreshes.count(), 1, "label {number}");
    }
    shop.check_trace();
}

#[test]
fn after_a_day_without_its_network_a_shop_needs_one_refresh_a_label() {
    let mut shop = shop_of_six();
    shop.harness.disconnect(&station(0));
    let before = shop.harness.events().len();
    three_waves(&mut shop);
    shop.harness.connect(&station(0));
    shop.settle(10 * MINUTE);
    check_refreshed_once(&shop, before);
}

#[test]
fn after_a_day_without_its_base_station_a_shop_needs_one_refresh_a_label() {
    let mut shop = shop_of_six();
    let now = shop.harness.now();
    shop.harness.world_mut().set_power(now, &station(0), false);
    let before = shop.harness.events().len();
    three_waves(&mut shop);
    let now = shop.harness.now();
    shop.harness.world_mut().set_power(now, &station(0), true);
    shop.settle(10 * MINUTE);
    check_refreshed_once(&shop, before);
}

#[test]
fn after_a_day_without_its_broker_a_shop_needs_one_refresh_a_label() {
    let mut shop = shop_of_six();
    shop.harness.run(DAY);
    let before = shop.harness.events().len();
    // What the broker has kept comes at once.
    for wave in ["11.00", "12.00", "13.00"] {
        for number in 0..6 {
            shop.price(number, wave);
        }
    }
    shop.settle(10 * MINUTE);
    check_refreshed_once(&shop, before);
}

#[test]
fn a_label_that_was_away_for_a_week_shows_the_right_price_at_its_first_check_in() {
    let mut shop = shop_of_six();
    shop.fault(3, Some(Fault::Deaf));
    for day in 0..7 {
        shop.price(3, &format!("{}.00", 11 + day));
        shop.harness.run(DAY);
    }
    let refreshes = shop.glasses_of(3).len();
    assert!(!shop.glass_agrees(3), "it is away");
    shop.fault(3, None);
    while shop.label(3).last_check_in.is_none_or(|heard| shop.harness.now().since(heard) > MINUTE) {
        shop.run(1);
    }
    // The wake in which it was heard, and the refresh.
    shop.run(15);
    assert!(shop.glass_agrees(3));
    assert_eq!(shop.glasses_of(3).len(), refreshes + 1);
    shop.settle(2 * MINUTE);
    shop.check_trace();
}
