//! What is asked of a part's translation wherever it is written.

use strata_translate::Part;

/// Ends of sentences in scripts that put no space behind them.
pub const FULL_STOPS: [char; 3] = ['。', '！', '？'];

/// The text of a translation: its `choice`-th candidate, or the last if there are fewer.
pub fn chosen(part: &Part, choice: usize) -> &str {
    let last = part.candidates.len().saturating_sub(1);
    part.candidates.get(choice.min(last)).map_or("", |candidate| &candidate.text)
}
