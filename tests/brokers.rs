//! Brokers that misbehave, each by a script: they lose sessions, refuse subscriptions, and keep acknowledgements
//! back or in disorder.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gondola::catalog::item::Item;
use gondola::catalog::sku::Sku;
use gondola::config::Config;
use gondola::run::System;
use gondola::run::clock::Clock;
use gondola::run::feed::Feed;
use gondola::run::mqtt::BrokerOptions;
use gondola::run::outbox::Outbox;
use gondola::run::publications::Message;
use gondola::run::telemetry::Telemetry;
use gondola::template::Templates;
use rumqttc::mqttbytes::v4::Packet;
use rumqttc::{ConnAck, ConnectReturnCode, PubAck, Publish, QoS, SubAck, SubscribeReasonCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// No step of a test takes longer, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Packets are far below.
const PACKET_MAX: usize = 1 << 20;

/// One connection of a client, seen by the broker.
struct Line {
    stream: TcpStream,
    read: BytesMut,
    will: Option<rumqttc::LastWill>,
}

/// Whether the broker still has what it kept for the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    Present,
    Lost,
}

impl Line {
    /// Takes the next connection, up to its CONNACK.
    async fn accept(listener: &TcpListener, session: Session) -> Self {
        let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut line = Self { stream, read: BytesMut::new(), will: None };
        let Packet::Connect(connect) = line.next().await else { panic!("no CONNECT") };
        assert!(!connect.clean_session);
        line.will = connect.last_will;
        line.write(|out| ConnAck::new(ConnectReturnCode::Success, session == Session::Present).write(out)).await;
        line
    }

    /// Takes the next connection, and its subscription.
    async fn subscribed(listener: &TcpListener, session: Session) -> Self {
        let mut line = Self::accept(listener, session).await;
        line.answer_subscription(SubscribeReasonCode::Success(QoS::AtLeastOnce)).await;
        line
    }

    async fn answer_subscription(&mut self, code: SubscribeReasonCode) {
        let Packet::Subscribe(subscribe) = self.next().await else { panic!("no SUBSCRIBE") };
        assert_eq!(subscribe.filters[0].path, "gondola/v1/hz-001/feed/+");
        self.write(|out| SubAck::new(subscribe.pkid, vec![code]).write(out)).await;
    }

    /// The next packet.
    async fn next(&mut self) -> Packet {
        let next = async {
            loop {
                match Packet::read(&mut self.read, PACKET_MAX) {
                    Ok(packet) => return packet,
                    Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                let read = self.stream.read_buf(&mut self.read).await.unwrap();
                assert!(read > 0, "the client has hung up");
            }
        };
        tokio::time::timeout(PATIENCE, next).await.unwrap()
    }

    /// The next publication of the client.
    async fn published(&mut self) -> Publish {
        match self.next().await {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?}"),
        }
    }

