//! The README's shop of real processes, set up by the very files and commands that stand there. Only the ports are others,
//! so that whatever runs on this machine goes on.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};

use image::RgbImage;
use image::imageops::FilterType;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{GONDOLA, Process, eventually};

/// Where the README says that things listen: broker, base station, dashboard, and simulated shop.
const PORTS: [&str; 4] = ["1884", "7001", "8080", "9100"];

/// Ports that nobody is given who asks for any.
const FREE_PORTS: std::ops::Range<u16> = 20_000..30_000;

/// The chapter's blocks of code, in their order.
struct Chapter {
    simulator: String,
    controller: String,
    token: String,
    processes: String,
    first_product: String,
    pictures: String,
    new_price: String,
}

impl Chapter {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(root.join("README.md")).unwrap();
        let (_, chapter) = text.split_once("\n## Run it with a real broker\n").expect("the chapter");
        let (chapter, _) = chapter.split_once("\n### ").expect("its end");
        let mut ports = FREE_PORTS.skip(usize::try_from(std::process::id() % 5_000).unwrap());
        let free = || ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port");
        let free: Vec<u16> = std::iter::repeat_with(free).take(PORTS.len()).collect();
        let chapter = PORTS.iter().zip(&free).fold(chapter.to_owned(), |text, (port, free)| {
            assert!(text.contains(port), "nothing listens at {port} in the README");
            text.replace(port, &free.to_string())
        });
        let blocks: Vec<String> = chapter.split("\n```").skip(1).step_by(2).map(block).collect();
        let [simulator, controller, token, processes, first_product, pictures, new_price] =
            blocks.try_into().expect("seven blocks of code");
        Self { simulator, controller, token, processes, first_product, pictures, new_price }
    }
}

/// A block without the line that names its language.
fn block(text: &str) -> String {
    text.split_once('\n').expect("a line behind the fence").1.to_owned()
}

/// A directory in which the commands are typed.
struct Terminal {
    dir: TempDir,
    /// Variables that were set so far.
    variables: String,
}

impl Terminal {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::os::unix::fs::symlink(root.join("label-templates"), dir.path().join("label-templates")).unwrap();
        std::os::unix::fs::symlink(GONDOLA, dir.path().join("gondola")).unwrap();
        Self { dir, variables: String::new() }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        command.args(["-euc", line]).current_dir(&self.dir);
        command.env("PATH", format!("{}:{path}", self.dir.path().display()));
        command
    }

    fn output(&self, lines: &str) -> Output {
        self.command(&format!("{}{lines}", self.variables)).output().unwrap()
    }

    /// Types lines, and answers what they print.
    #[track_caller]
    fn types(&self, lines: &str) -> String {
        let Output { status, stdout, stderr } = self.output(lines);
        assert!(status.success(), "{lines}\n{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// The label's picture as the controller and as the simulator tell it, at the size of the first.
    fn pictures(&self) -> [RgbImage; 2] {
        let [reported, glass] =
            ["reported.png", "glass.png"].map(|name| image::open(self.dir.path().join(name)).unwrap().to_rgb8());
        let (width, height) = reported.dimensions();
        let glass = image::imageops::resize(&glass, width, height, FilterType::Nearest);
        [reported, glass]
    }

    /// Keeps what a line sets.
    fn set(&mut self, line: &str) {
        self.variables.push_str(line);
        self.variables.push('\n');
    }
}

#[tokio::test]
async fn what_the_readme_says_leads_to_a_price_on_the_glass_and_to_a_newer_one() {
    let chapter = Chapter::read();
    let mut terminal = Terminal::open();
    terminal.write("sim.toml", &chapter.simulator);
    terminal.write("gondola.toml", &chapter.controller);
    let token = terminal.types(&format!("{}\necho $token", chapter.token));
    terminal.set(&format!("token={}", token.trim()));

    let [broker, simulator, controller] = lines(&chapter.processes).try_into().expect("three processes");
    let start = |name, line: &str| {
        let line = line.split(" #").next().unwrap();
        Process::start(name, &mut terminal.command(&format!("exec {line}")), terminal.dir.path())
    };
    let mut broker = start("mosquitto", broker);
    broker.logs(" running").await;
    let mut simulator = start("simulator", simulator);
    simulator.logs("control API is listening").await;
    let mut controller = start("controller", controller);
    controller.logs("the dashboard is at ").await;
    let variables = lines(&chapter.first_product).into_iter().filter(|line| is_variable(line));
    variables.for_each(|line| terminal.set(line));
    eventually("a controller that hears the broker", async || {
        let metrics = terminal.output("curl -sf -H \"$auth\" ${store%/v1/*}/metrics").stdout;
        let metrics = String::from_utf8(metrics).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("gondola_feed_connected")).unwrap_or_default();
        line.ends_with(" 1").then_some(()).ok_or_else(|| line.to_owned())
    })
    .await;

    terminal.types(&chapter.first_product);
    let first = shown(&terminal, &chapter.pictures, 0).await;
    let [reported, glass] = terminal.pictures();
    assert!(reported == glass, "the label's picture is the one that the simulator shows");

    // The last command follows events without end.
    let (publish, follow) = chapter.new_price.rsplit_once("\ncurl -N").expect("a command that follows events");
    let follow = format!("{}exec curl -sN -D events.head{follow}", terminal.variables);
    let events = Process::start("events", &mut terminal.command(&follow), terminal.dir.path());
    eventually("a stream of events", async || {
        let head = fs::read_to_string(terminal.dir.path().join("events.head")).unwrap_or_default();
        head.contains(" 200 OK").then_some(()).ok_or(head)
    })
    .await;
    terminal.types(publish);
    shown(&terminal, &chapter.pictures, first).await;
    eventually("events of a new price on its way", async || {
        let events = events.output();
        let is_told = events.contains(r#""health":"delivered""#);
        is_told.then_some(()).ok_or(events)
    })
    .await;
    let [reported, newer] = terminal.pictures();
    assert!(reported == newer && newer != glass, "the glass shows another price");
}

/// Lines of a block.
fn lines(block: &str) -> Vec<&str> {
    block.lines().filter(|line| !line.trim().is_empty()).collect()
}

fn is_variable(line: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| name.chars().all(|letter| letter.is_ascii_lowercase()))
}

/// Waits until the label is proven to show what it should, in a newer edition than that, which the first command of these
/// tells; then types the others. Answers the edition.
async fn shown(terminal: &Terminal, commands: &str, before: u64) -> u64 {
    let (look, others) = commands.split_once('\n').expect("commands");
    let edition = eventually("a label that shows its product", async || {
        let told = String::from_utf8(terminal.output(&look.replace("curl", "curl -sS")).stdout).unwrap();
        let label: Value = serde_json::from_str(&told).map_err(|error| format!("{error}: {told}"))?;
        let edition = label["reported"]["edition"].as_u64().filter(|edition| *edition > before);
        edition.filter(|_| label["health"] == "in_sync").ok_or(told)
    })
    .await;
    terminal.types(others);
    edition
}
