//! What a receiver is sent: the body and headers of its form, and how its answer is read.

use axum::http::{HeaderName, StatusCode};
use gondola_protocol::{Moment, StoreId};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::sign;
use crate::alert::{Alert, State, words};
use crate::config::{Form, Language};
use crate::instant;
use crate::journal::Position;
use crate::run::publications::alert_json;

/// Bytes of one text: WeCom takes 2,048, and the others more.
const TEXT_BYTES_MAX: usize = 2_000;

/// Bytes of one alert's own words in a text; what is longer is read on the page.
const WORDS_BYTES_MAX: usize = 400;

/// Alerts in one text: a chat's robot may write some twenty times a minute.
const ALERTS_MAX: usize = 20;

/// What a receiver is told at once.
#[derive(Debug, Clone, Copy)]
pub(super) enum News<'a> {
    /// Of one alert, or of several where the form takes them.
    Alerts(&'a [&'a Alert]),
    /// How far the journal goes.
    Journal(Position, Moment),
}

/// Of whom it is told.
#[derive(Debug, Clone)]
pub(super) struct Shop {
    pub(super) id: StoreId,
    pub(super) name: String,
    pub(super) zone: TimeZone,
}

/// How it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner<'a> {
    pub(super) form: Form,
    pub(super) language: Language,
    pub(super) secret: Option<&'a str>,
}

/// One HTTP request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The same however often it is tried.
    pub(super) id: String,
    pub(super) url: String,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: String,
    /// How many alerts it tells of.
    pub(super) alerts: usize,
}

impl Delivery {
    /// The delivery to `url` at `now`.
    pub(super) fn of(manner: Manner<'_>, url: &str, shop: &Shop, news: News<'_>, now: Moment) -> Self {
        let id = match news {
            News::Alerts(alerts) => format!("{}-{}", shop.id, alerts.first().map_or(0, |alert| alert.number)),
            News::Journal(head, _) => format!("{}-journal-{}", shop.id, head.sequence),
        };
        let seconds = now.as_millis() / 1_000;
        let (mut url, mut headers) = (url.to_owned(), Vec::new());
        let (body, alerts) = match manner.form {
            Form::Json => {
                let body = json_body(&id, shop, news).to_string();
                headers.push((HeaderName::from_static("webhook-id"), id.clone()));
                headers.push((HeaderName::from_static("webhook-timestamp"), seconds.to_string()));
                if let Some(secret) = manner.secret {
                    let signature = sign::standard(secret, &id, seconds, &body);
                    headers.push((HeaderName::from_static("webhook-signature"), signature));
                }
                (body, 1)
            }
            form => {
                let (text, alerts) = text_of(shop, news, manner.language);
                (text_body(form, &text, manner.secret, seconds).to_string(), alerts)
            }
        };
        if let (Form::DingTalk, Some(secret)) = (manner.form, manner.secret) {
            let sign = sign::dingtalk(secret, now.as_millis());
            let joint = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{joint}timestamp={}&{}", now.as_millis(), crate::web::url_query("sign", &sign));
        }
        Self { id, url, headers, body, alerts }
    }
}

fn json_body(id: &str, shop: &Shop, news: News<'_>) -> Value {
    let mut body = json!({ "delivery": id, "store": shop.id, "store_name": shop.name });
    match news {
        News::Alerts(alerts) => {
            body["kind"] = json!("alert");
            body["alert"] = alerts.first().map_or(Value::Null, |alert| alert_json(alert, &shop.zone));
        }
        News::Journal(head, at) => {
            body["kind"] = json!("journal");
            body["journal"] =
                json!({ "sequence": head.sequence, "hash": head.hash, "at": instant::rfc3339(at, &shop.zone) });
        }
    }
    body
}

