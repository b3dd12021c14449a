//! Subtitles, SubRip's and WebVTT's: numbers and times stay; the lines of a cue are translated as one text and broken
//! again. Cues are found by their lines of times, whatever stands between them.

use std::borrow::Cow;
use std::ops::Range;

use crate::document::{Document, Escape, Segment};
use crate::error::{Error, Result};
use crate::events::{Event, Kind};
use crate::html::resolve;
use crate::limits::Limits;
use crate::markup::{Piece, escape, push_same, push_text};
use crate::running::rules::{Inline, Role, Rules};
use crate::running::{Reader, Running};

/// Subtitles that were read.
pub struct CueDocument {
    running: Running,
    /// For each segment the line breaks in it, and how its lines end.
    breaks: Vec<(usize, &'static str)>,
}

/// What tags in cues are.
struct CueRules {
    vtt: bool,
}

impl Rules for CueRules {
    fn role(&self, _name: &str, _tag: &str) -> Role {
        Role::Inline(Inline::Form)
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        if self.vtt { resolve(reference) } else { None }
    }

    fn escape(&self) -> Escape {
        if self.vtt { escape } else { |text, _| text.to_string() }
    }
}

impl CueDocument {
    /// Reads SubRip subtitles.
    ///
    /// # Errors
    /// [`Error::Invalid`] for text without a single line of times; [`Error::TooLarge`].
    pub fn srt(text: &str, limits: &Limits) -> Result<Self> {
        Self::read(text, &CueRules { vtt: false }, limits)
    }

    /// Reads WebVTT subtitles.
    ///
    /// # Errors
    /// As [`CueDocument::srt`].
    pub fn vtt(text: &str, limits: &Limits) -> Result<Self> {
        if !text.starts_with("WEBVTT") && !text.trim().is_empty() {
            return Err(Error::invalid("the file does not begin with WEBVTT, as WebVTT subtitles do"));
        }
        Self::read(text, &CueRules { vtt: true }, limits)
    }

    fn read(text: &str, rules: &CueRules, limits: &Limits) -> Result<Self> {
        let lines = lines(text);
        let times: Vec<usize> = (0..lines.len()).filter(|i| is_times(&text[lines[*i].clone()])).collect();
        if times.is_empty() && !rules.vtt && !text.trim().is_empty() {
            return Err(Error::invalid("the file has no line of times such as `00:00:01,000 --> 00:00:02,500`"));
        }
        let mut reader = Reader::new(text, rules, limits);
        let mut breaks = Vec::new();
        let mut at = 0;
        for (cue, time) in times.iter().enumerate() {
            let next = times.get(cue + 1).map_or(lines.len(), |next| name_of(text, &lines, *next, *time));
            for block in blocks(text, &lines[time + 1..next], rules.vtt) {
                let range = block[0].start..block[block.len() - 1].end;
                reader.keep(at..range.start);
                at = range.end;
                let before = reader.segments();
                for event in events(text, &range) {
                    reader.take(event)?;
                }
                reader.flush()?;
                let lines = &text[range];
                let end = ["\r\n", "\n"].into_iter().find(|end| lines.contains(end)).unwrap_or("\r");
                breaks.extend((before..reader.segments()).map(|_| (block.len() - 1, end)));
            }
        }
        reader.keep(at..text.len());
        Ok(Self { running: reader.end()?, breaks })
    }

    /// A translated cue with its lines broken between words, all of similar length.
    fn broken(segment: &Segment, pieces: &[Piece], (breaks, end): (usize, &str)) -> Vec<Piece> {
        let said = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Same(range) => segment.text[range.clone()].to_string(),
            Piece::Open(_) | Piece::Close(_) | Piece::Point(_) => String::new(),
        };
        let places = line_ends(&pieces.iter().map(said).collect::<String>(), breaks + 1);
        let mut broken = Vec::new();
        let mut at = 0;
        for piece in pieces {
            let text = said(piece);
            if text.is_empty() {
                broken.push(piece.clone());
                continue;
            }
            let mut done = 0;
            // Space is one space now, whatever it was: breaks are elsewhere.
            for (i, _) in text.match_indices(' ') {
                add(&mut broken, piece, done..i, &text);
                push_text(&mut broken, if places.contains(&(at + i)) { end } else { " " });
                done = i + 1;
            }
            add(&mut broken, piece, done..text.len(), &text);
            at += text.len();
        }
        broken
    }
}

/// Adds a part of a piece's text.
fn add(pieces: &mut Vec<Piece>, piece: &Piece, part: Range<usize>, text: &str) {
    match piece {
        Piece::Same(range) => push_same(pieces, range.start + part.start..range.start + part.end),
        _ => push_text(pieces, &text[part]),
    }
}

