//! The training loop: batches, updates, validation, checkpoints, and exact resume.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use strata_corpus::{ExampleId, HeldOut, StreamPosition, TrainStream};
use strata_files::remove_folder;
use strata_kernels::{AdamStep, MatmulPrecision};
use strata_model::{ExpertShare, Forward, Part, Transformer};
use strata_ranks::Ranks;
use strata_recipe::{Cost, ModelConfig, Purpose, Recipe, TrainSection, check_memory};
use strata_records::{Best, Stopped, Summary, TrainState};
use strata_simd::random::mix;
use strata_store::checkpoint::{AVERAGED_DIR, CHECKPOINTS_DIR, RECIPE_FILE, STATE_FILE};
use strata_store::{
    Checkpoint, CheckpointParts, Existing, ModelFolder, ModelParts, Run, RunFolder, TensorList, TensorSource,
    average_last,
};

use crate::batch::Tensors;
use crate::error::{Error, Kept};
use crate::event::Event;
use crate::inputs::Inputs;
use crate::logs::Logs;
use crate::optimizer::{Adam, GradientSum};
use crate::running_mean::RunningMean;
use crate::schedule::learning_rate;
use crate::scorer::Scorer;
use crate::spread::{BatchSums, SharedAdam, SharedGradients, Sharing, Streamed, all_first_choices, cut, part_of};
use crate::validate::{Validation, validate};
use crate::window::Window;

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
        /// Updates in all, in place of the recipe's, whose file gets them too.
        updates: Option<u64>,
    },
}

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
    let (recipe, begun) = match start {
        Start::New { recipe, .. } => (recipe.clone(), None),
        Start::Resume { run, from, device, updates } => {
            let (recipe, begun) = resume(run, [from, updates], device, ranks)?;
            (recipe, Some(begun))
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
        let inputs = ranks.together(Inputs::open(&recipe, from))?;
        // Several ranks may share out what a model takes.
        if !ranks.is_many() && recipe.train.device == "cpu" {
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
        session.run(scorer, stop, observe)
    })
}

/// A run, which rank 0 alone holds, and the checkpoint to resume from, if there is one.
type Begun = (Option<Run>, Option<Checkpoint>);

/// Opens the run at `path`, from the checkpoint `from` and up to `updates` if they are given: rank 0 chooses the
/// checkpoint, and the others read the same.
fn resume(
    path: &Path,
    [from, updates]: [Option<u64>; 2],
    device: Option<&str>,
    ranks: &Ranks,
) -> Result<(Recipe, Begun), Error> {
    let open = || -> Result<(Run, Option<Checkpoint>), Error> {
        let mut run = Run::open(path)?;
        let checkpoint = match from {
            Some(step) => {
                let checkpoint = run.load(step)?;
                run.set_aside_after(step)?;
                Some(checkpoint)
            }
            None => run.latest_good()?,
        };
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
    let file = path.join(RECIPE_FILE);
    let mut recipe = ranks.together(Recipe::load(&file, None, &[]).map_err(Error::from))?;
    if let Some(updates) = updates.filter(|updates| *updates != recipe.train.updates) {
        // A later session runs to the same end.
        recipe.train.updates = updates;
        let write = || strata_files::write_file(&file, recipe.to_toml(RECIPE_HEADER).as_bytes()).map_err(Error::from);
        ranks.together(if ranks.is_first() { write() } else { Ok(()) })?;
    }
    let device = device.map_or(recipe.train.device.clone(), str::to_string);
    Ok((Recipe { train: TrainSection { device, ..recipe.train }, ..recipe }, begun))
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
    } else if device != "cpu" {
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

/// A run being trained.
struct Session {
    /// The run's folder.
    folder: PathBuf,
    /// The same, on rank 0, which holds its lock.
    run: Option<Run>,
    ranks: Ranks,
    /// The ranks that share the experts of each block with this one, if they are spread.
    experts: Option<Ranks>,
    recipe: Recipe,
    products: MatmulPrecision,
    model: Transformer,
    optimizer: Optimizer,
    /// The running mean of the weights, where `train.average_decay` asks for one; on rank 0, which writes it.
    mean: Option<RunningMean>,
    stream: TrainStream,
    held_out: HeldOut,
    state: TrainState,
    /// The newest checkpoint's update, for the message about a run that diverged.
    last_saved: Option<u64>,
    files: Files,
}

/// Contents of a model folder's files besides the weights.
struct Files {
    config: Vec<u8>,
    tokenizer: Vec<u8>,
    languages: Vec<u8>,
}

impl Files {
    /// A model folder with these weights.
    fn parts<'a>(&'a self, weights: &'a dyn TensorSource, extra: &'a [(&'a str, &'a [u8])]) -> ModelParts<'a> {
        let Self { config, tokenizer, languages } = self;
        ModelParts { config, tokenizer, languages, weights, extra }
    }
}

