//! A million labels in 100 stores in one process: what they take in memory, how long a start takes until the first
//! picture is ordered, what a look at every label costs, how fast the journal takes and checks entries, and what a
//! promotion's boundary costs in a large store.
//!
//! ```sh
//! cargo bench -p gondola-bench --bench scale                                  # 100 stores of 10,000 labels
//! cargo bench -p gondola-bench --bench scale -- --stores 5                    # a twentieth of it
//! ```
//!
//! Each store has 10,000 products and as many labels, one to each, in sync but for one label in the last store. The
//! stores are made in a process of its own, on disk as `gondola run` keeps them; then this process opens them, as many
//! at once as there are processors, as a start does. Times of the planner are those that its thread computed.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use gondola::alert::rules::AlertRules;
use gondola::catalog::guard::GuardRules;
use gondola::catalog::settings::{Market, Settings};
use gondola::catalog::sku::Sku;
use gondola::catalog::wire::{self, Facet};
use gondola::controller::message::{Input, LabelRequest, Output, UnknownSkus};
use gondola::controller::{Controller, StoreSettings};
use gondola::journal::entry::Position;
use gondola::journal::keeper::keep;
use gondola::journal::{DIR_NAME, DiskDirectory, Entry, Journal, JournalOptions, Recalled, Synced, verify};
use gondola::storage::{Tree, View, ViewBatch, ViewWriter};
use gondola::template::Templates;
use gondola::template::view::StoreView;
use gondola_bench::{computed, median, per_second, resident_mib, timed};
use gondola_drivers::head::HeadEvent;
use gondola_protocol::message::{CheckIn, Reason, Welcome};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Moment, Panel, SessionId, StationId, StoreId};

/// Stores unless told otherwise.
const STORES: usize = 100;

/// Labels and products of each store.
const LABELS: usize = 10_000;

/// Labels of the store whose promotion begins.
const BOUNDARY_LABELS: usize = 30_000;

/// Stores of that size, of whose boundaries the median counts.
const BOUNDARIES: usize = 5;

/// Entries that the journal is asked to take, in batches of 16, as check-ins come.
const ENTRIES: usize = 500_000;

/// 2026-11-20, noon in Shanghai.
const NOW: Moment = Moment::from_secs(1_795_147_200);

