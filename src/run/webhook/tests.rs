//! Receivers over real sockets: well, failing, hanging, resetting, and gone.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::*;
use crate::journal::memory::MemoryDirectory;
use crate::run::templates::TemplateLibrary;
use crate::template::Templates;
use crate::web::tests::shop::{DAY, TestShop};

/// Longest wait for something to arrive.
const WAIT_MAX: Duration = Duration::from_secs(20);

const QUICK: Patience = Patience {
    answer_within: Duration::from_millis(200),
    first: Duration::from_millis(2),
    longest: Duration::from_millis(20),
};

/// How a receiver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// It answers 500.
    Fails,
    /// It takes a request, and never answers.
    Hangs,
    /// It takes a request, and ends the connection without an answer.
    Drops,
    /// It closes the connection before it has read what was sent.
    Resets,
}

/// What a receiver has heard.
#[derive(Debug, Default)]
struct Heard {
    tries: usize,
    /// Everything that was read to its end, answered or not, in its order: name and body.
    read: Vec<(String, String)>,
    /// Names of what was answered with 200.
    answered: Vec<String>,
}

struct Receiver {
    url: String,
    mood: watch::Sender<Mood>,
    heard: Arc<Mutex<Heard>>,
    changed: watch::Receiver<()>,
}

impl Receiver {
    async fn start(tracker: &TaskTracker, shutdown: &CancellationToken) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (mood, moods) = watch::channel(Mood::Well);
        let (change, changed) = watch::channel(());
        let (heard, change) = (Arc::<Mutex<Heard>>::default(), Arc::new(change));
        let kept = Arc::clone(&heard);
        let (shutdown, connections) = (shutdown.clone(), tracker.clone());
        tracker.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let (kept, change, moods) = (Arc::clone(&kept), Arc::clone(&change), moods.clone());
                let shutdown = shutdown.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = serve(accepted.unwrap().0, moods, &kept, &change) => {}
                    }
                });
            }
        });
        Self { url, mood, heard, changed }
    }

    /// Waits until what was heard is so.
    async fn until(&self, is_so: impl Fn(&Heard) -> bool) {
        let mut changed = self.changed.clone();
        let waited = async {
            while !is_so(&self.heard.lock().unwrap()) {
                changed.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(WAIT_MAX, waited).await.is_err() {
            panic!("{:?}", self.heard.lock().unwrap());
        }
    }

    /// What was heard, each name once.
    fn once(&self) -> Vec<(String, Value)> {
        let mut names = BTreeSet::new();
        let heard = self.heard.lock().unwrap();
        let read = heard.read.iter().filter(|(name, _)| names.insert(name.clone()));
        read.map(|(name, body)| (name.clone(), serde_json::from_str(body).unwrap())).collect()
    }
}

async fn serve(mut stream: TcpStream, moods: watch::Receiver<Mood>, heard: &Mutex<Heard>, change: &watch::Sender<()>) {
    loop {
        let mut text = Vec::new();
        let mut piece = vec![0; 4_096];
        let head = loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(read) => text.extend_from_slice(&piece[..read]),
            }
            if let Some(end) = text.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
        };
        heard.lock().unwrap().tries += 1;
        let mood = *moods.borrow();
        if mood == Mood::Resets {
            change.send_replace(());
            return;
        }
        let fields = String::from_utf8(text[..head].to_vec()).unwrap();
        let field = |name: &str| {
            let line = fields.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_default().to_owned()
        };
        let length: usize = field("content-length").parse().unwrap();
        while text.len() < head + length {
            let read = stream.read(&mut piece).await.unwrap();
            text.extend_from_slice(&piece[..read]);
        }
        let (name, body) = (field("webhook-id"), String::from_utf8(text.split_off(head)).unwrap());
        let seconds: u64 = field("webhook-timestamp").parse().unwrap();
        assert_eq!(field("webhook-signature"), sign::standard("a secret", &name, seconds, &body));
        let status = match mood {
            Mood::Well => "200 OK",
            _ => "500 Internal Server Error",
        };
        {
            let mut heard = heard.lock().unwrap();
            heard.read.push((name.clone(), body));
            if mood == Mood::Well {
                heard.answered.push(name);
            }
        }
        change.send_replace(());
        match mood {
            Mood::Hangs => return pending().await,
            Mood::Drops => return,
            _ => {}
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A store with a receiver, on disks that outlive both.
struct Site {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    shop: TestShop,
}

impl Site {
    fn start(disk: MemoryDirectory, dir: &TempDir, config: WebhookConfig) -> Self {
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let templates = TemplateLibrary::open(dir.path(), Clock::starting_at(DAY), Arc::new(Templates::embedded()));
        let shop = TestShop::open_on(disk, ("hz-001", "杭州解百店"), &templates, &tracker, &shutdown);
        let stores = [(shop.handle.clone(), "杭州解百店".to_owned())];
        let webhook = Webhook::new(config, QUICK, stores, Clock::starting_at(DAY), dir.path()).unwrap();
        tracker.spawn(webhook.run(shutdown.clone()));
        Self { tracker, shutdown, shop }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(WAIT_MAX, self.tracker.wait()).await.unwrap();
    }
}

fn config(url: &str, dir: &TempDir) -> WebhookConfig {
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "a secret\n").unwrap();
    let text = format!("name = \"ops\"\nurl = \"{url}\"\nsecret_file = \"{}\"\n", secret.display());
    toml::from_str(&text).unwrap()
}

#[tokio::test]
async fn alerts_arrive_once_a_receiver_heals_in_order_and_each_under_one_name() {
    let (tracker, shutdown, dir) = (TaskTracker::new(), CancellationToken::new(), TempDir::new().unwrap());
    let receiver = Receiver::start(&tracker, &shutdown).await;
    let site = Site::start(MemoryDirectory::default(), &dir, config(&receiver.url, &dir));
    let mut raised = Vec::new();
    for (turn, mood) in [Mood::Fails, Mood::Hangs, Mood::Drops, Mood::Resets].into_iter().enumerate() {
        receiver.mood.send_replace(mood);
        let tries = receiver.heard.lock().unwrap().tries;
        for nth in 0..5 {
            let station = format!("ghost-{turn}-{nth}");
            site.shop.turn_away(&station).await;
            raised.push(station);
        }
        receiver.until(|heard| heard.tries >= tries + 3).await;
        receiver.mood.send_replace(Mood::Well);
        let wanted = raised.len();
        receiver.until(|heard| heard.answered.iter().collect::<BTreeSet<_>>().len() == wanted).await;
    }
    let heard = receiver.once();
    let subjects: Vec<&str> = heard.iter().map(|(_, body)| body["alert"]["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, raised);
    assert!(heard.iter().all(|(name, body)| body["delivery"] == name.as_str()), "{heard:?}");
    let answered = receiver.heard.lock().unwrap().answered.clone();
    assert_eq!(answered.iter().collect::<BTreeSet<_>>().len(), answered.len(), "what was taken is not sent again");
    site.stop().await;
    shutdown.cancel();
}

#[tokio::test]
async fn a_restart_loses_no_alert_and_tells_none_again() {
    let (tracker, shutdown, dir) = (TaskTracker::new(), CancellationToken::new(), TempDir::new().unwrap());
    let receiver = Receiver::start(&tracker, &shutdown).await;
    let config = config(&receiver.url, &dir);
    let disk = MemoryDirectory::default();
    let site = Site::start(disk.clone(), &dir, config.clone());
    site.shop.turn_away("told").await;
    receiver.until(|heard| heard.answered.len() == 1).await;
    receiver.mood.send_replace(Mood::Fails);
    let tries = receiver.heard.lock().unwrap().tries;
    for station in ["untold-1", "untold-2"] {
        site.shop.turn_away(station).await;
    }
    receiver.until(|heard| heard.tries > tries).await;
    // The second is in the journal, too, once a read comes after it.
    let known = async {
        while site.shop.handle.read(|controller, _| controller.alert_news().count()).await.unwrap() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, known).await.unwrap();
    site.stop().await;

    receiver.mood.send_replace(Mood::Well);
    let site = Site::start(disk, &dir, config);
    receiver.until(|heard| heard.answered.len() == 3).await;
    site.shop.turn_away("later").await;
    receiver.until(|heard| heard.answered.len() == 4).await;
    let heard = receiver.once();
    let subjects: Vec<&str> = heard.iter().map(|(_, body)| body["alert"]["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["told", "untold-1", "untold-2", "later"]);
    site.stop().await;
    shutdown.cancel();
}

#[tokio::test]
async fn the_journals_head_is_told_once_a_day_where_it_is_asked_for() {
    let (tracker, shutdown, dir) = (TaskTracker::new(), CancellationToken::new(), TempDir::new().unwrap());
    let receiver = Receiver::start(&tracker, &shutdown).await;
    let config = WebhookConfig { topics: BTreeSet::from([Topic::Journal]), ..config(&receiver.url, &dir) };
    let disk = MemoryDirectory::default();
    let site = Site::start(disk.clone(), &dir, config.clone());
    site.shop.turn_away("ghost").await;
    let known = async {
        while site.shop.handle.read(|controller, _| controller.alert_news().count()).await.unwrap() < 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, known).await.unwrap();
    site.stop().await;
    // The next start tells how far the journal goes.
    let site = Site::start(disk, &dir, config);
    receiver.until(|heard| heard.answered.len() == 1).await;
    let (name, body) = receiver.once().remove(0);
    let sequence = body["journal"]["sequence"].as_u64().unwrap();
    assert_eq!((name, body["kind"].as_str()), (format!("hz-001-journal-{sequence}"), Some("journal")));
    assert_eq!(body["journal"]["hash"].as_str().unwrap().len(), 64);
    site.stop().await;
    shutdown.cancel();
}
