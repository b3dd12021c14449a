//! The table of an evaluation.

use strata_corpus::codes::is_english;
use strata_translate::evaluate::{Average, DirectionScore, Evaluation};
use strata_translate::scores::Signatures;

/// Scores by direction and averages. Where every direction has English on a side, a language is one row: out of English
/// left, into English right.
pub fn render(evaluation: &Evaluation) -> String {
    let directions = &evaluation.directions;
    let around = |d: &DirectionScore| is_english(&d.of.source) || is_english(&d.of.target);
    let table = if directions.iter().all(around) && directions.len() > 1 {
        around_english(directions)
    } else {
        by_direction(directions)
    };
    let averages: String = evaluation.averages.iter().map(average).collect();
    let header =
        format!("{:<24} {:>6} {:>6} {:>7}   {:>16}\n", "averages", "BLEU", "chrF2", "chrF2++", "copied: BLEU/chrF2");
    let Signatures { bleu, chrf2, chrf2pp } = &evaluation.signatures;
    let signatures = [("BLEU", bleu), ("chrF2", chrf2), ("chrF2++", chrf2pp)];
    let signatures = signatures.map(|(name, signature)| format!("{name:<8} {signature}\n")).concat();
    format!("{table}\n{header}{averages}\n{signatures}")
}

fn average(average: &Average) -> String {
    let name = format!("{} ({})", average.name, average.directions);
    let (scores, copy) = (average.scores, average.copy);
    format!(
        "{name:<24} {:>6.1} {:>6.1} {:>7.1}   {:>9.1} / {:<5.1}\n",
        scores.bleu, scores.chrf2, scores.chrf2pp, copy.bleu, copy.chrf2
    )
}

fn by_direction(directions: &[DirectionScore]) -> String {
    let header = format!(
        "{:<14} {:<9} {:>9} {:>6} {:>6} {:>7}\n",
        "direction", "level", "sentences", "BLEU", "chrF2", "chrF2++"
    );
    let row = |d: &DirectionScore| {
        let name = format!("{}->{}", d.of.source, d.of.target);
        let scores = d.scores;
        format!(
            "{name:<14} {:<9} {:>9} {:>6.1} {:>6.1} {:>7.1}\n",
            d.of.level, d.of.sentences, scores.bleu, scores.chrf2, scores.chrf2pp
        )
    };
    header + &directions.iter().map(row).collect::<String>()
}

fn around_english(directions: &[DirectionScore]) -> String {
    let mut languages: Vec<&str> = directions
        .iter()
        .flat_map(|d| [d.of.source.as_str(), d.of.target.as_str()])
        .filter(|tag| !is_english(tag))
        .collect();
    languages.sort_unstable();
    languages.dedup();
    let mut text = format!(
        "{:<8} {:<9} {:>9}   {:^22}   {:^22}\n{:<8} {:<9} {:>9}   {:>6} {:>6} {:>8}   {:>6} {:>6} {:>8}\n",
        "",
        "",
        "",
        "en->xx",
        "xx->en",
        "language",
        "level",
        "pairs",
        "BLEU",
        "chrF2",
        "chrF2++",
        "BLEU",
        "chrF2",
        "chrF2++"
    );
    for language in languages {
        let out = directions.iter().find(|d| d.of.target == language);
        let into = directions.iter().find(|d| d.of.source == language);
        let cells = |d: Option<&DirectionScore>| match d {
            Some(d) => format!("{:>6.1} {:>6.1} {:>8.1}", d.scores.bleu, d.scores.chrf2, d.scores.chrf2pp),
            None => format!("{:>6} {:>6} {:>8}", "-", "-", "-"),
        };
        if let Some(any) = out.or(into) {
            let pairs = strata_files::thousands(any.of.train_pairs);
            text += &format!("{language:<8} {:<9} {pairs:>9}   {}   {}\n", any.of.level, cells(out), cells(into));
        }
    }
    text
}
