//! Sending pictures on demand: what a push would change, before it is pressed; then how far it is.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Redirect;
use gondola_protocol::{LabelId, Moment, StoreId};
use maud::{Markup, html};
use serde::Deserialize;

use super::PageProblem;
use super::card::Card;
use super::layout::{self, Frame};
use crate::catalog::sku::Sku;
use crate::controller::Controller;
use crate::controller::jobs::{Job, PushPreview, PushProgress};
use crate::controller::message::{Answer, PushMode, PushOrder, Reach, Request};
use crate::fleet::health::Health;
use crate::web::Web;
use crate::web::language::Language;
use crate::web::problem::Problem;
use crate::web::request::{FormFields, Params};

/// Labels that are shown; their number says how many there are.
const CARDS_MAX: usize = 60;

/// Products that a push may name here; a list of more comes over REST.
const SKUS_MAX: usize = 50;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    mode: String,
    #[serde(default)]
    skus: String,
}

/// What a push would do.
struct Seen {
    total: usize,
    sent: usize,
    offline: usize,
    cards: Vec<Card>,
}

/// The page that shows what a push would change.
pub(super) async fn page(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<Query>,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let (shop, language) = (web.shop(&store)?, frame.language);
    let order = order(&query.mode, &query.skus)?;
    let mode = order.mode;
    let seen = shop.handle.read(move |controller, now| Seen::of(controller, now, &order, language)).await?;
    let id = shop.handle.id();
    let title = frame.say("Send pictures", "推送画面");
    let content = html! {
        p.path { a href={ "/stores/" (id) } { (shop.name) } }
        h1 { (title) }
        p.faint { (frame.say("Labels are kept right by themselves; this is for when you want to be sure. See what it would change before you press.", "系统会自动保持价签正确；需要确认时可手动推送。请先查看影响范围再确认。")) }
        (choice(&frame, id, mode, &query.skus))
        (seen.markup(&frame, id, mode, &query.skus))
    };
    Ok(frame.page(&format!("{title} · {}", shop.name), None, &content))
}

fn choice(frame: &Frame, store: &StoreId, mode: PushMode, skus: &str) -> Markup {
    html! {
        form.search action={ "/stores/" (store) "/push" } {
            label { span { (frame.say("Products by SKU; empty for the whole store", "商品编号（留空为整个门店）")) }
                input name="skus" value=(skus) autocapitalize="none" spellcheck="false" placeholder="1101, 1102"; }
            label { span { (frame.say("Labels", "价签")) }
                select name="mode" {
                    option value="incremental" selected[mode == PushMode::Incremental] { (frame.say("that differ", "有差异的")) }
                    option value="resend" selected[mode == PushMode::Resend] { (frame.say("all of them, again", "全部重新发送")) }
                }
            }
            button { (frame.say("Show what it would change", "查看影响范围")) }
        }
    }
}

/// What the form asks for.
fn order(mode: &str, skus: &str) -> Result<PushOrder, Problem> {
    let mode = match mode {
        "" | "incremental" => PushMode::Incremental,
        "resend" => PushMode::Resend,
        other => return Err(Problem::bad_request(format!("push mode `{other}` is not incremental or resend"))),
    };
    let named = skus.split([',', '，', ' ', '\n']).map(str::trim).filter(|sku| !sku.is_empty());
    let skus: Vec<Sku> = named.map(str::parse).collect::<Result<_, _>>().map_err(Problem::bad_request)?;
    if skus.len() > SKUS_MAX {
        let detail = format!("{} products are too many for this page; name at most {SKUS_MAX}, or none", skus.len());
        return Err(Problem::bad_request(detail));
    }
    Ok(PushOrder { skus, labels: Vec::new(), reach: Reach::Store, mode })
}

impl Seen {
    fn of(controller: &Controller, now: Moment, order: &PushOrder, language: Language) -> Self {
        let PushPreview { total, sent } = controller.preview_push(order);
        let label = |id: &LabelId| controller.fleet().label(*id);
        let is_offline = |id: &&LabelId| label(id).is_some_and(|label| Health::of(label, now) == Health::Offline);
        let cards = sent.iter().filter_map(label).take(CARDS_MAX);
        Self {
            total,
            offline: sent.iter().filter(is_offline).count(),
            cards: cards.map(|label| Card::of(controller, label, now, language)).collect(),
            sent: sent.len(),
        }
    }

