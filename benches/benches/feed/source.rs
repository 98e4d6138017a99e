//! The merchandise system: it changes prices, publishes each change, and serves all of them as a snapshot.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gondola::run::clock::Clock;
use gondola_protocol::Moment;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Changes that were made and that the broker has not acknowledged: a source keeps them until it has.
const UNACKNOWLEDGED_MAX: usize = 1_000;

/// Changes that wait behind those: what a source makes while its broker is away for some seconds.
const WAITING_MAX: usize = 20_000;

const TOPIC: &str = "gondola/v1/hz-001/feed/base";

/// What the source says of its products, by their number. Shared with who serves the snapshots.
#[derive(Debug)]
pub(crate) struct Products {
    /// Each one's revision, which decides its price.
    pub(crate) revisions: Vec<u64>,
    seq: u64,
    generation: u64,
}

impl Products {
    /// Everything as it stands now, line by line as it is asked for: it must not cost memory here.
    pub(crate) fn snapshot(&mut self) -> impl Iterator<Item = String> + Send + use<> {
        self.generation += 1;
        let (generation, seq, revisions) = (self.generation, self.seq, self.revisions.clone());
        let count = revisions.len();
        let header = format!("{{\"snapshot\":{{\"facet\":\"base\",\"generation\":{generation},\"seq\":{seq}}}}}\n");
        let rows = revisions.into_iter().enumerate().map(|(product, revision)| row(product, revision, None) + "\n");
        std::iter::once(header).chain(rows).chain([format!("{{\"end\":{{\"count\":{count}}}}}\n")])
    }
}

/// A base event.
fn row(product: usize, revision: u64, seq: Option<u64>) -> String {
    let (sku, price) = (sku(product), price(revision));
    let seq = seq.map(|seq| format!("\"seq\":{seq},")).unwrap_or_default();
    format!(
        "{{\"sku\":\"{sku}\",\"revision\":{revision},{seq}\"name\":\"加州开心果 {product}\",\"brand\":\"严选\",\
         \"spec\":\"500g/袋\",\"origin\":\"美国\",\"grade\":\"一级\",\"unit\":\"袋\",\"barcode\":\"6901234567892\",\
         \"category\":\"nuts\",\"price\":\"{price}\",\"content\":{{\"amount\":\"500\",\"unit\":\"g\"}},\
         \"attributes\":{{\"roast\":\"原味\"}},\"promotions\":[]}}"
    )
}

pub(crate) fn sku(product: usize) -> String {
    format!("{:06}", 100_000 + product)
}

pub(crate) fn price(revision: u64) -> String {
    format!("{}.{:02}", 1 + revision / 100, revision % 100)
}

/// The source's own end.
pub(crate) struct Source {
    pub(crate) products: Arc<Mutex<Products>>,
    messages: mpsc::Sender<String>,
    clock: Clock,
    next: usize,
    _tasks: TaskTracker,
}

impl Source {
    pub(crate) fn start(count: usize, port: u16, clock: Clock) -> Self {
        let products = Products { revisions: vec![1; count], seq: 0, generation: 0 };
        let (messages, waiting) = mpsc::channel(WAITING_MAX);
        let tasks = TaskTracker::new();
        tasks.spawn(publish(port, waiting, tasks.clone()));
        Self { products: Arc::new(Mutex::new(products)), messages, clock, next: 0, _tasks: tasks }
    }

    /// Gives one of the first `among` products its next revision and price, and publishes it. Answers which, the
    /// revision, and when.
    pub(crate) async fn change(&mut self, among: usize) -> (usize, u64, Moment) {
        // A stride without a divisor in common with the number of products visits them all.
        self.next = (self.next + 7_919) % among;
        let (message, revision) = {
            let mut products = self.products.lock().unwrap();
            products.revisions[self.next] += 1;
            products.seq += 1;
            let revision = products.revisions[self.next];
            (row(self.next, revision, Some(products.seq)), revision)
        };
        let now = self.clock.now();
        self.messages.send(message).await.unwrap();
        (self.next, revision, now)
    }
}

/// Publishes in order, and again on the next connection what the broker has not acknowledged.
async fn publish(port: u16, mut waiting: mpsc::Receiver<String>, tasks: TaskTracker) {
    let mut unacknowledged: VecDeque<String> = VecDeque::new();
    loop {
        let (client, mut heard) = connect(port, &tasks);
        // The first word is that there is a connection.
        if heard.recv().await.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        for message in &unacknowledged {
            client.publish(TOPIC, QoS::AtLeastOnce, false, message.clone()).await.unwrap();
        }
        loop {
            tokio::select! {
                biased;
                // Cancel-safe: `recv` takes nothing unless it completes.
                acknowledged = heard.recv() => match acknowledged {
                    Some(()) => drop(unacknowledged.pop_front()),
                    None => break,
                },
                // Cancel-safe: as above.
                message = waiting.recv(), if unacknowledged.len() < UNACKNOWLEDGED_MAX => {
                    let Some(message) = message else { return };
                    unacknowledged.push_back(message.clone());
                    // A connection that is gone is heard of next.
                    let _ = client.publish(TOPIC, QoS::AtLeastOnce, false, message).await;
                }
            }
        }
    }
}

/// One connection, and a word for its beginning and for each acknowledgement; the words end with it.
fn connect(port: u16, tasks: &TaskTracker) -> (AsyncClient, mpsc::Receiver<()>) {
    let mut options = MqttOptions::new("merchandise", "127.0.0.1", port);
    options.set_inflight(u16::MAX - 1);
    let (client, mut events) = AsyncClient::new(options, 2 * UNACKNOWLEDGED_MAX);
    events.network_options.set_tcp_nodelay(true);
    let (tell, heard) = mpsc::channel(2 * UNACKNOWLEDGED_MAX);
    tasks.spawn(async move {
        while let Ok(event) = events.poll().await {
            if let Event::Incoming(Packet::ConnAck(_) | Packet::PubAck(_)) = event
                && tell.send(()).await.is_err()
            {
                return;
            }
        }
    });
    (client, heard)
}
