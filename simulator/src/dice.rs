//! Seeded chance: one stream of numbers for each label and each station.
//!
//! Each stream depends on the world's seed and its owner's id alone, so that no label's fate depends on
//! the order in which others act or on how many others there are.

use gondola_protocol::auth::Nonce;
use gondola_protocol::{LabelId, StationId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A probability of loss, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Loss(pub(crate) f64);

/// One owner's stream of numbers.
#[derive(Debug, Clone)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// For a purpose of its own.
    #[must_use]
    pub fn of(seed: u64, purpose: [u8; 8], id: u64) -> Self {
        Self::keyed(seed, purpose, id)
    }

    pub(crate) fn of_label(seed: u64, label: LabelId) -> Self {
        Self::keyed(seed, *b"label   ", label.0)
    }

    pub(crate) fn of_station(seed: u64, station: &StationId) -> Self {
        Self::keyed(seed, *b"station ", hash(station))
    }

    /// Of what stands between a label and a station.
    pub(crate) fn of_pair(seed: u64, label: LabelId, station: &StationId) -> Self {
        Self::keyed(seed ^ hash(station), *b"pair    ", label.0)
    }

    /// Of a radio and its labels.
    pub(crate) fn of_site(seed: u64) -> Self {
        Self::keyed(seed, *b"site    ", 0)
    }

    /// Of a station's crystal, and of the nonces that it makes.
    pub(crate) fn of_crystal(seed: u64, station: &StationId) -> Self {
        Self::keyed(seed, *b"crystal ", hash(station))
    }

    fn keyed(seed: u64, kind: [u8; 8], id: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&kind);
        key[16..24].copy_from_slice(&id.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Whether something happens that does so in `per_mille` of 1,000 cases.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// A number below `limit`, which is small against 2^64: the bias of the remainder does not show.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit.max(1)
    }

    /// A drift of at most `max` millionths either way.
    pub(crate) fn within_ppm(&mut self, max: u64) -> i64 {
        let wide = i64::try_from(self.below(2 * max + 1)).unwrap_or_default();
        wide - i64::try_from(max).unwrap_or_default()
    }

    pub(crate) fn nonce(&mut self) -> Nonce {
        let mut nonce = Nonce::default();
        self.0.fill_bytes(&mut nonce.0);
        nonce
    }

    /// A number of the standard normal distribution, by the method of Box and Muller (1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.share(), self.share());
        libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(2.0 * std::f64::consts::PI * angle)
    }

    /// A time until something random happens, whose mean is 1.
    #[cfg(test)]
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log(self.share())
    }

    /// A number above 0, and at most 1.
    fn share(&mut self) -> f64 {
        const WORDS: f64 = 4_294_967_296.0;
        (f64::from(self.0.next_u32()) + 1.0) / WORDS
    }

    /// Whether a message is lost.
    pub(crate) fn loses(&mut self, loss: Loss) -> bool {
        const WORDS: f64 = 4_294_967_296.0;
        loss.0 > 0.0 && f64::from(self.0.next_u32()) < loss.0 * WORDS
    }
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): spreads a short name over a word, the same on every machine.
fn hash(station: &StationId) -> u64 {
    let bytes = station.as_str().bytes();
    bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
