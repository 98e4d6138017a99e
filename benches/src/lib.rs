//! What the benchmarks share: a stopwatch, medians, and the process's memory.
//!
//! Run one with `cargo bench -p gondola-bench --bench NAME`. Each prints what it measures as it goes, and as its
//! last line one JSON object with its figures. Machines differ and drift: compare figures of one run.

pub mod corpus;
pub mod learner;

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long `work` takes, with what it makes.
#[expect(clippy::disallowed_methods, reason = "a benchmark is what a clock is for")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let made = work();
    (start.elapsed(), made)
}

/// How long this thread computed for `work`: what others of the machine did meanwhile does not count.
pub fn computed(work: impl FnOnce()) -> Duration {
    let spent = || {
        let told = clock_gettime(ClockId::ThreadCPUTime);
        let [seconds, nanos] = [told.tv_sec, told.tv_nsec].map(|part| u64::try_from(part).expect("time goes on"));
        Duration::from_secs(seconds) + Duration::from_nanos(nanos)
    };
    let before = spent();
    work();
    spent() - before
}

/// The median of an odd number of samples, or the upper of the two in the middle; they must not be empty.
#[must_use]
pub fn median<T: PartialOrd + Copy>(samples: &mut [T]) -> T {
    samples.sort_by(|left, right| left.partial_cmp(right).expect("samples are numbers"));
    samples[samples.len() / 2]
}

/// How many of `count` things a second has.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Memory of this process that is in RAM, in MiB; none where the system does not tell in `/proc`.
#[must_use]
pub fn resident_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// The higher of two figures, as far as there are any.
#[must_use]
pub fn highest(left: Option<f64>, right: Option<f64>) -> Option<f64> {
    [left, right].into_iter().flatten().reduce(f64::max)
}
