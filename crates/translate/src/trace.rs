//! A sentence token by token: where each token stands in the text, its score, its way through the expert blocks.

use std::ops::Range;

use strata_runtime::TokenRouting;

use crate::translator::Translator;

/// A token of a traced sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedToken {
    /// Its piece, as the subword model prints it.
    pub piece: String,
    /// Where it stands in the text of [`Trace`], in bytes; empty for tags and the end mark.
    pub range: Range<usize>,
    /// Natural log-probability; none for source tokens and for the tag.
    pub score: Option<f32>,
    /// Its way through the expert blocks, where routing was asked for. Empty for a token that the decoder wrote and
    /// never read.
    pub routing: TokenRouting,
}

/// A sentence token by token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The text as the model sees or writes it.
    pub text: String,
    /// Source: with what stands around the subwords, such as a tag and the end mark. Translation: the last token of the
    /// decoder's prompt, such as the tag, and the subwords.
    pub tokens: Vec<TracedToken>,
}

/// A translation token by token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Its tokens.
    pub trace: Trace,
    /// `[target, source]`: the attention of each of its subwords (without the tag) to each source token (tag and end
    /// mark included); where alignments are asked for.
    pub attention: Vec<Vec<f32>>,
}

impl Translator {
    /// The tokens of `ids`, whose sentence is `within`; `scores` are those of the ids from there on.
    pub(crate) fn trace(&self, ids: &[u32], within: Range<usize>, scores: &[f32], routing: Vec<TokenRouting>) -> Trace {
        let (text, ends) = ends(&ids[within.clone()], |ids| self.subwords().decode(ids));
        // Tags in front end where the text begins, and what stands behind it where it ends.
        let ends = std::iter::repeat_n(0, within.start).chain(ends).chain(std::iter::repeat(text.len()));
        let (mut routing, mut start) = (routing.into_iter(), 0);
        let token = |(i, (id, end)): (usize, (&u32, usize))| TracedToken {
            piece: self.subwords().piece(*id),
            range: std::mem::replace(&mut start, end)..end,
            score: i.checked_sub(within.start).and_then(|i| scores.get(i)).copied(),
            routing: routing.next().unwrap_or_default(),
        };
        let tokens = ids.iter().zip(ends).enumerate().map(token).collect();
        Trace { text, tokens }
    }
}

/// The text of `ids`, and where each id ends in it.
///
/// How an id is written depends on its neighbors: a word at the start has no space in front, bytes make a character
/// together. So an id's text is what it adds to that of a few ids before it. An id that adds nothing that is in the
/// text, such as the first bytes of a character, ends where the id before it ends.
fn ends(ids: &[u32], decode: impl Fn(&[u32]) -> String) -> (String, Vec<usize>) {
    let text = decode(ids);
    let mut ends = Vec::with_capacity(ids.len());
    // Text up to `at` is that of the ids before `read`; `decode(start..read)` begins with visible text of its own.
    let (mut start, mut read, mut at) = (0, 0, 0);
    for next in 1..=ids.len() {
        let (before, now) = (decode(&ids[start..read]), decode(&ids[start..next]));
        if let Some(added) =
            now.strip_prefix(&before).filter(|added| !added.is_empty() && text[at..].starts_with(added))
        {
            at += added.len();
            // A context of white space would be stripped as if the text began with it.
            if !added.trim().is_empty() {
                start = read;
            }
            read = next;
        }
        ends.push(at);
    }
    if let Some(last) = ends.last_mut() {
        *last = text.len();
    }
    (text, ends)
}

#[cfg(test)]
mod tests {
    use strata_simd::random::SplitMix64;

    use super::*;

    /// The same by decoding every prefix.
    fn ends_by_prefixes(ids: &[u32], decode: impl Fn(&[u32]) -> String) -> (String, Vec<usize>) {
        let text = decode(ids);
        let mut at = 0;
        let mut ends: Vec<usize> = (1..=ids.len())
            .map(|n| {
                let decoded = decode(&ids[..n]);
                at = if text.starts_with(&decoded) { at.max(decoded.len()) } else { at };
                at
            })
            .collect();
        if let Some(last) = ends.last_mut() {
            *last = text.len();
        }
        (text, ends)
    }

    /// Words, spaces, bytes of characters, bytes that make none; id 0 is a tag, which has no text.
    const PIECES: [&[u8]; 12] =
        [b"", b" the", b" icon", b"s", b".", b" ", b"\xe4", b"\xb8", b"\xad", b"\xf0", b"\x9f", " Bär".as_bytes()];

    fn decode(ids: &[u32], trim_all: bool) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| PIECES[*id as usize]).copied().collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if trim_all {
            return text.trim_start_matches(' ').to_string();
        }
        text.strip_prefix(' ').map_or(text.clone(), str::to_string)
    }

    #[test]
    fn tokens_end_where_the_text_of_all_before_them_ends() {
        let plain = |ids: &[u32]| ends(ids, |ids| decode(ids, false));
        assert_eq!(plain(&[1, 2, 3, 4]), ("the icons.".to_string(), vec![3, 8, 9, 10]));
        assert_eq!(plain(&[6, 7, 8, 11]), ("中 Bär".to_string(), vec![0, 0, 3, 8]));
        assert_eq!(plain(&[]), (String::new(), vec![]));
        let mut numbers = SplitMix64::new(7);
        for round in 0..20_000 {
            let length = 1 + numbers.below(12);
            let ids: Vec<u32> = (0..length).map(|_| numbers.below(PIECES.len() as u64) as u32).collect();
            for trim_all in [false, true] {
                let decode = |ids: &[u32]| decode(ids, trim_all);
                assert_eq!(ends(&ids, decode), ends_by_prefixes(&ids, decode), "round {round}: {ids:?} {trim_all}");
            }
        }
    }

    #[test]
    fn the_work_grows_with_the_length_and_not_with_its_square() {
        let decoded = std::cell::Cell::new(0);
        let ids: Vec<u32> = (0..3000).map(|i| 1 + i % 4).collect();
        ends(&ids, |ids| {
            decoded.set(decoded.get() + ids.len());
            decode(ids, false)
        });
        assert!(decoded.get() < 10 * ids.len(), "{} ids decoded for {}", decoded.get(), ids.len());
    }
}
