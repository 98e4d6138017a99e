//! Search over everything: templates, and labels, products, promotions and base stations of every store that the visitor
//! may look into.

use std::sync::Arc;

use axum::extract::State;
use futures_util::future::try_join_all;
use gondola_protocol::{LabelId, Moment, StationId};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Frame};
use super::{PageProblem, url_query, words};
use crate::accounts::Visitor;
use crate::catalog::sku::Sku;
use crate::controller::Controller;
use crate::fleet::health::Health;
use crate::web::language::Language;
use crate::web::request::Params;
use crate::web::selection::{self, Filter, Selection};
use crate::web::{Shop, Web};

/// Of each kind in each store; who sees twenty and not the right one types more.
const FOUND_MAX: usize = 20;

/// Longest text that is searched for.
const TEXT_CHARS_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    q: String,
}

struct FoundLabel {
    id: LabelId,
    place: String,
    name: Option<String>,
    health: Health,
}

struct FoundProduct {
    sku: Sku,
    name: Option<String>,
    spec: Option<String>,
    price: Option<String>,
    labels: Vec<LabelId>,
}

struct FoundPromotion {
    id: String,
    text: Option<String>,
    products: usize,
}

struct Found {
    labels: Vec<FoundLabel>,
    products: Vec<FoundProduct>,
    promotions: Vec<FoundPromotion>,
    /// Base stations, and whether each is up.
    stations: Vec<(StationId, bool)>,
}

/// The page.
pub(super) async fn page(
    State(web): State<Arc<Web>>,
    Params(query): Params<Query>,
    visitor: Visitor,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let text: String = query.q.trim().chars().take(TEXT_CHARS_MAX).collect();
    let shops: Vec<&Shop> = if text.is_empty() { Vec::new() } else { web.shops(&visitor).collect() };
    let reads = shops.iter().map(|shop| {
        let (text, language) = (text.to_lowercase(), frame.language);
        shop.handle.read(move |controller, now| Found::of(controller, &text, now, language))
    });
    let found = try_join_all(reads).await?;
    let templates: Vec<String> = if text.is_empty() {
        Vec::new()
    } else {
        let current = web.templates.current();
        current.names().filter(|name| name.contains(&text.to_lowercase())).map(str::to_owned).collect()
    };
    let nothing = templates.is_empty() && found.iter().all(Found::is_empty);
    let title = frame.say("Search", "搜索");
    let content = html! {
        h1 { (title) }
        form.search action="/search" role="search" {
            label { span { (frame.say("Product, bar code, aisle, label, promotion, base station or template", "商品、条码、通道、价签、促销、基站或模板")) }
                input type="search" name="q" value=(text) autofocus; }
            button { (title) }
        }
        @if !templates.is_empty() {
            section.found {
                h2 { a href="/templates" { (frame.say("Templates", "模板")) } }
                ul { @for name in &templates { li { a href={ "/templates/" (name) } { (name) } } } }
            }
        }
        @for (shop, found) in shops.iter().zip(&found) { (found.markup(&frame, shop)) }
        @if nothing && !text.is_empty() { p { (frame.say("Nothing was found.", "未找到任何结果。")) } }
    };
    Ok(frame.page(title, None, &content))
}

