//! The mean of several checkpoints' weights, which usually translates better than the last of them
//! (Popel and Bojar 2018, <https://arxiv.org/abs/1804.00247>, section 4.10).
//!
//! Sums are taken in f64, one tensor at a time: the inputs are mapped, so memory is that of the largest tensor.

use std::borrow::Cow;
use std::path::Path;

use strata_files::Existing;

use crate::checkpoint::RunFolder;
use crate::error::Error;
use crate::model_folder::{CONFIG_FILE, LANGUAGES_FILE, ModelFolder, ModelParts, TOKENIZER_FILE, WEIGHTS_FILE};
use crate::tensors::{Dtype, TensorFile, TensorSource, TensorSpec};

/// Which checkpoints of a run go into its average: the last `count` of the newest and of those made every `every`
/// updates. An interruption or a best validation saves further ones, which take no part: an average must not depend on
/// when training was interrupted.
#[derive(Clone, Copy, Debug)]
pub struct Averaging {
    /// How many at most.
    pub count: usize,
    /// Updates from one to the next.
    pub every: u64,
}

impl Averaging {
    /// Those of `steps`, which ascend, that go in.
    pub fn of(self, steps: &[u64]) -> Vec<u64> {
        let newest = steps.last();
        let taken = steps.iter().rev().filter(|step| Some(*step) == newest || step.is_multiple_of(self.every));
        let mut taken: Vec<u64> = taken.take(self.count).copied().collect();
        taken.reverse();
        taken
    }
}

/// Several weight files as the one that holds their mean.
#[derive(Debug)]
pub struct AveragedWeights {
    files: Vec<TensorFile>,
    specs: Vec<TensorSpec>,
}

impl AveragedWeights {
    /// Checks that all files have the same f32 tensors in the same shapes.
    ///
    /// # Errors
    /// [`Error::NoTensor`] or [`Error::TensorMismatch`] where they differ, [`Error::Invalid`] for no file at all.
    pub fn new(files: Vec<TensorFile>) -> Result<AveragedWeights, Error> {
        let Some(first) = files.first() else {
            return Err(Error::Invalid("no checkpoint to average; save one first".to_string()));
        };
        let mut specs = Vec::new();
        for name in first.names() {
            let shape = first.view(name)?.shape;
            for file in &files {
                file.expect(name, Dtype::F32, shape)?;
            }
            specs.push(TensorSpec { name: name.to_string(), dtype: Dtype::F32, shape: shape.to_vec() });
        }
        // Each file has all names of the first; one that has more belongs to another model.
        for file in &files {
            if let Some(more) = file.names().find(|name| first.view(name).is_err()) {
                return Err(Error::NoTensor { path: first.path().to_path_buf(), name: more.to_string() });
            }
        }
        Ok(AveragedWeights { files, specs })
    }
}

