//! The core, the heads and a simulated shop in virtual time: what must come true whatever happens on the way.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

mod health;
mod shop;
mod staging;
mod story;

use std::time::Duration;

use gondola::alert::Rule;
use gondola::alert::rules::AlertRules;
use gondola::catalog::wire::{self, Facet};
use gondola::controller::message::{Input, LabelRequest, Output, UnknownSkus};
use gondola::controller::{Controller, StoreSettings};
use gondola::fleet::health::Health;
use gondola::fleet::label::{Label, Stage};
use gondola::journal::entry::{Entry, Position, Shown};
use gondola::render::Renderer;
use gondola::simulate::harness::Event;
use gondola::template::Templates;
use gondola_drivers::{DownReason, HeadEvent, Outcome, Picture};
use gondola_protocol::message::{CheckIn, Reason, Status, Welcome};
use gondola_protocol::{Digest, Edition, Millivolts, Moment, Planes, SessionId};
use gondola_simulator::Fault;
use proptest::prelude::*;
use shop::{START, Shop, ShopOptions, amount, label, panel, product, settings, sku, station};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn shown(price: &str, revision: u64) -> Vec<Shown> {
    let (sku, price) = (sku(0), Some(price.into()));
    vec![Shown { sku, revision: Some(revision), promotion_id: None, promotion_revision: None, price }]
}

/// The proofs of one label in the journal.
fn proofs(shop: &Shop, number: u64) -> Vec<(Digest, Edition, Vec<Shown>)> {
    let proof = |entry: &&Entry| match entry {
        Entry::Proof { label: of, digest, edition, shown, .. } if *of == label(number) => {
            Some((*digest, *edition, shown.clone()))
        }
        _ => None,
    };
    shop.journal().iter().filter_map(proof).collect()
}

#[test]
fn a_published_price_reaches_the_glass_and_the_journal() {
    let mut shop = Shop::open(ShopOptions { labels: 1, ..ShopOptions::default() });
    shop.price(0, "10.00");
    shop.register(0);
    shop.bind(0, 0);
    let mut proven = false;
    while !proven {
        shop.run(1);
        proven = proofs(&shop, 0).iter().any(|(.., shown)| !shown.is_empty());
        assert_eq!(shop.label(0).is_in_sync(), proven, "in sync without a proof, or a proof that is not believed");
        assert!(shop.harness.now() < START + MINUTE);
    }
    assert!(shop.glass_agrees(0));
    assert_eq!(shop.health(0), Health::InSync);
    let state = shop.harness.world().labels().next().unwrap();
    let last = proofs(&shop, 0).pop().unwrap();
    assert_eq!(last, (state.digest, state.edition, shown("10.00", 1)));
    let kind = |entry: &&Entry| match entry {
        Entry::Registered { .. } => "registered",
        Entry::Bound { .. } => "bound",
        Entry::Prices { .. } => "prices",
        Entry::Proof { .. } => "proof",
        _ => "other",
    };
    let kinds: Vec<&str> = shop.journal().iter().map(kind).collect();
    // The first proof is of the white glass.
    assert_eq!(kinds, ["prices", "registered", "bound", "proof", "proof"]);
    shop.check_trace();
}

#[test]
fn a_stuck_glass_is_never_believed_and_heals_by_itself() {
    let mut shop = Shop::settled(ShopOptions { labels: 1, ..ShopOptions::default() });
    let reported = |shop: &Shop| {
        let reported = shop.label(0).reported.clone().unwrap();
        (reported.digest, reported.edition, reported.since, reported.content)
    };
    let before = reported(&shop);
    let (proven, sent) = (proofs(&shop, 0).len(), shop.sent());
    shop.fault(0, Some(Fault::Stuck));
    shop.price(0, "20.00");
    let mut delivered = 0;
    for _ in 0..3_600 {
        shop.run(1);
        assert!(!shop.label(0).is_in_sync());
        delivered += u32::from(shop.health(0) == Health::Delivered);
    }
    assert_eq!(reported(&shop), before);
    assert_eq!(proofs(&shop, 0).len(), proven);
    assert!(delivered > 60, "delivered for {delivered} s");
    assert_eq!(shop.health(0), Health::Stale);
    let attempts = shop.sent() - sent;
    assert!((3..=8).contains(&attempts), "{attempts} attempts in an hour");

    shop.fault(0, None);
    shop.settle(HOUR);
    assert_eq!(shop.health(0), Health::InSync);
    assert_eq!(shop.label(0).trouble().refusals, 0);
    shop.check_trace();
}

