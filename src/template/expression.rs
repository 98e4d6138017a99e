//! Values and conditions: minijinja, compiled once when a template or the rules load.
//!
//! A field that no view has is found here, at load, by its name; at a label's turn nothing is unknown any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use gondola_protocol::Panel;

use super::error::Problem;
use super::money;
use super::view::{
    LabelView, ProductView, PromotionView, RatingView, ReturnsView, StockView, StoreView, UnitPriceView,
};

/// Every compiled text and condition of one set of templates.
#[derive(Debug)]
pub(super) struct Expressions {
    environment: Environment<'static>,
    count: usize,
}

/// A text with `{{ values }}`, or one that is the same on every label.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Fixed(Arc<str>),
    Compiled(Arc<str>),
}

/// A condition from `when="…"`.
#[derive(Debug, Clone)]
pub(super) struct Condition(Arc<str>);

/// What expressions see: a label's view and its panel, as minijinja holds them.
#[derive(Debug, Clone)]
pub(super) struct Seen(Value);

#[derive(Serialize)]
struct SeenView<'a> {
    store: &'a StoreView,
    products: &'a [ProductView],
    product: &'a ProductView,
    panel: PanelView,
}

#[derive(Serialize)]
struct PanelView {
    id: String,
    colours: &'static str,
    width: u16,
    height: u16,
}

impl Seen {
    pub(super) fn new(view: &LabelView, panel: Panel) -> Self {
        let unbound = ProductView::default();
        Self(Value::from(Serde(SeenView {
            store: &view.store,
            products: &view.products,
            product: view.products.first().unwrap_or(&unbound),
            panel: PanelView {
                id: panel.to_string(),
                colours: panel.colours().as_str(),
                width: panel.width(),
                height: panel.height(),
            },
        })))
    }
}

impl Expressions {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_formatter(|out, state, value| match value.kind() {
            ValueKind::None | ValueKind::Undefined => Ok(()),
            _ => minijinja::escape_formatter(out, state, value),
        });
        // `range` and its like could spin; a label has at most 8 products to walk over.
        let globals: Vec<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
        for name in globals {
            environment.remove_global(&name);
        }
        environment.add_filter("money", |amount: Option<String>, currency: String| {
            amount.map(|amount| money::written(&amount, &currency))
        });
        Self { environment, count: 0 }
    }

    /// Compiles a text.
    pub(super) fn text(&mut self, source: &str) -> Result<Text, Problem> {
        if !source.contains("{{") && !source.contains("{%") && !source.contains("{#") {
            return Ok(Text::Fixed(source.into()));
        }
        self.compile(source, source.to_owned()).map(Text::Compiled)
    }

    /// Compiles a condition.
    pub(super) fn condition(&mut self, source: &str) -> Result<Condition, Problem> {
        // First alone, so that nothing but an expression can stand in it.
        self.environment.compile_expression_owned(source.to_owned()).map_err(|error| refused(source, &error))?;
        self.compile(source, format!("{{% if ({source}) %}}1{{% endif %}}")).map(Condition)
    }

    pub(super) fn write(&self, text: &Text, seen: &Seen) -> Result<String, Error> {
        match text {
            Text::Fixed(text) => Ok(text.to_string()),
            Text::Compiled(name) => self.environment.get_template(name)?.render(seen.0.clone()),
        }
    }

    pub(super) fn holds(&self, condition: &Condition, seen: &Seen) -> Result<bool, Error> {
        Ok(self.environment.get_template(&condition.0)?.render(seen.0.clone())? == "1")
    }

    fn compile(&mut self, shown: &str, source: String) -> Result<Arc<str>, Problem> {
        let name: Arc<str> = format!("expression {}", self.count).into();
        self.count += 1;
        self.environment.add_template_owned(name.to_string(), source).map_err(|error| refused(shown, &error))?;
        let compiled = self.environment.get_template(&name).map_err(|error| refused(shown, &error))?;
        let mut paths: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        paths.sort();
        let fields = Fields::known();
        for path in &paths {
            fields.check(path)?;
        }
        // Unknown filters and wrong types show only when they run: run once with every field and once with none.
        for view in [full_view(), LabelView { products: Vec::new(), ..full_view() }] {
            let panel = Panel::new(gondola_protocol::Colours::BlackRed, 296, 128).expect("a panel of a known size");
            let tried = compiled.render(Seen::new(&view, panel).0);
            tried.map_err(|error| refused(shown, &error))?;
        }
        Ok(name)
    }
}

fn refused(source: &str, error: &Error) -> Problem {
    let why = match (error.kind(), error.detail()) {
        (ErrorKind::SyntaxError, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    Problem::Expression { source_text: source.trim().to_owned(), why }
}

/// The names that expressions may use, as serde writes them.
struct Fields(serde_json::Value);

impl Fields {
    fn known() -> Self {
        let view = full_view();
        let panel = PanelView { id: String::new(), colours: "", width: 0, height: 0 };
        let seen = SeenView { store: &view.store, products: &view.products, product: &view.products[0], panel };
        Self(serde_json::to_value(seen).expect("a view of texts and numbers is JSON"))
    }

    fn check(&self, path: &str) -> Result<(), Problem> {
        let mut at = &self.0;
        for name in path.split('.') {
            // Attributes are the source's own names: any may come.
            if at.as_object().is_some_and(|fields| fields.contains_key("*")) {
                return Ok(());
            }
            at = at.get(name).ok_or_else(|| {
                let mut expected: Vec<String> =
                    at.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default();
                expected.sort();
                Problem::UnknownField { found: path.to_owned(), expected }
            })?;
        }
        Ok(())
    }
}

/// A view in which every field is present.
fn full_view() -> LabelView {
    let some = |text: &str| Some(text.to_owned());
    let product = ProductView {
        sku: "1101".to_owned(),
        known: true,
        name: some("name"),
        brand: some("brand"),
        spec: some("spec"),
        origin: some("origin"),
        grade: some("grade"),
        unit: some("unit"),
        barcode: some("6901234567892"),
        category: some("category"),
        currency: "CNY".to_owned(),
        price: some("59.90"),
        was: some("69.90"),
        unit_price: Some(UnitPriceView { amount: "119.80".to_owned(), per: "kg".to_owned() }),
        member_price: some("49.90"),
        promotion: Some(full_promotion()),
        member_promotion: Some(full_promotion()),
        in_assortment: true,
        stock: Some(StockView { quantity: 34, reorder_level: Some(12), sold_per_day: some("5.5") }),
        returns: Some(ReturnsView { y_code: "Y20391".to_owned(), grade: some("B") }),
        rating: Some(RatingView { score: some("4.8"), count: Some(2210), class: some("A") }),
        attributes: BTreeMap::from([("*".to_owned(), String::new())]),
    };
    let store = StoreView {
        id: "hz-001".to_owned(),
        name: "name".to_owned(),
        format: "community".to_owned(),
        market: "CN".to_owned(),
    };
    LabelView { store, products: vec![product] }
}

fn full_promotion() -> PromotionView {
    PromotionView {
        id: "P-1".to_owned(),
        kind: "percent_off".to_owned(),
        text: Some("text".to_owned()),
        percent: Some("20".to_owned()),
        start_date: "2026-11-25".to_owned(),
        start_time: "18:00".to_owned(),
        end_date: "2026-11-27".to_owned(),
        end_time: "24:00".to_owned(),
    }
}
