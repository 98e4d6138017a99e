//! What goes wrong in a shop, and who looks after it: a label whose glass never changes, a base station that nobody has
//! switched on, a product that is no longer sold, a price to decide.
//!
//! The controller's clock is set ahead, so that what takes a quarter of an hour is there at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use gondola::config::Config;
use gondola::run::System;
use gondola::run::clock::Clock;
use gondola::run::telemetry::Telemetry;
use gondola::template::Templates;
use gondola_protocol::LabelId;
use gondola_simulator::{Config as ShopConfig, Fault, Serving};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::people::{PHONE, picture, press};
use crate::work::ask;
use crate::{Chromedriver, Screen, until};

/// The label whose glass never changes.
const STUCK: LabelId = LabelId(2);

/// The controller's clock is ahead of the machine's by so many microseconds.
static AHEAD: AtomicU64 = AtomicU64::new(0);

fn let_pass(time: Duration) {
    AHEAD.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// A controller and its simulated shop: three labels, and a base station of two that is there.
struct Site {
    system: System,
    shop_ends: CancellationToken,
    shop_tasks: TaskTracker,
    _dir: tempfile::TempDir,
}

impl Site {
    async fn open() -> anyhow::Result<Self> {
        let shop = "seed = 1\n[[base_station]]\nid = 'front'\nlisten = '127.0.0.1:0'\n\
                    [[labels]]\nfirst = '0000000000000001'\ncount = 3\npanel = 'bw-296x128'\nwake = '1s'\n";
        let serving = Serving::bind(ShopConfig::parse(shop)?).await?;
        let (_, front) = serving.station_addrs().next().context("a base station")?;
        let dir = tempfile::tempdir()?;
        let config = format!(
            "data_dir = '{}'\n[web]\nlisten = '127.0.0.1:0'\n[feed]\nbroker = 'embedded'\n\
             [[store]]\nid = 'hz-001'\nname = '杭州解百店'\nformat = 'community'\ntime_zone = 'Asia/Shanghai'\n\
             currency = 'CNY'\nmarket = 'CN'\n\
             [[store.base_station]]\nid = 'front'\ndriver = 'shelflink'\ntransport = {{ tcp = '{front}' }}\n\
             [[store.base_station]]\nid = 'back'\ndriver = 'shelflink'\ntransport = {{ listen = '127.0.0.1:0' }}\n",
            dir.path().join("data").display()
        );
        let config = Config::parse(&config, "gondola.toml")?;
        let (shop, shop_ends, world) = (serving.handle(), CancellationToken::new(), Clock::start());
        let shop_tasks = TaskTracker::new();
        shop_tasks.spawn(serving.run(move || world.now(), shop_ends.clone()));
        shop.set_fault(STUCK, Some(Fault::Stuck)).await??;
        let templates = Arc::new(Templates::embedded());
        let system = System::start(&config, templates, Clock::ahead_by(&AHEAD), &Telemetry::silent()).await?;
        shop_tasks.close();
        Ok(Self { system, shop_ends, shop_tasks, _dir: dir })
    }

    fn link(&self) -> String {
        format!("http://{}/enter?key={}", self.system.web, self.system.accounts.open_link())
    }

    async fn close(self) -> anyhow::Result<()> {
        self.shop_ends.cancel();
        ensure!(self.system.stop().await, "the controller stops");
        self.shop_tasks.wait().await;
        Ok(())
    }
}

const STORE: &str = "/v1/stores/hz-001";

/// Asks for something that is done as a whole.
async fn done(browser: &WebDriver, method: &str, path: &str, body: Value) -> anyhow::Result<()> {
    let (status, answer) = ask(browser, method, &format!("{STORE}/{path}"), body).await?;
    ensure!(status < 300, "{path}: {status} {answer}");
    Ok(())
}

/// Waits until the store has so many labels of a health.
async fn reached(browser: &WebDriver, health: &str, count: usize) -> anyhow::Result<()> {
    let look = format!(
        "if (window.asking) return null;
         if (window.found === {count}) return true;
         window.asking = true;
         fetch('{STORE}/labels?health={health}').then((answer) => answer.json())
             .then(({{ items }}) => {{ window.found = items.length; window.asking = false; }});
         return null"
    );
    browser.execute("window.found = null; window.asking = false", Vec::new()).await?;
    until::<bool>(browser, &look).await.map(drop)
}

/// Three labels with their products; then a quarter of an hour in which everything goes wrong.
async fn trouble(browser: &WebDriver) -> anyhow::Result<()> {
    let product = |number: u32| {
        let name = ["开心果", "砂糖橘", "蜂蜜"][number as usize - 1];
        json!({"sku": number.to_string(), "revision": 1, "name": name, "price": "12.00", "unit": "袋"})
    };
    let label = |number: u32| {
        json!({"label": format!("{number:016X}"), "panel": "bw-296x128",
            "position": {"aisle": "3", "shelf": "2", "slot": number.to_string()}})
    };
    let binding = |number: u32| json!({"label": format!("{number:016X}"), "skus": [number.to_string()]});
    let items = |of: &dyn Fn(u32) -> Value| json!({ "items": (1..=3).map(of).collect::<Vec<_>>() });
    done(browser, "PUT", "products", items(&product)).await?;
    done(browser, "POST", "labels", items(&label)).await?;
    done(browser, "PUT", "assortment", json!({"items": [{"revision": 1, "add": ["1", "2"], "remove": ["3"]}]})).await?;
    done(browser, "POST", "bindings", items(&binding)).await?;
    reached(browser, "in_sync", 2).await?;
    done(
        browser,
        "PUT",
        "products",
        json!({"items": [{"sku": "1", "revision": 2, "name": "开心果", "price": "120.00"}]}),
    )
    .await?;
    let_pass(Duration::from_mins(16));
    reached(browser, "stale", 1).await
}

/// Which of these rules has an alert that nobody looks after yet, by their buttons.
const OPEN: &str = "const buttons = [...document.querySelectorAll('.alerts button[data-post$=\"/acknowledge\"]')];
    const open = (rule) => buttons.some((button) => button.dataset.post.includes(rule));";

async fn look_after_it(browser: &WebDriver, origin: &str) -> anyhow::Result<()> {
    trouble(browser).await?;
    browser.goto(format!("{origin}/stores/hz-001")).await?;
    let stale = format!(".attention a[href$='{STUCK}']");
    until::<bool>(browser, &format!("return document.querySelector(\"{stale}\") !== null")).await?;
    picture(browser, "stale-store").await?;
    press(browser, &stale).await?;
    until::<bool>(browser, "return document.querySelector('.verdict')?.dataset.health === 'stale'").await?;
    picture(browser, "stale-label").await?;

    browser.goto(format!("{origin}/language?to=zh-CN&back=/stores/hz-001/alerts")).await?;
    let all = "['stale_labels', 'station_down', 'not_for_sale', 'held'].every(open)";
    until::<bool>(browser, &format!("{OPEN} return {all}")).await?;
    picture(browser, "alerts-open").await?;
    let words: String = until(browser, "return document.querySelector('.alerts .attention').textContent").await?;
    for sentence in [
        "1 张价签有应答，但显示有误已超过 15 分钟。",
        "基站 back 自启动以来未曾上线。",
        "1 张价签显示商品 3，但本店不销售该商品。",
        "待审批：价格将从 12.00 涨到 120.00，可能是小数点有误。",
    ] {
        ensure!(words.contains(sentence), "{sentence}: {words}");
    }
    press(browser, "button[data-post*='stale_labels'][data-post$='/acknowledge']").await?;
    until::<bool>(browser, &format!("{OPEN} return open('held') && !open('stale_labels')")).await?;
    let seen: String = until(browser, "return document.querySelector('.alerts ul.acts')?.textContent").await?;
    ensure!(seen.contains("价签显示有误") && seen.contains("由 admin 处理"), "{seen}");
    picture(browser, "alerts-seen").await?;
    // It stands there for whoever comes next, in their language.
    browser.goto(format!("{origin}/language?to=en&back=/stores/hz-001/alerts")).await?;
    until::<bool>(
        browser,
        "return document.documentElement.lang === 'en' && document.querySelector('.alerts') !== null",
    )
    .await?;
    let seen: String = until(browser, "return document.querySelector('.alerts ul.acts')?.textContent").await?;
    ensure!(
        seen.contains("1 label answers and shows something else") && seen.contains("acknowledged by admin"),
        "{seen}"
    );
    picture(browser, "alerts-seen-english").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_label_is_found_and_its_alert_acknowledged() -> anyhow::Result<()> {
    let (chromedriver, profile) = (Chromedriver::start()?, tempfile::tempdir()?);
    let site = Site::open().await?;
    let (link, origin) = (site.link(), format!("http://{}", site.system.web));
    let browser = chromedriver.browser_on(profile.path(), Screen::Phone(PHONE)).await?;
    let looked = async {
        browser.goto(&link).await?;
        look_after_it(&browser, &origin).await
    };
    let looked = looked.await;
    if looked.is_err() {
        picture(&browser, "failed-trouble").await?;
    }
    browser.quit().await?;
    site.close().await?;
    looked.map_err(|error| anyhow!("{error:#}"))
}
