//! What a shop's product cache and its labels must do, one test for each line of the story: in virtual time, from
//! the feed to the glass.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::shop::{START, Shop, ShopOptions, label, panel, product, settings, sku};
use gondola::alert::{Rule, State};
use gondola::catalog::approvals::Verdict;
use gondola::catalog::guard::GuardRules;
use gondola::catalog::wire::{self, Facet};
use gondola::controller::Controller;
use gondola::controller::jobs::Job;
use gondola::controller::message::{
    Answer, Input, LabelRequest, Publication, PushMode, PushOrder, Reach, ReloadReport, Request, UnknownSkus,
};
use gondola::journal::entry::{Entry, Position};
use gondola::simulate::harness::Event;
use gondola::template::Templates;
use gondola_protocol::{LabelId, Moment};
use gondola_simulator::Fault;

/// A small shop, settled at 10.00.
#[track_caller]
fn shop(labels: u64) -> Shop {
    Shop::settled(ShopOptions { labels, ..ShopOptions::default() })
}

fn rfc3339(moment: Moment) -> String {
    jiff::Timestamp::from_microsecond(i64::try_from(moment.as_micros()).unwrap()).unwrap().to_string()
}

/// A promotion of some kind for products by number, from one second to another after the start.
pub(crate) fn promotion(id: &str, numbers: &[u64], fields: &str, from: u64, to: u64) -> String {
    let skus: Vec<String> = numbers.iter().map(|number| format!("\"{}\"", sku(*number))).collect();
    let [start, end] = [from, to].map(|second| rfc3339(START + Duration::from_secs(second)));
    format!(
        r#"{{"promotion_id":"{id}","revision":1,"skus":[{}],"start":"{start}","end":"{end}","text":"双十一",{fields}}}"#,
        skus.join(",")
    )
}

/// The second of the virtual clock.
pub(crate) fn second(shop: &Shop) -> u64 {
    shop.harness.now().since(START).as_secs()
}

/// What the controller would have a label show for its only product.
#[track_caller]
fn desired_price(controller: &Controller, number: u64) -> Option<String> {
    let desired = controller.fleet().label(label(number)).unwrap().desired.clone().unwrap();
    desired.content.shown[0].price.clone().map(Into::into)
}

/// The labels by number.
fn labels(numbers: &[u64]) -> BTreeSet<LabelId> {
    numbers.iter().map(|number| label(*number)).collect()
}

const SETTLE: Duration = Duration::from_secs(120);

