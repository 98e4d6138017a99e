//! Labels on a floor, in interference, and calling at the same time.

use std::time::Duration;

use gondola_protocol::LabelId;

use super::controller::{Bench, LABEL, picture, shop, transfer};
use crate::link::Bursts;
use crate::radio::RadioOptions;
use crate::station::StationOptions;
use crate::world::WorldOptions;

const MINUTE: Duration = Duration::from_secs(60);

const BURSTS: Bursts = Bursts { every: Duration::from_secs(3), length: Duration::from_secs(1), loss: 0.9 };

fn within(radio: RadioOptions, seed: u64, count: u64) -> WorldOptions {
    WorldOptions { radio, ..shop(seed, 0.0, count) }
}

#[test]
fn pictures_reach_every_glass_through_everything() {
    let radio = RadioOptions { floor: true, bursts: Some(BURSTS), collisions: true, duty_cycle: 0.2 };
    for seed in 0..5 {
        let mut bench = Bench::new(within(radio, seed, 40));
        bench.send_batch((1..=40).map(|id| transfer(id, LabelId(id.into()), 1, &picture(id.try_into().unwrap()))));
        bench.run_until(|bench| (1..=40).all(|id: u8| bench.world.screen(LabelId(id.into())) == Some(picture(id))));
        let counters = bench.world.counters();
        assert!(counters.blocks_lost > 0, "seed {seed}: {counters:?}");
    }
}

#[test]
fn interference_at_a_label_is_its_own() {
    let life = |count| {
        let radio = RadioOptions { bursts: Some(BURSTS), ..RadioOptions::default() };
        let mut bench = Bench::new(within(radio, 6, count));
        bench.send_batch([transfer(1, LABEL, 1, &picture(1))]);
        bench.run(10 * MINUTE);
        bench.label(LABEL)
    };
    assert_eq!(life(1), life(8));
}

#[test]
fn interference_costs_charge_until_it_is_over() {
    let spent = |bursts, quiet_after: Duration| {
        let mut bench = Bench::new(within(RadioOptions { bursts, ..RadioOptions::default() }, 6, 20));
        bench.run(quiet_after);
        bench.world.set_bursts(bench.now, None);
        bench.run(60 * MINUTE - quiet_after);
        bench.world.labels().map(|label| label.spent_nc).sum::<u64>()
    };
    let (calm, half, all) =
        (spent(None, 30 * MINUTE), spent(Some(BURSTS), 30 * MINUTE), spent(Some(BURSTS), 60 * MINUTE));
    // A quarter of the time is a burst that takes nine polls in ten: 0.225 of them are lost, so that 1.276 are sent.
    assert!(calm < half && half < all && all < calm * 13 / 10, "{calm}, {half}, {all}");
}

#[test]
fn a_label_polls_the_station_that_it_hears_best() {
    let stations = ["back", "front"].map(|id| StationOptions { id: id.parse().unwrap(), ..StationOptions::default() });
    let radio = RadioOptions { floor: true, ..RadioOptions::default() };
    let options = WorldOptions { stations: stations.to_vec(), ..within(radio, 3, 2_400) };
    let world = crate::World::new(options, gondola_protocol::Moment::ZERO);
    // Sixteen metres to a side, one station in the middle of each half: most hear the nearer one better, and shadows
    // of 10 dB make up for some of the way.
    let plan = crate::Floor::for_labels(2_400, 2);
    let nearer = world.labels().zip(&plan.labels).filter(|(label, place)| {
        let distance = |of: usize| {
            let at = plan.base_stations[of];
            at.x_cm.abs_diff(place.x_cm).pow(2) + at.y_cm.abs_diff(place.y_cm).pow(2)
        };
        (label.station.as_str() == "back") == (distance(0) < distance(1))
    });
    let nearer = nearer.count();
    assert!((1_300..2_200).contains(&nearer), "{nearer}");
}

#[test]
fn labels_that_wake_together_are_not_heard() {
    let collisions = |count| {
        let radio = RadioOptions { collisions: true, ..RadioOptions::default() };
        let mut bench = Bench::new(within(radio, 1, count));
        bench.run(60 * MINUTE);
        let counters = bench.world.counters();
        // The boot reports, and one every 15 minutes: all were heard in the end.
        assert!(counters.check_ins >= 4 * count, "{counters:?}");
        counters.collisions
    };
    assert_eq!(collisions(1), 0);
    assert!(collisions(400) > 20);
}
