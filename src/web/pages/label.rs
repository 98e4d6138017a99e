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
use crate::fleet::health::{Health, LOW_BATTERY};
use crate::fleet::label::Label;
use crate::instant;
use crate::template::view::ProductView;
use crate::web::{Web, label_id, picture, selection};

/// Below this a label's radio is hardly heard: most radios lose packets from about here on.
const WEAK_SIGNAL_DBM: i8 = -85;

/// What the page shows.
struct Seen {
    label: Label,
    health: Health,
    products: Vec<ProductView>,
    base_station: Option<String>,
    now: Moment,
    zone: TimeZone,
}

/// The page.
pub(super) async fn page(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let (shop, id) = (web.shop(&store)?, label_id(&label)?);
    let read = shop
        .handle
        .read(move |controller, now| controller.fleet().label(id).map(|label| Seen::of(controller, label, now)));
    let seen = read.await?.ok_or_else(|| picture::unknown(id))?;
    let content = seen.markup(shop.handle.id(), &shop.name);
    Ok(frame.page(&format!("{} · {}", seen.title(), shop.name), Some(seen.now), &content))
}

impl Seen {
    fn of(controller: &Controller, label: &Label, now: Moment) -> Self {
        let skus = selection::skus(label);
        Self {
            health: Health::of(label, now),
            products: skus.iter().map(|sku| controller.catalog().view(sku, now)).collect(),
            base_station: selection::base_station(controller, label).map(ToString::to_string),
            label: label.clone(),
            now,
            zone: controller.catalog().settings().time_zone.clone(),
        }
    }

    fn title(&self) -> String {
        let first = self.products.first();
        let name = first.map(|product| product.name.as_ref().unwrap_or(&product.sku).clone());
        name.unwrap_or_else(|| format!("Label {}", self.label.id))
    }

    fn markup(&self, store: &StoreId, store_name: &str) -> Markup {
        let (label, words) = (&self.label, words::health(self.health));
        let place = selection::place(label);
        html! {
            section.label data-store=(store) data-label=(label.id) data-health=(self.health) {
                p.path { a href={ "/stores/" (store) } { (store_name) } " › label " span.id { (label.id) } }
                h1 { (self.title()) }
                p { @if place.is_empty() { "Nobody has said where it hangs." } @else { (words::capital(&place)) } }
                div.verdict data-health=(self.health) {
                    (layout::mark(self.health))
                    p {
                        @if label.last_check_in.is_none() && self.health == Health::Offline {
                            "No base station has ever heard the label. "
                        } @else {
                            (words.meaning) " "
                        }
                        @if let Some(fault) = &label.fault { (words::sentence(fault)) " " }
                        strong { (words.action) }
                    }
                }
                (self.pictures(store))
                (self.commands(store))
                (self.product_table())
                div.facts { (self.clocks()) (self.device()) (self.picture_facts()) }
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
                    figcaption { "On the glass" }
                    div.glass { (Glass::of(&self.label).markup(store, id, panel)) }
                }
                figure {
                    figcaption { "Should be" }
                    div.glass {
                        @if desired.is_some() {
                            (card::image(&source("desired"), panel, "The picture that should be on the glass"))
                        } @else {
                            p.blank { "Nothing is wanted" }
                        }
                    }
                }
                @if differ && ours {
                    figure {
                        figcaption { "Differs in magenta" }
                        div.glass { (card::image(&source("diff"), panel, "Pixels that differ, in magenta")) }
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
                button type="button" data-post=(path("flash")) { "Let it blink" }
                button type="button" data-post=(path("refresh")) { "Refresh the display" }
                button type="button" data-post=(path("identify")) { "Show its address" }
                @if let Some(command) = &self.label.command {
                    span.faint {
                        (words::capital(words::command(command.action))) " " (words::command_state(command.state)) ", asked for "
                        (layout::ago(Some(command.asked_at), self.now, &self.zone))
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
            div.wide {
                table {
                    thead { tr { th { "Product" } th { "SKU" } th { "Price" } th { "Was" } th { "Promotion" } } }
                    tbody {
                        @for product in &self.products {
                            tr {
                                td { (product.name.as_deref().unwrap_or("not known yet")) @if let Some(spec) = &product.spec { " " span.faint { (spec) } } }
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
        let ago = |moment| layout::ago(moment, self.now, &self.zone);
        html! {
            section {
                h2 { "When" }
                dl {
                    dt { "Picture wanted" } dd { (ago(label.desired.as_ref().map(|desired| desired.since))) }
                    dt { "Last one taken" } dd { (ago(label.acknowledged_at)) }
                    dt { "Last one proven" } dd { (ago(label.displayed_at)) }
                    dt { "Last check-in" } dd { (ago(label.last_check_in)) }
                }
            }
        }
    }

    fn device(&self) -> Markup {
        let label = &self.label;
        html! {
            section {
                h2 { "Device" }
                dl {
                    dt { "Panel" } dd { (label.panel) }
                    dt { "Battery" } dd {
                        @if let Some(battery) = label.battery_mv {
                            (battery.0 / 1_000) "." (format!("{:02}", battery.0 % 1_000 / 10)) " V"
                            @if battery < LOW_BATTERY { " " span.mark data-health="stale" { "Low" } }
                        } @else { (unknown()) }
                    }
                    dt { "Temperature" } dd { @if let Some(celsius) = label.temperature_c { (celsius) " °C" } @else { (unknown()) } }
                    dt { "Firmware" } dd {
                        @if let Some(name) = &label.firmware_name { (name) }
                        @else if let Some(firmware) = label.firmware { (firmware) }
                        @else { (unknown()) }
                    }
                    dt { "Base station" } dd { @if let Some(station) = &self.base_station { (station) } @else { "none in reach" } }
                    dt { "Signal" } dd {
                        @if label.heard_by.is_empty() { (unknown()) }
                        @for (station, heard) in label.heard_by.iter() {
                            div {
                                (heard.rssi_dbm) " dBm at " (station)
                                @if heard.rssi_dbm < WEAK_SIGNAL_DBM { " " span.mark data-health="stale" { "Weak" } }
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
                h2 { "Picture" }
                dl {
                    dt { "Template" } dd { @if let Some(desired) = desired { (desired.template) } @else { "none" } }
                    dt { "Wanted" } dd {
                        @if let Some(desired) = desired {
                            @if let Some(digest) = desired.digest { span.id { (digest) } } @else { "not drawn yet" }
                            div.faint { "edition " (desired.edition) }
                        } @else { "none" }
                    }
                    dt { "Proven" } dd {
                        @if let Some(reported) = reported {
                            span.id { (reported.digest) }
                            div.faint { "edition " (reported.edition) }
                        } @else { "nothing yet" }
                    }
                    @if let Some(upcoming) = &self.label.upcoming {
                        dt { "Next" } dd {
                            "at " (instant::on_the_clock(upcoming.activate_at(), self.now, &self.zone))
                            div.faint {
                                @if self.label.keeps_upcoming() { "kept by the label, which shows it by itself" }
                                @else { "not with the label yet" }
                            }
                        }
                    }
                    @if let Some(unproven) = &self.label.unproven {
                        dt { "Not proven" } dd {
                            span.id { (unproven.digest) }
                            div.faint { "edition " (unproven.edition) ", taken by the label" }
                        }
                    }
                }
            }
        }
    }
}

fn unknown() -> Markup {
    html! { span.faint { "not known yet" } }
}

fn amount(product: &ProductView, amount: Option<&str>) -> Markup {
    html! { @if let Some(amount) = amount { (amount) " " span.faint { (product.currency) } } @else { span.faint { "–" } } }
}
