//! The English sentences.

use super::meaning::{self, Meaning, Phrase, sentence};

/// Singular and plural.
const NOUNS: [(&str, &str); meaning::NOUNS] = [
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
const ADJECTIVES: [&str; meaning::ADJECTIVES] = [
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
const VERBS: [(&str, &str, &str); meaning::VERBS] = [
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
const DETERMINERS: [&str; meaning::DETERMINERS] = ["the", "this", "my", "your"];
const NUMERALS: [&str; meaning::NUMERALS] = ["two", "three", "four", "five", "six"];
const PREPOSITIONS: [&str; meaning::PREPOSITIONS] = ["near", "behind", "under", "in", "with"];
const ADVERBS: [&str; meaning::ADVERBS] = ["today", "often", "slowly", "never again", "again"];

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

/// A meaning in English.
pub fn english(meaning: &Meaning) -> String {
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
