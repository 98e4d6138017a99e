//! Pictures that are sent ahead and shown at an instant, and what labels are told to do: in virtual time, from the feed
//! to the glass.

use std::collections::BTreeSet;
use std::time::Duration;

use gondola::catalog::sku::Sku;
use gondola::catalog::wire::Facet;
use gondola::controller::message::{Answer, Publication, Refusal, Request};
use gondola::fleet::ahead::Switch;
use gondola::fleet::health::Health;
use gondola::fleet::label::CommandState;
use gondola::simulate::harness::Event;
use gondola_drivers::Action;
use gondola_protocol::message::{LightColour, Pattern, Status};
use gondola_protocol::{LabelId, Moment};
use gondola_simulator::Fault;

use crate::shop::{START, Shop, ShopOptions, label, sku, station};
use crate::story::{promotion, second};

const SECOND: Duration = Duration::from_secs(1);

const SETTLE: Duration = Duration::from_secs(300);

/// How long the slower of the shop's panels takes to change.
const REFRESH: Duration = Duration::from_secs(3);

/// A settled shop with a promotion for every product that begins so many seconds later, and its instant.
#[track_caller]
pub(crate) fn shop_with_promotion(options: ShopOptions, later: u64) -> (Shop, Moment) {
    let mut shop = Shop::settled(options);
    let products: Vec<u64> = (0..shop.options.labels).collect();
    let at = second(&shop) + later;
    let fields = r#""kind":"special_price","price":"8.00""#;
    shop.publish(Facet::Promotion, &promotion("P", &products, fields, at, at + 90_000));
    (shop, START + Duration::from_secs(at))
}

fn small(labels: u64) -> ShopOptions {
    ShopOptions { labels, ..ShopOptions::default() }
}

fn staged(shop: &Shop) -> BTreeSet<LabelId> {
    let labels = shop.harness.events().iter().filter_map(|event| match event {
        Event::Staged(_, label, ..) => Some(*label),
        _ => None,
    });
    labels.collect()
}

fn run_until(shop: &mut Shop, at: Moment) {
    shop.harness.run(at.since(shop.harness.now()));
}

#[track_caller]
fn last_switch(shop: &Shop) -> (Moment, usize, usize) {
    let Switch { at, labels, staged, .. } = *shop.harness.controller().switches().last().unwrap();
    (at, labels, staged)
}

#[test]
fn a_promotion_starts_on_two_thousand_labels_within_a_second_although_a_station_restarts() {
    let options = ShopOptions { labels: 2_000, stations: 4, wake: Duration::from_secs(60), loss: 0.02, seed: 7 };
    let (mut shop, at) = shop_with_promotion(options, 3_000);
    shop.run(400);
    let now = shop.harness.now();
    shop.harness.world_mut().reboot(now, &station(1));
    run_until(&mut shop, START + (at.since(START) - SECOND));
    let before = (shop.sent(), shop.harness.events().len());
    assert!((0..2_000).all(|number| shop.health(number) == Health::InSync && shop.label(number).keeps_upcoming()));
    shop.harness.run(SECOND + REFRESH + SECOND);
    assert_eq!(last_switch(&shop), (at, 2_000, 2_000));
    assert_eq!(shop.sent(), before.0, "nothing is sent for what every label keeps");
    let changed = shop.changed_since(before.1);
    assert_eq!(changed.len(), 2_000, "every glass has changed");
    assert!((0..2_000).all(|number| shop.glass_agrees(number)));
    shop.settle(SETTLE);
    shop.check_trace();
    let confirmed: BTreeSet<&Sku> = shop
        .publications()
        .filter_map(|publication| match publication {
            Publication::Confirmation(it) if it.price.as_deref() == Some("8.00") && it.at.is_some() => Some(&it.sku),
            _ => None,
        })
        .collect();
    assert_eq!(confirmed.len(), 2_000, "others are told of each product, in as many turns as that takes");
}

#[test]
fn a_label_in_sync_stays_so_while_its_next_picture_is_on_its_way() {
    let (mut shop, at) = shop_with_promotion(small(2), 600);
    while shop.harness.now() < at {
        assert_eq!([0, 1].map(|number| shop.health(number)), [Health::InSync; 2]);
        shop.run(1);
    }
    assert_eq!(staged(&shop).len(), 2);
    assert!(shop.label(0).unproven.is_some(), "its moment has come and nobody has seen it yet");
    assert_eq!(shop.health(0), Health::Delivered);
    shop.settle(SETTLE);
}

