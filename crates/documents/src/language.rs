//! The language that a document says it is in.

use strata_corpus::codes::{Script, language_tag, related, script};

use crate::error::{Error, Result};
use crate::events::{Kind, attribute, is_kept, with_attribute};
use crate::options::Options;
use crate::xml::{Events, local};

/// Attributes of a root element that say the language of what is in it: HTML's, and XML's, where `lang` may be any
/// other thing's.
const NAMES: [&str; 2] = ["xml:lang", "lang"];

/// The start tag of a document's root that says the language translated into, and a page's the direction of its text;
/// none if there is nothing to say, or the document is not to be translated.
pub fn said_anew(tag: &str, name: &str, options: &Options) -> Option<String> {
    let target = options.target.as_deref().filter(|_| !is_kept(tag))?;
    let language = language_tag(target);
    let names = if name == "html" { &NAMES[..] } else { &NAMES[..1] };
    let said = names.iter().filter(|name| attribute(tag, name).is_some());
    let mut anew = said.fold(tag.to_string(), |tag, name| with_attribute(&tag, name, &language));
    if name == "html" {
        let direction = if script(target) == Script::RightToLeft { "rtl" } else { "ltr" };
        let is_said = attribute(tag, "dir").is_some_and(|said| !said.eq_ignore_ascii_case("auto"));
        // Without it, text runs from left to right.
        if is_said || (direction == "rtl" && attribute(tag, "dir").is_none()) {
            anew = with_attribute(&anew, "dir", direction);
        }
    }
    (anew != tag).then_some(anew)
}

/// A book's package with its first `<dc:language>` saying the language translated into; none if it has none, or is no
/// XML.
pub fn language_element(xml: &str, options: &Options) -> Option<String> {
    let target = options.target.as_ref()?;
    let mut inside = false;
    for event in Events::new(xml) {
        let event = event.ok()?;
        match &event.kind {
            Kind::Open(name) => inside = local(name) == "language",
            Kind::Text if inside => {
                let (before, after) = (&xml[..event.range.start], &xml[event.range.end..]);
                return Some(format!("{before}{}{after}", language_tag(target)));
            }
            _ => inside = false,
        }
    }
    None
}

/// A language as gettext names it: `pt_BR`, and Chinese by a region that writes it so.
pub fn locale(code: &str) -> String {
    match language_tag(code).replace('-', "_").as_str() {
        "zh_Hans" => "zh_CN".to_string(),
        "zh_Hant" => "zh_TW".to_string(),
        tag => tag.to_string(),
    }
}

/// Refuses to add translations to those into another language. What is no code, such as `German`, says nothing.
///
/// # Errors
/// [`Error::Invalid`], with both languages.
pub fn check_translated(said: &str, options: &Options) -> Result<()> {
    // As gettext says a script.
    let said = said.trim().replace("@latin", "_Latn").replace("@cyrillic", "_Cyrl");
    let is_code = said.split(['-', '_', '@']).next().is_some_and(|language| matches!(language.len(), 2 | 3));
    match &options.target {
        Some(target) if is_code && !related(&said, target) => Err(Error::invalid(format!(
            "the file says that its translations are into {said}, not {target}; translate into {said}, or change what \
             the file says"
        ))),
        _ => Ok(()),
    }
}
