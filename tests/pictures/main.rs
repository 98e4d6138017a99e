//! What labels look like: golden pictures, codes that scan, and content that nobody expected.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod anything;
mod codes;
mod gallery;
mod samples;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use codes::{codes, scanned};
use gondola::catalog::Catalog;
use gondola::catalog::guard::GuardRules;
use gondola::catalog::settings::{Market, Settings};
use gondola::catalog::snapshot::read_catalog;
use gondola::render::{Finding, Rendered, Renderer, png};
use gondola::template::style::Symbology;
use gondola::template::view::{LabelView, ProductView};
use gondola::template::{Scene, Templates};
use gondola_protocol::{Ink, Moment, Panel, Planes};
use samples::{SOME_PANELS, coffee, label, pistachios, reduced, samples, some};

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
        let small = |planes: &&Planes| planes.panel().width() <= 400 && planes.panel().height() <= 400;
        let some = drawn.values().flat_map(|pictures| pictures.iter().filter(small).take(7)).cloned();
        gallery::write(&gallery::sheet(&some.collect::<Vec<Planes>>(), 1_800, 1), &shipped("gallery.png"));
        for (template, pictures) in drawn {
            gallery::write(&gallery::sheet(&pictures, 1_900, 2), &shown().join(format!("{template}.png")));
        }
    }
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
}

/// The pictures of `label-templates/README.md`.
#[test]
fn every_element_looks_as_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let names = gallery::reference(directory.path());
    let templates = Templates::from_directory(directory.path()).unwrap();
    let mut renderer = Renderer::new().unwrap();
    let mut wrong = Vec::new();
    for name in names {
        let scene = templates.scene(name, &label("CN", pistachios()), panel("bwr-148x64")).unwrap();
        let rendered = renderer.render(&scene);
        wrong.extend(rendered.findings.iter().map(|finding| format!("{name}: {finding}")));
        if writes() {
            let file = format!("element-{name}-bwr-148x64.png");
            fs::write(shipped("golden").join(file), png::encode(&rendered.planes, 1)).unwrap();
        } else {
            wrong.extend(difference(&format!("element-{name}"), &rendered.planes));
        }
    }
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
}

#[test]
fn one_changed_pixel_fails_with_a_picture_of_the_difference() {
    let id = panel("bwr-296x128");
    let golden = png::decode(&fs::read(shipped("golden/standard-bwr-296x128.png")).unwrap(), id).unwrap();
    assert_eq!(difference("standard", &golden), None);
    let mut bytes = golden.bytes().to_vec();
    bytes[100] ^= 0x10;
    let changed = Planes::new(id, bytes).unwrap();
    let said = difference("standard", &changed).unwrap();
    assert!(said.contains("differs from the golden picture"), "{said}");
    let drawn = fs::read(shown().join("difference-standard-bwr-296x128.png")).unwrap();
    let ink = image::load_from_memory(&drawn).unwrap().into_rgb8();
    assert_eq!(ink.pixels().filter(|pixel| pixel.0 == [0, 0, 0]).count(), 9, "one pixel, three times enlarged");
}

/// The same bytes from another thread's renderer, and from another process.
#[test]
fn pictures_do_not_depend_on_who_draws_them() {
    let product = shipped("samples/pistachios.json");
    let folder = tempfile::tempdir().unwrap();
    let digest = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gondola"));
        command.args(["render", "--at", "2026-11-25T19:00:00+08:00", "--product"]).arg(&product);
        let output = command.arg("--output").arg(folder.path().join("out.png")).output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        said["digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(digest(), digest());
    let drawn = || rendered(&label("CN", reduced()), "bwr-296x128").planes.digest();
    assert_eq!(std::thread::spawn(drawn).join().unwrap(), drawn());
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
            for id in SOME_PANELS {
                assert_eq!(scanned(&rendered(&view, id).planes, Symbology::Ean13).as_deref(), Some(barcode), "on {id}");
            }
        }
    }
}

/// Every product of the sample catalog scans, and shows all that its template wants, at an instant.
fn check_samples(at: Moment) {
    let snapshot = read_catalog(include_bytes!("../../label-templates/samples/catalog.ndjson")).unwrap();
    let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let settings =
        Settings { currency: "CNY".parse().unwrap(), market: Market::China, time_zone, guard: GuardRules::OFF };
    let mut catalog = Catalog::new(settings);
    for row in snapshot.rows {
        catalog.apply(at, row);
    }
    let mut scanned_labels = 0;
    for product in catalog.products() {
        let view = label("CN", catalog.view(&product.sku, at));
        for id in SOME_PANELS {
            let rendered = rendered(&view, id);
            assert_eq!(rendered.findings, [], "sku {} on {id}", product.sku);
            if let Some(barcode) = &view.products[0].barcode {
                assert_eq!(
                    scanned(&rendered.planes, Symbology::Ean13).as_ref(),
                    Some(barcode),
                    "sku {} on {id}",
                    product.sku
                );
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
                for id in ["bw-250x122", "bwr-296x128"] {
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
    for id in SOME_PANELS {
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
