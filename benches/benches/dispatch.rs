//! One controller, 100 base stations over TCP, 100,000 labels: how many transfers a second it gets acknowledged, how
//! long a picture takes from the decision to send it to its frame at the station, what a label costs in memory, and
//! whether a station that stops reading slows the others.
//!
//! ```sh
//! cargo bench -p gondola-bench --bench dispatch                     # 100 stations, 100,000 labels
//! cargo bench -p gondola-bench --bench dispatch -- --labels 10000
//! ```
//!
//! The stations are scripted: they take what comes, call it delivered at once, and report its digest as shown. They
//! run in this process, so what they cost is in the figures. Journal, view and pictures are on disk, in a temporary
//! directory; pictures are drawn, a hundred labels to a product.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use gondola::catalog::sku::Sku;
use gondola::catalog::wire::{self, Facet};
use gondola::config::Config;
use gondola::controller::message::{LabelRequest, UnknownSkus};
use gondola::journal::entry::Position;
use gondola::run::System;
use gondola::run::clock::Clock;
use gondola::run::store::StoreHandle;
use gondola::run::telemetry::Telemetry;
use gondola::template::Templates;
use gondola_bench::{per_second, resident_mib};
use gondola_protocol::frame::{self, FrameDecoder};
use gondola_protocol::message::{CheckIn, Downlink, Frame, Reason, Status, Transfer, Uplink, Welcome};
use gondola_protocol::{Edition, LabelId, Millivolts, Moment, Panel, Planes, SequenceNumber, SessionId, StationId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Base stations.
const STATIONS: usize = 100;

/// Labels unless told otherwise.
const LABELS: usize = 100_000;

/// Labels that show one product.
const LABELS_PER_PRODUCT: usize = 100;

/// Requests that wait for the journal together.
const REQUESTS_AT_ONCE: usize = 256;

/// A wave in which nothing more is delivered for so long is over.
const STALL: Duration = Duration::from_secs(30);

/// What the stations have seen, shared with them.
struct Air {
    clock: Clock,
    /// When each label's last frame arrived, microseconds since the Unix epoch, by its number.
    arrived_us: Vec<AtomicU64>,
    delivered: AtomicUsize,
    /// Whether station 0 reads.
    stalled: AtomicBool,
    /// Closed once every label is registered: the controller remembers only so many that it does not know.
    opens: Semaphore,
}

fn main() {
    let labels = argument("--labels").unwrap_or(LABELS);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(bench(labels));
    // Render threads and the embedded broker end with the process.
    std::process::exit(0);
}

fn argument(name: &str) -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

async fn bench(labels: usize) {
    let clock = Clock::start();
    let air = Arc::new(Air {
        clock,
        arrived_us: (0..labels).map(|_| AtomicU64::new(0)).collect(),
        delivered: AtomicUsize::new(0),
        stalled: AtomicBool::new(false),
        opens: Semaphore::new(0),
    });
    let addresses = stations(&air, labels).await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = Config::parse(&configuration(dir.path(), &addresses), "bench").expect("a configuration");
    let templates = Arc::new(Templates::embedded());
    let system = System::start(&config, templates, clock, &Telemetry::silent()).await.expect("a controller");
    let store = system.stores[0].clone();
    let before = resident_mib();
    feed(&store, labels, 1).await;
    register(&store, labels).await;
    air.opens.close();
    wave(&air, labels, 0).await;
    let bytes_per_label =
        before.zip(resident_mib()).map(|(before, after)| (after - before) * 1_048_576.0 / count(labels));

    let took = timed_wave(&air, &store, labels, 2).await;
    let transfers_per_s = per_second(labels, took);
    let plan_to_frame_ms = plan_to_frame(&air, &store).await;
    println!("{transfers_per_s:.0} transfers acknowledged a second, p99 from plan to frame {plan_to_frame_ms:.1} ms");

    air.stalled.store(true, Ordering::SeqCst);
    let others = labels - labels.div_ceil(STATIONS);
    let stalled_took = timed_wave(&air, &store, others, 3).await;
    let stalled_station_ratio = per_second(others, stalled_took) / transfers_per_s;
    println!("with one station that stops reading, the others get {stalled_station_ratio:.2} of that");
    println!(
        "{}",
        serde_json::json!({
            "labels": labels, "stations": STATIONS,
            "transfers_per_s": transfers_per_s.round(), "plan_to_frame_p99_ms": plan_to_frame_ms,
            "bytes_per_label": bytes_per_label.map(f64::round), "stalled_station_ratio": stalled_station_ratio,
        })
    );
}

fn configuration(dir: &std::path::Path, addresses: &[SocketAddr]) -> String {
    use std::fmt::Write;
    let mut text = format!(
        "data_dir = {dir:?}\n[web]\nlisten = \"127.0.0.1:0\"\n[feed]\nbroker = \"embedded\"\n[[store]]\nid = \"bench\"\n\
         name = \"Bench\"\nformat = \"flagship\"\ntime_zone = \"Asia/Shanghai\"\ncurrency = \"CNY\"\nmarket = \"CN\"\n"
    );
    for (number, address) in addresses.iter().enumerate() {
        write!(
            text,
            "[[store.base_station]]\nid = \"{}\"\ndriver = \"shelflink\"\ntransport = {{ tcp = \"{address}\" }}\n",
            station(number)
        )
        .expect("a string takes everything");
    }
    text
}

/// Prices of a revision for every product.
async fn feed(store: &StoreHandle, labels: usize, revision: u64) {
    let products: Vec<serde_json::Value> = (0..labels.div_ceil(LABELS_PER_PRODUCT))
        .map(|number| {
            serde_json::json!({
                "sku": sku(number).as_str(), "revision": revision, "name": format!("海盐太妃糖 {number}"), "spec": "500g/袋",
                "unit": "袋", "barcode": "6901234567892", "price": format!("{}.{:02}", 10 + revision, number % 100),
                "content": { "amount": "500", "unit": "g" },
            })
        })
        .collect();
    for products in products.chunks(1_000) {
        let payload = serde_json::to_vec(products).expect("JSON");
        let parsed = wire::parse(Facet::Base, &payload);
        assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
        store.feed(None, Facet::Base, parsed).await.expect("a store");
    }
}

async fn register(store: &StoreHandle, labels: usize) {
    let position = || Position { aisle: "1".into(), shelf: "1".into(), slot: "1".into() };
    let all: Vec<usize> = (0..labels).collect();
    for some in all.chunks(REQUESTS_AT_ONCE) {
        let tasks = some.iter().map(|number| {
            let (store, label) = (store.clone(), label(*number));
            let (position, skus) = (position(), vec![sku(number / LABELS_PER_PRODUCT)]);
            async move {
                let registered = store.request(LabelRequest::Register { label, panel: panel(), position });
                registered.await.expect("a registration");
                let unknown = UnknownSkus::Refuse;
                store.request(LabelRequest::Bind { label, skus, template: None, unknown }).await.expect("a binding");
            }
        });
        futures_util::future::join_all(tasks).await;
    }
}

/// Waits until so many labels have their picture, and answers when the last came.
async fn wave(air: &Air, labels: usize, from: usize) -> Moment {
    let (mut last, mut seen) = (air.clock.now(), from);
    loop {
        let delivered = air.delivered.load(Ordering::SeqCst);
        if delivered != seen {
            (last, seen) = (air.clock.now(), delivered);
        }
        if delivered >= from + labels {
            return last;
        }
        assert!(air.clock.now().since(last) < STALL, "{} of {labels} pictures came", delivered - from);
        air.clock.sleep_until(Some(air.clock.now() + Duration::from_millis(5))).await;
    }
}

/// How long it takes from a change of every price until so many labels have their picture.
async fn timed_wave(air: &Air, store: &StoreHandle, labels: usize, revision: u64) -> Duration {
    let from = air.delivered.load(Ordering::SeqCst);
    let began = air.clock.now();
    feed(store, air.arrived_us.len(), revision).await;
    wave(air, labels, from).await.since(began)
}

/// The 99th percentile, in milliseconds, of what lies between a picture's hand-over and its frame at the station.
async fn plan_to_frame(air: &Air, store: &StoreHandle) -> f64 {
    let sent = store.read(|controller, _| {
        controller.fleet().labels().filter_map(|label| Some((label.id, label.sent_at?))).collect::<Vec<_>>()
    });
    let arrived = |label: LabelId| Moment::from_micros(air.arrived_us[number_of(label)].load(Ordering::SeqCst));
    let mut spans: Vec<Duration> =
        sent.await.expect("a store").into_iter().map(|(label, sent)| arrived(label).since(sent)).collect();
    spans.sort();
    spans[spans.len() * 99 / 100].as_secs_f64() * 1_000.0
}

/// Starts every station, and answers their addresses.
async fn stations(air: &Arc<Air>, labels: usize) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for number in 0..STATIONS {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        addresses.push(listener.local_addr().expect("an address"));
        let air = Arc::clone(air);
        #[expect(clippy::disallowed_methods, reason = "it ends with the process")]
        tokio::spawn(async move {
            let opened = air.opens.acquire().await;
            assert!(opened.is_err(), "it has no permits");
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that broke is made again.
                let _ = Scripted::new(stream, Arc::clone(&air), number).serve(labels).await;
            }
        });
    }
    addresses
}

