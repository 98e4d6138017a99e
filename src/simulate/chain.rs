//! A chain of stores: they do not touch each other, so several are simulated at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::simulation::{self, Outcome, SimulationOptions};
use crate::render::RenderError;

/// Most stores at once: a store of 10,000 labels takes some 300 MB.
const THREADS_MAX: usize = 8;

/// Runs stores, as many at once as there are processors, and answers how they went, in their order: it is the same
/// however many run at once.
///
/// # Errors
/// The fonts do not open.
///
/// # Panics
/// As [`simulation::run`].
pub fn run(stores: &[SimulationOptions]) -> Result<Vec<Outcome>, RenderError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(stores.len());
    run_on(threads, stores)
}

fn run_on(threads: usize, stores: &[SimulationOptions]) -> Result<Vec<Outcome>, RenderError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(options) = stores.get(number) else { return Ok(outcomes) };
            outcomes.push((number, simulation::run(*options)?));
        }
    };
    let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            outcomes.extend(thread.join().expect("a store's run does not panic")?);
        }
        Ok(())
    })?;
    outcomes.sort_unstable_by_key(|(number, _)| *number);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::simulate::draw::FaultLevel;

    #[test]
    fn stores_that_run_at_once_go_as_they_do_one_after_another() {
        let options = |seed| SimulationOptions {
            seed,
            labels: 4,
            base_stations: 1,
            span: Duration::from_secs(3_600),
            faults: FaultLevel::Mild,
            planted: None,
        };
        let stores: Vec<_> = (1..=3).map(options).collect();
        let one_by_one = run_on(1, &stores).unwrap();
        assert_eq!(one_by_one, run_on(3, &stores).unwrap());
        assert_eq!(one_by_one.len(), 3);
        assert!(one_by_one[0] != one_by_one[1]);
    }
}
