//! `strata train`: a recipe to a run, with its progress on the terminal.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use strata_files::thousands;
use strata_ranks::Ranks;
use strata_recipe::{Recipe, RecipeFile};
use strata_records::{Stopped, Summary};
use strata_store::Check;
use strata_store::checkpoint::RECIPE_FILE;
use strata_train::{Event, Progress, Start};

use crate::output::{print, print_json};
use crate::overrides::{Overrides, quoted, quoted_path};
use crate::ranks::on_all_ranks;
use crate::scorer::{check_scorer, validation_bleu};
use crate::stop::{self, Stop, stop_with_parent};
use crate::terminal::{Terminal, duration, labeled, short};
use crate::{Outcome, model, remedy};

/// Train a model from a recipe, or resume a run
#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-C or SIGTERM saves a checkpoint and stops; --resume continues to the same weights, bit for bit. \
                  mpirun -n 4 strata train RECIPE trains on 4 processes (docs/cluster.md).\n\n\
                  --init takes the architecture from MODEL, and from the recipe all else; sizes that the recipe sets must \
                  be the model's. Prepare the text with its subwords: strata prepare BITEXT --subword-model MODEL \
                  --output DIR. Languages that are new to it get tags. --upcycle takes the experts from the recipe \
                  (docs/fine-tuning.md)."
)]
pub struct Arguments {
    /// Recipe file
    #[arg(required_unless_present_any = ["resume", "list_keys"])]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    /// Folder of the run, instead of train.output
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// cpu, wgpu, cuda:0, ..., instead of train.device; with --resume, the device to continue on
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Replace an earlier run in that folder
    #[arg(long)]
    overwrite: bool,
    /// Start from the weights of this model, run or checkpoint instead of random ones
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,
    /// Make the experts of the recipe's model out of the FFNs of --init, a dense model
    #[arg(long)]
    upcycle: bool,
    /// Resume the run in this folder; --set train.updates=N, or train.patience=N, goes on for longer, data.prepared=DIR
    /// finds its corpus elsewhere. The run's recipe keeps these, and --threads
    #[arg(long, value_name = "DIR",
        conflicts_with_all = ["recipe", "variant", "output", "overwrite", "init", "upcycle", "list_keys"])]
    resume: Option<PathBuf>,
    /// Resume from this checkpoint (step-500, or 500) instead of the newest; later ones are set aside
    #[arg(long, value_name = "STEP", requires = "resume", conflicts_with = "recipe")]
    from: Option<String>,
    /// List every key of a recipe with its default and meaning
    #[arg(long, conflicts_with_all = ["recipe", "variant", "set", "json"])]
    list_keys: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Save and stop when the program that started this one ends
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

pub fn run(arguments: &Arguments, threads: usize, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if arguments.stop_with_parent {
        stop_with_parent();
    }
    if arguments.list_keys {
        print(&strata_recipe::render_keys())?;
        return Ok(Outcome::Done);
    }
    on_all_ranks(terminal, |ranks, terminal| {
        let summary = train(arguments, threads, ranks, terminal)?;
        if arguments.json && ranks.is_first() {
            print_json(&summary)?;
        }
        Ok(stopped(&summary).unwrap_or(Outcome::Done))
    })
}

/// Trains or resumes as the arguments say.
fn train(arguments: &Arguments, threads: usize, ranks: &Ranks, terminal: &Terminal) -> anyhow::Result<Summary> {
    match &arguments.resume {
        Some(run) => {
            let mut set = arguments.overrides.set.clone();
            if threads > 0 {
                set.push(("train.threads".into(), threads.to_string()));
            }
            resume(run, arguments.from.as_deref(), arguments.device.as_deref(), &set, ranks, terminal)
        }
        None => {
            let mut overrides = arguments.overrides.set.clone();
            if let Some(output) = &arguments.output {
                overrides.push(("train.output".into(), quoted_path(output)?));
            }
            overrides.extend(arguments.device.iter().map(|d| ("train.device".into(), quoted(d))));
            if threads > 0 {
                overrides.push(("train.threads".into(), threads.to_string()));
            }
            if let Some(init) = &arguments.init {
                overrides.push(("train.init".into(), quoted_path(init)?));
            }
            if arguments.upcycle {
                overrides.push(("train.upcycle".into(), "true".into()));
            }
            let path = arguments.recipe.as_deref().context("name a recipe")?;
            let recipe = ranks.together(load(path, arguments.overrides.variant.as_deref(), &overrides))?;
            start(&recipe, arguments.overwrite, ranks, terminal)
        }
    }
}