#[test]
fn an_old_price_that_comes_back_is_a_third_edition() {
    let mut shop = Shop::settled(ShopOptions { labels: 1, ..ShopOptions::default() });
    let first = shop.label(0).reported.clone().unwrap();
    shop.price(0, "20.00");
    shop.settle(MINUTE);
    let second = shop.label(0).reported.clone().unwrap();
    shop.price(0, "10.00");
    shop.settle(MINUTE);
    let third = shop.label(0).reported.clone().unwrap();
    assert_eq!((first.digest, first.digest == second.digest), (third.digest, false));
    assert!(first.edition < second.edition && second.edition < third.edition);
    shop.check_trace();
}

#[test]
fn an_old_price_that_comes_back_while_the_new_one_is_on_its_way_is_not_trusted() {
    for after in 0..20 {
        let mut shop = Shop::settled(ShopOptions { labels: 1, seed: after, ..ShopOptions::default() });
        shop.price(0, "20.00");
        shop.run(after);
        shop.price(0, "10.00");
        for _ in 0..60 {
            shop.harness.run(Duration::from_millis(500));
            let agrees = shop.glass_agrees(0);
            assert!(agrees || !shop.label(0).is_in_sync(), "{after} s: the glass is wrong, and nobody knows");
        }
        shop.settle(MINUTE);
        shop.check_trace();
    }
}

#[test]
fn a_hundred_changes_while_a_label_sleeps_cost_one_refresh() {
    let mut shop = Shop::settled(ShopOptions { labels: 1, wake: Duration::from_secs(900), ..ShopOptions::default() });
    let refreshes = shop.glasses_of(0).len();
    // Settled means that it has just been awake.
    for cents in 1..=100 {
        shop.price(0, &amount(1_000 + cents));
        shop.run(5);
    }
    assert_eq!(shop.glasses_of(0).len(), refreshes, "the label woke up, and the test shows nothing");
    shop.settle(2 * HOUR);
    assert_eq!(shop.glasses_of(0).len(), refreshes + 1);
    assert_eq!(proofs(&shop, 0).pop().unwrap().2, shown("11.00", 101));
    shop.check_trace();
}

#[test]
fn a_base_station_that_drops_out_loses_its_transfers_and_settles_afterwards() {
    let options = ShopOptions { labels: 6, stations: 2, wake: Duration::from_secs(120), ..ShopOptions::default() };
    let mut shop = Shop::settled(options);
    for number in 0..6 {
        shop.price(number, "20.00");
    }
    shop.harness.run(Duration::from_millis(500));
    let at_first =
        |shop: &Shop| (0..6).filter(|number| number % 2 == 0 && shop.label(*number).under_way.is_some()).count();
    let in_flight = at_first(&shop);
    assert!(in_flight > 0);

    shop.harness.disconnect(&station(0));
    assert_eq!(at_first(&shop), 0);
    for number in [0, 2, 4] {
        let label = shop.label(number);
        assert!(!label.is_in_sync(), "{label:?}");
        assert_eq!(label.trouble().refusals, 0, "what was lost is not refused");
    }
    shop.run(300);
    assert!([1, 3, 5].iter().all(|number| shop.label(*number).is_in_sync()), "the other station goes on");
    assert!([0, 2, 4].iter().all(|number| !shop.label(*number).is_in_sync()), "nobody could have told");

    shop.harness.connect(&station(0));
    // A wake, a refresh, and the way back.
    shop.settle(Duration::from_secs(150));
    shop.check_trace();
}

#[test]
fn a_picture_taken_just_before_its_station_dropped_out_is_not_forgotten() {
    // The label takes the new picture while its station's link is down; then the old price comes back.
    let mut shop = Shop::settled(ShopOptions { labels: 1, ..ShopOptions::default() });
    shop.price(0, "20.00");
    shop.harness.run(Duration::from_millis(500));
    assert!(matches!(shop.label(0).under_way.as_ref().unwrap().stage, Stage::Sent { .. }));
    shop.harness.disconnect(&station(0));
    shop.run(1);
    shop.price(0, "10.00");
    for _ in 0..300 {
        shop.run(1);
        let agrees = shop.glass_agrees(0);
        assert!(agrees || !shop.label(0).is_in_sync(), "the glass is wrong, and nobody knows");
    }
    assert!(!shop.glass_agrees(0), "the label did not take the picture, and the test shows nothing");
    shop.harness.connect(&station(0));
    shop.settle(2 * MINUTE);
    shop.check_trace();
}

