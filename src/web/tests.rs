//! The web over real HTTP, on running stores.

mod access;
mod alerts;
mod disk;
mod document;
mod limits;
pub(crate) mod shop;
mod sources;
mod templates;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::transport::TlsServer;
use gondola_protocol::message::Reason;
use gondola_protocol::{Edition, LabelId, Panel, Planes};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{StoreInfo, Way, Web, router, serve};
use crate::accounts::{Permit, Role};
use crate::run::accounts::AccountsHandle;
use crate::run::clock::Clock;
use crate::run::templates::TemplateLibrary;
use crate::template::Templates;
use shop::{Says, TestShop};

/// Longest wait for an event, and for the end of everything.
const WAIT_MAX: Duration = Duration::from_secs(20);

const LABEL: LabelId = LabelId(0x0000_021B_6D40_3B1E);

const PISTACHIOS: &str = r#"{"sku":"1101","revision":7,"name":"加州开心果","spec":"500g/袋","unit":"袋","price":"59.90",
    "barcode":"6901234567892","content":{"amount":"500","unit":"g"},"promotions":[{"promotion_id":"P-88","revision":3,
    "skus":["1101"],"kind":"special_price","price":"49.90","start":"2026-11-25T00:00:00+08:00",
    "end":"2026-11-28T00:00:00+08:00","text":"双十一"}]}"#;

/// Two stores behind one server.
struct Site {
    address: String,
    /// May do everything.
    client: Client,
    accounts: AccountsHandle,
    hangzhou: TestShop,
    _shanghai: TestShop,
    dir: TempDir,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Site {
    async fn start() -> Self {
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let (dir, clock) = (TempDir::new().unwrap(), Clock::starting_at(shop::DAY));
        let templates = TemplateLibrary::open(dir.path(), clock, Arc::new(Templates::embedded()));
        let hangzhou = TestShop::open("hz-001", "杭州解百店", &templates, &tracker, &shutdown);
        let shanghai = TestShop::open("sh-002", "上海店", &templates, &tracker, &shutdown);
        let stores = [&hangzhou, &shanghai].map(|shop| StoreInfo { handle: shop.handle.clone(), name: "店".into() });
        let accounts = AccountsHandle::open(dir.path(), clock, CancellationToken::new()).unwrap();
        let (_, token) = accounts.create_token("tests".into(), everything(), None, None).await.unwrap();
        let metrics = Arc::new(|| "gondola_up 1\n".to_owned());
        let web = Web::new(stores.to_vec(), metrics, accounts.clone(), templates, Way::Plain);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tracker.spawn(serve(listener, None, router(web), shutdown.clone()));
        let client = client_with(&token);
        Self { address, client, accounts, hangzhou, _shanghai: shanghai, dir, tracker, shutdown }
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.address)).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.client.post(format!("{}{path}", self.address)).json(&body).send().await.unwrap()
    }

    async fn results(&self, path: &str, body: Value) -> Value {
        let response = self.post(path, body).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json::<Value>().await.unwrap()["results"].take()
    }

    async fn register(&self, label: LabelId) {
        let results = self.results("/v1/stores/hz-001/labels", json!({"items": [registration(label)]})).await;
        assert_eq!(results, json!([{"key": label, "status": "applied", "error": null}]));
    }

    async fn bind(&self, label: LabelId, sku: &str) -> Value {
        let path = format!("/v1/stores/hz-001/labels/{label}/bind");
        let response = self.post(&path, json!({"skus": [sku]})).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// A registered label that shows pistachios.
    async fn with_pistachios() -> Self {
        let site = Self::start().await;
        site.hangzhou.feed(PISTACHIOS).await;
        site.register(LABEL).await;
        site.bind(LABEL, "1101").await;
        site
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(WAIT_MAX, self.tracker.wait()).await.unwrap();
    }
}

fn everything() -> Permit {
    Permit::new(Role::Admin, BTreeSet::new()).unwrap()
}

/// A client that shows a token, and follows no redirect.
fn client_with(token: &str) -> Client {
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]);
    Client::builder().no_proxy().redirect(Policy::none()).default_headers(headers).build().unwrap()
}

fn panel() -> Panel {
    "bwr-296x128".parse().unwrap()
}

fn registration(label: LabelId) -> Value {
    json!({"label": label, "panel": "bwr-296x128", "position": {"aisle": "3", "shelf": "2", "slot": "5"}})
}

