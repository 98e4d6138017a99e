//! The page of one label: what should be on its glass, what is, and everything known of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use gondola_protocol::{Moment, StoreId};
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::card::{self, Glass};
use super::layout::{self, Frame};
use super::{PageProblem, words};
use crate::controller::Controller;
use crate::controller::trials::{Draft, Trial};
use crate::fleet::health::{Health, LOW_BATTERY};
use crate::fleet::label::Label;
use crate::instant;
use crate::template::view::ProductView;
use crate::web::language::Language;
use crate::web::{Web, label_id, picture, selection};

/// Below this a label's radio is hardly heard: most radios lose packets from about here on.
const WEAK_SIGNAL_DBM: i8 = -85;

/// What the page shows.
struct Seen {
    label: Label,
    health: Health,
    products: Vec<ProductView>,
    base_station: Option<String>,
    trial: Option<Trial>,
    battery_days: Option<u32>,
    now: Moment,
    zone: TimeZone,
    language: Language,
}

/// The page.
pub(super) async fn page(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let (shop, id, language) = (web.shop(&store)?, label_id(&label)?, frame.language);
    let read = shop.handle.read(move |controller, now| {
        controller.fleet().label(id).map(|label| Seen::of(controller, label, now, language))
    });
    let seen = read.await?.ok_or_else(|| picture::unknown(id))?;
    let content = seen.markup(shop.handle.id(), &shop.name);
    Ok(frame.page(&format!("{} · {}", seen.title(), shop.name), Some(seen.now), &content))
}

impl Seen {
    fn of(controller: &Controller, label: &Label, now: Moment, language: Language) -> Self {
        let skus = selection::skus(label);
        Self {
            health: Health::of(label, now),
            products: skus.iter().map(|sku| controller.catalog().view(sku, now)).collect(),
            base_station: selection::base_station(controller, label).map(ToString::to_string),
            trial: controller.trials().of(label.id).cloned(),
            battery_days: controller.battery_days(label),
            label: label.clone(),
            now,
            zone: controller.catalog().settings().time_zone.clone(),
            language,
        }
    }

    /// The one of two texts that is in the reader's language.
    const fn say<'a>(&self, english: &'a str, chinese: &'a str) -> &'a str {
        self.language.say(english, chinese)
    }

    /// How long a battery lasts, as coarsely as it is known.
    fn lasts(&self, days: u32) -> String {
        match self.language {
            Language::English if days >= 730 => format!("about {} years left", days / 365),
            Language::English if days >= 60 => format!("about {} months left", days / 30),
            Language::English => format!("about {days} days left"),
            Language::Chinese if days >= 730 => format!("约可用 {} 年", days / 365),
            Language::Chinese if days >= 60 => format!("约可用 {} 个月", days / 30),
            Language::Chinese => format!("约可用 {days} 天"),
        }
    }

    fn title(&self) -> String {
        let first = self.products.first();
        let name = first.map(|product| product.name.as_ref().unwrap_or(&product.sku).clone());
        name.unwrap_or_else(|| format!("{} {}", self.say("Label", "价签"), self.label.id))
    }

    fn markup(&self, store: &StoreId, store_name: &str) -> Markup {
        let (label, words) = (&self.label, words::health(self.health, self.language));
        let place = words::place(label, self.language);
        html! {
            section.label data-store=(store) data-label=(label.id) data-health=(self.health) {
                p.path { a href={ "/stores/" (store) } { (store_name) } (self.say(" › label ", " › 价签 ")) span.id { (label.id) } }
                h1 { (self.title()) }
                p { @if place.is_empty() { (self.say("Nobody has said where it hangs.", "尚未设置位置。")) } @else { (words::capital(&place)) } }
                div.verdict data-health=(self.health) {
                    (layout::mark(self.health, self.language))
                    p {
                        @if label.last_check_in.is_none() && self.health == Health::Offline {
                            (self.say("No base station has ever heard the label. ", "从未有基站收到该价签的信号。"))
                        } @else {
                            (words.meaning) " "
                        }
                        @if let Some(fault) = &label.trouble().fault { (words::sentence(fault)) " " }
                        strong { (words.action) }
                    }
                }
                (self.tries(store))
                (self.pictures(store))
                (self.commands(store))
                (self.product_table())
                div.facts { (self.clocks()) (self.device()) (self.picture_facts()) }
            }
        }
    }

