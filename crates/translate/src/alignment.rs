//! Word alignments from the attention between subwords.

/// The marks of a word's beginning: SentencePiece's and byte-level BPE's.
const MARKS: [char; 2] = ['\u{2581}', 'Ġ'];

/// The number of the word that each piece belongs to; white space separates words.
fn words<S: AsRef<str>>(pieces: &[S]) -> Vec<u32> {
    let (mut word, mut begun) = (0, false);
    pieces
        .iter()
        .map(|piece| {
            let piece = piece.as_ref();
            if begun && piece.starts_with(MARKS) {
                word += 1;
                begun = false;
            }
            begun |= !piece.trim_start_matches(MARKS).is_empty();
            word
        })
        .collect()
}

/// Pairs of a source word and the target word that attends to it, ascending, without repetitions. `attention` is
/// `[target pieces, source pieces]`.
pub(crate) fn align<S: AsRef<str>>(source: &[S], target: &[S], attention: &[&[f32]]) -> Vec<(u32, u32)> {
    let (source, target) = (words(source), words(target));
    let most = |row: &[f32]| {
        let best = row.iter().enumerate().fold(None, |best: Option<(usize, f32)>, (i, v)| match best {
            Some((_, top)) if top >= *v => best,
            _ => Some((i, *v)),
        });
        best.map(|(i, _)| i)
    };
    let mut pairs: Vec<(u32, u32)> =
        attention.iter().zip(&target).filter_map(|(row, target)| Some((*source.get(most(row)?)?, *target))).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_grouped_into_words() {
        assert_eq!(words(&["▁Click", "▁the", "▁ic", "on", "."]), [0, 1, 2, 2, 2]);
        assert_eq!(words(&["▁", "ä", "b", "▁", "▁c"]), [0, 0, 0, 1, 1]);
    }

    #[test]
    fn words_are_aligned_by_the_largest_attention() {
        let source = ["▁the", "▁ic", "on"];
        let target = ["▁das", "▁Sym", "bol"];
        let attention: [&[f32]; 3] = [&[0.9, 0.1, 0.0], &[0.1, 0.6, 0.3], &[0.2, 0.3, 0.5]];
        assert_eq!(align(&source, &target, &attention), [(0, 0), (1, 1)]);
    }
}
