//! A small multilingual corpus of our own, made by a grammar: for tests, and for a first run where nothing can be fetched.
//!
//! English sentences of a few hundred word forms, and up to four invented languages (tags for private use in ISO 639-3)
//! that say the same differently, so that nothing can be learnt by copying words:
//!
//! | tag | order | words | plural | object | past | not | size |
//! |---|---|---|---|---|---|---|---|
//! | `qaa` | SOV, adjective first | Latin | suffix | case suffix | suffix | prefix on the verb | 1 |
//! | `qab` | VSO, adjective last | Greek letters | particle | particle | particle | particle | 1/2 |
//! | `qac` | OVS, adjective last | Latin with marks | first syllable doubled | none | prefix | suffix on the verb | 1/4 |
//! | `qad` | SOV, a relative of `qaa` | `qaa`'s words with shifted sounds | suffix | case suffix | suffix | prefix | 1/8 |
//!
//! The same options give the same bytes on every machine.

use std::collections::HashSet;
use std::path::Path;

use crate::error::{Error, Result};
use crate::sampling::hash;

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Invented languages, 1 to 4.
    pub languages: usize,
    /// Training pairs of the largest.
    pub pairs: u64,
    /// Chooses the sentences; the languages are always the same.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { languages: 4, pairs: 20_000, seed: 1 }
    }
}

/// What was generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Language tags and their training pairs.
    pub languages: Vec<(String, u64)>,
    /// Pairs of `valid` and of `test`, for each language.
    pub held_out: u64,
}

/// Sentences in each held-out split, at most; a tenth of the largest language's pairs where that is less.
const HELD_OUT: u64 = 200;
/// The corpus has about ten million different sentences; more pairs than this could not all be different.
const MOST_PAIRS: u64 = 1_000_000;

const TAGS: [&str; 4] = ["qaa", "qab", "qac", "qad"];
const NOUNS: [(&str, &str); 36] = [
    ("dog", "dogs"),
    ("cat", "cats"),
    ("horse", "horses"),
    ("bird", "birds"),
    ("child", "children"),
    ("woman", "women"),
    ("man", "men"),
    ("teacher", "teachers"),
    ("farmer", "farmers"),
    ("king", "kings"),
    ("house", "houses"),
    ("tree", "trees"),
    ("river", "rivers"),
    ("mountain", "mountains"),
    ("city", "cities"),
    ("book", "books"),
    ("letter", "letters"),
    ("table", "tables"),
    ("window", "windows"),
    ("door", "doors"),
    ("ship", "ships"),
    ("road", "roads"),
    ("garden", "gardens"),
    ("stone", "stones"),
    ("star", "stars"),
    ("apple", "apples"),
    ("knife", "knives"),
    ("song", "songs"),
    ("picture", "pictures"),
    ("friend", "friends"),
    ("doctor", "doctors"),
    ("sister", "sisters"),
    ("brother", "brothers"),
    ("village", "villages"),
    ("bridge", "bridges"),
    ("lamp", "lamps"),
];
const ADJECTIVES: [&str; 18] = [
    "big",
    "small",
    "old",
    "young",
    "red",
    "green",
    "white",
    "dark",
    "quiet",
    "happy",
    "tired",
    "strong",
    "heavy",
    "strange",
    "beautiful",
    "cold",
    "warm",
    "new",
];
/// Singular, plural and past.
const VERBS: [(&str, &str, &str); 22] = [
    ("sees", "see", "saw"),
    ("finds", "find", "found"),
    ("likes", "like", "liked"),
    ("carries", "carry", "carried"),
    ("paints", "paint", "painted"),
    ("buys", "buy", "bought"),
    ("sells", "sell", "sold"),
    ("draws", "draw", "drew"),
    ("knows", "know", "knew"),
    ("builds", "build", "built"),
    ("breaks", "break", "broke"),
    ("opens", "open", "opened"),
    ("closes", "close", "closed"),
    ("brings", "bring", "brought"),
    ("follows", "follow", "followed"),
    ("helps", "help", "helped"),
    ("hears", "hear", "heard"),
    ("remembers", "remember", "remembered"),
    ("forgets", "forget", "forgot"),
    ("washes", "wash", "washed"),
    ("loses", "lose", "lost"),
    ("wants", "want", "wanted"),
];
const DETERMINERS: [&str; 4] = ["the", "this", "my", "your"];
const NUMERALS: [&str; 5] = ["two", "three", "four", "five", "six"];
const PREPOSITIONS: [&str; 5] = ["near", "behind", "under", "in", "with"];
const ADVERBS: [&str; 5] = ["today", "often", "slowly", "never again", "again"];

