//! `strata quickstart`: the main job in one go.

use std::path::{Path, PathBuf};

use clap::Args;
use strata_corpus::prepare::Options as PrepareOptions;
use strata_ranks::Ranks;
use strata_recipe::{Kind, Recipe, RecipeFile};
use strata_store::checkpoint::RECIPE_FILE;
use strata_translate::evaluate::{EvaluateOptions, Evaluation};
use strata_translate::scores::{Metrics, tokenizer};
use strata_translate::{Placement, TranslateOptions, Translator};

use crate::commands::evaluate::evaluate_shown;
use crate::commands::{fetch, prepare, train};
use crate::output::print;
use crate::overrides::{Overrides, quoted_path};
use crate::terminal::{Terminal, labeled};
use crate::{Outcome, tables};

/// The recipe that is trained; the same file that ships in `recipes/`.
const RECIPE: &str = include_str!("quickstart.toml");

/// Fetch a corpus, then prepare, train, evaluate and translate, all in one command
#[derive(Debug, Args)]
#[command(
    after_help = "Fetches text from Debian's or Ubuntu's documentation packages (about 100 MB, without root), prepares \
                  it, trains a small SMoE-4-4 on the CPU, and scores it. After Ctrl-C the same command resumes."
)]
pub struct Arguments {
    /// Folder of the run; text goes to a folder beside it with -data added to the name
    #[arg(short, long, default_value = "runs/quickstart", value_name = "PATH")]
    output: PathBuf,
    /// Languages to learn besides English, comma-separated [default: those of recipes/quickstart.toml]
    #[arg(long, value_delimiter = ',', value_name = "LANGS")]
    languages: Vec<String>,
    /// Use a small generated corpus of invented languages; no download
    #[arg(long, conflicts_with = "languages")]
    synthetic: bool,
    #[command(flatten)]
    overrides: Overrides,
    /// Replace what an earlier quickstart left
    #[arg(long)]
    overwrite: bool,
}

pub fn run(arguments: &Arguments, threads: usize, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let output = &arguments.output;
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push("-data");
    let data = output.with_file_name(name);
    let (bitext, prepared) = (data.join("bitext"), data.join("prepared"));
    let mut overrides = vec![
        ("data.prepared".to_string(), quoted_path(&prepared)?),
        ("train.output".to_string(), quoted_path(output)?),
    ];
    if threads > 0 {
        overrides.push(("train.threads".to_string(), threads.to_string()));
    }
    overrides.extend(arguments.overrides.set.iter().cloned());
    let mut recipe = RecipeFile::parse(RECIPE, "recipes/quickstart.toml")?
        .resolve(arguments.overrides.variant.as_deref(), &overrides)?;
    if !arguments.languages.is_empty() {
        recipe.data.languages.clone_from(&arguments.languages);
    }

    let begun = output.join(RECIPE_FILE).exists() && !arguments.overwrite;
    let trained = if begun && strata_store::resolve_model(output).is_ok() {
        let resuming = "resuming the run there (--overwrite starts anew)";
        terminal.say(&labeled("quickstart", &format!("{}: {resuming}", output.display())));
        train::resume(output, None, None, &[], &Ranks::single(), terminal)?
    } else {
        get_bitext(arguments, &mut recipe, &bitext, terminal)?;
        prepare_bitext(&recipe, &bitext, &prepared, terminal)?;
        train::start(&recipe, arguments.overwrite, &Ranks::single(), terminal)?
    };
    if let Some(stopped) = train::stopped(&trained) {
        return Ok(stopped);
    }
    let model = trained.averaged.clone().unwrap_or_else(|| output.clone());
    let placement = Placement { device: recipe.train.device.clone(), ..Placement::default() };
    let translator = Translator::open(&model, &placement)?;
    let options = EvaluateOptions {
        split: "test".to_string(),
        directions: Vec::new(),
        limit: TEST_SENTENCES,
        translate: TranslateOptions::from(&recipe.translate),
        keep: Some(output.join("translations")),
    };
    let metrics = Metrics::new(tokenizer("13a")?)?;
    let evaluation = evaluate_shown(&translator, &prepared, &options, &metrics, &Ranks::single(), terminal)?;
    let report = tables::scores::render(&evaluation) + &examples(&evaluation);
    strata_files::write_output(output.join("report.txt"), report.as_bytes())?;
    print(&format!(
        "\n{report}\n{}",
        next(&model, output, &prepared, &evaluation, translator.config().kind != Kind::Dense)
    ))?;
    Ok(Outcome::Done)
}

