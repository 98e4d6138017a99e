//! The world behind real ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gondola_protocol::message::{Downlink, Frame, Hello, Reason};
use gondola_protocol::{LabelId, Moment, Planes, SessionId, frame};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::controller::{Controller, LABEL, panel, picture, transfer};
use crate::config::Config;
use crate::serve::{Handle, ServeError, Serving};

const SHOP: &str = r#"
seed = 7
control = "127.0.0.1:0"
[[base_station]]
id = "front"
listen = "127.0.0.1:0"
[[labels]]
first = "0000000000000001"
count = 2
panel = "bwr-296x128"
wake = "100ms"
"#;

/// Time that passes by 200 ms with every look at it, so that a test needs no clock and little patience.
fn ticking() -> impl Fn() -> Moment + Clone + Send + Sync + 'static {
    let ticks = Arc::new(AtomicU64::new(0));
    move || Moment::from_millis(1_000 + 200 * ticks.fetch_add(1, Ordering::Relaxed))
}

struct Shop {
    front: SocketAddr,
    control: SocketAddr,
    handle: Handle,
    stop: CancellationToken,
    running: JoinHandle<Result<(), ServeError>>,
}

impl Shop {
    #[expect(clippy::disallowed_methods, reason = "the test awaits the one task that it spawns")]
    async fn open() -> Self {
        let serving = Serving::bind(Config::parse(SHOP).unwrap()).await.unwrap();
        let front = serving.station_addrs().next().unwrap().1;
        let (control, handle) = (serving.control_addr().unwrap(), serving.handle());
        let stop = CancellationToken::new();
        let running = tokio::spawn(serving.run(ticking(), stop.clone()));
        Self { front, control, handle, stop, running }
    }

    async fn close(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        assert!(self.handle.labels().await.is_err());
    }

    /// Head and body of an answer of the control API.
    async fn ask(&self, request: &str, body: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.control).await.unwrap();
        let length = body.len();
        let request =
            format!("{request} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
    }

    async fn check(&self, request: &str, body: &str, status: &str, expected: &str) {
        let (head, answer) = self.ask(request, body).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
        assert!(answer.contains(expected), "{request}: {answer}");
    }
}

/// A controller over TCP.
struct Remote {
    stream: TcpStream,
    controller: Controller,
}

impl Remote {
    async fn connect(front: SocketAddr, session: u32) -> Self {
        let stream = TcpStream::connect(front).await.unwrap();
        let mut remote = Self { stream, controller: Controller::of(session) };
        let session = SessionId(session);
        remote.send(&Frame::Hello(Hello { session, version_min: 1, version_max: 1, time: Moment::ZERO })).await;
        remote.read_until(|controller| controller.welcome.is_some()).await;
        remote
    }

