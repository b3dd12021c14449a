//! The way to a run's first update: the folder of a new run, or the checkpoint to resume from, and what must hold
//! before training begins. `session` has the loop.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use strata_files::remove_folder;
use strata_ranks::Ranks;
use strata_recipe::{ModelConfig, Purpose, Recipe, check_memory, is_cpu};
use strata_records::Summary;
use strata_store::checkpoint::{CHECKPOINTS_DIR, RECIPE_FILE};
use strata_store::{Checkpoint, Run, RunFolder};

use crate::error::Error;
use crate::event::Event;
use crate::inputs::Inputs;
use crate::scorer::Scorer;
use crate::session::Session;

/// Where training starts from.
pub enum Start<'a> {
    /// A fresh model.
    New {
        /// What to train; its `train.output` is the run's folder.
        recipe: &'a Recipe,
        /// Whether an earlier run in that folder is removed.
        overwrite: bool,
    },
    /// A run's checkpoint.
    Resume {
        /// The run's folder.
        run: &'a Path,
        /// The step to resume from; the newest by default. Newer checkpoints are set aside.
        from: Option<u64>,
        /// The device to continue on, in place of the recipe's.
        device: Option<&'a str>,
        /// Keys of [`RESUMABLE`] and their values in place of the recipe's, whose file gets them too.
        set: &'a [(String, String)],
    },
}

/// The keys of a recipe that a run can be resumed with: when it ends, where its text is, and what is no part of the
/// mathematics.
pub const RESUMABLE: [&str; 4] = ["train.updates", "train.patience", "train.threads", "data.prepared"];

/// The first line of a run's recipe.
const RECIPE_HEADER: &str = "The recipe of this run, every key with its value.";

/// Trains until all updates are made, `stop` is set, or patience ends. `scorer` measures BLEU where the recipe asks for
/// it; `observe` gets every event.
///
/// All of `ranks` train together, with the same arguments; rank 0 writes, and it alone measures BLEU and observes. An
/// error that all of them meet is returned by one; the others get [`strata_ranks::Error::Elsewhere`]. After an error
/// the caller must end all ranks.
///
/// After a stop, a kill or a crash, [`Start::Resume`] reaches bit-identical weights on the same machine with the same
/// number of threads and the same kind of device.
///
/// # Errors
/// See [`Error`]. Whatever goes wrong, earlier checkpoints stay as they are.
pub fn train(
    start: Start,
    ranks: &Ranks,
    scorer: &Scorer<'_>,
    stop: &AtomicBool,
    observe: &mut (dyn FnMut(&Event) + Send),
) -> Result<Summary, Error> {
    let (recipe, begun, changed, more) = match start {
        Start::New { recipe, .. } => (recipe.clone(), None, None, false),
        Start::Resume { run, from, device, set } => {
            let Resumed { mut recipe, begun, more } = resume(run, from, set, ranks)?;
            // A later session has the same values, but may have another device.
            let changed = (!set.is_empty()).then(|| recipe.to_toml(RECIPE_HEADER));
            recipe.train.device = device.map_or(recipe.train.device, str::to_string);
            (recipe, Some(begun), changed, more)
        }
    };
    let threads = match recipe.train.threads {
        0 if ranks.is_many() => ranks.share_of_processors()?,
        threads => threads,
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| Error::Threads { threads, source })?;
    pool.install(|| {
        let from = begun.as_ref().and_then(|(_, checkpoint)| checkpoint.as_ref());
        let place = ranks.place_on_this_host()?;
        let inputs = ranks.together(Inputs::open(&recipe, from, place))?;
        // Several ranks may share out what a model takes.
        if !ranks.is_many() && is_cpu(&recipe.train.device) {
            check_memory(&inputs.model, Purpose::Training)?;
        }
        if ranks.is_many() {
            inputs.must_be_the_same(&recipe, ranks)?;
        }
        let experts = spread_experts(&recipe, &inputs.model, ranks)?;
        let overwrite = matches!(start, Start::New { overwrite: true, .. });
        let (run, checkpoint) = match begun {
            Some(begun) => begun,
            None if ranks.is_first() => (ranks.together(create_run(&recipe, overwrite).map(Some))?, None),
            None => (ranks.together(Ok::<_, Error>(None))?, None),
        };
        let folder = match start {
            Start::New { recipe, .. } => PathBuf::from(&recipe.train.output),
            Start::Resume { run, .. } => run.to_path_buf(),
        };
        let mut session = Session::new(folder, run, recipe, inputs, (ranks, experts))?;
        if let Some(checkpoint) = checkpoint {
            ranks.together(session.load(&checkpoint))?;
        }
        // Not before all else is known to fit: a refusal changes nothing.
        if let Start::Resume { from: Some(step), .. } = start {
            ranks.together(session.set_aside_after(step))?;
        }
        // Whoever asks an early end for more updates wants to see whether they help.
        if more {
            session.renew_patience()?;
        }
        if let Some(changed) = changed {
            let write = || strata_files::write_file(session.folder().join(RECIPE_FILE), changed.as_bytes());
            ranks.together(if ranks.is_first() { write().map_err(Error::from) } else { Ok(()) })?;
        }
        session.run(scorer, stop, observe)
    })
}