fn main() {
    let stores = number("--stores").unwrap_or(STORES);
    if let Some(dir) = argument("--make") {
        return make_all(Path::new(&dir), stores);
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let made = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--stores", &stores.to_string(), "--make"])
        .arg(dir.path())
        .status();
    assert!(made.expect("this program").success(), "the stores could not be made");

    let templates = Arc::new(Templates::embedded());
    let (started, mut opened) = timed(|| start(dir.path(), stores, &templates));
    let resident = resident_mib();
    let labels = stores * LABELS;
    println!(
        "{labels} labels in {stores} stores: {:.2} s to the first transfer, {resident:.0?} MiB",
        started.as_secs_f64()
    );
    let sweep = sweep(&mut opened);
    println!("every label looked at in {:.2} s", sweep.as_secs_f64());
    drop(opened);
    let (appended, verified) = journal();
    println!("{appended:.0} entries a second into the journal, {verified:.0} verified");
    let mut boundaries: [Vec<Duration>; 2] = Default::default();
    for _ in 0..BOUNDARIES {
        boundary(&templates).into_iter().zip(&mut boundaries).for_each(|(took, all)| all.push(took));
    }
    let [planned, told] = boundaries.map(|mut took| median(&mut took).as_secs_f64() * 1_000.0);
    println!("a promotion of {BOUNDARY_LABELS} labels begins: planned in {planned:.1} ms, others told in {told:.1} ms");
    println!(
        "{}",
        serde_json::json!({
            "stores": stores, "labels": labels, "resident_mib": resident.map(f64::round),
            "start_to_first_transfer_s": started.as_secs_f64(), "sweep_s": sweep.as_secs_f64(),
            "journal_entries_per_s": appended.round(), "verify_entries_per_s": verified.round(),
            "boundary_plan_ms": planned, "boundary_tell_ms": told,
        })
    );
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str) -> Option<usize> {
    argument(name)?.parse().ok()
}

/// A core, and what it told journal and view, which hold it at once.
struct Shop {
    controller: Controller,
    entries: Vec<Entry>,
    changes: Vec<gondola::storage::ViewChange>,
    appended: u64,
    stored: u64,
}

impl Shop {
    fn new(controller: Controller) -> Self {
        Self { controller, entries: Vec::new(), changes: Vec::new(), appended: 0, stored: 0 }
    }

    fn handle(&mut self, input: Input) {
        self.controller.handle(NOW, input);
        self.settle();
    }

    fn settle(&mut self) {
        let (appended, stored) = (self.appended, self.stored);
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Append(entries) => {
                    self.appended += 1;
                    self.entries.extend(entries);
                }
                Output::Store(changes) => {
                    self.stored += 1;
                    self.changes.extend(changes);
                }
                _ => {}
            }
        }
        if appended != self.appended {
            self.controller.handle(NOW, Input::Synced { batches: self.appended, head: None });
        }
        if stored != self.stored {
            self.controller.handle(NOW, Input::Stored(self.stored));
        }
        if (appended, stored) != (self.appended, self.stored) {
            self.settle();
        }
    }

    fn feed(&mut self, facet: Facet, payload: &serde_json::Value) {
        let parsed = wire::parse(facet, payload.to_string().as_bytes());
        assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
        self.handle(Input::Feed { delivery: None, facet, rows: parsed.rows, seqs: parsed.seqs });
    }

    fn products(&mut self, count: usize) {
        let products: Vec<serde_json::Value> = (0..count).map(product).collect();
        products.chunks(1_000).for_each(|some| self.feed(Facet::Base, &some.into()));
    }

    /// Registers and binds labels, and lets all but `behind` prove what they should show.
    fn labels(&mut self, count: usize, behind: usize) {
        for number in 0..count {
            let (aisle, slot) = ((number / 500).to_string().into(), number.to_string().into());
            let position = Position { aisle, shelf: "2".into(), slot };
            let label = label(number);
            let register = LabelRequest::Register { label, panel: panel(), position };
            self.handle(Input::Request { ticket: 0, request: register.into() });
            let skus = vec![sku(number)];
            let bind = LabelRequest::Bind { label, skus, template: None, unknown: UnknownSkus::Refuse };
            self.handle(Input::Request { ticket: 0, request: bind.into() });
        }
        for number in 0..count {
            let label = label(number);
            let desired = self.controller.fleet().label(label).and_then(|label| label.desired.clone());
            let desired = desired.expect("a bound label");
            let (digest, edition) = (digest(number), desired.edition);
            if number >= behind {
                let (key, shown) = (Some(desired.content.key), desired.content.shown.to_vec());
                let proof = Entry::Proof { label, digest, edition, key, shown, previous_until: None };
                self.entries.push(proof.clone());
                self.controller.replay(None, NOW, &proof);
            }
        }
    }

    /// Every label is heard.
    fn check_ins(&mut self) {
        let heard: Vec<(LabelId, Option<(Digest, Edition)>)> = self
            .controller
            .fleet()
            .labels()
            .map(|label| (label.id, label.reported.as_ref().map(|reported| (reported.digest, reported.edition))))
            .collect();
        for (label, shows) in heard {
            let (digest, edition) = shows.unwrap_or((Digest([0; 16]), Edition(0)));
            let check_in = CheckIn {
                label,
                panel: panel(),
                reason: Reason::Regular,
                edition,
                digest,
                battery_mv: Millivolts(3_000),
                rssi_dbm: -60,
                temperature_c: 20,
                firmware: 1,
            };
            self.handle(Input::Station(front(), HeadEvent::CheckIn(check_in)));
        }
    }
}

/// Makes every store on disk, and looks after its journal as the keeper does.
fn make_all(dir: &Path, stores: usize) {
    let templates = Arc::new(Templates::embedded());
    for number in 0..stores {
        let mut shop = Shop::new(Controller::new(settings(number), Arc::clone(&templates), NOW));
        shop.controller.resume(NOW, None, None);
        shop.products(LABELS);
        shop.labels(LABELS, usize::from(number + 1 == stores));
        let store_dir = store_dir(dir, number);
        let (journal, synced) = journal_in(&store_dir, &store(number));
        let entries = std::mem::take(&mut shop.entries);
        let batches = entries.chunks(16).map(|entries| {
            while let Err(refused) = journal.append(NOW, entries.to_vec()) {
                assert!(matches!(refused, gondola::journal::AppendError::Full(_)), "{refused}");
                synced.recv().expect("the journal");
            }
        });
        batches.for_each(drop);
        journal.close();
        let directory = DiskDirectory::at(&store_dir.join(DIR_NAME));
        let kept = keep(&directory, &store(number), Duration::from_secs(86_400), NOW).expect("a journal");
        assert!(number > 0 || kept.checkpoint.is_some(), "a start reads a checkpoint");
        let head = verify(directory, &store(number)).expect("a journal").head;
        let (view, _) = View::open(&store_dir).expect("a view");
        let writer = ViewWriter::spawn(view, |_| ()).expect("a thread");
        let batch = ViewBatch { number: 1, journal_sequence: head.sequence, changes: shop.changes };
        writer.write(batch).expect("a view");
        writer.close();
    }
}

