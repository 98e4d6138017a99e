//! What templates make of products, looked at before a customer sees it: what the law wants and does not stand there, what
//! was cut, what no font has, codes that do not scan.

use std::collections::BTreeMap;

use gondola_protocol::Panel;

use super::Renderer;
use crate::template::view::LabelView;
use crate::template::{Templates, lint};

/// The panels that a catalog is tried on: each common size, landscape and upright. Colours change no layout, so
/// each size has one set of them.
pub const PANELS: [&str; 12] = [
    "bw-212x104",
    "bw-250x122",
    "bwr-296x128",
    "bwy-384x168",
    "bwr-400x300",
    "bwry-800x480",
    "bw-104x212",
    "bwy-122x250",
    "bwr-128x296",
    "bwry-168x384",
    "bwy-300x400",
    "bwr-480x800",
];

/// What was found, by its sentence, with the places where it is true.
pub type Findings = BTreeMap<String, Vec<String>>;

/// Adds a finding at a place.
pub fn find(findings: &mut Findings, finding: impl ToString, place: &str) {
    findings.entry(finding.to_string()).or_default().push(place.to_owned());
}

/// Which templates are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// Each that is made for the panel.
    All,
    /// This one, where it is made for the panel.
    One(&'a str),
}

/// Draws what a label shows with every template that is made for its panel, or with one. What the law wants is asked only
/// of the template that the rules choose. Answers how many pictures that were.
pub fn view(
    renderer: &mut Renderer,
    templates: &Templates,
    which: Which<'_>,
    view: &LabelView,
    panel: Panel,
    findings: &mut Findings,
) -> usize {
    let chosen = templates.select(view, panel);
    let skus: Vec<&str> = view.products.iter().map(|product| product.sku.as_str()).collect();
    let mut pictures = 0;
    for template in templates.names().filter(|name| *name == chosen || templates.suits(name, panel)) {
        if matches!(which, Which::One(one) if one != template) {
            continue;
        }
        let place = format!("sku {}, template {template}, panel {panel}", skus.join(" "));
        let scene = match templates.scene(template, view, panel) {
            Ok(scene) => scene,
            Err(error) => {
                find(findings, error, &place);
                continue;
            }
        };
        if template == chosen {
            lint::scene(view, &scene).iter().for_each(|lint| find(findings, lint, &place));
        }
        renderer.render(&scene).findings.iter().for_each(|finding| find(findings, finding, &place));
        pictures += 1;
    }
    pictures
}
