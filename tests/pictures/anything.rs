//! Templates and products that nobody would write: no panic, nothing drawn outside the panel, and always something.
//!
//! Each seed is one template, one product and some panels. The short form runs some seeds; the long form runs as
//! long as it is told, and prints the seed that it is at:
//!
//!     GONDOLA_FUZZ_SECONDS=600 GONDOLA_FUZZ_SEED=1 cargo test --release --test pictures anything -- --nocapture

use std::fs;
use std::time::{Duration, Instant};

use gondola::render::Renderer;
use gondola::template::Templates;
use gondola::template::view::{
    LabelView, ProductView, PromotionView, RatingView, ReturnsView, StockView, UnitPriceView,
};
use gondola_protocol::{Colours, Ink, Panel, Planes};

use crate::samples::{PANELS, label};

/// Seeds of the short form: some seconds.
const SEEDS: u64 = 120;

/// SplitMix64: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 24] = [
            "加州开心果",
            "，",
            "。」",
            "Schloßgarten",
            " ",
            "é",
            "e\u{301}",
            "\u{202e}",
            "مرحبا",
            "🥜",
            "\u{0}",
            "\n",
            "59.90",
            "０１２",
            "ﾊﾝｶｸ",
            "\u{200b}",
            "\u{ad}",
            "㎡",
            "℃",
            "{{",
            "<",
            "&",
            "\u{10FFFD}",
            "Donaudampfschifffahrtsgesellschaft",
        ];
        let parts = self.below(12);
        (0..parts).map(|_| self.one(&PARTS)).collect()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(4) > 0).then(|| make(self))
    }

    fn amount(&mut self) -> String {
        match self.below(4) {
            0 => self.text(),
            1 => format!("{}", self.roll()),
            _ => format!("{}.{:02}", self.below(100_000), self.below(100)),
        }
    }

    fn promotion(&mut self) -> PromotionView {
        PromotionView {
            id: self.text(),
            kind: self.one(&["special_price", "limited_time", "percent_off", "text_only", ""]).to_owned(),
            text: self.maybe(Self::text),
            percent: self.maybe(Self::amount),
            start_date: self.one(&["2026-11-25", "", "é"]).to_owned(),
            start_time: self.text(),
            end_date: self.one(&["2026-11-27", "", "é-è"]).to_owned(),
            end_time: self.text(),
        }
    }

    fn product(&mut self) -> ProductView {
        ProductView {
            // A SKU has a visible character; all else may have none.
            sku: format!("1{}", self.text()),
            known: self.below(4) > 0,
            in_assortment: self.below(4) > 0,
            name: self.maybe(Self::text),
            brand: self.maybe(Self::text),
            spec: self.maybe(Self::text),
            origin: self.maybe(Self::text),
            grade: self.maybe(Self::text),
            unit: self.maybe(Self::text),
            barcode: self.maybe(|dice| {
                dice.one(&["6901234567892", "96385074", "036000291452", "Y20391", "x\u{7f}", "é"]).to_owned()
            }),
            category: self.maybe(Self::text),
            currency: self.one(&["CNY", "EUR", "USD", "", "☃"]).to_owned(),
            price: self.maybe(Self::amount),
            was: self.maybe(Self::amount),
            member_price: self.maybe(Self::amount),
            unit_price: self.maybe(|dice| UnitPriceView { amount: dice.amount(), per: dice.text() }),
            promotion: self.maybe(Self::promotion),
            member_promotion: self.maybe(Self::promotion),
            stock: self.maybe(|dice| StockView {
                quantity: dice.roll().cast_signed(),
                reorder_level: None,
                sold_per_day: None,
            }),
            returns: self.maybe(|dice| ReturnsView { y_code: dice.text(), grade: dice.maybe(Self::text) }),
            rating: self.maybe(|dice| RatingView {
                score: dice.maybe(Self::amount),
                count: None,
                class: Some("A".to_owned()),
            }),
            attributes: [("url".to_owned(), self.text())].into(),
        }
    }

    fn view(&mut self) -> LabelView {
        let market = self.one(&["CN", "EU", "US", ""]);
        let mut view = label(market, self.product());
        view.products.extend((0..self.below(3)).map(|_| self.product()).collect::<Vec<_>>());
        view
    }

    fn panel(&mut self) -> Panel {
        let side = |dice: &mut Self| u16::try_from(1 + dice.below(420)).unwrap();
        let colours = Colours::ALL[usize::try_from(self.below(4)).unwrap()];
        Panel::new(colours, side(self), side(self)).unwrap()
    }

    fn attributes(&mut self) -> String {
        const ATTRIBUTES: [&str; 22] = [
            "grow=\"1\"",
            "grow=\"9\"",
            "shrink=\"0\"",
            "shrink=\"1\"",
            "width=\"0\"",
            "width=\"50%\"",
            "width=\"3200\"",
            "height=\"7\"",
            "height=\"100%\"",
            "padding=\"3\"",
            "padding=\"300\"",
            "padding=\"1 2 3 4\"",
            "color=\"red\"",
            "color=\"white\"",
            "background=\"yellow\"",
            "background=\"black\"",
            "border=\"1\"",
            "border=\"90\"",
            "radius=\"5\"",
            "radius=\"999\"",
            "when=\"product.price\"",
            "when=\"panel.shape == 'wide'\"",
        ];
        // Each name once: XML wants that.
        let mut chosen: Vec<&str> = (0..self.below(5)).map(|_| self.one(&ATTRIBUTES)).collect();
        chosen.sort_by_key(|attribute| attribute.split('=').next());
        chosen.dedup_by_key(|attribute| attribute.split('=').next());
        chosen.join(" ")
    }

    fn element(&mut self, depth: u32) -> String {
        const VALUES: [&str; 9] = [
            "{{ product.name }}",
            "{{ product.price }}",
            "{{ product.barcode }}",
            "{{ product.sku | upper }}",
            "6901234567892",
            "{{ product.was | money(product.currency) }}",
            "{{ product.promotion.end_date[5:] }}",
            "{{ [product.spec, product.origin] | select | join(\", \") }}",
            "{{ product.attributes.url }}",
        ];
        let attributes = self.attributes();
        let value = self.one(&VALUES);
        match self.below(if depth == 0 { 7 } else { 10 }) {
            0 => {
                let size = self.one(&["12", "320", "40..12", "28..14"]);
                let overflow = self.one(&["shrink", "ellipsis", "clip"]);
                let lines = 1 + self.below(8);
                format!("<text {attributes} size=\"{size}\" lines=\"{lines}\" overflow=\"{overflow}\">{value}</text>")
            }
            1 => format!(
                "<price {attributes} size=\"{}\" unit=\"{{{{ product.unit }}}}\">{value}</price>",
                self.one(&["12", "320..12"])
            ),
            2 => {
                let symbology = self.one(&["ean13", "ean8", "upca", "code128"]);
                format!(
                    "<barcode {attributes} type=\"{symbology}\" module=\"{}\">{value}</barcode>",
                    self.one(&["1", "8..1"])
                )
            }
            3 => format!("<qrcode {attributes} level=\"{}\">{value}</qrcode>", self.one(&["l", "m", "q", "h"])),
            4 => format!("<datamatrix {attributes} module=\"8..2\">{value}</datamatrix>"),
            5 => format!("<badge {attributes}>{value}</badge>"),
            6 => "<rule width=\"3\"/>".to_owned(),
            _ => {
                let direction = self.one(&["row", "column"]);
                let align = self.one(&["start", "center", "end", "stretch", "baseline"]);
                let each = self.one(&["", "each=\"products\""]);
                let inside: String = (0..self.below(5)).map(|_| self.element(depth - 1)).collect();
                format!(
                    "<box {attributes} {each} direction=\"{direction}\" align=\"{align}\" gap=\"{}\">{inside}</box>",
                    self.below(9)
                )
            }
        }
    }
}

