//! All models of a server: which of them translates a direction, and which of them are in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use strata_corpus::codes;
use strata_corpus::language::{Identifier, english_name};
use tokio::sync::Mutex;

use crate::engine::loaded::Loaded;
use crate::engine::served::Served;
use crate::error::{Answer, ApiError, Error};
use crate::settings::Settings;

/// All models of a server.
pub struct Models {
    models: Vec<Arc<Served>>,
    /// Among all languages that any model translates from or into.
    identifier: Identifier,
    /// The same languages, those first that the models have most text of.
    usual: Vec<String>,
    /// By target and the name of a model, or none for any: what a text to translate may be in. Made when it is first
    /// asked for, because making an identifier takes longer than asking it.
    sources: BTreeMap<(String, Option<String>), OnceLock<Sources>>,
    /// Tags of all languages, sorted.
    tags: Vec<String>,
    /// Models in memory at a time; 0 is all.
    most_loaded: usize,
    /// Held while one is loaded, so that the others can be counted.
    loading: Mutex<()>,
}

/// The languages that a text to translate into a target may be in.
struct Sources {
    /// Among the target and those that are translated into it.
    identifier: Identifier,
    /// Those that are translated into it, the one with most text first; never empty.
    usual: Vec<String>,
}

impl Sources {
    fn new<'a>(models: impl Iterator<Item = &'a Arc<Served>>, target: &str) -> Self {
        let directions = models.flat_map(|model| &model.languages().directions);
        let mut pairs: BTreeMap<&str, u64> = BTreeMap::new();
        for direction in directions.filter(|direction| direction.target == target) {
            *pairs.entry(&direction.source).or_default() += direction.train;
        }
        let candidates: BTreeSet<&str> = pairs.keys().copied().chain([target]).collect();
        let mut usual: Vec<String> = pairs.keys().map(ToString::to_string).collect();
        usual.sort_by_key(|source| std::cmp::Reverse(pairs[source.as_str()]));
        Self { identifier: Identifier::new(candidates), usual }
    }
}