fn journal_in(dir: &Path, store: &StoreId) -> (Journal, Receiver<Synced>) {
    let (sender, synced) = sync_channel(8_192);
    let options = JournalOptions { segment_bytes: 4 << 20, ..JournalOptions::default() };
    let opened = Journal::open(dir, store, options, &mut |_| (), move |told| {
        // Nobody may be waiting.
        let _ = sender.try_send(told.expect("the journal"));
    });
    (opened.expect("a journal").journal, synced)
}

/// Opens every store as a start does, up to the first picture of the last store's label that is behind.
fn start(dir: &Path, stores: usize, templates: &Arc<Templates>) -> Vec<(Shop, View, Journal)> {
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let numbers: Vec<usize> = (0..stores).collect();
    let mut opened: Vec<_> = std::thread::scope(|scope| {
        let read = |numbers: &[usize]| numbers.iter().map(|number| open(dir, *number, templates)).collect::<Vec<_>>();
        let chunks = numbers.chunks(stores.div_ceil(at_once));
        let reading: Vec<_> = chunks.map(|numbers| scope.spawn(move || read(numbers))).collect();
        reading.into_iter().flat_map(|reading| reading.join().expect("a store")).collect()
    });
    let (last, ..) = opened.last_mut().expect("a store");
    last.controller
        .handle(NOW, Input::Station(front(), HeadEvent::Up { capacity: (&welcome()).into(), epoch: Some(1) }));
    let check_in = CheckIn {
        label: label(0),
        panel: panel(),
        reason: Reason::Regular,
        edition: Edition(0),
        digest: Digest([0; 16]),
        battery_mv: Millivolts(3_000),
        rssi_dbm: -60,
        temperature_c: 20,
        firmware: 1,
    };
    last.controller.handle(NOW, Input::Station(front(), HeadEvent::CheckIn(check_in)));
    let ordered = std::iter::from_fn(|| last.controller.poll_output()).any(|it| matches!(it, Output::Render { .. }));
    assert!(ordered, "the label that is behind gets its picture");
    opened
}

fn open(dir: &Path, number: usize, templates: &Arc<Templates>) -> (Shop, View, Journal) {
    let (store, dir) = (store(number), store_dir(dir, number));
    let mut controller = Controller::new(settings(number), Arc::clone(templates), NOW);
    let (view, found) = View::open(&dir).expect("a view");
    assert!(found.journal_sequence.is_some() && found.set_aside.is_none(), "{found:?}");
    for tree in [Tree::Products, Tree::Promotions, Tree::Held, Tree::Meta] {
        for (key, value) in found.rows.of(tree) {
            controller.catalog_mut().restore(tree, key, value).expect("a row");
        }
    }
    drop(found.rows);
    view.rest();
    let replay = &mut |it: Recalled| controller.replay(it.position.map(|it| it.sequence), it.at, &it.entry);
    let opened = Journal::open(&dir, &store, JournalOptions::default(), replay, |_| ()).expect("a journal");
    controller.resume(NOW, Some(opened.head), opened.until);
    while controller.poll_output().is_some() {}
    (Shop::new(controller), view, opened.journal)
}

/// Every label of every store is looked at, as on the period.
fn sweep(stores: &mut [(Shop, View, Journal)]) -> Duration {
    for (shop, ..) in &mut *stores {
        shop.check_ins();
    }
    println!("with every label heard: {:.0?} MiB", resident_mib());
    let later = NOW + Duration::from_secs(3_600);
    computed(|| {
        for (shop, ..) in stores {
            while shop.controller.poll_timeout().is_some_and(|at| at <= later) {
                shop.controller.handle_timeout(later);
                while shop.controller.poll_output().is_some() {}
            }
        }
    })
}

