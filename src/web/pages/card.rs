//! One label as a card: the picture on its glass, what it stands for, and its health.

use std::sync::Arc;

use axum::extract::{Path, State};
use gondola_protocol::{Digest, LabelId, Moment, Panel, StoreId};
use maud::{Markup, html};

use super::{PageProblem, layout, words};
use crate::catalog::sku::Sku;
use crate::controller::Controller;
use crate::fleet::health::Health;
use crate::fleet::label::Label;
use crate::web::language::Language;
use crate::web::{Web, label_id, picture, selection};

/// Wider glasses are shown smaller than they are, and then smoothly.
const SHARP_WIDTH_MAX: u16 = 296;

/// What a card shows.
#[derive(Debug, Clone)]
pub(super) struct Card {
    label: LabelId,
    panel: Panel,
    health: Health,
    /// The first product.
    name: Option<String>,
    sku: Option<Sku>,
    /// Products beside the first.
    more: usize,
    place: String,
    glass: Glass,
    language: Language,
}

/// What is known of a glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glass {
    /// One of our pictures.
    Ours(Digest),
    /// A picture that this store never wanted there.
    Foreign(Digest),
    /// It has proven nothing yet.
    Unproven,
}

impl Glass {
    pub(super) fn of(label: &Label) -> Self {
        match &label.reported {
            None => Self::Unproven,
            Some(reported) if reported.content.is_some() => Self::Ours(reported.digest),
            Some(reported) => Self::Foreign(reported.digest),
        }
    }

    const fn digest(self) -> Option<Digest> {
        match self {
            Self::Ours(digest) | Self::Foreign(digest) => Some(digest),
            Self::Unproven => None,
        }
    }

    /// The picture on it, or why there is none to show.
    pub(super) fn markup(self, store: &StoreId, label: LabelId, panel: Panel, language: Language) -> Markup {
        let words = match self {
            Self::Ours(digest) => {
                let source = format!("/v1/stores/{store}/labels/{label}/image.png?which=reported&digest={digest}");
                let words = language.say("What the glass of this label shows: ", "价签屏幕显示：");
                return image(&source, panel, &format!("{words}{label}"));
            }
            Self::Foreign(_) => language.say("A picture that is not ours", "非本系统画面"),
            Self::Unproven => language.say("Nothing proven yet", "尚未证实"),
        };
        html! { p.blank { (words) } }
    }
}

/// A picture at the size of its panel, so that nothing moves while it loads.
pub(super) fn image(source: &str, panel: Panel, words: &str) -> Markup {
    let class = if panel.width() <= SHARP_WIDTH_MAX { "sharp" } else { "smooth" };
    html! {
        img class=(class) src=(source) width=(panel.width()) height=(panel.height()) alt=(words) loading="lazy";
    }
}

impl Card {
    pub(super) fn of(controller: &Controller, label: &Label, now: Moment, language: Language) -> Self {
        let skus = selection::skus(label);
        let product = skus.first().and_then(|sku| controller.catalog().product(sku));
        Self {
            label: label.id,
            panel: label.panel,
            health: Health::of(label, now),
            name: product.and_then(|product| product.name.clone().map(Into::into)),
            sku: skus.first().cloned(),
            more: skus.len().saturating_sub(1),
            place: words::place(label, language),
            glass: Glass::of(label),
            language,
        }
    }

    fn title(&self) -> &str {
        match (&self.name, &self.sku) {
            (Some(name), _) => name,
            (None, Some(_)) => self.language.say("Product not known yet", "商品未知"),
            (None, None) => self.language.say("No product", "未绑定商品"),
        }
    }

    pub(super) fn markup(&self, store: &StoreId) -> Markup {
        let (id, language) = (self.label, self.language);
        html! {
            a.card id={ "label-" (id) } href={ "/stores/" (store) "/labels/" (id) } data-label=(id)
                data-health=(self.health) data-digest=[self.glass.digest()] {
                div.glass { (self.glass.markup(store, id, self.panel, language)) }
                div.caption {
                    strong.name {
                        (self.title())
                        @if self.more > 0 { span.faint { " +" (self.more) } }
                    }
                    (layout::mark(self.health, language))
                    span.where {
                        @if let Some(sku) = &self.sku { span { (sku) } }
                        span { @if self.place.is_empty() { (language.say("no position", "未设位置")) } @else { (self.place) } }
                        span.id { (id) }
                    }
                }
            }
        }
    }
}

/// One card, for the script.
pub(super) async fn fragment(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
    language: Language,
) -> Result<Markup, PageProblem> {
    let (shop, id) = (web.shop(&store)?, label_id(&label)?);
    let read = shop.handle.read(move |controller, now| {
        controller.fleet().label(id).map(|label| Card::of(controller, label, now, language))
    });
    let card = read.await?.ok_or_else(|| picture::unknown(id))?;
    Ok(card.markup(shop.handle.id()))
}