fn text_body(form: Form, text: &str, secret: Option<&str>, seconds: u64) -> Value {
    match form {
        Form::Json | Form::DingTalk | Form::WeCom => json!({ "msgtype": "text", "text": { "content": text } }),
        Form::Feishu => {
            let mut body = json!({ "msg_type": "text", "content": { "text": text } });
            if let Some(secret) = secret {
                body["timestamp"] = json!(seconds.to_string());
                body["sign"] = json!(sign::feishu(secret, seconds));
            }
            body
        }
        // Its own marks begin with these.
        Form::Slack => json!({ "text": text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;") }),
    }
}

/// The text, and how many of the alerts have found room in it.
fn text_of(shop: &Shop, news: News<'_>, language: Language) -> (String, usize) {
    let mut text = format!("Gondola · {} ({})", shop.name, shop.id);
    match news {
        News::Alerts(alerts) => {
            let mut told = 0;
            for alert in alerts.iter().take(ALERTS_MAX) {
                let next = alert_text(alert, &shop.zone, language);
                if told > 0 && text.len() + next.len() > TEXT_BYTES_MAX {
                    break;
                }
                text = format!("{text}\n{next}");
                told += 1;
            }
            (text, told)
        }
        News::Journal(head, at) => {
            let said = say(("The journal's newest record", "日志最新记录"), language);
            let at = instant::rfc3339(at, &shop.zone);
            (format!("{text}\n{said}: {} · {} · {at}", head.sequence, head.hash), 0)
        }
    }
}

fn alert_text(alert: &Alert, zone: &TimeZone, language: Language) -> String {
    let name = say(words::name(alert.rule), language);
    let subject = &alert.subject;
    let words = match language {
        Language::English => shortened(&alert.text),
        Language::Chinese => shortened(&alert.chinese()),
    };
    let since = instant::on_the_clock(alert.since, alert.at, zone);
    match (alert.state, &alert.acknowledged, language) {
        (State::Cleared, _, Language::English) => format!("[over] {name} ({subject}), since {since}"),
        (State::Cleared, _, Language::Chinese) => format!("【恢复】{name}（{subject}），开始于 {since}"),
        (State::Raised, Some(seen), Language::English) => {
            format!("[acknowledged] {name} ({subject}): {} looks after it", seen.by)
        }
        (State::Raised, Some(seen), Language::Chinese) => format!("【已确认】{name}（{subject}）：由 {} 处理", seen.by),
        (State::Raised, None, _) => {
            let mark = say(("[alert]", "【告警】"), language);
            let action = say(words::action(alert.rule), language);
            format!("{mark} {name} ({subject})\n{words}\n→ {action}")
        }
    }
}

const fn say((english, chinese): words::Bilingual, language: Language) -> &'static str {
    match language {
        Language::English => english,
        Language::Chinese => chinese,
    }
}

/// The beginning of a text, at the border of a character.
fn shortened(text: &str) -> String {
    if text.len() <= WORDS_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=WORDS_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", &text[..end])
}

/// Why a receiver's answer is no receipt; none where it is one.
pub(super) fn refusal(form: Form, status: StatusCode, body: &[u8]) -> Option<String> {
    if !status.is_success() {
        return Some(format!("the answer is {status}"));
    }
    // These say 200 whatever happened.
    let (code, message) = match form {
        Form::Json | Form::Slack => return None,
        Form::DingTalk | Form::WeCom => ("errcode", "errmsg"),
        Form::Feishu => ("code", "msg"),
    };
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Some(format!("the answer is not what {form} answers"));
    };
    // Feishu's older robots call it `StatusCode`.
    match answer.get(code).or_else(|| answer.get("StatusCode")).and_then(Value::as_i64) {
        Some(0) => None,
        Some(code) => {
            let said = answer.get(message).and_then(Value::as_str).unwrap_or_default();
            Some(format!("{form} answers {code}: {}", shortened(said)))
        }
        None => Some(format!("the answer is not what {form} answers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Acknowledged, Cause, Rule};
    use crate::journal::Hash32;

    const NOW: Moment = Moment::from_secs(1_795_536_000);

    fn shop() -> Shop {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        Shop { id: "hz-001".parse().unwrap(), name: "杭州解百店".to_owned(), zone }
    }

    fn alert(number: u64) -> Alert {
        Alert {
            number,
            rule: Rule::StationDown,
            subject: "front".to_owned(),
            state: State::Raised,
            text: "base station `front` is away: <no answer>".to_owned(),
            cause: Some(Cause::StationDown { why: Some("<no answer>".to_owned()) }),
            at: NOW,
            since: NOW,
            acknowledged: None,
        }
    }

    fn deliver(form: Form, secret: Option<&str>, alerts: &[Alert]) -> Delivery {
        let language = if form == Form::Slack { Language::English } else { Language::Chinese };
        let alerts: Vec<&Alert> = alerts.iter().collect();
        let manner = Manner { form, language, secret };
        Delivery::of(manner, "https://receiver.example/hook?key=1", &shop(), News::Alerts(&alerts), NOW)
    }

    fn body(delivery: &Delivery) -> Value {
        serde_json::from_str(&delivery.body).unwrap()
    }

    #[test]
    fn json_is_the_contracts_alert_with_a_name_of_its_own_and_a_signature() {
        let delivery = deliver(Form::Json, Some("secret"), &[alert(7)]);
        assert_eq!((delivery.id.as_str(), delivery.alerts), ("hz-001-7", 1));
        let at = "2026-11-25T00:00:00+08:00";
        assert_eq!(
            body(&delivery),
            json!({"delivery": "hz-001-7", "kind": "alert", "store": "hz-001", "store_name": "杭州解百店",
                "alert": {"id": "station_down:front", "number": 7, "rule": "station_down", "state": "raised",
                    "subject": "front", "text": "base station `front` is away: <no answer>",
                "action": "See whether it has power and network; its labels show their last prices meanwhile.", "at": at, "since": at,
                    "acknowledged": null}})
        );
        let headers: Vec<(&str, &str)> =
            delivery.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signature = sign::standard("secret", "hz-001-7", 1_795_536_000, &delivery.body);
        assert_eq!(
            headers,
            [("webhook-id", "hz-001-7"), ("webhook-timestamp", "1795536000"), ("webhook-signature", &signature)]
        );
    }

    #[test]
    fn chats_get_the_text_that_they_take() {
        let text = "Gondola · 杭州解百店 (hz-001)\n【告警】 基站离线 (front)\n基站 front 离线：<no answer>\n\
            → 请检查其电源和网络；期间价签保持原有价格。";
        let dingtalk = deliver(Form::DingTalk, Some("SEC0123"), &[alert(7)]);
        assert_eq!(body(&dingtalk), json!({"msgtype": "text", "text": {"content": text}}));
        let sign = crate::web::url_query("sign", &sign::dingtalk("SEC0123", 1_795_536_000_000));
        let url = format!("https://receiver.example/hook?key=1&timestamp=1795536000000&{sign}");
        assert_eq!(dingtalk.url, url);
        let wecom = deliver(Form::WeCom, None, &[alert(7)]);
        assert_eq!(body(&wecom), body(&dingtalk));
        let feishu = deliver(Form::Feishu, Some("demo"), &[alert(7)]);
        let sign = sign::feishu("demo", 1_795_536_000);
        assert_eq!(
            body(&feishu),
            json!({"msg_type": "text", "content": {"text": text}, "timestamp": "1795536000", "sign": sign})
        );
        let slack = deliver(Form::Slack, None, &[alert(7)]);
        assert_eq!(
            body(&slack),
            json!({"text": "Gondola · 杭州解百店 (hz-001)\n[alert] Base station away (front)\nbase station `front` is away: \
                &lt;no answer&gt;\n→ See whether it has power and network; its labels show their last prices meanwhile."})
        );
    }

    #[test]
    fn a_chat_is_told_of_several_at_once_as_far_as_there_is_room() {
        let alerts: Vec<Alert> =
            (0..30).map(|number| Alert { text: "价".repeat(1_000), cause: None, ..alert(number) }).collect();
        let delivery = deliver(Form::WeCom, None, &alerts);
        let text = body(&delivery)["text"]["content"].as_str().unwrap().to_owned();
        assert!((3..30).contains(&delivery.alerts) && text.len() <= 2_048, "{} in {}", delivery.alerts, text.len());
        let cleared = Alert { state: State::Cleared, ..alert(1) };
        let seen = Alert { acknowledged: Some(Acknowledged { by: "ann".to_owned(), at: NOW }), ..alert(2) };
        let short = deliver(Form::WeCom, None, &[cleared, seen]);
        assert_eq!(
            body(&short)["text"]["content"],
            "Gondola · 杭州解百店 (hz-001)\n【恢复】基站离线（front），开始于 00:00:00\n【已确认】基站离线（front）：由 ann 处理"
        );
    }

    #[test]
    fn the_journals_head_is_told() {
        let head = Position { sequence: 88_123, hash: Hash32([0xab; 32]) };
        let manner = Manner { form: Form::Json, language: Language::English, secret: None };
        let delivery = Delivery::of(manner, "https://receiver.example", &shop(), News::Journal(head, NOW), NOW);
        assert_eq!(delivery.id, "hz-001-journal-88123");
        let told = json!({"sequence": 88_123, "hash": "ab".repeat(32), "at": "2026-11-25T00:00:00+08:00"});
        assert_eq!(body(&delivery)["journal"], told);
    }

    #[test]
    fn an_answer_is_a_receipt_only_where_it_says_so() {
        let ok = StatusCode::OK;
        for (form, status, body, refused) in [
            (Form::Json, StatusCode::NO_CONTENT, "", None),
            (Form::Json, StatusCode::FOUND, "", Some("the answer is 302 Found")),
            (Form::Slack, ok, "ok", None),
            (Form::DingTalk, ok, r#"{"errcode":0,"errmsg":"ok"}"#, None),
            (
                Form::WeCom,
                ok,
                r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
                Some("wecom answers 45009: api freq out of limit"),
            ),
            (
                Form::Feishu,
                ok,
                r#"{"code":19021,"msg":"sign match fail"}"#,
                Some("feishu answers 19021: sign match fail"),
            ),
            (Form::Feishu, ok, r#"{"StatusCode":0,"StatusMessage":"success"}"#, None),
            (Form::Feishu, ok, "<html>", Some("the answer is not what feishu answers")),
        ] {
            assert_eq!(refusal(form, status, body.as_bytes()).as_deref(), refused, "{form} {body}");
        }
    }
}
