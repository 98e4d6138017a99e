//! How much somebody may ask for: a bucket of tries for each key, which fills again with time.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::Moment;

/// Buckets that are not full: each costs some 100 bytes. More keys than this at once are an attack; then the bucket
/// that was used longest ago is forgotten, which gives an attacker less than a new key would.
const BUCKETS_MAX: usize = 10_000;

/// How many tries there are at once, and how fast they come back.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Tries of a full bucket.
    pub burst: u32,
    /// Time in which one comes back.
    pub refill: Duration,
}

/// Buckets by key; a key without one has a full one.
#[derive(Debug)]
pub struct Buckets<K> {
    allowance: Allowance,
    /// When each bucket is full again.
    full_at: BTreeMap<K, Moment>,
}

impl<K: Ord + Clone> Buckets<K> {
    /// Full buckets.
    #[must_use]
    pub const fn new(allowance: Allowance) -> Self {
        Self { allowance, full_at: BTreeMap::new() }
    }

    /// Takes a try.
    ///
    /// # Errors
    /// There is none; it comes back after this time.
    pub fn take(&mut self, now: Moment, key: K) -> Result<(), Duration> {
        let Allowance { burst, refill } = self.allowance;
        let full_at = self.full_at.get(&key).copied().unwrap_or(now).max(now);
        let after = full_at + refill;
        let wait = after.since(now).saturating_sub(refill * burst);
        if !wait.is_zero() {
            return Err(wait);
        }
        if !self.full_at.contains_key(&key) {
            self.make_room(now);
        }
        self.full_at.insert(key, after);
        Ok(())
    }

    /// Fills a bucket.
    pub fn forget(&mut self, key: &K) {
        self.full_at.remove(key);
    }

    fn make_room(&mut self, now: Moment) {
        if self.full_at.len() < BUCKETS_MAX {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= BUCKETS_MAX
            && let Some(soonest) = self.full_at.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
        {
            self.full_at.remove(&soonest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_with_time() {
        let mut buckets = Buckets::new(Allowance { burst: 3, refill: Duration::from_secs(10) });
        let at = Moment::from_secs;
        for _ in 0..3 {
            assert_eq!(buckets.take(at(100), "a"), Ok(()));
        }
        assert_eq!(buckets.take(at(104), "a"), Err(Duration::from_secs(6)));
        assert_eq!(buckets.take(at(104), "b"), Ok(()));
        assert_eq!(buckets.take(at(110), "a"), Ok(()));
        assert!(buckets.take(at(111), "a").is_err());
        buckets.forget(&"a");
        assert_eq!(buckets.take(at(111), "a"), Ok(()));
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let mut buckets = Buckets::new(Allowance { burst: 1, refill: Duration::from_secs(10) });
        for key in 0..BUCKETS_MAX + 100 {
            assert_eq!(buckets.take(Moment::from_secs(1), key), Ok(()));
        }
        assert_eq!(buckets.full_at.len(), BUCKETS_MAX);
        assert!(buckets.take(Moment::from_secs(1), BUCKETS_MAX + 99).is_err());
        assert_eq!(buckets.take(Moment::from_secs(60), 0), Ok(()));
        assert_eq!(buckets.full_at.len(), 1, "those that are full are forgotten");
    }
}
