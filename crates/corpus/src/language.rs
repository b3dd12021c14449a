//! Language tags, and the optional filter that identifies a sentence's language.

use serde::{Deserialize, Serialize};
use whatlang::{Detector, Lang};

use crate::short::evidence;

/// ISO 639-1 codes (and macro-languages) of the languages that the identifier knows; 639-3 codes it reads itself.
#[rustfmt::skip]
const CODES: &[(&str, Lang)] = &[
    ("af", Lang::Afr), ("ak", Lang::Aka), ("am", Lang::Amh), ("ar", Lang::Ara), ("az", Lang::Aze), ("azj", Lang::Aze),
    ("be", Lang::Bel), ("bg", Lang::Bul), ("bn", Lang::Ben), ("ca", Lang::Cat), ("cs", Lang::Ces), ("cy", Lang::Cym),
    ("da", Lang::Dan), ("de", Lang::Deu), ("el", Lang::Ell), ("en", Lang::Eng), ("eo", Lang::Epo), ("es", Lang::Spa),
    ("et", Lang::Est), ("fa", Lang::Pes), ("fas", Lang::Pes), ("fi", Lang::Fin), ("fr", Lang::Fra), ("gu", Lang::Guj),
    ("he", Lang::Heb), ("hi", Lang::Hin), ("hr", Lang::Hrv), ("hu", Lang::Hun), ("hy", Lang::Hye), ("id", Lang::Ind),
    ("it", Lang::Ita), ("iw", Lang::Heb), ("ja", Lang::Jpn), ("jv", Lang::Jav), ("ka", Lang::Kat), ("km", Lang::Khm),
    ("kn", Lang::Kan), ("ko", Lang::Kor), ("la", Lang::Lat), ("lt", Lang::Lit), ("lv", Lang::Lav), ("lvs", Lang::Lav),
    ("mk", Lang::Mkd), ("ml", Lang::Mal), ("mr", Lang::Mar), ("my", Lang::Mya), ("nb", Lang::Nob), ("ne", Lang::Nep),
    ("nl", Lang::Nld), ("no", Lang::Nob), ("or", Lang::Ori), ("pa", Lang::Pan), ("pl", Lang::Pol), ("pt", Lang::Por),
    ("ro", Lang::Ron), ("ru", Lang::Rus), ("si", Lang::Sin), ("sk", Lang::Slk), ("sl", Lang::Slv), ("sn", Lang::Sna),
    ("sr", Lang::Srp), ("sv", Lang::Swe), ("ta", Lang::Tam), ("te", Lang::Tel), ("th", Lang::Tha), ("tk", Lang::Tuk),
    ("tl", Lang::Tgl), ("tr", Lang::Tur), ("uk", Lang::Ukr), ("ur", Lang::Urd), ("uz", Lang::Uzb), ("vi", Lang::Vie),
    ("yi", Lang::Yid), ("zh", Lang::Cmn), ("zho", Lang::Cmn), ("zu", Lang::Zul),
];

/// The identifier's name for a tag like `de`, `deu`, `zh_CN`, `deu_Latn`; `None` if it does not know the language.
fn identify_tag(tag: &str) -> Option<Lang> {
    let code = tag.split(['_', '-']).next()?.to_ascii_lowercase();
    let known = CODES.iter().find(|(c, _)| *c == code).map(|(_, lang)| *lang);
    known.or_else(|| if code.len() == 3 { Lang::from_code(code) } else { None })
}

/// The English name of the language of a tag; none for a language that the identifier does not know.
pub fn english_name(tag: &str) -> Option<&'static str> {
    identify_tag(tag).map(|language| match language {
        Lang::Nob => "Norwegian Bokmål", // whatlang has `Bokmal`
        other => other.eng_name(),
    })
}

/// Tells which of given languages a text is in (whatlang: by letter trigrams). Languages that it does not know are
/// never found.
pub struct Identifier {
    /// The tags as given with what the identifier calls them; of several tags for one language the first counts.
    known: Vec<(String, Lang)>,
    detector: Detector,
}

