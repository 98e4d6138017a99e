//! `gondola catalog`

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{Ended, UsageError};
use crate::catalog::snapshot::{Header, Reader, SnapshotError};
use crate::catalog::table::{self, Columns};
use crate::catalog::wire::{self, Change, Facet, Parsed, RowKey};
use crate::run::clock::Clock;

/// Findings that are printed one by one; all are counted.
const FINDINGS_MAX: usize = 100;

/// Convert a catalog between a table and a snapshot.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Catalog {
    /// Make a snapshot of a table, or of base events line by line (NDJSON).
    ///
    /// A snapshot is what `reload` fetches, over HTTP or from a file, and what `gondola check --catalog`
    /// reads. So a shop whose system writes CSV files is fed like this:
    ///
    ///   gondola catalog import products.csv --output /srv/snapshots/hz-001/base
    ///
    ///   reload = { url = "file:///srv/snapshots", facets = ["base"], at = "03:30" }
    ///
    /// The table's first line names its columns: sku, revision, name, brand, spec, origin, grade, unit,
    /// barcode, category, price, content_amount, content_unit, and attribute.NAME for any attribute. Only
    /// sku must be there. Amounts have a point and no thousands separators (59.90). An empty cell is a
    /// field that is absent. Promotions do not fit in a table.
    ///
    /// What is wrong with a row is printed with its row and column. The row goes into the snapshot as it
    /// is, so that the controller keeps what it knows of that product; a row without a readable sku is
    /// left out.
    #[command(verbatim_doc_comment)]
    Import {
        /// The table: *.csv, or *.ndjson with one base event per line.
        file: PathBuf,
        /// Where the snapshot goes. It is there whole or not at all.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// The snapshot's generation, and the revision of every row without one: higher each time. Without it, the
        /// seconds since 1970.
        #[arg(long, value_name = "N")]
        generation: Option<u64>,
        /// What stands between cells.
        #[arg(long, value_name = "C", default_value_t = ',')]
        delimiter: char,
    },
    /// Make a table of a snapshot, or base events line by line (NDJSON).
    Export {
        /// A snapshot of the base facet.
        file: PathBuf,
        /// Where the table goes: *.csv, or *.ndjson for one base event per line.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// What stands between cells.
        #[arg(long, value_name = "C", default_value_t = ',')]
        delimiter: char,
    },
}

/// Whether a file holds a table or events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Csv,
    Ndjson,
}

impl Shape {
    fn of(file: &Path) -> Result<Self, UsageError> {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("ndjson") => Ok(Self::Ndjson),
            _ => Err(UsageError::Value(format!("{} ends neither with .csv nor with .ndjson", file.display()))),
        }
    }
}

impl Catalog {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let mut report = Report::default();
        match self {
            Self::Import { file, output, generation, delimiter } => {
                let generation = generation.unwrap_or_else(|| Clock::start().now().as_micros() / 1_000_000);
                import(&file, &output, generation, delimiter, &mut report)?;
            }
            Self::Export { file, output, delimiter } => export(&file, &output, delimiter, &mut report)?,
        }
        report.print()
    }
}

/// What was done, and what was wrong.
#[derive(Debug, Default)]
struct Report {
    rows: usize,
    bad: usize,
    findings: Vec<Value>,
    /// Promotions that a table has no place for.
    promotions: usize,
    unknown_fields: BTreeSet<String>,
    /// Each product's row.
    seen: BTreeMap<RowKey, usize>,
}

impl Report {
    fn find(&mut self, row: usize, column: Option<String>, problem: &impl ToString) {
        self.bad += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(json!({ "row": row, "column": column, "problem": problem.to_string() }));
        }
    }

    /// Looks at what became of a row. Answers whether it is a product's that was not there before.
    fn judge(&mut self, row: usize, parsed: &Parsed) -> bool {
        self.unknown_fields.extend(parsed.unknown_fields.iter().cloned());
        for error in &parsed.errors {
            self.find(row, table::column_of(&error.problem), &error.problem);
        }
        let keys = parsed.rows.iter().map(|row| &row.key);
        let mut keys = keys.chain(parsed.errors.iter().filter_map(|error| error.key.as_ref()));
        let Some(key) = keys.find(|key| key.facet() == Facet::Base) else { return false };
        let first = *self.seen.entry(key.clone()).or_insert(row);
        if first != row {
            self.find(row, Some("sku".to_owned()), &format!("{key} is in row {first} already; expected each once"));
            return false;
        }
        self.rows += 1;
        true
    }

    fn print(self) -> anyhow::Result<Ended> {
        let Self { rows, bad, findings, promotions, unknown_fields, .. } = self;
        super::print_json(&json!({ "rows": rows, "bad": bad, "findings": findings,
            "promotions_left_out": promotions, "unknown_fields": unknown_fields }))?;
        Ok(if bad == 0 && promotions == 0 && unknown_fields.is_empty() { Ended::Done } else { Ended::Findings })
    }
}

fn import(file: &Path, output: &Path, generation: u64, delimiter: char, report: &mut Report) -> anyhow::Result<()> {
    let shape = Shape::of(file)?;
    let delimiter = single_byte(delimiter)?;
    let source = open(file)?;
    let mut target = Target::create(output)?;
    let header = Header { facet: Facet::Base, generation, seq: None, reset: false };
    target.line(&json!({ "snapshot": header }))?;
    match shape {
        Shape::Csv => import_table(file, source, generation, delimiter, &mut target, report)?,
        Shape::Ndjson => import_events(source, &mut target, report)?,
    }
    if report.rows == 0 {
        anyhow::bail!("{} holds no product; a snapshot without any would empty the store", file.display());
    }
    target.line(&json!({ "end": { "count": report.rows } }))?;
    target.keep()
}