/// A noun phrase; numbers are places in the word lists.
#[derive(Clone, Copy)]
struct Phrase {
    determiner: usize,
    numeral: Option<usize>,
    adjective: Option<usize>,
    noun: usize,
    plural: bool,
}

/// What a sentence says, in no language.
#[derive(Clone, Copy)]
struct Meaning {
    subject: Phrase,
    verb: usize,
    past: bool,
    negated: bool,
    object: Phrase,
    place: Option<(usize, Phrase)>,
    adverb: Option<usize>,
}

/// Draws small numbers: each from the seed, the sentence's number and a count.
struct Draws([u64; 3]);

impl Draws {
    fn below(&mut self, count: usize) -> usize {
        self.0[2] += 1;
        (hash(&self.0) % count as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn phrase(&mut self, plain: bool) -> Phrase {
        let plural = self.chance(35);
        Phrase {
            determiner: self.below(DETERMINERS.len()),
            numeral: (plural && self.chance(40)).then(|| self.below(NUMERALS.len())),
            adjective: self.chance(if plain { 20 } else { 45 }).then(|| self.below(ADJECTIVES.len())),
            noun: self.below(NOUNS.len()),
            plural,
        }
    }

    fn meaning(seed: u64, number: u64) -> Meaning {
        let mut draws = Draws([seed, number, 0]);
        Meaning {
            subject: draws.phrase(false),
            verb: draws.below(VERBS.len()),
            past: draws.chance(40),
            negated: draws.chance(20),
            object: draws.phrase(false),
            place: draws.chance(40).then(|| (draws.below(PREPOSITIONS.len()), draws.phrase(true))),
            adverb: draws.chance(30).then(|| draws.below(ADVERBS.len())),
        }
    }
}

/// A capital at the start, a full stop at the end.
fn sentence(words: &[String]) -> String {
    let text = words.join(" ");
    let mut letters = text.chars();
    let first: String = letters.next().map_or(String::new(), |c| c.to_uppercase().collect());
    first + letters.as_str() + "."
}

fn english_phrase(phrase: &Phrase, words: &mut Vec<String>) {
    let determiner = match (phrase.plural, DETERMINERS[phrase.determiner]) {
        (true, "this") => "these",
        (_, determiner) => determiner,
    };
    words.push(determiner.to_string());
    words.extend(phrase.numeral.map(|n| NUMERALS[n].to_string()));
    words.extend(phrase.adjective.map(|a| ADJECTIVES[a].to_string()));
    let (one, many) = NOUNS[phrase.noun];
    words.push(if phrase.plural { many } else { one }.to_string());
}

fn english(meaning: &Meaning) -> String {
    let mut words = Vec::new();
    english_phrase(&meaning.subject, &mut words);
    let (singular, plural, past) = VERBS[meaning.verb];
    let verb = match (meaning.negated, meaning.past, meaning.subject.plural) {
        (true, true, _) => format!("did not {plural}"),
        (true, false, true) => format!("do not {plural}"),
        (true, false, false) => format!("does not {plural}"),
        (false, true, _) => past.to_string(),
        (false, false, true) => plural.to_string(),
        (false, false, false) => singular.to_string(),
    };
    words.push(verb);
    english_phrase(&meaning.object, &mut words);
    if let Some((preposition, phrase)) = &meaning.place {
        words.push(PREPOSITIONS[*preposition].to_string());
        english_phrase(phrase, &mut words);
    }
    words.extend(meaning.adverb.map(|a| ADVERBS[a].to_string()));
    sentence(&words)
}

/// One of the invented languages.
struct Invented {
    number: u64,
    consonants: &'static [&'static str],
    vowels: &'static [&'static str],
}

