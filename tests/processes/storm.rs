//! `kill -9` again and again, at any moment of a run or of a start, under load from REST and MQTT, with the view's files
//! damaged in between: what was acknowledged is there each time, the journal verifies, and in the end every glass agrees.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::broker::product;
use crate::crash::{Bound, bindings_of, check_bindings};
use crate::glass::Glass;
use crate::process::{GONDOLA, Process, eventually};
use crate::shop::{Rest, Shop, ShopOptions, address};

const LABELS: u64 = 24;

const PRODUCTS: u64 = 8;

/// Kills of each storm, unless `GONDOLA_CRASHES` says otherwise.
const KILLS: u64 = 5;

/// Bindings that are acknowledged in one run before the kill, at most.
const ACKNOWLEDGED_MAX: usize = 40;

/// Runs whose start is killed before it is ready, one in so many.
const STARTS: u64 = 4;

fn sku(number: u64) -> String {
    format!("11{number:02}")
}

fn wave(number: u64) -> Vec<Value> {
    (0..PRODUCTS).map(|index| product(&sku(index), number, &format!("{number}.{index:02}"))).collect()
}

/// What a disk may do to the view between two runs: its file cut, overwritten with zeros, or gone.
fn damage(dice: &mut impl Rng, shop: &Shop) {
    let view = shop.data_dir().join("stores/hz-001/view");
    let file = view.join("db");
    let length = fs::metadata(&file).map_or(0, |file| file.len());
    let open = |path: &Path| OpenOptions::new().write(true).open(path).unwrap();
    match dice.random_range(0..6) {
        0 => open(&file).set_len(dice.random_range(0..=length)).unwrap(),
        1 => {
            let keep = dice.random_range(0..=length);
            let file = open(&file);
            file.set_len(keep).unwrap();
            file.set_len(length).unwrap();
        }
        2 => fs::remove_file(file).unwrap(),
        3 => fs::remove_dir_all(view).unwrap(),
        _ => {}
    }
}

/// Binds one label after another until the controller is gone, and notes how many were acknowledged in this run.
async fn bind(rest: &Rest, dice: &RefCell<ChaCha8Rng>, bound: &RefCell<Vec<Bound>>, acknowledged: &Cell<usize>) {
    loop {
        let (label, product) = {
            let mut dice = dice.borrow_mut();
            (dice.random_range(1..=LABELS), dice.random_range(0..PRODUCTS))
        };
        bound.borrow_mut().push(Bound { label, sku: sku(product), acknowledged: false });
        let body = json!({ "skus": [sku(product)], "allow_unknown": true });
        let Ok((status, answer)) = rest.post(&format!("labels/{}/bind", address(label)), &body).await else { return };
        assert_eq!(status, 200, "{answer}");
        bound.borrow_mut().last_mut().unwrap().acknowledged = true;
        acknowledged.set(acknowledged.get() + 1);
    }
}

/// A start that is killed as soon as its store is open.
async fn killed_start(shop: &Shop) {
    let command = &mut Command::new(GONDOLA);
    let command = command.args(["run", "--config"]).arg(shop.configuration());
    let mut process = Process::start("killed-start", command, shop.dir.path());
    process.logs("store opened").await;
    process.kill();
}

async fn verify(shop: &Shop) {
    let data_dir = shop.data_dir();
    let verify = ["journal", "verify", "--data-dir", data_dir.to_str().unwrap()];
    Process::gondola(&verify, shop.dir.path()).await.json(0);
}

async fn storm(seed: u64) {
    let dice = RefCell::new(ChaCha8Rng::seed_from_u64(seed));
    let kills = std::env::var("GONDOLA_CRASHES").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut shop = Shop::open(ShopOptions { seed, labels: LABELS, wake: "1s" }).await;
    let mut glass = Glass::new(&shop);
    let mut bindings: BTreeMap<u64, String> = (1..=LABELS).map(|label| (label, sku(label % PRODUCTS))).collect();
    shop.bind(&bindings).await;
    let mut newest = 0;
    for kill in 1..=kills {
        newest += 1;
        shop.broker.publish_base(&wave(newest));
        let (bound, acknowledged) = (RefCell::new(Vec::new()), Cell::new(0));
        let enough = dice.borrow_mut().random_range(0..ACKNOWLEDGED_MAX);
        let rest = shop.controller.rest.clone();
        let load = bind(&rest, &dice, &bound, &acknowledged);
        let crash = async {
            let what = format!("{enough} bindings before kill {kill}");
            eventually(&what, async || {
                let so_far = acknowledged.get();
                (so_far >= enough).then_some(()).ok_or_else(|| so_far.to_string())
            })
            .await;
            shop.controller.process.kill();
        };
        tokio::join!(load, crash);
        verify(&shop).await;
        damage(&mut *dice.borrow_mut(), &shop);
        if kill % STARTS == 0 {
            killed_start(&shop).await;
        }
        shop.restart().await;
        let found = bindings_of(&shop).await;
        check_bindings(&found, bindings, &bound.into_inner());
        bindings = found;
    }
    // Whatever the view has lost, its source sends again.
    let last = wave(newest + 1);
    shop.broker.publish_base(&last);
    glass.expect(&last);
    glass.agrees(&shop, &bindings).await;
    shop.controller.rest.in_sync(LABELS).await;
    verify(&shop).await;
}

#[tokio::test]
async fn seed_1() {
    storm(1).await;
}

#[tokio::test]
async fn seed_2() {
    storm(2).await;
}

#[tokio::test]
async fn seed_3() {
    storm(3).await;
}

#[tokio::test]
async fn seed_4() {
    storm(4).await;
}
