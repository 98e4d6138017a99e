//! Whatever happens to products, bindings and the clock: what a label should show is what looking afresh would find.

use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::HeadEvent;
use gondola_protocol::message::{CheckIn, Reason};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Moment, Panel};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::alert::rules::AlertRules;
use crate::catalog::guard::GuardRules;
use crate::catalog::settings::{Market, Settings};
use crate::catalog::wire::{self, Facet};
use crate::controller::message::{Input, LabelRequest, Output, UnknownSkus};
use crate::controller::{Controller, StoreSettings, TURN_MAX};
use crate::journal::entry::{Entry, Position};
use crate::template::Templates;
use crate::template::view::StoreView;

/// 2026-11-25, midnight in Shanghai.
const MIDNIGHT: u64 = 1_795_536_000;

const LABELS: u64 = 3;

const SKUS: u8 = 4;

/// Something that happens; products and labels are numbers, instants are minutes after midnight.
#[derive(Debug, Clone)]
enum Step {
    Product {
        sku: u8,
        price: u16,
    },
    Removal {
        sku: u8,
    },
    Stock {
        sku: u8,
        quantity: u8,
    },
    Assortment {
        sku: u8,
        is_in: bool,
    },
    Promotion {
        id: u8,
        skus: Vec<u8>,
        price: u16,
        start: u16,
        minutes: u16,
    },
    PromotionRemoval {
        id: u8,
    },
    Bind {
        label: u64,
        skus: Vec<u8>,
    },
    Unbind {
        label: u64,
    },
    /// The clock is set.
    Clock {
        minute: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (sku, label) = (0..SKUS, 1..=LABELS);
    let price = 100..200_u16;
    let skus = || prop::collection::btree_set(0..SKUS, 1..3).prop_map(|skus| skus.into_iter().collect::<Vec<_>>());
    prop_oneof![
        3 => (sku.clone(), price.clone()).prop_map(|(sku, price)| Step::Product { sku, price }),
        1 => sku.clone().prop_map(|sku| Step::Removal { sku }),
        1 => (sku.clone(), 0..2_u8).prop_map(|(sku, quantity)| Step::Stock { sku, quantity }),
        1 => (sku, any::<bool>()).prop_map(|(sku, is_in)| Step::Assortment { sku, is_in }),
        4 => (0..3_u8, skus(), price, 0..400_u16, 1..200_u16)
            .prop_map(|(id, skus, price, start, minutes)| Step::Promotion { id, skus, price, start, minutes }),
        1 => (0..3_u8).prop_map(|id| Step::PromotionRemoval { id }),
        2 => (label.clone(), skus()).prop_map(|(label, skus)| Step::Bind { label, skus }),
        1 => label.prop_map(|label| Step::Unbind { label }),
        6 => (0..500_u16).prop_map(|minute| Step::Clock { minute }),
    ]
}

struct Shop {
    controller: Controller,
    now: Moment,
    revision: u64,
    appended: u64,
    stored: u64,
}

fn minute(minute: u16) -> Moment {
    Moment::from_secs(MIDNIGHT) + Duration::from_secs(u64::from(minute) * 60)
}

fn rfc3339(at: Moment) -> String {
    jiff::Timestamp::from_microsecond(i64::try_from(at.as_micros()).unwrap()).unwrap().to_string()
}

fn amount(cents: u16) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn panel() -> Panel {
    "bwr-296x128".parse().unwrap()
}

fn position(label: u64) -> Position {
    Position { aisle: "1".into(), shelf: "1".into(), slot: label.to_string().into() }
}

/// A store that has not been opened yet.
fn closed(market: Market, now: Moment) -> Controller {
    let view = StoreView {
        id: "hz-001".to_owned(),
        name: "杭州解百店".to_owned(),
        format: "community".to_owned(),
        market: market.to_string(),
    };
    let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let catalog = Settings { currency: "CNY".parse().unwrap(), market, time_zone, guard: GuardRules::default() };
    let settings = StoreSettings { view, catalog, stations: Vec::new(), alerts: AlertRules::default() };
    Controller::new(settings, Arc::new(Templates::embedded()), now)
}

impl Shop {
    fn open(market: Market) -> Self {
        let now = minute(0);
        let mut controller = closed(market, now);
        controller.resume(now, None, None);
        let mut shop = Self { controller, now, revision: 0, appended: 0, stored: 0 };
        for label in 1..=LABELS {
            shop.request(LabelRequest::Register { label: LabelId(label), panel: panel(), position: position(label) });
        }
        shop
    }

    fn request(&mut self, request: LabelRequest) {
        self.handle(Input::Request { ticket: 0, request: request.into() });
    }

    fn feed(&mut self, facet: Facet, row: &Value) {
        let parsed = wire::parse(facet, row.to_string().as_bytes());
        assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
        self.handle(Input::Feed { delivery: None, facet, rows: parsed.rows, seqs: parsed.seqs });
    }

    fn handle(&mut self, input: Input) {
        self.controller.handle(self.now, input);
        self.settle();
    }

    /// Journal and view hold everything at once.
    fn settle(&mut self) {
        let before = (self.appended, self.stored);
        while let Some(output) = self.controller.poll_output() {
            self.appended += u64::from(matches!(output, Output::Append(_)));
            self.stored += u64::from(matches!(output, Output::Store(_)));
        }
        if before != (self.appended, self.stored) {
            self.controller.handle(self.now, Input::Synced { batches: self.appended, head: None });
            self.controller.handle(self.now, Input::Stored(self.stored));
            self.settle();
        }
    }

