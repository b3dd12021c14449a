//! DeepL's options of a translation: each has its effect, or is refused by its name.

use strata_documents::{FLOWING, Format, HTML, Options, TEXT, Tags, XML};

use crate::api::params::Params;
use crate::api::work::Sentences;
use crate::error::{Answer, ApiError};

/// How texts are read and split.
pub struct Handling {
    /// How they are written.
    pub format: &'static Format,
    /// What is said about their tags.
    pub options: Options,
    /// How sentences are found.
    pub sentences: Sentences,
}

/// Reads the options of a request.
///
/// # Errors
/// 400 for one with a value that it does not take, or that this server cannot follow.
pub fn handling(params: &Params) -> Answer<Handling> {
    refuse(params)?;
    let tagged = match params.text("tag_handling")? {
        None => None,
        Some("html") => Some(&HTML),
        Some("xml") => Some(&XML),
        Some(_) => return Err(ApiError::invalid("tag_handling must be html or xml")),
    };
    let mut tags = Tags::default();
    for (name, set) in [
        ("ignore_tags", &mut tags.ignored),
        ("splitting_tags", &mut tags.splitting),
        ("non_splitting_tags", &mut tags.non_splitting),
    ] {
        set.extend(params.list(name)?);
        if !set.is_empty() && tagged.is_none() {
            return Err(ApiError::invalid(format!("{name} needs tag_handling, html or xml")));
        }
    }
    if params.is_said("outline_detection") {
        if tagged.is_none() {
            return Err(ApiError::invalid("outline_detection needs tag_handling, html or xml"));
        }
        tags.detects_outline = params.flag("outline_detection")?;
    }
    let (plain, sentences) = match params.choice("split_sentences")?.as_deref() {
        None | Some("1" | "true" | "default") => (&TEXT, Sentences::Split),
        Some("nonewlines") => (&FLOWING, Sentences::Split),
        Some("0" | "false" | "off") => (&FLOWING, Sentences::Whole),
        Some(_) => return Err(ApiError::invalid("split_sentences must be 0, 1 or nonewlines")),
    };
    Ok(Handling { format: tagged.unwrap_or(plain), options: Options { tags, ..Options::default() }, sentences })
}

impl Handling {
    /// How a file of this name is read; none for as its name says.
    ///
    /// # Errors
    /// 400 for an option that has no effect on such files.
    pub fn of_file(&self, name: &str) -> Answer<Option<&'static Format>> {
        let Some(named) = Format::of_file(name) else { return Ok(None) };
        let [asked, text, flowing] = [self.format, &TEXT, &FLOWING].map(std::ptr::from_ref);
        let named = std::ptr::from_ref(named);
        match self.sentences {
            _ if asked == text || asked == named => Ok(None),
            _ if asked == flowing && named == text => Ok(Some(&FLOWING)),
            // All formats have texts that can stay whole.
            Sentences::Whole if asked == flowing => Ok(None),
            Sentences::Split if asked == flowing => Err(ApiError::invalid(
                "split_sentences=nonewlines is for texts and .txt files: files of other formats say where a text goes \
                 on; leave it out",
            )),
            _ => Err(ApiError::invalid("tag_handling is html for .html files and xml for .xml files; leave it out")),
        }
    }
}

/// Refuses what cannot be followed. `context` is advice, which clients such as Weblate send with every text;
/// `model_type` names one of DeepL's own kinds of model, of which a server here has one; billed characters are always
/// shown, and formatting is always preserved. Formality that is only preferred falls back, as DeepL's own does.
fn refuse(params: &Params) -> Answer<()> {
    match params.text("formality")? {
        None | Some("default" | "prefer_more" | "prefer_less") => {}
        Some("more" | "less") => {
            return Err(ApiError::invalid(
                "formality is not supported; leave it out, or ask for prefer_more or prefer_less",
            ));
        }
        Some(_) => return Err(ApiError::invalid("formality must be default, more, less, prefer_more or prefer_less")),
    }
    match params.text("model_type")? {
        None | Some("quality_optimized" | "prefer_quality_optimized" | "latency_optimized") => {}
        Some(_) => {
            let text = "model_type must be quality_optimized, prefer_quality_optimized or latency_optimized";
            return Err(ApiError::invalid(text));
        }
    }
    params.flag("preserve_formatting")?;
    let others = ["style_id", "style_rule_id", "custom_instructions", "translation_memory_id", "tag_handling_version"];
    match others.iter().find(|name| params.is_said(name)) {
        Some(name) => Err(ApiError::invalid(format!("{name} is not supported; leave it out"))),
        None => Ok(()),
    }
}
