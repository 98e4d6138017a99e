//! A whole shop of processes: broker, simulated shop and controller, and the questions that tests ask of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::broker::Broker;
use crate::process::{GONDOLA, Process, eventually};

/// The panel of every label: black and white, because its refresh is the shortest.
pub(crate) const PANEL: &str = "bw-250x122";

/// What is simulated.
pub(crate) struct ShopOptions {
    /// Decides every chance on the simulated radio.
    pub(crate) seed: u64,
    /// How many labels there are, from address 1 on.
    pub(crate) labels: u64,
    /// How long they sleep.
    pub(crate) wake: &'static str,
}

/// Three processes. The controller can be killed and started again on the same data directory.
pub(crate) struct Shop {
    pub(crate) controller: Controller,
    pub(crate) simulator: Simulator,
    pub(crate) broker: Broker,
    pub(crate) dir: TempDir,
}

impl Shop {
    /// Starts everything, and waits until the feed is subscribed.
    pub(crate) async fn open(options: ShopOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker::stock(dir.path()).await;
        Self::open_at(broker, dir, options).await
    }

    /// The same with a broker that runs already, whose files are in `dir`.
    pub(crate) async fn open_at(broker: Broker, dir: TempDir, options: ShopOptions) -> Self {
        let simulator = Simulator::start(&options, &dir).await;
        fs::write(dir.path().join("gondola.toml"), configuration(&broker, &simulator, &dir)).unwrap();
        let controller = Controller::start(&dir).await;
        Self { controller, simulator, broker, dir }
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.dir.path().join("gondola.toml")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("gondola")
    }

    /// Starts a controller on the same data directory.
    pub(crate) async fn restart(&mut self) {
        self.controller = Controller::start(&self.dir).await;
    }

    /// Registers labels, and binds each to a product that may not be known yet.
    pub(crate) async fn bind(&self, bindings: &BTreeMap<u64, String>) {
        let label = |label: &u64| json!({ "label": address(*label), "panel": PANEL });
        let binding =
            |(label, sku): (&u64, &String)| json!({ "label": address(*label), "skus": [sku], "allow_unknown": true });
        self.apply("labels", bindings.keys().map(label).collect()).await;
        self.apply("bindings", bindings.iter().map(binding).collect()).await;
    }

    /// Sends a batch of which every item is news.
    async fn apply(&self, path: &str, items: Vec<Value>) {
        let (status, answer) = self.controller.rest.post(path, &json!({ "items": items })).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
        let results = answer["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result["status"] == "applied"), "{answer}");
    }
}

/// A label's address as it is written.
pub(crate) fn address(label: u64) -> String {
    format!("{label:016X}")
}

/// `gondola.toml`: TOML's literal strings, so that no path needs escapes.
fn configuration(broker: &Broker, simulator: &Simulator, dir: &TempDir) -> String {
    format!(
        "data_dir = '{data_dir}'\n\
         [web]\n\
         listen = '127.0.0.1:0'\n\
         [feed]\n\
         broker = 'mqtt://127.0.0.1:{port}'\n\
         [[store]]\n\
         id = 'hz-001'\n\
         name = '杭州解百店'\n\
         format = 'community'\n\
         time_zone = 'Asia/Shanghai'\n\
         currency = 'CNY'\n\
         market = 'CN'\n\
         [[store.base_station]]\n\
         id = 'front'\n\
         driver = 'shelflink'\n\
         transport = {{ tcp = '{station}' }}\n",
        data_dir = dir.path().join("gondola").display(),
        port = broker.port,
        station = simulator.station,
    )
}

/// `gondola simulator serve`
pub(crate) struct Simulator {
    /// Where its base station listens.
    station: String,
    control: String,
    client: Client,
    _process: Process,
}

impl Simulator {
    async fn start(ShopOptions { seed, labels, wake }: &ShopOptions, dir: &TempDir) -> Self {
        let file = dir.path().join("sim.toml");
        let configuration = format!(
            "seed = {seed}\n\
             control = '127.0.0.1:0'\n\
             [[base_station]]\n\
             id = 'front'\n\
             listen = '127.0.0.1:0'\n\
             [[labels]]\n\
             first = '{first}'\n\
             count = {labels}\n\
             panel = '{PANEL}'\n\
             wake = '{wake}'\n",
            first = address(1),
        );
        fs::write(&file, configuration).unwrap();
        let command = &mut Command::new(GONDOLA);
        let command = command.args(["simulator", "serve", "--config"]).arg(&file);
        let mut process = Process::start("simulator", command, dir.path());
        let station = process.logged_value("base station is listening", "address").await;
        let control = process.logged_value("control API is listening", "address").await;
        Self { station, control: format!("http://{control}"), client: client(), _process: process }
    }