    fn take(&mut self, step: &Step) {
        self.revision += 1;
        let revision = self.revision;
        let named = |skus: &[u8]| skus.iter().map(|sku| format!("{sku}")).collect::<Vec<_>>();
        match step {
            Step::Product { sku, price } => self.feed(
                Facet::Base,
                &json!({ "sku": sku.to_string(), "revision": revision, "name": "加州开心果", "price": amount(*price) }),
            ),
            Step::Removal { sku } => {
                self.feed(Facet::Base, &json!({ "sku": sku.to_string(), "revision": revision, "deleted": true }));
            }
            Step::Stock { sku, quantity } => {
                let row = json!({ "sku": sku.to_string(), "revision": revision, "quantity": quantity });
                self.feed(Facet::Stock, &row);
            }
            Step::Assortment { sku, is_in } => {
                let list = if *is_in { "add" } else { "remove" };
                self.feed(Facet::Assortment, &json!({ "revision": revision, list: [sku.to_string()] }));
            }
            Step::Promotion { id, skus, price, start, minutes } => self.feed(
                Facet::Promotion,
                &json!({
                    "promotion_id": format!("P{id}"), "revision": revision, "skus": named(skus), "kind": "special_price",
                    "price": amount(*price), "start": rfc3339(minute(*start)), "end": rfc3339(minute(start + minutes)),
                    "text": "双十一",
                }),
            ),
            Step::PromotionRemoval { id } => {
                let row = json!({ "promotion_id": format!("P{id}"), "revision": revision, "deleted": true });
                self.feed(Facet::Promotion, &row);
            }
            Step::Bind { label, skus } => self.request(LabelRequest::Bind {
                label: LabelId(*label),
                skus: named(skus).iter().map(|sku| sku.parse().unwrap()).collect(),
                template: None,
                unknown: UnknownSkus::Allow,
            }),
            Step::Unbind { label } => self.request(LabelRequest::Unbind { label: LabelId(*label) }),
            Step::Clock { minute: at } => {
                self.now = minute(*at);
                self.controller.handle_timeout(self.now);
                self.settle();
            }
        }
    }

    /// Every label's pictures are those that looking afresh finds.
    fn check(&self) -> Result<(), TestCaseError> {
        for label in self.controller.fleet().labels() {
            let fresh = self.controller.look(label, self.now).unwrap();
            let desired = label.desired.as_ref();
            prop_assert_eq!(desired.map(|it| &it.content), fresh.as_ref().map(|it| &it.content), "{:?}", label.id);
            if let Some(upcoming) = label.upcoming.as_deref() {
                let fresh = self.controller.look(label, upcoming.activate_at()).unwrap().map(|it| it.content);
                prop_assert_eq!(Some(&upcoming.desired.content), fresh.as_ref(), "{:?} at its instant", label.id);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_known_is_what_looking_afresh_finds(
        steps in prop::collection::vec(step(), 1..40),
        market in prop::sample::select(vec![Market::China, Market::Europe, Market::UnitedStates]),
    ) {
        let mut shop = Shop::open(market);
        // What nobody has told of is looked at on a period alone when the assortment is told for the first time.
        let told = (0..SKUS).map(|sku| Step::Product { sku, price: 150 });
        for step in told.collect::<Vec<_>>().iter().chain(&steps) {
            shop.take(step);
            shop.check()?;
        }
    }
}

#[test]
fn a_start_looks_first_at_labels_that_check_in_and_measures_once_it_has_looked_at_all() {
    let (now, labels) = (minute(0), 2 * TURN_MAX as u64 + 500);
    let mut controller = closed(Market::China, now);
    for label in 1..=labels {
        let registered = Entry::Registered { label: LabelId(label), panel: panel(), position: position(label) };
        let bound = Entry::Bound { label: LabelId(label), skus: vec!["1101".parse().unwrap()], template: None };
        [registered, bound].iter().for_each(|entry| controller.replay(None, now, entry));
    }
    controller.resume(now, None, None);
    let looked = |controller: &Controller| controller.fleet().labels().filter(|label| label.desired.is_some()).count();
    assert_eq!((looked(&controller), controller.poll_timeout()), (0, Some(now)));
    let check_in = CheckIn {
        label: LabelId(labels),
        panel: panel(),
        reason: Reason::Regular,
        edition: Edition(0),
        digest: Digest([0; 16]),
        battery_mv: Millivolts(3_000),
        rssi_dbm: -60,
        temperature_c: 20,
        firmware: 1,
    };
    controller.handle(now, Input::Station("front".parse().unwrap(), HeadEvent::CheckIn(check_in)));
    let is_known = |controller: &Controller, label| controller.fleet().label(LabelId(label)).unwrap().desired.is_some();
    assert!(is_known(&controller, labels) && !is_known(&controller, labels - 1));
    assert_eq!((looked(&controller), controller.accuracy().day().count()), (TURN_MAX, 0));
    // Then others are told of each, and the minute's sample is taken.
    let mut told = 0;
    while controller.poll_timeout().is_some_and(|at| at <= now) {
        controller.handle_timeout(now);
        told += std::iter::from_fn(|| controller.poll_output()).filter(|it| matches!(it, Output::Changed(_))).count();
    }
    assert!(!controller.is_looking());
    assert_eq!((looked(&controller), told), (usize::try_from(labels).unwrap(), usize::try_from(labels).unwrap()));
    assert_eq!(controller.accuracy().day().last().map(|sample| sample.bound), u32::try_from(labels).ok());
}
