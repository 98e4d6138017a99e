//! How a controller stops, and how it keeps others off its data directory.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use crate::broker::product;
use crate::process::{GONDOLA, Process, eventually};
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

/// A request that is never finished holds the first stop up.
#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut shop = Shop::open(ShopOptions { seed: 1, labels: 1, wake: "1s" }).await;
    let address = shop.controller.rest.address();
    let mut unfinished = TcpStream::connect(&address).unwrap();
    let token = std::fs::read_to_string(shop.dir.path().join("token")).unwrap();
    let head = "POST /v1/stores/hz-001/labels HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n";
    unfinished
        .write_all(
            format!("{head}authorization: Bearer {token}\r\ncontent-type: application/json\r\n\r\n{{").as_bytes(),
        )
        .unwrap();
    shop.controller.rest.get("").await;
    shop.controller.process.interrupt();
    eventually("the end of listening", async || match TcpStream::connect(&address) {
        Ok(_) => Err("it listens".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
    shop.controller.process.interrupt();
    let ended = shop.controller.process.ended().await;
    ended.expect(1);
    assert!(ended.errors.contains("stopped at once by a second signal"), "{}", ended.errors);
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
