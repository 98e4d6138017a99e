//! People at work on what the shelves show: a label that needs somebody, a held price, a push, a template.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

use crate::people::{PHONE, fill, picture, press, visit};
use crate::{PATIENCE, Screen, until};

/// A label that hangs nowhere near.
const LOST: &str = "00000000000000FE";

/// A template that looks like no other, with another name in place of NAME.
const DRAFT: &str = "<template name=\"NAME\" direction=\"column\" padding=\"4\" gap=\"4\">\
     <badge background=\"black\" color=\"white\">DRAFT</badge>\
     <text size=\"28..14\" lines=\"2\">{{ product.name }}</text>\
     <price size=\"40..20\">{{ product.price }}</price></template>";

/// Asks the interface as the page's person; answers status and body.
pub(crate) async fn ask(browser: &WebDriver, method: &str, path: &str, body: Value) -> anyhow::Result<(u16, Value)> {
    let lines = "const [method, path, body] = arguments;
        window.answer = null;
        const options = method === 'GET' ? {} : { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
        fetch(path, options).then(async (answer) => {
            const text = await answer.text();
            window.answer = [answer.status, text ? JSON.parse(text) : {}];
        });";
    browser.execute(lines, vec![json!(method), json!(path), body]).await?;
    until(browser, "return window.answer").await
}

async fn get(browser: &WebDriver, path: &str) -> anyhow::Result<Value> {
    let (status, answer) = ask(browser, "GET", path, Value::Null).await?;
    ensure!(status == 200, "{path}: {answer}");
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_needs_somebody_is_found_with_what_to_do() -> anyhow::Result<()> {
    visit(Screen::Phone(PHONE), async |browser, origin| {
        let items = json!([{"label": LOST, "panel": "bwr-296x128", "position": {"aisle": "7", "shelf": "1", "slot": "4"}}]);
        ask(browser, "POST", "/v1/stores/demo/labels", json!({ "items": items })).await?;
        let sku = get(browser, "/v1/stores/demo/products?limit=1").await?["items"][0]["sku"].clone();
        ask(browser, "POST", &format!("/v1/stores/demo/labels/{LOST}/bind"), json!({ "skus": [sku] })).await?;
        browser.goto(format!("{origin}/stores/demo")).await?;
        let wanted = "return [...document.querySelectorAll('.attention a')].find((link) => /7/.test(link.textContent))?.textContent";
        let named: String = until(browser, wanted).await?;
        ensure!(named == "Aisle 7, shelf 1, slot 4", "{named}");
        picture(browser, "needs-somebody").await?;
        press(browser, &format!(".attention a[href$='{LOST}']")).await?;
        until::<bool>(browser, "return document.querySelector('.verdict')?.dataset.health === 'offline'").await?;
        let verdict: String = until(browser, "return document.querySelector('.verdict strong').textContent").await?;
        ensure!(verdict.starts_with("See whether it hangs there"), "{verdict}");
        // The same label by its place, as somebody who stands there would look for it.
        browser.goto(format!("{origin}/search")).await?;
        fill(browser, "main [name=q]", "aisle 7").await?;
        press(browser, "main .search button").await?;
        let found = format!("return document.querySelector('.found a[href$=\"{LOST}\"]') !== null");
        until::<bool>(browser, &found).await.map(drop)
    })
    .await
}

/// Notes, in the page, which link is pressed, and when the server tells of a label for the first time after that.
const NOTE_PRESS: &str = "addEventListener('pointerdown', (event) => {
        window.goal = event.target.closest('a')?.getAttribute('href');
    });
    new EventSource('/v1/events?store=demo').addEventListener('label', () => {
        if (window.goal) window.heard ??= Date.now();
    });";

