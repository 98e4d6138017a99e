//! Why an alert holds: kept in its parts, so that each reader is told in their own language.

use serde::{Deserialize, Serialize};

use crate::catalog::guard::{Suspicion, WAVE_SPAN};

/// What is wrong. Beside it stand the alert's rule and subject. Its JSON is a part of the journal.
///
/// A `why` is what a driver, the operating system or a source said: it comes in English alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Labels show a product that the store does not sell.
    NotForSale {
        /// How many.
        labels: usize,
    },
    /// A price change waits for a person.
    Held {
        /// The row: its facet and id.
        row: String,
        /// Its revision.
        revision: u64,
        /// Why it waits.
        reason: Suspicion,
    },
    /// A full reload failed.
    ReloadFailed {
        /// What went wrong.
        why: String,
    },
    /// A source sends rows older than what is known.
    Regressed {
        /// How many.
        rows: u32,
        /// Within so many minutes.
        minutes: u64,
    },
    /// What answers as a base station is another one.
    Impostor {
        /// How it was found out.
        why: String,
    },
    /// A base station that is not configured wants to come in.
    Stranger,
    /// Two labels answer to one id.
    DuplicateId,
    /// The journal cannot be written to.
    Journal {
        /// What the disk says.
        why: String,
    },
    /// Too few labels show what they should.
    Accuracy {
        /// Thousandths that do.
        per_mille: u32,
        /// Of so many.
        bound: u32,
        /// The threshold, in hundredths.
        below_percent: u32,
    },
    /// Labels answer, and show something else than they should.
    StaleLabels {
        /// How many.
        labels: u32,
    },
    /// A base station is away.
    StationDown {
        /// What is known of it; none when it has not been there since the start.
        why: Option<String>,
    },
    /// Labels have low batteries.
    LowBatteries {
        /// How many.
        labels: u32,
    },
    /// The disk is nearly full.
    Disk {
        /// Hundredths of it that are free.
        free_percent: u8,
        /// The same in MiB.
        free_mib: u64,
    },
}

impl Cause {
    /// What is wrong with `subject`, without a full stop. What to do about it is said by rule
    /// ([`words::action`](super::words::action)).
    #[must_use]
    pub fn english(&self, subject: &str) -> String {
        match self {
            Self::NotForSale { labels } => {
                let labels = if *labels == 1 { "1 label shows".to_owned() } else { format!("{labels} labels show") };
                format!("{labels} product {subject}, which this store does not sell")
            }
            Self::Held { row, revision, reason } => {
                format!("{row}, revision {revision}, is held: {reason}")
            }
            Self::ReloadFailed { why } => {
                format!("the reload of {subject} failed, and nothing of it is used: {why}")
            }
            Self::Regressed { rows, minutes } => format!(
                "{subject} has sent {rows} rows within {minutes} minutes with revisions below those that are known"
            ),
            Self::Impostor { why } => format!("what answers for base station `{subject}` is not driven: {why}"),
            Self::Stranger => format!("a base station that calls itself `{subject}` is turned away"),
            Self::DuplicateId => format!("two devices answer to label {subject}"),
            Self::Journal { why } => format!(
                "the journal takes nothing: {why}; what was acknowledged is safe, requests are refused meanwhile"
            ),
            Self::Accuracy { per_mille, bound, below_percent } => format!(
                "{} % of {bound} bound labels show what they should, less than {below_percent} % for 15 minutes",
                percent(*per_mille)
            ),
            Self::StaleLabels { labels: 1 } => {
                "1 label answers and shows something else than it should for more than 15 minutes".to_owned()
            }
            Self::StaleLabels { labels } => {
                format!("{labels} labels answer and show something else than it should for more than 15 minutes")
            }
            Self::StationDown { why } => {
                let why = why.as_deref().unwrap_or("it has not been there since the start");
                format!("base station `{subject}` is away: {why}")
            }
            Self::LowBatteries { labels: 1 } => "1 label has a low battery".to_owned(),
            Self::LowBatteries { labels } => format!("{labels} labels have low batteries"),
            Self::Disk { free_percent, free_mib } => {
                format!("{free_percent} % of the disk with the journal are free, {free_mib} MiB")
            }
        }
    }

