//! The same tests over every transport, against the simulator's base station: what a station's task promises does
//! not depend on how the bytes travel.

#![allow(clippy::unwrap_used, reason = "a test may; clippy sees only its #[test] functions as such")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::transport::{Incoming, Reception, Stream, TlsClient, TlsServer};
use gondola_drivers::{
    Ahead, DownReason, HeadEvent, HeadOptions, Outcome, Picture, StationHandle, StationOptions, StationOrder,
    Transport, spawn,
};
use gondola_protocol::auth::StationKey;
use gondola_protocol::message::{Credits, Lane, LightColour, Pattern, Reason, Refusal, Status};
use gondola_protocol::{Edition, LabelId, Moment, Planes, StationId, TransferNumber};
use gondola_simulator::config::{BaseStationConfig, Config, LabelsConfig, RadioConfig};
use gondola_simulator::{Fault, Handle, Serving};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// No step of a test takes longer, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

const KEY: &str = "4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b";

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Memory,
    Tcp,
    /// The station connects to the controller.
    DialIn,
    /// A serial line, as a pseudo-terminal.
    Pty,
    /// A stock Mosquitto.
    Mqtt,
    /// TCP through TLS.
    Tls,
    /// The station connects to the controller through TLS.
    DialInTls,
    /// A Mosquitto that we reach through TLS.
    MqttTls,
}

/// Which certificate we trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    TheStations,
    Another,
}

/// What a shop is like.
#[derive(Debug, Clone, Copy)]
struct Shop {
    over: Over,
    labels: u32,
    loss: f64,
    station_key: Option<&'static str>,
    our_key: Option<&'static str>,
    certificate: Whose,
}

impl Shop {
    const fn new(over: Over) -> Self {
        Self { over, labels: 1, loss: 0.0, station_key: None, our_key: None, certificate: Whose::TheStations }
    }
}

/// A simulated base station with its labels, and the task that drives it.
struct Stage {
    shop: Handle,
    station: StationHandle,
    events: mpsc::Receiver<(StationId, HeadEvent)>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    _dir: TempDir,
    _broker: Option<Broker>,
}

impl Stage {
    async fn open(shop: Shop) -> Self {
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let dir = tempfile::tempdir().unwrap();
        let (mut broker, mut config) = (None, BaseStationConfig::listening(front(), loopback()));
        config.key = shop.station_key.map(str::to_owned);
        let mut transport = None;
        let certificate = Certificate::new();
        match shop.over {
            Over::Tcp | Over::Tls => {}
            Over::Memory => config.listen = None,
            Over::DialIn | Over::DialInTls => {
                let tls = (shop.over == Over::DialInTls).then(|| certificate.server());
                let reception = Reception::open("127.0.0.1:0", tls, &tracker, shutdown.clone()).await.unwrap();
                let mut dial = reception.address();
                if shop.over == Over::DialInTls {
                    dial = certificate.forward(dial, Through::Client, &tracker, &shutdown).await;
                }
                (config.listen, config.dial) = (None, Some(dial.to_string()));
                transport = Some(Transport::Incoming(reception.expect(front())));
            }
            Over::Pty => {
                let path = dir.path().join("tty");
                (config.listen, config.pty) = (None, Some(path.clone()));
                transport =
                    Some(Transport::Serial { path: path.to_str().unwrap().to_owned(), baud: 921_600, reset: None });
            }
            Over::Mqtt | Over::MqttTls => {
                let started = Broker::start(dir.path(), &certificate).await;
                let [place, secure] = started.ports.map(|port| format!("mqtt://127.0.0.1:{port}/shop/front"));
                transport = Some(match shop.over {
                    Over::Mqtt => Transport::Mqtt(place.parse().unwrap(), None),
                    _ => Transport::Mqtt(secure.parse().unwrap(), Some(certificate.client())),
                });
                (config.listen, config.mqtt, broker) = (None, Some(place), Some(started));
            }
        }
        let serving = Serving::bind(config_of(shop, config)).await.unwrap();
        let address = serving.station_addrs().next().map(|(_, address)| address);
        let handle = serving.handle();
        let running = serving.run(clock(), shutdown.clone());
        tracker.spawn(async move { running.await.unwrap() });
        let transport = match (transport, address) {
            (Some(transport), _) => transport,
            (None, Some(address)) if shop.over == Over::Tls => {
                let secure = certificate.forward(address, Through::Server, &tracker, &shutdown).await;
                let trusted = match shop.certificate {
                    Whose::TheStations => certificate.client(),
                    Whose::Another => Certificate::new().client(),
                };
                Transport::Tls(secure.to_string(), trusted)
            }
            (None, Some(address)) => Transport::Tcp(address.to_string()),
            (None, None) => memory(&handle, &tracker),
        };
        let head = HeadOptions { key: shop.our_key.map(key), ..HeadOptions::default() };
        let options = StationOptions { id: front(), transport, head: head.into() };
        let (sender, events) = mpsc::channel(16);
        let station = spawn(options, &tracker, shutdown.clone(), clock(), sender);
        Self { shop: handle, station, events, tracker, shutdown, _dir: dir, _broker: broker }
    }