    async fn send(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        frame::encode(&frame.encode(), &mut bytes);
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn read_until(&mut self, mut done: impl FnMut(&Controller) -> bool) {
        let reading = async {
            let mut buffer = vec![0; 16 * 1024];
            while !done(&self.controller) {
                let length = self.stream.read(&mut buffer).await.unwrap();
                assert!(length > 0, "the station has closed the stream");
                for answer in self.controller.receive(Moment::ZERO, &buffer[..length]) {
                    self.send(&answer).await;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap();
    }
}

#[tokio::test]
async fn a_picture_reaches_the_glass_over_tcp() {
    let shop = Shop::open().await;
    let mut remote = Remote::connect(shop.front, 1).await;
    let batch = Downlink::Batch(vec![transfer(1, LABEL, 10, &picture(9))]);
    let batch = remote.controller.send(Moment::ZERO, &batch);
    remote.send(&batch).await;
    remote.read_until(|controller| controller.check_ins.iter().any(|told| told.reason == Reason::Displayed)).await;
    assert_eq!(shop.handle.screen(LABEL).await.unwrap(), Some(picture(9)));
    assert_eq!(shop.handle.screen(LabelId(3)).await.unwrap(), None);
    assert_eq!(shop.handle.observations().await.unwrap().len(), 1);
    let (head, png) = shop.ask("GET /labels/0000000000000001/screen.png?scale=2", "").await;
    assert!(head.contains("image/png"), "{head}");
    assert_eq!(image::load_from_memory(&png).unwrap().into_rgb8().dimensions(), (592, 256));
    let row = format!("\"base_station\":\"front\",\"edition\":10,\"digest\":\"{}\"", picture(9).digest());
    shop.check("GET /labels", "", "200", &row).await;
    shop.check("GET /counters", "", "200", "\"delivered\":1").await;
    shop.close().await;
}

#[tokio::test]
async fn a_new_connection_replaces_the_older_one() {
    let shop = Shop::open().await;
    let mut older = Remote::connect(shop.front, 1).await;
    let _newer = Remote::connect(shop.front, 2).await;
    let mut rest = Vec::new();
    // A reset is an end, too.
    let ended = tokio::time::timeout(Duration::from_secs(30), older.stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok());
    assert_eq!(shop.handle.counters().await.unwrap().sessions, 2);
    shop.close().await;
}

#[tokio::test]
async fn faults_are_set_and_mistakes_are_problems() {
    let shop = Shop::open().await;
    let put = "PUT /labels/00:00:00:00:00:00:00:01/fault";
    shop.check(put, r#"{"fault":"dead_pixel","x":3,"y":4}"#, "204", "").await;
    shop.check("GET /labels", "", "200", r#""displayed_at_us":null"#).await;
    shop.check("GET /labels", "", "200", r#""fault":"dead_pixel""#).await;
    assert_ne!(shop.handle.screen(LABEL).await.unwrap(), Some(Planes::white(panel())));
    shop.check(put, r#"{"fault":"none"}"#, "204", "").await;
    assert_eq!(shop.handle.screen(LABEL).await.unwrap(), Some(Planes::white(panel())));
    shop.check(put, r#"{"fault":"dead_pixel","x":300,"y":4}"#, "400", "pixel (300, 4) is outside bwr-296x128").await;
    shop.check(put, r#"{"fault":"asleep"}"#, "400", "unknown variant `asleep`").await;
    shop.check(put, "", "400", "\"detail\"").await;
    shop.check(put, &" ".repeat(5_000), "413", "\"title\":\"the fault is wrong\"").await;
    shop.check("PUT /labels/1/fault", "{}", "400", "label `1` is not 16 hexadecimal digits").await;
    shop.check("GET /labels/0000000000000009/screen.png", "", "404", "label 0000000000000009 is not in").await;
    shop.check("GET /labels/0000000000000001/screen.png?scale=0", "", "400", "scale 0 is not 1 to 16").await;
    shop.check("GET /labels/0000000000000001/screen.png?zoom=2", "", "400", "zoom").await;
    shop.check("GET /label", "", "404", "the control API has GET /labels").await;
    shop.check("POST /labels", "", "405", "the control API has GET /labels").await;
    shop.close().await;
}

#[tokio::test]
async fn a_shop_is_changed_while_it_is_served() {
    let shop = Shop::open().await;
    let label = "/labels/0000000000000001";
    shop.check(&format!("PUT {label}/temperature"), r#"{"celsius":-18}"#, "204", "").await;
    shop.check("GET /labels", "", "200", r#""temperature_c":-18"#).await;
    let before = shop.handle.labels().await.unwrap()[0].battery_mv;
    shop.check(&format!("POST {label}/drain"), r#"{"percent":50}"#, "204", "").await;
    let after = shop.handle.labels().await.unwrap()[0].battery_mv;
    assert_eq!(before.0 - after.0, 300);
    shop.check(&format!("POST {label}/drain"), r#"{"percent":101}"#, "400", "101 % of a battery").await;
    shop.check("POST /labels/0000000000000009/drain", r#"{"percent":1}"#, "404", "is not in this simulated shop").await;
    shop.check("PUT /radio", r#"{"loss":0.25}"#, "204", "").await;
    shop.check("PUT /radio", r#"{"loss":1.5}"#, "400", "a loss of 1.5 is not 0 to 1").await;
    shop.check("PUT /radio", r#"{"loss":0}"#, "204", "").await;
    shop.check("PUT /base-stations/front/power", r#"{"on":false}"#, "204", "").await;
    shop.check("PUT /base-stations/back/power", r#"{"on":false}"#, "404", "base station `back` is not in").await;
    shop.check("PUT /base-stations/front/power", r#"{"off":true}"#, "400", "unknown field `off`").await;
    shop.check("PUT /base-stations/front/power", r#"{"on":true}"#, "204", "").await;
    shop.check("POST /base-stations/front/reboot", "", "204", "").await;
    assert_eq!(shop.handle.counters().await.unwrap().reboots, 2);
    Remote::connect(shop.front, 1).await;
    shop.close().await;
}

#[tokio::test]
async fn a_person_sees_the_shop() {
    let shop = Shop::open().await;
    let (head, page) = shop.ask("GET /", "").await;
    assert!(head.contains("text/html") && head.contains("default-src 'none'"), "{head}");
    // The policy lets nothing run and colour but the page's own files, and all of them are there.
    let page = String::from_utf8(page).unwrap();
    assert!(!page.contains("style=") && !page.contains("<style") && !page.contains("<script>"), "{page}");
    for file in ["/shop.js", "/shop.css", "/icon.svg"] {
        assert!(page.contains(file), "{file}");
        shop.check(&format!("GET {file}"), "", "200", "").await;
    }
    shop.check("GET /floor", "", "200", r#""labels":[{"id":"0000000000000001","x_cm""#).await;
    shop.check("GET /floor", "", "200", r#""base_stations":[{"id":"front","x_cm""#).await;
    shop.check("GET /labels/0000000000000002", "", "200", r#""woke_at_us":"#).await;
    shop.check("GET /labels/0000000000000009", "", "404", "is not in this simulated shop").await;
    shop.close().await;
}

/// What a page hears on `GET /events`, for as long as it listens.
struct Page(TcpStream, Vec<u8>);

impl Page {
    async fn open(shop: &Shop) -> Self {
        let mut stream = TcpStream::connect(shop.control).await.unwrap();
        stream.write_all(b"GET /events HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        Self(stream, Vec::new())
    }

    /// Reads on until something is said; whatever was said before that is forgotten.
    async fn hears(&mut self, expected: &str) {
        let reading = async {
            loop {
                let heard = String::from_utf8_lossy(&self.1);
                if let Some(at) = heard.find(expected) {
                    self.1.drain(..at + expected.len());
                    return;
                }
                assert!(self.0.read_buf(&mut self.1).await.unwrap() > 0, "the shop has closed the stream");
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(30), reading).await;
        assert!(heard.is_ok(), "no {expected} in {}", String::from_utf8_lossy(&self.1));
    }
}

#[tokio::test]
async fn a_page_hears_what_changes() {
    let shop = Shop::open().await;
    let mut page = Page::open(&shop).await;
    page.hears("event: resync").await;
    page.hears(r#""labels":"00"}"#).await;
    shop.check("PUT /labels/0000000000000002/fault", r#"{"fault":"deaf"}"#, "204", "").await;
    page.hears(r#""labels":[[1,"6"]]}"#).await;
    shop.check("POST /labels/0000000000000001/drain", r#"{"percent":100}"#, "204", "").await;
    page.hears(r#""labels":[[0,"8"]]}"#).await;
    shop.check("PUT /base-stations/front/power", r#"{"on":false}"#, "204", "").await;
    page.hears(r#""on":false,"connected":false"#).await;
    page.hears(r#"[0,"e"]"#).await;
    shop.check("PUT /radio", r#"{"loss":0.5}"#, "204", "").await;
    page.hears(r#""loss":0.5"#).await;
    shop.close().await;
}

#[tokio::test]
async fn pages_leave_room_for_others() {
    let shop = Shop::open().await;
    let mut pages = Vec::new();
    for _ in 0..8 {
        let mut page = Page::open(&shop).await;
        page.hears("event: resync").await;
        pages.push(page);
    }
    shop.check("GET /events", "", "503", "8 pages follow this shop already; close one").await;
    shop.check("GET /counters", "", "200", "\"delivered\":0").await;
    shop.close().await;
}

/// What the control API takes bodies for, with one that it takes and one that it does not.
const WRITES: [(&str, &str, &str); 5] = [
    ("PUT /labels/0000000000000001/fault", r#"{"fault":"mute"}"#, r#"{"fault":"dead_pixel","x":-1,"y":0}"#),
    ("PUT /labels/0000000000000001/temperature", r#"{"celsius":-128}"#, r#"{"celsius":128}"#),
    ("POST /labels/0000000000000001/drain", r#"{"percent":100}"#, r#"{"percent":256}"#),
    ("PUT /base-stations/front/power", r#"{"on":true}"#, r#"{"on":1}"#),
    ("PUT /radio", r#"{"loss":1}"#, r#"{"loss":null}"#),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is sent, and wherever to, the answer is what was asked for or a problem that says something, and the
    /// shop goes on.
    #[test]
    fn the_control_api_answers_whatever_it_is_sent(
        write in 0..WRITES.len(),
        at in 0_usize..80,
        noise in "[ -~]{0,12}",
        place in "[0-9a-fA-F:-]{0,20}|[a-z0-9%_.]{1,40}",
    ) {
        let (request, right, wrong) = WRITES[write];
        let broken = {
            let at = at.min(right.len());
            format!("{}{noise}{}", &right[..at], &right[at..])
        };
        let elsewhere = request.replace("0000000000000001", &place).replace("front", &place);
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let shop = Shop::open().await;
            for (request, body, statuses) in [
                (request, right, &["204"][..]),
                (request, wrong, &["400"]),
                (request, &broken, &["204", "400"]),
                (&elsewhere, right, &["204", "400", "404"]),
            ] {
                let (head, answer) = shop.ask(request, body).await;
                let status = head.split(' ').nth(1).unwrap_or_default();
                assert!(statuses.contains(&status), "{request} {body}: {head}");
                if status != "204" {
                    assert!(head.contains("application/problem+json"), "{request} {body}: {head}");
                    let problem: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                    let says = |key: &str| problem[key].as_str().is_some_and(|text| !text.is_empty());
                    assert!(says("title") && says("detail"), "{request} {body}: {problem}");
                }
            }
            shop.close().await;
        });
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_station() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = Config::parse(SHOP).unwrap();
    config.base_stations[0].listen = Some(address);
    let error = Serving::bind(config).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address} for base station `front`: address in use; \
             is another simulator running? choose another port, or 0 for any free one"
        )
    );
}
