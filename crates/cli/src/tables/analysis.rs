//! An analysis as text, with tokens colored by requested capacity where the terminal shows colors.

use std::fmt::Write;

use strata_corpus::bitext::Pair;
use strata_study::Analysis;
use strata_study::analysis::{Example, SubwordCapacity, TokenCapacity};

use crate::terminal::short;

/// Sentences shown token by token.
const EXAMPLES: usize = 4;
/// Subwords shown of each list; `--json` has them all.
const SUBWORDS: usize = 12;

/// Renders the figures that a terminal has room for.
pub fn render(analysis: &Analysis, colors: bool) -> String {
    let mut text = format!(
        "{}, strata {:?}: requested capacity (RC) over {} sentences of the {} split\n",
        analysis.model, analysis.strata, analysis.sentences, analysis.split
    );
    let (uniform, measured) = (analysis.flops_per_token as f64, analysis.flops_per_token_measured as f64);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "RC encoder {}, decoder {}; {} per token as measured, {} under uniform routing",
        capacity(analysis.rc_encoder).trim(),
        capacity(analysis.rc_decoder).trim(),
        short(measured, "FLOP"),
        short(uniform, "FLOP")
    );
    let _ = writeln!(text, "dropped tokens {}: experts take every token at inference\n", analysis.dropped);
    directions(analysis, &mut text);
    blocks(analysis, &mut text);
    languages(analysis, &mut text);
    subwords(analysis, &mut text);
    examples(analysis, colors, &mut text);
    text
}

fn capacity(rc: Option<f64>) -> String {
    rc.map_or_else(|| format!("{:>7}", "-"), |rc| format!("{rc:>7.3}"))
}

fn directions(analysis: &Analysis, text: &mut String) {
    let _ =
        writeln!(text, "{:<24} {:<9} {:>9} {:>7} {:>7}", "RC by direction", "level", "sentences", "encoder", "decoder");
    for d in &analysis.directions {
        let (encoder, decoder) = (capacity(d.rc_encoder), capacity(d.rc_decoder));
        let _ = writeln!(text, "{:<24} {:<9} {:>9} {encoder} {decoder}", d.direction, d.level, d.sentences);
    }
    for g in &analysis.groups {
        let name = format!("{} ({})", g.name, g.directions);
        let _ = writeln!(text, "{name:<44} {} {}", capacity(g.rc_encoder), capacity(g.rc_decoder));
    }
    text.push('\n');
}

fn blocks(analysis: &Analysis, text: &mut String) {
    let _ = writeln!(
        text,
        "{:<18} {:>7} {:>8} {:>8}   share of the gate mass by expert (%)",
        "blocks", "RC", "entropy", "balance"
    );
    for b in &analysis.blocks {
        let shares: String = b.mass_share.iter().map(|share| format!(" {:>4.1}", 100.0 * share)).collect();
        let name = format!("{} layer {}", b.side, b.layer);
        let _ =
            writeln!(text, "{name:<18} {:>7.3} {:>8.3} {:>8.3}  {shares}", b.requested_capacity, b.entropy, b.balance);
    }
    text.push_str("entropy in nats; balance is 1 for perfectly even experts\n\n");
}

fn languages(analysis: &Analysis, text: &mut String) {
    let _ =
        writeln!(text, "{:<9} {:<9} {:>10} {:>10}   most used experts", "languages", "level", "RC as src", "RC as tgt");
    for l in &analysis.languages {
        let most = l.mass_share.iter().zip(&analysis.blocks).filter_map(|(shares, block)| {
            let shares = shares.as_ref()?;
            let best = shares.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
            let side = &block.side[..3];
            Some(format!("{side}{}: {} ({:.0} %)", block.layer, best.0, 100.0 * best.1))
        });
        let most = most.collect::<Vec<_>>().join("  ");
        let (encoder, decoder) = (capacity(l.rc_encoder), capacity(l.rc_decoder));
        let _ = writeln!(text, "{:<9} {:<9} {encoder:>10} {decoder:>10}   {most}", l.language, l.level);
    }
    if !analysis.similarity.merges.is_empty() {
        text.push_str("\nlanguages routed alike (average linkage of Jensen-Shannon divergences, bits)\n");
        for merge in &analysis.similarity.merges {
            let _ = writeln!(text, "{:.4}  {} + {}", merge.divergence, merge.left.join(" "), merge.right.join(" "));
        }
    }
    text.push('\n');
}

fn subwords(analysis: &Analysis, text: &mut String) {
    for direction in &analysis.directions {
        for (lists, block) in direction.subwords.iter().zip(&analysis.blocks) {
            if lists.highest.is_empty() {
                continue;
            }
            let _ = writeln!(
                text,
                "{}, {} layer {}: piece RC (frequency rank)",
                direction.direction, block.side, block.layer
            );
            for (name, list) in [("highest", &lists.highest), ("lowest", &lists.lowest)] {
                let shown: Vec<String> = list.iter().take(SUBWORDS).map(subword).collect();
                let _ = writeln!(text, "  {name:<8} median rank {:<7} {}", median_rank(list), shown.join("  "));
            }
        }
    }
    text.push('\n');
}

fn subword(subword: &SubwordCapacity) -> String {
    let rank = subword.rank.map_or_else(|| "-".to_string(), |rank| rank.to_string());
    format!("{} {:.2} ({rank})", subword.piece, subword.requested_capacity)
}

fn median_rank(list: &[SubwordCapacity]) -> String {
    let mut ranks: Vec<u32> = list.iter().filter_map(|subword| subword.rank).collect();
    ranks.sort_unstable();
    ranks.get(ranks.len() / 2).map_or_else(|| "-".to_string(), u32::to_string)
}

fn examples(analysis: &Analysis, colors: bool, text: &mut String) {
    let most = analysis.strata.len() as f64;
    for Example { direction, source, target } in analysis.examples.iter().take(EXAMPLES) {
        let pair = Pair::parse(direction);
        let (from, to) = pair.as_ref().map_or((direction.as_str(), ""), |pair| (&pair.first, &pair.second));
        for (language, tokens) in [(from, source), (to, target)] {
            let tokens: Vec<String> = tokens.iter().map(|token| colored(token, most, colors)).collect();
            let _ = writeln!(text, "{language:<6} {}", tokens.join(if colors { "" } else { " " }));
        }
    }
    if !analysis.examples.is_empty() {
        let _ = writeln!(text, "{:<6} tokens by RC, the mean over the blocks of their side: 1 to {most}", "");
    }
}

/// A token with its RC: as its background, from blue (1) through white to red (the most), or as a number after it.
fn colored(token: &TokenCapacity, most: f64, colors: bool) -> String {
    if !colors {
        return format!("{}/{:.1}", token.piece, token.requested_capacity);
    }
    let share = if most > 1.0 { (token.requested_capacity - 1.0) / (most - 1.0) } else { 0.0 };
    let [r, g, b] = strata_study::report::color(share);
    let text = token.piece.replace('\u{2581}', " ");
    format!("\x1b[48;2;{r};{g};{b}m\x1b[30m{text}\x1b[0m")
}
