//! What a person reads when something is wrong, word for word; and that what comes next is served as usual.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

mod log;
#[expect(dead_code, reason = "the shop is that of the tests in virtual time, which use all of it")]
mod shop;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gondola::config::Config;
use gondola::run::clock::Clock;
use gondola::run::telemetry::Telemetry;
use gondola::run::{StartError, System};
use gondola::simulate::harness::Event;
use gondola::template::Templates;
use gondola_drivers::{Head, HeadEvent, HeadOptions};
use gondola_protocol::frame;
use gondola_protocol::message::{Frame, Welcome};
use gondola_protocol::{Moment, SessionId};
use gondola_simulator::Serving;
use log::Log;
use shop::{Shop, ShopOptions, station};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};

/// A good frame as it stands on the stream.
fn welcome() -> Vec<u8> {
    let welcome = Welcome {
        session: SessionId(1),
        version: 1,
        station: station(0),
        epoch: 1,
        encodings: 3,
        window: 8,
        payload_max: 1_024,
        transfers_max: 8,
        bytes_max: 1 << 20,
    };
    let mut stream = Vec::new();
    frame::encode(&Frame::Welcome(welcome).encode(), &mut stream);
    stream
}

/// What a base station's head makes of `noise`; the next good frame is read all the same.
#[track_caller]
fn check_stream(noise: &[u8], sentence: &str) {
    let mut head = Head::new(station(0), HeadOptions::default());
    head.connected(Moment::ZERO, SessionId(1));
    for piece in noise.chunks(16 * 1_024) {
        head.handle_bytes(Moment::ZERO, piece);
    }
    let told = match head.poll_event() {
        Some(HeadEvent::Dropped(dropped)) => dropped.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(told, sentence);
    assert_eq!(head.poll_event(), None);
    head.handle_bytes(Moment::ZERO, &welcome());
    assert!(matches!(head.poll_event(), Some(HeadEvent::Up { .. })), "the next good frame is not read");
}

#[test]
fn bytes_that_are_no_frame() {
    let mut flipped = welcome();
    flipped[12] ^= 0x10;
    check_stream(&flipped, "frame of 32 bytes dropped: its CRC-32C is f880429b, its payload gives 28279c4b");
    let mut cut = welcome();
    cut.truncate(12);
    cut.push(0);
    check_stream(&cut, "frame of 12 bytes dropped: it ends inside a COBS block");
    let mut noise = vec![0x55; 2 << 20];
    noise.push(0);
    check_stream(&noise, "2097152 bytes without a frame's end dropped: is this a shelflink station?");
    check_stream(&[2, 7, 0], "frame of 1 bytes dropped: it is too short to hold a checksum");
    let mut unknown = Vec::new();
    frame::encode(&[0x7F, 1, 2], &mut unknown);
    check_stream(&unknown, "message dropped: kind 0x7f is not one of version 2");
}

#[test]
fn a_label_that_nobody_registered() {
    let mut shop = Shop::open(ShopOptions { labels: 1, ..ShopOptions::default() });
    shop.price(0, "10.00");
    shop.run(60);
    let told = |event: &Event| if let Event::Notice(_, text) = event { Some(text.clone()) } else { None };
    let notices: Vec<String> = shop.harness.events().iter().filter_map(told).collect();
    let expected = [
        "base station `station-0` is up",
        "label 0000021B6D400000 (bw-250x122), heard by base station `station-0`, is not registered in this store: it \
         gets nothing until somebody registers it",
    ];
    assert_eq!(notices, expected);
    shop.register(0);
    shop.bind(0, 0);
    shop.settle(Duration::from_secs(60));
}

#[test]
fn a_template_with_an_unknown_element() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("rules.toml", "[[rule]]\ntemplate = \"plain\"\n");
    write(
        "plain.xml",
        "<template name=\"plain\">\n  <box>\n    <txt>{{ product.name }}</txt>\n  </box>\n</template>\n",
    );
    let errors = Templates::from_directory(folder.path()).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [format!(
            "{}/plain.xml:3:5: unknown element `txt`; expected one of box, text, price, barcode, qrcode, datamatrix, image, rule, badge",
            folder.path().display()
        )]
    );
    write(
        "plain.xml",
        "<template name=\"plain\">\n  <box>\n    <text>{{ product.name }}</text>\n  </box>\n</template>\n",
    );
    assert_eq!(Templates::from_directory(folder.path()).unwrap().names().collect::<Vec<_>>(), ["plain"]);
}

