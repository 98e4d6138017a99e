//! What stands outside of the controller, in processes of its own: the simulated shop, and the readers of events.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gondola::run::clock::Clock;
use gondola_simulator::{Config, Serving};
use tokio_util::sync::CancellationToken;

const SHOP: &str = "--shop";
const READERS: &str = "--readers";

/// Base stations of the simulated shop: with 250 labels at each, all glasses change within a minute.
const BASE_STATIONS: usize = 8;

/// Whether this process is one of these.
pub(super) fn is_asked() -> bool {
    std::env::args().any(|argument| argument == SHOP || argument == READERS)
}

/// Runs as one of these until its standard input ends.
pub(super) fn run() {
    let arguments: Vec<String> = std::env::args().collect();
    let told = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1).cloned();
    if let Some(labels) = told(SHOP) {
        return shop(labels.parse().unwrap());
    }
    let (count, address, tokens) = (told(READERS).unwrap(), told("--address").unwrap(), told("--tokens").unwrap());
    read(count.parse().unwrap(), &address, &tokens);
}

/// A process like this one, with other arguments.
pub(super) struct Outside {
    child: Child,
    /// It ends when this does.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Outside {
    fn start(arguments: &[String]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// A shop of so many labels, and the addresses of its base stations.
    pub(super) fn shop(labels: usize) -> (Self, Vec<(String, String)>) {
        let mut shop = Self::start(&[SHOP.to_owned(), labels.to_string()]);
        let line = shop.line();
        let stations = line.split(' ').filter_map(|pair| pair.split_once('='));
        let stations = stations.map(|(id, address)| (id.to_owned(), address.to_owned())).collect();
        (shop, stations)
    }

    /// So many readers, once each of them is being told.
    pub(super) fn readers(count: usize, address: &str, tokens: &str) -> Self {
        let arguments = [READERS, &count.to_string(), "--address", address, "--tokens", tokens];
        let mut readers = Self::start(&arguments.map(str::to_owned));
        assert_eq!(readers.line(), "reading");
        readers
    }

    /// Ends it; readers answer how many events they read.
    pub(super) fn stop(mut self) -> usize {
        self.input.take();
        let read = self.line().parse().unwrap_or(0);
        let _ = self.child.wait();
        read
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until_told_to_end() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn shop(labels: usize) {
    let stations: String = (1..=BASE_STATIONS)
        .map(|number| format!("[[base_station]]\nid = \"s{number}\"\nlisten = \"127.0.0.1:0\"\n"))
        .collect();
    let text = format!(
        "seed = 1\n{stations}[[labels]]\nfirst = \"0000000000000001\"\ncount = {labels}\npanel = \"bwr-296x128\"\nwake = \"2s\"\n"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let serving = Serving::bind(Config::parse(&text).unwrap()).await.unwrap();
        let told: Vec<String> = serving.station_addrs().map(|(id, address)| format!("{id}={address}")).collect();
        println!("{}", told.join(" "));
        let (clock, end) = (Clock::start(), CancellationToken::new());
        let ended = end.clone();
        let waits = tokio::task::spawn_blocking(move || {
            until_told_to_end();
            ended.cancel();
        });
        serving.run(move || clock.now(), end).await.unwrap();
        waits.await.unwrap();
    });
}

/// Reads events on so many connections of these visitors, each on a thread that does nothing else.
fn read(count: usize, address: &str, tokens: &str) {
    let events = Arc::new(AtomicUsize::new(0));
    let tokens: Vec<&str> = tokens.split(',').collect();
    for number in 0..count {
        let token = tokens[number % tokens.len()];
        let mut stream = TcpStream::connect(address).unwrap();
        let ask = format!(
            "GET /v1/events?store=wave HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).unwrap();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        let events = Arc::clone(&events);
        std::thread::spawn(move || {
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                events.fetch_add(usize::from(line.starts_with("data:")), Ordering::Relaxed);
                line.clear();
            }
        });
    }
    println!("reading");
    until_told_to_end();
    println!("{}", events.load(Ordering::Relaxed));
}