    /// Every label.
    pub(crate) async fn labels(&self) -> Vec<Value> {
        let answer = self.client.get(format!("{}/labels", self.control)).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// What is on a label's glass, as a PNG.
    pub(crate) async fn screen(&self, label: u64) -> Vec<u8> {
        let url = format!("{}/labels/{}/screen.png", self.control, address(label));
        let answer = self.client.get(url).send().await.unwrap().error_for_status().unwrap();
        answer.bytes().await.unwrap().to_vec()
    }

    /// Waits until every label has woken `times` more.
    pub(crate) async fn wakes(&self, times: u64) {
        let wakes =
            async || self.labels().await.iter().map(|label| label["wakes"].as_u64().unwrap()).collect::<Vec<_>>();
        let before = wakes().await;
        eventually(&format!("{times} wakes of every label"), async || {
            let now = wakes().await;
            let woken = before.iter().zip(&now).all(|(before, now)| now - before >= times);
            woken.then_some(()).ok_or_else(|| format!("{before:?}, then {now:?}"))
        })
        .await;
    }
}

/// `gondola run`
pub(crate) struct Controller {
    pub(crate) process: Process,
    pub(crate) rest: Rest,
}

impl Controller {
    /// Starts one with the configuration in `dir`, and waits until it is ready.
    pub(crate) async fn start(dir: &TempDir) -> Self {
        let token = token(dir).await;
        let command = &mut Command::new(GONDOLA);
        let command = command.args(["run", "--config"]).arg(dir.path().join("gondola.toml"));
        let mut process = Process::start("controller", command, dir.path());
        let line = process.logs("the dashboard is at ").await;
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let rest = Rest { base: url.to_owned(), client: client_with(&token) };
        let controller = Self { process, rest };
        eventually("a controller that is ready and subscribed", async || {
            let ready = controller.rest.client.get(format!("{}/readyz", controller.rest.base)).send().await;
            let ready = ready.map_err(|error| error.to_string())?.status();
            let connected = controller.rest.metric("gondola_feed_connected").await;
            (ready == StatusCode::OK && connected > 0).then_some(()).ok_or_else(|| format!("{ready}, {connected}"))
        })
        .await;
        controller
    }
}

/// The controller's REST interface, for the only store.
#[derive(Clone)]
pub(crate) struct Rest {
    base: String,
    client: Client,
}

/// Asks again as long as it is told that this is too often: nothing was done then.
async fn patiently(request: RequestBuilder) -> Result<Response, reqwest::Error> {
    loop {
        let answer = request.try_clone().expect("the body is no stream").send().await?;
        if answer.status() != StatusCode::TOO_MANY_REQUESTS {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Rest {
    /// Where it listens, as `host:port`.
    pub(crate) fn address(&self) -> String {
        self.base.trim_start_matches("http://").to_owned()
    }

    fn url(&self, path: &str) -> String {
        let slash = if path.is_empty() { "" } else { "/" };
        format!("{}/v1/stores/hz-001{slash}{path}", self.base)
    }

    /// Reads something that is there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = patiently(self.client.get(self.url(path))).await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Reads something that may not be there yet, or the problem that it is not.
    pub(crate) async fn find(&self, path: &str) -> Value {
        patiently(self.client.get(self.url(path))).await.unwrap().json().await.unwrap()
    }

    /// Writes something. The controller may be killed meanwhile.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value), reqwest::Error> {
        let answer = patiently(self.client.post(self.url(path)).json(body)).await?;
        Ok((answer.status(), answer.json().await?))
    }

    /// A metric's value, summed over its labels unless `name` gives them; 0 before it is first counted.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let answer = patiently(self.client.get(format!("{}/metrics", self.base))).await.unwrap();
        let text = answer.error_for_status().unwrap().text().await.unwrap();
        let series =
            text.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with([' ', '{']));
        series.map(|rest| rest.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// Waits until a metric is at least `value`.
    pub(crate) async fn metric_reaches(&self, name: &str, value: u64) {
        eventually(&format!("{name} at {value}"), async || match self.metric(name).await {
            reached if reached >= value => Ok(()),
            below => Err(below.to_string()),
        })
        .await;
    }

    /// Waits until this many labels are in sync.
    pub(crate) async fn in_sync(&self, labels: u64) {
        eventually(&format!("{labels} labels in sync"), async || {
            let store = self.get("").await;
            (store["in_sync"].as_u64() >= Some(labels)).then_some(()).ok_or_else(|| store.to_string())
        })
        .await;
    }
}

/// A token for everything: made before the first start, kept beside the configuration.
async fn token(dir: &TempDir) -> String {
    let (file, config) = (dir.path().join("token"), dir.path().join("gondola.toml"));
    if let Ok(token) = fs::read_to_string(&file) {
        return token;
    }
    let arguments = ["token", "create", "tests", "--role", "admin", "--config", config.to_str().unwrap()];
    let made = Process::gondola(&arguments, dir.path()).await.json(0);
    let token = made["token"].as_str().unwrap().to_owned();
    fs::write(file, &token).unwrap();
    token
}

fn client_with(token: &str) -> Client {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    bearer.set_sensitive(true);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    Client::builder().no_proxy().default_headers(headers).build().unwrap()
}

/// A client for loopback: whatever proxy the machine has is not for it.
fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}
