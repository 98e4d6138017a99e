//! What a person should hear of a template before a customer sees it: what the law wants beside a price, and ink
//! that cannot be seen. It looks at scenes, never at pixels.

use std::fmt;

use gondola_protocol::Panel;

use super::element::Made;
use super::money;
use super::scene::{Content, Node, Scene};
use super::style::Color;
use super::view::{LabelView, ProductView};

/// Something that a template should not do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lint {
    /// A template names a panel and an ink that it lacks.
    LacksColor {
        /// The template.
        template: String,
        /// The ink, as the template calls it.
        color: &'static str,
        /// The panel.
        panel: String,
    },
    /// Something is drawn in the ink that lies behind it.
    Invisible {
        /// What is drawn.
        shown: String,
        /// Both inks.
        color: &'static str,
    },
    /// The law wants something beside a price that does not stand there.
    NotShown {
        /// The market.
        market: String,
        /// What is wanted.
        wanted: &'static str,
    },
    /// The law wants something beside a price that nobody has told of the product.
    NotKnown {
        /// The market.
        market: String,
        /// What is wanted.
        wanted: &'static str,
    },
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LacksColor { template, color, panel } => {
                write!(f, "template `{template}` is made for {panel} and uses {color}, which that panel lacks")
            }
            Self::Invisible { shown, color } => write!(f, "`{shown}` cannot be seen: it is {color} on {color}"),
            Self::NotShown { market, wanted } => {
                write!(f, "the law of {market} wants the {wanted} on a price label, and the template does not show it")
            }
            Self::NotKnown { market, wanted } => {
                write!(f, "the law of {market} wants the {wanted} on a price label, and the product has none")
            }
        }
    }
}

/// The inks that a template which names its panels uses and some of them lack.
pub(super) fn lacking(template: &str, panels: &[Made], colors: &[Color]) -> Vec<Lint> {
    let lacks = |panel: &Panel, color: &Color| !panel.colours().has(color.ink());
    let named = panels.iter().filter_map(|made| if let Made::For(panel) = made { Some(panel) } else { None });
    let each = named.flat_map(|panel| colors.iter().map(move |color| (panel, color)));
    each.filter(|(panel, color)| lacks(panel, color))
        .map(|(panel, color)| Lint::LacksColor {
            template: template.to_owned(),
            color: color.as_str(),
            panel: panel.to_string(),
        })
        .collect()
}

/// What a scene lacks that its view should show.
#[must_use]
pub fn scene(view: &LabelView, scene: &Scene) -> Vec<Lint> {
    let mut shown = Shown::default();
    shown.collect(scene.root(), Color::White);
    let mut lints = shown.invisible;
    for product in view.products.iter().filter(|product| is_offered(product)) {
        lints.extend(beside_price(&view.store.market, product, &shown.texts));
    }
    lints
}

/// What stands in a scene.
#[derive(Default)]
struct Shown {
    texts: Vec<String>,
    invisible: Vec<Lint>,
}

impl Shown {
    fn collect(&mut self, node: &Node, behind: Color) {
        let behind = node.style.background.unwrap_or(behind);
        let text = match &node.content {
            Content::Box(children) => {
                children.iter().for_each(|child| self.collect(child, behind));
                return;
            }
            Content::Text(text) => &text.text,
            Content::Price(price) => {
                self.texts.push(price.unit.to_lowercase());
                &price.amount
            }
            Content::Code(_) | Content::Image(_) => return,
        };
        if node.color == behind {
            self.invisible.push(Lint::Invisible { shown: text.clone(), color: behind.as_str() });
        }
        self.texts.push(text.to_lowercase());
    }
}

/// Whether a price of it invites to buy: a product that is not sold, or sold out, may stand without one.
fn is_offered(product: &ProductView) -> bool {
    let left = product.stock.as_ref().is_none_or(|stock| stock.quantity > 0);
    product.known && product.in_assortment && product.price.is_some() && left
}

/// China: Order 56 of 2022, articles 5 and 6 (name, price, unit; spec, origin and grade where the price depends on
/// them). European Union: 98/6/EC articles 3 and 6a (price, unit price, the lowest price of 30 days). United
/// States: NIST Handbook 130 (description and price).
fn beside_price(market: &str, product: &ProductView, texts: &[String]) -> Vec<Lint> {
    let amount = |amount: &Option<String>| {
        let bare = amount.clone();
        let written = amount.as_ref().map(|amount| money::written(amount, &product.currency));
        bare.into_iter().chain(written).collect::<Vec<String>>()
    };
    let fact = |value: &Option<String>| value.iter().cloned().collect::<Vec<String>>();
    let unit_price = product.unit_price.as_ref().map(|unit_price| unit_price.amount.clone());
    let all = [
        ("name", fact(&product.name), "CN EU US", true),
        ("price", amount(&product.price), "CN EU US", true),
        ("unit", fact(&product.unit), "CN", true),
        ("spec", fact(&product.spec), "CN", false),
        ("origin", fact(&product.origin), "CN", false),
        ("grade", fact(&product.grade), "CN", false),
        ("unit price", amount(&unit_price), "EU", false),
        ("price before the reduction", amount(&product.was), "EU", false),
    ];
    let mut lints = Vec::new();
    for (wanted, values, markets, must) in all {
        if !markets.contains(market) {
            continue;
        }
        let market = market.to_owned();
        let stands = |value: &String| {
            let one_line = value.split_whitespace().collect::<Vec<&str>>().join(" ").to_lowercase();
            texts.iter().any(|text| text.contains(&one_line))
        };
        if values.is_empty() {
            lints.extend(must.then_some(Lint::NotKnown { market, wanted }));
        } else if !values.iter().any(stands) {
            lints.push(Lint::NotShown { market, wanted });
        }
    }
    lints
}