/// The recipe; where it starts from a model, with that model's values for what it does not say.
fn load(path: &Path, variant: Option<&str>, overrides: &[(String, String)]) -> anyhow::Result<Recipe> {
    let file = RecipeFile::open(path)?;
    Ok(match file.init(variant, overrides)? {
        None => file.resolve(variant, overrides)?,
        Some(init) => {
            // Training checks the weights; here it is what the recipe leaves open.
            let model = model::open(Path::new(&init), Check::Sizes)?.model_config()?;
            file.resolve_from(variant, overrides, &model)?
        }
    })
}

/// How a training ended that a signal stopped before its end.
pub fn stopped(summary: &Summary) -> Option<Outcome> {
    if summary.stopped == Stopped::Interrupted { stop::outcome() } else { None }
}

/// Trains a recipe from the start.
pub fn start(recipe: &Recipe, overwrite: bool, ranks: &Ranks, terminal: &Terminal) -> anyhow::Result<Summary> {
    if ranks.is_first() {
        check_scorer(recipe)?;
    }
    watch(Start::New { recipe, overwrite }, ranks, terminal)
}

/// Resumes a run: from the checkpoint `from` instead of the newest, on `device` and with the keys of `set` instead of
/// the recipe's.
pub fn resume(
    run: &Path,
    from: Option<&str>,
    device: Option<&str>,
    set: &[(String, String)],
    ranks: &Ranks,
    terminal: &Terminal,
) -> anyhow::Result<Summary> {
    let from = from.map(strata_store::parse_step).transpose()?;
    if ranks.is_first() && !run.exists() {
        bail!("{}: there is no such run. Start one with: {}", run.display(), remedy::new_run(run));
    }
    if ranks.is_first() {
        warn_of_threads(run, set, terminal);
    }
    watch(Start::Resume { run, from, device, set }, ranks, terminal)
}

/// Warns where a run is resumed with a different number of threads.
fn warn_of_threads(run: &Path, set: &[(String, String)], terminal: &Terminal) {
    // A recipe that cannot be read is reported by whoever needs it.
    let recipe = |set: &[(String, String)]| Recipe::load(&run.join(RECIPE_FILE), None, set).ok();
    if let (Some(before), Some(now)) = (recipe(&[]), recipe(set))
        && before.train.threads != now.train.threads
    {
        let shown = |threads: usize| if threads == 0 { "all".to_string() } else { threads.to_string() };
        let (before, now) = (shown(before.train.threads), shown(now.train.threads));
        terminal.warn(&format!("train.threads = {now}, but {before} until now: weights may differ in their last bits"));
    }
}

fn watch(start: Start, ranks: &Ranks, terminal: &Terminal) -> anyhow::Result<Summary> {
    let stop = Stop::listen()?;
    let mut shown = Shown { begun_at: 0, valid: None };
    let mut observe = |event: &Event| shown.event(event, terminal);
    let summary = strata_train::train(start, ranks, &validation_bleu, stop.flag(), &mut observe)?;
    if ranks.is_first() {
        tell(&summary, shown.begun_at, terminal);
    }
    Ok(summary)
}

/// Says how a training ended that began after the update `begun_at`.
fn tell(summary: &Summary, begun_at: u64, terminal: &Terminal) {
    let run = summary.run.display();
    let (update, of) = (thousands(summary.update), thousands(summary.updates));
    match summary.stopped {
        Stopped::Interrupted => {
            terminal.say(&format!("stopped at update {update}; resume with: strata train --resume {run}"));
        }
        Stopped::Finished | Stopped::EarlyStop => {
            let early = if summary.stopped == Stopped::EarlyStop { " (validation loss stopped improving)" } else { "" };
            let how = if summary.update == begun_at {
                // The time is that of earlier sessions, and there is no speed.
                ": nothing is left to train".to_string()
            } else {
                let speed = thousands(summary.tokens_per_second as u64);
                format!(" in {}, {speed} tok/s", duration(summary.seconds))
            };
            terminal.say(&labeled("trained", &format!("{update} of {of} updates{early}{how}")));
            if let (Some(loss), Some(update)) = (summary.best_loss, summary.best_update) {
                let best = format!("update {}, validation loss {loss:.3}", thousands(update));
                terminal.say(&labeled("best", &best));
            }
            let averaged = summary
                .averaged
                .as_ref()
                .map_or(String::new(), |path| format!("; averaged weights: {}", path.display()));
            terminal.say(&labeled("run", &format!("{run}{averaged}")));
            terminal.say(&format!("next: strata translate {run} --to LANG < FILE"));
            if summary.stopped == Stopped::EarlyStop {
                let set = "--set train.patience=N";
                terminal.say(&format!("to train on: strata train --resume {run} {set}, larger or 0 for no end"));
            }
        }
    }
}

