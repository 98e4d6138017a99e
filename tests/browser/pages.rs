//! Every page, on a phone and on a desk, in both languages, light and dark: nothing is wider than its screen, and axe-core
//! finds no serious fault. A gallery of what they look like is kept beside what is built.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::people::{PHONE, picture, pictures, visit_in};
use crate::work::ask;
use crate::{Scheme, Screen, until};

/// Every page of a person, by name.
const PAGES: [(&str, &str); 18] = [
    ("overview", "/"),
    ("store", "/stores/demo?health=in_sync"),
    ("label", "/stores/demo/labels/0000021B6D400000"),
    ("shelves", "/stores/demo/shelves"),
    ("bind", "/stores/demo/bind"),
    ("push", "/stores/demo/push?mode=resend"),
    ("pushed", "/stores/demo/pushes/1"),
    ("alerts", "/stores/demo/alerts"),
    ("search", "/search?q=1"),
    ("templates", "/templates"),
    ("template", "/templates/standard"),
    ("account", "/account"),
    ("users", "/users"),
    ("tokens", "/tokens"),
    ("acts", "/acts"),
    ("login", "/login"),
    ("nowhere", "/nowhere"),
    ("no-label", "/stores/demo/labels/00000000000000FF"),
];

/// Pixels between the pictures of the gallery.
const GAP: u32 = 8;

/// How a page is looked at.
#[derive(Clone, Copy)]
struct Look {
    language: &'static str,
    scheme: Scheme,
}

const LOOKS: [Look; 2] =
    [Look { language: "en", scheme: Scheme::Light }, Look { language: "zh-CN", scheme: Scheme::Dark }];

/// The accessibility checker, as `tests/run` installs it beside what is built.
fn axe() -> anyhow::Result<String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("the folder of what is built")?;
    let file = target.join("npm/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&file).with_context(|| {
        format!(
            "{} is not there; `tests/run` installs it, or `npm install --prefix {} axe-core`",
            file.display(),
            target.join("npm").display()
        )
    })
}

