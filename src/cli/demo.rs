//! `gondola demo`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{Ended, UsageError};
use crate::run::telemetry::Telemetry;
use crate::simulate::demo::{self, DemoOptions, DemoReport, Progress};

/// Show the whole system at work: broker, store, simulated shop and dashboard in one process.
///
/// Labels wake every 2 seconds and a price changes every second, until Ctrl-C.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Labels in the simulated shop.
    #[arg(long, value_name = "N", default_value_t = 200)]
    labels: u32,
    /// Base stations in the simulated shop.
    #[arg(long, value_name = "N", default_value_t = 4)]
    base_stations: u32,
    /// Decides every chance in the simulated shop.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Share of frames and radio blocks that are lost, 0 to 0.9.
    #[arg(long, value_name = "P", default_value_t = 0.01)]
    loss: f64,
    /// Where the dashboard listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Keep the controller's state here instead of in a temporary directory.
    #[arg(long, value_name = "D")]
    data_dir: Option<PathBuf>,
    /// Bind all labels, change every price in three waves, and end when every glass agrees.
    #[arg(long)]
    until_settled: bool,
    /// Seconds that --until-settled may take.
    #[arg(long, value_name = "S", default_value_t = 300)]
    timeout: u64,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        self.check()?;
        let telemetry = Telemetry::start("warn");
        let bar = progress_bar(u64::from(self.labels));
        let options = DemoOptions {
            labels: self.labels,
            base_stations: self.base_stations,
            seed: self.seed,
            loss: self.loss,
            listen: self.listen,
            data_dir: self.data_dir,
            until_settled: self.until_settled.then_some(Duration::from_secs(self.timeout)),
            faults: Vec::new(),
        };
        let runtime = super::runtime()?;
        let report = runtime.block_on(async {
            let stop = CancellationToken::new();
            let signals = super::until_signalled(stop.clone());
            tokio::select! {
                biased;
                // Either ends the process.
                report = demo::run(options, &telemetry, stop, |progress| show(&bar, progress)) => report,
                () = signals => std::process::exit(1),
            }
        });
        bar.finish_and_clear();
        let report = report?;
        if self.json {
            super::print_json(&report)?;
        } else {
            print_table(&report);
        }
        Ok(if self.until_settled && !report.is_settled() { Ended::Findings } else { Ended::Done })
    }

    fn check(&self) -> Result<(), UsageError> {
        let value = |message: String| Err(UsageError::Value(message));
        if self.labels == 0 || self.base_stations == 0 {
            return value("--labels and --base-stations are at least 1".to_owned());
        }
        if !(0.0..=0.9).contains(&self.loss) {
            return value(format!("--loss {} is not between 0 and 0.9", self.loss));
        }
        if !self.listen.ip().to_canonical().is_loopback() {
            return value(format!(
                "--listen {} is not on this machine alone, and the link lets anybody in",
                self.listen
            ));
        }
        Ok(())
    }
}

/// On a terminal a bar of the labels that agree; elsewhere nothing but the messages.
fn progress_bar(labels: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:42} [{bar:30}] {pos}/{len} labels agree  {elapsed}")
        .expect("the template is well-formed")
        .progress_chars("█▌ ");
    ProgressBar::with_draw_target(Some(labels), ProgressDrawTarget::stderr()).with_style(style)
}

fn show(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Serving { link, shop, .. } => {
            let line = format!("The dashboard is at {link} (Ctrl-C ends)\nThe simulated shop is at {shop}");
            if bar.is_hidden() { eprintln!("{line}") } else { bar.println(line) }
        }
        Progress::Phase(phase) => {
            if bar.is_hidden() {
                eprintln!("{phase}");
            }
            bar.set_message(phase);
        }
        Progress::Agree(labels) => bar.set_position(labels as u64),
    }
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn print_table(report: &DemoReport) {
    let value = |value: Option<f64>| value.map_or("-".to_owned(), |value| value.to_string());
    let (station, glass) = (report.event_to_station_ms, report.event_to_glass_s);
    println!("labels                  {} ({} agree)", report.labels, report.in_sync);
    println!("glasses checked         {} ({} wrong)", report.glass_checked, report.glass_wrong);
    println!("transfers               {}", report.transfers);
    println!("frames lost             {} to and {} from stations", report.frames_lost.down, report.frames_lost.up);
    println!("retransmissions         {}", report.retransmissions);
    println!("bytes on air            {}", report.bytes_on_air);
    println!("price to base station   {} ms median, {} ms at 99 %", value(station.p50), value(station.p99));
    println!("price to glass          {} s median, {} s at 99 %", value(glass.p50), value(glass.p99));
    println!("elapsed                 {} s", report.elapsed_s);
}
