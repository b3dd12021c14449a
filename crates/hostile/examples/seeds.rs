//! Writes the seeds of every parser into folders, `FOLDER/PARSER/N`, and prints the parsers' names.
//!
//! usage: seeds FOLDER

use std::fs;
use std::path::PathBuf;

use strata_hostile::TARGETS;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or_else(|| std::io::Error::other("usage: seeds FOLDER"))?);
    for target in TARGETS {
        let own = folder.join(target.name);
        fs::create_dir_all(&own)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(own.join(number.to_string()), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