#[test]
fn a_third_of_all_frames_and_blocks_may_be_lost() {
    let mut shop = Shop::settled(ShopOptions { labels: 12, stations: 2, loss: 0.3, ..ShopOptions::default() });
    for wave in 1..=5 {
        for number in 0..12 {
            shop.price(number, &amount(1_000 + wave));
        }
        shop.settle(10 * MINUTE);
    }
    let lost = shop.harness.world().counters();
    assert!(lost.frames_lost_down > 0 && lost.frames_lost_up > 0 && lost.blocks_lost > 0);
    shop.check_trace();
}

#[test]
fn a_fleet_in_sync_is_left_alone() {
    let mut shop = Shop::settled(ShopOptions { labels: 20, stations: 2, ..ShopOptions::default() });
    shop.run(60);
    let (sent, before) = (shop.sent(), shop.harness.world().counters());
    let journal = shop.journal().len();
    shop.harness.run(HOUR);
    let after = shop.harness.world().counters();
    assert_eq!((shop.sent(), after.transfers, after.displayed), (sent, before.transfers, before.displayed));
    assert_eq!(shop.journal().len(), journal);
    assert!(after.frames_down - before.frames_down < 3 * 4 * 60 * 2, "more than keep-alives and acks");
}

#[test]
fn an_unregistered_label_gets_nothing_until_it_is_registered() {
    let mut shop = Shop::open(ShopOptions { labels: 2, ..ShopOptions::default() });
    shop.price(0, "10.00");
    shop.run(300);
    assert_eq!((shop.sent(), shop.harness.world().counters().transfers), (0, 0));
    assert_eq!(shop.harness.controller().fleet().seen().count(), 2);

    shop.register(0);
    shop.bind(0, 0);
    // One sleep, one refresh, no wait for the next full report of the station.
    shop.settle(Duration::from_secs(20));
    assert_eq!(shop.glasses_of(1), []);
    shop.check_trace();
}

#[test]
fn a_label_that_was_removed_and_registered_anew_is_served_at_once() {
    let mut shop = Shop::settled(ShopOptions { labels: 2, ..ShopOptions::default() });
    shop.remove(0);
    shop.run(120);
    shop.price(0, "20.00");
    shop.register(0);
    shop.bind(0, 0);
    shop.settle(Duration::from_secs(40));
    shop.check_trace();
}

#[test]
fn a_label_that_is_removed_in_flight_holds_no_room() {
    let options = ShopOptions { labels: 2, wake: Duration::from_secs(300), ..ShopOptions::default() };
    let mut shop = Shop::settled(ShopOptions { labels: 2, ..options });
    shop.price(0, "20.00");
    shop.price(1, "20.00");
    shop.harness.run(Duration::from_millis(500));
    assert!(shop.label(0).under_way.is_some());
    shop.remove(0);
    shop.unbind(1);
    shop.run(1);
    assert_eq!(shop.harness.controller().in_flight(), 0);
    shop.run(600);
    assert!(shop.glasses_of(0).len() == 1 && shop.glasses_of(1).len() == 1, "nobody wants those pictures");
    assert_eq!(shop.health(1), Health::Unbound);
    shop.check_trace();
}

#[test]
fn a_label_that_forgot_everything_gets_its_picture_again() {
    let mut shop = Shop::settled(ShopOptions { labels: 2, ..ShopOptions::default() });
    let edition = shop.label(0).reported.as_ref().unwrap().edition;
    shop.fault(0, Some(Fault::Reset));
    assert!(!shop.glass_agrees(0));
    shop.run(20);
    shop.settle(MINUTE);
    let editions: Vec<Edition> = shop.glasses_of(0).iter().map(|glass| glass.edition).collect();
    assert_eq!(editions[1], Edition(0));
    assert!(editions.len() == 3 && editions[2] >= edition, "{editions:?}");
    assert_eq!(shop.glasses_of(1).len(), 1);
    shop.check_trace();
}

