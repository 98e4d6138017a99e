//! A process that ends with its test, its log, and the one way to wait for something.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// No step of a test takes longer, unless something is broken. Steps normally take milliseconds to seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks.
const POLL: Duration = Duration::from_millis(25);

/// Lines of each process's log that a failing test prints.
const LINES_MAX: usize = 25;

/// The program under test.
pub(crate) const GONDOLA: &str = env!("CARGO_BIN_EXE_gondola");

/// Looks until there is an answer. Until then a look says what it saw.
///
/// # Panics
/// After [`PATIENCE`], with what was seen last.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut seen = String::from("nothing");
    let looking = async {
        loop {
            match look().await {
                Ok(answer) => return answer,
                Err(instead) => seen = instead,
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, looking).await.ok();
    answer.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}; last seen: {seen}"))
}

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    errors: PathBuf,
    output: PathBuf,
}

impl Process {
    /// Starts a process; its log (standard error) and its output go to files in `dir`.
    pub(crate) fn start(name: &'static str, command: &mut Command, dir: &Path) -> Self {
        let errors = dir.join(format!("{name}.log"));
        let output = dir.join(format!("{name}.out"));
        let command = command.stdin(Stdio::null());
        let command = command.stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, child, errors, output }
    }

    /// Runs `gondola` with these arguments to its end.
    pub(crate) async fn gondola(arguments: &[&str], dir: &Path) -> Ended {
        let mut process = Self::start("command", Command::new(GONDOLA).args(arguments), dir);
        process.ended().await
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.errors).unwrap()).into_owned()
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    /// Waits for a log line with `text`, and answers it; nothing if the process ends without one.
    pub(crate) async fn logs_or_ends(&mut self, text: &str) -> Option<String> {
        eventually(&format!("`{text}` in the log of {}", self.name), async || {
            let ended = self.child.try_wait().unwrap().is_some();
            // A line that is not whole yet may lack what the caller looks for.
            let log = self.log();
            let line = log.split_inclusive('\n').find(|line| line.contains(text) && line.ends_with('\n'));
            match line {
                Some(line) => Ok(Some(line.trim_end().to_owned())),
                None if ended => Ok(None),
                None => Err("no such line".to_owned()),
            }
        })
        .await
    }

    /// Waits for a log line with `text`.
    pub(crate) async fn logs(&mut self, text: &str) -> String {
        let line = self.logs_or_ends(text).await;
        line.unwrap_or_else(|| panic!("{} ended without `{text}` in its log", self.name))
    }

    /// What stands behind `key=` in a log line with `text`.
    pub(crate) async fn logged_value(&mut self, text: &str, key: &str) -> String {
        let line = self.logs(text).await;
        let key = format!("{key}=");
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(&key));
        value.unwrap_or_else(|| panic!("no `{key}` in `{line}`")).to_owned()
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{} takes no signal any more", self.name);
    }

    /// The end that nobody can prepare for: SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> Ended {
        let status = eventually(&format!("the end of {}", self.name), async || {
            self.child.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
        })
        .await;
        Ended { status, output: fs::read_to_string(&self.output).unwrap(), errors: self.log() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
            eprintln!("--- the log of {} ends with\n{}", self.name, last.join("\n"));
        }
    }
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    /// Its standard output.
    pub(crate) output: String,
    /// Its standard error.
    pub(crate) errors: String,
}

impl Ended {
    /// Its output as JSON, after it ended with `code`.
    #[track_caller]
    pub(crate) fn json(&self, code: i32) -> serde_json::Value {
        self.expect(code);
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
    }
}
