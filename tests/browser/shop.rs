//! The page of the simulated shop: prices roll through it, and a person plays with its faults.

use anyhow::{Context as _, anyhow, ensure};
use thirtyfour::prelude::*;

use crate::people::picture;
use crate::{Chromedriver, LABELS, Screen, until, with_shop};

/// Labels of the shop through which a whole wave rolls: enough to see it, and over in some seconds.
const WAVE_LABELS: usize = 400;

/// So many labels in a state, as the legend says.
fn counted(state: &str, labels: usize) -> String {
    format!("return document.querySelector('[data-state=\"{state}\"] strong')?.textContent === '{labels}';")
}

/// Notes each state of the chosen label, and what is on its glass then.
const WATCH: &str = "
    const label = document.getElementById('label');
    const first = document.getElementById('glass').dataset.digest;
    if (!first || label.dataset.state !== 'newest') return null;
    window.first = first;
    window.states = [];
    new MutationObserver(() => window.states.push(label.dataset.state))
        .observe(label, { attributes: true, attributeFilter: ['data-state'] });
    return true;
";

/// The label's display has changed, it shows the newest again, and that is another picture.
const REFRESHED: &str = "
    const { states } = window;
    const refreshed = states.indexOf('refreshing');
    const glass = document.getElementById('glass');
    return refreshed >= 0 && states.indexOf('newest', refreshed) > 0 && glass.naturalWidth > 0
        && glass.dataset.digest !== window.first && states;
";

/// Anything that is wider than the window.
const IS_TOO_WIDE: &str = "return document.documentElement.scrollWidth > window.innerWidth;";

/// The wave is under way: some labels show the newest already, some are at it, some have yet to begin.
const ROLLS: &str = "
    const count = (state) => Number(document.querySelector(`[data-state=\"${state}\"] strong`).textContent);
    return count('newest') > 60 && count('receiving') + count('refreshing') > 5 && count('behind') + count('empty') > 60;
";

/// The base station has pictures for labels that do not come for them.
const HOLDS: &str = "return /holds [1-9]/.test(document.getElementById('stations').textContent);";

/// Presses the first button of a name.
fn press(name: &str) -> String {
    format!("[...document.querySelectorAll('button')].find((one) => one.textContent === '{name}').click();")
}

async fn watch(browser: WebDriver, shop: String, name: &str) -> anyhow::Result<()> {
    browser.goto(&shop).await?;
    until::<bool>(&browser, &counted("empty", 0)).await?;
    // By keyboard to the first label, which has red ink: its display changes for three seconds.
    browser.find(By::Id("map")).await?.send_keys("n").await?;
    until::<bool>(&browser, WATCH).await?;
    let states: Vec<String> = until(&browser, REFRESHED).await?;
    ensure!(states.iter().all(|state| state != "empty" && state != "away"), "{states:?}");
    picture(&browser, name).await?;

    browser.execute(press("Unplug"), Vec::new()).await?;
    until::<bool>(&browser, &counted("away", LABELS)).await?;
    browser.execute(press("Plug in"), Vec::new()).await?;
    until::<bool>(&browser, &counted("away", 0)).await?;
    browser.execute(press("Drain half a battery").repeat(2), Vec::new()).await?;
    until::<bool>(&browser, &counted("low", 1)).await?;
    let too_wide = browser.execute(IS_TOO_WIDE, Vec::new()).await?;
    ensure!(too_wide.json().as_bool() == Some(false), "the page is wider than its window");
    Ok(())
}

async fn watch_on(screen: Screen, name: &str) -> anyhow::Result<()> {
    let chromedriver = Chromedriver::start()?;
    let profile = tempfile::tempdir()?;
    with_shop(LABELS, async |_, shop| {
        let browser = chromedriver.browser_on(profile.path(), screen).await?;
        let watched = browser.run_and_quit(|browser| watch(browser, shop, name)).await;
        watched.map_err(|error| anyhow!("{error:#}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_rolls_through_the_shop_before_ones_eyes() -> anyhow::Result<()> {
    watch_on(Screen::Desktop, "shop").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_is_watched_on_a_phone() -> anyhow::Result<()> {
    watch_on(Screen::Phone(360), "shop-phone").await
}

/// Sets or clears a fault of every label.
async fn set_all(shop: &str, fault: &'static str) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let floor: serde_json::Value = client.get(format!("{shop}floor")).send().await?.json().await?;
    for label in floor["labels"].as_array().context("a floor has labels")? {
        let label = label["id"].as_str().context("a label has an address")?;
        client.put(format!("{shop}labels/{label}/fault")).body(fault).send().await?.error_for_status()?;
    }
    Ok(())
}

async fn watch_wave(browser: WebDriver, shop: String) -> anyhow::Result<()> {
    browser.goto(&shop).await?;
    until::<bool>(&browser, &counted("away", WAVE_LABELS)).await?;
    until::<bool>(&browser, HOLDS).await?;
    browser.find(By::Id("map")).await?.send_keys("n").await?;
    set_all(&shop, r#"{"fault":"none"}"#).await?;
    until::<bool>(&browser, ROLLS).await?;
    picture(&browser, "shop-wave").await?;
    until::<bool>(&browser, &counted("empty", 0)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_rolls_through_the_whole_shop() -> anyhow::Result<()> {
    let chromedriver = Chromedriver::start()?;
    let profile = tempfile::tempdir()?;
    with_shop(WAVE_LABELS, async |_, shop| {
        // Nothing gets through until somebody watches.
        set_all(&shop, r#"{"fault":"deaf"}"#).await?;
        let browser = chromedriver.browser_on(profile.path(), Screen::Desktop).await?;
        let watched = browser.run_and_quit(|browser| watch_wave(browser, shop)).await;
        watched.map_err(|error| anyhow!("{error:#}"))
    })
    .await
}
