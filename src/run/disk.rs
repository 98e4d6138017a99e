//! How much room the disk has on which everything lies, told to the stores each minute.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::store::StoreHandle;

/// A disk fills within hours; a log that runs wild, within some minutes.
const PERIOD: Duration = Duration::from_mins(1);

/// Tells the stores until `shutdown`, or until one of them has ended.
pub(super) async fn watch(dir: PathBuf, stores: Vec<StoreHandle>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            // Cancel-safe: a token that is cancelled stays so.
            () = shutdown.cancelled() => return,
            // Cancel-safe: a tick is taken only when it completes.
            _ = ticks.tick() => {}
        }
        let path = dir.clone();
        // A stalled disk may keep even this question waiting.
        let Ok(Ok((free, total))) = tokio::task::spawn_blocking(move || room(&path)).await else { continue };
        metrics::gauge!("gondola_disk_free_bytes").set(wide(free));
        metrics::gauge!("gondola_disk_size_bytes").set(wide(total));
        for store in &stores {
            tokio::select! {
                biased;
                // Cancel-safe: as above.
                () = shutdown.cancelled() => return,
                // Nothing is lost: the next minute tells it again.
                told = store.disk(free, total) => if told.is_err() { return },
            }
        }
    }
}

/// Bytes that are free for us on the disk of a directory, and bytes that there are.
fn room(path: &Path) -> std::io::Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(path)?;
    Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
}

/// Exact up to 8 PiB, and nobody reads more digits.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
const fn wide(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_no_more_room_than_it_is_large() {
        let dir = tempfile::tempdir().unwrap();
        let (free, total) = room(dir.path()).unwrap();
        assert!(free <= total && total > 1 << 20, "{free} of {total}");
        assert!(room(&dir.path().join("nothing")).is_err());
    }
}