    async fn write<E: std::fmt::Debug>(&mut self, packet: impl FnOnce(&mut BytesMut) -> Result<usize, E>) {
        let mut out = BytesMut::new();
        packet(&mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    async fn acknowledge(&mut self, pkid: u16) {
        self.write(|out| PubAck::new(pkid).write(out)).await;
    }

    /// Takes and acknowledges the word that the controller is online.
    async fn online(&mut self) {
        let publish = self.published().await;
        assert!(publish.retain && publish.topic.starts_with("gondola/v1/status/"), "{publish:?}");
        let status: Value = serde_json::from_slice(&publish.payload).unwrap();
        assert_eq!(status["online"], true);
        self.acknowledge(publish.pkid).await;
    }

    /// Sends a product with this packet id.
    async fn feed(&mut self, pkid: u16, revision: u64) {
        let row = format!("{{\"sku\":\"1101\",\"revision\":{revision},\"price\":\"{revision}.00\"}}");
        let mut publish = Publish::new("gondola/v1/hz-001/feed/base", QoS::AtLeastOnce, row);
        publish.pkid = pkid;
        self.write(|out| publish.write(out)).await;
    }

    /// The ids that are acknowledged next.
    async fn acknowledged(&mut self, count: usize) -> Vec<u16> {
        let mut ids = Vec::new();
        while ids.len() < count {
            match self.next().await {
                Packet::PubAck(ack) => ids.push(ack.pkid),
                Packet::Publish(publish) => self.acknowledge(publish.pkid).await,
                other => panic!("{other:?}"),
            }
        }
        ids
    }
}

/// A controller with one store at a broker that is a script.
async fn controller() -> (System, TcpListener, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = format!(
        "data_dir = '{}'\n[web]\nlisten = '127.0.0.1:0'\n[feed]\nbroker = 'mqtt://{}'\n[[store]]\nid = 'hz-001'\n\
         name = '店'\nformat = 'community'\ntime_zone = 'Asia/Shanghai'\ncurrency = 'CNY'\nmarket = 'CN'\n",
        dir.path().join("data").display(),
        listener.local_addr().unwrap()
    );
    let config = Config::parse(&config, "gondola.toml").unwrap();
    let (clock, templates) = (Clock::start(), Arc::new(Templates::embedded()));
    let system = System::start(&config, templates, clock, &Telemetry::silent()).await.unwrap();
    (system, listener, dir)
}

/// Waits until the store has this revision of the product.
async fn applied(system: &System, revision: u64) {
    let sku: Sku = "1101".parse().unwrap();
    let looking = async {
        loop {
            let sku = sku.clone();
            let read =
                system.stores[0].read(move |controller, _| controller.catalog().item(&sku).and_then(Item::revision));
            if read.await.unwrap() == Some(revision) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap();
}

#[tokio::test]
async fn an_acknowledgement_is_never_given_on_another_connection() {
    let (system, listener, _dir) = controller().await;
    let mut line = Line::subscribed(&listener, Session::Lost).await;
    line.feed(7, 1).await;
    applied(&system, 1).await;
    drop(line);
    // The broker has lost the session, and gives the same id to another message.
    let mut line = Line::subscribed(&listener, Session::Lost).await;
    line.online().await;
    line.feed(7, 2).await;
    line.feed(8, 3).await;
    assert_eq!(line.acknowledged(2).await, [7, 8]);
    applied(&system, 3).await;
    assert!(system.stop().await);
}

#[tokio::test]
async fn what_was_not_acknowledged_may_come_again() {
    let (system, listener, _dir) = controller().await;
    let mut line = Line::subscribed(&listener, Session::Lost).await;
    line.feed(1, 2).await;
    drop(line);
    let mut line = Line::subscribed(&listener, Session::Present).await;
    line.feed(1, 2).await;
    line.feed(2, 1).await;
    assert_eq!(line.acknowledged(2).await, [1, 2]);
    applied(&system, 2).await;
    assert!(system.stop().await);
}

#[tokio::test]
async fn a_refused_subscription_is_asked_for_again() {
    let (system, listener, _dir) = controller().await;
    let mut line = Line::accept(&listener, Session::Lost).await;
    line.answer_subscription(SubscribeReasonCode::Failure).await;
    let mut line = Line::subscribed(&listener, Session::Present).await;
    line.feed(1, 1).await;
    assert_eq!(line.acknowledged(1).await, [1]);
    assert!(system.stop().await);
}

#[tokio::test]
async fn it_says_that_it_is_there_and_that_it_leaves() {
    let (system, listener, _dir) = controller().await;
    let mut line = Line::subscribed(&listener, Session::Lost).await;
    let will = line.will.take().unwrap();
    line.online().await;
    let (stopped, ()) = tokio::join!(system.stop(), async {
        let publish = line.published().await;
        assert_eq!((&publish.topic, &publish.payload, publish.retain), (&will.topic, &will.message, true));
        let status: Value = serde_json::from_slice(&publish.payload).unwrap();
        assert_eq!((&status["online"], &status["version"]), (&false.into(), &env!("CARGO_PKG_VERSION").into()));
        assert!(matches!(line.next().await, Packet::Disconnect));
    });
    assert!(stopped && will.retain);
}

/// What publishes, without any store.
struct Publisher {
    outbox: Arc<Outbox>,
    listener: TcpListener,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Publisher {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = BrokerOptions {
            host: address.ip().to_string(),
            port: address.port(),
            tls: None,
            login: None,
            prefix: "gondola/v1".to_owned(),
            controller: "gondola-test".to_owned(),
            since: "2026-11-24T00:00:00Z".to_owned(),
            acknowledged_max: Duration::from_millis(500),
        };
        let (outbox, tasks, stop) = (Arc::new(Outbox::default()), TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Feed::new(options, Vec::new(), Arc::clone(&outbox)).run(stop.clone()));
        Self { outbox, listener, tasks, stop }
    }

    fn put(&self, key: usize, payload: usize) {
        let (topic, key, payload) = ("confirmations".to_owned(), key.to_string(), payload.to_string());
        self.outbox.put(&"hz-001".parse().unwrap(), Message { topic, key, payload, retain: false });
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.unwrap();
    }
}

fn number(publish: &Publish) -> usize {
    assert_eq!(publish.topic, "gondola/v1/hz-001/confirmations");
    std::str::from_utf8(&publish.payload).unwrap().parse().unwrap()
}

#[tokio::test]
async fn acknowledgements_in_disorder_cause_no_collision() {
    const MESSAGES: usize = 20_000;
    let publisher = Publisher::start().await;
    let mut line = Line::accept(&publisher.listener, Session::Lost).await;
    line.online().await;
    for message in 0..MESSAGES {
        publisher.put(message, message);
    }
    let (mut received, mut open) = (Vec::new(), Vec::new());
    while received.len() < MESSAGES {
        let publish = line.published().await;
        received.push(number(&publish));
        assert!(!open.contains(&publish.pkid), "packet id {} is in use", publish.pkid);
        open.push(publish.pkid);
        // The whole batch is here: its acknowledgements go back in disorder, the first last.
        if open.len() == 64 || received.len() == MESSAGES {
            for pkid in open.drain(..).rev() {
                line.acknowledge(pkid).await;
            }
        }
    }
    assert_eq!(received, (0..MESSAGES).collect::<Vec<_>>());
    publisher.stop().await;
}

#[tokio::test]
async fn a_broker_that_keeps_an_acknowledgement_back_is_given_up_and_gets_the_newest() {
    let publisher = Publisher::start().await;
    let mut line = Line::accept(&publisher.listener, Session::Lost).await;
    line.online().await;
    for key in 1..=3 {
        publisher.put(key, key);
    }
    for expected in 1..=3 {
        let publish = line.published().await;
        assert_eq!(number(&publish), expected);
        if expected != 2 {
            line.acknowledge(publish.pkid).await;
        }
    }
    publisher.put(1, 10);
    // All of the batch goes out again, for only its number of acknowledgements is known; but never what was overtaken.
    let mut line = Line::accept(&publisher.listener, Session::Present).await;
    line.online().await;
    let mut again = BTreeSet::new();
    for _ in 0..3 {
        let publish = line.published().await;
        again.insert(number(&publish));
        line.acknowledge(publish.pkid).await;
    }
    assert_eq!(again, BTreeSet::from([2, 3, 10]));
    publisher.stop().await;
}