#[test]
fn a_promotion_that_is_called_off_is_never_shown() {
    let (mut shop, at) = shop_with_promotion(small(6), 1_200);
    shop.run(300);
    assert!((0..6).all(|number| shop.label(number).keeps_upcoming()));
    let before = shop.harness.events().len();
    shop.publish(Facet::Promotion, r#"{"promotion_id":"P","revision":2,"deleted":true}"#);
    run_until(&mut shop, at + Duration::from_secs(600));
    assert_eq!(shop.changed_since(before), BTreeSet::new());
    assert!((0..6).all(|number| shop.label(number).kept.is_none()));
    let drops = shop.harness.events()[before..].iter().filter(|event| matches!(event, Event::Commanded(..)));
    assert_eq!(drops.count(), 6, "each label is told once");
    shop.check_trace();
}

#[test]
fn a_price_that_changes_meanwhile_is_shown_and_the_promotion_after_it() {
    let (mut shop, at) = shop_with_promotion(small(4), 1_200);
    shop.run(300);
    shop.price(1, "11.00");
    shop.settle(SETTLE);
    shop.run(120);
    let upcoming = shop.label(1).upcoming.clone().unwrap();
    assert!(upcoming.desired.edition > shop.label(1).desired.as_ref().unwrap().edition, "or it would refuse it");
    run_until(&mut shop, at);
    let before = shop.sent();
    shop.harness.run(REFRESH + SECOND);
    assert_eq!((last_switch(&shop), shop.sent()), ((at, 4, 4), before));
    assert!((0..4).all(|number| shop.glass_agrees(number)));
    shop.check_trace();
}

#[test]
fn a_promotion_that_comes_too_late_to_be_sent_ahead_is_sent_at_its_instant() {
    let (mut shop, at) = shop_with_promotion(small(4), 9);
    shop.settle(SETTLE);
    shop.run(9);
    assert_eq!(last_switch(&shop), (at, 4, 0));
    shop.settle(SETTLE);
    assert_eq!(staged(&shop), BTreeSet::new());
    shop.check_trace();
}

#[test]
fn a_label_that_restarts_is_sent_its_next_picture_again() {
    let (mut shop, at) = shop_with_promotion(small(2), 1_200);
    shop.run(300);
    shop.fault(1, Some(Fault::Reset));
    shop.run(300);
    assert!(shop.label(1).keeps_upcoming());
    run_until(&mut shop, at);
    shop.harness.run(REFRESH + SECOND);
    assert_eq!(last_switch(&shop), (at, 2, 2));
    assert!((0..2).all(|number| shop.glass_agrees(number)));
}

#[test]
fn a_label_that_cannot_be_reached_in_time_is_told_of_and_gets_its_picture_when_it_is_back() {
    let (mut shop, at) = shop_with_promotion(small(3), 600);
    shop.fault(2, Some(Fault::Deaf));
    run_until(&mut shop, at + Duration::from_secs(60));
    assert_eq!(last_switch(&shop), (at, 3, 2));
    let told = shop.harness.events().iter().filter_map(|event| match event {
        Event::Notice(_, text) => text.strip_prefix("switch at "),
        _ => None,
    });
    let told: Vec<&str> = told.collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].ends_with(": 2 of 3 labels kept their new picture in time"), "{told:?}");
    shop.fault(2, None);
    shop.settle(SETTLE);
    shop.check_trace();
}

#[test]
fn the_end_of_a_promotion_is_sent_ahead_as_well() {
    let mut shop = Shop::settled(small(4));
    let at = second(&shop);
    let fields = r#""kind":"special_price","price":"8.00""#;
    shop.publish(Facet::Promotion, &promotion("P", &[0, 1, 2, 3], fields, at, at + 900));
    shop.settle(SETTLE);
    run_until(&mut shop, START + Duration::from_secs(at + 900));
    let before = shop.sent();
    shop.harness.run(REFRESH + SECOND);
    assert_eq!((shop.sent(), last_switch(&shop).2), (before, 4));
    assert!((0..4).all(|number| shop.glass_agrees(number)));
}

fn flash(seconds: u16) -> Action {
    Action::Flash { colour: LightColour::new(2).unwrap(), pattern: Pattern::Fast, seconds }
}

#[track_caller]
fn command(shop: &mut Shop, numbers: &[u64], action: Action) {
    let labels = numbers.iter().map(|number| label(*number)).collect();
    let ticket = shop.harness.request(Request::Command { labels, action });
    let answer = shop.harness.events().iter().find_map(|event| match event {
        Event::Reply(_, of, answer) if *of == ticket => Some(answer.clone()),
        _ => None,
    });
    assert_eq!(answer, Some(Ok(Answer::Done)));
}

