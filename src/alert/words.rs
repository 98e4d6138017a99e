//! Alerts for people: what each rule is called and what to do about it, in English and Chinese.

use super::Rule;

/// A text in English and in Chinese.
pub type Bilingual = (&'static str, &'static str);

/// What a rule is called.
#[must_use]
pub const fn name(rule: Rule) -> Bilingual {
    match rule {
        Rule::NotForSale => ("Not for sale", "商品已下架"),
        Rule::Held => ("Price change to decide", "价格变更待审批"),
        Rule::ReloadFailed => ("Reload failed", "全量重载失败"),
        Rule::Regressed => ("Old data", "数据版本回退"),
        Rule::Impostor => ("Unknown device as base station", "基站身份不符"),
        Rule::Stranger => ("Unknown base station", "未知基站"),
        Rule::DuplicateId => ("Two labels with one id", "价签编号重复"),
        Rule::Journal => ("Nothing can be recorded", "无法写入记录"),
        Rule::Accuracy => ("Too few labels are right", "准确率过低"),
        Rule::StaleLabels => ("Wrong labels", "价签显示有误"),
        Rule::StationDown => ("Base station away", "基站离线"),
        Rule::LowBatteries => ("Low batteries", "电池电量低"),
        Rule::Disk => ("Disk nearly full", "磁盘空间不足"),
    }
}

/// What a person does about it.
#[must_use]
pub const fn action(rule: Rule) -> Bilingual {
    match rule {
        Rule::NotForSale => (
            "Take the product off the shelf, or bind another to its labels.",
            "请将商品撤下货架，或为价签绑定其他商品。",
        ),
        Rule::Held => ("Approve or reject it; the old price stays until then.", "请批准或拒绝；在此之前货架保持原价。"),
        Rule::ReloadFailed => {
            ("See whether its source answers; it is tried again by itself.", "请检查数据源是否正常；系统会自动重试。")
        }
        Rule::Regressed => (
            "Ask whether its system was restored from a backup; a reload with reset takes its data.",
            "请确认数据源系统是否从备份恢复；带 reset 的重载可接受其数据。",
        ),
        Rule::Impostor => ("Look at what stands there, and at its key.", "请检查现场设备及其密钥。"),
        Rule::Stranger => ("Add it to the configuration, or switch it off.", "请将其加入配置，或关闭该设备。"),
        Rule::DuplicateId => (
            "Find both with \"show its address\", and take one of them away.",
            "请用“显示地址”找到两张价签，并撤走其中一张。",
        ),
        Rule::Journal => {
            ("Make room on the disk, or mend it; service comes back by itself.", "请清理或修复磁盘；服务会自动恢复。")
        }
        Rule::Accuracy => (
            "Look at the base stations first, then at the labels that are listed as wrong.",
            "请先检查基站，再检查显示有误的价签。",
        ),
        Rule::StaleLabels => (
            "Put a paper price there, then look at signal, battery and base station.",
            "请先放置纸质价签，再检查信号、电池和基站。",
        ),
        Rule::StationDown => (
            "See whether it has power and network; its labels show their last prices meanwhile.",
            "请检查其电源和网络；期间价签保持原有价格。",
        ),
        Rule::LowBatteries => ("Change the batteries within the week.", "请在一周内更换电池。"),
        Rule::Disk => {
            ("Make room on the disk: a full one stops every change.", "请清理磁盘；空间用尽后将无法进行任何变更。")
        }
    }
}
