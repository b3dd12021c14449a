//! The flags of a search and of where a model runs, the same for every command that translates.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use strata_runtime::Precision;
use strata_store::Check;
use strata_translate::{Placement, SearchOptions, TranslateOptions, VocabularyMap};

use crate::flags;

/// How to search, in every command that translates. Lengths are in subwords, the end mark included.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Search options")]
pub struct SearchArgs {
    /// Hypotheses of beam search; 1 is greedy search
    // Clap drops a requirement (`--top-p` needs `--sample`) that conflicts with what is given, so all are named.
    #[arg(
        long,
        default_value_t = SearchOptions::default().beam,
        value_name = "N",
        value_parser = flags::count,
        conflicts_with_all = ["sample", "temperature", "top_k", "top_p", "seed"]
    )]
    beam: usize,
    /// Divide scores by length^X
    #[arg(long, default_value_t = SearchOptions::default().length_penalty, value_name = "X")]
    length_penalty: f64,
    /// Longest translation in subwords: X times the source, and --max-extra more
    #[arg(long, default_value_t = SearchOptions::default().max_ratio, value_name = "X")]
    max_ratio: f64,
    /// Subwords that a translation may have beyond --max-ratio times its source
    #[arg(long, default_value_t = SearchOptions::default().max_extra, value_name = "N", value_parser = flags::count)]
    max_extra: usize,
    /// Longest translation in subwords, whatever the source [default: by --max-ratio]
    #[arg(
        long,
        default_value_t = SearchOptions::default().max_length,
        hide_default_value = true,
        value_name = "N",
        value_parser = flags::count
    )]
    max_length: usize,
    /// Shortest translation in subwords
    #[arg(
        long,
        default_value_t = SearchOptions::default().min_length,
        hide_default_value = true,
        value_name = "N",
        value_parser = flags::count
    )]
    min_length: usize,
    /// Repeat no sequence of N subwords within a translation [default: off]
    #[arg(
        long,
        default_value_t = SearchOptions::default().no_repeat_ngram,
        hide_default_value = true,
        value_name = "N",
        value_parser = flags::count
    )]
    no_repeat_ngram: usize,
    /// Weight of the coverage penalty for untranslated source words (Wu et al., 2016) [default: off]
    #[arg(
        long,
        default_value_t = SearchOptions::default().coverage_penalty,
        hide_default_value = true,
        value_name = "X"
    )]
    coverage_penalty: f64,
    /// Compute only the target language's subwords, by a map that `strata vocabulary` wrote
    #[arg(long, value_name = "FILE")]
    vocabulary_map: Option<PathBuf>,
    /// Compute all subwords, also where the folder is packed with a map, or has a shortlist for each sentence, as
    /// Firefox's models do
    #[arg(long, conflicts_with = "vocabulary_map")]
    whole_vocabulary: bool,
    /// Source subwords translated together [default: 4096]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub tokens_per_batch: Option<u32>,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten)]
    pub place: Place,
}

/// How to draw translations.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampling options")]
struct Sampling {
    /// Draw each translation at random instead of searching for the best; where N translations are asked for, draw N
    #[arg(long)]
    sample: bool,
    /// Divide logits by X before sampling
    #[arg(long, default_value_t = SearchOptions::default().temperature, requires = "sample", value_name = "X")]
    temperature: f64,
    /// Sample from the N most probable subwords only [default: all]
    #[arg(
        long,
        default_value_t = SearchOptions::default().top_k,
        hide_default_value = true,
        requires = "sample",
        value_name = "N",
        value_parser = flags::count
    )]
    top_k: usize,
    /// Sample from the most probable subwords that together reach probability P
    #[arg(long, default_value_t = SearchOptions::default().top_p, requires = "sample", value_name = "P")]
    top_p: f64,
    /// Seed of the samples; the same seed gives the same translations
    #[arg(long, default_value_t = SearchOptions::default().seed, requires = "sample", value_name = "N", value_parser = flags::seed)]
    seed: u64,
}