#[track_caller]
fn outcome(shop: &Shop, number: u64) -> Option<Status> {
    match shop.label(number).command.as_ref().unwrap().state {
        CommandState::Over { status, .. } => status,
        other => panic!("it is not over: {other:?}"),
    }
}

#[test]
fn labels_do_what_they_are_told_and_their_pictures_stay() {
    let mut shop = Shop::settled(small(6));
    let before = shop.harness.events().len();
    command(&mut shop, &[0, 1, 2], flash(300));
    command(&mut shop, &[3], Action::Firmware);
    command(&mut shop, &[4], Action::Page { slot: 3 });
    command(&mut shop, &[5], Action::Identify);
    shop.run(30);
    for number in 0..3 {
        let light = shop.harness.world().labels().nth(number).unwrap().light.unwrap();
        assert_eq!((light.colour.bits(), light.pattern), (2, Pattern::Fast));
    }
    assert_eq!([0, 1, 2, 3, 5].map(|number| outcome(&shop, number)), [Some(Status::Delivered); 5]);
    assert_eq!(outcome(&shop, 4), Some(Status::Unsupported), "it keeps no such page");
    assert!(shop.label(3).firmware_name.is_some());
    assert_eq!(shop.harness.world().labels().nth(5).unwrap().identified, 1);
    assert_eq!(shop.changed_since(before), BTreeSet::new());
    command(&mut shop, &[0], Action::Refresh);
    shop.run(30);
    assert_eq!((outcome(&shop, 0), shop.glasses_of(0).len()), (Some(Status::Delivered), 2));
    shop.settle(SETTLE);
    shop.check_trace();
}

#[test]
fn a_command_reaches_its_label_in_the_middle_of_a_wave() {
    let options = ShopOptions { labels: 600, wake: Duration::from_secs(60), ..ShopOptions::default() };
    let mut shop = Shop::settled(options);
    for number in 0..600 {
        shop.price(number, "12.00");
    }
    assert!(shop.harness.controller().waiting() > 0, "the station is full");
    command(&mut shop, &[599], flash(60));
    assert!(shop.harness.run_until(Duration::from_secs(150), |harness| {
        let label = harness.controller().fleet().label(label(599)).unwrap();
        matches!(label.command.as_ref().unwrap().state, CommandState::Over { .. })
    }));
    assert_eq!(outcome(&shop, 599), Some(Status::Delivered));
    let is_late = |number: &u64| !shop.label(*number).is_in_sync();
    assert!((0..600).any(|number| is_late(&number)), "and the wave is not over");
    shop.settle(Duration::from_secs(600));
    shop.check_trace();
}

#[test]
fn a_newer_command_takes_the_place_of_an_older_one_and_an_unknown_label_is_refused() {
    let mut shop = Shop::settled(small(1));
    command(&mut shop, &[0], flash(60));
    command(&mut shop, &[0], Action::Identify);
    shop.run(30);
    let state = shop.harness.world().labels().next().unwrap();
    assert_eq!((state.light, state.identified), (None, 1), "the first was withdrawn before its label woke");
    let ticket = shop.harness.request(Request::Command { labels: vec![label(9)], action: Action::Ping });
    let refused = Err(Refusal::UnknownLabel(label(9)));
    let is_refused =
        |event: &Event| matches!(event, Event::Reply(_, of, answer) if *of == ticket && *answer == refused);
    assert!(shop.harness.events().iter().any(is_refused));
    assert_eq!(shop.label(0).binding.as_ref().unwrap().skus[..], [sku(0)]);
    shop.check_trace();
}

#[test]
fn nothing_is_confirmed_of_a_label_that_may_have_switched_unseen() {
    let (mut shop, at) = shop_with_promotion(small(2), 1_200);
    shop.run(300);
    assert!(shop.label(1).keeps_upcoming());
    // It can neither be told that the promotion is off, nor say what it does.
    shop.fault(1, Some(Fault::Deaf));
    shop.publish(Facet::Promotion, r#"{"promotion_id":"P","revision":2,"deleted":true}"#);
    run_until(&mut shop, at + Duration::from_secs(60));
    assert!(!shop.glass_agrees(1), "it has shown the promotion by itself");
    assert_eq!((shop.health(0), shop.health(1)), (Health::InSync, Health::Delivered));
    // A correction that looks the same makes the controller say how far the shelf is.
    shop.price(1, "10.00");
    let confirmation = shop.confirmation(1);
    assert_eq!((confirmation.labels, confirmation.confirmed, confirmation.at), (1, 0, None));
    shop.fault(1, None);
    // Its first word tells what it shows.
    shop.run(15);
    shop.settle(SETTLE);
    shop.check_trace();
}
