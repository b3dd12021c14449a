//! The languages that a model is pruned for, by any of their codes, and which directions of a corpus are theirs.

use strata_corpus::codes;
use strata_corpus::languages::Direction;

use super::PruneOptions;
use crate::analysis::Routed;
use crate::error::Error;
use crate::routed::RoutedModel;

/// The languages that a model is pruned for, as it calls them.
pub(super) struct Chosen<'a> {
    model: &'a RoutedModel,
    /// The model's tags, sorted.
    pub languages: Vec<&'a str>,
    /// The tag of the language that they are translated from and into besides.
    pub pivot: Option<&'a str>,
}

impl<'a> Chosen<'a> {
    /// Finds what the options name.
    ///
    /// # Errors
    /// A language that the model does not know.
    pub fn of(model: &'a RoutedModel, options: &PruneOptions) -> Result<Self, Error> {
        let named = |said: &String| {
            model.language(said).ok_or_else(|| {
                let known = model.languages().tags();
                let near = strata_recipe::nearest(said, known.iter().map(String::as_str));
                let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let what = format!("the model has no language `{said}`{hint} (it knows: {})", codes::listed(&known));
                Error::Invalid(what)
            })
        };
        let mut languages = options.languages.iter().map(named).collect::<Result<Vec<&str>, Error>>()?;
        languages.sort_unstable();
        languages.dedup();
        let pivot = options.pivot.as_ref().map_or(Ok(model.language("en")), |said| named(said).map(Some))?;
        Ok(Self { model, languages, pivot })
    }

    /// Whether the corpus's direction is between two of the languages, or one of them and the pivot.
    pub fn has(&self, direction: &Direction) -> bool {
        let [source, target] = [&direction.source, &direction.target].map(|tag| self.model.language(tag));
        let own = |tag: &str| self.languages.contains(&tag);
        let known = |tag: &str| own(tag) || self.pivot == Some(tag);
        match (source, target) {
            (Some(source), Some(target)) => known(source) && known(target) && (own(source) || own(target)),
            _ => false,
        }
    }

    /// The directions between a language and the pivot that are not among the corpus's directions `routed`.
    pub fn without_text(&self, routed: &[Routed]) -> Vec<String> {
        let found: Vec<_> = routed
            .iter()
            .filter(|routed| routed.counts.sentences > 0)
            .map(|Routed { direction: Direction { source, target, .. }, .. }| {
                (self.model.language(source), self.model.language(target))
            })
            .collect();
        let pairs = self.languages.iter().filter_map(|language| Some((*language, self.pivot?)));
        pairs
            .filter(|(language, pivot)| language != pivot)
            .flat_map(|(language, pivot)| [(pivot, language), (language, pivot)])
            .filter(|(source, target)| !found.contains(&(Some(source), Some(target))))
            .map(|(source, target)| format!("{source}-{target}"))
            .collect()
    }

    /// `deu_Latn, fra_Latn with eng_Latn`
    pub fn words(&self) -> String {
        let with = self.pivot.map_or("each other".to_string(), |pivot| format!("{pivot} or each other"));
        format!("{} with {with}", self.languages.join(", "))
    }
}