impl Invented {
    fn new(place: usize) -> Self {
        // `qad` has the words of `qaa`; its sounds are shifted at the end.
        let (number, consonants, vowels): (u64, &[&str], &[&str]) = match place {
            1 => (2, &["π", "τ", "κ", "μ", "ν", "λ", "ρ", "σ", "δ", "θ", "φ"], &["α", "ε", "ι", "ο", "υ"]),
            2 => (3, &["č", "š", "ž", "n", "m", "r", "l", "k", "ň", "t", "z"], &["á", "e", "i", "ö", "u", "y"]),
            _ => (1, &["b", "d", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"], &["a", "e", "i", "o", "u"]),
        };
        Self { number, consonants, vowels }
    }

    /// The word for the `index`-th meaning of a class, two or three syllables.
    fn word(&self, class: u64, index: usize) -> String {
        let mut draws = Draws([self.number, class * 1000 + index as u64, 1]);
        let syllables = 2 + draws.below(2);
        (0..syllables)
            .map(|_| {
                let consonant = self.consonants[draws.below(self.consonants.len())];
                consonant.to_string() + self.vowels[draws.below(self.vowels.len())]
            })
            .collect()
    }

    fn noun(&self, phrase: &Phrase, object: bool) -> Vec<String> {
        let noun = self.word(1, phrase.noun);
        match self.number {
            2 => {
                let particle = |wanted: bool, particle: &str| wanted.then(|| particle.to_string());
                let marks = [particle(object, "το"), particle(phrase.plural, "μαι")];
                marks.into_iter().flatten().chain([noun]).collect()
            }
            3 => {
                let doubled: String = noun.chars().take(2).collect();
                vec![if phrase.plural { doubled + &noun } else { noun }]
            }
            _ => vec![noun + if phrase.plural { "lar" } else { "" } + if object { "im" } else { "" }],
        }
    }

    fn phrase(&self, phrase: &Phrase, object: bool) -> Vec<String> {
        let noun = self.noun(phrase, object);
        // No article: "the" is left unsaid.
        let determiner = (phrase.determiner > 0).then(|| self.word(2, phrase.determiner));
        let numeral = phrase.numeral.map(|n| self.word(3, n));
        let adjective = phrase.adjective.map(|a| self.word(4, a));
        match self.number {
            2 | 3 => noun.into_iter().chain(adjective).chain(numeral).chain(determiner).collect(),
            _ => determiner.into_iter().chain(numeral).chain(adjective).chain(noun).collect(),
        }
    }

    fn verb(&self, meaning: &Meaning) -> Vec<String> {
        let verb = self.word(5, meaning.verb);
        match self.number {
            2 => {
                let past = meaning.past.then(|| "εν".to_string());
                meaning.negated.then(|| "ουκα".to_string()).into_iter().chain(past).chain([verb]).collect()
            }
            3 => vec![format!(
                "{}{verb}{}",
                if meaning.past { "že" } else { "" },
                if meaning.negated { "nök" } else { "" }
            )],
            _ => vec![format!(
                "{}{verb}{}",
                if meaning.negated { "ma" } else { "" },
                if meaning.past { "ti" } else { "n" }
            )],
        }
    }

    fn say(&self, meaning: &Meaning) -> Vec<String> {
        let (subject, object) = (self.phrase(&meaning.subject, false), self.phrase(&meaning.object, true));
        let verb = self.verb(meaning);
        let place = meaning.place.as_ref().map_or(Vec::new(), |(preposition, phrase)| {
            let (relation, phrase) = (self.word(6, *preposition), self.phrase(phrase, false));
            match self.number {
                2 => [relation].into_iter().chain(phrase).collect(),
                _ => phrase.into_iter().chain([relation]).collect(),
            }
        });
        let adverb: Vec<String> = meaning.adverb.map(|a| self.word(7, a)).into_iter().collect();
        match self.number {
            2 => [verb, subject, object, place, adverb].concat(),
            3 => [adverb, object, verb, subject, place].concat(),
            _ => [subject, adverb, place, object, verb].concat(),
        }
    }
}

/// What the `place`-th language says.
fn invented(place: usize, meaning: &Meaning) -> String {
    let text = sentence(&Invented::new(place).say(meaning));
    match place {
        3 => text.replace("la", "wo").replace('p', "f").replace('b', "v").replace("ti", "ci").replace('k', "h"),
        _ => text,
    }
}

/// Writes `train|valid|test.en-TAG.en` and `.TAG` for each language into `folder`. No English sentence is in two
/// splits; the held-out sentences are the same for all languages.
///
/// # Errors
/// Options out of range, files that cannot be written.
pub fn generate(options: &Options, folder: &Path) -> Result<Summary> {
    if !(1..=TAGS.len()).contains(&options.languages) {
        return Err(Error::Option { option: "languages", reason: format!("{} is not 1 to 4", options.languages) });
    }
    if !(10..=MOST_PAIRS).contains(&options.pairs) {
        return Err(Error::Option { option: "pairs", reason: format!("{} is not 10 to {MOST_PAIRS}", options.pairs) });
    }
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, e))?;
    let mut numbers = 0u64..;
    let mut distinct = |seen: &mut HashSet<String>, count: u64| -> Vec<Meaning> {
        let fresh = numbers.by_ref().map(|number| Draws::meaning(options.seed, number));
        fresh.filter(|meaning| seen.insert(english(meaning))).take(count as usize).collect()
    };
    let mut held = HashSet::new();
    let held_out = HELD_OUT.min(options.pairs / 10);
    let (valid, test) = (distinct(&mut held, held_out), distinct(&mut held, held_out));
    let mut languages = Vec::new();
    for (place, tag) in TAGS.iter().enumerate().take(options.languages) {
        let train = distinct(&mut held.clone(), (options.pairs >> place).max(1));
        languages.push((tag.to_string(), train.len() as u64));
        for (split, meanings) in [("train", &train), ("valid", &valid), ("test", &test)] {
            let write = |side: &str, say: &dyn Fn(&Meaning) -> String| {
                let path = folder.join(format!("{split}.en-{tag}.{side}"));
                let text: String = meanings.iter().flat_map(|meaning| [say(meaning), "\n".to_string()]).collect();
                std::fs::write(&path, text).map_err(|e| Error::io("write", &path, e))
            };
            write("en", &english)?;
            write(tag, &|meaning| invented(place, meaning))?;
        }
    }
    Ok(Summary { languages, held_out })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_differ_in_order_morphology_and_script() {
        let plain = |noun, plural| Phrase { determiner: 0, numeral: None, adjective: None, noun, plural };
        let meaning = Meaning {
            subject: plain(0, true),
            verb: 0,
            past: true,
            negated: true,
            object: Phrase { adjective: Some(0), ..plain(1, false) },
            place: None,
            adverb: None,
        };
        assert_eq!(english(&meaning), "The dogs did not see the big cat.");
        let all: Vec<String> = (0..4).map(|place| invented(place, &meaning)).collect();
        let qaa: Vec<&str> = all[0].split(' ').collect();
        assert!(
            qaa[0].ends_with("lar") && qaa[2].ends_with("im") && qaa[3].starts_with("ma") && qaa[3].ends_with("ti.")
        );
        assert!(all[1].starts_with("Ουκα εν ") && all[1].contains(" μαι ") && all[1].contains(" το "), "{}", all[1]);
        assert!(all[2].contains("že") && all[2].contains("nök"), "{}", all[2]);
        assert_ne!(all[0], all[3]);
    }

