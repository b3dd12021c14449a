//! The ids of a model in the order of fairseq, which Hugging Face's tokenizers of M2M100 and NLLB have: `<s>`, `<pad>`,
//! `</s>`, `<unk>`, the pieces, the languages, then what is no text.

use serde_json::{Map, Value, json};
use strata_corpus::Subwords;
use strata_corpus::subword::{EOS, PAD, SPECIALS, UNKNOWN};

use super::tokenizer::M2M100;

/// The ids with what a tokenizer's files say of them.
pub(super) struct Fairseq {
    /// This program's id of each of theirs.
    pub rows: Vec<u32>,
    /// The SentencePiece model.
    pub pieces: Vec<u8>,
    /// Their names; those of languages as their tags.
    names: Vec<String>,
    /// How many pieces there are behind the first four.
    words: usize,
    languages: usize,
    is_nllb: bool,
}

impl Fairseq {
    /// The ids of an imported model's subwords.
    ///
    /// # Errors
    /// Why neither tokenizer can have them.
    pub fn of(subwords: &Subwords) -> Result<Self, String> {
        let pieces = subwords.to_sentencepiece().ok_or(
            "the export to Hugging Face writes the SentencePiece model that a model was imported with, and this one has its \
             subwords from elsewhere",
        )?;
        let tags = subwords.languages();
        let is_nllb = tags.iter().all(|tag| tag.contains('_'));
        if !is_nllb && !tags.iter().map(String::as_str).eq(M2M100.split_whitespace()) {
            let what = "the tokenizer of M2M100 has its 100 languages and no others; this model has other ones";
            return Err(what.to_owned());
        }
        let hidden = subwords.control_ids();
        let first = (SPECIALS.len() + tags.len()) as u32;
        let others = || first..subwords.vocab_size() as u32;
        let named = |name: &str| others().find(|id| subwords.piece(*id) == name);
        let start = named("<s>").ok_or("the model has no `<s>`, which the tokenizers of M2M100 and NLLB begin with")?;
        let mut rows = vec![start, PAD, EOS, UNKNOWN];
        rows.extend(others().filter(|id| hidden.binary_search(id).is_err()));
        let words = rows.len() - 4;
        rows.extend(SPECIALS.len() as u32..first);
        rows.extend(others().filter(|id| *id != start && hidden.binary_search(id).is_ok()));
        let name = |id: &u32| match id.checked_sub(SPECIALS.len() as u32).and_then(|tag| tags.get(tag as usize)) {
            Some(tag) if is_nllb => tag.clone(),
            Some(tag) => format!("__{tag}__"),
            None => subwords.piece(*id),
        };
        let names = rows.iter().map(name).collect();
        Ok(Self { rows, pieces, names, words, languages: tags.len(), is_nllb })
    }

    /// The files of the tokenizer, beside the SentencePiece model.
    pub fn files(&self) -> Vec<(&'static str, Value)> {
        let first = 4 + self.words;
        let tags = &self.names[first..][..self.languages];
        let class = if self.is_nllb { "NllbTokenizer" } else { "M2M100Tokenizer" };
        let mut special = json!({
            "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
            "additional_special_tokens": tags,
        });
        let numbered = |range: std::ops::Range<usize>| -> Map<String, Value> {
            range.map(|id| (self.names[id].clone(), json!(id))).collect()
        };
        let mut config = json!({ "tokenizer_class": class });
        let mut files = Vec::new();
        if self.is_nllb {
            let end = first + self.languages;
            let mask = self.names[end..].iter().position(|name| name == "<mask>").map(|at| end + at);
            let mut added = numbered(first..end);
            if let Some(id) = mask {
                added.insert("<mask>".to_owned(), json!(id));
                special["mask_token"] = json!("<mask>");
            }
            files.push(("added_tokens.json", Value::Object(added)));
        } else {
            config["language_codes"] = json!("m2m100");
            config["num_madeup_words"] = json!(self.names.len() - first - self.languages);
            files.push(("vocab.json", Value::Object(numbered(0..first))));
        }
        files.extend([("tokenizer_config.json", config), ("special_tokens_map.json", special)]);
        files
    }
}