/// Who makes Adam's steps.
enum Optimizer {
    /// This process, which is alone.
    Alone(Adam),
    /// All ranks, each for its pieces.
    Shared(Box<SharedAdam>),
}

/// The gradients of one update.
enum Gradients {
    Alone(GradientSum),
    /// Those of this rank which are not added to the others' yet, and the sums of its pieces over all ranks.
    Shared {
        mine: GradientSum,
        all: SharedGradients,
    },
}

impl Session {
    /// A run before its first update; with the ranks come those that share its experts.
    fn new(
        folder: PathBuf,
        run: Option<Run>,
        recipe: Recipe,
        inputs: Inputs,
        (ranks, experts): (&Ranks, Option<Ranks>),
    ) -> Result<Self, Error> {
        let Inputs { model: config, device, products, stream, held_out, tokenizer, languages, init } = inputs;
        let share = experts.as_ref().map_or(ExpertShare::ALL, |ranks| ExpertShare::new(ranks.rank(), ranks.size()));
        let mut model = Transformer::with_share(&config, recipe.train.seed, &device, share)?;
        if let Some(init) = init {
            ranks.together(init.give(&mut model, &recipe))?;
        }
        let decay = recipe.train.average_decay;
        let optimizer = match ranks.is_many() {
            false => Optimizer::Alone(Adam::default()),
            true => {
                let group = experts.as_ref().map_or(1, Ranks::size);
                Optimizer::Shared(Box::new(SharedAdam::new(ranks, group, decay, &mut model)?))
            }
        };
        Ok(Self {
            mean: (decay > 0.0 && !ranks.is_many()).then(RunningMean::default),
            model,
            optimizer,
            folder,
            ranks: ranks.clone(),
            experts,
            stream,
            held_out,
            state: TrainState::default(),
            last_saved: None,
            files: Files { config: config.to_json().into_bytes(), tokenizer, languages },
            run,
            recipe,
            products,
        })
    }

    fn load(&mut self, checkpoint: &strata_store::Checkpoint) -> Result<(), Error> {
        self.state = serde_json::from_value(checkpoint.state().clone())
            .map_err(|source| Error::State { path: checkpoint.path().join(STATE_FILE), source })?;
        self.model.load_weights(&checkpoint.model().weights()?)?;
        self.last_saved = Some(checkpoint.step());
        if checkpoint.step() == 0 {
            // What training started from: there are no moments yet.
            self.state = TrainState::default();
            return Ok(());
        }
        let moments = checkpoint.optimizer()?;
        match &mut self.optimizer {
            Optimizer::Alone(adam) => *adam = Adam::load(&mut self.model, &moments)?,
            Optimizer::Shared(adam) => adam.load(&mut self.model, &moments)?,
        }
        if self.mean.is_some() {
            self.mean = Some(RunningMean::load(&mut self.model, &moments)?);
        }
        self.stream.seek(&self.state.position)?;
        Ok(())
    }

