//! The only place that reads a clock.

use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gondola_protocol::Moment;

/// Unix time that never goes back: read once from the wall clock, then counted on by the monotonic one.
///
/// A process that runs for months drifts from the wall clock by what the machine's monotonic clock drifts,
/// which the operating system disciplines together with the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    started_at: Moment,
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: Moment::ZERO + since_epoch }
    }

    /// The current moment, microseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.started_at + self.started.elapsed()
    }

    /// Completes at `at`, or never. Dropping it loses nothing.
    pub fn sleep_until(&self, at: Option<Moment>) -> impl Future<Output = ()> + Send + 'static {
        let wait = at.map(|at| at.since(self.now()));
        async move {
            match wait {
                // A tenth of a millisecond more, so that the moment has come when the sleeper looks.
                Some(wait) => tokio::time::sleep(wait + Duration::from_micros(100)).await,
                None => std::future::pending().await,
            }
        }
    }
}
