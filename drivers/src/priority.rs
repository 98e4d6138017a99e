//! How threads share the cores.

/// By how much less a thread that can wait weighs than others: beside one of them it gets a tenth of a core, and it goes
/// as soon as one of them wakes.
#[cfg(target_os = "linux")]
const STEPS: i32 = 10;

/// From now on this thread lets every other one go first. For threads that compute, so that those which answer somebody
/// need not wait for a core. Only Linux has a priority for each thread; elsewhere nothing changes.
pub fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let lowered = getpriority_process(None).and_then(|before| setpriority_process(None, before + STEPS));
        if let Err(error) = lowered {
            tracing::debug!(%error, "a thread keeps its priority");
        }
    }
}
