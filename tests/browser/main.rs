//! The dashboard as a person sees it: a headless Chromium opens the page of a running demonstration, sees every
//! label, and sees a price arrive on a glass without touching anything; people log in, and bind labels by scanner.

mod pages;
mod people;
mod shop;
mod trouble;
mod work;

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use gondola::run::telemetry::Telemetry;
use gondola::simulate::demo::{self, DemoOptions, Progress};
use serde::de::DeserializeOwned;
use thirtyfour::prelude::*;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Labels in the shop.
pub(crate) const LABELS: usize = 6;

/// What a page waits for at most: labels wake every 2 s, so this is many times what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A browser that starts from nothing, keeps nothing and talks to nobody but the page.
const CHROMIUM_FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
];

/// The labels' addresses, once each of them has a picture that its glass has proven.
const EVERY_GLASS: &str = "
    const cards = [...document.querySelectorAll('[id^=\"label-\"][data-digest]')];
    const drawn = (card) => [...card.querySelectorAll('img')].some((img) => img.complete && img.naturalWidth > 0);
    return cards.length >= LABELS && cards.every(drawn) && cards.map((card) => card.id.slice('label-'.length));
";

/// Notes what is on each glass. A page that is loaded anew has lost it.
const REMEMBER: &str = "
    window.before = new Map([...document.querySelectorAll('[data-digest]')].map((card) => [card.id, card.dataset.digest]));
";

/// The first label whose glass is another than the remembered one.
const CHANGED: &str = "
    const cards = [...document.querySelectorAll('[data-digest]')];
    return cards.find((card) => window.before.get(card.id) !== card.dataset.digest)?.id.slice('label-'.length);
";

/// What a page is seen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Desktop,
    /// So many CSS pixels wide.
    Phone(u32),
}

/// What a person's system is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    const fn flag(self) -> &'static str {
        match self {
            Self::Light => "--blink-settings=preferredColorScheme=1",
            Self::Dark => "--blink-settings=preferredColorScheme=0",
        }
    }
}

/// `chromedriver` on a port of its own; it ends with this value.
pub(crate) struct Chromedriver {
    process: Child,
    port: u16,
    /// Kept open: a driver that cannot print ends.
    _output: BufReader<ChildStdout>,
}

