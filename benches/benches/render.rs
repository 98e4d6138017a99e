//! A price change from the catalog's view to packed planes: view, scene, layout, pixels; warm, with a cold QR
//! code, and beside `resvg` drawing an SVG of the same design that is parsed anew for each label.

#![expect(clippy::print_stdout, reason = "a benchmark's figures")]

use std::hint::black_box;
use std::sync::Arc;

use gondola::render::Renderer;
use gondola::template::Templates;
use gondola::template::view::{LabelView, ProductView, RatingView, StoreView, UnitPriceView};
use gondola_bench::{computed, median, per_second, resident_mib, timed};
use gondola_protocol::Panel;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use serde_json::json;

/// Labels of the shop: each has its own name and codes.
const PRODUCTS: usize = 200;
/// Price changes of one sample.
const CHANGES: usize = 2_000;
/// Labels that the peer draws in one sample: it takes some 12 ms for each.
const PEER_LABELS: usize = 20;
/// Samples; the median counts.
const SAMPLES: usize = 5;

const NAMES: [&str; 8] =
    ["加州开心果", "有机燕麦片", "手剥山核桃", "全棉四件套", "日式保温杯", "原木抽纸", "冷萃咖啡液", "乳胶枕"];
const LATIN: [&str; 5] = ["California Pistachios", "Organic Oats", "Soft Cotton", "Cold Brew", "Natural Latex"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (cold_start, (templates, renderer)) = timed(|| (Templates::embedded(), Renderer::new()));
    let mut renderer = renderer?;
    let panel: Panel = "bwr-296x128".parse()?;
    let mut labels: Vec<LabelView> = (0..PRODUCTS).map(label).collect();
    let (first, _) = timed(|| draw(&templates, &mut renderer, &labels[0], panel));
    let cold_start_ms = (cold_start + first).as_secs_f64() * 1e3;
    println!("cold start with the first label: {cold_start_ms:.1} ms");

    // Every label was shown once, and every figure once at each size: what changes now are prices.
    for change in 0..PRODUCTS * 10 {
        reprice(&mut labels[change % PRODUCTS], change);
        draw(&templates, &mut renderer, &labels[change % PRODUCTS], panel);
    }
    let warm = sampled(CHANGES, |change| {
        let label = &mut labels[change % PRODUCTS];
        reprice(label, change);
        draw(&templates, &mut renderer, label, panel);
    });
    println!("price changes: {warm:.0} labels/s and core");
    let cold_qr = sampled(CHANGES, |change| {
        let label = &mut labels[change % PRODUCTS];
        reprice(label, change);
        label.products[0].attributes.insert("url".to_owned(), format!("https://gondola.example/q/{change:04}"));
        draw(&templates, &mut renderer, label, panel);
    });
    println!("price changes with a new QR code: {cold_qr:.0} labels/s and core");
    let resident = resident_mib().unwrap_or_default();
    println!("memory of the process: {resident:.1} MiB");

    let options = peer_options();
    let peer = sampled(PEER_LABELS, |change| peer_draws(&svg(change), &options));
    println!("resvg: {peer:.1} labels/s and core");
    let ratio = warm / peer;
    println!(
        "{}",
        json!({
            "labels_per_s": warm.round(),
            "labels_per_s_cold_qr": cold_qr.round(),
            "resvg_labels_per_s": (peer * 10.0).round() / 10.0,
            "ratio_to_resvg": ratio.round(),
            "cold_start_ms": (cold_start_ms * 10.0).round() / 10.0,
            "resident_mib": (resident * 10.0).round() / 10.0,
        })
    );
    Ok(())
}

/// Labels per second of one core's time: the median of some samples, each of `count` labels that are numbered through.
fn sampled(count: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut rates: Vec<f64> = (0..SAMPLES)
        .map(|sample| per_second(count, computed(|| (sample * count..(sample + 1) * count).for_each(&mut work))))
        .collect();
    median(&mut rates)
}

fn draw(templates: &Templates, renderer: &mut Renderer, label: &LabelView, panel: Panel) {
    let template = templates.select(label, panel);
    assert_eq!(template, "standard");
    let scene = templates.scene(template, label, panel).expect("the standard template is for every panel");
    black_box(renderer.render(&scene).planes.bytes());
}

fn name(number: usize) -> (&'static str, &'static str) {
    (NAMES[number % NAMES.len()], LATIN[number % LATIN.len()])
}