    /// The next event that is of interest, within [`PATIENCE`].
    async fn wait_for<T>(&mut self, mut of_interest: impl FnMut(HeadEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let (_, event) = self.events.recv().await.expect("the station's task runs");
                if let Some(found) = of_interest(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("an event in time")
    }

    /// The epoch of the session that opens next.
    async fn up(&mut self) -> u32 {
        self.wait_for(|event| match event {
            HeadEvent::Up { epoch, .. } => epoch,
            _ => None,
        })
        .await
    }

    async fn outcome(&mut self) -> (u32, Outcome) {
        self.wait_for(|event| match event {
            HeadEvent::Outcome { number, outcome } => Some((number.0, outcome)),
            _ => None,
        })
        .await
    }

    fn order(&self, order: StationOrder) {
        self.station.try_order(order).unwrap();
    }

    async fn close(self) {
        self.shutdown.cancel();
        self.tracker.close();
        timeout(PATIENCE, self.tracker.wait()).await.expect("every task ends");
    }
}

/// Which end of TLS a forwarder is.
#[derive(Clone, Copy)]
enum Through {
    Client,
    Server,
}

/// A certificate for loopback that is its own authority.
struct Certificate {
    certificate: String,
    key: String,
}

impl Certificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn client(&self) -> TlsClient {
        TlsClient::trusting(self.certificate.as_bytes()).unwrap()
    }

    fn server(&self) -> TlsServer {
        TlsServer::showing(self.certificate.as_bytes(), self.key.as_bytes()).unwrap()
    }

    /// Takes connections in and passes them on, one side of them through TLS: the simulator knows none.
    async fn forward(
        &self,
        to: SocketAddr,
        through: Through,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server, tasks, stop) = (self.client(), self.server(), tracker.clone(), shutdown.clone());
        let accept = async move {
            while let Ok((incoming, _)) = listener.accept().await {
                let (client, server) = (client.clone(), server.clone());
                let pass_on = async move {
                    let outgoing = TcpStream::connect(to).await.ok()?;
                    let (mut incoming, mut outgoing): (Stream, Stream) = match through {
                        Through::Server => (server.wrap(incoming).await.ok()?, Box::new(outgoing)),
                        Through::Client => {
                            (Box::new(incoming), client.wrap(&to.to_string(), Box::new(outgoing)).await.ok()?)
                        }
                    };
                    tokio::io::copy_bidirectional(&mut incoming, &mut outgoing).await.ok()
                };
                tasks.spawn(stop.clone().run_until_cancelled_owned(pass_on));
            }
        };
        tracker.spawn(shutdown.clone().run_until_cancelled_owned(accept));
        address
    }
}

