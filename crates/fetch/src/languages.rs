//! The languages that have text in the documentation packages, and where.

use serde::Serialize;

use crate::sources::Source;

/// The default set: 15 languages of nine families, from fifty thousand sentence pairs down to three thousand. The
/// smallest have a larger relative among the others (Norwegian and German, Romanian and French, Ukrainian and Russian).
pub const DEFAULT_LANGUAGES: [&str; 15] =
    ["de", "fr", "ru", "el", "id", "tr", "vi", "fi", "ja", "om", "nb", "ro", "uk", "hr", "fa"];

/// A language with text in the documentation packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Language {
    /// The tag its files are named by: `de`, `zh_CN`.
    pub tag: &'static str,
    /// Its name in English.
    pub name: &'static str,
    /// Sentence pairs with English in Debian 12's packages, rounded; other releases differ.
    pub approximate_pairs: usize,
    /// Its folder in LibreOffice's help, whose package has the same name in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<&'static str>,
    /// Its folder in GNOME's guides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gnome: Option<&'static str>,
    /// Its folder in the Debian Administrator's Handbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handbook: Option<&'static str>,
    /// Its folder in Debian's installation guide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<&'static str>,
}

impl Language {
    /// Its folder in a source, where it has text there.
    pub fn folder(&self, source: Source) -> Option<&'static str> {
        match source {
            Source::Help => self.help,
            Source::Gnome => self.gnome,
            Source::Handbook => self.handbook,
            Source::Install => self.install,
        }
    }

    /// The package with its text in a source, where it has text there.
    pub fn package(&self, source: Source) -> Option<String> {
        let folder = self.folder(source)?;
        Some(match source {
            Source::Help => format!("libreoffice-help-{}", folder.to_lowercase()),
            _ => source.english_package().to_owned(),
        })
    }
}

/// All languages that can be requested, by tag. Hebrew is left out: there is a single sentence.
pub fn languages() -> &'static [Language] {
    &LANGUAGES
}

/// The language of a tag.
pub fn language(tag: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|l| l.tag == tag)
}

const fn folder(name: &'static str) -> Option<&'static str> {
    match name.as_bytes() {
        b"-" => None,
        _ => Some(name),
    }
}

const fn row(
    tag: &'static str,
    name: &'static str,
    approximate_pairs: usize,
    help: &'static str,
    gnome: &'static str,
    handbook: &'static str,
    install: &'static str,
) -> Language {
    Language {
        tag,
        name,
        approximate_pairs,
        help: folder(help),
        gnome: folder(gnome),
        handbook: folder(handbook),
        install: folder(install),
    }
}

/// Tag, name, pairs, then the folders in help, GNOME's guides, handbook and installation guide.
#[rustfmt::skip]
static LANGUAGES: [Language; 46] = [
    row("ar", "Arabic", 4_600, "-", "-", "ar-MA", "-"),
    row("ca", "Catalan", 43_200, "ca", "ca", "ca-ES", "ca"),
    row("cs", "Czech", 47_400, "cs", "cs", "cs-CZ", "cs"),
    row("da", "Danish", 44_800, "da", "da", "da-DK", "da"),
    row("de", "German", 53_200, "de", "de", "de-DE", "de"),
    row("dz", "Dzongkha", 17_200, "dz", "-", "-", "-"),
    row("el", "Greek", 45_800, "el", "el", "el-GR", "el"),
    row("es", "Spanish", 46_900, "es", "es", "es-ES", "es"),
    row("et", "Estonian", 23_900, "et", "-", "-", "-"),
    row("eu", "Basque", 39_900, "eu", "-", "-", "-"),
    row("fa", "Persian", 5_600, "-", "fa", "fa-IR", "-"),
    row("fi", "Finnish", 20_700, "fi", "fi", "-", "-"),
    row("fr", "French", 49_500, "fr", "fr", "fr-FR", "fr"),
    row("gl", "Galician", 23_900, "gl", "gl", "-", "-"),
    row("gu", "Gujarati", 1_600, "-", "gu", "-", "-"),
    row("hi", "Hindi", 4_700, "hi", "hi", "-", "-"),
    row("hr", "Croatian", 4_700, "-", "hr", "hr-HR", "-"),
    row("hu", "Hungarian", 33_200, "hu", "hu", "-", "-"),
    row("id", "Indonesian", 42_200, "id", "id", "id-ID", "id"),
    row("it", "Italian", 49_500, "it", "it", "it-IT", "it"),
    row("ja", "Japanese", 26_200, "ja", "ja", "ja-JP", "ja"),
    row("km", "Khmer", 21_100, "km", "-", "-", "-"),
    row("kn", "Kannada", 70, "-", "kn", "-", "-"),
    row("ko", "Korean", 27_000, "ko", "ko", "ko-KR", "ko"),
    row("lt", "Lithuanian", 200, "-", "lt", "-", "-"),
    row("lv", "Latvian", 3_100, "-", "lv", "-", "-"),
    row("mr", "Marathi", 1_700, "-", "mr", "-", "-"),
    row("nb", "Norwegian Bokmål", 6_200, "-", "-", "nb-NO", "-"),
    row("nl", "Dutch", 47_900, "nl", "nl", "nl-NL", "nl"),
    row("om", "Oromo", 18_400, "om", "-", "-", "-"),
    row("pa", "Punjabi", 90, "-", "pa", "-", "-"),
    row("pl", "Polish", 36_900, "pl", "pl", "pl-PL", "-"),
    row("pt", "Portuguese", 34_300, "pt", "pt", "-", "pt"),
    row("pt_BR", "Brazilian Portuguese", 51_400, "pt-BR", "pt_BR", "pt-BR", "-"),
    row("ro", "Romanian", 2_900, "-", "ro", "ro-RO", "ro"),
    row("ru", "Russian", 33_900, "ru", "ru", "ru-RU", "ru"),
    row("sl", "Slovenian", 42_100, "sl", "sl", "-", "-"),
    row("sr", "Serbian", 4_000, "-", "sr", "-", "-"),
    row("sv", "Swedish", 31_000, "sv", "sv", "sv-SE", "sv"),
    row("ta", "Tamil", 1_800, "-", "ta", "-", "-"),
    row("te", "Telugu", 600, "-", "te", "-", "-"),
    row("tr", "Turkish", 26_600, "tr", "tr", "tr-TR", "-"),
    row("uk", "Ukrainian", 4_600, "-", "uk", "-", "-"),
    row("vi", "Vietnamese", 22_000, "vi", "vi", "vi-VN", "vi"),
    row("zh_CN", "Chinese (simplified)", 35_400, "zh-CN", "zh_CN", "zh-CN", "zh_CN"),
    row("zh_TW", "Chinese (traditional)", 21_700, "zh-TW", "-", "zh-TW", "-"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_each_row_has_a_source() {
        assert!(LANGUAGES.is_sorted_by(|a, b| a.tag < b.tag));
        assert!(LANGUAGES.iter().all(|l| Source::ALL.iter().any(|&s| l.folder(s).is_some())));
        assert!(DEFAULT_LANGUAGES.iter().all(|tag| language(tag).is_some()));
    }

    #[test]
    fn packages_are_named_by_source_and_folder() {
        let zh = language("zh_CN").unwrap();
        assert_eq!(zh.package(Source::Help).as_deref(), Some("libreoffice-help-zh-cn"));
        assert_eq!(zh.package(Source::Gnome).as_deref(), Some("gnome-user-docs"));
        assert_eq!(language("nb").unwrap().package(Source::Help), None);
    }
}
