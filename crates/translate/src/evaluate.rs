//! Evaluation on a prepared corpus: hypotheses and scores of each direction, and averages over directions.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use strata_corpus::codes::is_english;
use strata_corpus::languages::{Direction, LANGUAGES_FILE, Languages, Level};
use strata_files::IoContext;
use strata_metrics::Scorer;

use crate::error::Error;
use crate::lines::Translated;
use crate::options::TranslateOptions;
use crate::scores::{BleuParts, Metrics, Scores, Signatures};
use crate::shortfall::Shortfall;
use crate::translator::Translator;

/// What to evaluate.
#[derive(Clone, Debug)]
pub struct EvaluateOptions {
    /// `valid` or `test`.
    pub split: String,
    /// Directions such as `en-de`; all if empty.
    pub directions: Vec<String>,
    /// At most this many sentences of each direction, the first ones; 0 = all.
    pub limit: usize,
    /// How to translate.
    pub translate: TranslateOptions,
    /// Folder for sources, hypotheses and references: `SPLIT.en-de.hyp` and so on.
    pub keep: Option<PathBuf>,
}

/// The progress of an evaluation.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// The direction just done.
    pub score: &'a DirectionScore,
    /// Directions done.
    pub done: usize,
    /// Directions in all.
    pub of: usize,
}

/// The text of one direction.
#[derive(Clone, Debug)]
pub struct Text {
    /// The direction.
    pub direction: Direction,
    /// Lines to translate.
    pub sources: Vec<String>,
    /// Their translations by people.
    pub references: Vec<String>,
}

/// A direction that was scored, and on how much text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoredDirection {
    /// `en-de`.
    pub direction: String,
    /// Language translated from.
    pub source: String,
    /// Language translated into.
    pub target: String,
    /// Resource level of the direction.
    pub level: Level,
    /// Its training pairs.
    pub train_pairs: u64,
    /// Sentences scored.
    pub sentences: usize,
}

/// The scores of one direction.
#[derive(Clone, Debug, Serialize)]
pub struct DirectionScore {
    /// The direction.
    #[serde(flatten)]
    pub of: ScoredDirection,
    /// The model's scores.
    #[serde(flatten)]
    pub scores: Scores,
    /// Precisions, brevity penalty and lengths of its BLEU.
    pub bleu_parts: BleuParts,
    /// The scores of the sources, untranslated: what a model must beat to have learned anything.
    pub copy: Scores,
    /// Time spent translating, in seconds.
    pub seconds: f64,
    /// The lines, from 1, that the model has no finite scores for: their hypotheses say nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_finite: Vec<usize>,
}

/// Means over directions.
#[derive(Clone, Debug, Serialize)]
pub struct Average {
    /// `from en`, `into en`, `other`, each resource level of those, `all`.
    pub name: String,
    /// Directions in it.
    pub directions: usize,
    /// Mean scores.
    #[serde(flatten)]
    pub scores: Scores,
    /// Mean scores of the sources.
    pub copy: Scores,
}

/// Everything that an evaluation found.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The split.
    pub split: String,
    /// How scores were computed.
    pub signatures: Signatures,
    /// Each direction, in the order of the corpus.
    pub directions: Vec<DirectionScore>,
    /// Averages, see [`Average::name`].
    pub averages: Vec<Average>,
    /// Sources, references and hypotheses of the directions, in the same order.
    #[serde(skip)]
    pub texts: Vec<(Text, Vec<String>)>,
}

/// Reads the text of a prepared corpus's split.
///
/// # Errors
/// Unknown directions, missing or damaged files, no text at all.
pub fn read_texts(prepared: &Path, split: &str, directions: &[String], limit: usize) -> Result<Vec<Text>, Error> {
    let listed = prepared.join(LANGUAGES_FILE);
    if !listed.exists() {
        let what = format!("it has no {LANGUAGES_FILE}; name a folder that `strata prepare` wrote");
        return Err(Error::Text { path: prepared.to_path_buf(), what });
    }
    let languages = Languages::load(&listed)?;
    let named = |direction: &Direction, name: &String| *name == direction.name() || *name == direction.to_string();
    for name in directions {
        if !languages.directions.iter().any(|direction| named(direction, name)) {
            let known: Vec<String> = languages.directions.iter().map(Direction::name).collect();
            return Err(Error::Direction { direction: name.clone(), known: known.join(", ") });
        }
    }
    let mut texts = Vec::new();
    for direction in languages.directions {
        if !directions.is_empty() && !directions.iter().any(|name| named(&direction, name)) {
            continue;
        }
        let read = |language: &str| -> Result<(PathBuf, Vec<String>), Error> {
            let path = prepared.join("text").join(format!("{split}.{}.{language}", direction.pair));
            if !path.exists() {
                return Ok((path, Vec::new()));
            }
            let text = strata_files::read_text(&path)?;
            Ok((path, text.lines().map(ToString::to_string).collect()))
        };
        let ((path, mut sources), (_, mut references)) = (read(&direction.source)?, read(&direction.target)?);
        if sources.len() != references.len() {
            let what = format!(
                "it has {} lines but its other side {}; run `strata prepare` again",
                sources.len(),
                references.len()
            );
            return Err(Error::Text { path, what });
        }
        if limit > 0 {
            sources.truncate(limit);
            references.truncate(limit);
        }
        if !sources.is_empty() {
            texts.push(Text { direction, sources, references });
        }
    }
    if texts.is_empty() {
        return Err(Error::NoText { path: prepared.to_path_buf(), split: split.to_string() });
    }
    Ok(texts)
}