#[test]
fn another_device_under_the_same_address_is_told_of_and_forgiven() {
    let mut shop = Shop::settled(ShopOptions { labels: 1, ..ShopOptions::default() });
    let other = panel(1);
    let station = station(0);
    let mut check_in = check_in(Edition(1), Planes::white(other).digest());
    check_in.panel = other;
    // Somebody hung another device under the same address.
    shop.harness.hear(&station, HeadEvent::CheckIn(check_in.clone()));
    assert_eq!(shop.health(0), Health::Faulty);
    assert!(!shop.label(0).is_in_sync());
    let state = shop.harness.world().labels().next().unwrap();
    shop.harness.hear(
        &station,
        HeadEvent::CheckIn(CheckIn { panel: panel(0), edition: state.edition, digest: state.digest, ..check_in }),
    );
    shop.settle(2 * MINUTE);
    assert_eq!((shop.health(0), shop.label(0).trouble().fault.clone()), (Health::InSync, None));
}

/// A label's own word.
fn check_in(edition: Edition, digest: Digest) -> CheckIn {
    CheckIn {
        label: label(0),
        panel: panel(0),
        reason: Reason::Regular,
        edition,
        digest,
        battery_mv: Millivolts(3_000),
        rssi_dbm: -60,
        temperature_c: 21,
        firmware: 1,
    }
}

/// A core alone, with a label that is registered and bound, and its outputs.
struct Core {
    controller: Controller,
    renderer: Renderer,
    cancelled: usize,
    /// The picture against which the last one may be a difference.
    base: Option<Digest>,
}

/// The alerts that hold, but for the journal's: nobody writes it here.
fn alerts(core: &Core) -> Vec<String> {
    let others = core.controller.alerts().raised().filter(|alert| alert.rule != Rule::Journal);
    others.map(|alert| alert.id()).collect()
}

fn welcome() -> Welcome {
    Welcome {
        session: SessionId(1),
        version: 1,
        station: station(0),
        epoch: 1,
        encodings: 3,
        window: 8,
        payload_max: 1_024,
        transfers_max: 8,
        bytes_max: 1 << 20,
    }
}

impl Core {
    fn new() -> Self {
        // What is measured over time is a matter of the minutes between, which this core does not live through.
        let settings = StoreSettings { alerts: AlertRules::OFF, ..settings(1) };
        let controller = Controller::new(settings, std::sync::Arc::new(Templates::embedded()), START);
        let mut core = Self { controller, renderer: Renderer::new().unwrap(), cancelled: 0, base: None };
        let (template, unknown) = (None, UnknownSkus::Refuse);
        let register = LabelRequest::Register { label: label(0), panel: panel(0), position: Position::default() };
        let bind = LabelRequest::Bind { label: label(0), skus: vec![sku(0)], template, unknown };
        core.price(START, 1, "10.00");
        core.handle(START, Input::Request { ticket: 1, request: register.into() });
        core.handle(START, Input::Request { ticket: 2, request: bind.into() });
        core.hear(START, HeadEvent::Up { capacity: (&welcome()).into(), epoch: Some(1) });
        core
    }

    fn hear(&mut self, now: Moment, event: HeadEvent) -> Vec<Picture> {
        self.handle(now, Input::Station(station(0), event))
    }

    /// Publishes the product's price.
    fn price(&mut self, now: Moment, revision: u64, price: &str) -> Vec<Picture> {
        let rows = wire::parse(Facet::Base, product(0, revision, price).as_bytes()).rows;
        self.handle(now, Input::Feed { delivery: None, facet: Facet::Base, rows, seqs: Vec::new() })
    }

    fn label(&self) -> &Label {
        self.controller.fleet().label(label(0)).unwrap()
    }

    /// Gives an input, makes the pictures that it asks for, and answers what goes to the base station.
    fn handle(&mut self, now: Moment, input: Input) -> Vec<Picture> {
        let mut sent = Vec::new();
        self.controller.handle(now, input);
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Send { picture, base, .. } => {
                    self.base = base;
                    sent.push(picture);
                }
                Output::Cancel(..) => self.cancelled += 1,
                Output::Render { number, scene, .. } => {
                    let planes = self.renderer.render(&scene).planes;
                    self.controller.handle(now, Input::Rendered { number, planes, packed: None });
                }
                _ => {}
            }
        }
        sent
    }
}

