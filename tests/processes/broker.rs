//! A stock Mosquitto on a free port, and the merchandise system's side of the feed: `mosquitto_pub`.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::Process;

/// Free ports that are tried: between finding one and using it another program may take it.
const TRIES_MAX: usize = 10;

/// Where feed messages of facet `base` go.
pub(crate) const BASE_TOPIC: &str = "gondola/v1/hz-001/feed/base";

/// A broker on loopback.
pub(crate) struct Broker {
    pub(crate) port: u16,
    _process: Process,
}

impl Broker {
    /// Mosquitto as it is installed: only the listener is set.
    pub(crate) async fn stock(dir: &Path) -> Self {
        Self::start(dir, |port| format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).await
    }

    /// Mosquitto with the configuration that `configure` makes for a port.
    pub(crate) async fn start(dir: &Path, configure: impl Fn(u16) -> String) -> Self {
        for _ in 0..TRIES_MAX {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let file = dir.join("mosquitto.conf");
            fs::write(&file, configure(port)).unwrap();
            let mut process = Process::start("mosquitto", Command::new(program()).arg("-c").arg(&file), dir);
            if process.logs_or_ends(" running").await.is_some() {
                return Self { port, _process: process };
            }
            let log = process.log();
            assert!(log.contains("Address already in use"), "mosquitto does not start:\n{log}");
        }
        panic!("{TRIES_MAX} free ports were taken by others");
    }

    /// Publishes one message with QoS 1; when this returns, the broker has it.
    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        let port = self.port.to_string();
        let mut publisher = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-s"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("mosquitto_pub is installed (Debian: mosquitto-clients)");
        publisher.stdin.take().unwrap().write_all(payload.as_bytes()).unwrap();
        assert!(publisher.wait().unwrap().success(), "mosquitto_pub failed");
    }

    /// Publishes base events.
    pub(crate) fn publish_base(&self, events: &[Value]) {
        self.publish(BASE_TOPIC, &serde_json::to_string(events).unwrap());
    }
}

/// Debian puts it where only root's path leads.
fn program() -> &'static str {
    let debian = "/usr/sbin/mosquitto";
    if Path::new(debian).exists() { debian } else { "mosquitto" }
}

/// One base event.
pub(crate) fn product(sku: &str, revision: u64, price: &str) -> Value {
    serde_json::json!({
        "sku": sku, "revision": revision, "name": format!("海盐太妃糖 {sku}"), "brand": "严选", "spec": "500g/袋",
        "origin": "浙江", "grade": "一级", "unit": "袋", "barcode": "6901234567892", "price": price,
        "content": { "amount": "500", "unit": "g" },
    })
}

#[tokio::test]
async fn the_shipped_configuration_starts_a_broker() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = include_str!("../../deploy/mosquitto.conf");
    assert!(shipped.contains("\nlistener 1883 127.0.0.1\n"));
    let broker = Broker::start(dir.path(), |port| shipped.replace("listener 1883", &format!("listener {port}"))).await;
    broker.publish_base(&[product("1101", 1, "59.90")]);
}