/// The text of [`EvaluateOptions`], in languages that the model knows all of.
///
/// # Errors
/// What [`read_texts`] and [`Translator::check_direction`] report.
pub fn texts_for(translator: &Translator, prepared: &Path, options: &EvaluateOptions) -> Result<Vec<Text>, Error> {
    let texts = read_texts(prepared, &options.split, &options.directions, options.limit)?;
    for Text { direction, .. } in &texts {
        translator.check_direction(Some(&direction.source), &direction.target)?;
    }
    Ok(texts)
}

/// A translation of each line; none where the model has no finite scores.
pub type Hypotheses = Vec<Option<String>>;

/// The best translation of each of `sources`, as evaluations take it: that of the model, with the lines that the corpus
/// has.
///
/// # Errors
/// What [`Translator::translate`] reports.
pub fn hypotheses(
    translator: &Translator,
    sources: &[String],
    direction: &Direction,
    options: &TranslateOptions,
) -> Result<Hypotheses, Error> {
    let options = TranslateOptions { whole_lines: true, ..options.clone() };
    let found = translator.translate(sources, Some(&direction.source), &direction.target, &options)?;
    let best = |line: Translated| {
        let finite = line.shortfall != Some(Shortfall::NotFinite);
        finite.then(|| line.candidates.into_iter().next().map_or(String::new(), |best| best.text))
    };
    Ok(found.into_iter().map(best).collect())
}

/// Translates and scores a split of a prepared corpus.
///
/// # Errors
/// What [`texts_for`] and [`hypotheses`] report; files that cannot be written.
pub fn evaluate(
    translator: &Translator,
    prepared: &Path,
    options: &EvaluateOptions,
    metrics: &Metrics,
    progress: &mut dyn FnMut(Progress),
) -> Result<Evaluation, Error> {
    let mut translate = |text: &Text| hypotheses(translator, &text.sources, &text.direction, &options.translate);
    evaluate_by(&mut translate, texts_for(translator, prepared, options)?, options, metrics, progress)
}

/// [`evaluate`] where `translate` finds the [`hypotheses`] of each of `texts`, such as by several processes.
///
/// # Errors
/// What `translate` reports; files that cannot be written.
pub fn evaluate_by<E: From<Error>>(
    translate: &mut dyn FnMut(&Text) -> Result<Hypotheses, E>,
    texts: Vec<Text>,
    options: &EvaluateOptions,
    metrics: &Metrics,
    progress: &mut dyn FnMut(Progress),
) -> Result<Evaluation, E> {
    if let Some(folder) = &options.keep {
        std::fs::create_dir_all(folder).io_context("make the folder", folder).map_err(Error::from)?;
    }
    let (mut directions, mut kept) = (Vec::new(), Vec::new());
    let of = texts.len();
    for text in texts {
        let started = Instant::now();
        let found = translate(&text)?;
        let seconds = started.elapsed().as_secs_f64();
        let not_finite = (1..=found.len()).filter(|line| found[line - 1].is_none()).collect();
        let hypotheses: Vec<String> = found.into_iter().map(Option::unwrap_or_default).collect();
        directions.push(score(&text, &hypotheses, not_finite, metrics, seconds)?);
        if let Some(folder) = &options.keep {
            keep(folder, &options.split, &text, &hypotheses)?;
        }
        progress(Progress { score: &directions[directions.len() - 1], done: directions.len(), of });
        kept.push((text, hypotheses));
    }
    let averages = averages(&directions);
    Ok(Evaluation { split: options.split.clone(), signatures: metrics.signatures(), directions, averages, texts: kept })
}

