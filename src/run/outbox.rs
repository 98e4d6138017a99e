//! What is to be published, until the broker has it: bounded, and merged to the newest of each topic and key.
//!
//! It never waits: who has something to say puts it in and goes on, whether there is a broker or not. What is
//! taken out stays known until it is acknowledged, and goes out again on the next connection if it was not.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gondola_protocol::StoreId;
use tokio::sync::Notify;

use super::publications::Message;

/// Publications that wait while the broker is away: one for each product of the largest store and each of its
/// labels. Beyond it the oldest is dropped, which costs its listener that one word, and 100 MB at worst are held.
pub const WAITING_MAX: usize = 500_000;

/// What two publications share when the newer replaces the older.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Slot {
    store: StoreId,
    topic: String,
    key: String,
}

/// One message, ready for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Whose.
    pub store: StoreId,
    /// What.
    pub message: Message,
}

impl Outgoing {
    fn slot(&self) -> Slot {
        let Message { topic, key, .. } = &self.message;
        Slot { store: self.store.clone(), topic: topic.clone(), key: key.clone() }
    }
}

/// The queue. All stores share it.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    max: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Each slot once, in the order in which it was first filled.
    order: VecDeque<Slot>,
    waiting: HashMap<Slot, Outgoing>,
    /// Handed out and not acknowledged yet.
    sent: Vec<Outgoing>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new(WAITING_MAX)
    }
}

impl Outbox {
    /// An empty queue for at most `max` publications.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), max }
    }

    /// Takes something in. What waits for the same topic and key is replaced where it stands.
    pub fn put(&self, store: &StoreId, message: Message) {
        let outgoing = Outgoing { store: store.clone(), message };
        let mut state = self.state();
        let slot = outgoing.slot();
        if state.waiting.insert(slot.clone(), outgoing).is_none() {
            state.order.push_back(slot);
        }
        if state.waiting.len() > self.max
            && let Some(oldest) = state.order.pop_front()
        {
            state.waiting.remove(&oldest);
            metrics::counter!("gondola_publications_dropped_total").increment(1);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until there is something, and hands out the next `max` at most.
    pub async fn take(&self, max: usize) -> Vec<Outgoing> {
        loop {
            let batch = self.state().take(max);
            if !batch.is_empty() {
                return batch;
            }
            self.filled.notified().await;
        }
    }

    /// The broker has everything that was handed out.
    pub fn acknowledged(&self) {
        self.state().sent.clear();
    }

    /// The connection is gone: what was handed out and not acknowledged goes first on the next one, unless there
    /// is something newer in its place.
    pub fn recover(&self) {
        let mut state = self.state();
        while let Some(outgoing) = state.sent.pop() {
            let slot = outgoing.slot();
            if !state.waiting.contains_key(&slot) {
                state.waiting.insert(slot.clone(), outgoing);
                state.order.push_front(slot);
            }
        }
    }

    /// Publications that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// A panic elsewhere leaves nothing half done: whoever held the lock did no more than move values.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, max: usize) -> Vec<Outgoing> {
        let count = max.min(self.order.len());
        let slots = self.order.drain(..count);
        let batch: Vec<Outgoing> = slots.filter_map(|slot| self.waiting.remove(&slot)).collect();
        self.sent.clone_from(&batch);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(outbox: &Outbox, key: &str, payload: &str) {
        let [topic, key, payload] = ["confirmations", key, payload].map(str::to_owned);
        outbox.put(&"hz-001".parse().unwrap(), Message { topic, key, payload, retain: false });
    }

    fn payloads(batch: &[Outgoing]) -> Vec<&str> {
        batch.iter().map(|outgoing| outgoing.message.payload.as_str()).collect()
    }

    #[tokio::test]
    async fn the_newest_of_a_key_goes_out_in_the_place_of_the_oldest() {
        let outbox = Outbox::default();
        for (key, payload) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1")] {
            put(&outbox, key, payload);
        }
        assert_eq!(payloads(&outbox.take(2).await), ["a2", "b1"]);
        outbox.acknowledged();
        assert_eq!(payloads(&outbox.take(2).await), ["c1"]);
        outbox.acknowledged();
        assert_eq!(outbox.waiting(), 0);
    }

    #[tokio::test]
    async fn what_was_not_acknowledged_goes_out_again_unless_it_is_overtaken() {
        let outbox = Outbox::default();
        for (key, payload) in [("a", "a1"), ("b", "b1"), ("c", "c1")] {
            put(&outbox, key, payload);
        }
        assert_eq!(payloads(&outbox.take(2).await), ["a1", "b1"]);
        put(&outbox, "a", "a2");
        outbox.recover();
        assert_eq!(payloads(&outbox.take(8).await), ["b1", "c1", "a2"]);
        outbox.acknowledged();
        outbox.recover();
        assert_eq!(outbox.waiting(), 0);
    }

    #[tokio::test]
    async fn a_full_outbox_drops_the_oldest() {
        let outbox = Outbox::new(2);
        for key in ["a", "b", "c", "b"] {
            put(&outbox, key, key);
        }
        assert_eq!(payloads(&outbox.take(8).await), ["b", "c"]);
    }

    #[tokio::test]
    async fn an_empty_outbox_is_waited_for() {
        let outbox = Outbox::default();
        let (batch, ()) = tokio::join!(outbox.take(1), async { put(&outbox, "a", "a1") });
        assert_eq!(payloads(&batch), ["a1"]);
    }
}
