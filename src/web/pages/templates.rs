//! Templates: what each makes of a product, and an editor with a live preview, what is wrong beside it, earlier versions,
//! and a label that shows the draft first.

use std::sync::Arc;

use axum::extract::{Path, State};
use gondola_protocol::{LabelId, Moment, Panel, StoreId};
use jiff::tz::TimeZone;
use maud::{Markup, html};
use serde::Deserialize;

use super::card;
use super::layout::{self, Frame};
use super::{PageProblem, url_query};
use crate::accounts::{Role, Visitor};
use crate::controller::Controller;
use crate::fleet::label::Label;
use crate::instant;
use crate::render::check::PANELS;
use crate::run::templates::{EditError, Version};
use crate::web::language::Language;
use crate::web::problem::Problem;
use crate::web::request::Params;
use crate::web::{Shop, Web, samples};

/// Panels that an editor shows at once: what fits beside the text without scrolling far.
const PREVIEWS_MAX: usize = 6;

/// Products of the store to choose from, and labels to try a draft on.
const CHOICES_MAX: usize = 20;

/// What the list shows a template on, if it is made for it.
const USUAL: usize = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    store: Option<String>,
}

/// A template of the list.
struct Listed {
    name: String,
    newest: Option<Version>,
    panel: Panel,
    /// What it is shown with: `sku=…` or `sample=…`.
    product: String,
    /// Labels of the store that show it.
    labels: usize,
}

/// What the editor needs of the store.
struct Bench {
    panels: Vec<Panel>,
    /// `sku=…` and the product's name.
    products: Vec<(String, String)>,
    /// Which of these, or of the samples, is looked at first.
    first: String,
    /// Labels that show the template.
    labels: Vec<(LabelId, String)>,
    trials: Vec<(LabelId, Moment)>,
    now: Moment,
    zone: TimeZone,
}

fn panels() -> impl Iterator<Item = Panel> {
    PANELS.iter().filter_map(|panel| panel.parse().ok())
}

/// The panels of a template, the usual one first.
fn suited(controller: &Controller, name: &str) -> Vec<Panel> {
    let usual = panels().nth(USUAL).into_iter();
    let mut suited: Vec<Panel> = Vec::new();
    for panel in usual.chain(panels()) {
        if controller.templates().suits(name, panel) && !suited.contains(&panel) {
            suited.push(panel);
        }
    }
    suited
}

/// The store whose products are shown: the one that was asked for, else the first.
fn shop<'a>(web: &'a Web, visitor: &'a Visitor, asked: Option<&str>) -> Result<&'a Shop, Problem> {
    let mut shops = web.shops(visitor);
    match asked {
        None => shops.next(),
        Some(asked) => shops.find(|shop| shop.handle.id().as_str() == asked),
    }
    .ok_or_else(|| Problem::not_found("there is no store that you may look into and whose products could be shown"))
}

/// A template's picture as the server draws it.
fn preview(store: &StoreId, name: &str, panel: Panel, product: &str) -> String {
    format!("/v1/stores/{store}/templates/{name}/preview.png?panel={panel}&{product}")
}

