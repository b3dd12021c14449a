//! The table of `strata inspect`.

use std::fmt::Write;

use crate::cost::{Cost, Part};
use crate::model_config::ModelConfig;

/// Renders a cost as text: one line on the model, a table by part, the comparison with the dense model.
///
/// ```
/// use strata_recipe::{Cost, Kind, ModelConfig, render};
///
/// let config = ModelConfig { kind: Kind::Smoe, strata: vec![4, 4], ..ModelConfig::default() };
/// let table = render(&config, &Cost::of(&config, None)?);
/// assert!(table.starts_with("SMoE-4-4 on Transformer-base, 6+6 layers, d 512, ffn 2048, 32k subwords\n"));
/// # Ok::<(), strata_recipe::ConfigError>(())
/// ```
pub fn render(config: &ModelConfig, cost: &Cost) -> String {
    let backbone = match (config.d_model, config.d_ffn) {
        (512, 2048) => "Transformer-base",
        (1024, 4096) => "Transformer-big",
        _ => "a Transformer",
    };
    let blocks = {
        let (encoder, decoder) = config.expert_blocks();
        encoder + decoder
    };
    let mut text = format!(
        "{} on {backbone}, {}+{} layers, d {}, ffn {}, {} subwords\n",
        cost.name,
        config.encoder_layers,
        config.decoder_layers,
        config.d_model,
        config.d_ffn,
        count(config.vocab_size as u64)
    );
    let measured = cost.flops_per_token_measured;
    let mut row = |name: &str, parameters: String, flops: String, measured: String, note: &str| {
        let width = if cost.flops_per_token_measured.is_some() { 12 } else { 0 };
        let line = format!("{name:<16}{parameters:>12}{flops:>15}{measured:>width$}   {note}");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    row("", "parameters".into(), "FLOPs/token".into(), measured.map_or(String::new(), |_| "measured".into()), "");
    let parts = &cost.parts;
    let mut part = |name: &str, part: Part, measured: Option<u64>, note: &str| {
        if part.parameters > 0 {
            let flops = if part.flops_per_token == 0 { "-".to_owned() } else { count(part.flops_per_token) };
            row(name, count(part.parameters), flops, measured.map_or(String::new(), count), note);
        }
    };
    part("embeddings", parts.embeddings, None, "");
    part("attention", parts.attention, None, "");
    part("dense FFN", parts.dense_ffn, None, "");
    let uniform = cost.flops_per_token - parts.experts.flops_per_token;
    let mut note = format!("(RC {:.2} under uniform routing", cost.requested_capacity);
    if let Some(rc) = &cost.requested_capacity_measured
        && !rc.is_empty()
    {
        let _ = write!(note, ", {:.2} measured", rc.iter().sum::<f64>() / rc.len() as f64);
    }
    let _ = write!(note, ", top-{})", config.top_k);
    let experts = format!("experts {} x {blocks}", config.block_strata().experts());
    part(&experts, parts.experts, measured.map(|measured| measured - uniform), &note);
    part("CMR", parts.cmr, None, "(shared FFNs and gates)");
    part("gates, norms", parts.gates_and_norms, None, "");
    row("total", count(cost.parameters), count(cost.flops_per_token), measured.map_or(String::new(), count), "");
    if cost.parameters != cost.dense_parameters {
        let _ = write!(
            text,
            "against dense  x{:.1} parameters, x{:.1} FLOPs      ",
            cost.parameters as f64 / cost.dense_parameters as f64,
            measured.unwrap_or(cost.flops_per_token) as f64 / cost.dense_flops_per_token as f64
        );
    }
    let _ = writeln!(
        text,
        "memory to train: {} (f32 Adam), to serve: {} (int8)",
        bytes(cost.bytes_to_train),
        bytes(cost.bytes_to_serve)
    );
    let _ = write!(text, "not in the FLOPs: ");
    if cost.not_counted.gates > 0 {
        let _ = write!(text, "gates {}, ", count(cost.not_counted.gates));
    }
    let _ = writeln!(
        text,
        "attention scores {} a position attended to, norms, softmaxes",
        count(cost.not_counted.attention_scores_per_position)
    );
    text
}

/// `964.8M`, `32k`: three or four digits and a unit of 1,000.
fn count(number: u64) -> String {
    scaled(number, &["", "k", "M", "B", "T"], "")
}

/// `15.4 GB`, in units of 1,000.
fn bytes(number: u64) -> String {
    scaled(number, &["B", "kB", "MB", "GB", "TB"], " ")
}

fn scaled(number: u64, units: &[&str], space: &str) -> String {
    let mut value = number as f64;
    let mut unit = 0;
    // 999.95 would be printed as 1000.0.
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if unit == 0 || value.fract() == 0.0 {
        0
    } else if unit == 3 && space.is_empty() {
        2
    } else {
        1
    };
    format!("{value:.decimals$}{space}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Kind;

    fn m15() -> ModelConfig {
        let strata = vec![4, 12];
        ModelConfig { kind: Kind::Smoe, strata, d_model: 1024, d_ffn: 4096, heads: 16, ..ModelConfig::default() }
    }

    #[test]
    fn numbers_have_units() {
        let printed = [999, 1_000, 32_000, 8_192, 999_949, 999_951, 32_768_000, 1_770_700_000].map(count);
        assert_eq!(printed, ["999", "1k", "32k", "8.2k", "999.9k", "1.0M", "32.8M", "1.77B"]);
        assert_eq!(bytes(15_436_000_000), "15.4 GB");
        assert_eq!(bytes(12), "12 B");
    }

    #[test]
    fn a_table_by_part() {
        let config = m15();
        let table = render(&config, &Cost::of(&config, None).unwrap());
        let expected = "\
SMoE-4-12 on Transformer-big, 6+6 layers, d 1024, ffn 4096, 32k subwords
                  parameters    FLOPs/token
embeddings             32.8M          65.5M
attention              75.6M         151.0M
dense FFN              50.4M         100.7M
experts 16 x 6        805.8M         251.7M   (RC 1.25 under uniform routing, top-2)
gates, norms          249.9k              -
total                 964.7M         568.9M
against dense  x4.6 parameters, x1.4 FLOPs      memory to train: 15.4 GB (f32 Adam), to serve: 969.8 MB (int8)
not in the FLOPs: gates 233.5k, attention scores 73.7k a position attended to, norms, softmaxes
";
        assert_eq!(table, expected);
    }

    #[test]
    fn a_measured_column_when_there_is_a_measurement() {
        let config = m15();
        let table = render(&config, &Cost::of(&config, Some(&[1.5, 1.5, 1.5, 2.0, 2.0, 2.0])).unwrap());
        assert!(table.contains("measured\n"), "{table}");
        assert!(
            table.contains("251.7M      352.3M   (RC 1.25 under uniform routing, 1.75 measured, top-2)"),
            "{table}"
        );
        assert!(table.contains("x1.6 FLOPs"), "{table}");
    }

    #[test]
    fn a_dense_model_has_no_expert_rows() {
        let config = ModelConfig::default();
        let table = render(&config, &Cost::of(&config, None).unwrap());
        assert!(!table.contains("experts") && !table.contains("against") && !table.contains("CMR"), "{table}");
    }
}