impl Models {
    /// Reads the languages of every model.
    ///
    /// # Errors
    /// A model that is missing or damaged; two of one name.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let mut models: Vec<Arc<Served>> = Vec::with_capacity(settings.models.len());
        for source in &settings.models {
            if models.iter().any(|other| other.name() == source.name) {
                let text =
                    format!("two models are named `{0}`; name one by NAME={1}", source.name, source.path.display());
                return Err(Error::Settings(text));
            }
            models.push(Arc::new(Served::new(source, settings)?));
        }
        let tags: BTreeSet<String> = models.iter().flat_map(|model| model.languages().tags()).collect();
        let identifier = Identifier::new(tags.iter().map(String::as_str));
        let mut pairs: BTreeMap<&str, u64> = BTreeMap::new();
        for language in models.iter().flat_map(|model| &model.languages().languages) {
            *pairs.entry(&language.tag).or_default() += language.train_pairs;
        }
        let mut usual: Vec<String> = pairs.keys().map(ToString::to_string).collect();
        usual.sort_by_key(|tag| std::cmp::Reverse(pairs[tag.as_str()]));
        let targets = models.iter().flat_map(|model| {
            let named = model.languages().directions.iter().map(|direction| (&direction.target, model.name()));
            named.flat_map(|(target, name)| [(target.clone(), None), (target.clone(), Some(name.to_string()))])
        });
        let sources = targets.map(|key| (key, OnceLock::new())).collect();
        let (tags, most_loaded) = (tags.into_iter().collect(), settings.most_loaded);
        Ok(Self { models, identifier, usual, sources, tags, most_loaded, loading: Mutex::default() })
    }

    /// All models, in the order of the settings.
    pub fn all(&self) -> &[Arc<Served>] {
        &self.models
    }

    /// A model's weights and thread, loaded now if they are not in memory. If there are too many models in memory then,
    /// the least recently used one goes; models in use stay.
    ///
    /// # Errors
    /// As [`Served::get`].
    pub async fn get(self: &Arc<Self>, model: &Arc<Served>) -> Answer<Loaded> {
        let (models, model, asked) = (self.clone(), model.clone(), Instant::now());
        // A load cannot be stopped halfway. In a task of its own it keeps its locks to the end, also where the client
        // leaves; otherwise the next request would load the same model beside it.
        let got = tokio::spawn(async move { models.load(&model, asked).await });
        got.await.unwrap_or_else(|panic| Err(ApiError::internal(format!("the model cannot be loaded: {panic}"))))
    }

    async fn load(&self, model: &Arc<Served>, asked: Instant) -> Answer<Loaded> {
        if self.most_loaded == 0 || model.is_loaded() {
            return model.get(asked).await;
        }
        let _loading = self.loading.lock().await;
        let mut others: Vec<&Arc<Served>> =
            self.models.iter().filter(|other| !Arc::ptr_eq(other, model) && other.is_loaded()).collect();
        others.sort_by_key(|other| other.used());
        let mut too_many = (others.len() + 1).saturating_sub(self.most_loaded);
        for other in others {
            if too_many > 0 && other.unload("to make room for another").await {
                too_many -= 1;
            }
        }
        model.get(asked).await
    }

    /// Unloads the models that nobody has asked for in a while.
    pub async fn unload_idle(&self, after: Duration) {
        for model in self.models.iter().filter(|model| model.is_loaded() && model.used().elapsed() >= after) {
            model.unload("nobody asked for it").await;
        }
    }

    /// Tags of all languages, sorted.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The tag that a client means, among the languages of the model of this name, or of all. See [`codes::find`].
    pub fn tag(&self, said: &str, model: Option<&str>) -> Option<String> {
        let Some(model) = model else {
            return codes::find(said, self.tags.iter().map(String::as_str)).map(str::to_string);
        };
        let tags = self.models.iter().find(|other| other.name() == model)?.languages().tags();
        codes::find(said, tags.iter().map(String::as_str)).map(str::to_string)
    }

    /// The tags of the model of this name, or of all; sorted.
    pub fn tags_of(&self, model: Option<&str>) -> Vec<String> {
        let named = |model: &str| self.models.iter().find(|other| other.name() == model);
        model.and_then(named).map_or_else(|| self.tags.clone(), |model| model.languages().tags())
    }

    /// Languages that some model translates `source` into, and `source` itself, sorted.
    pub fn targets<'a>(&'a self, source: &'a str) -> Vec<&'a str> {
        let directions = self.models.iter().flat_map(|model| &model.languages().directions);
        let targets = directions.filter(|d| d.source == source).map(|d| d.target.as_str());
        targets.chain([source]).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Languages that some model translates from, sorted.
    pub fn sources(&self) -> Vec<&str> {
        let directions = self.models.iter().flat_map(|model| &model.languages().directions);
        directions.map(|d| d.source.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The language of a text among all, with a confidence from 0 to 1; where the text is too short to tell, the one
    /// that the models have most text of.
    pub fn identify(&self, text: &str) -> Option<(&str, f64)> {
        let usual: Vec<&str> = self.usual.iter().map(String::as_str).collect();
        self.identifier.identify_likely(text, &usual)
    }

    /// The language of a text to translate into `target`, among `target` and those that are translated into it, with a
    /// confidence from 0 to 1. Where the text is too short to tell, it is taken for the language that the models have
    /// most text of: who asks for a translation wants one.
    ///
    /// # Errors
    /// 400 if there is no model of this name, or nothing is translated into `target` by it, or by any.
    pub fn identify_source(&self, text: &str, target: &str, model: Option<&str>) -> Answer<(&str, f64)> {
        let asked = self.named(model)?;
        let sources = self.sources.get(&(target.to_string(), model.map(str::to_string))).ok_or_else(|| {
            ApiError::invalid(format!("{target} is not available as a target language; nothing is translated into it"))
        })?;
        let Sources { identifier, usual } = sources.get_or_init(|| Sources::new(asked.into_iter(), target));
        let usual: Vec<&str> = usual.iter().map(String::as_str).collect();
        // Models do not see the source language, so any will do for a text without words.
        Ok(identifier.identify_likely(text, &usual).unwrap_or((usual[0], 0.0)))
    }

    /// The model of this name, or all.
    ///
    /// # Errors
    /// 400 with the names that there are.
    fn named(&self, name: Option<&str>) -> Answer<Vec<&Arc<Served>>> {
        let named: Vec<_> = self.models.iter().filter(|model| name.is_none_or(|name| model.name() == name)).collect();
        if named.is_empty() {
            let names: Vec<&str> = self.models.iter().map(|model| model.name()).collect();
            return Err(ApiError::invalid(format!("there is no such model; there are: {}", names.join(", "))));
        }
        Ok(named)
    }

    /// The model for a direction: the one of this name, or the first that has the direction.
    ///
    /// # Errors
    /// 400 with the models or targets that there are.
    pub fn choose(&self, name: Option<&str>, source: &str, target: &str) -> Answer<Arc<Served>> {
        let has = |model: &&Arc<Served>| model.has(source, target);
        self.named(name)?.into_iter().find(has).cloned().ok_or_else(|| {
            let targets: Vec<&str> = self.targets(source).into_iter().filter(|target| *target != source).collect();
            ApiError::invalid(format!(
                "{target} is not available as a target language from {source}; from there: {}",
                targets.join(", ")
            ))
        })
    }
}

/// A language's English name, or its tag where that is not known.
pub fn name_of(tag: &str) -> &str {
    english_name(tag).unwrap_or(tag)
}

#[cfg(test)]
mod tests;