#[test]
fn four_sources() {
    let mut shop = shop(1);
    let sku = sku(0);
    shop.publish(Facet::Stock, &format!(r#"{{"sku":"{sku}","revision":90,"quantity":34,"reorder_level":12}}"#));
    shop.publish(Facet::Returns, &format!(r#"{{"sku":"{sku}","revision":2,"y_code":"Y20391","grade":"B"}}"#));
    shop.publish(Facet::Rating, &format!(r#"{{"sku":"{sku}","revision":4,"score":"4.8","count":2210}}"#));
    shop.settle(SETTLE);
    let view = shop.harness.controller().view(&[sku], shop.harness.now()).products.remove(0);
    assert_eq!(view.price.as_deref(), Some("10.00"));
    assert_eq!(view.stock.unwrap().quantity, 34);
    assert_eq!(view.returns.unwrap().y_code, "Y20391");
    assert_eq!(view.rating.unwrap().score.as_deref(), Some("4.8"));
}

#[test]
fn full_reload() {
    let mut shop = shop(3);
    let rows = [product(0, 1_000, "10.00"), product(1, 1_000, "11.00")];
    shop.reload(Facet::Base, &format!("[{}]", rows.join(",")));
    shop.settle(SETTLE);
    let prices = [0, 1, 2].map(|number| desired_price(shop.harness.controller(), number));
    assert_eq!(prices, [Some("10.00".to_owned()), Some("11.00".to_owned()), None], "what it does not name is no more");
    let before = shop.sent();
    shop.reload(Facet::Base, &format!("[{}]", rows.join(",")));
    shop.run(120);
    assert_eq!(shop.sent(), before, "a reload that changes nothing sends nothing");
}

#[test]
fn change_message() {
    let mut shop = shop(3);
    let before = shop.harness.events().len();
    shop.price(1, "11.00");
    shop.settle(SETTLE);
    assert_eq!(shop.changed_since(before), labels(&[1]));
    shop.check_trace();
}

#[test]
fn promotion_alone() {
    let mut shop = shop(4);
    let before = shop.harness.events().len();
    let at = second(&shop);
    shop.publish(
        Facet::Promotion,
        &promotion("P", &[1, 2], r#""kind":"special_price","price":"8.00""#, at, at + 9_000),
    );
    shop.settle(SETTLE);
    assert_eq!(shop.changed_since(before), labels(&[1, 2]), "only what it names is drawn again");
    let reloads = shop.harness.events()[before..].iter().filter(|event| matches!(event, Event::Reload(..)));
    assert_eq!(reloads.count(), 0, "nothing is fetched for it");
    let sent = shop.harness.events()[before..].iter().filter(|event| matches!(event, Event::Sent(..)));
    assert_eq!(sent.count(), 2);
    let points = shop.harness.events()[before..].iter().filter_map(|event| match event {
        Event::Journal(_, Entry::Prices { points }) => Some(points.len()),
        _ => None,
    });
    assert_eq!(points.sum::<usize>(), 2, "base information stays as it is");
}

#[test]
fn promotion_with_base() {
    let mut shop = shop(2);
    let at = second(&shop);
    let sale = promotion("P", &[0], r#""kind":"special_price","price":"7.00""#, at, at + 9_000);
    let base = product(0, 1_000, "9.00").replacen('}', &format!(r#","promotions":[{sale}]}}"#), 1);
    shop.publish(Facet::Base, &base);
    shop.settle(SETTLE);
    assert_eq!(desired_price(shop.harness.controller(), 0).as_deref(), Some("7.00"));
    // A base event without them takes none away.
    shop.publish(Facet::Base, &product(0, 1_001, "9.50"));
    shop.settle(SETTLE);
    assert_eq!(desired_price(shop.harness.controller(), 0).as_deref(), Some("7.00"));
}

#[test]
fn assortment_push() {
    let mut shop = shop(3);
    let [a, b] = [sku(0), sku(1)];
    shop.publish(Facet::Assortment, &format!(r#"{{"revision":1,"add":["{a}","{b}","{}"]}}"#, sku(2)));
    shop.run(60);
    let before = shop.harness.events().len();
    shop.publish(Facet::Assortment, &format!(r#"{{"revision":2,"remove":["{b}"]}}"#));
    shop.settle(SETTLE);
    assert!(shop.changed_since(before).is_subset(&labels(&[1])));
    let alerts: Vec<_> = shop.harness.controller().alerts().raised().cloned().collect();
    assert_eq!(alerts.len(), 1);
    assert_eq!((alerts[0].rule, alerts[0].subject.as_str()), (Rule::NotForSale, b.as_str()));
    assert!(alerts[0].text.starts_with("1 label shows product"), "{}", alerts[0].text);
    let order = PushOrder { reach: Reach::Assortment, mode: PushMode::Full, ..PushOrder::default() };
    assert_eq!(push(&mut shop, order), (2, 2));
    shop.publish(Facet::Assortment, &format!(r#"{{"revision":3,"add":["{b}"]}}"#));
    shop.settle(SETTLE);
    assert_eq!(shop.harness.controller().alerts().raised().count(), 0);
    let told = shop.publications().filter_map(|publication| match publication {
        Publication::Alert(alert) => Some(alert.state),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [State::Raised, State::Cleared]);
}

/// Pushes, lets it settle, and answers how many labels it concerned and how many of them agree.
fn push(shop: &mut Shop, order: PushOrder) -> (usize, usize) {
    let ticket = shop.harness.request(Request::Push(order));
    let number = shop.harness.events().iter().find_map(|event| match event {
        Event::Reply(_, of, Ok(Answer::Started(number))) if *of == ticket => Some(*number),
        _ => None,
    });
    shop.settle(SETTLE);
    let controller = shop.harness.controller();
    let Some(Job::Push(push)) = controller.jobs().get(number.unwrap()) else { panic!("no push") };
    let progress = push.progress(controller.fleet(), shop.harness.now());
    (progress.total, progress.in_sync)
}

#[test]
fn incremental_push() {
    let mut shop = shop(3);
    assert_eq!(push(&mut shop, PushOrder::default()), (0, 0), "what agrees is left out");
    shop.fault(1, Some(Fault::Deaf));
    shop.price(1, "11.00");
    shop.run(5);
    shop.fault(1, None);
    assert_eq!(push(&mut shop, PushOrder::default()), (1, 1));
    assert!(shop.glass_agrees(1));
}

#[test]
fn full_push() {
    let mut shop = shop(3);
    let full = |mode| PushOrder { mode, ..PushOrder::default() };
    let before = shop.sent();
    assert_eq!(push(&mut shop, full(PushMode::Full)), (3, 3), "each is verified");
    assert_eq!(shop.sent(), before, "and what agrees is not sent again");
    let proofs = |shop: &Shop| shop.journal().iter().filter(|entry| matches!(entry, Entry::Proof { .. })).count();
    let proven = proofs(&shop);
    assert_eq!(push(&mut shop, full(PushMode::Resend)), (3, 3));
    assert_eq!(shop.sent(), before + 3, "unless somebody asks for it");
    assert_eq!(proofs(&shop), proven + 3, "and each proves it again");
    let listed = PushOrder { skus: vec![sku(2)], labels: vec![label(0)], mode: PushMode::Resend, ..Default::default() };
    assert_eq!(push(&mut shop, listed), (2, 2));
    assert_eq!(shop.sent(), before + 5);
    shop.run(1_200);
    assert_eq!(shop.sent(), before + 5, "once");
    shop.check_trace();
}

#[test]
fn online_price_equal_to_shelf_price() {
    let mut shop = shop(3);
    let at = second(&shop);
    let sale = |id, number, channel, priority| {
        let fields = format!(r#""kind":"special_price","price":"8.00","channel":"{channel}","priority":{priority}"#);
        promotion(id, &[number], &fields, at, at + 9_000)
    };
    shop.publish(Facet::Promotion, &sale("BOTH", 0, "both", 0));
    shop.publish(Facet::Promotion, &sale("WEB", 1, "online", 9));
    shop.settle(SETTLE);
    // What holds on both channels is on the glass as it is on the web; what the web alone has is not.
    let prices = [0, 1, 2].map(|number| desired_price(shop.harness.controller(), number).unwrap());
    assert_eq!(prices, ["8.00", "10.00", "10.00"]);
    let confirmation = shop.confirmation(0);
    assert_eq!((confirmation.price.as_deref(), confirmation.confirmed), (Some("8.00"), 1));
    assert_eq!(confirmation.promotion_id.as_ref().map(ToString::to_string).as_deref(), Some("BOTH"));
    assert!(confirmation.at.is_some());
}

#[test]
fn limited_time_sale() {
    let mut shop = shop(4);
    let (start, end) = (second(&shop) + 100, second(&shop) + 400);
    shop.publish(Facet::Promotion, &promotion("P", &[1, 3], r#""kind":"limited_time","price":"6.66""#, start, end));
    let before = shop.harness.events().len();
    shop.run(99);
    assert_eq!(shop.changed_since(before), labels(&[]), "not a second early");
    shop.run(1);
    assert_eq!(desired_price(shop.harness.controller(), 1).as_deref(), Some("6.66"), "to the second");
    shop.run(100);
    assert_eq!(shop.changed_since(before), labels(&[1, 3]));
    // A reload in between does not disturb it.
    let rows: Vec<String> = (0..4).map(|number| product(number, 1_000 + number, "10.00")).collect();
    let middle = shop.harness.events().len();
    shop.reload(Facet::Base, &format!("[{}]", rows.join(",")));
    shop.run(199);
    assert_eq!(shop.changed_since(middle), labels(&[]));
    assert_eq!(desired_price(shop.harness.controller(), 1).as_deref(), Some("6.66"));
    shop.run(1);
    assert_eq!(desired_price(shop.harness.controller(), 1).as_deref(), Some("10.00"));
    shop.run(100);
    assert_eq!(shop.changed_since(middle), labels(&[1, 3]));
    shop.settle(SETTLE);
    shop.check_trace();
}

#[test]
fn a_clock_that_jumps_ends_with_the_right_price() {
    let mut controller = Controller::new(settings(1), Arc::new(Templates::embedded()), START);
    let feed = |controller: &mut Controller, facet, payload: &str| {
        let parsed = wire::parse(facet, payload.as_bytes());
        assert_eq!(parsed.errors, []);
        let seqs = parsed.seqs;
        controller.handle(START, Input::Feed { delivery: None, facet, rows: parsed.rows, seqs });
    };
    feed(&mut controller, Facet::Base, &product(0, 1, "10.00"));
    let sale = promotion("P", &[0], r#""kind":"limited_time","price":"6.66""#, 1_000, 2_000);
    feed(&mut controller, Facet::Promotion, &sale);
    let register = LabelRequest::Register { label: label(0), panel: panel(0), position: Position::default() };
    let (skus, unknown) = (vec![sku(0)], UnknownSkus::Refuse);
    let bind = LabelRequest::Bind { label: label(0), skus, template: None, unknown };
    for (ticket, request) in [(1, register), (2, bind)] {
        controller.handle(START, Input::Request { ticket, request: request.into() });
    }
    let mut price_at = |second: u64| {
        let at = START + Duration::from_secs(second);
        // One turn for what the clock brings, and after a jump back one for what is looked at anew.
        controller.handle_timeout(at);
        if controller.poll_timeout().unwrap() <= at {
            controller.handle_timeout(at);
        }
        assert!(controller.poll_timeout().unwrap() > at);
        desired_price(&controller, 0).unwrap()
    };
    assert_eq!(price_at(1), "10.00");
    assert_eq!(price_at(5_000), "10.00", "past the whole sale");
    assert_eq!(price_at(1_500), "6.66", "back into it");
    assert_eq!(price_at(999), "10.00", "back before it");
    assert_eq!(price_at(1_000), "6.66");
    assert_eq!(price_at(2_000), "10.00");
}

#[test]
fn store_exclusive_price() {
    let mut shop = shop(2);
    let at = second(&shop);
    let fields = r#""kind":"store_exclusive","price":"9.20","channel":"store""#;
    shop.publish(Facet::Promotion, &promotion("P", &[0], fields, at, at + 9_000));
    shop.settle(SETTLE);
    assert_eq!(desired_price(shop.harness.controller(), 0).as_deref(), Some("9.20"));
    assert!(shop.glass_agrees(0));
}

#[test]
fn member_price() {
    let mut shop = shop(2);
    let at = second(&shop);
    let before = shop.harness.events().len();
    let fields = r#""kind":"member_price","price":"9.00""#;
    shop.publish(Facet::Promotion, &promotion("M", &[0], fields, at, at + 9_000));
    shop.settle(SETTLE);
    let view = shop.harness.controller().view(&[sku(0)], shop.harness.now()).products.remove(0);
    assert_eq!((view.price.as_deref(), view.member_price.as_deref()), (Some("10.00"), Some("9.00")));
    assert!(shop.changed_since(before).is_subset(&labels(&[0])));
    assert_eq!(shop.confirmation(0).price.as_deref(), Some("10.00"), "what a till takes from everybody");
}

#[test]
fn a_price_is_confirmed_when_every_label_has_proven_it() {
    let mut shop = shop(3);
    for number in [1, 2] {
        shop.bind(number, 0);
    }
    shop.settle(SETTLE);
    assert_eq!((shop.confirmation(0).labels, shop.confirmation(0).confirmed), (3, 3));
    shop.fault(2, Some(Fault::Deaf));
    shop.price(0, "12.00");
    shop.run(120);
    let confirmation = shop.confirmation(0);
    assert_eq!(confirmation.price.as_deref(), Some("12.00"));
    assert_eq!((confirmation.labels, confirmation.confirmed, confirmation.at), (3, 2, None));
    let steps: Vec<usize> = shop
        .publications()
        .filter_map(|publication| match publication {
            Publication::Confirmation(it) if it.sku == sku(0) && it.price.as_deref() == Some("12.00") => {
                Some(it.confirmed)
            }
            _ => None,
        })
        .collect();
    assert_eq!((steps.first(), steps.last()), (Some(&0), Some(&2)), "partial counts are told as they change");
    shop.run(3_600);
    assert_eq!(shop.confirmation(0).unreachable, 1, "an unreachable label is not a confirmed one");
    shop.fault(2, None);
    shop.settle(SETTLE);
    let confirmation = shop.confirmation(0);
    assert_eq!((confirmation.confirmed, confirmation.unreachable), (3, 0));
    assert!(confirmation.at.is_some());
}

#[test]
fn a_held_change_stays_off_the_shelf_until_it_is_approved() {
    let mut controller_settings = settings(1);
    controller_settings.catalog.guard = GuardRules::default();
    let mut controller = Controller::new(controller_settings, Arc::new(Templates::embedded()), START);
    let mut published = Vec::new();
    let mut answers = Vec::new();
    let mut handle = |controller: &mut Controller, input| {
        controller.handle(START, input);
        let mut batches = 0;
        while let Some(output) = controller.poll_output() {
            use gondola::controller::message::Output;
            match output {
                Output::Append(_) => batches += 1,
                Output::Publish(Publication::Held { revision, reason, .. }) => {
                    published.push((revision, reason.map(|reason| reason.to_string())));
                }
                Output::Reply(_, answer) => answers.push(answer),
                _ => {}
            }
        }
        batches
    };
    let mut synced = 0;
    let inputs = [
        feed_of(&product(0, 1, "10.00")),
        feed_of(&product(0, 2, "100.00")),
        Input::Request { ticket: 1, request: Request::Decide { id: 1, verdict: Verdict::Approved } },
        Input::Request { ticket: 2, request: Request::Decide { id: 1, verdict: Verdict::Rejected } },
        Input::Request { ticket: 3, request: Request::Decide { id: 7, verdict: Verdict::Rejected } },
    ];
    for (step, input) in inputs.into_iter().enumerate() {
        synced += handle(&mut controller, input);
        handle(&mut controller, Input::Synced { batches: synced, head: None });
        if step == 1 {
            let shelf = controller.catalog().shelf_price(&sku(0), START).price;
            assert_eq!(shelf.unwrap().to_string(), "10.00");
        }
    }
    let reason = "the price would go up from 10.00 to 100.00, which may be a slip of the decimal point".to_owned();
    assert_eq!(published, [(2, Some(reason)), (2, None)]);
    assert_eq!(controller.catalog().shelf_price(&sku(0), START).price.unwrap().to_string(), "100.00");
    let answers: Vec<String> =
        answers.into_iter().map(|answer| answer.map_or_else(|e| e.to_string(), |_| "done".into())).collect();
    assert_eq!(
        answers,
        [
            "done",
            "change 1 no longer waits: a newer revision has come, or somebody has decided it",
            "there is no change 7 that waits",
        ]
    );
}

fn feed_of(payload: &str) -> Input {
    let parsed = wire::parse(Facet::Base, payload.as_bytes());
    Input::Feed { delivery: None, facet: Facet::Base, rows: parsed.rows, seqs: parsed.seqs }
}

#[test]
fn a_gap_in_a_sources_numbers_asks_for_a_reload_and_a_failed_one_is_told() {
    let mut shop = shop(1);
    let numbered =
        |revision: u64, seq: u64| product(0, revision, "10.00").replacen('{', &format!(r#"{{"seq":{seq},"#), 1);
    shop.publish(Facet::Base, &numbered(1_001, 7));
    shop.publish(Facet::Base, &numbered(1_002, 9));
    shop.run(4);
    let reloads = |shop: &Shop| shop.harness.events().iter().filter(|event| matches!(event, Event::Reload(..))).count();
    assert_eq!(reloads(&shop), 0, "it may be late");
    shop.run(2);
    assert_eq!(reloads(&shop), 1);
    let reason = "the snapshot http://erp/base stops after line 3".to_owned();
    shop.harness.reload_ended(Facet::Base, Err(reason));
    let alert = shop.harness.controller().alerts().raised().next().unwrap().clone();
    assert_eq!(alert.rule, Rule::ReloadFailed);
    assert!(alert.text.contains("stops after line 3"), "{}", alert.text);
    shop.harness.reload_ended(Facet::Base, Ok(ReloadReport::default()));
    assert_eq!(shop.harness.controller().alerts().raised().count(), 0);
}