/// A station that takes everything and calls it shown.
struct Scripted {
    stream: TcpStream,
    air: Arc<Air>,
    number: usize,
    session: SessionId,
    /// The next data frame from the controller, and to it.
    expected: u32,
    next: u32,
    out: Vec<u8>,
}

impl Scripted {
    fn new(stream: TcpStream, air: Arc<Air>, number: usize) -> Self {
        Self { stream, air, number, session: SessionId(0), expected: 0, next: 0, out: Vec::new() }
    }

    async fn serve(mut self, labels: usize) -> std::io::Result<()> {
        self.stream.set_nodelay(true)?;
        let (mut decoder, mut buffer) = (FrameDecoder::default(), vec![0; 64 * 1024]);
        loop {
            if self.number == 0 && self.air.stalled.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let length = self.stream.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            let mut frames = Vec::new();
            decoder.read(&buffer[..length], |payload| frames.extend(payload.ok()));
            for frame in frames.iter().filter_map(|payload| Frame::decode(payload).ok()) {
                self.handle(frame, labels);
            }
            self.stream.write_all(&std::mem::take(&mut self.out)).await?;
        }
    }

    fn handle(&mut self, frame: Frame, labels: usize) {
        match frame {
            Frame::Hello(hello) => {
                (self.session, self.expected, self.next) = (hello.session, 0, 0);
                self.send(&Frame::Welcome(self.welcome()));
                let own: Vec<usize> = (self.number..labels).step_by(STATIONS).collect();
                for some in own.chunks(512) {
                    let white = Planes::white(panel()).digest();
                    let boot = |number: &usize| check_in(label(*number), Reason::Boot, Edition(0), white);
                    self.say(&Uplink::CheckIns(some.iter().map(boot).collect()));
                }
            }
            Frame::Data { session, sequence, body } => {
                let is_next = sequence.0 == self.expected;
                self.expected += u32::from(is_next);
                self.send(&Frame::Ack { session, next: SequenceNumber(self.expected) });
                if let (true, Ok(Downlink::Batch(transfers))) = (is_next, Downlink::decode(&body)) {
                    self.take(&transfers);
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, transfers: &[Transfer]) {
        let now = self.air.clock.now().as_micros();
        for transfer in transfers {
            self.air.arrived_us[number_of(transfer.label)].store(now, Ordering::SeqCst);
        }
        let shown =
            |transfer: &Transfer| check_in(transfer.label, Reason::Displayed, transfer.edition, transfer.digest);
        self.say(&Uplink::Statuses(transfers.iter().map(|transfer| (transfer.number, Status::Delivered)).collect()));
        self.say(&Uplink::CheckIns(transfers.iter().map(shown).collect()));
        self.air.delivered.fetch_add(transfers.len(), Ordering::SeqCst);
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            session: self.session,
            version: 1,
            station: station(self.number),
            epoch: 1,
            encodings: 0b11,
            window: 8,
            payload_max: 98_304,
            transfers_max: 256,
            bytes_max: 4 << 20,
        }
    }

    /// The line loses nothing, so nothing is kept to be said again.
    fn say(&mut self, message: &Uplink) {
        let (session, sequence) = (self.session, SequenceNumber(self.next));
        self.next += 1;
        self.send(&Frame::Data { session, sequence, body: message.encode() });
    }

    fn send(&mut self, frame: &Frame) {
        frame::encode(&frame.encode(), &mut self.out);
    }
}

fn check_in(label: LabelId, reason: Reason, edition: Edition, digest: gondola_protocol::Digest) -> CheckIn {
    CheckIn {
        label,
        panel: panel(),
        reason,
        edition,
        digest,
        battery_mv: Millivolts(3_000),
        rssi_dbm: -60,
        temperature_c: 20,
        firmware: 1,
    }
}

fn panel() -> Panel {
    "bwr-296x128".parse().expect("a panel")
}

fn station(number: usize) -> StationId {
    format!("station-{number}").parse().expect("a station's name")
}

fn sku(number: usize) -> Sku {
    format!("{number:06}").parse().expect("a sku")
}

fn label(number: usize) -> LabelId {
    LabelId(number as u64 + 1)
}

fn number_of(label: LabelId) -> usize {
    usize::try_from(label.0 - 1).expect("a label's number")
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}
