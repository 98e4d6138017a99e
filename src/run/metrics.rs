//! Every metric with its help, in one table, and the gauges that are read from a store when somebody asks.
//!
//! A metric has no label whose values come from a shop's labels or products: each store costs some dozens of series,
//! however large it is.

use metrics::{Recorder, gauge};

use crate::alert::Rule;
use crate::controller::Controller;
use crate::fleet::health::Health;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until a restart.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Every metric: its name, what it is, and what it says.
pub const METRICS: &[(&str, Kind, &str)] = &[
    ("gondola_alerts", Kind::Gauge, "Alerts that hold, by rule."),
    ("gondola_base_station_up", Kind::Gauge, "Whether a base station has a session: 1, or 0."),
    ("gondola_disk_free_bytes", Kind::Gauge, "Room that the data directory's disk still has."),
    ("gondola_disk_size_bytes", Kind::Gauge, "Size of the data directory's disk."),
    ("gondola_event_streams", Kind::Gauge, "Open streams of server-sent events."),
    ("gondola_feed_connected", Kind::Gauge, "Whether the broker is connected: 1, or 0."),
    ("gondola_feed_connections_lost_total", Kind::Counter, "Connections to the broker that ended."),
    ("gondola_feed_errors_total", Kind::Counter, "Rows and messages of sources that could not be read."),
    ("gondola_feed_rows_total", Kind::Counter, "Rows that change messages have brought."),
    ("gondola_feed_unknown_fields_total", Kind::Counter, "Fields in rows that mean nothing here, each name once."),
    ("gondola_held_changes", Kind::Gauge, "Price changes that wait for a person."),
    ("gondola_http_requests_total", Kind::Counter, "Answers over HTTP, by the first digit of their status."),
    ("gondola_journal_bytes_total", Kind::Counter, "Bytes that the journal has written."),
    ("gondola_journal_entries_total", Kind::Counter, "Records that the journal has written."),
    ("gondola_journal_failing", Kind::Gauge, "Whether the journal takes nothing and requests are refused: 1, or 0."),
    ("gondola_journal_fsyncs_total", Kind::Counter, "Times that the journal was brought to disk."),
    ("gondola_labels", Kind::Gauge, "Registered labels, by health, as of the last full minute."),
    (
        "gondola_labels_agreeing",
        Kind::Gauge,
        "Bound labels whose glass is proven to agree, as of the last full minute.",
    ),
    ("gondola_labels_bound", Kind::Gauge, "Labels that are to show a product, as of the last full minute."),
    ("gondola_labels_low_battery", Kind::Gauge, "Labels with low batteries, as of the last full minute."),
    ("gondola_labels_waiting", Kind::Gauge, "Labels that wait for room at a base station."),
    ("gondola_notices_total", Kind::Counter, "What a person was told of in the log, by kind."),
    ("gondola_publications_dropped_total", Kind::Counter, "Publications that gave way while the broker was away."),
    ("gondola_publications_total", Kind::Counter, "Publications that the broker has acknowledged."),
    ("gondola_reloads_total", Kind::Counter, "Full reloads, by facet and outcome."),
    (
        "gondola_switched_labels_total",
        Kind::Counter,
        "Labels that a promotion's boundary switched, by whether their picture was there in time.",
    ),
    (
        "gondola_time_to_shelf_seconds",
        Kind::Gauge,
        "How long a picture took from being wanted to being proven, by quantile of the last day.",
    ),
    ("gondola_transfers_in_flight", Kind::Gauge, "Transfers and commands that have no outcome yet."),
    (
        "gondola_unknown_base_stations_total",
        Kind::Counter,
        "Base stations that are not configured and were turned away.",
    ),
    ("gondola_webhook_deliveries_total", Kind::Counter, "Deliveries to webhooks that were tried, by outcome."),
    ("gondola_webhook_waiting", Kind::Gauge, "News that a webhook is still to be told."),
];

/// Every name of a label of a metric. Each has few values: those of the configuration, or of a list in the code.
pub const LABEL_NAMES: &[&str] =
    &["base_station", "facet", "health", "kind", "outcome", "quantile", "rule", "staged", "status", "store", "webhook"];

/// Gives a recorder every metric's help.
pub(super) fn describe(recorder: &impl Recorder) {
    for (name, kind, help) in METRICS {
        match kind {
            Kind::Counter => recorder.describe_counter((*name).into(), None, (*help).into()),
            Kind::Gauge => recorder.describe_gauge((*name).into(), None, (*help).into()),
        }
    }
}

