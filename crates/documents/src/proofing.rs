//! The language in which office programs check a document's spelling, hyphenate it and read it aloud. Formatting says
//! it, run by run and in the styles, apart for three kinds of script.

use strata_corpus::codes;

use crate::events::{Kind, attribute, with_attribute};
use crate::language::locale;
use crate::packed;
use crate::xml::Events;

/// What is said of text that is in no language: nothing checks it.
const NO_LANGUAGE: [&str; 5] = ["", "none", "x-none", "zxx", "und"];

/// A language as office programs name it.
pub struct Proofing {
    /// Among the attributes for Western, East Asian and complex scripts, the language's.
    script: usize,
    /// `pt`
    language: String,
    /// `BR`
    country: Option<String>,
}

impl Proofing {
    /// That of text in the language `code`.
    pub fn of(code: &str) -> Self {
        let script = match codes::script(code) {
            codes::Script::Western => 0,
            codes::Script::EastAsian => 1,
            codes::Script::Complex | codes::Script::RightToLeft => 2,
        };
        let locale = locale(code);
        let (language, country) = match locale.split_once('_') {
            Some((language, country)) if country.len() < 4 => (language.to_string(), Some(country.to_string())),
            _ => (locale.replace('_', "-"), None),
        };
        Self { script, language, country }
    }

    /// A member of a document with this language wherever its formatting says one; none if it says none, or is no XML.
    pub fn said_in(&self, xml: &str, kind: packed::Kind) -> Option<String> {
        let mut anew = String::new();
        let mut kept = 0;
        for event in Events::new(xml) {
            let event = event.ok()?;
            let (Kind::Open(name) | Kind::Empty(name)) = &event.kind else { continue };
            let tag = &xml[event.range.clone()];
            if let Some(said) = self.said_by(tag, name, kind) {
                anew.push_str(&xml[kept..event.range.start]);
                anew.push_str(&said);
                kept = event.range.end;
            }
        }
        anew.push_str(&xml[kept..]);
        (kept > 0).then_some(anew)
    }

    /// A tag that says this language, if it says another.
    fn said_by(&self, tag: &str, name: &str, kind: packed::Kind) -> Option<String> {
        let whole = || self.country.iter().fold(self.language.clone(), |tag, country| format!("{tag}-{country}"));
        let (attribute_name, value) = match kind {
            packed::Kind::Word if name == "w:lang" => (["w:val", "w:eastAsia", "w:bidi"][self.script], whole()),
            packed::Kind::Slides if name.ends_with("Pr") => ("lang", whole()),
            packed::Kind::OpenDocument if name == "style:text-properties" => {
                let names = ["fo:language", "style:language-asian", "style:language-complex"];
                (names[self.script], self.language.clone())
            }
            _ => return None,
        };
        if NO_LANGUAGE.contains(&attribute(tag, attribute_name)?) {
            return None;
        }
        let mut anew = with_attribute(tag, attribute_name, &value);
        if kind == packed::Kind::OpenDocument {
            let country = ["fo:country", "style:country-asian", "style:country-complex"][self.script];
            anew = with_attribute(&anew, country, self.country.as_deref().unwrap_or("none"));
        }
        (anew != tag).then_some(anew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(xml: &str, code: &str, kind: packed::Kind) -> String {
        Proofing::of(code).said_in(xml, kind).unwrap_or_else(|| "as it was".to_string())
    }

    #[test]
    fn the_language_is_said_for_its_own_kind_of_script() {
        let xml = r#"<w:rPr><w:b/><w:lang w:val="en-US" w:eastAsia='en-US' w:bidi="ar-SA"/></w:rPr>"#;
        let word = |code| said(xml, code, packed::Kind::Word);
        assert_eq!(word("deu_Latn"), xml.replace("\"en-US\"", "\"de\""));
        assert_eq!(word("pt_BR"), xml.replace("\"en-US\"", "\"pt-BR\""));
        assert_eq!(word("zho_Hant"), xml.replace("'en-US'", "'zh-TW'"));
        assert_eq!(word("pes_Arab"), xml.replace("ar-SA", "fa"));
        assert_eq!(word("en-US"), "as it was");
        for xml in [r#"<w:lang w:val="x-none"/>"#, r#"<w:lang w:bidi="ar-SA"/>"#, "<w:t>lang</w:t>", "<w:lang"] {
            assert_eq!(said(xml, "de", packed::Kind::Word), "as it was", "{xml}");
        }
    }

    #[test]
    fn slides_say_it_in_properties_and_open_documents_with_a_country() {
        let xml = r#"<a:rPr lang="en-US" dirty="0"/><a:t lang="en">a</a:t><a:endParaRPr lang="fr-FR"/>"#;
        let wanted = r#"<a:rPr lang="de" dirty="0"/><a:t lang="en">a</a:t><a:endParaRPr lang="de"/>"#;
        assert_eq!(said(xml, "de", packed::Kind::Slides), wanted);
        let xml = r#"<style:text-properties fo:language="en" fo:country="US" style:language-asian="zh"/>"#;
        let open = |code| said(xml, code, packed::Kind::OpenDocument);
        assert_eq!(open("de"), xml.replace("\"en\"", "\"de\"").replace("US", "none"));
        assert_eq!(open("pt-BR"), xml.replace("\"en\"", "\"pt\"").replace("US", "BR"));
        let wanted = xml.replace("\"zh\"", "\"ja\" style:country-asian=\"none\"");
        assert_eq!(open("jpn_Jpan"), wanted);
        assert_eq!(said("<p lang=\"en\"/>", "de", packed::Kind::Book), "as it was");
    }
}
