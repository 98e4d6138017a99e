//! How long a station waits before it connects again: exponential, with jitter from the station's name,
//! so that the stations of a shop do not come back in step after a power cut.

use std::time::Duration;

use gondola_protocol::StationId;

/// Shortest wait: a restarted station is back in the view within the blink of an eye.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(250);

/// Longest wait: a repaired station is picked up before the person who repaired it has left.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(15);

/// The wait after failure number `attempt`, counted from 0 since the last open session.
///
/// Between half and the whole of a span that starts at twice [`WAIT_MIN`] and doubles up to [`WAIT_MAX`].
pub(crate) fn wait(station: &StationId, attempt: u32) -> Duration {
    let whole = (WAIT_MIN * 2).saturating_mul(2_u32.saturating_pow(attempt)).min(WAIT_MAX);
    let half = whole / 2;
    half + half * jitter(station, attempt) / 255
}

/// 0 to 255, FNV-1a of name and attempt folded to a byte: spread well, and the same in every run.
fn jitter(station: &StationId, attempt: u32) -> u32 {
    let bytes = station.as_str().bytes().chain(attempt.to_le_bytes());
    let hash = bytes.fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_their_limits() {
        let station: StationId = "front".parse().unwrap();
        let waits: Vec<Duration> = (0..40).map(|attempt| wait(&station, attempt)).collect();
        assert!(waits.iter().all(|wait| (WAIT_MIN..=WAIT_MAX).contains(wait)), "{waits:?}");
        assert!(waits[0] <= WAIT_MIN * 2);
        assert!(waits[6..].iter().all(|wait| *wait >= WAIT_MAX / 2));
    }

    #[test]
    fn stations_do_not_come_back_in_step() {
        let waits = (0..32).map(|number| wait(&format!("station-{number}").parse().unwrap(), 5));
        let different: std::collections::BTreeSet<Duration> = waits.collect();
        assert!(different.len() > 24, "{different:?}");
    }
}
