//! A whole controller in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use gondola::accounts::{Permit, Role};
use gondola::catalog::wire::{self, Facet};
use gondola::config::Config;
use gondola::controller::message::{LabelRequest, UnknownSkus};
use gondola::fleet::label::Label;
use gondola::journal::entry::Position;
use gondola::run::System;
use gondola::run::clock::Clock;
use gondola::run::store::StoreHandle;
use gondola::run::telemetry::Telemetry;
use gondola::template::Templates;
use gondola_protocol::LabelId;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::outside::Outside;

/// Requests that wait for one sync of the journal.
const AT_ONCE: usize = 200;

/// Rows of one feed message.
const ROWS: usize = 1_000;

/// Visitors that read events.
const TOKENS: usize = 4;

/// How often it is looked whether a wave is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it is said how far one is, in looks: every 5 s.
const LOOKS_PER_LINE: usize = 100;

pub(super) struct Site {
    system: System,
    store: StoreHandle,
    /// One visitor has places for some event streams only.
    tokens: Vec<String>,
    labels: usize,
    revision: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Site {
    /// A large store whose labels nobody hears.
    pub(super) async fn without_stations(labels: usize) -> Self {
        Self::start("large", labels, &[]).await
    }

    /// A store with a simulated shop, in which every label agrees.
    pub(super) async fn with_shop(labels: usize) -> (Self, Outside) {
        let (shop, stations) = Outside::shop(labels);
        let site = Self::start("wave", labels, &stations).await;
        site.settled().await;
        (site, shop)
    }

    async fn start(store: &str, labels: usize, stations: &[(String, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let station = |(id, address): &(String, String)| {
            format!(
                "[[store.base_station]]\nid = \"{id}\"\ndriver = \"shelflink\"\ntransport = {{ tcp = \"{address}\" }}\n"
            )
        };
        let text = format!(
            "data_dir = {:?}\n[web]\nlisten = \"127.0.0.1:0\"\n[feed]\nbroker = \"embedded\"\n[[store]]\nid = \"{store}\"\n\
             name = \"Store\"\nformat = \"flagship\"\ntime_zone = \"Asia/Shanghai\"\ncurrency = \"CNY\"\nmarket = \"CN\"\n{}",
            dir.path().join("data"),
            stations.iter().map(station).collect::<String>(),
        );
        let config: Config = toml::from_str(&text).unwrap();
        let templates = Arc::new(Templates::embedded());
        let system = System::start(&config, templates, Clock::start(), &Telemetry::silent()).await.unwrap();
        let permit = Permit::new(Role::Admin, std::collections::BTreeSet::new()).unwrap();
        let mut tokens = Vec::new();
        for number in 0..TOKENS {
            let (name, permit) = (format!("bench {number}"), permit.clone());
            tokens.push(system.accounts.create_token(name, permit, None, None).await.unwrap().1);
        }
        let store = system.stores[0].clone();
        let site = Self { system, store, tokens, labels, revision: AtomicU64::new(0), _dir: dir };
        site.publish().await;
        site.bind().await;
        site
    }

    /// Every product with a new price.
    async fn publish(&self) {
        let revision = self.revision.fetch_add(1, Ordering::Relaxed) + 1;
        let numbers: Vec<usize> = (0..self.labels).collect();
        for some in numbers.chunks(ROWS) {
            let rows: Vec<_> = some.iter().map(|number| product(*number, revision)).collect();
            let parsed = wire::parse(Facet::Base, json!(rows).to_string().as_bytes());
            assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
            self.store.feed(None, Facet::Base, parsed).await.unwrap();
        }
    }

    async fn bind(&self) {
        let one = async |number: usize| {
            let label = LabelId(number as u64 + 1);
            let position = Position {
                aisle: (number / 500 + 1).to_string().into(),
                shelf: "2".into(),
                slot: number.to_string().into(),
            };
            let register = LabelRequest::Register { label, panel: "bwr-296x128".parse().unwrap(), position };
            self.store.request(register).await.unwrap();
            let skus = vec![number.to_string().parse().unwrap()];
            let bind = LabelRequest::Bind { label, skus, template: None, unknown: UnknownSkus::Refuse };
            self.store.request(bind).await.unwrap();
        };
        stream::iter(0..self.labels).map(one).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }

    /// Until every glass is proven to show what was published last.
    async fn settled(&self) {
        let revision = self.revision.load(Ordering::Relaxed);
        for looks in 1.. {
            let behind = self.store.read(move |controller, _| {
                let shows = |label: &Label| {
                    let content = label.reported.as_ref().and_then(|reported| reported.content.as_ref());
                    content.is_some_and(|content| content.shown.iter().all(|it| it.revision == Some(revision)))
                };
                controller.fleet().labels().filter(|label| !shows(label)).count()
            });
            let behind = behind.await.unwrap();
            if behind == 0 {
                return;
            }
            if looks % LOOKS_PER_LINE == 0 {
                println!("prices of revision {revision}: {behind} of {} glasses to go", self.labels);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Changes every price, waits until every glass is proven, and answers the processor time of that in seconds.
    pub(super) async fn wave(&self) -> f64 {
        let before = processor_seconds();
        self.publish().await;
        self.settled().await;
        processor_seconds() - before
    }

    pub(super) async fn readers(&self, count: usize) -> Outside {
        let (address, tokens) = (self.system.web.to_string(), self.tokens.join(","));
        tokio::task::spawn_blocking(move || Outside::readers(count, &address, &tokens)).await.unwrap()
    }

    pub(super) async fn http(&self) -> Http {
        let stream = TcpStream::connect(self.system.web).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Http { stream: BufReader::new(stream), address: self.system.web, token: self.tokens[0].clone() }
    }

    pub(super) async fn stop(self) {
        assert!(self.system.stop().await);
    }
}

fn product(number: usize, revision: u64) -> serde_json::Value {
    let price = format!("{}.{:02}", 10 + number % 90, revision % 100);
    json!({"sku": number.to_string(), "revision": revision, "name": format!("Product {number}"), "spec": "500g",
        "unit": "piece", "price": price})
}

/// Processor time of this process, all threads together.
fn processor_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may hold anything: user and system time are the 12th and 13th, in hundredths of a second.
    let (_, behind) = told.rsplit_once(')').unwrap();
    let fields: Vec<f64> = behind.split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap()).collect();
    fields.iter().sum::<f64>() / 100.0
}

/// One connection that is kept, as a browser keeps it.
pub(super) struct Http {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    token: String,
}

impl Http {
    /// How long a request takes until its answer is here whole.
    pub(super) async fn get(&mut self, path: &str) -> Duration {
        let ask =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n", self.address, self.token);
        let clock = Clock::start();
        let begun = clock.now();
        self.stream.write_all(ask.as_bytes()).await.unwrap();
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line).await.unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{path}: {line}");
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line).await.unwrap();
            if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = told.trim().parse().unwrap();
            }
        }
        assert!(length > 0, "{path} says how long it is");
        self.stream.read_exact(&mut vec![0; length]).await.unwrap();
        clock.now().since(begun)
    }
}