/// What the progress line remembers, and where training began.
struct Shown {
    /// The updates made when this session began.
    begun_at: u64,
    valid: Option<f64>,
}

impl Shown {
    fn event(&mut self, event: &Event, terminal: &Terminal) {
        match event {
            Event::Started {
                run,
                model,
                parameters,
                flops_per_token,
                update,
                updates,
                pairs,
                left_out,
                max_length,
            } => {
                self.begun_at = *update;
                let cost = format!(
                    "{model}: {} parameters, {} per token (uniform routing)",
                    short(*parameters as f64, ""),
                    short(*flops_per_token as f64, "FLOP")
                );
                terminal.say(&labeled("model", &cost));
                if *left_out > 0 {
                    let share = 100.0 * *left_out as f64 / (pairs + left_out) as f64;
                    terminal.say(&labeled(
                        "left out",
                        &format!(
                            "{} of {} pairs ({share:.1} %): a side is longer than data.max_length = {max_length}, or empty",
                            thousands(*left_out),
                            thousands(pairs + left_out)
                        ),
                    ));
                }
                let from = if *update > 0 { format!(", resuming after {}", thousands(*update)) } else { String::new() };
                let what =
                    format!("{} updates{from}; log, curves, checkpoints in {}", thousands(*updates), run.display());
                terminal.say(&labeled("training", &what));
            }
            Event::Progress(progress) => {
                let line = self.line(progress);
                terminal.progress(&labeled("training", &line));
                if !terminal.rewrites() {
                    terminal.say(&line);
                }
            }
            Event::Validated { update, loss, nll, bleu, best } => {
                self.valid = Some(*loss);
                let bleu = bleu.map_or(String::new(), |bleu| format!("  BLEU {bleu:.1}"));
                let best = if *best { "  best so far" } else { "" };
                let perplexity = nll.exp();
                let what =
                    format!("update {}  loss {loss:.3}  perplexity {perplexity:.1}{bleu}{best}", thousands(*update));
                terminal.say(&labeled("validation", &what));
            }
            Event::Saved { path, .. } => terminal.detail(&labeled("saved", &path.display().to_string())),
        }
    }

    fn line(&self, p: &Progress) -> String {
        let valid = self.valid.map_or(String::new(), |valid| format!("  valid {valid:.2}"));
        let means = &p.means;
        let rc = match (means.rc_encoder, means.rc_decoder) {
            (Some(encoder), Some(decoder)) => format!("  RC enc {encoder:.2} dec {decoder:.2}"),
            (Some(rc), None) | (None, Some(rc)) => format!("  RC {rc:.2}"),
            (None, None) => String::new(),
        };
        let balance = means.balance.map_or(String::new(), |balance| format!("  balance {balance:.2}"));
        let dropped = if means.dropped > 0 { format!("  dropped {}", thousands(means.dropped)) } else { String::new() };
        let exchanged = match means.traffic.iter().map(|t| (t.bytes, t.waited_ms)).reduce(|a, b| (a.0 + b.0, a.1 + b.1))
        {
            Some((bytes, waited_ms)) => format!("  sent {:.1} MB, waited {waited_ms:.0} ms", bytes / 1e6),
            None => String::new(),
        };
        format!(
            // A narrow terminal cuts off the end.
            "update {}/{}  ETA {}  loss {:.2}{valid}  {} tok/s{rc}{balance}{dropped}{exchanged}",
            thousands(p.update),
            thousands(p.updates),
            duration(p.seconds_left),
            means.loss,
            thousands(means.tokens_per_second as u64)
        )
    }
}
