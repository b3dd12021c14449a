//! The score of a given translation (forced decoding).

use strata_corpus::subword::EOS;
use strata_runtime::Request;

use crate::candidate::Token;
use crate::error::Error;
use crate::translator::Translator;

/// The score of a given translation.
#[derive(Clone, Debug, PartialEq)]
pub struct Forced {
    /// Sum of the tokens' scores.
    pub sum: f32,
    /// The subwords and the end mark.
    pub tokens: Vec<Token>,
}

impl Translator {
    /// The score of each `targets[i]` as the translation of `sources[i]` into `to`, subword by subword; for pairs that
    /// are too long for the model, or that it has no finite scores for, what is wrong with them.
    ///
    /// # Errors
    /// As [`Translator::frame`]; a model that is not on the CPU.
    ///
    /// # Panics
    /// If there are not as many sources as targets.
    pub fn score<S: AsRef<str> + Sync>(
        &self,
        sources: &[S],
        targets: &[S],
        from: Option<&str>,
        to: &str,
    ) -> Result<Vec<Result<Forced, String>>, Error> {
        assert_eq!(sources.len(), targets.len(), "a target for each source");
        let (frame, most) = (self.frame(from, to)?, self.most());
        let cpu = self.backend.cpu("forced decoding")?;
        let sources = self.subwords().encode_batch(sources);
        let targets: Vec<Vec<u32>> = targets.iter().map(|text| self.subwords().encode_target(text.as_ref())).collect();
        let mut results = Vec::with_capacity(sources.len());
        let (mut requests, mut places) = (Vec::new(), Vec::new());
        for (i, (source, target)) in sources.into_iter().zip(&targets).enumerate() {
            let length = source.len().max(target.len() + 1);
            results.push(Err(format!("a side of {length} subwords; this model takes at most {most}")));
            if length <= most {
                requests.push(Request::score(frame.source(source).collect(), frame.prompt(), EOS, target.clone()));
                places.push(i);
            }
        }
        let found = cpu.engine.translate(&requests, &cpu.limits())?;
        for (i, found) in places.into_iter().zip(found) {
            let scores = found.into_iter().next().map(|best| best.token_scores).unwrap_or_default();
            if scores.iter().any(|score| !score.is_finite()) {
                results[i] =
                    Err("the model's scores are no finite numbers; use another precision or model".to_string());
                continue;
            }
            results[i] = Ok(Forced { sum: scores.iter().sum(), tokens: self.tokens(&targets[i], &scores) });
        }
        Ok(results)
    }
}
