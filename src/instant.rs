//! Instants as text, in a store's time zone, and back.

use std::time::Duration;

use gondola_protocol::Moment;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("instant `{0}` is not RFC 3339 with an offset, for example `2026-11-25T08:00:00+08:00`")]
pub(crate) struct InstantError(String);

fn timestamp(moment: Moment) -> Timestamp {
    let millis = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// RFC 3339 with the store's offset, to the millisecond.
pub(crate) fn rfc3339(moment: Moment, zone: &TimeZone) -> String {
    let timestamp = timestamp(moment);
    timestamp.display_with_offset(zone.to_offset(timestamp)).to_string()
}

/// RFC 3339 in UTC, for logs.
pub(crate) fn utc(moment: Moment) -> Timestamp {
    timestamp(moment)
}

/// The day on the store's calendar.
pub(crate) fn local_date(moment: Moment, zone: &TimeZone) -> jiff::civil::Date {
    timestamp(moment).to_zoned(zone.clone()).date()
}

/// The time of day on the store's clock.
pub(crate) fn local_time(moment: Moment, zone: &TimeZone) -> jiff::civil::Time {
    timestamp(moment).to_zoned(zone.clone()).time()
}

/// As on the store's clock: the time for today, the day as well for another.
pub(crate) fn on_the_clock(moment: Moment, now: Moment, zone: &TimeZone) -> String {
    let [then, today] = [moment, now].map(|moment| timestamp(moment).to_zoned(zone.clone()));
    let format = if then.date() == today.date() {
        "%H:%M:%S"
    } else if then.year() == today.year() {
        "%-d %b %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    then.strftime(format).to_string()
}

/// How long a span is, in the largest unit that is not zero.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Reads RFC 3339 with an offset, also where a query string has made a space of the offset's `+`.
pub(crate) fn parse(text: &str) -> Result<Moment, InstantError> {
    let refused = || InstantError(text.to_owned());
    let parsed = text.parse::<Timestamp>().ok().or_else(|| {
        let (instant, offset) = text.rsplit_once(' ')?;
        format!("{instant}+{offset}").parse().ok()
    });
    let micros = u64::try_from(parsed.ok_or_else(refused)?.as_microsecond()).map_err(|_| refused())?;
    Ok(Moment::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_with_the_stores_offset_and_read_with_any() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let moment = parse("2026-11-25T00:00:00Z").unwrap();
        assert_eq!(rfc3339(moment, &zone), "2026-11-25T08:00:00+08:00");
        for text in ["2026-11-25T08:00:00+08:00", "2026-11-25T08:00:00 08:00", "2026-11-24T19:00:00-05:00"] {
            assert_eq!(parse(text), Ok(moment), "{text}");
        }
        assert_eq!(rfc3339(moment + Duration::from_micros(1_250), &zone), "2026-11-25T08:00:00.001+08:00");
        for text in ["", "now", "2026-11-25", "2026-11-25T08:00:00", "1950-01-01T00:00:00Z"] {
            assert_eq!(parse(text), Err(InstantError(text.to_owned())));
        }
    }

    #[test]
    fn people_read_the_stores_clock() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now = parse("2026-11-25T08:00:00+08:00").unwrap();
        let check = |at: &str, written: &str| assert_eq!(on_the_clock(parse(at).unwrap(), now, &zone), written);
        check("2026-11-24T16:00:05Z", "00:00:05");
        check("2026-11-24T15:59:59Z", "24 Nov 23:59");
        check("2025-11-25T08:00:00+08:00", "2025-11-25 08:00");
        assert_eq!(
            [59, 60, 7_199, 172_799, 172_800].map(|s| span(Duration::from_secs(s))),
            ["59 s", "1 min", "1 h", "47 h", "2 days"]
        );
    }
}
