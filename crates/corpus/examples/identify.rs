//! Tells the language of each line, among the languages that are named, the usual ones first:
//! `cargo run -p strata-mt-corpus --example identify -- en de fr < lines.txt`
//!
//! Prints the language by letter trigrams, its confidence, and the language that a server takes the line for.

use strata_corpus::language::Identifier;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tags: Vec<String> = std::env::args().skip(1).collect();
    let usual: Vec<&str> = tags.iter().map(String::as_str).collect();
    let identifier = Identifier::new(usual.iter().copied());
    for line in std::io::stdin().lines() {
        let line = line?;
        let (tag, confidence) = identifier.identify(&line).unwrap_or(("-", 0.0));
        let likely = identifier.identify_likely(&line, &usual).map_or("-", |(tag, _)| tag);
        println!("{tag}\t{confidence:.3}\t{likely}");
    }
    Ok(())
}
