//! Labels as shops have them: the sample catalog and invented products, drawn by the renderer that ships.
//!
//! Products fall into two sets by name, so that what is measured was never trained on. Everything follows from
//! a seed; templates and panels are whatever this version has.

use encoding_rs::GB18030;
use gondola::catalog::Catalog;
use gondola::catalog::guard::GuardRules;
use gondola::catalog::settings::{Market, Settings};
use gondola::catalog::snapshot::read_catalog;
use gondola::render::{RenderError, Renderer};
use gondola::template::Templates;
use gondola::template::view::{LabelView, ProductView, RatingView, StockView, StoreView, UnitPriceView};
use gondola_protocol::{Colours, Moment, Panel, Planes};

const CATALOG: &[u8] = include_bytes!("../../label-templates/samples/catalog.ndjson");

/// The sizes of the displays that are in shops, from 2.1 to 7.5 inches.
const SIZES: [(u16, u16); 6] = [(212, 104), (250, 122), (296, 128), (384, 168), (400, 300), (800, 480)];

/// 2026-11-20 to 2026-12-26 in Unix seconds: the weeks in which the samples' promotions run.
const WEEKS: (u64, u64) = (1_795_104_000, 1_798_214_400);

/// Which half of the names a label's product is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// What the coder learns from: one half of the samples, and as many invented names as it takes.
    Train,
    /// What it is measured on: the other half of the samples, real names alone.
    Measure,
}

/// One label before and after a change of its price.
#[derive(Debug)]
pub struct Label {
    /// What it shows.
    pub before: Planes,
    /// What it is to show.
    pub after: Planes,
}

/// Draws labels of one set, without end.
#[derive(Debug)]
pub struct Corpus {
    set: Set,
    dice: Dice,
    catalog: Catalog,
    templates: Templates,
    renderer: Renderer,
    panels: Vec<Panel>,
    drawn: usize,
}

impl Corpus {
    /// The labels of a set that follow from `seed`.
    ///
    /// # Errors
    /// The fonts do not open.
    ///
    /// # Panics
    /// The sample catalog is broken; its tests say how.
    pub fn new(set: Set, seed: u64) -> Result<Self, RenderError> {
        let settings = Settings {
            currency: "CNY".parse().expect("an ISO 4217 code"),
            market: Market::China,
            time_zone: jiff::tz::TimeZone::get("Asia/Shanghai").expect("the zone data are built in"),
            guard: GuardRules::OFF,
        };
        let mut catalog = Catalog::new(settings);
        for row in read_catalog(CATALOG).expect("the sample catalog is whole").rows {
            catalog.apply(Moment::ZERO, row);
        }
        let panel = |colours, (width, height)| Panel::new(colours, width, height).expect("sides are in range");
        let panels = Colours::ALL.into_iter().flat_map(|colours| SIZES.map(|size| panel(colours, size))).collect();
        Ok(Self {
            set,
            dice: Dice(seed),
            catalog,
            templates: Templates::embedded(),
            renderer: Renderer::new()?,
            panels,
            drawn: 0,
        })
    }

    /// The next label; panels take turns.
    fn draw(&mut self) -> Option<Label> {
        let panel = self.panels[self.drawn % self.panels.len()];
        self.drawn += 1;
        let mut product = self.product();
        let market = self.dice.pick(&["CN", "CN", "CN", "EU", "US"]);
        let store = StoreView {
            id: "hz-001".to_owned(),
            name: "杭州解百店".to_owned(),
            format: "community".to_owned(),
            market: (*market).to_owned(),
        };
        let template = {
            let view = LabelView { store: store.clone(), products: vec![product.clone()] };
            self.templates.select(&view, panel).to_owned()
        };
        let cents = self.dice.cents();
        let mut picture = |cents: u64| {
            set_price(&mut product, cents);
            let view = LabelView { store: store.clone(), products: vec![product.clone()] };
            let scene = self.templates.scene(&template, &view, panel).ok()?;
            Some(self.renderer.render(&scene).planes)
        };
        let before = picture(cents)?;
        let after = picture(self.dice.near(cents))?;
        Some(Label { before, after })
    }

    /// A product of the set: in training, three of four have an invented name.
    fn product(&mut self) -> ProductView {
        let set = self.set;
        let skus: Vec<_> = self.catalog.products().filter(|product| is_in(set, product.name.as_deref())).collect();
        let sku = self.dice.pick(&skus).sku.clone();
        let (from, to) = WEEKS;
        let at = Moment::from_secs(from + self.dice.below(to - from));
        let mut product = self.catalog.view(&sku, at);
        if set == Set::Train && self.dice.below(4) > 0 {
            product.name = Some(self.name());
            product.spec =
                Some(format!("{}{}", self.dice.below(1_000), self.dice.pick(&["g/袋", "ml/瓶", "cm", " kg"])));
            product.origin = Some(self.word());
            product.barcode = Some(self.dice.ean_13());
        }
        self.add_facets(&mut product);
        product
    }

