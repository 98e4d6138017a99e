//! What labels look like: golden pictures, codes that scan, and content that nobody expected.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::fs;
use std::path::{Path, PathBuf};

use gondola::catalog::Catalog;
use gondola::catalog::guard::GuardRules;
use gondola::catalog::settings::{Market, Settings};
use gondola::catalog::snapshot::read_catalog;
use gondola::render::{Finding, Rendered, Renderer, png};
use gondola::template::view::{LabelView, ProductView, PromotionView, StoreView, UnitPriceView};
use gondola::template::{Scene, Templates};
use gondola_protocol::Moment;
use gondola_protocol::{Ink, Panel, Planes};
use proptest::prelude::*;

const PANELS: [&str; 2] = ["bw-250x122", "bwr-296x128"];

fn panel(id: &str) -> Panel {
    id.parse().unwrap()
}

fn label(market: &str, product: ProductView) -> LabelView {
    let store = StoreView {
        id: "hz-001".to_owned(),
        name: "杭州解百店".to_owned(),
        format: "community".to_owned(),
        market: market.to_owned(),
    };
    LabelView { store, products: vec![product] }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn pistachios() -> ProductView {
    ProductView {
        sku: "1101".to_owned(),
        known: true,
        name: some("加州开心果"),
        brand: some("严选"),
        spec: some("500g/袋"),
        origin: some("美国"),
        grade: some("一级"),
        unit: some("袋"),
        barcode: some("6901234567892"),
        currency: "CNY".to_owned(),
        price: some("59.90"),
        unit_price: Some(UnitPriceView { amount: "119.80".to_owned(), per: "kg".to_owned() }),
        ..ProductView::default()
    }
}

fn reduced() -> ProductView {
    let promotion = PromotionView {
        id: "P-88".to_owned(),
        kind: "special_price".to_owned(),
        text: some("双十一"),
        percent: None,
        start_date: "2026-11-25".to_owned(),
        start_time: "00:00".to_owned(),
        end_date: "2026-11-27".to_owned(),
        end_time: "24:00".to_owned(),
    };
    ProductView {
        price: some("49.90"),
        was: some("56.00"),
        unit_price: Some(UnitPriceView { amount: "99.80".to_owned(), per: "kg".to_owned() }),
        promotion: Some(promotion),
        ..pistachios()
    }
}

fn coffee() -> ProductView {
    ProductView {
        sku: "2202".to_owned(),
        name: some("Organic Fair Trade Colombian Single Origin Whole Bean Coffee"),
        spec: some("1 kg"),
        origin: some("Colombia"),
        grade: some("A"),
        unit: some("pack"),
        barcode: some("4006381333931"),
        currency: "EUR".to_owned(),
        price: some("12.99"),
        unit_price: Some(UnitPriceView { amount: "12.99".to_owned(), per: "kg".to_owned() }),
        ..pistachios()
    }
}

fn scene(view: &LabelView, panel_id: &str) -> Scene {
    let templates = Templates::embedded();
    templates.scene(templates.select(view, panel(panel_id)), view, panel(panel_id)).unwrap()
}

fn rendered(view: &LabelView, panel_id: &str) -> Rendered {
    Renderer::new().unwrap().render(&scene(view, panel_id))
}

/// Compares a picture with the golden one, or writes it: see `label-templates/golden/README.md`.
#[track_caller]
fn check_golden(name: &str, actual: &Planes) {
    let file = format!("{name}-{}.png", actual.panel());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("label-templates/golden").join(&file);
    if std::env::var("GONDOLA_GOLDEN").is_ok_and(|mode| mode == "write") {
        fs::write(&path, png::encode(actual, 1)).unwrap();
        return;
    }
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let expected = png::decode(&golden, actual.panel()).unwrap();
    if expected != *actual {
        let shown = write_difference(&file, &expected, actual);
        panic!("{file} differs from the golden picture; see {}", shown.display());
    }
}

/// Writes both pictures and where they differ, three times enlarged; returns the folder.
fn write_difference(file: &str, expected: &Planes, actual: &Planes) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("golden");
    fs::create_dir_all(&folder).unwrap();
    let panel = actual.panel();
    let mut bytes = vec![0; panel.picture_bytes()];
    for y in 0..panel.height() {
        for x in (0..panel.width()).filter(|x| expected.ink(*x, y) != actual.ink(*x, y)) {
            bytes[usize::from(y) * panel.row_bytes() + usize::from(x / 8)] |= 0x80 >> (x % 8);
        }
    }
    let difference = Planes::new(panel, bytes).unwrap();
    for (kind, planes) in [("expected", expected), ("actual", actual), ("difference", &difference)] {
        fs::write(folder.join(format!("{kind}-{file}")), png::encode(planes, 3)).unwrap();
    }
    folder
}

