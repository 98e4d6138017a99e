//! A stock Mosquitto on a free port, and the merchandise system's side of the feed: `mosquitto_pub`.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::process::Process;

/// Free ports that are tried: between finding one and using it another program may take it.
const TRIES_MAX: usize = 10;

/// Where feed messages of facet `base` go.
pub(crate) const BASE_TOPIC: &str = "gondola/v1/hz-001/feed/base";

/// A broker on loopback. It can be killed and started again on the same port.
pub(crate) struct Broker {
    pub(crate) port: u16,
    dir: PathBuf,
    process: Process,
}

impl Broker {
    /// Mosquitto as it is installed: only the listener is set.
    pub(crate) async fn stock(dir: &Path) -> Self {
        Self::start(dir, |port| format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).await
    }

    /// Mosquitto as it is shipped with Gondola, but for the port.
    pub(crate) async fn shipped(dir: &Path) -> Self {
        let shipped = include_str!("../../deploy/mosquitto.conf");
        assert!(shipped.contains("\nlistener 1883 127.0.0.1\n"));
        let here = format!("user root\npersistence_location {}/\n", dir.display());
        Self::start(dir, |port| shipped.replace("listener 1883", &format!("listener {port}")) + &here).await
    }

    /// Mosquitto with the configuration that `configure` makes for a port.
    pub(crate) async fn start(dir: &Path, configure: impl Fn(u16) -> String) -> Self {
        for _ in 0..TRIES_MAX {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            fs::write(dir.join("mosquitto.conf"), configure(port)).unwrap();
            let mut process = run(dir);
            if process.logs_or_ends(" running").await.is_some() {
                return Self { port, dir: dir.to_owned(), process };
            }
            let log = process.log();
            assert!(log.contains("Address already in use"), "mosquitto does not start:\n{log}");
        }
        panic!("{TRIES_MAX} free ports were taken by others");
    }

    /// What a power cut leaves of it: nothing that it had not written down.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) async fn restart(&mut self) {
        self.process = run(&self.dir);
        self.process.logs(" running").await;
    }

    /// Publishes one message with QoS 1; when this returns, the broker has it.
    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        pipe(self.port, &["-t", topic, "-s"], payload);
    }

    /// What the broker keeps at topics that this filter names; nothing if that is nothing.
    pub(crate) fn retained(&self, filter: &str) -> String {
        let port = self.port.to_string();
        let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", filter, "--retained-only", "-C", "1", "-W", "1"];
        let heard = Command::new("mosquitto_sub").args(arguments).output().unwrap();
        String::from_utf8(heard.stdout).unwrap()
    }

    /// Publishes base events.
    pub(crate) fn publish_base(&self, events: &[Value]) {
        self.publish(BASE_TOPIC, &serde_json::to_string(events).unwrap());
    }
}

/// Publishes each line as a message with QoS 1.
pub(crate) fn publish_lines(port: u16, topic: &str, lines: &str) {
    pipe(port, &["-t", topic, "-l"], lines);
}

fn pipe(port: u16, arguments: &[&str], input: &str) {
    let mut publisher = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1"])
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub is installed (Debian: mosquitto-clients)");
    publisher.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(publisher.wait().unwrap().success(), "mosquitto_pub failed");
}

fn run(dir: &Path) -> Process {
    Process::start("mosquitto", Command::new(program()).arg("-c").arg(dir.join("mosquitto.conf")), dir)
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
    let broker = Broker::shipped(dir.path()).await;
    broker.publish_base(&[product("1101", 1, "59.90")]);
}