fn front() -> StationId {
    "front".parse().unwrap()
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn key(text: &str) -> StationKey {
    text.parse().unwrap()
}

fn config_of(shop: Shop, station: BaseStationConfig) -> Config {
    let labels = LabelsConfig {
        first: LabelId(1),
        count: shop.labels,
        panel: "bw-64x32".parse().unwrap(),
        wake: Duration::from_millis(100),
        station: None,
    };
    let radio = RadioConfig { loss: shop.loss, ..RadioConfig::default() };
    Config { seed: 7, control: None, radio, base_stations: vec![station], labels: vec![labels] }
}

/// Both ends of a pipe, again and again: each reaches the station with the first bytes that the controller writes.
fn memory(shop: &Handle, tracker: &TaskTracker) -> Transport {
    let (streams, incoming) = Incoming::channel("memory");
    let shop = shop.clone();
    tracker.spawn(async move {
        while let Ok(place) = streams.reserve().await {
            let (ours, mut theirs) = tokio::io::duplex(4_096);
            place.send(Box::new(ours));
            let mut first = vec![0; 4_096];
            let length = theirs.read(&mut first).await.unwrap();
            first.truncate(length);
            let (reading, writing) = tokio::io::split(theirs);
            let stream = tokio::io::join(std::io::Cursor::new(first).chain(reading), writing);
            if length > 0 && shop.attach(&front(), stream).await.is_err() {
                return;
            }
        }
    });
    Transport::Incoming(incoming)
}

#[expect(clippy::disallowed_methods, reason = "a test of the shell that is given a clock")]
fn clock() -> impl Fn() -> Moment + Clone + Send + Sync + 'static {
    let start = std::time::Instant::now();
    move || Moment::from_secs(1_000) + start.elapsed()
}