#[test]
fn a_label_that_is_ahead_is_given_a_higher_edition() {
    let mut core = Core::new();
    let ahead = Edition(START.as_millis() + 5_000_000_000);
    let white = Planes::white(panel(0)).digest();
    let sent = core.hear(START, HeadEvent::CheckIn(check_in(ahead, white)));
    assert_eq!(sent.len(), 1);
    assert!(sent[0].edition > ahead);

    // It is heard to be further ahead still while that picture is on its way.
    let further = Edition(ahead.0 + 1_000);
    let again = core.hear(START, HeadEvent::CheckIn(check_in(further, white)));
    assert_eq!((again, core.cancelled), (vec![], 1));
    let outcome = HeadEvent::Outcome { number: sent[0].number, outcome: Outcome::Status(Status::OlderEdition) };
    let again = core.hear(START, outcome);
    assert_eq!(again.len(), 1, "a label that was understood is not made to wait");
    assert!(again[0].edition > further);
}

#[test]
fn a_label_whose_edition_cannot_be_exceeded_brings_nobody_down() {
    let mut core = Core::new();
    let white = Planes::white(panel(0)).digest();
    let sent = core.hear(START, HeadEvent::CheckIn(check_in(Edition(u64::MAX), white)));
    // A label takes an edition that is its own.
    assert_eq!(sent.iter().map(|picture| picture.edition).collect::<Vec<_>>(), [Edition(u64::MAX)]);
    core.price(START, 2, "20.00");
    let newer =
        core.hear(START, HeadEvent::Outcome { number: sent[0].number, outcome: Outcome::Status(Status::Cancelled) });
    assert_eq!(newer.len(), 1);
    assert_ne!(newer[0].planes, sent[0].planes);
}

/// A core whose label has proven the picture at 10.00, and that picture.
fn proven() -> (Core, Picture) {
    let mut core = Core::new();
    let white = Planes::white(panel(0)).digest();
    let sent = core.hear(START, HeadEvent::CheckIn(check_in(Edition(0), white))).remove(0);
    core.hear(START, status(&sent, Status::Delivered));
    core.hear(START, HeadEvent::CheckIn(check_in(sent.edition, sent.planes.digest())));
    assert!(core.label().is_in_sync());
    (core, sent)
}

fn status(picture: &Picture, status: Status) -> HeadEvent {
    HeadEvent::Outcome { number: picture.number, outcome: Outcome::Status(status) }
}

#[test]
fn a_difference_is_against_what_the_label_has_proven() {
    let (mut core, older) = proven();
    let newer = core.price(START, 2, "20.00").remove(0);
    assert_eq!(core.base, Some(older.planes.digest()));
    core.hear(START, status(&newer, Status::Delivered));
    core.price(START, 3, "30.00");
    assert_eq!(core.base, None, "it may show either");
}

#[test]
fn a_refused_difference_is_followed_by_the_whole_picture_at_once() {
    let (mut core, _) = proven();
    let newer = core.price(START, 2, "20.00").remove(0);
    let whole = core.hear(START, status(&newer, Status::Undecodable)).remove(0);
    assert_eq!((&whole.planes, core.base, core.label().trouble().fault.clone()), (&newer.planes, None, None));
    // The whole picture refused as well is a fault, and has to wait.
    assert_eq!(core.hear(START, status(&whole, Status::Undecodable)), []);
    assert!(core.label().trouble().fault.is_some());
    let later = START + Duration::from_mins(2);
    core.controller.handle_timeout(later);
    let again = core.hear(later, HeadEvent::Present(label(0))).remove(0);
    assert_eq!(core.base, None);
    core.hear(later, status(&again, Status::Delivered));
    core.hear(later, HeadEvent::CheckIn(check_in(again.edition, again.planes.digest())));
    core.price(later, 3, "30.00");
    assert_eq!(core.base, Some(again.planes.digest()), "it has proven a picture since");
}

#[test]
fn a_label_that_forgot_its_picture_gets_the_whole_one() {
    let mut shop = Shop::settled(ShopOptions { labels: 1, ..ShopOptions::default() });
    shop.price(0, "12.00");
    shop.fault(0, Some(Fault::Reset));
    // Two wakes: one to refuse the difference, one to take the whole. A label at fault would wait for longer.
    shop.settle(Duration::from_secs(25));
    assert_eq!(shop.harness.world().counters().refused, 1);
    shop.check_trace();
}

