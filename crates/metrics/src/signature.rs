//! Signatures: everything a score depends on, in one line to quote beside it.

use std::fmt;

/// What a score depends on, as sacreBLEU writes it: `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`.
///
/// `Display` gives the long form; [`short`](Self::short) the abbreviated one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    references: usize,
    bootstrap: Option<usize>,
    randomization: Option<usize>,
    seed: Option<u64>,
    /// Of the metric: (key, abbreviation, value).
    fields: Vec<(&'static str, &'static str, String)>,
}

impl Signature {
    pub(crate) fn new(references: usize, fields: Vec<(&'static str, &'static str, String)>) -> Self {
        Self { references, bootstrap: None, randomization: None, seed: None, fields }
    }

    /// Adds the number of bootstrap resamples and the seed.
    #[must_use]
    pub fn with_bootstrap(mut self, resamples: usize, seed: u64) -> Self {
        self.bootstrap = Some(resamples);
        self.seed = Some(seed);
        self
    }

    /// Adds the number of trials of approximate randomization and the seed.
    #[must_use]
    pub fn with_randomization(mut self, trials: usize, seed: u64) -> Self {
        self.randomization = Some(trials);
        self.seed = Some(seed);
        self
    }

    /// The abbreviated form: `#:1|c:mixed|e:no|tok:13a|s:exp|v:2.6.0`.
    pub fn short(&self) -> String {
        self.join(|_, short| short)
    }

    fn join(&self, pick: impl Fn(&'static str, &'static str) -> &'static str) -> String {
        let mut pairs = vec![format!("{}:{}", pick("nrefs", "#"), self.references)];
        let optional = [
            ("bs", "bs", self.bootstrap.map(|n| n.to_string())),
            ("ar", "ar", self.randomization.map(|n| n.to_string())),
            ("seed", "rs", self.seed.map(|n| n.to_string())),
        ];
        pairs.extend(optional.into_iter().filter_map(|(k, s, v)| Some(format!("{}:{}", pick(k, s), v?))));
        pairs.extend(self.fields.iter().map(|(key, short, value)| format!("{}:{value}", pick(key, short))));
        pairs.push(format!("{}:{}", pick("version", "v"), crate::SACREBLEU_VERSION));
        pairs.join("|")
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.join(|key, _| key))
    }
}

pub(crate) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

pub(crate) fn case(lowercase: bool) -> String {
    if lowercase { "lc" } else { "mixed" }.to_owned()
}
