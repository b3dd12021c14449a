//! Translates the lines of standard input:
//!
//! `cargo run --release -p strata-mt-translate --example translate -- MODEL LANGUAGE < text`
//!
//! MODEL is a run, a checkpoint, a model folder or a packed folder.

use std::path::Path;

use strata_translate::{Placement, SearchOptions, TranslateOptions, Translator};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, language] = arguments.as_slice() else { return Err("name a model and a language".into()) };
    let translator = Translator::open(Path::new(model), &Placement::default())?;
    let lines: Vec<String> = std::io::stdin().lines().collect::<Result<_, _>>()?;
    let options = TranslateOptions::from(SearchOptions { beam: 4, ..SearchOptions::default() });
    for line in translator.translate(&lines, None, language, &options)? {
        println!("{}", line.candidates[0].text);
    }
    Ok(())
}