impl Found {
    fn of(controller: &Controller, text: &str, now: Moment, language: Language) -> Self {
        let catalog = controller.catalog();
        let filter = Filter { text: text.to_owned(), ..Filter::default() };
        let selection = Selection { filter, after: None, limit: FOUND_MAX };
        let labels = selection.pick(controller, now, |label| FoundLabel {
            id: label.id,
            place: words::place(label, language),
            name: selection::skus(label).first().and_then(|sku| catalog.product(sku)?.name.clone().map(Into::into)),
            health: Health::of(label, now),
        });
        let holds = |field: Option<&str>| field.is_some_and(|field| selection::holds(field, text));
        let products = catalog.products().filter(|product| {
            let fields = [product.name.as_deref(), product.brand.as_deref(), product.barcode.as_deref()];
            holds(Some(product.sku.as_str())) || fields.into_iter().any(holds)
        });
        let currency = catalog.settings().currency;
        let products = products.take(FOUND_MAX).map(|product| FoundProduct {
            sku: product.sku.clone(),
            name: product.name.clone().map(Into::into),
            spec: product.spec.clone().map(Into::into),
            price: catalog.shelf_price(&product.sku, now).price.map(|price| currency.format(price)),
            labels: controller.fleet().labels_of(&product.sku).take(FOUND_MAX).collect(),
        });
        let promotions = catalog
            .promotions()
            .filter(|promotion| holds(Some(promotion.id.as_str())) || holds(promotion.text.as_deref()));
        let promotions = promotions.take(FOUND_MAX).map(|promotion| FoundPromotion {
            id: promotion.id.to_string(),
            text: promotion.text.as_ref().map(ToString::to_string),
            products: promotion.skus.len(),
        });
        let stations = controller.fleet().stations().filter(|station| holds(Some(station.id.as_str())));
        Self {
            products: products.collect(),
            labels: labels.items,
            promotions: promotions.collect(),
            stations: stations
                .take(FOUND_MAX)
                .map(|station| (station.id.clone(), station.capacity.is_some()))
                .collect(),
        }
    }

    const fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.products.is_empty() && self.promotions.is_empty() && self.stations.is_empty()
    }

    fn markup(&self, frame: &Frame, shop: &Shop) -> Markup {
        let store = shop.handle.id();
        html! {
            @if !self.is_empty() {
                section.found {
                    h2 { a href={ "/stores/" (store) } { (shop.name) } }
                    @if !self.products.is_empty() { h3 { (frame.say("Products", "商品")) } }
                    ul { @for product in &self.products { (product.markup(frame, store.as_str())) } }
                    @if !self.labels.is_empty() { h3 { (frame.say("Labels", "价签")) } }
                    ul { @for label in &self.labels { li {
                        a href={ "/stores/" (store) "/labels/" (label.id) } { (label.name.as_deref().unwrap_or_else(|| frame.say("No product", "未绑定商品"))) }
                        " · " (layout::mark(label.health, frame.language)) " · " (label.place) " " span.id { (label.id) }
                    } } }
                    @if !self.promotions.is_empty() { h3 { (frame.say("Promotions", "促销")) } }
                    ul { @for promotion in &self.promotions { li {
                        strong { (promotion.text.as_deref().unwrap_or(&promotion.id)) } " · " (promotion.id) " · "
                        (layout::counted(promotion.products, ("product", "个商品"), frame.language))
                    } } }
                    @if !self.stations.is_empty() { h3 { (frame.say("Base stations", "基站")) } }
                    ul { @for (station, up) in &self.stations { li {
                        strong { (station) } " · " (if *up { frame.say("up", "在线") } else { frame.say("down", "离线") })
                    } } }
                    @if self.labels.len() == FOUND_MAX {
                        p.faint { (frame.say("There are more: type more of it.", "结果较多，请输入更多内容。")) }
                    }
                }
            }
        }
    }
}

impl FoundProduct {
    fn markup(&self, frame: &Frame, store: &str) -> Markup {
        html! {
            li {
                strong { (self.name.as_deref().unwrap_or(self.sku.as_str())) }
                @if let Some(spec) = &self.spec { " " span.faint { (spec) } }
                " · " (self.sku)
                " · " (self.price.as_deref().unwrap_or_else(|| frame.say("no price", "暂无价格")))
                @match &self.labels[..] {
                    [] => { " · " span.faint { (frame.say("on no label", "未上价签")) } }
                    [one] => { " · " a href={ "/stores/" (store) "/labels/" (one) } { (frame.say("its label", "查看价签")) } }
                    many => { " · " a href={ "/stores/" (store) "?" (url_query("q", self.sku.as_str())) } { (many.len()) " " (frame.say("labels", "张价签")) } }
                }
            }
        }
    }
}
