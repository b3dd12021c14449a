//! The most probable segmentation under a unigram model, with SentencePiece's own arithmetic.
//!
//! The tokenizers crate has the same search, but sums in f64 where SentencePiece keeps f32: of two equally probable
//! cuts ("00"+"0", "0"+"00") they choose differently, and BLEU over a SentencePiece tokenizer would not be comparable.

/// What an unknown character costs below the least probable piece.
const UNKNOWN_PENALTY: f32 = 10.0;
const NONE: u32 = u32::MAX;

/// One piece of a segmented word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// Index into the model's pieces.
    Piece(u32),
    /// Characters that no piece covers.
    Unknown(&'a str),
}

/// Pieces in a byte trie, with their scores.
pub(crate) struct Viterbi {
    /// The byte that leads to each node; siblings are adjacent, in ascending order. Node 0 is the root.
    labels: Vec<u8>,
    /// Children of node n: `children[n]..children[n + 1]`.
    children: Vec<u32>,
    /// The piece that ends at each node, or [`NONE`].
    ends: Vec<u32>,
    scores: Vec<f32>,
    unknown_score: f32,
}

/// The best way to a position: from `start`, by `piece` or as an unknown character ([`NONE`]).
#[derive(Clone, Copy)]
struct Step {
    score: f32,
    start: usize,
    piece: u32,
}

impl Viterbi {
    /// A model of pieces (non-empty, distinct) with log probabilities.
    pub(crate) fn new(pieces: &[(String, f64)]) -> Self {
        let mut sorted: Vec<(&[u8], u32)> =
            pieces.iter().enumerate().map(|(i, (piece, _))| (piece.as_bytes(), i as u32)).collect();
        sorted.sort_unstable();
        let (mut labels, mut children, mut ends) = (vec![0], Vec::new(), Vec::new());
        // Breadth first: each entry is the run of sorted pieces below a node.
        let mut runs = std::collections::VecDeque::from([(0, sorted.len(), 0)]);
        while let Some((start, end, depth)) = runs.pop_front() {
            children.push(labels.len() as u32);
            let ends_here = sorted.get(start).filter(|(piece, _)| start < end && piece.len() == depth);
            ends.push(ends_here.map_or(NONE, |(_, piece)| *piece));
            let mut i = start + usize::from(ends_here.is_some());
            while i < end {
                let label = sorted[i].0[depth];
                let run = sorted[i..end].partition_point(|(piece, _)| piece[depth] == label);
                labels.push(label);
                runs.push_back((i, i + run, depth + 1));
                i += run;
            }
        }
        children.push(labels.len() as u32);
        let scores: Vec<f32> = pieces.iter().map(|(_, score)| *score as f32).collect();
        let lowest = scores.iter().copied().fold(f32::INFINITY, f32::min);
        Self { labels, children, ends, scores, unknown_score: lowest - UNKNOWN_PENALTY }
    }

    fn child(&self, node: usize, byte: u8) -> Option<usize> {
        let (start, end) = (self.children[node] as usize, self.children[node + 1] as usize);
        self.labels[start..end].binary_search(&byte).ok().map(|i| start + i)
    }

    /// Calls `each` with the segments of a text from left to right; unknown characters one by one.
    pub(crate) fn cut<'a>(&self, text: &'a str, mut each: impl FnMut(Segment<'a>)) {
        let bytes = text.as_bytes();
        let mut best = vec![Step { score: 0.0, start: usize::MAX, piece: NONE }; bytes.len() + 1];
        for (start, c) in text.char_indices() {
            let before = best[start].score;
            let mut offer = |end: usize, score: f32, piece: u32| {
                let step = &mut best[end];
                if step.start == usize::MAX || before + score > step.score {
                    *step = Step { score: before + score, start, piece };
                }
            };
            let mut has_single = false;
            let (mut node, mut end) = (0, start);
            while let Some(next) = bytes.get(end).and_then(|byte| self.child(node, *byte)) {
                (node, end) = (next, end + 1);
                if self.ends[node] != NONE {
                    offer(end, self.scores[self.ends[node] as usize], self.ends[node]);
                    has_single |= end == start + c.len_utf8();
                }
            }
            if !has_single {
                offer(start + c.len_utf8(), self.unknown_score, NONE);
            }
        }
        let mut path = Vec::new();
        let mut end = bytes.len();
        while end > 0 {
            let step = best[end];
            path.push(if step.piece == NONE {
                Segment::Unknown(&text[step.start..end])
            } else {
                Segment::Piece(step.piece)
            });
            end = step.start;
        }
        path.into_iter().rev().for_each(&mut each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[(&str, f64)], text: &str) -> Vec<String> {
        let pieces: Vec<(String, f64)> = pieces.iter().map(|(p, s)| (p.to_string(), *s)).collect();
        let mut out = Vec::new();
        Viterbi::new(&pieces).cut(text, |segment| {
            out.push(match segment {
                Segment::Piece(i) => pieces[i as usize].0.clone(),
                Segment::Unknown(text) => format!("?{text}"),
            });
        });
        out
    }

    #[test]
    fn the_most_probable_cut_wins() {
        let pieces = [("a", -3.0), ("b", -3.0), ("ab", -4.0), ("abc", -9.0), ("c", -4.0), ("bc", -3.5)];
        assert_eq!(cut(&pieces, "abc"), ["a", "bc"]); // -6.5 against -8 and -9
        assert_eq!(cut(&pieces, "ab"), ["ab"]);
        assert_eq!(cut(&pieces, ""), Vec::<String>::new());
        assert_eq!(cut(&pieces, "aéb"), ["a", "?é", "b"]);
        assert_eq!(cut(&[("日本", -2.0), ("日", -3.0)], "日本語本"), ["日本", "?語", "?本"]);
    }

    #[test]
    fn every_piece_is_found_in_the_trie() {
        let names: Vec<String> = (0..500)
            .map(|i| format!("{:x}", i * 7919 % 4096))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let pieces: Vec<(String, f64)> = names.iter().map(|n| (n.clone(), n.len() as f64 * -0.5)).collect();
        let model = Viterbi::new(&pieces);
        for (i, name) in names.iter().enumerate() {
            let end = name.bytes().fold(0, |node, byte| model.child(node, byte).unwrap());
            assert_eq!(model.ends[end], i as u32);
        }
    }
}
