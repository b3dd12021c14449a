//! `strata bench machine`: what the processor can do, and how much of it each product reaches.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;
use strata_runtime::Precision;
use strata_runtime::bench::ProductSpeed;
use strata_simd::{Level, peak};
#[cfg(feature = "train")]
use strata_train::bench::{MapSpeed, MatmulPrecision};

use crate::Outcome;
use crate::output::{print, print_json};
use crate::processor;
use crate::terminal::Terminal;

/// Measure this processor's peaks, and the share of them that each matrix product reaches
#[derive(Debug, Args)]
#[command(
    after_help = "Peaks are of arithmetic in registers and of reading memory, on all threads. A product's share is of \
                  what both allow: with few rows, reading the weights takes longer than multiplying. Takes about a \
                  minute; send the output with a report on speed."
)]
pub struct Arguments {
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Report {
    strata: &'static str,
    processor: Option<String>,
    threads: usize,
    /// The instruction level in use.
    level: &'static str,
    /// Those that the processor has.
    levels: Vec<&'static str>,
    /// Operations a second in registers, 2 for each multiply-add.
    f32_peak: f64,
    bf16_peak: Option<f64>,
    int8_peak: Option<f64>,
    /// Bytes a second read from memory.
    memory_peak: f64,
    /// Products of inference.
    inference: Vec<ProductSpeed>,
    /// Products of training.
    #[cfg(feature = "train")]
    training: Vec<MapSpeed>,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let (threads, level) = (rayon::current_num_threads(), Level::current());
    terminal.progress("peaks");
    let f32_peak = peak::f32_peak(level, threads);
    let (bf16_peak, int8_peak) = (peak::bf16_peak(level, threads), peak::int8_peak(level, threads));
    let memory_peak = peak::memory_peak(threads);
    terminal.progress("products of inference");
    let of_precision = |precision| match precision {
        // bf16 weights are multiplied as f32.
        Precision::F32 | Precision::Bf16 => f32_peak,
        Precision::Int8 => int8_peak.unwrap_or(f32_peak),
    };
    let inference = strata_runtime::bench::products(of_precision, memory_peak);
    #[cfg(feature = "train")]
    let training = {
        terminal.progress("products of training");
        let precisions: &[_] = match bf16_peak {
            Some(_) => &[MatmulPrecision::F32, MatmulPrecision::Bf16],
            None => &[MatmulPrecision::F32],
        };
        strata_train::bench::products(precisions)
    };
    terminal.progress("");
    let report = Report {
        strata: env!("CARGO_PKG_VERSION"),
        processor: processor::name(),
        threads,
        level: level.name(),
        levels: Level::available().iter().map(|level| level.name()).collect(),
        f32_peak,
        bf16_peak,
        int8_peak,
        memory_peak,
        inference,
        #[cfg(feature = "train")]
        training,
    };
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&text(&report))?;
    }
    Ok(Outcome::Done)
}

fn giga(rate: f64) -> f64 {
    rate / 1e9
}

fn text(report: &Report) -> String {
    let or_none = |rate: Option<f64>, unit| rate.map_or("none".to_owned(), |rate| format!("{:.0} {unit}", giga(rate)));
    // Writing to a String cannot fail, here and below.
    let mut text = format!(
        "{}, {} threads, level {} (of {})\npeaks: f32 {:.0} GFLOP/s, bf16 {}, int8 {}, memory {:.1} GB/s\n",
        report.processor.as_deref().unwrap_or("processor unknown"),
        report.threads,
        report.level,
        report.levels.join(", "),
        giga(report.f32_peak),
        or_none(report.bf16_peak, "GFLOP/s"),
        or_none(report.int8_peak, "GOP/s"),
        giga(report.memory_peak),
    );
    let _ = writeln!(
        text,
        "\ninference: weights from memory\n  rows inputs outputs precision  GFLOP/s  of what both allow"
    );
    for ProductSpeed { rows, inputs, outputs, precision, operations_per_second, share } in &report.inference {
        let _ = writeln!(
            text,
            "{rows:6} {inputs:6} {outputs:7} {precision:>9} {:8.1} {:8.0} %",
            giga(*operations_per_second),
            100.0 * share
        );
    }
    #[cfg(feature = "train")]
    append_training(&mut text, report);
    text
}

#[cfg(feature = "train")]
fn append_training(text: &mut String, report: &Report) {
    let _ = writeln!(
        text,
        "\ntraining: the map, and the gradients of its input and weight\n  rows inputs outputs precision  GFLOP/s \
         {:18} of peak",
        ""
    );
    for MapSpeed { rows, inputs, outputs, precision, map, input_gradient, weight_gradient } in &report.training {
        let peak = if *precision == "bf16" { report.bf16_peak.unwrap_or(report.f32_peak) } else { report.f32_peak };
        let _ = write!(text, "{rows:6} {inputs:6} {outputs:7} {precision:>9}");
        let rates = [map, input_gradient, weight_gradient];
        rates.iter().for_each(|rate| _ = write!(text, " {:8.1}", giga(**rate)));
        rates.iter().for_each(|rate| _ = write!(text, " {:5.0} %", 100.0 * **rate / peak));
        text.push('\n');
    }
}
