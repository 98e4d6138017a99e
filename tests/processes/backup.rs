//! `gondola backup` beside a running controller, and `gondola restore`.

use std::collections::BTreeMap;
use std::fs;

use crate::broker::product;
use crate::crash::bindings_of;
use crate::process::Process;
use crate::shop::{Shop, ShopOptions};

#[tokio::test]
async fn a_shop_comes_back_from_a_backup_that_was_made_while_it_worked() {
    let mut shop = Shop::open(ShopOptions { seed: 1, labels: 10, wake: "1s" }).await;
    let bindings: BTreeMap<u64, String> = (1..=10).map(|label| (label, "1101".to_owned())).collect();
    shop.broker.publish_base(&[product("1101", 1, "59.90")]);
    shop.bind(&bindings).await;
    shop.controller.rest.in_sync(10).await;
    let (configuration, copy) = (shop.configuration(), shop.dir.path().join("copy"));
    let [configuration, copy] = [&configuration, &copy].map(|path| path.to_str().unwrap());
    let backup = ["backup", "--config", configuration, copy];
    let made = Process::gondola(&backup, shop.dir.path()).await.json(0);
    assert!(made["stores"][0]["journal"]["sequence"].as_u64() >= Some(30), "{made}");
    assert_eq!(made["stores"][0]["view"], true, "{made}");

    let restore = ["restore", "--config", configuration, copy];
    let refused = Process::gondola(&restore, shop.dir.path()).await;
    refused.expect(1);
    assert!(refused.errors.contains("is in use by another gondola"), "{}", refused.errors);
    shop.controller.process.kill();
    let refused = Process::gondola(&restore, shop.dir.path()).await;
    refused.expect(1);
    assert!(refused.errors.contains("is not empty; "), "{}", refused.errors);

    fs::remove_dir_all(shop.data_dir()).unwrap();
    assert_eq!(Process::gondola(&restore, shop.dir.path()).await.json(0)["stores"], made["stores"]);
    shop.restart().await;
    assert_eq!(bindings_of(&shop).await, bindings);
    shop.controller.rest.in_sync(10).await;
    assert_eq!(shop.controller.rest.get("products/1101").await["shelf_price"]["price"], "59.90");
}
