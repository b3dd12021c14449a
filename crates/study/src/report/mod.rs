//! Analyses and studies as one HTML file: no network, readable on a phone, printable.

mod capacity;
mod color;
mod html;
mod plot;
mod scores;

pub use color::color;

use crate::analysis::Analysis;
use crate::error::Error;
use crate::study::results::{RunResult, StudyResult};

/// A page on one model's routing.
///
/// # Errors
/// A plot that cannot be drawn.
pub fn of_analysis(analysis: &Analysis) -> Result<String, Error> {
    let body = capacity::sections(analysis)? + &capacity::examples(analysis);
    Ok(html::page(&format!("{}: what each language requests", analysis.model), &body))
}

/// A page on a study: `analyses` are those of its runs, by their ids.
///
/// # Errors
/// A plot that cannot be drawn.
pub fn of_study(result: &StudyResult, analyses: &[(String, Analysis)]) -> Result<String, Error> {
    let mut body = scores::introduction(result);
    body += &scores::likelihoods(result);
    body += &scores::scores(result);
    body += &scores::curves(result)?;
    body += &scores::directions(result)?;
    let of = |run: &RunResult| analyses.iter().find(|(id, _)| *id == run.id).map(|(_, analysis)| analysis);
    body += &scores::translations(result, &|run| of(run).map_or(1, |analysis| analysis.strata.len()));
    body += "<h2>What each language requests</h2>\n";
    // One run of each name, models with strata first: they are what the page is about.
    let mut shown: Vec<(&RunResult, &Analysis)> = Vec::new();
    for run in &result.runs {
        if let Some(analysis) = of(run).filter(|_| shown.iter().all(|(other, _)| other.name != run.name)) {
            shown.push((run, analysis));
        }
    }
    shown.sort_by_key(|(_, analysis)| analysis.strata.len() < 2);
    for (i, (run, analysis)) in shown.into_iter().enumerate() {
        let open = if i == 0 { " open" } else { "" };
        let sections = capacity::sections(analysis)?;
        body += &format!(
            "<details{open}><summary>{} ({})</summary>\n{sections}</details>\n",
            html::escape(&run.id),
            html::escape(&analysis.model)
        );
    }
    Ok(html::page("Comparison of models", &body))
}
