//! What is published reaches the glass; what is old or malformed does not, and does no harm.

use std::collections::BTreeMap;

use crate::broker::{BASE_TOPIC, product};
use crate::glass::Glass;
use crate::shop::{Shop, ShopOptions};

const SKU: &str = "1101";

/// Every label shows the one product.
fn bindings() -> BTreeMap<u64, String> {
    (1..=3).map(|label| (label, SKU.to_owned())).collect()
}

#[tokio::test]
async fn a_published_price_is_on_the_glass_until_a_newer_one_comes() {
    let (shop, mut glass) = shop().await;
    let first = [product(SKU, 1, "59.90")];
    shop.broker.publish_base(&first);
    glass.expect(&first);
    glass.agrees(&shop, &bindings()).await;

    let newer = [product(SKU, 3, "49.90")];
    let older = glass.picture(SKU);
    glass.expect(&newer);
    assert_ne!(glass.picture(SKU), older);
    shop.broker.publish_base(&newer);
    glass.agrees(&shop, &bindings()).await;
    shop.controller.rest.in_sync(3).await;

    let before = state(&shop).await;
    let rows = shop.controller.rest.metric("gondola_feed_rows_total").await;
    shop.broker.publish_base(&[product(SKU, 2, "39.90")]);
    shop.controller.rest.metric_reaches("gondola_feed_rows_total", rows + 1).await;
    shop.simulator.wakes(3).await;
    assert_eq!(state(&shop).await, before);
    glass.agrees(&shop, &bindings()).await;
    let regressed = shop.controller.rest.metric("gondola_notices_total{kind=\"regressed_row\"}").await;
    assert_eq!(regressed, 1, "an older row is counted");
}

#[tokio::test]
async fn a_malformed_message_is_named_and_counted_and_harms_nothing() {
    let (mut shop, mut glass) = shop().await;
    let first = [product(SKU, 1, "59.90")];
    shop.broker.publish_base(&first);
    shop.broker.publish(BASE_TOPIC, r#"{"sku":"1101","revision":2,"price":"#);
    shop.controller.rest.metric_reaches("gondola_feed_errors_total", 1).await;
    let line = shop.controller.process.logs("feed: base message: not JSON (").await;
    assert!(line.contains("; expected one object or an array of at most 1000 objects"), "{line}");
    assert!(line.contains(&format!("topic=\"{BASE_TOPIC}\"")), "{line}");
    glass.expect(&first);
    glass.agrees(&shop, &bindings()).await;

    // A bad row fails alone, and a field that nobody knows is told of once.
    let newer = product(SKU, 2, "49.90");
    let mut odd = newer.clone();
    odd["colour"] = "red".into();
    let number = serde_json::json!({ "sku": "1102", "revision": 1, "price": 9.9 });
    shop.broker.publish_base(&[number, odd.clone()]);
    glass.expect(&[newer]);
    glass.agrees(&shop, &bindings()).await;
    let line = shop.controller.process.logs("feed: base row 1, sku `1102`: `price` is ").await;
    assert!(line.contains("expected an amount as a decimal string"), "{line}");
    shop.broker.publish_base(&[odd]);
    shop.controller.rest.metric_reaches("gondola_feed_unknown_fields_total", 2).await;
    assert_eq!(shop.controller.process.log().matches("feed: field `colour` of base is not known").count(), 1);
    assert_eq!(shop.controller.rest.metric("gondola_feed_errors_total").await, 2);

    // Topics that are nobody's.
    shop.broker.publish("gondola/v1/hz-001/feed/weather", "{}");
    shop.controller.rest.metric_reaches("gondola_feed_errors_total", 3).await;
    shop.controller.process.logs("feed: the topic names no store or facet of this controller").await;
}

/// Three labels that wake often, all bound to the one product.
async fn shop() -> (Shop, Glass) {
    let shop = Shop::open(ShopOptions { seed: 1, labels: 3, wake: "500ms" }).await;
    shop.bind(&bindings()).await;
    let glass = Glass::new(&shop);
    (shop, glass)
}

/// What the controller wants, and what the glasses show.
async fn state(shop: &Shop) -> Vec<(String, String)> {
    let mut state = Vec::new();
    for label in shop.simulator.labels().await {
        let address = label["label"].as_str().unwrap();
        let desired = shop.controller.rest.get(&format!("labels/{address}")).await["desired"].to_string();
        state.push((desired, format!("{} {}", label["edition"], label["digest"])));
    }
    state
}
