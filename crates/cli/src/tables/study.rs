//! A study as text: its plan, and its results.

use std::fmt::Write;

use strata_files::thousands;
use strata_study::study::results::{Comparison, RunResult, Status, StudyResult};
use strata_study::study::{Step, Study};

use crate::terminal::{duration, short};

/// The runs of a study before they are trained.
pub fn plan(study: &Study) -> String {
    let results = study.results();
    let run = widest(results.iter().map(|result| result.id.as_str()), "run");
    let model = widest(results.iter().map(|result| result.model.as_str()), "model");
    let mut text = format!(
        "{:<run$}  {:<model$}  {:>10} {:>12} {:>9} {:>6}\n",
        "run", "model", "parameters", "FLOPs/token", "updates", "hours"
    );
    let (mut step, mut whole) = (None, 0.0);
    for (planned, result) in study.plan().iter().zip(&results) {
        let hours = study.hours(planned, result);
        whole += hours.unwrap_or(0.0);
        if step != Some(planned.step)
            && let Some(begun) = study.steps().get(planned.step)
        {
            let _ = writeln!(text, "step: {}{}", begun.name, conditions(begun));
        }
        step = Some(planned.step);
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "{:<run$}  {:<model$}  {:>10} {:>12} {:>9} {:>6}  {}{}",
            planned.id,
            result.model,
            short(result.parameters as f64, ""),
            short(result.flops_per_token as f64, ""),
            thousands(planned.recipe.train.updates),
            hours.map_or(String::new(), |hours| format!("{hours:.1}")),
            status(result),
            if result.differs.is_empty() { String::new() } else { format!("; {}", result.differs.join(", ")) }
        );
    }
    if whole > 0.0 {
        let _ = writeln!(text, "{whole:.1} hours of one device in all, without translating");
    }
    text
}

/// The width of a column of names: of its longest, or of its title.
fn widest<'a>(names: impl Iterator<Item = &'a str>, title: &str) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0).max(title.len())
}

/// What must hold after a step, as the end of a line.
fn conditions(step: &Step) -> String {
    let all: Vec<String> = step.go_on_if.iter().map(|c| format!("{} - {} >= {}", c.higher, c.lower, c.by)).collect();
    if all.is_empty() { String::new() } else { format!("; goes on if {}", all.join(" and ")) }
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
    let primary = &result.primary;
    let _ = writeln!(
        text,
        "primary measure, fixed beforehand: {}; the smallest difference that matters: {}",
        primary.measure.name(),
        primary.difference
    );
    if let Some(why) = &result.ended {
        let _ = writeln!(text, "{why}");
    }
    text.push('\n');
    runs(result, &mut text);
    averages(result, &mut text);
    directions(result, &mut text);
    comparisons(result, &mut text);
    for (name, signature) in ["BLEU", "chrF2"].iter().zip(&result.signatures) {
        let _ = writeln!(text, "{name:<8} {signature}");
    }
    text
}

fn runs(result: &StudyResult, text: &mut String) {
    let width = widest(result.runs.iter().map(|run| run.id.as_str()), "run");
    let _ = writeln!(
        text,
        "{:<width$} {:>10} {:>9} {:>9} {:>6} {:>6} {:>8} {:>9} {:>9} {:>9} {:>7}",
        "run",
        "parameters",
        "FLOPs",
        "measured",
        "RC enc",
        "RC dec",
        "updates",
        "time",
        "val. loss",
        "test NLL",
        "BLEU"
    );
    for run in &result.runs {
        let rc = |rc: Option<f64>| rc.map_or("-".to_string(), |rc| format!("{rc:.3}"));
        let measured = run.flops_per_token_measured.map_or("-".to_string(), |flops| short(flops as f64, ""));
        let _ = writeln!(
            text,
            "{:<width$} {:>10} {:>9} {:>9} {:>6} {:>6} {:>8} {:>9} {:>9} {:>9} {:>7}",
            run.id,
            short(run.parameters as f64, ""),
            short(run.flops_per_token as f64, ""),
            measured,
            rc(run.rc_encoder),
            rc(run.rc_decoder),
            thousands(run.updates),
            duration(run.train_seconds),
            run.best_loss.map_or("-".to_string(), |loss| format!("{loss:.3}")),
            run.nll.map_or("-".to_string(), |nll| format!("{nll:.4}")),
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
    let width = widest(done.iter().map(|system| system.name.as_str()), "");
    let _ = writeln!(text, "{:<width$} {:>5}{header}", "", "seeds");
    for system in done {
        let cell = |name: &&str| match system.averages.iter().find(|average| average.name == **name) {
            Some(a) => {
                let spread = a.bleu_deviation.map_or(String::new(), |d| format!("+/-{d:.2}"));
                format!(" {:>20}", format!("{:.2}{spread} / {:.1}", a.bleu, a.chrf2))
            }
            None => format!(" {:>20}", "-"),
        };
        let cells: String = columns.iter().map(cell).collect();
        let _ = writeln!(text, "{:<width$} {:>5}{cells}", system.name, system.seeds.len());
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
    let width = widest(shown.iter().map(|c| c.name.as_str()), "");
    let _ = writeln!(
        text,
        "against {}: difference [95 % interval] p, by paired bootstrap over sentences (1,000 resamples); for NLL over \
         seeds and, crossed with them, English sentences\n\
         t: [95 % interval] p of a paired t-test over the seeds alone",
        result.baseline
    );
    for c in shown {
        let digits = if c.metric == "NLL" { 4 } else { 2 };
        let number = |value: f64| format!("{value:+.digits$}");
        let seeds: Vec<String> = c.by_seed.iter().map(|d| number(*d)).collect();
        let by_seed = match &c.seeds_test {
            None => "  one seed".to_string(),
            Some(t) => {
                let needed = c.seeds_needed.map_or(String::new(), |n| format!(", {n} seeds needed"));
                let (low, high) = (number(t.low), number(t.high));
                format!("  t: [{low}, {high}] p = {:.3}{needed}  by seed {}", t.p, seeds.join(" "))
            }
        };
        let _ = writeln!(
            text,
            "{:<width$} {:<20} {:<6} {:>7} [{:>7}, {:>7}]  p = {:.3}{by_seed}",
            c.name,
            c.of,
            c.metric,
            number(c.difference),
            number(c.low),
            number(c.high),
            c.p_bootstrap
        );
    }
    text.push('\n');
}