    fn run(
        mut self,
        scorer: &Scorer<'_>,
        stop: &AtomicBool,
        observe: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<Summary, Error> {
        let train = self.recipe.train.clone();
        let cost = Cost::of(self.model.config(), None)?;
        let first = self.ranks.is_first();
        let mut tell = |event: &Event| {
            if first {
                observe(event);
            }
        };
        let observe = &mut tell;
        observe(&Event::Started {
            run: self.folder.clone(),
            model: cost.name.clone(),
            parameters: cost.parameters,
            flops_per_token: cost.flops_per_token,
            update: self.state.update,
            updates: train.updates,
            pairs: self.stream.pairs(),
            left_out: self.stream.skipped(),
            max_length: self.recipe.data.max_length.min(self.model.config().max_length),
        });
        let mut logs = self.run.as_ref().map(|run| Logs::open(run.path(), self.state.update)).transpose()?;
        let (session_start, seconds_before) = (Instant::now(), self.state.seconds);
        let (mut window, mut window_start) = (Window::begin(&self.ranks), Instant::now());
        let (mut session_tokens, mut session_seconds) = (0u64, 0.0);
        // A run that stopped early and is resumed has nothing left to do.
        let over = self.state.update < train.updates && self.state.out_of_patience(train.patience);
        if self.state.update == 0 && !train.init.is_empty() {
            self.begin(scorer, logs.as_mut(), observe)?;
        }
        let mut stopped = if over { Stopped::EarlyStop } else { Stopped::Finished };
        while self.state.update < train.updates && !over {
            let started = Instant::now();
            let tokens_before = window.tokens;
            let interrupted = self.update(&mut window, stop)?;
            session_tokens += window.tokens - tokens_before;
            session_seconds += started.elapsed().as_secs_f64();
            let update = self.state.update;
            self.state.seconds = seconds_before + session_start.elapsed().as_secs_f64();
            let last = update == train.updates;
            if update.is_multiple_of(train.log_every) || last {
                let progress = window.progress(&self.recipe, &self.ranks, update, window_start.elapsed().as_secs_f64());
                if let Some(logs) = &mut logs {
                    logs.progress(update, &progress.means)?;
                }
                observe(&Event::Progress(progress));
                (window, window_start) = (Window::begin(&self.ranks), Instant::now());
            }
            let mut best = false;
            let bleu_due = train.validate_bleu_every > 0 && (update.is_multiple_of(train.validate_bleu_every) || last);
            if (update.is_multiple_of(train.validate_every) || bleu_due || last) && !self.held_out.is_empty() {
                let pause = Instant::now();
                best = self.validate(bleu_due.then_some(scorer), logs.as_mut(), observe)?;
                window_start += pause.elapsed(); // speed is the speed of training
            }
            let early = self.state.out_of_patience(train.patience);
            // A process alone also hears what it is asked during a validation; ranks hear it together.
            let interrupted = interrupted || (!self.ranks.is_many() && stop.load(Ordering::Relaxed));
            if update.is_multiple_of(train.checkpoint_every) || last || best || early || interrupted {
                let pause = Instant::now();
                if let Some(logs) = &mut logs {
                    logs.sync()?;
                }
                let path = self.save(best)?;
                observe(&Event::Saved { update, path });
                window_start += pause.elapsed();
            }
            if interrupted && !last {
                stopped = Stopped::Interrupted;
                break;
            }
            if early && !last {
                stopped = Stopped::EarlyStop;
                break;
            }
        }
        let averaged = if stopped == Stopped::Interrupted { None } else { self.average()? };
        Ok(Summary {
            run: self.folder.clone(),
            update: self.state.update,
            updates: train.updates,
            stopped,
            best_loss: self.state.best.map(|best| best.loss),
            best_update: self.state.best.map(|best| best.update),
            seconds: self.state.seconds,
            tokens_per_second: session_tokens as f64 / session_seconds.max(1e-9),
            averaged,
        })
    }

    /// Measures the model that training starts from and saves it, so that one sees what training makes of it, and
    /// resuming needs it no more.
    fn begin(
        &mut self,
        scorer: &Scorer<'_>,
        mut logs: Option<&mut Logs>,
        observe: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<(), Error> {
        let scorer = (self.recipe.train.validate_bleu_every > 0).then_some(scorer);
        let best = !self.held_out.is_empty() && self.validate(scorer, logs.as_deref_mut(), observe)?;
        if let Some(logs) = logs {
            logs.sync()?;
        }
        let path = self.save(best)?;
        observe(&Event::Saved { update: 0, path });
        Ok(())
    }

    /// Makes one update from `train.accumulate` batches, or this rank's share of it. Says whether any rank was asked to
    /// `stop`.
    fn update(&mut self, window: &mut Window, stop: &AtomicBool) -> Result<bool, Error> {
        let (train, update) = (&self.recipe.train, self.state.update + 1);
        let mut batches = Vec::with_capacity(train.accumulate);
        let mut places = Vec::with_capacity(train.accumulate);
        let mut named = Vec::with_capacity(train.accumulate);
        for _ in 0..train.accumulate {
            places.push(self.stream.position());
            let batch = self.stream.next_batch()?;
            named.push(self.name_examples(&batch.examples));
            batches.push(batch);
        }
        let targets: usize = batches.iter().map(|batch| batch.target_out.len()).sum();
        let (ranks, sharing) = (self.ranks.clone(), Sharing::new(train.accumulate, self.ranks.size()));
        let config = self.model.config();
        let (balance_weight, cmr) = (config.balance_weight as f32, (config.cmr_budget, config.cmr_weight as f32));
        let (budget, mut decided) = (config.capacity_budget > 0.0, Vec::new());
        let mut gradients = match &self.optimizer {
            Optimizer::Alone(_) => Gradients::Alone(GradientSum::default()),
            Optimizer::Shared(_) => Gradients::Shared { mine: GradientSum::default(), all: SharedGradients::default() },
        };
        let mut sums = Vec::with_capacity(train.accumulate);
        for (i, batch) in batches.into_iter().enumerate() {
            if sharing == Sharing::Batches && i % ranks.size() != ranks.rank() {
                continue;
            }
            // All randomness of an update follows from the seed and its number: there is no state to save.
            let seed = mix(mix(train.seed, update), i as u64);
            self.model.device().seed(seed);
            let mut forward = Forward::training(seed).with_products(self.products);
            if let Some(experts) = &self.experts {
                forward = forward.with_spread_experts(experts.clone());
            }
            // The auxiliary losses weigh as much as the batch's share of the target tokens (R8 of `strata_routing`).
            let share = batch.target_out.len() as f32 / targets as f32;
            let batch = match sharing {
                Sharing::Batches => Tensors::new(batch),
                Sharing::Sentences => {
                    let mine = part_of(batch.examples.len(), &ranks);
                    let whole = Tensors::new(batch.clone());
                    let before = Part::from_sentence(&whole.source, &whole.target, mine.start);
                    forward = forward.of_part(ranks.counting("gates"), before);
                    Tensors::new(cut(batch, &mine))
                }
            };
            let (smoothing, scale) = (train.label_smoothing as f32, 1.0 / targets as f32);
            let tokens = batch.tokens() as u64;
            let result = self.model.loss(&batch.source, &batch.target, batch.targets, smoothing, scale, &mut forward);
            let mut sum = BatchSums { nll: result.nll, tokens, ..BatchSums::default() };
            sum.loss = f64::from(result.loss.clone().into_scalar::<f32>());
            sum.routing.add(&forward.blocks);
            if budget {
                decided.append(&mut forward.blocks);
            }
            let mut loss = result.loss;
            if let Some(balance) = forward.balance_loss() {
                sum.balance = f64::from(balance.clone().into_scalar::<f32>() * share);
                loss = loss + balance * (balance_weight * share);
            }
            if let Some(used) = forward.cmr_loss(cmr.0) {
                loss = loss + used * (cmr.1 * share);
            }
            sums.push((i, sum));
            match (&mut gradients, &self.optimizer) {
                (Gradients::Shared { mine, all }, Optimizer::Shared(adam)) => {
                    mine.add(&mut self.model, loss.backward());
                    if sharing == Sharing::Batches {
                        all.add(&ranks, &adam.layout, std::mem::take(mine))?;
                    }
                }
                (Gradients::Shared { mine: sum, .. } | Gradients::Alone(sum), _) => {
                    sum.add(&mut self.model, loss.backward());
                }
            }
        }
        let (sums, interrupted) = BatchSums::gather(&ranks, sums, stop.load(Ordering::Relaxed))?;
        for (i, sum) in sums.iter().enumerate() {
            if !sum.loss.is_finite() {
                return Err(self.not_finite(update, "loss", the_batch(&places[i], &named[i])));
            }
            window.loss += sum.loss * targets as f64;
            window.nll += sum.nll;
            window.balance += sum.balance;
            window.tokens += sum.tokens;
            self.state.tokens += sum.tokens;
            window.routing.merge(&sum.routing);
        }
        let norm = match (&mut gradients, &self.optimizer) {
            (Gradients::Shared { mine, all }, Optimizer::Shared(adam)) => {
                if sharing == Sharing::Sentences {
                    all.add(&ranks, &adam.layout, std::mem::take(mine))?;
                }
                all.norm(&ranks, &adam.layout)?
            }
            (Gradients::Shared { mine: sum, .. } | Gradients::Alone(sum), _) => sum.norm(),
        };
        if !norm.is_finite() {
            return Err(self.not_finite(update, "gradient", the_batch(&places[0], &named[0])));
        }
        let clip = if train.clip_norm > 0.0 && norm > train.clip_norm { train.clip_norm / norm } else { 1.0 };
        let step = AdamStep {
            learning_rate: learning_rate(train, update),
            betas: (train.adam_beta1, train.adam_beta2),
            epsilon: train.adam_eps,
            weight_decay: train.weight_decay,
            update,
            gradient_scale: clip,
        };
        match (&mut self.optimizer, gradients) {
            (Optimizer::Shared(adam), Gradients::Shared { all, .. }) => adam.step(&mut self.model, all, &step)?,
            (Optimizer::Alone(adam), Gradients::Alone(sum)) => adam.step(&mut self.model, sum, &step),
            _ => unreachable!("gradients are shared where the optimizer is"),
        }
        if budget {
            self.model.adjust_offsets(&all_first_choices(&ranks, decided)?, train.budget_rate);
        }
        match (&mut self.optimizer, &mut self.mean) {
            (Optimizer::Shared(adam), _) => adam.average(&mut self.model, update),
            (_, Some(mean)) => mean.add(&mut self.model, train.average_decay, update),
            _ => {}
        }
        window.gradient_norm += norm;
        window.targets += targets as u64;
        window.updates += 1;
        self.state.update = update;
        self.state.target_tokens += targets as u64;
        self.state.position = self.stream.position();
        Ok(interrupted)
    }

    /// The first pairs of a batch, by direction and place in the training shard, for the message about a run that
    /// diverged.
    fn name_examples(&self, examples: &[ExampleId]) -> String {
        let directions = self.stream.directions();
        let first: Vec<String> =
            examples.iter().take(3).map(|e| format!("{} {}", directions[e.direction], e.index)).collect();
        format!("{} pairs from {}", examples.len(), first.join(", "))
    }

    fn not_finite(&self, update: u64, what: &'static str, batch: String) -> Error {
        if !self.ranks.is_first() {
            return strata_ranks::Error::Elsewhere { rank: 0 }.into();
        }
        let kept = self.last_saved.map(|newest| Kept { run: self.folder.clone(), newest });
        Error::NotFinite { update, what, batch, kept }
    }

    /// Measures the validation loss, and BLEU where a scorer is given; returns whether the loss is the best so far.
    fn validate(
        &mut self,
        scorer: Option<&Scorer<'_>>,
        mut logs: Option<&mut Logs>,
        observe: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<bool, Error> {
        let train = &self.recipe.train;
        let update = self.state.update;
        let model = self.model.without_gradients();
        let validation: Validation =
            validate(&model, &self.held_out, train.label_smoothing as f32, &self.ranks, self.experts.as_ref())?;
        if !validation.loss.is_finite() {
            if let Some(logs) = &mut logs {
                logs.validation(&self.state, &validation, None)?;
            }
            return Err(self.not_finite(update, "validation loss", String::new()));
        }
        // One rank translates, with all experts; the others wait.
        let model = match (&self.optimizer, &self.experts) {
            (Optimizer::Shared(adam), Some(_)) if scorer.is_some() => adam.whole_model(&mut self.model)?,
            _ => Some(model).filter(|_| self.ranks.is_first()),
        };
        let bleu = scorer.zip(model).map(|(scorer, model)| scorer(&self.recipe, model));
        let bleu = bleu.transpose().map_err(Error::Score)?;
        self.ranks.barrier()?;
        let best = self.state.best.is_none_or(|best| validation.loss < best.loss);
        if best {
            self.state.best = Some(Best { loss: validation.loss, update });
            self.state.validations_since_best = 0;
        } else {
            self.state.validations_since_best += 1;
        }
        let capacities: Vec<f64> = validation.routing.blocks().iter().map(|b| b.requested_capacity).collect();
        self.state.requested_capacity = (!capacities.is_empty()).then_some(capacities);
        if let Some(logs) = &mut logs {
            logs.validation(&self.state, &validation, bleu)?;
        }
        observe(&Event::Validated { update, loss: validation.loss, nll: validation.nll, bleu, best });
        Ok(best)
    }

    /// Writes the averaged model that the recipe asks for, if any, and gives its folder. Rank 0 writes it.
    fn average(&mut self) -> Result<Option<PathBuf>, Error> {
        let train = &self.recipe.train;
        if train.average_last == 0 && train.average_decay == 0.0 {
            return Ok(None);
        }
        let folder = self.folder.join(AVERAGED_DIR);
        if train.average_last > 0 {
            if let Some(run) = &self.run {
                average_last(run, train.average_last, &folder, Existing::Replace)?;
            }
            return Ok(Some(folder));
        }
        let write = |weights: &dyn TensorSource| match &self.run {
            Some(run) => {
                let recipe = run.recipe()?;
                let extra = [(RECIPE_FILE, recipe.as_bytes())];
                ModelFolder::write(&folder, &self.files.parts(weights, &extra), Existing::Replace)?;
                Ok(())
            }
            None => Ok(()),
        };
        match (&self.optimizer, &self.mean) {
            (Optimizer::Shared(adam), _) => {
                let weights = adam.mean_weights();
                written(&[&weights], || write(&weights))?;
            }
            (_, Some(mean)) => {
                let mut weights = TensorList::new();
                mean.append_to(&mut weights, &mut self.model, "");
                write(&weights)?;
            }
            _ => {}
        }
        Ok(Some(folder))
    }

    /// Writes a checkpoint and removes those that need not be kept. Rank 0 writes what all have, tensor by tensor.
    fn save(&mut self, best: bool) -> Result<PathBuf, Error> {
        self.last_saved = Some(self.state.update);
        let (files, state, keep_last) = (&self.files, &self.state, self.recipe.train.keep_last);
        let run = &mut self.run;
        let mut write = |weights: &dyn TensorSource, moments: &dyn TensorSource| match run {
            Some(run) => write_checkpoint(run, files, state, [weights, moments], best, keep_last),
            None => Ok(PathBuf::new()),
        };
        let path = match &self.optimizer {
            Optimizer::Alone(adam) => {
                let mut moments = adam.tensors(&mut self.model);
                if let Some(mean) = &self.mean {
                    mean.append_to(&mut moments, &mut self.model, RunningMean::PREFIX);
                }
                write(&self.model.weights(), &moments)?
            }
            Optimizer::Shared(adam) => {
                let (weights, moments) = (adam.weights(&mut self.model), adam.tensors());
                written(&[&weights, &moments], || write(&weights, &moments))?
            }
        };
        // Nobody goes on before the checkpoint is whole.
        self.ranks.barrier()?;
        Ok(path)
    }
}

/// Writes the checkpoint of a run with these weights and moments.
fn write_checkpoint(
    run: &mut Run,
    files: &Files,
    state: &TrainState,
    [weights, moments]: [&dyn TensorSource; 2],
    best: bool,
    keep_last: usize,
) -> Result<PathBuf, Error> {
    let step = state.update;
    let recipe = run.recipe()?;
    let state = serde_json::to_value(state)
        .map_err(|source| Error::State { path: run.checkpoint_path(step).join(STATE_FILE), source })?;
    let extra = [(RECIPE_FILE, recipe.as_bytes())];
    let parts = CheckpointParts { model: files.parts(weights, &extra), optimizer: moments, state: &state };
    let path = run.save_checkpoint(step, &parts)?;
    if best {
        run.set_best(step)?;
    }
    run.prune(keep_last)?;
    Ok(path)
}

/// What `write` gives, which on rank 0 writes `tensors` one after another, while the others send theirs.
fn written<T>(tensors: &[&Streamed<'_>], write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    for tensors in tensors.iter().filter(|tensors| !tensors.is_first()) {
        tensors.send()?;
    }
    // If another rank was lost, that is what there is to say.
    write().map_err(|error| tensors.iter().find_map(|tensors| tensors.failure()).map_or(error, Error::from))
}

/// A batch, for the end of a message.
fn the_batch(place: &StreamPosition, examples: &str) -> String {
    format!("; the batch was number {} of round {} ({examples})", place.batch, place.round)
}