#[track_caller]
fn check(template: &str, name: &str, view: &LabelView) {
    for id in PANELS {
        let scene = scene(view, id);
        assert_eq!(scene.template(), template);
        let rendered = Renderer::new().unwrap().render(&scene);
        assert_eq!(rendered.findings, [], "{name} on {id}");
        check_golden(name, &rendered.planes);
    }
}

#[test]
fn everyday_tags_look_as_they_did() {
    check("standard", "standard", &label("CN", pistachios()));
    check("standard", "standard-long-name", &label("EU", coffee()));
}

#[test]
fn promotions_look_as_they_did() {
    check("promotion", "promotion", &label("CN", reduced()));
    let reduced = ProductView { price: some("9.90"), was: some("12.99"), promotion: reduced().promotion, ..coffee() };
    check("promotion", "promotion-long-name", &label("EU", reduced));
}

#[test]
fn tags_without_a_price_look_as_they_did() {
    let unpriced = ProductView { price: None, unit_price: None, ..pistachios() };
    check("no-price", "no-price", &label("CN", unpriced));
    let unknown = ProductView { sku: "0900".to_owned(), currency: "CNY".to_owned(), ..ProductView::default() };
    check("no-price", "no-price-unknown", &label("CN", unknown));
}

/// Reads the code in a picture's lower right as a scanner does that is aimed at it; no code is `None`.
///
/// Aimed, because this decoder takes the first thing in a row that looks like a start pattern, and gives the row
/// up when no code follows: the strokes of a large price can look like one.
fn scanned(planes: &Planes) -> Option<String> {
    const SCALE: u16 = 3;
    /// The code with its quiet zones is 113 columns wide and 8 from the edge.
    const AIMED: u16 = 130;
    let left = planes.panel().width() - AIMED;
    let (width, height) = (AIMED * SCALE, planes.panel().height() * SCALE);
    let mut luma = Vec::new();
    for y in 0..height {
        luma.extend((0..width).map(|x| match planes.ink(left + x / SCALE, y / SCALE) {
            Ink::White => 255,
            Ink::Black | Ink::Red | Ink::Yellow => 0,
        }));
    }
    let format = Some(rxing::BarcodeFormat::EAN_13);
    let found = rxing::helpers::detect_in_luma(luma, width.into(), height.into(), format);
    found.ok().map(|found| found.getText().to_owned())
}

#[test]
fn codes_scan() {
    for barcode in ["6901234567892", "4006381333931", "9780201379624", "0036000291452", "2000000000008"] {
        for product in [pistachios(), reduced(), ProductView { price: None, ..pistachios() }] {
            let view = label("CN", ProductView { barcode: some(barcode), ..product });
            for id in PANELS {
                assert_eq!(scanned(&rendered(&view, id).planes).as_deref(), Some(barcode), "on {id}");
            }
        }
    }
}