impl Identifier {
    /// An identifier among the languages of `tags`.
    pub fn new<'a>(tags: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<(String, Lang)> =
            tags.into_iter().filter_map(|tag| Some((tag.to_string(), identify_tag(tag)?))).collect();
        let mut allowed: Vec<Lang> = known.iter().map(|(_, lang)| *lang).collect();
        allowed.sort_by_key(|lang| lang.code());
        allowed.dedup();
        Self { known, detector: Detector::with_allowlist(allowed) }
    }

    /// The tag of the language of `text` and how sure it is, from 0 to 1; none where there is nothing to tell by.
    pub fn identify(&self, text: &str) -> Option<(&str, f64)> {
        if self.known.is_empty() {
            return None; // an empty list would allow every language
        }
        let found = self.detector.detect(text)?;
        let (tag, _) = self.known.iter().find(|(_, lang)| *lang == found.lang())?;
        Some((tag, found.confidence()))
    }

    /// As [`Identifier::identify`], for text that is likely in one of `usual` (tags, the likeliest first). Where the
    /// text is too short for trigrams, its letters and words decide, and where they are as good in several languages
    /// of its script, the first of `usual`.
    pub fn identify_likely<'a>(&'a self, text: &str, usual: &[&'a str]) -> Option<(&'a str, f64)> {
        let (tag, sure) = self.identify(text)?;
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        if sure >= SURE && letters >= ENOUGH_LETTERS {
            return Some((tag, sure));
        }
        let script = whatlang::detect_script(text)?;
        let known = usual.iter().copied().chain(self.known.iter().map(|(tag, _)| tag.as_str()));
        let of_tag = |tag: &'a str| {
            let language = identify_tag(tag).filter(|language| script.langs().contains(language))?;
            Some((tag, evidence(language, text)))
        };
        let likely: Vec<(&str, i32)> = known.filter_map(of_tag).collect();
        let most = likely.iter().map(|(_, evidence)| *evidence).max()?;
        let best = |wanted: &str| likely.iter().any(|(tag, evidence)| *tag == wanted && *evidence == most);
        let (first, of_first) = *likely.first()?;
        let likely = if best(tag) && (sure >= LIKELY || of_first < most) {
            tag
        } else {
            likely.iter().find(|(_, evidence)| *evidence == most).map_or(first, |(tag, _)| tag)
        };
        Some((likely, if likely == tag { sure } else { sure.min(0.5) }))
    }
}

/// From this confidence on the identifier is believed,
const SURE: f64 = 0.9;
/// for texts of so many letters: of a word or two it is as sure as of a page, and wrong.
const ENOUGH_LETTERS: usize = 16;
/// From this confidence on it is believed where nothing else speaks for another language.
const LIKELY: f64 = 0.5;

/// Settings of the language filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LanguageFilter {
    /// Drop a side only where the identifier is at least this sure of another language, from 0 to 1.
    pub min_confidence: f64,
    /// Sentences with fewer letters are kept unseen: too short to tell.
    pub min_letters: usize,
}

impl Default for LanguageFilter {
    fn default() -> Self {
        Self { min_confidence: 0.9, min_letters: 30 }
    }
}

/// Tells sentences in a wrong language, among the languages of the corpus that the identifier (whatlang) knows.
pub struct LanguageCheck {
    settings: LanguageFilter,
    detector: Detector,
}