/// Test sentences of each direction: enough for a meaningful table, few enough for minutes.
const TEST_SENTENCES: usize = 200;

/// Fetches real text, or generates some where that cannot be.
fn get_bitext(arguments: &Arguments, recipe: &mut Recipe, bitext: &Path, terminal: &Terminal) -> anyhow::Result<()> {
    let fetched = if arguments.synthetic {
        false
    } else {
        match strata_fetch::default_cache() {
            Some(cache) => {
                let mut options = strata_fetch::Options::new(bitext, cache);
                options.languages.clone_from(&recipe.data.languages);
                match fetch::fetch(&options, terminal) {
                    Ok(_) => true,
                    // An unknown language is the user's to correct; for anything else there is a way around.
                    Err(error) if is_users_fault(&error) => return Err(error),
                    Err(error) => {
                        terminal.warn(&format!("cannot fetch real text: {error}"));
                        terminal.warn("using a small generated corpus of invented languages instead");
                        false
                    }
                }
            }
            None => false,
        }
    };
    if !fetched {
        recipe.data.languages = Vec::new();
        recipe.data.vocabulary = recipe.data.vocabulary.min(2000);
        fetch::generate(&strata_corpus::synthetic::Options::default(), bitext, terminal)?;
    }
    Ok(())
}

fn is_users_fault(error: &anyhow::Error) -> bool {
    use strata_fetch::Error::{NoLanguages, UnknownLanguage};
    matches!(error.downcast_ref(), Some(UnknownLanguage { .. } | NoLanguages))
}

fn prepare_bitext(recipe: &Recipe, bitext: &Path, prepared: &Path, terminal: &Terminal) -> anyhow::Result<()> {
    let mut options = PrepareOptions::new(bitext, prepared);
    options.overwrite = true;
    options.languages.clone_from(&recipe.data.languages);
    if !options.languages.is_empty() {
        options.languages.push("en".to_string());
    }
    options.subwords.vocab_size = recipe.data.vocabulary;
    options.subwords.kind = match recipe.data.subwords {
        strata_recipe::Subwords::Unigram => strata_corpus::trainer::Kind::Unigram,
        strata_recipe::Subwords::Bpe => strata_corpus::trainer::Kind::Bpe,
    };
    prepare::prepare_shown(&options, terminal)?;
    Ok(())
}

/// For some directions a test sentence, its translation, and the reference.
fn examples(evaluation: &Evaluation) -> String {
    let mut text = String::new();
    for (of, hypotheses) in evaluation.texts.iter().take(8) {
        let Some(i) = typical(&of.sources) else { continue };
        let (from, to) = (&of.direction.source, &of.direction.target);
        text +=
            &format!("\n{from:<6} {}\n{to:<6} {}\n{:<6} {}\n", of.sources[i], hypotheses[i], "ref", of.references[i]);
    }
    text
}

/// Which sentence to show: one of middling length says more than the first.
fn typical(sentences: &[String]) -> Option<usize> {
    let good = |i: &usize| (20..90).contains(&sentences[*i].chars().count());
    (0..sentences.len()).filter(good).nth(3).or((!sentences.is_empty()).then_some(0))
}

/// What to do next. The sentence to translate is one of the corpus: a model of invented languages knows no other words.
fn next(model: &Path, output: &Path, prepared: &Path, evaluation: &Evaluation, experts: bool) -> String {
    let of = evaluation.texts.iter().map(|(text, _)| text).find(|text| text.direction.source == "en");
    let to = of.map_or("en", |text| text.direction.target.as_str());
    let sentence = of.and_then(|text| typical(&text.sources).map(|i| text.sources[i].replace('\'', r"'\''")));
    let sentence = sentence.unwrap_or_default();
    let (model, output, prepared) = (model.display(), output.display(), prepared.display());
    let analyze = if experts {
        let page = "capacity.html     # which language requests how much";
        format!("strata analyze {model} {prepared} --html {output}/{page}\n        ")
    } else {
        String::new()
    };
    format!(
        "model   {model}\n\
         report  {output}/report.txt, translations in {output}/translations, curves in {output}/tensorboard\n\
         next    echo '{sentence}' | strata translate {model} --to {to}\n        \
         strata evaluate {model} {prepared}\n        \
         {analyze}\
         strata quickstart --variant dense --output runs/quickstart-dense\n        \
         strata fetch docs     # fifteen languages; then strata prepare, and strata train recipes/docs.toml\n"
    )
}