    /// What other systems would tell of it, for the templates that show it.
    fn add_facets(&mut self, product: &mut ProductView) {
        let dice = &mut self.dice;
        let quantity = if dice.below(12) == 0 { 0 } else { i64::try_from(dice.below(90)).unwrap_or(0) };
        product.stock = Some(StockView { quantity, reorder_level: Some(12), sold_per_day: Some("5.5".to_owned()) });
        let score = format!("{}.{}", 3 + dice.below(2), dice.below(10));
        let count = i64::try_from(dice.below(5_000)).ok();
        product.rating = Some(RatingView { score: Some(score), count, class: Some("A".to_owned()) });
        product.in_assortment = dice.below(30) > 0;
    }

    /// An invented name, which no sample has.
    fn name(&mut self) -> String {
        loop {
            let name = self.words();
            if self.catalog.products().all(|product| product.name.as_deref() != Some(name.as_str())) {
                return name;
            }
        }
    }

    /// Two times of three Chinese words, else Latin ones.
    fn words(&mut self) -> String {
        if self.dice.below(3) == 0 {
            return (0..=self.dice.below(3)).map(|_| self.dice.latin()).collect::<Vec<_>>().join(" ");
        }
        (0..=self.dice.below(4)).map(|_| self.word()).collect()
    }

    /// Two or three of the 3,755 common characters of GB 2312, level 1.
    fn word(&mut self) -> String {
        (0..2 + self.dice.below(2)).map(|_| self.dice.hanzi()).collect()
    }
}

impl Iterator for Corpus {
    type Item = Label;

    /// Labels that a template does not draw are passed over; there is always a next one.
    fn next(&mut self) -> Option<Label> {
        loop {
            if let Some(label) = self.draw() {
                return Some(label);
            }
        }
    }
}

/// Whether a name belongs to a set: by a hash of its text, so that products of one name stay together.
fn is_in(set: Set, name: Option<&str>) -> bool {
    let hash = name.unwrap_or_default().bytes().fold(7_u64, |hash, byte| Dice(hash ^ u64::from(byte)).next());
    (hash % 2 == 0) == (set == Set::Measure)
}

/// Sets the price, and the unit price in proportion.
fn set_price(product: &mut ProductView, cents: u64) {
    let before: Option<f64> = product.price.as_deref().and_then(|price| price.parse().ok());
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    if let (Some(unit), Some(before)) = (&mut product.unit_price, before) {
        let amount: f64 = unit.amount.parse().unwrap_or(0.0);
        let after: f64 = price.parse().unwrap_or(0.0);
        *unit = UnitPriceView { amount: format!("{:.2}", amount / before * after), per: unit.per.clone() };
    }
    product.price = product.price.as_ref().map(|_| price);
}

/// Numbers that follow from a seed: `SplitMix64`.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap_or(0)]
    }

    /// A price of 1 to 2,000, small ones more often, with the endings that shops like.
    fn cents(&mut self) -> u64 {
        let magnitude = *self.pick(&[1_000, 10_000, 10_000, 200_000]);
        let whole = 100 + self.below(magnitude);
        self.ending(whole)
    }

    /// Another price, a third less to a third more.
    fn near(&mut self, cents: u64) -> u64 {
        let near = (cents * (67 + self.below(67)) / 100).max(100);
        match self.ending(near) {
            same if same == cents => cents + 100,
            other => other,
        }
    }

    fn ending(&mut self, cents: u64) -> u64 {
        match *self.pick(&[0, 50, 80, 90, 90, 90, 99, 100]) {
            100 => cents,
            ending => cents / 100 * 100 + ending,
        }
    }

    fn hanzi(&mut self) -> String {
        let index = u8::try_from(self.below(39)).unwrap_or(0);
        let pair = [0xB0 + index, 0xA1 + u8::try_from(self.below(94)).unwrap_or(0)];
        // The last five places of the last row are empty.
        let (text, _, _) = GB18030.decode(if pair > [0xD7, 0xF9] { &[0xD7, 0xF9] } else { &pair });
        text.into_owned()
    }

    fn latin(&mut self) -> String {
        const SYLLABLES: [&str; 24] = [
            "ba", "con", "chi", "de", "el", "fro", "gan", "hof", "in", "jus", "kä", "lo", "mer", "no", "ört", "pas",
            "qua", "ré", "schu", "ta", "ul", "vin", "wey", "zo",
        ];
        let word: String = (0..=1 + self.below(3)).map(|_| *self.pick(&SYLLABLES)).collect();
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }

    fn ean_13(&mut self) -> String {
        let digits: Vec<u64> = (0..12).map(|_| self.below(10)).collect();
        let sum: u64 = digits.iter().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
        digits.into_iter().chain([(10 - sum % 10) % 10]).map(|digit| digit.to_string()).collect()
    }
}