/// Every template.
pub(super) async fn list(State(web): State<Arc<Web>>, visitor: Visitor, frame: Frame) -> Result<Markup, PageProblem> {
    let shop = shop(&web, &visitor, None)?;
    let read = web.templates(|library| {
        let current = library.current();
        Ok(current.names().map(|name| (name.to_owned(), library.versions(name).into_iter().next())).collect::<Vec<_>>())
    });
    let names = read.await?;
    let listed = shop.handle.read(move |controller, now| {
        names.into_iter().map(|(name, newest)| Listed::of(controller, now, name, newest)).collect::<Vec<_>>()
    });
    let (listed, store) = (listed.await?, shop.handle.id());
    let title = frame.say("Templates", "模板");
    let content = html! {
        h1 { (title) }
        p.faint { (frame.say("Each label gets the template that the rules choose for its product. Pictures are of products of ", "系统按规则为每个商品选择模板。示例图来自：")) (shop.name) "." }
        div.cards {
            @for one in &listed {
                a.card href={ "/templates/" (one.name) } {
                    div.glass { (card::image(&preview(store, &one.name, one.panel, &one.product), one.panel, &one.name)) }
                    div.caption {
                        strong.name { (one.name) }
                        span { (layout::counted(one.labels, layout::LABELS, frame.language)) }
                        span.where {
                            @match &one.newest {
                                None => { span { (frame.say("as it came", "原始版本")) } }
                                Some(version) => { span { (frame.say("version ", "版本 ")) (version.number) " · " (version.by) } }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(frame.page(title, None, &content))
}

impl Listed {
    fn of(controller: &Controller, now: Moment, name: String, newest: Option<Version>) -> Self {
        let usual = suited(controller, &name).into_iter().next();
        let panel = usual.or_else(|| panels().nth(USUAL)).expect("there are common panels");
        let shows = |label: &&Label| label.desired.as_ref().is_some_and(|desired| *desired.template == *name);
        let labels = controller.fleet().labels().filter(shows).count();
        let product = samples::best(controller, now, &name, panel);
        Self { name, newest, panel, product, labels }
    }
}

/// One template, to look at or to edit.
pub(super) async fn editor(
    State(web): State<Arc<Web>>,
    Path(template): Path<String>,
    Params(query): Params<Query>,
    visitor: Visitor,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let shop = shop(&web, &visitor, query.store.as_deref())?;
    let name = template.clone();
    let read = web.templates(move |library| {
        let current = library.current();
        let known = || current.names().map(str::to_owned).collect();
        let text = current.text(&name).map(str::to_owned);
        let text = text.ok_or_else(|| EditError::Unknown { name: name.clone(), known: known() })?;
        Ok((text, library.versions(&name)))
    });
    let (text, versions) = read.await?;
    let (name, language) = (template.clone(), frame.language);
    let bench = shop.handle.read(move |controller, now| Bench::of(controller, now, &name, language)).await?;
    let number = versions.first().map_or(0, |version| version.number);
    let may_edit = visitor.may_everywhere(Role::Admin);
    let content = html! {
        section.template data-template=(template) data-shop=(shop.handle.id()) data-version=(number) {
            p.path { a href="/templates" { (frame.say("Templates", "模板")) } }
            h1 { (template) }
            div.workbench {
                (bench.text(&frame, &text, may_edit))
                (bench.previews(&frame, shop.handle.id(), &template))
            }
            @if may_edit { (bench.trial(&frame, shop.handle.id())) }
            (history(&frame, &bench, &versions, may_edit))
        }
        script src="/assets/templates.js" defer {}
    };
    Ok(frame.page(&format!("{template} · {}", frame.say("Templates", "模板")), Some(bench.now), &content))
}

impl Bench {
    fn of(controller: &Controller, now: Moment, name: &str, language: Language) -> Self {
        let suited = suited(controller, name);
        let usual = suited.first().copied().or_else(|| panels().nth(USUAL)).expect("there are common panels");
        let products = samples::products(controller, now, name, usual, CHOICES_MAX);
        let named = |(sku, product): (crate::catalog::sku::Sku, Option<String>)| {
            (url_query("sku", sku.as_str()), product.unwrap_or_else(|| sku.to_string()))
        };
        let shows = |label: &&Label| label.desired.as_ref().is_some_and(|desired| *desired.template == *name);
        let place = |label: &Label| (label.id, super::words::place(label, language));
        let of_this = |(label, trial): (LabelId, &crate::controller::trials::Trial)| {
            (trial.draft.template == name).then_some((label, trial.until))
        };
        Self {
            panels: suited.into_iter().take(PREVIEWS_MAX).collect(),
            products: products.into_iter().map(named).collect(),
            first: samples::best(controller, now, name, usual),
            labels: controller.fleet().labels().filter(shows).take(CHOICES_MAX).map(place).collect(),
            trials: controller.trials().all().filter_map(of_this).collect(),
            now,
            zone: controller.catalog().settings().time_zone.clone(),
        }
    }

    fn text(&self, frame: &Frame, text: &str, may_edit: bool) -> Markup {
        html! {
            div.source {
                label { span { (frame.say("Template (XML)", "模板（XML）")) }
                    textarea #text name="text" spellcheck="false" autocomplete="off" autocapitalize="none" wrap="off" rows="24" readonly[!may_edit] { (text) } }
                @if may_edit {
                    p #verdict role="status" {}
                    ul #problems tabindex="0" {}
                    div.row {
                        button.primary #save type="button" disabled { (frame.say("Save for every store", "保存（所有门店生效）")) }
                        button #revert type="button" disabled { (frame.say("Undo my changes", "放弃修改")) }
                    }
                } @else {
                    p.faint { (frame.say("An admin of every store edits templates.", "模板由所有门店的管理员编辑。")) }
                }
            }
        }
    }

    fn previews(&self, frame: &Frame, store: &StoreId, name: &str) -> Markup {
        let (first, is_first) = (self.first.as_str(), |query: &str| query == self.first);
        html! {
            div.previews {
                label { span { (frame.say("Product", "商品")) }
                    select #product {
                        optgroup label=(frame.say("Of the store", "门店商品")) {
                            @for (query, name) in &self.products { option value=(query) selected[is_first(query)] { (name) } }
                        }
                        optgroup label=(frame.say("Samples", "示例")) {
                            @for sample in samples::names() { option value={ "sample=" (sample) } selected[is_first(&format!("sample={sample}"))] { (sample) } }
                        }
                    }
                }
                @for panel in &self.panels {
                    figure data-panel=(panel) {
                        figcaption { (panel) }
                        div.glass { (card::image(&preview(store, name, *panel, first), *panel, &format!("{name}, {panel}"))) }
                    }
                }
            }
        }
    }

    fn trial(&self, frame: &Frame, store: &StoreId) -> Markup {
        html! {
            section.sheet {
                h2 { (frame.say("Try it on one label first", "先在一张价签上试用")) }
                p { (frame.say("The label shows what stands above, with its own product, for half an hour; then it goes back by itself. Nothing else changes.", "该价签将以自己的商品显示上方内容，半小时后自动恢复。其他价签不受影响。")) }
                form #try autocomplete="off" {
                    label { span { (frame.say("Label: scan or choose", "价签：扫描或选择")) }
                        input #try-label name="label" list="try-labels" maxlength="23" autocapitalize="none" spellcheck="false" required; }
                    datalist #try-labels { @for (label, place) in &self.labels { option value=(label) { (place) } } }
                    button { (frame.say("Try it", "试用")) }
                }
                p #try-state role="status" {}
                ul.trials {
                    @for (label, until) in &self.trials {
                        li {
                            a href={ "/stores/" (store) "/labels/" (label) } { span.id { (label) } }
                            (frame.say(" shows a draft until ", " 正在试用，至 ")) (instant::on_the_clock(*until, self.now, &self.zone)) " "
                            button type="button" data-end=(label) { (frame.say("End the trial", "结束试用")) }
                        }
                    }
                }
            }
        }
    }
}

fn history(frame: &Frame, bench: &Bench, versions: &[Version], may_edit: bool) -> Markup {
    let buttons = |number: u32, is_newest: bool| {
        html! {
            @if may_edit { span.choices {
                button type="button" data-look=(number) { (frame.say("Look at it", "查看")) }
                @if !is_newest { button type="button" data-back=(number) { (frame.say("Go back to it", "恢复此版本")) } }
            } }
        }
    };
    html! {
        section.sheet {
            h2 { (frame.say("Versions", "版本")) }
            ul.decisions {
                @for (index, version) in versions.iter().enumerate() {
                    li {
                        span {
                            strong { (version.number) } " · " (version.by) " · "
                            (layout::ago(Some(version.at), bench.now, &bench.zone, frame.language))
                            @match version.restores {
                                Some(0) => { (frame.say(" · as it came", " · 恢复为原始版本")) }
                                Some(restored) => { (frame.say(" · back to ", " · 恢复为版本 ")) (restored) }
                                None => {}
                            }
                        }
                        (buttons(version.number, index == 0))
                    }
                }
                li {
                    span { strong { "0" } " · " (frame.say("as it came", "原始版本")) }
                    (buttons(0, versions.is_empty()))
                }
            }
        }
    }
}
