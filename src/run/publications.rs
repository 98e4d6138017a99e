//! What other systems are told, as MQTT messages: the inner types become JSON here.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::alert::{Alert, words};
use crate::catalog::wire::RowKey;
use crate::controller::message::Publication;
use crate::instant::rfc3339;

/// One message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Below `{prefix}/{store}/`.
    pub topic: String,
    /// What it is about: while the broker is away, only the newest of each topic and key is kept.
    pub key: String,
    /// JSON.
    pub payload: String,
    /// Whether the broker keeps it for those who come later.
    pub retain: bool,
}

/// The message for a publication; instants are in the store's zone.
#[must_use]
pub fn message(publication: &Publication, zone: &TimeZone) -> Message {
    let (topic, key, payload) = match publication {
        Publication::Confirmation(it) => {
            let payload = json!({
                "sku": it.sku, "revision": it.revision, "promotion_id": it.promotion_id,
                "promotion_revision": it.promotion_revision, "price": it.price, "labels": it.labels,
                "confirmed": it.confirmed, "unreachable": it.unreachable, "at": it.at.map(|at| rfc3339(at, zone)),
            });
            ("confirmations".to_owned(), it.sku.to_string(), payload)
        }
        Publication::Held { key, revision, reason } => {
            let mut payload = json!({ "revision": revision, "held": reason.as_ref().map(ToString::to_string) });
            let name = if let RowKey::Promotion(_) = key { "promotion_id" } else { "sku" };
            payload[name] = Value::from(key.id());
            // Beside the confirmation of the same product, which it does not replace.
            ("confirmations".to_owned(), format!("held {} {}", key.facet(), key.id()), payload)
        }
        Publication::Alert(it) => ("alerts".to_owned(), it.id(), alert_json(it, zone)),
        Publication::Label(it) => {
            let payload = json!({ "health": it.health, "problems": it.problems, "battery_mv": it.battery_mv,
                "last_check_in": it.last_check_in.map(|at| rfc3339(at, zone)) });
            (format!("labels/{}", it.label), String::new(), payload)
        }
        Publication::JournalHead { head, at } => {
            let payload = json!({ "sequence": head.sequence, "hash": head.hash, "at": rfc3339(*at, zone) });
            ("journal".to_owned(), String::new(), payload)
        }
    };
    let retain = matches!(publication, Publication::Label(_) | Publication::JournalHead { .. });
    Message { topic, key, payload: payload.to_string(), retain }
}

/// An alert as other systems read it, over MQTT and by webhook.
pub(super) fn alert_json(it: &Alert, zone: &TimeZone) -> Value {
    json!({ "id": it.id(), "number": it.number, "rule": it.rule, "state": it.state, "subject": it.subject,
        "text": it.text, "action": words::action(it.rule).0, "at": rfc3339(it.at, zone), "since": rfc3339(it.since, zone),
        "acknowledged": it.acknowledged.as_ref().map(|it| json!({ "by": it.by, "at": rfc3339(it.at, zone) })) })
}

#[cfg(test)]
mod tests {
    use gondola_protocol::{LabelId, Millivolts, Moment};

    use super::*;
    use crate::alert::{Acknowledged, Rule, State};
    use crate::catalog::guard::Suspicion;
    use crate::catalog::wire::Facet;
    use crate::confirmation::Confirmation;
    use crate::controller::message::LabelState;
    use crate::fleet::health::{Health, Problem};
    use crate::journal::{Hash32, Position};

    #[track_caller]
    fn check(publication: &Publication, topic: &str, payload: Value) {
        let message = message(publication, &TimeZone::get("Asia/Shanghai").unwrap());
        assert_eq!(message.topic, topic);
        assert_eq!(serde_json::from_str::<Value>(&message.payload).unwrap(), payload);
        assert_eq!(message.retain, topic.starts_with("labels/") || topic == "journal");
    }

    #[test]
    fn the_contracts_messages() {
        let at = Moment::from_secs(1_795_536_000);
        let confirmation = Confirmation {
            sku: "1101".parse().unwrap(),
            revision: Some(7),
            promotion_id: Some("P-88".parse().unwrap()),
            promotion_revision: Some(3),
            price: Some("49.90".into()),
            labels: 2,
            confirmed: 2,
            unreachable: 0,
            at: Some(at),
        };
        let payload = json!({"sku": "1101", "revision": 7, "promotion_id": "P-88", "promotion_revision": 3,
            "price": "49.90", "labels": 2, "confirmed": 2, "unreachable": 0, "at": "2026-11-25T00:00:00+08:00"});
        check(&Publication::Confirmation(confirmation), "confirmations", payload);
        let key = RowKey::Sku(Facet::Base, "1101".parse().unwrap());
        let held = Publication::Held { key: key.clone(), revision: 8, reason: Some(Suspicion::Zero) };
        check(&held, "confirmations", json!({"sku": "1101", "revision": 8, "held": "the price would be 0"}));
        let released = Publication::Held { key, revision: 8, reason: None };
        check(&released, "confirmations", json!({"sku": "1101", "revision": 8, "held": null}));
        let alert = Alert {
            number: 1_795_536_000_000,
            rule: Rule::ReloadFailed,
            subject: "base".to_owned(),
            state: State::Raised,
            text: "it failed".to_owned(),
            cause: None,
            at,
            since: at,
            acknowledged: Some(Acknowledged { by: "ann".to_owned(), at }),
        };
        let instant = "2026-11-25T00:00:00+08:00";
        let payload = json!({"id": "reload_failed:base", "number": 1_795_536_000_000_u64, "rule": "reload_failed",
            "state": "raised", "subject": "base", "text": "it failed", "action": "See whether its source answers; it is tried again by itself.", "at": instant, "since": instant,
            "acknowledged": {"by": "ann", "at": instant}});
        check(&Publication::Alert(alert), "alerts", payload);
        let label = LabelState {
            label: LabelId(0x0000_021B_6D40_3B1E),
            health: Health::Offline,
            problems: vec![Problem::LowBattery],
            battery_mv: Some(Millivolts(2_350)),
            last_check_in: Some(at),
        };
        let payload = json!({"health": "offline", "problems": ["low_battery"], "battery_mv": 2350,
            "last_check_in": "2026-11-25T00:00:00+08:00"});
        check(&Publication::Label(label), "labels/0000021B6D403B1E", payload);
        let head = Position { sequence: 88_123, hash: Hash32([0xab; 32]) };
        let payload = json!({"sequence": 88_123, "hash": "ab".repeat(32), "at": "2026-11-25T00:00:00+08:00"});
        check(&Publication::JournalHead { head, at }, "journal", payload);
    }
}
