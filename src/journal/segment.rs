//! A journal's files: segments, each with the chain's state in its first line, and checkpoints.
//!
//! ```text
//! segment-00000000000000000001.ndjson.gz      sealed: gzip of the very lines, so `zcat` reads it
//! segment-00000000000000052114.ndjson         open: the one that is written to
//! checkpoint-00000000000000052113.ndjson.gz   what the records up to there come to
//! ```
//!
//! The number is that of the first record in a segment, and of the last one that a checkpoint covers. The first line
//! of a segment is `{"segment":{"format":1,"store":"hz-001","first":52114,"previous":"<64 hex>"}}`.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use gondola_protocol::StoreId;
use serde::{Deserialize, Serialize};

use super::chain::{Chain, Flaw, Hash32, LINE_MAX, Position};
use super::directory::{Directory, JournalFile, UNFINISHED, write_whole};

/// The form of segments and checkpoints, one more whenever it changes.
pub(super) const FORMAT: u32 = 1;

const SEGMENT: &str = "segment-";
const CHECKPOINT: &str = "checkpoint-";
const OPEN: &str = ".ndjson";
pub(super) const SEALED: &str = ".ndjson.gz";

/// Whether a segment is still written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As it was written.
    Open,
    /// Compressed.
    Sealed,
}

/// One segment by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    /// Its first record.
    pub(super) first: u64,
    pub(super) form: Form,
}

impl Segment {
    pub(super) fn name(self) -> String {
        let ending = if self.form == Form::Open { OPEN } else { SEALED };
        format!("{SEGMENT}{:020}{ending}", self.first)
    }

    pub(super) fn sealed(self) -> Self {
        Self { form: Form::Sealed, ..self }
    }
}

/// The name of a checkpoint that covers every record up to `sequence`.
pub(super) fn checkpoint_name(sequence: u64) -> String {
    format!("{CHECKPOINT}{sequence:020}{SEALED}")
}

/// What lies in a journal's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// By first record. One that was sealed and not removed yet counts as sealed: it was renamed once it was whole.
    pub(super) segments: Vec<Segment>,
    /// By last record.
    pub(super) checkpoints: Vec<u64>,
    /// Names of files that nobody needs: unfinished ones, and what was sealed since.
    pub(super) leftovers: Vec<String>,
}

impl Contents {
    pub(super) fn of(directory: &dyn Directory) -> io::Result<Self> {
        let mut contents = Self::default();
        for name in directory.list()? {
            if name.ends_with(UNFINISHED) {
                contents.leftovers.push(name);
            } else if let Some(segment) = segment(&name) {
                contents.segments.push(segment);
            } else if let Some(sequence) = number(&name, CHECKPOINT, SEALED) {
                contents.checkpoints.push(sequence);
            }
        }
        contents.segments.sort();
        contents.checkpoints.sort_unstable();
        let segments = std::mem::take(&mut contents.segments);
        for (index, segment) in segments.iter().enumerate() {
            match segments.get(index + 1) {
                Some(next) if next.first == segment.first => contents.leftovers.push(segment.name()),
                _ => contents.segments.push(*segment),
            }
        }
        Ok(contents)
    }
}

fn segment(name: &str) -> Option<Segment> {
    let open = number(name, SEGMENT, OPEN).map(|first| Segment { first, form: Form::Open });
    open.or_else(|| number(name, SEGMENT, SEALED).map(|first| Segment { first, form: Form::Sealed }))
}

fn number(name: &str, prefix: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(ending)?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    segment: Header,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    store: StoreId,
    first: u64,
    previous: Hash32,
}

/// Makes the segment that goes on behind `previous`, durably. Answers the file and its length.
pub(super) fn create(
    directory: &dyn Directory,
    store: &StoreId,
    previous: Position,
) -> io::Result<(Segment, Box<dyn JournalFile>, u64)> {
    let segment = Segment { first: previous.sequence + 1, form: Form::Open };
    let header = Header { format: FORMAT, store: store.clone(), first: segment.first, previous: previous.hash };
    let mut line = serde_json::to_vec(&HeaderLine { segment: header })?;
    line.push(b'\n');
    let file = write_whole(directory, &segment.name(), |out| out.write_all(&line))?;
    Ok((segment, file, line.len() as u64))
}

