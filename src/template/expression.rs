//! Values and conditions: minijinja, compiled once when a template or the rules load.
//!
//! A field that no view has is found here, at load, by its name; at a label's turn nothing is unknown any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use minijinja::value::{Object, Serde, Value, ValueKind};
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
    /// One field and nothing else: read without running anything.
    Field(Path),
    Compiled(Arc<Compiled>),
}

/// A condition from `when="…"`.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// One field: whether it is there, and neither empty nor 0.
    Field(Path),
    Compiled(Arc<Compiled>),
}

/// The names from the top to a field.
type Path = Vec<Arc<str>>;

/// Most answers that an expression remembers, at about 200 bytes each. A full memory is emptied: an answer costs
/// some µs.
const ANSWERS_MAX: usize = 1_024;

/// An expression that runs, and what it answered before to the fields that it reads.
#[derive(Debug)]
pub(super) struct Compiled {
    name: String,
    reads: Vec<Path>,
    answers: Mutex<HashMap<Vec<Value>, Arc<str>>>,
}

/// What expressions see: a label's view and its panel, as minijinja holds them.
#[derive(Debug, Clone)]
pub(super) struct Seen(Arc<Scope>);

/// The names at the top.
#[derive(Debug, Clone)]
struct Scope {
    store: Value,
    products: Vec<Value>,
    product: Value,
    panel: Value,
}

#[derive(Serialize)]
struct PanelView {
    id: String,
    colours: &'static str,
    width: u16,
    height: u16,
    columns: u16,
    rows: u16,
    shape: &'static str,
}

impl Seen {
    /// A view as it looks from a panel, of which `scale` pixels are one of the template's.
    pub(super) fn new(view: &LabelView, panel: Panel, scale: u16) -> Self {
        let products: Vec<Value> = view.products.iter().map(|product| Value::from(Serde(product))).collect();
        let product = products.first().cloned().unwrap_or_else(|| Value::from(Serde(ProductView::default())));
        let store = Value::from(Serde(&view.store));
        let panel = Value::from(Serde(PanelView::new(panel, scale)));
        Self(Arc::new(Scope { store, products, product, panel }))
    }

    /// The same with each of the products in turn as `product`.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> + '_ {
        self.0
            .products
            .iter()
            .map(|product| Self(Arc::new(Scope { product: product.clone(), ..Scope::clone(&self.0) })))
    }

    /// The value at the end of a path, undefined where there is none.
    fn at(&self, path: &[Arc<str>]) -> Value {
        let mut names = path.iter();
        let first = names.next().and_then(|name| self.0.named(name)).unwrap_or_default();
        names.fold(first, |value, name| value.get_attr(name).unwrap_or_default())
    }
}

impl Scope {
    fn named(&self, name: &str) -> Option<Value> {
        match name {
            "store" => Some(self.store.clone()),
            "products" => Some(Value::from(self.products.clone())),
            "product" => Some(self.product.clone()),
            "panel" => Some(self.panel.clone()),
            _ => None,
        }
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.named(key.as_str()?)
    }
}

impl PanelView {
    fn new(panel: Panel, scale: u16) -> Self {
        let (width, height) = (u32::from(panel.width()), u32::from(panel.height()));
        Self {
            id: panel.to_string(),
            colours: panel.colours().as_str(),
            width: panel.width(),
            height: panel.height(),
            columns: panel.width() / scale,
            rows: panel.height() / scale,
            shape: match (width * 10 >= height * 16, width <= height) {
                (true, _) => "wide",
                (_, true) => "tall",
                _ => "square",
            },
        }
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
        let compiled = self.compile(source, source.to_owned())?;
        let inner = source.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        Ok(inner.and_then(field).map_or(Text::Compiled(compiled), Text::Field))
    }

    /// Compiles a condition.
    pub(super) fn condition(&mut self, source: &str) -> Result<Condition, Problem> {
        // First alone, so that nothing but an expression can stand in it.
        self.environment.compile_expression_owned(source.to_owned()).map_err(|error| refused(source, &error))?;
        let compiled = self.compile(source, format!("{{% if ({source}) %}}1{{% endif %}}"))?;
        Ok(field(source).map_or(Condition::Compiled(compiled), Condition::Field))
    }

    pub(super) fn write(&self, text: &Text, seen: &Seen) -> Result<Arc<str>, Error> {
        match text {
            Text::Fixed(text) => Ok(Arc::clone(text)),
            Text::Field(path) => Ok(written(&seen.at(path))),
            Text::Compiled(compiled) => self.answer(compiled, seen),
        }
    }

    pub(super) fn holds(&self, condition: &Condition, seen: &Seen) -> Result<bool, Error> {
        match condition {
            Condition::Field(path) => Ok(seen.at(path).is_true()),
            Condition::Compiled(compiled) => Ok(&*self.answer(compiled, seen)? == "1"),
        }
    }

    /// What an expression comes to: the same for the same fields.
    fn answer(&self, compiled: &Compiled, seen: &Seen) -> Result<Arc<str>, Error> {
        let run = || -> Result<Arc<str>, Error> {
            let template = self.environment.get_template(&compiled.name)?;
            Ok(template.render(Value::from_dyn_object(Arc::clone(&seen.0)))?.into())
        };
        let read: Vec<Value> = compiled.reads.iter().map(|path| seen.at(path)).collect();
        // To look a whole product up would cost more than to run.
        if read.iter().any(|value| matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)) {
            return run();
        }
        let mut answers = compiled.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(&read) {
            return Ok(Arc::clone(answer));
        }
        let answer = run()?;
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        answers.insert(read, Arc::clone(&answer));
        Ok(answer)
    }

    fn compile(&mut self, shown: &str, source: String) -> Result<Arc<Compiled>, Problem> {
        let name = format!("expression {}", self.count);
        self.count += 1;
        self.environment.add_template_owned(name.clone(), source).map_err(|error| refused(shown, &error))?;
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
            let tried = compiled.render(Value::from_dyn_object(Seen::new(&view, panel, 1).0));
            tried.map_err(|error| refused(shown, &error))?;
        }
        let reads = paths.iter().map(|path| path.split('.').map(Arc::from).collect()).collect();
        Ok(Arc::new(Compiled { name, reads, answers: Mutex::default() }))
    }
}

/// The path of an expression that is a field and nothing else.
fn field(source: &str) -> Option<Path> {
    let word = |name: &str| {
        let mut characters = name.chars();
        characters.next().is_some_and(|first| first.is_ascii_lowercase())
            && characters.all(|next| next.is_ascii_alphanumeric() || next == '_')
    };
    let names: Vec<&str> = source.trim().split('.').collect();
    let top = matches!(names[0], "store" | "products" | "product" | "panel");
    (top && names.len() > 1 && names.iter().all(|name| word(name))).then(|| names.into_iter().map(Arc::from).collect())
}

/// A value as text; nothing is no text.
fn written(value: &Value) -> Arc<str> {
    match value.as_str() {
        Some(text) => text.into(),
        None if matches!(value.kind(), ValueKind::None | ValueKind::Undefined) => "".into(),
        None => value.to_string().into(),
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
        let LabelView { store, products } = full_view();
        let panel = Panel::new(gondola_protocol::Colours::BlackRed, 296, 128).expect("a panel of a known size");
        let panel = PanelView::new(panel, 1);
        Self(serde_json::json!({ "store": store, "product": products[0], "products": products, "panel": panel }))
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
