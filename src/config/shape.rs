//! Reading the types of a configuration, with every problem that they find, and not the first alone.

use super::Config;

/// Problems that are reported at once; a file with more of them is read again after these are mended.
const PROBLEMS_MAX: usize = 20;

/// Reads the types, and finds further problems behind the first by reading again without the line at fault.
/// The problems are in the order of their lines.
pub(super) fn read(text: &str) -> (Option<Config>, Vec<String>) {
    let mut text = text.to_owned();
    let mut problems: Vec<(usize, String)> = Vec::new();
    while problems.len() < PROBLEMS_MAX {
        let error = match toml::from_str::<Config>(&text) {
            Ok(config) => return (Some(config), in_order(problems)),
            Err(error) => error,
        };
        // A key that is missing after a line was taken out may have stood there: it is not the author's mistake.
        let missing = error.message().starts_with("missing field");
        if missing && !problems.is_empty() {
            break;
        }
        let Some(span) = error.span() else {
            problems.push((0, error.message().to_owned()));
            break;
        };
        let line = text[..span.start].matches('\n').count() + 1;
        problems.push((line, format!("line {line}: {}", error.message())));
        if missing || !blank_line(&mut text, span.start) {
            break;
        }
    }
    (None, in_order(problems))
}

fn in_order(mut problems: Vec<(usize, String)>) -> Vec<String> {
    problems.sort();
    problems.into_iter().map(|(_, problem)| problem).collect()
}

/// Takes a line out without moving the others. Answers whether there was anything to take.
fn blank_line(text: &mut String, at: usize) -> bool {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let blank = " ".repeat(end - start);
    let had_text = !text[start..end].trim().is_empty();
    text.replace_range(start..end, &blank);
    had_text
}