impl LanguageCheck {
    /// A check for a corpus of these languages.
    pub fn new<'a>(settings: LanguageFilter, tags: impl IntoIterator<Item = &'a str>) -> Self {
        // Only the corpus's languages compete: Norwegian is not mistaken for Danish where there is no Danish.
        let mut known: Vec<Lang> = tags.into_iter().filter_map(identify_tag).collect();
        known.sort_by_key(|lang| lang.code());
        known.dedup();
        Self { settings, detector: Detector::with_allowlist(known) }
    }

    /// Whether the sentence is surely not in the language of the tag. Never for a language that is not known.
    pub fn is_other(&self, tag: &str, sentence: &str) -> bool {
        let Some(expected) = identify_tag(tag) else { return false };
        if sentence.chars().filter(|c| c.is_alphabetic()).nth(self.settings.min_letters.saturating_sub(1)).is_none() {
            return false;
        }
        self.detector
            .detect(sentence)
            .is_some_and(|found| found.lang() != expected && found.confidence() >= self.settings.min_confidence)
    }

    /// Whether the identifier knows the language of a tag.
    pub fn knows(tag: &str) -> bool {
        identify_tag(tag).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_many_styles_are_known() {
        for (tag, lang) in
            [("de", Lang::Deu), ("deu_Latn", Lang::Deu), ("zh_CN", Lang::Cmn), ("fas", Lang::Pes), ("ukr", Lang::Ukr)]
        {
            assert_eq!(identify_tag(tag), Some(lang), "{tag}");
        }
        assert!(!LanguageCheck::knows("om") && !LanguageCheck::knows("x1") && LanguageCheck::knows("nb"));
    }

    #[test]
    fn texts_are_told_apart_among_the_given_languages_only() {
        let identifier = Identifier::new(["en", "de_DE", "qaa"]);
        let (tag, confidence) = identifier.identify("Der schnelle braune Fuchs springt über den Hund.").unwrap();
        assert!(tag == "de_DE" && confidence > 0.5 && confidence <= 1.0, "{tag} {confidence}");
        assert_eq!(identifier.identify("The quick brown fox jumps over the dog.").unwrap().0, "en");
        assert_eq!(identifier.identify("12345"), None);
        assert_eq!(Identifier::new(["qaa"]).identify("The quick brown fox"), None);
        assert_eq!((english_name("deu_Latn"), english_name("qaa")), (Some("German"), None));
        assert_eq!(english_name("nb"), Some("Norwegian Bokmål"));
    }

    #[test]
    fn short_text_is_taken_for_the_likeliest_language_of_its_script() {
        let identifier = Identifier::new(["de", "el", "en", "fr"]);
        let usual = ["en", "fr", "el"];
        for text in ["Hello", "Yes", "Open it.", "No", "OK"] {
            assert_eq!(identifier.identify_likely(text, &usual).unwrap().0, "en", "{text}");
        }
        assert_eq!(identifier.identify_likely("Ναι", &usual).unwrap().0, "el");
        for (text, tag) in [("Öffnen", "de"), ("Wo ist es?", "de"), ("Ouvrir le fichier", "fr"), ("Hallo", "en")] {
            assert_eq!(identifier.identify_likely(text, &usual).unwrap().0, tag, "{text}");
        }
        let german = "Der schnelle braune Fuchs springt über den faulen Hund.";
        assert_eq!(identifier.identify_likely(german, &usual).unwrap().0, "de");
        let french = "Le renard brun saute par-dessus le chien paresseux.";
        assert_eq!(identifier.identify_likely(french, &usual).unwrap().0, "fr");
        assert_eq!(identifier.identify_likely("12345", &usual), None);
    }

    #[test]
    fn wrong_languages_are_found_and_doubt_keeps_the_line() {
        let check = LanguageCheck::new(LanguageFilter::default(), ["en", "de", "el", "om"]);
        let german = "Der schnelle braune Fuchs springt über den faulen Hund und läuft danach in den Wald.";
        assert!(check.is_other("en", german));
        assert!(!check.is_other("de", german));
        assert!(!check.is_other("om", german)); // the identifier does not know Oromo
        assert!(!check.is_other("en", "Der Hund")); // too short to tell
        assert!(check.is_other("de", "Η γρήγορη καφέ αλεπού πηδάει πάνω από τον τεμπέλη σκύλο."));
    }
}