/// The spaces where a text is broken into at most `lines` lines of similar length.
fn line_ends(text: &str, lines: usize) -> Vec<usize> {
    let aim = text.chars().count().div_ceil(lines.max(1));
    let (mut ends, mut length, mut left, mut at) = (Vec::new(), 0, lines, 0);
    for word in text.split(' ') {
        let next = word.chars().count();
        if length > 0 && left > 1 && length + next / 2 >= aim {
            ends.push(at - 1);
            (length, left) = (0, left - 1);
        }
        length += next + 1;
        at += word.len() + 1;
    }
    ends
}

/// The lines of a text without their ends, which may be of any system.
fn lines(text: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let line = |line: &str| {
        let start = at;
        at += line.len();
        start..start + line.trim_end_matches(['\r', '\n']).len()
    };
    // Where there is no line feed a carriage return ends lines.
    text.split_inclusive(if text.contains('\n') { '\n' } else { '\r' }).map(line).collect()
}

/// `00:00:01,000 --> 00:00:02,500`, perhaps followed by settings. WebVTT's hours may be missing.
fn is_times(line: &str) -> bool {
    let time = |text: &str| {
        let text = text.split_whitespace().next().unwrap_or("");
        (1..=2).contains(&text.matches(':').count()) && text.chars().all(|c| c.is_ascii_digit() || ":,.".contains(c))
    };
    line.split_once("-->").is_some_and(|(from, to)| time(from) && time(to))
}

/// The line where a cue begins whose times are in line `times`: that of its number or name, if it has one. The cue
/// before has its times in line `before`.
fn name_of(text: &str, lines: &[Range<usize>], times: usize, before: usize) -> usize {
    let line = |i: usize| text[lines[i].clone()].trim();
    let name = times - 1;
    if name <= before || line(name).is_empty() {
        return times;
    }
    let is_number = line(name).chars().all(|c| c.is_ascii_digit());
    let stands_alone = name == before + 1 || line(name - 1).is_empty();
    if is_number || (stands_alone && name > before + 1) { name } else { times }
}

/// The lines of a cue that belong together: up to an empty line or a speaker's dash. WebVTT's cues end at the first
/// empty line; SubRip's go on.
fn blocks<'a>(text: &str, lines: &'a [Range<usize>], vtt: bool) -> Vec<&'a [Range<usize>]> {
    let line = |i: usize| text[lines[i].clone()].trim();
    let mut blocks = Vec::new();
    let mut start = 0;
    for i in 0..=lines.len() {
        let ends = i == lines.len() || line(i).is_empty();
        let bare = |i: usize| line(i).strip_prefix("<i>").unwrap_or(line(i));
        let speaks = i < lines.len() && bare(i).starts_with(['-', '–', '—']);
        if (ends || speaks) && start < i {
            blocks.push(&lines[start..i]);
        }
        if ends && vtt {
            break;
        }
        start = match () {
            () if ends => i + 1,
            () if speaks => i,
            () => start,
        };
    }
    blocks
}

/// The tags and the text of a cue: `<i>`, `<00:01.000>`, `{\an8}`.
fn events<'a>(text: &'a str, range: &Range<usize>) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    let (mut at, mut from) = (range.start, range.start);
    while let Some(start) = text[from..range.end].find(['<', '{']).map(|i| from + i) {
        let rest = &text[start..range.end];
        let tag = if rest.starts_with('<') { rest.find('>') } else { rest.find('}') }.map(|end| &rest[..=end]);
        let Some((tag, kind)) = tag.and_then(|tag| Some((tag, tag_kind(tag)?))) else {
            from = start + 1;
            continue;
        };
        if start > at {
            events.push(Event { range: at..start, kind: Kind::Text });
        }
        at = start + tag.len();
        from = at;
        events.push(Event { range: start..at, kind });
    }
    if at < range.end {
        events.push(Event { range: at..range.end, kind: Kind::Text });
    }
    events
}

/// What a tag is; none for what is text.
fn tag_kind(tag: &str) -> Option<Kind<'_>> {
    if tag.starts_with('{') {
        return tag.starts_with("{\\").then_some(Kind::Other);
    }
    let inner = &tag[1..tag.len() - 1];
    let name = inner.strip_prefix('/').unwrap_or(inner);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    match name.chars().next() {
        Some(c) if c.is_ascii_alphabetic() && inner.len() == name.len() => {
            Some(Kind::Open(Cow::Borrowed(&name[..end])))
        }
        Some(c) if c.is_ascii_alphabetic() => Some(Kind::Close(Cow::Borrowed(&name[..end]))),
        Some(c) if c.is_ascii_digit() => Some(Kind::Other),
        _ => None,
    }
}