fn picture(number: u32) -> Picture {
    let panel = "bw-64x32".parse().unwrap();
    let bytes: Vec<u8> =
        (0..256_u32).map(|at| at.wrapping_mul(number | 1).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let planes = Planes::new(panel, bytes).unwrap();
    Picture {
        number: TransferNumber(number),
        label: LabelId(number.into()),
        edition: Edition(7),
        lane: Lane::Price,
        planes,
        held: None,
        encodings: u8::MAX,
        packed: None,
    }
}

const DELIVERED: Outcome = Outcome::Status(Status::Delivered);

async fn a_picture_reaches_the_glass_and_is_proven(over: Over) {
    let mut stage = Stage::open(Shop::new(over)).await;
    assert_eq!(stage.up().await, 1);
    stage.order(StationOrder::Submit(picture(1)));
    let mut delivered = false;
    let told = stage.wait_for(|event| match event {
        HeadEvent::Outcome { number: TransferNumber(1), outcome } => {
            assert_eq!(outcome, DELIVERED);
            delivered = true;
            None
        }
        HeadEvent::CheckIn(told) if told.reason == Reason::Displayed => Some(told),
        _ => None,
    });
    let told = told.await;
    assert!(delivered, "the delivery is told before the proof");
    assert_eq!(told.digest, picture(1).planes.digest());
    assert_eq!(stage.shop.screen(LabelId(1)).await.unwrap(), Some(picture(1).planes));
    stage.close().await;
}

async fn every_picture_has_one_outcome_over_a_lossy_line(over: Over) {
    let mut stage = Stage::open(Shop { labels: 40, loss: 0.1, ..Shop::new(over) }).await;
    stage.up().await;
    for number in 1..=40 {
        stage.order(StationOrder::Submit(picture(number)));
    }
    let mut settled = Vec::new();
    while settled.len() < 40 {
        let (number, outcome) = stage.outcome().await;
        assert_eq!(outcome, DELIVERED, "picture {number}");
        settled.push(number);
    }
    settled.sort_unstable();
    assert_eq!(settled, (1..=40).collect::<Vec<_>>());
    let counters = stage.shop.counters().await.unwrap();
    assert!(counters.frames_lost_down + counters.frames_lost_up > 0, "{counters:?}");
    stage.close().await;
}

async fn labels_obey_and_keep_what_is_sent_ahead(over: Over) {
    let mut stage = Stage::open(Shop::new(over)).await;
    stage.up().await;
    let ahead = Ahead { slot: 1, activate_at: Moment::from_secs(1_000_000) };
    stage.order(StationOrder::Stage(Box::new(picture(1)), ahead));
    assert_eq!(stage.outcome().await, (1, Outcome::Status(Status::Staged)));
    let kept = stage.wait_for(|event| match event {
        HeadEvent::Keeps { slots, .. } if !slots.is_empty() => Some(slots[0]),
        _ => None,
    });
    assert_eq!(kept.await.digest, picture(1).planes.digest());
    let colour = LightColour::new(2).unwrap();
    let flash = Action::Flash { colour, pattern: Pattern::Fast, seconds: 10 };
    let label = |number| vec![(TransferNumber(number), LabelId(1))];
    for (number, action) in [(2, flash), (3, Action::Drop { slot: 1 }), (4, Action::Ping)] {
        stage.order(StationOrder::Command(action, Lane::Interactive, label(number)));
        assert_eq!(stage.outcome().await, (number, DELIVERED));
    }
    assert_eq!(stage.shop.labels().await.unwrap()[0].light.unwrap().colour, colour);
    let credits = Credits { transfers_max: 3, bytes_max: 50_000 };
    stage.shop.set_credits(&front(), credits).await.unwrap();
    stage.order(StationOrder::Command(Action::Firmware, Lane::Interactive, label(5)));
    stage.wait_for(|event| matches!(event, HeadEvent::Firmware(..)).then_some(())).await;
    stage.close().await;
}

async fn a_restarted_station_leaves_everything_unknown_and_comes_back(over: Over) {
    let mut stage = Stage::open(Shop { labels: 2, ..Shop::new(over) }).await;
    assert_eq!(stage.up().await, 1);
    stage.shop.set_fault(LabelId(1), Some(Fault::Deaf)).await.unwrap().unwrap();
    stage.order(StationOrder::Submit(picture(1)));
    stage.order(StationOrder::Submit(picture(2)));
    assert_eq!(stage.outcome().await, (2, DELIVERED));
    stage.shop.reboot(&front()).await.unwrap();
    assert_eq!(stage.outcome().await, (1, Outcome::Lost));
    assert_eq!(stage.up().await, 2, "the epoch counts its starts");
    stage.shop.set_fault(LabelId(1), None).await.unwrap().unwrap();
    stage.order(StationOrder::Submit(Picture { number: TransferNumber(3), ..picture(1) }));
    assert_eq!(stage.outcome().await, (3, DELIVERED));
    stage.close().await;
}

async fn a_keyed_session_opens_with_the_key_and_with_no_other(over: Over) {
    let shop = Shop { station_key: Some(KEY), our_key: Some(KEY), loss: 0.1, ..Shop::new(over) };
    let mut stage = Stage::open(shop).await;
    stage.up().await;
    stage.order(StationOrder::Submit(picture(1)));
    assert_eq!(stage.outcome().await, (1, DELIVERED));
    assert_eq!(stage.station.counters().frames_forged, 0);
    stage.close().await;
    const OTHER: &str = "4c4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b";
    let refusals = [(Some(OTHER), Refusal::WrongKey), (None, Refusal::KeyRequired)];
    for (our_key, refusal) in refusals {
        let mut stage = Stage::open(Shop { our_key, ..shop }).await;
        let down = stage.wait_for(|event| match event {
            HeadEvent::Down(reason @ DownReason::Refused(_)) => Some(reason),
            HeadEvent::Up { .. } => panic!("it opened"),
            _ => None,
        });
        assert_eq!(down.await, DownReason::Refused(refusal));
        stage.wait_for(|event| matches!(event, HeadEvent::Down(_)).then_some(())).await;
        assert!(stage.station.counters().impostors > 0);
        stage.close().await;
    }
}

macro_rules! over {
    ($module:ident, $over:expr) => {
        mod $module {
            use super::Over;

            #[tokio::test]
            async fn a_picture_reaches_the_glass_and_is_proven() {
                super::a_picture_reaches_the_glass_and_is_proven($over).await;
            }

            #[tokio::test]
            async fn every_picture_has_one_outcome_over_a_lossy_line() {
                super::every_picture_has_one_outcome_over_a_lossy_line($over).await;
            }

            #[tokio::test]
            async fn labels_obey_and_keep_what_is_sent_ahead() {
                super::labels_obey_and_keep_what_is_sent_ahead($over).await;
            }

            #[tokio::test]
            async fn a_restarted_station_leaves_everything_unknown_and_comes_back() {
                super::a_restarted_station_leaves_everything_unknown_and_comes_back($over).await;
            }

            #[tokio::test]
            async fn a_keyed_session_opens_with_the_key_and_with_no_other() {
                super::a_keyed_session_opens_with_the_key_and_with_no_other($over).await;
            }
        }
    };
}

over!(memory, Over::Memory);
over!(tcp, Over::Tcp);
over!(dial_in, Over::DialIn);
over!(pty, Over::Pty);
over!(mqtt, Over::Mqtt);
over!(tls, Over::Tls);
over!(dial_in_tls, Over::DialInTls);
over!(mqtt_tls, Over::MqttTls);

#[tokio::test]
async fn a_station_with_another_certificate_is_not_spoken_to() {
    let mut stage = Stage::open(Shop { certificate: Whose::Another, ..Shop::new(Over::Tls) }).await;
    let down = stage.wait_for(|event| match event {
        HeadEvent::Down(reason) => Some(reason.to_string()),
        HeadEvent::Up { .. } => panic!("it opened"),
        _ => None,
    });
    let reason = down.await;
    assert!(reason.contains("certificate"), "{reason}");
    stage.close().await;
}

#[tokio::test]
async fn a_stranger_that_comes_in_is_turned_away_and_counted() {
    let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let reception = Reception::open("127.0.0.1:0", None, &tracker, shutdown.clone()).await.unwrap();
    let _expected = reception.expect("back".parse().unwrap());
    let mut turned_away = reception.turned_away();
    let mut config = BaseStationConfig::listening(front(), loopback());
    (config.listen, config.dial) = (None, Some(reception.address().to_string()));
    let serving = Serving::bind(config_of(Shop::new(Over::DialIn), config)).await.unwrap();
    let running = serving.run(clock(), shutdown.clone());
    tracker.spawn(async move { running.await.unwrap() });
    let counted = async {
        while reception.strangers() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, counted).await.expect("it is counted, each time");
    assert_eq!(turned_away.try_recv(), Ok(front()), "and whoever watches the port is told");
    shutdown.cancel();
    tracker.close();
    timeout(PATIENCE, tracker.wait()).await.expect("every task ends");
}

/// Mosquitto on loopback: a stock listener, and one with TLS.
struct Broker {
    ports: [u16; 2],
    process: Child,
}

impl Broker {
    /// Starts it, again on other ports if somebody was faster.
    async fn start(dir: &Path, certificate: &Certificate) -> Self {
        let path = |name: &str| dir.join(name).display().to_string();
        std::fs::write(path("broker.pem"), &certificate.certificate).unwrap();
        std::fs::write(path("broker.key"), &certificate.key).unwrap();
        for _ in 0..10 {
            let ports = [0; 2].map(|_| TcpListener::bind(loopback()).unwrap().local_addr().unwrap().port());
            let [stock, secure] = ports;
            let (certificate, key) = (path("broker.pem"), path("broker.key"));
            let config = format!(
                "listener {stock} 127.0.0.1\nlistener {secure} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n\
                 allow_anonymous true\nuser root\n"
            );
            std::fs::write(path("mosquitto.conf"), config).unwrap();
            let mut command = Command::new(program());
            let process = command.arg("-c").arg(path("mosquitto.conf")).stdout(Stdio::null()).stderr(Stdio::null());
            let mut broker = Self { ports, process: process.spawn().expect("mosquitto is installed") };
            let listening = async {
                while TcpStream::connect((Ipv4Addr::LOCALHOST, secure)).await.is_err() {
                    if broker.process.try_wait().unwrap().is_some() {
                        return false;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                true
            };
            if timeout(PATIENCE, listening).await.expect("mosquitto starts or ends") {
                return broker;
            }
        }
        panic!("ten times two free ports were taken by others");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian puts it where only root's path leads.
fn program() -> &'static str {
    let debian = "/usr/sbin/mosquitto";
    if Path::new(debian).exists() { debian } else { "mosquitto" }
}