/// Every product of the sample catalog scans, and shows all that its template wants, at an instant.
fn check_samples(at: Moment) {
    let snapshot = read_catalog(include_bytes!("../label-templates/samples/catalog.ndjson")).unwrap();
    let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let guard = GuardRules::default();
    let settings = Settings { currency: "CNY".parse().unwrap(), market: Market::China, time_zone, guard };
    let mut catalog = Catalog::new(settings);
    for row in snapshot.rows {
        catalog.apply(at, row);
    }
    let mut scanned_labels = 0;
    for product in catalog.products() {
        let view = label("CN", catalog.view(&product.sku, at));
        for id in PANELS {
            let rendered = rendered(&view, id);
            assert_eq!(rendered.findings, [], "sku {} on {id}", product.sku);
            if let Some(barcode) = &view.products[0].barcode {
                assert_eq!(scanned(&rendered.planes).as_ref(), Some(barcode), "sku {} on {id}", product.sku);
                scanned_labels += 1;
            }
        }
    }
    assert!(scanned_labels >= 400, "only {scanned_labels} labels have a bar code");
}

#[test]
fn every_sample_scans_and_fits_while_promotions_run() {
    check_samples("2026-11-25T12:00:00+08:00".parse().map(moment).unwrap());
}

#[test]
fn every_sample_scans_and_fits_without_promotions() {
    check_samples("2027-06-01T12:00:00+08:00".parse().map(moment).unwrap());
}

fn moment(at: jiff::Timestamp) -> Moment {
    Moment::from_micros(u64::try_from(at.as_microsecond()).unwrap())
}

#[test]
fn a_code_that_is_none_is_shown_as_its_digits() {
    let view = label("CN", ProductView { barcode: some("6901234567890"), ..pistachios() });
    let rendered = rendered(&view, "bw-250x122");
    assert_eq!(scanned(&rendered.planes), None);
    let said: Vec<String> = rendered.findings.iter().map(Finding::to_string).collect();
    assert_eq!(said, ["bar code `6901234567890` was not printed: its check digit is 0, and 2 by the other twelve"],);
}

#[test]
fn a_character_that_no_font_has_is_a_box_and_a_finding() {
    let with = |name: &str| rendered(&label("CN", ProductView { name: some(name), ..pistachios() }), "bw-250x122");
    let boxed = with("果\u{10FFFD}");
    assert_eq!(boxed.findings, [Finding::MissingGlyph('\u{10FFFD}')]);
    assert_eq!(boxed.findings[0].to_string(), "no font has `\u{10FFFD}` (U+10FFFD); a box stands for it");
    assert_ne!(boxed.planes, with("果").planes);
}

#[test]
fn characters_come_from_the_first_font_that_has_them() {
    // Fusion Pixel has no € and ㎡, Barlow no Chinese, the subset of Noto no 喆.
    let product = ProductView { spec: some("20 ㎡ €"), unit: some("瓶"), name: some("喆 é ß"), ..pistachios() };
    assert_eq!(rendered(&label("CN", product), "bw-250x122").findings, []);
}

#[test]
fn every_currency_and_length_of_price_has_room() {
    for (market, currency) in [("CN", "CNY"), ("EU", "EUR"), ("US", "USD"), ("EU", "SEK")] {
        for price in ["0.50", "9.90", "99", "1299.00", "12999.00"] {
            for product in [pistachios(), reduced()] {
                let product = ProductView { currency: currency.to_owned(), price: some(price), ..product };
                for id in PANELS {
                    let findings = rendered(&label(market, product.clone()), id).findings;
                    assert_eq!(findings, [], "{price} {currency} on {id}");
                }
            }
        }
    }
}

#[test]
fn a_name_that_never_ends_gets_an_ellipsis() {
    let view = label("CN", ProductView { name: some(&"很长的名字".repeat(60)), ..pistachios() });
    for id in PANELS {
        assert!(matches!(rendered(&view, id).findings.as_slice(), [Finding::Cut(_)]), "on {id}");
    }
}

#[test]
fn colours_that_a_panel_lacks_become_black_with_white_on_it() {
    let view = label("CN", reduced());
    let corner = |id: &str| rendered(&view, id).planes.ink(1, 1);
    assert_eq!((corner("bwr-296x128"), corner("bwry-296x128")), (Ink::Red, Ink::Red));
    assert_eq!((corner("bw-296x128"), corner("bwy-296x128")), (Ink::Black, Ink::Black));
    let band = rendered(&view, "bw-296x128").planes;
    assert!((0..24).any(|y| (8..60).any(|x| band.ink(x, y) == Ink::White)), "the band's text is white");
}