impl Chromedriver {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new("chromedriver");
        let command =
            command.arg("--port=0").env("XDG_DATA_HOME", fonts()?).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot start `chromedriver`; `tests/run` installs it")?;
        let mut output = BufReader::new(process.stdout.take().context("its output is piped")?);
        let mut line = String::new();
        while output.read_line(&mut line)? > 0 {
            if let Some(port) = port(&line) {
                return Ok(Self { process, port, _output: output });
            }
            line.clear();
        }
        anyhow::bail!("`chromedriver` ended with {} before it had a port", process.wait()?)
    }

    async fn browser(&self, profile: &Path) -> WebDriverResult<WebDriver> {
        self.browser_on(profile, Screen::Desktop).await
    }

    pub(crate) async fn browser_on(&self, profile: &Path, screen: Screen) -> WebDriverResult<WebDriver> {
        self.browser_in(profile, screen, Scheme::Light).await
    }

    pub(crate) async fn browser_in(
        &self,
        profile: &Path,
        screen: Screen,
        scheme: Scheme,
    ) -> WebDriverResult<WebDriver> {
        let mut wanted = DesiredCapabilities::chrome();
        if let Screen::Phone(width) = screen {
            let metrics = serde_json::json!({"width": width, "height": 740, "pixelRatio": 2, "touch": true});
            wanted.add_experimental_option("mobileEmulation", serde_json::json!({ "deviceMetrics": metrics }))?;
        }
        for flag in CHROMIUM_FLAGS {
            wanted.add_arg(flag)?;
        }
        wanted.add_arg(scheme.flag())?;
        wanted.add_arg(&format!("--user-data-dir={}", profile.display()))?;
        let driver = WebDriver::new(format!("http://127.0.0.1:{}", self.port), wanted).await?;
        driver.set_script_timeout(PATIENCE).await?;
        Ok(driver)
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder in which browsers find the fonts that ship: a bare system has none with Chinese.
fn fonts() -> anyhow::Result<PathBuf> {
    let share = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("share");
    std::fs::create_dir_all(&share)?;
    let fonts = Path::new(env!("CARGO_MANIFEST_DIR")).join("label-templates/fonts");
    // Tests that start at once make it together, and one that is there may lead to where the sources were before.
    let made = tempfile::Builder::new().make_in(&share, |link| std::os::unix::fs::symlink(&fonts, link))?;
    made.into_temp_path().persist(share.join("fonts"))?;
    Ok(share)
}

/// The port in `ChromeDriver was started successfully on port 33435.`
fn port(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("successfully on port ")?;
    port.trim_end().trim_end_matches('.').parse().ok()
}

/// Runs a shop of six labels, in which a price changes each second, for as long as `visit` takes.
pub(crate) async fn with_demo<V>(visit: impl FnOnce(String) -> V) -> anyhow::Result<()>
where
    V: Future<Output = anyhow::Result<()>>,
{
    with_shop(LABELS, |dashboard, _| visit(dashboard)).await
}

/// The same with so many labels, for who also visits the page of the simulated shop.
pub(crate) async fn with_shop<V>(labels: usize, visit: impl FnOnce(String, String) -> V) -> anyhow::Result<()>
where
    V: Future<Output = anyhow::Result<()>>,
{
    let options = DemoOptions {
        labels: u32::try_from(labels)?,
        base_stations: 1,
        seed: 1,
        loss: 0.0,
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        data_dir: None,
        until_settled: None,
        faults: Vec::new(),
    };
    let telemetry = Telemetry::silent();
    let stop = CancellationToken::new();
    let (serving, served) = oneshot::channel();
    let mut serving = Some(serving);
    let demo = demo::run(options, &telemetry, stop.clone(), move |progress| {
        if let Progress::Serving { link, shop, .. } = progress {
            let _ = serving.take().map(|serving| serving.send((link, shop)));
        }
    });
    let visit = async {
        let _ends_the_demo = stop.drop_guard();
        let (link, shop) = served.await.context("the demonstration did not begin to serve")?;
        visit(link, shop).await
    };
    let (demo, visited) = tokio::join!(demo, visit);
    demo?;
    visited
}

/// What the lines of script return of the page, once that is anything; looked at every 50 ms for [`PATIENCE`].
///
/// Each look is a script of its own: one that waited inside of a page would go down with the page when a pressed
/// button loads the next, and its answer would never come.
pub(crate) async fn until<T: DeserializeOwned>(browser: &WebDriver, lines: &str) -> anyhow::Result<T> {
    let looks = async {
        loop {
            // A page that is being replaced can fail a look; the next one sees what came.
            if let Ok(answer) = browser.execute(format!("return (() => {{ {lines} }})() || null;"), Vec::new()).await
                && !answer.json().is_null()
            {
                return answer.convert();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, looks).await;
    Ok(answer.with_context(|| format!("waited {PATIENCE:?} on the page for {lines}"))??)
}

/// The addresses of the labels that the REST interface lists.
async fn registered(link: &str) -> anyhow::Result<BTreeSet<String>> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let entered = client.get(link).send().await?;
    let cookie = entered.headers().get("set-cookie").context("the link logs in")?.to_str()?.to_owned();
    let path = reqwest::Url::parse(link)?.join("/v1/stores/demo/labels")?;
    let answer = client.get(path).header("cookie", cookie).send().await?.error_for_status()?;
    let answer: serde_json::Value = answer.json().await?;
    let labels = answer["items"].as_array().context("a list has items")?.iter();
    labels.map(|label| Ok(label["label"].as_str().context("a label has an address")?.to_owned())).collect()
}

async fn look(browser: WebDriver, link: String) -> anyhow::Result<()> {
    browser.goto(&link).await?;
    let shown: BTreeSet<String> = until(&browser, &EVERY_GLASS.replace("LABELS", &LABELS.to_string())).await?;
    ensure!(shown.len() == LABELS, "the page shows {shown:?}");
    ensure!(shown == registered(&link).await?, "the page shows {shown:?}");

    browser.execute(REMEMBER, Vec::new()).await?;
    let changed: String = until(&browser, CHANGED).await?;
    ensure!(shown.contains(&changed), "{changed} changed, and the page began with {shown:?}");
    let remembered = browser.execute("return window.before?.size", Vec::new()).await?;
    ensure!(remembered.json().as_u64() == Some(LABELS as u64), "the page was loaded anew");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_shows_every_label_and_follows_a_price_by_itself() -> anyhow::Result<()> {
    let chromedriver = Chromedriver::start()?;
    let profile = tempfile::tempdir()?;
    with_demo(async |link| {
        let browser = chromedriver.browser(profile.path()).await?;
        let looked = browser.run_and_quit(|browser| look(browser, link)).await;
        looked.map_err(|error| anyhow!("{error:#}"))
    })
    .await
}
