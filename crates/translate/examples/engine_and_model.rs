//! Translates a prepared test set with the CPU engine and with the model's own plain beam search, and says how far they agree.
//!
//! `cargo run --release -p strata-cli -p strata-translate --example engine_and_model -- RUN PREPARED [SENTENCES OF EACH DIRECTION]`
//!
//! Then the engine alone at other batch sizes, numbers of workers and orders of the lines, whose texts and scores must be the same bits.

use std::path::Path;

use strata_corpus::Subwords;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_model::{Transformer, parse_device};
use strata_store::{ModelFolder, resolve_model};
use strata_translate::evaluate::read_texts;
use strata_translate::{Candidate, Options, Placement, Translator};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, prepared, rest @ ..] = arguments.as_slice() else {
        return Err("name a model and a prepared folder".into());
    };
    let (model, prepared) = (Path::new(model), Path::new(prepared));
    let limit = rest.first().map_or(Ok(0), |limit| limit.parse())?;
    let folder = ModelFolder::open(resolve_model(model)?)?;
    let mut plain = Transformer::new(&folder.model_config()?, 0, &parse_device("cpu")?)?;
    plain.load_weights(&folder.weights()?)?;
    let subwords = Subwords::load(&folder.path().join(TOKENIZER_FILE))?;
    let plain = Translator::from_parts(plain, subwords, Languages::load(&folder.path().join(LANGUAGES_FILE))?);
    let engine = Translator::open(model, &Placement::default())?;
    let workers = Translator::open(model, &Placement { workers: 2, ..Placement::default() })?;
    let options = Options::default();
    let (mut lines, mut same, mut furthest, mut moved) = (0, 0, 0.0f32, 0);
    for text in read_texts(prepared, "test", &[], limit)? {
        let to = &text.direction.target;
        let (ours, theirs) =
            (engine.translate(&text.sources, to, &options)?, plain.translate(&text.sources, to, &options)?);
        for ((ours, theirs), source) in ours.iter().zip(&theirs).zip(&text.sources) {
            lines += 1;
            if ours[0].text == theirs[0].text {
                same += 1;
                furthest = furthest.max((ours[0].score - theirs[0].score).abs());
            } else {
                let (Candidate { text, score, .. }, other) = (&ours[0], &theirs[0]);
                println!("{source}\n  engine {score:.5} {text}\n  model  {:.5} {}", other.score, other.text);
            }
        }
        let reversed: Vec<&String> = text.sources.iter().rev().collect();
        for (translator, tokens) in [(&engine, 1), (&engine, 300), (&workers, 1500), (&workers, 20_000)] {
            let options = Options { tokens_per_batch: tokens, ..options.clone() };
            let again = translator.translate(&reversed, to, &options)?;
            let differs = |(a, b): (&Vec<Candidate>, &Vec<Candidate>)| {
                a[0].text != b[0].text || a[0].score.to_bits() != b[0].score.to_bits()
            };
            moved += ours.iter().zip(again.iter().rev()).filter(|pair| differs(*pair)).count();
        }
        println!(
            "{}: {same} of {lines} lines so far have the same text; {moved} with other bits in other batches",
            text.direction
        );
    }
    println!(
        "same text {:.2} %, scores of those within {furthest:.1e}; {moved} with other bits",
        100.0 * same as f32 / lines.max(1) as f32
    );
    if moved > 0 { Err("bits depend on the batch".into()) } else { Ok(()) }
}
