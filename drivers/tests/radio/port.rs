//! The station's task and the simulated radio at the two ends of a pseudo-terminal, at either speed, in real time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gondola_drivers::head::{HeadEvent, Outcome, Picture};
use gondola_drivers::openepaperlink::line::{BAUD_FAST, BAUD_SLOW, LineOptions};
use gondola_drivers::openepaperlink::{LabelTypes, RadioOptions};
use gondola_drivers::transport::ResetPin;
use gondola_drivers::{StationHandle, StationOptions, StationOrder, Transport, spawn};
use gondola_protocol::message::Lane;
use gondola_protocol::{Edition, LabelId, Moment, Planes, StationId, TransferNumber};
use gondola_simulator::openepaperlink::serve::Port;
use gondola_simulator::openepaperlink::{Model, Site, SiteOptions, TagOptions};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::shop::{label, picture};

/// Nothing takes longer unless something is broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// Somebody waits so long before he presses a button again, and so often.
const PRESS_PERIOD: Duration = Duration::from_secs(15);
const PRESSES_MAX: u32 = 8;

const LABELS: u64 = 5;

/// A radio on a line that can be unplugged, and the task that drives it.
struct Stage {
    site: Arc<Mutex<Site>>,
    /// A name of the line that stays when the line is plugged in anew.
    link: tempfile::TempDir,
    port: CancellationToken,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    handle: StationHandle,
    events: mpsc::Receiver<(StationId, HeadEvent)>,
    clock: Clock,
    wanted: BTreeMap<LabelId, Planes>,
    last: u32,
}

#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Moment {
        Moment::from_secs(1_000) + self.0.elapsed()
    }
}

impl Stage {
    fn new(baud: u32) -> Self {
        Self::with(baud, None)
    }

    #[expect(clippy::disallowed_methods, reason = "a test of the shell that is given a clock")]
    fn with(baud: u32, reset: Option<ResetPin>) -> Self {
        let clock = Clock(Instant::now());
        let options = SiteOptions { seed: 1, loss: 0.0, radio: Default::default() };
        let site = Arc::new(Mutex::new(Site::new(clock.now(), options)));
        let (tracker, shutdown, link) = (TaskTracker::new(), CancellationToken::new(), tempfile::tempdir().unwrap());
        let (sender, events) = mpsc::channel(64);
        let path = link.path().join("radio").to_str().unwrap().to_owned();
        let line = LineOptions { channel: 20, power: 10, baud };
        let options = StationOptions {
            id: "front".parse().unwrap(),
            transport: Transport::Serial { path, baud: BAUD_SLOW, reset },
            head: RadioOptions { line, label_types: LabelTypes::default() }.into(),
        };
        // The line is there first: the radio's task has a thread of its own and opens it at once.
        let port = plug_in(&site, link.path(), &tracker, clock);
        let handle = spawn(options, &tracker, shutdown.clone(), move || clock.now(), sender);
        let wanted = BTreeMap::new();
        Self { site, link, port, tracker, shutdown, handle, events, clock, wanted, last: 0 }
    }

    fn plug_in_again(&mut self) {
        self.port = plug_in(&self.site, self.link.path(), &self.tracker, self.clock);
    }