    /// A draft that it shows for a while, and how that ends.
    fn tries(&self, store: &StoreId) -> Markup {
        let Some(Trial { draft: Draft { template, .. }, until }) = &self.trial else { return html! {} };
        html! {
            div.commands.trying {
                span {
                    (self.say("It shows a draft of the template ", "正在试用模板 ")) a href={ "/templates/" (template) } { (template) }
                    (self.say(" until ", " 的草稿，至 ")) (instant::on_the_clock(*until, self.now, &self.zone)) "."
                }
                button type="button" data-delete={ "/v1/stores/" (store) "/labels/" (self.label.id) "/trial" } { (self.say("End the trial", "结束试用")) }
            }
        }
    }

    fn pictures(&self, store: &StoreId) -> Markup {
        let Label { id, panel, .. } = self.label;
        let desired = self.label.desired.as_ref();
        let wanted = desired.and_then(|desired| desired.digest).map(|digest| digest.to_string());
        // A picture that is not drawn yet has no digest: its edition makes the address its own.
        let version = wanted.or_else(|| desired.map(|desired| desired.edition.to_string())).unwrap_or_default();
        let differ = !self.label.is_in_sync() && self.label.reported.is_some() && desired.is_some();
        let ours = matches!(Glass::of(&self.label), Glass::Ours(_));
        let source = |which: &str| format!("/v1/stores/{store}/labels/{id}/image.png?which={which}&digest={version}");
        html! {
            div.pictures {
                figure {
                    figcaption { (self.say("On the glass", "屏幕显示")) }
                    div.glass { (Glass::of(&self.label).markup(store, id, panel, self.language)) }
                }
                figure {
                    figcaption { (self.say("Should be", "应当显示")) }
                    div.glass {
                        @if desired.is_some() {
                            (card::image(&source("desired"), panel, self.say("The picture that should be on the glass", "应当显示的画面")))
                        } @else {
                            p.blank { (self.say("Nothing is wanted", "无需显示")) }
                        }
                    }
                }
                @if differ && ours {
                    figure {
                        figcaption { (self.say("Differs in magenta", "洋红色为差异")) }
                        div.glass { (card::image(&source("diff"), panel, self.say("Pixels that differ, in magenta", "洋红色为不同的像素"))) }
                    }
                }
            }
        }
    }

    /// What a person may tell the label, and what became of it.
    fn commands(&self, store: &StoreId) -> Markup {
        let path = |kind: &str| format!("/v1/stores/{store}/labels/{}/{kind}", self.label.id);
        html! {
            div.commands {
                button type="button" data-post=(path("flash")) { (self.say("Let it blink", "闪灯")) }
                button type="button" data-post=(path("refresh")) { (self.say("Refresh the display", "刷新屏幕")) }
                button type="button" data-post=(path("identify")) { (self.say("Show its address", "显示地址")) }
                @if let Some(command) = &self.label.command {
                    span.faint {
                        (words::command(command.action, self.language)) " "
                        (words::command_state(command.state, self.language)) " · "
                        (layout::ago(Some(command.asked_at), self.now, &self.zone, self.language))
                    }
                }
            }
        }
    }