    #[test]
    fn the_same_options_give_the_same_bytes_and_no_sentence_is_in_two_splits() {
        let read = |seed| {
            let folder = tempfile::tempdir().unwrap();
            let summary = generate(&Options { languages: 4, pairs: 400, seed }, folder.path()).unwrap();
            let sizes: Vec<u64> = summary.languages.iter().map(|(_, pairs)| *pairs).collect();
            assert_eq!((sizes, summary.held_out), (vec![400, 200, 100, 50], 40));
            let mut files: Vec<(String, String)> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap())
                .map(|e| (e.file_name().into_string().unwrap(), std::fs::read_to_string(e.path()).unwrap()))
                .collect();
            files.sort();
            files
        };
        let files = read(1);
        assert_eq!(files.len(), 24);
        assert_eq!(files, read(1));
        assert_ne!(files, read(2));
        let lines = |split: &str| -> HashSet<&str> {
            let of = files.iter().filter(|(name, _)| name.starts_with(split) && name.ends_with(".en"));
            of.flat_map(|(_, text)| text.lines()).collect()
        };
        assert!(lines("train").is_disjoint(&lines("valid")));
        assert!(lines("train").is_disjoint(&lines("test")) && lines("valid").is_disjoint(&lines("test")));
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (languages, pairs) in [(0, 100), (5, 100), (1, 9), (1, MOST_PAIRS + 1)] {
            assert!(generate(&Options { languages, pairs, seed: 1 }, folder.path()).is_err());
        }
    }
}