/// What axe-core finds that is serious or worse, each with the first element that has it.
async fn faults(browser: &WebDriver, axe: &str) -> anyhow::Result<Vec<String>> {
    let run = "window.found = null;
        axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => {
            const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
            window.found = { faults: grave.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html.slice(0, 200)}`) };
        });";
    browser.execute(format!("{axe}\n{run}"), Vec::new()).await?;
    until(browser, "return window.found && window.found.faults").await
}

async fn settled(browser: &WebDriver) -> anyhow::Result<()> {
    let look = "const isSeen = ({ top, left }) => top < innerHeight && left < innerWidth;
        const pictures = [...document.querySelectorAll('img')].filter((one) => isSeen(one.getBoundingClientRect()));
        return document.readyState === 'complete' && pictures.every((one) => one.complete)";
    until::<bool>(browser, look).await.map(drop)
}

/// Looks at every page; answers what is wrong.
async fn look_at_all(browser: &WebDriver, origin: &str, width: u32, look: Look) -> anyhow::Result<Vec<String>> {
    let (axe, mut wrong) = (axe()?, Vec::new());
    let Look { language, scheme } = look;
    for (name, path) in PAGES {
        browser.goto(format!("{origin}/language?to={language}")).await?;
        browser.goto(format!("{origin}{path}")).await?;
        settled(browser).await?;
        let measure = "return [document.documentElement.scrollWidth, document.documentElement.lang]";
        let (found, tag): (u32, String) = until(browser, measure).await?;
        if tag != language {
            wrong.push(format!("{name} is in {tag}, not in {language}"));
        }
        if found > width {
            wrong.push(format!("{name} in {language} is {found} wide, wider than {width}"));
        }
        picture(browser, &format!("{name}-{width}-{scheme:?}")).await?;
        let faults = faults(browser, &axe).await?;
        wrong.extend(faults.into_iter().map(|fault| format!("{name} at {width}, {language}, {scheme:?}: {fault}")));
    }
    Ok(wrong)
}

/// Puts the pictures of one width side by side, small.
fn gallery(width: u32, shrunk: u32, columns: u32) -> anyhow::Result<PathBuf> {
    let mut small = Vec::new();
    for Look { scheme, .. } in LOOKS {
        for (name, _) in PAGES {
            let whole = image::open(pictures()?.join(format!("{name}-{width}-{scheme:?}.png")))?.into_rgb8();
            let height = whole.height() * shrunk / whole.width();
            small.push(imageops::resize(&whole, shrunk, height, FilterType::Triangle));
        }
    }
    let (count, tallest) = (u32::try_from(small.len())?, small.iter().map(RgbImage::height).max().unwrap_or(1));
    let rows = count.div_ceil(columns);
    let background = Rgb([128, 132, 138]);
    let mut sheet = RgbImage::from_pixel(columns * (shrunk + GAP) + GAP, rows * (tallest + GAP) + GAP, background);
    for (number, one) in (0_u32..).zip(&small) {
        let (x, y) = (GAP + number % columns * (shrunk + GAP), GAP + number / columns * (tallest + GAP));
        imageops::replace(&mut sheet, one, x.into(), y.into());
    }
    let file = pictures()?.join(format!("gallery-{width}.png"));
    sheet.save(&file)?;
    Ok(file)
}

/// Raises alerts of two kinds, of which somebody looks after one.
async fn trouble(browser: &WebDriver) -> anyhow::Result<()> {
    const STORE: &str = "/v1/stores/demo";
    let row = |revision: u64, price: &str| json!({"sku": "7001", "revision": revision, "name": "蜂蜜", "price": price});
    let label = json!({"label": "00000000000000FD", "panel": "bwr-296x128"});
    let (_, known) = ask(browser, "GET", &format!("{STORE}/products?limit=1000"), Value::Null).await?;
    let sold: Vec<&Value> = known["items"].as_array().into_iter().flatten().map(|product| &product["sku"]).collect();
    let assortment = json!({"revision": 1, "add": sold, "remove": ["7001"]});
    for (method, path, body) in [
        ("PUT", format!("{STORE}/products"), json!({"items": [row(1, "12.00"), row(2, "120.00")]})),
        ("POST", format!("{STORE}/labels"), json!({ "items": [label] })),
        ("POST", format!("{STORE}/labels/00000000000000FD/bind"), json!({"skus": ["7001"]})),
        ("PUT", format!("{STORE}/assortment"), json!({ "items": [assortment] })),
        ("POST", format!("{STORE}/alerts/not_for_sale:7001/acknowledge"), json!({})),
    ] {
        let (status, answer) = ask(browser, method, &path, body).await?;
        ensure!(status < 300, "{path}: {status} {answer}");
    }
    Ok(())
}

async fn every_page(screen: Screen, width: u32, shrunk: u32, columns: u32) -> anyhow::Result<()> {
    for look in LOOKS {
        let visited = visit_in(look.scheme, screen, async |browser, origin| {
            until::<bool>(browser, "return document.querySelectorAll('.card img').length > 2").await?;
            let (status, _) = ask(browser, "POST", "/v1/stores/demo/push", json!({ "resend": true })).await?;
            ensure!(status == 202, "{status}");
            trouble(browser).await?;
            let wrong = look_at_all(browser, origin, width, look).await?;
            ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
            Ok(())
        });
        visited.await.map_err(|error| anyhow!("{error:#}"))?;
    }
    gallery(width, shrunk, columns).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_phone_and_everybody_in_both_languages() -> anyhow::Result<()> {
    every_page(Screen::Phone(PHONE), PHONE, 180, 9).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_desk_and_everybody_in_both_languages() -> anyhow::Result<()> {
    every_page(Screen::Desktop, 1280, 400, 6).await
}
