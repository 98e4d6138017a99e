//! What states mean and what to do about them, in plain words.

use std::time::Duration;

use gondola_drivers::Action;
use gondola_protocol::message::Status;

use crate::alert::Alert;
use crate::fleet::health::Health;
use crate::fleet::label::{CommandState, Label};
use crate::instant;
use crate::web::language::Language;
use crate::web::selection;

/// A health for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// One or two words.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) meaning: &'static str,
    /// What a person does about it.
    pub(super) action: &'static str,
}

/// What a health means.
pub(super) const fn health(health: Health, language: Language) -> Words {
    let [name, meaning, action] = match health {
        Health::InSync => [
            ("In sync", "已同步"),
            ("The label has proven that its glass shows the right picture.", "价签已证实屏幕显示正确。"),
            ("There is nothing to do.", "无需处理。"),
        ],
        Health::Pending => [
            ("Waiting", "等待中"),
            ("A new picture is wanted, and the label waits for its turn.", "需要更新画面，正在排队。"),
            ("There is nothing to do: it goes out by itself.", "无需处理，系统会自动发送。"),
        ],
        Health::InFlight => [
            ("On its way", "发送中"),
            ("A new picture is on its way to the label.", "新画面正在发往价签。"),
            ("There is nothing to do: the label takes it when it wakes.", "无需处理，价签唤醒后会接收。"),
        ],
        Health::Delivered => [
            ("Delivered", "已送达"),
            (
                "The label took the new picture and has not proven yet that it shows it.",
                "价签已接收新画面，尚未证实已显示。",
            ),
            ("There is nothing to do: its next check-in tells.", "无需处理，下次上报即可确认。"),
        ],
        Health::Stale => [
            ("Wrong", "显示有误"),
            (
                "The label answers, but its glass has not agreed for more than 15 minutes.",
                "价签在线，但屏幕内容超过 15 分钟不一致。",
            ),
            (
                "Put a paper price there, then look at its signal, its battery and its base station.",
                "请先放置纸质价签，再检查信号、电池和基站。",
            ),
        ],
        Health::Offline => [
            ("Offline", "离线"),
            ("No base station has heard the label for more than 30 minutes.", "超过 30 分钟没有基站收到该价签的信号。"),
            (
                "See whether it hangs there, whether its battery is empty and whether metal covers it.",
                "请检查价签是否在位、电池是否耗尽、是否被金属遮挡。",
            ),
        ],
        Health::Faulty => [
            ("Faulty", "故障"),
            ("The label cannot show its picture.", "价签无法显示画面。"),
            (
                "Put a paper price there, and replace the label if the fault stays.",
                "请先放置纸质价签；若故障持续，请更换价签。",
            ),
        ],
        Health::Unbound => [
            ("Unbound", "未绑定"),
            ("The label shows no product.", "价签未绑定商品。"),
            ("Bind it to a product, or leave it in the drawer.", "请绑定商品，或收起备用。"),
        ],
    };
    Words {
        name: language.say(name.0, name.1),
        meaning: language.say(meaning.0, meaning.1),
        action: language.say(action.0, action.1),
    }
}

/// How long a span is.
pub(super) fn span(span: Duration, language: Language) -> String {
    let english = instant::span(span);
    match (language, english.split_once(' ')) {
        (Language::Chinese, Some((number, unit))) => {
            let unit = match unit {
                "s" => "秒",
                "min" => "分钟",
                "h" => "小时",
                _ => "天",
            };
            format!("{number} {unit}")
        }
        _ => english,
    }
}

/// Where a label hangs; empty when nobody said.
pub(super) fn place(label: &Label, language: Language) -> String {
    if language == Language::English {
        return selection::place(label);
    }
    let position = &label.position;
    let parts = [(&position.aisle, "通道"), (&position.shelf, "层"), (&position.slot, "位")];
    let said = parts.into_iter().filter(|(text, _)| !text.is_empty());
    said.map(|(text, word)| format!("{text} {word}")).collect::<Vec<_>>().join(" ")
}

/// Something that a label is told to do.
pub(super) const fn command(action: Action, language: Language) -> &'static str {
    let (english, chinese) = match action {
        Action::Ping => ("Checking in", "上报"),
        Action::Identify => ("Showing its address", "显示地址"),
        Action::Flash { .. } => ("Blinking", "闪灯"),
        Action::Page { .. } => ("Another page", "翻页"),
        Action::Refresh => ("A refresh", "刷新屏幕"),
        Action::Firmware => ("Its firmware's name", "查询固件"),
        Action::Drop { .. } => ("Forgetting a picture", "丢弃画面"),
        Action::Reboot => ("Starting anew", "重新启动"),
        Action::Scan => ("Looking for a base station", "搜索基站"),
        Action::Sleep => ("Sleeping until its button is pressed", "休眠（按键唤醒）"),
    };
    language.say(english, chinese)
}

/// What became of it.
pub(super) const fn command_state(state: CommandState, language: Language) -> &'static str {
    let (english, chinese) = match state {
        CommandState::Waiting => ("waits for room at a base station", "等待基站空闲"),
        CommandState::Sent(_) => ("waits for the label to wake", "等待价签唤醒"),
        CommandState::Over { status: Some(Status::Delivered), .. } => ("is done", "已完成"),
        CommandState::Over { status: Some(Status::Unsupported), .. } => {
            ("is more than this label can do", "价签不支持")
        }
        CommandState::Over { status: Some(Status::Cancelled), .. } => ("was withdrawn", "已撤回"),
        CommandState::Over { .. } => ("did not reach the label", "未送达价签"),
    };
    language.say(english, chinese)
}

/// What is wrong, as a sentence.
pub(super) fn alert(alert: &Alert, language: Language) -> String {
    match language {
        Language::Chinese if alert.cause.is_some() => format!("{}。", alert.chinese()),
        _ => sentence(&alert.text),
    }
}

/// An error's text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    format!("{}.", capital(text))
}

/// A text with its first letter large.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    first + chars.as_str()
}
