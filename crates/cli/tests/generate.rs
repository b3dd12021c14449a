//! Completions and man pages from the binary, and colors.

mod common;

use std::process::Command;

use common::folder;

/// Whether this machine has a program.
fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[test]
fn shells_read_their_completions() {
    let here = folder("completions");
    for (shell, check) in [("bash", "bash -n"), ("zsh", "zsh -n"), ("fish", "fish --no-execute")] {
        let script = here.strata(&format!("generate completions {shell}")).succeeds();
        assert!(script.err.is_empty() && script.out.contains("quickstart"), "{script}");
        here.write(&format!("strata.{shell}"), &script.out);
        if has(shell) {
            here.bash(&format!("{check} strata.{shell}")).succeeds();
        } else {
            strata_testing::skip("shells_read_their_completions", &format!("no {shell}"));
        }
    }
    // What bash would offer.
    let offer = |words: &str| {
        let script = format!(
            "source ./strata.bash; COMP_WORDS=({words} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _strata strata '' '' 2>/dev/null; echo \"${{COMPREPLY[@]}}\""
        );
        here.bash(&script).succeeds().out
    };
    assert!(offer("strata").contains("translate"), "{}", offer("strata"));
    assert!(offer("strata fetch").contains("synthetic"), "{}", offer("strata fetch"));
}

#[test]
fn every_command_has_a_man_page() {
    let here = folder("man");
    let said = here.strata("generate man --output man").succeeds();
    assert!(said.err.contains("pages to man"), "{said}");
    let page = here.read("man/strata-translate.1");
    for words in [".SH EXAMPLES", "NO_COLOR", "\\-\\-max\\-length", "some input lines failed, runs of a study failed"] {
        assert!(page.contains(words), "no `{words}` in {page}");
    }
    assert!(here.path("man/strata.1").exists() && here.path("man/strata-bench-train-step.1").exists());
    assert!(!here.path("man/strata-generate.1").exists(), "a hidden command has no page");
    if has("groff") {
        let warnings = here.bash("for page in man/*.1; do groff -man -Tutf8 -W break -z \"$page\"; done").succeeds();
        assert_eq!(warnings.err, "");
    } else {
        strata_testing::skip("every_command_has_a_man_page", "no groff to render them");
    }
}

#[test]
fn colors_follow_the_flag_and_the_environment() {
    let here = folder("colors");
    let analyze = |arguments: &str, variables: &[(&str, &str)]| {
        let mut command = here.command(&format!("analyze ../run ../prepared --max-sentences 4 -q {arguments}"));
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").envs(variables.iter().copied());
        let ran = common::Ran::new(arguments, command.output().unwrap()).succeeds();
        ran.out.contains("\x1b[48;2;")
    };
    assert!(!analyze("", &[]), "a pipe gets no colors");
    assert!(analyze("", &[("CLICOLOR_FORCE", "1")]));
    assert!(!analyze("", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(analyze("--color always", &[("NO_COLOR", "1")]));
    assert!(!analyze("--color never", &[("CLICOLOR_FORCE", "1")]));
}