    fn product_table(&self) -> Markup {
        if self.products.is_empty() {
            return html! {};
        }
        html! {
            div.wide tabindex="0" role="region" aria-label=(self.say("Products", "商品")) {
                table {
                    thead { tr {
                        th { (self.say("Product", "商品")) } th { "SKU" } th { (self.say("Price", "价格")) }
                        th { (self.say("Was", "原价")) } th { (self.say("Promotion", "促销")) }
                    } }
                    tbody {
                        @for product in &self.products {
                            tr {
                                td { (product.name.as_deref().unwrap_or_else(|| self.say("not known yet", "未知"))) @if let Some(spec) = &product.spec { " " span.faint { (spec) } } }
                                td { (product.sku) }
                                td.amount { (amount(product, product.price.as_deref())) }
                                td.amount { (amount(product, product.was.as_deref())) }
                                td {
                                    @if let Some(promotion) = &product.promotion {
                                        (promotion.text.as_deref().unwrap_or(&promotion.id))
                                        " " span.faint { (promotion.start_date) " – " (promotion.end_date) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn clocks(&self) -> Markup {
        let label = &self.label;
        let ago = |moment| layout::ago(moment, self.now, &self.zone, self.language);
        html! {
            section {
                h2 { (self.say("When", "时间")) }
                dl {
                    dt { (self.say("Picture wanted", "需要更新")) } dd { (ago(label.desired.as_ref().map(|desired| desired.since))) }
                    dt { (self.say("Last one taken", "最近接收")) } dd { (ago(label.acknowledged_at)) }
                    dt { (self.say("Last one proven", "最近证实")) } dd { (ago(label.displayed_at)) }
                    dt { (self.say("Last check-in", "最近上报")) } dd { (ago(label.last_check_in)) }
                }
            }
        }
    }

    fn device(&self) -> Markup {
        let label = &self.label;
        html! {
            section {
                h2 { (self.say("Device", "设备")) }
                dl {
                    dt { (self.say("Panel", "屏幕")) } dd { (label.panel) }
                    dt { (self.say("Battery", "电池")) } dd {
                        @if let Some(battery) = label.battery_mv {
                            (battery.0 / 1_000) "." (format!("{:02}", battery.0 % 1_000 / 10)) " V"
                            @if let Some(days) = self.battery_days { " · " (self.lasts(days)) }
                            @if battery < LOW_BATTERY { " " span.mark data-health="stale" { (self.say("Low", "低")) } }
                        } @else { (unknown(self.language)) }
                    }
                    dt { (self.say("Temperature", "温度")) } dd { @if let Some(celsius) = label.temperature_c { (celsius) " °C" } @else { (unknown(self.language)) } }
                    dt { (self.say("Firmware", "固件")) } dd {
                        @if let Some(name) = &label.firmware_name { (name) }
                        @else if let Some(firmware) = label.firmware { (firmware) }
                        @else { (unknown(self.language)) }
                    }
                    dt { (self.say("Base station", "基站")) } dd { @if let Some(station) = &self.base_station { (station) } @else { (self.say("none in reach", "无可用基站")) } }
                    dt { (self.say("Signal", "信号")) } dd {
                        @if label.heard_by.is_empty() { (unknown(self.language)) }
                        @for (station, heard) in label.heard_by.iter() {
                            div {
                                (heard.rssi_dbm) " dBm · " (station)
                                @if heard.rssi_dbm < WEAK_SIGNAL_DBM { " " span.mark data-health="stale" { (self.say("Weak", "弱")) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn picture_facts(&self) -> Markup {
        let (desired, reported) = (self.label.desired.as_ref(), self.label.reported.as_ref());
        html! {
            section {
                h2 { (self.say("Picture", "画面")) }
                dl {
                    dt { (self.say("Template", "模板")) } dd { @if let Some(desired) = desired { (desired.template) } @else { (self.say("none", "无")) } }
                    dt { (self.say("Wanted", "期望")) } dd {
                        @if let Some(desired) = desired {
                            @if let Some(digest) = desired.digest { span.id { (digest) } } @else { (self.say("not drawn yet", "尚未绘制")) }
                            div.faint { (self.say("edition ", "版本 ")) (desired.edition) }
                        } @else { (self.say("none", "无")) }
                    }
                    dt { (self.say("Proven", "已证实")) } dd {
                        @if let Some(reported) = reported {
                            span.id { (reported.digest) }
                            div.faint { (self.say("edition ", "版本 ")) (reported.edition) }
                        } @else { (self.say("nothing yet", "尚无")) }
                    }
                    @if let Some(upcoming) = &self.label.upcoming {
                        dt { (self.say("Next", "下一画面")) } dd {
                            (instant::on_the_clock(upcoming.activate_at(), self.now, &self.zone))
                            div.faint {
                                @if self.label.keeps_upcoming() {
                                    (self.say("kept by the label, which shows it by itself", "已预存，届时自动显示"))
                                } @else { (self.say("not with the label yet", "尚未预存")) }
                            }
                        }
                    }
                    @if let Some(unproven) = &self.label.unproven {
                        dt { (self.say("Not proven", "未证实")) } dd {
                            span.id { (unproven.digest) }
                            div.faint { (self.say("edition ", "版本 ")) (unproven.edition) (self.say(", taken by the label", "，价签已接收")) }
                        }
                    }
                }
            }
        }
    }
}

fn unknown(language: Language) -> Markup {
    html! { span.faint { (language.say("not known yet", "未知")) } }
}

fn amount(product: &ProductView, amount: Option<&str>) -> Markup {
    html! { @if let Some(amount) = amount { (amount) " " span.faint { (product.currency) } } @else { span.faint { "–" } } }
}
