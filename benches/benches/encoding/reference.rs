//! Packers to measure ours against, which share nothing with them.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::process::{Command, Stdio};

/// Takes each picture after its length, and answers how many bytes zlib makes of it: level 9, a window of 4 KiB.
const PACK: &str = r#"
import sys, zlib
print(zlib.ZLIB_RUNTIME_VERSION, flush=True)
while True:
    length = sys.stdin.buffer.read(4)
    if not length:
        break
    packer = zlib.compressobj(9, zlib.DEFLATED, 12)
    packed = packer.compress(sys.stdin.buffer.read(int.from_bytes(length, "little"))) + packer.flush()
    print(len(packed), flush=True)
"#;

/// Bytes of the zlib stream that the C library, as `python3` carries it, makes of each picture.
///
/// # Errors
/// There is no `python3`, or it ends.
pub(crate) fn c_zlib<'a>(pictures: impl Iterator<Item = &'a [u8]>) -> Result<Vec<usize>> {
    let mut python = Command::new("python3").args(["-c", PACK]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut pictures_in), Some(sizes_out)) = (python.stdin.take(), python.stdout.take()) else {
        return Err(Error::other("python3 has no pipes"));
    };
    let mut lines = BufReader::new(sizes_out).lines();
    let mut line = || lines.next().ok_or_else(|| Error::other("python3 ended"))?;
    println!("the C library is zlib {}", line()?);
    let mut sizes = Vec::new();
    for picture in pictures {
        pictures_in.write_all(&u32::try_from(picture.len()).map_err(Error::other)?.to_le_bytes())?;
        pictures_in.write_all(picture)?;
        sizes.push(line()?.parse().map_err(Error::other)?);
    }
    drop(pictures_in);
    python.wait()?;
    Ok(sizes)
}

/// Group 5 as its rules are written down, pixel by pixel: rows of `width` pixels, a whole number of bytes each.
pub(crate) fn group5(rows: &[u8], width: usize) -> Vec<u8> {
    let (mut bits, mut above) = (String::new(), vec![true; width]);
    for row in rows.chunks_exact(width / 8) {
        let row: Vec<bool> = (0..width).map(|x| row[x / 8] & 0x80 >> (x % 8) != 0).collect();
        group5_row(&row, &above, &mut bits);
        above = row;
    }
    let bytes = bits.as_bytes().chunks(8);
    bytes.map(|byte| byte.iter().enumerate().map(|(at, bit)| (bit - b'0') << (7 - at)).sum()).collect()
}

fn group5_row(row: &[bool], above: &[bool], bits: &mut String) {
    let width = row.len();
    // The first pixel from `from` on that is of this colour and whose left neighbour is not.
    let edge = |line: &[bool], from: usize, colour: bool| {
        (from..width)
            .find(|x| line[*x] == colour && (if *x == 0 { true } else { line[x - 1] }) != colour)
            .unwrap_or(width)
    };
    // `a0` is the pixel up to which all is coded; none at the beginning. The next run is of this colour.
    let (mut a0, mut colour) = (None, true);
    while a0.is_none_or(|at| at < width) {
        let from = a0.map_or(0, |at| at + 1);
        let a1 = (from..width).find(|x| row[*x] != colour).unwrap_or(width);
        let b1 = edge(above, from, !colour);
        let b2 = edge(above, b1 + 1, colour);
        let vertical = match (b1.checked_sub(a1), a1.checked_sub(b1)) {
            (Some(0), _) => Some("1"),
            (_, Some(1)) => Some("011"),
            (Some(1), _) => Some("010"),
            (_, Some(2)) => Some("000011"),
            (Some(2), _) => Some("000010"),
            (_, Some(3)) => Some("0000011"),
            (Some(3), _) => Some("0000010"),
            _ => None,
        };
        if b2 < a1 {
            bits.push_str("0001");
            a0 = Some(b2);
        } else if let Some(code) = vertical {
            bits.push_str(code);
            (a0, colour) = (Some(a1), !colour);
        } else {
            let a2 = (a1..width).find(|x| row[*x] == colour).unwrap_or(width);
            horizontal([a1 - a0.unwrap_or(0), a2 - a1], width, bits);
            a0 = Some(a2);
        }
    }
}

fn horizontal(runs: [usize; 2], width: usize, bits: &mut String) {
    bits.push_str("001");
    runs.iter().for_each(|run| bits.push(if *run > 7 { '1' } else { '0' }));
    for run in runs {
        let digits = if run > 7 { format!("{width:b}").len() } else { 3 };
        bits.push_str(&format!("{run:0digits$b}"));
    }
}