#[tokio::test(flavor = "multi_thread")]
async fn a_press_that_lasts_while_the_page_changes_is_not_lost() -> anyhow::Result<()> {
    visit(Screen::Desktop, async |browser, origin| {
        browser.goto(format!("{origin}/stores/demo")).await?;
        browser.execute(NOTE_PRESS, Vec::new()).await?;
        let presses = async {
            loop {
                // The page may replace a link that was just found, and put another one in its place.
                let pressed = async {
                    browser.action_chain().release().perform().await?;
                    let found = browser.find(By::Css(".legend a")).await?;
                    browser.action_chain().click_and_hold_element(&found).perform().await
                };
                let _ = pressed.await;
                if let Some(goal) = browser.execute("return window.goal", Vec::new()).await?.json().as_str() {
                    return anyhow::Ok(goal.to_owned());
                }
            }
        };
        let goal = tokio::time::timeout(PATIENCE, presses).await.context("no link could be pressed")??;
        // Long after the page would have replaced what it was told of.
        until::<bool>(browser, "return Date.now() - window.heard > 1000").await?;
        browser.action_chain().release().perform().await?;
        until::<bool>(browser, &format!("return location.pathname + location.search === '{goal}'")).await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_price_is_approved() -> anyhow::Result<()> {
    visit(Screen::Desktop, async |browser, origin| {
        browser.goto(format!("{origin}/language?to=zh-CN&back=/stores/demo")).await?;
        let put = async |revision: u64, price: &str| {
            let row = json!({"sku": "7001", "revision": revision, "name": "蜂蜜", "price": price});
            ask(browser, "PUT", "/v1/stores/demo/products", json!({ "items": [row] })).await
        };
        put(1, "12.00").await?;
        let (_, held) = put(2, "120.00").await?;
        ensure!(held["results"][0]["status"] == "held", "{held}");
        let button = ".decisions button[data-post$='/approve']";
        until::<bool>(browser, &format!("return document.querySelector(\"{button}\") !== null")).await?;
        let words: String = until(browser, "return document.querySelector('.decisions li').textContent").await?;
        ensure!(words.contains("蜂蜜") && words.contains("批准"), "{words}");
        picture(browser, "approve").await?;
        press(browser, button).await?;
        until::<bool>(browser, "return document.querySelector('.decisions') === null").await?;
        let product = get(browser, "/v1/stores/demo/products/7001").await?;
        ensure!(product["shelf_price"]["price"] == "120.00", "{product}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_looked_at_before_it_is_pressed_and_watched_to_its_end() -> anyhow::Result<()> {
    visit(Screen::Phone(PHONE), async |browser, origin| {
        until::<bool>(browser, "return document.querySelectorAll('.card img').length > 2").await?;
        browser.goto(format!("{origin}/stores/demo/push")).await?;
        browser.find(By::Css("option[value=resend]")).await?.click().await?;
        press(browser, "form.search button").await?;
        // Before it was pressed, the page spoke of what differs alone.
        let all = "return document.querySelector('form[method=post] .primary')?.textContent === 'Send to 6 labels'";
        until::<bool>(browser, all).await?;
        picture(browser, "push-preview").await?;
        press(browser, "form[method=post] .primary").await?;
        // A price changes each second: what is in sync at one instant need not be at the next.
        let moves = "return location.pathname === '/stores/demo/pushes/1'
            && Number(document.querySelector('.headline strong')?.textContent) >= 3";
        until::<bool>(browser, moves).await?;
        picture(browser, "push-progress").await
    })
    .await
}

/// A label that agrees, and the template that it shows.
async fn label_and_template(browser: &WebDriver) -> anyhow::Result<(String, String)> {
    let labels = get(browser, "/v1/stores/demo/labels").await?;
    let labels = labels["items"].as_array().context("a list has items")?.iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut shown = labels.filter_map(|label| Some((text(&label["label"])?, text(&label["template"])?)));
    shown.next().context("a label shows a template")
}

/// Types a template into the editor, as a person who replaces everything.
async fn write(browser: &WebDriver, text: &str) -> anyhow::Result<()> {
    let field = browser.find(By::Id("text")).await?;
    field.click().await?;
    field.send_keys(Key::Control + "a").await?;
    Ok(field.send_keys(text).await?)
}

async fn verdict(browser: &WebDriver, mood: &str, words: &str) -> anyhow::Result<()> {
    let look = format!(
        "const verdict = document.getElementById('verdict');
         const all = verdict.textContent + document.getElementById('problems').textContent;
         return verdict.dataset.mood === '{mood}' && all.includes('{words}')"
    );
    until::<bool>(browser, &look).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_edited_tried_on_one_label_saved_and_taken_back() -> anyhow::Result<()> {
    visit(Screen::Desktop, async |browser, origin| {
        until::<bool>(browser, "return document.querySelectorAll('.card img').length > 2").await?;
        let (label, template) = label_and_template(browser).await?;
        browser.goto(format!("{origin}/templates")).await?;
        press(browser, &format!("a[href='/templates/{template}']")).await?;
        until::<bool>(browser, "return document.querySelectorAll('[data-drawn=yes]').length > 0").await?;
        picture(browser, "template").await?;
        write(browser, &format!("<template name=\"{template}\"><txt/></template>")).await?;
        verdict(browser, "bad", "unknown element `txt`").await?;
        ensure!(
            browser.find(By::Id("save")).await?.prop("disabled").await?.as_deref() == Some("true"),
            "it cannot be saved"
        );
        picture(browser, "template-broken").await?;
        write(browser, &DRAFT.replace("NAME", &template)).await?;
        verdict(browser, "warn", "wants the").await?;
        picture(browser, "template-draft").await?;

        fill(browser, "#try-label", &label).await?;
        press(browser, "#try button").await?;
        until::<bool>(browser, "return document.getElementById('try-state').dataset.mood === 'good'").await?;
        browser.goto(format!("{origin}/stores/demo/labels/{label}")).await?;
        let agrees = "return document.querySelector('section.label').dataset.health === 'in_sync'";
        until::<bool>(browser, &format!("if (!document.querySelector('.trying')) return false; {agrees}")).await?;
        picture(browser, "label-trial").await?;
        let others = get(browser, "/v1/stores/demo/labels").await?;
        let trying = others["items"].as_array().context("items")?.iter().filter(|one| !one["trial"].is_null()).count();
        ensure!(trying == 1, "{trying} labels show a draft");
        press(browser, ".trying button").await?;
        until::<bool>(browser, "return document.querySelector('.trying') === null").await?;

        browser.goto(format!("{origin}/templates/{template}")).await?;
        write(browser, &DRAFT.replace("NAME", &template)).await?;
        until::<bool>(browser, "return !document.getElementById('save').disabled").await?;
        press(browser, "#save").await?;
        until::<bool>(browser, "return document.querySelector('section.template').dataset.version === '1'").await?;
        picture(browser, "template-saved").await?;
        browser.goto(format!("{origin}/stores/demo/labels/{label}")).await?;
        until::<bool>(browser, agrees).await?;
        browser.goto(format!("{origin}/templates/{template}")).await?;
        press(browser, "button[data-back='0']").await?;
        until::<bool>(browser, "return document.querySelector('section.template').dataset.version === '2'").await?;
        let text = get(browser, &format!("/v1/templates/{template}")).await?["text"].clone();
        ensure!(text == get(browser, &format!("/v1/templates/{template}/versions/0")).await?["text"], "{text}");
        Ok(())
    })
    .await
}