/// The lines of a segment or checkpoint, one at a time.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    /// Where the line begins, in bytes of the uncompressed text; after it was taken, where the next one does.
    pub(super) offset: u64,
    /// Lines that were taken.
    pub(super) taken: u64,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Lines {
    pub(super) fn new(file: Box<dyn Read + Send>, form: Form) -> Self {
        let reader: Box<dyn BufRead + Send> = match form {
            Form::Open => Box::new(BufReader::with_capacity(64 << 10, file)),
            Form::Sealed => Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(file))),
        };
        Self { reader, line: Vec::new(), offset: 0, taken: 0 }
    }

    /// The next line without its newline; none at the end. The position moves on with [`Self::taken`].
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Flaw> {
        self.line.clear();
        let line_max = LINE_MAX as u64 + 1;
        let read = (&mut self.reader).take(line_max).read_until(b'\n', &mut self.line);
        let bytes = read.map_err(|e| Flaw::Unreadable { reason: e.to_string() })? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        match self.line.strip_suffix(b"\n") {
            Some(line) => Ok(Some(line)),
            None if bytes == line_max => Err(Flaw::TooLong),
            None => Err(Flaw::Torn { bytes }),
        }
    }

    /// The line is in order: the next one is after it.
    pub(super) fn take(&mut self) {
        self.offset += self.line.len() as u64;
        self.taken += 1;
    }
}

/// Opens a segment, checks its header, and answers its lines and the chain behind it. A segment that was sealed since
/// its name was read is found all the same.
pub(super) fn read(directory: &dyn Directory, store: &StoreId, segment: Segment) -> Result<(Lines, Chain), Flaw> {
    let unreadable = |error: io::Error| Flaw::Unreadable { reason: error.to_string() };
    let mut lines = match directory.read(&segment.name()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && segment.form == Form::Open => {
            Lines::new(directory.read(&segment.sealed().name()).map_err(unreadable)?, Form::Sealed)
        }
        file => Lines::new(file.map_err(unreadable)?, segment.form),
    };
    let broken = |reason: String| Flaw::Header { reason };
    let line = match lines.next() {
        Ok(line) => line.ok_or_else(|| broken("the file is empty".to_owned()))?,
        Err(Flaw::Torn { .. }) => return Err(broken("the file ends within its first line".to_owned())),
        Err(flaw) => return Err(flaw),
    };
    let HeaderLine { segment: header } = serde_json::from_slice(line).map_err(|error| broken(error.to_string()))?;
    if header.format != FORMAT {
        return Err(broken(format!("it has format {}, this gondola reads format {FORMAT}", header.format)));
    }
    if header.store != *store {
        return Err(broken(format!("it is a segment of store `{}`", header.store)));
    }
    if header.first != segment.first {
        return Err(broken(format!("it calls itself the segment of record {}", header.first)));
    }
    lines.take();
    let chain = Chain::after(Position { sequence: header.first - 1, hash: header.previous });
    let start = Chain::new(store).head();
    if header.first == 1 && chain.head() != start {
        return Err(broken(format!("a journal begins behind {}, not behind {}", start.hash, header.previous)));
    }
    Ok((lines, chain))
}

/// Compresses a segment that is not written to any more, reads it again, and removes the original.
pub(super) fn seal(directory: &Arc<dyn Directory>, store: &StoreId, segment: Segment) -> io::Result<()> {
    use flate2::{Compression, write::GzEncoder};
    let sealed = segment.sealed();
    write_whole(directory.as_ref(), &sealed.name(), |out| {
        let mut encoder = GzEncoder::new(out, Compression::default());
        io::copy(&mut directory.read(&segment.name())?, &mut encoder)?;
        encoder.finish().map(drop)
    })?;
    let [written, original] = [sealed, segment].map(|segment| end(directory.as_ref(), store, segment));
    let same = matches!((&written, &original), (Ok(written), Ok(original)) if written == original);
    if !same {
        directory.remove(&sealed.name())?;
        return Err(io::Error::other(format!("what was compressed of {} reads differently", segment.name())));
    }
    directory.remove(&segment.name())?;
    directory.sync()
}

/// The position that a segment ends with; every hash in it is checked.
pub(super) fn end(directory: &dyn Directory, store: &StoreId, segment: Segment) -> Result<Position, Flaw> {
    let (mut lines, mut chain) = read(directory, store, segment)?;
    while let Some(line) = lines.next()? {
        chain.pass(line)?;
        lines.take();
    }
    Ok(chain.head())
}
