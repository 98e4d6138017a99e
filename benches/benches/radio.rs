//! How soon a radio of OpenEPaperLink gets the block that it asks for, while every core draws pictures.
//!
//! A scripted radio at one end of a pseudo-terminal, the station's task at the other, as many threads that render as
//! there are cores, at the priority of the controller's own, and a wave of pictures for other labels that are handed to
//! the station meanwhile. Each request is timed to the first byte of its answer, and to its last: a radio at high speed
//! sends what it has 140 ms after it has asked, and its own line takes 21 ms of them.
//!
//! The radio has a thread to itself, as it has a processor of its own. When that thread gets its core is in the figures.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark reads the clock and reports")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gondola_bench::corpus::{Corpus, Set};
use gondola_drivers::head::{HeadEvent, Picture};
use gondola_drivers::openepaperlink::line::{BAUD_SLOW, LineOptions};
use gondola_drivers::openepaperlink::wire::checksum;
use gondola_drivers::openepaperlink::{LabelTypes, RadioOptions};
use gondola_drivers::priority::yield_to_others;
use gondola_drivers::{StationHandle, StationOptions, StationOrder, Transport, spawn};
use gondola_protocol::message::Lane;
use gondola_protocol::{Edition, LabelId, Moment, Panel, Planes, TransferNumber};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_serial::{SerialPort, SerialStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Labels that have a picture waiting, and ask for it.
const LABELS: u64 = 64;

/// Labels that get another picture with each wave.
const WAVE_LABELS: u64 = 64;

/// From one wave to the next.
const WAVE_PERIOD: Duration = Duration::from_millis(500);

/// After so long nobody knows any more when a label comes, so that each is offered its picture: the script skips it.
const RHYTHM: Duration = Duration::from_secs(60);

/// Nothing takes longer unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that are timed.
const REQUESTS: usize = 4_000;

/// From one answer to the next request, in milliseconds: 5 to 20.
const PAUSES_MS: [u64; 4] = [5, 9, 14, 20];

/// Bytes of an answer.
const ANSWER: usize = 3 + 4_132;

/// What a radio must have the block by, so that it meets its deadline whatever it does meanwhile.
const LIMIT: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism()?.get();
    let renderers: Vec<_> = (0..cores).map(|seed| draw(Arc::clone(&stop), seed as u64)).collect();
    let controller = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let timed = time_answers(&controller);
    stop.store(true, Ordering::Relaxed);
    let pictures: usize = renderers.into_iter().map(|thread| thread.join().unwrap_or(0)).sum();
    let mut timed = timed?;
    report(&mut timed, cores, pictures);
    Ok(())
}

/// Draws until it is told to stop. Answers how many pictures.
fn draw(stop: Arc<AtomicBool>, seed: u64) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        yield_to_others();
        let Ok(corpus) = Corpus::new(Set::Measure, seed) else { return 0 };
        corpus.take_while(|_| !stop.load(Ordering::Relaxed)).count()
    })
}

/// To the first and the last byte of each answer.
type Timed = Vec<(Duration, Duration)>;

fn time_answers(controller: &Runtime) -> Result<Timed, Box<dyn std::error::Error>> {
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (radio, host) = {
        let _entered = own.enter();
        SerialStream::pair()?
    };
    let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let (sender, events) = mpsc::channel(256);
    let line = LineOptions { channel: 11, power: 10, baud: BAUD_SLOW };
    let options = StationOptions {
        id: "front".parse()?,
        transport: Transport::Serial { path: host.name().unwrap_or_default(), baud: BAUD_SLOW, reset: None },
        head: RadioOptions { line, label_types: LabelTypes::default() }.into(),
    };
    let (start, skipped) = (Instant::now(), Arc::new(AtomicU64::new(1_000)));
    let seconds = Arc::clone(&skipped);
    let clock = move || Moment::from_secs(seconds.load(Ordering::Relaxed)) + start.elapsed();
    let handle = {
        let _entered = controller.enter();
        spawn(options, &tracker, shutdown.clone(), clock, sender)
    };
    tracker.spawn_on(submit(handle, events), controller.handle());
    let script = Script { radio, read: Vec::new(), versions: BTreeMap::new(), is_ready: false, skipped };
    let timed = own.block_on(script.run());
    shutdown.cancel();
    timed
}

