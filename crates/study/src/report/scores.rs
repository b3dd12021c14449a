//! The part of a report that compares the runs of a study.

use super::capacity::key;
use super::html::{Table, escape, figure, plots, tokens};
use super::plot::{Line, Row, bars, lines};
use crate::error::Error;
use crate::study::Primary;
use crate::study::results::{Comparison, CurvePoint, PairedT, RunResult, Status, StudyResult, SystemResult};

/// The names of the study in its order, which is that of their colors.
fn names(result: &StudyResult) -> Vec<&str> {
    result.systems.iter().map(|system| system.name.as_str()).collect()
}

fn runs_of<'a>(result: &'a StudyResult, name: &'a str) -> impl Iterator<Item = &'a RunResult> {
    result.runs.iter().filter(move |run| run.name == name)
}

/// What was compared, on what.
pub(crate) fn introduction(result: &StudyResult) -> String {
    let count = |status| result.runs.iter().filter(|run| run.status == status).count();
    let sentences = result.runs.iter().find_map(|run| run.directions.first()).map_or(0, |d| d.of.sentences);
    format!(
        "<p>{}: {} runs on {}, {} done, {} failed. All have the same data in the same order, the same number of updates and the same \
         initial weights where they share a weight, unless a row says otherwise. Scores are of up to {sentences} sentences a direction of \
         the {} split, negative log-likelihoods of all of it.</p>\n{}<p class=\"note\">BLEU: {}<br>chrF2: {}</p>\n",
        escape(&result.study),
        result.runs.len(),
        escape(&result.prepared),
        count(Status::Done),
        count(Status::Failed),
        escape(&result.split),
        decided(result),
        escape(result.signatures.first().map_or("", String::as_str)),
        escape(result.signatures.get(1).map_or("", String::as_str)),
    )
}

/// What was decided before the first run, and how the study ended if it did early.
fn decided(result: &StudyResult) -> String {
    let Primary { question, measure, difference } = &result.primary;
    let mut html = format!(
        "<p><b>Primary measure, fixed beforehand: {}</b>; the smallest difference that matters is {difference}. {}</p>\n",
        measure.name(),
        escape(question)
    );
    if let Some(why) = &result.ended {
        html += &format!("<p><b>{}</b></p>\n", escape(why));
    }
    html
}

/// Differences in negative log-likelihood from the baseline, with what the seeds say of them.
pub(crate) fn likelihoods(result: &StudyResult) -> String {
    let shown: Vec<&Comparison> =
        result.comparisons.iter().filter(|c| c.metric == "NLL" && !c.of.contains('-')).collect();
    if shown.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        "model",
        "directions",
        "seeds",
        "nats per subword",
        "95 %, crossed",
        "p",
        "sd over seeds",
        "95 %, t",
        "p, t",
        "seeds needed",
    ]);
    for c in shown {
        let of_seeds = |figure: fn(&PairedT) -> String| c.seeds_test.as_ref().map_or("-".to_string(), figure);
        let cells = [
            c.name.clone(),
            c.of.clone(),
            c.seeds.len().to_string(),
            format!("{:+.4}", c.difference),
            format!("[{:+.4}, {:+.4}]", c.low, c.high),
            format!("{:.3}", c.p_bootstrap),
            of_seeds(|t| format!("{:.4}", t.deviation)),
            of_seeds(|t| format!("[{:+.4}, {:+.4}]", t.low, t.high)),
            of_seeds(|t| format!("{:.3}", t.p)),
            c.seeds_needed.map_or("-".to_string(), |seeds| seeds.to_string()),
        ];
        table.row("", &cells);
    }
    let note = format!(
        "Negative log-likelihood of the references against {}, lower is better. Crossed: a bootstrap over seeds and, \
         crossed with them, over English sentences with all their translations (1,000 resamples); with few seeds it is \
         too narrow. t: a paired t-test over the seeds alone. Seeds needed: pairs of runs with which a paired t-test \
         finds a difference of {} four times in five, by the deviation seen.",
        escape(&result.baseline),
        result.primary.difference
    );
    let note = match most_left_out(result) {
        0 => note,
        _ => format!("{note} They are over the references that no run of the two models left out."),
    };
    format!("<h2>Negative log-likelihood</h2>\n{}<p class=\"note\">{note}</p>\n", table.finish())
}

