//! Products to try templates on: those that ship as samples, and the store's own that the rules give a template to.

use gondola_protocol::{Moment, Panel};

use super::problem::Problem;
use super::url_query;
use crate::catalog::product::Product;
use crate::catalog::settings::Settings;
use crate::catalog::sku::Sku;
use crate::catalog::{Catalog, snapshot};
use crate::controller::Controller;
use crate::template::view::{LabelView, StoreView};

/// The instant at which the samples' promotions hold: 2026-11-25T19:00:00+08:00.
const SAMPLED_AT: Moment = Moment::from_secs(1_795_604_400);

/// Products of a store that are looked at for one that the rules give a template to.
const LOOKED_AT_MAX: usize = 2_000;

/// A sample: its name, and one base event.
type Sample = (&'static str, &'static str);

macro_rules! samples {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../label-templates/samples/", $name, ".json")))),+]
    };
}

const SAMPLES: [Sample; 7] =
    samples!("pistachios", "clementines", "egg-cakes", "gift-box", "honey", "salt", "soy-milk");

/// Which product a template is tried on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tried {
    /// One of the store's, as it is now.
    Product(Sku),
    /// A sample, by its name.
    Sample(String),
}

/// The samples' names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SAMPLES.iter().map(|(name, _)| *name)
}

/// What a label of the store would see of a product.
pub(super) fn view(controller: &Controller, now: Moment, tried: &Tried) -> Result<LabelView, Problem> {
    match tried {
        Tried::Product(sku) => Ok(controller.view(std::slice::from_ref(sku), now)),
        Tried::Sample(name) => {
            let known = SAMPLES.iter().find(|(known, _)| known == name);
            let unknown = || {
                let known = names().collect::<Vec<_>>().join(", ");
                Problem::bad_request(format!("there is no sample `{name}`; there are {known}"))
            };
            let (_, text) = known.ok_or_else(unknown)?;
            Ok(sampled(text, controller.store().clone(), controller.catalog().settings().clone()))
        }
    }
}

/// Every sample as a store would show it.
pub(super) fn views(controller: &Controller) -> impl Iterator<Item = LabelView> {
    SAMPLES.iter().map(|(_, text)| sampled(text, controller.store().clone(), controller.catalog().settings().clone()))
}

fn sampled(text: &str, store: StoreView, settings: Settings) -> LabelView {
    let product =
        snapshot::read_product(text.as_bytes()).expect("the samples that ship are products: a test reads them");
    let mut catalog = Catalog::new(settings);
    for row in product.rows {
        catalog.apply(SAMPLED_AT, row);
    }
    LabelView { store, products: vec![catalog.view(&product.sku, SAMPLED_AT)] }
}

/// What shows best what a template is for on a panel, as a query: a product of the store that the rules give the template
/// to, else a sample that they give it to, else any product.
pub(super) fn best(controller: &Controller, now: Moment, template: &str, panel: Panel) -> String {
    let gets_it = |view: &LabelView| controller.templates().select(view, panel) == template;
    let of_store = products(controller, now, template, panel, 1).into_iter().next().map(|(sku, _)| sku);
    let suits = |sku: &Sku| gets_it(&controller.view(std::slice::from_ref(sku), now));
    if of_store.as_ref().is_none_or(|sku| !suits(sku)) {
        let sample = names().zip(views(controller)).find(|(_, view)| gets_it(view));
        if let Some((name, _)) = sample {
            return format!("sample={name}");
        }
    }
    of_store.map_or_else(|| format!("sample={}", SAMPLES[0].0), |sku| url_query("sku", sku.as_str()))
}

/// The store's first products that the rules give a template to on a panel; any where there is none such.
pub(super) fn products(
    controller: &Controller,
    now: Moment,
    template: &str,
    panel: Panel,
    max: usize,
) -> Vec<(Sku, Option<String>)> {
    let templates = controller.templates();
    let name = |one: &Product| one.name.as_ref().map(ToString::to_string);
    let named = || controller.catalog().products().take(LOOKED_AT_MAX).map(|one| (one.sku.clone(), name(one)));
    let gets_it = |(sku, _): &(Sku, Option<String>)| {
        templates.select(&controller.view(std::slice::from_ref(sku), now), panel) == template
    };
    let chosen: Vec<_> = named().filter(gets_it).take(max).collect();
    if chosen.is_empty() { named().take(max).collect() } else { chosen }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::guard::GuardRules;
    use crate::catalog::settings::Market;

    #[test]
    fn every_sample_is_a_product_with_what_it_shows() {
        let settings = Settings {
            currency: "CNY".parse().unwrap(),
            market: Market::China,
            time_zone: jiff::tz::TimeZone::get("Asia/Shanghai").unwrap(),
            guard: GuardRules::default(),
        };
        let store = StoreView { id: "s".into(), name: "s".into(), format: "community".into(), market: "CN".into() };
        for (name, text) in SAMPLES {
            let view = sampled(text, store.clone(), settings.clone());
            assert!(view.products[0].name.is_some(), "{name}");
        }
        let soy_milk = sampled(SAMPLES[6].1, store.clone(), settings.clone());
        assert_eq!(soy_milk.products[0].promotion.as_ref().map(|one| one.kind.as_str()), Some("limited_time"));
        let pistachios = sampled(SAMPLES[0].1, store, settings);
        assert!(pistachios.products[0].promotion.is_some(), "its promotion holds at that instant");
    }
}
