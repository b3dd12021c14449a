//! The model itself on any device that Burn has: plain beam search.

use strata_corpus::Subwords;
use strata_corpus::languages::Languages;
use strata_model::{Packed, SearchIds, Transformer, beam_search, parse_device};
use strata_recipe::ModelConfig;
use strata_runtime::{Hypothesis, Request, Tally};
use strata_store::ModelFolder;

use crate::backend::Backend;
use crate::error::Error;
use crate::options::TranslateOptions;
use crate::translator::Translator;

/// A model on a device.
pub(crate) struct OnDevice(Transformer);

impl Translator {
    /// A translator that searches with the model itself, on its own device; `model` must be without gradients.
    pub fn from_model(model: Transformer, subwords: Subwords, languages: Languages) -> Self {
        Self::new(Backend::Device(Box::new(OnDevice(model))), subwords, languages)
    }

    /// A translator for a model in training, without its gradients: with the CPU engine if the model is on the CPU,
    /// else as [`Translator::from_model`].
    ///
    /// # Errors
    /// None for a model that training built.
    pub fn of_training(mut model: Transformer, subwords: Subwords, languages: Languages) -> Result<Self, Error> {
        if model.is_on_cpu() {
            let config = model.config().clone();
            return Self::from_weights(&config, &model.weights(), subwords, languages);
        }
        Ok(Self::from_model(model, subwords, languages))
    }
}

impl OnDevice {
    /// Loads the weights of `folder` onto `device`.
    pub fn load(folder: &ModelFolder, device: &str) -> Result<Self, Error> {
        let mut model = Transformer::new(&folder.model_config()?, 0, &parse_device(device)?)?;
        let weights = folder.weights()?;
        weights.check_finite()?;
        model.load_weights(&weights)?;
        Ok(Self(model))
    }

    pub fn config(&self) -> &ModelConfig {
        self.0.config()
    }

    /// Refuses what plain beam search does not have.
    pub fn check(options: &TranslateOptions) -> Result<(), Error> {
        if options.is_plain() {
            return Ok(());
        }
        Err(plain_only())
    }

    /// Translates requests of one task in batches of like length, each with at most `tokens_per_batch` source subwords
    /// or one sentence; `tally` counts them.
    pub fn translate(
        &self,
        requests: &[Request],
        tokens_per_batch: usize,
        tally: &Tally,
    ) -> Result<Vec<Vec<Hypothesis>>, Error> {
        if requests.iter().any(|request| !request.prefix.is_empty()) {
            return Err(plain_only());
        }
        // Sentences of like length end at about the same step.
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(requests[*i].source.len()));
        let mut results = vec![Vec::new(); requests.len()];
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let mut tokens = 0;
            let fitting = rest.iter().take_while(|i| {
                tokens += requests[**i].source.len();
                tokens <= tokens_per_batch
            });
            let (batch, others) = rest.split_at(fitting.count().max(1));
            rest = others;
            let found = self.search(batch.iter().map(|i| &requests[*i]).collect())?;
            tally.add(batch.len());
            batch.iter().zip(found).for_each(|(i, hypotheses)| results[*i] = hypotheses);
        }
        Ok(results)
    }

    fn search(&self, batch: Vec<&Request>) -> Result<Vec<Vec<Hypothesis>>, Error> {
        let Some(one) = batch.first() else { return Ok(Vec::new()) };
        let sources: Vec<&[u32]> = batch.iter().map(|request| request.source.as_slice()).collect();
        let prompts: Vec<Vec<u32>> = batch.iter().map(|request| request.prompt.clone()).collect();
        let ids = SearchIds { prompts: &prompts, end: one.end, suppressed: &one.suppressed };
        let found = beam_search(&self.0, &Packed::from_sentences(&sources), ids, &one.options)?;
        let hypothesis = |found: strata_model::Hypothesis| Hypothesis {
            ids: found.ids,
            score: found.score,
            ..Hypothesis::default()
        };
        Ok(found.into_iter().map(|found| found.into_iter().map(hypothesis).collect()).collect())
    }
}

fn plain_only() -> Error {
    Error::Unsupported(
        "this device has plain beam search only: prefixes, glossaries, vocabulary maps, sampling, alignments, routing, \
         the coverage penalty and limits of length or repetition need the device cpu"
            .into(),
    )
}
