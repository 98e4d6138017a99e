//! Who asks for too much, gives too much, or takes nothing: it is bounded, and others do not notice.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::*;

/// What a refused body may have cost: the limit, and the buffers of both ends' systems, which the test does not set.
const TAKEN_MAX: u64 = 64 << 20;

const GIBIBYTE: u64 = 1 << 30;

async fn connect(site: &Site) -> TcpStream {
    TcpStream::connect(site.address.strip_prefix("http://").unwrap()).await.unwrap()
}

/// A token for what is written by hand.
async fn token(site: &Site) -> String {
    site.accounts.create_token("by hand".into(), everything(), None, None).await.unwrap().1
}

/// Sends a head and then as much as is taken of a body without end in sight. Answers how many bytes were taken, and what
/// was answered, if that could still be read.
async fn pour(site: &Site, head: &str, is_chunked: bool) -> (u64, String) {
    let mut stream = connect(site).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 64 << 10];
    let mut poured = 0;
    while poured < GIBIBYTE {
        let sent = async {
            if is_chunked {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
            }
            stream.write_all(&piece).await?;
            if is_chunked { stream.write_all(b"\r\n").await } else { Ok(()) }
        };
        match tokio::time::timeout(WAIT_MAX, sent).await.expect("it is refused, and not left to wait") {
            Ok(()) => poured += piece.len() as u64,
            Err(_) => break,
        }
    }
    let mut answer = Vec::new();
    // A connection that was reset has lost what was on its way.
    let _ = tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut answer)).await;
    (poured, String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_body_of_a_gibibyte_is_refused_at_its_beginning() {
    let site = Site::with_pistachios().await;
    let token = token(&site).await;
    for (path, content_type) in [
        ("/v1/stores/hz-001/labels", "application/json"),
        ("/v1/stores/hz-001/products", "application/json"),
        ("/users", "application/x-www-form-urlencoded"),
        ("/login", "application/x-www-form-urlencoded"),
    ] {
        for is_chunked in [false, true] {
            let method = if path.ends_with("products") { "PUT" } else { "POST" };
            let length = if is_chunked {
                "transfer-encoding: chunked".to_owned()
            } else {
                format!("content-length: {GIBIBYTE}")
            };
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {content_type}\r\n{length}\r\n\r\n"
            );
            let (poured, answer) = pour(&site, &head, is_chunked).await;
            assert!(poured < TAKEN_MAX, "{path} took {poured} bytes");
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        }
    }
    assert_eq!(site.json("/v1/stores/hz-001/labels").await["items"].as_array().unwrap().len(), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_name_of_a_million_characters_is_an_error_of_a_few() {
    let site = Site::with_pistachios().await;
    let long = "n".repeat(1_000_000);
    let put = async |path: &str, item: Value| {
        let request = site.client.put(format!("{}/v1/stores/hz-001/{path}", site.address));
        let response = request.json(&json!({ "items": [item] })).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    for field in ["name", "brand", "sku", "barcode", "price"] {
        let mut item = json!({"sku": "1101", "revision": 9, "price": "59.90"});
        item[field] = json!(long);
        let (status, text) = put("products", item).await;
        assert_eq!(status, StatusCode::OK, "{field}: {text}");
        let row = &serde_json::from_str::<Value>(&text).unwrap()["results"][0];
        assert_eq!(row["status"], "invalid", "{field}");
        assert!(text.len() < 2_000, "{field}: {} bytes of an error", text.len());
    }
    let posts = [
        ("labels", json!({"items": [{"label": long, "panel": "bwr-296x128"}]})),
        (
            "labels",
            json!({"items": [{"label": "00000000000000A1", "panel": "bwr-296x128", "position": {"aisle": long}}]}),
        ),
        ("bindings", json!({"items": [{"label": LABEL, "skus": [long]}]})),
        ("bindings", json!({"items": [{"label": LABEL, "skus": ["1101"], "template": long}]})),
        ("push", json!({ long.as_str(): 1 })),
    ];
    for (path, body) in posts {
        let response = site.post(&format!("/v1/stores/hz-001/{path}"), body).await;
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(text.contains("invalid") || status.is_client_error(), "{path}: {status} {text}");
        assert!(text.len() < 2_000, "{path}: {} bytes of an error", text.len());
    }
    // A head is shorter than that, and who sends a longer one learns it.
    let head = format!("GET /search?q={long} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut stream = connect(&site).await;
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(site.json("/v1/stores/hz-001/products/1101").await["base"]["revision"], 7);
    site.stop().await;
}

#[tokio::test]
async fn slow_clients_keep_nobody_waiting() {
    let site = Site::with_pistachios().await;
    let token = token(&site).await;
    let mut slow = Vec::new();
    for nth in 0..200 {
        let mut stream = connect(&site).await;
        let begun = match nth % 2 {
            0 => "GET /v1/stores HTTP/1.1\r\nhost: x\r\nauthor".to_owned(),
            _ => format!(
                "POST /v1/stores/hz-001/push HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
            ),
        };
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // What they hold is their own connection: a write to the same store goes through.
    let asked = async {
        assert_eq!(site.post("/v1/stores/hz-001/push", json!({})).await.status(), StatusCode::ACCEPTED);
        assert_eq!(site.text("/readyz").await, "ready\n");
    };
    tokio::time::timeout(WAIT_MAX, asked).await.unwrap();
    drop(slow);
    site.stop().await;
}

/// Labels whose check-ins are events.
const LABELS: u64 = 4_000;

/// More bytes of events than both ends' systems hold, and what waits for a reader.
const HELD_MAX: usize = 12 << 20;

#[tokio::test]
async fn a_reader_of_events_that_never_reads_loses_them_alone() {
    let site = Site::start().await;
    for ids in (1..=LABELS).collect::<Vec<_>>().chunks(1_000) {
        let items: Vec<Value> = ids.iter().map(|id| registration(LabelId(*id))).collect();
        site.results("/v1/stores/hz-001/labels", json!({ "items": items })).await;
    }
    let token = token(&site).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let address = site.address.strip_prefix("http://").unwrap().parse().unwrap();
    let mut deaf = socket.connect(address).await.unwrap();
    let head = format!("GET /v1/events?store=hz-001 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    deaf.write_all(head.as_bytes()).await.unwrap();
    let mut begun = [0; 15];
    deaf.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200 OK");

    // Another reader hears of every round of check-ins.
    let mut events = site.get("/v1/events?store=hz-001").await;
    site.hangzhou.station_up().await;
    let mut heard = 0;
    let last = format!("\"label\":\"{}\"", LabelId(LABELS));
    while heard < HELD_MAX {
        for label in (1..=LABELS).map(LabelId) {
            site.hangzhou.check_in(Says { label, ..says(1) }).await;
        }
        let round = async {
            let mut text = String::new();
            while !text.contains(&last) {
                text.push_str(std::str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap());
            }
            text
        };
        let text = tokio::time::timeout(WAIT_MAX, round).await.unwrap();
        assert!(!text.contains("event: resync"), "who reads is told everything");
        heard += text.len();
    }
    // Whoever did not read is told to read everything again, and not what was missed.
    let told = async {
        let (mut told, mut bytes, mut piece) = (Vec::new(), 0_usize, vec![0; 64 << 10]);
        while !told.windows(13).any(|part| part == b"event: resync") {
            let read = deaf.read(&mut piece).await.unwrap();
            assert_ne!(read, 0, "the stream has ended");
            bytes += read;
            told = [&told[told.len().saturating_sub(16)..], &piece[..read]].concat();
        }
        bytes
    };
    let bytes = tokio::time::timeout(WAIT_MAX, told).await.expect("a resync");
    assert!(bytes < 10 << 20, "{bytes} bytes waited for a reader who never read");
    site.stop().await;
}

#[tokio::test]
async fn whoever_opens_streams_without_end_leaves_places_for_others() {
    let site = Site::start().await;
    let mut open = Vec::new();
    let refused = loop {
        let response = site.get("/v1/events").await;
        if response.status() != StatusCode::OK {
            break response;
        }
        open.push(response);
        assert!(open.len() <= 64);
    };
    let detail = "64 event streams of yours are open already; close some";
    check_problem("one too many", refused, 503, detail).await;
    let other = client_with(&token(&site).await);
    let other = other.get(format!("{}/v1/events", site.address)).send().await.unwrap();
    assert_eq!((open.len(), other.status()), (64, StatusCode::OK));
    // A place is free again once its connection has ended.
    open.pop();
    let again = async { while site.get("/v1/events").await.status() != StatusCode::OK {} };
    tokio::time::timeout(WAIT_MAX, again).await.unwrap();
    site.stop().await;
}