impl TensorSource for AveragedWeights {
    fn specs(&self) -> Vec<TensorSpec> {
        self.specs.clone()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, Error> {
        let TensorSpec { name, shape, .. } = &self.specs[index];
        let inputs = self.files.iter().map(|f| f.f32(name, shape)).collect::<Result<Vec<_>, _>>()?;
        let scale = inputs.len() as f64;
        let mut bytes = Vec::with_capacity(inputs[0].len() * 4);
        for i in 0..inputs[0].len() {
            let sum: f64 = inputs.iter().map(|values| f64::from(values[i])).sum();
            bytes.extend_from_slice(&((sum / scale) as f32).to_le_bytes());
        }
        Ok(Cow::Owned(bytes))
    }
}

/// Writes a model folder with the mean weights of the run's checkpoints that `averaging` takes, and everything else
/// from the newest. Returns the folder and the steps that went into it, ascending.
///
/// # Errors
/// As [`RunFolder::load`], [`AveragedWeights::new`] and [`ModelFolder::write`].
pub fn average_last(
    run: &RunFolder,
    averaging: Averaging,
    destination: impl AsRef<Path>,
    existing: Existing,
) -> Result<(ModelFolder, Vec<u64>), Error> {
    let steps = averaging.of(&run.steps()?);
    let checkpoints = steps.iter().map(|&step| run.load(step)).collect::<Result<Vec<_>, _>>()?;
    let files = checkpoints.iter().map(|c| c.model().weights()).collect::<Result<Vec<_>, _>>()?;
    let weights = AveragedWeights::new(files)?;
    let Some(newest) = checkpoints.last().map(|c| c.model()) else {
        return Err(Error::Invalid(format!("{} has no checkpoint to average", run.path().display())));
    };
    let training_only = [crate::checkpoint::OPTIMIZER_FILE, crate::checkpoint::STATE_FILE];
    let parts = [CONFIG_FILE, TOKENIZER_FILE, LANGUAGES_FILE, WEIGHTS_FILE];
    let more = newest.checksums().names().filter(|name| !parts.contains(name) && !training_only.contains(name));
    let more = more.map(|name| Ok((name, newest.read(name)?))).collect::<Result<Vec<_>, Error>>()?;
    let extra: Vec<(&str, &[u8])> = more.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let model = ModelFolder::write(
        destination,
        &ModelParts {
            config: &newest.config()?,
            tokenizer: &newest.tokenizer()?,
            languages: &newest.languages()?,
            weights: &weights,
            extra: &extra,
        },
        existing,
    )?;
    Ok((model, steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::TensorList;

    fn weights(dir: &Path, name: &str, list: &TensorList<'_>) -> TensorFile {
        let parts = ModelParts { config: b"", tokenizer: b"", languages: b"", weights: list, extra: &[] };
        ModelFolder::write(dir.join(name), &parts, Existing::Refuse).unwrap().weights().unwrap()
    }

    fn list(values: [f32; 3], shape: &[usize], name: &str) -> TensorList<'static> {
        let mut list = TensorList::new();
        list.push_f32(name, shape, values.to_vec());
        list
    }

    #[test]
    fn the_mean_is_taken_in_f64() {
        let dir = tempfile::tempdir().unwrap();
        // In f32, 2^24 + 1 + 1 is 2^24, and MAX + MAX overflows.
        let a = weights(dir.path(), "a", &list([16_777_216.0, f32::MAX, 1.0], &[3], "w"));
        let b = weights(dir.path(), "b", &list([1.0, f32::MAX, 2.0], &[3], "w"));
        let c = weights(dir.path(), "c", &list([1.0, f32::MAX, 4.0], &[3], "w"));
        let mean = AveragedWeights::new(vec![a, b, c]).unwrap();
        let bytes = mean.bytes(0).unwrap();
        let values: Vec<f32> = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(values, [(16_777_218.0f64 / 3.0) as f32, f32::MAX, (7.0f64 / 3.0) as f32]);
    }

    #[test]
    fn weights_of_different_models_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut two = list([0.0; 3], &[3], "w");
        two.push_f32("more", &[1], vec![0.0]);
        weights(dir.path(), "a", &list([0.0; 3], &[3], "w"));
        weights(dir.path(), "b", &list([0.0; 3], &[1, 3], "w"));
        weights(dir.path(), "c", &list([0.0; 3], &[3], "v"));
        weights(dir.path(), "d", &two);
        let open = |name: &str| TensorFile::open(dir.path().join(name).join(WEIGHTS_FILE)).unwrap();
        let pair = |a, b| AveragedWeights::new(vec![open(a), open(b)]).unwrap_err().to_string();
        assert!(pair("a", "b").ends_with("tensor `w` is F32 [1, 3], expected F32 [3]"));
        assert!(pair("a", "c").contains("no tensor `w`"));
        assert!(pair("a", "d").contains("no tensor `more`"));
        assert!(pair("d", "a").contains("no tensor `more`"));
        assert!(AveragedWeights::new(vec![]).is_err());
    }
}