/// What a controller does: a label that reports gets a picture, and those of the wave get another one with each wave.
async fn submit(handle: StationHandle, mut events: mpsc::Receiver<(gondola_protocol::StationId, HeadEvent)>) {
    let (mut last, mut wave) = (0, Vec::new());
    let mut period = tokio::time::interval(WAVE_PERIOD);
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                None => return,
                Some((_, HeadEvent::Heard(said))) => {
                    last += 1;
                    send(&handle, last, said.label, said.panel);
                    wave.extend((said.label.0 >= LABELS).then_some((said.label, said.panel)));
                }
                Some(_) => {}
            },
            _ = period.tick() => for (label, panel) in &wave {
                last += 1;
                send(&handle, last, *label, *panel);
            },
        }
    }
}

/// Hands a picture to the station: grey at its top, so that packing it takes as long as a photo's.
fn send(handle: &StationHandle, number: u32, label: LabelId, panel: Panel) {
    let mut bytes = vec![0; panel.picture_bytes()];
    let mut word = label.0 << 32 | u64::from(number);
    for chunk in bytes[..panel.plane_bytes() / 2].chunks_exact_mut(8) {
        word = word.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        chunk.copy_from_slice(&(word & word >> 7).to_be_bytes());
    }
    let planes = Planes::new(panel, bytes).expect("they are the panel's");
    let picture = Picture {
        number: TransferNumber(number),
        label,
        edition: Edition(number.into()),
        lane: Lane::Price,
        planes,
        held: None,
        encodings: u8::MAX,
        packed: None,
    };
    // Should there be no room, the label gets the next wave's.
    let _ = handle.try_order(StationOrder::Submit(picture));
}

/// The scripted radio.
struct Script {
    radio: SerialStream,
    read: Vec<u8>,
    versions: BTreeMap<u64, u64>,
    is_ready: bool,
    /// What the station's clock is ahead by, in seconds.
    skipped: Arc<AtomicU64>,
}

impl Script {
    async fn run(mut self) -> Result<Timed, Box<dyn std::error::Error>> {
        timeout(PATIENCE, self.fill()).await.map_err(|_| "the station does not fill the radio's slots")??;
        let mut timed = Vec::with_capacity(REQUESTS);
        for pause in PAUSES_MS.into_iter().cycle().take(REQUESTS) {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let label = timed.len() as u64 % LABELS;
            let version = self.versions[&label];
            let asked = timeout(PATIENCE, self.ask(label, version)).await;
            timed.push(asked.map_err(|_| format!("request {} has no answer", timed.len()))??);
        }
        Ok(timed)
    }

    /// Lets the labels report, and waits until each has its picture in its slot.
    async fn fill(&mut self) -> std::io::Result<()> {
        while !self.is_ready {
            self.converse().await?;
        }
        for label in 0..LABELS + WAVE_LABELS {
            self.say(b"ADR>", &report_of(label)).await?;
        }
        // Each has something in its slot: its picture, or for the most part when it is to come.
        while self.versions.len() < usize::try_from(LABELS + WAVE_LABELS).unwrap_or(0) {
            self.converse().await?;
        }
        self.skipped.fetch_add(RHYTHM.as_secs(), Ordering::Relaxed);
        // Mutters, so that the station looks at its clock.
        self.radio.write_all(b"....").await?;
        while self.versions.values().any(|version| *version == 0) {
            self.converse().await?;
        }
        Ok(())
    }

    /// Answers whatever the host says next.
    async fn converse(&mut self) -> std::io::Result<()> {
        self.radio.read_buf(&mut self.read).await?;
        let answers = self.answer_commands();
        self.radio.write_all(&answers).await
    }