fn label(number: usize) -> LabelView {
    let (chinese, latin) = name(number);
    let some = |text: &str| Some(text.to_owned());
    let product = ProductView {
        sku: format!("{}", 1_000 + number),
        known: true,
        in_assortment: true,
        name: Some(format!("{chinese} {latin}")),
        brand: some("严选"),
        spec: some("500g/袋"),
        origin: some("浙江杭州"),
        grade: some("一级"),
        unit: some("袋"),
        barcode: Some(ean_13(number)),
        category: some("food"),
        currency: "CNY".to_owned(),
        price: some("59.90"),
        unit_price: Some(UnitPriceView { amount: "119.80".to_owned(), per: "kg".to_owned() }),
        rating: Some(RatingView { score: some("4.8"), count: Some(2_210), class: some("A") }),
        attributes: [("url".to_owned(), format!("https://gondola.example/p/{number:04}"))].into(),
        ..ProductView::default()
    };
    let store = StoreView {
        id: "hz-001".to_owned(),
        name: "杭州解百店".to_owned(),
        format: "community".to_owned(),
        market: "CN".to_owned(),
    };
    LabelView { store, products: vec![product] }
}

/// Another price, one of some thousands between 10.00 and 99.99, and its unit price.
fn reprice(label: &mut LabelView, change: usize) {
    let cents = 1_000 + change * 7_919 % 9_000;
    let amount = |cents: usize| format!("{}.{:02}", cents / 100, cents % 100);
    label.products[0].price = Some(amount(cents));
    label.products[0].unit_price = Some(UnitPriceView { amount: amount(cents * 2), per: "kg".to_owned() });
}

fn ean_13(number: usize) -> String {
    let body = format!("690{number:09}");
    let sum: u32 =
        body.bytes().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// The fonts that the labels are drawn with, and no others.
fn peer_options() -> Options<'static> {
    let mut fonts = fontdb::Database::new();
    for font in ["NotoSansSC-Regular.otf", "NotoSansSC-Bold.otf", "BarlowCondensed-SemiBold.ttf"] {
        let path = format!("{}/../label-templates/fonts/{font}", env!("CARGO_MANIFEST_DIR"));
        fonts.load_font_data(std::fs::read(path).expect("the fonts that ship are there"));
    }
    Options { fontdb: Arc::new(fonts), ..Options::default() }
}

fn peer_draws(svg: &str, options: &Options<'_>) {
    let tree = Tree::from_str(svg, options).expect("the drawing is well-formed");
    let mut pixmap = Pixmap::new(296, 128).expect("a panel has pixels");
    resvg::render(&tree, Transform::identity(), &mut pixmap.as_mut());
    // The planes: ink where it is darker than half, and red where only red is left.
    let planes = pixmap.pixels().iter().map(|pixel| (pixel.green() < 128, pixel.red() >= 128));
    black_box(planes.fold(0_u32, |ink, (dark, red)| ink + u32::from(dark) + u32::from(dark && red)));
}

/// The standard label as an SVG; its codes are ready paths.
fn svg(change: usize) -> String {
    let (chinese, latin) = name(change);
    let bars: String = (0..95).step_by(2).map(|bar| format!("M{} 88h1v24h-1z", 186 + bar)).collect();
    let squares: String = (0..25 * 25)
        .filter(|square| square * 7 % 3 != 0)
        .map(|square| format!("M{} {}h2v2h-2z", 236 + square % 25 * 2, 22 + square / 25 * 2))
        .collect();
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="296" height="128"><rect width="296" height="128" fill="#fff"/>
<rect width="296" height="15" fill="#f00"/><g font-family="Noto Sans CJK SC"><text x="8" y="12" font-size="12" font-weight="700" fill="#fff">顾客好评</text>
<text x="262" y="12" font-size="12" fill="#fff">★ 4.8</text><text x="8" y="34" font-size="18" font-weight="700">{chinese}</text>
<text x="8" y="52" font-size="18" font-weight="700">{latin}</text><text x="8" y="70" font-size="12">500g/袋 产地 浙江杭州 一级</text></g>
<rect x="8" y="74" width="168" height="1"/><g font-family="Barlow Condensed SemiBold"><text x="8" y="122" font-size="24">¥</text>
<text x="22" y="122" font-size="56">{}.</text><text x="74" y="98" font-size="26">{:02}</text><text x="118" y="122" font-size="14">¥119.80/kg</text>
<text x="190" y="124" font-size="12">6901234567892</text></g><path d="{bars}"/><path d="{squares}"/></svg>"##,
        10 + change % 90,
        change % 100,
    )
}
