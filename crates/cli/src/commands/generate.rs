//! `strata generate`: what packagers need, made from the same table as the parser.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::Outcome;
use crate::command_line::{Cli, command};
use crate::examples::{self, ENVIRONMENT, EXIT_CODES};
use crate::output::print;
use crate::terminal::{Terminal, labeled};

/// Generate shell completions and man pages
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Completions(Completions),
    Man(Pages),
}

/// Print completions for a shell
#[derive(Debug, Args)]
struct Completions {
    /// Shell that reads them
    shell: Shell,
}

/// Write a man page for each command
#[derive(Debug, Args)]
struct Pages {
    /// Folder for the pages
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &arguments.what {
        What::Completions(Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command(), "strata", &mut script);
            print(&String::from_utf8(script)?)?;
        }
        What::Man(Pages { output }) => {
            let pages = pages()?;
            std::fs::create_dir_all(output).with_context(|| format!("cannot create {}", output.display()))?;
            for (name, page) in &pages {
                strata_files::write_output(output.join(name), page)?;
            }
            terminal.say(&labeled("written", &format!("{} pages to {}", pages.len(), Path::display(output))));
        }
    }
    Ok(Outcome::Done)
}

/// All pages with their file names, such as `strata-fetch-docs.1`.
fn pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    // Examples and environment get sections of their own instead of standing behind the options.
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    let mut left = vec![(String::new(), root)];
    while let Some((words, command)) = left.pop() {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            left.push((format!("{words} {}", sub.get_name()).trim_start().to_string(), sub.clone()));
        }
        pages.push((format!("strata {words}").trim_end().replace(' ', "-") + ".1", page(command, &words)?));
    }
    Ok(pages)
}

fn page(command: clap::Command, words: &str) -> anyhow::Result<Vec<u8>> {
    let notes = command.get_after_help().map(ToString::to_string);
    let has_subcommands = command.get_subcommands().any(|sub| !sub.is_hide_set());
    let man = Man::new(command).source(concat!("strata ", env!("CARGO_PKG_VERSION"))).manual("Strata");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut roff = Roff::new();
    if let Some(notes) = notes {
        roff.control("PP", []).text([roman(notes)]);
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    sections(words).to_writer(&mut page)?;
    Ok(page)
}

/// EXAMPLES, ENVIRONMENT and EXIT STATUS.
fn sections(words: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in examples::of(words) {
        roff.text([roman(*line)]);
    }
    roff.control("fi", []);
    for (heading, table) in [("ENVIRONMENT", &ENVIRONMENT[..]), ("EXIT STATUS", &EXIT_CODES[..])] {
        roff.control("SH", [heading]);
        for (name, meaning) in table {
            roff.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn man_pages_and_completions_have_every_command_and_flag() {
        let pages: Vec<(String, String)> = pages()
            .unwrap()
            .into_iter()
            .map(|(name, page)| (name, String::from_utf8(page).unwrap().replace("\\-", "-").replace("\\*(Aq", "'")))
            .collect();
        let completions = [Shell::Bash, Shell::Zsh, Shell::Fish].map(|shell| {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "strata", &mut script);
            String::from_utf8(script).unwrap()
        });
        let mut root = command();
        root.build();
        let mut left = vec![(String::new(), root)];
        let mut seen = 0;
        while let Some((words, command)) = left.pop() {
            let name = format!("strata {words}").trim_end().replace(' ', "-");
            let subs = command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set());
            left.extend(subs.map(|sub| (format!("{words} {}", sub.get_name()).trim_start().to_string(), sub.clone())));
            let page =
                &pages.iter().find(|(file, _)| *file == format!("{name}.1")).unwrap_or_else(|| panic!("{name}")).1;
            for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "\"GLOBAL OPTIONS\"", "EXAMPLES", "ENVIRONMENT"] {
                assert!(page.contains(&format!("\n.SH {heading}\n")), "{name}: no {heading}: {page}");
            }
            for flag in command.get_arguments().filter(|a| !a.is_hide_set()).filter_map(|a| a.get_long()) {
                assert!(page.contains(&format!("\\fB--{flag}\\fR")), "{name}: no --{flag}: {page}");
                let [bash, zsh, fish] = &completions;
                let in_bash = [" ", "\"", ")"].iter().any(|end| bash.contains(&format!("--{flag}{end}")));
                assert!(in_bash && zsh.contains(&format!("--{flag}")), "--{flag}");
                assert!(fish.contains(&format!(" -l {flag} ")), "--{flag}");
            }
            for line in examples::of(&words) {
                assert!(page.contains(line), "{name}: no `{line}`: {page}");
            }
            seen += 1;
        }
        assert_eq!(seen, pages.len());
        assert!(seen >= 22, "{seen} commands");
    }
}