    /// Takes the commands that stand before a block, and answers them.
    fn answer_commands(&mut self) -> Vec<u8> {
        let mut answers = Vec::new();
        while let Some((token, rest)) =
            self.read.split_first_chunk::<4>().filter(|(token, _)| !token.starts_with(b">D>"))
        {
            let (length, answer): (usize, &[u8]) = match token {
                b"NFO?" => (0, b"ACK>TYP>C6VER>001FNOP>00"),
                b"SCP>" => (4, b"ACK>"),
                b"SDA>" | b"CXD>" => (27, b"ACK>"),
                _ => (0, b"ACK>"),
            };
            if rest.len() < length {
                break;
            }
            let word = |at: usize| rest.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
            if token == b"SCP>" {
                self.is_ready = true;
            }
            if let (b"SDA>", Some(version), Some(label)) = (token, word(1), word(19)) {
                self.versions.insert(label, version);
            }
            answers.extend(answer);
            self.read.drain(..4 + length);
        }
        answers
    }

    async fn say(&mut self, token: &[u8], body: &[u8]) -> std::io::Result<()> {
        let mut message = [token, &[0], body].concat();
        message[4] = checksum(&message[4..]);
        self.radio.write_all(&message).await
    }

    /// Asks for a block and takes it. Commands that come meanwhile are answered, as a radio would.
    async fn ask(&mut self, label: u64, version: u64) -> std::io::Result<(Duration, Duration)> {
        let body = [&version.to_le_bytes()[..], &[0], &label.to_le_bytes()].concat();
        let asked = Instant::now();
        self.say(b"RQB>", &body).await?;
        let mut first = None;
        loop {
            self.converse().await?;
            if !self.read.starts_with(b">D>") {
                continue;
            }
            let first = *first.get_or_insert_with(|| asked.elapsed());
            if self.read.len() >= ANSWER {
                let last = asked.elapsed();
                self.read.drain(..ANSWER);
                self.radio.write_all(b"ACK>").await?;
                return Ok((first, last));
            }
        }
    }
}

/// A full report of an M2 of 2.9 inches, or of an M3 of the wave, without its checksum.
fn report_of(label: u64) -> Vec<u8> {
    let mut report = [0; 21];
    // An M3 of the same size for the wave: its pictures are packed with zlib, which takes longest.
    let label_type = if label < LABELS { 0x01 } else { 0x33 };
    report[1..12].copy_from_slice(&[180, 0xC3, 21, 0x86, 0x0B, label_type, 0, 3, 0x29, 0, 11]);
    [&LabelId(label).0.to_le_bytes()[..], &report].concat()
}

fn report(timed: &mut Timed, cores: usize, pictures: usize) {
    let late = timed.iter().filter(|(first, _)| *first > LIMIT).count();
    let quantiles = |mut times: Vec<Duration>| {
        times.sort_unstable();
        let at = |permille: usize| times[(times.len() * permille / 1_000).min(times.len() - 1)].as_secs_f64() * 1e3;
        [at(500), at(990), at(999), at(1_000)].map(|ms| (ms * 100.0).round() / 100.0)
    };
    let first = quantiles(timed.iter().map(|(first, _)| *first).collect());
    let last = quantiles(timed.iter().map(|(_, last)| *last).collect());
    println!("{} requests, {cores} cores that drew {pictures} pictures meanwhile", timed.len());
    println!(
        "to the first byte: p50 {} ms, p99 {} ms, p99.9 {} ms, longest {} ms",
        first[0], first[1], first[2], first[3]
    );
    println!("to the last byte:  p50 {} ms, p99 {} ms, p99.9 {} ms, longest {} ms", last[0], last[1], last[2], last[3]);
    let named = |[p50, p99, p999, max]: [f64; 4]| json!({ "p50": p50, "p99": p99, "p999": p999, "max": max });
    println!(
        "{}",
        json!({ "first_byte_ms": named(first), "last_byte_ms": named(last), "later_than_50_ms": late, "requests": timed.len(), "pictures_drawn": pictures })
    );
}
