//! A study as text: its plan, and its results.

use std::fmt::Write;

use strata_files::thousands;
use strata_study::study::Study;
use strata_study::study::results::{Comparison, RunResult, Status, StudyResult};

use crate::terminal::{duration, short};

/// The runs of a study before they are trained.
pub fn plan(study: &Study) -> String {
    let mut text =
        format!("{:<28} {:<18} {:>10} {:>12} {:>9}  {}\n", "run", "model", "parameters", "FLOPs/token", "updates", "");
    for (planned, result) in study.plan().iter().zip(study.results()) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "{:<28} {:<18} {:>10} {:>12} {:>9}  {}{}",
            planned.id,
            result.model,
            short(result.parameters as f64, ""),
            short(result.flops_per_token as f64, ""),
            thousands(planned.recipe.train.updates),
            status(&result),
            if result.differs.is_empty() { String::new() } else { format!("; {}", result.differs.join(", ")) }
        );
    }
    text
}

fn status(result: &RunResult) -> &'static str {
    match result.status {
        Status::Done => "done",
        Status::Waiting => "waiting",
        Status::Interrupted => "interrupted",
        Status::Failed => "failed",
    }
}

/// The results of a study, as far as it has come.
pub fn render(result: &StudyResult) -> String {
    let mut text = String::new();
    runs(result, &mut text);
    averages(result, &mut text);
    directions(result, &mut text);
    comparisons(result, &mut text);
    for signature in &result.signatures {
        let _ = writeln!(text, "{signature}");
    }
    text
}

fn runs(result: &StudyResult, text: &mut String) {
    let _ = writeln!(
        text,
        "{:<24} {:>10} {:>9} {:>9} {:>6} {:>6} {:>8} {:>9} {:>9} {:>7}",
        "run", "parameters", "FLOPs", "measured", "RC enc", "RC dec", "updates", "time", "val. loss", "BLEU"
    );
    for run in &result.runs {
        let rc = |rc: Option<f64>| rc.map_or("-".to_string(), |rc| format!("{rc:.3}"));
        let measured = run.flops_per_token_measured.map_or("-".to_string(), |flops| short(flops as f64, ""));
        let _ = writeln!(
            text,
            "{:<24} {:>10} {:>9} {:>9} {:>6} {:>6} {:>8} {:>9} {:>9} {:>7}",
            run.id,
            short(run.parameters as f64, ""),
            short(run.flops_per_token as f64, ""),
            measured,
            rc(run.rc_encoder),
            rc(run.rc_decoder),
            thousands(run.updates),
            duration(run.train_seconds),
            run.best_loss.map_or("-".to_string(), |loss| format!("{loss:.3}")),
            run.average("all").map_or(status(run).to_string(), |all| format!("{:.2}", all.bleu))
        );
        if let Some(reason) = &run.reason {
            let _ = writeln!(text, "    failed: {reason}");
        }
        if !run.differs.is_empty() {
            let _ = writeln!(text, "    differs in more than the model: {}", run.differs.join(", "));
        }
    }
    text.push('\n');
}

fn averages(result: &StudyResult, text: &mut String) {
    let done: Vec<_> = result.systems.iter().filter(|system| !system.seeds.is_empty()).collect();
    let Some(first) = done.first() else { return };
    let columns: Vec<&str> = first.averages.iter().map(|average| average.name.as_str()).collect();
    let _ = writeln!(text, "BLEU / chrF2, means over directions and seeds; +/- the spread of BLEU over seeds");
    let header: String = columns.iter().map(|name| format!(" {name:>20}")).collect();
    let _ = writeln!(text, "{:<18} {:>5}{header}", "", "seeds");
    for system in done {
        let cell = |name: &&str| match system.averages.iter().find(|average| average.name == **name) {
            Some(a) => {
                let spread = a.bleu_deviation.map_or(String::new(), |d| format!("+/-{d:.2}"));
                format!(" {:>20}", format!("{:.2}{spread} / {:.1}", a.bleu, a.chrf2))
            }
            None => format!(" {:>20}", "-"),
        };
        let cells: String = columns.iter().map(cell).collect();
        let _ = writeln!(text, "{:<18} {:>5}{cells}", system.name, system.seeds.len());
    }
    text.push('\n');
}

fn directions(result: &StudyResult, text: &mut String) {
    let done: Vec<&RunResult> = result.runs.iter().filter(|run| run.status == Status::Done).collect();
    let Some(first) = done.first() else { return };
    let width = |run: &RunResult| run.id.chars().count().max(12);
    let header: String = done.iter().map(|run| format!(" {:>w$}", run.id, w = width(run))).collect();
    let _ = writeln!(text, "{:<12} {:<9} {:>8}{header}   BLEU / chrF2", "direction", "level", "pairs");
    for d in &first.directions {
        let cell = |run: &&RunResult| {
            let found = run.directions.iter().find(|other| other.of.direction == d.of.direction);
            let scores = found.map_or("-".to_string(), |d| format!("{:.1} / {:.1}", d.bleu, d.chrf2));
            format!(" {scores:>w$}", w = width(run))
        };
        let cells: String = done.iter().map(cell).collect();
        let _ = writeln!(text, "{:<12} {:<9} {:>8}{cells}", d.of.direction, d.of.level, thousands(d.of.train_pairs));
    }
    text.push('\n');
}

/// Differences of averages; `study.json` has those of each direction too.
fn comparisons(result: &StudyResult, text: &mut String) {
    let of_averages = |c: &&Comparison| !c.of.contains('-');
    let shown: Vec<&Comparison> = result.comparisons.iter().filter(of_averages).collect();
    if shown.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "against {}: difference [95 % interval] p, by paired bootstrap over sentences (1,000 resamples)\n\
         (it says whether other sentences would show the difference; whether another seed would, only more seeds say)",
        result.baseline
    );
    for c in shown {
        let seeds: Vec<String> = c.by_seed.iter().map(|d| format!("{d:+.2}")).collect();
        let by_seed = match seeds.as_slice() {
            [_] => "  one seed".to_string(),
            _ => format!("  by seed {}", seeds.join(" ")),
        };
        let _ = writeln!(
            text,
            "{:<18} {:<20} {:<6} {:>+6.2} [{:>+6.2}, {:>+6.2}]  p = {:.3}{by_seed}",
            c.name, c.of, c.metric, c.difference, c.low, c.high, c.p_bootstrap
        );
    }
    text.push('\n');
}
