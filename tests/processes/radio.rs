//! `gondola run` on the serial line of a simulated radio of OpenEPaperLink: from a published price to the glass of a label
//! and the proof of it.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gondola_protocol::{LabelId, Moment};
use gondola_simulator::openepaperlink::serve::Port;
use gondola_simulator::openepaperlink::{Model, Site, SiteOptions, TagOptions};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, product};
use crate::process::eventually;
use crate::shop::Controller;

const SKU: &str = "1101";

/// M3 of 2.9 inches, and M2 of the same.
const LABELS: [(u64, u8); 2] = [(0x0000_021B_6D40_3B1E, 0x33), (0x0000_021B_6D40_3B1F, 0x01)];

#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Moment {
        Moment::from_secs(1_000) + self.0.elapsed()
    }
}

/// The simulated hardware, with somebody who presses buttons so that nobody has to wait for sleepers.
struct Hardware {
    site: Arc<Mutex<Site>>,
    clock: Clock,
}

impl Hardware {
    fn press(&self, label: u64) {
        self.site.lock().unwrap().press(self.clock.now(), LabelId(label));
    }

    fn digest(&self, label: u64) -> String {
        self.site.lock().unwrap().label(LabelId(label)).unwrap().planes.digest().to_string()
    }
}

#[expect(clippy::disallowed_methods, reason = "the simulated hardware runs in real time")]
fn plug_in() -> (Hardware, String) {
    let clock = Clock(Instant::now());
    let options = SiteOptions { seed: 1, loss: 0.02, radio: Default::default() };
    let mut site = Site::new(clock.now(), options);
    for (label, model) in LABELS {
        let model = Model::of(model).unwrap();
        let options = TagOptions { label: LabelId(label), model, firmware: 0x29, fault: None };
        site.add(clock.now(), options, Duration::from_hours(9));
    }
    let (site, port) = (Arc::new(Mutex::new(site)), Port::open().unwrap());
    let (path, shared) = (port.path(), Arc::clone(&site));
    let running = async move { port.run(&shared, || clock.now(), CancellationToken::new()).await };
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(running);
    (Hardware { site, clock }, path)
}

/// Presses a label's button now and then, until its state is as wanted.
async fn presses_until(
    hardware: &Hardware,
    controller: &Controller,
    label: u64,
    path: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let mut looks = 0_u32;
    eventually(&format!("label {label:X}"), async || {
        // Every ten seconds: a label that is told to come in some seconds does so.
        if looks.is_multiple_of(400) {
            hardware.press(label);
        }
        looks += 1;
        let found = controller.rest.find(path).await;
        if is_so(&found) { Ok(found) } else { Err(found.to_string()) }
    })
    .await
}

#[tokio::test]
async fn a_price_reaches_labels_that_anyone_can_buy_and_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::stock(dir.path()).await;
    let (hardware, path) = plug_in();
    let configuration = format!(
        "data_dir = '{}'\n[web]\nlisten = '127.0.0.1:0'\n[feed]\nbroker = 'mqtt://127.0.0.1:{}'\n[[store]]\n\
         id = 'hz-001'\nname = '杭州解百店'\nformat = 'community'\ntime_zone = 'Asia/Shanghai'\ncurrency = 'CNY'\n\
         market = 'CN'\n[[store.base_station]]\nid = 'front'\ndriver = 'openepaperlink'\nchannel = 15\n\
         transport = {{ serial = '{path}' }}\n",
        dir.path().join("gondola").display(),
        broker.port,
    );
    fs::write(dir.path().join("gondola.toml"), configuration).unwrap();
    let mut controller = Controller::start(&dir).await;
    controller.process.logs("base station is up").await;
    broker.publish_base(&[product(SKU, 1, "59.90")]);
    for (label, model) in LABELS {
        let (id, panel) = (format!("{label:016X}"), Model::of(model).unwrap().panel());
        let items = json!({ "items": [{ "label": id, "panel": panel }] });
        let (status, answer) = controller.rest.post("labels", &items).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
        let items = json!({ "items": [{ "label": id, "skus": [SKU], "allow_unknown": true }] });
        let (status, answer) = controller.rest.post("bindings", &items).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
        let path = format!("labels/{id}");
        let taken = presses_until(&hardware, &controller, label, &path, |state| {
            state["health"] == "delivered" || state["health"] == "in_sync"
        })
        .await;
        assert_eq!(taken["desired"]["digest"], hardware.digest(label), "{taken}");
        assert_eq!((&taken["battery_mv"], &taken["base_station"]), (&json!(2_950), &json!("front")));
    }
    // An M2 is asked for its proof as soon as it comes again; an M3 only when the picture has stood for a while.
    let (label, _) = LABELS[1];
    let path = format!("labels/{label:016X}");
    let proven = presses_until(&hardware, &controller, label, &path, |state| state["health"] == "in_sync").await;
    assert_eq!(
        (&proven["reported"]["evidence"], &proven["reported"]["digest"]),
        (&json!("proven"), &json!(hardware.digest(label)))
    );
}