#[test]
fn a_picture_that_may_still_be_taken_is_not_forgotten() {
    let (mut core, _) = proven();
    let newer = core.price(START, 2, "20.00").remove(0);
    assert_eq!((core.price(START, 3, "10.00"), core.cancelled), (vec![], 1));
    assert!(!core.label().is_in_sync(), "the base station may have passed it on already");
    assert_eq!(core.hear(START, status(&newer, Status::Cancelled)), []);
    assert!(core.label().is_in_sync(), "it has not, and the glass agrees as it is");
}

#[test]
fn a_picture_that_was_taken_and_not_shown_is_not_forgotten() {
    let (mut core, older) = proven();
    let newer = core.price(START, 2, "20.00").remove(0);
    core.hear(START, status(&newer, Status::Delivered));
    let later = START + Duration::from_secs(100);
    core.controller.handle_timeout(later);
    assert_eq!(core.label().trouble().refusals, 1);
    let again = core.price(later, 3, "10.00");
    assert!(!core.label().is_in_sync(), "the glass may show either");
    assert_eq!(again.iter().map(|picture| &picture.planes).collect::<Vec<_>>(), [&older.planes]);
    // By now no refresh can be under way: the label's word counts, whatever it is.
    core.hear(later, HeadEvent::CheckIn(check_in(older.edition, older.planes.digest())));
    assert_eq!(core.hear(later, status(&again[0], Status::Cancelled)), []);
    assert!(core.label().is_in_sync());
}

#[test]
fn a_label_asks_for_one_wake_up_however_much_happens() {
    let mut core = Core::new();
    let white = Planes::white(panel(0)).digest();
    let mut sent = core.hear(START, HeadEvent::CheckIn(check_in(Edition(1), white)));
    for second in 1..=50 {
        let now = START + Duration::from_secs(second);
        let delivered = HeadEvent::Outcome { number: sent[0].number, outcome: Outcome::Status(Status::Delivered) };
        assert_eq!(core.hear(now, delivered), []);
        sent = core.price(now, second + 1, &amount(1_000 + second));
        assert_eq!(sent.len(), 1);
    }
    // The sweep, and the label.
    assert!(core.controller.wakes() <= 2, "{} wake-ups", core.controller.wakes());
}

#[test]
fn base_stations_that_are_not_ours_are_alerts_until_they_are_dealt_with() {
    let mut core = Core::new();
    let stranger = "back-office".parse().unwrap();
    core.handle(START, Input::TurnedAway(stranger));
    core.hear(START, HeadEvent::Down(DownReason::Forged));
    assert_eq!(alerts(&core), ["impostor:station-0", "stranger:back-office"]);
    core.hear(START + MINUTE, HeadEvent::Down(DownReason::Disconnected));
    assert_eq!(alerts(&core).len(), 2, "that it is away as well does not clear it");
    core.hear(START + MINUTE, HeadEvent::Up { capacity: (&welcome()).into(), epoch: Some(1) });
    assert_eq!(alerts(&core), ["stranger:back-office"]);
    core.controller.handle_timeout(START + HOUR + 20 * MINUTE);
    assert_eq!(alerts(&core), [""; 0], "it has not come again for an hour");
}

#[test]
fn two_devices_with_one_id_are_an_alert() {
    let mut core = Core::new();
    let white = Planes::white(panel(0)).digest();
    let sent = core.hear(START, HeadEvent::CheckIn(check_in(Edition(0), white))).remove(0);
    let shown = |reason| CheckIn { reason, ..check_in(sent.edition, sent.planes.digest()) };
    let blank = |reason| CheckIn { reason, ..check_in(Edition(0), white) };
    core.hear(START, HeadEvent::CheckIn(shown(Reason::Displayed)));
    for _ in 0..5 {
        core.hear(START, HeadEvent::CheckIn(blank(Reason::Boot)));
        core.hear(START, HeadEvent::CheckIn(shown(Reason::Displayed)));
    }
    assert_eq!(alerts(&core), [""; 0], "a label that restarts has forgotten its picture");
    for _ in 0..2 {
        core.hear(START, HeadEvent::CheckIn(blank(Reason::Regular)));
        core.hear(START, HeadEvent::CheckIn(shown(Reason::Regular)));
    }
    assert_eq!(alerts(&core), [format!("duplicate_id:{}", label(0))]);
    core.controller.handle_timeout(START + 24 * HOUR + 20 * MINUTE);
    assert_eq!(alerts(&core), [""; 0], "it has been one for a day");
}