/// A run, which rank 0 alone holds, and the checkpoint to resume from, if there is one.
type Begun = (Option<Run>, Option<Checkpoint>);

/// A run that is resumed.
struct Resumed {
    recipe: Recipe,
    begun: Begun,
    /// Whether it is to make more updates than before.
    more: bool,
}

/// Opens the run at `path`, from the checkpoint `from` if it is given and with the keys of `set`: rank 0 chooses the
/// checkpoint, and the others read the same.
fn resume(path: &Path, from: Option<u64>, set: &[(String, String)], ranks: &Ranks) -> Result<Resumed, Error> {
    if let Some((key, _)) = set.iter().find(|(key, _)| !RESUMABLE.contains(&key.as_str())) {
        return ranks.together(Err(Error::NotResumable { key: key.clone() }));
    }
    let file = path.join(RECIPE_FILE);
    let load = |set: &[(String, String)]| Recipe::load(&file, None, set).map_err(Error::from);
    let open = || -> Result<(Run, Option<Checkpoint>), Error> {
        let run = Run::open(path)?;
        let checkpoint = match from {
            Some(step) => Some(run.load(step)?),
            None => run.latest_good()?,
        };
        let made = checkpoint.as_ref().map_or(0, Checkpoint::step);
        let updates = load(set)?.train.updates;
        if updates < made && set.iter().any(|(key, _)| key == "train.updates") {
            return Err(Error::EndsEarlier { run: path.to_path_buf(), updates, made });
        }
        Ok((run, checkpoint))
    };
    let begun = ranks.together(if ranks.is_first() { open().map(Some) } else { Ok(None) })?;
    let step = begun.as_ref().and_then(|(_, checkpoint)| checkpoint.as_ref()).map(Checkpoint::step);
    let step = ranks.broadcast(&step.map_or(Vec::new(), |step| step.to_le_bytes().to_vec()))?;
    let read = || -> Result<Begun, Error> {
        Ok(match (begun, <[u8; 8]>::try_from(step.as_slice())) {
            (Some((run, checkpoint)), _) => (Some(run), checkpoint),
            (None, Ok(step)) => (None, Some(RunFolder::at(path)?.load(u64::from_le_bytes(step))?)),
            (None, Err(_)) => (None, None),
        })
    };
    let begun = ranks.together(read())?;
    let (before, recipe) = (ranks.together(load(&[]))?, ranks.together(load(set))?);
    Ok(Resumed { more: recipe.train.updates > before.train.updates, recipe, begun })
}

/// The group of ranks over which `train.expert_parallel` spreads the experts of each block; none if it does not.
fn spread_experts(recipe: &Recipe, model: &ModelConfig, ranks: &Ranks) -> Result<Option<Ranks>, Error> {
    let (over, experts) = (recipe.train.expert_parallel, model.block_strata().experts());
    if over == 1 || !ranks.is_many() || experts == 0 {
        return Ok(None);
    }
    let (size, device) = (ranks.size(), &recipe.train.device);
    let wrong = if !size.is_multiple_of(over) {
        format!("{size} ranks cannot be grouped by {over}")
    } else if over > experts {
        format!("a block has only {experts} experts")
    } else if !is_cpu(device) {
        format!("experts are spread on the CPU only, not on {device}")
    } else {
        return Ok(Some(ranks.split(ranks.rank() / over)?.counting("experts")));
    };
    ranks.together(Err(Error::ExpertParallel { over, wrong }))
}

/// Makes the folder of a new run.
fn create_run(recipe: &Recipe, overwrite: bool) -> Result<Run, Error> {
    let output = Path::new(&recipe.train.output);
    if overwrite && output.join(RECIPE_FILE).exists() && output.join(CHECKPOINTS_DIR).is_dir() {
        // Held while it is removed, so that a run that another process trains is left alone.
        let _earlier = Run::open(output)?;
        remove_folder(output)?;
    }
    let text = recipe.to_toml(RECIPE_HEADER);
    Ok(Run::create(output, &text)?)
}
