//! Which of a model's languages a client means by a tag of any style: `de`, `DE-AT`, `deu_Latn`, `zh-TW`, `iw`.

use strata_corpus::language::english_name;

/// Codes that were replaced, and codes of other programs, with what they are now.
const OLD: [(&str, &str); 11] = [
    ("in", "id"),
    ("iw", "he"),
    ("ji", "yi"),
    ("jw", "jv"),
    ("mo", "ro"),
    ("no", "nb"),
    ("nor", "nb"),
    ("fil", "tl"),
    ("sh", "sr-Latn"),
    ("pb", "pt-BR"),
    ("zt", "zh-Hant"),
];
/// The script of Chinese in a region.
const CHINESE: [(&str, &str); 6] =
    [("CN", "Hans"), ("SG", "Hans"), ("MY", "Hans"), ("TW", "Hant"), ("HK", "Hant"), ("MO", "Hant")];

/// A tag in its parts.
#[derive(Debug, PartialEq)]
struct Parts {
    language: String,
    script: Option<String>,
    region: Option<String>,
}

impl Parts {
    fn of(tag: &str) -> Self {
        let mut pieces = tag.split(['-', '_']).map(str::to_ascii_lowercase);
        let first = pieces.next().unwrap_or_default();
        let new = OLD.iter().find(|(old, _)| *old == first).map_or(first.clone(), |(_, new)| new.to_ascii_lowercase());
        let mut parts = Self { language: String::new(), script: None, region: None };
        for (i, piece) in new.split('-').map(str::to_string).chain(pieces).enumerate() {
            let letters = piece.chars().all(|c| c.is_ascii_alphabetic());
            match piece.len() {
                _ if i == 0 => parts.language = piece,
                4 if letters => parts.script = Some(piece),
                2 if letters => parts.region = Some(piece),
                3 if piece.chars().all(|c| c.is_ascii_digit()) => parts.region = Some(piece),
                _ => {}
            }
        }
        let is_chinese = ["zh", "zho", "cmn", "chi"].contains(&parts.language.as_str());
        if is_chinese && parts.script.is_none() {
            let region = parts.region.as_deref().unwrap_or("");
            let script = CHINESE.iter().find(|(of, _)| of.eq_ignore_ascii_case(region));
            parts.script = script.map(|(_, script)| script.to_ascii_lowercase());
        }
        parts
    }

    fn is_language_of(&self, other: &Self) -> bool {
        let name = |parts: &Self| english_name(&parts.language);
        self.language == other.language || (name(self).is_some() && name(self) == name(other))
    }
}

/// The tag among `tags` that a client means: the same one, else one that differs in case or in `_` for `-`, else one of
/// the same language in no other script, of the same region if there is one. Another style's code finds it too.
pub fn find<'a>(tags: impl Iterator<Item = &'a str> + Clone, said: &str) -> Option<&'a str> {
    let plain = |tag: &str| tag.replace('_', "-").to_ascii_lowercase();
    let same = tags.clone().find(|tag| *tag == said).or_else(|| tags.clone().find(|tag| plain(tag) == plain(said)));
    if same.is_some() {
        return same;
    }
    let wanted = Parts::of(said);
    let score = |tag: &str| {
        let parts = Parts::of(tag);
        let other_script = wanted.script.is_some() && parts.script.is_some() && wanted.script != parts.script;
        if wanted.language.is_empty() || !wanted.is_language_of(&parts) || other_script {
            return None;
        }
        let region = if parts.region == wanted.region { 4 } else { i32::from(parts.region.is_none()) };
        let script = if parts.script == wanted.script { 2 } else { 0 };
        // Where nothing is said about it, Chinese is written in simplified characters.
        let usual = i32::from(wanted.script.is_none() && parts.script.as_deref() == Some("hans"));
        Some(region + script + usual)
    };
    // Of equals the first.
    let scored = tags.filter_map(|tag| score(tag).map(|score| (score, tag)));
    scored.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, tag)| tag)
}

/// Other codes by which a tag is found, for clients that know only those.
pub fn aliases(tag: &str) -> Vec<String> {
    let parts = Parts::of(tag);
    let script = parts.script.as_deref();
    let mut found: Vec<String> = OLD
        .iter()
        .filter(|(old, new)| {
            let new = Parts::of(new);
            let is_same = new.language == parts.language && new.script == parts.script;
            *old != tag && is_same && (new.region.is_none() || new.region == parts.region)
        })
        .map(|(old, _)| (*old).to_string())
        .collect();
    if parts.language.len() == 2 && parts.language != tag && script != Some("hant") {
        found.push(parts.language.clone());
    }
    if parts.language == "zh" {
        let code = if script == Some("hant") { "zh-Hant" } else { "zh-Hans" };
        found.extend([code.to_string()].into_iter().filter(|code| code != tag));
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_many_styles_find_the_language() {
        let find = |tags: &[&'static str], said: &str| find(tags.iter().copied(), said);
        let tags = ["de", "en", "eng_Latn", "he", "id", "nb", "pt", "pt_BR", "zh_CN", "sr_Cyrl"];
        for (said, tag) in [
            ("DE-AT", "de"),
            ("en-US", "en"),
            ("eng", "en"),
            ("deu_Latn", "de"),
            ("iw", "he"),
            ("in", "id"),
            ("no", "nb"),
            ("pb", "pt_BR"),
            ("PT-BR", "pt_BR"),
            ("pt-PT", "pt"),
            ("zh", "zh_CN"),
            ("ZH-HANS", "zh_CN"),
            ("zho_Hans", "zh_CN"),
        ] {
            assert_eq!(find(&tags, said), Some(tag), "{said}");
        }
        for said in ["zh-TW", "zh-Hant", "ZH-HK", "zt", "sr-Latn", "sh", "fr", "", "-", "x"] {
            assert_eq!(find(&tags, said), None, "{said}");
        }
        assert_eq!(find(&["zh_TW", "zh_CN"], "zh"), Some("zh_CN"));
        assert_eq!(find(&["eng_Latn"], "en"), Some("eng_Latn"));
        assert_eq!(find(&["zh"], "zh-TW"), Some("zh"), "nothing says that it is the other script");
        assert_eq!(find(&["no"], "nb"), Some("no"));
    }

    #[test]
    fn aliases_find_their_tag() {
        assert_eq!(aliases("he"), ["iw"]);
        assert_eq!(aliases("zh_TW"), ["zh-Hant", "zt"]);
        assert!(aliases("de").is_empty());
    }
}