/// Scores the `hypotheses` of a direction, found in `seconds`; those of the lines `not_finite` are empty.
fn score(
    text: &Text,
    hypotheses: &[String],
    not_finite: Vec<usize>,
    metrics: &Metrics,
    seconds: f64,
) -> Result<DirectionScore, Error> {
    let Text { direction, sources, references } = text;
    Ok(DirectionScore {
        of: ScoredDirection {
            direction: direction.name(),
            source: direction.source.clone(),
            target: direction.target.clone(),
            level: direction.level,
            train_pairs: direction.train,
            sentences: sources.len(),
        },
        scores: metrics.score(hypotheses, references)?,
        bleu_parts: BleuParts::from(&metrics.bleu().corpus(hypotheses, &[references.as_slice()])?),
        copy: metrics.score(sources, references)?,
        seconds,
        not_finite,
    })
}

/// Writes the files of one direction.
fn keep(folder: &Path, split: &str, text: &Text, hypotheses: &[String]) -> Result<(), Error> {
    for (name, lines) in [("src", text.sources.as_slice()), ("hyp", hypotheses), ("ref", &text.references)] {
        let path = folder.join(format!("{split}.{}.{name}", text.direction.name()));
        let content: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        strata_files::write_output(path, content.as_bytes())?;
    }
    Ok(())
}

/// Groups of directions, given as `(source, target, level)`: from English, into English and the others, each as a whole
/// and, where it has several resource levels, by level. Each group has its name (`from en`, `into en, low`, ...) and
/// the places of its directions.
pub fn groups<'a>(directions: impl IntoIterator<Item = (&'a str, &'a str, Level)>) -> Vec<(String, Vec<usize>)> {
    type Way = (&'static str, fn(&str, &str) -> bool);
    let directions: Vec<(&str, &str, Level)> = directions.into_iter().collect();
    let ways: [Way; 3] = [
        ("from en", |source, _| is_english(source)),
        ("into en", |_, target| is_english(target)),
        ("other", |source, target| !is_english(source) && !is_english(target)),
    ];
    let mut groups = Vec::new();
    for (way, belongs) in ways {
        let all: Vec<usize> = (0..directions.len()).filter(|i| belongs(directions[*i].0, directions[*i].1)).collect();
        if all.is_empty() {
            continue;
        }
        groups.push((way.to_string(), all.clone()));
        for level in [Level::High, Level::Low, Level::VeryLow] {
            let of_level: Vec<usize> = all.iter().copied().filter(|i| directions[*i].2 == level).collect();
            if !of_level.is_empty() && of_level.len() < all.len() {
                groups.push((format!("{way}, {level}"), of_level));
            }
        }
    }
    groups
}

/// Averages over the [`groups`], and over all.
fn averages(directions: &[DirectionScore]) -> Vec<Average> {
    let mut groups = groups(directions.iter().map(|d| (d.of.source.as_str(), d.of.target.as_str(), d.of.level)));
    groups.push(("all".to_string(), (0..directions.len()).collect()));
    let average = |(name, places): (String, Vec<usize>)| {
        average(name, &places.into_iter().map(|i| &directions[i]).collect::<Vec<_>>())
    };
    groups.into_iter().filter_map(average).collect()
}

fn average(name: String, group: &[&DirectionScore]) -> Option<Average> {
    let mean = |score: fn(&DirectionScore) -> f64| group.iter().map(|d| score(d)).sum::<f64>() / group.len() as f64;
    (!group.is_empty()).then(|| Average {
        name,
        directions: group.len(),
        scores: Scores {
            bleu: mean(|d| d.scores.bleu),
            chrf2: mean(|d| d.scores.chrf2),
            chrf2pp: mean(|d| d.scores.chrf2pp),
        },
        copy: Scores { bleu: mean(|d| d.copy.bleu), chrf2: mean(|d| d.copy.chrf2), chrf2pp: mean(|d| d.copy.chrf2pp) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_go_by_english_and_level() {
        let score = |source: &str, target: &str, level, bleu| DirectionScore {
            of: ScoredDirection {
                direction: format!("{source}-{target}"),
                source: source.to_string(),
                target: target.to_string(),
                level,
                train_pairs: 1,
                sentences: 1,
            },
            scores: Scores { bleu, ..Scores::default() },
            bleu_parts: BleuParts::default(),
            copy: Scores::default(),
            seconds: 0.0,
            not_finite: Vec::new(),
        };
        let found = averages(&[
            score("en", "de", Level::High, 30.0),
            score("en", "om", Level::VeryLow, 10.0),
            score("deu_Latn", "eng_Latn", Level::High, 40.0),
        ]);
        let found: Vec<(&str, usize, f64)> =
            found.iter().map(|a| (a.name.as_str(), a.directions, a.scores.bleu)).collect();
        let mean = 80.0 / 3.0;
        assert_eq!(
            found,
            [
                ("from en", 2, 20.0),
                ("from en, high", 1, 30.0),
                ("from en, very-low", 1, 10.0),
                ("into en", 1, 40.0),
                ("all", 3, mean)
            ]
        );
    }
}
