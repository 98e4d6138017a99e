//! People at work: a first login, and binding at the shelf by scanner.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::json;
use thirtyfour::prelude::*;

use crate::{Chromedriver, LOOK_EVERY, PATIENCE, Scheme, Screen, until, with_demo};

/// A small phone.
pub(crate) const PHONE: u32 = 360;

/// Labels that one person binds without touching the screen.
const IN_A_ROW: usize = 300;

/// Scans that are typed before the page is looked at again: as many as a scanner keeps.
const AT_ONCE: usize = 15;

/// A browser on a running demonstration, logged in by its link.
pub(crate) async fn visit(
    screen: Screen,
    work: impl AsyncFnOnce(&WebDriver, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    visit_in(Scheme::Light, screen, work).await
}

/// The same where everything is set to light or dark.
pub(crate) async fn visit_in(
    scheme: Scheme,
    screen: Screen,
    work: impl AsyncFnOnce(&WebDriver, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let chromedriver = Chromedriver::start()?;
    let profile = tempfile::tempdir()?;
    with_demo(async |link| {
        let browser = chromedriver.browser_in(profile.path(), screen, scheme).await?;
        let origin = link.split("/enter").next().unwrap_or_default().to_owned();
        let worked = async {
            browser.goto(&link).await?;
            work(&browser, &origin).await
        };
        let worked = worked.await;
        if worked.is_err() {
            picture(&browser, "failed").await?;
        }
        browser.quit().await?;
        worked
    })
    .await
}

/// Keeps a picture of a page beside what is built, for whoever wants to look at it.
pub(crate) async fn picture(browser: &WebDriver, name: &str) -> anyhow::Result<()> {
    Ok(browser.screenshot(&pictures()?.join(format!("{name}.png"))).await?)
}

/// Where the pictures are kept.
pub(crate) fn pictures() -> anyhow::Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

pub(crate) async fn fill(browser: &WebDriver, selector: &str, text: &str) -> anyhow::Result<()> {
    let field = browser.find(By::Css(selector)).await?;
    field.clear().await?;
    Ok(field.send_keys(text).await?)
}

/// Notes whether the next click is one on what a selector names; a page that the click leads to can still tell.
const NOTE_CLICK: &str = "const [selector] = arguments;
    sessionStorage.met = 'no';
    const note = (event) => { if (event.target.closest(selector)) sessionStorage.met = 'yes'; };
    addEventListener('click', note, { capture: true, once: true });";

/// Clicks. What the page moves away from under the finger, as it does while labels change, is looked for again.
pub(crate) async fn press(browser: &WebDriver, selector: &str) -> anyhow::Result<()> {
    let presses = async {
        loop {
            let pressed = async {
                browser.execute(NOTE_CLICK, vec![json!(selector)]).await?;
                browser.find(By::Css(selector)).await?.click().await
            };
            if pressed.await.is_ok() && until::<String>(browser, "return sessionStorage.met").await? == "yes" {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let pressed = tokio::time::timeout(PATIENCE, presses).await;
    pressed.with_context(|| format!("waited {PATIENCE:?} to press {selector}"))?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_assistant_logs_in_chooses_a_password_and_sees_no_more_than_allowed() -> anyhow::Result<()> {
    visit(Screen::Desktop, async |browser, origin| {
        browser.goto(format!("{origin}/users")).await?;
        fill(browser, "form[action='/users'] [name=name]", "bo").await?;
        press(browser, "form[action='/users'] .primary").await?;
        let password: String = until(browser, "return document.querySelector('.secret')?.textContent").await?;
        picture(browser, "users").await?;
        browser.goto(format!("{origin}/account")).await?;
        press(browser, "form[action='/logout'] button").await?;
        until::<bool>(browser, "return location.pathname === '/login'").await?;
        browser.goto(format!("{origin}/stores/demo/bind")).await?;
        fill(browser, "[name=name]", "bo").await?;
        fill(browser, "[name=password]", "wrong").await?;
        press(browser, ".primary").await?;
        let problem: String = until(browser, "return document.querySelector('.problem')?.textContent").await?;
        ensure!(problem == "Name or password is wrong.", "{problem}");
        picture(browser, "login-wrong").await?;
        fill(browser, "[name=password]", &password).await?;
        press(browser, ".primary").await?;
        until::<bool>(browser, "return location.pathname === '/account'").await?;
        picture(browser, "account-first").await?;
        fill(browser, "[name=present]", &password).await?;
        fill(browser, "[name=new]", "a longer secret").await?;
        press(browser, ".primary").await?;
        until::<bool>(browser, "return location.pathname === '/' && document.querySelector('.card') !== null").await?;
        let links: String = until(browser, "return document.querySelector('.top nav').textContent").await?;
        ensure!(links.contains("bo") && !links.contains("Tokens"), "{links}");
        browser.goto(format!("{origin}/users")).await?;
        let refused: String = until(browser, "return document.querySelector('main').textContent").await?;
        ensure!(refused.contains("This needs the role `admin` in every store"), "{refused}");
        Ok(())
    })
    .await
}

/// Types codes as a scanner does: into whatever has the focus, each with Enter behind it.
async fn scan(browser: &WebDriver, codes: &[&str]) -> anyhow::Result<()> {
    let text: String = codes.iter().map(|code| format!("{code}{}", Key::Enter.value())).collect();
    Ok(browser.action_chain().send_keys(text).perform().await?)
}

/// Waits until the page says something of this kind.
async fn says(browser: &WebDriver, mood: &str, words: &str) -> anyhow::Result<()> {
    let look = format!(
        "const state = document.getElementById('state');
         return state.dataset.mood === '{mood}' && state.textContent.includes('{words}')"
    );
    until::<bool>(browser, &look).await.map(drop)
}

/// The SKUs that a label is bound to.
async fn bound(browser: &WebDriver, label: &str) -> anyhow::Result<String> {
    let ask = format!(
        "if (window.asked !== '{label}') {{
             window.asked = '{label}'; window.answer = null;
             fetch('/v1/stores/demo/labels/{label}').then((a) => a.json()).then((l) => window.answer = l.skus.join() || 'none');
         }}
         return window.answer"
    );
    let answer = until(browser, &ask).await?;
    browser.execute("window.asked = null", Vec::new()).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_labels_are_bound_by_a_scanner_without_touching_the_screen() -> anyhow::Result<()> {
    visit(Screen::Phone(PHONE), async |browser, origin| {
        browser.goto(format!("{origin}/stores/demo/bind")).await?;
        let labels: Vec<String> = (1..=IN_A_ROW + 1).map(|number| format!("00000000000A{number:04X}")).collect();
        let register = browser.execute_async(
            "const [labels, done] = arguments;
             const items = labels.map((label) => ({ label, panel: 'bwr-296x128', position: { aisle: '9', shelf: '1', slot: '1' } }));
             const headers = { 'Content-Type': 'application/json' };
             fetch('/v1/stores/demo/labels', { method: 'POST', headers, body: JSON.stringify({ items }) })
                 .then(() => fetch('/v1/stores/demo/products?limit=40')).then((answer) => answer.json())
                 .then((products) => done(products.items.map((product) => product.sku)));",
            vec![json!(labels)],
        );
        let skus: Vec<String> = register.await?.convert()?;
        ensure!(skus.len() > 5, "{skus:?}");
        picture(browser, "bind-start").await?;
        for (number, chunk) in labels[..IN_A_ROW].chunks(AT_ONCE).enumerate() {
            let codes: Vec<&str> = chunk
                .iter()
                .zip(0..)
                .flat_map(|(label, place)| [label.as_str(), skus[(number + place) % skus.len()].as_str()])
                .collect();
            scan(browser, &codes).await?;
            let reached = number * AT_ONCE + chunk.len();
            until::<bool>(browser, &format!("return document.getElementById('count').textContent === '{reached}'")).await?;
        }
        picture(browser, "bind-done").await?;
        ensure!(bound(browser, &labels[0]).await? == skus[0], "the first label shows another product");

        // Another product is only bound when it is scanned twice; what was done can be taken back.
        let (first, spare) = (labels[0].as_str(), labels[IN_A_ROW].as_str());
        scan(browser, &[first, &skus[3]]).await?;
        says(browser, "warn", "once more").await?;
        picture(browser, "bind-warning").await?;
        ensure!(bound(browser, first).await? == skus[0], "a warning binds nothing");
        scan(browser, &[&skus[3]]).await?;
        says(browser, "good", "Bound").await?;
        ensure!(bound(browser, first).await? == skus[3], "it was confirmed");
        scan(browser, &["*undo*"]).await?;
        says(browser, "good", "Undone").await?;
        ensure!(bound(browser, first).await? == skus[0], "it was taken back");
        scan(browser, &[first, "*REPLACE*", spare]).await?;
        says(browser, "good", "Replaced").await?;
        ensure!(bound(browser, spare).await? == skus[0] && bound(browser, first).await? == "none", "a device was exchanged");
        scan(browser, &[spare, "*unbind*"]).await?;
        says(browser, "good", "Unbound").await?;
        ensure!(bound(browser, spare).await? == "none", "it was unbound");
        scan(browser, &["nothing-like-it"]).await?;
        says(browser, "bad", "Nothing is known of nothing-like-it").await?;
        picture(browser, "bind-unknown").await
    })
    .await
}