/// Entries a second that the journal makes durable in groups, and that it verifies.
fn journal() -> (f64, f64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (journal, synced) = journal_in(dir.path(), &store(0));
    let entry = |number: usize| Entry::Proof {
        label: label(number),
        digest: digest(number),
        edition: Edition(1_795_147_200_000),
        key: None,
        shown: Vec::new(),
        previous_until: None,
    };
    let batches: Vec<Vec<Entry>> =
        (0..ENTRIES / 16).map(|batch| (0..16).map(|nth| entry(batch * 16 + nth)).collect()).collect();
    let (took, ()) = timed(|| {
        for batch in batches {
            let mut batch = batch;
            while let Err(refused) = journal.append(NOW, batch) {
                let gondola::journal::AppendError::Full(back) = refused else { panic!("the journal stopped") };
                synced.recv().expect("the journal");
                batch = back;
            }
        }
        journal.close();
    });
    let directory = DiskDirectory::at(&dir.path().join(DIR_NAME));
    let (verifying, verified) = timed(|| verify(directory, &store(0)).expect("a journal"));
    let records = usize::try_from(verified.records).expect("a count");
    (per_second(ENTRIES, took), per_second(records, verifying))
}

/// What the planner computes when a promotion of every product of a large store begins, until it has decided for every
/// label; and what telling others of it takes after that.
fn boundary(templates: &Arc<Templates>) -> [Duration; 2] {
    let mut shop = Shop::new(Controller::new(settings(0), Arc::clone(templates), NOW));
    shop.controller.resume(NOW, None, None);
    shop.products(BOUNDARY_LABELS);
    shop.labels(BOUNDARY_LABELS, 0);
    shop.check_ins();
    let skus: Vec<String> = (0..BOUNDARY_LABELS).map(|number| sku(number).to_string()).collect();
    // Not at a full hour, when every label is looked at besides, nor at a full minute, when all are counted.
    let start = NOW + Duration::from_secs(5_417);
    shop.feed(
        Facet::Promotion,
        &serde_json::json!({ "promotion_id": "P", "revision": 1, "skus": skus, "kind": "percent_off", "percent": "20",
            "start": rfc3339(start), "end": rfc3339(start + Duration::from_secs(86_400)), "text": "双十一" }),
    );
    // Whatever is done ahead of time is done by then.
    while let Some(at) = shop.controller.poll_timeout().filter(|at| *at < start) {
        shop.controller.handle_timeout(at);
        shop.settle();
    }
    let mut planned = turn(&mut shop.controller, start);
    while shop.controller.is_looking() {
        planned += turn(&mut shop.controller, start);
    }
    let mut told = Duration::ZERO;
    while shop.controller.poll_timeout().is_some_and(|at| at <= start) {
        told += turn(&mut shop.controller, start);
    }
    [planned, told]
}

/// What one turn of the core computes.
fn turn(controller: &mut Controller, now: Moment) -> Duration {
    let took = computed(|| controller.handle_timeout(now));
    while controller.poll_output().is_some() {}
    took
}

fn rfc3339(at: Moment) -> String {
    let micros = i64::try_from(at.as_micros()).expect("a date");
    jiff::Timestamp::from_microsecond(micros).expect("a date").to_string()
}

fn product(number: usize) -> serde_json::Value {
    serde_json::json!({
        "sku": sku(number).as_str(), "revision": 1, "name": format!("海盐太妃糖 {number}"), "brand": "严选",
        "spec": "500g/袋", "origin": "浙江", "unit": "袋", "barcode": "6901234567892", "category": "snacks",
        "price": format!("{}.{:02}", 10 + number % 90, number % 100), "content": { "amount": "500", "unit": "g" },
    })
}

fn settings(number: usize) -> StoreSettings {
    let view = StoreView {
        id: store(number).to_string(),
        name: format!("店 {number}"),
        format: "community".to_owned(),
        market: "CN".to_owned(),
    };
    let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("a time zone");
    let currency = "CNY".parse().expect("a currency");
    let catalog = Settings { currency, market: Market::China, time_zone, guard: GuardRules::default() };
    StoreSettings { view, catalog, stations: vec![front()], alerts: AlertRules::default() }
}

fn welcome() -> Welcome {
    Welcome {
        session: SessionId(1),
        version: 1,
        station: front(),
        epoch: 1,
        encodings: 0b11,
        window: 8,
        payload_max: 98_304,
        transfers_max: 256,
        bytes_max: 4 << 20,
    }
}

fn store(number: usize) -> StoreId {
    format!("store-{number}").parse().expect("a store")
}

fn store_dir(dir: &Path, number: usize) -> PathBuf {
    gondola::storage::store_dir(dir, &store(number))
}

fn front() -> StationId {
    "front".parse().expect("a station")
}

fn panel() -> Panel {
    "bwr-296x128".parse().expect("a panel")
}

fn sku(number: usize) -> Sku {
    format!("{number:06}").parse().expect("a sku")
}

fn label(number: usize) -> LabelId {
    LabelId(number as u64 + 1)
}

fn digest(number: usize) -> Digest {
    let mut digest = [7; 16];
    digest[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Digest(digest)
}