impl Document for CueDocument {
    fn segments(&self) -> &[Segment] {
        self.running.segments()
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        let mut broken = Vec::with_capacity(translated.len());
        for ((segment, pieces), breaks) in self.segments().iter().zip(translated).zip(&self.breaks) {
            broken.push(pieces.as_ref().map(|pieces| Self::broken(segment, pieces, *breaks)));
        }
        self.running.write(&broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{copied, shouted, translated};

    fn srt(text: &str) -> CueDocument {
        CueDocument::srt(text, &Limits::default()).unwrap()
    }

    #[test]
    fn times_stay_and_lines_are_joined_and_broken_again() {
        let text = "1\n00:00:01,000 --> 00:00:02,500\nThe old dog\nsees a cat. Yes.\n\n\
                    2\n00:00:03,000 --> 00:00:04,000 X1:1\nNo.\n";
        let (parts, found) = translated(srt(text), &["Der alte Hund sieht eine Katze.", "Ja.", "Nein."]);
        assert_eq!(parts, ["The old dog sees a cat.", "Yes.", "No."]);
        let wanted = "1\n00:00:01,000 --> 00:00:02,500\nDer alte Hund sieht\neine Katze. Ja.\n\n\
                      2\n00:00:03,000 --> 00:00:04,000 X1:1\nNein.\n";
        assert_eq!(found, wanted);
    }

    #[test]
    fn cues_are_found_by_their_times() {
        let missing =
            "1\n00:00:01,000 --> 00:00:02,000\nOpen the file\nand more\n2\n00:00:03,000 --> 00:00:04,000\nClose\n";
        assert_eq!(translated(srt(missing), &[]).0, ["Open the file and more", "Close"]);
        let wanted =
            "1\n00:00:01,000 --> 00:00:02,000\nOPEN THE\nFILE AND MORE\n2\n00:00:03,000 --> 00:00:04,000\nCLOSE\n";
        assert_eq!(shouted(srt(missing)), wanted);
        let crlf = "1\r\n00:00:01,000 --> 00:00:02,000\r\nOpen the file menu\r\nand click the icon.\r\n";
        assert_eq!(
            shouted(srt(crlf)),
            crlf.replace("Open the file menu\r\nand click the icon", "OPEN THE FILE MENU\r\nAND CLICK THE ICON")
        );
        let old = crlf.replace("\r\n", "\r");
        assert_eq!(shouted(srt(&old)), shouted(srt(crlf)).replace("\r\n", "\r"));
        let gap = "1\n00:00:01,000 --> 00:00:02,000\nOpen\n\nit\n\n\n2\n00:00:03,000 --> 00:00:04,000\n- Yes\n- No";
        assert_eq!(translated(srt(gap), &[]).0, ["Open", "it", "- Yes", "- No"]);
    }

    #[test]
    fn tags_in_cues_are_markup() {
        let text = "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<i>Open &amp; close</i> the <font color=\"red\">file</font> & I <3 it\n";
        assert_eq!(translated(srt(text), &[]).0, ["Open &amp; close the file & I <3 it"]);
        assert!(
            shouted(srt(text))
                .contains("{\\an8}<i>OPEN &amp; CLOSE</i> THE <font color=\"red\">FILE</font> & I <3 IT\n")
        );
        let vtt = "WEBVTT - a title\n\nNOTE a comment\n\nSTYLE\n::cue {}\n\nintro\n00:01.000 --> 00:02.000 align:start\n\
                   <v Roger Bingham>We are <c.loud>here</c> &amp; <00:01.500>now\n\nNOTE end\n";
        let document = || CueDocument::vtt(vtt, &Limits::default()).unwrap();
        assert_eq!(translated(document(), &[]).0, ["We are here & now"]);
        let wanted =
            vtt.replace("We are <c.loud>here</c> &amp; <00:01.500>now", "WE ARE <c.loud>HERE</c> &amp; <00:01.500>NOW");
        assert_eq!(shouted(document()), wanted);
        assert!(CueDocument::vtt("1\n", &Limits::default()).is_err());
    }

    #[test]
    fn other_files_are_refused_and_odd_ones_kept() {
        let fault = CueDocument::srt("just text\n", &Limits::default()).err().unwrap().to_string();
        assert!(fault.contains("-->"));
        for text in ["", "1\n00:00:01,000 --> 00:00:02,500\n\n2\n00:00:01,000 --> 00:00:02,500", "\n\n"] {
            assert_eq!(copied(srt(text)), text);
        }
    }
}