    fn markup(&self, frame: &Frame, store: &StoreId, mode: PushMode, skus: &str) -> Markup {
        let counted = |count| layout::counted(count, layout::LABELS, frame.language);
        html! {
            p.headline {
                strong { (layout::number(self.sent)) } (frame.say(" of ", " / ")) (counted(self.total))
                @match mode {
                    PushMode::Resend => { (frame.say(" would get their pictures again", "将重新发送")) }
                    _ => { (frame.say(" differ and get a new picture", "有差异，将更新")) }
                }
            }
            @if self.offline > 0 {
                p { (counted(self.offline)) (frame.say(" of these are offline: they get theirs when they are heard again.", "离线，恢复信号后更新。")) }
            }
            @if mode == PushMode::Resend && self.sent > 0 {
                p { (frame.say("Each refresh costs some battery and some minutes of radio time.", "每次刷新都会消耗电量和无线时间。")) }
            }
            @if self.sent > 0 {
                form method="post" action={ "/stores/" (store) "/push" } {
                    input type="hidden" name="mode" value=(if mode == PushMode::Resend { "resend" } else { "incremental" });
                    input type="hidden" name="skus" value=(skus);
                    button.primary { (frame.say("Send to ", "推送到 ")) (counted(self.sent)) }
                }
            } @else {
                p { (frame.say("There is nothing to send: every label agrees.", "无需推送：所有价签均一致。")) }
            }
            div.cards { @for card in &self.cards { (card.markup(store)) } }
            @if self.sent > self.cards.len() {
                p.faint { (frame.say("and ", "还有 ")) (counted(self.sent - self.cards.len())) (frame.say(" more", "")) }
            }
        }
    }
}

/// Sends.
pub(super) async fn send(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    form: FormFields,
) -> Result<Redirect, PageProblem> {
    let shop = web.shop(&store)?;
    let order = order(form.text("mode"), form.text("skus"))?;
    match shop.handle.request(Request::Push(order)).await? {
        Answer::Started(number) => Ok(Redirect::to(&format!("/stores/{}/pushes/{number}", shop.handle.id()))),
        Answer::Done | Answer::Rows(_) => {
            Err(Problem::unavailable("the store has answered something else than was asked").into())
        }
    }
}

/// How far a push is; the script reads it again while labels change.
pub(super) async fn progress(
    State(web): State<Arc<Web>>,
    Path((store, id)): Path<(String, String)>,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let (shop, language) = (web.shop(&store)?, frame.language);
    let read = shop.handle.read(move |controller, now| {
        let Job::Push(push) = controller.jobs().get(id.parse().ok()?)? else { return None };
        let fleet = controller.fleet();
        let left = push.labels.iter().filter_map(|id| fleet.label(*id)).filter(|label| !label.is_in_sync());
        let cards: Vec<Card> = left.take(CARDS_MAX).map(|label| Card::of(controller, label, now, language)).collect();
        let zone = &controller.catalog().settings().time_zone;
        Some((push.progress(fleet, now), layout::ago(Some(push.asked_at), now, zone, language), cards, now))
    });
    let none = || Problem::not_found("there is no such push; the last hundred are remembered");
    let (progress, asked, cards, now) = read.await?.ok_or_else(none)?;
    let PushProgress { total, in_sync, failed } = progress;
    let (store, title) = (shop.handle.id(), frame.say("A push", "推送"));
    let content = html! {
        section.live data-store=(store) {
            p.path { a href={ "/stores/" (store) } { (shop.name) } " › " a href={ "/stores/" (store) "/push" } { (frame.say("Send pictures", "推送画面")) } }
            h1 { (title) }
            p.headline {
                strong { (layout::number(in_sync)) } (frame.say(" of ", " / ")) (layout::counted(total, layout::LABELS, language))
                (frame.say(" show the right picture", "显示正确"))
            }
            progress value=(in_sync) max=(total.max(1)) aria-label=(title) {}
            p { (frame.say("Asked for ", "开始于 ")) (asked) }
            @if failed > 0 { p { (layout::counted(failed, layout::LABELS, language)) (frame.say(" are faulty: see what each of them says.", "故障，请查看详情。")) } }
            @if in_sync == total { p { strong { (frame.say("Done.", "已完成。")) } } }
            div.cards { @for card in &cards { (card.markup(store)) } }
        }
    };
    Ok(frame.page(&format!("{title} · {}", shop.name), Some(now), &content))
}
