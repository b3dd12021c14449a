//! The training loop: updates, validation and checkpoints, and exact resume.

mod optimizer;
mod save;
mod update;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use strata_corpus::{HeldOut, TrainStream};
use strata_kernels::MatmulPrecision;
use strata_model::{ExpertShare, Transformer};
use strata_ranks::Ranks;
use strata_recipe::{Cost, Recipe};
use strata_records::{Best, Stopped, Summary, TrainState};
use strata_store::checkpoint::STATE_FILE;
use strata_store::{Checkpoint, Run};

use crate::error::{Error, Kept};
use crate::event::Event;
use crate::inputs::Inputs;
use crate::logs::Logs;
use crate::scorer::Scorer;
use crate::validate::{Validation, validate};
use crate::window::Window;
use optimizer::Optimizer;
use save::Files;

/// A run being trained.
pub(crate) struct Session {
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
    stream: TrainStream,
    held_out: HeldOut,
    state: TrainState,
    /// The newest checkpoint's update, for the message about a run that diverged.
    last_saved: Option<u64>,
    files: Files,
}

impl Session {
    /// A run before its first update; with the ranks come those that share its experts.
    ///
    /// # Errors
    /// A model that cannot be made, an initial model that does not fit, or those of the exchange.
    pub fn new(
        folder: PathBuf,
        run: Option<Run>,
        recipe: Recipe,
        inputs: Inputs,
        (ranks, experts): (&Ranks, Option<Ranks>),
    ) -> Result<Self, Error> {
        let Inputs { model: config, device, products, stream, held_out, tokenizer, languages, text, init } = inputs;
        let share = experts.as_ref().map_or(ExpertShare::ALL, |ranks| ExpertShare::new(ranks.rank(), ranks.size()));
        let mut model = Transformer::with_share(&config, recipe.train.seed, &device, share)?;
        if let Some(init) = init {
            ranks.together(init.give(&mut model, &recipe))?;
        }
        Ok(Self {
            optimizer: Optimizer::new(ranks, experts.as_ref(), recipe.train.average_decay, &mut model)?,
            model,
            folder,
            ranks: ranks.clone(),
            experts,
            stream,
            held_out,
            state: TrainState { text: Some(text), ..TrainState::default() },
            last_saved: None,
            files: Files { config: config.to_json().into_bytes(), tokenizer, languages },
            run,
            recipe,
            products,
        })
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// A checkpoint that is damaged, or of another model or corpus.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let new = std::mem::take(&mut self.state);
        self.model.load_weights(&checkpoint.model().weights()?)?;
        self.last_saved = Some(checkpoint.step());
        if checkpoint.step() == 0 {
            // What training started from: there are no moments yet.
            self.state = new;
            return Ok(());
        }
        let state: TrainState = serde_json::from_value(checkpoint.state().clone())
            .map_err(|source| Error::State { path: checkpoint.path().join(STATE_FILE), source })?;
        self.state = TrainState { text: new.text, ..state };
        self.optimizer.load(&mut self.model, &checkpoint.optimizer()?)?;
        self.stream.seek(&self.state.position)?;
        self.repair_best()
    }

    /// Renews the patience of a run that has stopped early, on disk too: a session that is killed before its first
    /// checkpoint must not leave a run behind that seems to be over.
    ///
    /// # Errors
    /// The I/O error.
    pub fn renew_patience(&mut self) -> Result<(), Error> {
        if !self.is_complete() && self.state.out_of_patience(self.recipe.train.patience) {
            self.state.validations_since_best = 0;
            self.save(false)?;
        }
        Ok(())
    }

    /// Sets the checkpoints after `step` aside.
    ///
    /// # Errors
    /// The I/O error.
    pub fn set_aside_after(&mut self, step: u64) -> Result<(), Error> {
        if let Some(run) = &mut self.run {
            run.set_aside_after(step)?;
        }
        Ok(())
    }

    /// Points `best` to the checkpoint that the state says is the best. A process that was killed between writing that
    /// checkpoint and linking it left an older one there, and pruning would remove the best.
    fn repair_best(&mut self) -> Result<(), Error> {
        let (Some(run), Some(best)) = (&mut self.run, self.state.best) else { return Ok(()) };
        if run.best()? != Some(best.update) && run.checkpoint_path(best.update).is_dir() {
            run.set_best(best.update)?;
        }
        Ok(())
    }

