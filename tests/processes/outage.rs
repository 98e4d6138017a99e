//! A broker that is away, a source that floods, and a controller that is killed meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use crate::broker::{BASE_TOPIC, Broker, product, publish_lines};
use crate::glass::Glass;
use crate::process::eventually;
use crate::shop::{Shop, ShopOptions};

const STATUS: &str = "gondola/v1/status/+";

/// Changes of the flood; the controller takes in some thousands a second on a small machine.
const FLOOD: u64 = 30_000;

/// Products that change again and again.
const PRODUCTS: u64 = 200;

/// What a controller of three labels may ever take, in KiB: it has some 100 MiB, and a flood that was kept in
/// memory would be as much again.
const MEMORY_MAX_KIB: u64 = 400 * 1_024;

async fn says(broker: &Broker, online: bool) {
    eventually(&format!("a status that says online: {online}"), async || {
        let status = broker.retained(STATUS);
        status.contains(&format!("\"online\":{online}")).then_some(()).ok_or(status)
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_was_away_is_found_again() {
    let bindings = BTreeMap::from([(1, "1101".to_owned())]);
    let mut shop = Shop::open(ShopOptions { seed: 1, labels: 1, wake: "500ms" }).await;
    let mut glass = Glass::new(&shop);
    shop.bind(&bindings).await;
    shop.broker.publish_base(&[product("1101", 1, "59.90")]);
    shop.controller.rest.in_sync(1).await;
    shop.broker.kill();
    shop.controller.process.logs("cannot reach the MQTT broker at 127.0.0.1:").await;
    shop.broker.restart().await;
    shop.controller.process.logs("the broker has lost this controller's session").await;
    shop.controller.rest.metric_reaches("gondola_feed_connected", 1).await;
    let newer = [product("1101", 2, "49.90")];
    shop.broker.publish_base(&newer);
    glass.expect(&newer);
    glass.agrees(&shop, &bindings).await;
    says(&shop.broker, true).await;
}

#[tokio::test]
async fn the_broker_tells_that_a_controller_is_gone() {
    let mut shop = Shop::open(ShopOptions { seed: 1, labels: 1, wake: "1s" }).await;
    says(&shop.broker, true).await;
    shop.controller.process.kill();
    says(&shop.broker, false).await;
    shop.restart().await;
    says(&shop.broker, true).await;
    shop.controller.process.interrupt();
    shop.controller.process.ended().await.expect(0);
    says(&shop.broker, false).await;
}

#[tokio::test]
async fn a_flood_is_taken_in_and_a_crash_in_it_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::shipped(dir.path()).await;
    let mut shop = Shop::open_at(broker, dir, ShopOptions { seed: 1, labels: 3, wake: "1s" }).await;
    let mut flood = String::new();
    for change in 0..FLOOD {
        let (number, revision) = (change % PRODUCTS, change / PRODUCTS + 1);
        writeln!(flood, "{}", product(&format!("22{number:03}"), revision, &price(revision, number))).unwrap();
    }
    let port = shop.broker.port;
    let publishing = tokio::task::spawn_blocking(move || publish_lines(port, BASE_TOPIC, &flood));
    shop.controller.rest.metric_reaches("gondola_feed_rows_total", FLOOD / 10).await;
    let memory = peak_kib(shop.controller.process.id());
    shop.controller.process.kill();
    assert!(!publishing.is_finished(), "the crash came after the flood: make it longer");
    shop.restart().await;
    publishing.await.unwrap();
    let last = FLOOD / PRODUCTS;
    for number in 0..PRODUCTS {
        let path = format!("products/22{number:03}");
        eventually(&format!("the last price of {path}"), async || {
            let found = shop.controller.rest.find(&path).await;
            (found["base"]["revision"] == last).then_some(()).ok_or_else(|| found.to_string())
        })
        .await;
        let base = shop.controller.rest.get(&path).await["base"].clone();
        assert_eq!(base["price"], price(last, number), "{base}");
    }
    let memory = memory.max(peak_kib(shop.controller.process.id()));
    assert!(memory < MEMORY_MAX_KIB, "{memory} KiB");
}

fn price(revision: u64, number: u64) -> String {
    format!("{revision}.{:02}", number % 100)
}

/// The most memory that a process ever had.
fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
