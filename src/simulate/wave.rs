//! A wave over a whole shop: every price changes at once, and the time until the last glass shows its new one is held
//! against what the radio allows.

use std::time::Duration;

use gondola_simulator::Counters;
use serde::Serialize;

use super::harness::HarnessOptions;
use super::report::{Distribution, seconds};
use super::shop::{Opening, Shop, ShopOptions, station};
use crate::catalog::wire::Facet;
use crate::render::RenderError;

/// A wave that is not over by then is a failure.
const WAVE_MAX: Duration = Duration::from_secs(3_600);

/// How long a shop that was found in order may take until it is known to be.
const OPENING_MAX: Duration = Duration::from_secs(600);

/// How a wave went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaveReport {
    /// Decides every chance.
    pub seed: u64,
    /// Labels in the shop.
    pub labels: usize,
    /// Base stations in the shop.
    pub base_stations: usize,
    /// How long labels sleep, in seconds.
    pub wake_s: f64,
    /// Share of radio messages, blocks and frames that are lost.
    pub loss: f64,
    /// Pictures that a base station holds at once.
    pub transfers_max: u16,
    /// Whether every glass came to show its new price.
    pub is_settled: bool,
    /// Pictures that base stations received.
    pub transfers: u64,
    /// Packed bytes of a picture.
    pub bytes_per_picture: u64,
    /// Seconds within which the radio lets it be over: the largest over the base stations of the expected airtime with
    /// what is lost, and then the wakes of the unluckiest label.
    pub bound_s: f64,
    /// Seconds until the last glass showed its new price.
    pub reached_s: f64,
    /// The one over the other.
    pub ratio: f64,
    /// From the change to the glass.
    pub time_to_shelf_s: Distribution,
    /// Things that happened in the simulated shop.
    pub events: u64,
    /// How many of them the machine at hand went through in a second; told only to who asks, for it is another each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_s: Option<u64>,
}

/// Opens a shop in order, changes every price at once, and waits for the last glass. Answers also how long each of the
/// changes took to its glass, in milliseconds.
///
/// # Errors
/// The fonts do not open.
pub fn run(options: ShopOptions) -> Result<(WaveReport, Vec<u64>), RenderError> {
    let mut shop = Shop::open(options.clone(), HarnessOptions::default(), Opening::InOrder)?;
    shop.hang_all(Opening::InOrder);
    shop.settle(OPENING_MAX);
    let opened = shop.to_shelf_ms().len();
    let stations: Vec<_> = (0..options.base_stations).map(station).collect();
    let before: Vec<Counters> = stations.iter().map(|id| shop.harness.world().counters_of(id)).collect();
    let prices: Vec<(usize, u64)> =
        (0..options.labels).map(|number| (number, shop.merchandise.first_price(number) + 100)).collect();
    for message in shop.change_prices(&prices) {
        shop.harness.publish(Facet::Base, &message);
    }
    let is_settled = shop.settle(WAVE_MAX);

    let world = shop.harness.world();
    let during = stations.iter().zip(&before).map(|(id, before)| world.counters_of(id) - *before);
    let during: Vec<Counters> = during.collect();
    let bounds = stations.iter().zip(&during).map(|(id, wave)| world.wave_bound(id, *wave, options.wake));
    let bound = bounds.max().unwrap_or_default();
    let to_shelf_ms = shop.to_shelf_ms()[opened..].to_vec();
    let time_to_shelf_s = Distribution::of_ms(&to_shelf_ms);
    let transfers = during.iter().map(|wave| wave.transfers).sum();
    let bytes: u64 = during.iter().map(|wave| wave.bytes_packed).sum();
    let report = WaveReport {
        seed: options.seed,
        labels: options.labels,
        base_stations: options.base_stations,
        wake_s: options.wake.as_secs_f64(),
        loss: options.loss,
        transfers_max: options.transfers_max,
        is_settled,
        transfers,
        bytes_per_picture: bytes.checked_div(transfers).unwrap_or_default(),
        bound_s: seconds(bound),
        reached_s: time_to_shelf_s.max,
        ratio: (time_to_shelf_s.max / bound.as_secs_f64() * 1_000.0).round() / 1_000.0,
        time_to_shelf_s,
        events: world.events(),
        events_per_s: None,
    };
    Ok((report, to_shelf_ms))
}