#[test]
fn equal_keys_are_equal_pictures() {
    let key = |product: &ProductView, id: &str| scene(&label("CN", product.clone()), id).key();
    let shown = pistachios();
    let mut unused = pistachios();
    unused.brand = some("another");
    unused.category = some("nuts");
    unused.attributes.insert("roast".to_owned(), "原味".to_owned());
    assert_eq!(key(&shown, "bw-250x122"), key(&unused, "bw-250x122"));
    let changes: [fn(&mut ProductView); 6] = [
        |product| product.name = some("山核桃"),
        |product| product.price = some("59.91"),
        |product| product.origin = None,
        |product| product.barcode = some("4006381333931"),
        |product| product.unit = some("盒"),
        |product| product.currency = "USD".to_owned(),
    ];
    for change in changes {
        let mut changed = pistachios();
        change(&mut changed);
        assert_ne!(key(&shown, "bw-250x122"), key(&changed, "bw-250x122"), "{changed:?}");
    }
    assert_ne!(key(&shown, "bw-250x122"), key(&shown, "bwr-250x122"));
}

/// A warm renderer, whose glyphs and sizes come from other labels, draws what a fresh one draws.
#[test]
fn pictures_do_not_depend_on_what_was_drawn_before() {
    let mut warm = Renderer::new().unwrap();
    for product in [coffee(), reduced(), pistachios()] {
        let scene = scene(&label("CN", product), "bwr-296x128");
        warm.render(&scene);
        assert_eq!(warm.render(&scene), Renderer::new().unwrap().render(&scene));
    }
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), any::<String>().prop_map(Some), "[一-龥a-z0-9 ，。.]{0,80}".prop_map(Some)]
}

prop_compose! {
    fn any_product()(
        texts in prop::array::uniform8(any_text()),
        amounts in prop::array::uniform3(prop_oneof![any_text(), "[0-9]{1,9}\\.[0-9]{2}".prop_map(Some)]),
        currency in prop_oneof![Just("CNY".to_owned()), Just("EUR".to_owned()), any::<String>()],
        per in any::<String>(),
        promoted in any::<bool>(),
        spans in prop::array::uniform4(any::<String>()),
        known in any::<bool>(),
    ) -> ProductView {
        let [name, brand, spec, origin, grade, unit, barcode, text] = texts;
        let [price, was, amount] = amounts;
        let [start_date, start_time, end_date, end_time] = spans;
        let (id, kind, percent) = (String::new(), String::new(), None);
        let promotion = PromotionView { id, kind, text, percent, start_date, start_time, end_date, end_time };
        ProductView {
            sku: "1101".to_owned(), known, name, brand, spec, origin, grade, unit, barcode, currency, price, was,
            unit_price: amount.map(|amount| UnitPriceView { amount, per }),
            promotion: promoted.then_some(promotion),
            ..ProductView::default()
        }
    }
}

thread_local! {
    static SHOP: std::cell::RefCell<(Templates, Renderer)> =
        std::cell::RefCell::new((Templates::embedded(), Renderer::new().unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// `Planes` refuses ink in the padding and other sizes, so a picture that comes out was drawn inside.
    #[test]
    fn any_content_on_any_panel_is_drawn_inside_it(
        product in any_product(),
        market in "CN|EU|US",
        width in 1_u16..400,
        height in 1_u16..300,
        colours in 0_usize..4,
    ) {
        let panel = Panel::new(gondola_protocol::Colours::ALL[colours], width, height).unwrap();
        let view = label(&market, product);
        SHOP.with_borrow_mut(|(templates, renderer)| {
            for name in ["standard", "promotion", "no-price"] {
                if let Ok(scene) = templates.scene(name, &view, panel) {
                    assert_eq!(renderer.render(&scene).planes.panel(), panel);
                }
            }
            let _ = templates.select(&view, panel);
        });
    }
}