    async fn event(&mut self) -> HeadEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("a task").1
    }

    async fn up(&mut self) {
        while !matches!(self.event().await, HeadEvent::Up { .. }) {}
    }

    fn site<T>(&self, act: impl FnOnce(&mut Site, Moment) -> T) -> T {
        let now = self.clock.now();
        let mut site = self.site.lock().unwrap();
        site.handle_timeout(now);
        act(&mut site, now)
    }

    /// Hangs the labels up and waits until each has been heard.
    async fn hang_up(&mut self) {
        for number in 0..LABELS {
            let model = Model::ALL[usize::try_from(number).unwrap()];
            let options = TagOptions { label: label(number), model, firmware: 0x29, fault: None };
            self.site(|site, now| site.add(now, options, Duration::from_millis(100 + number * 50)));
            self.wanted.insert(options.label, picture(model.panel(), number, 1));
        }
        let mut heard = std::collections::BTreeSet::new();
        while heard.len() < self.wanted.len() {
            if let HeadEvent::Heard(said) = self.event().await {
                heard.insert(said.label);
            }
        }
    }

    fn send(&mut self, id: LabelId) {
        self.last += 1;
        let planes = self.wanted[&id].clone();
        let number = TransferNumber(self.last);
        let picture = Picture {
            number,
            label: id,
            edition: Edition(1),
            lane: Lane::Price,
            planes,
            held: None,
            encodings: u8::MAX,
            packed: None,
        };
        self.handle.try_order(StationOrder::Submit(picture)).unwrap();
    }

    /// Somebody goes along the shelf and presses each button, so that nobody sleeps, until the label shows its picture.
    async fn settle(&mut self) {
        let labels: Vec<LabelId> = self.wanted.keys().copied().collect();
        for id in labels {
            let mut presses = 0;
            while !self.shows(id) {
                assert!(presses < PRESSES_MAX, "{id} was woken {presses} times and does not show its picture");
                presses += 1;
                self.site(|site, now| site.press(now, id));
                // It may be told to come again in some seconds, and does.
                let _ = timeout(PRESS_PERIOD, self.shown(id)).await;
            }
        }
    }

    fn shows(&self, id: LabelId) -> bool {
        self.site(|site, _| site.label(id).unwrap().planes == self.wanted[&id])
    }

    /// Waits until a label shows its picture.
    async fn shown(&mut self, id: LabelId) {
        while !self.shows(id) {
            let event = timeout(Duration::from_millis(100), self.events.recv()).await;
            assert!(!matches!(event, Ok(None)), "the task has ended");
        }
    }

    /// Waits until the radio has something in a slot.
    async fn filled(&mut self) {
        let filled = async {
            while self.site(|site, _| site.slots()) == 0 {
                let event = timeout(Duration::from_millis(10), self.events.recv()).await;
                assert!(!matches!(event, Ok(None)), "the task has ended");
            }
        };
        timeout(PATIENCE, filled).await.expect("the radio's slots are filled");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.port.cancel();
        self.tracker.close();
        timeout(PATIENCE, self.tracker.wait()).await.expect("the tasks end");
    }
}

/// Gives the radio a line, and the line its name in `directory`. Cancelling the token unplugs it.
fn plug_in(site: &Arc<Mutex<Site>>, directory: &Path, tracker: &TaskTracker, clock: Clock) -> CancellationToken {
    let port = Port::open().unwrap();
    let link = directory.join("radio");
    std::fs::remove_file(&link).ok();
    std::os::unix::fs::symlink(port.path(), link).unwrap();
    let (site, unplug) = (Arc::clone(site), CancellationToken::new());
    let unplugged = unplug.clone();
    tracker.spawn(async move { port.run(&site, || clock.now(), unplugged).await });
    unplug
}

async fn check_settles(baud: u32) {
    let mut stage = Stage::new(baud);
    stage.up().await;
    assert_eq!(stage.site(|site, _| site.baud()), baud);
    stage.hang_up().await;
    let labels: Vec<LabelId> = stage.wanted.keys().copied().collect();
    labels.into_iter().for_each(|id| stage.send(id));
    stage.settle().await;
    stage.stop().await;
}

#[tokio::test]
async fn five_labels_settle_at_the_low_speed() {
    check_settles(BAUD_SLOW).await;
}

#[tokio::test]
async fn five_labels_settle_at_the_high_speed() {
    check_settles(BAUD_FAST).await;
}

#[tokio::test]
async fn an_adapter_that_cannot_reset_the_radio_says_so() {
    let mut stage = Stage::with(BAUD_FAST, Some(ResetPin::Rts));
    let HeadEvent::Down(reason) = stage.event().await else { panic!("it has no such pin") };
    assert!(reason.to_string().contains("the adapter cannot move its DTR pin: "), "{reason}");
    stage.stop().await;
}

#[tokio::test]
async fn a_restart_and_an_unplugging_are_got_over() {
    let mut stage = Stage::new(BAUD_FAST);
    stage.up().await;
    stage.hang_up().await;
    let labels: Vec<LabelId> = stage.wanted.keys().copied().collect();
    labels.into_iter().for_each(|id| stage.send(id));
    stage.filled().await;
    stage.site(|site, _| site.restart_radio());
    // The line is gone before the radio is filled again.
    stage.port.cancel();
    let mut lost = 0;
    while lost < LABELS {
        if let HeadEvent::Outcome { outcome: Outcome::Lost, .. } = stage.event().await {
            lost += 1;
        }
    }
    stage.plug_in_again();
    stage.up().await;
    let labels: Vec<LabelId> = stage.wanted.keys().copied().collect();
    labels.into_iter().for_each(|id| stage.send(id));
    stage.settle().await;
    stage.stop().await;
}
