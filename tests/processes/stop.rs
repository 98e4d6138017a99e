//! How a controller stops, and how it keeps others off its data directory.

use std::process::Command;

use crate::broker::product;
use crate::process::{GONDOLA, Process};
use crate::shop::{Shop, ShopOptions};

#[tokio::test]
async fn ctrl_c_brings_everything_to_disk_and_ends_well() {
    let mut shop = Shop::open(ShopOptions { seed: 1, labels: 20, wake: "3s" }).await;
    shop.broker.publish_base(&[product("1101", 1, "59.90")]);
    shop.bind(&(1..=20).map(|label| (label, "1101".to_owned())).collect()).await;
    shop.controller.process.interrupt();
    let ended = shop.controller.process.ended().await;
    ended.expect(0);
    assert!(!ended.errors.contains("ERROR") && !ended.errors.contains("did not stop"), "{}", ended.errors);

    shop.restart().await;
    assert!(!shop.controller.process.log().contains("ended inside a line"));
    assert_eq!(shop.controller.rest.get("").await["labels"], 20);
    shop.controller.rest.in_sync(20).await;
}

#[tokio::test]
async fn a_data_directory_has_one_controller_and_others_are_told_which() {
    let shop = Shop::open(ShopOptions { seed: 1, labels: 1, wake: "1s" }).await;
    let second = &mut Command::new(GONDOLA);
    let second = second.args(["run", "--config"]).arg(shop.configuration());
    let ended = Process::start("second", second, shop.dir.path()).ended().await;
    ended.expect(1);
    let expected = format!(
        "error: cannot use the data directory\n\
         cause: data directory {} is in use by another gondola (pid {})\n\
         hint:  stop that process first, or give this one a `data_dir` of its own\n",
        shop.data_dir().display(),
        shop.controller.process.id()
    );
    assert_eq!(ended.errors, expected);
    let config = shop.configuration();
    for command in [["token", "create", "till"], ["user", "add", "bo"]] {
        let arguments = [&command[..], &["--role", "staff", "--config", config.to_str().unwrap()]].concat();
        let ended = Process::gondola(&arguments, shop.dir.path()).await;
        ended.expect(1);
        assert_eq!(ended.errors, expected);
    }
    assert_eq!(shop.controller.rest.get("").await["labels"], 0, "the first one goes on");
}
