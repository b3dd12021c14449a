//! What stands at the start of a line for a program to read: marks of alerts, containers, definitions and formulas.

use std::ops::Range;

/// Bytes in front of a line's text that are looked at: marks of quotes and lists.
const PREFIX: usize = 64;

/// What stays at the start of a line.
#[derive(Debug, PartialEq)]
pub struct Kept {
    /// Up to where.
    pub end: usize,
    /// Whether the text behind it is a line of its own.
    pub alone: bool,
}

/// Finds what stays at the starts of a text's lines.
#[derive(Default)]
pub struct Lines {
    /// Up to where no end of a formula was found.
    unclosed: usize,
}

impl Lines {
    /// What stays at `start`, which is one of a piece of text; none where no line begins there.
    pub fn kept(&mut self, text: &str, start: usize) -> Option<Kept> {
        let rest = &text[start..];
        // Most text begins with none of these.
        if !rest.starts_with([':', '[', '\\']) {
            return None;
        }
        let prefix = prefix(text, start)?;
        let line = &rest[..rest.find(['\r', '\n']).unwrap_or(rest.len())];
        if line.starts_with(":::") {
            return Some(Kept { end: start + line.len(), alone: true });
        }
        if is_definition(line) {
            return Some(Kept { end: start + line.len() - line[1..].trim_start().len(), alone: false });
        }
        if prefix.contains('>') && line.starts_with("[!") {
            let end = line.find(']')?;
            let kind = &line[2..end];
            let rest = line[end + 1..].trim_start_matches(['+', '-']);
            let is_kind = !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
            let follows = rest.is_empty() || rest.starts_with([' ', '\t']);
            return (is_kind && follows)
                .then(|| Kept { end: start + line.len() - rest.trim_start().len(), alone: true });
        }
        if rest.starts_with("\\begin{") && start >= self.unclosed {
            return self.environment(text, start).map(|end| Kept { end, alone: false });
        }
        None
    }

    /// The end of the LaTeX environment that begins at `start`, in its paragraph.
    fn environment(&mut self, text: &str, start: usize) -> Option<usize> {
        let (mut at, mut depth) = (start, 0);
        for line in text[start..].split_inclusive('\n') {
            if line.chars().all(|c| c.is_whitespace() || c == '>') {
                break;
            }
            for (i, _) in line.match_indices('\\') {
                let command = &line[i..];
                if command.starts_with("\\begin{") {
                    depth += 1;
                } else if command.starts_with("\\end{") {
                    depth -= 1;
                    if depth == 0 {
                        return command.find('}').map(|end| at + i + end + 1);
                    }
                }
            }
            at += line.len();
        }
        self.unclosed = at;
        None
    }
}

/// Where the first definition begins in a paragraph: the lines in front of it are terms, one each.
pub fn first_definition(text: &str, paragraph: &Range<usize>) -> usize {
    let mut at = paragraph.start;
    for line in text[paragraph.clone()].split_inclusive('\n') {
        let said = line.trim_start_matches([' ', '\t', '>']);
        if is_definition(said) {
            return at;
        }
        at += line.len();
    }
    paragraph.start
}

/// Whether a line is a definition of the term above it.
fn is_definition(line: &str) -> bool {
    line.starts_with(": ") || line.starts_with(":\t")
}

/// What stands in front of a line's text; none where `start` is in the middle of a line.
fn prefix(text: &str, start: usize) -> Option<&str> {
    let length = text[..start].bytes().rev().take(PREFIX + 1).take_while(|byte| b" \t>-*+.)0123456789".contains(byte));
    let prefix = &text[start - length.count()..start];
    let before = &text[..start - prefix.len()];
    (prefix.len() <= PREFIX && (before.is_empty() || before.ends_with(['\n', '\r']))).then_some(prefix)
}
