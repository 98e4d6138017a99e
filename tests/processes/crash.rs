//! `kill -9` in the middle of everything: nothing that was acknowledged is lost, and every glass agrees again.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::broker::{Broker, product};
use crate::glass::Glass;
use crate::process::{Process, eventually};
use crate::shop::{Rest, Shop, ShopOptions, address};

const LABELS: u64 = 120;

const PRODUCTS: u64 = 30;

/// Labels that are bound again and again while the crash comes. The others go on to prove their pictures.
const REBOUND: u64 = 30;

/// Transfers without an outcome at the moment of the crash, at least.
const IN_FLIGHT_MIN: u64 = 50;

/// At that moment up to so many labels have proven the newest wave: more would leave too few in flight.
const PROVEN_MAX: u64 = 30;

/// A binding by one request of its own, and whether it was answered with 200.
pub(crate) struct Bound {
    pub(crate) label: u64,
    pub(crate) sku: String,
    pub(crate) acknowledged: bool,
}

fn sku(number: u64) -> String {
    format!("11{number:02}")
}

/// Every product with a price of this wave.
fn wave(number: u64) -> Vec<Value> {
    (0..PRODUCTS).map(|index| product(&sku(index), number, &format!("{number}.{index:02}"))).collect()
}

/// Binds one label after another to another product, until the controller is gone.
async fn keep_binding(rest: &Rest, mut dice: ChaCha8Rng, bound: &RefCell<Vec<Bound>>) {
    loop {
        let (label, sku) = (dice.random_range(1..=REBOUND), sku(dice.random_range(0..PRODUCTS)));
        bound.borrow_mut().push(Bound { label, sku: sku.clone(), acknowledged: false });
        let path = format!("labels/{}/bind", address(label));
        let Ok((status, answer)) = rest.post(&path, &json!({ "skus": [sku] })).await else { return };
        assert_eq!(status, 200, "{answer}");
        bound.borrow_mut().last_mut().unwrap().acknowledged = true;
    }
}

/// Waits until enough transfers are in flight, `proven` labels have proven the newest wave, and a binding was
/// acknowledged. Where that passed unseen, the next wave brings it again. Answers the newest wave.
async fn the_moment(rest: &Rest, broker: &Broker, proven: u64, bound: &RefCell<Vec<Bound>>) -> u64 {
    let mut newest = 1;
    let what = format!("{IN_FLIGHT_MIN} transfers in flight and {proven} labels in sync");
    eventually(&what, async || {
        let store = rest.get("").await;
        let (in_flight, in_sync) = (store["transfers"].as_u64().unwrap(), store["in_sync"].as_u64().unwrap());
        // Once for a change of price instead of a first picture, and whenever it is too late.
        if in_sync > LABELS / 2 {
            newest += 1;
            broker.publish_base(&wave(newest));
            rest.metric_reaches("gondola_feed_rows_total", newest * PRODUCTS).await;
        }
        let acknowledged = bound.borrow().iter().any(|bound| bound.acknowledged);
        let now = newest > 1 && acknowledged && in_flight >= IN_FLIGHT_MIN && in_sync >= proven;
        now.then_some(()).ok_or_else(|| format!("{in_flight} in flight, {in_sync} in sync"))
    })
    .await;
    newest
}

async fn check(seed: u64) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut shop = Shop::open(ShopOptions { seed, labels: LABELS, wake: "3s" }).await;
    let mut glass = Glass::new(&shop);
    let initial = (1..=LABELS).map(|label| (label, sku(label % PRODUCTS))).collect();
    shop.broker.publish_base(&wave(1));
    shop.bind(&initial).await;
    // So the products are known, and any label may be bound to any of them.
    shop.controller.rest.in_sync(1).await;

    let (bound, rest) = (RefCell::new(Vec::new()), shop.controller.rest.clone());
    let proven = dice.random_range(0..=PROVEN_MAX);
    let crash = async {
        let newest = the_moment(&rest, &shop.broker, proven, &bound).await;
        shop.controller.process.kill();
        newest
    };
    let load = async {
        group_commits(&rest).await;
        keep_binding(&rest, dice, &bound).await;
    };
    let (newest, ()) = tokio::join!(crash, load);
    verify(&shop).await;

    // The broker keeps what comes meanwhile.
    let last = wave(newest + 1);
    shop.broker.publish_base(&last);
    glass.expect(&last);
    shop.restart().await;
    let bindings = bindings_of(&shop).await;
    assert_eq!(bindings.len() as u64, LABELS);
    check_bindings(&bindings, initial, &bound.into_inner());
    glass.agrees(&shop, &bindings).await;
    shop.controller.rest.in_sync(LABELS).await;
    verify(&shop).await;
}

/// Under load the journal syncs several entries at once.
async fn group_commits(rest: &Rest) {
    let fsyncs = rest.metric("gondola_journal_fsyncs_total").await;
    let entries = rest.metric("gondola_journal_entries_total").await;
    assert!(entries >= 2 * LABELS && fsyncs < entries, "{fsyncs} fsyncs, {entries} entries");
}

/// Whether every label is bound to what was last acknowledged, or to what was asked for when the crash came.
#[track_caller]
pub(crate) fn check_bindings(found: &BTreeMap<u64, String>, mut acknowledged: BTreeMap<u64, String>, bound: &[Bound]) {
    let mut unanswered = None;
    for Bound { label, sku, acknowledged: answered } in bound {
        if *answered {
            acknowledged.insert(*label, sku.clone());
        } else {
            unanswered = Some((label, sku));
        }
    }
    for (label, sku) in &acknowledged {
        let found = &found[label];
        assert!(found == sku || unanswered == Some((label, found)), "label {label}: {found}, acknowledged {sku}");
    }
}

pub(crate) async fn bindings_of(shop: &Shop) -> BTreeMap<u64, String> {
    let labels = shop.controller.rest.get("labels?limit=1000").await;
    let labels = labels["items"].as_array().unwrap();
    let number = |label: &Value| u64::from_str_radix(label["label"].as_str().unwrap(), 16).unwrap();
    labels.iter().map(|label| (number(label), label["skus"][0].as_str().unwrap().to_owned())).collect()
}

async fn verify(shop: &Shop) {
    let data_dir = shop.data_dir();
    let verify = ["journal", "verify", "--data-dir", data_dir.to_str().unwrap()];
    let report = Process::gondola(&verify, shop.dir.path()).await.json(0);
    assert!(report["journals"][0]["records"].as_u64() >= Some(2 * LABELS), "{report}");
}

#[tokio::test]
async fn seed_1() {
    check(1).await;
}

#[tokio::test]
async fn seed_2() {
    check(2).await;
}