    /// The same in Chinese.
    #[must_use]
    pub fn chinese(&self, subject: &str) -> String {
        match self {
            Self::NotForSale { labels } => format!("{labels} 张价签显示商品 {subject}，但本店不销售该商品"),
            Self::Held { row: _, revision, reason } => {
                format!("{subject}（版本 {revision}）待审批：{}", suspicion(reason))
            }
            Self::ReloadFailed { why } => format!("{subject} 全量重载失败，其数据未被采用：{why}"),
            Self::Regressed { rows, minutes } => {
                format!("{subject} 在 {minutes} 分钟内发来 {rows} 条版本低于已知版本的数据")
            }
            Self::Impostor { why } => format!("自称基站 {subject} 的设备未被接入：{why}"),
            Self::Stranger => format!("自称 {subject} 的基站未在配置中，已被拒绝"),
            Self::DuplicateId => format!("有两台设备使用同一价签编号 {subject}"),
            Self::Journal { why } => format!("日志无法写入：{why}；已确认的操作不受影响，新请求暂被拒绝"),
            Self::Accuracy { per_mille, bound, below_percent } => format!(
                "{bound} 张已绑定价签中有 {}% 显示正确，低于 {below_percent}% 已达 15 分钟",
                percent(*per_mille)
            ),
            Self::StaleLabels { labels } => format!("{labels} 张价签有应答，但显示有误已超过 15 分钟"),
            Self::StationDown { why: Some(why) } => format!("基站 {subject} 离线：{why}"),
            Self::StationDown { why: None } => format!("基站 {subject} 自启动以来未曾上线"),
            Self::LowBatteries { labels } => format!("{labels} 张价签电量低"),
            Self::Disk { free_percent, free_mib } => format!("日志所在磁盘仅剩 {free_percent}% 空间（{free_mib} MiB）"),
        }
    }
}

/// Why a change waits, in Chinese.
#[must_use]
pub fn suspicion(reason: &Suspicion) -> String {
    match reason {
        Suspicion::Zero => "价格将变为 0".to_owned(),
        Suspicion::Up { from, to } => format!("价格将从 {from} 涨到 {to}，可能是小数点有误"),
        Suspicion::Down { from, to } => format!("价格将从 {from} 降到 {to}，可能有误"),
        Suspicion::Wave { changed, of } => {
            format!("{} 分钟内 {of} 个价格中有 {changed} 个发生变更", WAVE_SPAN.as_secs() / 60)
        }
    }
}

/// Thousandths as a percentage with one decimal.
fn percent(per_mille: u32) -> String {
    format!("{}.{}", per_mille / 10, per_mille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cause: &Cause, subject: &str, english: &str, chinese: &str, json: &str) {
        assert_eq!((cause.english(subject).as_str(), cause.chinese(subject).as_str()), (english, chinese));
        assert_eq!(serde_json::to_string(cause).unwrap(), json);
        assert_eq!(serde_json::from_str::<Cause>(json).unwrap(), *cause);
    }

    #[test]
    fn a_cause_is_said_in_both_languages_and_kept_in_its_parts() {
        check(
            &Cause::StationDown { why: None },
            "front",
            "base station `front` is away: it has not been there since the start",
            "基站 front 自启动以来未曾上线",
            r#"{"station_down":{"why":null}}"#,
        );
        check(
            &Cause::Accuracy { per_mille: 875, bound: 8, below_percent: 98 },
            "hz-001",
            "87.5 % of 8 bound labels show what they should, less than 98 % for 15 minutes",
            "8 张已绑定价签中有 87.5% 显示正确，低于 98% 已达 15 分钟",
            r#"{"accuracy":{"per_mille":875,"bound":8,"below_percent":98}}"#,
        );
        check(
            &Cause::Held { row: "base 1101".to_owned(), revision: 8, reason: Suspicion::Zero },
            "base 1101",
            "base 1101, revision 8, is held: the price would be 0",
            "base 1101（版本 8）待审批：价格将变为 0",
            r#"{"held":{"row":"base 1101","revision":8,"reason":"zero"}}"#,
        );
        check(
            &Cause::LowBatteries { labels: 1 },
            "hz-001",
            "1 label has a low battery",
            "1 张价签电量低",
            r#"{"low_batteries":{"labels":1}}"#,
        );
    }
}