    /// Trains until all updates are made, `stop` is set, or patience ends.
    ///
    /// # Errors
    /// As [`crate::train`].
    pub fn run(
        mut self,
        scorer: &Scorer<'_>,
        stop: &AtomicBool,
        observe: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<Summary, Error> {
        let train = self.recipe.train.clone();
        let first = self.ranks.is_first();
        let mut tell = |event: &Event| {
            if first {
                observe(event);
            }
        };
        let observe = &mut tell;
        observe(&self.started()?);
        let mut logs = self.run.as_ref().map(|run| Logs::open(run.path(), self.state.update)).transpose()?;
        let (session_start, seconds_before) = (Instant::now(), self.state.seconds);
        let (mut window, mut window_start) = (Window::begin(&self.ranks), Instant::now());
        let (mut session_tokens, mut session_seconds) = (0u64, 0.0);
        // A run that stopped early and is resumed without more patience or updates has nothing left to do.
        let over = !self.is_complete() && self.state.out_of_patience(train.patience);
        if self.state.update == 0 && !train.init.is_empty() {
            self.begin(scorer, logs.as_mut(), observe)?;
        }
        let mut stopped = if over { Stopped::EarlyStop } else { Stopped::Finished };
        while !self.is_complete() && !over {
            let started = Instant::now();
            let tokens_before = window.tokens;
            let before = self.state.update;
            let interrupted = self.update(&mut window, stop)?;
            if self.state.update == before {
                self.save_if_unsaved(logs.as_ref(), observe)?;
                stopped = Stopped::Interrupted;
                break;
            }
            session_tokens += window.tokens - tokens_before;
            session_seconds += started.elapsed().as_secs_f64();
            let (update, last) = (self.state.update, self.is_complete());
            self.state.seconds = seconds_before + session_start.elapsed().as_secs_f64();
            if update.is_multiple_of(train.log_every) || last {
                let progress = window.progress(&self.recipe, &self.ranks, update, window_start.elapsed().as_secs_f64());
                if let Some(logs) = &mut logs {
                    logs.progress(update, &progress.means)?;
                }
                observe(&Event::Progress(progress));
                (window, window_start) = (Window::begin(&self.ranks), Instant::now());
            }
            let pause = Instant::now();
            let best = self.validate_if_due(scorer, logs.as_mut(), observe)?;
            let early = self.state.out_of_patience(train.patience);
            // A process alone also hears what it is asked during a validation; ranks hear it together.
            let interrupted = interrupted || (!self.ranks.is_many() && stop.load(Ordering::Relaxed));
            if update.is_multiple_of(train.checkpoint_every) || last || best || early || interrupted {
                self.checkpoint(best, logs.as_ref(), observe)?;
            }
            window_start += pause.elapsed(); // speed is the speed of training
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
        self.checkpoint(best, logs.as_deref(), observe)
    }

    /// What there is to say before the first update of a session.
    fn started(&self) -> Result<Event, Error> {
        let cost = Cost::of(self.model.config(), None)?;
        Ok(Event::Started {
            run: self.folder.clone(),
            model: cost.name,
            parameters: cost.parameters,
            flops_per_token: cost.flops_per_token,
            update: self.state.update,
            updates: self.recipe.train.updates,
            pairs: self.stream.pairs(),
            left_out: self.stream.skipped(),
            max_length: self.recipe.data.max_length.min(self.model.config().max_length),
        })
    }

    /// Whether all updates are made.
    fn is_complete(&self) -> bool {
        self.state.update >= self.recipe.train.updates
    }

    /// Saves a checkpoint, which never knows more than the log.
    fn checkpoint(
        &mut self,
        best: bool,
        logs: Option<&Logs>,
        observe: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<(), Error> {
        if let Some(logs) = logs {
            logs.sync()?;
        }
        let path = self.save(best)?;
        observe(&Event::Saved { update: self.state.update, path });
        Ok(())
    }

    /// Saves the last update that was made, where no checkpoint has it yet.
    fn save_if_unsaved(&mut self, logs: Option<&Logs>, observe: &mut (dyn FnMut(&Event) + Send)) -> Result<(), Error> {
        let update = self.state.update;
        if update == 0 || self.last_saved == Some(update) { Ok(()) } else { self.checkpoint(false, logs, observe) }
    }

    /// Validates after the updates that the recipe names; returns whether the loss is the best so far.
    fn validate_if_due(
        &mut self,
        scorer: &Scorer<'_>,
        logs: Option<&mut Logs>,
        observe: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<bool, Error> {
        let (train, update, last) = (&self.recipe.train, self.state.update, self.is_complete());
        let bleu = train.validate_bleu_every > 0 && (update.is_multiple_of(train.validate_bleu_every) || last);
        if self.held_out.is_empty() || !(update.is_multiple_of(train.validate_every) || bleu || last) {
            return Ok(false);
        }
        self.validate(bleu.then_some(scorer), logs, observe)
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

    /// The error about a number that is not finite, which rank 0 reports. `batch` is the end of its message.
    fn not_finite(&self, update: u64, what: &'static str, batch: String) -> Error {
        if !self.ranks.is_first() {
            return strata_ranks::Error::Elsewhere { rank: 0 }.into();
        }
        let kept = self.last_saved.map(|newest| Kept { run: self.folder.clone(), newest });
        Error::NotFinite { update, what, batch, kept }
    }
}