/// References that the likelihoods of a run leave out, at most.
fn most_left_out(result: &StudyResult) -> usize {
    result.runs.iter().map(RunResult::left_out).max().unwrap_or(0)
}

/// A row for each name: scores over seeds, cost, time, the difference from the baseline.
pub(crate) fn scores(result: &StudyResult) -> String {
    let columns = [
        "model",
        "seeds",
        "NLL",
        "BLEU all",
        "from en",
        "into en",
        "chrF2 all",
        "against baseline, BLEU",
        "p",
        "parameters, M",
        "MFLOP/token",
        "measured",
        "RC enc",
        "RC dec",
        "training",
    ];
    let mut table = Table::new(&columns);
    let bleu = |system: &SystemResult| average(system, "all").map(|a| a.bleu);
    let best = result.systems.iter().filter_map(bleu).fold(f64::NEG_INFINITY, f64::max);
    for system in &result.systems {
        let done: Vec<&RunResult> = runs_of(result, &system.name).filter(|run| run.status == Status::Done).collect();
        let Some(any) = done.first().copied().or_else(|| runs_of(result, &system.name).next()) else { continue };
        let mean = |figure: fn(&RunResult) -> Option<f64>| {
            let all: Vec<f64> = done.iter().filter_map(|run| figure(run)).collect();
            (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
        };
        let score = |name: &str| {
            average(system, name).map_or("-".to_string(), |a| {
                let spread = a.bleu_deviation.map_or(String::new(), |d| format!(" ± {d:.2}"));
                format!("{:.2}{spread}", a.bleu)
            })
        };
        let against = result.comparisons.iter().find(|c| c.name == system.name && c.of == "all" && c.metric == "BLEU");
        let shown = |value: Option<f64>, scale: f64, digits: usize| {
            value.map_or("-".to_string(), |value| format!("{:.digits$}", value / scale))
        };
        let difference = |c: &Comparison| format!("{:+.2} [{:+.2}, {:+.2}]", c.difference, c.low, c.high);
        let own = if system.name == result.baseline { "baseline" } else { "-" };
        let cells = [
            system.name.clone(),
            system.seeds.len().to_string(),
            system.nll.map_or("-".to_string(), |nll| format!("{nll:.4}")),
            score("all"),
            score("from en"),
            score("into en"),
            average(system, "all").map_or("-".to_string(), |a| format!("{:.2}", a.chrf2)),
            against.map_or(own.to_string(), difference),
            against.map_or(String::new(), |c| format!("{:.3}", c.p_bootstrap)),
            format!("{:.1}", any.parameters as f64 / 1e6),
            format!("{:.1}", any.flops_per_token as f64 / 1e6),
            shown(mean(|run| run.flops_per_token_measured.map(|f| f as f64)), 1e6, 1),
            shown(mean(|run| run.rc_encoder), 1.0, 2),
            shown(mean(|run| run.rc_decoder), 1.0, 2),
            mean(|run| Some(run.train_seconds)).map_or("-".to_string(), |s| format!("{:.0} min", s / 60.0)),
        ];
        let class = if bleu(system) == Some(best) { "best" } else { "" };
        table.row(class, &cells);
    }
    let note = "Differences: mean over the seeds that both have, with the 95 % interval and two-sided p of a paired bootstrap over \
                sentences with the same English side (1,000 resamples); they do not cover the effect of another seed. NLL: of the references, nats \
                per target subword, the mean over the seeds. ± is the standard deviation \
                over seeds. MFLOP/token: forward pass under uniform routing, and as measured.";
    let note = match most_left_out(result) {
        0 => note.to_string(),
        most => format!(
            "{note} Up to {most} references of a run are left out of its NLL: too long for its model, or without a \
             finite score."
        ),
    };
    format!("<h2>Scores</h2>\n{}<p class=\"note\">{note}</p>\n{}", table.finish(), noted(result))
}

/// Runs that differ from the others: failed, or with other settings.
fn noted(result: &StudyResult) -> String {
    let mut table = Table::new(&["run", "what"]);
    let mut any = false;
    for run in &result.runs {
        let mut what = Vec::new();
        match (run.status, &run.reason) {
            (Status::Failed, reason) => {
                what.push(format!("failed: {}", reason.as_deref().unwrap_or("no reason given")))
            }
            (Status::Waiting, _) => what.push("not trained yet".to_string()),
            (Status::Interrupted, _) => what.push(format!("stopped at update {}, to be gone on with", run.updates)),
            (Status::Done, _) => {}
        }
        if !run.differs.is_empty() {
            what.push(format!("differs in more than the model: {}", run.differs.join(", ")));
        }
        if run.dropped > 0 {
            what.push(format!("{} choices found their expert full in training", run.dropped));
        }
        if !what.is_empty() {
            any = true;
            table.html_row(&run.id, &escape(&what.join("; ")));
        }
    }
    if any { format!("<h3>Runs to note</h3>\n{}", table.finish()) } else { String::new() }
}

fn average<'a>(system: &'a SystemResult, name: &str) -> Option<&'a crate::study::results::Spread> {
    system.averages.iter().find(|average| average.name == name)
}