fn import_table(
    file: &Path,
    source: impl Read,
    generation: u64,
    delimiter: u8,
    target: &mut Target,
    report: &mut Report,
) -> anyhow::Result<()> {
    let refused = |source: anyhow::Error| UsageError::File { file: file.to_owned(), source };
    let mut table = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(source);
    let titles = table.headers().map_err(|error| refused(error.into()))?;
    let columns = Columns::read(titles).map_err(|error| refused(error.into()))?;
    for (record, row) in table.records().zip(2..) {
        let record = match record {
            Ok(record) => record,
            Err(error) if error.is_io_error() => return Err(error.into()),
            // Of this row alone.
            Err(error) => {
                report.find(row, None, &error);
                continue;
            }
        };
        let event = columns.event(&record, generation);
        if report.judge(row, &parse(&event)) {
            target.line(&event)?;
        }
    }
    Ok(())
}

fn import_events(source: impl Read, target: &mut Target, report: &mut Report) -> anyhow::Result<()> {
    for (line, row) in BufReader::new(source).split(b'\n').zip(1..) {
        let line = line?;
        match serde_json::from_slice::<Value>(&line) {
            // A snapshot's own first and last line.
            Ok(event) if event.get("snapshot").is_some() || event.get("end").is_some() => {}
            Ok(event) if event.is_object() => {
                if report.judge(row, &parse(&event)) {
                    target.line(&event)?;
                }
            }
            Ok(_) => report.find(row, None, &"expected a base event, such as {\"sku\":\"1101\",\"revision\":1}"),
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(error) => report.find(row, None, &format!("not JSON ({error})")),
        }
    }
    Ok(())
}

fn export(file: &Path, output: &Path, delimiter: char, report: &mut Report) -> anyhow::Result<()> {
    let mut target = Target::create(output)?;
    if Shape::of(output)? == Shape::Ndjson {
        each_row(file, |row, event| {
            report.judge(row, &parse(event));
            target.line(event)
        })?;
        return target.keep();
    }
    // A table's columns are known only when all of the snapshot was seen.
    let mut attributes = BTreeSet::new();
    each_row(file, |_, event| {
        let names = event.get("attributes").and_then(Value::as_object).into_iter().flat_map(|names| names.keys());
        attributes.extend(names.cloned());
        Ok(())
    })?;
    let columns = Columns::with_attributes(&attributes);
    let mut table = csv::WriterBuilder::new().delimiter(single_byte(delimiter)?).from_writer(target);
    table.write_record(columns.titles())?;
    each_row(file, |row, event| {
        let parsed = parse(event);
        report.judge(row, &parsed);
        for row in parsed.rows {
            match row.change {
                Change::Base(product) => table.write_record(columns.cells(row.revision, &product))?,
                Change::Promotion(_) => report.promotions += 1,
                _ => {}
            }
        }
        Ok(())
    })?;
    let target = table.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
    target.keep()
}

fn parse(event: &Value) -> Parsed {
    wire::parse(Facet::Base, event.to_string().as_bytes())
}

/// Each row of a snapshot with its line.
fn each_row(file: &Path, mut take: impl FnMut(usize, &Value) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let refused = |error: SnapshotError| UsageError::File { file: file.to_owned(), source: error.into() };
    let mut reader = Reader::open(Facet::Base, BufReader::new(open(file)?)).map_err(refused)?;
    while let Some(event) = reader.next_row().map_err(refused)? {
        take(reader.line(), &event)?;
    }
    Ok(())
}

fn single_byte(delimiter: char) -> Result<u8, UsageError> {
    let byte = u8::try_from(delimiter).ok().filter(u8::is_ascii);
    byte.ok_or_else(|| UsageError::Value(format!("--delimiter `{delimiter}` is not one ASCII character")))
}

/// A file to read, with a bar of how much of it was read on a terminal.
fn open(path: &Path) -> anyhow::Result<impl Read + use<>> {
    let refused = |error: io::Error| UsageError::File { file: path.to_owned(), source: error.into() };
    let file = File::open(path).map_err(refused)?;
    let length = file.metadata().map_err(refused)?.len();
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes}  {eta}")
        .expect("the template is well-formed")
        .progress_chars("█▌ ");
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr()).with_style(style);
    Ok(bar.with_message(path.display().to_string()).with_finish(ProgressFinish::AndClear).wrap_read(file))
}

/// A file that is there once it is whole. Until then its old content stays.
struct Target {
    file: BufWriter<NamedTempFile>,
    output: PathBuf,
}

impl Target {
    fn create(output: &Path) -> anyhow::Result<Self> {
        let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As any new file: whoever runs the controller must be able to read it.
        let permissions = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(permissions).tempfile_in(dir);
        let file = file.with_context(|| format!("cannot write in {}", dir.display()))?;
        Ok(Self { file: BufWriter::new(file), output: output.to_owned() })
    }

    fn line(&mut self, value: &Value) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.file, value)?;
        Ok(self.file.write_all(b"\n")?)
    }

    fn keep(self) -> anyhow::Result<()> {
        let Self { file, output } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&output).with_context(|| format!("cannot write {}", output.display()))?;
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
