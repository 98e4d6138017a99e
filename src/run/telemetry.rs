//! Logs to standard error, and the process's metrics.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// What `/metrics` answers.
pub type Exposition = Arc<dyn Fn() -> String + Send + Sync>;

/// The process's one recorder of metrics.
#[derive(Clone)]
pub struct Telemetry {
    metrics: PrometheusHandle,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

impl Telemetry {
    /// Starts logging and counting; `level` holds unless the environment variable `GONDOLA_LOG` says otherwise.
    /// A second call in a process counts into a recorder of its own.
    #[must_use]
    pub fn start(level: &str) -> Self {
        let filter =
            EnvFilter::try_from_env("GONDOLA_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{level},rumqttd=off")));
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false);
        // Already started: the first start's settings stay.
        let _ = logs.try_init();
        Self::silent()
    }

    /// Counts without logging.
    #[must_use]
    pub fn silent() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        super::metrics::describe(&recorder);
        let metrics = recorder.handle();
        let _ = ::metrics::set_global_recorder(recorder);
        Self { metrics }
    }

    /// What `/metrics` answers: everything counted so far, in Prometheus' text format.
    #[must_use]
    pub fn exposition(&self) -> Exposition {
        let metrics = self.metrics.clone();
        Arc::new(move || {
            metrics.run_upkeep();
            metrics.render()
        })
    }
}