fn has_ink(planes: &Planes) -> bool {
    let panel = planes.panel();
    (0..panel.height()).any(|y| (0..panel.width()).any(|x| planes.ink(x, y) != Ink::White))
}

/// One seed: a template of its own, and the shipped ones.
fn run(seed: u64, shipped: &Templates, renderer: &mut Renderer) {
    let mut dice = Dice(seed);
    let directory = tempfile::tempdir().unwrap();
    let inside: String = (0..1 + dice.below(4)).map(|_| dice.element(4)).collect();
    let scale = dice.one(&["", "scale=\"1\"", "scale=\"8\""]);
    fs::write(directory.path().join("tag.xml"), format!("<template name=\"tag\" {scale}>{inside}</template>")).unwrap();
    fs::write(directory.path().join("rules.toml"), "[[rule]]\ntemplate = \"tag\"\n").unwrap();
    let own = Templates::from_directory(directory.path());
    let own = own.unwrap_or_else(|errors| panic!("seed {seed}: {errors:?} in {inside}"));
    let view = dice.view();
    for panel in [dice.panel(), dice.panel(), PANELS[usize::try_from(dice.below(12)).unwrap()].parse().unwrap()] {
        // An expression may fail for a view; a picture may not, and `Planes` refuses ink outside of the panel.
        if let Ok(scene) = own.scene("tag", &view, panel) {
            assert_eq!(renderer.render(&scene).planes.panel(), panel);
        }
        for name in shipped.names() {
            if let Ok(scene) = shipped.scene(name, &view, panel) {
                let planes = renderer.render(&scene).planes;
                let common = PANELS.contains(&panel.to_string().as_str());
                assert!(!common || has_ink(&planes), "seed {seed}: {name} on {panel} is blank");
            }
        }
        let _ = shipped.select(&view, panel);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the long form ends by the clock; the short one does not look at it")]
fn anything_is_drawn_inside_its_panel() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (shipped, mut renderer) = (Templates::embedded(), Renderer::new().unwrap());
    let first = number("GONDOLA_FUZZ_SEED").unwrap_or(1);
    match number("GONDOLA_FUZZ_SECONDS").map(Duration::from_secs) {
        None => (first..first + SEEDS).for_each(|seed| run(seed, &shipped, &mut renderer)),
        Some(long) => {
            let start = Instant::now();
            let seeds = (first..).take_while(|_| start.elapsed() < long);
            let last = seeds.inspect(|seed| run(*seed, &shipped, &mut renderer)).last();
            eprintln!("seeds {first} to {} passed", last.unwrap_or(first));
        }
    }
}