fn says(edition: u64) -> Says {
    let digest = Planes::white(panel()).digest();
    Says {
        label: LABEL,
        panel: panel(),
        digest,
        edition: Edition(edition),
        battery_mv: 2_350,
        reason: Reason::Displayed,
    }
}

#[tokio::test]
async fn a_label_is_registered_bound_and_read_back() {
    let site = Site::with_pistachios().await;
    let label = site.json(&format!("/v1/stores/hz-001/labels/{LABEL}")).await;
    let since = label["desired"]["since"].as_str().unwrap();
    assert!(since.ends_with("+08:00"), "{since}");
    let edition = label["desired"]["edition"].as_u64().unwrap();
    assert_eq!(
        label,
        json!({
            "label": "0000021B6D403B1E", "panel": "bwr-296x128", "health": "offline", "problems": ["never_heard"],
            "fault": null, "skus": ["1101"], "template": "standard",
            "position": {"aisle": "3", "shelf": "2", "slot": "5"},
            "desired": {"digest": null, "edition": edition, "since": since}, "reported": null,
            "acknowledged_at": null, "displayed_at": null, "last_check_in": null, "woke": null, "base_station": null, "heard_by": [],
            "battery_mv": null, "battery_days": null, "temperature_c": null, "firmware": null, "upcoming": null, "command": null,
            "trial": null
        })
    );
    let path = format!("{}/v1/stores/hz-001/labels/{LABEL}", site.address);
    let unbound = site.post(&format!("/v1/stores/hz-001/labels/{LABEL}/unbind"), json!({})).await;
    assert_eq!(unbound.json::<Value>().await.unwrap()["health"], "unbound");
    assert_eq!(site.client.delete(&path).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(site.client.get(&path).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    site.stop().await;
}

#[tokio::test]
async fn a_proof_is_told_with_its_evidence() {
    let site = Site::with_pistachios().await;
    site.hangzhou.station_up().await;
    let digest = site.hangzhou.prove(LABEL, panel()).await.to_string();
    let label = site.json(&format!("/v1/stores/hz-001/labels/{LABEL}")).await;
    assert_eq!((&label["health"], &label["problems"]), (&json!("in_sync"), &json!([])));
    assert_eq!((&label["desired"]["digest"], &label["reported"]["digest"]), (&json!(digest), &json!(digest)));
    assert_eq!(label["reported"]["evidence"], "proven");
    assert_eq!(label["heard_by"][0]["rssi_dbm"], -61);
    let store = site.json("/v1/stores/hz-001").await;
    assert_eq!((&store["labels"], &store["in_sync"], &store["health"]["in_sync"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(store["base_stations"][0]["state"], "up");
    let accuracy = site.json("/v1/stores/hz-001/accuracy").await;
    assert_eq!((&accuracy["now"]["bound"], &accuracy["now"]["accuracy"]), (&json!(1), &json!(1.0)));
    assert_eq!(accuracy["time_to_shelf"]["pictures"], 1);
    assert!(accuracy["time_to_shelf"]["p99_s"].as_f64().unwrap() < 60.0, "{accuracy}");
    let page = site.text("/").await;
    assert!(page.contains(&format!("id=\"label-{LABEL}\"")), "{page}");
    assert!(page.contains(&format!("data-digest=\"{digest}\"")));
    assert!(page.contains("data-health=\"in_sync\"") && page.contains("加州开心果"));
    site.stop().await;
}

#[tokio::test]
async fn labels_that_report_are_registered_while_somebody_wants_it() {
    let site = Site::with_pistachios().await;
    site.hangzhou.station_up().await;
    let enrolment = "/v1/stores/hz-001/enrolment";
    let [neighbour, new] = [0xAA, 0xBB].map(LabelId);
    site.hangzhou.check_in(Says { label: neighbour, ..says(1) }).await;
    let before = site.json(enrolment).await;
    assert_eq!(before, json!({"until": null, "unregistered": 1}));
    let page = site.text("/").await;
    assert!(page.contains("Register every label that reports"), "{page}");
    let opened = site.post(enrolment, json!({"minutes": 15})).await;
    assert_eq!(opened.status(), StatusCode::OK);
    assert!(opened.json::<Value>().await.unwrap()["until"].is_string());
    site.hangzhou.check_in(Says { label: new, ..says(1) }).await;
    site.hangzhou.label(new, |label| label.battery_mv).await;
    let label = site.json(&format!("/v1/stores/hz-001/labels/{new}")).await;
    assert_eq!((&label["panel"], &label["battery_days"]), (&json!("bwr-296x128"), &json!(0)));
    assert!(site.text("/").await.contains("Stop now"));
    let ended = site.post(enrolment, json!({"minutes": 0})).await;
    // What was heard before and has been silent since is still nobody's.
    assert_eq!(ended.json::<Value>().await.unwrap(), before);
    // The button registers it.
    let page = site.text("/").await;
    let (_, button) = page.split_once("data-post=\"/v1/stores/hz-001/labels\" data-body=\"").unwrap();
    let body = button.split_once('"').unwrap().0.replace("&quot;", "\"");
    let registered = site.post("/v1/stores/hz-001/labels", serde_json::from_str(&body).unwrap()).await;
    assert_eq!(registered.status(), StatusCode::OK);
    site.hangzhou.label(neighbour, |label| label.battery_mv).await;
    let refused = site.post(enrolment, json!({"minutes": 100_000})).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    site.stop().await;
}

#[tokio::test]
async fn labels_are_told_what_to_do_one_by_one_and_in_groups() {
    let site = Site::with_pistachios().await;
    let path = format!("/v1/stores/hz-001/labels/{LABEL}");
    let told = site.post(&format!("{path}/flash"), json!({"color": "red", "seconds": 30, "pattern": "fast"})).await;
    assert_eq!(told.status(), StatusCode::ACCEPTED);
    // No base station hears it yet.
    let command = &told.json::<Value>().await.unwrap()["command"];
    assert_eq!(
        (&command["action"], &command["state"], &command["at"]),
        (&json!("flash"), &json!("waiting"), &json!(null))
    );
    let group = site.post("/v1/stores/hz-001/identify", json!({"skus": ["1101"]})).await;
    assert_eq!((group.status(), group.json::<Value>().await.unwrap()), (StatusCode::ACCEPTED, json!({"labels": 1})));
    assert_eq!(site.json(&path).await["command"]["action"], "identify", "the newer one takes its place");
    for (kind, body, detail) in [
        ("flash", json!({"color": "pink"}), "the body: `color`: colour `pink` is not known; expected one of off, red,"),
        ("flash", json!({"seconds": 0}), "the body: `seconds` is 0; expected an integer from 1 to 3600"),
        (
            "flash",
            json!({"pattern": "morse"}),
            "the body: `pattern`: pattern `morse` is not known; expected one of steady",
        ),
        ("page", json!({"index": 8}), "the body: `index` is 8; expected an integer from 0 to 7"),
        ("refresh", json!({"now": true}), "the body has the unknown field `now`"),
    ] {
        let refused = site.post(&format!("{path}/{kind}"), body).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem: Value = refused.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().starts_with(detail), "{problem}");
    }
    let nobody = site.post("/v1/stores/hz-001/ping", json!({})).await;
    assert_eq!(nobody.status(), StatusCode::UNPROCESSABLE_ENTITY);
    site.stop().await;
}

#[tokio::test]
async fn an_inspector_is_told_what_a_label_showed_with_the_record_that_proves_it() {
    let site = Site::with_pistachios().await;
    site.hangzhou.station_up().await;
    let digest = site.hangzhou.prove(LABEL, panel()).await.to_string();
    // A day after its last word nobody knows. The journal tells of the proof once it is on disk.
    let asked = format!("/v1/stores/hz-001/audit?label={LABEL}&at=2026-11-21T12:00:00Z");
    let proven = async {
        loop {
            let response = site.get(&asked).await;
            if response.status() == StatusCode::OK {
                let audit: Value = response.json().await.unwrap();
                if audit["digest"] == digest.as_str() {
                    return audit;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let audit = tokio::time::timeout(Duration::from_secs(20), proven).await.expect("the proof is on disk");
    let from = audit["from"].as_str().unwrap().to_owned();
    assert_eq!((&audit["digest"], &audit["to"], &audit["certain"]), (&json!(digest), &Value::Null, &json!(false)));
    let label = site.json(&format!("/v1/stores/hz-001/labels/{LABEL}")).await;
    assert_eq!(audit["edition"], label["reported"]["edition"]);
    assert_eq!((&audit["shown"][0]["sku"], &audit["shown"][0]["price"]), (&json!("1101"), &json!("59.90")));
    assert!(audit["journal"]["sequence"].as_u64().unwrap() > 2, "after the registration and the binding: {audit}");
    assert_eq!(audit["journal"]["hash"].as_str().unwrap().len(), 64);
    // At the very instant of the proof it is certain.
    let at = from.replace('+', "%2B");
    let then = site.json(&format!("/v1/stores/hz-001/audit?label={LABEL}&at={at}")).await;
    assert_eq!((&then["certain"], &then["from"]), (&json!(true), &json!(from)));
    let picture = site.get(then["picture"].as_str().unwrap()).await;
    assert_eq!((picture.status(), &picture.headers()["content-type"]), (StatusCode::OK, &"image/png".parse().unwrap()));
    let before = site.get(&format!("/v1/stores/hz-001/audit?label={LABEL}&at=2020-01-01T00:00:00Z")).await;
    let detail = "had proven nothing at 2020-01-01T08:00:00+08:00: nobody knows what it showed";
    check_problem("audit", before, 404, &format!("label {LABEL} {detail}")).await;
    site.stop().await;
}

#[tokio::test]
async fn stores_and_base_stations_are_listed() {
    let site = Site::start().await;
    let stores = site.json("/v1/stores").await;
    assert_eq!(
        stores["items"][0],
        json!({"store": "hz-001", "name": "店", "format": "community", "market": "CN", "currency": "CNY",
            "time_zone": "Asia/Shanghai", "labels": 0, "in_sync": 0})
    );
    assert_eq!((stores["items"].as_array().unwrap().len(), &stores["next"]), (2, &Value::Null));
    assert_eq!(
        site.json("/v1/stores/hz-001/base-stations").await,
        json!({"items": [{"base_station": "front", "state": "down", "since": null, "reason": null, "transfers": 0,
            "transfers_max": null, "clock": null}], "next": null})
    );
    site.stop().await;
}

#[tokio::test]
async fn a_product_is_priced_at_any_instant() {
    let site = Site::with_pistachios().await;
    // As the contract writes it: with a bare plus, which a query string makes a space of.
    let product = site.json("/v1/stores/hz-001/products/1101?at=2026-11-25T08:00:00+08:00").await;
    assert_eq!(
        product["shelf_price"],
        json!({"price": "49.90", "currency": "CNY", "was": null, "member_price": null,
            "unit_price": {"amount": "99.80", "per": "kg"}, "promotion_id": "P-88", "text": "双十一",
            "start": "2026-11-25T00:00:00+08:00", "end": "2026-11-28T00:00:00+08:00",
            "next_change": "2026-11-28T00:00:00+08:00", "lowest_7d": null, "lowest_30d": null})
    );
    assert_eq!((&product["base"]["revision"], &product["labels"]), (&json!(7), &json!([LABEL])));
    assert_eq!((&product["stock"], &product["in_assortment"]), (&Value::Null, &json!(true)));
    let later = site.json("/v1/stores/hz-001/products/1101?at=2026-11-28T00:00:00%2B08:00").await;
    assert_eq!((&later["shelf_price"]["price"], &later["shelf_price"]["next_change"]), (&json!("59.90"), &Value::Null));
    site.stop().await;
}

#[tokio::test]
async fn a_bad_item_fails_alone_and_results_keep_their_order() {
    let site = Site::start().await;
    site.hangzhou.feed(PISTACHIOS).await;
    let items = json!([
        {"label": "00000000000000A1", "panel": "bwr-296x128"},
        {"label": "xyz", "panel": "bwr-296x128"},
        {"label": "00:00:00:00:00:00:00:a2", "panel": "bwr-296x128", "position": {"aisle": "3"}},
        {"lable": "00000000000000A3", "panel": "bwr-296x128"},
        {"label": "00000000000000A1", "panel": "bw-250x122"},
        7
    ]);
    let results = site.results("/v1/stores/hz-001/labels", json!({ "items": items })).await;
    let other = "label 00000000000000A1 is registered with panel bwr-296x128, not bw-250x122; remove it first";
    assert_eq!(
        results,
        json!([
            {"key": "00000000000000A1", "status": "applied", "error": null},
            {"key": "xyz", "status": "invalid", "error":
                "items[1]: `label`: label `xyz` is not 16 hexadecimal digits (`:` and `-` between them are allowed)"},
            {"key": "00000000000000A2", "status": "applied", "error": null},
            {"key": "items[3]", "status": "invalid", "error":
                "items[3] has the unknown field `lable`; expected label, panel, position"},
            {"key": "00000000000000A1", "status": "invalid", "error": other},
            {"key": "items[5]", "status": "invalid", "error": "items[5] is 7; expected an object"}
        ])
    );
    let again = site.results("/v1/stores/hz-001/labels", json!({"items": [items[0], items[2]]})).await;
    assert_eq!([&again[0]["status"], &again[1]["status"]], ["unchanged", "unchanged"]);

    let bindings = json!([
        {"label": "00000000000000A1", "skus": ["1101"]},
        {"label": "00000000000000A2", "skus": ["9999"]},
        {"label": "00000000000000A2", "skus": ["9999"], "allow_unknown": true},
        {"label": "00000000000000FF", "skus": ["1101"]}
    ]);
    let results = site.results("/v1/stores/hz-001/bindings", json!({ "items": bindings })).await;
    let statuses: Vec<&Value> = (0..4).map(|index| &results[index]["status"]).collect();
    assert_eq!(statuses, ["applied", "invalid", "applied", "invalid"]);
    let again = site.results("/v1/stores/hz-001/bindings", json!({"items": [bindings[0]]})).await;
    assert_eq!(again[0]["status"], "unchanged");
    site.stop().await;
}

/// What is read, the status, and the sentence.
const READ_PROBLEMS: &[(&str, u16, &str)] = &[
    ("/stores/nowhere", 404, "store `nowhere` is not configured; there are hz-001, sh-002"),
    ("/stores/HZ", 400, "store `HZ` is not 1 to 32 characters of a-z, 0-9 and `-`"),
    ("/nothing", 404, "there is nothing at /v1/nothing"),
    ("/stores/hz-001/labels/12", 400, "label `12` is not 16 hexadecimal digits (`:` and `-` between them are allowed)"),
    (
        "/stores/hz-001/labels/00000000000000FF",
        404,
        "label 00000000000000FF is not registered in this store; register it first",
    ),
    ("/stores/hz-001/labels?limit=5000", 400, "limit `5000` is not 1 to 1000"),
    ("/stores/hz-001/labels?cursor=abc", 400, "cursor `abc` is none that this list gave; start again without one"),
    (
        "/stores/hz-001/labels?health=fine",
        400,
        "health `fine` is not known; expected one of unbound, faulty, offline, stale, in_flight, delivered, pending, \
         in_sync",
    ),
    (
        "/stores/hz-001/labels?problem=rain",
        400,
        "problem `rain` is not known; expected one of low_battery, never_heard",
    ),
    (
        "/stores/hz-001/labels?colour=red",
        400,
        "query string: colour: unknown field `colour`, expected one of `health`, `problem`, `base_station`, `sku`, `q`, \
         `limit`, `cursor`",
    ),
    ("/stores/hz-001/products/9999", 404, "no source has told of sku 9999, and no label shows it"),
    (
        "/stores/hz-001/products/1101?at=2026-11-25T08:00:00",
        400,
        "instant `2026-11-25T08:00:00` is not RFC 3339 with an offset, for example `2026-11-25T08:00:00+08:00`",
    ),
    (
        "/stores/hz-001/labels/0000021B6D403B1E/image.png?which=reported",
        404,
        "label 0000021B6D403B1E has not proven yet what it shows",
    ),
    (
        "/stores/hz-001/labels/0000021B6D403B1E/image.png?which=both",
        400,
        "which `both` is not known; expected one of desired, reported, diff",
    ),
    ("/stores/hz-001/labels/0000021B6D403B1E/image.png?scale=0", 400, "scale `0` is not 1 to 8"),
];

/// A label's binding and the sentence that refuses it.
const BIND_PROBLEMS: &[(&str, &str)] = &[
    (r#"{"skus": ["9999"]}"#, "no source has told of sku 9999; pass \"allow_unknown\": true to bind it all the same"),
    (r#"{"skus": []}"#, "a label shows 1 to 8 products, not 0"),
    (
        r#"{"skus": ["1101"], "template": "billboard"}"#,
        "template `billboard` does not exist; there are back-room, clearance, limited-time, member, no-price, \
         not-for-sale, poster, promotion, sold-out, standard, strip",
    ),
    (r#"{"skus": "1101"}"#, "the body: `skus` is \"1101\"; expected an array"),
    (r#"{"skus": ["1 1"]}"#, "the body: `skus`: sku `1 1` is not 1 to 64 printable ASCII characters without spaces"),
    (r#"{"sku": "1101"}"#, "the body has the unknown field `sku`; expected skus, template, allow_unknown"),
    ("{}", "the body has no field `skus`"),
    ("[]", "the body is an array; expected an object"),
];

#[tokio::test]
async fn errors_are_sentences_that_say_what_to_do() {
    let site = Site::with_pistachios().await;
    for (path, status, detail) in READ_PROBLEMS {
        check_problem(path, site.get(&format!("/v1{path}")).await, *status, detail).await;
    }
    let label = format!("/v1/stores/hz-001/labels/{LABEL}");
    for (body, detail) in BIND_PROBLEMS {
        let response = site.post(&format!("{label}/bind"), serde_json::from_str(body).unwrap()).await;
        check_problem(body, response, 422, detail).await;
    }
    let long = site.post("/v1/stores/hz-001/bindings", json!({"items": vec![7; 1_001]})).await;
    check_problem("1001 items", long, 422, "a batch has at most 1000 items, not 1001; send it in parts").await;
    let put = site.client.put(format!("{}{label}", site.address)).json(&json!({})).send().await.unwrap();
    let detail = "/v1/stores/hz-001/labels/0000021B6D403B1E does not take PUT";
    check_problem("PUT", put, 405, detail).await;
    site.stop().await;
}

#[track_caller]
fn check_problem(path: &str, response: Response, status: u16, detail: &str) -> impl Future<Output = ()> {
    let (path, detail) = (path.to_owned(), detail.to_owned());
    async move {
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{path}");
        let problem: Value = response.json().await.unwrap();
        let title = StatusCode::from_u16(status).unwrap().canonical_reason();
        assert_eq!(
            problem,
            json!({"type": "about:blank", "title": title, "status": status, "detail": detail}),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_label_belongs_to_one_store() {
    let site = Site::with_pistachios().await;
    let body = json!({"items": [registration(LABEL)]});
    let conflict = site.post("/v1/stores/sh-002/labels", body).await;
    let detail = "label 0000021B6D403B1E is registered in store `hz-001`; remove it there first";
    check_problem("alone", conflict, 409, detail).await;
    let two = json!({"items": [registration(LABEL), registration(LabelId(0xB1))]});
    let results = site.results("/v1/stores/sh-002/labels", two).await;
    assert_eq!((&results[0]["error"], &results[1]["status"]), (&json!(detail), &json!("applied")));
    site.stop().await;
}

#[tokio::test]
async fn only_json_may_write() {
    let site = Site::start().await;
    let url = format!("{}/v1/stores/hz-001/labels", site.address);
    let form = site.client.post(&url).header(header::CONTENT_TYPE, "text/plain").body("{}").send().await.unwrap();
    check_problem("form", form, 415, "a write must have `Content-Type: application/json`, not `text/plain`").await;
    let json = [(header::CONTENT_TYPE, "application/json")];
    let long =
        site.client.post(&url).header(&json[0].0, json[0].1).body(vec![b' '; (1 << 20) + 1]).send().await.unwrap();
    check_problem("long", long, 413, "the body is longer than 1048576 bytes; send fewer items at once").await;
    let broken = site.client.post(&url).header(&json[0].0, json[0].1).body("{").send().await.unwrap();
    check_problem("broken", broken, 400, "the body is not JSON: EOF while parsing an object at line 1 column 1").await;
    site.stop().await;
}

#[tokio::test]
async fn a_list_is_walked_by_cursor() {
    let site = Site::start().await;
    let ids: Vec<LabelId> = (1..=250).map(LabelId).collect();
    let items: Vec<Value> = ids.iter().map(|id| registration(*id)).collect();
    let results = site.results("/v1/stores/hz-001/labels", json!({ "items": items })).await;
    assert!(results.as_array().unwrap().iter().all(|result| result["status"] == "applied"));
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = site.json(&format!("/v1/stores/hz-001/labels?health=unbound{cursor}")).await;
        walked.extend(page["items"].as_array().unwrap().iter().map(|label| label["label"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(walked), json!(ids));
    let exact = site.json("/v1/stores/hz-001/labels?limit=250").await;
    assert_eq!((exact["items"].as_array().unwrap().len(), &exact["next"]), (250, &Value::Null));
    for (query, count) in [("q=00000000000000fa", 1), ("q=shelf%202", 250), ("problem=low_battery", 0), ("sku=1101", 0)]
    {
        let found = site.json(&format!("/v1/stores/hz-001/labels?limit=1000&{query}")).await;
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}");
    }
    site.stop().await;
}

#[tokio::test]
async fn pictures_are_pngs_of_the_panels_size() {
    let site = Site::with_pistachios().await;
    site.hangzhou.station_up().await;
    let digest = site.hangzhou.prove(LABEL, panel()).await;
    let path = format!("/v1/stores/hz-001/labels/{LABEL}/image.png");
    for (query, size, kept) in [
        ("?which=desired", (296, 128), "no-store"),
        ("?which=reported&scale=2", (592, 256), "no-store"),
        (&format!("?which=reported&digest={digest}"), (296, 128), "max-age=31536000, immutable"),
        ("?which=reported&digest=0", (296, 128), "no-store"),
        ("?which=diff", (296, 128), "no-store"),
    ] {
        let response = site.get(&format!("{path}{query}")).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "image/png");
        assert_eq!(response.headers()[header::CACHE_CONTROL], kept, "{query}");
        let picture = image::load_from_memory(&response.bytes().await.unwrap()).unwrap();
        assert_eq!((picture.width(), picture.height()), size, "{query}");
    }
    let png = site.get(&format!("{path}?which=reported")).await.bytes().await.unwrap();
    assert_eq!(crate::render::png::decode(&png, panel()).unwrap().digest(), digest);
    site.stop().await;
}

/// Reads until an event has come.
async fn told_of(events: &mut reqwest::Response, wanted: &str) {
    let mut text = String::new();
    while !text.contains(wanted) {
        let chunk = events.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

#[tokio::test]
async fn events_tell_of_changes_and_end_with_the_server() {
    let site = Site::with_pistachios().await;
    let mut events = site.get("/v1/events?store=hz-001").await;
    assert_eq!(events.headers()[header::CONTENT_TYPE], "text/event-stream");
    site.register(LabelId(0xA1)).await;
    let wanted = "event: label\ndata: {\"store\":\"hz-001\",\"label\":\"00000000000000A1\",\"health\":\"unbound\"}\n\n";
    tokio::time::timeout(WAIT_MAX, told_of(&mut events, wanted)).await.unwrap();
    site.hangzhou.station_up().await;
    site.hangzhou.check_in(Says { label: LabelId(0xA1), reason: Reason::Button, ..says(1) }).await;
    let pressed = "event: label\ndata: {\"store\":\"hz-001\",\"label\":\"00000000000000A1\",\"health\":\"unbound\",\"button\":1}\n\n";
    tokio::time::timeout(WAIT_MAX, told_of(&mut events, pressed)).await.unwrap();
    let label: Value = site.get("/v1/stores/hz-001/labels/00000000000000A1").await.json().await.unwrap();
    assert_eq!(label["woke"], "button_1");
    site.shutdown.cancel();
    let ended = async { while events.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(WAIT_MAX, ended).await.unwrap();
    site.stop().await;
}

#[tokio::test]
async fn pages_carry_strict_headers_and_plain_words() {
    let site = Site::with_pistachios().await;
    site.hangzhou.station_up().await;
    site.hangzhou.check_in(says(1)).await;
    site.hangzhou.check_in(Says { label: LabelId(0xAA), ..says(1) }).await;
    site.hangzhou.label(LABEL, |label| label.battery_mv).await;
    let response = site.get("/").await;
    assert_eq!(response.headers()[header::REFERRER_POLICY], "same-origin");
    assert_eq!(
        response.headers()[header::CONTENT_SECURITY_POLICY],
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let page = response.text().await.unwrap();
    for words in ["of 1 label", "Battery at 2.35 V.", "Aisle 3, shelf 2, slot 5", "00000000000000AA"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    for path in [
        format!("/stores/hz-001/labels/{LABEL}"),
        format!("/stores/hz-001/labels/{LABEL}/card"),
        "/stores/hz-001?health=&q=%E5%BC%80%E5%BF%83".into(),
    ] {
        assert!(site.text(&path).await.contains("加州开心果"), "{path}");
    }
    assert!(!site.text("/stores/hz-001?q=honey").await.contains("id=\"label-"));
    assert!(site.text("/stores/hz-001/summary").await.starts_with("<p class=\"headline\">"));
    let missing = site.get("/stores/hz-001/labels/00000000000000FF").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let words = "Label 00000000000000FF is not registered in this store; register it first.";
    assert!(missing.text().await.unwrap().contains(words));
    for asset in ["style.css", "live.js", "icon.svg"] {
        assert!(!site.text(&format!("/assets/{asset}")).await.contains("http://cdn"));
    }
    site.stop().await;
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let site = Site::start().await;
    assert_eq!(site.text("/healthz").await, "ok\n");
    assert_eq!(site.text("/readyz").await, "ready\n");
    assert_eq!(site.text("/metrics").await, "gondola_up 1\n");
    site.stop().await;
}

#[tokio::test]
async fn a_store_that_ended_is_named_by_the_readiness_probe() {
    let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let ended = CancellationToken::new();
    let (dir, clock) = (TempDir::new().unwrap(), Clock::starting_at(shop::DAY));
    let templates = TemplateLibrary::open(dir.path(), clock, Arc::new(Templates::embedded()));
    let shop = TestShop::open("hz-001", "杭州解百店", &templates, &tracker, &ended);
    let accounts = AccountsHandle::open(dir.path(), clock, CancellationToken::new()).unwrap();
    let web = Web::new(
        vec![StoreInfo { handle: shop.handle, name: "店".into() }],
        Arc::new(String::new),
        accounts,
        templates,
        Way::Plain,
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/readyz", listener.local_addr().unwrap());
    ended.cancel();
    tracker.spawn(serve(listener, None, router(web), shutdown.clone()));
    let mut status = StatusCode::OK;
    let mut text = String::new();
    for _ in 0..1_000 {
        let response = reqwest::get(&url).await.unwrap();
        (status, text) = (response.status(), response.text().await.unwrap());
        if status != StatusCode::OK {
            break;
        }
    }
    assert_eq!((status.as_u16(), text.as_str()), (503, "store `hz-001` is not running; the log says why\n"));
    shutdown.cancel();
}

#[tokio::test]
async fn a_stranger_who_asks_too_often_waits_and_others_do_not() {
    let site = Site::start().await;
    let stranger = Client::builder().no_proxy().build().unwrap();
    let mut refused = None;
    for _ in 0..2_000 {
        let response = stranger.get(format!("{}/healthz", site.address)).send().await.unwrap();
        if response.status() != StatusCode::OK {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()[header::RETRY_AFTER].to_str().unwrap()), (429, "1"));
    site.text("/metrics").await;
    site.stop().await;
}

#[tokio::test]
async fn texts_are_packed_for_whoever_unpacks_them_and_events_are_not() {
    let site = Site::start().await;
    let get = async |path: &str| {
        let request = site.client.get(format!("{}{path}", site.address)).header(header::ACCEPT_ENCODING, "gzip");
        request.send().await.unwrap()
    };
    let style = get("/assets/style.css").await;
    assert_eq!(style.headers()[header::CONTENT_ENCODING], "gzip");
    let packed = style.bytes().await.unwrap();
    let mut unpacked = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, include_str!("assets/style.css"));
    assert!(!get("/v1/events").await.headers().contains_key(header::CONTENT_ENCODING));
    site.stop().await;
}

#[tokio::test]
async fn silent_connections_cost_others_nothing() {
    let site = Site::start().await;
    let address = site.address.strip_prefix("http://").unwrap().to_owned();
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    assert_eq!(site.text("/readyz").await, "ready\n");
    site.stop().await;
}

#[tokio::test]
async fn with_a_certificate_only_tls_is_spoken() {
    let site = Site::start().await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = TlsServer::showing(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap();
    let templates = TemplateLibrary::open(site.dir.path(), Clock::start(), Arc::new(Templates::embedded()));
    let web = Web::new(Vec::new(), Arc::new(String::new), site.accounts.clone(), templates, Way::Tls);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    site.tracker.spawn(serve(listener, Some(tls), router(web), site.shutdown.clone()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok\n"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000\r\n"), "{answer}");
    let plain = Client::builder().no_proxy().build().unwrap();
    assert!(plain.get(format!("http://127.0.0.1:{port}/healthz")).send().await.is_err());
    site.stop().await;
}
