//! The only place that reads a clock.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gondola_protocol::Moment;

/// A wall clock that differs by more than this was set, by a person or at the network's word. Smaller differences
/// are the operating system's corrections, which both clocks follow in time.
const STEP: Duration = Duration::from_secs(2);

/// A clock that is set while something sleeps is noticed within this.
const LOOK: Duration = Duration::from_secs(1);

/// Unix time: counted by the monotonic clock, and moved to the wall clock's when that one is set, forward or back.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    started_at: Moment,
    source: Source,
}

/// What a clock goes by beside the monotonic clock.
#[derive(Debug, Clone, Copy)]
enum Source {
    WallClock,
    /// Nothing: it starts where it was told to.
    Start,
    /// What it is ahead of the time at which it started, in microseconds.
    Ahead(&'static AtomicU64),
}

impl Clock {
    /// The machine's time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        Self { started: Instant::now(), started_at: wall_clock(), source: Source::WallClock }
    }

    /// A time that starts at `at`, whatever the machine's is: what is to be the same on every day starts there.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn starting_at(at: Moment) -> Self {
        Self { started: Instant::now(), started_at: at, source: Source::Start }
    }

    /// A time that starts now and runs ahead by what `ahead` holds, in microseconds: whoever adds to it lets hours pass
    /// at once.
    #[must_use]
    pub fn ahead_by(ahead: &'static AtomicU64) -> Self {
        Self { source: Source::Ahead(ahead), ..Self::start() }
    }

    /// The current moment, microseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Moment {
        let counted = self.started_at + self.started.elapsed();
        match self.source {
            Source::WallClock => followed(counted, wall_clock()),
            Source::Start => counted,
            Source::Ahead(ahead) => counted + Duration::from_micros(ahead.load(Ordering::Relaxed)),
        }
    }

    /// Completes at `at`, or never; or when the clock was set back, so that whoever waits can look again. Dropping
    /// it loses nothing.
    pub fn sleep_until(&self, at: Option<Moment>) -> impl Future<Output = ()> + Send + 'static {
        let clock = *self;
        async move {
            let Some(at) = at else { return std::future::pending().await };
            let mut last = clock.now();
            loop {
                let now = clock.now();
                if now >= at || now < last {
                    return;
                }
                last = now;
                // A tenth of a millisecond more, so that the moment has come when the sleeper looks.
                tokio::time::sleep((at.since(now) + Duration::from_micros(100)).min(LOOK)).await;
            }
        }
    }
}

/// The counted time, unless the wall clock was set.
fn followed(counted: Moment, wall: Moment) -> Moment {
    if counted.since(wall).max(wall.since(counted)) > STEP { wall } else { counted }
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn wall_clock() -> Moment {
    Moment::ZERO + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_followed_and_a_correction_is_not() {
        let at = Moment::from_secs;
        assert_eq!(followed(at(100), at(101)), at(100));
        assert_eq!(followed(at(100), at(98)), at(100));
        assert_eq!(followed(at(100), at(3_700)), at(3_700));
        assert_eq!(followed(at(10_000), at(100)), at(100));
    }

    #[test]
    fn a_clock_can_be_set_ahead_while_somebody_holds_it() {
        static AHEAD: AtomicU64 = AtomicU64::new(0);
        let clock = Clock::ahead_by(&AHEAD);
        let before = clock.now();
        AHEAD.fetch_add(3_600_000_000, Ordering::Relaxed);
        assert!(clock.now().since(before) >= Duration::from_hours(1));
    }

    #[test]
    fn a_clock_can_start_at_any_time() {
        let clock = Clock::starting_at(Moment::from_secs(1_000_000));
        assert!(clock.now() >= Moment::from_secs(1_000_000) && clock.now() < Moment::from_secs(1_003_600));
    }
}