#[test]
fn a_second_device_with_a_label_s_id_in_the_shop_is_an_alert() {
    let mut shop = Shop::settled(ShopOptions { labels: 2, ..ShopOptions::default() });
    let now = shop.harness.now();
    shop.harness.world_mut().hang_twin(now, label(0)).unwrap();
    shop.run(5 * 60);
    for (number, price) in [(0, "11.00"), (1, "12.00"), (0, "13.00")] {
        shop.price(number, price);
        shop.run(5 * 60);
    }
    let subjects = shop.harness.controller().alerts().subjects(Rule::DuplicateId);
    assert_eq!(subjects, [label(0).to_string()]);
}

#[test]
fn accuracy_and_waits_are_measured_over_time_and_the_hours_survive_a_restart() {
    let mut shop = Shop::settled(ShopOptions { labels: 4, ..ShopOptions::default() });
    shop.fault(3, Some(Fault::Deaf));
    shop.price(3, "11.00");
    shop.run(2 * 3_600);
    let accuracy = shop.harness.controller().accuracy();
    let last = accuracy.day().last().unwrap();
    assert_eq!((last.bound, last.agreeing), (4, 3));
    assert!(accuracy.day().count() >= 120, "a sample each minute");
    assert_eq!(accuracy.waits().count(), 4, "each label's first picture");
    assert!(accuracy.waits().percentile(99).unwrap() <= Duration::from_secs(60));
    let mut again = Controller::new(settings(1), Templates::embedded().into(), shop.harness.now());
    for event in shop.harness.events() {
        if let Event::Journal(at, entry) = event {
            again.replay(None, *at, entry);
        }
    }
    let week = |controller: &Controller| controller.accuracy().week().copied().collect::<Vec<_>>();
    assert!(week(&again).len() >= 2);
    assert_eq!(week(&again), week(shop.harness.controller()));
}

#[test]
fn a_promotion_begins_and_ends_by_itself() {
    let wake = Duration::from_secs(10);
    let mut shop = Shop::settled(ShopOptions { labels: 2, wake, ..ShopOptions::default() });
    let (start, end) = (shop.harness.now() + 10 * MINUTE, shop.harness.now() + 20 * MINUTE);
    let promotion = format!(
        r#"{{"promotion_id":"P-88","revision":3,"skus":["P0","P1"],"kind":"special_price","price":"8.00","start":"{}","end":"{}","text":"双十一"}}"#,
        rfc3339(start),
        rfc3339(end)
    );
    shop.publish(Facet::Promotion, &promotion);
    let refreshes = shop.glasses().count();
    shop.harness.run((start - Duration::from_millis(1)).since(shop.harness.now()));
    assert_eq!(shop.glasses().count(), refreshes);
    for (instant, price) in [(start, "8.00"), (end, "10.00")] {
        shop.harness.run((instant - Duration::from_millis(1)).since(shop.harness.now()));
        let sent = shop.sent();
        shop.harness.run(Duration::from_millis(1));
        // Nothing but a refresh of 3 s and its report: the labels have kept their pictures for it.
        shop.settle(Duration::from_secs(5));
        assert_eq!(shop.sent(), sent);
        let (.., shown) = proofs(&shop, 0).pop().unwrap();
        assert_eq!(shown[0].price.as_deref(), Some(price));
        assert_eq!(
            shown[0].promotion_id.as_ref().map(ToString::to_string),
            (price == "8.00").then(|| "P-88".to_owned())
        );
    }
    assert_eq!(shop.glasses().count(), refreshes + 4);
    shop.check_trace();
}

/// An hour of fifty labels, a third of which changes its price each minute.
fn busy_hour(seed: u64) -> Vec<Event> {
    let options = ShopOptions { labels: 50, stations: 2, seed, loss: 0.02, wake: Duration::from_secs(20) };
    let mut shop = Shop::open(options);
    shop.hang_all();
    for minute in 0..60 {
        for number in (0..50).filter(|number| (number + minute) % 3 == 0) {
            shop.price(number, &amount(1_000 + minute));
        }
        shop.run(60);
    }
    shop.check_trace();
    shop.harness.events().to_vec()
}

