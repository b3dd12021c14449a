//! The invented languages: their sounds, words and grammar.

use super::meaning::{Draws, Meaning, Phrase, sentence};

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
        let mut draws = Draws::new([self.number, class * 1000 + index as u64, 1]);
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

/// A meaning in the language of the tag at `place`.
pub fn invented(place: usize, meaning: &Meaning) -> String {
    let text = sentence(&Invented::new(place).say(meaning));
    match place {
        3 => text.replace("la", "wo").replace('p', "f").replace('b', "v").replace("ti", "ci").replace('k', "h"),
        _ => text,
    }
}