/// Where and how to run a model.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Device options")]
pub struct Place {
    /// Device to compute on: cpu, or wgpu, cuda:0, ... where this program is built for them
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
    /// Numbers that weights are held in on the CPU: bf16 takes half the memory of f32, int8 a quarter and is the
    /// fastest; translations stay nearly the same [default: f32, or a packed folder's]
    #[arg(long, value_parser = precision(), value_name = "PRECISION")]
    pub precision: Option<Precision>,
    /// Batches at a time, each with its share of the threads [default: automatic]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N", value_parser = workers)]
    pub workers: usize,
    #[command(flatten)]
    pub check: CheckArgs,
}

/// How closely to look at a model's files before it is used.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Device options")]
pub struct CheckArgs {
    /// Look at the sizes of the model's files alone. Otherwise their checksums are verified when a model is first used,
    /// and again when a file was touched
    #[arg(long)]
    no_verify: bool,
}

impl CheckArgs {
    /// The check that is asked for.
    pub fn check(&self) -> Check {
        if self.no_verify { Check::Sizes } else { Check::Once }
    }
}

/// Reads `--precision`.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::name)).try_map(|text| text.parse::<Precision>())
}

fn workers(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (0..=1024).contains(count));
    count.ok_or_else(|| "choose 0 to 1024".to_string())
}

impl From<&Place> for Placement {
    fn from(Place { device, precision, workers, check }: &Place) -> Self {
        Self { device: device.clone(), precision: *precision, workers: *workers, check: check.check() }
    }
}

impl From<&SearchArgs> for SearchOptions {
    fn from(arguments: &SearchArgs) -> Self {
        let &SearchArgs { beam, length_penalty, max_ratio, max_extra, max_length, min_length, .. } = arguments;
        let &SearchArgs { no_repeat_ngram, coverage_penalty, ref sampling, .. } = arguments;
        let &Sampling { sample, temperature, top_k, top_p, seed } = sampling;
        Self {
            beam,
            length_penalty,
            max_ratio,
            max_extra,
            max_length,
            min_length,
            no_repeat_ngram,
            coverage_penalty,
            sample,
            temperature,
            top_k,
            top_p,
            seed,
            ..Self::default()
        }
    }
}

impl SearchArgs {
    /// The checked options, with the vocabulary map.
    ///
    /// # Errors
    /// A value out of range, by its flag; a map that cannot be read.
    pub fn options(&self) -> anyhow::Result<TranslateOptions> {
        let search = SearchOptions::from(self);
        check(&search)?;
        let map = self.vocabulary_map.as_deref().map(VocabularyMap::read).transpose()?;
        let defaults = TranslateOptions::from(search);
        Ok(TranslateOptions {
            tokens_per_batch: self.tokens_per_batch.map_or(defaults.tokens_per_batch, |tokens| tokens as usize),
            vocabulary_map: map.map(Arc::new),
            whole_vocabulary: self.whole_vocabulary,
            ..defaults
        })
    }
}

/// Checks every option; the error names the flag of the one at fault.
pub fn check(search: &SearchOptions) -> anyhow::Result<()> {
    search.check().map_err(|error| flags::of_config(&error))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        search: SearchArgs,
    }

    #[test]
    fn every_option_of_a_recipe_is_a_flag_of_its_name_and_default() {
        let command = Command::command();
        for key in SearchOptions::KEYS {
            let flag = key.leaf().replace('_', "-");
            let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&flag));
            let default = argument.unwrap_or_else(|| panic!("no flag --{flag}")).get_default_values().first().cloned();
            let (shown, number) = (default.unwrap_or_default(), key.default.trim_end_matches(".0"));
            assert!(shown == number || (key.leaf() == "sample" && key.default == "false"), "--{flag}: {shown:?}");
        }
    }
}
