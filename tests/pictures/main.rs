//! What labels look like: golden pictures, codes that scan, and content that nobody expected.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod codes;
mod gallery;
mod samples;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gondola::catalog::Catalog;
use gondola::catalog::settings::{Market, Settings};
use gondola::catalog::snapshot::read_catalog;
use gondola::render::{Finding, Rendered, Renderer, png};
use gondola::template::style::Symbology;
use gondola::template::view::{LabelView, ProductView, PromotionView, UnitPriceView};
use gondola::template::{Scene, Templates};
use gondola_protocol::Moment;
use gondola_protocol::{Ink, Panel, Planes};
use codes::{codes, scanned};
use proptest::prelude::*;
use samples::{SOME_PANELS as PANELS, coffee, label, pistachios, reduced, samples, some};

fn panel(id: &str) -> Panel {
    id.parse().unwrap()
}

fn scene(view: &LabelView, panel_id: &str) -> Scene {
    let templates = Templates::embedded();
    templates.scene(templates.select(view, panel(panel_id)), view, panel(panel_id)).unwrap()
}

fn rendered(view: &LabelView, panel_id: &str) -> Rendered {
    Renderer::new().unwrap().render(&scene(view, panel_id))
}

/// Whether golden pictures are written instead of compared: see `label-templates/golden/README.md`.
fn writes() -> bool {
    std::env::var("GONDOLA_GOLDEN").is_ok_and(|mode| mode == "write")
}

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("label-templates").join(path)
}

/// Where pictures go that people look at after a failure.
fn shown() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("golden");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What is wrong with a picture that must look like the golden one of its name.
fn difference(name: &str, actual: &Planes) -> Option<String> {
    let file = format!("{name}-{}.png", actual.panel());
    let golden = match fs::read(shipped("golden").join(&file)) {
        Ok(golden) => golden,
        Err(error) => return Some(format!("{file}: {error}")),
    };
    let expected = png::decode(&golden, actual.panel()).unwrap();
    (expected != *actual).then(|| {
        write_difference(&file, &expected, actual);
        format!("{file} differs from the golden picture; see {}", shown().display())
    })
}

/// Writes both pictures and where they differ, three times enlarged.
fn write_difference(file: &str, expected: &Planes, actual: &Planes) {
    let panel = actual.panel();
    let mut bytes = vec![0; panel.picture_bytes()];
    for y in 0..panel.height() {
        for x in (0..panel.width()).filter(|x| expected.ink(*x, y) != actual.ink(*x, y)) {
            bytes[usize::from(y) * panel.row_bytes() + usize::from(x / 8)] |= 0x80 >> (x % 8);
        }
    }
    let difference = Planes::new(panel, bytes).unwrap();
    for (kind, planes) in [("expected", expected), ("actual", actual), ("difference", &difference)] {
        fs::write(shown().join(format!("{kind}-{file}")), png::encode(planes, 3)).unwrap();
    }
}

#[test]
fn every_template_looks_as_it_did() {
    let templates = Templates::from_directory(&shipped("")).unwrap();
    let mut renderer = Renderer::new().unwrap();
    let mut wrong = Vec::new();
    let mut drawn: BTreeMap<&str, Vec<Planes>> = BTreeMap::new();
    for sample in samples() {
        for id in sample.panels {
            let scene = templates.scene(sample.template, &sample.view, panel(id)).unwrap();
            let rendered = renderer.render(&scene);
            wrong.extend(rendered.findings.iter().map(|finding| format!("{} on {id}: {finding}", sample.name)));
            if writes() {
                let file = format!("{}-{id}.png", sample.name);
                fs::write(shipped("golden").join(file), png::encode(&rendered.planes, 1)).unwrap();
            } else {
                wrong.extend(difference(sample.name, &rendered.planes));
            }
            drawn.entry(sample.template).or_default().push(rendered.planes);
        }
    }
    if writes() {
        for (template, pictures) in drawn {
            gallery::write(&gallery::sheet(&pictures, 1_900, 2), &shown().join(format!("{template}.png")));
        }
    }
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
}

#[test]
fn every_code_of_every_golden_picture_scans() {
    let templates = Templates::from_directory(&shipped("")).unwrap();
    let mut read = 0;
    for sample in samples() {
        for id in sample.panels {
            let file = shipped("golden").join(format!("{}-{id}.png", sample.name));
            let planes = png::decode(&fs::read(file).unwrap(), panel(id)).unwrap();
            for (content, symbology) in codes(&templates.scene(sample.template, &sample.view, panel(id)).unwrap()) {
                let said = scanned(&planes, symbology);
                assert_eq!(said.as_ref(), Some(&content), "{symbology:?} of {} on {id}", sample.name);
                read += 1;
            }
        }
    }
    assert!(read >= 100, "only {read} codes");
}

#[test]
fn codes_scan() {
    for barcode in ["6901234567892", "4006381333931", "9780201379624", "0036000291452", "2000000000008"] {
        for product in [pistachios(), reduced(), ProductView { price: None, ..pistachios() }] {
            let view = label("CN", ProductView { barcode: some(barcode), ..product });
            for id in PANELS {
                assert_eq!(scanned(&rendered(&view, id).planes, Symbology::Ean13).as_deref(), Some(barcode), "on {id}");
            }
        }
    }
}

/// Every product of the sample catalog scans, and shows all that its template wants, at an instant.
fn check_samples(at: Moment) {
    let snapshot = read_catalog(include_bytes!("../../label-templates/samples/catalog.ndjson")).unwrap();
    let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let settings = Settings { currency: "CNY".parse().unwrap(), market: Market::China, time_zone };
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
                assert_eq!(scanned(&rendered.planes, Symbology::Ean13).as_ref(), Some(barcode), "sku {} on {id}", product.sku);
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
    assert_eq!(scanned(&rendered.planes, Symbology::Ean13), None);
    let said: Vec<String> = rendered.findings.iter().map(Finding::to_string).collect();
    assert_eq!(said, ["code `6901234567890` was not printed: its check digit is 0, and 2 by the others"],);
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