/// Shows how a store is.
pub(crate) fn measure(store: &str, controller: &Controller) {
    let of = |name: &'static str| gauge!(name, "store" => store.to_owned());
    if let Some(tally) = controller.tally() {
        for (health, count) in Health::ALL.iter().zip(tally.health) {
            gauge!("gondola_labels", "store" => store.to_owned(), "health" => health.as_str()).set(count);
        }
        of("gondola_labels_bound").set(tally.sample.bound);
        of("gondola_labels_agreeing").set(tally.sample.agreeing);
        of("gondola_labels_low_battery").set(tally.low_batteries);
    }
    for station in controller.fleet().stations() {
        let name = station.id.to_string();
        gauge!("gondola_base_station_up", "store" => store.to_owned(), "base_station" => name)
            .set(u32::from(station.capacity.is_some()));
    }
    for rule in Rule::ALL {
        let count = controller.alerts().raised().filter(|alert| alert.rule == *rule).count();
        gauge!("gondola_alerts", "store" => store.to_owned(), "rule" => rule.as_str()).set(number(count));
    }
    of("gondola_held_changes").set(number(controller.catalog().held().count()));
    of("gondola_journal_failing").set(u32::from(controller.journal_trouble().is_some()));
    of("gondola_labels_waiting").set(number(controller.waiting()));
    of("gondola_transfers_in_flight").set(number(controller.in_flight()));
    for (quantile, percent) in [("0.5", 50), ("0.99", 99)] {
        if let Some(wait) = controller.accuracy().waits().percentile(percent) {
            gauge!("gondola_time_to_shelf_seconds", "store" => store.to_owned(), "quantile" => quantile)
                .set(wait.as_secs_f64());
        }
    }
}

/// A count as a gauge takes it.
pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use serde_json::Value;

    use super::*;

    /// Every file of source below a directory.
    fn sources(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(fs::read_to_string(path).unwrap());
            }
        }
    }

    /// The words of `text` that begin like a metric.
    fn names(text: &str) -> BTreeSet<&str> {
        let is_part = |part: char| part.is_ascii_alphanumeric() || part == '_';
        text.split(|part| !is_part(part)).filter(|word| word.starts_with("gondola_") && word.len() > 8).collect()
    }

    /// What stands in quotes, and is a metric's name or one of its labels.
    fn used() -> (BTreeSet<String>, BTreeSet<String>) {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
        for text in files.iter().map(|file| file.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()) {
            // The table itself is no use of a metric.
            let table = text.find("pub const METRICS").map(|at| at..at + text[at..].find("];").unwrap());
            let text =
                table.map_or_else(|| text.to_owned(), |table| text[..table.start].to_owned() + &text[table.end..]);
            for call in ["counter!(", "gauge!(", "histogram!(", "of("] {
                for (at, _) in text.match_indices(call) {
                    let rest = text[at + call.len()..].trim_start();
                    let Some(name) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
                    if !name.starts_with("gondola_") {
                        continue;
                    }
                    metrics.insert(name.to_owned());
                    let call = &rest[..rest.find(';').unwrap_or(rest.len())];
                    let words: Vec<&str> = call.split('"').collect();
                    labels.extend(
                        words
                            .windows(2)
                            .filter(|pair| pair[1].trim_start().starts_with("=>"))
                            .map(|pair| pair[0].to_owned()),
                    );
                    // Labels that stand in an array before it.
                    if call.contains("&labels") {
                        let before = &text[..at];
                        let array = &before[before.rfind("let labels = [").unwrap()..];
                        let array = &array[..array.find("];").unwrap()];
                        labels
                            .extend(array.split("(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
                    }
                }
            }
        }
        (metrics, labels)
    }

    #[test]
    fn every_metric_that_is_counted_has_its_help_and_no_other() {
        let table: BTreeSet<String> = METRICS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        let (used, labels) = used();
        assert_eq!(used, table);
        assert!(METRICS.is_sorted_by(|one, next| one.0 < next.0), "by name, each once");
        let known: BTreeSet<String> = LABEL_NAMES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(labels, known, "each label is one that is bounded");
        for (name, kind, help) in METRICS {
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(help.ends_with('.') && help.len() > 20, "{name}: {help}");
        }
    }

    #[test]
    fn the_exposition_has_the_help() {
        let recorder = PrometheusBuilder::new().build_recorder();
        describe(&recorder);
        metrics::with_local_recorder(&recorder, || {
            for (name, kind, _) in METRICS {
                match kind {
                    Kind::Counter => metrics::counter!(*name).increment(1),
                    Kind::Gauge => gauge!(*name).set(1),
                }
            }
        });
        let text = recorder.handle().render();
        for (name, kind, help) in METRICS {
            let kind = if *kind == Kind::Counter { "counter" } else { "gauge" };
            for line in [format!("# HELP {name} {help}"), format!("# TYPE {name} {kind}"), format!("{name} 1")] {
                assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
            }
        }
    }

    #[test]
    fn the_dashboard_asks_for_metrics_that_exist() {
        fn expressions(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| expressions(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
                _ => {}
            }
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana-dashboard.json");
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let mut found = Vec::new();
        expressions(&dashboard, &mut found);
        assert!(found.len() >= 15, "{}", found.len());
        let mut asked = BTreeSet::new();
        for expression in &found {
            let of_it = names(expression);
            assert!(!of_it.is_empty(), "{expression} asks for nothing of ours");
            asked.extend(of_it);
            for grouped in expression.split("by (").skip(1) {
                for label in grouped.split(')').next().unwrap().split(", ") {
                    assert!(LABEL_NAMES.contains(&label), "{expression}: no metric has the label {label}");
                }
            }
        }
        let table: BTreeSet<&str> = METRICS.iter().map(|(name, ..)| *name).collect();
        let unknown: Vec<&&str> = asked.difference(&table).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        // Variables ask, too.
        let variables = names(dashboard["templating"].to_string().leak());
        assert!(!variables.is_empty() && variables.is_subset(&table), "{variables:?}");
    }
}