/// Validation losses of all runs together.
pub(crate) fn curves(result: &StudyResult) -> Result<String, Error> {
    let names = names(result);
    let lines_over = |across: &dyn Fn(&RunResult, &CurvePoint) -> f64| {
        let mut all = Vec::new();
        for (color, name) in names.iter().enumerate() {
            for (i, run) in runs_of(result, name).filter(|run| !run.curve.is_empty()).enumerate() {
                let points = run.curve.iter().map(|point| (across(run, point), point.loss)).collect();
                all.push(Line { points, color, faint: i > 0 });
            }
        }
        all
    };
    let all = lines_over(&|_, point| point.update as f64);
    if all.is_empty() {
        return Ok(String::new());
    }
    let whole = figure(&lines(&all, "updates", "validation loss, nats")?, "All validations; further seeds are thin");
    // Models differ at the end; the steep beginning would hide it.
    let last = all.iter().flat_map(|line| line.points.last()).map(|p| p.0).fold(0.0, f64::max);
    let tail = |line: Line| Line { points: line.points.into_iter().filter(|p| p.0 >= last / 2.0).collect(), ..line };
    let late: Vec<Line> = all.into_iter().map(tail).filter(|line| line.points.len() > 1).collect();
    let mut figures = vec![whole];
    if !late.is_empty() {
        figures.push(figure(&lines(&late, "updates", "validation loss, nats")?, "The second half"));
    }
    // A token of the FLOPs is one of either side and the backward pass costs two forward passes.
    let flops = |run: &RunResult| run.flops_per_token_measured.unwrap_or(run.flops_per_token) as f64;
    type Across<'a> = &'a dyn Fn(&RunResult, &CurvePoint) -> f64;
    let costs: [(&str, &str, Across<'_>); 3] = [
        ("million subwords, both sides", "By tokens", &|_, point| point.tokens as f64 / 1e6),
        ("training TFLOP", "By computation", &|run, point| 1.5 * flops(run) * point.tokens as f64 / 1e12),
        ("hours", "By time", &|_, point| point.seconds / 3600.0),
    ];
    for (axis, title, across) in costs {
        // Logs of earlier programs do not say; the steep beginning would hide the rest.
        let known = |line: &Line| line.points.last().is_some_and(|last| last.0 > 0.0);
        let late: Vec<Line> = lines_over(across)
            .into_iter()
            .filter(known)
            .map(|line| Line { points: line.points[line.points.len() / 2..].to_vec(), ..line })
            .collect();
        if !late.is_empty() {
            figures.push(figure(&lines(&late, axis, "validation loss, nats")?, &format!("{title}, later half")));
        }
    }
    Ok(format!("<h2>Training</h2>\n{}{}", key(&names), plots(&figures)))
}

/// BLEU of each direction: means over seeds.
pub(crate) fn directions(result: &StudyResult) -> Result<String, Error> {
    let Some(first) = result.runs.iter().find(|run| run.status == Status::Done) else { return Ok(String::new()) };
    let systems: Vec<&SystemResult> = result.systems.iter().filter(|system| !system.seeds.is_empty()).collect();
    let mut columns = vec!["direction".to_string(), "level".into(), "pairs".into()];
    columns.extend(systems.iter().map(|system| system.name.clone()));
    columns.push("copied".into());
    let mut table = Table::new(&columns);
    for d in &first.directions {
        let mut cells = vec![d.of.direction.clone(), d.of.level.to_string(), d.of.train_pairs.to_string()];
        for system in &systems {
            let scores: Vec<(f64, f64)> = runs_of(result, &system.name)
                .filter(|run| run.status == Status::Done)
                .filter_map(|run| run.directions.iter().find(|other| other.of.direction == d.of.direction))
                .map(|d| (d.bleu, d.chrf2))
                .collect();
            let n = scores.len().max(1) as f64;
            let mean = |of: fn(&(f64, f64)) -> f64| scores.iter().map(of).sum::<f64>() / n;
            cells.push(if scores.is_empty() {
                "-".into()
            } else {
                format!("{:.1} / {:.1}", mean(|s| s.0), mean(|s| s.1))
            });
        }
        cells.push(format!("{:.1}", d.copy_bleu));
        table.row("", &cells);
    }
    let rows: Vec<Row<f64>> = systems
        .iter()
        .map(|system| {
            let of = |name: &str| average(system, name).map(|a| a.bleu);
            Row { name: system.name.clone(), values: vec![of("from en"), of("into en")] }
        })
        .collect();
    let most = rows.iter().flat_map(|row| row.values.iter().flatten()).copied().fold(1.0, f64::max);
    let plot = figure(&bars(&rows, [0.0, most * 1.15], "mean BLEU")?, "Mean BLEU out of and into English");
    Ok(format!(
        "<h2>Directions</h2>\n{}{}<h3>BLEU / chrF2</h3>\n{}<p class=\"note\">copied: BLEU of the untranslated source.</p>\n",
        key(&["from en", "into en"]),
        plots(&[plot]),
        table.finish()
    ))
}

/// Translations of one sentence of each direction by every system, colored by requested capacity.
pub(crate) fn translations(result: &StudyResult, strata: &dyn Fn(&RunResult) -> usize) -> String {
    let done: Vec<&RunResult> = names(result)
        .iter()
        .filter_map(|name| result.runs.iter().find(|run| run.name == *name && run.status == Status::Done))
        .collect();
    let Some(first) = done.first() else { return String::new() };
    let mut html = "<h2>Translations side by side</h2>\n<p class=\"note\">Tokens are colored by the strata that they visited, the mean over \
                    the decoder's blocks: from blue (1) to red (all). Models without strata ask for 1 everywhere.</p>\n"
        .to_string();
    for example in &first.examples {
        let mut table = Table::new(&[example.direction.as_str(), ""]);
        table.html_row("source", &format!("<span dir=\"auto\">{}</span>", escape(&example.source)));
        table.html_row("reference", &format!("<span dir=\"auto\">{}</span>", escape(&example.reference)));
        for run in &done {
            let Some(own) = run.examples.iter().find(|own| own.direction == example.direction) else { continue };
            let text = if own.tokens.is_empty() {
                format!("<span dir=\"auto\">{}</span>", escape(&own.translation))
            } else {
                // The first token is the tag of the language.
                tokens(&own.tokens[1..], strata(run))
            };
            table.html_row(&run.id, &text);
        }
        html += &table.finish();
    }
    html
}