#[test]
fn a_seed_decides_everything() {
    let first = busy_hour(7);
    assert!(first.len() > 3_000, "{} events", first.len());
    assert!(busy_hour(7) == first, "one seed, two traces");
    assert!(busy_hour(8) != first, "two seeds, one trace");
}

#[derive(Debug, Clone)]
enum Action {
    Price(u64, u64),
    Bind(u64, u64),
    Unbind(u64),
    Remove(u64),
    Register(u64),
    Fault(u64, Option<Fault>),
    Disconnect(u64),
    Connect(u64),
    Wait(u64),
}

const LABELS: u64 = 5;

/// Schedules that are played: a second's worth.
const CASES: u32 = 12;

fn action() -> impl Strategy<Value = Action> {
    let number = 0..LABELS;
    let fault = prop_oneof![Just(None), Just(Some(Fault::Stuck)), Just(Some(Fault::Deaf)), Just(Some(Fault::Reset)),];
    prop_oneof![
        6 => (number.clone(), 100_u64..400).prop_map(|(product, cents)| Action::Price(product, cents)),
        1 => (number.clone(), number.clone()).prop_map(|(label, product)| Action::Bind(label, product)),
        1 => number.clone().prop_map(Action::Unbind),
        1 => number.clone().prop_map(Action::Remove),
        1 => number.clone().prop_map(Action::Register),
        2 => (number, fault).prop_map(|(label, fault)| Action::Fault(label, fault)),
        1 => (0..2_u64).prop_map(Action::Disconnect),
        1 => (0..2_u64).prop_map(Action::Connect),
        4 => (1_u64..90).prop_map(Action::Wait),
    ]
}

fn act(shop: &mut Shop, action: &Action) {
    match *action {
        Action::Price(product, cents) => shop.price(product, &amount(cents)),
        Action::Bind(label, product) => _ = shop.bind(label, product),
        Action::Unbind(label) => _ = shop.unbind(label),
        Action::Remove(label) => _ = shop.remove(label),
        Action::Register(label) => _ = shop.register(label),
        Action::Fault(label, fault) => shop.fault(label, fault),
        Action::Disconnect(number) => shop.harness.disconnect(&station(number)),
        Action::Connect(number) => shop.harness.connect(&station(number)),
        Action::Wait(seconds) => shop.run(seconds),
    }
}

/// A phase with faults, then one without: everything settles, and the trace holds what it must.
fn play(seed: u64, loss: f64, actions: &[Action]) {
    let mut shop = Shop::open(ShopOptions { labels: LABELS, stations: 2, seed, loss, ..ShopOptions::default() });
    shop.hang_all();
    for action in actions {
        act(&mut shop, action);
        let wrong = (0..LABELS).find(|number| {
            let label = shop.harness.controller().fleet().label(label(*number));
            label.is_some_and(|label| label.binding.is_some() && label.is_in_sync()) && !shop.glass_agrees(*number)
        });
        // A label that forgot everything has yet to say so; no other glass is wrong without its being known.
        let forgot = |number| {
            shop.harness.world().labels().any(|state| state.label == label(number) && state.edition == Edition(0))
        };
        assert!(wrong.is_none_or(forgot), "{action:?}: label {wrong:?} is wrong, and nobody knows");
    }
    for number in 0..LABELS {
        shop.fault(number, None);
        shop.register(number);
        shop.bind(number, number);
    }
    shop.harness.connect(&station(0));
    shop.harness.connect(&station(1));
    // A label may have been made to wait for the longest time by then.
    shop.run(60);
    shop.settle(HOUR);
    shop.check_trace();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_the_faults_everything_settles(
        seed in 0_u64..1_000, loss in 0.0..0.3_f64, actions in prop::collection::vec(action(), 0..60),
    ) {
        play(seed, loss, &actions);
    }
}

/// A moment as the feed writes it.
fn rfc3339(moment: Moment) -> String {
    jiff::Timestamp::from_millisecond(i64::try_from(moment.as_millis()).unwrap()).unwrap().to_string()
}
