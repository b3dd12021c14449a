//! Translates the lines of standard input and prints each token's way through the strata:
//!
//! `cargo run --release -p strata-mt-translate --example route -- MODEL LANGUAGE < text`
//!
//! For each token and each expert block: the experts that each gate chose, stratum by stratum. A token that leaves
//! after the first stratum asked for little capacity, one that goes through all of them for much.

use std::path::Path;

use strata_translate::{Placement, SearchOptions, Trace, TranslateOptions, Translator};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, language] = arguments.as_slice() else { return Err("name a model and a language".into()) };
    let translator = Translator::open(Path::new(model), &Placement::default())?;
    let options = SearchOptions { routing: true, ..SearchOptions::default() };
    let task = translator.task(None, language, &TranslateOptions::from(options))?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let sentences: Vec<&str> = translator.parts(&line).into_iter().map(|range| &line[range]).collect();
        for part in translator.translate_parts(&sentences, &task)? {
            show("encoder", &part.source);
            part.targets.iter().for_each(|target| show("decoder", &target.trace));
        }
    }
    Ok(())
}

fn show(side: &str, trace: &Trace) {
    println!("{side}: {}", trace.text);
    for token in &trace.tokens {
        print!("  {:<12}", token.piece);
        for block in &token.routing {
            let gates: Vec<String> = block.visits.iter().map(|visit| format!("{:?}", visit.experts)).collect();
            print!("  layer {}: {}", block.layer, gates.join(" -> "));
        }
        println!();
    }
}
