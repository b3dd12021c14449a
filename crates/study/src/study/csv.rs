//! A study's scores as comma-separated values: a row for each run and direction or average.

use super::results::{RunResult, StudyResult};

const HEADER: &str = "run,name,seed,status,model,parameters,flops_per_token,flops_per_token_measured,rc_encoder,rc_decoder,\
                      updates,train_seconds,of,level,sentences,bleu,chrf2,nll\n";

/// Renders the table; numbers in full, with a decimal point.
pub fn render(result: &StudyResult) -> String {
    let mut text = HEADER.to_string();
    for run in &result.runs {
        let front = front(run);
        let mut row = |of: &str, level: &str, sentences: &str, scores: Option<(f64, f64)>| {
            let scores = scores.map_or(",".to_string(), |(bleu, chrf2)| format!("{bleu},{chrf2}"));
            let nll = match of {
                "all" => run.nll,
                _ => run.likelihoods.iter().find(|l| l.direction == of).and_then(|l| l.nll),
            };
            let nll = nll.map_or(String::new(), |nll| nll.to_string());
            text += &format!("{front},{},{level},{sentences},{scores},{nll}\n", quoted(of));
        };
        if run.directions.is_empty() {
            row("", "", "", None);
        }
        for d in &run.directions {
            row(&d.of.direction, &d.of.level.to_string(), &d.of.sentences.to_string(), Some((d.bleu, d.chrf2)));
        }
        for average in &run.averages {
            row(&average.name, "", "", Some((average.bleu, average.chrf2)));
        }
    }
    text
}

/// Renders the differences from the baseline.
pub fn comparisons(result: &StudyResult) -> String {
    let mut text =
        "name,of,metric,seeds,difference,low,high,p_bootstrap,deviation_seeds,low_t,high_t,p_t,seeds_needed,\
                    by_seed\n"
            .to_string();
    for c in &result.comparisons {
        let of_seeds = match &c.seeds_test {
            Some(t) => format!("{},{},{},{}", t.deviation, t.low, t.high, t.p),
            None => ",,,".to_string(),
        };
        let needed = c.seeds_needed.map_or(String::new(), |seeds| seeds.to_string());
        let by_seed: Vec<String> = c.by_seed.iter().map(f64::to_string).collect();
        text += &format!(
            "{},{},{},{},{},{},{},{},{of_seeds},{needed},{}\n",
            quoted(&c.name),
            quoted(&c.of),
            c.metric,
            c.seeds.len(),
            c.difference,
            c.low,
            c.high,
            c.p_bootstrap,
            by_seed.join(" ")
        );
    }
    text
}

/// The columns that a run's rows share.
fn front(run: &RunResult) -> String {
    let number = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    let status = serde_json::to_value(run.status).ok();
    [
        quoted(&run.id),
        quoted(&run.name),
        run.seed.to_string(),
        status.as_ref().and_then(|s| s.as_str()).unwrap_or_default().to_string(),
        quoted(&run.model),
        run.parameters.to_string(),
        run.flops_per_token.to_string(),
        run.flops_per_token_measured.map_or(String::new(), |flops| flops.to_string()),
        number(run.rc_encoder),
        number(run.rc_decoder),
        run.updates.to_string(),
        run.train_seconds.to_string(),
    ]
    .join(",")
}

/// A field, quoted where RFC 4180 requires it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
}
