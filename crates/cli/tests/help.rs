//! The command line itself: exit codes, the version, silence, and output for programs.

mod common;

use common::folder;

#[test]
fn usage_errors_have_code_2_and_say_what_is_expected() {
    let here = folder("usage");
    for (arguments, words) in [
        ("", "Usage: strata"),
        ("trian", "similar subcommands exist: 'translate', 'train'"),
        ("translate ../run", "--to <LANG>"),
        ("translate ../run --too qaa", "'--to'"),
        ("prepare ../bitext", "--output <PATH>"),
        ("train", "<RECIPE>"),
        ("train ../tiny.toml --resume run", "cannot be used with"),
        ("train --resume run --init ../run", "cannot be used with"),
        ("train --resume run --upcycle", "cannot be used with"),
        ("train ../tiny.toml --from 3", "'[RECIPE]' cannot be used with '--from <STEP>'"),
        ("train ../tiny.toml --set updates", "`updates` is not KEY=VALUE"),
        ("evaluate ../run", "<DATA>"),
        ("evaluate --hypotheses x", "--references <FILE>"),
        ("evaluate ../run ../prepared --references x", "cannot be used with"),
        ("evaluate ../run ../prepared --baseline-hypotheses x", "cannot be used with"),
        ("evaluate --hypotheses x --references y --baseline ../run", "cannot be used with"),
        ("evaluate --hypotheses x --references y --output z", "cannot be used with"),
        ("inspect ../tiny.toml --threads many", "choose 1 to 4096, or 0 for all"),
        ("inspect ../tiny.toml --threads 100000", "choose 1 to 4096, or 0 for all"),
        ("translate ../run --to qaa --encoding klingon", "no encoding of this name"),
    ] {
        let ran = here.records(here.strata(arguments));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran}");
        assert!(ran.err.contains(words), "no `{words}` in {ran}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let here = folder("version");
    let version = here.strata("--version").succeeds();
    assert_eq!(version.out, format!("strata {}\n", env!("CARGO_PKG_VERSION")));
    let help = here.strata("--help").succeeds();
    for words in [
        "strata quickstart",
        "Exit codes:\n  0               done\n",
        "\n  129             stopped by SIGHUP",
        "\n  143             stopped by SIGTERM",
    ] {
        assert!(help.out.contains(words), "{help}");
    }
    assert_eq!(here.strata("help --help").succeeds().out, here.strata("help").succeeds().out);
    assert_eq!(here.strata("help train -h").succeeds().out, here.strata("help train").succeeds().out);
    let keys = here.strata("train --list-keys").succeeds().out;
    for key in ["prepared", "strata", "learning_rate", "beam"] {
        assert!(keys.contains(&format!("\n{key} = ")), "{keys}");
    }
}

#[test]
fn quiet_leaves_results_warnings_and_errors() {
    let here = folder("quiet");
    for (arguments, result) in [
        ("fetch synthetic --languages 1 --pairs 100 --output bitext", ""),
        ("prepare bitext --output prepared --vocab-size 320", "en-qaa"),
        ("train ../tiny.toml --set data.prepared=prepared", ""),
        ("evaluate run prepared --max-sentences 2 --beam 1 --output kept", "BLEU"),
        ("inspect run", "SMoE-2-2"),
        ("train --resume run", ""),
    ] {
        let ran = here.strata(&format!("{arguments} -q")).succeeds();
        assert_eq!(ran.err, "", "{ran}");
        assert!(ran.out.contains(result) && ran.out.is_empty() == result.is_empty(), "{ran}");
    }
    let warned = here.strata_reading("translate run --to qaa -q", b"\xff\n");
    assert_eq!((warned.code, warned.err.lines().count()), (Some(1), 2), "{warned}");
    let said = here.strata("train ../tiny.toml --output other -v").succeeds();
    assert!(said.err.contains("saved         other/checkpoints/step-000002") && said.out.is_empty(), "{said}");
}

#[test]
fn results_for_programs_are_json_and_nothing_else() {
    let here = folder("json");
    let prepared = here.strata("prepare ../bitext --output prepared --vocab-size 400 --json").succeeds().json();
    assert_eq!(prepared["vocab_size"], 400);
    let trained = here.strata("train ../tiny.toml --json").succeeds().json();
    assert_eq!(
        (&trained["update"], &trained["stopped"], &trained["run"]),
        (&6.into(), &"finished".into(), &"run".into())
    );
    assert!(trained["tokens_per_second"].as_f64().unwrap() > 0.0);
    let bench =
        "bench train-step --layers 2 --d-model 16 --d-ffn 16 --heads 2 --vocab 50 --batch 2 --length 4 --steps 2";
    let measured = here.strata(&format!("{bench} --strata 2,2")).succeeds().json();
    for key in [
        "tokens_per_second_best",
        "tokens_per_second_median",
        "first_loss",
        "last_loss",
        "parameters",
        "flops_per_second_best",
    ] {
        assert!(measured[key].as_f64().unwrap() > 0.0, "{measured}");
    }
    assert_eq!((&measured["text_share"], &measured["padded_length"]), (&1.0.into(), &4.0.into()));
    // Real batches have other lengths; the vocabulary is theirs.
    let bench =
        "bench train-step --layers 2 --d-model 16 --d-ffn 16 --heads 2 prepared --tokens-per-batch 100 --steps 3";
    let measured = here.strata(bench).succeeds().json();
    let figure = |key: &str| measured[key].as_f64().unwrap();
    assert_eq!(measured["vocab"], 400);
    assert!(figure("text_share") > 0.3 && figure("text_share") < 1.0, "{measured}");
    let filled = 2.0 * figure("sentences_per_step") * figure("padded_length");
    assert!(figure("sentences_per_step") > 1.0 && filled > 50.0 && filled < 300.0, "{measured}");
}

#[test]
fn an_instruction_level_that_this_processor_lacks_is_an_error() {
    let here = folder("isa");
    let inspect = |level: &str| here.bash(&format!("STRATA_ISA={level} \"$STRATA\" inspect ../run"));
    inspect("portable").succeeds();
    inspect("''").succeeds();
    // The message lists this processor's levels, so it is not in errors.txt.
    inspect("quantum").fails(&["STRATA_ISA=\"quantum\"", "portable"]);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error_and_no_panic() {
    let here = folder("full");
    for command in
        ["inspect ../run", "train --list-keys", "translate ../run --whole-lines --to qaa ../bitext/test.en-qaa.en"]
    {
        here.records(
            here.bash(&format!("\"$STRATA\" {command} > /dev/full")).fails(&["cannot write", "No space left"]),
        );
    }
    // Rust puts /dev/null in the place of a closed output, where results would be lost in silence.
    for command in ["inspect ../run", "translate ../run --whole-lines --to qaa ../bitext/test.en-qaa.en"] {
        here.records(here.bash(&format!("\"$STRATA\" {command} >&-")).fails(&["standard output", "it is closed"]));
        here.bash(&format!("\"$STRATA\" {command} > /dev/null")).succeeds();
    }
    here.bash("\"$STRATA\" translate ../run --whole-lines --to qaa -o out ../bitext/test.en-qaa.en >&-").succeeds();
    // Nothing can be said then, but the exit code is still the one for errors.
    assert_eq!(here.bash("\"$STRATA\" inspect nowhere 2> /dev/full").code, Some(2));
    here.bash("\"$STRATA\" train ../tiny.toml 2> /dev/full").succeeds();
}

#[test]
fn color_always_colors_help_and_errors() {
    let here = folder("color");
    let colored = |text: &str| text.contains("\x1b[");
    assert!(colored(&here.strata("--color always train --help").succeeds().out));
    assert!(!colored(&here.strata("train --help").succeeds().out));
    for command in ["inspect nowhere", "train --too"] {
        let ran = here.strata(&format!("{command} --color always"));
        assert!(ran.code == Some(2) && ran.err.contains("error:") && colored(&ran.err), "{ran}");
        let plain = here.strata(command);
        assert!(plain.code == Some(2) && !colored(&plain.err), "{plain}");
    }
}
