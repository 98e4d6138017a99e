//! `gondola simulator`

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use gondola_protocol::{LabelId, Moment};
use gondola_simulator::openepaperlink::serve::{Port, keep_screens};
use gondola_simulator::openepaperlink::{Model, RadioOptions, Site, SiteOptions, TagOptions};
use gondola_simulator::{Config, Serving};
use tokio_util::sync::CancellationToken;

use super::{Ended, UsageError};
use crate::run::clock::Clock;
use crate::run::telemetry::Telemetry;

/// Simulated base stations and labels.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Simulator {
    /// Serve a simulated shop over TCP, with a control API.
    Serve {
        /// The shop's configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Plug in a simulated radio of OpenEPaperLink with labels, on a serial port that is none.
    Radio(Radio),
}

/// `gondola simulator radio`
#[derive(Debug, clap::Args)]
pub(super) struct Radio {
    /// The name under which a controller finds the serial port.
    #[arg(long, value_name = "FILE")]
    port: PathBuf,
    /// A directory in which each label's glass is kept as <label>.png.
    #[arg(long, value_name = "DIRECTORY")]
    screens: Option<PathBuf>,
    /// How many labels: M2 and M3 of 2.9 inches in turn.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=LABELS_MAX))]
    labels: u16,
    /// Share of packets on the air that are lost.
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = share)]
    loss: f64,
}

/// A radio serves no more.
const LABELS_MAX: i64 = 2_000;

/// The address of the first label.
const FIRST: u64 = 0x0000_021B_6D40_0001;

/// Labels are hung up one after the other.
const APART: Duration = Duration::from_millis(700);

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "not a number from 0 to 1".to_owned())
}

impl Radio {
    fn run(&self) -> anyhow::Result<Ended> {
        let _logs = Telemetry::start("info");
        super::runtime()?.block_on(async {
            let (stop, clock) = (CancellationToken::new(), Clock::start());
            let site = Mutex::new(self.hang_up(clock.now()));
            let named = || format!("cannot offer a serial port as {}", self.port.display());
            let port = Port::open_at(&self.port).with_context(named)?;
            tracing::info!(port = %self.port.display(), "radio is plugged in");
            let run = port.run(&site, move || clock.now(), stop.clone());
            tokio::select! {
                biased;
                // Any of them ends the process.
                moved = run => moved.context("the radio's line broke")?,
                kept = self.keep_screens(&site) => kept?,
                () = super::until_signalled(stop.clone()) => {}
            }
            Ok(Ended::Done)
        })
    }

    /// The radio and its labels. Each label is named.
    fn hang_up(&self, now: Moment) -> Site {
        let options = SiteOptions { seed: 1, loss: self.loss, radio: RadioOptions::default() };
        let mut site = Site::new(now, options);
        for number in 0..self.labels {
            let model = Model::of(if number % 2 == 0 { 0x01 } else { 0x33 }).expect("both are simulated");
            let label = LabelId(FIRST + u64::from(number));
            site.add(now, TagOptions { label, model, firmware: 0x29, fault: None }, APART * (u32::from(number) + 5));
            tracing::info!(%label, panel = %model.panel(), "label is hung up");
        }
        site
    }

    async fn keep_screens(&self, site: &Mutex<Site>) -> anyhow::Result<()> {
        let Some(directory) = &self.screens else { return std::future::pending().await };
        let made = std::fs::create_dir_all(directory);
        made.with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let kept = keep_screens(site, directory).await;
        kept.with_context(|| format!("cannot write into {}", directory.display()))
    }
}

impl Simulator {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let file = match self {
            Self::Serve { config } => config,
            Self::Radio(radio) => return radio.run(),
        };
        let text = super::read_file(&file)?;
        let parsed = std::str::from_utf8(&text).map_err(anyhow::Error::from);
        let parsed = parsed.and_then(|text| Config::parse(text).map_err(anyhow::Error::from));
        let config = parsed.map_err(|source| UsageError::File { file, source })?;
        let _logs = Telemetry::start("info");
        super::runtime()?.block_on(async {
            let stop = CancellationToken::new();
            let clock = Clock::start();
            let serving = Serving::bind(config).await?;
            let serve = serving.run(move || clock.now(), stop.clone());
            tokio::select! {
                biased;
                // Either ends the process.
                served = serve => served.context("the simulated shop ended")?,
                () = super::until_signalled(stop) => {}
            }
            Ok(Ended::Done)
        })
    }
}