/// A configuration whose state lies in `folder`.
fn config(folder: &Path, listen: SocketAddr, broker: SocketAddr, station: SocketAddr) -> String {
    format!(
        r#"data_dir = "{}"

[web]
listen = "{listen}"

[feed]
broker = "mqtt://{broker}"

[[store]]
id = "hz-001"
name = "杭州解百店"
format = "community"
time_zone = "Asia/Shanghai"
currency = "CNY"
market = "CN"

[[store.base_station]]
id = "front"
driver = "shelflink"
transport = {{ tcp = "{station}" }}
"#,
        folder.join("data").display()
    )
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Bound and not listening: nobody answers there, and nobody else takes the port.
fn closed_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(any_port()).unwrap();
    socket
}

#[track_caller]
fn check_config(good: &str, bad: &str, sentence: &str) {
    let (broker, station) = ("127.0.0.1:1883".parse().unwrap(), "127.0.0.1:7001".parse().unwrap());
    let text = config(Path::new("/var/lib/gondola"), any_port(), broker, station);
    assert!(text.contains(good));
    let error = Config::parse(&text.replace(good, bad), "gondola.toml").unwrap_err();
    assert_eq!(error.to_string(), sentence);
    assert!(Config::parse(&text, "gondola.toml").is_ok());
}

#[test]
fn a_configuration_that_cannot_be_used() {
    check_config(
        "time_zone",
        "timezone",
        "cannot use the configuration gondola.toml: 1 problem\n  line 13: unknown field `timezone`, expected one of \
         `id`, `name`, `format`, `time_zone`, `currency`, `market`, `reload`, `guard`, `alerts`, `base_station`",
    );
    check_config(
        "\"shelflink\"",
        "\"openepaperlink\"",
        "cannot use the configuration gondola.toml: 1 problem\n  base station `front`: a radio of openepaperlink is \
         driven through `serial`",
    );
}

async fn start(config: &str) -> Result<System, StartError> {
    let config = Config::parse(config, "gondola.toml").unwrap();
    System::start(&config, Arc::new(Templates::embedded()), Clock::start(), &Telemetry::silent()).await
}

#[tokio::test]
async fn a_port_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(any_port()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let nobody = closed_port();
    let config = config(folder.path(), address, nobody.local_addr().unwrap(), nobody.local_addr().unwrap());
    let error = start(&config).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address} for the dashboard: is another program using the port? choose another with web.listen"
        )
    );
    let cause = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
    assert_eq!(cause.kind(), ErrorKind::AddrInUse);

    let shop = format!(
        "seed = 7\n[[base_station]]\nid = \"front\"\nlisten = \"{address}\"\n[[labels]]\nfirst = \"0000000000000001\"\ncount = 1\npanel = \"bw-250x122\"\nwake = \"5s\"\n"
    );
    let serve = || async { Serving::bind(gondola_simulator::Config::parse(&shop).unwrap()).await };
    assert_eq!(
        serve().await.unwrap_err().to_string(),
        format!(
            "cannot listen on {address} for base station `front`: address in use; is another simulator running? choose \
             another port, or 0 for any free one"
        )
    );

    drop(taken);
    drop(serve().await.unwrap());
    let system = start(&config).await.unwrap();
    assert_eq!(system.web, address);
    assert!(system.stop().await);
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let (log, _guard) = Log::listen(tracing::Level::WARN);
    let (broker, front) = (closed_port(), closed_port());
    let (address, station) = (broker.local_addr().unwrap(), front.local_addr().unwrap());
    let system = start(&config(folder.path(), any_port(), address, station)).await.unwrap();
    assert_eq!(
        log.line("broker", 1).await,
        format!(
            "WARN cannot reach the MQTT broker at {address}: I/O: Connection refused (os error 111); labels keep what \
             they show, no price changes arrive, and the connection is tried again every 10 s at most: is the broker \
             running?"
        )
    );
    assert_eq!(
        log.line("base station", 1).await,
        format!(
            "WARN base station `front` did not answer on {station} station=front cause=Connection refused (os error \
             111) hint=\"is the station switched on, and are address and port right?\""
        )
    );

    let broker = broker.listen(8).unwrap();
    let (mut connection, _) = tokio::time::timeout(Duration::from_secs(30), broker.accept()).await.unwrap().unwrap();
    // CONNECT, the first word of MQTT.
    assert_eq!(connection.read_u8().await.unwrap() >> 4, 1);
    drop(connection);
    assert!(system.stop().await);
}
