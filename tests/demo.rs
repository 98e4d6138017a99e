//! The whole system in one process: broker, sockets, disk and threads, on free ports.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

use std::net::Ipv4Addr;
use std::time::Duration;

use gondola::run::telemetry::Telemetry;
use gondola::simulate::demo::{self, DemoOptions, DemoReport, Progress};
use gondola_simulator::Fault;
use tokio_util::sync::CancellationToken;

/// Longer than a busy machine takes; nothing waits for it when all goes well.
const PATIENCE: Duration = Duration::from_secs(180);

/// Plays a demonstration until it settles, or until `enough` says that it has gone far enough.
async fn play(options: DemoOptions, enough: impl Fn(&Progress) -> bool + Send) -> DemoReport {
    let stop = CancellationToken::new();
    let watched = stop.clone();
    let progress = move |progress| {
        if enough(&progress) {
            watched.cancel();
        }
    };
    demo::run(options, &Telemetry::silent(), stop, progress).await.unwrap()
}

fn options(labels: u32, seed: u64, loss: f64) -> DemoOptions {
    DemoOptions {
        labels,
        base_stations: 2,
        seed,
        loss,
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        data_dir: None,
        until_settled: Some(PATIENCE),
        faults: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_pixel_is_seen_from_outside_and_by_nobody_else() {
    let faults = vec![(3, Fault::DeadPixel { x: 1, y: 1 })];
    // It never settles: the controller is content, and one glass stays wrong.
    let report = play(DemoOptions { faults, ..options(12, 1, 0.0) }, |progress| *progress == Progress::Agree(12)).await;
    assert_eq!(
        (report.labels, report.in_sync, report.glass_checked, report.glass_wrong),
        (12, 12, 12, 1),
        "{report:?}"
    );
    assert!(!report.is_settled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_glass_agrees_although_a_tenth_of_all_frames_is_lost() {
    let report = play(options(60, 7, 0.1), |_| false).await;
    assert!(report.is_settled(), "{report:?}");
    assert_eq!((report.glass_checked, report.glass_wrong), (60, 0));
    assert!(report.retransmissions > 0 && report.frames_lost.down > 0 && report.frames_lost.up > 0, "{report:?}");
    // The first picture and three waves.
    assert!(report.transfers >= 4 * 60, "{report:?}");
    assert!(report.event_to_glass_s.p99.is_some() && report.event_to_station_ms.p50.is_some(), "{report:?}");
}
